"""The load generator: what it refuses, and that each scenario of `make bench` still runs against the real daemons. And how the
benches compare: what is repeated when, and what a row then says."""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys

import postroom
import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "guard"), str(TESTS / "bench")]

import engine  # noqa: E402
import guard  # noqa: E402
import imap_groups  # noqa: E402
import scale  # noqa: E402
import machine  # noqa: E402
import peer  # noqa: E402
import table  # noqa: E402
import targets  # noqa: E402

LOAD = postroom.BUILD / "tests" / "bench" / "load" / "load"
HANDSHAKES = postroom.BUILD / "tests" / "bench" / "handshakes" / "handshakes"


def load(*args, input=""):
    return subprocess.run([LOAD, *map(str, args)], input=input, capture_output=True, text=True, timeout=120, check=False)


def users_file(server, folder, *names):
    path = pathlib.Path(folder) / "users"
    path.write_text("".join(f"{server.address(name)} {server.password(name)}\n" for name in names))
    return path


def row(*args, input=""):
    done = load(*args, input=input)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows, done.stderr
    assert not [r for r in rows if r.get("errors") or r.get("error")], rows
    return rows[-1]


def libraries(program):
    found = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return sorted({line.split()[0] for line in found.splitlines() if line.split()[0].startswith(("libssl", "libcrypto"))})


def test_no_process_has_two_tls_libraries_and_only_the_generator_has_another_one():
    about = json.loads(load("--about").stdout)
    assert about["openssl"].startswith("OpenSSL ") and about["tls"].split()[0] in ("OpenSSL", "BoringSSL")
    servers = libraries(postroom.BUILD / "bin" / "imapd")
    assert len(servers) == 2 and libraries(HANDSHAKES) == servers
    assert (libraries(LOAD) == servers) == about["tls"].startswith("OpenSSL ") and len(libraries(LOAD)) == 2


def test_each_half_of_a_handshake_is_measured(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                    "-out", cert, "-subj", "/CN=localhost", "-days", "2"], capture_output=True, check=True)
    found = row("--cert", cert, "--key", key, "--count", 5, "--connections", 2, "--name", "both", "handshakes")
    assert found["scenario"] == "both" and found["ops"] == 5 and found["part_p50_us"] and found["rest_p50_us"]
    done = load("--cert", key, "--key", key, "handshakes")
    assert done.returncode == 2 and "not a certificate" in done.stderr


def test_a_host_that_is_not_loopback_is_refused():
    for host in ("192.0.2.1", "0.0.0.0", "localhost", "::1", "128.0.0.1"):
        done = load("--host", host, "--port", 25, "connections")
        assert done.returncode == 2 and "loopback" not in done.stdout and host in done.stderr


def test_counts_and_times_are_bounded():
    for option, value in (("--seconds", 601), ("--connections", 257), ("--count", 10**9), ("--seconds", 0)):
        assert load(option, value, "--port", 25, "connections").returncode == 2


def test_a_refused_message_is_an_error_and_makes_the_row_invalid(server, tmp_path):
    path = tmp_path / "users"
    path.write_text("nobody@example.test secret\n")
    done = load("--port", server.port("mx"), "--users", path, "--count", 2, "mail")
    found = json.loads(done.stdout)
    assert done.returncode == 1 and found["errors"] and found["invalid"] and "550" in found["error"]


def test_mail_that_was_counted_is_in_the_mailboxes(server, tmp_path):
    users = users_file(server, tmp_path, "alice", "bob")
    before = len(server.files("alice")) + len(server.files("bob"))
    for args in (("--port", server.port("mx")), ("--port", server.port("mx"), "--tls", "starttls", "--recipients", 2),
                 ("--port", server.port("submission"), "--tls", "starttls", "--auth"),
                 ("--port", server.port("lmtp"), "--lmtp", "--recipients", 2, "--per-connection", 2),
                 ("--port", server.port("mx"), "--mixed")):
        assert row(*args, "--users", users, "--connections", 2, "--count", 4, "mail")["ops"] == 4
    assert len(server.files("alice")) + len(server.files("bob")) == before + 4 + 8 + 4 + 8 + 4


def test_sessions_read_what_is_there(server, tmp_path):
    users = users_file(server, tmp_path, "alice", "bob")
    row("--port", server.port("mx"), "--users", users, "--count", 4, "mail")
    for scenario, listener, tls in (("imap-short", "imaps", "implicit"), ("imap-mix", "imap", "starttls"),
                                    ("pop3", "pop3s", "implicit"), ("pop3", "pop3", "starttls")):
        found = row("--port", server.port(listener), "--tls", tls, "--users", users, "--connections", 2, "--count", 4,
                    scenario)
        assert found["ops"] == 4 and found["octets"] > 0
    found = row("--port", server.port("imap"), "--users", users, "--", "commands", "-login|1|CONNECT", "-select|1|SELECT INBOX",
                "one|3|FETCH # (BODY.PEEK[])")
    assert found["ops"] == 3 and found["untagged"] >= 1 and found["literal_octets"] > 1000


def test_appended_messages_are_counted_and_in_the_mailboxes(server, tmp_path):
    users = users_file(server, tmp_path, "alice", "bob")
    before = len(server.files("alice")) + len(server.files("bob"))
    for args, messages in ((("--count", 4), 4), (("--count", 4, "--synchronising"), 4), (("--count", 2, "--batch", 5), 10),
                           (("--count", 2, "--batch", 3, "--synchronising"), 6)):
        found = row("--port", server.port("imap"), "--users", users, "--connections", 2, *args, "append")
        assert found["units"] == messages and found["unit"] == "messages"
    assert len(server.files("alice")) + len(server.files("bob")) == before + 24


def test_what_changed_since_is_asked_for_with_what_select_said(server, tmp_path):
    users = users_file(server, tmp_path, "alice")
    row("--port", server.port("mx"), "--users", users, "--count", 3, "mail")
    done = load("--port", server.port("imap"), "--users", users, "--", "commands", "-login|1|CONNECT", "-enable|1|ENABLE QRESYNC",
                "-select|1|SELECT INBOX", "-change|1|STORE 1:2 +FLAGS.SILENT (\\Flagged)",
                "resync|2|SELECT INBOX (QRESYNC (%V %M))", "since|2|UID FETCH 1:* (FLAGS) (CHANGEDSINCE %M)")
    found = {r["scenario"]: r for r in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0 and found["resync"]["ops"] == 2 and found["since"]["untagged"] == 2, done.stdout + done.stderr


def test_idle_sessions_hear_of_new_mail(server, tmp_path):
    users = users_file(server, tmp_path, "alice", "bob")
    found = row("--port", server.port("imaps"), "--tls", "implicit", "--smtp-port", server.port("mx"), "--users", users,
                "--count", 6, "--connections", 2, "idle", input="push 3\nquit\n")
    assert found["scenario"] == "push" and found["ops"] == 3


def test_a_filled_maildir_is_adopted(fresh_server, tmp_path):
    folder = fresh_server.maildir("alice")
    folder.parent.mkdir(parents=True, exist_ok=True)
    row("--dir", folder, "--count", 12, "fill")
    users = users_file(fresh_server, tmp_path, "alice")
    found = row("--port", fresh_server.port("imap"), "--users", users, "--", "commands", "-login|1|CONNECT", "-select|1|SELECT INBOX",
                "flags|1|FETCH 1:* (FLAGS)")
    assert found["untagged"] == 12


def test_the_guard_sees_another_flush_and_another_copy():
    recorded = {"mail": {"flushes": 2.0, "calls": 71.0, "copied": 3092, "instructions": 3390000}}

    def dearer(**counts):
        return guard.table("", tuple(counts), {"mail": counts}, recorded, True, False)[0]
    assert not dearer(flushes=2.05, calls=74.0, copied=3100, instructions=3400000)
    assert dearer(flushes=3.0) and dearer(flushes=2.6) and dearer(calls=83.0) and dearer(copied=3092 + 4096)
    assert dearer(instructions=3390000 * 1.04)
    assert not guard.table("", ("flushes",), {"mail": {"flushes": 3.0}}, recorded, False, False)[0], "another machine: printed only"
    assert guard.table("", ("flushes",), {"letter": {"flushes": 1.0}}, recorded, True, False)[0], "never recorded"
    assert guard.table("", ("flushes",), {"mail": {"flushes": 1.0}}, recorded, True, False) == (
        [], ["mail: flushes 1.00, recorded 2.00"])


def test_the_guard_counts_no_instructions_of_copying_and_of_the_allocator():
    """What those need depends on where octets lie and on what was freed before, so on a path's length."""
    profile = """fn=(1) store
10 100
calls=1 20
11 5000
fn=(2) _int_malloc
20 700
+1 30
fn=(3) __memcpy_avx_unaligned
5 40
fn=(4) unlink_chunk.constprop.0
5 9
fn=(5) malloc'2
5 9
fn=(6) freeze_row
-3 7
fn=(1)
12 1
"""
    assert guard.instructions(profile) == 108


@pytest.fixture
def bench(tmp_path):
    options = argparse.Namespace(peer="fast", quick=False, repeat=3, json=tmp_path / "rows.json")
    return engine.Bench(options, tmp_path)


def test_servers_take_turns_and_a_ratio_is_that_of_a_pair(bench):
    done = []

    def group(side):
        def once(n):
            done.append((side.key, n))
            # The machine halves its speed twice; one server is always four times the other.
            return [engine.sample("row", (100 if side.is_peer else 400) / 2**n, "/s", cpu_us=30 if side.is_peer else 10)]
        yield engine.Step("row", once, limit=lambda: 800)
        if not side.is_peer:
            yield engine.Step("ours only", lambda _: [engine.sample("ours only", 5, "ms")], repeat=1)
    row, alone = bench.play(group)
    assert done == [("postroom", 0), ("peer", 0), ("peer", 1), ("postroom", 1), ("postroom", 2), ("peer", 2)]
    assert row["ratio"] == 4 and row["ratio_spread"] == [4, 4] and row["cpu_ratio"] == 3
    assert row["postroom"]["value"] == 200 and row["postroom"]["spread"] == [100, 400] and row["share"] == 25
    assert alone["postroom"]["value"] == 5 and alone["ratio"] is None and "peer" not in alone
    assert [json.loads(line)["scenario"] for line in bench.options.json.read_text().splitlines()] == ["row", "ours only"]


def test_what_fails_is_invalid_and_the_rest_goes_on_and_ends(bench):
    ended = []

    def group(side):
        def fails(n):
            if n == 1 and not side.is_peer:
                raise RuntimeError("the server is gone")
            return [engine.sample("fails", 1, "/s")]
        try:
            yield engine.Step("fails", fails)
            yield engine.Step("goes on", lambda _: [engine.sample("goes on", 2, "ms", invalid=engine.BOTTLENECK if _ == 0 else None)])
            if side.is_peer:
                raise OSError("cannot start")
            yield engine.Step("alone", lambda _: [engine.sample("alone", 3, "ms")])
        finally:
            ended.append(side.key)
    rows = {row["scenario"]: row for row in bench.play(group)}
    assert rows["fails"]["postroom"]["invalid"] == "RuntimeError: the server is gone" and rows["fails"]["ratio"] is None
    assert rows["fails"]["peer"]["times"] == 3 and not rows["goes on"]["postroom"]["invalid"] and rows["goes on"]["ratio"] == 1
    assert rows["group"]["peer"]["invalid"] == "OSError: cannot start" and rows["alone"]["postroom"]["value"] == 3
    assert sorted(ended) == ["peer", "postroom"]


def test_a_limit_that_cannot_be_measured_makes_one_row_invalid(bench):
    def broken():
        raise RuntimeError("no disk")

    def group(side):
        yield engine.Step("row", lambda _: [engine.sample("row", 1, "/s")], limit=broken)
        yield engine.Step("next", lambda _: [engine.sample("next", 1, "/s")])
    row, following = bench.play(group)
    assert row["postroom"]["invalid"] == "RuntimeError: no disk" and following["ratio"] == 1


def test_both_sides_warm_up_alike():
    seen = []

    class Side:
        is_peer, bench, quick = False, None, True

        def load(self, scenario, **named):
            seen.append((self.is_peer, scenario, named["count"]))

        def rate(self, name, server, once):
            once()
    server = argparse.Namespace(port=lambda name: 1, users=None)
    for is_peer in (False, True):
        side = Side()
        side.is_peer = is_peer
        imap_groups.session(side, server, "imap-mix", "row").run(0)
    assert [what[1:] for what in seen if what[0]] == [what[1:] for what in seen if not what[0]]


def test_a_bench_that_is_stopped_while_it_stops_one_peer_stops_the_other(monkeypatch):
    ended = []

    def stop_tree(process):
        ended.append(process)
        raise KeyboardInterrupt
    monkeypatch.setattr(peer, "stop_tree", stop_tree)
    both = peer.Peer.__new__(peer.Peer)
    both.processes = [argparse.Namespace(poll=lambda: None), argparse.Namespace(poll=lambda: None)]
    with pytest.raises(KeyboardInterrupt):
        both.stop()
    assert len(ended) == 2 and not both.processes


def test_a_push_is_not_compared_where_the_kernel_lets_few_sessions_watch():
    run = {"p50_us": 500000, "last_p50_us": 29000000}
    assert len(imap_groups.pushed(run, 20)) == 2 and [one["value"] for one in imap_groups.pushed(run, 20, watched=False)] == [500]


def test_the_last_table_says_what_was_met(bench):
    def row(name, unit, ours, theirs=None, **more):
        sides = {"postroom": [engine.sample(name, ours, unit, **more)]}
        if theirs is not None:
            sides["peer"] = [engine.sample(name, theirs, unit)]
        return engine.row_of(name, sides)
    rows = [row("lmtp, 10 connections", "/s", 500, 100), row("lmtp, 1 connection", "/s", 500, 100),
            row("mx, 20 connections", "/s", 600, 100, limit=1000), row("SELECT", "ms", 0.001, 0.02),
            row("SEARCH FROM", "ms", 1, 100, invalid="errors"), row("5000 idle sessions: proportional memory of each", "KB", 25.5),
            row("TLS connections, 16 at once (default login)", "/s", 700, 10, limit=1000), row("without a target", "ms", 1, 1)]
    verdicts = ["met", "missed", "met", "met", "invalid", "missed", "missed", ""]
    for one, verdict in zip(rows, verdicts):
        target = targets.target_of(one["scenario"])
        if verdict not in ("invalid", ""):
            assert target.verdict(one) == verdict, one
    assert rows[3]["ratio"] == 2, "less than 10 us counts as 10 us"
    text = table.comparison([("group", 1, rows)])
    assert text.endswith("3 targets met, 3 missed, 1 rows invalid") and "INVALID: errors" in text
    assert len({line.index("/s") for line in text.splitlines() if "/s " in line}) == 1, "columns are aligned"
    assert table.comparison([("group", 1, rows)], markdown=True).splitlines()[2].startswith("| lmtp, 10 connections | 500 | 100 | /s | 5.00 |")
    assert "25.5" in table.detail([("group", 1, rows)], "postroom")
    again = [row("lmtp, 10 connections", "/s", 550, 100), row("lmtp, 1 connection", "/s", 700, 100)]
    said = table.agreement([("group", 1, again)], rows).splitlines()
    assert said[0].startswith("1 ratios agree") and said[0].endswith(", 1 do not") and said[2].split()[-2:] == ["5.00", "7.00"]


def test_each_target_names_a_row_that_is_made():
    made = "".join(path.read_text() for path in (TESTS / "bench").glob("*_group*.py"))
    for name in targets.TARGETS:
        words = name.split(" (")[0] if name.endswith(("login)", "again)")) else name
        assert words in made or all(part in made for part in words.replace(", accepted", ": , accepted").split(": ")), name


def test_processor_time_is_that_of_a_process_and_of_children_that_ended():
    before = machine.cpu_ns([os.getpid()])
    subprocess.run([sys.executable, "-c", "while __import__('time').process_time() < 0.1: pass"], check=True)
    assert machine.cpu_ns([os.getpid()]) - before >= 80_000_000, "a tick or two may be lost"


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
def test_a_bench_that_is_stopped_leaves_nothing_behind(tmp_path, number):
    build = tmp_path / "build"
    build.mkdir()
    for name in ("bin", "tests"):
        (build / name).symlink_to(postroom.BUILD / name)
    command = [sys.executable, TESTS / "bench" / "run.py", "--anyway", "--only", "limits"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                          env={**os.environ, "POSTROOM_BUILD": str(build)}) as process:
        assert process.stderr.readline() == "limits:\n"
        postroom.wait_for("the disk is written to", lambda: list(build.glob("bench-work-*/disk-*/0/*")))
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "stopped before its end" in out, out + err
    assert not list(build.glob("bench-work-*"))


def test_the_rows_of_bench_scale_count_what_an_operation_costs(server):
    asked = scale.users_file(server, "bench-asked", [server.address(name) for name in ("alice", "bob")])
    for name, daemon, work in scale.operations(server, asked, 2):
        assert scale.cpu_us_of(server, daemon, work, 2) > 0, name
    scale.ask_for_recipients(server, [server.address("alice")])
    assert scale.memory_kb(server, "imapd") > 0 and min(scale.command_us(server, "status")) > 0
