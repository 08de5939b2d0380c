"""Newsletters: a link to unsubscribe in each message (RFC 8058), answered by the web front; complaints of recipients (RFC 5965); both are
heeded when the sender writes again."""

import http.client
import re

import pytest

import dns_server
import postroom
from dialogue import data, submit, talk
from postroom import wait_for
from strangers import CONF

LINK = re.compile(rb"^List-Unsubscribe: <https://mail\.example\.test:(\d+)(/unsubscribe/[A-Za-z0-9_-]+)>\r\n"
                  rb"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", re.M)
OWN = "List-Unsubscribe: <mailto:x@example.test>, <https://shop.example/u/1>\r\n"
POST = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


@pytest.fixture(scope="module")
def server():
    conf = CONF + "bulk-senders news@example.test=add @example.test=check bob@example.test=off\nreport-addresses abuse@example.test\n"
    with postroom.Instance(accounts=("news", "alice", "bob", "abuse"), conf=conf, web=True) as instance:
        instance.start()
        wait_for("the relay answers", lambda: instance.run("queue", "list").returncode == 0)
        yield instance


def send(server, user, recipients, extra=""):
    """(code, text) of the reply that decides."""
    with submit(server, user) as line:
        assert line.smtp(f"MAIL FROM:<{server.address(user)}>") == 250
        for to in recipients:
            line.send(f"RCPT TO:<{to}>\r\n")
            code, texts = line.reply()
            if code != 250:
                return code, " ".join(texts)
        assert line.smtp("DATA") == 354
        line.send(f"From: {server.address(user)}\r\nSubject: News\r\n{extra}\r\nBuy!\r\n.\r\n".encode())
        code, texts = line.reply()
        return code, " ".join(texts)


def queued(server, recipient):
    return [path.read_bytes() for path in (server.root / "queue" / "msg").iterdir() if recipient.encode() in path.read_bytes()]


def link(server, recipient):
    assert send(server, "news", [recipient])[0] == 250
    return LINK.search(queued(server, recipient)[-1]).group(2).decode()


def ask(server, path, method="GET", body=None):
    connection = http.client.HTTPSConnection("127.0.0.1", server.port("https"), timeout=postroom.DEADLINE_S, context=server.tls_context())
    try:
        connection.request(method, path, body=body, headers={"Host": "mail.example.test"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def refusals(server):
    return {(row["address"], row["sender"]): row["why"] for row in server.json("suppression", "list", "--senders")}


def test_one_click_ends_it_and_a_look_does_not(server):
    friend = "friend@far.example"
    path = link(server, friend)
    octets = queued(server, friend)[0]
    signed = re.search(rb"h=([^;]*);", octets).group(1).lower()
    assert b"list-unsubscribe" in signed and b"list-unsubscribe-post" in signed
    status, page = ask(server, path)
    assert status == 200 and friend in page and "news@example.test" in page and "<form method=\"post\">" in page
    assert (friend, "news@example.test") not in refusals(server)
    assert ask(server, path, "POST", "List-Unsubscribe=One-Click")[0] == 200
    assert ask(server, path, "POST")[0] == 200                # twice is as good as once
    assert refusals(server)[friend, "news@example.test"] == "unsubscribed"
    server.wait_log("event=web.request path=/unsubscribe/ ")
    assert path.removeprefix("/unsubscribe/") not in server.log()      # whoever reads it could say no in somebody's name
    code, text = send(server, "news", [friend.title().replace("Far", "far")])
    assert code == 550 and "wants no more mail from this sender (unsubscribed)" in text
    assert send(server, "bob", [friend])[0] == 250            # somebody else may
    server.postroom("suppression", "remove", friend, "--sender", "news@example.test")
    assert send(server, "news", [friend])[0] == 250


@pytest.mark.parametrize("change", [lambda path: path[:-1], lambda path: path + "A", lambda path: path[:20] + "x" + path[21:],
                                    lambda path: "/unsubscribe/", lambda path: "/unsubscribe/" + "A" * 3000])
def test_links_that_are_not_ours_lead_nowhere(server, change):
    path = change(link(server, "other@far.example"))
    assert ask(server, path, "POST")[0] == 404
    assert ("other@far.example", "news@example.test") not in refusals(server)


@pytest.mark.parametrize("user, to, extra, expected", [
    ("news", ["a@far.example", "b@far.example"], "", "a message of its own"),
    ("news", ["a@far.example", "b@far.example"], OWN + POST, None),
    ("news", ["a@far.example"], OWN, "List-Unsubscribe-Post"),
    ("alice", ["a@far.example"], "", "RFC 8058"),
    ("alice", ["a@far.example"], POST, "RFC 8058"),
    ("alice", ["a@far.example"], OWN.replace("https:", "http:") + POST, "RFC 8058"),
    ("alice", ["a@far.example"], OWN + POST, None),
    ("alice", ["bob@example.test"], "", None),
    ("bob", ["a@far.example", "b@far.example"], "", None),
])
def test_what_bulk_senders_lack_is_said(server, user, to, extra, expected):
    code, text = send(server, user, to, extra)
    assert (code == 550 and expected in text) if expected else code == 250, (code, text)


def test_who_writes_his_own_link_keeps_it(server):
    assert send(server, "news", ["own@far.example"], OWN + POST)[0] == 250
    assert queued(server, "own@far.example")[0].count(b"\r\nList-Unsubscribe:") == 1


def complaint(recipient, path, reporter="fbl@big.example"):
    field = f"List-Unsubscribe: <https://mail.example.test{path}>\r\n" if path else ""
    return (f"From: <{reporter}>\r\nSubject: complaint\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee.\r\n"
            "--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Big/1\r\nVersion: 1\r\n"
            f"Original-Rcpt-To: {recipient}\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: news@example.test\r\n"
            f"Message-ID: <{recipient}>\r\n{field}\r\nBuy!\r\n--b--\r\n").encode()


def complain(server, recipient, path="", reporter="fbl@big.example"):
    with talk(server) as line:
        assert line.smtp(f"MAIL FROM:<{reporter}>") == 250
        assert line.smtp("RCPT TO:<abuse@example.test>") == 250
        assert data(line, complaint(recipient, path, reporter)) == 250


def test_a_complaint_about_our_own_mail_is_heeded_and_a_story_is_only_shown(server):
    path = link(server, "angry@big.example")
    complain(server, "angry@big.example", path)
    complain(server, "victim@big.example")
    assert refusals(server)["angry@big.example", "news@example.test"] == "complaint"
    assert ("victim@big.example", "news@example.test") not in refusals(server)
    code, text = send(server, "news", ["angry@big.example"])
    assert code == 550 and "(complaint)" in text
    shown = [row for row in server.json("reports", "--kind", "complaint") if row["failures"][0]["what"] == "abuse"]
    assert {row["failures"][0]["host"] for row in shown} == {"angry@big.example", "victim@big.example"}
    assert all(row["domain"] == "example.test" and row["by"] == "Big/1" and not row["proven"] for row in shown)


def test_a_customer_of_a_reporter_is_no_reporter():
    conf = CONF + "report-addresses abuse@example.test\ncomplaint-reporters fbl@big.example desk.example\n"
    with dns_server.DnsServer() as dns:
        for domain in ("big.example", "desk.example", "notdesk.example"):
            dns.add(domain, "A", "192.0.2.1").add(domain, "TXT", "v=spf1 ip4:127.0.0.1 -all").add(f"_dmarc.{domain}", "TXT", "v=DMARC1; p=none")
        with postroom.Instance(accounts=("news", "abuse"), conf=conf + dns.conf()) as instance:
            instance.start(only="smtpd")
            for reporter in ("fbl@big.example", "customer@big.example", "any@desk.example", "any@notdesk.example"):
                complain(instance, f"of-{reporter.partition('@')[0]}@{reporter.partition('@')[2]}", reporter=reporter)
            assert {address for address, sender in refusals(instance)} == {"of-fbl@big.example", "of-any@desk.example"}
            described = instance.postroom("conf", "describe", "complaint-reporters").split()
            assert not {"outlook.com", "yahoo.com", "aol.com", "gmx.net", "fastmail.com"} & set(described)
