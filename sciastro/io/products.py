"""FITS files that we publish: images with error, quality and coverage; masters; single frames.

Layout: PRIMARY (header only), SCI, ERR (1 sigma, unit of SCI), DQ (uint16 bits, named in the header) and,
for integrated images, COVERAGE (effective frames) and NOISEACF (correlation of the noise of two pixels by
their offset, a small image). Every extension but that carries the full WCS, and all CHECKSUM and DATASUM.
Missing pixels are NaN in SCI and ERR and have a bit in DQ. The same input gives the same bytes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from sciastro.core.correlation import aperture_factor
from sciastro.core.lift import run_tasks
from sciastro.core.wcs import text_to_wcs, wcs_to_header
from sciastro.errors import OutputError
from sciastro.io.fitswrite import can_stream, stream_hdus
from sciastro.io.paths import atomic_path
from sciastro.io.product_cards import (
    KINDS,
    NOISE_NAME,
    ProductFacts,
    ascii_text,
    fact_cards,
    quality_cards,
    site_cards,
)
from sciastro.io.xisfproducts import created, planes_of
from sciastro.io.xisfwrite import write_planes

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = [
    "ProductFacts",
    "write_frame",
    "write_hdus",
    "write_image_product",
    "write_master",
    "write_rejection_maps",
]

Plane = npt.NDArray[Any]

NOISE_RADII = (1.5, 2.0, 3.0, 5.0, 10.0)  # of apertures whose noise factor the header tells [pixel]


def write_image_product(
    path: Path,
    image: Plane,
    variance: Plane,
    quality: Plane,
    coverage: Plane,
    *,
    wcs: "WCS | str | None",
    facts: ProductFacts,
    autocorrelation: Plane | None = None,
    compress: bool = False,
) -> Path:
    """Write the integrated image of one band.

    Parameters
    ----------
    path
        The file to make or replace, in one step.
    image, variance
        float (y, x), electron / s and its square; NaN is missing.
    quality, coverage
        Bits of `Quality`; effective number of frames.
    wcs
        World coordinates, or their header text; None or "" where unsolved.
    facts
        Everything for the header.
    autocorrelation
        Correlation of the noise of two pixels by their offset in y and x (2 K + 1, 2 K + 1); None or NaN
        unknown.
    compress
        Tile-compress without loss (GZIP_2; for a ``.fits.fz``). A path that ends in ``.xisf`` gets an XISF
        file of the same planes and cards, then packed by zlib.

    Raises
    ------
    OutputError
        If the planes differ in shape or the file cannot be written.
    """
    planes = {"SCI": image, "ERR": variance, "DQ": quality, "COVERAGE": coverage}
    extra = [] if autocorrelation is None else list(_noise_hdu(np.asarray(autocorrelation)))
    return _write(path, planes, "electron / s", wcs, facts, "image", compress, extra)


def write_master(
    path: Path,
    image: Plane,
    variance: Plane,
    quality: Plane,
    *,
    facts: ProductFacts,
    unit: str = "adu",
    compress: bool = False,
) -> Path:
    """Write a master frame: SCI, ERR, DQ in `unit` ("" for a flat divided by its level); see above."""
    planes = {"SCI": image, "ERR": variance, "DQ": quality}
    return _write(path, planes, unit, None, facts, "master", compress)


def write_frame(
    path: Path,
    signal: Plane,
    variance: Plane,
    quality: Plane,
    *,
    wcs: "WCS | str | None",
    facts: ProductFacts,
    unit: str = "electron",
    compress: bool = False,
) -> Path:
    """Write one calibrated or registered frame: SCI and ERR in `unit`, DQ; see `write_image_product`.

    `signal` and `variance` (y, x) in `unit` and its square, NaN where there is none; `quality` uint16.
    """
    planes = {"SCI": signal, "ERR": variance, "DQ": quality}
    return _write(path, planes, unit, wcs, facts, "frame", compress)


def write_rejection_maps(
    path: Path, planes: dict[str, Plane], *, wcs: "WCS | str | None", facts: ProductFacts
) -> Path:
    """Write counts of rejected and missing samples per pixel, one image extension per cause.

    Parameters
    ----------
    planes
        Cause to number of frames, unsigned integers (y, x); the cause is the name of the extension.
    path, wcs, facts
        As in `write_image_product`.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    solution = text_to_wcs(wcs) if isinstance(wcs, str) and wcs else wcs
    sky = wcs_to_header(solution) if solution is not None and not isinstance(solution, str) else fits.Header()
    primary = fits.PrimaryHDU()
    primary.header["EXTEND"] = True
    primary.header["PRODUCT"] = ("REJECTION", "what this file is")
    primary.header.extend(fact_cards(facts))
    hdus = [primary]
    for name, plane in planes.items():
        header = fits.Header()
        header["BUNIT"] = ("count", "frames")
        header.extend(sky)
        hdus.append(fits.ImageHDU(plane, header, name=name.upper()))
    with atomic_path(path) as part:
        write_hdus(part, fits.HDUList(hdus))
    return path


def _write(
    path: Path,
    planes: dict[str, Plane],
    unit: str,
    wcs: "WCS | str | None",
    facts: ProductFacts,
    kind: str,
    compress: bool,
    extra: Sequence[Any] = (),
) -> Path:
    shapes = {name: plane.shape for name, plane in planes.items()}
    if len(set(shapes.values())) != 1 or len(shapes["SCI"]) != 2:
        raise OutputError(
            f"has planes of shapes {shapes}.", where=str(path), remedy="Give planes (y, x) of one shape."
        )
    solution = text_to_wcs(wcs) if isinstance(wcs, str) and wcs else wcs
    sky = wcs_to_header(solution) if solution is not None and not isinstance(solution, str) else fits.Header()
    xisf = path.suffix.lower() == ".xisf"
    roots = () if xisf or compress else ("ERR",)  # taken while the file is written, without another plane
    hdus = fits.HDUList([*_hdus(planes, unit, sky, facts, kind, compress and not xisf, roots), *extra])
    with atomic_path(path) as part:
        if xisf:
            packing = "zlib" if compress else ""
            write_planes(part, planes_of(hdus), compression=packing, created=created(hdus[0].header))
        else:
            # Lights get their masters from memory, as far as the run holds them there.
            write_hdus(part, hdus, once=kind == "master", roots=roots)
    return path


def write_hdus(path: Path, hdus: fits.HDUList, *, once: bool = False, roots: Sequence[str] = ()) -> None:
    """Write `hdus` with checksums whose comments do not hold the moment of writing.

    `once`: nobody will read them soon, so that the system need not keep them in its memory. `roots`: names
    of those HDUs of which the square roots are written.
    """
    comment = "checksum of this HDU"
    if all(can_stream(hdu) for hdu in hdus):
        stream_hdus(path, hdus, comment, once=once, roots=roots)
        return
    for hdu in hdus:
        if hdu.name in roots:
            hdu.data = np.sqrt(hdu.data, dtype=np.float32)
    run_tasks(lambda hdu: hdu.add_checksum(when=comment), list(hdus))
    hdus.writeto(path, overwrite=True, output_verify="exception")


def _hdus(
    planes: dict[str, Plane], unit: str, sky: fits.Header, facts: ProductFacts, kind: str, compress: bool,
    roots: Sequence[str],
) -> Iterator[Any]:  # fmt: skip
    cards = fact_cards(facts)
    primary = fits.PrimaryHDU()
    primary.header["EXTEND"] = True
    primary.header["PRODUCT"] = (KINDS[kind], "what this file is")
    primary.header.extend(cards)
    primary.header.extend(site_cards(facts))
    primary.header.extend(quality_cards())
    for part in _history_cards(facts.history):
        primary.header.add_history(part)
    yield primary
    for name, plane in planes.items():
        header = fits.Header()
        if name in ("SCI", "ERR") and unit:
            header["BUNIT"] = (unit, "unit of the pixels")
        header.extend(sky)
        if name == "SCI":
            header.extend(cards, update=True)  # a WCS read from a file brings its times along
        if name == "DQ":
            header.extend(quality_cards())
        yield _image_hdu(_stored("" if name in roots else name, plane), header, name, compress)


def _noise_hdu(kernel: Plane) -> Iterator[Any]:
    """Yield the autocorrelation of the noise, unless it is unknown."""
    if not np.isfinite(kernel).all():
        return
    header = fits.Header()
    middle = kernel.shape[0] // 2 + 1
    for axis in "12":  # its own coordinates: the offset in pixels
        header[f"CTYPE{axis}"], header[f"CUNIT{axis}"] = f"LAG{axis}", "pixel"
        header[f"CRPIX{axis}"], header[f"CRVAL{axis}"], header[f"CDELT{axis}"] = middle, 0, 1
    for radius in NOISE_RADII:
        factor = round(aperture_factor(np.asarray(kernel, dtype=np.float64), radius), 4)
        header[f"NCORR{radius:g}".replace(".", "P")] = (
            factor,
            f"noise factor of apertures of {radius:g} pixel",
        )
    yield fits.ImageHDU(np.ascontiguousarray(kernel, dtype=np.float32), header=header, name=NOISE_NAME)


def _history_cards(text: str) -> Iterator[str]:
    """Yield parts of 72 characters that do not end in a space, which FITS would drop."""
    for line in text.splitlines():
        rest = ascii_text(line, len(line))
        while rest:
            end = 72
            while end > 1 and rest[:end].endswith(" "):
                end -= 1
            yield rest[:end]
            rest = rest[end:]


def _stored(name: str, plane: Plane) -> Plane:
    if name == "DQ":
        return plane.astype(np.uint16, copy=False)
    if name == "ERR":
        return np.sqrt(plane, dtype=np.float32)
    return plane.astype(np.float32, copy=False)


def _image_hdu(data: Plane, header: fits.Header, name: str, compress: bool) -> Any:
    if not compress:
        return fits.ImageHDU(np.ascontiguousarray(data), header=header, name=name)
    return fits.CompImageHDU(
        np.ascontiguousarray(data),
        header=header,
        name=name,
        compression_type="GZIP_2" if data.dtype.kind == "f" else "RICE_1",
        quantize_level=0.0,
    )
