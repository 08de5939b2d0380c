"""postroom doctor: nothing to say about a sound set-up; in each broken one the fault is named, and no other.

Everything it asks is a table of this test: the DNS, a time server, a large provider's mail server, an authority for certificates."""

import os
import pathlib
import shutil
import socket
import struct
import sys
import threading
import time

import pytest

import postroom
from postroom import wait_for

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "support"))
import dns_server  # noqa: E402
import https_server  # noqa: E402
import smtp_sink  # noqa: E402

DOMAIN = "corp.example"
HOST = "mail." + DOMAIN
ADDRESS = "127.0.0.9"           # of the host: the resolver knows a name for 127.0.0.1 by itself


class TimeServer:
    """RFC 5905, as far as a client that asks once needs it."""

    def __init__(self):
        self.offset = 0
        self.sock = socket.socket(type=socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1@{self.sock.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                _, peer = self.sock.recvfrom(100)
            except OSError:
                return
            now = int(time.time()) + self.offset + 2208988800
            self.sock.sendto(struct.pack("!BBbb36xII", 0x24, 1, 0, 0, now & 0xffffffff, 0), peer)


class World:
    def __init__(self):
        self.dns = dns_server.DnsServer()
        self.time = TimeServer()
        self.authority = https_server.Authority()
        port = postroom.free_port_offset()[0]
        self.provider = smtp_sink.Sink("127.0.0.5", port, name="mx.provider.example")
        self.server = postroom.Instance(domain=DOMAIN, accounts=["alice"], conf=self.dns.conf() + (
            f"bind 127.0.0.1\ndns-timeout 3s\nrelay-port {port}\nrelay-ca-file {self.authority.file}\nrelay-ipv6 no\n"
            "queue-retry 30m\nqueue-delay-notice 1m\nlegacy-bind 127.0.0.1\nlegacy-networks loopback\n"
            f"legacy-sender alice@{DOMAIN}\n"))
        self.server.postroom("alias", "add", f"abuse@{DOMAIN}", f"alice@{DOMAIN}")
        self.certificate()
        self.publish()
        self.server.start()
        self.server.send(postroom.message())
        with self.server.imap("alice") as imap:
            imap.select()
            self.count = int(imap.status("INBOX", "(MESSAGES)")[1][0].split()[-1].rstrip(b")"))

    def close(self):
        self.server.__exit__()
        self.provider.close()
        self.dns.close()
        self.time.sock.close()
        shutil.rmtree(self.authority.folder, ignore_errors=True)

    def publish(self):
        self.dns.records.clear()
        for record in self.server.json("dns", DOMAIN)["records"]:
            self.dns.add(record["name"], record["type"], ADDRESS if record["type"] == "A" else record.get("text", record["value"]))
        self.dns.add_reverse(ADDRESS, HOST)
        self.dns.add("gmail.com", "MX", "5 mx.provider.example")
        self.dns.add("mx.provider.example", "A", "127.0.0.5")
        self.dns.add("ietf.org", "A", "192.0.2.99")

    def certificate(self, *names, days=90, reload=False):
        """A certificate of the authority; what is served changes with it."""
        chain, key = self.authority.certificate(*(names or (HOST,)), days=days)
        self.install(chain.read_bytes(), key.read_bytes(), reload)

    def install(self, chain, key, reload):
        tls = self.server.root / "tls"
        (tls / "cert.pem").write_bytes(chain)
        (tls / "key.pem").write_bytes(key)
        (tls / "key.pem").chmod(0o600)
        if reload:
            self.server.postroom("reload")
            wait_for("everybody serves it", lambda: not any(
                "another one" in f["found"] for f in self.doctor()[1]))

    def doctor(self):
        done = self.server.run("doctor", "--json", "--time-server", self.time.address)
        found = postroom.json.loads(done.stdout)["findings"]
        return done.returncode, [f for f in found if f["state"] not in ("good", "advice")]

    def conf(self, before, after):
        file = self.server.root / "postroom.conf"
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))


@pytest.fixture(scope="module")
def world():
    made = World()
    yield made
    made.close()


def test_nothing_is_said_of_a_sound_set_up(world):
    code, found = world.doctor()
    assert (code, found) == (0, []), found
    text = world.server.postroom("doctor", "--all", "--time-server", world.time.address)
    assert "good     clock: right" in text, text
    # 90 within the second in which it was made
    assert "good     certificate: 89 days left" in text or "good     certificate: 90 days left" in text, text
    assert "fault" not in text and "FAULT" not in text


def records(change):
    """A change of the DNS, which is published again afterwards."""
    def case(world):
        change(world.dns)
        yield
        world.publish()
    return case


def settings(before, after):
    def case(world):
        world.conf(before, after)
        yield
        world.conf(after, before)
    return case


def certificates(*names, days=90):
    def case(world):
        world.dns.remove("_25._tcp." + HOST)
        world.certificate(*names, days=days, reload=True)
        yield
        world.certificate(reload=True)
        world.publish()
    return case


def stale(world):
    world.dns.remove("_25._tcp." + HOST)
    world.certificate(days=80)
    yield
    world.certificate()
    world.publish()


def clock(world):
    world.time.offset = -3600
    yield
    world.time.offset = 0


def nobody_reads_abuse(world):
    world.server.postroom("alias", "remove", "abuse@" + DOMAIN)
    yield
    world.server.postroom("alias", "add", "abuse@" + DOMAIN, "alice@" + DOMAIN)


def a_file_is_gone(world):
    [path] = world.server.files("alice")
    kept = path.read_bytes()
    path.unlink()
    yield
    path.write_bytes(kept)


def mail_waits(world):
    for name in ("one.example", "two.example"):
        world.dns.add(name, "MX", f"1 mx.{name}")
        world.dns.add(f"mx.{name}", "A", "127.0.0.66")
    with world.server.submission("alice") as smtp:
        smtp.sendmail(f"alice@{DOMAIN}", ["a@one.example", "b@two.example"],
                      postroom.message(sender=f"alice@{DOMAIN}"))
    wait_for("it waits", lambda: len(world.server.json("queue", "list", "--state", "deferred")) >= 1)
    world.conf("queue-delay-notice 1m", "queue-delay-notice 1s")
    wait_for("it is late", lambda: world.server.json("queue", "list", "--older", "1s"))
    yield
    world.conf("queue-delay-notice 1s", "queue-delay-notice 1m")
    world.server.postroom("queue", "remove", "--all")
    world.publish()


def a_provider_refuses(world):
    world.provider.on("RCPT", "550 5.7.1 Service unavailable, Client host [127.0.0.1] blocked using Spamhaus")
    with world.server.submission("alice") as smtp:
        smtp.sendmail(f"alice@{DOMAIN}", ["somebody@gmail.com"], postroom.message(sender=f"alice@{DOMAIN}"))
    wait_for("it is known", lambda: any(f["check"] == "queue.refused" for f in world.doctor()[1]))
    yield


def a_token_is_of_no_use(world):
    world.server.postroom("delegate", "add", DOMAIN, "--for", "carol")
    yield
    world.server.postroom("delegate", "remove", "carol")


def nothing_runs(world):
    world.server.stop()
    yield
    world.server.start()


CASES = {
    # name: (subject, state, case)
    "no address": ("address of " + HOST, "fault", records(lambda dns: dns.remove(HOST, "A"))),
    "a foreign address": ("address of " + HOST, "fault", records(lambda dns: dns.add(HOST, "A", "192.0.2.1"))),
    "no reverse name": ("name of " + ADDRESS, "fault", records(lambda dns: dns.remove(dns_server.reverse_name(ADDRESS)))),
    "no mx": ("MX " + DOMAIN, "fault", records(lambda dns: dns.remove(DOMAIN, "MX"))),
    "two spf": ("TXT " + DOMAIN, "fault", records(lambda dns: dns.add(DOMAIN, "TXT", "v=spf1 mx ~all"))),
    "an old dkim key": ("TXT ed1._domainkey." + DOMAIN, "fault", records(lambda dns: (
        dns.remove("ed1._domainkey." + DOMAIN),
        dns.add("ed1._domainkey." + DOMAIN, "TXT", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")))),
    "a wrong tlsa": ("TLSA _25._tcp." + HOST, "fault", records(lambda dns: (
        dns.remove("_25._tcp." + HOST), dns.add("_25._tcp." + HOST, "TLSA", "3 1 1 " + "00" * 32)))),
    "a block list": ("block list zen.spamhaus.org", "fault", records(
        lambda dns: dns.add("9.0.0.127.zen.spamhaus.org", "A", "127.0.0.2"))),
    "no way out": ("way out", "fault", records(lambda dns: (
        dns.remove("mx.provider.example"), dns.add("mx.provider.example", "A", "127.0.0.66")))),
    "no resolver": ("resolver", "fault", settings("dns-servers 127.0.0.1@", "dns-servers 127.0.0.67@")),
    "no proofs": ("DNSSEC", "fault", settings("dns-trust-anchors none", "dns-trust-anchors root")),
    "the clock": ("clock", "fault", clock),
    "the disk": ("disk", "fault", settings("dns-timeout 3s", "dns-timeout 3s\nqueue-free-space 1024G")),
    "nobody reads abuse": ("abuse@" + DOMAIN, "warning", nobody_reads_abuse),
    "an index": ("index of alice@" + DOMAIN, "warning", a_file_is_gone),
    "an expired certificate": ("certificate", "fault", certificates(HOST, days=-1)),
    "a certificate of a few days": ("certificate", "warning", certificates(HOST, days=9)),
    "a certificate for another name": ("certificate", "fault", certificates("other." + DOMAIN)),
    "an old certificate is served": ("certificate", "warning", stale),
    "mail waits": ("queue", "warning", mail_waits),
    "strangers where old devices are served": ("old devices, legacy-networks", "warning", settings(
        "legacy-networks loopback", "legacy-networks 0.0.0.0/0")),
    "devices without a sender": ("old devices, legacy-sender", "fault", settings("legacy-sender alice@", "legacy-sender nobody@")),
    "a token, and no socket": ("tokens for single domains", "warning", a_token_is_of_no_use),
    "nothing runs": ("server", "fault", nothing_runs),
    "a provider refuses": ("mail to provider.example", "warning", a_provider_refuses),     # the last: it stays known for a week
}


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named_and_no_other(world, name):
    subject, state, case = CASES[name]
    steps = case(world)
    next(steps)
    try:
        code, found = world.doctor()
    finally:
        next(steps, None)
    assert [(f["subject"][:len(subject)], f["state"]) for f in found] == [(subject, state)], found
    assert code == 1
    assert found[0]["found"] and found[0]["expected"] and found[0]["meanwhile"] and found[0]["mend"]


def test_the_postmaster_gets_mail_when_something_needs_doing(world):
    before = len(world.server.files("alice"))
    world.dns.remove(DOMAIN, "MX")
    world.server.postroom("doctor", "--mail", "--time-server", world.time.address)
    world.publish()
    [*_, path] = wait_for("it is there", lambda: len(world.server.files("alice")) > before and world.server.files("alice"))
    text = path.read_text()
    assert f"Subject: {HOST}: " in text and "FAULT    MX corp.example" in text and "mend" in text


def test_a_running_server_has_him_look_once_a_week(world):
    world.server.stop()
    stamp = world.server.root / "doctor.looked"
    stamp.touch(mode=0o600)
    week_ago = time.time() - 7 * 86400 - 1
    os.utime(stamp, (week_ago, week_ago))
    world.dns.remove(DOMAIN, "MX")
    before = len(world.server.files("alice"))
    world.server.start()
    try:
        wait_for("the postmaster is told", lambda: len(world.server.files("alice")) > before)
    finally:
        world.publish()
    assert stamp.stat().st_mtime > week_ago + 86400
