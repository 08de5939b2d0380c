#!/usr/bin/python3
"""Figures of this build on this machine: `make bench`, or BUILD=... tests/bench/run.py.

Starts real instances on loopback below the build folder, puts tests/bench/load/load on them, and prints one table.
A row is the median of some repetitions (--repeat); a row marked "invalid" is not to be believed, and says why.
--peer also puts the same load on Debian's Postfix and Dovecot, group by group in turn, and prints the ratios.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(os.environ.get("POSTROOM_BUILD", "build")).resolve()
os.environ["POSTROOM_BUILD"] = str(BUILD)
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import peer  # noqa: E402
import postroom  # noqa: E402
from calls import FLUSHES, SystemCalls  # noqa: E402
from machine import spread  # noqa: E402

LOAD = BUILD / "tests" / "bench" / "load" / "load"
TICK_US = 1000000 // os.sysconf("SC_CLK_TCK")


class Postroom:
    """The server under test: a fresh instance with accounts, and what a scenario may ask about it."""

    name = "postroom"

    def __init__(self, work, accounts):
        self.instance = postroom.Instance(accounts=[f"user{i}" for i in range(accounts)],
                                          root=pathlib.Path(tempfile.mkdtemp(prefix="postroom-", dir=work)))
        self.root = self.instance.root
        self.users = self.root / "bench-users"
        self.users.write_text("".join(f"{address} {password}\n" for address, password in
                                      self.instance.passwords.items()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.instance.stop()

    def start(self):
        self.instance.start()

    def stop(self):
        self.instance.stop()

    def port(self, name):
        return self.instance.port(name)

    def pids(self, program=None):
        return self.instance.pids(program)

    def maildir(self, number):
        return self.instance.maildir(f"user{number}")

    def drop_index(self, number):
        shutil.rmtree(self.maildir(number).parent / "index")

    def first_user(self):
        """A file that names the first account only."""
        path = self.root / "bench-first-user"
        path.write_text(self.users.read_text().splitlines()[0] + "\n")
        return path

    def certificate(self):
        return self.root / "tls" / "cert.pem", self.root / "tls" / "key.pem"

    def count_messages(self):
        return sum(len(os.listdir(path)) for path in (self.root / "mail").glob("*/*/Maildir/*")
                   if path.name in ("cur", "new"))

    def wait_for_messages(self, count):
        """They are in the mailboxes when the 250 is there: nothing to wait for."""


class Bench:
    def __init__(self, options, work):
        self.options = options
        self.quick = options.quick
        self.work = work
        self.rows = []
        self.is_peer = False

    def target(self, accounts):
        return peer.Peer(self.work, accounts, self.options.peer) if self.is_peer else Postroom(self.work, accounts)

    # -- running the generator

    def load(self, scenario, *args, **named):
        """Rows of one start of the generator. A start that printed nothing is an error."""
        done = subprocess.run(self.command(scenario, args, named), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=900, check=False)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        if not rows:
            raise RuntimeError(f"load {scenario}: exit {done.returncode}: {done.stderr.strip()}")
        return rows

    @staticmethod
    def command(scenario, args, named):
        options = []
        for key, value in named.items():
            options += ["--" + key.replace("_", "-")] + ([] if value is True else [str(value)])
        return [str(LOAD), *options, "--", scenario, *args]

    # -- rows

    def row(self, name, value, unit, **more):
        row = {"server": "peer" if self.is_peer else "postroom", "scenario": name, "value": value, "unit": unit, **more}
        self.rows.append(row)
        if self.options.json:
            with open(self.options.json, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        print(f"  {name}: {figure(value)} {unit}" + (f"  invalid: {row['invalid']}" if row.get("invalid") else ""),
              file=sys.stderr, flush=True)
        return row

    def repeated(self, name, target, once, units=False, repeat=None, check=None):
        """Run `once` some times; the row is made of medians. units: count units (RETR) instead of operations."""
        runs = []
        for _ in range(repeat or (1 if self.quick else self.options.repeat)):
            before = cpu_us(target.pids()) if target else 0
            run = once()[0]
            run["server_cpu_us"] = cpu_us(target.pids()) - before if target else 0
            if check:
                run["invalid"] = run.get("invalid") or check(run)
            runs.append(run)
        key, count = ("units_per_1000_s", "units") if units else ("per_1000_s", "ops")
        rates = [run[key] / 1000 for run in runs]
        ops = [max(run[count], 1) for run in runs]
        invalid = next((run["invalid"] + (": " + run["error"] if run.get("error") else "")
                        for run in runs if run.get("invalid")), None)
        prefix = "part_" if units else ""
        busy = statistics.median((run["machine_cpu_us"] - run["own_cpu_us"] - run["server_cpu_us"]) * 100 /
                                 (run["wall_us"] * run["cores"]) for run in runs)
        return self.row(
            name, statistics.median(rates), "/s", spread=[min(rates), max(rates)], runs=runs,
            p50=median_of(runs, prefix + "p50_us"), p95=median_of(runs, prefix + "p95_us"),
            p99=median_of(runs, prefix + "p99_us"),
            cpu_us=statistics.median(run["server_cpu_us"] / n for run, n in zip(runs, ops)),
            own_percent=statistics.median(run["own_percent"] for run in runs),
            others_percent=max(0, round(busy)), invalid=invalid,
            note=f"accepted {figure(median_of(runs, 'accepted'))} /s" if "accepted" in runs[0] else None)

    def commands(self, target, port, *commands, tls="none"):
        """A row for each NAME|REPEAT|COMMAND of one IMAP session."""
        rows = self.load("commands", *commands, port=port, tls=tls, users=target.first_user(), seconds=300)
        for run in rows:
            self.row(run["scenario"], run.get("p50_us", 0) / 1000, "ms", p50=run.get("p50_us"),
                     p95=run.get("p95_us"), p99=run.get("p99_us"), own_percent=run["own_percent"], runs=[run],
                     invalid=run.get("invalid") and f"{run['invalid']}: {run.get('error', '')}".rstrip(": "),
                     note=f"{run['untagged']} responses, {run['octets'] / 1e6:.1f} MB")
        reached = {run["scenario"] for run in rows}
        for name in (command.split("|")[0] for command in commands):
            if not name.startswith("-") and name not in reached:
                self.row(name, 0, "ms", invalid="a command before it failed")
        return rows


def cpu_us(pids):
    """Processor time these processes have used, all their threads, and children that ended."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(map(int, fields[11:15])) * TICK_US
    return total


def memory(pids):
    """Resident and proportional kilobytes of these processes (smaps_rollup)."""
    rss = pss = 0
    for pid in pids:
        with contextlib.suppress(OSError):      # a process may end meanwhile
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            rss += int(re.search(r"^Rss:\s+(\d+)", text, re.M).group(1))
            pss += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
    return rss, pss


def kernel_memory():
    """Kilobytes that the kernel holds for itself and cannot drop: of the whole machine, so differences only."""
    text = pathlib.Path("/proc/meminfo").read_text()
    return sum(int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1)) for name in ("SUnreclaim", "KernelStack", "PageTables"))


def socket_memory(count=500):
    """Kilobytes of one end of a TCP connection on loopback."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=count))
        before = kernel_memory()
        for _ in range(count):
            stack.enter_context(socket.create_connection(listener.getsockname()))
            stack.enter_context(listener.accept()[0])
        return max(0, kernel_memory() - before) / (2 * count)


def median_of(runs, key):
    values = [run[key] for run in runs if key in run]
    return statistics.median(values) if values else None


def call_rows(bench, name, traced, ops, per):
    if traced.calls is None:
        bench.row(f"{name}: system calls", 0, f"per {per}", invalid=traced.why)
        return
    top = sorted(traced.calls.items(), key=lambda item: -item[1])[:6]
    bench.row(f"{name}: system calls", sum(traced.calls.values()) / ops, f"per {per}",
              note=" ".join(f"{call} {count / ops:.1f}" for call, count in top), calls=traced.calls)
    bench.row(f"{name}: flushes", sum(traced.calls.get(call, 0) for call in FLUSHES) / ops, f"per {per}",
              note=" ".join(f"{call} {traced.calls[call] / ops:.2f}" for call in FLUSHES if call in traced.calls))


# -- scenarios ---------------------------------------------------------------------------------------

def limits(bench):
    """What the machine can do without any server."""
    seconds = 1 if bench.quick else 3
    for connections in (1, 20):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="disk-", dir=bench.work))
        bench.repeated(f"disk: write, fdatasync, rename, fsync folder; {connections} at once", None,
                       lambda n=connections, d=folder: bench.load("disk", dir=d, connections=n, seconds=seconds,
                                                                  count=10000000))
    cert, key = bench.work / "limit-cert.pem", bench.work / "limit-key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", cert, "-subj", "/CN=bench"], check=True, capture_output=True)
    cores = os.cpu_count()
    bench.repeated(f"TLS: full handshakes, both sides, P-256, {cores} threads", None,
                   lambda: bench.load("handshakes", cert=cert, key=key, connections=cores, seconds=seconds,
                                      count=10000000))


def smtp(bench):
    """SMTP in, on the mx listener: our 250 says that the message is in the mailbox."""
    with bench.target(50) as target:
        target.start()
        first_mail(bench, target, show=True)
        mail(bench, target, "mx, 1 connection", "mx", 300, connections=1)
        mail(bench, target, "mx, 20 connections", "mx", 4000, connections=20)
        mail(bench, target, "mx, 20 connections, 5 recipients", "mx", 2000, connections=20, recipients=5)
        mail(bench, target, "mx, 20 connections, 20 messages each", "mx", 4000, connections=20, per_connection=20)
        mail(bench, target, "mx, 20 connections, 2, 10 and 75 KB", "mx", 3000, connections=20, mixed=True)
        mail(bench, target, "mx STARTTLS, 1 connection", "mx", 300, connections=1, tls="starttls")
        mail(bench, target, "mx STARTTLS, 20 connections", "mx", 4000, connections=20, tls="starttls")


def submission(bench):
    with bench.target(50) as target:
        target.start()
        first_mail(bench, target)
        mail(bench, target, "submission STARTTLS AUTH, 1 connection", "submission", 300, connections=1, tls="starttls",
             auth=True)
        mail(bench, target, "submission STARTTLS AUTH, 20 connections", "submission", 4000, connections=20,
             tls="starttls", auth=True)
        mail(bench, target, "submissions AUTH, 20 connections", "submissions", 4000, connections=20, tls="implicit",
             auth=True)


def lmtp(bench):
    with bench.target(50) as target:
        target.start()
        first_mail(bench, target)
        mail(bench, target, "lmtp, 1 connection", "lmtp", 300, connections=1, lmtp=True)
        mail(bench, target, "lmtp, 10 connections", "lmtp", 4000, connections=10, lmtp=True)
        mail(bench, target, "lmtp, 10 connections, 5 recipients", "lmtp", 2000, connections=10, recipients=5, lmtp=True)


RULES = 'require ["fileinto", "imap4flags"];\n' + "".join(
    f'if header :contains ["list-id", "subject"] "list-{n}.example.net" {{ fileinto "List{n}"; stop; }}\n' if n % 3 else
    f'if address :domain :is ["from", "sender"] "shop-{n}.example.net" {{ addflag "\\\\Seen"; fileinto "Shop{n}"; stop; }}\n'
    for n in range(30))


def give_rules(target):
    """Every account gets a script of 30 rules, none of which takes the bench's mail out of INBOX."""
    path = target.root / "rules.sieve"
    path.write_text(RULES)
    for address in target.instance.passwords:
        target.instance.postroom("sieve", "put", address, str(path), "--activate")


def sieve(bench):
    """Deliveries with and without a script of 30 rules."""
    if bench.is_peer:
        return
    with bench.target(50) as target:
        target.start()
        first_mail(bench, target)
        mail(bench, target, "lmtp, 10 connections, no script", "lmtp", 4000, connections=10, lmtp=True)
        give_rules(target)
        mail(bench, target, "lmtp, 10 connections, 30 rules each", "lmtp", 4000, connections=10, lmtp=True)


def first_mail(bench, target, show=False):
    """An account's folders are made when its first message comes: once, so not in the other rows."""
    before = target.count_messages()
    run = bench.load("mail", port=target.port("mx"), users=target.users, count=50, seconds=60)[0]
    target.wait_for_messages(before + run["ops"])
    if show:
        bench.row("mx, first message of an account", run.get("p50_us", 0) / 1000, "ms", p50=run.get("p50_us"),
                  p95=run.get("p95_us"), p99=run.get("p99_us"), own_percent=run["own_percent"], runs=[run],
                  invalid=run.get("invalid"))


def mail(bench, target, name, listener, count, **named):
    """count: at most; the time is bounded, too. Each message that was accepted is looked for in the mailboxes."""
    count = count // 10 if bench.quick else count
    recipients = named.get("recipients", 1)

    def once():
        nonlocal before
        before = target.count_messages()
        return bench.load("mail", port=target.port(listener), users=target.users, count=count,
                          seconds=5 if bench.quick else 7, **named)

    def check(run):
        """What the row counts is mail in the mailboxes; a server that queues first is waited for."""
        accepted_at = time.monotonic()
        target.wait_for_messages(before + run["ops"] * recipients)
        if bench.is_peer:
            run["accepted"] = run["per_1000_s"] / 1000
            run["wall_us"] += round((time.monotonic() - accepted_at) * 1000000)
            run["per_1000_s"] = run["ops"] * 1000000000 // run["wall_us"]
        arrived = target.count_messages() - before
        if arrived != run["ops"] * recipients:
            return f"{run['ops'] * recipients} were accepted, {arrived} arrived"
        return None

    before = 0
    bench.repeated(name, target, once, check=check)


def imap(bench):
    """Sessions of a mail program over TLS, on mailboxes of 200 messages."""
    with bench.target(50) as target:
        fill(bench, target, 20 if bench.quick else 200, accounts=50)
        target.start()
        session(bench, target, "imap-short", "adopt and first session", 50, connections=16, repeat=1)
        session(bench, target, "imap-short", "login, SELECT, FETCH flags, LOGOUT; TLS, 16 connections", 3000,
                connections=16)
        session(bench, target, "imap-short", "the same, 1 connection", 300, connections=1)
        session(bench, target, "imap-mix", "session mix; TLS, 16 connections", 3000, connections=16)
        session(bench, target, "imap-mix", "session mix; no TLS, 16 connections", 3000, connections=16,
                listener="imap", tls="none")
        bench.repeated("TLS connections, 16 at once", target,
                       lambda: bench.load("connections", port=target.port("imaps"), tls="implicit", connections=16,
                                          count=300 if bench.quick else 5000, seconds=5))


def session(bench, target, scenario, name, count, listener="imaps", tls="implicit", repeat=None, **named):
    count = max(50, count // 10) if bench.quick else count
    bench.repeated(name, target, lambda: bench.load(scenario, port=target.port(listener), users=target.users, count=count,
                                                    tls=tls, seconds=6, **named), repeat=repeat)


def fill(bench, target, messages, accounts=1):
    """Maildirs of another program, on the disk before anything is measured: a flush must not wait for them."""
    for number in range(accounts):
        folder = target.maildir(number)
        folder.parent.mkdir(parents=True, exist_ok=True)
        bench.load("fill", dir=folder, count=messages, size=4096)
    os.sync()


def big(bench):
    """A mailbox of 100,000 messages that another program left there, without TLS."""
    messages = bench.options.messages or (4000 if bench.quick else 100000)
    few = 1 if bench.quick else 5
    with bench.target(1) as target:
        fill(bench, target, messages)
        target.start()
        port = target.port("imap")
        rows = bench.commands(target, port, f"login, {messages} messages of another program|1|CONNECT",
                              "first SELECT|1|SELECT INBOX")
        sum_row(bench, "both: login and first SELECT", rows)
        os.sync()
        commands = [
            "SELECT|5|SELECT INBOX",
            "FETCH 1:* (UID FLAGS)|5|FETCH 1:* (UID FLAGS)",
            "FETCH 1:* (RFC822.SIZE)|3|FETCH 1:* (RFC822.SIZE)",
            "FETCH 1:* (ENVELOPE BODYSTRUCTURE), first|1|FETCH 1:* (ENVELOPE BODYSTRUCTURE)",
            "FETCH 1:* (ENVELOPE BODYSTRUCTURE), again|3|FETCH 1:* (ENVELOPE BODYSTRUCTURE)",
            "FETCH 1:* header fields|3|FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE MESSAGE-ID REFERENCES)])",
            "FETCH one BODY[]|200|FETCH # (BODY.PEEK[])",
            "FETCH 1:* BODY[]|3|FETCH 1:* (BODY.PEEK[])",
            "SEARCH UNSEEN|5|SEARCH UNSEEN",
            "SEARCH FROM|5|SEARCH FROM tanaka",
            "SEARCH SUBJECT|5|SEARCH SUBJECT \"garden and the train\"",
            "SEARCH SINCE|5|SEARCH SINCE 1-Jun-2026",
            "SEARCH TEXT|3|SEARCH TEXT zanzibar",
            "SORT (SUBJECT)|3|SORT (SUBJECT) UTF-8 ALL",
            "SORT (REVERSE DATE)|3|SORT (REVERSE DATE) UTF-8 ALL",
            "THREAD REFERENCES|3|THREAD REFERENCES UTF-8 ALL",
            "STORE one|200|STORE # +FLAGS (\\Flagged)",
            "STORE 1:*|1|STORE 1:* +FLAGS.SILENT ($Bench)",
            "-create|1|CREATE Other",
            f"COPY 1,000|{few}|COPY 1:1000 Other",
            "MOVE 1,000|1|MOVE 1:1000 Other",
            "-mark|1|STORE 1:1000 +FLAGS.SILENT (\\Deleted)",
            "EXPUNGE 1,000|1|EXPUNGE",
        ]
        bench.commands(target, port, "login|20|CONNECT", "-select|1|SELECT INBOX", *commands)
        target.stop()
        target.start()
        bench.commands(
            target, port, "login, server just started|1|CONNECT", "SELECT, server just started|1|SELECT INBOX",
            "-enable|1|ENABLE QRESYNC", "-select|1|SELECT INBOX", "-change|1|STORE 1:1000 +FLAGS.SILENT (\\Answered)",
            "QRESYNC SELECT after 1,000 changes|5|SELECT INBOX (QRESYNC (%V %M))",
            "FETCH CHANGEDSINCE after 1,000 changes|5|UID FETCH 1:* (FLAGS) (CHANGEDSINCE %M)")
        target.stop()
        os.sync()
        target.drop_index(0)
        target.start()
        rows = bench.commands(target, port, "login, index deleted|1|CONNECT", "SELECT, index deleted|1|SELECT INBOX")
        sum_row(bench, "both: login and SELECT, index deleted", rows)


def sum_row(bench, name, runs):
    """What two commands take together: one server does at login what another does at SELECT."""
    bench.row(name, sum(run.get("p50_us", 0) for run in runs) / 1000, "ms",
              invalid=next((run["invalid"] for run in runs if run.get("invalid")), None))


def idle(bench):
    """TLS sessions that IDLE on INBOX: what each costs, and how soon it hears of a message."""
    sessions = 100 if bench.quick else bench.options.sessions
    idle_sessions(bench, sessions, 50, push=20 if bench.quick else 40)
    if not bench.is_peer and not bench.quick:   # with a process each, that many are not to be had on a small machine
        idle_sessions(bench, sessions * 5, 125)


def idle_sessions(bench, sessions, accounts, push=0):
    label = f"{sessions} idle sessions"
    with bench.target(accounts) as target:
        target.start()
        # One session each first: what an open account costs is not what a session costs.
        bench.load("imap-short", port=target.port("imaps"), tls="implicit", users=target.users, connections=4,
                   count=accounts * 2, seconds=30)
        rss, pss = memory(target.pids("imapd"))
        kernel = kernel_memory()
        process = subprocess.Popen(
            bench.command("idle", (), {"port": target.port("imaps"), "smtp_port": target.port("mx"),
                                       "tls": "implicit", "users": target.users, "connections": 8, "count": sessions,
                                       "seconds": 60}),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            opened = json.loads(process.stdout.readline())
            invalid = opened.get("invalid") and f"{opened['invalid']}: {opened.get('error', '')}".rstrip(": ")
            bench.row(f"{label}: opened", opened["per_1000_s"] / 1000, "/s", invalid=invalid,
                      own_percent=opened["own_percent"], p50=opened.get("p50_us"), p95=opened.get("p95_us"),
                      p99=opened.get("p99_us"), runs=[opened])
            if invalid:
                return
            time.sleep(3)
            rss_after, pss_after = memory(target.pids("imapd"))
            bench.row(f"{label}: proportional memory of each", (pss_after - pss) / sessions, "KB",
                      note=f"{pss / 1024:.1f} MB before, {pss_after / 1024:.1f} MB after, "
                           f"{len(target.pids('imapd'))} processes")
            bench.row(f"{label}: resident memory of each", (rss_after - rss) / sessions, "KB")
            bench.row(f"{label}: the kernel's memory for each", max(0, (kernel_memory() - kernel) / sessions - socket_memory()), "KB",
                      note="slab, page tables, stacks; without the client's end of the connection")
            seconds = 3 if bench.quick else 10
            before = cpu_us(target.pids("imapd"))
            time.sleep(seconds)
            used = cpu_us(target.pids("imapd")) - before
            bench.row(f"{label}: CPU", used / seconds / 10000, "% of a core")
            if push:
                push_rows(bench, process, push, sessions // accounts)
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def push_rows(bench, process, times, listeners):
    """From the 250 until sessions were told; a notice that was there before the 250 took no time."""
    process.stdin.write(f"push {times}\n")
    process.stdin.flush()
    run = json.loads(process.stdout.readline())
    bench.row("push: SMTP 250 to the first session's EXISTS", run.get("p50_us", 0) / 1000, "ms",
              p50=run.get("p50_us"), p95=run.get("p95_us"), p99=run.get("p99_us"), invalid=run.get("invalid"),
              own_percent=run["own_percent"])
    bench.row(f"push: to the last of {listeners} sessions", run.get("last_p50_us", 0) / 1000, "ms",
              p50=run.get("last_p50_us"), p95=run.get("last_p95_us"), p99=run.get("last_p99_us"), invalid=run.get("invalid"))


def append(bench):
    """Messages of 4 KB by APPEND, durable at the OK; a mailbox of its own for each connection."""
    with bench.target(50) as target:
        target.start()
        first_mail(bench, target)
        for name, count, named in (("APPEND, synchronising, 4 connections", 2000, {"synchronising": True}),
                                   ("APPEND LITERAL+, 4 connections", 2000, {}),
                                   ("MULTIAPPEND of 50, 1 connection", 40, {"batch": 50, "connections": 1}),
                                   ("MULTIAPPEND of 50, 4 connections", 80, {"batch": 50})):
            named = {"connections": 4, **named}
            bench.repeated(name, target, lambda n=count, more=named: bench.load(
                "append", port=target.port("imap"), users=target.users, count=max(4, n // 10) if bench.quick else n,
                seconds=5 if bench.quick else 6, **more), units=True)


def pop3(bench):
    with bench.target(50) as target:
        fill(bench, target, 20 if bench.quick else 200, accounts=50)
        target.start()

        def once(count=50 if bench.quick else 100):
            return bench.load("pop3", port=target.port("pop3s"), tls="implicit", users=target.users, connections=8,
                              count=count, seconds=7)
        once(50)
        bench.repeated("RETR; TLS, 8 connections, login + UIDL + all + QUIT", target, once, units=True)


def counts(bench):
    """What does not depend on the machine: system calls and flushes of one operation, warm, by strace -c."""
    ops = 20 if bench.quick else 200
    with bench.target(10) as target:
        fill(bench, target, 200)
        target.start()

        def send(**named):
            before = target.count_messages()
            run = bench.load("mail", port=target.port("mx"), users=target.users, count=ops, seconds=60, **named)[0]
            target.wait_for_messages(before + run["ops"] * named.get("recipients", 1))
            return run

        def visit():
            return bench.load("imap-mix", port=target.port("imaps"), tls="implicit", users=target.first_user(),
                              count=ops, seconds=60)[0]
        send()
        visit()
        for name, daemon, run, per in (
                ("mx, message per connection", "smtpd", send, "message"),
                ("mx, 20 messages per connection", "smtpd", lambda: send(per_connection=20), "message"),
                ("mx, 5 recipients", "smtpd", lambda: send(recipients=5), "message"),
                ("mx STARTTLS", "smtpd", lambda: send(tls="starttls"), "message"),
                ("IMAP session mix", "imapd", visit, "session")):
            with SystemCalls(target.pids(daemon)) as traced:
                done = run()
            call_rows(bench, name, traced, max(done["ops"], 1), per)
        if bench.is_peer:
            return
        give_rules(target)
        send()
        with SystemCalls(target.pids("smtpd")) as traced:
            done = send()
        call_rows(bench, "mx, message per connection, 30 Sieve rules", traced, max(done["ops"], 1), "message")


SCENARIOS = (limits, smtp, submission, lmtp, sieve, imap, append, big, idle, pop3, counts)


# What a row is to be ahead of Postfix and Dovecot (high-performance login), so that a run says what it misses. Of "mx, 20
# connections" 60 % of the disk's own loop is enough where the disk allows less; of "TLS connections" 80 % of the handshakes.
TARGETS = {
    "mx, 20 connections": 7, "mx STARTTLS, 20 connections": 5, "submission STARTTLS AUTH, 20 connections": 5,
    "lmtp, 1 connection": 6, "lmtp, 10 connections": 4, "session mix; TLS, 16 connections": 8,
    "RETR; TLS, 8 connections, login + UIDL + all + QUIT": 8,
    "APPEND LITERAL+, 4 connections": 4, "MULTIAPPEND of 50, 1 connection": 3,
    "FETCH 1:* (UID FLAGS)": 3, "FETCH 1:* (ENVELOPE BODYSTRUCTURE), first": 10, "FETCH 1:* (ENVELOPE BODYSTRUCTURE), again": 7,
    "FETCH 1:* BODY[]": 3, "SELECT": 1, "both: login and SELECT, index deleted": 2,
    "SEARCH FROM": 10, "SEARCH SUBJECT": 10, "SEARCH TEXT": 5, "STORE one": 100, "STORE 1:*": 3,
    "QRESYNC SELECT after 1,000 changes": 50, "push: SMTP 250 to the first session's EXISTS": 50,
    "TLS connections, 16 at once": 1,
}


# -- the table ---------------------------------------------------------------------------------------

def figure(value):
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def milliseconds(us):
    return "" if us is None else figure(us / 1000)


def table(groups):
    """One aligned table out of (group, rows)."""
    head = ("", "value", "unit", "p50 ms", "p95 ms", "p99 ms", "CPU us/op", "own %", "spread", "")
    lines = [head]
    for group, rows in groups:
        lines.append((group.upper(),) + ("",) * 9)
        for row in rows:
            spread = row.get("spread")
            note = "; ".join(text for text in (
                row.get("invalid") and f"INVALID: {row['invalid']}", row.get("note"),
                f"others used {row['others_percent']} % of the machine" if row.get("others_percent", 0) >= 15 else None)
                if text)
            lines.append(("  " + row["scenario"], figure(row["value"]), row["unit"], milliseconds(row.get("p50")),
                          milliseconds(row.get("p95")), milliseconds(row.get("p99")), figure(row.get("cpu_us")),
                          "" if row.get("own_percent") is None else f"{row['own_percent']:.0f}",
                          f"{figure(spread[0])}-{figure(spread[1])}" if spread and spread[0] != spread[1] else "", note))
    widths = [max(len(line[i]) for line in lines) for i in range(9)]
    out = []
    for line in lines:
        cells = [line[0].ljust(widths[0]), line[1].rjust(widths[1]), line[2].ljust(widths[2])]
        cells += [line[i].rjust(widths[i]) for i in range(3, 9)] + [line[9]]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def comparison(groups, theirs):
    """One aligned table of ratios out of two runs' (group, rows)."""
    others = {(group, row["scenario"]): row for group, rows in theirs for row in rows}
    lines = [("", "Postroom", peer.Peer.name, "unit", "ratio", "target", "")]
    for group, rows in groups:
        lines.append((group.upper(), "", "", "", "", "", ""))
        for row in rows:
            other = others.get((group, row["scenario"]))
            if not other:
                continue
            invalid = row.get("invalid") or other.get("invalid")
            ratio = None if invalid else times_better(row, other)
            target = TARGETS.get(row["scenario"])
            note = f"INVALID: {invalid}" if invalid else "missed" if target and ratio is not None and ratio < target else ""
            lines.append(("  " + row["scenario"], figure(row["value"]), figure(other["value"]), row["unit"], figure(ratio),
                          figure(target), note))
    widths = [max(len(line[i]) for line in lines) for i in range(6)]
    return "\n".join("  ".join((line[0].ljust(widths[0]), line[1].rjust(widths[1]), line[2].rjust(widths[2]),
                                line[3].ljust(widths[3]), line[4].rjust(widths[4]), line[5].rjust(widths[5]), line[6])).rstrip()
                     for line in lines)


def times_better(row, other):
    """Above 1 in Postroom's favour; None when there is nothing to divide. Less than 10 us is not told apart from 10 us."""
    least = 0.01 if row["unit"] == "ms" else 0
    ours, theirs = max(row["value"], least), max(other["value"], least)
    if ours <= 0 or theirs <= 0:
        return None
    return ours / theirs if row["unit"] == "/s" else theirs / ours


def machine(about):
    cpu = "unknown processor"
    with contextlib.suppress(OSError, AttributeError):
        cpu = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M).group(1)
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    version = subprocess.run([BUILD / "bin" / "postroom", "version"], capture_output=True, text=True, check=False)
    filesystem = subprocess.run(["stat", "-f", "-c", "%T", str(BUILD)], capture_output=True, text=True, check=False)
    return (f"{version.stdout.strip() or 'postroom'}, compiler {about['compiler']}, {' '.join(about['openssl'].split()[:2])}\n"
            f"{cpu}, {os.cpu_count()} cores, {memory_gb:.0f} GB, Linux {platform.release()}, "
            f"{filesystem.stdout.strip()}; {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}; "
            f"load {os.getloadavg()[0]:.1f} before")


def run_group(bench, scenario):
    print(f"{scenario.__name__}{' (peer)' if bench.is_peer else ''}:", file=sys.stderr, flush=True)
    bench.rows = []
    try:
        scenario(bench)
    except (RuntimeError, OSError, ValueError, postroom.CommandFailed, subprocess.SubprocessError) as error:
        bench.row(scenario.__name__, 0, "", invalid=str(error).strip().splitlines()[-1][:300])
    return bench.rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                     epilog="groups: " + ", ".join(scenario.__name__ for scenario in SCENARIOS))
    parser.add_argument("--only", action="append", metavar="GROUP", help="these groups (may be given several times)")
    parser.add_argument("--quick", action="store_true", help="short runs, once each: does it work?")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions of a row (%(default)s)")
    parser.add_argument("--messages", type=int, default=0, help="size of the big mailbox")
    parser.add_argument("--sessions", type=int, default=1000, help="idle sessions (%(default)s)")
    parser.add_argument("--peer", choices=("fast", "secure"),
                        help="Postfix and Dovecot beside it; Dovecot's login processes in this mode")
    parser.add_argument("--json", metavar="FILE", help="append each row to FILE, a line of JSON each")
    parser.add_argument("--anyway", action="store_true", help="also with a build without optimisation, or sanitized")
    parser.add_argument("--keep", action="store_true", help="leave the instances and their logs behind")
    options = parser.parse_args()
    wanted = [scenario for scenario in SCENARIOS if not options.only or scenario.__name__ in options.only]
    if not wanted or (options.only and len(wanted) < len(set(options.only))):
        parser.error("no such group; there are: " + ", ".join(scenario.__name__ for scenario in SCENARIOS))
    if not LOAD.exists():
        sys.exit(f"bench: {LOAD} is missing: run `make bench` in the build folder")
    about = json.loads(subprocess.run([LOAD, "--about"], capture_output=True, text=True, check=True).stdout)
    if (about["sanitized"] or not about["optimised"]) and not options.anyway:
        sys.exit("bench: this build is " + ("sanitized" if about["sanitized"] else "not optimised") +
                 ", its figures mean nothing: configure another one with -O2 and without --enable-sanitize "
                 "(or give --anyway)")
    if options.peer and peer.missing():
        sys.exit(f"bench: {peer.missing()}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = pathlib.Path(tempfile.mkdtemp(prefix="bench-work-", dir=BUILD))
    spread(work)
    bench = Bench(options, work)
    groups, theirs = [], []
    failed = False
    header = machine(about)
    try:
        for scenario in wanted:
            groups.append((scenario.__name__, run_group(bench, scenario)))
            if options.peer and scenario is not limits:
                bench.is_peer = True
                theirs.append((scenario.__name__, run_group(bench, scenario)))
                bench.is_peer = False
    except KeyboardInterrupt:
        failed = True
    finally:
        if options.keep:
            print(f"bench: kept {work}", file=sys.stderr)
        else:
            shutil.rmtree(work, ignore_errors=True)
    print(header)
    print(table(groups))
    if theirs:
        print(f"\n{peer.Peer.name}, {options.peer} login; rows of mail count what is in the mailboxes")
        print(table(theirs))
        print()
        print(comparison(groups, theirs))
    invalid = sum(bool(row.get("invalid")) for _, rows in groups + theirs for row in rows)
    if invalid:
        print(f"bench: {invalid} rows are invalid")
    return 1 if failed or invalid else 0


if __name__ == "__main__":
    sys.exit(main())
