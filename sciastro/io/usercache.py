"""Arrays that are computed once for a user and kept: the folder, and files that are whole or absent.

The folder is ``$SCIASTRO_CACHE``, else ``$XDG_CACHE_HOME/sciastro``, else ``~/.cache/sciastro``. Everything
in it can be deleted at any time; it is made again when it is needed.
"""

import contextlib
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.io.paths import atomic_path, output_errors

__all__ = ["Notes", "cache_folder", "keep_arrays", "kept_arrays", "one_at_a_time"]

log = logging.getLogger(__name__)

LONGEST = 300.0  # seconds that one process waits for another
POLL = 0.1  # seconds between looks at a lock
DIGEST = "[0-9a-f]{12}"
DAY = 86_400.0  # seconds

Arrays = dict[str, npt.NDArray[Any]]


def cache_folder() -> Path:
    """Return the folder of this user's kept files; it may not exist yet."""
    own = os.environ.get("SCIASTRO_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sciastro"


def kept_arrays(name: str, wanted: tuple[str, ...]) -> Arrays | None:
    """Return the arrays kept under `name`, memory-mapped and read-only; None where they are not all there.

    Parameters
    ----------
    name
        Includes whatever the arrays depend on, such as a digest of their source.
    wanted
        Names of the arrays.
    """
    folder = cache_folder() / name
    try:
        return {
            one: np.load(folder / f"{one}.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)
            for one in wanted
        }
    except (OSError, ValueError):  # absent, or cut off by hand: it is made again
        return None


def keep_arrays(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Path:
    """Keep arrays under `name`, all at once: a folder is filled beside it and then renamed.

    What was kept under an older digest (``thing-`` and 12 hexadecimal digits) is removed, and what a maker
    that was killed more than a day ago left.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    target = cache_folder() / name
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=target.parent))
        try:
            for one, values in arrays.items():
                np.save(room / f"{one}.npy", values, allow_pickle=False)
            if target.exists():
                shutil.rmtree(target)
            try:
                room.rename(target)
            except OSError:  # another process was faster; its arrays are the same
                if not target.exists():
                    raise
        finally:
            shutil.rmtree(room, ignore_errors=True)
    with contextlib.suppress(OSError):  # another process sweeps, too
        _sweep(target)
    return target


def _sweep(kept: Path) -> None:
    """Remove the forerunners of a folder; who still reads one has it until he ends."""
    named = re.fullmatch(rf"(.+)-{DIGEST}", kept.name)
    if named is None:
        return
    thing = re.escape(named[1])
    for folder in kept.parent.iterdir():
        if folder == kept or folder.is_symlink() or not folder.is_dir():
            continue
        older = re.fullmatch(rf"{thing}-{DIGEST}", folder.name)
        left = re.fullmatch(rf"\.{thing}-{DIGEST}-.+", folder.name)
        if older or (left and time.time() - folder.stat().st_mtime > DAY):
            shutil.rmtree(folder, ignore_errors=True)  # Windows keeps what is in use
            log.info("removed %s, of an older format", folder)


@contextlib.contextmanager
def one_at_a_time(name: str, *, longest: float = LONGEST) -> Iterator[None]:
    """Hold `name` for this process inside the block; who comes second waits, and looks for what is kept.

    The system lets go when the holder ends, however it ends. Nothing is held where the folder cannot be
    written, where the file system (or Windows) knows no such locks, and when `longest` [s] is over: what is
    made twice is only slow.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    path = cache_folder() / f".{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:  # nowhere to lock: two processes may do it at once, each for itself
        yield
        return
    try:
        until = time.monotonic() + longest
        said = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    break
                if not said:
                    log.warning("another process is making %s: waiting for it", name)
                said = True
                time.sleep(POLL)
                continue
            except OSError:  # no locks on this file system
                pass
            break
        yield
    finally:
        os.close(descriptor)  # the file stays: removing it would let two processes lock two files of one name


class Notes:
    """Small notes between runs, one JSON file each in the folder ``notes``."""

    def _path(self, name: str) -> Path:
        return cache_folder() / "notes" / f"{name}.json"

    def recall(self, name: str) -> dict[str, Any] | None:
        """Return what was kept under `name`, None where nothing (readable) was."""
        try:
            note = json.loads(self._path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # absent, or cut off by hand: as if it had never been
            return None
        return note if isinstance(note, dict) else None

    def keep(self, name: str, note: dict[str, Any]) -> None:
        """Keep `note` in place of an older one.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        with atomic_path(self._path(name)) as part:
            part.write_text(json.dumps(note), encoding="utf-8")

    def forget(self, name: str) -> None:
        """Forget it."""
        with output_errors(self._path(name)):
            self._path(name).unlink(missing_ok=True)
