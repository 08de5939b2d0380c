"""rspamd as it answers by HTTP, for tests: says what a test says, and hangs, dies or lies where it is told to.

    with RspamdServer() as rspamd:
        rspamd.says = {"action": "add header", "score": 8.0}
        Instance(conf=f"milters rspamd:127.0.0.1:{rspamd.port}\\n")

says: a dict (JSON with status 200), octets as they are, or a word: "hang" (reads all, says nothing), "deaf" (reads only the header),
"die" (in the middle of the message), "die in the answer", "drip" (an octet of the answer at a time, without end), "endless". What came is
in `seen`: a list of (request line, [(field, value)], body)."""

import json

from filter_server import FilterServer


class RspamdServer(FilterServer):
    def __init__(self):
        self.says = {"action": "no action", "score": 0.0, "required_score": 15.0}
        super().__init__()

    def serve(self, rfile, wfile):
        request = rfile.readline().decode().rstrip("\r\n")
        fields = []
        while (line := rfile.readline().decode("latin-1").rstrip("\r\n")):
            name, _, value = line.partition(": ")
            fields.append((name, value))
        if self.says == "deaf":
            self.stopping.wait(30)
            return
        if self.says == "die":
            rfile.read(10)
            return
        body = rfile.read(int(dict(fields)["Content-Length"]))
        self.seen.append((request, fields, body))
        self.answer(wfile)

    def answer(self, wfile):
        if isinstance(self.says, bytes):
            wfile.write(self.says)
        elif isinstance(self.says, dict):
            text = json.dumps(self.says).encode()
            wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        elif self.says == "hang":
            self.stopping.wait(30)
        elif self.says == "die in the answer":
            wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"action": "no act')
        elif self.says == "drip":
            wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while not self.stopping.wait(0.1):
                wfile.write(b" ")
        elif self.says == "endless":
            wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while not self.stopping.is_set():
                wfile.write(b" " * 65536)
