"""Does the cost of an operation grow with the number of accounts, or with the number of workers?

    make bench-scale [SCALE=100000] [BENCH_FLAGS="--quick"]

Real daemons on loopback. Processor time is that of all threads of the daemon (machine.cpu_ns), for each operation: other work on the
machine changes it by what caches lose, not by waiting. System calls are counted by strace, wake-ups (which depend on how threads happen
to meet) left out. The third table of `make bench-scale`, by the number of messages, is tests/bench/scale_bench.c's.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE / "e2e"))
import postroom     # noqa: E402
from calls import LIBRARIES, WAKE_UPS, SystemCalls   # noqa: E402
from machine import cpu_ns, work_folder   # noqa: E402

LOAD = postroom.BUILD / "tests" / "bench" / "load" / "load"
CONF = "connections-per-minute 1000000\nconnections-per-minute-mx 1000000\nstrangers-per-address 1000\nstrangers-per-network 1000\n" \
       "smtp-banner-delay 0s\n"
ASKED = 10      # accounts that log in again and again: their passwords are known, however many others there are
AT_ONCE = 4
RESETS = 10     # in a session: a daemon that is asked about one recipient after the other hangs up at some point


def load(server, scenario, listener, users, count):
    """Operations of the generator, all of which must have worked."""
    done = subprocess.run([LOAD, "--port", str(server.port(listener)), "--users", users, "--connections", str(min(AT_ONCE, count)),
                           "--count", str(count), "--seconds", "300", "--", scenario], capture_output=True, text=True, timeout=400, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    if not rows or rows[-1].get("errors") or rows[-1]["ops"] != count:
        raise RuntimeError(f"{scenario} at {listener}: {done.stdout} {done.stderr}")


def cpu_us_of(server, daemon, work, count):
    """Microseconds that the daemon's threads ran for each of the operations that work() does."""
    before = cpu_ns(server.pids(daemon))
    work()
    return (cpu_ns(server.pids(daemon)) - before) / count / 1000


def calls_of(server, daemon, work, count):
    with SystemCalls(server.pids(daemon)) as counted:
        work()
    if counted.why:
        return None
    return sum(n for name, n in counted.calls.items() if name not in WAKE_UPS | LIBRARIES) / count


def memory_kb(server, daemon):
    """Proportional, of all processes of the daemon."""
    return sum(int(line.split()[1]) for pid in server.pids(daemon)
               for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))


def command_us(server, *words):
    """Microseconds of processor of a command of `postroom`, and of the daemons that answer it."""
    own, before = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_ns(server.pids())
    server.postroom(*words)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ((now.ru_utime - own.ru_utime + now.ru_stime - own.ru_stime) * 1e6, (cpu_ns(server.pids()) - before) / 1000)


def users_file(server, name, addresses):
    path = server.root / name
    path.write_text("".join(f"{address} {server.passwords[address]}\n" for address in addresses))
    return path


def ask_for_recipients(server, addresses):
    """RCPT TO each, without a message: what finding an account in the directory costs."""
    for first in range(0, len(addresses), RESETS):
        with server.raw("mx") as line:
            line.reply()
            line.smtp("EHLO bench.test")
            for address in addresses[first:first + RESETS]:
                for command in ("MAIL FROM:<sender@elsewhere.example>", f"RCPT TO:<{address}>", "RSET"):
                    if line.smtp(command) != 250:
                        raise RuntimeError(f"{command} was refused")


def operations(server, asked, count):
    """The rows that each table has: (name, daemon, what does it count times)."""
    return (("message by MX, 4 KB", "smtpd", lambda: load(server, "mail", "mx", asked, count)),
            ("IMAP: login, SELECT, FETCH flags, LOGOUT", "imapd", lambda: load(server, "imap-short", "imap", asked, count)),
            ("POP3: login, UIDL, RETR of all, QUIT", "pop3d", lambda: load(server, "pop3", "pop3", asked, count)))


def warm_up(server, asked, rounds):
    """Some mail for each, and every worker, whoever accepts, has had each of these accounts and knows its password."""
    for (_, daemon, _), (_, _, work) in zip(operations(server, asked, ASKED), operations(server, asked, ASKED)):
        for _ in range(1 if daemon == "smtpd" else rounds):
            work()


def by_accounts(accounts, count):
    """A column: name of the row -> number."""
    column = {}
    with postroom.Instance(conf=CONF + "workers 1\n") as server:
        names = [f"user{n}@example.test" for n in range(accounts)]
        server.passwords.update({name: f"secret{n}" for n, name in enumerate(names)})
        list_of_them = server.root / "bench-accounts"
        list_of_them.write_text("".join(f"{name}:{{PLAIN}}{server.passwords[name]}::::::\n" for name in names))
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        server.postroom("account", "import", str(list_of_them))
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        column["import of an account, us"] = (now.ru_utime - used.ru_utime + now.ru_stime - used.ru_stime) * 1e6 / accounts
        everybody, asked = users_file(server, "bench-users", names), users_file(server, "bench-asked", names[:ASKED])
        server.start()
        closed = {daemon: memory_kb(server, daemon) for daemon in ("smtpd", "imapd")}
        column["first message of an account, us"] = cpu_us_of(server, "smtpd", lambda: load(server, "mail", "mx", everybody, accounts),
                                                              accounts)
        column["first login of an account (its hash), us"] = cpu_us_of(server, "imapd", lambda: load(server, "imap-short", "imap", everybody,
                                                                                                      accounts), accounts)
        for daemon, before in closed.items():
            column[f"memory of {daemon} for each that was used, KB"] = (memory_kb(server, daemon) - before) / accounts
        server.stop()
        server.start()
        column["start until all listen, us"] = cpu_ns(server.pids()) / 1000
        warm_up(server, asked, 1)
        for name, daemon, work in operations(server, asked, count):
            column[name + ", us"] = cpu_us_of(server, daemon, work, count)
        spread = [names[n * 7919 % accounts] for n in range(count)]
        column["message by MX, all accounts in turn, us"] = cpu_us_of(server, "smtpd", lambda: load(server, "mail", "mx", everybody,
                                                                                                    max(count, accounts)), max(count, accounts))
        column["MAIL, RCPT, RSET: directory look-up, us"] = cpu_us_of(server, "smtpd", lambda: ask_for_recipients(server, spread), count)
        for verb in ("status", "reload"):
            own, served = command_us(server, verb)
            column[f"postroom {verb}: the command, us"] = own
            column[f"postroom {verb}: the daemons, us"] = served
    return column


def by_workers(workers, count):
    column = {}
    with postroom.Instance(accounts=("alice", "bob", "carol", "dave"), conf=CONF + f"workers {workers}\n") as server:
        asked = users_file(server, "bench-asked", sorted(server.passwords))
        server.start()
        first = {daemon: memory_kb(server, daemon) for daemon in ("smtpd", "imapd", "pop3d")}
        warm_up(server, asked, 8 * workers)
        for name, daemon, work in operations(server, asked, count):
            column[name + ", us"] = cpu_us_of(server, daemon, work, count)
        for name, daemon, work in operations(server, asked, count // 4):
            calls = calls_of(server, daemon, work, count // 4)
            if calls is not None:
                column[name + ", system calls"] = calls
        for daemon, before in first.items():
            column[f"{daemon}: memory of a worker, just started, KB"] = before / workers
            column[f"{daemon}: memory of a worker, after its work, KB"] = memory_kb(server, daemon) / workers
    return column


def table(head, sizes, columns):
    """Aligned; the last number is the ratio of the greatest size to the smallest."""
    print(f"\n{head:<50}" + "".join(f"{size:>11,}" for size in sizes) + f"{'ratio':>8}")
    for name in columns[0]:
        values = [column[name] for column in columns]
        print(f"{name:<50}" + "".join(f"{value:>11,.0f}" for value in values) +
              (f"{values[-1] / values[0]:>8.2f}" if values[0] > 0 else f"{'':>8}"))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description="Cost of an operation by number of accounts and of workers.")
    parser.add_argument("--quick", action="store_true", help="few accounts, workers and operations: does it work?")
    parser.add_argument("--count", type=int, default=400, help="operations of a row (%(default)s)")
    args = parser.parse_args()
    accounts, workers, count = ((10, 20), (1, 2), 12) if args.quick else ((10, 100, 1000), (1, 2, 4, 8), args.count)
    print(f"\n{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; "
          f"{count} operations a row, {AT_ONCE} at once; us: processor time")
    with work_folder(os.getcwd()):
        table("accounts (10 of them in use, one worker)", accounts, [by_accounts(n, count) for n in accounts])
        table("workers (4 accounts)", workers, [by_workers(n, count) for n in workers])
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("bench-scale: stopped before its end")
