"""Between an IMAP client and its server: counts what is asked, and can end the connection."""

import contextlib
import socket
import threading

from support.loopback_listener import LoopbackListener


class Proxy(LoopbackListener):
    """Between the importer and a server: what is asked, and the end of the connection after so many octets of answers."""

    def __init__(self, port, cut=None):
        self.to, self.cut, self.asked = port, cut, b""
        super().__init__()

    def pump(self, source, target, is_answer):
        left = self.cut
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_answer and left is not None:
                    data, left = data[:left], left - len(data[:left])
                if not is_answer:
                    self.asked += data
                target.sendall(data)
                if is_answer and left == 0:
                    break
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def serve(self, near):
        far = socket.create_connection(("127.0.0.1", self.to))
        threading.Thread(target=self.pump, args=(near, far, False), daemon=True).start()
        threading.Thread(target=self.pump, args=(far, near, True), daemon=True).start()

    def bodies(self):
        return self.asked.count(b"BODY.PEEK[]")
