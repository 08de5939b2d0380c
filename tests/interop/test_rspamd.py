"""rspamd from Debian's package as a filter, asked as a milter and by HTTP: its reject is obeyed, its spam lies in Junk, and without it
senders try again."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent.parent
for folder in ("e2e/smtpd", "support"):
    sys.path.insert(0, str(HERE / folder))

import dns_server  # noqa: E402
import postroom  # noqa: E402
from dialogue import only_file  # noqa: E402
from strangers import CONF, message, send  # noqa: E402

GTUBE = "JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
SENDER = "joe@good.example"


class Rspamd:
    def __init__(self, folder, dns_port):
        self.port, self.http_port = postroom.free_port(), postroom.free_port()
        self.folder, self.process = folder, None
        folder.chmod(0o777)
        (folder / "rules.lua").write_text("""
            rspamd_config.TEST_SPAM = { score = 8.0, callback = function(task) return task:get_header('X-Test') == 'spam' end }
            """)
        (folder / "tld").write_text("com\nexample\n")      # the whole list takes it a minute of a busy processor to compile
        (folder / "rspamd.conf").write_text(f"""
            lua = "{folder}/rules.lua";
            options {{ pidfile = "{folder}/pid"; tempdir = "{folder}"; hs_cache_dir = "{folder}"; control_socket = "{folder}/control mode=0600";
                url_tld = "{folder}/tld"; filters = "";
                dns {{ nameserver = "127.0.0.1:{dns_port}"; }} }}
            logging {{ type = "file"; filename = "{folder}/log"; level = "info"; }}
            metric {{ name = "default"; actions {{ reject = 15; "add header" = 6; }} }}
            worker "rspamd_proxy" {{ bind_socket = "127.0.0.1:{self.port}"; milter = yes; timeout = 30s; count = 1;
                upstream "local" {{ default = yes; self_scan = yes; }} }}
            worker "normal" {{ bind_socket = "127.0.0.1:{self.http_port}"; count = 1; }}
            """)

    def start(self):
        user = ["-u", "_rspamd", "-g", "_rspamd"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(["rspamd", "-f", *user, "-c", str(self.folder / "rspamd.conf")],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                for port in (self.port, self.http_port):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                return False
        postroom.wait_for("rspamd listens", answers)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(30)
            self.process = None


@pytest.fixture(scope="module")
def rspamd(tmp_path_factory):
    if not shutil.which("rspamd"):
        pytest.skip("rspamd is not installed (package rspamd): ./quickstart peers")
    folder = pathlib.Path("/tmp") / f"postroom-rspamd-{tmp_path_factory.mktemp('rspamd').name}"
    folder.mkdir(exist_ok=True)
    with dns_server.DnsServer() as dns:
        dns.add("good.example", "A", "192.0.2.1").add("good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all")
        server = Rspamd(folder, dns.port)
        server.dns = dns
        try:
            server.start()
            yield server
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", params=["milter", "http"])
def mx(rspamd, request):
    place = f"127.0.0.1:{rspamd.port}" if request.param == "milter" else f"rspamd:127.0.0.1:{rspamd.http_port}"
    conf = CONF + rspamd.dns.conf() + f"milters {place}\n"
    with postroom.Instance(accounts=("alice", "bob", "carol"), conf=conf) as instance:
        instance.start(only="smtpd")
        instance.asks_by = request.param
        yield instance


def test_ham_is_let_through(mx):
    assert send(mx, "alice", SENDER)[0] == 250
    assert only_file(mx, "alice").endswith(message(SENDER))


def test_its_reject_is_obeyed(mx):
    code, text = send(mx, "bob", SENDER, octets=message(SENDER, body="X" + GTUBE + "\r\n"))
    assert (code, text[:5]) == (550, "5.7.1"), text
    assert mx.files("bob") == [] and mx.files("bob", "Junk") == []


def test_what_it_takes_for_spam_lies_in_junk(mx):
    assert send(mx, "bob", SENDER, octets=message(SENDER, "X-Test: spam\r\n"))[0] == 250
    octets = only_file(mx, "bob", "Junk")
    assert b"\r\nX-Spam: Yes\r\n" in octets
    if mx.asks_by == "http":
        assert b"\r\nX-Spamd-Result: default: True [8.00 / 15.00];\r\n\tTEST_SPAM(8.00)" in octets, octets[:2000]
    assert b"X-Postroom-Junk: milter (A filter says: spam)" in octets


def test_while_it_is_stopped_senders_try_again(mx, rspamd):
    rspamd.stop()
    try:
        assert send(mx, "carol", SENDER)[0] == 451
    finally:
        rspamd.start()
    assert send(mx, "carol", SENDER)[0] == 250
