"""Words of SMTP for tests that need every octet in their own hands."""

import base64
import contextlib

MESSAGE = b"From: <sender@elsewhere.example>\r\nSubject: Test\r\n\r\nHello.\r\n"
SENDER = "sender@elsewhere.example"


@contextlib.contextmanager
def talk(server, name="mx", tls=False, hello=True):
    """A raw connection, greeted."""
    with server.raw(name, tls=tls) as line:
        code, _ = line.reply()
        assert code == 220
        if hello:
            assert line.smtp("LHLO client.example" if name == "lmtp" else "EHLO client.example") == 250
        yield line


def login(line, server, user):
    token = base64.b64encode(f"\0{server.address(user)}\0{server.password(user)}".encode()).decode()
    assert line.smtp(f"AUTH PLAIN {token}") == 235


@contextlib.contextmanager
def submit(server, user, name="submission"):
    """A raw, logged-in submission session; loopback needs no TLS for that."""
    with talk(server, name, tls=name == "submissions") as line:
        login(line, server, user)
        yield line


def envelope(line, server, to, sender=SENDER):
    """MAIL and RCPT, all of which must be accepted."""
    assert line.smtp(f"MAIL FROM:<{sender}>") == 250
    for name in [to] if isinstance(to, str) else to:
        assert line.smtp(f"RCPT TO:<{server.address(name)}>") == 250


def stuffed(message):
    """Dots doubled where CRLF or the beginning stands before them, and nowhere else (RFC 5321 section 4.5.2)."""
    return (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]


def data(line, message=MESSAGE):
    """DATA with a message in wire form; the code of the final reply."""
    assert line.smtp("DATA") == 354
    line.send(stuffed(message) + b".\r\n")
    return line.reply()[0]


def send(server, to, message=MESSAGE, name="mx", sender=SENDER):
    with talk(server, name) as line:
        envelope(line, server, to, sender)
        return data(line, message)


def added(octets, message):
    """The header lines that the server put on top, which must be all that it changed."""
    assert octets.endswith(message), f"not as it was sent: {octets[-len(message) - 200:]!r}"
    return octets[:len(octets) - len(message)]


def only_file(server, user, mailbox=""):
    files = server.files(user, mailbox)
    assert len(files) == 1, files
    return files[0].read_bytes()
