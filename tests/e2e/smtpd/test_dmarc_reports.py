"""DMARC aggregate reports (RFC 9990): what strangers send in a domain's name is noted, and the domain is told of it by mail."""

import datetime
import email
import email.policy
import gzip
import json
import xml.etree.ElementTree as xml

import pytest

import postroom
from dns_server import DnsServer
from https_server import Authority
from postroom import wait_for
from smtp_sink import Sink
from strangers import CONF as STRANGERS, send
from test_tls_out import CONF as SENDING, free_port

DAY = datetime.date.today() - datetime.timedelta(days=5)
BEGIN = int(datetime.datetime.combine(DAY, datetime.time(), datetime.timezone.utc).timestamp())
NAME = "{urn:ietf:params:xml:ns:dmarc-2.0}"


@pytest.fixture(scope="module")
def world():
    """Three messages come in; then their day is made an old one, so that its reports are due at the next start."""
    port = free_port()
    with Authority() as authority, DnsServer() as dns, Sink("127.0.3.3", port) as sink:
        dns.add("good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all").add("good.example", "MX", "10 mx.good.example")
        dns.add("mx.good.example", "A", "127.0.3.3").add("evil.example", "TXT", "v=spf1 +all")
        dns.add("evil.example", "A", "192.0.2.66")
        dns.add("_dmarc.good.example", "TXT", "v=DMARC1; p=reject; sp=quarantine; rua=mailto:dmarc@good.example,mailto:a@victim.example")
        dns.add("silent.example", "TXT", "v=spf1 ip4:127.0.0.1 -all").add("silent.example", "A", "192.0.2.1")
        dns.add("_dmarc.silent.example", "TXT", "v=DMARC1; p=none")
        dns.add("victim.example", "MX", "10 mx.good.example")
        conf = STRANGERS + SENDING.format(port=port, authority=authority.file) + dns.conf() + "sending yes\n"
        with postroom.Instance(accounts=("alice",), conf=conf) as server:
            server.start(only="smtpd")
            yield server, sink


def lines(server):
    folder = server.root / "queue" / "dmarc"
    return [json.loads(row) for path in folder.glob("*") for row in path.read_text().splitlines()]


def test_messages_are_noted_with_what_became_of_them(world):
    server, _ = world
    assert send(server, "alice", "joe@good.example")[0] == 250
    assert send(server, "alice", "joe@good.example")[0] == 250
    assert send(server, "alice", "x@evil.example", "ceo@good.example")[0] == 550
    assert send(server, "alice", "joe@silent.example")[0] == 250
    server.stop()           # what gathers is written at the end at the latest
    passed, _, refused = sorted(lines(server), key=lambda line: line["disposition"])
    assert (passed["policy"], passed["disposition"], passed["spf"], passed["dkim"]) == ("good.example", "none", "pass", "fail")
    assert (refused["from"], refused["disposition"], refused["spf"]) == ("good.example", "reject", "fail")


def test_the_day_is_told_to_whom_it_concerns(world):
    server, sink = world
    today, = (server.root / "queue" / "dmarc").iterdir()
    today.rename(today.with_name(DAY.isoformat()))
    server.start(only="smtpd")
    message, = sink.wait(1, seconds=60)
    assert (message.sender, message.recipients) == ("", ["dmarc@good.example"])
    mail = email.message_from_bytes(message.data, policy=email.policy.default)
    assert not mail.defects and "d=example.test" in mail["DKIM-Signature"] and mail["Auto-Submitted"] == "auto-generated"
    text, part = mail.iter_parts()
    assert text.get_content_type() == "text/plain" and part.get_content_type() == "application/gzip"
    assert part.get_filename().startswith(f"example.test!good.example!{BEGIN}!{BEGIN + 86399}!")
    assert part.get_filename().endswith(".xml.gz")
    report = xml.fromstring(gzip.decompress(part.get_content()))
    assert report.tag == NAME + "feedback"

    def text_at(path, of=report):
        return of.findtext("/".join(NAME + step for step in path.split("/")))
    assert text_at("report_metadata/report_id") in mail["Subject"] and "Report Domain: good.example" in mail["Subject"]
    assert [text_at(f"policy_published/{tag}") for tag in ("domain", "p", "sp", "testing")] == ["good.example", "reject", "quarantine", "n"]
    rows = [[text_at(path, record) for path in ("row/source_ip", "row/count", "row/policy_evaluated/disposition", "identifiers/header_from",
                                                "auth_results/spf/domain", "auth_results/spf/result")]
            for record in report.findall(NAME + "record")]
    assert sorted(rows, reverse=True) == [["127.0.0.1", "2", "none", "good.example", "good.example", "pass"],
                    ["127.0.0.1", "1", "reject", "good.example", "evil.example", "pass"]]


def test_nobody_else_is_told_and_the_day_is_over(world):
    server, sink = world
    wait_for("the day's file to go", lambda: not lines(server))
    server.wait_log("uri=mailto:a@victim.example")
    assert len(sink.messages) == 1
