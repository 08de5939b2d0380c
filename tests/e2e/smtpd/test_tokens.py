"""OAUTHBEARER (RFC 7628) and XOAUTH2 with an OpenID issuer of the test's own: who is let in by a token, and who is not."""

import base64
import json
import smtplib

import pytest

import dns_server
import https_server
import oidc_issuer
import postroom

PATIENT = """failure-delay 0
failures-per-session 100
failures-per-minute 1000000
failures-per-day 1000000
failures-per-account 1000000
strangers-per-address 1000
strangers-per-network 1000
"""


@pytest.fixture(scope="module")
def world():
    """(make, issuer, foreign): make(conf) gives an instance that believes the issuer; foreign is another one, as good as it."""
    with https_server.Authority() as authority, dns_server.DnsServer() as dns, \
            https_server.HttpsServer(authority, ["login.example", "elsewhere.example"]) as web:
        for name in ("login.example", "elsewhere.example"):
            dns.add(name, "A", "127.0.0.1")
        issuer = oidc_issuer.Issuer(authority, web, "login.example")
        foreign = oidc_issuer.Issuer(authority, web, "elsewhere.example")
        foreign.files = issuer.files            # the same keys: only its name is another
        issuer.publish("rsa", "ec", "ed")
        yield lambda conf="": postroom.Instance(accounts=("alice", "bob"), conf=dns.conf() + issuer.conf() + PATIENT + conf), \
            issuer, foreign


@pytest.fixture(scope="module")
def server(world):
    make, _, _ = world
    with make("oauth-refresh-floor 1h\n") as instance:
        instance.start()
        instance.wait_log("issuer.keys")
        yield instance


def imap_login(server, first, mechanism="OAUTHBEARER", dismissal="AQ=="):
    """(answer, challenge) of AUTHENTICATE with an initial response."""
    with server.raw("imaps", tls=True) as line:
        line.line()
        line.send(f"a AUTHENTICATE {mechanism} {first}\r\n".encode())
        answer, challenge = line.line().decode(), None
        if answer.startswith("+"):
            challenge = json.loads(base64.b64decode(answer[2:]))
            line.send(dismissal.encode() + b"\r\n")
            answer = line.line().decode()
        return answer, challenge


def is_in(server, token, user=None):
    answer, _ = imap_login(server, oidc_issuer.bearer(token, user))
    assert answer.startswith(("a OK", "a NO [AUTHENTICATIONFAILED]")), answer
    return answer.startswith("a OK")


@pytest.mark.parametrize("key", ["rsa", "ec", "ed"])
def test_a_token_by_each_kind_of_key_logs_in(world, server, key):
    _, issuer, _ = world
    token = issuer.token("alice@example.test", key)
    assert is_in(server, token)
    assert is_in(server, token, "Alice@example.test")
    answer, _ = imap_login(server, oidc_issuer.xoauth2(token, "alice@example.test"), "XOAUTH2")
    assert answer.startswith("a OK")


def test_a_token_is_for_the_account_that_it_names(world, server):
    _, issuer, _ = world
    for other in ("bob@example.test", "nobody@example.test"):
        answer, challenge = imap_login(server, oidc_issuer.bearer(issuer.token("alice@example.test"), other))
        assert answer.startswith("a NO [AUTHORIZATIONFAILED]") and challenge["status"] == "invalid_token", (answer, challenge)
    assert not is_in(server, issuer.token("nobody@example.test"))
    assert not is_in(server, issuer.token("alice@example.test", email_verified=False))
    assert not is_in(server, issuer.token(None, preferred_username="alice@example.test"))


def test_what_is_not_a_good_token_of_this_issuer_is_refused(world, server):
    _, issuer, foreign = world
    bad = {
        "expired": issuer.token("alice@example.test", exp=1000),
        "not yet": issuer.token("alice@example.test", nbf=9000000000),
        "foreign issuer": foreign.token("alice@example.test"),
        "wrong audience": issuer.token("alice@example.test", aud="calendar"),
        "no audience": issuer.token("alice@example.test", aud=None),
        "no expiry": issuer.token("alice@example.test", exp=None),
        "alg none": issuer.unsigned("alice@example.test"),
        "alg HS256": issuer.unsigned("alice@example.test", "HS256") + "AAAA",
        "unknown kid": issuer.token("alice@example.test", "ec-unpublished"),
        "another's key under our kid": issuer.token("alice@example.test", "ec-unpublished", header={"kid": "ec"}),
        "another algorithm for the kid": issuer.token("alice@example.test", "ec", header={"kid": "rsa"}),
        "garbage": "garbage",
        "dots": "..",
        "password": server.password("alice"),
    }
    for what, token in bad.items():
        answer, challenge = imap_login(server, oidc_issuer.bearer(token))
        assert answer.startswith("a NO [AUTHENTICATIONFAILED]"), what
        assert challenge["status"] == "invalid_token", what
        assert challenge["openid-configuration"] == issuer.url + "/.well-known/openid-configuration"
    answer, challenge = imap_login(server, oidc_issuer.xoauth2(bad["expired"], "alice@example.test"), "XOAUTH2", dismissal="")
    assert answer.startswith("a NO [AUTHENTICATIONFAILED]") and challenge["status"] == "401"
    for word in ("verdict=expired", "verdict=foreign-issuer", "verdict=wrong-audience", "verdict=unknown-key", "verdict=forged"):
        server.wait_log(word)
    assert bad["expired"] not in server.log()


def test_a_message_cut_anywhere_is_no_login(world, server):
    """One connection, and a cut at every octet of a short message; the token's own cuts are common/token_test.c's."""
    _, issuer, _ = world
    whole = base64.b64decode(oidc_issuer.bearer(issuer.token("alice@example.test"), "alice@example.test"))
    cuts = [*range(0, 80), *range(80, len(whole) - 3, 29), len(whole) - 3, len(whole) - 2, len(whole) - 1]
    with server.raw("imaps", tls=True) as line:
        line.line()
        for cut in cuts:
            line.send(b"a AUTHENTICATE OAUTHBEARER " + (base64.b64encode(whole[:cut]) or b"=") + b"\r\n")
            answer = line.line()
            if answer.startswith(b"+"):
                line.send(b"AQ==\r\n")
                answer = line.line()
            assert answer.startswith((b"a NO", b"a BAD")), (cut, answer)
            if cut % 40 == 39:          # bad commands are counted, too: begin anew
                line.close()
                line.__init__(server.port("imaps"), server.tls_context())
                line.line()


def test_it_is_offered_under_tls_only_and_without_an_issuer_never(server):
    assert b"AUTH=OAUTHBEARER AUTH=XOAUTH2" in capabilities(server, tls=True)
    assert b"OAUTH" not in capabilities(server, tls=False)
    with server.raw("imap") as line:
        line.line()
        line.send(b"a AUTHENTICATE OAUTHBEARER AQ==\r\n")
        assert line.line().startswith(b"a NO [PRIVACYREQUIRED]")


def capabilities(server, tls):
    with server.raw("imaps" if tls else "imap", tls=tls) as line:
        line.line()
        line.send(b"a CAPABILITY\r\n")
        return line.line()


def test_curl_logs_in_by_a_token_everywhere(world, server, tmp_path):
    _, issuer, _ = world
    letter = tmp_path / "letter"
    letter.write_bytes(postroom.message(subject="By token", sender="alice@example.test", to="alice@example.test"))

    def curl(token, url, *more):
        return oidc_issuer.curl("--cacert", server.root / "tls" / "cert.pem", "--oauth2-bearer", token, "--user", "alice@example.test:",
                                url, *more)
    token, expired = issuer.token("alice@example.test"), issuer.token("alice@example.test", exp=1000)
    smtp, imap, pop3 = (f"{name}://localhost:{server.port(port)}/" for name, port in
                        (("smtps", "submissions"), ("imaps", "imaps"), ("pop3s", "pop3s")))
    mail = ["--mail-from", "alice@example.test", "--mail-rcpt", "alice@example.test", "-T", letter]
    code, _, said = curl(token, smtp, *mail)
    assert code == 0 and "AUTH OAUTHBEARER" in said, said
    code, out, said = curl(token, imap + "INBOX;MAILINDEX=1")
    assert code == 0 and "Subject: By token" in out and "AUTHENTICATE OAUTHBEARER" in said, said
    code, out, said = curl(token, pop3 + "1")
    assert code == 0 and "Subject: By token" in out and "AUTH OAUTHBEARER" in said, said
    for url, more in ((smtp, mail), (imap, []), (pop3, [])):
        code, _, said = curl(expired, url, *more)
        assert code == 67, said                 # CURLE_LOGIN_DENIED


def test_xoauth2_logs_in_to_submission_and_pop3(world, server):
    _, issuer, _ = world
    good = oidc_issuer.xoauth2(issuer.token("alice@example.test"), "alice@example.test")
    bad = oidc_issuer.xoauth2(issuer.token("alice@example.test", exp=1000), "alice@example.test")
    with smtplib.SMTP_SSL("localhost", server.port("submissions"), context=server.tls_context()) as smtp:
        smtp.ehlo()
        code, challenge = smtp.docmd("AUTH", "XOAUTH2 " + bad)
        assert code == 334 and json.loads(base64.b64decode(challenge))["status"] == "401"
        assert smtp.docmd("")[0] == 535
        assert smtp.docmd("AUTH", "XOAUTH2 " + good)[0] == 235
    with server.raw("pop3s", tls=True) as line:
        line.line()
        for message, answer in ((bad, b"-ERR [AUTH]"), (good, b"+OK")):
            line.send(b"AUTH XOAUTH2\r\n")
            assert line.line().startswith(b"+ ")
            line.send(message.encode() + b"\r\n")
            said = line.line()
            if said.startswith(b"+ "):
                line.send(b"\r\n")
                said = line.line()
            assert said.startswith(answer), said
    for protocol in ("smtp", "pop3"):
        server.wait_log(f"event=login.ok protocol={protocol} user=alice@example.test mechanism=XOAUTH2 credential=token")


def test_an_issuer_that_does_not_answer_is_never_a_wrong_password(world):
    make, issuer, _ = world
    token = issuer.token("alice@example.test")
    issuer.be_silent()
    with make("oauth-refresh-floor 0\n") as server:
        server.start()
        server.wait_log("issuer.fetch.failed")
        answer, challenge = imap_login(server, oidc_issuer.bearer(token))
        assert answer.startswith("a NO [UNAVAILABLE]") and challenge is None
        issuer.publish("ec")
        # The login itself makes the helper ask again.
        postroom.wait_for("a login by token", lambda: imap_login(server, oidc_issuer.bearer(token))[0].startswith("a OK"))
        # A new key at the issuer is learned by the first token that it signed; the issuer being away changes nothing.
        new = issuer.token("alice@example.test", "ed-new")
        assert imap_login(server, oidc_issuer.bearer(new))[0].startswith("a NO [UNAVAILABLE]")
        issuer.publish("ec", "ed-new")
        postroom.wait_for("a login by the new key", lambda: imap_login(server, oidc_issuer.bearer(new))[0].startswith("a OK"))
        issuer.be_silent()
        server.restart()
        assert is_in(server, new) and is_in(server, token)
        issuer.publish("rsa", "ec", "ed")
