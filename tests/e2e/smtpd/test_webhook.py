"""What happens to messages is told to a program by HTTPS: in order, signed, again until it is taken (smtpd/webhook.h)."""

import base64
import hashlib
import hmac
import json

import pytest

import postroom
from dialogue import data, submit, talk
from dns_server import DnsServer
from https_server import Authority, HttpsServer
from postroom import wait_for
from strangers import CONF as STRANGERS
from test_bulk import complaint

HOST, PATH = "hooks.example", "/mail"
CONF = STRANGERS + """
relay-ca-file {authority}
relay-ipv6 no
sending yes
report-addresses abuse@example.test
webhook-events queue.add relay.failed smtp.complaint
webhook-url https://{host}:{port}{path}
"""


@pytest.fixture(scope="module")
def world():
    with Authority() as authority, DnsServer() as dns, HttpsServer(authority, [HOST]) as web:
        dns.add(HOST, "A", "127.0.0.1")         # where no stranger's DNS leads us
        web.pages[HOST, PATH] = (503, "text/plain", b"not today")
        conf = CONF.format(authority=authority.file, host=HOST, port=web.port, path=PATH) + dns.conf()
        with postroom.Instance(accounts=("alice", "abuse"), conf=conf) as server:
            server.start(only="smtpd")
            yield server, web


def shown(server):
    return server.json("webhook", "show")


def submit_one(server, to):
    with submit(server, "alice") as line:
        assert line.smtp("MAIL FROM:<alice@example.test>") == 250
        assert line.smtp(f"RCPT TO:<{to}>") == 250
        assert data(line, b"From: alice@example.test\r\nSubject: x\r\n\r\nx\r\n") == 250


def events(posts):
    return [event for _, _, _, body in posts for event in json.loads(body)["events"]]


def test_nothing_is_told_without_a_key_and_all_of_it_once_there_is_one(world):
    server, web = world
    wait_for("it looks", lambda: server.run("webhook", "show").returncode == 0 and shown(server)["state"] == "working")
    submit_one(server, "friend@nowhere.example")
    wait_for("it says what is missing", lambda: "postroom webhook key" in shown(server)["answer"])
    assert not web.posts
    key = server.postroom("webhook", "key").strip()
    assert server.postroom("webhook", "key").strip() == key and key.startswith("whsec_")
    wait_for("it is refused", lambda: shown(server)["answer"] == "HTTP status 503")
    assert shown(server)["state"] == "failing" and shown(server)["posted"] == 0
    # What was never taken is not forgotten by a restart.
    server.stop()
    server.start(only="smtpd")
    wait_for("it is refused again", lambda: server.run("webhook", "show").returncode == 0 and shown(server)["answer"] == "HTTP status 503")


def test_what_was_refused_comes_again_signed(world):
    server, web = world
    refused = len(web.posts)
    web.pages[HOST, PATH] = (204, "text/plain", b"")
    wait_for("it is taken", lambda: shown(server)["state"] == "working")
    key = base64.b64decode(server.postroom("webhook", "key").strip().removeprefix("whsec_"))
    for (_, _, kind, body), fields in zip(web.posts, web.fields):
        signed = b"%s.%s.%s" % (fields["webhook-id"].encode(), fields["webhook-timestamp"].encode(), body)
        assert fields["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert kind == "application/json"
    # One that is on its way just now may still be refused, and comes again.
    failed = wait_for("the failure", lambda: [e for e in events(web.posts[refused:]) if e["event"] == "relay.failed"])[0]
    assert failed["to"] == "friend@nowhere.example" and failed["reply"].startswith("5.1.2")
    # Another process tells of its beginning, perhaps later.
    wait_for("the beginning", lambda: [e for e in events(web.posts[refused:])
                                       if e["event"] == "queue.add" and e["queue_id"] == failed["queue_id"]])


def test_complaints_are_told_and_after_a_restart_nothing_twice(world):
    server, web = world
    before = len(web.posts)
    with talk(server) as line:
        assert line.smtp("MAIL FROM:<fbl@big.example>") == 250
        assert line.smtp("RCPT TO:<abuse@example.test>") == 250
        assert data(line, complaint("angry@big.example", "")) == 250
    complained = wait_for("it is told", lambda: [e for e in events(web.posts[before:]) if e["event"] == "smtp.complaint"])
    assert (complained[0]["of"], complained[0]["about"], complained[0]["believed"]) == ("angry@big.example", "news@example.test", "no")
    told = int(web.fields[-1]["webhook-id"].split("-")[1])
    wait_for("it is written down", lambda: any(int(note.read_text()) >= told for note in server.root.glob("queue/**/webhook")))
    server.stop()
    server.start(only="smtpd")
    submit_one(server, "second@nowhere.example")
    wait_for("the new one is told", lambda: any(e.get("to") == "second@nowhere.example" for e in events(web.posts)))
    server.stop()
    all_of_them = [json.dumps(event, sort_keys=True) for event in events(web.posts[before:])]
    assert len(all_of_them) == len(set(all_of_them))
