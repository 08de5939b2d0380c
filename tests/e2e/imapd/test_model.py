"""Random commands by several sessions on one mailbox. Each client believes only what it was told; whenever everybody has
asked for news, all beliefs must be equal to what a new session sees: numbers, UIDs, flags. The seed is printed."""

import random

import pytest

import imap
from postroom import message

FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft", "$one", "$two"]


class Believer(imap.Client):
    """Keeps a list of messages as a mail program does: {"UID": n, "FLAGS": set} by sequence number."""

    def __init__(self, server, user):
        self.seen = None
        super().__init__(server, user)
        reply = self.ok("SELECT INBOX")
        self.seen = [{} for _ in range(reply.count("EXISTS"))]
        self.look()

    def collect(self, tag):
        reply = super().collect(tag)
        if self.seen is not None:
            self.believe(reply.untagged)
        return reply

    def believe(self, untagged):
        for u in untagged:
            words = u.split(b" ", 3)
            if len(words) < 3 or not words[1].isdigit():
                continue
            n = int(words[1])
            if words[2] == b"EXISTS":
                assert n >= len(self.seen), "EXISTS shrank"
                self.seen += [{} for _ in range(n - len(self.seen))]
            elif words[2] == b"EXPUNGE":
                assert 1 <= n <= len(self.seen), f"EXPUNGE of unknown {n}"
                del self.seen[n - 1]
            elif words[2] == b"FETCH":
                assert 1 <= n <= len(self.seen), f"FETCH of unknown {n}"
                items = imap.Parser(words[3]).fetch_items()
                if "UID" in items:
                    known = self.seen[n - 1].setdefault("UID", items["UID"])
                    assert known == items["UID"], f"number {n} was UID {known} and is {items['UID']}"
                if "FLAGS" in items:
                    self.seen[n - 1]["FLAGS"] = {f for f in items["FLAGS"] if f != b"\\Recent"}

    def forget(self, numbers):
        """After .SILENT a client works out flags by itself; this one asks anew."""
        for n in numbers:
            self.seen[n - 1].pop("FLAGS", None)

    def look(self):
        if self.seen:
            self.ok("FETCH 1:* (UID FLAGS)")

    def belief(self):
        return [(m.get("UID"), m.get("FLAGS")) for m in self.seen]

    def idle(self):
        self.send("i IDLE\r\n")
        while not (line := self.response()).startswith(b"+ "):
            self.believe([line])
        self.send("DONE\r\n")
        assert self.collect("i").status == "OK"


def by_number(c, r):
    numbers = sorted(r.sample(range(1, len(c.seen) + 1), r.randrange(1, min(6, len(c.seen)) + 1)))
    seqs = ",".join(map(str, numbers))
    flags = " ".join(r.sample(FLAGS, r.randrange(1, 3)))
    sign = r.choice(["", "+", "-"])
    what = r.choice(["store", "silent", "body", "delete", "copy", "move", "search"])
    if what == "store":
        c.ok(f"STORE {seqs} {sign}FLAGS ({flags})")
    elif what == "silent":
        c.ok(f"STORE {seqs} {sign}FLAGS.SILENT ({flags})")
        c.forget(numbers)
    elif what == "body":
        c.ok(f"FETCH {seqs} (FLAGS BODY[TEXT])")
    elif what == "delete":
        c.ok(f"STORE {seqs} +FLAGS (\\Deleted)")
    elif what == "copy" and len(c.seen) < 60:
        c.ok(f"COPY {seqs} INBOX")
    elif what == "move":
        c.ok(f"MOVE {seqs} Trash")
    else:
        found = c.search(r.choice(["SEEN", "NOT DELETED", "KEYWORD $one", "ALL", "TEXT 0.1"]))
        assert all(1 <= n <= len(c.seen) for n in found)


def by_uid(c, r):
    known = [m["UID"] for m in c.seen if "UID" in m]
    if not known:
        c.look()
        return
    uids = ",".join(map(str, r.sample(known, r.randrange(1, min(6, len(known)) + 1))))
    flags = " ".join(r.sample(FLAGS, r.randrange(1, 3)))
    r.choice([lambda: c.ok(f"UID STORE {uids} {r.choice(['', '+', '-'])}FLAGS ({flags})"),
              lambda: c.ok(f"UID EXPUNGE {uids}"),
              lambda: c.ok(f"UID MOVE {uids} Trash"),
              lambda: c.ok(f"UID FETCH {uids} (FLAGS BODY[])"),
              lambda: c.search(f"UID {uids}", uid=True)])()


def step(c, r):
    r.choice([lambda: c.ok(f"APPEND INBOX ({' '.join(r.sample(FLAGS, r.randrange(3)))}) ", message(str(r.random()))),
              lambda: c.ok("APPEND INBOX ", message("another")),
              lambda: c.ok("NOOP"),
              lambda: c.ok("EXPUNGE"),
              c.look,
              c.idle,
              lambda: by_number(c, r) if c.seen else c.ok("CHECK"),
              lambda: by_number(c, r) if c.seen else c.ok("CHECK"),
              lambda: by_number(c, r) if c.seen else c.ok("CHECK"),
              lambda: by_uid(c, r),
              lambda: by_uid(c, r)])()


def truth_of(imapd, user):
    with imap.Client(imapd, user) as fresh:
        if not fresh.ok("EXAMINE INBOX").count("EXISTS"):
            return []
        return [(v["UID"], {f for f in v["FLAGS"] if f != b"\\Recent"}) for v in fresh.fetch("1:*", "(UID FLAGS)").values()]


@pytest.mark.parametrize("run", range(2))
def test_beliefs_are_true(imapd, user, run):
    seed = random.randrange(10**6)
    print("seed", seed)
    r = random.Random(seed)
    clients = [Believer(imapd, user) for _ in range(3)]
    try:
        for n in range(200):
            step(r.choice(clients), r)
            if n % 20:
                continue
            for c in clients:
                c.ok("NOOP")
            truth = truth_of(imapd, user)
            for c in clients:
                # what is believed is true, also where nobody asked since ...
                assert len(c.seen) == len(truth)
                for (uid, flags), (true_uid, true_flags) in zip(c.belief(), truth):
                    assert uid in (None, true_uid)
                    assert flags is None or flags == true_flags, f"UID {true_uid}: {flags} is {true_flags}"
                # ... and asking gives the same
                c.look()
                assert c.belief() == truth
    finally:
        for c in clients:
            c.close()
