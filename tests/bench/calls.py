"""System calls of running processes, counted by strace."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

FLUSHES = ("fsync", "fdatasync", "sync_file_range", "msync", "syncfs", "sync")


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
