"""What filters send leaves: answers, notices and redirected mail, to other servers and to our own people, and no circle has no end."""

import pytest

import postroom
from dialogue import send
from postroom import wait_for
from test_send import World


@pytest.fixture
def world():
    made = World().start()
    yield made
    made.close()


def put(world, user, script):
    path = world.server.root / f"{user}.sieve"
    path.write_text(script)
    world.server.postroom("sieve", "put", world.server.address(user), str(path), "--activate")


def give(world, user, sender, subject="Hello", extra=""):
    return send(world.server, user, postroom.message(subject, sender=sender, to=world.server.address(user), extra=extra), sender=sender)


def test_an_answer_reaches_the_sender_elsewhere(world):
    sink = world.domain("far.example")
    put(world, "alice", 'require "vacation"; vacation :subject "Away" "Back on Monday.";')
    assert give(world, "alice", "friend@far.example") == 250
    [answer] = sink.wait(1)
    assert answer.sender == "" and answer.recipients == ["friend@far.example"]
    assert b"\r\nAuto-Submitted: auto-replied (vacation)\r\n" in answer.data and b"Subject: Away\r\n" in answer.data
    world.wait_empty()


def test_a_colleague_is_answered_and_two_answers_do_not_answer_each_other(world):
    for user in ("alice", "bob"):
        put(world, user, 'require "vacation"; vacation :subject "Away" "Not here.";')
    world.send(world.server.address("alice"), sender="bob")
    [mail] = world.wait_mail("bob")
    assert mail["subject"] == "Away" and mail["from"] == "alice@example.test"
    world.wait_empty()
    assert len(world.inbox("bob")) == 1 and len(world.inbox("alice")) == 1


def test_redirected_mail_is_untouched_and_its_bounces_find_back(world):
    sink = world.domain("far.example")
    put(world, "alice", 'redirect "else@far.example";')
    text = postroom.message("On", sender="x@sender.example", to="alice@example.test", body="a\r\n.b\r\n", extra="DKIM-Signature: x\r\n")
    assert send(world.server, "alice", text, sender="x@sender.example") == 250
    [message] = sink.wait(1)
    assert message.recipients == ["else@far.example"] and message.data.endswith(text)
    assert message.sender.startswith("SRS0=") and message.sender.endswith("=sender.example=x@example.test")
    origin = world.domain("sender.example")
    assert send(world.server, message.sender, b"Subject: Undelivered\r\nFrom: <>\r\n\r\nNo.\r\n", sender="") == 250
    assert origin.wait(1)[0].recipients == ["x@sender.example"]
    assert b"Delivered-To: alice@example.test\r\n" in message.data
    assert world.server.files("alice") == []
    world.wait_empty()


def test_redirects_in_a_circle_end_with_the_mail_in_a_mailbox(world):
    put(world, "alice", 'redirect "bob@example.test";')
    put(world, "bob", 'redirect "alice@example.test";')
    assert give(world, "alice", "x@sender.example") == 250
    wait_for("the circle ends", lambda: world.server.files("alice") or world.server.files("bob"))
    world.wait_empty()
    assert len(world.server.files("alice")) + len(world.server.files("bob")) == 1
    assert "event=sieve.redirect.loop" in world.server.log()


def test_a_refusal_among_several_recipients_comes_back_to_the_sender(world):
    sink = world.domain("far.example")
    put(world, "alice", 'require "ereject"; ereject "Not to me";')
    assert send(world.server, ["alice", "bob"], postroom.message(sender="x@far.example"), sender="x@far.example") == 250
    [report] = sink.wait(1)
    assert report.sender == "" and b"Not to me" in report.data and b"Action: failed" in report.data
    assert len(world.server.files("bob")) == 1
    world.wait_empty()
