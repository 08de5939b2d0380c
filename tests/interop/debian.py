"""Debian's mail programs as a host of a test's network runs them, each started in the host that the thread is in, and ended by pid:
unbound, which believes one root, postfix-mta-sts-resolver, and Postfix with a folder of its own."""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

PACKAGES = {"unbound": "unbound", "mta-sts-daemon": "postfix-mta-sts-resolver", "postfix": "postfix"}


def find(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if not path:
        pytest.skip(f"{name} is not installed (package {PACKAGES[name]}): ./quickstart peers")
    return path


class Program:
    """A process in the foreground, which is there when it listens at `address`."""

    def __init__(self, name):
        self.program = find(name)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"postroom-{name}-"))
        self.folder.chmod(0o755)                # their users pass through it
        self.process = None

    def run(self, command, address, env=None):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=env)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(address, timeout=5).close()
                return self
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.program} does not listen at {address}:\n{self.log()}")
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            with contextlib.suppress(ProcessLookupError):       # what it started; the session is its own
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        return (self.folder / "log").read_text(errors="replace")


class Unbound(Program):
    """Asks the servers of `root`, an address, from the root down, and believes what `anchor`'s key has signed."""

    def __init__(self, root, anchor):
        super().__init__("unbound")
        (self.folder / "hints").write_text(f". 60 NS ns.root.\nns.root. 60 A {root}\n")
        (self.folder / "unbound.conf").write_text(f"""
server:
    interface: 127.0.0.1
    access-control: 127.0.0.0/8 allow
    do-daemonize: no
    use-syslog: no
    username: ""
    chroot: ""
    directory: "{self.folder}"
    pidfile: ""
    root-hints: "{self.folder}/hints"
    trust-anchor-file: "{anchor}"
    num-threads: 1
    val-log-level: 1
""")

    def start(self):
        return self.run([self.program, "-c", self.folder / "unbound.conf"], ("127.0.0.1", 53))


class StsResolver(Program):
    """Tells Postfix what MTA-STS policies say. `authority`: whose certificates the policies' servers may have."""

    def __init__(self, authority):
        super().__init__("mta-sts-daemon")
        self.authority = authority
        (self.folder / "conf.yml").write_text("host: 127.0.0.1\nport: 8461\nshutdown_timeout: 1\ncache:\n  type: internal\n")

    def start(self, host):
        command = host.asking("127.0.0.1", [self.program, "-c", self.folder / "conf.yml"])
        return self.run(command, ("127.0.0.1", 8461), env={**os.environ, "SSL_CERT_FILE": str(self.authority)})


MAIN_CF = """
compatibility_level = 3.6
queue_directory = {root}/spool
data_directory = {root}/data
maillog_file = {root}/mail.log
maillog_file_prefixes = {root}
inet_interfaces = all
inet_protocols = all
myhostname = {hostname}
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = static:all
virtual_mailbox_base = {root}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
mynetworks = 127.0.0.0/8
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtp_dns_support_level = dnssec
smtp_tls_security_level = dane
smtp_tls_CAfile = {authority}
smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix
smtp_tls_loglevel = 1
smtp_address_preference = ipv6
smtputf8_enable = yes
debug_peer_list = 10.77.0.0/24, [fd77::]/64
debug_peer_level = 1
maximal_backoff_time = 2000s
minimal_backoff_time = 1000s
"""

MASTER_CF = """
smtp inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Program):
    """Mail for any name at `domains` lies in files(domain). It sends by DANE, and by MTA-STS as an StsResolver says."""

    def __init__(self, hostname, domains, certificate, authority):
        super().__init__("postfix")
        owner = pwd.getpwnam("postfix")
        for name in ("etc", "spool", "data", "mail"):
            (self.folder / name).mkdir()
        for name in ("data", "mail"):
            os.chown(self.folder / name, owner.pw_uid, owner.pw_gid)
        for i, name in enumerate(("certificate", "key")):
            shutil.copyfile(certificate[i], self.folder / name)
        (self.folder / "key").chmod(0o600)
        shutil.copyfile(authority, self.folder / "authority")
        (self.folder / "etc" / "main.cf").write_text(MAIN_CF.format(
            root=self.folder, hostname=hostname, domains=" ".join(domains), uid=owner.pw_uid, gid=owner.pw_gid,
            certificate=self.folder / "certificate", key=self.folder / "key", authority=self.folder / "authority"))
        (self.folder / "etc" / "master.cf").write_text(MASTER_CF)

    def start(self, host):
        return self.run(host.asking("127.0.0.1", [self.program, "-c", self.folder / "etc", "start-fg"]), (host.ip4, 25))

    def mail_log(self):
        with contextlib.suppress(OSError):
            return (self.folder / "mail.log").read_text(errors="replace")
        return ""
