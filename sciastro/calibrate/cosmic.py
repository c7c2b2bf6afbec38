"""Find cosmic rays on single frames, for sets too small to reject them by comparing frames.

Reads and writes ``signal`` [electron], ``variance`` [electron2] and ``quality`` (dims frame, y, x).
Method: L.A.Cosmic (van Dokkum 2001, PASP 113, 1420) as in astroscrappy, with our variance as its noise; hit
pixels get COSMIC_RAY and the median of their good neighbors (INTERPOLATED). On a color mosaic the
four phases of a Bayer sensor are searched apart.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.cfa import cell_side, color_plane, neighbors, phase_slices
from sciastro.core.history import record
from sciastro.core.lift import map_frames, require_loaded
from sciastro.core.options import Options, option
from sciastro.core.quality import Quality, flag_attributes
from sciastro.core.vocabulary import QUALITY, SIGNAL, VARIANCE, labeled, require
from sciastro.kernels.calibrate import repair_defects

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CosmicOptions", "clean_cosmics", "flag_cosmics"]

SMALLEST = 5  # pixels; astroscrappy writes beyond planes 1 or 2 pixels wide
Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True, slots=True)
class CosmicOptions(Options):
    """How cosmic rays are told from stars."""

    enabled: bool = option(
        False,
        "Whether a run does this step (3 s per megapixel and more); a stack of 5 frames seldom needs it.",
    )
    sigma: float = option(4.5, "Laplacian-to-noise limit.", unit="sigma", low=1.0, high=100.0)
    neighbor_fraction: float = option(
        0.3, "Fraction of that limit for neighbors of a hit.", low=0.01, high=1.0
    )
    contrast: float = option(
        5.0,
        "Least contrast between Laplacian and smooth image; raise it when stars are hit.",
        low=0.5,
        high=100.0,
    )
    iterations: int = option(4, "Rounds of search.", low=1, high=20)


DEFAULTS = CosmicOptions()


def flag_cosmics(frames: "xr.Dataset", *, options: CosmicOptions = DEFAULTS) -> "xr.Dataset":
    """Flag and repair cosmic rays, frame by frame.

    Parameters
    ----------
    frames
        ``signal`` [electron], ``variance`` [electron2], ``quality``; ``cfa`` where the frames are color
        mosaics. Not modified; lazy stays lazy.
    options
        Thresholds.

    Returns
    -------
    Dataset
        `frames` with ``signal``, ``variance`` and ``quality`` of hit pixels replaced: bits COSMIC_RAY and
        INTERPOLATED, or COSMIC_RAY and DO_NOT_USE with NaN where no good neighbor is left.

    Raises
    ------
    DatasetError
        If a variable is missing or has the wrong dims or unit.
    """
    require(frames, SIGNAL, VARIANCE, QUALITY)
    require_loaded(frames, "cfa")
    count = frames.sizes["frame"]
    cfa = np.array(
        [str(name) for name in frames["cfa"].values] if "cfa" in frames.variables else [""] * count
    )
    specs = (SIGNAL, VARIANCE, QUALITY)
    results = map_frames(
        partial(_one_frame, options=options),
        *(frames[spec.name] for spec in specs),
        dtypes=(np.float32, np.float32, np.uint16),
        per_frame=[cfa],
        whole_plane=True,
    )
    out = frames.assign({spec.name: labeled(spec, data) for spec, data in zip(specs, results, strict=True)})
    out = out.assign(quality=out["quality"].assign_attrs(flag_attributes()))
    return record(out, "calibrate.cosmic", options)


def _one_frame(
    signal: Floats, variance: Floats, quality: Bits, cfa: str, row: int, *, options: CosmicOptions
) -> tuple[Floats, Floats, Bits]:
    return clean_cosmics(signal, variance, quality, cfa=str(cfa), options=options)


def clean_cosmics(
    signal: npt.NDArray[Any],
    variance: npt.NDArray[Any],
    quality: npt.NDArray[Any],
    *,
    cfa: str = "",
    options: CosmicOptions = DEFAULTS,
) -> tuple[Floats, Floats, Bits]:
    """Return signal, variance and quality of one plane (y, x) with its cosmic rays flagged and repaired.

    A plane (or phase of a mosaic) under 5 pixels high or wide has no neighborhood to compare with: no hits.
    """
    signal, variance = np.array(signal, np.float32), np.array(variance, np.float32)
    bits = np.array(quality, np.uint16)
    hit = np.zeros(signal.shape, bool)
    if cell_side(cfa) == 3:
        hit = _search(_without_color(signal, cfa), variance, bits, options)
    else:
        for part in phase_slices(cfa):
            hit[part] = _search(signal[part], variance[part], bits[part], options)
    bits[hit] |= np.uint16(Quality.COSMIC_RAY)
    bad, around = np.uint16(Quality.COSMIC_RAY), neighbors(cfa)
    repair_defects(signal, variance, bits, bad, around, 0, 0, 0, signal.shape[0], 0, signal.shape[1])
    return signal, variance, bits


def _without_color(signal: Floats, cfa: str) -> Floats:
    """Return an X-Trans mosaic with the median of each color at 0: its phases lie too far apart to search."""
    color = color_plane(cfa, (signal.shape[0], signal.shape[1]))
    levels = [np.nanmedian(signal[color == c]) for c in range(3)]
    return np.asarray(signal - np.array(levels, np.float32)[color])


def _search(signal: Floats, variance: Floats, quality: Bits, options: CosmicOptions) -> npt.NDArray[np.bool_]:
    from astroscrappy import detect_cosmics  # compiled: not loaded before it is needed

    unusable = ~np.isfinite(signal) | ~(variance > 0)
    if unusable.all() or min(signal.shape) < SMALLEST:
        return np.zeros(signal.shape, bool)
    saturated = (quality & int(Quality.SATURATED)) != 0
    filled = np.where(unusable, np.median(signal[~unusable]), signal)
    noise = np.where(unusable, np.median(variance[~unusable]), variance)
    found, _ = detect_cosmics(
        np.ascontiguousarray(filled, dtype=np.float32),
        inmask=unusable | saturated,
        invar=np.ascontiguousarray(noise, dtype=np.float32),
        sigclip=options.sigma,
        sigfrac=options.neighbor_fraction,
        objlim=options.contrast,
        niter=options.iterations,
        gain=1.0,
        readnoise=0.0,
        satlevel=np.inf,
        sepmed=False,  # the separable median takes the cores of sharp stars for hits (43 pixels of 40 stars)
    )
    hit: npt.NDArray[np.bool_] = np.asarray(found, dtype=bool) & ~unusable & ~saturated
    return hit
