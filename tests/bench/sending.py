"""What the queue does with ten thousand messages, beside Postfix; its memory, its recovery, and what a dead destination costs the others.

    make bench-sending [BENCH_FLAGS="--messages 10000 --domains 100 --recover 100000 --dead 50000"]

Both send the same mail to the same sinks: Postfix's `smtp-sink`, some processes at loopback addresses of their own, without TLS. Postroom finds
them by MX records of a name server of this bench, Postfix by a table, which spares it the DNS. All mail lies in the queue, durable, before the
clock starts: with `sending no` and a reload here, deferred transports and a flush there. Postfix runs from a folder of its own, from a
configuration of its own; nothing listens or connects outside 127.0.0.0/8. Needs root and Debian's postfix (not started); without them there is
no comparison. A small run: BENCH_FLAGS="--messages 500 --domains 20 --recover 1000 --dead 500".
"""

import argparse
import contextlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE / "e2e"), str(HERE / "support"), str(HERE / "bench")]
import dns_server       # noqa: E402
import peer             # noqa: E402
import postroom         # noqa: E402
from machine import work_folder     # noqa: E402
from smtp_sink import Sink      # noqa: E402

SINKS = 4
SIZE = 4096
CONF = "relay-port {port}\nrelay-ipv6 no\nmta-sts no\ntls-reports no\nqueue-free-space 1M\n"
MAIN_CF = peer.POSTFIX_CF + """
transport_maps = texthash:{root}/transport
defer_transports = smtp
"""


def is_sanitized():
    return b"__asan_init" in (postroom.BIN / "smtpd").read_bytes()


def wait(what, condition, seconds=1800, every=0.02):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"in {seconds} s never: {what}")
        time.sleep(every)


class Sinks:
    """smtp-sink, which takes what it gets and forgets it."""

    def __init__(self, port):
        self.port = port
        self.processes = [subprocess.Popen([shutil.which("smtp-sink", path="/usr/sbin"), "-u", "nobody", f"127.0.6.{i + 1}:{port}", "1000"],
                                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for i in range(SINKS)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
            process.wait()


def domains(count):
    return [(f"d{i}.example", f"127.0.6.{i % SINKS + 1}") for i in range(count)]


def queued(server):
    return len(os.listdir(server.root / "queue" / "msg"))


def text():
    return postroom.message(sender="alice@example.test", body="0123456789abcde\r\n" * (SIZE // 17))


def multiply(server, count, names):
    """So many messages in the queue, by copies of one that was submitted for each domain."""
    folder = server.root / "queue" / "msg"
    with server.submission("alice") as smtp:
        for name in names:
            smtp.sendmail("alice@example.test", [f"friend@{name}"], text())
    server.stop()
    made = sorted(os.listdir(folder))
    owner = os.stat(folder / made[0])
    originals = [(name, (folder / name).read_bytes()) for name in made]
    for i in range(len(made), count):
        name, octets = originals[i % len(originals)]
        copy = folder / f"{name[:8]}{i:08d}"
        copy.write_bytes(octets)
        os.chown(copy, owner.st_uid, owner.st_gid)
        os.chmod(copy, owner.st_mode)


def set_sending(server, yes):
    conf = server.root / "postroom.conf"
    conf.write_text(re.sub(r"(?m)^sending .*\n", "", conf.read_text()) + f"sending {'yes' if yes else 'no'}\n")


def scanned(server, times):
    return server.log().count("event=relay.scanned") >= times


def start(server):
    """Until the relay knows all that is in the queue: seconds."""
    before, begun = server.log().count("event=relay.scanned"), time.monotonic()
    server.start(only="smtpd")
    wait("the relay knows its queue", lambda: scanned(server, before + 1), every=0.005)
    return time.monotonic() - begun


def relay_memory(server):
    """Octets of the process that holds the queue."""
    found = [pid for pid in server.pids("smtpd") if "relay" in pathlib.Path(f"/proc/{pid}/cmdline").read_text() or
             "relay" in pathlib.Path(f"/proc/{pid}/comm").read_text()]
    if len(found) != 1:
        raise RuntimeError(f"which process is the relay? {found}")
    return int(re.search(r"RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{found[0]}/status").read_text()).group(1)) * 1024


# ---- throughput ----

def ours(args, port):
    """Messages per second, and octets of memory for each that waits."""
    names = [name for name, _ in domains(args.domains)]
    with dns_server.DnsServer() as dns:
        for name, address in domains(args.domains):
            dns.add(name, "MX", f"10 mx.{name}").add(f"mx.{name}", "A", address)
        with postroom.Instance(accounts=("alice",), conf=CONF.format(port=port) + dns.conf()) as server:
            set_sending(server, False)
            start(server)
            empty = relay_memory(server)
            multiply(server, args.messages, names)
            start(server)
            memory = (relay_memory(server) - empty) / args.messages
            set_sending(server, True)
            begun = time.monotonic()
            server.process.send_signal(signal.SIGHUP)
            wait("the queue is empty", lambda: not queued(server), every=0.05)
            return args.messages / (time.monotonic() - begun), memory


class Postfix:
    """A sender only: what comes in goes out again."""

    def __init__(self, args, port):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="postroom-bench-sending-"))
        self.root.chmod(0o755)
        for name in ("spool", "data", "etc"):
            (self.root / name).mkdir()
        owner = pwd.getpwnam("postfix")
        os.chown(self.root / "data", owner.pw_uid, owner.pw_gid)
        self.port, self.process, self.args = peer.free_ports()["mx"], None, args
        (self.root / "transport").write_text("".join(f"{name} smtp:[{address}]:{port}\n" for name, address in domains(args.domains)))
        (self.root / "etc" / "main.cf").write_text(MAIN_CF.format(root=self.root))
        lines = [line for line in peer.MASTER_CF.splitlines() if "{submission" not in line]
        (self.root / "etc" / "master.cf").write_text("\n".join(lines).format(mx=self.port) + "\nshowq unix n - n - - showq\nflush unix n - n 1000? 0 flush\n")

    def run(self, *args):
        subprocess.run(["/usr/sbin/" + args[0], "-c", self.root / "etc", *args[1:]], check=True, capture_output=True, timeout=600)

    def __enter__(self):
        with open(self.root / "start.log", "ab") as log:
            self.process = subprocess.Popen(["/usr/sbin/postfix", "-c", self.root / "etc", "start-fg"], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        wait("Postfix listens", lambda: self.has_ended() or peer_listens(self.port), 60)
        if self.has_ended():
            raise RuntimeError("Postfix does not start: " + "".join(path.read_text(errors="replace")[-500:] for path in self.root.glob("*.log")))
        return self

    def has_ended(self):
        return self.process.poll() is not None

    def __exit__(self, *_):
        peer.stop_tree(self.process)
        shutil.rmtree(self.root, ignore_errors=True)

    def waiting(self):
        return sum(len(files) for name in ("incoming", "active", "deferred") for _, _, files in os.walk(self.root / "spool" / name))

    def rate(self):
        args = self.args
        share = args.messages // args.domains
        for name, _ in domains(args.domains):
            subprocess.run([shutil.which("smtp-source", path="/usr/sbin"), "-s", "10", "-m", str(share), "-l", str(SIZE), "-f", "alice@example.test",
                            "-t", f"friend@{name}", f"127.0.0.1:{self.port}"], check=True, capture_output=True, timeout=600)
        deferred = self.root / "spool" / "deferred"
        wait("all is deferred", lambda: sum(len(files) for _, _, files in os.walk(deferred)) >= share * args.domains, 600)
        self.run("postconf", "-e", "defer_transports=")
        self.run("postfix", "reload")
        begun = time.monotonic()
        self.run("postqueue", "-f")
        wait("Postfix's queue is empty", lambda: not self.waiting(), every=0.05)
        return share * args.domains / (time.monotonic() - begun)


def peer_listens(port):
    import socket
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    return False


# ---- recovery ----

def recovery(args):
    """Seconds from the start to a relay that knows all, behind a kill -9."""
    with postroom.Instance(accounts=("alice",), conf="") as server:
        start(server)
        multiply(server, args.recover, [name for name, _ in domains(min(args.domains, args.recover))])
        start(server)
        server.kill()
        return start(server)


# ---- a dead destination ----

def delays(server, sink, count):
    """Milliseconds from 250 to the other server, one after the other."""
    found = []
    with server.submission("alice") as smtp:
        for _ in range(count):
            before = len(sink.messages)
            smtp.sendmail("alice@example.test", ["friend@live.example"], text())
            begun = time.monotonic()
            wait("it arrives", lambda: len(sink.messages) > before, 60, 0.0002)
            found.append((time.monotonic() - begun) * 1000)
    return found


def beside_the_dead(args):
    """The median with a queue that is empty, and with one full of mail for a server that is not there: the same server, by turns."""
    port = postroom.free_port()
    with dns_server.DnsServer() as dns, Sink("127.0.7.1", port, keep=False) as sink:
        dns.add("live.example", "MX", "10 mx.live.example").add("mx.live.example", "A", "127.0.7.1")
        dns.add("dead.example", "MX", "10 mx.dead.example").add("mx.dead.example", "A", "127.0.7.99")
        with postroom.Instance(accounts=("alice",), conf=CONF.format(port=port) + dns.conf()) as quiet, \
                postroom.Instance(accounts=("alice",), conf=CONF.format(port=port) + dns.conf()) as loud:
            set_sending(loud, False)
            start(loud)
            multiply(loud, args.dead, ["dead.example"])
            set_sending(loud, True)
            start(loud)
            loud.wait_log("event=relay.unreachable destination=dead.example")
            start(quiet)
            found = {quiet: [], loud: []}
            for _ in range(5):
                for server, times in found.items():
                    delays(server, sink, 5)
                    times += delays(server, sink, args.live // 5)
            if queued(loud) < args.dead:
                raise RuntimeError("mail for the dead server has left the queue")
            return statistics.median(found[quiet]), statistics.median(found[loud])


def line(what, value, unit, target, good):
    print(f"  {what:<58} {value:>10} {unit:<12} {target:<18} {'' if good else 'MISSED'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=10000, help="in the queue, for the throughput")
    parser.add_argument("--domains", type=int, default=100, help="that they go to")
    parser.add_argument("--repeat", type=int, default=3, help="of the throughput, ours and Postfix's in turn")
    parser.add_argument("--recover", type=int, default=100000, help="in the queue when the server is killed; 0: not measured")
    parser.add_argument("--dead", type=int, default=50000, help="for a server that is not there; 0: not measured")
    parser.add_argument("--live", type=int, default=200, help="that are timed beside them")
    args = parser.parse_args()
    if not shutil.which("smtp-sink", path="/usr/sbin") or peer.os.geteuid() != 0:
        sys.exit("bench-sending: needs root and smtp-sink (Debian: postfix)")
    if args.messages < args.domains or args.domains < 1 or args.live < 5:
        sys.exit("bench-sending: at least a message for each domain, and 5 that are timed")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
          f"{'; THIS BUILD HAS SANITIZERS: its figures say nothing' if is_sanitized() else ''}\n")
    port = postroom.free_port()
    with work_folder(postroom.BUILD):
        measure(args, port)


def measure(args, port):
    rates = []
    with Sinks(port):
        for _ in range(args.repeat):
            rate, memory = ours(args, port)
            with Postfix(args, port) as postfix:
                rates.append((rate, postfix.rate()))
    print(f"{args.messages} queued messages of {SIZE} octets to {args.domains} destinations, in turn, {args.repeat} times, medians")
    for name, which in (("Postroom", 0), ("Postfix", 1)):
        found = [run[which] for run in rates]
        line(name, f"{statistics.median(found):.0f}", "messages/s", f"{min(found):.0f} to {max(found):.0f}", True)
    ratio = statistics.median(rate / other for rate, other in rates)
    line("ratio", f"{ratio:.2f}", "", "target 2 or more", ratio >= 2)
    line("memory of a queued message", f"{memory:.0f}", "octets", "target < 1024", memory < 1024)
    if args.recover:
        seconds = recovery(args)
        line(f"{args.recover} messages known again after kill -9", f"{seconds:.2f}", "s", "target < 5", seconds < 5)
    if args.dead:
        quiet, loud = beside_the_dead(args)
        line("a message to a live destination, empty queue", f"{quiet:.2f}", "ms (median)", "", True)
        line(f"the same beside {args.dead} to a dead one", f"{loud:.2f}", "ms (median)", "", True)
        line("more", f"{(loud / quiet - 1) * 100:+.0f}", "%", "target < 10", loud < 1.1 * quiet)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
