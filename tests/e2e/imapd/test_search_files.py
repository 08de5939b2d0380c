"""SEARCH and SORT where many files have to be read: they are read together, and the answers are those of one after the other."""

import pytest

import imap

MESSAGES = 300
WITH_TEXT = [n for n in range(1, MESSAGES + 1) if n % 7 == 0]
FROM_NEEDLE = [n for n in range(1, MESSAGES + 1) if n % 5 == 0]


@pytest.fixture
def full(imapd, user):
    """The account has mail of another program: each seventh text, and each fifth sender, holds the word."""
    with imap.Client(imapd, user):
        pass
    new = imapd.maildir(user) / "new"
    for n in range(1, MESSAGES + 1):
        sender = "needle" if n in FROM_NEEDLE else "hay"
        word = "a NEEDLE is here" if n in WITH_TEXT else "nothing is here"
        (new / f"1700000000.{n:04}.then").write_bytes(
            f"From: {sender}@one.example\r\nSubject: s{(n * 37) % MESSAGES:03}\r\n\r\n{word}\r\n".encode())
    return user


def sort(box, arguments):
    return [int(n) for n in box.ok(f"SORT {arguments}").all("SORT")[0].split()]


def test_the_answers_are_those_of_reading_one_after_the_other(imapd, full):
    with imap.Client(imapd, full) as box:
        box.ok("SELECT INBOX")
        either = sorted(set(WITH_TEXT) | set(FROM_NEEDLE))
        for _ in range(2):      # without parsed forms in the index, and with them
            assert box.search("BODY needle") == WITH_TEXT
            assert box.search("OR FROM needle BODY needle") == either
            assert box.search("NOT TEXT needle") == [n for n in range(1, MESSAGES + 1) if n not in either]
            assert box.search("HEADER X-Nothing needle") == []
        by_subject = sorted(either, key=lambda n: n * 37 % MESSAGES)
        assert sort(box, "(SUBJECT) UTF-8 OR FROM needle BODY needle") == by_subject
        assert sort(box, "(REVERSE SUBJECT) UTF-8 TEXT needle") == by_subject[::-1]
        assert f"MIN {WITH_TEXT[0]} MAX {WITH_TEXT[-1]}".encode() in box.ok("SEARCH RETURN (MIN MAX) BODY needle").all("ESEARCH")[0]
        assert b"PARTIAL (1:3 7,14,21)" in box.ok("SEARCH RETURN (PARTIAL 1:3) BODY needle").all("ESEARCH")[0]


def test_messages_that_went_meanwhile_are_not_found_and_hide_no_other(imapd, full):
    with imap.Client(imapd, full) as box, imap.Client(imapd, full) as other:
        box.ok("SELECT INBOX")
        other.ok("SELECT INBOX")
        assert other.search("BODY needle") == WITH_TEXT
        other.ok(f"STORE {WITH_TEXT[0]},{WITH_TEXT[-1]} +FLAGS.SILENT (\\Deleted)")
        other.ok("EXPUNGE")
        assert box.search("BODY needle") == WITH_TEXT[1:-1]     # numbers stay until the client is told (RFC 3501 §7.4.1)


def test_a_client_that_goes_away_in_the_middle_harms_nobody(imapd, full):
    for _ in range(3):
        box = imap.Client(imapd, full)
        box.ok("SELECT INBOX")
        box.sock.sendall(b"x1 FETCH 1:* (ENVELOPE BODYSTRUCTURE)\r\nx2 SEARCH TEXT needle\r\n")
        box.sock.close()
    with imap.Client(imapd, full) as box:
        box.ok("SELECT INBOX")
        assert box.search("BODY needle") == WITH_TEXT
