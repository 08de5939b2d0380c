"""tests/support/messages.py - a thousand messages, the same ones each time, for whoever has to carry mail unchanged.

    from messages import messages
    for m in messages():            # or messages(count=50): every kind is among any 20 that follow each other
        server.data(m.data)

Every message is what may stand in SMTP DATA before dot-stuffing: line ends are CRLF only, no NUL, no line beyond 20,000
octets; but for that, anything goes. `from_count` tells the header's From fields, since a server may refuse mail that has
not exactly one of them (RFC 5322 section 3.6); `kind` is one word for reports. Run as a program it prints a table.
"""
import base64
import dataclasses
import quopri
import random


@dataclasses.dataclass(frozen=True)
class Message:
    number: int
    kind: str
    data: bytes
    from_count: int = 1

    @property
    def name(self):
        return f"{self.number:04d}-{self.kind}"


WORDS = ("mail letter post box stamp river morning bridge cloud engine paper window garden winter number silver "
         "market doctor little yellow number quick simple honest answer question").split()
UNICODE = ["Grüße", "naïve", "日本語", "Привет", "שלום", "مرحبا", "🎉📮", "ﬁn", "e\u0301", "ß", "½", "—"]


class Writer:
    """Random pieces of mail, drawn from one seeded source."""

    def __init__(self, number):
        self.number = number
        self.random = random.Random(number * 7919 + 17)

    def words(self, least=3, most=12):
        return " ".join(self.random.choice(WORDS) for _ in range(self.random.randint(least, most)))

    def line(self):
        return self.words(4, 11)

    def text(self, lines=None):
        lines = self.random.randint(1, 30) if lines is None else lines
        return "".join(self.line() + "\r\n" for _ in range(lines)).encode()

    def unicode_text(self):
        return "".join(self.line() + " " + self.random.choice(UNICODE) + "\r\n"
                       for _ in range(self.random.randint(1, 12)))

    def boundary(self):
        return self.random.choice(["=_%06d", "----=_Part_%06d.x", "b%06d", "'%06d'", "a b%06d"]) % self.random.randrange(10**6)

    def address(self):
        host = self.random.choice(["example.test", "example.org", "sub.example.net"])
        return f"{self.random.choice(WORDS)}{self.random.randrange(100)}@{host}"

    def header(self, **more):
        fields = {
            "From": f"{self.random.choice(WORDS).title()} <{self.address()}>",
            "To": ", ".join(self.address() for _ in range(self.random.randint(1, 4))),
            "Subject": self.words(1, 8),
            "Date": "%s, %02d %s 20%02d %02d:%02d:%02d %s" % (
                self.random.choice(["Mon", "Tue", "Wed"]), self.random.randint(1, 28),
                self.random.choice(["Jan", "Feb", "Mar", "Nov", "Dec"]), self.random.randint(0, 30),
                self.random.randint(0, 23), self.random.randint(0, 59), self.random.randint(0, 59),
                self.random.choice(["+0000", "-0500", "+0530", "GMT"])),
            "Message-ID": f"<{self.number}.{self.random.randrange(10**9)}@example.test>",
        }
        fields.update({k.replace("_", "-"): v for k, v in more.items()})
        return b"".join(f"{k}: {v}\r\n".encode() for k, v in fields.items() if v is not None)

    def leaf(self):
        which = self.random.randrange(4)
        if which == 0:
            return b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + self.text()
        if which == 1:
            return (b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>" +
                    self.unicode_text().encode() + b"</p>\r\n")
        if which == 2:
            octets = bytes(self.random.randrange(256) for _ in range(self.random.randint(0, 600)))
            return (b"Content-Type: application/octet-stream; name=\"a file.bin\"\r\n"
                    b"Content-Disposition: attachment; filename*=utf-8''%C3%A4%20file.bin\r\n"
                    b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(octets).replace(b"\n", b"\r\n"))
        return (b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
                quopri.encodestring(self.unicode_text().replace("\r\n", "\n").encode()).replace(b"\n", b"\r\n"))

    def part(self, depth):
        """Header fields of the content, an empty line, the content."""
        which = self.random.randrange(6) if depth > 0 else 0
        if which == 5:
            return b"Content-Type: message/rfc822\r\n\r\n" + self.header() + b"MIME-Version: 1.0\r\n" + self.part(depth - 1)
        if which < 2:
            return self.leaf()
        boundary = self.boundary()
        kind = self.random.choice(["mixed", "alternative", "related", "x-unknown"])
        parts = b"".join(b"--" + boundary.encode() + b"\r\n" + self.part(depth - 1) + b"\r\n"
                         for _ in range(self.random.randint(1, 4)))
        return (f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'.encode() +
                self.random.choice([b"", b"This is a message in parts.\r\n"]) + parts +
                b"--" + boundary.encode() + b"--\r\n" + self.random.choice([b"", b"behind the end\r\n"]))


def plain(w):
    return w.header() + b"\r\n" + w.text()


def folded(w):
    return w.header(Subject="a very\r\n long\r\n\tsubject that\r\n  is folded",
                    References=" ".join(f"<{i}@example.test>\r\n" for i in range(20)).rstrip()) + b"\r\n" + w.text()


def encoded_words(w):
    return w.header(Subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?b?4fY=?=",
                    From=f"=?utf-8?b?{base64.b64encode('Jürgen Öl'.encode()).decode()}?= <{w.address()}>") + b"\r\n" + w.text()


def utf8_header(w):
    return w.header(Subject=w.random.choice(UNICODE) * 3) + b"\r\n" + w.unicode_text().encode()


def latin1(w):
    return (w.header(Content_Type="text/plain; charset=iso-8859-1", MIME_Version="1.0",
                     Content_Transfer_Encoding="8bit") + b"X-Raw: \xe4\xf6\xfc\r\n\r\n" +
            bytes(w.random.choice(range(0xa0, 0x100)) for _ in range(200)) + b"\r\n")


def all_octets(w):
    octets = [c for c in range(1, 256) if c not in (10, 13)]
    w.random.shuffle(octets)
    return w.header() + b"\r\n" + b"".join(bytes(octets[i:i + 60]) + b"\r\n" for i in range(0, len(octets), 60))


def nested(w):
    return w.header() + b"MIME-Version: 1.0\r\n" + w.part(4)


def deep(w):
    depth = w.random.choice([20, 60, 120])
    data = w.header() + b"MIME-Version: 1.0\r\n"
    for i in range(depth):
        data += f"Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n".encode()
    return data + b"\r\ninnermost\r\n" + b"".join(b"\r\n--b%d--\r\n" % i for i in reversed(range(depth)))


def message_in_message(w):
    data = plain(w)
    for _ in range(w.random.randint(1, 12)):
        data = w.header(Content_Type="message/rfc822") + b"\r\n" + data
    return data


def many_parts(w):
    return (w.header(Content_Type="multipart/digest; boundary=d") + b"\r\n" +
            b"".join(b"--d\r\n\r\nSubject: %d\r\n\r\nx\r\n" % i for i in range(w.random.randint(50, 300))) + b"--d--\r\n")


def broken_header(w):
    ugly = [b"no colon in this line\r\n", b"Name with space: x\r\n", b" folded from nothing\r\n", b": no name\r\n",
            b"X-Space : y\r\n", b"From someone@example.test Fri Nov 21 09:55:06 1997\r\n", b"\xff\xfe: z\r\n",
            b"Subject: another\r\n", b"Date: yesterday\r\n", b"Content-Type: nonsense; ; = ;\"\r\n",
            b"To: a@b <c@d>, \"unended <x@y>\r\n", b"Content-Type: multipart/mixed\r\n"]
    w.random.shuffle(ugly)
    middle = b"".join(ugly[:w.random.randint(1, 5)])
    return w.random.choice([middle + w.header(), w.header() + middle]) + b"\r\n" + w.text()


def broken_parts(w):
    data = w.header(Content_Type='multipart/mixed; boundary="b"') + b"\r\n"
    return data + w.random.choice([
        b"no delimiter at all\r\n", b"--b\r\nContent-Type: text/html\r\n--b\r\n\r\nx\r\n", b"--b\r\n\r\nunended\r\n",
        b"--b--\r\n--b\r\n\r\nbehind the end\r\n", b"--b \t\r\n\r\nx\r\n--bb\r\n--b--\r\n", b"--b\r\n--b\r\n--b--\r\n"])


def dots(w):
    return w.header() + b"\r\n" + b"".join(w.random.choice([b".", b"..", b"...", b".x", b"..x", b"x.", b" .", b""]) + b"\r\n"
                                          for _ in range(40))


def only_dots(w):
    return w.header() + b"\r\n.\r\n..\r\n.\r\n"


def long_lines(w):
    return w.header() + b"\r\n" + b"".join(w.random.choice([b"x", b"ab ", b".", "ü".encode()]) * w.random.randint(300, 6000) +
                                          b"\r\n" for _ in range(3))


def long_header(w):
    return w.header(X_Long="y" * 15000, To=", ".join(w.address() for _ in range(300))) + b"\r\n" + w.text(2)


def big(w):
    return w.header(Content_Type="application/octet-stream", Content_Transfer_Encoding="base64") + b"\r\n" + (
        base64.b64encode(bytes(w.random.randrange(256) for _ in range(54))) + b"\r\n") * w.random.randint(500, 3000)


def blank_lines(w):
    return w.header() + b"\r\n" * w.random.randint(1, 60)


def header_only(w):
    return w.header()


def body_only(w):
    return b"\r\n" + w.text()


def nothing(w):
    return w.random.choice([b"", b"\r\n", b"\r\n\r\n", b".\r\n", b"x\r\n", b" \r\n"])


# (kind, how often in a row of 20, From fields)
KINDS = [(plain, 2, 1), (folded, 1, 1), (encoded_words, 1, 1), (utf8_header, 1, 1), (latin1, 1, 1), (all_octets, 1, 1),
         (nested, 2, 1), (message_in_message, 1, 1), (broken_header, 1, 1), (broken_parts, 1, 1), (dots, 1, 1),
         (only_dots, 1, 1), (long_lines, 1, 1), (blank_lines, 1, 1), (header_only, 1, 1), (body_only, 1, 0), (nothing, 1, 0)]
RARE = [(deep, 1), (many_parts, 1), (long_header, 1), (big, 1)]     # one of them closes each row of 20


def messages(count=1000):
    """The first `count` of the messages, as a generator."""
    row = [(f, n) for f, times, n in KINDS for _ in range(times)]
    assert len(row) == 19
    for number in range(count):
        place = number % 20
        make, from_count = row[place] if place < 19 else RARE[number // 20 % len(RARE)]
        data = make(Writer(number))
        assert b"\0" not in data and data.count(b"\n") == data.count(b"\r") == data.count(b"\r\n")
        yield Message(number, make.__name__.replace("_", "-"), data, from_count)


if __name__ == "__main__":
    import hashlib
    digest = hashlib.sha256()
    for m in messages():
        digest.update(m.data)
        print(f"{m.name:28} {len(m.data):8}")
    print("all:", digest.hexdigest())
