#!/usr/bin/python3
"""Kill -9 the daemons at random moments while mail is delivered, appended, flagged, expunged and moved; then look
whether every promise that had been given was kept.

    kill_daemons.py [--kills N] [--each N] [--seed S] [--keep]

Five clients work on one account at the same time, each in mailboxes of its own, and note what they asked for and what was
answered. After a random while one daemon, or all of them, is killed with SIGKILL; the instance is started again and
everything is read back. Prints the invariants, one line each, and exits with 1 when one of them is violated.

A kill counts for a kind of operation only if one was in flight: asked for completely, and not answered.
"""

import argparse
import contextlib
import os
import pathlib
import random
import re
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import postroom  # noqa: E402

KINDS = {"delivery": "smtpd", "append": "imapd", "store": "imapd", "expunge": "imapd", "move": "imapd", "pop3": "pop3d"}
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "$Forwarded", "work", "later"]


class Gone(Exception):
    """The connection ended: the daemon was killed."""


class Imap(postroom.Line):
    """A synchronous IMAP client that knows when a command is in flight."""

    def __init__(self, server):
        try:
            super().__init__(server.port("imap"))
            self.tag = 0
            self.expect(rb"\* OK")
            self.command(f'LOGIN {server.address("alice")} "{server.password("alice")}"')
        except OSError as error:
            raise Gone from error

    def expect(self, pattern):
        line = self.line_or_gone()
        assert re.match(pattern, line), line
        return line

    def line_or_gone(self):
        try:
            while b"\n" not in self.buffer:
                if not self.fill():
                    raise Gone
        except OSError as error:
            raise Gone from error
        line, self.buffer = self.buffer.split(b"\n", 1)
        literal = re.search(rb"\{(\d+)\}\r$", line)
        if literal:
            want = int(literal.group(1))
            while len(self.buffer) < want:
                if not self.fill():
                    raise Gone
            data, self.buffer = self.buffer[:want], self.buffer[want:]
            return line[:-1] + data + self.line_or_gone()
        return line.rstrip(b"\r")

    def command(self, text):
        """Send one command (text or octets), return (untagged lines, tagged line); the tagged one must be OK."""
        self.tag += 1
        tag = f"k{self.tag}".encode()
        octets = text.encode() if isinstance(text, str) else text
        try:
            self.sock.sendall(tag + b" " + octets + b"\r\n")
        except OSError as error:
            raise Gone from error
        lines = []
        while True:
            line = self.line_or_gone()
            if line.startswith(tag + b" "):
                assert line.startswith(tag + b" OK"), (text[:80], line)
                return lines, line
            if line.startswith(b"* BYE"):
                raise Gone
            lines.append(line)

    def append(self, mailbox, ident, flags=""):
        """APPEND a small message; its UID."""
        body = make_message(ident)
        _, done = self.command(b"APPEND %s (%s) {%d+}\r\n%s" % (mailbox.encode(), flags.encode(), len(body), body))
        return int(re.search(rb"APPENDUID \d+ (\d+)", done).group(1))


def make_message(ident):
    return postroom.message(subject=ident, extra=f"X-Ident: {ident}\r\n", body=f"{ident}\r\n" * 20)


class Journal:
    """What clients asked for and were told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.count = 0
        self.delivered = {}     # ident -> was it acknowledged
        self.appended = {}      # ident -> UID, or None when not acknowledged
        self.flags = {}         # UID -> [acknowledged set, set in flight or None]
        self.expunged = {}      # ident -> was the expunge acknowledged
        self.kept = {}          # ident -> mailbox: acknowledged, never to be touched
        self.moved = {}         # ident -> UID in the target, or None when not acknowledged
        self.popped = {}        # ident -> was the QUIT acknowledged
        self.uids = {}          # (mailbox, UIDVALIDITY, UID) -> ident: must never change
        self.acked_flags = 0

    def ident(self, kind):
        with self.lock:
            self.count += 1
            return f"{kind}-{self.count}"


class Client(threading.Thread):
    """One kind of operation, again and again, until the daemon is gone or the round ends."""

    def __init__(self, kind, server, journal, seed):
        super().__init__(daemon=True)
        self.kind, self.server, self.journal = kind, server, journal
        self.random = random.Random(seed)
        self.in_flight = False
        self.failure = None
        self.ended = threading.Event()

    def run(self):
        try:
            getattr(self, "run_" + self.kind)()
        except Gone:
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error
        self.ended.set()

    @contextlib.contextmanager
    def flight(self):
        """An operation: in flight from here until it is answered; stays so when the daemon dies."""
        self.in_flight = True
        yield
        self.in_flight = False

    def run_delivery(self):
        j = self.journal
        try:
            line = postroom.Line(self.server.port("mx"))
        except OSError as error:
            raise Gone from error

        def reply(code):
            texts = b""
            while True:
                while b"\n" not in line.buffer:
                    try:
                        if not line.fill():
                            raise Gone
                    except OSError as error:
                        raise Gone from error
                text, line.buffer = line.buffer.split(b"\n", 1)
                texts += text
                if text[3:4] != b"-":
                    if text.startswith(b"421"):
                        raise Gone      # the orderly stop at the end of a round
                    assert text.startswith(code), texts
                    return

        def send(text):
            try:
                line.send(text)
            except OSError as error:
                raise Gone from error

        reply(b"220")
        send("EHLO crash.example.net\r\n")
        reply(b"250")
        for _ in range(90):     # below the limit of messages per session
            ident = j.ident("delivery")
            send(f"MAIL FROM:<s@elsewhere.example>\r\nRCPT TO:<{self.server.address('alice')}>\r\nDATA\r\n")
            reply(b"250")
            reply(b"250")
            reply(b"354")
            j.delivered[ident] = False
            with self.flight():
                send(make_message(ident) + b".\r\n")
                reply(b"250")
            j.delivered[ident] = True

    def run_append(self):
        j, imap = self.journal, Imap(self.server)
        while True:
            ident = j.ident("append")
            j.appended[ident] = None
            with self.flight():
                uid = imap.append("App", ident)
            j.appended[ident] = uid

    def run_store(self):
        j, imap = self.journal, Imap(self.server)
        imap.command("SELECT Flags")
        while True:
            uid = self.random.choice(list(j.flags))
            flags = frozenset(self.random.sample(FLAGS, self.random.randrange(len(FLAGS))))
            j.flags[uid][1] = flags
            with self.flight():
                imap.command(f"UID STORE {uid} FLAGS.SILENT ({' '.join(sorted(flags))})")
            j.flags[uid] = [flags, None]
            j.acked_flags += 1

    def run_expunge(self):
        j, imap = self.journal, Imap(self.server)
        imap.command("SELECT Exp")
        while True:
            ident, kept = j.ident("expunge"), j.ident("kept")
            uid = imap.append("Exp", ident, "\\Deleted")
            if self.random.random() < 0.1:
                imap.append("Exp", kept)
                j.kept[kept] = "Exp"
            j.expunged[ident] = False
            with self.flight():
                imap.command(f"UID EXPUNGE {uid}")
            j.expunged[ident] = True

    def run_move(self):
        j, imap = self.journal, Imap(self.server)
        imap.command("SELECT Src")
        while True:
            ident = j.ident("move")
            uid = imap.append("Src", ident)
            j.moved[ident] = None
            with self.flight():
                lines, done = imap.command(f"UID MOVE {uid} Dst")
            code = re.search(rb"COPYUID \d+ \d+ (\d+)", b"\n".join(lines) + done)
            j.moved[ident] = int(code.group(1))

    def run_pop3(self):
        """DELE one message of bob's and QUIT, again and again."""
        j = self.journal
        while True:
            try:
                line = postroom.Line(self.server.port("pop3"))
            except OSError as error:
                raise Gone from error

            def command(text, line=line):
                try:
                    if text:
                        line.send(text + "\r\n")
                    answer = line.line()
                except (OSError, AssertionError) as error:
                    raise Gone from error
                if not answer:
                    raise Gone
                return answer

            with line:
                command("")
                command(f"USER {self.server.address('bob')}")
                if not command(f"PASS {self.server.password('bob')}").startswith(b"+OK"):
                    continue    # the lock of the session before is still being given back
                first = command("RETR 1")
                if not first.startswith(b"+OK"):
                    return
                text = b""
                while not text.endswith(b"\r\n.\r\n"):
                    if b"\n" not in line.buffer and not line.fill():
                        raise Gone
                    text, line.buffer = text + line.buffer, b""
                ident = re.search(rb"X-Ident: (\S+)", text).group(1).decode()
                command("DELE 1")
                j.popped[ident] = False
                with self.flight():
                    if not command("QUIT").startswith(b"+OK"):
                        raise Gone
                j.popped[ident] = True


def read_back(server, mailboxes, user="alice"):
    """What a client sees: {mailbox: (uidvalidity, {uid: (ident, flags)})}."""
    seen = {}
    with server.imap(user, tls=False) as imap:
        for mailbox in mailboxes:
            status, text = imap.select(mailbox, readonly=True)
            assert status == "OK", (mailbox, text)
            validity = int(imap.response("UIDVALIDITY")[1][0])
            messages = {}
            _, data = imap.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (X-Ident)])")
            for item in data:
                if not isinstance(item, tuple):
                    continue
                uid = int(re.search(rb"UID (\d+)", item[0]).group(1))
                flags = frozenset(re.search(rb"FLAGS \(([^)]*)\)", item[0]).group(1).decode().split())
                ident = re.search(rb"X-Ident: (\S+)", item[1])
                messages[uid] = (ident.group(1).decode() if ident else None, flags - {"\\Recent"})
            seen[mailbox] = (validity, messages)
    return seen


class Verdict:
    def __init__(self):
        self.violations = []

    def check(self, is_fine, text):
        if not is_fine:
            self.violations.append(text)
            print("VIOLATION", text, flush=True)
        return is_fine


def compare(journal, seen, verdict, totals):
    """Every promise against what is there."""
    where = {}
    for mailbox, (validity, messages) in seen.items():
        for uid, (ident, _) in messages.items():
            where.setdefault(ident, []).append((mailbox, uid))
            key = (mailbox, validity, uid)
            known = journal.uids.setdefault(key, ident)
            if not verdict.check(known == ident, f"I4 UID {key} was {known}, is {ident}"):
                totals["changed"] += 1
    validities = totals.setdefault("validities", {})
    for mailbox, (validity, _) in seen.items():
        if not verdict.check(validities.setdefault(mailbox, validity) == validity, f"I4 UIDVALIDITY of {mailbox}"):
            totals["changed"] += 1

    for ident, acked in journal.delivered.items():
        places = where.get(ident, [])
        if acked and not verdict.check(places, f"I1 delivered and acknowledged, lost: {ident}"):
            totals["lost"] += 1
        totals["dup"] += len(places) > 1
        verdict.check(len(places) <= 1, f"I3 {ident} stands in {places}")
    for ident, uid in journal.appended.items():
        if uid and not verdict.check(("App", uid) in where.get(ident, []), f"I1 appended as {uid}, lost: {ident}"):
            totals["lost"] += 1
    for ident, mailbox in journal.kept.items():
        if not verdict.check(any(place[0] == mailbox for place in where.get(ident, [])), f"I7 collateral: {ident}"):
            totals["collateral"] += 1
    for uid, (acked, flying) in journal.flags.items():
        is_there = uid in seen["Flags"][1]
        verdict.check(is_there, f"I7 collateral: Flags UID {uid}")
        found = seen["Flags"][1][uid][1] if is_there else None
        if not verdict.check(found in (acked, flying), f"I6 flags of UID {uid}: {found}, told {acked}, asked {flying}"):
            totals["lost_flags"] += 1
        if is_there:
            journal.flags[uid] = [found, None]
    for ident, acked in journal.expunged.items():
        if acked and not verdict.check(ident not in where, f"I7 resurrected: {ident}"):
            totals["resurrected"] += 1
    for ident, uid in journal.moved.items():
        places = where.get(ident, [])
        if not verdict.check(places, f"I8 in neither: {ident}"):
            totals["none"] += 1
        if uid and not verdict.check(places == [("Dst", uid)], f"I8 moved to Dst {uid}, found at {places}"):
            totals["none"] += 1
        totals["both"] += len(places) > 1


def compare_pop3(journal, seen, verdict, totals, standing):
    there = {ident for ident, _ in seen["INBOX"][1].values()}
    for uid, (ident, _) in seen["INBOX"][1].items():
        key = ("bob", seen["INBOX"][0], uid)
        if not verdict.check(journal.uids.setdefault(key, ident) == ident, f"I4 bob's UID {key}"):
            totals["changed"] += 1
    for ident in standing:
        acked = journal.popped.get(ident)
        if acked and not verdict.check(ident not in there, f"I7 resurrected: {ident}"):
            totals["resurrected"] += 1
        if acked is None and not verdict.check(ident in there, f"I7 collateral: {ident}"):
            totals["collateral"] += 1


def fill_bob(server, standing, count=120):
    """Messages for POP3 to take away."""
    with server.smtp() as smtp:
        for n in range(count):
            if n and n % 80 == 0:
                smtp.quit()
                smtp.connect("127.0.0.1", server.port("mx"))
            ident = f"pop3-{len(standing)}"
            smtp.sendmail("s@elsewhere.example", [server.address("bob")], make_message(ident))
            standing.append(ident)


def wait_gone(session):
    """A worker that its master started while it was being killed ends by itself; until then it may take connections."""
    deadline = time.monotonic() + postroom.DEADLINE_S
    while time.monotonic() < deadline:
        left = []
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if entry.name.isdigit() and int(fields[3]) == session and fields[0] != "Z":
                    left.append(entry.name)
        if not left:
            return
        time.sleep(0.02)
    raise RuntimeError(f"processes outlive their master: {left}")


def wait_for_flight(client, rng):
    """Until it has asked for something, and a moment of its answer's making; half a second at most."""
    deadline = time.monotonic() + 0.5
    while not client.in_flight and not client.ended.is_set() and time.monotonic() < deadline:
        time.sleep(0.0001)
    time.sleep(rng.uniform(0, 0.002))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200, help="kills that met an operation in flight")
    parser.add_argument("--each", type=int, default=30, help="at least so many of each kind")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--keep", action="store_true", help="leave the instance's folder behind")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    print(f"seed={args.seed}", flush=True)

    journal, verdict = Journal(), Verdict()
    totals = dict.fromkeys(("lost", "dup", "changed", "collateral", "resurrected", "none", "both", "lost_flags"), 0)
    met, kills, rounds, standing = dict.fromkeys(KINDS, 0), 0, 0, []
    mailboxes = ("INBOX", "App", "Flags", "Exp", "Src", "Dst")
    with postroom.Instance(accounts=("alice", "bob"), keep=args.keep) as server:
        server.start()
        with server.imap("alice", tls=False) as imap:
            for mailbox in mailboxes[1:]:
                imap.create(mailbox)
        with contextlib.closing(Imap(server)) as imap:
            for n in range(40):
                journal.flags[imap.append("Flags", f"flag-{n}")] = [frozenset(), None]
        while kills < args.kills or min(met.values()) < args.each:
            rounds += 1
            if len(standing) - len(journal.popped) < 40:
                fill_bob(server, standing)
            # Every other kill is aimed at what was met least often so far: some operations take no time.
            rarest = min(met, key=met.get) if rounds % 2 else None
            target = KINDS[rarest] if rarest else rng.choice(("smtpd", "imapd", "pop3d", "all"))
            clients = [Client(kind, server, journal, rng.random()) for kind in KINDS]
            for client in clients:
                client.start()
            time.sleep(rng.uniform(0.05, 0.5))
            session = server.process.pid
            pids = server.pids(None if target == "all" else target)
            if rarest:
                wait_for_flight(next(client for client in clients if client.kind == rarest), rng)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if target == "all":
                server.process.wait()
                server.process = None
            else:
                for client in clients:
                    if target == KINDS[client.kind]:
                        client.ended.wait(30)
                server.stop()
            wait_gone(session)
            for client in clients:
                if not client.ended.wait(60):
                    raise RuntimeError(f"client {client.kind} hangs")
                if client.failure:
                    verdict.check(False, f"client {client.kind}: {client.failure!r}")
            # The orderly stop of the daemons that were not aimed at answers what is in flight; only the killed count.
            aimed = [c for c in clients if target in ("all", KINDS[c.kind])]
            for client in aimed:
                met[client.kind] += client.in_flight
            kills += any(client.in_flight for client in aimed)
            server.start()
            compare(journal, read_back(server, mailboxes), verdict, totals)
            compare_pop3(journal, read_back(server, ("INBOX",), "bob"), verdict, totals, standing)
            if rounds % 20 == 0:
                print(f"  {rounds} rounds, {kills} kills in flight, {met}, {len(verdict.violations)} violations", flush=True)
            if len(verdict.violations) > 20:
                break
        if verdict.violations:
            print(server.log()[-5000:], flush=True)
            server.keep = True
            print("instance kept in", server.root)

    acked = sum(journal.delivered.values()) + sum(uid is not None for uid in journal.appended.values())
    print(f"kills that met an operation in flight: {kills} in {rounds} rounds; "
          + " ".join(f"{kind}={count}" for kind, count in met.items()))
    print(f"I1 kill points={kills} acked={acked} lost={totals['lost']} dup={totals['dup']} "
          f"violations={totals['lost'] + totals['dup']}")
    print(f"I4 ops={journal.count} reused={totals['changed']} changed={totals['changed']}")
    print(f"I6 acked={journal.acked_flags} lost_kill={totals['lost_flags']}")
    print(f"I7 expunged={sum(journal.expunged.values()) + sum(journal.popped.values())} "
          f"resurrected={totals['resurrected']} collateral={totals['collateral']}")
    print(f"I8 points={met['move']} none={totals['none']} both={totals['both']}")
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main())
