"""SEARCH finds what a reader sees: every charset and encoding that mail comes in, in bodies and in headers."""

import base64
import quopri
import urllib.parse

import pytest

import imap

TEXTS = [
    ("iso-8859-1", "Grüße aus Köln"), ("iso-8859-2", "Žluťoučký kůň"), ("iso-8859-5", "Привет мир"), ("iso-8859-7", "Καλημέρα κόσμε"),
    ("iso-8859-15", "Preis: 5 €"), ("windows-1251", "Съешь ещё булок"), ("windows-1252", "“Zitat” – 10 €"), ("koi8-r", "Широкая электрификация"),
    ("shift_jis", "日本語のテスト"), ("iso-2022-jp", "会議のお知らせ"), ("euc-jp", "こんにちは世界"), ("gb18030", "汉语测试㐀"), ("gb2312", "你好世界"),
    ("big5", "繁體中文測試"), ("euc-kr", "안녕하세요 세계"), ("utf-8", "Ünïcödé ☃ 🎉"), ("utf-16", "sechzehn Bit ß"),
]


def encoded(text, charset, encoding):
    raw = text.encode("iso-8859-15" if charset == "iso-8859-15" else charset)
    if encoding == "base64":
        return base64.encodebytes(raw).replace(b"\n", b"\r\n")
    if encoding == "quoted-printable":
        return quopri.encodestring(raw).replace(b"\n", b"\r\n") + b"\r\n"
    return raw + b"\r\n"


@pytest.fixture(scope="module")
def mail(imapd):
    imapd.add_account("reader")
    with imap.Client(imapd, "reader") as c:
        c.ok("SELECT INBOX")
        for n, (charset, text) in enumerate(TEXTS):
            encoding = ("base64", "quoted-printable", "8bit")[n % 3]
            if charset in ("utf-16", "iso-2022-jp"):
                encoding = "base64"
            padding = "x" * (32768 - 7) + "\n" if n % 2 else ""        # the text lies across two reads
            body = encoded(padding + text, charset, encoding)
            c.append("INBOX", f"Subject: body {charset}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"{charset}\"\r\n"
                              f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body)
        for charset, text in TEXTS:
            if charset == "utf-16":
                continue
            # Two encoded-words, folded between them.
            words = [base64.b64encode(piece.encode(charset)).decode() for piece in (text[:3], text[3:])]
            subject = "\r\n ".join(f"=?{charset}?b?{word}?=" for word in words)
            c.append("INBOX", f"Subject: {subject}\r\nFrom: x@y\r\n\r\nheader\r\n".encode())
        c.ok("NOOP")
        yield c


def search(c, key, text):
    return [int(n) for n in c.ok(f"SEARCH CHARSET UTF-8 {key} ", text.encode()).all("SEARCH")[0].split()]


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_bodies_are_found_in_every_charset_and_case(mail, number):
    text = TEXTS[number][1]
    assert search(mail, "BODY", text) == [number + 1]
    assert search(mail, "BODY", "".join(c if c == "ß" else c.swapcase() for c in text)) == [number + 1]   # i;unicode-casemap
    assert search(mail, "BODY", text[1:-1]) == [number + 1]             # a part of it
    assert number + 1 in search(mail, "TEXT", text)


@pytest.mark.parametrize("number", range(len(TEXTS) - 1))
def test_subjects_are_found_in_every_charset(mail, number):
    assert search(mail, "SUBJECT", TEXTS[number][1]) == [len(TEXTS) + number + 1]
    assert search(mail, "HEADER Subject", TEXTS[number][1][1:]) == [len(TEXTS) + number + 1]


def test_the_client_may_use_another_charset(mail):
    for number, charset in ((0, "iso-8859-1"), (5, "windows-1251"), (7, "koi8-r"), (8, "shift_jis"), (11, "gb18030")):
        found = mail.ok(f"SEARCH CHARSET {charset} BODY ", TEXTS[number][1].encode(charset)).all("SEARCH")[0]
        assert [int(n) for n in found.split()] == [number + 1]


def test_names_of_attachments(box):
    name = "Übersicht März.pdf"
    pieces = urllib.parse.quote(name)
    box.append("INBOX", (
        "Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
        f"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment;\r\n filename*0*=utf-8''{pieces[:11]};\r\n"
        f" filename*1*={pieces[11:]}\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n").encode())
    word = base64.b64encode("Größe.png".encode()).decode()
    box.append("INBOX", (
        f"Subject: b\r\nMIME-Version: 1.0\r\nContent-Type: image/png; name=\"=?utf-8?b?{word}?=\"\r\n"
        "Content-Disposition: attachment; filename*=iso-8859-1''Gr%F6%DFe.png\r\n\r\nAAAA\r\n").encode())
    box.append("INBOX", b"Subject: c\r\nContent-Type: text/plain; charset=\"us-ascii\"; name*=broken; x*0=1; *=\r\n\r\nbroken\r\n")
    box.ok("NOOP")
    assert search(box, "BODY", "übersicht märz") == search(box, "TEXT", "MÄRZ.PDF") == [1]
    assert search(box, "TEXT", "größe.png") == [2] == search(box, "HEADER Content-Disposition", "GRÖSSE.PNG".replace("SS", "ß"))
    assert search(box, "HEADER Content-Type", "größe") == [2]
    assert search(box, "TEXT", "broken") == [3] and search(box, "BODY", "nothing") == []


def test_headers_of_messages_within_messages(box):
    inner = "Subject: =?koi8-r?B?" + base64.b64encode("Отчёт".encode("koi8-r")).decode() + "?=\r\n\r\ninner\r\n"
    box.append("INBOX", ("Subject: fwd\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n" + inner).encode())
    box.ok("NOOP")
    assert search(box, "BODY", "отчёт") == [1] and search(box, "SUBJECT", "отчёт") == []
    assert search(box, "TEXT", "ОТЧЁТ") == [1]


def test_octets_of_ascii_are_text_only_where_the_charset_says_so(mail):
    """Small messages are searched where they lie, large ones in pieces; what an escape makes of ASCII is never taken for itself."""
    filler = "abcdefghijklmnopqrstuvwxyz 0123456789\r\n" * 5000       # more than is read at once
    for name, charset, body in (("small", "us-ascii", "a Needle in it\r\n"), ("bare", "", "a nEEdle in it\r\n"),
                                ("large", "iso-8859-1", filler + "a needle in it\r\n" + filler),
                                ("escaped", "iso-2022-jp", "\x1b$Bneedle!!\x1b(B\r\n"), ("other", "us-ascii", filler)):
        kind = f"Content-Type: text/plain; charset={charset}\r\n" if charset else ""
        mail.append("INBOX", f"Subject: plain {name}\r\nMIME-Version: 1.0\r\n{kind}\r\n{body}".encode())
    mail.ok("NOOP")
    subjects = ("small", "bare", "large")
    wanted = {number for name in subjects for number in search(mail, "SUBJECT", f"plain {name}")}
    assert len(wanted) == 3
    for key in ("BODY", "TEXT"):
        assert set(search(mail, key, "needle")) == wanted
        assert set(search(mail, key, "NEEDLE in IT")) == wanted
        assert not search(mail, key, "needlework")
