"""Mail from anywhere for our own people: what is said, what arrives."""

import email
import os
import re
import socket

import pytest

import postroom
from dialogue import MESSAGE, SENDER, added, data, envelope, only_file, send, talk
from messages import messages


def test_ehlo_offers_what_works_and_nothing_else(server):
    with server.raw("mx") as line:
        line.reply()
        line.send("EHLO client.example\r\n")
        code, texts = line.reply()
        assert code == 250
        assert texts[0] == "mail.example.test"
        assert sorted(texts[1:]) == ["8BITMIME", "BINARYMIME", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "LIMITS MAILMAX=100 RCPTMAX=200",
                                     "PIPELINING", "SIZE 52428800",
                                     "SMTPUTF8", "STARTTLS"]


def test_helo_is_answered_by_one_line(server):
    with server.raw("mx") as line:
        line.reply()
        line.send("HELO client.example\r\n")
        assert line.reply() == (250, ["mail.example.test"])


def test_a_message_arrives_unchanged_below_return_path_and_received(server, user):
    assert send(server, user) == 250
    octets = only_file(server, user)
    top = added(octets, MESSAGE).decode()
    assert re.fullmatch(
        r"Return-Path: <sender@elsewhere\.example>\r\n"
        r"Received: from client\.example \(\[127\.0\.0\.1\]\)\r\n"
        r"\tby mail\.example\.test \(Postroom\) with ESMTP id [0-9a-z]{16}\r\n"
        rf"\tfor <{user}@example\.test>;\r\n"
        r"\t[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000\r\n", top)


def test_the_id_in_the_reply_is_in_the_header_and_in_the_log(server, user):
    with talk(server) as line:
        envelope(line, server, user)
        line.smtp("DATA")
        line.send(MESSAGE + b".\r\n")
        code, texts = line.reply()
    queue_id = re.search(r"id ([0-9a-z]{16})$", texts[0]).group(1)
    assert f" id {queue_id}".encode() in only_file(server, user)
    log = server.log()
    assert re.search(rf"event=deliver\.done .*queue_id={queue_id} .*to={user}@example\.test .*mailbox=INBOX uid=\d+", log)
    assert re.search(rf"event=smtp\.accept .*queue_id={queue_id} .*recipients=1", log)


def test_the_null_sender_is_accepted_and_written_as_one(server, user):
    with talk(server) as line:
        envelope(line, server, user, sender="")
        assert data(line) == 250
    assert only_file(server, user).startswith(b"Return-Path: <>\r\n")


def test_several_recipients_share_one_file(server, user, other):
    assert send(server, [user, other]) == 250
    first, = server.files(user)
    second, = server.files(other)
    assert os.stat(first).st_ino == os.stat(second).st_ino
    assert b"\tfor <" not in first.read_bytes()     # recipients are not told of each other


def test_a_recipient_named_twice_gets_one_copy(server, user):
    with talk(server) as line:
        envelope(line, server, [user, user])
        assert data(line) == 250
    assert len(server.files(user)) == 1


def test_names_are_found_in_any_case_and_spelling_of_the_domain(server, user):
    with talk(server) as line:
        for address in (f"{user.upper()}@EXAMPLE.TEST", f"{user}@example.test.", f"<@relay.example:{user}@example.test>",
                        f"\"{user}\"@example.test"):
            path = address if address.startswith("<") else f"<{address}>"
            assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
            assert line.smtp(f"RCPT TO:{path}") == 250, address
            assert data(line) == 250
    assert len(server.files(user)) == 4


def test_a_tag_behind_the_separator_leads_to_the_same_mailbox(server, user):
    assert send(server, f"{user}+lists.news") == 250
    assert b"+lists.news@example.test>" in only_file(server, user)


def test_an_alias_leads_to_all_its_targets(server, user, other):
    server.postroom("alias", "add", f"both-{user}@example.test", server.address(user), server.address(other))
    assert send(server, f"both-{user}") == 250
    assert len(server.files(user)) == len(server.files(other)) == 1


def test_an_alias_of_an_alias_and_its_target_in_one_message_make_one_copy(server, user):
    server.postroom("alias", "add", f"one-{user}@example.test", server.address(user))
    server.postroom("alias", "add", f"two-{user}@example.test", f"one-{user}@example.test")
    assert send(server, [f"two-{user}", user, f"one-{user}"]) == 250
    assert len(server.files(user)) == 1


def test_a_catch_all_takes_what_nobody_else_is_named(make_server):
    server = make_server()
    server.postroom("domain", "add", "other.example")
    server.postroom("account", "add", "info@other.example", "--password-stdin", input="x-secret-x\n")
    assert server.run("domain", "set", "other.example", "--catch-all", "info@other.example").returncode == 0
    assert send(server, "whoever@other.example") == 250
    assert len(server.files("info@other.example")) == 1
    with talk(server) as line:
        line.smtp(f"MAIL FROM:<{SENDER}>")
        assert line.smtp("RCPT TO:<whoever@example.test>") == 550


def test_postmaster_is_always_there(make_server):
    server = make_server(accounts=("alice",))
    assert send(server, "postmaster") == 250
    with talk(server) as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
        assert line.smtp("RCPT TO:<PostMaster>") == 250
        assert data(line) == 250
    assert len(server.files("alice")) == 2


def test_unknown_names_are_refused_with_their_code(server):
    with talk(server) as line:
        line.smtp(f"MAIL FROM:<{SENDER}>")
        line.send("RCPT TO:<nobody-here@example.test>\r\n")
        assert line.reply() == (550, ["5.1.1 No such user here"])
    assert re.search(r"event=smtp\.reject .*stage=rcpt .*to=nobody-here@example\.test reason=unknown-user", server.log())


def test_an_account_made_while_the_server_runs_gets_mail_at_once(server):
    server.add_account("newcomer")
    assert send(server, "newcomer") == 250


def test_eight_bit_content_needs_no_declaration(server, user):
    message = "Subject: Grüße\r\n\r\nnaïve ".encode() + bytes(range(128, 256)) + b"\r\n"
    assert send(server, user, message) == 250
    added(only_file(server, user), message)


def test_utf8_addresses_need_smtputf8_and_are_kept(server, user):
    with talk(server) as line:
        assert line.smtp("MAIL FROM:<gr\u00fc\u00dfe@elsewhere.example>") == 553
        assert line.smtp("MAIL FROM:<gr\u00fc\u00dfe@elsewhere.example> SMTPUTF8") == 250
        assert line.smtp(f"RCPT TO:<{server.address(user)}>") == 250
        assert data(line) == 250
    assert only_file(server, user).startswith("Return-Path: <gr\u00fc\u00dfe@elsewhere.example>\r\n".encode())
    assert b" with UTF8SMTP id " in only_file(server, user)


def test_vrfy_expn_help_noop_rset_answer_as_the_standard_says(server):
    with talk(server) as line:
        assert [line.smtp(c) for c in ("VRFY alice", "EXPN staff", "HELP", "NOOP", "NOOP x", "RSET", "VRFY", "TURN")] == \
            [252, 502, 214, 250, 250, 250, 501, 502]


def test_quit_is_answered_and_the_connection_ends(server):
    with talk(server) as line:
        assert line.smtp("QUIT") == 221
        assert line.at_end()


def test_commands_out_of_order_are_refused_and_change_nothing(server, user):
    with talk(server, hello=False) as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 503
        assert line.smtp("EHLO client.example") == 250
        assert line.smtp("DATA") == 503
        assert line.smtp(f"RCPT TO:<{server.address(user)}>") == 503
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
        assert line.smtp("DATA") == 503
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 503
        assert line.smtp(f"RCPT TO:<{server.address(user)}>") == 250
        assert line.smtp("EHLO client.example") == 250      # forgets the transaction (RFC 5321 section 4.1.4)
        assert line.smtp("DATA") == 503
    assert server.files(user) == []


def test_after_a_message_the_next_one_starts_from_nothing(server, user):
    with talk(server) as line:
        envelope(line, server, user)
        assert data(line) == 250
        assert line.smtp("DATA") == 503
        envelope(line, server, user)
        assert data(line) == 250
    assert len(server.files(user)) == 2


def test_pipelined_commands_are_answered_in_order(server, user):
    with talk(server) as line:
        line.send(f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<{server.address(user)}>\r\nDATA\r\n")
        assert [line.reply()[0] for _ in range(4)] == [250, 550, 250, 354]
        line.send(MESSAGE + b".\r\n" + f"MAIL FROM:<{SENDER}>\r\nRSET\r\nQUIT\r\n".encode())
        assert [line.reply()[0] for _ in range(4)] == [250, 250, 250, 221]
    assert len(server.files(user)) == 1


def test_a_thousand_varied_messages_arrive_byte_for_byte(server):
    server.add_account("archive")
    sent = list(messages(1000))
    for start in range(0, len(sent), 90):
        with talk(server) as line:
            for item in sent[start:start + 90]:
                envelope(line, server, "archive")
                assert data(line, item.data) == 250, item.name
    files = server.files("archive")
    assert len(files) == len(sent)
    for item, path in zip(sent, files):
        octets = path.read_bytes()
        top = added(octets, item.data)
        assert top.count(b"\r\n") == 5 and top.startswith(b"Return-Path:"), item.name
        assert f",S={len(octets)},W={len(octets)}," in path.name


def test_lines_of_any_length_up_to_64_kib_pass_and_longer_ones_are_refused(server, user):
    assert send(server, user, b"\r\n" + b"x" * 65536 + b"\r\n") == 250
    with talk(server) as line:
        envelope(line, server, user)
        line.smtp("DATA")
        line.send(b"\r\n" + b"x" * 65537 + b"\r\n.\r\n")
        assert line.reply()[1][0].startswith("5.6.0")
    assert len(server.files(user)) == 1


def test_a_large_message_is_taken_whole(server, user):
    message = b"Subject: large\r\n\r\n" + (b"0123456789abcdef" * 4 + b"\r\n") * 300000
    assert send(server, user, message) == 250
    added(only_file(server, user), message)


def test_a_hundred_thousand_header_fields_pass_to_the_mailbox(server, user):
    message = b"X-Field: value\r\n" * 100000 + b"\r\nbody\r\n"
    assert send(server, user, message) == 250
    added(only_file(server, user), message)


def test_the_size_limit_holds_for_what_is_declared_and_for_what_is_sent(make_server):
    server = make_server("message-size 100K")
    with talk(server) as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}> SIZE=102401") == 552
        assert line.smtp(f"MAIL FROM:<{SENDER}> SIZE=99999999999999999999") == 552
        assert line.smtp(f"MAIL FROM:<{SENDER}> SIZE=102400") == 250
        assert line.smtp("RCPT TO:<alice@example.test>") == 250
        assert data(line, b"x" * 60 + b"\r\n" + (b"y" * 100 + b"\r\n") * 1100) == 552
        envelope(line, server, "alice")
        assert data(line, (b"y" * 98 + b"\r\n") * 1024) == 250
    assert len(server.files("alice")) == 1


def test_mail_that_has_gone_round_too_often_is_refused(server, user):
    hops = b"Received: from a by b; Sat, 21 Nov 2026 10:00:00 +0000\r\n"
    with talk(server) as line:
        envelope(line, server, user)
        assert data(line, hops * 100 + MESSAGE) == 250
        envelope(line, server, user)
        line.smtp("DATA")
        line.send(hops * 101 + MESSAGE + b".\r\n")
        assert line.reply() == (554, ["5.4.6 Mail loop"])
    assert len(server.files(user)) == 1


def test_a_full_mailbox_is_refused_at_rcpt_and_others_get_their_mail(server, user, other):
    server.postroom("quota", "set", server.address(user), "20K")
    with talk(server) as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}> SIZE=30000") == 250
        line.send(f"RCPT TO:<{server.address(user)}>\r\n")
        assert line.reply() == (552, ["5.2.2 Mailbox is full"])
        assert line.smtp(f"RCPT TO:<{server.address(other)}>") == 250
        assert data(line, b"Subject: x\r\n\r\n" + b"y" * 29000 + b"\r\n") == 250
    assert server.files(user) == [] and len(server.files(other)) == 1


def test_a_message_that_turns_out_too_large_for_the_mailbox_is_refused(server, user):
    server.postroom("quota", "set", server.address(user), "20K")
    assert send(server, user, b"Subject: x\r\n\r\n" + b"y" * 29000 + b"\r\n") == 552
    assert server.files(user) == []


def test_starttls_works_and_forgets_what_was_said_before(server, user):
    with talk(server) as line:
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250
        assert line.smtp("RSET") == 250
        assert line.smtp("STARTTLS") == 220
        line.start_tls(server.tls_context())
        assert line.smtp(f"MAIL FROM:<{SENDER}>") == 503     # EHLO is forgotten, too
        line.send("EHLO client.example\r\n")
        code, texts = line.reply()
        assert code == 250 and "STARTTLS" not in texts
        assert line.smtp("STARTTLS") == 503
        envelope(line, server, user)
        assert data(line) == 250
    assert re.search(rb"\(using TLSv1\.3 [A-Z0-9_]+\)\r\n\tby \S+ \(Postroom\) with ESMTPS id ", only_file(server, user))


def test_octets_behind_starttls_end_the_connection(server):
    with talk(server) as line:
        line.send("STARTTLS\r\nMAIL FROM:<a@b.example>\r\n")
        assert line.at_end()
    server.wait_log("event=smtp.starttls.injection")


def test_port_25_knows_no_login(server):
    with talk(server) as line:
        assert line.smtp("AUTH PLAIN AGEAYg==") == 503
        assert line.smtp("NOOP") == 250


def test_a_session_that_ends_inside_data_leaves_nothing(server, user):
    with talk(server) as line:
        envelope(line, server, user)
        assert line.smtp("DATA") == 354
        line.send(MESSAGE * 5000)
    with talk(server) as line:
        envelope(line, server, user)
        assert line.smtp("DATA") == 354
        line.send(MESSAGE + b".\r")
        line.sock.shutdown(socket.SHUT_WR)
        assert line.at_end()
    assert server.files(user) == []
    postroom.wait_for("temporary files are gone", lambda: not list((server.maildir(user) / "tmp").glob("*")))


@pytest.mark.parametrize("name", ["mx", "lmtp"])
def test_a_session_cut_at_any_octet_delivers_nothing_before_its_end(server, user, name):
    hello = b"LHLO" if name == "lmtp" else b"EHLO"
    address = server.address(user).encode()
    parts = [hello + b" c.example\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<" + address + b">\r\n", b"DATA\r\n",
             b"Subject: x\r\n\r\n..\r\n.\r\n"]
    whole = b"".join(parts)
    ends = [sum(map(len, parts[:i + 1])) for i in range(len(parts))]
    for cut in range(len(whole)):
        with server.raw(name) as line:
            line.reply()
            sent = 0
            for end in ends:        # a polite client waits for each answer
                line.send(whole[sent:min(end, cut)])
                sent = min(end, cut)
                if cut < end:
                    break
                line.reply()
            line.sock.shutdown(socket.SHUT_WR)
            line.at_end()
    assert server.files(user) == []
    with server.raw(name) as line:
        line.reply()
        for part in parts:
            line.send(part)
            line.reply()
    message = only_file(server, user)
    assert email.message_from_bytes(message)["Subject"] == "x" and message.endswith(b"\r\n\r\n.\r\n")
