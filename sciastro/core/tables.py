"""Tables as users have them: astropy's, with or without units, and pandas'."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.errors import DatasetError

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["as_table", "column_numbers", "numbers_if_there"]


def as_table(given: Any, where: str) -> "Table":
    """Return an astropy table; one of pandas is copied into it, column by column.

    Parameters
    ----------
    where
        What it is, for the error.

    Raises
    ------
    DatasetError
        If it is no table.
    """
    if hasattr(given, "colnames"):
        return given
    if hasattr(given, "itertuples") and hasattr(given, "columns"):
        from astropy.table import QTable

        return QTable.from_pandas(given)
    raise DatasetError(
        f"is {type(given).__name__}.", where=where, remedy="Give a table of astropy, or a pandas DataFrame."
    )


def column_numbers(table: Any, name: str) -> npt.NDArray[np.float64]:
    """Return a column as float64 without its unit; NaN where it is masked."""
    column = table[name]
    return np.asarray(np.ma.filled(np.ma.asarray(getattr(column, "value", column), dtype=np.float64), np.nan))


def numbers_if_there(table: Any, name: str) -> npt.NDArray[np.float64]:
    """Return `column_numbers`, or NaN for every row where the table has no such column."""
    return column_numbers(table, name) if name in table.colnames else np.full(len(table), np.nan)
