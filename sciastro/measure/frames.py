"""Measure every frame: width and roundness of stars, sky, noise and star count.

Reads ``signal`` [electron] and ``exposure`` [s], and ``quality`` and ``variance`` where they are there.
Writes the `frame` coordinates ``fwhm`` [pixel], ``eccentricity`` [1], ``sky`` and ``noise``
[electron / s], ``n_stars`` and ``elongation`` [1].
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.history import record
from sciastro.core.lift import frame_facts
from sciastro.core.quality import unusable
from sciastro.core.vocabulary import (
    ECCENTRICITY,
    ELONGATION,
    EXPOSURE,
    FWHM,
    N_STARS,
    NOISE,
    QUALITY,
    SIGNAL,
    SKY,
    VARIANCE,
    labeled,
    require,
)
from sciastro.measure.stars import DetectOptions, measure_plane

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["measure"]

DEFAULTS = DetectOptions()


def measure(frames: "xr.Dataset", *, options: DetectOptions = DEFAULTS) -> "xr.Dataset":
    """Measure every frame.

    Parameters
    ----------
    frames
        ``signal`` [electron, (frame, y, x)], ``exposure`` [s, (frame)]; ``quality`` and ``variance``
        are used where present. Not modified; lazy pixels give lazy facts.
    options
        How stars are found.

    Returns
    -------
    Dataset
        `frames` with the coordinates ``fwhm``, ``eccentricity`` (NaN where no star is seen), ``sky``,
        ``noise`` (NaN where the frame has no usable pixel or no exposure), ``n_stars`` and ``elongation``
        (NaN where no star is seen).

    Raises
    ------
    DatasetError
        If a variable is missing or has the wrong dims or unit.
    """
    require(frames, SIGNAL, EXPOSURE)
    extra = [spec for spec in (QUALITY, VARIANCE) if spec.name in frames.variables]
    require(frames, *extra)
    planes = [frames[spec.name] for spec in (SIGNAL, *extra)]
    work = partial(_facts, names=tuple(spec.name for spec in extra), options=options)
    facts = frame_facts(work, *planes, count=6)
    exposure = frames["exposure"].data
    with np.errstate(divide="ignore", invalid="ignore"):
        sky, noise = facts[:, 2] / exposure, facts[:, 3] / exposure
    out = frames.assign_coords(
        fwhm=labeled(FWHM, facts[:, 0]),
        eccentricity=labeled(ECCENTRICITY, facts[:, 1]),
        sky=labeled(SKY, sky),
        noise=labeled(NOISE, noise),
        n_stars=labeled(N_STARS, facts[:, 4].astype(np.int64)),
        elongation=labeled(ELONGATION, facts[:, 5]),
    )
    return record(out, "measure.stars", options)


def _facts(
    signal: npt.NDArray[np.floating],
    *planes: npt.NDArray[Any],
    names: tuple[str, ...],
    options: DetectOptions,
) -> npt.NDArray[np.float64]:
    """Return fwhm, eccentricity, sky, noise [electron], star count and elongation of one frame."""
    extra = dict(zip(names, planes, strict=True))
    seen = np.isfinite(signal)
    if "quality" in extra:
        seen &= ~unusable(extra["quality"])
    if not seen.any():
        return np.array([np.nan, np.nan, np.nan, np.nan, 0.0, np.nan])
    found = measure_plane(signal, extra.get("quality"), gain_noise=extra.get("variance"), options=options)
    return np.array(
        [
            found.fwhm,
            found.eccentricity,
            found.sky,
            found.noise,
            float(found.n_stars),
            found.shape.elongation,
        ]
    )
