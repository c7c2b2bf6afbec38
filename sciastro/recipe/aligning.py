"""Between the passes: every frame's map to the reference of its set, and its own place on the sky."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sciastro.astrometry.refine import propagate
from sciastro.astrometry.register import RegisterOptions, Registration, register
from sciastro.astrometry.solve import Solution
from sciastro.core import transform
from sciastro.core.lift import run_tasks
from sciastro.core.stars import StarArray
from sciastro.core.wcs import wcs_to_text
from sciastro.errors import MatchError, SolveError
from sciastro.integrate.canvas import domain_box
from sciastro.recipe.context import Context
from sciastro.recipe.lights import CAMERA_MODEL, Light, StackSet
from sciastro.recipe.plan import Recipe

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["frame_coordinates", "note_model", "register_light", "register_set", "unregistered"]

CARRIED = 5  # highest order of SIP of a frame's own WCS, unless the reference has a higher one
FOLLOWS = 0.5  # pixel by which it may miss what the map and the reference say; as `drifting` has it
FEW_STARS = 60  # stars below which a frame gets a second look


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
