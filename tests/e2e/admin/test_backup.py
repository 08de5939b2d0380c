"""backup, verify, restore: a running instance as files, and back."""

import hashlib
import json
import pathlib
import re
import shutil
import threading

import pytest

import postroom

MAILBOXES = ("INBOX", "Archive", "Work/Übung", "Trash")


def fill(server, user, count):
    with server.imap(user) as imap:
        imap.create('"Work/&ANw-bung"')
        for n in range(count):
            flags = ("\\Seen", "\\Flagged", "(\\Answered $Forwarded work)", None)[n % 4]
            imap.append("Archive", flags, f'"{n % 28 + 1:02d}-Mar-2021 10:00:00 +0000"', postroom.message(subject=f"a{n}"))
        imap.append('"Work/&ANw-bung"', "(later)", None, postroom.message(subject="deep"))
        imap.select("Archive")
        imap.copy("1:5", "Trash")


def state(server, user):
    """What every client sees: mailbox -> (UIDVALIDITY, {UID: (flags, date, digest)})."""
    found = {}
    with server.imap(user) as imap:
        found["lsub"] = sorted(imap.lsub()[1])
        for name in MAILBOXES:
            wire = '"' + name.replace("Übung", "&ANw-bung") + '"'
            status, _ = imap.select(wire, readonly=True)
            if status != "OK":
                continue
            validity = imap.response("UIDVALIDITY")[1]
            rows = {}
            for item in imap.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]:
                if isinstance(item, tuple):
                    uid = int(re.search(rb"UID (\d+)", item[0]).group(1))
                    flags = frozenset(re.search(rb"FLAGS \(([^)]*)\)", item[0]).group(1).split()) - {b"\\Recent"}
                    rows[uid] = (flags, re.search(rb'INTERNALDATE "[^"]*"', item[0]).group(0),
                                 hashlib.sha256(item[1]).hexdigest())
            found[name] = (validity, rows)
    return found


def wipe(server):
    for path in server.root.iterdir():
        if path.name != "server.log":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture
def filled(fresh_server):
    fill(fresh_server, "alice", 40)
    for n in range(10):
        fresh_server.send(postroom.message(subject=f"in{n}"), to=["alice", "bob"])
    return fresh_server


def test_a_backup_brings_back_every_message_uid_flag_and_password(filled, tmp_path):
    before = {user: state(filled, user) for user in ("alice", "bob")}
    told = filled.json("backup", str(tmp_path / "backup"))
    assert told["messages"] == sum(len(rows) for user in before for _, rows in
                                   (v for k, v in before[user].items() if k != "lsub"))
    assert filled.json("verify", str(tmp_path / "backup")) == []
    filled.stop()
    log = filled.log_path
    log.unlink()
    wipe(filled)
    filled.postroom("restore", str(tmp_path / "backup"))
    filled.start()
    after = {user: state(filled, user) for user in ("alice", "bob")}
    assert after == before
    assert filled.json("index", "check", filled.address("alice")) == []
    # A UID that might have been given out since the backup is never given again.
    with filled.imap("alice") as imap:
        imap.append("Archive", None, None, postroom.message(subject="new"))
        imap.select("Archive", readonly=True)
        assert int(imap.uid("SEARCH", "SUBJECT", "new")[1][0]) > max(before["alice"]["Archive"][1]) + 1000


def test_a_second_backup_links_to_the_first_and_each_stands_alone(filled, tmp_path):
    base = tmp_path / "backup"
    first = filled.json("backup", str(base))
    filled.send(postroom.message(subject="later"), to="bob")
    second = filled.json("backup", str(base))
    assert second["messages"] == first["messages"] + 1
    assert second["copied"] <= 1 or second["linked"] == second["messages"]
    shutil.rmtree(first["path"])
    assert filled.json("verify", str(base)) == []


def test_a_backup_taken_while_mail_moves_about_loses_nothing(filled, tmp_path):
    with filled.imap("alice") as imap:
        for n in range(120):
            imap.append("Archive", None, None, postroom.message(subject=f"moving {n}", extra=f"X-Ident: m{n}\r\n"))
    stop = threading.Event()

    def shuffle():
        with filled.imap("alice") as imap:
            here, there = "Archive", "Trash"
            while not stop.is_set():
                imap.select(here)
                imap.uid("STORE", "1:*", "+FLAGS", "(\\Seen)")
                imap.uid("MOVE", "1:*", there)
                here, there = there, here

    mover = threading.Thread(target=shuffle)
    mover.start()
    try:
        for n in range(3):
            told = filled.json("backup", str(tmp_path / f"b{n}"))
            names = [path.read_bytes() for path in pathlib.Path(told["path"]).rglob("cur/*")]
            idents = {m for text in names for m in re.findall(rb"X-Ident: (m\d+)", text)}
            assert len(idents) == 120, n
            assert filled.json("verify", str(tmp_path / f"b{n}")) == []
    finally:
        stop.set()
        mover.join()


def test_one_account_one_mailbox_and_one_message_come_back_into_the_living_instance(filled, tmp_path):
    before = state(filled, "alice")
    filled.postroom("backup", str(tmp_path / "backup"))
    with filled.imap("alice") as imap:
        imap.select("Archive")
        imap.store("1:10", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.select("Trash")
        imap.store("1:*", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.select("INBOX")
        ident = re.search(rb"<[^>]*>", imap.fetch("1", "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1][0][1]).group(0).decode()
        imap.store("1:2", "+FLAGS", "(\\Deleted)")
        imap.expunge()
    bobs = state(filled, "bob")
    backup, alice = str(tmp_path / "backup"), filled.address("alice")
    told = filled.json("restore", backup, "--account", alice, "--message-id", ident)
    assert told["restored"] == 1
    told = filled.json("restore", backup, "--account", alice, "--mailbox", "Archive")
    assert told["restored"] == 10 and told["present"] == 30
    told = filled.json("restore", backup, "--account", alice)
    assert told["restored"] == 5 + 1
    assert filled.json("restore", backup, "--account", alice)["restored"] == 0      # nothing comes twice
    after = state(filled, "alice")
    for name in MAILBOXES:
        assert sorted(row[1:] for row in after[name][1].values()) == sorted(row[1:] for row in before[name][1].values())
        kept = set(before[name][1]) & set(after[name][1])
        assert all(after[name][1][uid] == before[name][1][uid] for uid in kept)
    assert sorted(sorted(row[0]) for row in after["Archive"][1].values()) == \
        sorted(sorted(row[0]) for row in before["Archive"][1].values())
    assert state(filled, "bob") == bobs
    assert filled.run("restore", backup, "--account", "nobody@example.test").returncode == 3
    assert filled.run("restore", backup, "--account", alice, "--mailbox", "Nowhere").returncode == 3
    assert not [path for path in (tmp_path / "backup").iterdir() if path.name.startswith("unfinished")]


@pytest.mark.parametrize("harm", ["change", "cut", "remove", "add"])
def test_verify_names_each_damaged_file(filled, tmp_path, harm):
    told = filled.json("backup", str(tmp_path / "backup"))
    victim = sorted(pathlib.Path(told["path"]).rglob("cur/*"))[0]
    text = victim.read_bytes()
    name = victim.name
    if harm == "add":
        name = "stranger"
        (victim.parent / name).write_bytes(b"x")
    else:
        victim.unlink()
        if harm == "change":
            victim.write_bytes(text[:10] + bytes([text[10] ^ 1]) + text[11:])
        elif harm == "cut":
            victim.write_bytes(text[:-1])
    done = filled.run("verify", str(tmp_path / "backup"), "--json")
    assert done.returncode == 1
    assert name in done.stdout


def test_verify_of_the_living_mail_finds_what_a_bad_disk_did(filled):
    told = filled.postroom("verify")
    assert re.search(r"2 accounts: (\d+) messages, .* read, \1 of them compared by digest, 0 damaged", told)
    changed, cut, gone = filled.files("alice", "Archive")[20:23]
    changed.write_bytes(changed.read_bytes().replace(b"Hello", b"Hallo"))
    cut.write_bytes(cut.read_bytes()[:-2])
    gone.unlink()
    done = filled.run("verify", "--account", filled.address("alice"), "--json")
    assert done.returncode == 1
    assert sorted(row["damage"].split("the file ")[1].split()[0] for row in json.loads(done.stdout)) in (
        ["has", "has", "is"], ["has", "has"])   # a file that is gone is missing, or was noticed as expunged before
    assert filled.run("verify", "--account", filled.address("bob")).returncode == 0


def test_a_run_that_was_cut_off_does_not_block_the_next(filled, tmp_path):
    base = tmp_path / "backup"
    (base / "unfinished-4711" / "mail").mkdir(parents=True)
    assert filled.run("verify", str(base)).returncode == 3
    filled.postroom("backup", str(base))
    assert [path.name for path in base.iterdir() if path.name.startswith("unfinished")] == []
    assert filled.json("verify", str(base)) == []


def test_a_backup_into_the_instance_itself_is_refused(filled):
    assert filled.run("backup", str(filled.root / "backup")).returncode == 1


def test_mail_filters_come_back_with_the_one_that_was_active(tmp_path):
    script = tmp_path / "mine.sieve"
    script.write_text('require ["fileinto", "mailbox"];\nfileinto :create "Sorted";\n')
    with postroom.Instance(accounts=("alice",)) as server:
        address = server.address("alice")
        server.postroom("sieve", "put", address, str(script), "--activate")
        server.postroom("sieve", "put", address, str(script), "--name", "other")
        server.postroom("contacts", "add", address, "friend@example.net")
        (server.root / "sieve").mkdir(exist_ok=True)
        (server.root / "sieve" / "before.sieve").write_text("keep;")
        server.postroom("backup", str(tmp_path / "backups"))
        server.postroom("verify", str(tmp_path / "backups"))
        server.postroom("sieve", "deactivate", address)
        server.postroom("sieve", "remove", address, "mine")
        server.postroom("contacts", "remove", address, "friend@example.net")
        server.postroom("restore", str(tmp_path / "backups"), "--account", address)
        rows = {row["script"]: row["active"] for row in server.json("sieve", "list", address)}
        assert rows == {"mine": True, "other": False}
        assert server.json("contacts", "list", address) == [{"contact": "friend@example.net"}]
    with postroom.Instance() as other:
        shutil.rmtree(other.root)
        other.run("restore", str(tmp_path / "backups"))
        assert (other.root / "sieve" / "before.sieve").read_text() == "keep;"
        other.postroom("deliver", "alice@example.test", input="Subject: x\n\ny\n")
        assert len(other.files("alice", "Sorted")) == 1
