"""`postroom log`: the lines that somebody asks for, and the whole of what they are part of."""

import json
import subprocess

import pytest

import postroom

MESSAGE = "From: {0}\r\nTo: {1}\r\nSubject: x\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def spoken():
    """A server with two sessions that have nothing to do with each other; (instance, the first one's queue id)."""
    with postroom.Instance(accounts=("alice", "bob", "carol")) as instance:
        instance.start()
        with instance.smtp() as smtp:
            smtp.mail("one@far.example")
            smtp.rcpt("bob@example.test")
            reply = smtp.data(MESSAGE.format("one@far.example", "bob@example.test"))[1].decode()
        with instance.smtp() as smtp:
            smtp.sendmail("two@far.example", ["carol@example.test"], MESSAGE.format("two@far.example", "carol@example.test"))
        postroom.wait_for("both sessions have ended", lambda: instance.log().count(" messages=1 ") == 2)
        yield instance, reply.rpartition("id ")[2].strip()


def lines(instance, *words):
    return [json.loads(line) for line in instance.postroom("log", *words, "--json").splitlines()]


def test_an_address_brings_the_whole_session_and_no_other_one(spoken):
    instance, queue_id = spoken
    found = lines(instance, "--for", "BOB@example.test")
    events = [line["event"] for line in found if line.get("sid")]
    # The session's first line does not know yet whom it will be about.
    assert events[0] == "session.open" and events[-1] == "session.close" and "deliver.done" in events
    assert len({line["sid"] for line in found if line.get("sid")}) == 1
    assert queue_id in {line.get("queue_id") for line in found}
    assert "carol" not in json.dumps(found)


def test_a_domain_brings_both_and_a_stranger_none(spoken):
    instance, _ = spoken
    found = lines(instance, "--for", "far.example")
    assert {line.get("from") for line in found} >= {"one@far.example", "two@far.example"}
    assert lines(instance, "--for", "ar.example") == [] == lines(instance, "--for", "nobody@far.example")


def test_the_id_of_the_reply_finds_the_message(spoken):
    instance, queue_id = spoken
    found = lines(instance, "--id", queue_id)
    assert {line.get("to") for line in found} >= {"bob@example.test"}
    sid = next(line["sid"] for line in found if line.get("sid"))
    assert {line["event"] for line in lines(instance, "--id", sid)} >= {"session.open", "smtp.accept", "session.close"}
    assert lines(instance, "--id", queue_id[:-1]) == []


def test_people_see_a_table_without_empty_fields(spoken):
    instance, queue_id = spoken
    shown = instance.postroom("log", "--id", queue_id).splitlines()
    accepted = next(line for line in shown if " smtp.accept " in line)
    assert accepted.split()[2] == "smtpd" and f"queue_id={queue_id}" in accepted and '""' not in accepted and "pid=" not in accepted
    whole = instance.postroom("log")
    assert "daemon.ready" in whole and len(whole.splitlines()) > len(shown)


def test_the_level_changes_at_once(spoken):
    instance, _ = spoken
    assert "debug" in instance.postroom("log", "--level", "debug")
    assert instance.run("log", "--level", "loud").returncode == 2
    with instance.imap("alice") as imap:
        imap.noop()
    instance.wait_log("level=debug")
    instance.postroom("log", "--level", "info")


def test_usage_and_a_log_that_is_not_there(spoken):
    instance, _ = spoken
    assert instance.run("log", "--since", "yesterday").returncode == 2
    with postroom.Instance() as never_started:
        done = never_started.run("log")
        assert done.returncode == 3 and "no log" in done.stderr and "serve" in done.stderr


def test_following_shows_what_comes_also_behind_a_rotation(spoken):
    instance, _ = spoken
    follower = subprocess.Popen([postroom.BIN / "postroom", "--root", instance.root, "log", "--follow", "--since", "1d", "--for",
                                 "carol@example.test"], stdout=subprocess.PIPE, text=True)
    try:
        def next_line(text):
            """The next line with this; the test's own time limit is the runner's."""
            for line in follower.stdout:
                if text in line:
                    return line
            raise AssertionError(f"the follower ended before {text!r}:\n{instance.log()}")
        assert "uid=1" in next_line("deliver.done")             # what was there
        with instance.smtp() as smtp:
            smtp.sendmail("three@far.example", ["carol@example.test"], MESSAGE.format("three@far.example", "carol@example.test"))
        assert "uid=2" in next_line("deliver.done")
        next_line("session.close")
        with open(instance.log_path, "a", encoding="utf-8") as log:     # copied and truncated, as doc says
            log.truncate(0)
        with instance.smtp() as smtp:
            smtp.sendmail("four@far.example", ["carol@example.test"], MESSAGE.format("four@far.example", "carol@example.test"))
        assert "uid=3" in next_line("deliver.done")
    finally:
        follower.terminate()
        follower.wait(postroom.DEADLINE_S)
        follower.stdout.close()
