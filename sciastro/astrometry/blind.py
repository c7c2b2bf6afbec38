"""Find where an image looks without any hint: star patterns of the image in the index of the whole sky.

Method: Lang et al. 2010, AJ 139, 1782. Quads of the image's brightest stars, spread over the frame, are
looked up by their shape; every alike quad of the sky proposes a place, and the other stars vote for or
against it by their likelihood. A place is refined only where the odds are beyond `GOAL`, and believed only
where the refined solution passes the test of `solve_field`, which does not know how it was found.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise, product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.blindplaces import (
    DEPTHS,
    GOAL,
    LOOKS,
    VOTERS,
    Looks,
    Place,
    Where,
    places,
    sparse_places,
)
from sciastro.astrometry.blindwide import Tally, grown, solved_by, wide_places
from sciastro.astrometry.fewstars import SHARE, log_chance_anywhere
from sciastro.astrometry.match import closest_pairs
from sciastro.astrometry.quads import QuadIndex
from sciastro.astrometry.sky import CatalogStars, Hint, StarsAt, catalog_stars, pixels_of
from sciastro.astrometry.solution import Solution
from sciastro.astrometry.solve import DEFAULTS, SolveOptions, image_stars, solve_field
from sciastro.astrometry.verdict import SPENDING, log_chance
from sciastro.core.stars import StarArray
from sciastro.core.wcs import center, footprint_radius
from sciastro.errors import SolveError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["compiled", "solve_blind"]

Floats = npt.NDArray[np.float64]

WIDE_DEPTHS = {3: 0, 14: 8, 26: 20, 44: 40}  # bright stars combined with their neighbors, of wide pictures
ALIKE, SAME = 1.5, 0.95  # pixel, share: voters of a list that are those of another one
FEWEST_STARS = 4  # of a pattern
FEW = 30  # brightest image stars of a second judgement, which a field of few catalog stars needs
LONG = 0.9  # eccentricity of what is no round star: axes as 1 to 2.3
FEW_LONG, ENOUGH_ROUND = 5, 12  # long ones that may hide the others, and round ones to go on with
FEWEST_WIDE = 20  # stars of a wide picture
BRIGHT_SKY = 3000  # stars that its camera is fitted to


def solve_blind(
    lists: Sequence[Callable[[], StarArray]],
    shape: tuple[int, int],
    *,
    index: QuadIndex,
    stars_at: StarsAt,
    epoch: float,
    where: Where | None = None,
    until: float = np.inf,
    options: SolveOptions = DEFAULTS,
) -> Solution:
    """Find the world coordinates of an image that says nothing of itself.

    Parameters
    ----------
    lists
        Each returns `STAR_DTYPE` of the image, found in another way; called when its turn comes.
    shape
        Rows and columns.
    index
        Patterns of the whole sky.
    stars_at, epoch, options
        As for `solve_field`. ``options.false_alarm`` bounds the whole search: a place that passed the odds
        of `GOAL` is refined, and must be beyond it however many candidates were weighed (`_log_alarm`).
    where
        Bounds of scale and place, where there are any.
    until
        `time.monotonic` after which the search is given up.

    Raises
    ------
    SolveError
        Where no place is beyond doubt; says what was tried. A guess is never returned.
    """
    tally, bounds = Tally(), where or Where()
    made: list[list[tuple[StarArray, Floats]]] = []
    failed = ""
    search = _Search(shape, index, stars_at, epoch, bounds, until, options, tally)
    for first, last, looks, wide in _rounds():
        for number, make in enumerate(lists):
            if number == len(made):
                made.append(_other_stars(make(), made))
            before = sum(map(len, made[:number]))
            for turn, (stars, points) in enumerate(made[number], before + 1):
                ways = [search.narrow(stars, points, first, last, looks, turn)]
                ways += [search.sparse(stars, points, turn)] if first == DEPTHS[0] and wide else []
                ways += [search.wide(stars, points, first, last)] if wide else []
                for found in chain.from_iterable(ways):
                    if isinstance(found, Solution):
                        return found
                    failed = f"; {found}"
                if time.monotonic() > search.until:
                    raise _unsolved(made, f"{failed}; the time was over", "Give more time (--seconds), or a")
    raise _unsolved(made, failed)


def _rounds() -> Iterator[tuple[int, int, Looks, bool]]:
    """Yield first and last depth, looks, and whether wide pictures are tried, the cheap ones first.

    Bent pictures have forty times as many candidates as plain ones: they wait until these were tried deeper.
    """
    depths = list(pairwise(DEPTHS))
    for number in range(len(depths) + 1):
        if number < len(depths):
            yield *depths[number], LOOKS[:-1], True
        if number > 0:
            yield *depths[number - 1], LOOKS[-1:], False


def _other_stars(
    stars: StarArray, made: Sequence[list[tuple[StarArray, Floats]]]
) -> list[tuple[StarArray, Floats]]:
    """Return the list and its stars that vote, with and without trails; nothing that was there before."""
    known = [points[:VOTERS] for lists in made for _, points in lists]
    out: list[tuple[StarArray, Floats]] = []
    for one in _with_and_without_trails(stars):
        points = _brightest(one)
        voters = points[:VOTERS]
        alike = (closest_pairs(voters, other, ALIKE)[0].size for other in known)
        if not known or max(alike, default=0) < SAME * max(len(voters), 1):
            out.append((one, points))
    return out


def _with_and_without_trails(stars: StarArray) -> list[StarArray]:
    """Return the list, before it that of its round stars where satellites (or columns) may hide them.

    A trail is found as a row of very long stars, brighter than most. Where all stars are long, they trailed.
    """
    long = stars["eccentricity"] > LONG
    if long.sum() < FEW_LONG or (~long).sum() < max(ENOUGH_ROUND, 0.1 * stars.size):
        return [stars]
    return [stars[~long], stars]


def _unsolved(made: Sequence[list[tuple[StarArray, Floats]]], why: str, advice: str = "Give a") -> SolveError:
    most = max((len(points) for lists in made for _, points in lists), default=0)
    if most < FEWEST_STARS:
        return SolveError(
            f"the field is not solved: {most} image stars.",
            remedy="Look at the image: it may be blank, saturated or out of focus; else expose longer.",
        )
    return SolveError(
        f"the field is not solved: {most} image stars, no pattern of the sky is beyond doubt{why}.",
        remedy=f"{advice} rough center and scale (--ra, --dec, --scale), or a longer exposure.",
    )


def compiled(index: QuadIndex, *, thoroughly: bool = False) -> QuadIndex:
    """Return the index when what searches it is compiled: seconds, once, that no search should pay.

    `thoroughly` includes what only wide pictures need, which loads for a moment even where it is compiled.
    """
    nothing = np.zeros((4, 2))  # makes no quads
    list(places(nothing[:3], (1, 1), index, Where(), first=2, last=3))
    list(sparse_places(nothing, (1, 1), index, Where()))
    if thoroughly:
        list(wide_places(nothing, (1, 1), index, first=0, last=1, goal=GOAL, tally=Tally(), until=0.0))
    return index


@dataclass(slots=True)
class _Search:
    """What all parts of a search share; compiling, where it comes to that, puts `until` off."""

    shape: tuple[int, int]
    index: QuadIndex
    stars_at: StarsAt
    epoch: float
    where: Where
    until: float
    options: SolveOptions
    tally: Tally

    def narrow(
        self, stars: StarArray, points: Floats, first: int, last: int, looks: Looks, turn: int = 1
    ) -> Iterator[Solution | str]:
        """Yield a solution, or why a place is none; stars all over the frame, then the brightest ones."""
        for look, spread in product(looks, (True, False)):
            for place in places(
                points, self.shape, self.index, self.where, first=first, last=last, until=self.until,
                spread=spread, tally=self.tally, looks=(look,),
            ):  # fmt: skip
                yield from self._refined(place, stars, points, turn)
            if time.monotonic() > self.until:
                return

    def sparse(self, stars: StarArray, points: Floats, turn: int) -> Iterator[Solution | str]:
        """Yield a solution of a field of few catalog stars, or why a place is none."""
        for place in sparse_places(points, self.shape, self.index, self.where, until=self.until):
            yield from self._refined(place, stars, points, turn)

    def _refined(self, place: Place, stars: StarArray, points: Floats, turn: int) -> Iterator[Solution | str]:
        """Yield the solution that a place leads to, or why there is none."""
        loose = replace(self.options, false_alarm=self.options.false_alarm**0.5)
        limit = np.log10(self.options.false_alarm)
        odds = f"odds e^{place.log_odds:.0f}"
        if place.few:  # of which there may be very many
            log_p = self._few_alarm(place.wcs, points, turn)
            odds = f"few stars, log10 p {log_p:.1f}"
            if log_p > limit and place.log_odds < GOAL:  # else other stars than the brightest tell
                yield f"a place of few stars may be chance (log10 p <= {log_p:.1f})"
                return
        for most in (self.options.max_stars, FEW):
            try:
                found = solve_field(
                    stars, self.shape, stars_at=self.stars_at, hint=Hint(wcs=place.wcs),
                    epoch=self.epoch, options=replace(loose, max_stars=most),
                )  # fmt: skip
            except SolveError:  # its own words are of a hint, which here nobody gave
                yield f"a place with {odds} did not hold"
                continue
            log_p = min(self._log_alarm(found, points), self._few_alarm(found.wcs, points, turn))
            if log_p > limit:
                yield f"a place with {odds} may be chance (log10 p <= {log_p:.1f})"
                continue
            text = f"patterns of the whole sky: {self.tally.weighed} places weighed, {odds}"
            yield replace(found, method="blind", log_false_alarm=log_p, attempts=(text, *found.attempts))

    def _log_alarm(self, found: Solution, points: Floats) -> float:
        """Return a bound on log10 of the probability that a search like this one gives a false solution.

        Two tests, which pay for each other (and for that of few stars, `_few_alarm`): the bound of
        `solve_field`, which lets the fit bring three coincidences about, so that one factor of its product is
        taken back for the quad, which brings four; and `verdict.log_chance` of the brightest stars. What
        remains is multiplied by the candidates weighed so far, k, and by `SPENDING`: the sum of
        ``false_alarm / (SPENDING k)`` over a search is at most the false alarm that was asked for.
        """
        one = found.log_false_alarm * max(found.n_stars - 4, 0) / max(found.n_stars - 3, 1)
        there = pixels_of(found.wcs, self._around(found.wcs))
        with np.errstate(invalid="ignore"):
            on = np.all((there >= 0) & (there <= np.array([self.shape[1], self.shape[0]]) - 1), axis=1)
        other = log_chance(there[on], points, self.shape, found.order)
        price = 2 * SPENDING * max(self.tally.weighed, 1) / (1 - SHARE)
        return min(one, other) + float(np.log10(price))

    def _few_alarm(self, wcs: "WCS", points: Floats, turn: int) -> float:
        """Return the bound of a place whose catalog stars are few, on all places that there are."""
        return log_chance_anywhere(
            wcs, self._around(wcs), points, self.shape, known=len(self.index.xyz), turn=turn
        )

    def _around(self, wcs: "WCS") -> CatalogStars:
        ra, dec = center(wcs, self.shape)
        return catalog_stars(self.stars_at(ra, dec, footprint_radius(wcs, self.shape) * 1.02), self.epoch)

    def wide(self, stars: StarArray, points: Floats, first: int, last: int) -> Iterator[Solution | str]:
        """Yield a solution of a wide distorted picture, or why a camera is none."""
        if self.where.radius < 180.0 or len(points) < FEWEST_WIDE:
            return
        begin = time.monotonic()
        compiled(self.index, thoroughly=True)
        self.until += time.monotonic() - begin
        image = image_stars(stars, self.shape, self.options)
        sky = np.asarray(self.index.xyz[:BRIGHT_SKY], dtype=np.float64)
        for camera in wide_places(
            points[:VOTERS], self.shape, self.index, first=WIDE_DEPTHS[first], last=WIDE_DEPTHS[last],
            goal=GOAL, tally=self.tally, parity=self.where.parity, until=self.until,
        ):  # fmt: skip
            better = grown(camera, points, sky, self.shape)
            if better is None:
                continue
            axis = better.rotation[2]
            ra, dec = np.degrees(np.arctan2(axis[1], axis[0])) % 360, np.degrees(np.arcsin(axis[2]))
            around = catalog_stars(self.stars_at(float(ra), float(dec), 75.0))
            found = solved_by(
                better, image, around, self.tally, false_alarm=self.options.false_alarm, epoch=self.epoch
            )
            yield found or f"a camera with odds e^{camera.log_odds:.0f} did not hold"


def _brightest(stars: StarArray) -> Floats:
    """Return positions (n, 2) of the stars that have one, brightest first."""
    flux = np.asarray(stars["flux"], dtype=np.float64)
    good = np.flatnonzero(np.isfinite(stars["x"]) & np.isfinite(stars["y"]) & (flux > 0))
    order = good[np.argsort(-flux[good], kind="stable")]
    return np.column_stack([stars["x"][order], stars["y"][order]]).astype(np.float64)
