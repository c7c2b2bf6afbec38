"""The last words of a run: what came out, how good it is, what was left out and why."""

from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

from sciastro.recipe.reasons import is_copy
from sciastro.recipe.summary import BEFORE_GRADES

__all__ = ["closing_words"]


def closing_words(summary: Mapping[str, Any], out: Path) -> Iterator[str]:
    """Yield the lines to print after a run."""
    lights = [row for row in summary["frames"] if row["type"] == "light"]
    used = sum(bool(row["used"]) for row in lights)
    early = summary["until"] in BEFORE_GRADES
    copies = sum(is_copy(row["reason"]) for row in lights)
    seconds = summary["timings_s"]["total"]
    frames = _count(range(len(lights) - copies), "light frame")
    frames = frames if early else f"{used} of {frames} used"
    yield (
        f"{summary['status']}: {frames}, "
        f"{_count(summary['masters'], 'master')}, "
        f"{_count(summary['products'], 'product')} in {seconds:.1f} s "
        f"({summary['peak_memory_bytes'] / 1e9:.2f} GB)"
    )
    if summary["incomplete"]:
        yield f"  not complete: {'; '.join(summary['incomplete'])}"
    for product in sorted(summary["products"], key=lambda row: bool(row.get("shows"))):
        yield "  " + _product(product)
    left = [row for row in lights if not row["used"] and row["reason"]]
    for row in left[:12]:
        yield f"  left out: {row['path']}: {row['reason']}"
    if len(left) > 12:
        yield f"  ... and {len(left) - 12} more; see summary.json"
    for text in summary["warnings"][:12]:
        yield f"  note: {text}"
    if summary["until"] is None and (out / "report.html").exists():
        yield f"report: {out / 'report.html'}"


def _count(rows: Sized, word: str) -> str:
    return f"{len(rows)} {word}{'' if len(rows) == 1 else 's'}"


def _product(product: Mapping[str, Any]) -> str:
    shows = f" ({product['shows']} alone)" if product.get("shows") else ""
    what = f"{product['target']} {product['band']}{shows}"
    parts = [f"{what}: {product['n_frames']} x, {product['exposure_s']:.0f} s"]
    if product["fwhm_px"]:
        parts.append(f"FWHM {product['fwhm_px']:.2f} px")
    wcs = product["wcs"]
    if wcs:
        parts.append(
            f"WCS {wcs['rms_arcsec']:.2f} arcsec rms ({wcs['n_stars']} stars)" if wcs["rms_arcsec"] else "WCS"
        )
    else:
        parts.append("no WCS")
    point = product["zeropoint"]
    if point:
        parts.append(f"zero point {point['mag']:.3f} +- {point['err']:.3f} ({point['system']})")
    if product["depth_mag_5sigma"]:
        parts.append(f"5 sigma at {product['depth_mag_5sigma']:.2f} mag")
    return ", ".join(parts)
