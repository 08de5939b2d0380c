"""The fetch helper: what it brings, and what it refuses (smtpd/fetch.h). It is asked as smtpd's other processes ask it."""

import base64
import json
import socket
import time

import pytest

import dns_server
import https_server
import postroom


@pytest.fixture(scope="module")
def world():
    """(ask, web, dns): ask(url) gives (status, type, body), or the error's text."""
    with https_server.Authority() as authority, dns_server.DnsServer() as dns, \
            https_server.HttpsServer(authority, ["web.example", "other.example"]) as web:
        for name in ("web.example", "other.example", "wrong.example"):
            dns.add(name, "A", "127.0.0.1")
        conf = dns.conf() + f"fetch-private-addresses yes\nrelay-ca-file {authority.file}"
        with postroom.Instance(conf=conf) as instance:
            instance.start()
            yield lambda *args, **more: ask(instance, *args, **more), web, dns


def ask(instance, url, **more):
    """Again while the helper is just starting, as fetch.c does."""
    for _ in range(200):
        answer = ask_once(instance, url, **more)
        if answer[0] != "busy":
            break
        time.sleep(0.1)
    return answer


def ask_once(instance, url, **more):
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(60)
        try:
            line.connect(str(instance.root / "run" / "smtpd.sock"))
        except (FileNotFoundError, ConnectionRefusedError):      # not there yet, or there and not listening
            return "busy", "smtpd is just starting"
        line.sendall(json.dumps({"verb": "fetch", "url": url, **more}).encode() + b"\n")
        text = b""
        while part := line.recv(65536):
            text += part
    rows = [json.loads(row) for row in text.splitlines()]
    if "error" in rows[-1]:
        return rows[-1]["error"]["kind"], rows[-1]["error"]["text"]
    body = b"".join(base64.b64decode(row["body"]) for row in rows if "body" in row)
    return rows[0]["status"], rows[0]["type"], body


def test_a_page_is_brought_whole(world):
    fetch, web, _ = world
    body = bytes(range(256)) * 700
    web.pages["web.example", "/page"] = (200, "text/plain", body)
    assert fetch(f"https://web.example:{web.port}/page") == (200, "text/plain", body)
    assert fetch(f"https://web.example:{web.port}/none") == (404, "text/plain", b"no such page")


def test_something_is_posted(world):
    fetch, web, _ = world
    web.pages["other.example", "/report"] = (201, "text/plain", b"thanks")
    assert fetch(f"https://other.example:{web.port}/report", body=base64.b64encode(b"\x1f\x8b1").decode(),
                 type="application/tlsrpt+gzip") == (201, "text/plain", b"thanks")
    assert web.posts[-1] == ("other.example", "/report", "application/tlsrpt+gzip", b"\x1f\x8b1")


def test_redirects_are_told_and_not_followed(world):
    fetch, web, _ = world
    web.pages["web.example", "/there"] = (302, "text/plain", b"", ("Location", f"https://web.example:{web.port}/page"))
    before = len(web.asked)
    assert fetch(f"https://web.example:{web.port}/there")[0] == 302
    assert len(web.asked) == before + 1


def test_a_certificate_for_another_name_is_not_believed(world):
    fetch, web, _ = world
    kind, text = fetch(f"https://wrong.example:{web.port}/page")
    assert kind == "unavailable" and "certificate" in text.lower()


def test_too_much_is_not_read(world):
    fetch, web, _ = world
    web.pages["web.example", "/big"] = (200, "text/plain", b"x" * 5000)
    assert fetch(f"https://web.example:{web.port}/big", octets_max=5000)[0] == 200
    assert fetch(f"https://web.example:{web.port}/big", octets_max=4999)[0] == "limit"


@pytest.mark.parametrize("url", ["http://web.example/x", "https://127.0.0.1/x", "https://[::1]/x", "https://user@web.example/x",
                                 "https://web.example", "https://web.example:0/x", "file:///etc/passwd", "https://web.example/a b",
                                 "https://web.example\r\n/x", "", "https://localhost/"])
def test_what_is_no_such_url_is_refused(world, url):
    fetch, _, _ = world
    assert fetch(url)[0] == "invalid"


def test_names_that_lead_nowhere_are_told(world):
    fetch, _, dns = world
    dns.misbehave("broken.example", "servfail")
    assert fetch("https://broken.example/x") == ("unavailable", "its name cannot be looked up")
    assert fetch("https://nobody.example/x") == ("unavailable", "it has no address")


def test_private_addresses_are_not_gone_to():
    with dns_server.DnsServer() as dns:
        dns.add("inside.example", "A", "127.0.0.1", "10.1.2.3", "169.254.169.254")
        dns.add("inside.example", "AAAA", "::1", "::ffff:127.0.0.1", "fe80::1", "fd00::1")
        with postroom.Instance(conf=dns.conf()) as instance:
            instance.start()
            assert ask(instance, "https://inside.example/x") == ("denied", "its address is not of the internet")
