"""Files that we published, read again as labeled datasets; `products` tells their layout."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from sciastro.core import vocabulary as v
from sciastro.core.history import KEY
from sciastro.core.quality import flag_attributes
from sciastro.core.vocabulary import labeled
from sciastro.core.wcs import celestial_from_header, wcs_to_text
from sciastro.errors import FileError
from sciastro.io.fitsunits import integer, number_of
from sciastro.io.product_cards import FLUX, FRAME_CARDS, KINDS, NOISE_NAME, quality_from_header

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "assemble",
    "is_product",
    "product_attributes",
    "quality_in_our_bits",
    "read_product",
    "require_one_size",
    "variance_type",
]

Plane = npt.NDArray[Any]


def is_product(header: fits.Header) -> bool:
    """Return whether a primary header is that of one of our files."""
    kinds = (*KINDS.values(), "CONTEXT", "REJECTION", FLUX)
    return header.get("PRODUCT") in kinds and str(header.get("SOFTWARE", "")).startswith("sciastro")


def read_product(path: Path) -> "xr.Dataset":
    """Return one of our FITS files as a labeled dataset, in memory.

    Parameters
    ----------
    path
        Written by `write_image_product`, `write_master` or `write_frame`.

    Returns
    -------
    Dataset
        An image: ``image``, ``image_variance``, ``image_quality``, ``coverage`` (band, y, x),
        ``noise_autocorrelation`` where known, with what `product_attributes` lists. A frame or a master:
        ``signal``, ``variance``, ``quality`` (frame, y, x) in the unit of the file.

    Raises
    ------
    FileError
        If the file is not one of ours.
    """
    try:
        with fits.open(path, memmap=False) as hdus:
            header = hdus[0].header
            if not is_product(header):
                raise FileError(
                    "is not a product of sciastro.",
                    where=str(path),
                    remedy="Open raw frames with `io.reader`.",
                )
            planes = {hdu.name: np.asarray(hdu.data) for hdu in hdus[1:]}
            headers = {hdu.name: hdu.header for hdu in hdus[1:]}
            lost = [name for name in ("SCI", "ERR", "DQ") if name not in planes]
            if lost:
                raise FileError(
                    f"cannot be read as a product: it lacks {' and '.join(lost)}.",
                    where=str(path),
                    remedy="Make it again with `sciastro reduce`, or copy it again.",
                )
            require_one_size({name: plane.shape for name, plane in planes.items()}, path)
            quality = quality_in_our_bits(planes["DQ"], quality_from_header(headers["DQ"]))
            sci, err, sci_header = planes["SCI"], planes["ERR"], headers["SCI"]
    except (OSError, KeyError, IndexError) as error:
        raise FileError(
            f"cannot be read as a product ({error}).", where=str(path), remedy="Write it again."
        ) from error
    image = sci.astype(np.float32)[None]
    variance = (err.astype(variance_type(header)) ** 2)[None]
    coverage = planes["COVERAGE"].astype(np.float32)[None] if "COVERAGE" in planes else None
    ds = assemble(sci_header, header, image, variance, quality[None], coverage)
    if NOISE_NAME in planes:
        ds = ds.assign(
            noise_autocorrelation=labeled(v.NOISE_AUTOCORRELATION, planes[NOISE_NAME][None].astype(float))
        )
    return ds


def require_one_size(shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Check that ERR, DQ and COVERAGE have the rows and columns of SCI; `shapes` by name of the extension.

    Raises
    ------
    FileError
        If one has others.
    """
    for name in ("ERR", "DQ", "COVERAGE"):
        if name in shapes and shapes[name] != shapes["SCI"]:
            raise FileError(
                f"is damaged: {name} has the size {shapes[name]}, and SCI {shapes['SCI']}.",
                where=str(path),
                remedy="Make it again with `sciastro reduce`, or copy it again.",
            )


def variance_type(primary: fits.Header) -> Any:
    """Return the type that the squares of ERR fit into: physical units may be far from 1."""
    return np.float64 if primary.get("PRODUCT") == FLUX else np.float32


def quality_in_our_bits(quality: Plane, moved: Mapping[int, int]) -> npt.NDArray[np.uint16]:
    """Return the bits of a DQ plane (y, x) at our positions; `moved` is of `quality_from_header`."""
    bits = quality.astype(np.uint16, copy=False)
    if not moved:
        return bits
    out = bits & np.uint16(0xFFFF & ~sum(1 << position for position in moved))
    for position, value in moved.items():
        out[(bits >> position) & 1 != 0] |= np.uint16(value)
    return out


def assemble(
    sci: fits.Header, primary: fits.Header, image: Any, variance: Any, quality: Any, coverage: Any
) -> "xr.Dataset":
    """Return planes (1, y, x), in memory or lazy, under the names and units of the vocabulary.

    Parameters
    ----------
    sci, primary
        Headers of the file.
    image, variance, quality, coverage
        The planes; `coverage` may be None.
    """
    import xarray as xr

    flags = flag_attributes()
    unit = str(sci.get("BUNIT", "1"))
    if primary["PRODUCT"] in ("IMAGE", FLUX):
        variables = {
            "image": labeled(v.IMAGE, image),
            "image_variance": labeled(v.IMAGE_VARIANCE, variance),
            "image_quality": labeled(v.IMAGE_QUALITY, quality),
        }
        variables["image_quality"].attrs |= flags
        if primary["PRODUCT"] == FLUX:
            variables["image"].attrs["units"] = unit
            variables["image_variance"].attrs["units"] = f"({unit})2"
        if coverage is not None:
            variables["coverage"] = labeled(v.COVERAGE, coverage)
        return product_attributes(xr.Dataset(variables), sci, primary)
    names = ("signal", "variance", "quality")
    squared = {"electron": "electron2", "adu": "adu2", "1": "1"}.get(unit, f"({unit})2")
    units = (unit, squared, "1")
    variables = {
        name: xr.Variable(("frame", "y", "x"), data, {"units": text})
        for name, data, text in zip(names, (image, variance, quality), units, strict=True)
    }
    variables["quality"].attrs |= flags
    return product_attributes(xr.Dataset(variables), sci, primary)


def product_attributes(ds: "xr.Dataset", sci: fits.Header, primary: fits.Header) -> "xr.Dataset":
    """Return `ds` (one band or one frame) with the coordinates and attributes of its headers.

    Sets ``band``, the scalar coordinate ``wcs`` (text), ``zeropoint``, ``zeropoint_err``, ``color_term``,
    ``noise_correlation``, ``image_exposure``, ``n_frames`` (dim band), ``target`` and ``history`` attributes;
    of a frame ``wcs``, ``filter``, ``time``, ``exposure`` and those of `FRAME_CARDS` that the file tells.
    """
    solution = celestial_from_header(sci)
    if solution is not None and "NAXIS1" in sci:
        solution.pixel_shape = (int(sci["NAXIS1"]), int(sci["NAXIS2"]))
    text = wcs_to_text(solution) if solution is not None else ""
    band = str(primary.get("FILTER", ""))
    attrs = {"target": str(primary.get("OBJECT", "")), "product": str(primary["PRODUCT"]).lower()}
    lines = _history(primary)
    if lines:
        attrs[KEY] = lines
    if primary["PRODUCT"] not in ("IMAGE", FLUX):
        facts: dict[str, Any] = {"wcs": ("frame", [text]), "filter": ("frame", [band])}
        if primary["PRODUCT"] == KINDS["frame"]:
            facts |= _facts_of_frame(primary)
        return ds.assign_coords(facts).assign_attrs(attrs)
    numbers = {
        v.ZEROPOINT: "MAGZP",
        v.ZEROPOINT_ERR: "MAGZPERR",
        v.COLOR_TERM: "COLTERM",
        v.NOISE_CORRELATION: "NCORR",
        v.IMAGE_EXPOSURE: "EXPTIME",
        v.COLOR_GAIN: "COLGAIN",
        v.COLOR_GAIN_ERR: "COLGERR",
    }
    columns = {
        spec.name: labeled(spec, np.array([number_of(primary, keyword, np.nan)]))
        for spec, keyword in numbers.items()
    }
    columns["n_frames"] = labeled(v.N_FRAMES, np.array([integer(primary, "NCOMBINE", 0)], dtype=np.int64))
    return ds.assign(columns).assign_coords(band=[band], wcs=text).assign_attrs(attrs)


def _facts_of_frame(primary: fits.Header) -> dict[str, "xr.Variable"]:
    """Return what a stack must know of a frame, as coordinates; what the file does not tell is not there."""
    date = str(primary.get("DATE-AVG", ""))
    try:
        time = np.datetime64(date, "ns") if date else np.datetime64("NaT", "ns")
    except ValueError:  # not a date: as good as none
        time = np.datetime64("NaT", "ns")
    facts = {
        v.TIME.name: labeled(v.TIME, np.array([time])),
        v.EXPOSURE.name: labeled(v.EXPOSURE, np.array([number_of(primary, "EXPTIME", np.nan)])),
    }
    for name, (keyword, _) in FRAME_CARDS.items():
        if keyword in primary:
            facts[name] = labeled(v.VARIABLES[name], np.array([number_of(primary, keyword, np.nan)]))
    return facts


def _history(primary: fits.Header) -> str:
    """Return the history lines: what does not begin like an entry goes on from the card before."""
    lines: list[str] = []
    for part in (str(card) for card in primary.get("HISTORY", [])):
        if lines and not part.startswith('{"'):
            lines[-1] += part
        else:
            lines.append(part)
    return "\n".join(lines)
