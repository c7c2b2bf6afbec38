"""Fields of five to a dozen catalog stars near a pointing: all pairs of the sky against all of the image.

Star patterns (`astrometry.match`, quads) need stars to spare: of a field with five or six that the catalog
knows they leave one or two to tell the truth from chance. Two stars define a similarity; where few are in
question, all can be tried, and three more coincidences among the brightest stars of the image are beyond
chance. The bound is that of `verdict`, times all similarities that were tried.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.match import mutual_pairs, similarity
from sciastro.astrometry.plane import project
from sciastro.astrometry.search import Guess, Pointing, as_wcs
from sciastro.astrometry.sky import StarsAt, catalog_stars
from sciastro.astrometry.verdict import log_chance
from sciastro.core import transform

__all__ = ["BRIGHTEST", "FEWEST", "by_all_pairs"]

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


@dataclass(frozen=True, slots=True)
class _Trial:
    """The best similarities so far, and how many there were."""

    maps: int
    found: list[tuple[int, complex, complex]]


def by_all_pairs(
    image: Floats, shape: tuple[int, int], pointing: Pointing, stars_at: StarsAt, *, false_alarm: float,
    attempts: list[str],
) -> list[Guess]:  # fmt: skip
    """Return a WCS that so many of few stars agree on that it is beyond chance; nothing elsewhere.

    Parameters
    ----------
    image
        Star positions (n, 2), brightest first [pixel].
    stars_at
        Catalog: (ra, dec, radius) [deg] -> table.
    false_alarm
        Largest probability of a chance match.
    attempts
        Grows by what was tried, in words.
    """
    diagonal = float(np.hypot(*shape))
    degrees = pointing.scale / 3600
    reach = pointing.radius + 0.5 * diagonal * degrees * (1 + pointing.scale_tolerance)
    sky = catalog_stars(stars_at(pointing.ra, pointing.dec, reach))
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
            log_p, fitted = _judged(image, there, shape, alpha, beta)
            if best is None or log_p < best[0]:
                best = log_p, fitted, sign
    log_p = 0.0 if best is None else min(best[0] + float(np.log10(max(maps, 1))), 0.0)
    attempts.append(f"all pairs of {len(sky)} catalog stars, {maps} similarities: log10 p {log_p:.1f}")
    if best is None or log_p > np.log10(false_alarm):
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


def _judged(
    image: Floats, there: Floats, shape: tuple[int, int], alpha: complex, beta: complex
) -> tuple[float, Floats]:
    """Return log10 of the chance that one similarity does so well, and the one fitted to all its stars."""
    scale = transform.SCALE
    to_image = np.array(
        [
            [beta.real, alpha.real * scale, -alpha.imag * scale],
            [beta.imag, alpha.imag * scale, alpha.real * scale],
        ]
    )
    for _ in range(2):
        put = np.column_stack(transform.evaluate(to_image, there[:, 0], there[:, 1]))
        i, j = mutual_pairs(put, image[:BRIGHTEST], NEAR)
        if i.size < FEWEST:
            return 0.0, to_image
        to_image = similarity(there[i], image[j])
    put = np.column_stack(transform.evaluate(to_image, there[:, 0], there[:, 1]))
    on = np.all((put >= 0) & (put <= np.array([shape[1], shape[0]]) - 1), axis=1)
    log_p = log_chance(put[on], image[:BRIGHTEST], shape, 0, least=2)
    return log_p, similarity(image[j], there[i])
