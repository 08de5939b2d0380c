"""Mail that is stored compressed: every protocol, backup, verify and rebuild see the messages as they came."""

import hashlib
import re

import postroom

ZSTD = b"\x28\xb5\x2f\xfd"
BODY = "".join(f"line {n} of a message that says little\r\n" for n in range(4000))


def packed(server):
    return sum(path.read_bytes()[:4] == ZSTD for path in server.files("alice"))


def state(server):
    with server.imap("alice") as imap:
        imap.select("INBOX", readonly=True)
        rows = imap.fetch("1:*", "(UID RFC822.SIZE INTERNALDATE BODY.PEEK[])")[1]
        parts = imap.fetch("1:*", "(BODY.PEEK[TEXT]<100000.50> BODYSTRUCTURE)")[1]
        found = imap.search(None, "BODY", '"line 3999 of"')[1]
    pop = server.pop3("alice")
    sizes = pop.list()[1]
    first = b"\r\n".join(pop.retr(1)[1])
    pop.quit()
    return ([(item[0], hashlib.sha256(item[1]).hexdigest()) for item in rows if isinstance(item, tuple)],
            [item for item in parts if isinstance(item, tuple)], found, sizes, hashlib.sha256(first).hexdigest())


def test_compressed_mail_reads_the_same_by_imap_and_pop3():
    with postroom.Instance(accounts=["alice"]) as server:
        server.start()
        for n in range(3):
            server.send(postroom.message(subject=f"big {n}", body=BODY))
        server.send(postroom.message(subject="small"))
        before = state(server)
        size = sum(path.stat().st_size for path in server.files("alice"))
        done = server.json("store", "compress")
        assert (done["messages"], done["changed"], done["failed"]) == (4, 3, 0)
        assert packed(server) == 3
        assert sum(path.stat().st_size for path in server.files("alice")) < size / 2
        assert state(server) == before
        assert server.json("index", "check", "alice@example.test") == []
        server.postroom("index", "rebuild", "alice@example.test")
        assert state(server) == before
        assert "0 damaged" in server.postroom("verify")
        assert server.json("store", "decompress", "alice@example.test")["changed"] == 3
        assert packed(server) == 0
        assert state(server) == before


def test_new_mail_of_a_domain_is_stored_compressed_and_backups_bring_it_back(tmp_path):
    with postroom.Instance(accounts=["alice"], conf="compress-mail example.test") as server:
        server.start()
        server.send(postroom.message(subject="big", body=BODY))
        with server.imap("alice") as imap:
            imap.append("INBOX", None, None, postroom.message(subject="appended", body=BODY))
        assert packed(server) == 2
        before = state(server)
        server.postroom("backup", str(tmp_path / "backup"))
        with server.imap("alice") as imap:
            imap.select("INBOX")
            imap.store("1:*", "+FLAGS", "\\Deleted")
            imap.expunge()
        server.postroom("restore", str(tmp_path / "backup"), "--account", "alice@example.test")
        again = state(server)
        assert [digest for _, digest in again[0]] == [digest for _, digest in before[0]]
        assert re.search(rb"RFC822.SIZE (\d+)", again[0][0][0]).group(1) == re.search(
            rb"RFC822.SIZE (\d+)", before[0][0][0]).group(1)
        assert "0 damaged" in server.postroom("verify", str(tmp_path / "backup"))


def test_a_damaged_compressed_message_is_told():
    with postroom.Instance(accounts=["alice"], conf="compress-mail all") as server:
        server.start()
        server.send(postroom.message(subject="big", body=BODY))
        path = server.files("alice")[0]
        octets = bytearray(path.read_bytes())
        octets[len(octets) // 2] ^= 0x55
        path.write_bytes(octets)
        assert server.run("verify").returncode == 1
        assert server.run("store", "decompress").returncode == 1
        assert packed(server) == 1
