"""Mosaics: one target at several pointings, each panel placed on the sky by its own stars.

Lights are sorted into panels by where their headers say they point. The sharpest frame of each panel is
solved, the others of the panel are registered to it, and through its world coordinates they land on one
grid: gnomonic about the middle of the mosaic, without distortion terms that would run wild beyond a frame.
Stars that panels have in common pull the panels together to a fraction of what each solution errs. A panel
that cannot be solved is hung on a solved neighbor by the stars that they share.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.refine import propagate
from sciastro.astrometry.register import RegisterOptions
from sciastro.astrometry.solve import Solution
from sciastro.core import transform
from sciastro.core.directions import unit_vectors
from sciastro.core.lift import run_tasks
from sciastro.core.wcs import wcs_to_text
from sciastro.errors import MatchError, SolveError
from sciastro.integrate.canvas import domain_box
from sciastro.recipe import aligning, setreference, setsolving
from sciastro.recipe.context import Context
from sciastro.recipe.hanging import Panel, grid_of_panels, hang, on_grid, pull_together
from sciastro.recipe.lights import Light, StackSet
from sciastro.recipe.plan import Recipe
from sciastro.recipe.targets import field_of

if TYPE_CHECKING:
    from astropy.wcs import WCS


__all__ = ["find_panels", "register_mosaic"]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Shape = tuple[int, int]

APART = 0.3  # of the shorter side of the field: pointings that far apart are panels, not a dither
TRIES = 3  # frames that may stand for their panel before solving it is given up
LEAST_ERROR = 0.03  # pixel: expected error of a panel's place, at best
FINE, COARSE = 0.01, 0.1  # pixel: error of a map that is good enough, and that the user should know of
HIGHEST = 5  # degree of a map
MARGIN = 8  # pixel around a frame over which its map is fitted


def find_panels(lights: Sequence[Light], scale: float | None) -> list[list[Light]]:
    """Sort lights by pointing; one list where headers do not tell, or all point to one place.

    Parameters
    ----------
    scale
        Pixel scale where headers are silent [arcsec / pixel].
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    told = [light.facts.pointing for light in lights]
    if len(lights) < 2 or any(one is None for one in told):
        return [list(lights)]
    first = lights[0].facts
    known = first.scale if first.scale is not None else scale
    field = field_of(first) if first.scale is not None or known is None else max(first.shape) * known / 3600
    side = field * min(first.shape) / max(first.shape)
    points = unit_vectors(*np.array([one for one in told if one is not None]).T)
    reach = 2 * np.sin(np.deg2rad(min(APART * side, 90.0)) / 2)
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(lights),) * 2)
    count, label = connected_components(links, directed=False)
    return [[light for light, k in zip(lights, label, strict=True) if k == n] for n in range(count)]


def register_mosaic(
    members: StackSet, solution: Solution | None, hint: setsolving.SkyHint, recipe: Recipe, context: Context,
    root: Path, step: int,
) -> Solution | None:  # fmt: skip
    """Register the lights of a mosaic onto one grid.

    Parameters
    ----------
    solution
        Of the reference frame.
    step
        Raw pixels per pixel of the stack grid.

    Returns
    -------
    Solution
        With the world coordinates of the mosaic's grid; None where the set is no mosaic (or its reference
        has no world coordinates), and nothing was done.
    """
    usable = [light for light in members.lights if light.measured is not None and not light.reason]
    scale = hint.scale
    if scale is None and solution is not None and usable and usable[0].facts.scale is None:
        scale = solution.scale / step  # found over the whole sky
    groups = find_panels(usable, scale)
    if len(groups) < 2 or solution is None or members.reference is None:
        return None
    facts = members.reference.facts
    shape = (facts.shape[0] // step, facts.shape[1] // step)
    panels = [Panel(number, group) for number, group in enumerate(groups, start=1)]
    for panel in panels:
        for light in panel.lights:
            light.panel = panel.number
    aimed = setsolving.SkyHint(
        scale=scale, catalog=hint.catalog, deep=hint.deep
    )  # a given center is that of the whole
    for panel in panels:
        _solve_panel(panel, members.reference, solution, aimed, recipe, root, step)
    hang(panels, shape, recipe.of(RegisterOptions))
    grid = grid_of_panels(panels, solution, shape)
    numbers = pull_together(panels, grid, shape, members.stem)
    _register_lights(panels, grid, shape, numbers, recipe, context)
    for panel in panels:
        if panel.wcs is None:
            context.warn(f"{members.stem}: panel {panel.number}: {panel.reason}")
    log.info("%s: a mosaic of %d panels", members.stem, len(panels))
    return replace(solution, wcs=grid, deviation_px=0.0)  # a plane follows no lens


def _solve_panel(
    panel: Panel, reference: Light, solution: Solution, hint: setsolving.SkyHint, recipe: Recipe, root: Path,
    step: int,
) -> None:  # fmt: skip
    """Find the frame that stands for a panel, and its world coordinates."""
    if any(light is reference for light in panel.lights):
        panel.anchor, panel.wcs, panel.error = reference, solution.wcs, _error(solution)
        return
    candidates = setreference.choose_reference(panel.lights)
    if not candidates:
        panel.reason = "no frame of it has stars"
        return
    panel.anchor = candidates[0]
    epoch = setreference.julian_year(panel.lights)
    for light in candidates[:TRIES]:
        place = setsolving.hint_of(light, hint, root, step)
        if place is None:
            panel.reason = "neither headers nor options tell its scale (give --scale)"
            continue
        try:
            found = setsolving.solve_light(light, place, hint, epoch, recipe, step)
        except SolveError as error:
            panel.reason = str(error)
            continue
        panel.anchor, panel.wcs, panel.error = light, found.wcs, _error(found)
        return


def _error(solution: Solution) -> float:
    """Return the expected error of the place of a solved frame [pixel]: three standard errors."""
    return max(LEAST_ERROR, 3 * solution.rms_px / float(np.sqrt(max(solution.n_stars, 1))))


def _register_lights(
    panels: Sequence[Panel], grid: "WCS", shape: Shape, numbers: dict[int, npt.NDArray[np.int64]],
    recipe: Recipe, context: Context,
) -> None:  # fmt: skip
    options = recipe.of(RegisterOptions)

    def work(job: tuple[Panel, Light]) -> None:
        panel, light = job
        if panel.wcs is None or panel.anchor is None:
            light.reason = f"panel {panel.number} of the mosaic has no place on the sky: {panel.reason}"
            return
        _register_light(panel, light, grid, shape, numbers[panel.number], options, context)

    jobs = [(panel, light) for panel in panels for light in panel.lights]
    run_tasks(work, jobs, workers=context.workers, done=lambda *_: context.progress.advance("register"))


def _register_light(
    panel: Panel, light: Light, grid: "WCS", shape: Shape, numbers: npt.NDArray[np.int64],
    options: RegisterOptions, context: Context,
) -> None:  # fmt: skip
    if panel.anchor is None or panel.wcs is None:
        raise RuntimeError("the panel is not placed")
    anchor = panel.anchor.measures.stars
    if light is panel.anchor:
        from_anchor, own = transform.identity(1), np.arange(anchor.size)
        light.registration_rms, light.pairs = 0.0, np.stack([numbers, own])
    else:
        try:
            found = aligning.register_light(anchor, light.measures.stars, shape, options)
        except MatchError as error:
            light.reason = aligning.unregistered(light, error)
            return
        from_anchor, used = found.from_reference, np.asarray(found.residuals["used"], dtype=bool)
        light.registration_rms, light.residuals = found.rms, found.residuals
        aligning.note_model(light, found, context)
        index = [
            np.asarray(found.residuals[f"index_{n}"], dtype=np.int64)[used] for n in ("reference", "frame")
        ]
        light.pairs = np.stack([numbers[index[0]], index[1]])
    c, places, left = _map(panel, from_anchor, grid, shape)
    if c is None:
        light.reason = "cannot be placed on the mosaic: its map cannot be inverted over the frame"
        return
    if left > COARSE:
        context.warn(
            f"{light.name}: its map to the mosaic is off by up to {left:.2f} pixel; the panels cover more "
            "sky than one plane and polynomials can follow"
        )
    light.from_reference = c
    light.domain = domain_box(c, shape, near=places)
    try:
        light.wcs = wcs_to_text(propagate(panel.wcs, from_anchor, shape)[0])
    except SolveError as error:
        context.warn(f"{light.name}: keeps no WCS of its own: {error}")


def _map(
    panel: Panel, from_anchor: Floats, grid: "WCS", shape: Shape
) -> tuple[Floats | None, tuple[float, float], float]:
    """Return the grid-to-frame map of a frame, where its middle lies on the grid, and its error [pixel].

    The lowest degree with an error below `FINE` is taken, else `HIGHEST`; None where there is no map.
    """
    ends = (np.linspace(-MARGIN, n - 1 + MARGIN, 25) for n in (shape[1], shape[0]))
    x, y = (plane.ravel() for plane in np.meshgrid(*ends))
    ax, ay = transform.invert(from_anchor, x, y)
    good = np.isfinite(ax) & np.isfinite(ay)
    if good.sum() < 0.9 * good.size:
        return None, (float("nan"), float("nan")), float("nan")
    points = on_grid(panel, grid, ax[good], ay[good], shape)
    c, left = transform.identity(1), np.inf
    for degree in range(1, HIGHEST + 1):
        c = transform.fit(points[:, 0], points[:, 1], x[good], y[good], degree)
        fx, fy = transform.evaluate(c, points[:, 0], points[:, 1])
        left = float(np.hypot(fx - x[good], fy - y[good]).max())
        if left < FINE:
            break
    middle = points[np.argmin(np.hypot(x[good] - shape[1] / 2, y[good] - shape[0] / 2))]
    return c, (float(middle[0]), float(middle[1])), left
