"""What doc/sending.md shows: real output of `postroom queue`, `trace` and `stats`. Prints it; whoever changes how it looks runs this again and
puts it there.

    POSTROOM_BUILD=build python3 tests/support/sending_samples.py

One server takes mail over TLS that DANE verifies (its zone is signed: signed_dns.py), one puts off, one refuses, one is not there."""

import contextlib
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / name) for name in ("e2e", "support")]

import postroom                         # noqa: E402
from https_server import Authority      # noqa: E402
from postroom import wait_for           # noqa: E402
from signed_dns import SignedDns        # noqa: E402
from smtp_sink import Sink              # noqa: E402

CONF = "relay-port {port}\nrelay-ipv6 no\nrelay-ca-file {authority}\nmta-sts no\n"


def show(server, *words):
    typed = " ".join(f'"{word}"' if " " in word else word for word in words)
    print(f"$ postroom {typed}\n{server.postroom(*words)}")


def main():
    port = postroom.free_port()
    with contextlib.ExitStack() as stack:
        authority, dns = stack.enter_context(Authority()), stack.enter_context(SignedDns())
        cert = authority.certificate("mx.example.net")
        dns.zone("example.net", ["@ MX 10 mx", "mx A 127.0.0.10", f"_{port}._tcp.mx TLSA 3 1 1 {authority.digest(cert[0])}"])
        for i, name in enumerate(("example.com", "example.edu", "gone.example")):
            dns.zone(name, ["@ MX 10 mx", f"mx A 127.0.0.{i + 11}"], signed=False)
        dns.start()
        stack.enter_context(Sink("127.0.0.10", port, cert=cert, name="mx.example.net"))
        stack.enter_context(Sink("127.0.0.11", port, name="mx.example.com")).on("RCPT", "450 4.7.1 Greylisted, come again in 5 minutes")
        stack.enter_context(Sink("127.0.0.12", port, name="mx.example.edu")).on("RCPT", "550 5.1.1 No such user here")
        server = stack.enter_context(postroom.Instance(domain="example.org", accounts=("alice", "bob"),
                                                       conf=CONF.format(port=port, authority=authority.file) + dns.conf()))
        server.start(only="smtpd")
        for sender, recipients in (("alice", ["friend@example.net", "list@example.com", "nobody@example.edu"]), ("bob", ["x@gone.example"])):
            with server.submission(sender) as smtp:
                smtp.sendmail(server.address(sender), recipients, postroom.message(sender=server.address(sender), to=recipients[0]))
        wait_for("each was tried", lambda: server.log().count("event=relay.deferred") >= 1 and "event=relay.unreachable" in server.log()
                 and server.log().count("event=relay.sent") >= 1 and "event=relay.failed" in server.log())
        wait_for("two wait", lambda: [row["state"] for row in server.json("queue", "list")] == ["deferred"] * 2)
        wait_for("all of it is told", lambda: all(word in server.run("trace", "friend@example.net").stdout
                                                  for word in ("verified by DANE", "put off", "failed for good", "is told", "accepted from")))
        first = server.json("queue", "list")[0]["id"]
        show(server, "queue", "list")
        show(server, "queue", "explain", first)
        show(server, "queue", "show", first)
        show(server, "queue", "hold", "--from", "bob@example.org")
        show(server, "queue", "release", "--from", "bob@example.org")
        show(server, "queue", "destinations")
        show(server, "trace", "friend@example.net")
        show(server, "stats")
        show(server, "stats", "--provider")
        show(server, "hold", "add", "--to", "@example.net", "--reason", "their server is being moved")
        show(server, "hold", "add", "--user", "bob@example.org", "--reason", "his password was stolen")
        show(server, "hold", "list")
        show(server, "suppression", "add", "friend@example.net", "--sender", "alice@example.org")
        show(server, "suppression", "list", "--senders")


if __name__ == "__main__":
    main()
