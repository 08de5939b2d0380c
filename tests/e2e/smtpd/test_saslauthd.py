"""Passwords that saslauthd knows (common/saslauthd.h): right, wrong, and never wrong because of what comes from its socket. Debian's
saslauthd itself is asked by tests/interop/test_saslauthd.py."""

import base64
import imaplib
import json

import pytest

import postroom
import saslauthd as scripted

CONF = "workers 1\nscram-iterations 4096\nfailure-delay 0\nfailures-per-day 10\nfailures-per-session 100\n"
# What is no answer, by the password that makes saslauthd say it.
ODD = {
    "nothing": b"",
    "half a length": b"\0",
    "short": b"\0\2O",
    "garbage": b"\xff\xfe\x00garbage",
    "http": b"HTTP/1.1 200 OK\r\n\r\n",
    "neither": scripted.text(b"MAYBE"),
    "64 KB": scripted.text(b"OK" + b"x" * 65533),
    "its own trouble": scripted.text(b"NO saslauthd internal error"),
}
ANSWERS = {"right": scripted.OK, "in pieces": [b"\0", b"\2", b"O", b"K"], "words": scripted.text(b"OK remote authentication successful"),
           "no": scripted.NO, "refused": scripted.text(b"NO PAM auth error"), "hangs": None, **ODD}


@pytest.fixture(scope="module")
def saslauthd():
    with scripted.Saslauthd(ANSWERS) as server:
        yield server


@pytest.fixture(scope="module")
def server(saslauthd):
    with postroom.Instance(accounts=("alice", "carol"), conf=CONF + saslauthd.conf()) as instance:
        instance.start()
        yield instance


def imap(server, user, password, source=None):
    with postroom.Line(server.port("imap"), source=source) as line:
        line.line()
        line.send(f'a LOGIN {user} "{password}"\r\n')
        return line.line().decode()


def pop3(server, user, password):
    with postroom.Line(server.port("pop3")) as line:
        line.line()
        line.send(f"USER {user}\r\nPASS {password}\r\n")
        line.line()
        said = line.line().decode()
        line.send("QUIT\r\n")         # the maildrop is free when that is answered
        line.line()
        return said


def smtp(server, user, password):
    with postroom.Line(server.port("submission")) as line:
        line.reply()
        line.smtp("EHLO client.example")
        line.send(f"AUTH PLAIN {base64.b64encode(f'{chr(0)}{user}{chr(0)}{password}'.encode()).decode()}\r\n")
        code, texts = line.reply()
        return f"{code} {texts[0]}"


WAYS = {imap: ("a OK", "a NO [AUTHENTICATIONFAILED]", "a NO [UNAVAILABLE]"), pop3: ("+OK", "-ERR [AUTH]", "-ERR [SYS/TEMP]"),
        smtp: ("235", "535 5.7.8", "454 4.7.0")}


@pytest.mark.parametrize("way", WAYS)
def test_saslauthd_says_what_the_password_is(saslauthd, server, way):
    right, wrong, _ = WAYS[way]
    server.postroom("auth", "unblock", "--all")
    del saslauthd.asked[:]
    for password in ("in pieces", "words", "right", "right"):
        assert way(server, "Alice@example.test", password).startswith(right)
    # a right password is remembered
    assert saslauthd.asked == [("alice", password, "postroom", "example.test") for password in ("in pieces", "words", "right")]
    for user, password in (("alice", "no"), ("alice", "refused"), ("alice", server.password("alice")), ("nobody", "right")):
        assert way(server, f"{user}@example.test", password).startswith(wrong)
    assert saslauthd.asked[-1] == ("nobody", "right", "postroom", "example.test")      # so that nobody can tell who is known here


def test_what_stays_ours(server):
    """An app password needs no saslauthd; SCRAM, which cannot show it a password, is not offered."""
    app = json.loads(server.postroom("app-password", "add", "alice@example.test", "phone", "--json"))
    assert imap(server, "alice@example.test", app["password"]).startswith("a OK")
    with imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"), ssl_context=server.tls_context(), timeout=postroom.DEADLINE_S) as line:
        assert "AUTH=PLAIN" in line.capabilities and not any("SCRAM" in word for word in line.capabilities)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_answer_makes_no_password_wrong(server, way):
    """Nor is it counted: more of them than wrong passwords are allowed keep nobody out."""
    server.postroom("auth", "unblock", "--all")
    for password in 2 * list(ODD):
        assert way(server, "carol@example.test", password).startswith(WAYS[way][2])
    assert server.json("auth", "blocked") == []
    postroom.wait_for("a login", lambda: way(server, "carol@example.test", "right").startswith(WAYS[way][0]))
    assert "event=auth.saslauthd.unknown" in server.log() and "64 KB" not in server.log()


def test_wrong_passwords_are_counted_as_everywhere(server):
    stranger = "127.50.0.1"             # from where carol has never logged in
    server.postroom("auth", "unblock", "--all")
    for n in range(10):
        assert imap(server, "carol@example.test", f"wrong {n}", stranger).startswith("a NO [AUTHENTICATIONFAILED]")
    assert "Too many failed logins" in imap(server, "carol@example.test", "right", stranger)
    server.postroom("auth", "unblock", "--all")
    assert imap(server, "carol@example.test", "right", stranger).startswith("a OK")


def test_a_saslauthd_that_is_away_or_silent_is_a_temporary_failure(saslauthd, server):
    for way, (right, _, later) in WAYS.items():
        saslauthd.stop()
        assert way(server, "alice@example.test", "wrong then").startswith(later)
        saslauthd.start()
        postroom.wait_for("a login", lambda way=way, right=right: way(server, "alice@example.test", "right").startswith(right))
    server.stop()
    conf = (server.root / "postroom.conf").read_text()
    (server.root / "postroom.conf").write_text(conf + "saslauthd-timeout 300ms\n")
    server.start(only="imapd")
    assert imap(server, "alice@example.test", "hangs").startswith("a NO [UNAVAILABLE]")
    server.wait_log("step=reply")


def test_a_domain_has_one_keeper_of_passwords(server):
    conf = server.root / "two.conf"
    conf.write_text((server.root / "postroom.conf").read_text() + "ldap-url ldapi://%2Fx\nldap-dn uid=%n\nldap-domains all\n")
    said = server.run("conf", "check", conf)
    assert said.returncode == 1 and "a password is asked for in one place" in said.stdout + said.stderr, said
