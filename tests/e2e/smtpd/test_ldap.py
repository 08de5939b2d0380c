"""Passwords that an organisation's directory knows (common/ldapauth.h): right, wrong, and never wrong because slapd is away."""

import imaplib
import json
import os
import poplib
import smtplib
import socket

import pytest

import https_server
import postroom
import slapd as slapd_server

pytestmark = pytest.mark.skipif(not os.path.exists("/usr/sbin/slapd"), reason="slapd is missing")
PATIENT = """failure-delay 0
failures-per-session 100
failures-per-minute 1000000
failures-per-day 1000000
failures-per-account 1000000
"""


@pytest.fixture(scope="module")
def slapd():
    with https_server.Authority() as authority, slapd_server.Slapd(authority, {"alice": "from the directory", "bob": "of bob"}) as server:
        yield server


@pytest.fixture(scope="module")
def instance():
    with postroom.Instance(accounts=("alice", "carol"), conf=PATIENT) as server:
        yield server, (server.root / "postroom.conf").read_text()


@pytest.fixture
def start(instance):
    """start(conf, only): the server with these lines; what it logs begins anew."""
    server, common = instance

    def begin(conf, only="imapd"):
        (server.root / "postroom.conf").write_text(common + conf)
        server.log_path.unlink(missing_ok=True)
        return server.start(only=only)
    yield begin
    server.stop()


def login(server, user, password):
    """Whether IMAP's LOGIN is OK, NO, or UNAVAILABLE."""
    with imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"), ssl_context=server.tls_context(), timeout=postroom.DEADLINE_S) as imap:
        try:
            imap.login(f'"{user}"', password)
            return "OK"
        except imaplib.IMAP4.error as error:
            text = str(error)
            assert "AUTHENTICATIONFAILED" in text or "UNAVAILABLE" in text, text
            return "UNAVAILABLE" if "UNAVAILABLE" in text else "NO"


def check(server):
    assert login(server, "alice@example.test", "from the directory") == "OK", server.log()
    assert login(server, "alice@example.test", server.password("alice")) == "NO"    # what was set here does not count
    assert login(server, "carol@example.test", server.password("carol")) == "NO"    # an account that the directory lacks
    assert login(server, "alice)(uid=*@example.test", "from the directory") == "NO"


def test_the_directory_says_what_the_password_is(slapd, start):
    server = start(slapd.conf(), only=None)
    check(server)
    assert login(server, "Alice@example.test", "of bob") == "NO"
    assert login(server, "nobody@example.test", "from the directory") == "NO"
    assert login(server, "bob@example.test", "of bob") == "NO"          # who is known there and has no account here
    with smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"), context=server.tls_context()) as smtp:
        smtp.ehlo()
        assert "SCRAM" not in smtp.esmtp_features["auth"]
        smtp.login("alice@example.test", "from the directory")
    pop = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"), context=server.tls_context())
    pop.user("alice@example.test")
    pop.pass_("from the directory")
    pop.quit()
    app = json.loads(server.postroom("app-password", "add", "alice@example.test", "phone", "--json"))
    assert login(server, "alice@example.test", app["password"]) == "OK"         # which stays ours
    assert "from the directory" not in server.log()


@pytest.mark.parametrize("scheme", ["ldap", "ldapi"])
def test_starttls_a_socket_and_a_search_work_as_well(slapd, start, scheme):
    server = start(slapd.conf(scheme, search=True))
    check(server)
    assert login(server, "*@example.test", "from the directory") == "NO"


def test_a_directory_that_is_away_makes_no_password_wrong(slapd, start):
    slapd.stop()
    server = start(slapd.conf())
    assert login(server, "alice@example.test", "from the directory") == "UNAVAILABLE"
    assert login(server, "alice@example.test", "a wrong one") == "UNAVAILABLE"
    assert login(server, "nobody@example.test", "x") == "UNAVAILABLE"
    slapd.start()
    postroom.wait_for("a login", lambda: login(server, "alice@example.test", "from the directory") == "OK")
    server.wait_log("event=auth.ldap.unknown")


def test_a_directory_that_is_silent_is_not_waited_for(slapd, start):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        server = start(slapd.conf().replace(slapd.url("ldaps"), f"ldaps://127.0.0.1:{silent.getsockname()[1]}") + "ldap-timeout 300ms\n")
        assert login(server, "alice@example.test", "from the directory") == "UNAVAILABLE"


def test_a_certificate_for_another_name_is_not_believed(slapd, start):
    server = start(slapd.conf().replace("ldaps://127.0.0.1", "ldaps://localhost"))
    assert login(server, "alice@example.test", "from the directory") == "UNAVAILABLE"
    server.wait_log("step=tls")
