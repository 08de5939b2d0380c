"""One message in, one message out: only CRLF.CRLF ends DATA, whatever else looks like it (RFC 5321 section 4.1.1.4)."""

import itertools
import re

import pytest

from dialogue import MESSAGE, SENDER, data, envelope, only_file, send, submit, talk

# What other servers have taken for the end of data, and what a smuggler sends behind it.
FAKE_ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\r\n",
             b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\n\n.\r\n", b"\r\n.\n\r\n", b"\r\r\n.\r\r\n"]
SMUGGLED = b"MAIL FROM:<evil@elsewhere.example>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"


@pytest.mark.parametrize("end", FAKE_ENDS, ids=repr)
def test_a_fake_end_of_data_on_port_25_ends_nothing_and_the_message_is_refused(server, user, end):
    with talk(server) as line:
        envelope(line, server, user)
        assert line.smtp("DATA") == 354
        line.send(MESSAGE[:-2] + end + SMUGGLED + b".\r\n")
        code, texts = line.reply()
        assert code == 554 and texts[0].startswith("5.6.0"), texts
        assert line.smtp("NOOP") == 250         # one answer, and the session is in step
        assert line.smtp("DATA") == 503
    assert server.files(user) == []
    assert not any(b"smuggled" in path.read_bytes() for path in server.files("alice"))


@pytest.mark.parametrize("end", FAKE_ENDS[:8], ids=repr)
def test_a_fake_end_that_is_split_over_segments_ends_nothing_either(server, user, end):
    octets = MESSAGE[:-2] + end + b"MAIL FROM:<a@b.example>\r\n.\r\n"
    start = len(MESSAGE) - 4
    for cut in range(start, start + len(end) + 5):
        with talk(server) as line:
            envelope(line, server, user)
            assert line.smtp("DATA") == 354
            line.send(octets[:cut])
            line.sock.setsockopt(6, 1, 1)       # TCP_NODELAY: a segment of its own
            line.send(octets[cut:])
            assert line.reply()[0] == 554
            assert line.smtp("NOOP") == 250
    assert server.files(user) == []


@pytest.mark.parametrize("end", [e for e in FAKE_ENDS if b"\0" not in e], ids=repr)
def test_on_submission_bare_newlines_are_made_right_and_stay_one_message(server, user, end):
    server.add_account(f"to-{user}-{abs(hash(end))}")
    to = f"to-{user}-{abs(hash(end))}"
    with submit(server, user) as line:
        envelope(line, server, to, sender=server.address(user))
        assert line.smtp("DATA") == 354
        head = f"From: {server.address(user)}\r\nSubject: x\r\n\r\ntext".encode()
        line.send(head + end + b"MAIL FROM:<evil@elsewhere.example>\r\n.\r\n")
        assert line.reply()[0] == 250
        assert line.smtp("NOOP") == 250
    octets = only_file(server, to)
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    assert b"\r\nMAIL FROM:<evil@elsewhere.example>\r\n" in octets


def test_submission_can_be_told_to_refuse_bare_newlines(make_server):
    server = make_server("submission-bare-newline refuse")
    with submit(server, "alice") as line:
        envelope(line, server, "bob", sender="alice@example.test")
        assert line.smtp("DATA") == 354
        line.send(b"From: alice@example.test\r\n\r\na\nb\r\n.\r\n")
        assert line.reply() == (554, ["5.6.0 Bare CR or LF in the message"])
    assert server.files("bob") == []


def test_dots_at_the_beginning_of_lines_come_back(server, user):
    message = b".\r\n..\r\n...\r\n.a\r\na.\r\n.\r\n"
    assert send(server, user, message) == 250
    assert only_file(server, user).endswith(b"+0000\r\n" + message)


def test_an_empty_message_is_a_message(server, user):
    assert send(server, user, b"") == 250
    assert only_file(server, user).endswith(b"+0000\r\n")


def test_bare_newlines_and_nul_in_commands_are_refused(server):
    for octets in (b"NOOP\nQUIT\r\n", b"NO\rOP\r\n", b"NO\0OP\r\n", b"NOOP \xff\r\n"):
        with talk(server) as line:
            line.send(octets)
            code, texts = line.reply()
            assert code == 500 and texts[0].startswith("5.5.2"), octets


def test_a_sender_cannot_write_header_lines(server, user):
    """Control octets are no part of an address, whatever quotes are around them (CVE-2020-7247 and its kind)."""
    for path in ('<"a\\\rb"@b.example>', '<"a\tb"@b.example>', "<a\x01b@b.example>", "<a@b.example\x0b>"):
        with talk(server) as line:
            assert line.smtp(f"MAIL FROM:{path}") in (500, 501), path
            assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250


@pytest.mark.parametrize("first", ["GET / HTTP/1.1", "\x16\x03\x01\x02\x00\x01", "POST /x HTTP/1.0", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2"])
def test_what_is_no_smtp_at_all_ends_at_once_and_is_not_echoed(server, first):
    with talk(server, hello=False) as line:
        line.send(first + "\r\n")
        while line.fill():
            pass
        assert b"HTTP" not in line.buffer and b"1.2.3.4" not in line.buffer
        assert re.match(rb"(421|500) ", line.buffer)


def test_strangers_cannot_claim_to_be_somebody_else(server):
    with talk(server) as line:
        assert line.smtp("XCLIENT ADDR=192.0.2.1") == 550
        assert line.smtp("XFORWARD ADDR=192.0.2.1") == 550


BDAT_FIRST = b"Subject: chunks\r\n\r\n"


def test_a_message_in_chunks_arrives_whole_however_it_is_cut(server, user):
    message = BDAT_FIRST + b".\r\n..dots stay\r\nno final line end"
    for cut in range(len(message) + 1):
        with talk(server) as line:
            envelope(line, server, user)
            line.send(f"BDAT {cut}\r\n".encode() + message[:cut])
            assert line.reply()[0] == 250
            line.send(f"BDAT {len(message) - cut} LAST\r\n".encode() + message[cut:])
            assert line.reply()[0] == 250
    files = server.files(user)
    assert len(files) == len(message) + 1
    assert all(path.read_bytes().endswith(b"+0000\r\n" + message) for path in files)


def test_pipelined_chunks_are_answered_one_by_one(server, user):
    with talk(server) as line:
        line.send(f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{server.address(user)}>\r\nBDAT 3\r\nabcBDAT 0\r\nBDAT 2 LAST\r\n\r\nNOOP\r\n")
        assert [line.reply()[0] for _ in range(6)] == [250] * 6
    assert only_file(server, user).endswith(b"+0000\r\nabc\r\n")


def test_data_and_rcpt_after_a_chunk_are_refused_and_rset_ends_it(server, user):
    with talk(server) as line:
        envelope(line, server, user)
        line.send(b"BDAT 3\r\nabc")
        assert line.reply()[0] == 250
        assert line.smtp("DATA") == 503
        assert line.smtp(f"RCPT TO:<{server.address(user)}>") == 503
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 503
        assert line.smtp("RSET") == 250
        line.send(b"BDAT 3 LAST\r\nabc")
        assert line.reply()[0] == 503
        assert line.smtp("NOOP") == 250
    assert server.files(user) == []


def test_a_chunk_without_a_transaction_is_swallowed_and_refused(server, user):
    with talk(server) as line:
        for command in ("RSET", f"MAIL FROM:<{SENDER}>"):
            assert line.smtp(command) == 250
            line.send(b"BDAT 12 LAST\r\nQUIT\r\nQUIT\r\n")
            assert line.reply()[0] == 503
            assert line.smtp("NOOP") == 250


def test_after_a_refused_chunk_the_transaction_is_over(make_server):
    server = make_server("message-size 64K")
    with talk(server) as line:
        envelope(line, server, "alice")
        line.send(b"BDAT 60000\r\n" + b"x" * 60000)
        assert line.reply()[0] == 250
        line.send(b"BDAT 60000\r\n" + b"x" * 60000 + b"BDAT 2 LAST\r\n\r\n")
        assert [line.reply()[0] for _ in range(2)] == [552, 503]
        envelope(line, server, "alice")
        line.send(b"BDAT 65537\r\n" + b"x" * 65537)
        assert line.reply()[0] == 552
        line.send(b"BDAT 999999999999\r\n")
        assert line.reply()[0] in (503, 552)
        assert line.at_end()
    assert server.files("alice") == []


def test_a_chunk_size_that_is_no_number_ends_the_session(server, user):
    for size in ("x", "-1", "", "99999999999999999999", "5 LAST NOW"):
        with talk(server) as line:
            envelope(line, server, user)
            assert line.smtp(f"BDAT {size}") == 501
            assert line.at_end()


def test_bare_newlines_in_chunks_are_refused_on_port_25(server, user):
    for text in (b"a\nb\r\n", b"a\rb\r\n", b"a\r\n\r", b"a\0\r\n"):
        with talk(server) as line:
            envelope(line, server, user)
            line.send(f"BDAT {len(text)} LAST\r\n".encode() + text)
            code, texts = line.reply()
            assert code == 554 and texts[0].startswith("5.6.0")
    assert server.files(user) == []


def test_a_connection_that_ends_inside_a_chunk_delivers_nothing(server, user):
    with talk(server) as line:
        envelope(line, server, user)
        line.send(b"BDAT 100 LAST\r\nshort")
    assert server.files(user) == []


def test_mixed_ways_of_sending_share_a_session(server, user):
    with talk(server) as line:
        for way in itertools.islice(itertools.cycle(("data", "bdat")), 6):
            envelope(line, server, user)
            if way == "data":
                assert data(line) == 250
            else:
                line.send(f"BDAT {len(MESSAGE)} LAST\r\n".encode() + MESSAGE)
                assert line.reply()[0] == 250
    assert len(server.files(user)) == 6
