"""Source tables as files: ECSV with everything, and FITS that any tool opens.

Both hold the same rows; every column has a unit where it has a dimension, and a description. NaN is
written as NaN, never masked. The meaning of each flag bit travels in the header.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from sciastro.core.history import package_version
from sciastro.errors import FileError, OptionError, OutputError
from sciastro.io.paths import atomic_path
from sciastro.io.product_cards import ProductFacts, ascii_text, fact_cards, put
from sciastro.io.products import write_hdus

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["export_table", "read_sources", "read_table", "write_sources", "write_table"]

REQUIRED = (
    "id", "x", "y", "x_err", "y_err", "ra", "dec", "ra_err", "dec_err", "flux", "flux_err", "mag", "mag_err",
    "snr", "fwhm", "flags", "catalog_id",
)  # fmt: skip
"""Columns that a table of sources has, in this order; more may follow."""

_CARDS = {
    "aperture_radius": ("APRADIUS", "[pixel] radius of the aperture"),
    "total_radius": ("APTOTAL", "[pixel] radius that counts as all the light"),
    "aperture_correction": ("APCORR", "all the light over that in the aperture"),
    "aperture_correction_err": ("APCORERR", "standard error of APCORR, common to all"),
    "aperture_correction_scatter": ("APCORSCT", "star-to-star scatter of APCORR, in FLUX_ERR"),
    "n_growth_stars": ("APNSTAR", "stars that APCORR is from"),
    "sky_inner": ("SKYINNER", "[pixel] inner radius of the sky annulus"),
    "sky_outer": ("SKYOUTER", "[pixel] outer radius of the sky annulus"),
    "mag_system": ("MAGSYS", "system of MAG"),
}


def write_sources(
    path_stem: Path,
    table: "Table",
    meta: Mapping[str, Any] | None = None,
    *,
    facts: ProductFacts | None = None,
) -> tuple[Path, Path]:
    """Write a table of sources as ECSV and FITS.

    Parameters
    ----------
    path_stem
        Path without suffix; ``.ecsv`` and ``.fits`` are appended.
    table
        From `photometry.sources.source_table`: at least the columns of `REQUIRED`, with descriptions.
    meta
        Plain values that are added to the table's own meta.
    facts
        Of the image, for the header of the FITS file.

    Returns
    -------
    ecsv, fits
        The paths written.

    Raises
    ------
    OutputError
        If a required column is missing or a file cannot be written.
    """
    missing = [name for name in REQUIRED if name not in table.colnames]
    if missing:
        raise OutputError(
            f"lacks the columns {', '.join(missing)}.",
            where="table of sources",
            remedy="Make it with `photometry.sources.source_table`.",
        )
    out = table.copy()
    out.meta = {
        **_plain(dict(table.meta)),
        **_plain(dict(meta or {})),
        "software": f"sciastro {package_version()}",
    }
    ecsv = path_stem.parent / f"{path_stem.name}.ecsv"
    with atomic_path(ecsv) as part:
        out.write(part, format="ascii.ecsv", overwrite=True)
    binary = path_stem.parent / f"{path_stem.name}.fits"
    primary = fits.PrimaryHDU(header=fact_cards(facts) if facts is not None else None)
    with atomic_path(binary) as part:
        write_hdus(part, fits.HDUList([primary, _table_hdu(out)]))
    return ecsv, binary


def write_table(path: Path, table: "Table") -> Path:
    """Write any table as FITS or ECSV, by the end of the name; whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from astropy.table import Table

    with atomic_path(path) as part:
        if path.suffix == ".fits":
            header = fits.Header()
            for key, value in table.meta.items():
                put(header, str(key)[:8], value)
            write_hdus(
                part,
                fits.HDUList([fits.PrimaryHDU(header=header), _table_hdu(Table(table, meta={}), "TABLE")]),
            )
        else:
            table.write(part, format="ascii.ecsv", overwrite=True)
    return path


def export_table(path: Path, table: "Table", kind: str) -> Path:
    """Write a table of photometry as "ecsv", "fits", "csv", "parquet" or "votable"; whole or not at all.

    NaN stays NaN. CSV has no units: they stand in the names of the other formats' columns alone.

    Raises
    ------
    OptionError
        For Parquet without the package `pyarrow`.
    OutputError
        If the file cannot be written.
    """
    from astropy.table import Table

    plain = Table(table)  # quantities become columns with units
    plain.meta = {**_plain(dict(table.meta)), "software": f"sciastro {package_version()}"}
    with atomic_path(path) as part:
        if kind == "fits":
            write_hdus(part, fits.HDUList([fits.PrimaryHDU(), _table_hdu(plain)]))
        elif kind == "csv":
            plain.meta = {}
            plain.write(part, format="ascii.csv", overwrite=True)
        elif kind == "votable":
            _write_votable(part, plain)
        elif kind == "parquet":
            _need_pyarrow()
            plain.write(part, format="parquet", overwrite=True)
        else:
            plain.write(part, format="ascii.ecsv", overwrite=True)
    return path


def _need_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise OptionError(
            "needs the package `pyarrow`, which is not installed.", where="--format parquet",
            remedy="Install it with `pip install sciastro[parquet]`, or choose another format.",
        ) from error  # fmt: skip


def _write_votable(path: Path, table: "Table") -> None:
    from astropy.io.votable import from_table, writeto

    table.meta = {}  # a VOTable has no place for nested values, nor for unsigned integers
    for name in table.colnames:
        if table[name].dtype.kind == "u":
            about = table[name].info.description
            table[name] = np.asarray(table[name]).astype(np.int64)
            table[name].info.description = about
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its list of units has no electron; readers take it all the same
        writeto(from_table(table), str(path))


def read_table(path: Path) -> "Table":
    """Return a table written by `write_table` as ECSV; empty texts stay empty, NaN stays NaN.

    Raises
    ------
    FileError
        If it cannot be read.
    """
    try:
        return _read_ecsv(path)
    except (OSError, ValueError, IndexError) as error:
        raise FileError(
            f"cannot be read ({error}).", where=str(path), remedy="Make it again with `sciastro reduce`."
        ) from error


def _plain(value: Any) -> Any:
    """Return `value` as what YAML and JSON know: numbers, texts, lists and dicts of them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _table_hdu(table: "Table", name: str = "SOURCES") -> fits.BinTableHDU:
    columns = []
    for column in table.colnames:
        values = np.asarray(getattr(table[column], "value", table[column]))
        unit = table[column].unit
        if values.dtype.kind in "UO":
            texts = [ascii_text(str(text), 200) for text in values]
            width = max([1, *(len(text) for text in texts)])
            columns.append(fits.Column(column, f"{width}A", array=np.array(texts, dtype=f"S{width}")))
            continue
        columns.append(
            fits.Column(
                column,
                _FORMATS[values.dtype.kind + str(values.dtype.itemsize)],
                array=values,
                unit=None if unit is None else _unit(unit),
                bzero=2**31 if values.dtype == np.uint32 else None,
            )
        )
    hdu = fits.BinTableHDU.from_columns(columns, name=name)
    for number, column in enumerate(table.colnames, start=1):
        put(hdu.header, f"TCOMM{number}", ascii_text(table[column].info.description or "", 68))
    for key, (keyword, comment) in _CARDS.items():
        put(hdu.header, keyword, table.meta.get(key), comment)
    for bit, meaning in dict(table.meta.get("flag_meanings", {})).items():
        value, label = bit.split(" ", 1)
        put(hdu.header, f"FLBIT{int(value).bit_length() - 1}", label, meaning)
    return hdu


_FORMATS = {"f8": "D", "f4": "E", "i2": "I", "i4": "J", "i8": "K", "u4": "J", "u1": "B", "b1": "L"}


def _unit(unit: Any) -> str:
    text = str(unit.to_string())
    return "pixel" if text == "pix" else text


def _read_ecsv(path: Path) -> "Table":
    # ECSV cannot tell an empty text from a missing one: astropy masks it.
    from astropy.table import Table

    table = Table.read(path, format="ascii.ecsv")
    for name in table.colnames:
        if hasattr(table[name], "mask") and table[name].dtype.kind == "U":
            table[name] = table[name].filled("")
    return table


def _read_fits(path: Path) -> "Table":
    # "electron" is not in the FITS list of units: read it as astropy spells it.
    from astropy import units as u
    from astropy.table import Table

    table = Table.read(
        path, format="fits", hdu=1, mask_invalid=False, character_as_bytes=False, unit_parse_strict="silent"
    )
    for name in table.colnames:
        if isinstance(table[name].unit, u.UnrecognizedUnit):
            table[name].unit = u.Unit(table[name].unit.to_string())
    return table


def read_sources(path: Path) -> "Table":
    """Return a table written by `write_sources`, from either file; NaN stays NaN.

    Raises
    ------
    FileError
        If it cannot be read or is no table of sources.
    """
    try:
        if path.suffix == ".ecsv":
            table = _read_ecsv(path)
        else:
            table = _read_fits(path)
    except (OSError, ValueError, IndexError) as error:
        raise FileError(
            f"cannot be read ({error}).", where=str(path), remedy="Give a table of sources."
        ) from error
    if any(name not in table.colnames for name in REQUIRED):
        raise FileError("is no table of sources.", where=str(path), remedy="Give a file written by sciastro.")
    return table
