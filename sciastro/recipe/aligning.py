"""Between the passes: the reference frame, its place on the sky, every frame's map to it, the grades."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sciastro.astrometry.frames import RegisterFramesOptions
from sciastro.astrometry.refine import propagate
from sciastro.astrometry.register import RegisterOptions, Registration, register
from sciastro.astrometry.sky import within
from sciastro.astrometry.solve import Hint, Solution, SolveOptions, solve_field
from sciastro.core import timescales, transform
from sciastro.core.lift import run_tasks
from sciastro.core.stars import StarArray
from sciastro.core.wcs import celestial_from_header, center, resampled, wcs_to_text
from sciastro.errors import MatchError, SolveError
from sciastro.integrate.canvas import domain_box
from sciastro.integrate.grade import GradeOptions
from sciastro.integrate.normalize import transparency
from sciastro.io.reader import probe
from sciastro.io.reference import cone
from sciastro.recipe.context import Context
from sciastro.recipe.deepcatalog import DeepCatalog, deepened
from sciastro.recipe.lensing import with_lens
from sciastro.recipe.lights import CAMERA_MODEL, Light, StackSet, bands_of
from sciastro.recipe.lostfields import solve_lost
from sciastro.recipe.panelgrades import grades, panel_transparencies
from sciastro.recipe.plan import Recipe

if TYPE_CHECKING:
    from astropy.table import QTable
    from astropy.wcs import WCS

__all__ = [
    "SkyHint",
    "choose_reference",
    "grade_set",
    "hint_of",
    "julian_year",
    "register_light",
    "register_set",
    "solve_light",
    "solve_set",
    "stars_near",
    "unregistered",
    "transparencies",
]

log = logging.getLogger(__name__)

CARRIED = 5  # highest order of SIP of a frame's own WCS, unless the reference has a higher one
FOLLOWS = 0.5  # pixel by which it may miss what the map and the reference say; as `drifting` has it
TRIES = 3  # frames that may stand for their set before solving is given up
FEW_STARS = 60  # stars below which a frame gets a second look
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


def julian_year(lights: Sequence[Light]) -> float | None:
    """Return the mean epoch of `lights` as a Julian year, None where no header has a date."""
    stamps = [light.facts.time.timestamp() for light in lights if light.facts.time is not None]
    if not stamps:
        return None
    return timescales.julian_year(float(np.mean(stamps)))


def choose_reference(members: Sequence[Light]) -> list[Light]:
    """Return the lights that may be the reference, best first: many stars, sharp, round."""
    good = [
        light
        for light in members
        if light.measured is not None and light.measured.n_stars > 0 and not light.reason
    ]

    def merit(light: Light) -> float:
        measured = light.measures
        trailed = 0.2 if measured.elongation > 1.3 else 1.0
        return trailed * measured.n_stars / max(measured.fwhm, 0.5) ** 2

    return sorted(good, key=merit, reverse=True)


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
            shape = (light.facts.shape[0] // step, light.facts.shape[1] // step)
            solution = deepened(
                solution, light.measures.stars, shape, hint.deep,
                epoch=epoch, options=recipe.of(SolveOptions), warn=context.warn,
            )  # fmt: skip
        return solution, ""
    best = candidates[0]
    try:
        found = solve_lost(
            best.measures.stars, _stack_shape(best, step), stem=members.stem, why=reason, epoch=epoch,
            catalog=hint.catalog, options=recipe.of(SolveOptions), context=context,
        )  # fmt: skip
    except SolveError as error:
        context.warn(f"{members.stem}: no world coordinates: {error}")
        return None, str(error)
    _tell_pointing(members.lights, center(found.wcs, _stack_shape(best, step)))
    return found, ""


def _tell_pointing(lights: Sequence[Light], place: tuple[float, float]) -> None:
    """Let lights whose headers are silent point to where their field was found: for airmass and BJD."""
    for light in lights:
        if light.facts.pointing is None:
            origins = {**light.facts.origins, "pointing": "stars"}
            light.facts = replace(light.facts, pointing=place, origins=origins)


def _stack_shape(light: Light, step: int) -> tuple[int, int]:
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
        _stack_shape(light, step),
        stars_at=stars_at,
        hint=place,
        epoch=epoch or 2016.0,
        options=recipe.of(SolveOptions),
    )
    return with_lens(light.measures.stars, _stack_shape(light, step), found, stars_at)


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


def register_set(members: StackSet, recipe: Recipe, context: Context, step: int) -> None:
    """Register every frame of a set to its reference."""
    reference = members.reference
    if reference is None or reference.measured is None:
        for light in members.lights:
            light.reason = light.reason or "no frame of its target has stars to register to"
        return
    shape = (reference.facts.shape[0] // step, reference.facts.shape[1] // step)
    options = recipe.of(RegisterOptions)
    anchor = reference.measured.stars

    def work(light: Light) -> None:
        if light.measured is None or light.reason:
            return
        if light is reference:
            count = np.arange(anchor.size)
            light.from_reference, light.registration_rms = transform.identity(1), 0.0
            light.domain = domain_box(light.from_reference, shape)
            light.pairs = np.stack([count, count])
        else:
            try:
                found = register_light(anchor, light.measured.stars, shape, options)
            except MatchError as error:
                light.reason = unregistered(light, error)
                return
            used = np.asarray(found.residuals["used"], dtype=bool)
            light.from_reference, light.registration_rms = found.from_reference, found.rms
            light.residuals = found.residuals
            note_model(light, found, context)
            light.domain = domain_box(light.from_reference, shape, near=_middle(found))
            light.pairs = np.stack(
                [
                    np.asarray(found.residuals[f"index_{name}"], dtype=np.int64)[used]
                    for name in ("reference", "frame")
                ]
            )

    run_tasks(
        work, members.lights, workers=context.workers, done=lambda *_: context.progress.advance("register")
    )


def frame_coordinates(members: StackSet, solution: Solution, context: Context, step: int) -> None:
    """Give every registered frame of a set its own WCS; those of a camera model have theirs, or none.

    Parameters
    ----------
    members
        Its lights; `Light.wcs` is written as header text, on the pixels that are registered.
    solution
        Of the reference, on the same pixels.
    context
        Is warned of frames that keep none.
    step
        Pixels of the file per registered pixel, along each axis.
    """
    if members.reference is None:
        return
    rows, columns = members.reference.facts.shape
    shape = (rows // step, columns // step)
    for light in members.lights:
        if light.from_reference is None or light.registration_model == CAMERA_MODEL:
            continue
        try:
            light.wcs = wcs_to_text(_frame_wcs(light, solution.wcs, shape))
        except SolveError as error:
            context.warn(f"{light.name}: keeps no WCS of its own: {error}")


def unregistered(light: Light, error: MatchError) -> str:
    """Return the reason why a light could not be registered."""
    if light.measured is not None and light.measured.stars.size == 0:
        return "shows no stars (clouds, a closed cover, out of focus?)"
    return f"cannot be registered: {error}"


def note_model(light: Light, found: Registration, context: Context) -> None:
    """Note by which model and how many stars a light lies where it does; warn where it is another one."""
    light.registration_model, light.registration_stars = found.model, found.n
    light.registration_shortfall = found.shortfall
    if found.shortfall:
        context.warn(f"{light.name}: registration: {found.shortfall}.")


def _middle(found: Registration) -> tuple[float, float]:
    """Return a place on the reference where the map is well determined: the median of its stars."""
    return float(np.median(found.residuals["x"])), float(np.median(found.residuals["y"]))


def register_light(
    anchor: StarArray, stars: StarArray, shape: tuple[int, int], options: RegisterOptions
) -> Registration:
    """Register; few stars get a second look with what frames of one session have in common.

    The second look accepts a match a thousand times more likely to be chance, and then demands the same
    scale within 2 % and a rotation within 3 degrees of none or of a half turn, which chance fulfills in
    one of about two hundred cases.
    """
    try:
        return register(anchor, stars, shape, options)
    except MatchError:
        if min(anchor.size, stars.size) > FEW_STARS:
            raise
        found = register(
            anchor, stars, shape, replace(options, false_alarm=min(1e3 * options.false_alarm, 1e-2))
        )
        turned = abs((found.rotation + 90) % 180 - 90)
        if abs(found.scale - 1) > 0.02 or turned > 3:
            raise
        return found


def _frame_wcs(light: Light, wcs: "WCS", shape: tuple[int, int]) -> "WCS":
    if light.from_reference is None or np.array_equal(light.from_reference, transform.identity(1)):
        return wcs
    order = 1 if wcs.sip is None else len(wcs.sip.a) - 1
    carried, off = propagate(wcs, light.from_reference, shape, max_order=max(order, CARRIED))
    if off > FOLLOWS:
        raise SolveError(
            f"cannot follow the distortion: SIP of order {max(order, CARRIED)} is {off:.2f} pixel off.",
            where="its WCS",
            remedy="The image has one.",
        )
    return carried


def grade_set(members: StackSet, recipe: Recipe, context: Context) -> None:
    """Measure transparencies and grade the frames of a set, band by band; a mosaic has several bands.

    A frame is used where it has weight in any band; of several reasons the first one stays.
    """
    fit = [light for light in members.lights if light.from_reference is not None and not light.reason]
    reasons: dict[str, str] = {}
    for band in members.bands:
        lights = [light for light in fit if band in bands_of(light.facts)]
        if not lights:
            continue
        base = members.bases[band] = choose_reference(lights)[0]
        if len({light.panel for light in lights}) > 1:
            panel_transparencies(lights, base, context, f"{members.stem} {band}")
        else:
            transparencies(lights, base)
        weight, reason = grades(lights, band, members.target, recipe.of(GradeOptions))
        for i, light in enumerate(lights):
            light.weights[band] = float(weight[i])
            reasons[light.name] = reasons.get(light.name) or reason[i]
        best = max(lights, key=lambda light: light.weights[band])
        if np.isfinite(best.transparency) and best.transparency > 0:
            scale = best.transparency
            for light in lights:
                light.transparency /= scale
    for light in fit:
        light.use = any(weight > 0 for weight in light.weights.values())
        light.reason = reasons.get(light.name, "")
        if light.reason and light.use:
            context.warn(f"{light.name}: {light.reason}")


def transparencies(lights: Sequence[Light], base: Light) -> None:
    """Set the transparency of registered lights relative to `base`."""
    for light in lights:
        _, mine, theirs = np.intersect1d(light.star_pairs[0], base.star_pairs[0], return_indices=True)
        ratio, _, n = transparency(
            light.measures.stars, light.star_pairs[1][mine],
            base.measures.stars, base.star_pairs[1][theirs],
            light.facts.exposure or 1.0, base.facts.exposure or 1.0,
        )  # fmt: skip
        light.transparency = ratio if n else float("nan")
