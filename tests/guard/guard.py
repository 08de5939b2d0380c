#!/usr/bin/python3
"""Did an operation become dearer? Counts instead of clocks: `make check-guard`, or BUILD=... tests/guard/guard.py [--record].

Three programs do operations of the modules and count the octets that our own code copies, what it allocates and, below
callgrind, instructions. Then real daemons do operations below strace: system calls and flushes. Each count is compared with
tests/guard/recorded.json; --record writes that file anew (`make guard-record`), for a commit that says why.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(os.environ.get("POSTROOM_BUILD", "build")).resolve()
os.environ["POSTROOM_BUILD"] = str(BUILD)
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
sys.path.insert(0, str(HERE.parent / "bench"))

import postroom  # noqa: E402
from calls import FLUSHES, LIBRARIES, WAKE_UPS, SystemCalls, total  # noqa: E402

LOAD = BUILD / "tests" / "bench" / "load" / "load"
RECORDED = HERE / "recorded.json"
PROGRAMS = ("store_steps", "mail_steps", "tls_steps")
MESSAGES = 1000
OPS = 20
LETTER = (b"From: x@there.test\r\nSubject: a letter\r\nDate: Sat, 21 Nov 2026 20:00:00 +0000\r\n\r\n" +
          b"Some text that fills its line, as most texts of a letter do.\r\n" * 160)

# What may differ from the record: a share, and an amount that small counts may differ by. Half a flush: on a busy machine the
# flag log, which is flushed each second, comes between.
TOLERANCE = {"instructions": (0.03, 0), "copied": (0.03, 512), "allocations": (0.03, 1), "flushes": (0, 0.5),
             "calls": (0.15, 2), "wake-ups": (0.6, 6)}
# A loop and threads take part in these, as often as they happen to meet: by 1 % in six runs on a busy machine.
LOOSE = {"MX session": 0.08, "LMTP session": 0.08,
         "TLS connection": 0.05}    # 97 % are OpenSSL's, which other releases may do otherwise; a ticket would be 6 %

# Of libc: what copies octets, and what malloc(), calloc(), realloc() and free() are made of.
UNCOUNTED = re.compile(r"_*mem(cpy|move|set)_|(_*(libc_)?(_int_)?(malloc|calloc|realloc|free)|malloc_consolidate|unlink_chunk|alloc_perturb|"
                       r"tcache_\w+|sysmalloc|systrim|arena_get2?|checked_request2size|ptmalloc_init)(\W.*)?$")

# Functions of libc and OpenSSL that differ by processor would make instructions incomparable: the plainest ones are taken.
PLAIN_PROCESSOR = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=" + ",".join("-" + name for name in (
        "AVX512F", "AVX2", "AVX2_Usable", "AVX", "AVX_Usable", "BMI2", "BMI1", "LZCNT", "MOVBE", "RTM", "ERMS", "FSRM",
        "SSE4_2", "SSE4_1", "SSSE3", "Prefer_ERMS")),
    "OPENSSL_ia32cap": "0:0",
}


# -- programs --------------------------------------------------------------------------------------------------------

def instructions(profile):
    """What callgrind counted in one of its files, without the copying of octets and the allocator: how many instructions those need
    depends on where the octets happen to lie, and on what was freed before (a STORE's differed by 3 % with the length of a path). Both
    are counted by themselves."""
    uncounted = {number for number, name in re.findall(r"^c?fn=\((\d+)\) (.*)$", profile, re.M) if UNCOUNTED.match(name)}
    total, counts, after_calls = 0, True, False
    for line in profile.splitlines():
        if line.startswith("fn="):
            counts = re.match(r"fn=\((\d+)", line).group(1) not in uncounted
        elif line.startswith("calls="):
            after_calls = True      # the next line is what the called function took, which has lines of its own
        elif re.match(r"[+*\d-]", line):
            total += int(line.split()[1]) if counts and not after_calls else 0
            after_calls = False
    return total


def run_program(name, work, has_valgrind):
    """{step: {"copied": ..., "allocations": ..., "instructions": ...}} of one program."""
    # In its folder, and by a name that is the same everywhere: what writes a path takes more for a longer one.
    command = [str(BUILD / "tests" / "guard" / name), *([] if name == "mail_steps" else ["."])]
    dump = work / f"{name}.callgrind"
    if has_valgrind:
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={dump}",
                   f"--log-file={dump}.log", *command]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False, cwd=work,
                          env={**os.environ, **PLAIN_PROCESSOR})
    if done.returncode:
        raise RuntimeError(f"{name}: exit {done.returncode}: {done.stderr.strip()[-2000:]}")
    steps = {}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        steps[row["step"]] = {"ops": row["ops"], "copied": row["copied"], "allocations": row["allocations"]}
    for path in work.glob(f"{name}.callgrind.*"):
        text = path.read_text(errors="replace")
        step = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.M)
        if step:
            steps[step.group(1)]["instructions"] = instructions(text) / steps[step.group(1)]["ops"]
    if has_valgrind and not all("instructions" in step for step in steps.values()):
        raise RuntimeError(f"{name}: callgrind counted nothing: was it built without valgrind/callgrind.h?")
    return steps


# -- daemons ---------------------------------------------------------------------------------------------------------

def load(*args):
    done = subprocess.run([str(LOAD), *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          check=False)
    row = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    if row.get("errors") or row.get("error") or "ops" not in row:
        raise RuntimeError(f"load {args[-1]}: {row.get('error') or done.stderr.strip()}")


def let_folders_settle(server, *names):
    """A folder of a Maildir that changed within the last two seconds is read at each SELECT: a later change could leave the
    same time. What is counted is a mailbox at rest, on a quick machine as on a slow one."""
    folders = [folder for name in names for folder in server.maildir(name).glob("**/new")]
    while time.time() - max(folder.stat().st_mtime for folder in folders) < 2.5:
        time.sleep(0.1)


def imap_must(answer):
    if answer[0] != "OK":
        raise RuntimeError(f"IMAP: {answer}")
    return answer[1]


def daemon_steps(work):
    """{step: {"calls": ..., "wake-ups": ..., "flushes": ...}}, or why there are none."""
    # Few threads: each of them opens something of its own once, which is no part of an operation.
    with postroom.Instance(accounts=["alice", "bob"], root=work / "instance", conf="workers 1\nthreads 2") as server:
        for name, count in (("alice", MESSAGES), ("bob", 100)):
            server.maildir(name).parent.mkdir(parents=True, exist_ok=True)
            load("--dir", server.maildir(name), "--count", count, "--size", 4096, "fill")
        users = work / "users"
        users.write_text("".join(f"{server.address(name)} {server.password(name)}\n" for name in ("bob",)))
        server.start()
        return measure(server, users)


def measure(server, users):
    imap = server.imap("alice", tls=False)
    imap_must(imap.create("Letters"))
    imap_must(imap.select("INBOX"))
    # All of it parsed, so that nobody does it in the background meanwhile.
    for name in ("alice", "bob"):
        with server.imap(name, tls=False) as other:
            imap_must(other.select("INBOX"))
            imap_must(other.fetch("1:*", "(ENVELOPE BODYSTRUCTURE)"))
    numbers = iter(range(10, MESSAGES))

    def store():
        imap_must(imap.store(str(next(numbers)), "+FLAGS", "(\\Flagged)"))

    def expunge():
        imap_must(imap.store(str(next(numbers)), "+FLAGS.SILENT", "(\\Deleted)"))
        imap_must(imap.expunge())

    def retrieve(pop):
        def once():
            pop.retr(next(letters))
        letters = iter(range(1, 100))
        return once

    def mail(*options):
        return lambda: load(*options, "--users", users, "--count", OPS, "mail")

    pop = None
    with smtplib.LMTP("127.0.0.1", server.port("lmtp")) as smtp:    # the account's folders are made
        smtp.sendmail("x@there.test", [server.address("bob")], LETTER)
    steps = (   # name, daemon, what is done, how many operations that is
        ("MX, a message per connection", "smtpd", mail("--port", server.port("mx")), OPS),
        ("LMTP, a message per connection", "smtpd", mail("--port", server.port("lmtp"), "--lmtp"), OPS),
        ("IMAP session mix, TLS", "imapd", lambda: load("--port", server.port("imaps"), "--tls", "implicit", "--users", users,
                                                        "--count", OPS, "imap-mix"), OPS),
        ("SELECT", "imapd", lambda: imap_must(imap.select("INBOX")), 1),
        ("FETCH flags of 1,000", "imapd", lambda: imap_must(imap.fetch("1:900", "(UID FLAGS)")), 1),
        ("FETCH envelopes of 1,000", "imapd", lambda: imap_must(imap.fetch("1:900", "(ENVELOPE BODYSTRUCTURE)")), 1),
        ("SEARCH FROM in 1,000", "imapd", lambda: imap_must(imap.search(None, "FROM", "tanaka")), 1),
        ("STORE one of 1,000", "imapd", store, 1),
        ("APPEND", "imapd", lambda: imap_must(imap.append("Letters", None, None, LETTER)), 1),
        ("STORE and EXPUNGE one of 1,000", "imapd", expunge, 1),
        ("RETR", "pop3d", None, 1),
    )
    found = {}
    for name, daemon, do, at_once in steps:
        if daemon == "pop3d":
            pop = server.pop3("bob")
            do = retrieve(pop)
        if name in ("IMAP session mix, TLS", "SELECT"):
            let_folders_settle(server, "alice", "bob")
        do()    # what is done once only: opening, parsing, arenas
        do()
        ops = at_once if at_once > 1 else OPS
        with SystemCalls(server.pids(daemon)) as traced:
            for _ in range(ops // at_once):
                do()
        if traced.calls is None:
            return traced.why
        calls = traced.calls
        found[name] = {
            "calls": (sum(calls.values()) - total(calls, WAKE_UPS | LIBRARIES)) / ops,
            "wake-ups": total(calls, WAKE_UPS) / ops,
            "flushes": total(calls, FLUSHES) / ops,
            "top": " ".join(f"{call} {n / ops:.1f}" for call, n in sorted(calls.items(), key=lambda item: -item[1])[:12]),
        }
    imap.logout()
    pop.quit()
    return found


# -- comparing -------------------------------------------------------------------------------------------------------

def figure(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.1f}" if value >= 10 else f"{value:.2f}"


def compare(step, kind, value, recorded):
    """"", "dearer" or "cheaper"."""
    share, amount = (LOOSE[step], 0) if kind == "instructions" and step in LOOSE else TOLERANCE[kind]
    room = max(recorded * share, amount)
    return "dearer" if value > recorded + room else "cheaper" if value < recorded - room else ""


def table(title, kinds, steps, recorded, is_compared, show_calls):
    """Prints one part; returns what became dearer, and cheaper."""
    print(title)
    width = max(len(step) for step in steps)
    print("  " + "".ljust(width) + "".join(f"{kind:>14} {'recorded':>12}" for kind in kinds))
    verdicts = {"dearer": [], "cheaper": [], "": []}
    for step, counts in steps.items():
        if is_compared and step not in recorded:
            verdicts["dearer"].append(f"{step}: never recorded")
        line = "  " + step.ljust(width)
        for kind in kinds:
            was = recorded.get(step, {}).get(kind)
            if kind not in counts:
                line += f"{'-':>14} {'' if was is None else figure(was):>12}"
                continue
            verdict = compare(step, kind, counts[kind], was) if is_compared and was is not None else ""
            if verdict:
                verdicts[verdict].append(f"{step}: {kind} {figure(counts[kind])}, recorded {figure(was)}")
            mark = {"dearer": "!", "cheaper": "-", "": " "}[verdict]
            line += f"{figure(counts[kind]):>14}{mark}{'' if was is None else figure(was):>12}"
        print(line.rstrip())
        if show_calls and "top" in counts:
            print("    " + counts["top"])
    return verdicts["dearer"], verdicts["cheaper"]


def least_daemon_steps(work, recorded):
    """daemon_steps(), and again when something is dearer: another program or a timer may have come between, and what an
    operation needs is the least that it took."""
    found = {}
    for attempt in range(3):
        folder = work / f"daemons-{attempt}"
        folder.mkdir()
        steps = daemon_steps(folder)
        if isinstance(steps, str):
            return steps
        for step, counts in steps.items():
            before = found.setdefault(step, counts)
            for kind in ("calls", "wake-ups", "flushes"):
                before[kind] = min(before[kind], counts[kind])
        if not any(kind in TOLERANCE and compare(step, kind, counts[kind], recorded[step][kind]) == "dearer"
                   for step, counts in found.items() if step in recorded for kind in recorded[step]):
            break
    return found


def rounded(steps, kinds):
    return {step: {kind: round(counts[kind], 2 if kind == "flushes" else 1) for kind in kinds if kind in counts}
            for step, counts in steps.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="example: guard.py --calls")
    parser.add_argument("--record", action="store_true", help="write what is counted now as what is right")
    parser.add_argument("--calls", action="store_true", help="also print each step's most frequent system calls")
    options = parser.parse_args()
    about = json.loads(subprocess.run([LOAD, "--about"], capture_output=True, text=True, check=True).stdout)
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    is_plain = about["optimised"] and not about["sanitized"]
    machine = f"gcc {about['compiler']}, {platform.machine()}"
    has_valgrind = bool(shutil.which("valgrind")) and not about["sanitized"]
    dearer, cheaper, skipped = [], [], []
    with tempfile.TemporaryDirectory(prefix="postroom-guard-", dir=BUILD) as folder:
        work = pathlib.Path(folder)
        programs = {}
        for name in PROGRAMS:
            programs.update(run_program(name, work, has_valgrind))
        daemons = least_daemon_steps(work, recorded.get("daemons", {}) if is_plain and not options.record else {})
    if not has_valgrind and not about["sanitized"]:
        skipped.append("instructions: valgrind is not installed (Debian: valgrind)")
    if isinstance(daemons, str):
        skipped.append(f"system calls: {daemons}")
        daemons = {}
    if options.record:
        if skipped or not is_plain:
            sys.exit("guard: not recorded: " + "; ".join(skipped or ["this build is sanitized or not optimised"]))
        RECORDED.write_text(json.dumps({
            "machine": machine, "programs": rounded(programs, ("instructions", "copied", "allocations")),
            "daemons": rounded(daemons, ("calls", "wake-ups", "flushes"))}, indent=1) + "\n")
        print(f"guard: recorded {len(programs)} and {len(daemons)} operations in {RECORDED}")
        return 0
    # What a compiler makes of the code differs by compiler; what the code asks of the kernel does not.
    is_same = is_plain and machine == recorded.get("machine")
    for part in (table("in one process, for one operation: instructions, octets copied by our code, allocations",
                       ("instructions", "copied", "allocations"), programs, recorded.get("programs", {}), is_same, False),
                 table("daemons, for one operation: system calls, of these flushes; wake-ups of threads and of the loop beside them",
                       ("calls", "flushes", "wake-ups"), daemons, recorded.get("daemons", {}), is_plain, options.calls)
                 if daemons else ([], [])):
        dearer += part[0]
        cheaper += part[1]
    if not is_same:
        print(f"guard: instructions and copies are printed only: recorded with {recorded.get('machine')}, this is {machine}"
              f"{'' if is_plain else ', sanitized or not optimised'}")
    for what in skipped:
        print(f"guard: SKIPPED {what}")
    for what in cheaper:
        print(f"guard: cheaper: {what}: record it by `make guard-record`, so that it stays so")
    for what in dearer:
        print(f"guard: DEARER: {what}")
    print(f"check-guard: {'FAILED' if dearer else 'passed'}: {len(programs) + len(daemons)} operations, {len(dearer)} dearer, "
          f"{len(cheaper)} cheaper")
    return 1 if dearer else 0


if __name__ == "__main__":
    sys.exit(main())
