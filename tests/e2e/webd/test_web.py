"""The web front: every request of mail programs that look for their settings gets the answer it waits for (Thunderbird autoconfig,
Outlook Autodiscover in XML and JSON, Apple profiles, MTA-STS: RFC 8461), and hostile HTTP gets none of anything."""

import http.client
import json
import plistlib
import re
import socket
import ssl
import xml.etree.ElementTree as ET

import pytest

import postroom

pytestmark = pytest.mark.skipif(not (postroom.BIN / "webd").exists(), reason="built without libhttp-parser: configure said so")

DOMAIN = "example.test"
RESPONSE = "{http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006}"
OUTLOOK = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
REQUEST = ('<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/'
           'requestschema/2006"><Request><EMailAddress>%s</EMailAddress><AcceptableResponseSchema>'
           'http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>'
           '</Request></Autodiscover>')


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice",), web=True) as instance:
        instance.start()
        yield instance


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def type(self):
        return self.headers.get_content_type()


def ask(server, path, host=DOMAIN, tls=True, method="GET", body=None, headers=None):
    port = server.port("https" if tls else "http")
    if tls:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=postroom.DEADLINE_S, context=server.tls_context())
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=postroom.DEADLINE_S)
    try:
        connection.request(method, path, body=body, headers={"Host": host, **(headers or {})})
        return Answer(connection.getresponse())
    finally:
        connection.close()


# ---- Thunderbird


@pytest.mark.parametrize("host, path, query, tls", (
    (f"autoconfig.{DOMAIN}", "/mail/config-v1.1.xml", "?emailaddress=alice%40example.test", True),
    (f"autoconfig.{DOMAIN}", "/mail/config-v1.1.xml", "?emailaddress=alice%40example.test", False),
    (f"autoconfig.{DOMAIN}", "/mail/config-v1.1.xml", "", False),
    (f"AutoConfig.{DOMAIN}.", "/mail/config-v1.1.xml", "?emailaddress=nobody@EXAMPLE.TEST", False),
    (DOMAIN, "/.well-known/autoconfig/mail/config-v1.1.xml", "?emailaddress=Alice%2Btag@EXAMPLE.TEST", True),
    (DOMAIN, "/.well-known/autoconfig/mail/config-v1.1.xml", "?x=y&emailaddress=alice+tag@example.test", False),
    (f"mail.{DOMAIN}", "/.well-known/autoconfig/mail/config-v1.1.xml", "", True),
    (f"autoconfig.{DOMAIN}", "/v1.1/mail/config-v1.1.xml", "?emailaddress=alice%40example.test", True),
    ("127.0.0.1", "/mail/config-v1.1.xml", "", False)))
def test_thunderbird_finds_its_settings(server, host, path, query, tls):
    answer = ask(server, path + query, host=f"{host}:{server.port('https')}", tls=tls)
    assert answer.status == 200 and answer.type in ("text/xml", "application/xml")
    provider = ET.fromstring(answer.body).find("emailProvider")
    assert provider.get("id") == DOMAIN and provider.findtext("domain") == DOMAIN
    found = {s.get("type"): {c.tag: c.text for c in s} for s in provider if s.get("type")}
    common = {"hostname": f"mail.{DOMAIN}", "socketType": "SSL", "authentication": "password-cleartext", "username": "%EMAILADDRESS%"}
    assert found == {kind: {**common, "port": str(server.port(listener))}
                     for kind, listener in (("imap", "imaps"), ("pop3", "pop3s"), ("smtp", "submissions"))}


def test_the_answer_does_not_tell_who_exists(server):
    answers = {ask(server, f"/mail/config-v1.1.xml?emailaddress={name}%40{DOMAIN}", tls=False).body for name in ("alice", "nobody", "postmaster")}
    assert len(answers) == 1


@pytest.mark.parametrize("query, host", (("?emailaddress=a%40elsewhere.example", DOMAIN), ("", "autoconfig.elsewhere.example"),
                                         ("?emailaddress=%00%0d%0a@example.test", DOMAIN), ("?emailaddress=%zz", "elsewhere.example"),
                                         ("?emailaddress=" + "a" * 3000, "elsewhere.example")))
def test_other_domains_have_no_settings_here(server, query, host):
    assert ask(server, "/mail/config-v1.1.xml" + query, host=host, tls=False).status == 404


# ---- Outlook


def outlook(answer):
    """The protocols of an answer: {type: {element: text}}."""
    assert answer.status == 200 and answer.type == "application/xml", answer.text
    root = ET.fromstring(answer.body)
    assert root.tag == RESPONSE + "Autodiscover"
    account = root.find(f"{OUTLOOK}Response/{OUTLOOK}Account")
    assert (account.findtext(OUTLOOK + "AccountType"), account.findtext(OUTLOOK + "Action")) == ("email", "settings")
    return {p.findtext(OUTLOOK + "Type"): {c.tag.replace(OUTLOOK, ""): c.text for c in p} for p in account.iter(OUTLOOK + "Protocol")}


@pytest.mark.parametrize("path", ("/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml", "/AUTODISCOVER/AUTODISCOVER.XML"))
@pytest.mark.parametrize("host", (DOMAIN, f"autodiscover.{DOMAIN}"))
def test_outlook_finds_its_settings(server, host, path):
    found = outlook(ask(server, path, host=host, method="POST", body=REQUEST % f"alice@{DOMAIN}", headers={"Content-Type": "text/xml"}))
    assert set(found) == {"IMAP", "POP3", "SMTP"}
    for kind, listener in (("IMAP", "imaps"), ("POP3", "pop3s"), ("SMTP", "submissions")):
        p = found[kind]
        assert (p["Server"], p["Port"], p["LoginName"]) == (f"mail.{DOMAIN}", str(server.port(listener)), f"alice@{DOMAIN}")
        assert (p["SSL"], p["Encryption"], p["SPA"], p["AuthRequired"]) == ("on", "TLS", "off", "on")
    assert (found["SMTP"]["UsePOPAuth"], found["SMTP"]["SMTPLast"]) == ("on", "off")


@pytest.mark.parametrize("body", (
    f"<EMailAddress>alice@{DOMAIN}</EMailAddress>", f"<a:emailaddress x='1'>\r\n alice@{DOMAIN} </a:emailaddress", f"<<>><EMAILADDRESS >alice@{DOMAIN}",
    f"<!-- x --><EMailAddress/><EMailAddress>alice@{DOMAIN}<b>"))
def test_any_xml_that_names_an_address_will_do(server, body):
    assert outlook(ask(server, "/autodiscover/autodiscover.xml", method="POST", body=body))["IMAP"]["LoginName"] == f"alice@{DOMAIN}"


def test_an_address_cannot_write_xml(server):
    found = outlook(ask(server, "/autodiscover/autodiscover.xml", method="POST", body=REQUEST % f"o&apos;b&amp;c@{DOMAIN}"))
    assert found["IMAP"]["LoginName"] == f"o'b&c@{DOMAIN}"


def test_autodiscover_without_an_address(server):
    assert "LoginName" not in outlook(ask(server, "/autodiscover/autodiscover.xml"))["IMAP"]


@pytest.mark.parametrize("body, code", (("", "600"), ("not xml", "600"), ("<" * 5000, "600"), ("<EMailAddress>", "600"),
                                        (REQUEST % "a@elsewhere.example", "500"), (REQUEST % "&lt;script&gt;", "500"),
                                        (REQUEST % f"a@{DOMAIN}" + "<AcceptableResponseSchema>http://x/mobilesync/responseschema/2006<", "601")))
def test_a_wrong_request_gets_the_protocols_error_and_never_401(server, body, code):
    answer = ask(server, "/autodiscover/autodiscover.xml", method="POST", body=body)
    assert answer.status == 200 and ET.fromstring(answer.body).findtext(f".//{RESPONSE}ErrorCode") == code


def test_autodiscover_in_clear_is_sent_to_https(server):
    answer = ask(server, "/Autodiscover/Autodiscover.xml?a=b", host=f"autodiscover.{DOMAIN}", tls=False)
    assert answer.status == 302
    assert answer.headers["Location"] == f"https://autodiscover.{DOMAIN}:{server.port('https')}/Autodiscover/Autodiscover.xml?a=b"


@pytest.mark.parametrize("path", ("/autodiscover/autodiscover.json?Email=alice%40example.test&Protocol={}&RedirectCount=1",
                                  "/Autodiscover/Autodiscover.json/v1.0/alice@example.test?protocol={}"))
@pytest.mark.parametrize("protocol", ("AutodiscoverV1", "ActiveSync", "EWS", "Rest", "%00"))
def test_autodiscover_by_json(server, path, protocol):
    answer = ask(server, path.format(protocol), host=f"autodiscover.{DOMAIN}")
    assert answer.type == "application/json"
    if protocol.lower() == "autodiscoverv1":
        assert answer.status == 200 and json.loads(answer.body) == {
            "Protocol": "AutodiscoverV1", "Url": f"https://autodiscover.{DOMAIN}:{server.port('https')}/autodiscover/autodiscover.xml"}
    else:
        assert answer.status == 400 and json.loads(answer.body)["ErrorCode"] == "InvalidProtocol"


# ---- Apple


def test_apple_profile(server):
    path = f"/mail/apple.mobileconfig?emailaddress=alice%40{DOMAIN}"
    answer = ask(server, path)
    assert answer.status == 200 and answer.type == "application/x-apple-aspen-config"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{DOMAIN}.mobileconfig"'
    profile = plistlib.loads(answer.body)
    assert (profile["PayloadType"], profile["PayloadVersion"]) == ("Configuration", 1)
    mail, = profile["PayloadContent"]
    assert mail["PayloadType"] == "com.apple.mail.managed" and mail["EmailAccountType"] == "EmailTypeIMAP"
    assert mail["EmailAddress"] == f"alice@{DOMAIN}" and mail["OutgoingPasswordSameAsIncomingPassword"] is True
    assert "IncomingPassword" not in mail
    for side, listener in (("Incoming", "imaps"), ("Outgoing", "submissions")):
        at = {key: mail[f"{side}MailServer{key}"] for key in ("HostName", "PortNumber", "UseSSL", "Username", "Authentication")}
        assert at == {"HostName": f"mail.{DOMAIN}", "PortNumber": server.port(listener), "UseSSL": True, "Username": f"alice@{DOMAIN}",
                      "Authentication": "EmailAuthPassword"}
    again = plistlib.loads(ask(server, path).body)
    other = plistlib.loads(ask(server, f"/mail/apple.mobileconfig?emailaddress=bob%40{DOMAIN}").body)
    assert again == profile and other["PayloadUUID"] != profile["PayloadUUID"]
    assert ask(server, "/mail/apple.mobileconfig").status == 400


# ---- people


def test_the_first_page_leads_on_and_tells_nothing_of_the_program(server):
    answer = ask(server, "/")
    page = answer.body.decode()
    assert answer.status == 200 and answer.type.startswith("text/html")
    assert f'href="https://{DOMAIN}:{server.port("https")}/account"' in page
    for listener in ("imaps", "pop3s", "submissions"):
        assert f">{server.port(listener)}</td>" in page
    assert server.run("version").stdout.split()[1] not in page and "Server" not in answer.headers
    assert ask(server, "/nothing").status == 404


# ---- MTA-STS


def test_mta_sts_policy(server):
    answer = ask(server, "/.well-known/mta-sts.txt", host=f"mta-sts.{DOMAIN}")
    assert answer.status == 200 and answer.type == "text/plain"
    fields = dict(line.split(": ") for line in answer.text.splitlines())
    assert fields == {"version": "STSv1", "mode": "testing", "mx": f"mail.{DOMAIN}", "max_age": "86400"}
    assert ask(server, "/.well-known/mta-sts.txt", host="mta-sts.elsewhere.example").status == 404
    assert ask(server, "/.well-known/mta-sts.txt", host=DOMAIN).status == 404
    assert ask(server, "/.well-known/mta-sts.txt", host=f"mta-sts.{DOMAIN}", tls=False).status == 302     # never served in clear


def test_the_policy_and_a_new_domain_follow_a_reload(server):
    conf = server.root / "postroom.conf"
    was = conf.read_text()
    conf.write_text(was + "mta-sts-policy enforce\n")
    server.postroom("domain", "add", "second.test")
    server.postroom("reload")
    try:
        seen = lambda: ask(server, "/.well-known/mta-sts.txt", host="mta-sts.second.test").text
        postroom.wait_for("the new policy", lambda: "mode: enforce\r\n" in seen() and "max_age: 1209600" in seen())
    finally:
        conf.write_text(was)
        server.postroom("domain", "remove", "second.test")
        server.postroom("reload")


# ---- those who watch


def test_health_and_metrics_say_what_runs(server):
    assert ask(server, "/healthz/live", tls=False).status == 200
    assert ask(server, "/healthz/ready", tls=False).status == 200
    answer = ask(server, "/metrics", tls=False)
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    lines = answer.text.splitlines()
    assert lines[-1] == "# EOF" and len([line for line in lines if line == "# EOF"]) == 1
    types = dict(re.fullmatch(r"# TYPE (\S+) (\S+)", line).groups() for line in lines if line.startswith("# TYPE "))
    samples = [re.fullmatch(r'([a-z_]+)(\{[a-z]+="[^"]*"\})? (-?[0-9]+)', line) for line in lines if not line.startswith("#")]
    assert all(samples), [line for line in lines if not line.startswith("#")]
    for name in (sample.group(1) for sample in samples):
        family = re.sub(r"_(total|info)$", "", name)
        assert family in types and (types[family] == "counter") == name.endswith("_total"), name
    values = {sample.group(1) + (sample.group(2) or ""): int(sample.group(3)) for sample in samples}
    assert [values[f'postroom_up{{daemon="{name}"}}'] for name in ("smtpd", "imapd", "pop3d", "webd")] == [1, 1, 1, 1]
    assert values['postroom_http_requests_total{daemon="webd"}'] >= 2
    assert values["postroom_certificate_not_after_seconds"] > 1_700_000_000


def test_strangers_see_no_figures():
    with postroom.Instance(web=True, conf="metrics-networks 192.0.2.0/24") as server:
        server.start(only="webd")
        assert ask(server, "/metrics", tls=False).status == 404
        assert ask(server, "/healthz/ready", tls=False).status == 404
        assert ask(server, "/healthz/live", tls=False).status == 200


def test_not_ready_without_the_others():
    with postroom.Instance(web=True) as server:
        server.start(only="webd")
        answer = ask(server, "/healthz/ready", tls=False)
        assert answer.status == 503 and "imapd does not answer" in answer.text


# ---- ACME


def test_challenges_are_files_of_the_instance(server):
    folder = server.root / "tls" / "acme"
    folder.mkdir(exist_ok=True)
    (folder / "tok_en-1").write_text("tok_en-1.thumb")
    answer = ask(server, "/.well-known/acme-challenge/tok_en-1", tls=False, host="any.host.example")
    assert (answer.status, answer.text) == (200, "tok_en-1.thumb")
    for path in ("", "other", "../key.pem", "%2e%2e/key.pem", "..%2fkey.pem", "tok_en-1/", "a%00b", "x" * 300):
        assert ask(server, "/.well-known/acme-challenge/" + path, tls=False).status in (400, 404), path


# ---- hostile HTTP


def raw(server, data, tls=False):
    """All that comes back until the server closes."""
    with server.raw("https" if tls else "http", tls=tls) as line:
        line.send(data)
        line.at_end()
        return line.buffer


def status_of(answer):
    return int(re.match(rb"HTTP/1\.1 (\d+) ", answer).group(1)) if answer else None


@pytest.mark.parametrize("data, status", (
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40, 400),                         # TLS on the clear port
    (b"GET /healthz/live HTTP/1.1\r\nConnection: close\r\n\r\n", 400),                            # no Host: RFC 9112 §3.2
    (b"GET /healthz/live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET /healthz/live HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    (b"GET /healthz/live HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"GET /healthz/live\r\n\r\n", 505),
    (b"GET " + b"/a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 431),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),      # RFC 9112 §6.1
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", 413),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n11000\r\n" + b"x" * 0x11000, 413),
    (b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /a%0d%0aX:%20y HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"DELETE /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405),
    (b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
    (b"GET /nothing HTTP/1.0\r\n\r\n", 404),
    (b"GET http://a/healthz/live HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n", 200),          # RFC 9112 §3.2.2
    (b"GET /healthz/live HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 200),
))
def test_hostile_requests(server, data, status):
    answer = raw(server, data)
    # A sender of too much may lose the answer to a reset; then the connection ended, which is what counts.
    assert status_of(answer) in ({status} if len(data) < 8000 else {status, None}), answer[:300]
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert ask(server, "/healthz/live", tls=False).status == 200


def test_requests_cut_anywhere_and_several_in_one_packet(server):
    one = b"POST /autodiscover/autodiscover.xml HTTP/1.1\r\nHost: example.test\r\nTransfer-Encoding: chunked\r\n\r\n" \
          b"5\r\n<EMai\r\n9\r\nlAddress>\r\n0\r\n\r\n"
    with server.raw("https", tls=True) as line:
        for octet in one:
            line.send(bytes([octet]))
        assert line.line() == b"HTTP/1.1 200 OK"
        line.send(b"HEAD /healthz/live HTTP/1.1\r\nHost: a\r\n\r\n" * 3 + b"GET /healthz/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        line.at_end()
        assert line.buffer.count(b"HTTP/1.1 200 OK") == 4 and line.buffer.endswith(b"\r\n\r\nlive\n")


def test_a_body_is_called_for_when_the_client_waits(server):
    with server.raw("https", tls=True) as line:
        body = (REQUEST % f"alice@{DOMAIN}").encode()
        line.send(b"POST /autodiscover/autodiscover.xml HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert line.line() == b"HTTP/1.1 100 Continue"
        assert line.line() == b""
        line.send(body)
        assert line.line() == b"HTTP/1.1 200 OK"


def test_tls_without_a_name_is_served(server):
    context = server.tls_context()
    with socket.create_connection(("127.0.0.1", server.port("https")), timeout=postroom.DEADLINE_S) as sock:
        with context.wrap_socket(sock) as tls:
            tls.sendall(b"GET /healthz/live HTTP/1.0\r\n\r\n")
            assert tls.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_only_http_is_spoken_by_alpn(server):
    context = server.tls_context()
    context.set_alpn_protocols(["smtp"])
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", server.port("https"))) as sock:
        context.wrap_socket(sock)


# ---- the program around it


def test_status_shows_the_front_and_its_sandbox(server):
    webd, = [d for d in server.json("status")["daemons"] if d["name"] == "webd"]
    assert sorted(w["daemon"] for w in webd["workers"]) == ["acme", "webd"]
    assert {l["kind"] for l in webd["master"]["listeners"]} == {"http", "https"}
    for worker in webd["workers"]:
        layers = {l["layer"]: l["active"] for l in worker["sandbox"]}
        assert layers["seccomp"] and layers["no-new-privileges"]


def test_all_daemons_can_rehearse_beside_those_that_serve(server):
    before = server.json("status")
    server.postroom("serve", "--rehearse", "--wait", "300")
    assert [d["master"]["pid"] for d in server.json("status")["daemons"]] == [d["master"]["pid"] for d in before["daemons"]]
    assert server.run("serve", "--rehearse", "--wait", "soon").returncode == 2


def test_a_taken_port_stops_no_mail():
    with postroom.Instance(accounts=("alice",), web=True) as server:
        with socket.create_server(("127.0.0.1", server.port("http"))), socket.create_server(("127.0.0.1", server.port("https"))):
            with open(server.root / "postroom.conf", "a", encoding="utf-8") as conf:
                conf.write("bind 127.0.0.1\n")
            server.postroom("serve", "--detach")
            try:
                text = server.postroom("status")
                assert text.count("NOT OPEN") == 2
                webd, = [d for d in server.json("status")["daemons"] if d["name"] == "webd"]
                assert [l["open"] for l in webd["master"]["listeners"]] == [False, False]
                server.send("Subject: x\r\n\r\nx\r\n")
            finally:
                server.postroom("stop")


def test_a_front_that_cannot_start_stops_no_mail():
    with postroom.Instance(accounts=("alice",), web=True) as server:
        (server.root / "run" / "webd.sock").mkdir(parents=True)        # where its control socket has to be
        server.start(wait=False)
        server.wait_ready([name for name in server.names() if name not in ("http", "https")])
        postroom.wait_for("the front has failed", lambda: "webd could not start" in server.log())
        server.send("Subject: x\r\n\r\nx\r\n")
        server.imap("alice").logout()
        assert server.stop() == 0


def test_the_same_answers_as_files(server, tmp_path):
    server.postroom("web", "--files", str(tmp_path))
    for host, path in ((f"autoconfig.{DOMAIN}", "/mail/config-v1.1.xml"), (DOMAIN, "/.well-known/autoconfig/mail/config-v1.1.xml"),
                       (f"autodiscover.{DOMAIN}", "/autodiscover/autodiscover.xml"), (f"mta-sts.{DOMAIN}", "/.well-known/mta-sts.txt")):
        file = tmp_path / host / path[1:]
        assert file.read_bytes() == ask(server, path, host=host).body
        assert file.stat().st_mode & 0o777 == 0o644
    assert json.loads((tmp_path / f"autodiscover.{DOMAIN}" / "autodiscover" / "autodiscover.json").read_text())["Protocol"] == "AutodiscoverV1"
    server.postroom("web", "--files", str(tmp_path))       # again: replaced
    urls = [row["url"] for row in server.json("web")]
    assert f"https://mta-sts.{DOMAIN}:{server.port('https')}/.well-known/mta-sts.txt" in urls and len(urls) == 5
