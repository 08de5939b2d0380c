"""Groups of the benches: sessions of mail programs by IMAP and POP3, a big mailbox, and sessions that wait."""

import contextlib
import json
import os
import subprocess
import time

import peer
from count_groups import traced, visit
from engine import Step, measured, running, sample
from machine import kernel_memory, memory, socket_memory
from mail_groups import fill, handshake_rate, make_folders, per_second


def imap(side):
    """Sessions of a mail program over TLS, on mailboxes of 200 messages."""
    beside = beside_login(side, side.bench.options.peer)
    with side.server(50) as server:
        fill(side, server, 20 if side.quick else 200, accounts=50)
        server.start()
        yield session(side, server, "imap-short", "adopt and first session", count=50, connections=16, repeat=1, known=False)
        learn_passwords(side, server)
        yield session(side, server, "imap-short", "login, SELECT, FETCH flags, LOGOUT; TLS, 16 connections", connections=16)
        yield session(side, server, "imap-short", "the same, 1 connection", connections=1)
        yield session(side, server, "imap-mix", "session mix; no TLS, 16 connections", "imap", "none", connections=16)
        yield session(side, server, "imap-mix", f"session mix; TLS, 16 connections{beside}", connections=16)
        yield storm(side, server, beside)


def learn_passwords(side, server, count=300):
    """Every process has had every account's login within the last minute: what the first one takes is a row of another bench (login.py).
    The peer has no hashes, but what it warms up by is the same."""
    side.load("imap-short", port=server.port("imap"), users=server.users, connections=8, count=count, seconds=30)


def beside_login(side, login):
    """What a row's name says of Dovecot's processes, when there is a Dovecot."""
    return f" ({peer.LOGINS[login][2]})" if side.bench.options.peer else ""


def session(side, server, scenario, name, listener="imaps", tls="implicit", count=100000, repeat=None, known=True, **named):
    def once(_):
        if known:
            learn_passwords(side, server, 150)
        return [side.rate(name, server, lambda: side.load(
            scenario, port=server.port(listener), users=server.users, count=count, tls=tls, seconds=1, **named))]
    return Step(name, once, repeat=repeat, writes=True)


def storm(side, server, beside):
    name = f"TLS connections, 16 at once{beside}"
    return Step(name, lambda _: [side.rate(name, server, lambda: side.load(
        "connections", port=server.port("imaps"), tls="implicit", connections=16, count=100000, seconds=1))],
        limit=lambda: per_second(handshake_rate(side, 1)))


def logins(side):
    """What depends on how Dovecot's processes serve, beside each way that the other groups do not have."""
    if not side.bench.options.peer:
        return
    sessions = 50 if side.quick else 200        # Dovecot's default takes 2 MB for each
    with side.server(50) as server:
        fill(side, server, 20 if side.quick else 200, accounts=50)
        for login in (login for login in peer.LOGINS if login != side.bench.options.peer):
            server.stop()
            server.set_login(login)
            server.start()
            beside = beside_login(side, login)
            learn_passwords(side, server)
            yield waiting(side, server, sessions, 50, f"{sessions} idle sessions", beside)
            yield session(side, server, "imap-mix", f"session mix; TLS, 16 connections{beside}", connections=16)
            yield storm(side, server, beside)
            yield Step(f"session mix: system calls{beside}", lambda _, beside=beside: traced(
                server, "session mix", "imapd", lambda: visit(side, server, "imap-mix", "imaps", 20, "ops"), "session", beside), repeat=1)


def idle(side):
    """TLS sessions that IDLE on INBOX: what each costs, and how soon it hears of a message."""
    sessions = 100 if side.quick else side.bench.options.sessions
    for count, accounts, push in ((sessions, 50, 20), (sessions * 5, 125, 0)):
        if count > sessions and (side.is_peer or side.quick):   # with a process each, that many are not to be had on a small machine
            return
        with side.server(accounts) as server:
            server.start()
            # One session each first: what an open account costs is not what a session costs.
            side.load("imap-short", port=server.port("imaps"), tls="implicit", users=server.users, connections=4, count=accounts * 2,
                      seconds=30)
            yield waiting(side, server, count, accounts, f"{count} idle sessions", push=push)


def waiting(side, server, sessions, accounts, label, beside="", push=0):
    """A step: open so many sessions, look at the server while they wait, and send mail to some of them."""
    def once(_):
        side.bench.until_quiet()
        rss, pss = memory(server.pids("imapd"))
        kernel = kernel_memory()
        room = peer.room_to_watch(sessions) if side.is_peer else contextlib.nullcontext(True)
        with room as watched, running(side.command("idle", (), {
                "port": server.port("imaps"), "smtp_port": server.port("mx"), "tls": "implicit", "users": server.users,
                "connections": 8, "count": sessions, "seconds": 60}), stdin=subprocess.PIPE) as process:
            opened = json.loads(process.stdout.readline())
            samples = [sample(f"{label}: opened{beside}", opened["per_1000_s"] / 1000, "/s", run=opened, **measured(opened))]
            if opened.get("invalid"):
                return samples
            side.bench.until_quiet()
            samples += at_rest(side, server, sessions, f"{label}: ", beside, (rss, pss, kernel))
            if push:
                process.stdin.write(f"push {push}\n")
                process.stdin.flush()
                samples += pushed(json.loads(process.stdout.readline()), sessions // accounts, watched)
            return samples
    return Step(f"{label}: opened{beside}", once, repeat=1)


def at_rest(side, server, sessions, label, beside, before):
    """Memory that sessions take, user space and kernel, and processor time while nothing happens."""
    time.sleep(0.2 if side.quick else 2)
    pids = server.pids("imapd")
    rss, pss = memory(pids)
    kernel = kernel_memory()
    seconds = 1 if side.quick else 5
    cpu_us = server.cpu_us()
    time.sleep(seconds)
    cpu_us = server.cpu_us() - cpu_us
    return [
        sample(f"{label}proportional memory of each{beside}", (pss - before[1]) / sessions, "KB",
               note=f"{before[1] / 1024:.1f} MB before, {pss / 1024:.1f} MB after, {len(pids)} processes"),
        sample(f"{label}resident memory of each{beside}", (rss - before[0]) / sessions, "KB"),
        sample(f"{label}the kernel's memory for each{beside}", max(0, (kernel - before[2]) / sessions - socket_memory()), "KB",
               note="slab, page tables, stacks; without the client's end of the connection"),
        sample(f"{label}CPU{beside}", cpu_us / seconds / 10000, "% of a core")]


def pushed(run, listeners, watched=True):
    """From the 250 until sessions were told; a notice that was there before the 250 took no time. watched: each session has a way to hear of
    it at once; else what the last one took is the kernel's setting, not the server's figure."""
    last = {f"{p}_us": run.get(f"last_{p}_us") for p in ("p50", "p95", "p99")}
    first = sample("push: SMTP 250 to the first session's EXISTS", run.get("p50_us", 0) / 1000, "ms", run=run, **measured(run))
    if not watched:
        return [{**first, "note": "fs.inotify.max_user_instances is too small for all sessions, and cannot be set; the others look each half minute"}]
    return [first, sample(f"push: to the last of {listeners} sessions", (last["p50_us"] or 0) / 1000, "ms", **measured({**run, **last}))]


def append(side):
    """Messages of 4 KB by APPEND, durable at the OK; a mailbox of its own for each connection."""
    with side.server(50) as server:
        server.start()
        make_folders(side, server)
        for name, named in (("APPEND, synchronising, 4 connections", {"connections": 4, "synchronising": True}),
                            ("APPEND LITERAL+, 4 connections", {"connections": 4}),
                            ("MULTIAPPEND of 50, 1 connection", {"connections": 1, "batch": 50}),
                            ("MULTIAPPEND of 50, 4 connections", {"connections": 4, "batch": 50})):
            yield Step(name, lambda _, name=name, named=named: [side.rate(name, server, lambda: side.load(
                "append", port=server.port("imap"), users=server.users, count=100000, seconds=1, **named), units=True)], writes=True)


def pop3(side):
    with side.server(50) as server:
        fill(side, server, 20 if side.quick else 200, accounts=50)
        server.start()

        def once(count=100000):
            return side.load("pop3", port=server.port("pop3s"), tls="implicit", users=server.users, connections=8, count=count, seconds=2)
        once(200)
        name = "RETR; TLS, 8 connections, login + UIDL + all + QUIT"
        yield Step(name, lambda _: [side.rate(name, server, once, units=True)])
