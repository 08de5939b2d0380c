"""Wrong passwords: counted by all daemons and workers together, slowing down and keeping out who guesses, never the owner."""

import base64
import math
import os
import signal
import statistics
import sys
import time

import postroom

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "smtpd"))
import scram  # noqa: E402

FAST = "workers 2\nfailure-delay 0\nscram-iterations 4096\n"


def b64(text):
    return base64.b64encode(text.encode()).decode()


def pop3(server, user, password, source):
    with postroom.Line(server.port("pop3"), source=source) as line:
        line.line()
        line.send(f"USER {server.address(user)}\r\nPASS {password}\r\n")
        line.line()
        return line.line().decode()


def imap(server, user, password, source):
    with postroom.Line(server.port("imap"), source=source) as line:
        line.line()
        line.send(f'a LOGIN {server.address(user)} "{password}"\r\n')
        return line.line().decode()


def smtp(server, user, password, source):
    with postroom.Line(server.port("submission"), source=source) as line:
        line.reply()
        line.smtp("EHLO client.example")
        line.send(f"AUTH PLAIN {b64(chr(0) + server.address(user) + chr(0) + password)}\r\n")
        code, texts = line.reply()
        return f"{code} {texts[0]}"


def smtp_scram(server, user, password, source):
    with postroom.Line(server.port("submission"), source=source) as line:
        line.reply()
        line.smtp("EHLO client.example")
        client = scram.Client(server.address(user), password)
        line.send(f"AUTH SCRAM-SHA-256 {client.initial()}\r\n")
        line.send(client.proof(line.reply()[1][0]) + "\r\n")
        code, texts = line.reply()
        if code == 334:
            line.send("\r\n")
            code, texts = line.reply()
        return f"{code} {texts[0]}"


WAYS = (pop3, imap, smtp, smtp_scram)
IN = ("+OK", "a OK", "235", "235")
WRONG = ("-ERR [AUTH]", "a NO [AUTHENTICATIONFAILED]", "535 5.7.8", "535 5.7.8")
LATER = ("-ERR [SYS/TEMP]", "a NO [UNAVAILABLE]", "454 4.7.0", "454 4.7.0")


def stranger(n):
    """Addresses that no two networks of any size have in common: 127.1.0.1, 127.1.8.1, ..."""
    return f"127.{1 + n // 32}.{n % 32 * 8}.1"


def known(server, user):
    """The servers have written down that the account logged in."""
    return any(row["result"] == "ok" for row in server.json("account", "logins", server.address(user)))


def test_an_account_under_attack_from_200_addresses_is_open_to_its_owner(capsys):
    """security: 100 wrong passwords a day close an account to strangers, whatever protocol, daemon and worker they come to."""
    home, cafe = "127.100.0.1", "127.101.0.1"
    with postroom.Instance(accounts=("alice", "bob"), conf=FAST) as server:
        app = server.json("app-password", "add", server.address("alice"), "phone")["password"]
        server.start()
        assert imap(server, "alice", server.password("alice"), home).startswith("a OK")
        postroom.wait_for("the login is known", lambda: known(server, "alice"))
        answers = []
        for n in range(200):
            if n == 100:        # a worker that dies takes nothing along
                victim = [p for p in server.pids("pop3d")][-1]
                os.kill(victim, signal.SIGKILL)
                postroom.wait_for("the worker is gone", lambda: victim not in server.pids("pop3d"))
            way = n % 3
            answers.append((way, WAYS[way](server, "alice", f"guess{n}", stranger(n))))
        assert all(text.startswith(WRONG[way]) for way, text in answers[:100]), answers[:100]
        assert all(text.startswith(LATER[way]) for way, text in answers[100:]), answers[100:]
        right = server.password("alice")
        for way, log_in in enumerate(WAYS):
            assert log_in(server, "alice", right, home).startswith(IN[way]), log_in
            assert log_in(server, "alice", "wrong at home", home).startswith(WRONG[way]), log_in
            assert log_in(server, "alice", app, cafe).startswith(IN[way]), log_in
            # Elsewhere the right password looks like a wrong one, by both of which nobody learns anything.
            assert log_in(server, "alice", right, "127.102.0.1").startswith(LATER[way]), log_in
            assert log_in(server, "alice", "wrong", "127.102.0.1").startswith(LATER[way]), log_in
            assert log_in(server, "bob", server.password("bob"), stranger(n)).startswith(IN[way]), log_in
        listed = server.json("auth", "blocked")
        assert [(row["what"], row["who"], row["day"]) for row in listed] == [("account", server.address("alice"), 100)]
        assert server.run("auth", "unblock", "carol@example.test").returncode == 3
        assert server.run("auth", "unblock", "carol").returncode == 2
        server.postroom("auth", "unblock", server.address("alice"))
        assert server.json("auth", "blocked") == []
        assert pop3(server, "alice", right, "127.103.0.1").startswith("+OK")
        server.wait_log("event=login.throttled")
        server.wait_log("reason=account-day")
        with capsys.disabled():
            print("\nattack addresses=200 wrong=100 throttled=100 owner_refused=0 app_password_refused=0")


def test_an_address_has_10_wrong_passwords_a_minute_in_all_daemons_together():
    with postroom.Instance(accounts=("alice", "bob"), conf=FAST) as server:
        server.start()
        source = "127.50.0.1"
        for n in range(10):
            way = n % 4
            assert WAYS[way](server, f"nobody{n}", f"guess{n}", source).startswith(WRONG[way])
        for way, log_in in enumerate(WAYS):
            assert log_in(server, "bob", server.password("bob"), source).startswith(LATER[way])
            assert log_in(server, "bob", server.password("bob"), f"127.60.{8 * way}.1").startswith(IN[way])
        rows = server.json("auth", "blocked")
        assert [(row["what"], row["who"], row["minute"]) for row in rows] == [("address", source, 10)]
        assert "TODAY" in server.postroom("auth", "blocked", "--all")
        server.postroom("auth", "unblock", source)
        assert imap(server, "bob", server.password("bob"), source).startswith("a OK")


def test_the_same_wrong_password_counts_once_and_once_for_two_mechanisms_of_a_session():
    with postroom.Instance(accounts=("alice",), conf=FAST) as server:
        server.start()
        for n in range(30):
            assert imap(server, "alice", "the old password", "127.50.0.1").startswith(WRONG[1])
        with postroom.Line(server.port("submission"), source="127.70.0.1") as line:
            line.reply()
            line.smtp("EHLO client.example")
            client = scram.Client(server.address("alice"), "old")
            line.send(f"AUTH SCRAM-SHA-256 {client.initial()}\r\n")
            line.send(client.proof(line.reply()[1][0]) + "\r\n")
            assert line.reply()[0] == 535
            assert line.smtp(f"AUTH PLAIN {b64(chr(0) + server.address('alice') + chr(0) + 'old')}") == 535
        counts = {row["who"]: row["day"] for row in server.json("auth", "blocked", "--all") if row["what"] == "address"}
        assert counts == {"127.50.0.1": 1, "127.70.0.1": 1}


def test_who_has_the_right_password_and_asks_to_be_another_is_told_so_and_did_not_guess():
    """RFC 4616 §2, RFC 5530 §3 (AUTHORIZATIONFAILED), RFC 3206 §4, RFC 4954 §6."""
    with postroom.Instance(accounts=("alice", "bob"), conf=FAST) as server:
        server.start()
        ways = (("imap", "", "a AUTHENTICATE PLAIN "), ("pop3", "", "AUTH PLAIN "), ("submission", "EHLO client.example", "AUTH PLAIN "))
        for port, hello, command in ways:
            for other in ("bob", "nobody"):
                with postroom.Line(server.port(port), source="127.80.0.1") as line:
                    line.reply() if hello else line.line()
                    if hello:
                        line.smtp(hello)
                    answers = []
                    for password in (server.password("alice"), "wrong"):
                        token = b64("\0".join((server.address(other), server.address("alice"), password)))
                        line.send(f"{command}{token}\r\n")
                        answers.append(line.line().decode())
                right, wrong = {"imap": ("a NO [AUTHORIZATIONFAILED]", "a NO [AUTHENTICATIONFAILED]"),
                                "pop3": ("-ERR [AUTH] Nobody", "-ERR [AUTH] wrong"),
                                "submission": ("535 5.7.8", "535 5.7.8")}[port]
                assert answers[0].startswith(right) and answers[1].startswith(wrong), (port, other, answers)
        counts = {row["who"]: row["day"] for row in server.json("auth", "blocked", "--all") if row["what"] == "address"}
        assert counts == {"127.80.0.1": 1}      # the wrong one


def same_distribution(a, b):
    """The p-value of Kolmogorov and Smirnov's test for two samples."""
    values = sorted([(x, 1 / len(a)) for x in a] + [(x, -1 / len(b)) for x in b])
    distance = at = 0.0
    for _, step in values:
        at += step
        distance = max(distance, abs(at))
    size = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    k = (size + 0.12 + 0.11 / size) * distance
    return min(1.0, max(0.0, 2 * sum((-1) ** (j - 1) * math.exp(-2 * (j * k) ** 2) for j in range(1, 101))))


def latencies(server, rounds):
    """Seconds of wrong logins, interleaved: of an account, of a name that does not exist."""
    times = {"alice": [], "nobody": []}
    texts = set()
    n = 0
    while n < rounds:
        with postroom.Line(server.port("imap")) as line:
            line.line()
            for _ in range(40):
                for name in ("alice", "nobody") if n % 2 else ("nobody", "alice"):
                    began = time.perf_counter()
                    line.send(f"a LOGIN {server.address(name)} wrong{n}\r\n")
                    texts.add(line.line())
                    times[name].append(time.perf_counter() - began)
                n += 1
    assert len(texts) == 1, texts
    return times


def test_unknown_users_and_wrong_passwords_differ_neither_in_text_nor_in_time(capsys):
    conf = ("workers 1\nfailure-delay 0\nscram-iterations 4096\nfailures-per-session 100\nfailures-per-minute 1000000\n"
            "failures-per-day 1000000\nfailures-per-account 1000000\n")
    with postroom.Instance(accounts=("alice",), conf=conf) as server:
        server.start()
        ps = []
        while len(ps) < 3 and len([p for p in ps if p > 0.01]) < 2:
            times = latencies(server, 200)
            ps.append(same_distribution(times["alice"], times["nobody"]))
        medians = {name: f"{1000 * statistics.median(values):.2f}" for name, values in times.items()}
        good = len([p for p in ps if p > 0.01])
        with capsys.disabled():
            print(f"\nI20 ks_p={' '.join(f'{p:.3f}' for p in ps)} median_ms={medians} violations={int(good < 2)}")
        assert good >= 2, ps
