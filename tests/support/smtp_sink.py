"""Other people's mail servers for tests: they take mail, or do what a test tells them to.

    with Sink("127.0.0.3", port) as sink:
        sink.on("RCPT", "550 5.1.1 no such user")       # every time, or a function of the line
        sink.wait(1)
        assert sink.messages[0].recipients == [...]

A word of `on` is a verb, "greeting", "end" (of the message) or "tls". Its answer is a text, None for silence, "drop" to close
the connection, or a function of the line that gives one of these. Several sinks share a port on addresses of their own.
"""

import contextlib
import socket
import ssl
import threading
import time


class Message:
    def __init__(self, session):
        self.sender = self.sender_line = ""
        self.recipients, self.recipient_lines = [], []
        self.data = b""
        self.session = session
        self.is_tls = False
        self.is_bdat = False


class Sink:
    EXTENSIONS = ("PIPELINING", "SIZE 10000000", "8BITMIME", "SMTPUTF8", "CHUNKING")

    def __init__(self, address, port, extensions=EXTENSIONS, cert=None, name="sink.example", keep=True):
        self.address, self.port, self.name = address, port, name
        self.extensions = list(extensions)
        self.cert = cert                # (certificate, key): offers STARTTLS
        self.answers = {}
        self.messages = []
        self.connections = 0
        self.open = self.most_open = 0
        self.log = []
        self.keep = keep
        self.lock = threading.Lock()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.port = self.socket.getsockname()[1]
        self.socket.listen(200)
        self.is_over = False
        self.live = set()
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.is_over = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for peer in list(self.live):
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)

    def on(self, verb, answer):
        self.answers[verb] = answer

    def wait(self, count, seconds=20):
        deadline = time.monotonic() + seconds
        while len(self.messages) < count:
            assert time.monotonic() < deadline, f"{len(self.messages)} of {count} messages came: {self.log[-40:]}"
            time.sleep(0.02)
        return self.messages

    def serve(self):
        while not self.is_over:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.session, args=(peer,), daemon=True).start()

    def session(self, peer):
        with self.lock:
            self.connections += 1
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            number = self.connections
        self.live.add(peer)
        try:
            Session(self, peer, number).run()
        except (OSError, ssl.SSLError, EOFError):
            pass
        finally:
            with self.lock:
                self.open -= 1
            self.live.discard(peer)
            with contextlib.suppress(OSError):
                peer.close()


class Session:
    def __init__(self, sink, peer, number):
        self.sink, self.peer, self.number = sink, peer, number
        self.buffer = b""
        self.message = None
        self.is_tls = False
        self.is_lmtp = False            # an answer for each recipient

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        self.sink.log.append((self.number, "C", line.decode("utf-8", "replace")))
        return line.decode("utf-8", "replace")

    def fill(self):
        data = self.peer.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def say(self, text):
        self.sink.log.append((self.number, "S", text[:200]))
        self.peer.sendall(text.encode() if isinstance(text, str) else text)

    def answer(self, word, line, usual):
        """True when it was the usual, good answer."""
        answer = self.sink.answers.get(word, usual)
        if callable(answer):
            answer = answer(line)
            if answer is True:
                answer = usual
        if answer is None:
            time.sleep(3600)
        if answer == "drop":
            raise EOFError
        self.say(answer if answer.endswith("\r\n") else answer + "\r\n")
        return answer[0] in "23"

    def hello(self):
        words = list(self.sink.extensions)
        if self.sink.cert and not self.is_tls:
            words.append("STARTTLS")
        lines = [self.sink.name] + words
        return "".join(f"250{'-' if i + 1 < len(lines) else ' '}{text}\r\n" for i, text in enumerate(lines))

    def start_tls(self):
        if self.sink.answers.get("tls", True) is None:
            time.sleep(3600)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.sink.cert)
        self.peer = context.wrap_socket(self.peer, server_side=True)
        self.is_tls = True

    def finish(self):
        if self.is_lmtp:
            self.message.recipients = [to for to in self.message.recipients if self.answer("end", to, "250 2.0.0 taken")]
        if self.message.recipients if self.is_lmtp else self.answer("end", "", "250 2.0.0 taken"):
            if not self.sink.keep:
                self.message.data = b""
            with self.sink.lock:
                self.sink.messages.append(self.message)
        self.message = None

    def run(self):
        if not self.answer("greeting", "", f"220 {self.sink.name} ESMTP"):
            return
        while True:
            line = self.line()
            verb = line.split(" ")[0].upper()
            if verb in ("EHLO", "LHLO"):
                self.is_lmtp = verb == "LHLO"
                self.answer(verb, line, self.hello())
            elif verb == "STARTTLS":
                if self.answer(verb, line, "220 go ahead") and self.sink.cert:
                    self.start_tls()
                elif not self.sink.cert:
                    time.sleep(0.5)
                    self.say("this is no handshake\r\n")
                    return
            elif verb == "MAIL":
                if self.answer(verb, line, "250 2.1.0 ok"):
                    self.message = Message(self.number)
                    self.message.is_tls = self.is_tls
                    self.message.sender_line = line
                    self.message.sender = line[line.index("<") + 1:line.index(">")]
            elif verb == "RCPT":
                if self.answer(verb, line, "250 2.1.5 ok") and self.message:
                    self.message.recipients.append(line[line.index("<") + 1:line.index(">")])
                    self.message.recipient_lines.append(line)
            elif verb == "DATA":
                if self.message is None or not self.message.recipients:
                    self.say("503 5.5.1 nobody to send to\r\n")
                elif self.answer(verb, line, "354 go ahead"):
                    self.read_data()
            elif verb == "BDAT":
                words = line.split()
                while len(self.buffer) < int(words[1]):
                    self.fill()
                chunk, self.buffer = self.buffer[:int(words[1])], self.buffer[int(words[1]):]
                self.message.is_bdat = True
                self.message.data += chunk
                if words[-1].upper() == "LAST":
                    self.finish()
                elif not self.answer("BDAT", line, "250 2.0.0 more"):
                    return
            elif verb == "RSET":
                self.message = None
                self.answer(verb, line, "250 2.0.0 ok")
            elif verb == "QUIT":
                self.answer(verb, line, "221 2.0.0 bye")
                return
            else:
                self.answer(verb, line, "250 2.0.0 ok")

    def read_data(self):
        while not self.buffer.endswith(b"\r\n.\r\n") and self.buffer != b".\r\n" and b"\r\n.\r\n" not in self.buffer:
            self.fill()
            if self.sink.answers.get("octets"):
                self.answer("octets", "", "")
        if self.buffer.startswith(b".\r\n"):
            raw, self.buffer = b"", self.buffer[3:]
        else:
            raw, self.buffer = self.buffer.split(b"\r\n.\r\n", 1)
            raw += b"\r\n"
        assert b"\n" not in raw.replace(b"\r\n", b"") and b"\r" not in raw.replace(b"\r\n", b""), "a bare CR or LF"
        self.message.data = b"".join(part[1:] if part.startswith(b".") else part
                                     for part in raw.splitlines(keepends=True))
        self.finish()
