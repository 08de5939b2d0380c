"""Relay domains: mail for somebody else's domain is taken in for the names that are known there, and goes on as it is."""

import json
import signal
import threading

import pytest

import dns_server
import postroom
from dialogue import talk
from https_server import Authority
from postroom import wait_for
from smtp_sink import Sink
from strangers import CONF, message, send
from test_tls_out import CONF as SENDING, free_port


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    port = free_port()
    with dns_server.DnsServer() as dns, Authority() as authority, Sink("127.0.3.7", port, extensions=(*Sink.EXTENSIONS, "DSN")) as sink:
        dns.add("good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all").add("good.example", "A", "192.0.2.1")
        conf = CONF + dns.conf() + SENDING.format(port=port, authority=authority.file) + \
            f"log-level debug\nsending yes\nsmarthosts to:branch.test=[127.0.3.7]:{port} to:asked.test=[127.0.3.7]:{port}\n"
        with postroom.Instance(accounts=("alice",), conf=conf) as server:
            names = tmp_path_factory.mktemp("relay") / "names.txt"
            names.write_text("# branch\njoe@branch.test\n\nAnn@Branch.test\n")
            server.postroom("domain", "add", "branch.test")
            server.postroom("domain", "set", "branch.test", "--relay", "listed")
            assert "2 recipients" in server.postroom("recipient", "import", str(names))
            assert "0 recipients" in server.postroom("recipient", "import", str(names))
            server.start(only="smtpd")
            yield server, sink


def rcpt(server, to):
    with talk(server) as line:
        assert line.smtp("MAIL FROM:<joe@good.example>") == 250
        return line.smtp(f"RCPT TO:<{to}>")


def test_mail_for_a_known_name_goes_to_the_listed_host_as_it_is(world):
    server, sink = world
    assert send(server, "Joe@branch.test", "joe@good.example")[0] == 250
    message = sink.wait(1)[0]
    assert (message.sender, message.recipients) == ("joe@good.example", ["Joe@branch.test"])
    assert b"Delivered-To" not in message.data and b"\r\nSubject: Test\r\n" in message.data
    assert message.data.startswith(b"Authentication-Results: mail.example.test;")
    wait_for("an empty queue", lambda: json.loads(server.run("queue", "list", "--json").stdout or "[1]") == [])


def test_an_original_recipient_beyond_ascii_goes_on_with_smtputf8(world):
    """RFC 6533 §3: a server may refuse the recipient else, though nothing but that needs it."""
    server, sink = world
    before = len(sink.messages)
    with talk(server) as line:
        assert line.smtp("MAIL FROM:<joe@good.example> SMTPUTF8") == 250
        assert line.smtp("RCPT TO:<joe@branch.test> ORCPT=utf-8;j\u00f6@asked.test") == 250
        assert line.smtp("DATA") == 354
        line.send(message("joe@good.example") + b".\r\n")
        assert line.reply()[0] == 250
    got = sink.wait(before + 1)[-1]
    assert got.recipient_lines == ["RCPT TO:<joe@branch.test> ORCPT=utf-8;j\u00f6@asked.test"]
    assert " SMTPUTF8" in got.sender_line


def test_unknown_names_and_other_domains_are_refused_at_once(world):
    server, _ = world
    assert rcpt(server, "nobody@branch.test") == 550
    assert rcpt(server, "joe@elsewhere.test") == 550
    assert rcpt(server, "joe%branch.test@elsewhere.test") == 550


def test_names_come_and_go(world):
    server, _ = world
    server.postroom("recipient", "add", "new@branch.test")
    assert [row["recipient"] for row in server.json("recipient", "list")] == ["ann@branch.test", "joe@branch.test", "new@branch.test"]
    assert rcpt(server, "new@branch.test") == 250
    server.postroom("recipient", "remove", "new@branch.test")
    assert rcpt(server, "new@branch.test") == 550
    assert server.run("recipient", "remove", "new@branch.test").returncode == 3
    assert server.run("recipient", "add", "x@example.test").returncode != 0        # no relay domain
    assert server.run("alias", "remove", "joe@branch.test").returncode == 3


def test_any_name_is_taken_where_that_is_wanted(world):
    server, _ = world
    server.postroom("domain", "set", "branch.test", "--relay", "any")
    assert rcpt(server, "nobody@branch.test") == 250
    server.postroom("domain", "set", "branch.test", "--relay", "no")
    assert rcpt(server, "nobody@branch.test") == 550
    assert rcpt(server, "joe@branch.test") == 550           # it would come back from the queue, again and again


# ---- names that the domain's own host knows ----

@pytest.fixture(scope="module")
def asked(world):
    """The branch's host knows sue, and says what it says of others."""
    server, sink = world
    server.postroom("domain", "add", "asked.test")
    server.postroom("domain", "set", "asked.test", "--relay", "asked")
    server.postroom("recipient", "add", "listed@asked.test")

    def answer(line):
        name = line[line.index("<") + 1:line.index("@")]
        return {"sue": "250 2.1.5 ok", "later": "450 4.2.0 not now", "policy": "550 5.7.1 you are not welcome",
                "listed": "250 2.1.5 ok"}.get(name, "550 5.1.1 no such user")
    sink.on("RCPT", answer)
    yield server, sink
    sink.answers.pop("RCPT")


def let_go(server, sink):
    """Connections that wait for the next question end when the server is told of new settings."""
    told = server.log().count("event=relay.question.rested")
    server.process.send_signal(signal.SIGHUP)
    wait_for("the relay knows the new settings", lambda: server.log().count("event=relay.question.rested") > told)
    wait_for("no connection", lambda: sink.open == 0)


def questions(sink, to):
    return sum(1 for _, who, line in sink.log if who == "C" and line == f"RCPT TO:<{to}>")


def test_a_name_is_good_when_its_host_says_so_and_it_is_asked_once(asked):
    server, sink = asked
    before = len(sink.messages)
    got = [rcpt(server, "sue@asked.test") for _ in range(3)]
    assert got == [250, 250, 250], server.log()[-3000:]
    assert questions(sink, "sue@asked.test") == 1
    assert send(server, "sue@asked.test", "joe@good.example")[0] == 250
    assert sink.wait(before + 1)[-1].recipients == ["sue@asked.test"]
    connection = next(number for number, who, line in sink.log if line == "RCPT TO:<sue@asked.test>")
    let_go(server, sink)
    wait_for("QUIT", lambda: (connection, "C", "QUIT") in sink.log)
    talk = [line for number, who, line in sink.log if (number, who) == (connection, "C")]
    assert talk[1:] == ["MAIL FROM:<>", "RCPT TO:<sue@asked.test>", "RSET", "QUIT"]         # nobody's name, and no message


def test_who_asks_what_is_being_asked_gets_the_same_answer(asked):
    server, sink = asked
    usual, is_joined = sink.answers["RCPT"], threading.Event()

    def answer(line):
        if "<ann@" in line:
            is_joined.wait(15)             # less than the question may take
            return "250 2.1.5 ok"
        return usual(line)
    sink.on("RCPT", answer)
    with talk(server) as one, talk(server) as other:
        for line in (one, other):
            assert line.smtp("MAIL FROM:<joe@good.example>") == 250
        for line in (one, other):
            line.send("RCPT TO:<ann@asked.test>\r\n")
        server.wait_log("event=relay.question.joined address=ann@asked.test")
        is_joined.set()
        assert [line.reply()[0] for line in (one, other)] == [250, 250]
    assert questions(sink, "ann@asked.test") == 1
    sink.on("RCPT", usual)


def test_a_name_that_its_host_does_not_know_is_refused_and_asked_for_once(asked):
    server, sink = asked
    assert [rcpt(server, "nobody@asked.test") for _ in range(3)] == [550, 550, 550]
    assert questions(sink, "nobody@asked.test") == 1


def test_a_name_at_an_alias_of_the_domain_is_asked_for_as_mail_would_go_there(asked):
    server, sink = asked
    server.postroom("domain", "add", "other.test")
    server.postroom("domain", "set", "other.test", "--alias-of", "asked.test")
    assert [rcpt(server, "sue@other.test"), rcpt(server, "stranger@other.test")] == [250, 550], server.log()[-3000:]
    assert questions(sink, "stranger@asked.test") == 1
    assert questions(sink, "sue@other.test") == questions(sink, "stranger@other.test") == 0


def test_a_listed_name_needs_no_answer(asked):
    server, sink = asked
    assert rcpt(server, "listed@asked.test") == 250
    assert questions(sink, "listed@asked.test") == 0


@pytest.mark.parametrize("name", ["later", "policy"])
def test_an_answer_that_is_none_about_the_name_is_temporary(asked, name):
    server, _ = asked
    assert rcpt(server, f"{name}@asked.test") == 451


def test_a_host_that_refuses_our_question_has_said_nothing_about_the_name(asked):
    server, sink = asked
    sink.on("MAIL", "550 5.1.8 no null senders here")
    try:
        assert rcpt(server, "first@asked.test") == 451
    finally:
        sink.answers.pop("MAIL")
    assert rcpt(server, "first@asked.test") == 550


def test_the_recipients_of_a_message_cost_one_connection(asked):
    server, sink = asked
    for attempt in ("a", "b", "c"):         # a machine that stands still for ten seconds between two recipients lets the connection go
        let_go(server, sink)
        before = sink.connections
        with talk(server) as line:
            assert line.smtp("MAIL FROM:<joe@good.example>") == 250
            got = [line.smtp(f"RCPT TO:<{name}@asked.test>") for name in (f"many1{attempt}", "sue", f"many2{attempt}", "later", f"many3{attempt}")]
        assert got == [550, 250, 550, 451, 550]
        assert [questions(sink, f"many{i}{attempt}@asked.test") for i in (1, 2, 3)] == [1, 1, 1]
        if sink.connections == before + 1:
            break
    assert sink.connections == before + 1, sink.log[-40:]


def test_a_connection_that_has_rested_too_long_for_the_host_is_made_anew(asked):
    server, sink = asked
    let_go(server, sink)
    before = sink.connections
    assert rcpt(server, "rested1@asked.test") == 550
    sink.on("MAIL", "421 4.4.2 you were silent for too long")
    sink.on("greeting", lambda line: sink.answers.pop("MAIL") and "220 sink.example ESMTP")
    try:
        assert rcpt(server, "rested2@asked.test") == 550
    finally:
        sink.answers.pop("greeting")
        sink.answers.pop("MAIL", None)
    assert sink.connections == before + 2, sink.log[-40:]


def test_a_host_that_ends_after_each_answer_is_asked_on_a_new_connection(asked):
    """The second question waits behind the first one's RSET when the connection is lost."""
    server, sink = asked
    let_go(server, sink)
    before, is_joined = sink.connections, threading.Event()

    def end(line):
        is_joined.wait(15)
        return "drop"
    sink.on("RSET", end)
    try:
        assert rcpt(server, "ended1@asked.test") == 550
        with talk(server) as one, talk(server) as other:
            for line in (one, other):
                assert line.smtp("MAIL FROM:<joe@good.example>") == 250
            for line in (one, other):
                line.send("RCPT TO:<ended2@asked.test>\r\n")
            server.wait_log("event=relay.question.joined address=ended2@asked.test")
            is_joined.set()
            assert [line.reply()[0] for line in (one, other)] == [550, 550]
    finally:
        is_joined.set()
        sink.answers.pop("RSET")
    assert sink.connections == before + 2, sink.log[-40:]


def test_explain_asks_nobody(asked):
    server, sink = asked
    text = server.run("explain", "--from", "joe@good.example", "--to", "dry@asked.test", "--ip", "192.0.2.1").stdout
    assert "its host would be asked" in text, text
    assert questions(sink, "dry@asked.test") == 0


def test_a_host_that_does_not_answer_costs_one_try_and_its_known_names_stay_good(asked):
    server, sink = asked
    assert rcpt(server, "sue@asked.test") == 250
    let_go(server, sink)
    sink.on("greeting", "drop")
    before = sink.connections
    try:
        assert [rcpt(server, f"new{i}@asked.test") for i in range(3)] == [451, 451, 451]
        assert rcpt(server, "sue@asked.test") == 250
    finally:
        sink.answers.pop("greeting")
    assert sink.connections == before + 1
