"""The command line as a person or a script meets it."""

import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import socket
import stat
import struct
import subprocess
import tempfile
import termios

import pytest

import postroom


@pytest.fixture(scope="module")
def instance():
    with postroom.Instance(accounts=("alice",)) as made:
        yield made


def test_help_names_every_verb_and_each_verb_has_an_example(instance):
    listing = instance.run("--help")
    assert listing.returncode == 0
    verbs = re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)?)  +\S", listing.stdout)
    assert len(verbs) > 25
    for verb in verbs:
        done = instance.run(*verb.split(), "--help")
        assert done.returncode == 0, verb
        assert "Example:\n  postroom " in done.stdout, verb


@pytest.mark.parametrize("words,code", [
    (["frobnicate"], 2), (["account"], 2), (["account", "frobnicate"], 2), (["account", "add"], 2),
    (["account", "list", "--frobnicate"], 2), (["domain", "list", "a", "b"], 2),
    (["account", "show", "nobody@example.test"], 3), (["domain", "show", "other.example"], 3),
    (["account", "list", "other.example"], 3), (["account", "export", "other.example"], 3), (["alias", "list", "other.example"], 3),
    (["index", "check", "nobody@example.test"], 3), (["index", "rebuild", "nobody@example.test"], 3),
    (["conf", "describe", "mesage-size"], 3), (["queue", "list"], 4), (["stop"], 4), (["reload"], 4),
])
def test_exit_codes_are_the_contract(instance, words, code):
    done = instance.run(*words)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr or words == ["account"]


def test_an_error_says_who_what_and_what_next(instance):
    for words, says, next_step in ((("account", "show", "nobody@example.test"), "there is no account nobody@example.test", "postroom account list"),
                                   (("domain", "show", "other.example"), "there is no domain other.example", "postroom domain list"),
                                   (("alias", "remove", "none@example.test"), "there is no alias none@example.test", "postroom alias list"),
                                   (("alias", "frobnicate"), 'no verb "frobnicate" for alias', "postroom alias --help")):
        assert instance.run(*words).stderr.startswith(f"postroom: {says}\n  try: {next_step}"), instance.run(*words).stderr
    done = instance.run("conf", "describe", "mesage-size")
    assert "mesage-size" in done.stderr and "try: message-size" in done.stderr
    done = subprocess.run([postroom.BIN / "postroom", "--root", "/nonexistent/place", "status"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 3
    assert "/nonexistent/place" in done.stderr and "init" in done.stderr


def test_init_refuses_a_folder_that_is_used_already(instance, tmp_path):
    assert instance.run("init", "--domain", "x.example").returncode == 1
    (tmp_path / "something").write_text("precious")
    done = subprocess.run([postroom.BIN / "postroom", "--root", tmp_path, "init", "--domain", "x.example"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [p.name for p in tmp_path.iterdir()] == ["something"]


def test_init_makes_secrets_that_only_the_owner_reads(instance):
    for path in instance.root.rglob("*"):
        mode = path.lstat().st_mode
        assert not mode & (stat.S_IRWXG | stat.S_IRWXO) or path.is_symlink() or "tls/cert" in str(path), path
    keys = sorted(p.name for p in (instance.root / "keys").iterdir())
    assert keys == ["example.test.ed1.pem", "example.test.ed1.txt", "example.test.rsa1.pem", "example.test.rsa1.txt"]
    assert (instance.root / "keys" / "example.test.ed1.txt").read_text().startswith("v=DKIM1; k=ed25519; p=")


def test_domains_accounts_and_aliases_are_added_listed_and_removed(instance):
    instance.postroom("domain", "add", "Second.Example")
    assert {"example.test", "second.example"} <= {row["domain"] for row in instance.json("domain", "list")}
    instance.add_account("carol@second.example")
    assert [row["account"] for row in instance.json("account", "list", "second.example")] == ["carol@second.example"]
    assert instance.run("domain", "remove", "second.example").returncode == 1       # it has an account
    instance.postroom("alias", "add", "info@second.example", "carol@second.example", "far@elsewhere.example")
    [row] = instance.json("alias", "list", "second.example")
    assert row["targets"] == ["carol@second.example", "far@elsewhere.example"]
    assert instance.run("alias", "add", "info@second.example", "x@y.example").returncode == 1
    instance.postroom("alias", "set", "info@second.example", "carol@second.example")
    instance.postroom("alias", "remove", "info@second.example")
    instance.postroom("domain", "set", "second.example", "--catch-all", "carol@second.example", "--separator", "-")
    shown = instance.json("domain", "show", "second.example")
    assert shown["catch_all"] == "carol@second.example" and shown["separator"] == "-"
    assert instance.run("account", "remove", "carol@second.example").returncode == 2
    instance.postroom("domain", "set", "second.example", "--catch-all", "none")
    instance.postroom("account", "remove", "carol@second.example", "--yes")
    instance.postroom("domain", "remove", "second.example")


def test_a_generated_password_is_printed_once_and_nothing_secret_is_in_the_files(instance):
    out = instance.postroom("account", "add", "dora@example.test", "--generate")
    secret = out.strip().split(": ")[1]
    assert re.fullmatch(r"[a-z2-9]{5}(-[a-z2-9]{5}){3}", secret)
    for path in instance.root.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_quotas_are_set_shown_and_recounted(instance):
    instance.postroom("quota", "set", "alice@example.test", "10M", "500")
    [row] = instance.json("quota", "show", "alice@example.test")
    assert row["quota_bytes"] == 10 << 20 and row["quota_messages"] == 500 and row["used_messages"] == 0
    instance.postroom("quota", "recount", "alice@example.test")
    instance.postroom("quota", "set", "alice@example.test", "none", "none")
    [row] = instance.json("quota", "show", "alice@example.test")
    assert row["quota_bytes"] is None
    assert instance.run("quota", "set", "alice@example.test", "plenty").returncode == 2


def test_mailboxes_are_listed_made_renamed_and_removed(instance):
    rows = {row["mailbox"]: row for row in instance.json("mailbox", "list", "alice@example.test")}
    assert {"INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"} <= set(rows)
    assert rows["Sent"]["special_use"] == "sent" and rows["Sent"]["subscribed"]
    instance.postroom("mailbox", "create", "alice@example.test", "Work/Übung")
    instance.postroom("mailbox", "rename", "alice@example.test", "Work", "Job")
    names = {row["mailbox"] for row in instance.json("mailbox", "list", "alice@example.test")}
    assert {"Job", "Job/Übung"} <= names and "Work" not in names
    instance.postroom("deliver", "alice@example.test", "--mailbox", "Job", input="Subject: x\n\nbody\n")
    assert instance.run("mailbox", "remove", "alice@example.test", "Job").returncode == 2   # it has mail
    instance.postroom("mailbox", "remove", "alice@example.test", "Job/Übung")
    instance.postroom("mailbox", "remove", "alice@example.test", "Job", "--yes")
    assert instance.run("mailbox", "remove", "alice@example.test", "Job").returncode == 3


def test_deliver_takes_a_message_on_standard_input_with_unix_lines(instance):
    instance.postroom("deliver", "alice@example.test", input="From: x@y.example\nSubject: piped\n\nline one\nline two\n")
    [path] = [p for p in instance.files("alice") if b"piped" in p.read_bytes()]
    assert path.read_bytes().endswith(b"Subject: piped\r\n\r\nline one\r\nline two\r\n")
    assert instance.run("deliver", "nobody@example.test", input="x").returncode == 3
    assert instance.run("deliver", "alice@example.test", input="").returncode == 1


def test_index_check_finds_nothing_and_rebuild_changes_no_uid(instance):
    for n in range(20):
        instance.postroom("deliver", "alice@example.test", input=f"Subject: {n}\n\nbody\n")
    before = [p.name for p in instance.files("alice")]
    assert instance.json("index", "check", "alice@example.test") == []
    instance.postroom("index", "rebuild", "alice@example.test")
    assert instance.json("index", "check", "alice@example.test") == []
    assert [p.name for p in instance.files("alice")] == before


def test_every_error_of_a_configuration_is_named_in_one_run(tmp_path):
    with postroom.Instance() as instance:
        conf = instance.root / "postroom.conf"
        conf.write_text(conf.read_text() + "\nmesage-size 10M\nmessage-size banana\nlistener x {\n kind nonsense\n}\n")
        done = instance.run("conf", "check")
        assert done.returncode == 1
        assert "message-size" in done.stderr and "banana" in done.stderr and "nonsense" in done.stderr
        assert len(re.findall(r"postroom\.conf:\d+: ", done.stderr)) >= 3
        served = instance.run("serve", "--detach")
        assert served.returncode == 1 and "postroom.conf:" in served.stderr
        conf.chmod(0)
        try:
            if pathlib.Path("/proc/self/loginuid").exists() and __import__("os").geteuid() != 0:
                assert instance.run("serve", "--detach").returncode == 1
        finally:
            conf.chmod(0o600)


def test_conf_upgrade_makes_settings_of_older_programs_comments_and_keeps_the_file(tmp_path):
    with postroom.Instance() as instance:
        conf = instance.root / "postroom.conf"
        was = conf.read_text()
        etc = tmp_path / "postroom.conf"        # as packages have it
        etc.write_text(was + "\nquota 5G\nmessage-size 20M\nkeywords 50\n")
        etc.chmod(0o640)
        conf.unlink()
        conf.symlink_to(etc)
        done = instance.run("conf", "check")
        assert done.returncode == 1 and "there is no option quota any more: quotas are set by `postroom quota set`" in done.stderr
        assert "keywords" in done.stderr and "conf upgrade" in done.stderr
        text = etc.read_text()
        before = etc.stat()
        said = instance.postroom("conf", "upgrade")
        assert (etc.stat().st_mode, etc.stat().st_uid, etc.stat().st_gid) == (before.st_mode, before.st_uid, before.st_gid)
        assert f"{etc}: 2 lines are comments now; as it was: {etc}.old" in said, said
        assert conf.is_symlink() and (tmp_path / "postroom.conf.old").read_text() == text
        assert [line for line in etc.read_text().splitlines() if not line.startswith("#")] == \
            [line for line in text.splitlines() if not line.startswith(("#", "quota", "keywords"))]
        instance.postroom("conf", "check")
        assert "20M" in instance.postroom("conf", "show")
        assert "nothing in it is of an older program" in instance.postroom("conf", "upgrade")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["postroom.conf", "postroom.conf.old"]
        # What it cannot mend is told as `conf check` tells it; no kept file is overwritten.
        etc.write_text(text + "mesage-size 1M\n")
        done = instance.run("conf", "upgrade")
        assert done.returncode == 1 and "did you mean message-size?" in done.stderr and f"{etc}.old2" in done.stdout, done
        assert (tmp_path / "postroom.conf.old").read_text() == text


def test_conf_show_and_describe_print_what_is_in_force(instance):
    assert re.search(r"(?m)^hostname mail\.example\.test$", instance.postroom("conf", "show"))
    everything = instance.postroom("conf", "show", "--all")
    assert re.search(r"(?m)^message-size 50M$", everything)
    assert "50M" in instance.postroom("conf", "describe", "message-size")
    described = instance.postroom("conf", "describe")
    for name in re.findall(r"(?m)^([a-z][a-z-]+) ", everything):
        assert name in described


def test_conf_show_and_describe_are_rows_for_programs(instance):
    shown = {row["option"]: row["value"] for row in instance.json("conf", "show", "--all")}
    assert shown["hostname"] == "mail.example.test" and shown["message-size"] == "50M"
    listeners = {row["listener"] for row in instance.json("conf", "show", "--all") if row["option"] == "listener.kind"}
    assert {"imaps", "submissions"} <= listeners
    [row] = instance.json("conf", "describe", "message-size")
    assert row["option"] == "message-size" and row["default"] == "50M" and row["needs_restart"] is False and "RFC 5321" in row["meaning"]
    assert {row["option"] for row in instance.json("conf", "describe")} >= set(shown)


def test_conf_describe_fits_a_terminal(instance):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen([postroom.BIN / "postroom", "conf", "describe"], stdout=theirs) as child:
        os.close(theirs)
        text = b""
        while True:
            try:
                text += os.read(ours, 65536)
            except OSError:     # the other end is closed, and all of it read
                break
        assert child.wait() == 0
    os.close(ours)
    lines = text.decode().split("\r\n")
    too_wide = [line for line in lines if len(line) > 80 and " " in line.strip()]
    assert len(lines) > 500 and not too_wide, too_wide[:3]


@pytest.mark.parametrize("name,says", [("not_a_domain.example", "hyphens only"), ("localhost", "a dot in its name"),
                                       ("192.0.2.1", "an address, and no domain"), ("x-.example", "not valid")])
def test_what_is_no_domain_is_not_added(instance, name, says):
    done = instance.run("domain", "add", name)
    assert done.returncode == 1 and says in done.stderr, done
    assert name not in {row["domain"] for row in instance.json("domain", "list")}


def test_serve_detached_answers_at_once_shows_status_and_stops(tmp_path):
    with postroom.Instance(accounts=("alice",)) as instance:
        out = instance.run("serve", "--detach")
        assert out.returncode == 0, out.stderr
        try:
            pid = int((instance.root / "run" / "postroom.pid").read_text())
            for name in instance.names():
                socket.create_connection(("127.0.0.1", instance.port(name)), timeout=10).close()
            status = instance.json("status")
            assert status["running"] and status["pid"] == pid
            daemons = {row["name"]: row for row in status["daemons"]}
            assert set(daemons) == {"smtpd", "imapd", "pop3d"}
            for row in daemons.values():
                for worker in row["workers"]:
                    layers = {layer["layer"]: layer["active"] for layer in worker["sandbox"]}
                    assert layers["seccomp"] and layers["no-new-privileges"]
            text = instance.postroom("status")
            assert "imapd" in text and "seccomp" in text
            again = instance.run("serve", "--detach")
            assert again.returncode == 1 and "runs already" in again.stderr
            instance.postroom("reload")
        finally:
            assert instance.run("stop").returncode == 0
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", instance.port("imap")), timeout=10).close()
        assert instance.run("stop").returncode == 4


def test_a_taken_port_is_named(tmp_path):
    with postroom.Instance() as instance, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("0.0.0.0", instance.port("imap")))
        other.listen()
        done = instance.run("serve", "--detach")
        assert done.returncode == 1
        assert str(instance.port("imap")) in done.stderr and "in use" in done.stderr.lower()
        assert not (instance.root / "run" / "postroom.pid").exists()


def test_a_missing_certificate_is_named_and_nothing_in_clear_replaces_it(tmp_path):
    with postroom.Instance(accounts=("alice",)) as instance:
        (instance.root / "tls" / "cert.pem").unlink()
        instance.start(wait=False)
        instance.wait_ready(("imap", "submission"))
        with instance.raw("imap") as line:
            assert b"STARTTLS" not in line.line()
        with instance.raw("imaps") as line:
            assert line.at_end()
        assert "cert.pem" in instance.log()


def test_a_newer_format_is_refused_with_a_sentence(tmp_path):
    with postroom.Instance() as instance:
        (instance.root / "format").write_text("postroom 99\n")
        done = instance.run("account", "list")
        assert done.returncode == 1 and "newer" in done.stderr


def test_accounts_made_while_it_runs_can_log_in_at_once_and_disabled_ones_cannot(tmp_path):
    with postroom.Instance(accounts=("alice",)) as instance:
        instance.start()
        instance.add_account("late")
        instance.imap("late").logout()
        instance.postroom("account", "disable", "late@example.test")
        with pytest.raises(Exception):
            instance.imap("late")
        instance.postroom("account", "enable", "late@example.test")
        instance.postroom("account", "password", "late@example.test", "--password-stdin", input="another one\n")
        instance.passwords["late@example.test"] = "another one"
        instance.imap("late").logout()
        instance.postroom("account", "set", "late@example.test", "--protocols", "imap")
        with pytest.raises(Exception):
            instance.pop3("late")


def test_json_listings_are_one_document(instance):
    for words in (("domain", "list"), ("account", "list"), ("alias", "list"), ("quota", "show"),
                  ("mailbox", "list", "alice@example.test")):
        assert isinstance(json.loads(instance.postroom(*words, "--json")), list)


def test_a_certificate_is_read_as_whoever_calls_and_registered_as_the_instances_owner(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7", "-subj",
                    "/CN=laptop", "-keyout", tmp_path / "key", "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    (tmp_path / "cert.pem").chmod(0o600)
    with postroom.Instance(accounts=("alice",)) as instance:
        if os.geteuid() == 0:           # who calls is somebody else then
            subprocess.run(["chown", "-R", "nobody", instance.root], check=True)
        instance.postroom("client-cert", "add", "alice@example.test", "laptop", tmp_path / "cert.pem")
        assert [row["label"] for row in instance.json("client-cert", "list", "alice@example.test")] == ["laptop"]
        shown = instance.json("account", "show", "alice@example.test")
        [row] = shown["client_certificates"]
        assert row["label"] == "laptop" and len(row["key"]) == 64 and shown["app_passwords"] == []
        text = instance.postroom("account", "show", "alice@example.test")
        assert "Client certificates\nNUMBER" in text and row["key"] in text, text


@pytest.mark.parametrize("words, content, made", (
    (("account", "import"), "account,password\nnew@example.test,secret of new\n", ("account", "list", "new@example.test")),
    (("alias", "import"), "new: alice\n", ("alias", "list", "new@example.test")),
    (("apply", "--yes"), "domain example.test\naccount alice@example.test\naccount new@example.test\n", ("account", "list", "new@example.test")),
))
def test_a_file_is_read_as_whoever_calls_and_taken_in_as_the_instances_owner(tmp_path, words, content, made):
    """Lists of people and their passwords belong to root alone, the instance to the server's user."""
    tmp_path.chmod(0o700)
    file = tmp_path / ("people.csv" if words[0] == "account" else "file")
    file.write_text(content)
    file.chmod(0o600)
    with postroom.Instance(accounts=("alice",), conf="scram-iterations 4096\n") as instance:
        if os.geteuid() == 0:           # who calls is somebody else then
            subprocess.run(["chown", "-R", "nobody", instance.root], check=True)
        done = instance.run(*words[:1 if words[0] == "apply" else 2], file, *(words[1:] if words[0] == "apply" else ()),
                            *(("--domain", "example.test") if words[0] == "alias" else ()))
        assert done.returncode == 0, done
        noun, verb, name = made
        assert name in instance.postroom(noun, verb)
        owners = {path.stat().st_uid for path in (instance.root / "directory").iterdir()}
        assert owners == {instance.root.stat().st_uid}, owners          # what was made belongs to him, too


def test_an_upgrade_is_asked_for_by_root_of_a_server_that_may_open_ports_below_1024(monkeypatch):
    """As packages do. Where such a server's programs lie the kernel shows to nobody with fewer rights, its own user included."""
    with tempfile.TemporaryDirectory(prefix="postroom-e2e-programs-") as folder, postroom.Instance() as instance:
        # A build folder may be root's alone.
        os.chmod(folder, 0o755)
        for name in (*postroom.DAEMONS, "postroom"):
            shutil.copy2(postroom.BIN / name, folder)
        monkeypatch.setattr(postroom, "BIN", pathlib.Path(folder))
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "nobody", instance.root], check=True)
        instance.start()
        assert "the new programs serve" in instance.postroom("upgrade")
