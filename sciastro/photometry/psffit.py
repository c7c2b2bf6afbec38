"""Fit a PSF to all stars of an image: groups at once, sweep after sweep on the common residual.

Weighted least squares of flux, x and y of every star over the disc about it; the sky is a clipped mean in an
annulus of the residual, where the light of all fitted stars is gone (as in ALLSTAR, Stetson 1987, PASP 99,
191). Memory: the residual and two planes; time: stars times sweeps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.core.quality import Quality, unusable
from sciastro.kernels.aperture import annulus_sky
from sciastro.kernels.psf import add_models
from sciastro.kernels.psferrors import FIT_COLUMNS, fit_errors
from sciastro.kernels.psffit import DAMPING, fit_groups
from sciastro.photometry.plane import clip_bias
from sciastro.photometry.psfgroups import groups_of, neighbors_of
from sciastro.photometry.psfmodel import PsfModel

__all__ = ["FitOptions", "FitPlane", "StarFit", "fit_plane", "start_fit"]

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Tell = Callable[[str], None]

TETHER = 0.35  # fwhm: 1 sigma of how far positions are from where stars were seen
SETTLED = 0.03  # sigma: a star that moves less in a sweep rests
CHUNK = 4000  # groups between two signs of life
WING_RADIUS = 3.5  # fwhm: disc of stars whose cores are saturated
SKY_KAPPA = 3.5  # sigma of the clip of the sky about a star; its bias is taken off
LEAST_SKY = 20  # pixels of a ring that tell the sky


@dataclass(frozen=True, kw_only=True, slots=True)
class FitOptions(Options):
    """How stars are fit."""

    radius: float = option(1.5, "Radius of the disc that is fit.", unit="fwhm", low=0.6, high=5.0)
    link: float = option(1.3, "Stars nearer than this are fit at once.", unit="fwhm", low=0.0, high=5.0)
    largest_group: int = option(20, "Most stars that are fit at once.", low=1, high=60)
    sweeps: int = option(20, "Most rounds over all stars.", low=1, high=500)
    sky_inner: float = option(4.5, "Inner radius of the sky annulus.", unit="fwhm", low=0.0, high=20.0)
    sky_outer: float = option(8.0, "Outer radius of the sky annulus.", unit="fwhm", low=1.0, high=40.0)
    free_snr: float = option(
        3.0, "Below this S/N a star keeps the position that it came with.", low=0.0, high=1e3
    )


@dataclass(slots=True)
class FitPlane:
    """Pixels of one image as the fits take them.

    Attributes
    ----------
    residual
        float32 (y, x): image less sky mesh less the models of all stars; changes as they are fit.
    variance
        float32 (y, x); 0 where a pixel must not enter.
    quality
        uint16 (y, x).
    shot
        How much of a pixel's noise its own variance carries.
    autocorrelation
        Of the noise, by offset.
    correlation
        Noise of large areas over that of uncorrelated pixels.
    """

    residual: Singles
    variance: Singles
    quality: npt.NDArray[np.uint16]
    shot: float
    autocorrelation: Floats
    correlation: float

    @property
    def unusable(self) -> npt.NDArray[np.bool_]:
        """Return which pixels must not enter."""
        return np.asarray(self.variance <= 0)


@dataclass(slots=True)
class StarFit:
    """Stars as they are fit, float64 (star,) each.

    Attributes
    ----------
    x, y, flux, sky, sky_err, n_sky
        Positions [pixel], light and sky beyond the mesh per pixel [unit of the image].
    radius, reach
        Of the disc that is fit and of the model [pixel].
    loose
        uint8: 0 nothing is fit, 1 the flux alone, 2 the position too.
    light
        Share of the profile that usable pixels of the disc hold.
    moved
        Last step in sigma.
    start_x, start_y
        Positions that it came with.
    round
        int16: in which round of detection it was found; 0 as given.
    pinned
        bool: the position is known, and never fit.
    """

    x: Floats
    y: Floats
    flux: Floats
    sky: Floats
    sky_err: Floats
    n_sky: npt.NDArray[np.int64]
    radius: Floats
    reach: Floats
    loose: npt.NDArray[np.uint8]
    light: Floats
    moved: Floats
    start_x: Floats
    start_y: Floats
    round: npt.NDArray[np.int16]
    pinned: npt.NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of stars."""
        return int(self.x.size)

    def take(self, rows: npt.NDArray[Any]) -> "StarFit":
        """Return those of `rows`."""
        return StarFit(*(getattr(self, name)[rows] for name in self.__slots__))

    def joined(self, other: "StarFit") -> "StarFit":
        """Return both lists, these stars first."""
        return StarFit(
            *(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__slots__)
        )


def start_fit(
    x: npt.ArrayLike, y: npt.ArrayLike, *, pinned: npt.ArrayLike = False, found: int = 0
) -> StarFit:
    """Return stars at positions [pixel] with no flux yet; `pinned` ones keep their positions."""
    x, y = np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)
    n = x.size
    kept = np.broadcast_to(np.asarray(pinned, dtype=bool), n).copy()
    good = np.isfinite(x) & np.isfinite(y)
    return StarFit(
        x=x, y=y, flux=np.zeros(n), sky=np.zeros(n), sky_err=np.zeros(n), n_sky=np.zeros(n, np.int64),
        radius=np.zeros(n), reach=np.zeros(n),
        loose=np.where(good, np.where(kept, 1, 2), 0).astype(np.uint8), light=np.zeros(n),
        moved=np.full(n, np.inf), start_x=x.copy(), start_y=y.copy(), round=np.full(n, found, np.int16),
        pinned=kept,
    )  # fmt: skip


def fit_plane(
    residual: Singles, variance: npt.NDArray[Any], quality: npt.NDArray[np.uint16], *,
    autocorrelation: Floats, correlation: float,
) -> FitPlane:  # fmt: skip
    """Return the plane: unusable and saturated pixels out, and the share of noise that variances carry.

    `shot` is the slope of variance against value over the pixels of the sky: 0 where the variance plane is
    from a model, the inverse of the exposure where it is from the counts themselves.
    """
    quality = np.ascontiguousarray(quality, np.uint16)
    power = np.array(variance, dtype=np.float32, order="C")
    bad = ~np.isfinite(residual) | ~np.isfinite(power) | (power <= 0) | unusable(quality)
    bad |= (quality & int(Quality.SATURATED)) != 0
    power[bad] = 0
    pixels = np.where(np.isfinite(residual), residual, 0).astype(np.float32)
    return FitPlane(
        residual=pixels, variance=power, quality=quality, shot=_shot(pixels, power),
        autocorrelation=np.ascontiguousarray(autocorrelation, np.float64), correlation=correlation,
    )  # fmt: skip


def _shot(pixels: Singles, variance: Singles) -> float:
    """Return the slope of variance against value between neighboring pixels of the sky."""
    step = max(1, pixels.shape[0] // 700)
    dv = np.diff(variance[::step].astype(np.float64), axis=1)
    dx = np.diff(pixels[::step].astype(np.float64), axis=1)
    v = 0.5 * (variance[::step, 1:] + variance[::step, :-1])
    good = (variance[::step, 1:] > 0) & (variance[::step, :-1] > 0)
    if good.sum() < 100:
        return 0.0
    typical = float(np.median(v[good]))
    good &= (v < 1.3 * typical) & (np.abs(dx) < 5 * np.sqrt(2 * typical))
    if good.sum() < 100:
        return 0.0
    dx, dv = dx[good], dv[good]
    limit = 6 * np.median(np.abs(dv)) + 1e-12 * typical
    core = np.abs(dv) <= limit
    norm = float(np.sum(dx[core] ** 2))
    return max(float(np.sum(dx[core] * dv[core])) / norm, 0.0) if norm > 0 else 0.0


def set_reach(plane: FitPlane, model: PsfModel, stars: StarFit, options: FitOptions) -> None:
    """Set the discs that are fit, and how far each star's model matters: a tenth of the pixel noise."""
    n = model.tables.shape[1]
    middle = (n - 1) // 2
    profile = np.maximum.accumulate(np.abs(model.at(model.field[0], model.field[1])[middle, middle:])[::-1])[
        ::-1
    ]
    some = plane.variance[:: max(1, plane.variance.shape[0] // 500)]
    noise = float(np.sqrt(np.median(some[some > 0]))) if (some > 0).any() else 1.0
    # Fluxes may still grow by half before reaches are set anew.
    need = 0.1 * noise / np.maximum(np.abs(stars.flux) * 1.5, 1e-30)
    beyond = profile.size - np.searchsorted(profile[::-1], need, side="right")
    wide = saturated_cores(plane, stars, model.fwhm)
    radius = np.where(wide, WING_RADIUS, options.radius) * model.fwhm
    stars.radius[:] = np.minimum(np.maximum(radius, 1.5), model.radius)
    reach = np.clip(beyond / model.step, stars.radius + 1, model.radius)
    stars.reach[:] = np.ceil(np.where(stars.flux == 0, stars.radius + 1, reach))


def saturated_cores(plane: FitPlane, stars: StarFit, fwhm: float) -> npt.NDArray[np.bool_]:
    """Return which stars (n,) have saturated pixels within half a `fwhm` [pixel] of their centers."""
    rows, columns = plane.variance.shape
    x = np.clip(np.rint(np.nan_to_num(stars.start_x)), 0, columns - 1).astype(np.intp)
    y = np.clip(np.rint(np.nan_to_num(stars.start_y)), 0, rows - 1).astype(np.intp)
    out = np.zeros(stars.size, bool)
    reach = max(1, round(0.5 * fwhm))
    for j in range(-reach, reach + 1):
        for i in range(-reach, reach + 1):
            at = plane.quality[np.clip(y + j, 0, rows - 1), np.clip(x + i, 0, columns - 1)]
            out |= (at & int(Quality.SATURATED)) != 0
    return out


def measure_sky(plane: FitPlane, model: PsfModel, stars: StarFit, options: FitOptions) -> None:
    """Set the sky of every star from the residual about it.

    With fewer than `LEAST_SKY` pixels it is that of the mesh alone, whose error is unknown and counts as 0.
    """
    inner, outer = options.sky_inner * model.fwhm, options.sky_outer * model.fwhm
    bad = plane.unusable
    level, sigma, count = annulus_sky(
        plane.residual, bad, stars.x, stars.y, inner, outer, SKY_KAPPA, clip_bias(SKY_KAPPA), 20
    )
    known = np.isfinite(level) & (count >= LEAST_SKY)
    stars.sky[:] = np.where(known, level, 0.0)
    stars.sky_err[:] = np.where(known, plane.correlation * sigma / np.sqrt(np.maximum(count, 1)), 0.0)
    stars.n_sky[:] = count


def sweep(
    plane: FitPlane,
    model: PsfModel,
    stars: StarFit,
    options: FitOptions,
    *,
    sweeps: int | None = None,
    hold: bool = False,
    tell: Tell | None = None,
) -> int:
    """Fit until the stars rest; return the number of rounds.

    Parameters
    ----------
    hold
        Keep all positions.
    tell
        Is told how far it is.
    """
    start, member = groups_of(stars.x, stars.y, stars.flux, options.link * model.fwhm, options.largest_group)
    group = np.repeat(np.arange(start.size - 1), np.diff(start))
    active = np.ones(start.size - 1, bool)
    step_x, step_y, clamp = np.zeros(stars.size), np.zeros(stars.size), np.full(stars.size, 0.3 * model.fwhm)
    damping = np.full(start.size - 1, DAMPING)
    tether = np.full(stars.size, TETHER * model.fwhm)
    limit = options.sweeps if sweeps is None else sweeps
    number = 0
    for number in range(1, limit + 1):
        loose = np.minimum(stars.loose, 1) if hold or (number == 1 and not stars.flux.any()) else stars.loose
        chosen = np.flatnonzero(active)
        for first in range(0, chosen.size, CHUNK):
            some = chosen[first : first + CHUNK]
            begin = np.concatenate([[0], np.cumsum(np.diff(start)[some])]).astype(np.int64)
            part = damping[some]
            rows = (
                np.concatenate([member[start[k] : start[k + 1]] for k in some])
                if some.size
                else np.empty(0, np.int64)
            )
            fit_groups(
                plane.residual, plane.variance, plane.shot, model.blur, model.tables, model.frame, model.step,
                stars.x, stars.y, stars.flux, stars.sky, stars.radius, stars.reach, loose, begin, rows,
                stars.start_x, stars.start_y, tether, step_x, step_y, clamp, 0.3 * model.fwhm, part,
                stars.moved, stars.light,
            )  # fmt: skip
            damping[some] = part
            if tell is not None and chosen.size > CHUNK:
                tell(f"round {number}: {min(first + CHUNK, chosen.size)} of {chosen.size} groups")
        restless = _restless(stars, 4 * model.fwhm)
        active[:] = False
        active[group[restless[member]]] = True
        if number > 1 and not active.any():
            break
        if number == 1:
            active[:] = True
    return number


def _restless(stars: StarFit, cell: float) -> npt.NDArray[np.bool_]:
    """Return which stars have moved, or have a neighbor that has, in the last round."""
    good = np.isfinite(stars.x) & np.isfinite(stars.y)
    moving = good & (stars.moved > SETTLED)
    out = moving.copy()
    if not moving.any():
        return out
    i = np.floor(np.where(good, stars.x, 0) / cell).astype(np.int64) + 2
    j = np.floor(np.where(good, stars.y, 0) / cell).astype(np.int64) + 2
    i, j = np.clip(i, 1, i.max()), np.clip(j, 1, j.max())
    dirty = np.zeros((j.max() + 2, i.max() + 2), bool)
    strong = good & (stars.moved > 5 * SETTLED)
    dirty[j[strong], i[strong]] = True
    near = np.zeros_like(dirty)
    for b in (-1, 0, 1):
        for a in (-1, 0, 1):
            near |= np.roll(np.roll(dirty, b, 0), a, 1)
    return np.asarray(out | (near[j, i] & good))


def put(plane: FitPlane, model: PsfModel, stars: StarFit, sign: float) -> None:
    """Add (`sign` 1) or take away (-1) the models of all stars from the residual."""
    add_models(
        plane.residual,
        model.tables,
        model.frame,
        model.step,
        stars.x,
        stars.y,
        sign * stars.flux,
        stars.reach,
    )


def errors_of(
    plane: FitPlane, model: PsfModel, stars: StarFit, options: FitOptions
) -> tuple[dict[str, Floats], npt.NDArray[np.uint16]]:
    """Return the columns of `FIT_COLUMNS`, (n,) each, and the quality bits (n,) under each star's core."""
    start, neighbor = neighbors_of(stars.x, stars.y, 2 * options.radius * model.fwhm, 8)
    out = np.empty((stars.size, len(FIT_COLUMNS)))
    bits = np.zeros(stars.size, np.uint16)
    fit_errors(
        plane.residual, plane.variance, plane.shot, model.blur, model.tables, model.frame, model.step,
        stars.x, stars.y, stars.flux, stars.sky, stars.radius, stars.loose, start, neighbor,
        plane.autocorrelation, out, bits, plane.quality,
    )  # fmt: skip
    return {name: out[:, k] for k, name in enumerate(FIT_COLUMNS)}, bits
