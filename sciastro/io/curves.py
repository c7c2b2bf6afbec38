"""Read curves over wavelength: throughputs of filters, responses of sensors, spectra.

Reads a CSV, ECSV, FITS or plain text table: one column of wavelengths, one or more of values.
``FILE#NAME`` picks a column, or a table of a FITS file by its EXTNAME. The unit of the wavelengths is the
column's, that in its name or in a comment of the file, else it follows from their size.
"""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.errors import FileError
from sciastro.io.readers import reader_errors, reason_of

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Curves", "read_curves", "split_name"]

Floats = npt.NDArray[np.float64]

WAVELENGTH = ("wavelength", "wave", "lambda", "wl", "lam", "wavelength_nm", "nm", "angstrom", "col1")
LARGEST = 64 * 10**6  # bytes of a file that is read
TWICE = 0.1  # of the wavelengths may stand twice
SMALL = 0.02  # of the peak: negative values up to this are noise of the measurement
_TO_NM = {"nm": 1.0, "nanometer": 1.0, "angstrom": 0.1, "aa": 0.1, "um": 1000.0, "micron": 1000.0, "m": 1e9}
_BY_SIZE = ((150, 2500, 1.0, "nm"), (2500, 30000, 0.1, "Angstrom"), (0.15, 3, 1000.0, "um"))
_NAMED = re.compile(r"(?<![a-z])(nm|nanomet\w*|angstroms?|aa|um|microns?)(?![a-z])")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curves:
    """One file's curves on one grid.

    Attributes
    ----------
    wavelength
        Increasing [nm].
    columns
        Name -> values, as they are in the file; percent as fractions.
    notes
        What was assumed, in words.
    """

    path: Path
    wavelength: Floats
    columns: dict[str, Floats]
    notes: tuple[str, ...] = ()

    def only(self, name: str = "") -> Floats:
        """Return the values of column `name`, or of the only one.

        Raises
        ------
        FileError
            If there is no such column, or several and none is named.
        """
        if name:
            for column, values in self.columns.items():
                if column.lower() == name.lower():
                    return values
        elif len(self.columns) == 1:
            return next(iter(self.columns.values()))
        found = f"has no column {name!r}." if name else f"holds {len(self.columns)} curves."
        listed = ", ".join(list(self.columns)[:12])
        raise FileError(found, where=str(self.path), remedy=f"Write FILE#NAME with one of: {listed}.")


def split_name(text: str) -> tuple[Path, str]:
    """Return the file and the column of ``FILE#NAME``."""
    path, _, name = text.rpartition("#") if "#" in text and not Path(text).exists() else (text, "", "")
    return Path(path).expanduser(), name


def read_curves(text: str | Path, *, negative: bool = False) -> Curves:
    """Return the curves of ``FILE`` or ``FILE#NAME``.

    Parameters
    ----------
    negative
        Allow values below 0 (spectra have noise); else those up to 2 % of the peak become 0.

    Raises
    ------
    FileError
        If the file cannot be read, has no two columns of numbers, its wavelengths are not in order or of no
        unit that a telescope sees, or values are negative.
    """
    path, name = split_name(str(text))
    table, note = _table(path, name)
    first = _wavelength_column(table)
    wavelength, unit_note = _in_nm(table, first, path)
    columns = {}
    for column in table.colnames:
        values = _numbers(table, column) if column != first else None
        if values is not None and (not name or column.lower() == name.lower() or note):
            columns[column] = values
    if not columns:
        raise FileError(
            f"has no column {name!r} of numbers." if name else "has no column of numbers beside wavelength.",
            where=str(path),
            remedy=f"Its columns: {', '.join(table.colnames[:20])}.",
        )
    wavelength, columns = _ordered(wavelength, columns, path)
    notes = [text for text in (unit_note,) if text]
    for column, values in columns.items():
        columns[column], told = _checked(wavelength, values, column, path, negative=negative)
        notes += [told] if told else []
    return Curves(path=path, wavelength=wavelength, columns=columns, notes=tuple(dict.fromkeys(notes)))


def _table(path: Path, name: str) -> "tuple[Table, bool]":
    """Return the table and whether `name` was used up as that of a FITS table."""
    if not path.is_file():
        raise FileError("does not exist.", where=str(path), remedy="Check the path of the curve.")
    if path.stat().st_size > LARGEST:
        raise FileError(
            f"is {path.stat().st_size / 1e6:.0f} MB large.", where=str(path), remedy="Give a small table."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # units and null values that astropy finds odd do not matter here
        try:
            head = path.read_bytes()[:80]
            return _fits(path, name) if head.startswith(b"SIMPLE") else (_text(path), False)
        except FileError:
            raise
        except reader_errors() as error:
            raise FileError(
                f"cannot be read as a table ({reason_of(error)}).",
                where=str(path),
                remedy="Give two columns, wavelength and value: CSV, ECSV, FITS or text.",
            ) from error


def _fits(path: Path, name: str) -> "tuple[Table, bool]":
    from astropy.io import fits
    from astropy.table import Table

    with fits.open(path, memmap=False) as hdus:
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
        named = [hdu for hdu in tables if hdu.name.lower() == name.lower()] if name else []
        if not tables:
            raise FileError("holds no table.", where=str(path), remedy="Give a FITS table.")
        if len(tables) > 1 and not named:
            listed = ", ".join(hdu.name for hdu in tables[:12])
            raise FileError(
                f"holds {len(tables)} tables.", where=str(path),
                remedy=f"Write FILE#NAME with the EXTNAME of one: {listed} ...",
            )  # fmt: skip
        return Table.read(named[0] if named else tables[0]), bool(named)


def _text(path: Path) -> "Table":
    from astropy.table import Table

    text = path.read_text(encoding="utf-8-sig")
    if "\r" in text and "\n" not in text.replace("\r\n", ""):
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].startswith("# %ECSV"):
        return Table.read(lines, format="ascii.ecsv")
    comments = [line.lstrip("#! ") for line in lines if line.lstrip().startswith(("#", "!"))]
    rows = [line for line in lines if not line.lstrip().startswith(("#", "!"))]
    head = not _all_numbers(_cells(rows[0])) if rows else False
    width = max((len(_cells(line)) for line in rows[1:]), default=0)
    names = [cell or f"col{k + 1}" for k, cell in enumerate(_cells(rows[0]))] if head else []
    if len(names) != width or len({one.lower() for one in names}) != width:
        names = [f"col{k + 1}" for k in range(width)]
    data = [cells for line in rows[int(head) :] if len(cells := _cells(line)) == width]
    if not data or width < 2 or len(data) < len(rows) - int(head):
        raise FileError(
            "is no table of at least two columns of numbers.", where=str(path),
            remedy="Write wavelength and value in each line, separated by commas, tabs or spaces.",
        )  # fmt: skip
    table = Table(rows=data, names=names)
    table.meta["comments"] = comments
    return table


def _cells(line: str) -> list[str]:
    for mark in (",", ";", "\t"):
        if mark in line:
            return [cell.strip().strip('"') for cell in line.strip().rstrip(mark).split(mark)]
    return line.split()


def _all_numbers(cells: list[str]) -> bool:
    try:
        return bool([float(cell) for cell in cells])
    except ValueError:
        return False


def _wavelength_column(table: "Table") -> str:
    for column in table.colnames:
        plain = column.lower().strip().split("(")[0].split("[")[0].strip(" _")
        if plain in WAVELENGTH or plain.startswith(("wavelength", "lambda", "wave_")):
            return str(column)
    return str(table.colnames[0])


def _numbers(table: "Table", column: str) -> Floats | None:
    """Return a column as float64, missing values as NaN; None where it holds no numbers."""
    values = table[column]
    try:
        return np.asarray(np.ma.filled(np.ma.asarray(values).astype(np.float64), np.nan)).ravel()
    except (TypeError, ValueError):
        return None


def _in_nm(table: "Table", column: str, path: Path) -> tuple[Floats, str]:
    values = _numbers(table, column)
    if values is None or values.shape != (len(table),):
        raise FileError(
            f"has {column!r} as its wavelengths, which are no numbers.", where=str(path),
            remedy="Give the wavelengths in the first column or in one called wavelength.",
        )  # fmt: skip
    unit = str(table[column].unit or "").lower()
    told = unit or next(iter(_NAMED.findall(column.lower().replace("_", " "))), "")
    for comment in table.meta.get("comments", ()) if not told else ():
        told = next(iter(_NAMED.findall(str(comment).lower())), told)
    factor = next((known for name, known in _TO_NM.items() if told and told.startswith(name)), 0.0)
    note = ""
    if not factor:
        middle = float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan
        fits = [(to, name) for low, high, to, name in _BY_SIZE if low <= middle < high]
        factor, name = fits[0] if fits else (0.0, "")
        note = f"{path.name}: no unit of wavelength, {name} by its size"
    nm = values * factor
    if not factor or not np.isfinite(nm).any() or np.nanmin(nm) < 1 or not 100 < np.nanmedian(nm) < 50_000:
        said = f" {told}" if told else ""
        raise FileError(
            f"has wavelengths of {np.nanmin(values):g} to {np.nanmax(values):g}{said}.", where=str(path),
            remedy="State their unit in the name of the column: wavelength_nm, _angstrom or _um.",
        )  # fmt: skip
    return nm, note


def _ordered(wavelength: Floats, columns: dict[str, Floats], path: Path) -> tuple[Floats, dict[str, Floats]]:
    known = np.isfinite(wavelength)
    wavelength = wavelength[known]
    columns = {name: values[known] for name, values in columns.items()}
    if len(wavelength) > 1 and wavelength[0] > wavelength[-1]:
        wavelength, columns = wavelength[::-1], {name: values[::-1] for name, values in columns.items()}
    if len(wavelength) < 2:
        raise FileError(
            f"has {len(wavelength)} row with a wavelength.", where=str(path),
            remedy="Give a curve: two rows or more, one for each wavelength.",
        )  # fmt: skip
    step = np.diff(wavelength)
    if (step < 0).any():
        raise FileError(
            f"has wavelengths out of order (near {wavelength[int(np.argmin(step))]:g} nm).", where=str(path),
            remedy="Sort the rows by wavelength.",
        )  # fmt: skip
    first = np.concatenate([[True], step > 0])
    if (~first).sum() > TWICE * len(first):
        raise FileError(
            f"has {int((~first).sum())} wavelengths more than once.", where=str(path),
            remedy="Keep one row for each wavelength.",
        )  # fmt: skip
    group = np.cumsum(first) - 1  # the few that a digitized edge has twice are averaged
    count = np.bincount(group)
    means = {name: np.bincount(group, values) / count for name, values in columns.items()}
    return wavelength[first], means


def _checked(
    wavelength: Floats, values: Floats, column: str, path: Path, *, negative: bool
) -> tuple[Floats, str]:
    if not np.isfinite(values).all():
        bad = wavelength[~np.isfinite(values)]
        raise FileError(
            f"has no number in column {column!r} at {bad[0]:g} nm.", where=str(path),
            remedy="Fill the gap or remove the row.",
        )  # fmt: skip
    peak = float(values.max())
    if peak <= 0:
        raise FileError(
            f"is nowhere above 0 in column {column!r}.", where=str(path), remedy="Check the file."
        )
    note = ""
    if not negative and float(values.min()) < 0:
        low = float(values.min())
        if low < -SMALL * peak:
            raise FileError(
                f"is negative in column {column!r} at {wavelength[np.argmin(values)]:g} nm ({low:g}).",
                where=str(path), remedy="A throughput is not below 0: check the column, or its zero level.",
            )  # fmt: skip
        values, note = np.clip(values, 0, None), f"{path.name}: values down to {low:.2g} taken as 0"
    if not negative and 1.5 < peak <= 110:
        values = values / 100
        note = "; ".join(part for part in (note, f"{path.name}: percent taken as fractions") if part)
    return values, note
