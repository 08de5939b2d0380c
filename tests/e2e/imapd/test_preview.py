"""The first words of a message (RFC 8970)."""

import base64
import quopri

import imap
import pytest
from postroom import message


def text(subject, body, headers=""):
    return (f"From: a@x\r\nSubject: {subject}\r\n{headers}\r\n").encode() + (body if isinstance(body, bytes) else body.encode())


def preview(client, which="*"):
    (items,) = client.fetch(which, "PREVIEW").values()
    return items["PREVIEW"]


def test_the_examples_of_rfc_8970(box):
    """§3.2 and §5."""
    lorem = "Lorem ipsum dolor sit amet, consectetur adipiscing elit.\r\n" * 40
    box.append("INBOX", text("1", "Preview text!\r\n"))
    box.append("INBOX", text("2", b"\x89PNG", "Content-Type: image/png\r\n"))
    box.append("INBOX", text("3", lorem))
    box.ok("NOOP")
    assert box.fetch("1", "(PREVIEW)") == {1: {"PREVIEW": b"Preview text!"}}
    got = box.fetch("3", "(RFC822.SIZE PREVIEW)")[3]
    assert got["RFC822.SIZE"] == len(text("3", lorem)) and len(got["PREVIEW"]) == 200
    assert lorem.replace("\r\n", " ").startswith(got["PREVIEW"].decode())
    got = box.fetch("1:3", "(ENVELOPE PREVIEW (LAZY))")
    assert got[1]["PREVIEW"] == b"Preview text!" and got[2]["PREVIEW"] == b"" and got[1]["ENVELOPE"][1] == b"1"
    assert got[3]["PREVIEW"] == preview(box, "3")
    box.send("C2 SEARCH RETURN (SAVE) SUBJECT 1\r\nC3 FETCH $ (UID PREVIEW (LAZY))\r\n")
    assert box.collect("C2").status == "OK"
    assert box.collect("C3").fetched()[1]["PREVIEW"] == b"Preview text!"
    assert "\\Seen" not in box.flags("1")[1]


@pytest.mark.parametrize("headers, body, want", (
    ("Content-Type: text/plain; charset=iso-8859-1\r\n", b"Gr\xfc\xdfe", "Grüße"),
    ("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n",
     base64.b64encode("日本語 😀".encode()), "日本語 😀"),
    ("Content-Type: text/html; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n",
     quopri.encodestring("<style>p{}</style><p>Caf\xe9 &amp; <b>mehr</b>".encode("cp1252")), "Café & mehr"),
    ("", "> quoted\r\n> text\r\n\r\nmy answer", "my answer"),
    ("Content-Type: multipart/alternative; boundary=b\r\n",
     "--b\r\nContent-Type: text/html\r\n\r\n<p>html\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b--\r\n", "plain"),
    ("Content-Type: message/rfc822\r\n", "Subject: inner\r\n\r\ninner text\r\n", "inner text"),
    ("Content-Type: text/plain; charset=no-such\r\n", b"\xff\xfeab", "\ufffd\ufffdab"),
    ("Content-Transfer-Encoding: x-uuencode\r\n", "begin 644 x", ""),
    ("", "", ""),
))
def test_texts_of_all_kinds(box, headers, body, want):
    box.append("INBOX", text("x", body, headers))
    box.ok("NOOP")
    assert preview(box).decode() == want
    assert preview(box).decode() == want


def test_in_any_place_among_the_items(box):
    box.append("INBOX", message("one", body="words here\r\n"))
    box.ok("NOOP")
    for items in ("PREVIEW", "PREVIEW (LAZY)", "(PREVIEW)", "(PREVIEW (LAZY))", "(UID PREVIEW (LAZY) FLAGS)", "(PREVIEW BODY.PEEK[])",
                  "PREVIEW (CHANGEDSINCE 0)", "PREVIEW (LAZY) (CHANGEDSINCE 0)"):
        assert box.fetch("1", items)[1]["PREVIEW"] == b"words here", items
    for items in ("PREVIEW (EAGER)", "PREVIEW[]", "PREVIEW ()"):
        box.bad(f"FETCH 1 {items}")


def test_preview_that_is_off_is_not_there():
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off PREVIEW\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            c.ok("SELECT INBOX")
            c.bad("FETCH 1:* PREVIEW")
