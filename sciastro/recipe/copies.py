"""Files that a folder holds twice (a backup, "Copy of ..."): a frame that counts twice is no second frame."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

from sciastro.errors import FileError
from sciastro.io.framefacts import FrameFacts
from sciastro.io.reader import sha256
from sciastro.recipe.reasons import COPY

__all__ = ["without_copies"]

PART = 65536  # bytes from the middle of a file that are compared before all are


def without_copies(
    frames: Sequence[FrameFacts], folder: Path
) -> tuple[list[FrameFacts], list[tuple[str, str]]]:
    """Return the frames without those of files that repeat another one byte by byte, and what was left out.

    Only files of equal kind, time and size are opened; of those, all is read only where the middle is equal.

    Parameters
    ----------
    frames
        Of a session, with paths relative to `folder`; the first one in their order stays.

    Returns
    -------
    list, list
        Frames that stay; path of a copy and the reason, once per file.
    """
    files = {frame.path: frame for frame in frames}
    original: dict[str, str] = {}
    alike = _groups((_facts_key(frame, folder), frame.path) for frame in files.values())
    for candidates in alike:
        for near in _groups((_middle(folder / path), path) for path in candidates):
            for first, *others in _groups((_digest(folder / path), path) for path in near):
                original |= dict.fromkeys(others, first)
    kept = [frame for frame in frames if frame.path not in original]
    return kept, [(path, f"{COPY} {first}; a frame counts once") for path, first in original.items()]


def _groups(keyed: Iterable[tuple[Hashable, str]]) -> list[list[str]]:
    """Return the paths that share a key with another one; a path with the key None shares it with none."""
    found: defaultdict[Hashable, list[str]] = defaultdict(list)
    for key, path in keyed:
        if key is not None:
            found[key].append(path)
    return [paths for paths in found.values() if len(paths) > 1]


def _facts_key(frame: FrameFacts, folder: Path) -> Hashable:
    try:
        size = (folder / frame.path).stat().st_size
    except OSError:  # gone since: reading it will tell
        return None
    return frame.kind, frame.time, frame.shape, size


def _middle(path: Path) -> Hashable:
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size // 2 - PART // 2, 0))
            return file.read(PART)
    except OSError:
        return None


def _digest(path: Path) -> Hashable:
    try:
        return sha256(path)
    except FileError:
        return None
