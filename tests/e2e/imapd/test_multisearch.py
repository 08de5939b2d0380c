"""MULTISEARCH (RFC 7377) and INPROGRESS (RFC 9585)."""

import re

import pytest

import imap
from postroom import message


@pytest.fixture(scope="module")
def mail(imapd):
    imapd.add_account("multi")
    with imap.Client(imapd, "multi") as c:
        for name in ("folder1", "folder2", "folder2/banana", "folder2/peach", "folder2/salmon/deep", "folder22", "&ANw-n&AO8-"):
            c.ok(f'CREATE "{name}"')
        for box, subjects in (("folder1", ("chad", "x", "chad")), ("folder2/banana", ("chad", "y")), ("folder2/peach", ("z",)),
                              ("folder2/salmon/deep", ("chad",)), ("folder22", ("chad",)), ("INBOX", ("chad", "q")),
                              ('"&ANw-n&AO8-"', ("chad",))):
            for subject in subjects:
                c.append(box, message(subject), "(\\Seen)" if subject == "z" else "")
        yield c


def found(c, line):
    """{mailbox: what was found}; each response has every correlator once."""
    reply = c.ok(line)
    tag, out = f"t{c.tag}", {}
    for text in reply.all("ESEARCH"):
        match = re.fullmatch(rb'\(TAG "(\S+)" MAILBOX (.+) UIDVALIDITY (\d+)\) UID(.*)', text)
        assert match and match.group(1).decode() == tag, text
        name = match.group(2).decode().strip('"')
        assert name not in out
        status = c.ok(f'STATUS "{name}" (UIDVALIDITY)').all("STATUS")[0]
        assert status.endswith(b"(UIDVALIDITY " + match.group(3) + b")")
        out[name] = match.group(4).decode()
    return out


def test_rfc7377_section_3(mail):
    def tagged(tag):
        reply = mail.collect(tag)
        assert reply.status == "OK"
        return {re.search(rb"MAILBOX (\S+)", t).group(1).decode(): t.split(b") UID ")[1].decode() for t in reply.all("ESEARCH")}
    mail.send('tag1 ESEARCH IN (mailboxes "folder1" subtree "folder2") unseen\r\n'
              'tag2 ESEARCH IN (mailboxes "folder1" subtree-one "folder2") subject "chad"\r\n')
    assert tagged("tag1") == {"folder1": "ALL 1:3", "folder2/banana": "ALL 1:2", "folder2/salmon/deep": "ALL 1"}
    assert tagged("tag2") == {"folder1": "ALL 1,3", "folder2/banana": "ALL 1"}


def test_sources_are_the_mailboxes_they_name(mail):
    everywhere = {"INBOX": " ALL 1", "folder1": " ALL 1,3", "folder2/banana": " ALL 1", "folder2/salmon/deep": " ALL 1",
                  "folder22": " ALL 1", "&ANw-n&AO8-": " ALL 1"}

    def ask(sources, rest="SUBJECT chad"):
        return found(mail, f"ESEARCH IN ({sources}) {rest}")
    assert ask("personal") == everywhere == ask("subscribed") == ask("personal inboxes mailboxes folder1")
    assert ask("inboxes") == {"INBOX": " ALL 1"} == ask("mailboxes inbox")
    assert ask('mailboxes (folder1 "folder22" nowhere "&bad")') == {"folder1": " ALL 1,3", "folder22": " ALL 1"}
    assert ask("subtree (folder2 folder1)") == {k: v for k, v in everywhere.items() if k.startswith(("folder1", "folder2/"))}
    assert ask("mailboxes folder1", "RETURN (MIN MAX COUNT) SUBJECT chad") == {"folder1": " MIN 1 MAX 3 COUNT 2"}
    assert ask("personal", "RETURN (PARTIAL 2:9) SUBJECT chad")["folder1"] == " PARTIAL (2:9 3)"
    assert ask("personal", "SUBJECT nothing") == {} == ask("mailboxes nowhere") == ask("personal", "RETURN (COUNT) KEYWORD no")
    assert ask("personal", "CHARSET UTF-8 SEEN") == {"folder2/peach": " ALL 1"}
    # Numbers are those of each mailbox, and may lie beyond its end.
    assert ask("mailboxes (folder1 INBOX)", "2:100 UNDELETED") == {"INBOX": " ALL 2", "folder1": " ALL 2:3"}


def test_the_selected_mailbox_is_searched_by_its_name(mail):
    mail.ok("UNSELECT") if mail.cmd("CHECK").status == "OK" else None
    mail.bad("ESEARCH ALL")
    mail.bad("ESEARCH IN (selected personal) ALL")
    mail.ok("SELECT folder1")
    assert found(mail, "ESEARCH SUBJECT chad") == {"folder1": " ALL 1,3"} == found(mail, "ESEARCH IN (selected) SUBJECT chad")
    assert found(mail, "ESEARCH IN (selected mailboxes folder1) SUBJECT chad") == {"folder1": " ALL 1,3"}
    assert found(mail, "ESEARCH RETURN (SAVE ALL) SUBJECT chad") == {"folder1": " ALL 1,3"}
    assert mail.search("$") == [1, 3]
    mail.bad("ESEARCH IN (personal) RETURN (SAVE) ALL")
    mail.bad("ESEARCH IN (selected personal) RETURN (SAVE) ALL")
    assert mail.search("$") == [1, 3]
    for wrong in ("", "IN", "IN () ALL", "IN (nonsense) ALL", "IN (mailboxes) ALL", "IN (mailboxes ()) ALL", "IN (personal)",
                  "IN (selected-delayed) ALL", "IN (personal) NONSENSE", "IN (personal) RETURN (ALL PARTIAL 1:2) ALL", "ALL ("):
        mail.bad(f"ESEARCH {wrong}")
        mail.ok("NOOP")
    assert mail.no("ESEARCH IN (personal) CHARSET X-NONSENSE ALL").code().startswith("BADCHARSET")
    mail.ok("UNSELECT")


def test_clients_that_leave_in_the_middle(imapd, user):
    """What a command holds is given back; the sanitizers of the server look at its end whether all was."""
    with imap.Client(imapd, user) as c:
        c.ok("SELECT INBOX")
        c.append("INBOX", message("x", body="some text\r\n" * 2000))
        for _ in range(7):
            c.ok("NOOP")
            c.ok("COPY 1:* INBOX")
    for line in ("ESEARCH IN (personal) TEXT nowhere", "SEARCH RETURN (UPDATE) TEXT some", "UID SORT RETURN (UPDATE) (SUBJECT) UTF-8 TEXT some",
                 "THREAD REFERENCES UTF-8 BODY some", "UID SEARCH RETURN (PARTIAL -1:-9) BODY nowhere"):
        for ending in ("", "\r\nx IDLE\r\n"):
            c = imap.Client(imapd, user)
            c.ok("ENABLE QRESYNC")
            c.ok("SELECT INBOX")
            c.send(f"y {line}\r\n{ending}")
            c.close()
    with imap.Client(imapd, user) as c:
        c.ok("SELECT INBOX")
        assert len(c.search("ALL")) == 128


def test_long_commands_tell_how_far_they_are():
    """RFC 9585: with an interval of a millisecond, every slice."""
    with imap.Imapd(accounts=("alice",), conf="imap-progress-interval 1ms\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            c.ok("SELECT INBOX")
            c.append("INBOX", message("x", body="some text\r\n" * 2000))
            for _ in range(9):
                c.ok("NOOP")
                c.ok("COPY 1:* INBOX")
            c.ok("NOOP")
            for line in ('SEARCH TEXT "not there"', "COPY 1:* Trash"):
                reply = c.ok(line)
                told = [re.fullmatch(rb'\* OK \[INPROGRESS \("(\S+)" (\d+) (\d+)\)\] .*', u) for u in reply.untagged]
                told = [(m.group(1).decode(), int(m.group(2)), int(m.group(3))) for m in told if m]
                assert told, line
                assert all(tag == f"t{c.tag}" and goal == 512 and done < goal for tag, done, goal in told)
                assert sorted(told) == told
            c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
            reply = c.ok("EXPUNGE")
            assert any(b"[INPROGRESS (" in u for u in reply.untagged) and len(reply.numbers("EXPUNGE")) == 512
            c.ok("COPY 1:* INBOX") if c.search("ALL") else c.ok("SELECT Trash")
            c.send("a]b SEARCH TEXT nowhere\r\n")
            reply = c.collect("a]b")
            assert reply.status == "OK" and any(u.startswith(b"* OK [INPROGRESS (NIL ") for u in reply.untagged)
