"""A copy of an image product times its color gain: for programs that show files and know no gains."""

from pathlib import Path

from sciastro.io.scaledcopies import write_scaled

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
    told = {
        "COLGAIN": (gain, "factor of this band, applied"),
        "COLGERR": (gain_err, "standard error of COLGAIN, not in ERR"),
        "COLWHITE": (white[:60], "what becomes white"),
    }
    return write_scaled(
        source,
        target,
        gain,
        product=COLORED,
        bunit=("electron / s", f"times COLGAIN = {gain:.5g}"),
        cards=lambda _: told,
    )
