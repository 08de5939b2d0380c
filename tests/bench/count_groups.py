"""A group of the benches: what does not depend on the machine. System calls, flushes, wake-ups and processes of one operation, warm."""

import contextlib
import os
import time

from calls import FLUSHES, STARTS, WAKE_UPS, SystemCalls, total
from engine import Step, sample
from mail_groups import fill

SESSION = 20            # messages in one session
PART_NS = 10000         # of each message; who is only woken by a connection that another one takes runs a few microseconds, once


def counts(side):
    ops = 20 if side.quick else 100
    with side.server(10) as server:
        fill(side, server, 200, accounts=2)
        server.start()
        steps = (
            ("mx, message per connection", "smtpd", lambda: mail(side, server, "mx", ops), "message"),
            ("mx, 20 messages per connection", "smtpd", lambda: mail(side, server, "mx", ops, per_connection=SESSION), "message"),
            ("mx, 5 recipients", "smtpd", lambda: mail(side, server, "mx", ops, recipients=5), "message"),
            ("mx STARTTLS", "smtpd", lambda: mail(side, server, "mx", ops, tls="starttls"), "message"),
            ("lmtp, message per connection", "smtpd", lambda: mail(side, server, "lmtp", ops, lmtp=True), "message"),
            ("session mix", "imapd", lambda: visit(side, server, "imap-mix", "imaps", ops, "ops"), "session"),
            ("APPEND LITERAL+", "imapd", lambda: visit(side, server, "append", "imap", ops, "units", tls="none"), "message"),
            ("RETR", "pop3d", lambda: visit(side, server, "pop3", "pop3s", 2, "units"), "message"),
        )
        # First: later each connection wakes all the processes that others were started for.
        name = "mx, 20 messages per connection: processes that take part"
        yield Step(name, lambda _: [taking_part(name, server, lambda: mail(side, server, "mx", SESSION, per_connection=SESSION))], repeat=1)
        for name, daemon, do, per in steps:
            yield Step(f"{name}: system calls", lambda _, args=(name, daemon, do, per): traced(server, *args), repeat=1)
        if not side.is_peer:
            server.give_rules()
            yield Step("rules", lambda _: traced(server, "mx, message per connection, 30 Sieve rules", "smtpd", steps[0][2], "message"),
                       repeat=1)


def mail(side, server, listener, ops, **named):
    """How many messages came, and are in the mailboxes."""
    before = server.count_messages()
    run = must(side.load("mail", port=server.port(listener), users=server.users, count=ops, seconds=60, **named))
    server.wait_for_messages(before + run["ops"] * named.get("recipients", 1))
    return run["ops"]


def visit(side, server, scenario, listener, ops, unit, tls="implicit"):
    return must(side.load(scenario, port=server.port(listener), tls=tls, users=server.first_user(), count=ops, seconds=60))[unit]


def must(rows):
    if rows[0].get("invalid"):
        raise RuntimeError(f"{rows[0]['invalid']}: {rows[0].get('error', '')}")
    return rows[0]


def traced(server, name, daemon, do, per, beside=""):
    """Rows of what strace counts while it is done, after it was done some times. beside: an end of their names."""
    for _ in range(3):
        do()
    time.sleep(0.2)
    threads = count_threads(server)
    with SystemCalls(server.pids(daemon)) as found:
        ops = max(do(), 1)
    if found.calls is None:
        return [sample(f"{name}: system calls{beside}", 0, f"per {per}", invalid=found.why)]
    calls = found.calls
    top = sorted(calls.items(), key=lambda item: -item[1])[:6]
    kinds = [("system calls", sum(calls.values()), " ".join(f"{call} {n / ops:.1f}" for call, n in top)),
             ("flushes", total(calls, FLUSHES), " ".join(f"{call} {calls[call] / ops:.2f}" for call in sorted(FLUSHES & set(calls)))),
             ("wake-ups", total(calls, WAKE_UPS), "of threads and loops: among the system calls above")]
    if per == "session":
        kinds.append(("processes started", max(0, total(calls, STARTS) - max(0, count_threads(server) - threads)), None))
    return [sample(f"{name}: {kind}{beside}", n / ops, f"per {per}", note=note) for kind, n, note in kinds]


def count_threads(server):
    """Of our processes, each of which has some: a thread that stays is no process that was started."""
    total_count = 0
    for pid in server.pids():
        with contextlib.suppress(OSError):
            total_count += len(os.listdir(f"/proc/{pid}/task")) - 1
    return total_count


def taking_part(name, server, do):
    """How many processes run from a session's beginning to its end: the middle of some sessions, since a timer may come between."""
    found = []
    do()
    for _ in range(11):
        before = server.cpu_by_process()
        do()
        found.append([pid for pid, used in server.cpu_by_process().items() if used - before.get(pid, 0) > PART_NS * SESSION])
    middle = sorted(found, key=len)[len(found) // 2]
    return sample(name, len(middle), "processes", note=" ".join(sorted(map(program, middle))))


def program(pid):
    with contextlib.suppress(OSError):
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    return "?"
