"""STORE, COPY, MOVE, EXPUNGE: RFC 3501 §6.4.3-§6.4.8, RFC 4315, RFC 6851, RFC 7162."""

import imap
from postroom import message


def fill(box, count, mailbox="INBOX"):
    uids = [box.append(mailbox, message(f"m{n}"))[1] for n in range(count)]
    box.ok("NOOP")
    return uids


def test_all_forms_of_store(box):
    fill(box, 2)
    got = box.ok("STORE 1:2 FLAGS (\\Seen \\Deleted)").fetched()
    assert {n: set(v["FLAGS"]) - {b"\\Recent"} for n, v in got.items()} == {1: {b"\\Seen", b"\\Deleted"}, 2: {b"\\Seen", b"\\Deleted"}}
    got = box.ok("STORE 1 +FLAGS (\\Flagged)").fetched()
    assert set(got[1]["FLAGS"]) - {b"\\Recent"} == {b"\\Seen", b"\\Deleted", b"\\Flagged"}
    got = box.ok("STORE 1 -FLAGS \\Deleted \\Seen").fetched()
    assert set(got[1]["FLAGS"]) - {b"\\Recent"} == {b"\\Flagged"}
    for form in ("FLAGS.SILENT", "+FLAGS.SILENT", "-FLAGS.SILENT"):
        assert not box.ok(f"STORE 2 {form} (\\Draft)").untagged
    assert box.flags("2")[2] - {"\\Recent"} == set()
    box.ok("STORE 1 FLAGS ()")
    assert box.flags("1")[1] - {"\\Recent"} == set()
    assert not box.ok("NOOP").untagged
    for wrong in ("STORE 1 FLAGS", "STORE 1 FLAGS (\\Nonsense)", "STORE 1 XFLAGS (\\Seen)", "STORE 1", "STORE x FLAGS ()",
                  "STORE 1 FLAGS (\\Seen) x", "STORE 3 FLAGS (\\Seen)", "STORE 1 FLAGS.LOUD ()"):
        box.bad(wrong)


def test_keywords_are_made_and_told(box):
    fill(box, 1)
    reply = box.ok("STORE 1 +FLAGS ($label1 NonJunk)")
    text = b"\n".join(reply.untagged)
    assert b"* FLAGS (" in text and b"$label1" in text and b"[PERMANENTFLAGS (" in text
    assert box.flags("1")[1] - {"\\Recent"} == {"$label1", "NonJunk"}
    box.ok("STORE 1 -FLAGS (NONJUNK)")
    assert box.flags("1")[1] - {"\\Recent"} == {"$label1"}
    assert b"$label1" in b"\n".join(box.ok("SELECT INBOX").untagged)
    for n in range(99):
        box.ok(f"STORE 1 +FLAGS.SILENT (kw{n})")
    assert len(box.flags("1")[1] - {"\\Recent"}) == 100
    box.no("STORE 1 +FLAGS (" + "x" * 65 + ")")


def test_recent_cannot_be_stored(box):
    fill(box, 1)
    box.ok("STORE 1 FLAGS (\\Recent \\Seen)")
    assert "\\Seen" in box.flags("1")[1]


def test_store_and_copy_of_nothing_is_fine(box):
    """A NO makes clients try for ever."""
    uid = fill(box, 1)[0]
    box.ok("CREATE to")
    for line in (f"UID STORE {uid + 5} +FLAGS (\\Seen)", f"UID COPY {uid + 5} to", f"UID MOVE {uid + 5}:{uid + 9} to",
                 f"UID EXPUNGE {uid + 5}"):
        assert box.ok(line).code() is None


def test_unchangedsince_leaves_out_what_changed_and_names_it(box):
    fill(box, 3)
    modseq = {n: v["MODSEQ"][0] for n, v in box.fetch("1:*", "MODSEQ").items()}
    box.ok("STORE 2 +FLAGS.SILENT (\\Flagged)")
    top = max(modseq.values())
    reply = box.ok(f"STORE 1:3 (UNCHANGEDSINCE {top}) +FLAGS (\\Answered)")
    assert reply.code() == "MODIFIED 2"
    got = reply.fetched()
    assert set(got) == {1, 3} and all("MODSEQ" in v for v in got.values())
    assert "\\Answered" not in box.flags("2")[2]
    uid2 = box.fetch("2", "UID")[2]["UID"]
    reply = box.ok(f"UID STORE {uid2} (UNCHANGEDSINCE 1) +FLAGS.SILENT (\\Answered)")
    assert reply.code() == f"MODIFIED {uid2}"
    got = box.ok("STORE 2 +FLAGS.SILENT (\\Answered)").fetched()      # RFC 7162 §3.1.3: MODSEQ is told even so
    assert set(got[2]) == {"UID", "MODSEQ"}


def test_expunge_and_uid_expunge(box):
    uids = fill(box, 6)
    box.ok("STORE 2,4,5 +FLAGS.SILENT (\\Deleted)")
    reply = box.ok(f"UID EXPUNGE {uids[3]}")
    assert reply.numbers("EXPUNGE") == [4]
    reply = box.ok("EXPUNGE")
    left = list(range(1, 6))
    for n in reply.numbers("EXPUNGE"):
        del left[n - 1]
    assert [v["UID"] for v in box.fetch("1:*", "UID").values()] == [uids[0], uids[2], uids[5]]
    assert not box.ok("EXPUNGE").untagged
    box.bad("EXPUNGE 1")
    box.bad("UID EXPUNGE")


def test_copy_keeps_everything(box):
    uids = [box.append("INBOX", message(f"m{n}"), '(\\Seen kw) "01-Feb-2003 04:05:06 +0000"')[1] for n in range(4)]
    box.ok("NOOP")
    box.ok("CREATE to")
    assert box.no("COPY 1 nowhere").code() == "TRYCREATE"
    reply = box.ok("COPY 3,1:2 to")
    word, validity, source, target = reply.code().split()
    assert word == "COPYUID" and source == f"{uids[0]}:{uids[2]}"
    before = box.fetch("1", "(BODY.PEEK[] INTERNALDATE FLAGS)")[1]
    reply = box.ok("SELECT to")
    assert f"[UIDVALIDITY {validity}]".encode() in b"\n".join(reply.untagged) and reply.count("EXISTS") == 3
    after = box.fetch("1", "(UID BODY.PEEK[] INTERNALDATE FLAGS)")[1]
    assert after["UID"] == int(target.split(":")[0])
    assert after["BODY[]"] == before["BODY[]"] and after["INTERNALDATE"] == b" 1-Feb-2003 04:05:06 +0000"
    assert set(after["FLAGS"]) - {b"\\Recent"} == set(before["FLAGS"]) - {b"\\Recent"} == {b"\\Seen", b"kw"}


def test_copy_into_the_same_mailbox(box):
    fill(box, 2)
    reply = box.ok("COPY 1:2 INBOX")
    assert reply.code().startswith("COPYUID ")
    assert reply.count("EXISTS") == 4


def test_move(box):
    uids = fill(box, 5)
    box.ok("CREATE to")
    assert box.no("MOVE 1 nowhere").code() == "TRYCREATE"
    reply = box.ok("MOVE 2,4 to")
    # RFC 6851 §4.3: COPYUID before the EXPUNGEs
    codes = [n for n, u in enumerate(reply.untagged) if b"[COPYUID " in u]
    expunges = [n for n, u in enumerate(reply.untagged) if u.endswith(b"EXPUNGE")]
    assert len(codes) == 1 and len(expunges) == 2 and codes[0] < expunges[0]
    assert f" {uids[1]},{uids[3]} ".encode() in reply.untagged[codes[0]]
    assert [v["UID"] for v in box.fetch("1:*", "UID").values()] == [uids[0], uids[2], uids[4]]
    reply = box.ok(f"UID MOVE {uids[0]} to")
    assert reply.numbers("EXPUNGE") == [1]
    assert box.ok("SELECT to").count("EXISTS") == 3


def test_a_set_of_64_kib(box):
    """Outlook sends lists of UIDs as long as it likes."""
    uids = fill(box, 3)
    numbers = [str(n) for n in range(uids[0], uids[0] + 40000, 2)]
    text = ""
    for n in numbers:
        if len(text) + len(n) + 1 > 64500:
            break
        text += ("," if text else "") + n
    assert len(text) > 60000
    got = box.ok(f"UID FETCH {text} (FLAGS)").fetched()
    assert list(got) == [n + 1 for n, uid in enumerate(uids) if str(uid) in numbers]
    box.bad(f"UID FETCH {text},{text} (FLAGS)")
    box.ok("NOOP")


def test_a_large_mailbox_is_worked_on_in_chunks(imapd, user):
    """More messages than one transaction takes: STORE, COPY, MOVE and EXPUNGE of all of them."""
    with imap.Client(imapd, user) as c:
        c.append("INBOX", message("seed"))
        c.ok("SELECT INBOX")
        for _ in range(10):
            c.ok("COPY 1:* INBOX")
            c.ok("NOOP")
        count = 1024
        assert len(c.fetch("1:*", "(UID FLAGS)")) == count
        got = c.ok("STORE 1:* +FLAGS (\\Flagged)").fetched()
        assert len(got) == count
        assert not c.ok("NOOP").untagged
        c.ok("CREATE to")
        reply = c.ok("MOVE 1:1000 to")
        assert len(reply.numbers("EXPUNGE")) == 1000
        assert c.search("ALL") == list(range(1, 25))
        c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
        assert len(c.ok("EXPUNGE").numbers("EXPUNGE")) == 24
        assert c.ok("SELECT to").count("EXISTS") == 1000
        assert len(c.search("FLAGGED")) == 1000
