"""What a session may cost, whoever it is: memory, turns of the processor, and other people's patience."""

import base64
import pathlib
import random
import re

import imap
from postroom import message
from test_imap_compress import compress


def resident(server):
    """Octets of memory that the server's processes hold."""
    pids = server.pids("imapd")
    assert pids
    return sum(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) << 10 for pid in pids)


def test_literals_of_one_command_have_a_budget_together(box):
    box.send(b"a SEARCH" + b" TEXT {100000+}\r\n" + b"x" * 100000 + b"\r\nb NOOP\r\n")
    assert box.collect("a").status == "OK"
    assert box.collect("b").status == "OK"
    box.send(b"c SEARCH" + b"".join(b" TEXT {100000+}\r\n" + b"x" * 100000 for _ in range(12)) + b"\r\nd NOOP\r\n")
    reply = box.collect("c")
    assert (reply.status, reply.code()) == ("NO", "TOOBIG")
    assert box.collect("d").status == "OK"
    box.send(b"e APPEND INBOX CATENATE (URL {200000+}\r\n" + b"x" * 200000 + b")\r\nf NOOP\r\n")
    assert box.collect("e").code() == "TOOBIG"
    assert box.collect("f").status == "OK"


def test_forty_sessions_that_send_half_of_everything(imapd, user):
    """Commands that never end, at every place where one can stop: the memory of all of them together stays small."""
    halves = [b"a SEARCH" + b"".join(b" TEXT {100000+}\r\n" + b"x" * 100000 for _ in range(9)) + b" TEXT {100000+}\r\n" + b"x" * 50000,
              b"a FETCH " + b"1," * 30000, b"a APPEND INBOX {40000000+}\r\n" + b"x" * 5000000,
              b"a STORE 1 +FLAGS (" + b"keyword " * 7000, b'a SELECT "' + b"x" * 60000,
              b"a APPEND INBOX (\\Seen) CATENATE (TEXT {9000000+}\r\n" + b"y" * 3000000,
              b"a SEARCH" + b" (OR" * 10, b"a NOOP\r\n" * 5000 + b"a NO"]
    with imap.Client(imapd, user) as bystander:
        bystander.ok("SELECT INBOX")
        before = resident(imapd)
        clients = []
        for n in range(40):
            clients.append(imap.Client(imapd, user))
            clients[-1].sock.settimeout(5)
            try:
                clients[-1].send(halves[n % len(halves)])
            except TimeoutError:
                pass                    # it is not read any further: so much the better
        bystander.ok("NOOP")
        assert resident(imapd) - before < 400 << 20
        for client in clients:
            client.close()
        bystander.ok("APPEND INBOX ", message("still served"))
        assert bystander.ok("NOOP").status == "OK"


def test_readers_that_do_not_read_compressed_or_not(imapd, user):
    """Twenty sessions ask for thirty megabytes each and read nothing; whoever reads at last gets everything."""
    text = b"Subject: big\r\n\r\n" + random.Random(3).randbytes(3 << 20).hex().encode()
    with imap.Client(imapd, user) as bystander:
        bystander.append("INBOX", text)
        before = resident(imapd)
        clients = []
        for n in range(20):
            client = imap.Client(imapd, user)
            if n % 2:
                compress(client)
            client.ok("SELECT INBOX")
            client.send("".join(f"f{k} FETCH 1 BODY.PEEK[]\r\n" for k in range(5)))
            clients.append(client)
        for _ in range(20):
            bystander.ok("NOOP")
        assert resident(imapd) - before < 400 << 20
        for client in clients[:2]:
            for k in range(5):
                assert client.collect(f"f{k}").fetched()[1]["BODY[]"] == text
        for client in clients:
            client.close()
        bystander.ok("NOOP")


def test_work_that_is_asked_for_by_the_line_holds_up_nobody(imapd, user):
    """Two hundred parts of nine megabytes to be decoded, in one command: others are served meanwhile, and it ends when its client
    does."""
    blob = base64.encodebytes(random.Random(4).randbytes(7 << 20)).replace(b"\n", b"\r\n")
    with imap.Client(imapd, user) as greedy, imap.Client(imapd, user) as bystander:
        greedy.append("INBOX", b"Content-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n" + blob)
        greedy.ok("SELECT INBOX")
        greedy.send("g FETCH 1 (" + " ".join(f"BINARY.PEEK[1]<{n + 7000000}.1>" for n in range(200)) + ")\r\n")
        bystander.ok("SELECT INBOX")
        for n in range(20):
            bystander.append("INBOX", message(f"m{n}"))
        greedy.close()
        assert bystander.ok("NOOP").status == "OK"
        assert len(bystander.search("ALL")) == 21


def test_a_byte_at_a_time(imapd, user):
    """Sessions that dribble are served like all others, and hold nobody up."""
    slow = [imap.Client(imapd, user) for _ in range(20)]
    with imap.Client(imapd, user) as quick:
        for octet in b"a SELECT {5}":
            for client in slow:
                client.send(bytes([octet]))
            quick.ok("NOOP")
        for client in slow:
            client.send("\r\n")
            assert client.line().startswith(b"+ ")
        for octet in b"INBOX\r\n":
            for client in slow:
                client.send(bytes([octet]))
        for client in slow:
            assert client.collect("a").status == "OK"
            client.close()
