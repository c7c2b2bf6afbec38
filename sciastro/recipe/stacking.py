"""Pass 2: each band of a set from raw pixels to the integrated image, in one fused pass over tiles."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sciastro.core.correlation import large_factor
from sciastro.core.lift import beside
from sciastro.core.scratch import recycled_bytes, release
from sciastro.integrate.canvas import EVERYWHERE
from sciastro.integrate.drizzle import DrizzleOptions, on_canvas
from sciastro.integrate.local import LevelOptions, Surfaces, both
from sciastro.integrate.moving import Adjust, shifted_maps
from sciastro.integrate.normalize import Terms
from sciastro.integrate.options import StackOptions, settled
from sciastro.integrate.run import StackArrays, empty_stack, stack_windows
from sciastro.integrate.seeing import lenience
from sciastro.recipe.bandterms import other_terms, terms_of
from sciastro.recipe.bandwindows import WindowReader, maps_of, shared_noise
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.canvases import canvas_of
from sciastro.recipe.context import Context, return_free_memory
from sciastro.recipe.following import Following
from sciastro.recipe.leveling import level_band
from sciastro.recipe.lights import Light, StackSet
from sciastro.recipe.plan import Recipe
from sciastro.recipe.rejected import losses, name_outstanding
from sciastro.recipe.stacked import Stacked
from sciastro.recipe.stacknoise import Predicted, lattice_of, noise_of_stack, predict_noise

__all__ = ["stack_band"]

EMPTY = 0.005  # share of pixels without any drop from which a run warns

Floats = npt.NDArray[np.float64]


def stack_band(
    members: StackSet,
    band: str,
    calibrator: Calibrator,
    recipe: Recipe,
    context: Context,
    *,
    options: StackOptions | None = None,
    following: Following | None = None,
    reference: Light | None = None,
    adjust: Callable[[list[Light], Terms], Adjust | None] | None = None,
) -> Stacked | None:
    """Integrate one band; None where no frame is fit for use, or fewer than `min_frames` are.

    Parameters
    ----------
    options
        Instead of the recipe's.
    following
        For what moves; None stacks the stars.
    reference
        Whose sky level and transparency the image gets; None takes the frame of the largest weight,
        the mean over its bands.
    adjust
        Makes what changes the normalized samples of the lights (`integrate.moving.Adjust`).
    """
    options = settled(recipe.of(StackOptions) if options is None else options, members.fwhm)
    lights = _fit_for_use(members, band, following)
    if len(lights) < (1 if reference is not None else options.min_frames):
        if lights:
            context.warn(
                f"{members.stem} {band}: {len(lights)} frames are fit for use, and stack.min_frames is "
                f"{options.min_frames}."
            )
        return None
    drizzle = recipe.of(DrizzleOptions)
    mosaic, cell = bool(members.cfa) and drizzle.enabled, calibrator.step(members.cfa)
    if _is_split(members, calibrator, drizzle):
        # The samples of a color have no neighbors of their own: each goes to the nearest pixel, whole.
        options = replace(options, kernel="nearest")
    shape = lights[0].facts.shape if mosaic else calibrator.grid_shape(lights[0])
    canvas = canvas_of(members, calibrator, recipe)
    weights = np.array([light.weights[band] for light in lights])
    # The same frame for all colors of a sensor: their stars stay in proportion.
    first = reference or lights[int(np.argmax([light.weight for light in lights]))]
    scale_and_sky = terms_of(lights, band, first, options.normalize, options.scale)
    raised, shared = np.ones((2, len(lights)))
    if not mosaic:  # drops of a mosaic come from raw pixels, which share nothing
        raised, shared = shared_noise(lights, band, calibrator, options.kernel)
    return_free_memory()
    read = WindowReader(lights, band, calibrator.travel(lights), tuple(raised), mosaic)
    recycled = recycled_bytes()
    out = empty_stack(canvas.shape, len(lights), maps=options.maps, context=options.context)
    recycled = recycled_bytes() - recycled  # they count in the size of the process already
    maps = canvas.maps(maps_of(lights, band, calibrator, mosaic=mosaic))
    boxes = canvas.boxes(np.array([EVERYWHERE if light.domain is None else light.domain for light in lights]))
    changes = on_canvas(
        scale_and_sky, canvas, holds_flux=options.pixels_hold == "flux", cell=cell if mosaic else 1
    )
    leveled = level_band(
        lights, band, maps, canvas, changes, weights, shape, recipe.of(LevelOptions), context
    )
    adjusted = None if adjust is None or following is not None else adjust(lights, scale_and_sky)
    maps, boxes, change = _moved(lights, maps, boxes, leveled.surfaces, following, adjusted)
    extra = following.beside if following is not None else 0
    with beside() as start:  # what does not need the stack, while both are waited for
        predicting = start(
            lambda: predict_noise(
                lights, band, calibrator, maps, boxes, out.image.shape, weights, scale_and_sky, options,
                drizzle,
            )
        )  # fmt: skip
        if context.workers == 1 or not calibrator.holds(lights, mosaic=mosaic):
            predicting.result()  # not beside one worker; and planes that it loads count in the memory
        correlation = stack_windows(
            read, maps, shape, changes, weights, out,
            options=options, memory_bytes=calibrator.memory_left(out.image.shape, extra - recycled),
            workers=context.workers, progress=_Progress(predicting, context), domains=boxes, drizzle=drizzle,
            cluster=context.cluster, adjust=change, feather=leveled.feather, correlation=shared,
            lenience=lenience([light.measures.fwhm for light in lights], canvas.scale / drizzle.spread),
            other=other_terms(lights, band, first, options, changes, canvas, cell if mosaic else 1),
        )  # fmt: skip
        predicted = predicting.result()
    release()  # the buffers of the tiles
    _note_losses(lights, out, members, band, context)
    noise = noise_of_stack(band, predicted, out)
    if drizzle.enabled or _is_split(members, calibrator, drizzle):
        # The sums of pass 2 know nothing of uneven shares, nor of single samples.
        correlation = large_factor(noise.autocorrelation)
        if noise.empty > EMPTY:
            context.warn(f"{members.stem} {band}: {_holes(noise.empty, drizzle)}")
    way = drizzle.text if drizzle.enabled else options.kernel
    words = (options.describe(len(lights)), options.combine, way, leveled.method)
    return Stacked(
        target=members.target, stem=members.stem, band=band, file=members.files[band],
        arrays=out, lights=lights,
        # Which clean pixels it averages depends a little on the tiles, and so on memory and workers (3e-5);
        # a thousandth is what it means, and the same for all of them.
        noise_correlation=round(correlation, 3),
        autocorrelation=noise.autocorrelation, canvas=canvas, method=", ".join(filter(None, words)),
        reference=first, coherence=noise.coherence,
        lattice=lattice_of(members.cfa, band[-1], calibrator.debayer_method, drizzled=drizzle.enabled),
        nearest=options.kernel == "nearest" and not drizzle.enabled, empty=noise.empty,
    )  # fmt: skip


def _is_split(members: StackSet, calibrator: Calibrator, drizzle: DrizzleOptions) -> bool:
    """Return whether the colors of a mosaic are kept apart, each with holes where the others are."""
    return bool(members.cfa) and not drizzle.enabled and calibrator.debayer_method == "split"


def _moved(
    lights: list[Light],
    maps: Floats,
    boxes: Floats,
    surfaces: Surfaces | None,
    following: Following | None,
    adjust: Adjust | None,
) -> tuple[Floats, Floats, Adjust | None]:
    """Return maps and boxes as whatever moves sees them, and what changes the samples of the lights."""
    if following is None:
        return maps, boxes, both(surfaces, adjust)
    if following.follow:
        moved = following.of(lights)
        maps, boxes = shifted_maps(maps, moved), boxes - np.repeat(moved, 2, axis=1)
        surfaces = None if surfaces is None else surfaces.shifted(moved)
    return maps, boxes, both(surfaces, following.change(lights))


class _Progress:
    """Tells how far a stack is, and raises an error of what goes on beside it."""

    def __init__(self, beside_it: Future[Predicted], context: Context) -> None:
        self._beside, self._progress, self._done = beside_it, context.progress, 0

    def __call__(self, share: float) -> None:
        """Take the share of the tiles that are done."""
        if self._done == 0:
            release()  # every thread has its buffers
        if self._beside.done():
            self._beside.result()  # its error now, not after the last tile
        step = int(100 * share) - self._done
        self._done += step
        self._progress.advance("integrate", step)


def _note_losses(
    lights: list[Light], out: StackArrays, members: StackSet, band: str, context: Context
) -> None:
    """Note what each light lost to rejection, and name those that lost far more than the others."""
    lost = losses(out)
    for light, one in zip(lights, lost, strict=True):
        light.lost[band] = one
    name_outstanding([light.name for light in lights], lost, members.files[band], context)


def _fit_for_use(members: StackSet, band: str, following: Following | None) -> list[Light]:
    """Return the lights that have a weight and a place; of what moves, those whose shift is known."""
    return [
        light
        for light in members.of_band(band)
        if light.weights.get(band, 0.0) > 0
        and light.from_reference is not None
        and (following is None or light.name in following.shifts)
    ]


def _holes(share: float, drizzle: DrizzleOptions) -> str:
    """Return what a share of empty pixels comes from, and what to do about it."""
    if drizzle.enabled:
        return (
            f"{100 * share:.1f} % of the pixels caught no drop; the dither does not suffice for "
            f"drizzle.scale={drizzle.scale:g} and pixfrac={drizzle.pixfrac:g}. Lower the scale, or let drops "
            "be larger."
        )
    return (
        f"{100 * share:.1f} % of the pixels hold no sample of their color: debayer.method=split "
        "invents none. Stack more dithered frames, drizzle them (drizzle.scale=1, drizzle.pixfrac=1), or "
        "take debayer.method=superpixel."
    )
