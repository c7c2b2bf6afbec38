"""Where the data files that come with sciastro lie, and small tables of numbers among them."""

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sciastro.errors import CatalogError

__all__ = ["catalog_root", "shipped_columns", "shipped_names"]


def catalog_root() -> Path:
    """Return the folder of the data files: the one inside the package, or beside it in a source tree.

    Raises
    ------
    CatalogError
        If the data files are missing.
    """
    inside = Path(str(files("sciastro"))) / "catalogs"
    root = inside if (inside / "manifest.toml").is_file() else inside.parent.parent / "catalogs"
    if not (root / "manifest.toml").is_file():
        raise CatalogError(
            "holds no manifest.toml.",
            where=str(root),
            remedy="Install sciastro again: its data files are missing.",
        )
    return root


@lru_cache(maxsize=4)
def shipped_names(folder: str) -> tuple[str, ...]:
    """Return the names of the tables in one folder of the data files, without their ending."""
    return tuple(sorted(path.stem for path in (catalog_root() / folder).glob("*.csv")))


@lru_cache(maxsize=64)
def shipped_columns(folder: str, name: str) -> npt.NDArray[np.float64]:
    """Return the numbers of a shipped table, (column, row), read-only.

    The file is comma-separated text: lines that start with ``#``, one line of names, numbers.

    Raises
    ------
    CatalogError
        Where the file is missing or damaged.
    """
    path = catalog_root() / folder / f"{name}.csv"
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        table = np.array([[float(part) for part in line.split(",")] for line in lines[1:]])
    except (OSError, ValueError) as error:
        raise CatalogError(
            f"cannot be read ({error}).", where=str(path), remedy="Install sciastro again."
        ) from error
    table.flags.writeable = False
    return table.T
