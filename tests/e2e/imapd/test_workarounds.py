"""What is done for programs that stumble over a server that does everything right."""

import imap
from postroom import wait_for

IOS = 'ID ("name" "com.apple.email.maild" "version" "3826.500.111" "os" "iOS" "os-version" "18.4 (22E240)")'


def offered(client):
    return set(client.ok("CAPABILITY").all("CAPABILITY")[0].decode().split())


def login(server, client, user="alice"):
    return client.ok(f'LOGIN {server.address(user)} "{server.password(user)}"')


def test_ios_is_not_offered_rev2(imapd):
    with imap.Client(imapd) as c:                       # said before login
        assert "IMAP4rev2" in offered(c)
        c.ok(IOS)
        assert "IMAP4rev2" not in offered(c) and "IMAP4rev1" in offered(c)
        assert "IMAP4rev2" not in login(imapd, c).code().split()
        assert b"IMAP4rev2" not in c.ok("ENABLE IMAP4rev2").all("ENABLED")[0]
    with imap.Client(imapd, "alice") as c:              # said after login
        assert "IMAP4rev2" in offered(c)
        c.ok(IOS.replace("iOS", "iPadOS"))
        assert "IMAP4rev2" not in offered(c) and "COMPRESS=DEFLATE" in offered(c)
    with imap.Client(imapd, "alice") as c:              # one program's sessions are not another's
        c.ok('ID ("name" "Thunderbird" "os" "Linux")')
        c.ok("ID NIL")
        assert "IMAP4rev2" in offered(c)
    assert "event=imap.workaround name=ios-imap4rev2" in imapd.log()


def test_what_is_on_is_what_the_option_names():
    for option, there, gone in (("none", {"IMAP4rev2", "COMPRESS=DEFLATE"}, set()),
                                ("ios-compress", {"IMAP4rev2"}, {"COMPRESS=DEFLATE"}),
                                ("ios-compress ios-imap4rev2", set(), {"IMAP4rev2", "COMPRESS=DEFLATE"})):
        with imap.Imapd(accounts=("alice",), conf=f"imap-workarounds {option}\n") as server:
            server.start()
            with imap.Client(server, "alice") as c:
                c.ok(IOS)
                assert there <= offered(c) and not gone & offered(c)
                if "COMPRESS=DEFLATE" in gone:
                    c.bad("COMPRESS DEFLATE")


def test_a_name_that_is_none_is_told():
    with imap.Imapd(accounts=("alice",), conf="imap-workarounds outlook-1997\n") as server:
        server.start()
        wait_for("the warning", lambda: "imap.workaround.unknown" in server.log())
