"""Programs of this host send mail by `sendmail`: as the user they run as, with honest exit codes."""

import os
import pwd
import re
import shutil
import socket
import subprocess

import pytest

import postroom
from dialogue import talk
from postroom import wait_for

CRON = """From: root (Cron Daemon)
To: {user}
Subject: Cron <{user}@host> test -e /nowhere
X-Cron-Env: <LOGNAME={user}>

/nowhere is missing
.
and this line stands behind a dot
"""
ME = pwd.getpwuid(os.getuid()).pw_name
ORDINARY = pwd.getpwnam("nobody") if os.getuid() == 0 else None


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """The command by its names, where every user may run it."""
    folder = tmp_path_factory.mktemp("tools")
    os.chmod(folder, 0o755)
    for name in ("sendmail", "mailq", "newaliases"):
        os.symlink(postroom.BIN / "postroom", folder / name)
    return folder


@pytest.fixture
def sendmail(server, tools):
    def run(*args, message="", tool="sendmail", socket_path=None, **more):
        environment = dict(os.environ, POSTROOM_SUBMIT=str(socket_path or server.root / "run" / "submit.sock"))
        done = subprocess.run([tools / tool, *args], input=message, text=True, capture_output=True, timeout=120, check=False,
                              env=environment, **more)
        assert "Sanitizer" not in done.stderr, done.stderr
        return done
    return run


def newest(server, user):
    return server.files(user)[-1].read_bytes().decode()


def count(server, user):
    return len(server.files(user))


def test_what_cron_reports_reaches_somebody_though_nobody_is_called_so(server, sendmail):
    """Debian's cron: -i -FCronDaemon -B8BITMIME -oem USER, and a From that is not the user's."""
    made = {name: set(server.files(name)) for name in ("alice", "bob")}
    done = sendmail("-i", "-FCronDaemon", "-B8BITMIME", "-oem", ME, message=CRON.format(user=ME))
    assert (done.returncode, done.stderr) == (0, "")
    # The oldest account answers for postmaster.
    text, = [path.read_bytes().decode() for name in made for path in set(server.files(name)) - made[name]]
    assert text.startswith(f"Return-Path: <{ME}@example.test>\r\n") and f"From: Cron Daemon <{ME}@example.test>\r\n" in text
    assert f"To: <{ME}@example.test>\r\n" in text and "Message-ID: <" in text and "\r\nDate: " in text
    assert text.endswith("\r\n\r\n/nowhere is missing\r\n.\r\nand this line stands behind a dot\r\n")


def test_what_comes_back_of_a_programs_mail_reaches_somebody_too(server):
    with talk(server, "lmtp") as line:
        assert line.smtp("MAIL FROM:<>") == 250         # as the relay gives a notice
        assert line.smtp(f"RCPT TO:<{ME}@example.test>") == 250 and line.smtp("RCPT TO:<uid4711@example.test>") == 250
        assert line.smtp("RCPT TO:<nobody-of-this-name@example.test>") == 550
    with talk(server, "lmtp") as line:
        assert line.smtp("MAIL FROM:<friend@elsewhere.example>") == 250
        assert line.smtp("RCPT TO:<uid4711@example.test>") == 550


def test_an_alias_for_root_comes_before_the_postmaster(server, sendmail, user):
    aliases = server.root / "aliases"
    aliases.write_text(f"root: {server.address(user)}\n")
    server.postroom("alias", "import", str(aliases), "--domain", server.domain)
    try:
        assert sendmail("root", message="Subject: to root\n\nHello.\n").returncode == 0
        assert "Subject: to root" in newest(server, user)
    finally:
        server.postroom("alias", "remove", "root@example.test")


def test_recipients_of_the_header_with_bcc_that_nobody_sees(server, sendmail, user, other):
    message = f"To: \"A, B\" <{server.address(user)}>\nBcc: {server.address(other)},\n bob\nSubject: three\n\nHello.\n"
    before = count(server, "bob")
    done = sendmail("-t", "-oi", message=message)
    assert (done.returncode, done.stderr) == (0, "")
    for name in (user, other):
        text = newest(server, name)
        assert "Subject: three" in text and "bcc" not in text.lower() and server.address(other) not in text.split("\r\n", 1)[1]
        assert f'To: "A, B" <{server.address(user)}>' in text and re.search(rf"From: .*<{ME}@example.test>\r\n", text)
    assert count(server, "bob") == before + 1


def test_a_single_dot_ends_a_message_unless_it_is_ignored(server, sendmail, user):
    assert sendmail(server.address(user), message="Subject: dot\n\none\n.\ntwo\n").returncode == 0
    assert newest(server, user).endswith("\r\n\r\none\r\n")
    assert sendmail("-oi", server.address(user), message="Subject: dot\n\none\n..\n.\ntwo\n").returncode == 0
    assert newest(server, user).endswith("\r\n\r\none\r\n..\r\n.\r\ntwo\r\n")


def test_text_without_a_header_is_a_body(server, sendmail, user):
    assert sendmail(server.address(user), message="just a line\n").returncode == 0
    assert newest(server, user).endswith("\r\n\r\njust a line\r\n")


@pytest.mark.parametrize("args, message, code, words", [
    (["nobody-of-this-name"], "Subject: x\n\n", 67, "No such user here"),
    (["alice@example.test", "nobody-of-this-name"], "Subject: x\n\n", 67, "No such user here"),
    (["-t"], "Subject: x\n\n", 64, "no recipient in the header"),
    ([], "Subject: x\n\n", 64, "no recipient given"),
    (["-bd"], "", 64, "not understood"),
    (["-Z", "alice"], "", 64, "not understood"),
    (["alice"], "", 66, "no message"),
    (["-f", "a b\r\nRCPT TO:<c>", "alice"], "x\n", 64, "control character"),
])
def test_exit_codes_are_those_of_sysexits_and_nobody_gets_half(server, sendmail, args, message, code, words):
    before = count(server, "alice")
    done = sendmail(*args, message=message)
    assert done.returncode == code and words in done.stderr, done
    assert count(server, "alice") == before


def test_without_a_server_it_is_to_be_tried_again(sendmail, tmp_path):
    done = sendmail("alice", message="x\n", socket_path=tmp_path / "none")
    assert done.returncode == 75 and "does not run" in done.stderr
    done = sendmail("-bs", socket_path=tmp_path / "none")
    assert done.returncode == 75 and done.stdout.startswith("421 4.3.2 ")
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute"))
        done = sendmail("alice", message="x\n", socket_path=tmp_path / "mute")
    assert done.returncode == 75


def test_smtp_on_standard_input(server, sendmail, user):
    done = sendmail("-bs", message=f"EHLO x\r\nMAIL FROM:<{ME}>\r\nRCPT TO:<{user}>\r\nDATA\r\n"
                                   f"From: <{ME}@example.test>\r\nSubject: by smtp\r\n\r\nHello.\r\n.\r\nQUIT\r\n")
    codes = re.findall(r"(?m)^(\d{3}) ", done.stdout)
    assert done.returncode == 0 and codes == ["220", "250", "250", "250", "354", "250", "221"], done.stdout
    assert f"XUSER {ME}@example.test" in done.stdout and "AUTH" not in done.stdout
    assert "Subject: by smtp" in newest(server, user)


def test_mailq_lists_and_newaliases_does_nothing(sendmail):
    assert sendmail(tool="newaliases").returncode == 0 and sendmail("-bi").returncode == 0
    listed = sendmail(tool="mailq")
    assert listed.returncode == 0 and "queue is empty" in listed.stdout, listed


@pytest.mark.skipif(not ORDINARY, reason="only root can be somebody else")
class TestOrdinaryUser:
    """Somebody who is neither root nor the server's user."""

    @pytest.fixture(scope="class")
    def shared(self, tmp_path_factory):
        """A server whose socket every user reaches."""
        folder = tmp_path_factory.mktemp("run")
        for path in (folder, *folder.parents[:3]):
            if str(path).startswith("/tmp/"):
                os.chmod(path, 0o755)
        path = folder / "public" / "submit.sock"
        conf = (f"local-senders nobody=shop@example.test nobody=@shop.example\nlistener l {{\n\tkind local\n\tpath {path}\n}}\n"
                "listener m {\n\tkind mx\n\taddress 127.0.0.1\n}\n")
        with postroom.Instance(accounts=("alice", "bob"), conf=conf) as server:
            server.start(wait=False, only="smtpd")
            server.wait_ready(("mx",))
            yield server, path
        assert not folder.joinpath("public", "x").exists()

    @pytest.fixture
    def as_nobody(self, shared, tmp_path_factory):
        server, path = shared
        folder = tmp_path_factory.mktemp("bin")
        for each in (folder, *folder.parents[:3]):
            if str(each).startswith("/tmp/"):
                os.chmod(each, 0o755)
        shutil.copy(postroom.BIN / "postroom", folder / "sendmail")

        def run(*args, message="Subject: x\n\nHello.\n"):
            return subprocess.run([folder / "sendmail", *args], input=message, text=True, capture_output=True, timeout=120,
                                  check=False, user=ORDINARY.pw_uid, group=ORDINARY.pw_gid, extra_groups=[],
                                  env=dict(os.environ, POSTROOM_SUBMIT=str(path)), cwd="/")
        return run

    def test_writes_as_himself_and_as_the_configuration_allows(self, shared, as_nobody):
        server, path = shared
        assert os.stat(path).st_mode & 0o777 == 0o666
        for args in ([], ["-f", "nobody+tag@example.test"], ["-f", "nobody@mail.example.test"], ["-f", "shop@example.test"],
                     ["-f", "x@shop.example"], ["-f", ""]):
            done = as_nobody(*args, "bob")
            assert (done.returncode, done.stderr) == (0, ""), args
        assert "Return-Path: <>\r\n" in newest(server, "bob")

    def test_writes_as_nobody_else(self, shared, as_nobody):
        server, _ = shared
        before = count(server, "bob")
        for args, message in ((["-f", "alice@example.test"], "x\n"), (["-f", "root"], "x\n"),
                              ([], "From: alice@example.test\n\nx\n"), ([], "From: x@elsewhere.example\n\nx\n")):
            done = as_nobody(*args, "bob", message=message)
            assert done.returncode == 77 and "local-senders" in done.stderr or "may not send as" in done.stderr, done
        assert count(server, "bob") == before
        log = wait_for("it is logged", lambda: re.search(r"(?m)^.*smtp\.reject.*$", server.log()))
        assert log

    def test_his_cron_reports_are_his_own(self, shared, as_nobody):
        server, _ = shared
        assert as_nobody("-i", "nobody", message=CRON.format(user="nobody")).returncode == 0
        texts = [path.read_bytes() for name in ("alice", "bob") for path in server.files(name)]    # who was made first
        assert [text for text in texts if b"From: Cron Daemon <nobody@example.test>\r\n" in text]

    def test_mail_leaves_as_his(self, shared, as_nobody):
        server, _ = shared
        assert as_nobody("friend@elsewhere.example").returncode == 0
        row = wait_for("it is queued", lambda: server.json("queue", "list"))[0]
        shown = server.json("queue", "show", row["id"])
        assert row["from"] == shown["user"] == "nobody@example.test" and shown["peer"] == f"uid:{ORDINARY.pw_uid}"
