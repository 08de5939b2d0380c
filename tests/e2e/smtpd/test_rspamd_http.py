"""rspamd asked by HTTP: what it is told, and that what it answers is obeyed, also when it breaks down; and filters on submission."""

import re
import socket
import threading

import pytest

import dns_server
import postroom
from dialogue import added, data, envelope, only_file, submit
from milter_server import MilterServer
from rspamd_server import RspamdServer
from strangers import CONF, message, send
from test_signing import message_of, verdicts

SENDER = "joe@good.example"


@pytest.fixture(scope="module")
def dns():
    with dns_server.DnsServer() as server:
        server.add_reverse("127.0.0.1", "localhost")
        server.add("good.example", "A", "192.0.2.1").add("good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all")
        yield server


@pytest.fixture(scope="module")
def peer():
    with RspamdServer() as server:
        yield server


@pytest.fixture
def rspamd(peer):
    peer.says = {"action": "no action", "score": 0.0, "required_score": 15.0}
    return peer


@pytest.fixture(scope="module")
def mx_of_all(dns, peer):
    conf = CONF + dns.conf() + f"milters rspamd:127.0.0.1:{peer.port}\nmilter-timeout 1s\n"
    with postroom.Instance(accounts=("bob",), conf=conf) as instance:
        instance.start(only="smtpd")
        yield instance


@pytest.fixture
def mx(mx_of_all, rspamd):
    """With an account of its own for each test."""
    mx_of_all.count = getattr(mx_of_all, "count", 0) + 1
    mx_of_all.user = f"user{mx_of_all.count}"
    mx_of_all.add_account(mx_of_all.user)
    return mx_of_all


@pytest.fixture(scope="module")
def submission_of_all(peer):
    with MilterServer() as milter:
        conf = f"submission-milters rspamd:127.0.0.1:{peer.port} 127.0.0.1:{milter.port}\n"
        with postroom.Instance(accounts=("alice", "bob"), conf=conf) as instance:
            instance.milter = milter
            instance.start()
            yield instance


@pytest.fixture
def submission(submission_of_all, rspamd):
    submission_of_all.milter.at.clear()
    return submission_of_all


def test_it_is_told_the_envelope_and_gets_the_whole_message(mx, rspamd):
    octets = message(SENDER, body="line\r\n" * 30000)
    assert send(mx, mx.user, SENDER, octets=octets, helo="mail.good.example")[0] == 250
    request, fields, body = rspamd.seen[-1]
    known = dict(fields)
    assert request == "POST /checkv2 HTTP/1.0" and body == octets
    assert {name: known[name] for name in ("IP", "Helo", "From", "Rcpt", "Hostname", "MTA-Name")} == {
        "IP": "127.0.0.1", "Helo": "mail.good.example", "From": "<joe@good.example>", "Rcpt": f"<{mx.user}@example.test>",
        "Hostname": "localhost", "MTA-Name": "mail.example.test"}
    assert "User" not in known and "Password" not in known and known["Queue-Id"] in mx.log()
    assert b"\r\nX-Spamd-Result: default: False [0.00 / 15.00]\r\n" in only_file(mx, mx.user)


@pytest.mark.parametrize("says,code,text", [
    ({"action": "reject", "messages": {"smtp_message": "Gtube"}}, 550, "5.7.1 Gtube"), ({"action": "reject"}, 550, "5.7.1 A content filter"),
    ({"action": "soft reject", "messages": {"smtp_message": "Come again"}}, 451, "4.7.1 Come again"), ({"action": "greylist"}, 250, "2.")])
def test_its_action_is_the_answer(mx, rspamd, says, code, text):
    rspamd.says = says
    got, said = send(mx, mx.user, SENDER)
    assert got == code and said.startswith(text), said
    assert len(mx.files(mx.user)) == (code == 250)


@pytest.mark.parametrize("says", ["hang", "deaf", "die", "die in the answer", "drip", "endless", b"garbage\r\n\r\n", b"",
                                  b"HTTP/1.1 403 Unauthorized\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 200 OK\r\n\r\n{}",
                                  b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n",
                                  b'HTTP/1.1 200 OK\r\n\r\n{"action": "reject", "action": "no action"}'])
def test_when_it_breaks_down_the_sender_tries_again(mx, rspamd, says):
    rspamd.says = says
    octets = message(SENDER, body="line\r\n" * 100000) if says in ("deaf", "die") else None
    code, text = send(mx, mx.user, SENDER, octets=octets)
    assert (code, text[:5]) == (451, "4.7.1"), text
    assert mx.files(mx.user) == []
    rspamd.says = {"action": "no action"}
    assert send(mx, mx.user, SENDER)[0] == 250


def test_when_it_is_away_mail_may_be_accepted(dns, make_server):
    with RspamdServer() as gone:
        port = gone.port
    server = make_server(CONF + dns.conf() + f"milters rspamd:127.0.0.1:{port}\nmilter-failure accept\n")
    assert send(server, "alice", SENDER)[0] == 250
    assert re.search(r"event=smtp\.milter .*verdict=4", server.log())


def test_spam_lies_in_junk_with_its_fields_and_without_forged_ones(mx, rspamd):
    rspamd.says = {"action": "add header", "score": 7.5, "required_score": 15, "symbols": {"BAD": {"score": 7.5}},
                   "milter": {"add_headers": {"X-Mine": {"value": "a\nBcc: b", "order": 0}}, "remove_headers": {"X-Mine": 0, "Subject": 0}}}
    octets = message(SENDER, "X-Mine: forged\r\n again\r\nX-Mine-Too: stays\r\nX-Spam: No\r\nX-Spamd-Result: default: False\r\n",
                     "X-Mine: of the body\r\n" * 20000)
    assert send(mx, mx.user, SENDER, octets=octets)[0] == 250
    top, kept = only_file(mx, mx.user, "Junk").split(b"X-Mine-Too: ", 1)
    assert b"\r\nX-Mine: a\r\n\tBcc: b\r\nX-Spamd-Result: default: True [7.50 / 15.00];\r\n\tBAD(7.50)\r\nX-Spam: Yes\r\n" in top
    assert b"X-Postroom-Junk: milter (A filter says: spam)" in top
    assert kept == b"stays\r\n" + message(SENDER, body="X-Mine: of the body\r\n" * 20000)


def test_it_is_reached_by_a_unix_socket_and_with_a_password(dns, make_server, tmp_path):
    path = tmp_path / "rspamd.sock"
    seen = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve():
        peer, _ = listener.accept()
        octets = b""
        while not octets.endswith(message(SENDER)):
            octets += peer.recv(65536)
        seen.append(octets)
        peer.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"action":"reject"}')
        peer.close()
    threading.Thread(target=serve, daemon=True).start()
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    server = make_server(CONF + dns.conf() + f"milters rspamd:{path}\nrspamd-password {secret}\n")
    assert send(server, "alice", SENDER)[0] == 550
    assert b"\r\nPassword: open sesame\r\n" in seen[0]
    assert "open sesame" not in server.log()
    listener.close()
    assert send(server, "alice", SENDER)[0] == 451


def submitted(server):
    with submit(server, "alice") as line:
        assert line.smtp("MAIL FROM:<alice@example.test>") == 250
        assert line.smtp("RCPT TO:<friend@elsewhere.example>") == 250
        return data(line, b"From: Alice <alice@example.test>\r\nX-Old: x\r\nSubject: Hello\r\n\r\nHello.\r\n")


def test_on_submission_filters_know_who_it_is_and_what_they_add_is_signed(submission, rspamd, tmp_path):
    server, milter = submission, submission.milter
    rspamd.says = {"action": "add header", "score": 9, "milter": {"add_headers": {"X-Checked": "yes"}}}
    milter.at["E"] = [b"m\0\0\0\1X-Old\0\0", b"c"]
    assert submitted(server) == 250
    assert dict(rspamd.seen[-1][1])["User"] == "alice@example.test"
    macros = [octets for letter, octets in milter.seen[-1] if letter == "D"]
    assert any(octets[:1] == b"M" and b"{auth_authen}\0alice@example.test\0" in octets for octets in macros), macros
    assert rspamd.seen[-1][2].startswith(b"From: Alice") and b"\r\nMessage-ID: <" in rspamd.seen[-1][2]
    [spool] = (server.root / "queue" / "msg").iterdir()
    octets = message_of(spool.read_bytes())
    spool.unlink()
    assert b"\r\nX-Checked: yes\r\n" in octets and b"X-Old" not in octets and b"X-Postroom-Junk" not in octets
    assert verdicts(server, octets, tmp_path) == ["dkim=pass", "dkim=pass", "arc=none"]


@pytest.mark.parametrize("says,code", [({"action": "reject"}, 550), ({"action": "quarantine"}, 550), ({"action": "discard"}, 550),
                                       ({"action": "soft reject"}, 451), (b"", 451)])
def test_on_submission_what_must_not_leave_is_refused(submission, rspamd, says, code):
    server = submission
    rspamd.says = says
    assert submitted(server) == code
    assert list((server.root / "queue" / "msg").iterdir()) == []
    with submit(server, "alice") as line:
        envelope(line, server, "bob", "alice@example.test")
        assert data(line, message("alice@example.test")) == code
    assert server.files("bob") == []
