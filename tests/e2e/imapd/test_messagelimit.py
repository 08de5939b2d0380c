"""MESSAGELIMIT and SAVELIMIT (RFC 9738): the example dialogues with a limit of 1000 in a mailbox of 1300."""

import pytest

import imap
from postroom import message

CONF = "imap-message-limit 1000\n"


def fill(client, count):
    client.ok("SELECT INBOX")
    client.append("INBOX", message("x"))
    have = 1
    while have < count:
        client.ok("NOOP")
        client.ok(f"COPY 1:{min(have, count - have)} INBOX")
        have += min(have, count - have)
    client.ok("NOOP")


@pytest.fixture(scope="module")
def big():
    with imap.Imapd(accounts=("alice",), conf=CONF) as server:
        server.start()
        with imap.Client(server, "alice") as client:
            fill(client, 1300)
            yield client


def test_capabilities_tell_the_limit(big):
    words = big.ok("CAPABILITY").all("CAPABILITY")[0].split()
    assert b"MESSAGELIMIT=1000" in words and b"SAVELIMIT=1000" in words


def test_fetch_and_search_stop_at_the_limit_and_say_where(big):
    reply = big.ok("FETCH 1:1300 (UID FLAGS)")
    assert reply.code() == "MESSAGELIMIT 1000 301" and list(reply.fetched()) == list(range(301, 1301))
    assert big.ok("UID FETCH 1:1000 (FLAGS)").code() is None
    reply = big.ok("UID SEARCH UID 100:1200 UNDELETED")
    assert reply.code() == "MESSAGELIMIT 1000 201" and len(reply.all("SEARCH")[0].split()) == 1000
    assert big.ok("SEARCH 1:1000 UNDELETED").code() is None
    assert big.no("UID FETCH 1:* (UID FLAGS MODSEQ) (PARTIAL -1:-1500)").code() == "MESSAGELIMIT 1000"
    reply = big.ok("UID FETCH 1:* (UID FLAGS) (PARTIAL -1:-3)")
    assert reply.code() is None and list(reply.fetched()) == [1298, 1299, 1300]
    reply = big.ok("UID SEARCH RETURN (SAVE) UNDELETED")
    assert reply.code() == "MESSAGELIMIT 1000 301"
    assert len(big.search("$", uid=True)) == 1000
    assert big.search("UIDAFTER 1298", uid=True) == [1299, 1300]
    assert big.search("UIDBEFORE 3 NOT UIDBEFORE 2") == [2] and big.search("UIDBEFORE 1") == []
    big.ok("UID SEARCH RETURN (SAVE) UIDAFTER 1200")
    assert len(big.search("$")) == 100
    for wrong in ("UIDAFTER", "UIDAFTER 0", "UIDBEFORE x", "UIDBEFORE 1:2"):
        big.bad(f"SEARCH {wrong}")


def test_copy_is_all_or_nothing(big):
    assert big.no("UID COPY 100:1299 Trash").code() == "MESSAGELIMIT 1000 300"
    assert big.ok("STATUS Trash (MESSAGES)").all("STATUS") == [b"Trash (MESSAGES 0)"]


def test_store_move_and_expunge(big):
    reply = big.ok("UID STORE 1:1300 +FLAGS (\\Seen)")
    assert reply.code() == "MESSAGELIMIT 1000 301" and len(reply.fetched()) == 1000
    assert len(big.search("SEEN 301:*")) == 1000 and big.search("SEEN 1:300") == []
    reply = big.ok("UID STORE 1:1300 (UNCHANGEDSINCE 1) +FLAGS (\\Flagged)")
    assert reply.code().startswith("MODIFIED ") and b"* NO [MESSAGELIMIT 1000 301] " in b"\n".join(reply.untagged) + b" "
    for piece in ("1:700", "701:1100"):
        big.ok(f"UID STORE {piece} +FLAGS.SILENT (\\Deleted)")
    big.ok("ENABLE QRESYNC")
    reply = big.ok("UID EXPUNGE 1:1300")
    assert any(u.startswith(b"* NO [MESSAGELIMIT 1000 101]") for u in reply.untagged)
    assert reply.all("VANISHED") == [b"101:1100"]
    assert big.ok("UID EXPUNGE 1:1300").all("VANISHED") == [b"1:100"]
    fill(big, 1000)
    reply = big.ok("MOVE 1:* Trash")
    assert reply.code().startswith("MESSAGELIMIT 1000 ") or any(b"[MESSAGELIMIT 1000 " in u for u in reply.untagged)
    assert big.ok("STATUS Trash (MESSAGES)").all("STATUS") == [b"Trash (MESSAGES 1000)"]
    # EXPUNGE and CLOSE have no limit.
    big.ok("SELECT Trash")
    big.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    assert big.ok("EXPUNGE").all("VANISHED") == [b"1:1000"]
