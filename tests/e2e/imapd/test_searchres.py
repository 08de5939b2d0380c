"""SEARCHRES (RFC 5182), WITHIN (RFC 5032), PARTIAL (RFC 9394): their example dialogues and their corners."""

import time

import pytest

import imap
from postroom import message


@pytest.fixture
def six(box):
    """Six messages, from two senders, in INBOX."""
    for n in range(1, 7):
        box.append("INBOX", message(f"number {n}", sender="smith@x" if n % 2 else "fred@x"), "(\\Flagged)" if n > 2 else "")
    box.ok("NOOP")
    return box


def esearch(box, line):
    """What stands behind the correlator of the one ESEARCH response, None when there is none."""
    reply = box.ok(line)
    texts = reply.all("ESEARCH")
    assert len(texts) < 2 and not reply.all("SEARCH")
    if not texts:
        return None
    start = f'(TAG "t{box.tag}")'.encode()
    assert texts[0].startswith(start)
    return texts[0][len(start):].decode()


def saved(box):
    return box.search("$")


def test_rfc5182_examples_1_to_4(six):
    assert esearch(six, "SEARCH RETURN (SAVE) FLAGGED SINCE 1-Feb-1994 NOT FROM smith") is None
    assert list(six.fetch("$", "(UID INTERNALDATE FLAGS)")) == [4, 6]
    assert list(six.fetch("$", "(FLAGS)", uid=True)) == [4, 6]
    # pipelined
    six.send("A282 SEARCH RETURN (SAVE) FROM smith\r\nA283 FETCH $ (UID)\r\n")
    assert six.collect("A282").status == "OK"
    assert list(six.collect("A283").fetched()) == [1, 3, 5]
    assert six.search("UID $ LARGER 10", uid=True) == six.search("$ LARGER 10", uid=True) == [1, 3, 5]
    assert six.search('CHARSET UTF-8 (OR $ 1,2:4) TEXT number') == [1, 2, 3, 4, 5]
    assert six.search("NOT $") == [2, 4, 6]


def test_rfc5182_example_5_a_failed_search_empties_it(six):
    six.ok("SEARCH RETURN (SAVE) FROM smith")
    assert six.no("SEARCH CHARSET X-NONSENSE (OR $ 1) TEXT x").code().startswith("BADCHARSET")
    assert saved(six) == [1, 3, 5]              # it was not to be saved
    six.bad("SEARCH RETURN (SAVE) NONSENSE")
    assert saved(six) == [1, 3, 5]
    six.no("SEARCH RETURN (SAVE) CHARSET X-NONSENSE (OR $ 1) TEXT x")
    assert saved(six) == []


def test_rfc5182_example_6_and_7_nothing_is_no_error(six):
    six.ok("CREATE Other")
    six.send('E282 SEARCH RETURN (SAVE) FROM nobody\r\nE283 COPY $ Other\r\n')
    assert six.collect("E282").status == "OK" and six.collect("E283").status == "OK"
    for line in ("FETCH $ FLAGS", "STORE $ +FLAGS (\\Seen)", "UID COPY $ Other", "UID EXPUNGE $", "MOVE $ Other"):
        six.ok(line)
    six.ok("SEARCH RETURN (SAVE) FROM smith")
    six.ok("COPY $ Other")
    six.ok("STORE $ +FLAGS.SILENT (\\Deleted)")
    assert six.ok('STATUS Other (MESSAGES)').all("STATUS") == [b"Other (MESSAGES 3)"]
    assert six.search("DELETED") == [1, 3, 5]


def test_rfc5182_examples_9_and_10(six):
    six.ok("SEARCH RETURN (SAVE) FROM fred")
    six.ok("SEARCH RETURN (SAVE) FROM smith")
    assert saved(six) == [1, 3, 5]
    assert esearch(six, "SEARCH RETURN (ALL) FLAGGED") == " ALL 3:6"
    assert saved(six) == [1, 3, 5]
    for returns, told, want in (("ALL SAVE", " ALL 3:6", [3, 4, 5, 6]), ("SAVE MIN", " MIN 3", [3]), ("SAVE MAX", " MAX 6", [6]),
                                ("MAX SAVE MIN", " MIN 3 MAX 6", [3, 6]), ("MAX SAVE MIN COUNT", " MIN 3 MAX 6 COUNT 4", [3, 4, 5, 6]),
                                ("ALL SAVE MIN", " MIN 3 ALL 3:6", [3, 4, 5, 6]), ("COUNT SAVE", " COUNT 4", [3, 4, 5, 6])):
        assert esearch(six, f"SEARCH RETURN ({returns}) FLAGGED") == told
        assert saved(six) == want, returns
    assert esearch(six, "UID SEARCH RETURN (SAVE MIN) FROM nobody") == " UID" and saved(six) == []


def test_the_saved_result_follows_the_mailbox(six):
    six.ok("SEARCH RETURN (SAVE) ALL")
    six.ok("STORE 2,4 +FLAGS.SILENT (\\Deleted)")
    six.ok("EXPUNGE")
    assert list(six.fetch("$", "UID")) == [1, 2, 3, 4]
    six.append("INBOX", message("new"))
    six.ok("NOOP")
    assert saved(six) == [1, 2, 3, 4]
    six.ok("SELECT INBOX")
    assert saved(six) == []
    six.bad("FETCH $,1 FLAGS")
    six.bad("FETCH $:* FLAGS")


def test_rfc5032(box):
    now = int(time.time())
    for age in (10, 1000, 100000):
        when = time.strftime('"%d-%b-%Y %H:%M:%S +0000"', time.gmtime(now - age))
        box.append("INBOX", message("x"), when)
    box.ok("NOOP")
    # RFC 5032 §4's example, and both ends
    assert box.search("UNSEEN YOUNGER 259200") == [1, 2, 3]
    assert box.search("YOUNGER 900") == [1] and box.search("OLDER 900") == [2, 3]
    assert box.search("OLDER 1 NOT YOUNGER 50000") == [3] and box.search("OLDER 4294967295") == []
    for wrong in ("OLDER", "OLDER 0", "YOUNGER x", "YOUNGER -1", "OLDER 4294967296"):
        box.bad(f"SEARCH {wrong}")


def test_rfc9394_search(six):
    assert esearch(six, "UID SEARCH RETURN (PARTIAL -1:-2) UNDELETED UNKEYWORD $Junk") == " UID PARTIAL (-1:-2 5:6)"
    assert esearch(six, "UID SEARCH RETURN (PARTIAL 4:9) UNDELETED") == " UID PARTIAL (4:9 4:6)"
    assert esearch(six, "UID SEARCH RETURN (PARTIAL 1:2) UNDELETED") == " UID PARTIAL (1:2 1:2)"
    assert esearch(six, "UID SEARCH RETURN (PARTIAL 7:9) UNDELETED") == " UID PARTIAL (7:9 NIL)"
    assert esearch(six, "SEARCH RETURN (PARTIAL 3:2 COUNT MIN) FROM smith") == " MIN 1 PARTIAL (3:2 3,5) COUNT 3"
    assert esearch(six, "SEARCH RETURN (PARTIAL -9:-2) FROM smith") == " PARTIAL (-9:-2 1,3)"
    for wrong in ("PARTIAL", "PARTIAL 1", "PARTIAL 0:1", "PARTIAL 1:-1", "PARTIAL 1:*", "PARTIAL 1:2 ALL", "PARTIAL 1:2 PARTIAL 1:2",
                  "PARTIAL 1:2:3", "PARTIAL :", "PARTIAL 1:4294967296"):
        six.bad(f"SEARCH RETURN ({wrong}) ALL")


def test_ranges_of_a_large_result(box):
    """Only as much is looked for as was asked for, from either end; the answer is the same."""
    for n in range(5):
        box.append("INBOX", message(f"n {n}", body="needle\r\n" if n % 2 else "hay\r\n"))
    have = 5
    while have < 2600:
        box.ok("NOOP")
        box.ok(f"COPY 1:{min(have, 2600 - have)} INBOX")
        have += min(have, 2600 - have)
    box.ok("NOOP")
    box.ok("STORE 3:40,1001:1003,2000,2590 +FLAGS.SILENT (\\Flagged)")
    for keys in ("FLAGGED", "BODY needle", "SUBJECT \"n 3\"", "FLAGGED BODY needle", "1500:* UNFLAGGED", "ALL", "KEYWORD none"):
        everything = box.search(keys)
        for first, last in ((1, 3), (1, 100), (30, 50), (41, 45), (900, 1100), (2599, 3000)):
            for sign in (1, -1):
                want = everything[first - 1:last] if sign > 0 else everything[::-1][first - 1:last][::-1]
                got = esearch(box, f"SEARCH RETURN (PARTIAL {sign * first}:{sign * last}) {keys}")
                text = got.split(" ")[3][:-1]
                numbers = [] if text == "NIL" else [n for part in text.split(",") for n in
                                                    range(int(part.split(":")[0]), int(part.split(":")[-1]) + 1)]
                assert numbers == want, (keys, first, last, sign)


def test_rfc9394_table_1(six):
    for returns, want in (("SAVE PARTIAL 1:2", [3, 4]), ("SAVE PARTIAL 2:3 MIN", [3, 4, 5]), ("PARTIAL 1:2 SAVE MAX", [3, 4, 6]),
                          ("MIN MAX SAVE PARTIAL -2:-2", [3, 5, 6]), ("SAVE PARTIAL 1:1 COUNT", [3, 4, 5, 6])):
        six.ok(f"SEARCH RETURN ({returns}) FLAGGED")
        assert saved(six) == want, returns


def test_rfc9394_fetch(six):
    six.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    six.ok("EXPUNGE")

    def uids(line):
        return [items["UID"] for items in six.ok(line).fetched().values()]
    assert uids("UID FETCH 1:100 (UID FLAGS) (PARTIAL -1:-3)") == [4, 5, 6]
    assert uids("UID FETCH 1:100 (UID FLAGS) (PARTIAL 1:2)") == [2, 3]
    assert uids("UID FETCH 3:100 (UID FLAGS) (PARTIAL 2:2)") == [4]
    assert uids("UID FETCH 1:100 (UID FLAGS) (PARTIAL 9:12)") == []
    modseq = six.fetch("1:*", "MODSEQ")[5]["MODSEQ"][0]
    six.ok("UID STORE 3,6 +FLAGS.SILENT (\\Seen)")
    for modifiers in (f"PARTIAL -1:-3 CHANGEDSINCE {modseq}", f"CHANGEDSINCE {modseq} PARTIAL -1:-3"):
        assert uids(f"UID FETCH 1:100 (UID FLAGS) ({modifiers})") == [6]
    six.bad("FETCH 1:2 (FLAGS) (PARTIAL 1:2)")
    six.bad("UID FETCH 1:2 (FLAGS) (PARTIAL 1:2 PARTIAL 1:2)")
    six.bad("UID FETCH 1:2 (FLAGS) (PARTIAL)")


def test_capabilities_take_their_words_along(imapd):
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off SEARCHRES WITHIN PARTIAL\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            c.ok("SELECT INBOX")
            for line in ("SEARCH $", "SEARCH RETURN (SAVE) ALL", "SEARCH OLDER 5", "SEARCH RETURN (PARTIAL 1:2) ALL", "FETCH $ FLAGS"):
                c.bad(line)
