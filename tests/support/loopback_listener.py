"""A server for tests that takes connections at a port of its own, as sockets: what becomes of each is in serve(sock)."""

import contextlib
import socket
import threading


class LoopbackListener:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept_all, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept_all(self):
        with contextlib.suppress(OSError):
            while True:
                self.serve(self.listener.accept()[0])

    def serve(self, sock):
        raise NotImplementedError
