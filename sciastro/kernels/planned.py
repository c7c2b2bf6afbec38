"""Which kernels a usual run calls, with which types, in the order of need.

What a first run compiles can be compiled beside it, by helpers (`kernels.ahead`), if it is known before. It
is no harm when a run needs others (frames in color, drizzle, floating-point raws): it compiles those itself,
and what was compiled for nothing waits in Numba's cache. A test holds this table to what a run calls.

Types are written as a kind and its bytes, `:` and the number of axes for an array in C order, `r` for one
that cannot be written, `A` for one in no order: ``u2:2``, ``i4:2r``, ``f8:2A``, ``f4``, ``b1``.
"""

import importlib
from dataclasses import dataclass
from typing import Any

from numba import types

__all__ = ["PLANNED", "Planned", "planned_until", "types_of"]

SCALARS = {
    "b1": types.boolean,
    "u1": types.uint8,
    "u2": types.uint16,
    "u4": types.uint32,
    "i1": types.int8,
    "i2": types.int16,
    "i4": types.int32,
    "i8": types.int64,
    "f4": types.float32,
    "f8": types.float64,
}


def types_of(text: str) -> tuple[Any, ...]:
    """Return Numba's types of arguments written as in `PLANNED`."""
    found = []
    for word in text.split():
        scalar, _, form = word.partition(":")
        kind = SCALARS[scalar]
        if form:
            layout = "A" if "A" in form else "C"
            kind = types.Array(kind, int(form[0]), layout, readonly="r" in form)
        found.append(kind)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Planned:
    """One kernel for one set of types.

    Attributes
    ----------
    stage
        The stage of a run that needs it first; "demo" for what only ``sciastro demo`` is known to need.
    name
        Module within ``sciastro.kernels`` and function.
    signature
        Types of the arguments, as text.
    """

    stage: str
    name: str
    signature: str

    @property
    def kernel(self) -> Any:
        """The function; loads its module."""
        module, _, function = self.name.partition(".")
        return getattr(importlib.import_module(f"sciastro.kernels.{module}"), function)

    @property
    def types(self) -> tuple[Any, ...]:
        """Numba's types of its arguments."""
        return types_of(self.signature)


PLANNED = (
    Planned("demo", "render_stars.add_texture", "f4:2 i8:2 f4:2 f8:1 f8:1 f8:1"),
    Planned("demo", "render_stars.add_stars", "f4:2 i8:2 f8:1 f8:1 f8:2 f8:2 f8:1 f8:1 f8:1 f8:2"),
    Planned("masters", "byteorder.swap_in_place", "u2:1 u2"),
    Planned(
        "masters",
        "masters.combine_counts",
        "u2:2 f4:1 f4:1 f4:1 f4 f8 f8 i4:2r i8 f8 f8 i8 f4:1 f4:1 f4:1 u2:1 u2:1 u2:1",
    ),
    Planned("calibrate", "byteorder.swap_words", "u4:1 u4:1"),
    Planned("calibrate", "byteorder.swap_pairs", "u2:1 u2:1 i8"),
    Planned("calibrate", "localmedian.local_median", "f4:2 i4:2r b1 f4:2"),
    Planned("calibrate", "localmedian.count_below", "f4:2 f4 f4 u1:2"),
    Planned(
        "calibrate",
        "calibrate.calibrate_window",
        "u2:2 f4:2 f4:2 f4 f4:2 f4:2 u2:2 f4 f4 f4 f4:2 f4:2 u2:2",
    ),
    Planned("calibrate", "calibrate.repair_defects", "f4:2 f4:2 u2:2 u2 i2:4 i8 i8 i8 i8 i8 i8"),
    Planned("calibrate", "background.tile_statistics", "f4:2 u2:2 u2:1 i8:1 i8:1 f8 f8 i8 b1 f8:2 f8:2 f8:2"),
    Planned("calibrate", "background.interpolation_table", "i8 i8 i8:1 f4:2"),
    Planned(
        "calibrate",
        "detect.find_peaks",
        "f4:2 u2:2 u2:1 f4:2 f4:2 i8:1 f4:2 i8:1 f4:2 f4:1 f8 i8 i8 i4:1 i4:1 f4:1",
    ),
    Planned(
        "calibrate",
        "windowed.measure_stars",
        "f4:2 u2:2 u2:1 f4:2 f4:2 f4:2 i8:1 f4:2 i8:1 f4:2 f8:1 f8:1 f8:1 f8 f8 f8:2 u2:1",
    ),
    Planned("calibrate", "detect.list_flagged", "u2:2 u2 i8:1 i8:1"),
    Planned("calibrate", "trails.bin_residual", "f4:2 u2:2 u2 f8:2 f8:2A i8 f8 f4:2"),
    Planned("calibrate", "trails.hough", "f4:1 f4:1 f4:1 f4:1 f4 i4:2"),
    Planned("register", "triangles.list_triangles", "f8:1 f8:1 f8 f8:2 f8:1 f8:1 i1:1 i4:2"),
    Planned(
        "register",
        "triangles.orientation_histogram",
        "f8:2 f8:1 f8:1 i1:1 f8:2 f8:1 f8:1 i1:1 f8 f8 b1 i8:3",
    ),
    Planned("register", "triangles.vote", "i4:2 i4:2 i4:2 i8 i8 i8 i8 i8 i8:2"),
    Planned("demo", "trails.cross_profiles", "f4:2 f8 f8 f8 f8 i8 i8 f4:2"),
    Planned("integrate", "nodes.map_grid", "f8:2 i8 f8:1r f8:1r f8:1 f8 f8 f8 f8:3"),
    Planned(
        "integrate",
        "twopass.two_pass",
        "f4:2 f4:2 u2:2 i8 i8 f8:2 f8:2 i8 i8 i8 f4:1 u2 f4 f4 b1 f4 f4 f4 f4:2 f4:2 u2:2 f8:1",
    ),
    Planned("integrate", "shift.shift", "f4:2 f4:2 u2:2 i8 i8 i8 u2 f4 f4 f4 f4:2 f4:2 u2:2 f8:1"),
    Planned(
        "demo",
        "warp.warp",
        "f4:2 f4:2 u2:2 i8 i8 f8:2 f8:2 i8 i8 i8 i8 f4:2 u2 f4 f4 b1 f4 f4 f4 f4:2 f4:2 u2:2 f8:1",
    ),
    Planned("integrate", "correlate.warp_patches", "f8:2 f8:2 f8:3 f8:1 f4:2 f8:2"),
    Planned(
        "integrate",
        "reduce.combine",
        "f4:2 f4:2 f4:1 f4:2 i4:2r i8 i8 f8 f8 i8 b1 f4:1 f4:1 f4:1 u2:1 u2:1 u2:1 u1:2",
    ),
    Planned(
        "integrate",
        "protect.protect",
        "f4:3 f4:3 f4:1 f4:3 f8 f4:1 f8 f8 b1 i8 f4:2 f4:2 f4:2 u2:2 u2:2 u1:3",
    ),
    Planned("integrate", "correlate.warp_shared", "f8:2 f8:2 f8:1 f8:2 i8:1 f4:2 f8:1"),
    Planned(
        "integrate",
        "consensus.consensus",
        "f4:3 f4:3 u2:3 f4:1 f4:3 u1:3 u2:2 i8 f4 u2:2 u2:2 f4 u2 u2 u2:1 u2:2 i8:2 u2:3",
    ),
    Planned("demo", "noisemodel.middle_image", "f4:2 f4:2 f4:1 f4:2 i4:2r f4:1 f4:1"),
    Planned(
        "demo",
        "noisemodel.mark_outliers",
        "f4:3 f4:3 f4:1 f4:3 f4:2 f4:2 f8 f8 f8 f8 f8 f8 u1:3",
    ),
    Planned(
        "demo",
        "noisemodel.average_marked",
        "f4:2 f4:2 f4:1 f4:2 u1:2 f4:1 b1 f4:1 f4:1 f4:1 u2:1 u2:1 u2:1",
    ),
    Planned("integrate", "aperture.circle_overlap", "i8 i8 f8"),
    Planned("photometry", "aperture.stamp_discs", "b1:2 f8:1 f8:1 f8:1"),
    Planned("photometry", "aperture.annulus_sky", "f4:2 b1:2 f8:1 f8:1 f8 f8 f8 f8 i8"),
    Planned("photometry", "aperture.aperture_sums", "f4:2 f4:2 b1:2 u2:2 f8:1 f8:1 f8 f8:2"),
)

STAGES = (
    "demo",
    "masters",
    "calibrate",
    "register",
    "integrate",
    "photometry",
    "render",
    "report",
)


def planned_until(first: str, last: str) -> tuple[Planned, ...]:
    """Return what is needed from stage `first` to stage `last`."""
    wanted = STAGES[STAGES.index(first) : STAGES.index(last) + 1]
    return tuple(job for job in PLANNED if job.stage in wanted)
