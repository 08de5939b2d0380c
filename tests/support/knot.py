"""Debian's Knot as a primary name server of zones, some of which take updates (RFC 2136) signed by a key, or are signed by DNSSEC.

    with Knot("corp.example") as knot:
        server.postroom("dns", "corp.example", "--publish", "--key", knot.key, "--server", knot.address)

    with Zones(host.ip4, 53) as knot:           # of a host of a test's own network
        knot.zone("corp.example", takes_updates=True, is_signed=True)
        knot.zone(".", [f"corp.example. NS ns.corp.example.", *knot.ds["corp.example"]], is_signed=True)
        knot.start()
        knot.key, knot.anchor                   # files: the key of the last zone that takes updates, of the last signed one
"""

import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

import postroom

SECRET = "0Nq9aVjbTxCeXh3qhF8GUexCEZGXfCZNYUgQWcqdSWU="


def find(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if not path:
        pytest.skip(f"{name} is not installed (package knot): ./quickstart peers")
    return path


class Zones:
    """A zone's key `up` may change it where it takes updates. Each one's ns has this server's address."""

    def __init__(self, address="127.0.0.1", port=None):
        self.program, self.keymgr = find("knotd"), find("keymgr")
        self.ip, self.port = address, port or postroom.free_port()
        self.address = f"{address}@{self.port}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postroom-knot-"))
        self.key, self.anchor = None, self.folder / "anchor"
        self.keys, self.rules, self.zones, self.ds, self.process = "", "", "", {}, None

    def zone(self, name, records=(), takes_updates=False, is_signed=False):
        """`name`: "." for the root. Negative answers are kept for a second: a test looks before there is anything."""
        origin = name.rstrip(".") + "."
        file = self.folder / f"{origin}zone"
        file.write_text(f"$ORIGIN {origin}\n$TTL 60\n@ SOA ns hostmaster 1 60 60 60 1\n@ NS ns\nns A {self.ip}\n"
                        + "".join(f"{record}\n" for record in records))
        if takes_updates:
            key = f"  - id: up.{origin}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n"
            self.key = self.folder / f"{origin}key"
            self.key.write_text(f"# hmac-sha256:up.{name}:{SECRET}\nkey:\n{key}")
            self.keys += key
            self.rules += f"  - id: up.{origin}\n    key: up.{origin}\n    action: update\n"
        self.zones += f"  - domain: {origin}\n    file: {file.name}\n"
        self.zones += f"    acl: up.{origin}\n" if takes_updates else ""
        self.zones += "    dnssec-signing: on\n    dnssec-policy: manual\n" if is_signed else ""
        self.write()
        if is_signed:
            self.manage(name, "generate", "algorithm=ECDSAP256SHA256", "ksk=yes", "zsk=yes")
            self.ds[name] = self.manage(name, "ds").splitlines()
            self.anchor.write_text(self.manage(name, "dnskey"))

    def manage(self, *words):
        return subprocess.run([self.keymgr, "-c", self.folder / "knot.conf", *words], capture_output=True, text=True, check=True).stdout

    def write(self):
        (self.folder / "knot.conf").write_text(f"""
server:
    listen: {self.address}
    rundir: {self.folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
{"key:" if self.keys else ""}
{self.keys}
{"acl:" if self.rules else ""}
{self.rules}
database:
    storage: {self.folder}
policy:
  - id: manual
    manual: on
    single-type-signing: on
template:
  - id: default
    storage: {self.folder}
    zonefile-sync: 0
zone:
{self.zones}""")

    def start(self):
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen([self.program, "-c", self.folder / "knot.conf"], stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 30
        while b"started" not in (self.folder / "log").read_bytes():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("knotd does not start:\n" + (self.folder / "log").read_text())
            time.sleep(0.02)
        return self

    def control(self, *words):
        return subprocess.run([find("knotc"), "-c", self.folder / "knot.conf", *words], capture_output=True, text=True, check=True).stdout

    def set(self, zone, owner, *record):
        """A record more, as somebody at the name server puts it there."""
        for words in (("zone-begin", zone), ("zone-set", zone, owner, "60", *record), ("zone-commit", zone)):
            self.control(*words)

    def records(self, zone, type_):
        """All of a zone of one type: a line each."""
        return [line for line in self.control("zone-read", zone).splitlines() if f" {type_} " in line]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait(30)
            self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Knot(Zones):
    """One zone that takes updates, on loopback."""

    def __init__(self, zone, records=()):
        super().__init__()
        self.zone(zone, records, takes_updates=True)

    def __enter__(self):
        return self.start()
