"""Accepted is kept: what was answered with 250 is there after every process was killed, here and in the queue."""

import random
import threading
import time

import postroom
from dialogue import data, envelope, submit

KILLS = 12


def send_until_killed(server, number, acked, refused, stop):
    """Messages for bob and for elsewhere; acked gets the mark of each that was answered with 250, refused why one was not."""
    while not stop.is_set():
        try:
            with submit(server, "alice") as line:
                while not stop.is_set():
                    mark = f"mark-{number}-{random.randrange(10**12)}"
                    size = random.choice([10, 3000, 200_000])
                    envelope(line, server, ["bob", f"{mark}@elsewhere.example"], sender="alice@example.test")
                    message = f"From: alice@example.test\r\nSubject: {mark}\r\n\r\n".encode() + (b"x" * 70 + b"\r\n") * (size // 72)
                    code = data(line, message)
                    (acked if code == 250 else refused).append(mark if code == 250 else code)
        except (OSError, AssertionError) as error:
            refused.append(repr(error)[:300])
            time.sleep(0.05)        # killed, or not back yet


def marks_in(paths):
    found = {}
    for path in paths:
        head = path.read_bytes()[:4000]
        at = head.find(b"Subject: mark-")
        assert at >= 0, f"half a message: {path}"
        mark = head[at + 9:].split(b"\r\n", 1)[0].decode()
        found[mark] = found.get(mark, 0) + 1
    return found


def test_no_acknowledged_message_is_lost_by_kill_9(make_server):
    server = make_server("workers 2\nsmtp-messages 100000")
    acked, refused, stop = [], [], threading.Event()
    threads = [threading.Thread(target=send_until_killed, args=(server, n, acked, refused, stop)) for n in range(4)]
    for thread in threads:
        thread.start()
    for kill in range(KILLS):
        before = len(acked)
        try:
            postroom.wait_for("messages are accepted", lambda: len(acked) > before + 3)
        except AssertionError:
            stop.set()
            raise AssertionError(f"{len(acked) - before} accepted after kill {kill}; {refused[-8:]}\n{server.log()[-4000:]}") from None
        time.sleep(random.random() * 0.05)
        server.kill()
        server.start(only="smtpd")
    stop.set()
    for thread in threads:
        thread.join()
    queued = marks_in((server.root / "queue" / "msg").iterdir())
    delivered = marks_in(server.files("bob"))
    assert [mark for mark in acked if mark not in delivered] == []
    assert [mark for mark in acked if mark not in queued] == []
    # A message in flight at a kill may be here without an answer; nothing is here twice.
    assert max(queued.values()) == max(delivered.values()) == 1
    assert len(queued) <= len(acked) + KILLS * len(threads)
    assert not list((server.root / "queue" / "corrupt").iterdir())
    assert len(server.json("queue", "list")) == len(queued)
