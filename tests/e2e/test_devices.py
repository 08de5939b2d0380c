"""Devices of an account: listed with their last use, told of when they are new, ended and kept out."""

import contextlib
import imaplib

import pytest

import postroom


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice", "bob", "carol"), conf="workers 2\nfailure-delay 0\nnew-device-notice yes\n") as instance:
        instance.start()
        yield instance


def log_in(server, user, password=None, program=None, version="1.0"):
    """An IMAP session that says its name behind the login, as most programs do."""
    imap = imaplib.IMAP4("127.0.0.1", server.port("imap"), timeout=postroom.DEADLINE_S)
    imap.login(server.address(user), password or server.password(user))
    if program:
        imap.xatom("ID", f'("name" "{program}" "version" "{version}")')
    return imap


def devices(server, user):
    return {row["name"]: row for row in server.json("device", "list", server.address(user))}


def has(server, user, *names):
    def look():
        found = devices(server, user)
        return found if set(names) <= set(found) else None
    try:
        return postroom.wait_for(f"devices {names}", look)
    except AssertionError:
        raise AssertionError(f"{devices(server, user)}\n{server.log()[-4000:]}") from None


def is_ended(imap):
    with contextlib.suppress(imaplib.IMAP4.error, OSError):
        imap.noop()
        return False
    return True


def test_devices_are_listed_with_last_use_and_how_far_they_have_seen(server):
    server.send(postroom.message(), to="alice")
    imap = log_in(server, "alice", program="Thunderbird", version="140.5")
    imap.select("INBOX")
    imap.logout()
    found = has(server, "alice", "Thunderbird")
    postroom.wait_for("the end of the session is written down", lambda: devices(server, "alice")["Thunderbird"]["modseq"])
    row = found["Thunderbird"]
    assert (row["logins"], row["protocol"], row["address"], row["client"]) == (1, "imap", "127.0.0.1", "Thunderbird 140.5")
    log_in(server, "alice", program="Thunderbird", version="141.0").logout()    # an update makes no new device
    postroom.wait_for("two logins", lambda: devices(server, "alice")["Thunderbird"]["logins"] == 2)
    with pytest.raises(imaplib.IMAP4.error):
        log_in(server, "alice", password="wrong")
    rows = postroom.wait_for("the failure is written down", lambda: [
        r for r in server.json("account", "logins", server.address("alice")) if r["result"] == "bad-credentials"])
    assert (rows[0]["protocol"], rows[0]["address"]) == ("imap", "127.0.0.1")
    assert server.run("device", "list", "nobody@example.test").returncode == 3


def test_a_new_device_is_told_of_in_the_inbox_once_and_the_first_one_is_not(server):
    log_in(server, "bob", program="Thunderbird").logout()
    has(server, "bob", "Thunderbird")
    assert server.files("bob") == []
    for _ in range(2):
        log_in(server, "bob", program="Evil Mail").logout()
    has(server, "bob", "Evil Mail")
    files = postroom.wait_for("a notice", lambda: server.files("bob"))
    text = files[0].read_text()
    assert "Subject: A new device uses your mailbox\n" in text.replace("\r", "")
    assert "Evil Mail 1.0" in text and "127.0.0.1" in text and "Auto-Submitted: auto-generated" in text
    postroom.wait_for("both logins", lambda: devices(server, "bob")["Evil Mail"]["logins"] == 2)
    with server.submission("bob"):      # a program without a name, from where bob is known: no news
        pass
    has(server, "bob", "SMTP program")
    assert len(server.files("bob")) == 1


def test_a_removed_device_is_ended_and_stays_out(server):
    app = server.json("app-password", "add", server.address("carol"), "phone")["password"]
    phone = log_in(server, "carol", password=app, program="Phone Mail")
    laptop = log_in(server, "carol", program="Thunderbird")
    assert has(server, "carol", "phone", "Thunderbird")["phone"]["client"] == "Phone Mail 1.0"
    assert "1 session ended" in server.postroom("device", "remove", server.address("carol"), "phone")
    assert is_ended(phone) and not is_ended(laptop)
    with pytest.raises(imaplib.IMAP4.error):
        log_in(server, "carol", password=app)
    assert set(devices(server, "carol")) == {"Thunderbird"}
    assert server.run("device", "remove", server.address("carol"), "phone").returncode == 3
    said = server.postroom("device", "remove", server.address("carol"), devices(server, "carol")["Thunderbird"]["id"])
    assert "postroom account password" in said and is_ended(laptop)


def test_kick_ends_the_sessions_of_an_account_in_every_daemon_or_one_of_them(server):
    imaps = [log_in(server, "alice") for _ in range(3)]
    pop = server.pop3("alice")
    other = log_in(server, "bob")
    mail = server.submission("alice")
    sid = [row["sid"] for row in server.json("sessions", server.address("alice")) if row["protocol"] == "imap"][0]
    assert server.json("kick", sid) == {"ended": 1}
    assert [is_ended(i) for i in imaps].count(True) == 1
    assert server.json("kick", server.address("alice")) == {"ended": 4}
    assert all(is_ended(i) for i in imaps) and not is_ended(other)
    with pytest.raises(Exception):
        pop.noop()
    with pytest.raises(Exception):
        mail.docmd("MAIL FROM:<alice@example.test>")
        mail.docmd("NOOP")
    assert server.run("kick", "feedbeef").returncode == 3
    log_in(server, "alice").logout()            # kicked, not locked out
