"""One run at a time in a folder."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from sciastro.errors import OutputError
from sciastro.io.paths import output_errors

__all__ = ["LOCK", "locked"]

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process inside the block; the system lets go when the process ends, however.

    Where the file system knows no locks, nothing is held.

    Raises
    ------
    OutputError
        If another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    path = folder / LOCK
    with output_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip() or "unknown"
            raise OutputError(
                f"is in use by another run (process {holder}).",
                where=str(folder),
                remedy="Wait until it ends, or choose another --out.",
            ) from error
        except OSError:  # no locks on this file system
            held = False
        else:
            held = True
        # On a full disk the lock holds all the same; its holder stays unnamed.
        with contextlib.suppress(OSError):
            if held:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield  # outside of any handler: what the block raises has no other error before it
    finally:
        os.close(descriptor)  # the file stays: removing it would let two runs lock two files of one name
