"""Where a solution is written: into the header of a FITS image, or a ``.wcs`` file beside anything else.

A FITS file keeps all its other bytes and is replaced in one step; a ``.wcs`` file is a header without pixels,
as astrometry.net and ASTAP write it. What others made is never replaced unless that is asked for.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from astropy.io import fits
from astropy.wcs import WCS

from sciastro.astrometry.solution import Solution
from sciastro.core.tpv import header_as
from sciastro.errors import HeaderError, OutputError, SciastroError
from sciastro.io.fits import FitsReader
from sciastro.io.fitscards import MARK, put_cards, writable
from sciastro.io.fitsunits import walk
from sciastro.io.paths import atomic_path
from sciastro.io.reader import is_image
from sciastro.recipe.lensing import lens_card
from sciastro.recipe.solveanswer import file_wcs
from sciastro.recipe.solvereading import Field

__all__ = ["Writing", "check_place", "header_of", "once", "write_solution"]

log = logging.getLogger(__name__)

MADE_BY = "solved by sciastro"


@dataclass(frozen=True, kw_only=True, slots=True)
class Writing:
    """Where solutions go.

    Attributes
    ----------
    folder
        Folder for copies of FITS files with their WCS, and for ``.wcs`` files; None: where the files are.
    overwrite
        Replace files that are there and are not ours.
    distortion
        "sip" or "tpv" (`core.tpv`).
    """

    folder: Path | None = None
    overwrite: bool = False
    distortion: str = "sip"


def header_of(wcs: WCS, distortion: str = "sip") -> fits.Header:
    """Return the cards of a WCS with a CD matrix, which every program reads, in place of PC and CDELT.

    Raises
    ------
    HeaderError
        If "tpv" does not follow the SIP fit within 1 mas.
    """
    header = header_as(wcs, distortion)
    if "CD1_1" in header:
        return header
    step = [float(header.get(f"CDELT{k}", 1.0)) for k in (1, 2)]
    cd = [[step[i] * float(header.get(f"PC{i + 1}_{j + 1}", float(i == j))) for j in (0, 1)] for i in (0, 1)]
    for key in ("CDELT1", "CDELT2", "PC1_1", "PC1_2", "PC2_1", "PC2_2"):
        header.remove(key, ignore_missing=True)
    place = "CRPIX2"
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        key = f"CD{i + 1}_{j + 1}"
        header.set(key, cd[i][j], "[deg / pixel] Coordinate transformation matrix", after=place)
        place = key
    return header


def write_solution(
    path: Path, field: Field, solution: Solution, how: Writing, warn: Callable[[str], None] = log.warning
) -> Path:
    """Write the WCS of a file; return the file that holds it.

    A FITS image gets it into its header (of the HDU that was solved), in place or in a copy; any other image
    gets a file ``NAME.wcs`` beside it, or ``NAME.SUFFIX.wcs`` where another image has the same stem. `warn`
    hears where the distortion is not in the form that was asked for.

    Raises
    ------
    OutputError
        If the file is read-only, one that others made is in the way, or the disk refuses.
    """
    cards = _cards(file_wcs(solution, field), how.distortion, warn)
    note = f"{solution.n_stars} stars, rms {solution.rms_arcsec:.2f} arcsec, {solution.method}"
    for keyword, (off, comment) in lens_card(solution, solution.scale / field.step).items():
        note += f", lens followed within {off:.3f} pixel"
        cards[keyword] = (off, comment)
    target = check_place(path, how)
    if _in_header(path):
        hdu = field.facts.hdu if field.facts is not None else 0
        put_cards(path, hdu, cards, note=note, target=None if how.folder is None else target)
        return target
    header = fits.PrimaryHDU().header
    header.extend(cards, update=True)
    header["IMAGEH"], header["IMAGEW"] = field.file_shape
    if field.top_down:
        header["ROWORDER"] = ("TOP-DOWN", "pixel (1, 1) is the upper left one")
    header["HISTORY"] = f"{MADE_BY}: {note}"
    with atomic_path(target) as part:
        fits.PrimaryHDU(header=header).writeto(part, overwrite=True)
    return target


def _cards(wcs: WCS, distortion: str, warn: Callable[[str], None]) -> fits.Header:
    """Return the cards in the form that was asked for; as SIP, and said so, where that cannot be."""
    try:
        return header_of(wcs, distortion)
    except HeaderError as error:
        warn(f"The distortion is written as SIP: {error}")
        return header_of(wcs)


def check_place(path: Path, how: Writing) -> Path:
    """Return the file that the WCS of `path` goes to, if it may be written; asked before time is spent.

    Raises
    ------
    OutputError
        If the file is read-only, or one that others made is in the way.
    """
    folder = path.parent if how.folder is None else how.folder
    if not _in_header(path):
        return _free(folder / _wcs_name(path), path, how)
    if how.folder is None:
        if os.access(path, os.F_OK):  # not so in a folder that may not be entered: reading tells of it
            writable(path.resolve())
        return path
    return _free(folder / path.name, path, how)


def once(target: Path, source: Path, taken: dict[Path, Path]) -> None:
    """Note that `source` is written to `target`, which no other file of the same command may be.

    Raises
    ------
    OutputError
        If one is: two folders may hold files of one name.
    """
    before = taken.setdefault(target.resolve(), source.resolve())
    if before != source.resolve():
        raise OutputError(
            f"would go into the same file as '{before}', {target}.",
            where=str(source),
            remedy="Solve them in two commands, with two --output folders.",
        )


def _in_header(path: Path) -> bool:
    return path.name.lower().endswith(FitsReader.suffixes)


def _wcs_name(path: Path) -> str:
    """Return NAME.wcs, as other programs look for it; NAME.SUFFIX.wcs where two images would share that."""
    stem = path.stem.casefold()
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    twins = (one for one in beside if one.stem.casefold() == stem and one.name != path.name)
    return f"{path.name}.wcs" if any(is_image(one) for one in twins) else f"{path.stem}.wcs"


def _free(target: Path, source: Path, how: Writing) -> Path:
    """Return `target` if it may be written: it is not there, is ours, or the user said so.

    Raises
    ------
    OutputError
        If it is somebody else's, or the very file that was solved.
    """
    if target.exists() and target.resolve() == source.resolve():
        raise OutputError(
            "is the file that was solved.", where=str(target), remedy="Name another --output folder."
        )
    if target.exists() and not how.overwrite and not _ours(target):
        raise OutputError(
            "exists and was not made by sciastro solve.",
            where=str(target),
            remedy="Use --overwrite to replace it, or --output FOLDER to write elsewhere.",
        )
    return target


def _ours(path: Path) -> bool:
    """Return whether a file says that a solution of ours is in it."""
    try:
        headers = [unit.header for unit in walk(path)]
    except (SciastroError, OSError):
        return False  # whatever it is, it is not ours
    return any(
        str(line).startswith((MADE_BY, MARK.strip()))
        for header in headers
        for line in header.get("HISTORY", [])
    )
