"""UNAUTHENTICATE (RFC 8437): a connection that serves one account after another."""

import base64

import imap
from postroom import message
from test_imap_compress import compress


def plain(server, user):
    return base64.b64encode(f"\0{server.address(user)}\0{server.password(user)}".encode()).decode()


def test_one_connection_serves_several_accounts(imapd, user):
    imapd.add_account(user + "b")
    with imap.Client(imapd, user, tls=True) as c:
        c.append("INBOX", message("mine"))
        c.ok("ENABLE CONDSTORE")
        c.ok("SELECT INBOX")
        c.ok(r"STORE 1 +FLAGS (\Deleted)")
        c.ok("NOTIFY SET (SELECTED (MessageNew MessageExpunge))")
        assert not c.ok("UNAUTHENTICATE").untagged
        c.bad("FETCH 1 FLAGS")
        c.bad("UNAUTHENTICATE")
        reply = c.ok("CAPABILITY").all("CAPABILITY")[0]
        assert b"AUTH=PLAIN" in reply and b"NOTIFY" not in reply and b"STARTTLS" not in reply
        c.ok(f'LOGIN {imapd.address(user + "b")} "{imapd.password(user + "b")}"')
        c.bad("FETCH 1 FLAGS")                                   # nothing is selected
        assert c.ok("SELECT INBOX").count("EXISTS") == 0
        assert c.ok("UNAUTHENTICATE").status == "OK"
        c.ok(f'LOGIN {imapd.address(user)} "{imapd.password(user)}"')
        assert c.ok("SELECT INBOX").count("EXISTS") == 1         # no expunge
        assert "MODSEQ" not in c.fetch("1", "FLAGS")[1]          # and no CONDSTORE
        c.logout()


def test_pipelined_with_authenticate(imapd, user):
    imapd.add_account(user + "b")
    with imap.Client(imapd, user, tls=True) as c:
        for who in (user + "b", user) * 3:
            c.send(f"u UNAUTHENTICATE\r\na AUTHENTICATE PLAIN {plain(imapd, who)}\r\ng GETQUOTAROOT INBOX\r\n")
            assert c.collect("u").status == "OK"
            assert c.collect("a").status == "OK"
            assert c.collect("g").all("QUOTAROOT") == [f"INBOX {imapd.address(who)}".encode()]


def test_a_compressed_connection_is_ended(imapd, user):
    with imap.Client(imapd, user) as c:
        c.bad("UNAUTHENTICATE now")
        compress(c)
        c.send("u UNAUTHENTICATE\r\n")
        assert c.response().startswith(b"* BYE ")
        assert c.at_end()
