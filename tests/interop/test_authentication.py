"""The matrix of doc/authentication.md: each mechanism, in each protocol, with the account's own password and with an app password, or
with a certificate, by programs of others where Debian has them and by clients written from the RFCs."""

import base64
import hashlib
import os
import pathlib
import re
import subprocess
import sys

import pytest

import postroom

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e" / "smtpd"))
import scram  # noqa: E402

LISTENERS = {"imap": ("imap", "imaps"), "pop3": ("pop3", "pop3s"), "smtp": ("submission", "submissions")}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    conf = ("scram-iterations 4096\nfailures-per-minute 1000000\nfailures-per-day 1000000\nfailures-per-account 1000000\n"
            "failure-delay 0\ntls-client-certificates imap imaps pop3 pop3s submission submissions\n")
    with postroom.Instance(accounts=("alice", "bob"), conf=conf) as instance:
        keys = tmp_path_factory.mktemp("keys")
        for name in ("laptop", "stranger"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7",
                            "-subj", f"/CN={name}", "-keyout", keys / f"{name}.key", "-out", keys / f"{name}.pem"],
                           check=True, capture_output=True)
        instance.keys = keys
        alice = instance.address("alice")
        instance.passwords["app"] = instance.json("app-password", "add", alice, "phone")["password"]
        facts = instance.json("client-cert", "add", alice, "laptop", str(keys / "laptop.pem"))
        assert facts["label"] == "laptop" and facts["key_type"] == "EC P-256" and len(facts["key"]) == 64
        instance.start()
        yield instance


class Login:
    """What a client needs to know for one login."""

    def __init__(self, server, program, folder, protocol, mechanism, password):
        self.server, self.program, self.folder = server, program, folder
        self.protocol, self.mechanism, self.password = protocol, mechanism, password
        self.user = server.address("alice")
        self.ca = server.root / "tls" / "cert.pem"
        self.cert = server.keys / "laptop.pem" if mechanism == "EXTERNAL" else None
        self.key = server.keys / "laptop.key"
        self.clear, self.tls = (server.port(name) for name in LISTENERS[protocol])

    def rc(self, text):
        path = self.folder / "rc"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def env(self):
        return {**os.environ, "HOME": str(self.folder), "TERM": "xterm"}


# ---- programs of others

def gsasl(login):
    if login.cert:
        who = ["--x509-cert-file", login.cert, "--x509-key-file", login.key, "--authorization-id", ""]
    else:
        who = ["--authentication-id", login.user, "--password", login.password]
    bound = [] if login.mechanism.endswith("-PLUS") else ["--no-cb"]
    login.program("gsasl", f"--{login.protocol}", "--mechanism", login.mechanism, *bound, "--x509-ca-file", login.ca,
                  "--quiet", *who, "--connect", f"localhost:{login.clear}", input="")


def curl(login):
    scheme = {"imap": "imaps", "pop3": "pop3s", "smtp": "smtps"}[login.protocol]
    who = ["--cert", login.cert, "--key", login.key, "--user", f"{login.user}:"] if login.cert else ["--user", f"{login.user}:{login.password}"]
    login.program("curl", "-sS", "--cacert", login.ca, "--noproxy", "*", *who, "--login-options", f"AUTH={login.mechanism}",
                  *([] if login.protocol == "pop3" else ["-X", "NOOP"]), "--max-time", "60", "--url", f"{scheme}://localhost:{login.tls}/")


def msmtp(login):
    rc = login.rc(f"""account default
host localhost
port {login.clear}
auth {login.mechanism.lower()}
tls on
tls_trust_file {login.ca}
from {login.user}
""" + (f"tls_cert_file {login.cert}\ntls_key_file {login.key}\nuser {login.user}\n" if login.cert else
       f"user {login.user}\npassword {login.password}\n"))
    login.program("msmtp", "-C", rc, login.server.address("bob"), env=login.env(),
                  input=f"From: {login.user}\nSubject: by msmtp with {login.mechanism}\n\nHello\n")


def mpop(login):
    rc = login.rc(f"""account default
host localhost
port {login.tls}
auth {login.mechanism.lower()}
tls on
tls_starttls off
tls_trust_file {login.ca}
delivery maildir {login.folder}
""" + (f"tls_cert_file {login.cert}\ntls_key_file {login.key}\nuser {login.user}\n" if login.cert else
       f"user {login.user}\npassword {login.password}\n"))
    login.program("mpop", "-C", rc, "--auth-only", env=login.env())


def mbsync(login):
    rc = login.rc(f"""IMAPStore far
Host localhost
Port {login.tls}
User {login.user}
Pass "{login.password}"
SSLType IMAPS
SystemCertificates no
CertificateFile {login.ca}
AuthMechs {login.mechanism}

MaildirStore near
Path {login.folder}/

Channel all
Far :far:
Near :near:
Patterns INBOX
""")
    login.program("mbsync", "-c", rc, "--list", "all", env=login.env())


def swaks(login):
    login.program("swaks", "--server", f"127.0.0.1:{login.clear}", "--tls", "--auth", login.mechanism, "--auth-user", login.user,
                  "--auth-password", login.password, "--quit-after", "AUTH")


def fetchmail(login):
    rc = login.rc(f"""poll localhost protocol {login.protocol} port {login.tls}
 auth password user "{login.user}" password "{login.password}" ssl sslcertck sslcertfile {login.ca}
""")
    done = login.program("fetchmail", "-f", rc, "--pidfile", login.folder / "pid", "--nosyslog", "--check", check=False,
                         env={**login.env(), "FETCHMAILHOME": str(login.folder)})
    assert done.returncode in (0, 1), done.stdout + done.stderr     # 1: no mail


# ---- a client written from the RFCs: the same exchange in each protocol (RFC 9051 §6.2.2, RFC 5034 §4, RFC 4954 §4)

class Exchange:
    """AUTH with one mechanism; responses and challenges are octets."""

    def __init__(self, server, protocol, cert=None):
        context = server.tls_context()
        if cert:
            context.load_cert_chain(server.keys / f"{cert}.pem", server.keys / f"{cert}.key")
        self.protocol = protocol
        self.has_maildrop = False
        self.line = postroom.Line(server.port(LISTENERS[protocol][1]), context)
        self.certificate = self.line.sock.getpeercert(binary_form=True)
        if protocol == "imap":
            self.greeting = self.line.line()
        elif protocol == "pop3":
            self.line.line()
            self.line.send("CAPA\r\n")
            lines = []
            while not lines or lines[-1] != ".":
                lines.append(self.text())
            self.greeting = "\n".join(lines)
        else:
            self.line.reply()
            self.line.send("EHLO client.example\r\n")
            self.greeting = "\n".join(self.line.reply()[1])

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.has_maildrop and not kind:      # it is given back before QUIT is answered, so the next one finds it free
            self.line.send("QUIT\r\n")
            self.line.line()
        self.line.close()

    def text(self):
        line = self.line.line()
        return (line.decode() if isinstance(line, bytes) else line).rstrip("\r\n")

    def offered(self):
        words = self.greeting.decode() if isinstance(self.greeting, bytes) else self.greeting
        return set(re.findall(r"\b(?:PLAIN|LOGIN|SCRAM-SHA-[0-9]+(?:-PLUS)?|EXTERNAL|OAUTHBEARER|XOAUTH2)\b(?!-)", words))

    def start(self, mechanism, initial=None):
        """initial: octets, or a str that is sent as it is."""
        if initial is None:
            word = ""
        else:
            word = " " + (initial if isinstance(initial, str) else base64.b64encode(initial).decode() or "=")
        self.line.send({"imap": f"a AUTHENTICATE {mechanism}", "pop3": f"AUTH {mechanism}", "smtp": f"AUTH {mechanism}"}
                       [self.protocol] + word + "\r\n")
        return self.answer()

    def say(self, octets):
        self.line.send((octets if isinstance(octets, str) else base64.b64encode(octets).decode()) + "\r\n")
        return self.answer()

    def answer(self):
        """("ok"|"no"|"ask", text of it); ask: the challenge's octets"""
        while True:
            line = self.text()
            if self.protocol == "imap":
                if line.startswith("* "):
                    continue
                if line.startswith("+"):
                    return "ask", base64.b64decode(line[1:].strip())
                return ("ok" if line.startswith("a OK") else "no"), line
            if self.protocol == "pop3":
                if line.startswith("+ ") or line == "+":
                    return "ask", base64.b64decode(line[1:].strip())
                self.has_maildrop |= line.startswith("+OK")
                return ("ok" if line.startswith("+OK") else "no"), line
            if line[:3] == "334":
                return "ask", base64.b64decode(line[4:])
            if line[3:4] != "-":
                return ("ok" if line[:3] == "235" else "no"), line


def run_scram(exchange, mechanism, user, password, binding=None, change=lambda message: message):
    plus = mechanism.endswith("-PLUS")
    if plus and binding is None:
        binding = hashlib.sha256(exchange.certificate).digest()
    client = scram.Client(user, password, binding=binding if plus else None,
                          hash="sha1" if "SHA-1" in mechanism else "sha256")
    word, text = exchange.start(mechanism, base64.b64decode(client.initial()))
    if word != "ask":
        return word, text
    word, text = exchange.say(change(base64.b64decode(client.proof(base64.b64encode(text).decode()))))
    if word != "ask":
        return word, text
    client.verify(base64.b64encode(text).decode())
    return exchange.say(b"")


def rfc(login):
    with Exchange(login.server, login.protocol, "laptop" if login.cert else None) as x:
        assert login.mechanism in x.offered(), x.greeting
        if login.mechanism == "PLAIN":
            word, text = x.start("PLAIN", f"\0{login.user}\0{login.password}".encode())
        elif login.mechanism == "EXTERNAL":
            word, text = x.start("EXTERNAL", b"")
        elif login.mechanism == "LOGIN":
            assert x.start("LOGIN") == ("ask", b"Username:")
            assert x.say(login.user.encode()) == ("ask", b"Password:")
            word, text = x.say(login.password.encode())
        else:
            word, text = run_scram(x, login.mechanism, login.user, login.password)
        assert word == "ok", text


# ---- the matrix; doc/authentication.md is checked against it

CLEAR = "CLEAR"         # IMAP LOGIN, POP3 USER and PASS: no SASL
MATRIX = {
    ("PLAIN", "imap"): (gsasl, mbsync, curl),
    ("PLAIN", "pop3"): (mpop, curl),
    ("PLAIN", "smtp"): (swaks, msmtp, curl),
    ("LOGIN", "imap"): (gsasl, curl),
    ("LOGIN", "pop3"): (mpop, curl),
    ("LOGIN", "smtp"): (swaks, msmtp),
    (CLEAR, "imap"): (fetchmail, mbsync),
    (CLEAR, "pop3"): (fetchmail, mpop),
    ("SCRAM-SHA-256", "imap"): (gsasl, mbsync),
    ("SCRAM-SHA-256", "pop3"): (mpop, rfc),
    ("SCRAM-SHA-256", "smtp"): (msmtp, rfc),
    ("SCRAM-SHA-256-PLUS", "imap"): (gsasl, rfc),
    ("SCRAM-SHA-256-PLUS", "pop3"): (rfc,),
    ("SCRAM-SHA-256-PLUS", "smtp"): (gsasl, rfc),
    ("SCRAM-SHA-1", "imap"): (gsasl, mbsync),
    ("SCRAM-SHA-1", "pop3"): (mpop, rfc),
    ("SCRAM-SHA-1", "smtp"): (msmtp, rfc),
    ("SCRAM-SHA-1-PLUS", "imap"): (gsasl, rfc),
    ("SCRAM-SHA-1-PLUS", "pop3"): (rfc,),
    ("SCRAM-SHA-1-PLUS", "smtp"): (gsasl, rfc),
    ("EXTERNAL", "imap"): (curl, gsasl),
    ("EXTERNAL", "pop3"): (curl, mpop),
    ("EXTERNAL", "smtp"): (curl, msmtp),
}
ROWS = [(mechanism, protocol, client) for (mechanism, protocol), clients in MATRIX.items() for client in clients]


@pytest.mark.parametrize("mechanism,protocol,client", ROWS, ids=[f"{m}-{p}-{c.__name__}" for m, p, c in ROWS])
def test_each_mechanism_in_each_protocol(server, program, tmp_path, mechanism, protocol, client):
    used = {CLEAR: {"mbsync": "LOGIN", "mpop": "user"}.get(client.__name__, "")}.get(mechanism, mechanism)
    ways = {"laptop": None} if mechanism == "EXTERNAL" else {"password": server.password("alice"),
                                                             "phone": server.passwords["app"]}
    for label, password in ways.items():
        mark = len(server.log())
        folder = tmp_path / label
        folder.mkdir()
        client(Login(server, program, folder, protocol, used, password))
        said = [line for line in server.log()[mark:].splitlines() if "login" in line]
        wanted = (f"protocol={protocol}", f"mechanism={mechanism}", f"credential={label}")
        assert any(all(word in line.split() for word in wanted) for line in said), "\n".join(said)


def test_the_document_says_what_was_tried():
    text = (pathlib.Path(__file__).resolve().parents[2] / "doc" / "authentication.md").read_text()
    table = text[text.index("| Mechanism"):].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()][2:]
    written = {("CLEAR" if row[0].startswith("`LOGIN`") else row[0], protocol): tuple(cell.split(", "))
               for row in rows for protocol, cell in zip(("imap", "pop3", "smtp"), row[2:]) if cell}
    assert written == {place: tuple(client.__name__ for client in clients) for place, clients in MATRIX.items()}


# ---- what is refused

def assert_fine(server, protocol):
    with Exchange(server, protocol) as x:
        assert x.start("PLAIN", f"\0{server.address('alice')}\0{server.password('alice')}".encode())[0] == "ok"


@pytest.mark.parametrize("protocol", LISTENERS)
def test_broken_exchanges_are_refused_and_cost_nothing(server, protocol):
    alice, password = server.address("alice"), server.password("alice")
    good = f"\0{alice}\0{password}".encode()
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS"):
        for said in ("!!!", "AGFs", "====", "A", "*", "\0"):
            with Exchange(server, protocol) as x:
                assert x.start(mechanism) == ("ask", b"")
                assert x.say(said)[0] == "no", (mechanism, said)
                if said == "*":         # given up, and begun again
                    assert x.start("PLAIN", good)[0] == "ok"
    for initial in (b"", b"\0", b"\0\0", b"\0\0\0\0", b"\0" + alice.encode() + b"\0", good + b"\0", good + b"\0more", b"\0" * 500,
                    alice.encode() + b"\0" + alice.encode() + b"\0" + b"x" * 1025):
        with Exchange(server, protocol) as x:
            assert x.start("PLAIN", initial)[0] == "no", initial
    assert_fine(server, protocol)


@pytest.mark.parametrize("protocol", LISTENERS)
def test_a_password_of_ten_megabytes_is_not_read_to_its_end(server, protocol):
    huge = base64.b64encode(b"\0alice\0" + bytes(10_000_000)).decode()
    with Exchange(server, protocol) as x:
        try:
            word = x.start("PLAIN", huge)[0]
        except (OSError, AssertionError, EOFError):     # it hung up
            word = "no"
        assert word == "no"
    assert_fine(server, protocol)


@pytest.mark.parametrize("protocol", LISTENERS)
def test_scram_is_refused_with_another_binding_nonce_or_proof(server, protocol):
    alice, password = server.address("alice"), server.password("alice")
    kept = []

    def keep(message):
        kept.append(message)
        return message

    def log_in(mechanism, **how):
        with Exchange(server, protocol) as x:
            return run_scram(x, mechanism, alice, password, **how)[0]

    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
        kept.clear()
        assert log_in(mechanism + "-PLUS", binding=bytes(32)) == "no"
        assert log_in(mechanism, change=keep) == "ok"
        assert log_in(mechanism, change=lambda message: kept[0]) == "no"       # replayed: another nonce of ours
        assert log_in(mechanism, change=lambda message: message.replace(b"r=", b"r=x", 1)) == "no"
        assert log_in(mechanism, change=lambda message: message[:-4] + b"AAA=") == "no"
        assert log_in(mechanism, change=lambda message: message.replace(b"c=biws", b"c=eSws")) == "no"


@pytest.mark.parametrize("protocol", LISTENERS)
def test_external_is_for_registered_certificates_and_their_account(server, protocol):
    assert_fine(server, protocol)       # a login looks at the directory: from here on it is known which keys are registered
    with Exchange(server, protocol) as x:
        assert "EXTERNAL" not in x.offered() and x.start("EXTERNAL", b"")[0] == "no"
    with Exchange(server, protocol, "stranger") as x:
        assert "PLAIN" in x.offered()
        assert x.start("EXTERNAL", b"")[0] == "no"
        assert x.start("EXTERNAL", server.address("alice").encode())[0] == "no"
    for initial, word in ((server.address("alice").encode(), "ok"), (server.address("bob").encode(), "no"), (b"\xff", "no"), (b"\0", "no")):
        with Exchange(server, protocol, "laptop") as x:
            assert "EXTERNAL" in x.offered() and x.start("EXTERNAL", initial)[0] == word, initial


def test_a_certificate_is_good_for_its_protocols_until_it_is_taken_back(server):
    bob = server.address("bob")
    assert server.run("client-cert", "add", bob, "pocket", str(server.root / "postroom.conf")).returncode == 1
    server.postroom("client-cert", "add", bob, "pocket", str(server.keys / "stranger.pem"), "--protocols", "imap")
    assert [(row["label"], row["protocols"]) for row in server.json("client-cert", "list", bob)] == [("pocket", ["imap"])]
    assert server.json("app-password", "list", bob) == []
    assert server.run("app-password", "revoke", bob, "pocket").returncode == 3
    with Exchange(server, "imap", "stranger") as x:
        assert x.start("EXTERNAL", b"")[0] == "ok"
    with Exchange(server, "pop3", "stranger") as x:
        assert x.start("EXTERNAL", b"")[0] == "no"
    server.postroom("client-cert", "revoke", bob, "pocket")
    with Exchange(server, "imap", "stranger") as x:
        assert x.start("EXTERNAL", b"")[0] == "no"
    assert server.run("client-cert", "revoke", bob, "pocket").returncode == 3
