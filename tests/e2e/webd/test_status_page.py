"""The status page: for the administrator on this machine, and for nobody else."""

import http.client
import imaplib
import os
import re
import signal

import pytest

import postroom
from browser import Answer

pytestmark = pytest.mark.skipif(not (postroom.BIN / "webd").exists(), reason="built without libhttp-parser: configure said so")


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice",), web=True, conf="failure-delay 0\nscram-iterations 4096\n") as instance:
        instance.start()
        postroom.wait_for("every part answers", lambda: "All parts of the server answer." in ask(instance).text)
        yield instance


def ask(server, host="localhost", address="127.0.0.1", method="GET", headers=()):
    connection = http.client.HTTPConnection(address, server.port("http"), timeout=postroom.DEADLINE_S)
    try:
        connection.request(method, "/status", headers={"Host": host, **dict(headers)})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def figures(page, title):
    """What the text below a chart says."""
    found = re.search(rf" {title} [0-9: ]*now In 24 hours: (\d+) [a-z ]*\(below, plain\) , (\d+) ", page.text)
    assert found, page.text
    return int(found.group(1)), int(found.group(2))


def test_it_shows_what_happened_and_that_all_is_well(server):
    before = ask(server).page
    for _ in range(2):
        server.send(postroom.message(), to="alice")
    server.imap("alice").logout()
    with pytest.raises(imaplib.IMAP4.error):
        imaplib.IMAP4("127.0.0.1", server.port("imap")).login(server.address("alice"), "wrong")
    answer = ask(server)
    page = answer.page
    assert answer.status == 200 and answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert "All parts of the server answer." in page.text and "Waiting to be sent: 0 " in page.text
    assert page.text.count(" answers ") == 4 and "The certificate is good until" in page.text
    taken, sent = figures(page, "Deliveries")
    assert (taken - figures(before, "Deliveries")[0], sent) == (2, 0)
    good, failed = figures(page, "Logins")
    assert (good - figures(before, "Logins")[0], failed - figures(before, "Logins")[1]) == (1, 1)
    tags = {tag for tag, _ in page.tags}
    assert "svg" in tags and not tags & {"script", "img", "form", "iframe"}
    assert not any(name in attrs for _, attrs in page.tags for name in ("style", "onclick", "onload"))


@pytest.mark.parametrize("host", ("mail.example.test", "example.test", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example"))
def test_a_name_that_leads_here_from_elsewhere_is_not_answered(server, host):
    assert ask(server, host=host).status == 404


@pytest.mark.parametrize("field", ("X-Forwarded-For", "forwarded", "X-Real-Ip", "Via"))
def test_what_a_web_server_passes_on_is_not_answered(server, field):
    assert ask(server, headers={field: ""}).status == 404


def test_nothing_can_be_changed_there(server):
    assert ask(server, method="POST").status == 405


def test_the_hours_outlive_a_restart_and_a_part_that_is_away_is_named(server):
    server.send(postroom.message(), to="alice")
    taken = figures(ask(server).page, "Deliveries")[0]
    assert taken >= 1
    server.restart()
    assert figures(ask(server).page, "Deliveries")[0] >= taken
    pid = server.pids("pop3d")[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        page = ask(server).page
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "Something is wrong. " in page.text and "pop3d does not answer" in page.text
