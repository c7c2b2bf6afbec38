"""The facts of a product from the dataset that it is made of, so that files and datasets say the same."""

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.core.history import KEY
from sciastro.io.product_cards import FRAME_CARDS, ProductFacts

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["frame_facts", "image_facts"]


def _number(ds: "xr.Dataset", name: str, dim: str, index: int) -> float:
    if name not in ds.variables:
        return math.nan
    values = ds[name]
    return float(values.isel({dim: index}).values) if dim in values.dims else float(values.values)


def _text(ds: "xr.Dataset", name: str, dim: str, index: int) -> str:
    if name in ds.variables:
        values = ds[name]
        return str(values.isel({dim: index}).values if dim in values.dims else values.values)
    return str(ds.attrs.get(name, ""))


def _attr(ds: "xr.Dataset", name: str) -> float:
    return float(ds.attrs.get(name, math.nan))


def _zeropoint(ds: "xr.Dataset", band: str, index: int) -> dict[str, Any] | None:
    """Return the fit as JSON has it, else what the variables alone say."""
    if not math.isfinite(_number(ds, "zeropoint", "band", index)):
        return None
    details = json.loads(ds["zeropoint"].attrs.get("details", "{}"))
    if isinstance(details.get(band), dict) and "mag" in details[band]:
        return dict(details[band])
    return {
        "mag": _number(ds, "zeropoint", "band", index),
        "err": _number(ds, "zeropoint_err", "band", index),
        "color_term": _number(ds, "color_term", "band", index),
    }


def image_facts(ds: "xr.Dataset", index: int) -> ProductFacts:
    """Return the facts of band number `index` of an integrated dataset.

    Parameters
    ----------
    ds
        Variables of the vocabulary on `band`; attributes ``target``, ``telescope``, ``instrument``,
        ``date_begin``, ``date_average``, ``date_end`` (ISO 8601, UTC), ``latitude``, ``longitude`` [deg],
        ``elevation`` [m] and ``history``, as far as they are there.
    """
    band = str(ds["band"].values[index]) if "band" in ds.coords else ""
    frames = _number(ds, "n_frames", "band", index)
    return ProductFacts(
        target=str(ds.attrs.get("target", "")),
        band=band,
        telescope=str(ds.attrs.get("telescope", "")),
        instrument=str(ds.attrs.get("instrument", "")),
        date_begin=_text(ds, "date_begin", "band", index),
        date_average=_text(ds, "date_average", "band", index),
        date_end=_text(ds, "date_end", "band", index),
        exposure=_number(ds, "image_exposure", "band", index),
        n_frames=int(frames) if math.isfinite(frames) else 0,
        latitude=_attr(ds, "latitude"),
        longitude=_attr(ds, "longitude"),
        elevation=_attr(ds, "elevation"),
        noise_correlation=_number(ds, "noise_correlation", "band", index),
        zeropoint=_zeropoint(ds, band, index),
        color_gain=_number(ds, "color_gain", "band", index),
        color_gain_err=_number(ds, "color_gain_err", "band", index),
        history=str(ds.attrs.get(KEY, "")),
    )


def frame_facts(ds: "xr.Dataset", index: int) -> ProductFacts:
    """Return the facts of frame number `index`: coordinates of the vocabulary on `frame`, where there."""
    exposure = _number(ds, "exposure", "frame", index)
    begin, average, end = "", "", ""
    if "time" in ds.variables:
        middle = np.datetime64(ds["time"].values[index], "ms")
        if not np.isnat(middle):
            average = str(middle)
            half = np.timedelta64(round(500 * exposure), "ms") if math.isfinite(exposure) else None
            begin, end = (str(middle - half), str(middle + half)) if half is not None else ("", "")
    return ProductFacts(
        target=_text(ds, "target", "frame", index),
        band=_text(ds, "filter", "frame", index),
        telescope=str(ds.attrs.get("telescope", "")),
        instrument=str(ds.attrs.get("instrument", "")),
        date_begin=begin,
        date_average=average,
        date_end=end,
        exposure=exposure,
        n_frames=1,
        latitude=_attr(ds, "latitude"),
        longitude=_attr(ds, "longitude"),
        elevation=_attr(ds, "elevation"),
        measured={name: _number(ds, name, "frame", index) for name in FRAME_CARDS},
        history=str(ds.attrs.get(KEY, "")),
    )
