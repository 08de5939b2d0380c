"""Who may send where without login, for whom a host in front speaks, and mail that is sent on."""

import base64
import re
import subprocess
import time

import pytest

import dns_server
import postroom
from dialogue import only_file, talk
from strangers import CONF, message, results, send, stranger


@pytest.fixture(scope="module")
def dns():
    with dns_server.DnsServer() as server:
        server.add("good.example", "A", "192.0.2.1").add("good.example", "TXT", "v=spf1 ip4:192.0.2.1 ip4:127.0.0.1 -all")
        server.add("mail.good.example", "A", "192.0.2.1").add_reverse("192.0.2.1", "mail.good.example")
        server.add_reverse("192.0.2.9", "mail.good.example")
        yield server


def test_only_relay_networks_may_send_elsewhere_and_they_are_no_strangers(dns, make_server):
    server = make_server(CONF + dns.conf() + "relay-networks 127.0.0.7\n")
    for source, code in (("127.0.0.7", 250), ("127.0.0.8", 550), ("127.0.0.1", 550)):
        with postroom.Line(server.port("mx"), source=source) as line:
            line.reply()
            line.smtp("EHLO printer")
            assert line.smtp("MAIL FROM:<printer@example.test>") == 250
            assert line.smtp("RCPT TO:<somebody@elsewhere.example>") == code
    assert send(server, "alice", "printer@absent.example", source="127.0.0.7")[0] == 250
    assert b"Authentication-Results" not in only_file(server, "alice")


# Every way in which addresses were written to get past a relay check (security: no relay for strangers).
@pytest.mark.parametrize("trick", [
    "victim%elsewhere.example@example.test", "elsewhere.example!victim@example.test", "@example.test:victim@elsewhere.example",
    "\"victim@elsewhere.example\"@example.test", "victim@elsewhere.example@example.test", "victim@[127.0.0.1]",
    "victim@elsewhere.example.", "SRS0=aaaaa=aa=elsewhere.example=victim@example.test",
    "SRS1=aaaaa=elsewhere.example==aaaa=aa=x.example=victim@example.test", "victim@[IPv6:::1]", "victim@xn--mller-kva.example"])
def test_no_trick_of_an_address_relays(dns, make_server, trick):
    server = make_server(CONF + dns.conf())
    with talk(server) as line:
        assert line.smtp("MAIL FROM:<joe@good.example>") == 250
        assert line.smtp(f"RCPT TO:<{trick}>") in (501, 550)
    assert not server.json("queue", "list")


def test_a_host_in_front_says_whose_mail_it_is(dns, make_server):
    server = make_server(CONF + dns.conf() + "xclient-networks 127.0.0.1\n")
    for address, name, spf in (("192.0.2.1", "pass", "pass"), ("192.0.2.9", "fail", "fail"), ("IPV6:2001:db8::9", "permerror", "fail")):
        with talk(server, hello=False) as line:
            line.send("EHLO front\r\n")
            assert "XCLIENT ADDR PORT HELO" in line.reply()[1]
            assert line.smtp(f"XCLIENT ADDR={address} PORT=4711 HELO=mail.good.example NAME=[UNAVAILABLE]") == 220
            assert line.smtp("MAIL FROM:<joe@good.example>") == 503
            assert line.smtp("EHLO front") == 250
            assert line.smtp("MAIL FROM:<joe@good.example>") == 250
            assert line.smtp("RCPT TO:<alice@example.test>") == 250
            assert line.smtp("DATA") == 354
            line.send(message("joe@good.example") + b".\r\n")
            assert line.reply()[0] == 250
        path = max(server.files("alice") + server.files("alice", "Junk"), key=lambda p: p.stat().st_mtime_ns)
        octets = path.read_bytes()
        assert results(octets)["iprev"].startswith(f"iprev={name} ")
        assert results(octets)["spf"].startswith(f"spf={spf} ")
        assert b"Received: from mail.good.example ([" in octets


@pytest.mark.parametrize("command", ["XCLIENT ADDR=192.0.2.1", "XCLIENT", "XCLIENT HELO=x"])
def test_others_may_not_speak_for_anybody(dns, make_server, command):
    server = make_server(CONF + dns.conf() + "xclient-networks 127.0.0.1\n")
    with postroom.Line(server.port("mx"), source="127.0.0.2") as line:
        line.reply()
        line.send("EHLO x.example\r\n")
        assert not [text for text in line.reply()[1] if text.startswith("XCLIENT")]
        assert line.smtp(command) == 550


@pytest.mark.parametrize("command", ["XCLIENT ADDR=nonsense", "XCLIENT PORT=99999999", "XCLIENT ADDR"])
def test_what_it_says_wrongly_is_refused(dns, make_server, command):
    server = make_server(CONF + dns.conf() + "xclient-networks 127.0.0.1\n")
    with talk(server) as line:
        assert line.smtp(command) == 501


def test_mail_that_is_sent_on_has_a_sender_of_ours_and_bounces_go_back(dns, make_server):
    server = make_server(CONF + dns.conf())
    server.postroom("alias", "add", "away@example.test", "alice@example.test", "other@elsewhere.example")
    assert send(server, "away", "joe@good.example")[0] == 250
    entry, = server.json("queue", "list")
    assert re.fullmatch(r"SRS0=[a-z2-7]{5}=[a-z2-7]{2}=good\.example=joe@example\.test", entry["from"])
    assert entry["to"] == ["other@elsewhere.example"]
    assert only_file(server, "alice").startswith(b"Return-Path: <joe@good.example>\r\n")
    # The bounce: from the null sender to that address, in another case.
    local, domain = entry["from"].split("@")
    assert send(server, f"{local.upper()}@{domain}", "", "mailer-daemon@good.example", helo="mail.good.example")[0] == 250
    bounce, = [e for e in server.json("queue", "list") if e["id"] != entry["id"]]
    assert bounce["to"][0].lower() == "joe@good.example"
    assert bounce["from"] == ""


def test_who_never_wrote_is_told_nothing_of_what_is_sent_on_in_his_name(dns, make_server):
    server = make_server(CONF + dns.conf())
    server.postroom("alias", "add", "away@example.test", "other@elsewhere.example")
    for source, parameters in (("127.0.0.1", []), ("127.0.0.7", ["NOTIFY=NEVER"])):     # SPF: pass, fail
        assert send(server, "away", "joe@good.example", source=source)[0] == 250
        entry, = server.json("queue", "list")
        assert server.json("queue", "show", entry["id"])["recipients"][0]["parameters"] == parameters
        server.postroom("queue", "remove", entry["id"])


@pytest.mark.parametrize("sender,parameters", [("joe@signed.example", []), ("bounces@mail.signed.example", []), ("joe@good.example", ["NOTIFY=NEVER"])])
def test_who_signs_as_himself_cannot_have_others_told(make_server, tmp_path, sender, parameters):
    """DMARC says yes by a signature, SPF no: of the author's own domain, of one below it, and of somebody else's."""
    key = tmp_path / "signed.example.ed1.pem"
    key.write_bytes(subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True).stdout)
    key.chmod(0o600)
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout[-32:]
    with dns_server.DnsServer() as own:
        own.add("ed1._domainkey.signed.example", "TXT", f"v=DKIM1; k=ed25519; p={base64.b64encode(public).decode()}")
        own.add("_dmarc.signed.example", "TXT", "v=DMARC1; p=reject")
        for name in ("signed.example", "mail.signed.example", "good.example"):
            own.add(name, "A", "192.0.2.1").add(name, "TXT", "v=spf1 -all")
        server = make_server(CONF + own.conf())
        server.postroom("alias", "add", "away@example.test", "other@elsewhere.example")
        octets = subprocess.run([postroom.BUILD / "tests/interop/dkim_peer", "sign", str(int(time.time())), tmp_path],
                                input=message("joe@signed.example"), capture_output=True, timeout=60, check=True).stdout
        assert send(server, "away", sender, octets=octets)[0] == 250
        entry, = server.json("queue", "list")
        assert server.json("queue", "show", entry["id"])["recipients"][0]["parameters"] == parameters, server.log()[-3000:]


@pytest.mark.parametrize("sender,parameters", [("joe@strict.example", []), ("bounces@list.example", []), ("joe@good.example", ["NOTIFY=NEVER"])])
def test_a_trusted_sealer_speaks_for_the_author_and_nobody_else(make_server, tmp_path, sender, parameters):
    """A list that we trust saw DMARC pass. SPF says no to the author's own domain here, yes to the list's, and no to somebody else's."""
    key = tmp_path / "list.example.ed1.pem"
    key.write_bytes(subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True).stdout)
    key.chmod(0o600)
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout[-32:]
    (tmp_path / "records").write_text("")
    with dns_server.DnsServer() as own:
        own.add("ed1._domainkey.list.example", "TXT", f"v=DKIM1; k=ed25519; p={base64.b64encode(public).decode()}")
        own.add("_dmarc.strict.example", "TXT", "v=DMARC1; p=reject")
        for name, spf in (("strict.example", "-all"), ("list.example", "ip4:127.0.0.1 -all"), ("good.example", "-all")):
            own.add(name, "A", "192.0.2.1").add(name, "TXT", f"v=spf1 {spf}")
        server = make_server(CONF + own.conf() + "arc-trusted list.example\n")
        server.postroom("alias", "add", "away@example.test", "other@elsewhere.example")
        octets = subprocess.run([postroom.BUILD / "tests/interop/dkim_peer", "seal", str(int(time.time())), tmp_path, "list.example",
                                 tmp_path / "records", "dmarc=pass header.from=strict.example"],
                                input=message("joe@strict.example"), capture_output=True, timeout=60, check=True).stdout
        assert send(server, "away", sender, octets=octets)[0] == 250, server.log()[-3000:]
        entry, = server.json("queue", "list")
        assert server.json("queue", "show", entry["id"])["recipients"][0]["parameters"] == parameters, server.log()[-3000:]


def ask(server, to, source, notify, sender="joe@good.example"):
    with stranger(server, source) as line:
        assert line.smtp(f"MAIL FROM:<{sender}> RET=HDRS ENVID=QQ314159") == 250
        assert line.smtp(f"RCPT TO:<{server.address(to)}> NOTIFY={notify} ORCPT=rfc822;Away@example.test") == 250
        assert line.smtp("DATA") == 354
        line.send(message(sender) + b".\r\n")
        assert line.reply()[0] == 250


@pytest.fixture(scope="module")
def dsn_server(dns):
    dns.add("none.example", "A", "192.0.2.1")
    with postroom.Instance(accounts=("alice",), conf=CONF + dns.conf()) as server:
        server.postroom("alias", "add", "away@example.test", "other@elsewhere.example")
        server.start(only="smtpd")
        yield server


# SPF: pass, fail (into Junk, and still sent on), none.
@pytest.mark.parametrize("source,sender,notify,passed_on", [
    ("127.0.0.1", "joe@good.example", "SUCCESS,FAILURE", "SUCCESS,FAILURE"), ("127.0.0.1", "joe@good.example", "never", "never"),
    ("127.0.0.7", "joe@good.example", "SUCCESS,FAILURE", "NEVER"), ("127.0.0.7", "x@none.example", "success,DELAY,FAILURE", "DELAY,FAILURE"),
    ("127.0.0.7", "x@none.example", "SUCCESS", "NEVER")])
def test_wishes_for_notices_go_on_as_far_as_the_sender_is_proven(dsn_server, source, sender, notify, passed_on):
    ask(dsn_server, "away", source, notify, sender)
    entry, = dsn_server.json("queue", "list")
    shown = dsn_server.json("queue", "show", entry["id"])
    assert shown["recipients"][0]["parameters"] == [f"NOTIFY={passed_on}", "ORCPT=rfc822;Away@example.test"]
    assert "ENVID=QQ314159" in shown["parameters"] and "RET=HDRS" in shown["parameters"]
    dsn_server.postroom("queue", "remove", entry["id"])


@pytest.mark.parametrize("source,sender,is_told", [
    ("127.0.0.1", "joe@good.example", True), ("127.0.0.7", "joe@good.example", False), ("127.0.0.7", "x@none.example", False)])
def test_who_is_proven_is_told_of_delivery_and_nobody_else(dsn_server, source, sender, is_told):
    with talk(dsn_server, hello=False) as line:
        line.send("EHLO x\r\n")
        assert "DSN" in line.reply()[1]
    ask(dsn_server, "alice", source, "SUCCESS", sender)
    told = dsn_server.json("queue", "list")
    assert [(entry["from"], entry["to"]) for entry in told] == ([("", [sender])] if is_told else [])
    for entry in told:
        text = next(path for path in (dsn_server.root / "queue").rglob(entry["id"] + "*") if path.is_file()).read_text("latin-1")
        assert "From: " in text and "postmaster@example.test" in text and "Action: delivered" in text
        assert "Original-Envelope-Id: QQ314159" in text and "Original-Recipient: rfc822;Away@example.test" in text
        dsn_server.postroom("queue", "remove", entry["id"])


def test_our_own_peoples_senders_stay(dns, make_server):
    server = make_server(CONF + dns.conf() + "srs yes\n")
    server.postroom("alias", "add", "away@example.test", "other@elsewhere.example")
    with talk(server, "lmtp") as line:
        assert line.smtp("MAIL FROM:<bob@example.test>") == 250
        assert line.smtp("RCPT TO:<away@example.test>") == 250
        assert line.smtp("DATA") == 354
        line.send(message("bob@example.test") + b".\r\n")
        assert line.reply()[0] == 250
    entry, = server.json("queue", "list")
    assert entry["from"] == "bob@example.test"


def test_a_flood_from_one_address_is_put_off(dns, make_server):
    server = make_server(CONF + dns.conf() + "messages-per-minute 5\nrecipients-per-minute 8\n")
    codes = [send(server, "alice", "joe@good.example")[0] for _ in range(12)]
    assert codes[:5] == [250] * 5 and codes.count(451) >= 4, codes
    assert send(server, "alice", "joe@good.example", source="127.0.0.2")[0] == 250
    assert re.search(r"event=smtp\.finding .*check=rate action=defer reason=\"More than 5 messages a minute from 127\.0\.0\.1\"",
                     server.log())
    # Whoever has refused it, all workers know, and those who come after them.
    with stranger(server) as line:
        assert 250 not in [code for _ in range(40) for code in (line.smtp("MAIL FROM:<joe@good.example>"), line.smtp("RSET"))][::2]
    server.restart()
    assert send(server, "alice", "joe@good.example")[0] == 451
