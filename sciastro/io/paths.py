"""Safe names and safe writes: what a header says never decides where a file lands.

A product is written beside its final name and moved there in one step, so that a crash or a full
disk leaves the old file or none, never half of a new one.
"""

import contextlib
import errno
import os
import re
import secrets
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from sciastro.errors import FileError, OutputError, UsageError

__all__ = [
    "REASONS",
    "atomic_path",
    "closed_file",
    "ensure_writable",
    "new_folder",
    "inside",
    "output_error",
    "output_errors",
    "safe_name",
    "sweep",
    "unlike",
]

MAX_BYTES = 100
"""Longest name part [bytes of UTF-8]; file systems allow 255 for the whole name."""

RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)
PART = re.compile(r"\..*\.[0-9a-f]{8}\.part(\.[^.]*)?")
"""Names that `atomic_path` gives to files that are being written."""
FORBIDDEN = frozenset('<>:"/\\|?*%')

REASONS = {
    errno.ENOSPC: ("cannot be written: the disk is full.", "Free some space or choose another folder."),
    errno.EDQUOT: (
        "cannot be written: your disk quota is used up.",
        "Free some space or choose another folder.",
    ),
    errno.EFBIG: (
        "cannot be written: the file would be larger than the system allows.",
        "Raise the limit, or choose another folder.",
    ),
    errno.EIO: (
        "cannot be written: the disk reports an error.",
        "Check the disk, or choose another folder.",
    ),
    errno.EACCES: ("cannot be written: permission denied.", "Choose a folder that you may write to."),
    errno.EPERM: ("cannot be written: not permitted.", "Choose a folder that you may write to."),
    errno.EROFS: ("cannot be written: the file system is read-only.", "Choose another folder."),
    errno.ENOTDIR: (
        "cannot be written: a part of the path is a file, not a folder.",
        "Choose another folder.",
    ),
    errno.EISDIR: (
        "cannot be written: a folder of that name exists.",
        "Move it away or choose another name.",
    ),
    errno.ENAMETOOLONG: ("cannot be written: the name is too long.", "Choose a shorter one."),
}


def safe_name(text: str, *, default: str = "unnamed") -> str:
    """Return `text` (an object, a filter, anything a header says) as one part of a file name.

    Parameters
    ----------
    text
        Any string. Accents and other scripts are kept (normalized to NFC); white space becomes
        one underscore; separators, control characters and what Windows forbids become hyphens.
    default
        Returned where nothing printable is left.

    Returns
    -------
    str
        Never empty, no leading or trailing dot, at most 100 bytes of UTF-8.
    """
    normal = unicodedata.normalize("NFC", text)
    spaced = "".join(" " if char.isspace() else char for char in normal)
    kept = "".join("-" if char in FORBIDDEN or _invisible(char) else char for char in spaced)
    name = "_".join(kept.split())
    while ".." in name:
        name = name.replace("..", ".")
    name = name.strip("._- ")
    name = name.encode()[:MAX_BYTES].decode(errors="ignore").rstrip("._- ")
    if name.split(".")[0].casefold() in RESERVED:
        name = f"{name}_"
    return name or default


def unlike(name: str, taken: set[str]) -> str:
    """Return `name`, numbered where one that differs at most in case is taken already, and take it.

    Parameters
    ----------
    taken
        Case-folded names; the returned one is added.
    """
    given, number = name, 1
    while given.casefold() in taken:
        number += 1
        given = f"{name}_{number}"
    taken.add(given.casefold())
    return given


def _invisible(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def inside(root: Path, path: Path) -> Path:
    """Return `path`, resolved, if it lies in the folder `root`.

    Raises
    ------
    UsageError
        If the path escapes from `root` (through "..", an absolute path or a symbolic link).
    """
    base = root.resolve()
    resolved = (base / path).resolve()
    if not resolved.is_relative_to(base):
        raise UsageError(
            f"leads out of the folder '{root}'.", where=str(path), remedy="Use a path inside that folder."
        )
    return resolved


@contextlib.contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into an `OutputError` about `path`.

    Raises
    ------
    OutputError
        With the reason in plain words (disk full, permission denied, read-only, ...).
    """
    try:
        yield
    except OSError as error:
        raise output_error(error, path) from error


def closed_file(error: PermissionError) -> FileError:
    """Return the system's refusal to let a file or folder be used, in plain words."""
    return FileError(
        "may not be used: permission denied.", where=str(error.filename or "a file"),
        remedy="Check its permissions, and those of its folder.",
    )  # fmt: skip


def output_error(error: Exception, path: Path) -> OutputError:
    """Return `error` as an `OutputError` about `path`, in plain words.

    HDF5 tells the number of the system's error only in its text, and sometimes in a `RuntimeError`.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (named := re.search(r"errno = (\d+)", str(error))):
        number = int(named[1])
    if number is None and "not enough space" in str(error).lower():  # astropy's own words
        number = errno.ENOSPC
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    found, remedy = REASONS.get(number or 0, (f"cannot be written: {text}.", "Choose another folder."))
    return OutputError(found, where=str(path), remedy=remedy)


def sweep(folder: Path) -> int:
    """Remove what killed runs left half-written in `folder` (see `atomic_path`); return how many files."""
    stale = [path for path in folder.glob(".*.part*") if PART.fullmatch(path.name)]
    with output_errors(folder):
        for path in stale:
            path.unlink(missing_ok=True)
    return len(stale)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; move it to `path` when the block ends well.

    The file is flushed to the disk before it is moved, and so is the folder after it. When the block
    raises, the temporary file is removed and an older `path` stays as it was.

    Raises
    ------
    OutputError
        If the file system refuses.
    """
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.parent / f".{path.stem[:40]}.{secrets.token_hex(4)}.part{path.suffix}"
        part.touch(exist_ok=False)
    try:
        with output_errors(path):
            yield part
            _flush(part)
            part.replace(path)
            _flush_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):  # the error that brought us here matters more
            part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # network file systems that cannot flush folders
            raise
    finally:
        os.close(handle)


def ensure_writable(folder: Path) -> Path:
    """Make `folder` if need be, prove that a file can be written there, and return it.

    Raises
    ------
    OutputError
        If it is a file, cannot be made, or cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            "is a file, not a folder.", where=str(folder), remedy="Choose another output folder."
        )
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".sciastro-", dir=folder) as probe:
            probe.write(b"0")
            probe.flush()
    return folder


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield `folder`, ready to be written to; if the block fails, folders that it made empty go again.

    Raises
    ------
    OutputError
        As `ensure_writable`.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield ensure_writable(folder)
    except BaseException:  # an interrupt must leave no empty folders either; all is raised again
        for one in made:
            with contextlib.suppress(OSError):  # holds what was written before
                one.rmdir()
        raise
