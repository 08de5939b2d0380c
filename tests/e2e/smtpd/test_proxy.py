"""The PROXY protocol, on listeners in clear and with TLS from the first octet, of every daemon."""

import re
import socket
import struct

import pytest

import postroom

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.77 198.51.100.1 35646 25\r\n"
V2 = SIGNATURE + b"\x21\x11" + struct.pack("!H", 12) + bytes([192, 0, 2, 77, 198, 51, 100, 1]) + struct.pack("!HH", 35646, 25)
LOCAL = SIGNATURE + b"\x20\0\0\0"


@pytest.fixture(scope="module")
def server():
    conf = "proxy-networks 127.0.0.1\nsmtp-banner-delay 0s\n"
    with postroom.Instance(accounts=("alice",), conf=conf) as instance:
        instance.start(wait=False, only="smtpd")
        postroom.wait_for("it listens", lambda: connects(instance))
        yield instance


def connects(instance):
    assert instance.process.poll() is None, instance.log()
    try:
        with postroom.Line(instance.port("mx"), source="127.0.0.9") as line:
            return line.reply()[0] == 220
    except OSError:
        return False


@pytest.mark.parametrize("header", [V1, V2])
def test_the_client_is_the_one_that_the_proxy_names(server, header):
    with server.raw("mx") as line:
        line.send(header)
        assert line.reply()[0] == 220
        assert line.smtp("EHLO mail.client.example") == 250
        assert line.smtp("NOOP") == 250
    server.wait_log("peer=192.0.2.77")


def test_a_header_may_come_in_pieces_and_tls_behind_it(server):
    sock = socket.create_connection(("127.0.0.1", server.port("submissions")), timeout=postroom.DEADLINE_S)
    for octet in V2:
        sock.send(bytes([octet]))
    tls = server.tls_context().wrap_socket(sock, server_hostname="localhost")
    assert tls.recv(100).startswith(b"220 ")
    tls.close()


def test_the_proxys_own_connections_are_its_own(server):
    with server.raw("mx") as line:
        line.send(LOCAL)
        assert line.reply()[0] == 220


@pytest.mark.parametrize("octets", [b"EHLO x.example\r\n", b"PROXY TCP4 nonsense\r\n", b"\x16\x03\x01", SIGNATURE + b"\x21\x11\xff\xff"])
def test_without_a_header_nobody_is_let_in(server, octets):
    with server.raw("mx") as line:
        line.send(octets)
        assert line.at_end()
    assert re.search(r'event=listener\.proxy_header .*why="this is no PROXY header"', server.log())


@pytest.mark.parametrize("header", [V1, V2])
def test_from_others_it_is_no_greeting(server, header):
    with postroom.Line(server.port("mx"), source="127.0.0.2") as line:
        assert line.reply()[0] == 220
        line.send(header)
        assert line.reply()[0] in (421, 500, 554)
    assert not re.search(r"event=smtp\.accept", server.log())


def test_every_listener_of_every_daemon_knows_it():
    greetings = {"mx": b"220 ", "submission": b"220 ", "submissions": b"220 ", "imap": b"* OK ", "imaps": b"* OK ", "pop3": b"+OK ", "pop3s": b"+OK ",
                 "managesieve": b'"IMPLEMENTATION"'}
    with postroom.Instance(accounts=("alice",), conf="proxy-networks 127.0.0.1\nsmtp-banner-delay 0s\n") as instance:
        instance.start()
        for name, greeting in greetings.items():
            for header in (V1, V2):
                with instance.raw(name) as line:
                    line.send(header)
                    if name.endswith("s"):
                        line.start_tls(instance.tls_context())
                    assert line.line().startswith(greeting), (name, header)
            postroom.wait_for(f"{name} writes down whose it was", lambda name=name: re.search(
                rf"peer=192\.0\.2\.77 event=session\.open listener={name} ", instance.log()))
