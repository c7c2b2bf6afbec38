"""Append-only history: which step, with which options, by which version.

Kept in ``attrs["history"]`` as one JSON object per line, so that netCDF, FITS and a human can read
it. `record` returns a new dataset and never touches the old one.
"""

import json
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from sciastro.core.options import Options

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["entry", "history", "inherit", "package_version", "record"]

KEY = "history"


def package_version() -> str:
    """Return the installed version of sciastro ("0+unknown" in a bare source tree)."""
    try:
        return version("sciastro")
    except PackageNotFoundError:
        return "0+unknown"


def entry(step: str, options: Options | None = None, **facts: str | float | int) -> str:
    """Return one history entry as `record` adds it; the parameters are the same."""
    content: dict[str, Any] = {"step": step, "version": package_version()}
    if options is not None:
        content["options"] = options.as_dict()
    content.update(facts)
    return json.dumps(content, sort_keys=True)


def record(
    ds: "xr.Dataset", step: str, options: Options | None = None, **facts: str | float | int
) -> "xr.Dataset":
    """Return `ds` with one more history entry.

    Parameters
    ----------
    ds
        Dataset that the step has made; not modified.
    step
        Name in the recipe table, for instance "integrate.stack".
    options
        The options that the step was run with.
    **facts
        Further plain values worth keeping.
    """
    line = entry(step, options, **facts)
    before = ds.attrs.get(KEY, "")
    return ds.assign_attrs({KEY: f"{before}\n{line}" if before else line})


def history(ds: "xr.Dataset") -> list[dict[str, Any]]:
    """Return the history entries of `ds`, oldest first."""
    return [json.loads(line) for line in ds.attrs.get(KEY, "").splitlines() if line]


def inherit(child: "xr.Dataset", parent: "xr.Dataset") -> "xr.Dataset":
    """Return `child` (a dataset on a new grid) with the attributes and history of `parent`."""
    return child.assign_attrs({**parent.attrs, **child.attrs, KEY: parent.attrs.get(KEY, "")})
