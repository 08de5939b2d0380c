"""Debian's Postfix and Dovecot as the server under test, with the same interface as run.Postroom.

Both run from a folder of their own on loopback ports, started and ended by process id; the system's services and
configuration are not touched (but see room_to_watch()). Packages: postfix dovecot-imapd dovecot-pop3d dovecot-lmtpd. Needs root, as they do.

Tuned as a careful administrator would: Maildir, LMTP from Postfix to Dovecot, durable as installed (mail_fsync is
"optimized"), no content filter, no DNS, processes allowed for what the scenarios ask. Passwords lie in clear in
Dovecot's passwd-file, so that no hash slows a login down. LOGINS are the ways in which Dovecot's processes may serve.
"""

import contextlib
import os
import pathlib
import pwd
import random
import signal
import socket
import subprocess
import tempfile
import time

from machine import cpu_by_process, cpu_ns

DOMAIN = "example.test"
PORTS = {"mx": 25, "submission": 587, "submissions": 465, "lmtp": 24, "imap": 143, "imaps": 993, "pop3": 110,
         "pop3s": 995}
OWNER = "mail"          # whose the Maildirs are: Dovecot serves nobody as root

DOVECOT = """
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{root}/cert.pem
ssl_key = <{root}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:~/Maildir
mail_max_userip_connections = 1000
first_valid_uid = 1
default_process_limit = 6000
default_client_limit = 20000
default_vsz_limit = 2G
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {root}/users
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={root}/mail/%n
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
  {login}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
  {login}
}}
service imap {{
  process_limit = 6000
  {again}
}}
service pop3 {{
  process_limit = 6000
  {again}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
  process_min_avail = 4
}}
service auth {{
  unix_listener {root}/auth {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""

# Any Postfix of the benches: in a folder of its own, on loopback, asking no DNS, limited by nothing but the machine.
POSTFIX_CF = """
compatibility_level = 3.6
queue_directory = {root}/spool
data_directory = {root}/data
maillog_file = {root}/postfix.log
maillog_file_prefixes = {root}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.test
mydestination =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtp_dns_support_level = disabled
default_process_limit = 200
"""

MAIN_CF = POSTFIX_CF + """
local_recipient_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = static:ok
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
lmtp_destination_concurrency_limit = 20
lmtp_destination_recipient_limit = 50
smtpd_tls_cert_file = {root}/cert.pem
smtpd_tls_key_file = {root}/key.pem
smtpd_tls_security_level = may
smtpd_sasl_type = dovecot
smtpd_sasl_path = {root}/auth
smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
message_size_limit = 52428800
"""

MASTER_CF = """
127.0.0.1:{mx} inet n - n - - smtpd
127.0.0.1:{submission} inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_tls_security_level=encrypt
127.0.0.1:{submissions} inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_tls_wrappermode=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

# Its documentation wants as many login processes as there are cores.
HIGH_PERFORMANCE = f"service_count = 0\n  process_min_avail = {max(2, os.cpu_count() or 1)}"
# Of Dovecot's processes: what stands in the services imap-login and pop3-login, what in imap and pop3, and what that is called.
LOGINS = {
    "secure": ("", "", "default login"),        # a process for each connection, and another one for each session
    "high": (HIGH_PERFORMANCE, "", "high-performance login"),       # a process for each session only
    "fast": (HIGH_PERFORMANCE, "service_count = 100", "processes used again"),
}
QUEUES = ("maildrop", "incoming", "active")


def missing():
    """Why the peers cannot be measured here; None when they can."""
    for program in ("/usr/sbin/postfix", "/usr/sbin/dovecot", "/usr/lib/dovecot/lmtp", "/usr/lib/dovecot/imap",
                    "/usr/lib/dovecot/pop3"):
        if not os.path.exists(program):
            return f"{program} is missing (Debian: postfix dovecot-imapd dovecot-pop3d dovecot-lmtpd)"
    return None if os.geteuid() == 0 else "Postfix and Dovecot are started by root only"


@contextlib.contextmanager
def room_to_watch(sessions):
    """Each of so many processes of one user may watch a folder meanwhile. Dovecot asks for it with each IDLE, and looks each 30 s where it may
    not; the limit, 128, is the kernel's, so it is what it was again behind this. Gives whether there is room."""
    limit = pathlib.Path("/proc/sys/fs/inotify/max_user_instances")
    try:
        before = int(limit.read_text())
        if before < sessions + 100:
            limit.write_text(str(sessions + 100))
    except (OSError, ValueError):       # none of this kind, or a container's
        yield False
        return
    try:
        yield True
    finally:
        limit.write_text(str(before))


def free_ports():
    socks = [socket.socket() for _ in PORTS]
    try:
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return dict(zip(PORTS, (sock.getsockname()[1] for sock in socks)))
    finally:
        for sock in socks:
            sock.close()


def descendants(roots):
    """Processes and all below them."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    found = set(roots)
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return sorted(found)
        found |= more


def stop_tree(process):
    """A server that was started in the foreground, with what does not go by itself."""
    tree = descendants([process.pid])
    process.terminate()
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
    finally:        # also when somebody presses Ctrl-C meanwhile
        for pid in tree:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


class Peer:
    name = "Postfix + Dovecot"

    def __init__(self, work, accounts, login):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="peer-", dir=work))
        self.ports = free_ports()
        self.processes = []
        # Their own users must pass through the folders above.
        for folder in (self.root, pathlib.Path(work)):
            folder.chmod(0o755)
        for name in ("spool", "data", "etc", "run", "state", "mail"):
            (self.root / name).mkdir()
        postfix, owner = pwd.getpwnam("postfix"), pwd.getpwnam(OWNER)
        os.chown(self.root / "data", postfix.pw_uid, postfix.pw_gid)
        os.chown(self.root / "mail", owner.pw_uid, owner.pw_gid)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.root / "key.pem", "-out", self.root / "cert.pem", "-days", "30", "-subj",
                        f"/CN=mail.{DOMAIN}"], check=True, capture_output=True)
        self.users = self.root / "bench-users"
        passwords = {f"user{i}@{DOMAIN}": f"pass-{i}-{random.randrange(10**9)}" for i in range(accounts)}
        self.users.write_text("".join(f"{address} {password}\n" for address, password in passwords.items()))
        (self.root / "users").write_text("".join(f"{address}:{password}\n" for address, password in passwords.items()))
        self.words = dict(self.ports, root=self.root, owner=OWNER, domain=DOMAIN)
        self.set_login(login)
        (self.root / "etc" / "main.cf").write_text(MAIN_CF.format(**self.words))
        (self.root / "etc" / "master.cf").write_text(MASTER_CF.format(**self.words))

    def set_login(self, login):
        """One of LOGINS, from the next start on."""
        of_login, of_session, _ = LOGINS[login]
        (self.root / "etc" / "dovecot.conf").write_text(DOVECOT.format(**self.words, login=of_login, again=of_session))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        for folder in (self.root / "mail").glob("*"):
            if folder.owner() != OWNER:         # just filled
                subprocess.run(["chown", "-R", f"{OWNER}:", folder], check=True)
        log = open(self.root / "start.log", "ab")
        etc = self.root / "etc"
        for command in (["/usr/sbin/dovecot", "-F", "-c", etc / "dovecot.conf"],
                        ["/usr/sbin/postfix", "-c", etc, "start-fg"]):
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                   start_new_session=True))
        log.close()
        deadline = time.monotonic() + 30
        for name, port in self.ports.items():
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
                    break
                if time.monotonic() > deadline or any(process.poll() is not None for process in self.processes):
                    raise RuntimeError(f"{name} of the peer does not listen: {self.log()[-500:]}")
                time.sleep(0.05)

    def log(self):
        return "".join(path.read_text(errors="replace") for path in self.root.glob("*.log"))

    def stop(self):
        with contextlib.ExitStack() as stack:       # the others, too, when the bench is stopped in the middle of one
            for process in self.processes:
                if process.poll() is None:
                    stack.callback(stop_tree, process)
            self.processes = []

    def port(self, name):
        return self.ports[name]

    def pids(self, program=None):
        del program             # several programs share each task there
        return descendants([process.pid for process in self.processes])

    def cpu_us(self):
        return cpu_ns(self.pids()) / 1000

    def cpu_by_process(self):
        return cpu_by_process(self.pids())

    def maildir(self, number):
        return self.root / "mail" / f"user{number}" / "Maildir"

    def drop_index(self, number):
        for path in self.maildir(number).glob("dovecot.index*"):
            path.unlink()

    def first_user(self):
        path = self.root / "bench-first-user"
        path.write_text(self.users.read_text().splitlines()[0] + "\n")
        return path

    def count_messages(self):
        return sum(len(os.listdir(path)) for path in (self.root / "mail").glob("*/Maildir/*")
                   if path.name in ("cur", "new"))

    def wait_for_messages(self, count, seconds=120):
        """Until that many are in the mailboxes: Postfix answers 250 when a message is in its queue. Returns microseconds. The queue is
        looked at, which is short: to list the mailboxes again and again would take processor time from the servers."""
        begun = time.monotonic()
        deadline = begun + seconds
        while any(os.listdir(self.root / "spool" / queue) for queue in QUEUES) and time.monotonic() < deadline:
            time.sleep(0.005)
        emptied = time.monotonic()
        while self.count_messages() < count and time.monotonic() < deadline:
            time.sleep(0.05)
            emptied = time.monotonic()
        return round((emptied - begun) * 1e6)
