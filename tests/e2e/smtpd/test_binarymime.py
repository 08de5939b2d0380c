"""BINARYMIME (RFC 3030): messages of octets come by BDAT, are looked at as they were sent, and stand in mailboxes and the queue as lines."""

import base64
import email
import subprocess
import time

import pytest

import dns_server
import postroom
from dialogue import only_file, submit
from milter_server import MilterServer
from strangers import CONF, results, stranger

SENDER = "joe@good.example"
# All octets there are, all line ends there are, the end of DATA, a boundary and a header line behind a bare LF.
OCTETS = bytes(range(256)) * 40 + b"\n\r\r\n.\r\nMAIL FROM:<x@evil.example>\r\n\n--edge\nSubject: smuggled\n\n\r\r\n\0"
SIZE = 64 << 10                 # message-size


def binary(octets=OCTETS, head="", text="Gr\xfc\xdfe,\r\nJoe \r\n", author=SENDER, tail=b""):
    """A text and a file, neither of them encoded."""
    return (f"From: <{author}>\r\nSubject: Octets\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n{head}MIME-Version: 1.0\r\n"
            "Content-Type: multipart/mixed; boundary=edge\r\nContent-Transfer-Encoding: binary\r\n\r\n--edge\r\n"
            "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            f"{text}\r\n--edge\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n").encode("latin-1") \
        + octets + b"\r\n--edge--\r\n" + tail


def chunks(line, octets, size=5000):
    """The reply to the last of them."""
    for at in range(0, len(octets), size):
        part = octets[at:at + size]
        line.send(b"BDAT %d%s\r\n" % (len(part), b" LAST" if at + size >= len(octets) else b"") + part)
        code, texts = line.reply()
    return code, texts


def give(line, to, octets, sender=SENDER):
    assert line.smtp(f"MAIL FROM:<{sender}> BODY=BINARYMIME") == 250
    assert line.smtp(f"RCPT TO:<{to}>") == 250
    return chunks(line, octets)


def parts(stored):
    """Text and file of a stored message, which has to be lines."""
    assert stored.count(b"\r\n") == stored.count(b"\n") == stored.count(b"\r") and b"\0" not in stored
    assert b"\r\nSubject: smuggled" not in stored
    text, file = email.message_from_bytes(stored).get_payload()
    return text.get_payload(decode=True), file.get_payload(decode=True)


@pytest.fixture(scope="module")
def mx(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    key = folder / "good.example.ed1.pem"
    key.write_bytes(subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True).stdout)
    key.chmod(0o600)
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout[-32:]
    with dns_server.DnsServer() as dns, MilterServer() as milter:
        dns.add_reverse("127.0.0.1", "localhost")
        dns.add("good.example", "A", "192.0.2.1").add("_dmarc.good.example", "TXT", "v=DMARC1; p=reject")
        dns.add("ed1._domainkey.good.example", "TXT", f"v=DKIM1; k=ed25519; p={base64.b64encode(public).decode()}")
        conf = CONF + dns.conf() + f"milters 127.0.0.1:{milter.port}\nmessage-size {SIZE}\n"
        with postroom.Instance(accounts=("alice", "bob"), conf=conf) as instance:
            instance.milter, instance.keys = milter, folder
            instance.start(only="smtpd")
            yield instance


@pytest.fixture
def empty(mx):
    """An account without mail."""
    for path in mx.files("alice"):
        path.unlink()
    return "alice"


def signed(mx, octets):
    return subprocess.run([postroom.BUILD / "tests/interop/dkim_peer", "sign", str(int(time.time())), mx.keys], input=octets,
                          capture_output=True, timeout=60, check=True).stdout


def test_octets_are_judged_as_they_were_sent_and_kept_as_lines(mx, empty):
    with stranger(mx) as line:
        code, texts = give(line, mx.address(empty), signed(mx, binary()))
        assert code == 250, texts
        assert line.smtp("NOOP") == 250
    stored = only_file(mx, empty)
    found = results(stored)
    assert found["dkim"].startswith("dkim=pass header.d=good.example") and found["dmarc"].startswith("dmarc=pass")
    assert parts(stored) == (b"Gr\xfc\xdfe,\r\nJoe \r\n", OCTETS)
    assert b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" in stored
    assert b"boundary=edge\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--edge\r\n" in stored
    # A filter sees what is delivered, never the wire.
    body = b"".join(data for letter, data in mx.milter.seen[-1] if letter == "B")
    assert body == stored[stored.index(b"\r\n\r\n--edge") + 4:]


def test_the_limit_is_for_what_is_sent(mx, empty):
    room = SIZE - len(binary(b""))
    with stranger(mx) as line:
        for more, check in ((0, "5.7.1"), (1, "5.3.4")):        # not signed: its author's domain has what is small enough refused
            code, texts = give(line, mx.address(empty), binary(b"\xff" * (room + more)))
            assert texts[0].startswith(check), texts
        large = signed(mx, binary(b"\xff" * (room - 1000)))
        assert give(line, mx.address(empty), large)[0] == 250
    stored = only_file(mx, empty)
    assert len(stored) > SIZE and parts(stored)[1] == b"\xff" * (room - 1000)


BAD = {"a header line behind a bare LF": binary(head="X-A: b\nBcc: <eve@evil.example>\r\n"), "a bare CR in the header": binary(head="X-A: b\rc\r\n"),
       "NUL in the header": binary(head="X-A: \0\r\n"), "text that says 8bit": binary(text="one\ntwo\r\n"), "behind the last part": binary(tail=b"a\nb\r\n"),
       "a CR as the last octet": binary(tail=b"\r")}


@pytest.mark.parametrize("octets", BAD.values(), ids=BAD)
def test_outside_of_binary_parts_nothing_is_tolerated(mx, empty, octets):
    with stranger(mx) as line, submit(mx, "bob") as own:
        for each, sender in ((line, SENDER), (own, mx.address("bob"))):
            code, texts = give(each, mx.address(empty), octets.replace(SENDER.encode(), sender.encode()), sender)
            assert code == 554 and texts[0].startswith("5.6.3 The binary message cannot be written in lines: NUL, bare CR or bare LF"), texts
            assert each.smtp("NOOP") == 250
    assert mx.files(empty) == []


def test_data_is_not_for_octets(mx, empty):
    with stranger(mx) as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}> BODY=BINARYMIME") == 250
        assert line.smtp(f"RCPT TO:<{mx.address(empty)}>") == 250
        assert line.smtp("DATA") == 503
        assert chunks(line, signed(mx, binary()))[0] == 250
    assert parts(only_file(mx, empty))[1] == OCTETS


def test_what_goes_elsewhere_lies_in_the_queue_as_lines(mx):
    with submit(mx, "bob") as line:
        assert give(line, "joe@elsewhere.example", binary(author=mx.address("bob")), mx.address("bob"))[0] == 250
    entry, = mx.json("queue", "list")
    assert "BODY=8BITMIME" in mx.json("queue", "show", entry["id"])["parameters"]
    file, = [path for path in (mx.root / "queue").rglob(entry["id"] + "*") if path.is_file()]
    octets = file.read_bytes()
    assert b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.b64encode(OCTETS)[:76] in octets and OCTETS[:256] not in octets
    mx.postroom("queue", "remove", entry["id"])
