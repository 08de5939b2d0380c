"""LMTP (RFC 2033): for programs of this host, one answer per recipient."""

import socket

import pytest

import postroom
from dialogue import MESSAGE, SENDER, added, envelope, only_file, stuffed, talk


def answers(line, count, message=MESSAGE):
    assert line.smtp("DATA") == 354
    line.send(stuffed(message) + b".\r\n")
    return [line.reply()[0] for _ in range(count)]


def test_lhlo_greets_and_helo_and_ehlo_are_refused(server):
    with talk(server, "lmtp", hello=False) as line:
        assert line.smtp("EHLO c.example") == 500
        assert line.smtp("HELO c.example") == 500
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 503
        line.send("LHLO c.example\r\n")
        code, texts = line.reply()
        assert code == 250 and {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8", "CHUNKING"} <= set(texts)
        assert not any(text.startswith("AUTH") for text in texts)
    with talk(server, "mx") as line:
        assert line.smtp("LHLO c.example") == 500


def test_each_recipient_has_its_answer_in_order(server, user, other):
    with talk(server, "lmtp") as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
        assert line.smtp(f"RCPT TO:<{server.address(user)}>") == 250
        assert line.smtp("RCPT TO:<nobody@example.test>") == 550
        assert line.smtp(f"RCPT TO:<{server.address(other)}>") == 250
        assert line.smtp(f"RCPT TO:<{server.address(user)}>") == 250
        assert answers(line, 3) == [250, 250, 250]
        assert line.smtp("NOOP") == 250
    assert len(server.files(user)) == len(server.files(other)) == 1
    assert b" with LMTP id " in only_file(server, user)


def test_one_full_mailbox_does_not_keep_the_mail_from_the_others(server, user, other):
    server.postroom("quota", "set", server.address(user), "20K")
    with talk(server, "lmtp") as line:
        envelope(line, server, [other, user])
        assert answers(line, 2, b"Subject: x\r\n\r\n" + b"y" * 30000 + b"\r\n") == [250, 552]
        assert line.smtp("NOOP") == 250
    assert server.files(user) == []
    added(only_file(server, other), b"Subject: x\r\n\r\n" + b"y" * 30000 + b"\r\n")


def test_data_without_a_recipient_is_503(server):
    with talk(server, "lmtp") as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
        assert line.smtp("RCPT TO:<nobody@example.test>") == 550
        assert line.smtp("DATA") == 503


def test_the_last_chunk_is_answered_per_recipient_too(server, user, other):
    with talk(server, "lmtp") as line:
        envelope(line, server, [user, other])
        line.send(b"BDAT 5\r\nabcde")
        assert line.reply()[0] == 250
        line.send(b"BDAT 2 LAST\r\n\r\n")
        assert [line.reply()[0] for _ in range(2)] == [250, 250]
        assert line.smtp("NOOP") == 250


def test_a_refused_message_is_refused_for_each(server, user, other):
    with talk(server, "lmtp") as line:
        envelope(line, server, [user, other])
        assert line.smtp("DATA") == 354
        line.send(b"a\nb\r\n.\r\n")
        assert [line.reply()[0] for _ in range(2)] == [554, 554]


def test_the_unix_socket_speaks_the_same(server, user):
    path = server.root / "run" / "lmtp.sock"
    if not path.is_socket():
        pytest.fail(f"no socket at {path}: {list((server.root / 'run').iterdir())}")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(postroom.DEADLINE_S)
        sock.connect(str(path))
        file = sock.makefile("rwb")
        assert file.readline().startswith(b"220 ")
        for command in (b"LHLO x", b"MAIL FROM:<>", b"RCPT TO:<" + server.address(user).encode() + b">", b"DATA"):
            file.write(command + b"\r\n")
            file.flush()
            while True:
                reply = file.readline()
                if reply[3:4] == b" ":
                    break
            assert reply[:1] in b"23", reply
        file.write(MESSAGE + b".\r\n")
        file.flush()
        assert file.readline().startswith(b"250 ")
    assert b"Received: from x\r\n\tby mail.example.test" in only_file(server, user)
