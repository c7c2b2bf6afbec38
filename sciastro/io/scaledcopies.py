"""Copies of an image product with all pixels times one factor that the header tells."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from sciastro.errors import FileError
from sciastro.io.paths import atomic_path
from sciastro.io.product_cards import put
from sciastro.io.product_reading import is_product
from sciastro.io.products import write_hdus

__all__ = ["Cards", "write_scaled"]

Cards = Mapping[str, tuple[Any, str]]
"""Keyword to value and comment."""


def write_scaled(
    source: Path,
    target: Path,
    factor: float,
    *,
    product: str,
    bunit: tuple[str, str],
    cards: Callable[[fits.Header], Cards],
    carriers: tuple[str, ...] = ("PRIMARY",),
) -> Path:
    """Write `source` with SCI and ERR times `factor`; the source is not touched.

    Parameters
    ----------
    source
        FITS file of `products.write_image_product`, in electron / s.
    target
        The file to make or replace, in one step.
    factor
        Its error, which all pixels share, is not counted in ERR.
    product
        What the copy is: its card PRODUCT.
    bunit
        Unit of SCI and ERR, and its comment.
    cards
        Returns, from the primary header, what the headers of `carriers` tell beside.

    Raises
    ------
    FileError
        If `source` is no image product of ours in electron / s.
    OutputError
        If the file cannot be written.
    """
    with fits.open(source, memmap=False) as hdus:
        primary = hdus[0].header
        if not is_product(primary) or primary.get("PRODUCT") != "IMAGE":
            raise FileError(
                f"is no image product in electron / s (PRODUCT = {primary.get('PRODUCT')!r}).",
                where=str(source),
                remedy="Give an image that `sciastro reduce` wrote.",
            )
        told = cards(primary)
        out: list[fits.PrimaryHDU | fits.ImageHDU] = []
        for hdu in hdus:
            header = hdu.header.copy()
            for name in ("CHECKSUM", "DATASUM"):
                header.remove(name, ignore_missing=True)
            if hdu.name == "PRIMARY":
                header["PRODUCT"] = (product, "what this file is")
            if hdu.name in carriers:
                for keyword, (value, comment) in told.items():
                    put(header, keyword, value, comment)
            if hdu.name == "PRIMARY":
                out.append(fits.PrimaryHDU(header=header))
                continue
            data = np.asarray(hdu.data)
            if hdu.name in ("SCI", "ERR"):
                put(header, "BUNIT", *bunit)
                data = (data.astype(np.float64) * factor).astype(np.float32)
            out.append(fits.ImageHDU(data, header=header, name=hdu.name))
        with atomic_path(target) as part:
            write_hdus(part, fits.HDUList(out))
    return target
