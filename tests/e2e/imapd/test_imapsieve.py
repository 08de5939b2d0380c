"""RFC 6785: scripts that run when a client stores, copies, moves or marks messages; off unless the mailbox names one."""

NAME = "/shared/imapsieve/script"


def put(imapd, user, script):
    path = imapd.root / "events.sieve"
    path.write_text(script)
    imapd.postroom("sieve", "put", imapd.address(user), str(path))


def store(imapd, user, mailbox, subject, flags=None):
    with imapd.imap(user, tls=True) as other:
        assert other.append(mailbox, flags, None, f"Subject: {subject}\r\n\r\nbody\r\n".encode())[0] == "OK"


def flags_of(imapd, user, mailbox):
    """Subjects of a mailbox with their flags."""
    found = {}
    with imapd.imap(user) as other:
        status, count = other.select(f'"{mailbox}"', readonly=True)
        if status != "OK" or not int(count[0]):
            return found
        rows = other.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        for row in rows:
            if isinstance(row, tuple):
                words = row[0].decode().split("FLAGS (")[1].split(")")[0].split()
                found[row[1].decode().split(":")[1].strip()] = sorted(word for word in words if word != "\\Recent")
    return found


def name_script(imapd, user, mailbox, script="events"):
    with imapd.imap(user) as other:
        assert other.xatom("SETMETADATA", mailbox, f'({NAME} "{script}")')[0] == "OK"


def test_it_is_offered_with_the_place_of_managesieve(imapd, user):
    with imapd.imap(user) as other:
        assert "IMAPSIEVE=SIEVE://" in b" ".join(other.capability()[1]).decode().upper()


def test_scripts_run_on_append_copy_move_and_flags(imapd, user):
    put(imapd, user, '''require ["imapsieve", "environment", "imap4flags", "fileinto", "copy", "mailbox", "variables"];
if environment :matches "imap.cause" "*" { set "cause" "${1}"; }
if environment :is "imap.mailbox" "Archive" { addflag ["\\\\Seen", "$${cause}"]; }
if allof (environment :is "imap.cause" "FLAG", environment :contains "imap.changedflags" "\\\\Flagged", hasflag "\\\\Flagged") {
  fileinto :copy :create "Important";
}
''')
    with imapd.imap(user) as other:
        other.create("Plain")
    name_script(imapd, user, "Archive")
    store(imapd, user, "Archive", "appended")
    store(imapd, user, "INBOX", "copied")
    store(imapd, user, "Plain", "moved")
    assert flags_of(imapd, user, "Archive") == {"appended": ["$APPEND", "\\Seen"]}
    assert flags_of(imapd, user, "INBOX") == {"copied": []}
    with imapd.imap(user) as other:
        other.select("INBOX")
        assert other.copy("1", "Archive")[0] == "OK"
        other.select("Plain")
        assert other.xatom("MOVE", "1", "Archive")[0] == "OK"
    assert flags_of(imapd, user, "Archive") == {
        "appended": ["$APPEND", "\\Seen"], "copied": ["$COPY", "\\Seen"], "moved": ["$COPY", "\\Seen"]}
    with imapd.imap(user) as other:
        other.select("Archive")
        status, rows = other.store("2", "+FLAGS", "(\\Flagged)")
        assert status == "OK"
    assert flags_of(imapd, user, "Archive")["copied"] == ["$COPY", "$FLAG", "\\Flagged", "\\Seen"]
    assert list(flags_of(imapd, user, "Important")) == ["copied"]
    # What the script did set off no script: once more nothing changes.
    assert flags_of(imapd, user, "Archive")["appended"] == ["$APPEND", "\\Seen"]


def test_what_is_not_kept_is_marked_and_edited_copies_are_new_messages(imapd, user):
    put(imapd, user, '''require ["imapsieve", "fileinto", "mailbox", "editheader"];
if header "subject" "file" { addheader "X-Filed" "yes"; fileinto :create "Filed"; }
elsif header "subject" "bin" { discard; }
''')
    name_script(imapd, user, "INBOX")
    for subject in ("file", "bin", "stay"):
        store(imapd, user, "INBOX", subject, "(\\Flagged)")
    assert flags_of(imapd, user, "INBOX") == {"file": ["\\Deleted", "\\Flagged"], "bin": ["\\Deleted", "\\Flagged"], "stay": ["\\Flagged"]}
    [filed] = imapd.files(user, "Filed")
    assert filed.read_bytes().startswith(b"X-Filed: yes\r\n") and filed.read_bytes().endswith(b"\r\n\r\nbody\r\n")


def test_nothing_runs_without_the_annotation_or_its_script(imapd, user):
    put(imapd, user, 'require "imapsieve"; discard;')
    store(imapd, user, "INBOX", "one")
    name_script(imapd, user, "INBOX", "missing")
    store(imapd, user, "INBOX", "two")
    name_script(imapd, user, "INBOX", "../../etc/passwd")
    store(imapd, user, "INBOX", "three")
    assert flags_of(imapd, user, "INBOX") == {"one": [], "two": [], "three": []}
    name_script(imapd, user, "INBOX")
    store(imapd, user, "INBOX", "four")
    assert flags_of(imapd, user, "INBOX")["four"] == ["\\Deleted"]
    with imapd.imap(user) as other:
        assert other.xatom("SETMETADATA", "INBOX", f"({NAME} NIL)")[0] == "OK"
    store(imapd, user, "INBOX", "five")
    assert flags_of(imapd, user, "INBOX")["five"] == []


def test_actions_of_delivery_fail_and_change_nothing(imapd, user):
    for action in ('require "reject"; reject "no";', 'require "vacation"; vacation "away";', 'redirect "x@y.example";',
                   'require "enotify"; notify "mailto:x@y.example";', 'require "ereject"; ereject "no";'):
        put(imapd, user, action)
        name_script(imapd, user, "INBOX")
        store(imapd, user, "INBOX", "kept")
        [row] = imapd.json("sieve", "list", imapd.address(user))
        with imapd.imap(user) as other:
            other.select("INBOX")
            flags = other.fetch("*", "(FLAGS)")[1][0]
            assert b"Deleted" not in flags
    assert "event=sieve.failed" in imapd.log()


def test_many_messages_in_one_command(imapd, user):
    put(imapd, user, 'require ["imapsieve", "imap4flags"]; addflag "$seen-by-script";')
    with imapd.imap(user) as other:
        for n in range(50):
            other.append("INBOX", None, None, f"Subject: {n}\r\n\r\nbody\r\n".encode())
        other.xatom("SETMETADATA", "Archive", f'({NAME} "events")')
        other.select("INBOX")
        assert other.copy("1:*", "Archive")[0] == "OK"
    flags = flags_of(imapd, user, "Archive")
    assert len(flags) == 50 and all(words == ["$seen-by-script"] for words in flags.values())
