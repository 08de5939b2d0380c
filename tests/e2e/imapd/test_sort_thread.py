"""SORT (RFC 5256, RFC 5957), ESORT (RFC 5267 §3) and THREAD; threads are compared with a second reading of the RFC."""

import random

import pytest

import imap


def put(box, subject="", sender="", date="", msgid="", refs="", to="", cc="", reply_to="", internal="", body="x"):
    header = ""
    for name, value in (("Subject", subject), ("From", sender), ("Date", date), ("Message-ID", msgid), ("References", refs),
                        ("In-Reply-To", reply_to), ("To", to), ("Cc", cc)):
        if value:
            header += f"{name}: {value}\r\n"
    return box.append("INBOX", (header + "\r\n" + body + "\r\n").encode(), f'"{internal}"' if internal else "")[1]


def sort(box, criteria, keys="ALL", uid=False):
    reply = box.ok(f"{'UID ' if uid else ''}SORT ({criteria}) UTF-8 {keys}")
    found = reply.all("SORT")
    assert len(found) == 1, reply
    return [int(n) for n in found[0].split()]


@pytest.fixture(scope="module")
def mail(imapd):
    imapd.add_account("sorter")
    with imap.Client(imapd, "sorter") as c:
        c.ok("SELECT INBOX")
        put(c, "Re: [list] beta", "zoe@a.example", "Mon, 7 Feb 1994 21:52:25 -0800", to="carl@x", cc="x@x",
            internal="10-Feb-1994 00:00:00 +0000", body="y" * 500)
        put(c, "Alpha", "Anna <adam@a.example>", "Tue, 8 Feb 1994 06:00:00 +0000", to="=?utf-8?q?=C3=84rger?= <b@x>",
            internal="09-Feb-1994 00:00:00 +0000")
        put(c, "=?utf-8?q?=C3=A4ther?=", '"Bert" <carl@a.example>', "Tue, 8 Feb 1994 05:00:00 +0000", to="Aha <c@x>", cc="a@x",
            internal="08-Feb-1994 00:00:00 +0000", body="z" * 100)
        put(c, "fwd: ALPHA (fwd)", "anna@a.example, zoe@b.example", internal="08-Feb-1994 05:30:00 +0000", body="q" * 300)
        put(c, internal="11-Feb-1994 00:00:00 +0000")
        c.ok("NOOP")
        yield c


@pytest.mark.parametrize("criteria, want", [
    ("ARRIVAL", [3, 4, 2, 1, 5]), ("REVERSE ARRIVAL", [5, 1, 2, 4, 3]), ("DATE", [3, 4, 1, 2, 5]), ("SIZE", [5, 2, 3, 4, 1]),
    # base subjects: beta, alpha, äther, alpha, none
    ("SUBJECT", [5, 2, 4, 3, 1]), ("SUBJECT REVERSE DATE", [5, 2, 4, 3, 1]), ("SUBJECT DATE", [5, 4, 2, 3, 1]),
    ("REVERSE SUBJECT", [1, 3, 2, 4, 5]), ("FROM", [5, 2, 4, 3, 1]), ("TO", [4, 5, 2, 3, 1]), ("CC", [2, 4, 5, 3, 1]),
    ("DISPLAYFROM", [5, 2, 4, 3, 1]), ("DISPLAYTO", [4, 5, 3, 2, 1]), ("SUBJECT SUBJECT REVERSE SUBJECT", [5, 2, 4, 3, 1]),
    ("reverse size", [1, 4, 3, 2, 5]),
])
def test_each_key_sorts_as_it_says(mail, criteria, want):
    assert sort(mail, criteria) == want


def test_rfc5256_examples(mail):
    assert sort(mail, "SUBJECT", "SINCE 10-Feb-1994") == [5, 1]
    assert mail.ok('SORT (SUBJECT) US-ASCII TEXT "not in mailbox"').untagged == [b"* SORT"]
    uids = [v["UID"] for v in mail.fetch("1:*", "UID").values()]
    assert sort(mail, "REVERSE DATE", "1:3", uid=True) == [uids[1], uids[0], uids[2]]
    for wrong in ("", "SUBJECT UTF-8 ALL", "() UTF-8 ALL", "(NONSENSE) UTF-8 ALL", "(REVERSE) UTF-8 ALL", "(SUBJECT) UTF-8", "(SUBJECT)",
                  "(REVERSE REVERSE DATE) UTF-8 ALL"):
        mail.bad(f"SORT {wrong}")
    assert mail.no("SORT (DATE) X-NONSENSE ALL").code().startswith("BADCHARSET")
    assert b"(MODSEQ " in mail.ok("SORT (DATE) UTF-8 MODSEQ 1").all("SORT")[0]


def test_an_esort_has_its_tag_and_what_it_was_asked_for(mail):
    def esort(line):
        reply = mail.ok(line)
        start = f'(TAG "t{mail.tag}")'.encode()
        texts = reply.all("ESEARCH")
        assert len(texts) == 1 and texts[0].startswith(start) and not reply.all("SORT")
        return texts[0][len(start):].decode()

    assert esort("SORT RETURN () (REVERSE DATE) UTF-8 UNDELETED UNKEYWORD $Junk") == " ALL 5,2,1,4,3"
    assert esort("UID SORT RETURN (MIN MAX COUNT ALL) (SUBJECT) UTF-8 ALL") == " UID MIN 5 MAX 1 ALL 5,2,4,3,1 COUNT 5"
    assert esort("SORT RETURN (ALL) (SIZE) UTF-8 2:5") == " ALL 5,2:4"
    assert esort("SORT RETURN (PARTIAL 2:3) (ARRIVAL) UTF-8 ALL") == " PARTIAL (2:3 4,2)"
    assert esort("SORT RETURN (PARTIAL -1:-2) (ARRIVAL) UTF-8 ALL") == " PARTIAL (-1:-2 1,5)"
    assert esort("SORT RETURN (PARTIAL 6:9 COUNT) (ARRIVAL) UTF-8 ALL") == " PARTIAL (6:9 NIL) COUNT 5"
    mail.ok("SORT RETURN (SAVE PARTIAL 1:2) (ARRIVAL) UTF-8 ALL")
    assert mail.search("$") == [3, 4]
    mail.ok("SORT RETURN (SAVE) (ARRIVAL) UTF-8 2:3")
    assert mail.search("$") == [2, 3]


def test_a_search_that_reads_files_sorts_too(mail):
    assert sort(mail, "SIZE", "OR BODY yyy BODY qqq") == [4, 1]


# ---- THREAD ----

def parse_threads(text):
    """Nested lists: [[2], [3, 6, [4, 23], [44, 7, 96]]]"""
    stack, number = [[]], ""
    for c in text + " ":
        if c.isdigit():
            number += c
            continue
        if number:
            stack[-1].append(int(number))
            number = ""
        if c == "(":
            stack.append([])
        elif c == ")":
            done = stack.pop()
            stack[-1].append(done)
    assert len(stack) == 1
    return stack[0]


def threads(box, algorithm, keys="ALL"):
    found = box.ok(f"THREAD {algorithm} UTF-8 {keys}").untagged
    assert len(found) == 1 and found[0].startswith(b"* THREAD")
    return found[0][len(b"* THREAD "):].decode()


class Node:
    def __init__(self, message=None):
        self.message, self.parent, self.children = message, None, []

    def unlink(self):
        if self.parent:
            self.parent.children.remove(self)
            self.parent = None

    def put_below(self, parent):
        above = parent
        while above:
            if above is self:
                return
            above = above.parent
        self.unlink()
        self.parent = parent
        parent.children.append(self)


def model_references(messages, by_subject=True):
    """RFC 5256 §3 step by step. messages: dicts of number, id, refs, date, arrived, subject, is_reply."""
    table, nodes = {}, []
    for m in messages:
        node = Node(m)
        nodes.append(node)
        if m["id"] and m["id"] not in table:
            table[m["id"]] = node
    for node in nodes:
        before = None
        for ref in node.message["refs"]:
            here = table.setdefault(ref, Node())
            if before and not here.parent:
                here.put_below(before)
            before = here
        node.unlink()
        if before:
            node.put_below(before)
    everyone = nodes + [n for n in table.values() if not n.message]
    roots = [n for n in everyone if not n.parent]

    def prune(siblings, is_root):
        out = []
        for n in siblings:
            n.children = prune(n.children, False)
            if n.message:
                out.append(n)
            elif n.children and (not is_root or len(n.children) == 1):
                out += n.children
            elif n.children:
                out.append(n)
        return out
    roots = prune(roots, True)

    def key(n):
        first = n if n.message else min(n.children, key=key)
        return (first.message["date"], first.message["number"])

    def subject(n):
        return (n if n.message else min(n.children, key=key)).message["subject"].upper()
    roots.sort(key=key)
    if by_subject:
        best = {}
        for r in roots:
            s = subject(r)
            if not s:
                continue
            other = best.get(s)
            if other is None or (other.message and (not r.message or (other.message["is_reply"] and not r.message["is_reply"]))):
                best[s] = r
        for r in list(roots):
            s = subject(r)
            if not s or best[s] is r or r not in roots:
                continue
            other = best[s]
            roots.remove(r)
            if not r.message and not other.message:
                other.children += r.children
            elif not other.message or (r.message["is_reply"] and not other.message["is_reply"]):
                other.children.append(r)
            else:
                both = Node()
                both.children = [r, other]
                roots[roots.index(other)] = both
                best[s] = both

    def ordered(siblings):
        for n in siblings:
            n.children = ordered(n.children)
        return sorted(siblings, key=key)

    def latest(n):
        return max([n.message["arrived"] if n.message else -1] + [latest(c) for c in n.children])
    roots = ordered(roots)
    if not by_subject:
        roots.sort(key=lambda n: (latest(n),) + key(n))

    def show(n):
        out = [n.message["number"]] if n.message else []
        while len(n.children) == 1:
            n = n.children[0]
            out.append(n.message["number"])
        return out + [show(c) for c in n.children]
    return [show(r) for r in roots]


def model_orderedsubject(messages):
    groups = {}
    for m in sorted(messages, key=lambda m: (m["date"], m["number"])):
        groups.setdefault(m["subject"].upper(), []).append(m["number"])
    out = []
    for first, *rest in groups.values():
        out.append([first] + rest if len(rest) < 2 else [first] + [[n] for n in rest])
    return out


@pytest.mark.parametrize("seed", range(4))
def test_threads_are_those_of_the_rfc(box, seed):
    rng = random.Random(seed)
    messages = []
    for number in range(1, 41):
        ids = [f"m{rng.randrange(1, 60)}@x" for _ in range(rng.choice((0, 0, 1, 1, 2, 3)))]
        subject = rng.choice(("", "one", "ONE", "two", "three", "four"))
        is_reply = rng.random() < 0.5
        day, hour = rng.randrange(1, 5), rng.randrange(0, 3)
        arrived = rng.randrange(0, 60)
        own = f"m{rng.choice((number, number, number, rng.randrange(1, 60)))}@x" if rng.random() < 0.9 else ""
        by_reply = len(ids) == 1 and rng.random() < 0.5
        put(box, ("Re: " if is_reply else "") + subject if subject or is_reply else "", "a@x",
            f"{day} Feb 1994 {hour:02}:00:00 +0000", f"<{own}>" if own else "",
            "" if by_reply else " ".join(f"<{i}>" for i in ids), reply_to=f"<{ids[0]}>" if by_reply else "",
            internal=f"10-Feb-1994 00:{arrived:02}:00 +0000")
        messages.append({"number": number, "id": own, "refs": ids, "date": (day, hour), "arrived": arrived, "subject": subject,
                         "is_reply": is_reply})
    box.ok("NOOP")
    assert parse_threads(threads(box, "REFERENCES")) == model_references(messages)
    assert parse_threads(threads(box, "REFS")) == model_references(messages, by_subject=False)
    assert parse_threads(threads(box, "ORDEREDSUBJECT")) == model_orderedsubject(messages)
    some = [m for m in messages if m["number"] % 3]
    keys = ",".join(str(m["number"]) for m in some)
    assert parse_threads(threads(box, "REFERENCES", keys)) == model_references(some)


def test_shapes_of_the_answer(box):
    put(box, "a", msgid="<1@x>", date="1 Feb 1994 00:00:00 +0000")
    put(box, "re: a", msgid="<2@x>", refs="<1@x>", date="2 Feb 1994 00:00:00 +0000")
    put(box, "re: a", msgid="<3@x>", refs="<1@x> <2@x>", date="3 Feb 1994 00:00:00 +0000")
    put(box, "re: a", msgid="<4@x>", refs="<1@x> <2@x>", date="4 Feb 1994 00:00:00 +0000")
    put(box, "b", msgid="<5@x>", refs="<gone@x>", date="5 Feb 1994 00:00:00 +0000")
    put(box, "c", msgid="<6@x>", refs="<gone@x>", date="6 Feb 1994 00:00:00 +0000")
    put(box, "d", msgid="<7@x>", refs="<7@x>", date="7 Feb 1994 00:00:00 +0000")
    box.ok("NOOP")
    assert threads(box, "REFERENCES") == "(1 2 (3)(4))((5)(6))(7)"
    assert threads(box, "REFS") == "(1 2 (3)(4))((5)(6))(7)"
    assert threads(box, "ORDEREDSUBJECT") == "(1 (2)(3)(4))(5)(6)(7)"
    assert threads(box, "REFERENCES", "2:3") == "(2 3)"
    assert box.ok("UID THREAD REFERENCES US-ASCII SUBJECT nothing").untagged == [b"* THREAD"]
    for wrong in ("", "REFERENCES", "REFERENCES UTF-8", "NONSENSE UTF-8 ALL"):
        box.bad(f"THREAD {wrong}")


def test_references_that_lead_nowhere_or_round(box):
    put(box, "x", msgid="<a@x>", refs="<b@x>", date="1 Feb 1994 00:00:00 +0000")
    put(box, "x2", msgid="<b@x>", refs="<a@x>", date="2 Feb 1994 00:00:00 +0000")
    put(box, "x3", msgid="<c@x>", refs="<c@x> <a@x> <c@x> <b@x>", date="3 Feb 1994 00:00:00 +0000")
    put(box, "x4", msgid="garbage", refs="garbage <", date="nonsense", internal="4-Feb-1994 00:00:00 +0000")
    box.ok("NOOP")
    for algorithm in ("REFERENCES", "REFS", "ORDEREDSUBJECT"):
        found = threads(box, algorithm)
        assert sorted(int(n) for n in found.replace("(", " ").replace(")", " ").split()) == [1, 2, 3, 4]


def test_capabilities_take_their_words_along(imapd):
    with imap.Imapd(accounts=("alice",), conf="imap-capabilities-off SORT=DISPLAY ESORT THREAD=REFS\n") as server:
        server.start()
        with imap.Client(server, "alice") as c:
            c.ok("SELECT INBOX")
            for line in ("SORT (DISPLAYFROM) UTF-8 ALL", "SORT RETURN (ALL) (DATE) UTF-8 ALL", "THREAD REFS UTF-8 ALL"):
                c.bad(line)
            c.ok("THREAD REFERENCES UTF-8 ALL")
            c.ok("SORT (DATE) UTF-8 ALL")
