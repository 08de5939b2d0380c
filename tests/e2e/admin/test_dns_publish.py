"""postroom dns --publish: updates (RFC 2136) that Debian's Knot takes, and what they leave alone."""

import contextlib
import json
import pathlib
import socket
import sys
import threading
import time

import pytest

import postroom

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "support"))
import knot  # noqa: E402

DOMAIN = "corp.example"


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(domain=DOMAIN, web=True, conf="bind 127.0.0.1\ndns-timeout 1s\n") as instance:
        yield instance



@pytest.fixture(autouse=True)
def forget(server):
    (server.root / "dns-published").unlink(missing_ok=True)


def publish(server, name_server, *args):
    done = server.run("dns", DOMAIN, "--publish", "--json", "--key", name_server.key, "--server", name_server.address, *args)
    assert done.returncode in (0, 1), done.stderr
    rows = postroom.json.loads(done.stdout) if done.stdout else []
    return done.returncode, {(row["type"], row["name"]): row["done"] for row in rows}


def wrong(server, name_server):
    done = server.run("dns", DOMAIN, "--check", "--json", "--server", name_server.address)
    return [f["subject"] for f in postroom.json.loads(done.stdout)["findings"] if f["state"] not in ("good", "advice")]


def test_an_empty_zone_gets_every_record_once(server):
    with knot.Knot(DOMAIN) as name_server:
        assert wrong(server, name_server)
        code, done = publish(server, name_server)
        assert code == 0 and set(done.values()) == {"added"}, done
        assert wrong(server, name_server) == []
        code, done = publish(server, name_server)
        assert code == 0 and set(done.values()) == {"was there"}, done


def test_what_others_have_put_there_is_left_alone(server):
    theirs = ["@ TXT \"site-verification=1\"", "@ TXT \"v=spf1 mx include:_spf.example.net ~all\"", "@ MX 5 mx.example.net.",
              "_dmarc TXT \"v=DMARC1; p=reject\""]
    with knot.Knot(DOMAIN, theirs) as name_server:
        code, done = publish(server, name_server)
        assert code == 1
        assert done["TXT", DOMAIN] == done["TXT", f"_dmarc.{DOMAIN}"] == "left alone: another one is there, and fits"
        assert done["MX", DOMAIN].startswith("left alone") and "wrong" in done["MX", DOMAIN]
        assert done["TXT", f"rsa1._domainkey.{DOMAIN}"] == "added"
        assert wrong(server, name_server) == [f"MX {DOMAIN}"]


def test_what_was_published_follows_what_it_says(server):
    with knot.Knot(DOMAIN, ["_25._tcp.mail TLSA 2 1 1 " + "00" * 32]) as name_server:
        publish(server, name_server)
        conf = server.root / "postroom.conf"
        before = conf.read_text()
        conf.write_text(before + "smarthosts *=smtp.example.net:25\n")
        try:
            code, done = publish(server, name_server)
        finally:
            conf.write_text(before)
        assert code == 0
        assert done["TXT", DOMAIN] == "replaced"
        assert done["TLSA", f"_25._tcp.mail.{DOMAIN}"].startswith("left alone")
        assert [d for d in done.values() if d == "replaced"] == ["replaced"]
        assert wrong(server, name_server) == []


def test_a_wrong_key_and_a_silent_server_change_nothing_and_are_named(server, tmp_path):
    with knot.Knot(DOMAIN) as name_server:
        key = tmp_path / "other.key"
        for text, word in ((f"hmac-sha256:up.{DOMAIN}:AAAA", "BADSIG"), (f"hmac-sha256:other.{DOMAIN}:AAAA", "BADKEY")):
            key.write_text(text)
            done = server.run("dns", DOMAIN, "--publish", "--key", key, "--server", name_server.address)
            assert done.returncode == 1 and word in done.stderr, done.stderr
        assert not (server.root / "dns-published").exists()
        done = server.run("dns", DOMAIN, "--publish", "--server", name_server.address)
        assert done.returncode == 3 and "keymgr" in done.stderr
        address = name_server.address
    done = server.run("dns", DOMAIN, "--publish", "--key", key, "--server", address)
    assert done.returncode == 4 and "answers" in done.stderr, done.stderr


class Between:
    """A name server's place: passes everything on, and calls before() ahead of the first update."""

    def __init__(self, port, before):
        self.to, self.before, self.seen = port, before, 0
        self.port = postroom.free_port()
        self.address = f"127.0.0.1@{self.port}"
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        for run in (self.run_udp, self.run_tcp):
            threading.Thread(target=run, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def look(self, message):
        if message[2] >> 3 & 15 == 5:       # UPDATE (RFC 2136 section 1.3)
            self.seen += 1
            if self.seen == 1:
                self.before()

    def run_udp(self):
        with contextlib.suppress(OSError):
            while True:
                message, client = self.udp.recvfrom(65535)
                if not message:             # the socket was shut down
                    return
                self.look(message)
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
                    far.settimeout(postroom.DEADLINE_S)
                    far.sendto(message, ("127.0.0.1", self.to))
                    self.udp.sendto(far.recv(65535), client)

    @staticmethod
    def read(sock):
        stream = sock.makefile("rb")
        head = stream.read(2)
        return head + stream.read(int.from_bytes(head, "big"))

    def run_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                near = self.tcp.accept()[0]
                with near, socket.create_connection(("127.0.0.1", self.to), timeout=postroom.DEADLINE_S) as far:
                    message = self.read(near)
                    self.look(message[2:])
                    far.sendall(message)
                    near.sendall(self.read(far))


def test_of_two_administrators_at_once_one_is_told_to_look_again(server):
    with knot.Knot(DOMAIN) as name_server:
        other = []
        with Between(name_server.port, lambda: other.append(publish(server, name_server))) as between:
            words = ["dns", DOMAIN, "--publish", "--key", name_server.key, "--server", between.address]
            done = server.run(*words)
            assert other and other[0][0] == 0 and set(other[0][1].values()) == {"added"}, other
            assert done.returncode == 4, done
            assert f"somebody changed the zone {DOMAIN} meanwhile" in done.stderr and "try: the same command again" in done.stderr
            done = server.run(*words)
            assert done.returncode == 0 and "was there" in done.stdout and "added" not in done.stdout, done
        assert wrong(server, name_server) == []


def test_nothing_is_added_beside_an_alias_and_the_next_step_is_told(server):
    """RFC 2136 §3.4.2.2: the name server would take such an update, and leave those records out without a word."""
    theirs = ["_dmarc CNAME _dmarc.example.net.", "autoconfig A 192.0.2.1", "autodiscover A 127.0.0.1"]
    with knot.Knot(DOMAIN, theirs) as name_server:
        words = ["dns", DOMAIN, "--publish", "--key", name_server.key, "--server", name_server.address]
        for _ in range(2):
            done = server.run(*words)
            assert done.returncode == 1, done
            rows = {tuple(line.split()[:2]): line for line in done.stdout.splitlines()}
            assert "not added: the name is an alias (CNAME)" in rows[f"_dmarc.{DOMAIN}", "TXT"]
            assert "not added: other records are at this name" in rows[f"autoconfig.{DOMAIN}", "CNAME"]
            assert "remove the CNAME and publish again" in done.stderr and "remove what is at these names" in done.stderr
        assert "was there" in rows[DOMAIN, "MX"]


def test_what_the_name_server_leaves_out_is_not_called_added(server):
    """Somebody makes a name an alias while the update is on its way: nothing that was looked at before can tell."""
    with knot.Knot(DOMAIN) as name_server:
        with Between(name_server.port, lambda: name_server.set(DOMAIN, "_dmarc", "CNAME", "_dmarc.example.net.")) as between:
            code, done = publish(server, name_server, "--server", between.address)
        assert code == 1 and done["TXT", f"_dmarc.{DOMAIN}"] == "sent, but the name server does not show it", done
        assert [word for word in done.values() if word != "added"] == ["sent, but the name server does not show it"]
        code, done = publish(server, name_server)
        assert code == 1 and "alias" in done["TXT", f"_dmarc.{DOMAIN}"], done


def test_the_policy_is_tested_until_two_weeks_of_reports_tell_of_no_failure(server):
    def sts(name_server):
        done = server.run("dns", DOMAIN, "--check", "--json", "--server", name_server.address)
        return next((f["state"], f["mend"]) for f in json.loads(done.stdout)["findings"] if f["subject"] == f"TXT _mta-sts.{DOMAIN}")

    def report(days_ago, failed):
        at = int(time.time()) - days_ago * 86400
        folder = server.root / "queue" / "reports"
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / time.strftime("%Y-%m-%d", time.gmtime(at)), "a", encoding="utf-8") as day:
            day.write(json.dumps({"at": at, "kind": "tls", "domain": DOMAIN, "by": "far.example", "id": str(days_ago), "begin": at - 86400,
                                  "end": at, "passed": 7, "failed": failed, "failures": []}) + "\n")
    conf = server.root / "postroom.conf"
    before = conf.read_text()
    with knot.Knot(DOMAIN) as name_server:
        publish(server, name_server)
        report(2, 0)
        assert sts(name_server) == ("good", None)               # not for two weeks yet
        report(20, 3)                                           # that it failed was before
        assert sts(name_server) == ("advice", "postroom mta-sts enforce")
        assert "Next: postroom mta-sts enforce" in server.postroom("mta-sts")
        assert server.json("mta-sts") == [{"domain": DOMAIN, "policy": "testing", "reports": 1, "passed": 7, "failed": 0}]
        assert server.run("mta-sts", "enforced").returncode == 2
        assert "Next: postroom dns" in server.postroom("mta-sts", "enforce")
        assert [line for line in conf.read_text().splitlines() if "mta-sts" in line] == ["mta-sts-policy enforce"]
        assert sts(name_server)[0] == "warning"                 # the id is another one
        assert publish(server, name_server)[1]["TXT", f"_mta-sts.{DOMAIN}"] == "replaced"
        assert sts(name_server) == ("good", None)
        server.postroom("mta-sts", "testing")
        assert [line for line in conf.read_text().splitlines() if "mta-sts" in line] == ["mta-sts-policy testing"]
        conf.write_text(before + "mta-sts-policy enforce   # until Easter\n")
        conf.chmod(0o640)
        server.postroom("mta-sts", "testing")
        assert conf.read_text() == before + "mta-sts-policy testing # until Easter\n" and conf.stat().st_mode & 0o777 == 0o640
        report(1, 1)
        publish(server, name_server)
        assert sts(name_server) == ("good", None)
    conf.write_text(before)
