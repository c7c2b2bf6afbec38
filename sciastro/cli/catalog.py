"""``sciastro catalog``: the star catalog that comes with the package."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["catalog"]


def catalog(
    ra: Annotated[float | None, typer.Option(help="Center of a cone, in degrees.")] = None,
    dec: Annotated[float | None, typer.Option(help="Center of a cone, in degrees.")] = None,
    radius: Annotated[float, typer.Option(help="Radius of the cone, in degrees.", min=0.0, max=180.0)] = 0.5,
    brightest: Annotated[int, typer.Option(help="Show at most this many stars.", min=1)] = 20,
    epoch: Annotated[float | None, typer.Option(help="Julian year to move the stars to.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Look into your own catalog instead.", exists=True, dir_okay=False)
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check the data against their digests.")] = False,
) -> None:
    """Describe the embedded star catalog, verify it, or list stars of a cone (--ra --dec)."""
    from sciastro.cli.common import console, guarded
    from sciastro.recipe.inspection import catalog_lines

    with guarded():
        for line in catalog_lines(
            ra=ra, dec=dec, radius=radius, brightest=brightest, epoch=epoch, file=file, verify_data=verify
        ):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
