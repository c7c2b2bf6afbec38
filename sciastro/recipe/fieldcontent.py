"""What is in a field of the sky, by name: deep-sky objects and named stars on an image, as a table."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable
from astropy.wcs import WCS

from sciastro.astrometry.graticule import constellation_of
from sciastro.astrometry.onimage import Frame, frame_of
from sciastro.astrometry.plane import separation
from sciastro.core.wcs import parity, rotation
from sciastro.io.skydata import (
    TYPES,
    NamedStar,
    SkyObject,
    constellation_names,
    find,
    named_stars,
    regions,
    sky_info,
    sky_objects,
)

__all__ = ["KINDS", "inventory"]

KINDS = ("deepsky", "stars", "figures", "boundaries")
NOT_MARKED = ("*", "**", "Other", "Nova")  # single stars and errors of old catalogs


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
