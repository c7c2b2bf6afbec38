"""Where the pixels of calibration frames come from: rows in adu, straight from files or unpacked once."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sciastro.core.lift import run_tasks
from sciastro.errors import FileError, SciastroError
from sciastro.io.framefacts import FrameFacts
from sciastro.io.probe import Probe
from sciastro.io.reader import open_rows, probe, read_pixels
from sciastro.recipe.context import Context
from sciastro.recipe.masterspecs import MasterSpec
from sciastro.recipe.session import Session
from sciastro.recipe.unpacked import unpack

__all__ = ["Rows", "image_of", "rows_of", "sources_of"]

Rows = Callable[[int, int], npt.NDArray[np.generic]]


def sources_of(
    spec: MasterSpec, session: Session, context: Context, folder: Path
) -> tuple[dict[str, Rows], dict[str, str]]:
    """Return a row reader per frame that can be read, and why the others cannot.

    Frames of packed files are unpacked once: into memory where it holds all of them, else into `folder`.
    """
    found: dict[str, Rows] = {}
    left_out: dict[str, str] = {}
    nbytes = len(spec.frames) * int(np.prod(spec.key.shape)) * np.dtype(spec.key.dtype).itemsize
    hold = nbytes < context.memory // 3

    def open_one(frame: FrameFacts) -> Rows | str:
        try:
            rows = rows_of(frame, session, None if hold else folder)
            if not _has_numbers(rows, frame):
                return "holds no finite pixel. Take it out, or save it again."
            return rows
        except SciastroError as error:
            return f"{error.found} {error.remedy}".strip()

    for frame, got in zip(
        spec.frames, run_tasks(open_one, spec.frames, workers=context.workers), strict=True
    ):
        if isinstance(got, str):
            left_out[frame.name] = got
        else:
            found[frame.name] = got
    return found, left_out


def _has_numbers(rows: Rows, frame: FrameFacts) -> bool:
    """Return whether any pixel is finite; integers all are."""
    height = frame.shape[0]
    middle = height // 2
    return np.dtype(frame.dtype).kind != "f" or any(
        bool(np.isfinite(rows(first, last)).any())
        for first, last in ((middle, middle + 1), (0, height))
        if last > first
    )


def image_of(path: Path, frame: FrameFacts) -> Probe:
    """Return the image of `frame` in its file.

    Raises
    ------
    FileError
        If the file has changed since it was scanned, and the image is gone.
    """
    for one in probe(path):
        if one.hdu == frame.hdu:
            return one
    raise FileError(
        f"holds no image in HDU {frame.hdu} any more.",
        where=str(path),
        remedy="It changed while the run went on; run again when nothing writes to it.",
    )


def rows_of(frame: FrameFacts, session: Session, folder: Path | None) -> Rows:
    """Return a reader of rows in adu; a packed file is unpacked to `folder`, None: into memory."""
    path = session.path(frame)
    image = image_of(path, frame)
    rows: Rows = open_rows(image)
    if image.offset is None or path.suffix.lower() in (".gz", ".bz2"):
        whole = read_pixels(path, frame.hdu)
        rows = (partial(_part, whole) if folder is None else unpack(whole, frame.name, folder)) or rows
    if frame.adu_per_unit == 1.0 and frame.pedestal == 0.0:
        return rows
    factor, offset = np.float32(frame.adu_per_unit), np.float32(frame.pedestal)
    return lambda first, last: rows(first, last).astype(np.float32) * factor - offset


def _part(whole: npt.NDArray[np.generic], first: int, last: int) -> npt.NDArray[np.generic]:
    return whole[first:last]
