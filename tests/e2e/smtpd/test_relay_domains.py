"""Relay domains: mail for somebody else's domain is taken in for the names that are known there, and goes on as it is."""

import json

import pytest

import dns_server
import postroom
from dialogue import talk
from https_server import Authority
from postroom import wait_for
from smtp_sink import Sink
from strangers import CONF, send
from test_tls_out import CONF as SENDING, free_port


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    port = free_port()
    with dns_server.DnsServer() as dns, Authority() as authority, Sink("127.0.3.7", port) as sink:
        dns.add("good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all").add("good.example", "A", "192.0.2.1")
        conf = CONF + dns.conf() + SENDING.format(port=port, authority=authority.file) + \
            f"sending yes\nsmarthosts to:branch.test=[127.0.3.7]:{port}\n"
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
