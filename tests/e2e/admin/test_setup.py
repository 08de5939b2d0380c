"""postroom setup: from nothing, or from what an earlier attempt left, to a server that runs; given again it changes nothing."""

import os
import pathlib
import pty
import re
import shutil
import socket
import subprocess
import sys
import tempfile

import pytest

import postroom

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "support"))
import dns_server  # noqa: E402

DOMAIN = "corp.example"
NO_TIME = "127.0.0.1@1"         # nobody tells the time there


class Ground:
    """A folder in which an earlier attempt has got as far as a configuration, and ports that are free."""

    def __init__(self, dns):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="postroom-setup-"))
        self.offset, self.claims = postroom.free_port_offset()
        self.conf = self.root / "postroom.conf"
        self.conf.write_text(f"hostname mail.{DOMAIN}\nport-offset {self.offset}\nbind 127.0.0.1\nsending no\nweb no\n" + dns.conf())
        self.conf.chmod(0o600)

    def run(self, *args):
        return subprocess.run([postroom.BIN / "postroom", "--root", self.root, *args], text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=300, check=False)

    def setup(self, *args):
        return self.run("setup", DOMAIN, "--yes", "--time-server", NO_TIME, *args)

    def close(self):
        self.run("stop")
        for claim in self.claims:
            claim.close()
        shutil.rmtree(self.root, ignore_errors=True)


@pytest.fixture(scope="module")
def dns():
    with dns_server.DnsServer() as table:
        table.add(f"mail.{DOMAIN}", "A", "127.0.0.9").add_reverse("127.0.0.9", f"mail.{DOMAIN}")
        yield table


@pytest.fixture
def ground(dns):
    made = Ground(dns)
    yield made
    made.close()


def test_it_runs_and_given_again_it_changes_nothing(ground):
    done = ground.setup("--account", "alice")
    assert done.returncode == 0, done.stdout + done.stderr
    password = re.search(r"^account +alice@corp\.example, password (\S+)$", done.stdout, re.M).group(1)
    assert re.search(r"^good +address of mail\.corp\.example: 127\.0\.0\.9$", done.stdout, re.M), done.stdout
    server = postroom.Instance.__new__(postroom.Instance)
    server.root, server.domain, server.offset = ground.root, DOMAIN, ground.offset
    server.passwords = {f"alice@{DOMAIN}": password}
    for role in ("postmaster", "abuse"):
        server.send(postroom.message(to=f"{role}@{DOMAIN}"), to=role)
    with server.imap("alice") as imap:
        assert imap.select()[1] == [b"2"]
    kept = (ground.root / "setup.txt").read_text()
    assert password not in kept and "good     address of" in kept
    assert (ground.root / "setup.txt").stat().st_mode & 0o077 == 0

    before = ground.conf.read_text(), (ground.root / "tls" / "cert.pem").read_bytes()
    again = ground.setup()
    assert again.returncode == 0, again.stdout + again.stderr
    assert "alice@corp.example was there" in again.stdout and "It runs already." in again.stdout
    assert (ground.conf.read_text(), (ground.root / "tls" / "cert.pem").read_bytes()) == before
    accounts = postroom.json.loads(ground.run("account", "list", "--json").stdout)
    assert [row["account"] for row in accounts] == [f"alice@{DOMAIN}"]


@pytest.mark.parametrize("left", ["tls/key.pem", "keys"])
def test_what_an_earlier_attempt_left_is_completed(ground, left):
    """Cut off before the end, an attempt leaves some of the pieces and no file `format`."""
    assert ground.setup("--no-start").returncode == 0
    shutil.copytree(ground.root, ground.root.with_suffix(".whole"))
    whole = ground.root.with_suffix(".whole")
    try:
        for name in ("tls", "keys", "directory", "mail", "queue", "events", "run"):
            shutil.rmtree(ground.root / name, ignore_errors=True)
        (ground.root / "format").unlink()
        (ground.root / "setup.txt").unlink()
        (ground.root / left).parent.mkdir(exist_ok=True, mode=0o700)
        (shutil.copytree if (whole / left).is_dir() else shutil.copy2)(whole / left, ground.root / left)
        done = ground.setup("--no-start")
        assert done.returncode == 0, done.stdout + done.stderr
        assert ground.run("conf", "check").returncode == 0
        records = postroom.json.loads(ground.run("dns", DOMAIN, "--json").stdout)["records"]
        assert sum(record["kind"] == "dkim" for record in records) == 2
        assert any(record["kind"] == "tlsa" for record in records)
    finally:
        shutil.rmtree(whole)


def test_a_port_that_is_taken_is_named_and_nothing_is_started(ground):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 993 + ground.offset))
        taken.listen()
        done = ground.setup()
        assert done.returncode == 1
        assert f"FAULT    port {993 + ground.offset} (imaps)\n    found      another program has it" in done.stdout, done.stdout
        assert done.stdout.count("FAULT") == 1
        assert ground.run("status").returncode == 4
    assert ground.setup("--no-start").returncode == 0


def test_who_moves_in_makes_an_instance_beside_the_old_server_and_gets_the_roles_later(ground):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 993 + ground.offset))
        taken.listen()
        done = ground.setup("--no-start", "--account", "none")
        assert done.returncode == 0 and "another program has it" in done.stdout and "Not started" not in done.stdout, done.stdout
        assert f"setup {DOMAIN}          starts it\n" in done.stdout, done.stdout
    assert postroom.json.loads(ground.run("account", "list", "--json").stdout) == []
    assert ground.run("account", "add", f"dora@{DOMAIN}", "--generate").returncode == 0
    assert ground.setup("--no-start").returncode == 0
    rows = postroom.json.loads(ground.run("alias", "list", "--json").stdout)
    assert {row["alias"]: row["targets"] for row in rows} == {f"{name}@{DOMAIN}": [f"dora@{DOMAIN}"] for name in ("postmaster", "abuse")}


def test_a_smarthost_and_what_contradicts_the_configuration(ground):
    assert ground.setup("--no-start", "--smarthost", "smtp.example.net").returncode == 2
    done = ground.setup("--no-start", "--smarthost", "smtp.example.net:587")
    assert done.returncode == 0, done.stderr
    assert "smarthosts *=smtp.example.net:587\n" in ground.conf.read_text()
    assert ground.setup("--no-start", "--smarthost", "smtp.example.net:587").returncode == 0
    assert ground.conf.read_text().count("smarthosts") == 1
    assert ground.setup("--no-start", "--authority", "http://ca.example").returncode == 2
    for _ in range(2):
        assert ground.setup("--no-start", "--authority", "letsencrypt").returncode == 0
    assert ground.conf.read_text().count("acme-directory https://acme-v02.api.letsencrypt.org/directory\n") == 1
    assert ground.run("conf", "check").returncode == 0
    for args, word in ((("--authority", "https://other.example/"), "acme-directory is set already"),
                       (("--smarthost", "other.example.net:25"), "smarthosts are set already"),
                       (("--hostname", "mx.corp.example"), "the host name of this instance is mail.corp.example")):
        done = ground.setup("--no-start", *args)
        assert done.returncode == 1 and word in done.stderr, done.stderr


def test_questions_are_asked_on_a_terminal_only(ground):
    assert ground.run("setup", DOMAIN).returncode == 2
    ours, theirs = pty.openpty()
    with subprocess.Popen([postroom.BIN / "postroom", "--root", ground.root, "setup", DOMAIN, "--no-start", "--time-server", NO_TIME],
                          stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, b"\nbob\n")
        text = b""
        while True:
            try:
                text += os.read(ours, 4096)
            except OSError:     # the other end is closed
                break
        assert process.wait(60) == 0, text
    os.close(ours)
    assert b"Host name [mail.corp.example]: " in text and b"bob@corp.example, password " in text, text
