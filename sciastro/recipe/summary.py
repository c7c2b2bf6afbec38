"""``summary.json``, schema 1: what a run did, for machines; the keys are a promise.

Numbers that do not exist are null, never NaN, so that any JSON reader takes the file.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sciastro.core.history import package_version
from sciastro.io.paths import atomic_path
from sciastro.recipe.context import STAGES, Context, peak_memory
from sciastro.recipe.reasons import is_choice

__all__ = ["BEFORE_GRADES", "SCHEMA", "Summary", "clean", "frame_row"]

SCHEMA = 1
BEFORE_GRADES = ("ingest", "masters", "calibrate")


@dataclass
class Summary:
    """Rows gathered during a run; `as_dict` gives the promised schema."""

    frames: list[dict[str, Any]] = field(default_factory=list)
    masters: list[dict[str, Any]] = field(default_factory=list)
    products: list[dict[str, Any]] = field(default_factory=list)
    renders: list[str] = field(default_factory=list)
    status: str = "failed"
    error: str | None = None
    until: str | None = None
    incomplete: list[str] = field(default_factory=list)

    def settle(self, wanted: int) -> None:
        """Set `status` and `incomplete` from what was made of `wanted` products.

        "ok": all products with their world coordinates, and every frame used that the user did not leave
        out himself (`reasons.is_choice`); "partial": some frames, products or coordinates are missing;
        "failed": nothing came out. A run that was asked to stop before frames are graded has left out
        only those that have a reason.
        """
        self.incomplete = list(self._incomplete(wanted))
        if wanted and not self.products:
            self.status = "failed"
        else:
            self.status = "partial" if self.incomplete else "ok"

    def _incomplete(self, wanted: int) -> Iterator[str]:
        """Yield what is missing from a complete result, in words."""
        early = self.until in BEFORE_GRADES
        left = Counter(
            row["type"]
            for row in self.frames
            if not (row["used"] or is_choice(row["reason"]) or (early and not row["reason"]))
        )
        for kind, count in left.items():
            what = f"{kind} frame" if kind != "unknown" else "file"
            yield f"{count} {what}{'' if count == 1 else 's'} left out"
        lacking = wanted - len(self.products)
        if lacking > 0:
            yield f"{lacking} product{'' if lacking == 1 else 's'} not made"
        blind = [f"{row['target']} {row['band']}" for row in self.products if row.get("wcs", row) is None]
        if blind:
            yield f"no world coordinates for {', '.join(dict.fromkeys(blind))}"

    def as_dict(self, context: Context) -> dict[str, Any]:
        """Return the content of ``summary.json``."""
        total = sum(context.timings.values())
        timings = {name: round(context.timings.get(name, 0.0), 3) for name in STAGES}
        content: dict[str, Any] = clean(
            {
                "schema": SCHEMA,
                "version": package_version(),
                "status": self.status,
                "error": self.error,
                "incomplete": self.incomplete,
                "until": self.until,
                "frames": self.frames,
                "masters": self.masters,
                "products": self.products,
                "colors": context.colors,
                "renders": self.renders,
                "timings_s": {**timings, "total": round(total, 3)},
                "peak_memory_bytes": peak_memory(),
                "warnings": context.warnings,
            }
        )
        return content

    def write(self, context: Context) -> dict[str, Any]:
        """Write ``summary.json`` atomically and return its content."""
        content = self.as_dict(context)
        with atomic_path(context.out / "summary.json") as temporary:
            text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
            # Bytes of a file name that are no UTF-8 stand as JSON escapes.
            Path(temporary).write_text(text, encoding="utf-8", errors="backslashreplace")
        return content


def frame_row(path: str, kind: str, band: str | None, exposure: float | None) -> dict[str, Any]:
    """Return a frame's row with nothing known yet but its facts."""
    return {
        "path": path,
        "type": kind,
        "band": band,
        "exposure_s": exposure,
        "used": False,
        "reason": None,
        "fwhm_px": None,
        "eccentricity": None,
        "sky_e_s": None,
        "n_stars": None,
        "weight": None,
    }


def clean(value: Any) -> Any:
    """Return `value` with numpy numbers as plain ones and NaN or infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
