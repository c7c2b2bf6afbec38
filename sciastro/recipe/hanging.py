"""Panels of a mosaic hung on one grid: by the stars that they share, pulled together until they coincide."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.refine import propagate
from sciastro.astrometry.register import RegisterOptions
from sciastro.astrometry.solve import Solution
from sciastro.core import transform
from sciastro.core.directions import unit_vectors
from sciastro.core.neighbors import mutual_nearest
from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.core.wcs import center, tan_wcs
from sciastro.errors import MatchError, SolveError
from sciastro.recipe import aligning
from sciastro.recipe.lights import Light

if TYPE_CHECKING:
    from astropy.wcs import WCS


__all__ = ["Panel", "grid_of_panels", "hang", "on_grid", "pull_together"]

log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]
Shape = tuple[int, int]

NEAR = 3.0  # pixel: how far the same star of two solved panels may lie apart
BRIGHT = 15.0  # S/N from which a star helps to pull panels together
HUNG_ERROR = 1.0  # pixel: expected error of the place of a panel without a solution of its own


@dataclass(slots=True)
class Panel:
    """One pointing: its lights, the frame that stands for it, and where that is."""

    number: int
    lights: list[Light]
    anchor: Light | None = None
    wcs: "WCS | None" = None
    reason: str = ""
    error: float = HUNG_ERROR  # [pixel] expected error of its place; twice that of its scale at its edge
    shift: Floats | None = None  # (axis, term): correction on the grid, of 1, u, v


def hang(panels: Sequence[Panel], shape: Shape, options: RegisterOptions) -> None:
    """Give panels without world coordinates those of a neighbor, through the stars that they share."""
    left = [panel for panel in panels if panel.wcs is None and panel.anchor is not None]
    progress = True
    while left and progress:
        progress = False
        for panel in list(left):
            for other in panels:
                if other.wcs is None or other.anchor is None or panel.anchor is None:
                    continue
                try:
                    found = aligning.register_light(
                        other.anchor.measures.stars, panel.anchor.measures.stars, shape, options
                    )
                    # Stars lie in a strip only: a straight map is what may be carried over the frame.
                    pairs = found.residuals[np.asarray(found.residuals["used"], dtype=bool)]
                    c = transform.fit(pairs["x"], pairs["y"], pairs["x_frame"], pairs["y_frame"], 1)
                    panel.wcs = propagate(other.wcs, c, shape)[0]
                except (MatchError, SolveError) as error:
                    log.info("panel %d on panel %d: %s", panel.number, other.number, error)
                    continue
                left.remove(panel)
                progress = True
                break


def grid_of_panels(panels: Sequence[Panel], solution: Solution, shape: Shape) -> "WCS":
    """Return the gnomonic grid about the middle of the mosaic, as fine and turned as the reference."""
    places = np.array([center(panel.wcs, shape) for panel in panels if panel.wcs is not None])
    mean = unit_vectors(*places.T).mean(axis=0)
    ra0 = float(np.rad2deg(np.arctan2(mean[1], mean[0])) % 360)
    dec0 = float(np.rad2deg(np.arctan2(mean[2], np.hypot(mean[0], mean[1]))))
    return tan_wcs(ra0, dec0, solution.scale, shape, angle=solution.rotation, parity=solution.parity)


def on_grid(panel: Panel, grid: "WCS", x: Floats, y: Floats, shape: Shape) -> Floats:
    """Return the grid positions (point, 2) of pixels of a panel's anchor."""
    if panel.wcs is None:
        raise RuntimeError("a panel without world coordinates has no place")
    ra, dec = panel.wcs.all_pix2world(x, y, 0)
    points = np.stack(grid.wcs_world2pix(ra, dec, 0), axis=-1)
    if panel.shift is None:
        return np.asarray(points)
    return np.asarray(points + _terms(x, y, shape) @ panel.shift.T)


def _terms(x: Floats, y: Floats, shape: Shape) -> Floats:
    half = max(shape) / 2
    return np.stack([np.ones_like(x), (x - shape[1] / 2) / half, (y - shape[0] / 2) / half], axis=-1)


def pull_together(
    panels: Sequence[Panel], grid: "WCS", shape: Shape, stem: str
) -> dict[int, npt.NDArray[np.int64]]:
    """Correct the panels so that stars in common coincide; return one number per star of each anchor.

    Least squares over all pairs of panels at once: each panel may move, turn and stretch a little
    as its solution may be wrong (`Panel.error`, the prior), and none is held fixed.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    placed = [panel for panel in panels if panel.wcs is not None and panel.anchor is not None]
    stars = {panel.number: panel.anchor.measures.stars for panel in placed if panel.anchor is not None}
    points = {
        panel.number: on_grid(panel, grid, stars[panel.number]["x"], stars[panel.number]["y"], shape)
        for panel in placed
    }
    begin = dict(zip(stars, np.cumsum([0, *(one.size for one in stars.values())])[:-1], strict=True))
    pairs = [
        (p.number, q.number, *mutual_nearest(points[p.number], points[q.number], NEAR))
        for k, p in enumerate(placed)
        for q in placed[k + 1 :]
    ]
    total = sum(one.size for one in stars.values())
    first = np.concatenate([begin[p] + i for p, _, i, _ in pairs] or [np.empty(0, np.intp)])
    second = np.concatenate([begin[q] + j for _, q, _, j in pairs] or [np.empty(0, np.intp)])
    links = coo_array((np.ones(first.size, np.int8), (first, second)), shape=(total, total))
    _, label = connected_components(links, directed=False)
    numbers = {p: label[begin[p] : begin[p] + one.size].astype(np.int64) for p, one in stars.items()}
    bright = {p: one["snr"] > BRIGHT for p, one in stars.items()}
    chosen = [(p, q, i[(ok := bright[p][i] & bright[q][j])], j[ok]) for p, q, i, j in pairs]
    chosen = [one for one in chosen if one[2].size]
    if chosen:
        _correct(placed, stars, points, chosen, shape, stem)
    return numbers


def _correct(
    placed: Sequence[Panel], stars: dict[int, npt.NDArray[np.void]], points: dict[int, Floats],
    pairs: Sequence[tuple[int, int, npt.NDArray[np.intp], npt.NDArray[np.intp]]], shape: Shape, stem: str,
) -> None:  # fmt: skip
    column = {panel.number: 3 * k for k, panel in enumerate(placed)}
    rows, right, sigma = [], [], []
    for p, q, i, j in pairs:
        block = np.zeros((i.size, 3 * len(placed)))
        block[:, column[p] : column[p] + 3] = _terms(stars[p]["x"][i], stars[p]["y"][i], shape)
        block[:, column[q] : column[q] + 3] -= _terms(stars[q]["x"][j], stars[q]["y"][j], shape)
        rows.append(block)
        right.append(points[q][j] - points[p][i])
        error = [np.hypot(stars[n]["x_err"][k], stars[n]["y_err"][k]) for n, k in ((p, i), (q, j))]
        sigma.append(np.maximum(np.hypot(*error), 0.05))
    matrix, goal, noise = np.concatenate(rows), np.concatenate(right), np.concatenate(sigma)
    prior = np.diag(np.concatenate([np.array([1.0, 0.5, 0.5]) / panel.error for panel in placed]))
    keep = np.ones(noise.size, dtype=bool)
    found = np.zeros((3 * len(placed), 2))
    for _ in range(4):
        weighted = np.vstack([matrix[keep] / noise[keep, None], prior])
        target = np.vstack([goal[keep] / noise[keep, None], np.zeros((3 * len(placed), 2))])
        found = np.linalg.lstsq(weighted, target, rcond=None)[0]
        left = np.hypot(*(goal - matrix @ found).T)
        keep = left < 4 * max(MAD_TO_SIGMA * float(np.median(left)), 0.02)
    before, after = (float(np.median(np.hypot(*one[keep].T))) for one in (goal, goal - matrix @ found))
    log.info("%s: stars of neighboring panels lie %.3f pixel apart, were %.3f", stem, after, before)
    for panel in placed:
        at = column[panel.number]
        panel.shift = found[at : at + 3].T
