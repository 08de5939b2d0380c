"""Messages put together of texts and of parts of other messages (RFC 4469, RFC 5550 §5.7.1)."""

import imap
import pytest
from postroom import message

BOUNDARY = b"------------030308070208000400050907"
HEADER = b"\r\n".join([
    b"Message-ID: <419399E1.6000505@example.org>", b"Date: Thu, 12 Nov 2004 16:57:05 +0000", b"From: Bob Ar <bar@example.org>",
    b"MIME-Version: 1.0", b"To: foo@example.net", b"Subject: About our holiday trip",
    b"Content-Type: multipart/mixed;", b'              boundary="' + BOUNDARY + b'"', b"", b""])
TEXT_MIME = b"Content-Type: text/plain; charset=us-ascii; format=flowed\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
TEXT = b"Our travel agent has sent the updated schedule.\r\n\r\nCheers,\r\nBob"
ZIP_MIME = b"Content-Type: application/x-zip-compressed\r\nContent-Transfer-Encoding: base64\r\n\r\n"
ZIP = b"UEsDBAoAAAAAAA==\r\n" * 2000
DRAFT = HEADER + b"--" + BOUNDARY + b"\r\n" + TEXT_MIME + TEXT + b"\r\n--" + BOUNDARY + b"\r\n" + ZIP_MIME + ZIP + \
    b"\r\n--" + BOUNDARY + b"--\r\n"
OPEN = b"\r\n--" + BOUNDARY + b"\r\n"
CLOSE = b"\r\n--" + BOUNDARY + b"--\r\n"


@pytest.fixture
def drafts(client):
    """(client, URL of a draft with an attachment)"""
    validity, uid = client.append("Drafts", DRAFT)
    return client, f"/Drafts;UIDVALIDITY={validity}/;UID={uid}"


def only(client, mailbox="Drafts", seq="*"):
    client.ok(f"SELECT {mailbox}")
    (items,) = client.fetch(seq, "(UID FLAGS BODY.PEEK[])").values()
    return items


def test_example_1_an_attachment_is_replaced(drafts):
    client, url = drafts
    validity, other = client.append("Drafts", b"Content-Type: text/plain\r\n\r\nnew attachment")
    client.ok(f'APPEND Drafts (\\Seen \\Draft $MDNSent) CATENATE (URL "{url}/;section=HEADER" TEXT ', OPEN,
              f' URL "{url}/;section=1.MIME" URL "{url}/;section=1" TEXT ', OPEN,
              f' URL "/Drafts;UIDVALIDITY={validity}/;UID={other}" TEXT ', CLOSE, ")")
    items = only(client)
    assert items["BODY[]"] == HEADER + OPEN + TEXT_MIME + TEXT + OPEN + b"Content-Type: text/plain\r\n\r\nnew attachment" + CLOSE
    assert {b"\\Seen", b"\\Draft", b"$MDNSent"} <= set(items["FLAGS"])
    assert "\\Seen" not in client.flags("1")[1]         # reading a part for this is no reading


def test_example_2_the_text_of_a_draft_is_edited(drafts):
    client, url = drafts
    new = HEADER.replace(b"trip", b"plans") + OPEN[2:] + TEXT_MIME + b"edited" + OPEN
    reply = client.ok("APPEND Drafts (\\Seen \\Draft $MDNSent) CATENATE (TEXT ", new,
                      f' URL "{url}/;Section=2.MIME" URL "{url}/;Section=2" TEXT ', CLOSE, ")")
    assert reply.code().startswith("APPENDUID ")
    client.ok("SELECT Drafts")
    client.ok("UID STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert only(client)["BODY[]"] == new + ZIP_MIME + ZIP + CLOSE


def test_example_3_an_attachment_is_stripped(drafts):
    client, url = drafts
    note = OPEN + b"Content-type: text/plain\r\n\r\nThis body part was deleted upon your request." + CLOSE
    client.ok(f'APPEND Drafts (\\Seen \\Draft $MDNSent) CATENATE (URL "{url}/;section=HEADER" TEXT ', OPEN,
              f' URL "{url}/;section=1.MIME" URL "{url}/;section=1" TEXT ', note, ")")
    assert only(client)["BODY[]"] == HEADER + OPEN + TEXT_MIME + TEXT + note


def test_example_4_a_part_that_is_not_there(client):
    validity, uid = client.append("INBOX", message("one"))
    head = b"Subject: Digest of the mailing list for today\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n"
    bad = f"/INBOX;UIDVALIDITY={validity}/;UID=113330/;section=1.5.9"
    reply = client.cmd("APPEND Sent (\\Seen $MDNSent) CATENATE (TEXT ", head,
                       f' URL "/INBOX;UIDVALIDITY={validity}/;UID={uid}" TEXT ', OPEN, f' URL "{bad}" TEXT ', OPEN, ")")
    assert (reply.status, reply.code()) == ("NO", f"BADURL {bad}")
    assert client.ok("SELECT Sent").count("EXISTS") == 0
    client.ok("NOOP")


def test_urls_of_every_kind(drafts):
    client, url = drafts
    client.ok("CREATE Entw&APw-rfe/x")
    other = client.append('"Entw&APw-rfe/x"', b"Subject: inner\r\nTo: a@x\r\n\r\n0123456789")[1]
    client.ok("SELECT Drafts")
    for part, want in ((f'"/Entw%C3%BCrfe%2Fx/;UID={other}"', b"Subject: inner\r\nTo: a@x\r\n\r\n0123456789"),
                       (f'"/Entw%C3%BCrfe/x/;UID={other}/;SECTION=TEXT/;PARTIAL=2.5"', b"23456"),
                       (f'"/Entw%C3%BCrfe/x/;UID={other}/;SECTION=TEXT/;PARTIAL=8"', b"89"),
                       (f'"/Entw%C3%BCrfe/x/;UID={other}/;SECTION=HEADER.FIELDS%20(To)"', b"To: a@x\r\n\r\n"),
                       (f'"/Entw%C3%BCrfe/x/;UID={other}/;SECTION=HEADER.FIELDS.NOT%20(To%20X)"', b"Subject: inner\r\n\r\n"),
                       ('";UID=1/;SECTION=1"', TEXT), ('"/;UID=1/;SECTION=1.MIME"', TEXT_MIME),
                       ('"/drafts/;UID=1/;SECTION=1"', None), ('"/Drafts/;UID=1/;SECTION=3"', None),
                       ('"imap://localhost/Drafts/;UID=1"', None), ('"/Drafts;UIDVALIDITY=1/;UID=1"', None),
                       ('"/Drafts/;UID=1/;SECTION=1]"', None), ('"/Drafts"', None), ('""', None), ("/Drafts/;UID=9", None)):
        reply = client.cmd(f"APPEND Trash CATENATE (TEXT ", b"x", f" URL {part})")
        if want is None:
            assert reply.status == "NO" and reply.code().startswith("BADURL"), (part, reply)
        else:
            assert reply.status == "OK", (part, reply)
            with_x = client.ok("EXAMINE Trash") and client.fetch("*", "BODY.PEEK[]")
            assert list(with_x.values())[0]["BODY[]"] == b"x" + want, part
            client.ok("SELECT Drafts")
    client.ok("APPEND Trash CATENATE (URL ", b"/Drafts/;UID=1", ")")        # a URL may be a literal
    assert only(client, "Trash")["BODY[]"] == DRAFT


def test_it_goes_together_with_other_extensions(drafts):
    """MULTIAPPEND mixes both forms; literals need not be waited for; dates and flags belong to their message."""
    client, url = drafts
    client.send(b'a APPEND Trash (\\Flagged) "17-Jul-1996 02:44:25 -0700" CATENATE (TEXT {3+}\r\nabc TEXT ~{3+}\r\ndef URL '
                b'"%s/;SECTION=1") (\\Seen) {5+}\r\nplain CATENATE (URL "%s")\r\n' % (url.encode(), url.encode()))
    assert client.collect("a").code().endswith(" 1:3")
    client.ok("SELECT Trash")
    got = client.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
    assert [got[n]["BODY[]"] for n in (1, 2, 3)] == [b"abcdef" + TEXT, b"plain", DRAFT]
    assert got[1]["INTERNALDATE"] == b"17-Jul-1996 09:44:25 +0000" and b"\\Flagged" in got[1]["FLAGS"]
    assert b"\\Seen" in got[2]["FLAGS"] and b"\\Seen" not in got[3]["FLAGS"]


def test_what_is_wrong_is_told_and_nothing_is_stored(drafts):
    client, url = drafts
    for line in (b"CATENATE", b"CATENATE ()", b"CATENATE (TEXT)", b"CATENATE (URL)", b'CATENATE (URL "%s"' % url.encode(),
                 b"CATENATE (TEXT {3+}\r\nabc", b"CATENATE (TEXT {3+}\r\nabc) (\\Seen)", b"CATENATE (TEXT {3+}\r\nabc {3+}\r\nabc)",
                 b"CATENATE (HTML {3+}\r\nabc)", b"CATENATE TEXT {3+}\r\nabc", b"CATENATE (TEXT (TEXT {3+}\r\nabc))",
                 b"(\\Seen) CATENATE ({3+}\r\nabc)", b"CATENATE (TEXT {0+}\r\n)", b'CATENATE (TEXT {3+}\r\na\0b URL "%s")' % url.encode(),
                 b'CATENATE (URL "%s" URL ({3+}\r\nabc))' % url.encode(), b"CATENATE (TEXT {3+}\r\nabc) x"):
        client.send(b"a APPEND Trash " + line + b"\r\nb NOOP\r\n")
        assert client.collect("a").status in ("BAD", "NO"), line
        assert client.collect("b").status == "OK", line
    assert client.ok("SELECT Trash").count("EXISTS") == 0


def test_the_sum_of_the_parts_meets_the_limit():
    with imap.Imapd(accounts=("alice",), conf="message-size 64K\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            text = b"x" * 40000
            c.append("INBOX", text)
            assert c.cmd('APPEND INBOX CATENATE (URL "/INBOX/;UID=1" URL "/INBOX/;UID=1")').code() == "TOOBIG"
            assert c.cmd("APPEND INBOX CATENATE (TEXT ", text, " TEXT ", text, ")").code() == "TOOBIG"
            c.ok('APPEND INBOX CATENATE (URL "/INBOX/;UID=1" URL "/INBOX/;UID=1/;PARTIAL=0.20000")')
            assert c.ok("SELECT INBOX").count("EXISTS") == 2


def test_catenate_that_is_off_is_not_there():
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off CATENATE\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            c.bad('APPEND INBOX CATENATE (URL "/INBOX/;UID=1")')
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off URL-PARTIAL\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            c.append("INBOX", message("x"))
            c.ok('APPEND INBOX CATENATE (URL "/INBOX/;UID=1")')
            assert c.cmd('APPEND INBOX CATENATE (URL "/INBOX/;UID=1/;PARTIAL=0.5")').code().startswith("BADURL")
