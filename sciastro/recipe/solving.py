"""Solve files: any image in, its place on the sky out, written beside it."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS

from sciastro.astrometry.blind import Where, solve_blind
from sciastro.astrometry.solution import Solution
from sciastro.astrometry.solve import Hint, SolveOptions, solve_field
from sciastro.core.stars import StarArray
from sciastro.core.wcs import celestial_from_header, center, resampled, wcs_to_header
from sciastro.errors import FileError, SciastroError, SolveError
from sciastro.io.headers import FrameFacts, facts_from_header
from sciastro.io.paths import atomic_path
from sciastro.io.raster import read_raster
from sciastro.io.reader import probe, read_pixels
from sciastro.io.reference import cone
from sciastro.measure.stars import DetectOptions, measure_plane
from sciastro.recipe.skyindex import sky_index

__all__ = ["Answer", "Question", "solve_files"]

log = logging.getLogger(__name__)

PICTURES = (".png", ".jpg", ".jpeg")
WIDTHS = (None, 2.5, 5.0)  # pixel: of the stars; None measures it, the others where that goes wrong
DEEPEST = 3000  # catalog stars per field
YEAR = 2016.0  # epoch of positions where nobody says when the image was taken


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What the user knows: center, radius [deg], scale [arcsec / pixel]; time allowed [s]."""

    ra: float | None = None
    dec: float | None = None
    scale: float | None = None
    radius: float = 5.0
    seconds: float = 60.0
    blind: bool = False
    write: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """Where one file looks; keys of the JSON line.

    Attributes
    ----------
    center_deg
        RA, Dec of the middle of the image, ICRS.
    rotation_deg, parity
        Position angle of "up" as the image is shown, north through east; +1 sky as seen, -1 mirrored.
    log_odds
        log10 of the odds against chance.
    engine
        Which way it was solved: "header", "pattern" (near a hint) or "blind".
    reason
        Why it was not solved; empty otherwise.
    """

    path: str
    solved: bool
    center_deg: tuple[float, float] | None = None
    scale_arcsec_px: float | None = None
    rotation_deg: float | None = None
    parity: int | None = None
    n_stars: int | None = None
    rms_arcsec: float | None = None
    log_odds: float | None = None
    engine: str | None = None
    seconds: float = 0.0
    reason: str = ""
    written: str = ""

    def as_json(self) -> str:
        """Return the answer as one line of JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class _Image:
    """Pixels to find stars on, and what the file says of them."""

    plane: npt.NDArray[np.float32]
    step: int  # pixels of the file per pixel of `plane`
    top_down: bool
    wcs: WCS | None
    facts: FrameFacts | None


def solve_files(paths: Sequence[Path], question: Question) -> Iterator[Answer]:
    """Yield where each file looks; a file that cannot be read or solved has its reason."""
    for path in paths:
        start = time.monotonic()
        try:
            image = _read(path)
            solution = _solve(image, question)
            wcs = resampled(solution.wcs, scale=float(image.step)) if image.step > 1 else solution.wcs
            written = str(_write(path, wcs, image, solution)) if question.write else ""
        except SciastroError as error:
            yield Answer(str(path), solved=False, reason=str(error), seconds=time.monotonic() - start)
            continue
        yield _answer(path, image, solution, wcs, time.monotonic() - start, written)


def _answer(path: Path, image: _Image, solution: Solution, wcs: WCS, seconds: float, written: str) -> Answer:
    shape = (image.plane.shape[0] * image.step, image.plane.shape[1] * image.step)
    turn = 180.0 if image.top_down else 0.0
    return Answer(
        str(path), solved=True, center_deg=center(wcs, shape), scale_arcsec_px=solution.scale / image.step,
        rotation_deg=(solution.rotation + turn + 180.0) % 360.0 - 180.0,
        parity=-solution.parity if image.top_down else solution.parity,
        n_stars=solution.n_stars, rms_arcsec=solution.rms_arcsec, log_odds=-solution.log_false_alarm,
        engine=solution.method, seconds=seconds, written=written,
    )  # fmt: skip


def _read(path: Path) -> _Image:
    """Return the first image of a file as one plane.

    Raises
    ------
    FileError
        If there is none, or it is too small to hold a field of stars.
    """
    if path.suffix.lower() in PICTURES:
        image = _picture(path)
    else:
        try:
            image = _frame(path)
        except FileError:
            if path.suffix.lower() not in (".tif", ".tiff"):
                raise
            image = _picture(path)
    if min(image.plane.shape) < 32:
        rows, columns = image.plane.shape
        raise FileError(
            f"is {columns} x {rows} pixels.", where=str(path), remedy="Give an image of 32 pixels or more."
        )
    return image


def _picture(path: Path) -> _Image:
    """Return the brightness of a picture in levels of 8 bits, about what its noise is counted in."""
    return _Image(255.0 * read_raster(path).mean(axis=2, dtype=np.float32), 1, True, None, None)


def _frame(path: Path) -> _Image:
    one = probe(path)[0]
    facts = facts_from_header(one.header, path.name, one.shape, str(one.dtype), one.hdu)
    pixels = read_pixels(path, one.hdu).astype(np.float32)
    step = 2 if facts.cfa else 1  # X-Trans, too: the mean of four pixels has no color pattern to speak of
    if step == 2:
        rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
        pixels = pixels[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean(axis=(1, 3))
    fits_like = path.suffix.lower() not in (".tif", ".tiff")
    wcs = celestial_from_header(one.header) if facts.has_wcs else None
    if wcs is not None and step == 2:
        wcs = resampled(wcs, scale=0.5)
    return _Image(np.ascontiguousarray(pixels), step, not fits_like, wcs, facts)


def _solve(image: _Image, question: Question) -> Solution:
    """Try what the file and the user say, then the whole sky, with one time for all.

    Raises
    ------
    SolveError
        Where neither the hint nor the whole sky gives a solution beyond doubt.
    """
    facts = image.facts
    when = facts.time if facts is not None else None
    epoch = YEAR if when is None else 1970.0 + when.timestamp() / (365.25 * 86400)
    end = time.monotonic() + question.seconds
    options = SolveOptions()
    shape = (image.plane.shape[0], image.plane.shape[1])

    def stars_at(ra: float, dec: float, radius: float) -> QTable:
        return cone(ra, dec, min(radius, 90.0), epoch=epoch, brightest=DEEPEST)

    @cache
    def stars_of(width: float | None) -> StarArray:
        return measure_plane(image.plane, options=DetectOptions(fwhm=width)).stars

    hint = None if question.blind else _hint(image, question)
    if hint is not None:
        try:
            found = solve_field(
                stars_of(None), shape, stars_at=stars_at, hint=hint, epoch=epoch, options=options
            )
        except SolveError as error:
            log.info("the hint does not hold: %s", error)
        else:
            return found
    return solve_blind(
        [partial(stars_of, width) for width in WIDTHS], shape, index=sky_index(), stars_at=stars_at,
        epoch=epoch, where=_where(image, question), until=end, options=options,
    )  # fmt: skip


def _hint(image: _Image, question: Question) -> Hint | None:
    """Return what is known of the place, None where the whole sky must be searched."""
    facts = image.facts
    scale = question.scale if question.scale is not None else (facts.scale if facts else None)
    scale = scale * image.step if scale is not None else None
    if question.ra is not None and question.dec is not None and scale is not None:
        return Hint(ra=question.ra, dec=question.dec, scale=scale)
    if image.wcs is not None:
        return Hint(wcs=image.wcs)
    if facts is None or facts.pointing is None or scale is None:
        return None
    return Hint(ra=facts.pointing[0], dec=facts.pointing[1], scale=scale)


def _where(image: _Image, question: Question) -> Where:
    """Return the bounds of a search: only what the user said bounds it; headers may be wrong."""
    where = Where()
    if question.scale is not None:
        scale = question.scale * image.step
        where = replace(where, scale_low=scale / 1.3, scale_high=scale * 1.3)
    if question.ra is not None and question.dec is not None:
        where = replace(where, ra=question.ra, dec=question.dec, radius=question.radius)
    return where


def _write(path: Path, wcs: WCS, image: _Image, solution: Solution) -> Path:
    """Write ``<name>.wcs`` beside the file: a header without pixels; replaces one that is there."""
    header = wcs_to_header(wcs)
    target = path.with_suffix(".wcs")
    cards = fits.PrimaryHDU().header
    shape = (image.plane.shape[0] * image.step, image.plane.shape[1] * image.step)
    cards.extend(header, update=True)
    cards["IMAGEW"], cards["IMAGEH"] = shape[1], shape[0]
    cards["COMMENT"] = (
        f"solved by sciastro ({solution.method}): {solution.n_stars} stars of {solution.catalog}"
    )
    with atomic_path(target) as temporary:
        fits.PrimaryHDU(header=cards).writeto(temporary, overwrite=True)
    return target
