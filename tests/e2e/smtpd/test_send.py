"""Mail leaves: by MX, in one transaction per destination, encrypted where it can be; what cannot be sent waits or comes back."""

import base64
import email
import email.policy
import hashlib
import os
import pathlib
import re
import tempfile
import time

import pytest

import postroom
from dns_server import DnsServer
from postroom import free_port, wait_for
from smtp_sink import Sink
from test_disk import small_disk  # noqa: F401

QUICK = """
relay-port {port}
relay-ipv6 no
relay-connect-time 2s
relay-reply-time {reply}
queue-retry {retry}
queue-retry-max {retry_max}
queue-delay-notice {notice}
queue-lifetime {life}
queue-lifetime-bounce {life}
"""


class World:
    """A Postroom, a name server, and other people's servers on loopback addresses of their own."""

    def __init__(self, **options):
        self.dns = DnsServer()
        self.dns.__enter__()
        self.port = free_port()
        self.sinks = []
        root = options.pop("root", None)
        options = {"reply": "5m", "notice": "4h", "life": "5d", "more": "", "retry": "1s", "retry_max": "4s", **options}
        conf = QUICK.format(port=self.port, **options) + options["more"] + "\n" + self.dns.conf()
        self.server = postroom.Instance(accounts=("alice", "bob"), conf=conf, root=root)

    def start(self):
        self.server.start(only="smtpd")
        self.wait_ready()
        return self

    def wait_ready(self):
        """It answers when it knows all that is in the queue; destinations are a short answer."""
        wait_for("the relay answers", lambda: self.server.run("queue", "destinations").returncode == 0)

    def domain(self, name, **options):
        """A domain whose mail a sink takes."""
        address = f"127.0.0.{len(self.sinks) + 10}"
        sink = Sink(address, self.port, name=f"mx.{name}", **options)
        self.sinks.append(sink)
        self.dns.add(name, "MX", f"10 mx.{name}")
        self.dns.add(f"mx.{name}", "A", address)
        return sink

    def send(self, recipients, body="Hello.\r\n", sender="alice", options=(), extra="", rcpt_options=()):
        recipients = [recipients] if isinstance(recipients, str) else recipients
        text = postroom.message(body=body, sender=self.server.address(sender), to=recipients[0], extra=extra)
        with self.server.submission(sender) as smtp:
            smtp.sendmail(self.server.address(sender), recipients, text, mail_options=options, rcpt_options=rcpt_options)
        return text

    def queued(self):
        return sorted(path.name for path in (self.server.root / "queue" / "msg").iterdir())

    def wait_empty(self):
        wait_for("the queue is empty", lambda: not self.queued())

    def inbox(self, user="alice"):
        return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
                for path in self.server.files(user)]

    def wait_mail(self, user="alice", count=1):
        wait_for(f"{count} messages for {user}", lambda: len(self.server.files(user)) >= count)
        return self.inbox(user)

    def close(self):
        self.server.__exit__()
        for sink in self.sinks:
            sink.close()
        self.dns.__exit__(None, None, None)


@pytest.fixture
def make_world():
    made = []

    def make(**options):
        made.append(World(**options))
        return made[-1]
    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world):
    return make_world().start()


def test_a_message_reaches_another_server_and_leaves_the_queue(world):
    sink = world.domain("far.example")
    world.send(["friend@far.example", "other@far.example"], body="Hello.\r\n.dot\r\n..dots\r\n")
    message = sink.wait(1)[0]
    assert message.sender == "alice@example.test"
    assert message.recipients == ["friend@far.example", "other@far.example"]
    assert message.is_bdat and message.data.endswith(b"\r\n\r\nHello.\r\n.dot\r\n..dots\r\n")
    assert b"\r\nDKIM-Signature: " in b"\r\n" + message.data and b"\r\nReceived: " in message.data
    world.wait_empty()
    wait_for("it is told", lambda: "event=relay.sent" in world.server.log())


def test_without_chunking_dots_are_stuffed_and_the_text_is_the_same(world):
    sink = world.domain("plain.example", extensions=())
    world.send("friend@plain.example", body=".\r\n..\r\n.x\r\nend without newline")
    message = sink.wait(1)[0]
    assert not message.is_bdat
    assert message.data.endswith(b"\r\n\r\n.\r\n..\r\n.x\r\nend without newline\r\n")
    world.wait_empty()


def test_a_large_message_arrives_octet_for_octet(world):
    sinks = [world.domain("big.example"), world.domain("bigdata.example", extensions=("PIPELINING", "8BITMIME"))]
    body = "".join(f".{i:06d} {'x' * (i % 900)}\r\n" for i in range(3000))
    world.send(["a@big.example", "b@bigdata.example"], body=body)
    for sink in sinks:
        assert sink.wait(1)[0].data.split(b"\r\n\r\n", 1)[1] == body.encode()
    world.wait_empty()


def test_one_dead_destination_does_not_hold_up_another(world):
    world.dns.add("dead.example", "MX", "10 mx.dead.example")
    world.dns.add("mx.dead.example", "A", "127.0.0.99")
    sink = world.domain("live.example")
    for i in range(5):
        world.send([f"u{i}@dead.example", f"u{i}@live.example"])
    sink.wait(5)
    wait_for("what is for the dead one is left", lambda: len(world.queued()) == 5)
    assert "event=relay.unreachable destination=dead.example status=4.4.1" in world.server.log()


def test_what_is_put_off_is_tried_again(world):
    sink = world.domain("slow.example")
    answers = iter(["450 4.2.0 come again", "451 4.7.1 greylisted"])
    sink.on("RCPT", lambda line: next(answers, True))
    world.send("friend@slow.example")
    sink.wait(1)
    world.wait_empty()
    assert world.server.log().count("event=relay.deferred") == 2


def test_a_refusal_comes_back_with_the_remotes_own_words(world):
    sink = world.domain("strict.example")
    sink.on("RCPT", lambda line: "550-5.1.1 No such user here\r\n550 5.1.1 really \x1b[31mnot" if "nobody" in line else True)
    world.send(["nobody@strict.example", "friend@strict.example"])
    sink.wait(1)
    assert sink.messages[0].recipients == ["friend@strict.example"]
    notice = world.wait_mail()[0]
    assert notice["Return-Path"] == "<>"
    assert notice["From"].endswith("<postmaster@example.test>")
    assert notice["Auto-Submitted"] == "auto-replied"
    assert notice.get_content_type() == "multipart/report"
    text, status, returned = notice.iter_parts()
    assert "There is no such address" in text.get_content()
    assert "550 5.1.1 No such user here" in text.get_content()
    fields = status.get_payload()
    assert fields[1]["Final-Recipient"] == "rfc822;nobody@strict.example"
    assert fields[1]["Action"] == "failed"
    assert fields[1]["Status"] == "5.1.1"
    assert "550 5.1.1 No such user here" in fields[1]["Diagnostic-Code"]
    assert "\x1b" not in notice.as_string()
    assert len(fields) == 2
    assert "Subject: Test" in returned.as_string()
    world.wait_empty()


def test_a_domain_that_does_not_exist_comes_back_at_once(world):
    world.dns.add("null.example", "MX", "0 .")
    world.send(["friend@nowhere.example", "friend@null.example"])
    notices = world.wait_mail(count=2)
    statuses = sorted(list(notice.iter_parts())[1].get_payload()[1]["Status"] for notice in notices)
    assert statuses == ["5.1.10", "5.1.2"]
    world.wait_empty()


def test_a_name_server_that_is_down_puts_off(world):
    world.dns.misbehave("broken.example", "servfail")
    world.send("friend@broken.example")
    wait_for("it was tried", lambda: "event=relay.unreachable destination=broken.example status=4.4.3" in world.server.log())
    assert len(world.queued()) == 1 and not world.inbox()


def test_the_next_mx_takes_what_the_first_does_not(world):
    second = world.domain("two.example")
    world.dns.add("two.example", "MX", "5 first.two.example")
    world.dns.add("first.two.example", "A", "127.0.0.98")
    world.send("friend@two.example")
    second.wait(1)
    world.wait_empty()


def test_a_connection_is_used_again_and_recipients_share_a_transaction(world):
    sink = world.domain("busy.example")
    for i in range(6):
        world.send(f"u{i}@busy.example")
    sink.wait(6)
    assert sink.connections <= 6
    world.send([f"many{i}@busy.example" for i in range(150)])
    sink.wait(8)
    assert sorted(len(message.recipients) for message in sink.messages[6:]) == [50, 100]
    world.wait_empty()


def test_too_many_recipients_go_in_another_transaction(world):
    sink = world.domain("few.example")
    counts = {}

    def answer(line):
        if "RCPT" in line:
            counts["n"] = counts.get("n", 0) + 1
            return True if counts["n"] <= 2 else "452 4.5.3 too many recipients"
        return True

    def mail(line):
        counts["n"] = 0
        return True
    sink.on("RCPT", answer)
    sink.on("MAIL", mail)
    world.send([f"u{i}@few.example" for i in range(5)])
    sink.wait(3)
    assert sorted(len(message.recipients) for message in sink.messages) == [1, 2, 2]
    world.wait_empty()
    assert "event=relay.deferred" not in world.server.log()


def test_mail_to_an_address_literal_goes_there(world):
    sink = world.domain("literal.example")
    world.send(f"friend@[{sink.address}]")
    assert sink.wait(1)[0].recipients == [f"friend@[{sink.address}]"]
    world.wait_empty()


def test_tls_is_used_where_it_is_offered_and_a_broken_one_is_not_needed(make_world):
    world = make_world().start()
    cert = (world.server.root / "tls" / "cert.pem", world.server.root / "tls" / "key.pem")
    good = world.domain("tls.example", cert=cert)
    world.send("friend@tls.example")
    assert good.wait(1)[0].is_tls
    refusing = world.domain("refusing.example", cert=cert)
    refusing.on("STARTTLS", "454 4.7.0 not now")
    world.send("friend@refusing.example")
    assert not refusing.wait(1)[0].is_tls
    failing = world.domain("failing.example", cert=cert, extensions=("PIPELINING", "STARTTLS"))
    failing.cert = None             # it says STARTTLS, and goes on in clear
    failing.on("STARTTLS", "220 go ahead")
    world.send("friend@failing.example")
    assert not failing.wait(1)[0].is_tls
    early = world.domain("early.example", cert=cert)
    early.on("STARTTLS", "220 go ahead\r\n250 forged")
    world.send("friend@early.example")
    wait_for("it was seen", lambda: "octets in clear behind STARTTLS" in world.server.log())
    wait_for("it alone is left", lambda: len(world.queued()) == 1)
    assert not early.messages


def test_an_mx_that_leads_to_ourselves_comes_back(make_world):
    world = make_world()
    world.dns.add("circle.example", "MX", "10 mail.example.test")
    world.dns.add("greets.example", "MX", "10 mx.greets.example")
    world.start()
    sink = world.domain("greets.example")
    sink.name = "mail.example.test"
    world.send(["friend@circle.example", "friend@greets.example"])
    notices = world.wait_mail(count=2)
    for notice in notices:
        assert list(notice.iter_parts())[1].get_payload()[1]["Status"] == "5.4.6"
    world.wait_empty()


# Every step, and what the queue says of it: test_bad_remotes.py. Here the mail gets through later.
STALLS = ["greeting", "end"]


@pytest.mark.parametrize("step", STALLS)
def test_a_server_that_falls_silent_is_given_up_and_tried_again(make_world, step):
    world = make_world(reply="1s").start()
    sink = world.domain("mute.example", extensions=("PIPELINING",))
    sink.on(step, None)
    world.send("friend@mute.example")
    wait_for("it was given up", lambda: "no answer in time" in world.server.log())
    assert len(world.queued()) == 1
    sink.answers.clear()
    sink.wait(1)
    world.wait_empty()


@pytest.mark.parametrize("step", ["greeting", "octets", "end"])
def test_a_server_that_drops_the_connection_gets_the_mail_later(world, step):
    sink = world.domain("drop.example", extensions=("PIPELINING",))
    sink.on(step, "drop")
    world.send("friend@drop.example", body="x" * 70 + "\r\n" * 1000)
    wait_for("it was dropped", lambda: sink.connections >= 1 and "4.4.2" in world.server.log())
    assert not sink.messages
    sink.answers.clear()
    sink.wait(1)
    world.wait_empty()


@pytest.mark.parametrize("step,answer", [("greeting", "220-" + "x" * 1000000), ("MAIL", "250-x\r\n" * 200 + "250 x"),
                                         ("EHLO", "hello to you"), ("end", "250-one\r\n550 two"),
                                         ("QUIT", "221 bye\r\n221 and more\r\n")],
                         ids=["a megabyte", "200 lines", "no code", "two codes", "after QUIT"])
def test_answers_that_are_none_do_no_harm(world, step, answer):
    sink = world.domain("odd.example", extensions=("PIPELINING",))
    sink.on(step, answer)
    world.send("friend@odd.example")
    wait_for("it was tried", lambda: sink.connections >= 1 and (sink.messages or "event=relay." in world.server.log()))
    sink.answers.clear()
    sink.wait(1)
    world.wait_empty()


def test_a_421_leaves_the_destination_alone_for_a_while(world):
    sink = world.domain("busy.example")
    sink.on("MAIL", "421 4.3.2 too busy")
    world.send("friend@busy.example")
    wait_for("it is left alone", lambda: "event=relay.unreachable destination=busy.example status=4.3.2" in world.server.log())
    sink.answers.clear()
    sink.wait(1)
    world.wait_empty()


def test_what_a_provider_tells_one_domain_holds_for_all_that_it_runs(make_world):
    world = make_world(more="mail-providers big=big.example", retry="1h", retry_max="2h").start()
    sink = Sink("127.0.0.10", world.port, name="mx.big.example")
    world.dns.add("big.example", "A", "127.0.0.10")
    world.sinks.append(sink)
    for number in (1, 2):
        world.dns.add(f"{number}.example", "MX", f"10 mx{number}.big.example")
        world.dns.add(f"mx{number}.big.example", "A", "127.0.0.10")
    free = world.domain("free.example")
    sink.on("MAIL", "421 4.7.28 too many of you")
    world.send("friend@1.example")
    world.server.wait_log("event=relay.slowed provider=big destination=1.example status=4.7.28")
    connections = sink.connections
    world.send("friend@2.example")
    world.send("friend@free.example")
    free.wait(1)

    def states():
        return {row["destination"]: row for row in world.server.json("queue", "destinations")}
    wait_for("it is told", lambda: states().get("2.example", {}).get("state") == "slowed")
    row = states()["2.example"]
    assert row["provider"] == "big" and "too many of you" in row["reason"]
    assert sink.connections == connections
    listed = [r for r in world.server.json("queue", "list") if "friend@2.example" in r["to"]]
    assert listed[0]["state"] == "deferred" and "big: " in listed[0]["reason"]
    sink.answers.clear()
    world.server.postroom("queue", "retry", "--all")
    sink.wait(2)
    world.wait_empty()
    wait_for("it is counted", lambda: any(row["provider"] == "big" and row["sent"] == 2
                                          for row in world.server.json("stats", "--provider")))


def test_a_provider_does_not_answer_for_a_domains_other_servers(make_world):
    world = make_world(more="mail-providers big=big.example", retry="1h", retry_max="2h").start()
    own = world.domain("friend.example")
    world.dns.add("friend.example", "MX", "5 away.big.example").add("away.big.example", "A", "127.0.0.99")
    own.on("MAIL", "421 4.7.28 too many of you")
    world.send("friend@friend.example")
    world.server.wait_log("event=relay.unreachable destination=friend.example")
    assert "event=relay.slowed" not in world.server.log()


def test_a_server_with_7_bits_only_gets_7_bits_only(world):
    sinks = [world.domain("old.example", extensions=()), world.domain("older.example", extensions=("SIZE 1000000", "CHUNKING"))]
    world.send("a@old.example", body="plain\r\n", options=["BODY=8BITMIME"])
    assert "BODY" not in sinks[0].wait(1)[0].sender_line
    mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    body = "Gr\u00fc\u00dfe = sch\u00f6n \r\n.\r\n" + ("lang und breit " * 60 + "\r\n") * 130 + "Ende.\r\n"
    with world.server.submission("alice") as smtp:
        for number, to in enumerate(("a@old.example", "a@older.example")):
            text = postroom.message(sender="alice@example.test", to=to, extra=mime).replace(b"Hello.\r\n", body.encode())
            smtp.sendmail("alice@example.test", [to], text, mail_options=["BODY=8BITMIME"] if number else [])
    old, older = sinks[0].wait(2)[1], sinks[1].wait(1)[0]
    for message in (old, older):
        assert "BODY" not in message.sender_line and message.data.isascii()
        assert max(map(len, message.data.split(b"\r\n"))) <= 998
        parsed = email.message_from_bytes(message.data)
        assert parsed.get_all("Content-Transfer-Encoding") == ["quoted-printable"]
        assert parsed.get_payload(decode=True).decode() == body
        # It was signed anew (RFC 6376 section 5.3): what the fields say of the body is true.
        canonical = re.sub(rb"[ \t]+", b" ", message.data.split(b"\r\n\r\n", 1)[1]).replace(b" \r\n", b"\r\n")
        digest = base64.b64encode(hashlib.sha256(canonical).digest()).decode()
        signatures = parsed.get_all("DKIM-Signature")
        assert len(signatures) == 2 and all(f"bh={digest};" in "".join(field.split()) for field in signatures)
    assert f" SIZE={len(older.data)}" in older.sender_line
    extra = mime.replace("text/plain; charset=utf-8", "multipart/signed; boundary=b")
    body = "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ngr\u00fc\u00df\r\n--b--\r\n"
    with world.server.submission("alice") as smtp:
        text = postroom.message(sender="alice@example.test", to="a@old.example", extra=extra).replace(b"Hello.\r\n", body.encode())
        smtp.sendmail("alice@example.test", ["a@old.example"], text, mail_options=["BODY=8BITMIME"])
    notice = world.wait_mail()[0]
    assert list(notice.iter_parts())[1].get_payload()[1]["Status"] == "5.6.3"
    assert "7-bit messages only" in next(notice.iter_parts()).get_content()
    assert len(sinks[0].messages) == 2


def test_a_message_that_is_too_big_comes_back_before_it_is_sent(world):
    sink = world.domain("small.example", extensions=("SIZE 2000",))
    world.send("a@small.example", body="x" * 70 + "\r\n" * 3000)
    notice = world.wait_mail()[0]
    assert list(notice.iter_parts())[1].get_payload()[1]["Status"] == "5.3.4"
    assert not sink.messages and not any(line.startswith("MAIL") for _, _, line in sink.log)


def test_what_waits_survives_a_restart_and_a_kill(world):
    sink = world.domain("later.example")
    sink.on("MAIL", "450 4.2.0 later")
    world.send("friend@later.example")
    wait_for("it was tried", lambda: "event=relay.deferred" in world.server.log())
    world.server.kill()
    sink.answers.clear()
    world.server.start(only="smtpd")
    sink.wait(1)
    world.wait_empty()
    assert len(sink.messages) == 1


def test_what_is_late_is_told_once_and_then_given_up(make_world):
    world = make_world(notice="2s", life="6s").start()
    sink = world.domain("never.example")
    sink.on("RCPT", "450 4.2.2 mailbox full")
    world.send("friend@never.example")
    late, failed = world.wait_mail(count=2)
    assert late["Subject"] == "Your message is late"
    fields = list(late.iter_parts())[1].get_payload()[1]
    assert fields["Action"] == "delayed" and fields["Status"] == "4.2.2" and fields["Will-Retry-Until"]
    fields = list(failed.iter_parts())[1].get_payload()[1]
    assert fields["Action"] == "failed" and fields["Status"] == "4.4.7"
    assert "450 4.2.2 mailbox full" in fields["Diagnostic-Code"]
    world.wait_empty()
    time.sleep(1)
    assert len(world.inbox()) == 2


def test_what_got_too_old_while_nothing_was_sent_is_tried_once_more(make_world):
    world = make_world(life="1s", more="sending no").start()
    sinks = {name: world.domain(f"{name}.example") for name in ("works", "never")}
    sinks["never"].on("RCPT", "450 4.2.2 mailbox full")
    for name in sinks:
        world.send(f"friend@{name}.example")
    wait_for("both are too old", lambda: len(world.server.json("queue", "list", "--older", "2s")) == 2)
    world.server.stop()
    assert not sinks["works"].messages and not world.inbox()
    conf = world.server.root / "postroom.conf"
    conf.write_text(conf.read_text().replace("sending no", ""))
    world.start()
    failed = world.wait_mail()[0]
    sinks["works"].wait(1)
    world.wait_empty()
    fields = list(failed.iter_parts())[1].get_payload()[1]
    assert fields["Final-Recipient"].endswith("friend@never.example") and fields["Status"] == "4.4.7"
    assert "450 4.2.2 mailbox full" in fields["Diagnostic-Code"]
    assert len(world.inbox()) == 1


def test_a_smarthost_takes_what_its_selector_says(make_world):
    world = make_world()
    star, to = Sink("127.0.0.7", 0), Sink("127.0.0.8", 0)
    with open(world.server.root / "postroom.conf", "a", encoding="utf-8") as conf:
        conf.write(f"smarthosts *=[127.0.0.7]:{star.port} to:special.example=[127.0.0.8]:{to.port}\n")
    passwords = world.server.root / "keys" / "smarthosts"
    passwords.write_text("[127.0.0.7] user secret word\n")
    passwords.chmod(0o600)
    star.extensions.append("AUTH PLAIN")
    star.on("AUTH", "235 2.7.0 welcome")
    world.start()
    world.send(["a@anywhere.example", "b@special.example", "bob@example.test"])
    assert star.wait(1)[0].recipients == ["a@anywhere.example"]
    assert to.wait(1)[0].recipients == ["b@special.example"]
    assert any(line == "AUTH PLAIN AHVzZXIAc2VjcmV0IHdvcmQ=" for _, _, line in star.log)
    world.wait_empty()
    assert "secret" not in world.server.log()
    star.close()
    to.close()


def test_a_program_that_speaks_lmtp_answers_for_each_recipient(make_world):
    world = make_world()
    lists = Sink("127.0.0.9", 0)
    lists.on("end", lambda to: "550 5.7.1 members only" if to.startswith("closed") else True)
    with open(world.server.root / "postroom.conf", "a", encoding="utf-8") as conf:
        conf.write(f"smarthosts to:lists.example=lmtp:[127.0.0.9]:{lists.port}\n")
    world.start()
    world.send(["open@lists.example", "closed@lists.example", "other@lists.example"])
    assert lists.wait(1)[0].recipients == ["open@lists.example", "other@lists.example"]
    assert [line.split()[0] for _, who, line in lists.log if who == "C"][0] == "LHLO"
    fields = list(world.wait_mail()[0].iter_parts())[1].get_payload()[1:]
    assert [(field["Final-Recipient"], field["Status"]) for field in fields] == [("rfc822;closed@lists.example", "5.7.1")]
    world.wait_empty()
    assert len(lists.messages) == 1 and len(world.inbox()) == 1
    lists.close()


def test_mail_goes_from_one_postroom_to_another_over_tls_and_back(make_world):
    first = make_world()
    with postroom.Instance(domain="second.example", accounts=("carol",), conf="smtp-banner-delay 0s\nrelay-ipv6 no\ncheck-sender-domain off\n"
                           f"exempt-networks never\n{first.dns.conf()}") as second:
        first.dns.add("second.example", "MX", "10 mx.second.example")
        first.dns.add("mx.second.example", "A", "127.0.0.1")
        first.dns.add("example.test", "MX", "10 mail.example.test")
        first.dns.add("example.test", "TXT", "v=spf1 ip4:127.0.0.1 -all")
        first.dns.add("mail.example.test", "A", "127.0.0.1")
        conf = first.server.root / "postroom.conf"
        conf.write_text(conf.read_text().replace(f"relay-port {first.port}", f"relay-port {second.port('mx')}"))
        second.start(only="smtpd")
        first.start()
        first.send(["carol@second.example", "nobody@second.example"], body="From one to the other.\r\n")
        wait_for("carol has it", lambda: second.files("carol"))
        octets = second.files("carol")[0].read_bytes()
        assert b"From one to the other." in octets and b"\tby mail.second.example" in octets
        assert b"(using TLSv1.3 " in octets.split(b"Received: from", 2)[1]
        notice = first.wait_mail()[0]
        assert list(notice.iter_parts())[1].get_payload()[1]["Status"] == "5.1.1"
        first.wait_empty()
        # Neither brings a stranger's mail to the other.
        with second.smtp() as smtp:
            assert smtp.mail("x@stranger.example")[0] == 250
            assert smtp.rcpt("alice@example.test")[0] == 550


def test_senders_are_told_of_success_when_they_ask_and_never_when_they_forbid_it(world):
    plain, dsn = world.domain("plain.example"), world.domain("dsn.example", extensions=("PIPELINING", "DSN"))
    refusing = world.domain("refusing.example")
    refusing.on("RCPT", "550 5.1.1 no")
    with world.server.submission("alice") as smtp:
        smtp.ehlo()
        assert smtp.has_extn("dsn")
        assert smtp.mail("alice@example.test", ["RET=HDRS", "ENVID=id+2B1"])[0] == 250
        for address, option in (("a@plain.example", "NOTIFY=SUCCESS,FAILURE"), ("b@dsn.example", "NOTIFY=SUCCESS"),
                                ("bob@example.test", "NOTIFY=SUCCESS"), ("c@refusing.example", "NOTIFY=NEVER")):
            assert smtp.rcpt(address, [option, f"ORCPT=rfc822;{address}"])[0] == 250
        assert smtp.data(postroom.message(sender="alice@example.test"))[0] == 250
        for bad in ("NOTIFY=NEVER,SUCCESS", "NOTIFY=", "NOTIFY=ALWAYS", "ORCPT=bob", "ORCPT=rfc822;a+b"):
            smtp.mail("alice@example.test")
            assert smtp.rcpt("bob@example.test", [bad])[0] == 501, bad
            smtp.rset()
        assert smtp.mail("alice@example.test", ["RET=SOME"])[0] == 501
    assert dsn.wait(1)[0].recipient_lines == ["RCPT TO:<b@dsn.example> NOTIFY=SUCCESS ORCPT=rfc822;b@dsn.example"]
    assert dsn.messages[0].sender_line.endswith(" RET=HDRS ENVID=id+2B1")
    plain.wait(1)
    world.wait_empty()
    told = {}
    for notice in world.wait_mail(count=2):
        fields = list(notice.iter_parts())[1].get_payload()
        assert fields[0]["Original-Envelope-Id"] == "id+2B1"
        told.update({part["Final-Recipient"]: part["Action"] for part in fields[1:]})
    assert told == {"rfc822;a@plain.example": "relayed", "rfc822;bob@example.test": "delivered"}


DEAD = int(os.environ.get("POSTROOM_DEAD", "1000"))     # `make check-relay`: ten thousand


def test_a_thousand_messages_to_a_dead_destination_delay_nobody_else(make_world):
    world = make_world(retry="5m", retry_max="70m", more="sending no").start()
    world.dns.add("dead.example", "MX", "10 mx.dead.example")
    world.dns.add("mx.dead.example", "A", "127.0.0.99")
    sink = world.domain("live.example")
    world.send("x@dead.example")
    first = world.queued()[0]
    for i in range(10):
        world.send(f"u{i}@live.example")
    world.server.stop()
    folder = world.server.root / "queue" / "msg"
    octets = (folder / first).read_bytes()
    for i in range(DEAD):
        (folder / f"{first[:8]}{i:08d}").write_bytes(octets)
    conf = world.server.root / "postroom.conf"
    conf.write_text(conf.read_text().replace("sending no", ""))
    world.start()
    sink.wait(10)
    wait_for("the others wait", lambda: len(world.queued()) == DEAD + 1)
    assert world.server.log().count("event=relay.unreachable destination=dead.example") <= 2

    def dead():
        return next(row for row in world.server.json("queue", "destinations") if row["destination"] == "dead.example")
    wait_for("it was tried, and all is left alone", lambda: dead()["state"] == "unreachable")
    assert dead()["messages"] == DEAD + 1


def test_what_was_sent_is_not_sent_again_while_the_disk_is_full(small_disk, make_world):  # noqa: F811
    world = make_world(root=small_disk / "root", more="message-size 64K\nqueue-free-space 1M\nworkers 1")
    world.server.log_path = pathlib.Path(tempfile.gettempdir()) / f"postroom-send-{os.getpid()}.log"
    world.start()
    sink = world.domain("far.example")
    filler = small_disk / "filler"

    def fill(line):
        with open(filler, "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        return True
    sink.on("end", fill)
    sink.on("RCPT", lambda line: "450 4.2.0 later" if "slow@" in line else True)
    friends = [f"friend{i}@far.example" for i in range(80)]         # what became of them needs more than a page
    world.send(friends + ["slow@far.example"])
    wait_for("it could not be written down", lambda: "event=relay.settle" in world.server.log())
    time.sleep(3)                   # three times as long as a retry takes
    assert len(sink.messages) == 1
    sink.answers.clear()
    filler.unlink()
    sink.wait(2)
    world.wait_empty()
    assert [message.recipients for message in sink.messages] == [friends, ["slow@far.example"]]
    world.server.log_path.unlink()
