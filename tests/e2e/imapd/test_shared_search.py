"""What searches and resynchronises one's own mailboxes does so with what others share, as far as their rights go."""

import imap
from postroom import message
from test_acl import pair       # noqa: F401 (a fixture)
from test_qresync import code, expunge, vanished


def test_a_shared_mailbox_resynchronises(pair):                                 # noqa: F811
    owner, guest = pair
    for n in range(6):
        owner.append("INBOX", message(f"n {n}"))
    owner.ok(f"SETACL INBOX {guest.name} lrs")
    name = f"{owner.out}/INBOX"
    guest.ok("ENABLE QRESYNC IMAP4rev2")
    reply = guest.ok(f'SELECT "{name}"')
    validity, modseq = code(reply, "UIDVALIDITY"), code(reply, "HIGHESTMODSEQ")
    assert reply.all("LIST")[0].endswith(name.encode()) or reply.all("LIST")[0].endswith(b'"' + name.encode() + b'"')
    owner.ok("SELECT INBOX")
    expunge(owner, 2, 5)
    owner.ok("UID STORE 3 +FLAGS.SILENT (\\Flagged)")
    assert vanished(guest.ok("NOOP")) == {2, 5}
    guest.ok("UID STORE 4 +FLAGS (\\Seen)")
    reply = guest.ok(f'SELECT "{name}" (QRESYNC ({validity} {modseq}))')
    assert vanished(reply, earlier=True) == {2, 5}
    got = {items["UID"]: set(items["FLAGS"]) for items in reply.fetched().values()}
    assert b"\\Flagged" in got[3] and b"\\Seen" in got[4] and 1 not in got
    assert b"\\Seen" not in owner.fetch("3", "FLAGS")[3]["FLAGS"]         # each reader's own
    assert guest.ok("UID SEARCH SEEN").all("ESEARCH")[0].endswith(b" ALL 4")
    assert guest.ok("UID SORT (REVERSE ARRIVAL) UTF-8 ALL").all("SORT")[0].split()
    guest.ok("UID SEARCH RETURN (UPDATE) FLAGGED")
    owner.ok("UID STORE 6 +FLAGS.SILENT (\\Flagged)")
    assert guest.ok("NOOP").all("ESEARCH")[0].endswith(b"UID ADDTO (0 6)")


def test_searches_over_many_mailboxes_keep_to_the_rights(pair):                 # noqa: F811
    owner, guest = pair
    for name in ("open", "closed", "listed"):
        owner.ok(f"CREATE {name}")
        owner.append(name, message("needle"))
    guest.append("INBOX", message("needle"))
    owner.ok(f"SETACL open {guest.name} lr")
    owner.ok(f"SETACL listed {guest.name} l")

    def found(sources):
        texts = guest.ok(f"ESEARCH IN ({sources}) SUBJECT needle").all("ESEARCH")
        return {t.split(b"MAILBOX ")[1].split(b" UIDVALIDITY")[0].decode().strip('"') for t in texts}
    assert found("personal") == {"INBOX"}
    assert found("personal subtree Shared") == {"INBOX", f"{owner.out}/open"}
    assert found(f'mailboxes ("{owner.out}/open" "{owner.out}/closed" "{owner.out}/listed")') == {f"{owner.out}/open"}
    owner.ok(f"DELETEACL open {guest.name}")
    assert found("subtree Shared") == set()
