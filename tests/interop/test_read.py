"""Programs that read: curl, fetchmail; and, with ten thousand messages, mbsync, offlineimap, neomutt, imapfilter."""

import mailbox
import os
import pathlib

import pytest

import postroom
from mails import fill

MESSAGES = 10000
# What copies whole mailboxes to and fro takes minutes: `make check-mail-programs` has it do so with ten thousand messages, too.
SYNCED = int(os.environ.get("SYNCED_MESSAGES", "1000"))


def send_many(server, user, count, tag):
    smtp = None
    for n in range(count):
        if n % 80 == 0:
            if smtp:
                smtp.quit()
            smtp = server.smtp()
        smtp.sendmail("s@elsewhere.example", [server.address(user)],
                      postroom.message(subject=f"{tag} {n}", body=f"body of {tag} {n}\r\n" * (n % 7 + 1)))
    smtp.quit()


def found_in(server, user, keys, name="INBOX"):
    with server.imap(user) as imap:
        imap.select(name, readonly=True)
        return len(imap.search(None, keys)[1][0].split())


def count_in(server, user, name="INBOX"):
    with server.imap(user) as imap:
        return int(imap.select(name, readonly=True)[1][0])


def curl(server, program, user, url, *args):
    return program("curl", "-sS", "--cacert", server.root / "tls" / "cert.pem", "--noproxy", "*",
                   "--user", f"{server.address(user)}:{server.password(user)}", "--url", url, *args).stdout


def test_curl_lists_fetches_flags_and_removes_over_imaps(server, program):
    server.send(postroom.message(subject="for curl", body="curl reads this\r\n"), to="bob")
    base = f"imaps://localhost:{server.port('imaps')}"
    listing = curl(server, program, "bob", base + "/")
    for name in ("INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"):
        assert name in listing
    uid = curl(server, program, "bob", base + "/INBOX", "-X", 'UID SEARCH SUBJECT "for curl"').split()[-1]
    assert "curl reads this" in curl(server, program, "bob", f"{base}/INBOX;UID={uid}")
    assert "\\Flagged" in curl(server, program, "bob", base + "/INBOX", "-X", f"UID STORE {uid} +FLAGS (\\Flagged \\Deleted)")
    curl(server, program, "bob", base + "/INBOX", "-X", f"UID EXPUNGE {uid}")
    assert uid not in curl(server, program, "bob", base + "/INBOX", "-X", "UID SEARCH ALL").split()


def test_curl_appends_over_imap_with_starttls(server, program, tmp_path):
    letter = tmp_path / "letter"
    letter.write_bytes(postroom.message(subject="appended by curl"))
    curl(server, program, "bob", f"imap://localhost:{server.port('imap')}/Drafts", "--ssl-reqd", "-T", str(letter))
    assert count_in(server, "bob", "Drafts") == 1


def test_curl_lists_and_fetches_over_pop3s(server, program):
    server.send(postroom.message(subject="pop for curl", body=".a dot\r\n..two\r\n"), to="bob")
    base = f"pop3s://localhost:{server.port('pop3s')}"
    listing = curl(server, program, "bob", base + "/").split("\n")
    number = [line.split()[0] for line in listing if line.strip()][-1]
    text = curl(server, program, "bob", f"{base}/{number}")
    assert "Subject: pop for curl" in text
    assert "\r\n.a dot\r\n..two\r\n" in text.replace("\r\r", "\r") or "\n.a dot\n..two\n" in text


@pytest.mark.parametrize("protocol,listener", [("pop3", "pop3s"), ("imap", "imaps")])
def test_fetchmail_takes_everything_and_leaves_the_mailbox_empty(server, program, tmp_path, protocol, listener):
    user = f"fetch-{protocol}"
    server.add_account(user)
    send_many(server, user, 25, "fetchmail")
    taken = tmp_path / "taken"
    script = tmp_path / "take"
    script.write_text(f"#!/bin/sh\ncat >> {taken}\n")
    script.chmod(0o700)
    rc = tmp_path / "fetchmailrc"
    rc.write_text(f"""poll localhost protocol {protocol} port {server.port(listener)}
 auth password user "{server.address(user)}" password "{server.password(user)}"
 ssl sslcertck sslcertfile {server.root}/tls/cert.pem
 mda "{script}" fetchall
""")
    rc.chmod(0o700)
    env = {**os.environ, "HOME": str(tmp_path), "FETCHMAILHOME": str(tmp_path)}
    done = program("fetchmail", "-f", rc, "--pidfile", tmp_path / "pid", "--nosyslog", "-v", env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert taken.read_text().count("Subject: fetchmail ") == 25
    assert count_in(server, user) == 0


def test_fetchmail_leaves_mail_on_the_server_and_fetches_only_what_is_new(server, program, tmp_path):
    user = "fetch-keep"
    server.add_account(user)
    send_many(server, user, 10, "first")
    taken = tmp_path / "taken"
    script = tmp_path / "take"
    script.write_text(f"#!/bin/sh\ncat >> {taken}\n")
    script.chmod(0o700)
    rc = tmp_path / "fetchmailrc"
    rc.write_text(f"""poll localhost protocol pop3 uidl port {server.port('pop3s')}
 auth password user "{server.address(user)}" password "{server.password(user)}"
 ssl sslcertck sslcertfile {server.root}/tls/cert.pem
 mda "{script}" keep
""")
    rc.chmod(0o700)
    env = {**os.environ, "HOME": str(tmp_path), "FETCHMAILHOME": str(tmp_path)}
    program("fetchmail", "-f", rc, "--pidfile", tmp_path / "pid", "--nosyslog", "-i", tmp_path / "ids", env=env)
    server.restart()
    send_many(server, user, 3, "second")
    program("fetchmail", "-f", rc, "--pidfile", tmp_path / "pid", "--nosyslog", "-i", tmp_path / "ids", env=env)
    text = taken.read_text()
    assert text.count("Subject: first ") == 10
    assert text.count("Subject: second ") == 3
    assert count_in(server, user) == 13


def mbsync_conf(server, user, folder):
    return f"""IMAPAccount postroom
Host localhost
Port {server.port('imaps')}
User {server.address(user)}
Pass {server.password(user)}
TLSType IMAPS
SSLType IMAPS
CertificateFile {server.root}/tls/cert.pem
AuthMechs LOGIN

IMAPStore remote
Account postroom

MaildirStore local
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create Both
Expunge Both
SyncState *
""".replace("SSLType IMAPS\n", "").replace("TLSType IMAPS", "SSLType IMAPS")


def local_files(folder, name):
    return [p for part in ("cur", "new") for p in (pathlib.Path(folder) / name / part).iterdir()]


def test_mbsync_syncs_both_ways(server, program, tmp_path):
    user = "sync"
    server.add_account(user)
    fill(server, user, SYNCED)
    folder = tmp_path / "mail"
    folder.mkdir()
    conf = tmp_path / "mbsyncrc"
    conf.write_text(mbsync_conf(server, user, folder))
    program("mbsync", "-c", conf, "-a")
    files = sorted(local_files(folder, "INBOX"), key=lambda p: p.name)
    assert len(files) == SYNCED

    # Local changes: 50 flagged, 50 removed, 100 new ones; remote changes: 30 seen, 20 removed, 10 new.
    for path in files[:50]:
        base = path.name.split(":2,")[0]
        path.rename(path.parent.parent / "cur" / f"{base}:2,FS")
    for path in files[50:100]:
        path.unlink()
    box = mailbox.Maildir(folder / "INBOX", factory=None)
    for n in range(100):
        box.add(postroom.message(subject=f"local {n}"))
    with server.imap(user) as imap:
        imap.select("INBOX")
        uids = imap.uid("SEARCH", "SUBJECT", '"letter 99"')[1][0].split()
        assert uids
        imap.uid("STORE", "900:929", "+FLAGS", "(\\Seen)")
        imap.uid("STORE", "930:949", "+FLAGS", "(\\Deleted)")
        imap.expunge()
    send_many(server, user, 10, "late")
    program("mbsync", "-c", conf, "-a")
    expected = SYNCED - 50 + 100 - 20 + 10
    assert count_in(server, user) == expected
    assert len(local_files(folder, "INBOX")) == expected
    with server.imap(user) as imap:
        imap.select("INBOX")
        assert len(imap.search(None, "FLAGGED", "SEEN")[1][0].split()) == 50
        assert len(imap.search(None, "SUBJECT", '"local "')[1][0].split()) == 100

    # Nothing is left to do, and nothing is transferred again, also after a restart without any index.
    before = {p.name.split(":2,")[0] for p in local_files(folder, "INBOX")}
    server.stop()
    index = server.maildir(user).parent / "index"
    for path in sorted(index.rglob("*"), reverse=True):
        path.unlink() if not path.is_dir() else path.rmdir()
    server.start()
    done = program("mbsync", "-c", conf, "-a", "-V")
    assert {p.name.split(":2,")[0] for p in local_files(folder, "INBOX")} == before
    assert count_in(server, user) == expected
    assert "Error" not in done.stdout + done.stderr


def test_offlineimap_copies_flags_and_removes_both_ways(server, program, tmp_path):
    user = "offline"
    server.add_account(user)
    fill(server, user, SYNCED)
    folder = tmp_path / "mail"
    rc = tmp_path / "offlineimaprc"
    rc.write_text(f"""[general]
accounts = test
metadata = {tmp_path}/meta
ui = basic
[Account test]
localrepository = local
remoterepository = remote
[Repository local]
type = Maildir
localfolders = {folder}
[Repository remote]
type = IMAP
remotehost = localhost
remoteport = {server.port('imaps')}
remoteuser = {server.address(user)}
remotepass = {server.password(user)}
ssl = yes
sslcacertfile = {server.root}/tls/cert.pem
auth_mechanisms = LOGIN
""")
    env = {**os.environ, "HOME": str(tmp_path)}
    program("offlineimap", "-c", rc, "-o", env=env)
    files = sorted(local_files(folder, "INBOX"))
    assert len(files) == SYNCED
    files[0].unlink()
    mailbox.Maildir(folder / "INBOX", factory=None).add(postroom.message(subject="offline local"))
    with server.imap(user) as imap:
        imap.select("INBOX")
        imap.store("5", "+FLAGS", "(\\Flagged)")
    program("offlineimap", "-c", rc, "-o", env=env)
    assert count_in(server, user) == SYNCED
    with server.imap(user) as imap:
        imap.select("INBOX")
        assert imap.search(None, "SUBJECT", '"offline local"')[1][0]
    assert sum("F" in p.name.split(":2,")[-1] for p in local_files(folder, "INBOX")) == 1


def test_neomutt_reads_flags_and_moves(server, program, tmp_path):
    user = "mutt"
    server.add_account(user)
    fill(server, user, MESSAGES)
    rc = tmp_path / "muttrc"
    rc.write_text(f"""set imap_user="{server.address(user)}"
set imap_pass="{server.password(user)}"
set folder="imaps://localhost:{server.port('imaps')}/"
set spoolfile="+INBOX"
set certificate_file="{server.root}/tls/cert.pem"
set ssl_ca_certificates_file="{server.root}/tls/cert.pem"
set ssl_verify_host=no
set ssl_verify_dates=no
set ssl_force_tls=yes
set confirmappend=no
set delete=yes
set quit=yes
set wait_key=no
set sleep_time=0
set header_cache=""
push "<tag-pattern>~s 'letter 999[0-9]$'<enter><tag-prefix><save-message>=Archive<enter><enter-command>set beep=no<enter>\
<flag-message><sync-mailbox><quit>"
""")
    env = {**os.environ, "HOME": str(tmp_path), "TERM": "xterm"}
    done = program("script", "-qec", f"neomutt -n -F {rc}", "/dev/null", env=env, check=False, input="y\ny\n")
    assert count_in(server, user, "Archive") == 10, done.stdout[-3000:]
    assert count_in(server, user) == MESSAGES - 10


def test_imapfilter_reads_flags_and_moves(server, program, tmp_path):
    user = "filter"
    server.add_account(user)
    fill(server, user, MESSAGES)
    rules = tmp_path / "rules.lua"
    rules.write_text(f"""
options.timeout = 120
options.info = false
account = IMAP {{ server = "localhost", port = {server.port('imaps')}, username = "{server.address(user)}",
                 password = "{server.password(user)}", ssl = "auto" }}
inbox = account.INBOX
exist, recent, unread = inbox:check_status()
print("status", exist, unread)
lists = inbox:contain_subject("letter 77") * inbox:contain_from("elsewhere.example") - inbox:contain_subject("letter 777")
print("found", #lists)
for _, message in ipairs(inbox:contain_subject("letter 4711")) do
	mailbox, uid = table.unpack(message)
	print("text", mailbox[uid]:fetch_body():gsub("%s+$", ""))
end
inbox:is_unseen():mark_flagged()
account:create_mailbox("Sorted")
lists:move_messages(account.Sorted)
inbox:contain_subject("letter 4712"):delete_messages()
""")
    env = {**os.environ, "HOME": str(tmp_path), "IMAPFILTER_HOME": str(tmp_path)}
    done = program("imapfilter", "-t", server.root / "tls" / "cert.pem", "-c", rules, env=env)
    unread = sum(n % 3 == 0 for n in range(1, MESSAGES + 1))
    numbers = [n for n in range(1, MESSAGES + 1) if "letter 77" in f"letter {n}" and "letter 777" not in f"letter {n}"]
    assert done.stdout.splitlines() == [f"status\t{MESSAGES}\t{unread}", f"found\t{len(numbers)}",
                                        "text\tbody of letter 4711\t1"], done.stdout + done.stderr
    assert count_in(server, user, "Sorted") == len(numbers)
    assert count_in(server, user) == MESSAGES - len(numbers) - 1
    assert found_in(server, user, "FLAGGED") + found_in(server, user, "FLAGGED", "Sorted") == unread
