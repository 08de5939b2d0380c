"""Postroom as the server under test, with the same interface as peer.Peer."""

import os
import pathlib
import shutil
import tempfile

import postroom
from machine import cpu_by_process, cpu_ns

# Every account gets it: 30 rules, none of which takes the bench's mail out of INBOX.
RULES = 'require ["fileinto", "imap4flags"];\n' + "".join(
    f'if header :contains ["list-id", "subject"] "list-{n}.example.net" {{ fileinto "List{n}"; stop; }}\n' if n % 3 else
    f'if address :domain :is ["from", "sender"] "shop-{n}.example.net" {{ addflag "\\\\Seen"; fileinto "Shop{n}"; stop; }}\n'
    for n in range(30))


class Postroom:
    """A fresh instance with accounts, the settings that `init` writes, and what a scenario may ask about it."""

    name = "Postroom"

    def __init__(self, work, accounts):
        self.instance = postroom.Instance(accounts=[f"user{i}" for i in range(accounts)],
                                          root=pathlib.Path(tempfile.mkdtemp(prefix="postroom-", dir=work)))
        self.root = self.instance.root
        self.users = self.root / "bench-users"
        self.users.write_text("".join(f"{address} {password}\n" for address, password in self.instance.passwords.items()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.instance.start()

    def stop(self):
        try:
            self.instance.stop()
        finally:
            self.instance.stop()        # nothing to do, unless the bench was stopped in the middle of it

    def set_login(self, login):
        """There is one way only in which our processes serve."""

    def port(self, name):
        return self.instance.port(name)

    def pids(self, program=None):
        return self.instance.pids(program) if self.instance.process else []

    def cpu_us(self):
        return cpu_ns(self.pids()) / 1000

    def cpu_by_process(self):
        return cpu_by_process(self.pids())

    def maildir(self, number):
        return self.instance.maildir(f"user{number}")

    def drop_index(self, number):
        shutil.rmtree(self.maildir(number).parent / "index")

    def first_user(self):
        """A file that names the first account only."""
        path = self.root / "bench-first-user"
        path.write_text(self.users.read_text().splitlines()[0] + "\n")
        return path

    def give_rules(self):
        path = self.root / "rules.sieve"
        path.write_text(RULES)
        for address in self.instance.passwords:
            self.instance.postroom("sieve", "put", address, str(path), "--activate")

    def count_messages(self):
        return sum(len(os.listdir(path)) for path in (self.root / "mail").glob("*/*/Maildir/*") if path.name in ("cur", "new"))

    def wait_for_messages(self, count):
        """They are in the mailboxes when the 250 is there: None, nothing to wait for."""
