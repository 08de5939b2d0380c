"""A whole Dovecot with Postfix's aliases moves here by the steps that doc/migrating.md gives, as they stand there: real Dovecot, its
Maildirs, hashes and scripts, real `doveconf` and `postconf`, and what the commands print is what the page says they print."""

import imaplib
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

import postroom
import test_import

place = test_import.place

PAGE = pathlib.Path(__file__).resolve().parents[2] / "doc" / "migrating.md"
HASH = "{SHA512-CRYPT}$6$ucGRHpQtCv1ttU77$aoAthfqagGz1XBy/T7sbg0nG6qfsi.CkfttfwTuyuwPCNAOMM0PYBTy6dWK6jR8L4Q7gfmlYAlCkK0XSPOxis."
PASSWORD = "pässword 1"

AUTH = """
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = {place}/etc/dovecot/users
}}
userdb {{
  driver = passwd-file
  args = {place}/etc/dovecot/users
  default_fields = uid={owner} gid={group} home={place}/vmail/%n
}}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
}}
"""
USERS = f"""dora@example.org:{HASH}::::::
emil@example.org:{HASH}::::::userdb_quota_rule=*:storage=1G
"""
VIRTUAL = """info@example.org dora@example.org, emil@example.org
@example.org emil@example.org
"""
MAIN_CF = """compatibility_level = 3.6
virtual_mailbox_domains = example.org
virtual_alias_maps = hash:/etc/postfix/virtual
"""


def blocks(heading):
    """Commands of a chapter of the page with what they print."""
    chapter = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = []
    for block in re.findall(r"^ *```\n(.*?)^ *```$", chapter, re.S | re.M):
        for line in block.splitlines():
            line = line.strip()
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
    return found


@pytest.fixture
def old(place):
    """The old server, with mail that real Dovecot has stored."""
    if not shutil.which("postconf"):
        pytest.skip("postfix is not installed (package postfix): ./quickstart peers")
    for folder in ("etc/dovecot", "etc/postfix", "vmail"):
        (place / folder).mkdir(parents=True)
    if os.geteuid() == 0:
        shutil.chown(place / "vmail", "nobody")
    (place / "etc/dovecot/users").write_text(USERS)
    (place / "etc/postfix/virtual").write_text(VIRTUAL)
    (place / "etc/postfix/main.cf").write_text(MAIN_CF.replace("/etc/postfix", f"{place}/etc/postfix"))
    server = test_import.Dovecot(place, auth=AUTH)
    shutil.copy(place / "dovecot.conf", place / "etc/dovecot/dovecot.conf")
    try:
        with imaplib.IMAP4("127.0.0.1", server.imap_port, timeout=60) as imap:
            imap.authenticate("PLAIN", lambda _: f"\0dora@example.org\0{PASSWORD}".encode())
            imap.create("Sent")
            for n in range(3):
                imap.append("INBOX", r"(\Seen $label)", None, test_import.letter(n, "INBOX"))
            imap.append("Sent", r"(\Seen)", None, test_import.letter(9, "Sent"))
            imap.select("INBOX")
        sieve = place / "vmail/dora/sieve"
        sieve.mkdir(parents=True)
        (sieve / "lists.sieve").write_text('require "fileinto";\nif header :contains "list-id" "x" { fileinto "Lists"; }\n')
        (sieve / "old.sieve").write_text("keep;\n")
        (place / "vmail/dora/.dovecot.sieve").symlink_to("sieve/lists.sieve")
        yield server
    finally:
        server.stop()


def run(instance, place, command):
    """A command of the page: paths of the old server and the program are those of the test."""
    words = []
    for word in shlex.split(command):
        if word == "postroom":
            words += [str(postroom.BIN / "postroom"), "--root", str(instance.root)]
        else:
            words.append(word)
    if words[3:5] == ["import", "dovecot"]:
        words += ["--config", str(place / "etc/dovecot/dovecot.conf"), "--postfix", str(place / "etc/postfix")]
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, env=os.environ)


def plain(text, place):
    """Without the widths of columns, which follow the paths."""
    text = text.replace(f"{place}/vmail", "/var/vmail").replace(str(place), "")
    return [re.sub(r" {2,}", "  ", line.strip()) for line in text.splitlines() if line.strip()]


def test_the_path_from_postfix_and_dovecot_works_as_it_is_written(old, place):
    steps = blocks("From Postfix and Dovecot")
    assert len(steps) >= 4, steps
    with postroom.Instance(domain="example.org") as instance:
        for command, printed in steps:
            if command.startswith("systemctl disable --now"):
                old.stop()
                continue
            if not command.startswith("postroom") or command.startswith("postroom setup"):
                continue        # its like is made by the fixture; tests/e2e/admin/test_setup.py has the verb
            done = run(instance, place, command)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            assert plain(done.stdout, place) == [re.sub(r" {2,}", "  ", line) for line in printed], command
        instance.start(only="imapd")
        with imaplib.IMAP4_SSL("127.0.0.1", instance.port("imaps"), ssl_context=instance.tls_context()) as imap:
            imap.authenticate("PLAIN", lambda _: f"\0dora@example.org\0{PASSWORD}".encode())
            assert imap.select("INBOX")[1] == [b"3"]
            assert b"$label" in imap.fetch("1", "(FLAGS)")[1][0]
            assert imap.select("Sent")[1] == [b"1"]
        assert instance.json("account", "show", "emil@example.org")["quota_bytes"] == 1 << 30
        scripts = {row["script"]: row["active"] for row in instance.json("sieve", "list", "dora@example.org")}
        assert scripts == {"lists": True, "old": False}
        rows = {row["alias"]: row["targets"] for row in instance.json("alias", "list")}
        assert rows["info@example.org"] == ["dora@example.org", "emil@example.org"]
        assert instance.json("domain", "show", "example.org")["catch_all"] == "emil@example.org"
        # What changed here is not undone by another run.
        instance.postroom("sieve", "deactivate", "dora@example.org")
        instance.postroom("sieve", "activate", "dora@example.org", "old")
        again = run(instance, place, "postroom import dovecot --json")
        rows = postroom.json.loads(again.stdout)
        assert sum(row["taken"] for row in rows) == 0, rows
        assert {row["script"]: row["active"] for row in instance.json("sieve", "list", "dora@example.org")}["old"]
