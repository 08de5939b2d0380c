"""A group of the benches: single commands in a mailbox of 100,000 messages.

Each repetition of a command is a session of its own, so that both servers' stand beside each other. What happens to a mailbox only once
(its index is deleted, all flags change) is made to happen again.
"""

import os

from engine import Step, sample
from mail_groups import fill

# In this order: name, how often in one session, command. What it does to the mailbox it does to both servers'.
# +- is + and - by turns, so that there is something to change each time.
COMMANDS = (
    ("SELECT", 50, "SELECT INBOX"),
    ("FETCH 1:* (UID FLAGS)", 3, "FETCH 1:* (UID FLAGS)"),
    ("FETCH 1:* (RFC822.SIZE)", 3, "FETCH 1:* (RFC822.SIZE)"),
    ("FETCH 1:* (ENVELOPE BODYSTRUCTURE), again", 2, "FETCH 1:* (ENVELOPE BODYSTRUCTURE)"),
    ("FETCH 1:* header fields", 2, "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE MESSAGE-ID REFERENCES)])"),
    ("FETCH one BODY[]", 200, "FETCH # (BODY.PEEK[])"),
    ("FETCH 1:* BODY[]", 1, "FETCH 1:* (BODY.PEEK[])"),
    ("SEARCH UNSEEN", 3, "SEARCH UNSEEN"),
    ("SEARCH FROM", 3, "SEARCH FROM tanaka"),
    ("SEARCH SUBJECT", 3, "SEARCH SUBJECT \"garden and the train\""),
    ("SEARCH SINCE", 3, "SEARCH SINCE 1-Jun-2026"),
    ("SEARCH TEXT", 1, "SEARCH TEXT zanzibar"),
    ("SORT (SUBJECT)", 3, "SORT (SUBJECT) UTF-8 ALL"),
    ("SORT (REVERSE DATE)", 3, "SORT (REVERSE DATE) UTF-8 ALL"),
    ("THREAD REFERENCES", 3, "THREAD REFERENCES UTF-8 ALL"),
    ("STORE one", 50, "STORE # +-FLAGS (\\Flagged)"),
    ("STORE 1:*", 1, "STORE 1:* +-FLAGS.SILENT ($Bench)"),
    ("COPY 1,000", 1, "COPY 1:1000 Other"),
    ("MOVE 1,000", 1, "MOVE 1:1000 Other"),
    ("EXPUNGE 1,000", 1, "EXPUNGE"),
)
WRITING = ("STORE", "COPY", "MOVE", "EXPUNGE")
BEFORE = {"EXPUNGE 1,000": ("-mark|1|STORE 1:1000 +FLAGS.SILENT (\\Deleted)",)}
LOGIN, SELECT = "-login|1|CONNECT", "-select|1|SELECT INBOX"
LONG = ("SEARCH TEXT", "FETCH 1:* BODY[]", *WRITING)
REPEAT = 3      # rounds: each is seconds long
REPEAT_SHORT = 9        # of what takes tenths of a second, in which a shared machine may change its speed


def big(side):
    """A mailbox of 100,000 messages that another program left there, without TLS."""
    messages = side.bench.options.messages or (4000 if side.quick else 100000)
    with side.server(1) as server:
        fill(side, server, messages)
        server.start()
        yield Step("first SELECT", lambda _: with_sum("both: login and first SELECT", side.commands(
            server, f"login, {messages} messages of another program|1|CONNECT", "first SELECT|1|SELECT INBOX"),
            "happens once in a Maildir's life"), repeat=1, writes=True)
        yield index_deleted(side, server)
        side.commands(server, LOGIN, "-create|1|CREATE Other")
        yield Step("login", lambda _: side.commands(server, "login|20|CONNECT"))
        for name, times, command in COMMANDS:
            yield one_command(side, server, name, times, command)
        yield just_started(side, server)
        yield resync(side, server)


def one_command(side, server, name, times, command):
    before = (LOGIN, SELECT, *BEFORE.get(name, ()))
    writes = command.startswith(WRITING)
    skip_us = 0

    def once(n):
        nonlocal skip_us
        # What login and SELECT take of the processor is taken off. With a mark to be set first, it would be most of it.
        if name not in BEFORE and n == 0:
            skip_us = min(session_us(side, server, before) for _ in range(2))
        found = side.commands(server, *before, f"{name}|{times}|{command.replace('+-', '-' if n % 2 else '+')}", skip_us=skip_us)
        if name in BEFORE:
            found[-1]["cpu_us"] = None
        return found
    return Step(name, once, repeat=REPEAT if name.startswith(LONG) else REPEAT_SHORT, writes=writes)


def session_us(side, server, commands):
    used = server.cpu_us()
    side.commands(server, *commands)
    return server.cpu_us() - used


def with_sum(name, samples, note=None):
    """And what they take together: one server does at login what another does at SELECT."""
    parts = samples[:2]
    together = sample(name, sum(one["value"] for one in parts), "ms", cpu_us=sum(one.get("used_us", 0) for one in parts) or None,
                      invalid=next((one["invalid"] for one in parts if one.get("invalid")), None))
    for one in (*parts, together) if note else ():
        one["note"] = note
    return [*parts, together, *samples[2:]]


def index_deleted(side, server):
    """The first look into a mailbox that is as it was, but for its index."""
    def once(_):
        server.stop()
        server.drop_index(0)
        os.sync()
        server.start()
        return with_sum("both: login and SELECT, index deleted", side.commands(
            server, "login, index deleted|1|CONNECT", "SELECT, index deleted|1|SELECT INBOX",
            "FETCH 1:* (ENVELOPE BODYSTRUCTURE), first|1|FETCH 1:* (ENVELOPE BODYSTRUCTURE)"))
    return Step("login, index deleted", once, repeat=REPEAT)


def just_started(side, server):
    def once(_):
        server.stop()
        server.start()
        return side.commands(server, "login, server just started|1|CONNECT", "SELECT, server just started|1|SELECT INBOX")
    return Step("login, server just started", once, repeat=REPEAT)


def resync(side, server):
    def once(n):
        return side.commands(
            server, LOGIN, "-enable|1|ENABLE QRESYNC", SELECT,
            f"-change|1|STORE 1:1000 {'-' if n % 2 else '+'}FLAGS.SILENT (\\Answered)",
            "QRESYNC SELECT after 1,000 changes|5|SELECT INBOX (QRESYNC (%V %M))",
            "FETCH CHANGEDSINCE after 1,000 changes|5|UID FETCH 1:* (FLAGS) (CHANGEDSINCE %M)")
    return Step("QRESYNC SELECT after 1,000 changes", once, repeat=REPEAT, writes=True)
