"""nologin, send-only, receive-only and disabled accounts: what each may do, what it is told, and where its mail goes."""

import imaplib
import poplib
import smtplib

import pytest

import postroom
from postroom import wait_for


@pytest.fixture(name="server", scope="module")
def _server():
    with postroom.Instance(accounts=("alice", "bob", "robot"), conf="workers 1\n") as server:
        server.start()
        # A state that bars somebody ends sessions, which a daemon that just begins cannot answer for.
        wait_for("all daemons answer", lambda: server.run("kick", server.address("bob")).returncode == 0)
        yield server


def set_state(server, who, *options):
    server.postroom("account", "set", server.address(who), *options)


def refused_by_imap(server, who, text):
    with pytest.raises(imaplib.IMAP4.error, match=rf"\[AUTHORIZATIONFAILED\] {text}"):
        server.imap(who)


def refused_by_pop3(server, who, text):
    with pytest.raises(poplib.error_proto, match=rf"\[SYS/PERM\] {text}"):
        server.pop3(who)


def refused_by_submission(server, who, text):
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        server.submission(who)
    assert (refused.value.smtp_code, refused.value.smtp_error) == (535, f"5.7.8 {text}".encode())


def refused_by_managesieve(server, who, text):
    with server.raw("managesieve", tls=False) as line:
        while not line.line().startswith(b"OK"):
            pass
        line.send(f'AUTHENTICATE "PLAIN" "{postroom.plain(server.address(who), server.password(who))}"\r\n')
        assert line.line().decode() == f'NO "{text}"'


def test_send_only_submits_and_has_no_mailbox(server):
    set_state(server, "robot", "--state", "send-only")
    text = "This account is for sending only"
    refused_by_imap(server, "robot", text)
    refused_by_pop3(server, "robot", text)
    refused_by_managesieve(server, "robot", text)
    with server.submission("robot") as smtp:
        smtp.sendmail(server.address("robot"), [server.address("bob")],
                      postroom.message(sender=server.address("robot"), to=server.address("bob")))
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        server.send(postroom.message(), to="robot")
    assert refused.value.recipients[server.address("robot")] == (550, b"5.2.1 This address is for sending only")
    set_state(server, "robot", "--forward", server.address("alice"))
    server.send(postroom.message(subject="for the robot"), to="robot")
    with server.imap("alice") as alice:
        assert alice.select("INBOX")[1] == [b"1"]
    set_state(server, "robot", "--state", "active")
    with server.imap("robot") as robot:
        assert robot.select("INBOX")[1] == [b"0"]


def test_receive_only_reads_and_may_not_submit(server):
    set_state(server, "bob", "--state", "receive-only", "--message", "Sending is by the shop system: ask Alice")
    refused_by_submission(server, "bob", "Sending is by the shop system: ask Alice")
    server.send(postroom.message(), to="bob")
    server.pop3("bob").quit()
    with server.imap("bob") as bob:
        assert int(bob.select("INBOX")[1][0]) > 0
    set_state(server, "bob", "--state", "active", "--message", "none")
    server.submission("bob").quit()


def test_disabling_ends_sessions_and_says_why_and_enabling_gives_back_what_was(server):
    set_state(server, "bob", "--state", "receive-only")
    bob = server.imap("bob")
    server.postroom("account", "disable", server.address("bob"), "--message", "Call the office, 12-34")
    wait_for("bob's session is ended", lambda: not server.json("sessions", server.address("bob")))
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        bob.noop()
    refused_by_imap(server, "bob", "Call the office, 12-34")
    refused_by_pop3(server, "bob", "Call the office, 12-34")
    refused_by_submission(server, "bob", "Call the office, 12-34")
    server.send(postroom.message(), to="bob")           # mail is taken
    # A wrong password learns nothing of all that.
    right = server.passwords[server.address("bob")]
    server.passwords[server.address("bob")] = "wrong"
    with pytest.raises(poplib.error_proto, match=r"\[AUTH\] wrong user name or password"):
        server.pop3("bob")
    server.passwords[server.address("bob")] = right
    server.postroom("account", "enable", server.address("bob"))
    assert server.json("account", "show", server.address("bob"))["state"] == "receive-only"
    server.pop3("bob").quit()
    set_state(server, "bob", "--state", "active", "--message", "none")


def test_removing_an_account_ends_its_sessions(server):
    server.add_account("gone")
    gone = server.imap("gone")
    gone.select("INBOX")
    server.postroom("account", "remove", server.address("gone"), "--yes")
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        gone.noop()
    server.add_account("gone")
    gone = server.imap("gone")
    left_out = [line for line in server.postroom("apply", "--export").splitlines() if server.address("gone") not in line]
    path = server.root / "wanted"
    path.write_text("\n".join(left_out) + "\n", encoding="utf-8")
    server.postroom("apply", path, "--yes")
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        gone.noop()


def test_nologin_takes_mail_and_lets_nobody_in(server):
    set_state(server, "robot", "--state", "nologin")
    for refused in (refused_by_imap, refused_by_pop3, refused_by_submission):
        refused(server, "robot", "Nobody may log in to this account")
    server.send(postroom.message(), to="robot")
    set_state(server, "robot", "--state", "active")


def test_a_password_may_be_barred_from_mail_programs_which_take_app_passwords_then(server):
    set_state(server, "bob", "--password-protocols", "pop3")
    text = "This password is not for mail programs, take an app password"
    refused_by_imap(server, "bob", text)
    refused_by_submission(server, "bob", text)
    refused_by_managesieve(server, "bob", text)
    server.pop3("bob").quit()
    bob, another = server.address("bob"), "another password of bob"
    server.postroom("account", "password", bob, "--password-stdin", input=another + "\n")
    for password, refusal in ((server.json("app-password", "add", bob, "phone")["password"], None),
                              ("wrong", r"\[AUTHENTICATIONFAILED\]"),
                              (another, text)):      # barred as the one before
        server.passwords[bob] = password
        if refusal:
            with pytest.raises(imaplib.IMAP4.error, match=refusal):
                server.imap("bob")
        else:
            server.imap("bob").logout()
    assert server.json("account", "show", server.address("bob"))["password_protocols"] == ["pop3"]
    set_state(server, "bob", "--password-protocols", "imap,pop3,submission,managesieve")
    server.imap("bob").logout()


def test_states_go_out_and_come_in_by_every_way(server):
    set_state(server, "robot", "--state", "send-only", "--forward", "box@elsewhere.example", "--message", "Send only, please")
    set_state(server, "bob", "--state", "nologin", "--password-protocols", "none")
    text = server.postroom("apply", "--export")
    assert "account bob@example.test password-protocols none state nologin" in text.splitlines()
    assert ("account robot@example.test state send-only forward box@elsewhere.example message \"Send only, please\""
            in text.splitlines())
    exports = {".apply": text, ".csv": server.postroom("account", "export"), ".json": server.postroom("account", "export", "--json")}
    for name, content in exports.items():
        with postroom.Instance() as other:
            path = other.root / f"out{name}"
            path.write_text(content, encoding="utf-8")
            other.postroom(*(("apply", path, "--yes") if name == ".apply" else ("account", "import", path)))
            assert other.postroom("apply", "--export") == text, name
    # What a disabled account is for when it is enabled again is not lost on the way.
    server.postroom("account", "disable", server.address("bob"))
    for name in (".csv", ".json"):
        with postroom.Instance() as other:
            path = other.root / f"out{name}"
            path.write_text(server.postroom("account", "export", *(["--json"] if name == ".json" else [])), encoding="utf-8")
            other.postroom("account", "import", path)
            assert other.json("account", "show", server.address("bob"))["state"] == "disabled"
            other.postroom("account", "enable", server.address("bob"))
            assert other.json("account", "show", server.address("bob"))["state"] == "nologin", name
    server.postroom("account", "enable", server.address("bob"))
    for options in (("--state", "asleep"), ("--forward", "nobody"), ("--message", "two\nlines")):
        assert server.run("account", "set", server.address("bob"), *options).returncode == 2
    set_state(server, "robot", "--state", "active", "--forward", "none", "--message", "none")
    set_state(server, "bob", "--state", "active", "--password-protocols", "imap,pop3,submission,managesieve")
