"""What the benches ask of the machine: processor time, and a place on the disk."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import struct
import tempfile

FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_TOPDIR_FL = 0x80086601, 0x40086602, 0x20000    # <linux/fs.h>


def cpu_ns(pids):
    """Nanoseconds that all threads of these processes have run (schedstat): what else the machine does is not in it."""
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total


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
def work_folder(where):
    """All that tempfile makes meanwhile stands in a folder below where, spread, and is removed with it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-work-", dir=where))
    folder.chmod(0o755)         # Postfix's own users pass through it
    spread(folder)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)
