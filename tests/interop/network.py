"""A network of a test's own: hosts that are Linux network namespaces, with addresses and all ports to themselves, on one switch.

    with Network() as network:
        mail, dns = network.host("mail"), network.host("dns")
        with mail:                      # sockets and processes that are made here belong to that host
            server.start()
        mail.ip4, mail.ip6              # "10.77.0.1", "fd77::1"
        mail.more(2)                    # further addresses: ["10.77.0.2", "10.77.0.3"]

A namespace has no name and lives as long as this object or a process inside it, so nothing is left behind, also by a test that is
killed. It is a thread that enters a host: what other threads do meanwhile stays where they are. The right to do this is
root's (CAP_SYS_ADMIN, CAP_NET_ADMIN); where it is refused the test is skipped, with what the kernel said.
"""

import ctypes
import os
import pathlib
import subprocess
import tempfile
import threading

import pytest

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def system_call(name, *args):
    if getattr(LIBC, name)(*args):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def here():
    """A descriptor of the namespace that this thread is in."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def new_namespace():
    made = []

    def make():
        try:
            system_call("unshare", CLONE_NEWNET)
            made.append(here())
        except OSError as error:
            made.append(error)
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


class Host:
    def __init__(self, network, name):
        self.network, self.name = network, name
        self.namespace = new_namespace()
        self.before = []
        self.ip4 = self.ip6 = None

    def __enter__(self):
        self.before.append(here())
        system_call("setns", self.namespace, CLONE_NEWNET)
        return self

    def __exit__(self, *_):
        before = self.before.pop()
        system_call("setns", before, CLONE_NEWNET)
        os.close(before)

    def ip(self, *commands):
        with self:
            done = subprocess.run(["ip", "-batch", "-"], input="\n".join(commands) + "\n", text=True, capture_output=True, check=False)
        if done.returncode:
            raise OSError(f"ip: {done.stderr.strip()}")

    def more(self, count):
        """Further IPv4 addresses."""
        addresses = [self.network.next()[0] for _ in range(count)]
        self.ip(*(f"address add {address}/24 dev eth0" for address in addresses))
        return addresses

    def asking(self, server, command):
        """The command, with a name server of its own in /etc/resolv.conf."""
        conf = self.network.folder / f"resolv-{self.name}.conf"
        conf.write_text(f"nameserver {server}\noptions edns0 trust-ad\n")
        conf.chmod(0o644)
        return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', conf, *command]


class Network:
    def __init__(self, ip4="10.77.0.", ip6="fd77::"):
        """The addresses' beginnings. Private ones, unless a test needs what holds for public ones only: no route leads out."""
        self.hosts, self.last, self.prefixes = [], 0, (ip4, ip6)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postroom-network-"))
        self.folder.chmod(0o755)
        try:
            self.switch = Host(self, "switch")
            self.switch.ip("link set lo up", "link add name switch type bridge", "link set switch up")
        except OSError as error:
            os.rmdir(self.folder)
            pytest.skip(f"no network namespaces for this user here ({error}): root may have them")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for host in [*self.hosts, self.switch]:
            os.close(host.namespace)
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()

    def next(self):
        self.last += 1
        return tuple(f"{prefix}{self.last}" for prefix in self.prefixes)

    def host(self, name):
        host = Host(self, name)
        host.ip4, host.ip6 = self.next()
        self.hosts.append(host)
        self.switch.ip(f"link add name {name} type veth peer name eth0 netns /proc/{os.getpid()}/fd/{host.namespace}",
                       f"link set dev {name} master switch up")
        host.ip("link set lo up", f"address add {host.ip4}/24 dev eth0", f"address add {host.ip6}/64 dev eth0 nodad", "link set eth0 up")
        return host
