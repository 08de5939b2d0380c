"""What a hostile, slow or broken peer meets, and that nobody else notices."""

import contextlib
import os
import re
import signal
import socket
import time

import pytest

import postroom
from dialogue import MESSAGE, SENDER, data, envelope, login, send, submit, talk


def test_who_talks_before_the_greeting_is_sent_away(make_server):
    server = make_server("exempt-networks never\nsmtp-banner-delay 5s")
    with server.raw("mx") as line:
        line.send("EHLO early.example\r\n")
        code, texts = line.reply()
        assert code == 554 and texts[0].startswith("5.5.0")
        assert line.at_end()
    server.wait_log("reason=talks-too-early")


def test_who_waits_for_the_greeting_gets_it(make_server):
    server = make_server("exempt-networks never\nsmtp-banner-delay 300ms")
    assert send(server, "alice") == 250


def test_who_sends_behind_data_or_ehlo_without_waiting_is_sent_away_on_port_25(server, user):
    with talk(server, hello=False) as line:
        line.send("EHLO x\r\nMAIL FROM:<a@b.example>\r\n")
        assert line.reply() == (554, ["5.5.0 Wait for the answer before you go on"])
        assert line.at_end()
    with talk(server) as line:
        envelope(line, server, user)
        line.send(b"DATA\r\n" + MESSAGE + b".\r\n")
        assert line.reply()[0] == 554
        assert line.at_end()
    assert server.files(user) == []


def test_bad_commands_are_slowed_down_and_then_end_the_session(make_server):
    server = make_server("smtp-bad-commands 3\nsmtp-bad-commands-max 5")
    with talk(server) as line:
        for _ in range(3):
            assert line.smtp("BOGUS") == 500
        began = time.monotonic()
        assert line.smtp("BOGUS") == 500
        assert time.monotonic() - began > 0.9           # a delay of 1 s; how much more it takes is not asked
        assert line.smtp("BOGUS") == 421
        assert line.at_end()


def test_commands_that_bring_no_mail_are_counted_and_a_message_starts_again(make_server):
    server = make_server("smtp-useless-commands 10")
    with talk(server) as line:
        for _ in range(9):
            assert line.smtp("NOOP") == 250
        assert line.smtp("RSET") == 421
        assert line.at_end()
    with talk(server) as line:
        for _ in range(3):
            for _ in range(8):
                assert line.smtp("NOOP") == 250
            envelope(line, server, "alice")
            assert data(line) == 250


def test_a_message_in_tiny_chunks_is_an_attack(make_server):
    server = make_server("smtp-useless-commands 10")
    with talk(server) as line:
        envelope(line, server, "alice")
        codes = []
        for _ in range(10):
            line.send(b"BDAT 1\r\nx")
            codes.append(line.reply()[0])
        assert codes == [250] * 9 + [421]


def test_who_guesses_names_is_slowed_down_and_then_sent_away(make_server):
    server = make_server("smtp-unknown-recipients 2\nsmtp-unknown-recipients-max 4\nsmtp-unknown-recipient-delay 700ms")
    with talk(server) as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
        assert [line.smtp(f"RCPT TO:<guess{n}@example.test>") for n in range(2)] == [550, 550]
        began = time.monotonic()
        assert line.smtp("RCPT TO:<guess3@example.test>") == 550
        assert time.monotonic() - began > 0.6
        assert line.smtp("RCPT TO:<guess4@example.test>") == 421
        assert line.at_end()


def test_200_recipients_are_taken_on_port_25_and_the_rest_is_asked_for_again(make_server):
    server = make_server(accounts=("alice",))
    server.postroom("domain", "set", "example.test", "--catch-all", "alice@example.test")
    with talk(server) as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
        line.send("".join(f"RCPT TO:<any{n}@example.test>\r\n" for n in range(202)))
        replies = [line.reply() for _ in range(202)]
        assert [code for code, _ in replies] == [250] * 200 + [452] * 2
        assert replies[-1][1] == ["4.5.3 Too many recipients"]
        assert data(line) == 250
    assert len(server.files("alice")) == 1


def test_a_session_has_its_last_message(make_server):
    server = make_server("smtp-messages 3")
    with talk(server) as line:
        for _ in range(3):
            envelope(line, server, "alice")
            assert data(line) == 250
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 421
        assert line.at_end()
    assert len(server.files("alice")) == 3


def test_a_command_line_too_long_ends_the_session(server):
    with talk(server) as line:
        line.send("NOOP " + "x" * 5000 + "\r\n")
        code, texts = line.reply()
        assert code == 500 and texts[0].startswith("5.5.2")
        assert line.at_end()


def test_a_line_without_end_is_not_read_for_ever(server):
    with talk(server) as line:
        try:
            for _ in range(400):
                line.send("x" * 65536)
        except OSError:
            pass
        assert line.at_end() or line.buffer.startswith(b"500")


@pytest.fixture(scope="module")
def waiting():
    """Connections that wait for their end, all at once: the shortest times that may be set are seconds."""
    conf = "smtp-command-time 5s\nsmtp-data-time 5s\nsmtp-session-age 10s\nlogin-time 5s"
    with postroom.Instance(accounts=("alice",), conf=conf) as server, contextlib.ExitStack() as stack:
        server.start(only="smtpd")
        lines = {name: stack.enter_context(talk(server, kind)) for name, kind in
                 (("silent", "mx"), ("data", "mx"), ("no login", "submission"))}
        envelope(lines["data"], server, "alice")
        assert lines["data"].smtp("DATA") == 354
        lines["data"].send("Subject: x\r\n")
        yield server, lines


def keep_talking(line):
    """NOOPs until something else than 250 comes."""
    while True:
        line.send("NOOP\r\n")
        code, texts = line.reply()
        if code != 250:
            return code, texts
        time.sleep(0.3)


def test_who_does_not_log_in_in_time_is_sent_away(waiting):
    _, lines = waiting
    assert keep_talking(lines["no login"]) == (421, ["4.4.2 Not logged in in time"])
    assert lines["no login"].at_end()


def test_a_silent_peer_is_told_goodbye(waiting):
    _, lines = waiting
    assert lines["silent"].reply() == (421, ["4.4.2 Silent for too long"])
    assert lines["silent"].at_end()


def test_a_peer_that_is_silent_inside_data_is_cut_off(waiting):
    server, lines = waiting
    assert lines["data"].reply() == (421, ["4.4.2 Silent for too long"])
    assert lines["data"].at_end()
    assert server.files("alice") == []


def test_a_stranger_who_brings_no_mail_is_not_kept_however_much_is_said(make_server):
    server = make_server("smtp-session-age 10s")
    with talk(server) as line:
        assert keep_talking(line) == (421, ["4.4.2 Session without mail lasts too long"])
        assert line.at_end()


def test_a_peer_that_trickles_is_cut_off(make_server):
    server = make_server("smtp-data-rate 1000\nsmtp-data-grace 1s")
    with talk(server) as line:
        envelope(line, server, "alice")
        assert line.smtp("DATA") == 354
        line.sock.settimeout(0.2)
        try:
            while True:
                line.send("x")
                try:
                    if not line.sock.recv(1, socket.MSG_PEEK):
                        break
                    break
                except TimeoutError:
                    continue
        except OSError:
            pass
        line.sock.settimeout(postroom.DEADLINE_S)
        assert line.reply() == (421, ["4.4.2 Data arrives too slowly"])
    assert server.files("alice") == []


def test_strangers_are_counted_and_the_next_one_waits_outside(make_server):
    server = make_server("exempt-networks never\nstrangers-per-address 3\nconnections-per-minute-mx 5000\n"
                         "smtp-banner-delay 0")
    held = []

    def one_more():
        line = server.raw("mx")         # those that looked whether the server is up may still be counted
        if line.line().startswith(b"220"):
            held.append(line)
        return len(held) == 3
    postroom.wait_for("three are in", one_more)
    with server.raw("mx") as line:
        code, texts = line.reply()
        assert code == 421 and texts[0].startswith("4.7.0")
    for line in held:
        line.close()
    postroom.wait_for("somebody may come in again", lambda: server.raw("mx").line().startswith(b"220"))


def test_a_client_that_reads_nothing_costs_nobody_else_anything(server, user):
    with talk(server) as line:
        line.send("HELP\r\n" * 90)
        assert send(server, user) == 250


def test_many_sessions_at_once_are_served(server, user):
    lines = [server.raw("lmtp") for _ in range(60)]
    for line in lines:
        line.reply()
    for line in lines:
        line.send(f"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{server.address(user)}>\r\nDATA\r\n".encode() + MESSAGE + b".\r\nQUIT\r\n")
    for line in lines:
        assert [line.reply()[0] for _ in range(6)] == [250, 250, 250, 354, 250, 221]
        line.close()
    assert len(server.files(user)) == 60


def test_a_killed_worker_takes_nobody_elses_session_along_and_comes_back(make_server):
    server = make_server("workers 1")
    assert send(server, "alice") == 250
    worker = [pid for pid in server.pids("smtpd") if pid != server.process.pid]
    os.kill(worker[0], signal.SIGKILL)
    postroom.wait_for("a worker serves again", lambda: send_or_none(server) == 250)


def send_or_none(server):
    try:
        return send(server, "alice")
    except (OSError, AssertionError):
        return None


def test_stopping_lets_a_message_finish_and_says_goodbye_to_the_rest(make_server):
    server = make_server()
    with talk(server) as idle, talk(server) as line:
        envelope(line, server, "alice")
        assert line.smtp("DATA") == 354
        line.send(MESSAGE)
        server.process.terminate()
        assert idle.reply() == (421, ["4.3.2 Server is going down, try again soon"])
        line.send(b".\r\n")
        assert line.reply()[0] == 250
        assert line.reply()[0] == 421
    assert server.process.wait(postroom.DEADLINE_S) == 0
    assert len(server.files("alice")) == 1


def test_a_reload_holds_for_the_next_session_and_leaves_open_ones_alone(make_server):
    server = make_server("message-size 100K")
    with talk(server) as line:
        envelope(line, server, "alice")
        conf = server.root / "postroom.conf"
        conf.write_text(conf.read_text().replace("message-size 100K", "message-size 200K"))
        server.process.send_signal(signal.SIGHUP)

        def size():
            with talk(server, hello=False) as other:
                other.send("EHLO x\r\n")
                return "SIZE 204800" in other.reply()[1]
        postroom.wait_for("the new size is offered", size)
        assert data(line, b"x" * 70 + b"\r\n" + (b"y" * 98 + b"\r\n") * 1100) == 552
        envelope(line, server, "alice")
        assert data(line) == 250
    conf.write_text("nonsense here\n")
    server.process.send_signal(signal.SIGHUP)
    postroom.wait_for("the mistake is told", lambda: "nonsense" in server.log())
    assert send(server, "alice") == 250


def test_a_tls_connection_that_is_torn_inside_a_message_delivers_nothing(server, user):
    for end in (b".\r\n", b""):
        with server.raw("mx") as line:
            line.reply()
            line.smtp("EHLO x")
            line.smtp("STARTTLS")
            raw = socket.socket(fileno=os.dup(line.sock.fileno()))
            line.start_tls(server.tls_context())
            line.smtp("EHLO x")
            envelope(line, server, user)
            assert line.smtp("DATA") == 354
            line.send(MESSAGE)
            raw.sendall(end + b"QUIT\r\n")        # in clear, behind the tunnel's back
            with contextlib.suppress(OSError):          # the server may have hung up already
                raw.shutdown(socket.SHUT_WR)
            line.sock.settimeout(postroom.DEADLINE_S)
            try:
                line.at_end()
            except OSError:
                pass
            raw.close()
    assert server.files(user) == []


def test_submission_sessions_may_be_slow_thinkers(server, user):
    with submit(server, user) as line:
        for _ in range(5):
            assert line.smtp("NOOP") == 250


def test_every_refusal_has_a_reason_in_the_log(server):
    with talk(server) as line:
        for command in ("BOGUS", "DATA", "MAIL FROM:<a@b@c>", "VRFY"):
            line.smtp(command)
        line.smtp(f"MAIL FROM:<{SENDER}>")
        line.smtp("RCPT TO:<x@elsewhere.example>")
    log = server.log()
    for reason in ("unknown-command", "sequence", "sender-syntax", "bad-argument", "relay"):
        assert re.search(rf"event=smtp\.(refused|reject) .*reason={reason}", log), reason
