"""Mail moves here from a real Dovecot and a real Courier (Debian's packages): the same mbsync and fetchmail, with the state files
that they have, find everything as it was, and fetch nothing again.

Dovecot runs on loopback ports with a folder of its own. Debian's courier-imap cannot be installed beside another IMAP server,
so `./quickstart peers` unpacks it into the build folder; its imapd and courierpop3d are the real ones, and are started
for each connection as its login programs would do it, after a login that this file plays.
"""

import contextlib
import getpass
import hashlib
import imaplib
import os
import pathlib
import poplib
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import pytest

import postroom

PASSWORD = "secret-of-the-old-server"
COURIER = [postroom.BUILD / "peers" / "courier", pathlib.Path("/")]
# Name in modified UTF-7, levels separated by '/': as IMAP shows them with that separator.
MAILBOXES = ["INBOX", "Sent", "Lists/postfix", "Entw&APw-rfe", "Entw&APw-rfe/2026 &- sp&AOQ-ter"]
FLAGS = [r"", r"\Seen", r"\Seen \Answered", r"\Flagged $Forwarded", r"\Draft", r"\Seen $label1 NonJunk", r"\Deleted"]


@pytest.fixture
def place():
    """A folder that other users' processes may enter: as root, mail processes of Dovecot are `nobody`."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="postroom-import-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def letter(n, name):
    lines = "".join(f"line {i} of message {n}\r\n" for i in range(n % 9))
    return (f"From: <s{n}@elsewhere.example>\r\nTo: <dora@example.test>\r\nSubject: {n} in {name}\r\n"
            f"Message-ID: <{n}.{abs(hash(name)) % 10**9}@elsewhere.example>\r\n"
            f"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\n{lines}").encode()


def free_ports(count):
    return [postroom.free_port() for _ in range(count)]


STATIC_AUTH = """
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={owner} gid={group} home={place}/mail/%n
}}
"""


class Dovecot:
    kind = "dovecot"
    mailboxes = [*MAILBOXES, "&2D3cjA-"]
    separator_of = {"": ".", "fs": "/"}

    def __init__(self, place, layout="", conf="", auth=None):
        self.program = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin")
        if not self.program:
            pytest.skip("dovecot is not installed (packages dovecot-imapd, dovecot-pop3d): ./quickstart peers")
        self.place = place
        self.imap_port, self.pop3_port = free_ports(2)
        self.separator = self.separator_of[layout]
        owner = "nobody" if os.geteuid() == 0 else getpass.getuser()
        group = subprocess.run(["id", "-gn", owner], capture_output=True, text=True, check=True).stdout.strip()
        (place / "mail").mkdir()
        if os.geteuid() == 0:
            shutil.chown(place / "mail", owner, group)
        self.maildir = place / "mail" / "dora"
        location = f"maildir:{place}/mail/%n" + (f":LAYOUT={layout}" if layout else "")
        auth = (auth or STATIC_AUTH).format(place=place, owner=owner, group=group, password=PASSWORD)
        (place / "dovecot.conf").write_text(f"""
base_dir = {place}/run
state_dir = {place}/state
log_path = {place}/log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = {location}
default_internal_user = {owner}
default_login_user = {owner}
default_internal_group = {group}
first_valid_uid = 1
first_valid_gid = 1
{auth}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {self.imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {self.pop3_port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
{conf}
""")
        self.process = subprocess.Popen([self.program, "-F", "-c", place / "dovecot.conf"], stdin=subprocess.DEVNULL)
        postroom.wait_for("dovecot listens", self.listens)

    def listens(self):
        assert self.process.poll() is None, (self.place / "log").read_text()
        with contextlib.suppress(OSError):
            for port in (self.imap_port, self.pop3_port):
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return True
        return False

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)

    def imap(self):
        imap = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=60)
        imap.login("dora@example.test", PASSWORD)
        return imap

    def pop3(self):
        pop = poplib.POP3("127.0.0.1", self.pop3_port, timeout=60)
        pop.user("dora@example.test")
        pop.pass_(PASSWORD)
        return pop

    def mbsync_account(self):
        return f"""IMAPAccount far
Host 127.0.0.1
Port {self.imap_port}
User dora@example.test
Pass {PASSWORD}
SSLType None
AuthMechs LOGIN

IMAPStore far
Account far
"""

    def fetchmail_poll(self):
        return f"""poll mailserver via localhost protocol pop3 uidl port {self.pop3_port}
 auth password user "dora@example.test" password "{PASSWORD}" sslproto ''
"""


class PipeIMAP(imaplib.IMAP4_stream):
    """A server on a pipe, already logged in."""


class PipePOP3(poplib.POP3):
    """Likewise for POP3."""

    def __init__(self, command, env):
        ours, theirs = socket.socketpair()
        self.child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=env,
                                      cwd=env["HOME"])
        theirs.close()
        ours.settimeout(60)
        self.sock, self.file = ours, ours.makefile("rb")
        self._debugging, self._tls_established, self.timeout = 0, False, 60
        self.welcome = self._getresp()


class Courier:
    kind = "courier"
    mailboxes = [*MAILBOXES, "&bUuL1Q-"]     # it knows no characters beyond U+FFFF
    separator = "."

    def __init__(self, place):
        found = [root for root in COURIER if (root / "usr/lib/courier/courier/courierpop3d").exists()]
        if not found:
            pytest.skip("courier is not there (packages courier-imap, courier-pop): ./quickstart peers")
        root = found[0]
        self.place, self.maildir = place, place / "Maildir"
        libraries = sorted({str(path.parent) for path in root.glob("usr/lib/**/lib*.so.*")}) if root != COURIER[1] else []
        self.env = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": ":".join(libraries), "HOME": str(place),
                    "AUTHENTICATED": "dora@example.test", "MAILDIR": str(self.maildir), "TCPREMOTEIP": "127.0.0.1",
                    "TCPREMOTEPORT": "1", "IMAP_KEYWORDS": "1", "IMAP_USELOCKS": "0", "IMAP_UMASK": "022",
                    "IMAP_CAPABILITY": "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE", "IMAP_EMPTYTRASH": "",
                    "IMAP_MAILBOX_SANITY_CHECK": "0"}
        self.imapd, self.pop3d = root / "usr/bin/imapd", root / "usr/lib/courier/courier/courierpop3d"
        subprocess.run([root / "usr/bin/maildirmake.courier", self.maildir], check=True, env=self.env)
        # What imaplogin and courierpop3login do once somebody has logged in.
        self.imap_script, self.pop3_script = place / "imap", place / "pop3"
        exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in self.env.items())
        self.imap_script.write_text(f"#!/bin/sh\n{exports}cd {place}\nexec {self.imapd} Maildir 2>/dev/null\n")
        self.pop3_script.write_text(f"""#!{sys.executable}
import os
os.chdir({str(place)!r})
def line():
    text = b""
    while not text.endswith(b"\\n"):
        octet = os.read(0, 1)
        if not octet:
            raise SystemExit
        text += octet
    return text.upper()
os.write(1, b"+OK ready\\r\\n")
while True:
    command = line()
    if command.startswith(b"PASS"):
        os.execve({str(self.pop3d)!r}, ["courierpop3d", "Maildir"], {{**{self.env!r}, "PROTOCOL": "POP3"}})
    os.write(1, b"+OK\\r\\n" if command.startswith(b"USER") else b"-ERR\\r\\n")
""")
        for script in (self.imap_script, self.pop3_script):
            script.chmod(0o755)

    def stop(self):
        pass

    def imap(self):
        return PipeIMAP(str(self.imap_script))

    def pop3(self):
        return PipePOP3([self.pop3d, "Maildir"], {**self.env, "PROTOCOL": "POP3"})

    def mbsync_account(self):
        return f"""IMAPStore far
Tunnel "{self.imap_script}"
Path INBOX.
"""

    def fetchmail_poll(self):
        return f"""poll mailserver via localhost protocol pop3 uidl port 1 plugin "{self.pop3_script}"
 auth password user "dora@example.test" password "{PASSWORD}" sslproto ''
"""


def server_name(old, name):
    """A mailbox's name as this server has it."""
    name = name.replace("/", old.separator)
    return f'"INBOX.{name}"' if old.kind == "courier" and name != "INBOX" else f'"{name}"'


def fill(old):
    """Mailboxes with gaps in their UIDs, flags, keywords, dates of their own, and mail that nobody has seen yet."""
    imap = old.imap()
    for number, name in enumerate(old.mailboxes):
        quoted = server_name(old, name)
        if name != "INBOX":
            assert imap.create(quoted)[0] == "OK", quoted
            imap.subscribe(quoted)
        for n in range(14 if name == "INBOX" else 8):
            date = imaplib.Time2Internaldate(1_500_000_000 + 86_400 * n + number)
            assert imap.append(quoted, f"({FLAGS[n % len(FLAGS)]})", date, letter(n, name))[0] == "OK"
        imap.select(quoted)
        imap.store("3,5", "+FLAGS", r"(\Deleted)")
        imap.store("1", "+FLAGS", "(late)")
        imap.uid("STORE", "7", "-FLAGS", r"(\Deleted)")
        imap.expunge()
        imap.uid("STORE", "7", "+FLAGS", r"(\Deleted)")
    imap.logout()
    # The last UIDs are expunged: UIDNEXT must not go back.
    for n in range(2):
        path = old.maildir / "new" / f"{1_700_000_000 + n}.M{n}P77.delivered"
        path.write_bytes(letter(100 + n, "INBOX").replace(b"\r\n", b"\n"))
        if os.geteuid() == 0 and old.kind == "dovecot":
            shutil.copystat(old.maildir, path)
            os.chown(path, os.stat(old.maildir).st_uid, os.stat(old.maildir).st_gid)
            path.chmod(0o600)


def decode_fetch(line):
    text = line.decode()
    found = {"UID": re.search(r"UID (\d+)", text).group(1), "SIZE": re.search(r"RFC822.SIZE (\d+)", text).group(1)}
    found["DATE"] = imaplib.Internaldate2tuple(line)
    found["DATE"] = time.mktime(found["DATE"])
    flags = set(re.search(r"FLAGS \(([^)]*)\)", text).group(1).split())
    found["FLAGS"] = frozenset(flag for flag in flags if flag != r"\Recent")
    return found


def state_of(imap, quoted):
    """All that a client remembers of a mailbox."""
    typ, data = imap.select(quoted, readonly=True)
    assert typ == "OK", (quoted, data)
    _, [validity] = imap.response("UIDVALIDITY")
    _, [status] = imap.status(quoted, "(UIDNEXT)")
    state = {"UIDVALIDITY": validity, "UIDNEXT": re.search(rb"UIDNEXT (\d+)", status).group(1) if status else None}
    if int(data[0]):
        _, rows = imap.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE)")
        for row in rows:
            message = decode_fetch(row)
            state[message["UID"]] = (message["SIZE"], message["DATE"], message["FLAGS"])
    return state


def maildrop_of(pop):
    """UIDL -> digest of the message."""
    ids = [line.decode().split() for line in pop.uidl()[1]]
    drop = {uidl: hashlib.sha256(b"\n".join(pop.retr(int(n))[1])).hexdigest() for n, uidl in ids}
    assert len(drop) == len(ids), "an id twice"
    pop.quit()
    return drop


def mbsync(program, place, account):
    conf = place / "mbsyncrc"
    conf.write_text(account + f"""
MaildirStore near
Path {place}/near/
Inbox {place}/near/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Sync All
Expunge None
SyncState *
""")
    (place / "near").mkdir(exist_ok=True)
    return program("mbsync", "-D", "-c", conf, "-a", env={**os.environ, "HOME": str(place)}).stdout


def fetchmail(program, place, poll):
    taken, script, conf = place / "taken", place / "take", place / "fetchmailrc"
    script.write_text(f"#!/bin/sh\ncat >> {taken}\n")
    script.chmod(0o755)
    conf.write_text(f'{poll} mda "{script}" keep\n')
    conf.chmod(0o600)
    done = program("fetchmail", "-f", conf, "--pidfile", place / "pid", "--nosyslog", "-v", "-i", place / "ids", check=False,
                   env={**os.environ, "HOME": str(place), "FETCHMAILHOME": str(place)})
    assert done.returncode in (0, 1), done.stdout + done.stderr     # 1: nothing new
    return taken.read_text().count("Message-ID:") if taken.exists() else 0


def near_files(place):
    return sorted(str(path.relative_to(place)) for path in (place / "near").rglob("*") if path.is_file()
                  and path.parent.name in ("cur", "new"))


def bodies_fetched(log):
    """What mbsync asked the server for, beside UIDs, flags and sizes."""
    asked = [line for line in log.splitlines() if re.search(r">>> \d+ UID FETCH", line)]
    assert asked, "mbsync asked nothing: " + log[-2000:]
    return [line for line in asked if re.search(r"BODY|HEADER|RFC822(?!\.SIZE)|ENVELOPE", line)]


class Move:
    """What clients know before a move, and the proof that they find it again behind it."""

    def __init__(self, old, server, program, place):
        self.server, self.program, self.place, self.kind = server, program, place, old.kind
        self.mailboxes = old.mailboxes
        fill(old)
        imap = old.imap()
        imap.select("INBOX")            # Courier and Dovecot take mail out of new/ and give it UIDs
        imap.logout()
        self.drop = maildrop_of(old.pop3())     # first, since it may set \\Seen
        self.log = mbsync(program, place, old.mbsync_account())
        assert len(bodies_fetched(self.log)) > 10
        self.fetched = fetchmail(program, place, old.fetchmail_poll())
        assert self.fetched == 13        # 14, 3 of them expunged, 2 delivered
        imap = old.imap()
        self.state = {name: state_of(imap, server_name(old, name)) for name in self.mailboxes}
        imap.logout()
        self.files = near_files(place)
        old.stop()
        server.add_account("dora", PASSWORD)

    def login(self):
        return self.server.imap("dora")

    def poll(self):
        return f"""poll mailserver via localhost protocol pop3 uidl port {self.server.port('pop3s')}
 auth password user "dora@example.test" password "{PASSWORD}" ssl sslcertck sslcertfile {self.server.root}/tls/cert.pem
"""

    def account(self):
        return f"""IMAPAccount far
Host localhost
Port {self.server.port('imaps')}
User dora@example.test
Pass {PASSWORD}
SSLType IMAPS
CertificateFile {self.server.root}/tls/cert.pem
AuthMechs LOGIN

IMAPStore far
Account far
"""

    def prove(self):
        imap = self.login()
        for name in self.mailboxes:
            assert state_of(imap, f'"{name}"') == self.state[name], name
        listed = b" ".join(imap.lsub()[1]).decode()
        imap.logout()
        for name in self.mailboxes[1:]:
            assert f'"{name}"' in listed or f" {name}" in listed, (name, listed)
        log = mbsync(self.program, self.place, self.account())
        assert bodies_fetched(log) == []
        assert "UIDVALIDITY of" not in log
        assert near_files(self.place) == self.files
        assert fetchmail(self.program, self.place, self.poll()) == self.fetched
        drop = maildrop_of(self.server.pop3("dora"))
        assert drop == self.drop
        check = self.server.postroom("index", "check", "dora@example.test")
        assert " 0 differences" in check
        print(f"\n{self.kind}: {sum(len(s) - 2 for s in self.state.values())} messages in {len(self.state)} mailboxes: "
              f"{len(bodies_fetched(log))} bodies and headers fetched again, "
              f"{len(set(self.drop) ^ set(drop))} UIDL lines changed")

    def importing(self, path, *options):
        rows = self.server.json("import", "maildir", path, "--account", "dora@example.test", *options)
        rows = {row["mailbox"]: row for row in rows}
        assert all(row["left_out"] == 0 for row in rows.values()), rows
        return rows


def tree(path):
    return sorted((str(entry.relative_to(path)), entry.stat().st_size, entry.stat().st_mtime_ns)
                  for entry in path.rglob("*"))


@pytest.fixture
def fresh():
    with postroom.Instance() as instance:
        instance.start()
        yield instance


@pytest.mark.parametrize("layout", ["", "fs"])
def test_nothing_is_fetched_again_after_a_move_from_dovecot(fresh, program, place, layout):
    old = Dovecot(place, layout)
    try:
        move = Move(old, fresh, program, place)
    finally:
        old.stop()
    before = tree(old.maildir)
    rows = move.importing(old.maildir)
    assert tree(old.maildir) == before, "the source was changed"
    assert rows["INBOX"]["from"] == "dovecot"
    assert all(row["uids_kept"] == row["messages"] == row["imported"] for row in rows.values())
    move.prove()
    # Again: nothing twice.
    rows = move.importing(old.maildir)
    assert all(row["imported"] == 0 and row["already_there"] == row["messages"] for row in rows.values())
    move.prove()


def test_dovecot_mail_is_adopted_in_place(fresh, program, place):
    old = Dovecot(place)
    try:
        move = Move(old, fresh, program, place)
    finally:
        old.stop()
    own = fresh.maildir("dora")
    own.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    assert not own.exists()
    shutil.move(old.maildir, own)
    inodes = {path.stat().st_ino for path in own.rglob("cur/*")}
    move.importing(own, "--adopt")
    assert {path.stat().st_ino for path in own.rglob("cur/*")} == inodes
    move.prove()


def test_ids_of_another_dovecot_format_are_kept(fresh, program, place):
    old = Dovecot(place, conf="pop3_uidl_format = %v.%u\n")
    try:
        move = Move(old, fresh, program, place)
    finally:
        old.stop()
    assert any("." in uidl for uidl in move.drop)
    rows = move.importing(old.maildir, "--uidl-format", "%v.%u")
    assert rows["INBOX"]["pop3_ids"] == rows["INBOX"]["messages"]
    move.prove()
    # They are facts, not guesses: they outlive the index.
    fresh.postroom("index", "rebuild", "dora@example.test")
    assert maildrop_of(fresh.pop3("dora")) == move.drop


@pytest.mark.parametrize("adopt", [False, True])
def test_nothing_is_fetched_again_after_a_move_from_courier(fresh, program, place, adopt):
    old = Courier(place)
    move = Move(old, fresh, program, place)
    assert all(uidl.startswith("UID") for uidl in move.drop)
    rows = move.importing(old.maildir, *(["--adopt"] if adopt else []))
    assert rows["INBOX"]["from"] == "courier"
    assert rows["INBOX"]["pop3_ids"] == rows["INBOX"]["messages"]
    move.prove()
    move.importing(old.maildir, *(["--adopt"] if adopt else []))
    move.prove()
