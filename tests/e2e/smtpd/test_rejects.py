"""`rejects keep`: what is refused for its content lies in Rejects, seen and without counting against the quota; nothing else does."""

import pytest

import dns_server
import postroom
from rspamd_server import RspamdServer
from strangers import CONF, message, send, stranger

SENDER = "joe@good.example"
PROGRAM = "Content-Disposition: attachment; filename=a.exe\r\n"


@pytest.fixture(scope="module")
def mx():
    with dns_server.DnsServer() as dns, RspamdServer() as rspamd:
        dns.add_reverse("127.0.0.1", "localhost")
        dns.add("good.example", "A", "192.0.2.1").add("good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all")
        conf = CONF + dns.conf() + f"rejects keep\ncheck-attachment reject\ncheck-spf defer\nmilters rspamd:127.0.0.1:{rspamd.port}\n"
        with postroom.Instance(accounts=("alice", "bob"), conf=conf) as instance:
            instance.rspamd = rspamd
            instance.start(only="smtpd")
            yield instance


def used(mx, name):
    return mx.json("quota", "show", mx.address(name))


def test_what_is_refused_is_kept_seen_and_uncounted(mx):
    before = used(mx, "alice")
    octets = message(SENDER, PROGRAM, "line\r\n" * 40000)
    assert send(mx, "alice", SENDER, octets=octets)[0] == 550
    [file] = mx.files("alice", "Rejects")
    kept = file.read_bytes()
    assert kept.endswith(octets) and b"\r\nX-Postroom-Rejected: attachment (Files of this kind are not accepted: a.exe)\r\n" in kept
    assert kept.startswith(b"Return-Path: <joe@good.example>\r\n") and "S" in file.name.rpartition(":2,")[2], file.name
    assert used(mx, "alice") == before
    assert mx.files("alice") == [] and mx.files("alice", "Junk") == []


def test_only_what_is_refused_for_good_for_its_content_is_kept(mx):
    mx.rspamd.says = {"action": "soft reject"}
    assert send(mx, "bob", SENDER)[0] == 451
    mx.rspamd.says = {"action": "no action"}
    assert send(mx, "bob", SENDER, octets=message(SENDER, PROGRAM, "bare\rCR\r\n"))[0] == 554
    assert send(mx, "bob", SENDER)[0] == 250
    assert mx.files("bob", "Rejects") == [] and len(mx.files("bob")) == 1


def test_what_is_accepted_does_not_hide_there_from_the_quota(mx, tmp_path):
    mx.rspamd.says = {"action": "reject", "messages": {"smtp_message": "Virus"}}
    assert send(mx, "bob", SENDER)[0] == 550
    mx.rspamd.says = {"action": "no action"}
    assert len(mx.files("bob", "Rejects")) == 1
    script = tmp_path / "main.sieve"
    script.write_text('require "fileinto";\nfileinto "Rejects";\n')
    mx.postroom("sieve", "put", mx.address("bob"), str(script), "--activate")
    assert send(mx, "bob", SENDER)[0] == 250
    assert len(mx.files("bob", "Rejects")) == 1 and len(mx.files("bob")) == 2


def test_one_that_was_meant_for_two_addresses_of_an_account_is_kept_once(mx):
    mx.rspamd.says = {"action": "no action"}
    before = len(mx.files("alice", "Rejects"))
    with stranger(mx) as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
        for to in ("alice", "alice+shop", "alice"):
            assert line.smtp(f"RCPT TO:<{mx.address(to)}>") == 250
        assert line.smtp("DATA") == 354
        line.send(message(SENDER, PROGRAM) + b".\r\n")
        assert line.reply()[0] == 550
    assert len(mx.files("alice", "Rejects")) == before + 1


def test_a_backup_comes_back_without_them(mx, tmp_path):
    mx.rspamd.says = {"action": "no action"}
    assert send(mx, "alice", SENDER)[0] == 250 and send(mx, "alice", SENDER, octets=message(SENDER, PROGRAM))[0] == 550
    mx.postroom("backup", str(tmp_path / "backup"))
    for mailbox in ("INBOX", "Rejects"):
        for file in mx.files("alice", *([] if mailbox == "INBOX" else [mailbox])):
            file.unlink()
    mx.postroom("index", "rebuild", mx.address("alice"))
    mx.postroom("restore", str(tmp_path / "backup"), "--account", mx.address("alice"))
    assert len(mx.files("alice")) == 1 and mx.files("alice", "Rejects") == []
