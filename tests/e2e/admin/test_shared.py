"""Shared mailboxes from the command line, and what of them comes back from a backup."""

import shutil

import postroom


def show(server, mailbox):
    return {row["who"]: row["rights"] for row in server.json("mailbox", "acl", "list", "alice@example.test", mailbox)}


def test_mailbox_acl_lists_sets_and_removes(fresh_server):
    server, alice, bob = fresh_server, "alice@example.test", "bob@example.test"
    everything = "lrswipkxtea"
    server.postroom("mailbox", "create", alice, "Projects")
    assert show(server, "Projects") == {alice: everything}
    server.postroom("mailbox", "acl", "set", alice, "Projects", bob, "lrs")
    server.postroom("mailbox", "acl", "set", alice, "Projects", bob, "+w")
    server.postroom("mailbox", "acl", "set", alice, "Projects", "anyone", "lr")
    assert show(server, "Projects") == {alice: everything, bob: "lrsw", "anyone": "lr"}
    with server.imap("bob") as c:
        assert c.select(f"Shared/{alice}/Projects")[0] == "OK"
    server.postroom("mailbox", "acl", "remove", alice, "Projects", "anyone")
    server.postroom("mailbox", "acl", "remove", alice, "Projects", bob)
    assert show(server, "Projects") == {alice: everything}
    with server.imap("bob") as c:
        assert c.select(f"Shared/{alice}/Projects")[0] == "NO"
    assert server.run("mailbox", "acl", "set", alice, "Projects", bob, "lrQ").returncode == 2
    assert server.run("mailbox", "acl", "show", alice, "Projects").returncode == 2
    assert server.run("mailbox", "acl", "set", alice, "Projects", bob).returncode == 2
    assert server.run("mailbox", "acl", "list", alice, "Nosuch").returncode == 3
    assert server.run("mailbox", "acl", "set", alice, "Projects", "nobody@example.test", "lr").returncode == 1


def test_rights_annotations_and_what_was_seen_come_back_from_a_backup(fresh_server, tmp_path):
    server, alice, bob = fresh_server, "alice@example.test", "bob@example.test"
    for n in range(3):
        server.send(postroom.message(subject=f"shared {n}"))
    server.postroom("mailbox", "acl", "set", alice, "INBOX", bob, "lrsw")
    with server.imap("bob") as c:
        c.select(f"Shared/{alice}/INBOX")
        c.store("2", "+FLAGS", "\\Seen")
        assert c.xatom("SETMETADATA", f"Shared/{alice}/INBOX", '(/private/comment "mine")')[0] == "OK"
    server.postroom("backup", str(tmp_path / "backup"))
    server.stop()
    for path in server.root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    server.postroom("restore", str(tmp_path / "backup"))
    server.start()
    assert show(server, "INBOX")[bob] == "lrsw"
    with server.imap("bob") as c:
        assert c.select(f"Shared/{alice}/INBOX")[0] == "OK"
        assert c.search(None, "SEEN")[1] == [b"2"]
        c.xatom("GETMETADATA", f"Shared/{alice}/INBOX", "/private/comment")
        assert b'"mine"' in b"".join(x if isinstance(x, bytes) else b"" for x in c.response("METADATA")[1])


def test_a_mailbox_that_is_restored_has_its_rights_and_annotations_again(fresh_server, tmp_path):
    server, alice, bob = fresh_server, "alice@example.test", "bob@example.test"
    server.postroom("mailbox", "create", alice, "Projects")
    server.postroom("mailbox", "acl", "set", alice, "Projects", bob, "lrs")
    server.postroom("mailbox", "acl", "set", "--", alice, "Projects", "-anyone", "x")
    with server.imap("alice") as c:
        c.append("Projects", None, None, postroom.message())
        c.select()                      # Python knows the command of no other state
        assert c.xatom("SETMETADATA", "Projects", '(/shared/comment "ours" /private/comment "mine")')[0] == "OK"
    server.postroom("backup", str(tmp_path / "backup"))
    server.postroom("mailbox", "remove", alice, "Projects", "--yes")
    server.postroom("restore", str(tmp_path / "backup"), "--account", alice)
    assert show(server, "Projects") == {alice: "lrswipkxtea", bob: "lrs", "-anyone": "x"}
    with server.imap("bob") as c:
        assert c.select(f"Shared/{alice}/Projects", readonly=True) == ("OK", [b"1"])
    with server.imap("alice") as c:
        c.select()
        c.xatom("GETMETADATA", "Projects", "(/shared/comment", "/private/comment)")
        told = b"".join(x if isinstance(x, bytes) else b"" for x in c.response("METADATA")[1])
        assert b'"ours"' in told and b'"mine"' in told


def test_the_list_of_who_shares_is_made_anew_when_it_is_gone(fresh_server):
    server, alice = fresh_server, "alice@example.test"
    server.postroom("mailbox", "acl", "set", alice, "INBOX", "bob@example.test", "lrw")
    shares = server.root / "mail" / ".postroom-shares"
    for damage in (shares.unlink, lambda: shares.write_text("postroom-shares 1\ncrc 00000000\n")):
        damage()
        with server.imap("bob") as c:
            assert c.select(f"Shared/{alice}/INBOX")[0] == "OK"
        assert alice in shares.read_text()
