"""A solution told in words and drawings: for the report of a run, and for that of ``sciastro solve``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.field import compass, field_maps, rms_by, tilt_of
from sciastro.astrometry.residuals import agreement
from sciastro.astrometry.solution import Solution
from sciastro.core.history import package_version
from sciastro.core.tables import column_numbers
from sciastro.core.wcs import center, pixel_scale
from sciastro.io.tables import write_table
from sciastro.recipe.solved import Solved, View, view_of
from sciastro.report import figures, positions
from sciastro.report.page import SolvedImage, render_solutions, write_page
from sciastro.report.plots import Plot
from sciastro.report.text import sexagesimal

__all__ = ["Solved", "View", "solution_facts", "solution_plots", "write_solution_page"]

Floats = npt.NDArray[np.float64]

CENTER = "radius from the middle [pixel]"


def solution_plots(solution: Solution, *, key: str, view: View | None = None) -> list[Plot | None]:
    """Return the drawings of a solution: residuals over the field, what they depend on, what the optics do.

    Parameters
    ----------
    key
        Makes the names of the drawings their own on the page.
    view
        The image that north is told of; None is the grid that was solved.
    """
    used = solution.matched[np.asarray(solution.matched["used"], dtype=bool)]
    mag, color, radius, east, north, sigma = (
        column_numbers(used, name) for name in ("mag", "color", "radius", "d_ra", "d_dec", "sigma_sky")
    )
    x, y = column_numbers(used, "x"), column_numbers(used, "y")
    length = np.hypot(east, north)
    bins = rms_by(mag, length)
    expected = [(at, np.sqrt(2) * formal * solution.scale) for at, _, formal, _ in agreement(used)]
    formal = tuple(np.array(expected).T) if expected and np.isfinite(mag).any() and sigma.size else None
    own = view_of(solution)
    maps, tilt = field_maps(own.wcs, own.shape), tilt_of(solution.matched, own.wcs, own.shape)
    seen = view or own
    north_is = f"As it is shown: {compass(seen.wcs, seen.shape, top_down=seen.top_down).sentence()}"
    # What residuals point at is told in pixels of the image: arrows of the sky would be turned and mirrored.
    arrows = [column_numbers(used, name) * solution.scale for name in ("dx", "dy")]
    return [
        figures.wcs_residuals(x, y, *arrows, top_down=seen.top_down, words=north_is, key=key),
        positions.trends(
            [
                ("magnitude", mag, bins),
                ("color index [mag]", color, rms_by(color, length)),
                (CENTER, radius, rms_by(radius, length)),
            ],
            length, formal=formal, key=key,
        ),
        positions.distortion(
            maps.x, maps.y, maps.dx, maps.dy, maps.scale, top_down=seen.top_down,
            words=tilt.sentence() if tilt else "", key=key,
        ),
    ]  # fmt: skip


def solution_facts(solution: Solution, view: View | None = None) -> list[tuple[str, str]]:
    """Return what a solution says, as label and text."""
    seen = view or view_of(solution)
    ra, dec = center(seen.wcs, seen.shape)
    scale = pixel_scale(seen.wcs)
    wide, high = (size * scale / 3600 for size in (seen.shape[1], seen.shape[0]))
    table = solution.matched
    tilt = tilt_of(table, solution.wcs, view_of(solution).shape)
    facts = [
        ("Center", f"{sexagesimal(ra, dec)} (RA {ra:.5f}, Dec {dec:+.5f} deg, ICRS)"),
        ("Orientation", compass(seen.wcs, seen.shape, top_down=seen.top_down).sentence()),
        ("Pixel scale", f"{scale:.5f} arcsec, field {wide:.3f} x {high:.3f} deg"),
        (
            "Residuals",
            f"rms {solution.rms_arcsec:.3f} arcsec ({solution.rms_px:.3f} pixel) of {solution.n_stars} "
            f"stars; {len(table) - solution.n_stars} more were left out",
        ),
        ("Model", _model(solution)),
        ("Chance", f"less than 1 in 10^{-solution.log_false_alarm:.0f} that it is a coincidence"),
        ("Catalog", f"{solution.catalog}, positions of {solution.epoch:.2f}"),
    ]
    rows = agreement(table)
    if rows:
        facts.append(("Errors per axis", _errors(rows, solution.scale)))
    if tilt is not None:
        facts.append(("Tilt", tilt.sentence()))
    return facts


def _model(solution: Solution) -> str:
    if solution.order == 1:
        return "no distortion (TAN), chosen by stars that the fit had not seen"
    if solution.deviation_px > 0:
        return (
            f"a wide lens, written as TAN with SIP of order {solution.order}, which follows it within "
            f"{solution.deviation_px:.3f} pixel"
        )
    return f"TAN with SIP of order {solution.order}, chosen by stars that the fit had not seen"


def _errors(rows: Sequence[tuple[float, int, float, float]], scale: float) -> str:
    """Return expected and found errors of the brightest and the faintest stars."""
    parts = [
        f"{_small(found * scale)} found, {_small(formal * scale)} expected"
        + (f" at magnitude {mag:.1f}" if np.isfinite(mag) else "")
        for mag, _, formal, found in ([rows[0], rows[-1]] if len(rows) > 1 else rows)
    ]
    return "; ".join(parts)


def _small(angle: float) -> str:
    """Return an angle [arcsec] in the unit that suits it."""
    return f"{angle:.2f} arcsec" if angle >= 1 else f"{1000 * angle:.0f} mas"


def write_solution_page(path: Path, solved: Sequence[Solved], *, title: str) -> list[Path]:
    """Write the page of solutions, and beside it one table of residuals per star and image (ECSV).

    Returns
    -------
    list
        The files written; the page first. A single image's table has the name of the page.

    Raises
    ------
    OutputError
        If one cannot be written.
    """
    from astropy.table import Table

    images, tables = [], []
    for number, one in enumerate(solved):
        if one.solution is None:
            images.append(SolvedImage(name=one.name, reason=one.reason))
            continue
        own = str(number)
        images.append(
            SolvedImage(
                name=one.name, facts=solution_facts(one.solution, one.view),
                plots=solution_plots(one.solution, key=own, view=one.view),
            )
        )  # fmt: skip
        table = Table(one.solution.matched)
        table.meta["image"] = one.name
        stem = path.stem if len(solved) == 1 else f"{path.stem}_{number + 1}"
        tables.append((path.with_name(f"{stem}_residuals.ecsv"), table))
    written = [write_page(path, render_solutions(images, title=title, version=package_version()))]
    for target, table in tables:
        write_table(target, table)
        written.append(target)
    return written
