"""Images to be measured, from wherever they come: our products, others' FITS files, datasets, plain arrays.

Writes a `Target`: pixels with variance and quality in one unit, and what the file says that photometry needs.
Where a file brings no errors, they are made from its noise and the gain, and `Target.notes` says so.
"""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from sciastro.core.quality import Quality
from sciastro.core.wcs import celestial_from_header, text_to_wcs
from sciastro.errors import DatasetError, FileError, OptionError
from sciastro.io.framefacts import FrameFacts
from sciastro.io.headers import facts_from_header
from sciastro.io.products import FLUX, is_product, quality_in_our_bits, read_product
from sciastro.io.reader import probe, read_pixels
from sciastro.measure.background import background

if TYPE_CHECKING:
    import xarray as xr
    from astropy.wcs import WCS

__all__ = ["Given", "Target", "from_arrays", "from_dataset", "read_targets"]

Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]

UNKNOWN = float("nan")
ERRORS = ("ERR", "ERROR", "SIGMA", "UNCERT", "STDDEV", "STD", "NOISE", "RMS")
VARIANCES = ("VAR", "VARIANCE")
MASKS = ("DQ", "MASK", "BPM", "FLAGS", "QUALITY")
COUNTS = ("adu", "count", "counts", "dn", "du", "ct")
ELECTRONS = ("electron", "electrons", "e", "e-")


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What the caller says of images whose headers do not; None leaves it to the header.

    Attributes
    ----------
    gain
        Electrons per unit of the image.
    read_noise, saturation, exposure
        [electron], [unit of the image], [s].
    aperture_diameter, site, airmass
        For scintillation: [m]; latitude, longitude [deg], height [m]; 1.
    band
        Filter.
    """

    gain: float | None = None
    read_noise: float | None = None
    saturation: float | None = None
    exposure: float | None = None
    aperture_diameter: float | None = None
    site: tuple[float, float, float | None] | None = None
    airmass: float | None = None
    band: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One image that is measured.

    Attributes
    ----------
    name, path
        What it is called, and its file (None: from memory).
    image, variance, quality
        (y, x), in `unit` and its square; bits of `Quality`.
    unit
        As astropy spells it.
    wcs
        None where there is none.
    band, target
        Filter and object; "" unknown.
    exposure, n_frames
        Of all frames together [s]; NaN unknown.
    time
        Middle of the exposure, ISO 8601 UTC; "" unknown.
    correlation, autocorrelation
        Of the noise of neighboring pixels, as `photometry.aperture.measure_sources` takes them.
    zeropoint
        What the header says, by the names of `photometry.zeropoint.ZeroPoint`; empty without one.
    diameter, site, airmass, scale
        [m]; latitude, longitude [deg], height [m]; 1; [arcsec / pixel] of the header; NaN or None unknown.
    notes
        What the user should know of how it was read.
    """

    name: str
    path: Path | None = None
    image: Plane
    variance: Plane
    quality: Bits
    unit: str = "electron / s"
    wcs: "WCS | None" = None
    band: str = ""
    target: str = ""
    exposure: float = UNKNOWN
    n_frames: int = 1
    time: str = ""
    correlation: float = 1.0
    autocorrelation: npt.NDArray[np.float64] | None = None
    zeropoint: Mapping[str, Any] = field(default_factory=dict)
    diameter: float = UNKNOWN
    site: tuple[float, float, float | None] | None = None
    airmass: float = UNKNOWN
    scale: float = UNKNOWN
    notes: tuple[str, ...] = ()


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
    yield _foreign(path, given)


def _ours(path: Path) -> bool:
    if ".fit" not in path.name.lower():
        return False
    try:
        with _quietly():
            return is_product(fits.getheader(path, 0))
    except (OSError, IndexError):
        return False


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep astropy from warning of cards that photometry does not need."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        yield


def _with_header(target: Target, path: Path, given: Given) -> Target:
    """Return a product's target with what its header says of times, telescope and site."""
    header = fits.getheader(path, 0)
    facts = facts_from_header(header, path.name, target.image.shape, "float32")
    keys = {"mag": "MAGZP", "err": "MAGZPERR", "system": "PHOTSYS", "catalog": "PHOTCAT",
            "n_stars": "MAGNSTAR", "scatter": "MAGSCAT", "color_term": "COLTERM",
            "color_term_err": "COLTERR", "color_name": "COLNAME", "color_reference": "COLREF",
            "err_empirical": "MAGZPEMP", "kind": "MAGTYPE", "extinction": "EXTCOEF",
            "airmass": "EXTAIRM", "spatial": "ZPDEGREE"}  # fmt: skip
    zero = {name: header[key] for name, key in keys.items() if key in header}
    if "ZPDEGREE" in header:
        zero["field"] = {name: header[name] for name in header if name.startswith("ZPF")}
    if header.get("PRODUCT") == FLUX:  # back to electron / s, whose numbers are near 1
        factor = float(header["CALFAC"])
        target = replace(
            target, image=(target.image / factor).astype(np.float32), unit="electron / s",
            variance=(target.variance / factor**2).astype(np.float32),
        )  # fmt: skip
        zero["mag"] = header["MAGZPEL"]
    out = _with_facts(target, facts, given)
    return replace(
        out, zeropoint=zero if "mag" in zero else {}, time=str(header.get("DATE-AVG", out.time)),
        n_frames=int(header.get("NCOMBINE", 1)),
        exposure=target.exposure if math.isfinite(target.exposure) else out.exposure,
    )  # fmt: skip


def _with_facts(target: Target, facts: FrameFacts, given: Given) -> Target:
    diameter = given.aperture_diameter or (facts.aperture / 1000 if facts.aperture else UNKNOWN)
    seconds = given.exposure or facts.exposure or target.exposure
    return replace(
        target, band=given.band or target.band or facts.filter, target=target.target or facts.target,
        exposure=UNKNOWN if seconds is None else float(seconds),
        time=facts.time.isoformat().replace("+00:00", "") if facts.time else target.time,
        diameter=float(diameter), site=given.site or facts.site,
        airmass=UNKNOWN if given.airmass is None else given.airmass,
        scale=facts.scale or UNKNOWN, n_frames=max(facts.combined, 1),
    )  # fmt: skip


def _foreign(path: Path, given: Given) -> Target:
    """Return the image of a file that another program made."""
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
            variance, more = _estimated(pixels, bits, unit, factor, given, facts)
        except DatasetError as error:
            raise DatasetError(error.found, where=str(path), remedy=error.remedy) from error
        notes += more
    else:
        variance = errors * np.float32(factor**2)
    target = Target(
        name=path.name.split(".")[0], path=path, image=pixels * np.float32(factor), variance=variance,
        quality=bits, unit=unit, wcs=celestial_from_header(first.header), notes=tuple(notes),
    )  # fmt: skip
    return _with_facts(target, facts, given)


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
        told = "the gain is unknown, so fluxes are in adu; give --gain"
        return ("adu", 1.0, [told]) if not seconds else ("adu / s", 1 / seconds, [f"{told} (per second)"])
    if not seconds:
        return "electron", float(gain), ["the exposure is unknown: fluxes are in electrons; give --exposure"]
    return "electron / s", float(gain) / float(seconds), []


def _bits(path: Path, pixels: Plane, dtype: Any, facts: FrameFacts, given: Given) -> Bits:
    """Return quality bits: those of the file, saturation, and what is no number."""
    bits = np.zeros(pixels.shape, np.uint16)
    for hdu in _planes(path, pixels.shape, MASKS):
        if any(str(hdu.header.get(f"DQBIT{n}", "")) for n in range(16)):
            bits |= quality_in_our_bits(hdu.data, hdu.header)
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
    """Return the variance plane of a file [unit of the image squared]; None where it has none."""
    for hdu in _planes(path, shape, (*ERRORS, *VARIANCES)):
        values = np.asarray(hdu.data, dtype=np.float32)
        return values if hdu.name.upper() in VARIANCES else values**2
    return None


def _planes(path: Path, shape: tuple[int, int], names: tuple[str, ...]) -> Iterator[Any]:
    if ".fit" not in path.name.lower() and ".fts" not in path.name.lower():
        return
    with _quietly(), fits.open(path, memmap=False) as hdus:
        for hdu in hdus:
            if hdu.name.upper() in names and getattr(hdu, "shape", None) == shape:
                yield hdu


def _estimated(
    pixels: Plane, bits: Bits, unit: str, factor: float, given: Given, facts: FrameFacts
) -> tuple[Plane, list[str]]:
    """Return a variance plane from the noise of the sky, and the light of stars where the gain is known."""
    sky = background(pixels, bits)
    noise = sky.rms_map() * np.float32(factor)
    variance = noise**2
    if given.read_noise is not None and unit.startswith("electron"):
        per_frame = given.read_noise / (facts.exposure or 1.0 if unit.endswith("/ s") else 1.0)
        variance = np.maximum(variance, np.float32(per_frame**2))
    if not unit.startswith("electron"):
        return variance, [
            "errors are those of the sky's noise alone: without the gain the noise of the stars' own light "
            "is unknown, so the errors of bright stars are too small"
        ]
    light = np.maximum((pixels - sky.level_map()) * np.float32(factor), 0)
    seconds = (given.exposure or facts.exposure or 1.0) if unit.endswith("/ s") else 1.0
    return variance + np.nan_to_num(light) / np.float32(seconds), [
        "the file has no errors: they are made from the noise of its sky and the light of its stars"
    ]


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

    text = str(ds["wcs"].values) if "wcs" in ds.variables and ds["wcs"].ndim == 0 else ""
    correlation = number("noise_correlation")
    return Target(
        name=name or str(ds.attrs.get("target", "")) or "image",
        image=ds["image"].isel(band=k).values, variance=ds["image_variance"].isel(band=k).values,
        quality=ds["image_quality"].isel(band=k).values, wcs=text_to_wcs(text) if text else None,
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
        errors, notes = _estimated(pixels, bits, unit, 1.0, given, facts)
    else:
        errors = np.asarray(variance, dtype=np.float32)
    return Target(
        name="image", image=pixels, variance=errors, quality=bits, unit=unit, wcs=wcs, notes=tuple(notes),
        band=given.band or "", exposure=given.exposure or UNKNOWN,
        diameter=given.aperture_diameter or UNKNOWN, site=given.site,
        airmass=UNKNOWN if given.airmass is None else given.airmass,
    )  # fmt: skip
