"""The cards on top of the report: what a run gave, in a few large numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciastro.report.tables import is_light
from sciastro.report.text import (
    DASH,
    PRIME,
    angle,
    clean,
    duration,
    get_number,
    memory,
    number,
    plus_minus,
)

__all__ = ["Card", "cards"]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Card:
    """A headline number: what it is, the number, what it means (or, where it is `missing`, why)."""

    label: str
    value: str
    note: str
    missing: bool = False


def cards(summary: Row) -> list[Card]:
    """Return the headline numbers; one that is missing says why, in plain words."""
    frames = [row for row in summary.get("frames") or [] if is_light(row)]
    # Of a comet night, the images of stars and comet together count.
    products = [row for row in summary.get("products") or [] if not row.get("shows")]
    used = sum(bool(row.get("used")) for row in frames)
    made = [
        Card("Light frames used", f"{used} of {len(frames)}", _left_out(len(frames) - used))
        if frames
        else Card("Light frames used", DASH, "No light frame was found.", True),
        _exposure(products, frames),
        _sharpness(products),
        _scale(products),
        _position(products),
        _zeropoint(products),
        _depth(products),
        _effort(summary),
    ]
    return made


def _left_out(count: int) -> str:
    return "none left out" if count <= 0 else f"{count} left out; the table of frames says why"


def _exposure(products: Sequence[Row], frames: Sequence[Row]) -> Card:
    times = {clean(p.get("band")): get_number(p, "exposure_s") for p in products}
    known = {band: time for band, time in times.items() if time is not None}
    if known:
        total = sum(known.values())
        note = (
            ", ".join(f"{band} {duration(time)}" for band, time in known.items())
            if len(known) > 1
            else "in the stack"
        )
        return Card("Total exposure", duration(total), note)
    used = [get_number(row, "exposure_s") for row in frames if row.get("used")]
    total = sum(time for time in used if time is not None)
    if total > 0:
        return Card("Total exposure", duration(total), "in the frames that were used")
    return Card("Total exposure", DASH, "No exposure reached a stack.", True)


def _best(products: Sequence[Row], *keys: str, largest: bool = False) -> tuple[float, Row] | None:
    found = [(value, p) for p in products if (value := get_number(p, *keys)) is not None]
    if not found:
        return None
    return max(found, key=lambda pair: pair[0]) if largest else min(found, key=lambda pair: pair[0])


def _sharpness(products: Sequence[Row]) -> Card:
    best = _best(products, "fwhm_px")
    if best is None:
        return Card("Star width (FWHM)", DASH, "No stars were measured on a stack.", True)
    fwhm, product = best
    scale = get_number(product, "wcs", "scale_arcsec_px")
    where = f"in {clean(product.get('band'))}" + (", the sharpest band" if len(products) > 1 else "")
    if scale is None:
        return Card("Star width (FWHM)", number(fwhm, 2, "px"), where)
    return Card("Star width (FWHM)", angle(fwhm * scale, 2), f"{number(fwhm, 2, 'px')} {where}")


def _scale(products: Sequence[Row]) -> Card:
    for product in products:
        scale = get_number(product, "wcs", "scale_arcsec_px")
        if scale is not None:
            return Card("Pixel scale", angle(scale, 3), "per pixel of the stack")
    return Card("Pixel scale", DASH, "Unknown: the field has no world coordinates.", True)


def _position(products: Sequence[Row]) -> Card:
    worst = _best(products, "wcs", "rms_arcsec", largest=True)
    if worst is None:
        why = (
            "No stack was solved: too few catalog stars, or no hint where to look."
            if products
            else "No stack was made."
        )
        return Card("Position error", DASH, why, True)
    rms, product = worst
    stars = get_number(product, "wcs", "n_stars")
    catalog = clean((product.get("wcs") or {}).get("catalog"), 60)
    note = (
        "rms"
        + (f" of {stars:.0f} stars" if stars is not None else "")
        + (f" against {catalog}" if catalog else "")
    )
    return Card("Position error", number(rms, 2) + PRIME, note)


def _zeropoint(products: Sequence[Row]) -> Card:
    best = _best(products, "zeropoint", "err")
    if best is None:
        why = "No catalog star of known brightness could be used; magnitudes are instrumental."
        return Card("Zero point", DASH, why if products else "No stack was made.", True)
    error, product = best
    value = get_number(product, "zeropoint", "mag")
    system = clean((product.get("zeropoint") or {}).get("system"), 30)
    stars = get_number(product, "zeropoint", "n_stars")
    parts = [clean(product.get("band")), system, f"{stars:.0f} stars" if stars is not None else ""]
    return Card("Zero point", plus_minus(value, error), ", ".join(part for part in parts if part))


def _depth(products: Sequence[Row]) -> Card:
    best = _best(products, "depth_mag_5sigma", largest=True)
    if best is None:
        return Card("Depth", DASH, "Needs a zero point.", True)
    depth, product = best
    return Card("Depth", number(depth, 2, "mag"), f"5 sigma, point source, in {clean(product.get('band'))}")


def _effort(summary: Row) -> Card:
    total = get_number(summary, "timings_s", "total")
    peak = get_number(summary, "peak_memory_bytes")
    if total is None:
        return Card("Run time", DASH, "The run was not timed to its end.", True)
    return Card("Run time", duration(total), f"peak memory {memory(peak)}" if peak is not None else "")
