"""Fields of five to a dozen catalog stars near a pointing: all pairs of the sky against all of the image.

Star patterns (`astrometry.match`, quads) need stars to spare: of a field with five or six that the catalog
knows they leave one or two to tell the truth from chance. Two stars define a similarity; where few are in
question, all can be tried, and three more coincidences among the brightest stars of the image are beyond
chance. The bound is that of `verdict`, times all similarities that were tried.

The same bound serves a blind search: whatever it finds is one of the similarities that two stars of the whole
catalog and two of the image define, and those can be counted (`log_chance_anywhere`).
"""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.match import closest_pairs
from sciastro.astrometry.plane import project
from sciastro.astrometry.search import Guess, Nearby, as_wcs
from sciastro.astrometry.sky import CatalogStars, catalog_stars, pixels_of
from sciastro.astrometry.trianglevotes import similarity
from sciastro.astrometry.verdict import log_chance
from sciastro.core import transform
from sciastro.core.wcs import center, parity, pixel_scale

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["BRIGHTEST", "FEWEST", "SHARE", "by_all_pairs", "log_chance_anywhere"]

Floats = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]
Indices = npt.NDArray[np.intp]

BRIGHTEST = 12  # image stars that are paired: those of a catalog are among the brightest
MOST_EXPECTED = 12.0  # catalog stars on a frame beyond which patterns do
MOST_SKY = 400  # catalog stars around the pointing
SHORTEST = 0.15  # of the diagonal: shorter pairs tell scale and direction too badly
NEAR = 4.0  # pixel: of a coincidence; the verdict is stricter
FEWEST = 5  # coincidences of a guess
CHUNK = 2_000_000  # distances worked out at once
BEST = 4  # similarities that are looked at closely
TIGHT = ((1.5, 1.25), (2.5, 5.0))  # pixel: of a coincidence, where the whole sky was searched; its price
CATALOG_DEPTHS, IMAGE_DEPTHS = (6, 8, BRIGHTEST), (8, BRIGHTEST)  # brightest stars that are compared then
SHARE = 0.25  # of the false alarms of a blind search, for this test


@dataclass(frozen=True, slots=True)
class _Trial:
    """The best similarities so far, and how many there were."""

    maps: int
    found: list[tuple[int, complex, complex]]


def by_all_pairs(near: Nearby) -> list[Guess]:
    """Return a WCS that so many of few stars agree on that it is beyond chance; nothing elsewhere."""
    image, shape, pointing = near.image, near.shape, near.pointing
    diagonal = float(np.hypot(*shape))
    degrees = pointing.scale / 3600
    reach = pointing.radius + 0.5 * diagonal * degrees * (1 + pointing.scale_tolerance)
    sky = catalog_stars(near.stars_at(pointing.ra, pointing.dec, reach))
    expected = len(sky) * shape[0] * shape[1] * degrees**2 / (np.pi * reach**2)
    if expected > MOST_EXPECTED or not FEWEST <= len(sky) <= MOST_SKY or len(image) < FEWEST:
        return []
    plane = project(sky.ra, sky.dec, pointing.ra, pointing.dec) / degrees
    if not np.isfinite(plane).all():
        return []
    best: tuple[float, Floats, float] | None = None
    maps = 0
    for sign in (1.0, -1.0) if pointing.parity is None else (float(pointing.parity),):
        there = plane * [-sign, 1.0]  # x to the west: the sky as seen
        trial = _tried(image[:BRIGHTEST], there, shape, pointing.scale_tolerance)
        maps += trial.maps
        for _, alpha, beta in trial.found:
            log_p, fitted = _judged(image, there, shape, _coefficients(alpha, beta))
            if best is None or log_p < best[0]:
                best = log_p, fitted, sign
    log_p = 0.0 if best is None else min(best[0] + float(np.log10(max(maps, 1))), 0.0)
    near.attempts.append(f"all pairs of {len(sky)} catalog stars, {maps} similarities: log10 p {log_p:.1f}")
    if best is None or log_p > np.log10(near.false_alarm):
        return []
    center = (pointing.ra, pointing.dec)
    return [Guess(as_wcs(best[1], shape, center, pointing.scale, best[2]), log_p, "few")]


def _tried(image: Floats, there: Floats, shape: tuple[int, int], tolerance: float) -> _Trial:
    """Return the similarities, of all that a pair of stars defines, that bring most stars together.

    Similarities are complex: image = alpha there + beta.
    """
    z, w = image[:, 0] + 1j * image[:, 1], there[:, 0] + 1j * there[:, 1]
    diagonal = float(np.hypot(*shape))
    a, b = (index.ravel() for index in np.indices((w.size, w.size)))
    apart = np.abs(w[a] - w[b])
    likely = (apart > SHORTEST * diagonal / (1 + tolerance)) & (apart < diagonal * (1 + tolerance))
    a, b = a[likely], b[likely]
    sky_step = w[b] - w[a]
    found: list[tuple[int, complex, complex]] = []
    maps = 0
    for i in range(z.size):
        for j in range(i + 1, z.size):
            step = z[j] - z[i]
            if abs(step) < SHORTEST * diagonal:
                continue
            ratio = np.abs(step) / np.abs(sky_step)
            fits = np.abs(np.log(ratio)) < np.log(1 + tolerance)
            alpha = step / sky_step[fits]
            beta = z[i] - alpha * w[a[fits]]
            maps += alpha.size
            count = _coincidences(z, w, alpha, beta)
            for k in np.argsort(-count, kind="stable")[:BEST]:
                found.append((int(count[k]), complex(alpha[k]), complex(beta[k])))
            found = sorted(found, key=lambda one: -one[0])[:BEST]
    return _Trial(maps, [one for one in found if one[0] >= FEWEST])


def _coincidences(z: Complex, w: Complex, alpha: Complex, beta: Complex) -> Indices:
    """Return how many image stars `z` have a catalog star `w` near, by similarity."""
    count = np.zeros(alpha.size, np.intp)
    some = max(CHUNK // (z.size * w.size), 1)
    for begin in range(0, alpha.size, some):
        part = slice(begin, begin + some)
        put = alpha[part, None] * w + beta[part, None]
        near = np.abs(put[:, :, None] - z).min(axis=1) < NEAR
        count[part] = near.sum(axis=1)
    return count


def log_chance_anywhere(
    wcs: "WCS", sky: CatalogStars, image: Floats, shape: tuple[int, int], *, known: int, turn: int = 1
) -> float:
    """Return a bound on log10 of the probability that so few stars agree so well anywhere on the sky.

    Parameters
    ----------
    wcs
        The place; it is fitted again, as a similarity.
    sky
        Catalog stars around it.
    image
        Star positions (n, 2), brightest first [pixel].
    known
        Stars of the whole catalog.
    turn
        Which star list of the image this is, from 1; turn k pays for k (k + 1), whose inverses add up to 1.

    Notes
    -----
    m coincidences of the `BRIGHTEST` (12) of both lists are a similarity of two of their pairs, and m - 2
    coincidences more (`verdict.log_chance`). For an image pair of length d, a catalog star a, and catalog
    stars b all over the sky, the scale puts N stars on the frame; the number of b with N to N + dN is
    pi d^2 / area dN, and both are among the brightest 12 with a probability of min(1, 12 / N)^2: integrated,
    2 * 12 pi d^2 / area. All catalog stars, all pairs of 12 image stars and both parities make the number of
    similarities there are, whatever of them a search may have looked at. The brightest stars are compared to
    several depths and within two radii, and the best of these tests pays for all of them. Each constellation
    of m is counted m (m - 1) times, which more than makes up for the fit being free to follow all m stars.
    """
    image = image[:BRIGHTEST]
    if len(image) < FEWEST or not len(sky):
        return 0.0
    ra, dec = center(wcs, shape)
    there = project(sky.ra, sky.dec, ra, dec) * 3600 / pixel_scale(wcs) * [-float(parity(wcs)), 1.0]
    i, j = closest_pairs(pixels_of(wcs, sky), image, NEAR)
    if i.size < FEWEST:
        return 0.0
    put, _ = _followed(image, there, shape, similarity(there[i], image[j]))
    tests = sorted({(min(a, len(put)), min(b, len(image))) for a, b in product(CATALOG_DEPTHS, IMAGE_DEPTHS)})
    log_p = min(
        log_chance(put[:a], image[:b], shape, 0, least=2, radii=(radius,)) + float(np.log10(price))
        for (a, b), (radius, price) in product(tests, TIGHT)
    )
    apart = np.hypot(*(image[:, None] - image[None]).transpose(2, 0, 1))
    area = float(shape[0] * shape[1])
    maps = 2 * known * 2 * BRIGHTEST * np.pi * float(np.sum(np.triu(apart) ** 2)) / area
    return min(log_p + float(np.log10(max(maps, 1.0) * len(tests) * turn * (turn + 1) / SHARE)), 0.0)


def _coefficients(alpha: complex, beta: complex) -> Floats:
    """Return image = alpha there + beta as `core.transform` has it."""
    scale = transform.SCALE
    return np.array(
        [
            [beta.real, alpha.real * scale, -alpha.imag * scale],
            [beta.imag, alpha.imag * scale, alpha.real * scale],
        ]
    )


def _judged(image: Floats, there: Floats, shape: tuple[int, int], to_image: Floats) -> tuple[float, Floats]:
    """Return log10 of the chance that one similarity does so well, and the one fitted to all its stars."""
    put, fitted = _followed(image, there, shape, to_image)
    return log_chance(put[:BRIGHTEST], image[:BRIGHTEST], shape, 0, least=2), fitted


def _followed(
    image: Floats, there: Floats, shape: tuple[int, int], to_image: Floats
) -> tuple[Floats, Floats]:
    """Return where a similarity, fitted to all its stars, puts those on the frame; and its inverse."""
    for _ in range(2):
        put = np.column_stack(transform.evaluate(to_image, there[:, 0], there[:, 1]))
        i, j = closest_pairs(put, image[:BRIGHTEST], NEAR)
        if i.size < FEWEST:
            return np.empty((0, 2)), to_image
        to_image = similarity(there[i], image[j])
    put = np.column_stack(transform.evaluate(to_image, there[:, 0], there[:, 1]))
    on = np.all((put >= 0) & (put <= np.array([shape[1], shape[0]]) - 1), axis=1)
    return put[on], similarity(image[j], there[i])
