"""PSF models and what is left of an image without its stars, as FITS files.

A model file begins with the cube that STScI's STDPSF format has (PSFs on a grid of places, 4 samples per
pixel), which ``photutils.psf.GriddedPSFModel.read`` opens; the extension TABLES holds the model itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from sciastro.core.wcs import wcs_to_header
from sciastro.errors import FileError
from sciastro.io.paths import atomic_path
from sciastro.io.product_cards import ascii_text
from sciastro.io.products import write_hdus

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["SAMPLES", "read_psf_tables", "write_psf_tables", "write_residual"]

Floats = npt.NDArray[np.float64]

LONG = 30  # characters beside which a comment still fits
SAMPLES = 4  # per pixel, of STDPSF
NEEDED = ("step", "x0", "y0", "scale", "fwhm", "radius")
NUMBERS = ("total_radius", "normalization_err", "scatter", "blur", "n_stars")
_CARDS = {
    "step": ("PSFSTEP", "nodes per pixel of TABLES"),
    "x0": ("PSFX0", "[pixel] x (from 0) where u = 0"),
    "y0": ("PSFY0", "[pixel] y (from 0) where v = 0"),
    "scale": ("PSFSCALE", "[pixel] u = (x - PSFX0) / PSFSCALE"),
    "fwhm": ("PSFFWHM", "[pixel] full width at half maximum"),
    "radius": ("PSFRAD", "[pixel] the tables are 0 beyond"),
    "total_radius": ("PSFTOTAL", "[pixel] light within it is 1"),
    "normalization_err": ("PSFNERR", "relative error of that, common to all stars"),
    "scatter": ("PSFSCAT", "relative scatter of fluxes beyond noise"),
    "blur": ("PSFBLUR", "relative error of the profile per pixel"),
    "n_stars": ("PSFNSTAR", "stars that it is from"),
    "kind": ("PSFKIND", "empirical, moffat or assumed"),
    "note": ("PSFNOTE", "what else to know"),
}


def write_psf_tables(
    path: Path, tables: Floats, facts: Mapping[str, Any], stars: Floats, samples: npt.NDArray[Any],
    grid: tuple[npt.NDArray[Any], npt.NDArray[Any]],
) -> Path:  # fmt: skip
    """Write a PSF model.

    Parameters
    ----------
    tables
        float64 (term, node, node), B-spline coefficients.
    facts
        By the names of `_CARDS`; NaN is left out.
    stars
        (star, 2), x and y of the stars that it is from [pixel, from 0].
    samples, grid
        PSFs at `SAMPLES` per pixel (place, y, x), rows of places first, and x and y of the grid's lines.
    """
    primary = fits.PrimaryHDU(np.ascontiguousarray(samples, dtype=np.float32))
    header = primary.header
    header["PRODUCT"] = ("PSF", "what this file is")
    header["NXPSFS"], header["NYPSFS"] = len(grid[0]), len(grid[1])
    for name, line in (("IPSFX", grid[0]), ("JPSFY", grid[1])):
        for k, value in enumerate(line, 1):
            header[f"{name}{k:02d}"] = (int(value) + 1, "[pixel] from 1")
    header["OVERSAMP"] = (SAMPLES, "samples per pixel of this cube")
    own = fits.ImageHDU(np.ascontiguousarray(tables, dtype=np.float64), name="TABLES")
    for name, (key, comment) in _CARDS.items():
        value = facts.get(name)
        if isinstance(value, float) and not np.isfinite(value):
            continue
        if value is not None:
            text = isinstance(value, str)
            own.header[key] = ascii_text(value) if text and len(value) > LONG else (value, comment)
    places = fits.BinTableHDU.from_columns(
        [
            fits.Column(name=name, format="D", unit="pixel", array=np.asarray(stars, np.float64)[:, k])
            for k, name in enumerate(("x", "y"))
        ],
        name="STARS",
    )
    with atomic_path(path) as part:
        write_hdus(part, fits.HDUList([primary, own, places]))
    return path


def read_psf_tables(path: Path) -> tuple[Floats, dict[str, Any], Floats]:
    """Return tables, facts and stars of a PSF model, as `write_psf_tables` takes them.

    Raises
    ------
    FileError
        If it is no PSF model of ours.
    """
    remedy = "Give a PSF file that `sciastro photometry --psf` wrote."
    try:
        with fits.open(path, memmap=False) as hdus:
            tables = np.asarray(hdus["TABLES"].data, dtype=np.float64)
            header = hdus["TABLES"].header
            rows = hdus["STARS"].data
            stars = np.column_stack([rows["x"], rows["y"]]).astype(np.float64)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        lacks = "is no FITS file" if isinstance(error, OSError) else "is no PSF model: it lacks its tables"
        raise FileError(
            f"{lacks if path.exists() else 'does not exist'}.", where=str(path), remedy=remedy
        ) from error
    facts = {name: header[key] for name, (key, _) in _CARDS.items() if key in header}
    if not _whole(tables, facts):
        raise FileError("is no whole PSF model.", where=str(path), remedy=remedy)
    return tables, facts, stars


def _whole(tables: Floats, facts: Mapping[str, Any]) -> bool:
    """Return whether a model can be drawn: numbers that are numbers, and tables that hold its radius."""
    numbers = [facts.get(name) for name in NEEDED]
    numbers += [facts[name] for name in NUMBERS if name in facts]
    if not all(isinstance(one, int | float) and np.isfinite(one) for one in numbers):
        return False
    square = tables.ndim == 3 and tables.shape[0] > 0 and tables.shape[1] == tables.shape[2]
    if not square or tables.shape[1] % 2 == 0 or not np.isfinite(tables).all():
        return False
    step, radius = facts["step"], facts["radius"]
    positive = min(facts["scale"], facts["fwhm"], radius) > 0
    return isinstance(step, int) and step >= 1 and positive and radius * step <= (tables.shape[1] - 1) / 2


def write_residual(
    path: Path, residual: npt.NDArray[Any], sky: npt.NDArray[Any], *, unit: str, wcs: "WCS | None",
    facts: Mapping[str, Any],
) -> Path:  # fmt: skip
    """Write an image without its stars (SCI) and the smooth sky that was taken off it (SKY)."""
    cards = wcs_to_header(wcs) if wcs is not None else fits.Header()
    primary = fits.PrimaryHDU()
    primary.header["PRODUCT"] = ("RESIDUAL", "image less its stars and its smooth sky")
    for key, value in facts.items():
        if value is not None and not (isinstance(value, float) and np.isnan(value)):
            primary.header[key] = ascii_text(value) if isinstance(value, str) else value
    hdus = [primary]
    for name, plane in (("SCI", residual), ("SKY", sky)):
        hdu = fits.ImageHDU(np.ascontiguousarray(plane, dtype=np.float32), header=cards.copy(), name=name)
        hdu.header["BUNIT"] = unit
        hdus.append(hdu)
    with atomic_path(path) as part:
        write_hdus(part, fits.HDUList(hdus))
    return path
