"""CONTEXT=SEARCH and CONTEXT=SORT (RFC 5267): the example dialogues, and that results followed by updates stay what a new search
finds."""

import random
import re

import pytest

import imap
from postroom import message


def numbers(text):
    """[3, 1, 2] of "3,1:2": in the order in which they stand."""
    out = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        out += range(int(first), int(last or first) + 1)
    return out


class Result:
    """What a client makes of ADDTO and REMOVEFROM."""

    def __init__(self, client, line, is_sorted):
        reply = client.ok(line)
        self.tag, self.is_sorted = f"t{client.tag}".encode(), is_sorted
        found = [t for t in reply.all("ESEARCH") if t.startswith(b'(TAG "' + self.tag)]
        found = re.search(rb" ALL (\S+)", found[0])
        self.list = numbers(found.group(1).decode()) if found else []
        self.take(reply, skip=1)

    def take(self, reply, skip=0):
        """Also sequence numbers: EXPUNGE renumbers what stands in the list."""
        for u in reply.untagged:
            gone = re.match(rb"\* (\d+) EXPUNGE$", u)
            if gone and not self.is_uid():
                n = int(gone.group(1))
                assert n not in self.list, "an expunged message was not removed before"
                self.list = [m - (m > n) for m in self.list]
            text = u[len(b"* ESEARCH "):]
            if not u.startswith(b'* ESEARCH (TAG "' + self.tag + b'"') or (skip and b" ALL " in text):
                continue
            for what, pairs in re.findall(rb"(ADDTO|REMOVEFROM) \(([^)]*)\)", text):
                words = pairs.decode().split(" ")
                for position, members in zip(words[::2], words[1::2]):
                    self.apply(what, int(position), numbers(members))

    def is_uid(self):
        return getattr(self, "uid", True)

    def apply(self, what, position, members):
        assert (position > 0) == self.is_sorted
        if what == b"ADDTO":
            assert not set(members) & set(self.list)
            self.list = sorted(self.list + members) if not position else self.list[:position - 1] + members + self.list[position - 1:]
        elif position:
            assert self.list[position - 1:position - 1 + len(members)] == members
            del self.list[position - 1:position - 1 + len(members)]
        else:
            assert set(members) <= set(self.list)
            self.list = [m for m in self.list if m not in members]


def test_rfc5267_section_4_2_context_is_a_hint(box):
    box.append("INBOX", message("x"))
    box.ok("NOOP")
    reply = box.ok("SEARCH RETURN (CONTEXT COUNT) UNDELETED UNKEYWORD $Junk")
    assert reply.all("ESEARCH") == [f'(TAG "t{box.tag}") COUNT 1'.encode()]
    box.ok("STORE 1 +FLAGS (\\Deleted)")
    assert not box.ok("NOOP").all("ESEARCH")


def test_rfc5267_section_4_3_updates(imapd, user):
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        for n in range(5):
            a.append("INBOX", message(f"n {n}"))
        a.ok("SELECT INBOX")
        b.ok("SELECT INBOX")
        a.send("B01 UID SEARCH RETURN (UPDATE COUNT) DELETED KEYWORD $Junk\r\n")
        assert a.collect("B01").all("ESEARCH") == [b'(TAG "B01") UID COUNT 0']
        a.send("B01 SORT RETURN (UPDATE) (DATE) UTF-8 FLAGGED\r\n")
        assert a.collect("B01").status == "BAD"
        b.ok("STORE 2:3 +FLAGS (\\Deleted $Junk)")
        reply = a.ok("NOOP")
        assert reply.all("ESEARCH") == [b'(TAG "B01") UID ADDTO (0 2:3)']
        assert reply.untagged.index(b'* ESEARCH (TAG "B01") UID ADDTO (0 2:3)') > max(
            i for i, u in enumerate(reply.untagged) if b" FETCH " in u)
        # Its own changes count, too.
        assert a.ok("STORE 3 -FLAGS (\\Deleted)").all("ESEARCH") == [b'(TAG "B01") UID REMOVEFROM (0 3)']
        b.ok("EXPUNGE")
        reply = a.ok("NOOP")
        assert reply.untagged[:2] == [b'* ESEARCH (TAG "B01") UID REMOVEFROM (0 2)', b"* 2 EXPUNGE"]
        # New mail, and in IDLE.
        a.send("i IDLE\r\n")
        assert a.response().startswith(b"+ ")
        b.append("INBOX", message("new"), "(\\Deleted $Junk)")
        told = [a.response()]
        while not told[-1].startswith(b"* ESEARCH"):
            told.append(a.response())
        assert told[-1] == b'* ESEARCH (TAG "B01") UID ADDTO (0 6)' and b"* 5 EXISTS" in told
        a.send("DONE\r\n")
        assert a.collect("i").status == "OK"
        a.ok('CANCELUPDATE "B01" "nobody"')
        b.ok("STORE 1 +FLAGS (\\Deleted $Junk)")
        assert not a.ok("NOOP").all("ESEARCH")
        for wrong in ("", "B01", '"B01" x'):
            a.bad(f"CANCELUPDATE {wrong}")


def test_rfc5267_section_4_3_1_refusals_and_the_end(box):
    box.append("INBOX", message("x"))
    box.ok("NOOP")
    for n in range(16):
        assert not [u for u in box.ok("SEARCH RETURN (UPDATE COUNT) FLAGGED").untagged if b"NOUPDATE" in u]
    reply = box.ok("UID SORT RETURN (UPDATE COUNT) (DATE) UTF-8 ALL")
    assert reply.all("ESEARCH") and any(u.startswith(f'* NO [NOUPDATE "t{box.tag}"]'.encode()) for u in reply.untagged)
    assert len(box.ok("STORE 1 +FLAGS (\\Flagged)").all("ESEARCH")) == 16
    box.ok("SELECT INBOX")                      # another selection: no updates any more
    assert not box.ok("STORE 1 -FLAGS (\\Flagged)").all("ESEARCH")


def test_rfc5465_section_7_new_messages_with_items(imapd, user):
    """§7 has the FETCH before the ADDTO, §5.2 behind it; we do the latter."""
    boss = b"From: myboss@example.org\r\nTo: bob@example.org\r\nSubject: Re: good morning\r\nX-Other: x\r\n\r\nbody\r\n"
    letter = boss.replace(b"myboss", b"friend")
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        a.append("INBOX", boss)
        a.ok("SELECT INBOX")
        b.ok("SELECT INBOX")
        a.send('a00 SEARCH RETURN (COUNT UPDATE (UID BODY[HEADER.FIELDS (TO FROM SUBJECT)])) FROM "boss"\r\n')
        assert a.collect("a00").all("ESEARCH") == [b'(TAG "a00") COUNT 1']
        header = b"From: myboss@example.org\r\nTo: bob@example.org\r\nSubject: Re: good morning\r\n\r\n"

        def fetched(n):
            return b"* %d FETCH (UID %d FLAGS (\\Seen) BODY[HEADER.FIELDS (TO FROM SUBJECT)] {%d}\r\n%s)" % (n, n, len(header), header)
        # As an answer to any command ...
        b.append("INBOX", letter)
        b.append("INBOX", boss)
        reply = a.ok("NOOP")
        assert [u for u in reply.untagged if b"RECENT" not in u] == [b"* 3 EXISTS", b'* ESEARCH (TAG "a00") ADDTO (0 3)', fetched(3)]
        # ... and in IDLE; not for what one stores oneself, nor for what only comes to match.
        a.append("INBOX", boss)
        assert not [u for u in a.ok("NOOP").untagged if b"FETCH" in u]
        a.send('a01 UID SORT RETURN (UPDATE (RFC822.SIZE)) (DATE) UTF-8 FLAGGED\r\n')
        assert a.collect("a01").status == "OK"
        reply = b.ok("STORE 1 +FLAGS (\\Flagged)")
        reply = a.ok("NOOP")
        assert reply.all("ESEARCH") == [b'(TAG "a01") UID ADDTO (1 1)'] and not [u for u in reply.untagged if b"SIZE" in u]
        a.send("i IDLE\r\n")
        assert a.response().startswith(b"+ ")
        b.append("INBOX", boss, "(\\Flagged)")
        seen = [a.response()]
        while not (any(b"BODY[" in u for u in seen) and any(b"RFC822.SIZE" in u for u in seen)):
            seen.append(a.response())
        assert seen.index(b'* ESEARCH (TAG "a00") ADDTO (0 5)') > seen.index(b"* 5 EXISTS")
        assert b'* ESEARCH (TAG "a01") UID ADDTO (2 5)' in seen
        assert b"* 5 FETCH (UID 5 RFC822.SIZE %d)" % len(boss) in seen
        a.send("DONE\r\n")
        assert a.collect("i").status == "OK"
        a.ok('CANCELUPDATE "a00" "a01"')
        b.append("INBOX", boss)
        assert not [u for u in a.ok("NOOP").untagged if b"BODY" in u]
        for wrong in ("UPDATE ()", "UPDATE (NONSENSE)", "UPDATE (BODY[)", "UPDATE (UID", "(UID)", 'UPDATE ("UID")'):
            a.bad(f"SEARCH RETURN ({wrong}) ALL")


def test_items_that_notify_and_a_search_ask_for_come_once(imapd, user):
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        a.ok("SELECT INBOX")
        a.ok("NOTIFY SET (SELECTED (MessageNew (UID RFC822.SIZE) MessageExpunge FlagChange))")
        a.send("u1 UID SEARCH RETURN (UPDATE (UID RFC822.SIZE)) ALL\r\n")
        assert a.collect("u1").status == "OK"
        b.append("INBOX", message("x"))
        seen = [a.response()]
        while b"FETCH" not in seen[-1]:
            seen.append(a.response())
        assert b'* ESEARCH (TAG "u1") UID ADDTO (0 1)' in seen
        assert not [u for u in a.ok("NOOP").untagged if b"FETCH" in u]


def test_esearch_with_update_follows_the_selected_mailbox(imapd, user):
    """RFC 7377 §2.2."""
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        a.append("INBOX", message("x"), "(\\Flagged)")
        a.append("Archive", message("x"), "(\\Flagged)")
        a.bad("ESEARCH IN (selected) RETURN (UPDATE) FLAGGED")
        uidvalidity = re.search(rb"UIDVALIDITY (\d+)", b" ".join(a.ok("SELECT INBOX").untagged)).group(1)
        place = b" MAILBOX INBOX UIDVALIDITY " + uidvalidity
        a.send("e1 ESEARCH IN (personal) RETURN (UPDATE COUNT) FLAGGED\r\n")
        reply = a.collect("e1")
        assert len(reply.all("ESEARCH")) == 2 and b'(TAG "e1"' + place + b") UID COUNT 1" in reply.all("ESEARCH")
        a.send("e1 ESEARCH RETURN (UPDATE) SEEN\r\n")
        assert a.collect("e1").status == "BAD"
        b.append("INBOX", message("y"), "(\\Flagged)")
        b.append("Archive", message("y"), "(\\Flagged)")
        assert a.ok("NOOP").all("ESEARCH") == [b'(TAG "e1"' + place + b") UID ADDTO (0 2)"]
        assert a.ok("STORE 1 -FLAGS (\\Flagged)").all("ESEARCH") == [b'(TAG "e1"' + place + b") UID REMOVEFROM (0 1)"]
        reply = a.ok("ESEARCH IN (mailboxes Archive) RETURN (UPDATE COUNT) FLAGGED")
        assert [u for u in reply.untagged if u.startswith(f'* NO [NOUPDATE "t{a.tag}"]'.encode())] and len(reply.all("ESEARCH")) == 1
        a.ok('CANCELUPDATE "e1"')
        assert not a.ok("STORE 1 +FLAGS (\\Flagged)").all("ESEARCH")


def test_a_keyword_that_nobody_had(box):
    box.append("INBOX", message("x"))
    box.ok("NOOP")
    box.ok("SEARCH RETURN (UPDATE COUNT) KEYWORD $later")
    assert box.ok("STORE 1 +FLAGS ($later)").all("ESEARCH") == [f'(TAG "t{box.tag - 1}") ADDTO (0 1)'.encode()]


def test_search_in_bodies_follows(imapd, user, box):
    box.ok("UID SEARCH RETURN (UPDATE) BODY needle")
    tag = f't{box.tag}'
    with imap.Client(imapd, user) as other:
        other.append("INBOX", message("x", body="a needle here\r\n"))
        other.append("INBOX", message("x", body="hay\r\n"))
    assert box.ok("NOOP").all("ESEARCH") == [f'(TAG "{tag}") UID ADDTO (0 1)'.encode()]


def test_a_search_that_costs_too_much_is_followed_no_longer():
    with imap.Imapd(accounts=("alice",), conf="command-cpu-time 100ms\n") as server:
        server.start()
        with imap.Client(server, "alice") as a, imap.Client(server, "alice") as b:
            a.ok("SELECT INBOX")
            a.ok("SEARCH RETURN (UPDATE COUNT) FLAGGED")
            cheap = a.tag
            a.ok("SEARCH RETURN (UPDATE COUNT) " + " ".join(f"NOT BODY {n}y" for n in range(30)))
            costly = a.tag
            text = "Content-Type: text/plain; charset=utf-8\r\n\r\n" + ("\u00e9\u00df\u0130x" * 100 + "\r\n") * 300
            for _ in range(60):
                b.append("INBOX", text.encode(), "(\\Flagged)")
            reply = a.ok("NOOP")
            assert any(u.startswith(f'* NO [NOUPDATE "t{costly}"]'.encode()) for u in reply.untagged), reply.untagged
            assert reply.all("ESEARCH") == [f'(TAG "t{cheap}") ADDTO (0 1:60)'.encode()]


@pytest.mark.parametrize("uid", (True, False))
@pytest.mark.parametrize("seed", (1, 2))
def test_followed_results_are_what_a_new_search_finds(imapd, user, seed, uid):
    rng = random.Random(seed)
    prefix = "UID " if uid else ""
    searches = (("SEARCH RETURN (UPDATE ALL)", "FLAGGED", False), ("SORT RETURN (UPDATE ALL) (SUBJECT REVERSE DATE) UTF-8", "UNDELETED", True),
                ("SORT RETURN (UPDATE ALL) (REVERSE SIZE) UTF-8", "OR FLAGGED SEEN", True))
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        for n in range(8):
            b.append("INBOX", message(f"subject {rng.randrange(4)}", body="x" * rng.randrange(100) + "\r\n"))
        a.ok("SELECT INBOX")
        b.ok("SELECT INBOX")
        results = []
        for start, keys, is_sorted in searches:
            results.append((Result(a, f"{prefix}{start} {keys}", is_sorted), start.replace("UPDATE ", ""), keys))
            results[-1][0].uid = uid
        for turn in range(25):
            uids = b.search("ALL", uid=True)
            what = rng.random()
            if what < 0.3 or len(uids) < 3:
                b.append("INBOX", message(f"subject {rng.randrange(4)}", body="x" * rng.randrange(100) + "\r\n"),
                         rng.choice(("", "(\\Flagged)", "(\\Seen)")))
                b.ok("NOOP")
            elif what < 0.8:
                some = ",".join(map(str, rng.sample(uids, rng.randrange(1, 3))))
                b.ok(f"UID STORE {some} {rng.choice('+-')}FLAGS ({rng.choice(('Flagged', 'Seen', 'Deleted')).join((chr(92), ''))})")
            else:
                b.ok("EXPUNGE")
            reply = a.ok(rng.choice(("NOOP", "UID SEARCH ALL", "UID FETCH 1:* FLAGS")))
            for result, _, _ in results:
                result.take(reply)
        for result, start, keys in results:
            reply = a.ok(f"{prefix}{start} {keys}")
            for other, _, _ in results:
                other.take(reply)
            found = re.search(rb" ALL (\S+)", [t for t in reply.all("ESEARCH") if f'"t{a.tag}"'.encode() in t][0])
            assert result.list == (numbers(found.group(1).decode()) if found else []), keys
