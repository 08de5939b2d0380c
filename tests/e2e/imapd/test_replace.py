"""A draft is replaced in one step (RFC 8508)."""

import imap
import pytest
from postroom import message


@pytest.fixture
def drafts(client):
    for n in range(1, 5):
        client.append("Drafts", message(f"draft {n}"))
    client.ok("SELECT Drafts")
    return client


def test_the_examples_of_rfc_8508(drafts):
    """§3.2, §3.3, §4.2."""
    new = message("happy new year !!")
    reply = drafts.ok("REPLACE 4 Drafts (\\Seen \\Draft) ", new)
    told = [u for u in reply.untagged if b"APPENDUID" in u or u.endswith((b"EXISTS", b"EXPUNGE"))]
    assert [t.split()[-1] for t in told[1:]] in ([b"EXISTS", b"EXPUNGE"], [b"EXPUNGE", b"EXISTS"])
    assert told[0].startswith(b"* OK [APPENDUID ") and reply.numbers("EXPUNGE") == [4]
    uid = int(told[0].split()[4].rstrip(b"]"))
    got = drafts.fetch("4", "(UID FLAGS BODY.PEEK[])")[4]
    assert got["UID"] == uid and got["BODY[]"] == new and {b"\\Seen", b"\\Draft"} <= set(got["FLAGS"])
    newer = message("happy new year !!", body="Hopefully next year you can join us.\r\n")
    reply = drafts.ok(f"UID REPLACE {uid} Drafts (\\Seen \\Draft) ", newer)
    assert reply.numbers("EXPUNGE") == [4] and drafts.fetch("4", "BODY.PEEK[]")[4]["BODY[]"] == newer
    (uid,) = (items["UID"] for items in drafts.fetch("4", "UID").values())
    drafts.ok(f"UID REPLACE {uid} Drafts CATENATE (TEXT ", b"To: Mitzy <miss.mitzy@example.org>\r\n",
              f' URL "/Drafts/;UID={uid}")')
    assert drafts.fetch("*", "BODY.PEEK[]")[4]["BODY[]"] == b"To: Mitzy <miss.mitzy@example.org>\r\n" + newer
    assert len(drafts.search("ALL")) == 4


def test_into_another_mailbox(drafts, imapd, user):
    """§3.4: a draft that was sent."""
    with imap.Client(imapd, user) as other:
        other.ok("SELECT Drafts")
        reply = drafts.ok("REPLACE 2 Sent (\\Seen) ", message("sent"))
        assert reply.numbers("EXPUNGE") == [2] and reply.count("EXISTS") is None
        assert other.ok("NOOP").numbers("EXPUNGE") == [2]
        assert other.ok("STATUS Sent (MESSAGES)").all("STATUS") == [b"Sent (MESSAGES 1)"]


def test_what_cannot_be_replaced_stays(drafts):
    text = message("new")
    for line in ("REPLACE 9 Drafts ", "REPLACE 1:2 Drafts ", "REPLACE 0 Drafts ", "REPLACE x Drafts ", "UID REPLACE 1,2 Drafts ",
                 "REPLACE 1 Drafts (\\Nonsense) "):
        assert drafts.cmd(line, text).status == "BAD", line
    assert drafts.cmd("UID REPLACE 99 Drafts ", text).status == "NO"
    assert drafts.cmd("REPLACE 1 nowhere ", text).code() == "TRYCREATE"
    drafts.send(b"a REPLACE 1 Drafts {%d+}\r\n%s {%d+}\r\n%s\r\nb NOOP\r\n" % (len(text), text, len(text), text))
    assert drafts.collect("a").status == "BAD"
    assert drafts.collect("b").status == "OK"
    for line in ("REPLACE", "REPLACE 1", "REPLACE 1 Drafts", "UID REPLACE 1 Drafts (\\Seen)"):
        drafts.bad(line)
    drafts.send(b"c REPLACE 1 {6+}\r\nDrafts {%d+}\r\n%s\r\n" % (len(text), text))     # the mailbox may be a literal
    assert drafts.collect("c").status == "OK"
    assert len(drafts.search("ALL")) == 4
    drafts.ok("EXAMINE Drafts")
    assert drafts.cmd("REPLACE 1 Drafts ", text).code() == "NOPERM"
    drafts.ok("CLOSE")
    drafts.bad("REPLACE 1 Drafts {3+}\r\nabc")
    drafts.ok("NOOP")


def test_only_the_difference_counts_for_the_quota():
    """§3.4."""
    with imap.Imapd() as server:
        server.postroom("account", "add", "--password-stdin", "--quota", "30K", "alice@example.test", input="secret\n")
        server.passwords["alice@example.test"] = "secret"
        server.start()
        with imap.Client(server, "alice") as c:
            c.append("Drafts", b"x" * 20000)
            c.ok("SELECT Drafts")
            assert c.cmd("APPEND Drafts ", b"y" * 20000).code() == "OVERQUOTA"
            assert c.ok("REPLACE 1 Drafts ", b"y" * 25000).numbers("EXPUNGE") == [1]
            assert c.cmd("REPLACE 1 Drafts ", b"z" * 31000).code() == "OVERQUOTA"
            assert c.fetch("1:*", "RFC822.SIZE") == {1: {"RFC822.SIZE": 25000}}


def test_modseq_is_told_where_it_is_known(drafts):
    drafts.ok("ENABLE CONDSTORE")
    reply = drafts.ok("REPLACE 1 Drafts ", message("new"))
    assert reply.code().startswith("HIGHESTMODSEQ ")


def test_rights_in_shared_mailboxes(imapd, user):
    """§4.1: the rights of STORE and EXPUNGE here, and of APPEND there; without them nothing is stored either."""
    imapd.add_account(user + "b")
    with imap.Client(imapd, user) as owner, imap.Client(imapd, user + "b") as guest:
        shared = f"Shared/{imapd.address(user)}/Team"
        owner.ok("CREATE Team")
        owner.append("Team", message("one"))
        for letters, code in (("lrswi", "NOPERM"), ("lrswit", "NOPERM"), ("lrswte", "NOPERM")):
            owner.ok(f"SETACL Team {imapd.address(user + 'b')} {letters}")
            guest.ok(f"SELECT {shared}")
            reply = guest.cmd(f"REPLACE 1 {shared} ", message("two"))
            assert (reply.status, reply.code()) == ("NO", code), letters
            assert owner.ok("STATUS Team (MESSAGES)").all("STATUS") == [b"Team (MESSAGES 1)"]
        owner.ok(f"SETACL Team {imapd.address(user + 'b')} lrswite")
        guest.ok(f"SELECT {shared}")
        new = message("two")
        assert guest.ok(f"REPLACE 1 {shared} ", new).numbers("EXPUNGE") == [1]
        owner.ok("SELECT Team")
        assert owner.fetch("1:*", "BODY.PEEK[]") == {1: {"BODY[]": new}}


def test_another_accounts_quota_is_not_relieved():
    """What goes makes room where it was, not where the new message comes to."""
    with imap.Imapd(accounts=("bob",)) as server:
        server.postroom("account", "add", "--password-stdin", "--quota", "30K", "alice@example.test", input="secret\n")
        server.passwords["alice@example.test"] = "secret"
        server.start()
        with imap.Client(server, "alice") as owner, imap.Client(server, "bob") as guest:
            owner.ok("CREATE Team")
            owner.append("Team", b"x" * 25000)
            owner.ok("SETACL Team bob@example.test lrswite")
            guest.append("INBOX", b"y" * 20000)
            guest.ok("SELECT INBOX")
            assert guest.cmd("REPLACE 1 Shared/alice@example.test/Team ", b"z" * 20000).code() == "OVERQUOTA"
            assert guest.search("ALL") == [1]


def test_with_uidonly_only_by_uid(drafts):
    """RFC 9586 §3: a message number is not understood, and the removal is told by its UID."""
    drafts.ok("ENABLE UIDONLY")
    assert drafts.cmd("REPLACE 1 Drafts ", message("new")).code() == "UIDREQUIRED"
    assert drafts.ok("UID REPLACE 1 Drafts ", message("new")).all("VANISHED") == [b"1"]


def test_replace_that_is_off_is_not_there():
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off REPLACE\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            c.append("INBOX", message("x"))
            c.ok("SELECT INBOX")
            c.bad("REPLACE 1 INBOX {3+}\r\nabc")
