"""Which frames made each pixel of a product, as a FITS file beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from sciastro.core.wcs import wcs_to_header
from sciastro.io.paths import atomic_path
from sciastro.io.product_cards import ProductFacts, ascii_text, fact_cards
from sciastro.io.products import write_hdus

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["write_context"]


def write_context(
    path: Path,
    context: npt.NDArray[np.uint32],
    frames: Sequence[tuple[str, float]],
    *,
    wcs: "WCS | None",
    facts: ProductFacts,
) -> Path:
    """Write CONTEXT, a cube of bits, and FRAMES, a table of which frame has which bit.

    Parameters
    ----------
    path
        The file to make or replace, in one step.
    context
        uint32 (plane, y, x): frame n made the pixel where bit ``n % 32`` of plane ``n // 32`` is set.
    frames
        Path and weight of each frame, in the order of their numbers.
    wcs, facts
        Of the product.
    """
    primary = fits.PrimaryHDU()
    primary.header["PRODUCT"] = ("CONTEXT", "what this file is")
    primary.header.extend(fact_cards(facts))
    cube = fits.ImageHDU(context, name="CONTEXT")
    if wcs is not None:
        cube.header.extend(wcs_to_header(wcs))
        cube.header["WCSAXES"] = 2
    cube.header["COMMENT"] = "Frame n made a pixel where bit n % 32 of plane n // 32 is set; n is in FRAMES."
    names = [ascii_text(name, 256) for name, _ in frames]
    width = max((len(name) for name in names), default=1)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("FRAME", "J", array=np.arange(len(names), dtype=np.int32)),
            fits.Column("PATH", f"{max(width, 1)}A", array=np.array(names, dtype=f"S{max(width, 1)}")),
            fits.Column("WEIGHT", "D", array=np.array([weight for _, weight in frames], dtype=np.float64)),
        ],
        name="FRAMES",
    )
    with atomic_path(path) as part:
        write_hdus(part, fits.HDUList([primary, cube, table]))
    return path
