"""What a solve ends with: the answer about one file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from astropy.wcs import WCS

from sciastro.astrometry.solution import Solution
from sciastro.core.wcs import center, resampled
from sciastro.recipe.solvereading import Field

__all__ = ["Answer", "answer_of", "as_shown", "file_wcs"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Where one file looks; keys of the JSON line.

    Attributes
    ----------
    center_deg
        RA, Dec of the middle of the image, ICRS.
    rotation_deg, parity
        Position angle of "up", north through east; +1 sky as seen, -1 mirrored. FITS images are shown with
        their first row at the bottom, others with it on top, as stored: an EXIF orientation is not applied.
    log_odds
        log10 of the odds against chance.
    engine
        Which way it was solved: "header", "pattern" (near a hint), "previous" (as the file before), "blind";
        or the name of another engine that gave the place.
    seconds
        Time from where the file was begun to the answer: reading, finding stars, solving, writing. That of
        the first file of a command holds the loading of its libraries, too, but not the start of Python.
    reason
        Why it was not solved; empty otherwise.
    written
        File that the WCS was written to; empty where none was.
    note
        What the user should know of a solved image, such as a hint that was wrong.
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
    note: str = ""

    def as_json(self) -> str:
        """Return the answer as one line of JSON."""
        return json.dumps(asdict(self))


def file_wcs(solution: Solution, field: Field) -> WCS:
    """Return the WCS on the grid of the file, which may be finer than the one that was solved."""
    return resampled(solution.wcs, scale=float(field.step)) if field.step > 1 else solution.wcs


def as_shown(rotation: float, parity: int, *, top_down: bool) -> tuple[float, int]:
    """Return rotation [deg] and parity with y up, of a grid whose first row may be on top."""
    turn = 180.0 if top_down else 0.0
    return (rotation + turn + 180.0) % 360.0 - 180.0, -parity if top_down else parity


def answer_of(
    path: Path, field: Field, solution: Solution, *, seconds: float, written: str = "", note: str = ""
) -> Answer:
    """Return what a solution says of a file; `seconds` is the time it took."""
    rotation, parity = as_shown(solution.rotation, solution.parity, top_down=field.top_down)
    return Answer(
        str(path), solved=True, center_deg=center(file_wcs(solution, field), field.file_shape),
        scale_arcsec_px=solution.scale / field.step,
        rotation_deg=rotation, parity=parity,
        n_stars=solution.n_stars, rms_arcsec=solution.rms_arcsec, log_odds=-solution.log_false_alarm,
        engine=solution.method, seconds=seconds, written=written, note=note,
    )  # fmt: skip
