"""UIDONLY (RFC 9586): its example dialogues; UIDBATCHES (RFC 10022)."""

import re

import pytest

import imap
from postroom import message


@pytest.fixture
def only(box):
    """Six messages, of which the second is gone, in a session that uses no numbers."""
    for n in range(6):
        box.append("INBOX", message(f"number {n}"))
    box.ok("NOOP")
    box.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    box.ok("EXPUNGE")
    assert box.ok("ENABLE UIDONLY").all("ENABLED") == [b"UIDONLY"]
    return box


def uidfetched(reply):
    """{uid: {item: value}} of all UIDFETCH responses; there may be no others."""
    out = {}
    for u in reply.untagged:
        assert not re.match(rb"\* \d+ (FETCH|EXPUNGE)", u), u
        found = re.match(rb"\* (\d+) UIDFETCH (.*)$", u, re.S)
        if found:
            p = imap.Parser(found.group(2))
            out[int(found.group(1))] = p.fetch_items()
            p.end()
    return out


def test_rfc9586_section_3_numbers_are_refused(only):
    for line in ("FETCH 1:3 (UID FLAGS)", "STORE 1 +FLAGS (\\Seen)", "SEARCH ALL", "COPY 1 Trash", "MOVE 1 Trash", "SORT (DATE) UTF-8 ALL",
                 "THREAD REFERENCES UTF-8 ALL", "UID SEARCH 1:3", "UID SEARCH NOT 1", "UID SEARCH OR UID 1 2", "UID SORT (DATE) UTF-8 1:2"):
        reply = only.bad(line)
        assert reply.code() == "UIDREQUIRED", line
        only.ok("NOOP")
    assert only.search("ALL", uid=True) == [1, 3, 4, 5, 6]
    assert only.search("UID 2:4", uid=True) == [3, 4]
    only.ok("UID SEARCH RETURN (SAVE) UID 2:4")
    assert only.search("$", uid=True) == [3, 4]
    assert only.ok("UID SORT (REVERSE ARRIVAL) UTF-8 UID 3:4").all("SORT")[0].split()


def test_rfc9586_section_3_3_uidfetch(only):
    assert uidfetched(only.ok("UID FETCH 3:5 (FLAGS)")) == {n: {"FLAGS": [b"\\Recent"]} for n in (3, 4, 5)}
    assert uidfetched(only.ok("UID FETCH 3:4 (UID FLAGS)")) == {n: {"UID": n, "FLAGS": [b"\\Recent"]} for n in (3, 4)}
    got = uidfetched(only.ok("UID FETCH 4 BODY[TEXT]"))
    assert set(got[4]) == {"BODY[TEXT]", "FLAGS"} and b"\\Seen" in got[4]["FLAGS"]
    got = uidfetched(only.ok("UID STORE 5:6 +FLAGS (\\Flagged)"))
    assert list(got) == [5, 6] and b"\\Flagged" in got[5]["FLAGS"]


def test_rfc9586_section_3_4_and_3_6(imapd, user, only):
    only.ok("UID STORE 3,5 +FLAGS.SILENT (\\Deleted)")
    reply = only.ok("EXPUNGE")
    assert reply.all("VANISHED") == [b"3,5"]
    reply = only.ok("UID MOVE 4 Trash")
    assert any(u.startswith(b"* OK [COPYUID ") for u in reply.untagged) and reply.all("VANISHED") == [b"4"]
    with imap.Client(imapd, user) as other:
        other.ok("SELECT INBOX")
        other.ok("UID STORE 1 +FLAGS (\\Answered)")
        other.append("INBOX", message("new"))
        reply = only.ok("NOOP")
        assert b"\\Answered" in uidfetched(reply)[1]["FLAGS"] and reply.count("EXISTS") == 3
        other.ok("UID STORE 1 +FLAGS.SILENT (\\Deleted)")
        other.ok("EXPUNGE")
        assert only.ok("NOOP").all("VANISHED") == [b"1"]


def test_rfc9586_section_3_7_condstore_and_qresync(only):
    only.ok("ENABLE QRESYNC")
    reply = only.ok("SELECT INBOX")
    assert not any(b"[UNSEEN " in u for u in reply.untagged)
    validity = int(next(u for u in reply.untagged if b"[UIDVALIDITY " in u).split(b"]")[0].split()[-1])
    only.bad(f"SELECT INBOX (QRESYNC ({validity} 1 1:9 (1 1)))")
    reply = only.ok(f"SELECT INBOX (QRESYNC ({validity} 1 1:9))")
    assert reply.all("VANISHED") == [b"(EARLIER) 2"] and set(uidfetched(reply)) == {1, 3, 4, 5, 6}
    assert set(uidfetched(only.ok("UID STORE 3 +FLAGS.SILENT (\\Seen)"))[3]) == {"MODSEQ"}


def test_uidbatches_cover_the_mailbox_from_its_end(box):
    def batches(arguments):
        reply = box.ok(f"UIDBATCHES {arguments}")
        texts = reply.all("UIDBATCHES")
        start = f'(TAG "t{box.tag}")'.encode()
        assert len(texts) == 1 and texts[0].startswith(start)
        return texts[0][len(start):].decode()

    assert batches("500") == ""
    box.append("INBOX", message("x"))
    box.ok("NOOP")
    assert batches("500") == " 1:1"
    while box.ok("NOOP") and len(box.search("ALL")) < 1024:
        box.ok("COPY 1:* INBOX")
    box.ok("NOOP")
    box.ok("UID STORE 10:19,1000:1004 +FLAGS.SILENT (\\Deleted)")
    box.ok("EXPUNGE")
    uids = box.search("ALL", uid=True)[::-1]
    want = [f"{piece[0]}:{piece[-1]}" for piece in (uids[i:i + 500] for i in range(0, len(uids), 500))]
    assert len(want) == 3
    assert batches("500") == " " + ",".join(want)
    assert batches("500 1:1") == " " + want[0]
    assert batches("500 2:3") == " " + ",".join(want[1:])
    assert batches("500 3:9") == " " + want[2]
    assert batches("500 4:9") == ""
    assert batches("1009") == f" {uids[0]}:{uids[-1]}" and batches("4294967295") == f" {uids[0]}:{uids[-1]}"
    assert batches("1008") == f" {uids[0]}:{uids[-2]},{uids[-1]}:{uids[-1]}"
    assert box.no("UIDBATCHES 499").code() == "TOOSMALL"
    for wrong in ("", "0", "x", "500 1", "500 0:1", "500 2:1", "500 1:x", "500 1:2 3", "500 1:*"):
        box.bad(f"UIDBATCHES {wrong}")
    box.ok("ENABLE UIDONLY")
    assert batches("500 1:1") == " " + want[0]
