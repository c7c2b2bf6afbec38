"""``sciastro color``: colors of a finished run, calibrated again; or a picture of images of one's own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sciastro.cli.arguments import (
    ApplyColor,
    Filters,
    Offline,
    Sensor,
    WhiteReference,
    catalog_name,
    there,
)

if TYPE_CHECKING:
    from sciastro.recipe.recolor import Recolored

__all__ = ["color"]


def color_settings(
    white_reference: str | None, sensor: str | None, filters: str | None, apply_color: bool
) -> list[str]:
    """Return the options of color calibration as ``step.option=value``."""
    told = {"white": white_reference, "sensor": sensor, "filters": filters}
    settings = [f"photometry.color.{name}={value}" for name, value in told.items() if value is not None]
    return settings + (["photometry.color.apply=true"] if apply_color else [])


def color(
    targets: Annotated[
        list[Path],
        typer.Argument(
            metavar="OUT | IMAGES...",
            help="Folder of a finished run; or images of red, green and blue (two bands, or one file with "
            "three planes will do), of any program.",
            callback=there,
            readable=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Where the picture of images goes."),
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Bands of the images, in their order: R,G,B or i,r,g or SII,Ha,OIII."
        ),
    ] = None,
    white_reference: WhiteReference = None,
    sensor: Sensor = None,
    filters: Filters = None,
    spectra: Annotated[
        str | None,
        typer.Option(
            metavar="gaia|FILE",
            help="Spectra of the stars: gaia fetches Gaia DR3's (XP); or a file with them, by source_id.",
        ),
    ] = None,
    catalog: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="Stars: embedded, gaia-dr3, ..., or your own file.",
            callback=catalog_name,
        ),
    ] = "embedded",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STEP.OPTION=VALUE", help="Change one option; repeatable."),
    ] = None,
    apply_color: ApplyColor = False,
    offline: Offline = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON with the records.")] = False,
) -> None:
    """Calibrate the colors of a finished run again, or make a color picture of images of other programs.

    Of a run, its pictures are made anew and its products stay. Images are brought onto one grid, by their
    stars or their world coordinates; their colors are calibrated where stars allow.
    """
    from sciastro.cli.common import console, error_console, guarded, offline_if

    with guarded(), offline_if(offline):
        settings = color_settings(white_reference, sensor, filters, apply_color)
        settings += [f"photometry.color.spectra={spectra}"] if spectra else []

        def warn(text: str) -> None:
            error_console.tell(f"sciastro: {text}")

        if (spectra or "").lower() == "gaia" and not (as_json or offline):
            warn("Gaia's spectra: from the cache, else from the archive, which takes a minute or two")
        folder, done = _made(targets, out, bands, [*settings, *(set_ or [])], catalog, warn)
        for one in done:
            line = json.dumps(one.record) if as_json else _words(one.record, one.picture)
            console.tell(line)
            for name in () if as_json else one.files:
                console.tell(f"  {folder / name}")


def _made(
    targets: list[Path],
    out: Path | None,
    bands: str | None,
    settings: list[str],
    catalog: str,
    warn: Callable[[str], None],
) -> "tuple[Path, list[Recolored]]":
    from sciastro.errors import UsageError
    from sciastro.recipe.recolor import recolor_run

    if len(targets) == 1 and not targets[0].is_file():
        if out is not None or bands is not None:
            raise UsageError(
                "is for images.", where="-o or --bands",
                remedy="Leave it out: the pictures of a run are made within the run.",
            )  # fmt: skip
        return targets[0], recolor_run(targets[0], settings, catalog=catalog, warn=warn)
    if folders := [one for one in targets if one.is_dir()]:
        raise UsageError(
            "is a folder.", where=str(folders[0]), remedy="Give one run, or the images of each band."
        )
    if out is None:
        raise UsageError("is missing.", where="-o", remedy="Say where the picture goes: -o FOLDER.")
    from sciastro.recipe.colorimages import color_images

    names = [one.strip() for one in bands.split(",")] if bands else []
    return out, [color_images(targets, out, settings, bands=names, catalog=catalog, warn=warn)]


def _words(record: dict[str, object], picture: str) -> str:
    if "gains" not in record:
        return f"{record['target']}: colors as they are; {picture}"
    bands, gains, errors = (list(record[name]) for name in ("bands", "gains", "errors"))  # type: ignore[call-overload]
    told = ", ".join(
        f"{band} {gain:.4f} +- {err:.4f}" for band, gain, err in zip(bands, gains, errors, strict=True)
    )
    return (
        f"{record['target']}: {told}; white: {record['white_name']}; {record['method']}, {record['stage']}, "
        f"{record['n_stars']} stars; {picture}"
    )
