"""Old messages go by themselves when postroom.conf says so, and who fills his mailbox is told."""

import re

import postroom

OLD = "1500000000"


def put_old(server, folder, count):
    for n in range(count):
        (server.maildir("alice") / folder / "new" / f"{OLD}.{n}.then").write_bytes(b"Subject: old\r\n\r\nx\r\n")


def count(imap, mailbox):
    return int(re.search(rb"MESSAGES (\d+)", imap.status(mailbox, "(MESSAGES)")[1][0]).group(1))


def test_old_mail_in_trash_goes_by_itself_and_open_sessions_see_it():
    with postroom.Instance(accounts=["alice", "bob"], conf="expire trash=30d Lists/*=1w") as server:
        server.start()
        with server.imap("alice") as imap:
            imap.append("Trash", None, None, postroom.message(subject="young"))
            imap.append("INBOX", None, None, postroom.message(subject="kept"))
        server.stop()
        put_old(server, ".Trash", 3)
        put_old(server, ".", 1)
        dry = server.json("expire", "--dry-run")
        assert [(row["account"], row["mailbox"]) for row in dry] == [("alice@example.test", "Trash")]
        (server.root / "mail" / ".expired").unlink(missing_ok=True)
        server.start()
        with server.imap("alice") as imap:
            assert count(imap, "INBOX") == 2
            imap.select("Trash")

            def is_done():
                imap.noop()
                return count(imap, "Trash") == 1

            postroom.wait_for("the old messages to go", is_done)
            assert b"young" in imap.fetch("1:*", "(BODY.PEEK[HEADER])")[1][0][1]
            assert count(imap, "INBOX") == 2
        server.wait_log("event=store.expired")
        assert not (server.root / "mail" / "example.test" / "bob").exists()


def test_expire_by_hand_tells_and_removes():
    with postroom.Instance(accounts=["alice"], conf="expire trash=30d") as server:
        server.start()
        with server.imap("alice") as imap:
            imap.noop()
        server.stop()
        put_old(server, ".Trash", 2)
        assert server.json("expire", "--dry-run", "alice@example.test")[0]["messages"] == 2
        assert server.json("expire", "alice@example.test")[0]["messages"] == 2
        assert server.json("expire", "--dry-run") == []


def test_without_a_rule_nothing_is_removed():
    with postroom.Instance(accounts=["alice"]) as server:
        done = server.run("expire")
        assert done.returncode == 3 and "conf describe expire" in done.stderr


def test_a_wrong_rule_is_told_by_conf_check():
    with postroom.Instance(accounts=["alice"], conf="expire trash=30\nquota-warnings 80 101") as server:
        done = server.run("conf", "check")
        assert done.returncode != 0
        assert 'expire: "trash=30" is no rule' in done.stderr
        assert 'quota-warnings: "101"' in done.stderr


def test_a_message_in_the_inbox_warns_of_a_full_mailbox():
    with postroom.Instance(accounts=["alice"], conf="quota-warnings 50 90") as server:
        server.postroom("quota", "set", "alice@example.test", "none", "10")
        server.start()
        for n in range(4):
            server.send(postroom.message(subject=f"m{n}"))
        with server.imap("alice") as imap:
            imap.select("INBOX")
            assert imap.search(None, "SUBJECT", "full")[1] == [b""]
            server.send(postroom.message(subject="m4"))
            postroom.wait_for("the warning", lambda: imap.noop() and imap.search(None, "SUBJECT", '"50 % full"')[1] != [b""])
            server.send(postroom.message(subject="m5"))
            imap.noop()
            assert len(imap.search(None, "SUBJECT", "full")[1][0].split()) == 1
        assert server.json("quota", "show", "alice@example.test")[0]["used_messages"] == 7
        before = server.json("quota", "show")
        server.postroom("quota", "recount", "alice@example.test")
        assert server.json("quota", "show") == before
