"""Reports of others about our domains: they come as mail to `report-addresses`, are delivered like any other, and shown by
`postroom reports`."""

import base64
import gzip
import io
import json
import zipfile

import pytest

import postroom
from dns_server import DnsServer
from strangers import CONF, send

XML = """<?xml version="1.0"?><feedback><version>1.0</version><report_metadata><org_name>{by}</org_name><email>x@y.example</email>
<report_id>{id}</report_id><date_range><begin>1763596800</begin><end>1763683199</end></date_range></report_metadata>
<policy_published><domain>example.test</domain><p>reject</p></policy_published>
<record><row><source_ip>192.0.2.1</source_ip><count>40</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim>
<spf>pass</spf></policy_evaluated></row><identifiers><header_from>example.test</header_from></identifiers></record>
<record><row><source_ip>198.51.100.66</source_ip><count>3</count><policy_evaluated><disposition>reject</disposition><dkim>fail</dkim>
<spf>fail</spf></policy_evaluated></row><identifiers><header_from>example.test</header_from></identifiers></record></feedback>"""
TLS = {"organization-name": "Good", "report-id": "t1", "date-range": {"start-datetime": "2025-11-20T00:00:00Z",
                                                                      "end-datetime": "2025-11-20T23:59:59Z"},
       "policies": [{"policy": {"policy-type": "sts", "policy-domain": "other.test"},
                     "summary": {"total-successful-session-count": 9, "total-failure-session-count": 2},
                     "failure-details": [{"result-type": "certificate-expired", "receiving-mx-hostname": "mx.other.test",
                                          "receiving-ip": "192.0.2.9", "failed-session-count": 2}]}]}


def report(author, kind, octets):
    """A message with one attachment, as report senders make them."""
    body = base64.encodebytes(octets).replace(b"\n", b"\r\n").decode()
    return (f"From: <{author}>\r\nSubject: Report Domain: example.test\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
            f"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n--b\r\n"
            f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}--b--\r\n").encode()


def zipped(text):
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.xml", text)
    return octets.getvalue()


@pytest.fixture(scope="module")
def mx():
    with DnsServer() as dns:
        dns.add("good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all").add("good.example", "MX", "10 mx.good.example")
        dns.add("_dmarc.good.example", "TXT", "v=DMARC1; p=none")
        dns.add("plain.example", "A", "192.0.2.1")
        with postroom.Instance(accounts=("reports", "alice"), conf=CONF + dns.conf() + "report-addresses Reports@example.test\n") as server:
            server.start(only="smtpd")
            yield server


def lines(server, *options):
    return server.json("reports", *options)


def test_without_reports_it_says_what_to_do(mx):
    assert "report-addresses" in mx.postroom("reports")


def test_reports_are_read_however_they_are_packed(mx):
    for octets in (report("x@good.example", "application/gzip", gzip.compress(XML.format(by="Good", id="1").encode())),
                   report("x@plain.example", "application/zip", zipped(XML.format(by="Plain", id="2"))),
                   report("x@good.example", "application/tlsrpt+gzip", gzip.compress(json.dumps(TLS).encode()))):
        sender = "x@good.example" if b"x@good.example" in octets else "x@plain.example"
        assert send(mx, "reports", sender, octets=octets)[0] == 250
    assert len(mx.files("reports")) == 3        # and delivered like other mail
    dmarc, plain, tls = lines(mx)
    assert (dmarc["kind"], dmarc["domain"], dmarc["by"], dmarc["passed"], dmarc["failed"]) == ("dmarc", "example.test", "Good", 40, 3)
    assert dmarc["proven"] and dmarc["sender"] == "good.example" and dmarc["policy"] == "reject"
    assert (plain["by"], plain["proven"]) == ("Plain", False)
    assert (tls["kind"], tls["domain"], tls["passed"], tls["failed"], tls["begin"]) == ("tls", "other.test", 9, 2, 1763596800)


def test_what_comes_twice_or_elsewhere_does_not_count(mx):
    octets = report("x@good.example", "application/gzip", gzip.compress(XML.format(by="Good", id="1").encode()))
    assert send(mx, "reports", "x@good.example", octets=octets)[0] == 250
    other = report("x@good.example", "text/xml", XML.format(by="Good", id="9").encode())
    assert send(mx, "alice", "x@good.example", octets=other)[0] == 250
    assert [line["id"] for line in lines(mx)] == ["1", "2", "t1"]
    assert [line["id"] for line in lines(mx, "--domain", "other.test")] == ["t1"]
    assert [line["id"] for line in lines(mx, "--kind", "dmarc")] == ["1", "2"]


def test_nonsense_is_delivered_and_logged(mx):
    bomb = gzip.compress(b" " * (20 << 20))
    for octets in (report("x@good.example", "application/gzip", bomb), report("x@good.example", "text/xml", b"<!DOCTYPE a><a/>")):
        assert send(mx, "reports", "x@good.example", octets=octets)[0] == 250
    assert mx.log().count("event=feedback.unreadable") == 2 and len(lines(mx)) == 3


def test_failures_are_added_up_most_first(mx):
    table = mx.postroom("reports", "--failures").splitlines()
    assert table[1].split()[:5] == ["6", "dmarc", "198.51.100.66", "example.test", "reject"]
    assert table[2].split()[:5] == ["2", "tls", "192.0.2.9", "other.test", "certificate-expired"]
    assert "example.test" in mx.postroom("reports")
