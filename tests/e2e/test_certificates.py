"""Several certificates: by the name that a client asks for, RSA beside ECDSA, taken over anew without ending a session."""

import socket
import ssl
import subprocess

import postroom


def make(server, name, host, rsa=False, combined=False):
    """A self-signed certificate in the instance's tls folder; its subject names the file."""
    tls = server.root / "tls"
    kind = ["-newkey", "rsa:2048"] if rsa else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(["openssl", "req", "-x509", *kind, "-nodes", "-days", "30", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName={host}", "-keyout", tls / f"{name}.key", "-out", tls / f"{name}.pem"],
                   check=True, capture_output=True)
    (tls / f"{name}.key").chmod(0o600)
    if combined:
        both = (tls / f"{name}.pem").read_text() + (tls / f"{name}.key").read_text()
        (tls / f"{name}.pem").write_text(both)
        (tls / f"{name}.pem").chmod(0o600)
        (tls / f"{name}.key").unlink()


def subject(server, host, ciphers=None, port="imaps"):
    """The subject of the certificate that is shown to who asks for this name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if ciphers:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
    with socket.create_connection(("127.0.0.1", server.port(port)), timeout=postroom.DEADLINE_S) as sock:
        with context.wrap_socket(sock, server_hostname=host) as tls:
            der = tls.getpeercert(binary_form=True)
    pem = ssl.DER_cert_to_PEM_cert(der)
    return subprocess.run(["openssl", "x509", "-noout", "-subject", "-nameopt", "multiline"], input=pem, text=True,
                          check=True, capture_output=True).stdout.rsplit("=", 1)[1].strip()


TICKETS = "workers 1\n" + "".join(f"listener {kind} {{\n\tkind {kind}\n{more}}}\n" for kind, more in (
    ("imap", ""), ("imaps", "\ttickets yes\n"), ("pop3", ""), ("pop3s", "\ttickets no\n")))


def tls_session(server, port, session=None, command=None):
    """Connect, by STARTTLS with a command; (was the session taken up, the session to offer next time)."""
    if not hasattr(server, "tickets_context"):      # a session belongs to its context
        server.tickets_context = server.tls_context()
        server.tickets_context.maximum_version = ssl.TLSVersion.TLSv1_2    # there it is known once the handshake is over
    context = server.tickets_context
    with server.raw(port) if command else socket.create_connection(("127.0.0.1", server.port(port))) as plain:
        sock = plain
        if command:
            plain.line()
            plain.send(command + "\r\n")
            plain.line()
            sock = plain.sock
        with context.wrap_socket(sock, server_hostname="localhost", session=session) as tls:
            return tls.session_reused, tls.session


def test_each_listener_gives_tickets_or_not_and_takes_none_of_another_kind():
    with postroom.Instance(conf=TICKETS) as server:
        server.start(wait=False)
        server.wait_ready(["imap", "imaps", "pop3", "pop3s"])
        reused, session = tls_session(server, "imaps")
        assert not reused and session.has_ticket
        assert tls_session(server, "imaps", session)[0]
        # The same process with the same key, and another kind of listener.
        assert not tls_session(server, "imap", session, "a STARTTLS")[0]
        reused, other = tls_session(server, "imap", command="a STARTTLS")
        assert not reused and tls_session(server, "imap", other, "a STARTTLS")[0]
        reused, none = tls_session(server, "pop3s")
        assert not reused and not none.has_ticket and not tls_session(server, "pop3s", none)[0]
        assert "tickets no" in server.postroom("conf", "show")


def test_in_tls_1_3_a_ticket_comes_with_a_login():
    with postroom.Instance(accounts=["alice"], conf="workers 1") as server:
        server.start(wait=False)
        server.wait_ready(["imaps", "pop3s"])
        context = server.tls_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        for port, login in (("imaps", "a LOGIN {} {}\r\n"), ("pop3s", "USER {}\r\nPASS {}\r\n")):
            session = None
            for turn in range(2):
                with socket.create_connection(("127.0.0.1", server.port(port)), timeout=postroom.DEADLINE_S) as sock, \
                        context.wrap_socket(sock, server_hostname="localhost", session=session) as tls:
                    lines = tls.makefile("r", newline="\r\n")
                    lines.readline()
                    assert tls.session_reused == bool(turn) and (turn or not tls.session.has_ticket)
                    tls.sendall(login.format(server.address("alice"), server.password("alice")).encode())
                    for _ in login.splitlines():
                        lines.readline()
                    assert tls.session.has_ticket
                    session = tls.session


CONF = "workers 1\ntls-tickets no\ntls-more-certificates tls/rsa.pem=tls/rsa.key tls/other.pem tls/wild.pem=tls/wild.key\n"


def test_each_name_has_its_certificate_and_a_reload_takes_new_ones_over():
    with postroom.Instance(accounts=("alice",), conf=CONF) as server:
        make(server, "rsa", "DNS:mail.example.test,DNS:localhost,IP:127.0.0.1,IP:::1", rsa=True)      # the names of ours
        make(server, "other", "DNS:mail.example.net", combined=True)
        make(server, "wild", "DNS:*.example.org", rsa=True)
        server.start()
        assert subject(server, "mail.example.test") == "mail.example.test"              # ours, ECDSA
        assert subject(server, "mail.example.test", "ECDHE-RSA-AES128-GCM-SHA256") == "rsa"
        assert subject(server, "mail.example.net") == "other"
        assert subject(server, "MAIL.example.NET", port="submissions") == "other"
        assert subject(server, "imap.example.org", port="pop3s") == "wild"
        assert subject(server, "unknown.example") == "mail.example.test"
        session = server.imap("alice")
        make(server, "renewed", "DNS:mail.example.net", combined=True)
        (server.root / "tls" / "renewed.pem").rename(server.root / "tls" / "other.pem")
        server.postroom("reload")
        postroom.wait_for("the new certificate", lambda: subject(server, "mail.example.net") == "renewed")
        assert session.noop()[0] == "OK"
        # A certificate alone, while postroom.conf is half written: what stands there is for the next reload.
        conf = server.root / "postroom.conf"
        before = conf.read_text()
        conf.write_text(before + "\nmessage-size 1M\nnonsen")
        make(server, "again", "DNS:mail.example.net", combined=True)
        (server.root / "tls" / "again.pem").rename(server.root / "tls" / "other.pem")
        assert server.run("reload").returncode == 1
        server.postroom("reload", "--certificates")
        postroom.wait_for("the next certificate", lambda: subject(server, "mail.example.net") == "again")
        with server.smtp() as smtp:
            assert int(smtp.esmtp_features["size"]) > 1 << 20
        conf.write_text(before)
        # A key that others may read is refused, and what was there stays.
        make(server, "open", "DNS:mail.example.net", combined=True)
        (server.root / "tls" / "open.pem").chmod(0o644)
        (server.root / "tls" / "open.pem").rename(server.root / "tls" / "other.pem")
        server.postroom("reload")
        postroom.wait_for("the refusal in the log", lambda: server.log().count("event=tls.reload_failed") >= 3)
        assert subject(server, "mail.example.net") == "again"
        assert session.noop()[0] == "OK"
        session.logout()


def starttls(server):
    with server.raw("imap") as line:
        line.line()
        line.send("a STARTTLS\r\n")
        return line.line().startswith(b"a OK")


def test_a_certificate_that_comes_after_the_start_is_good_for_starttls_as_well():
    with postroom.Instance(conf="workers 1\n") as server:
        cert = server.root / "tls" / "cert.pem"
        cert.rename(server.root / "tls" / "away")
        server.start(only="imapd", wait=False)
        server.wait_ready(["imap"])
        assert not starttls(server)
        (server.root / "tls" / "away").rename(cert)
        server.postroom("reload", "--certificates")
        postroom.wait_for("STARTTLS", lambda: starttls(server))
