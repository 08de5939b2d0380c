"""rspamd from Debian's package learns from what people move into Junk and out of it."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.request

import pytest

HERE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE / "e2e" / "imapd"))
sys.path.insert(0, str(HERE / "e2e"))

import imap  # noqa: E402
import postroom  # noqa: E402

SPAM = "Buy the cheapest pills and watches in the whole wide world today from our wonderful discount shop, hurry up dear friend"
HAM = "The minutes of yesterday's meeting of the gardening society are attached, please send your corrections to the secretary"


def message(number, text):
    return (f"From: a@elsewhere.example\r\nTo: alice@example.test\r\nMessage-ID: <{number}@elsewhere.example>\r\nSubject: {number}\r\n\r\n"
            f"{text}\r\n").encode()


@pytest.fixture(scope="module")
def rspamd(tmp_path_factory):
    """Its controller alone, with a Bayes classifier in files of its own."""
    if not shutil.which("rspamd"):
        pytest.skip("rspamd is not installed (package rspamd): ./quickstart peers")
    folder = pathlib.Path("/tmp") / f"postroom-rspamd-learns-{tmp_path_factory.mktemp('rspamd').name}"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    port = postroom.free_port()
    (folder / "tld").write_text("com\nexample\n")
    (folder / "rspamd.conf").write_text(f"""
        options {{ pidfile = "{folder}/pid"; tempdir = "{folder}"; hs_cache_dir = "{folder}"; control_socket = "{folder}/control mode=0600";
            url_tld = "{folder}/tld"; filters = ""; dns {{ nameserver = "127.0.0.1:9"; }} }}
        logging {{ type = "file"; filename = "{folder}/log"; level = "info"; }}
        classifier "bayes" {{ tokenizer {{ name = "osb"; }} backend = "sqlite3"; min_tokens = 5; min_learns = 1;
            cache {{ type = "sqlite3"; path = "{folder}/cache.sqlite"; }}
            statfile {{ symbol = "BAYES_HAM"; path = "{folder}/ham.sqlite"; spam = false; }}
            statfile {{ symbol = "BAYES_SPAM"; path = "{folder}/spam.sqlite"; spam = true; }} }}
        metric {{ name = "default"; actions {{ reject = 15; "add header" = 6; }}
            symbol {{ name = "BAYES_SPAM"; weight = 8.0; }} symbol {{ name = "BAYES_HAM"; weight = -3.0; }} }}
        worker "controller" {{ bind_socket = "127.0.0.1:{port}"; count = 1; secure_ip = "127.0.0.1"; }}
        """)
    user = ["-u", "_rspamd", "-g", "_rspamd"] if os.geteuid() == 0 else []
    process = subprocess.Popen(["rspamd", "-f", *user, "-c", str(folder / "rspamd.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    class Server:
        log = folder / "log"

        @staticmethod
        def ask(path, octets=None):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", octets, 20) as answer:
                return answer.read()

        @classmethod
        def learned(cls):
            return json.loads(cls.ask("/stat"))["learned"]
    Server.port = port

    def answers():
        assert process.poll() is None, Server.log.read_text()
        try:
            return Server.ask("/ping")
        except OSError:
            return False
    try:
        postroom.wait_for("rspamd answers", answers)
        yield Server
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def test_it_learns_from_moves(rspamd):
    with imap.Imapd(accounts=("alice",), conf=f"failure-delay 1ms\nspam-training 127.0.0.1:{rspamd.port}\n") as server:
        server.start()

        def wait_for(count):
            try:
                postroom.wait_for(f"{count} lessons", lambda: rspamd.learned() >= count, 20)
            except Exception as e:
                raise AssertionError(f"{rspamd.learned()} of {count}: {server.log()[-6000:]}\n{rspamd.log.read_text()[-6000:]}") from e
        with imap.Client(server, "alice") as client:
            client.append("INBOX", message(1, SPAM))
            client.append("INBOX", message(2, HAM))
            client.ok("SELECT INBOX")
            client.ok("UID MOVE 1:2 Junk")
            wait_for(2)
            assert "learned message as spam: 1@elsewhere.example" in rspamd.log.read_text()
            client.ok("SELECT Junk")
            [letter] = client.search("SUBJECT 2")
            client.ok(f"MOVE {letter} INBOX")
            wait_for(3)
            assert "learned message as ham: 2@elsewhere.example" in rspamd.log.read_text()
