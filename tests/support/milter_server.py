"""A filter that speaks the milter protocol, for tests: says what a test says, and hangs, dies or lies where it is told to.

    with MilterServer() as milter:
        milter.at["E"] = [milter.add_header("X-Seen", "yes"), b"c"]
        Instance(conf=f"milters 127.0.0.1:{milter.port}\n")

at: by the letter of a command (C H M R T L N B E) the packets that answer it, b"c" when it is not there; the words "hang", "die" and
"raw:..." (octets as they are) misbehave. What came is in `seen`, a list of conversations, each a list of (letter, data).
"""

import struct
import time

from filter_server import FilterServer


class MilterServer(FilterServer):
    def __init__(self, protocol=0):
        self.at = {}
        self.protocol = protocol
        super().__init__()

    @staticmethod
    def add_header(name, value):
        return b"h" + name.encode() + b"\0" + value.encode() + b"\0"

    @staticmethod
    def insert_header(name, value):
        return b"i\0\0\0\0" + name.encode() + b"\0" + value.encode() + b"\0"

    @staticmethod
    def reply(text):
        return b"y" + text.encode() + b"\0"

    def serve(self, rfile, wfile):
        talk = []
        self.seen.append(talk)
        while True:
            head = rfile.read(4)
            if len(head) < 4:
                return
            packet = rfile.read(struct.unpack("!I", head)[0])
            letter, data = packet[:1].decode(), packet[1:]
            talk.append((letter, data))
            if letter == "Q":
                return
            if letter == "O" and "O" not in self.at:
                _, actions, offered = struct.unpack("!III", data[:12])
                self.send(wfile, b"O" + struct.pack("!III", 6, actions, self.protocol & offered))
            elif letter != "D" and not self.is_silent(letter):
                for answer in self.at.get(letter, [b"c"]):
                    if answer == "hang":
                        self.stopping.wait(30)
                        return
                    if answer == "die":
                        return
                    if isinstance(answer, str):
                        wfile.write(answer[4:].encode("latin-1"))
                        wfile.flush()
                        time.sleep(0.2)
                        return
                    self.send(wfile, answer)

    def is_silent(self, letter):
        bits = {"C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "L": 0x80, "N": 0x40000, "B": 0x80000}
        return bool(self.protocol & bits.get(letter, 0))

    @staticmethod
    def send(wfile, packet):
        wfile.write(struct.pack("!I", len(packet)) + packet)
        wfile.flush()
