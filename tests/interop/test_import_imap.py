"""Accounts move here from a real Dovecot (Debian's package) over IMAP, and catch up: the second run transfers no message."""

import imaplib
import pathlib
import re
import sys

import pytest

import postroom
import test_import

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.counting_proxy import Proxy  # noqa: E402

place = test_import.place


@pytest.fixture
def fresh():
    with postroom.Instance() as instance:
        instance.start(only="imapd")
        yield instance


@pytest.mark.parametrize("layout", ["", "fs"])
def test_dovecots_mail_comes_over_and_a_second_run_brings_nothing(fresh, place, layout):
    old = test_import.Dovecot(place, layout)
    try:
        test_import.fill(old)
        imap = old.imap()
        imap.create('"Gesendet"')
        fresh.add_account("dora", test_import.PASSWORD)
        with Proxy(old.imap_port) as proxy:
            def run():
                proxy.asked = b""
                return {row["from"]: row for row in fresh.json(
                    "import", "imap", "--host", "127.0.0.1", "--port", str(proxy.port), "--tls", "none", "--user",
                    "dora@example.test", "--password-file", place / "password", "--account", "dora@example.test")}

            (place / "password").write_text(test_import.PASSWORD + "\n")
            rows = run()
            assert all(row["imported"] == row["messages"] and row["left_out"] == 0 for row in rows.values()), rows
            compare(old, imap, fresh)
            rows = run()
            assert proxy.bodies() == 0 and sum(row["imported"] for row in rows.values()) == 0, rows
            assert rows["INBOX"]["already_there"] == 13
            # What changes there comes with the next run, and nothing else.
            imap.select("INBOX")
            imap.store("1", "FLAGS", r"(\Answered $other)")
            imap.append("INBOX", "", None, test_import.letter(200, "INBOX"))
            rows = run()
            assert proxy.bodies() == 1 and rows["INBOX"]["imported"] == 1 and rows["INBOX"]["flags_changed"] == 1, rows
            compare(old, imap, fresh)
        imap.logout()
        print(f"\ndovecot: {sum(row['messages'] for row in rows.values())} messages in {len(rows)} mailboxes, "
              "0 fetched by the second run")
    finally:
        old.stop()


def compare(old, imap, fresh):
    """Every message has its octets, flags, keywords and date; every mailbox its name."""
    with fresh.imap("dora") as new:
        for name in old.mailboxes:
            there = messages(imap, f'"{name.replace("/", old.separator)}"')
            assert messages(new, f'"{name}"') == there, name
        subscribed = b"".join(new.lsub()[1])
        assert b"Entw&APw-rfe" in subscribed


def messages(imap, quoted):
    assert imap.select(quoted, readonly=True)[0] == "OK", quoted
    _, rows = imap.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
    found = []
    for row in rows:
        if isinstance(row, tuple):
            flags = frozenset(re.search(rb"FLAGS \(([^)]*)\)", row[0]).group(1).split()) - {rb"\Recent"}
            found.append((row[1], flags, imaplib.Internaldate2tuple(row[0])))
    return found
