"""An OpenID issuer for tests: keys, a configuration document and a key set on an HttpsServer, and tokens of every kind.

    issuer = Issuer(authority, web, "login.example")
    issuer.publish("rsa", "ec", "ed")
    Instance(conf=issuer.conf() + ...)
    issuer.token("alice@example.test", key="ec")
"""

import base64
import json
import subprocess
import time


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def fixed(der):
    """R and S of an ECDSA signature behind each other (RFC 7518 §3.4)."""
    numbers, at = b"", 2
    for _ in range(2):
        length = der[at + 1]
        numbers += der[at + 2:at + 2 + length].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + length
    return numbers


class Issuer:
    KINDS = {"rsa": ("RS256", ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
             "ec": ("ES256", ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]), "ed": ("EdDSA", ["ED25519"])}

    def __init__(self, authority, web, host):
        self.authority, self.web, self.host = authority, web, host
        self.url = f"https://{host}:{web.port}/realms/staff"
        self.files = {}

    def conf(self):
        return (f"relay-ca-file {self.authority.file}\nsending no\noauth-issuer {self.url}\noauth-audience mail\n")

    # -- keys

    def key(self, kid):
        """The file of a key; its kind is the name up to a hyphen."""
        if kid not in self.files:
            self.files[kid] = self.authority.folder / f"issuer-{kid}.key"
            self.authority.openssl("genpkey", "-algorithm", *self.KINDS[kid.split("-")[0]][1], "-out", self.files[kid])
        return self.files[kid]

    def jwk(self, kid):
        kind, key = kid.split("-")[0], self.key(kid)
        if kind == "rsa":
            modulus = self.authority.openssl("rsa", "-in", key, "-modulus", "-noout").decode().strip().split("=")[1]
            return {"kid": kid, "kty": "RSA", "use": "sig", "n": b64(bytes.fromhex(modulus)), "e": "AQAB"}
        public = self.authority.openssl("pkey", "-in", key, "-pubout", "-outform", "DER")
        if kind == "ed":
            return {"kid": kid, "kty": "OKP", "crv": "Ed25519", "x": b64(public[-32:])}
        return {"kid": kid, "kty": "EC", "crv": "P-256", "x": b64(public[-64:-32]), "y": b64(public[-32:])}

    def publish(self, *kids):
        keys = {"keys": [self.jwk(kid) for kid in kids]}
        document = {"issuer": self.url, "jwks_uri": f"https://{self.host}:{self.web.port}/keys", "token_endpoint": self.url + "/token"}
        self.web.pages[self.host, "/keys"] = (200, "application/jwk-set+json", json.dumps(keys).encode())
        self.web.pages[self.host, "/realms/staff/.well-known/openid-configuration"] = (
            200, "application/json", json.dumps(document).encode())

    def be_silent(self):
        self.web.pages.clear()

    # -- tokens

    def claims(self, account, **more):
        now = int(time.time())
        claims = {"iss": self.url, "aud": ["mail", "account"], "sub": "f3", "iat": now, "exp": now + 3600, "email": account,
                  "email_verified": True, **more}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, account, key="ec", header=None, **more):
        """Claims that are None are left out."""
        header = {"alg": self.KINDS[key.split("-")[0]][0], "kid": key, "typ": "JWT", **(header or {})}
        text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(self.claims(account, **more)).encode())
        return text + "." + b64(self.sign(text.encode(), key))

    def sign(self, text, key):
        if key.startswith("ed"):
            file = self.authority.folder / "text"
            file.write_bytes(text)
            return self.authority.openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.key(key), "-in", file)
        signature = self.authority.openssl("dgst", "-sha256", "-sign", self.key(key), input=text)
        return fixed(signature) if key.startswith("ec") else signature

    def unsigned(self, account, alg="none"):
        return b64(json.dumps({"alg": alg}).encode()) + "." + b64(json.dumps(self.claims(account)).encode()) + "."


def bearer(token, user=None):
    """The first message of OAUTHBEARER (RFC 7628 §3.1)."""
    header = f"n,a={user}," if user else "n,,"
    return base64.b64encode(f"{header}\x01host=localhost\x01port=143\x01auth=Bearer {token}\x01\x01".encode()).decode()


def xoauth2(token, user):
    return base64.b64encode(f"user={user}\x01auth=Bearer {token}\x01\x01".encode()).decode()


def curl(*args):
    """(exit code, output, what it says of the dialogue)."""
    done = subprocess.run(["curl", "-sv", "--noproxy", "*", "--max-time", "60", *map(str, args)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr
