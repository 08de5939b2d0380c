"""What the whole suite promises, across its daemons: a message comes out as it went in, and an index is disposable."""

import os
import pathlib
import poplib
import re
import sys

import postroom

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support import messages  # noqa: E402


def below_added_headers(stored, sent):
    """What stands below the header fields that the server wrote on top."""
    assert stored.endswith(sent), (stored[:300], sent[:300])
    added = stored[:len(stored) - len(sent)]
    assert re.match(rb"Return-Path: <[^\r\n]*>\r\nReceived: from [^\0]*\r\n\Z", added), added
    return added


def test_a_thousand_messages_come_back_as_they_were_sent_by_imap_and_by_pop3(fresh_server):
    """Sent to mx by SMTP; read as BODY[] and by RETR."""
    sent = []
    smtp = None
    for n, letter in enumerate(message.data for message in messages.messages(1000)):
        if n % 90 == 0:         # below the limit of messages per session
            smtp = fresh_server.raw("mx")
            assert smtp.reply()[0] == 220
            assert smtp.smtp("EHLO client.example") == 250
        # A message that does not end in CRLF gets one: DATA cannot say otherwise (RFC 5321 §4.1.1.4).
        whole = letter if letter.endswith(b"\r\n") or not letter else letter + b"\r\n"
        assert smtp.smtp("MAIL FROM:<s@elsewhere.example> BODY=8BITMIME") == 250
        assert smtp.smtp(f"RCPT TO:<{fresh_server.address('bob')}>") == 250
        assert smtp.smtp("DATA") == 354
        smtp.send(re.sub(rb"(\A|\r\n)\.", rb"\1..", whole) + b".\r\n")
        code, text = smtp.reply()
        assert code == 250, (code, text, letter[:200])
        sent.append(whole)
        if n % 90 == 89:
            smtp.close()
    assert len(sent) == 1000

    with fresh_server.imap("bob") as imap:
        imap.select("INBOX", readonly=True)
        seen = {}
        for first in range(1, len(sent) + 1, 50):
            _, data = imap.fetch(f"{first}:{first + 49}", "(RFC822.SIZE BODY.PEEK[])")
            for item in data:
                if isinstance(item, tuple):
                    number = int(item[0].split()[0])
                    seen[number] = item[1]
                    assert int(re.search(rb"RFC822.SIZE (\d+)", item[0]).group(1)) == len(item[1])
    assert len(seen) == len(sent)
    for number, letter in enumerate(sent, 1):
        below_added_headers(seen[number], letter)

    poplib._MAXLINE = 1 << 20       # the library's own limit, below what mail has
    pop = fresh_server.pop3("bob")
    for number in range(1, len(sent) + 1):
        text = b"".join(line + b"\r\n" for line in pop.retr(number)[1])
        assert text == seen[number], number
    pop.quit()


def snapshot(server, user, mailboxes):
    """All that a client may rely on."""
    found = {}
    with server.imap(user) as imap:
        found["list"] = sorted(imap.list()[1])
        found["lsub"] = sorted(imap.lsub()[1])
        for name in mailboxes:
            imap.select(name, readonly=True)
            validity = imap.response("UIDVALIDITY")[1]
            _, data = imap.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE)")
            rows = {}
            for item in data:
                if item is None:        # an empty mailbox
                    continue
                text = item if isinstance(item, bytes) else item[0]
                uid = int(re.search(rb"UID (\d+)", text).group(1))
                flags = frozenset(re.search(rb"FLAGS \(([^)]*)\)", text).group(1).split()) - {b"\\Recent"}
                rows[uid] = (flags, re.search(rb'INTERNALDATE "[^"]*"', text).group(0),
                             re.search(rb"RFC822.SIZE \d+", text).group(0))
            found[name] = (validity, rows)
    return found


def remove_index(server, user):
    index = server.maildir(user).parent / "index"
    for path in sorted(index.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_a_deleted_index_of_thousands_of_messages_changes_nothing_that_a_client_can_see(fresh_server):
    count = int(os.environ.get("INDEX_MESSAGES", 2000))     # `make check-volume`: 10,000

    def at(n):
        return n * count // 10000

    with fresh_server.imap("alice") as imap:
        imap.create("Big")
        for n in range(count):
            tag = imap._new_tag()  # pylint: disable=protected-access
            body = postroom.message(subject=f"n{n}")
            imap.send(tag + b' APPEND Big (%s) "%02d-Nov-2020 10:00:%02d +0000" {%d+}\r\n%s\r\n'
                      % (b"\\Flagged" if n % 3 == 0 else b"", n % 28 + 1, n % 60, len(body), body))
            if n % 20 == 19:
                for _ in range(20):
                    assert b" OK" in imap.readline()
        imap.select("Big")
        for n in range(30):     # more keywords than a file name has letters for
            imap.uid("STORE", f"{at(n * 300) + 1}:{at(n * 300 + 200)}", "+FLAGS", f"(Keyword{n} $Forwarded)")
        imap.uid("STORE", f"{at(5000)}:{at(5999)}", "+FLAGS", "(\\Seen \\Answered)")
        imap.uid("STORE", f"{at(7000)}:{at(7000) + 99}", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.copy("1:50", "Archive")
        imap.uid("MOVE", "100:149", "Trash")
    boxes = ("Big", "Archive", "Trash", "INBOX")
    before = snapshot(fresh_server, "alice", boxes)
    assert len(before["Big"][1]) == count - 150

    # While it runs: live sessions notice, and the next login rebuilds.
    remove_index(fresh_server, "alice")
    assert snapshot(fresh_server, "alice", boxes) == before
    # And while it is stopped.
    fresh_server.stop()
    remove_index(fresh_server, "alice")
    fresh_server.start()
    assert snapshot(fresh_server, "alice", boxes) == before
    assert fresh_server.json("index", "check", fresh_server.address("alice")) == []
    # New mail gets a UID above every one that was ever given.
    with fresh_server.imap("alice") as imap:
        imap.append("Big", None, None, postroom.message(subject="after"))
        imap.select("Big", readonly=True)
        assert int(imap.uid("SEARCH", "SUBJECT", "after")[1][0]) > max(before["Big"][1])


def test_a_corrupt_index_is_rebuilt_and_nobody_is_turned_away(fresh_server):
    for n in range(20):
        fresh_server.send(postroom.message(subject=f"c{n}"), to="bob")
    before = snapshot(fresh_server, "bob", ("INBOX",))
    fresh_server.stop()
    data = fresh_server.maildir("bob").parent / "index" / "data.mdb"
    octets = bytearray(data.read_bytes())
    octets[:8192] = b"\xff" * 8192          # both meta pages
    data.write_bytes(octets)
    fresh_server.start()
    assert snapshot(fresh_server, "bob", ("INBOX",)) == before
    fresh_server.send(postroom.message(subject="after"), to="bob")
    with fresh_server.imap("bob") as imap:
        assert imap.select("INBOX", readonly=True)[1] == [b"21"]
