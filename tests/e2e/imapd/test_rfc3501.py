"""Example dialogues of RFC 3501 (and of the extensions' RFCs), replayed; and Python's imaplib, which is somebody else's
reading of them. Texts that a server may choose are not compared."""

import random

import imap

# RFC 3501 §8's message
SAMPLE = b"""Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)
From: Terry Gray <gray@cac.washington.edu>
Subject: IMAP4rev1 WG mtg summary and minutes
To: imap@cac.washington.edu
cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>
Message-Id: <B27397-0100000@cac.washington.edu>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

""".replace(b"\n", b"\r\n") + b"x" * 70 + b"\r\n"


def test_section_8_sample_connection(imapd, user):
    with imap.Client(imapd) as c:
        c.ok(f'login {imapd.address(user)} "{imapd.password(user)}"')
        c.append("inbox", SAMPLE, '(\\Seen) "17-Jul-1996 02:44:25 -0700"')
        reply = c.ok("select inbox")
        assert reply.count("EXISTS") == 1 and reply.text.startswith(b"[READ-WRITE]")
        full = c.fetch("1", "full")[1]
        assert full["RFC822.SIZE"] == len(SAMPLE)
        assert full["ENVELOPE"] == [
            b"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)", b"IMAP4rev1 WG mtg summary and minutes",
            [[b"Terry Gray", None, b"gray", b"cac.washington.edu"]], [[b"Terry Gray", None, b"gray", b"cac.washington.edu"]],
            [[b"Terry Gray", None, b"gray", b"cac.washington.edu"]], [[None, None, b"imap", b"cac.washington.edu"]],
            [[None, None, b"minutes", b"CNRI.Reston.VA.US"], [b"John Klensin", None, b"KLENSIN", b"MIT.EDU"]],
            None, None, b"<B27397-0100000@cac.washington.edu>"]
        body = full["BODY"]
        assert [x.upper() if isinstance(x, bytes) else x for x in body[:2] + body[3:]] == \
            [b"TEXT", b"PLAIN", None, None, b"7BIT", 72, 1]
        assert [x.upper() for x in body[2]] == [b"CHARSET", b"US-ASCII"]
        assert c.fetch("1", "body[header]")[1]["BODY[HEADER]"] == SAMPLE.split(b"\r\n\r\n")[0] + b"\r\n\r\n"
        got = c.ok("store 1 +flags \\deleted").fetched()
        assert {b"\\Seen", b"\\Deleted"} <= set(got[1]["FLAGS"])
        c.logout()


def test_section_6_3(client):
    client.ok("CREATE owatagusiam/")
    client.ok("CREATE owatagusiam/blurdybloop")
    client.ok("CREATE blurdybloop")
    client.ok("CREATE foo")
    client.ok("CREATE foo/bar")
    client.ok("DELETE blurdybloop")
    client.ok("DELETE foo")             # keeps its name as a parent
    reply = client.ok('LIST "" *')
    names = [text.split(b' "/" ')[1] for text in reply.all("LIST")]
    assert b"blurdybloop" not in names and b"foo" in names and b"foo/bar" in names
    assert b"\\Noselect" in [text for text in reply.all("LIST") if text.endswith(b" foo")][0]
    client.ok("RENAME owatagusiam/blurdybloop sarasoop")
    client.ok("SUBSCRIBE #news.comp.mail.mime")
    assert any(text.endswith(b"#news.comp.mail.mime") for text in client.ok('LSUB "" "#news.*"').all("LSUB"))
    client.ok("UNSUBSCRIBE #news.comp.mail.mime")


def test_section_6_3_11(client):
    text = b"""Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)
From: Fred Foobar <foobar@Blurdybloop.COM>
Subject: afternoon meeting
To: mooch@owatagu.siam.edu
Message-Id: <B27397-0100000@Blurdybloop.COM>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

Hello Joe, do you think we can meet at 3:30 tomorrow?
""".replace(b"\n", b"\r\n")
    client.ok("CREATE saved-messages")
    client.ok("APPEND saved-messages (\\Seen) ", text)
    client.ok("SELECT saved-messages")
    assert client.search('FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"') == []
    assert client.search('SEEN SINCE 1-Feb-1994 NOT FROM "Smith"') == [1]
    assert client.search('TEXT "string not in mailbox"') == []
    got = client.ok("STORE 1:1 +FLAGS (\\Deleted)").fetched()
    assert b"\\Deleted" in got[1]["FLAGS"]
    assert client.ok("EXPUNGE").numbers("EXPUNGE") == [1]


def test_section_6_4_5(box):
    for _ in range(3):
        box.append("INBOX", SAMPLE)
    box.ok("NOOP")
    got = box.fetch("2:3", "(FLAGS BODY[HEADER.FIELDS (DATE FROM)])")
    assert set(got) == {2, 3}
    assert got[2]["BODY[HEADER.FIELDS (DATE FROM)]"] == \
        b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: Terry Gray <gray@cac.washington.edu>\r\n\r\n"


def test_rfc_2177_and_rfc_3691_and_rfc_4315(box):
    uid = box.append("INBOX", SAMPLE)[1]
    box.ok("NOOP")
    box.ok("CREATE meeting")
    code = box.ok("COPY 1:1 meeting").code().split()
    assert code[0] == "COPYUID" and code[2] == str(uid)
    assert box.ok(f"UID COPY {uid + 1} meeting").code() is None
    assert box.ok("UNSELECT").untagged == []


def test_imaplib_does_its_whole_round(imapd, user):
    client = imapd.imap(user)
    assert client.enable("CONDSTORE")[0] == "OK"
    assert client.select("INBOX")[0] == "OK"
    assert client.append("INBOX", "\\Seen", None, SAMPLE)[0] == "OK"
    client.noop()
    assert client.search(None, "ALL") == ("OK", [b"1"])
    status, data = client.fetch("1", "(UID RFC822 FLAGS)")
    assert status == "OK" and data[0][1] == SAMPLE
    assert client.store("1", "+FLAGS", "(\\Flagged)")[0] == "OK"
    assert client.uid("SEARCH", None, "FLAGGED")[0] == "OK"
    assert client.create("Projects")[0] == "OK"
    assert client.copy("1", "Projects")[0] == "OK"
    assert client.status("Projects", "(MESSAGES)")[1] == [b"Projects (MESSAGES 1)"]
    assert client.list()[0] == "OK" and client.lsub()[0] == "OK" and client.namespace()[0] == "OK"
    assert client.rename("Projects", "Archive/Projects")[0] == "OK"
    assert client.delete("Archive/Projects")[0] == "OK"
    assert client.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
    assert client.expunge() == ("OK", [b"1"])
    assert client.unselect()[0] == "OK"
    assert client.logout()[0] == "BYE"


def ugly(seed):
    """A message that was good once."""
    r = random.Random(seed)
    parts = [SAMPLE,
             b"From: =?utf-8?q?a?= <a@b>, \"c d\" <e@f>\r\nTo: g: h@i, j@k;\r\nContent-Type: multipart/mixed; boundary=\"b b\"\r\n\r\n"
             b"--b b\r\nContent-Type: message/rfc822\r\n\r\n" + SAMPLE + b"\r\n--b b\r\nContent-Disposition: attachment; "
             b"filename*0*=utf-8''%C3%A4; filename*1=x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b b--\r\n"]
    text = bytearray(r.choice(parts))
    for _ in range(r.randrange(1, 12)):
        at = r.randrange(len(text))
        what = r.randrange(5)
        if what == 0:
            text[at] = r.randrange(1, 256)
        elif what == 1:
            del text[at:at + r.randrange(1, 20)]
        elif what == 2:
            text[at:at] = r.choice([b"\"", b"\\", b"(", b")", b";", b"\r\n", b"\n", b"\r", b"<", b">", b"=", b"\xff", b"{3}", b"\t"])
        elif what == 3:
            other = r.randrange(len(text))
            text[at:at] = text[other:other + r.randrange(1, 60)]
        else:
            text[at:at + 1] = b"A" * r.randrange(1, 3000)
    return bytes(text) or b"x"


def test_whatever_arrives_the_answers_are_grammatical(box):
    """Answers about ugly mail, read by a strict parser that is not ours."""
    seed = random.randrange(10**6)
    print("seed", seed)
    count = 300
    for n in range(count):
        text = ugly(seed + n)
        box.send(b"u APPEND INBOX {%d+}\r\n%s\r\n" % (len(text), text))
        assert box.collect("u").status == "OK"
    box.ok("SELECT INBOX")
    got = box.fetch("1:*", "(UID RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1] "
                           "BODY.PEEK[1.1.MIME] BODY.PEEK[HEADER.FIELDS (From Subject)] BODY.PEEK[]<0.50>)")
    assert len(got) == count
    for n, items in got.items():
        assert len(items["ENVELOPE"]) == 10, (seed, n)
        assert items["RFC822.SIZE"] == len(items["BODY[HEADER]"]) + len(items["BODY[TEXT]"]), (seed, n)
    for key in ("TEXT x", "BODY AAAA", "SUBJECT IMAP4rev1", "FROM gray", "SENTSINCE 1-Jan-1990", "HEADER X-Y z"):
        box.search(key)
