"""A name server with zones signed by DNSSEC, for tests of whoever needs proofs: nsd, with ldns's keys and signatures.

    with SignedDns() as dns:
        dns.zone("dane.example", ["@ MX 10 mx", "mx A 127.0.0.3", "_25._tcp.mx TLSA 3 1 1 ..."])
        dns.zone("plain.example", [...], signed=False)
        dns.start()
        Instance(conf=dns.conf())

With an address of a host of its own it listens at port 53 there. Zones may be below each other: `dns.ds[name]` is what the zone above
says of a signed one, and "." is a zone like others.

`damage(name, before, after)` changes a signed zone's text, so that a proof is wrong.
"""

import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

import postroom

PROGRAMS = {"nsd": "nsd", "ldns-keygen": "ldnsutils", "ldns-signzone": "ldnsutils"}


def find(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if not path:
        pytest.skip(f"{name} is not installed (package {PROGRAMS[name]}): ./quickstart peers")
    return path


class SignedDns:
    def __init__(self, address=None):
        for name in PROGRAMS:
            find(name)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postroom-nsd-"))
        self.zones, self.anchors, self.ds, self.process = {}, [], {}, None
        self.address = address or "127.0.0.1"
        self.port = 53 if address else postroom.free_port()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def zone(self, name, records, signed=True):
        origin = name.rstrip(".") + "."
        file = self.folder / f"{origin}zone"
        file.write_text(f"$ORIGIN {origin}\n$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A {self.address}\n"
                        + "".join(f"{record}\n" for record in records))
        if signed:
            def ldns(*args):
                return subprocess.run(args, cwd=self.folder, capture_output=True, text=True, check=True).stdout.strip()

            key = ldns(find("ldns-keygen"), "-a", "ECDSAP256SHA256", "-k", origin)
            ldns(find("ldns-signzone"), file.name, key)
            self.ds[name] = (self.folder / f"{key}.ds").read_text()
            anchor = self.folder / f"{origin}anchor"
            anchor.write_text((self.folder / f"{key}.key").read_text())
            self.anchors.append(anchor)
            file = self.folder / f"{file.name}.signed"
        self.zones[name] = file

    def damage(self, name, before, after):
        text = self.zones[name].read_text()
        assert before in text, text
        self.zones[name].write_text(text.replace(before, after))

    def start(self):
        conf = self.folder / "nsd.conf"
        conf.write_text(f"""
server:
    ip-address: {self.address}
    port: {self.port}
    username: ""
    chroot: ""
    zonesdir: "{self.folder}"
    pidfile: "{self.folder}/nsd.pid"
    xfrdfile: ""
    zonelistfile: "{self.folder}/zone.list"
    database: ""
    rrl-ratelimit: 0
    server-count: 1
remote-control:
    control-enable: no
""" + "".join(f'zone:\n    name: {name}\n    zonefile: "{file}"\n' for name, file in self.zones.items()))
        self.process = subprocess.Popen([find("nsd"), "-d", "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(200):
            with socket.socket() as sock:
                if sock.connect_ex((self.address, self.port)) == 0:
                    return self
            assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.05)
        raise RuntimeError("nsd does not answer")

    def conf(self):
        anchors = " ".join(map(str, self.anchors)) or "none"
        return f"dns-servers {self.address}@{self.port}\ndns-trust-anchors {anchors}\n"
