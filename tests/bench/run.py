#!/usr/bin/python3
"""Figures of this build on this machine: `make bench`, or POSTROOM_BUILD=... tests/bench/run.py.

Starts real instances on loopback below the build folder, puts tests/bench/load/load on them, and prints one table. A row is the median
of some repetitions (--repeat); a row marked "invalid" is not to be believed, and says why. --peer also puts the same load on Debian's
Postfix and Dovecot, each repetition of one beside one of the other (engine.py), and prints ratios and what targets were met.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys
import time

os.environ["POSTROOM_BUILD"] = str(pathlib.Path(os.environ.get("POSTROOM_BUILD", "build")).resolve())
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import peer  # noqa: E402
from big_group import big  # noqa: E402
from count_groups import counts  # noqa: E402
from engine import LOAD, Bench  # noqa: E402
from imap_groups import append, idle, imap, logins, pop3  # noqa: E402
from machine import work_folder  # noqa: E402
from mail_groups import limits, lmtp, sieve, smtp, submission  # noqa: E402
from postroom import BUILD  # noqa: E402
from table import agreement, comparison, detail  # noqa: E402

GROUPS = (limits, smtp, submission, lmtp, sieve, imap, logins, append, big, idle, pop3, counts)
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def machine(about):
    cpu = "unknown processor"
    with contextlib.suppress(OSError, AttributeError):
        cpu = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M).group(1)
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    version = subprocess.run([BUILD / "bin" / "postroom", "version"], capture_output=True, text=True, check=False)
    filesystem = subprocess.run(["stat", "-f", "-c", "%T", str(BUILD)], capture_output=True, text=True, check=False)
    return (f"{version.stdout.strip() or 'postroom'}, compiler {about['compiler']}, {' '.join(about['openssl'].split()[:2])}, "
            f"generator's TLS {' '.join(about['tls'].split()[:2])}\n"
            f"{cpu}, {os.cpu_count()} cores, {memory_gb:.0f} GB, Linux {platform.release()}, "
            f"{filesystem.stdout.strip()}; {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}; "
            f"load {os.getloadavg()[0]:.1f} before")


def arguments():
    names = ", ".join(group.__name__ for group in GROUPS)
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"groups: {names}\n"
               "--peer: Dovecot's " + "; ".join(f"{login}: {text}" for login, (_, _, text) in peer.LOGINS.items()) +
               "\n        (the group logins has those that --peer does not name)\n"
               "example: make bench-compare BENCH_FLAGS=\"--quick --only smtp\"")
    parser.add_argument("--only", action="append", metavar="GROUP", help="these groups (may be given several times)")
    parser.add_argument("--quick", action="store_true", help="small mailboxes, each row once: does it work?")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of a row that has a target, of a second each (%(default)s)")
    parser.add_argument("--messages", type=int, default=0, help="size of the big mailbox")
    parser.add_argument("--sessions", type=int, default=1000, help="idle sessions (%(default)s)")
    parser.add_argument("--peer", choices=tuple(peer.LOGINS), help="Postfix and Dovecot beside it; Dovecot's processes in this mode")
    parser.add_argument("--json", metavar="FILE", help="append each row to FILE, a line of JSON each")
    parser.add_argument("--against", metavar="FILE", help="with --peer: which ratios differ from those of a run with --json FILE")
    parser.add_argument("--markdown", action="store_true", help="with --peer: the last table as doc/performance.md has it")
    parser.add_argument("--anyway", action="store_true", help="also with a build without optimisation, or sanitized")
    parser.add_argument("--keep", action="store_true", help="leave the instances and their logs behind")
    options = parser.parse_args()
    options.earlier = []
    if options.against:
        try:
            options.earlier = [json.loads(line) for line in pathlib.Path(options.against).read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as error:
            parser.error(f"--against: {error}")
    options.groups = [group for group in GROUPS if not options.only or group.__name__ in options.only]
    if options.only and len(options.groups) < len(set(options.only)):
        parser.error("no such group; there are: " + names)
    if options.repeat < 1:
        parser.error("--repeat is 1 or more")
    return options


def build(options):
    """What the load generator, and so the daemons, were built with; not with what makes figures mean nothing."""
    if not LOAD.exists():
        sys.exit(f"bench: {LOAD} is missing: run `make bench` in the build folder")
    about = json.loads(subprocess.run([LOAD, "--about"], capture_output=True, text=True, check=True).stdout)
    if (about["sanitized"] or not about["optimised"]) and not options.anyway:
        sys.exit("bench: this build is " + ("sanitized" if about["sanitized"] else "not optimised") +
                 ", its figures mean nothing: configure another one with -O2 and without --enable-sanitize "
                 "(or give --anyway)")
    return about


def stop(number, _):
    """The first signal ends the run, with all that was started; another one would leave something behind."""
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    print(f"\nbench: {signal.Signals(number).name}: stopping what was started, then removing its files", file=sys.stderr, flush=True)
    raise KeyboardInterrupt


def main():
    options = arguments()
    about = build(options)
    if options.peer and peer.missing():
        sys.exit(f"bench: {peer.missing()}")
    for number in STOPPING:
        signal.signal(number, stop)
    header, groups, stopped = machine(about), [], False
    begun = time.monotonic()
    try:
        with work_folder(BUILD, options.keep) as work:
            bench = Bench(options, work)
            for group in options.groups:
                started = time.monotonic()
                rows = bench.play(group)
                groups.append((group.__name__, time.monotonic() - started, rows))
    except KeyboardInterrupt:
        stopped = True
    if options.keep:
        print(f"bench: kept {work}", file=sys.stderr)
    print(f"{header}; {(time.monotonic() - begun) / 60:.1f} minutes")
    print(detail(groups, "postroom"))
    if options.peer:
        print(f"\n{peer.Peer.name}, {peer.LOGINS[options.peer][2]}; rows of mail count what is in the mailboxes")
        print(detail(groups, "peer"))
        print()
        print(comparison(groups, options.markdown))
        if options.earlier:
            print(agreement(groups, options.earlier))
    invalid = sum(any(row.get(key, {}).get("invalid") for key in ("postroom", "peer")) for _, _, rows in groups for row in rows)
    if invalid:
        print(f"bench: {invalid} rows are invalid")
    if stopped:
        print("bench: stopped before its end")
    return 1 if stopped or invalid else 0


if __name__ == "__main__":
    sys.exit(main())
