"""All stars of a field in all frames of a run: what light curves are made of.

Reads a finished run frame by frame (`nightframes`); finds the stars on some of its frames, and measures all
of them in every frame at places that the frames' world coordinates give, in every aperture that is tried.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.debayer import band_name
from sciastro.core.cfa import COLORS
from sciastro.core.directions import unit_vectors
from sciastro.core.wcs import pixel_scale
from sciastro.errors import MatchError
from sciastro.measure.stars import DetectOptions, PlaneMeasure, measure_plane
from sciastro.photometry.series import (
    SeriesOptions,
    StarsOfFrame,
    measure_frame,
    noise_of_light,
    shift_of,
    tried_radii,
)
from sciastro.recipe.nightframes import BandPlane, NightFrame, calibrated_bands, night_stores, open_night

__all__ = ["FieldSeries", "Tried", "counted", "frames_of_band", "measure_field"]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

LOOKED_AT = 7  # frames on which stars are looked for
HELD = 400 * 10**6  # byte of measurements
REACH = 3.0  # pixel within which a star is where it should be
MOST = 1000  # stars of a field


@dataclass(frozen=True, slots=True)
class Tried:
    """An aperture: its radius in FWHM, of every frame's own (`scaled`) or of the median [pixel]."""

    factor: float
    scaled: bool
    fwhm: float

    def radius(self, fwhm: float) -> float:
        """Return the radius [pixel] in a frame of `fwhm` [pixel]; never below 1.5."""
        return max(self.factor * (fwhm if self.scaled and np.isfinite(fwhm) else self.fwhm), 1.5)

    def __str__(self) -> str:
        what = "of each frame" if self.scaled else f"({self.factor * self.fwhm:.2f} pixel in all frames)"
        return f"{self.factor:g} FWHM {what}"


@dataclass
class FieldSeries:
    """Every star of a field in every frame, in order of time.

    Attributes
    ----------
    out, band, target
        Folder of the run, filter, name that the headers give.
    frames
        All frames of the band; also those without a place or a time.
    reason
        Per frame why it is not measured; "" if it is.
    ra, dec
        (star) [deg].
    tried
        Apertures.
    flux, variance, flags
        (aperture, star, frame) [electron], [electron2], bits; NaN no measurement.
    x, y, sky
        (star, frame) [pixel], [electron / pixel].
    fwhm, level, noise
        (frame) of stars [pixel], of the sky [electron / pixel] and its scatter.
    area
        (aperture, frame) [pixel].
    scale
        [arcsec / pixel].
    notes
        What the user should know.
    """

    out: Path
    band: str
    target: str
    frames: list[NightFrame]
    reason: list[str]
    ra: Floats
    dec: Floats
    tried: list[Tried]
    flux: npt.NDArray[np.float32]
    variance: npt.NDArray[np.float32]
    flags: npt.NDArray[np.uint32]
    x: Floats
    y: Floats
    sky: Floats
    fwhm: Floats
    level: Floats
    noise: Floats
    area: Floats
    scale: float
    notes: list[str] = field(default_factory=list)

    @property
    def measured(self) -> npt.NDArray[np.bool_]:
        """Frames (frame) that were measured."""
        return np.array([not text for text in self.reason], bool)


@dataclass(frozen=True, slots=True)
class _Placed:
    store: Path
    frame: NightFrame


def frames_of_band(
    out: Path, band: str | None, target: tuple[float, float] | None = None
) -> tuple[str, list[tuple[Path, NightFrame]], list[str]]:
    """Return a filter, its frames in order of time, and notes on what was left aside.

    Parameters
    ----------
    band
        Filter; None takes the one with most frames, of a color mosaic the green light.
    target
        ra, dec [deg]: where headers name several targets, the one whose frames show it.

    Raises
    ------
    MatchError
        If there is no frame of that filter.
    """
    every = [(store, one) for store in night_stores(out) for one in open_night(out, store)]
    every, notes = _showing(every, target)
    bands = [name for _, one in every for name in _bands_of(one)]
    colors = {band_name(one.band, color): color for _, one in every if one.cfa for color in COLORS}
    counted = sorted(set(bands), key=lambda name: (-bands.count(name), colors.get(name) != "G", name))
    if not counted:
        raise MatchError("holds no light frames.", where=str(out), remedy="Give a session with light frames.")
    chosen = counted[0] if band is None else band
    if chosen not in counted:
        have = ", ".join(f"{name} ({bands.count(name)})" for name in counted)
        raise MatchError(f"has no frames; there are: {have}.", where=f"filter {chosen}", remedy="Choose one.")
    if band is None and len(counted) > 1:
        rest = ", ".join(f"{name} ({bands.count(name)} frames)" for name in counted[1:])
        notes.append(f"the light curve is of filter {chosen}; others wait: {rest} (--filter NAME)")
    if chosen in colors:
        word = {"R": "red", "G": "green", "B": "blue"}[colors[chosen]]
        notes.append(f"the light is that of the {word} pixels of a color mosaic")
    if chosen == "Clear":
        notes.append(
            "filter Clear: headers name a clear filter or none; differential magnitudes are of no system, "
            "and those of a system hold for stars of the comparison stars' colors"
        )
    some = [entry for entry in every if chosen in _bands_of(entry[1])]
    some.sort(key=lambda entry: (np.isnan(entry[1].time), entry[1].time, entry[1].name))
    return chosen, some, notes + _clock(some)


def _bands_of(frame: NightFrame) -> list[str]:
    """Return the bands of a frame: its filter, or the colors of its mosaic."""
    return [band_name(frame.band, color) for color in COLORS] if frame.cfa else [frame.band]


def _showing(
    every: list[tuple[Path, NightFrame]], target: tuple[float, float] | None
) -> tuple[list[tuple[Path, NightFrame]], list[str]]:
    """Return the frames of the one field that holds the target."""
    names = list(dict.fromkeys(one.target for _, one in every))
    if len(names) < 2 or target is None:
        if len(names) > 1:
            return every, [f"headers name several targets: {', '.join(names)}"]
        return every, []
    shows = []
    for name in names:
        frame = next((one for _, one in every if one.target == name and one.wcs), None)
        if frame is not None:
            x, y = frame.to_pixel(frame.world(), *target)
            if np.isfinite(x[0]) and max(abs(x[0]), abs(y[0])) < 20_000:
                shows.append((float(np.hypot(x[0], y[0])), name))
    keep = [name for _, name in sorted(shows)] or names
    return [entry for entry in every if entry[1].target in keep], []


def _clock(some: Sequence[tuple[Path, NightFrame]]) -> list[str]:
    """Return what is strange about the times."""
    times = np.array([one.time for _, one in some if np.isfinite(one.time)])
    notes = []
    named: dict[PurePath, list[float]] = {}  # folder by folder: nights need not be in order of their names
    for _, one in sorted(some, key=lambda entry: entry[1].name):
        if np.isfinite(one.time):
            named.setdefault(PurePath(one.name).parent, []).append(one.time)
    back = sum(int(np.sum(np.diff(folder) < 0)) for folder in named.values())
    if back:
        notes.append(
            f"the clock runs backwards {back} time{'s' * (back > 1)} in the order of the files' names; "
            "frames are taken in order of their times. Check DATE-OBS"
        )
    same = int(times.size - np.unique(times).size)
    if same:
        notes.append(f"{same} frames have the time of another one; check DATE-OBS")
    return notes


def measure_field(
    out: Path,
    band: str,
    frames: Sequence[tuple[Path, NightFrame]],
    places: Sequence[tuple[float, float]],
    options: SeriesOptions,
    tell: Callable[[str], None] = log.info,
) -> FieldSeries:
    """Measure every star in every frame.

    Parameters
    ----------
    places
        ra, dec [deg] of the target and of comparison stars that the user names: the first rows of the
        result are the stars there, in this order, or the bare places where no star was found.

    Raises
    ------
    MatchError
        If no frame has a time and a place on the sky.
    """
    placed = [_Placed(*entry) for entry in frames]
    reason = [_unplaced(one.frame) for one in placed]
    fit = [one for one, text in zip(placed, reason, strict=True) if not text]
    if not fit:
        raise MatchError(
            f"have neither time nor place: {counted(reason)}.", where="frames",
            remedy="Give the place of the field (--ra, --dec, --scale), or mend DATE-OBS.",
        )  # fmt: skip
    ra, dec, width, scale, notes = _stars(out, band, fit, places, tell)
    factors = tried_radii(options.radii)
    tried = [Tried(one, scaled, width) for scaled in (False, True) for one in factors]
    most = max(int(HELD / (12 * len(tried) * len(placed))), 50 + len(places))
    if ra.size > most:
        notes.append(f"of {ra.size} stars the {most} brightest are kept, for the memory they take")
        ra, dec = ra[:most], dec[:most]
    shape = (len(tried), ra.size, len(placed))
    series = FieldSeries(
        out=out, band=band, target=fit[0].frame.target, frames=[one.frame for one in placed],
        reason=reason, ra=ra, dec=dec, tried=tried, flux=np.full(shape, np.nan, np.float32),
        variance=np.full(shape, np.nan, np.float32), flags=np.zeros(shape, np.uint32),
        x=np.full(shape[1:], np.nan), y=np.full(shape[1:], np.nan), sky=np.full(shape[1:], np.nan),
        fwhm=np.full(len(placed), np.nan), level=np.full(len(placed), np.nan),
        noise=np.full(len(placed), np.nan), area=np.full((len(tried), len(placed)), np.nan), scale=scale,
        notes=notes,
    )  # fmt: skip
    number = {(one.store, one.frame.name): i for i, one in enumerate(placed)}
    tell(f"measuring {ra.size} stars in {len(fit)} frames")
    for store in dict.fromkeys(one.store for one in fit):
        mine = [one.frame for one in fit if one.store == store]
        for one in calibrated_bands(out, store, mine):
            if one.band == band:
                _one_frame(series, number[store, one.frame.name], one, options)
    return series


def counted(reasons: Sequence[str]) -> str:
    """Return how often which reason is there; what reasons of one kind tell beyond that is left out."""
    brief = [": ".join(text.split(": ")[:2]).rstrip(".") for text in reasons]
    return "; ".join(f"{brief.count(text)} {text}" for text in dict.fromkeys(brief))


def _unplaced(frame: NightFrame) -> str:
    if not np.isfinite(frame.time):
        return "no time of observation"
    if not frame.wcs:
        return frame.reason or "no place on the sky: it could not be registered"
    return "" if frame.exposure > 0 else "no exposure time"


def _stars(
    out: Path,
    band: str,
    fit: Sequence[_Placed],
    places: Sequence[tuple[float, float]],
    tell: Callable[[str], None],
) -> tuple[Floats, Floats, float, float, list[str]]:
    """Return ra, dec of the stars (named places first, then by brightness), FWHM and scale, notes."""
    good = [one for one in fit if one.frame.use] or list(fit)
    step = np.unique(np.linspace(0, len(good) - 1, min(LOOKED_AT, len(good))).astype(int))
    some = [good[i] for i in step]
    tell(f"looking for stars on {len(some)} of {len(fit)} frames")
    ra, dec, flux = np.empty(0), np.empty(0), np.empty(0)
    widths, scale = [], float("nan")
    for store in dict.fromkeys(one.store for one in some):
        for one in calibrated_bands(out, store, [item.frame for item in some if item.store == store]):
            if one.band != band:
                continue
            found = measure_plane(one.signal, one.quality, options=DetectOptions(max_stars=MOST))
            wcs = one.frame.world()
            if not np.isfinite(scale):
                scale = pixel_scale(wcs) * one.frame.side
            widths.append(found.fwhm)
            a, d = one.frame.to_sky(wcs, found.stars["x"] + one.shift[0], found.stars["y"] + one.shift[1])
            light = found.stars["flux"].astype(float) / one.frame.exposure
            light = np.where(np.isfinite(light), light, np.inf)  # saturated: bright
            new = ~_near(a, d, ra, dec, 2.5 * scale)
            ra, dec, flux = np.append(ra, a[new]), np.append(dec, d[new]), np.append(flux, light[new])
    order = np.argsort(-flux, kind="stable")[: 2 * MOST]
    ra, dec = ra[order], dec[order]
    width = float(np.nanmedian(widths)) if np.isfinite(widths).any() else 3.0
    return (*_named_first(ra, dec, places, max(2.0, 1.5 * width) * scale), width, scale, [])


def _near(
    ra: Floats, dec: Floats, among_ra: Floats, among_dec: Floats, arcsec: float
) -> npt.NDArray[np.bool_]:
    """Return which places have one of the others within an angle [arcsec]."""
    from scipy.spatial import cKDTree

    if not among_ra.size:
        return np.zeros(ra.size, bool)
    tree = cKDTree(unit_vectors(among_ra, among_dec))
    distance, _ = tree.query(unit_vectors(ra, dec))
    return np.asarray(distance < np.radians(arcsec / 3600))


def _named_first(
    ra: Floats, dec: Floats, places: Sequence[tuple[float, float]], arcsec: float
) -> tuple[Floats, Floats]:
    """Return the stars with those at `places` first; a place without a star stands for itself."""
    first: list[tuple[float, float]] = []
    left = np.ones(ra.size, bool)
    for place in places:
        here = unit_vectors(np.array([place[0]]), np.array([place[1]]))
        distance = np.linalg.norm(unit_vectors(ra, dec) - here, axis=1) if ra.size else np.empty(0)
        close = np.flatnonzero((distance < np.radians(arcsec / 3600)) & left)
        if close.size:
            best = int(close[np.argmin(distance[close])])
            left[best] = False
            first.append((float(ra[best]), float(dec[best])))
        else:
            first.append(place)
    a, d = np.array(first).reshape(-1, 2).T
    return np.append(a, ra[left]), np.append(d, dec[left])


def _one_frame(series: FieldSeries, j: int, one: BandPlane, options: SeriesOptions) -> None:
    """Measure one frame and put it in its place."""
    found = measure_plane(one.signal, one.quality, options=DetectOptions(max_stars=600))
    x, y = one.frame.to_pixel(one.frame.world(), series.ra, series.dec)
    x, y = x - one.shift[0], y - one.shift[1]
    rows, columns = one.signal.shape
    far = ~((x > -20) & (x < columns + 20) & (y > -20) & (y < rows + 20))
    x, y = np.where(far, np.nan, x), np.where(far, np.nan, y)
    dx, dy, _ = shift_of(x, y, found.stars["x"], found.stars["y"], REACH)
    x, y = x + dx, y + dy
    fwhm = found.fwhm if np.isfinite(found.fwhm) else series.tried[0].fwhm
    stars = _measured(one, found, x, y, [tried.radius(fwhm) for tried in series.tried], fwhm, options)
    series.flux[:, :, j], series.variance[:, :, j], series.flags[:, :, j] = (
        stars.flux, stars.variance, stars.flags,
    )  # fmt: skip
    series.x[:, j], series.y[:, j], series.sky[:, j] = x, y, stars.sky
    series.fwhm[j], series.level[j], series.noise[j] = found.fwhm, found.sky, found.noise
    series.area[:, j] = np.pi * np.array([tried.radius(fwhm) for tried in series.tried]) ** 2


def _measured(
    one: BandPlane, found: PlaneMeasure, x: Floats, y: Floats, radii: list[float], fwhm: float,
    options: SeriesOptions,
) -> StarsOfFrame:  # fmt: skip
    variance = one.variance
    if (
        not one.zero
    ):  # the camera's offset is no light: the noise is that of the sky, and of the light above it
        sky = found.background
        variance = noise_of_light(one.signal, sky.level_map(), sky.rms_map())
    return measure_frame(one.signal, variance, one.quality, x, y, radii=radii, fwhm=fwhm, options=options)
