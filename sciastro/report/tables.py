"""From the rows of ``summary.json`` to the tables of the page: which number, and what it means."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sciastro.report.text import (
    DASH,
    PRIME,
    angle,
    clean,
    duration,
    get_number,
    href,
    number,
    plus_minus,
    sexagesimal,
)

__all__ = [
    "is_light",
    "Cell",
    "ProductRow",
    "ProductTable",
    "Stage",
    "Table",
    "bands_table",
    "frames_table",
    "masters_table",
    "stages",
]

Row = Mapping[str, Any]
RATE = "e\N{SUPERSCRIPT MINUS}/s"


@dataclass(frozen=True, slots=True)
class Cell:
    """One table entry: text, the key that sorts it, and a link or tone where it has one."""

    text: str
    sort: float | str = ""
    href: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Column heads (with their explanation) and rows of cells."""

    heads: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Cell, ...], ...]
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProductRow:
    """One quantity of every product, and what it means."""

    label: str
    cells: tuple[Cell, ...]
    hint: str


@dataclass(frozen=True, slots=True)
class ProductTable:
    """One column per product, one row per quantity."""

    heads: tuple[str, ...]
    rows: tuple[ProductRow, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One bar of the timings: name, time as text, share of the total [percent]."""

    name: str
    time: str
    share: float


def bands_table(products: Sequence[Row]) -> ProductTable | None:
    """Return one column per product with its numbers and links, one row per quantity; or None."""
    if not products:
        return None
    products = sorted(products, key=lambda row: bool(row.get("shows")))
    several = len({clean(p.get("target")) for p in products}) > 1
    heads = tuple(
        " ".join(
            part
            for part in (clean(p.get("target"), 40) if several else "", clean(p.get("band"), 20), _shows(p))
            if part
        )
        or DASH
        for p in products
    )
    zeros = [p.get("zeropoint") or {} for p in products]
    solutions = [p.get("wcs") or {} for p in products]
    rows = (
        ("Frames", [_number(p, "n_frames", digits=0) for p in products], "in the stack"),
        ("Exposure", [Cell(duration(get_number(p, "exposure_s"))) for p in products], "summed"),
        ("Star width", [_number(p, "fwhm_px", unit=" px") for p in products], "full width at half maximum"),
        ("Sky noise", [_number(p, "noise_e_s", digits=4, unit=f" {RATE}") for p in products], "per pixel"),
        ("Canvas", [_canvas(p) for p in products], "area that the stack covers, and why"),
        ("Rejection", [Cell(clean(p.get("method"), 120) or DASH) for p in products], "rule, average, kernel"),
        ("Rejected", [_rejected(p) for p in products], "share of samples, against the other frames"),
        ("Zero point", [_zero(zero) for zero in zeros], f"magnitude of 1 {RATE}"),
        ("System", [Cell(_system(zero)) for zero in zeros], "magnitudes and the catalog they rest on"),
        ("Color term", [Cell(_color_term(zero)) for zero in zeros], "and the color that it holds for"),
        ("Sky", [_number(p, "sky_mag_arcsec2", unit=" mag/arcsec2") for p in products], "surface brightness"),
        ("Depth", [_number(p, "depth_mag_5sigma", unit=" mag") for p in products], "5 sigma, point source"),
        ("Center", [_center(wcs) for wcs in solutions], "right ascension and declination, ICRS"),
        ("Scale", [_scale_cell(wcs) for wcs in solutions], "per pixel"),
        ("Orientation", [_orientation(wcs) for wcs in solutions], "of the picture, as it is shown"),
        ("Position rms", [_position_cell(wcs) for wcs in solutions], "catalog stars about the solution"),
        ("Image", [_file(p, "image") for p in products], "FITS: SCI, ERR, DQ, COVERAGE"),
        ("Sources", [_file(p, "sources") for p in products], "one row per source, ECSV and FITS"),
    )  # fmt: skip
    return ProductTable(heads, tuple(ProductRow(label, tuple(cells), hint) for label, cells, hint in rows))


def _shows(product: Row) -> str:
    """Return what an image of a comet night shows alone ("comet alone"); else nothing."""
    return f"({clean(product.get('shows'), 20)} alone)" if product.get("shows") else ""


def _canvas(product: Row) -> Cell:
    canvas = product.get("canvas") or {}
    shape = canvas.get("shape")
    if not shape:
        return Cell(DASH)
    extent = {"reference": "reference frame"}.get(str(canvas.get("extent")), str(canvas.get("extent")))
    return Cell(clean(f"{extent}, {shape[1]} x {shape[0]} px; {canvas.get('reason')}", 160))


def _model(row: Row) -> Cell:
    """Return the model of a frame's map and its stars; the reference has none."""
    model = row.get("registration_model")
    if not model:
        return Cell("reference" if row.get("registration_rms_px") == 0 else DASH)
    return Cell(clean(f"{model}; {row.get('registration_stars')}", 60))


def _percent(share: float) -> str:
    """Return a share in percent, as far as it matters."""
    return "< 0.01 %" if 0 < share < 1e-4 else f"{100 * share:.2f} %"


def _scale_cell(wcs: Row) -> Cell:
    scale = get_number(wcs, "scale_arcsec_px")
    return Cell(DASH) if scale is None else Cell(angle(scale, 4), scale)


def _rejected(product: Row) -> Cell:
    shares = product.get("rejection") or {}
    low, high = get_number(shares, "rejected_low"), get_number(shares, "rejected_high")
    if low is None or high is None:
        return Cell(DASH)
    found = f"{_percent(low)} below, {_percent(high)} above"
    trail = get_number(shares, "trail")
    far = len(shares.get("frames_far_above") or ())
    found += f"; {_percent(trail)} on trails" if trail else ""
    return Cell(found + (f"; {far} frames far above the others" if far else ""))


def _zero(zero: Row) -> Cell:
    if get_number(zero, "mag") is None:
        return Cell("uncalibrated: magnitudes are instrumental")
    stars = get_number(zero, "n_stars")
    suffix = f" ({stars:.0f} stars)" if stars is not None else ""
    return Cell(plus_minus(get_number(zero, "mag"), get_number(zero, "err")) + suffix)


def _color_term(zero: Row) -> str:
    """Return the color term with its color, and the color that is assumed where a source has none."""
    if get_number(zero, "mag") is None:
        return DASH
    color, reference = clean(zero.get("color_name"), 12), get_number(zero, "color_reference")
    at = f" at {color} = {reference:.2f}" if reference is not None else ""
    error = get_number(zero, "color_term_err")
    if error is None:
        return f"none fitted{at}"
    return f"{plus_minus(get_number(zero, 'color_term'), error)} x {color}{at}"


def _center(wcs: Row) -> Cell:
    center = wcs.get("center_deg")
    if not isinstance(center, Sequence) or len(center) != 2:
        return Cell("not solved")
    return Cell(sexagesimal(get_number({"v": center[0]}, "v"), get_number({"v": center[1]}, "v")))


def _orientation(wcs: Row) -> Cell:
    if words := clean(wcs.get("shown"), 160):
        return Cell(words)
    angle = get_number(wcs, "rotation_deg")
    if angle is None:
        return Cell(DASH)
    return Cell(number(angle, 1) + "°" + (", mirrored" if wcs.get("parity") == -1 else ""))


def _position_cell(wcs: Row) -> Cell:
    rms, stars = get_number(wcs, "rms_arcsec"), get_number(wcs, "n_stars")
    if rms is None:
        return Cell(DASH)
    return Cell(number(rms, 3) + PRIME + (f" ({stars:.0f} stars)" if stars is not None else ""))


def _file(product: Row, key: str) -> Cell:
    path = product.get(key)
    if not path:
        return Cell(DASH)
    name = clean(path, 200)
    return Cell(name.rsplit("/", 1)[-1], href=href(path))


def _system(zero: Row) -> str:
    kind = f"({clean(zero.get('kind'), 4)})" if zero.get("kind") else ""
    parts = (f"{clean(zero.get('system'), 30)} {kind}".strip(), clean(zero.get("catalog"), 40))
    return ", ".join(part for part in parts if part) or DASH


def _number(row: Row, key: str, *, digits: int = 2, unit: str = "") -> Cell:
    value = get_number(row, key)
    return Cell(
        number(value, digits) + (unit if value is not None else ""), float("-inf") if value is None else value
    )


def frames_table(frames: Sequence[Row]) -> Table | None:
    """Return one row per file: what it is, whether it was used, why not, and its measures."""
    if not frames:
        return None
    heads = (
        ("File", ""), ("Type", ""), ("Band", ""), ("Exposure [s]", ""), ("Used", ""),
        ("Reason", "Why it was left out or weighted down"),
        ("FWHM [px]", "Median width of stars"),
        ("Ecc.", "Median eccentricity of stars: 0 is round"), (f"Sky [{RATE}]", "Median background"),
        ("Stars", "Detected at 5 sigma or more"),
        ("Transp.", "Star flux over that of the best frame"),
        ("Map [px]", "Residual of the stars that place the frame on the reference"),
        ("Map", "Its model; stars"),
        ("Weight", "In the stack, relative"),
    )  # fmt: skip
    rows = []
    names = _short_names([str(row.get("path")) for row in frames])
    for row in frames:
        used, light = bool(row.get("used")), is_light(row)
        reason = clean(row.get("reason"), 300)
        rows.append(
            (
                Cell(names[str(row.get("path"))], clean(row.get("path"), 160)),
                Cell(clean(row.get("type"), 20), clean(row.get("type"), 20)),
                Cell(clean(row.get("band"), 20), clean(row.get("band"), 20)),
                _number(row, "exposure_s", digits=2),
                Cell("yes" if used else "no", float(used), tone="good" if used else "bad"),
                Cell(reason, reason, tone="" if used else "bad"),
                _number(row, "fwhm_px") if light else Cell("", float("-inf")),
                _number(row, "eccentricity") if light else Cell("", float("-inf")),
                _number(row, "sky_e_s") if light else Cell("", float("-inf")),
                _number(row, "n_stars", digits=0) if light else Cell("", float("-inf")),
                _number(row, "transparency", digits=3) if light else Cell("", float("-inf")),
                _number(row, "registration_rms_px", digits=3) if light else Cell("", float("-inf")),
                _model(row) if light else Cell(""),
                _number(row, "weight", digits=3) if light else Cell("", float("-inf")),
            )
        )
    counts: dict[str, int] = {}
    for row in frames:
        kind = clean(row.get("type"), 20) or "unknown"
        counts[kind] = counts.get(kind, 0) + 1
    return Table(heads, tuple(rows), counts=counts)


def _short_names(paths: Sequence[str]) -> dict[str, str]:
    """Return the file name of each path, or the whole path where another one ends alike."""
    last = {path: path.rpartition("/")[2] for path in paths}
    count = Counter(last.values())
    return {path: clean(name if count[name] == 1 else path, 160) for path, name in last.items()}


def masters_table(masters: Sequence[Row]) -> Table | None:
    """Return one row per master calibration frame and why it was chosen."""
    if not masters:
        return None
    heads = (
        ("Master", ""),
        ("Type", ""),
        ("Frames", "Combined into it"),
        ("Matched by", "Why these lights got it"),
    )
    rows = tuple(
        (
            Cell(clean(row.get("path"), 160), href=href(row.get("path") or "")),
            Cell(clean(row.get("type"), 20)),
            _number(row, "n_frames", digits=0),
            Cell(_joined(row.get("matched_by"))),
        )
        for row in masters
    )
    return Table(heads, rows)


def _joined(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{clean(key, 60)}: {clean(item, 200)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(clean(item, 200) for item in value)
    return clean(value, 600) or DASH


def stages(summary: Row) -> list[Stage]:
    """Return the timings of the stages as bars, in the order that they ran, the total last."""
    timings = summary.get("timings_s") or {}
    known = {str(name): value for name in timings if (value := get_number(timings, name)) is not None}
    total = known.get("total") or sum(known.values())
    if not total:
        return []
    parts = [
        Stage(clean(name, 40), duration(value), 100 * value / total)
        for name, value in known.items()
        if name != "total" and (value > 0 or name != "report")  # the page cannot tell how long it takes
    ]
    return [*parts, Stage("total", duration(total), 100.0)]


def is_light(row: Row) -> bool:
    """Return whether a frame is a light."""
    return str(row.get("type", "")).lower() == "light"
