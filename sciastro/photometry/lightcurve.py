"""Relative fluxes of every star of a field from its light in every frame and aperture.

Reads fluxes by aperture, star and frame; writes relative fluxes with errors. Method: comparison stars are
chosen in a middling aperture (`comparison`); the aperture is that in which comparison stars of the target's
brightness scatter least, and those that are as good are kept beside it for the target; zero points come from
all comparison stars at once (`ensemble`), and slope over the field where stars left out of the fit say that
they do. Errors hold the noise of pixels and sky level, scintillation, the zero point's own error with its
covariance, and what stars of like brightness scatter beyond.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma
from sciastro.photometry.comparison import (
    Chosen,
    CompareOptions,
    Light,
    choose,
    photon_factor,
    usable,
)
from sciastro.photometry.ensemble import NEPER, Ensemble, solve_ensemble
from sciastro.photometry.missing import mean_of, median_of

__all__ = ["Curves", "RawLight", "make_curves"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FIRST = 1.8  # FWHM: aperture in which comparison stars are chosen
LIKE = 2.5  # factor of brightness of stars that are like the target
BETTER = 0.98  # of the scatter, below which slopes over the field are kept
EQUAL = 1.05  # of the least scatter, up to which an aperture is as good
MOST_EQUAL = 4  # apertures


@dataclass(frozen=True)
class RawLight:
    """What was measured.

    Attributes
    ----------
    flux, variance, flags
        (aperture, star, frame) [electron], [electron2], bits.
    factor
        (aperture) radius [FWHM], for the first choice.
    place
        (star, 2) from the target [deg].
    scintillation
        (frame) relative variance of a star's flux; 0 unknown.
    known_gain
        Whether fluxes are in electrons; else their shot noise is measured from comparison stars.
    """

    flux: npt.NDArray[np.float32]
    variance: npt.NDArray[np.float32]
    flags: npt.NDArray[np.uint32]
    factor: Floats
    place: Floats
    scintillation: Floats
    known_gain: bool

    def light(self, aperture: int, photons: float = 1.0) -> Light:
        """Return the light in one aperture, with shot noise times `photons`."""
        one = Light(
            self.flux[aperture].astype(np.float64), self.variance[aperture].astype(np.float64),
            self.flags[aperture],
        )  # fmt: skip
        return one if photons == 1.0 else one.with_photons(photons)


@dataclass
class Curves:
    """Relative fluxes (star, frame), each star's median 1.

    Attributes
    ----------
    aperture
        Index of the aperture; `tried` holds the scatter of like stars in each.
    chosen, ensemble, sloping
        Comparison stars; solution in that aperture; whether zero points slope over the field.
    flux, err
        Relative flux and error; NaN unmeasured.
    mag
        (star) instrumental magnitude of relative flux 1 [mag].
    terms
        Name to (frame) relative error of the target by cause: pixels (with sky), scintillation, zero point,
        excess.
    photons, photons_err
        Factor of the shot noise; 1 where the gain is known.
    others
        Index of an aperture as good as the chosen one to the target's relative flux and error (frame) in it.
    """

    aperture: int
    tried: Floats
    chosen: Chosen
    ensemble: Ensemble
    sloping: bool
    flux: Floats
    err: Floats
    mag: Floats
    terms: dict[str, Floats]
    photons: float
    photons_err: float
    others: dict[int, tuple[Floats, Floats]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def make_curves(
    raw: RawLight,
    good_frames: Bools,
    *,
    barred: dict[int, str],
    given: npt.NDArray[np.intp] | None,
    options: CompareOptions,
) -> Curves:
    """Return the light curves of all stars; star 0 is the target.

    Parameters
    ----------
    raw
        What was measured.
    good_frames
        (frame) frames that choices are made on; all frames get fluxes.
    barred, given
        As in `comparison.choose`.

    Raises
    ------
    MatchError
        If no star can be compared with.
    """
    first = int(np.argmin(np.abs(raw.factor - FIRST)))
    barred = {0: "the target"} | barred
    photons, photons_err, chosen = _chosen(raw, first, good_frames, barred, given, options)
    target = _typical(raw.light(first), 0, good_frames)
    tried = np.array(
        [_merit(raw, k, chosen, target, photons) for k in range(raw.factor.size)], dtype=np.float64
    )
    aperture = int(np.nanargmin(tried)) if np.isfinite(tried).any() else first
    curves = _in_aperture(raw, aperture, chosen, target, (photons, photons_err))
    curves.tried = tried
    for k in _equal(tried, aperture):
        other = _in_aperture(raw, k, chosen, target, (photons, photons_err), sloping=curves.sloping)
        curves.others[k] = other.flux[0], other.err[0]
    return curves


def _equal(tried: Floats, aperture: int) -> list[int]:
    """Return the other apertures in which stars like the target scatter as little, the best first."""
    with np.errstate(invalid="ignore"):
        good = np.flatnonzero(tried <= EQUAL * tried[aperture])
    order = good[np.argsort(tried[good], kind="stable")]
    return [int(k) for k in order if k != aperture][: MOST_EQUAL - 1]


def _in_aperture(
    raw: RawLight, aperture: int, chosen: Chosen, target: float, photons: tuple[float, float], *,
    sloping: bool | None = None,
) -> Curves:  # fmt: skip
    """Return the curves in one aperture; zero points slope where left-out stars ask for it, or as told."""
    light = raw.light(aperture, photons[0])
    mag, variance = light.magnitudes(raw.scintillation)
    stars = chosen.stars
    ensemble = solve_ensemble(mag[stars], variance[stars])
    if sloping is not False and stars.size >= 6:
        sloped = solve_ensemble(mag[stars], variance[stars], place=raw.place[stars])
        sloping = bool(sloping) or _scatter(sloped) < BETTER * _scatter(ensemble)
        ensemble = sloped if sloping else ensemble
    excess = _common_excess(ensemble, light, stars, target)
    return _curves(raw, light, aperture, chosen, ensemble, bool(sloping), excess, photons)


def _chosen(
    raw: RawLight, first: int, frames: Bools, barred: dict[int, str], given: npt.NDArray[np.intp] | None,
    options: CompareOptions,
) -> tuple[float, float, Chosen]:  # fmt: skip
    photons, err = 1.0, 0.0
    rounds = 1 if raw.known_gain else 3
    for k in range(rounds):
        light = raw.light(first, photons)
        some = Light(light.flux[:, frames], light.variance[:, frames], light.flags[:, frames])
        scintillation = raw.scintillation[frames]
        chosen = choose(some, barred=barred, given=given, relative_variance=scintillation, options=options)
        if k + 1 < rounds:
            plain = raw.light(first)
            part = Light(plain.flux[:, frames], plain.variance[:, frames], plain.flags[:, frames])
            photons, err = photon_factor(part, chosen)
    return photons, err, chosen


def _typical(light: Light, star: int, frames: Bools) -> float:
    values = light.flux[star, frames]
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


def _like(light: Light, stars: npt.NDArray[np.intp], target: float) -> npt.NDArray[np.intp]:
    """Return which of `stars` (positions in it) are as bright as the target; at least five, the nearest."""
    with np.errstate(invalid="ignore", divide="ignore"):
        flux = np.array([median_of(np.where(usable(light)[i], light.flux[i], np.nan)) for i in stars])
        away = np.abs(np.log(np.maximum(flux, 1e-30) / max(target, 1e-30)))
    if not np.isfinite(target):
        return np.arange(stars.size)
    order = np.argsort(away, kind="stable")
    count = max(int((away <= np.log(LIKE)).sum()), min(5, stars.size))
    return np.asarray(order[:count], np.intp)


def _merit(raw: RawLight, k: int, chosen: Chosen, target: float, photons: float) -> float:
    """Return the scatter of comparison stars like the target in an aperture; NaN where too few are usable."""
    light = raw.light(k, photons)
    stars = chosen.stars
    mag, variance = light.magnitudes(raw.scintillation)
    if stars.size == 1 or not np.isfinite(mag[stars]).any():
        # Nothing to compare the one star with: the aperture of best S/N.
        values = np.sqrt(variance[stars])
        return float(median_of(values)) if np.isfinite(values).any() else float("nan")
    found = solve_ensemble(mag[stars], variance[stars])
    rows = found.alone[_like(light, stars, target)]
    return float(median_of([_robust(row) for row in rows]))


def _robust(values: Floats) -> float:
    some = values[np.isfinite(values)]
    if some.size < 3:
        return float("nan")
    return mad_sigma(some)


def _scatter(found: Ensemble) -> float:
    with np.errstate(invalid="ignore"):
        each = np.sqrt(mean_of(found.alone**2, axis=1))
    return float(median_of(each))


def _common_excess(found: Ensemble, light: Light, stars: npt.NDArray[np.intp], target: float) -> float:
    """Return the variance [mag2] beyond noise of stars like the target; one star cannot tell: 0."""
    if stars.size < 3:
        return 0.0
    rows = _like(light, stars, target)
    with np.errstate(invalid="ignore"):
        beyond = mean_of(found.alone[rows] ** 2, axis=1) - mean_of(
            np.where(np.isfinite(found.alone[rows]), found.alone_variance[rows], np.nan), axis=1
        )
    return max(float(median_of(beyond)), 0.0)


def _curves(
    raw: RawLight, light: Light, aperture: int, chosen: Chosen, found: Ensemble, sloping: bool,
    excess: float, photons: tuple[float, float],
) -> Curves:  # fmt: skip
    zero, zero_variance = found.zero_at(raw.place if sloping else None)
    zero = np.broadcast_to(zero, light.flux.shape)
    zero_variance = np.broadcast_to(zero_variance, light.flux.shape)
    scale = 10 ** (0.4 * zero)
    flux = light.flux * scale
    pixels = light.variance * scale**2
    with np.errstate(invalid="ignore"):
        norm = np.array([_positive_median(row) for row in flux])
        common = (zero_variance + found.frame_excess + excess) / NEPER**2 + raw.scintillation
        variance = pixels + flux**2 * common
    flux, err = flux / norm[:, None], np.sqrt(variance) / norm[:, None]
    terms = {
        "pixels": np.sqrt(pixels[0]) / norm[0],
        "scintillation": flux[0] * np.sqrt(raw.scintillation),
        "zero_point": flux[0] * np.sqrt(zero_variance[0]) / NEPER,
        "excess": flux[0] * np.sqrt(found.frame_excess + excess) / NEPER,
    }
    # A comparison star is seen against all others, not against itself.
    for k, i in enumerate(chosen.stars):
        alone = 10 ** (-0.4 * found.alone[k])
        flux[i] = alone
        err[i] = alone * np.sqrt(found.alone_variance[k] + np.nan_to_num(found.excess[k])) / NEPER
    with np.errstate(invalid="ignore", divide="ignore"):
        mag = -2.5 * np.log10(norm)
    mag[chosen.stars] = found.mag
    return Curves(
        aperture=aperture, tried=np.empty(0), chosen=chosen, ensemble=found, sloping=sloping, flux=flux,
        err=err, mag=mag, terms=terms, photons=photons[0], photons_err=photons[1], notes=list(chosen.notes),
    )  # fmt: skip


def _positive_median(row: Floats) -> float:
    """Return the median; its size where it is not positive, so that signs stay; 1 without any value."""
    some = row[np.isfinite(row)]
    if not some.size:
        return 1.0
    middle = float(np.median(some))
    return middle if middle > 0 else max(float(np.std(some)), 1e-30)
