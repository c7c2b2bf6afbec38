"""Frames without their stars: the stack of the night, as each frame would show it, taken off.

To first order a frame is ``a S + b lap(S) + c dS/dx + d dS/dy`` of the stack S: light, width and a small
shift, fitted to the pixels with stars (in the spirit of Alard & Lupton 1998, with the fewest terms). Where
stars are so bright that what the fit leaves of them rivals the noise, pixels are marked as bad.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core import transform
from sciastro.core.quality import Quality
from sciastro.core.robust import MAD_TO_SIGMA, mad_sigma
from sciastro.core.wcs import text_to_wcs
from sciastro.integrate.grid import Tile
from sciastro.integrate.resample import resample, resampler
from sciastro.io.product_reading import read_product
from sciastro.measure.background import background
from sciastro.recipe.nightframes import NightFrame

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["Template", "open_template", "without_stars"]

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

NODES = 24  # per axis, where the map from frame to stack is known exactly
DEGREE = 4  # of the polynomial map from frame to stack
BRIGHT = 3.0  # noise of the frame that a star's pixel exceeds to enter the fit
MOST = 40_000  # pixels of the fit
FEWEST = 60  # pixels; with fewer the template is not fitted
WORST = 0.5  # pixel by which the map may be off
LEFT = 1.0  # noise that what is left of a star may be


@dataclass(frozen=True, slots=True)
class Template:
    """The stars of a night: image without its sky [electron / s], where it is known, its place on the sky."""

    image: Plane
    quality: npt.NDArray[np.uint16]
    wcs: "WCS"


def open_template(out: Path, product: dict[str, Any]) -> Template | None:
    """Return the stack of a run's product; None where it has no world coordinates."""
    ds = read_product(out / product["image"])
    image = np.asarray(ds["image"].values[0], np.float32)
    quality = np.asarray(ds["image_quality"].values[0], np.uint16)
    if "wcs" not in ds.variables and "wcs" not in ds.coords:
        return None
    sky = background(image, quality)
    known = np.isfinite(image)
    flags = np.where(known, 0, int(Quality.NO_DATA)).astype(np.uint16)
    clean = np.where(known, image - sky.level_map(), 0).astype(np.float32)
    return Template(clean, flags, text_to_wcs(str(ds["wcs"].values)))


def without_stars(
    template: Template, frame: NightFrame, wcs: "WCS", signal: Plane, bad: Mask, level: Plane, noise: float
) -> tuple[Plane, Mask] | None:
    """Return a frame without the stars of the stack [electron], and its bad pixels; None where that fails.

    Parameters
    ----------
    signal, bad, level
        The frame [electron], its bad pixels, its sky.
    noise
        Of the sky in a pixel [electron].
    """
    stars = _on_frame(template, frame, wcs, (signal.shape[0], signal.shape[1]))
    if stars is None:
        return None
    known = np.isfinite(stars) & np.isfinite(signal) & ~bad
    stars = np.where(np.isfinite(stars), stars, 0).astype(np.float32) * np.float32(frame.exposure)
    terms = _terms(stars)
    rim = np.zeros_like(known)
    rim[2:-2, 2:-2] = True
    use = np.flatnonzero(known & rim & (stars > BRIGHT * noise))
    if use.size < FEWEST:
        return None
    if use.size > MOST:
        use = use[:: use.size // MOST + 1]
    above = (signal - level).ravel()[use].astype(np.float64)
    matrix = np.stack([term.ravel()[use] for term in terms], axis=1).astype(np.float64)
    weight = 1 / np.sqrt(noise**2 + np.maximum(above, 0) + (0.02 * stars.ravel()[use]) ** 2)
    keep = np.ones(use.size, bool)
    factors = np.zeros(len(terms))
    for _ in range(3):
        factors = transform.solve(matrix[keep], above[keep, None], weight[keep])[0]
        off = (above - matrix @ factors) * weight
        keep = np.abs(off) < 5 * max(mad_sigma(off[keep], 0.0), 1e-9)
        if keep.sum() < FEWEST:
            return None
    model = sum(np.float32(f) * term for f, term in zip(factors, terms, strict=True))
    rest = above - matrix @ factors
    share = MAD_TO_SIGMA * float(np.median(np.abs(rest) / np.maximum(above, 5 * noise)))
    left = share * np.abs(np.asarray(model))
    clean = np.where(known | ~bad, signal - model, signal).astype(np.float32)
    return clean, np.asarray(bad | ~np.isfinite(signal) | (left > LEFT * noise))


def _terms(stars: Plane) -> list[Plane]:
    lap = np.zeros_like(stars)
    lap[1:-1, 1:-1] = (
        stars[:-2, 1:-1] + stars[2:, 1:-1] + stars[1:-1, :-2] + stars[1:-1, 2:] - 4 * stars[1:-1, 1:-1]
    )
    dy, dx = (np.asarray(slope, dtype=np.float32) for slope in np.gradient(stars))
    return [stars, lap, dx, dy]


def _on_frame(template: Template, frame: NightFrame, wcs: "WCS", shape: tuple[int, int]) -> Plane | None:
    """Return the stack on the pixels of a frame [electron / s]."""
    v, u = np.meshgrid(
        np.linspace(0, shape[0] - 1, NODES), np.linspace(0, shape[1] - 1, NODES), indexing="ij"
    )
    ra, dec = frame.to_sky(wcs, u.ravel(), v.ravel())
    x, y = template.wcs.all_world2pix(ra, dec, 0, quiet=True)
    good = np.isfinite(x) & np.isfinite(y)
    if good.sum() < 0.9 * good.size:
        return None
    u, v, x, y = u.ravel()[good], v.ravel()[good], np.asarray(x)[good], np.asarray(y)[good]
    c = transform.fit(u, v, x, y, DEGREE)
    at = transform.evaluate(c, u, v)
    if float(np.hypot(at[0] - x, at[1] - y).max()) > WORST:
        return None
    out = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint16)
    source = (template.image, np.zeros_like(template.image), template.quality)
    resample(source, (0, 0), c, Tile(0, shape[0], 0, shape[1]), resampler("lanczos3"), out)
    return out[0]
