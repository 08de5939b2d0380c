"""IMAP4rev2 (RFC 9051) after ENABLE, and that nothing of it shows before: example dialogues of §6.3.2 to §6.3.4, §6.3.9.7,
§6.4.4, §8."""

import unicodedata

import pytest

import imap
from postroom import message


@pytest.fixture
def rev2(client):
    reply = client.ok("ENABLE IMAP4rev2")
    assert reply.all("ENABLED") == [b"IMAP4rev2"]
    return client


def esearch(box, line):
    reply = box.ok(line)
    texts = reply.all("ESEARCH")
    assert len(texts) < 2 and not reply.all("SEARCH")
    if not texts:
        return None
    start = f'(TAG "t{box.tag}")'.encode()
    assert texts[0].startswith(start)
    return texts[0][len(start):].decode()


def test_it_is_advertised_beside_rev1(imapd, user):
    with imap.Client(imapd) as c:
        words = c.ok("CAPABILITY").all("CAPABILITY")[0].split()
        assert b"IMAP4rev1" in words and b"IMAP4rev2" in words


def test_rfc9051_section_6_3_2_select(rev2):
    rev2.append("INBOX", message("x"))
    reply = rev2.ok("SELECT INBOX")
    assert reply.count("EXISTS") == 1 and not any(b"RECENT" in u or b"[UNSEEN" in u for u in reply.untagged)
    for code in (b"UIDVALIDITY", b"UIDNEXT", b"PERMANENTFLAGS"):
        assert any(u.startswith(b"* OK [" + code) for u in reply.untagged)
    assert reply.all("FLAGS") == [b"(\\Answered \\Flagged \\Deleted \\Seen \\Draft)"]
    listed = reply.all("LIST")
    assert len(listed) == 1 and listed[0].endswith(b' "/" INBOX') and b"\\Subscribed" in listed[0]
    assert reply.text.startswith(b"[READ-WRITE]")
    reply = rev2.ok("SELECT Drafts")
    assert reply.untagged[0].startswith(b"* OK [CLOSED]")
    assert reply.all("LIST")[0].endswith(b' "/" Drafts') and b"\\Drafts" in reply.all("LIST")[0]
    reply = rev2.ok("EXAMINE Trash")
    assert reply.text.startswith(b"[READ-ONLY]") and b"* OK [PERMANENTFLAGS ()]" in b"\n".join(reply.untagged)


def test_rfc9051_section_8_select_in_lower_case(rev2):
    assert rev2.ok("select inbox").all("LIST")[0].endswith(b'"/" INBOX ("OLDNAME" (inbox))')


def test_names_are_utf8(imapd, user, rev2):
    name = "Entwürfe & Ähnliches/日本"
    rev2.ok(f'CREATE "{name}"')
    assert f'"{name}"'.encode() in b"\n".join(rev2.ok('LIST "" "Entw*"').untagged)
    assert rev2.ok(f'STATUS "{name}" (MESSAGES)').all("STATUS")[0].startswith(f'"{name}" ('.encode())
    rev2.ok(f'SELECT "{name}"')
    assert rev2.ok('LIST "" "Entwürfe & %/%"').all("LIST")[0].endswith(f'"{name}"'.encode())
    rev2.ok("CREATE A&-B")                      # no modified UTF-7: the name has these octets
    assert rev2.ok('LIST "" "A&*"').all("LIST")[-1].endswith(b'"/" A&-B')
    with imap.Client(imapd, user) as old:
        listed = b"\n".join(old.ok('LIST "" "*"').untagged)
        assert b'"Entw&APw-rfe &- &AMQ-hnliches/&ZeVnLA-"' in listed and b"A&--B" in listed and b"\xc3" not in listed


def test_rfc9051_section_6_3_4_names_are_normalised(rev2):
    wanted = unicodedata.normalize("NFD", "Übung")
    normal = unicodedata.normalize("NFC", wanted)
    reply = rev2.ok(f'CREATE "{wanted}"')
    listed = reply.all("LIST")
    assert len(listed) == 1 and listed[0].endswith(f'"{normal}" ("OLDNAME" ("{wanted}"))'.encode())
    rev2.ok(f'SELECT "{normal}"')
    assert not rev2.ok(f'CREATE "{normal}/x"').all("LIST")
    reply = rev2.ok(f'RENAME "{normal}" "{wanted}2"')
    assert reply.all("LIST")[0].endswith(f'"{normal}2" ("OLDNAME" ("{normal}"))'.encode())


def test_rfc9051_section_6_4_4_search(rev2):
    for n in range(1, 12):
        rev2.append("INBOX", message(f"n {n}", body="отпуск\r\n" if n == 4 else "text\r\n",
                                     extra="Content-Type: text/plain; charset=utf-8\r\n"), "(\\Flagged)" if n in (2, 10, 11) else "")
    rev2.ok("SELECT INBOX")
    assert esearch(rev2, "SEARCH RETURN (MIN COUNT) FLAGGED") == " MIN 2 COUNT 3"
    assert esearch(rev2, "SEARCH RETURN () FLAGGED") == " ALL 2,10:11"
    assert esearch(rev2, 'SEARCH TEXT "string not in mailbox"') == ""
    reply = rev2.ok("SEARCH CHARSET UTF-8 TEXT ", "отпуск".encode())
    assert reply.all("ESEARCH")[0].endswith(b" ALL 4")
    assert esearch(rev2, "SEARCH FLAGGED") == " ALL 2,10:11"
    assert esearch(rev2, "UID SEARCH RETURN (MIN MAX) 1:5000") == " UID MIN 1 MAX 11"
    assert esearch(rev2, "SEARCH RETURN (COUNT) DELETED") == " COUNT 0"
    assert esearch(rev2, "SEARCH RETURN (SAVE) FLAGGED") is None
    assert esearch(rev2, "UID SEARCH UID $ SMALLER 4096") == " UID ALL 2,10:11"
    assert esearch(rev2, "SEARCH (OR $ 1,3:4) TEXT n") == " ALL 1:4,10:11"


def test_no_recent_and_uid_in_every_unsolicited_fetch(imapd, user, rev2):
    rev2.append("INBOX", message("one"))
    rev2.ok("SELECT INBOX")
    assert rev2.fetch("1", "FLAGS") == {1: {"FLAGS": []}}
    with imap.Client(imapd, user) as other:
        other.append("INBOX", message("two"))
        reply = rev2.ok("NOOP")
        assert reply.untagged == [b"* 2 EXISTS"]
        other.ok("SELECT INBOX")
        other.ok("STORE 1 +FLAGS (\\Flagged)")
        assert rev2.ok("NOOP").fetched() == {1: {"UID": 1, "FLAGS": [b"\\Flagged"]}}
        # Nobody else sees a difference.
        rev2.append("INBOX", message("three"))
        assert other.ok("NOOP").count("RECENT") is not None


def test_status_of_rev2_has_deleted_and_size(rev2):
    rev2.append("INBOX", message("x"), "(\\Deleted)")
    reply = rev2.ok("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE)")
    text = reply.all("STATUS")[0].decode()
    assert "MESSAGES 1" in text and "DELETED 1" in text and "SIZE " in text
    assert rev2.ok('LIST "" % RETURN (STATUS (DELETED SIZE))').all("STATUS")


def test_what_was_folded_in_works(rev2):
    rev2.append("INBOX", message("x"))
    rev2.ok("SELECT INBOX")
    rev2.ok("CREATE New")
    assert rev2.ok("UID COPY 1 New").code().startswith("COPYUID ")
    assert any(u.startswith(b"* OK [COPYUID ") for u in rev2.ok("MOVE 1 New").untagged)
    assert rev2.no("COPY 1:* Nowhere").code() == "TRYCREATE"
    rev2.ok("SELECT New")
    assert rev2.ok("FETCH 1 BINARY.PEEK[1]").fetched()
    assert rev2.ok("FETCH 1 BINARY.SIZE[1]").fetched()
    assert rev2.ok("NAMESPACE").all("NAMESPACE")
    rev2.ok("UNSELECT")
    listed = rev2.ok('LIST (SUBSCRIBED) "" "*" RETURN (CHILDREN SPECIAL-USE)').all("LIST")
    assert all(b"\\Subscribed" in row for row in listed)
    rev2.ok("SUBSCRIBE Gone")
    assert any(b"\\NonExistent" in row and row.endswith(b"Gone") for row in rev2.ok('LIST (SUBSCRIBED) "" "*"').all("LIST"))


def test_before_enable_nothing_changes(client):
    client.append("INBOX", message("x"))
    reply = client.ok("SELECT INBOX")
    assert reply.count("RECENT") == 1 and not reply.all("LIST")
    assert client.search("ALL") == [1]


def test_it_is_whole_or_not_there(imapd):
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off ESEARCH\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            words = c.ok("CAPABILITY").all("CAPABILITY")[0].split()
            for gone in (b"IMAP4rev2", b"SEARCHRES", b"PARTIAL", b"ESORT", b"ESEARCH"):
                assert gone not in words
            assert b"SORT" in words
            assert c.ok("ENABLE IMAP4rev2").untagged == [b"* ENABLED"]
