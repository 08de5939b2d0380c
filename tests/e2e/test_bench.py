"""The load generator: what it refuses, and that each scenario of `make bench` still runs against the real daemons."""

import json
import pathlib
import subprocess
import sys

import postroom

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "guard"))

import guard  # noqa: E402

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
