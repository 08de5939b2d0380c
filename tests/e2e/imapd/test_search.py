"""SEARCH and ESEARCH: every key of RFC 3501 §6.4.4, RFC 4731, RFC 7162 §3.1.5; decoding; what clients send."""

import base64

import pytest

import imap


def put(box, text, options=""):
    return box.append("INBOX", text.encode() if isinstance(text, str) else text, options)[1]


@pytest.fixture(scope="module")
def mail(imapd):
    """A session with five messages, which no test here changes."""
    imapd.add_account("searcher")
    with imap.Client(imapd, "searcher") as client:
        client.ok("SELECT INBOX")
        fill(client)
        yield client


def fill(box):
    put(box, "From: Alice <alice@one.example>\r\nTo: bob@two.example\r\nSubject: first Apple\r\n"
             "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nMessage-ID: <m1@x>\r\n\r\nThe quick brown fox\r\n",
        '(\\Seen) "08-Feb-1994 05:52:25 +0000"')
    put(box, "From: Bob <bob@two.example>\r\nCc: carol@three.example\r\nBcc: dave@four.example\r\nSubject: second\r\n"
             "Date: Tue, 8 Feb 1994 00:30:00 +0000\r\nX-Colour: deep Blue\r\n\r\njumps over " + "x" * 3000 + "\r\n",
        '(\\Flagged $Work) "09-Feb-1994 00:00:00 +0000"')
    put(box, "From: =?iso-8859-1?Q?J=F6rg_M=FCller?= <joerg@five.example>\r\n"
             "Subject: =?utf-8?B?" + base64.b64encode("Grüße aus Köln".encode()).decode() + "?=\r\n"
             "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
             "Stra=DFe und =\r\nWeg\r\n", '(\\Deleted) "10-Feb-1994 12:00:00 +0000"')
    put(box, "From: x@six.example\r\nSubject: multi\r\nMIME-Version: 1.0\r\n"
             "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes("versteckt: Überraschung".encode()).decode() +
        "\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nc2VjcmV0cGl4ZWxz\r\n--b--\r\n",
        '(\\Draft) "11-Feb-1994 12:00:00 +0000"')
    put(box, "From: x@six.example\r\nSubject: \r\n\r\n", '(\\Answered \\Seen) "12-Feb-1994 12:00:00 +0000"')
    box.ok("NOOP")


@pytest.mark.parametrize("keys, want", [
    ("ALL", [1, 2, 3, 4, 5]), ("1:*", [1, 2, 3, 4, 5]), ("*", [5]), ("2,4", [2, 4]), ("9", []), ("3:9", [3, 4, 5]),
    ("SEEN", [1, 5]), ("UNSEEN", [2, 3, 4]), ("FLAGGED", [2]), ("UNFLAGGED", [1, 3, 4, 5]), ("DELETED", [3]),
    ("UNDELETED", [1, 2, 4, 5]), ("DRAFT", [4]), ("UNDRAFT", [1, 2, 3, 5]), ("ANSWERED", [5]), ("UNANSWERED", [1, 2, 3, 4]),
    ("KEYWORD $work", [2]), ("UNKEYWORD $Work", [1, 3, 4, 5]), ("KEYWORD nothing", []), ("UNKEYWORD nothing", [1, 2, 3, 4, 5]),
    ("RECENT", [1, 2, 3, 4, 5]), ("OLD", []), ("NEW", [2, 3, 4]), ("NOT SEEN", [2, 3, 4]), ("NOT NOT SEEN", [1, 5]),
    ("SEEN NOT ANSWERED", [1]), ("OR SEEN FLAGGED", [1, 2, 5]), ("OR (SEEN ANSWERED) (FLAGGED)", [2, 5]),
    ("OR OR SEEN FLAGGED DELETED", [1, 2, 3, 5]), ("(1:3 (2:4))", [2, 3]), ("NOT 1:3", [4, 5]), ("1:3 NOT DELETED", [1, 2]),
    ("NOT (SEEN)", [2, 3, 4]), ("OR 1 5", [1, 5]), ("(1)", [1]),
    ("BEFORE 9-Feb-1994", [1]), ("ON 9-Feb-1994", [2]), ("SINCE 09-Feb-1994", [2, 3, 4, 5]), ('ON "10-Feb-1994"', [3]),
    ("SENTBEFORE 8-Feb-1994", [1]), ("SENTON 7-Feb-1994", [1]), ("SENTSINCE 8-Feb-1994", [2, 3, 4, 5]),
    ("LARGER 2000", [2]), ("SMALLER 60", [5]), ("LARGER 4294967295", []),
    ("FROM alice", [1]), ("FROM ALICE@ONE", [1]), ('FROM "jörg m\xfcller"', [3]), ("TO two.example", [1]), ("CC carol", [2]),
    ("BCC dave", [2]), ("SUBJECT APPLE", [1]), ('SUBJECT "GRÜSSE AUS"', []), ('SUBJECT "grüße aus k\xf6ln"', [3]),
    ("HEADER Message-ID m1@x", [1]), ("HEADER X-Colour blue", [2]), ('HEADER x-colour ""', [2]), ('HEADER Cc ""', [2]),
    ("HEADER X-Nothing x", []), ('SUBJECT ""', [1, 2, 3, 4, 5]), ('TO ""', [1]),
    ("BODY fox", [1]), ("BODY FOX", [1]), ("BODY alice", []), ("TEXT alice", [1]), ("TEXT fox", [1]), ('BODY "straße und weg"', [3]),
    ('BODY "überraschung"', [4]), ("BODY secretpixels", []), ("BODY c2VjcmV0", []), ('TEXT "jörg"', [3]), ('BODY ""', [1, 2, 3, 4, 5]),
    ("TEXT X-Colour", [2]), ("BODY nowhere", []), ("UNSEEN BODY over", [2]), ("OR BODY fox BODY over", [1, 2]),
    ("MODSEQ 1", [1, 2, 3, 4, 5]), ("MODSEQ 99999999999999999", []),
])
def test_each_key_finds_what_it_says(mail, keys, want):
    reply = mail.ok("SEARCH CHARSET UTF-8 " + keys) if not keys.isascii() else mail.ok("SEARCH " + keys)
    found = reply.all("SEARCH")
    assert len(found) == 1
    words = found[0].decode().split(" (MODSEQ ")
    assert [int(n) for n in words[0].split()] == want, reply
    assert (len(words) == 2) == (keys.startswith("MODSEQ") and bool(want))


def test_a_uid_search_answers_and_takes_uids(mail):
    uids = [v["UID"] for v in mail.fetch("1:*", "UID").values()]
    assert mail.search("1:* NOT DELETED", uid=True) == [uids[n] for n in (0, 1, 3, 4)]
    assert mail.search("UID *:*", uid=True) == [uids[4]]
    assert mail.search(f"UID {uids[1]}:{uids[2]}") == [2, 3]
    assert mail.search(f"UID {uids[4] + 5}:*", uid=True) == [uids[4]]
    assert mail.search("1:* (SINCE 10-Feb-1994) NOT DELETED", uid=True) == [uids[3], uids[4]]


def test_an_esearch_has_its_tag_and_no_all_without_a_result(mail):
    """The tag is a quoted string, an empty result has no ALL."""
    uids = [v["UID"] for v in mail.fetch("1:*", "UID").values()]

    def esearch(line):
        reply = mail.ok(line)
        texts = reply.all("ESEARCH")
        assert len(texts) == 1 and not reply.all("SEARCH")
        start = f'(TAG "t{mail.tag}")'.encode()
        assert texts[0].startswith(start)
        return texts[0][len(start):]

    assert esearch("SEARCH RETURN () SEEN") == b" ALL 1,5"
    assert esearch("SEARCH RETURN (MIN MAX COUNT ALL) UNSEEN") == b" MIN 2 MAX 4 ALL 2:4 COUNT 3"
    assert esearch("UID SEARCH RETURN (ALL) 1:* NOT DELETED") == f" UID ALL {uids[0]}:{uids[1]},{uids[3]}:{uids[4]}".encode()
    assert esearch("SEARCH RETURN (MIN MAX ALL COUNT) BODY nowhere") == b" COUNT 0"
    assert esearch("UID SEARCH RETURN (ALL) BODY nowhere") == b" UID"
    assert esearch("SEARCH RETURN (COUNT) CHARSET UTF-8 ALL") == b" COUNT 5"
    assert b" MODSEQ " in esearch("SEARCH RETURN (MIN) MODSEQ 1")


def test_wrong_searches_are_refused_and_the_session_goes_on(mail):
    for wrong in ("", "NONSENSE", "()", "(", "NOT", "OR", "OR SEEN", "(NOT)", "FROM", "BEFORE", "BEFORE x", "BEFORE 32-Jan-2020",
                  "LARGER", "LARGER x", "LARGER -1", "UID", "UID x", "0", "1:x", "HEADER x", "KEYWORD", "SEEN)", "RETURN (NONSENSE) ALL",
                  "RETURN (ALL)", "CHARSET", "CHARSET UTF-8", "MODSEQ x", "HEADER \"\" x"):
        mail.bad(f"SEARCH {wrong}")
        mail.ok("NOOP")     # twenty wrong commands in a row would end the session
    reply = mail.no("SEARCH CHARSET X-NONSENSE FROM x")
    assert reply.code().startswith("BADCHARSET")
    assert len(mail.search("1:5")) == 5


def test_other_charsets_and_literals(mail):
    assert mail.ok("SEARCH CHARSET ISO-8859-1 FROM ", "jörg".encode("latin-1")).all("SEARCH") == [b"3"]
    assert mail.ok("SEARCH CHARSET UTF-8 SUBJECT ", "Köln".encode()).all("SEARCH") == [b"3"]
    assert mail.ok("SEARCH FROM ", b"alice", " SUBJECT ", b"apple").all("SEARCH") == [b"1"]


def test_deep_and_long_searches_are_bounded(mail):
    assert mail.search("NOT " * 200 + "SEEN") == [1, 5]
    assert mail.search("OR SEEN " * 200 + "FLAGGED") == [1, 2, 5]
    assert mail.search("(" * 30 + "SEEN" + ")" * 30) == [1, 5]
    mail.bad("SEARCH " + "(" * 40 + "SEEN" + ")" * 40)
    assert mail.no("SEARCH " + "SEEN " * 2000 + "ALL").code() == "LIMIT"
    assert mail.search("SEEN") == [1, 5]


def test_a_just_appended_message_is_found(box):
    put(box, "Subject: other\r\n\r\nx")
    uid = put(box, "Subject: marker\r\nX-OfflineIMAP-1: 4711\r\n\r\nx")
    assert box.search("HEADER X-OfflineIMAP-1 4711", uid=True) == [uid]


def test_a_needle_across_two_reads_is_found(box):
    put(box, b"Subject: x\r\n\r\n" + b"a" * (32 * 1024 - 5) + b"needle in here" + b"b" * 70000 + b"\r\n")
    box.ok("NOOP")
    assert box.search('BODY "needle in here"') == [1]
    assert box.search('BODY "needle in there"') == []
