"""``xarray.open_dataset("x.fits", engine="sciastro")``: files as labeled datasets, pixels read when needed.

A raw frame becomes ``raw`` [adu] (frame, y, x) with the facts of its header as coordinates; one of our own
products becomes ``image``, ``image_variance``, ... (band, y, x) or ``signal``, ... (frame, y, x).
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import xarray as xr
from astropy.io import fits
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from sciastro.core import vocabulary as v
from sciastro.core.vocabulary import labeled
from sciastro.core.wcs import celestial_from_header, wcs_to_text
from sciastro.errors import FileError
from sciastro.io import accessor as _accessor  # noqa: F401  (registers ``ds.sky``)
from sciastro.io.framefacts import FrameFacts
from sciastro.io.headers import facts_from_header
from sciastro.io.probe import Probe, image_of
from sciastro.io.product_cards import NOISE_NAME, quality_from_header
from sciastro.io.product_reading import (
    assemble,
    is_product,
    quality_in_our_bits,
    require_one_size,
    variance_type,
)
from sciastro.io.reader import is_image, open_rows, probe, read_pixels

__all__ = ["SciastroBackend"]


class LazyPlane(BackendArray):
    """One image of a file as an array (1, y, x) that reads the rows asked for; may be pickled."""

    def __init__(self, image: Probe, dtype: npt.DTypeLike, convert: Callable[..., Any] | None = None) -> None:
        self.image = image
        self.shape = (1, *image.shape)
        self.dtype = np.dtype(dtype)
        self.convert = convert
        self.stamp = _stamp(image.path)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        """Return the pixels of `key`."""
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        return self.pixels_of(*key)

    def pixels_of(self, frame: Any, rows: Any, columns: Any) -> npt.NDArray[Any]:
        """Return the pixels of basic indices along (frame, y, x)."""
        self._require_unchanged()
        height = self.shape[1]
        if isinstance(rows, slice):
            wanted = range(*rows.indices(height))
            first, last = (min(wanted), max(wanted) + 1) if wanted else (0, 0)
            inside: Any = slice(None) if rows.step in (None, 1) else np.asarray(wanted, dtype=np.intp) - first
        else:
            first = int(rows) % height
            last, inside = first + 1, 0
        band = (
            open_rows(self.image)(first, last)
            if last > first
            else np.empty((0, self.shape[2]), dtype=self.image.dtype)
        )
        pixels = self.convert(band) if self.convert is not None else band
        return np.asarray(pixels.astype(self.dtype, copy=False)[inside][..., columns][None][frame])

    def rows_into(self, frame: int, first: int, last: int, out: npt.NDArray[Any]) -> None:
        """Write rows of the only frame to `out` (`core.windows.RowsOfFrames`), without a copy in between."""
        self._require_unchanged()
        rows = open_rows(self.image)
        if self.image.dtype == self.dtype and hasattr(rows, "into"):
            rows.into(first, last, out)
            if self.convert is not None:
                self.convert(out, out)
        else:
            pixels = rows(first, last)
            out[...] = pixels if self.convert is None else self.convert(pixels)

    def _require_unchanged(self) -> None:
        """Check that the file is the one whose header was read; one that is gone is told by who reads it."""
        now = _stamp(self.image.path)
        if None not in (now, self.stamp) and now != self.stamp:
            raise FileError(
                "changed after it had been opened.", where=str(self.image.path), remedy="Open it again."
            )


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return the size of a file and the time of its last change; None if nobody can say."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


class LazyFrames(BackendArray):
    """The frames of a video as an array (frame, y, x) that reads the rows asked for; may be pickled."""

    def __init__(self, images: Sequence[Probe]) -> None:
        self.frames = [LazyPlane(image, image.dtype) for image in images]
        self.shape = (len(images), *images[0].shape)
        self.dtype = images[0].dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        """Return the pixels of `key`."""
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        number, rows, columns = key
        if not isinstance(number, slice):
            return self.frames[int(number)].pixels_of(0, rows, columns)
        chosen = [frame.pixels_of(0, rows, columns) for frame in self.frames[number]]
        if chosen:
            return np.stack(chosen)
        return np.empty((0, *self.frames[0].pixels_of(0, rows, columns).shape), self.dtype)


def _square(pixels: Any, out: Any = None) -> Any:
    return np.square(pixels, out=out, dtype=np.float32)


def _square_wide(pixels: Any, out: Any = None) -> Any:
    return np.square(pixels, out=out, dtype=np.float64)


class _Bits:
    """Converts DQ of another version to our bits, by the names in its header."""

    def __init__(self, header: fits.Header) -> None:
        self.moved = quality_from_header(header)

    def __call__(self, pixels: Any, out: Any = None) -> Any:
        if not self.moved and (out is None or out is pixels):
            return pixels
        bits = quality_in_our_bits(pixels, self.moved)
        if out is None:
            return bits
        out[...] = bits
        return out


def _lazy(image: Probe, dtype: npt.DTypeLike, convert: Callable[..., Any] | None = None) -> Any:
    return indexing.LazilyIndexedArray(LazyPlane(image, dtype, convert))


class SciastroBackend(BackendEntrypoint):
    """Entry point of xarray; ``engine="sciastro"``."""

    description: ClassVar[str] = (
        "Raw astronomical frames (FITS, XISF, camera raw, TIFF, SER) and products of sciastro"
    )
    url: ClassVar[str] = ""
    open_dataset_parameters: ClassVar[Any] = ("filename_or_obj", "drop_variables", "hdu")

    def open_dataset(  # type: ignore[override]
        self,
        filename_or_obj: str | os.PathLike[Any],
        *,
        drop_variables: str | Iterable[str] | None = None,
        hdu: int | None = None,
    ) -> xr.Dataset:
        """Open a file.

        Parameters
        ----------
        filename_or_obj
            Path of a file in any format that `io.reader` reads.
        drop_variables
            Names to leave out.
        hdu
            Number of the image in a raw file with several; None takes the first, and of a video all frames.

        Returns
        -------
        Dataset
            Pixels are read when computed; facts are in memory.

        Raises
        ------
        FileError
            If the file cannot be read.
        """
        path = Path(filename_or_obj)
        images = probe(path)
        ds = _open_product(images) if is_product(images[0].header) else _open_raw(path, images, hdu)
        ds.encoding["source"] = str(path)
        dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or ())
        return ds.drop_vars(dropped, errors="ignore")

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Return whether the name is that of an image that can be read."""
        return isinstance(filename_or_obj, str | os.PathLike) and is_image(Path(filename_or_obj))


def _open_product(images: list[Probe]) -> xr.Dataset:
    planes = {str(image.header.get("EXTNAME", "")): image for image in images}
    missing = [name for name in ("SCI", "ERR", "DQ") if name not in planes]
    if missing:
        raise FileError(
            f"lacks the extensions {', '.join(missing)}.",
            where=str(images[0].path),
            remedy="Make it again with `sciastro reduce`, or copy it again.",
        )
    require_one_size({name: image.shape for name, image in planes.items()}, images[0].path)
    kernel = None
    primary = planes["SCI"].header  # XISF: the cards of the primary header stand with every plane
    if images[0].path.suffix.lower() != ".xisf":
        with fits.open(images[0].path, memmap=True) as hdus:
            primary = hdus[0].header.copy()
            kernel = np.array(hdus[NOISE_NAME].data, dtype=np.float64) if NOISE_NAME in hdus else None
    elif NOISE_NAME in planes:
        kernel = read_pixels(images[0].path, planes[NOISE_NAME].hdu).astype(np.float64)
    coverage, wide = planes.get("COVERAGE"), variance_type(primary)
    ds = assemble(
        planes["SCI"].header,
        primary,
        _lazy(planes["SCI"], np.float32),
        _lazy(planes["ERR"], wide, _square if wide is np.float32 else _square_wide),
        _lazy(planes["DQ"], np.uint16, _Bits(planes["DQ"].header)),
        None if coverage is None else _lazy(coverage, np.float32),
    )
    if kernel is not None:
        ds = ds.assign(noise_autocorrelation=labeled(v.NOISE_AUTOCORRELATION, kernel[None]))
    return ds


def _open_raw(path: Path, images: list[Probe], hdu: int | None) -> xr.Dataset:
    image = image_of(images, path, hdu)
    chosen = images if hdu is None and image.sequence else [image]
    known = [
        replace(
            facts_from_header(one.header, path.name, one.shape, one.dtype.name, one.hdu),
            of=len(images) if image.sequence else 1,
        )
        for one in chosen
    ]
    facts = known[0]
    frames = LazyPlane(image, image.dtype) if len(chosen) == 1 else LazyFrames(chosen)
    raw = labeled(v.RAW, indexing.LazilyIndexedArray(frames))
    coords = _together([_coordinates(*pair) for pair in zip(known, chosen, strict=True)])
    attrs: dict[str, Any] = {
        "target": facts.target,
        "telescope": facts.telescope,
        "instrument": facts.instrument,
        "kind": facts.kind,
        "problems": "\n".join(dict.fromkeys(problem for one in known for problem in one.problems)),
    }
    if facts.site is not None:
        latitude, longitude, elevation = facts.site
        attrs |= {"latitude": latitude, "longitude": longitude}
        attrs |= {} if elevation is None else {"elevation": elevation}
    return xr.Dataset({"raw": raw}, coords=coords, attrs=attrs)


def _together(parts: Sequence[dict[str, xr.Variable]]) -> dict[str, xr.Variable]:
    """Return the coordinates of frames one after the other."""
    if len(parts) == 1:
        return parts[0]
    return {
        name: xr.Variable(first.dims, np.concatenate([part[name].values for part in parts]), first.attrs)
        for name, first in parts[0].items()
    }


def _coordinates(facts: FrameFacts, image: Probe) -> dict[str, xr.Variable]:
    """Return the facts that the vocabulary has names for; NaN, NaT and "" where nobody says."""
    wcs = celestial_from_header(image.header)
    if wcs is not None:
        wcs.pixel_shape = (image.shape[1], image.shape[0])
    time: Any = np.datetime64("NaT", "ns")
    if facts.time is not None:
        moment = facts.time.astimezone(UTC) if facts.time.tzinfo is not None else facts.time
        time = np.datetime64(moment.replace(tzinfo=None), "ns")
    numbers = {
        v.EXPOSURE: facts.exposure,
        v.GAIN: facts.egain,
        v.READ_NOISE: facts.read_noise,
        v.TEMPERATURE: facts.temperature,
        v.SATURATION: facts.saturation,
    }
    texts = {
        v.FILTER: facts.filter,
        v.TARGET: facts.target,
        v.PATH: facts.name,
        v.CFA: facts.cfa,
        v.WCS: wcs_to_text(wcs) if wcs is not None else "",
    }
    coords = {
        spec.name: labeled(spec, np.array([np.nan if value is None else value], dtype=np.float64))
        for spec, value in numbers.items()
    }
    coords |= {spec.name: labeled(spec, np.array([text], dtype=np.str_)) for spec, text in texts.items()}
    coords["time"] = labeled(v.TIME, np.array([time]))
    return coords
