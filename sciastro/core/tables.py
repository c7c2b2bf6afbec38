"""Tables as users have them: astropy's, with or without units, and pandas'."""

from typing import TYPE_CHECKING, Any

from sciastro.errors import DatasetError

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["as_table"]


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
