"""A planet before its star: found, fitted together with the baseline, with posterior.

Reads relative fluxes with errors, and causes of trends. Method: the quadratic law of Mandel & Agol 2002
(`kernels.transit`) on a circular orbit, or a straight chord where nobody gives the period; the baseline
(constant and causes) multiplies it, is linear and integrated out. Causes are chosen by BIC; errors are scaled
by what residuals say (chi2 and red noise, Winn et al. 2008); walkers then draw t0, Rp/Rs, duration, impact
parameter and limb darkening, the latter with Gaussian priors.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.kernels.transit import log_likelihood
from sciastro.photometry.rednoise import RedNoise, red_noise
from sciastro.photometry.sampler import Draws, sample
from sciastro.photometry.trends import Trends, subsets

__all__ = ["TransitFit", "TransitOptions", "fit_transit"]

Floats = npt.NDArray[np.float64]

NAMES = ("t0", "rp_rs", "duration", "b", "u1", "u2")
FEWEST = 12  # points


@dataclass(frozen=True, kw_only=True, slots=True)
class TransitOptions(Options):
    """How a transit is looked for and fitted."""

    transit: str = option(
        "auto", "Whether to fit one; auto: where BIC asks for it.", choices=("auto", "yes", "no")
    )
    period: float | None = option(
        None, "Orbital period; none: a straight chord.", unit="d", low=0.05, high=1e5
    )
    t0: float | None = option(None, "A mid-transit time, BJD_TDB.", unit="d", low=0.0)
    duration: float | None = option(None, "Duration to begin with.", unit="h", low=0.05, high=100.0)
    limb_darkening: str = option("0.40,0.25", "u1,u2 of the quadratic law: center of their prior.")
    limb_error: float = option(0.10, "Sigma of the prior of u1 and u2; 0 fixes them.", low=0.0, high=1.0)
    detrend: str = option("auto", "Causes of trends: auto (chosen by BIC), none, or names with commas.")
    least_gain: float = option(10.0, "Gain of BIC that makes a transit of a dip.", low=0.0)
    steps: int = option(4000, "Most steps of the walkers.", low=200, high=200_000)
    seed: int = option(1, "Of the walkers.", low=0)


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
        Label to coefficient and error of the baseline.
    causes
        That were chosen.
    model, baseline
        (point) transit times baseline; baseline alone.
    bic, bic_flat
        With and without the transit, each with its best causes.
    scale, noise, chi2_reduced
        Factor of the errors before red noise; red noise of the residuals; chi2 with errors as given.
    draws
        Of the walkers; None where they were not asked.
    """

    values: dict[str, float]
    errors: dict[str, float]
    best: Floats
    coefficients: dict[str, tuple[float, float]]
    causes: tuple[str, ...]
    model: Floats
    baseline: Floats
    bic: float
    bic_flat: float
    scale: float
    noise: RedNoise
    chi2_reduced: float
    period: float | None
    draws: Draws | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Data:
    time: Floats  # from `zero` [d]
    flux: Floats
    weight: Floats
    exposure: Floats
    steps: int
    period: float
    zero: float
    limb: tuple[float, float]
    limb_error: float

    def log_likelihood(self, shape: Floats, basis: Floats) -> tuple[float, Floats, Floats]:
        """Return ln L with the baseline integrated out, its coefficients, and the model."""
        coefficients, model = np.empty(basis.shape[1]), np.empty(self.time.size)
        value = log_likelihood(
            self.time, self.exposure, self.steps, self.flux, self.weight, basis,
            np.asarray(shape, np.float64), self.period, coefficients, model,
        )  # fmt: skip
        return float(value), coefficients, model


def fit_transit(
    time: Floats,
    flux: Floats,
    err: Floats,
    exposure: Floats,
    trends: Trends,
    *,
    options: TransitOptions,
    draw: bool = True,
) -> TransitFit | None:
    """Fit a transit; None where there is none, or too few points.

    Parameters
    ----------
    time, flux, err, exposure
        (point) BJD_TDB [d], relative, [d]; all finite, in order of time.
    trends
        Of the same points.
    draw
        Whether walkers draw from the posterior; else errors are NaN.
    """
    if options.transit == "no" or time.size < FEWEST:
        return None
    data = _data(time, flux, err, exposure, options)
    chosen, shape, bic, bic_flat = _search(data, trends, options)
    if shape is None:
        return None
    basis = trends.basis(chosen)
    _, _, model = data.log_likelihood(shape, basis)
    residual = data.flux - model
    freedom = max(time.size - basis.shape[1] - 4, 1)
    reduced = float(np.sum(data.weight * residual**2) / freedom)
    noise = red_noise(time, residual)
    if options.transit == "auto" and (bic_flat - bic) / noise.factor**2 < options.least_gain:
        return None
    scale = float(np.sqrt(reduced))
    scaled = _with_errors(data, scale * noise.factor)
    draws, best = (None, shape) if not draw else _draw(scaled, basis, shape, options)
    return _result(scaled, data, trends, chosen, draws, best, (bic, bic_flat, scale, reduced), noise, options)


def _data(time: Floats, flux: Floats, err: Floats, exposure: Floats, options: TransitOptions) -> _Data:
    zero = float(np.floor(np.mean(time)))
    limb = [float(part) for part in options.limb_darkening.split(",")]
    # An exposure smears ingress where it takes more than a few minutes.
    steps = int(np.clip(np.ceil(np.median(exposure) * 1440 / 2), 1, 11))
    return _Data(
        time - zero, np.ascontiguousarray(flux), 1 / err**2, np.ascontiguousarray(exposure), steps,
        options.period or 0.0, zero, (limb[0], limb[1]), options.limb_error,
    )  # fmt: skip


def _with_errors(data: _Data, factor: float) -> _Data:
    return _Data(
        data.time, data.flux, data.weight / factor**2, data.exposure, data.steps, data.period, data.zero,
        data.limb, data.limb_error,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- search
def _search(
    data: _Data, trends: Trends, options: TransitOptions
) -> tuple[tuple[str, ...], Floats | None, float, float]:
    """Return the causes and shape of lowest BIC, and BIC with and without a transit.

    BIC counts chi2 in errors that are scaled so that the richest model has a reduced chi2 of 1.
    """
    n = data.time.size
    every = [names for names in subsets(trends, options.detrend) if trends.basis(names).shape[1] + 5 < n]
    if not every:
        return (), None, float("nan"), float("nan")
    first = max(every, key=len)
    flat = {names: _flat(data, trends.basis(names)) for names in every}
    start = _start(data, trends, every, options)
    if start is None:
        return (), None, float("nan"), float("nan")
    richest = _refine(data, trends.basis(first), start)
    unit = max(richest[1] / max(n - trends.basis(first).shape[1] - 4, 1), 1e-12)
    found = {}
    for names in _worth(every, data, trends, richest[0]):
        basis = trends.basis(names)
        shape, chi2 = _refine(data, basis, richest[0])
        found[names] = (chi2 / unit + (basis.shape[1] + 4) * np.log(n), shape)
    chosen = min(found, key=lambda names: found[names][0])
    bic_flat = min(chi2 / unit + trends.basis(names).shape[1] * np.log(n) for names, chi2 in flat.items())
    return chosen, found[chosen][1], float(found[chosen][0]), float(bic_flat)


def _worth(every: list[tuple[str, ...]], data: _Data, trends: Trends, shape: Floats) -> list[tuple[str, ...]]:
    """Return the twelve sets of causes of lowest BIC with a shape that is held; the others cannot win."""
    n = data.time.size
    rows = []
    chi2_least = min(_chi2(data, trends.basis(names), shape) for names in every)
    unit = max(chi2_least / max(n - 8, 1), 1e-12)
    for names in every:
        basis = trends.basis(names)
        rows.append((_chi2(data, basis, shape) / unit + basis.shape[1] * np.log(n), names))
    return [names for _, names in sorted(rows)[:12]]


def _flat(data: _Data, basis: Floats) -> float:
    """Return chi2 of the baseline alone."""
    root = np.sqrt(data.weight)
    fit, *_ = np.linalg.lstsq(basis * root[:, None], data.flux * root, rcond=None)
    return float(np.sum(data.weight * (data.flux - basis @ fit) ** 2))


def _chi2(data: _Data, basis: Floats, shape: Floats) -> float:
    value, _, model = data.log_likelihood(shape, basis)
    return float(np.sum(data.weight * (data.flux - model) ** 2)) if np.isfinite(value) else float("inf")


def _start(
    data: _Data, trends: Trends, every: list[tuple[str, ...]], options: TransitOptions
) -> Floats | None:
    """Return the best of a grid of mid-transit times, durations and depths."""
    span = float(np.ptp(data.time))
    basis = trends.basis(min(every, key=lambda names: (abs(len(names) - 1), "airmass" not in names)))
    if options.t0 is not None:
        epoch = 0.0
        if options.period:
            epoch = np.round((data.zero + float(np.mean(data.time)) - options.t0) / options.period)
        times = np.array([options.t0 + epoch * (options.period or 0.0) - data.zero])
        times = times + np.linspace(-0.03, 0.03, 7)
    else:
        times = np.linspace(data.time[0], data.time[-1], int(np.clip(span * 1440 / 8, 20, 400)))
    lengths = (
        np.array([options.duration / 24]) if options.duration else np.array([1, 1.5, 2.2, 3.2, 4.5]) / 24
    )
    best, value = None, np.inf
    for length in lengths[lengths < max(1.2 * span, 1.1 * float(lengths[0]))]:
        for t0 in times:
            inside = np.abs(data.time - t0) < length / 2
            if inside.sum() < 3 or (~inside).sum() < 3:
                continue
            for k in (0.05, 0.1, 0.16):
                shape = np.array([t0, k, length, 0.3, *data.limb])
                chi2 = _chi2(data, basis, shape)
                if chi2 < value:
                    best, value = shape, chi2
    return best


def _refine(data: _Data, basis: Floats, start: Floats) -> tuple[Floats, float]:
    """Return the shape of least chi2 near `start` (limb darkening held), and chi2."""
    from scipy.optimize import minimize

    def chi2(free: Floats) -> float:
        if not (0 < free[1] < 0.7 and 0 <= free[3] < 1.2):
            return 1e30
        value = _chi2(data, basis, np.array([*free, *start[4:]]))
        return value if np.isfinite(value) else 1e30

    simplex = np.vstack([start[:4]] + [start[:4] + step for step in np.diag([0.006, 0.02, 0.012, 0.2])])
    found = minimize(
        chi2, start[:4], method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxiter": 600, "xatol": 1e-6, "fatol": 1e-4},
    )  # fmt: skip
    return np.array([*found.x, *start[4:]]), float(found.fun)


# ---------------------------------------------------------------------------------------- posterior
def _draw(data: _Data, basis: Floats, shape: Floats, options: TransitOptions) -> tuple[Draws, Floats]:
    rng = np.random.default_rng(options.seed)
    free = 6 if data.limb_error > 0 else 4
    low, high = float(data.time[0]), float(data.time[-1])

    def one(values: Floats) -> float:
        full = np.array([*values, *data.limb]) if free == 4 else values
        t0, k, _, b, u1, u2 = full
        if not (low - 0.2 < t0 < high + 0.2 and 0 < k < 0.7 and 0 <= b < 1 + k):
            return -np.inf
        if u1 + u2 > 1 or u1 < 0 or u1 + 2 * u2 < 0:  # the law would not be a star's (Kipping 2013)
            return -np.inf
        prior = 0.0
        if free == 6:
            prior = -0.5 * (((u1 - data.limb[0]) / data.limb_error) ** 2)
            prior -= 0.5 * ((u2 - data.limb[1]) / data.limb_error) ** 2
        return prior + data.log_likelihood(full, basis)[0]

    def many(values: Floats) -> Floats:
        return np.array([one(row) for row in values])

    spread = np.array([0.002, 0.004, 0.004, 0.1, 0.5 * data.limb_error, 0.5 * data.limb_error])[:free]
    start: list[Floats] = []
    for _ in range(20_000):
        trial = shape[:free] + spread * rng.standard_normal(free)
        trial[3] = abs(trial[3])
        if np.isfinite(one(trial)):
            start.append(trial)
        if len(start) == 4 * free:
            break
    draws = sample(many, np.array(start), rng=rng, most=options.steps)
    top = draws.flat[int(np.argmax(draws.log_probability))]
    return draws, np.array([*top, *data.limb]) if free == 4 else top


def _result(
    data: _Data, plain: _Data, trends: Trends, causes: tuple[str, ...], draws: Draws | None, best: Floats,
    numbers: tuple[float, float, float, float], noise: RedNoise, options: TransitOptions,
) -> TransitFit:  # fmt: skip
    basis = trends.basis(causes)
    _, coefficients, model = data.log_likelihood(best, basis)
    transit = model / (basis @ coefficients)
    design = basis * (transit * np.sqrt(data.weight))[:, None]
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    flat = draws.flat[:: max(1, len(draws.flat) // 20_000)] if draws is not None else best[None]
    table = _derived(flat, data, options)
    values = {name: float(np.median(column)) for name, column in table.items()}
    spread = {
        name: float(np.diff(np.percentile(column, [15.865, 84.135]))[0] / 2)
        if draws is not None
        else float("nan")
        for name, column in table.items()
    }
    notes = []
    if draws is not None and not draws.converged:
        notes.append(
            f"the walkers' chain is short: {draws.chain.shape[0]} steps, autocorrelation "
            f"{np.max(draws.autocorrelation):.0f}"
        )
    if options.period is None:
        notes.append("no period is given: a straight chord, so a/Rs and inclination are not known")
    bic, bic_flat, scale, reduced = numbers
    return TransitFit(
        values=values, errors=spread, best=np.asarray(best) + np.array([data.zero, 0, 0, 0, 0, 0]),
        coefficients={
            label: (float(c), float(e))
            for label, c, e in zip(trends.labels(causes), coefficients, errors, strict=True)
        },
        causes=causes, model=model, baseline=basis @ coefficients, bic=bic, bic_flat=bic_flat, scale=scale,
        noise=noise, chi2_reduced=reduced, period=options.period, draws=draws, notes=notes,
    )  # fmt: skip


def _derived(flat: Floats, data: _Data, options: TransitOptions) -> dict[str, Floats]:
    if flat.shape[1] == 4:
        flat = np.column_stack([flat, np.broadcast_to(data.limb, (len(flat), 2))])
    t0, k, duration, b, u1, u2 = flat.T
    out: dict[str, Any] = {
        "t0": t0 + data.zero, "rp_rs": k, "duration": duration, "b": b, "u1": u1, "u2": u2, "depth": k**2,
    }  # fmt: skip
    basis, nothing = np.ones((1, 1)), np.zeros(1)
    middle = []
    for row in flat[:: max(1, len(flat) // 500)]:
        # One point at the middle, of weight 1 and flux 1: the model before its baseline is 1 / coefficient.
        c, model = np.empty(1), np.empty(1)
        log_likelihood(
            np.array([row[0]]), nothing, 1, np.ones(1), np.ones(1), basis, row, data.period, c, model
        )
        middle.append(1 - 1 / c[0])
    out["depth_flux"] = np.array(middle)
    if options.period:
        chord = (1 + k) ** 2 - b**2
        out["a_rs"] = np.sqrt(chord / np.sin(np.pi * duration / options.period) ** 2 + b**2)
        out["inclination"] = np.degrees(np.arccos(np.clip(b / out["a_rs"], 0, 1)))
    return {name: np.asarray(column, np.float64) for name, column in out.items()}
