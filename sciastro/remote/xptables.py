"""Spectra in the answers of the Gaia archive: tables and zipped documents, within the limits that are set."""

import io
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.remote.limits import Limits
from sciastro.remote.trouble import LOGIN, Trouble
from sciastro.remote.wire import Answer, title_of

if TYPE_CHECKING:
    from astropy.table import Table


__all__ = ["CONTINUOUS", "SAMPLES", "continuous_rows", "document", "numbers", "sampled_rows"]

Floats = npt.NDArray[np.float64]

CONTINUOUS: Mapping[str, str] = {
    "source_id": "",
    **{
        f"{arm}_{name}": unit
        for arm in ("bp", "rp")
        for name, unit in (
            ("n_parameters", ""), ("standard_deviation", "*"), ("coefficients", "*"),
            ("coefficient_errors", "*"), ("coefficient_correlations", "*"), ("n_relevant_bases", "*"),
        )
    },
}  # fmt: skip
"""Columns of Gaia's table xp_continuous_mean_spectrum that a decoder needs."""
SAMPLES = 343  # of a sampled spectrum: 336 to 1020 nm, every 2 nm


def document(answer: Answer, limits: Limits) -> bytes:
    """Return the VOTable of an answer, out of a ZIP file if it came in one.

    Raises
    ------
    Trouble
        If it is something else; sources without a spectrum make an empty answer.
    """
    content = answer.content
    if content.startswith(b"PK\x03\x04"):
        content = _unzipped(content, limits)
    elif answer.kind == "empty":
        raise Trouble("sends nothing, as where no source has a spectrum")
    elif answer.kind == "html":
        title = title_of(content)
        raise Trouble(
            f"sends a web page{f' titled {title!r}' if title else ''} instead of data", remedy=LOGIN
        )
    elif answer.kind != "votable":
        raise Trouble(f"sends {answer.type or 'something'} ({answer.kind}) where a VOTable was wanted")
    return content


def _unzipped(content: bytes, limits: Limits) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as bundle:
            members = [one for one in bundle.infolist() if not one.is_dir()]
            if len(members) != 1 or members[0].file_size > limits.max_bytes:
                raise Trouble(f"sends {len(members)} files where one was wanted")
            with bundle.open(members[0]) as file:
                inside = file.read(limits.max_bytes + 1)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
        raise Trouble("sends a ZIP file that is damaged", retry=True) from error
    if len(inside) > limits.max_bytes:
        raise Trouble(f"sends more than {limits.max_bytes / 1e6:g} MB")
    return inside


def numbers(table: "Table", sources: Sequence[int]) -> list[int]:
    """Return the source of each row.

    Raises
    ------
    Trouble
        If they are no numbers, or others than those that were asked for, or one comes twice.
    """
    ids = np.ma.asarray(table["source_id"])
    if ids.dtype.kind not in "iu" or np.ma.is_masked(ids):
        raise Trouble(f"sends source_id as {ids.dtype} or null; it must be a 64-bit integer")
    found = [int(one) for one in ids]
    if not set(found) <= set(sources) or len(set(found)) != len(found):
        raise Trouble("sends spectra of other sources than it was asked for, or of one source twice")
    return found


def _array(cell: Any) -> Floats:
    """Return a cell as numbers, also where a server writes arrays as text; null is NaN."""
    if isinstance(cell, bytes | str):
        text = cell.decode("ascii", "replace") if isinstance(cell, bytes) else cell
        parts = [part for part in re.split(r"[,\s]+", text.strip("()[]{} \n")) if part]
        try:
            return np.array([float(part) for part in parts])
        except ValueError as error:
            raise Trouble("sends a spectrum that holds something else than numbers", retry=True) from error
    return np.atleast_1d(np.asarray(np.ma.filled(np.ma.asarray(cell, dtype=np.float64), np.nan)))


def sampled_rows(table: "Table", sources: list[int]) -> dict[int, Any]:
    """Return flux and error (`SAMPLES`,) by source; sources without a usable spectrum are left out."""
    rows = {}
    for source, flux, err in zip(sources, table["flux"], table["flux_error"], strict=True):
        pair = _array(flux), _array(err)
        if any(len(one) != SAMPLES for one in pair):
            raise Trouble(f"sends a spectrum of {len(pair[0])} samples; there must be {SAMPLES}")
        if np.isfinite(pair[0]).sum() > SAMPLES // 2 and np.nanmax(pair[0]) > 0:
            rows[source] = pair
    return rows


def continuous_rows(table: "Table", sources: list[int]) -> dict[int, Any]:
    """Return the columns `CONTINUOUS` by source; sources with one arm only are left out."""
    rows = {}
    for k, source in enumerate(sources):
        row: dict[str, Any] = {"source_id": source}
        for name in CONTINUOUS:
            if name == "source_id":
                continue
            cell = _array(table[name][k])
            row[name] = cell if "coefficient" in name else float(cell[0]) if len(cell) else np.nan
        if not all(np.isfinite(row[f"{arm}_n_parameters"]) for arm in ("bp", "rp")):
            continue  # one arm only: of no use for colors
        for arm in ("bp", "rp"):
            n = int(row[f"{arm}_n_parameters"])
            sizes = [len(row[f"{arm}_{one}"]) for one in ("coefficients", "coefficient_errors")]
            if sizes != [n, n] or len(row[f"{arm}_coefficient_correlations"]) != n * (n - 1) // 2:
                raise Trouble("sends coefficients that are not as many as their own number says")
        rows[source] = row
    return rows
