"""Strangers send to our people only, in whatever words they ask for more (never a relay)."""

import re

import pytest

import postroom
from dialogue import MESSAGE, SENDER, data, envelope, only_file, submit, talk

TRICKS = [
    "user@elsewhere.example", "user@[192.0.2.1]", "user@[IPv6:2001:db8::1]", "user@elsewhere.example.",
    "@example.test:user@elsewhere.example", "@elsewhere.example,@example.test:user@third.example",
    "user@sub.example.test", "user@example.test.elsewhere.example", "user@localhost", "user@127.0.0.1",
    "user%elsewhere.example@[127.0.0.1]",
]
LOCAL_TRICKS = [
    "user%elsewhere.example@example.test", "elsewhere.example!user@example.test", '"user@elsewhere.example"@example.test',
    '"user%elsewhere.example"@example.test', "@elsewhere.example:nobody@example.test", "nobody@EXAMPLE.test.",
]
BROKEN = ["user@elsewhere.example@example.test", '""@example.test', "@example.test", "user@", "user@.", "user@@example.test",
          "user@example..test", "a" * 65 + "@example.test", "user@" + "a" * 250 + ".example", "user@-.test", "user@[999.1.1.1]",
          '"user@example.test', "us er@example.test", "user@exam ple.test", "(comment)user@example.test", "list:user@example.test;"]


@pytest.mark.parametrize("address", TRICKS)
@pytest.mark.parametrize("name", ["mx", "lmtp"])
def test_recipients_elsewhere_are_refused_to_strangers(server, name, address):
    with talk(server, name) as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
        line.send(f"RCPT TO:<{address}>\r\n")
        assert line.reply() == (550, ["5.7.1 Relaying denied: log in first"])
        assert line.smtp("DATA") == 503


@pytest.mark.parametrize("address", LOCAL_TRICKS)
def test_old_ways_to_write_a_route_are_plain_names_of_ours(server, address):
    with talk(server) as line:
        assert line.smtp("MAIL FROM:<alice@example.test>") == 250       # a sender of ours changes nothing
        line.send(f"RCPT TO:<{address}>\r\n")
        assert line.reply() == (550, ["5.1.1 No such user here"])


@pytest.mark.parametrize("address", BROKEN)
def test_what_is_no_address_is_a_syntax_error(server, address):
    with talk(server) as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
        line.send(f"RCPT TO:<{address}>\r\n")
        code, texts = line.reply()
        assert code == 501 and re.match(r"5\.(1\.3|5\.4)", texts[0]), (address, texts)
        line.send(f"RSET\r\nMAIL FROM:<{address}>\r\n")
        line.reply()
        code, texts = line.reply()
        assert code == 501 and re.match(r"5\.(1\.7|5\.4)", texts[0]), (address, texts)


def test_nothing_of_it_reached_the_queue(server):
    assert list((server.root / "queue").glob("msg/*")) == []


def test_the_null_sender_has_one_recipient(server):
    with talk(server) as line:
        assert line.smtp("MAIL FROM:<>") == 250
        assert line.smtp("RCPT TO:<alice@example.test>") == 250
        line.send("RCPT TO:<bob@example.test>\r\n")
        assert line.reply() == (452, ["4.5.3 One recipient only for the null sender"])
        assert data(line) == 250


def test_a_logged_in_user_sends_elsewhere_by_way_of_the_queue(server, user):
    with submit(server, user) as line:
        assert line.smtp(f"MAIL FROM:<{server.address(user)}> BODY=8BITMIME") == 250
        assert line.smtp("RCPT TO:<friend@elsewhere.example>") == 250
        message = f"From: {server.address(user)}\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\nHello.\r\n".encode()
        line.smtp("DATA")
        line.send(message + b".\r\n")
        code, texts = line.reply()
        assert code == 250
    queue_id = re.search(r"id ([0-9a-z]{16})$", texts[0]).group(1)
    octets = (server.root / "queue" / "msg" / queue_id).read_bytes()
    assert message in octets and b"Return-Path" not in octets and b"Delivered-To" not in octets
    assert b"BODY=8BITMIME" in octets and b"friend@elsewhere.example" in octets
    shown = server.json("queue", "show", queue_id)
    assert shown["recipients"][0]["to"] == "friend@elsewhere.example" and shown["parameters"] == ["BODY=8BITMIME"]
    assert shown["user"] == server.address(user) and shown["protocol"] == "ESMTPA"
    assert "Message-ID: <1@x>" in server.postroom("queue", "show", queue_id)
    assert any(row["id"] == queue_id for row in server.json("queue", "list"))
    server.postroom("queue", "remove", queue_id)
    assert not (server.root / "queue" / "msg" / queue_id).exists()
    assert server.run("queue", "remove", queue_id).returncode == 3


def test_a_message_for_here_and_elsewhere_goes_both_ways(server, user, other):
    with submit(server, user) as line:
        envelope(line, server, [other, "friend@elsewhere.example"], sender=server.address(user))
        assert data(line, f"From: {server.address(user)}\r\nSubject: both\r\n\r\nHello.\r\n".encode()) == 250
    octets = only_file(server, other)
    queue_id = re.search(rb" id ([0-9a-z]{16})", octets).group(1).decode()
    queued = (server.root / "queue" / "msg" / queue_id).read_bytes()
    assert b"friend@elsewhere.example" in queued and server.address(other).encode() not in queued
    assert octets.split(b"\r\n", 1)[1] in queued       # the same octets below Return-Path


def test_when_one_way_fails_neither_is_gone(server, user, other):
    server.postroom("quota", "set", server.address(other), "20K")
    big = f"From: {server.address(user)}\r\nSubject: big\r\n\r\n".encode() + b"x" * 30000 + b"\r\n"
    before = sorted((server.root / "queue" / "msg").iterdir())
    with submit(server, user) as line:
        envelope(line, server, [user, other, "friend@elsewhere.example"], sender=server.address(user))
        line.smtp("DATA")
        line.send(big + b".\r\n")
        assert line.reply() == (452, ["4.2.2 A recipient's mailbox is full"])
        assert line.smtp("NOOP") == 250
    assert server.files(user) == server.files(other) == []
    assert sorted((server.root / "queue" / "msg").iterdir()) == before
    assert not list((server.root / "queue" / "tmp").iterdir())


def test_an_alias_may_lead_elsewhere_and_says_so_in_the_copy_that_leaves(server, user):
    alias = f"away-{user}@example.test"
    server.postroom("alias", "add", alias, server.address(user), "someone@elsewhere.example")
    with talk(server) as line:
        envelope(line, server, alias)
        assert data(line) == 250
    octets = only_file(server, user)
    assert b"Delivered-To" not in octets
    queued = [path.read_bytes() for path in (server.root / "queue" / "msg").iterdir() if alias.encode() in path.read_bytes()]
    assert len(queued) == 1
    assert f"Delivered-To: {alias}\r\nReceived: ".encode() in queued[0]
    assert b"someone@elsewhere.example" in queued[0] and b"Return-Path" not in queued[0]


def test_mail_that_an_alias_has_sent_on_before_is_a_loop(server, user):
    alias = f"loop-{user}@example.test"
    server.postroom("alias", "add", alias, "someone@elsewhere.example")
    with talk(server) as line:
        envelope(line, server, alias)
        line.smtp("DATA")
        line.send(f"Delivered-To: {alias}\r\n".encode() + MESSAGE + b".\r\n")
        assert line.reply() == (554, ["5.4.6 Mail loop"])
        envelope(line, server, user)            # for a mailbox it is no loop
        assert data(line, f"Delivered-To: {server.address(user)}\r\n".encode() + MESSAGE) == 250


def test_a_full_queue_refuses_what_is_for_elsewhere_and_takes_the_rest(make_server):
    server = make_server("queue-messages 1")
    with submit(server, "alice") as line:
        for expected in (250, 452):
            assert line.smtp("MAIL FROM:<alice@example.test>") == 250
            assert line.smtp("RCPT TO:<friend@elsewhere.example>") == expected
            assert line.smtp("RCPT TO:<bob@example.test>") == 250
            assert data(line, b"From: alice@example.test\r\n\r\nx\r\n") == 250
    assert len(list((server.root / "queue" / "msg").iterdir())) == 1
    assert len(server.files("bob")) == 2


def test_a_queue_whose_database_is_gone_is_listed_again_after_a_start(make_server):
    server = make_server()
    with submit(server, "alice") as line:
        for number in range(3):
            envelope(line, server, f"friend{number}@elsewhere.example", sender="alice@example.test")
            assert data(line, b"From: alice@example.test\r\n\r\nx\r\n") == 250
    before = server.json("queue", "list")
    assert [row["to"] for row in before] == [[f"friend{n}@elsewhere.example"] for n in range(3)]
    server.stop()
    for path in (server.root / "queue" / "index").iterdir():
        path.unlink()
    server.start(only="smtpd")
    assert server.json("queue", "list") == before
