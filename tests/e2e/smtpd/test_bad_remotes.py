"""What other servers do wrong, a row for each way: what becomes of the message, and of the mail to everybody else. All of it lies in one queue at once,
so that each row is proof that the others' servers do it no harm. Rows are in the order in which the ways are usually listed: silence, floods, lost
connections, TLS that is broken or somebody else's, a way that leads back to us, a DNS that is down, a dead server."""

import collections
import contextlib
import email
import email.policy

import pytest

import postroom
from https_server import Authority, HttpsServer
from postroom import free_port, wait_for
from signed_dns import SignedDns
from smtp_sink import Sink
from test_tls_out import CONF, policy

TLS = ("PIPELINING", "8BITMIME", "STARTTLS")
PLAIN = ("PIPELINING", "8BITMIME")
BOTH = Sink.EXTENSIONS
FORGED = "220 go ahead\r\n250 forged"

Row = collections.namedtuple("Row", "name on cert secured extensions expect words")


def row(name, expect, words="", on=(), cert=None, secured=None, extensions=PLAIN):
    """on: (step, answer) of the other server; cert: whose certificate it has; secured: "dane", "sts" or "testing", what its domain says of TLS.
    expect: "deferred" (words: in the reason), "bounced" (words: the status), "clear" or "tls": delivered once, so."""
    return Row(name, on, cert, secured, extensions, expect, words)


SILENT = "no answer in time"
ROWS = [
    row("healthy", "clear"),
    # it stalls at a step
    row("stalls-greeting", "deferred", SILENT, on=("greeting", None)),
    row("stalls-ehlo", "deferred", SILENT, on=("EHLO", None)),
    row("stalls-starttls", "deferred", SILENT, on=("STARTTLS", None), cert="other"),
    row("stalls-handshake", "deferred", "no handshake in time", on=("tls", None), cert="own", secured="dane"),
    row("stalls-handshake-clear", "clear", on=("tls", None), cert="other"),
    row("stalls-mail", "deferred", SILENT, on=("MAIL", None)),
    row("stalls-rcpt", "deferred", SILENT, on=("RCPT", None)),
    row("stalls-data", "deferred", SILENT, on=("DATA", None)),
    row("stalls-end", "deferred", SILENT, on=("end", None)),
    row("stalls-bdat", "deferred", SILENT, on=("end", None), extensions=BOTH),
    row("stalls-quit", "clear", on=("QUIT", None)),
    # it sends a megabyte for an answer
    row("floods-greeting", "deferred", "4.5.0", on=("greeting", "220-" + "x" * 1000000)),
    row("floods-ehlo", "deferred", "4.5.0", on=("EHLO", "250-" + "x" * 1000000)),
    row("floods-mail", "deferred", "4.5.0", on=("MAIL", "250-" + "x" * 1000000)),
    row("floods-lines", "deferred", "4.5.0", on=("RCPT", "250-x\r\n" * 150000 + "250 x")),
    row("floods-end", "deferred", "4.5.0", on=("end", "450-" + "x" * 1000000)),
    # it drops the connection in the middle
    row("drops-greeting", "deferred", "4.4.2", on=("greeting", "drop")),
    row("drops-ehlo", "deferred", "4.4.2", on=("EHLO", "drop")),
    row("drops-mail", "deferred", "4.4.2", on=("MAIL", "drop")),
    row("drops-rcpt", "deferred", "4.4.2", on=("RCPT", "drop")),
    row("drops-data", "deferred", "4.4.2", on=("DATA", "drop")),
    row("drops-octets", "deferred", "4.4.2", on=("octets", "drop")),
    row("drops-end", "deferred", "4.4.2", on=("end", "drop")),
    row("drops-bdat", "deferred", "4.4.2", on=("end", "drop"), extensions=BOTH),
    # it says more than it was asked
    row("after-quit", "clear", on=("QUIT", "221 bye\r\n221 and more\r\n")),
    # it offers STARTTLS and fails: nobody asked for TLS, or its domain did
    row("tls-refused", "clear", on=("STARTTLS", "454 4.7.0 not now"), cert="other"),
    row("tls-refused-dane", "deferred", "STARTTLS", on=("STARTTLS", "454 4.7.0 not now"), cert="own", secured="dane"),
    row("tls-refused-sts", "deferred", "STARTTLS", on=("STARTTLS", "454 4.7.0 not now"), cert="own", secured="sts"),
    row("tls-broken", "clear", extensions=TLS),
    row("tls-broken-dane", "deferred", "4.7.", extensions=TLS, secured="dane"),
    row("tls-broken-sts", "deferred", "4.7.", extensions=TLS, secured="sts"),
    # it sends octets before the handshake
    row("early-octets", "deferred", "octets in clear behind STARTTLS", on=("STARTTLS", FORGED), cert="other"),
    row("early-octets-dane", "deferred", "octets in clear behind STARTTLS", on=("STARTTLS", FORGED), cert="own", secured="dane"),
    # its certificate is another one
    row("certificate-wrong", "tls", cert="other"),
    row("certificate-wrong-dane", "deferred", "its certificate is not the one that the DNS names", cert="other", secured="dane"),
    row("certificate-wrong-sts", "deferred", "its certificate is not trusted", cert="strange", secured="sts"),
    row("certificate-name-sts", "deferred", "its certificate is for another name", cert="other", secured="sts"),
    row("certificate-wrong-testing", "tls", cert="strange", secured="testing"),
    row("certificate-right-dane", "tls", cert="own", secured="dane"),
    row("certificate-right-sts", "tls", cert="own", secured="sts"),
    # its MX leads to ourselves: by name, or as it turns out
    row("loops-by-name", "bounced", "5.4.6"),
    row("loops-by-greeting", "bounced", "5.4.6"),
    # its name servers are down
    row("dns-down", "deferred", "4.4.3"),
    # nobody is there
    row("dead", "deferred", "4.4.1"),
]
DEAD = 20


def address_of(r):
    zone = "dane.example" if r.secured == "dane" else "plain.example"
    return f"bob@{r.name}.down.example" if r.name == "dns-down" else f"bob@{r.name}.{zone}"


class World:
    """A server of each kind, and a message to each: most have been tried when one is looked at."""

    def __init__(self, stack):
        self.sinks, self.stack = {}, stack
        port, ours = free_port(), stack.enter_context(Authority())
        strange = stack.enter_context(Authority())
        secured = [f"mta-sts.{r.name}.plain.example" for r in ROWS if r.secured in ("sts", "testing")]
        web = stack.enter_context(HttpsServer(ours, secured))
        dns = stack.enter_context(SignedDns())
        records = {"dane.example": [], "plain.example": []}
        other = ours.certificate("www.elsewhere.example")
        for i, r in enumerate(ROWS):
            zone, host = address_of(r).split(".", 1)[1], f"mx.{address_of(r).split('@')[1]}"
            if zone not in records:
                continue
            own = ours.certificate(host) if r.cert == "own" or r.secured == "dane" else None
            records[zone] += [f"{r.name} MX 10 {'mail.example.test.' if r.name == 'loops-by-name' else 'mx.' + r.name}", f"mx.{r.name} A 127.0.5.{i + 1}"]
            if r.secured == "dane":
                records[zone].append(f"_{port}._tcp.mx.{r.name} TLSA 3 1 1 {ours.digest(own[0])}")
            elif r.secured:
                records[zone] += [f'_mta-sts.{r.name} TXT "v=STSv1; id=1;"', f"mta-sts.{r.name} A 127.0.0.1"]
                web.pages[f"mta-sts.{r.name}.plain.example", "/.well-known/mta-sts.txt"] = (
                    200, "text/plain", policy(host, mode="testing" if r.secured == "testing" else "enforce"))
            if r.name in ("loops-by-name", "dead"):
                continue
            cert = {"own": own, "other": other, "strange": strange.certificate(host) if r.cert == "strange" else None}.get(r.cert)
            sink = stack.enter_context(Sink(f"127.0.5.{i + 1}", port, cert=cert, extensions=r.extensions, name=host))
            if r.name == "loops-by-greeting":
                sink.name = "mail.example.test"
            if r.on:
                sink.on(*r.on)
            self.sinks[r.name] = sink
        dns.zone("dane.example", records["dane.example"])
        dns.zone("plain.example", records["plain.example"], signed=False)
        dns.start()
        # A wait of hours: what was tried once is looked at in peace.
        conf = (CONF.replace("queue-retry 2s", "queue-retry 1h").replace("queue-retry-max 5s", "queue-retry-max 2h")
                .format(port=port, authority=ours.file) + dns.conf() +
                f"mta-sts-port {web.port}\nfetch-private-addresses yes\nrelay-reply-time 5s\nsending yes\nstop-time 1s\n")
        self.server = stack.enter_context(postroom.Instance(accounts=("alice",), conf=conf))
        self.server.start(only="smtpd")
        with self.server.submission("alice") as smtp:
            for r in ROWS:
                for n in range(DEAD if r.name == "dead" else 1):
                    to = address_of(r) if not n else address_of(r).replace("bob", f"bob{n}")
                    smtp.sendmail("alice@example.test", [to], postroom.message(sender="alice@example.test", to=to))

        silent = sum(r.words == SILENT for r in ROWS)
        wait_for("the slowest ones were given up", lambda: self.server.log().count(SILENT) >= silent)
        self.last = self.listed()

    def queued(self, r):
        return [entry for entry in self.listed() if entry["to"] == [address_of(r)]]

    def listed(self):
        self.last = self.server.json("queue", "list")
        return self.last

    def put_off(self, r):
        """As it was listed last, when that says enough."""
        def found(rows):
            return [entry for entry in rows if entry["to"] == [address_of(r)] and entry["state"] == "deferred" and entry["reason"]]
        return (found(self.last) or wait_for("it is put off", lambda: found(self.listed())))[0]

    def wait_gone(self, r):
        if any(entry["to"] == [address_of(r)] for entry in self.last):
            wait_for("it has left the queue", lambda: not self.queued(r))

    def notices(self):
        found = {}
        for path in self.server.files("alice"):
            notice = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            fields = list(notice.iter_parts())[1].get_payload()[1]
            found[fields["Final-Recipient"].split(";")[1]] = fields
        return found

    def said(self, r):
        """What a failure has to tell."""
        sink = self.sinks.get(r.name)
        return f"queue: {self.queued(r)}; sink: {sink.log[-12:] if sink else None}; log: " + \
            "\n".join(line for line in self.server.log().splitlines() if r.name in line)[-3000:]


@pytest.fixture(scope="module")
def world():
    with contextlib.ExitStack() as stack:
        yield World(stack)


@pytest.mark.parametrize("r", ROWS, ids=lambda r: r.name)
def test_a_bad_remote(world, r):
    sink, to = world.sinks.get(r.name), address_of(r)
    try:
        if r.expect == "deferred":
            waiting = world.put_off(r)
            assert r.words in waiting["reason"]
            assert waiting["next"] > waiting["since"]                   # an hour later, more or less: a text of one shape
            assert to not in world.notices()
            assert not sink or not sink.messages
        elif r.expect == "bounced":
            wait_for("its sender is told", lambda: to in world.notices())
            assert world.notices()[to]["Action"] == "failed" and world.notices()[to]["Status"] == r.words
            world.wait_gone(r)
            assert not sink or not sink.messages
        else:
            message = sink.wait(1)[0]
            assert message.recipients == [to] and message.is_tls == (r.expect == "tls")
            world.wait_gone(r)
            assert len(sink.messages) == 1 and to not in world.notices()
    except AssertionError as e:
        raise AssertionError(f"{e}\n{world.said(r)}") from e


def test_a_dead_destination_costs_one_try_whatever_lies_there(world):
    def rows():
        return [entry for entry in world.listed() if "@dead." in entry["to"][0] and entry["state"] == "deferred"]
    wait_for("all of it is put off", lambda: len(rows()) == DEAD)
    assert all("4.4.1" in entry["reason"] for entry in rows())
    assert world.server.log().count("event=relay.unreachable destination=dead.plain.example") <= 2      # it begins with two connections


def test_beside_all_of_them_mail_goes_on(world):
    sink = world.sinks["healthy"]
    with world.server.submission("alice") as smtp:
        for i in range(10):
            smtp.sendmail("alice@example.test", [f"live{i}@healthy.plain.example"], postroom.message(sender="alice@example.test"))
    sink.wait(11)
    expected = sum(r.expect == "deferred" for r in ROWS) - 1 + DEAD
    wait_for("the queue holds what is put off, and nothing else", lambda: len(world.listed()) == expected)
