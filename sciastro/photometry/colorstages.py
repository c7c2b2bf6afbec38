"""Which model of the colors do stars that took no part in the fit prefer? From one factor to a response.

Data: ln of the flux ratios of each star to the reference band, less what its spectrum gives through the
assumed response. *scalar*: a constant per ratio. *line*, *curve*: also slopes in the star's color.
*response*: each band times ``exp(piecewise linear)`` with `KNOTS` knots, held near 1 by a ridge. Every
term is 0 for the white reference, so the constants are its ratios in every stage. The score of a stage is
how well it foretells left-out stars; a later stage is taken only if it gains more than one standard error
of that gain.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.photometry.jointfit import JointFit, distance, fit_joint
from sciastro.photometry.response import KNOTS, Response, hats

__all__ = ["STAGES", "Choice", "Problem", "choose"]

Floats = npt.NDArray[np.float64]

STAGES = ("scalar", "line", "curve", "response")
NEEDS = {"scalar": (1, 0.0), "line": (10, 0.4), "curve": (50, 0.8), "response": (60, 0.8)}
"""Fewest stars and least spread of the color (5 to 95 %) [mag] of each stage."""
RIDGES = (0.03, 0.1, 0.3)  # sigma of ln response at a knot that the prior allows
FOLDS = 6  # groups left out in turn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Problem:
    """What is fitted.

    Attributes
    ----------
    measured, error
        (star, ratio) ln of flux over the reference band's, and its covariance (star, ratio, ratio).
    color, white_color
        (star) and one number [mag].
    photons, white_photons
        (star, wavelength) and (wavelength); None where nothing is known of the response.
    response
        Assumed response; None without.
    expected
        (star, ratio) where there is no `response`: ln of what is expected relative to white.
    reference
        Index of the band that the ratios refer to.
    """

    measured: Floats
    error: Floats
    color: Floats
    white_color: float
    photons: Floats | None = None
    white_photons: Floats | None = None
    response: Response | None = None
    expected: Floats | None = None
    reference: int = 1

    def part(self, keep: npt.NDArray[np.bool_]) -> "Problem":
        """Return the problem of some of its stars."""
        return Problem(
            measured=self.measured[keep], error=self.error[keep], color=self.color[keep],
            white_color=self.white_color, white_photons=self.white_photons, response=self.response,
            photons=self.photons[keep] if self.photons is not None else None,
            expected=self.expected[keep] if self.expected is not None else None, reference=self.reference,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Choice:
    """The fit of the stage that was taken.

    Attributes
    ----------
    stage
        One of `STAGES`.
    fit
        Its constants come first, one per ratio.
    covariance
        (ratio, ratio), of the constants; the choice of the stage counts (`_spread`).
    scores
        Stage -> rms of left-out stars' colors [mag], clipped at 4 sigma; NaN for stages that were not tried.
    log_factor
        (band, wavelength) ln of solved over assumed response; None but for the response stage.
    ridge
        Its prior; 0 otherwise.
    note
        Why later stages were not taken.
    """

    stage: str
    fit: JointFit
    covariance: Floats
    scores: dict[str, float] = field(default_factory=dict)
    log_factor: Floats | None = None
    ridge: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Model:
    stage: str
    ridge: float = 0.0

    @property
    def label(self) -> str:
        return f"{self.stage} {self.ridge:g}" if self.ridge else self.stage


def _ratios(values: Floats, reference: int) -> Floats:
    """Return values of each band less those of the reference, the reference left out; bands on axis 1."""
    others = [band for band in range(values.shape[1]) if band != reference]
    return np.asarray(values[:, others] - values[:, [reference]])


def _target(problem: Problem, response: Response | None) -> Floats:
    if response is None or problem.photons is None or problem.white_photons is None:
        expected = problem.expected if problem.expected is not None else 0.0
        return np.asarray(problem.measured - expected)
    every = response.log_light(problem.photons) - response.log_light(problem.white_photons[None])
    return np.asarray(problem.measured - _ratios(every, problem.reference))


def _constants(n: int, m: int) -> Floats:
    return np.broadcast_to(np.eye(m), (n, m, m))


def _powers(problem: Problem, degree: int) -> Floats:
    n, m = problem.measured.shape
    x = problem.color - problem.white_color
    parts = [_constants(n, m) * (x**k)[:, None, None] for k in range(degree + 1)]
    return np.concatenate(parts, axis=2)


def _knots(problem: Problem, response: Response, shapes: Floats) -> Floats:
    """Return how ln ratios react to ln of the response at each knot, (star, ratio, band x knot)."""
    if problem.photons is None or problem.white_photons is None:
        raise ValueError("needs spectra")
    shares = response.shares(problem.photons, shapes) - response.shares(problem.white_photons[None], shapes)
    n, bands, count = shares.shape
    others = [band for band in range(bands) if band != problem.reference]
    out = np.zeros((n, len(others), bands, count))
    for row, band in enumerate(others):
        out[:, row, band] = shares[:, band]
        out[:, row, problem.reference] -= shares[:, problem.reference]
    return out.reshape(n, len(others), bands * count)


def _fit(
    problem: Problem, model: _Model, kappa: float, scatter: Floats | None = None
) -> tuple[JointFit, Floats | None]:
    n, m = problem.measured.shape
    if model.stage != "response" or problem.response is None:
        degree = STAGES.index(model.stage)
        design, y = _powers(problem, degree), _target(problem, problem.response)
        return fit_joint(design, y, problem.error, scatter=scatter, kappa=kappa), None
    shapes = hats(problem.response, KNOTS)
    bands = shapes.shape[0]
    prior = np.concatenate([np.zeros(m), np.full(bands * KNOTS, model.ridge**-2.0)])
    theta = np.zeros((bands, KNOTS))
    for _ in range(2):  # the light is not linear in ln of the response
        bent = problem.response.bent(np.einsum("bk,bkw->bw", theta, shapes))
        knots = _knots(problem, bent, shapes)
        design = np.concatenate([_constants(n, m), knots], axis=2)
        y = _target(problem, bent) + knots @ theta.ravel()
        fit = fit_joint(design, y, problem.error, prior=prior, scatter=scatter, kappa=kappa)
        theta = fit.coefficients[m:].reshape(bands, KNOTS)
    return fit, np.einsum("bk,bkw->bw", theta, shapes)


def _foretold(
    problem: Problem, model: _Model, train: npt.NDArray[np.bool_], kappa: float, scatter: Floats
) -> Floats:
    """Return residuals of the stars that are not in `train`, (star, ratio)."""
    fit, log_factor = _fit(problem.part(train), model, kappa, scatter)
    rest = problem.part(~train)
    m = rest.measured.shape[1]
    if log_factor is not None and problem.response is not None:
        return np.asarray(_target(rest, problem.response.bent(log_factor)) - fit.coefficients[:m])
    design = _powers(rest, STAGES.index(model.stage))
    return np.asarray(_target(rest, problem.response) - design @ fit.coefficients)


def _held_out(problem: Problem, model: _Model, kappa: float, scatter: Floats) -> Floats:
    """Return the residual of every star by a fit that did not know it, (star, ratio)."""
    n = len(problem.measured)
    order = np.argsort(problem.color, kind="stable")  # folds share the range of colors
    fold = np.empty(n, np.int64)
    fold[order] = np.arange(n) % FOLDS
    out = np.empty_like(problem.measured)
    for k in range(FOLDS):
        out[fold == k] = _foretold(problem, model, fold != k, kappa, scatter)
    return out


def _allowed(problem: Problem, most: str) -> list[_Model]:
    n = len(problem.measured)
    spread = float(np.ptp(np.percentile(problem.color, [5, 95]))) if n > 1 else 0.0
    models = []
    for stage in STAGES[: STAGES.index(most) + 1]:
        stars, width = NEEDS[stage]
        if n < stars or spread < width or (stage == "response" and problem.response is None):
            continue
        models += [_Model(stage, ridge) for ridge in RIDGES] if stage == "response" else [_Model(stage)]
    return models


def choose(problem: Problem, *, most: str = "response", fixed: str = "", kappa: float = 3.5) -> Choice:
    """Return the fit of the stage that left-out stars prefer.

    Parameters
    ----------
    most
        Last stage that may be taken.
    fixed
        Take this stage whatever the score, if the stars can fix it at all (else *scalar*).
    """
    m = problem.measured.shape[1]
    if fixed:
        enough = len(problem.measured) > STAGES.index(fixed) + 1
        stage = fixed if enough and not (fixed == "response" and problem.response is None) else "scalar"
        model = _Model(stage, RIDGES[1] if stage == "response" else 0.0)
        fit, log_factor = _fit(problem, model, kappa)
        return Choice(
            stage=stage, fit=fit, covariance=fit.covariance[:m, :m], log_factor=log_factor, ridge=model.ridge
        )
    models = _allowed(problem, most)
    scores: dict[str, float] = dict.fromkeys(STAGES, float("nan"))
    if len(models) == 1:
        fit, log_factor = _fit(problem, models[0], kappa)
        return Choice(
            stage="scalar", fit=fit, covariance=fit.covariance[:m, :m], scores=scores,
            note="too few stars or colors for more",
        )  # fmt: skip
    fits = [_fit(problem, model, kappa) for model in models]
    best, losses, note = 0, [], ""
    for k, model in enumerate(models):
        left = _held_out(problem, model, kappa, fits[0][0].scatter)
        losses.append(np.minimum(distance(left, problem.error + fits[0][0].scatter), 16.0))
        scores[model.stage] = float(np.fmin(scores[model.stage], _clipped_rms(left)))
        gain = losses[best] - losses[k]
        if k and gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)):
            best = k
    fit, log_factor = fits[best]
    if models[best].stage != models[-1].stage:
        note = f"left-out stars are foretold no better by more than the stage {models[best].stage!r}"
    every = np.array([one.coefficients[:m] for one, _ in fits])
    spread = _spread(every, [one.covariance[:m, :m] for one, _ in fits], best, np.sum(losses, axis=1))
    return Choice(
        stage=models[best].stage, fit=fit, covariance=spread, scores=scores, log_factor=log_factor,
        ridge=models[best].ridge, note=note,
    )  # fmt: skip


def _spread(constants: Floats, covariances: list[Floats], best: int, losses: Floats) -> Floats:
    """Return the covariance of the constants of the stage taken, other stages weighed in.

    Each stage counts by how well it foretells left-out stars, ``exp(-loss / 2)`` (pseudo-BMA, Yao et al.
    2018, Bayesian Analysis 13, 917), with its own covariance and its distance from the stage taken: the
    choice among stages that the stars can hardly tell apart is part of the error.
    """
    weight = np.exp(-0.5 * (losses - losses.min()))
    off = constants - constants[best]
    total = sum(
        w * (covariance + np.outer(d, d)) for w, covariance, d in zip(weight, covariances, off, strict=True)
    )
    return np.asarray(total / weight.sum())


def _clipped_rms(left: Floats) -> float:
    """Return the rms of ln ratios as magnitudes, without what lies beyond 4 robust sigma."""
    sigma = MAD_TO_SIGMA * np.median(np.abs(left), axis=0) + 1e-12
    kept = np.where(np.abs(left) < 4 * sigma, left, np.nan)
    return float(1.0857 * np.sqrt(np.nanmean(kept**2)))
