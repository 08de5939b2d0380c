"""A real instance for tests: made by `postroom init`, served by real daemons on loopback, ended by pid.

    with Instance() as server:
        server.add_account("alice")
        server.start()
        with server.submission("alice") as smtp: ...

Every instance has a folder and a port offset of its own, so tests may run beside each other.
POSTROOM_BUILD names the build folder (set by `make check-e2e`).
"""

import atexit
import base64
import contextlib
import errno
import functools
import imaplib
import json
import os
import pathlib
import poplib
import random
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))

import dns_server  # noqa: E402

BUILD = pathlib.Path(os.environ.get("POSTROOM_BUILD", "build")).resolve()
BIN = BUILD / "bin"
PORTS = {"mx": 25, "submission": 587, "submissions": 465, "lmtp": 24, "imap": 143, "imaps": 993,
         "pop3": 110, "pop3s": 995, "managesieve": 4190, "legacy": 2525, "http": 80, "https": 443}
WEB = ("http", "https")         # only where a test asks for it: Instance(web=True)
NOT_USUAL = (*WEB, "legacy")    # likewise: legacy-bind in the test's conf
DAEMONS = ("smtpd", "imapd", "pop3d")
SERVED_BY = {"smtpd": ("mx", "submission", "submissions", "lmtp"), "imapd": ("imap", "imaps", "managesieve"), "pop3d": ("pop3", "pop3s"),
             "webd": WEB}
# Generous: a sanitizer build on a busy machine starts slowly. Nothing measures time with it.
DEADLINE_S = 60


def xatom(self, name, *args, send=imaplib.IMAP4.xatom):
    """imaplib takes the state in which a command that it does not know was first sent for the only right one, in the whole
    process: tests that run one after the other would forbid each other's."""
    imaplib.Commands.setdefault(name.upper(), ("NONAUTH", "AUTH", "SELECTED", "LOGOUT"))
    return send(self, name, *args)


imaplib.IMAP4.xatom = xatom


def claim_port(port):
    """Tell every other test on this machine that `port` is taken, before anybody listens there. Closing the socket, or
    the end of this process, gives it back; OSError when somebody else has claimed it."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0postroom-test-port-{port}")
    except OSError:
        claim.close()
        raise
    return claim


def first_given_port():
    """Where the ports begin that the kernel gives to outgoing connections. What a test is to listen on stays below: one
    of those could take a port between the test's look and its server's."""
    try:
        return int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 32768


CLAIMED = []


def free_port():
    """A port for one program that a test starts, claimed until this process ends."""
    last = first_given_port() - 1
    for _ in range(1000):
        port = random.randrange(11000, last if last > 12000 else 65000)
        with contextlib.suppress(OSError), socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            claim = claim_port(port)
            CLAIMED.append(claim)
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port")


def free_port_offset():
    """An offset at which every port of an instance is free now, and the claims that keep other tests away from it."""
    last = first_given_port() - max(PORTS.values()) - 1
    for _ in range(200):
        offset = random.randrange(11000, last) if last > 12000 else random.randrange(11000, 60000)
        socks = []
        claims = []
        try:
            for port in PORTS.values():
                claims.append(claim_port(port + offset))
                for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                    try:
                        sock = socket.socket(family)
                        socks.append(sock)
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)      # as the server does
                        sock.bind((address, port + offset))
                    except OSError as error:
                        # A machine without IPv6 has no such address, and nobody there to take it.
                        if family == socket.AF_INET or error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                            raise
            return offset, claims
        except OSError:
            for claim in claims:
                claim.close()
        finally:
            for sock in socks:
                sock.close()
    raise RuntimeError("no free range of ports on loopback")


class CommandFailed(Exception):
    def __init__(self, args, done):
        super().__init__(f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        self.code = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr


class Line:
    """A raw connection that is read line by line and knows nothing of any protocol."""

    def __init__(self, port, tls=None, timeout=DEADLINE_S, host="127.0.0.1", source=None):
        self.sock = socket.create_connection((host, port), timeout=timeout, source_address=(source, 0) if source else None)
        # Commands that are written in pieces would wait 40 ms for the kernel's delayed acknowledgement.
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def start_tls(self, tls):
        assert not self.buffer, self.buffer
        self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")

    def fill(self):
        """Read some more; False at the end of the connection."""
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        self.buffer += data
        return bool(data)

    def line(self):
        """One line without its CRLF; b"" only at the end of the connection or for an empty line."""
        while b"\n" not in self.buffer:
            if not self.fill():
                rest, self.buffer = self.buffer, b""
                return rest
        line, self.buffer = self.buffer.split(b"\n", 1)
        assert line.endswith(b"\r"), f"a line without CRLF: {line!r}"
        return line[:-1]

    def octets(self, count):
        while len(self.buffer) < count:
            assert self.fill(), f"connection ended {count - len(self.buffer)} octets early"
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def at_end(self):
        """True when the peer has closed and everything was read."""
        while self.fill():
            pass
        return not self.buffer

    def reply(self):
        """An SMTP reply: (code, [text, ...])."""
        texts = []
        while True:
            line = self.line()
            assert re.match(rb"\d{3}[ -]|\d{3}$", line), f"not a reply: {line!r}"
            texts.append(line[4:].decode("utf-8", "replace"))
            if line[3:4] != b"-":
                return int(line[:3]), texts

    def smtp(self, command):
        """Send a command line, return the reply's code."""
        self.send(command + "\r\n")
        return self.reply()[0]


def runs(process):
    """A process that was killed has no program any more but holds its ports and locks until its last thread, which need
    not be its first one, has ended."""
    for thread in (process / "task").iterdir():
        with contextlib.suppress(OSError):
            if (thread / "stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX":
                return True
    return False


@functools.cache
def no_dns():
    """A DNS that is in trouble, and says so at once: no test waits for one that it did not bring, or asks the network."""
    dns = dns_server.DnsServer()
    for top in ("example", "test", "net", "org", "com", "arpa", "invalid", "localhost"):
        dns.misbehave(top, "servfail")
    return dns.conf()


TEMPLATES = {}
# What `account add` reads of postroom.conf.
ACCOUNT_OPTIONS = ("scram-iterations", "mail-dir", "umask", "create-special-use")


def template(domain, hostname, accounts):
    """The folder of an instance that was never served, and its accounts' passwords: made once in this process, by the commands
    that an administrator uses. Most of their time goes into keys, and a test of keys or of `init` runs them itself."""
    key = (domain, hostname, accounts)
    if key not in TEMPLATES:
        root = pathlib.Path(tempfile.mkdtemp(prefix="postroom-template-"))
        atexit.register(shutil.rmtree, root, ignore_errors=True)
        made = Instance(domain=domain, hostname=hostname, root=root, offset=0)
        for name in accounts:
            made.add_account(name)
        TEMPLATES[key] = root, made.passwords
    return TEMPLATES[key]


class Instance:
    def __init__(self, domain="example.test", accounts=(), keep=False, conf="", root=None, web=False, hostname=None, offset=None):
        """offset: None picks free ports; 0, the standard ones, is for a host of a test's own network."""
        self.own_folder = root is None
        self.root = pathlib.Path(root or tempfile.mkdtemp(prefix="postroom-e2e-"))
        self.domain = domain
        self.offset, self.port_claims = free_port_offset() if offset is None else (offset, [])
        self.keep = keep
        self.process = None
        self.only = None
        self.passwords = {}
        self.log_path = self.root / "server.log"
        hostname = hostname or f"mail.{domain}"
        if self.own_folder and offset is None:
            ready = () if any(option in conf for option in ACCOUNT_OPTIONS) else tuple(accounts)
            made, passwords = template(domain, hostname, ready)
            shutil.copytree(made, self.root, symlinks=True, dirs_exist_ok=True)
            self.passwords.update(passwords)
            (self.root / "postroom.conf").write_text(f"hostname {hostname}\nport-offset {self.offset}\n", encoding="utf-8")
        else:
            ready = ()
            self.postroom("init", "--domain", domain, "--hostname", hostname, "--port-offset", str(self.offset))
        self.web = web
        if not web:
            conf += "\nweb no"
        if "dns-servers" not in conf and "dns-trust-anchors" not in conf:
            conf += "\n" + no_dns()
        if "relay-" not in conf:
            conf += "\nsending no"      # tests that do not say where to send have nowhere to send to
        if "new-device-notice" not in conf:
            conf += "\nnew-device-notice no"   # tests log in as many programs, and count messages
        # One account sends what many would, and has refused what many would have.
        for option, value in (("send-per-minute", 1000000), ("send-per-hour", 1000000), ("send-recipients-per-day", 1000000),
                              ("send-new-recipients-per-day", 1000000), ("suppress-after", 1000), ("brake", 100)):
            if option + " " not in conf:
                conf += f"\n{option} {value}"
        with open(self.root / "postroom.conf", "a", encoding="utf-8") as file:
            file.write("\n" + conf + "\n")
        for name in accounts:
            if name not in ready:
                self.add_account(name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        for claim in self.port_claims:
            claim.close()
        if self.own_folder and not self.keep:
            shutil.rmtree(self.root, ignore_errors=True)

    # -- the command line

    def run(self, *args, input=None, env=None):
        return subprocess.run([BIN / "postroom", "--root", self.root, *args], input=input, text=True,
                              capture_output=True, timeout=300, env=env, check=False)

    def postroom(self, *args, input=None):
        """Run a verb that must succeed; its standard output. The queue's daemon may still be starting, or a message be on its way:
        4 is "try again"."""
        done = self.run(*args, input=input)
        if done.returncode == 4 and args[0] == "queue":
            done = wait_for(f"an answer to {' '.join(args)}: {done.stderr}", lambda: (
                lambda again: again if again.returncode != 4 else None)(self.run(*args, input=input)))
        if done.returncode != 0:
            raise CommandFailed(args, done)
        return done.stdout

    def json(self, *args):
        return json.loads(self.postroom(*args, "--json"))

    def address(self, name):
        return name if "@" in name else f"{name}@{self.domain}"

    def add_account(self, name, password=None):
        password = password or f"pass-{name}-{random.randrange(10**9)}"
        self.postroom("account", "add", self.address(name), "--password-stdin", input=password + "\n")
        self.passwords[self.address(name)] = password
        return password

    def password(self, name):
        return self.passwords[self.address(name)]

    # -- processes

    def port(self, name):
        return PORTS[name] + self.offset

    def names(self):
        """Its listeners."""
        return [name for name in PORTS if name not in NOT_USUAL or (self.web and name in WEB)]

    def start(self, wait=True, only=None):
        """Serve; only: the name of the one daemon that a test needs, run without `postroom serve`."""
        command = [BIN / only, "--root", self.root] if only else [BIN / "postroom", "--root", self.root, "serve"]
        log = open(self.log_path, "ab")
        self.only = only
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        start_new_session=True)
        log.close()
        if wait:
            self.wait_ready(SERVED_BY[only] if only else None)
        return self

    def wait_ready(self, names=None):
        names = names or self.names()
        deadline = time.monotonic() + DEADLINE_S
        for name in names:
            while True:
                if self.process.poll() is not None:
                    raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log()}")
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", self.port(name)), timeout=5).close()
                    break
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{name} does not listen on {self.port(name)}:\n{self.log()}")
                time.sleep(0.02)

    def stop(self):
        """Stop as an admin does; returns the exit code."""
        if not self.process:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise RuntimeError("the server did not stop:\n" + self.log()) from None
        self.process = None
        self.check_sanitizers()
        return code

    def check_sanitizers(self):
        """A build with sanitizers reports into the log, also from a process that nobody waits for."""
        found = re.search(r"(?m)^.*(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:).*$", self.log())
        if found:
            raise RuntimeError("a sanitizer has found something:\n" + self.log()[found.start():][:8000])

    def kill(self):
        """Kill every process of the instance at once, as a crash would."""
        def some_are_left():
            """Sockets and locks are theirs until they are gone."""
            found = self.pids()
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return found
        wait_for("every process is gone", lambda: not some_are_left())
        self.process.wait()
        self.process = None

    def restart(self):
        self.stop()
        return self.start(only=self.only)

    def pids(self, program=None):
        """Process ids of the instance (all its processes share the session of the one that was started)."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                session = (entry / "stat").read_text().rsplit(")", 1)[1].split()[3]
                if int(session) == self.process.pid and runs(entry) and (
                        program is None or os.path.basename(os.readlink(entry / "exe")) == program):
                    found.append(int(entry.name))
        return sorted(found)

    def log(self):
        with contextlib.suppress(OSError):
            return self.log_path.read_text(errors="replace")
        return ""

    def wait_log(self, text):
        """What is done is often logged after the peer has its answer."""
        wait_for(f"a line of the log with {text!r}", lambda: text in self.log())

    # -- clients

    def tls_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.root / "tls" / "cert.pem")
        return context

    def raw(self, name, tls=False):
        return Line(self.port(name), self.tls_context() if tls else None)

    def smtp(self, name="mx"):
        smtp = smtplib.SMTP("127.0.0.1", self.port(name), timeout=DEADLINE_S, local_hostname="client.example.net")
        smtp.ehlo()
        return smtp

    def submission(self, user, implicit=False):
        """A logged-in submission session over TLS."""
        if implicit:
            smtp = smtplib.SMTP_SSL("127.0.0.1", self.port("submissions"), timeout=DEADLINE_S,
                                    context=self.tls_context())
        else:
            smtp = smtplib.SMTP("127.0.0.1", self.port("submission"), timeout=DEADLINE_S)
            smtp.starttls(context=self.tls_context())
        smtp.login(self.address(user), self.password(user))
        return smtp

    def imap(self, user, tls=True):
        if tls:
            imap = imaplib.IMAP4_SSL("127.0.0.1", self.port("imaps"), ssl_context=self.tls_context(),
                                     timeout=DEADLINE_S)
        else:
            imap = imaplib.IMAP4("127.0.0.1", self.port("imap"), timeout=DEADLINE_S)
        imap.login(self.address(user), self.password(user))
        return imap

    def pop3(self, user, tls=True):
        if tls:
            pop = poplib.POP3_SSL("127.0.0.1", self.port("pop3s"), context=self.tls_context(), timeout=DEADLINE_S)
        else:
            pop = poplib.POP3("127.0.0.1", self.port("pop3"), timeout=DEADLINE_S)
        pop.user(self.address(user))
        pop.pass_(self.password(user))
        return pop

    def send(self, message, to="alice", sender="sender@elsewhere.example"):
        """One message through the mx listener; the recipients' names may lack the domain."""
        to = [to] if isinstance(to, str) else to
        with self.smtp() as smtp:
            smtp.sendmail(sender, [self.address(name) for name in to], message)

    # -- what is on disk

    def maildir(self, user, mailbox=""):
        name, domain = self.address(user).split("@")
        path = self.root / "mail" / domain / name / "Maildir"
        return path / f".{mailbox}" if mailbox else path

    def files(self, user, mailbox=""):
        """Message files of a mailbox, oldest UID first."""
        found = [path for part in ("new", "cur") for path in (self.maildir(user, mailbox) / part).glob("*")]

        def uid(path):
            match = re.search(r",U=\d+\.(\d+)", path.name)
            return int(match.group(1)) if match else 0
        return sorted(found, key=uid)


def wait_for(what, condition, seconds=DEADLINE_S):
    """Poll until condition() is true; what: for the message when it never is."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.02)


def plain(user, password):
    """The response of SASL PLAIN (RFC 4616)."""
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


def message(subject="Test", body="Hello.\r\n", sender="sender@elsewhere.example", to="alice@example.test", extra=""):
    """A small well-formed message in wire form."""
    return (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n"
            f"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{random.randrange(10**12)}@elsewhere.example>\r\n{extra}\r\n{body}").encode()
