"""OpenLDAP's slapd as an ordinary process on loopback, with people whose passwords it knows.

    with Slapd(authority, {"alice": "secret"}) as slapd:
        Instance(conf=slapd.conf())
        slapd.stop(); slapd.start()
"""

import pathlib
import shutil
import socket
import subprocess
import tempfile
import urllib.parse

import postroom

BASE = "dc=example,dc=test"
PEOPLE = f"ou=people,{BASE}"


class Slapd:
    def __init__(self, authority, people):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postroom-slapd-"))
        self.authority = authority
        chain, key = authority.certificate("127.0.0.1")         # "localhost" is this machine's name for libldap
        self.ports = [postroom.free_port() for _ in range(2)]
        self.socket = self.folder / "ldapi"
        (self.folder / "db").mkdir()
        self.conf_file = self.folder / "slapd.conf"
        self.conf_file.write_text(f"""include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {self.folder}/pid
TLSCACertificateFile {authority.file}
TLSCertificateFile {chain}
TLSCertificateKeyFile {key}
database mdb
maxsize 10485760
suffix {BASE}
rootdn cn=admin,{BASE}
rootpw adminpw
directory {self.folder}/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact=cn=admin,{BASE} read by * none
""")
        entries = [f"dn: {BASE}\nobjectClass: domain\ndc: example\n", f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n"]
        for name, password in people.items():
            entries.append(f"dn: uid={name},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n"
                           f"mail: {name}@example.test\nuserPassword: {password}\n")
        # A copy: where AppArmor is on, it lets the installed one go to its own folders only.
        self.program = shutil.copy("/usr/sbin/slapd", self.folder / "slapd")
        subprocess.run([self.program, "-T", "add", "-f", self.conf_file], input="\n".join(entries), text=True, check=True,
                       capture_output=True)
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        urls = (f"ldap://127.0.0.1:{self.ports[0]}/ ldaps://127.0.0.1:{self.ports[1]}/ "
                f"ldapi://{urllib.parse.quote(str(self.socket), safe='')}/")
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([self.program, "-d", "0", "-f", self.conf_file, "-h", urls], stdout=log, stderr=log)
        postroom.wait_for("slapd listens", self.answers)
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError("slapd has ended:\n" + (self.folder / "log").read_text())
        try:
            for port in self.ports:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(self.socket))
        except OSError:
            return False
        return True

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def url(self, scheme):
        if scheme == "ldapi":
            return f"ldapi://{urllib.parse.quote(str(self.socket), safe='')}"
        return f"{scheme}://127.0.0.1:{self.ports[scheme == 'ldaps']}"

    def conf(self, scheme="ldaps", search=False):
        how = (f"ldap-base {BASE}\nldap-search-dn cn=admin,{BASE}\nldap-search-password {self.folder}/password\n" if search
               else f"ldap-dn uid=%n,{PEOPLE}\n")
        (self.folder / "password").write_text("adminpw\n")
        return f"ldap-url {self.url(scheme)}\nldap-domains example.test\nldap-ca-file {self.authority.file}\n{how}"
