"""A disk that can only be read, or is full: what is there is served, nothing is lost, everybody is told, and it ends by itself."""

import contextlib
import os
import pathlib
import subprocess
import tempfile

import pytest

import postroom
from postroom import wait_for


@pytest.fixture
def disk():
    """A tmpfs, and a log beside it."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    with tempfile.TemporaryDirectory(prefix="postroom-read-only-") as folder:
        disk = pathlib.Path(folder) / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0755", "tmpfs", disk], check=False).returncode:
            pytest.skip("mounting is not allowed here")
        try:
            yield disk
        finally:
            subprocess.run(["umount", "-l", disk], check=False)


@pytest.fixture
def server(disk):
    """Two messages are there, and a mailbox that has seen a session."""
    with postroom.Instance(accounts=("alice", "bob"), conf="message-size 64K\nqueue-free-space 1M\nworkers 1", root=disk / "root") as instance:
        instance.log_path = disk.parent / "log"
        instance.start()
        for subject in ("one", "two"):
            instance.send(postroom.message(subject=subject))
        with instance.imap("alice") as imap:
            assert imap.select()[0] == "OK"
        assert instance.stop() == 0
        yield instance
        with contextlib.suppress(OSError):
            subprocess.run(["mount", "-o", "remount,rw", disk], check=False)


def mail_from(server):
    with server.smtp() as smtp:
        return smtp.mail("sender@elsewhere.example")


def memory_run(server):
    """Where this server's pid files lie meanwhile: other tests have such folders at the same time."""
    st = server.root.stat()
    return pathlib.Path(f"/dev/shm/postroom-{st.st_uid}-{st.st_dev:x}-{st.st_ino:x}")


def is_taken(server, subject):
    with server.smtp() as smtp:
        if smtp.mail("sender@elsewhere.example")[0] != 250:
            return False
    server.send(postroom.message(subject=subject))
    return True


def check_only_read(server):
    """What each protocol says of a store that can only be read."""
    with server.imap("alice") as imap:
        imap.is_readonly = True         # imaplib takes it ill otherwise
        typ, data = imap.xatom("SELECT", "INBOX")
        assert typ == "OK" and data[0].startswith(b"[READ-ONLY]"), (typ, data, server.log()[-3000:])
        imap.state = "SELECTED"
        assert imap.untagged_responses["EXISTS"] != [b"0"]
        told = [text for text in imap.untagged_responses["OK"] if text.startswith(b"[ALERT] ")]
        assert len(told) == 1 and b"can only be read" in told[0], imap.untagged_responses
        assert b"Subject: one" in imap.fetch("1", "(FLAGS BODY[])")[1][0][1]
        assert imap.search(None, "SUBJECT", "two")[1] == [b"2"]
        assert imap.store("1", "+FLAGS", r"(\Flagged)")[0] == "NO"
        typ, data = imap.append("INBOX", None, None, postroom.message(subject="mine"))
        assert typ == "NO" and data[0].startswith(b"[UNAVAILABLE] The server's disk can only be read"), data
        assert imap.create("Another")[0] == "NO"
    assert "store.read_only" in server.log() and "mount it again" in server.log(), server.log()[-3000:]
    pop = server.pop3("alice")
    assert b"Subject: two" in pop.retr(2)[1]
    with pytest.raises(postroom.poplib.error_proto, match="SYS/TEMP.*can only be read"):
        pop.dele(1)
    pop.quit()
    assert mail_from(server) == (451, b"4.3.2 Mail cannot be stored at present, try again later")
    with server.submission("alice") as smtp:
        assert smtp.mail(server.address("alice"))[0] == 451
    assert "disk-read-only" in server.log()


def check_as_ever(server, subject):
    """It can be changed, and the message that was taken is there."""
    with server.imap("alice") as imap:
        assert imap.select()[0] == "OK" and not imap.is_readonly and "ALERT" not in imap.untagged_responses
        assert imap.store("1", "+FLAGS", r"(\Flagged)")[0] == "OK"
        assert imap.search(None, "SUBJECT", subject)[1][0].split()


def serves_while_all_of_it_can_only_be_read(server, disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    server.start()
    check_only_read(server)
    assert "instance.read_only" in server.log() and "lies on a file system that can only be read" in server.log()
    assert "CAN ONLY BE READ" in server.postroom("status")
    assert server.json("status")["read_only"] == str(server.root)
    assert "it can only be read" in server.run("doctor", "--json").stdout

    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    wait_for(f"mail is taken: {server.log()[-3000:]}", lambda: is_taken(server, "three"))
    check_as_ever(server, "three")
    assert "CAN ONLY BE READ" not in server.postroom("status")
    server.postroom("reload")
    assert (memory_run(server) / "postroom.pid").read_text().strip() == str(server.process.pid)
    assert server.stop() == 0
    assert not memory_run(server).exists()


def gives_nothing_away_that_somebody_else_put_there(server, disk):
    victim = disk.parent / "victim"
    victim.mkdir()
    os.chown(victim, 65534, 65534)
    name = memory_run(server)
    name.symlink_to(victim)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        done = server.run("serve")
        assert done.returncode == 1 and "is somebody else's" in done.stderr, done
        assert victim.stat().st_uid == 65534
    finally:
        name.unlink()
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


def serves_while_mail_alone_can_only_be_read(server):
    mail = server.root / "mail"
    subprocess.run(["mount", "--bind", mail, mail], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", mail], check=True)
    try:
        server.start()
        check_only_read(server)
        assert server.json("status")["read_only"] == str(mail)
    finally:
        subprocess.run(["umount", "-l", mail], check=True)
    wait_for(f"mail is taken: {server.log()[-3000:]}", lambda: is_taken(server, "four"))
    check_as_ever(server, "four")
    assert server.stop() == 0


def takes_mail_while_certificates_alone_can_only_be_read(server):
    tls = server.root / "tls"
    subprocess.run(["mount", "--bind", tls, tls], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", tls], check=True)
    try:
        server.start()
        assert "read_only" not in server.json("status")
        assert mail_from(server)[0] == 250
        assert server.stop() == 0
    finally:
        subprocess.run(["umount", "-l", tls], check=True)


def starts_on_a_full_disk(server, disk):
    for name, size in (("filler", 1 << 16), ("crumbs", 1024)):
        with open(disk / name, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(size)):
                pass
    server.start()
    with server.imap("alice") as imap:
        assert imap.select() == ("OK", [b"4"])
        assert b"Subject: one" in imap.fetch("1", "(FLAGS BODY.PEEK[])")[1][0][1]
    pop = server.pop3("alice")
    assert b"Subject: two" in pop.retr(2)[1]
    pop.quit()
    assert mail_from(server)[0] == 452
    (disk / "filler").unlink()
    wait_for(f"mail is taken: {server.log()[-3000:]}", lambda: is_taken(server, "five"))
    check_as_ever(server, "five")
    assert server.stop() == 0


def test_a_server_starts_and_what_is_there_is_read_whatever_can_not_be_written(server, disk):
    serves_while_all_of_it_can_only_be_read(server, disk)
    gives_nothing_away_that_somebody_else_put_there(server, disk)
    serves_while_mail_alone_can_only_be_read(server)
    takes_mail_while_certificates_alone_can_only_be_read(server)
    starts_on_a_full_disk(server, disk)
