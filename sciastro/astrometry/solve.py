"""Solve a field: from a star list and a hint to world coordinates with distortion and honest residuals.

Method: a header's WCS is tried first, moved as a whole; then star patterns around the pointing. A
guess is refined by matching more and more catalog stars within a shrinking radius, first with TAN,
then with SIP of the order that predicts left-out stars best. What remains must be beyond chance, else
`SolveError` says what was tried.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.fewstars import BRIGHTEST, FEWEST, by_all_pairs
from sciastro.astrometry.match import chance, closest_pairs
from sciastro.astrometry.plane import project
from sciastro.astrometry.refine import fit_wcs, start_at_middle
from sciastro.astrometry.robust import Fit, select_model
from sciastro.astrometry.search import CONTRAST, Guess, Nearby, Pointing, by_pattern, by_shift
from sciastro.astrometry.sky import CatalogStars, Hint, StarsAt, catalog_stars, isolated, pixels_of
from sciastro.astrometry.solution import ImageStars, Refined, Solution, finished
from sciastro.core.options import Options, option
from sciastro.core.stars import StarArray
from sciastro.core.wcs import center, footprint_radius, parity, pixel_scale, tan_wcs
from sciastro.errors import SolveError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["Hint", "Solution", "SolveOptions", "image_stars", "pointing_of", "solve_field"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

ERROR_FLOOR = 0.01  # pixel: what the fit allows every star, so that no bright one rules
CROWDED = 0.03  # chance of a coincidence above which fainter stars are left out
ENOUGH_ISOLATED = 25  # stars; with fewer isolated ones, all may be paired
STEPS, PLAIN = 7, 2  # of a refinement, at most; the first ones by TAN alone
SAME = 4.0  # pixel: of the middle of the frame, after a refinement of few stars
SPELLED_OUT = 4  # attempts that an error message names


@dataclass(frozen=True, kw_only=True, slots=True)
class SolveOptions(Options):
    """How a field is solved."""

    tolerance: float = option(
        4.0, "Distance of a pair in the first match; covers distortion.", unit="pixel", low=0.5, high=50.0
    )
    shift: float = option(120.0, "How far a given WCS may be off.", unit="pixel", low=1.0, high=5000.0)
    max_order: int = option(4, "Highest order of SIP; 1 fits TAN only.", low=1, high=5)
    min_stars: int = option(6, "Fewest stars of a solution.", low=4, high=1000)
    max_stars: int = option(2000, "Most stars of either list.", low=10, high=100_000)
    isolation: float = option(2.5, "Radius free of comparable stars, over the FWHM.", low=0.0, high=20.0)
    clip: float = option(4.0, "Pairs beyond this are left out.", unit="sigma", low=2.0, high=20.0)
    distortion: str = option(
        "sip",
        "Form of distortion in files: SIP, or TPV for programs such as SCAMP and SWarp.",
        choices=("sip", "tpv"),
    )
    false_alarm: float = option(
        1e-7, "Largest acceptable probability of a false solution.", low=1e-30, high=1e-2
    )
    blind_seconds: float = option(
        30.0,
        "Longest search of a run over the whole sky, where no hint leads to a solution; 0 is none.",
        unit="s",
        low=0.0,
        high=3600.0,
    )


DEFAULTS = SolveOptions()


def solve_field(
    stars: StarArray,
    shape: tuple[int, int],
    *,
    stars_at: StarsAt,
    hint: Hint,
    epoch: float,
    options: SolveOptions = DEFAULTS,
) -> Solution:
    """Find the world coordinates of an image.

    Parameters
    ----------
    stars
        `STAR_DTYPE` of the image.
    shape
        Rows and columns.
    stars_at
        Catalog: (ra, dec, radius) [deg] -> table with ``id``, ``ra``, ``dec`` [deg, ICRS] and ``mag``; its
        name in ``meta["catalog"]``. Positions at another epoch (``meta["epoch"]``, or a column
        ``epoch``) than that of the image are moved, and parallaxes applied (`motion.at_date`).
    hint
        Header WCS, or rough center and scale.
    epoch
        Julian year of the image.
    options
        Tolerances, highest order.

    Raises
    ------
    SolveError
        Where no solution is beyond doubt; says what was tried. A guess is never returned.
    """
    image = image_stars(stars, shape, options)
    if len(image.points) < options.min_stars:
        raise SolveError(
            f"holds {len(image.points)} stars, and a solution needs at least {options.min_stars}.",
            where="star list",
            remedy="Lower the detection threshold, or solve a longer exposure or a stack.",
        )
    attempts: list[str] = []
    pointing = pointing_of(hint, shape)
    for guess in _guesses(image, hint, pointing, stars_at, epoch, options, attempts):
        few = guess.method == "few"
        how = _for_few(options) if few else options
        seen = image_stars(stars, shape, how) if few else image
        try:
            refined = _refine(seen, guess, stars_at, epoch, how)
        except SolveError as error:
            attempts.append(f"guess by {guess.method}: {error}")
            continue
        if refined is None:
            attempts.append(f"guess by {guess.method}: too few stars remain after refinement")
            continue
        if few and _confirms(refined, guess, shape):
            refined = replace(refined, log_p=guess.log_false_alarm)
        problem = _doubt(refined, pointing, options)
        if problem:
            attempts.append(f"guess by {guess.method}: {problem}")
            continue
        return finished(seen, refined, "pattern" if few else guess.method, epoch, attempts)
    more = f"; and {len(attempts) - SPELLED_OUT} more" if len(attempts) > SPELLED_OUT else ""
    tried = "; ".join(attempts[:SPELLED_OUT]) + more
    raise SolveError(
        f"the field is not solved: {len(image.points)} image stars, {tried or 'nothing could be tried'}.",
        remedy="Check the center (--ra, --dec) and the pixel scale (--scale), or pass a deeper --catalog.",
    )


def _for_few(options: SolveOptions) -> SolveOptions:
    """Return the options for a field of few stars: the brightest ones, and no distortion."""
    return replace(options, min_stars=min(options.min_stars, FEWEST), max_stars=BRIGHTEST, max_order=1)


def _confirms(refined: Refined, guess: Guess, shape: tuple[int, int]) -> bool:
    """Return whether a refined solution is the place of the guess, by as few stars at least."""
    x, y = refined.wcs.all_world2pix(*center(guess.wcs, shape), 0)
    off = np.hypot(x - (shape[1] - 1) / 2, y - (shape[0] - 1) / 2)
    return bool(refined.fit.keep.sum() >= FEWEST and off < SAME)


def image_stars(stars: StarArray, shape: tuple[int, int], options: SolveOptions = DEFAULTS) -> ImageStars:
    """Return the stars that have a place and light, brightest first."""
    flux = stars["flux"].astype(np.float64)
    good = np.isfinite(stars["x"]) & np.isfinite(stars["y"]) & (flux > 0)
    index = np.flatnonzero(good)
    index = index[np.argsort(-flux[index], kind="stable")][: options.max_stars]
    chosen = stars[index]
    sigma = np.sqrt(0.5 * (chosen["x_err"].astype(np.float64) ** 2 + chosen["y_err"].astype(np.float64) ** 2))
    sigma = np.where(np.isfinite(sigma) & (sigma > 0), sigma, 0.5)
    points = np.column_stack([chosen["x"], chosen["y"]]).astype(np.float64)
    fwhm = float(np.median(chosen["fwhm"])) if index.size else 3.0
    return ImageStars(index, points, sigma, -2.5 * np.log10(flux[index]), fwhm if fwhm > 0 else 3.0, shape)


def pointing_of(hint: Hint, shape: tuple[int, int]) -> Pointing | None:
    """Return the circle and the scale that a hint tells, None where it does not."""
    ra, dec, scale, sign = hint.ra, hint.dec, hint.scale, hint.parity
    if hint.wcs is not None:
        if ra is None or dec is None:
            ra, dec = center(hint.wcs, shape)
        scale = pixel_scale(hint.wcs) if scale is None else scale
    if ra is None or dec is None or scale is None or not np.all(np.isfinite([ra, dec, scale])) or scale <= 0:
        return None
    return Pointing(
        ra=ra, dec=dec, radius=hint.radius, scale=scale, scale_tolerance=hint.scale_tolerance, parity=sign
    )


def _guesses(
    image: ImageStars,
    hint: Hint,
    pointing: Pointing | None,
    stars_at: StarsAt,
    epoch: float,
    options: SolveOptions,
    attempts: list[str],
) -> Iterator[Guess]:
    limit = np.log10(options.false_alarm)
    room = options.isolation * image.fwhm
    alone = isolated(image.points, image.mag, room, CONTRAST)
    bright = image.points[alone] if alone.sum() >= 2 * ENOUGH_ISOLATED else image.points
    for wcs in _given(hint, pointing, image.shape):
        ra, dec = center(wcs, image.shape)
        radius = footprint_radius(wcs, image.shape) + options.shift * pixel_scale(wcs) / 3600
        sky = catalog_stars(stars_at(ra, dec, radius), epoch)
        moved, text = by_shift(
            bright, wcs, sky, image.shape, reach=options.shift, tolerance=options.tolerance, room=room
        )
        attempts.append(f"{text} ({len(sky)} catalog stars)")
        yield from (
            guess for guess in moved if guess.log_false_alarm < min(limit + 4, -2)
        )  # judged again later
    if pointing is None:
        attempts.append("no center and scale for a pattern search")
        return
    near = Nearby(image.points, image.shape, pointing, stars_at, options.false_alarm, attempts)
    yield from by_pattern(near, tolerance=options.tolerance)
    yield from by_all_pairs(near)


def _given(hint: Hint, pointing: Pointing | None, shape: tuple[int, int]) -> "list[WCS]":
    """Return the header's WCS, and those that center, scale and angle define."""
    given = [hint.wcs] if hint.wcs is not None else []
    if pointing is not None and hint.angle is not None:
        for sign in (1, -1) if hint.parity is None else (hint.parity,):
            given.append(
                tan_wcs(pointing.ra, pointing.dec, pointing.scale, shape, angle=hint.angle, parity=sign)
            )
    return given


def _refine(
    image: ImageStars, guess: Guess, stars_at: StarsAt, epoch: float, options: SolveOptions
) -> Refined | None:
    """Match and fit until the set of pairs stands still; None where fewer than `min_stars` remain."""
    wcs, radius_px = guess.wcs, options.tolerance * (1.5 if guess.method == "header" else 1.0)
    ra, dec = center(wcs, image.shape)
    radius = footprint_radius(wcs, image.shape) * 1.05 + 3 * radius_px * pixel_scale(wcs) / 3600
    sky = catalog_stars(stars_at(ra, dec, radius), epoch)
    result: Refined | None = None
    before: tuple[Indices, Indices] | None = None
    for step in range(STEPS):
        predicted = pixels_of(wcs, sky)
        on_frame = _on_frame(predicted, image.shape, 2 * radius_px)
        chosen_sky, chosen_image = _fair_lists(image, sky, predicted, on_frame, radius_px, options)
        i, j = closest_pairs(image.points[chosen_image], predicted[chosen_sky], radius_px)
        i, j = chosen_image[i], chosen_sky[j]
        if i.size < options.min_stars:
            return None
        if step > PLAIN and before is not None and all(map(np.array_equal, (i, j), before)):
            break  # the fit would be the same again
        fit, order = _fit_plane(image, sky, i, j, wcs, 1 if step < PLAIN else options.max_order, options)
        kept = sky.take(j[fit.keep])
        weight = 1 / (_pair_errors(image, kept, i[fit.keep], wcs) ** 2 + fit.scatter**2)
        if fit.keep.sum() < options.min_stars:
            return None
        x, y = image.points[i[fit.keep]].T
        start = start_at_middle(wcs, image.shape)
        wcs = fit_wcs(x, y, kept.ra, kept.dec, weight, start=start, order=order, shape=image.shape)
        result, before, reach = Refined(wcs, i, sky.take(j), fit, 0.0, order), (i, j), radius_px
        lists = sky.take(chosen_sky), image.points[chosen_image]
        size = np.hypot(*(image.points[i] - pixels_of(wcs, sky.take(j))).T)
        radius_px = float(np.clip(5 * np.median(size) + 0.1, 0.6, options.tolerance))
    if result is None:
        return None
    log_p = chance(pixels_of(wcs, lists[0]), lists[1], reach, maps=1.0, fixed=2 + result.order)
    return replace(result, log_p=log_p)


def _on_frame(points: Floats, shape: tuple[int, int], margin: float) -> npt.NDArray[np.bool_]:
    high = np.array([shape[1], shape[0]]) - 1 + margin
    with np.errstate(invalid="ignore"):
        return np.asarray(np.all((points >= -margin) & (points <= high), axis=1))


def _fair_lists(
    image: ImageStars,
    sky: CatalogStars,
    predicted: Floats,
    on_frame: npt.NDArray[np.bool_],
    radius: float,
    options: SolveOptions,
) -> tuple[Indices, Indices]:
    """Return catalog and image stars that may be paired: isolated ones, so few that chance pairs are rare."""
    room = options.isolation * image.fwhm
    alone_image = isolated(image.points, image.mag, room, CONTRAST)
    alone_sky = isolated(predicted, sky.mag, room, CONTRAST)
    area = image.shape[0] * image.shape[1]
    most = int(np.clip(CROWDED * area / (np.pi * radius**2), 40, options.max_stars))
    on_sky = np.flatnonzero(on_frame & alone_sky)
    on_image = np.flatnonzero(alone_image)
    if on_sky.size < ENOUGH_ISOLATED:
        on_sky = np.flatnonzero(on_frame)
    if on_image.size < ENOUGH_ISOLATED:
        on_image = np.arange(len(image.points))
    return on_sky[:most], on_image[:most]


def _pair_errors(image: ImageStars, sky: CatalogStars, i: Indices, wcs: "WCS") -> Floats:
    """Return the error per axis of pairs [pixel] for the fit: image stars `i`, catalog stars, and a floor."""
    return np.hypot(np.hypot(image.sigma[i], ERROR_FLOOR), sky.err / pixel_scale(wcs))


def _fit_plane(
    image: ImageStars, sky: CatalogStars, i: Indices, j: Indices, wcs: "WCS", top: int, options: SolveOptions
) -> tuple[Fit, int]:
    """Fit pixels to the tangent plane (in pixels) with the degree that left-out stars favor."""
    ra0, dec0 = center(wcs, image.shape)
    plane = project(sky.ra[j], sky.dec[j], ra0, dec0) * 3600 / pixel_scale(wcs)
    sigma = _pair_errors(image, sky.take(j), i, wcs)
    fit = select_model(
        image.points[i], plane, sigma, image.shape, max_degree=top, min_degree=1, clip=options.clip
    )
    return fit, fit.degree


def _doubt(refined: Refined, pointing: Pointing | None, options: SolveOptions) -> str:
    """Return why a refined solution must not be believed; empty if it may."""
    if refined.log_p > np.log10(options.false_alarm):
        stars = int(refined.fit.keep.sum())
        return f"{stars} stars coincide, which may be chance (log10 p <= {refined.log_p:.1f})"
    if pointing is None:
        return ""
    scale = pixel_scale(refined.wcs)
    if abs(np.log(scale / pointing.scale)) > np.log(1 + pointing.scale_tolerance) + 0.01:
        allowed = f"{pointing.scale:.3f} +- {pointing.scale_tolerance:.0%}"
        return f"its scale is {scale:.3f} arcsec / pixel, and the hint says {allowed}"
    if pointing.parity is not None and parity(refined.wcs) != pointing.parity:
        return "its parity contradicts the hint"
    return ""
