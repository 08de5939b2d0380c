"""Identities that outlive names and numbers (RFC 8474), and when a message came to its mailbox (RFC 8514)."""

import datetime
import re

import imap
from postroom import message

ID = re.compile(rb"[A-Za-z0-9_-]{1,255}")


def mailbox_id(reply):
    return re.search(rb"MAILBOXID \(([^)]*)\)", b"\n".join(reply.untagged) + reply.text).group(1)


def email_ids(client, which="1:*"):
    found = {}
    for n, items in client.fetch(which, "(EMAILID THREADID)").items():
        assert items["THREADID"] is None        # RFC 8474 §5.2: threads have no identity here
        (found[n],) = items["EMAILID"]
        assert ID.fullmatch(found[n])
    return found


def test_mailboxes_keep_their_id(client):
    """The examples of RFC 8474 §4.1 to §4.3."""
    foo = mailbox_id(client.ok("create foo"))
    bar = mailbox_id(client.ok("create bar"))
    assert ID.fullmatch(foo) and foo != bar
    client.no("create foo")
    assert mailbox_id(client.ok('select "foo"')) == foo
    assert mailbox_id(client.ok('examine "foo"')) == foo
    assert client.ok("status foo (mailboxid)").all("STATUS") == [b"foo (MAILBOXID (" + foo + b"))"]
    assert mailbox_id(client.ok("status bar (mailboxid messages)")) == bar
    client.ok("rename foo renamed")
    assert mailbox_id(client.ok("status renamed (mailboxid)")) == foo
    assert mailbox_id(client.ok("status bar (mailboxid)")) == bar
    assert client.ok('list "" "*" return (status (mailboxid))').all("STATUS").count(
        b"renamed (MAILBOXID (" + foo + b"))") == 1
    client.ok("create foo")
    assert mailbox_id(client.ok("status foo (mailboxid)")) not in (foo, bar)


def test_messages_keep_their_id(box):
    """The examples of RFC 8474 §5.3 and §6."""
    for subject in ("Message A", "Re: Message A", "Message C"):
        box.append("inbox", message(subject), '"20-Mar-2018 03:07:37 +1100"')
    box.ok("NOOP")
    ids = email_ids(box)
    assert len(set(ids.values())) == 3
    assert box.search(f"emailid {ids[1].decode()}") == [1]
    assert box.search(f"emailid {ids[1].decode().swapcase()}") == []
    assert box.search("threadid T64b478a75b7ea9") == []
    assert box.search("not threadid T64b478a75b7ea9") == [1, 2, 3]
    box.ok("create foo")
    box.ok("move 2 foo")
    assert email_ids(box) == {1: ids[1], 2: ids[3]}
    box.ok("copy 1 foo")
    box.ok('select "foo"')
    assert email_ids(box) == {1: ids[2], 2: ids[1]}
    for line in ("search emailid", "search emailid ()", "search threadid"):
        box.bad(line)


def test_ids_outlive_the_index(imapd, user):
    with imap.Client(imapd, user) as c:
        c.ok("CREATE kept")
        c.append("kept", message("one"))
        before = mailbox_id(c.ok("SELECT kept")), email_ids(c)
        c.ok("CLOSE")
        imapd.postroom("index", "rebuild", imapd.address(user))
        assert (mailbox_id(c.ok("SELECT kept")), email_ids(c)) == before


def test_when_a_message_was_saved(box):
    """RFC 8514 §4, with its examples: the date of arrival does not matter, a copy is saved when it is made."""
    box.append("INBOX", message("old"), '"01-Jan-2015 18:50:53 +0100"')
    box.ok("NOOP")
    saved = box.fetch("1", "(SAVEDATE INTERNALDATE)")[1]
    assert saved["INTERNALDATE"] == b" 1-Jan-2015 17:50:53 +0000"
    then = datetime.datetime.strptime(saved["SAVEDATE"].decode().strip(), "%d-%b-%Y %H:%M:%S %z")
    assert abs(datetime.datetime.now(datetime.timezone.utc) - then) < datetime.timedelta(hours=1)
    day = then.strftime("%d-%b-%Y")
    assert box.search("SAVEDON 28-Dec-2014") == []
    assert box.search("SAVEDSINCE 28-Dec-2014") == [1]
    assert box.search("SAVEDBEFORE 28-Dec-2014") == [] and box.search("BEFORE 28-Dec-2015") == [1]
    assert box.search(f"SAVEDON {day}") == [1] and box.search(f"SAVEDSINCE {day} SAVEDATESUPPORTED") == [1]
    assert box.search(f"SAVEDBEFORE {day}") == [] and box.search("NOT SAVEDATESUPPORTED") == []
    box.bad("SEARCH SAVEDON")
    box.bad("SEARCH SAVEDON yesterday")


def test_object_ids_that_are_off_are_not_there():
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off OBJECTID SAVEDATE\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            assert c.ok("CREATE foo").code() is None
            assert not any(b"MAILBOXID" in line for line in c.ok("SELECT foo").untagged)
            for line in ("STATUS foo (MAILBOXID)", "FETCH 1:* EMAILID", "FETCH 1:* SAVEDATE", "SEARCH EMAILID x",
                         "SEARCH SAVEDATESUPPORTED"):
                c.bad(line)
