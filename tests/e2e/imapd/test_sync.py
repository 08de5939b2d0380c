"""Several sessions on one mailbox: RFC 3501 §5.2, §7.4.1, RFC 2177, and what keeps several devices in step."""

import imap
from postroom import message


def two(imapd, user):
    a, b = imap.Client(imapd, user), imap.Client(imapd, user)
    a.ok("SELECT INBOX")
    b.ok("SELECT INBOX")
    return a, b


def test_changes_show_at_the_next_command(imapd, user):
    a, b = two(imapd, user)
    with a, b:
        a.append("INBOX", message("one"))
        reply = b.ok("NOOP")
        assert reply.count("EXISTS") == 1
        b.append("INBOX", message("two"))
        assert a.ok("CHECK").count("EXISTS") == 2
        a.ok("STORE 1 +FLAGS (\\Flagged $new)")
        reply = b.ok("NOOP")
        text = b"\n".join(reply.untagged)
        assert b"* FLAGS (" in text and b"$new" in text
        assert set(reply.fetched()[1]["FLAGS"]) - {b"\\Recent"} == {b"\\Flagged", b"$new"}
        a.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
        a.ok("EXPUNGE")
        # RFC 3501 §7.4.1: never during FETCH, STORE and SEARCH by number
        reply = b.ok("FETCH 1:2 (UID)")
        assert not reply.numbers("EXPUNGE") and list(reply.fetched()) == [2]
        reply = b.ok("STORE 1:2 +FLAGS (\\Seen)")
        assert not reply.numbers("EXPUNGE") and list(reply.fetched()) == [2]
        reply = b.ok("SEARCH ALL")
        assert not reply.numbers("EXPUNGE")
        assert b.ok("NOOP").numbers("EXPUNGE") == [1]
        assert list(b.fetch("1:*", "UID")) == [1]


def test_uid_commands_may_tell_expunges(imapd, user):
    a, b = two(imapd, user)
    with a, b:
        for _ in range(3):
            a.append("INBOX", message("x"))
        b.ok("NOOP")
        a.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
        a.ok("EXPUNGE")
        reply = b.ok("UID FETCH 1:* (FLAGS)")
        assert reply.numbers("EXPUNGE") == [2] and list(reply.fetched()) == [1, 2]


def test_silent_store_is_silent_only_to_its_own_session(imapd, user):
    a, b = two(imapd, user)
    with a, b:
        a.append("INBOX", message("x"))
        b.ok("NOOP")
        assert not a.ok("STORE 1 +FLAGS.SILENT (\\Answered)").untagged
        assert b"\\Answered" in b.ok("NOOP").fetched()[1]["FLAGS"]
        assert not a.ok("NOOP").untagged


def test_silent_store_is_not_silent_about_what_its_session_cannot_know(imapd, user):
    """RFC 3501 §6.4.6: the flags are known without a race, also to a client that takes what it is told for what holds now."""
    a, b = two(imapd, user)
    with a, b:
        for _ in range(2):
            a.append("INBOX", message("x"))
        b.ok("NOOP")
        a.ok("STORE 1 +FLAGS (\\Flagged)")
        reply = b.ok("STORE 1:2 +FLAGS.SILENT (\\Seen)")
        assert set(reply.fetched()) == {1}
        assert set(reply.fetched()[1]["FLAGS"]) - {b"\\Recent"} == {b"\\Flagged", b"\\Seen"}
        assert not b.ok("STORE 1:2 -FLAGS.SILENT (\\Seen)").untagged
        assert not b.ok("NOOP").untagged
        a.ok("ENABLE CONDSTORE")
        a.ok("NOOP")
        b.ok("STORE 2 +FLAGS (\\Flagged)")
        reply = a.ok("UID STORE 1:2 +FLAGS.SILENT (\\Draft)")
        got = reply.fetched()
        assert set(got[1]) == {"UID", "MODSEQ"}
        assert set(got[2]["FLAGS"]) - {b"\\Recent"} == {b"\\Flagged", b"\\Draft"}
        assert got[2]["MODSEQ"] > got[1]["MODSEQ"]


def test_a_change_by_another_is_told_even_behind_ones_own(imapd, user):
    a, b = two(imapd, user)
    with a, b:
        for _ in range(2):
            a.append("INBOX", message("x"))
        b.ok("NOOP")
        a.ok("STORE 1 +FLAGS (\\Answered)")
        reply = b.ok("STORE 2 +FLAGS (\\Flagged)")
        got = reply.fetched()
        assert b"\\Answered" in got[1]["FLAGS"] and b"\\Flagged" in got[2]["FLAGS"]


def test_condstore_tells_modseq_with_changes(imapd, user):
    a, b = two(imapd, user)
    with a, b:
        a.append("INBOX", message("x"))
        b.ok("ENABLE CONDSTORE")
        b.ok("NOOP")
        a.ok("STORE 1 +FLAGS (\\Answered)")
        got = b.ok("NOOP").fetched()[1]
        assert set(got) == {"UID", "FLAGS", "MODSEQ"}


def test_recent_goes_to_one_session_only(imapd, user):
    a, b = two(imapd, user)
    with a, b:
        with imap.Client(imapd, user) as c:
            c.append("INBOX", message("x"))
        assert a.ok("NOOP").count("RECENT") == 1
        assert b.ok("NOOP").count("RECENT") == 0
        assert a.flags("1")[1] == {"\\Recent"} and b.flags("1")[1] == set()


def idle(client):
    client.send("i IDLE\r\n")
    while True:
        line = client.line()
        if line.startswith(b"+ "):
            return
        assert line.startswith(b"* ")


def test_idle_tells_at_once(imapd, user):
    """Two deliveries in quick succession, three idling sessions."""
    idlers = [imap.Client(imapd, user) for _ in range(3)]
    for c in idlers:
        c.ok("SELECT INBOX")
        idle(c)
    with imap.Client(imapd, user) as a:
        text = message("x")
        a.send(b"1 APPEND INBOX {%d+}\r\n%s\r\n2 APPEND INBOX {%d+}\r\n%s\r\n" % (len(text), text, len(text), text))
        assert a.collect("1").status == "OK" and a.collect("2").status == "OK"
        for c in idlers:
            seen = 0
            while seen != 2:
                line = c.line()
                if line.endswith(b" EXISTS"):
                    seen = int(line.split()[1])
        a.ok("SELECT INBOX")
        a.ok("STORE 1 +FLAGS (\\Seen)")
        for c in idlers:
            while b"FETCH" not in (line := c.line()):
                assert line.endswith(b" RECENT")
            assert line.startswith(b"* 1 FETCH (FLAGS (") and b"\\Seen" in line
        a.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
        a.ok("EXPUNGE")
        for c in idlers:
            while not (line := c.line()).endswith(b" EXPUNGE"):
                assert b"FETCH" in line
            assert line == b"* 1 EXPUNGE"
            # done and the next commands in one packet (iOS 18)
            c.send("DONE\r\nn SELECT INBOX\r\nm NOOP\r\n")
            assert c.collect("i").status == "OK"
            assert c.collect("n").count("EXISTS") == 1
            assert c.collect("m").status == "OK"
            c.close()


def test_idle_begins_with_what_is_new(imapd, user):
    a, b = two(imapd, user)
    with a, b:
        a.append("INBOX", message("x"))
        b.send("i IDLE\r\n")
        assert b.line() == b"* 1 EXISTS"
        assert b.line().endswith(b" RECENT")
        assert b.line().startswith(b"+ ")
        b.send("DONE\r\n")
        assert b.collect("i").status == "OK"


def test_idle_without_a_mailbox_and_with_wrong_words(client):
    idle(client)
    client.send("DONE\r\n")
    assert client.collect("i").status == "OK"
    idle(client)
    client.send("done\r\n")
    assert client.collect("i").status == "OK"
    idle(client)
    client.send("x NOOP\r\n")
    assert client.collect("i").status == "BAD"
    client.ok("NOOP")
    client.bad("IDLE x")


def test_idle_hears_of_mail_by_other_sessions_in_other_mailboxes_nothing(imapd, user):
    a, b = two(imapd, user)
    with a, b:
        idle(b)
        a.append("Sent", message("x"))
        b.send("DONE\r\n")
        reply = b.collect("i")
        assert reply.status == "OK" and not reply.untagged


def test_forty_commands_at_once_are_answered_in_order(box):
    """Replies come in the order of the commands, literals between them or not."""
    text = message("x")
    sent = b""
    tags = []
    for n in range(40):
        tags.append(f"p{n}")
        sent += {0: b"p%d APPEND INBOX {%d+}\r\n%s\r\n" % (n, len(text), text),
                 1: b"p%d UID SEARCH SUBJECT {1+}\r\nx\r\n" % n,
                 2: b"p%d NOOP\r\n" % n,
                 3: b"p%d FETCH 1:* (UID FLAGS ENVELOPE)\r\n" % n}[n % 4]
    box.send(sent)
    for tag in tags:
        assert box.collect(tag).status == "OK"
    assert len(box.search("ALL")) == 10


def test_a_mailbox_deleted_by_another_ends_the_session(imapd, user):
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        a.ok("CREATE x")
        b.ok("SELECT x")
        a.ok("DELETE x")
        b.send("n NOOP\r\n")
        assert b.line().startswith(b"* BYE ")
        assert b.at_end()


def test_a_mailbox_renamed_by_another_stays_selected(imapd, user):
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        a.ok("CREATE x")
        a.append("x", message("m"))
        b.ok("SELECT x")
        a.ok("RENAME x y")
        a.append("y", message("n"))
        assert b.ok("NOOP").count("EXISTS") == 2


def test_every_cut_of_a_session(imapd, user):
    """Login, append, fetch, cut at every octet into two packets."""
    text = b"Subject: cut\r\n\r\nx"
    login = f'a LOGIN {imapd.address(user)} "{imapd.password(user)}"\r\n'.encode()
    rest = (b"b SELECT INBOX\r\nc APPEND INBOX (\\Seen) {%d+}\r\n%s\r\nd FETCH * BODY.PEEK[HEADER.FIELDS (\"Subject\")]\r\n"
            b"e IDLE\r\nDONE\r\nf STORE * +FLAGS (\\Deleted)\r\ng CLOSE\r\nh LOGOUT\r\n" % (len(text), text))
    for cut in range(0, len(rest), 3):
        with imap.Client(imapd) as c:
            c.send(login)
            assert c.collect("a").status == "OK"
            c.send(rest[:cut])
            c.send(rest[cut:])
            for tag in "bcd":
                reply = c.collect(tag)
                assert reply.status == "OK", (cut, reply)
            assert list(reply.fetched().values())[0]["BODY[HEADER.FIELDS (SUBJECT)]"] == b"Subject: cut\r\n\r\n"
            while not c.response().startswith(b"+ "):
                pass
            for tag in "efgh":
                assert c.collect(tag).status == "OK", cut


def test_an_idler_that_does_not_read_is_told_everything_once_it_does(imapd, user):
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        a.append("INBOX", message("x"))
        a.ok("SELECT INBOX")
        for _ in range(9):
            a.ok("COPY 1:* INBOX")
        b.ok("SELECT INBOX")
        b.ok("NOOP")
        idle(b)
        # about 512 lines of 40 octets for each STORE: much more than a connection queues
        for n in range(60):
            a.ok(f"STORE 1:* {'+-'[n % 2]}FLAGS.SILENT ($some-keyword-{n % 3} $and-a-longer-one-{n % 5})")
        a.append("INBOX", message("last"))
        while b.line() != b"* 513 EXISTS":
            pass
        b.send("DONE\r\n")
        assert b.collect("i").status == "OK"
        assert len(b.search("ALL")) == 513
        mine, theirs = ({n: f - {"\\Recent"} for n, f in c.flags("1:*").items()} for c in (a, b))
        assert mine == theirs


def test_an_index_made_anew_changes_nothing_for_a_session(imapd, user):
    """The index is disposable: numbers, UIDs and later changes stay right for a session that was there before."""
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        for n in range(5):
            a.append("INBOX", message(f"m{n}"), "(kw)" if n == 2 else "")
        b.ok("SELECT INBOX")
        before = b.fetch("1:*", "(UID FLAGS)")
        imapd.postroom("index", "rebuild", imapd.address(user))
        assert not b.ok("NOOP").numbers("EXPUNGE")
        assert b.fetch("1:*", "(UID FLAGS)") == before
        a.ok("SELECT INBOX")
        a.ok("STORE 4 +FLAGS (\\Flagged)")
        assert b"\\Flagged" in b.ok("NOOP").fetched()[4]["FLAGS"]
        a.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
        a.ok("EXPUNGE")
        assert b.ok("NOOP").numbers("EXPUNGE") == [2]
        new = a.append("INBOX", message("new"))[1]
        assert b.ok("NOOP").count("EXISTS") == 5
        assert b.fetch("5", "UID")[5]["UID"] == new


def test_mail_that_another_program_puts_into_the_maildir_shows_in_idle(imapd, user):
    with imap.Client(imapd, user) as c:
        c.ok("SELECT INBOX")
        idle(c)
        box = imapd.maildir(user)
        text = message("foreign")
        (box / "tmp" / "1795000000.1.elsewhere").write_bytes(text)
        (box / "tmp" / "1795000000.1.elsewhere").rename(box / "new" / "1795000000.1.elsewhere")
        assert c.line() == b"* 1 EXISTS"
        assert c.line().endswith(b" RECENT")
        c.send("DONE\r\n")
        assert c.collect("i").status == "OK"
        assert c.fetch("1", "BODY.PEEK[]")[1]["BODY[]"] == text
