"""I22: reloads and exchanges of the programs under load drop nothing: no session, no connection, no message; and leave no descriptor,
process or lock behind. `make check-upgrade` is the long form: UPGRADE_RELOADS=1000 UPGRADE_TIMES=10."""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sys
import threading
import time

import pytest

import postroom
from postroom import wait_for

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
import dns_server  # noqa: E402
import smtp_sink  # noqa: E402

RELOADS = int(os.environ.get("UPGRADE_RELOADS", "20"))
TIMES = int(os.environ.get("UPGRADE_TIMES", "1"))
DRIVERS = ("smtpd", "imapd", "pop3d")
# Many connections from one address, and connections that stay for long.
CONF = """connections-per-minute 1000000
connections-per-minute-mx 1000000
smtp-messages 1000000
smtp-session-age 1d
smtp-banner-delay 0s
messages-per-minute 1000000
recipients-per-minute 1000000
check-greylist off
check-rate off
relay-ipv6 no
relay-port {port}
queue-retry 1s
"""


class Programs:
    """An installation of its own, whose programs are exchanged as a package's upgrade does it: a new file under the old name."""

    def __init__(self, folder):
        self.folder, self.built = folder, postroom.BIN
        self.install()

    def install(self):
        for name in (*postroom.DAEMONS, "webd", "postroom"):
            if (self.built / name).exists():
                shutil.copy2(self.built / name, self.folder / f"{name}.new")
                os.rename(self.folder / f"{name}.new", self.folder / name)

    def replace(self, name, script):
        """Another program under the name: this line of shell, but for --version."""
        new = self.folder / f"{name}.new"
        new.write_text(f'#!/bin/sh\ncase "$*" in *--version*) exit 0;; esac\n{script}\n', encoding="utf-8")
        new.chmod(0o755)
        os.rename(new, self.folder / name)


class Load:
    """Threads that use the server until told to stop. What is refused, cut off or wrong is put down as dropped."""

    def __init__(self, server):
        self.server = server
        self.dropped, self.threads = [], []
        self.delivered, self.sent, self.appended = [], [], []
        self.seen = {}                  # of each idler: the highest EXISTS
        self.rounds = {}
        self.is_over = False

    def start(self, work, *args):
        name = " ".join([work.__name__, *map(str, args)])
        self.rounds[name] = 0

        def run():
            try:
                work(name, *args)
            except Exception as error:  # whatever it is, a client saw it
                self.dropped.append(f"{name}, round {self.rounds[name]}: {type(error).__name__} {error}")
        self.threads.append(threading.Thread(target=run, daemon=True, name=name))
        self.threads[-1].start()

    def stop(self):
        self.is_over = True
        for thread in self.threads:
            thread.join(postroom.DEADLINE_S)
            assert not thread.is_alive(), (self.rounds, self.dropped)

    def each(self, name):
        while not self.is_over:
            yield self.rounds[name]
            self.rounds[name] += 1
            time.sleep(0.02 if RELOADS > 20 else 0.1)

    def deliver_by_one_session(self, name, user):
        with self.server.smtp() as smtp:
            for n in self.each(name):
                self.deliver(smtp, f"one-{user}-{n}", user)

    def deliver_by_many_sessions(self, name, user):
        for n in self.each(name):
            with self.server.smtp() as smtp:
                self.deliver(smtp, f"many-{user}-{n}", user)

    def deliver(self, smtp, token, user):
        smtp.sendmail("sender@elsewhere.example", [self.server.address(user)], postroom.message(subject=token))
        self.delivered.append((user, token))

    def send_elsewhere(self, name):
        with self.server.submission("alice") as smtp:
            for n in self.each(name):
                token = f"out-{n}"
                smtp.sendmail(self.server.address("alice"), ["b@plain.example"], postroom.message(
                    subject=token, sender=self.server.address("alice"), to="b@plain.example"))
                self.sent.append(token)

    def idle(self, name, user):
        with self.server.raw("imaps", tls=True) as line:
            assert line.line().startswith(b"* OK")
            line.send(f'a LOGIN {self.server.address(user)} "{self.server.password(user)}"\r\nb SELECT INBOX\r\nc IDLE\r\n')
            line.sock.settimeout(0.2)
            while not self.is_over or not self.has_all(user):
                with contextlib.suppress(TimeoutError):
                    assert line.fill(), "the connection ended"
                *lines, line.buffer = line.buffer.split(b"\r\n")
                for text in lines:
                    assert not text.startswith(b"* BYE"), text
                    match = re.fullmatch(rb"\* (\d+) EXISTS", text)
                    if match:
                        self.seen[user] = int(match[1])
                        self.rounds[name] += 1
            line.sock.settimeout(postroom.DEADLINE_S)
            line.send("DONE\r\nd LOGOUT\r\n")
            while not line.line().startswith(b"d OK"):
                pass

    def has_all(self, user):
        """All that was answered by 250 is in the mailbox before the answer, so the server has something to tell or has told it."""
        others = [t for t in self.threads if t is not threading.current_thread() and t.is_alive() and "idle" not in t.name]
        return not others or self.seen.get(user, 0) >= sum(to == user for to, _ in self.delivered)

    def append_and_flag(self, name):
        with self.server.imap("carol") as imap:
            imap.select()
            for n in self.each(name):
                assert imap.append("INBOX", r"(\Seen)", None, postroom.message(subject=f"mine-{n}"))[0] == "OK"
                self.appended.append(f"mine-{n}")
                assert imap.noop()[0] == "OK"
                assert imap.store(str(n + 1), "+FLAGS", r"(\Flagged)")[0] == "OK"

    def log_in_by_imap(self, name):
        for _ in self.each(name):
            with self.server.imap("carol") as imap:
                assert imap.select()[0] == "OK"

    def log_in_by_pop3(self, name):
        for _ in self.each(name):
            pop = self.server.pop3("dave")
            pop.stat()
            pop.quit()

    def stay_in_pop3(self, name):
        pop = self.server.pop3("erin")
        for _ in self.each(name):
            pop.noop()
        pop.quit()

    def look_at_the_pid_file(self, name):
        """Whoever asks whether a server runs is told that one does, at every moment: `serve` would start a second one, `stop` say stopped."""
        with open(self.server.root / "run" / "postroom.pid", encoding="ascii") as file:
            while not self.is_over:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    self.rounds[name] += 1
                    time.sleep(0.002)
                else:
                    raise AssertionError("nobody holds it")


def ask(server, daemon, request):
    """One request to a control socket; all of its answer."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(postroom.DEADLINE_S)
        sock.connect(str(server.root / "run" / f"{daemon}.sock"))
        sock.sendall(json.dumps(request).encode() + b"\n")
        answer = b""
        while data := sock.recv(65536):
            answer += data
        lines = [json.loads(line) for line in answer.splitlines()]
        assert lines and not any("error" in line for line in lines), lines
        return lines


def what_is_held(server):
    """Descriptors of each process: all of those who have no sessions (the parent and the masters), of workers and helpers what
    neither is a connection nor lies in the instance, where mail and messages of the queue are opened and closed."""
    pids = server.pids()
    held = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            fds = list(pathlib.Path(f"/proc/{pid}/fd").iterdir())
            is_worker = b"--worker" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            links = []
            for fd in fds:
                with contextlib.suppress(FileNotFoundError):    # closed since; the process is there all the same
                    links.append(os.readlink(fd))
            held[pid] = len([link for link in links if not is_worker or not link.startswith(("socket:", str(server.root)))])
    return held


def grown(server, before, allowed=0):
    """By how many descriptors processes have grown beyond what is allowed; whoever just answers a request has one more for a moment."""
    now = what_is_held(server)
    return sum(max(0, now.get(pid, 0) - count - allowed) for pid, count in before.items())


def zombies(server):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if fields[0] == "Z" and int(fields[3]) == server.process.pid:
                    found.append(int(entry.name))
    return found


def is_ready(server, daemon):
    """A control socket is there a moment before somebody listens."""
    try:
        return ask(server, daemon, {"verb": "status"})[0]["ready"]
    except OSError:
        return False


@pytest.fixture
def world(tmp_path, monkeypatch):
    programs = Programs(tmp_path)
    monkeypatch.setattr(postroom, "BIN", programs.folder)
    port = postroom.free_port()
    with dns_server.DnsServer() as dns, smtp_sink.Sink("127.0.0.10", port, name="mx.plain.example") as sink:
        dns.add("plain.example", "MX", "10 mx.plain.example")
        dns.add("mx.plain.example", "A", "127.0.0.10")
        with postroom.Instance(accounts=("alice", "bob", "carol", "dave", "erin", "frank"), conf=CONF.format(port=port) + dns.conf()) as server:
            server.start()
            # The relay and every worker: what is counted afterwards is there from the beginning.
            wait_for("all daemons are ready", lambda: all(is_ready(server, name) for name in DRIVERS))
            yield server, programs, sink


def start_load(server):
    load = Load(server)
    for work, *args in ((load.idle, "alice"), (load.idle, "bob"), (load.deliver_by_one_session, "alice"),
                        (load.deliver_by_many_sessions, "bob"), (load.send_elsewhere,), (load.append_and_flag,),
                        (load.log_in_by_imap,), (load.log_in_by_pop3,), (load.stay_in_pop3,), (load.look_at_the_pid_file,)):
        load.start(work, *args)
    # Everybody is inside before anything happens to him.
    wait_for(f"everybody has begun: {load.rounds} {load.dropped}", lambda: load.dropped or all(
        n for name, n in load.rounds.items() if not name.startswith("idle")) and len(load.seen) == 2)
    return load


def end_load(server, sink, load):
    """Everything that was acknowledged is where it belongs. How much is lost, how much came twice."""
    load.stop()
    lost = list(load.dropped)

    def subjects(user):
        return [re.search(rb"(?m)^Subject: (\S+)", path.read_bytes())[1].decode() for path in server.files(user)]
    there = {user: subjects(user) for user in ("alice", "bob", "carol")}
    lost += [f"{token} of {user}" for user, token in load.delivered if there[user].count(token) != 1]
    lost += [f"{token} of carol" for token in load.appended if there["carol"].count(token) != 1]
    wait_for("the queue is empty", lambda: not list((server.root / "queue" / "msg").iterdir()))
    arrived = [re.search(rb"(?m)^Subject: (\S+)", m.data)[1].decode() for m in sink.messages]
    lost += [token for token in load.sent if token not in arrived]
    with server.imap("carol") as imap:
        imap.select()
        flagged = imap.search(None, "FLAGGED")[1][0].split()
        if len(flagged) < load.rounds["append_and_flag"]:
            lost.append(f"flags: {len(flagged)} of {load.rounds['append_and_flag']}")
    acked = len(load.delivered) + len(load.sent) + len(load.appended)
    return lost, acked, len(arrived) - len(set(arrived))


def pids_of_masters(server):
    return {name: ask(server, name, {"verb": "status"})[0]["pid"] for name in DRIVERS}


def check_programs_that_cannot_start(server, programs, load):
    """The former ones stay, whole, and the command says which cannot and why."""
    masters = pids_of_masters(server)
    program = os.stat(f"/proc/{server.process.pid}/exe").st_ino

    def fails(wait, *words):
        done = server.run("upgrade", "--wait", wait)
        assert done.returncode == 1 and all(word in done.stderr for word in words), done
        assert pids_of_masters(server) == masters and os.stat(f"/proc/{server.process.pid}/exe").st_ino == program
        assert not load.dropped, load.dropped
        programs.install()

    programs.replace("imapd", "echo the new one has its reasons >&2; exit 7")
    fails("600", "the new imapd cannot start: it ended with exit code 7", "the new one has its reasons", "go on serving")
    programs.replace("smtpd", "exec sleep 600")
    fails("1", "the new smtpd was not ready within 1 s", "go on serving")


def check_a_program_that_deceives_the_rehearsal(server, programs, load):
    """It is started again and again, the others change over, and nobody who is there notices."""
    masters = pids_of_masters(server)
    programs.replace("pop3d", 'case "$*" in *--rehearse*) exit 0;; esac; exit 1')
    server.process.send_signal(signal.SIGUSR2)
    wait_for(f"pop3d is said to fail: {server.log()[-2000:]}", lambda: "the new pop3d could not start" in server.log())
    wait_for("the others change over", lambda: all(
        is_ready(server, name) and ask(server, name, {"verb": "status"})[0]["pid"] != masters[name] for name in ("smtpd", "imapd")))
    assert not load.dropped, load.dropped


def test_reloads_and_upgrades_under_load_drop_nothing(world):
    server, programs, sink = world
    load = start_load(server)
    for name in DRIVERS:
        ask(server, name, {"verb": "reload"})
    began = what_is_held(server)
    for n in range(RELOADS):
        for name in DRIVERS:
            ask(server, name, {"verb": "reload"})
            ask(server, name, {"verb": "status"})       # workers answer once they have done what came before
        if n % 50 == 0:
            server.postroom("reload")
        assert not load.dropped, load.dropped
    # A worker may have met its first mailbox or its first question to the DNS meanwhile, and opened something for all that follow.
    wait_for(f"no descriptor stays behind each reload: {began}", lambda: not grown(server, began, RELOADS // 4))
    assert set(began) == set(server.pids()), f"a process ended: {began} {server.pids()}\n{server.log()[-4000:]}"

    # Somebody who stays with the former program, and is ended there.
    imap = server.imap("frank")
    imap.select()
    check_programs_that_cannot_start(server, programs, load)
    check_a_program_that_deceives_the_rehearsal(server, programs, load)
    masters = {"pop3d": 0} | {name: ask(server, name, {"verb": "status"})[0]["pid"] for name in ("smtpd", "imapd")}
    for _ in range(TIMES):
        programs.install()
        server.postroom("upgrade", "--wait", "600")
        now = pids_of_masters(server)
        for name in DRIVERS:
            assert now[name] != masters[name]
            assert "(deleted)" not in os.readlink(f"/proc/{now[name]}/exe")
        assert "(deleted)" not in os.readlink(f"/proc/{server.process.pid}/exe")
        masters = now
        before = load.rounds.copy()
        wait_for("those who were there go on", lambda: load.dropped or all(
            load.rounds[name] > before[name] for name in before if not name.startswith("idle")))
        assert not load.dropped, load.dropped
    assert imap.noop()[0] == "OK"
    assert [s["account"] for s in server.json("sessions", server.address("frank"))] == [server.address("frank")]
    server.postroom("account", "disable", server.address("frank"))
    with pytest.raises(imap.abort):
        for _ in range(2):
            imap.noop()

    lost, acked, twice = end_load(server, sink, load)
    wait_for(f"former programs end with their last session: {len(began)} processes", lambda: len(server.pids()) == len(began))
    wait_for("no zombies", lambda: not zombies(server))
    parent = {server.process.pid: began[server.process.pid]}
    wait_for(f"the parent holds no more than at the beginning: {parent}", lambda: not grown(server, parent))

    def former_names():
        return [path.name for path in (server.root / "run").iterdir() if ".former." in path.name]
    wait_for("their names go with them", lambda: not former_names())
    names = former_names()
    print(f"\nI22 reloads={RELOADS} upgrades={TIMES} acked={acked} rounds={sum(load.rounds.values())} "
          f"fd_growth={grown(server, parent)} children_left={len(server.pids()) - len(began)} names_left={len(names)} dup={twice} lost={len(lost)}")
    assert not lost, (lost[:20], server.log()[-4000:])
    assert not names
    assert server.stop() == 0
