"""Filter programs (milter protocol 6): what they are told, and that what they answer is obeyed, also when they break down."""

import re

import pytest

import dns_server
import postroom
from dialogue import only_file
from milter_server import MilterServer
from strangers import CONF, message, send

SENDER = "joe@good.example"


@pytest.fixture(scope="module")
def dns():
    with dns_server.DnsServer() as server:
        server.add_reverse("127.0.0.1", "localhost")
        server.add("good.example", "A", "192.0.2.1").add("good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all")
        yield server


@pytest.fixture
def milter():
    with MilterServer() as server:
        yield server


@pytest.fixture
def mx(dns, milter, make_server):
    return make_server(CONF + dns.conf() + f"milters 127.0.0.1:{milter.port}\nmilter-timeout 2s\n")


def test_a_filter_sees_the_whole_message_and_its_envelope(mx, milter):
    octets = message(SENDER, "X-Folded: a\r\n\tb\r\n", "line\r\n" * 30000)
    assert send(mx, "alice", SENDER, octets=octets, helo="mail.good.example")[0] == 250
    talk = [(letter, data) for letter, data in milter.seen[-1] if letter != "D"]
    assert "".join(letter for letter, _ in talk).replace("L", "").replace("B", "") == "OCHMRTNEQ"
    assert talk[1][1].startswith(b"localhost\0004") and talk[1][1].endswith(b"127.0.0.1\0")
    assert talk[2][1] == b"mail.good.example\0" and talk[3][1] == b"<joe@good.example>\0"
    assert talk[4][1] == b"<alice@example.test>\0"
    headers = [data for letter, data in talk if letter == "L"]
    assert headers[0] == b"X-Folded\0a\n\tb\0" and b"Subject\0Test\0" in headers
    assert b"".join(data for letter, data in talk if letter == "B") == b"line\r\n" * 30000
    assert only_file(mx, "alice").endswith(octets)


@pytest.mark.parametrize("silent", [0, 0x80 | 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x40000 | 0x80000, 0x1 | 0x2 | 0x10 | 0x20])
def test_what_a_filter_wants_less_of_is_not_sent(dns, make_server, silent):
    with MilterServer(protocol=silent) as milter:
        server = make_server(CONF + dns.conf() + f"milters 127.0.0.1:{milter.port}\n")
        milter.at["E"] = [MilterServer.add_header("X-Seen", "yes"), b"c"]
        assert send(server, "alice", SENDER, octets=message(SENDER, body="x\r\n" * 100000))[0] == 250
        assert b"\r\nX-Seen: yes\r\n" in only_file(server, "alice")
        if silent & 1:
            assert not {"C", "H", "B", "L"} & {letter for letter, _ in milter.seen[-1]}


@pytest.mark.parametrize("at,answers,code,text", [
    ("C", [b"r"], 550, ""), ("M", [b"t"], 451, ""), ("R", [b"r"], 550, ""), ("E", [b"r"], 550, "5.7.1 A content filter"),
    ("E", [b"p", b"p", b"t"], 451, ""), ("E", [b"y550 5.7.1 Eicar found\0"], 550, "5.7.1 Eicar found"),
    ("E", [b"y451 4.7.1 Greylisted\r\n250 OK\0"], 451, "4.7.1 Greylisted  250 OK"), ("B", [b"a"], 250, ""), ("H", [b"a"], 250, "")])
def test_its_verdict_is_the_answer(mx, milter, at, answers, code, text):
    milter.at[at] = answers
    got, said = send(mx, "alice", SENDER)
    assert got == code and said.startswith(text or ""), said
    assert len(mx.files("alice")) == (code == 250)


@pytest.mark.parametrize("at", ["O", "C", "L", "B", "E"])
@pytest.mark.parametrize("how", ["hang", "die", "raw:\0\0\0\0", "raw:\xff\xff\xff\xff", "raw:HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_filter_that_breaks_down_makes_the_sender_try_again(mx, milter, at, how):
    milter.at[at] = [how]
    code, text = send(mx, "alice", SENDER)
    assert (code, text[:5]) == (451, "4.7.1"), text
    assert mx.files("alice") == []
    milter.at.clear()
    assert send(mx, "alice", SENDER)[0] == 250


def test_no_filter_there_is_the_same_and_may_be_set_to_accept(dns, make_server):
    with MilterServer() as gone:
        port = gone.port
    server = make_server(CONF + dns.conf() + f"milters 127.0.0.1:{port}\n")
    assert send(server, "alice", SENDER)[0] == 451
    server = make_server(CONF + dns.conf() + f"milters 127.0.0.1:{port}\nmilter-failure accept\n")
    assert send(server, "alice", SENDER)[0] == 250
    assert re.search(r"event=smtp\.milter .*verdict=4", server.log())


@pytest.mark.parametrize("answer", [b"qinfected\0", MilterServer.add_header("X-Spam", "Yes"),
                                    MilterServer.insert_header("X-Spam-Flag", "YES"), b"d"])
def test_spam_and_quarantine_go_to_junk(mx, milter, answer):
    milter.at["E"] = [answer] if answer == b"d" else [answer, b"c"]
    assert send(mx, "alice", SENDER)[0] == 250
    assert b"X-Postroom-Junk: milter (A filter says: " in only_file(mx, "alice", "Junk")


def test_fields_that_it_adds_cannot_break_the_header(mx, milter):
    milter.at["E"] = [MilterServer.add_header("X-Good", "a\n\tb"), MilterServer.add_header("X-Evil", "x\r\n\r\nBcc: y\nZ: w"),
                      MilterServer.add_header("Bad Name", "x"), MilterServer.add_header("X:", "x"),
                      MilterServer.add_header("X-Long", "y" * 20000), b"i\0\0", b"hno-end", b"m\0\0\0\1Subject\0Changed\0", b"c"]
    assert send(mx, "alice", SENDER)[0] == 250
    header = only_file(mx, "alice").split(b"\r\n\r\n")[0]
    assert b"\r\nX-Good: a\r\n\tb\r\nX-Evil: x\r\n\tBcc: y\r\n\tZ: w\r\n" in header
    assert b"Bad Name" not in header and b"X-Long" not in header and b"Subject: Test" in header


def test_several_filters_are_asked_in_turn_until_one_refuses(dns, make_server):
    with MilterServer() as first, MilterServer() as second:
        server = make_server(CONF + dns.conf() + f"milters 127.0.0.1:{first.port} 127.0.0.1:{second.port}\n")
        first.at["E"] = [MilterServer.add_header("X-First", "1"), b"c"]
        second.at["E"] = [MilterServer.add_header("X-Second", "2"), b"c"]
        assert send(server, "alice", SENDER)[0] == 250
        assert b"X-First: 1\r\nX-Second: 2\r\n" in only_file(server, "alice")
        first.at["E"] = [b"r"]
        assert send(server, "alice", SENDER)[0] == 550
        assert len(second.seen) == 1


def test_one_that_is_away_takes_nothing_from_what_the_others_say(dns, make_server):
    with MilterServer() as gone:
        port = gone.port
    with MilterServer() as first, MilterServer() as last:
        places = f"milters 127.0.0.1:{first.port} 127.0.0.1:{port} 127.0.0.1:{last.port}\n"
        server = make_server(CONF + dns.conf() + places + "milter-failure accept\n")
        first.at["E"] = [MilterServer.add_header("X-Spam", "Yes"), b"c"]
        assert send(server, "alice", SENDER)[0] == 250
        assert len(server.files("alice", "Junk")) == 1 and len(last.seen) == 1
        last.at["E"] = [b"r"]
        assert send(server, "alice", SENDER)[0] == 550


def test_a_client_who_leaves_ends_the_conversation(mx, milter):
    milter.at["E"] = ["hang"]
    with postroom.Line(mx.port("mx")) as line:
        line.reply()
        line.smtp("EHLO x.example")
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250 and line.smtp("RCPT TO:<alice@example.test>") == 250
        assert line.smtp("DATA") == 354
        line.send(message(SENDER) + b".\r\n")
        postroom.wait_for("the filter has it all", lambda: milter.seen and milter.seen[-1][-1][0] == "E")
    milter.at.clear()
    assert send(mx, "alice", SENDER)[0] == 250
    assert len(mx.files("alice")) == 1
