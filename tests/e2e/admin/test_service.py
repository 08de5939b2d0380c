"""Under a service manager: it is told when mail can come in, holds the listening sockets, and finds the unit locked down."""

import contextlib
import pathlib
import re
import shlex
import shutil
import socket
import subprocess

import pytest

import postroom

PACKAGING = pathlib.Path(__file__).parents[3] / "packaging"


class Manager:
    """What systemd does for a unit with Type=notify and sockets: the sockets from descriptor 3 on, their number and the process
    in the environment, and a socket on which the service says how it goes."""

    def __init__(self, instance, listeners, folder):
        self.instance = instance
        self.sockets = []
        for name in listeners:
            # "ListenStream=25": every address, as the server's own listeners do it.
            dual = socket.has_dualstack_ipv6()
            self.sockets.append(socket.create_server(("", instance.port(name)), backlog=64, dualstack_ipv6=dual,
                                                     family=socket.AF_INET6 if dual else socket.AF_INET))
        self.notify_path = str(folder / "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.notify_path)
        self.notify.settimeout(postroom.DEADLINE_S)

    def start(self):
        """As systemd would; does not wait."""
        passed = " ".join(f"{3 + i}<&{100 + i}" for i in range(len(self.sockets)))
        # Moved up first, out of the way of the numbers where they are to come.
        moved = " ".join(f"{100 + i}<&{sock.fileno()}" for i, sock in enumerate(self.sockets))
        closed = " ".join(f"{fd}<&-" for i, sock in enumerate(self.sockets) for fd in {100 + i, sock.fileno()}
                          if not 3 <= fd < 3 + len(self.sockets))
        command = shlex.join([str(postroom.BIN / "postroom"), "--root", str(self.instance.root), "serve"])
        script = f"exec {moved}\nexec {passed}\nexec {closed}\nLISTEN_PID=$$ LISTEN_FDS={len(self.sockets)} NOTIFY_SOCKET={self.notify_path} exec {command}"
        with open(self.instance.log_path, "ab") as log:
            self.instance.process = subprocess.Popen(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                     start_new_session=True, pass_fds=[sock.fileno() for sock in self.sockets])

    def told(self):
        try:
            return self.notify.recv(4096).decode()
        except TimeoutError:
            raise AssertionError("the service manager was told nothing:\n" + self.instance.log()) from None

    def close(self):
        for sock in (*self.sockets, self.notify):
            sock.close()


@pytest.fixture
def managed(tmp_path):
    with postroom.Instance(accounts=("alice",)) as instance:
        manager = Manager(instance, ("mx", "imaps", "pop3"), tmp_path)
        yield manager
        manager.close()


def test_ready_is_said_when_every_door_is_open_and_stopping_when_it_stops(managed):
    managed.start()
    assert managed.told() == "READY=1"
    # No waiting here: whoever was told relies on it.
    for name in managed.instance.names():
        with socket.create_connection(("127.0.0.1", managed.instance.port(name)), timeout=postroom.DEADLINE_S):
            pass
    assert managed.instance.stop() == 0
    assert managed.told() == "STOPPING=1"


def test_who_connects_while_the_service_is_down_is_greeted_when_it_is_back(managed):
    managed.start()
    assert managed.told() == "READY=1"
    with managed.instance.imap("alice") as imap:
        assert imap.noop()[0] == "OK"
    assert managed.instance.stop() == 0
    assert managed.told() == "STOPPING=1"
    # The sockets are the manager's: nobody is refused, everybody waits.
    waiting = {name: managed.instance.raw(name) for name in ("mx", "pop3")}
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", managed.instance.port("imap"))):
        raise AssertionError("a socket that was not passed is still open")
    managed.start()
    assert managed.told() == "READY=1"
    assert waiting["mx"].line().startswith(b"220 ")
    assert waiting["pop3"].line().startswith(b"+OK")
    for line in waiting.values():
        line.close()
    # Newer programs get the manager's sockets as well, and the manager hears that they serve.
    managed.instance.postroom("upgrade")
    assert managed.told() == "READY=1"
    with managed.instance.imap("alice") as imap:
        assert imap.noop()[0] == "OK"
    # Each daemon takes its own and lets go of the others': nobody keeps a door open that another one serves.
    for daemon, listener in (("smtpd", "mx"), ("imapd", "imaps"), ("pop3d", "pop3")):
        for name in ("mx", "imaps", "pop3"):
            wanted = f":{managed.instance.port(name):04X} "
            inodes = {row.split()[9] for table in ("tcp", "tcp6") if pathlib.Path(f"/proc/net/{table}").exists()
                      for row in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]
                      if wanted in row.split()[1] + " " and row.split()[3] == "0A"}
            held = set()
            for pid in managed.instance.pids(daemon):
                for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                    with contextlib.suppress(FileNotFoundError):        # files come and go meanwhile
                        held.add(str(fd.readlink()))
            assert bool(held & {f"socket:[{inode}]" for inode in inodes}) == (name == listener), (daemon, name)


def test_a_daemon_that_cannot_start_means_that_ready_is_never_said(managed):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", managed.instance.port("imap")))
        taken.listen()
        managed.start()
        assert managed.instance.process.wait(postroom.DEADLINE_S) != 0
    managed.instance.process = None
    assert "could not start" in managed.instance.log()
    assert managed.told() == "STOPPING=1"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is missing")
def test_the_unit_exposes_little():
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", PACKAGING / "systemd/postroom.service"],
                          capture_output=True, text=True, check=False)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert level, done.stdout + done.stderr
    print(level[0])
    assert float(level[1]) <= 2.0, done.stdout
