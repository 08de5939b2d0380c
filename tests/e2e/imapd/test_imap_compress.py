"""COMPRESS (RFC 4978), by Python's zlib."""

import random
import zlib

import imap
import pytest
from postroom import message, wait_for


class Deflated:
    """A socket whose octets are packed."""

    def __init__(self, sock, flush=zlib.Z_SYNC_FLUSH):
        self.sock = sock
        self.flush = flush
        self.packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.unpacker = zlib.decompressobj(-15)
        self.received = 0
        self.plain = b""

    def pack(self, data):
        return self.packer.compress(data) + self.packer.flush(self.flush)

    def sendall(self, data):
        self.sock.sendall(self.pack(data))

    def recv(self, size):
        while not self.plain:
            packed = self.sock.recv(65536)
            self.received += len(packed)
            self.plain = self.unpacker.decompress(packed)
            if not packed:
                return b""
        data, self.plain = self.plain[:size], self.plain[size:]
        return data

    def __getattr__(self, name):
        return getattr(self.sock, name)


def compress(client, flush=zlib.Z_SYNC_FLUSH):
    client.ok("COMPRESS DEFLATE")
    assert not client.buffer
    client.sock = Deflated(client.sock, flush)
    return client


def test_the_examples_of_rfc_4978(imapd, user):
    with imap.Client(imapd) as c:
        c.ok("starttls")
        c.start_tls(imapd.tls_context())
        assert b"COMPRESS=DEFLATE" not in c.ok("capability").all("CAPABILITY")[0]       # of use after login only
        reply = c.ok(f'login {imapd.address(user)} "{imapd.password(user)}"')
        assert "COMPRESS=DEFLATE" in reply.code().split()
        compress(c)
        c.ok("select inbox")
        reply = c.no("compress deflate")
        assert reply.code() == "COMPRESSIONACTIVE"
        c.logout()


@pytest.mark.parametrize("flush", (zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH))
def test_a_whole_session_however_the_client_flushes(imapd, user, flush):
    text = message("one", body="all work and no play " * 500)
    with imap.Client(imapd, user) as c:
        compress(c, flush)
        c.ok("SELECT INBOX")
        for _ in range(3):
            assert c.append("INBOX", text)
        c.ok("NOOP")
        before = c.sock.received
        assert {n: got["BODY[]"] for n, got in c.fetch("1:*", "(BODY.PEEK[])").items()} == {1: text, 2: text, 3: text}
        assert c.sock.received - before < len(text)     # packed indeed
        c.logout()


def test_commands_in_the_packet_of_compress_and_in_one_packet(client):
    later = Deflated(client.sock, zlib.Z_PARTIAL_FLUSH)
    client.sock.sendall(b"a COMPRESS DEFLATE\r\n" + later.pack(b"b NOOP\r\nc SELECT INBOX\r\nd NO") + later.pack(b"OP\r\n"))
    assert client.line().startswith(b"a OK")
    client.buffer, rest = b"", client.buffer
    client.sock = later
    later.plain = later.unpacker.decompress(rest)
    for tag in "bcd":
        assert client.collect(tag).status == "OK"


def test_every_cut_of_packed_input(client):
    compress(client)
    raw, packer = client.sock.sock, client.sock
    packed = packer.pack(b"".join(b"n%d NOOP\r\n" % n for n in range(20)))
    for n in range(len(packed)):
        raw.sendall(packed[n:n + 1])
    for n in range(20):
        assert client.collect(f"n{n}").status == "OK"


def test_pushes_reach_an_idler(imapd, user):
    with imap.Client(imapd, user) as idler, imap.Client(imapd, user) as other:
        compress(idler)
        idler.ok("SELECT INBOX")
        for n in range(3):
            idler.send("i IDLE\r\n")
            assert idler.line().startswith(b"+ ")
            other.append("INBOX", message(f"m{n}"))
            while idler.line() != b"* %d EXISTS" % (n + 1):
                pass
            idler.send("DONE\r\nn NOOP\r\n")
            assert idler.collect("i").status == "OK"
            assert idler.collect("n").status == "OK"


def test_large_messages_in_both_directions_over_tls(imapd, user):
    text = b"Subject: noise\r\n\r\n" + random.Random(5).randbytes(3 << 20).hex().encode()
    with imap.Client(imapd, user, tls=True) as c:
        compress(c)
        c.append("INBOX", text)
        c.ok("SELECT INBOX")
        assert c.fetch("1", "BODY.PEEK[]")[1]["BODY[]"] == text
        # One that reads late gets everything, too.
        c.send("a FETCH 1 BODY.PEEK[]\r\nb FETCH 1 BODY.PEEK[TEXT]\r\nc NOOP\r\n")
        assert c.collect("a").fetched()[1]["BODY[]"] == text
        assert c.collect("b").status == "OK" and c.collect("c").status == "OK"


def test_a_bomb_meets_the_limits_of_any_input(imapd, user):
    """security: a few kilobytes that stand for hundreds of megabytes of one line, or of nothing at all."""
    with imap.Client(imapd, user) as bystander:
        for bomb in (b"x" * (1 << 20), b"a NOOP " + b"(" * (1 << 20), b"\r\n" * (1 << 19)):
            c = imap.Client(imapd, user)
            compress(c)
            try:
                for _ in range(300):
                    c.send(bomb)
            except (BrokenPipeError, ConnectionResetError):
                pass
            bystander.ok("NOOP")
            c.close()
        nothing = imap.Client(imapd, user)
        nothing.ok("COMPRESS DEFLATE")
        nothing.send(b"\0\0\0\xff\xff" * 200000)        # empty blocks
        bystander.ok("NOOP")
        nothing.close()


def test_what_is_not_packed_ends_the_session(imapd, client):
    client.ok("COMPRESS DEFLATE")
    client.send(b"a NOOP\r\n" * 10)
    assert client.at_end()
    wait_for("the reason in the log", lambda: "reason=reset" in imapd.log())


def test_wrong_arguments_of_compress_are_refused(client):
    for line in ("COMPRESS", "COMPRESS GZIP", "COMPRESS DEFLATE 9", 'COMPRESS "DEFLATE" x'):
        client.bad(line)
    client.ok("NOOP")


def test_compress_that_is_off_is_not_there():
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off COMPRESS=DEFLATE\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            assert b"COMPRESS" not in c.ok("CAPABILITY").all("CAPABILITY")[0]
            c.bad("COMPRESS DEFLATE")
