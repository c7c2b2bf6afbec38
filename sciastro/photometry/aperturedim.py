"""A table of sources measured through several apertures as a labeled dataset with the dim `aperture`."""

from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.errors import DatasetError

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import Table

__all__ = ["apertures_dataset"]

_PER_APERTURE = ("flux", "flux_err", "mag_inst", "mag_inst_err", "mag", "mag_err", "snr", "area", "flags")


def apertures_dataset(table: "Table") -> "xr.Dataset":
    """Return the fluxes of a table with numbered columns (``flux``, ``flux_2``, ...) along a dimension.

    Parameters
    ----------
    table
        From `aperture.measure_sources`, `forced.forced_photometry` or `sciastro.aperture_photometry`.

    Returns
    -------
    Dataset
        Dims `source`, `aperture`: fluxes, errors, magnitudes, areas and flags; coordinates ``radius``
        [pixel] and ``correction`` on `aperture`; every other column of numbers on `source`. Attribute
        ``units`` where a column has one. NaN means what it means in the table.

    Raises
    ------
    DatasetError
        If the table does not say what its apertures are.
    """
    import xarray as xr

    told = table.meta.get("apertures")
    if not told or "flux" not in table.colnames:
        raise DatasetError(
            "does not say what its apertures are.", where="table of sources",
            remedy="Give one of `sciastro.aperture_photometry`.",
        )  # fmt: skip
    n = len(told)
    variables: dict[str, Any] = {}
    for name in (one for one in _PER_APERTURE if one in table.colnames):
        columns = [table[name if k == 0 else f"{name}_{k + 1}"] for k in range(n)]
        values = np.stack([np.asarray(getattr(one, "value", one)) for one in columns], axis=-1)
        variables[name] = (("source", "aperture"), values, _units(columns[0]))
    for name in table.colnames:
        plain = np.asarray(getattr(table[name], "value", table[name]))
        numbered = name.rpartition("_")[2].isdigit()
        if name not in variables and not numbered and plain.dtype.kind in "fiu" and plain.ndim == 1:
            variables[name] = (("source",), plain, _units(table[name]))
    radius = np.array([one["radius_pixel"] for one in told], dtype=np.float64)
    correction = np.array([one["correction"] for one in told], dtype=np.float64)
    return xr.Dataset(variables).assign_coords(
        radius=("aperture", radius, {"units": "pixel"}), correction=("aperture", correction, {"units": "1"})
    )


def _units(column: Any) -> dict[str, str]:
    unit = getattr(column, "unit", None)
    return {"units": str(unit) if unit is not None else "1"}
