"""What a login costs the server, and what a spray of wrong passwords does to those who are logged in.

    make bench-login [BENCH_FLAGS="--logins 500 --rate 5000 --seconds 3"]

Processor time is that of all processes of the daemon, by the kernel's clock of each in nanoseconds, so it does not depend on what
else the machine does; times of answers do.
"""

import argparse
import base64
import contextlib
import os
import pathlib
import selectors
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import postroom     # noqa: E402
from machine import cpu_ns   # noqa: E402

WARM_TARGET_US = 500
LIMITS = "connections-per-minute 1000000\nstrangers-per-address 1000\nstrangers-per-network 1000\n"


def talk(line, *steps):
    """Send each command and read lines up to the one that begins with what is expected."""
    for command, expected in steps:
        if command:
            line.send(command + "\r\n")
        while not (text := line.line()).startswith(expected):
            if not text:
                raise RuntimeError(f"{command!r} was not answered")


def imap(server, user, password):
    with server.raw("imap") as line:
        talk(line, (None, b"* OK"), (f'a LOGIN {user} "{password}"', b"a OK"), ("b LOGOUT", b"b OK"))


def pop3(server, user, password):
    with server.raw("pop3") as line:
        talk(line, (None, b"+OK"), (f"USER {user}", b"+OK"), (f"PASS {password}", b"+OK"), ("QUIT", b"+OK"))


def submission(server, user, password):
    with server.raw("submission") as line:
        talk(line, (None, b"220"), ("EHLO bench", b"250 "), (f"AUTH PLAIN {postroom.plain(user, password)}", b"235"), ("QUIT", b"221"))


def one_login(server, daemon, login, count):
    user, password = server.address("alice"), server.password("alice")
    before = cpu_ns(server.pids(daemon))
    login(server, user, password)
    cold = cpu_ns(server.pids(daemon)) - before
    for _ in range(20):
        login(server, user, password)           # every worker knows it now
    before = cpu_ns(server.pids(daemon))
    for _ in range(count):
        login(server, user, password)
    warm = (cpu_ns(server.pids(daemon)) - before) / count
    return cold / 1000, warm / 1000


def memory_kb(pids):
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def until_it_ends(server, count):
    """KB of the server for each login that is under way: connected, in TLS, a challenge sent and not answered."""
    with contextlib.ExitStack() as stack:
        def begin(n):
            for i in range(n):
                line = stack.enter_context(postroom.Line(server.port("imaps"), server.tls_context(), source=f"127.9.{1 + len(lines) // 200}.1"))
                lines.append(line)
                talk(line, (None, b"* OK"), (f"a AUTHENTICATE SCRAM-SHA-256 {challenge}", b"+"))
        lines = []
        challenge = base64.b64encode(f"n,,n={server.address('alice')},r=fyko+d2lbbFgONRv9qkxdawL".encode()).decode()
        begin(20)
        before = memory_kb(server.pids("imapd"))
        begin(count)
        return (memory_kb(server.pids("imapd")) - before) / count


def spray(port, rate, seconds):
    """As many attempts as asked for, each on a connection of its own from another address; nobody waits for answers."""
    waiting = selectors.DefaultSelector()
    begun = time.monotonic()
    sent = asked = 0
    opened = []
    while (now := time.monotonic() - begun) < seconds:
        while asked < now * rate:
            asked += 1
            sock = socket.socket()
            sock.setblocking(False)
            try:
                sock.bind((f"127.{1 + asked % 200}.{asked // 200 % 200}.{2 + asked % 250}", 0))
                sock.connect_ex(("127.0.0.1", port))
            except OSError:
                sock.close()
                continue
            waiting.register(sock, selectors.EVENT_WRITE)
        for key, _ in waiting.select(0.001):
            waiting.unregister(key.fileobj)
            with contextlib.suppress(OSError):
                key.fileobj.send(b"a LOGIN user%d@example.test wrong%d\r\n" % (sent % 1000, sent))
                sent += 1
            opened.append((now, key.fileobj))
        while opened and opened[0][0] < now - 0.2:
            opened.pop(0)[1].close()
    print(sent / seconds)


def noops(line, seconds):
    times = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        begun = time.monotonic()
        talk(line, ("n NOOP", b"n OK"))
        times.append((time.monotonic() - begun) * 1e6)
        time.sleep(0.002)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def under_spray(server, rate, seconds):
    with server.raw("imap") as line:
        talk(line, (None, b"* OK"), (f'a LOGIN {server.address("alice")} "{server.password("alice")}"', b"a OK"))
        quiet = noops(line, seconds)
        child = subprocess.Popen([sys.executable, __file__, "--spray", str(server.port("imap")), "--rate", str(rate), "--seconds",
                                  str(seconds)], stdout=subprocess.PIPE, text=True)
        loud = noops(line, seconds)
        reached = float(child.communicate()[0])
        return quiet, loud, reached


def hello():
    """The first octets of a TLS connection."""
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    return out.read()


def behind(server, listener, said, count):
    """Microseconds of processor that the loop of imapd's worker uses until it answers NOOP, when as many strangers have said something
    before: it is stopped meanwhile, so that it finds all at once."""
    def ns():
        return sum(int(pathlib.Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) for pid in workers)
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(server.raw("imap"))
        talk(line, (None, b"* OK"), (f'a LOGIN {server.address("alice")} "{server.password("alice")}"', b"a OK"), ("n NOOP", b"n OK"))
        strangers = [stack.enter_context(postroom.Line(server.port(listener), source=f"127.8.{1 + n // 200}.{1 + n % 200}")) for n in range(count)]
        if listener == "imap":
            for stranger in strangers:
                talk(stranger, (None, b"* OK"))
        time.sleep(0.3)         # accepted, and nothing left to do
        workers = server.pids("imapd")
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
            postroom.wait_for("the worker stops", lambda pid=pid: (pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "Tt"))
        for stranger in strangers:
            stranger.send(said)
        line.send("n NOOP\r\n")
        before = ns()
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        talk(line, (None, b"n OK"))
        return (ns() - before) / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="example: make bench-login BENCH_FLAGS=\"--logins 50 --seconds 1\"")
    parser.add_argument("--logins", type=int, default=500, help="logins whose processor time is shared out (%(default)s)")
    parser.add_argument("--rate", type=int, default=5000, help="wrong passwords in a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="of quiet, and of spray (%(default)s)")
    parser.add_argument("--strangers", type=int, default=500, help="who say something at once (%(default)s)")
    parser.add_argument("--spray", type=int, help=argparse.SUPPRESS)        # a process of its own: to this port
    args = parser.parse_args()
    if args.spray:
        spray(args.spray, args.rate, args.seconds)
        return
    with postroom.Instance(accounts=("alice",), conf=LIMITS) as server:
        server.start()
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
        print("LOGIN, plain on loopback, connect to logout   FIRST us   WARM us   TARGET us")
        for daemon, login in (("imapd", imap), ("pop3d", pop3), ("smtpd", submission)):
            cold, warm = one_login(server, daemon, login, args.logins)
            print(f"{login.__name__:<44}  {cold:>8.0f}  {warm:>8.0f}  {WARM_TARGET_US:>10}")
        print(f"\nMEMORY of a login until it ends: IMAP, TLS, in the middle of SCRAM   {until_it_ends(server, 400):.0f} KB, target 64")
        quiet, loud, reached = under_spray(server, args.rate, args.seconds)
        print(f"\nSPRAY of {args.rate} attempts/s asked, {reached:.0f}/s reached        p50 us    p99 us")
        print(f"{'NOOP of a session that is logged in, quiet':<44}  {quiet[0]:>8.0f}  {quiet[1]:>8.0f}")
        print(f"{'the same under the spray':<44}  {loud[0]:>8.0f}  {loud[1]:>8.0f}   {loud[1] / quiet[1]:.1f} times")
    with postroom.Instance(accounts=("alice",), conf=LIMITS + "workers 1\n") as server:
        server.start()
        print(f"\nBEHIND {args.strangers} strangers who have all just said something              loop us until NOOP is answered")
        for name, listener, said in (("a wrong password", "imap", "a LOGIN bob@example.test wrong\r\n"), ("a TLS ClientHello", "imaps", hello())):
            print(f"{name:<44}  {min(behind(server, listener, said, args.strangers) for _ in range(5)):>8.0f}")


if __name__ == "__main__":
    main()
