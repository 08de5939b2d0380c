"""CONDSTORE (RFC 7162 §3.1): its numbered example dialogues. Those of QRESYNC are in test_qresync.py."""

import pytest

import imap
from postroom import message


@pytest.fixture
def pair(imapd, user):
    """Two sessions in an INBOX of nine messages; the first one thinks in MODSEQs."""
    with imap.Client(imapd, user) as a, imap.Client(imapd, user) as b:
        for n in range(9):
            a.append("INBOX", message(f"n {n}"))
        a.ok("SELECT INBOX (CONDSTORE)")
        b.ok("SELECT INBOX")
        yield a, b


def highest(client):
    return max(items["MODSEQ"][0] for items in client.fetch("1:*", "MODSEQ").values())


def modified(reply):
    return reply.code()[len("MODIFIED "):] if (reply.code() or "").startswith("MODIFIED ") else None


def test_examples_1_and_18_select(pair):
    a, _ = pair
    for parameters in ("", " (CONDSTORE)"):
        reply = a.ok("SELECT INBOX" + parameters)
        text = b"\n".join(reply.untagged)
        assert b"* OK [HIGHESTMODSEQ " in text and b"NOMODSEQ" not in text


def test_examples_3_and_4_conditional_stores_that_pass(pair):
    a, _ = pair
    known = highest(a)
    reply = a.ok(f"UID STORE 6,4,8 (UNCHANGEDSINCE {known}) +FLAGS.SILENT (\\Deleted)")
    got = reply.fetched()
    assert {seq: set(items) for seq, items in got.items()} == {n: {"UID", "MODSEQ"} for n in (4, 6, 8)} and not reply.code()
    assert all(items["MODSEQ"][0] > known for items in got.values())
    got = a.ok(f"STORE * (UNCHANGEDSINCE {known}) +FLAGS.SILENT (\\Deleted $Processed)").fetched()
    assert list(got) == [9] and got[9]["MODSEQ"][0] > known


def test_example_5_the_first_enabling_command(imapd, user):
    """HIGHESTMODSEQ was told with SELECT already, so there is nothing to add (§3.1)."""
    with imap.Client(imapd, user) as c:
        c.append("INBOX", message("x"))
        known = [u for u in c.ok("SELECT INBOX").untagged if b"HIGHESTMODSEQ" in u]
        assert len(known) == 1
        value = int(known[0].split(b"]")[0].split()[-1])
        assert c.ok(f"STORE 1 (UNCHANGEDSINCE {value}) -FLAGS.SILENT (\\Deleted)").fetched()[1]["MODSEQ"][0] >= value
        assert "MODSEQ" in c.ok("STORE 1 +FLAGS (\\Seen)").fetched()[1]


def test_examples_6_and_7_some_fail(pair):
    a, b = pair
    known = highest(a)
    b.ok("STORE 7 +FLAGS.SILENT (\\Deleted)")
    b.ok("STORE 9 +FLAGS.SILENT (\\Answered)")
    reply = a.ok(f"STORE 7,5,9 (UNCHANGEDSINCE {known}) +FLAGS.SILENT (\\Flagged)")
    got = reply.fetched()
    assert modified(reply) == "7,9" and "FLAGS" not in got[5]
    # The client is told why.
    assert b"\\Deleted" in got[7]["FLAGS"] and b"\\Answered" in got[9]["FLAGS"] and got[7]["MODSEQ"][0] > known
    assert b"\\Flagged" not in got[7]["FLAGS"]


def test_example_8_never_since_0(pair):
    a, _ = pair
    assert modified(a.ok("STORE 5 (UNCHANGEDSINCE 0) +FLAGS.SILENT ($MDNSent)")) == "5"
    assert b"$MDNSent" not in a.fetch("5", "FLAGS")[5]["FLAGS"]


def test_examples_9_and_10_and_the_retry(pair):
    a, b = pair
    known = highest(a)
    b.ok("STORE 2 +FLAGS.SILENT ($Processed \\Deleted)")
    reply = a.ok(f"STORE 1:5 (UNCHANGEDSINCE {known}) +FLAGS.SILENT ($Processed)")
    got = reply.fetched()
    assert modified(reply) == "2" and b"$Processed" in got[2]["FLAGS"] and set(got) == {1, 2, 3, 4, 5}
    again = a.ok(f"STORE 2 (UNCHANGEDSINCE {got[2]['MODSEQ'][0]}) +FLAGS.SILENT (\\Answered)")
    assert not again.code() and again.fetched()[2]["MODSEQ"][0] > got[2]["MODSEQ"][0]


def test_example_11_with_messages_that_are_gone(pair):
    a, b = pair
    known = highest(a)
    b.ok("STORE 2 +FLAGS.SILENT (\\Deleted \\Answered)")
    b.ok("STORE 4:7 +FLAGS.SILENT (\\Deleted)")
    b.ok("UID EXPUNGE 4:7")
    reply = a.cmd(f"STORE 1:7 (UNCHANGEDSINCE {known}) +FLAGS (\\Seen)")
    assert modified(reply) == "2" and {1, 3} <= set(reply.fetched()) and not reply.numbers("EXPUNGE")
    assert sorted(a.ok("NOOP").numbers("EXPUNGE")) in ([4, 4, 4, 4], [4, 5, 6, 7])
    now = a.fetch("2", "MODSEQ")[2]["MODSEQ"][0]
    reply = a.ok(f"STORE 2 (UNCHANGEDSINCE {now}) +FLAGS (\\Seen)")
    assert not reply.code() and b"\\Seen" in reply.fetched()[2]["FLAGS"]
    # A message that is named twice does not fail by its own change.
    assert not a.ok(f"STORE 3,1:5 (UNCHANGEDSINCE {highest(a)}) +FLAGS.SILENT (\\Flagged)").code()


def test_examples_12_and_13_fetch(pair):
    a, b = pair
    known = highest(a)
    b.ok("STORE 4 +FLAGS (\\Seen)")
    b.ok("STORE 6 +FLAGS (\\Deleted)")
    got = a.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known})").fetched()
    assert {seq: set(items) for seq, items in got.items()} == {n: {"UID", "FLAGS", "MODSEQ"} for n in (4, 6)}
    assert set(a.fetch("1:3", "(MODSEQ)")[2]) == {"MODSEQ"}


def test_example_14_three_sessions(imapd, user, pair):
    a, b = pair
    with imap.Client(imapd, user) as c:
        c.ok("SELECT INBOX")
        assert set(a.ok("STORE 7 +FLAGS.SILENT (\\Deleted)").fetched()[7]) >= {"MODSEQ"}
        assert set(b.ok("NOOP").fetched()[7]["FLAGS"]) - {b"\\Recent"} == {b"\\Deleted"}
        assert b"\\Deleted" in c.ok("NOOP").fetched()[7]["FLAGS"]
        a.ok("STORE 7 +FLAGS.SILENT (\\Seen)")
        assert {b"\\Deleted", b"\\Seen"} <= set(b.ok("NOOP").fetched()[7]["FLAGS"])
        assert not a.ok("NOOP").untagged
        a.ok("STORE 7 -FLAGS.SILENT (\\Seen)")
        assert set(c.ok("NOOP").fetched()[7]["FLAGS"]) - {b"\\Recent"} == {b"\\Deleted"}


def test_examples_15_and_16_search(pair):
    a, _ = pair
    known = highest(a)
    a.ok("STORE 2,5 +FLAGS (\\Draft)")
    reply = a.ok(f'SEARCH MODSEQ "/flags/\\\\draft" all {known + 1}')
    assert reply.all("SEARCH") == [f"2 5 (MODSEQ {highest(a)})".encode()]
    assert a.ok(f"SEARCH OR NOT MODSEQ 1 LARGER 50000").all("SEARCH") == [b""]


def test_example_17_status(pair):
    a, _ = pair
    text = a.ok("STATUS INBOX (UIDNEXT MESSAGES HIGHESTMODSEQ)").all("STATUS")[0].decode()
    assert f"HIGHESTMODSEQ {highest(a)}" in text and "MESSAGES 9" in text and "UIDNEXT 10" in text


def test_examples_19_and_20_esearch_and_esort(pair):
    a, _ = pair
    known = highest(a)
    a.ok("STORE 1:3,5 +FLAGS (\\Seen)")
    top = highest(a)
    reply = a.ok(f"SEARCH RETURN (ALL) MODSEQ {known + 1}")
    assert reply.all("ESEARCH") == [f'(TAG "t{a.tag}") ALL 1:3,5 MODSEQ {top}'.encode()]
    reply = a.ok(f"SORT RETURN (ALL) (REVERSE ARRIVAL) UTF-8 MODSEQ {known + 1}")
    assert reply.all("ESEARCH")[0].endswith(f" MODSEQ {top}".encode())
    assert a.ok(f"SORT (DATE) UTF-8 MODSEQ {known + 1}").all("SORT")[0].endswith(f" (MODSEQ {top})".encode())
