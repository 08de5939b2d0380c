"""Two Postrooms and Debian's Postfix, each on a host of its own, with a root, zones and proofs of their own: mail goes between them over
TLS that is verified by DANE (RFC 7672) and by MTA-STS (RFC 8461), with each ESMTP keyword that both know, and not at all where either
of them is broken. Postfix has Debian's unbound and postfix-mta-sts-resolver, and judges the broken ones, too."""

import contextlib
import json
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))

import postroom  # noqa: E402
from debian import Postfix, StsResolver, Unbound  # noqa: E402
from https_server import Authority, HttpsServer  # noqa: E402
from network import Network  # noqa: E402
from postroom import wait_for  # noqa: E402
from signed_dns import SignedDns  # noqa: E402
from smtp_sink import Sink  # noqa: E402

CONF = """smtp-banner-delay 0s
message-size 1M
sending yes
relay-connect-time 10s
relay-ca-file {authority}
fetch-private-addresses yes
mta-sts-policy enforce
dns-servers {dns}
dns-trust-anchors {anchor}
"""

# Who is wrong, and the words in which it is put off: by Postroom, by Postfix, and in the report of TLS (RFC 8460 §4.3).
BROKEN = {
    "wrong": ("its certificate is not the one that the DNS names", "Server certificate not", "tlsa-invalid"),
    "bogus": ("cannot be looked up", "TLSA lookup error", "dnssec-invalid"),
    "strip": ("STARTTLS", "TLS is required, but was not offered", "starttls-not-supported"),
    "sts-unlisted": ("is not among the hosts of the policy", "Server certificate not", "validation-failure"),
    "sts-strip": ("STARTTLS", "TLS is required, but was not offered", "starttls-not-supported"),
    "sts-stranger": ("its certificate is not trusted", "Server certificate not", "certificate-not-trusted"),
}


def policy(host):
    return 200, "text/plain", f"version: STSv1\r\nmode: enforce\r\nmx: {host}\r\nmax_age: 86400\r\n".encode()


class World:
    """Hosts a, b (Postroom), p (Postfix), bad. Domain NAME.example has DANE, NAME-sts.example a policy of MTA-STS."""

    def __init__(self, stack):
        network = stack.enter_context(Network())
        self.a, self.b, self.p, self.bad, name_server = map(network.host, ("a", "b", "p", "bad", "dns"))
        authority = self.authority = stack.enter_context(Authority())
        elsewhere = stack.enter_context(Authority())
        certificates = {name: authority.certificate(f"mx.{name}.example", f"mta-sts.{name}-sts.example") for name in "abp"}
        own = authority.certificate("mx.own.example")
        records = []
        for name, host in (("a", self.a), ("b", self.b), ("p", self.p)):
            sts = f"{name}-sts"
            records += [f"{name} MX 10 dane.{name}", f"{sts} MX 10 mx.{name}", f"_mta-sts.{sts} TXT \"v=STSv1; id=1;\"",
                        f"_25._tcp.dane.{name} TLSA 3 1 1 {authority.digest(certificates[name][0])}"]
            records += [f"{label} {kind} {address}" for label in (f"dane.{name}", f"mx.{name}")
                        for kind, address in (("A", host.ip4), ("AAAA", host.ip6))]
            records += [f"mta-sts.{sts} A {self.bad.ip4 if name == 'p' else host.ip4}"]
        tlsa = {"wrong": "ab" * 32, "bogus": "cd" * 32, "strip": authority.digest(own[0])}
        with self.bad:
            web = stack.enter_context(HttpsServer(authority, ["mta-sts.p-sts.example", *(f"mta-sts.{name}.example" for name in BROKEN)],
                                                  address=(self.bad.ip4, 443)))
            web.pages["mta-sts.p-sts.example", "/.well-known/mta-sts.txt"] = policy("mx.p.example")
            self.sinks = {}
            for name, address in zip(BROKEN, self.bad.more(len(BROKEN))):
                cert = None if "strip" in name else elsewhere.certificate(f"mx.{name}.example") if name == "sts-stranger" else \
                    authority.certificate(f"mx.{name}.example")
                self.sinks[name] = stack.enter_context(Sink(address, 25, cert=cert))
                records += [f"{name} MX 10 mx.{name}", f"mx.{name} A {address}"]
                if name in tlsa:
                    records.append(f"_25._tcp.mx.{name} TLSA 3 1 1 {tlsa[name]}")
                else:
                    records += [f"_mta-sts.{name} TXT \"v=STSv1; id=1;\"", f"mta-sts.{name} A {self.bad.ip4}"]
                    web.pages[f"mta-sts.{name}.example", "/.well-known/mta-sts.txt"] = policy(
                        "mx.elsewhere.example" if name == "sts-unlisted" else f"mx.{name}.example")
        with name_server:
            dns = stack.enter_context(SignedDns(name_server.ip4))
            dns.zone("example", records)
            dns.damage("example", tlsa["bogus"], "ce" * 32)         # its signature is of another record
            dns.zone(".", [f"example. NS ns.example.\nns.example. A {name_server.ip4}", dns.ds["example"]])
            dns.start()
        conf = CONF.format(authority=authority.file, dns=name_server.ip4, anchor=dns.anchors[-1])
        self.postrooms = {}
        for name, host, people in (("a", self.a, ("alice",)), ("b", self.b, ("bob",))):
            with host:
                server = stack.enter_context(postroom.Instance(domain=f"{name}.example", hostname=f"mx.{name}.example", offset=0, web=True,
                                                               accounts=people, conf=conf))
                for path, file in zip(certificates[name], ("cert.pem", "key.pem")):
                    (server.root / "tls" / file).write_bytes(path.read_bytes())
                server.postroom("domain", "add", f"{name}-sts.example")
                server.postroom("domain", "set", f"{name}-sts.example", "--alias-of", f"{name}.example")
                server.start(wait=False)
            self.postrooms[name] = server
        with self.p:
            stack.enter_context(Unbound(name_server.ip4, dns.anchors[-1])).start()
            stack.enter_context(StsResolver(authority.file)).start(self.p)
            self.postfix = stack.enter_context(Postfix("mx.p.example", ["p.example", "p-sts.example"], certificates["p"], authority.file))
            self.postfix.start(self.p)
        for name, host in (("a", self.a), ("b", self.b)):
            with host:
                self.postrooms[name].wait_ready()

    def send(self, to, body="Hello.\r\n", extra="", sender="alice@a.example", mail=(), rcpt=()):
        """By Postroom A, or by Postfix when the sender is there."""
        text = postroom.message(subject=f"to {to}", body=body, sender=sender, to=to, extra=extra)
        if sender.endswith("@a.example"):
            with self.a, self.postrooms["a"].submission("alice") as smtp:
                smtp.sendmail(sender, [to], text, mail_options=mail, rcpt_options=rcpt)
        else:
            with self.p, postroom.smtplib.SMTP("127.0.0.1", 25, timeout=60) as smtp:
                smtp.ehlo("localhost")
                smtp.sendmail(sender, [to], text, mail_options=mail, rcpt_options=rcpt)

    def files(self, to):
        if to.split("@")[1].startswith("p"):
            return list((self.postfix.folder / "mail").rglob("*"))
        user, server = ("alice", self.postrooms["a"]) if "@a" in to else ("bob", self.postrooms["b"])
        return server.files(user)

    def came(self, to, *words):
        """The text of a message that came for `to` with all of these words in it."""
        def look():
            for path in self.files(to):
                with contextlib.suppress(OSError):
                    text = path.read_text(errors="replace") if path.is_file() else ""
                    if all(word in text for word in words):
                        return text
            return None
        try:
            return wait_for(f"a message for {to} with {words}", look)
        except AssertionError:
            raise AssertionError(f"no message for {to} with {words}\n{self.logs()}") from None

    def logs(self):
        return "".join(f"--- {name}:\n{text[-6000:]}\n" for name, text in (
            ("a", self.postrooms["a"].log()), ("b", self.postrooms["b"].log()), ("postfix", self.postfix.mail_log())))


def sent(world, to):
    """The TLS over which another server took what Postroom A had for `to`, as its trace has it."""
    def look():
        rows = json.loads(world.postrooms["a"].run("trace", to, "--json").stdout or "[]")
        return next((row["tls"] for row in rows if row["event"] == "relay.sent" and row["to"] == to), None)
    return wait_for(f"a trace of {to}", look)


@pytest.fixture(scope="module")
def world():
    with contextlib.ExitStack() as stack:
        yield World(stack)


@pytest.mark.parametrize("to", ["bob@b.example", "carol@p.example"])
def test_mail_of_postroom_goes_by_dane(world, to):
    world.send(to)
    world.came(to, f"Subject: to {to}")
    assert "verified by DANE" in sent(world, to)


@pytest.mark.parametrize("to", ["bob@b-sts.example", "carol@p-sts.example"])
def test_mail_of_postroom_goes_by_mta_sts(world, to):
    world.send(to)
    world.came(to, f"Subject: to {to}")
    assert "verified for MTA-STS" in sent(world, to)


@pytest.mark.parametrize("to,how", [("alice@a.example", "dane.a.example"), ("alice@a-sts.example", "mx.a.example")])
def test_mail_of_postfix_comes_over_tls_that_it_has_verified(world, to, how):
    world.send(to, sender="carol@p.example")
    world.came(to, f"Subject: to {to}", "with ESMTPS")
    assert f"Verified TLS connection established to {how}[{world.a.ip6}]:25" in world.postfix.mail_log()


def test_postfix_uses_every_keyword_that_we_announce(world):
    """PIPELINING, SIZE, 8BITMIME, SMTPUTF8, DSN and STARTTLS; Postfix sends no BDAT."""
    sender, to = "j\u00fcrgen@p.example", "alice@a.example"
    world.send(to, sender=sender, body="Gr\u00fc\u00dfe, in 8 bits.\r\n", mail=("SMTPUTF8", "BODY=8BITMIME", "RET=HDRS", "ENVID=a+2Bwish"),
               rcpt=("NOTIFY=DELAY,FAILURE",))
    world.came(to, "Gr\u00fc\u00dfe, in 8 bits.", "with UTF8SMTPS")
    lines = [line.split("]:25: ", 1) for line in world.postfix.mail_log().splitlines() if f"dane.a.example[{world.a.ip6}]:25: " in line]
    talk = [("> " if "> dane.a" in head else "< ") + text for head, text in lines]
    at = next(i for i, line in enumerate(talk) if line.startswith(f"> MAIL FROM:<{sender}>"))
    assert set(re.sub(r"SIZE=\d+", "SIZE", talk[at]).split()[3:]) == {"SIZE", "BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=a+2Bwish"}, talk[at]
    assert sorted(talk[at + 1].split()[1:]) == sorted(("RCPT", f"TO:<{to}>", f"ORCPT=rfc822;{to}", "NOTIFY=FAILURE,DELAY")), talk[at + 1]
    assert talk[at + 2] == "> DATA" and [line[:6] for line in talk[at + 3:at + 5]] == ["< 250 ", "< 250 "], talk[at:at + 5]


def test_what_is_too_large_for_us_postfix_does_not_even_send(world):
    world.send("alice@a.example", sender="carol@p.example", body="0123456789\r\n" * 100000)
    world.came("carol@p.example", "exceeds size limit 1048576 of server", "dane.a.example")


def test_postroom_uses_every_keyword_that_postfix_announces(world):
    """PIPELINING, SIZE, 8BITMIME, SMTPUTF8, CHUNKING, DSN and STARTTLS."""
    to = "j\u00fcrgen@p.example"
    world.send(to, body="Gr\u00fc\u00dfe, in 8 bits.\r\n", mail=("SMTPUTF8", "BODY=8BITMIME", "RET=HDRS", "ENVID=every+2Bword"),
               rcpt=("NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;first+2Bname@p.example"))
    world.came(to, "Gr\u00fc\u00dfe, in 8 bits.", "with UTF8SMTPS")
    notice = world.came("alice@a.example", "Original-Envelope-Id: every+word", "Action: delivered", "with UTF8SMTPS")
    assert "Original-Recipient: rfc822;first+name@p.example" in notice
    talk = [line.split("]: ", 2)[2] for line in world.postfix.mail_log().splitlines() if f"< unknown[{world.a.ip6}]: " in line]
    at = next(i for i, line in enumerate(talk) if "ENVID=every+2Bword" in line)
    assert set(re.sub(r"SIZE=\d+", "SIZE", talk[at]).split()[2:]) == {"SIZE", "BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=every+2Bword"}
    assert "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first+2Bname@p.example" in talk[at + 1]
    assert re.fullmatch(r"BDAT \d+ LAST", talk[at + 2]), talk[at:at + 3]


def test_what_is_broken_is_put_off_and_reported_and_never_taken_down(world):
    """By Postroom and, so that we know that it is broken, by Postfix."""
    server = world.postrooms["a"]
    for name in BROKEN:
        world.send(f"x@{name}.example")
        world.send(f"x@{name}.example", sender="carol@p.example")

    def tried(times):
        wait_for(f"each of them has been tried, {times}", lambda: all(
            len(re.findall(rf"relay\.unreachable destination={name}\.", server.log())) >= times for name in BROKEN))
    tried(1)
    server.postroom("queue", "retry", "--all")
    tried(2)

    def reports():
        found = {}
        for path in (server.root / "queue" / "tlsrpt").glob("*"):
            for row in map(json.loads, path.read_text().splitlines()):
                found.setdefault(row["domain"], set()).add(row["result"])
        return found
    rows = {row["to"][0].removeprefix("x@").removesuffix(".example"): row for row in server.json("queue", "list")}
    for name, (ours, theirs, result) in BROKEN.items():
        domain = f"{name}.example"
        assert rows[name]["state"] == "deferred" and ours in rows[name]["reason"], rows[name]
        wait_for(f"the report for {domain}", lambda domain=domain: domain in reports())
        assert reports()[domain] == {result}
        line = wait_for(f"Postfix about {domain}", lambda to=f"to=<x@{domain}>": next(
            (line for line in world.postfix.mail_log().splitlines() if to in line and "status=" in line), None))
        assert "status=deferred" in line and theirs in line, line
        assert not world.sinks[name].messages
