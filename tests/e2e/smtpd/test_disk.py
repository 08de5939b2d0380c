"""A full disk: nothing is acknowledged, nothing half is seen, and it mends itself."""

import os
import pathlib
import subprocess
import tempfile

import pytest

import postroom
from dialogue import SENDER, data, envelope, send, submit, talk


@pytest.fixture
def small_disk():
    """A tmpfs of 12 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    with tempfile.TemporaryDirectory(prefix="postroom-disk-") as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=0755", "tmpfs", folder], check=False).returncode:
            pytest.skip("mounting is not allowed here")
        try:
            yield pathlib.Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=False)


@pytest.fixture
def server(small_disk):
    conf = "message-size 64K\nqueue-free-space 1M\nworkers 1"
    with postroom.Instance(accounts=("alice", "bob"), conf=conf, root=small_disk / "root") as instance:
        instance.log_path = pathlib.Path(tempfile.gettempdir()) / f"postroom-disk-{os.getpid()}.log"
        instance.start(only="smtpd")
        yield instance
    instance.log_path.unlink(missing_ok=True)


def fill(folder, leave=0):
    """Use up the space but for `leave` octets."""
    with open(folder / "filler", "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
        if leave:
            file.truncate(max(0, file.tell() - leave))


def test_new_mail_is_asked_for_again_while_the_disk_is_low_and_taken_when_it_is_not(server, small_disk):
    assert send(server, "alice") == 250
    fill(small_disk, leave=100_000)

    def mail():
        with talk(server) as line:
            line.send(f"MAIL FROM:<{SENDER}>\r\n")
            return line.reply()
    postroom.wait_for("mail is put off", lambda: mail() == (452, ["4.3.1 Not enough disk space, try again later"]))
    (small_disk / "filler").unlink()
    postroom.wait_for("mail is taken", lambda: mail()[0] == 250)
    assert send(server, "alice") == 250
    assert len(server.files("alice")) == 2


def test_a_disk_that_fills_up_inside_a_message_is_a_temporary_answer_and_nothing_arrives(server, small_disk):
    assert send(server, ["alice", "bob"]) == 250
    message = b"From: alice@example.test\r\nSubject: x\r\n\r\n" + b"y" * 50000 + b"\r\n"
    with submit(server, "alice") as line:
        for rounds in range(3):
            envelope(line, server, ["bob", "friend@elsewhere.example"], sender="alice@example.test")
            fill(small_disk)
            code = data(line, message)
            assert code in (450, 451, 452), rounds
            (small_disk / "filler").unlink()
            postroom.wait_for("the disk is seen to have space", lambda: line.smtp("MAIL FROM:<alice@example.test>") == 250)
            assert line.smtp("RSET") == 250
        envelope(line, server, ["bob", "friend@elsewhere.example"], sender="alice@example.test")
        assert data(line, message) == 250
    assert len(server.files("bob")) == 2
    assert len(list((server.root / "queue" / "msg").iterdir())) == 1
    postroom.wait_for("nothing half is left", lambda: not list((server.root / "queue" / "tmp").iterdir()))
    assert not list((server.maildir("bob") / "tmp").iterdir())
