"""Mail of ours leaves signed: by the keys that the domain has now, whoever made them, without a restart."""

import os
import pathlib
import re
import struct
import subprocess
import time

import pytest

import dns_server
import postroom
import strangers
from dialogue import data, envelope, submit, talk

PEER = pathlib.Path(os.environ.get("POSTROOM_BUILD", pathlib.Path(__file__).resolve().parents[3] / "build")) / "tests/interop/dkim_peer"


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice",)) as instance:
        instance.start()
        yield instance


def message_of(spool):
    """The message in a spool file as it will leave: what goes on top, then the body (smtpd/spool.h)."""
    at, top, body = 16, b"", b""
    while at + 9 <= len(spool):
        length, kind = struct.unpack_from("<IB", spool, at)
        octets = spool[at + 5:at + 5 + length]
        top, body = (octets if kind == 16 else top), body + (octets if kind == 2 else b"")
        at += length + 9
    return top + body


def verdicts(server, octets, tmp_path):
    """What our own verifier says of it, with the records that `dkim list` prints."""
    records = tmp_path / "records"
    records.write_text("".join(f"{row['name']}.{row['domain']} {row['value']}\n" for row in server.json("dkim", "list")))
    done = subprocess.run([PEER, "verify", str(int(time.time())), records], input=octets, capture_output=True, timeout=60, check=True)
    return [line.split()[0] for line in done.stdout.decode().splitlines()]


def spooled(server):
    """What the one queued message says; it is taken out."""
    [path] = (server.root / "queue" / "msg").iterdir()
    octets = path.read_bytes()
    path.unlink()
    return octets


def submitted(server, domain="example.test"):
    message = f"From: Alice <alice@{domain}>\r\nSubject: Hello\r\n\r\nHello.\r\n".encode()
    with submit(server, "alice") as line:
        assert line.smtp(f"MAIL FROM:<alice@{domain}>") == 250
        assert line.smtp("RCPT TO:<friend@elsewhere.example>") == 250
        assert data(line, message) == 250
    return spooled(server)


def selectors(octets):
    return [name.decode() for name in re.findall(rb"DKIM-Signature: v=1; a=[a-z0-9-]+; c=relaxed/relaxed;\r\n\td=example\.test; s=(\w+);",
                                                 octets)]


def test_submitted_mail_has_both_signatures(server, tmp_path):
    octets = submitted(server)
    assert verdicts(server, message_of(octets), tmp_path) == ["dkim=pass", "dkim=pass", "arc=none"]
    assert selectors(octets) == ["rsa1", "ed1"]
    names = re.sub(rb"\s", b"", re.search(rb"h=([^;]*);", octets).group(1)).decode().lower().split(":")
    for name, times in (("from", 2), ("list-unsubscribe", 1), ("list-unsubscribe-post", 1), ("message-id", 2)):
        assert names.count(name) == times, names


def test_rotation_is_obeyed_at_once(server):
    server.postroom("dkim", "rotate", "example.test")
    assert selectors(submitted(server)) == ["rsa1", "ed1"]
    server.postroom("dkim", "rotate", "example.test", "--finish", "--unchecked")
    assert selectors(submitted(server)) == ["rsa2", "ed2"]
    rows = {row["name"]: row for row in server.json("dkim", "list", "example.test")}
    assert {name: row["state"] for name, row in rows.items()} == {
        "rsa1._domainkey": "retired", "ed1._domainkey": "retired", "rsa2._domainkey": "active", "ed2._domainkey": "active"}
    assert all(row["value"].startswith("v=DKIM1; k=") for row in rows.values())
    zone = server.postroom("dkim", "list", "example.test", "--zone")
    for name, row in rows.items():
        line = next(line for line in zone.splitlines() if line.startswith(name + "."))
        assert "".join(re.findall(r'"([^"]*)"', line)) == row["value"]


def test_keys_sign_only_when_their_records_can_be_looked_up():
    with dns_server.DnsServer() as dns, postroom.Instance(domain="sign.example", conf=dns.conf()) as instance:
        instance.postroom("dkim", "rotate", "sign.example")

        def finish():
            done = instance.run("dkim", "rotate", "sign.example", "--finish")
            return done.returncode, done.stderr

        code, text = finish()
        assert code == 4 and "ed2._domainkey.sign.example is not in the DNS yet" in text
        rows = {row["name"]: row["value"] for row in instance.json("dkim", "list", "sign.example")}
        dns.add("ed2._domainkey.sign.example", "TXT", rows["ed2._domainkey"])
        dns.add("rsa2._domainkey.sign.example", "TXT", rows["rsa1._domainkey"])
        code, text = finish()
        assert code == 4 and "rsa2._domainkey.sign.example says something else" in text
        dns.remove("rsa2._domainkey.sign.example")
        dns.add("rsa2._domainkey.sign.example", "TXT", rows["rsa2._domainkey"].replace("v=DKIM1; ", "v=DKIM1;t=s;"))
        assert finish() == (0, "")
        states = {row["name"]: row["state"] for row in instance.json("dkim", "list", "sign.example")}
        assert states["rsa2._domainkey"] == states["ed2._domainkey"] == "active"


def test_a_domain_gets_its_keys_when_it_is_added(server):
    server.postroom("domain", "add", "Other.Example")
    rows = server.json("dkim", "list", "other.example")
    assert [row["name"] for row in rows] == ["ed1._domainkey", "rsa1._domainkey"]
    assert not [path for path in (server.root / "keys").iterdir() if path.stat().st_mode & 0o077]


def test_mail_of_strangers_is_not_signed_when_it_is_sent_on(server):
    server.postroom("alias", "add", "forward@example.test", "friend@elsewhere.example")
    message = b"From: eve@example.test\r\nSubject: not ours\r\n\r\nHello.\r\n"
    with talk(server, "mx") as line:
        envelope(line, server, "forward")
        assert data(line, message) == 250
    assert b"DKIM-Signature" not in spooled(server)


def test_a_key_that_cannot_be_read_does_not_stop_mail(server):
    for path in (server.root / "keys").glob("example.test.*.pem"):
        path.write_text("no key")
    (server.root / "keys" / "touch").touch()    # the folder has changed
    assert selectors(submitted(server)) == []
    server.wait_log("event=dkim.key")


def test_what_an_address_sends_on_for_a_stranger_is_sealed(tmp_path):
    with dns_server.DnsServer() as dns:
        dns.add("author.example", "TXT", "v=spf1 ip4:127.0.0.1 -all").add("author.example", "MX", "10 mail.author.example")
        with postroom.Instance(accounts=("alice",), conf=dns.conf() + strangers.CONF) as server:
            server.start()
            server.postroom("alias", "add", "forward@example.test", "friend@elsewhere.example")
            assert strangers.send(server, "forward", "ann@author.example")[0] == 250
            octets = message_of(spooled(server))
            assert octets.startswith(b"ARC-Seal: i=1; a=rsa-sha256; cv=none;\r\n\td=example.test; s=rsa1;")
            assert re.search(rb"ARC-Authentication-Results: i=1; mail.example.test;[^:]*spf=pass", octets)
            assert verdicts(server, octets, tmp_path) == ["arc=pass"]
            changed = octets.replace(b"Hello.", b"Hullo.")
            assert verdicts(server, changed, tmp_path) == ["arc=fail"]
