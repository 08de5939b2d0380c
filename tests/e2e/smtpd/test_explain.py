"""`postroom explain`: the checks, dry, in the order of doc/receiving.md."""

import json
import pathlib
import re

import pytest

import dns_server
import postroom
from strangers import CONF, message

DOC = pathlib.Path(__file__).resolve().parents[3] / "doc" / "receiving.md"


@pytest.fixture(scope="module")
def mx():
    with dns_server.DnsServer() as dns:
        dns.add("good.example", "TXT", "v=spf1 ip4:192.0.2.1 -all").add("good.example", "MX", "10 mail.good.example")
        dns.add("mail.good.example", "A", "192.0.2.1").add_reverse("192.0.2.1", "mail.good.example")
        dns.add("_dmarc.good.example", "TXT", "v=DMARC1; p=reject").add("evil.example", "A", "192.0.2.66")
        with postroom.Instance(accounts=("alice",), conf=CONF + dns.conf()) as instance:
            instance.start(only="smtpd")
            postroom.wait_for("a worker is ready", lambda: instance.run(
                "explain", "--from", "", "--to", "alice@example.test", "--ip", "127.0.0.1").returncode == 0)
            yield instance


def explain(mx, sender="joe@good.example", to="alice@example.test", ip="192.0.2.1", octets=None, code=0, **more):
    args = [x for name, value in more.items() for x in (f"--{name}", value)]
    done = mx.run("explain", "--json", "--from", sender, "--to", to, "--ip", ip, *args,
                  *([] if octets is None else ["-"]), input=None if octets is None else octets.decode())
    assert done.returncode == code, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return ({line["fact"]: line["text"] for line in lines if "fact" in line}, [line for line in lines if "check" in line],
            next((line for line in lines if "reply" in line), None))


def finding(rows, check):
    return next(row for row in rows if row["check"] == check).get("finding")


def test_a_good_message_passes_every_check(mx):
    facts, rows, last = explain(mx, octets=message("joe@good.example"), helo="mail.good.example")
    assert facts["name"] == "mail.good.example"
    assert facts["spf"].startswith("pass for good.example")
    assert facts["dmarc"] == "pass, record at good.example, policy reject"
    assert all(row.get("finding") is None for row in rows), rows
    assert last["reply"] == "250 2.0.0 Accepted" and last["place"] == "as the recipient's filters say, else INBOX"
    assert mx.files("alice") == [] and "event=smtp.accept" not in mx.log()


def test_the_reply_is_that_of_the_first_check_that_refuses(mx):
    facts, rows, last = explain(mx, sender="x@evil.example", ip="192.0.2.66", octets=message("ceo@good.example"))
    assert "good.example did not send this message" in finding(rows, "dmarc")
    assert last["reply"].startswith("550 5.7.1 Domain good.example did not send") and last["place"] == "none"
    assert facts["author"] == "good.example"
    facts, rows, last = explain(mx, to="nobody@example.test")
    assert facts["recipient"] == "no such name" and last["reply"].startswith("550 5.1.1")
    facts, rows, last = explain(mx, to="x@elsewhere.example")
    assert last["reply"].startswith("550 5.7.1 Relaying denied")


def test_junk_is_told(mx):
    _, rows, last = explain(mx, sender="x@absent.example")
    assert "absent.example" in finding(rows, "sender-domain")
    assert last["reply"] == "250 2.0.0 Accepted" and last["place"] == "Junk"


def test_without_a_message_its_checks_are_not_asked(mx):
    _, rows, _ = explain(mx)
    assert {row["check"] for row in rows if row.get("skipped") == "no message was given"} >= {"from", "dmarc", "spf", "octets"}


def test_the_table_of_the_document_is_the_table_of_the_program(mx):
    _, rows, _ = explain(mx)
    described = re.findall(r"(?m)^\| `([a-z-]+)` \| (\w+) \| (?:`([a-z-]+)`)? ?\| (\w+) \|", DOC.read_text())
    assert [row["check"] for row in rows] == [name for name, _, _, _ in described]
    assert [(row["stage"], row["option"]) for row in rows] == [(stage, option) for _, stage, option, _ in described]
    defaults = {name: action for name, _, option, action in described if option}
    assert {row["check"]: row["action"] for row in rows if row["option"]} == defaults


def test_people_read_a_table(mx):
    text = mx.postroom("explain", "--from", "x@absent.example", "--to", "alice@example.test", "--ip", "192.0.2.9")
    assert re.search(r"(?m)^mail +sender-domain +junk +Domain absent\.example has neither", text)
    assert re.search(r"(?m)^reply +250 ", text) and re.search(r"(?m)^mailbox +Junk$", text)


@pytest.mark.parametrize(("wrong", "code"), [({"ip": "nonsense"}, 2), ({"to": "nobody"}, 1), ({"sender": "a@b@c"}, 1)])
def test_a_wrong_question_is_told(mx, wrong, code):
    explain(mx, code=code, **wrong)


def test_a_binary_message_of_any_size_is_no_trouble(mx):
    octets = message("joe@good.example", body="x" * 100 + "\r\n" + "line\r\n" * 20000)
    _, rows, last = explain(mx, octets=octets)
    assert last["reply"].startswith("250"), rows
