"""Literals that come unasked (RFC 7888), as far as the server's capabilities allow them."""

import imap
from postroom import message


def test_literal_minus_where_literal_plus_is_off():
    """RFC 7888 §5: up to 4096 octets; never both capabilities."""
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off LITERAL+\nfailure-delay 1ms\n") as server:
        server.start()
        with imap.Client(server) as c:
            assert {b"LITERAL-"} == set(c.ok("CAPABILITY").all("CAPABILITY")[0].split()) & {b"LITERAL+", b"LITERAL-"}
            password = server.password("alice").encode()
            c.send(b"a LOGIN {18+}\r\nalice@example.test {%d+}\r\n%s\r\n" % (len(password), password))
            assert c.collect("a").status == "OK"
            small, large = message("s").ljust(4096, b"x"), message("l").ljust(4097, b"x")
            c.send(b"b APPEND INBOX {4096+}\r\n%s\r\n" % small)
            assert c.collect("b").status == "OK"
            c.send(b"c APPEND INBOX {4097+}\r\n%s\r\nd NOOP\r\n" % large)
            assert c.collect("c").code() == "TOOBIG"
            assert c.collect("d").status == "OK"
            c.send(b"e APPEND INBOX {3+}\r\nabc {4097+}\r\n%s\r\nf NOOP\r\n" % large)
            assert c.collect("e").code() == "TOOBIG"
            assert c.collect("f").status == "OK"
            c.append("INBOX", large)
            c.send(b"g APPEND INBOX {100000000+}\r\n")
            assert c.line().startswith(b"* BYE [TOOBIG]")


def test_no_literal_unasked_where_both_are_off():
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off LITERAL+ LITERAL-\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            assert b"LITERAL" not in c.ok("CAPABILITY").all("CAPABILITY")[0]
            c.send(b"a SELECT {5+}\r\nINBOX\r\nb NOOP\r\n")
            assert c.collect("a").code() == "TOOBIG"
            assert c.collect("b").status == "OK"
            c.ok("SELECT ", b"INBOX")
