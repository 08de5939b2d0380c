"""Accounts of other IMAP servers come over: from Postroom itself through a proxy that counts what is asked, and from servers that
lie, cut off and flood. Debian's Dovecot is the other server in tests/interop/test_import_imap.py."""

import contextlib
import imaplib
import re
import subprocess

import pytest

import postroom
from support.counting_proxy import Proxy
from support.loopback_listener import LoopbackListener


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The server that people come from."""
    with postroom.Instance(domain="old.test", accounts=("alice",)) as instance:
        instance.start(only="imapd")
        fill(instance)
        (instance.root / "password").write_text(instance.password("alice") + "\n")
        yield instance


def fill(old):
    with old.imap("alice") as imap:
        for name in ("Lists/postfix", "Entw&APw-rfe", "Sent"):
            imap.create(f'"{name}"')
        imap.subscribe('"Lists/postfix"')
        for n in range(70):
            flags = [r"", r"\Seen", r"\Seen \Answered", r"\Flagged $Forwarded", r"\Draft label"][n % 5]
            date = imaplib.Time2Internaldate(1_500_000_000 + 86_400 * n)
            imap.append("INBOX", f"({flags})", date, postroom.message(f"mail {n}", body="line\r\n" * n))
        imap.append('"Sent"', r"(\Seen)", None, postroom.message("sent", body="x" * 300_000 + "\r\n"))
        imap.append('"Entw&APw-rfe"', "", None, postroom.message("draft"))
        imap.select("INBOX")
        imap.store("3,50", "+FLAGS", r"\Deleted")
        imap.expunge()


def command(old, account, *more, port=None, tls="none"):
    return ["import", "imap", "--host", "127.0.0.1", "--port", str(port or old.port("imap")), "--tls", tls, "--user",
            "alice@old.test", "--password-file", old.root / "password", "--account", account, *more]


def state_of(imap, mailbox):
    """Subject -> flags, date."""
    imap.select(mailbox, readonly=True)
    found = {}
    _, rows = imap.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    for row in rows:
        if isinstance(row, tuple):
            flags = set(re.search(rb"FLAGS \(([^)]*)\)", row[0]).group(1).split()) - {rb"\Recent"}
            found.setdefault(row[1].strip(), []).append((frozenset(flags), re.search(rb'INTERNALDATE "([^"]*)"', row[0]).group(1)))
    return found


def rows_of(server, words):
    return {row["from"]: row for row in server.json(*words)}


def test_an_account_comes_over_and_catches_up(server, old):
    server.add_account("comer")
    address = server.address("comer")
    with Proxy(old.port("imap")) as proxy:
        planned = rows_of(server, command(old, address, "--dry-run", port=proxy.port))
        assert proxy.bodies() == 0 and planned["INBOX"]["imported"] == 68
        rows = rows_of(server, command(old, address, port=proxy.port))
        assert rows == planned
        assert rows["Entw&APw-rfe"]["mailbox"] == "Entwürfe" and proxy.bodies() == 4
        with server.imap("comer") as new, old.imap("alice") as far:
            for name in ("INBOX", '"Sent"', '"Entw&APw-rfe"'):
                assert state_of(new, name) == state_of(far, name)
            assert b"Lists/postfix" in b"".join(new.lsub()[1])
        # Again: nothing at all.
        proxy.asked = b""
        rows = rows_of(server, command(old, address, port=proxy.port))
        assert sum(row["imported"] for row in rows.values()) == 0 and proxy.bodies() == 0
        assert rows["INBOX"]["already_there"] == 68 and rows["INBOX"]["flags_changed"] == 0
        # Flags, a new message and an expunged one; what changed here alone stays.
        with old.imap("alice") as far:
            far.select("INBOX")
            far.store("1", "+FLAGS", r"(\Flagged $new)")
            far.store("2", "+FLAGS", r"(\Deleted)")
            far.expunge()
            far.append("INBOX", "", None, postroom.message("late"))
        with server.imap("comer") as new:
            new.select("INBOX")
            new.store("5", "FLAGS", r"(\Seen here)")
        told = server.postroom(*command(old, address, port=proxy.port))
    assert proxy.bodies() == 1, proxy.asked
    assert f"{address}: 1 of 70 messages imported, 69 were there already, 1 of these have changed flags" in told
    assert f"{address}: 1 messages are gone at 127.0.0.1 since an earlier run; here they stay" in told
    with server.imap("comer") as new:
        new.select("INBOX")
        assert rb"\Flagged" in new.fetch("1", "(FLAGS)")[1][0] and b"$new" in new.fetch("1", "(FLAGS)")[1][0]
        assert b"here" in new.fetch("5", "(FLAGS)")[1][0]
        assert new.search(None, "ALL")[1][0].split()[-1] == b"69"
    assert " 0 differences" in server.postroom("index", "check", address)


def test_a_run_that_is_cut_anywhere_is_finished_by_the_next(server, old):
    """The connection ends after so many octets; then the process is killed; then the book is lost. Nothing comes twice."""
    server.add_account("cut")
    address = server.address("cut")
    for cut in (1, 40, 700, 3000, 9000, 20000, 40000):
        with Proxy(old.port("imap"), cut) as proxy:
            done = server.run(*command(old, address, port=proxy.port))
            assert done.returncode in (1, 4) and "127.0.0.1" in done.stderr, (cut, done)
    with Proxy(old.port("imap"), 60000) as proxy:
        process = subprocess.Popen([postroom.BIN / "postroom", "--root", server.root, *command(old, address, port=proxy.port)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        postroom.wait_for("bodies are asked for", lambda: proxy.bodies() or process.poll() is not None)
        process.kill()
        process.wait()
    server.postroom(*command(old, address))
    with server.imap("cut") as new, old.imap("alice") as far:
        assert state_of(new, "INBOX") == state_of(far, "INBOX")
    for book in (server.maildir("cut").parent).glob("import-*"):
        book.write_text(book.read_text()[:len(book.read_text()) // 2])
    rows = rows_of(server, command(old, address))
    assert sum(row["imported"] for row in rows.values()) == 0, rows
    with server.imap("cut") as new, old.imap("alice") as far:
        assert state_of(new, "INBOX") == state_of(far, "INBOX")


def test_tls_is_believed_or_pinned(server, old):
    server.add_account("pinned")
    words = command(old, server.address("pinned"), port=old.port("imaps"), tls="implicit")
    done = server.run(*words)
    assert done.returncode == 4 and "its certificate is not trusted" in done.stderr
    fingerprint = re.search(r"--fingerprint ([0-9a-f]{64})", done.stderr).group(1)
    done = server.run(*words, "--fingerprint", "00" * 32)
    assert done.returncode == 4 and "another certificate" in done.stderr and fingerprint in done.stderr
    colons = ":".join(re.findall("..", fingerprint)).upper()
    assert "70 of 70" in server.postroom(*words, "--fingerprint", colons, "--exclude", "Nothing")
    assert "0 of 70" in server.postroom(*command(old, server.address("pinned"), "--fingerprint", fingerprint, tls="starttls"))


def test_many_accounts_come_by_a_table(server, old, tmp_path):
    for name in ("first", "second"):
        server.add_account(name)
    table = tmp_path / "accounts.csv"
    table.write_text("host,user,password,password_file,account\n"
                     f"127.0.0.1,alice@old.test,,{old.root}/password,{server.address('first')}\n"
                     f'127.0.0.1,alice@old.test,"wrong ""password""",,{server.address("second")}\n')
    words = ["import", "imap", "--accounts", table, "--port", str(old.port("imap")), "--tls", "none", "--exclude", "Sent"]
    done = server.run(*words)
    assert done.returncode == 1
    assert f"{server.address('second')}: 127.0.0.1 does not let alice@old.test in" in done.stderr
    assert "wrong" not in done.stderr + done.stdout
    assert f"{server.address('first')}: 69 of 69 messages imported" in done.stdout
    table.write_text("host,user,account\n127.0.0.1,x,y@z\n")
    done = server.run(*words)
    assert done.returncode == 1 and "accounts.csv:2: no password" in done.stderr
    table.write_text("host,nonsense\n")
    assert "accounts.csv:1: the first line names the columns" in server.run(*words).stderr


def test_a_password_file_that_is_not_there_is_told(server, tmp_path):
    words = ["import", "imap", "--host", "127.0.0.1", "--tls", "none", "--user", "x@old.test", "--account", server.address("alice")]
    done = server.run(*words, "--password-file", tmp_path / "none")
    assert done.returncode == 3
    assert done.stderr == f"postroom: {tmp_path}/none: not found\n  try: name a file whose first line is the password there\n"
    table = tmp_path / "accounts.csv"
    table.write_text(f"user,password_file\nx@old.test,{tmp_path}/none\n")
    done = server.run(*words, "--accounts", table)
    assert done.returncode == 1 and f"{tmp_path}/none: not found" in done.stderr and "accounts.csv:2: the password of this" in done.stderr


class Script(LoopbackListener):
    """A server that answers from a table, whatever is asked; `say` maps a command's word to octets before the tagged OK."""

    def __init__(self, say, greeting=b"* OK [CAPABILITY IMAP4rev1] hello\r\n"):
        self.say, self.greeting = say, greeting
        super().__init__()

    def serve(self, sock):
        with sock, contextlib.suppress(OSError):
            self.talk(sock)

    def talk(self, sock):
        sock.sendall(self.greeting)
        lines = sock.makefile("rb")
        while line := lines.readline():
            tag, *words = line.split()
            word = b" ".join(words[:2]) if words[0] == b"UID" and b"BODY" not in line else words[0]
            answer = self.say.get(word.decode(), b"")
            for piece in answer if isinstance(answer, list) else [answer]:
                sock.sendall(piece)
            sock.sendall(tag + b" OK done\r\n")


LIST = b'* LIST (\\HasNoChildren) "/" INBOX\r\n'
EXAMINE = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] fine\r\n"
ONE = b"* 1 FETCH (UID 5 FLAGS (\\Seen))\r\n"
MAIL = b"Subject: x\r\n\r\ntext\r\n"


def fetched(body, uid=5, extra=b""):
    return b"* 1 FETCH (UID %d FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" BODY[] {%d}\r\n%s%s)\r\n" % (
        uid, len(body), body, extra)


def hostile(**changed):
    say = {"LIST": LIST, "EXAMINE": EXAMINE, "UID FETCH": ONE, "UID": fetched(MAIL)}
    return {**say, **changed}


def script_command(server, script, account="scripted"):
    return ["import", "imap", "--host", "127.0.0.1", "--port", str(script.port), "--tls", "none", "--user", "u",
            "--password-file", "-", "--account", server.address(account)]


def run_script(server, say, account="scripted", **more):
    with Script(say, **more) as script:
        return server.run(*script_command(server, script, account), "--json", input="secret\n")


@pytest.fixture(scope="module")
def scripted(server):
    server.add_account("scripted")
    return server


@pytest.mark.parametrize("say, told", [
    ({"LIST": b"* LIST (\\X) \"/\" \r\n\0\xff garbage ))\r\n"}, "does not speak IMAP as we know it"),
    ({"UID": [b"* 1 FETCH (UID 5 BODY[] {99999999999999999999}\r\n"]}, "a literal without a size"),
    ({"UID": [b"* 1 FETCH " + b"(" * 100]}, "more in one response than we take"),
    ({"UID FETCH": [b"* 1 FETCH (FLAGS (" + b"k" * 300_000]}, "more in one response than we take|longer than we take"),
    ({"UID": fetched(MAIL, extra=b" BODY[] {1}\r\nx")}, "two messages for one"),
    ({"LIST": b"p99 OK surprise\r\n"}, "answers what was not asked"),
    ({"EXAMINE": b"+ give me more\r\n"}, "asks for more"),
])
def test_servers_that_break_the_rules_are_left(scripted, say, told):
    done = run_script(scripted, hostile(**say))
    assert done.returncode == 4, done
    assert re.search(told, done.stderr), done.stderr


@pytest.mark.parametrize("say, note", [
    ({"UID": fetched(b"")}, "1 are empty"),
    ({"UID": fetched(MAIL, uid=6)}, "1 did not come"),
    ({"UID": b"* 1 FETCH (UID 5 BODY[] NIL)\r\n"}, "1 did not come"),
    ({"EXAMINE": b"* 1 EXISTS\r\n"}, "no UIDVALIDITY"),
])
def test_what_cannot_be_taken_is_told(scripted, say, note):
    done = run_script(scripted, hostile(**say))
    assert done.returncode == 1 and note in done.stdout, done
    with scripted.imap("scripted") as imap:
        assert imap.select("INBOX")[1] == [b"0"]


def test_names_and_messages_of_a_stranger_are_tamed(server):
    server.add_account("tamed")
    names = (LIST + b'* LIST () "/" {5}\r\na\r\nbc\r\n* LIST (\\Noselect) "/" "x"\r\n* LIST (\\Flagged) "/" Starred\r\n'
             b'* LIST (\\Sent) "/" "Gesendet"\r\n* LIST () "/" "Shared/bob"\r\n* LIST () "/" "../../etc"\r\n')
    done = run_script(server, hostile(LIST=names, UID=fetched(b"Subject: a\0b\r\n\r\nx\r\n")), "tamed")
    assert done.returncode == 1, done
    told = {row["from"]: row for row in postroom.json.loads(done.stdout)}
    assert told["Gesendet"]["mailbox"] == "Sent" and told["Shared/bob"]["mailbox"] == "Shared_/bob"
    assert told["../../etc"]["imported"] == 1 and told["INBOX"]["notes"] == "NUL octets were taken out of 1"
    assert "shows messages of other mailboxes" in told["Starred"]["notes"] and "x" not in told
    with server.imap("tamed") as imap:
        imap.select("INBOX")
        assert imap.fetch("1", "(BODY.PEEK[])")[1][0][1] == b"Subject: ab\r\n\r\nx\r\n"


def test_nobody_is_let_in_by_a_server_that_says_no(scripted):
    done = run_script(scripted, {}, greeting=b"* BYE go away\r\n")
    assert done.returncode == 4 and "go away" in done.stderr
    done = run_script(scripted, {}, greeting=b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED STARTTLS] hello\r\n")
    assert done.returncode == 4 and "try --tls starttls" in done.stderr
    with Script({}, greeting=b"* OK [CAPABILITY IMAP4rev1] hello\r\n") as script:
        words = script_command(scripted, script)
        words[words.index("none")] = "starttls"
        done = scripted.run(*words, input="secret\n")
        assert done.returncode == 4 and "offers no STARTTLS" in done.stderr
    done = scripted.run("import", "imap", "--host", "127.0.0.1")
    assert done.returncode == 2 and "--user" in done.stderr
