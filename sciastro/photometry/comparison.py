"""Which stars a light curve is compared with: unspoiled, stable, and enough of them.

Reads the light of all stars of a field in all frames (one aperture). Method: what is saturated, cut off,
crowded, faint or a known variable is out; the rest is solved together (`ensemble`), and whoever scatters
beyond what stars of like brightness do is a variable of its own; the stars that make the zero points good
stay. Every star that is out has its reason.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.core.quality import Quality
from sciastro.core.robust import MAD_TO_SIGMA, mad_sigma
from sciastro.errors import MatchError
from sciastro.photometry.ensemble import NEPER, Ensemble, solve_ensemble
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.missing import mean_of, median_of

__all__ = [
    "KNOWN",
    "SPOILED",
    "Chosen",
    "CompareOptions",
    "Light",
    "choose",
    "is_variable",
    "photon_factor",
    "usable",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Flags = npt.NDArray[np.uint32]

SPOILED = int(
    Quality.SATURATED | Quality.DO_NOT_USE | Quality.NO_DATA | Quality.COSMIC_RAY | Quality.TRAIL
) | int(SourceFlag.CUT)
"""Bits of a measurement that no light curve takes."""
VARIES, KNOWN = "varies by itself:", "a known variable"  # how such reasons begin
FAINTEST = 10.0  # S/N of a star in a frame


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareOptions(Options):
    """How comparison stars are chosen."""

    most: int = option(40, "Most comparison stars.", low=1, high=1000)
    tried: int = option(100, "Stars among which they are chosen, the brightest ones.", low=2, high=5000)
    least_snr: float = option(30.0, "Least median S/N of a comparison star in a frame.", low=3.0)
    least_share: float = option(0.6, "Least share of the frames that show it unspoiled.", low=0.05, high=1.0)
    variable: float = option(
        4.0, "Scatter beyond that of stars of like brightness that makes a variable.", unit="sigma", low=2.0
    )


@dataclass(frozen=True, slots=True)
class Light:
    """Light of stars in one aperture, (star, frame): [electron], [electron2], bits."""

    flux: Floats
    variance: Floats
    flags: Flags

    def with_photons(self, factor: float) -> "Light":
        """Return the light with the shot noise of the stars multiplied by `factor`."""
        shot = np.nan_to_num(np.maximum(self.flux, 0.0))
        return Light(self.flux, self.variance + (factor - 1) * np.minimum(shot, self.variance), self.flags)

    def magnitudes(self, relative_variance: Floats | float = 0.0) -> tuple[Floats, Floats]:
        """Return instrumental magnitudes of unspoiled stars, and their variances; NaN for all else.

        Parameters
        ----------
        relative_variance
            (frame), or one number: variance of the relative flux beyond that of photons (scintillation).
        """
        good = usable(self)
        with np.errstate(divide="ignore", invalid="ignore"):
            mag = np.where(good, -2.5 * np.log10(np.where(good, self.flux, 1.0)), np.nan)
            share = self.variance / self.flux**2 + relative_variance
            return mag, np.where(good, NEPER**2 * share, np.nan)


@dataclass
class Chosen:
    """Comparison stars, and why others are none.

    Attributes
    ----------
    stars
        Indices, most weight first.
    reasons
        Index of a star to why it is none; only stars that might have been one.
    ensemble
        Solution of `stars`, in their order.
    notes
        What the user should know.
    """

    stars: npt.NDArray[np.intp]
    ensemble: Ensemble
    reasons: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def is_variable(reason: str) -> bool:
    """Return whether a star is no comparison star because it varies."""
    return reason.startswith((VARIES, KNOWN))


def usable(light: Light) -> Bools:
    """Return (star, frame) which measurements can be compared: unspoiled, positive, well above the noise."""
    with np.errstate(invalid="ignore"):
        clear = light.flux > FAINTEST * np.sqrt(light.variance)
    return np.asarray(clear & ((light.flags & np.uint32(SPOILED)) == 0))


def choose(
    light: Light,
    *,
    barred: dict[int, str],
    given: npt.NDArray[np.intp] | None = None,
    relative_variance: Floats | float = 0.0,
    options: CompareOptions,
) -> Chosen:
    """Choose comparison stars and solve for the zero points.

    Parameters
    ----------
    light
        All stars in all frames that count.
    barred
        Index to reason: the target, what lies beside it, known variables.
    given
        Indices that the user wants; they are taken as they are, with a note on what speaks against them.
    relative_variance
        As in `Light.magnitudes`.

    Raises
    ------
    MatchError
        If no star can serve; the message counts the reasons.
    """
    mag, variance = light.magnitudes(relative_variance)
    reasons = _unfit(light, barred, options)
    if given is not None:
        return _as_given(mag, variance, given, reasons)
    snr = _median_snr(light)
    fit = np.array([i for i in np.argsort(-np.nan_to_num(snr)) if int(i) not in reasons], dtype=np.intp)
    if not fit.size:
        raise MatchError(_none(reasons), where="comparison stars", remedy=_remedy(reasons))
    fit = fit[: options.tried]
    notes: list[str] = []
    while True:
        found = solve_ensemble(mag[fit], variance[fit])
        bad = _variable(found, options)
        if not bad.any():
            break
        for i in fit[bad]:
            reasons[int(i)] = f"{VARIES} scatters more than stars of like brightness"
        fit = fit[~bad]
    if fit.size == 2 and found.n_stars.max() >= 2:
        notes.append("two comparison stars cannot tell which of them varies")
    order = _enough(found, variance[fit], options)
    if fit.size == 1:
        notes.append("one comparison star cannot show that it is constant")
    stars = fit[order]
    return Chosen(stars, solve_ensemble(mag[stars], variance[stars]), reasons, notes)


def _median_snr(light: Light) -> Floats:
    good = usable(light)
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = np.where(good, light.flux / np.sqrt(light.variance), np.nan)
    some = good.any(axis=1)
    out = np.full(good.shape[0], np.nan)
    out[some] = median_of(snr[some], axis=1)
    return out


def _unfit(light: Light, barred: dict[int, str], options: CompareOptions) -> dict[int, str]:
    """Return why stars cannot be comparison stars, by index."""
    flags, n = light.flags, light.flux.shape[1]
    good, snr = usable(light), _median_snr(light)
    seen = np.isfinite(light.flux)
    out = dict(barred)

    def share(bit: int) -> Floats:
        return np.asarray(((flags & np.uint32(bit)) != 0).mean(axis=1))

    saturated, crowded = share(int(Quality.SATURATED)), share(int(SourceFlag.CROWDED))
    for i in range(light.flux.shape[0]):
        if i in out:
            continue
        if saturated[i] > 0.02:
            out[i] = "saturated"
        elif seen[i].sum() < options.least_share * n:
            out[i] = "not in the frame often enough"
        elif crowded[i] > 0.5:
            out[i] = "a neighbor's light is in the aperture"
        elif good[i].sum() < options.least_share * n or not snr[i] >= options.least_snr:
            out[i] = "too faint or spoiled too often"
    return out


def _none(reasons: dict[int, str]) -> str:
    texts = list(reasons.values())
    counted = "; ".join(f"{texts.count(text)} {text}" for text in dict.fromkeys(texts))
    return f"are none: {counted or 'no star was found'}."


def _remedy(reasons: dict[int, str]) -> str:
    if any(text == "saturated" for text in reasons.values()):
        return "Expose shorter or defocus; or name stars with --comp."
    return "Name stars with --comp, or lower least_snr or least_share."


def _as_given(mag: Floats, variance: Floats, given: npt.NDArray[np.intp], reasons: dict[int, str]) -> Chosen:
    some = given[np.isfinite(mag[given]).any(axis=1)]
    notes = [
        f"comparison star {int(i) + 1} is kept as you asked: {reasons[int(i)]}"
        for i in given
        if int(i) in reasons
    ]
    if not some.size:
        raise MatchError(
            "have no unspoiled measurement in any frame.", where="--comp",
            remedy="Name others: not saturated, inside the frames, brighter.",
        )  # fmt: skip
    found = solve_ensemble(mag[some], variance[some])
    if some.size == 1:
        notes.append("one comparison star cannot show that it is constant")
    elif some.size > 2:
        bad = _variable(found, CompareOptions())
        notes += [f"comparison star {int(i) + 1} varies, and is kept as you asked" for i in some[bad]]
    return Chosen(some, found, {i: text for i, text in reasons.items() if i not in some.tolist()}, notes)


def _variable(found: Ensemble, options: CompareOptions) -> Bools:
    """Return which stars scatter more than the rest at their brightness.

    What all stars scatter beyond their noise (flat field, air) is common to them and grows little with
    magnitude: it is the lower half of their excess variances. Where only three are left, the one whose
    scatter stands out against the other two.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        n = np.isfinite(found.alone).sum(axis=1)
        noise = mean_of(np.where(np.isfinite(found.alone), found.alone_variance, np.nan), axis=1)
        actual = mean_of(found.alone**2, axis=1)
    common = float(median_of(np.maximum(actual - noise, 0.0)))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log(actual / (noise + common)) / 2  # of scatters
    width = MAD_TO_SIGMA * float(median_of(np.abs(ratio - median_of(ratio))))
    width = float(np.hypot(width, 1 / np.sqrt(2 * max(float(np.median(n)), 1.0))))
    far = (ratio - median_of(ratio)) / width
    bad = np.asarray(np.nan_to_num(far) > options.variable) & (ratio > np.log(1.5))
    if found.mag.size < 3 or not bad.any():
        return np.zeros(found.mag.size, bool)
    worst = np.zeros(found.mag.size, bool)
    worst[np.argmax(np.where(bad, far, -np.inf))] = True
    return worst if bad.sum() <= 3 else bad & (far > 0.5 * float(np.max(far)))


def _enough(found: Ensemble, variance: Floats, options: CompareOptions) -> npt.NDArray[np.intp]:
    """Return the stars by weight, as many as bring the zero points within 5 per cent of what all would."""
    typical = median_of(variance, axis=1) + np.nan_to_num(found.excess)
    weight = np.where(np.isfinite(typical), 1 / typical, 0.0)
    order = np.argsort(-weight, kind="stable")
    total = np.cumsum(weight[order])
    count = int(np.searchsorted(total, 0.9 * total[-1])) + 1  # 5 % of sigma are 10 % of weight
    return np.asarray(order[: min(max(count, min(8, order.size)), options.most)], np.intp)


def photon_factor(light: Light, chosen: Chosen) -> tuple[float, float]:
    """Return the factor of starlight's shot noise that explains comparison stars, and its error.

    Where nobody knows the gain, fluxes are in adu and one over the gain is this factor; it holds what
    else grows with the light. The median over the stars of ``(mean r^2 - noise of the sky) / shot noise``.
    """
    found, flux = chosen.ensemble, light.flux[chosen.stars]
    ok = np.isfinite(found.alone) & (flux > 0)
    flux = np.where(ok, flux, np.nan)
    shot = NEPER**2 / flux
    sky = NEPER**2 * np.maximum(light.variance[chosen.stars] - flux, 0.0) / flux**2
    around = found.alone_variance - NEPER**2 * light.variance[chosen.stars] / flux**2  # of the zero points
    rest = mean_of(found.alone**2 - sky, axis=1) / mean_of(shot, axis=1)
    share = mean_of(np.maximum(around, 0.0), axis=1) / mean_of(shot, axis=1)
    each = rest / (1 + share)  # zero points are made of the same noise
    good = each[np.isfinite(each)]
    if not good.size:
        return 1.0, float("nan")
    middle = float(np.median(good))
    err = 1.2533 * mad_sigma(good, middle) / np.sqrt(good.size)
    return max(middle, 1e-3), err
