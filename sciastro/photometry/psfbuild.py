"""Learn the PSF from the pixels of its stars, neighbors subtracted.

Start: an elliptical Moffat, its width and wings fit to the brightest stars. Then a correction of every table,
the maximum of the posterior of a linear problem: pixels over their variance, and a prior that the correction
is smooth and small where the PSF is. Unlike averages of residuals in cells of the grid (Anderson & King 2000)
this weighs every pixel by its noise and needs no smoothing kernel. Conjugate gradients solve it.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma
from sciastro.kernels.psfbuild import gather, project, roughness, squares
from sciastro.photometry.psffit import FitPlane, StarFit
from sciastro.photometry.psfmodel import (
    PsfModel,
    analytic_table,
    grid_step,
    isotropic,
    n_terms,
    node_offsets,
    taper,
)

__all__ = [
    "Cutouts",
    "choose_order",
    "cut_out",
    "ellipse",
    "fit_analytic",
    "improve",
    "pixel_blur",
    "sound_stars",
    "stretched",
]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

ROUNDS = 40  # of conjugate gradients
ENOUGH = 1e-3  # residual of the normal equations over the first
# Second difference of a correction between nodes, over the PSF there: one of `SIZE` as wide as a star has
# 0.5 * 8 ln2 / 9^2 = 0.034 between nodes of a ninth of the width.
ROUGH = 0.05
SIZE = 0.5  # a correction over the PSF
VARYING = 0.5  # prior of a term that varies over the field, over that of the constant one
TRUST = 0.005  # of the profile: no pixel weighs more than an error as of flat fields allows
RING = 0.6  # of the radius of the tables: from there on the sky of a PSF star is told
OUTLIER = 6.0  # sigma
FOREIGN = 0.05  # of the light of neighbors that is taken as error of their subtraction: MOST_BLUR
LONGEST = 0.995  # elongation of the quadratic form: an axis ratio of 20, beyond any star
STARS_PER_TERM = (5, 5, 7, 9)  # least stars per term for orders 0, 1, 2, 3


@dataclass(slots=True)
class Cutouts:
    """Pixels of PSF stars, scaled to unit light.

    Attributes
    ----------
    data, weight
        float64 (star, side, side); inverse variances, 0 where a pixel does not count.
    fx, fy
        Place in the middle pixel [pixel].
    x, y
        Place in the image [pixel].
    noise
        float64 (star, side, side), variance over flux squared; inf where a pixel does not count.
    """

    data: Floats
    weight: Floats
    noise: Floats
    fx: Floats
    fy: Floats
    x: Floats
    y: Floats

    def take(self, rows: npt.NDArray[np.bool_]) -> "Cutouts":
        """Return those of `rows`."""
        return Cutouts(*(getattr(self, name)[rows] for name in self.__slots__))


def cut_out(
    plane: FitPlane, model: PsfModel, stars: StarFit, rows: Rows, everything: npt.NDArray[np.float32]
) -> Cutouts:
    """Return the pixels of the stars `rows` with all others subtracted.

    Parameters
    ----------
    everything
        float32 (y, x), the models of all stars.
    """
    half = int(np.ceil(model.radius))
    side, n = 2 * half + 1, rows.size
    data, weight, noise = (
        np.zeros((n, side, side)),
        np.zeros((n, side, side)),
        np.full((n, side, side), np.inf),
    )
    grid = np.arange(-half, half + 1)
    height, width = plane.residual.shape
    fx, fy = np.empty(n), np.empty(n)
    for k, s in enumerate(rows):
        x0, y0 = int(np.floor(stars.x[s] + 0.5)), int(np.floor(stars.y[s] + 0.5))
        fx[k], fy[k] = stars.x[s] - x0, stars.y[s] - y0
        own = stars.flux[s] * model.stamp(float(stars.x[s]), float(stars.y[s]), half)
        drawn = (np.abs(grid)[None] <= stars.reach[s]) & (np.abs(grid)[:, None] <= stars.reach[s])
        own = np.where(drawn, own, 0.0)
        j = slice(max(0, y0 - half), min(height, y0 + half + 1))
        i = slice(max(0, x0 - half), min(width, x0 + half + 1))
        into = (
            slice(j.start - y0 + half, j.stop - y0 + half),
            slice(i.start - x0 + half, i.stop - x0 + half),
        )
        v = plane.variance[j, i].astype(np.float64)
        good = v > 0
        deviation = plane.residual[j, i] - stars.sky[s]
        v2 = np.maximum(v - plane.shot * np.clip(deviation, -4 * np.sqrt(v), 4 * np.sqrt(v)), 0.2 * v)
        others = np.abs(everything[j, i] - own[into])
        v2[~good] = np.inf  # masked: no weight
        v2 += (FOREIGN * others) ** 2 + (TRUST * own[into]) ** 2
        near = np.hypot(grid[None] - fx[k], grid[:, None] - fy[k])[into] <= model.radius
        error = np.abs(deviation) / np.sqrt(v2 + (0.1 * own[into]) ** 2)
        keep = good & near & (error < OUTLIER)
        data[k][into] = np.where(keep, (deviation + own[into]) / stars.flux[s], 0.0)
        weight[k][into] = np.where(keep, stars.flux[s] ** 2 / v2, 0.0)
        noise[k][into] = np.where(keep, v2 / stars.flux[s] ** 2, np.inf)
    return Cutouts(data, weight, noise, fx, fy, stars.x[rows].copy(), stars.y[rows].copy())


def _evaluate(model: PsfModel, cut: Cutouts) -> Floats:
    out = np.empty_like(cut.data)
    project(model.tables, _terms(model, cut), model.step, cut.fx, cut.fy, cut.weight, out)
    return out


def _terms(model: PsfModel, cut: Cutouts) -> Floats:
    return np.array([model.terms(x, y) for x, y in zip(cut.x, cut.y, strict=True)]).reshape(
        cut.x.size, model.tables.shape[0]
    )


def fit_analytic(model: PsfModel, cut: Cutouts, inside: float) -> PsfModel:
    """Return an elliptical Moffat fit to the stars: width, elongation, exponent, one for the whole field."""
    from scipy.optimize import least_squares

    step = grid_step(model.fwhm)
    offsets = node_offsets(model.radius, step)
    most = np.argsort(-cut.weight.sum(axis=(1, 2)))[:25]
    bright = cut.take(np.isin(np.arange(cut.x.size), most))
    a0 = isotropic(max(0.9 * model.fwhm, 0.7), 3.0)[0]

    def table(p: Floats) -> PsfModel:
        made = analytic_table(ellipse(a0, p[:3]), exponent(p[3]), offsets, inside=inside)
        return replace(model, tables=made[None], step=step)

    def misfit(p: Floats) -> Floats:
        profile = _evaluate(table(p), bright)
        rest = []
        for k in range(bright.x.size):
            w = np.sqrt(np.minimum(bright.weight[k], 1 / (0.02 * profile[k].max()) ** 2))
            use = w > 0
            design = np.stack([profile[k][use], np.ones(use.sum())], axis=1) * w[use][:, None]
            value = bright.data[k][use] * w[use]
            rest.append(value - design @ np.linalg.lstsq(design, value, rcond=None)[0])
        return np.concatenate(rest)

    found = least_squares(
        misfit, np.array([0.0, 0.0, 0.0, 0.6]), loss="soft_l1", f_scale=3.0, max_nfev=25, diff_step=1e-3
    )
    best = table(found.x)
    return replace(best, fwhm=table_fwhm(best), kind="moffat", n_stars=int(bright.x.size))


def ellipse(round_size: float, p: Floats) -> tuple[float, float, float]:
    """Return a, b, c of a Moffat's ``q = a dx2 + 2 b dx dy + c dy2``, positive for any parameters.

    Parameters
    ----------
    round_size
        a of a round profile [1 / pixel2].
    p
        Logarithm of the size over `round_size` (held to -5 ... 5), and two of the elongation, of whose length
        the hyperbolic tangent counts: an ellipse for all of them, never a hyperbola.
    """
    size, length = round_size * np.exp(np.clip(p[0], -5, 5)), float(np.hypot(p[1], p[2]))
    share = np.tanh(length) / length if length > 0 else 1.0
    e1, e2 = LONGEST * p[1] * share, LONGEST * p[2] * share
    return float(size * (1 + e1)), float(size * e2), float(size * (1 - e1))


def exponent(p: float) -> float:
    """Return a Moffat's exponent, 1.25 to 11.2, of any parameter."""
    return float(1.2 + np.exp(np.clip(p, -3, 2.3)))


def table_fwhm(model: PsfModel) -> float:
    """Return the width in the middle of the field: of a circle as large as what is above half the peak."""
    from scipy.ndimage import zoom

    coefficients = model.at(model.field[0], model.field[1])
    fine = zoom(coefficients, 3, order=3, prefilter=False, grid_mode=False)
    scale = (coefficients.shape[0] - 1) / (fine.shape[0] - 1) / model.step
    return float(2 * np.sqrt((fine > 0.5 * fine.max()).sum() / np.pi) * scale)


def largest_order(n_stars: int, most: int) -> int:
    """Return the highest order that so many stars can carry; -1 where not even a constant."""
    fit = [k for k, least in enumerate(STARS_PER_TERM) if k <= most and n_stars >= least * n_terms(k)]
    return max(fit, default=-1)


def improve(model: PsfModel, cut: Cutouts, order: int, inside: float) -> PsfModel:
    """Return the model with its tables corrected by what the stars' pixels say.

    Parameters
    ----------
    order
        Of the polynomial over the field.
    inside
        Radius [pixel] within which the light of the constant table stays 1 and that of others 0.
    """
    tables = np.zeros((n_terms(order), *model.tables.shape[1:]))
    shared = min(len(tables), len(model.tables))
    tables[:shared] = model.tables[:shared]
    model = replace(model, tables=tables)
    correction = _solve(model, cut)
    offsets = _offsets(model)
    return _settled(replace(model, tables=tables + correction * taper(model.radius, offsets)), inside)


def stretched(model: PsfModel, factor: float, inside: float) -> PsfModel:
    """Return the model `factor` times as wide, its light settled as `improve` does."""
    from scipy.ndimage import affine_transform

    middle = (model.tables.shape[1] - 1) // 2
    scale, shift = 1 / factor, middle * (1 - 1 / factor)
    tables = np.array(
        [affine_transform(one, [scale, scale], [shift, shift], order=3) / factor**2 for one in model.tables]
    )
    tables *= taper(model.radius, _offsets(model))
    return replace(_settled(replace(model, tables=tables), inside), blur=model.blur)


def _offsets(model: PsfModel) -> Floats:
    n = model.tables.shape[1]
    return np.asarray((np.arange(n) - (n - 1) // 2) / model.step)


def _prior(model: PsfModel) -> tuple[Floats, Floats]:
    """Return stiffness and pull of `roughness`: inverse squares of what corrections are expected to be."""
    offsets = _offsets(model)
    r = np.hypot(offsets[:, None], offsets[None])
    profile = np.abs(model.tables[0])
    wide = profile.max() * (1 + (r / model.fwhm) ** 2) ** -2.0
    scale = np.maximum(profile, 0.2 * wide)
    varying = np.where(np.arange(len(model.tables)) > 0, VARYING, 1.0)[:, None, None]
    # Between nodes of a finer grid a smooth function changes less: second differences go as the step squared.
    rough = ROUGH * (9.0 / (model.step * model.fwhm)) ** 2
    return 1 / (rough * scale * varying) ** 2, 1 / (SIZE * scale * varying) ** 2


def _solve(model: PsfModel, cut: Cutouts) -> Floats:
    """Return the correction by preconditioned conjugate gradients."""
    terms = _terms(model, cut)
    stiffness, pull = _prior(model)
    rest = _level(cut, cut.data - _evaluate(model, cut))
    b, ax, weighted = np.empty_like(model.tables), np.empty_like(model.tables), np.empty_like(cut.data)
    gather(rest, terms, model.step, cut.fx, cut.fy, cut.weight, b)
    roughness(model.tables * 0, stiffness, pull, b)
    diagonal = np.empty_like(model.tables)
    squares(terms, model.step, cut.fx, cut.fy, cut.weight, diagonal)
    diagonal += 12 * stiffness + pull

    def normal(c: Floats) -> Floats:
        project(c, terms, model.step, cut.fx, cut.fy, cut.weight, weighted)
        gather(weighted, terms, model.step, cut.fx, cut.fy, cut.weight, ax)
        roughness(c, stiffness, pull, ax)
        return ax

    x = np.zeros_like(model.tables)
    r = b.copy()
    z = r / diagonal
    p, rz = z.copy(), float(np.sum(r * z))
    first = rz
    for _ in range(ROUNDS):
        if not rz > ENOUGH**2 * first:
            break
        ap = normal(p)
        alpha = rz / float(np.sum(p * ap))
        x += alpha * p
        r -= alpha * ap
        z = r / diagonal
        new = float(np.sum(r * z))
        p = z + (new / rz) * p
        rz = new
    return x


def _level(cut: Cutouts, rest: Floats) -> Floats:
    """Return residuals of stars less their mean in an outer ring: an error of the sky is no wing of the PSF.

    In a crowd the sky about a star and the wings of all stars are one for the other; what holds the wings is
    the analytic profile, whose fit left the sky free.
    """
    half = rest.shape[1] // 2
    grid = np.arange(-half, half + 1)
    r = np.hypot(grid[None], grid[:, None])
    ring = (r > RING * half) & (r <= half)
    out = rest.copy()
    for k in range(rest.shape[0]):
        use = ring & (cut.weight[k] > 0)
        if use.sum() < 10:
            continue
        value, w = rest[k][use], np.sqrt(cut.weight[k][use])
        keep = np.abs(value - np.median(value)) * w < 4 * max(1.0, float(np.std(value * w)))
        out[k] -= np.sum((value * w**2)[keep]) / np.sum((w**2)[keep])
    return out


def _sampled(c: Floats, axis_y: Floats, axis_x: Floats) -> Floats:
    """Return coefficients filtered by three taps along each axis."""
    from scipy.ndimage import correlate1d

    return np.asarray(
        correlate1d(correlate1d(c, axis_y, axis=-2, mode="constant"), axis_x, axis=-1, mode="constant")
    )


def _settled(model: PsfModel, inside: float) -> PsfModel:
    """Return the model with the light within `inside` settled, and the windowed centroid at the middle."""
    value = np.array([1, 4, 1]) / 6
    slope = np.array([-1, 0, 1]) / 2
    offsets = _offsets(model)
    x, y = offsets[None], offsets[:, None]
    near = np.hypot(y, x) <= inside
    window = np.exp(-(x**2 + y**2) / (2 * (model.fwhm / 2.3548) ** 2))
    tables = model.tables.copy()
    for round_ in range(3):
        for axis, (wy, wx) in (((x), (value, slope)), ((y), (slope, value))):
            moment = float(np.sum(window * axis * _sampled(tables[0], wy, wx)))
            shift = np.asarray(
                _sampled(
                    tables[0], *((np.array([0, 1, 0]), slope) if axis is x else (slope, np.array([0, 1, 0])))
                )
            )
            for k in range(len(tables) if round_ == 2 else 1):
                off = float(np.sum(window * axis * _sampled(tables[k], value, value)))
                tables[k] -= (off / moment) * shift
    light = float(np.sum(_sampled(tables[0], value, value)[near])) / model.step**2
    tables[0] /= light
    for k in range(1, len(tables)):
        tables[k] -= float(np.sum(_sampled(tables[k], value, value)[near])) / model.step**2 * tables[0]
    made = replace(model, tables=tables, kind="empirical")
    return replace(made, fwhm=table_fwhm(made))


def _score(model: PsfModel, cut: Cutouts) -> Floats:
    """Return chi2 of each star over its own flux, (star,), within 1.5 widths."""
    profile = _evaluate(model, cut)
    out = np.empty(cut.x.size)
    half = cut.data.shape[1] // 2
    grid = np.arange(-half, half + 1)
    near = np.hypot(grid[None], grid[:, None]) <= 1.5 * model.fwhm
    for k in range(cut.x.size):
        w = np.where(near, cut.weight[k], 0.0)
        p, d = profile[k], cut.data[k]
        norm = float(np.sum(w * p * p))
        flux = float(np.sum(w * p * d)) / norm if norm > 0 else 1.0
        out[k] = float(np.sum(w * (d - flux * p) ** 2))
    return out


def choose_order(model: PsfModel, cut: Cutouts, most: int, inside: float) -> int:
    """Return the lowest order whose fit to held-out stars is nearly as good as the best."""
    top = largest_order(int(0.75 * cut.x.size), most)
    if top <= 0:
        return max(top, 0)
    held = np.arange(cut.x.size) % 4 == 3
    scores = [_score(improve(model, cut.take(~held), k, inside), cut.take(held)) for k in range(top + 1)]
    limit = 5 * float(np.median(scores[-1]))  # a star that fits badly with all of them decides nothing
    capped = [np.minimum(score, limit) for score in scores]
    best = int(np.argmin([np.mean(score) for score in capped]))
    for k in range(best):
        change = capped[k] - capped[best]
        if np.mean(change) < 0.3 * np.std(change) / np.sqrt(change.size):
            return k
    return best


def sound_stars(model: PsfModel, cut: Cutouts) -> npt.NDArray[np.bool_]:
    """Return which stars look like the model: misfit over their light not far above that of the others."""
    profile = _evaluate(model, cut)
    half = cut.data.shape[1] // 2
    grid = np.arange(-half, half + 1)
    near = np.hypot(grid[None], grid[:, None]) <= 2 * model.fwhm
    use = (cut.weight > 0) & near
    excess = np.where(use, (cut.data - profile) ** 2 - np.where(use, cut.noise, 0), 0).sum(axis=(1, 2))
    light = np.where(use, profile**2, 0).sum(axis=(1, 2))
    seen = light > 0  # else no pixel near the middle counts
    if not seen.any():
        return np.asarray(seen)
    misfit = np.sqrt(np.maximum(excess, 0) / np.where(seen, light, 1))
    misfit[~seen] = np.inf
    typical = float(np.median(misfit[seen]))
    spread = mad_sigma(misfit[seen], typical)
    return np.asarray(misfit <= typical + 3 * max(spread, 0.003))


def pixel_blur(model: PsfModel, cut: Cutouts) -> float:
    """Return the relative error of the profile per pixel that explains the stars' residuals."""
    profile = _evaluate(model, cut)
    noise = cut.noise - (TRUST * profile) ** 2
    use = np.isfinite(noise) & (noise > 0) & (profile > 5 * np.sqrt(np.maximum(noise, 0)))
    if use.sum() < 30:
        return 0.0
    square = (cut.data - profile)[use] ** 2
    noise, profile = noise[use], profile[use]
    low, high = 0.0, 0.5
    if np.median(square / noise) <= 0.455 * 1.1:
        return 0.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (
            (middle, high) if np.median(square / (noise + (middle * profile) ** 2)) > 0.455 else (low, middle)
        )
    return 0.5 * (low + high)
