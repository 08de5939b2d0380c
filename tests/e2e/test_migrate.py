"""An instance that a program of format 1 left (format-1.tar.xz, made by format-1.make) becomes one of format 2, and goes back. Where a migration may
be cut off is tested in tests/unit/admin/migrate_test.c."""

import pathlib
import shutil
import tarfile

import pytest

import postroom

STORED = pathlib.Path(__file__).with_name("format-1.tar.xz")
PASSWORDS = {"alice": "secret-of-1", "bob": "secret-of-2"}


@pytest.fixture
def older():
    """What the older program knew of accounts and mail; in a folder with the ports of this run."""
    with postroom.Instance() as server:
        for name in ("directory", "mail", "issuer"):
            shutil.rmtree(server.root / name, ignore_errors=True)
        with tarfile.open(STORED) as tar:
            tar.extractall(server.root, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(server.root)
        server.passwords.update({server.address(name): password for name, password in PASSWORDS.items()})
        yield server


def stamp(server):
    return (server.root / "format").read_text()


def subjects(server):
    with server.imap("alice") as imap:
        assert imap.select()[0] == "OK"
        return imap.search(None, "ALL")[1][0].split()


def test_serve_brings_a_stored_instance_to_this_format_and_the_way_back_is_a_command(older):
    assert stamp(older) == "postroom 1\n"
    assert [a["account"] for a in older.json("account", "list")] == ["alice@example.test", "bob@example.test"]   # also as it is
    older.start()
    assert stamp(older) == "postroom 2\n"
    assert older.json("status")["format"] == 2
    assert "event=serve.migrate.done" in older.log(), older.log()[-4000:]
    assert subjects(older) == [b"1", b"2", b"3"]
    assert (older.root / "issuer").is_dir() and not (older.root / "migrating").exists()
    assert [c["label"] for c in older.json("client-cert", "list", "alice@example.test")] == ["laptop"]
    assert "format 2" in older.postroom("status").splitlines()[0]
    older.postroom("account", "add", "carol@example.test", "--password-stdin", input="secret-of-3\n")

    done = older.run("migrate", "--back")
    assert done.returncode == 1 and "postroom runs already" in done.stderr, done
    assert older.stop() == 0
    said = older.postroom("migrate", "--back")
    assert "format 1 again" in said, said
    assert stamp(older) == "postroom 1\n"
    # What an older program finds: accounts of then, mail of now.
    assert [a["account"] for a in older.json("account", "list")] == ["alice@example.test", "bob@example.test"]
    assert (older.root / "before-2" / "directory-2.mdb").exists()
    assert len(older.files("alice")) == 3

    said = older.postroom("migrate")
    assert f"format 2 now; as it was: {older.root}/before-2" in said, said
    assert "which is this program's" in older.postroom("migrate")
    assert stamp(older) == "postroom 2\n"


def test_an_instance_between_two_formats_or_of_a_newer_one_is_refused_with_what_to_do(older):
    older.postroom("migrate")
    (older.root / "migrating").write_text("")
    done = older.run("account", "list")
    assert done.returncode != 0 and "is on its way to format 2: `postroom serve` or `postroom migrate` goes on with that" in done.stderr, done
    older.postroom("migrate")
    assert older.run("account", "list").returncode == 0
    (older.root / "format").write_text("postroom 3\n")
    for verb in (("account", "list"), ("serve", "--detach"), ("migrate",)):
        done = older.run(*verb)
        assert done.returncode == 1 and "made by a newer Postroom (format 3; this one reads up to 2): use the newer program" in done.stderr, done
