"""Register every frame of a dataset: star lists in, maps out.

Writes ``from_reference`` (frame, axis, term) [pixel] and the `frame` coordinates
``registration_rms`` [pixel] and ``registration_stars``. A frame that cannot be registered keeps NaN
in its map, and says why in ``registration_reason``; nothing is dropped here. With the model "distortion" the
maps go from the undistorted picture of the reference frame, and no frame has the identity.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.drifting import register_drifting
from sciastro.astrometry.register import RegisterOptions, register
from sciastro.core import transform
from sciastro.core.history import record
from sciastro.core.options import option
from sciastro.core.stars import StarArray
from sciastro.core.vocabulary import (
    FROM_REFERENCE,
    REGISTRATION_REASON,
    REGISTRATION_RMS,
    REGISTRATION_STARS,
    SIGNAL,
    labeled,
    require,
)
from sciastro.errors import DatasetError, MatchError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["RegisterFramesOptions", "best_reference", "register_frames"]

Floats = npt.NDArray[np.float64]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisterFramesOptions(RegisterOptions):
    """How all frames are registered."""

    reference: int | None = option(
        None, "Number of the reference frame, from 0 in order of time; none takes the best.", low=0
    )


DEFAULTS = RegisterFramesOptions()


def best_reference(star_lists: Sequence[StarArray]) -> int:
    """Return the number of the frame with the most stars per squared width, the sharp and deep one."""
    merit = [
        stars.size / max(float(np.median(stars["fwhm"])), 0.5) ** 2 if stars.size else 0.0
        for stars in star_lists
    ]
    return int(np.argmax(merit))


def register_frames(
    frames: "xr.Dataset", star_lists: Sequence[StarArray], *, options: RegisterFramesOptions = DEFAULTS
) -> "xr.Dataset":
    """Register every frame to the reference.

    Parameters
    ----------
    frames
        ``signal`` [electron, (frame, y, x)]; only its shape counts, its pixels are not touched. Not modified.
    star_lists
        One `STAR_DTYPE` array per frame, brightest first.
    options
        Tolerances, highest degree, reference frame.

    Returns
    -------
    Dataset
        `frames` with ``from_reference`` [pixel, (frame, axis, term)] (NaN unregistered) and the coordinates
        ``registration_rms`` [pixel], ``registration_stars`` [1], ``registration_reason`` (empty where
        registered). The history names frames with too few stars for the model that was asked for.

    Raises
    ------
    DatasetError
        If ``signal`` is missing or has the wrong dims or unit, if the numbers of frames and star lists
        differ, or if the reference does not exist.
    """
    require(frames, SIGNAL)
    n_frames = frames.sizes["frame"]
    if len(star_lists) != n_frames:
        raise DatasetError(
            f"holds {n_frames} frames, and {len(star_lists)} star lists came with it.",
            where="dataset",
            remedy="Measure every frame.",
        )
    reference = best_reference(star_lists) if options.reference is None else options.reference
    if reference >= n_frames:
        raise DatasetError(
            f"has no frame {reference}.",
            where="dataset",
            remedy=f"Choose a reference from 0 to {n_frames - 1}.",
        )
    shape = (frames.sizes["y"], frames.sizes["x"])
    place = _by_camera if options.model == "distortion" else _one_by_one
    found, rms, count, reason, shortfall = place(star_lists, shape, reference, options)
    degree = max([options.max_degree, *(transform.degree_of(c.shape[1]) for c in found if c is not None)])
    maps = np.full((n_frames, 2, transform.n_terms(degree)), np.nan)
    for i, c in enumerate(found):
        if c is not None:
            maps[i] = transform.pad(c, degree)
    out = (
        frames.drop_vars(FROM_REFERENCE.name, errors="ignore")
        .assign({FROM_REFERENCE.name: labeled(FROM_REFERENCE, maps)})
        .assign_coords(
            registration_rms=labeled(REGISTRATION_RMS, rms),
            registration_stars=labeled(REGISTRATION_STARS, count),
            registration_reason=labeled(REGISTRATION_REASON, np.array(reason, dtype=str)),
        )
    )
    told = {"shortfall": "; ".join(shortfall)} if shortfall else {}
    return record(out, "astrometry.register", options, reference=reference, **told)


Found = tuple[list[Floats | None], Floats, npt.NDArray[np.int64], list[str], list[str]]
"""Per frame: map (None unregistered), residual [pixel], stars, reason; then frames of another model, why."""


def _one_by_one(
    star_lists: Sequence[StarArray], shape: tuple[int, int], reference: int, options: RegisterOptions
) -> Found:
    n = len(star_lists)
    maps: list[Floats | None] = [None] * n
    rms, count, reason = np.full(n, np.nan), np.zeros(n, np.int64), [""] * n
    shortfall: list[str] = []
    for i, stars in enumerate(star_lists):
        if i == reference:
            maps[i], rms[i], count[i] = transform.identity(), 0.0, stars.size
            continue
        try:
            found = register(star_lists[reference], stars, shape, options)
        except MatchError as error:
            reason[i] = str(error)
            logger.warning("frame %d: %s", i, error)
            continue
        maps[i], rms[i], count[i] = found.from_reference, found.rms, found.n
        if found.shortfall:
            logger.warning("frame %d: %s", i, found.shortfall)
            shortfall.append(f"frame {i}: {found.shortfall}")
    return maps, rms, count, reason, shortfall


def _by_camera(
    star_lists: Sequence[StarArray], shape: tuple[int, int], reference: int, options: RegisterOptions
) -> Found:
    """Place all frames on the undistorted picture of the reference frame (`drifting`)."""
    model = register_drifting(star_lists, shape, reference, options)
    for i, one in enumerate(model.frames):
        if one.reason:
            logger.warning("frame %d: %s", i, one.reason)
    return (
        [None if one.reason else one.from_reference for one in model.frames],
        np.array([one.rms for one in model.frames]),
        np.array([one.n for one in model.frames], dtype=np.int64),
        [one.reason for one in model.frames],
        [],
    )
