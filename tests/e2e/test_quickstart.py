"""./quickstart with the programs of this build: what somebody types first must work, twice, and clean up."""

import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

import postroom

SOURCE = pathlib.Path(__file__).resolve().parents[2]


class Quickstart:
    def __init__(self, folder):
        self.dir = folder / "instance"
        self.offset, self.port_claims = postroom.free_port_offset()
        self.env = dict(os.environ, POSTROOM_BUILD=str(postroom.BUILD))

    def command(self, *options):
        return [SOURCE / "quickstart", "--dir", self.dir, "--port-offset", str(self.offset), *options]

    def run(self, *options):
        return subprocess.run(self.command(*options), env=self.env, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)

    def pid(self):
        """The server's process id, or None when it does not run."""
        try:
            pid = int((self.dir / "run" / "postroom.pid").read_text())
            os.kill(pid, 0)
            return pid
        except (OSError, ValueError):
            return None

    def stop(self):
        return subprocess.run([postroom.BIN / "postroom", "--root", self.dir, "stop"], stdin=subprocess.DEVNULL,
                              text=True, capture_output=True, timeout=120, check=False)


@pytest.fixture
def quickstart(tmp_path):
    quickstart = Quickstart(tmp_path)
    yield quickstart
    if quickstart.pid():
        quickstart.stop()


def test_detached_start_sends_and_reads_a_message_and_a_second_start_keeps_it(quickstart):
    first = quickstart.run("--detach")
    assert first.returncode == 0, first.stdout
    assert "alice sent a message to bob" in first.stdout
    assert re.search(r"bob read it by IMAP, UID 1 ", first.stdout)
    assert re.search(r"bob read it by POP3, number 1 ", first.stdout)
    assert re.search(rf"IMAP +127\.0\.0\.1 +{quickstart.offset + 993} +SSL/TLS +bob@example\.test", first.stdout)
    pid = quickstart.pid()
    assert pid

    running = quickstart.run("--detach")
    assert running.returncode == 0, running.stdout
    assert f"it runs already, process {pid}" in running.stdout
    assert quickstart.pid() == pid

    assert quickstart.stop().returncode == 0
    assert quickstart.pid() is None
    again = quickstart.run("--detach")
    assert again.returncode == 0, again.stdout
    assert "is there already" in again.stdout
    assert re.search(r"bob read it by IMAP, UID 3 ", again.stdout)
    passwords = re.findall(r"password (\S+)", first.stdout)
    assert len(passwords) == 2 and passwords == re.findall(r"password (\S+)", again.stdout)


def test_ctrl_c_stops_the_server(quickstart):
    with subprocess.Popen(quickstart.command(), env=quickstart.env, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                          # a shell cannot trap what was ignored before it started, as in a job put in the background
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        output = ""
        for line in process.stdout:
            output += line
            if "until Ctrl-C" in line:
                break
        assert "until Ctrl-C" in output, output
        assert quickstart.pid()
        os.killpg(process.pid, signal.SIGINT)   # as a terminal does: to the whole group
        process.stdout.read()
        process.wait(120)
    assert quickstart.pid() is None


def test_another_domain_in_the_same_folder_is_refused(quickstart):
    assert quickstart.run("--detach", "--domain", "one.test").returncode == 0
    other = quickstart.run("--detach", "--domain", "two.test")
    assert other.returncode != 0
    assert "is an instance for one.test" in other.stdout
    assert quickstart.pid(), "the refusal must not stop what runs"


def test_a_taken_port_is_named_and_nothing_stays_running(quickstart):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", quickstart.offset + 587))
        taken.listen()
        done = quickstart.run("--detach")
    assert done.returncode != 0
    assert str(quickstart.offset + 587) in done.stdout
    assert quickstart.pid() is None


def test_an_unknown_word_is_refused_with_the_usage(quickstart):
    done = quickstart.run("--detatch")
    assert done.returncode != 0
    assert "unknown word: --detatch" in done.stdout and "--port-offset" in done.stdout
