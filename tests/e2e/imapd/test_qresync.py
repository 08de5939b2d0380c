"""QRESYNC (RFC 7162 §3.2): the example dialogues, and that a client which was away ends up with what the server has."""

import random

import imap
from postroom import message


def uid_set(text):
    """{1, 2, 5} of "1:2,5"."""
    out = set()
    for part in text.split(","):
        first, _, last = part.partition(":")
        out |= set(range(int(first), int(last or first) + 1))
    return out


def vanished(reply, earlier=False):
    """UIDs of all VANISHED responses of one kind."""
    out = set()
    for text in reply.all("VANISHED"):
        is_earlier = text.startswith(b"(EARLIER) ")
        if is_earlier == earlier:
            out |= uid_set(text.split(b" ")[-1].decode())
    return out


def code(reply, name):
    """The last value of an untagged OK's response code."""
    found = [u for u in reply.untagged if u.startswith(b"* OK [" + name.encode() + b" ")]
    return int(found[-1].split(b"]")[0].split()[-1]) if found else None


def filled(client, count, mailbox="INBOX"):
    """The mailbox selected with so many messages."""
    for n in range(count):
        client.append(mailbox, message(f"number {n}"))
    return client.ok(f"SELECT {mailbox}")


def expunge(client, *uids):
    text = ",".join(map(str, uids))
    client.ok(f"UID STORE {text} +FLAGS.SILENT (\\Deleted)")
    return client.ok(f"UID EXPUNGE {text}")


def test_parameter_and_modifier_are_there_once_it_is_enabled(client):
    """§3.2.3: both spellings; the parameter and the modifier only when it is on."""
    client.bad("SELECT INBOX (QRESYNC (1 1))")
    client.ok("SELECT INBOX")
    client.bad("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)")
    assert client.ok("ENABLE QRESYNC CONDSTORE").all("ENABLED") == [b"CONDSTORE QRESYNC"]
    assert client.ok("ENABLE QRESYNC").all("ENABLED") == [b"QRESYNC"]
    client.ok("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)")


def test_wrong_arguments_leave_nothing_selected(client):
    client.append("INBOX", message("x"))
    client.ok("ENABLE QRESYNC")
    for wrong in ("QRESYNC", "QRESYNC ()", "QRESYNC (1)", "QRESYNC (0 1)", "QRESYNC (1 0)", "QRESYNC (1 1 1:*)", "QRESYNC (1 1 x)",
                  "QRESYNC (1 1 1 (1))", "QRESYNC (1 1 1 (1 1) 1)", "QRESYNC (1 1) QRESYNC (1 1)", "QRESYNC (1 1 (1 x))"):
        client.bad(f"SELECT INBOX ({wrong})")
        client.bad("FETCH 1 FLAGS")             # nothing is selected
        client.ok("NOOP")
    client.ok("SELECT INBOX (QRESYNC (1 1 1:5 (1 1)) CONDSTORE)")
    for wrong in ("VANISHED", "VANISHED CHANGEDSINCE", "CHANGEDSINCE 1 VANISHED VANISHED"):
        client.bad(f"UID FETCH 1:* (FLAGS) ({wrong})")
    client.bad("FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)")
    client.ok("UID FETCH 1:* (FLAGS) (VANISHED CHANGEDSINCE 1)")


def test_rfc7162_section_3_2_5_uidvalidity_differs(client):
    validity = code(filled(client, 3), "UIDVALIDITY")
    expunge(client, 2)
    client.ok("ENABLE QRESYNC")
    reply = client.ok(f"SELECT INBOX (QRESYNC ({validity + 1} 1 1:3))")
    assert not reply.all("VANISHED") and not reply.fetched() and reply.count("EXISTS") == 2
    assert code(reply, "UIDVALIDITY") == validity


def test_rfc7162_section_3_2_5_1(imapd, user):
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        reply = filled(a, 10)
        validity, modseq = code(reply, "UIDVALIDITY"), code(reply, "HIGHESTMODSEQ")
        b.ok("SELECT INBOX")
        expunge(b, 1, 3, 4, 5)
        b.ok("UID STORE 2,6 +FLAGS (\\Seen)")
        expunge(b, 9)
        a.ok("ENABLE QRESYNC")
        reply = a.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq}))")
        assert reply.untagged[0].startswith(b"* OK [CLOSED]")
        assert vanished(reply, earlier=True) == {1, 3, 4, 5, 9} and len(reply.all("VANISHED")) == 1
        got = reply.fetched()
        assert {seq: items["UID"] for seq, items in got.items()} == {1: 2, 2: 6}
        assert all(b"\\Seen" in items["FLAGS"] and items["MODSEQ"][0] > modseq for items in got.values())
        assert reply.untagged.index(b"* VANISHED (EARLIER) 1,3:5,9") < min(
            i for i, u in enumerate(reply.untagged) if b" FETCH " in u)
        # Known UIDs limit the answer.
        reply = a.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq} 4:6,8:20))")
        assert vanished(reply, earlier=True) == {4, 5, 9}
        assert [items["UID"] for items in reply.fetched().values()] == [6]
        # Nothing new, nothing told; EXAMINE does the same.
        now = code(reply, "HIGHESTMODSEQ")
        reply = a.ok(f"EXAMINE INBOX (QRESYNC ({validity} {now}))")
        assert not reply.all("VANISHED") and not reply.fetched()


def test_rfc7162_section_3_2_5_2_sequence_match_data(client):
    """A server whose memory does not reach back: every gap up to the last pair that matches is left out."""
    validity = code(filled(client, 30), "UIDVALIDITY")
    expunge(client, *[uid for uid in range(1, 31) if uid % 3])
    client.ok("ENABLE QRESYNC")
    gaps = {uid for uid in range(1, 30) if uid % 3}
    reply = client.ok(f"SELECT INBOX (QRESYNC ({validity} 1 1:29))")
    assert vanished(reply, earlier=True) == gaps
    assert [items["UID"] for items in reply.fetched().values()] == list(range(3, 30, 3))
    reply = client.ok(f"SELECT INBOX (QRESYNC ({validity} 1 1:29 (5,7,9 15,21,27)))")
    assert vanished(reply, earlier=True) == {28, 29}
    reply = client.ok(f"SELECT INBOX (QRESYNC ({validity} 1 1:29 (5,7,8 15,21,25)))")
    assert vanished(reply, earlier=True) == {uid for uid in gaps if uid > 21}
    reply = client.ok(f"SELECT INBOX (QRESYNC ({validity} 1 1:29 (1:4294967295 1:4294967295)))")
    assert vanished(reply, earlier=True) == gaps
    # Without known UIDs the match data may stand alone.
    reply = client.ok(f"SELECT INBOX (QRESYNC ({validity} 1 (5,7,9 15,21,27)))")
    assert vanished(reply, earlier=True) == {28, 29}


def test_rfc7162_section_3_2_6_vanished_modifier(client):
    reply = filled(client, 8)
    modseq = code(reply, "HIGHESTMODSEQ")
    client.ok("ENABLE QRESYNC")
    expunge(client, 3, 7, 8)
    client.ok("UID STORE 4 +FLAGS.SILENT (\\Seen)")
    reply = client.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq} VANISHED)")
    assert vanished(reply, earlier=True) == {3, 7, 8}       # also those above the highest message
    assert [items["UID"] for items in reply.fetched().values()] == [4]
    assert b"VANISHED" in reply.untagged[0]
    reply = client.ok(f"UID FETCH 2:3 (FLAGS) (CHANGEDSINCE {modseq} VANISHED)")
    assert vanished(reply, earlier=True) == {3} and not reply.fetched()
    # A message that came and went while the client was away may have been seen by it.
    uid = client.append("INBOX", message("short-lived"))[1]
    expunge(client, uid)
    assert vanished(client.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq} VANISHED)"), earlier=True) == {3, 7, 8, uid}


def test_rfc7162_section_3_2_7_to_3_2_9(imapd, user):
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        filled(a, 9)
        b.ok("ENABLE QRESYNC")
        b.ok("SELECT INBOX")
        # Without QRESYNC numbers, with it UIDs.
        a.ok("STORE 3,4 +FLAGS.SILENT (\\Deleted)")
        reply = a.ok("EXPUNGE")
        assert sorted(reply.numbers("EXPUNGE")) == [3, 4] and not reply.all("VANISHED")
        reply = b.ok("NOOP")
        assert vanished(reply) == {3, 4} and not reply.numbers("EXPUNGE")
        assert b.ok("NOOP").untagged == []
        b.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
        reply = b.ok("EXPUNGE")
        assert vanished(reply) == {5} and reply.code().startswith("HIGHESTMODSEQ ")
        reply = b.ok("EXPUNGE")                 # nothing was removed: no code
        assert reply.code() is None and not reply.untagged
        b.ok("UID STORE 6:7 +FLAGS.SILENT (\\Deleted)")
        reply = b.ok("UID EXPUNGE 6:6")
        assert vanished(reply) == {6} and reply.code().startswith("HIGHESTMODSEQ ")
        reply = b.ok("CLOSE")
        assert not reply.untagged and reply.code() is None


def test_rfc7162_section_3_2_10_vanished(imapd, user):
    """Removals are collected in one VANISHED, never during a command by number, and only of what was shown."""
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        filled(a, 11)
        b.ok("ENABLE QRESYNC")
        b.ok("SELECT INBOX")
        b.ok("STORE 3,4,7,11 +FLAGS.SILENT (\\Deleted)")
        assert b.ok("EXPUNGE").all("VANISHED") == [b"3:4,7,11"]
        expunge(a, 1)
        for line in ("FETCH 2 (FLAGS)", "STORE 2 +FLAGS (\\Seen)", "SEARCH ALL", "UID SEARCH 1:2", "UID SEARCH NOT (1 UNSEEN)"):
            assert not b.ok(line).all("VANISHED"), line
        assert vanished(b.ok("UID SEARCH ALL")) == {1}
        uid = a.append("INBOX", message("x"))[1]
        a.ok("NOOP")
        expunge(a, uid)
        reply = b.ok("NOOP")
        assert not reply.all("VANISHED") or reply.count("EXISTS")


def test_rfc7162_section_6_held_back_removals(imapd, user):
    """A client may not take the MODSEQs of other answers for a point up to which it knows everything."""
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        filled(a, 4)
        b.ok("ENABLE QRESYNC")
        known = code(b.ok("SELECT INBOX"), "HIGHESTMODSEQ")
        expunge(a, 3)
        reply = b.ok("STORE 1:2 +FLAGS.SILENT (\\Seen)")
        gone_at = code(reply, "HIGHESTMODSEQ")
        assert known <= gone_at < min(items["MODSEQ"][0] for items in reply.fetched().values())
        reply = b.ok("STORE 4 +FLAGS.SILENT (\\Seen)")
        assert code(reply, "HIGHESTMODSEQ") == gone_at
        highest = reply.fetched()[4]["MODSEQ"][0]
        reply = b.ok("NOOP")
        assert vanished(reply) == {3} and code(reply, "HIGHESTMODSEQ") >= highest


def test_rfc7162_section_3_2_4_uid_and_modseq_in_every_fetch(imapd, user):
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        filled(a, 2)
        b.ok("ENABLE QRESYNC")
        b.ok("SELECT INBOX")
        a.ok("STORE 1 +FLAGS (\\Flagged)")
        assert set(b.ok("NOOP").fetched()[1]) == {"UID", "FLAGS", "MODSEQ"}
        assert set(b.ok("FETCH 2 BODY[TEXT]").fetched()[2]) == {"UID", "FLAGS", "MODSEQ", "BODY[TEXT]"}
        assert set(b.ok("FETCH 2 FLAGS").fetched()[2]) == {"FLAGS"}
        assert set(b.ok("STORE 2 +FLAGS.SILENT (\\Flagged)").fetched()[2]) == {"UID", "MODSEQ"}


class Cache:
    """What a client with a disk keeps of a mailbox."""

    def __init__(self, reply):
        self.validity, self.modseq = code(reply, "UIDVALIDITY"), code(reply, "HIGHESTMODSEQ")
        self.flags = {}

    def take(self, client, reply):
        assert code(reply, "UIDVALIDITY") == self.validity
        for uid in vanished(reply, earlier=True):
            self.flags.pop(uid, None)
        fetched = {v["UID"]: v["FLAGS"] for v in reply.fetched().values()}
        self.flags.update({uid: flags for uid, flags in fetched.items() if uid in self.flags})
        new = client.fetch(f"{max(self.flags, default=0) + 1}:*", "(FLAGS)", uid=True)
        self.flags.update({v["UID"]: v["FLAGS"] for v in new.values()})
        self.modseq = code(reply, "HIGHESTMODSEQ")

    def is_right(self, client):
        truth = {v["UID"]: v["FLAGS"] for v in client.fetch("1:*", "(UID FLAGS)").values()} if client.search("ALL") else {}

        def plain(flags):
            return {f for f in flags if f != b"\\Recent"}
        return {u: plain(f) for u, f in self.flags.items()} == {u: plain(f) for u, f in truth.items()}


def test_a_client_that_was_away_misses_nothing(imapd, user, capsys):
    """I5: caches of different ages resynchronise to what the server has, also over an index made anew."""
    rng = random.Random(7162)
    with imap.Client(imapd, user) as writer, imap.Client(imapd, user) as reader:
        reader.ok("ENABLE QRESYNC")
        filled(writer, 12)
        caches = []
        highest = missed = regress = 0
        for turn in range(30):
            uids = writer.search("ALL", uid=True)
            what = rng.random()
            if what < 0.3 or len(uids) < 4:
                writer.append("INBOX", message(f"turn {turn}"))
                writer.ok("NOOP")
            elif what < 0.6:
                expunge(writer, *rng.sample(uids, rng.randrange(1, 4)))
            else:
                flag = rng.choice(("\\Seen", "\\Flagged", "$work"))
                writer.ok(f"UID STORE {rng.choice(uids)} {rng.choice('+-')}FLAGS ({flag})")
            if turn == 20:
                imapd.postroom("index", "rebuild", imapd.address(user))
            if turn % 5 == 0:
                reply = reader.ok("SELECT INBOX")
                caches.append(Cache(reply))
                caches[-1].take(reader, reply)
            cache = rng.choice(caches)
            reply = reader.ok(f"SELECT INBOX (QRESYNC ({cache.validity} {cache.modseq}))")
            regress += code(reply, "HIGHESTMODSEQ") < highest
            highest = code(reply, "HIGHESTMODSEQ")
            cache.take(reader, reply)
            missed += not cache.is_right(reader)
        for cache in caches:
            cache.take(reader, reader.ok(f"SELECT INBOX (QRESYNC ({cache.validity} {cache.modseq}))"))
            missed += not cache.is_right(reader)
    with capsys.disabled():
        print(f"\nI5 missed_changes={missed} modseq_regress={regress}")
    assert (missed, regress) == (0, 0)


def test_a_modseq_from_the_future_is_answered_in_full(client):
    reply = filled(client, 4)
    validity, modseq = code(reply, "UIDVALIDITY"), code(reply, "HIGHESTMODSEQ")
    expunge(client, 2)
    client.ok("ENABLE QRESYNC")
    reply = client.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq + (1 << 40)}))")
    assert vanished(reply, earlier=True) == {2} and len(reply.fetched()) == 3


def test_an_annotation_raises_the_modseq_of_its_mailbox(client):
    """§3.2: a client that compares HIGHESTMODSEQs sees that something is new."""
    reply = filled(client, 2)
    validity, modseq = code(reply, "UIDVALIDITY"), code(reply, "HIGHESTMODSEQ")
    client.ok("ENABLE QRESYNC")
    client.ok('SETMETADATA INBOX (/private/comment "new")')
    reply = client.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq}))")
    assert code(reply, "HIGHESTMODSEQ") > modseq and not reply.all("VANISHED") and not reply.fetched()
    now = code(reply, "HIGHESTMODSEQ")
    client.ok("CREATE other")
    client.ok('SETMETADATA other (/private/comment "new")')
    assert code(client.ok("SELECT INBOX"), "HIGHESTMODSEQ") == now
    expunge(client, 1)
    assert vanished(client.ok(f"SELECT INBOX (QRESYNC ({validity} {now}))"), earlier=True) == {1}


def test_the_answer_grows_with_the_changes_only(client):
    """A thousand removals are one range."""
    reply = filled(client, 60)
    validity, modseq = code(reply, "UIDVALIDITY"), code(reply, "HIGHESTMODSEQ")
    client.ok("UID STORE 11:50 +FLAGS.SILENT (\\Deleted)")
    client.ok("EXPUNGE")
    client.ok("ENABLE QRESYNC")
    reply = client.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq}))")
    assert reply.all("VANISHED") == [b"(EARLIER) 11:50"] and not reply.fetched()


def test_a_thousand_removals_and_long_sets(client):
    """What a client says that keeps every other one of two thousand messages: sets of some forty thousand octets."""
    client.append("INBOX", message("x"))
    have = 1
    client.ok("SELECT INBOX")
    while have < 2000:
        client.ok("NOOP")
        client.ok(f"COPY 1:{min(have, 2000 - have)} INBOX")
        have += min(have, 2000 - have)
    reply = client.ok("SELECT INBOX")
    validity, modseq = code(reply, "UIDVALIDITY"), code(reply, "HIGHESTMODSEQ")
    odd = range(1, 2001, 2)
    for start in range(0, 1000, 250):
        client.ok(f"UID STORE {','.join(map(str, odd[start:start + 250]))} +FLAGS.SILENT (\\Deleted)")
    client.ok("EXPUNGE")
    client.ok("ENABLE QRESYNC")
    reply = client.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq}))")
    assert vanished(reply, earlier=True) == set(odd) and not reply.fetched() and reply.count("EXISTS") == 1000
    known = ",".join(str(uid) for uid in range(1, 2001) if uid % 7)
    numbers = ",".join(str(n) for n in range(1, 1001))
    uids = ",".join(str(uid) for uid in range(2, 2001, 2))
    reply = client.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq} {known}))")
    assert vanished(reply, earlier=True) == {uid for uid in odd if uid % 7}
    reply = client.ok(f"SELECT INBOX (QRESYNC ({validity} 1 {known} ({numbers} {uids})))")
    assert not vanished(reply, earlier=True)
    assert len(client.ok(f"UID FETCH {known} (FLAGS)").fetched()) == sum(uid % 7 > 0 for uid in range(2, 2001, 2))


def test_idle_and_move_tell_vanished(imapd, user):
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        filled(a, 3)
        b.ok("ENABLE QRESYNC")
        b.ok("SELECT INBOX")
        reply = b.ok("MOVE 2 Trash")
        assert vanished(reply) == {2} and not reply.numbers("EXPUNGE")
        b.send("i IDLE\r\n")
        assert b.response().startswith(b"+ ")
        expunge(a, 1)
        told = b.response()
        while b" FETCH " in told:               # \\Deleted, if that was seen first
            told = b.response()
        assert told == b"* VANISHED 1"
        b.send("DONE\r\n")
        assert b.collect("i").status == "OK"
