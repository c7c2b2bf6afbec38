"""Tables of movers: one row per mover, and one per place of a mover on a frame."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.history import package_version
from sciastro.io.tables import write_table
from sciastro.recipe.moverplaces import Mover
from sciastro.recipe.movers import Found, read_summary, time_of
from sciastro.recipe.movingfield import Field

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["mover_tables", "sky_motion", "write_movers"]

Floats = npt.NDArray[np.float64]

NO_SCALE = ("names no time zone", "is no time scale that is known")  # what is said of such headers

MEANINGS = {
    "name": "Name in this run.",
    "label": "Known object, if given.",
    "target": "Field.",
    "night": "Store of the night.",
    "time": "Mid-exposure, UTC.",
    "n_frames": "Frames that show it and enter the motion.",
    "n_blended": "Frames with a star in it, left out.",
    "rate": "Motion on the sky.",
    "rate_err": "Its error.",
    "angle": "Position angle of the motion, north to east.",
    "angle_err": "Its error.",
    "ra": "ICRS.",
    "dec": "ICRS.",
    "ra_err": "Error along right ascension times cos(dec).",
    "dec_err": "Error.",
    "corr": "Of both errors.",
    "mag": "Magnitude; NaN without a zero point.",
    "mag_err": "Its error.",
    "snr": "Signal over noise.",
    "chi2": "Of even motion, of both coordinates.",
    "dof": "Degrees of freedom of chi2.",
    "star_beneath": "Light of a star under its way over its own, 0 for none: places on frames hold it, too.",
    "slow": "Moves by less than a few widths of a star in all.",
    "expected_false": "Tracks of as many sightings that chance makes in such a night.",
    "frame": "Path in the session.",
    "x": "On the frame, 0-based.",
    "y": "On the frame, 0-based.",
    "band": "Filter.",
    "exposure": "Of the frame.",
    "seeing": "Full width at half maximum of stars.",
    "used": "Whether it enters the motion and reports.",
}


def sky_motion(one: Field, mover: Mover) -> tuple[float, float, float, float]:
    """Return rate [arcsec / min] and position angle [deg] on the sky at the mean time, with their errors."""
    motion = mover.motion
    ra, dec = one.sky(
        [motion.x, motion.x + motion.vx], [motion.y, motion.y + motion.vy]
    )  # where it is, and a minute later
    a, d = np.deg2rad(ra), np.deg2rad(dec)
    east = np.cos(d[1]) * np.sin(a[1] - a[0])
    north = np.cos(d[0]) * np.sin(d[1]) - np.sin(d[0]) * np.cos(d[1]) * np.cos(a[1] - a[0])
    rate = 3600 * float(np.rad2deg(np.hypot(east, north)))
    angle = float(np.rad2deg(np.arctan2(east, north)) % 360)
    return rate, motion.speed_err, angle, float(np.rad2deg(motion.speed_err / max(rate, 1e-9)))


def place_together(one: Field, mover: Mover) -> tuple[float, float, float, float, float]:
    """Return ra, dec [deg], their errors [arcsec] and correlation from all frames, at the mean time."""
    motion, fit = mover.motion, mover.together
    if fit is None:
        ra, dec = one.sky(motion.x, motion.y)
        return float(ra[0]), float(dec[0]), motion.place_err, motion.place_err, 0.0
    ra, dec = one.sky(motion.x + fit.offset[0], motion.y + fit.offset[1])
    ex, ey = float(np.sqrt(fit.covariance[0, 0])), float(np.sqrt(fit.covariance[1, 1]))
    return float(ra[0]), float(dec[0]), ex, ey, float(fit.covariance[0, 1] / (ex * ey))


def _iso(one: Field, minutes: float) -> str:
    return time_of(one, minutes).replace(tzinfo=None).isoformat(timespec="milliseconds")


def mover_tables(found: Sequence[Found]) -> "tuple[QTable, QTable]":
    """Return one row per mover, and one per place of a mover on a frame."""
    movers: list[dict[str, object]] = []
    places: list[dict[str, object]] = []
    for night in found:
        one = night.field
        minutes = [(frame.time - one.frames[0].time) / 60 for frame in one.frames]
        for mover in night.movers:
            rate, rate_err, angle, angle_err = sky_motion(one, mover)
            ra, dec, ra_err, dec_err, corr = place_together(one, mover)
            movers.append({
                "name": mover.name, "target": one.target, "night": one.store.name,
                "time": _iso(one, mover.motion.time), "n_frames": len(mover.good),
                "n_blended": len(mover.places) - len(mover.good), "rate": rate, "rate_err": rate_err,
                "angle": angle, "angle_err": angle_err, "ra": ra, "dec": dec, "ra_err": ra_err,
                "dec_err": dec_err, "corr": corr, "mag": mover.mag, "mag_err": mover.mag_err,
                "snr": float(np.sqrt(np.sum([place.snr**2 for place in mover.good]))),
                "chi2": mover.motion.chi2, "dof": mover.motion.dof, "slow": mover.slow,
                "star_beneath": mover.beneath, "expected_false": mover.expected_false, "label": mover.label,
            })  # fmt: skip
            for place in mover.places:
                frame, look = one.frames[place.frame], one.looks[place.frame]
                px, py = one.sky(place.x, place.y)
                ex, ey = np.sqrt(place.ellipse[0]), np.sqrt(place.ellipse[1])
                places.append({
                    "name": mover.name, "target": one.target, "night": one.store.name, "frame": frame.name,
                    "time": _iso(one, minutes[place.frame]), "ra": float(px[0]), "dec": float(py[0]),
                    "ra_err": float(ex), "dec_err": float(ey), "corr": float(place.ellipse[2] / (ex * ey)),
                    "mag": place.mag, "mag_err": place.mag_err, "snr": place.snr,
                    "x": frame.side * place.pixel[0] + frame.first[0],
                    "y": frame.side * place.pixel[1] + frame.first[1], "band": frame.band,
                    "exposure": frame.exposure, "seeing": look.fwhm * frame.side * one.scale,
                    "used": not place.blended, "star_beneath": mover.beneath,
                })  # fmt: skip
    return _table(movers, MOVER_COLUMNS), _table(places, PLACE_COLUMNS)


MOVER_COLUMNS = (
    "name", "label", "target", "night", "time", "n_frames", "n_blended", "rate", "rate_err", "angle",
    "angle_err", "ra", "dec", "ra_err", "dec_err", "corr", "mag", "mag_err", "snr", "chi2", "dof", "slow",
    "star_beneath", "expected_false",
)  # fmt: skip
PLACE_COLUMNS = (
    "name", "target", "night", "frame", "time", "ra", "dec", "ra_err", "dec_err", "corr", "mag", "mag_err",
    "snr", "x", "y", "band", "exposure", "seeing", "used", "star_beneath",
)  # fmt: skip
UNITS = {
    "rate": "arcsec / min", "rate_err": "arcsec / min", "angle": "deg", "angle_err": "deg", "ra": "deg",
    "dec": "deg", "ra_err": "arcsec", "dec_err": "arcsec", "mag": "mag", "mag_err": "mag", "x": "pix",
    "y": "pix", "exposure": "s", "seeing": "arcsec",
}  # fmt: skip
TEXTS = ("name", "label", "target", "night", "time", "frame", "band")
KINDS = {"n_frames": np.int64, "n_blended": np.int64, "dof": np.int64, "slow": bool, "used": bool}


def _table(rows: Sequence[dict[str, object]], names: Sequence[str]) -> "QTable":
    from astropy import units as u
    from astropy.table import Column, QTable

    table = QTable()
    for name in names:
        kind = np.str_ if name in TEXTS else KINDS.get(name, np.float64)
        values = np.array([row[name] for row in rows], dtype=kind)
        if name in UNITS:
            table[name] = values * u.Unit(UNITS[name])
        else:
            table[name] = Column(values)
        table[name].info.description = MEANINGS[name]
    table.meta["software"] = f"sciastro {package_version()}"
    return table


def write_movers(out: Path, found: Sequence[Found]) -> list[Path]:
    """Write ``products/movers.ecsv`` and ``products/movers_positions.ecsv``; return their paths.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    movers, places = mover_tables(found)
    for table in (movers, places):
        table.meta["time_scale"] = time_scale(out)
        table.meta["fields"] = [_about(night) for night in found]
    folder = out / "products"
    return [
        write_table(folder / "movers.ecsv", movers),
        write_table(folder / "movers_positions.ecsv", places),
    ]


def time_scale(out: Path) -> str:
    """Return the scale of the times of a run: "UTC", or "unknown" where headers leave that open.

    What headers lack is told in the facts of frames that a run keeps, and in its warnings.
    """
    said = " ".join(str(text) for text in read_summary(out).get("warnings", []))
    for path in sorted((out / "stacks").glob("*/state.json")):
        try:
            said += path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return "unknown"  # nobody can say what the headers lacked
    return "unknown" if any(words in said for words in NO_SCALE) else "UTC"


def _about(night: Found) -> dict[str, object]:
    """Return what reports and readers need to know of a field."""
    one, product = night.field, night.field.product
    return {
        "target": one.target, "night": one.store.name, "band": str(product["band"]),
        "frames": len(one.frames), "scale": one.scale,
        "catalog": str((product.get("wcs") or {}).get("catalog") or ""),
        "fit_rms": float((product.get("wcs") or {}).get("rms_arcsec") or "nan"),
        "n_stars": int((product.get("wcs") or {}).get("n_stars") or 0),
        "mag_system": str((product.get("zeropoint") or {}).get("system") or ""),
        "mag_catalog": str((product.get("zeropoint") or {}).get("catalog") or ""),
        "expected_false": night.expected_false, "left_out": dict(one.left_out),
        "needed": {f"snr {level:g}": count for level, count in night.needed.items()},
    }  # fmt: skip
