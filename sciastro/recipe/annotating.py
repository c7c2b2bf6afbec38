"""What is in a field, by name: read the image, find its place on the sky, join the tables, draw, write.

Positions in the table are pixels of the file's own array (0 is the center of the first one), rows as stored.
"""

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.table import QTable, Table
from astropy.wcs import WCS

from sciastro.astrometry.graticule import Line, boundaries, constellation_of, figure, graticule
from sciastro.astrometry.onimage import Frame, frame_of, separation
from sciastro.core.wcs import celestial_from_header, parity, resampled, rotation
from sciastro.errors import SciastroError, UsageError
from sciastro.io.fitsunits import walk
from sciastro.io.paths import atomic_path
from sciastro.io.raster import read_raster, thumbnail, write_jpeg, write_png
from sciastro.io.skydata import (
    TYPES,
    NamedStar,
    SkyObject,
    constellation_lines,
    constellation_names,
    find,
    named_stars,
    regions,
    sky_info,
    sky_objects,
)
from sciastro.recipe.solveanswer import file_wcs
from sciastro.recipe.solvereading import PICTURES, Field, read_field
from sciastro.recipe.solving import Question, solve_one
from sciastro.render.annotate import Compass, Mark, Stroke, annotate
from sciastro.render.stretch import apply_stf, autostretch

__all__ = ["KINDS", "Annotated", "Wish", "annotate_file", "inventory"]

log = logging.getLogger(__name__)

KINDS = ("deepsky", "stars", "figures", "boundaries")
LARGE = 16  # pixel: an object of this size is marked even where it is faint
MOST = 80  # marks on a picture
WIDE = 12.0  # deg: radius from which constellations are drawn unless asked otherwise
COLOR_OF = {
    "G": "galaxy", "GPair": "galaxy", "GTrpl": "galaxy", "GGroup": "galaxy", "GCl": "globular",
    "OCl": "cluster", "*Ass": "cluster", "Cl+N": "nebula", "PN": "planetary", "HII": "nebula",
    "EmN": "nebula", "Neb": "nebula", "RfN": "nebula", "SNR": "nebula", "DrkN": "dark",
}  # fmt: skip
NOT_MARKED = ("*", "**", "Other", "Nova")  # single stars and errors of old catalogs


UNKNOWN = Question(write=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is to be shown.

    Attributes
    ----------
    objects
        Of `KINDS`, or names of objects and stars that alone are marked; empty takes what suits the field.
    grid
        Lines of right ascension and declination.
    size
        Longest side of the picture [pixel].
    solve
        Solve the image even where the file has a WCS.
    question
        What is known of the place, for a file without a WCS.
    """

    objects: tuple[str, ...] = ()
    grid: bool = True
    size: int = 2400
    solve: bool = False
    question: Question = UNKNOWN


WISH = Wish()


@dataclass(frozen=True, slots=True)
class Annotated:
    """What was found in one file.

    Attributes
    ----------
    path, picture, table
        The image, and what was written ("" where nothing was).
    wcs_from
        "header", a file name, or the engine that solved it.
    content
        One row per thing in the field; see `inventory`.
    """

    path: str
    picture: str
    table: str
    wcs_from: str
    content: QTable

    def as_json(self) -> str:
        """Return one line of JSON."""
        rows = [
            {name: _plain(row[name]) for name in self.content.colnames} for row in self.content
        ]  # fmt: skip
        meta = {key: value for key, value in self.content.meta.items() if key != "comments"}
        return json.dumps(
            {"path": self.path, "picture": self.picture, "table": self.table, "wcs": self.wcs_from, **meta,
             "objects": rows}, ensure_ascii=False,
        )  # fmt: skip


def _plain(value: Any) -> Any:
    value = getattr(value, "value", value)
    item = value.item() if hasattr(value, "item") else value
    return None if isinstance(item, float) and not math.isfinite(item) else item


# ------------------------------------------------------------------------------------ what is there
def inventory(
    wcs: WCS, shape: tuple[int, int], *, epoch: float = 2016.0, objects: Sequence[str] = ()
) -> QTable:
    """Return what is in a field: deep-sky objects and named stars, in order of importance.

    Parameters
    ----------
    wcs, shape
        Of the image; rows and columns.
    epoch
        Julian year that stars are moved to.
    objects
        Kinds ("deepsky", "stars") or names; empty takes both kinds.

    Returns
    -------
    QTable
        ``name`` (as shown), ``kind`` ("object", "star"), ``type`` (a word), ``code``; ``ra``, ``dec`` [deg];
        ``x``, ``y`` [pixel, 0-based]; ``a``, ``b`` [pixel] and ``angle`` [deg, +x to +y]: half axes on the
        image, 0 where the size is unknown; ``major``, ``minor`` [arcmin], ``pa`` [deg]; ``mag``; ``rank``
        (0 most important); ``common``, ``other_names``. ``meta``: center, scale, constellation, licenses.
    """
    frame = frame_of(wcs, shape)
    kinds = [one for one in objects if one in KINDS]
    names = [one for one in objects if one not in KINDS]
    chosen = [find(name) for name in names]
    rows: list[dict[str, Any]] = []
    if not objects or "deepsky" in kinds:
        rows += _deepsky(frame, [one for one in sky_objects() if one.type not in NOT_MARKED])
    if not objects or "stars" in kinds:
        rows += _stars(frame, [one for one in named_stars() if one.name or one.designation], epoch)
    known = {row["name"] for row in rows}
    more = _deepsky(frame, [one for one in chosen if isinstance(one, SkyObject)])
    more += _stars(frame, [one for one in chosen if isinstance(one, NamedStar)], epoch)
    rows += [{**row, "rank": 0} for row in more if row["name"] not in known]
    rows.sort(key=lambda row: (row["rank"], -row["a"], row["mag"] if math.isfinite(row["mag"]) else 99.0))
    return _table(rows, frame)


def _deepsky(frame: Frame, objects: Sequence[SkyObject]) -> list[dict[str, Any]]:
    if not objects:
        return []
    ra, dec = (np.array([getattr(one, name) for one in objects]) for name in ("ra", "dec"))
    size = np.array([one.radius() for one in objects])
    near = np.flatnonzero(separation(frame.ra, frame.dec, ra, dec) < frame.radius + size)
    x, y = frame.pixels(ra[near], dec[near], margin=2.0)
    rows = []
    for i, px, py in zip(near.tolist(), x.tolist(), y.tolist(), strict=True):
        one = objects[i]
        minor = one.minor if one.minor > 0 else one.major
        shape = None
        if one.major > 0 and math.isfinite(px):
            pa = one.pa if math.isfinite(one.pa) else 0.0
            minor = minor if math.isfinite(one.pa) else one.major  # without an angle: the circle around it
            shape = frame.ellipse(one.ra, one.dec, one.major / 120, minor / 120, pa)
        a, b, angle = (shape.a, shape.b, shape.angle) if shape is not None else (0.0, 0.0, 0.0)
        if not _touches(frame, px, py, a, b, angle):
            continue
        rows.append({
            "name": one.label, "kind": "object", "type": TYPES.get(one.type, one.type), "code": one.type,
            "ra": one.ra, "dec": one.dec, "x": px, "y": py, "a": a, "b": b, "angle": angle,
            "major": one.major, "minor": one.minor, "pa": one.pa, "mag": one.mag, "rank": _rank(one),
            "common": one.common[0] if one.common else "",
            "other_names": "; ".join((*((one.name,) if one.messier else ()), *one.common[1:], *one.others)),
        })  # fmt: skip
    return rows


def _touches(frame: Frame, x: float, y: float, a: float, b: float, angle: float) -> bool:
    """Return whether a position is on the image, or an ellipse about it reaches into it."""
    if frame.inside(x, y):
        return True
    if not math.isfinite(x) or a <= 0:
        return False
    turn = math.radians(angle)
    h, w = frame.shape
    # the point of the image nearest to the center, in the axes of the ellipse
    dx, dy = min(max(x, 0), w - 1) - x, min(max(y, 0), h - 1) - y
    p = (dx * math.cos(turn) + dy * math.sin(turn)) / a
    q = (dy * math.cos(turn) - dx * math.sin(turn)) / max(b, 1e-9)
    return p * p + q * q < 1


def _rank(one: SkyObject) -> int:
    if one.messier:
        return 0
    if one.common or one.name.startswith("C "):
        return 1
    if " NED" in one.name:
        return 4
    if one.name.startswith("NGC"):
        return 2 if one.mag < 13 or one.major > 3 else 3
    return 3 if one.mag < 14 or one.major > 3 else 4


def _stars(frame: Frame, stars: Sequence[NamedStar], epoch: float) -> list[dict[str, Any]]:
    if not stars:
        return []
    places = np.array([one.at(epoch) for one in stars])
    near = np.flatnonzero(separation(frame.ra, frame.dec, places[:, 0], places[:, 1]) < frame.radius)
    x, y = frame.pixels(places[near, 0], places[near, 1])
    rows = []
    for i, px, py in zip(near.tolist(), x.tolist(), y.tolist(), strict=True):
        one = stars[i]
        if not frame.inside(px, py):
            continue
        others = [text for text in (one.designation, f"HIP {one.hip}") if text and text != one.label]
        rows.append({
            "name": one.label, "kind": "star", "type": "star", "code": "*", "ra": float(places[i, 0]),
            "dec": float(places[i, 1]), "x": px, "y": py, "a": 0.0, "b": 0.0, "angle": 0.0,
            "major": math.nan, "minor": math.nan, "pa": math.nan, "mag": one.mag,
            "rank": 1 if one.name and one.mag < 3.5 else 2 if one.name else 3, "common": one.name,
            "other_names": "; ".join(others),
        })  # fmt: skip
    return rows


UNITS = {
    "ra": u.deg, "dec": u.deg, "x": u.pix, "y": u.pix, "a": u.pix, "b": u.pix, "angle": u.deg,
    "major": u.arcmin, "minor": u.arcmin, "pa": u.deg, "mag": u.mag,
}  # fmt: skip
TEXTS = ("name", "kind", "type", "code", "common", "other_names")
ORDER = (
    "name", "kind", "type", "code", "ra", "dec", "x", "y", "a", "b", "angle", "major", "minor", "pa", "mag",
    "rank", "common", "other_names",
)  # fmt: skip


def _table(rows: Sequence[dict[str, Any]], frame: Frame) -> QTable:
    table = QTable()
    for name in ORDER:
        values = [row[name] for row in rows]
        if name in TEXTS:
            table[name] = np.array(values, dtype=np.str_) if values else np.array([], dtype="U1")
        elif name == "rank":
            table[name] = np.array(values, dtype=np.int16)
        else:
            table[name] = np.array(values, dtype=np.float64) * UNITS[name]
    where = constellation_of(frame.ra, frame.dec, regions())
    table.meta = {
        "center_deg": [round(frame.ra, 6), round(frame.dec, 6)],
        "scale_arcsec_px": round(frame.scale, 5),
        "parity": parity(frame.wcs),
        "rotation_deg": round(rotation(frame.wcs), 3),
        "radius_deg": round(frame.radius, 5),
        "constellation": constellation_names()[where],
        "license": sky_info()["sky"]["license"],
    }
    return table


# ------------------------------------------------------------------------------------------- files
def annotate_file(path: Path, out: Path | None = None, wish: Wish = WISH) -> Annotated:
    """Write a picture of a file with names on it, and the table of what is there, beside it as ECSV.

    Parameters
    ----------
    path
        FITS, TIFF, picture, camera raw.
    out
        Picture to write (.png or .jpg); None is ``NAME_annotated.png`` beside the file.

    Raises
    ------
    FileError, SolveError, CatalogError, OutputError, UsageError
        If the file cannot be read or solved, a name is unknown, or the output cannot be written.
    """
    target = out if out is not None else path.with_name(f"{path.stem}_annotated.png")
    if target.suffix.lower() not in PICTURES:
        raise UsageError("is no PNG or JPEG.", where=str(target), remedy="End its name with .png or .jpg.")
    if target.exists() and path.exists() and target.samefile(path):
        raise UsageError("is the image itself.", where=str(target), remedy="Name another output file.")
    for name in wish.objects:
        if name not in KINDS:
            find(name)
    field = read_field(path)
    wcs, wcs_from = place_of(path, field, wish)
    content = inventory(wcs, field.file_shape, epoch=field.epoch, objects=wish.objects)
    picture, named = _drawn(path, field, wcs, content, wish)
    content["labeled"] = named
    write = write_png if target.suffix.lower() == ".png" else write_jpeg
    target.parent.mkdir(parents=True, exist_ok=True)
    write(target, picture)
    table = target.with_suffix(".ecsv")
    with atomic_path(table) as part:
        Table(content).write(part, format="ascii.ecsv", overwrite=True)
    return Annotated(str(path), str(target), str(table), wcs_from, content)


def place_of(path: Path, field: Field, wish: Wish) -> tuple[WCS, str]:
    """Return the WCS of a file on its own grid, and where it is from: header, a file beside it, or solved."""
    if not wish.solve:
        if field.wcs is not None:
            whole = resampled(field.wcs, scale=float(field.step)) if field.step > 1 else field.wcs
            return whole, "header"
        for beside in (path.with_name(f"{path.name}.wcs"), path.with_suffix(".wcs")):
            wcs = _from_file(beside, field)
            if wcs is not None:
                return wcs, beside.name
    solution = solve_one(field, replace(wish.question, write=False))
    return file_wcs(solution, field), solution.method


def _from_file(path: Path, field: Field) -> WCS | None:
    """Return the WCS of a ``.wcs`` file, if it is one and of an image of this size."""
    if not path.is_file():
        return None
    try:
        header = next((unit.header for unit in walk(path)), None)
    except (SciastroError, OSError) as error:
        log.warning("%s: is no header (%s); the image is solved", path, error)
        return None
    if header is None:
        return None
    size = (header.get("IMAGEH", field.file_shape[0]), header.get("IMAGEW", field.file_shape[1]))
    if size != field.file_shape:
        log.warning("%s: is of an image of %s x %s pixels; the image is solved", path, size[1], size[0])
        return None
    return celestial_from_header(header)


# ---------------------------------------------------------------------------------------- pictures
def _drawn(
    path: Path, field: Field, wcs: WCS, content: QTable, wish: Wish
) -> tuple[npt.NDArray[np.float32], list[bool]]:
    flipped = not _top_down(field, wcs)
    picture = _sized(_display(path, field, flipped=flipped), wish.size)
    frame = frame_of(wcs, field.file_shape)
    view = _View(field.file_shape, (picture.shape[0], picture.shape[1]), flipped=flipped)
    wide = frame.radius > WIDE
    show = {one for one in wish.objects if one in KINDS} or ({*KINDS} if wide else {"deepsky", "stars"})
    lines = graticule(frame) if wish.grid else []
    if "boundaries" in show:
        lines += boundaries(frame, regions())
    if "figures" in show:
        lines += _figures(frame, field.epoch)
    chosen = _shown(content, frame.scale / view.zoom)
    marks = [view.mark(content[i]) for i in chosen]
    if show & {"boundaries", "figures"}:
        marks += _region_names(frame, view)
    strokes = [Stroke(one.kind, one.label, *view.pieces(one)) for one in lines]
    drawn, placed = annotate(picture, marks, strokes, view.compass(frame))
    named = [False] * len(content)
    for i, done in zip(chosen, placed, strict=False):
        named[i] = done
    return drawn, named


def _shown(content: QTable, scale: float) -> list[int]:
    """Return the rows that a picture of `scale` [arcsec / pixel] has room for.

    A fainter limit than about 17.5 - 5 log(scale) would cover wide fields with names of things that are not
    to be seen; large nebulae, Messier's objects and what has a name of its own are exempt by degrees.
    """
    limit = 17.5 - 5 * math.log10(max(scale, 0.3))
    chosen, count, seen = [], 0, set()
    for i, row in enumerate(content):
        rank, mag, name = int(row["rank"]), float(row["mag"].value), str(row["name"])
        star = row["kind"] == "star"
        large = rank < 4 and float(row["major"].value) * 60 / scale > LARGE
        bright = mag < (min(limit, 14) if star else limit) + 1.5 * (2 - rank)
        if not (rank == 0 or large or bright) or name in seen:
            continue
        if star and scale > 100 and mag > 3.5:
            continue
        count += 1
        if count > MOST and rank > 0:
            continue
        seen.add(name)
        chosen.append(i)
    return chosen


def _top_down(field: Field, wcs: WCS) -> bool:
    """Return whether the first row is shown on top.

    A FITS file that does not say it is shown with the sky as seen from the ground, not mirrored.
    """
    if field.top_down or field.facts is None:
        return field.top_down
    if field.facts.row_order:
        return field.facts.row_order == "TOP-DOWN"
    return parity(wcs) == -1


def _display(path: Path, field: Field, *, flipped: bool) -> npt.NDArray[np.float32]:
    """Return the image as shown: a picture as it is, linear data stretched and turned upright."""
    if field.top_down and field.facts is None:
        return read_raster(path)
    plane = np.asarray(field.plane, dtype=np.float32)
    good = plane[np.isfinite(plane)]
    if good.size == 0:
        return np.zeros((*plane.shape, 1), np.float32)
    low, high = np.percentile(good[:: max(1, good.size // 1_000_000)], (0.02, 99.98))
    scaled = np.clip((np.nan_to_num(plane, nan=low) - low) / max(high - low, 1e-9), 0, 1)[:, :, None]
    shown = np.asarray(apply_stf(scaled, autostretch(scaled)), dtype=np.float32)
    return np.clip(shown[::-1] if flipped else shown, 0, 1)


def _sized(display: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """Return a picture whose longer side is at most `size`, and at least 1000 pixels so that names fit."""
    longest = max(display.shape[:2])
    if longest > size:
        return np.asarray(thumbnail(display, size))
    factor = math.ceil(1000 / longest) if longest < 1000 else 1
    factor = min(factor, max(1, size // longest))
    return display if factor == 1 else display.repeat(factor, axis=0).repeat(factor, axis=1)


@dataclass(frozen=True, slots=True)
class _View:
    """From pixels of the file to those of the picture."""

    file: tuple[int, int]
    picture: tuple[int, int]
    flipped: bool

    def x(self, x: Any) -> Any:
        return (np.asarray(x) + 0.5) * self.picture[1] / self.file[1] - 0.5

    def y(self, y: Any) -> Any:
        up = self.file[0] - 1 - np.asarray(y) if self.flipped else np.asarray(y)
        return (up + 0.5) * self.picture[0] / self.file[0] - 0.5

    @property
    def zoom(self) -> float:
        return self.picture[1] / self.file[1]

    def pieces(self, line: Line) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(self.x(one) for one in line.x), tuple(self.y(one) for one in line.y)

    def mark(self, row: Any) -> Mark:
        star = row["kind"] == "star"
        note = "" if star or row["rank"] > 1 or row["common"] == row["name"] else str(row["common"])
        turn = float(row["angle"].value)
        return Mark(
            "star" if star else COLOR_OF.get(str(row["code"]), "other"), str(row["name"]),
            float(self.x(row["x"].value)), float(self.y(row["y"].value)),
            float(row["a"].value) * self.zoom, float(row["b"].value) * self.zoom,
            -turn if self.flipped else turn, int(row["rank"]), note,
        )  # fmt: skip

    def compass(self, frame: Frame) -> Compass:
        local = frame.axes(frame.ra, frame.dec)
        if self.flipped:
            local = local * np.array([[1.0], [-1.0]])
        unit = local / np.linalg.norm(local, axis=0)
        target = 0.16 * self.picture[1] / self.zoom * frame.scale  # arcsec
        steps = [k * f for f in (1, 60, 3600) for k in (1, 2, 5, 10, 20, 30)]
        length = min(steps, key=lambda step: abs(math.log(step / target)))
        label = f"{length}″" if length < 60 else f"{length // 60}′" if length < 3600 else f"{length // 3600}°"
        return Compass(
            (float(unit[0, 1]), float(unit[1, 1])), (float(unit[0, 0]), float(unit[1, 0])),
            length / frame.scale * self.zoom, label,
        )  # fmt: skip


def _figures(frame: Frame, epoch: float) -> list[Line]:
    places = {one.hip: one.at(epoch) for one in named_stars()}
    lines = (figure(frame, (*places[a], *places[b])) for _, a, b in constellation_lines())
    return [line for line in lines if line is not None]


def _region_names(frame: Frame, view: _View) -> Iterator[Mark]:
    """Yield names of constellations at the middle of their part of the image."""
    height, width = frame.shape
    n = 24
    gx, gy = np.meshgrid((np.arange(n) + 0.5) * width / n, (np.arange(n) + 0.5) * height / n)
    ra, dec = frame.sky(gx.ravel(), gy.ravel())
    names = np.array([
        constellation_of(a, d, regions()) if math.isfinite(a) else "" for a, d in zip(ra, dec, strict=True)
    ])  # fmt: skip
    for name in sorted(set(names.tolist()) - {""}):
        here = names == name
        if here.sum() >= 8:
            yield Mark(
                "region", constellation_names()[name].upper(), float(view.x(gx.ravel()[here].mean())),
                float(view.y(gy.ravel()[here].mean())), rank=4,
            )  # fmt: skip
