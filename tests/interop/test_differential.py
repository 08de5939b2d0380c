"""The same commands to Postroom and to Debian's Dovecot, on copies of one Maildir: whatever they answer differently is either in
the table ALLOWED, with the reason, or a failure.

A seed makes mailboxes, messages and commands; it is printed with a failure and can be given again:

    make check-differential                                                      seeds 1 to 20; `make check` runs 1 and 2
    DIFFERENTIAL_SEED=123 DIFFERENTIAL_COMMANDS=500 make check-differential      this one

Dovecot's imap program is run without its daemon, already logged in (PREAUTH), on a pipe.
"""

import base64
import collections
import os
import pathlib
import pwd
import random
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e" / "imapd"))
import imap  # noqa: E402

COMMANDS = int(os.environ.get("DIFFERENTIAL_COMMANDS", "2000"))
SEEDS = [int(os.environ["DIFFERENTIAL_SEED"])] if "DIFFERENTIAL_SEED" in os.environ else \
    list(range(1, int(os.environ.get("DIFFERENTIAL_SEEDS", "2")) + 1))
PROGRAMS = [pathlib.Path("/usr/lib/dovecot/imap"), pathlib.Path("/usr/libexec/dovecot/imap")]
SPECIAL = {"Archive", "Drafts", "Junk", "Sent", "Trash"}

CONF = """
protocols = imap
base_dir = {root}/run
log_path = {root}/log
ssl = no
mail_location = maildir:{root}/mail
mail_home = {root}/home
first_valid_uid = 1
first_valid_gid = 1
namespace inbox {{
  inbox = yes
  separator = /
}}
"""


# ---- the two servers ----

class Pipe:
    def __init__(self, process):
        self.process = process

    def sendall(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def recv(self, size):
        return os.read(self.process.stdout.fileno(), size)

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


class Dovecot(imap.Client):
    def __init__(self, program, root):
        user = {"user": OWNER.pw_uid, "group": OWNER.pw_gid, "extra_groups": []} if OWNER else {}
        self.sock = Pipe(subprocess.Popen([program, "-c", root / "dovecot.conf"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=open(root / "errors", "ab"), bufsize=0, cwd=root,
                                          env={"USER": "alice", "HOME": str(root / "home")}, **user))
        self.buffer = b""
        self.tag = 0
        self.greeting = self.response()
        assert self.greeting.startswith(b"* PREAUTH"), self.greeting


def owner():
    """Dovecot serves nobody as root: then mail is the one of the system's `mail` user."""
    if os.geteuid():
        return None
    return pwd.getpwnam("mail")


OWNER = owner()


# ---- what is in the mailboxes ----

WORDS = "alpha beta gamma delta epsilon Grüße Zürich naïve 日本 report invoice meeting lunch".split()
NAMES = [("Alice Example", "alice@example.test"), ("Bob", "bob@example.test"), (None, "carol@other.test"),
         ("Dörte Müller", "doerte@example.test"), ('Q "uote" \\ back', "quote@example.test")]


def words(r, n):
    return " ".join(r.choice(WORDS) for _ in range(n))


def encoded(text):
    return text if text.isascii() else "=?utf-8?B?" + base64.b64encode(text.encode()).decode() + "?="


def address(r):
    name, box = r.choice(NAMES)
    if name is None:
        return box
    if not name.isascii():
        return f"{encoded(name)} <{box}>"
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + f'" <{box}>'


def leaf(r, kinds=6):
    """(header lines, body) of a part"""
    text = words(r, r.randint(1, 60)) + "\r\n"
    kind = r.randrange(kinds)
    if kind == 0:
        return ["Content-Type: text/plain; charset=us-ascii"], text.encode("ascii", "replace")
    if kind == 1:
        body = base64.encodebytes(text.encode()).replace(b"\n", b"\r\n")
        return ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64"], body
    if kind == 2:
        return ["Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: 8bit"], f"<p>{text}</p>\r\n".encode()
    if kind == 3:
        return ['Content-Type: application/octet-stream; name="data.bin"', "Content-Transfer-Encoding: base64",
                'Content-Disposition: attachment; filename="data.bin"'], base64.encodebytes(r.randbytes(300)).replace(b"\n", b"\r\n")
    if kind == 4:
        return ["Content-Type: image/png", "Content-ID: <img@x>", "Content-Description: a picture", "Content-Language: de, en",
                "Content-Location: http://example.test/x.png"], b"not really\r\n"
    return [], text.encode("ascii", "replace")


def entity(r, depth=0):
    if depth < 3 and r.random() < (0.5 if depth == 0 else 0.25):
        boundary = f"b{depth}{r.randrange(10 ** 6)}"
        subtype = r.choice(["mixed", "alternative", "related"])
        body = b"preamble\r\n" if r.random() < 0.3 else b""
        for _ in range(r.randint(1, 3)):
            headers, part = entity(r, depth + 1)
            body += b"--" + boundary.encode() + b"\r\n" + "".join(h + "\r\n" for h in headers).encode() + b"\r\n" + part + b"\r\n"
        return [f'Content-Type: multipart/{subtype}; boundary="{boundary}"'], body + b"--" + boundary.encode() + b"--\r\n"
    if depth and r.random() < 0.15:
        return ["Content-Type: message/rfc822"], mail(r, depth + 1)
    return leaf(r)


def mail(r, depth=0):
    headers = []
    if r.random() < 0.95:
        headers.append("From: " + address(r))
    for name in ("To", "Cc", "Reply-To", "Sender", "Bcc"):
        if r.random() < (0.9 if name == "To" else 0.2):
            headers.append(f"{name}: " + ", ".join(address(r) for _ in range(1 if name == "Sender" else r.randint(1, 3))))
    if r.random() < 0.1:
        headers.append("To: friends: alice@example.test, Bob <bob@example.test>;")
    if r.random() < 0.95:
        headers.append("Subject: " + r.choice(["", "", "Re: ", "Fwd: ", "[list] "]) + encoded("enclosed" if depth else words(r, r.randint(1, 5))))
    # Always one: mail without is as old as its arrival to us (RFC 5256 §2.2), and from 1970 to Dovecot's SENTBEFORE.
    headers.append(f"Date: {r.choice(['Mon, ', ''])}{r.randint(1, 28)} {r.choice(['Jan', 'Jul', 'Dec'])} "
                   f"{r.randint(2001, 2030)} {r.randint(0, 23):02}:00:00 {r.choice(['+0000', '-0700', '+0530'])}")
    number = r.randrange(40)
    headers.append(f"Message-ID: <m{number}.{r.randrange(10 ** 9)}@example.test>")
    if r.random() < 0.3:
        headers.append(f"In-Reply-To: <m{r.randrange(40)}.1@example.test>")
    # A message in a message is plain text, and its subject is never searched for: Dovecot's SEARCH BODY passes over headers of
    # some.
    more, body = leaf(r, 2) if depth else entity(r)
    headers += (["MIME-Version: 1.0"] if more else []) + more
    return "".join(h + "\r\n" for h in headers).encode() + b"\r\n" + body


FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "$Forwarded", "$label1", "NonJunk"]


def some_flags(r, most=3):
    return " ".join(r.sample(FLAGS, r.randint(0, most)))


def fill(client, r):
    for name in ("Work", "Work/Sub", "Lists"):
        client.ok(f"CREATE {name}")
        client.ok(f"SUBSCRIBE {name}")
    client.ok("SUBSCRIBE INBOX")
    for _ in range(60):
        date = f'"{r.randint(10, 28)}-{r.choice(["Jan", "Jul"])}-{r.randint(1999, 2029)} 12:00:00 +0000"'
        client.append(r.choice(["INBOX", "INBOX", "INBOX", "Work", "Lists"]), mail(r), f"({some_flags(r)}) {date}")


# ---- commands ----

ITEMS = ["FLAGS", "UID", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "BODY.PEEK[]", "BODY[]",
         "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]", "BODY.PEEK[1]", "BODY.PEEK[1.MIME]", "BODY.PEEK[2]", "BODY.PEEK[1.1]",
         "BODY.PEEK[2.HEADER]", "BODY.PEEK[1.TEXT]", "BODY.PEEK[]<0.100>", "BODY.PEEK[TEXT]<10.20>", "BODY.PEEK[]<99999.5>",
         "BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)]", "BODY.PEEK[HEADER.FIELDS.NOT (TO DATE)]", "RFC822.HEADER", "RFC822.TEXT",
         "RFC822", "BINARY.SIZE[1] BINARY.PEEK[1]", "BINARY.SIZE[2] BINARY.PEEK[2]"]


def a_set(r, uid):
    """Numbers mostly as far as the mailbox goes. Beyond it, never with `*`: we take 50:* in a mailbox of 40, which clients send
    to learn what is new, and Dovecot does not; both would then hold different mail."""
    top = 75 if uid else r.exists

    def number():
        return str(r.randint(1, max(top, 1)))

    parts = []
    for _ in range(r.choice([1, 1, 1, 2, 3])):
        parts.append(number() if r.random() < 0.5 else f"{number()}:{number()}")
    if r.random() < 0.1 and (uid or top):
        parts.append(r.choice(["*", f"{number()}:*"]))
    elif r.random() < 0.03:
        parts.append(str(top + 5))
    return ",".join(parts)


def a_key(r, depth=0):
    day = f"{r.randint(1, 28)}-{r.choice(['Jan', 'Jul', 'Dec'])}-{r.randint(1999, 2030)}"
    plain = [lambda: r.choice(["ALL", "SEEN", "UNSEEN", "ANSWERED", "UNANSWERED", "FLAGGED", "UNFLAGGED", "DELETED", "UNDELETED",
                               "DRAFT", "UNDRAFT"]),
             lambda: r.choice(["BEFORE", "ON", "SINCE"]) + " " + day,
             lambda: r.choice(["SENTBEFORE", "SENTON", "SENTSINCE"]) + " " + day,
             lambda: r.choice(["LARGER", "SMALLER"]) + f" {r.randint(100, 3000)}",
             lambda: r.choice(["FROM", "TO", "CC", "BCC", "SUBJECT"]) + f' "{r.choice(["alice", "example.test", "Re", "invoice", "bob", "x"])}"',
             lambda: r.choice(["BODY", "TEXT"]) + f' "{r.choice(["alpha", "meeting", "report invoice", "nothing-has-this"])}"',
             lambda: f'HEADER {r.choice(["Message-ID", "In-Reply-To", "X-None", "Subject"])} "{r.choice(["m1", "example", ""])}"',
             lambda: r.choice(["KEYWORD", "UNKEYWORD"]) + " " + r.choice(["$Forwarded", "$label1", "nobody"]),
             lambda: "UID " + a_set(r, True), lambda: a_set(r, False)]
    if depth < 3 and r.random() < 0.25:
        return r.choice([lambda: "NOT " + a_key(r, depth + 1), lambda: f"OR {a_key(r, depth + 1)} {a_key(r, depth + 1)}",
                         # Not two sizes: Dovecot takes NOT (LARGER 1 LARGER 2) for NOT LARGER 1.
                         lambda: f"({a_key(r, depth + 1)} {plain[0]()})"])()
    return r.choice(plain)()


def a_command(r):
    """(text, literal or None)"""
    uid = "UID " if r.random() < 0.5 else ""
    box = r.choice(["INBOX", "INBOX", "Work", "Work/Sub", "Lists", "New", "New/Deep", "nowhere"])
    kind = r.random()
    if kind < 0.30:
        items = r.sample(ITEMS, r.randint(1, 4))
        if "BODY.PEEK[]" in items and "BODY[]" in items:
            items.remove("BODY[]")
        return f"{uid}FETCH {a_set(r, uid)} ({' '.join(items)})", None
    if kind < 0.33:
        return f"{uid}FETCH {a_set(r, uid)} {r.choice(['ALL', 'FAST', 'FULL', 'FLAGS'])}", None
    if kind < 0.48:
        silent = r.choice(["", "", ".SILENT"])
        return f"{uid}STORE {a_set(r, uid)} {r.choice(['', '+', '-'])}FLAGS{silent} ({some_flags(r)})", None
    if kind < 0.64:
        keys = " ".join(a_key(r) for _ in range(r.randint(1, 3)))
        returns = r.choice(["", "", "", "RETURN (MIN MAX COUNT) ", "RETURN (ALL) ", "RETURN () "])
        return f"{uid}SEARCH {returns}{keys}", None
    if kind < 0.68:
        # Dovecot moves mail out of a mailbox that was opened by EXAMINE.
        return f"{uid}{r.choice(['COPY', 'COPY', 'COPY' if r.is_readonly else 'MOVE'])} {a_set(r, uid)} {box}", None
    if kind < 0.71:
        return r.choice(["EXPUNGE", f"UID EXPUNGE {a_set(r, True)}"]), None
    if kind < 0.77:
        return f"{r.choice(['SELECT', 'SELECT', 'SELECT', 'EXAMINE'])} {box}", None
    if kind < 0.81:
        return f"STATUS {box} ({' '.join(r.sample(['MESSAGES', 'UNSEEN', 'UIDNEXT', 'UIDVALIDITY', 'SIZE'], r.randint(1, 4)))})", None
    if kind < 0.85:
        text = mail(r)
        options = f"({some_flags(r)}) " if r.random() < 0.5 else ""
        return f'APPEND {box} {options}"{r.randint(10, 28)}-Jul-2020 10:00:00 +0200" ', text
    if kind < 0.89:
        return r.choice(['LIST "" *', 'LIST "" %', 'LIST "" "Work/%"', 'LSUB "" *', 'LIST (SUBSCRIBED) "" *', 'LIST "Work/" *',
                         'LIST "" ("IN*" "W%")', 'LIST "" ""', 'LIST "" * RETURN (CHILDREN)']), None
    if kind < 0.93:
        # Not of the selected one: Dovecot ends the session.
        # Superior names that are missing: we make them (RFC 3501 §6.3.3 SHOULD), Dovecot does not.
        box = r.choice([b for b in ("Work", "Work/Sub", "Lists", "New", "New/Deep") if not r.selected.startswith(b) and
                        ("/" not in b or b.split("/")[0] in r.boxes)] or ["New"])
        # A name of which only children are left is taken to us, and free to Dovecot; it is not renamed over another one.
        target = r.choice([b for b in ("New", "Renamed", "Other", "Spare", "More") if not any(x.startswith(b + "/") for x in r.boxes)])
        source = r.choice([b for b in ("New", "Renamed", "Work", "Lists", "nowhere") if not r.selected.startswith(b) and
                           (b in r.boxes or not any(x.startswith(b + "/") for x in r.boxes))])
        return r.choice([f"CREATE {box}", f"DELETE {box}", f"RENAME {source} {target}",
                         "SUBSCRIBE INBOX", f"UNSUBSCRIBE {box}"]), None
    if kind < 0.97:
        return r.choice([f"SORT ({r.choice(['ARRIVAL', 'REVERSE ARRIVAL', 'DATE', 'SIZE', 'REVERSE SIZE'])}) UTF-8 {a_key(r)}",
                         "UID SORT (REVERSE DATE) US-ASCII ALL"]), None
    # Not SELECT without a name: to us it is no SELECT at all, with Dovecot the mailbox is left.
    return r.choice(["NOOP", "CHECK", "CLOSE", "UNSELECT", "FETCH", "FETCH 1", "BOGUS", "STORE 1", "SEARCH", "UID NOOP",
                     "FETCH 0 FLAGS", "SEARCH BOGUS", "STATUS INBOX ()", "COPY 1"]), None


# ---- answers, without what a server may choose ----

def structure(value):
    """BODY and BODYSTRUCTURE: types, encodings and parameter names have no case."""
    if isinstance(value, list):
        return [structure(v) for v in value]
    return bytes(value).lower() if isinstance(value, bytes) else value


def read_fetch(reply):
    out = {}
    for seq, items in reply.fetched().items():
        items.pop("MODSEQ", None)
        if "FLAGS" in items:
            items["FLAGS"] = sorted({f.lower() for f in items["FLAGS"]} - {b"\\recent"})
        for name in ("BODY", "BODYSTRUCTURE"):
            if name in items:
                items[name] = structure(items[name])
        out[seq] = {name: bytes(v) if isinstance(v, bytes) else v for name, v in items.items()}
    return out


def expunged(reply):
    """Positions before the command, whatever order they were told in."""
    left, gone = list(range(1, 400)), set()
    for n in reply.numbers("EXPUNGE"):
        gone.add(left.pop(n - 1))
    return sorted(gone)


def read_list(reply, word):
    out = set()
    for text in reply.all(word):
        match = re.fullmatch(rb'\(([^)]*)\) (?:"(.)"|NIL) (.*)', text)
        name = match.group(3).strip(b'"').decode()
        if name.split("/")[0] in SPECIAL:
            continue
        attributes = set(a for a in match.group(1).lower().split() if a in (b"\\noselect", b"\\nonexistent", b"\\subscribed"))
        if b"\\nonexistent" in attributes:       # RFC 5258 §3: implies \\Noselect
            attributes.discard(b"\\noselect")
        out.add((name, tuple(sorted(attributes))))
    return sorted(out)


def code(reply):
    text = (reply.code() or "").split()
    if not text:
        return None
    if text[0] in ("COPYUID", "APPENDUID"):
        return [text[0]] + text[2:]
    return text[0] if text[0] in ("TRYCREATE", "READ-ONLY", "READ-WRITE") else None


def read(replies):
    first = replies[0]
    whole = imap.Reply(first.status, first.text, [u for reply in replies for u in reply.untagged])
    out = {"status": first.status, "code": code(first)}
    out["fetch"] = read_fetch(whole)
    out["expunge"] = expunged(whole)
    out["exists"] = whole.count("EXISTS")
    for word in ("SEARCH", "SORT"):
        found = whole.all(word)
        out[word] = [sorted(t.split(), key=int) if word == "SEARCH" else t.split() for t in found]
    out["ESEARCH"] = [sorted(re.findall(rb"(MIN|MAX|COUNT|ALL) (\S+)", t)) for t in whole.all("ESEARCH")]
    out["STATUS"] = [sorted(re.findall(rb"([A-Z]+) (\d+)", t.rsplit(b"(", 1)[1])) for t in whole.all("STATUS")]
    for word in ("LIST", "LSUB"):
        out[word] = read_list(whole, word)
    for u in whole.untagged:
        match = re.match(rb"\* OK \[(UIDNEXT|UNSEEN) (\d+)\]", u)
        if match:
            out[match.group(1).decode()] = int(match.group(2))
        if match is None and b"COPYUID" in u:
            out["moved"] = u.split(b"]")[0].split()[4:]
    return out


# ---- what may differ ----

passed = []     # seeds
ALLOWED = []    # (function, reason): it makes both answers the same where they differ for this reason
used = collections.Counter()


def allowed(reason):
    def add(function):
        ALLOWED.append((function, reason))
        return function
    return add


def pairs(ours, theirs):
    """(items of ours, items of theirs) of each message that both tell of."""
    for seq in set(ours["fetch"]) & set(theirs["fetch"]):
        yield ours["fetch"][seq], theirs["fetch"][seq]


@allowed("a part that is not there: NIL by RFC 3501 §7.4.2, Dovecot sends an empty string")
def no_such_part(command, ours, theirs):
    for mine, his in pairs(ours, theirs):
        for name, value in mine.items():
            if "[" in name and value is None and his.get(name) == b"":
                his[name] = None


@allowed("BINARY of a part with parts: we send the octets as they are, since only leaves have an encoding (RFC 2045 §6.4); "
         "Dovecot decodes the leaves inside")
def binary_of_a_container(command, ours, theirs):
    for mine, his in pairs(ours, theirs):
        for number in "12":
            value = mine.get(f"BINARY[{number}]")
            if value and re.search(rb"\r\n--b\d|\r\nMessage-ID: ", value):
                for name in (f"BINARY[{number}]", f"BINARY.SIZE[{number}]"):
                    his[name] = mine[name]


@allowed("a change in a mailbox opened by EXAMINE: we say NO, Dovecot says OK and changes nothing")
def read_only(command, ours, theirs):
    if re.search("STORE|EXPUNGE|MOVE", command) and (ours["status"], theirs["status"]) == ("NO", "OK") and not theirs["expunge"]:
        theirs["status"] = "NO"


@allowed("1.1 of a part that has no parts: there is none (RFC 3501 §6.4.5); Dovecot takes it for the part itself")
def part_of_a_leaf(command, ours, theirs):
    for mine, his in pairs(ours, theirs):
        for name in ("BODY[1.1]", "BODY[1.TEXT]", "BODY[2.HEADER]"):
            if name in mine and mine[name] is None and his.get(name) is not None:
                his[name] = None


@allowed("MOVE into a mailbox that is not there: we say [TRYCREATE] as for COPY (RFC 6851 §3.3), Dovecot not always")
def move_nowhere(command, ours, theirs):
    if "MOVE" in command and ours["status"] == theirs["status"] == "NO":
        theirs["code"] = ours["code"]


@allowed("bad syntax where nothing may be changed: either may be told first")
def bad_and_forbidden(command, ours, theirs):
    if {ours["status"], theirs["status"]} == {"NO", "BAD"} and re.search("STORE|EXPUNGE|MOVE", command):
        ours["status"] = theirs["status"]


@allowed("COPY of no message into a mailbox that is not there: we say that it is not, Dovecot that there is nothing to copy")
def nothing_to_nowhere(command, ours, theirs):
    if re.search("COPY|MOVE", command) and ours["code"] == "TRYCREATE" and theirs["status"] == "OK" and theirs["code"] is None:
        theirs["status"], theirs["code"] = ours["status"], ours["code"]


@allowed("a name of which only children are left: we say \\NonExistent; Dovecot lists it like any other, and its STATUS fails")
def only_children(command, ours, theirs):
    his = {name: attributes for name, attributes in theirs["LIST"]}
    for n, (name, attributes) in enumerate(ours["LIST"]):
        if b"\\nonexistent" in attributes and name in his and b"\\nonexistent" not in his[name]:
            ours["LIST"][n] = (name, his[name])


@allowed("UIDVALIDITY of a mailbox that was made since: each server chooses its own")
def own_uidvalidity(command, ours, theirs):
    if command.startswith("STATUS") and " INBOX " not in command:
        for answer in (ours, theirs):
            answer["STATUS"] = [[item for item in told if item[0] != b"UIDVALIDITY"] for told in answer["STATUS"]]


@allowed("a subscription without its mailbox: we tell \\Noselect and \\NonExistent in LSUB, too")
def lost_subscription(command, ours, theirs):
    if command.startswith("LSUB"):
        for answer in (ours, theirs):
            answer["LSUB"] = [[name] for name, _ in answer["LSUB"]]


@allowed("STORE that changes nothing: we tell the flags (RFC 3501 §6.4.6), Dovecot tells only what changed")
def unchanged_flags(command, ours, theirs):
    if "STORE" in command and ".SILENT" not in command:
        for seq in set(ours["fetch"]) - set(theirs["fetch"]):
            if set(ours["fetch"][seq]) <= {"FLAGS", "UID"}:
                del ours["fetch"][seq]


def differences(ours, theirs):
    return {key: (ours.get(key), theirs.get(key)) for key in sorted(set(ours) | set(theirs)) if ours.get(key) != theirs.get(key)}


def narrowed(diff):
    """Only the messages that differ, for people to read."""
    if "fetch" in diff:
        mine, his = diff["fetch"]
        diff["fetch"] = {seq: differences(mine.get(seq, {"": "not told"}), his.get(seq, {"": "not told"}))
                         for seq in sorted(set(mine) | set(his)) if mine.get(seq) != his.get(seq)}
    return diff


def unexplained(command, ours, theirs):
    """The differences that no row of ALLOWED explains."""
    for function, reason in ALLOWED:
        before = differences(ours, theirs)
        if not before:
            break
        before = repr(before)
        function(command, ours, theirs)
        if repr(differences(ours, theirs)) != before:
            used[reason] += 1
    return narrowed(differences(ours, theirs))


# ---- the test ----

@pytest.fixture
def pair(tmp_path):
    program = next((p for p in PROGRAMS if p.exists()), None)
    if program is None:
        pytest.skip("Dovecot is not installed (package dovecot-imapd): ./quickstart peers")
    root = pathlib.Path(tempfile.mkdtemp(prefix="postroom-differential-"))
    root.chmod(0o755)
    for name in ("mail", "home", "run"):
        (root / name).mkdir()
    (root / "dovecot.conf").write_text(CONF.format(root=root))
    (root / "errors").touch()
    if OWNER:
        for path in (root, *root.iterdir()):
            os.chown(path, OWNER.pw_uid, OWNER.pw_gid)
    with imap.Imapd(accounts=("alice",), conf="imap-auto-subscribe no\n") as server:
        yield program, root, server
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def result():
    yield
    print(f"\n{len(passed)} of {len(SEEDS)} seeds passed, {COMMANDS} commands each. Differences that are allowed:")
    for _, reason in ALLOWED:
        print(f"{used[reason]:6} {reason}")


def both(clients, text, literal):
    """The answers of both, with what they tell at the next opportunity."""
    answers = []
    for client in clients:
        replies = [client.cmd(text, literal) if literal is not None else client.cmd(text)]
        replies.append(client.ok("NOOP"))
        answers.append(read(replies))
        answers[-1]["text"] = replies[0].text
    return answers


def follow(r, words):
    """Which mailboxes there are."""
    if words[0] == "CREATE":
        r.boxes.add(words[1])
    elif words[0] == "DELETE":
        r.boxes.discard(words[1])
    elif words[0] == "RENAME":
        r.boxes = {words[2] + b[len(words[1]):] if b == words[1] or b.startswith(words[1] + "/") else b for b in r.boxes}


@pytest.mark.parametrize("seed", SEEDS)
def test_differential(pair, seed):
    program, root, server = pair
    r = random.Random(seed)
    theirs = Dovecot(program, root)
    fill(theirs, r)
    theirs.ok("LOGOUT")
    theirs.sock.close()
    server.postroom("import", "maildir", root / "mail", "--account", server.address("alice"))
    server.start()
    theirs = Dovecot(program, root)
    with imap.Client(server, "alice") as ours:
        r.is_readonly = False
        r.exists, r.selected, r.boxes = 0, "", {"INBOX", "Work", "Work/Sub", "Lists"}
        history = []
        for n in range(COMMANDS):
            text, literal = a_command(r) if n else ("SELECT INBOX", None)
            told = both((ours, theirs), text, literal)
            words = [answer.pop("text") for answer in told]
            if text.startswith(("SELECT", "EXAMINE", "CLOSE", "UNSELECT")):
                r.exists = 0
                r.is_readonly = text.startswith("EXAMINE")
                r.selected = text.split()[1] if told[1]["status"] == "OK" and " " in text else ""
            if told[1]["status"] == "OK":
                follow(r, text.split())
            r.exists = (r.exists if told[1]["exists"] is None else told[1]["exists"]) - len(told[1]["expunge"])
            history = history[-4:] + [f"{text}: {words[0]!r}, {words[1]!r}"]
            diff = unexplained(text, *told)
            assert not diff, f"seed {seed}, command {n} in {r.selected}: {text} {literal!r}: ours, theirs: {diff}; before that: {history}"
    theirs.ok("LOGOUT")
    theirs.sock.close()
    passed.append(seed)
    print(f"seed {seed}: {COMMANDS} commands, no difference that is not allowed")
