"""A stolen account is braked, addresses that refuse mail get none, an account sends so much and no more, mail is held by rule."""

import smtplib

import pytest

from postroom import wait_for
from test_send import World

CONF = """
send-per-minute 1000
send-per-hour 6
send-recipients-per-day 8
send-new-recipients-per-day 4
send-factors alice@example.test=1000 carol@example.test=100
suppress-after 2
brake 30
"""


@pytest.fixture(scope="module")
def world():
    made = World(retry="30m", retry_max="1h", more=CONF)
    for name in ("carol", "dora", "eve"):
        made.server.add_account(name)
    made.start()
    yield made
    made.close()


@pytest.fixture
def sink(world):
    return world.domain(f"o{len(world.sinks)}.example")


def domain_of(sink):
    return sink.name[3:]


def refusal(world, sender, recipient):
    """What RCPT says, None when it is fine."""
    with world.server.submission(sender) as smtp:
        smtp.docmd(f"MAIL FROM:<{world.server.address(sender)}>")
        code, text = smtp.docmd(f"RCPT TO:<{recipient}>")
        return None if code == 250 else (code, text.decode())


def rows(world, *filters):
    return world.server.json("queue", "list", *filters)


def test_an_address_that_was_refused_twice_is_sent_nothing_until_it_is_taken_out(world, sink):
    address = f"Gone@{domain_of(sink)}"
    sink.on("RCPT", "550 5.1.1 No such person")
    for count in (1, 2):
        assert refusal(world, "alice", address) is None
        before = len(world.server.files("alice"))
        world.send(address)
        world.wait_mail(count=before + 1)
    world.wait_empty()
    row, = [row for row in world.server.json("suppression", "list") if row["address"] == address.lower()]
    assert row["suppressed"] and row["bounces"] == 2 and "No such person" in row["reason"] and row["last"]
    code, text = refusal(world, "alice", address)
    assert code == 550 and text.startswith("5.7.1") and "No such person" in text and "suppression remove" in text
    world.server.postroom("suppression", "remove", address)
    assert refusal(world, "alice", address) is None
    assert world.server.run("suppression", "remove", address).returncode == 3


def test_what_is_said_of_the_sender_is_not_held_against_the_recipient(world, sink):
    address = f"picky@{domain_of(sink)}"
    sink.on("RCPT", "550 5.1.8 Sender's domain does not exist")
    before = len(world.server.files("alice"))
    world.send(address)
    world.wait_mail(count=before + 1)
    world.wait_empty()
    assert address not in str(world.server.json("suppression", "list"))


def test_a_delivery_forgives_a_bounce_and_an_administrators_word_stands(world, sink):
    address = f"moody@{domain_of(sink)}"
    sink.on("RCPT", "550 5.1.1 not today")
    before = len(world.server.files("alice"))
    world.send(address)
    world.wait_mail(count=before + 1)
    sink.answers.clear()
    world.send(address)
    sink.wait(1)
    world.wait_empty()
    assert address not in str(world.server.json("suppression", "list"))
    world.server.postroom("suppression", "add", address, "--reason", "asked us by letter")
    assert "asked us by letter" in refusal(world, "alice", address)[1]
    world.server.postroom("suppression", "remove", address)


def test_an_account_sends_so_much_and_no_more_but_to_our_own_people(world, sink):
    far = domain_of(sink)
    sink.on("RCPT", "450 4.2.0 later")
    assert refusal(world, "dora", f"x@{far}") is None
    for i in range(4):
        world.send([f"new{i}@{far}"], sender="dora")
    code, text = refusal(world, "dora", f"new5@{far}")
    assert code == 451 and text.startswith("4.7.1") and "4 new recipients in a day" in text
    assert refusal(world, "dora", "bob@example.test") is None
    assert refusal(world, "carol", f"new5@{far}") is None
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        world.send([f"new6@{far}"], sender="dora")
    # What is being sent just now is left alone.
    wait_for("all is removed", lambda: world.server.run("queue", "remove", "--user", "dora@example.test").returncode == 0)


def test_too_many_messages_in_an_hour_are_for_later(world, sink):
    far = domain_of(sink)
    for _ in range(6):
        world.send([f"same@{far}"], sender="bob")
    sink.wait(6)
    code, text = refusal(world, "bob", f"same@{far}")
    assert code == 451 and "6 messages an hour" in text


def test_a_stolen_account_is_braked_its_mail_waits_and_people_are_told(world, sink):
    far = domain_of(sink)
    sink.on("RCPT", lambda line: "550 5.7.1 spam" if "bad" in line else True)
    before = len(world.server.files("carol"))
    world.send([f"good{i}@{far}" for i in range(34)], sender="carol")
    sink.wait(1)
    world.wait_empty()
    world.server.restart()                              # what was counted is not forgotten
    world.wait_ready()
    world.send([f"bad{i}@{far}" for i in range(16)], sender="carol")
    rule = wait_for("the brake", lambda: world.server.json("hold", "list"))[0]
    assert rule["mail"] == "user" and rule["address"] == "carol@example.test" and "16 of its last 50" in rule["reason"]
    told = [m for m in world.wait_mail("carol", before + 2) if m["Subject"] == "Mail of carol@example.test is held back"]
    assert told and "postroom hold remove --user carol@example.test" in told[0].get_content()
    wait_for("nothing else waits", lambda: not rows(world))
    arrived = len(sink.messages)
    world.send([f"good@{far}"], sender="carol")
    row = wait_for("it waits", lambda: rows(world, "--user", "carol@example.test"))[0]
    assert row["state"] == "held"
    world.send([f"other@{far}"])                        # others send as before
    sink.wait(arrived + 1)
    world.server.restart()
    world.wait_ready()
    assert rows(world, "--user", "carol@example.test")[0]["state"] == "held" and len(sink.messages) == arrived + 1
    world.server.postroom("hold", "remove", "--user", "carol@example.test")
    sink.wait(arrived + 2)
    world.wait_empty()
    assert not world.server.json("hold", "list")


def test_a_list_with_dead_members_brakes_nobody(world, sink):
    far = domain_of(sink)
    sink.on("RCPT", lambda line: "550 5.7.1 spam" if "bad" in line else True)
    members = [f"good{i}@{far}" for i in range(34)] + [f"bad{i}@{far}" for i in range(16)]
    world.server.postroom("list", "add", "old@example.test", members[0], "--owner", "alice@example.test", "--posters", "anyone")
    for at in range(1, len(members), 10):
        world.server.postroom("list", "join", "old@example.test", *members[at:at + 10])
    before = len(world.server.files("alice"))
    world.send(["old@example.test"], sender="dora")
    world.wait_mail(count=before + 1)                   # its owner is told
    world.wait_empty()
    assert len(sink.messages) and not world.server.json("hold", "list")


def test_a_rule_holds_what_waits_and_what_comes(world, sink):
    far = domain_of(sink)
    sink.on("RCPT", "450 4.2.0 later")
    world.send([f"first@{far}"])
    wait_for("it waits", lambda: rows(world, "--state", "deferred"))
    world.server.postroom("hold", "add", "--to", f"@{far}", "--reason", "their server is being moved")
    wait_for("it is held", lambda: rows(world, "--state", "held"))
    world.send([f"second@{far}"])
    wait_for("both are held", lambda: len(rows(world, "--state", "held")) == 2)
    assert world.server.run("hold", "add", "--to", f"@{far}").returncode == 1
    assert world.server.run("hold", "remove", "--from", f"@{far}").returncode == 3
    assert world.server.run("hold", "add", "--to", "a@b", "--from", "c@d").returncode == 2
    sink.answers.clear()
    world.server.postroom("hold", "remove", "--to", f"@{far}")
    wait_for("nothing is held", lambda: not rows(world, "--state", "held"))
    world.server.postroom("queue", "retry", "--all")
    sink.wait(2)
    world.wait_empty()
