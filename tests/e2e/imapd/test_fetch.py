"""FETCH: every item, sections, partials, \\Seen; RFC 3501 §6.4.5, §7.4.2, RFC 7162 §3.1.4."""

import imap

MULTI = b"""From: "Fred \\"Foo\\" Bar" <foo@blurdybloop.example>, bar@x.example
Sender: sender@x.example
Reply-To: reply@x.example
To: group: a@x.example, "B" <b@x.example>;, c@x.example
Cc: =?utf-8?q?J=C3=B6rg?= <joerg@x.example>
Bcc: hidden@x.example
Subject: A subject
 that is folded
Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)
Message-ID: <B27397-0100000@cac.washington.edu>
In-Reply-To: <1@x.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=b"

preamble
--=b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

h=C3=A4llo
two
--=b
Content-Type: message/rfc822
Content-Description: inner

From: inner@x.example
Subject: inside
To: you@x.example

inner body
--=b
Content-Type: image/png; name="a.png"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="a.png"

AAAA
--=b--
epilogue
""".replace(b"\n", b"\r\n")


def put(box, message=MULTI, options=""):
    uid = box.append("INBOX", message, options)[1]
    box.ok("NOOP")
    return uid


def test_each_item_says_what_the_message_has(box):
    uid = put(box, options='(\\Flagged $Tag) "17-Jul-1996 02:44:25 -0700"')
    items = box.fetch("1", "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE MODSEQ)")[1]
    assert items["UID"] == uid
    assert set(items["FLAGS"]) == {b"\\Flagged", b"$Tag", b"\\Recent"}
    assert items["INTERNALDATE"] == b"17-Jul-1996 09:44:25 +0000"
    assert items["RFC822.SIZE"] == len(MULTI)
    envelope = items["ENVELOPE"]
    assert len(envelope) == 10
    assert envelope[0] == b"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)"
    assert envelope[1] == b"A subject that is folded"
    assert envelope[2] == [[b'Fred "Foo" Bar', None, b"foo", b"blurdybloop.example"], [None, None, b"bar", b"x.example"]]
    assert envelope[3] == [[None, None, b"sender", b"x.example"]]
    assert envelope[4] == [[None, None, b"reply", b"x.example"]]
    assert envelope[5] == [[None, None, b"group", None], [None, None, b"a", b"x.example"], [b"B", None, b"b", b"x.example"],
                           [None, None, None, None], [None, None, b"c", b"x.example"]]
    assert envelope[6] == [[b"=?utf-8?q?J=C3=B6rg?=", None, b"joerg", b"x.example"]]
    assert envelope[8] == b"<1@x.example>" and envelope[9] == b"<B27397-0100000@cac.washington.edu>"
    structure = items["BODYSTRUCTURE"]
    assert structure[3] == b"mixed" and structure[4] == [b"boundary", b"=b"]
    text, inner, image = structure[:3]
    assert [x.lower() if isinstance(x, bytes) else x for x in text[:2]] == [b"text", b"plain"]
    assert text[2] == [b"charset", b"utf-8"] and text[5].lower() == b"quoted-printable"
    assert text[6] == len(b"h=C3=A4llo\r\ntwo") and text[7] in (1, 2)
    assert inner[1].lower() == b"rfc822" and inner[7][1] == b"inside" and inner[8][0].lower() == b"text"
    assert image[1].lower() == b"png" and image[6] == 4 and image[8] == [b"attachment", [b"filename", b"a.png"]]
    assert items["BODY"][3] == b"mixed" and len(items["BODY"]) == 4
    assert len(items["MODSEQ"]) == 1 and items["MODSEQ"][0] > 0


def test_macros_and_single_items(box):
    put(box)
    assert set(box.fetch("1", "ALL")[1]) == {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"}
    assert set(box.fetch("1", "FAST")[1]) == {"FLAGS", "INTERNALDATE", "RFC822.SIZE"}
    assert set(box.fetch("1", "FULL")[1]) == {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"}
    assert set(box.fetch("1", "flags")[1]) == {"FLAGS"}
    assert box.fetch("1:*", "(FLAGS UID)", uid=True)[1]["UID"] > 0
    for wrong in ("", "()", "NONSENSE", "(FLAGS NONSENSE)", "(ALL)", "BODY[", "BODY[]<0>", "BODY[0]", "FLAGS UID",
                  "(FLAGS", "BODY[MIME]", "(FLAGS) (NONSENSE 1)", "(FLAGS) (CHANGEDSINCE)"):
        box.bad(f"FETCH 1 {wrong}")


def lines(*texts):
    return b"".join(text + b"\r\n" for text in texts)


def test_each_section_has_its_octets(box):
    put(box)
    header, body = MULTI.split(b"\r\n\r\n", 1)
    header += b"\r\n\r\n"
    inner = lines(b"From: inner@x.example", b"Subject: inside", b"To: you@x.example", b"")
    cases = {
        "BODY[]": MULTI, "BODY[HEADER]": header, "BODY[TEXT]": body,
        "BODY[1]": b"h=C3=A4llo\r\ntwo", "BODY[2]": inner + b"inner body", "BODY[3]": b"AAAA", "BODY[4]": None,
        "BODY[1.MIME]": lines(b"Content-Type: text/plain; charset=utf-8",
                              b"Content-Transfer-Encoding: quoted-printable", b""),
        "BODY[2.HEADER]": inner, "BODY[2.TEXT]": b"inner body", "BODY[2.1]": b"inner body", "BODY[1.1]": None,
        "BODY[2.HEADER.FIELDS (SUBJECT)]": lines(b"Subject: inside", b""),
        "BODY[2.HEADER.FIELDS.NOT (SUBJECT TO)]": lines(b"From: inner@x.example", b""),
        "BODY[HEADER.FIELDS (SUBJECT MESSAGE-ID)]": lines(b"Subject: A subject", b" that is folded",
                                                         b"Message-ID: <B27397-0100000@cac.washington.edu>", b""),
        "BODY[HEADER.FIELDS (X-NOTHING)]": b"\r\n",
    }
    for section, want in cases.items():
        got = box.fetch("1", section.replace("BODY[", "BODY.PEEK["))[1]
        assert got == {section: want}, (section, got)
    every = box.fetch("1", "(" + " ".join(s.replace("BODY[", "BODY.PEEK[") for s in cases) + ")")[1]
    assert every == cases


def test_header_fields_as_programs_ask_for_them(box):
    put(box)
    got = box.fetch("1", "(UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID "
                         "Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])")
    text = [v for k, v in got[1].items() if k.startswith("BODY[HEADER.FIELDS")][0]
    assert b"Subject: A subject\r\n that is folded\r\n" in text and b"Sender" not in text
    assert text.endswith(b"\r\n\r\n")


def test_partials(box):
    put(box)
    n = len(MULTI)
    for start, count, want in ((0, 10, MULTI[:10]), (5, 7, MULTI[5:12]), (n - 3, 100, MULTI[-3:]), (n, 5, b""),
                               (n + 1000, 5, b""), (0, 4294967295, MULTI)):
        assert box.fetch("1", f"BODY.PEEK[]<{start}.{count}>")[1] == {f"BODY[]<{start}>": want}
    assert box.fetch("1", "BODY.PEEK[1]<1.3>")[1] == {"BODY[1]<1>": b"=C3"}
    assert box.fetch("1", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]<9.9>")[1] == {"BODY[HEADER.FIELDS (SUBJECT)]<9>": b"A subject"}
    assert box.fetch("1", "BODY.PEEK[9]<0.9>")[1] == {"BODY[9]<0>": None}


def test_old_names(box):
    put(box)
    header, body = MULTI.split(b"\r\n\r\n", 1)
    assert box.fetch("1", "RFC822.HEADER")[1] == {"RFC822.HEADER": header + b"\r\n\r\n"}
    assert "\\Seen" not in box.flags("1")[1]
    got = box.fetch("1", "RFC822.TEXT")[1]
    assert got["RFC822.TEXT"] == body and b"\\Seen" in got["FLAGS"]
    assert box.fetch("1", "(RFC822 UID)")[1]["RFC822"] == MULTI


def test_seen_is_set_by_reading_and_not_by_peeking(box):
    put(box)
    put(box)
    assert "FLAGS" not in box.fetch("1", "BODY.PEEK[TEXT]")[1]
    assert b"\\Seen" in box.fetch("1:2", "BODY[TEXT]")[2]["FLAGS"]
    assert "FLAGS" not in box.fetch("1", "BODY[TEXT]")[1]
    assert box.search("SEEN") == [1, 2]
    assert not box.ok("NOOP").untagged      # no echo of our own change


def test_uid_fetch_beyond_the_end_is_the_last_message(box, imapd, user):
    """RFC 3501 §6.4.8: `*` is the last message, so there is always one to fetch but in an empty mailbox."""
    assert box.fetch("1:*", "FLAGS", uid=True) == {}
    uids = [put(box) for _ in range(3)]
    assert list(box.fetch(f"{uids[-1] + 1000}:*", "FLAGS", uid=True)) == [3]
    assert list(box.fetch("*", "FLAGS")) == [3]
    assert list(box.fetch("5:*", "FLAGS")) == [3]
    assert box.fetch(f"{uids[-1] + 1}", "FLAGS", uid=True) == {}
    box.bad("FETCH 4 FLAGS")
    box.bad("FETCH 0 FLAGS")
    box.bad("FETCH 1:x FLAGS")
    with imap.Client(imapd, user) as other:
        new = other.append("INBOX", MULTI)[1]
    assert box.fetch(f"{uids[-1] + 1}:*", "(UID)", uid=True)[4]["UID"] == new


def test_a_message_without_header_or_body(box):
    for message in (b"just text\r\n", b"\r\n", b"\r\nbody", b"Subject: only\r\n", b"Subject: cut"):
        put(box, message)
    for n, items in box.fetch("1:*", "(ENVELOPE BODYSTRUCTURE BODY[] RFC822.SIZE BODY[HEADER] BODY[TEXT] BODY[1])").items():
        assert len(items["ENVELOPE"]) == 10
        assert items["RFC822.SIZE"] == len(items["BODY[]"])
        assert items["BODY[HEADER]"] + items["BODY[TEXT]"] == items["BODY[]"], n


def test_a_lone_lf_counts_as_crlf(box):
    put(box, b"Subject: a\n\nb\nc\r\n")
    items = box.fetch("1", "(RFC822.SIZE BODY[] BODY[HEADER] BODY.PEEK[]<0.12>)")[1]
    assert items["BODY[]"] == b"Subject: a\r\n\r\nb\r\nc\r\n"
    assert items["RFC822.SIZE"] == len(items["BODY[]"])
    assert items["BODY[HEADER]"] == b"Subject: a\r\n\r\n"


def test_changedsince_gives_what_changed_and_nothing_else(box):
    for _ in range(3):
        put(box)
    first = max(items["MODSEQ"][0] for items in box.fetch("1:*", "MODSEQ").values())
    assert box.fetch("1:*", "(FLAGS) (CHANGEDSINCE %d)" % first) == {}
    box.ok("STORE 2 +FLAGS (\\Flagged)")
    got = box.fetch("1:*", "(FLAGS) (CHANGEDSINCE %d)" % first)
    assert list(got) == [2] and got[2]["MODSEQ"][0] > first
    assert list(box.fetch("1:*", "(FLAGS) (CHANGEDSINCE 0)", uid=True)) == [1, 2, 3]     # iOS asks so
    assert list(box.fetch("1", "(FLAGS) (CHANGEDSINCE %d)" % first)) == []


def test_8bit_and_odd_headers_stay_grammatical(box):
    ugly = [
        b"Subject: \xe4\xf6\xfc\r\nFrom: \xff <a@b>\r\n\r\nx",
        b"From: @@@ <<>> ,,, \"\r\nTo: undisclosed-recipients:;\r\n\r\nx",
        b"Content-Type: multipart/mixed\r\n\r\nx",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n--x\r\n--x--",
        b"Content-Type: text/plain; charset=\"a\\\"b\"; name=\"\xff\"\r\n\r\nx",
        b"Content-Type: ; ;;\r\nContent-Disposition: ;;=\r\n\r\nx",
        b"Subject: a\rb\r\nX: \"unclosed\r\n\r\nx",
        b"From: (comment\\) <a@b\r\nDate: \"quoted\"\r\nMessage-Id: {5}\r\n\r\nx",
        b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n",
        b"Content-Language: de, en\r\nContent-Location: \xe4\r\nContent-MD5: \\\r\nContent-Id: \"\r\n\r\nx",
    ]
    for message in ugly:
        put(box, message)
    got = box.fetch("1:*", "(ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[])")
    assert [got[n + 1]["BODY[]"] for n in range(len(ugly))] == ugly


def test_a_slow_reader_of_a_hundred_megabytes_gets_every_octet(imapd, user):
    """A FETCH of 100 MB whose reader lets it wait; nobody else waits meanwhile."""
    with imap.Client(imapd, user) as slow, imap.Client(imapd, user) as other:
        big = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 4 * 1024 * 320
        slow.append("INBOX", big)
        slow.ok("SELECT INBOX")
        for _ in range(4):
            slow.ok("COPY 1 INBOX")
        other.ok("SELECT INBOX")
        slow.send("x FETCH 1:5 BODY.PEEK[]\r\n")
        for _ in range(20):
            other.ok("NOOP")
            other.ok("FETCH 1:5 (FLAGS ENVELOPE)")
        start = b"* %d FETCH (BODY[] {%d}\r\n"
        for n in range(1, 6):
            assert slow.line() + b"\r\n" == start % (n, len(big))
            assert slow.octets(len(big)) == big
            assert slow.line() == b")"
        assert slow.collect("x").status == "OK"


def test_leaving_in_the_middle_of_a_large_fetch_hurts_nobody(imapd, user):
    with imap.Client(imapd, user) as c:
        big = b"Subject: big\r\n\r\n" + b"x" * (8 << 20)
        c.append("INBOX", big)
        c.ok("SELECT INBOX")
        c.send("x FETCH 1 BODY[]\r\n")
        c.octets(100000)
    with imap.Client(imapd, user) as c:
        assert c.ok("SELECT INBOX").count("EXISTS") == 1


def test_one_response_of_many_megabytes_reaches_a_slow_reader(box):
    """BODYSTRUCTURE of 9,000 parts: larger than what is queued for a connection at once."""
    parts = b"".join(b"--b\r\nContent-Type: text/plain; name=\"%05d%s\"\r\n\r\nx\r\n" % (n, b"n" * 150) for n in range(9000))
    put(box, b"Subject: many\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + parts + b"--b--\r\n")
    # (Reading megabytes by a parser in Python takes long: parts are counted.)
    first = box.ok("FETCH 1 (BODYSTRUCTURE BODY UID)").untagged
    assert len(first) == 1 and first[0].lower().count(b'("text" "plain" ') == 2 * 9000
    box.send("".join(f"x{n} FETCH 1 (BODYSTRUCTURE BODY UID)\r\n" for n in range(10)))
    for n in range(10):
        reply = box.collect(f"x{n}")
        assert reply.status == "OK" and reply.untagged == first
