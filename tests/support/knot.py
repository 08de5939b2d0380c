"""Debian's Knot as the primary server of a zone that takes updates (RFC 2136) signed by a key.

    with Knot("corp.example") as knot:
        server.postroom("dns", "corp.example", "--publish", "--key", knot.key, "--server", knot.address)
"""

import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

import postroom

SECRET = "0Nq9aVjbTxCeXh3qhF8GUexCEZGXfCZNYUgQWcqdSWU="


class Knot:
    def __init__(self, zone, records=()):
        self.program = shutil.which("knotd") or shutil.which("knotd", path="/usr/sbin")
        if not self.program:
            pytest.skip("knotd is not installed (package knot): ./quickstart peers")
        self.zone = zone
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postroom-knot-"))
        self.port = postroom.free_port()
        self.address = f"127.0.0.1@{self.port}"
        self.key = self.folder / "dns.key"
        self.key.write_text(f"# hmac-sha256:up.{zone}:{SECRET}\nkey:\n  - id: up.{zone}.\n    algorithm: hmac-sha256\n"
                            f"    secret: {SECRET}\n")
        (self.folder / f"{zone}.zone").write_text(
            f"$ORIGIN {zone}.\n$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n"
            + "".join(f"{record}\n" for record in records))
        (self.folder / "knot.conf").write_text(f"""
server:
    listen: {self.address}
    rundir: {self.folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
{self.key.read_text()}
acl:
  - id: up
    key: up.{zone}.
    action: update
database:
    storage: {self.folder}
template:
  - id: default
    storage: {self.folder}
    zonefile-sync: 0
zone:
  - domain: {zone}
    file: {zone}.zone
    acl: up
""")

    def __enter__(self):
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen([self.program, "-c", self.folder / "knot.conf"], stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 30
        while b"started" not in (self.folder / "log").read_bytes():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("knotd does not start:\n" + (self.folder / "log").read_text())
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
