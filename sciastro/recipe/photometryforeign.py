"""Images of other programs: any FITS file (or camera file) with one plane of linear pixels.

Where a file brings no errors, they are made from its noise and the gain, and `Target.notes` says so.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from sciastro.core.quality import Quality
from sciastro.core.wcs import celestial_from_header
from sciastro.errors import DatasetError, FileError, OptionError
from sciastro.io.framefacts import FrameFacts
from sciastro.io.headers import facts_from_header
from sciastro.io.product_cards import quality_from_header
from sciastro.io.product_reading import quality_in_our_bits
from sciastro.io.reader import probe, read_pixels
from sciastro.recipe.photometrytarget import (
    Bits,
    Given,
    Plane,
    Target,
    estimated_variance,
    with_facts,
)

__all__ = ["foreign_target", "quietly"]

ERRORS = ("ERR", "ERROR", "SIGMA", "UNCERT", "STDDEV", "STD", "NOISE", "RMS")
VARIANCES = ("VAR", "VARIANCE")
STANDARD = "StdDevUncertainty"  # UTYPE of `CCDData`: what its UNCERT holds
MASKS = ("DQ", "MASK", "BPM", "FLAGS", "QUALITY")
COUNTS = ("adu", "count", "counts", "dn", "du", "ct")
ELECTRONS = ("electron", "electrons", "e", "e-")


@contextmanager
def quietly() -> Iterator[None]:
    """Keep astropy from warning of cards that photometry does not need."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        yield


def foreign_target(path: Path, given: Given) -> Target:
    """Return the image of a file that another program made.

    Raises
    ------
    FileError
        If the file cannot be read, or light cannot be measured on its image.
    DatasetError
        If what is given of it cannot be.
    """
    first = _science(path)
    pixels = np.asarray(read_pixels(path, first.hdu), dtype=np.float32)
    facts = facts_from_header(first.header, path.name, first.shape, str(first.dtype), first.hdu)
    if facts.cfa:
        raise FileError(
            "is the raw frame of a color camera: light and dark pixels of one star are different colors.",
            where=str(path), remedy="Reduce it first (`sciastro reduce`), and measure the product.",
        )  # fmt: skip
    unit, factor, notes = _units(first.header, facts, given, path)
    bits = _bits(path, pixels, first.dtype, facts, given)
    errors = _errors(path, first.shape)
    if errors is None:
        try:
            variance, more = estimated_variance(pixels, bits, unit, factor, given, facts)
        except DatasetError as error:
            raise DatasetError(error.found, where=str(path), remedy=error.remedy) from error
        notes += more
    else:
        variance = errors * np.float32(factor**2)
    target = Target(
        name=path.name.split(".")[0], path=path, image=pixels * np.float32(factor), variance=variance,
        quality=bits, unit=unit, wcs=celestial_from_header(first.header), notes=tuple(notes),
    )  # fmt: skip
    return with_facts(target, facts, given)


def _science(path: Path) -> Any:
    """Return the image of a file: the one named SCI, or the first."""
    images = probe(path)
    if len({str(one.header.get("EXTNAME", "")).upper() for one in images}) > 1:
        for one in images:
            if str(one.header.get("EXTNAME", "")).upper() == "SCI":
                return one
    return images[0]


def _units(header: fits.Header, facts: FrameFacts, given: Given, path: Path) -> tuple[str, float, list[str]]:
    """Return the unit of the fluxes, the factor to it, and notes."""
    from astropy import units as u

    text = str(header.get("BUNIT", "")).strip()
    base, _, per = text.lower().replace("sec", "s").partition("/")
    base, per = base.strip(), per.strip()
    seconds = given.exposure or facts.exposure
    if text and base not in (*COUNTS, *ELECTRONS):
        try:
            return u.Unit(text).to_string(), 1.0, []
        except ValueError as error:
            if given.gain is None:
                raise OptionError(
                    f"says BUNIT = '{text}', which is no unit that is known.", where=str(path),
                    remedy="Give --gain if it counts adu, or mend the header.",
                ) from error  # fmt: skip
    gain = 1.0 if base in ELECTRONS and given.gain is None else given.gain or facts.egain
    if per == "s":
        if gain is None:
            return "adu / s", 1.0, ["the gain is unknown, so fluxes are in adu / s; give --gain"]
        return "electron / s", float(gain), []
    if gain is None:
        unit = "adu / s" if seconds else "adu"
        told = f"the gain is unknown, so fluxes are in {unit}; give --gain"
        return unit, 1 / seconds if seconds else 1.0, [told]
    if not seconds:
        return "electron", float(gain), ["the exposure is unknown: fluxes are in electrons; give --exposure"]
    return "electron / s", float(gain) / float(seconds), []


def _bits(path: Path, pixels: Plane, dtype: Any, facts: FrameFacts, given: Given) -> Bits:
    """Return quality bits: those of the file, saturation, and what is no number."""
    bits = np.zeros(pixels.shape, np.uint16)
    for hdu in _planes(path, pixels.shape, MASKS):
        if any(str(hdu.header.get(f"DQBIT{n}", "")) for n in range(16)):
            bits |= quality_in_our_bits(hdu.data, quality_from_header(hdu.header))
        else:
            bits[np.asarray(hdu.data) != 0] |= np.uint16(Quality.DO_NOT_USE)
        break
    full = given.saturation or facts.saturation
    if full is None and np.dtype(dtype).kind in "iu" and np.dtype(dtype).itemsize <= 2:
        full = float(np.iinfo(np.dtype(dtype)).max)
    if full is not None:
        bits[pixels >= full] |= np.uint16(Quality.SATURATED)
    bits[~np.isfinite(pixels)] |= np.uint16(Quality.NO_DATA)
    return bits


def _errors(path: Path, shape: tuple[int, int]) -> Plane | None:
    """Return the variance plane of a file [unit of the image squared]; None where it has none.

    Raises
    ------
    DatasetError
        If a plane of astropy's `CCDData` says that it holds errors of an unknown kind.
    """
    for hdu in _planes(path, shape, (*ERRORS, *VARIANCES)):
        values = np.asarray(hdu.data, dtype=np.float32)
        if hdu.name.upper() in VARIANCES:
            return values
        kind = str(hdu.header.get("UTYPE", STANDARD)).strip()
        if kind == "VarianceUncertainty":
            return values
        if kind == "InverseVariance":  # 0 knows nothing of a pixel
            with np.errstate(divide="ignore"):
                return np.where(values > 0, 1 / values, np.float32(np.nan))
        if kind != STANDARD:
            raise DatasetError(
                f"has errors of the kind '{kind}' in {hdu.name}.", where=str(path),
                remedy="Write standard deviations or variances, or leave the plane out.",
            )  # fmt: skip
        return values**2
    return None


def _planes(path: Path, shape: tuple[int, int], names: tuple[str, ...]) -> Iterator[Any]:
    if ".fit" not in path.name.lower() and ".fts" not in path.name.lower():
        return
    with quietly(), fits.open(path, memmap=False) as hdus:
        for hdu in hdus:
            if hdu.name.upper() in names and getattr(hdu, "shape", None) == shape:
                yield hdu
