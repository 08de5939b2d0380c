"""System calls of running processes, counted by strace."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

FLUSHES = {"fsync", "fdatasync", "sync_file_range", "msync", "syncfs", "sync"}
# These depend on how threads happen to meet; the rest does not.
WAKE_UPS = {"futex", "epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "restart_syscall", "sched_yield", "sched_getcpu",
            "clock_nanosleep", "rt_sigprocmask", "rt_sigreturn"}
# The allocator's, and OpenSSL's question whether the process has forked: how often depends on what was done before.
LIBRARIES = {"getpid", "brk", "mmap", "munmap", "mprotect", "madvise", "mremap"}
# Of a new process, or of a new thread of one.
STARTS = {"fork", "vfork", "clone", "clone3"}


def total(calls, names):
    return sum(calls.get(name, 0) for name in names)


class SystemCalls:
    """strace -c on some processes while the block runs; .calls is name -> count, or None and .why."""

    def __init__(self, pids):
        self.pids, self.calls, self.why = pids, None, None

    def __enter__(self):
        if not shutil.which("strace"):
            self.why = "strace is not installed"
            return self
        fd, self.path = tempfile.mkstemp(prefix="strace-")
        os.close(fd)
        self.process = subprocess.Popen(["strace", "-f", "-c", "-U", "calls,name", "-o", self.path,
                                         *[arg for pid in self.pids for arg in ("-p", str(pid))]],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        attached = 0
        while attached < len(self.pids):
            line = self.process.stderr.readline()
            if not line or "attach:" in line:
                self.why = "strace: " + (line.strip() or "ended")
                self.process.kill()
                self.process.wait()
                return self
            attached += "attached" in line
        time.sleep(0.2)
        return self

    def __exit__(self, *_):
        if self.why:
            return
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)
        self.calls = {}
        for line in pathlib.Path(self.path).read_text().splitlines():
            match = re.fullmatch(r"\s*(\d+)\s+(\w+)\s*", line)
            if match and match.group(2) != "total":
                self.calls[match.group(2)] = int(match.group(1))
        os.unlink(self.path)
