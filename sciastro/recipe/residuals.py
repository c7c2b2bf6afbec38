"""Residuals per star as tables: of every frame's registration, and of the solution against the catalog."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sciastro.astrometry.solve import Solution
from sciastro.io.tables import write_table
from sciastro.recipe.context import Context
from sciastro.recipe.lights import Light, StackSet

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["write_residuals"]

DESCRIPTIONS = {
    "frame": "Number of the frame in the table's meta",
    "x": "Column in the reference frame",
    "y": "Row in the reference frame",
    "x_frame": "Column in the frame",
    "y_frame": "Row in the frame",
    "dx": "Measured minus mapped column in the frame",
    "dy": "Measured minus mapped row in the frame",
    "sigma": "Expected error of dx and dy",
    "used": "Whether the pair entered the fit",
}


def write_residuals(members: StackSet, solution: Solution | None, context: Context) -> list[str]:
    """Write ``tables/<stem>_registration.fits`` and ``tables/<stem>_astrometry.ecsv``; return their paths."""
    from astropy.table import Table

    folder = context.out / "tables"
    written = []
    table = _registration(members.lights)
    if len(table):
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / f"{members.stem}_registration.fits", table)
        written.append(f"tables/{members.stem}_registration.fits")
    if solution is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / f"{members.stem}_astrometry.ecsv", Table(solution.matched))
        written.append(f"tables/{members.stem}_astrometry.ecsv")
    return written


def _registration(lights: Sequence[Light]) -> "Table":
    from astropy import units as u
    from astropy.table import Table

    known = [light for light in lights if light.residuals is not None]
    names = [name for name in DESCRIPTIONS if name != "frame"]
    if not known:
        return Table()
    columns: dict[str, np.ndarray] = {
        "frame": np.concatenate(
            [
                np.full(len(light.residuals), i, np.int32)
                for i, light in enumerate(known)
                if light.residuals is not None
            ]
        )
    }
    for name in names:
        parts = [light.residuals[name] for light in known if light.residuals is not None]
        columns[name] = np.concatenate([np.asarray(getattr(part, "value", part)) for part in parts])
    table = Table(columns, meta={f"FRAME{i}": light.name for i, light in enumerate(known)})
    for name in table.colnames:
        table[name].info.description = DESCRIPTIONS[name]
        if name not in ("frame", "used"):
            table[name].unit = u.pix
    return table
