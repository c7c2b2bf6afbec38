"""A light curve of one star: from a session or a finished run to tables, picture and summary.

Joins what siblings do: frames and stars (`lightcurveframes`), comparison stars and zero points
(`photometry.lightcurve`), times (`astrometry.timing`), transit, trends and red noise (`photometry.transit`).
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.airmass import airmass
from sciastro.astrometry.timing import Site, bjd_tdb, meaning_of
from sciastro.core.quality import Quality
from sciastro.errors import CatalogError, MatchError
from sciastro.photometry.comparison import SPOILED, CompareOptions
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.lightcurve import Curves, RawLight, make_curves
from sciastro.photometry.periodogram import Periodogram, box_periodogram, wave_periodogram
from sciastro.photometry.rednoise import RedNoise, red_noise
from sciastro.photometry.scintillation import scintillation_variance
from sciastro.photometry.series import SeriesOptions, tried_radii
from sciastro.photometry.transit import TransitFit, TransitOptions, fit_transit
from sciastro.photometry.trends import Trends, check_causes, make_trends
from sciastro.recipe.catalogs import cone
from sciastro.recipe.lightcurveframes import FieldSeries, frames_of_band, measure_field
from sciastro.recipe.lightcurvesession import reduced_run
from sciastro.recipe.lightcurvetarget import Place, place_of

__all__ = ["LightCurve", "LightCurveRequest", "light_curve"]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

OUTLIER = 5.0  # sigma of residuals about a fitted transit
MATCH = 5.0  # arcsec within which a star is the catalog's


@dataclass(frozen=True, kw_only=True)
class LightCurveRequest:
    """What the user asked for.

    Attributes
    ----------
    session, out
        Folder of raw frames or of a finished run; folder for the products.
    target, name, comparisons
        Names or places "RA DEC", and what to call the star; no comparisons: they are chosen.
    band
        Filter; None: that of most frames.
    site, telescope
        Where headers are silent: place, diameter [m].
    ra, dec, scale
        Of the field, where headers are silent: [deg], [arcsec / pixel].
    offline
        Ask nothing over the network.
    series, compare, transit
        Options of the parts.
    """

    session: Path
    out: Path
    target: str
    name: str = ""
    comparisons: tuple[str, ...] = ()
    band: str | None = None
    site: Site | None = None
    telescope: float | None = None
    ra: float | None = None
    dec: float | None = None
    scale: float | None = None
    offline: bool = False
    memory: str = "2GB"
    workers: int = 0
    series: SeriesOptions = field(default_factory=SeriesOptions)
    compare: CompareOptions = field(default_factory=CompareOptions)
    transit: TransitOptions = field(default_factory=TransitOptions)


@dataclass
class LightCurve:
    """Everything that is known of a light curve; frames in order of time.

    Attributes
    ----------
    time
        (frame) middle of the exposure, UTC; NaT unknown.
    bjd, airmass
        (frame) BJD_TDB [d], NaN unknown.
    flags, use, reason
        (frame) of the target: bits, whether it counts, why not.
    trends, transit, noise
        Causes; fit or None; red noise of the residuals.
    baseline, model
        (frame) trend and transit alone (NaN where the frame does not count).
    scatter, scatter_points
        Standard deviation of the residuals, and that of differences of neighbors over sqrt 2 (relative).
    """

    request: LightCurveRequest
    target: Place
    series: FieldSeries
    curves: Curves
    time: npt.NDArray[np.datetime64]
    bjd: Floats
    airmass: Floats
    night: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint32]
    use: Bools
    reason: list[str]
    trends: Trends
    transit: TransitFit | None
    noise: RedNoise
    baseline: Floats
    model: Floats
    scatter: float
    scatter_points: float
    time_meaning: dict[str, str]
    notes: list[str]

    def periodograms(self) -> list[Periodogram]:
        """Return what periods the points have that count: waves, and boxes where there are several nights."""
        some = self.bjd[self.use], self.curves.flux[0, self.use], self.curves.err[0, self.use]
        return [one for one in (wave_periodogram(*some), box_periodogram(*some)) if one is not None]

    @property
    def flux(self) -> Floats:
        """(frame) relative flux of the target; 1 is the median, or the light out of transit."""
        return np.asarray(self.curves.flux[0])

    @property
    def err(self) -> Floats:
        """(frame) its standard error."""
        return np.asarray(self.curves.err[0])


def light_curve(request: LightCurveRequest, *, tell: Callable[[str], None] = log.info) -> LightCurve:
    """Measure the light curve of a star.

    Raises
    ------
    SciastroError
        For options out of range, and data that the user can mend: an unknown target, no comparison star,
        no frame that shows it.
    """
    tried_radii(request.series.radii)
    check_causes(request.transit.detrend)
    target = place_of(request.target, "--target", offline=request.offline, name=request.name)
    named = [place_of(text, "--comp", offline=request.offline) for text in request.comparisons]
    run = reduced_run(request, tell)
    band, frames, notes = frames_of_band(run, request.band, target.radec)
    places = [target.radec, *(one.radec for one in named)]
    series = measure_field(run, band, frames, places, request.series, tell)
    return curve_of(series, target, len(named), request, notes, tell)


def curve_of(
    series: FieldSeries,
    target: Place,
    n_named: int,
    request: LightCurveRequest,
    notes: list[str],
    tell: Callable[[str], None],
) -> LightCurve:
    """Return the light curve of star 0 of a field; stars 1 to `n_named` are comparisons that the user names.

    Raises
    ------
    MatchError
        If no star can be compared with, or no frame shows the target.
    """
    notes = notes + series.notes
    site, place_notes = _site(series, request)
    time = np.array([_utc(one.time) for one in series.frames], dtype="datetime64[us]")
    bjd = bjd_tdb(time, target.ra, target.dec, site)
    mass = np.full(time.size, np.nan)
    if site is not None:
        mass = airmass(target.ra, target.dec, site.latitude, site.longitude, time)
    twinkle, twinkle_note = _scintillation(series, request, site, mass)
    notes += place_notes + twinkle_note
    _in_field(series, target)
    good = series.measured & np.array([one.use for one in series.frames])
    if not good.any():
        good = series.measured
        notes.append("the run left out every frame; all that could be measured are taken")
    barred, barred_notes = _barred(series, request)
    notes += barred_notes
    known = not any(one.gain_source.startswith("gain assumed") for one in series.frames)
    raw = RawLight(
        flux=series.flux, variance=series.variance, flags=series.flags,
        factor=np.array([one.factor for one in series.tried]), place=_offsets(series), scintillation=twinkle,
        known_gain=known,
    )  # fmt: skip
    given = np.arange(1, 1 + n_named) if n_named else None
    curves = make_curves(raw, good, barred=barred, given=given, options=request.compare)
    notes += curves.notes
    if not known:
        notes.append(
            "nobody knows the gain: starlight's shot noise is taken from the scatter of comparison stars, "
            f"{curves.photons:.3f} +- {curves.photons_err:.3f} times that of 1 electron / adu"
        )
    tell(
        f"{curves.chosen.stars.size} comparison stars, aperture {series.tried[curves.aperture]}, zero points "
        f"{'slope over the field' if curves.sloping else 'are the same over the field'}"
    )
    flags, use, reason = _verdicts(series, curves, bjd, good)
    notes += _of_target(series, curves, flags)
    return _fitted(
        request,
        target,
        series,
        curves,
        (time, bjd, mass),
        (flags, use, reason),
        meaning_of(site),
        notes,
        tell,
    )


def _utc(seconds: float) -> np.datetime64:
    if not math.isfinite(seconds):
        return np.datetime64("NaT")
    return np.datetime64(round(seconds * 1e6), "us")


def _site(series: FieldSeries, request: LightCurveRequest) -> tuple[Site | None, list[str]]:
    if request.site is not None:
        return request.site, []
    sites = {one.site for one in series.frames if one.site is not None}
    near = {(round(one[0], 1), round(one[1], 1)) for one in sites}
    if len(near) == 1:
        latitude, longitude, height = sorted(sites)[0]
        return Site(latitude, longitude, height if math.isfinite(height) else None), []
    what = "headers name no site" if not near else f"headers name {len(near)} sites"
    return None, [
        f"{what}: times are those of light at the geocenter, up to 21.3 ms off, and airmass is unknown "
        "(--site LATITUDE,LONGITUDE,HEIGHT)"
    ]


def _scintillation(
    series: FieldSeries, request: LightCurveRequest, site: Site | None, mass: Floats
) -> tuple[Floats, list[str]]:
    """Return the relative variance of scintillation per frame, 0 where it is unknown, and notes."""
    n = len(series.frames)
    diameters = [one.telescope for one in series.frames if one.telescope > 0]
    diameter = request.telescope or (float(np.median(diameters)) if diameters else float("nan"))
    if not diameter > 0 or site is None:
        lacks = "the telescope's diameter (--telescope)" if site is not None else "the site"
        return np.zeros(n), [
            f"scintillation is not in the errors by itself: nobody knows {lacks}; what it adds is measured "
            "on comparison stars"
        ]
    exposure = np.array([one.exposure if one.exposure > 0 else np.nan for one in series.frames])
    found = scintillation_variance(exposure, mass, diameter, site.height or 0.0)
    return np.nan_to_num(found), []


def _in_field(series: FieldSeries, target: Place) -> None:
    """Refuse a target that no frame shows.

    Raises
    ------
    MatchError
        If it is in none.
    """
    inside = (series.flags[0, 0] & np.uint32(int(Quality.NO_DATA))) == 0
    if not (inside & series.measured).any():
        x, y = (np.nanmedian(v[0]) if np.isfinite(v[0]).any() else float("nan") for v in (series.x, series.y))
        where = f" (it would lie at x {x:.0f}, y {y:.0f})" if math.isfinite(x) else ""
        raise MatchError(
            f"is in none of the {len(series.frames)} frames{where}.", where=f"target {target.name}",
            remedy="Check the place, or the session.",
        )  # fmt: skip


def _offsets(series: FieldSeries) -> Floats:
    """Return places of stars from the target [deg]."""
    ra = (series.ra - series.ra[0] + 180) % 360 - 180
    return np.column_stack([ra * np.cos(np.radians(series.dec[0])), series.dec - series.dec[0]])


def _barred(series: FieldSeries, request: LightCurveRequest) -> tuple[dict[int, str], list[str]]:
    """Return known variables (index to reason), and notes."""
    offsets = _offsets(series)
    radius = float(np.max(np.hypot(*offsets.T))) + MATCH / 3600
    try:
        table = cone(
            (float(series.ra[0]), float(series.dec[0])), min(radius, 10.0), catalog="vsx", fallback=False,
            offline=request.offline or None,
        )  # fmt: skip
    except CatalogError as error:
        return {}, [f"VSX could not be asked for variable stars ({error.found.rstrip('.')})"]
    ra, dec = (np.asarray(table[name].value, np.float64) for name in ("ra", "dec"))
    out: dict[int, str] = {}
    for a, d, name in zip(ra, dec, table["id"], strict=True):
        dx = ((series.ra - a + 180) % 360 - 180) * np.cos(np.radians(d))
        near = np.flatnonzero(np.hypot(dx, series.dec - d) < max(MATCH, 1.5 * series.scale) / 3600)
        out |= {int(i): f"a known variable ({name}, VSX)" for i in near if i != 0}
    return out, []


def _verdicts(
    series: FieldSeries, curves: Curves, bjd: Floats, good: Bools
) -> tuple[npt.NDArray[np.uint32], Bools, list[str]]:
    """Return the target's flags, whether each frame counts, and why not."""
    flags = series.flags[curves.aperture, 0].copy()
    reason = list(series.reason)
    for j, frame in enumerate(series.frames):
        if reason[j]:
            flags[j] |= np.uint32(int(Quality.NO_DATA))
        elif not np.isfinite(curves.flux[0, j]):
            gone = bool(flags[j] & np.uint32(int(Quality.NO_DATA)))
            cut = bool(flags[j] & np.uint32(int(SourceFlag.CUT)))
            if not np.isfinite(curves.ensemble.zero[j]):
                reason[j] = "no comparison star could be measured"
            elif gone:
                reason[j] = "the target is out of the frame"
            else:
                reason[j] = "pixels of the target are missing" if cut else "the target has no flux"
        elif flags[j] & np.uint32(SPOILED):
            words = [bit.name for bit in Quality if flags[j] & np.uint32(int(bit) & SPOILED)]
            reason[j] = f"the target is spoiled: {', '.join(str(word) for word in words)}"
        elif not frame.use:
            reason[j] = f"the run left it out: {frame.reason}"
        elif not good[j] or not np.isfinite(bjd[j]):
            reason[j] = "no time"
    use = np.array([not text for text in reason])
    return flags, use, reason


def _of_target(series: FieldSeries, curves: Curves, flags: npt.NDArray[np.uint32]) -> list[str]:
    notes = []
    crowded = (flags & np.uint32(int(SourceFlag.CROWDED))) != 0
    if crowded.mean() > 0.1:
        distance = np.hypot(*_offsets(series)[1:].T) * 3600
        near = int(np.argmin(distance)) + 1 if distance.size else 0
        what = f", the nearest {distance[near - 1]:.1f} arcsec away" if near else ""
        notes.append(
            f"the target is blended: a neighbor's light is in the aperture in {crowded.sum()} frames{what}; "
            "depths and amplitudes are too small by its share"
        )
    values = series.flux[curves.aperture, 0]
    negative = int(np.sum(values <= 0))
    if negative:
        notes.append(f"the target's flux is not positive in {negative} frames: no magnitude there")
    return notes


def _fitted(
    request: LightCurveRequest,
    target: Place,
    series: FieldSeries,
    curves: Curves,
    times: tuple[npt.NDArray[np.datetime64], Floats, Floats],
    verdicts: tuple[npt.NDArray[np.uint32], Bools, list[str]],
    meaning: dict[str, str],
    notes: list[str],
    tell: Callable[[str], None],
) -> LightCurve:
    time, bjd, mass = times
    flags, use, reason = verdicts
    if not use.any():
        counted = "; ".join(f"{reason.count(text)}: {text}" for text in dict.fromkeys(reason))
        raise MatchError(
            f"has no frame that counts ({counted}).", where=f"target {target.name}", remedy="See the reasons."
        )
    night = _nights(bjd)
    exposure = np.array([one.exposure for one in series.frames]) / 86400
    before = use.copy()
    use = use & ~_spikes(curves.flux[0], curves.err[0], use) if request.transit.transit != "no" else use
    for _ in range(2):
        trends = make_trends(_causes(series, bjd, mass), use, night)
        fit = fit_transit(
            bjd[use], curves.flux[0, use], curves.err[0, use], exposure[use], trends.take(use),
            options=request.transit, draw=False,
        )  # fmt: skip
        if fit is None:  # what stands out may be the star's own
            use = before
            trends = make_trends(_causes(series, bjd, mass), use, night)
            break
        residual = (curves.flux[0, use] - fit.model) / curves.err[0, use]
        width = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
        far = np.abs(residual) > OUTLIER * max(width, 1e-12)
        use[np.flatnonzero(use)[far]] = False
        if not far.any():
            break
    for j in np.flatnonzero(before & ~use):
        flags[j] |= np.uint32(int(Quality.OUTLIER))
        reason[j] = f"more than {OUTLIER:g} sigma from the fit, or from its neighbors"
    if fit is not None:
        tell("a transit is fitted; drawing from its posterior")
        fit = fit_transit(
            bjd[use], curves.flux[0, use], curves.err[0, use], exposure[use], trends.take(use),
            options=request.transit,
        )  # fmt: skip
    baseline, model = np.ones(use.size), np.full(use.size, np.nan)
    if fit is not None:
        notes += fit.notes
        values = np.array([value for value, _ in fit.coefficients.values()])
        baseline = trends.basis(fit.causes) @ values
        model[use] = fit.model / fit.baseline
    residual = curves.flux[0, use] - (fit.model if fit is not None else np.median(curves.flux[0, use]))
    noise = red_noise(bjd[use], residual)
    steps = np.diff(curves.flux[0, use])
    points = float(np.std(steps) / np.sqrt(2)) if steps.size > 1 else float("nan")
    return LightCurve(
        request=request, target=target, series=series, curves=curves, time=time, bjd=bjd, airmass=mass,
        night=night, flags=flags, use=use, reason=reason, trends=trends, transit=fit, noise=noise,
        baseline=baseline, model=model, scatter=float(np.std(residual, ddof=1)) if residual.size > 1 else 0.0,
        scatter_points=points, time_meaning=meaning, notes=list(dict.fromkeys(notes)),
    )  # fmt: skip


def _spikes(flux: Floats, err: Floats, use: Bools) -> Bools:
    """Return single points far from the median of the two before and the two after."""
    out = np.zeros(flux.size, bool)
    rows = np.flatnonzero(use)
    if rows.size < 7:
        return out
    f = flux[rows]
    padded = np.pad(f, 2, mode="reflect")
    around = np.median(np.stack([padded[k : k + f.size] for k in (0, 1, 3, 4)]), axis=0)
    away = (f - around) / err[rows]
    width = 1.4826 * float(np.median(np.abs(away - np.median(away))))
    out[rows[np.abs(away) > 1.5 * OUTLIER * max(width, 1.0)]] = True
    return out


def _nights(bjd: Floats) -> npt.NDArray[np.int64]:
    """Return the number of the night of each frame: a gap of six hours ends one."""
    out = np.zeros(bjd.size, np.int64)
    known = np.flatnonzero(np.isfinite(bjd))
    out[known] = np.cumsum(np.append(0, np.diff(bjd[known]) > 0.25)) if known.size else 0
    return out


def _causes(series: FieldSeries, bjd: Floats, mass: Floats) -> dict[str, Any]:
    return {
        "airmass": mass, "fwhm": series.fwhm, "x": series.x[0], "y": series.y[0], "sky": series.level,
        "time": bjd,
    }  # fmt: skip
