"""The grid on which a set is stacked: chosen between the passes, finer where drizzled."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sciastro.integrate.canvas import Canvas, CanvasOptions, choose_canvas, domain_box
from sciastro.integrate.drizzle import DrizzleOptions
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.context import Context
from sciastro.recipe.lights import StackSet
from sciastro.recipe.plan import Recipe

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["canvas_of", "place_canvas"]

log = logging.getLogger(__name__)


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


def canvas_of(members: StackSet, calibrator: Calibrator, recipe: Recipe) -> Canvas:
    """Return the grid of the images of a set; drizzle makes it finer than the pixels of the sensor."""
    canvas = members.canvas or Canvas(calibrator.grid_shape(members.reference or members.lights[0]))
    scale = recipe.of(DrizzleOptions).scale
    return canvas if scale is None else canvas.times(scale * calibrator.step(members.cfa))
