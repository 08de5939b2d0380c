#!/usr/bin/python3
"""Kill -9 the relay, or all of smtpd, while messages are on their way to other servers; then look whether each accepted
recipient got its message or its sender a notice, and nobody was told twice.

    kill_relay.py [--kills N] [--each N] [--seed S] [--keep]

Three servers take the mail: one is plain, one puts everything off once, one refuses some recipients. Prints the invariants,
one line each, and exits with 1 when one of them is violated. A second copy is allowed only for what was in flight at a kill.
"""

import argparse
import contextlib
import email
import email.policy
import os
import pathlib
import random
import re
import signal
import socket
import smtplib
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
for folder in ("e2e", "e2e/smtpd", "support"):
    sys.path.insert(0, str(HERE.parent / folder))
import postroom  # noqa: E402
from test_send import World  # noqa: E402

TOKEN = re.compile(r"token-\d+")


class Sender(threading.Thread):
    """Sends until told to stop; what got its 250 stands in the journal."""

    def __init__(self, world, journal, rng, start_at):
        super().__init__(daemon=True)
        self.world, self.journal, self.rng, self.number = world, journal, rng, start_at
        self.is_over = False
        self.start()

    def run(self):
        while not self.is_over:
            try:
                with self.world.server.submission("alice") as smtp:
                    while not self.is_over:
                        self.send(smtp)
                        time.sleep(self.rng.uniform(0, 0.05))
            except (OSError, smtplib.SMTPException, EOFError):
                time.sleep(0.1)

    def send(self, smtp):
        token = f"token-{self.number}"
        self.number += 1
        # Nobody is asked about an address any more that was refused a thousand times.
        nobody = f"{self.number // 500}-no@strict.example"
        names = [("a@plain.example", 3), ("b@plain.example", 1), ("c@slow.example", 2), ("d@strict.example", 2), (nobody, 1)]
        to = sorted({self.rng.choices([n for n, _ in names], [w for _, w in names])[0] for _ in range(self.rng.randint(1, 4))})
        text = postroom.message(subject=token, sender="alice@example.test", to=to[0], body="x" * 60 + "\r\n" * self.rng.randint(1, 2000))
        refused = smtp.sendmail("alice@example.test", to, text)
        self.journal[token] = [recipient for recipient in to if recipient not in refused]


def relay_pids(server):
    found = []
    for pid in server.pids():
        with contextlib.suppress(OSError):
            words = (pathlib.Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")
            if b"--helper" in words and b"relay" in words:
                found.append(pid)
    return found


def token_of(octets):
    match = TOKEN.search(octets.decode("latin-1"))
    return match.group(0) if match else None


def notices(world):
    """(token, recipient) of every failure that alice was told, and how many copies more than one of a notice came: a notice is
    mail like other mail, and may be in flight at a kill."""
    told, seen, copies = [], set(), 0
    for path in world.server.files("alice"):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        if mail["Message-ID"] in seen:
            copies += 1
            continue
        seen.add(mail["Message-ID"])
        parts = list(mail.iter_parts())
        for fields in parts[1].get_payload()[1:]:
            if fields["Action"] == "failed":
                told.append((token_of(parts[2].as_bytes()), fields["Final-Recipient"].split(";")[1]))
    return told, copies


def is_free(port):
    """Nobody listens there any more."""
    with socket.socket(socket.AF_INET6) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("::", port))
        except OSError:
            return False
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200, help="kills that met a message in flight")
    parser.add_argument("--each", type=int, default=30, help="at least so many of the relay alone, and of all of smtpd")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--keep", action="store_true", help="leave the instance's folder behind")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    print(f"seed={args.seed}", flush=True)

    world = World(retry="1s", retry_max="2s", more="smtp-messages 100000")
    world.server.keep = args.keep
    plain, slow, strict = (world.domain(f"{name}.example", keep=False) for name in ("plain", "slow", "strict"))
    for sink in (plain, slow, strict):
        sink.keep = True
    seen = set()

    def once(line):
        first = (line, len(slow.messages) % 3) not in seen
        seen.add((line, len(slow.messages) % 3))
        return "450 4.2.0 come again" if first else True
    slow.on("RCPT", once)
    strict.on("RCPT", lambda line: "550 5.1.1 no such user" if "no@" in line else True)
    for sink in (plain, slow, strict):
        sink.on("end", lambda line: time.sleep(rng.uniform(0, 0.05)) or True)
    journal, kills, met, rounds, flights = {}, 0, {"relay": 0, "smtpd": 0}, 0, 0
    world.start()
    number = 0
    while kills < args.kills or min(met.values()) < args.each:
        rounds += 1
        sender = Sender(world, journal, random.Random(rng.random()), number)
        time.sleep(rng.uniform(0.2, 1.0))
        target = rng.choice(("relay", "smtpd", min(met, key=met.get)))
        in_flight = sum(sink.open for sink in world.sinks)
        for pid in relay_pids(world.server) if target == "relay" else world.server.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        sender.is_over = True
        if target == "smtpd":
            world.server.kill()
        sender.join(60)
        number = sender.number + 1
        if in_flight:
            kills += 1
            flights += in_flight
            met[target] += 1
        if target == "smtpd":
            postroom.wait_for("the killed processes have let go", lambda: is_free(world.server.port("mx")))
            world.server.start(only="smtpd")
        world.wait_ready()
        if rounds % 20 == 0:
            print(f"  {rounds} rounds, {kills} kills in flight, {met}, {len(journal)} messages", flush=True)
    postroom.wait_for("the queue is empty", lambda: not world.queued(), 300)

    delivered, changed = {}, 0
    for sink in world.sinks:
        for message in sink.messages:
            token = token_of(message.data)
            changed += not message.data.endswith(b"\r\n")
            for recipient in message.recipients:
                delivered[(token, recipient)] = delivered.get((token, recipient), 0) + 1
    told, copies = notices(world)
    accepted = [(token, recipient) for token, to in journal.items() for recipient in to]
    lost = [pair for pair in accepted if pair not in delivered and pair not in told]
    both = [pair for pair in told if pair in delivered]
    twice = len(told) - len(set(told))
    dup = sum(count - 1 for count in delivered.values() if count > 1)
    left = list((world.server.root / "queue" / "corrupt").iterdir())
    world.close()
    print(f"I1 kills={kills} acked={len(accepted)} lost={len(lost)} changed={changed} violations={len(lost) + changed}")
    print(f"I3 deliveries={sum(delivered.values())} dup_crash={dup + copies} max_inflight={flights * 100}")
    print(f"I10 unexplained={len(left)}")
    print(f"I11 dsn={len(told)} dup={twice} also_delivered={len(both)}")
    if lost or changed or left or twice or both or dup + copies > flights * 100:
        print(f"violated: lost={lost[:5]} both={both[:5]} corrupt={left[:5]} seed={args.seed}")
        sys.exit(1)


if __name__ == "__main__":
    main()
