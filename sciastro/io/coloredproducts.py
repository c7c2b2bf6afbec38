"""A copy of an image product times its color gain: for programs that show files and know no gains."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from sciastro.errors import FileError
from sciastro.io.paths import atomic_path
from sciastro.io.product_cards import put
from sciastro.io.products import is_product, write_hdus

__all__ = ["colored_name", "write_colored"]

COLORED = "COLORED"


def colored_name(path: Path) -> str:
    """Return the name of the copy: ``M13_R_color.fits``."""
    return f"{path.name.removesuffix('.fits')}_color.fits"


def write_colored(source: Path, target: Path, gain: float, gain_err: float, white: str) -> Path:
    """Write `source` with SCI and ERR times `gain`; the source is not touched.

    ERR does not count the error of the gain, which all pixels share: it is COLGERR.

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
                where=str(source), remedy="Give an image that `sciastro reduce` wrote.",
            )  # fmt: skip
        out: list[fits.PrimaryHDU | fits.ImageHDU] = []
        for hdu in hdus:
            header = hdu.header.copy()
            for name in ("CHECKSUM", "DATASUM"):
                header.remove(name, ignore_missing=True)
            if hdu.name == "PRIMARY":
                header["PRODUCT"] = (COLORED, "what this file is")
                put(header, "COLGAIN", gain, "factor of this band, applied")
                put(header, "COLGERR", gain_err, "standard error of COLGAIN, not in ERR")
                put(header, "COLWHITE", white[:60], "what becomes white")
                out.append(fits.PrimaryHDU(header=header))
                continue
            data = np.asarray(hdu.data)
            if hdu.name in ("SCI", "ERR"):
                put(header, "BUNIT", "electron / s", f"times COLGAIN = {gain:.5g}")
                data = (data.astype(np.float64) * gain).astype(np.float32)
            out.append(fits.ImageHDU(data, header=header, name=hdu.name))
        with atomic_path(target) as part:
            write_hdus(part, fits.HDUList(out))
    return target
