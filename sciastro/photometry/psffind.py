"""Stars in what is left of an image after all known ones are subtracted."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.correlation import weighted_factor
from sciastro.kernels.psfdetect import filter_peaks, matched_filter
from sciastro.photometry.psffit import FitPlane, StarFit, start_fit
from sciastro.photometry.psfmodel import PsfModel
from sciastro.photometry.psfstructure import Structure, less_surroundings, structure_of

__all__ = ["find_more", "roughness_of", "significance"]

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Near = tuple[Floats, Floats, float]
"""x, y of places and a radius [pixel]: only there stars are searched for."""

LEAST_SHARE = 0.04  # of subtracted light that may be wrong
CLOSE = 0.6  # fwhm: nearer to a known star nothing new is believed
NOWHERE = np.empty(0)


@dataclass(frozen=True, slots=True)
class _Filter:
    """What is searched for: the profile, the light that may be wrong, how noise of pixels is correlated."""

    template: Singles
    share: float
    factor: float

    def snr(self, residual: Singles, variance: Singles, light: Singles) -> Singles:
        """Return the S/N of a star on every pixel."""
        out = np.empty_like(residual)
        matched_filter(residual, variance, light, self.share, self.template, out)
        out /= np.float32(self.factor)
        return out


@dataclass(frozen=True, slots=True)
class _Search:
    """The filter, and where the image is too rough for it alone."""

    filter: _Filter
    fwhm: float
    structure: Structure | None

    def snr(self, residual: Singles, variance: Singles, light: Singles, y0: int = 0, x0: int = 0) -> Singles:
        """Return the S/N of a star over the scatter about it; `y0`, `x0` of the first pixel in the image."""
        plain = self.filter.snr(residual, variance, light)
        if self.structure is None or not self.structure.any:
            return plain
        y, x = (np.arange(size) + start for size, start in zip(plain.shape, (y0, x0), strict=True))
        rough = self.structure.rough(y[:, None], x[None])
        if not rough.any():
            return plain
        flat = self.filter.snr(
            less_surroundings(residual, variance, light, self.filter.share, self.fwhm), variance, light
        )
        scatter = self.structure.at(self.structure.flat, y[:, None], x[None])
        return np.where(rough, flat / scatter, plain).astype(np.float32)


def _filter(plane: FitPlane, model: PsfModel) -> _Filter:
    half = max(1, round(0.9 * model.fwhm))
    template = model.stamp(np.floor(model.field[0]), np.floor(model.field[1]), half)
    return _Filter(
        template.astype(np.float32), max(LEAST_SHARE, 2 * model.blur),
        weighted_factor(plane.autocorrelation, template),
    )  # fmt: skip


def significance(plane: FitPlane, model: PsfModel, light: Singles) -> Singles:
    """Return the S/N (y, x) of a star on every pixel of the residual; `light` [electron] was subtracted."""
    return _filter(plane, model).snr(plane.residual, plane.variance, light)


def roughness_of(
    plane: FitPlane, model: PsfModel, stars: StarFit, within: Structure | None = None
) -> Structure:
    """Return how rough the residual is where no star was, `within` what was so in an earlier search."""
    light = model.render(plane.residual.shape, stars.x, stars.y, stars.flux)
    seek = _filter(plane, model)
    return structure_of(
        seek.snr(plane.residual, plane.variance, light), plane.residual, plane.variance, light, seek.share,
        model.fwhm, lambda residual: seek.snr(residual, plane.variance, light), within,
    )  # fmt: skip


def find_more(
    plane: FitPlane,
    model: PsfModel,
    stars: StarFit,
    threshold: float,
    most: int,
    *,
    light: Singles | None = None,
    near: Near | None = None,
    structure: Structure | None = None,
) -> tuple[StarFit, int]:
    """Return the stars with those that the residual shows at the end, and how many these are.

    Parameters
    ----------
    light
        float32 (y, x), what was subtracted beside `stars`.
    near
        None searches everywhere.
    structure
        Where light that is no star makes the residual rough; None takes it for smooth.
    """
    from scipy.spatial import cKDTree

    taken = model.render(plane.residual.shape, stars.x, stars.y, stars.flux)
    if light is not None:
        taken += light
    x, y, s = _peaks(plane, model, taken, threshold, max(most - stars.size, 0), near, structure)
    good = np.isfinite(stars.x) & np.isfinite(stars.y)
    if x.size and good.any():
        tree = cKDTree(np.column_stack([stars.x[good], stars.y[good]]))
        distance, _ = tree.query(np.column_stack([x, y]))
        keep = distance > CLOSE * model.fwhm
        x, y, s = x[keep], y[keep], s[keep]
    if not x.size:
        return stars, 0
    order = np.argsort(-s)
    new = start_fit(x[order], y[order], found=int(stars.round.max(initial=0)) + 1)
    new.radius[:] = max(1.5, 1.5 * model.fwhm)
    new.reach[:] = np.ceil(new.radius) + 1
    return stars.joined(new), int(x.size)


def _peaks(
    plane: FitPlane, model: PsfModel, light: Singles, threshold: float, most: int, near: Near | None,
    structure: Structure | None,
) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    """Return x, y and S/N of the peaks of the filtered residual."""
    seek = _Search(_filter(plane, model), model.fwhm, structure)
    rim = seek.filter.template.shape[0] // 2 + 2  # the whole filter, and pixels that have no peak
    if near is None or near[0].size * (2 * (near[2] + rim)) ** 2 > plane.residual.size:
        snr = seek.snr(plane.residual, plane.variance, light)
        x, y, s = filter_peaks(snr, threshold, most)
        return (x, y, s) if near is None else _of_place(x, y, s, near)
    parts = [(NOWHERE, NOWHERE, NOWHERE), *_windows(plane, seek, light, threshold, most, near, rim)]
    x, y, s = (np.concatenate(part) for part in zip(*parts, strict=True))
    return x[:most], y[:most], s[:most]


def _of_place(
    x: Floats, y: Floats, s: Floats, near: Near, place: int | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return the peaks near the places; those of one are nearer to it than to any other."""
    from scipy.spatial import cKDTree

    distance, nearest = cKDTree(np.column_stack(near[:2])).query(np.column_stack([x, y]))
    own = (distance <= near[2]) & (True if place is None else nearest == place)
    return x[own], y[own], s[own]


def _windows(
    plane: FitPlane, seek: _Search, light: Singles, threshold: float, most: int, near: Near, rim: int
) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Yield the peaks about each place."""
    rows, columns = plane.residual.shape
    half = int(np.ceil(near[2])) + rim
    for k, (a, b) in enumerate(zip(near[0], near[1], strict=True)):
        y0, x0 = max(0, int(b) - half), max(0, int(a) - half)
        window = np.s_[y0 : min(rows, int(b) + half + 1), x0 : min(columns, int(a) + half + 1)]
        residual, variance, lit = (
            np.ascontiguousarray(one[window]) for one in (plane.residual, plane.variance, light)
        )
        x, y, s = filter_peaks(seek.snr(residual, variance, lit, y0, x0), threshold, min(most, half * half))
        if x.size:
            yield _of_place(x + x0, y + y0, s, near, k)
