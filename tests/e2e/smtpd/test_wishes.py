"""What a sender asks of time and order: send later (FUTURERELEASE), be there in time (DELIVERBY), go first (MT-PRIORITY)."""

import re
import time

import pytest

from postroom import wait_for
from test_send import World


@pytest.fixture(scope="module")
def world():
    made = World()
    made.start()
    yield made
    made.close()


@pytest.fixture
def sink(world):
    def make(*extensions):
        make.count += 1
        return world.domain(f"w{len(world.sinks)}.example", extensions=("PIPELINING", "8BITMIME", *extensions))
    make.count = 0
    return make


def domain_of(sink):
    return sink.name[3:]


def test_submission_says_what_it_can_and_mx_does_not(world):
    with world.server.submission("alice") as smtp:
        smtp.ehlo()
        assert smtp.has_extn("deliverby") and smtp.has_extn("mt-priority") and smtp.has_extn("requiretls")
        assert re.fullmatch(r"2592000 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", smtp.esmtp_features["futurerelease"])
    with world.server.smtp() as smtp:
        assert not smtp.has_extn("deliverby") and not smtp.has_extn("mt-priority") and not smtp.has_extn("futurerelease")
        assert smtp.docmd("MAIL FROM:<a@b.example> HOLDFOR=60")[0] == 555


@pytest.mark.parametrize("words", ["HOLDFOR=0", "HOLDFOR=2592001", "HOLDUNTIL=2099-01-01T00:00:00Z", "HOLDUNTIL=tomorrow", "BY=0;R",
                                   "BY=60", "MT-PRIORITY=10", "HOLDFOR=60 HOLDUNTIL=2026-12-24T18:00:00Z", "HOLDFOR=600 BY=60;R"])
def test_what_cannot_be_is_refused(world, words):
    with world.server.submission("alice") as smtp:
        code, text = smtp.docmd(f"MAIL FROM:<alice@example.test> {words}")
        assert code == 501 and text.startswith(b"5.5.4")


def test_a_message_for_later_waits_for_everybody_and_cannot_be_hurried(world, sink):
    far = sink()
    before = len(world.server.files("bob"))
    world.send(["bob@example.test", f"friend@{domain_of(far)}"], options=["HOLDFOR=3000"], body="later\r\n")
    [row] = world.server.json("queue", "list")
    world.server.postroom("queue", "retry", row["id"])
    [hurried] = world.server.json("queue", "list")
    assert row["state"] == hurried["state"] == "waiting" and row["next"] and len(row["to"]) == 2
    assert not far.messages and len(world.server.files("bob")) == before
    world.server.postroom("queue", "remove", row["id"])


def test_a_message_for_later_goes_when_it_is_time(world, sink):
    far = sink()
    before, began = len(world.server.files("bob")), time.monotonic()
    world.send(["bob@example.test", f"friend@{domain_of(far)}"], options=["HOLDFOR=2"], body="later\r\n")
    far.wait(1)
    wait_for("bob has it", lambda: len(world.server.files("bob")) > before)
    assert time.monotonic() - began >= 1    # received in whole seconds
    assert "HOLDFOR" not in far.messages[0].sender_line
    world.wait_empty()


def test_time_and_priority_are_passed_on_to_those_who_know_them(world, sink):
    knows, other = sink("DELIVERBY", "MT-PRIORITY MIXER"), sink()
    world.send([f"x@{domain_of(knows)}"], options=["BY=500;R", "MT-PRIORITY=-3"])
    line = knows.wait(1)[0].sender_line
    left = int(re.search(r" BY=(\d+);R(?: |$)", line).group(1))
    assert 400 < left <= 500 and line.endswith("MT-PRIORITY=-3") or " MT-PRIORITY=-3 " in line
    world.send([f"x@{domain_of(other)}"], options=["MT-PRIORITY=4"])
    assert "PRIORITY" not in other.wait(1)[0].sender_line
    world.wait_empty()


def test_what_has_to_be_there_in_time_goes_back_from_who_does_not_promise_it(world, sink):
    plain, slow = sink(), sink("DELIVERBY 600")
    for far in (plain, slow):
        count = len(world.server.files("alice"))
        world.send([f"x@{domain_of(far)}"], options=["BY=300;R"])
        notice = world.wait_mail(count=count + 1)[-1]
        report = list(notice.iter_parts())[1].get_payload()
        assert report[1]["Action"] == "failed" and report[1]["Status"] == "5.3.3"
        assert not far.messages


def test_whoever_asked_for_a_time_hears_that_nobody_watches_it_any_more(world, sink):
    far = sink()
    count = len(world.server.files("alice"))
    world.send([f"x@{domain_of(far)}"], options=["BY=300;N"])
    far.wait(1)
    report = list(world.wait_mail(count=count + 1)[-1].iter_parts())[1].get_payload()
    assert report[1]["Action"] == "relayed"
    world.wait_empty()


def test_a_notice_says_that_it_was_for_later(world, sink):
    far = sink()
    far.on("RCPT", "550 5.1.1 nobody")
    count = len(world.server.files("alice"))
    world.send([f"x@{domain_of(far)}"], options=["HOLDFOR=1"])
    report = list(world.wait_mail(count=count + 1)[-1].iter_parts())[1].get_payload()
    assert report[0]["Future-Release-Request"] == "for;1" and report[0]["Arrival-Date"]
