"""A saslauthd that says what the password tells it to: a unix socket that speaks its protocol, well or badly.

    with Saslauthd({"right": OK, "hangs": None, "cut": b"\\0\\2O"}) as saslauthd:
        Instance(conf=saslauthd.conf())
        saslauthd.asked             # [(user, password, service, realm), ...]
"""

import pathlib
import shutil
import socket
import socketserver
import struct
import tempfile
import threading


def text(words):
    return struct.pack("!H", len(words)) + words


OK, NO = text(b"OK"), text(b"NO")


class Saslauthd:
    def __init__(self, answers):
        """answers: password -> the octets of the reply; a list: sent one by one; None: never. Other passwords are wrong."""
        self.answers, self.asked = answers, []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postroom-saslauthd-"))
        self.socket = self.folder / "mux"
        self.ending = threading.Event()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.ending.set()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        this = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                try:
                    this.answer(self.rfile, self.request)
                except OSError:
                    pass                # the server hung up: that is its right
        self.server = socketserver.ThreadingUnixStreamServer(str(self.socket), Handler)
        self.server.daemon_threads, self.server.block_on_close = True, False
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        self.socket.unlink(missing_ok=True)

    def answer(self, request, line):
        words = []
        for _ in range(4):
            (length,) = struct.unpack("!H", request.read(2))
            words.append(request.read(length).decode())
        self.asked.append(tuple(words))
        reply = self.answers.get(words[1], NO)
        if reply is None:
            self.ending.wait()
            return
        for part in reply if isinstance(reply, list) else [reply]:
            line.sendall(part)

    def conf(self, domains="example.test"):
        return f"saslauthd-domains {domains}\nsaslauthd-socket {self.socket}\n"
