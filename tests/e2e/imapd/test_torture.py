"""MIME torture: whatever a message looks like, ENVELOPE, BODY and BODYSTRUCTURE are grammatical, sections are octets of the
message and agree with what the structure says, and all of it is the same each time."""

import os
import random
import sys

import imap
import strict

# Deep structures are parsed by recursion here; the server's own parser has none.
sys.setrecursionlimit(10000)

HEADERS = [
    b"From: a@b", b"From: =?utf-8?q?J=C3=BCrgen?= <j@x>", b'From: "a\\"b\\\\" <q@x>', b"From: a, b <c@d>, e:f@g,h;, <>", b"From: \xff\xfe\xfd <\xc3@x>",
    b"From: ((((((a)b)c)d) x@y", b"From: <@r1,@r2:u@h>", b"From: a@[127.0.0.1]", b'From: "unclosed <x@y>', b"From:", b"From: ;;;,,,<<<>>>",
    b"To: undisclosed-recipients:;", b"To: g: a@b, c@d; , e@f", b"To: " + b"x@y, " * 300, b"Cc: a@b (comment (nested) \\) x)",
    b"Subject: =?utf-8?b?!!!!?= =?x?q?=zz?=", b"Subject: \t\t folded\r\n \r\n\tagain", b"Subject: " + b"\xe4" * 50, b"Subject: \"\\", b"Subject: {3}",
    b"Subject: a\rb", b"Date: Mon, 99 Foo 20111 99:99:99 +9999", b"Date: 1", b"Date:", b"Message-ID: <a b c>", b"Message-ID: no-brackets",
    b"In-Reply-To: <a@b> <c@d> junk", b"References: <" + b"x" * 3000 + b">", b"not a header at all", b": empty name", b"X-\xff: \x80",
    b"Content-ID: <id>", b"Content-Description: =?utf-8?q?x?=", b"Content-Language: de, , en, (c) fr", b"Content-Location: http://x/ y",
    b"Content-MD5: \"quoted\"", b"Content-Disposition: attachment; filename*0*=utf-8''a%zz; filename*1=b", b"Content-Disposition: ;;;=",
    b"Content-Disposition: \"inline\"; x", b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: \xff", b"Content-Transfer-Encoding:",
    b"Content-Transfer-Encoding: quoted-printable (x)", b"MIME-Version: 1.0 (really)", b"Reply-To: <a@b", b"Sender: a@b, c@d", b"Bcc: x",
]
TYPES = [
    b"text/plain", b"text/plain; charset=\xff", b"TEXT/HTML; Charset=\"utf-8", b"text", b"/", b"", b"text/plain; =;=;=", b"image/png; name*=utf-8'de'%41",
    b"application/octet-stream; name=\"a\\", b"message/rfc822", b"message/rfc822; x=y", b"message/partial; id=x; number=1", b"message/external-body",
    b"multipart/mixed", b"multipart/mixed; boundary=", b"multipart/mixed; boundary=\"\"", b"text/" + b"x" * 500, b"a" * 2000 + b"/b",
    b"text/plain; " + b"; ".join(b"p%d=%d" % (n, n) for n in range(200)), b"text/plain; charset=us-ascii; charset=utf-8", b"multipart/digest; boundary=\"d d\"",
]
LINES = [b"text\r\n", b"", b"--\r\n", b"--b\r\n", b"--b--\r\n", b"--b \t\r\n", b"--bb\r\n", b"----b\r\n", b"\r\n", b"\xff\xfe\r\n", b"a" * 2000 + b"\r\n", b"bare\nlf",
         b"bare\rcr", b"Content-Type: text/html\r\n", b"\r\n\r\n", b"--b\n", b"--b\r\n\r\n", b"--b\r\nContent-Type: message/rfc822\r\n\r\n",
         b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", b"--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nx\r\n",
         b"--c--\r\n", b"Zm9v\r\n", b"=41=\r\n", b"begin 644 x\r\n"]


def ugly(seed):
    r = random.Random(seed)
    headers = r.sample(HEADERS, r.randint(0, 8))
    if r.random() < 0.8:
        headers.append(b"Content-Type: " + (r.choice(TYPES) if r.random() < 0.4 else b"multipart/mixed; boundary=b"))
    r.shuffle(headers)
    end = r.choice([b"\r\n", b"\r\n", b"\r\n", b"\n"])
    text = end.join(headers) + end + (end if r.random() < 0.95 else b"")
    text += b"".join(r.choice(LINES) for _ in range(r.randint(0, 25)))
    if r.random() < 0.2:
        text = text[:r.randint(1, max(1, len(text)))]
    for _ in range(r.choice([0, 0, 0, 1, 5])):
        at = r.randrange(len(text)) if text else 0
        text = text[:at] + bytes([r.randint(1, 255)]) + text[at + 1:]
    return text or b"x"


def append_all(client, mailbox, texts):
    """A hundred at a time (RFC 3502)."""
    for at in range(0, len(texts), 100):
        client.send(b"m APPEND %s %s\r\n" % (mailbox.encode(), b" ".join(b"{%d+}\r\n%s" % (len(t), t) for t in texts[at:at + 100])))
        reply = client.collect("m")
        assert reply.status == "OK", reply


def responses(client, which, items):
    """Octets of each message's response, as they came."""
    return [u.split(b" ", 2)[2] for u in client.ok(f"FETCH {which} {items}").untagged if b" FETCH " in u[:30]]


def dotted(path):
    return ".".join(map(str, path))


def check_sections(client, n, body, text):
    """What the structure says of each part is what its section has."""
    found = [part for part in strict.parts(body, True) if part[0]][:40]
    if not found:
        return
    items = " ".join(f"BODY.PEEK[{dotted(path)}] BODY.PEEK[{dotted(path)}.MIME] BODY.PEEK[{dotted(path)}]<1.7>" for path, *_ in found)
    got = client.fetch(str(n), f"(BODY.PEEK[HEADER] BODY.PEEK[TEXT] {items})")[n]
    wire = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert got["BODY[HEADER]"] + got["BODY[TEXT]"] == wire or b"\r" in text.replace(b"\r\n", b"")
    for path, kind, subtype, octets, lines in found:
        part = got[f"BODY[{dotted(path)}]"]
        assert part is not None and len(part) == octets, (path, octets, part)
        assert part in got["BODY[HEADER]"] + got["BODY[TEXT]"]
        assert got[f"BODY[{dotted(path)}]<1>"] == part[1:8]
        if lines is not None:
            assert abs(part.count(b"\r\n") - lines) <= 1 or b"\r" in part.replace(b"\r\n", b""), (path, lines, part)


def test_thousands_of_ugly_messages(imapd, user):
    """clients.md's tenth transcript: read back by a strict parser of its own, and the same each time."""
    texts = [ugly(seed) for seed in range(int(os.environ.get("UGLY_MESSAGES", 1000)))]     # `make check-volume`: 5,000
    with imap.Client(imapd, user) as c:
        append_all(c, "INBOX", texts)
        c.ok("SELECT INBOX")
        first = responses(c, "1:*", "(UID ENVELOPE BODY BODYSTRUCTURE RFC822.SIZE)")
        assert len(first) == len(texts)
        for n, response in enumerate(first):
            p = imap.Parser(response.split(b" ", 1)[1] if response.startswith(b"FETCH ") else response)
            items = p.fetch_items()
            p.end()
            strict.envelope(items["ENVELOPE"])
            assert strict.parts(items["BODY"], False) == strict.parts(items["BODYSTRUCTURE"], True), texts[n]
            if n % 10 == 0:
                check_sections(c, n + 1, items["BODYSTRUCTURE"], texts[n])
        for n, got in c.fetch("1:*", "(BODY.PEEK[] RFC822.SIZE)").items():
            assert got["RFC822.SIZE"] == len(got["BODY[]"])
    imapd.postroom("index", "rebuild", imapd.address(user))
    with imap.Client(imapd, user) as c:
        c.ok("SELECT INBOX")
        assert responses(c, "1:*", "(UID ENVELOPE BODY BODYSTRUCTURE RFC822.SIZE)") == first


def structure(client, text):
    client.append("INBOX", text)
    client.ok("NOOP")
    (items,) = client.fetch("*", "(ENVELOPE BODY BODYSTRUCTURE RFC822.SIZE)").values()
    strict.envelope(items["ENVELOPE"])
    found = strict.parts(items["BODYSTRUCTURE"], True)
    assert strict.parts(items["BODY"], False) == found
    client.append("INBOX", text)
    client.ok("NOOP")
    (again,) = client.fetch("*", "(ENVELOPE BODY BODYSTRUCTURE RFC822.SIZE)").values()
    assert again == items
    return found


def test_ten_thousand_parts_and_more(box):
    for count in (9000, 12000):
        text = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * count + b"--b--\r\n"
        found = structure(box, text)
        assert len(found) == min(count, 9999)
        last = max(path for path, *_ in found)
        (got,) = box.fetch("*", f"(BODY.PEEK[{dotted(last)}] BODY.PEEK[8999] BODY.PEEK[{dotted(last)}.MIME])").values()
        assert got["BODY[8999]"] == b"x"
        assert len(got[f"BODY[{dotted(last)}]"]) == dict((path, octets) for path, _, _, octets, _ in found)[last]


def test_deep_multiparts_and_chains_of_messages(box):
    for depth in (20, 99, 400, 5000):
        nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth)) + b"\r\nx\r\n"
        chain = b"Content-Type: message/rfc822\r\n\r\n" * depth + b"Subject: inmost\r\n\r\nx\r\n"
        assert len(structure(box, nested)) == 1
        assert len(structure(box, chain)) == min(depth, 100) + 1
    path = dotted([1] * 50)
    box.append("INBOX", b"Content-Type: message/rfc822\r\n\r\n" * 50 + b"Subject: inmost\r\n\r\nx\r\n")
    box.ok("NOOP")
    (got,) = box.fetch("*", f"(BODY.PEEK[{path}.HEADER] BODY.PEEK[{path}.TEXT] BODY.PEEK[{dotted([1] * 90)}])").values()
    assert got[f"BODY[{path}.HEADER]"] == b"Subject: inmost\r\n\r\n" and got[f"BODY[{path}.TEXT]"] == b"x\r\n"
    assert got[f"BODY[{dotted([1] * 90)}]"] is None
    box.bad(f"FETCH * BODY.PEEK[{dotted([1] * 2000)}]")


def test_huge_headers_come_back_whole(box):
    for text in (b"To: " + b"a@b, " * 500000 + b"c@d\r\n\r\nx", b"Subject: " + b"x" * (10 << 20) + b"\r\n\r\nx",
                 b"X-A: b\r\n" * 300000 + b"Subject: behind\r\n\r\nx", b"Content-Type: text/plain" + b"; a*%d=b" * 1 % 1 + b"; x=y" * 200000 + b"\r\n\r\nx"):
        structure(box, text)
        (got,) = box.fetch("*", "(BODY.PEEK[HEADER] RFC822.SIZE)").values()
        assert got["BODY[HEADER]"] == text[:-1] and got["RFC822.SIZE"] == len(text)


def test_mixed_charsets_and_mistaken_ends(box):
    """Parts in different charsets, boundaries that begin alike, an end that comes too early or never."""
    text = (b"Content-Type: multipart/mixed; boundary=\"=_a\"\r\n\r\n"
            b"--=_a\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B4A;z\x1b(B\r\n"
            b"--=_a\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n\xd0\xd2\r\n"
            b"--=_a1\r\nContent-Type: text/html; charset=gb18030\r\n\r\n\xc4\xe3\r\n"
            b"--=_a--\r\nepilogue\r\n--=_a\r\n\r\nnot a part\r\n")
    found = structure(box, text)
    assert sorted(part[0] for part in found) == [(1,), (2,)] or sorted(part[0] for part in found) == [(1,), (2,), (3,)]
    (got,) = box.fetch("*", "(BODY.PEEK[1] BODY.PEEK[2])").values()
    assert got["BODY[1]"] == b"\x1b$B4A;z\x1b(B" and got["BODY[2]"].startswith(b"\xd0\xd2")


def test_previews_and_decoded_parts_of_ugly_messages(box):
    """RFC 8970 §3.3 and RFC 3516 §4.3 hold whatever is inside."""
    texts = [ugly(seed) for seed in range(10000, 10800)]
    append_all(box, "INBOX", texts)
    box.ok("NOOP")
    first = box.fetch("1:*", "PREVIEW")
    assert len(first) == len(texts)
    for items in first.values():
        text = items["PREVIEW"].decode("utf-8")         # or it fails
        assert len(text) <= 200 and text == " ".join(text.split())
    assert box.fetch("1:*", "PREVIEW (LAZY)") == first
    for n in range(1, len(texts) + 1, 4):
        for part in ("1", "2", "1.1"):
            reply = box.cmd(f"FETCH {n} (BINARY.SIZE[{part}] BINARY.PEEK[{part}] BINARY.PEEK[{part}]<1.3> BODY.PEEK[{part}])")
            if reply.status == "NO":
                assert reply.code() == "UNKNOWN-CTE" and reply.fetched() == {}
                continue
            got = reply.fetched()[n]
            decoded = got[f"BINARY[{part}]"]
            assert (decoded is None) == (got[f"BODY[{part}]"] is None)
            assert got[f"BINARY.SIZE[{part}]"] == len(decoded or b"")
            assert (got[f"BINARY[{part}]<1>"] or b"") == (decoded or b"")[1:4]
            assert isinstance(decoded, imap.Literal8) == (b"\0" in (decoded or b""))
