"""UTF-8 in names and quoted strings (RFC 9755)."""

import imap
from postroom import message


def listed(client, word="LIST"):
    return {text.split(b' "/" ', 1)[1] for text in client.ok(f'{word} "" *').all(word)}


def test_names_go_as_they_are_once_enabled(client):
    client.ok('CREATE "Entw&APw-rfe"')
    client.ok('CREATE "R&-D"')
    assert {b"Entw&APw-rfe", b"R&-D"} <= listed(client)
    assert client.ok("ENABLE UTF8=ACCEPT").all("ENABLED") == [b"UTF8=ACCEPT"]
    assert {'"Entwürfe"'.encode(), b"R&D"} <= listed(client)
    client.ok('CREATE "日本語/&amp"')
    client.ok('SUBSCRIBE "日本語/&amp"')
    assert '"日本語/&amp"'.encode() in listed(client, "LSUB")
    assert client.ok('STATUS "日本語/&amp" (MESSAGES)').all("STATUS") == ['"日本語/&amp" (MESSAGES 0)'.encode()]
    client.ok('LIST "" "日本%"')
    client.ok('SELECT "Entwürfe"')
    client.append('"Entwürfe"', message("Grüße"))
    client.ok('RENAME "Entwürfe" "Entwürfe 😀"')
    assert '"Entwürfe 😀"'.encode() in listed(client)


def test_utf8_names_are_taken_before_it_is_enabled(client):
    """RFC 9755 §3: quoted or as a literal; what is told is still modified UTF-7."""
    client.ok('CREATE "Entwürfe"')
    assert b"Entw&APw-rfe" in listed(client)
    client.ok("SELECT ", "Entwürfe".encode())
    client.ok('DELETE "Entw&APw-rfe"')
    client.send(b'a CREATE "\xff\xfe"\r\n')
    assert client.collect("a").status == "BAD"


def test_names_that_net_unicode_forbids(client):
    client.ok("ENABLE UTF8=ACCEPT")
    for bad in ("a\u2028b", "a\u2029b", "a\x7fb", "a\u0085b", "a\tb"):
        assert client.cmd(f'CREATE "{bad}"').status in ("NO", "BAD"), repr(bad)


def test_searches_name_no_charset(client):
    client.append("INBOX", "Subject: Grüße\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nübermorgen\r\n".encode())
    client.ok("SELECT INBOX")
    assert client.search('CHARSET UTF-8 SUBJECT "grüße"') == [1]
    client.ok("ENABLE UTF8=ACCEPT")
    assert client.search('SUBJECT "grüße" BODY "ÜBERMORGEN"') == [1]
    client.bad('SEARCH CHARSET UTF-8 SUBJECT "grüße"')
    client.bad("SORT (SUBJECT) ISO-8859-1 ALL")
    client.ok("SORT (SUBJECT) UTF-8 ALL")


def test_8bit_header_fields_are_stored_enabled_or_not(client):
    """We differ from RFC 9755 §4, and say so: see doc/imap.md."""
    for text in ("Subject: Grüße\r\n\r\nx".encode(), b"Subject: Gr\xfc\xdfe\r\n\r\nx"):
        client.append("INBOX", text)
    client.ok("SELECT INBOX")
    assert len(client.fetch("1:*", "(ENVELOPE BODYSTRUCTURE)")) == 2


MAIL = "Subject: Grüße\r\n\r\nGrüße\r\n".encode()


def test_append_by_the_utf8_item_of_rfc_6855(client):
    """Thunderbird stores in this way whatever it sends, once UTF8=ACCEPT is enabled."""
    client.ok("ENABLE UTF8=ACCEPT")

    def utf8(literal=b"~{%d+}", close=b")"):
        return b"UTF8 (" + literal % len(MAIL) + b"\r\n" + MAIL + close

    def append(*messages):
        client.send(b"u APPEND INBOX " + b" ".join(messages) + b"\r\n")
        return client.collect("u")
    assert append(b"(\\Seen)", utf8()).code().startswith("APPENDUID")
    assert append(utf8()).status == "OK"
    assert append(b'(\\Draft) "17-Jul-1996 02:44:25 -0700"', utf8(), b"(\\Flagged)", utf8(), b"{%d+}\r\n%s" % (len(MAIL), MAIL)).status == "OK"
    client.ok("SELECT INBOX")
    assert [client.fetch(n, "BODY.PEEK[]")[n]["BODY[]"] for n in range(1, 6)] == [MAIL] * 5
    assert client.flags("1")[1] - {"\\Recent"} == {"\\Seen"} and "\\Draft" in client.flags("3")[3]
    for wrong in (utf8(close=b""), utf8(close=b" x)"), b"UTF8 ()", b"UTF8", b"UTF8 x", b"UTF8 " + utf8()):
        assert append(wrong).status == "BAD", wrong
    assert client.ok("STATUS INBOX (MESSAGES)").all("STATUS")[0].endswith(b"(MESSAGES 5)")


def test_utf8_that_is_off_is_not_there():
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off UTF8=ACCEPT\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            assert c.ok("ENABLE UTF8=ACCEPT").all("ENABLED") == [b""]
            assert c.cmd('CREATE "Entwürfe"').status == "NO"
