"""Groups of the benches: what the machine itself can do, and mail that comes in by SMTP, submission and LMTP."""

import os
import pathlib
import subprocess
import tempfile

from engine import Step, measured, sample


def fill(side, server, messages, accounts=1):
    """Maildirs of another program, on the disk before anything is measured: a flush must not wait for them."""
    for number in range(accounts):
        folder = server.maildir(number)
        folder.parent.mkdir(parents=True, exist_ok=True)
        side.load("fill", dir=folder, count=messages, size=4096)
    os.sync()


def disk_rate(side, connections, seconds):
    """One start of the disk's own loop: a new file made durable under its final name, nothing else."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="disk-"))
    return side.load("disk", dir=folder, connections=connections, seconds=seconds, count=10000000)


def handshake_rate(side, seconds):
    """One start of the TLS limit: both sides of full handshakes, in memory, on all cores."""
    cert, key = side.bench.work / "limit-cert.pem", side.bench.work / "limit-key.pem"
    if not cert.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", cert, "-subj", "/CN=bench"], check=True, capture_output=True)
    return side.load("handshakes", cert=cert, key=key, connections=os.cpu_count(), seconds=seconds, count=10000000)


def per_second(rows):
    return rows[0]["per_1000_s"] / 1000


def limits(side):
    """What the machine can do without any server."""
    if side.is_peer:
        return
    for connections in (1, 20):
        name = f"disk: write, fdatasync, rename, fsync folder; {connections} at once"
        yield Step(name, lambda _, name=name, c=connections: [side.rate(name, None, lambda: disk_rate(side, c, 1))], writes=True)
    name = f"TLS: full handshakes, both sides, P-256, {os.cpu_count()} threads"
    yield Step(name, lambda _: [with_halves(side.rate(name, None, lambda: handshake_rate(side, 1)))])


def with_halves(handshakes):
    halves = [handshakes["run"].get(key) for key in ("part_p50_us", "rest_p50_us")]
    if all(halves):
        handshakes["note"] = f"processor time of the server's half {halves[0]} us, of the client's {halves[1]} us"
    return handshakes


def smtp(side):
    """SMTP in, on the mx listener: our 250 says that the message is in the mailbox."""
    with side.server(50) as server:
        server.start()
        yield first_mail(side, server)
        yield mail(side, server, "mx, 1 connection", "mx", connections=1)
        yield mail(side, server, "mx, 20 connections", "mx", connections=20, both=True, limit=lambda: per_second(disk_rate(side, 20, 1)))
        yield mail(side, server, "mx, 20 connections, 5 recipients", "mx", connections=20, recipients=5)
        yield mail(side, server, "mx, 20 connections, 20 messages each", "mx", connections=20, per_connection=20)
        yield mail(side, server, "mx, 20 connections, 2, 10 and 75 KB", "mx", connections=20, mixed=True)
        yield mail(side, server, "mx STARTTLS, 1 connection", "mx", connections=1, tls="starttls")
        yield mail(side, server, "mx STARTTLS, 20 connections", "mx", connections=20, tls="starttls")


def submission(side):
    with side.server(50) as server:
        server.start()
        make_folders(side, server)
        learn_passwords(side, server, 400)
        yield mail(side, server, "submission STARTTLS AUTH, 1 connection", "submission", connections=1, tls="starttls", auth=True)
        yield mail(side, server, "submission STARTTLS AUTH, 20 connections", "submission", connections=20, tls="starttls", auth=True)
        yield mail(side, server, "submissions AUTH, 20 connections", "submissions", connections=20, tls="implicit", auth=True)


def lmtp(side):
    with side.server(50) as server:
        server.start()
        make_folders(side, server)
        yield mail(side, server, "lmtp, 1 connection", "lmtp", connections=1, lmtp=True)
        yield mail(side, server, "lmtp, 10 connections", "lmtp", connections=10, lmtp=True)
        yield mail(side, server, "lmtp, 10 connections, 5 recipients", "lmtp", connections=10, recipients=5, lmtp=True)


def sieve(side):
    """Deliveries with and without a script of 30 rules, ours only."""
    if side.is_peer:
        return
    with side.server(50) as server:
        server.start()
        make_folders(side, server)
        yield mail(side, server, "lmtp, 10 connections, no script", "lmtp", connections=10, lmtp=True)
        server.give_rules()
        yield mail(side, server, "lmtp, 10 connections, 30 rules each", "lmtp", connections=10, lmtp=True)


def make_folders(side, server):
    """An account's folders are made when its first message comes: once, so not in the other rows."""
    before = server.count_messages()
    run = side.load("mail", port=server.port("mx"), users=server.users, count=50, seconds=60)[0]
    server.wait_for_messages(before + run["ops"])
    return run


def learn_passwords(side, server, count):
    """Every process has had every account's login within the last minute: what the first one takes is a row of another bench (login.py).
    The peer has no hashes, but what it warms up by is the same."""
    before = server.count_messages()
    run = side.load("mail", port=server.port("submission"), users=server.users, count=count, seconds=30, connections=20, tls="starttls",
                    auth=True)[0]
    server.wait_for_messages(before + run["ops"])


def first_mail(side, server):
    name = "mx, first message of an account"

    def once(_):
        run = make_folders(side, server)
        return [sample(name, run.get("p50_us", 0) / 1000, "ms", note=f"once for each of {run['ops']} accounts", run=run, **measured(run))]
    return Step(name, once, repeat=1, writes=True)


def mail(side, server, name, listener, both=False, limit=None, **named):
    """Each message that was accepted is looked for in the mailboxes. both: a row also for those that were accepted only."""
    recipients = named.get("recipients", 1)

    def once(_):
        if named.get("auth"):
            learn_passwords(side, server, 150)
        before = server.count_messages()
        one = side.rate(name, server, lambda: side.load("mail", port=server.port(listener), users=server.users, count=100000,
                                                        seconds=1, **named), check=lambda run: arrived(run, before))
        accepted = one["run"].get("accepted", one["value"])
        return [one] + ([sample(f"{name}, accepted", accepted, "/s", invalid=one["invalid"])] if both else [])

    def arrived(run, before):
        """What the row counts is mail in the mailboxes; a server that queues first is waited for."""
        wanted = run["ops"] * recipients
        waited_us = server.wait_for_messages(before + wanted)
        if waited_us is not None:
            run["accepted"] = run["per_1000_s"] / 1000
            run["wall_us"] += waited_us
            run["per_1000_s"] = run["ops"] * 1000000000 // run["wall_us"]
        there = server.count_messages() - before
        return None if there == wanted else f"{wanted} were accepted, {there} arrived"

    return Step(name, once, writes=True, limit=limit)
