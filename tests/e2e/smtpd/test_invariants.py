"""What must never happen on port 25, over every trick that is known: one line of figures each, which the test prints."""

import base64
import json
import pathlib
import re

import pytest

import dns_server
import postroom
from dialogue import envelope, login, submit, talk
from https_server import Authority
from postroom import wait_for
from smtp_sink import Sink
from strangers import CONF
from test_smuggling import FAKE_ENDS
from test_tls_out import CONF as SENDING, free_port

OURS, VICTIM = "example.test", "victim@elsewhere.example"

# Spellings that lead, or led some server, past the question whether a recipient is ours (RFC 5321 §3.3, appendices C and F).
TRICKS = [
    f"<{VICTIM}>", f"<victim%elsewhere.example@{OURS}>", f"<elsewhere.example!victim@{OURS}>",
    f"<elsewhere.example!victim%elsewhere.example@{OURS}>", f"<@{OURS}:{VICTIM}>", f"<@{OURS},@relay.{OURS}:{VICTIM}>",
    f"<\"{VICTIM}\"@{OURS}>", f"<\"{VICTIM}\">", f"<{VICTIM}@{OURS}>", f"<{VICTIM}%{OURS}>", "<victim@[127.0.0.1]>",
    "<victim@[192.0.2.1]>", "<victim@[IPv6:::1]>", "<victim@127.0.0.1>", "<victim@localhost>", f"<{VICTIM}.>", f"<{VICTIM}..>",
    "<victim>", "<victim@>", "<@elsewhere.example>", f"<{VICTIM}> NOTIFY=SUCCESS", f"<{VICTIM}\x00@{OURS}>",
    f"<victim@elsewhere.example.{OURS}>", f"<victim@{OURS}.elsewhere.example>", f"<victim@{OURS}\\@elsewhere.example>",
    f"{VICTIM}", f"<<{VICTIM}>>", f"<{VICTIM}>, <alice@{OURS}>", f"<alice@{OURS}>,<{VICTIM}>", f"<alice@{OURS};{VICTIM}>",
    f"<alice@{OURS} {VICTIM}>", f"<+{VICTIM}>", f"<|/bin/sh@{OURS}>", f"</etc/passwd@{OURS}>", f"<:include:/x@{OURS}>",
    "<victim@xn--elsewhre-u4a.example>", "<victim@\u0435lsewhere.example>", "<victim@elsewhere\u3002example>",
    f"<SRS0=aaaaa=aa=elsewhere.example=victim@{OURS}>", f"<SRS1=aaaaa=elsewhere.example==aaaa=aa=x.example=victim@{OURS}>",
    f"<srs0+aaaaa=aa=elsewhere.example=victim@{OURS}>", "<" + "a" * 65 + f"@{OURS}>", "<a@" + "b." * 130 + "example>",
]
# What strangers say before it to look like somebody: none of them is a right to relay.
SENDERS = ["joe@good.example", f"alice@{OURS}", f"postmaster@{OURS}", ""]


@pytest.fixture(scope="module")
def dns():
    with dns_server.DnsServer() as server:
        server.add_reverse("127.0.0.1", "localhost")
        server.add("good.example", "A", "192.0.2.1")
        yield server


def test_no_relay_for_strangers(dns, make_server, capsys):
    server = make_server(CONF + dns.conf() + "smtp-unknown-recipient-delay 0s\nsmtp-bad-commands 1000\nsmtp-bad-commands-max 1000\n"
                         "smtp-unknown-recipients 1000\nsmtp-unknown-recipients-max 1000\nrecipients-per-minute 1000000\n"
                         "messages-per-minute 1000000\nsmtp-useless-commands 10000\n")
    relayed, tried = 0, 0
    for sender in SENDERS:
        with talk(server, hello=False) as line:
            assert line.smtp(f"EHLO mail.{OURS}") == 250
            for trick in TRICKS:
                line.smtp("RSET")
                assert line.smtp(f"MAIL FROM:<{sender}>") == 250
                line.send(f"RCPT TO:{trick}\r\n".encode())
                code = line.reply()[0]
                tried += 1
                relayed += 200 <= code < 300
    with capsys.disabled():
        print(f"\nI18 tricks={tried} relayed={relayed}")
    assert relayed == 0


PASSWORDS = ["AUTH PLAIN {plain}", "AUTH LOGIN\r\n{user}\r\n{password}", "AUTH PLAIN\r\n{plain}", "AUTH LOGIN {user}\r\n{password}"]


def test_no_password_in_clear_and_nothing_before_tls_counts_after_it(dns, make_server, capsys):
    """Also: what was said in clear, and what stands behind STARTTLS, is forgotten (RFC 3207 §4.2)."""
    server = make_server(CONF + dns.conf() + "plaintext-auth never\n")
    cases, accepted = 0, 0
    words = {"user": base64.b64encode(b"alice@example.test").decode(),
             "password": base64.b64encode(server.password("alice").encode()).decode(),
             "plain": base64.b64encode(f"\0alice@example.test\0{server.password('alice')}".encode()).decode()}
    for name in ("submission", "mx"):
        for text in PASSWORDS:
            with talk(server, name) as line:
                line.send(text.format(**words) + "\r\n")
                cases += 1
                accepted += line.reply()[0] == 235
    with talk(server, "submission") as line:        # octets behind STARTTLS end the connection
        line.send(b"STARTTLS\r\nEHLO injected.example\r\nMAIL FROM:<alice@example.test>\r\n")
        cases += 1
        try:
            line.reply()
            line.start_tls(server.tls_context())
            accepted += 1
        except (OSError, AssertionError):
            pass                                    # no answer, or no handshake
    with talk(server, "mx") as line:                # an envelope begun in clear is gone
        assert line.smtp("MAIL FROM:<joe@good.example>") == 250
        assert line.smtp("RCPT TO:<alice@example.test>") == 250
        assert line.smtp("RSET") == 250
        assert line.smtp("STARTTLS") == 220
        line.start_tls(server.tls_context())
        cases += 2
        accepted += line.smtp("MAIL FROM:<joe@good.example>") == 250      # no EHLO yet
        line.smtp("EHLO x.example")
        accepted += line.smtp("RCPT TO:<alice@example.test>") == 250
    with capsys.disabled():
        print(f"\nI17 cases={cases} accepted={accepted}")
    assert accepted == 0
    with talk(server, "submissions", tls=True) as line:     # the same words are right inside TLS
        login(line, server, "alice")


def test_what_a_filter_or_a_dns_says_wrongly_is_never_final(dns, make_server, capsys):
    """Trouble of ours is a temporary answer, or none at all (I12)."""
    faults, wrong = 0, 0
    server = make_server(CONF + dns.conf() + "dns-timeout 1s\ncheck-sender-domain reject\ncheck-reverse-dns reject\n")
    for mode in ("servfail", "refused", "silent", "garbage", "cut", "loop", "truncate-both", "wrong-id"):
        name = f"i12-{mode}.example"
        dns.add(name, "TXT", "v=spf1 -all").add(name, "A", "192.0.2.1")
        dns.misbehave(name, mode)
        with talk(server, hello=False) as line:
            assert line.smtp("EHLO mail.client.example") == 250
            faults += 1
            wrong += line.smtp(f"MAIL FROM:<joe@{name}>") >= 500
    with capsys.disabled():
        print(f"\nI12 faults={faults} wrong_permanent={wrong}")
    assert wrong == 0


def test_a_session_of_a_stranger_stays_small(dns, make_server, capsys):
    """Memory of a worker per open message of a stranger, window and all (I14): far below 1 MiB."""
    server = make_server(CONF + dns.conf() + "workers 1\nmessages-per-minute 100000\n")
    count = 100

    def resident():
        pages = max(int(open(f"/proc/{pid}/statm", encoding="ascii").read().split()[1]) for pid in server.pids("smtpd"))
        return pages * 4096
    lines = []
    with talk(server) as line:
        line.smtp("MAIL FROM:<joe@good.example>")
        before = resident()
    for _ in range(count):
        line = postroom.Line(server.port("mx"))
        lines.append(line)
        line.reply()
        line.smtp("EHLO x.example")
        assert line.smtp("MAIL FROM:<joe@good.example>") == 250 and line.smtp("RCPT TO:<alice@example.test>") == 250
        assert line.smtp("DATA") == 354
        line.send(b"From: <joe@good.example>\r\nX: " + b"y" * 900 + b"\r\n" + b"Z: " + b"z" * 30000 + b"\r\n")
    worst = max(0, resident() - before) // count
    for line in lines:
        line.close()
    with capsys.disabled():
        print(f"\nI14 worst_pre={worst}")
    assert worst < 1 << 20


def test_one_message_in_is_one_message_out(dns, make_server, capsys):
    """Whatever stands in it for a line's end: the next server gets each message once, or not at all, and no bare CR or LF (I16)."""
    port, accepted = free_port(), 0
    with Authority() as authority, Sink("127.0.3.8", port) as sink:
        dns.add("sink.example", "MX", "10 mx.sink.example").add("mx.sink.example", "A", "127.0.3.8")
        server = make_server(CONF + dns.conf() + SENDING.format(port=port, authority=authority.file) + "sending yes\n")
        for i, end in enumerate(FAKE_ENDS):
            with submit(server, "alice") as line:
                envelope(line, server, f"item{i}@sink.example", sender=server.address("alice"))
                assert line.smtp("DATA") == 354
                line.send(b"From: alice@example.test\r\nSubject: x\r\n\r\ntext" + end +
                          b"MAIL FROM:<evil@elsewhere.example>\r\nRCPT TO:<victim@sink.example>\r\nDATA\r\nx\r\n.\r\n")
                accepted += line.reply()[0] == 250
                assert line.smtp("NOOP") == 250
        sink.wait(accepted)
        wait_for("an empty queue", lambda: json.loads(server.run("queue", "list", "--json").stdout or "[1]") == [])
        extra = len(sink.messages) - accepted + sum(message.recipients[0].startswith("victim") for message in sink.messages)
        bare = sum(message.data.replace(b"\r\n", b"").count(c) for message in sink.messages for c in (b"\r", b"\n"))
        with capsys.disabled():
            print(f"\nI16 items={len(FAKE_ENDS)} accepted={accepted} extra={extra} bare={bare}")
        assert accepted >= 10 and extra == 0 and bare == 0


# What costs a server of mail time, behind EHLO or behind DATA: each is sent as far as it is taken, and then its sender is silent.
COMMANDS = [b"VRFY " + b"x" * 300000, b"NOOP\r\n" * 3000, b"RSET " * 5000, b"MAIL FROM:<joe@good.example>\r\n" + b"RCPT TO:<alice@example.test>\r\n" * 2000,
            b"MAIL FROM:<joe@good.example>\r\nRCPT TO:<alice@example.test>\r\nBDAT 1000000\r\nFrom: <joe@good.example>\r\n\r\n" + b"\n\r" * 100000]
FROM = b"From: <joe@good.example>\r\n"
DATA = [b"", b"From: " + b"a@b.example, " * 30000, b"Received: x\r\n" * 40000, FROM + b"Subject: " + b"(" * 200000, FROM + b"\r\n" + b".\r" * 200000,
        b"DKIM-Signature: v=1; a=rsa-sha256; d=good.example; s=s; h=" + b"from:" * 15000 + b"; bh=AAAA; b=x\r\n" + b"X: y\r\n" * 20000,
        FROM + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\nContent-Type: a/b; name=x\r\n\r\n" * 20000]


def loop_ms(pid):
    """Milliseconds of the processor that the loop of a worker has had: it is the main thread."""
    return int(pathlib.Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e6


def worker_of(server):
    """The one that has connections: it writes into the log."""
    return int(re.findall(r"pid=(\d+) sid=\S+ peer=127\.0\.0\.1 event=session\.open listener=mx", server.log())[-1])


def test_no_input_holds_the_loop_for_long(dns, make_server, capsys):
    """I15: one client that stalls in the middle of something costly never blocks others. Between two answers to somebody else the loop
    has worked for less than 100 ms; counted is the time that it had the processor, so a busy machine changes nothing."""
    server = make_server(CONF + dns.conf() + "workers 1\ncheck-attachment reject\nsmtp-useless-commands 10000\nsmtp-bad-commands 1000\nsmtp-bad-commands-max 1000\n"
                         "messages-per-minute 100000\nrecipients-per-minute 100000\n")
    worst, bombs = 0, []
    with talk(server) as probe:
        worker = worker_of(server)
        for is_data, bomb in [(False, bomb) for bomb in COMMANDS] + [(True, bomb) for bomb in DATA]:
            line = postroom.Line(server.port("mx"))
            bombs.append(line)
            line.reply()
            assert line.smtp("EHLO x.example") == 250
            if is_data:
                envelope(line, server, "alice", "joe@good.example")
                assert line.smtp("DATA") == 354
            line.sock.settimeout(1)
            last = loop_ms(worker)
            try:
                line.send(bomb)
            except OSError:
                pass            # a server that stops reading has done right
            for _ in range(20):
                assert probe.smtp("VRFY x") == 252
                now = loop_ms(worker)
                worst, last = max(worst, now - last), now
    for line in bombs:
        line.close()
    with capsys.disabled():
        print(f"\nI15 max_stall_ms={worst:.0f}")
    assert worst < (500 if b"__asan_init" in (postroom.BIN / "smtpd").read_bytes() else 100)
