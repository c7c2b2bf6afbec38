"""What a page of solutions is made of."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sciastro.astrometry.solution import Solution

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["Solved", "View", "view_of"]


@dataclass(frozen=True, slots=True)
class View:
    """An image as it is shown: its WCS, rows and columns, and whether the first row is on top."""

    wcs: "WCS"
    shape: tuple[int, int]
    top_down: bool = False


@dataclass(frozen=True, slots=True)
class Solved:
    """One image of a page of solutions; `reason` says why there is no solution."""

    name: str
    solution: Solution | None
    view: View | None = None
    reason: str = ""


def view_of(solution: Solution) -> View:
    """Return the view of the grid that was solved."""
    columns, rows = solution.wcs.pixel_shape
    return View(solution.wcs, (int(rows), int(columns)))
