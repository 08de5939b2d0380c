"""postroom import: what the person at the keyboard sees, on a running instance. Real servers' mail: tests/interop/test_import.py."""

import os

import pytest


@pytest.fixture
def source(tmp_path):
    """A Maildir as Dovecot leaves it."""
    def put(folder, name, subject, when):
        path = tmp_path / "Maildir" / folder
        for part in ("cur", "new", "tmp"):
            (path / part).mkdir(parents=True, exist_ok=True)
        file = path / "cur" / name
        file.write_bytes(f"Subject: {subject}\n\ntext\n".encode())
        os.utime(file, (when, when))
    put("", "1500000001.M1P1.old:2,S", "one", 1_500_000_001)
    put("", "1500000002.M2P1.old:2,Fa", "two", 1_500_000_002)
    put(".Sent", "1500000003.M3P1.old:2,S", "sent", 1_500_000_003)
    root = tmp_path / "Maildir"
    (root / "dovecot-uidlist").write_text("3 V1400000000 N30 G1\n7 :1500000001.M1P1.old\n9 :1500000002.M2P1.old\n")
    (root / "dovecot-keywords").write_text("0 $Forwarded\n")
    (root / "subscriptions").write_text("V\t2\n\nSent\n")
    return root


def test_a_maildir_comes_over_while_the_server_runs(server, source):
    server.add_account("mover")
    address = server.address("mover")
    planned = server.json("import", "maildir", source, "--account", address, "--dry-run")
    with server.imap("mover") as imap:
        assert imap.select("INBOX")[1] == [b"0"]
    rows = server.json("import", "maildir", source, "--account", address)
    assert rows == planned
    assert rows[0] == {"mailbox": "INBOX", "from": "dovecot", "messages": 2, "imported": 2, "already_there": 0,
                       "uids_kept": 2, "pop3_ids": 0, "keywords": 1, "left_out": 0, "notes": ""}
    with server.imap("mover") as imap:
        imap.select("INBOX")
        assert imap.response("UIDVALIDITY")[1] == [b"1400000000"]
        _, rows = imap.uid("FETCH", "1:*", "(FLAGS INTERNALDATE)")
        assert b"UID 7 " in rows[0] and b"\\Seen" in rows[0] and b"14-Jul-2017 02:40:01 +0000" in rows[0]
        assert b"UID 9 " in rows[1] and b"\\Flagged $Forwarded" in rows[1]
        assert b"UIDNEXT 30" in imap.status("INBOX", "(UIDNEXT)")[1][0]
    pop = server.pop3("mover")
    assert pop.uidl()[1] == [b"1 0000000753724e00", b"2 0000000953724e00"]
    pop.quit()
    told = server.postroom("import", "maildir", source, "--account", address)
    assert f"{address}: 0 of 3 messages imported, 0 with the UID that clients know, 3 were there already" in told
    assert len(list(source.rglob("cur/*"))) == 3


def test_mbox_files_come_over(server, tmp_path):
    server.add_account("mboxer")
    box = tmp_path / "archive.mbox"
    box.write_text("From a@b Fri Jul 14 02:40:01 2017\nStatus: RO\nSubject: one\n\ntext\n\n"
                   "From a@b Fri Jul 14 02:40:02 2017\nSubject: two\n\ntext\n")
    told = server.postroom("import", "mbox", box, "--account", server.address("mboxer"), "--mailbox", "Old/archive")
    assert "2 of 2 messages imported" in told
    with server.imap("mboxer") as imap:
        assert imap.select("Old/archive")[1] == [b"2"]
        assert imap.search(None, "SEEN")[1] == [b"1"]


def test_errors_say_what_to_do(server, source, tmp_path):
    server.add_account("careful")
    address = server.address("careful")
    done = server.run("import", "maildir", tmp_path / "nothing", "--account", address)
    assert done.returncode != 0 and "nothing" in done.stderr
    done = server.run("import", "maildir", tmp_path, "--account", address)
    # tmp_path holds a Maildir of the fs layout: a mailbox named Maildir.
    assert done.returncode == 0, done.stderr
    done = server.run("import", "maildir", source, "--account", "nobody@" + server.domain)
    assert done.returncode == 3
    done = server.run("import", "maildir", source)
    assert done.returncode == 2 and "--account" in done.stderr
    (source / "cur" / "1500000004.M4P1.old,S=999:2,S").write_bytes(b"\x28\xb5\x2f\xfdxyz")
    done = server.run("import", "maildir", source, "--account", address)
    assert done.returncode == 1
    assert "1 messages are compressed" in done.stderr and "--skip-compressed" in done.stderr
    done = server.run("import", "maildir", source, "--account", address, "--skip-compressed")
    assert done.returncode == 1
    assert "1 compressed messages left out" in done.stdout
