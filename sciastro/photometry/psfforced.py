"""The light of point sources at given positions, by the PSF: what is there, whether or not anything is seen.

Reads an image as PSF photometry of it left it (`psfphotometry.PsfResult`) and positions [pixel]. Gives one
row per position, in their order, none left out. Method: positions are held, all stars of the image that lie
on none of them are fit along with them, so that the light of neighbors is taken off.
"""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.stars import STAR_DTYPE
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.forced import as_places
from sciastro.photometry.psfphotometry import DEFAULTS, PsfOptions, PsfResult, SkyMap, no_sky, psf_photometry
from sciastro.photometry.psfrounds import Tell

__all__ = ["psf_at"]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

OWN = 0.5  # fwhm: a star of the image that is nearer to a position is that position's own light


def psf_at(
    first: PsfResult,
    image: npt.NDArray[Any],
    variance: npt.NDArray[Any],
    quality: npt.NDArray[Any],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    noise_correlation: float = 1.0,
    autocorrelation: Floats | None = None,
    sky_map: SkyMap = no_sky,
    options: PsfOptions = DEFAULTS,
    tell: Tell = log.info,
) -> PsfResult:
    """Measure the light of point sources at positions.

    Parameters
    ----------
    first
        Of `psf_photometry` of the same image: its PSF and its stars.
    image, variance, quality, noise_correlation, autocorrelation, sky_map, options, tell
        As it had them.
    x, y
        (position,) [pixel], 0 is the center of the first pixel. Those that are NaN, or off the image, get a
        row too.

    Returns
    -------
    PsfResult
        Its table has one row per position: columns of `psftable.fit_table`, ``x`` and ``y`` as given, their
        errors NaN; flags BAD_POSITION, OFF_IMAGE, FAINT as forced apertures have them. Residual and sky are
        those of the image less the light at the positions and of the other stars.

    Raises
    ------
    DatasetError
        If x and y differ in shape.
    """
    xs, ys = as_places(x, y)
    n = xs.size
    known = np.isfinite(xs) & np.isfinite(ys)
    with np.errstate(invalid="ignore"):
        rows, columns = np.shape(image)
        off = known & ((xs < -0.5) | (xs > columns - 0.5) | (ys < -0.5) | (ys > rows - 0.5))
    usable = known & ~off
    others = _others(first, xs[usable], ys[usable])
    stars = np.zeros(n + len(others[0]), STAR_DTYPE)
    stars["x"] = np.concatenate([np.where(usable, xs, np.nan), others[0]])
    stars["y"] = np.concatenate([np.where(usable, ys, np.nan), others[1]])
    result = psf_photometry(
        image, variance, quality, stars, fwhm=first.model.fwhm, noise_correlation=noise_correlation,
        autocorrelation=autocorrelation, sky_map=sky_map, model=first.model,
        pinned=np.arange(len(stars)) < n, options=replace(options, searches=0), tell=tell,
    )  # fmt: skip
    table = result.table[:n]
    table["x"], table["y"] = xs * table["x"].unit, ys * table["y"].unit
    flags = np.asarray(table["flags"])
    with np.errstate(invalid="ignore"):
        faint = np.isfinite(table["flux"].value) & ~(np.asarray(table["snr"]) >= options.least_snr)
    flags[~known] = np.uint32(int(SourceFlag.BAD_POSITION | SourceFlag.CUT))
    flags[off] = np.uint32(int(SourceFlag.OFF_IMAGE | SourceFlag.CUT))
    flags[faint] |= np.uint32(int(SourceFlag.FAINT))
    table["flags"] = flags
    del table["found_in"]
    return replace(result, table=table)


def _others(first: PsfResult, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return where the stars of the image are that lie on none of the positions."""
    from scipy.spatial import cKDTree

    at = np.column_stack([np.asarray(first.table[name].value, dtype=np.float64) for name in ("x", "y")])
    at = at[np.isfinite(at).all(axis=1) & np.isfinite(np.asarray(first.table["flux"].value))]
    if x.size and at.size:
        near, _ = cKDTree(np.column_stack([x, y])).query(at)
        at = at[near > OWN * first.model.fwhm]
    return at[:, 0], at[:, 1]
