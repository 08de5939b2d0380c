"""Programs that send: swaks, curl, msmtp."""

import os

import pytest


def subjects(server, user):
    with server.imap(user) as imap:
        imap.select("INBOX", readonly=True)
        _, found = imap.search(None, "ALL")
        if not found[0]:
            return []
        _, data = imap.fetch(found[0].replace(b" ", b",").decode(), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        return [item[1].decode().split(":", 1)[1].strip() for item in data if isinstance(item, tuple)]


def test_swaks_delivers_to_the_mx_listener_in_clear(server, program):
    program("swaks", "--server", f"127.0.0.1:{server.port('mx')}", "--from", "s@elsewhere.example",
            "--to", server.address("alice"), "--header", "Subject: swaks clear")
    assert "swaks clear" in subjects(server, "alice")


def test_swaks_delivers_to_the_mx_listener_with_starttls(server, program):
    done = program("swaks", "--server", f"127.0.0.1:{server.port('mx')}", "--from", "s@elsewhere.example",
                   "--to", server.address("alice"), "--tls", "--header", "Subject: swaks tls")
    assert "TLS started" in done.stdout
    assert "swaks tls" in subjects(server, "alice")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("listener,option", [("submission", "--tls"), ("submissions", "--tls-on-connect")])
def test_swaks_submits_with_a_password(server, program, mechanism, listener, option):
    subject = f"swaks {mechanism} {listener}"
    program("swaks", "--server", f"127.0.0.1:{server.port(listener)}", option, "--auth", mechanism,
            "--auth-user", server.address("alice"), "--auth-password", server.password("alice"),
            "--from", server.address("alice"), "--to", server.address("bob"), "--header", f"Subject: {subject}")
    assert subject in subjects(server, "bob")


def test_swaks_is_refused_as_a_relay_with_a_reason(server, program):
    done = program("swaks", "--server", f"127.0.0.1:{server.port('mx')}", "--from", "s@elsewhere.example",
                   "--to", "victim@far.example", check=False)
    assert done.returncode != 0
    assert "550 5.7.1" in done.stdout


def test_swaks_is_refused_with_a_wrong_password(server, program):
    done = program("swaks", "--server", f"127.0.0.1:{server.port('submission')}", "--tls", "--auth", "PLAIN",
                   "--auth-user", server.address("alice"), "--auth-password", "wrong",
                   "--from", server.address("alice"), "--to", server.address("bob"), check=False)
    assert done.returncode != 0
    assert "535 5.7.8" in done.stdout


def test_swaks_speaks_lmtp(server, program):
    done = program("swaks", "--server", f"127.0.0.1:{server.port('lmtp')}", "--protocol", "LMTP",
                   "--from", "s@elsewhere.example", "--to", f"{server.address('alice')},{server.address('bob')}",
                   "--header", "Subject: swaks lmtp")
    assert done.stdout.count("<~  250 2.") + done.stdout.count("<-  250 2.") >= 2
    assert "swaks lmtp" in subjects(server, "alice")
    assert "swaks lmtp" in subjects(server, "bob")


@pytest.mark.parametrize("scheme,listener", [("smtp", "submission"), ("smtps", "submissions")])
def test_curl_submits_with_a_checked_certificate(server, program, tmp_path, scheme, listener):
    letter = tmp_path / "letter"
    letter.write_bytes(f"From: <{server.address('alice')}>\r\nSubject: curl {scheme}\r\n\r\nHello\r\n.dot\r\n".encode())
    program("curl", "-sS", "--ssl-reqd", "--cacert", server.root / "tls" / "cert.pem",
            "--url", f"{scheme}://localhost:{server.port(listener)}/client.example",
            "--user", f"{server.address('alice')}:{server.password('alice')}",
            "--mail-from", server.address("alice"), "--mail-rcpt", server.address("bob"), "-T", letter,
            "--noproxy", "*")
    assert f"curl {scheme}" in subjects(server, "bob")


def test_msmtp_submits_over_starttls(server, program, tmp_path):
    conf = tmp_path / "msmtprc"
    conf.write_text(f"""account default
host localhost
port {server.port('submission')}
auth scram-sha-256
tls on
tls_starttls on
tls_trust_file {server.root}/tls/cert.pem
user {server.address('alice')}
password {server.password('alice')}
from {server.address('alice')}
""")
    conf.chmod(0o600)
    program("msmtp", "-C", conf, server.address("bob"),
            input=f"From: {server.address('alice')}\nTo: {server.address('bob')}\nSubject: msmtp scram\n\nHello\n",
            env={**os.environ, "HOME": str(tmp_path)})
    assert "msmtp scram" in subjects(server, "bob")
