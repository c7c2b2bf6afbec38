"""Ask a local ``solve-field`` of astrometry.net: our star list in, its WCS out.

Lang et al. 2010, AJ 139, 1782. The list is ours, so neither its source extraction nor its Python tools
are needed; what it needs is index files (Debian: astrometry-data-tycho2).
"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from sciastro.core.platequery import PlateQuery
from sciastro.core.wcs import celestial_from_header
from sciastro.engines.process import run
from sciastro.errors import SolveError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["ask_solve_field", "has_solve_field"]

NAME = "solve-field"
MOST_STARS = 1000  # the brightest, that the program is given
UNWANTED = ("new-fits", "corr", "rdls", "match", "index-xyls", "solved")


def has_solve_field() -> bool:
    """Return whether the program is installed."""
    return shutil.which(NAME) is not None


def ask_solve_field(query: PlateQuery, *, until: float, folders: Sequence[str] = ()) -> "WCS":
    """Return the WCS that ``solve-field`` finds for a star list.

    Parameters
    ----------
    query
        Stars and bounds.
    until
        `time.monotonic` at which it is ended.
    folders
        Where index files lie; none: where its own configuration says.

    Raises
    ------
    SolveError
        If it is not installed, has no index files, finds nothing, or the time is over.
    """
    program = shutil.which(NAME)
    if program is None:
        raise SolveError(
            "is not installed.",
            where=NAME,
            remedy="Install astrometry.net and index files (Debian: astrometry.net astrometry-data-tycho2).",
        )
    with tempfile.TemporaryDirectory(prefix="sciastro-solve-field-") as name:
        room = Path(name)
        _write_list(query.brightest(MOST_STARS), room / "stars.xyls")
        words = _words(query, room, until)
        if folders:
            config = room / "engine.cfg"
            config.write_text("".join(f"add_path {one}\n" for one in folders) + "autoindex\n")
            words += ["--config", str(config)]
        ended = run([program, *words, str(room / "stars.xyls")], name=NAME, until=until, folder=room)
        return _read(room / "found.wcs", ended.code, f"{ended.out}\n{ended.err}", ended.last_words)


def _write_list(query: PlateQuery, path: Path) -> None:
    columns = [
        fits.Column("X", "E", unit="pix", array=query.x + 1),
        fits.Column("Y", "E", unit="pix", array=query.y + 1),
        fits.Column("FLUX", "E", array=query.flux),
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)


def _words(query: PlateQuery, room: Path, until: float) -> list[str]:
    """Return the arguments; negative numbers are joined to their option, so that none is taken for one."""
    low, high = query.bounds
    seconds = max(1, int(np.ceil(until - time.monotonic())))
    words = [
        "--overwrite", "--no-plots", "--no-verify", "--crpix-center", "--tweak-order", "2",
        "--dir", str(room), "--temp-dir", str(room), "--wcs", str(room / "found.wcs"),
        "--width", str(query.shape[1]), "--height", str(query.shape[0]),
        "--x-column", "X", "--y-column", "Y", "--sort-column", "FLUX",
        "--scale-units", "arcsecperpix", "--scale-low", f"{low:.6g}", "--scale-high", f"{high:.6g}",
        "--cpulimit", str(seconds),
    ]  # fmt: skip
    for one in UNWANTED:
        words += [f"--{one}", "none"]
    if query.ra is not None and query.dec is not None:
        words += [f"--ra={query.ra:.6f}", f"--dec={query.dec:.6f}", f"--radius={query.radius or 5.0:.3f}"]
    return words


def _read(path: Path, code: int, printed: str, last: str) -> "WCS":
    if path.is_file():
        wcs = celestial_from_header(fits.getheader(path))
        if wcs is None:
            raise SolveError("wrote a WCS that cannot be read.", where=NAME, remedy="Use another --engine.")
        return wcs
    if "index" in printed and ("no index" in printed.lower() or "must list at least one index" in printed):
        raise SolveError(
            "has no index files.",
            where=NAME,
            remedy="Install some (Debian: astrometry-data-tycho2), or name their folder to it.",
        )
    if code != 0:
        raise SolveError(f"failed: {last}.", where=NAME, remedy="Run it by hand to see why.")
    raise SolveError(
        "did not solve the field.", where=NAME, remedy="Give a rough center and scale, or more --seconds."
    )
