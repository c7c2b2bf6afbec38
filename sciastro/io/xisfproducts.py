"""Our products as XISF: the planes of a FITS file as images, each with all cards that belong to it."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from astropy.io import fits

from sciastro.io.cards import parse_date
from sciastro.io.xisfwrite import XisfPlane, write_xisf

__all__ = ["copy_as_xisf", "planes_of"]

SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)
"""Time of creation of files that do not say when they were exposed: the same input gives the same bytes."""


def planes_of(hdus: fits.HDUList) -> list[XisfPlane]:
    """Return the planes of a product, each with the cards of the primary header before its own."""
    planes = []
    for hdu in hdus[1:]:
        header = hdus[0].header.copy()
        header.update({card.keyword: (card.value, card.comment) for card in hdu.header.cards})
        header["EXTNAME"] = hdu.name
        planes.append(XisfPlane(np.asarray(hdu.data), header, hdu.name))
    return planes


def created(header: fits.Header) -> datetime:
    """Return the end of the exposures as the time of creation, so that a rerun gives the same bytes."""
    parsed = parse_date(str(header.get("DATE-END", header.get("DATE-OBS", ""))))
    return SOME_DAY if parsed is None else parsed[0]


def copy_as_xisf(path: Path) -> Path:
    """Write the product `path` (FITS) again as XISF beside it, packed without loss.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with fits.open(path, memmap=False) as hdus:
        return write_xisf(path.with_suffix(".xisf"), planes_of(hdus), created=created(hdus[0].header))
