"""TLS reports (RFC 8460): connections are counted as they happen, and the day's report goes where the domain wants it."""

import datetime
import email
import email.policy
import gzip
import json

import pytest

import postroom
from dns_server import DnsServer
from https_server import Authority, HttpsServer
from postroom import wait_for
from smtp_sink import Sink
from test_tls_out import CONF, free_port, submit

DAY = datetime.date.today() - datetime.timedelta(days=5)
STS = "version: STSv1\nmode: enforce\nmx: mx.mail.example\nmax_age: 86400"


def line(domain, result="", reason="", kind="sts"):
    return json.dumps({"domain": domain, "type": kind, "policy": STS if kind == "sts" else "", "host": f"mx.{domain}",
                       "ip": "192.0.2.7", "result": result, "reason": reason}) + "\n"


@pytest.fixture(scope="module")
def world():
    """Reports of one old day are due: by mail for mail.example, by HTTPS for web.example, unwanted by silent.example."""
    port = free_port()
    with Authority() as authority, DnsServer() as dns, HttpsServer(authority, ["reports.web.example"]) as web, \
            Sink("127.0.3.1", port, cert=authority.certificate("mx.mail.example")) as sink:
        dns.add("mail.example", "MX", "10 mx.mail.example").add("mx.mail.example", "A", "127.0.3.1")
        dns.add("_smtp._tls.mail.example", "TXT", "v=TLSRPTv1; rua=mailto:tls@mail.example")
        dns.add("_smtp._tls.web.example", "TXT", f"v=TLSRPTv1; rua=https://reports.web.example:{web.port}/tls")
        dns.add("reports.web.example", "A", "127.0.0.1")
        web.pages["reports.web.example", "/tls"] = (201, "text/plain", b"")
        conf = CONF.format(port=port, authority=authority.file) + dns.conf() + "fetch-private-addresses yes\nsending yes\n"
        with postroom.Instance(accounts=("alice",), conf=conf) as server:
            folder = server.root / "queue" / "tlsrpt"
            folder.mkdir(parents=True)
            (folder / DAY.isoformat()).write_text(
                line("mail.example") * 3 + line("mail.example", "certificate-expired", "old") + line("web.example", kind="no-policy-found")
                + line("silent.example") + "no json\n")
            server.start(only="smtpd")
            yield server, sink, web, folder


def check(report, domain):
    assert report["organization-name"] == "example.test"
    assert report["contact-info"] == "postmaster@example.test"
    assert report["date-range"] == {"start-datetime": f"{DAY}T00:00:00Z", "end-datetime": f"{DAY}T23:59:59Z"}
    assert [policy["policy"]["policy-domain"] for policy in report["policies"]] == [domain]
    return report["policies"][0]


def test_a_report_goes_by_mail(world):
    _, sink, _, _ = world
    message = sink.wait(1, seconds=60)[0]
    assert (message.sender, message.recipients) == ("", ["tls@mail.example"])
    mail = email.message_from_bytes(message.data, policy=email.policy.default)
    assert (mail["TLS-Report-Domain"], mail["TLS-Report-Submitter"]) == ("mail.example", "example.test")
    assert mail.get_content_type() == "multipart/report" and mail.get_param("report-type") == "tlsrpt"
    assert not mail.defects and "d=example.test" in mail["DKIM-Signature"]
    text, part = mail.iter_parts()
    assert text.get_content_type() == "text/plain" and part.get_content_type() == "application/tlsrpt+gzip"
    assert part.get_filename().startswith("example.test!mail.example!")
    policy = check(json.loads(gzip.decompress(part.get_content())), "mail.example")
    assert policy["summary"] == {"total-successful-session-count": 3, "total-failure-session-count": 1}
    assert policy["policy"]["mx-host"] == ["mx.mail.example"]
    assert policy["failure-details"][0]["result-type"] == "certificate-expired"


def test_a_report_goes_by_https(world):
    _, _, web, _ = world
    wait_for("the report", lambda: web.posts)
    host, path, kind, body = web.posts[0]
    assert (host, path, kind) == ("reports.web.example", "/tls", "application/tlsrpt+gzip")
    assert check(json.loads(gzip.decompress(body)), "web.example")["policy"]["policy-type"] == "no-policy-found"


def test_what_was_reported_is_gone(world):
    server, _, web, folder = world
    wait_for("the day's file to go", lambda: not (folder / DAY.isoformat()).exists())
    assert len(web.posts) == 1 and "silent.example to=" not in server.log()


def test_connections_are_counted(world):
    server, sink, _, folder = world
    before = len(sink.messages)
    submit(server, "bob@mail.example")
    sink.wait(before + 1)

    def lines():
        return [json.loads(row) for path in folder.iterdir() if path.name != DAY.isoformat() for row in path.read_text().splitlines()]
    wait_for("a line", lambda: any(row["domain"] == "mail.example" and not row["result"] for row in lines()))
    assert lines()[0]["host"] == "mx.mail.example" and lines()[0]["ip"].startswith("127.0.3.1")
