"""Read spectra of stars by Gaia DR3 source: sampled ones, and XP continuous ones through GaiaXPy.

Reads ECSV, CSV, FITS, VOTable or Parquet with a column ``source_id``. Sampled: ``flux`` (an array per row)
on the wavelengths of the column ``wavelength`` or, as GaiaXPy writes by default, 336 to 1020 nm in steps of
2 nm; or one row per wavelength (``source_id, wavelength, flux``), as VizieR lists them. Continuous: the
columns of Gaia's table ``xp_continuous_mean_spectrum``; decoding needs the extra ``gaiaxp`` (GaiaXPy, BSD-3).
"""

import contextlib
import io
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.errors import FileError, UsageError
from sciastro.io.readers import reader_errors, reason_of

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["DEFAULT", "decode_continuous", "read_star_spectra", "relative_photons"]

Floats = npt.NDArray[np.float64]

DEFAULT = np.arange(336.0, 1020.5, 2.0)  # nm, sampling of GaiaXPy and of the archive's sampled spectra
LARGEST = 2 * 10**9  # bytes


def read_star_spectra(path: Path, wavelengths: Floats) -> dict[str, Floats]:
    """Return photons per wavelength by Gaia DR3 source, relative to the largest, at `wavelengths` [nm].

    Beyond the ends of a spectrum its last samples go on; negative samples (noise) become 0.

    Raises
    ------
    FileError
        If it cannot be read as a table of spectra.
    UsageError
        If its spectra are continuous and GaiaXPy is not installed.
    """
    table = _read(path)
    names = {str(name).lower(): str(name) for name in table.colnames}
    if "source_id" not in names and "source" not in names:
        raise FileError(
            f"has no column source_id (its columns: {', '.join(table.colnames[:12])}).", where=str(path),
            remedy="Give Gaia DR3 spectra with their source_id.",
        )  # fmt: skip
    sources = [str(one).strip() for one in table[names.get("source_id", names.get("source", ""))]]
    if "bp_coefficients" in names:
        return relative_photons(*decode_continuous(table, path), wavelengths)
    if "flux" not in names:
        raise FileError(
            "has neither flux nor bp_coefficients.", where=str(path),
            remedy="Give sampled spectra (flux) or XP continuous ones (bp_coefficients, ...).",
        )  # fmt: skip
    flux = table[names["flux"]]
    axis = next((names[name] for name in ("wavelength", "lambda", "wl") if name in names), "")
    if np.ndim(flux[0]) == 0 and not isinstance(flux[0], str):
        return _listed(sources, table, axis, names["flux"], path, wavelengths)
    rows = [_numbers(one, path) for one in flux]
    grids = [_numbers(one, path) for one in table[axis]] if axis else [_grid(len(one), path) for one in rows]
    return relative_photons(sources, grids, rows, wavelengths)


def _read(path: Path) -> "Table":
    from astropy.table import Table

    if not path.is_file():
        raise FileError("does not exist.", where=str(path), remedy="Check the path of the spectra.")
    if path.stat().st_size > LARGEST:
        raise FileError("is larger than 2 GB.", where=str(path), remedy="Keep the stars of the field only.")
    kind = {".parquet": "parquet", ".csv": "ascii.csv", ".ecsv": "ascii.ecsv"}.get(path.suffix.lower())
    if kind == "parquet":
        return _parquet(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return Table.read(path, format=kind) if kind else Table.read(path)
        except reader_errors() as error:
            raise FileError(
                f"cannot be read as a table ({reason_of(error)}).",
                where=str(path),
                remedy="Give CSV, ECSV, FITS, VOTable or Parquet.",
            ) from error


def _parquet(path: Path) -> "Table":
    from astropy.table import Table

    try:
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            "is Parquet, which pyarrow reads, and that is not installed.",
            where=str(path),
            remedy="pip install 'sciastro[gaiaxp]', or give CSV, ECSV or FITS.",
        ) from error
    try:
        columns = parquet.ParquetFile(path).read().to_pydict()
    except (OSError, ValueError) as error:
        raise FileError(
            f"cannot be read as Parquet ({str(error)[:120]}).", where=str(path), remedy="Write it again."
        ) from error
    table = Table()
    for name, values in columns.items():
        column = np.empty(len(values), dtype=object) if values and isinstance(values[0], list) else None
        if column is not None:
            column[:] = [np.asarray(one) for one in values]
        table[name] = values if column is None else column
    return table


def _numbers(value: Any, path: Path | str) -> Floats:
    """Return an array that may be written as text: "(1.0, 2.0)" or "[1.0, 2.0]"."""
    try:
        if isinstance(value, str):
            parts = [part for part in re.split(r"[,\s]+", value.strip().strip("()[]")) if part]
            return np.array([float(part) for part in parts])
        return np.asarray(np.ma.filled(np.ma.asarray(value, dtype=np.float64), np.nan))
    except (TypeError, ValueError) as error:
        raise FileError(
            f"has {str(value)[:40]!r} for numbers.", where=str(path), remedy="Write the file again."
        ) from error


def _grid(count: int, path: Path) -> Floats:
    if count != len(DEFAULT):
        raise FileError(
            f"has spectra of {count} samples and no column wavelength.", where=str(path),
            remedy=f"Add the wavelengths [nm], or sample at 336 to 1020 nm, step 2 nm ({len(DEFAULT)}).",
        )  # fmt: skip
    return DEFAULT


def _listed(
    sources: list[str], table: "Table", axis: str, flux: str, path: Path, wavelengths: Floats
) -> dict[str, Floats]:
    """Return spectra that stand one sample per row."""
    if not axis:
        raise FileError("has no column wavelength.", where=str(path), remedy="Add the wavelengths [nm].")
    names, index = np.unique(np.array(sources), return_inverse=True)
    where, light = _numbers(table[axis], path), _numbers(table[flux], path)
    order = np.lexsort((where, index))
    cuts = np.flatnonzero(np.diff(index[order])) + 1
    grids, rows = np.split(where[order], cuts), np.split(light[order], cuts)
    return relative_photons([str(one) for one in names], grids, rows, wavelengths)


def relative_photons(
    sources: list[str], grids: list[Floats], rows: list[Floats], wavelengths: Floats
) -> dict[str, Floats]:
    """Return photons per wavelength by source, relative to the largest; spectra that are none are left out.

    Parameters
    ----------
    grids, rows
        Per source, wavelengths [nm] and fluxes per wavelength.
    wavelengths
        Where they are wanted [nm].
    """
    out = {}
    for source, grid, row in zip(sources, grids, rows, strict=True):
        good = np.isfinite(row) & np.isfinite(grid)
        if good.sum() < 20 or not (np.diff(grid[good]) > 0).all() or row[good].max() <= 0:
            continue
        photons = np.clip(np.interp(wavelengths, grid[good], row[good]), 0, None) * wavelengths
        out[source] = photons / photons.max()
    return out


@contextlib.contextmanager
def _silent(module: str) -> Iterator[None]:
    """Keep GaiaXPy's bars of progress off the screen; it takes hold of ``stdout`` when imported."""
    held = sys.modules[module]
    own = getattr(held, "stdout", None)
    with contextlib.redirect_stdout(io.StringIO()) as nowhere, contextlib.redirect_stderr(io.StringIO()):
        if own is not None:
            held.stdout = nowhere  # type: ignore[attr-defined]
        try:
            yield
        finally:
            if own is not None:
                held.stdout = own  # type: ignore[attr-defined]


def decode_continuous(table: "Table", path: Path | str) -> tuple[list[str], list[Floats], list[Floats]]:
    """Return sources, wavelengths [nm] and fluxes [W / m2 / nm] of XP continuous spectra, by GaiaXPy.

    Raises
    ------
    UsageError
        If GaiaXPy is not installed.
    FileError
        If it cannot make sense of the table.
    """
    try:
        import pandas as pd
        from gaiaxpy import calibrate
    except ImportError as error:
        raise UsageError(
            "holds XP continuous spectra, which GaiaXPy decodes, and that is not installed.",
            where=str(path),
            remedy="pip install 'sciastro[gaiaxp]', or give sampled spectra.",
        ) from error
    frame = {}
    for name in table.colnames:
        values = list(table[name])
        arrays = "coefficient" in str(name)
        frame[str(name)] = [_numbers(one, path) for one in values] if arrays else values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _silent(calibrate.__module__):
                found, sampling = calibrate(pd.DataFrame(frame), sampling=DEFAULT, save_file=False)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OSError) as error:
            raise FileError(
                f"cannot be decoded by GaiaXPy ({str(error)[:160]}).",
                where=str(path),
                remedy="Give rows of Gaia's xp_continuous_mean_spectrum with all their columns.",
            ) from error
    flux = [np.asarray(one, dtype=np.float64) for one in found["flux"]]
    grid = np.asarray(sampling, dtype=np.float64)
    return [str(one) for one in found["source_id"]], [grid] * len(flux), flux
