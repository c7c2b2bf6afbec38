"""Write bytes at a position of an open file, on request without keeping them in the system's memory."""

import errno
import os
import sys
import threading

__all__ = ["put"]

DONT_CACHE = 0x80  # RWF_DONTCACHE of Linux 6.14; Python has no name for it yet
_SEEKING = threading.Lock()  # where a write at a position takes two steps


def put(descriptor: int, start: int, content: memoryview, *, once: bool) -> None:
    """Write all of `content` at position `start`; `once`: nobody will read it soon.

    Where the system can, it then writes at once and takes the same pages for the next call. Fresh ones for
    every frame cost ten times as much as the copy, where a virtual machine first has to ask for them.
    """
    done = 0
    flags = DONT_CACHE if once and sys.platform == "linux" else 0
    while done < len(content):
        try:
            if flags:
                done += os.pwritev(descriptor, [content[done:]], start + done, flags)
            elif not hasattr(os, "pwrite"):  # Windows; others may be writing other parts of the file
                with _SEEKING:
                    os.lseek(descriptor, start + done, os.SEEK_SET)
                    done += os.write(descriptor, content[done:])
            else:
                done += os.pwrite(descriptor, content[done:], start + done)
        except OSError as error:
            if not flags or error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
            flags = 0  # an older system, or a file system that cannot
