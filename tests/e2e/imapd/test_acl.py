"""ACL and RIGHTS= (RFC 4314), LIST-MYRIGHTS (RFC 8440), and mailboxes that others share."""

import itertools

import pytest

import imap
from postroom import message

TEXT = message("shared")
numbers = itertools.count(1)
ALL = "lrswipkxteacd"


@pytest.fixture
def pair(imapd):
    """Owner and guest: two new accounts, logged in."""
    n = next(numbers)
    names = f"owner{n}", f"guest{n}"
    for name in names:
        imapd.add_account(name)
    with imap.Client(imapd, names[0]) as owner, imap.Client(imapd, names[1]) as guest:
        owner.name, guest.name = (imapd.address(name) for name in names)
        owner.user, guest.user = names
        owner.out = f"Shared/{owner.name}"
        yield owner, guest


def rights(text):
    return "".join(sorted(text))


def acl(reply):
    """{identifier: sorted rights}"""
    (text,) = reply.all("ACL")
    words = text.decode().split()[1:]
    return {name: rights(letters) for name, letters in zip(words[::2], words[1::2])}


def test_examples_of_rfc_4314_section_3(pair, imapd):
    owner, chris = pair
    owner.ok("CREATE INBOX/Drafts")
    owner.ok(f"SETACL INBOX/Drafts {chris.name} lrswi")                                    # §3.1
    assert acl(owner.ok("GETACL INBOX/Drafts")) == {owner.name: rights(ALL), chris.name: rights("lrswi")}
    owner.ok(f"SETACL INBOX/Drafts {chris.name} +cda")
    assert acl(owner.ok("GETACL INBOX/Drafts"))[chris.name] == rights("lrswicdakxet")
    owner.bad(f"SETACL INBOX/Drafts {chris.name} lrQswicda")
    owner.bad(f"SETACL INBOX/Drafts {chris.name} lrqswicda")

    owner.ok(f"SETACL INBOX -{chris.name} wetd")                                           # §3.2
    owner.ok(f"SETACL INBOX {chris.name} lrsw")
    owner.ok(f"DeleteAcl INBOX {chris.name}")
    assert acl(owner.ok("GETACL INBOX")) == {owner.name: rights(ALL), "-" + chris.name: rights("wetd")}
    owner.ok(f"DELETEACL INBOX -{chris.name}")
    assert acl(owner.ok("getacl INBOX")) == {owner.name: rights(ALL)}                      # §3.3

    (listed,) = owner.ok(f"LISTRIGHTS INBOX {chris.name}").all("LISTRIGHTS")               # §3.4
    assert listed == f'INBOX {chris.name} "" l r s w i p k x t e a c d'.encode()
    (listed,) = owner.ok("listrights INBOX anyone").all("LISTRIGHTS")
    assert listed == b'INBOX anyone "" l r s w i p k x t e a c d'
    (listed,) = owner.ok(f"LISTRIGHTS INBOX {owner.user}").all("LISTRIGHTS")
    assert listed.startswith(f"INBOX {owner.user} {ALL}".encode())
    assert owner.ok("MYRIGHTS INBOX").all("MYRIGHTS") == [f"INBOX {ALL}".encode()]         # §3.5


def test_the_old_rights_c_and_d_as_in_section_2_1_1(pair):
    owner, david = pair
    owner.ok("CREATE INBOX/Drafts")
    owner.ok(f"SeTacl INBOX/Drafts {david.user} lrswida")
    assert acl(owner.ok("getacl INBOX/Drafts"))[david.name] == rights("lrswideta")
    owner.ok(f"Setacl INBOX/Drafts {david.user} lrswikda")
    assert acl(owner.ok("getAcl INBOX/Drafts"))[david.name] == rights("lrswikcdeta")


def test_copy_keeps_the_flags_that_the_rights_allow_as_in_section_4(pair):
    owner, guest = pair
    owner.ok("CREATE TargetMailbox")
    for flags in (r"(\Draft \Deleted)", r"(\Answered)", r"($Forwarded \Seen)"):
        guest.append("INBOX", TEXT, flags)
    guest.ok("SELECT INBOX")
    for granted, kept in (("rwis", [{"\\Draft"}, {"\\Answered"}, {"$Forwarded", "\\Seen"}]),
                          ("rsti", [{"\\Deleted"}, set(), {"\\Seen"}])):
        owner.ok(f"SETACL TargetMailbox {guest.name} {granted}")
        uids = guest.ok(f"COPY 1:3 {owner.out}/TargetMailbox").code().split()[3]
        guest.ok(f"EXAMINE {owner.out}/TargetMailbox")
        assert [flags - {"\\Recent"} for flags in guest.flags(uids, uid=True).values()] == kept
        guest.ok("SELECT INBOX")


def test_select_shows_what_the_rights_allow_as_in_section_5(pair):
    owner, guest = pair
    owner.append("INBOX", TEXT)
    for granted, code, flags in (("lrwis", "READ-WRITE", r"(\Answered \Flagged \Seen \Draft \*)"),
                                 ("lrs", "READ-ONLY", r"(\Seen)"), ("rit", "READ-WRITE", r"(\Deleted)"),
                                 ("lr", "READ-ONLY", "()")):
        owner.ok(f"SETACL INBOX {guest.name} {granted}")
        reply = guest.ok(f"SELECT {owner.out}/INBOX")
        assert reply.code() == code, granted
        assert f"[PERMANENTFLAGS {flags}]" in str(reply.untagged).replace("\\\\", "\\"), granted
        assert guest.ok(f"MYRIGHTS {owner.out}/INBOX").all("MYRIGHTS")[0].split()[0] == f"{owner.out}/INBOX".encode()
        guest.ok("UNSELECT")
    guest.send(f"p1 SELECT {owner.out}/INBOX\r\np2 MYRIGHTS {owner.out}/INBOX\r\n")        # in one packet
    assert guest.collect("p1").code() == "READ-ONLY"
    assert guest.collect("p2").all("MYRIGHTS") == [f"{owner.out}/INBOX lr".encode()]
    assert {b"ACL", b"RIGHTS=kxte"} <= set(guest.ok("CAPABILITY").all("CAPABILITY")[0].split())


def test_list_follows_the_right_l_alone_as_in_section_4(pair):
    owner, guest = pair
    owner.ok("CREATE A/B")
    owner.ok(f"SETACL A/B {guest.name} lr")
    rows = [u for u in guest.ok('LIST "" *').untagged if b"Shared/" in u]
    assert rows == [f'* LIST (\\HasNoChildren) "/" {owner.out}/A/B'.encode()] or \
        [r for r in rows if b"\\NonExistent" not in r] == [f'* LIST (\\HasNoChildren) "/" {owner.out}/A/B'.encode()]
    assert guest.ok(f'LIST "" {owner.out}/%').untagged == \
        [f'* LIST (\\HasChildren \\Noselect \\NonExistent) "/" {owner.out}/A'.encode()]
    owner.ok(f"SETACL A/B {guest.name} l")
    assert b"\\Noselect" in guest.ok(f'LIST "" {owner.out}/A/B').untagged[0]
    assert guest.no(f"SELECT {owner.out}/A/B").code() == "NOPERM"
    owner.ok(f"SETACL A/B {guest.name} r")
    assert not guest.ok(f'LIST "" {owner.out}/*').untagged
    guest.ok(f"EXAMINE {owner.out}/A/B")


def test_list_return_myrights_as_in_rfc_8440(pair):
    owner, guest = pair
    owner.ok(f"SETACL INBOX {guest.name} lrs")
    reply = guest.ok('LIST "" * RETURN (MYRIGHTS STATUS (MESSAGES))')
    assert f"* MYRIGHTS INBOX {ALL}".encode() in reply.untagged
    at = reply.untagged.index(f"* MYRIGHTS {owner.out}/INBOX lrs".encode())
    assert reply.untagged[at - 1].startswith(b"* LIST ") and reply.untagged[at + 1].startswith(b"* STATUS ")
    owner.ok("CREATE foo/sub")
    owner.ok("UNSUBSCRIBE foo")
    reply = owner.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (MYRIGHTS)')
    assert f"* MYRIGHTS INBOX {ALL}".encode() in reply.untagged
    assert not [u for u in reply.untagged if u.startswith(b"* MYRIGHTS foo")]
    assert [u for u in reply.untagged if b'foo ("CHILDINFO"' in u]


def test_namespace_names_what_others_share(pair):
    assert pair[0].ok("NAMESPACE").all("NAMESPACE") == [b'(("" "/")) (("Shared/" "/")) NIL']


def every_answer(c, name):
    """What each command says of a mailbox."""
    c.ok("SELECT INBOX")
    out = []
    for text in (f"SELECT {name}", "SELECT INBOX", f"EXAMINE {name}", "SELECT INBOX", f"STATUS {name} (MESSAGES)",
                 f"COPY 1 {name}", f"MOVE 1 {name}", f"MYRIGHTS {name}", f"GETACL {name}", f"SETACL {name} anyone lr",
                 f"DELETEACL {name} anyone", f"LISTRIGHTS {name} anyone", f"GETMETADATA {name} /shared/comment",
                 f'SETMETADATA {name} (/shared/comment "x")', f"DELETE {name}", f"RENAME {name} {name}2",
                 f"CREATE {name}/below", f"SUBSCRIBE {name}", f'LSUB "" {name}', f"UNSUBSCRIBE {name}", f'LIST "" {name}',
                 f"GETQUOTAROOT {name}", f"ESEARCH IN (mailboxes {name}) RETURN (COUNT) ALL",
                 f"ESEARCH IN (subtree {name}) RETURN (ALL) ALL", f'APPEND INBOX CATENATE (URL "/{name}/;UID=1")',
                 f'LIST "" {name} RETURN (METADATA (/shared/comment))',
                 f"NOTIFY SET STATUS (MAILBOXES {name} (MessageNew MessageExpunge MailboxName))",
                 f"NOTIFY SET STATUS (SUBTREE {name} (MessageNew MessageExpunge MailboxName))", f'LIST "" {name} RETURN (STATUS (MESSAGES) MYRIGHTS)'):
        reply = c.cmd(text)
        out.append((text.replace(name, "X"), reply.status, reply.text.replace(name.encode(), b"X"),
                    [u.replace(name.encode(), b"X") for u in reply.untagged
                     if not u.startswith((b"* OK", b"* FLAGS")) and not u.endswith((b"EXISTS", b"RECENT"))]))
    reply = c.cmd(f"APPEND {name} ", TEXT)
    return out + [("APPEND", reply.status, reply.text)]


def test_absent_and_not_allowed_are_answered_alike(pair, imapd, capsys):
    """I19: whatever is asked, a mailbox that one may not see is as good as none."""
    owner, guest = pair
    guest.append("INBOX", TEXT)
    owner.ok("CREATE Secret/Plans")
    owner.ok("CREATE Open")
    violations = 0

    def count(got, expected):
        differ = [(a, b) for a, b in zip(got, expected) if a != b]
        for pair_of_answers in differ:
            print(*pair_of_answers, sep="\n")
        return len(differ)

    for grant in (None, f"SETACL Open {guest.name} lr", f"SETACL Secret -{guest.name} lr"):
        if grant:
            owner.ok(grant)
        absent = every_answer(guest, f"{owner.out}/Nosuch/Plans")
        for name in ("Secret/Plans", "Secret/Nosuch"):
            violations += count(every_answer(guest, f"{owner.out}/{name}"), absent)
    nobody = every_answer(guest, "Shared/nobody@example.test/INBOX")
    violations += count(every_answer(guest, f"Shared/{imapd.address('alice')}/INBOX"), nobody)
    with capsys.disabled():
        print(f"\nI19 leaks={violations}")
    assert not violations


def test_each_reader_has_seen_of_their_own_and_it_survives_a_rebuild(pair, imapd):
    owner, guest = pair
    for _ in range(5):
        owner.append("INBOX", TEXT)
    owner.ok(f"SETACL INBOX {guest.name} lrs")
    guest.ok(f"SELECT {owner.out}/INBOX")
    guest.fetch("2", "BODY[]")
    guest.ok(r"STORE 4:5 +FLAGS (\Seen)")
    guest.ok(r"STORE 5 -FLAGS.SILENT (\Seen)")
    assert guest.no(r"STORE 1 +FLAGS (\Flagged)").code() == "NOPERM"
    seen = {n for n, f in guest.flags("1:*").items() if "\\Seen" in f}
    assert seen == {2, 4}
    owner.ok("SELECT INBOX")
    assert not [n for n, f in owner.flags("1:*").items() if "\\Seen" in f]
    owner.ok(r"STORE 1 +FLAGS (\Seen \Flagged)")
    assert guest.flags("1")[1] >= {"\\Flagged"} and "\\Seen" not in guest.flags("1")[1]
    assert guest.ok(f"STATUS {owner.out}/INBOX (UNSEEN)").all("STATUS")[0].endswith(b"(UNSEEN 3)")
    assert owner.ok("STATUS INBOX (UNSEEN)").all("STATUS") == [b"INBOX (UNSEEN 4)"]
    assert guest.search("UNSEEN") == [1, 3, 5]

    imapd.postroom("index", "rebuild", imapd.address(owner.user))
    with imap.Client(imapd, guest.user) as again:
        reply = again.ok(f"SELECT {owner.out}/INBOX")
        assert {n for n, f in again.flags("1:*").items() if "\\Seen" in f} == {2, 4}
        assert b"[UNSEEN 1]" in b"".join(reply.untagged)
    assert acl(owner.ok("GETACL INBOX"))[guest.name] == rights("lrs")


def test_a_readers_other_session_hears_of_seen_and_the_owner_of_flags(pair, imapd):
    owner, guest = pair
    owner.append("INBOX", TEXT)
    owner.ok(f"SETACL INBOX {guest.name} lrsw")
    owner.ok("SELECT INBOX")
    with imap.Client(imapd, guest.user) as phone:
        for c in (phone, guest):
            c.ok(f"SELECT {owner.out}/INBOX")
        phone.send("i IDLE\r\n")
        while not phone.line().startswith(b"+ "):
            pass
        guest.ok(r"STORE 1 +FLAGS.SILENT (\Seen)")
        line = phone.line()
        assert b"FETCH" in line and b"\\Seen" in line, line
        owner.append("INBOX", TEXT)
        lines = [phone.line()]
        while not lines[-1].endswith(b"2 EXISTS"):
            lines.append(phone.line())
        phone.send("DONE\r\n")
        assert phone.collect("i").status == "OK"
    guest.ok(r"STORE 1 +FLAGS (\Answered)")
    assert owner.ok("NOOP").fetched()[1]["FLAGS"].count(b"\\Answered") == 1
    assert b"\\Seen" not in owner.fetch("1", "FLAGS")[1]["FLAGS"]


def test_rights_that_go_while_a_mailbox_is_selected(pair):
    owner, guest = pair
    owner.append("INBOX", TEXT)
    owner.ok(f"SETACL INBOX {guest.name} lrswte")
    guest.ok(f"SELECT {owner.out}/INBOX")
    assert b"PERMANENTFLAGS" not in b"".join(guest.ok("NOOP").untagged)
    owner.ok(f"SETACL INBOX {guest.name} lrs")
    assert [u for u in guest.ok("NOOP").untagged if u.startswith(b"* OK [PERMANENTFLAGS (\\Seen)]")]
    assert b"PERMANENTFLAGS" not in b"".join(guest.ok("NOOP").untagged)
    assert guest.no(r"STORE 1 +FLAGS (\Deleted)").code() == "NOPERM"
    assert guest.no("EXPUNGE").code() == "NOPERM"
    owner.ok(f"DELETEACL INBOX {guest.name}")
    guest.send("x NOOP\r\n")
    assert guest.line().startswith(b"* BYE ")
    assert owner.ok("STATUS INBOX (MESSAGES)").all("STATUS") == [b"INBOX (MESSAGES 1)"]


def test_append_move_and_expunge_in_a_shared_mailbox(pair):
    owner, guest = pair
    owner.ok("CREATE Team")
    owner.ok(f"SETACL Team {guest.name} lrswite")
    uidvalidity, uid = guest.append(f"{owner.out}/Team", TEXT, r"(\Seen \Flagged)")
    guest.append("INBOX", TEXT, r"(\Answered work)")
    guest.ok("SELECT INBOX")
    guest.ok(f"MOVE 1 {owner.out}/Team")
    assert guest.ok("NOOP").status == "OK" and guest.ok("STATUS INBOX (MESSAGES)").all("STATUS") == [b"INBOX (MESSAGES 0)"]
    owner.ok("SELECT Team")
    assert [f - {"\\Recent"} for f in owner.flags("1:*").values()] == [{"\\Flagged"}, {"\\Answered", "work"}]
    guest.ok(f"SELECT {owner.out}/Team")
    assert guest.flags("1")[1] == {"\\Seen", "\\Flagged"}
    guest.ok("MOVE 2 INBOX")
    guest.ok(r"STORE 1 +FLAGS (\Deleted)")
    guest.ok("CLOSE")
    assert owner.ok("STATUS Team (MESSAGES)").all("STATUS") == [b"Team (MESSAGES 0)"]
    guest.ok("SELECT INBOX")
    assert guest.flags("1")[1] - {"\\Recent"} == {"\\Answered", "work"}
    assert guest.fetch("1", "BODY.PEEK[]")[1]["BODY[]"].endswith(TEXT)


def test_close_without_the_right_e_keeps_what_is_deleted(pair):
    owner, guest = pair
    owner.append("INBOX", TEXT)
    owner.ok(f"SETACL INBOX {guest.name} lrt")
    guest.ok(f"SELECT {owner.out}/INBOX")
    guest.ok(r"STORE 1 +FLAGS (\Deleted)")
    guest.ok("CLOSE")
    assert owner.ok("STATUS INBOX (MESSAGES DELETED)").all("STATUS") == [b"INBOX (MESSAGES 1 DELETED 1)"]


def test_create_rename_and_delete_below_a_shared_mailbox(pair):
    owner, guest = pair
    owner.ok("CREATE Team")
    owner.ok(f"SETACL Team {guest.name} lrk")
    guest.ok(f"CREATE {owner.out}/Team/New")
    assert acl(owner.ok("GETACL Team/New"))[guest.name] == rights("lrkc")          # inherited
    assert guest.no(f"DELETE {owner.out}/Team/New").code() == "NOPERM"
    assert guest.no(f"RENAME {owner.out}/Team/New {owner.out}/Team/Newer").code() == "NOPERM"
    owner.ok(f"SETACL Team/New {guest.name} +x")
    guest.ok(f"RENAME {owner.out}/Team/New {owner.out}/Team/Newer")
    assert guest.no(f"RENAME {owner.out}/Team/Newer {owner.out}/Mine").status == "NO"
    assert guest.no(f"RENAME {owner.out}/Team/Newer Mine").status == "NO"
    guest.ok(f"DELETE {owner.out}/Team/Newer")
    assert guest.no(f"CREATE {owner.out}/Elsewhere").status == "NO"
    owner.ok("SELECT Team")


def test_anyone_and_negative_rights(pair, imapd):
    owner, guest = pair
    owner.append("INBOX", TEXT)
    owner.ok("SETACL INBOX anyone lr")
    owner.ok(f"SETACL INBOX -{guest.name} r")
    assert guest.no(f"SELECT {owner.out}/INBOX").code() == "NOPERM"
    with imap.Client(imapd, "alice") as alice:
        assert alice.ok(f"SELECT {owner.out}/INBOX").count("EXISTS") == 1
        owner.ok("DELETEACL INBOX anyone")
        alice.ok("UNSELECT")
        assert alice.no(f"SELECT {owner.out}/INBOX").code() == "NONEXISTENT"


def test_subscriptions_and_metadata_of_shared_mailboxes(pair):
    owner, guest = pair
    owner.ok(f"SETACL INBOX {guest.name} lr")
    owner.ok('SETMETADATA INBOX (/private/comment "owner" /shared/comment "all")')
    guest.ok(f'SETMETADATA {owner.out}/INBOX (/private/comment "guest")')
    reply = guest.ok(f"GETMETADATA {owner.out}/INBOX (/private/comment /shared/comment)")
    assert b'/private/comment "guest"' in reply.untagged[0] and b'/shared/comment "all"' in reply.untagged[0]
    assert b'"owner"' in owner.ok("GETMETADATA INBOX /private/comment").untagged[0]
    guest.ok(f"SUBSCRIBE {owner.out}/INBOX")
    assert f'* LSUB (\\HasNoChildren) "/" {owner.out}/INBOX'.encode() in guest.ok('LSUB "" *').untagged
    rows = guest.ok('LIST (SUBSCRIBED) "" Shared/*').untagged
    assert len(rows) == 1 and b"\\Subscribed" in rows[0] and b"NonExistent" not in rows[0]
    owner.ok(f"DELETEACL INBOX {guest.name}")
    rows = guest.ok('LIST (SUBSCRIBED) "" Shared/*').untagged
    assert len(rows) == 1 and b"\\NonExistent" in rows[0]


def test_who_may_not_administer_and_who_does_not_exist(pair):
    owner, guest = pair
    owner.ok(f"SETACL INBOX {guest.name} lr")
    for text in (f"SETACL {owner.out}/INBOX {guest.name} lrswa", f"GETACL {owner.out}/INBOX",
                 f"LISTRIGHTS {owner.out}/INBOX anyone", f"DELETEACL {owner.out}/INBOX {guest.name}"):
        assert guest.no(text).code() == "NOPERM", text
    assert owner.no("SETACL INBOX nobody lr").code() == "CANNOT"
    assert owner.no(f"SETACL INBOX {owner.name} lr").code() == "CANNOT"
    for text in ("SETACL INBOX", f"SETACL INBOX {guest.name}", "SETACL INBOX - lr", 'SETACL INBOX "" lr', "GETACL",
                 "GETACL INBOX x", "MYRIGHTS", "LISTRIGHTS INBOX", "DELETEACL INBOX"):
        owner.bad(text)
    owner.ok(f"SETACL INBOX {guest.name} +a")
    guest.ok(f"SETACL {owner.out}/INBOX anyone lr")
