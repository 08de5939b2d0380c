"""Printers, scanners and cameras: mail in the ways of their time, from listed networks, to nobody whom the configuration does not name."""

import base64
import contextlib
import json
import re
import ssl
import subprocess
import warnings

import pytest

import postroom
from dialogue import only_file, talk

PAGE = b"Subject: Scan\r\n\r\nA page.\r\n"


def legacy(**more):
    """Settings of such a listener for the test's own devices."""
    options = {"legacy-bind": "127.0.0.1", "legacy-networks": "127.0.0.1", "legacy-sender": "scanner@example.test",
               "legacy-recipients": "partner@elsewhere.example friends.example", "legacy-message-size": "64K"}
    options.update({name.replace("_", "-"): value for name, value in more.items()})
    return "".join(f"{name} {value}\n" for name, value in options.items() if value)


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice", "bob", "scanner"), conf=legacy() + "failure-delay 1ms\nxclient-networks loopback\n") as instance:
        instance.start(only="smtpd")
        instance.wait_ready(["legacy"])
        yield instance


@pytest.fixture
def fresh(server):
    """An account without mail: a new one costs half a second."""
    for path in server.files("alice"):
        path.unlink()
    return "alice"


@contextlib.contextmanager
def device(server, source=None, hello="HELO"):
    with postroom.Line(server.port("legacy"), source=source) as line:
        assert line.reply()[0] == 220
        assert hello is None or line.smtp(hello) == 250
        yield line


def scan(line, to, page=PAGE, sender="<x@y.example>"):
    assert line.smtp(f"MAIL FROM:{sender}") == 250
    assert line.smtp(f"RCPT TO:{to}") == 250
    assert line.smtp("DATA") == 354
    line.send(page + b"\r\n.\r\n")
    return line.reply()[0]


def b64(text):
    return base64.b64encode(text.encode()).decode()


def log_in(line, server, user, password=None):
    assert line.smtp("AUTH LOGIN") == 334
    assert line.smtp(b64(server.address(user))) == 334
    return line.smtp(b64(password or server.password(user)))


def test_a_device_needs_neither_manners_nor_a_login(server, fresh):
    """HELO without a name, empty lines, a sender without domain, quotes for the recipient, bare LF, no header to speak of."""
    with device(server, hello=None) as line:
        line.send(b"\r\nHELO\nMAIL FROM: scanner1\n")
        assert [line.reply()[0], line.reply()[0]] == [250, 250]
        line.send(f"RCPT TO:<'{server.address(fresh)}'>\r\n")
        assert line.reply()[0] == 250
        assert line.smtp("DATA") == 354
        line.send(b"Subject: Gescannt f\xfcr Sie\n\nline one\n.\nline two\r\n.\r\n")       # its lone dot ends nothing
        assert line.reply()[0] == 250
    text = only_file(server, fresh)
    assert text.startswith(b"Return-Path: <scanner@example.test>\r\n"), text
    assert re.search(rb"by \S+ \(Postroom\) with SMTP id", text) and b"Subject: Gescannt f\xfcr Sie\r\n" in text
    for field in (rb"Date: ", rb"Message-ID: <", rb"From: <scanner@example\.test>\r\n"):
        assert len(re.findall(rb"(?m)^" + field, text)) == 1, text
    assert text.endswith(b"line one\r\n.\r\nline two\r\n") and b"\n" not in text.replace(b"\r\n", b"")


def test_its_own_from_field_stays_and_a_foreign_one_is_refused(server, fresh):
    with device(server, hello="EHLO 192.168.1.9") as line:
        assert scan(line, f"<{server.address(fresh)}>", b"From: Copier <scanner@example.test>\r\n" + PAGE) == 250
        assert scan(line, f"<{server.address(fresh)}>", b"From: <alice@example.test>\r\n" + PAGE) == 550
        assert scan(line, f"<{server.address(fresh)}>", b"From: <boss@elsewhere.example>\r\n" + PAGE) == 550
    assert b"From: Copier <scanner@example.test>\r\n" in only_file(server, fresh)


@pytest.mark.parametrize("is_logged_in", [False, True])
def test_it_reaches_our_people_and_who_is_listed_and_nobody_else(server, is_logged_in):
    with device(server, hello="EHLO printer") as line:
        if is_logged_in:
            assert log_in(line, server, "alice") == 235
        assert line.smtp("MAIL FROM:<alice@example.test>") == 250
        for to in ("alice@example.test", "partner@elsewhere.example", "anybody@Friends.example"):
            assert line.smtp(f"RCPT TO:<{to}>") == 250, to
        for to in ("other@elsewhere.example", "x@sub.friends.example", "partner@elsewhere.example@evil.example",
                   "partner%elsewhere.example@evil.example", "'spam@evil.example'", "xpartner@elsewhere.example"):
            assert line.smtp(f"RCPT TO:<{to}>") in (501, 550), to
        line.send("RCPT TO:<other@elsewhere.example>\r\n")
        code, texts = line.reply()
        assert code == 550 and "legacy-recipients" in " ".join(texts)


def test_an_outsider_is_sent_away_at_the_greeting(server):
    with postroom.Line(server.port("legacy"), source="127.0.0.2") as line:
        line.send(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.test>\r\n")
        assert line.reply()[0] == 554
        assert line.at_end()
    server.wait_log("reason=not-listed")


def test_nobody_speaks_for_others_there(server):
    """XCLIENT would make an outsider a device, or a device an outsider that is not counted."""
    with device(server, hello="EHLO x") as line:
        assert line.smtp("XCLIENT ADDR=192.0.2.1") == 550
        line.send("EHLO x\r\n")
        assert not [text for text in line.reply()[1] if text.startswith(("XCLIENT", "DSN", "REQUIRETLS", "DELIVERBY"))]


def test_who_logs_in_sends_as_himself_in_clear_and_as_nobody_else(server, fresh):
    with device(server, hello="HELO scan2mail") as line:
        assert log_in(line, server, "bob", "wrong") == 535
        assert log_in(line, server, "bob") == 235
        assert scan(line, f"<{server.address(fresh)}>", sender="<bob@example.test>") == 250
        assert line.smtp("MAIL FROM:<alice@example.test>") == 550
        assert line.smtp("MAIL FROM:<nobody>") == 501
    assert b"From: <bob@example.test>\r\n" in only_file(server, fresh)


def test_a_device_that_ends_lines_in_lf_alone_can_log_in(server):
    with device(server, hello="HELO x") as line:
        for text, code in (("AUTH LOGIN", 334), (b64(server.address("bob")), 334), (b64(server.password("bob")), 235)):
            line.send(text.encode() + b"\n")
            assert line.reply()[0] == code


def test_a_message_has_a_size_of_its_own(server):
    with device(server, hello="EHLO x") as line:
        line.send("EHLO x\r\n")
        assert "SIZE 65536" in line.reply()[1]
        assert line.smtp("MAIL FROM:<a@b.example> SIZE=70000") == 552
        assert scan(line, "<alice@example.test>", b"Subject: big\r\n\r\n" + b"x" * 76 * 900 + b"\r\n") == 552


def test_status_shows_it(server):
    status = json.loads(server.run("status", "--json").stdout)         # of smtpd alone: the exit code says that the others are missing
    [listener] = [row for row in status["daemons"][0]["master"]["listeners"] if row["kind"] == "legacy"]
    assert (listener["port"], listener["open"]) == (server.port("legacy"), True)


def old_tls(version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_3"])
def test_tls_of_any_age_is_spoken_there(server, fresh, version):
    with device(server, hello="EHLO x") as line:
        assert line.smtp("STARTTLS") == 220
        line.start_tls(old_tls(ssl.TLSVersion[version]))
        assert line.smtp("EHLO x") == 250
        assert log_in(line, server, "bob") == 235
        assert scan(line, f"<{server.address(fresh)}>", sender="<bob@example.test>") == 250
    assert f"(using {version.replace('_', '.')} ".encode() in only_file(server, fresh)


@pytest.mark.parametrize("name", ["mx", "submission"])
def test_and_nowhere_else(server, name):
    with talk(server, name) as line:
        assert line.smtp("STARTTLS") == 220
        with pytest.raises(OSError):
            line.start_tls(old_tls(ssl.TLSVersion.TLSv1_1))


def test_swaks_as_a_scanner_over_tls(server, fresh):
    swaks = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(server.port("legacy")), "--protocol", "ESMTPSA", "--helo", "10.0.0.9",
                            "--auth", "LOGIN", "--auth-user", "bob@example.test", "--auth-password", server.password("bob"),
                            "--from", "bob@example.test", "--to", server.address(fresh), "--body", "scanned"],
                           capture_output=True, text=True, timeout=60, check=False)
    assert swaks.returncode == 0, swaks.stdout + swaks.stderr
    assert re.search(rb"with ESMTPSA id ", only_file(server, fresh))


def test_without_a_sender_devices_log_in(make_server):
    server = make_server(legacy(legacy_sender="", legacy_messages_per_minute="2"))
    server.wait_ready(["legacy"])
    with device(server, hello="EHLO x") as line:
        assert line.smtp("MAIL FROM:<alice@example.test>") == 530
        assert log_in(line, server, "alice") == 235
        for _ in range(2):
            assert line.smtp("MAIL FROM:<alice@example.test>") == 250
            assert line.smtp("RSET") == 250
        line.send("MAIL FROM:<alice@example.test>\r\n")
        code, texts = line.reply()
        assert code == 451 and "2 messages a minute" in texts[0]
