"""NOTIFY (RFC 5465): what others do is told without being asked, to each session that wants to know; and IDLE beside it."""

import itertools
import threading

import pytest

import imap
from postroom import message

numbers = itertools.count(1)
NEW = "(MessageNew MessageExpunge)"
ALL_MESSAGES = "(MessageNew MessageExpunge FlagChange)"


@pytest.fixture
def two(imapd, user):
    """Two sessions of one account: one that listens, one that does things."""
    with imap.Client(imapd, user) as ear, imap.Client(imapd, user) as hand:
        yield ear, hand


def told(c, until):
    """Untagged responses that come by themselves, up to the first one for which `until` holds."""
    lines = []
    while not lines or not until(lines[-1]):
        lines.append(c.response())
        assert lines[-1].startswith(b"* "), lines
    return lines


def told_one(c):
    """The next response; nobody asked for it."""
    return told(c, lambda line: True)[0]


def is_quiet(c):
    """Nothing was told but what a command of our own asks for."""
    return not c.ok("NAMESPACE").untagged[:-1] and not c.ok("NAMESPACE").untagged[:-1]


def status(line):
    """(mailbox, {item: number}) of a STATUS response."""
    assert line.startswith(b"* STATUS "), line
    p = imap.Parser(b"(" + line[9:] + b")")
    name, items = p.list()
    return name.decode(), dict(zip((k.decode() for k in items[::2]), items[1::2]))


def test_the_dialogue_of_section_3_1(two):
    """With parentheses around events, and MessageExpunge with MessageNew, as the grammar and §5 want and the RFC's text forgets."""
    ear, hand = two
    for name in ("Lists/Lemonade", "Lists/Im2000", "misc"):
        hand.ok(f"CREATE {name}")
    hand.append("Lists/Lemonade", message("first"))
    header = "(uid body.peek[header.fields (from to subject)])"
    reply = ear.ok(f"notify set status (selected (MessageNew {header} MessageExpunge)) (subtree Lists {NEW})")
    found = dict(status(u) for u in reply.untagged)
    assert set(found) == {"Lists", "Lists/Lemonade", "Lists/Im2000"}
    assert found["Lists/Lemonade"].items() >= {"UIDNEXT": 2, "MESSAGES": 1}.items()
    assert "UIDVALIDITY" in found["Lists/Lemonade"]
    ear.ok("select inbox")
    hand.append("Lists/Lemonade", message("second"))
    name, items = status(told_one(ear))
    assert name == "Lists/Lemonade" and (items["UIDNEXT"], items["MESSAGES"]) == (3, 2)
    hand.append("INBOX", message("Re: good morning", sender="alice@example.org", to="bob@example.org"))
    *rest, fetch = told(ear, lambda line: b" FETCH " in line)
    assert rest[0] == b"* 1 EXISTS"
    items = imap.Reply("OK", b"", [fetch]).fetched()[1]
    assert items["UID"] == 1
    assert items["BODY[HEADER.FIELDS (FROM TO SUBJECT)]"].count(b"\r\n") == 4
    assert ear.flags("1")[1] <= {"\\Recent"}                     # BODY.PEEK
    assert len(ear.ok("STATUS misc (UIDVALIDITY UIDNEXT MESSAGES)").all("STATUS")) == 1
    reply = ear.ok(f"notify set (selected (MessageNew {header} MessageExpunge)) (subtree Lists {NEW}) (mailboxes misc {NEW})")
    assert not reply.untagged
    hand.append("misc", message("third"))
    assert status(told_one(ear))[0] == "misc"


def test_events_in_the_selected_mailbox(two):
    """§5.1 to §5.3, examples in the selected mailbox."""
    ear, hand = two
    for _ in range(3):
        hand.append("INBOX", message("x"))
    ear.ok("SELECT INBOX")
    ear.ok("NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge FlagChange))")
    hand.ok("SELECT INBOX")
    hand.ok("STORE 2 +FLAGS ($Junk)")
    line = told(ear, lambda u: b" FETCH " in u)[-1]
    assert line.startswith(b"* 2 FETCH (") and b"UID 2" in line and b"$Junk" in line
    hand.append("INBOX", message("new"))
    assert told(ear, lambda u: b" FETCH " in u)[-1] == b"* 4 FETCH (UID 4)"
    hand.ok(r"STORE 2 +FLAGS (\Deleted)")
    assert b"\\Deleted" in told_one(ear)
    hand.ok("EXPUNGE")
    assert told_one(ear) == b"* 2 EXPUNGE"
    assert is_quiet(ear)


def test_removals_with_qresync_are_vanished(two):
    """§5.3, the same with QRESYNC."""
    ear, hand = two
    hand.append("INBOX", message("x"))
    ear.ok("ENABLE QRESYNC")
    ear.ok("SELECT INBOX")
    ear.ok(f"NOTIFY SET (SELECTED {NEW})")
    hand.ok("SELECT INBOX")
    hand.ok(r"STORE 1 +FLAGS (\Deleted)")
    hand.ok("EXPUNGE")
    assert told(ear, lambda u: b"VANISHED" in u)[-1] == b"* VANISHED 1"


def test_selected_delayed_keeps_removals_back(two):
    """§6.1.2"""
    ear, hand = two
    hand.append("INBOX", message("x"))
    ear.ok("SELECT INBOX")
    ear.ok(f"NOTIFY SET (SELECTED-DELAYED {ALL_MESSAGES})")
    hand.ok("SELECT INBOX")
    hand.ok(r"STORE 1 +FLAGS (\Deleted)")
    assert b"\\Deleted" in told_one(ear)
    hand.ok("EXPUNGE")
    hand.append("INBOX", message("y"))
    assert told(ear, lambda u: u.endswith(b"EXISTS"))[-1] == b"* 2 EXISTS"
    assert ear.ok("NOOP").numbers("EXPUNGE") == [1]
    hand.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    hand.ok("EXPUNGE")
    ear.send("i IDLE\r\n")
    seen = []
    while not any(u.startswith(b"+ ") for u in seen):
        seen.append(ear.response())
    assert b"* 1 EXPUNGE" in seen
    ear.send("DONE\r\n")
    assert ear.collect("i").status == "OK"


def test_events_in_other_mailboxes(two):
    """§5.1 to §5.3, examples in another mailbox."""
    ear, hand = two
    hand.ok("CREATE misc")
    hand.append("misc", message("a"))
    hand.append("misc", message("b"))
    ear.ok(f"NOTIFY SET (MAILBOXES misc {ALL_MESSAGES})")
    hand.append("misc", message("c"))
    assert status(told_one(ear))[1].items() >= {"UIDNEXT": 4, "MESSAGES": 3}.items()
    hand.ok("SELECT misc")
    hand.ok(r"STORE 1 +FLAGS (\Seen)")
    assert status(told_one(ear))[1]["UNSEEN"] == 2
    ear.ok("ENABLE CONDSTORE")
    hand.ok(r"STORE 2 +FLAGS (\Flagged \Deleted)")
    assert {"HIGHESTMODSEQ", "UIDVALIDITY"} <= set(status(told_one(ear))[1])
    hand.ok("EXPUNGE")
    name, items = status(told_one(ear))
    assert name == "misc" and (items["UIDNEXT"], items["MESSAGES"]) == (4, 2) and "HIGHESTMODSEQ" in items
    hand.append("INBOX", message("not asked for"))
    assert is_quiet(ear)


def test_flag_changes_in_another_mailbox_without_condstore_and_unseen_are_not_told(two):
    ear, hand = two
    hand.append("Archive", message("a"))
    ear.ok(f"NOTIFY SET (PERSONAL {ALL_MESSAGES})")
    hand.ok("SELECT Archive")
    hand.ok(r"STORE 1 +FLAGS (\Flagged)")
    hand.append("Trash", message("b"))
    assert status(told_one(ear))[0] == "Trash"


def test_names_of_mailboxes(two):
    """§5.4"""
    ear, hand = two
    ear.ok("NOTIFY SET (PERSONAL (MailboxName))")
    hand.ok("CREATE NewMailbox")
    assert told_one(ear) == b'* LIST (\\HasNoChildren \\Subscribed) "/" NewMailbox'
    hand.ok("RENAME NewMailbox OldMailbox")
    assert told_one(ear) == b'* LIST (\\HasNoChildren \\Subscribed) "/" OldMailbox ("OLDNAME" (NewMailbox))'
    hand.ok("CREATE OldMailbox/child")
    lines = {told_one(ear), told_one(ear)}
    assert b'* LIST (\\HasNoChildren \\Subscribed) "/" OldMailbox/child' in lines
    assert b'* LIST (\\HasChildren \\Subscribed) "/" OldMailbox' in lines               # the parent is affected, too
    hand.ok("RENAME OldMailbox Mailbox")
    assert told_one(ear).endswith(b'"/" Mailbox ("OLDNAME" (OldMailbox))')            # and nothing of its child
    hand.ok("DELETE Mailbox/child")
    lines = [told_one(ear), told_one(ear)]
    assert any(b"\\NonExistent" in u and u.endswith(b"Mailbox/child") for u in lines)
    assert any(u.startswith(b"* LIST (\\HasNoChildren") and u.endswith(b'"/" Mailbox') for u in lines)
    assert is_quiet(ear)


def test_subscriptions_that_change_are_told_of(two):
    """§5.5"""
    ear, hand = two
    hand.ok("CREATE SubscribedMailbox")
    hand.ok("UNSUBSCRIBE SubscribedMailbox")
    ear.ok("NOTIFY SET (PERSONAL (SubscriptionChange))")
    hand.ok("SUBSCRIBE SubscribedMailbox")
    assert told_one(ear) == b'* LIST (\\HasNoChildren \\Subscribed) "/" SubscribedMailbox'
    hand.ok("UNSUBSCRIBE SubscribedMailbox")
    assert told_one(ear) == b'* LIST (\\HasNoChildren) "/" SubscribedMailbox'
    ear.ok(f"NOTIFY SET (SUBSCRIBED {NEW})")                     # §6.4: the list is looked at anew
    hand.append("SubscribedMailbox", message("x"))
    hand.ok("SUBSCRIBE SubscribedMailbox")
    hand.append("SubscribedMailbox", message("y"))
    assert status(told(ear, lambda u: b"MESSAGES 2" in u)[-1])[0] == "SubscribedMailbox"


def test_annotations_that_change_are_told_of(two):
    """§5.6 and §5.7"""
    ear, hand = two
    hand.ok('SETMETADATA INBOX (/private/comment "old" /shared/comment "as it was")')
    ear.ok("NOTIFY SET (PERSONAL (MailboxMetadataChange ServerMetadataChange))")
    hand.ok('SETMETADATA INBOX (/private/comment "new")')
    assert told_one(ear) == b"* METADATA INBOX /private/comment"
    hand.ok('SETMETADATA INBOX (/shared/comment NIL /private/vendor/x/y "z")')
    assert told_one(ear) == b"* METADATA INBOX /private/vendor/x/y /shared/comment"
    hand.ok('SETMETADATA "" (/private/vendor/x/y "z")')
    assert told_one(ear) == b'* METADATA "" /private/vendor/x/y'
    hand.ok('SETMETADATA "" (/private/vendor/x/y NIL)')
    assert told_one(ear) == b'* METADATA "" /private/vendor/x/y'
    assert is_quiet(ear)


def test_groups_add_up_as_in_section_6(two):
    ear, hand = two
    ear.ok("notify set (mailboxes INBOX (Messagenew messageExpunge)) (personal (SubscriptionChange))")
    hand.append("INBOX", message("x"))
    assert status(told_one(ear))[0] == "INBOX"
    hand.ok("UNSUBSCRIBE Trash")
    assert told_one(ear).endswith(b'"/" Trash')
    hand.append("Trash", message("x"))
    assert is_quiet(ear)
    ear.ok("notify set (selected (Messagenew (uid flags) messageExpunge)) (personal (MessageNew FlagChange MessageExpunge))")
    ear.ok("SELECT INBOX")
    hand.ok("SELECT INBOX")
    hand.ok(r"STORE 1 +FLAGS (\Seen)")                           # not wanted in the selected mailbox
    hand.append("Trash", message("y"))
    assert status(told_one(ear))[0] == "Trash"
    hand.append("INBOX", message("z"))
    line = told(ear, lambda u: b" FETCH " in u)[-1]
    assert b"UID 2" in line and b"FLAGS (" in line


def test_none_is_silence_also_in_the_selected_mailbox(two):
    """§3.1: not to name the selected mailbox means SELECTED NONE."""
    ear, hand = two
    ear.ok("SELECT INBOX")
    for wish in ("NONE", f"SET (MAILBOXES Trash {NEW})", f"SET (SELECTED NONE) (PERSONAL {NEW})"):
        ear.ok(f"NOTIFY {wish}")
        hand.append("INBOX", message("x"))
        assert not ear.ok("NOOP").numbers("EXISTS")
    reply = ear.ok(f"NOTIFY SET (SELECTED {NEW})")               # an implicit NOOP
    assert reply.count("EXISTS") == 3


def test_own_changes_are_no_news(two):
    ear, hand = two
    ear.ok("NOTIFY SET (PERSONAL (MailboxName SubscriptionChange MailboxMetadataChange))")
    ear.ok("CREATE a/b")
    ear.ok("RENAME a/b a/c")
    ear.ok("UNSUBSCRIBE a/c")
    ear.ok('SETMETADATA INBOX (/private/comment "x")')
    ear.ok("DELETE a/c")
    hand.ok("CREATE theirs")
    assert told_one(ear).endswith(b'"/" theirs')


def test_wishes_that_make_no_sense_are_refused(client):
    for text in ("", "SET", "NONE x", "SET STATUS", "SET (SELECTED)", "SET (SELECTED ())", "SET (SELECTED (MessageNew))",
                 "SET (SELECTED (FlagChange))", "SET (PERSONAL (MessageNew (UID) MessageExpunge))",
                 "SET (SELECTED (MailboxName))", f"SET (SELECTED {NEW}) (SELECTED-DELAYED {NEW})",
                 f"SET (SUBTREE {NEW})", f"SET (MAILBOXES () {NEW})", f"SET (NOWHERE {NEW})",
                 "SET (SELECTED (MessageNew (NONSENSE) MessageExpunge))", "SET (SELECTED (MessageNew () MessageExpunge))",
                 f"SET (PERSONAL {NEW} x)"):
        client.bad(f"NOTIFY {text}".rstrip())
    reply = client.no("NOTIFY SET (PERSONAL (MessageNew MessageExpunge AnnotationChange))")
    assert reply.code() == "BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange " \
                           "MailboxMetadataChange ServerMetadataChange)"
    names = " ".join(f"m{n}" for n in range(300))
    assert client.no(f"NOTIFY SET (MAILBOXES ({names}) {NEW})").code() == "NOTIFICATIONOVERFLOW"
    groups = " ".join(f"(MAILBOXES m{n} {NEW})" for n in range(40))
    assert client.no(f"NOTIFY SET {groups}").code() == "NOTIFICATIONOVERFLOW"
    client.ok(f"NOTIFY SET (MAILBOXES (nosuch Trash) {NEW})")     # what does not exist is ignored


def test_a_command_cut_in_the_middle_is_none_the_worse_for_an_event(two):
    ear, hand = two
    ear.ok("SELECT INBOX")
    ear.ok(f"NOTIFY SET (SELECTED {NEW})")
    ear.send("a1 UID FET")
    hand.append("INBOX", message("x"))
    assert told_one(ear) == b"* 1 EXISTS"
    ear.send("CH 1 (UID)\r\na2 NOO")
    assert ear.collect("a1").fetched()[1] == {"UID": 1}
    hand.append("INBOX", message("y"))
    assert told(ear, lambda u: u.endswith(b"EXISTS"))[-1] == b"* 2 EXISTS"
    ear.send("P\r\n")
    assert ear.collect("a2").status == "OK"


def test_own_messages_in_the_selected_mailbox_are_counted_only(two):
    """§5.2: no FETCH for what the session itself put there."""
    ear, hand = two
    ear.ok("SELECT INBOX")
    ear.ok("NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge))")
    ear.append("INBOX", message("mine"))
    ear.ok("UID COPY 1 INBOX")
    hand.append("INBOX", message("theirs"))
    assert told(ear, lambda u: b" FETCH " in u)[-1] == b"* 3 FETCH (UID 3)"
    assert is_quiet(ear)


def test_many_changes_in_quick_succession_all_arrive(two):
    ear, hand = two
    ear.ok("SELECT INBOX")
    ear.ok("NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge)) (MAILBOXES Archive (MessageNew MessageExpunge))")
    commands = "".join(f"n{i} APPEND {'INBOX' if i % 2 else 'Archive'} {{9+}}\r\nA: b\r\n\r\nx\r\n" for i in range(40))
    hand.send(commands)
    uids, archive = set(), 0
    while len(uids) < 20 or archive < 20:
        line = told_one(ear)
        if line.startswith(b"* STATUS"):
            archive = status(line)[1]["MESSAGES"]
        elif b" FETCH (UID " in line:
            uids.add(int(line.split()[4].rstrip(b")")))
    assert uids == set(range(1, 21))
    assert is_quiet(ear)


def test_shared_mailboxes_are_told_of_too(imapd):
    n = next(numbers)
    names = f"boss{n}", f"clerk{n}"
    for name in names:
        imapd.add_account(name)
    with imap.Client(imapd, names[0]) as boss, imap.Client(imapd, names[1]) as clerk:
        team = f"Shared/{imapd.address(names[0])}/Team"
        boss.ok("CREATE Team")
        boss.ok(f"SETACL Team {names[1]} lr")
        boss.ok("CREATE Quiet")
        boss.ok(f"SETACL Quiet {names[1]} l")
        reply = clerk.ok(f"NOTIFY SET STATUS (SUBTREE Shared (MessageNew MessageExpunge MailboxName))")
        assert status(reply.untagged[-1])[0] == team
        quiet = team.replace("Team", "Quiet").encode()
        assert any(b"\\NoAccess" in u and u.endswith(quiet) for u in reply.untagged)           # §3.1
        boss.append("Team", message("x"))
        assert status(told_one(clerk)) [1]["MESSAGES"] == 1
        boss.ok(f"DELETEACL Team {names[1]}")
        line = told_one(clerk)
        assert b"\\NonExistent" in line and line.endswith(team.encode())
        boss.ok(f"SETACL Team {names[1]} lr")                     # §5.4: as if it had been made
        assert told(clerk, lambda u: u.endswith(team.encode()))[-1].startswith(b"* LIST (\\HasNoChildren)")
        boss.append("Team", message("y"))
        assert status(told(clerk, lambda u: u.startswith(b"* STATUS"))[-1])[1]["MESSAGES"] == 2
        clerk.ok(f"NOTIFY SET (PERSONAL {NEW})")
        boss.append("INBOX", message("x"))
        assert is_quiet(clerk)


def test_what_anyone_may_do_is_told_to_everybody(imapd):
    """Also to sessions of another process, and whoever changes it."""
    n = next(numbers)
    names = f"boss{n}", f"clerk{n}", f"temp{n}"
    for name in names:
        imapd.add_account(name)
    with imap.Client(imapd, names[0]) as boss, imap.Client(imapd, names[1]) as clerk, imap.Client(imapd, names[2]) as temp:
        team = f"Shared/{imapd.address(names[0])}/Team"
        boss.ok("CREATE Team")
        for c in (clerk, temp):
            c.ok("NOTIFY SET (SUBTREE Shared (MessageNew MessageExpunge MailboxName))")
        boss.ok("SETACL Team anyone lr")
        for c in (clerk, temp):
            assert told(c, lambda u: u.endswith(team.encode()))[-1].startswith(b"* LIST (\\HasNoChildren)")
        boss.append("Team", message("for all"))
        for c in (clerk, temp):
            assert status(told(c, lambda u: u.startswith(b"* STATUS"))[-1])[1]["MESSAGES"] == 1
        imapd.postroom("mailbox", "acl", "remove", imapd.address(names[0]), "Team", "anyone")
        for c in (clerk, temp):
            assert b"\\NonExistent" in told(c, lambda u: u.endswith(team.encode()))[-1]


def test_too_many_mailboxes_made_while_they_are_watched():
    """§5.8: the client is told that it will hear nothing more, and may ask again when there are less."""
    with imap.Imapd(accounts=("alice",), conf="imap-notify-mailboxes 20\n") as server:
        server.start()
        with imap.Client(server, "alice") as ear, imap.Client(server, "alice") as hand:
            ear.ok(f"NOTIFY SET (PERSONAL {NEW})")
            for n in range(14):
                hand.ok(f"CREATE m{n}")                 # with the six that are there it is enough
            hand.append("m1", message("one"))
            assert status(told_one(ear))[0] == "m1"
            hand.ok("CREATE m14")
            assert told_one(ear).startswith(b"* OK [NOTIFICATIONOVERFLOW] ")
            hand.append("m1", message("two"))
            assert is_quiet(ear)
            assert ear.no(f"NOTIFY SET (PERSONAL {NEW})").code() == "NOTIFICATIONOVERFLOW"
            hand.ok("DELETE m14")
            hand.ok("UNSUBSCRIBE m14")                  # else its name is still there
            ear.ok(f"NOTIFY SET (PERSONAL {NEW})")
            hand.append("m1", message("three"))
            assert status(told_one(ear))[1]["MESSAGES"] == 3


def test_files_of_other_programs_in_watched_folders(two, imapd, user):
    ear, hand = two
    hand.ok("CREATE Lists")
    ear.ok(f"NOTIFY SET (PERSONAL {NEW})")
    for n, folder in enumerate(("", ".Lists", ".Archive")):
        new = imapd.maildir(user) / folder / "new" / f"170000000{n}.foreign.host"
        new.write_bytes(message("by another program"))
        name, items = status(told_one(ear))
        assert name == (folder[1:] or "INBOX") and items["MESSAGES"] == 1


def test_idle_tells_the_same_events(two):
    """§4"""
    ear, hand = two
    ear.ok(f"NOTIFY SET (MAILBOXES Archive {NEW})")
    ear.send("i IDLE\r\n")
    assert ear.response().startswith(b"+ ")
    hand.append("Archive", message("x"))
    assert status(told_one(ear))[0] == "Archive"
    ear.send("DONE\r\nj NOOP\r\n")                                # in one packet
    assert ear.collect("i").status == "OK"
    assert ear.collect("j").status == "OK"


def test_each_way_in_reaches_each_listener(server):
    """A delivery by SMTP, a deletion by POP3, another program's file, and another session, with IDLE and NOTIFY side by side."""
    wish = "NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge FlagChange))"
    with imap.Client(server, "bob") as idler, imap.Client(server, "bob", tls=True) as ear:
        for c in (idler, ear):
            c.ok("SELECT INBOX")
        ear.ok(wish)
        idler.send("i IDLE\r\n")
        while not idler.response().startswith(b"+ "):
            pass
        senders = [threading.Thread(target=server.send, args=(message(f"push {n}"),), kwargs={"to": "bob"}) for n in range(2)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        for c in (idler, ear):
            told(c, lambda u: u == b"* 2 EXISTS")
        told(ear, lambda u: b"UID 2" in u)
        pop = server.pop3("bob")
        pop.dele(1)
        pop.quit()
        for c in (idler, ear):
            told(c, lambda u: u == b"* 1 EXPUNGE")
        new = server.maildir("bob") / "new" / "1700000000.foreign.host"
        new.write_bytes(message("by another program"))
        for c in (idler, ear):
            told(c, lambda u: u == b"* 2 EXISTS")
        with imap.Client(server, "bob") as other:
            other.ok("SELECT INBOX")
            other.ok(r"STORE 1 +FLAGS (\Answered)")
        for c in (idler, ear):
            told(c, lambda u: b"\\Answered" in u)
        idler.send("DONE\r\nk FETCH 1:2 (UID)\r\n")
        assert idler.collect("i").status == "OK"
        assert len(idler.collect("k").fetched()) == 2


def test_a_listener_that_never_reads_costs_little_and_misses_nothing(imapd, user):
    """Looks wait until the client has read; the next one tells all at once."""
    with imap.Client(imapd, user) as ear, imap.Client(imapd, user) as hand:
        ear.ok("SELECT INBOX")
        ear.ok("NOTIFY SET (SELECTED (MessageNew (UID BODY.PEEK[]) MessageExpunge)) (PERSONAL (MailboxName))")
        big = message("big", body=("x" * 70 + "\r\n") * 3000)
        for n in range(100):                                     # 21 MB, of which the socket takes some
            hand.append("INBOX", big)
        for n in range(20):
            hand.ok(f"CREATE made{n}")
        uids, names = set(), set()
        while len(uids) < 100 or len(names) < 20:
            line = told_one(ear)
            if b" FETCH (UID " in line:
                uids.add(int(line.split(b" ", 5)[4]))
                assert line.count(b"x" * 70) == 3000
            elif line.startswith(b"* LIST"):
                names.add(line.split()[-1])
        assert uids == set(range(1, 101))
        assert is_quiet(ear)


def test_a_listener_that_is_cut_off_in_the_middle(imapd, user):
    with imap.Client(imapd, user) as hand:
        for n in range(20):
            ear = imap.Client(imapd, user)
            ear.ok("SELECT INBOX")
            ear.send("n NOTIFY SET (SELECTED (MessageNew (BODY.PEEK[]) MessageExpunge FlagChange)) (PERSONAL "
                     "(MessageNew MessageExpunge MailboxName SubscriptionChange MailboxMetadataChange))\r\n")
            if n % 2:
                assert ear.collect("n").status == "OK"
            hand.append("INBOX", message("x"))
            if n % 3:
                hand.ok(f"CREATE n{n}")
            ear.close()
        assert hand.ok("STATUS INBOX (MESSAGES)").all("STATUS") == [b"INBOX (MESSAGES 20)"]
