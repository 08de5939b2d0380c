"""APPEND: RFC 3501 §6.3.11, RFC 7888, RFC 4315, and what mail programs send."""

import imap
import postroom
from postroom import message


def test_append_with_everything(box):
    text = message("one")
    validity, uid = box.append("INBOX", text, '(\\Seen \\Recent $Forwarded) "17-Jul-1996 02:44:25 -0700"')
    items = box.fetch("1", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]
    assert items["UID"] == uid and items["BODY[]"] == text
    assert set(items["FLAGS"]) - {b"\\Recent"} == {b"\\Seen", b"$Forwarded"}
    assert items["INTERNALDATE"] == b"17-Jul-1996 09:44:25 +0000"


def test_the_selected_mailbox_shows_it_at_once(box):
    reply = box.ok("APPEND INBOX ", message("one"))
    assert reply.count("EXISTS") == 1


def test_try_create_before_the_octets_are_sent(client):
    reply = client.cmd("APPEND nowhere ", b"x" * 1000)
    assert (reply.status, reply.code()) == ("NO", "TRYCREATE")
    client.ok("NOOP")


def test_literals_of_every_form_are_taken(box):
    text = message("nonsync")
    box.send(b"a APPEND INBOX {%d+}\r\n%s\r\nb NOOP\r\n" % (len(text), text))
    assert box.collect("a").status == "OK"
    assert box.collect("b").status == "OK"
    box.send(b"c APPEND {5+}\r\nINBOX (\\Seen) {%d}\r\n" % len(text))
    assert box.line().startswith(b"+ ")
    box.send(text + b"\r\n")
    assert box.collect("c").status == "OK"
    assert box.fetch("1:*", "BODY.PEEK[]") == {1: {"BODY[]": text}, 2: {"BODY[]": text}}


def test_refused_before_it_is_sent_or_read_and_dropped(box):
    huge = 60 << 20
    for size in (huge, 4000000000, 10**18):
        box.send(f"a APPEND INBOX {{{size}}}\r\n")
        reply = box.collect("a")
        assert (reply.status, reply.code()) == ("NO", "TOOBIG")
    box.ok("NOOP")
    with_limit = "message-size 64K\n"
    with imap.Imapd(accounts=("alice",), conf=with_limit) as server:
        server.start()
        with imap.Client(server, "alice") as c:
            c.send(b"a APPEND INBOX {70000+}\r\n" + b"x" * 70000 + b"\r\nb NOOP\r\n")
            reply = c.collect("a")
            assert (reply.status, reply.code()) == ("NO", "TOOBIG")
            assert c.collect("b").status == "OK"
            c.send(b"c APPEND INBOX {300000+}\r\n")
            assert c.line().startswith(b"* BYE ")
            assert c.at_end()
        with imap.Client(server, "alice") as c:
            assert c.ok("SELECT INBOX").count("EXISTS") == 0


def test_over_quota():
    with imap.Imapd() as server:
        server.postroom("account", "add", "--password-stdin", "--quota", "10K", "alice@example.test", input="secret\n")
        server.passwords["alice@example.test"] = "secret"
        server.start()
        with imap.Client(server, "alice") as c:
            c.append("INBOX", message("fits"))
            c.send("a APPEND INBOX {20000}\r\n")
            reply = c.collect("a")
            assert (reply.status, reply.code()) == ("NO", "OVERQUOTA")
            c.send(b"b APPEND INBOX {20000+}\r\n" + b"x" * 20000 + b"\r\nc NOOP\r\n")
            reply = c.collect("b")
            assert (reply.status, reply.code()) == ("NO", "OVERQUOTA")
            assert c.collect("c").status == "OK"
            assert c.ok("SELECT INBOX").count("EXISTS") == 1


def test_wrong_appends_are_refused_and_the_session_goes_on(box):
    for line in ("APPEND INBOX", "APPEND INBOX (\\Seen)", "APPEND INBOX \"text\"", "APPEND"):
        box.bad(line)
    for options in ("(\\Nonsense)", '"not a date"', "(\\Seen", '"17-Jul-1996 02:44:25 -0700" (\\Seen)'):
        assert box.cmd(f"APPEND INBOX {options} ", b"x").status == "BAD"
    assert box.no("APPEND INBOX ", b"Subject: x\r\n\r\na\0b").code() == "CANNOT"
    assert box.cmd("APPEND INBOX ", b"").status == "NO"
    box.send("a APPEND INBOX {3+}\r\nabc (\\Seen)\r\n")
    assert box.collect("a").status == "BAD"
    box.send("b APPEND INBOX {3+}\r\nabc x\r\nc NOOP\r\n")
    assert box.collect("b").status == "BAD"
    assert box.collect("c").status == "OK"
    assert box.search("ALL") == []


def test_ugly_mail_is_stored_as_it_is(box):
    ugly = [b"Subject: \xe4\xf6\r\n\r\n\xff\xfe", b"x" * 5000 + b"\r\n", b"no header at all", b"\r\n\r\n\r\n",
            b"From: a\r\n" * 1000 + b"\r\n.\r\n..\r\n", b"Subject: x\r\n\r\n" + b"y" * 200000]
    for text in ugly:
        box.append("INBOX", text)
    box.ok("NOOP")
    got = box.fetch("1:*", "(BODY.PEEK[] RFC822.SIZE)")
    for n, text in enumerate(ugly):
        assert got[n + 1]["BODY[]"] == text and got[n + 1]["RFC822.SIZE"] == len(text)


def test_odd_dates_come_back_as_the_same_moment(box):
    for given, want in (('" 1-Jan-1900 00:00:00 +0000"', b" 1-Jan-1900 00:00:00 +0000"),
                        ('"31-Dec-1969 23:59:59 -0000"', b"31-Dec-1969 23:59:59 +0000"),
                        ('"01-Jan-2030 00:00:00 +1400"', b"31-Dec-2029 10:00:00 +0000")):
        box.append("INBOX", message("x"), given)
        n = len(box.fetch("1:*", "UID"))
        assert box.fetch(str(n), "INTERNALDATE")[n]["INTERNALDATE"] == want


def test_a_client_that_leaves_in_the_middle_of_a_literal_leaves_nothing(imapd, user):
    for sent in (b"", b"Subject: ha", b"x" * 90000):
        with imap.Client(imapd, user) as c:
            c.send(b"a APPEND INBOX {100000}\r\n")
            assert c.line().startswith(b"+ ")
            c.send(sent)
    with imap.Client(imapd, user) as c:
        assert c.ok("SELECT INBOX").count("EXISTS") == 0
    tmp = imapd.maildir(user) / "tmp"
    postroom.wait_for("an empty tmp", lambda: not list(tmp.iterdir()))


def test_a_hundred_megabytes_are_refused_and_twenty_are_stored(box):
    text = b"Subject: big\r\n\r\n" + b"0123456789abcde\n".replace(b"\n", b"\r\n") * (20 << 16)
    uid = box.append("INBOX", text)[1]
    assert box.fetch(str(uid), "(RFC822.SIZE)", uid=True)[1]["RFC822.SIZE"] == len(text)
    assert box.fetch("1", f"BODY.PEEK[]<{len(text) - 5}.100>")[1][f"BODY[]<{len(text) - 5}>"] == text[-5:]
    box.send("a APPEND INBOX {104857600}\r\n")
    assert box.collect("a").code() == "TOOBIG"


def test_a_mailbox_that_goes_while_the_message_comes(imapd, user, client):
    """RFC 3501 §6.3.11: the client may make it again, and does not lose what it sent."""
    text = message("on its way")
    client.ok("CREATE x")
    client.send(f"a APPEND x {{{len(text)}}}\r\n")
    assert client.response().startswith(b"+ ")
    with imap.Client(imapd, user) as other:
        other.ok("DELETE x")
    client.send(text + b"\r\n")
    reply = client.collect("a")
    assert (reply.status, reply.code()) == ("NO", "TRYCREATE")
