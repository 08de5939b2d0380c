"""Example dialogues of RFC 9051, replayed after ENABLE IMAP4rev2; those of SELECT, CREATE and SEARCH are in test_rev2.py and
test_searchres.py, those of LIST in test_list_extended.py. Texts and values that a server may choose are left open."""

import base64
import subprocess

import pytest

import imap
from postroom import wait_for
from test_list_extended import listed, tree     # noqa: F401 (a fixture)
from test_rfc3501 import SAMPLE

MEETING = b"""Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)
From: Fred Foobar <foobar@Blurdybloop.example>
Subject: afternoon meeting
To: mooch@owatagu.siam.edu.example
Message-Id: <B27397-0100000@Blurdybloop.example>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

Hello Joe, do you think we can meet at 3:30 tomorrow?
""".replace(b"\n", b"\r\n")


@pytest.fixture
def rev2(client):
    client.ok("ENABLE IMAP4rev2")
    return client


@pytest.fixture
def five(rev2):
    """INBOX with five messages, selected."""
    for _ in range(5):
        rev2.append("INBOX", MEETING)
    rev2.ok("SELECT INBOX")
    return rev2


def names(client, pattern="*"):
    return {name: attributes for name, (attributes, _) in listed(client.ok(f'LIST "" "{pattern}"')).items()}


def test_section_6_1(imapd, user):
    with imap.Client(imapd) as c:
        before = c.ok("CAPABILITY").all("CAPABILITY")[0].split()
        assert b"IMAP4rev2" in before and b"STARTTLS" in before
        c.ok("STARTTLS")
        c.start_tls(imapd.tls_context())
        words = c.ok("CAPABILITY").all("CAPABILITY")[0].split()
        assert b"IMAP4rev2" in words and b"AUTH=PLAIN" in words and b"STARTTLS" not in words
        c.ok(f'LOGIN {imapd.address(user)} "{imapd.password(user)}"')
        c.ok("NOOP")
        reply = c.ok("LOGOUT")
        assert reply.untagged[-1].startswith(b"* BYE ") and c.at_end()


def test_section_6_1_2_noop_tells_what_happened(imapd, user, five):
    with imap.Client(imapd, user) as other:
        other.ok("SELECT INBOX")
        other.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
        other.ok("EXPUNGE")
        other.append("INBOX", MEETING)
        other.ok("STORE 3 +FLAGS.SILENT (\\Seen \\Deleted)")
    reply = five.ok("NOOP")
    assert reply.numbers("EXPUNGE") == [2] and reply.count("EXISTS") == 5
    got = reply.fetched()
    assert got == {3: {"UID": 4, "FLAGS": got[3]["FLAGS"]}} and set(got[3]["FLAGS"]) == {b"\\Seen", b"\\Deleted"}


@pytest.mark.parametrize("has_initial_response", (True, False))
def test_section_6_2_authenticate_plain(imapd, user, has_initial_response):
    secret = base64.b64encode(f"\0{imapd.address(user)}\0{imapd.password(user)}".encode()).decode()
    with imap.Client(imapd) as c:
        c.ok("STARTTLS")
        c.start_tls(imapd.tls_context())
        if has_initial_response:
            c.ok(f"AUTHENTICATE PLAIN {secret}")
        else:
            c.send("A01 AUTHENTICATE PLAIN\r\n")
            assert c.response() == b"+ "
            c.send(secret + "\r\n")
            assert c.collect("A01").status == "OK"
        c.ok("SELECT INBOX")


def test_section_6_2_2_authenticate_external(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7", "-subj",
                    "/CN=laptop", "-keyout", tmp_path / "key", "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    with imap.Imapd(accounts=("alice",), conf="tls-client-certificates imap\n") as server:
        server.postroom("client-cert", "add", server.address("alice"), "laptop", tmp_path / "cert.pem")
        server.start()
        context = server.tls_context()
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key")
        with imap.Client(server) as c:
            c.ok("STARTTLS")
            c.start_tls(context)
            assert {b"IMAP4rev2", b"AUTH=PLAIN", b"AUTH=EXTERNAL"} <= set(c.ok("CAPABILITY").all("CAPABILITY")[0].split())
            c.send("A01 AUTHENTICATE EXTERNAL =\r\n")
            assert c.collect("A01").status == "OK"
            c.ok("SELECT INBOX")


def test_section_7_1_authorizationfailed(imapd, user):
    with imap.Client(imapd) as c:
        c.ok("STARTTLS")
        c.start_tls(imapd.tls_context())
        for other in (imapd.address("nobody"), "not an address"):
            secret = base64.b64encode(f"{other}\0{imapd.address(user)}\0{imapd.password(user)}".encode()).decode()
            c.send("c1 AUTHENTICATE PLAIN\r\n")
            assert c.response() == b"+ "
            c.send(secret + "\r\n")
            assert c.collect("c1").code() == "AUTHORIZATIONFAILED"


def test_section_7_1_expired(imapd, user):
    secret = imapd.json("app-password", "add", imapd.address(user), "soon", "--expires", "1s")["password"]

    def code():
        with imap.Client(imapd) as c:
            c.send(f"d LOGIN {imapd.address(user)} {secret}\r\n")
            return c.collect("d").code()
    wait_for("it has expired", lambda: code() == "EXPIRED")


def test_section_6_3_1_enable(client):
    before = client.ok("CAPABILITY").all("CAPABILITY")
    assert client.ok("ENABLE CONDSTORE X-GOOD-IDEA").all("ENABLED") == [b"CONDSTORE"]
    assert client.ok("CAPABILITY").all("CAPABILITY") == before
    assert client.ok("ENABLE X-GOOD-IDEA").all("ENABLED") == [b""]


def test_section_6_3_5_delete(tree):                                            # noqa: F811
    c = tree("blurdybloop", "foo", "foo/bar")
    c.ok("ENABLE IMAP4rev2")
    c.ok("DELETE blurdybloop")
    c.ok("DELETE foo")
    assert "\\NonExistent" in names(c)["foo"] and "foo/bar" in names(c) and "blurdybloop" not in names(c)
    assert "\\Noselect" in names(c, "%")["foo"]
    c.no("SELECT foo")
    c.ok("DELETE foo/bar")
    assert "foo" not in names(c)
    c.no("DELETE foo")


def test_section_6_3_6_rename(tree):                                            # noqa: F811
    c = tree("blurdybloop", "foo/bar")
    c.ok("ENABLE IMAP4rev2")
    c.ok("RENAME blurdybloop sarasoop")
    c.ok("RENAME foo zowie")
    assert {"sarasoop", "zowie", "zowie/bar"} <= set(names(c)) and not {"foo", "foo/bar", "blurdybloop"} & set(names(c))
    c.append("INBOX", MEETING)
    c.ok("CREATE INBOX/bar")
    c.ok("RENAME INBOX old-mail")
    assert {"INBOX", "INBOX/bar", "old-mail"} <= set(names(c))
    assert c.ok("STATUS INBOX (MESSAGES)").all("STATUS") == [b"INBOX (MESSAGES 0)"]
    assert c.ok("STATUS old-mail (MESSAGES)").all("STATUS") == [b"old-mail (MESSAGES 1)"]
    c.ok("RENAME sarasoop Y")
    c.ok("SUBSCRIBE Y")
    c.ok("UNSUBSCRIBE sarasoop")
    found = listed(c.ok('LIST (SUBSCRIBED) "" "*"'))
    assert "Y" in found and "sarasoop" not in found


def test_section_6_3_7_and_6_3_8_subscriptions(rev2):
    rev2.ok("SUBSCRIBE #news.comp.mail.mime")
    assert "\\NonExistent" in listed(rev2.ok('LIST (SUBSCRIBED) "" "#news*"'))["#news.comp.mail.mime"][0]
    rev2.ok("UNSUBSCRIBE #news.comp.mail.mime")
    assert not listed(rev2.ok('LIST (SUBSCRIBED) "" "#news*"'))


def test_section_6_3_9_8_list(tree):                                            # noqa: F811
    c = tree("foo", "bar/baz", "music/rock", subscribed=("INBOX", "foo/bar"))
    c.ok("ENABLE IMAP4rev2")
    assert c.ok('LIST "" ""').untagged == [b'* LIST (\\Noselect) "/" ""']
    assert set(listed(c.ok('LIST bar/ %'))) == {"bar/baz"}
    assert set(listed(c.ok('LIST "" ("foo")'))) == {"foo"}
    found = listed(c.ok('LIST (SUBSCRIBED) "" "foo/*"'))
    assert found["foo/bar"][0] >= {"\\Subscribed", "\\NonExistent"}
    found = listed(c.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" foo RETURN (CHILDREN)'))
    assert found["foo"][1] == [b"CHILDINFO", [b"SUBSCRIBED"]]
    assert "\\HasChildren" in listed(c.ok('LIST () "" "music"'))["music"][0]
    assert set(listed(c.ok('LIST "" (% music/rock)'))) >= {"music", "music/rock", "foo", "INBOX"}
    reply = c.ok('LIST "" % RETURN (STATUS (MESSAGES UNSEEN))')
    told = [u for u in reply.untagged if b" foo" in u]
    assert told[0].startswith(b"* LIST (") and told[1] == b"* STATUS foo (MESSAGES 0 UNSEEN 0)"
    reply = c.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (STATUS (MESSAGES))')
    assert [t for t in reply.all("STATUS")] == [b"INBOX (MESSAGES 0)"]
    assert b'"foo" ("CHILDINFO"' in b"".join(reply.untagged) or b'foo ("CHILDINFO"' in b"".join(reply.untagged)


def test_section_6_3_10_namespace(rev2):
    assert rev2.ok("NAMESPACE").all("NAMESPACE")[0].startswith(b'(("" "/"))')


def test_section_6_3_10_namespace_examples_1_and_7(imapd, user, rev2):
    """Names of others stand below Shared/ here, which example 7 calls "Other Users/"."""
    assert rev2.ok("NAMESPACE").all("NAMESPACE") == [b'(("" "/")) (("Shared/" "/")) NIL']
    people = ["mike", "karen", "matthew", "tesa"]
    for person in people:
        imapd.add_account(f"{user}-{person}")
        with imap.Client(imapd, f"{user}-{person}") as c:
            c.ok(f"SETACL INBOX {imapd.address(user)} lr")
    assert sorted(name for name in names(rev2, "Shared/%")) == sorted(f"Shared/{imapd.address(f'{user}-{p}')}" for p in people)
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off ACL\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            assert c.ok("NAMESPACE").all("NAMESPACE") == [b'(("" "/")) NIL NIL']


def test_section_6_3_12_append(rev2):
    rev2.ok("CREATE saved-messages")
    rev2.ok("CREATE meeting")
    assert rev2.ok("APPEND saved-messages (\\Seen) ", MEETING).code().startswith("APPENDUID ")
    rev2.send(b"A003 APPEND saved-messages (\\Seen) {%d+}\r\n%s\r\n" % (len(MEETING), MEETING))
    reply = rev2.collect("A003")
    assert reply.status == "OK" and reply.code().endswith(" 2")
    rev2.append("saved-messages", MEETING)
    rev2.append("saved-messages", MEETING)
    rev2.ok("SELECT saved-messages")
    assert rev2.ok("COPY 2:4 meeting").code().split()[2:] == ["2:4", "1:3"]
    reply = rev2.ok("UID COPY 305:310 meeting")
    assert reply.code() is None
    assert rev2.ok("STATUS meeting (UIDNEXT MESSAGES)").all("STATUS") == [b"meeting (MESSAGES 3 UIDNEXT 4)"]
    assert rev2.no("APPEND nowhere ", MEETING).code() == "TRYCREATE"


def test_section_6_3_13_idle(imapd, user, five):
    with imap.Client(imapd, user) as other:
        other.ok("SELECT INBOX")
        five.send("A002 IDLE\r\n")
        assert five.response().startswith(b"+ ")
        other.append("INBOX", MEETING)
        assert five.response() == b"* 6 EXISTS"
        five.send("DONE\r\n")
        assert five.collect("A002").status == "OK"
        assert five.fetch("6", "ALL")[6]["RFC822.SIZE"] == len(MEETING)
        other.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
        five.ok("NOOP")
        other.ok("EXPUNGE")
        five.send("A004 IDLE\r\n")
        assert five.response() == b"* 2 EXPUNGE" and five.response().startswith(b"+ ")
        other.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
        assert b"FETCH (UID 4" in five.response()
        other.ok("EXPUNGE")
        assert five.response() == b"* 3 EXPUNGE"
        other.append("INBOX", MEETING)
        assert five.response() == b"* 5 EXISTS"
        five.send("DONE\r\n")
        assert five.collect("A004").status == "OK"


def test_section_6_4(five):
    got = five.fetch("2:4", "(FLAGS BODY[HEADER.FIELDS (DATE FROM)])")
    assert list(got) == [2, 3, 4] and all(b"From: Fred" in i["BODY[HEADER.FIELDS (DATE FROM)]"] for i in got.values())
    got = five.ok("STORE 2:4 +FLAGS (\\Deleted)").fetched()
    assert list(got) == [2, 3, 4] and all(b"\\Deleted" in i["FLAGS"] for i in got.values())
    five.ok("CREATE MEETING")
    assert five.ok("COPY 2:4 MEETING").code().split()[2:] == ["2:4", "1:3"]
    got = five.ok("UID FETCH 2:4 FLAGS").fetched()
    assert [i["UID"] for i in got.values()] == [2, 3, 4]
    assert sorted(five.ok("UID EXPUNGE 2:3").numbers("EXPUNGE")) in ([2, 2], [2, 3])
    assert five.ok("EXPUNGE").numbers("EXPUNGE") == [2]
    five.ok("CREATE foo")
    reply = five.ok("UID MOVE 1:2 foo")
    assert reply.untagged[0].startswith(b"* OK [COPYUID ") and reply.numbers("EXPUNGE") == [1]
    five.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    five.ok("UNSELECT")
    assert five.ok("STATUS INBOX (MESSAGES DELETED)").all("STATUS")[0].count(b" 1") == 2
    five.ok("SELECT INBOX")
    assert not five.ok("CLOSE").untagged
    assert five.ok("STATUS INBOX (MESSAGES)").all("STATUS") == [b"INBOX (MESSAGES 0)"]


def test_section_7_1_response_codes(imapd, rev2):
    assert rev2.no("CREATE INBOX").code() == "ALREADYEXISTS"
    rev2.ok("CREATE this")
    rev2.ok("CREATE that")
    assert rev2.no("RENAME this that").code() == "ALREADYEXISTS"
    assert rev2.no("RENAME nothing anywhere").code() == "NONEXISTENT"
    assert rev2.no('CREATE "///////"').code() == "CANNOT"
    assert rev2.ok("EXAMINE INBOX").code() == "READ-ONLY"
    with imap.Client(imapd, tls=True) as c:
        assert c.no('LOGIN "fred" "foo"').code() == "AUTHENTICATIONFAILED"


def test_section_7_1_limit_noperm_and_overquota(imapd, user, five):
    reply = five.no("STORE 2 FLAGS (" + " ".join(f"f{n}" for n in range(1, 251)) + ")")
    assert reply.code() == "LIMIT" and five.flags("2") == {2: set()}
    assert five.no("APPEND INBOX (" + " ".join(f"f{n}" for n in range(1, 251)) + ") ", MEETING).code() == "LIMIT"
    with imap.Client(imapd, "alice") as owner:
        owner.ok("CREATE experiment-iv")
        owner.ok(f"SETACL experiment-iv {imapd.address(user)} l")
        assert five.no(f'SELECT "Shared/{imapd.address("alice")}/experiment-iv"').code() == "NOPERM"
        owner.ok("DELETE experiment-iv")
    five.ok("CREATE oldmail")
    imapd.postroom("quota", "set", imapd.address(user), "none", "5")
    with imap.Client(imapd, user) as c:
        c.ok("SELECT INBOX")
        assert c.no("UID COPY 1:* oldmail").code() == "OVERQUOTA"


def test_section_7_1_expungeissued(imapd, user, five):
    with imap.Client(imapd, user) as other:
        other.ok("SELECT INBOX")
        assert five.ok("SEARCH FROM Fred").code() is None
        other.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
        other.ok("EXPUNGE")
        for line in ("SEARCH FROM Fred", "FETCH 1 FLAGS", "STORE 1 +FLAGS.SILENT (\\Seen)"):
            reply = five.ok(line)
            assert reply.code() == "EXPUNGEISSUED" and not reply.numbers("EXPUNGE"), line
        assert five.ok("NOOP").numbers("EXPUNGE") == [2]
        assert five.ok("SEARCH FROM Fred").code() is None
        other.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
        other.ok("EXPUNGE")
        reply = five.ok("UID SEARCH FROM Fred")         # may tell it at once
        assert reply.code() is None and reply.numbers("EXPUNGE") == [2]


def test_section_7_1_corruption(imapd, user, five):
    """The example has a mailbox that cannot be opened; ours are made anew from their messages, so it is a message that is damaged."""
    [path] = (imapd.root / "mail" / imapd.domain / user / "Maildir" / "cur").glob("*.3:2,")
    path.write_bytes(path.read_bytes()[:20])
    reply = five.no("FETCH 1:5 BODY.PEEK[TEXT]")
    assert reply.code() == "CORRUPTION" and list(reply.fetched()) == [1, 2, 4, 5]
    five.ok("FETCH 1:2 BODY.PEEK[TEXT]")


def test_section_7_1_unavailable(imapd):
    """Login works, and the mailboxes cannot be opened: no word of a wrong password."""
    imapd.add_account("una")
    folder = imapd.root / "mail" / imapd.domain / "una"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("no folder")
    with imap.Client(imapd, tls=True) as c:
        login = f'LOGIN {imapd.address("una")} "{imapd.password("una")}"'
        assert c.no(login).code() == "UNAVAILABLE"
        folder.unlink()
        c.ok(login)


def test_section_7_6_continuations(imapd, user):
    with imap.Client(imapd, tls=True) as c:
        assert c.cmd("LOGIN ", imapd.address(user).encode(), " ", imapd.password(user).encode()).status == "OK"
        c.bad("BLURDYBLOOP")
        c.ok("NOOP")


def test_section_8_sample_connection(imapd, user):
    with imap.Client(imapd) as c:
        assert b"STARTTLS" in c.greeting or b"OK" in c.greeting
        c.ok("starttls")
        c.start_tls(imapd.tls_context())
        c.ok(f'login {imapd.address(user)} "{imapd.password(user)}"')
        c.append("inbox", SAMPLE, '(\\Seen) "17-Jul-1996 02:44:25 -0700"')
        assert c.ok("ENABLE IMAP4rev2").all("ENABLED") == [b"IMAP4rev2"]
        reply = c.ok("select inbox")
        assert reply.count("EXISTS") == 1 and reply.all("LIST")[0].endswith(b'INBOX ("OLDNAME" (inbox))')
        full = c.fetch("1", "full")[1]
        assert full["FLAGS"] == [b"\\Seen"] and full["RFC822.SIZE"] == len(SAMPLE)
        assert full["ENVELOPE"][1] == b"IMAP4rev1 WG mtg summary and minutes" and full["BODY"][0].upper() == b"TEXT"
        assert c.fetch("1", "body[header]")[1]["BODY[HEADER]"] == SAMPLE.split(b"\r\n\r\n")[0] + b"\r\n\r\n"
        assert set(c.ok("store 1 +flags \\deleted").fetched()[1]["FLAGS"]) == {b"\\Seen", b"\\Deleted"}
        c.logout()
