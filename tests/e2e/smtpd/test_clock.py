"""Mail that waits gets neither old nor stuck when the host's clock is wrong (I21). tests/unit/smtpd/clock_test.c has thousands of jumps; here are
two of ten years, forward and back, that a boot brings to the servers themselves."""

import pathlib
import time

import pytest

from postroom import wait_for
from smtp_sink import Sink
from test_send import World

TEN_YEARS_S = 3652 * 86400


@pytest.fixture(params=[TEN_YEARS_S, -TEN_YEARS_S], ids=["forward", "back"])
def jump_s(request):
    return request.param


def test_a_clock_that_is_wrong_by_years_neither_expires_nor_stalls_mail(jump_s, capsys):
    world = World(notice="30m", life="1h")
    world.dns.add("far.example", "MX", "10 mx.far.example").add("mx.far.example", "A", "127.0.0.99")
    note = pathlib.Path(world.server.root / "queue" / "talk" / "clock")

    def tries():
        return world.server.log().count("event=relay.unreachable destination=far.example")

    def tried_again():
        before = tries()
        wait_for("it is tried again", lambda: tries() >= before + 2)
    try:
        world.start()
        world.send("before@far.example")
        wait_for("it was tried", tries)
        world.server.stop()
        assert note.read_text().startswith("postroom clock 1 ")
        # As a former boot would have left it, whose clock was right, or wrong like that: the queue's time goes on from there.
        now_ms = int(time.time() * 1000)
        wall_ms = now_ms - jump_s * 1000
        note.write_text(f"postroom clock 1 another-boot 0 {wall_ms} {wall_ms}\n")
        world.server.start(only="smtpd")
        world.wait_ready()
        world.send("after@far.example")
        world.send("held@far.example", options=["HOLDFOR=1"])
        tried_again()
        rows = world.server.json("queue", "list")
        assert sorted(row["to"][0].split("@")[0] for row in rows) == ["after", "before", "held"], rows
        assert not world.server.json("queue", "list", "--older", "30m")
        shown = [int(row["next"][:4]) for row in rows if row["next"]]
        assert all(abs(year - time.gmtime().tm_year) <= 1 for year in shown), rows
        world.server.stop()
        world.server.start(only="smtpd")
        world.wait_ready()
        tried_again()
        assert not world.inbox() and len(world.queued()) == 3
        with Sink("127.0.0.99", world.port) as sink:
            world.server.postroom("queue", "retry", "--all")
            sink.wait(3)
            world.wait_empty()
            expired, stalled = len(world.inbox()), 3 - len(sink.messages)
        world.server.wait_log("event=relay.clock ")         # the queue is empty: its time is the host's again
        with capsys.disabled():
            print(f"\nI21 jumps=1 expired={expired} stalled={stalled} (by {jump_s // 86400} days)")
        assert expired == 0 and stalled == 0
    finally:
        world.close()
