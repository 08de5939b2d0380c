"""Mail from people who log in: who may, as whom, and what is mended on the way."""

import base64
import hashlib
import re
import smtplib

import pytest

import scram
from dialogue import SENDER, added, data, envelope, login, only_file, submit, talk
from postroom import wait_for


def b64(text):
    return base64.b64encode(text.encode()).decode()


def mail_of(server, user, extra="", body="Hello.\r\n"):
    return f"From: <{server.address(user)}>\r\nTo: x@elsewhere.example\r\n{extra}\r\n{body}".encode()


def received_lines(octets):
    """What stands below Return-Path and Received."""
    return re.sub(rb"\AReturn-Path: [^\n]*\n(Received: [^\n]*\n(\t[^\n]*\n)+)", b"", octets)


@pytest.mark.parametrize("name", ["submission", "submissions"])
def test_standard_clients_log_in_and_send_over_tls(server, user, other, name):
    with server.submission(user, implicit=name == "submissions") as smtp:
        smtp.sendmail(server.address(user), [server.address(other)], mail_of(server, user))
    octets = only_file(server, other)
    assert re.search(rb"with ESMTPSA id ", octets)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_password_mechanisms_of_smtplib(server, user, mechanism):
    with smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"), context=server.tls_context()) as smtp:
        smtp.ehlo("localhost")
        smtp.user, smtp.password = server.address(user), server.password(user)
        code, _ = smtp.auth(mechanism, getattr(smtp, f"auth_{mechanism.lower()}"))
        assert code == 235


def test_ehlo_offers_login_over_tls_and_where_plaintext_is_allowed(server):
    with talk(server, "submissions", tls=True, hello=False) as line:
        line.send("EHLO x\r\n")
        texts = line.reply()[1]
        auth = [text for text in texts if text.startswith("AUTH ")]
        assert auth and set(auth[0].split()[1:]) == {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
                                                        "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}
        assert "STARTTLS" not in texts


def test_login_mechanism_word_by_word(server, user):
    with talk(server, "submission") as line:
        line.send("AUTH LOGIN\r\n")
        assert line.reply() == (334, ["VXNlcm5hbWU6"])
        line.send(b64(server.address(user)) + "\r\n")
        assert line.reply() == (334, ["UGFzc3dvcmQ6"])
        assert line.smtp(b64(server.password(user))) == 235
        line.send("AUTH LOGIN\r\n")
        assert line.reply()[0] == 503
    with talk(server, "submission") as line:         # cloud Outlook sends the name at once
        line.send(f"AUTH LOGIN {b64(server.address(user))}\r\n")
        assert line.reply() == (334, ["UGFzc3dvcmQ6"])
        assert line.smtp(b64(server.password(user))) == 235


def test_plain_with_and_without_initial_response(server, user):
    token = b64(f"\0{server.address(user)}\0{server.password(user)}")
    with talk(server, "submission") as line:
        line.send("AUTH PLAIN\r\n")
        assert line.reply() == (334, [""])
        assert line.smtp(token) == 235
    with talk(server, "submission") as line:
        assert line.smtp(f"auth plain {token}") == 235


def test_scram_proves_both_sides(server, user):
    with talk(server, "submissions", tls=True) as line:
        client = scram.Client(server.address(user), server.password(user))
        line.send(f"AUTH SCRAM-SHA-256 {client.initial()}\r\n")
        code, texts = line.reply()
        assert code == 334
        line.send(client.proof(texts[0]) + "\r\n")
        code, texts = line.reply()
        assert code == 334
        client.verify(texts[0])
        assert line.smtp("") == 235
        envelope(line, server, user, sender=server.address(user))


def scram_login(line, client, mechanism="SCRAM-SHA-256"):
    line.send(f"AUTH {mechanism} {client.initial()}\r\n")
    code, texts = line.reply()
    assert code == 334
    line.send(client.proof(texts[0]) + "\r\n")
    code, texts = line.reply()
    if code != 334:
        return code
    client.verify(texts[0])
    return line.smtp("")


def test_scram_plus_is_bound_to_this_very_connection(server, user):
    for mechanism, name in (("SCRAM-SHA-256-PLUS", "sha256"), ("SCRAM-SHA-1-PLUS", "sha1")):
        with talk(server, "submissions", tls=True) as line:
            certificate = hashlib.sha256(line.sock.getpeercert(binary_form=True)).digest()
            client = scram.Client(server.address(user), server.password(user), binding=certificate, hash=name)
            assert scram_login(line, client, mechanism) == 235
    with talk(server, "submissions", tls=True) as line:
        client = scram.Client(server.address(user), server.password(user), binding=bytes(32))
        assert scram_login(line, client, "SCRAM-SHA-256-PLUS") == 535
    with talk(server, "submission") as line:
        line.send("AUTH SCRAM-SHA-256-PLUS\r\n")
        assert line.reply()[0] == 504


def test_an_app_password_is_good_for_its_protocols_until_it_is_revoked(server, user):
    address = server.address(user)
    phone = server.json("app-password", "add", address, "phone")["password"]
    reader = server.json("app-password", "add", address, "reader", "--protocols", "imap")["password"]
    rows = {row["label"]: row["protocols"] for row in server.json("app-password", "list", address)}
    assert rows == {"phone": ["imap", "pop3", "submission", "managesieve"], "reader": ["imap"]}
    with talk(server, "submission") as line:
        assert line.smtp(f"AUTH PLAIN {b64(chr(0) + address + chr(0) + phone)}") == 235
    with talk(server, "submission") as line:
        assert scram_login(line, scram.Client(address, phone)) == 235
    with talk(server, "submission") as line:
        assert scram_login(line, scram.Client(address, phone, hash="sha1"), "SCRAM-SHA-1") == 235
    with talk(server, "submission") as line:
        assert scram_login(line, scram.Client(address, server.password(user))) == 235
    with talk(server, "submission") as line:
        assert line.smtp(f"AUTH PLAIN {b64(chr(0) + address + chr(0) + reader)}") == 535
        assert scram_login(line, scram.Client(address, reader)) == 535
    # A password that is barred is so by its proof, too.
    server.postroom("account", "set", address, "--password-protocols", "none")
    for secret, code in ((server.password(user), 535), (phone, 235)):
        with talk(server, "submission") as line:
            assert scram_login(line, scram.Client(address, secret)) == code
    server.postroom("account", "set", address, "--password-protocols", "imap,pop3,submission,managesieve")
    server.postroom("app-password", "revoke", address, "phone")
    server.postroom("app-password", "revoke", address, "reader")
    assert server.run("app-password", "revoke", address, "reader").returncode == 3
    with talk(server, "submission") as line:
        assert line.smtp(f"AUTH PLAIN {b64(chr(0) + address + chr(0) + phone)}") == 535
        assert scram_login(line, scram.Client(address, phone)) == 535


def test_an_app_password_may_be_good_for_a_time_and_from_somewhere_only(server, user):
    address = server.address(user)
    near = server.json("app-password", "add", address, "near", "--from", "127.0.0.0/24,2001:db8::/32", "--expires", "90d")["password"]
    far = server.json("app-password", "add", address, "far", "--from", "192.0.2.0/24")["password"]
    soon = server.json("app-password", "add", address, "soon", "--expires", "1s")["password"]
    for wrong in (["--from", "192.0.2.1/24"], ["--from", ""], ["--from", ",".join(f"192.0.2.{n}" for n in range(9))], ["--expires", "0d"],
                  ["--expires", "never"]):
        assert server.run("app-password", "add", address, "none", *wrong).returncode == 2, wrong
    rows = {row["label"]: row for row in server.json("app-password", "list", address)}
    assert rows["near"]["from"] == ["127.0.0.0/24", "2001:db8::/32"] and rows["near"]["expires"] and rows["near"]["used"] is None
    assert rows["far"]["from"] == ["192.0.2.0/24"] and rows["far"]["expires"] is None
    assert "EXPIRES" in server.postroom("app-password", "list", address)

    def answer(secret):
        with talk(server, "submission") as line:
            line.send(f"AUTH PLAIN {b64(chr(0) + address + chr(0) + secret)}\r\n")
            return line.reply()

    assert answer(near)[0] == 235
    assert answer(far) == (535, ["5.7.8 This app password is not good from your address"])
    with talk(server, "submission") as line:
        assert scram_login(line, scram.Client(address, near)) == 235
    with talk(server, "submission") as line:
        assert scram_login(line, scram.Client(address, far)) == 535
    wait_for("it has expired", lambda: answer(soon) == (535, ["5.7.8 This app password has expired"]))
    wait_for("the use is written down", lambda: {row["label"]: row for row in server.json("app-password", "list", address)}["near"]["used"])


def test_a_grant_lets_an_account_send_as_another_address(server, user):
    address = server.address(user)
    with talk(server, "submission") as line:
        login(line, server, user)
        assert line.smtp("MAIL FROM:<press@example.net>") == 550
    server.postroom("send-as", "add", address, "press@example.net")
    assert {"account": address, "address": "press@example.net"} in server.json("send-as", "list", address)
    with talk(server, "submission") as line:
        login(line, server, user)
        assert line.smtp("MAIL FROM:<press@example.net>") == 250
    server.postroom("send-as", "remove", address, "press@example.net")
    with talk(server, "submission") as line:
        login(line, server, user)
        assert line.smtp("MAIL FROM:<press@example.net>") == 550


def test_wrong_logins_look_the_same_and_the_third_ends_the_session(make_server):
    server = make_server("failure-delay 0")
    answers = []
    with talk(server, "submission") as line:
        for name, password in (("alice", "wrong"), ("nobody", "wrong"), ("bob", "")):
            line.send(f"AUTH PLAIN {b64(chr(0) + server.address(name) + chr(0) + (password or 'x'))}\r\n")
            answers.append(line.reply())
        assert line.at_end()
    assert answers == [(535, ["5.7.8 User name or password wrong"])] * 3
    with talk(server, "submission") as line:
        client = scram.Client(server.address("alice"), "wrong")
        line.send(f"AUTH SCRAM-SHA-256 {client.initial()}\r\n")
        line.send(client.proof(line.reply()[1][0]) + "\r\n")
        assert line.reply()[0] == 535
        login(line, server, "alice")


def test_broken_and_cancelled_exchanges_end_that_exchange_only(server, user):
    with talk(server, "submission") as line:
        assert line.smtp("AUTH") == 501
        assert line.smtp("AUTH NTLM") == 504
        assert line.smtp("AUTH PLAIN ###") == 501
        assert line.smtp("AUTH PLAIN") == 334
        assert line.smtp("*") == 501
        assert line.smtp("AUTH LOGIN") == 334
        assert line.smtp("not base64!") == 501
        assert line.smtp("NOOP") == 250
        login(line, server, user)


def test_an_absurdly_long_response_ends_the_session(server):
    with talk(server, "submission") as line:
        assert line.smtp("AUTH PLAIN") == 334
        line.send("A" * 20000 + "\r\n")
        assert line.reply()[0] == 500
        assert line.at_end()


def test_without_tls_no_password_is_asked_for_where_the_rule_says_so(make_server):
    server = make_server("plaintext-auth never")
    with talk(server, "submission", hello=False) as line:
        line.send("EHLO x\r\n")
        texts = line.reply()[1]
        assert "STARTTLS" in texts
        assert not any("PLAIN" in text or "LOGIN" in text for text in texts)
        for command in (f"AUTH PLAIN {b64(chr(0) + 'alice@example.test' + chr(0) + server.password('alice'))}", "AUTH LOGIN",
                        "MAIL FROM:<alice@example.test>"):
            line.send(command + "\r\n")
            code, answer = line.reply()
            assert (code, answer[0][:5]) == (530, "5.7.0"), command
            assert "STARTTLS" in answer[0]
        assert line.smtp("STARTTLS") == 220
        line.start_tls(server.tls_context())
        assert line.smtp("EHLO x") == 250
        login(line, server, "alice")


def test_nobody_sends_without_logging_in(server):
    with talk(server, "submissions", tls=True) as line:
        line.send("MAIL FROM:<alice@example.test>\r\n")
        assert line.reply() == (530, ["5.7.0 Authentication required"])
        assert line.smtp("RCPT TO:<bob@example.test>") == 503


def test_a_login_does_not_survive_starttls(server, user):
    with talk(server, "submission") as line:
        login(line, server, user)
        assert line.smtp("STARTTLS") == 220
        line.start_tls(server.tls_context())
        assert line.smtp("EHLO x") == 250
        assert line.smtp(f"MAIL FROM:<{server.address(user)}>") == 530


@pytest.mark.parametrize("hello", ["EHLO [192.168.0.2]", "EHLO ehlo.thunderbird.net", "EHLO localhost", "EHLO", "HELO", "EHLO a b c",
                                   "EHLO <x>", "EHLO -_-", "EHLO J\u00fcrgens-PC"])
def test_what_a_mail_program_calls_itself_is_not_judged(server, user, hello):
    with talk(server, "submission", hello=False) as line:
        assert line.smtp(hello) == 250
        login(line, server, user)
        envelope(line, server, user, sender=server.address(user))
        assert data(line, mail_of(server, user)) == 250


def test_not_even_its_character_set(server, user, other):
    with talk(server, "submission", hello=False) as line:
        line.send(b"EHLO J\xfcrgens PC\r\n")
        assert line.reply()[0] == 250
        login(line, server, user)
        envelope(line, server, other, sender=server.address(user))
        assert data(line, mail_of(server, user)) == 250
    assert b"Received: from J?rgens?PC (" in only_file(server, other)


def test_spaces_and_missing_brackets_of_old_programs_are_understood(server, user, other):
    with submit(server, user) as line:
        for mail, rcpt in (("MAIL FROM: <%s>", "RCPT TO: <%s>"), ("MAIL FROM:%s", "RCPT TO:%s"),
                           ("mail from: %s SIZE=100", "rcpt to: %s ")):
            assert line.smtp(mail % server.address(user)) == 250
            assert line.smtp(rcpt % server.address(other)) == 250
            assert data(line, mail_of(server, user)) == 250
    assert len(server.files(other)) == 3


def test_a_sender_must_be_ones_own(server, user, other):
    with submit(server, user) as line:
        for sender in (server.address(other), "somebody@elsewhere.example"):
            line.send(f"MAIL FROM:<{sender}>\r\n")
            code, texts = line.reply()
            assert code == 550 and texts[0].startswith("5.7.1")
            assert server.address(user) in texts[0] and sender in texts[0]
            assert f"postroom send-as add {server.address(user)} {sender}" in texts[1]
        server.postroom("alias", "add", f"alias-{user}@example.test", server.address(user))
        for sender in (server.address(user), f"{user}+tag@example.test", f"alias-{user}@example.test", f"{user.upper()}@EXAMPLE.TEST"):
            assert line.smtp(f"MAIL FROM:<{sender}>") == 250, sender
            assert line.smtp("RSET") == 250


def test_a_from_field_must_be_ones_own_too(server, user, other):
    with submit(server, user) as line:
        for header, code in ((f"From: <{server.address(other)}>", 550), ("From: x@elsewhere.example", 550),
                             (f"From: {server.address(user)}, {server.address(other)}", 550),
                             (f"From: {server.address(user)}\r\nFrom: {server.address(user)}", 554),
                             ("Subject: no author", 554), ("From: nobody at all", 501), ("From: undisclosed:;", 554),
                             (f"From: =?utf-8?q?Me?= <{user}+x@example.test>", 250)):
            envelope(line, server, other, sender=server.address(user))
            assert data(line, f"{header}\r\n\r\ntext\r\n".encode()) == code, header
    assert len(server.files(other)) == 1


def test_read_receipts_have_the_null_sender(server, user, other):
    with submit(server, user) as line:
        envelope(line, server, other, sender="")
        assert data(line, mail_of(server, user)) == 250


def test_missing_fields_are_added_and_bcc_goes_nowhere(server, user, other):
    with submit(server, user) as line:
        envelope(line, server, other, sender=server.address(user))
        assert data(line, mail_of(server, user, "Bcc: secret@elsewhere.example,\r\n\tmore@elsewhere.example\r\n"
                                  "Return-Path: <forged@x>\r\nSubject: x\r\n")) == 250
    octets = received_lines(only_file(server, other))
    assert re.fullmatch(
        rf"From: <{server.address(user)}>\r\nTo: x@elsewhere\.example\r\nSubject: x\r\n"
        r"Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} \+0000\r\n"
        r"Message-ID: <[0-9a-z]{16}@mail\.example\.test>\r\n\r\nHello\.\r\n", octets.decode())


def test_fields_that_are_there_stay_as_they_are(server, user, other):
    message = mail_of(server, user, "Date: today\r\nMessage-Id: <own@id>\r\nBcc-Not: stays\r\n")
    with submit(server, user) as line:
        envelope(line, server, other, sender=server.address(user))
        assert data(line, message) == 250
    added(only_file(server, other), message)


def test_a_header_without_bounds_is_refused(server, user, other):
    with submit(server, user) as line:
        for extra in ("X-Long: " + "x" * 60 + ("\r\n " + "y" * 60) * 1700 + "\r\n", ("X-Many: " + "x" * 60 + "\r\n") * 16000):
            envelope(line, server, other, sender=server.address(user))
            line.smtp("DATA")
            line.send(mail_of(server, user, extra) + b".\r\n")
            assert line.reply() == (552, ["5.3.4 Header is larger than allowed"])
    assert server.files(other) == []


def test_500_recipients_are_taken_and_no_more(server, user):
    with submit(server, user) as line:
        assert line.smtp(f"MAIL FROM:<{server.address(user)}>") == 250
        line.send("".join(f"RCPT TO:<friend{n}@elsewhere.example>\r\n" for n in range(501)))
        assert [line.reply()[0] for _ in range(501)] == [250] * 500 + [452]
        assert data(line, mail_of(server, user)) == 250
    row, = [row for row in server.json("queue", "list") if row["from"] == server.address(user)]
    assert len(server.json("queue", "show", row["id"])["recipients"]) == 500


def test_an_account_that_is_switched_off_cannot_send(server, user):
    server.postroom("account", "disable", server.address(user))
    with talk(server, "submission") as line:
        line.send(f"AUTH PLAIN {b64(chr(0) + server.address(user) + chr(0) + server.password(user))}\r\n")
        assert line.reply()[0] == 535


def test_passwords_reach_no_log(server, user):
    with submit(server, user) as line:
        line.smtp("QUIT")
    log = server.log()
    assert server.password(user) not in log
    assert re.search(rf"event=login\.ok .*user={server.address(user)} .*mechanism=PLAIN", log)


def test_lmtp_and_port_25_take_no_part_in_this(server):
    with talk(server, "lmtp") as line:
        assert line.smtp("AUTH PLAIN AGEAYg==") == 503
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
