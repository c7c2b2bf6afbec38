"""The frames of each band of a stack, and what is known of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.lift import require_loaded
from sciastro.core.transform import identity
from sciastro.core.vocabulary import (
    EXPOSURE,
    FILTER,
    FRAME_CORRELATION,
    FROM_REFERENCE,
    FWHM,
    NOISE,
    SKY,
    TRANSPARENCY,
    USE,
    WEIGHT,
    VariableSpec,
    require,
)
from sciastro.errors import DatasetError
from sciastro.integrate.normalize import NormalizeOptions, Terms, terms
from sciastro.integrate.options import StackOptions
from sciastro.integrate.weights import filled

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Group", "groups_of", "notes_of"]

LARGEST_CORRELATION = 100.0  # an image enlarged a hundred times; more is damage

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Group:
    """The frames of one band, by number, and what is known of them, per frame.

    `reject_terms` normalize for the search for outliers where that differs from `terms`; `noise` is that of
    the sky of each frame [electron], 1 where nobody knows it; `fwhm` NaN where nobody knows it [pixel].
    """

    name: str
    members: npt.NDArray[np.intp]
    maps: Floats
    terms: Terms
    reject_terms: Terms | None
    weight: Floats
    correlation: Floats
    noise: Floats
    fwhm: Floats
    exposure: float


def _optional(frames: "xr.Dataset", spec: VariableSpec) -> npt.NDArray[np.generic] | None:
    if spec.name not in frames.variables:
        return None
    require(frames, spec)
    require_loaded(frames, spec.name)
    return np.asarray(frames[spec.name].values)


def groups_of(frames: "xr.Dataset", options: StackOptions) -> tuple[list[Group], list[str]]:
    """Return the bands that have usable frames, and the names of those that have none.

    Raises
    ------
    DatasetError
        If no frame is usable, fewer than ``min_frames`` of a band are, a fact has the wrong dims or unit or
        is lazy, or a normalization is asked for that the frames do not tell.
    """
    n = frames.sizes["frame"]
    known = {
        spec.name: _optional(frames, spec)
        for spec in (
            EXPOSURE, FILTER, WEIGHT, USE, FROM_REFERENCE, SKY, NOISE, TRANSPARENCY, FRAME_CORRELATION, FWHM
        )
    }  # fmt: skip
    maps = (
        np.repeat(identity()[None], n, axis=0) if (m := known["from_reference"]) is None else m.astype(float)
    )
    weight = np.ones(n) if (w := known["weight"]) is None else w.astype(float)
    correlation = np.ones(n) if (r := known["frame_correlation"]) is None else r.astype(float)
    _require_sane(weight, correlation)
    usable = (weight > 0) & np.isfinite(maps).all(axis=(1, 2))
    if (use := known["use"]) is not None:
        usable &= use.astype(bool)
    names = np.asarray(known["filter"]).astype(str)
    groups, left_out = [], []
    for name in dict.fromkeys(names.tolist()):
        members = np.flatnonzero((names == name) & usable)
        if members.size == 0:
            left_out.append(name)
            continue
        if members.size < options.min_frames:
            raise DatasetError(
                f"has {members.size} usable frames, and `min_frames` is {options.min_frames}.",
                where=f"band '{name}'",
                remedy="Add frames, or lower `min_frames`.",
            )
        seconds = np.asarray(known["exposure"])[members].astype(float)
        reference = _reference_of(maps[members], weight[members])
        own = _terms(known, members, options.normalize, options.scale, reference)
        other = None
        if options.rejects_otherwise:
            other = _terms(known, members, options.reject_normalize, options.reject_scale, reference)
        groups.append(
            Group(
                name, members, maps[members], own, other,
                weight[members], correlation[members], _sky_noise(known, members),
                np.full(members.size, np.nan) if (w := known["fwhm"]) is None else w[members].astype(float),
                float(seconds.sum()),
            )
        )  # fmt: skip
    if not groups:
        raise DatasetError(
            "holds no usable frame.",
            where="the frame dimension",
            remedy="Look at `use`, `weight`, `reason` and `from_reference`.",
        )
    return groups, left_out


def _require_sane(weight: Floats, correlation: Floats) -> None:
    """Check what would make a stack of nothing but NaN, or of one frame, without a word.

    Raises
    ------
    DatasetError
        If a weight is negative or infinite, or a correlation none that resampling leaves.
    """
    if np.any(wrong := (weight < 0) | np.isinf(weight)):
        raise DatasetError(
            f"holds {weight[wrong][0]} (frame {np.flatnonzero(wrong)[0]}).",
            where="coordinate 'weight'",
            remedy="Give weights from 0 on; 0 or NaN leaves a frame out.",
        )
    if np.any(wrong := (correlation <= 0) | (correlation > LARGEST_CORRELATION)):
        raise DatasetError(
            f"holds {correlation[wrong][0]} (frame {np.flatnonzero(wrong)[0]}).",
            where="coordinate 'frame_correlation'",
            remedy="It is about 1 to 2 (NCORR in files); drop it, where nobody knows it.",
        )


Known = dict[str, npt.NDArray[np.generic] | None]


def _terms(known: Known, members: npt.NDArray[np.intp], mode: str, source: str, reference: int) -> Terms:
    """Return the normalization of a group; `source` is what its multiplicative part makes equal.

    Raises
    ------
    DatasetError
        If that is not known of the frames.
    """
    source = source if mode in ("multiplicative", "both") else "stars"  # nothing is made equal
    sensitivity = known["transparency" if source == "stars" else "noise"]
    if source not in ("stars", "noise") or (source == "noise" and sensitivity is None):
        raise DatasetError(
            f"are to be normalized by '{source}', which they do not tell.",
            where="the frames",
            remedy="Set `stack.scale` and `stack.scale_reject` to stars (or noise, after `measure.stars`); "
            "scales of all pixels are measured by a run alone.",
        )
    sky = known["sky"]
    return terms(
        np.asarray(known["exposure"])[members],
        None if sky is None else sky[members],
        None if sensitivity is None else sensitivity[members],
        reference=reference,
        options=NormalizeOptions(mode=mode),
    )


def _sky_noise(known: Known, members: npt.NDArray[np.intp]) -> Floats:
    """Return the noise of the sky of each frame [electron]; 1 where it is not known."""
    rate = known["noise"]
    if rate is None:
        return np.ones(members.size)
    seconds = np.asarray(known["exposure"])[members].astype(float)
    noise = rate[members].astype(float)
    return np.asarray(filled(np.where(noise > 0, noise, np.nan)) * seconds)


def _reference_of(maps: Floats, weight: Floats) -> int:
    """Return the frame whose sky and transparency a band gets: the reference frame, else the best one."""
    still = identity()
    same = [
        i for i, c in enumerate(maps)
        if np.allclose(c[:, :3], still, atol=1e-9) and not np.any(np.abs(c[:, 3:]) > 1e-9)
    ]  # fmt: skip
    return same[0] if len(same) == 1 else int(np.argmax(weight))


def notes_of(groups: list[Group], left_out: list[str], options: StackOptions) -> dict[str, str]:
    """Return what the history says of bands that were left out, or in which nothing could be rejected."""
    few = [g.name for g in groups if options.reject != "none" and g.members.size < options.min_reject]
    notes = {}
    if few:
        notes["not_rejected"] = f"fewer than {options.min_reject} frames: {', '.join(few)}"
    weak = [g.name for g in groups if options.powerless(g.members.size)]
    if weak:
        notes["rejection"] = f"one outlier cannot stand out of so few frames by this rule: {', '.join(weak)}"
    if left_out:
        notes["left_out"] = f"no usable frame: {', '.join(left_out)}"
    return notes
