"""How the benches compare: two servers at once, one repetition of one, then one of the other, and again, the order swapped.

A group is a generator function of one Side. It starts its server, yields Steps, and ends the server when it is closed. The engine
runs the generators of all sides in lock-step: a shared machine changes its speed within minutes, but hardly between one second and
the next. So a ratio is taken of each pair of repetitions, and a row has the median of these ratios and its least and most.
"""

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
import typing

import peer
import postroom
from machine import cpu_by_process
from servers import Postroom
from table import brief, times_better
from targets import target_of

LOAD = postroom.BUILD / "tests" / "bench" / "load" / "load"
ERRORS = (RuntimeError, OSError, ValueError, AssertionError, postroom.CommandFailed, subprocess.SubprocessError)
BOTTLENECK = "the generator was the bottleneck"         # load says so of a run
WITHOUT_TARGET = 3      # repetitions of a row that has no target, at most: time is spent where it matters
QUIET_NS, QUIET_LOOK_S, QUIET_WAIT_S = 2000000, 0.04, 2         # servers are quiet that run less than this in such a time


@dataclasses.dataclass
class Step:
    """Something that can be repeated. run(n) does it for the nth time and returns samples: sample()."""
    name: str
    run: typing.Callable
    repeat: int = None              # None: as often as --repeat says
    writes: bool = False            # the disk is flushed before each repetition, so that nobody waits for what others wrote
    limit: typing.Callable = None   # what the machine itself can do of it, in the same unit: measured in turn, too


def sample(name, value, unit, **more):
    """What one repetition found out: for a row of this name."""
    return {"name": name, "value": value, "unit": unit, **more}


class Side:
    """One of those that are compared: starts its servers, and puts load on them."""

    def __init__(self, bench, is_peer):
        self.bench, self.is_peer = bench, is_peer
        self.key = "peer" if is_peer else "postroom"
        self.quick = bench.options.quick
        self.running = []

    @contextlib.contextmanager
    def server(self, accounts, login=None):
        options = self.bench.options
        with (peer.Peer(self.bench.work, accounts, login or options.peer) if self.is_peer else
              Postroom(self.bench.work, accounts)) as server:
            self.running.append(server)
            try:
                yield server
            finally:
                self.running.remove(server)

    @staticmethod
    def command(scenario, args, named):
        options = []
        for key, value in named.items():
            options += ["--" + key.replace("_", "-")] + ([] if value is True else [str(value)])
        return [str(LOAD), *options, "--", scenario, *args]

    def load(self, scenario, *args, **named):
        """What one start of the generator printed. A start that printed nothing is an error."""
        done = subprocess.run(self.command(scenario, args, named), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=900, check=False)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        if not rows:
            raise RuntimeError(f"load {scenario}: exit {done.returncode}: {done.stderr.strip()}")
        return rows

    def rate(self, name, server, once, units=False, check=None):
        """The sample of one start of the generator. units: count units (RETR) instead of operations."""
        self.bench.until_quiet()
        before = server.cpu_us() if server else 0
        run = once()[0]
        if check:
            run["invalid"] = run.get("invalid") or check(run)
        if server:
            self.bench.until_quiet()        # what is done behind the answers is paid, too
        cpu_us = server.cpu_us() - before if server else 0
        key, count = ("units_per_1000_s", "units") if units else ("per_1000_s", "ops")
        busy = (run["machine_cpu_us"] - run["own_cpu_us"] - cpu_us) * 100 / (run["wall_us"] * run["cores"])
        return sample(name, run[key] / 1000, "/s", cpu_us=cpu_us / max(run[count], 1) if server else None, run=run,
                      others_percent=max(0, round(busy)), **measured(run, "part_" if units else ""))

    def commands(self, server, *commands, skip_us=0, seconds=120):
        """A sample for each NAME|TIMES|COMMAND of one IMAP session, in plain text. skip_us: processor time that is not theirs. Of several
        in one session only the long ones have a figure of the processor's time: to ask for it takes milliseconds."""
        command = self.command("commands", commands, {"port": server.port("imap"), "users": server.first_user(), "seconds": seconds})
        self.bench.until_quiet()
        is_single = sum(not text.startswith("-") for text in commands) == 1
        samples, before = [], server.cpu_us() + skip_us
        with running(command) as process:
            for line in process.stdout:
                now = server.cpu_us()
                run = json.loads(line)
                used = max(0, now - before)
                samples.append(sample(run["scenario"], run.get("p50_us", 0) / 1000, "ms", run=run, used_us=used,
                                      cpu_us=used / max(run["ops"], 1) if is_single or run["wall_us"] > 100000 else None, **measured(run),
                                      note=f"{run['untagged']:,} responses, {run['octets'] / 1e6:.1f} MB"))
                before = now
            error = process.stderr.read().strip()
        reached = {found["name"] for found in samples}
        return samples + [sample(name, 0, "ms", invalid=error or "a command before it failed")
                          for name in (text.split("|")[0] for text in commands) if not name.startswith("-") and name not in reached]


def measured(run, prefix=""):
    why = run.get("invalid")
    return {"p50": run.get(prefix + "p50_us"), "p95": run.get(prefix + "p95_us"), "p99": run.get(prefix + "p99_us"),
            "own_percent": run.get("own_percent"),
            "invalid": f"{why}: {run['error']}" if why and run.get("error") else why}


@contextlib.contextmanager
def running(command, stdin=subprocess.DEVNULL):
    """A generator that is talked to; it does not outlive the block."""
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
            if stdin == subprocess.PIPE:
                process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        finally:
            process.kill()


class Bench:
    """Runs groups and keeps their rows."""

    def __init__(self, options, work):
        self.options, self.work = options, work
        self.sides = [Side(self, False)] + ([Side(self, True)] if options.peer else [])

    def until_quiet(self):
        """Until all servers have done what they still had to, so that none of it falls into another's measurement."""
        pids = [pid for side in self.sides for server in side.running for pid in server.pids()]
        deadline = time.monotonic() + QUIET_WAIT_S
        while pids and time.monotonic() < deadline:
            before = cpu_by_process(pids)
            time.sleep(QUIET_LOOK_S)
            used = [now - before[pid] for pid, now in cpu_by_process(pids).items()]
            if sum(used) < QUIET_NS:
                return

    def play(self, group):
        """The rows of a group: [{"scenario": ..., "postroom": part, "peer": part, "ratio": ...}]."""
        rows = []
        print(f"{group.__name__}:", file=sys.stderr, flush=True)
        with contextlib.ExitStack() as stack:
            parts = []
            for side in self.sides:
                parts.append((side, group(side)))
                stack.callback(parts[-1][1].close)
            while parts:
                steps = []
                for side, generator in list(parts):
                    try:
                        steps.append((side, next(generator)))
                    except StopIteration:
                        parts = [part for part in parts if part[0] is not side]
                    except ERRORS as error:
                        parts = [part for part in parts if part[0] is not side]
                        rows.append(self.told(row_of(group.__name__, {side.key: [failed(group.__name__, error)]})))
                if len({step.name for _, step in steps}) > 1:
                    raise RuntimeError(f"sides differ: {[step.name for _, step in steps]}")
                rows += [self.told(row) for row in self.repeat(steps)] if steps else []
        return rows

    def repeat(self, steps):
        """The rows of one step of each side."""
        step = steps[0][1]
        times = 1 if self.options.quick else step.repeat or (
            self.options.repeat if target_of(step.name) else min(self.options.repeat, WITHOUT_TARGET))
        found = {}      # row's name -> side's key -> samples, by repetition
        broken = set()
        for n in range(times):
            for side, step in steps if n % 2 == 0 else steps[::-1]:
                if side.key in broken:
                    continue
                try:
                    if step.writes:
                        os.sync()
                    samples = step.run(n)
                    if step.limit and side is steps[0][0]:
                        if step.writes:
                            os.sync()           # nor does the limit wait for what the servers wrote
                        samples[0]["limit"] = step.limit()
                except ERRORS as error:
                    samples = [failed(step.name, error)]
                    broken.add(side.key)        # what comes after a failure says nothing
                for one in samples:
                    found.setdefault(one["name"], {}).setdefault(side.key, []).append(one)
        return [row_of(name, sides) for name, sides in found.items()]

    def told(self, row):
        print("  " + brief(row), file=sys.stderr, flush=True)
        if self.options.json:
            with open(self.options.json, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        return row


def failed(name, error):
    text = str(error).strip()
    return sample(name, 0, "", invalid=f"{type(error).__name__}: {text.splitlines()[-1][:300]}" if text else type(error).__name__)


def part_of(samples):
    """One server's part of a row: medians."""
    def median(key):
        values = [one[key] for one in samples if one.get(key) is not None]
        return statistics.median(values) if values else None
    values = [one["value"] for one in samples]
    reasons = [one["invalid"] for one in samples if one.get("invalid")]
    serious = [why for why in reasons if not why.startswith(BOTTLENECK)]
    # One repetition too many for the generator leaves the median alone; an error does not.
    invalid = serious[0] if serious else reasons[0] if len(reasons) * 2 > len(samples) else None
    return {"value": statistics.median(values), "spread": [min(values), max(values)], "times": len(values), "invalid": invalid,
            "note": samples[-1].get("note"), **{key: median(key) for key in ("p50", "p95", "p99", "cpu_us", "own_percent")},
            "others_percent": median("others_percent") or 0, "runs": [one["run"] for one in samples if one.get("run")]}


def row_of(name, sides):
    """A row out of samples by side. Ratios are of the repetitions that were made one after the other."""
    row = {"scenario": name, "unit": next(one["unit"] for samples in sides.values() for one in samples)}
    row.update((key, part_of(samples)) for key, samples in sides.items())
    ours, theirs = sides.get("postroom", []), sides.get("peer", [])
    invalid = any(row.get(key, {}).get("invalid") for key in ("postroom", "peer"))
    for key, pairs in (("ratio", [times_better(row["unit"], a["value"], b["value"]) for a, b in zip(ours, theirs)]),
                       ("cpu_ratio", [b["cpu_us"] / a["cpu_us"] for a, b in zip(ours, theirs) if a.get("cpu_us") and b.get("cpu_us")]),
                       ("share", [a["value"] * 100 / a["limit"] for a in ours if a.get("limit")])):
        pairs = [] if invalid else [ratio for ratio in pairs if ratio is not None]
        row[key] = statistics.median(pairs) if pairs else None
        row[key + "_spread"] = [min(pairs), max(pairs)] if pairs else None
    return row
