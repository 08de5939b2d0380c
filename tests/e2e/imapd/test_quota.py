"""QUOTA (RFC 9208), LIST-STATUS (RFC 5819) and STATUS=SIZE (RFC 8438), with the example dialogues of the three RFCs."""

import imap
from postroom import message

TEXT = message("quota", body="x" * 700 + "\r\n")


def limited(imapd, user, size, messages=None):
    """A session of an account with limits; they are read at login."""
    imapd.postroom("quota", "set", imapd.address(user), str(size), *([str(messages)] if messages else []))
    return imap.Client(imapd, user)


def test_getquotaroot_and_getquota_as_in_rfc_9208(imapd, user):
    with limited(imapd, user, 111 * 1024, 1000) as c:
        c.append("INBOX", TEXT)
        root = imapd.address(user)
        reply = c.ok("GETQUOTAROOT INBOX")      # §4.1.2
        assert reply.all("QUOTAROOT") == [f"INBOX {root}".encode()]
        assert reply.all("QUOTA") == [f"{root} (STORAGE 1 111 MESSAGE 1 1000)".encode()]
        reply = c.ok(f'GETQUOTA "{root}"')      # §4.1.1
        assert reply.all("QUOTA") == [f"{root} (STORAGE 1 111 MESSAGE 1 1000)".encode()]
        assert c.ok('GETQUOTAROOT "No such mailbox"').all("QUOTAROOT") == [f'"No such mailbox" {root}'.encode()]


def test_no_limit_is_an_empty_list(client, imapd, user):
    assert client.ok(f"GETQUOTA {imapd.address(user)}").all("QUOTA") == [f"{imapd.address(user)} ()".encode()]


def test_what_others_use_is_not_told(client, imapd):
    there = client.no(f"GETQUOTA {imapd.address('alice')}")
    absent = client.no("GETQUOTA nobody@example.test")
    assert (there.text, there.untagged) == (absent.text, absent.untagged)
    reply = client.ok("GETQUOTAROOT Shared/alice@example.test/INBOX")
    assert reply.untagged == [b"* QUOTAROOT Shared/alice@example.test/INBOX"]
    client.bad("GETQUOTA")
    client.bad("GETQUOTAROOT INBOX x")
    client.bad('SETQUOTA "" (STORAGE 510)')      # §4.1.3: only where QUOTASET is offered


def test_storage_counts_units_of_1024_octets(imapd, user):
    with limited(imapd, user, 10 * 1024) as c:
        for octets, shown in ((1, 1), (1023, 1), (1024, 2), (3000, 4)):
            c.append("INBOX", b"A: b\r\n\r\n" + b"x" * (octets - 8) if octets > 8 else b"x")
            usage = c.ok("GETQUOTAROOT INBOX").all("QUOTA")[0]
            assert usage.endswith(f"(STORAGE {-(-self_size(c) // 1024)} 10)".encode()), (octets, shown, usage)


def self_size(c):
    """Octets of all messages of INBOX, as FETCH tells them."""
    c.ok("EXAMINE INBOX")
    total = sum(items["RFC822.SIZE"] for items in c.fetch("1:*", "RFC822.SIZE").values())
    c.ok("UNSELECT")
    return total


def test_overquota_refuses_append_copy_and_nothing_else(imapd, user):
    """RFC 9208 §4.3.1, example 1; the limit is a hard one."""
    with limited(imapd, user, "10M", 2) as c:
        c.append("INBOX", TEXT)
        c.append("INBOX", TEXT)
        assert c.no(r"APPEND INBOX (\Seen)", TEXT).code() == "OVERQUOTA"
        c.ok("SELECT INBOX")
        assert c.no("COPY 1 Trash").code() == "OVERQUOTA"
        c.ok("MOVE 1 Trash")
        c.ok(r"STORE 1 +FLAGS (\Deleted)")
        c.ok("EXPUNGE")
        c.append("INBOX", TEXT)


def test_limits_hold_for_who_comes_in_while_the_account_is_open(imapd, user):
    """The second session finds the account open and reads its limits with its first command, the first one keeps what it has."""
    with imap.Client(imapd, user) as first:
        first.append("INBOX", TEXT)
        for _ in range(3):      # in whichever worker they come
            with limited(imapd, user, "10M", 1) as second:
                assert second.no("APPEND INBOX ", TEXT).code() == "OVERQUOTA"
        first.append("INBOX", TEXT)


def test_status_deleted_and_deleted_storage_as_in_rfc_9208(box):
    for _ in range(12):
        box.append("INBOX", TEXT)
    box.ok("NOOP")
    box.ok(r"STORE 1:4 +FLAGS.SILENT (\Deleted)")
    reply = box.ok("STATUS INBOX (MESSAGES DELETED DELETED-STORAGE)")       # §4.1.4
    assert reply.all("STATUS") == [f"INBOX (MESSAGES 12 DELETED 4 DELETED-STORAGE {4 * len(TEXT)})".encode()]
    box.ok("EXPUNGE")
    reply = box.ok("STATUS INBOX (DELETED-STORAGE DELETED)")
    assert reply.all("STATUS") == [b"INBOX (DELETED 0 DELETED-STORAGE 0)"]


def test_status_size_is_the_sum_of_rfc822_size(client):
    client.ok("CREATE frop")
    for n in range(8):
        client.append("frop", message(f"size {n}", body="y" * n * 100 + "\r\n"))
    (told,) = client.ok("STATUS frop (MESSAGES SIZE UIDNEXT)").all("STATUS")
    client.ok('SELECT "frop"')
    total = sum(items["RFC822.SIZE"] for items in client.fetch("1:*", "(RFC822.SIZE)").values())
    assert told == f"frop (MESSAGES 8 UIDNEXT 9 SIZE {total})".encode()
    reply = client.ok('LIST "" frop RETURN (STATUS (MESSAGES SIZE))')
    assert reply.all("STATUS") == [f"frop (MESSAGES 8 SIZE {total})".encode()]


def test_list_return_status_as_in_rfc_5819(client):
    client.append("INBOX", TEXT)
    client.append("INBOX", TEXT, r"(\Seen)")
    client.ok("CREATE foo/sub")
    client.ok("DELETE foo")                     # a parent without mail, as "bar" in the RFC
    reply = client.ok('LIST "" % RETURN (STATUS (MESSAGES UNSEEN))')
    rows = {u for u in reply.untagged if b"INBOX" in u or b"foo" in u}
    assert rows == {b'* LIST (\\HasNoChildren) "/" INBOX', b"* STATUS INBOX (MESSAGES 2 UNSEEN 1)",
                    b'* LIST (\\HasChildren \\Noselect \\NonExistent) "/" foo'}
    at = reply.untagged.index(b'* LIST (\\HasNoChildren) "/" INBOX')
    assert reply.untagged[at + 1].startswith(b"* STATUS INBOX ")

    reply = client.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (STATUS (MESSAGES))')
    assert b"* STATUS INBOX (MESSAGES 2)" in reply.untagged
    assert b'* LIST (\\HasChildren \\Noselect \\NonExistent) "/" foo ("CHILDINFO" ("SUBSCRIBED"))' in reply.untagged
    assert not [u for u in reply.untagged if u.startswith(b"* STATUS foo ")]


def test_bad_status_options_of_list(client):
    for options in ("STATUS", "STATUS ()", "STATUS MESSAGES", "STATUS (MESSAGES", "STATUS (NONSENSE)", "MESSAGES"):
        client.bad(f'LIST "" % RETURN ({options})')
    client.bad('LIST (STATUS (MESSAGES)) "" %')
