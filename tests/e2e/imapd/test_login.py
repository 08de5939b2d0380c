"""Before login: RFC 3501 §6.1, §6.2; what mail programs try first; what strangers may cost."""

import base64

import pytest

import imap
import postroom


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def plain(server, user, password=None):
    return b64(f"\0{server.address(user)}\0{password or server.password(user)}")


def test_greeting_and_capability_name_what_there_is_and_no_brand(imapd):
    with imap.Client(imapd) as c:
        assert c.greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 ")
        words = c.ok("CAPABILITY").all("CAPABILITY")[0].decode().split()
        for word in ("IMAP4rev1", "STARTTLS", "LITERAL+", "SASL-IR", "ID", "AUTH=PLAIN", "AUTH=SCRAM-SHA-256"):
            assert word in words
        assert "LOGINDISABLED" not in words
        for brand in (b"dovecot", b"cyrus", b"courier", b"exchange"):
            assert brand not in c.greeting.lower()


def test_capabilities_come_with_the_login_answer(imapd):
    with imap.Client(imapd) as c:
        reply = c.ok(f'LOGIN {imapd.address("alice")} "{imapd.password("alice")}"')
        listed = c.ok("CAPABILITY").all("CAPABILITY")[0].decode()
        assert reply.code() == "CAPABILITY " + listed
        for word in ("LITERAL+ SASL-IR ID ENABLE IDLE UIDPLUS MOVE UNSELECT NAMESPACE CHILDREN SPECIAL-USE "
                     "LIST-EXTENDED ESEARCH CONDSTORE").split():
            assert word in listed.split()
        for word in ("STARTTLS", "LOGINDISABLED", "XLIST"):
            assert word not in listed.split()
        c.logout()


@pytest.mark.parametrize("password", ['a"b\\c', "p\u00e4ss w\u00f6rd \u20ac", "x" * 200])
def test_login_with_any_password(imapd, password):
    name = f"pw{abs(hash(password)) % 10**6}"
    imapd.add_account(name, password)
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    for parts in ((f'LOGIN {imapd.address(name)} "{quoted}"',),
                  (f"LOGIN {imapd.address(name)} ", password.encode()),
                  ("LOGIN ", imapd.address(name).encode(), " ", password.encode()),
                  (f"LOGIN {imapd.address(name).upper()} ", password.encode())):
        with imap.Client(imapd) as c:
            c.ok(*parts)
    with imap.Client(imapd) as c:
        c.ok(f"AUTHENTICATE PLAIN {plain(imapd, name, password)}")


def test_authenticate_plain_with_and_without_initial_response(imapd):
    with imap.Client(imapd) as c:
        c.send("a AUTHENTICATE PLAIN\r\n")
        assert c.line() == b"+ "
        c.send(plain(imapd, "alice") + "\r\n")
        assert c.collect("a").status == "OK"
        c.ok("NOOP")
    with imap.Client(imapd) as c:
        c.ok(f"AUTHENTICATE PLAIN {plain(imapd, 'alice')}")


def test_authenticate_login_with_and_without_initial_response(imapd):
    for initial in (False, True):
        with imap.Client(imapd) as c:
            if initial:
                c.send(f"a AUTHENTICATE LOGIN {b64(imapd.address('alice'))}\r\n")
            else:
                c.send("a AUTHENTICATE LOGIN\r\n")
                assert c.line() == b"+ " + b64("Username:").encode()
                c.send(b64(imapd.address("alice")) + "\r\n")
            assert c.line() == b"+ " + b64("Password:").encode()
            c.send(b64(imapd.password("alice")) + "\r\n")
            assert c.collect("a").status == "OK"


def test_a_cancelled_or_garbled_exchange_ends_only_itself(imapd):
    with imap.Client(imapd) as c:
        for garbage in ("*", "!!!", "====", "YQ"):
            c.send("a AUTHENTICATE PLAIN\r\n")
            assert c.line() == b"+ "
            c.send(garbage + "\r\n")
            assert c.collect("a").status == "BAD"
        c.ok(f"AUTHENTICATE PLAIN {plain(imapd, 'alice')}")


def test_wrong_passwords_are_told_as_such_and_three_close(imapd):
    with imap.Client(imapd) as c:
        for _ in range(2):
            assert c.no(f"LOGIN {imapd.address('alice')} wrong").code() == "AUTHENTICATIONFAILED"
        c.send("z LOGIN nobody@example.test wrong\r\n")
        reply = c.collect("z")
        assert (reply.status, reply.code()) == ("NO", "AUTHENTICATIONFAILED")
        assert c.line().startswith(b"* BYE ")
        assert c.at_end()


def test_an_unknown_mechanism_is_refused_and_the_session_goes_on(imapd):
    with imap.Client(imapd) as c:
        c.no("AUTHENTICATE CRAM-MD5")
        c.ok("NOOP")


def test_commands_pipelined_behind_login(imapd):
    with imap.Client(imapd) as c:
        c.send(f'a LOGIN {imapd.address("alice")} "{imapd.password("alice")}"\r\nb SELECT INBOX\r\nc NOOP\r\n')
        assert c.collect("a").status == "OK"
        assert c.collect("b").status == "OK"
        assert c.collect("c").status == "OK"


def test_starttls_is_offered_once(imapd):
    with imap.Client(imapd) as c:
        c.ok("STARTTLS")
        c.start_tls(imapd.tls_context())
        words = c.ok("CAPABILITY").all("CAPABILITY")[0].split()
        assert b"STARTTLS" not in words and b"AUTH=PLAIN" in words
        c.bad("STARTTLS")
        c.ok(f'LOGIN {imapd.address("alice")} "{imapd.password("alice")}"')
        c.ok("SELECT INBOX")
        c.logout()


def test_octets_behind_starttls_end_the_connection(imapd):
    """CVE-2021-33515: what was sent in clear must not be taken for what came inside of TLS."""
    with imap.Client(imapd) as c:
        c.send("a STARTTLS\r\nb NOOP\r\n")
        rest = b""
        while c.fill():
            pass
        rest = c.buffer
        assert b"b OK" not in rest


def test_implicit_tls_offers_no_starttls(imapd):
    with imap.Client(imapd, "alice", tls=True) as c:
        assert c.greeting.startswith(b"* OK [CAPABILITY ")
        assert b"STARTTLS" not in c.greeting
        c.ok("SELECT INBOX")
        c.logout()


def test_no_password_in_clear_where_it_is_not_allowed():
    with imap.Imapd(accounts=("alice",), conf="plaintext-auth never\n") as server:
        server.start()
        with imap.Client(server) as c:
            words = c.ok("CAPABILITY").all("CAPABILITY")[0].split()
            assert b"LOGINDISABLED" in words and b"AUTH=PLAIN" not in words
            assert c.no(f"LOGIN {server.address('alice')} \"{server.password('alice')}\"").code() == "PRIVACYREQUIRED"
            assert c.no(f"AUTHENTICATE PLAIN {plain(server, 'alice')}").code() == "PRIVACYREQUIRED"
            c.ok("STARTTLS")
            c.start_tls(server.tls_context())
            c.ok(f'LOGIN {server.address("alice")} "{server.password("alice")}"')


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n", b"HELO x\r\n",
                                  b"a1 XYZZY\r\n", b"((((\r\n"])
def test_who_does_not_speak_imap_gets_nothing_back(imapd, line):
    with imap.Client(imapd) as c:
        c.send(line)
        assert c.at_end(), c.buffer


def test_three_wrong_commands_close(imapd):
    with imap.Client(imapd) as c:
        c.ok("NOOP")
        c.bad("SELECT INBOX")
        c.bad("NOOP ((((")
        c.send("x FETCH 1 ALL\r\n")
        assert c.collect("x").status == "BAD"
        assert c.line().startswith(b"* BYE ")
        assert c.at_end()


def test_limits_of_literals_and_lines_before_login(imapd):
    with imap.Client(imapd) as c:
        c.ok("NOOP")
        c.send("a LOGIN {5000}\r\n")
        assert c.collect("a").status == "BAD"
        c.ok("NOOP")
        c.send("b LOGIN {5000+}\r\n" + "x" * 5000 + " y\r\n")
        assert c.collect("b").status == "BAD"
        c.ok("NOOP")
    with imap.Client(imapd) as c:
        c.ok("NOOP")
        c.send("a LOGIN {4000000000+}\r\n")
        assert c.line() == b"* BYE Too much"
        assert c.at_end()
    with imap.Client(imapd) as c:
        c.ok("NOOP")
        c.send("a LOGIN " + "x" * 9000 + "\r\n")
        assert c.collect("a").status == "BAD"
        c.ok("NOOP")


def test_id_before_and_after_login(imapd):
    with imap.Client(imapd) as c:
        for _ in range(2):
            reply = c.ok('ID ("name" "test" "version" NIL)')
            told = imap.Parser(reply.all("ID")[0]).value()
            assert told[0] == b"name" and len(told) == 2
            c.ok("ID NIL")
            if _ == 0:
                c.ok(f'LOGIN {imapd.address("alice")} "{imapd.password("alice")}"')


def test_logout_says_goodbye_before_login(imapd):
    with imap.Client(imapd) as c:
        c.logout()


def test_empty_lines_and_stray_blanks_are_forgiven(imapd):
    with imap.Client(imapd) as c:
        c.send("\r\n\r\n a  NOOP \r\n")
        assert c.collect("a").status == "OK"


def test_tags_that_are_none_are_not_repeated(imapd):
    with imap.Client(imapd) as c:
        c.ok("NOOP")
        c.send("a+b NOOP\r\n")
        assert c.line().startswith(b"* BAD ")


def test_too_many_sessions_end_the_most_silent_one():
    """Evicted is who was silent for longest; nobody hears AUTHENTICATIONFAILED."""
    with imap.Imapd(accounts=("alice",), conf="workers 1\nsessions-per-user 5\n") as server:
        server.start()
        clients = [imap.Client(server, "alice") for _ in range(5)]
        clients[0].ok("NOOP")
        postroom.time.sleep(0.05)
        for c in clients[2:]:
            c.ok("NOOP")
        clients[0].ok("NOOP")
        newcomer = imap.Client(server, "alice")
        newcomer.ok("NOOP")
        assert clients[1].line().startswith(b"* BYE ")
        assert clients[1].at_end()
        for c in [clients[0], *clients[2:]]:
            c.ok("NOOP")
            c.close()
        newcomer.close()


def test_who_does_not_log_in_is_sent_away_however_busy():
    with imap.Imapd(conf="login-time 5s\n") as server:
        server.start()
        with imap.Client(server) as c:
            lines = []
            c.sock.settimeout(1)
            while not any(line.startswith(b"* BYE ") for line in lines):
                try:
                    c.send("a NOOP\r\n")
                    lines.append(c.line())
                except TimeoutError:
                    pass
                postroom.time.sleep(0.2)
            c.sock.settimeout(postroom.DEADLINE_S)
            assert c.at_end() or c.buffer.startswith(b"a OK")
