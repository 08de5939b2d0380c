"""Clients that mean no good, or mean well and fail: each gets its answer, nobody else notices."""

import select
import socket

import imap
from postroom import message


def test_ten_thousand_commands_at_once(box):
    box.sock.settimeout(120)
    count = 10000
    sent = "".join(f"n{n} NOOP\r\n" for n in range(count)).encode()
    # written in pieces while answers are read: a client that only writes would be held back by flow control
    at = 0
    box.sock.setblocking(False)
    got = b""
    last = f"n{count - 1} OK".encode()

    while last not in got[-200:]:
        readable, writable, _ = select.select([box.sock], [box.sock] if at < len(sent) else [], [], 60)
        assert readable or writable
        if writable:
            at += box.sock.send(sent[at:at + 65536])
        if readable:
            data = box.sock.recv(65536)
            assert data
            got += data
    lines = got.split(b"\r\n")[:-1]
    assert [line.split()[0] for line in lines] == [f"n{n}".encode() for n in range(count)]


def test_a_client_that_writes_and_never_reads_holds_up_nobody(imapd, user):
    with imap.Client(imapd, user) as c:
        for _ in range(20):
            c.append("INBOX", message("x", body="y" * 20000))
    rude = [imap.Client(imapd, user) for _ in range(3)]
    for c in rude:
        c.ok("SELECT INBOX")
        c.sock.setblocking(False)
        try:
            for n in range(5000):
                c.sock.send(f"r{n} FETCH 1:* BODY.PEEK[]\r\n".encode())
        except BlockingIOError:
            pass
    with imap.Client(imapd, user) as c:
        c.ok("SELECT INBOX")
        for _ in range(20):
            assert len(c.fetch("1:*", "(FLAGS)")) == 20
    for c in rude:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        c.close()


def test_twenty_wrong_commands_in_a_row_end_the_session(client):
    for _ in range(19):
        client.bad("XYZZY")
    client.ok("NOOP")
    for _ in range(19):
        client.bad("XYZZY")
    client.send("z XYZZY\r\n")
    assert client.collect("z").status == "BAD"
    assert client.line().startswith(b"* BYE ")
    assert client.at_end()


def test_wrong_octets_after_login(client):
    for line in (b"a NOOP \0\r\n", b"a \xff\xfe\r\n", b"a NOOP\n", b"a NO\rOP\r\n", b"a SELECT \"\xff\"\r\n", b"a SELECT \"x\r\n"):
        client.send(line)
        assert client.collect("a").status == "BAD"
    client.ok("NOOP")


def test_what_is_too_long_after_login_is_refused(client):
    client.send("a SELECT {200000}\r\n")
    reply = client.collect("a")
    assert (reply.status, reply.code()) == ("NO", "TOOBIG")
    client.send(b"b SELECT {200000+}\r\n" + b"x" * 200000 + b"\r\n")
    reply = client.collect("b")
    assert (reply.status, reply.code()) == ("NO", "TOOBIG")
    client.bad("SELECT " + "x" * 70000)
    client.bad("FETCH " + "(" * 33 + ")" * 33)
    client.bad("LIST \"\" (" + "x " * 20000 + ")")
    client.ok("NOOP")
    client.send("c SELECT {900000000+}\r\n")
    assert client.line().startswith(b"* BYE ")
    assert client.at_end()


def test_connections_cut_anywhere_leave_the_server_well(imapd, user):
    script = (f'a LOGIN {imapd.address(user)} "{imapd.password(user)}"\r\nb SELECT INBOX\r\nc APPEND INBOX {{20+}}\r\n'
              "Subject: x\r\n\r\nbody\r\n\r\nd FETCH 1:* (BODY[])\r\ne IDLE\r\n").encode()
    for cut in range(0, len(script), 7):
        with imap.Client(imapd) as c:
            c.send(script[:cut])
            if cut % 2:
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    with imap.Client(imapd, user) as c:
        c.ok("SELECT INBOX")
        for items in c.fetch("1:*", "BODY.PEEK[]").values():
            assert items["BODY[]"] == b"Subject: x\r\n\r\nbody\r\n"


def test_half_closed_connections_get_their_answers(imapd, user):
    with imap.Client(imapd) as c:
        c.send(f'a LOGIN {imapd.address(user)} "{imapd.password(user)}"\r\nb SELECT INBOX\r\nc STATUS INBOX (MESSAGES)\r\n')
        c.sock.shutdown(socket.SHUT_WR)
        for tag in "abc":
            assert c.collect(tag).status == "OK"
        assert c.at_end()


def test_a_stop_says_goodbye_to_idling_sessions():
    with imap.Imapd(accounts=("alice",)) as server:
        server.start()
        with imap.Client(server, "alice") as a, imap.Client(server, "alice") as b, imap.Client(server) as c:
            a.ok("SELECT INBOX")
            a.send("i IDLE\r\n")
            assert a.line().startswith(b"+ ")
            server.process.terminate()
            for client in (a, b, c):
                assert client.line().startswith(b"* BYE ")
                assert client.at_end()
