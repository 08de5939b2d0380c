"""Sieve at delivery: an account's script decides what becomes of its mail, and a broken one never loses any."""

import email
import email.policy
import os
import re
import subprocess
import threading

import pytest

import postroom
from dialogue import data, envelope, send, talk


def put(server, user, script, name="main", activate=True):
    path = server.root / f"{name}.sieve"
    path.write_text(script)
    server.postroom("sieve", "put", server.address(user), str(path), *(["--activate"] if activate else []))


def mail(server, user, subject="Hello", extra="", sender="sender@elsewhere.example", body="Hello.\r\n"):
    return postroom.message(subject, body, sender, server.address(user), extra)


def give(server, user, name="mx", sender="sender@elsewhere.example", **more):
    return send(server, user, mail(server, user, sender=sender, **more), name=name, sender=sender)


def queued(server):
    """What waits in the queue: rows, each with its message."""
    rows = server.json("queue", "list")
    for row in rows:
        octets = (server.root / "queue" / "msg" / row["id"]).read_bytes()
        row["octets"] = octets
    return rows


def queued_for(server, address):
    return [row for row in queued(server) if address in row["to"]]


def flags_of(path):
    return path.name.rsplit(":2,", 1)[1]


@pytest.mark.parametrize("name", ["mx", "lmtp", "submission"])
def test_fileinto_files_and_marks_whatever_way_mail_comes_in(server, user, name):
    put(server, user, 'require ["fileinto", "imap4flags", "mailbox"];\n'
        'if header :contains "subject" "list" { fileinto :create :flags ["\\\\Seen", "$Label"] "Lists/One"; }')
    if name == "submission":
        with server.submission(user) as smtp:
            smtp.sendmail(server.address(user), [server.address(user)], mail(server, user, "a list", sender=server.address(user)))
            smtp.sendmail(server.address(user), [server.address(user)], mail(server, user, "else", sender=server.address(user)))
    else:
        assert give(server, user, name, subject="a list") == 250
        assert give(server, user, name, subject="else") == 250
    [filed] = server.files(user, "Lists.One")
    [kept] = server.files(user)
    assert "S" in flags_of(filed) and b"Subject: a list" in filed.read_bytes()
    assert b"Subject: else" in kept.read_bytes()


def test_deliver_on_the_command_line_runs_the_filter_and_an_order_stands_above_it(server, user):
    put(server, user, 'require ["fileinto", "mailbox", "envelope"];\nif envelope "from" "x@y.example" { fileinto :create "X"; }')
    address = server.address(user)
    server.postroom("deliver", address, "--from", "x@y.example", input="Subject: 1\n\nx\n")
    server.postroom("deliver", address, input="Return-Path: <x@y.example>\nSubject: 2\n\nx\n")
    server.postroom("deliver", address, "--from", "x@y.example", "--no-filter", input="Subject: 3\n\nx\n")
    server.postroom("deliver", address, "--from", "x@y.example", "--mailbox", "Sent", input="Subject: 4\n\nx\n")
    assert len(server.files(user, "X")) == 2 and len(server.files(user)) == 1 and len(server.files(user, "Sent")) == 1


def test_deliver_leaves_what_is_to_be_sent_to_smtpd(server, user):
    put(server, user, 'redirect "far@elsewhere.example";')
    server.postroom("deliver", server.address(user), "--from", "x@y.example", input="Subject: piped on\n\n.dot\nx\n")
    [row] = queued_for(server, "far@elsewhere.example")
    assert b"\r\n.dot\r\nx\r\n" in row["octets"] and row["from"].startswith("SRS0=") and row["from"].endswith("=y.example=x@example.test")
    assert server.files(user) == []


def test_a_missing_mailbox_without_create_means_the_inbox(server, user):
    put(server, user, 'require "fileinto"; fileinto "Nowhere";')
    assert give(server, user) == 250
    assert len(server.files(user)) == 1


def test_discard_and_several_places(server, user):
    put(server, user, 'require ["fileinto", "mailbox", "copy"];\nif header "subject" "bin" { discard; stop; }\n'
        'fileinto :copy :create "A"; fileinto :copy :create "B";')
    assert give(server, user, subject="bin") == 250
    assert give(server, user, subject="both") == 250
    files = [server.files(user, name) for name in ("", "A", "B")]
    assert [len(found) for found in files] == [1, 1, 1]
    assert len({found[0].stat().st_ino for found in files}) == 1


def test_an_edited_header_is_stored_and_the_body_untouched(server, user):
    put(server, user, 'require ["editheader", "fileinto", "mailbox"];\naddheader "X-Seen" "yes";\nfileinto :create "Edited";')
    body = "".join(f"line {n}\r\n" for n in range(5000))
    assert give(server, user, body=body) == 250
    octets = server.files(user, "Edited")[0].read_bytes()
    assert octets.startswith(b"X-Seen: yes\r\n") and octets.endswith(body.encode())
    assert server.files(user) == []


def test_scripts_for_everybody_run_before_and_after(make_server):
    server = make_server()
    site = server.root / "sieve"
    site.mkdir(exist_ok=True)
    (site / "before.sieve").write_text('require ["fileinto", "mailbox", "editheader"];\n'
                                       'if header "subject" "virus" { fileinto :create "Quarantine"; stop; }\naddheader "X-Before" "1";')
    (site / "after.sieve").write_text('require ["fileinto", "mailbox"];\nif header "x-before" "1" { fileinto :create "After"; }')
    (site / "shared.sieve").write_text('require ["fileinto", "mailbox"];\nif header "subject" "shared" { fileinto :create "Shared"; }')
    put(server, "alice", 'require ["include", "fileinto", "mailbox"];\ninclude :global "shared";\n'
        'if header "subject" "mine" { fileinto :create "Mine"; }')
    for subject in ("virus", "mine", "shared", "else"):
        assert give(server, "alice", subject=subject) == 250
    for mailbox, subject in (("Quarantine", "virus"), ("Mine", "mine"), ("Shared", "shared"), ("After", "else")):
        [path] = server.files("alice", mailbox)
        assert f"Subject: {subject}\r\n".encode() in path.read_bytes(), mailbox
    assert server.files("alice") == []
    # An included script that changes holds at once.
    (site / "shared.sieve").write_text("discard;")
    assert give(server, "alice", subject="anything") == 250
    assert server.files("alice") == []


def test_reject_is_an_answer_when_there_is_one_recipient(server, user, other):
    put(server, user, 'require "ereject"; ereject "No, thank you\nreally";')
    with talk(server) as line:
        envelope(line, server, user)
        assert line.smtp("DATA") == 354
        line.send(mail(server, user) + b".\r\n")
        assert line.reply() == (550, ["5.7.1 No, thank you", "5.7.1 really"])
    assert server.files(user) == []
    with talk(server, "lmtp") as line:
        envelope(line, server, [user, other])
        assert line.smtp("DATA") == 354
        line.send(mail(server, user) + b".\r\n")
        assert [line.reply()[0] for _ in range(2)] == [550, 250]
    assert server.files(user) == [] and len(server.files(other)) == 1


def test_reject_among_several_recipients_is_a_report(server, user, other):
    put(server, user, 'require "ereject"; ereject "Nein danke, größer";')
    sender = f"{user}.sender@elsewhere.example"
    assert give(server, [user, other][0], sender=sender) == 550
    with talk(server) as line:
        envelope(line, server, [user, other], sender)
        assert data(line, mail(server, user, sender=sender)) == 250
    assert server.files(user) == [] and len(server.files(other)) == 1
    [row] = queued_for(server, sender)
    assert row["from"] == ""
    report = row["octets"]
    assert b"report-type=delivery-status" in report and b"Action: failed" in report
    assert f"Final-Recipient: rfc822; {server.address(user)}".encode() in report and b"Subject: Hello" in report
    # Nobody is told about mail from nobody.
    with talk(server) as line:
        envelope(line, server, [user], "")
        assert data(line, mail(server, user)) == 550


def test_reject_with_words_that_smtp_cannot_say_is_a_disposition_notice(server, user):
    put(server, user, 'require "reject"; reject "Größe zählt";')
    sender = f"{user}.mdn@elsewhere.example"
    assert give(server, user, sender=sender) == 250
    [row] = queued_for(server, sender)
    assert b"report-type=disposition-notification" in row["octets"]
    assert b"Disposition: automatic-action/MDN-sent-automatically; deleted" in row["octets"]
    assert server.files(user) == []


def test_redirect_sends_the_message_on_untouched_and_never_in_a_circle(server, user):
    put(server, user, f'require "copy"; redirect :copy "{user}.far@elsewhere.example";')
    message = mail(server, user, extra="DKIM-Signature: v=1; b=x\r\n", body="a  b\r\n..dots\r\n")
    assert send(server, user, message) == 250
    [row] = queued_for(server, f"{user}.far@elsewhere.example")
    assert message in row["octets"] and b"Return-Path" not in row["octets"]
    assert f"Delivered-To: {server.address(user)}\r\n".encode() in row["octets"]
    assert len(server.files(user)) == 1
    put(server, user, f'redirect "{user}.again@elsewhere.example";')
    assert give(server, user, extra=f"Delivered-To: {server.address(user)}\r\n") == 250
    assert queued_for(server, f"{user}.again@elsewhere.example") == []
    assert len(server.files(user)) == 2


def test_a_broken_script_loses_nothing_and_says_so_once(server, user):
    put(server, user, "keep;")
    folder = server.root / "mail" / server.domain / user / "sieve"
    (folder / "main.sieve").write_text('require "fileinto";\nfileinto "A"\n')
    for _ in range(3):
        assert give(server, user) == 250
    octets = [path.read_bytes() for path in server.files(user)]
    assert sum(b"Subject: Hello" in text for text in octets) == 3
    [notice] = [text for text in octets if b"Your mail filter does not work" in text]
    assert b"line 3, column 1" in notice or b"line 2" in notice
    [row] = server.json("sieve", "list", server.address(user))
    assert row["script"] == "main" and row["active"] and re.match(r"main:[23]:\d+: ", row["error"])
    server.wait_log("event=sieve.failed")
    put(server, user, "keep;")
    assert server.json("sieve", "list", server.address(user))[0]["error"] == ""


def test_a_script_that_fails_on_a_message_keeps_it(server, user):
    put(server, user, 'require ["variables", "fileinto"];\nset "to" "";\nfileinto "${to}";')
    assert give(server, user) == 250
    assert sum(b"Subject: Hello" in path.read_bytes() for path in server.files(user)) == 1


def test_vacation_answers_once_and_as_the_standards_say(server, user):
    put(server, user, 'require "vacation";\nvacation :days 7 :subject "Weg" "Ich bin weg.\nGrüße";')
    sender = f"{user}.writer@elsewhere.example"
    for _ in range(2):
        assert give(server, user, sender=sender, extra="References: <a@b>\r\n") == 250
    [row] = queued_for(server, sender)
    assert row["from"] == ""
    text = row["octets"][row["octets"].index(b"Date: "):]
    answer = email.message_from_bytes(text, policy=email.policy.default)
    original = email.message_from_bytes(server.files(user)[0].read_bytes())
    assert answer["to"] == sender and answer["from"] == server.address(user) and answer["subject"] == "Weg"
    assert answer["in-reply-to"] == original["message-id"] and answer["references"].split() == ["<a@b>", original["message-id"]]
    assert answer["auto-submitted"].startswith("auto-replied")
    assert b"Gr=C3=BC=C3=9Fe" in text
    # A restart forgets nothing.
    server.restart()
    assert give(server, user, sender=sender) == 250
    assert len(queued_for(server, sender)) == 1


@pytest.mark.parametrize("what", ["list", "bulk", "auto", "null", "self", "other", "robot"])
def test_vacation_leaves_lists_robots_and_itself_alone(server, user, what):
    put(server, user, 'require "vacation"; vacation "Away";')
    sender = {"null": "", "self": server.address(user), "robot": f"owner-{user}@elsewhere.example"}.get(what, f"{user}@elsewhere.example")
    extra = {"list": "List-Id: <x.example>\r\n", "bulk": "Precedence: bulk\r\n", "auto": "Auto-Submitted: auto-replied\r\n"}.get(what, "")
    text = mail(server, user, extra=extra, sender=sender)
    if what == "other":
        text = text.replace(server.address(user).encode(), b"undisclosed@elsewhere.example")
    before = len(queued(server))
    assert send(server, user, text, sender=sender) == 250
    assert len(queued(server)) == before and len(server.files(user)) == 1


def test_an_answer_that_cannot_be_noted_is_not_sent(server, user):
    put(server, user, 'require "vacation"; vacation "Away";')
    seen = server.root / "mail" / server.domain / user / "sieve" / ".seen"
    seen.write_text("a file where the folder should be")
    sender = f"{user}@elsewhere.example"
    assert give(server, user, sender=sender) == 250
    assert queued_for(server, sender) == [] and len(server.files(user)) == 1
    seen.unlink()
    assert give(server, user, sender=sender) == 250
    assert len(queued_for(server, sender)) == 1


def test_on_a_full_disk_the_mail_stays_and_no_answer_goes_that_nobody_remembers(server, user):
    put(server, user, 'require "vacation"; vacation "Away";')
    seen = server.root / "mail" / server.domain / user / "sieve" / ".seen"
    seen.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1,mode=0700", "tmpfs", seen], check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        sender = f"{user}@elsewhere.example"
        assert give(server, user, sender=sender) == 250
        assert queued_for(server, sender) == [] and len(server.files(user)) == 1
        assert re.search("event=sieve.remember .*(space|ENOSPC)", server.log(), re.I), server.log()[-2000:]
        subprocess.run(["mount", "-o", "remount,nr_inodes=100", seen], check=True)
        assert give(server, user, sender=sender) == 250
        assert len(queued_for(server, sender)) == 1 and len(server.files(user)) == 2
    finally:
        subprocess.run(["umount", "-l", seen], check=False)


def test_notify_sends_a_message_and_a_copy_is_filed(server, user):
    put(server, user, 'require ["enotify", "fcc", "mailbox"];\n'
        f'notify :message "New: mail" :importance "1" :fcc "Notes" :create "mailto:{user}.phone@elsewhere.example";')
    assert give(server, user) == 250
    [row] = queued_for(server, f"{user}.phone@elsewhere.example")
    text = row["octets"]
    assert b"Subject: New: mail\r\n" in text and b"Importance: High\r\n" in text
    assert f'Auto-Submitted: auto-notified; owner-email="{server.address(user)}"'.encode() in text
    assert len(server.files(user, "Notes")) == 1


def test_scripts_ask_the_address_book_of_the_account_and_those_for_everybody(make_server):
    server, user = make_server(), "alice"
    address = server.address(user)
    server.postroom("contacts", "add", address, "Friend@elsewhere.example", "@partner.example")
    assert [row["contact"] for row in server.json("contacts", "list", address)] == ["Friend@elsewhere.example", "@partner.example"]
    put(server, user, '''require ["extlists", "fileinto", "mailbox"];
if address :list "from" ":addrbook:default" { fileinto :create "Known"; }
elsif address :list "from" "urn:ietf:params:sieve:addrbook:company" { fileinto :create "Company"; }
''')
    for sender in ("friend@ELSEWHERE.example", "anybody@partner.example", "stranger@elsewhere.example"):
        assert give(server, user, sender=sender) == 250
    # No such book yet: the script fails on the stranger, whose mail stays.
    assert len(server.files(user, "Known")) == 2
    assert any(b"stranger@" in path.read_bytes() for path in server.files(user))
    assert "no list" in server.json("sieve", "list", address)[0]["error"]
    (server.root / "sieve").mkdir(exist_ok=True)
    (server.root / "sieve" / "company.addresses").write_text("# everybody's\nboss@work.example\n")
    assert give(server, user, sender="boss@work.example") == 250
    assert len(server.files(user, "Company")) == 1
    server.postroom("contacts", "remove", address, "@PARTNER.example")
    assert [row["contact"] for row in server.json("contacts", "list", address)] == ["Friend@elsewhere.example"]
    # RFC 6134 2.3: a personal distribution list
    put(server, user, 'require "extlists"; redirect :list ":addrbook:default";')
    assert give(server, user, sender="boss@work.example") == 250
    assert len(queued_for(server, "Friend@elsewhere.example")) == 1


def test_duplicates_are_seen_across_messages(server, user):
    put(server, user, 'require ["duplicate", "fileinto", "mailbox"];\nif duplicate { fileinto :create "Again"; }')
    message = mail(server, user)
    for _ in range(3):
        assert send(server, user, message) == 250
    assert len(server.files(user)) == 1 and len(server.files(user, "Again")) == 2


def test_scripts_of_dovecot_move_in_as_they_are(server, user):
    put(server, user, "keep;")
    home = server.root / "mail" / server.domain / user
    (home / "sieve" / "roundcube.sieve").write_text('require ["fileinto", "mailbox"]; fileinto :create "Moved";')
    (home / ".dovecot.sieve").unlink()
    (home / ".dovecot.sieve").symlink_to(f"/home/vmail/{user}/sieve/roundcube.sieve")
    assert give(server, user) == 250
    assert len(server.files(user, "Moved")) == 1
    (home / ".dovecot.sieve").unlink()
    (home / ".dovecot.sieve").write_text('require ["fileinto", "mailbox"]; fileinto :create "Plain";')
    assert give(server, user) == 250
    assert len(server.files(user, "Plain")) == 1
    rows = {row["script"]: row["active"] for row in server.json("sieve", "list", server.address(user))}
    assert rows == {"main": False, "roundcube": False, "dovecot.orig": True}
    assert give(server, user) == 250
    assert len(server.files(user, "Plain")) == 2


def test_a_link_to_elsewhere_is_not_followed(server, user):
    put(server, user, "keep;")
    home = server.root / "mail" / server.domain / user
    (server.root / "evil.sieve").write_text("discard;")
    (home / ".dovecot.sieve").unlink()
    (home / ".dovecot.sieve").symlink_to(server.root / "evil.sieve")
    (home / "sieve" / "link.sieve").symlink_to(server.root / "evil.sieve")
    assert give(server, user) == 250
    (home / ".dovecot.sieve").unlink()
    (home / ".dovecot.sieve").symlink_to("sieve/link.sieve")
    assert give(server, user) == 250
    assert sum(b"Subject: Hello" in path.read_bytes() for path in server.files(user)) == 2


def test_a_script_that_changes_while_mail_arrives_is_the_old_or_the_new_one(server, user):
    texts = ['require ["fileinto", "mailbox"]; fileinto :create "Old";', 'require ["fileinto", "mailbox"]; fileinto :create "New";']
    for n in range(10):
        put(server, user, texts[n % 2])
        assert give(server, user) == 250
    assert len(server.files(user, "Old")) == len(server.files(user, "New")) == 5


def test_a_script_that_changes_again_and_again_while_mail_pours_in_loses_none(server, user):
    folder = server.root / "mail" / server.domain / user / "sieve"
    texts = [f'require ["fileinto", "mailbox"]; fileinto :create "{name}";' + " " * size for name, size in (("Old", 0), ("New", 9000))]
    put(server, user, texts[0])
    is_over = threading.Event()

    def change():
        """As every way to store a script does it: a new file in place of the old one."""
        n = 0
        while not is_over.is_set():
            n += 1
            (folder / ".new-by-test").write_text(texts[n % 2])
            os.rename(folder / ".new-by-test", folder / "main.sieve")
    changing = threading.Thread(target=change)
    changing.start()
    try:
        codes = [give(server, user, subject=str(n)) for n in range(40)]
    finally:
        is_over.set()
        changing.join()
    assert codes == [250] * 40
    assert len(server.files(user, "Old")) + len(server.files(user, "New")) == 40 and server.files(user) == []


def test_a_script_of_a_megabyte_is_run(server, user):
    line = 'if header :contains "x-none" "some text that no message has" { discard; }\n'
    put(server, user, 'require ["fileinto", "mailbox"];\n' + line * ((1000 << 10) // len(line)) + 'fileinto :create "Found";')
    assert give(server, user) == 250
    assert len(server.files(user, "Found")) == 1
    path = server.root / "large.sieve"
    path.write_text(line * 16000)
    done = server.run("sieve", "put", server.address(user), str(path))
    assert done.returncode == 1 and "larger than 1 MiB" in done.stderr


def test_one_of_two_recipients_of_the_same_account_counts_once(server, user):
    put(server, user, 'require ["subaddress", "envelope", "fileinto", "mailbox"];\n'
        'if envelope :detail "to" "tag" { fileinto :create "Tag"; }')
    with talk(server) as line:
        assert line.smtp("MAIL FROM:<a@elsewhere.example>") == 250
        assert line.smtp(f"RCPT TO:<{user}+tag@{server.domain}>") == 250
        assert line.smtp(f"RCPT TO:<{user}@{server.domain}>") == 250
        assert data(line, mail(server, user)) == 250
    assert len(server.files(user)) == 1 and len(server.files(user, "Tag")) == 1


def test_a_broken_script_for_everybody_is_the_administrators_to_mend(make_server):
    server = make_server()
    (server.root / "sieve").mkdir(exist_ok=True)
    (server.root / "sieve" / "before.sieve").write_text("nonsense")
    put(server, "alice", 'require ["fileinto", "mailbox"]; fileinto :create "Mine";')
    assert give(server, "alice") == 250
    assert give(server, "bob") == 250
    assert len(server.files("alice", "Mine")) == len(server.files("bob")) == 1 and server.files("alice") == []
    server.wait_log("event=sieve.failed account=bob@example.test script=before")


def test_a_message_with_ten_thousand_fields_is_filtered(server, user):
    put(server, user, 'require ["fileinto", "mailbox"];\nif header "x-field-4999" "v4999" { fileinto :create "Found"; }')
    extra = "".join(f"X-Field-{n}: v{n}\r\n" for n in range(10000))
    assert give(server, user, extra=extra) == 250
    assert len(server.files(user, "Found")) == 1


def test_a_script_that_takes_too_long_is_stopped_and_the_mail_stays(server, user):
    tests = "\n".join(f'if body :contains :raw ["a{n}", "b{n}"] {{ discard; }}' for n in range(400))
    put(server, user, 'require "body";\n' + tests)
    assert give(server, user, body=("y" * 70 + "\r\n") * 20000) == 250
    assert sum(b"Subject: Hello" in path.read_bytes() for path in server.files(user)) == 1
    assert "takes too long" in server.json("sieve", "list", server.address(user))[0]["error"]


def test_an_answer_is_in_its_owners_name_alone(server, user, other):
    def sent(script):
        put(server, user, f'require "vacation"; vacation :handle "{len(script)}" {script};')
        sender = f"{user}.{len(script)}@elsewhere.example"
        assert give(server, user, sender=sender) == 250
        [row] = queued_for(server, sender)
        return row["octets"]
    mine, others = server.address(user), server.address(other)
    assert f"From: Me <{mine}>\r\n".encode() in sent(f':from "Me <{mine}>" "away"')
    forged = sent(f':from "Boss <{others}>" "gone away"')
    assert f"From: <{mine}>\r\n".encode() in forged and others.encode() not in forged
    server.postroom("send-as", "add", mine, others)
    assert f"From: Boss <{others}>\r\n".encode() in sent(f':from "Boss <{others}>" "now allowed"')
    hidden = sent(f':mime "Content-Type: text/plain\r\nFrom: {others}\r\n\r\nthe text of it"')
    assert b"the text of it" in hidden and others.encode() not in hidden


def test_one_message_runs_a_script_a_few_times_and_sets_off_a_few_notices(server, user):
    put(server, user, 'require ["enotify", "subaddress", "envelope", "variables", "fileinto", "mailbox"];\n' + "".join(
        f'notify "mailto:{user}.{n}@elsewhere.example";\n' for n in range(10)) + 'fileinto :create "Filed";')
    before = len(queued(server))
    assert give(server, user) == 250
    assert len(queued(server)) == before + 4
    put(server, user, 'require ["envelope", "subaddress", "variables", "fileinto", "mailbox"];\n'
        'if envelope :matches :detail "to" "*" { fileinto :create "Tag${1}"; }')
    with talk(server) as line:
        assert line.smtp("MAIL FROM:<a@elsewhere.example>") == 250
        for n in range(20):
            assert line.smtp(f"RCPT TO:<{user}+{n}@{server.domain}>") == 250
        assert data(line, mail(server, user)) == 250
    assert [len(server.files(user, f"Tag{n}")) for n in range(20)] == [1] * 8 + [0] * 12
    assert len(server.files(user)) == 1
