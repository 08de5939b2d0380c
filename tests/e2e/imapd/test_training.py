"""`spam-training`: what people bring into Junk, or out of it, is told to rspamd's controller. Here something plays the controller;
tests/interop/test_rspamd.py has the real one."""

import http.server
import threading

import pytest

import imap
import postroom


class Controller:
    """Takes lessons; `answers` are the statuses of the next ones, then 200."""

    def __init__(self, port=0):
        self.lessons, self.answers = [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.answers.pop(0) if outer.answers else 200
                outer.lessons.append((self.path, self.headers["Rcpt"], body, status))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b'{"some":"answer"}')

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def learned(self):
        return [(path, rcpt, subject(body)) for path, rcpt, body, status in self.lessons if status == 200]


def subject(body):
    return body.split(b"Subject: ")[1].split(b"\r\n")[0].decode()


@pytest.fixture
def controller():
    c = Controller()
    yield c
    c.close()


@pytest.fixture
def server(controller):
    with imap.Imapd(accounts=("alice",), conf=f"failure-delay 1ms\nspam-training 127.0.0.1:{controller.port}\n") as instance:
        instance.start()
        yield instance


def wait_for(server, what, test):
    try:
        postroom.wait_for(what, test)
    except Exception as e:
        raise AssertionError(f"{what}; the log: {server.log()[-3000:]}") from e


def folder(server):
    return server.root / "mail" / ".lessons"


def waiting(server):
    """The lessons that lie there while nobody takes them."""
    return sorted((path.name.split("-")[0], subject(path.read_bytes())) for path in folder(server).iterdir())


def store(client, mailbox, *subjects):
    for text in subjects:
        client.append(mailbox, f"Subject: {text}\r\n\r\nbody\r\n".encode())


def test_moves_into_junk_and_out_of_it_are_lessons(server, controller):
    with imap.Client(server, "alice") as client:
        store(client, "INBOX", "offer", "copied offer", "letter")
        store(client, "Junk", "wanted", "rubbish", "copied friend")
        client.ok("SELECT INBOX")
        client.ok("UID MOVE 1 Junk")
        client.ok("UID COPY 2 Junk")
        client.ok("UID MOVE 3 Archive")
        client.ok("SELECT Junk")
        client.ok("UID MOVE 1 INBOX")
        client.ok("UID MOVE 2 Trash")
        client.ok("UID COPY 3 Archive")
        client.ok("UID COPY 3 Junk")
    wait_for(server, "four lessons arrive", lambda: len(controller.lessons) >= 4)
    address = server.address("alice")
    assert sorted(controller.learned()) == [("/learnham", address, "copied friend"), ("/learnham", address, "wanted"),
                                            ("/learnspam", address, "copied offer"), ("/learnspam", address, "offer")]
    assert {body for _, _, body, _ in controller.lessons if b"wanted" in body} == {b"Subject: wanted\r\n\r\nbody\r\n"}
    wait_for(server, "the lessons are emptied", lambda: not sum(path.stat().st_size for path in folder(server).iterdir()))


def test_keywords_that_say_junk_or_not_are_lessons(server, controller):
    controller.close()
    with imap.Client(server, "alice") as client:
        store(client, "INBOX", "junk", "wanted", "auto", "changed mind", "changed back", "both", "others'", "seen", "already", "small")
        store(client, "Junk", "no news", "not junk")
        client.append("INBOX", b"Subject: had it\r\n\r\nbody\r\n", "($junk)")
        client.ok("SELECT INBOX")
        client.ok("STORE 1 +FLAGS.SILENT ($Junk)")
        client.ok("STORE 1 +FLAGS ($Junk \\Seen)")
        client.ok("UID STORE 2 FLAGS ($NotJunk)")
        client.ok("STORE 3 +FLAGS (Junk)")              # Thunderbird's filter
        client.ok("STORE 4,5 +FLAGS (NonJunk)")
        client.ok("STORE 4 +FLAGS (Junk)")              # Thunderbird's user
        client.ok("STORE 4 -FLAGS (NonJunk)")
        client.ok("STORE 5 +FLAGS ($Junk)")
        client.ok("STORE 5 -FLAGS ($Junk)")
        client.ok("STORE 5 +FLAGS ($NotJunk)")
        client.ok("STORE 6 +FLAGS ($Junk $NotJunk)")
        assert client.ok("STORE 7 (UNCHANGEDSINCE 1) +FLAGS ($Junk)").code() == "MODIFIED 7"
        client.ok("STORE 8 +FLAGS (\\Seen $Forwarded)")
        client.ok("STORE 10 +FLAGS ($jUNK)")
        client.ok("STORE 11 +FLAGS ($Junk)")
        client.ok("SELECT Junk")
        client.ok("STORE 1 +FLAGS ($Junk)")
        client.ok("STORE 2 +FLAGS ($NotJunk)")
        client.ok("EXAMINE INBOX")
        client.no("STORE 9 +FLAGS ($Junk)")
    assert waiting(server) == [("ham", "changed back"), ("ham", "not junk"), ("ham", "wanted"),
                               ("spam", "changed mind"), ("spam", "junk"), ("spam", "small")], server.log()[-3000:]


def test_what_is_marked_and_moved_teaches_once(server, controller):
    def taught():
        return controller.learned() if not sum(path.stat().st_size for path in folder(server).iterdir()) else None

    with imap.Client(server, "alice") as client, imap.Client(server, "alice") as other:
        store(client, "INBOX", "offer")
        expected = []
        client.ok("SELECT INBOX")
        # Marked first, or moved first; after the filter took the lesson, and before.
        for mailbox, keyword, path, name in (("INBOX", "$Junk", "Junk", "spam"), ("Junk", "$NotJunk", "INBOX", "ham")):
            other.ok(f"SELECT {mailbox}")
            other.ok(f"STORE 1 +FLAGS ({keyword})")
            expected.append((f"/learn{name}", server.address("alice"), "offer"))
            wait_for(server, "one lesson is learned", lambda: taught() == expected)
            other.ok(f"MOVE 1 {path}")
            other.ok(f"SELECT {path}")
            other.ok(f"STORE 1 FLAGS ({keyword})")
            wait_for(server, "nothing waits", lambda: taught() is not None)
            assert taught() == expected
        # While no lesson is taken: the last word counts.
        controller.close()
        other.ok("MOVE 1 Junk")
        client.ok("SELECT Junk")
        client.ok("STORE 1 FLAGS ()")
        client.ok("STORE 1 FLAGS ($Junk)")
        assert waiting(server) == [("spam", "offer")]
        client.ok("MOVE 1 INBOX")
        client.ok("SELECT INBOX")
        client.ok("STORE 1 FLAGS ($NotJunk)")
        assert waiting(server) == [("ham", "offer")]


def test_lessons_wait_for_a_filter_that_is_down_or_in_trouble(server, controller):
    controller.answers = [500, 403, 404]
    with imap.Client(server, "alice") as client:
        store(client, "INBOX", "one", "two", "three", "four")
        client.ok("SELECT INBOX")
        client.ok("UID MOVE 1:3 Junk")
        wait_for(server, "500 and 403 are tried again, 404 is an answer", lambda: len(controller.learned()) == 2)
        assert sorted(status for *_, status in controller.lessons) == [200, 200, 403, 404, 500]
        server.wait_log("event=training.refused")
        port = controller.port
        controller.close()
        client.ok("UID MOVE 4 Junk")
    wait_for(server, "the filter is missed", lambda: "event=training.waiting" in server.log().rsplit("training.refused", 1)[1])
    again = Controller(port)
    try:
        wait_for(server, "it is taught once it is back", lambda: [row[2] for row in again.learned()] == ["four"])
    finally:
        again.close()


def test_lessons_outlive_a_restart_and_many_are_taught(server, controller):
    port = controller.port
    controller.close()
    with imap.Client(server, "alice") as client:
        store(client, "INBOX", *(f"m{n}" for n in range(40)))
        client.ok("SELECT INBOX")
        client.ok("UID MOVE 1:* Junk")
    server.stop()
    again = Controller(port)
    try:
        server.start()
        wait_for(server, "all are taught", lambda: len(again.lessons) >= 40)
        assert {row[2] for row in again.learned()} == {f"m{n}" for n in range(40)} and len(again.lessons) == 40
    finally:
        again.close()


def test_lessons_that_wait_fill_no_disk(server, controller):
    controller.close()
    waiting = server.root / "mail" / ".lessons" / "spam-large"
    with imap.Client(server, "alice") as client:        # somebody answers, so the folder is there
        waiting.write_bytes(b"alice@example.test\n")
        with open(waiting, "r+b") as file:
            file.truncate(256 << 20)                    # no octets of the disk
        store(client, "INBOX", "offer")
        client.ok("SELECT INBOX")
        client.ok("UID MOVE 1 Junk")
    wait_for(server, "it is left out", lambda: "event=training.left-out" in server.log())
    assert [path.name for path in waiting.parent.iterdir()] == [waiting.name]


def test_without_it_nothing_is_kept():
    with imap.Imapd(accounts=("alice",), conf="failure-delay 1ms\n") as instance:
        instance.start()
        with imap.Client(instance, "alice") as client:
            store(client, "INBOX", "offer")
            client.ok("SELECT INBOX")
            client.ok("UID MOVE 1 Junk")
        assert not (instance.root / "mail" / ".lessons").exists()
