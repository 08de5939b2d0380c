"""Accounts and aliases of a Postfix + Dovecot pair: taken by one command each, and people log in with their old passwords."""

import imaplib

import pytest

from postroom import wait_for

SHA512 = ("{SHA512-CRYPT}$6$ucGRHpQtCv1ttU77$aoAthfqagGz1XBy/T7sbg0nG6qfsi.CkfttfwTuyuwPCNAOMM0PYBTy6dWK6jR8L4Q7gfmlYAlCkK0XSPOxis.")
BCRYPT = "{BLF-CRYPT}$2y$05$PYQzd6FQT3x/o6M58Yc4A.6C3oJbpU3XcN7j0HIRy7QpcIidnZe1G"
ARGON2 = ("{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$cYa6doZVnEOasEMXqbHPUQ$HaFWz/k7MQmDEtyzEPxqfES0aXWQEw6mHYhcAhzaAiw")
PASSWORD = "pässword 1"

USERS = f"""# users of the old server
carol@example.test:{SHA512}:5000:5000::/var/vmail/carol::userdb_quota_rule=*:storage=1G
dave:{BCRYPT}:5000:5000::/var/vmail/dave::
erin@example.test:{ARGON2}
frank@example.test:{{PLAIN}}{PASSWORD}
grace@example.test:{{CRAM-MD5}}0123456789abcdef
heidi@elsewhere.test:{SHA512}
not a user
"""

VIRTUAL = """# what Postfix's virtual_alias_maps held
example.test            anything
info@example.test       carol@example.test, dave@example.test
                        someone@elsewhere.example
@example.test           carol@example.test
alice@example.test      alice@example.test
bob@example.test        bob@example.test, bob@elsewhere.example
"""

ALIASES = """root: carol
backup: "|/usr/local/bin/backup"
"""


@pytest.fixture(scope="module")
def moved(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("old-server")
    (folder / "users").write_text(USERS)
    (folder / "virtual").write_text(VIRTUAL)
    (folder / "aliases").write_text(ALIASES)
    return server, folder


def connect(server):
    return imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"), ssl_context=server.tls_context())


def log_in(server, name):
    with connect(server) as imap:
        imap.authenticate("PLAIN", lambda _: f"\0{name}@example.test\0{PASSWORD}".encode())


def offers_scram(server):
    with connect(server) as imap:
        return "AUTH=SCRAM-SHA-256" in imap.capabilities


def test_accounts_come_with_their_passwords_and_quotas(moved):
    server, folder = moved
    words = ["account", "import", str(folder / "users"), "--domain", "example.test", "--json"]
    dry = server.run(*words, "--dry-run")
    assert dry.returncode == 1 and '"added":4' in dry.stdout.replace(" ", "")
    assert server.run("account", "show", "carol@example.test").returncode == 3
    done = server.run(*words)
    assert done.returncode == 1
    assert '"added":4,"known":0,"refused":3' in done.stdout.replace(" ", "")
    assert "users:6: the hash has a scheme that is not known here; make that account by postroom account add grace@example.test" in done.stderr
    assert "users:7: there is no domain elsewhere.test" in done.stderr
    assert "users:8: not of the form user:password:..." in done.stderr
    assert PASSWORD not in done.stderr and "$6$" not in done.stderr
    assert server.json("account", "show", "carol@example.test")["quota_bytes"] == 1 << 30
    again = server.run(*words)
    assert '"added":0,"known":4,"refused":3' in again.stdout.replace(" ", "")


def test_old_passwords_work_and_become_our_own(moved):
    server, _ = moved
    hashed = {row["account"] for row in server.json("account", "list", "--no-scram")}
    assert hashed == {f"{name}@example.test" for name in ("carol", "dave", "erin")}
    with connect(server) as imap:
        with pytest.raises(imaplib.IMAP4.error):
            imap.login("carol@example.test", "wrong")
    wait_for("no SCRAM", lambda: not offers_scram(server))
    for name in ("carol", "dave", "erin", "frank"):
        log_in(server, name)
        log_in(server, name)
    assert server.json("account", "list", "--no-scram") == []
    wait_for("SCRAM", lambda: offers_scram(server))


def test_aliases_come_with_their_targets(moved):
    server, folder = moved
    words = ["alias", "import", str(folder / "virtual"), "--json"]
    done = server.run(*words)
    assert done.returncode == 1
    assert '"added":2,"known":2,"refused":1' in done.stdout.replace(" ", "")
    assert ("virtual:7: bob@example.test is an account; to forward its mail: "
            "postroom rule add bob@example.test --forward bob@elsewhere.example --copy INBOX") in done.stderr
    rows = {row["alias"]: row["targets"] for row in server.json("alias", "list")}
    assert rows["info@example.test"] == ["carol@example.test", "dave@example.test", "someone@elsewhere.example"]
    assert server.json("domain", "show", "example.test")["catch_all"] == "carol@example.test"
    assert '"added":0,"known":4,"refused":1' in server.run(*words).stdout.replace(" ", "")
    done = server.run("alias", "import", str(folder / "aliases"), "--domain", "example.test")
    assert done.returncode == 1
    assert "aliases:2: " in done.stderr and "is no address" in done.stderr
    rows = {row["alias"]: row["targets"] for row in server.json("alias", "list")}
    assert rows["root@example.test"] == ["carol@example.test"]


def test_a_password_in_clear_may_begin_as_a_locked_one(moved):
    server, folder = moved
    (folder / "clear").write_text("ivan@example.test:!a long password\n")
    server.postroom("account", "import", folder / "clear", "--scheme", "PLAIN")
    with connect(server) as imap:
        imap.login("ivan@example.test", "!a long password")
