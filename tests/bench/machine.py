"""What the benches ask of the machine: processor time, memory, and a place on the disk."""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import socket
import struct
import tempfile
import time

TICK_NS = 1000000000 // os.sysconf("SC_CLK_TCK")
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_TOPDIR_FL = 0x80086601, 0x40086602, 0x20000    # <linux/fs.h>


def cpu_by_process(pids):
    """Nanoseconds that each of these processes has run, its threads too, also those that ended (clock_getcpuclockid(3))."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):      # it may end meanwhile
            found[pid] = round(time.clock_gettime(~pid << 3 | 2) * 1e9)
    return found


def cpu_ns(pids):
    """Nanoseconds that these processes have run: what else the machine does is not in it. Children that ended and were waited for are
    in it, too, but the kernel tells of those in ticks of 10 ms only."""
    total = sum(cpu_by_process(pids).values())
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            total += sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[13:15])) * TICK_NS
    return total


def memory(pids):
    """Resident and proportional kilobytes of these processes (smaps_rollup)."""
    rss = pss = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            rss += int(re.search(r"^Rss:\s+(\d+)", text, re.M).group(1))
            pss += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
    return rss, pss


def kernel_memory():
    """Kilobytes that the kernel holds for itself and cannot drop: of the whole machine, so differences only."""
    text = pathlib.Path("/proc/meminfo").read_text()
    return sum(int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1)) for name in ("SUnreclaim", "KernelStack", "PageTables"))


def socket_memory(count=500):
    """Kilobytes of one end of a TCP connection on loopback."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=count))
        before = kernel_memory()
        for _ in range(count):
            stack.enter_context(socket.create_connection(listener.getsockname()))
            stack.enter_context(listener.accept()[0])
        return max(0, kernel_memory() - before) / (2 * count)


def spread(folder):
    """Ask ext4 to put each folder made in this one into a block group of its own (chattr +T).

    ext4 without a journal does not use an inode again for minutes after its file was deleted, and makes each new file in the same
    group pass over all of those. A server beside one that deletes many files would pay for the other, and for what lay there before.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):      # a file system that knows no such flag
            flags, = struct.unpack("l", fcntl.ioctl(fd, FS_IOC_GETFLAGS, struct.pack("l", 0)))
            fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("l", flags | FS_TOPDIR_FL))
    finally:
        os.close(fd)


@contextlib.contextmanager
def work_folder(where, keep=False):
    """All that tempfile makes meanwhile stands in a folder below where, spread, and is removed with it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-work-", dir=where))
    folder.chmod(0o755)         # Postfix's own users pass through it
    spread(folder)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
