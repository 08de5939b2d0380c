"""ManageSieve (RFC 5804): every command, cut at every octet, and Debian's sieve-connect."""

import base64
import re
import shutil
import socket
import subprocess

import pytest

import postroom

SCRIPT = 'require ["fileinto"];\r\nif header :contains "subject" "x" { fileinto "X"; }\r\n'


class Sieve(postroom.Line):
    """A connection whose answers are read as RFC 5804 section 4 has them."""

    def string_or_rest(self, line):
        """The last literal of a line is read, too."""
        found = re.search(rb"\{(\d+)\}$", line)
        if not found:
            return line, None
        return line[:found.start()], self.octets(int(found.group(1)))

    def answer(self):
        """(word, code, text, lines before it); a line is a list of strings and atoms."""
        lines = []
        while True:
            head, literal = self.string_or_rest(self.line())
            words = [self.unquote(word) for word in re.findall(rb'"(?:[^"\\]|\\.)*"|\([^)"]*(?:"[^"]*")?[^)]*\)|[^ "()]+', head)]
            if literal is not None:
                words.append(literal)
                rest = self.line()
                words += [self.unquote(word) for word in re.findall(rb'"(?:[^"\\]|\\.)*"|[^ "]+', rest.strip(b" )"))]
            if words and words[0] in (b"OK", b"NO", b"BYE") and not head.startswith(b'"'):
                code = words[1] if len(words) > 1 and words[1].startswith(b"(") else None
                text = words[-1] if len(words) > (2 if code else 1) else b""
                return words[0].decode(), code.decode().strip("()") if code else None, text.decode(), lines
            if words or lines:
                lines.append(words)

    @staticmethod
    def unquote(word):
        return re.sub(rb"\\(.)", rb"\1", word[1:-1]) if word.startswith(b'"') else word

    def ask(self, command):
        self.send(command + "\r\n")
        return self.answer()


def literal(text):
    return f"{{{len(text.encode())}+}}\r\n{text}"


def connect(server, tls=False):
    sieve = Sieve(server.port("managesieve"))
    word, _, _, lines = sieve.answer()
    assert word == "OK"
    sieve.greeting = {line[0].decode(): line[1].decode() if len(line) > 1 else None for line in lines}
    if tls:
        assert sieve.ask("STARTTLS")[0] == "OK"
        sieve.start_tls(server.tls_context())
        word, _, _, lines = sieve.answer()
        assert word == "OK"
        sieve.greeting = {line[0].decode(): line[1].decode() if len(line) > 1 else None for line in lines}
    return sieve


def plain(server, user, password=None):
    return base64.b64encode(f"\0{server.address(user)}\0{password or server.password(user)}".encode()).decode()


def login(server, user, tls=True):
    sieve = connect(server, tls)
    assert sieve.ask(f'AUTHENTICATE "PLAIN" "{plain(server, user)}"')[0] == "OK"
    return sieve


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice", "bob"), conf="plaintext-auth never\nsieve-scripts 5\nsieve-script-size 64K\n") as instance:
        instance.start()
        yield instance


@pytest.fixture
def user(server):
    user.count = getattr(user, "count", 0) + 1
    server.add_account(f"sieve{user.count}")
    return f"sieve{user.count}"


def names(sieve):
    word, _, _, lines = sieve.ask("LISTSCRIPTS")
    assert word == "OK"
    return {line[0].decode(): b"ACTIVE" in line[1:] for line in lines}


def test_capabilities_before_and_after_tls_and_login(server, user):
    with connect(server) as sieve:
        assert sieve.greeting["VERSION"] == "1.0" and sieve.greeting["SASL"] == "SCRAM-SHA-256 SCRAM-SHA-1" and "STARTTLS" in sieve.greeting
        assert {"fileinto", "vacation", "enotify"} <= set(sieve.greeting["SIEVE"].split())
        assert sieve.greeting["NOTIFY"] == "mailto" and sieve.greeting["EXTLISTS"] == "urn" and "OWNER" not in sieve.greeting
    with connect(server, tls=True) as sieve:
        assert "PLAIN" in sieve.greeting["SASL"].split() and "STARTTLS" not in sieve.greeting
        assert sieve.ask("STARTTLS")[0] == "NO"
        assert sieve.ask(f'AUTHENTICATE "PLAIN" "{plain(server, user)}"')[0] == "OK"
        lines = {line[0]: line[1:] for line in sieve.ask("CAPABILITY")[3]}
        assert lines[b"OWNER"] == [server.address(user).encode()]


def test_login_needs_tls_and_the_right_password(server, user):
    with connect(server) as sieve:
        assert sieve.ask(f'AUTHENTICATE "PLAIN" "{plain(server, user)}"')[:2] == ("NO", "ENCRYPT-NEEDED")
        assert sieve.ask("LISTSCRIPTS")[0] == "NO"
    with connect(server, tls=True) as sieve:
        assert sieve.ask('AUTHENTICATE "NONSENSE"')[0] == "NO"
        assert sieve.ask('AUTHENTICATE "PLAIN" "%%%"')[0] == "NO"
        assert sieve.ask(f'AUTHENTICATE "PLAIN" "{plain(server, user, "wrong")}"')[0] == "NO"
        sieve.send('AUTHENTICATE "PLAIN"\r\n')
        assert sieve.line() == b'""'
        sieve.send(literal(plain(server, user)) + "\r\n")
        assert sieve.answer()[0] == "OK"
        assert sieve.ask(f'AUTHENTICATE "PLAIN" "{plain(server, user)}"')[0] == "NO"
    with connect(server, tls=True) as sieve:
        sieve.send('AUTHENTICATE "PLAIN"\r\n')
        assert sieve.line() == b'""'
        assert sieve.ask('"*"')[0] == "NO"
        assert sieve.ask("NOOP")[0] == "OK"


def test_octets_behind_starttls_end_the_connection(server):
    sieve = connect(server)
    sieve.send("STARTTLS\r\nCAPABILITY\r\n")
    sieve.answer()
    assert sieve.at_end() or b"IMPLEMENTATION" not in sieve.buffer


def test_each_command_does_what_rfc_5804_says(server, user):
    with login(server, user) as sieve:
        assert names(sieve) == {}
        assert sieve.ask(f'PUTSCRIPT "one" {literal(SCRIPT)}')[0] == "OK"
        assert sieve.ask('PUTSCRIPT "two" "keep;"')[0] == "OK"
        assert sieve.ask('GETSCRIPT "one"')[3] == [[SCRIPT.encode()]]
        assert sieve.ask('GETSCRIPT "none"')[:2] == ("NO", "NONEXISTENT")
        assert sieve.ask('SETACTIVE "one"')[0] == "OK"
        assert names(sieve) == {"one": True, "two": False}
        assert sieve.ask('SETACTIVE "none"')[:2] == ("NO", "NONEXISTENT")
        assert sieve.ask('DELETESCRIPT "one"')[:2] == ("NO", "ACTIVE")
        assert sieve.ask('RENAMESCRIPT "two" "one"')[:2] == ("NO", "ALREADYEXISTS")
        assert sieve.ask('RENAMESCRIPT "none" "three"')[:2] == ("NO", "NONEXISTENT")
        assert sieve.ask('RENAMESCRIPT "one" "Größe \\"1\\""')[0] == "OK"
        assert names(sieve) == {'Größe "1"': True, "two": False}
        assert sieve.ask('SETACTIVE ""')[0] == "OK"
        assert sieve.ask('DELETESCRIPT "Größe \\"1\\""')[0] == "OK"
        assert sieve.ask(f"CHECKSCRIPT {literal(SCRIPT)}")[0] == "OK"
        word, code, text, _ = sieve.ask('CHECKSCRIPT "require \\"nope\\"; fileinto \\"x\\";"')
        assert word == "NO" and "line 1, column 9" in text and "nope" in text
        assert sieve.ask('PUTSCRIPT "bad" "nonsense"')[0] == "NO"
        assert sieve.ask('HAVESPACE "x" 100')[0] == "OK"
        assert sieve.ask('HAVESPACE "x" 70000')[:2] == ("NO", "QUOTA/MAXSIZE")
        assert sieve.ask('NOOP "tag 1"')[:2] == ("OK", 'TAG "tag 1"')
        assert names(sieve) == {"two": False}
        assert sieve.ask("UNAUTHENTICATE")[0] == "OK"
        assert sieve.ask("LISTSCRIPTS")[0] == "NO"
        assert sieve.ask(f'AUTHENTICATE "PLAIN" "{plain(server, user)}"')[0] == "OK"
        assert names(sieve) == {"two": False}
        assert sieve.ask("LOGOUT")[0] == "OK"
        assert sieve.at_end()


def test_quotas_and_names(server, user):
    with login(server, user) as sieve:
        for n in range(5):
            assert sieve.ask(f'PUTSCRIPT "{n}" "keep;"')[0] == "OK"
        assert sieve.ask('PUTSCRIPT "5" "keep;"')[:2] == ("NO", "QUOTA/MAXSCRIPTS")
        assert sieve.ask('HAVESPACE "5" 1')[:2] == ("NO", "QUOTA/MAXSCRIPTS")
        assert sieve.ask('PUTSCRIPT "4" "stop;"')[0] == "OK"
        big = "# " + "x" * 70000
        assert sieve.ask(f'PUTSCRIPT "4" {literal(big)}')[:2] == ("NO", "QUOTA/MAXSIZE")
        assert sieve.ask(f"CHECKSCRIPT {literal(big)}")[:2] == ("NO", "QUOTA/MAXSIZE")
        for name in ("", "../x", "a/b", ".hidden", "x" * 300, "a\x7f"):
            assert sieve.ask(f'PUTSCRIPT "{name}" "keep;"')[0] == "NO", name
        assert sieve.ask('GETSCRIPT "../../postroom"')[:2] == ("NO", "NONEXISTENT")
        assert len(names(sieve)) == 5


def test_a_large_script_comes_back_whole(server, user):
    text = "keep;\r\n# " + "ä" * 32000
    with login(server, user) as sieve:
        assert sieve.ask(f'PUTSCRIPT "big" {literal(text)}')[0] == "OK"
        for _ in range(3):
            assert sieve.ask('GETSCRIPT "big"')[3] == [[text.encode()]]


def test_wrong_commands_are_told_and_then_it_is_enough(server, user):
    with login(server, user) as sieve:
        for line in ("NONSENSE", "NOOP NOOP", "PUTSCRIPT", 'PUTSCRIPT "x"', "SETACTIVE", 'HAVESPACE "x"', 'HAVESPACE "x" "1"',
                     'HAVESPACE "x" 99999999999', "LISTSCRIPTS 1", 'GETSCRIPT "x" "y"', "\x00"):
            assert sieve.ask(line)[0] == "NO", line
        assert sieve.ask("NOOP")[0] == "OK"
        for _ in range(30):
            sieve.send("NONSENSE\r\n")
        while True:
            word = sieve.answer()[0]
            if word == "BYE":
                break
        assert sieve.at_end()
    with connect(server) as sieve:
        sieve.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sieve.at_end() and sieve.buffer == b""


DIALOGUE = [
    'CAPABILITY', 'NOOP "x"', 'HAVESPACE "s" 10', f'PUTSCRIPT "s" {literal(SCRIPT)}', f'CHECKSCRIPT {literal("keep;")}', 'SETACTIVE "s"',
    'LISTSCRIPTS', 'GETSCRIPT "s"', 'SETACTIVE ""', 'RENAMESCRIPT "s" "t"', 'DELETESCRIPT "t"', 'GETSCRIPT "s"']


def test_every_command_cut_at_every_octet(server, user):
    """The same dialogue in two packets, for each place where it may be cut, is answered the same."""
    octets = "".join(command + "\r\n" for command in DIALOGUE).encode()
    with login(server, user) as sieve:
        sieve.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sieve.send(octets)
        sieve.send('NOOP "end"\r\n')
        answers = []
        while not answers or b"end" not in answers[-1]:
            answers.append(sieve.line())
        whole = b"\r\n".join(answers[:-1]) + b"\r\n"
        assert sum(line.startswith((b"OK", b"NO")) for line in answers) == len(DIALOGUE) + 1
        for cut in range(1, len(octets)):
            sieve.send(octets[:cut])
            sieve.send(octets[cut:])
            assert sieve.octets(len(whole)) == whole, cut


def test_octet_by_octet(server, user):
    with login(server, user) as sieve:
        for octet in f'PUTSCRIPT "s" {literal(SCRIPT)}\r\nGETSCRIPT "s"\r\n'.encode():
            sieve.send(bytes([octet]))
        assert sieve.answer()[0] == "OK"
        assert sieve.answer()[3] == [[SCRIPT.encode()]]


def test_what_is_put_sorts_the_next_message(server, user):
    with login(server, user) as sieve:
        assert sieve.ask('PUTSCRIPT "s" "require [\\"fileinto\\", \\"mailbox\\"]; fileinto :create \\"Put\\";"')[0] == "OK"
        assert sieve.ask('SETACTIVE "s"')[0] == "OK"
    server.send(postroom.message(to=server.address(user)), user)
    assert len(server.files(user, "Put")) == 1


def test_sieve_connect_of_debian(server, user, tmp_path):
    program = shutil.which("sieve-connect")
    if not program:
        pytest.skip("sieve-connect is not installed: ./quickstart peers")
    script = tmp_path / "mine.sieve"
    script.write_text('require "fileinto";\nfileinto "Mine";\n')

    def run(*args):
        return subprocess.run([program, "--server", "localhost", "--port", str(server.port("managesieve")), "--user", server.address(user),
                               "--passwordfd", "0", "--authmech", "PLAIN", "--nosslverify", "--4", "--nosrv", *args],
                              input=server.password(user) + "\n", capture_output=True, text=True, timeout=120, check=False)
    for args in (["--upload", "--localsieve", str(script), "--remotesieve", "mine"], ["--activate", "--remotesieve", "mine"]):
        done = run(*args)
        assert done.returncode == 0, done.stdout + done.stderr
    listed = run("--list")
    assert '"mine" ACTIVE' in listed.stdout, listed.stdout + listed.stderr
    got = run("--download", "--remotesieve", "mine", "--localsieve", str(tmp_path / "back"))
    assert got.returncode == 0 and (tmp_path / "back").read_text().split() == script.read_text().split(), got.stderr
    for args in (["--deactivate"], ["--delete", "--remotesieve", "mine"]):
        done = run(*args)
        assert done.returncode == 0, done.stdout + done.stderr
    assert server.json("sieve", "list", server.address(user)) == []


def test_scripts_see_annotations_special_uses_and_mailbox_ids(server, user):
    """RFC 5490, RFC 8579, RFC 9042 with what IMAP clients have set."""
    with server.imap(user) as imap:
        imap.create("Marked")
        assert imap.xatom("SETMETADATA", "Marked", '(/private/vendor/test/x "yes")')[0] == "OK"
        assert imap.xatom("SETMETADATA", '""', '(/private/vendor/test/server "here")')[0] == "OK"
        ids = re.search(rb"MAILBOXID \(([^)]+)\)", imap.status("Marked", "(MAILBOXID)")[1][0]).group(1).decode()
    script = (
        'require ["mboxmetadata", "servermetadata", "special-use", "mailboxid", "fileinto", "copy", "mailbox"];\r\n'
        'if not metadata :is "Marked" "/private/vendor/test/x" "yes" { discard; stop; }\r\n'
        'if metadataexists "Marked" "/private/vendor/test/none" { discard; stop; }\r\n'
        'if not servermetadata :is "/private/vendor/test/server" "here" { discard; stop; }\r\n'
        'if not specialuse_exists "\\\\Trash" { discard; stop; }\r\n'
        f'if not mailboxidexists "{ids}" {{ discard; stop; }}\r\n'
        'fileinto :copy :specialuse "\\\\Junk" "Nowhere";\r\n'
        f'fileinto :copy :mailboxid "{ids}" "Nowhere";\r\n')
    with login(server, user) as sieve:
        word, _, text, _ = sieve.ask(f'PUTSCRIPT "s" {literal(script)}')
        assert word == "OK", text
        assert sieve.ask('SETACTIVE "s"')[0] == "OK"
    server.send(postroom.message(to=server.address(user)), user)
    assert [len(server.files(user, name)) for name in ("", "Junk", "Marked")] == [1, 1, 1]
