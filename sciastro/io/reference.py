"""Read the star catalog that comes with sciastro.

Reads ``catalogs/stars/*.npy`` (scaled integers, memory-mapped; the null integers of ``manifest.toml``
become NaN) and writes tables of stars in degrees, magnitudes and mas / yr.
Method: rows lie in declination zones of 1 degree, sorted by right ascension inside a zone; a cone
reads one run of rows per zone (two where it crosses RA = 0), moves the stars to the epoch, and keeps
what is inside.
"""

import hashlib
import tomllib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciastro.core.datafiles import catalog_root
from sciastro.core.directions import unit_vectors
from sciastro.core.motion import moved_vectors, places_of
from sciastro.errors import CatalogError
from sciastro.io.usercatalog import read_user_catalog

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["catalog_info", "catalog_root", "cone", "read_user_catalog", "star_positions", "verify"]

Floats: TypeAlias = npt.NDArray[np.float64]
Rows: TypeAlias = npt.NDArray[np.int64]

_MAS = 3_600_000  # mas in a degree
_TURN = 360 * _MAS
_ZONES = 180
_FASTEST = 0.0030  # deg / yr: Barnard's star, the fastest of all, moves 0.00288
_PREFIXES = ("sciastro ", "Gaia DR3 ", "HIP ")


@lru_cache(maxsize=1)
def _manifest() -> dict[str, Any]:
    return catalog_info()


def catalog_info() -> dict[str, Any]:
    """Return what ``manifest.toml`` says: sources, licenses, checksums, epochs, nulls, counts, completeness.

    Returns
    -------
    dict
        A fresh copy; keys ``schema``, ``stars`` (with ``sources``, ``counts``, ``columns``), ``files``.
    """
    return tomllib.loads((catalog_root() / "manifest.toml").read_text(encoding="utf-8"))


def verify() -> list[str]:
    """Compare every data file with its SHA-256 in the manifest.

    Returns
    -------
    list of str
        One sentence per problem; empty if all is well.
    """
    problems = []
    entries = dict(catalog_info()["files"])
    for folder in ("sky", "passbands"):
        manifest = catalog_root() / folder / "manifest.toml"
        entries |= tomllib.loads(manifest.read_text(encoding="utf-8"))["files"] if manifest.is_file() else {}
    for name, entry in entries.items():
        path = catalog_root() / name
        if not path.is_file():
            problems.append(f"{name}: is missing.")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            problems.append(f"{name}: has another SHA-256 than the manifest.")
    return problems


@lru_cache(maxsize=32)
def _column(name: str) -> npt.NDArray[Any]:
    path = catalog_root() / "stars" / f"{name}.npy"
    try:
        mapped: npt.NDArray[Any] = np.load(path, mmap_mode="r").view(np.ndarray)
    except (OSError, ValueError) as error:
        raise CatalogError(
            f"cannot be read ({error}).", where=str(path), remedy="Install sciastro again."
        ) from error
    return mapped


def _values(name: str, rows: Rows | slice, scale: float) -> Floats:
    """Return a column in units of `scale`, its null integer as NaN."""
    stored = _column(name)[rows]
    null = _manifest()["stars"]["columns"][name]["null"]
    return np.where(stored == null, np.nan, stored.astype(np.float64) * scale)


def star_positions() -> tuple[Floats, Floats, Floats]:
    """Return RA, Dec [deg, each at its own epoch] and V [mag, NaN unknown] of every star."""
    every = slice(None)
    return _column("ra") / _MAS, _column("dec") / _MAS, _values("v", every, 0.001)


def _runs(ra: float, dec: float, radius: float) -> Rows | slice:
    """Return the rows of every zone and right ascension that the cone [deg] can touch."""
    starts = _column("zone_start")
    first = int(np.clip(np.floor(dec - radius + 90), 0, _ZONES - 1))
    last = int(np.clip(np.floor(dec + radius + 90), 0, _ZONES - 1))
    if abs(dec) + radius >= 90:  # a pole is inside: every right ascension
        return slice(int(starts[first]), int(starts[last + 1]))
    # Half width in RA where the meridian touches the cone: sin(width) = sin(radius) / cos(dec).
    half = np.degrees(np.arcsin(min(1.0, np.sin(np.radians(radius)) / np.cos(np.radians(dec))))) + 1e-6
    low, high = int((ra - half) % 360 * _MAS), int((ra + half) % 360 * _MAS) + 1
    spans = [(low, high)] if low <= high else [(0, high), (low, _TURN)]
    runs = []
    for zone in range(first, last + 1):
        begin, end = int(starts[zone]), int(starts[zone + 1])
        sorted_ra = _column("ra")[begin:end]
        for a, b in spans:
            i, j = np.searchsorted(sorted_ra, np.array([a, b + 1], sorted_ra.dtype))
            runs.append(np.arange(begin + i, begin + j))
    return np.concatenate(runs)


def _moved(rows: Rows | slice, epoch: float) -> tuple[Floats, Floats, Floats]:
    """Return vectors at `epoch` (star, 3), years since each row's own epoch, motion [mas / yr] (star, 2)."""
    ra, dec = (_column(n)[rows] / _MAS for n in ("ra", "dec"))
    years = epoch - np.asarray(_manifest()["stars"]["epochs"])[_column("epoch")[rows]]
    pm_ra, pm_dec = _values("pm_ra", rows, 0.01), _values("pm_dec", rows, 0.01)
    return moved_vectors(ra, dec, pm_ra, pm_dec, years), years, np.stack([pm_ra, pm_dec], axis=-1)


def _inside(rows: Rows | slice, ra: float, dec: float, radius: float, epoch: float) -> npt.NDArray[np.bool_]:
    """Return which rows lie within `radius` [deg] of the center at `epoch`."""
    if radius >= 180:
        return np.ones(len(_column("ra")[rows]), dtype=bool)
    vectors, _, _ = _moved(rows, epoch)
    center = unit_vectors(ra, dec)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    chord = np.linalg.norm(vectors - center, axis=-1)  # exact for small angles, where the cosine is not
    return np.asarray(chord <= 2 * np.sin(np.radians(radius) / 2))


def _names(rows: Rows) -> npt.NDArray[np.str_]:
    kinds, numbers = _column("id_kind")[rows].tolist(), _column("id")[rows].tolist()
    names = []
    for row, kind, number in zip(rows.tolist(), kinds, numbers, strict=True):
        if kind == 3:
            names.append(f"TYC {number // 1_000_000}-{number // 10 % 100_000}-{number % 10}")
        else:
            names.append(f"{_PREFIXES[kind]}{number if kind else row}")
    return np.array(names, dtype=np.str_) if names else np.array([], dtype="U1")


def _check(ra: float, dec: float, radius: float, epoch: float) -> None:
    if not np.all(np.isfinite([ra, dec, radius, epoch])) or abs(dec) > 90 or not 0 < radius <= 180:
        raise CatalogError(
            f"is ra={ra}, dec={dec}, radius={radius}, epoch={epoch}.",
            where="cone",
            remedy="Give degrees: dec from -90 to 90, radius above 0 and up to 180; epoch in Julian years.",
        )


def cone(
    center_ra: float,
    center_dec: float,
    radius: float,
    *,
    epoch: float | None = None,
    mag_limit: float | None = None,
    brightest: int | None = None,
) -> "QTable":
    """Return the catalog's stars within `radius` of a center, brightest first.

    Parameters
    ----------
    center_ra, center_dec, radius
        ICRS [deg]; `center_ra` is taken modulo 360.
    epoch
        Julian year that the stars are moved to (and selected at); None is 2016.0.
    mag_limit
        Faintest V [mag] that is kept; None keeps all.
    brightest
        At most this many stars, the brightest; None keeps all.

    Returns
    -------
    QTable
        ``id``; ``ra``, ``dec`` [deg]; ``ra_err``, ``dec_err`` [arcsec] on the sky (the first is
        times cos(dec)); ``pm_ra_cosdec``, ``pm_dec``, ``pm_ra_err``, ``pm_dec_err`` [mas / yr, NaN
        unknown]; ``epoch`` that position and error hold for, ``epoch_obs`` of the observation [yr];
        ``mag``, ``mag_err`` (Johnson V [mag]); ``color`` (B-V [mag], NaN unknown); ``g_mag``, ``bp_rp``
        (Gaia [mag], NaN unknown). A star without a known motion stays where it was seen, and its error
        grows by 15 mas / yr (the dispersion of such stars). ``meta``: system, catalog, epoch, license.
        V and B-V: Hipparcos; else from Gaia (Riello et al. 2021, table C.2); else V = VT - 0.090 (BT-VT)
        and B-V = 0.850 (BT-VT) (ESA 1997, vol. 1, sect. 1.3).

    Raises
    ------
    CatalogError
        If the center or the radius is out of range, or the data files are missing.
    """
    stars = _manifest()["stars"]
    when = float(stars["reference_epoch"]) if epoch is None else float(epoch)
    _check(center_ra, center_dec, radius, when)
    margin = _FASTEST * max(abs(when - at) for at in stars["epochs"])
    found = _runs(center_ra % 360, center_dec, min(radius + margin, 180))
    rows = np.arange(found.start, found.stop) if isinstance(found, slice) else found
    if mag_limit is not None:
        rows = rows[_column("v")[rows] <= round(mag_limit * 1000)]
    rows = rows[_inside(rows, center_ra, center_dec, radius, when)]
    rows = rows[np.argsort(_column("v")[rows], kind="stable")][:brightest]
    return _table(rows, when, stars)


def _table(rows: Rows, epoch: float, stars: dict[str, Any]) -> "QTable":
    """Return the rows as the table that `cone` promises."""
    from astropy import units as u
    from astropy.table import QTable

    vectors, years, motion = _moved(rows, epoch)
    ra, dec = places_of(vectors)
    pm_err = _values("pm_err", rows, 0.01)
    drift = np.nan_to_num(pm_err, nan=float(stars["unknown_pm_sigma_mas_yr"])) * years
    error = np.hypot(_values("pos_err", rows, 1.0), drift) / 1000
    columns = {
        "id": _names(rows),
        "ra": ra * u.deg,
        "dec": dec * u.deg,
        "ra_err": error * u.arcsec,
        "dec_err": error.copy() * u.arcsec,
        "pm_ra_cosdec": motion[:, 0] * (u.mas / u.yr),
        "pm_dec": motion[:, 1] * (u.mas / u.yr),
        "pm_ra_err": pm_err * (u.mas / u.yr),
        "pm_dec_err": pm_err.copy() * (u.mas / u.yr),
        "epoch": np.full(len(ra), epoch) * u.yr,
        "epoch_obs": (epoch - years) * u.yr,
        "mag": _values("v", rows, 0.001) * u.mag,
        "mag_err": _values("v_err", rows, 0.001) * u.mag,
        "color": _values("b_v", rows, 0.001) * u.mag,
        "g_mag": _values("g", rows, 0.001) * u.mag,
        "bp_rp": _values("bp_rp", rows, 0.001) * u.mag,
    }
    meta = {"system": stars["system"], "catalog": stars["name"], "epoch": epoch, "license": stars["license"]}
    return QTable(columns, meta=meta, copy=False)
