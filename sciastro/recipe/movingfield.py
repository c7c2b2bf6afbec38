"""What movers are looked for in: usable frames of a finished run, its stars, all sightings on one plane."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.plane import deproject, project
from sciastro.astrometry.sightings import Sightings, Stars
from sciastro.core.quality import Quality
from sciastro.core.stars import StarArray, empty_stars
from sciastro.core.tables import column_numbers
from sciastro.core.wcs import pixel_scale
from sciastro.errors import FileError, MatchError, OptionError
from sciastro.io.tables import read_table
from sciastro.measure.background import Background
from sciastro.measure.stars import DetectOptions, PlaneMeasure, measure_plane
from sciastro.recipe.context import resident_memory
from sciastro.recipe.difference import Template, open_template, without_stars
from sciastro.recipe.nightframes import NightFrame, calibrated, night_stores, open_night

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["FORBIDDEN", "Field", "Look", "cleaned", "fields_of", "look_at"]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

FEWEST = 3  # frames that show a motion
ENOUGH = 5  # frames of a stack: of what moves, it holds the part of one among them and takes that off
WORKING = 80  # byte per pixel that a calibrated frame takes beside itself until it is measured (76 measured)
MOST = 20_000  # sightings of a frame
FORBIDDEN = Quality.NO_DATA | Quality.DO_NOT_USE | Quality.SATURATED | Quality.HOT | Quality.DEAD


@dataclass
class Look:
    """One frame as it was looked at.

    Attributes
    ----------
    frame, wcs
        The frame and its world coordinates.
    stars
        What was found on it [pixel of the calibrated plane].
    fwhm, noise
        Of stars [pixel], of the sky in a pixel [electron].
    shape
        Rows, columns.
    planes
        Signal [electron] and which pixels are bad; None where they did not fit into memory.
    clean
        The same without the stars of the stack; None where there is no telling.
    shift
        What stars say the frame is off by on the plane [arcsec].
    zero
        Magnitude of 1 electron / s by the fit, NaN without a zero point; its error.
    """

    frame: NightFrame
    wcs: "WCS"
    stars: StarArray
    fwhm: float
    noise: float
    shape: tuple[int, int]
    planes: tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]] | None
    clean: tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]] | None = None
    shift: tuple[float, float] = (0.0, 0.0)
    zero: tuple[float, float] = (float("nan"), float("nan"))


@dataclass
class Field:
    """The frames of one target and night.

    Attributes
    ----------
    out, store
        Folder of the run, store of the night.
    target
        Its name.
    product
        Row of ``summary.json`` of the deepest image.
    frames
        In order of time.
    left_out
        Name of a frame to why it is not used.
    center
        Tangent point of the plane: ra, dec [deg].
    scale
        [arcsec / pixel] of the frames' grid; a drizzled product has another.
    stars, mags, colors
        Sources of the stack on the plane; their magnitudes (NaN unknown).
    notes
        What the user should know.
    templates
        By filter of the frames, the stars that are taken off; a nebula is not as bright in each.
    rows
        By filter, the row of its image with world coordinates.
    """

    out: Path
    store: Path
    target: str
    product: dict[str, Any]
    frames: list[NightFrame]
    left_out: dict[str, str]
    center: tuple[float, float]
    scale: float
    stars: Stars
    mags: Floats
    notes: list[str] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    templates: dict[str, Template] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def plane(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return x (east) and y (north) on the plane [arcsec]."""
        both = 3600 * project(ra, dec, *self.center)
        return both[:, 0], both[:, 1]

    def sky(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return ra, dec [deg] of places on the plane [arcsec]."""
        return deproject(np.column_stack([np.atleast_1d(x), np.atleast_1d(y)]) / 3600, *self.center)


def fields_of(out: Path, summary: dict[str, Any]) -> list[Field]:
    """Return every target and night of a run in which motion can be seen.

    Raises
    ------
    FileError
        If the run left no store or no source table.
    MatchError
        If no target has three frames with times and world coordinates; the message says why.
    """
    products = [row for row in summary.get("products", []) if row.get("sources") and not row.get("shows")]
    if not products:
        raise FileError(
            "holds no image with sources.", where=str(out), remedy="Run `sciastro reduce` until photometry."
        )
    found, reasons = [], []
    for store in night_stores(out):
        frames = open_night(out, store)
        for target in dict.fromkeys(row["target"] for row in products):
            of = [row for row in products if row["target"] == target]
            mine = [one for one in frames if one.target == target]
            if not mine:
                continue
            try:
                found.append(_field(out, store, target, of, mine))
            except MatchError as error:
                reasons.append(str(error))
    if not found:
        raise MatchError(
            " ".join(reasons) or "has no light frames of its images.", where=str(out),
            remedy="" if reasons else "Run `sciastro reduce` again.",
        )  # fmt: skip
    for one in found:
        one.notes += reasons
    return found


def _field(
    out: Path, store: Path, target: str, rows: Sequence[dict[str, Any]], frames: Sequence[NightFrame]
) -> Field:
    solved = [row for row in rows if row.get("wcs")]
    if not solved:
        raise MatchError(
            "has no world coordinates, so motion on the sky is unknown.", where=target,
            remedy="Run `sciastro reduce` with --ra, --dec and --scale.",
        )  # fmt: skip
    best = max(solved, key=lambda row: (row.get("n_frames") or 0, row.get("depth_mag_5sigma") or 0.0))
    fit, left_out, notes = _usable(target, frames)
    center = (float(best["wcs"]["center_deg"][0]), float(best["wcs"]["center_deg"][1]))
    stars, mags = _stars(out, best, center)
    return Field(
        out=out, store=store, target=target, product=best, frames=fit, left_out=left_out, center=center,
        scale=pixel_scale(fit[0].world()), stars=stars, mags=mags, notes=notes,
        rows={row["band"]: row for row in solved},
    )  # fmt: skip


def _usable(target: str, frames: Sequence[NightFrame]) -> tuple[list[NightFrame], dict[str, str], list[str]]:
    """Return the frames that can show motion in order of time, why others cannot, and notes."""
    left: dict[str, str] = {}
    for one in frames:
        if not one.use:
            left[one.name] = "the run left it out"
        elif not np.isfinite(one.time):
            left[one.name] = "has no time of observation"
        elif not one.wcs:
            left[one.name] = "has no world coordinates"
        elif not one.exposure > 0:
            left[one.name] = "has no exposure time"
    fit = sorted((one for one in frames if one.name not in left), key=lambda one: one.time)
    times = np.array([one.time for one in fit])
    if len(fit) < FEWEST:
        why = "; ".join(f"{count} {text}" for text, count in _counted(left.values()))
        raise MatchError(
            f"has {len(fit)} frame{'s' * (len(fit) != 1)} in which motion can be seen, and {FEWEST} are "
            f"needed{f' ({why})' if why else ''}.",
            where=target, remedy="Add frames, or mend their headers (DATE-OBS).",
        )  # fmt: skip
    if np.unique(times).size < FEWEST:
        raise MatchError(
            f"has {len(fit)} frames at {np.unique(times).size} different time"
            f"{'s' * (np.unique(times).size != 1)}, and {FEWEST} are needed.",
            where=target, remedy="Check DATE-OBS: each frame needs its own.",
        )  # fmt: skip
    notes = []
    named = [one.time for one in sorted(fit, key=lambda one: one.name)]
    if len({one.band for one in fit}) == 1 and np.any(np.diff(named) < 0):
        notes.append(
            f"{target}: times do not follow the names of the files; frames are taken in order of time"
        )
    same = times.size - np.unique(times).size
    if same:
        notes.append(f"{target}: {same} frames have the time of another one; check DATE-OBS")
    return fit, left, notes


def _counted(texts: Any) -> list[tuple[str, int]]:
    texts = list(texts)
    return [(text, texts.count(text)) for text in dict.fromkeys(texts)]


def _stars(out: Path, row: dict[str, Any], center: tuple[float, float]) -> tuple[Stars, Floats]:
    table = read_table(out / row["sources"])

    column = partial(column_numbers, table)
    both = 3600 * project(column("ra"), column("dec"), *center)
    good = np.isfinite(both).all(axis=1) & (column("flux") > 0)
    stars = Stars(both[good, 0], both[good, 1], column("flux")[good], column("snr")[good])
    known = row.get("zeropoint") is not None
    return stars, column("mag")[good] if known else np.full(int(good.sum()), np.nan)


def look_at(one: Field, threshold: float, memory: int) -> tuple[Sightings, Sightings]:
    """Find what every frame shows, fill `Field.looks`, and return it all on the plane.

    Returns sightings of the frames as they are, and of the frames without the stars of the stack.

    Parameters
    ----------
    threshold
        Least signal over noise of a sighting.
    memory
        Bound on that of this process [byte]; frames that do not fit beside the work are read again when they
        are measured.
    """
    options = DetectOptions(threshold=threshold, max_stars=MOST)
    one.templates = _templates(one)
    plain: list[tuple[int, tuple[Floats, ...]]] = []
    clean: list[tuple[int, tuple[Floats, ...]]] = []
    number = {frame.name: i for i, frame in enumerate(one.frames)}
    looks: list[Look | None] = [None] * len(one.frames)
    for frame, signal, quality in calibrated(one.out, one.store, one.frames):
        _check_memory(frame, signal.size, memory, kept=any(look is not None for look in looks))
        found = measure_plane(signal, quality, options=options)
        bad = (quality & np.uint16(int(FORBIDDEN))) != 0
        i = number[frame.name]
        look = Look(
            frame, frame.world(), found.stars, found.fwhm, found.noise, signal.shape[:2], (signal, bad)
        )
        look.clean = cleaned(one, look, found.background)
        plain.append((i, _sightings(one, look, found.stars)))
        if look.clean is not None and np.isfinite(found.fwhm):
            clean.append((i, _sightings(one, look, _beneath(look, signal, found, options))))
        if resident_memory() + WORKING * signal.size > memory:
            look.planes = look.clean = None
        looks[i] = look
        log.info("%s: %d sightings, FWHM %.2f pixel", frame.name, found.stars.size, found.fwhm)
    one.looks = [look for look in looks if look is not None]
    return _joined(one, plain), _joined(one, clean)


def _templates(one: Field) -> dict[str, Template]:
    """Return the stack of each filter that has frames enough, else that of the deepest image."""
    opened: dict[str, Template | None] = {}
    found: dict[str, Template] = {}
    for band in dict.fromkeys(frame.band for frame in one.frames):
        row = one.rows.get(band, one.product)
        if (row.get("n_frames") or 0) < ENOUGH:
            row = one.product
        if row["image"] not in opened:
            opened[row["image"]] = open_template(one.out, row)
        template = opened[row["image"]]
        if template is not None:
            found[band] = template
    return found


def _check_memory(frame: NightFrame, pixels: int, memory: int, *, kept: bool) -> None:
    """Check, with the first frame, that one can be looked at within `memory` [byte].

    Raises
    ------
    OptionError
        If not; the message says what it takes.
    """
    need = resident_memory() + WORKING * pixels
    if not kept and need > memory:
        raise OptionError(
            f"is {memory / 1e9:.2g} GB, and a frame of {pixels / 1e6:.3g} megapixels takes "
            f"{need / 1e9:.2f} GB.",
            where=f"--memory ({frame.name})", remedy=f"Give at least {need / 0.9e9:.1f}GB.",
        )  # fmt: skip


def cleaned(
    one: Field, look: Look, sky: Background
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]] | None:
    """Return a frame without the stars of the stack, and its bad pixels."""
    template = one.templates.get(look.frame.band)
    if template is None or look.planes is None:
        return None
    level = sky.level_map()
    return without_stars(template, look.frame, look.wcs, *look.planes, level, look.noise)


def _beneath(
    look: Look, signal: npt.NDArray[np.float32], found: PlaneMeasure, options: DetectOptions
) -> StarArray:
    """Return what is found on a frame without stars; noise is that of the frame with them."""
    if look.clean is None:
        return empty_stars()
    image, bad = look.clean
    bits = np.where(bad, int(Quality.DO_NOT_USE), 0).astype(np.uint16)
    sky = found.background
    noise = sky.rms_map() ** 2 + np.maximum(np.nan_to_num(signal - sky.level_map()), 0)
    again = replace(options, fwhm=float(np.clip(found.fwhm, 1.0, 50.0)))
    with np.errstate(divide="ignore", invalid="ignore"):  # sources without any width are not kept
        return measure_plane(image, bits, gain_noise=noise, options=again).stars


def _joined(one: Field, rows: Sequence[tuple[int, tuple[Floats, ...]]]) -> Sightings:
    minutes = np.array([(frame.time - one.frames[0].time) / 60 for frame in one.frames])
    if not rows:
        nothing = np.empty(0)
        return Sightings(np.empty(0, np.intp), *(nothing for _ in range(6)))
    columns = [np.concatenate([values[k] for _, values in rows]) for k in range(5)]
    frame_of = np.concatenate([np.full(values[0].size, i) for i, values in rows]).astype(np.intp)
    return Sightings(frame_of, minutes[frame_of], *columns)


def _sightings(one: Field, look: Look, stars: StarArray) -> tuple[Floats, ...]:
    """Return x, y, err [arcsec], flux [electron / s] and S/N of what a frame shows."""
    ra, dec = look.frame.to_sky(look.wcs, stars["x"], stars["y"])
    x, y = one.plane(ra, dec)
    scale = one.scale * look.frame.side
    err = scale * np.sqrt((stars["x_err"].astype(float) ** 2 + stars["y_err"].astype(float) ** 2) / 2)
    saturated = (stars["quality"] & int(Quality.SATURATED)) != 0
    err = np.where(saturated, np.maximum(err, 0.5 * scale), err)
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(err) & (stars["flux"] > 0)
    flux = stars["flux"].astype(float) / look.frame.exposure
    return tuple(values[good] for values in (x, y, err, flux, stars["snr"].astype(float)))
