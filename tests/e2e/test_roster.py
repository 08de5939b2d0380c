"""Sessions of a user and of an address, counted over all workers of all daemons: who makes place, who is refused."""

import contextlib
import imaplib
import os
import poplib
import re
import signal
import smtplib
import time

import pytest

import postroom
from postroom import wait_for

# The numbers of `conf` are for one address: nobody is exempt.
CONF = "workers 2\nexempt-networks never\n"
TOO_MANY = "Too many sessions of this user; this one was silent for longest"


@contextlib.contextmanager
def serving(conf, accounts=("alice", "bob")):
    with postroom.Instance(accounts=accounts, conf=CONF + conf) as server:
        server.start()
        yield server


def later():
    """Silence is counted in milliseconds: two that were heard in the same one are equally silent."""
    time.sleep(0.01)


def count(server, who):
    return len(server.json("sessions", server.address(who)))


def imap_lines(server, user, commands=()):
    """A raw IMAP session that is logged in, and whose lines can be read without a command."""
    line = server.raw("imap")
    line.line()
    for i, command in enumerate((f'LOGIN {server.address(user)} "{server.password(user)}"', *commands)):
        line.send(f"a{i} {command}\r\n")
        while not (text := line.line()).startswith(b"a%d " % i):
            assert text, server.log()[-2000:]
        assert b" OK " in text, text
    return line


def workers_of(server, daemon):
    """Worker processes alone: their master has no worker for a parent."""
    pids = server.pids(daemon)
    parents = {pid: int(open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()[1]) for pid in pids}
    return [pid for pid in pids if parents[pid] in pids]


def test_a_new_login_by_any_protocol_ends_the_session_that_was_silent_for_longest():
    with serving("sessions-per-user 3\n") as server, contextlib.ExitStack() as stack:
        first = stack.enter_context(imap_lines(server, "alice"))
        pop = server.pop3("alice")
        later()
        submission = server.submission("alice")
        later()
        first.send("b NOOP\r\n")                         # so that POP3 is the silent one
        assert b"OK" in first.line()
        later()
        other = stack.enter_context(imap_lines(server, "bob"))
        fourth = stack.enter_context(imap_lines(server, "alice"))
        assert pop.file.readline().decode() == f"-ERR [SYS/TEMP] {TOO_MANY}\r\n"
        pop.close()
        wait_for("three sessions are left", lambda: count(server, "alice") == 3)
        # Then submission, then the first one; each is told why.
        fifth = stack.enter_context(imap_lines(server, "alice"))
        assert submission.getreply() == (421, b"4.7.0 " + TOO_MANY.encode())
        sixth = stack.enter_context(imap_lines(server, "alice"))
        assert first.line().decode() == f"* BYE [UNAVAILABLE] {TOO_MANY}" and first.at_end()
        for session in (other, fourth, fifth, sixth):
            session.send("z NOOP\r\n")
            assert session.line().startswith(b"z OK"), server.log()[-2000:]
        assert len(re.findall("event=session.close .*reason=evicted", server.log())) == 3
        submission.close()


def test_managesieve_counts_too_and_is_told():
    with serving("sessions-per-user 1\n") as server, contextlib.ExitStack() as stack:
        sieve = stack.enter_context(server.raw("managesieve"))
        while not (text := sieve.line()).startswith(b"OK"):
            assert text, server.log()[-2000:]
        sieve.send(f'AUTHENTICATE "PLAIN" "{postroom.plain(server.address("alice"), server.password("alice"))}"\r\n')
        assert sieve.line().startswith(b"OK")
        stack.enter_context(imap_lines(server, "alice"))
        assert sieve.line().decode() == f'BYE (TRYLATER) "{TOO_MANY}"' and sieve.at_end()


def test_an_address_at_its_limit_is_refused_for_now_and_nobody_is_ended():
    with serving("sessions-per-address 2\n", accounts=("alice", "bob", "carol")) as server, contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(imap_lines(server, name)) for name in ("alice", "bob")]
        with pytest.raises(imaplib.IMAP4.error, match=r"\[UNAVAILABLE\] Too many sessions from your address"):
            server.imap("carol")
        with pytest.raises(poplib.error_proto, match=r"\[SYS/TEMP\] Too many sessions from your address"):
            server.pop3("carol")
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            server.submission("carol")
        assert refused.value.smtp_code == 454
        for session in sessions:
            session.send("z NOOP\r\n")
            assert session.line().startswith(b"z OK")
        sessions.pop().close()
        wait_for("bob has gone", lambda: count(server, "bob") == 0)
        server.imap("carol").logout()
        assert "rule=sessions-per-address" in server.log()


def test_a_killed_worker_leaves_no_sessions_behind():
    with serving("sessions-per-user 2\n") as server, contextlib.ExitStack() as stack:
        dead = [stack.enter_context(imap_lines(server, "alice")) for _ in range(2)]
        for pid in workers_of(server, "imapd"):
            os.kill(pid, signal.SIGKILL)
        for session in dead:
            assert session.at_end()
        # Both places are free again: whoever comes next, twice, ends nobody.
        submission = server.submission("alice")
        pop = server.pop3("alice")
        assert submission.noop()[0] == 250 and pop.noop().startswith(b"+OK")
        submission.quit()
        pop.quit()
        assert not re.search("reason=evicted", server.log())
