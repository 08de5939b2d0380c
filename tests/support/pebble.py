"""Let's Encrypt's test server `pebble` (Debian), an authority that speaks ACME (RFC 8555) and refuses one nonce in five."""

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import urllib.request

import pytest

import postroom


class Pebble:
    """The authority; `http_port` and `tls_port` are where it looks for proofs. `dns`: "ADDRESS:PORT"; `address`: its own."""

    def __init__(self, folder, authority, dns, http_port, port=None, tls_port=1, address="127.0.0.1"):
        if not shutil.which("pebble"):
            pytest.skip("pebble is not installed: ./quickstart peers")
        self.address, self.port = address, port or postroom.free_port()
        self.management = postroom.free_port()
        self.url = f"https://acme.example{f':{self.port}' if self.port != 443 else ''}/dir"
        chain, key = authority.certificate("acme.example")
        config = folder / "pebble.json"
        config.write_text(json.dumps({"pebble": {
            "listenAddress": f"{address}:{self.port}", "managementListenAddress": f"{address}:{self.management}", "certificate": str(chain),
            "privateKey": str(key), "httpPort": http_port, "tlsPort": tls_port, "ocspResponderURL": "", "externalAccountBindingRequired": False}}))
        self.log_path = folder / "pebble.log"
        env = {"PATH": "/usr/bin:/bin", "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20", "PEBBLE_AUTHZREUSE": "0"}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(["pebble", "-strict", "-config", config, "-dnsserver", dns], env=env, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        postroom.wait_for("pebble listens", self.listens)

    def listens(self):
        """At both ports: which comes first is chance."""
        with contextlib.suppress(OSError):
            for port in (self.port, self.management):
                socket.create_connection((self.address, port), timeout=5).close()
            return True
        return False

    def root(self, authority):
        """What vouches for its certificates, in PEM; `authority`: what vouches for itself."""
        context = ssl.create_default_context(cafile=authority.file)
        context.check_hostname = False
        with urllib.request.urlopen(f"https://{self.address}:{self.management}/roots/0", context=context, timeout=postroom.DEADLINE_S) as reply:
            return reply.read().decode()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self):
        self.process.terminate()
        self.process.wait(postroom.DEADLINE_S)
