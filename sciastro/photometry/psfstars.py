"""Which stars teach the PSF, and how its light is tied to that of large apertures."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import Quality
from sciastro.core.robust import mad_sigma
from sciastro.kernels.aperture import aperture_sums
from sciastro.photometry.neighbors import light_of_neighbors, others_within
from sciastro.photometry.psffit import (
    FitOptions,
    FitPlane,
    StarFit,
    measure_sky,
    saturated_cores,
    start_fit,
)
from sciastro.photometry.psfmodel import PsfModel
from sciastro.photometry.robust import fit_linear

__all__ = ["choose_stars", "normalized", "tie_stars"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

CELLS = 6  # of the grid that the stars are spread over
SPOILED = int(
    Quality.SATURATED | Quality.DO_NOT_USE | Quality.NO_DATA | Quality.EDGE | Quality.TRAIL | Quality.DEAD
    | Quality.COSMIC_RAY | Quality.HOT
)  # fmt: skip
SHARES = (1.0, 0.8, 0.6, 0.45)  # of the total radius that are tried
BESIDE, LEAST_BESIDE = 6, 20  # places about each star that tell the light of unseen stars; fewest in all
APART = 2.2  # of the total radius: distance of these places
GOOD = 0.003  # relative error of the normalization beyond which a smaller radius is tried


def choose_stars(
    plane: FitPlane,
    model: PsfModel,
    stars: StarFit,
    columns: dict[str, Floats],
    bits: npt.NDArray[np.uint16],
    *,
    least_snr: float,
    most: int,
) -> Rows:
    """Return the stars to learn from: bright, whole, alone or nearly so, like one another, over the field.

    Parameters
    ----------
    columns, bits
        Of `psffit.errors_of`.
    least_snr
        A tenth as many stars as wanted suffice before fainter ones, down to a third of it, are taken.
    """
    width, (rows, columns_) = model.fwhm, plane.variance.shape
    snr, good = _whole(plane, model, stars, columns, bits)
    good &= snr > least_snr / 3
    company = _company(stars, width)
    for limit in (0.02, 0.08, 0.25):
        alone = good & (company < limit)
        bright = alone & (snr > least_snr)
        if bright.sum() >= max(most // 4, 12):
            alone = bright
            break
        if alone.sum() >= max(most // 2, 12):
            break
    alone = _alike(alone, columns, snr)
    return _spread(stars, snr, np.flatnonzero(alone), (rows, columns_), most)


def _whole(
    plane: FitPlane, model: PsfModel, stars: StarFit, columns: dict[str, Floats],
    bits: npt.NDArray[np.uint16],
) -> tuple[Floats, npt.NDArray[np.bool_]]:  # fmt: skip
    """Return the S/N of each star, were it alone, and which are fit whole, unspoiled and off the rim."""
    width, (rows, columns_) = model.fwhm, plane.variance.shape
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = stars.flux / np.sqrt(columns["alone_var"])
    margin = 2.5 * width
    good = (stars.loose == 2) & np.isfinite(snr) & (columns["light"] > 0.995) & (bits & SPOILED == 0)
    good &= ~saturated_cores(plane, stars, 2 * width)
    good &= (stars.x > margin) & (stars.y > margin)
    good &= (stars.x < columns_ - 1 - margin) & (stars.y < rows - 1 - margin)
    return snr, good


def tie_stars(
    plane: FitPlane, model: PsfModel, stars: StarFit, columns: dict[str, Floats],
    bits: npt.NDArray[np.uint16], chosen: Rows, *, least_snr: float,
) -> Rows:  # fmt: skip
    """Return the stars whose light in large circles ties the PSF: those it was learned from, and all alike.

    Neighbors are subtracted, and what they leave is taken off by circles beside; so company does no harm,
    and in a crowd the sum of S/N squared is several times that of the few stars that stand alone.
    """
    from scipy.spatial import cKDTree

    snr, good = _whole(plane, model, stars, columns, bits)
    good &= snr > least_snr
    places = np.flatnonzero(np.isfinite(stars.x) & np.isfinite(stars.y))
    if places.size > 1:
        at = np.column_stack([stars.x[places], stars.y[places]])
        good[places] &= cKDTree(at).query(at, k=2)[0][:, 1] > model.fwhm
    return np.union1d(chosen, np.flatnonzero(_alike(good, columns, snr))).astype(np.intp)


def _company(stars: StarFit, width: float) -> Floats:
    """Return the light of neighbors, less the farther they are, over the star's own.

    Wings fall as the third power of the distance: a compromise between a Moffat's (beta 3: the sixth) and
    the sky's of a bright star (the second); it only ranks stars.
    """
    light = np.maximum(np.nan_to_num(stars.flux), 0)

    def part(distance: Floats) -> Floats:
        return np.minimum(1.5 * width / np.maximum(distance, 0.1 * width), 1.0) ** 3

    near = light_of_neighbors(stars.x, stars.y, light, 4.0 * width, part)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(near > 0, near / light, 0.0))


def _alike(chosen: npt.NDArray[np.bool_], columns: dict[str, Floats], snr: Floats) -> npt.NDArray[np.bool_]:
    """Leave out those of odd width or bad fit."""
    out = chosen.copy()
    for name in ("sharpness", "chi2"):
        value = np.log(np.maximum(columns[name], 1e-6)) if name == "chi2" else columns[name]
        for _ in range(2):
            if out.sum() < 8:
                return out
            here = value[out]
            if name == "chi2":  # what is bright shows the model's errors: compare like with like
                line = np.polyfit(np.log(snr[out]), here, 1)
                value = value - np.polyval(line, np.log(np.maximum(snr, 1)))
                here = value[out]
            center = np.median(here)
            scale = mad_sigma(here, float(center))
            out &= np.abs(value - center) < 4 * max(scale, 0.02)
    return out


def _spread(stars: StarFit, snr: Floats, rows: Rows, shape: tuple[int, int], most: int) -> Rows:
    """Return the brightest of every cell of the field, in turns, until there are enough."""
    order = rows[np.argsort(-snr[rows], kind="stable")]
    cell = (stars.y[order] * CELLS / shape[0]).astype(int) * CELLS + (
        stars.x[order] * CELLS / shape[1]
    ).astype(int)
    turn = np.zeros(order.size, int)
    count: dict[int, int] = {}
    for k, c in enumerate(cell):
        turn[k] = count.get(int(c), 0)
        count[int(c)] = turn[k] + 1
    return np.asarray(order[np.lexsort((np.arange(order.size), turn))][:most], dtype=np.intp)


@dataclass(frozen=True, slots=True)
class _Tie:
    """Light in the total radius over the PSF's flux: mean, error, scatter, stars."""

    mean: float
    err: float
    scatter: float
    n: int
    radius: float


def normalized(
    plane: FitPlane, model: PsfModel, stars: StarFit, rows: Rows, total_radius: float, options: FitOptions
) -> PsfModel:
    """Return the model scaled so that a fitted flux is the light within `total_radius` [pixel].

    Measured where all stars are subtracted, so that crowding does no harm: the light that the residual holds
    in the circle about each PSF star, its local sky taken off, over its flux. Stars that are too faint to be
    fit fill circles, too, but not the clipped sky: what circles at random places hold is taken off.
    """
    best: _Tie | None = None
    beside = _beside(plane, model, stars, rows, total_radius, options)
    for share in SHARES:
        tie = _tie(plane, model, stars, rows, share * total_radius, beside)
        if tie is None:
            continue
        if best is None or tie.err < best.err:
            best = tie
        if tie.err < GOOD:
            best = tie
            break
    if best is None:
        return replace(
            model,
            note="; ".join(filter(None, [model.note, "fluxes are not tied to apertures: too few stars"])),
        )
    made = model.scaled(1 / best.mean)
    return replace(
        made,
        total_radius=best.radius,
        normalization_err=best.err / best.mean,
        scatter=best.scatter / best.mean,
    )


def _beside(
    plane: FitPlane, model: PsfModel, stars: StarFit, rows: Rows, total_radius: float, options: FitOptions
) -> StarFit:
    """Return places all about the PSF stars, beyond their circles, with the sky there."""
    turn = np.arange(BESIDE) * 2 * np.pi / BESIDE
    reach = APART * total_radius
    x = (stars.x[rows][:, None] + reach * np.cos(turn)).ravel()
    y = (stars.y[rows][:, None] + reach * np.sin(turn)).ravel()
    inside = (x > 0) & (y > 0) & (x < plane.variance.shape[1] - 1) & (y < plane.variance.shape[0] - 1)
    places = start_fit(x[inside], y[inside])
    measure_sky(plane, model, places, options)
    return places


def _sums(plane: FitPlane, stars: StarFit, radius: float) -> tuple[Floats, ...]:
    found: tuple[Floats, ...] = aperture_sums(
        plane.residual, plane.variance, plane.unusable, plane.quality, stars.x, stars.y, float(radius),
        plane.autocorrelation,
    )  # fmt: skip
    return found


def _tie(
    plane: FitPlane, model: PsfModel, everyone: StarFit, rows: Rows, radius: float, beside: StarFit
) -> _Tie | None:
    stars = everyone.take(rows)
    x, y, flux, sky = stars.x, stars.y, stars.flux, stars.sky
    near = 1.5 * model.fwhm
    wide, core = _sums(plane, stars, radius), _sums(plane, stars, near)
    own_wide, own_core = (_own(model, x, y, r) for r in (radius, near))
    usable = (wide[3] == 0) & (wide[4] == 0) & (flux > 0)
    if usable.sum() < 3:
        return None
    n = int(usable.sum())
    inner = own_core + (core[0] - core[2] * sky) / flux
    # What a fit leaves of the noise of a core's sum: sqrt(1 - (sum P)^2 / (n sum P^2)) = 0.82 for a Gaussian
    # of which 1.5 widths are taken where the sky is the noise, 0 where the star is (its flux is the sum).
    inner_err = np.sqrt(core[1]) / flux * 0.5
    close = fit_linear(np.ones((n, 1)), inner[usable], inner_err[usable], kappa=3.5)
    # The tables are as uncertain as their stars: the mean relative variance of a linear fit of p terms is p
    # over the sum of the squares of S/N.
    learned = model.tables.shape[0] / float(np.sum(flux[usable] ** 2 / core[1][usable]))
    own = float(np.mean(own_wide[usable]))
    light = wide[0] - core[0] - (wide[2] - core[2]) * sky + (own_wide - own) * flux
    err = np.sqrt(np.maximum(wide[1] - core[1], 0) + ((wide[2] - core[2]) * stars.sky_err) ** 2)
    err = np.hypot(err, close.scatter * flux)
    circles = _Circles(x[usable], y[usable], flux[usable], light[usable], err[usable])
    slope, slope_err = _slope(circles.joined(_beside_circles(plane, beside, radius, near)), radius)
    return _Tie(own + slope, slope_err, float(np.sqrt(close.scatter**2 + learned)), n, radius)


@dataclass(frozen=True, slots=True)
class _Circles:
    """Light that circles hold beyond models and sky, its errors, and the flux of the star in the middle."""

    x: Floats
    y: Floats
    flux: Floats
    light: Floats
    err: Floats

    def joined(self, other: "_Circles") -> "_Circles":
        """Return both, these first."""
        return _Circles(
            *(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__slots__)
        )


def _beside_circles(plane: FitPlane, beside: StarFit, radius: float, near: float) -> _Circles:
    """Return circles beside the stars; none where they are too few."""
    sums, core = _sums(plane, beside, radius), _sums(plane, beside, near)
    whole = (sums[3] == 0) & (sums[4] == 0)
    if whole.sum() < LEAST_BESIDE:
        whole[:] = False
    area = sums[2] - core[2]
    light = sums[0] - core[0] - area * beside.sky
    err = np.sqrt(np.maximum(sums[1] - core[1], 0) + (area * beside.sky_err) ** 2)
    return _Circles(beside.x[whole], beside.y[whole], np.zeros(int(whole.sum())), light[whole], err[whole])


def _slope(circles: _Circles, radius: float) -> tuple[float, float]:
    """Return how much more light circles hold per flux of their stars, and its error.

    What unseen stars add is the same for all circles, those with a star and those beside: one line is fit to
    them, with one scatter and one clip. (Two means, each clipped in its own way, left fluxes 0.1 % high at a
    star in 10 square widths.)
    """
    stars = circles.flux > 0
    unit = float(np.median(circles.flux[stars]))
    columns = [circles.flux / unit] if stars.all() else [np.ones(stars.size), circles.flux / unit]
    fit = fit_linear(np.stack(columns, axis=1), circles.light / unit, circles.err / unit, kappa=3.0)
    common = _in_common(circles.x, circles.y, radius)
    return float(fit.coefficients[-1]), common * float(np.sqrt(fit.covariance[-1, -1]))


def _in_common(x: Floats, y: Floats, radius: float) -> float:
    """Return the error of the mean of circles over that of as many that share no pixel.

    Two circles of one radius at a distance d share ``2 / pi (acos q - q sqrt(1 - q^2))`` of their pixels and
    so of their variance, q = d / (2 radius).
    """
    _, _, distance = others_within(x, y, 2 * radius)
    q = np.minimum(distance / (2 * radius), 1.0)
    share = 2 / np.pi * (np.arccos(q) - q * np.sqrt(1 - q**2))
    return float(np.sqrt(1 + np.sum(share) / x.size))


def _own(model: PsfModel, x: Floats, y: Floats, radius: float) -> Floats:
    """Return the model's own light within `radius` of each star."""
    half = int(np.ceil(max(model.radius, radius))) + 2
    side = 2 * half + 1
    blank = np.zeros((side, side), np.uint16)
    out = np.empty(x.size)
    for k in range(x.size):
        image = model.stamp(float(x[k]), float(y[k]), half).astype(np.float32)
        fx, fy = x[k] - np.floor(x[k] + 0.5), y[k] - np.floor(y[k] + 0.5)
        got = aperture_sums(
            image, np.ones_like(image), blank > 0, blank, np.array([half + fx]), np.array([half + fy]),
            float(radius), np.ones((1, 1)),
        )  # fmt: skip
        out[k] = got[0][0]
    return out
