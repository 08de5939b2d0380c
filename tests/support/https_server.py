"""A web server for tests, over TLS with a certificate of an authority of its own. What it says is a table of paths by host:

    with Authority() as authority, HttpsServer(authority, ["mta-sts.example"]) as web:
        web.pages["mta-sts.example", "/x"] = (200, "text/plain", b"text")
        Instance(conf=f"relay-ca-file {authority.file}")
        web.posts, web.fields    # [(host, path, type, body)], and the header of each
"""

import http.server
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import threading
import time


class Authority:
    """A certificate authority in a folder."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postroom-ca-"))
        self.file = self.folder / "ca.pem"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
                     "-subj", "/CN=Test authority", "-keyout", self.folder / "ca.key", "-out", self.file)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def openssl(*args, input=None):
        return subprocess.run(["openssl", *map(str, args)], input=input, capture_output=True, check=True).stdout

    def certificate(self, *names, days=30):
        """(chain, key) for names; days below zero: it has expired."""
        base = self.folder / f"{names[0]}-{days}".replace("*", "any")
        key, request, cert, chain = (base.with_name(base.name + end) for end in (".key", ".csr", ".crt", ".pem"))
        if chain.exists():
            return chain, key
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={names[0]}",
                     "-keyout", key, "-out", request)
        extensions = base.with_name(base.name + ".ext")
        extensions.write_text("subjectAltName=" + ",".join(f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names) + "\n")
        self.openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.folder / "ca.key", "-CAcreateserial",
                     "-days", days, "-extfile", extensions, "-out", cert)
        chain.write_bytes(cert.read_bytes() + self.file.read_bytes())
        key.chmod(0o600)
        return chain, key

    def digest(self, path, whole=False):
        """SHA-256 of a certificate's public key, or of the certificate, in hex: as TLSA records have it."""
        der = self.openssl("x509", "-in", path, "-outform", "DER") if whole else self.openssl(
            "pkey", "-pubin", "-outform", "DER", input=self.openssl("x509", "-in", path, "-noout", "-pubkey"))
        return self.openssl("dgst", "-sha256", "-binary", input=der).hex()


class HttpsServer:
    def __init__(self, authority, names, address=("127.0.0.1", 0)):
        self.pages, self.posts, self.fields, self.asked, self.delay_s = {}, [], [], [], 0
        chain, key = authority.certificate(*names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def say(self):
                host = self.headers["Host"].split(":")[0]
                owner.asked.append((host, self.path))
                time.sleep(owner.delay_s)
                code, kind, body, *more = owner.pages.get((host, self.path), (404, "text/plain", b"no such page"))
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                for name, value in more:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = say

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner.fields.append(self.headers)
                owner.posts.append((self.headers["Host"].split(":")[0], self.path, self.headers["Content-Type"], body))
                self.say()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self):
                # The handshake belongs to the thread of the connection: one that never ends must not stop the others.
                sock, address = self.socket.accept()
                sock.settimeout(30)
                return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, request, client_address):
                pass            # a client that does not believe us

        self.server = Server(address, Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
