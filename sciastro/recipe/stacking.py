"""Pass 2: each band of a set from raw pixels to the integrated image, in one fused pass over tiles."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.debayer import noise_of, phase_offset
from sciastro.core import transform
from sciastro.core.correlation import large_factor
from sciastro.core.lift import beside
from sciastro.core.scratch import recycled_bytes, release
from sciastro.errors import DatasetError
from sciastro.integrate.canvas import EVERYWHERE, Canvas, CanvasOptions, choose_canvas, domain_box
from sciastro.integrate.correlated import resampled_noise
from sciastro.integrate.drizzle import DrizzleOptions, on_canvas
from sciastro.integrate.local import LevelOptions, both
from sciastro.integrate.moving import Adjust, Subtraction, shifted_maps
from sciastro.integrate.normalize import NormalizeOptions, Terms, between, terms
from sciastro.integrate.options import StackOptions
from sciastro.integrate.run import StackArrays, empty_stack, stack_windows
from sciastro.integrate.seeing import lenience
from sciastro.kernels.warp import warp_table
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.context import Context, return_free_memory
from sciastro.recipe.leveling import level_band
from sciastro.recipe.lights import Light, StackSet
from sciastro.recipe.plan import Recipe
from sciastro.recipe.rejected import losses, name_outstanding
from sciastro.recipe.stacknoise import lattice_of, noise_of_stack, predict_noise

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["Following", "Stacked", "canvas_of", "place_canvas", "stack_band"]

EMPTY = 0.005  # share of pixels without any drop from which a run warns

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stacked:
    """One integrated band.

    Attributes
    ----------
    target, stem, band
        What it shows, and the start of its set's file names.
    file
        The start of its own file names.
    arrays
        Image, variance, quality, coverage, rejected counts.
    lights
        Frames that entered.
    noise_correlation
        Noise of large areas over what uncorrelated pixels would give.
    autocorrelation
        Correlation of the noise of two pixels by their offset in y and x (2 K + 1, 2 K + 1).
    canvas
        Its grid, with the world coordinates where solved.
    method
        Rejection that was used, with its thresholds.
    reference
        The frame whose sky level and transparency it has.
    coherence
        How far its frames sample the sky at the same places (`integrate.coherence`); None unknown.
    lattice
        How they sample it (`measure.phase.LATTICES`); "" where that needs no care.
    nearest
        Whether samples went to the nearest pixel, whole.
    empty
        Share of the pixels that its frames show and that hold nothing.
    """

    target: str
    stem: str
    band: str
    file: str
    arrays: StackArrays
    lights: list[Light]
    noise_correlation: float
    autocorrelation: Floats
    canvas: Canvas
    method: str
    reference: Light | None = None
    coherence: Floats | None = None
    lattice: str = ""
    nearest: bool = False
    empty: float = 0.0

    @property
    def wcs(self) -> "WCS | None":
        """World coordinates of the canvas; None unsolved."""
        return self.canvas.wcs

    @property
    def top_down(self) -> bool:
        """Whether the first row is the top of the picture, as the frames say (phones and many programs)."""
        return bool(self.lights) and self.lights[0].facts.row_order == "TOP-DOWN"

    @property
    def exposure(self) -> float:
        """Summed exposure [s]."""
        return float(sum(light.facts.exposure or 0.0 for light in self.lights))


def place_canvas(
    members: StackSet, wcs: "WCS | None", calibrator: Calibrator, recipe: Recipe, context: Context
) -> None:
    """Choose the canvas of a set that is graded; frames that it cannot hold are left out with the reason.

    Parameters
    ----------
    wcs
        Of the reference grid; None unsolved.
    """
    if members.reference is None:
        return
    shape = calibrator.grid_shape(members.reference)
    lights = [light for light in members.lights if light.use and light.from_reference is not None]
    maps = [light.from_reference for light in lights if light.from_reference is not None]
    boxes = [
        domain_box(c, shape) if one.domain is None else one.domain
        for c, one in zip(maps, lights, strict=True)
    ]
    options = recipe.of(CanvasOptions)
    panels = len({light.panel for light in lights})
    whole = options.extent == "auto" and (bool(members.lens) or panels > 1)
    members.canvas, refused = choose_canvas(
        maps, shape, shape, options=replace(options, extent="union") if whole else options, wcs=wcs,
        domains=np.array(boxes).reshape(-1, 4),
    )  # fmt: skip
    if whole and panels > 1:
        members.canvas = replace(members.canvas, reason=f"{panels} panels of a mosaic")
    for number, why in refused.items():
        light = lights[number]
        light.use, light.weights, light.reason = False, dict.fromkeys(light.weights, 0.0), f"left out: {why}"
        context.warn(f"{light.name}: {light.reason}")
    if whole and panels < 2:
        members.canvas = replace(members.canvas, reason="the whole of the undistorted picture")
    canvas = members.canvas
    log.info(
        "%s: canvas %s, %d x %d pixel: %s",
        members.stem, canvas.extent, canvas.shape[1], canvas.shape[0], canvas.reason,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Following:
    """How a pass deals with something that moves.

    Attributes
    ----------
    shifts
        Frame name to how far the object is from its place in the image [canvas pixel]; frames that are not
        named do not enter.
    follow
        Whether frames are aligned on the object, else on the stars.
    model
        What is taken off the frames first [electron / s]: the stars where the pass follows the object, else
        the object; None takes nothing off.
    beside
        Memory that models and earlier passes hold [byte].
    """

    shifts: Mapping[str, tuple[float, float]]
    follow: bool
    model: npt.NDArray[np.float32] | None = None
    beside: int = 0

    def of(self, lights: Sequence[Light]) -> Floats:
        """Return the shifts (frame, 2) of `lights`."""
        return np.array([self.shifts[light.name] for light in lights])

    def change(self, lights: Sequence[Light]) -> Subtraction | None:
        """Return what is done to the samples of `lights`."""
        if self.model is None:
            return None
        return Subtraction(self.model, self.of(lights) * (1 if self.follow else -1))


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
        Whose sky level and transparency the image gets; None takes the frame of the largest weight.
    adjust
        Makes what changes the normalized samples of the lights (`integrate.moving.Adjust`).
    """
    lights = [
        light
        for light in members.of_band(band)
        if light.weights.get(band, 0.0) > 0
        and light.from_reference is not None
        and (following is None or light.name in following.shifts)
    ]
    options = recipe.of(StackOptions) if options is None else options
    if len(lights) < (1 if reference is not None else options.min_frames):
        if lights:
            context.warn(
                f"{members.stem} {band}: {len(lights)} frames are fit for use, and stack.min_frames is "
                f"{options.min_frames}."
            )
        return None
    drizzle = recipe.of(DrizzleOptions)
    mosaic, cell = bool(members.cfa) and drizzle.enabled, calibrator.step(members.cfa)
    if members.cfa and not mosaic and calibrator.debayer_method == "split" and options.kernel != "nearest":
        # The samples of a color have no neighbors of their own: each goes to the nearest pixel, whole.
        options = replace(options, kernel="nearest")
    shape = lights[0].facts.shape if mosaic else calibrator.grid_shape(lights[0])
    canvas = canvas_of(members, calibrator, recipe)
    weights = np.array([light.weights[band] for light in lights])
    first = reference or lights[int(np.argmax(weights))]
    scale_and_sky = _terms(lights, band, first, options.normalize, options.scale)
    raised, shared = np.ones((2, len(lights)))
    if not mosaic:  # drops of a mosaic come from raw pixels, which share nothing
        raised, shared = _shared_noise(lights, band, calibrator, options.kernel)
    return_free_memory()
    read = _WindowReader(lights, band, calibrator.travel(lights), tuple(raised), mosaic)
    recycled = recycled_bytes()
    out = empty_stack(canvas.shape, len(lights), maps=options.maps, context=options.context)
    recycled = recycled_bytes() - recycled  # they count in the size of the process already
    maps = canvas.maps(_maps(lights, band, calibrator, mosaic=mosaic))
    boxes = canvas.boxes(np.array([EVERYWHERE if light.domain is None else light.domain for light in lights]))
    changes = on_canvas(
        scale_and_sky, canvas, holds_flux=options.pixels_hold == "flux", cell=cell if mosaic else 1
    )
    leveled = level_band(
        lights, band, maps, canvas, changes, weights, shape, recipe.of(LevelOptions), context
    )
    extra = 0
    change = both(leveled.surfaces, adjust(lights, scale_and_sky) if adjust is not None else None)
    if following is not None:
        extra, change = following.beside, both(leveled.surfaces, following.change(lights))
        if following.follow:
            moved = following.of(lights)
            maps, boxes = shifted_maps(maps, moved), boxes - np.repeat(moved, 2, axis=1)
            if leveled.surfaces is not None:
                change = both(leveled.surfaces.shifted(moved), following.change(lights))
    done = 0
    with beside() as start:  # what does not need the stack, while both are waited for
        predicting = start(
            lambda: predict_noise(
                lights, band, calibrator, maps, boxes, out.image.shape, weights, scale_and_sky, options,
                drizzle,
            )
        )  # fmt: skip
        if context.workers == 1 or not calibrator.holds(lights, mosaic=mosaic):
            predicting.result()  # not beside one worker; and planes that it loads count in the memory

        def progress(share: float) -> None:
            nonlocal done
            if done == 0:
                release()  # every thread has its buffers
            if predicting.done():
                predicting.result()  # its error now, not after the last tile
            step = int(100 * share) - done
            done += step
            context.progress.advance("integrate", step)

        correlation = stack_windows(
            read, maps, shape, changes, weights, out,
            options=options, memory_bytes=calibrator.memory_left(out.image.shape, extra - recycled),
            workers=context.workers, progress=progress, domains=boxes, drizzle=drizzle,
            cluster=context.cluster, adjust=change, feather=leveled.feather, correlation=shared,
            lenience=lenience([light.measures.fwhm for light in lights], canvas.scale),
            other=_other_terms(lights, band, first, options, changes, canvas, cell if mosaic else 1),
        )  # fmt: skip
        predicted = predicting.result()
    release()  # the buffers of the tiles
    lost = losses(out)
    for light, one in zip(lights, lost, strict=True):
        light.lost[band] = one
    name_outstanding([light.name for light in lights], lost, members.files[band], context)
    # Which clean pixels it averages depends a little on the tiles, and so on memory and workers (3e-5);
    # a thousandth is what it means, and the same for all of them.
    correlation = round(correlation, 3)
    noise = noise_of_stack(band, predicted, out)
    split = bool(members.cfa) and not drizzle.enabled and calibrator.debayer_method == "split"
    if drizzle.enabled or split:  # the sums of pass 2 know nothing of uneven shares, nor of single samples
        correlation = round(large_factor(noise.autocorrelation), 3)
    if noise.empty > EMPTY and (drizzle.enabled or split):
        context.warn(f"{members.stem} {band}: {_holes(noise.empty, drizzle)}")
    way = drizzle.text if drizzle.enabled else options.kernel
    words = (options.describe(len(lights)), options.combine, way, leveled.method)
    return Stacked(
        target=members.target, stem=members.stem, band=band, file=members.files[band],
        arrays=out, lights=lights,
        noise_correlation=correlation, autocorrelation=noise.autocorrelation, canvas=canvas,
        method=", ".join(filter(None, words)),
        reference=first, coherence=noise.coherence,
        lattice=lattice_of(members.cfa, band[-1], calibrator.debayer_method, drizzled=drizzle.enabled),
        nearest=options.kernel == "nearest" and not drizzle.enabled, empty=noise.empty,
    )  # fmt: skip


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


def _other_terms(
    lights: list[Light], band: str, first: Light, options: StackOptions, own: Terms, canvas: Canvas, cell: int
) -> Floats | None:
    """Return what brings values to the normalization in which outliers are looked for; None for the same."""
    if not options.rejects_otherwise:
        return None
    flux = options.pixels_hold == "flux"
    found = _terms(lights, band, first, options.reject_normalize, options.reject_scale)
    second = on_canvas(found, canvas, holds_flux=flux, cell=cell)
    return between(own, second, 1 / canvas.scale**2 if flux else 1.0)


def _sensitivity(light: Light, band: str, source: str) -> float:
    """Return what the multiplicative part of a normalization makes equal, as a rate."""
    if source == "stars":
        return light.transparency
    measured, seconds = light.measures, light.facts.exposure or 1.0
    if source != "noise" and source not in measured.scales.get(band, {}):
        raise DatasetError(
            f"has no scale '{source}'; it was measured for another recipe.",
            where=light.name,
            remedy="Reduce all nights anew, or leave `stack.scale` as it was.",
        )
    return (measured.noise[band] if source == "noise" else measured.scales[band][source]) / seconds


def _terms(lights: list[Light], band: str, first: Light, mode: str, source: str) -> Terms:
    """Return the terms that bring `lights` to the level of `first`, which may be none of them."""
    known = [*lights, first]
    seconds = np.array([light.facts.exposure for light in known], dtype=np.float64)
    found = terms(
        seconds,
        np.array([light.measures.sky[band] for light in known]) / seconds,
        np.array([_sensitivity(light, band, source) for light in known]),
        reference=len(lights),
        options=NormalizeOptions(mode=mode),
    )
    return Terms(found.scale[:-1], found.pedestal[:-1], found.offset[:-1])


@dataclass(frozen=True, slots=True)
class _WindowReader:
    """Calibrated windows of a band's lights by number; travels to the workers of a cluster."""

    lights: list[Light]
    band: str
    calibrator: Calibrator
    raised: tuple[float, ...]
    mosaic: bool

    def __call__(
        self, i: int, y0: int, y1: int, x0: int, x1: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint16]]:
        window = self.calibrator.mosaic_window if self.mosaic else self.calibrator.window
        signal, variance, quality = window(self.lights[i], self.band, y0, y1, x0, x1)
        if self.raised[i] != 1.0:
            variance *= np.float32(self.raised[i])
        return signal, variance, quality


def _shared_noise(
    lights: list[Light], band: str, calibrator: Calibrator, kernel: str
) -> tuple[Floats, Floats]:
    """Return per frame what raises the variance of resampled pixels, and the correlation left beside it.

    The pixels of interpolated mosaics share noise; all others are independent: 1 and 1.
    """
    table = warp_table(kernel)  # type: ignore[no-untyped-call]
    known: dict[str, tuple[float, float]] = {"": (1.0, 1.0)}
    for cfa in {light.facts.cfa for light in lights if light.facts.cfa}:
        known[cfa] = resampled_noise(noise_of(cfa, band[-1], calibrator.debayer_method), table)
    found = np.array([known[light.facts.cfa] for light in lights])
    return found[:, 0], found[:, 1]


def canvas_of(members: StackSet, calibrator: Calibrator, recipe: Recipe) -> Canvas:
    """Return the grid of the images of a set; drizzle makes it finer than the pixels of the sensor."""
    canvas = members.canvas or Canvas(calibrator.grid_shape(members.reference or members.lights[0]))
    scale = recipe.of(DrizzleOptions).scale
    return canvas if scale is None else canvas.times(scale * calibrator.step(members.cfa))


def _maps(lights: list[Light], band: str, calibrator: Calibrator, *, mosaic: bool) -> Floats:
    """Return reference-to-frame maps; the planes of a mosaic lie a quarter of a superpixel off its center.

    With `mosaic` they lead to raw pixels.
    """
    maps = [light.from_reference for light in lights if light.from_reference is not None]
    degree = max(transform.degree_of(one.shape[1]) for one in maps)
    out = np.stack([transform.pad(one, degree) for one in maps])
    for i, light in enumerate(lights):
        if mosaic:
            out[i] = calibrator.to_raw(light, out[i])
        elif light.facts.cfa:
            out[i, :, 0] -= phase_offset(light.facts.cfa, band[-1], calibrator.debayer_method)
    return out
