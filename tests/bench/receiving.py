"""What it costs to look at strangers, and what a crowd of slow ones does to the others.

    make bench-receiving [BENCH_FLAGS="--messages 2000 --repeat 5 --sessions 500 --slow 2000"]

Messages per second with SPF, DKIM and DMARC asked of a name server on this machine, beside the same messages given to an instance
that exempts their network from all of it: both in turn, --repeat times, medians. Memory of a session that has said EHLO, MAIL and
RCPT. The time of an ordinary message with and without --slow connections that send an octet now and then.
"""

import argparse
import base64
import concurrent.futures
import contextlib
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE / "e2e"), str(HERE / "support")]
import dns_server   # noqa: E402
import postroom     # noqa: E402
from machine import cpu_ns, work_folder   # noqa: E402

PEER = postroom.BUILD / "tests/interop/dkim_peer"
SENDER = "joe@good.example"
PER_SESSION = 50
CONF = "smtp-banner-delay 0s\nstrangers-per-address 100000\nstrangers-per-network 100000\nstrangers 100000\n" \
       "connections-per-minute-mx 1000000\ncheck-rate off\n"


def signed(dns, folder):
    """A message of 4 KiB with a signature (RFC 8463) that verifies."""
    key = folder / "good.example.ed1.pem"
    key.write_bytes(subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True).stdout)
    key.chmod(0o600)
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout[-32:]
    dns.add("ed1._domainkey.good.example", "TXT", f"v=DKIM1; k=ed25519; p={base64.b64encode(public).decode()}")
    text = f"From: <{SENDER}>\r\nSubject: Bench\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\n" + "0123456789abcdef\r\n" * 220
    return subprocess.run([PEER, "sign", str(int(time.time())), folder], input=text.encode(), capture_output=True, check=True).stdout


def greeted(server):
    line = postroom.Line(server.port("mx"))
    assert line.reply()[0] == 220 and line.smtp("EHLO mail.good.example") == 250
    return line


def give(server, line, octets):
    for command, code in ((f"MAIL FROM:<{SENDER}>", 250), (f"RCPT TO:<{server.address('alice')}>", 250), ("DATA", 354)):
        got = line.smtp(command)
        if got != code:
            raise RuntimeError(f"{command}: {got}")
    line.send(octets + b".\r\n")
    code, texts = line.reply()
    if code != 250:
        raise RuntimeError(f"{code} {texts}")


def give_many(server, octets, count):
    """The milliseconds of each; a session takes so many only."""
    found = []
    while len(found) < count:
        with greeted(server) as line:
            for _ in range(min(PER_SESSION, count - len(found))):
                begun = time.monotonic()
                give(server, line, octets)
                found.append((time.monotonic() - begun) * 1000)
    return found


def rate(server, octets, count, at_once=8):
    """Messages per second, and microseconds of smtpd's processor time for each."""
    pids = server.pids("smtpd")
    count = count // at_once * at_once
    before = cpu_ns(pids)
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for done in [pool.submit(give_many, server, octets, count // at_once) for _ in range(at_once)]:
            done.result()
    return count / (time.monotonic() - begun), (cpu_ns(pids) - before) / 1000 / count


def anonymous(server):
    return sum(int(re.search(r"RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) for pid in server.pids("smtpd"))


def session_kib(server, octets, count):
    """Sessions that have said to whom; each worker has taken mail before."""
    def open_some(number):
        lines = []
        for _ in range(number):
            line = greeted(server)
            assert line.smtp(f"MAIL FROM:<{SENDER}>") == 250 and line.smtp(f"RCPT TO:<{server.address('alice')}>") == 250
            lines.append(line)
        return lines
    for line in open_some(50):
        line.close()
    with greeted(server) as line:
        give(server, line, octets)
    before = anonymous(server)
    lines = open_some(count)
    after = anonymous(server)
    for line in lines:
        line.close()
    return (after - before) / count


def times(server, octets, count):
    found = give_many(server, octets, count)
    return statistics.median(found), statistics.quantiles(found, n=100)[98]


class Slow:
    """Connections that are never done."""

    def __init__(self, server, count):
        self.lines = [greeted(server) for _ in range(count)]
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.drip, daemon=True)
        self.thread.start()

    def drip(self):
        while not self.is_over.wait(0.5):
            for line in self.lines:
                with contextlib.suppress(OSError):
                    line.send(b"N")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()
        for line in self.lines:
            line.close()


@contextlib.contextmanager
def receiver(dns, who_is_exempt, octets):
    """Its caches are filled, and it does what is to be measured."""
    with postroom.Instance(accounts=("alice",), conf=CONF + dns.conf() + f"exempt-networks {who_is_exempt}\n") as server:
        server.start(only="smtpd")
        give_many(server, octets, 20)
        text = server.files("alice")[0].read_bytes()
        if (b"dmarc=pass" in text) != (who_is_exempt == "never"):
            raise RuntimeError(f"exempt-networks {who_is_exempt}: not what was to be measured\n{text[:2000]!r}")
        yield server


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--slow", type=int, default=2000)
    args = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        stack.enter_context(work_folder(postroom.BUILD))
        dns = stack.enter_context(dns_server.DnsServer(ttl=300))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        dns.add_reverse("127.0.0.1", "mail.good.example").add("mail.good.example", "A", "127.0.0.1")
        dns.add("good.example", "A", "192.0.2.1").add("good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all")
        dns.add("_dmarc.good.example", "TXT", "v=DMARC1; p=reject")
        octets = signed(dns, pathlib.Path(folder))
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n\nMX, {len(octets)} octets, 8 at once")
        checked, exempt = (stack.enter_context(receiver(dns, who, octets)) for who in ("never", "loopback"))
        runs = [(rate(checked, octets, args.messages), rate(exempt, octets, args.messages)) for _ in range(args.repeat)]
        for name, which in (("SPF, DKIM and DMARC", 0), ("exempt", 1)):
            rates = [run[which][0] for run in runs]
            cpu = statistics.median(run[which][1] for run in runs)
            print(f"  {name:<52} {statistics.median(rates):>8.0f} messages/s   {min(rates):.0f} to {max(rates):.0f}, CPU {cpu:.0f} us each")
        share = statistics.median(run[0][0] / run[1][0] for run in runs)
        print(f"  {'share that is left':<52} {share:>8.2f} (target 0.50)\n")
        kib = session_kib(checked, octets, args.sessions)
        quiet = times(checked, octets, 300)
        with Slow(checked, args.slow):
            loud = times(checked, octets, 300)
        print(f"{'memory of a session with one recipient':<54} {kib:>8.1f} KiB (target 64)\n")
        print("MX, one message after the other                         p50 ms   p99 ms")
        print(f"  {'alone':<52} {quiet[0]:>8.1f} {quiet[1]:>8.1f}")
        print(f"  {f'beside {args.slow} slow connections':<52} {loud[0]:>8.1f} {loud[1]:>8.1f}   {loud[1] / quiet[1]:.1f} times (target 2)")


if __name__ == "__main__":
    main()
