"""Calibrate raw frames: adu to electron, with variance and quality.

Reads ``raw`` [adu, (frame, y, x)] and the `frame` coordinates ``gain`` [electron / adu], ``read_noise``
[electron], ``saturation`` [adu], ``cfa`` and ``filter``; from `masters` ``dark``, ``dark_variance``,
``bias``, ``bias_variance``, ``flat``, ``flat_variance`` and ``defects``, each optional. Writes ``signal``
[electron], ``variance`` [electron2] and ``quality`` (dims frame, y, x).
Method: ``signal = g (raw - D) / F``; see `sciastro.kernels.calibrate` for the variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.planes import Planes, correct_window, dark_plane, repair_margin
from sciastro.core.history import record
from sciastro.core.lift import is_lazy, map_frames, require_loaded
from sciastro.core.options import Options, option
from sciastro.core.quality import flag_attributes
from sciastro.core.vocabulary import (
    CFA,
    FILTER,
    GAIN,
    QUALITY,
    RAW,
    READ_NOISE,
    SATURATION,
    SIGNAL,
    VARIANCE,
    labeled,
    require,
)
from sciastro.errors import DatasetError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CorrectOptions", "Planes", "correct", "correct_window", "dark_plane", "repair_margin"]

UNITS = {
    "dark": "adu",
    "dark_variance": "adu2",
    "bias": "adu",
    "bias_variance": "adu2",
    "flat": "1",
    "flat_variance": "1",
    "defects": "1",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class CorrectOptions(Options):
    """How raw counts become electrons."""

    gain: float | None = option(
        None, "Conversion gain; None takes that of the frames.", unit="electron / adu", low=1e-4, high=1e4
    )
    read_noise: float | None = option(
        None, "Read noise; None takes that of the frames.", unit="electron", low=0.0, high=1e4
    )
    saturation: float | None = option(
        None, "Level at which pixels saturate; None takes that of the frames.", unit="adu", low=1.0
    )
    repair: bool = option(
        True, "Whether hot, dead and low-flat pixels take the median of their good neighbors."
    )


DEFAULTS = CorrectOptions()
WRITTEN = (SIGNAL, VARIANCE, QUALITY)
FACTS = (GAIN, READ_NOISE, SATURATION, CFA, FILTER)


def correct(
    frames: "xr.Dataset", *, masters: "xr.Dataset | None" = None, options: CorrectOptions = DEFAULTS
) -> "xr.Dataset":
    """Calibrate every frame with the same masters.

    Parameters
    ----------
    frames
        ``raw`` [adu, (frame, y, x)], integer or float; ``gain`` and ``read_noise`` unless the options
        give them. Not modified; lazy stays lazy.
    masters
        Any of ``dark`` (bias included) [adu], ``dark_variance`` [adu2], ``bias`` (plane or number) [adu],
        ``bias_variance`` [adu2], ``flat`` and ``flat_variance`` [1], ``defects`` (bits), dims (y, x).
        A flat may have dims (band, y, x) with a labeled ``band``: each frame then takes the one of its
        ``filter``. None or an absent plane: that correction is not made.
    options
        Gain, read noise and saturation where the frames do not know them.

    Returns
    -------
    Dataset
        `frames` with ``signal`` [electron], ``variance`` [electron2] and ``quality``. Missing pixels
        are NaN with NO_DATA or DO_NOT_USE; negatives stay, since cutting them off biases the faint sky.

    Raises
    ------
    DatasetError
        If ``raw``, a fact or a master has the wrong dims, shape or unit, a fact is lazy, or gain or read
        noise are unknown.
    """
    import xarray as xr

    require(frames, RAW, *(spec for spec in FACTS if spec.name in frames.variables))
    require_loaded(frames, *(spec.name for spec in FACTS))
    masters = xr.Dataset() if masters is None else masters
    _check_masters(frames, masters)
    scalars = [
        _numbers(frames, "gain", options.gain),
        _numbers(frames, "read_noise", options.read_noise),
        _numbers(frames, "saturation", options.saturation, _ceiling(frames["raw"])),
        np.array([str(value) for value in _column(frames, "cfa", "")], dtype=str),
    ]
    _check_detector(scalars[0], scalars[1])
    groups = _groups(frames, masters)
    parts = [
        _correct_group(frames["raw"], masters, band, index, scalars, options.repair) for band, index in groups
    ]
    order = np.argsort(np.concatenate([index for _, index in groups]), kind="stable")
    planes = [xr.concat([part[k] for part in parts], dim="frame") for k in range(3)]
    if len(groups) > 1:
        planes = [plane.isel(frame=order) for plane in planes]
    out = frames.assign(
        {spec.name: labeled(spec, plane.data) for spec, plane in zip(WRITTEN, planes, strict=True)}
    )
    out = out.assign(quality=out["quality"].assign_attrs(flag_attributes()))
    return record(out, "calibrate.correct", options, masters=" ".join(sorted(str(name) for name in masters)))


def _correct_group(
    raw: "xr.DataArray",
    masters: "xr.Dataset",
    band: str | None,
    index: npt.NDArray[np.intp],
    scalars: Sequence[npt.NDArray[Any]],
    repair: bool,
) -> "list[xr.DataArray]":
    """Calibrate the frames `index`, which share their masters."""
    import xarray as xr

    names = [name for name in UNITS if name in masters and "y" in masters[name].dims]
    planes = [masters[name] for name in names]
    planes = [plane.sel(band=band) if "band" in plane.dims else plane for plane in planes]
    raw = raw.isel(frame=index)
    # The level of a plane, and the repair, need all rows of a frame at once.
    whole = bool({"dark", "bias"} & set(names)) or (repair and "defects" in names)
    if is_lazy(raw) or is_lazy(*planes):
        rows = -1 if whole or raw.chunks is None else raw.chunks[1]
        planes = [plane.chunk({"y": rows, "x": -1}) for plane in planes]
    level = float(masters["bias"]) if "bias" in masters and "bias" not in names else None
    results = map_frames(
        partial(_one_frame, names=tuple(names), level=level, repair=repair),
        raw,
        *planes,
        dtypes=(np.float32, np.float32, np.uint16),
        per_frame=[column[index] for column in scalars],
        whole_plane=whole,
    )
    return [xr.DataArray(result, dims=("frame", "y", "x")) for result in results]


def _one_frame(
    raw: npt.NDArray[Any], *rest: Any, names: tuple[str, ...], level: float | None, repair: bool
) -> tuple[npt.NDArray[Any], ...]:
    """Calibrate rows of one frame; `rest`: the planes `names`, gain, read noise, saturation, cfa, row."""
    given: dict[str, npt.NDArray[Any]] = dict(zip(names, rest[: len(names)], strict=True))
    gain, read_noise, saturation, cfa, _ = rest[len(names) :]
    single = {
        name: np.ascontiguousarray(plane, dtype=np.float32)
        for name, plane in given.items()
        if name != "defects"
    }
    dark, dark_variance, bias_level = dark_plane(
        single.get("dark"), single.get("dark_variance"), single.get("bias"), single.get("bias_variance")
    )
    planes = Planes(
        dark=dark,
        dark_variance=dark_variance,
        bias_level=bias_level if level is None else level,
        flat=single.get("flat"),
        flat_variance=single.get("flat_variance"),
        defects=given["defects"].astype(np.uint16) if "defects" in given else None,
        gain=float(gain),
        read_noise=float(read_noise),
        saturation=float(saturation),
        cfa=str(cfa),
    )
    return correct_window(np.ascontiguousarray(raw), planes, repair=repair)


def _column(frames: "xr.Dataset", name: str, otherwise: Any) -> npt.NDArray[Any]:
    if name in frames.variables:
        return np.broadcast_to(np.asarray(frames[name].values), (frames.sizes["frame"],))
    return np.full(frames.sizes["frame"], otherwise)


def _numbers(
    frames: "xr.Dataset", name: str, given: float | None, otherwise: float = float("nan")
) -> npt.NDArray[np.float64]:
    if given is not None:
        return np.full(frames.sizes["frame"], given)
    values = _column(frames, name, otherwise).astype(np.float64)
    return np.where(np.isfinite(values), values, otherwise)


def _check_detector(gain: npt.NDArray[np.float64], read_noise: npt.NDArray[np.float64]) -> None:
    """Say now, not when lazy pixels are computed, that a frame's gain or read noise is unknown."""
    for i, (one_gain, one_noise) in enumerate(zip(gain, read_noise, strict=True)):
        try:
            Planes(gain=float(one_gain), read_noise=float(one_noise))
        except DatasetError as error:
            raise DatasetError(
                error.found, where=f"{error.where} of frame {i}", remedy=error.remedy
            ) from error


def _ceiling(raw: "xr.DataArray") -> float:
    """Return the largest number that an unsigned raw can hold; NaN for other types."""
    return float(np.iinfo(raw.dtype).max) if raw.dtype.kind == "u" else float("nan")


def _check_masters(frames: "xr.Dataset", masters: "xr.Dataset") -> None:
    shape = tuple(frames["raw"].sizes[dim] for dim in ("y", "x"))
    for name, unit in UNITS.items():
        if name not in masters.variables:
            continue
        plane, where = masters[name], f"master '{name}'"
        found = plane.attrs.get("units", "")
        if found != unit:
            raise DatasetError(
                f"is in {found!r}, and this step needs {unit!r}.", where=where, remedy="Convert it."
            )
        scalar = name == "bias" and plane.dims == ()
        banded = name.startswith("flat") and plane.dims == ("band", "y", "x") and "band" in plane.coords
        if not (plane.dims == ("y", "x") or scalar or banded):
            raise DatasetError(f"has dims {plane.dims}.", where=where, remedy="A master has dims ('y', 'x').")
        if not scalar and plane.shape[-2:] != shape:
            raise DatasetError(
                f"is {plane.shape[-2:]}, and the frames are {shape}.",
                where=where,
                remedy="Use masters of this camera.",
            )


def _groups(frames: "xr.Dataset", masters: "xr.Dataset") -> list[tuple[str | None, npt.NDArray[np.intp]]]:
    """Return the frames that share a flat, with the name of its band (None: one flat for all)."""
    everything = np.arange(frames.sizes["frame"])
    if "flat" not in masters.variables or "band" not in masters["flat"].dims:
        return [(None, everything)]
    filters = [str(value) for value in _column(frames, "filter", "")]
    bands = [str(value) for value in masters["flat"]["band"].values]
    missing = sorted(set(filters) - set(bands))
    if missing:
        raise DatasetError(
            f"has no flat for filter {', '.join(missing)}; it has {', '.join(bands)}.",
            where="master 'flat'",
            remedy="Add flats of that filter, or calibrate those frames without a flat.",
        )
    return [(band, everything[[name == band for name in filters]]) for band in dict.fromkeys(filters)]
