"""Tables of photometry as files, in the formats that were asked for, and the summary of what was measured."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.history import package_version
from sciastro.core.options import chosen_from
from sciastro.errors import OptionError
from sciastro.io.paths import atomic_path
from sciastro.io.positions import write_regions
from sciastro.io.tables import export_table
from sciastro.photometry.flags import flag_words
from sciastro.recipe.summary import clean

if TYPE_CHECKING:
    from sciastro.recipe.photometry import Measured

__all__ = ["FORMATS", "formats_from", "one_line", "row_of", "write_measured", "write_summary"]

FORMATS = ("ecsv", "fits", "csv", "parquet", "votable")
SUFFIXES = {"votable": "xml"}
NOWHERE = ("OFF_IMAGE", "BAD_POSITION")  # beside which other flags say nothing


def formats_from(text: str) -> tuple[str, ...]:
    """Return the formats in a text such as "ecsv,csv".

    Raises
    ------
    OptionError
        For one that is not known.
    """
    chosen = chosen_from(text, FORMATS, "--format")
    if not chosen:
        raise OptionError("is empty.", where="--format", remedy=f"Choose from {', '.join(FORMATS)}.")
    return chosen


def write_measured(
    folder: Path, stem: str, measured: "Measured", formats: Sequence[str], *, regions: bool = False
) -> list[Path]:
    """Write the table of one image in every format, and ds9 regions on request; return the files."""
    paths = [
        export_table(folder / f"{stem}.{SUFFIXES.get(one, one)}", measured.table, one) for one in formats
    ]
    if regions:
        radius = float(measured.table.meta.get("aperture_radius", 1.5 * measured.fwhm))
        paths.append(write_regions(folder / f"{stem}.reg", measured.table, radius=radius))
    return paths


def row_of(measured: "Measured", files: Sequence[Path]) -> dict[str, Any]:
    """Return what the summary says of one image."""
    table, target = measured.table, measured.target
    flux = np.asarray(table["flux"].value, dtype=np.float64)
    flags = np.asarray(table["flags"])
    meta = table.meta
    zero = measured.zeropoint
    return {
        "image": str(target.path or target.name), "target": target.target, "band": target.band,
        "n_sources": len(table), "n_measured": int(np.isfinite(flux).sum()),
        "n_flagged": int((flags != 0).sum()),
        "unmeasured": _reasons(flags[~np.isfinite(flux)]), "unit": target.unit, "fwhm_px": measured.fwhm,
        "apertures": list(meta.get("apertures", [])),
        "zeropoint": None if zero is None else zero.brief(),
        "n_limits": int(np.isfinite(table["mag_limit"].value).sum()) if "mag_limit" in table.colnames else 0,
        "files": [str(path) for path in files], "notes": list(measured.notes),
    }  # fmt: skip


def _reasons(flags: npt.NDArray[np.unsignedinteger]) -> dict[str, int]:
    """Return how many of the sources have each flag that there is."""
    counts: Counter[str] = Counter()
    for value, count in zip(*np.unique(flags, return_counts=True), strict=True):
        words = flag_words(int(value))
        counts.update(dict.fromkeys([one for one in words if one in NOWHERE] or words, int(count)))
    return dict(counts)


def write_summary(path: Path, rows: Sequence[Mapping[str, Any]], warnings: Sequence[str]) -> dict[str, Any]:
    """Write ``photometry.json`` and return what is in it."""
    summary = {
        "schema": 1, "version": package_version(), "status": "partial" if warnings else "ok",
        "images": [clean(row) for row in rows], "warnings": list(warnings),
    }  # fmt: skip
    with atomic_path(path) as part:
        part.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return summary


def one_line(summary: Mapping[str, Any]) -> str:
    """Return a summary as one line of JSON."""
    return json.dumps(summary, allow_nan=False)
