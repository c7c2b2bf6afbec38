"""All or nothing: changes of an HDF5 file that a crash at any moment undoes.

`updating` first saves all bytes that are not pixels into a rollback journal beside the file; whoever opens
the file next restores the old state if the journal is still there.
"""

import contextlib
import json
import mmap
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import h5py

from sciastro.io.paths import output_error

__all__ = ["journal_of", "reading", "recover", "updating"]

_LOCK = threading.RLock()
LARGE = 1 << 16  # bytes; a contiguous dataset above this is pixels, which the journal leaves out


def journal_of(path: Path) -> Path:
    """Return where the journal of an update of `path` lies."""
    return path.with_name(f"{path.name}-journal")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[h5py.File]:
    """Open the file to read, after any update by another thread and after undoing one that crashed."""
    with _LOCK:
        recover(path)
        with h5py.File(path, "r") as file:
            yield file


@contextlib.contextmanager
def updating(path: Path) -> Iterator[None]:
    """Change the file inside this context; on any failure, now or by a crash, the old state comes back.

    Raises
    ------
    OutputError
        For a full disk or missing permission.
    """
    with _LOCK:
        recover(path)
        journal = journal_of(path)
        try:
            _save(path, journal)
            yield
            _settle(path)
        except BaseException as error:  # an interrupt must leave the old state too; all is raised again
            recover(path)
            if isinstance(error, OSError):
                raise output_error(error, path) from error
            if isinstance(error, RuntimeError) and "errno = " in str(error):  # HDF5 on a full disk
                raise output_error(error, path) from error
            raise
        journal.unlink()


def _save(path: Path, journal: Path) -> None:
    size = path.stat().st_size
    regions = _outside(_pixel_regions(path), size)
    temporary = journal.with_name(f".{journal.name}.new")
    try:
        with temporary.open("wb") as out, path.open("rb") as source:
            head = json.dumps({"size": size, "regions": regions}).encode()
            out.write(len(head).to_bytes(8, "little") + head)
            for start, length in regions:
                source.seek(start)
                out.write(source.read(length))
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(journal)
    finally:
        temporary.unlink(missing_ok=True)


def _settle(path: Path) -> None:
    """Wait until all bytes that are not pixels are on the disk.

    Pixels are left to the operating system, which writes them while the run goes on: waiting for them
    here would halt it for seconds, and no other byte's meaning depends on them.
    """
    page = mmap.ALLOCATIONGRANULARITY
    with path.open("r+b") as file:
        for start, length in _outside(_pixel_regions(path), path.stat().st_size):
            first = start // page * page
            with mmap.mmap(file.fileno(), start + length - first, offset=first) as view:
                view.flush()  # msync: flushes this range alone, and the metadata of the file


def _pixel_regions(path: Path) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []

    def visit(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks is None and item.id.get_storage_size() > LARGE:
            offset = item.id.get_offset()
            if offset is not None:
                found.append((int(offset), int(item.id.get_storage_size())))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return sorted(found)


def _outside(regions: list[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Return the complement of `regions` in a file of `size` bytes."""
    gaps, position = [], 0
    for start, length in regions:
        if start > position:
            gaps.append((position, start - position))
        position = max(position, start + length)
    if size > position:
        gaps.append((position, size - position))
    return gaps


def recover(path: Path) -> bool:
    """Undo an update that a crash cut short; return whether there was one."""
    journal = journal_of(path)
    with _LOCK:  # another thread may be in the midst of an update, whose journal must stay
        if not journal.exists():
            return False
        with journal.open("rb") as source, path.open("r+b") as target:
            head = json.loads(source.read(int.from_bytes(source.read(8), "little")))
            for start, length in head["regions"]:
                target.seek(start)
                target.write(source.read(length))
            target.truncate(head["size"])
            target.flush()
            os.fsync(target.fileno())
        journal.unlink()
        return True
