"""Mailboxes: SELECT to STATUS; RFC 3501 §6.3, RFC 5258, RFC 6154, RFC 2342."""

import imap
from postroom import message

USES = {"Drafts": "\\Drafts", "Sent": "\\Sent", "Junk": "\\Junk", "Trash": "\\Trash", "Archive": "\\Archive"}


def rows(reply, word="LIST"):
    """{name: (attributes, extended data)}; the order is kept."""
    out = {}
    for text in reply.all(word):
        p = imap.Parser(text)
        attributes = {a.decode() for a in p.list()}
        p.expect(b' "/" ')
        name = p.quoted() if p.peek() == b'"' else p.literal() if p.peek() == b"{" else p.atom(b"]")
        extended = None
        if p.peek() == b" ":
            p.at += 1
            extended = p.list()
        p.end()
        assert name.decode() not in out
        out[name.decode()] = (attributes, extended)
    return out


def test_a_new_account_has_its_special_mailboxes(client):
    """Unasked, in LIST and in LSUB, subscribed."""
    for word in ("LIST", "LSUB"):
        found = rows(client.ok(f'{word} "" "*"'), word)
        assert list(found)[0] == "INBOX"
        assert set(found) == {"INBOX", *USES}
        for name, use in USES.items():
            assert use in found[name][0]
        for attributes, _ in found.values():
            assert "\\HasNoChildren" in attributes and "\\HasChildren" not in attributes
            assert "\\Noselect" not in attributes


def test_select_tells_what_every_client_insists_on(client):
    reply = client.ok("SELECT INBOX")
    assert reply.text.startswith(b"[READ-WRITE]")
    assert reply.count("EXISTS") == 0 and reply.count("RECENT") == 0
    text = b"\n".join(reply.untagged)
    for code in (b"* FLAGS (", b"[PERMANENTFLAGS (", b"[UIDVALIDITY ", b"[UIDNEXT ", b"[HIGHESTMODSEQ "):
        assert code in text
    assert b"\\*)]" in text and b"[UNSEEN" not in text
    client.append("INBOX", message("one"), "(\\Seen)")
    client.append("INBOX", message("two"))
    reply = client.ok("SELECT inbox")
    assert reply.untagged[0].startswith(b"* OK [CLOSED]")
    assert reply.count("EXISTS") == 2
    assert b"* OK [UNSEEN 2]" in b"\n".join(reply.untagged)


def test_inbox_in_any_case(client):
    client.ok("CREATE inbox/sub")
    assert "INBOX/sub" in rows(client.ok('LIST "" "InBox/*"'))
    client.ok("SELECT iNbOx/sub")
    client.ok("DELETE INBOX/sub")
    client.bad("FETCH 1 FLAGS")     # it was the selected one
    client.ok("SELECT INBOX")


def test_select_with_condstore(imapd, user, client):
    client.append("INBOX", message("one"))
    client.ok("SELECT INBOX (CONDSTORE)")
    with imap.Client(imapd, user) as other:
        other.ok("SELECT INBOX")
        other.ok("STORE 1 +FLAGS (\\Seen)")
    assert set(client.ok("NOOP").fetched()[1]) == {"UID", "FLAGS", "MODSEQ"}
    client.bad("SELECT INBOX (CONDSTORE QRESYNC)")


def test_examine_changes_nothing(client):
    client.append("INBOX", message("one"))
    reply = client.ok("EXAMINE INBOX")
    assert reply.text.startswith(b"[READ-ONLY]") and reply.count("RECENT") == 1
    client.fetch("1", "BODY[]")
    assert client.flags("1")[1] == {"\\Recent"}
    assert client.no("STORE 1 +FLAGS (\\Seen)").code() == "NOPERM"
    client.no("EXPUNGE")
    assert client.ok("SELECT INBOX").count("RECENT") == 1
    assert client.ok("SELECT INBOX").count("RECENT") == 0


def test_a_failed_select_leaves_nothing_selected(box):
    assert box.no("SELECT nowhere").code() == "NONEXISTENT"
    box.bad("FETCH 1 FLAGS")
    box.bad("SELECT")
    box.ok("SELECT INBOX")
    box.bad("SELECT INBOX (NONSENSE)")


def test_create_delete_and_what_is_in_between(client):
    client.ok("CREATE work/projects/")
    client.ok('CREATE "work/projects/alpha"')
    assert client.no("CREATE work/projects").code() == "ALREADYEXISTS"
    assert client.no("CREATE INBOX").code() == "ALREADYEXISTS"
    found = rows(client.ok('LIST "" "work*"'))
    assert set(found) == {"work", "work/projects", "work/projects/alpha"}
    assert "\\HasChildren" in found["work/projects"][0]
    client.ok("DELETE work/projects")
    found = rows(client.ok('LIST "" "work/%"'))
    assert "\\NonExistent" in found["work/projects"][0] and "\\Noselect" in found["work/projects"][0]
    assert client.no("SELECT work/projects").code() == "NONEXISTENT"
    client.ok("DELETE work/projects/alpha")
    assert "work/projects/alpha" not in rows(client.ok('LIST "" "*"'))
    assert client.no("DELETE nowhere").code() == "NONEXISTENT"
    client.no("DELETE INBOX")


def test_names_that_nobody_can_handle_are_refused(client):
    for name in ('"a*b"', '"a%b"', '" a"', '"a "', '"a  b"', '"a//b"', '""', '"a&b"', '"&AGE-"', '"../x"', '"a/../b"',
                 '"' + "x" * 300 + '"', '"a/./b"'):
        reply = client.cmd(f"CREATE {name}")
        assert reply.status == "NO", (name, reply)
    client.ok('CREATE "a.b c"')
    assert "a.b c" in rows(client.ok('LIST "" "a.%"'))


def test_international_names(client):
    client.ok('CREATE "Entw&APw-rfe &- mehr"')
    client.ok('CREATE "&2D3eAA-"')     # an emoji: a surrogate pair
    found = rows(client.ok('LIST "" "*"'))
    assert "Entw&APw-rfe &- mehr" in found and "&2D3eAA-" in found
    client.ok('SELECT "Entw&APw-rfe &- mehr"')
    assert set(rows(client.ok('LIST "" "Entw&APw-*"'))) == {"Entw&APw-rfe &- mehr"}


def test_rename_keeps_uids_and_takes_children_along(client):
    client.ok("CREATE old/sub")
    validity, uid = client.append("old/sub", message("kept"), "(\\Flagged)")
    client.ok("RENAME old new/place")
    assert rows(client.ok('LIST "" "old*"')) == {}
    reply = client.ok("SELECT new/place/sub")
    assert f"[UIDVALIDITY {validity}]".encode() in b"\n".join(reply.untagged)
    assert "\\Flagged" in client.flags("1")[1]
    assert client.fetch("1", "UID")[1]["UID"] == uid
    assert client.no("RENAME nowhere x").code() == "NONEXISTENT"
    client.ok("CREATE x")
    assert client.no("RENAME x new/place").code() == "ALREADYEXISTS"
    client.no("RENAME x INBOX")


def test_what_is_below_a_renamed_mailbox_stays_subscribed(imapd, user, client):
    """One device renames, another shows subscribed mailboxes only."""
    for name in ("old", "old/a", "old/b/c", "older/x"):
        client.ok(f"CREATE {name}")
    client.ok("UNSUBSCRIBE old/a")
    client.ok("RENAME old new")
    with imap.Client(imapd, user) as other:
        shown = {name for name, row in rows(other.ok('LSUB "" "*"'), "LSUB").items() if "\\Noselect" not in row[0]}
        assert {"new", "new/b/c", "older/x"} <= shown
        assert not {"new/a", "newer/x"} & shown


def test_a_mailbox_that_many_devices_make_at_once_is_subscribed(imapd, user):
    clients = [imap.Client(imapd, user) for _ in range(4)]
    for n in range(8):
        for c in clients:
            c.send(f"m CREATE many{n}\r\n")
        assert sorted(c.collect("m").status for c in clients) == ["NO", "NO", "NO", "OK"]
    shown = rows(clients[0].ok('LSUB "" "many*"'), "LSUB")
    assert set(shown) == {f"many{n}" for n in range(8)}
    for c in clients:
        c.close()


def test_rename_of_inbox_moves_its_messages(client):
    client.append("INBOX", message("one"))
    client.append("INBOX", message("two"))
    client.ok("RENAME INBOX keep")
    assert client.ok("SELECT INBOX").count("EXISTS") == 0
    assert client.ok("SELECT keep").count("EXISTS") == 2


def test_subscriptions_outlive_their_mailboxes(client):
    client.ok("CREATE news/today")
    assert "news/today" in rows(client.ok('LSUB "" "*"'), "LSUB")   # CREATE subscribes
    client.ok("DELETE news/today")
    found = rows(client.ok('LSUB "" "*"'), "LSUB")
    assert "\\Noselect" in found["news/today"][0]
    assert "news/today" not in rows(client.ok('LIST "" "*"'))
    found = rows(client.ok('LSUB "" "%"'), "LSUB")
    assert "\\Noselect" in found["news"][0]         # RFC 3501 §6.3.9
    client.ok("UNSUBSCRIBE news/today")
    assert "news/today" not in rows(client.ok('LSUB "" "*"'), "LSUB")
    client.ok("SUBSCRIBE Sent/")
    client.ok("UNSUBSCRIBE Sent")
    assert "Sent" not in rows(client.ok('LSUB "" "*"'), "LSUB")


def test_list_root_and_references(client):
    assert client.ok('LIST "" ""').all("LIST") == [b'(\\Noselect) "/" ""']
    client.ok("CREATE a/b/c")
    assert set(rows(client.ok('LIST "a/" "%"'))) == {"a/b"}
    assert set(rows(client.ok('LIST "" "a/%"'))) == {"a/b"}
    assert set(rows(client.ok('LIST "" "a/*"'))) == {"a/b", "a/b/c"}
    assert set(rows(client.ok('LIST "" inbox'))) == {"INBOX"}
    assert rows(client.ok('LIST "" "nothing*"')) == {}
    client.bad("LIST")
    client.bad('LIST ""')
    client.bad('LIST "" % x')


def test_extended_list_selects_and_returns_as_asked(client):
    client.ok("CREATE a/b/c")
    client.ok("UNSUBSCRIBE a/b")
    client.ok("UNSUBSCRIBE Sent")
    client.ok("SUBSCRIBE gone")
    found = rows(client.ok('LIST (SUBSCRIBED) "" "*"'))
    assert "Sent" not in found and "\\NonExistent" in found["gone"][0]
    assert all("\\Subscribed" in attributes for attributes, _ in found.values())
    found = rows(client.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"'))
    assert found["a"][1] == [b"CHILDINFO", [b"SUBSCRIBED"]]
    found = rows(client.ok('LIST (SPECIAL-USE) "" "*"'))
    assert set(found) == set(USES)
    found = rows(client.ok('LIST "" (INBOX "S%") RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)'))
    assert set(found) == {"INBOX", "Sent"}
    assert "\\Subscribed" in found["INBOX"][0] and "\\Subscribed" not in found["Sent"][0]
    client.ok('LIST () "" "*"')
    client.ok('LIST (REMOTE) "" "*"')
    client.bad('LIST (RECURSIVEMATCH) "" "*"')
    client.bad('LIST (NONSENSE) "" "*"')
    client.bad('LIST "" "*" RETURN (NONSENSE)')
    client.bad('LIST "" ()')


def test_create_with_a_special_use(client):
    client.no("CREATE Sent2 (USE (\\Sent))")
    client.ok("DELETE Sent")
    client.ok("CREATE Gesendet (USE (\\Sent))")
    assert "\\Sent" in rows(client.ok('LIST "" Gesendet'))["Gesendet"][0]
    client.bad("CREATE x (USE (\\Nonsense))")


def test_status_counts_and_claims_nothing(client):
    client.append("INBOX", message("one"))
    client.append("INBOX", message("two"), "(\\Seen)")
    for _ in range(2):      # it claims no \Recent
        text = client.ok("STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)").all("STATUS")[0]
        p = imap.Parser(text)
        assert p.atom() == b"INBOX"
        p.expect(b" ")
        values = p.list()
        told = dict(zip([v.decode() for v in values[::2]], values[1::2]))
        assert told["MESSAGES"] == 2 and told["RECENT"] == 2 and told["UNSEEN"] == 1
    reply = client.ok("SELECT INBOX")
    assert f"[UIDNEXT {told['UIDNEXT']}]".encode() in b"\n".join(reply.untagged)
    assert f"[UIDVALIDITY {told['UIDVALIDITY']}]".encode() in b"\n".join(reply.untagged)
    assert client.no("STATUS nowhere (MESSAGES)").code() == "NONEXISTENT"
    client.bad("STATUS INBOX ()")
    client.bad("STATUS INBOX (NONSENSE)")
    client.bad("STATUS INBOX")


def test_namespace_and_enable(client):
    assert client.ok("NAMESPACE").all("NAMESPACE") == [b'(("" "/")) (("Shared/" "/")) NIL']
    assert client.ok("ENABLE CONDSTORE").all("ENABLED") == [b"CONDSTORE"]
    assert client.ok("ENABLE CONDSTORE").all("ENABLED") == [b"CONDSTORE"]
    assert client.ok("ENABLE X-NONSENSE").all("ENABLED") == [b""]
    client.bad("ENABLE")


def test_unselect_keeps_what_close_expunges(box):
    box.append("INBOX", message("one"), "(\\Deleted)")
    box.ok("UNSELECT")
    box.bad("UNSELECT")
    assert box.ok("SELECT INBOX").count("EXISTS") == 1
    box.ok("EXAMINE INBOX")
    box.ok("CLOSE")
    assert box.ok("SELECT INBOX").count("EXISTS") == 1
    reply = box.ok("CLOSE")
    assert not reply.untagged
    assert box.ok("SELECT INBOX").count("EXISTS") == 0


def test_deleting_the_selected_mailbox(client):
    client.ok("CREATE here")
    client.ok("SELECT here")
    client.ok("DELETE here")
    client.bad("FETCH 1 FLAGS")
    client.ok("SELECT INBOX")


def test_unknown_and_misplaced_commands(client):
    for line in ("XLIST \"\" *", "XYZZY", "UID", "UID XYZZY", "UID NOOP", "LOGIN a b", "STARTTLS", "FETCH 1 FLAGS",
                 "EXPUNGE", "SEARCH ALL", "COPY 1 x", "CHECK x"):
        client.bad(line)
    client.ok("NOOP")


def test_capabilities_can_be_switched_off():
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off IDLE CONDSTORE\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            words = c.ok("CAPABILITY").all("CAPABILITY")[0].split()
            assert b"IDLE" not in words and b"CONDSTORE" not in words and b"MOVE" in words
            c.bad("IDLE")
            c.bad("STATUS INBOX (HIGHESTMODSEQ)")
            assert b"HIGHESTMODSEQ" not in b"\n".join(c.ok("SELECT INBOX").untagged)
            c.bad("FETCH 1:* (MODSEQ)")
