"""SCRAM as a client speaks it (RFC 5802, RFC 7677), in a few lines of its own."""

import base64
import hashlib
import hmac
import os


def b64(octets):
    return base64.b64encode(octets).decode()


class Client:
    """`binding`: the data of tls-server-end-point for -PLUS (RFC 5929 §4). `hash`: sha256 or sha1."""

    def __init__(self, user, password, binding=None, hash="sha256"):
        self.hash = hash
        self.password = password.encode()
        self.header = b"p=tls-server-end-point,," if binding else b"n,,"
        self.binding = self.header + (binding or b"")
        self.nonce = b64(os.urandom(18))
        self.first = f"n={user},r={self.nonce}"

    def initial(self):
        return b64(self.header + self.first.encode())

    def proof(self, challenge):
        server_first = base64.b64decode(challenge).decode()
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        assert fields["r"].startswith(self.nonce) and len(fields["r"]) > len(self.nonce)
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, base64.b64decode(fields["s"]), int(fields["i"]))
        final = f"c={b64(self.binding)},r={fields['r']}"
        whole = f"{self.first},{server_first},{final}".encode()
        key = hmac.digest(salted, b"Client Key", self.hash)
        signature = hmac.digest(hashlib.new(self.hash, key).digest(), whole, self.hash)
        self.server = hmac.digest(hmac.digest(salted, b"Server Key", self.hash), whole, self.hash)
        return b64(f"{final},p={b64(bytes(a ^ b for a, b in zip(key, signature)))}".encode())

    def verify(self, challenge):
        """The server has proven that it knows the password, too."""
        assert base64.b64decode(challenge).decode() == f"v={b64(self.server)}"
