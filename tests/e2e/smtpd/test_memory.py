"""A large message takes little memory, whichever way it comes and whatever is asked about it.

Counted are the octets of the heap that are in use, by tests/support/heap_peak.c inside each process: the same number on every machine,
whatever the allocator and the kernel make of it. What the kernel counts as anonymous memory is looked at besides. check-e2e sends 50 MB
by DATA and less by the other ways; `make check-memory` sends 50 MB by all of them and prints what it saw."""

import base64
import contextlib
import mmap
import os
import pathlib
import re
import struct
import subprocess
import time

import pytest

import dns_server
import postroom
from dialogue import added, only_file
from milter_server import MilterServer
from rspamd_server import RspamdServer
from strangers import CONF, results

IS_SANITIZED = b"__asan_init" in (postroom.BIN / "smtpd").read_bytes()  # it brings an allocator of its own, which keeps what is freed
ALL_MIB = int(os.environ.get("LARGE_MIB", "0"))
SOME_MIB = 2
HEAP_MAX = 256 << 10            # doc/receiving.md
HEADER_MAX = 512 << 10          # of what is refused for a header without end: likewise, whatever its size
# Refusals wait for the event store, a second at most; it takes 300 of them at once (common/eventstore.h).
RECIPIENTS_MAX = 1 << 20
# Threads have heaps of their own, and the kernel gives whole pages: more than is in use, far less than the message.
ANONYMOUS_MAX = 1 << 20
PRELOAD = postroom.BUILD / "tests/support/heap_peak.so"
PEER = postroom.BUILD / "tests/interop/dkim_peer"
SENDER = "joe@good.example"
LINE = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n"


class Worker:
    """The one process that takes mail in, and what heap_peak.c counts of it."""

    def __init__(self, instance, folder):
        words = {pid: pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in instance.pids("smtpd")}
        [self.pid] = [pid for pid, args in words.items() if any(arg.startswith(b"--worker") for arg in args)
                      and not any(arg.startswith(b"--helper") for arg in args)]
        self.file = folder / str(self.pid)

    @contextlib.contextmanager
    def counts(self):
        with open(self.file, "r+b") as file, mmap.mmap(file.fileno(), 16) as octets:
            yield octets

    def begin(self):
        if IS_SANITIZED:
            return 0
        with self.counts() as octets:
            octets[8:16] = octets[:8]
            return struct.unpack("=q", octets[:8])[0]

    def most(self):
        if IS_SANITIZED:
            return 0
        with self.counts() as octets:
            return struct.unpack("=qq", octets)[1]

    def anonymous(self):
        return int(re.search(r"RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{self.pid}/status").read_text()).group(1)) << 10


@pytest.fixture(scope="module")
def dns():
    with dns_server.DnsServer() as server:
        server.add_reverse("127.0.0.1", "localhost")
        server.add("good.example", "A", "192.0.2.1").add("good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all")
        yield server


@contextlib.contextmanager
def counted(conf):
    """An instance of one worker, whose heaps are counted."""
    with postroom.Instance(accounts=("alice",), conf=CONF + "workers 1\n" + conf) as instance:
        folder = instance.root / "queue" / "heaps"      # where its processes may write
        folder.mkdir(parents=True)
        with pytest.MonkeyPatch.context() as patch:
            if not IS_SANITIZED:
                patch.setenv("LD_PRELOAD", str(PRELOAD))
                patch.setenv("HEAP_PEAK_FOLDER", str(folder))
            instance.start(only="smtpd")
        with greeted(instance):         # so it is there
            instance.worker = Worker(instance, folder)
        yield instance


@pytest.fixture(scope="module")
def mx(dns):
    with counted(dns.conf() + "recipients-per-minute 1000000\n") as instance:
        yield instance


@pytest.fixture(scope="module")
def filtered(dns):
    with RspamdServer() as rspamd, MilterServer() as milter:
        conf = dns.conf() + f"milters rspamd:127.0.0.1:{rspamd.port} 127.0.0.1:{milter.port}\nmilter-timeout 1m\n"
        with counted(conf) as instance:
            instance.rspamd, instance.milter = rspamd, milter
            yield instance


@pytest.fixture(scope="module")
def sign(dns, tmp_path_factory):
    """Signs and seals a message of good.example (RFC 6376, RFC 8617)."""
    folder = tmp_path_factory.mktemp("keys")
    key = folder / "good.example.ed1.pem"
    key.write_bytes(subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True).stdout)
    key.chmod(0o600)
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout[-32:]
    text = f"v=DKIM1; k=ed25519; p={base64.b64encode(public).decode()}"
    dns.add("ed1._domainkey.good.example", "TXT", text)
    (folder / "records").write_text(f"ed1._domainkey.good.example {text}\n")

    def run(octets):
        now = str(int(time.time()))
        for verb in (["sign", now, folder], ["seal", now, folder, "good.example", folder / "records"]):
            octets = subprocess.run([PEER, *verb], input=octets, capture_output=True, timeout=300, check=True).stdout
        return octets
    return run


def message(mib):
    """A little less than that, so that signatures have room."""
    return f"From: <{SENDER}>\r\nSubject: Large\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\n".encode() + LINE * (((mib << 20) - 8192) // len(LINE))


def give(line, octets, is_bdat=False, is_binary=False):
    if is_bdat or is_binary:
        line.send(b"BDAT %d LAST\r\n" % len(octets) + octets)
    else:
        assert line.smtp("DATA") == 354
        line.send(octets + b".\r\n")            # no line begins with a dot
    code, texts = line.reply()
    assert code == 250, texts


@contextlib.contextmanager
def greeted(server, is_tls=False):
    with postroom.Line(server.port("mx")) as line:
        assert line.reply()[0] == 220
        assert line.smtp("EHLO mail.good.example") == 250
        if is_tls:
            assert line.smtp("STARTTLS") == 220
            line.start_tls(server.tls_context())
            assert line.smtp("EHLO mail.good.example") == 250
        yield line


def envelope(line, server, is_binary=False):
    assert line.smtp(f"MAIL FROM:<{SENDER}>{' BODY=BINARYMIME' if is_binary else ''}") == 250
    assert line.smtp(f"RCPT TO:<{server.address('alice')}>") == 250


def spend(server, octets, is_bdat=False, is_tls=False, is_binary=False):
    """What the message took, in octets: of the heap at most, and of anonymous memory that stays. A small one has gone the same way
    before: what a worker opens once is not the message's. The connection with its buffers is there already, the transaction is not."""
    small = octets[:octets.index(b"\r\n\r\n") + 4] + LINE * 4000
    for _ in range(3):
        with greeted(server, is_tls) as line:
            envelope(line, server, is_binary)
            give(line, small, is_bdat, is_binary)
    with greeted(server, is_tls) as line:
        for path in server.files("alice"):
            path.unlink()
        heap, kept = server.worker.begin(), server.worker.anonymous()
        envelope(line, server, is_binary)
        give(line, octets, is_bdat, is_binary)
        return server.worker.most() - heap, server.worker.anonymous() - kept


def check(way, server, octets, **how):
    heap, kept = spend(server, octets, **how)
    print(f"\n{way:<24} {len(octets) / (1 << 20):6.1f} MiB: heap at most {heap >> 10:5} KiB, anonymous memory grew by {kept >> 10:5} KiB")
    assert IS_SANITIZED or (0 < heap <= HEAP_MAX and kept <= ANONYMOUS_MAX), (heap, kept)
    file = only_file(server, "alice")
    if not how.get("is_binary"):
        added(file, octets)
    return file


@pytest.mark.parametrize("how", [{"is_bdat": True}, {"is_tls": True}, {"is_bdat": True, "is_tls": True}], ids=["BDAT", "DATA over TLS", "BDAT over TLS"])
def test_a_message_takes_no_memory_of_its_size(mx, how, request):
    check(request.node.callspec.id, mx, message(ALL_MIB or SOME_MIB), **how)


def test_a_binary_message_takes_no_memory_of_its_size(mx):
    octets = message(ALL_MIB or SOME_MIB).replace(b"Subject", b"MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\nSubject", 1)
    stored = check("BINARYMIME", mx, octets, is_binary=True)
    assert base64.b64decode(stored[stored.index(b"\r\n\r\n"):]) == octets[octets.index(b"\r\n\r\n") + 4:]


def test_the_largest_message_takes_256_kib(mx):
    check("DATA", mx, message(ALL_MIB or (SOME_MIB if IS_SANITIZED else 50)))


def test_a_signed_and_sealed_message_takes_no_memory_of_its_size(mx, sign):
    found = results(check("TLS, DKIM, ARC and DMARC", mx, sign(message(ALL_MIB or SOME_MIB)), is_tls=True))
    assert found["dkim"].startswith("dkim=pass") and found["arc"].startswith("arc=pass")


def test_filters_are_given_a_message_piece_by_piece(filtered):
    octets = message(ALL_MIB or SOME_MIB)
    check("rspamd, then a milter", filtered, octets)
    assert filtered.rspamd.seen[-1][2] == octets
    assert b"".join(part for letter, part in filtered.milter.seen[-1] if letter == "B") == octets[octets.index(b"\r\n\r\n") + 4:]


def test_ten_thousand_recipients_take_no_more_than_the_first_200(mx):
    """They come in packets of a hundred (RFC 2920); each is answered, and the sender comes again with the rest (RFC 5321 section 4.5.3.1.10)."""
    mx.postroom("domain", "set", "example.test", "--catch-all", "alice@example.test")

    def name(line, count):
        codes = []
        for start in range(0, count, 100):
            line.send("".join(f"RCPT TO:<any{n}@example.test>\r\n" for n in range(start, start + 100)))
            codes += [line.reply()[0] for _ in range(100)]
        return codes
    for count in (200, 10000):
        for path in mx.files("alice"):
            path.unlink()
        with greeted(mx) as line:
            assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
            heap = mx.worker.begin()
            assert name(line, count) == [250] * 200 + [452] * (count - 200)
            most = mx.worker.most() - heap
            give(line, message(1)[:1000] + b"\r\n")
        only_file(mx, "alice")
        print(f"\n{count} recipients: heap at most {most >> 10} KiB")
        assert most <= RECIPIENTS_MAX, most


def test_a_header_of_any_size_takes_no_memory_of_its_size(mx):
    """It is read to its end, and refused: what stands behind its first megabyte was not looked at."""
    noise = b"X-Noise: " + b"n" * 980 + b"\r\n"
    for mib in (1, ALL_MIB or SOME_MIB):
        octets = message(1).replace(b"Subject", noise * ((mib << 20) // len(noise) + 100) + b"Subject", 1)[:(50 << 20) - 2]
        with greeted(mx) as line:
            envelope(line, mx)
            assert line.smtp("DATA") == 354
            heap = mx.worker.begin()
            line.send(octets + b"\r\n.\r\n")
            code, texts = line.reply()
            most = mx.worker.most() - heap
        print(f"\nheader of {mib} MiB: heap at most {most >> 10} KiB")
        assert code == 550 and texts[0].startswith("5.6.0"), texts
        assert most <= HEADER_MAX, most
