"""What is known of a fitted transit, and fits that are told as one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from sciastro.photometry.limbdarkening import LimbPrior
from sciastro.photometry.rednoise import RedNoise
from sciastro.photometry.sampler import Draws

__all__ = ["NoiseFound", "TransitFit", "pool", "told"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NoiseFound:
    """What the posterior says of noise that remembers.

    Attributes
    ----------
    red
        Probability that there is any.
    deviation, minutes
        Of the process, where there is any: relative, and its time [min], geometric means; NaN without.
    n_stars
        Stars of the field that told how often noise is of which kind, and how large trends are; 0 none did.
    trend
        Deviation that each trend of the baseline was held to, relative to the light.
    """

    red: float
    deviation: float
    minutes: float
    n_stars: int
    trend: float


@dataclass(frozen=True)
class TransitFit:
    """A fitted transit.

    Attributes
    ----------
    values, errors
        Median and half of the 68 % interval of: t0 [d], rp_rs, duration [d], b, u1, u2, depth (rp_rs
        squared), depth_flux (loss of light at the middle), and with a period a_rs, inclination [deg].
    best
        Parameters of the highest posterior, as `NAMES`.
    coefficients
        Label to coefficient and error of the baseline, averaged over sets of causes.
    columns, causes, share
        Causes that the baseline is made of; the most probable set of them; probability of each.
    n_sets
        Sets of causes that were averaged over.
    model, baseline
        (point) transit times baseline; baseline alone.
    bic, bic_flat
        With and without the transit, each with its best causes.
    scale, noise, chi2_reduced
        Factor of the errors in white noise; how much more averages of residuals scatter; chi2 with errors as
        given.
    kind, limb
        The noise that errors of the fit hold; the prior of limb darkening.
    draws
        Of the walkers; None where they were not asked.
    samples
        Draws of everything in `values`, thinned.
    orbit
        What was taken as known of the orbit: a_rs and inclination [deg], each with its error; empty: nothing.
    pooled
        Depth and error of each fit whose draws are pooled; empty for a single fit.
    """

    values: dict[str, float]
    errors: dict[str, float]
    best: Floats
    coefficients: dict[str, tuple[float, float]]
    columns: tuple[str, ...]
    causes: tuple[str, ...]
    share: dict[str, float]
    n_sets: int
    model: Floats
    baseline: Floats
    bic: float
    bic_flat: float
    scale: float
    noise: RedNoise
    kind: NoiseFound
    chi2_reduced: float
    period: float | None
    limb: LimbPrior
    draws: Draws | None = None
    samples: dict[str, Floats] = field(default_factory=dict)
    orbit: dict[str, tuple[float, float]] = field(default_factory=dict)
    pooled: tuple[tuple[float, float], ...] = ()
    notes: list[str] = field(default_factory=list)


def told(samples: dict[str, Floats], *, drawn: bool) -> tuple[dict[str, float], dict[str, float]]:
    """Return medians, and half of the 68 % intervals (NaN where nothing was drawn)."""
    values = {name: float(np.median(column)) for name, column in samples.items()}
    if not drawn:
        return values, dict.fromkeys(values, float("nan"))
    ends = {name: np.percentile(column, [15.865, 84.135]) for name, column in samples.items()}
    return values, {name: float(high - low) / 2 for name, (low, high) in ends.items()}


def pool(fits: Sequence[TransitFit]) -> TransitFit:
    """Return the first fit with the draws of all, of the same weight: for choices that data leave open.

    Values are medians of all draws, and errors hold how much the fits differ.
    """
    first = fits[0]
    if len(fits) == 1:
        return first
    samples = {}
    for name in first.samples:
        n = min(one.samples[name].size for one in fits)
        rows = [one.samples[name][np.linspace(0, one.samples[name].size - 1, n).astype(int)] for one in fits]
        samples[name] = np.concatenate(rows)
    values, errors = told(samples, drawn=True)
    notes = list(dict.fromkeys(text for one in fits for text in one.notes))
    each = tuple((one.values["depth"], one.errors["depth"]) for one in fits)
    draws = first.draws
    if draws is not None:
        draws = replace(draws, converged=all(one.draws is not None and one.draws.converged for one in fits))
    return replace(
        first, values=values, errors=errors, samples=samples, pooled=each, draws=draws, notes=notes
    )
