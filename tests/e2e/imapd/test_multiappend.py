"""APPEND of many messages at once (RFC 3502), and how much may be appended (RFC 7889)."""

import imap
import postroom
from postroom import message

FOOBAR = b"""Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)
From: Fred Foobar <foobar@Blurdybloop.example.COM>
Subject: afternoon meeting
To: mooch@owatagu.example.net
Message-Id: <B27397-0100000@Blurdybloop.example.COM>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

Hello Joe, do you think we can meet at 3:30 tomorrow?
""".replace(b"\n", b"\r\n")
MOOCH = b"""Date: Mon, 7 Feb 1994 22:43:04 -0800 (PST)
From: Joe Mooch <mooch@OWaTaGu.example.net>
Subject: Re: afternoon meeting
To: foobar@blurdybloop.example.com
Message-Id: <a0434793874930@OWaTaGu.example.net>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

3:30 is fine with me.
""".replace(b"\n", b"\r\n")


def test_the_example_of_rfc_3502(client):
    client.ok("CREATE saved-messages")
    reply = client.ok("APPEND saved-messages (\\Seen) ", FOOBAR, ' (\\Seen) " 7-Feb-1994 22:43:04 -0800" ', MOOCH)
    words = reply.code().split()
    assert words[0] == "APPENDUID" and words[2] == "1:2"
    client.ok("SELECT saved-messages")
    got = client.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
    assert [got[n]["BODY[]"] for n in (1, 2)] == [FOOBAR, MOOCH]
    assert all(b"\\Seen" in got[n]["FLAGS"] for n in (1, 2))
    assert got[2]["INTERNALDATE"] == b" 8-Feb-1994 06:43:04 +0000"
    assert client.cmd("APPEND bogusname (\\Flagged) ", b"x" * 1023).code() == "TRYCREATE"


def test_the_second_message_may_be_refused_before_it_is_sent_and_the_first_goes_with_it():
    """The rest of the example, and RFC 3502 §6.3.11: no partial appending."""
    with imap.Imapd() as server:
        server.postroom("account", "add", "--password-stdin", "--quota", "10K", "alice@example.test", input="secret\n")
        server.passwords["alice@example.test"] = "secret"
        server.start()
        with imap.Client(server, "alice") as c:
            c.send(b"a APPEND INBOX (\\Flagged) {%d}\r\n" % len(FOOBAR))
            assert c.line().startswith(b"+ ")
            c.send(FOOBAR + b" {35403}\r\n")
            reply = c.collect("a")
            assert (reply.status, reply.code()) == ("NO", "OVERQUOTA")
            c.send(b"b APPEND INBOX {%d+}\r\n%s {35403+}\r\n%s\r\nc NOOP\r\n" % (len(FOOBAR), FOOBAR, b"x" * 35403))
            assert c.collect("b").code() == "OVERQUOTA"
            assert c.collect("c").status == "OK"
            assert c.ok("SELECT INBOX").count("EXISTS") == 0
        postroom.wait_for("an empty tmp", lambda: not list((server.maildir("alice") / "tmp").iterdir()))


def test_each_message_has_flags_and_a_date_of_its_own(box):
    texts = [message(f"m{n}") for n in range(5)]
    reply = box.ok("APPEND INBOX ", texts[0], " (\\Flagged $One) ", texts[1], ' "17-Jul-1996 02:44:25 -0700" ', texts[2],
                   ' () "17-Jul-1997 02:44:25 +0000" ', texts[3], " (\\Draft) ", texts[4])
    assert reply.count("EXISTS") == 5
    got = box.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
    assert [got[n + 1]["BODY[]"] for n in range(5)] == texts
    assert [sorted(set(got[n + 1]["FLAGS"]) - {b"\\Recent"}) for n in range(5)] == \
        [[], [b"$One", b"\\Flagged"], [], [], [b"\\Draft"]]
    assert got[3]["INTERNALDATE"] == b"17-Jul-1996 09:44:25 +0000"
    assert got[4]["INTERNALDATE"] == b"17-Jul-1997 02:44:25 +0000"


def test_what_comes_in_one_piece_or_in_two_is_the_same(box):
    """All that has come of a command is read in one go; where it is cut makes no difference, nor what stands behind it."""
    texts = [message(f"m{n}") for n in range(3)]
    whole = b"a APPEND INBOX (\\Seen) {%d+}\r\n%s {%d+}\r\n%s () {%d+}\r\n%s\r\nb APPEND INBOX {3+}\r\nabc )\r\nc NOOP\r\n" % tuple(
        part for text in texts for part in (len(text), text))
    had = 0
    for cut in range(0, len(whole), 29):
        box.send(whole[:cut])
        box.send(whole[cut:])
        assert box.collect("a").code().split()[2] == f"{had + 1}:{had + 3}"
        had += 3
        assert box.collect("b").status == "BAD"
        assert box.collect("c").status == "OK"
    got = box.fetch("1:*", "(BODY.PEEK[])")
    assert [got[n + 1]["BODY[]"] for n in range(had)] == texts * (had // 3)


def test_a_hundred_messages_in_one_command_and_no_more(box):
    texts = [message(f"m{n}") for n in range(100)]
    whole = b" ".join(b"{%d+}\r\n%s" % (len(t), t) for t in texts)
    box.send(b"a APPEND INBOX " + whole + b"\r\n")
    reply = box.collect("a")
    assert reply.status == "OK" and reply.code().split()[2] == "1:100"
    box.send(b"b APPEND INBOX " + whole + b" {1+}\r\nx\r\n")
    assert box.collect("b").code() == "LIMIT"
    assert len(box.search("ALL")) == 100


def test_an_error_in_any_message_leaves_none(box):
    good = message("good")
    for bad in (b" (\\Nonsense) {3+}\r\nabc", b" {3+}\r\na\0b", b" {0+}\r\n", b' "not a date" {3+}\r\nabc', b" (\\Seen)", b" x",
                b' "17-Jul-1996 02:44:25 -0700" (\\Seen) {3+}\r\nabc', b"{3+}\r\nabc", b" (\\Seen {3+}\r\nabc)"):
        box.send(b"a APPEND INBOX {%d+}\r\n%s%s\r\nb NOOP\r\n" % (len(good), good, bad))
        assert box.collect("a").status in ("BAD", "NO"), bad
        assert box.collect("b").status == "OK"
    assert box.search("ALL") == []


def test_leaving_in_the_middle_of_the_second_message_leaves_none(imapd, user):
    with imap.Client(imapd, user) as c:
        c.send(b"a APPEND INBOX {%d+}\r\n%s {5000+}\r\nhalf of it" % (len(FOOBAR), FOOBAR))
    with imap.Client(imapd, user) as c:
        assert c.ok("SELECT INBOX").count("EXISTS") == 0
    postroom.wait_for("an empty tmp", lambda: not list((imapd.maildir(user) / "tmp").iterdir()))


def test_every_cut_of_a_multiappend(box):
    text = message("cut")
    for cut in range(0, 2 * len(text) + 60, 37):
        whole = b"a APPEND INBOX (\\Seen) {%d+}\r\n%s (\\Seen) {%d+}\r\n%s\r\n" % (len(text), text, len(text), text)
        box.send(whole[:cut])
        box.send(whole[cut:])
        assert box.collect("a").status == "OK"
    assert len(box.search("SEEN")) == 2 * len(range(0, 2 * len(text) + 60, 37))


def test_switched_off_one_message_only():
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off MULTIAPPEND APPENDLIMIT\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            words = c.ok("CAPABILITY").all("CAPABILITY")[0].decode().split()
            assert "MULTIAPPEND" not in words and not any(word.startswith("APPENDLIMIT") for word in words)
            c.send("a APPEND INBOX {3+}\r\nabc {3+}\r\nabc\r\n")
            assert c.collect("a").status == "BAD"
            c.bad("STATUS INBOX (APPENDLIMIT)")


def test_the_limit_is_told_and_kept():
    """RFC 7889 §2, §3.1, §4."""
    with imap.Imapd(accounts=("alice",), conf="message-size 64K\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            assert b"INBOX (APPENDLIMIT 65536)" in c.ok('LIST "" % RETURN (STATUS (APPENDLIMIT))').all("STATUS")
            assert "APPENDLIMIT=65536" in c.ok("CAPABILITY").all("CAPABILITY")[0].decode().split()
            assert c.ok("STATUS INBOX (APPENDLIMIT)").all("STATUS") == [b"INBOX (APPENDLIMIT 65536)"]
            c.append("INBOX", b"Subject: fits\r\n\r\n".ljust(65536, b"x"))
            reply = c.cmd("APPEND INBOX ", b"x" * 65537)
            assert (reply.status, reply.code()) == ("NO", "TOOBIG")
