"""Sets that drift or turn across their frames: a camera model in the place of maps to one of the frames.

Where a camera stands still under the sky, frames of half an hour apart share too little, and a wide lens
bends too much, for one frame to be the measure of all. `astrometry.drifting` finds the lens and every frame's
turn; the canvas is then the undistorted picture of the reference frame, placed on the sky by its
bright stars (`astrometry.wide`), with or without a hint.
"""

import logging
from collections.abc import Sequence

import numpy as np

from sciastro.astrometry.drifting import register_drifting
from sciastro.astrometry.driftplaces import CameraModel
from sciastro.astrometry.lens import sky_to_plane
from sciastro.astrometry.refine import propagate
from sciastro.astrometry.register import RegisterOptions
from sciastro.astrometry.sky import catalog_stars
from sciastro.astrometry.solution import ImageStars
from sciastro.astrometry.solve import Solution
from sciastro.astrometry.tracks import fixed_sources
from sciastro.astrometry.wide import find_place, picture_wcs
from sciastro.astrometry.widesolve import solve_wide
from sciastro.core import transform
from sciastro.core.directions import unit_vectors
from sciastro.core.stars import STAR_DTYPE, StarArray
from sciastro.core.wcs import footprint_radius, resampled, wcs_to_text
from sciastro.errors import MatchError, SolveError
from sciastro.integrate.canvas import outside_shares
from sciastro.io.reference import cone
from sciastro.recipe.context import Context
from sciastro.recipe.lights import CAMERA_MODEL, Light, StackSet
from sciastro.recipe.plan import Recipe

__all__ = ["register_camera"]

log = logging.getLogger(__name__)

FEWEST = 5  # frames that show a drift
LEAST_FRAMES = 3  # that a lens can be adjusted to
FAILED = 0.1  # share of frames without registration from which the camera is modeled
STUCK = (0.03, 0.7)  # share of sources that stay fixed to the pixels where the camera does not follow the sky
UNMOVED = 1.0  # pixel: a map that moves less holds on to what is fixed
BENT = 0.3  # share of frames whose map is no affine one
DRIFT = 0.02  # share of the frames' area outside of the reference frame from which bent maps are suspicious
WIDE = 10.0  # degrees of diagonal below which polynomials follow the lens well enough
BRIGHT = 200  # sources per frame that tell whether any are fixed
LOOKED_AT = 7  # frames looked at for it
BETTER = 0.97  # residual of the model over that of the maps, where it places no more frames
FOLLOWS = 0.5  # pixel: a WCS that is farther from the lens is worse than none
DEEPEST = 4000  # catalog stars of a wide field


def register_camera(
    members: StackSet,
    solution: Solution | None,
    recipe: Recipe,
    context: Context,
    step: int,
    epoch: float | None,
) -> Solution | None:
    """Model the camera of a set where that is asked for or does better than maps; return its solution.

    Parameters
    ----------
    members
        After `aligning.register_set`; its lights are placed anew where the model is better.
    solution
        Of the reference frame; None unsolved.
    step
        Raw pixels per pixel of the stack grid.
    epoch
        Julian year of the frames; None unknown.

    Returns
    -------
    Solution
        The one given where nothing changed, else that of the undistorted picture; None unsolved.
    """
    options = recipe.of(RegisterOptions)
    lights = [light for light in members.lights if light.measured is not None and light.measures.stars.size]
    if members.reference is None or options.model not in ("auto", "distortion"):
        return solution
    if len(lights) < LEAST_FRAMES:
        if options.model == "distortion":
            context.warn(
                f"{members.stem}: registration: distortion needs {LEAST_FRAMES} frames with stars, and "
                f"{len(lights)} were found; each frame has a map of its own instead."
            )
        return solution
    shape = (members.reference.facts.shape[0] // step, members.reference.facts.shape[1] // step)
    why = "as asked for" if options.model == "distortion" else _suspicion(lights, shape)
    if not why:
        return solution
    reference = _reference(lights, members)
    try:
        model = register_drifting(
            [light.measures.stars for light in lights], shape, reference, options, focal=_focal(lights, step)
        )
    except MatchError as error:
        if options.model == "distortion":
            raise
        log.info("%s: no camera model: %s", members.stem, error)
        return solution
    if options.model == "auto" and not _better(model, lights):
        log.info("%s: the camera model places no more frames, and none better", members.stem)
        return solution
    log.info("%s: %s; %s, rms %.3f pixel", members.stem, why, model.as_text(), model.rms)
    members.reference, members.lens = lights[reference], f"{model.as_text()} ({why})"
    _take_over(lights, model)
    found = _solved(model, shape, epoch)
    if found is None:
        context.warn(f"{members.stem}: the undistorted picture is not solved; it has no world coordinates.")
        return None
    context.withdraw(f"{members.stem}: no world coordinates")
    _own_wcs(lights, found, shape, context)
    return found


def _suspicion(lights: Sequence[Light], shape: tuple[int, int]) -> str:
    """Return what speaks for a camera that does not follow the sky; empty if nothing does."""
    if len(lights) < FEWEST:
        return ""
    known = [light for light in lights if light.from_reference is not None]
    maps = [light.from_reference for light in known if light.from_reference is not None]
    missing = len(lights) - len(known)
    if missing > FAILED * len(lights):
        return f"{missing} of {len(lights)} frames cannot be registered to one of them"
    moved = [_motion(c, shape) for c in maps]
    if np.median(moved) < UNMOVED:
        looked = [lights[i] for i in np.unique(np.linspace(0, len(lights) - 1, LOOKED_AT).astype(int))]
        fixed = fixed_sources([light.measures.stars[:BRIGHT] for light in looked])
        share = float(np.median([mask.mean() for mask in fixed if mask.size]))
        if STUCK[0] < share < STUCK[1]:
            return f"{100 * share:.0f} % of the sources stay at their pixel while the others move"
        return ""
    drift = float(np.mean(outside_shares(maps, shape, shape)))
    bent = np.mean([c.shape[1] > transform.n_terms(1) for c in maps])
    if drift > DRIFT and bent > BENT and _field(lights) > WIDE:
        return (
            f"{100 * drift:.0f} % of the frames' area lies outside of the reference frame, and maps are bent"
        )
    return ""


def _field(lights: Sequence[Light]) -> float:
    """Return the diagonal of the field [deg]; infinite where no header tells it."""
    scales = [
        light.facts.scale * float(np.hypot(*light.facts.shape)) for light in lights if light.facts.scale
    ]
    return float(np.median(scales)) / 3600 if scales else float("inf")


def _motion(c: np.ndarray, shape: tuple[int, int]) -> float:
    x, y = np.array([0.0, shape[1] - 1.0, 0.0]), np.array([0.0, 0.0, shape[0] - 1.0])
    fx, fy = transform.evaluate(c, x, y)
    return float(np.max(np.hypot(fx - x, fy - y)))


def _reference(lights: Sequence[Light], members: StackSet) -> int:
    """Return the frame whose axes the picture has: the user's, else the middle one in time."""
    if members.reference_asked:
        for number, light in enumerate(lights):
            if light is members.reference:
                return number
    return len(lights) // 2


def _focal(lights: Sequence[Light], step: int) -> float | None:
    scales = [light.facts.scale for light in lights if light.facts.scale]
    return float(206264.806 / (np.median(scales) * step)) if scales else None


def _better(model: CameraModel, lights: Sequence[Light]) -> bool:
    known = [light for light in lights if light.from_reference is not None]
    apart = [light.registration_rms for light in known if light.registration_rms > 0]
    stuck = all(_still(light) for light in known)
    if stuck:
        return model.placed >= 0.5 * len(lights)
    if model.placed != len(known):
        return model.placed > len(known)
    return not apart or model.rms < BETTER * float(np.median(apart))


def _still(light: Light) -> bool:
    return light.from_reference is not None and _motion(light.from_reference, (1000, 1000)) < UNMOVED


def _take_over(lights: Sequence[Light], model: CameraModel) -> None:
    """Give every light its place in the model."""
    for light, one in zip(lights, model.frames, strict=True):
        light.wcs, light.residuals, light.registration_model = "", one.residuals, CAMERA_MODEL
        if one.reason:
            light.from_reference = light.domain = light.pairs = None
            light.registration_rms, light.registration_stars = float("nan"), 0
            light.reason = f"cannot be registered: {one.reason}"
            continue
        light.from_reference, light.domain, light.reason = one.from_reference, one.domain, ""
        light.registration_rms, light.registration_stars = one.rms, one.n
        light.pairs = np.stack([one.star, one.entry]).astype(np.int64)


def _solved(model: CameraModel, shape: tuple[int, int], epoch: float | None) -> Solution | None:
    """Return the solution of the picture: blind by its bright stars, then refined like any field."""
    year = epoch or 2016.0
    sky = cone(0.0, 0.0, 180.0, epoch=year, brightest=500)
    place = find_place(model.directions, model.light, unit_vectors(sky["ra"].value, sky["dec"].value))
    if place is None:
        return None
    first = picture_wcs(place.rotation, model.picture, shape, model.flat)
    stars, origin, size = _picture_stars(model)
    log.info("the picture lies on the sky: %d of its bright stars are known ones", place.n)

    wcs = resampled(first, origin)
    wcs.pixel_shape = (size[1], size[0])
    flux = stars["flux"].astype(np.float64)
    image = ImageStars(
        np.arange(stars.size), np.column_stack([stars["x"], stars["y"]]), stars["x_err"].astype(np.float64),
        -2.5 * np.log10(flux), 3.0, size,
    )  # fmt: skip
    ra, dec = (float(v) for v in first.wcs.crval)
    table = cone(ra, dec, min(1.05 * footprint_radius(wcs, size), 88.0), epoch=year, brightest=DEEPEST)
    found = solve_wide(image, wcs, catalog_stars(table), epoch=year)
    if found is None:
        return None
    return found.moved(-origin[0], -origin[1], shape)


def _picture_stars(model: CameraModel) -> tuple[StarArray, tuple[float, float], tuple[int, int]]:
    """Return the stars on the undistorted picture, and the corner and size of a frame that holds them all."""
    xy = sky_to_plane(model.directions, model.picture, model.flat)
    seen = np.zeros(len(xy), np.int64)
    for one in model.frames:
        seen[one.star] += 1
    good = np.isfinite(xy).all(axis=1) & (model.light > 0) & (seen >= 2)
    order = np.flatnonzero(good)[np.argsort(-model.light[good], kind="stable")]
    corner = np.floor(xy[order].min(axis=0)) - 4
    size = np.ceil(xy[order].max(axis=0)) + 5 - corner
    stars = np.zeros(order.size, STAR_DTYPE)
    stars["x"], stars["y"] = (xy[order] - corner).T
    stars["x_err"] = stars["y_err"] = np.maximum(model.rms / np.sqrt(2 * seen[order]), 0.01)
    stars["flux"], stars["fwhm"] = model.light[order], 3.0
    return stars, (float(corner[0]), float(corner[1])), (int(size[1]), int(size[0]))


def _own_wcs(lights: Sequence[Light], found: Solution, shape: tuple[int, int], context: Context) -> None:
    """Give every placed frame a WCS of its own, as far as SIP can follow the lens."""
    worst = 0.0
    for light in lights:
        if light.from_reference is None or light.domain is None:
            continue
        middle = (float(light.domain[:2].mean()), float(light.domain[2:].mean()))
        try:
            wcs, left = propagate(
                found.wcs, light.from_reference, shape, near=middle, min_order=9, max_order=9
            )
        except SolveError as error:
            context.warn(f"{light.name}: keeps no WCS of its own: {error}")
            continue
        worst = max(worst, left)
        if left < FOLLOWS:
            light.wcs = wcs_to_text(wcs)
    if worst >= FOLLOWS:
        context.warn(
            f"{lights[0].match.group.target}: frames keep no WCS of their own: SIP follows the lens only "
            f"within {worst:.1f} pixel. The image has one."
        )
