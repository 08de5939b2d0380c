"""Mail goes to whom DNSSEC and MTA-STS say, or waits: never in clear, never to somebody else's certificate, never because an
answer was kept away (RFC 7672, RFC 8461)."""

import contextlib
import json
import time

import pytest

import postroom
from dns_server import DnsServer
from https_server import Authority, HttpsServer
from postroom import free_port, wait_for  # noqa: F401
from signed_dns import SignedDns
from smtp_sink import Sink

CONF = "relay-port {port}\nrelay-ipv6 no\nrelay-connect-time 5s\nqueue-retry 2s\nqueue-retry-max 5s\nrelay-ca-file {authority}\n"


@pytest.fixture(scope="module")
def authority():
    with Authority() as made:
        yield made


def submit(server, to, extra="", options=()):
    text = postroom.message(body="Hello.\r\n", sender="alice@example.test", to=to, extra=extra)
    with server.submission("alice") as smtp:
        smtp.sendmail("alice@example.test", [to], text, mail_options=options)


def wait_reason(server, to, words):
    """It was tried, it waits, and the queue says why."""
    def seen():
        return any(to in line and words in line for line in server.log().splitlines()) or \
            any(f"destination={to.split('@')[1]}" in line and words in line for line in server.log().splitlines())
    wait_for(f"{to} waits because of: {words}", seen)


@contextlib.contextmanager
def running(conf):
    with postroom.Instance(accounts=("alice",), conf=conf + "sending yes\n") as server:
        server.start(only="smtpd")
        yield server


# ---- DANE ----

@pytest.fixture(scope="module")
def dane(authority):
    """Postroom, and one domain below dane.example for each way to be right or wrong."""
    port = free_port()
    own = authority.certificate("mx.own.example")                   # what no authority's name fits
    key, ca = authority.digest(own[0]), authority.digest(authority.file, whole=True)
    cases = {
        # name: (TLSA, certificate, TLS offered)
        "right": (f"3 1 1 {key}", own, True),
        "wrong": (f"3 1 1 {'ab' * 32}", own, True),
        "rolled": (f"3 1 1 {'ab' * 32}\n_{port}._tcp.mx.rolled TLSA 3 1 1 {key}", own, True),
        "anchor": (f"2 0 1 {ca}", authority.certificate("mx.anchor.dane.example"), True),
        "stranger": (f"2 0 1 {ca}", own, True),
        "clear": (f"3 1 1 {key}", own, False),
        "unusable": ("1 1 1 " + "ab" * 32, own, True),
        "unusable-clear": ("1 1 1 " + "ab" * 32, own, False),
        "forged": (f"3 1 1 {'cd' * 32}", own, True),
        "none": (None, own, True),
        "promise": (f"3 1 1 {key}", own, True),
        "named": (None, authority.certificate("mx.named.dane.example"), True),
    }
    with SignedDns() as dns, contextlib.ExitStack() as stack:
        records, sinks = [], {}
        for i, (name, (tlsa, cert, has_tls)) in enumerate(cases.items()):
            more = ("REQUIRETLS",) if name in ("promise", "named") else ()
            sinks[name] = stack.enter_context(Sink(f"127.0.1.{i + 1}", port, cert=cert if has_tls else None,
                                                   extensions=Sink.EXTENSIONS + more))
            records += [f"{name} MX 10 mx.{name}", f"mx.{name} A 127.0.1.{i + 1}"]
            if tlsa:
                records.append(f"_{port}._tcp.mx.{name} TLSA {tlsa}")
        dns.zone("dane.example", records)
        dns.damage("dane.example", "cd" * 32, "ce" * 32)            # its signature is of another record
        dns.start()
        with running(CONF.format(port=port, authority=authority.file) + dns.conf()) as server:
            yield server, sinks


@pytest.mark.parametrize("name", ["right", "rolled", "anchor", "unusable", "none"])
def test_dane_lets_mail_pass(dane, name):
    server, sinks = dane
    submit(server, f"bob@{name}.dane.example")
    assert sinks[name].wait(1)[0].is_tls
    if name in ("right", "rolled", "anchor"):
        wait_for("the event", lambda: any("relay.delivered" in line or "verified by DANE" in line
                                          for line in server.log().splitlines() if f"bob@{name}.dane" in line))
        assert any("verified by DANE" in line for line in server.log().splitlines() if f"bob@{name}.dane" in line)
    if name == "right":
        wait_for("trace tells it", lambda: ", by TLSv1.3, verified by DANE: 250" in server.run("trace", f"bob@{name}.dane.example").stdout)


@pytest.mark.parametrize("name,words", [
    ("wrong", "its certificate is not the one that the DNS names"),
    ("stranger", "its certificate is for another name"),
    ("clear", "STARTTLS"),
    ("unusable-clear", "STARTTLS"),
    ("forged", "cannot be looked up"),
])
def test_dane_holds_mail_back(dane, name, words):
    server, sinks = dane
    submit(server, f"bob@{name}.dane.example")
    wait_reason(server, f"bob@{name}.dane.example", words)
    time.sleep(3)       # it is tried again, and nothing is different
    assert not sinks[name].messages


# ---- what the sender wants (RFC 8689) ----

@pytest.mark.parametrize("name", ["promise", "named"])
def test_what_requires_tls_goes_where_it_is_proven_and_promised(dane, name):
    server, sinks = dane
    submit(server, f"bob@{name}.dane.example", options=["REQUIRETLS"])
    message = sinks[name].wait(1)[0]
    assert message.is_tls and "REQUIRETLS" in message.sender_line


@pytest.mark.parametrize("name,words", [("right", "does not promise TLS all the way"),
                                        ("none", "its certificate is for another name")])
def test_what_requires_tls_goes_nowhere_else(dane, name, words):
    server, sinks = dane
    before = len(sinks[name].messages)
    submit(server, f"carol@{name}.dane.example", options=["REQUIRETLS"])
    wait_for("why", lambda: words in server.log())
    time.sleep(1)
    assert len(sinks[name].messages) == before


def test_requiretls_is_offered_over_tls_only(dane):
    server, _ = dane
    with server.raw("submission") as line:
        line.reply()
        line.send("EHLO client.example\r\n")
        assert "REQUIRETLS" not in line.reply()[1]
    with server.raw("submissions", tls=True) as line:
        line.reply()
        line.send("EHLO client.example\r\n")
        assert "REQUIRETLS" in line.reply()[1]


def test_what_makes_tls_optional_arrives_whatever_the_policy(dane):
    server, sinks = dane
    submit(server, "bob@clear.dane.example", extra="TLS-Required: No\r\n")
    assert not sinks["clear"].wait(1)[0].is_tls


# ---- MTA-STS ----

def policy(*hosts, mode="enforce", age=86400):
    return f"version: STSv1\r\nmode: {mode}\r\nmax_age: {age}\r\n".encode() + b"".join(b"mx: %s\r\n" % h.encode() for h in hosts)


@pytest.fixture(scope="module")
def sts(authority):
    port = free_port()
    names = ["right", "testing", "self", "expired", "other", "unlisted", "clear", "nowhere"]
    with Authority() as elsewhere, contextlib.ExitStack() as stack:
        certificates = {
            "self": elsewhere.certificate("mx.self.example"), "expired": authority.certificate("mx.expired.example", days=-1),
            "other": authority.certificate("www.other.example"), "testing": elsewhere.certificate("mx.testing.example"),
        }
        dns = stack.enter_context(DnsServer())
        web = stack.enter_context(HttpsServer(authority, [f"mta-sts.{name}.example" for name in names if name != "nowhere"]))
        sinks = {}
        for i, name in enumerate(names):
            cert = certificates.get(name) or authority.certificate(f"mx.{name}.example")
            sinks[name] = stack.enter_context(Sink(f"127.0.2.{i + 1}", port, cert=None if name == "clear" else cert))
            dns.add(f"{name}.example", "MX", f"10 mx.{name}.example").add(f"mx.{name}.example", "A", f"127.0.2.{i + 1}")
            dns.add(f"_mta-sts.{name}.example", "TXT", "v=STSv1; id=1;").add(f"mta-sts.{name}.example", "A", "127.0.0.1")
            host = "*.other.example" if name == "unlisted" else f"mx.{name}.example"
            web.pages[f"mta-sts.{name}.example", "/.well-known/mta-sts.txt"] = (
                200, "text/plain", policy(host, mode="testing" if name == "testing" else "enforce"))
        conf = CONF.format(port=port, authority=authority.file) + dns.conf()
        with running(conf + f"mta-sts-port {web.port}\nfetch-private-addresses yes\n") as server:
            yield server, sinks, dns, web


@pytest.mark.parametrize("name", ["right", "testing", "nowhere"])
def test_sts_lets_mail_pass(sts, name):
    server, sinks, _, _ = sts
    submit(server, f"bob@{name}.example")
    assert sinks[name].wait(1, seconds=40)[0].is_tls
    if name == "right":
        wait_for("trace tells it", lambda: ", by TLSv1.3, verified for MTA-STS: 250" in server.run("trace", f"bob@{name}.example").stdout)


def test_a_policy_that_is_tested_is_reported(sts):
    server, _, _, _ = sts

    def counted():
        return [json.loads(row) for path in (server.root / "queue" / "tlsrpt").glob("*") for row in path.read_text().splitlines()]
    wait_for("the count", lambda: any(row["domain"] == "testing.example" for row in counted()))
    row = next(row for row in counted() if row["domain"] == "testing.example")
    assert (row["type"], row["result"]) == ("sts", "certificate-not-trusted")


@pytest.mark.parametrize("name,words", [
    ("self", "its certificate is not trusted"),
    ("expired", "its certificate has expired"),
    ("other", "its certificate is for another name"),
    ("unlisted", "is not among the hosts of the policy"),
    ("clear", "STARTTLS"),
])
def test_sts_holds_mail_back(sts, name, words):
    server, sinks, _, _ = sts
    submit(server, f"bob@{name}.example")
    wait_reason(server, f"bob@{name}.example", words)
    time.sleep(3)
    assert not sinks[name].messages


def test_sts_is_in_force_when_dns_and_web_are_kept_away(sts):
    server, sinks, dns, web = sts
    submit(server, "bob@right.example")
    sinks["right"].wait(2)
    fetched = len([page for page in web.asked if page[0] == "mta-sts.right.example"])
    assert fetched == 1
    dns.misbehave("_mta-sts.right.example", "servfail")
    dns.misbehave("mta-sts.right.example", "servfail")
    dns.remove("mx.right.example", "A")
    dns.add("mx.right.example", "A", sinks["self"].address)         # somebody else answers, with a certificate of his own
    server.stop()
    server.start(only="smtpd")
    submit(server, "bob@right.example")
    wait_reason(server, "bob@right.example", "its certificate is not trusted")
    assert not sinks["self"].messages
