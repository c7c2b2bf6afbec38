"""Scan a folder of anything into frames; `grouping` sorts them.

Reads headers only, but of files that may be copies of another. What cannot be read is skipped with its
reason, never in silence.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sciastro.core.options import Options, option
from sciastro.errors import FileError, OptionError
from sciastro.io.framefacts import FrameFacts
from sciastro.io.headerparts import bayer_pattern
from sciastro.io.headers import facts_from_header
from sciastro.io.nights import night_of
from sciastro.io.probe import Probe
from sciastro.io.product_reading import is_product
from sciastro.io.raw import SUFFIXES as RAW_SUFFIXES
from sciastro.io.reader import LATER, is_image, probe
from sciastro.recipe.clocks import site_from_text
from sciastro.recipe.copies import without_copies
from sciastro.recipe.targets import name_targets

__all__ = ["ScanOptions", "Session", "by_time", "scan"]

OUTPUT_MARKS = ("summary.json", "frames.h5")
TELL = "--set scan.exposure=SECONDS"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanOptions(Options):
    """What is known of frames whose files are silent, such as videos and cameras."""

    exposure: float | None = option(
        None, "Exposure time of frames of which neither header nor name tells one.", unit="s", low=0.0
    )
    utc_offset: float | None = option(
        None,
        "Hours by which a camera's clock is ahead of UTC, where its files do not tell the time zone.",
        unit="h",
        low=-14.0,
        high=15.0,
    )
    site: str = option(
        "", "Latitude, longitude (east positive) [deg] and height [m] where no header names the site."
    )
    cfa: str = option(
        "",
        "Colors of the sensor, row by row as stored (RGGB, ..., 36 letters for X-Trans), where no header "
        "names them; empty: monochrome.",
    )

    @property
    def pattern(self) -> str:
        """Return `cfa` in capital letters.

        Raises
        ------
        OptionError
            If it is no Bayer pattern and none of six by six.
        """
        found = bayer_pattern(self.cfa)
        if self.cfa.strip() and not found:
            raise OptionError(
                f"is '{self.cfa}', no color filter array.",
                where="scan.cfa",
                remedy="Give RGGB, BGGR, GRBG or GBRG, or the 36 letters of X-Trans, row by row.",
            )
        return found


SCAN_DEFAULTS = ScanOptions()


@dataclass(frozen=True, slots=True)
class Session:
    """What a folder holds.

    Attributes
    ----------
    root
        The folder.
    frames
        One entry per frame that can be read, sorted by path.
    skipped
        Images that cannot be used: path relative to the root, and why.
    ignored
        Other files (notes, tables, pictures beside raw files of the same name), relative to the root.
    known
        What the headers of skipped files say, where they could be read.
    """

    root: Path
    frames: tuple[FrameFacts, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    known: tuple[FrameFacts, ...] = ()

    def of_kind(self, *kinds: str) -> tuple[FrameFacts, ...]:
        """Return the frames of the given kinds."""
        return tuple(frame for frame in self.frames if frame.kind in kinds)

    def path(self, frame: FrameFacts) -> Path:
        """Return where the file of `frame` lies."""
        return self.root / frame.path


# --------------------------------------------------------------------------------------------- scan
def scan(
    folder: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    leave: Path | None = None,
    options: ScanOptions = SCAN_DEFAULTS,
) -> Session:
    """Read the header of every image in `folder` and below.

    Hidden files and folders, results of earlier runs (folders with a ``summary.json`` and a ``frames.h5``)
    and folders seen before through symbolic links are left out.

    Parameters
    ----------
    folder
        The session.
    progress
        Called with the number of files done and of all files, after each.
    leave
        A folder inside `folder` not to look into: where this run writes.
    options
        What is known of frames whose files are silent.

    Returns
    -------
    Session
        Frames of unknown kind with an exposure time count as lights, and say so in their origins.

    Raises
    ------
    FileError
        If `folder` does not exist or is no folder, or not one frame in it can be used.
    """
    if not folder.is_dir():
        found = "is a file, not a folder." if folder.exists() else "does not exist."
        raise FileError(found, where=str(folder), remedy="Give the folder that holds the frames.")
    closed: list[OSError] = []
    files = list(_walk(folder, leave, closed))
    seen = {path for path in files if is_image(path)} - _pictures_of_raws(files)
    images = [path for path in files if path in seen]
    ignored = tuple(_relative(folder, path) for path in files if path not in seen)
    frames: list[FrameFacts] = []
    skipped = [(_relative(folder, Path(error.filename)), _closed(error)) for error in closed]
    for number, path in enumerate(images, start=1):
        name = _relative(folder, path)
        try:
            units = probe(path)
            first = units[0]
            if is_product(first.header) and first.header.get("PRODUCT") != "MASTER":
                skipped.append((name, "is a product of sciastro, not a raw frame."))
                continue
            frames += _frames_of(name, units, options)
        except FileError as error:
            skipped.append((name, f"{error.found} {error.remedy}".strip()))
        if progress is not None:
            progress(number, len(images))
    read = frames
    frames, unusable = _usable(frames)
    frames, copies = without_copies(frames, folder)
    skipped += [*unusable, *copies]
    if not frames:
        raise _nothing(folder, skipped)
    usable = tuple(name_targets(_share_site(frames), folder))
    out = {path for path, _ in skipped}
    known = tuple(frame for frame in read if frame.path in out or frame.name in out)
    return Session(folder, usable, tuple(sorted(skipped)), ignored, known)


def _pictures_of_raws(files: Sequence[Path]) -> set[Path]:
    """Return the pictures that a camera has written beside raw files of the same name."""
    raws = {(path.parent, path.stem.casefold()) for path in files if path.name.lower().endswith(RAW_SUFFIXES)}
    pictures = (path for path in files if path.suffix.lower() in LATER)
    return {path for path in pictures if (path.parent, path.stem.casefold()) in raws}


def _nothing(folder: Path, skipped: Sequence[tuple[str, str]]) -> FileError:
    if not skipped:
        return FileError(
            "holds no images.",
            where=str(folder),
            remedy="Give the folder that holds the raw frames (.fits, .fit, .fts, also .gz, .bz2 or .fz; "
            "XISF, camera raw, TIFF, SER).",
        )
    path, reason = skipped[0]
    return FileError(
        f"holds {len(skipped)} image{'s' if len(skipped) > 1 else ''}, and none can be used.",
        where=str(folder),
        remedy=f"The first one, {path}: {reason}",
    )


def _closed(error: OSError) -> str:
    """Return why a folder is left out."""
    return f"is a folder that cannot be read ({error.strerror}). Allow it, or take it out."


def _walk(folder: Path, leave: Path | None, closed: list[OSError]) -> Iterator[Path]:
    """Yield the files below `folder`, sorted, each real folder once; errors of folders go to `closed`."""
    seen: set[tuple[int, int]] = set()
    if leave is not None and leave.is_dir():
        status = leave.stat()
        seen.add((status.st_dev, status.st_ino))
    for root, folders, files in os.walk(folder, followlinks=True, onerror=closed.append):
        here = Path(root)
        status = here.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in seen or (here != folder and all((here / mark).exists() for mark in OUTPUT_MARKS)):
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = here / name
            if not name.startswith(".") and path.is_file():
                yield path


def _relative(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _frames_of(name: str, units: Sequence[Probe], options: ScanOptions) -> list[FrameFacts]:
    """Return the frames of one file: its first image, or all of them where they are a sequence."""
    count = len(units) if units[0].sequence else 1
    site = site_from_text(options.site)
    frames = [
        facts_from_header(
            unit.header, name, unit.shape, str(unit.dtype), unit.hdu,
            exposure_else=options.exposure, utc_offset=options.utc_offset, site_else=site,
            cfa_else=options.pattern,
        )
        for unit in units[:count]
    ]  # fmt: skip
    if count > 1:
        return [_decided(replace(frame, of=count)) for frame in frames]
    return [_decided(_alone(frames[0], units[0], len(units)))]


def _alone(facts: FrameFacts, first: Probe, number: int) -> FrameFacts:
    """Return `facts` with a word on further images in its file, unless they are the error and the bits."""
    if number == 1 or is_product(first.header):
        return facts
    problem = f"holds {number} images; only the first one (HDU {facts.hdu}) is used"
    return replace(facts, problems=(*facts.problems, problem))


def _decided(facts: FrameFacts) -> FrameFacts:
    """Return a frame of unknown kind as a light, where it has an exposure time and nobody says otherwise."""
    if facts.kind != "unknown" or not facts.exposure:
        return facts
    origins = {**facts.origins, "kind": "default"}
    problem = "names no kind of frame; it is taken as a light"
    return replace(facts, kind="light", origins=origins, problems=(*facts.problems, problem))


def _usable(frames: Iterable[FrameFacts]) -> tuple[list[FrameFacts], list[tuple[str, str]]]:
    kept, skipped = [], []
    for frame in frames:
        if frame.kind == "unknown":
            skipped.append(
                (
                    frame.name,
                    "names neither its kind nor an exposure time. Add IMAGETYP or EXPTIME, put it into a "
                    f"folder named after its kind, or tell the time: {TELL}.",
                )
            )
        elif frame.kind == "light" and not frame.exposure:
            said = f": {'; '.join(frame.refused)}. Mend the card in" if frame.refused else ". Add EXPTIME to"
            reason = f"is a light without an exposure time{said} its header, or tell it: {TELL}."
            skipped.append((frame.name, reason))
        elif frame.kind == "master-light":
            skipped.append((frame.name, "is a stack already, not a raw frame. Give the raw frames."))
        else:
            kept.append(frame)
    return kept, skipped


def _share_site(frames: Sequence[FrameFacts]) -> list[FrameFacts]:
    """Return the frames with nights by the one site that others name, where their own header has none."""
    sites = {(round(f.site[0], 1), round(f.site[1], 1)): f.site for f in frames if f.site is not None}
    if len(sites) != 1:
        return list(frames)
    site = next(iter(sites.values()))
    shared = []
    for frame in frames:
        if frame.site is None and frame.origins.get("night") == "UTC noon":
            night, _ = night_of(frame.time, site)
            origins = {**frame.origins, "night": "site longitude of other frames"}
            shared.append(replace(frame, night=night, origins=origins))
        else:
            shared.append(frame)
    return shared


# ------------------------------------------------------------------------------------------- groups
def by_time(frame: FrameFacts) -> tuple[float, str]:
    """Return a key that sorts frames by time, those without one last, and by name."""
    return (frame.time.timestamp() if frame.time is not None else math.inf, frame.name)
