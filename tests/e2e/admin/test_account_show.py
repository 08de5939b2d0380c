"""postroom account show: everything that an administrator asks first, in one place."""

import poplib

import pytest

import postroom
from postroom import wait_for


def test_one_command_shows_the_account_with_its_devices_passwords_and_blocks(fresh_server):
    server = fresh_server
    alice = server.address("alice")
    server.postroom("alias", "add", "info@example.test", alice, server.address("bob"))
    server.postroom("send-as", "add", alice, "press@example.net")
    server.postroom("app-password", "add", alice, "phone", "--protocols", "imap")
    server.postroom("account", "set", alice, "--quota", "1G")
    server.send(postroom.message())
    with server.imap("alice") as imap:
        imap.xatom("ID", '("name" "Thunderbird" "version" "140.5" "os" "Linux")')
        imap.select("INBOX")
        wait_for("the session is counted", lambda: server.json("account", "show", alice)["sessions"] == 1)
    wait_for("the device is written down", lambda: server.json("account", "show", alice)["devices"])
    shown = server.json("account", "show", alice)
    assert shown["addresses"] == [alice, "info@example.test"] and shown["may_send_as"] == ["press@example.net"]
    assert (shown["state"], shown["has_password"], shown["hashed"]) == ("active", True, False)
    assert (shown["quota_bytes"], shown["used_messages"], shown["sessions_limit"]) == (1 << 30, 1, 100)
    assert [(row["label"], row["protocols"]) for row in shown["app_passwords"]] == [("phone", ["imap"])]
    device = shown["devices"][0]
    assert (device["name"], device["protocol"], device["address"]) == ("Thunderbird", "imap", "127.0.0.1")
    wait_for("what the device has seen is known", lambda: server.json("account", "show", alice)["devices"][0]["modseq"])
    assert shown["blocks"] == []
    text = server.postroom("account", "show", alice)
    for title in ("account ", "addresses ", "Blocks in force\nNone.\n", "App passwords\nNUMBER", "Devices, their last logins"):
        assert title in text, text
    assert server.run("account", "show", "nobody@example.test").returncode == 3


def test_an_account_that_is_being_guessed_at_and_held_says_so():
    conf = "failures-per-account 1\nfailure-delay 0s\nexempt-networks never\n"
    with postroom.Instance(accounts=("bob",), conf=conf) as server:
        server.start()
        bob = server.address("bob")
        pop = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"), context=server.tls_context())
        pop.user(bob)
        with pytest.raises(poplib.error_proto):
            pop.pass_("wrong")
        pop.close()
        wait_for("smtpd has made its lists", lambda: server.run("hold", "list").returncode == 0)
        server.postroom("hold", "add", "--user", bob)
        shown = server.json("account", "show", bob)
        assert [row["what"] for row in shown["blocks"]] == ["logins from addresses that it is not known to use",
                                                            "mail that it sends waits"]
        assert shown["blocks"][0]["until"] and shown["blocks"][1]["until"] is None
