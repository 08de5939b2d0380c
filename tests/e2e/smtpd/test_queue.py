"""The queue in an administrator's hands: seen, explained, held, paused, hurried, given back, removed."""

import os

import pytest

from postroom import wait_for
from test_send import World


@pytest.fixture(scope="module")
def world():
    # Nobody retries by himself here: what happens, an administrator asked for.
    made = World(retry="30m", retry_max="1h", more="stop-time 1s\n")        # a message of theirs is still being sent then
    made.start()
    yield made
    made.close()


@pytest.fixture
def sink(world):
    sink.count = getattr(sink, "count", 0) + 1
    return world.domain(f"d{sink.count}.example")


def rows(world, *filters):
    return world.server.json("queue", "list", *filters)


def put_off(world, sink, local="friend"):
    """A message that waits, and its id."""
    name = sink.name[3:]
    before = {row["id"] for row in rows(world)}
    sink.on("RCPT", "450 4.7.1 <greylisted> come again")
    world.send(f"{local}@{name}")
    return wait_for("it waits", lambda: [row["id"] for row in rows(world, "--state", "deferred")
                                         if row["id"] not in before])[0]


def test_what_waits_is_listed_explained_and_shown_with_the_conversation(world, sink):
    name, queue_id = sink.name[3:], put_off(world, sink)
    row = [row for row in rows(world) if row["id"] == queue_id][0]
    assert row["state"] == "deferred" and "450 4.7.1 <greylisted> come again" in row["reason"] and row["next"]
    assert [r["id"] for r in rows(world, "--domain", name)] == [queue_id]
    assert [r["id"] for r in rows(world, "--to", f"@{name}", "--from", "alice@example.test", "--reason", "GREYLIST")] == [queue_id]
    assert not rows(world, "--older", "1d") and not rows(world, "--to", "other@" + name)
    explained = world.server.postroom("queue", "explain", queue_id)
    assert "(greylisting)" in explained and "next attempt in" in explained
    shown = world.server.postroom("queue", "show", queue_id)
    assert "> RCPT TO:<friend@" in shown and "< 450 4.7.1 <greylisted> come again" in shown and "Subject: Test" in shown
    assert world.server.json("queue", "show", queue_id)["recipients"][0]["attempts"] == 1
    sink.answers.clear()
    world.server.postroom("queue", "retry", queue_id)
    sink.wait(1)
    wait_for("it is gone", lambda: not rows(world, "--domain", name))
    assert world.server.run("queue", "show", queue_id).returncode == 3


def test_what_is_held_stays_until_it_is_released_also_over_a_restart(world, sink):
    name, queue_id = sink.name[3:], put_off(world, sink)
    sink.answers.clear()
    world.server.postroom("queue", "hold", queue_id)
    world.server.postroom("queue", "retry", "--all")
    world.server.stop()
    world.server.start(only="smtpd")
    world.wait_ready()
    wait_for("it is held", lambda: [r["id"] for r in rows(world, "--state", "held")] == [queue_id])
    assert not sink.messages
    world.server.postroom("queue", "release", "--domain", name)
    sink.wait(1)


def test_a_pause_is_for_mail_with_wishes_of_tls_too(world, sink):
    name = sink.name[3:]
    world.server.postroom("queue", "pause", name)
    world.send(f"friend@{name}", extra="TLS-Required: No\r\n")
    row = wait_for("it waits", lambda: rows(world, "--domain", name))[0]
    assert row["state"] == "paused"
    listed = {row["destination"]: row["state"] for row in world.server.json("queue", "destinations")}
    assert listed[name] == listed["-" + name] == "paused" and "+" + name not in listed
    world.server.postroom("queue", "resume", name)
    sink.wait(1)
    wait_for("it is gone", lambda: not rows(world, "--domain", name))
    assert not [row for row in world.server.json("queue", "destinations") if row["destination"].endswith(name) and row["state"] == "paused"]


def test_a_paused_destination_waits_and_others_do_not(world, sink):
    name = sink.name[3:]
    assert world.server.json("queue", "pause", name) == {"destination": name, "paused": True}
    world.send(f"friend@{name}")
    wait_for("it waits", lambda: [r for r in rows(world, "--domain", name) if r["state"] == "paused"])
    world.server.stop()
    world.server.start(only="smtpd")
    world.wait_ready()
    wait_for("it still waits", lambda: [r for r in rows(world, "--domain", name) if r["state"] == "paused"])
    listed = {row["destination"]: row for row in world.server.json("queue", "destinations")}
    assert listed[name]["state"] == "paused" and listed[name]["messages"] == 1
    assert not sink.connections
    assert world.server.json("queue", "resume", name) == {"destination": name, "paused": False}
    sink.wait(1)


def test_a_message_is_given_back_and_another_is_removed_in_silence(world, sink):
    back, gone = put_off(world, sink, "back"), put_off(world, sink, "gone")
    before = len(world.server.files("alice"))
    world.server.postroom("queue", "remove", gone)
    assert gone not in world.queued()
    world.server.postroom("queue", "bounce", back)
    notice = world.wait_mail(count=before + 1)[-1]
    status = list(notice.iter_parts())[1].get_payload()[1]
    assert status["Final-Recipient"].startswith("rfc822;back@") and status["Status"] == "5.0.0"
    assert "the administrator of this server gave it back" in list(notice.iter_parts())[0].get_content()
    assert not rows(world, "--domain", sink.name[3:])
    assert len(world.server.files("alice")) == before + 1


def test_a_queue_longer_than_one_answer_is_seen_and_changed_to_its_end(world):
    """The server tells of so many at a time; the command asks on: lists, filters and what is done to all."""
    name = "long.example"
    world.server.postroom("queue", "pause", name)
    for i in range(7):
        world.send(f"{'odd' if i % 2 else 'even'}{i}@{name}")
    wait_for("all wait", lambda: len(rows(world, "--domain", name)) == 7)
    whole = rows(world)
    for page in ("2", "7", "100000"):
        assert [row["id"] for row in rows(world, "--page", page)] == [row["id"] for row in whole]
        assert [row["to"] for row in rows(world, "--domain", name, "--page", page)] == [row["to"] for row in whole if name in row["to"][0]]
    assert len(rows(world, "--to", f"odd5@{name}", "--page", "2")) == 1
    listed = world.server.postroom("queue", "list", "--page", "2").splitlines()
    assert len(listed) == len(whole) + 1 and listed[0].startswith("QUEUE ID") and "QUEUE ID" not in "".join(listed[1:])
    assert "No message in the queue is like that." in world.server.postroom("queue", "list", "--to", "x@y.example", "--page", "2")
    for action, left in (("hold", "held"), ("release", "paused"), ("retry", "paused")):
        assert world.server.postroom("queue", action, "--domain", name, "--page", "2") == "7 messages: done.\n"
        assert {row["state"] for row in rows(world, "--domain", name)} == {left}
    assert world.server.json("queue", "remove", "--domain", name, "--page", "3") == {"changed": 7, "busy": 0, "failed": 0}
    assert not rows(world, "--domain", name)
    for i in range(3):
        world.send(f"back{i}@{name}")
    before = len(world.server.files("alice"))
    assert world.server.json("queue", "bounce", "--domain", name, "--page", "1") == {"changed": 3, "busy": 0, "failed": 0}
    world.wait_mail(count=before + 3)
    assert world.server.run("queue", "list", "--page", "0").returncode == 2
    assert world.server.run("queue", "list", "--page", "some").returncode == 2


COUNT = int(os.environ.get("QUEUE_MESSAGES", "2500"))    # more than two pages; `make check-volume`: 10,000


def test_thousands_of_messages_are_listed_and_removed_page_by_page(world):
    name = "thousands.example"
    world.server.postroom("queue", "pause", name)
    world.send(f"friend@{name}")
    first = rows(world, "--domain", name)[0]["id"]
    folder = world.server.root / "queue" / "msg"
    octets = (folder / first).read_bytes()
    ids = sorted({first} | {f"{first[:10]}{i:06d}" for i in range(COUNT - 1)})
    for queue_id in ids:
        if queue_id != first:
            (folder / queue_id).write_bytes(octets)
    # Nobody was told 250 for these: the relay notices them in its own time.
    listed = wait_for("all are noticed", lambda: (lambda found: found if len(found) == len(ids) else None)(rows(world, "--domain", name)))
    assert [row["id"] for row in listed] == ids
    assert {row["state"] for row in listed} == {"paused"}
    assert len(world.server.postroom("queue", "list", "--domain", name).splitlines()) == len(ids) + 1
    assert world.server.json("queue", "remove", "--domain", name) == {"changed": len(ids), "busy": 0, "failed": 0}
    assert not rows(world, "--domain", name)
    assert not set(world.queued()) & set(ids)


def test_what_is_not_there_or_not_said_is_told(world):
    assert world.server.run("queue", "retry", "0000000000000000").returncode == 3
    assert world.server.run("queue", "remove").returncode == 2
    assert world.server.run("queue", "list", "--older", "soon").returncode == 2
    assert world.server.run("queue", "explain", "../../etc/passwd").returncode == 3
    for words in (("--older", "soon"), ("--page", "0"), ("--colour", "red"), ("one", "two")):
        failed = world.server.run("queue", "list", "--json", *words)
        assert failed.returncode == 2 and not failed.stdout and failed.stderr.startswith("postroom queue list: ")


def test_what_is_being_sent_is_left_alone(world, sink):
    sink.on("end", None)
    world.send(f"friend@{sink.name[3:]}")
    queue_id = wait_for("it is sent", lambda: rows(world, "--state", "sending"))[0]["id"]
    for action in ("remove", "bounce", "hold"):
        assert world.server.run("queue", action, queue_id).returncode == 4
    assert queue_id in world.queued()


def test_the_life_of_a_message_is_told_by_address_id_and_queue_id(world, sink):
    name = sink.name[3:]
    refusals = iter(["450 4.2.0 come again"])
    sink.on("RCPT", lambda line: next(refusals, True) if "slow" in line else "550 5.1.1 no" if "no" in line else True)
    world.send([f"yes@{name}", f"no@{name}", f"slow@{name}"])
    queue_id = wait_for("one waits", lambda: rows(world, "--domain", name, "--state", "deferred"))[0]["id"]
    world.server.postroom("queue", "retry", queue_id)
    sink.wait(2)

    def told():
        done = world.server.run("trace", f"slow@{name}")
        return done.stdout if "left the queue" in done.stdout and "accepted from" in done.stdout else None
    text = wait_for("all of it is told", told)
    for words in (f"Message {queue_id}", "accepted from 127.0.0.1, logged in as alice@example.test on submission, TLSv1.3",
                  f"<yes@{name}> sent after", f"<no@{name}> failed for good after", f"<slow@{name}> put off after",
                  f"<slow@{name}> sent after", "<alice@example.test> is told (failure notice"):
        assert words in text, text
    events = world.server.json("trace", queue_id)
    assert events == world.server.json("trace", [e["message_id"] for e in events if e["event"] == "smtp.accept"][0])
    assert world.server.run("trace", "nobody@nowhere.example").returncode == 3
    row = [row for row in world.server.json("stats") if row["domain"] == name][0]
    assert (row["sent"], row["deferred"], row["failed"]) == (2, 1, 1)
    assert {"count": 1, "reason": "450 4.2.0 come again"} in row["reasons"] and len(row["reasons"]) == 2, row
    assert "450 4.2.0 come again" in world.server.postroom("stats", "--provider", "--since", "12h")
