"""Names of attached files that are not wanted: the option, the endings, and that what only looks like one passes."""

import base64
import json

import pytest

import dns_server
import postroom
from strangers import CONF, message, send

SENDER = "joe@good.example"


@pytest.fixture(scope="module")
def mx():
    with dns_server.DnsServer() as dns:
        dns.add_reverse("127.0.0.1", "localhost")
        dns.add("good.example", "A", "192.0.2.1").add("good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all")
        with postroom.Instance(accounts=("alice", "bob"), conf=CONF + dns.conf() + "check-attachment reject\n") as instance:
            instance.start(only="smtpd")
            postroom.wait_for("a worker is ready", lambda: instance.run(
                "explain", "--from", "", "--to", "alice@example.test", "--ip", "127.0.0.1").returncode == 0)
            yield instance


def mail(field, before=""):
    """A text, and then a part of 300 KB, with this field."""
    body = base64.encodebytes(b"MZ" * 100000).decode().replace("\n", "\r\n")
    return (f"From: <{SENDER}>\r\nSubject: Test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            f"--b\r\nContent-Type: text/plain\r\n\r\n{before}\r\n--b\r\n{field}\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}\r\n--b--\r\n").encode()


@pytest.mark.parametrize("field", ["Content-Disposition: attachment; filename=invoice.pdf.exe", 'Content-Type: text/plain; name="=?utf-8?B?YS5leGU=?="',
                                   "Content-Disposition: attachment; filename*0*=utf-8''a%2E; filename*1=\"exe. .\"",
                                   "Content-Type: message/rfc822\r\n\r\nContent-Disposition: attachment; filename=a.JS"])
def test_a_program_is_refused_whatever_its_name_is_written_like(mx, field):
    code, text = send(mx, "alice", SENDER, octets=mail(field))
    assert code == 550 and text.startswith("5.7.1 Files of this kind are not accepted: "), text
    assert mx.files("alice") == [] and "check=attachment" in mx.log()


def test_what_is_none_is_accepted(mx):
    before = "Content-Disposition: attachment; filename=a.exe"
    assert send(mx, "bob", SENDER, octets=mail("Content-Disposition: attachment; filename=exe.pdf", before))[0] == 250


def test_explain_says_it_too(mx):
    done = mx.run("explain", "--json", "--from", SENDER, "--to", mx.address("alice"), "--ip", "127.0.0.1", "-",
                  input=message(SENDER, "Content-Disposition: attachment; filename=a.exe\r\n").decode())
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert any(row.get("check") == "attachment" and row["finding"] == "Files of this kind are not accepted: a.exe" for row in rows), done
