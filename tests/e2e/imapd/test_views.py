"""Several devices of one account at the same time, each with a view of its own that it keeps by the rules alone.

Devices of five kinds (plain RFC 3501; CONDSTORE; QRESYNC, which resynchronises after it was cut off; RFC 9051; UIDONLY) do
random things in the same mailboxes from threads of their own. Meanwhile mail comes by LMTP, another program delivers to,
renames in and deletes from the Maildir, and now and then the index is taken away. No device ever asks for what it was to be
told. After each round

- every view is what a new session sees: numbers, UIDs, flags, also those that a device worked out by itself (.SILENT);
- what a QRESYNC device kept is right after VANISHED (EARLIER) and FETCH, and nothing else;
- a number means the message it meant to the client that used it; what was moved is gone, what was to be copied is copied;
- no UID ever names another message, no MODSEQ goes back, no message is lost, doubled or comes back.

The seed is printed; threads make each run different all the same. VIEWS_ROUNDS, VIEWS_STEPS and VIEWS_SEED for long runs
(`make check-views`).
"""

import collections
import contextlib
import os
import random
import re
import shutil
import threading
import time

import pytest

import imap
import postroom
from postroom import message

ROUNDS = int(os.environ.get("VIEWS_ROUNDS", "2"))
STEPS = int(os.environ.get("VIEWS_STEPS", "14"))
MANY = 80               # messages in a mailbox, of which half are deleted then
BOXES = ("INBOX", "Archive", "Work")
FLAGS = ("\\Seen", "\\Flagged", "\\Draft", "$one", "$two")
IDENT = re.compile(rb"X-Ident: (\S+)")
NO_EXPUNGE = ("FETCH", "STORE", "SEARCH")       # RFC 3501 §7.4.1
IDENT_ITEM = "BODY.PEEK[HEADER.FIELDS (X-IDENT)]"
IDENT_KEY = "BODY[HEADER.FIELDS (X-IDENT)]"


def uids_of(text):
    """[1, 2, 5] of b"1:2,5", in the order in which they stand there."""
    out = []
    for part in text.split(b","):
        first, _, last = part.partition(b":")
        out += range(int(first), int(last or first) + 1)
    return out


def set_of(uids):
    return ",".join(map(str, uids))


def make(ident):
    return message(subject=ident, extra=f"X-Ident: {ident}\r\n", body=f"{ident}\r\n")


def clean(flags):
    return frozenset(f.decode() for f in flags if f != b"\\Recent")


class World:
    """What is known of the server from everything that anybody was told."""

    def __init__(self, server, user):
        self.server, self.user = server, user
        self.lock = threading.Lock()
        self.count = 0
        self.idents = {}                                # (box, UID): ident
        self.kept = set()                               # idents that were accepted
        self.doomed = set()                             # ... and that somebody tried to remove
        self.copies = collections.Counter()             # ident: how often somebody tried to copy it
        self.gone = set()                               # (box, UID): nobody may see it any more
        self.modseqs = {}                               # (box, UID): the highest that anybody saw
        self.highest = collections.Counter()            # box: HIGHESTMODSEQ
        self.validities = {}

    def new_ident(self, kind):
        with self.lock:
            self.count += 1
            return f"{kind}-{self.count}"

    def names(self, box, uid, ident):
        with self.lock:
            known = self.idents.setdefault((box, uid), ident)
        assert known == ident, f"{box} UID {uid} was {known} and is {ident}"

    def saw_modseq(self, box, uid, modseq):
        with self.lock:
            self.modseqs[box, uid] = max(modseq, self.modseqs.get((box, uid), 0))


class Session(imap.Client):
    """A connection that hands each response to its device as it comes."""

    def __init__(self, device):
        self.device = None
        super().__init__(device.world.server, device.world.user)
        self.device = device

    def collect(self, tag):
        untagged = []
        start = tag.encode() + b" "
        while True:
            data = self.response()
            assert data, f"connection ended; before that: {untagged!r}"
            if data.startswith(start):
                words = data.split(b" ", 2)
                reply = imap.Reply(words[1].decode(), words[2], untagged)
                if self.device:
                    self.device.hear_end(reply)
                return reply
            assert data.startswith(b"* "), f"neither untagged nor {tag!r}: {data!r}"
            untagged.append(data)
            if self.device:
                self.device.hear(data)


class Kept:
    """What a QRESYNC device has of a mailbox on its own disk."""

    def __init__(self):
        self.validity, self.modseq, self.flags = None, 0, {}


class Device:
    def __init__(self, world, kind, seed):
        self.world, self.kind = world, kind
        self.random = random.Random(seed)
        self.kept = {}
        self.session = None
        self.log = collections.deque(maxlen=60)         # what was said last, for a failure
        self.forget()

    def forget(self):
        self.box = None
        self.numbers = []       # UIDs, None where not known yet
        self.flags = {}         # of known UIDs; what a device believes
        self.modseqs = {}
        self.command = ""
        self.code_modseq = self.fetch_modseq = 0
        self.answers = {}       # of the command under way: UID: items
        self.order = []         # its FETCH responses' items

    # -- what is heard

    def place(self, uid):
        """A UID is learned without its number: it is one of those that are not known yet. Where numbers are of no use, these
        stand behind the others."""
        if self.kind == "uidonly":
            assert None in self.numbers, f"{self.box}: UID {uid} has no place in {self.numbers}"
            return self.numbers.index(None)
        above = next((i for i, u in enumerate(self.numbers) if u and u > uid), len(self.numbers))
        assert above and self.numbers[above - 1] is None, f"{self.box}: UID {uid} has no place in {self.numbers}"
        return above - 1

    def lose(self, at):
        uid = self.numbers.pop(at)
        if uid:
            self.flags.pop(uid, None)
            self.modseqs.pop(uid, None)
            with self.world.lock:
                self.world.gone.add((self.box, uid))

    def hear(self, data):
        self.log.append(data)
        words = data.split(b" ", 3)
        if words[1] == b"VANISHED":
            self.hear_vanished(data)
        elif words[1] == b"BYE":
            raise AssertionError(f"{data!r}")
        elif data.startswith(b"* OK [HIGHESTMODSEQ "):
            self.code_modseq = int(data.split(b"]")[0].split()[-1])
        elif not words[1].isdigit() or len(words) < 3:
            return
        elif words[2] == b"EXISTS":
            count = int(words[1])
            assert count >= len(self.numbers), f"EXISTS shrank from {len(self.numbers)}"
            self.numbers += [None] * (count - len(self.numbers))
        elif words[2] == b"EXPUNGE":
            assert not self.command.startswith(NO_EXPUNGE), f"EXPUNGE in {self.command}"
            assert self.kind not in ("qresync", "uidonly")
            assert 1 <= int(words[1]) <= len(self.numbers)
            self.lose(int(words[1]) - 1)
        elif words[2] in (b"FETCH", b"UIDFETCH"):
            self.hear_fetch(int(words[1]), words[2] == b"UIDFETCH", imap.Parser(words[3]).fetch_items())

    def hear_vanished(self, data):
        uids = uids_of(data.split(b" ")[-1])
        assert self.kind in ("qresync", "uidonly")
        if b"(EARLIER)" in data:
            for uid in uids:
                assert uid not in self.numbers, f"VANISHED (EARLIER) of {uid}, which is there"
                if self.box in self.kept:
                    self.kept[self.box].flags.pop(uid, None)
            return
        assert not self.command.startswith(NO_EXPUNGE), f"VANISHED in {self.command}"
        for uid in uids:
            self.lose(self.numbers.index(uid) if uid in self.numbers else self.place(uid))
            self.flags.pop(uid, None)
            with self.world.lock:
                self.world.gone.add((self.box, uid))

    def hear_fetch(self, number, is_uid, items):
        assert is_uid == (self.kind == "uidonly")
        if is_uid:
            uid = number
            if uid not in self.numbers:
                self.numbers[self.place(uid)] = uid
                self.numbers.sort(key=lambda u: (u is None, u))
        else:
            assert 1 <= number <= len(self.numbers), f"FETCH of unknown {number}"
            known = self.numbers[number - 1]
            uid = items.get("UID", known)
            assert known in (None, uid), f"number {number} was UID {known} and is {uid}"
            self.numbers[number - 1] = uid
            uids = [u for u in self.numbers if u]
            assert uids == sorted(set(uids)), f"{uids}"
        if not uid:
            return
        if "FLAGS" in items:
            self.flags[uid] = clean(items["FLAGS"])
        if "MODSEQ" in items:
            modseq = items["MODSEQ"][0]
            assert modseq >= self.modseqs.get(uid, 0), f"MODSEQ of {uid} went back from {self.modseqs[uid]} to {modseq}"
            self.modseqs[uid] = modseq
            self.fetch_modseq = max(modseq, self.fetch_modseq)
            self.world.saw_modseq(self.box, uid, modseq)
        if IDENT_KEY in items:
            self.world.names(self.box, uid, IDENT.search(items[IDENT_KEY]).group(1).decode())
        self.answers.setdefault(uid, {}).update(items)

    def hear_end(self, reply):
        """RFC 7162 §6: which MODSEQ may be kept is decided at the tagged response."""
        self.log.append(f"{reply.status} {reply.text!r}")
        code = reply.code() or ""
        if code.startswith("HIGHESTMODSEQ "):
            self.code_modseq = int(code.split()[1])
        kept = self.kept.get(self.box)
        if kept and reply.status == "OK":
            kept.modseq = self.code_modseq or max(kept.modseq, self.fetch_modseq)
        self.code_modseq = self.fetch_modseq = 0

    # -- what is said

    def cmd(self, text):
        self.command = text
        self.log.append(f"-- {text}")
        self.answers = {}
        reply = self.session.cmd(text)
        self.command = ""
        return reply

    def ok(self, text):
        reply = self.cmd(text)
        assert reply.status == "OK", f"{text}: {reply!r}"
        return reply

    def connect(self):
        self.forget()
        self.session = Session(self)
        enable = {"condstore": "CONDSTORE", "qresync": "QRESYNC", "rev2": "IMAP4rev2", "uidonly": "UIDONLY"}.get(self.kind)
        if enable:
            self.ok(f"ENABLE {enable}")

    def disconnect(self):
        self.put_down()
        if self.session:
            self.session.close()
        self.session = None
        self.forget()

    def put_down(self):
        """What a device with a disk of its own has of the mailbox that it leaves."""
        kept = self.kept.get(self.box)
        if kept:
            kept.flags = dict(self.flags)

    def select(self, box):
        self.put_down()
        self.numbers, self.flags, self.modseqs = [], {}, {}
        self.box = box
        kept = self.kept.setdefault(box, Kept()) if self.kind == "qresync" else None
        more = ""
        if kept and kept.modseq:
            known = f" {set_of(sorted(kept.flags))}" if kept.flags and self.random.random() < 0.7 else ""
            more = f" (QRESYNC ({kept.validity} {kept.modseq}{known}))"
        reply = self.ok(f"SELECT {box}{more}")
        validity = int(re.search(rb"\[UIDVALIDITY (\d+)\]", b"\n".join(reply.untagged)).group(1))
        assert self.world.validities.setdefault(box, validity) == validity
        if kept:
            kept.validity = validity
            self.flags = {**kept.flags, **self.flags}
            self.learn_numbers()        # what goes between the SELECT and this is told by this
            left = [u for u in self.flags if u not in self.numbers]
            assert not left, f"{box}: not told that {left} are gone ({more})"
        self.learn()

    def learn_numbers(self):
        if None in self.numbers:
            known = self.numbers[:self.numbers.index(None)]
            low = 1 if self.kind == "uidonly" else max(known, default=0) + 1
            self.ok(f"UID FETCH {low}:* (UID)")

    def learn(self):
        """Messages that are announced and not known yet, and no others."""
        self.learn_numbers()
        news = [u for u in self.numbers if u and u not in self.flags]
        if news:
            self.ok(f"UID FETCH {set_of(news)} ({'FLAGS MODSEQ' if self.kind in ('condstore', 'qresync') else 'FLAGS'})")

    # -- random steps

    def some(self, least=1):
        known = [u for u in self.numbers if u and u in self.flags]
        count = min(len(known), self.random.randrange(least, 5))
        return sorted(self.random.sample(known, count))

    def aim(self, verb, uids):
        """A command's beginning, by UID or by number."""
        if self.kind == "uidonly" or self.random.random() < 0.5:
            return f"UID {verb} {set_of(uids)}"
        return f"{verb} {set_of(self.numbers.index(u) + 1 for u in uids)}"

    def idents(self, uids):
        """{UID: ident} of those that are still there."""
        self.ok(f"UID FETCH {set_of(uids)} ({IDENT_ITEM})")
        return {u: IDENT.search(self.answers[u][IDENT_KEY]).group(1).decode()
                for u in uids if IDENT_KEY in self.answers.get(u, {}) and u in self.numbers}

    def store(self, uids, sign, flags, may_be_cut=True):
        """With .SILENT the device works out by itself what the flags are, unless it is told."""
        is_silent = self.random.random() < 0.5
        text = self.aim("STORE", uids) + f" {sign}FLAGS{'.SILENT' if is_silent else ''} ({' '.join(flags)})"
        if may_be_cut and self.random.random() < 0.05:
            return self.cut(text)
        if is_silent:
            for uid in uids:
                now = self.flags[uid]
                self.flags[uid] = frozenset(flags) if not sign else now | set(flags) if sign == "+" else now - set(flags)
        self.ok(text)
        return None

    def cut(self, text):
        """The connection ends with a command under way."""
        self.log.append(f"-- cut off in: {text}")
        self.session.send(f"x {text}\r\n")
        for _ in range(self.random.randrange(3)):
            if self.session.buffer or self.random.random() < 0.5:
                line = self.session.response()
                if not line.startswith(b"* "):
                    break
                self.command = text
                self.hear(line)
        self.disconnect()

    def step_store(self):
        uids = self.some()
        if uids:
            self.store(uids, self.random.choice(("", "+", "-")), self.random.sample(FLAGS, self.random.randrange(1, 3)))

    def step_store_conditionally(self):
        uids = [u for u in self.some() if u in self.modseqs]
        if not uids:
            return
        since = self.modseqs[self.random.choice(uids)]
        flag = self.random.choice(FLAGS)
        sign = self.random.choice("+-")
        reply = self.ok(f"UID STORE {set_of(uids)} (UNCHANGEDSINCE {since}) {sign}FLAGS ({flag})")
        code = reply.code() or ""
        modified = set(uids_of(code.split()[1].encode())) if code.startswith("MODIFIED") else set()
        assert modified <= set(uids)
        for uid in set(uids) - modified:
            assert uid not in self.answers or "FLAGS" in self.answers[uid]

    def step_delete(self):
        self.delete(self.some() or [1])

    def delete(self, uids):
        found = self.idents(uids) if uids else {}
        uids = [u for u in found if u in self.numbers and u in self.flags]
        if uids:
            with self.world.lock:
                self.world.doomed |= {found[u] for u in uids}
            self.store(uids, "+", ["\\Deleted"])

    def step_undelete(self):
        uids = [u for u in self.numbers if u and "\\Deleted" in self.flags.get(u, ())][:3]
        if uids:
            self.store(uids, "-", ["\\Deleted"])

    def step_expunge(self):
        uids = [u for u in self.numbers if u and "\\Deleted" in self.flags.get(u, ())]
        if uids and self.random.random() < 0.5:
            self.ok(f"UID EXPUNGE {set_of(uids)}")
        else:
            self.ok("EXPUNGE")

    def transfer(self, verb):
        target = self.random.choice([b for b in BOXES if b != self.box])
        found = self.idents(self.some() or [1])
        uids = sorted(u for u in found if u in self.numbers)
        if not uids:
            return
        if verb == "COPY":
            with self.world.lock:
                self.world.copies.update(found[u] for u in uids)
        box, text = self.box, f"{self.aim(verb, uids)} {target}"
        if self.random.random() < 0.05:
            self.cut(text)
            return
        reply = self.ok(text)
        code = re.search(rb"\[COPYUID (\d+) (\S+) (\S+)\]", b"\n".join([*reply.untagged, reply.text]))
        done = []
        if code:
            done, made = uids_of(code.group(2)), uids_of(code.group(3))
            assert len(done) == len(made) and set(done) <= set(uids), f"{text} meant {uids}: {code.group(0)!r}"
            assert int(code.group(1)) == self.world.validities.get(target, int(code.group(1)))
            for a, b in zip(done, made):
                self.world.names(target, b, found[a])
        left_out = uids if verb == "MOVE" else set(uids) - set(done)
        with self.world.lock:
            self.world.gone |= {(box, u) for u in left_out}

    def step_copy(self):
        self.transfer("COPY")

    def step_move(self):
        self.transfer("MOVE")

    def step_append(self):
        ident = self.world.new_ident(self.kind)
        box = self.random.choice(BOXES)
        flags = " ".join(self.random.sample(FLAGS, self.random.randrange(3)))
        text, tag = make(ident), self.session.next_tag()
        self.log.append(f"-- APPEND {box} {ident}")
        self.session.send(f"{tag} APPEND {box} ({flags}) {{{len(text)}+}}\r\n".encode() + text + b"\r\n")
        reply = self.session.collect(tag)
        assert reply.status == "OK", reply
        self.world.names(box, int(reply.code().split()[2]), ident)
        with self.world.lock:
            self.world.kept.add(ident)

    def step_noop(self):
        self.ok(self.random.choice(("NOOP", "CHECK")))
        self.learn()

    def step_idle(self):
        self.command = "IDLE"
        self.log.append("-- IDLE")
        self.session.send("i IDLE\r\n")
        while not (line := self.session.response()).startswith(b"+ "):
            self.hear(line)
        time.sleep(self.random.random() * 0.02)         # what comes now is told in IDLE, or behind it
        self.session.send("DONE\r\n")
        assert self.session.collect("i").status == "OK"
        self.command = ""
        self.learn()

    def step_look(self):
        if self.numbers and self.kind != "uidonly":
            first = self.random.randrange(len(self.numbers)) + 1
            self.ok(f"FETCH {first}:* (UID FLAGS)")

    def step_search(self):
        if self.kind != "uidonly" and self.kind != "rev2" and self.numbers:
            for n in reply_uids(self.ok("SEARCH NOT DELETED")):
                assert 1 <= int(n) <= len(self.numbers)

    def step_read(self):
        uids = self.some()
        if uids:
            self.idents(uids)

    def step_switch(self):
        if self.random.random() < 0.3:
            self.put_down()
            self.ok("UNSELECT")
            self.forget_box()
        self.select(self.random.choice(BOXES))

    def forget_box(self):
        self.box, self.numbers, self.flags, self.modseqs = None, [], {}, {}

    def step_close(self):
        """CLOSE removes in silence what is marked; the resynchronisation must tell it."""
        self.put_down()
        self.ok("CLOSE")
        self.forget_box()
        self.select(self.random.choice(BOXES))

    def step_cut(self):
        self.disconnect()

    STEPS = (("store", 8), ("store_conditionally", 2), ("delete", 3), ("undelete", 1), ("expunge", 2), ("copy", 1), ("move", 3),
             ("append", 2), ("noop", 3), ("idle", 2), ("look", 1), ("search", 1), ("read", 1), ("switch", 2), ("close", 1), ("cut", 2))

    def step(self):
        if not self.session:
            self.connect()
            self.select(self.random.choice(BOXES))
        if len(self.numbers) > MANY:
            self.learn()
            self.delete([u for u in self.numbers if u in self.flags][:MANY // 2])
            if self.session:
                self.step_expunge()
            return
        names, weights = zip(*self.STEPS)
        getattr(self, "step_" + self.random.choices(names, weights)[0])()

    # -- the end of a round

    def settle(self, box):
        """Hear of everything, by what this device would do anyway."""
        if not self.session:
            self.connect()
        if self.box != box:
            self.select(box)
        self.ok("NOOP")
        self.learn()

    def differs(self, truth):
        """Nothing was asked that it should have been told."""
        uids = list(truth)
        if self.numbers != uids:
            return f"numbers {self.numbers}, really {uids}"
        wrong = {u: (set(self.flags[u]), set(truth[u][1])) for u in uids if self.flags.get(u) != truth[u][1]}
        return f"flags (believed, real): {wrong}" if wrong else None


def reply_uids(reply):
    """Numbers of a SEARCH answer, plain or extended."""
    for text in reply.all("SEARCH"):
        return text.split()
    for text in reply.all("ESEARCH"):
        found = re.search(rb" ALL (\S+)", text)
        return [str(u).encode() for u in uids_of(found.group(1))] if found else []
    raise AssertionError(f"no answer to SEARCH: {reply!r}")


class Lmtp:
    """Mail that comes in meanwhile."""

    def __init__(self, world, seed):
        self.world, self.random, self.line, self.sent = world, random.Random(seed), None, 0

    def step(self):
        if self.sent % 50 == 0:         # below the limit of messages per session
            if self.line:
                self.line.close()
            self.line = self.world.server.raw("lmtp")
            self.line.reply()
            assert self.line.smtp("LHLO client.example") == 250
        self.sent += 1
        ident = self.world.new_ident("lmtp")
        self.line.send(f"MAIL FROM:<s@elsewhere.example>\r\nRCPT TO:<{self.world.server.address(self.world.user)}>\r\nDATA\r\n")
        assert [self.line.reply()[0] for _ in range(3)] == [250, 250, 354]
        self.line.send(make(ident) + b".\r\n")
        code, texts = self.line.reply()
        assert code == 250, texts
        with self.world.lock:
            self.world.kept.add(ident)


class Other:
    """Another program in the Maildir: it delivers, marks as answered (nobody else does) or not, and deletes a little."""

    def __init__(self, world, seed):
        self.world, self.random = world, random.Random(seed)

    def folder(self, box):
        return self.world.server.maildir(self.world.user, "" if box == "INBOX" else box)

    def step(self):
        folder = self.folder(self.random.choice(BOXES))
        what = self.random.random()
        if what < 0.2:
            ident = self.world.new_ident("other")
            name = f"{int(time.time())}.{ident}.elsewhere"
            (folder / "tmp" / name).write_bytes(make(ident))
            (folder / "tmp" / name).rename(folder / "new" / name)
            with self.world.lock:
                self.world.kept.add(ident)
            return
        files = [p for p in (folder / "cur").iterdir() if ":2," in p.name]
        if not files:
            return
        path = self.random.choice(files)
        with contextlib.suppress(FileNotFoundError):
            ident = IDENT.search(path.read_bytes()).group(1).decode()
            if what < 0.25:
                with self.world.lock:
                    self.world.doomed.add(ident)
                path.unlink()
                return
            base, _, flags = path.name.partition(":2,")
            has = "R" in flags
            flags = flags.replace("R", "") if has else "".join(sorted(flags + "R"))
            path.rename(path.with_name(f"{base}:2,{flags}"))


    def nudge(self):
        """What it did in the same tick of the clock as the server did something is noticed with its next change."""
        time.sleep(0.05)
        for box in BOXES:
            spot = self.folder(box) / "cur" / "nudge"
            spot.touch()
            spot.unlink()


class Upset:
    """The index goes away under everybody: it is disposable."""

    def __init__(self, world, seed):
        self.world, self.random = world, random.Random(seed)

    def step(self):
        if self.random.random() < 0.03:
            index = self.world.server.maildir(self.world.user).parent / "index"
            if self.random.random() < 0.5:
                self.world.server.postroom("index", "rebuild", self.world.server.address(self.world.user))
            elif self.random.random() < 0.5:
                with contextlib.suppress(OSError):
                    (index / "data.mdb").unlink()
            else:
                shutil.rmtree(index, ignore_errors=True)


class Actor(threading.Thread):
    def __init__(self, who, steps, failures):
        super().__init__(daemon=True)
        self.who, self.steps, self.failures = who, steps, failures

    def run(self):
        try:
            for _ in range(self.steps):
                if self.failures:
                    return
                self.who.step()
        except BaseException as error:  # pylint: disable=broad-except
            self.failures.append((self.who, error))


def truth_of(world):
    """{box: {UID: (ident, flags, MODSEQ)}} as a new session sees it."""
    seen = {}
    with imap.Client(world.server, world.user) as fresh:
        for box in BOXES:
            reply = fresh.ok(f"EXAMINE {box} (CONDSTORE)")
            highest = int(re.search(rb"\[HIGHESTMODSEQ (\d+)\]", b"\n".join(reply.untagged)).group(1))
            assert highest >= world.highest[box], f"HIGHESTMODSEQ of {box} went back from {world.highest[box]} to {highest}"
            world.highest[box] = highest
            rows = fresh.fetch("1:*", f"(UID FLAGS MODSEQ {IDENT_ITEM})") if reply.count("EXISTS") else {}
            assert list(rows) == list(range(1, len(rows) + 1)) and len(rows) == reply.count("EXISTS")
            seen[box] = {r["UID"]: (IDENT.search(r[IDENT_KEY]).group(1).decode(), clean(r["FLAGS"]), r["MODSEQ"][0])
                         for r in rows.values()}
            for uid, (ident, _, modseq) in seen[box].items():
                world.names(box, uid, ident)
                was = world.modseqs.get((box, uid), 0)
                assert was <= modseq <= highest, f"{box} UID {uid}: MODSEQ {modseq}, before {was}, HIGHESTMODSEQ {highest}"
                world.saw_modseq(box, uid, modseq)
    return seen


def rested_truth(world):
    """Twice the same: what another program did last is adopted by being looked at."""
    before = None
    for _ in range(20):
        now = truth_of(world)
        if now == before:
            return now
        before = now
    raise AssertionError(f"never rests: {now}")


def check_messages(world, truth):
    count = collections.Counter(ident for rows in truth.values() for ident, _, _ in rows.values())
    lost = world.kept - world.doomed - set(count)
    assert not lost, f"lost: {lost}"
    doubled = {i: n for i, n in count.items() if n > 1 + world.copies[i]}
    assert not doubled, f"doubled: {doubled}"
    back = {(box, uid) for box, rows in truth.items() for uid in rows} & world.gone
    assert not back, f"there, though it was told that they are gone: {back}"


def run_round(world, devices, others):
    failures = []
    threads = [Actor(who, STEPS * (1 if who in devices else 2), failures) for who in devices + others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        who, error = failures[0]
        said = "\n".join(map(str, getattr(who, "log", ())))
        raise AssertionError(f"{getattr(who, 'kind', type(who).__name__)}: {error}\nSaid last:\n{said}") from error


def check_device(world, device, truth):
    """In the mailbox where it is, and in those of which it has kept something. Mail that another program brought last may be
    adopted by this very look: then there is a new truth."""
    for box in dict.fromkeys([device.box or BOXES[0], *device.kept]):
        for _ in range(20):
            device.settle(box)
            wrong = device.differs(truth[box])
            if not wrong:
                break
            again = rested_truth(world)
            assert again != truth, f"{device.kind} in {box}: {wrong}\nSaid last:\n" + "\n".join(map(str, device.log))
            truth = again
        assert not wrong
    return truth


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice",), conf="workers 2\nfailure-delay 1ms\n") as instance:
        instance.start()
        yield instance


def test_all_devices_see_the_same(server):
    seed = int(os.environ.get("VIEWS_SEED", random.randrange(10**9)))
    print("VIEWS_SEED", seed)
    world = World(server, "alice")
    devices = [Device(world, kind, f"{seed} {kind}") for kind in ("plain", "condstore", "qresync", "rev2", "uidonly")]
    others = [Lmtp(world, f"{seed} lmtp"), Other(world, f"{seed} other"), Upset(world, f"{seed} upset")]
    with imap.Client(server, "alice") as first:
        first.ok("CREATE Work")
    for n in range(ROUNDS):
        print("round", n, flush=True)
        run_round(world, devices, others)
        others[1].nudge()
        truth = rested_truth(world)
        for device in devices:
            truth = check_device(world, device, truth)
        check_messages(world, truth)
    for device in devices:
        device.disconnect()
    assert server.run("index", "check", server.address("alice")).returncode == 0
