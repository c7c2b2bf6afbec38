"""Where a set looks: its reference solved near what headers or the user say, else over the whole sky."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sciastro.astrometry.frames import RegisterFramesOptions
from sciastro.astrometry.sky import within
from sciastro.astrometry.solve import Hint, Solution, SolveOptions, solve_field
from sciastro.core.wcs import celestial_from_header, center, resampled
from sciastro.errors import SolveError
from sciastro.io.reader import probe
from sciastro.io.reference import cone
from sciastro.recipe.context import Context
from sciastro.recipe.deepcatalog import DeepCatalog, deepened
from sciastro.recipe.lensing import with_lens
from sciastro.recipe.lights import Light, StackSet
from sciastro.recipe.lostfields import solve_lost
from sciastro.recipe.plan import Recipe
from sciastro.recipe.setreference import choose_reference, julian_year

if TYPE_CHECKING:
    from astropy.table import QTable
    from astropy.wcs import WCS

__all__ = ["SkyHint", "hint_of", "solve_light", "solve_set", "stack_shape", "stars_near"]

log = logging.getLogger(__name__)

TRIES = 3  # frames that may stand for their set before solving is given up
DEEPEST = 3000  # catalog stars per field


@dataclass(frozen=True, kw_only=True, slots=True)
class SkyHint:
    """What the user says of the field, where headers are silent.

    Attributes
    ----------
    ra, dec
        Field center [deg].
    scale
        Pixel scale of the raw frames [arcsec / pixel].
    catalog
        The user's own stars; None takes the embedded catalog.
    deep
        A deeper catalog for the last fit and the zero points; None takes none.
    """

    ra: float | None = None
    dec: float | None = None
    scale: float | None = None
    catalog: "QTable | None" = None
    deep: DeepCatalog | None = None


def _candidates(members: StackSet, recipe: Recipe, context: Context) -> list[Light]:
    """Return the lights that may be the reference; the user's choice alone where it has stars."""
    good = choose_reference(members.lights)
    asked = recipe.of(RegisterFramesOptions).reference
    if asked is None or not good:
        return good
    count = len(members.lights)
    if asked < count and any(members.lights[asked] is light for light in good):
        members.reference_asked = True
        return [members.lights[asked]]
    why = "has no stars" if asked < count else f"does not exist, the set has {count}"
    context.warn(f"{members.stem}: reference frame {asked} {why}; {good[0].name} takes its place")
    return good


def solve_set(
    members: StackSet, hint: SkyHint, recipe: Recipe, context: Context, root: Path, step: int
) -> tuple[Solution | None, str]:
    """Choose the reference of a set and find its world coordinates.

    Parameters
    ----------
    step
        Raw pixels per pixel of the stack grid (2 for superpixels).

    Returns
    -------
    solution, reason
        None and why, where no frame can be solved; the set has its reference all the same.
    """
    candidates = _candidates(members, recipe, context)
    if not candidates:
        return None, "no frame has stars"
    members.reference = candidates[0]
    epoch = julian_year(members.lights)
    reason = ""
    for light in candidates[:TRIES]:
        place = hint_of(light, hint, root, step)
        if place is None:
            reason = "neither headers nor options say where the field is (give --ra, --dec and --scale)"
            continue
        try:
            solution = solve_light(light, place, hint, epoch, recipe, step)
        except SolveError as error:
            reason = str(error)
            log.info("solving %s: %s", light.name, reason)
            continue
        members.reference = light
        if hint.deep is not None:
            solution = deepened(
                solution, light.measures.stars, stack_shape(light, step), hint.deep,
                epoch=epoch, options=recipe.of(SolveOptions), warn=context.warn,
            )  # fmt: skip
        return solution, ""
    best = candidates[0]
    try:
        found = solve_lost(
            best.measures.stars, stack_shape(best, step), stem=members.stem, why=reason, epoch=epoch,
            catalog=hint.catalog, options=recipe.of(SolveOptions), context=context,
        )  # fmt: skip
    except SolveError as error:
        context.warn(f"{members.stem}: no world coordinates: {error}")
        return None, str(error)
    _tell_pointing(members.lights, center(found.wcs, stack_shape(best, step)))
    return found, ""


def _tell_pointing(lights: Sequence[Light], place: tuple[float, float]) -> None:
    """Let lights whose headers are silent point to where their field was found: for airmass and BJD."""
    for light in lights:
        if light.facts.pointing is None:
            origins = {**light.facts.origins, "pointing": "stars"}
            light.facts = replace(light.facts, pointing=place, origins=origins)


def stack_shape(light: Light, step: int) -> tuple[int, int]:
    """Return rows and columns of the stack grid, with `step` raw pixels per pixel along each axis."""
    return light.facts.shape[0] // step, light.facts.shape[1] // step


def solve_light(
    light: Light, place: Hint, hint: SkyHint, epoch: float | None, recipe: Recipe, step: int
) -> Solution:
    """Return the world coordinates of one light.

    Raises
    ------
    SolveError
        If they cannot be found.
    """

    def stars_at(ra: float, dec: float, radius: float) -> "QTable":
        return stars_near(hint, ra, dec, radius, epoch, DEEPEST)

    found = solve_field(
        light.measures.stars,
        stack_shape(light, step),
        stars_at=stars_at,
        hint=place,
        epoch=epoch or 2016.0,
        options=recipe.of(SolveOptions),
    )
    return with_lens(light.measures.stars, stack_shape(light, step), found, stars_at)


def stars_near(
    hint: SkyHint, ra: float, dec: float, radius: float, epoch: float | None, brightest: int
) -> "QTable":
    """Return the user's own stars around a place [deg], else the embedded ones, at most `brightest`."""
    if hint.catalog is not None:
        return within(hint.catalog, ra, dec, radius)
    return cone(ra, dec, radius, epoch=epoch, brightest=brightest)


def hint_of(light: Light, hint: SkyHint, root: Path, step: int) -> Hint | None:
    """Return where a light points and how fine its pixels are; None where nobody says."""
    facts = light.facts
    scale = hint.scale if hint.scale is not None else facts.scale
    scale = scale * step if scale is not None else None
    if hint.ra is not None and hint.dec is not None:
        return Hint(ra=hint.ra, dec=hint.dec, scale=scale)
    if facts.has_wcs:
        header = next((one.header for one in probe(root / facts.path) if one.hdu == facts.hdu), None)
        wcs = celestial_from_header(header) if header is not None else None
        if wcs is not None:
            return Hint(wcs=_binned(wcs, step, facts.shape))
    if facts.pointing is None or scale is None:
        return None
    return Hint(ra=facts.pointing[0], dec=facts.pointing[1], scale=scale)


def _binned(wcs: "WCS", step: int, shape: tuple[int, int]) -> "WCS":
    """Return `wcs` on a grid of superpixels."""
    out = resampled(wcs, scale=1 / step)
    out.pixel_shape = (shape[1] // step, shape[0] // step)
    return out
