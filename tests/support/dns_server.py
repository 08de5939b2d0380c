"""A name server for tests: answers what a test says, and lies, stalls or breaks where it is told to.

    with DnsServer() as dns:
        dns.add("sender.example", "TXT", "v=spf1 ip4:192.0.2.1 -all")
        dns.add("sender.example", "MX", "10 mail.sender.example")
        dns.misbehave("broken.example", "servfail")
        Instance(conf=dns.conf())

It listens on a UDP and a TCP port of loopback and answers from a thread. Names that nobody added do not exist. Nothing is
signed, so `conf()` switches proofs off; zones with signatures are nsd's to serve.

Ways to misbehave, for a name and everything below it:
    servfail, refused   that answer
    silent              no answer at all
    truncate            TC over UDP, the answer over TCP
    truncate-both       TC over both
    wrong-id            an answer to another question
    garbage             octets that are no message
    loop                a CNAME that leads back to the name
    cut                 a message that ends in the middle
"""

import socket
import socketserver
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "TLSA": 52,
         "CAA": 257}
NAMES = {number: name for name, number in TYPES.items()}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


def key(name):
    return name.rstrip(".").lower()


def wire_name(name):
    labels = [label.encode("latin-1") for label in key(name).split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def rdata(kind, value):
    """The octets of a record; bytes are taken as they are."""
    if isinstance(value, bytes):
        return value
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "MX":
        preference, host = value.split()
        return struct.pack("!H", int(preference)) + wire_name(host)
    if kind == "TXT":
        parts = [value] if isinstance(value, str) else value
        octets = [part.encode("utf-8") for part in parts]
        chunks = [part[i:i + 255] for part in octets for i in range(0, max(len(part), 1), 255)]
        return b"".join(bytes([len(chunk)]) + chunk for chunk in chunks)
    if kind == "SRV":
        priority, weight, port, host = value.split()
        return struct.pack("!HHH", int(priority), int(weight), int(port)) + wire_name(host)
    if kind == "TLSA":
        usage, selector, matching, data = value.split()
        return bytes([int(usage), int(selector), int(matching)]) + bytes.fromhex(data)
    if kind == "CAA":
        flags, tag, text = value.split(None, 2)
        return bytes([int(flags), len(tag)]) + tag.encode() + text.strip('"').encode()
    return wire_name(value)


def reverse_name(address):
    """Where the PTR record of an address lies."""
    if ":" in address:
        digits = socket.inet_pton(socket.AF_INET6, address).hex()
        return ".".join(reversed(digits)) + ".ip6.arpa"
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


class DnsServer:
    def __init__(self, ttl=1):
        self.ttl = ttl
        self.records = {}
        self.modes = {}
        self.questions = []
        self.lock = threading.Lock()
        self.udp, self.tcp = self.open_ports()
        self.port = self.udp.server_address[1]
        self.threads = [threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
                        for server in (self.udp, self.tcp)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for server in (self.udp, self.tcp):
            server.shutdown()
            server.server_close()

    def conf(self):
        """Lines of postroom.conf that make an instance ask here."""
        return f"dns-servers 127.0.0.1@{self.port}\ndns-trust-anchors none\n"

    # -- what it says

    def add(self, name, kind, *values, ttl=None):
        with self.lock:
            self.records.setdefault(key(name), {}).setdefault(kind, []).extend(
                (self.ttl if ttl is None else ttl, rdata(kind, value)) for value in values)
        return self

    def add_reverse(self, address, host):
        return self.add(reverse_name(address), "PTR", host)

    def remove(self, name, kind=None):
        with self.lock:
            if kind:
                self.records.get(key(name), {}).pop(kind, None)
            else:
                self.records.pop(key(name), None)

    def misbehave(self, name, mode):
        with self.lock:
            self.modes[key(name)] = mode

    def behave(self, name):
        with self.lock:
            self.modes.pop(key(name), None)

    def asked(self, name, kind=None):
        """How often somebody asked for it."""
        with self.lock:
            return sum(1 for q in self.questions if q[0] == key(name) and kind in (None, q[1]))

    # -- answering

    def open_ports(self):
        """The same port for UDP and TCP."""
        owner = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self):
                reply = owner.reply(self.request[0], False)
                if reply is not None:
                    self.request[1].sendto(reply, self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            timeout = 20

            def handle(self):
                while True:
                    head = self.rfile.read(2)
                    if len(head) < 2:
                        return
                    query = self.rfile.read(struct.unpack("!H", head)[0])
                    reply = owner.reply(query, True)
                    if reply is None:
                        return
                    self.wfile.write(struct.pack("!H", len(reply)) + reply)

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request, client_address):
                pass            # a resolver that hangs up

        for _ in range(50):
            udp = socketserver.UDPServer(("127.0.0.1", 0), Udp)
            try:
                return udp, Threads(udp.server_address, Tcp)
            except OSError:
                udp.server_close()
        raise RuntimeError("no port that is free for UDP and TCP")

    def mode_of(self, name):
        labels = name.split(".")
        for i in range(len(labels)):
            mode = self.modes.get(".".join(labels[i:]))
            if mode:
                return mode
        return None

    def find(self, name, kind):
        """(rcode, [(owner, kind, ttl, rdata)])"""
        found = self.records.get(name)
        if found is None:
            below = "." + name
            exists = any(other.endswith(below) for other in self.records)
            return (NOERROR if exists else NXDOMAIN), []
        if kind in found:
            return NOERROR, [(name, kind, ttl, data) for ttl, data in found[kind]]
        if "CNAME" in found:
            return NOERROR, [(name, "CNAME", ttl, data) for ttl, data in found["CNAME"]]
        return NOERROR, []

    def reply(self, query, is_tcp):
        try:
            name, kind, end = self.question(query)
        except (IndexError, struct.error, UnicodeDecodeError):
            return None
        with self.lock:
            self.questions.append((name, kind))
            mode = self.mode_of(name)
            rcode, answers = self.find(name, kind)
        ident, flags, cut = query[:2], 0x8580, None
        if mode == "silent":
            return None
        if mode == "garbage":
            return ident + b"\xff" * 40
        if mode in ("servfail", "refused"):
            rcode, answers = (SERVFAIL if mode == "servfail" else REFUSED), []
        elif mode == "truncate-both" or (mode == "truncate" and not is_tcp):
            flags, answers = flags | 0x0200, []
        elif mode == "wrong-id":
            ident = bytes([ident[0] ^ 0x55, ident[1]])
        elif mode == "loop":
            rcode, answers = NOERROR, [(name, "CNAME", self.ttl, wire_name(name))]
        elif mode == "cut":
            cut = 7
        body = b"".join(wire_name(owner) + struct.pack("!HHIH", TYPES[what], 1, ttl, len(data)) + data
                        for owner, what, ttl, data in answers)
        authority = b""
        if not answers and rcode in (NOERROR, NXDOMAIN) and not flags & 0x0200:
            apex = name.split(".")[-1]
            soa = wire_name("ns." + apex) + wire_name("hostmaster." + apex) + struct.pack("!IIIII", 1, 60, 60, 60, self.ttl)
            authority = wire_name(apex) + struct.pack("!HHIH", TYPES["SOA"], 1, self.ttl, len(soa)) + soa
        reply = (ident + struct.pack("!HHHHH", flags | rcode, 1, len(answers), 1 if authority else 0, 0)
                 + query[12:end] + body + authority)
        if not is_tcp and len(reply) > 1232:
            reply = ident + struct.pack("!HHHHH", flags | 0x0200, 1, 0, 0, 0) + query[12:end]
        return reply[:len(reply) - cut] if cut else reply

    @staticmethod
    def question(query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        kind, = struct.unpack("!H", query[at + 1:at + 3])
        return key(".".join(labels)), NAMES.get(kind, str(kind)), at + 5
