"""A client that is a stranger to the server, and what the server wrote about it."""

import contextlib
import re

import postroom
from dialogue import stuffed

# Clients are 127.0.0.x; this makes them strangers who need not wait.
CONF = "exempt-networks never\nsmtp-banner-delay 0s\nstrangers-per-address 1000\nstrangers-per-network 1000\n" \
       "connections-per-minute-mx 100000\n"


@contextlib.contextmanager
def stranger(mx, source="127.0.0.1", helo="mail.client.example"):
    with postroom.Line(mx.port("mx"), source=source) as line:
        assert line.reply()[0] == 220
        assert line.smtp(f"EHLO {helo}") == 250
        yield line


def message(author, extra="", body="Hello.\r\n"):
    return f"{extra}From: <{author}>\r\nSubject: Test\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\n{body}".encode()


def send(mx, to, sender, author=None, source="127.0.0.1", octets=None, helo="mail.client.example"):
    """(code, text) of the reply that decides."""
    with stranger(mx, source, helo) as line:
        line.send(f"MAIL FROM:<{sender}>\r\n")
        code, texts = line.reply()
        if code != 250:
            return code, " ".join(texts)
        assert line.smtp(f"RCPT TO:<{mx.address(to)}>") == 250
        assert line.smtp("DATA") == 354
        line.send(stuffed(octets or message(author or sender)) + b".\r\n")
        code, texts = line.reply()
        return code, " ".join(texts)


def results(octets):
    """The Authentication-Results that we wrote, unfolded: {method: text}."""
    header = octets.split(b"\r\n\r\n")[0].decode()
    field = re.search(r"(?ms)^Authentication-Results: mail\.example\.test;(.*?)^\S", header + "\r\nX").group(1)
    parts = [" ".join(part.split()) for part in field.split(";")]
    return {part.split("=")[0]: part for part in parts}
