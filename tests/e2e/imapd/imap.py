"""A strict, independent IMAP client for tests: it reads responses by the grammar of RFC 3501 §9 and forgives nothing.

    with Client(server, "alice") as c:
        c.ok("SELECT INBOX")
        c.fetch("1:*", "(UID FLAGS)")
"""

import functools
import os
import re
import subprocess

import postroom


class Imapd(postroom.Instance):
    """An instance of which only imapd runs: what most tests here need, and quick to start."""

    def start(self, wait=True):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([postroom.BIN / "imapd", "--root", self.root], stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, start_new_session=True)
        log.close()
        if wait:
            self.wait_ready(("imap", "imaps"))
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(postroom.DEADLINE_S)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, 9)
                self.process.wait()
                raise RuntimeError("imapd did not stop:\n" + self.log()) from None
        self.process = None
        log = self.log()
        assert "ERROR: AddressSanitizer" not in log and "runtime error:" not in log, log[-20000:]
        assert "LeakSanitizer" not in log, log[-20000:]


class Quoted(bytes):
    """A string (quoted or literal), as opposed to an atom."""


class Literal8(Quoted):
    """One that may hold NUL."""


class ParseError(Exception):
    pass


NUMBER = re.compile(rb"[0-9]+")
QUOTED = re.compile(rb'"((?:[^\0\r\n"\\\x80-\xff]|\\["\\])*)"')
ESCAPED = re.compile(rb"\\(.)")
ATOM_SPECIALS = b'(){ %*"\\]'


@functools.cache
def atom_of(more):
    """An atom; `more` names octets that may stand in it besides (flags, section brackets)."""
    octets = bytes(c for c in range(33, 127) if c not in ATOM_SPECIALS or c in more)
    return re.compile(b"[" + re.escape(octets) + b"]+")


class Parser:
    """One response, literals included, to atoms (bytes), strings (Quoted), numbers (int), NIL (None) and lists."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def fail(self, what):
        raise ParseError(f"{what} at {self.at}: {self.data[max(0, self.at - 30):self.at + 30]!r} in {self.data[:200]!r}")

    def peek(self):
        return self.data[self.at:self.at + 1]

    def expect(self, octets):
        if self.data[self.at:self.at + len(octets)] != octets:
            self.fail(f"expected {octets!r}")
        self.at += len(octets)

    def scan(self, pattern, what):
        found = pattern.match(self.data, self.at)
        if not found:
            self.fail(what)
        self.at = found.end()
        return found

    def number(self):
        return int(self.scan(NUMBER, "expected a number")[0])

    def quoted(self):
        text = self.scan(QUOTED, "expected a quoted string without other octets and escapes than its own")[1]
        return Quoted(ESCAPED.sub(rb"\1", text) if b"\\" in text else text)

    def literal8(self):
        """RFC 3516 §7: any octets."""
        self.expect(b"~{")
        size = self.number()
        self.expect(b"}\r\n")
        text = self.data[self.at:self.at + size]
        if len(text) != size:
            self.fail("bad literal8")
        self.at += size
        return Literal8(text)

    def literal(self):
        self.expect(b"{")
        size = self.number()
        self.expect(b"}\r\n")
        text = self.data[self.at:self.at + size]
        if len(text) != size or b"\0" in text:
            self.fail("bad literal")
        self.at += size
        return Quoted(text)

    def atom(self, more=b""):
        return self.scan(atom_of(more), "expected an atom")[0]

    def value(self):
        c = self.peek()
        if c == b'"':
            return self.quoted()
        if c == b"{":
            return self.literal()
        if self.data[self.at:self.at + 2] == b"~{":
            return self.literal8()
        if c == b"(":
            return self.list()
        text = self.atom(b"\\*")
        if text.upper() == b"NIL":
            return None
        return int(text) if text.isdigit() else text

    def list(self):
        self.expect(b"(")
        out = []
        while self.peek() != b")":
            if out and not (self.data[self.at - 1:self.at] == b")" and self.peek() == b"("):
                self.expect(b" ")   # body = "(" body body ... has no spaces between
            out.append(self.value())
        self.at += 1
        return out

    def section(self):
        """BODY[...]<n>: as text."""
        start = self.at
        while self.peek() not in (b" ", b"[", b""):
            self.at += 1
        if self.peek() == b"[":
            while self.peek() != b"]":
                if not self.peek() or self.peek() in b"\r\n":
                    self.fail("section not closed")
                self.at += 1
            self.at += 1
            if self.peek() == b"<":
                self.at += 1
                self.number()
                self.expect(b">")
        return self.data[start:self.at]

    def fetch_items(self):
        self.expect(b"(")
        out = {}
        while True:
            name = self.section().upper().decode()
            self.expect(b" ")
            assert name not in out, f"{name} twice"
            out[name] = self.value()
            if self.peek() == b")":
                self.at += 1
                return out
            self.expect(b" ")

    def end(self):
        if self.at != len(self.data):
            self.fail("octets behind the end")


class Reply:
    def __init__(self, status, text, untagged):
        self.status = status
        self.text = text
        self.untagged = untagged

    def __repr__(self):
        return f"{self.status} {self.text!r} {self.untagged!r}"

    def code(self):
        if not self.text.startswith(b"["):
            return None
        return self.text[1:self.text.index(b"]")].decode()

    def all(self, word):
        """Texts of the untagged responses that begin with a word: b"* SEARCH 1 2" gives b"1 2"."""
        start = b"* " + word.encode() + b" "
        return [u[len(start):] for u in self.untagged if u.upper().startswith(start)] + \
               [b"" for u in self.untagged if u.upper() == start[:-1]]

    def count(self, word):
        """The n of the last `* n WORD`."""
        found = [u for u in self.untagged if u.endswith(b" " + word.encode())]
        return int(found[-1].split()[1]) if found else None

    def numbers(self, word):
        return [int(u.split()[1]) for u in self.untagged if u.endswith(b" " + word.encode())]

    def fetched(self):
        """{sequence number: {item: value}} of all FETCH responses, in order, later ones on top."""
        out = {}
        for u in self.untagged:
            words = u.split(b" ", 3)
            if len(words) < 4 or words[2] != b"FETCH":
                continue
            p = Parser(words[3])
            items = p.fetch_items()
            p.end()
            out.setdefault(int(words[1]), {}).update(items)
        return out


class Client(postroom.Line):
    def __init__(self, server, user=None, tls=False, password=None, source=None):
        super().__init__(server.port("imaps" if tls else "imap"), server.tls_context() if tls else None, source=source)
        self.tag = 0
        self.greeting = self.response()
        if user:
            self.ok(f'LOGIN {server.address(user)} "{password or server.password(user)}"')

    def octets(self, count):
        """As that of Line, without copying what came before for each piece that comes."""
        pieces, self.buffer = [self.buffer[:count]], self.buffer[count:]
        left = count - len(pieces[0])
        while left:
            data = self.sock.recv(min(left, 1 << 20))
            assert data, f"connection ended {left} octets early"
            pieces.append(data)
            left -= len(data)
        return b"".join(pieces)

    def response(self):
        """One whole response, literals included, without its last CRLF; b"" at the end of the connection."""
        data = self.line()
        while data.endswith(b"}"):
            at = data.rfind(b"{")
            if at < 0 or not data[at + 1:-1].isdigit():
                break
            data += b"\r\n" + self.octets(int(data[at + 1:-1])) + self.line()
        return data

    def next_tag(self):
        self.tag += 1
        return f"t{self.tag}"

    def collect(self, tag):
        """Responses up to the tagged one."""
        untagged = []
        tag = tag.encode() + b" "
        while True:
            data = self.response()
            assert data, f"connection ended; before that: {untagged!r}"
            if data.startswith(tag):
                words = data.split(b" ", 2)
                return Reply(words[1].decode(), words[2], untagged)
            assert data.startswith(b"* "), f"neither untagged nor {tag!r}: {data!r}"
            untagged.append(data)

    def cmd(self, *parts):
        """Send a command; bytes among the parts go as synchronizing literals."""
        tag = self.next_tag()
        self.send(tag + " ")
        for part in parts:
            if isinstance(part, bytes):
                self.send(f"{{{len(part)}}}\r\n")
                line = self.response()
                while line.startswith(b"* "):
                    line = self.response()
                if not line.startswith(b"+ "):
                    words = line.split(b" ", 2)
                    assert words[0].decode() == tag, line
                    return Reply(words[1].decode(), words[2], [])
                self.send(part)
            else:
                self.send(part)
        self.send("\r\n")
        return self.collect(tag)

    def ok(self, *parts):
        reply = self.cmd(*parts)
        assert reply.status == "OK", f"{parts!r}: {reply!r}"
        return reply

    def no(self, *parts):
        reply = self.cmd(*parts)
        assert reply.status == "NO", f"{parts!r}: {reply!r}"
        return reply

    def bad(self, *parts):
        reply = self.cmd(*parts)
        assert reply.status == "BAD", f"{parts!r}: {reply!r}"
        return reply

    def fetch(self, which, items, uid=False):
        return self.ok(f"{'UID ' if uid else ''}FETCH {which} {items}").fetched()

    def append(self, mailbox, message, options=""):
        """(UIDVALIDITY, UID)"""
        reply = self.ok(f"APPEND {mailbox} {options}{' ' if options else ''}", message)
        words = reply.code().split()
        assert words[0] == "APPENDUID"
        return int(words[1]), int(words[2])

    def search(self, keys, uid=False):
        reply = self.ok(f"{'UID ' if uid else ''}SEARCH {keys}")
        found = reply.all("SEARCH")
        assert len(found) == 1, reply
        return [int(n) for n in found[0].split()]

    def flags(self, which, uid=False):
        """{number: set of flags}"""
        return {n: {f.decode() for f in items["FLAGS"]} for n, items in self.fetch(which, "FLAGS", uid).items()}

    def logout(self):
        reply = self.ok("LOGOUT")
        assert reply.untagged and reply.untagged[-1].startswith(b"* BYE ")
        assert self.at_end()
        self.close()
