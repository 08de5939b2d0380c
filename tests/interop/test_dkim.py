"""DKIM and ARC against other people's programs, both ways: opendkim, dkimpy (python3-dkim), Mail::DKIM (libmail-dkim-perl)."""

import base64
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import time

import pytest

BUILD = pathlib.Path(os.environ.get("POSTROOM_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
PEER = BUILD / "tests" / "interop" / "dkim_peer"
NOW = 2000000000        # behind all that is signed here

MESSAGES = {
    "plain": b"From: Ann <ann@example.test>\r\nTo: bob@other.test\r\nSubject: Hello\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
             b"Message-ID: <1@example.test>\r\n\r\nHi.\r\n\r\nBye.\r\n",
    "blanks": b"From:ann@example.test  \r\nTO:  bob@other.test,\r\n\tcarl@other.test \r\nSubject:   many \t blanks  \r\n\r\n"
              b" leading\r\ntrailing \t \r\na \t b\r\n \r\n\r\n\r\n",
    "empty body": b"From: ann@example.test\r\nSubject: nothing\r\n\r\n",
    "no line end": b"From: ann@example.test\r\nSubject: cut\r\n\r\nno line end",
    "long": b"From: ann@example.test\r\nSubject: long\r\n\r\n" + b"".join(b"line %d\r\n" % i for i in range(20000)),
    "octets": "From: ann@example.test\r\nSubject: Grüße\r\n\r\nschön\r\n".encode() + bytes(range(128, 256)) + b"\r\n",
}

# opendkim's test program and Mail::DKIM's signer do nothing about a line that has no end (RFC 6376 §3.4.3 adds it).
WHOLE = [name for name in MESSAGES if name != "no line end"]


def peer(*args, input):
    done = subprocess.run([PEER, *map(str, args)], input=input, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A folder with the keys of example.test, as `postroom domain add` makes them, and their records by name."""
    folder = tmp_path_factory.mktemp("dkim")
    for selector, make in (("rsa1", ["genrsa", "2048"]), ("ed1", ["genpkey", "-algorithm", "ed25519"])):
        path = folder / f"example.test.{selector}.pem"
        path.write_bytes(subprocess.run(["openssl", *make], capture_output=True, check=True).stdout)
        path.chmod(0o600)
    records = {}
    for selector, kind in (("rsa1", "rsa"), ("ed1", "ed25519")):
        der = subprocess.run(["openssl", "pkey", "-in", folder / f"example.test.{selector}.pem", "-pubout", "-outform", "DER"],
                             capture_output=True, check=True).stdout
        public = base64.b64encode(der if kind == "rsa" else der[-32:]).decode()
        records[f"{selector}._domainkey.example.test"] = f"v=DKIM1; k={kind}; p={public}"
    (folder / "records").write_text("".join(f"{name} {text}\n" for name, text in records.items()))
    return folder, records


def verdicts(folder, message):
    return peer("verify", NOW, folder / "records", input=message).decode().splitlines()


def dns_of(records):
    def lookup(name, timeout=5):
        return records.get(name.decode().rstrip("."), "").encode() or None
    return lookup


@pytest.fixture
def dkim():
    return pytest.importorskip("dkim", reason="python3-dkim is not installed: ./quickstart peers")


def perl(script, *args, input):
    done = subprocess.run(["perl", "-MMail::DKIM", "-e", "1"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("Mail::DKIM is not installed (package libmail-dkim-perl): ./quickstart peers")
    done = subprocess.run(["perl", "-e", script, *map(str, args)], input=input, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", MESSAGES)
def test_dkimpy_verifies_what_we_sign(keys, dkim, name):
    folder, records = keys
    signed = peer("sign", 1790000000, folder, input=MESSAGES[name])
    verifier = dkim.DKIM(signed)
    for index in range(2):
        assert verifier.verify(index, dnsfunc=dns_of(records)), name
    assert verdicts(folder, signed)[:2] == ["dkim=pass d=example.test s=rsa1 a=rsa-sha256 ",
                                            "dkim=pass d=example.test s=ed1 a=ed25519-sha256 "]


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("canonical", [(b"simple", b"simple"), (b"simple", b"relaxed"), (b"relaxed", b"simple"),
                                       (b"relaxed", b"relaxed")])
@pytest.mark.parametrize("selector,algorithm", [("rsa1", b"rsa-sha256"), ("ed1", b"ed25519-sha256")])
def test_we_verify_what_dkimpy_signs(keys, dkim, name, canonical, selector, algorithm):
    folder, _ = keys
    key = (folder / f"example.test.{selector}.pem").read_bytes()
    if selector == "ed1":       # dkimpy wants the bare seed
        der = subprocess.run(["openssl", "pkey", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
        key = base64.b64encode(der[-32:])
    field = dkim.sign(MESSAGES[name], selector.encode(), b"example.test", key, canonicalize=canonical,
                      signature_algorithm=algorithm)
    assert verdicts(folder, field + MESSAGES[name])[0] == f"dkim=pass d=example.test s={selector} a={algorithm.decode()} "
    changed = field + MESSAGES[name].replace(b"Subject:", b"Subject: x")
    assert verdicts(folder, changed)[0].startswith("dkim=fail ")


def test_we_distrust_a_length_that_dkimpy_signs(keys, dkim):
    folder, _ = keys
    message = MESSAGES["plain"]
    field = dkim.sign(message, b"rsa1", b"example.test", (folder / "example.test.rsa1.pem").read_bytes(), length=True)
    assert verdicts(folder, field + message)[0].startswith("dkim=policy ")


OPENDKIM_OK = "verification (s=rsa1, d=example.test, 2048-bit key) succeeded"


@pytest.mark.parametrize("name", WHOLE)
def test_opendkim_verifies_what_we_sign(keys, program, tmp_path, name):
    folder, records = keys
    (tmp_path / "keys").write_text("".join(f"{n} {t}\n" for n, t in records.items() if n.startswith("rsa1")))
    (tmp_path / "conf").write_text(f"Mode v\nTestPublicKeys {tmp_path}/keys\n")
    signed = peer("sign", 1790000000, folder, input=MESSAGES[name])
    signed = signed[:signed.index(b"DKIM-Signature", 10)] + MESSAGES[name]     # it knows no Ed25519
    (tmp_path / "message").write_bytes(signed)
    done = program("opendkim", "-vvv", "-x", tmp_path / "conf", "-t", tmp_path / "message")
    assert OPENDKIM_OK in done.stdout + done.stderr, done.stdout + done.stderr


class Milter:
    """As much of a milter's client (libmilter's protocol, version 6) as makes opendkim sign a message."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        for _ in range(200):    # its name is there a little before it listens
            try:
                self.socket.connect(str(path))
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        self.say(b"O" + struct.pack(">III", 6, 0x1ff, 0x100000))        # white space behind the colon is the milter's
        assert struct.unpack(">cIII", self.hear())[3] == 0x100000

    def say(self, packet):
        self.socket.sendall(struct.pack(">I", len(packet)) + packet)

    def octets(self, count):
        got = b""
        while len(got) < count:
            part = self.socket.recv(count - len(got))
            assert part, "the milter hung up"
            got += part
        return got

    def hear(self):
        return self.octets(struct.unpack(">I", self.octets(4))[0])

    def ask(self, packet):
        self.say(packet)
        answer = self.hear()
        assert answer in (b"c", b"a"), (packet, answer)

    def signed(self, message):
        header, _, body = message.partition(b"\r\n\r\n")
        self.ask(b"Clocalhost\x004" + struct.pack(">H", 1234) + b"127.0.0.1\0")
        self.ask(b"Hlocalhost\0")
        self.ask(b"M<ann@example.test>\0")
        self.ask(b"R<bob@other.test>\0")
        self.ask(b"T")
        for field in re.split(rb"\r\n(?![ \t])", header):
            name, _, value = field.partition(b":")
            self.ask(b"L" + name + b"\0" + value.replace(b"\r\n", b"\n") + b"\0")
        self.ask(b"N")
        for at in range(0, len(body), 60000):
            self.ask(b"B" + body[at:at + 60000])
        self.say(b"E")
        while True:
            answer = self.hear()
            assert answer[:1] in b"hica", answer
            if answer[:1] in b"hi":
                name, value = answer[5 if answer[:1] == b"i" else 1:].split(b"\0")[:2]
                if name == b"DKIM-Signature":
                    return name + b":" + value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + b"\r\n" + message
            else:
                raise AssertionError("opendkim did not sign")


@pytest.mark.parametrize("canonical", ["simple/simple", "relaxed/relaxed", "relaxed/simple"])
def test_we_verify_what_opendkim_signs(keys, tmp_path, canonical):
    folder, _ = keys
    path = shutil.which("opendkim", path=os.environ["PATH"] + ":/usr/sbin") or \
        pytest.skip("opendkim is not installed: ./quickstart peers")
    (tmp_path / "conf").write_text(f"Mode s\nDomain example.test\nSelector rsa1\nKeyFile {folder}/example.test.rsa1.pem\n"
                                   f"Socket local:{tmp_path}/socket\nCanonicalization {canonical}\n"
                                   "SignatureAlgorithm rsa-sha256\nRequireSafeKeys no\nInternalHosts 127.0.0.1\n")
    with subprocess.Popen([path, "-f", "-x", tmp_path / "conf"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as daemon:
        try:
            for _ in range(600):
                if (tmp_path / "socket").exists() or daemon.poll() is not None:
                    break
                time.sleep(0.05)
            assert daemon.poll() is None, daemon.stderr.read()
            for name in WHOLE:
                signed = Milter(tmp_path / "socket").signed(MESSAGES[name])
                assert verdicts(folder, signed)[0] == "dkim=pass d=example.test s=rsa1 a=rsa-sha256 ", (name, signed[:1000])
        finally:
            daemon.terminate()


PERL_RECORDS = """
use Mail::DKIM::DNS;
my %records = map { /^(\\S+) (.*)$/ } do { open my $f, '<', shift or die; <$f> };
{ no warnings 'redefine';
  *Mail::DKIM::DNS::query = sub { my ($name, $type) = @_; my $text = $records{$name} or return;
      return bless { text => $text }, 'Record' }; }
package Record; sub type { 'TXT' } sub char_str_list { $_[0]{text} } sub txtdata { $_[0]{text} } package main;
"""


@pytest.mark.parametrize("name", MESSAGES)
def test_mail_dkim_verifies_what_we_sign(keys, name):
    folder, _ = keys
    signed = peer("sign", 1790000000, folder, input=MESSAGES[name])
    out = perl(PERL_RECORDS + """
        use Mail::DKIM::Verifier; binmode STDIN; local $/;
        my $v = Mail::DKIM::Verifier->new; $v->PRINT(<STDIN>); $v->CLOSE;
        print join(",", map { $_->algorithm . "=" . $_->result } $v->signatures);
        """, folder / "records", input=signed).decode()
    assert "rsa-sha256=pass" in out, out


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("method", ["simple", "relaxed", "relaxed/simple"])
def test_we_verify_what_mail_dkim_signs(keys, name, method):
    folder, _ = keys
    field = perl("""
        use Mail::DKIM::Signer; binmode STDIN; my ($method, $file) = @ARGV;
        my $s = Mail::DKIM::Signer->new(Algorithm => 'rsa-sha256', Method => $method, Domain => 'example.test',
                                        Selector => 'rsa1', KeyFile => $file);
        $s->PRINT(do { local $/; <STDIN> }); $s->CLOSE; print $s->signature->as_string, "\\r\\n";
        """, method, folder / "example.test.rsa1.pem", input=MESSAGES[name])
    assert verdicts(folder, field + MESSAGES[name])[0] == "dkim=pass d=example.test s=rsa1 a=rsa-sha256 "


# ---- ARC ----

def test_dkimpy_verifies_the_chain_that_we_seal(keys, dkim):
    folder, records = keys
    message = peer("sign", 1790000000, folder, input=MESSAGES["plain"])
    for instance in (1, 2, 3):
        message = peer("seal", 1790000000, folder, "example.test", folder / "records", input=message)
        cv, results, reason = dkim.ARC(message).verify(dnsfunc=dns_of(records))
        assert (cv, len(results)) == (dkim.CV_Pass, instance), reason
        assert verdicts(folder, message)[-1] == f"arc=pass count={instance} "


def test_we_verify_the_chain_that_dkimpy_seals(keys, dkim):
    folder, _ = keys
    message = MESSAGES["plain"]
    key = (folder / "example.test.rsa1.pem").read_bytes()
    for instance in (1, 2):
        arc = "none" if instance == 1 else "pass"
        message = f"Authentication-Results: mx{instance}.test; arc={arc}; spf=pass smtp.mailfrom=ann@b.test\r\n".encode() + message
        fields = dkim.arc_sign(message, b"rsa1", b"example.test", key, f"mx{instance}.test".encode())
        message = b"".join(fields) + message
        assert verdicts(folder, message)[-1] == f"arc=pass count={instance} "
    assert verdicts(folder, message.replace(b"Hi.", b"Ho."))[-1].startswith("arc=fail ")


def test_mail_dkim_verifies_the_chain_that_we_seal(keys):
    folder, _ = keys
    message = peer("seal", 1790000000, folder, "example.test", folder / "records", input=MESSAGES["plain"])
    message = peer("seal", 1790000000, folder, "example.test", folder / "records", input=message)
    out = perl(PERL_RECORDS + """
        use Mail::DKIM::ARC::Verifier; binmode STDIN; local $/;
        my $v = Mail::DKIM::ARC::Verifier->new; $v->PRINT(<STDIN>); $v->CLOSE; print $v->result_detail;
        """, folder / "records", input=message).decode()
    assert out.startswith("pass"), out
