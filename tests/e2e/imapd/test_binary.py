"""Parts without their transfer encoding, and messages with NUL (RFC 3516)."""

import base64
import quopri
import random

import imap
import pytest

BLOB = bytes(range(256)) * 40
TEXT = "Grüße aus Zürich\r\n" * 3

MIXED = b"\r\n".join([
    b"From: a@x", b"Subject: parts", b"MIME-Version: 1.0", b"Content-Type: multipart/mixed; boundary=b", b"",
    b"preamble", b"--b",
    b"Content-Type: text/plain; charset=utf-8", b"Content-Transfer-Encoding: quoted-printable", b"",
    quopri.encodestring(TEXT.encode().replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n"),
    b"--b",
    b"Content-Type: application/octet-stream", b"Content-Transfer-Encoding: BASE64", b"",
    base64.encodebytes(BLOB).strip().replace(b"\n", b"\r\n"),
    b"--b",
    b"Content-Type: message/rfc822", b"",
    b"Subject: inner", b"Content-Transfer-Encoding: base64", b"", base64.b64encode(b"inside"),
    b"--b",
    b"Content-Type: image/png", b"Content-Transfer-Encoding: x-uuencode", b"", b"begin 644 x", b"`", b"end",
    b"--b",
    b"Content-Type: text/plain", b"", b"plain",
    b"--b--", b""])


@pytest.fixture
def mixed(box):
    box.append("INBOX", MIXED)
    box.ok("NOOP")
    return box


def test_parts_come_without_their_encoding(mixed):
    got = mixed.fetch("1", "(BINARY.PEEK[1] BINARY.PEEK[2] BINARY.PEEK[3.1] BINARY.PEEK[5] BINARY.PEEK[9])")[1]
    assert got["BINARY[1]"] == TEXT.encode() and not isinstance(got["BINARY[1]"], imap.Literal8)
    assert got["BINARY[2]"] == BLOB and isinstance(got["BINARY[2]"], imap.Literal8)     # it has NUL
    assert got["BINARY[3.1]"] == b"inside"
    assert got["BINARY[5]"] == b"plain"
    assert got["BINARY[9]"] is None
    # What has parts has no encoding of its own; the whole message is what it is.
    got = mixed.fetch("1", "(BINARY.PEEK[3] BINARY.PEEK[] BODY.PEEK[3])")[1]
    assert got["BINARY[3]"] == got["BODY[3]"] and got["BINARY[]"] == MIXED


def test_sizes_are_what_comes(mixed):
    got = mixed.fetch("1", "(BINARY.SIZE[1] BINARY.SIZE[2] BINARY.SIZE[3] BINARY.SIZE[3.1] BINARY.SIZE[] BINARY.SIZE[9])")[1]
    assert got == {"BINARY.SIZE[1]": len(TEXT.encode()), "BINARY.SIZE[2]": len(BLOB),
                   "BINARY.SIZE[3]": len(mixed.fetch("1", "BODY.PEEK[3]")[1]["BODY[3]"]),
                   "BINARY.SIZE[3.1]": 6, "BINARY.SIZE[]": len(MIXED), "BINARY.SIZE[9]": 0}


def test_a_partial_counts_decoded_octets(mixed):
    got = mixed.fetch("1", "(BINARY.PEEK[2]<0.1> BINARY.PEEK[2]<1.255> BINARY.PEEK[2]<10000.1000> BINARY.PEEK[2]<99999.5>)")[1]
    assert got == {"BINARY[2]<0>": b"\0", "BINARY[2]<1>": BLOB[1:256], "BINARY[2]<10000>": BLOB[10000:],
                   "BINARY[2]<99999>": b""}
    assert not isinstance(got["BINARY[2]<1>"], imap.Literal8)          # this one has no NUL
    assert isinstance(got["BINARY[2]<0>"], imap.Literal8)


def test_reading_sets_seen_and_peeking_does_not(mixed):
    mixed.fetch("1", "(BINARY.PEEK[1] BINARY.SIZE[2])")
    assert "\\Seen" not in mixed.flags("1")[1]
    assert b"\\Seen" in mixed.fetch("1", "BINARY[1]<0.5>")[1]["FLAGS"]


def test_an_encoding_that_nobody_knows_fails_the_request(mixed):
    for item in ("BINARY.PEEK[4]", "BINARY.SIZE[4]", "(UID BINARY.PEEK[1] BINARY.PEEK[4])"):
        reply = mixed.cmd(f"FETCH 1 {item}")
        assert (reply.status, reply.code()) == ("NO", "UNKNOWN-CTE") and reply.fetched() == {}
    box = mixed
    box.append("INBOX", b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n")
    box.ok("NOOP")
    assert box.fetch("2", "BINARY.PEEK[1]")[2]["BINARY[1]"] == b"hello"
    box.append("INBOX", b"Content-Transfer-Encoding: x-none\r\n\r\nhello")
    box.ok("NOOP")
    reply = box.cmd("FETCH 2:3 BINARY.PEEK[1]")
    assert reply.code() == "UNKNOWN-CTE" and reply.fetched() == {2: {"BINARY[1]": b"hello"}}


def test_items_of_another_grammar_are_refused(mixed):
    for item in ("BINARY", "BINARY[1", "BINARY[TEXT]", "BINARY[1.MIME]", "BINARY.SIZE[1]<0.5>", "BINARY[1]<5>", "BINARY[0]",
                 "BINARY.PEEK[HEADER]"):
        mixed.bad(f"FETCH 1 {item}")


def test_a_large_part_streams_in_both_directions_of_luck(box):
    """Many megabytes, with the NUL at the very end of what is asked for, or just behind it."""
    blob = random.Random(1).randbytes(9 << 20).replace(b"\0", b"\1") + b"\0"
    text = b"Content-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n" + \
        base64.encodebytes(blob).replace(b"\n", b"\r\n")
    box.append("INBOX", text)
    box.ok("NOOP")
    got = box.fetch("1", f"(BINARY.SIZE[1] BINARY.PEEK[1] BINARY.PEEK[1]<0.{len(blob) - 1}> BINARY.PEEK[1]<{len(blob) - 1}.9>)")[1]
    assert got["BINARY.SIZE[1]"] == len(blob)
    assert got["BINARY[1]"] == blob and isinstance(got["BINARY[1]"], imap.Literal8)
    assert got["BINARY[1]<0>"] == blob[:-1] and not isinstance(got["BINARY[1]<0>"], imap.Literal8)
    assert got[f"BINARY[1]<{len(blob) - 1}>"] == b"\0"


def test_append_by_literal8(box):
    """RFC 3516 §4.4: stored as it is; with NUL it is refused, since a client that knows BODY[] only could not read it."""
    box.send(b"a APPEND INBOX ~{%d+}\r\n%s\r\n" % (len(MIXED), MIXED))
    assert box.collect("a").status == "OK"
    assert box.fetch("1", "BODY.PEEK[]")[1]["BODY[]"] == MIXED
    nul = b"Content-Transfer-Encoding: binary\r\n\r\na\0b"
    box.send(b"b APPEND INBOX ~{%d+}\r\n%s\r\nc NOOP\r\n" % (len(nul), nul))
    assert box.collect("b").code() == "UNKNOWN-CTE"
    assert box.collect("c").status == "OK"
    assert box.search("ALL") == [1]


def test_binary_that_is_off_is_not_there():
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off BINARY\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            c.ok("SELECT INBOX")
            c.bad("FETCH 1:* BINARY[1]")
            c.send("a APPEND INBOX ~{3+}\r\nabc\r\n")
            assert c.collect("a").status == "BAD"
