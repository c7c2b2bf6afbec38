"""Images to be measured, from wherever they come: our products, others' FITS files, datasets, plain arrays.

Writes a `photometrytarget.Target`.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from sciastro.core.quality import Quality
from sciastro.core.wcs import text_to_wcs
from sciastro.errors import DatasetError, FileError
from sciastro.io.fitsunits import integer, number_of
from sciastro.io.headers import facts_from_header
from sciastro.io.product_cards import FLUX
from sciastro.io.product_reading import is_product, read_product
from sciastro.photometry.steps import wcs_of

if TYPE_CHECKING:
    import xarray as xr
    from astropy.wcs import WCS

from sciastro.recipe.photometryforeign import foreign_target, quietly
from sciastro.recipe.photometrytarget import UNKNOWN, Given, Target, estimated_variance, with_facts

__all__ = ["Given", "Target", "from_arrays", "from_dataset", "read_targets"]

FARTHEST = 100.0
"""Largest amount of a zero point or its error [mag] that may be true: 40 orders of magnitude in flux."""


def read_targets(path: Path, given: Given) -> Iterator[Target]:
    """Yield the images of a file: one of our products, or any file with one plane of linear pixels.

    Raises
    ------
    FileError
        If it cannot be read, or is no image that light can be measured on.
    """
    if not path.exists():
        raise FileError("does not exist.", where=str(path), remedy="Check the path.")
    if _ours(path):
        for one in from_dataset(read_product(path), given, name=path.stem):
            yield _with_header(replace(one, path=path), path, given)
        return
    yield foreign_target(path, given)


def _ours(path: Path) -> bool:
    if ".fit" not in path.name.lower():
        return False
    try:
        with quietly():
            return is_product(fits.getheader(path, 0))
    except (OSError, IndexError):
        return False


def _with_header(target: Target, path: Path, given: Given) -> Target:
    """Return a product's target with what its header says of times, telescope and site."""
    header = fits.getheader(path, 0)
    facts = facts_from_header(header, path.name, target.image.shape, "float32")
    words = {"system": "PHOTSYS", "catalog": "PHOTCAT", "color_name": "COLNAME", "kind": "MAGTYPE"}
    numbers = {"mag": "MAGZP", "err": "MAGZPERR", "scatter": "MAGSCAT", "color_term": "COLTERM",
               "color_term_err": "COLTERR", "color_reference": "COLREF", "err_empirical": "MAGZPEMP",
               "extinction": "EXTCOEF", "airmass": "EXTAIRM"}  # fmt: skip
    zero: dict[str, Any] = {name: header[key] for name, key in words.items() if key in header}
    zero |= {name: number_of(header, key, math.nan) for name, key in numbers.items() if key in header}
    zero |= {"n_stars": integer(header, "MAGNSTAR", 0), "spatial": integer(header, "ZPDEGREE", 0)}
    zero["field"] = {name: number_of(header, name, math.nan) for name in header if name.startswith("ZPF")}
    if header.get("PRODUCT") == FLUX:  # back to electron / s, whose numbers are near 1
        factor = number_of(header, "CALFAC", math.nan)
        if not factor > 0:
            raise FileError(
                f"has no unit that can be undone (CALFAC = {header.get('CALFAC')!r}).", where=str(path),
                remedy="Give the product in electron / s that it was made from.",
            )  # fmt: skip
        target = replace(
            target, image=(target.image / factor).astype(np.float32), unit="electron / s",
            variance=(target.variance / factor**2).astype(np.float32),
        )  # fmt: skip
        zero["mag"], numbers["mag"] = number_of(header, "MAGZPEL", math.nan), "MAGZPEL"
    out = with_facts(target, facts, given)
    damage = _damage(header, zero, numbers)
    return replace(
        out, zeropoint=zero if not damage and math.isfinite(zero.get("mag", math.nan)) else {},
        notes=(*out.notes, damage) if damage else out.notes,
        time=str(header.get("DATE-AVG", out.time)), n_frames=integer(header, "NCOMBINE", 1),
        exposure=target.exposure if math.isfinite(target.exposure) else out.exposure,
    )  # fmt: skip


def _damage(header: fits.Header, zero: dict[str, Any], keys: dict[str, str]) -> str:
    """Return what is wrong with the cards of a zero point that are there; "" if nothing is."""
    wrong = []
    for name in ("mag", "err", "scatter", "color_term", "color_reference"):
        least = 0.0 if name in ("err", "scatter") else -FARTHEST
        told = header.get(keys[name])
        if told is not None and not least <= zero.get(name, math.nan) <= FARTHEST:
            wrong.append(f"{keys[name]} = {told!r}")
    if not wrong:
        return ""
    return (
        f"the zero point of the header is damaged and not used ({', '.join(wrong)}); make the product again"
    )


def from_dataset(ds: "xr.Dataset", given: Given, *, name: str = "") -> Iterator[Target]:
    """Yield the images of a labeled dataset: every band of an integrated one, every frame of calibrated ones.

    Raises
    ------
    DatasetError
        If it holds neither ``image`` nor ``signal`` with variance.
    """
    if "image" in ds.variables and "band" in ds["image"].dims:
        for k, band in enumerate(str(one) for one in ds["band"].values):
            yield _of_band(ds, k, band, given, name)
        return
    if "signal" not in ds.variables or "variance" not in ds.variables:
        raise DatasetError(
            "holds neither `image` nor `signal` with `variance`.", where="dataset",
            remedy="Calibrate frames with `sciastro.correct`, or open a product.",
        )  # fmt: skip
    for i in range(ds.sizes["frame"]):
        yield _of_frame(ds, i, given, name)


def _of_band(ds: "xr.Dataset", k: int, band: str, given: Given, name: str) -> Target:
    def number(key: str) -> float:
        return float(ds[key].values[k]) if key in ds.variables else UNKNOWN

    correlation = number("noise_correlation")
    return Target(
        name=name or str(ds.attrs.get("target", "")) or "image",
        image=ds["image"].isel(band=k).values, variance=ds["image_variance"].isel(band=k).values,
        quality=ds["image_quality"].isel(band=k).values, wcs=wcs_of(ds),
        band=given.band or band, target=str(ds.attrs.get("target", "")),
        unit=str(ds["image"].attrs.get("units", "electron / s")),
        exposure=given.exposure or number("image_exposure"),
        correlation=correlation if math.isfinite(correlation) else 1.0,
        autocorrelation=ds[key].values[k] if (key := "noise_autocorrelation") in ds.variables else None,
        zeropoint={"mag": number("zeropoint"), "err": number("zeropoint_err")}
        if math.isfinite(number("zeropoint")) else {},
        diameter=given.aperture_diameter or UNKNOWN, site=given.site,
        airmass=UNKNOWN if given.airmass is None else given.airmass,
    )  # fmt: skip


def _of_frame(ds: "xr.Dataset", i: int, given: Given, name: str) -> Target:
    def value(key: str, default: Any) -> Any:
        return ds[key].values[i] if key in ds.variables and ds[key].dims == ("frame",) else default

    seconds = float(given.exposure or value("exposure", UNKNOWN))
    known = math.isfinite(seconds) and seconds > 0
    factor = np.float32(1 / seconds) if known else np.float32(1)
    unit = str(ds["signal"].attrs.get("units", "electron"))
    text = str(value("wcs", ""))
    quality = ds["quality"].isel(frame=i).values if "quality" in ds.variables else None
    image = ds["signal"].isel(frame=i).values
    time = value("time", None)
    return Target(
        name=str(value("path", "")) or f"{name or 'frame'}_{i}", image=image * factor,
        variance=ds["variance"].isel(frame=i).values * factor**2,
        quality=np.zeros(image.shape, np.uint16) if quality is None else quality,
        unit=f"{unit} / s" if known else unit, wcs=text_to_wcs(text) if text else None,
        band=given.band or str(value("filter", "")), target=str(value("target", ds.attrs.get("target", ""))),
        exposure=seconds, time="" if time is None or np.isnat(time) else str(time)[:26],
        diameter=given.aperture_diameter or UNKNOWN, site=given.site,
        airmass=float(value("airmass", UNKNOWN)) if given.airmass is None else given.airmass,
    )  # fmt: skip


def from_arrays(
    image: npt.ArrayLike,
    variance: npt.ArrayLike | None,
    quality: npt.ArrayLike | None,
    *,
    wcs: "WCS | None",
    unit: str,
    given: Given,
) -> Target:
    """Return plain arrays as a target; without variance, it is made from the noise and the light.

    Raises
    ------
    DatasetError
        If shapes differ.
    """
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim != 2:
        raise DatasetError(f"has {pixels.ndim} dimensions.", where="image", remedy="Give one plane (y, x).")
    bits = np.zeros(pixels.shape, np.uint16) if quality is None else np.asarray(quality, dtype=np.uint16)
    notes: list[str] = []
    for name, plane in (("quality", bits), ("variance", pixels if variance is None else variance)):
        if np.shape(plane) != pixels.shape:
            raise DatasetError(
                f"has shape {np.shape(plane)}, and the image {pixels.shape}.", where=name,
                remedy="Give planes of one shape.",
            )  # fmt: skip
    if given.saturation is not None:
        bits = bits | np.where(pixels >= given.saturation, np.uint16(Quality.SATURATED), np.uint16(0))
    if variance is None:
        facts = facts_from_header(fits.Header(), "", (pixels.shape[0], pixels.shape[1]), "float32")
        errors, notes = estimated_variance(pixels, bits, unit, 1.0, given, facts)
    else:
        errors = np.asarray(variance, dtype=np.float32)
    return Target(
        name="image", image=pixels, variance=errors, quality=bits, unit=unit, wcs=wcs, notes=tuple(notes),
        band=given.band or "", exposure=given.exposure or UNKNOWN,
        diameter=given.aperture_diameter or UNKNOWN, site=given.site,
        airmass=UNKNOWN if given.airmass is None else given.airmass,
    )  # fmt: skip
