"""Distribution lists: who may send, what members get, where bounces go; disposable addresses and domains with two names."""

import smtplib

import pytest

import dns_server
import postroom
from dialogue import talk
from https_server import Authority
from postroom import wait_for
from smtp_sink import Sink
from strangers import CONF, message, send
from test_tls_out import CONF as SENDING, free_port


@pytest.fixture(scope="module")
def server():
    port = free_port()
    with dns_server.DnsServer() as dns, Authority() as authority, Sink("127.0.3.6", port) as sink:
        dns.add("good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all").add("good.example", "A", "127.0.3.6")
        dns.add("forged.example", "TXT", "v=spf1 -all").add("forged.example", "A", "127.0.3.6")
        conf = CONF + dns.conf() + SENDING.format(port=port, authority=authority.file) + "sending yes\n"
        with postroom.Instance(accounts=("alice", "bob", "carol", "owner"), conf=conf) as instance:
            instance.sink = sink
            instance.postroom("list", "add", "staff@example.test", "alice@example.test", "bob@example.test", "joe@good.example",
                              "ann@forged.example", "--owner", "owner@example.test")
            instance.postroom("alias", "add", "everybody@example.test", "staff@example.test")
            instance.start(only="smtpd")
            yield instance


def post(server, user, to="staff@example.test", subject="Hello", options=()):
    """The reply's code and text."""
    text = postroom.message(subject=subject, sender=f"{user}@example.test", to=to)
    with server.submission(user) as smtp:
        try:
            smtp.sendmail(f"{user}@example.test", [to], text, options)
        except smtplib.SMTPRecipientsRefused as refused:
            (code, answer), = refused.recipients.values()
            return code, answer.decode()
    return 250, ""


def got(server, user, subject):
    return [path.read_bytes() for path in server.files(user) if b"Subject: " + subject.encode() in path.read_bytes()]


def rcpt(server, sender, to="staff@example.test", source="127.0.0.1"):
    with talk(server) as line:
        assert line.smtp(f"MAIL FROM:<{sender}>") == 250
        return line.smtp(f"RCPT TO:<{to}>")


def test_a_member_sends_and_each_member_gets_one_copy_from_the_list(server):
    assert post(server, "alice", subject="First")[0] == 250
    for member in ("alice", "bob"):
        copy, = wait_for(f"{member}'s copy", lambda member=member: got(server, member, "First"))
        header = copy.split(b"\r\n\r\n")[0]
        assert header.startswith(b"Return-Path: <owner@example.test>\r\n")
        for field in (b"List-Id: <staff.example.test>", b"List-Post: <mailto:staff@example.test>", b"Precedence: list",
                      b"List-Owner: <mailto:owner@example.test>", b"From: <alice@example.test>"):
            assert field in header, header
        assert header.count(b"\r\nList-Id:") == 1
    first = server.sink.wait(2)[0]          # and those elsewhere
    assert first.sender == "owner@example.test" and b"List-Id: <staff.example.test>" in first.data
    assert got(server, "carol", "First") == got(server, "owner", "First") == []


def test_only_members_may_send_also_through_an_alias(server):
    assert post(server, "carol")[0] == 550 and "5.7.2" in post(server, "carol")[1]
    assert post(server, "carol", "everybody@example.test")[0] == 550
    assert post(server, "bob", "everybody@example.test", subject="Second")[0] == 250
    wait_for("alice's copy", lambda: got(server, "alice", "Second"))


def test_a_member_elsewhere_counts_unless_his_domain_denies_it(server):
    assert rcpt(server, "joe@good.example") == 250
    assert rcpt(server, "ann@forged.example") == 550
    assert rcpt(server, "alice@example.test") == 550        # our own people log in
    assert rcpt(server, "stranger@good.example") == 550
    assert rcpt(server, "") == 550                          # a bounce


def test_who_may_send_is_changed_at_once(server):
    server.postroom("list", "set", "staff@example.test", "--posters", "accounts")
    assert post(server, "carol", subject="Third")[0] == 250 and rcpt(server, "joe@good.example") == 550
    # What is for later comes from the queue, where nobody is logged in: she was asked before.
    assert post(server, "carol", subject="Later", options=["HOLDFOR=1"])[0] == 250
    copy, = wait_for("alice's copy", lambda: got(server, "alice", "Later"))
    assert b"\r\nList-Id: <staff.example.test>" in copy
    server.postroom("list", "set", "staff@example.test", "--posters", "named", "--allow", "stranger@good.example")
    assert post(server, "alice")[0] == 550 and rcpt(server, "stranger@good.example") == 250
    server.postroom("list", "set", "staff@example.test", "--deny", "stranger@good.example", "--posters", "anyone")
    assert rcpt(server, "whoever@good.example") == 250
    server.postroom("list", "set", "staff@example.test", "--posters", "members")
    assert server.json("list", "show", "staff@example.test")["posters"] == "members"


def test_members_come_and_go(server):
    server.postroom("list", "join", "staff@example.test", "carol@example.test")
    server.postroom("list", "leave", "staff@example.test", "ann@forged.example")
    assert server.json("list", "list")[0]["members"] == 4
    assert post(server, "carol", subject="Fourth")[0] == 250
    wait_for("carol's copy", lambda: got(server, "carol", "Fourth"))
    assert server.run("list", "leave", "staff@example.test", "nobody@example.test").returncode == 3
    assert server.run("alias", "set", "staff@example.test", "bob@example.test").returncode != 0
    assert "owner" in server.run("list", "set", "staff@example.test", "--owner", "staff@example.test").stderr


def test_a_list_does_not_go_in_circles(server):
    code, text = send(server, "staff", "joe@good.example", octets=message("joe@good.example", extra="Delivered-To: staff@example.test\r\n"))
    assert code == 554 or code == 550, text


def test_a_member_does_not_speak_for_the_list(server):
    text = postroom.message(sender="staff@example.test", to="carol@example.test")
    with server.submission("alice") as smtp, pytest.raises(smtplib.SMTPException):
        smtp.sendmail("staff@example.test", ["carol@example.test"], text)


def test_disposable_addresses_say_when_they_end(server):
    server.postroom("alias", "add", "shop@example.test", "alice@example.test", "--expires", "30d")
    row, = [row for row in server.json("alias", "list") if row["alias"] == "shop@example.test"]
    assert row["expires"] and rcpt(server, "joe@good.example", "shop@example.test") == 250
    server.postroom("alias", "set", "shop@example.test", "bob@example.test")
    row, = [row for row in server.json("alias", "list") if row["alias"] == "shop@example.test"]
    assert row["expires"] and row["targets"] == ["bob@example.test"]


def test_a_domain_has_the_names_of_another(server):
    server.postroom("domain", "add", "second.test")
    server.postroom("domain", "set", "second.test", "--alias-of", "example.test")
    assert rcpt(server, "joe@good.example", "Alice+tag@second.test") == 250
    assert rcpt(server, "joe@good.example", "nobody@second.test") == 550
    assert rcpt(server, "joe@good.example", "staff@second.test") == 250
    assert server.run("domain", "set", "example.test", "--alias-of", "second.test").returncode != 0
    text = postroom.message(subject="Fifth", sender="alice@second.test", to="bob@second.test")
    with server.submission("alice") as smtp:
        smtp.sendmail("alice@second.test", ["bob@second.test"], text)
    assert len(got(server, "bob", "Fifth")) == 1
