"""The first hour of two mail servers on hosts of their own, in a network with a root, a name server and a certificate authority of its own:
set up by the commands that doc/setup.md tells an administrator, they exchange mail that the other one believes, `postroom doctor` finds
nothing wrong. thunderbird_first_hour.py has Thunderbird find its settings there.

a.example is signed by DNSSEC, so mail for it is sent by DANE (RFC 7672). b.example is not, so mail for it is sent by MTA-STS (RFC 8461)."""

import contextlib
import email
import json
import pathlib
import re
import shutil
import socket
import ssl
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))

import postroom  # noqa: E402
from https_server import Authority  # noqa: E402
from knot import Zones  # noqa: E402
from network import Network  # noqa: E402
from pebble import Pebble  # noqa: E402
from postroom import wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(not (postroom.BIN / "webd").exists(), reason="built without libhttp-parser: configure said so")

# What a network without the Internet needs: whom to ask for names, whose proofs and certificates to believe.
CONF = """hostname mail.{domain}
dns-servers {dns}
dns-trust-anchors {anchor}
relay-ca-file {authority}
"""


class Server(postroom.Instance):
    """A host on which somebody types commands. The folder has what a network of one's own needs, and is no instance yet."""

    def __init__(self, host, domain, conf, believed):
        self.host, self.domain, self.offset, self.passwords, self.believed = host, domain, 0, {}, believed
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="postroom-hour-"))
        self.log_path = self.root / "run" / "server.log"
        (self.root / "postroom.conf").write_text(conf)
        (self.root / "postroom.conf").chmod(0o600)
        self.said = ""

    def type(self, *words, code=0):
        with self.host:
            done = self.run(*words)
        self.said += f"$ postroom {' '.join(map(str, words))}\n{done.stdout}{done.stderr}"
        assert done.returncode == code, f"{self.said}\n{self.log()[-8000:]}"
        return done.stdout

    def tls_context(self):
        context = ssl.create_default_context(cafile=self.believed)
        context.check_hostname = False          # of 127.0.0.1
        return context

    def __exit__(self, *_):
        with self.host:
            self.run("stop")
        shutil.rmtree(self.root, ignore_errors=True)

    def enforce(self, key):
        """What doc/web.md says of MTA-STS, when the certificate is there."""
        self.type("mta-sts", "enforce")
        assert re.search(r"_mta-sts\S* +TXT +replaced\n", self.type("dns", self.domain, "--publish", "--key", key))

    def found(self, *words):
        """The findings of doctor or of dns --check that are not good."""
        with self.host:
            done = self.run(*words, "--json")
        assert done.stdout, done.stderr
        return [row for row in json.loads(done.stdout)["findings"] if row["state"] not in ("good", "advice")]


class World:
    def __init__(self, stack, folder):
        network = stack.enter_context(Network("5.0.77.", "2a00:77::"))
        center, a, b, self.client = map(network.host, ("center", "a", "b", "client"))
        self.center = center
        self.authority = stack.enter_context(Authority())
        hosts = {"a.example": a, "b.example": b}
        with center:
            dns = self.dns = stack.enter_context(Zones(center.ip4, 53))
            self.keys = {}
            for domain in hosts:
                dns.zone(domain, takes_updates=True, is_signed=domain == "a.example")
                self.keys[domain] = dns.key
            dns.zone("77.0.5.in-addr.arpa", [f"{host.ip4.split('.')[3]} PTR mail.{domain}." for domain, host in hosts.items()])
            dns.zone("7.7.0.0.0.0.a.2.ip6.arpa", [f"{'.'.join(reversed(host.ip6.split('::')[1].rjust(24, '0')))} PTR mail.{domain}."
                                                   for domain, host in hosts.items()])
            # A name that `doctor` looks at: it has been signed for many years, on the Internet.
            below = ("a.example", "b.example", "77.0.5.in-addr.arpa", "7.7.0.0.0.0.a.2.ip6.arpa")
            dns.zone(".", [*(f"{name}. NS ns.{name}.\nns.{name}. A {center.ip4}" for name in below), *dns.ds["a.example"],
                           f"acme.example. A {center.ip4}", "ietf.org. A 192.0.2.99"], is_signed=True)
            dns.start()
            self.pebble = Pebble(folder, self.authority, f"{center.ip4}:53", 80, port=443, address=center.ip4)
            stack.callback(lambda: self.pebble.stop())
            believed = folder / "believed.pem"
            believed.write_text(self.authority.file.read_text() + self.pebble.root(self.authority))
        self.believed = believed
        self.a, self.b = (stack.enter_context(Server(host, domain, CONF.format(domain=domain, dns=center.ip4, anchor=dns.anchor,
                                                                               authority=believed), believed))
                          for domain, host in hosts.items())


def set_up(world, server, person):
    said = server.type("setup", server.domain, "--yes", "--account", person, "--authority", world.pebble.url)
    server.passwords[server.address(person)] = re.search(r", password (\S+)$", said, re.M).group(1)
    key = world.keys[server.domain]
    server.type("dns", server.domain, "--publish", "--key", key)
    server.type("cert", "renew")
    assert server.found("doctor") == []
    server.enforce(key)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        made = World(stack, tmp_path_factory.mktemp("hour"))
        set_up(made, made.a, "alice")
        set_up(made, made.b, "bob")
        yield made


def send(server, person, to, subject):
    with server.host, server.submission(person) as smtp:
        smtp.sendmail(server.address(person), [to], postroom.message(subject=subject, sender=server.address(person), to=to))


def came(server, person, subject):
    def look():
        for path in server.files(person):
            text = path.read_text(errors="replace")
            if f"\nSubject: {subject}\n" in text.replace("\r", ""):
                return email.message_from_string(text)
        return None
    return wait_for(f"{subject} at {server.domain}", look)


def sent(server, to):
    """The TLS over which the other server took it, as the trace has it: what happens is written down each second."""
    def look():
        with server.host:
            rows = json.loads(server.run("trace", to, "--json").stdout or "[]")
        return next((row["tls"] for row in rows if row["event"] == "relay.sent"), None)
    return wait_for(f"a trace of {to}", look)


def results(message):
    """Of the checks that the other server made: {"spf": {"pass"}, ...}."""
    found = {}
    for method, result in re.findall(r"(\w+)=(\w+)", re.sub(r"\([^)]*\)", "", message["Authentication-Results"])):
        found.setdefault(method, set()).add(result)
    return found


def test_mail_goes_both_ways_and_is_believed(world):
    a, b = world.a, world.b
    for server, person, other, to, how in ((a, "alice", b, "bob", "verified for MTA-STS"), (b, "bob", a, "alice", "verified by DANE")):
        send(server, person, other.address(to), f"to {other.address(to)}")
        message = came(other, to, f"to {other.address(to)}")
        found = results(message)
        assert {name: found.get(name) for name in ("spf", "dkim", "dmarc", "iprev")} == dict.fromkeys(("spf", "dkim", "dmarc", "iprev"), {"pass"}), \
            message.as_string()
        assert how in sent(server, other.address(to))
    for server in (a, b):
        assert server.found("doctor") == []
        assert server.found("dns", server.domain, "--check") == []


def proofs(world, domain):
    return [line for line in world.dns.records(domain, "TXT") if "_acme-challenge" in line or "proofs." in line]


def test_a_certificate_comes_by_proofs_in_the_dns_where_the_web_ports_are_not_ours(world):
    """RFC 8555 §8.4. One of the names is an alias, so its record goes to where that leads."""
    b = world.b
    b.type("stop")
    with b.host:
        others = [socket.create_server((address, port)) for address in (b.host.ip4,) for port in (80, 443)]
    with contextlib.ExitStack() as stack:
        for other in others:
            stack.enter_context(other)
        shutil.copy(world.keys[b.domain], b.root / "keys" / "dns.key")
        with open(b.root / "postroom.conf", "a", encoding="utf-8") as conf:
            conf.write("acme-challenge dns-01\n")
        world.dns.set(b.domain, "_acme-challenge.autoconfig", "CNAME", "proofs.b.example.")
        # Of a process that was killed: the next one takes it away.
        left = "0123456789012345678901234567890123456789abc"
        world.dns.set(b.domain, "_acme-challenge.mail", "TXT", left)
        (b.root / "tls" / "acme" / f"dns.{left}").write_text(f"{world.dns.address} {b.domain} _acme-challenge.mail.{b.domain} {left}\n")
        assert proofs(world, b.domain)
        b.type("serve", "--detach")
        wait_for("what a process that was killed has left is taken away", lambda: not proofs(world, b.domain))
        before = json.loads(b.type("cert", "show", "--json"))
        b.type("cert", "renew")
        after = json.loads(b.type("cert", "show", "--json"))
        assert after["fingerprint"] != before["fingerprint"] and sorted(after["names"]) == sorted(before["names"])
        assert f"mail.{b.domain}" in after["names"] and f"autoconfig.{b.domain}" in after["names"]
        wait_for("the proofs are gone", lambda: not proofs(world, b.domain) and not list((b.root / "tls" / "acme").iterdir()))

        # An authority that does not see them: it is told, what there is stays, and the proof is gone, too.
        world.pebble.stop()
        with world.center:
            world.pebble = Pebble(b.root, world.authority, f"{world.center.ip4}:1", 80, port=443, address=world.center.ip4)
        with b.host:
            refused = b.run("cert", "renew")
        assert refused.returncode == 1 and "could not see our proof for" in refused.stderr and "in the DNS" in refused.stderr, refused.stderr
        assert json.loads(b.type("cert", "show", "--json"))["fingerprint"] == after["fingerprint"]
        wait_for("the proof is gone", lambda: not proofs(world, b.domain) and not list((b.root / "tls" / "acme").iterdir()))
