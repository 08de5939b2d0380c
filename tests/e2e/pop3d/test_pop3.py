"""POP3 as RFC 1939 and its extensions have it, spoken to the real daemon."""

import base64
import poplib
import re
import socket

import pytest

import postroom


@pytest.fixture
def bob(server):
    """A new account with a name of its own and no mail."""
    bob.count = getattr(bob, "count", 0) + 1
    name = f"pop{bob.count}"
    server.add_account(name)
    return name


def login(server, user, tls=False):
    line = server.raw("pop3s" if tls else "pop3", tls=tls)
    assert line.line().startswith(b"+OK")
    assert ask(line, f"USER {server.address(user)}").startswith(b"+OK")
    assert ask(line, f"PASS {server.password(user)}").startswith(b"+OK")
    return line


def ask(line, command):
    line.send(command + "\r\n")
    return line.line()


def multi(line, command):
    """A multi-line reply, unstuffed, as octets; None for -ERR."""
    line.send(command + "\r\n")
    if not line.line().startswith(b"+OK"):
        return None
    lines = []
    while True:
        text = line.line()
        if text == b".":
            return b"".join(part + b"\r\n" for part in lines)
        lines.append(text[1:] if text.startswith(b".") else text)


def capabilities(line):
    return multi(line, "CAPA").decode().split("\r\n")[:-1]


def test_capa_before_login_offers_what_works_there(server):
    with server.raw("pop3") as line:
        line.line()
        found = capabilities(line)
        for name in ("TOP", "UIDL", "USER", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "UTF8", "STLS"):
            assert name in found
        sasl = [name for name in found if name.startswith("SASL ")][0].split()
        assert {"PLAIN", "LOGIN", "SCRAM-SHA-256"} <= set(sasl)
        assert not any(name.startswith("IMPLEMENTATION") for name in found)


def test_capa_after_login_names_the_program_and_offers_no_login(server, bob):
    with login(server, bob, tls=True) as line:
        found = capabilities(line)
        assert "IMPLEMENTATION Postroom" in found
        assert "STLS" not in found and "USER" not in found


def test_stat_list_uidl_retr_and_top_agree(server, bob):
    letters = [postroom.message(subject=f"n{n}", body="line\r\n" * n + ".dot\r\n..dots\r\n") for n in range(3)]
    for letter in letters:
        server.send(letter, to=bob)
    with login(server, bob) as line:
        count, octets = map(int, ask(line, "STAT").split()[1:])
        sizes = [tuple(map(int, row.split())) for row in multi(line, "LIST").decode().splitlines()]
        assert count == 3 and [number for number, _ in sizes] == [1, 2, 3]
        assert octets == sum(size for _, size in sizes)
        uidls = [row.split() for row in multi(line, "UIDL").decode().splitlines()]
        assert len({uidl for _, uidl in uidls}) == 3
        assert all(re.fullmatch(r"[\x21-\x7e]{1,70}", uidl) and not uidl.startswith("/") for _, uidl in uidls)
        for n, letter in enumerate(letters, 1):
            text = multi(line, f"RETR {n}")
            assert len(text) == sizes[n - 1][1]
            assert text.endswith(letter)
            assert ask(line, f"LIST {n}") == f"+OK {n} {sizes[n - 1][1]}".encode()
            assert ask(line, f"UIDL {n}") == f"+OK {n} {uidls[n - 1][1]}".encode()
            head, body = text.split(b"\r\n\r\n", 1)
            assert multi(line, f"TOP {n} 0") == head + b"\r\n\r\n"
            assert multi(line, f"TOP {n} 1") == head + b"\r\n\r\n" + body.split(b"\r\n")[0] + b"\r\n"
            assert multi(line, f"TOP {n} 1000") == text


def test_what_is_deleted_goes_at_quit_and_not_before(server, bob):
    for n in range(3):
        server.send(postroom.message(subject=f"d{n}"), to=bob)
    with login(server, bob) as line:
        assert ask(line, "DELE 2").startswith(b"+OK")
        assert ask(line, "DELE 2").startswith(b"-ERR")
        assert ask(line, "RETR 2").startswith(b"-ERR")
        assert ask(line, "STAT").split()[1] == b"2"
    # The connection ended without QUIT: everything is there.
    postroom.wait_for("the lock is given back", lambda: try_login(server, bob))
    with login(server, bob) as line:
        assert ask(line, "STAT").split()[1] == b"3"
        ask(line, "DELE 1")
        ask(line, "DELE 3")
        assert ask(line, "RSET").startswith(b"+OK")
        ask(line, "DELE 2")
        assert ask(line, "QUIT").startswith(b"+OK")
        assert line.at_end()
    with login(server, bob) as line:
        assert ask(line, "STAT").split()[1] == b"2"
        assert b"d1" not in multi(line, "RETR 1") + multi(line, "RETR 2")


def try_login(server, user):
    with server.raw("pop3") as line:
        line.line()
        ask(line, f"USER {server.address(user)}")
        is_in = ask(line, f"PASS {server.password(user)}").startswith(b"+OK")
        if is_in:
            ask(line, "QUIT")
            line.at_end()
        return is_in


def test_a_second_session_is_told_that_the_maildrop_is_in_use(server, bob):
    with login(server, bob) as line:
        with server.raw("pop3") as second:
            second.line()
            ask(second, f"USER {server.address(bob)}")
            assert ask(second, f"PASS {server.password(bob)}").startswith(b"-ERR [IN-USE]")
        assert ask(line, "NOOP").startswith(b"+OK")
        ask(line, "QUIT")
        line.at_end()
    postroom.wait_for("the lock is given back", lambda: try_login(server, bob))


def test_uidls_stay_across_a_restart_and_a_lost_index(fresh_server):
    for n in range(5):
        fresh_server.send(postroom.message(subject=f"u{n}"), to="bob")
    with login(fresh_server, "bob") as line:
        before = multi(line, "UIDL")
        ask(line, "DELE 3")
        ask(line, "QUIT")
    fresh_server.stop()
    index = fresh_server.maildir("bob").parent / "index"
    for path in sorted(index.rglob("*"), reverse=True):
        path.unlink() if not path.is_dir() or path.is_symlink() else path.rmdir()
    fresh_server.start()
    fresh_server.send(postroom.message(subject="new"), to="bob")
    with login(fresh_server, "bob") as line:
        after = [row.split()[1] for row in multi(line, "UIDL").splitlines()]
    kept = [row.split()[1] for row in before.splitlines()]
    assert after[:4] == kept[:2] + kept[3:]
    assert after[4] not in kept


def test_retr_does_not_set_seen(server, bob):
    server.send(postroom.message(), to=bob)
    with login(server, bob) as line:
        multi(line, "RETR 1")
        ask(line, "QUIT")
    with server.imap(bob) as imap:
        imap.select("INBOX", readonly=True)
        assert imap.search(None, "UNSEEN")[1] == [b"1"]


@pytest.mark.parametrize("secret", ["plain words with spaces ", "quote\"back\\slash", "umläut-é", " x "])
def test_passwords_may_hold_any_octets(server, secret):
    user = f"secret{abs(hash(secret)) % 10**9}"
    server.add_account(user, secret)
    with server.raw("pop3s", tls=True) as line:
        line.line()
        ask(line, f"USER {server.address(user)}")
        assert ask(line, f"PASS {secret}").startswith(b"+OK")


def test_user_and_pass_are_wrong_in_the_same_words(server):
    answers = []
    for user in (server.address("alice"), server.address("nobody-here")):
        with server.raw("pop3") as line:
            line.line()
            answers.append((ask(line, f"USER {user}"), ask(line, "PASS wrong-" + user)))
    assert answers[0] == answers[1]
    assert answers[0][1].startswith(b"-ERR [AUTH]")


def test_auth_plain_with_and_without_initial_response(server, bob):
    token = base64.b64encode(f"\0{server.address(bob)}\0{server.password(bob)}".encode()).decode()
    with server.raw("pop3s", tls=True) as line:
        line.line()
        assert ask(line, f"AUTH PLAIN {token}").startswith(b"+OK")
        ask(line, "QUIT")
        line.at_end()
    postroom.wait_for("the lock is given back", lambda: try_login(server, bob))
    with server.raw("pop3s", tls=True) as line:
        line.line()
        assert ask(line, "AUTH PLAIN") == b"+ "
        assert ask(line, token).startswith(b"+OK")


def test_an_app_password_that_has_expired_is_a_matter_of_credentials(server, bob):
    """RFC 3206 §4."""
    secret = server.json("app-password", "add", server.address(bob), "soon", "--expires", "1s")["password"]

    def answer():
        with server.raw("pop3") as line:
            line.line()
            ask(line, f"USER {server.address(bob)}")
            return ask(line, f"PASS {secret}")
    postroom.wait_for("it has expired", lambda: answer() == b"-ERR [AUTH] This app password has expired")


def test_auth_login_and_a_cancelled_exchange(server, bob):
    with server.raw("pop3s", tls=True) as line:
        line.line()
        assert ask(line, "AUTH PLAIN") == b"+ "
        assert ask(line, "*").startswith(b"-ERR")
        assert base64.b64decode(ask(line, "AUTH LOGIN")[2:]) == b"Username:"
        assert base64.b64decode(ask(line, base64.b64encode(server.address(bob).encode()).decode())[2:]) == b"Password:"
        assert ask(line, base64.b64encode(server.password(bob).encode()).decode()).startswith(b"+OK")


@pytest.mark.parametrize("token", ["=", "====", "!!!", "AAA", "A" * 12000, "AGFsaWNl"])
def test_garbage_in_auth_ends_only_that_exchange(server, token):
    with server.raw("pop3s", tls=True) as line:
        line.line()
        ask(line, "AUTH PLAIN")
        assert ask(line, token).startswith(b"-ERR")
        assert ask(line, "CAPA").startswith(b"+OK")


def test_auth_without_argument_lists_mechanisms_also_with_a_space(server):
    for command in ("AUTH", "AUTH "):
        with server.raw("pop3") as line:
            line.line()
            assert b"PLAIN\r\n" in multi(line, command)


def test_poplib_reads_over_tls_and_stls(server, bob):
    letter = postroom.message(subject="poplib")
    server.send(letter, to=bob)
    pop = server.pop3(bob)
    assert b"\r\n".join(pop.retr(1)[1]).endswith(letter.rstrip(b"\r\n"))
    pop.quit()
    postroom.wait_for("the lock is given back", lambda: try_login(server, bob))
    pop = poplib.POP3("127.0.0.1", server.port("pop3"), timeout=60)
    pop.stls(server.tls_context())
    pop.user(server.address(bob))
    pop.pass_(server.password(bob))
    assert pop.stat()[0] == 1
    pop.quit()


def test_octets_behind_stls_end_the_connection(server):
    with server.raw("pop3") as line:
        line.line()
        line.send(f"STLS\r\nUSER {server.address('alice')}\r\n")
        assert line.line().startswith(b"+OK")
        assert line.at_end()


def test_what_was_said_in_clear_is_forgotten_after_stls(server):
    with server.raw("pop3") as line:
        line.line()
        ask(line, f"USER {server.address('alice')}")
        assert ask(line, "STLS").startswith(b"+OK")
        line.start_tls(server.tls_context())
        assert ask(line, f"PASS {server.password('alice')}").startswith(b"-ERR")
        assert ask(line, "STLS").startswith(b"-ERR")


def test_commands_in_the_wrong_state_and_unknown_ones_are_answered(server, bob):
    with server.raw("pop3") as line:
        line.line()
        for command in ("STAT", "RETR 1", "DELE 1", "XYZZY", "", "TOP"):
            if command:
                assert ask(line, command).startswith(b"-ERR")
                break
    with login(server, bob) as line:
        for command in ("USER x", "PASS x", "STLS", "XYZZY", "RETR", "RETR 0", "RETR -1", "RETR 99999999999", "RETR 1 2",
                        "TOP 1", "TOP 1 -1", "LIST 5", "UIDL x", "DELE 1"):
            assert ask(line, command).startswith(b"-ERR"), command
        assert ask(line, "NOOP").startswith(b"+OK")


def test_too_many_bad_commands_end_the_session(server):
    with server.raw("pop3") as line:
        line.line()
        line.send("XYZZY\r\n" * 30)
        assert line.at_end() or b"too many bad commands" in line.buffer


def test_an_http_request_gets_no_echo(server):
    with server.raw("pop3") as line:
        line.line()
        line.send("GET /<script> HTTP/1.1\r\nHost: x\r\n\r\n")
        while line.fill():
            pass
        assert b"script" not in line.buffer and b"HTTP" not in line.buffer


def test_a_line_without_end_is_answered_and_the_session_lives(server, bob):
    with login(server, bob) as line:
        line.send(b"X" * 100000 + b"\r\n")
        assert line.line().startswith(b"-ERR")
        assert ask(line, "NOOP").startswith(b"+OK")


def test_pipelined_commands_are_answered_in_order(server, bob):
    for n in range(3):
        server.send(postroom.message(subject=f"p{n}"), to=bob)
    with server.raw("pop3") as line:
        line.line()
        line.send(f"USER {server.address(bob)}\r\nPASS {server.password(bob)}\r\nSTAT\r\nRETR 1\r\nUIDL 2\r\nDELE 1\r\n"
                  "NOOP\r\nQUIT\r\n")
        while line.fill():
            pass
        replies = re.findall(rb"(?m)^(\+OK|-ERR)", line.buffer)
        assert replies == [b"+OK"] * 8
    with login(server, bob) as line:
        assert ask(line, "STAT").split()[1] == b"2"


def test_a_session_cut_at_every_octet_gives_the_same_answers(server, bob):
    server.send(postroom.message(), to=bob)
    dialogue = (f"USER {server.address(bob)}\r\nPASS {server.password(bob)}\r\nSTAT\r\nLIST\r\nTOP 1 0\r\n"
                "NOOP\r\nQUIT\r\n").encode()

    def answers(pieces):
        def attempt():
            with server.raw("pop3") as line:
                line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for piece in pieces:
                    line.send(piece)
                while line.fill():
                    pass
                return None if b"IN-USE" in line.buffer else line.buffer
        return postroom.wait_for("the lock is free", attempt)

    whole = answers([dialogue])
    assert whole.count(b"+OK") >= 7
    assert answers([dialogue[n:n + 1] for n in range(len(dialogue))]) == whole
    for cut in range(1, len(dialogue), 5):
        assert answers([dialogue[:cut], dialogue[cut:]]) == whole


def test_a_client_that_vanishes_at_every_octet_harms_nobody(server, bob):
    server.send(postroom.message(), to=bob)
    dialogue = (f"USER {server.address(bob)}\r\nPASS {server.password(bob)}\r\nDELE 1\r\nRETR 1\r\nQUI").encode()
    for cut in range(0, len(dialogue), 3):
        with server.raw("pop3") as line:
            line.send(dialogue[:cut])
    postroom.wait_for("the lock is free", lambda: try_login(server, bob))
    with login(server, bob) as line:
        assert ask(line, "STAT").split()[1] == b"1"


def test_a_large_message_and_a_slow_reader(server, bob):
    body = b"".join(b"%07d %s\r\n" % (n, b"x" * 60) for n in range(60000))
    server.send(postroom.message(body="") + body, to=bob)
    with login(server, bob) as line:
        line.send("RETR 1\r\nNOOP\r\n")
        with login(server, "alice", tls=True) as other:     # nobody waits for the slow one
            assert ask(other, "NOOP").startswith(b"+OK")
        assert line.line().startswith(b"+OK")
        text = b""
        while not text.endswith(b"\r\n.\r\n+OK still here\r\n"):
            if not line.buffer:
                assert line.fill()
            text, line.buffer = text + line.buffer, b""
        assert text.split(b"\r\n\r\n", 1)[1].startswith(body)


def test_mail_that_arrives_during_a_session_is_not_shown(server, bob):
    server.send(postroom.message(), to=bob)
    with login(server, bob) as line:
        server.send(postroom.message(), to=bob)
        assert ask(line, "STAT").split()[1] == b"1"


def test_a_message_expunged_by_imap_meanwhile_is_told(server, bob):
    server.send(postroom.message(), to=bob)
    server.send(postroom.message(), to=bob)
    with login(server, bob) as line:
        with server.imap(bob) as imap:
            imap.select("INBOX")
            imap.store("1", "+FLAGS", "(\\Deleted)")
            imap.expunge()
        assert ask(line, "RETR 1").startswith(b"-ERR")
        assert multi(line, "RETR 2")
        assert len(multi(line, "UIDL").splitlines()) == 2
        assert ask(line, "QUIT").startswith(b"+OK")


def test_whoever_takes_everything_gets_the_same_as_who_asks_here_and_there(server, bob):
    """What follows is read ahead; deleted messages, big ones and another order come between."""
    with server.imap(bob) as imap:
        for n in range(40):
            body = f"letter {n}\r\n" + ".\r\n..\r\n" * (30000 if n == 25 else n)
            assert imap.append("INBOX", None, None, postroom.message(subject=f"a{n}", body=body))[0] == "OK"
    with login(server, bob) as line:
        texts = {n: multi(line, f"RETR {n}") for n in range(40, 0, -1)}
        assert all(f"letter {n - 1}\r\n".encode() in text for n, text in texts.items())
        for order in (range(1, 41), (1, 2, 3, 1, 2, 3, 4, 9, 10, 11, 5, 6, 7), range(24, 30)):
            assert [n for n in order if multi(line, f"RETR {n}") != texts[n]] == []
        assert multi(line, "RETR 1") and multi(line, "RETR 2")
        assert ask(line, "DELE 4").startswith(b"+OK")
        assert multi(line, "TOP 5 0") == texts[5].split(b"\r\n\r\n")[0] + b"\r\n\r\n"
        assert multi(line, "RETR 3") == texts[3]
        assert multi(line, "RETR 4") is None
        assert multi(line, "RETR 5") == texts[5]
        # All at once: answers in order, also of those that were read ahead.
        line.send("".join(f"RETR {n}\r\n" for n in range(5, 41)))
        for n in range(5, 41):
            assert line.line().startswith(b"+OK")
            lines = []
            while (text := line.line()) != b".":
                lines.append(text[1:] if text.startswith(b".") else text)
            assert b"".join(part + b"\r\n" for part in lines) == texts[n], n
