"""``sciastro color``: the colors of a finished run, calibrated again with other choices."""

from pathlib import Path
from typing import Annotated

import typer

from sciastro.cli.arguments import ApplyColor, Filters, Offline, Sensor, WhiteReference, catalog_name

__all__ = ["color"]


def color_settings(
    white_reference: str | None, sensor: str | None, filters: str | None, apply_color: bool
) -> list[str]:
    """Return the options of color calibration as ``step.option=value``."""
    told = {"white": white_reference, "sensor": sensor, "filters": filters}
    settings = [f"photometry.color.{name}={value}" for name, value in told.items() if value is not None]
    return settings + (["photometry.color.apply=true"] if apply_color else [])


def color(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a finished run.", file_okay=False)],
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
    """Calibrate the colors of a finished run again and make its pictures anew; the products stay."""
    import json

    from sciastro.cli.common import console, error_console, guarded, offline_if
    from sciastro.recipe.recolor import recolor_run

    with guarded(), offline_if(offline):
        settings = color_settings(white_reference, sensor, filters, apply_color)
        settings += [f"photometry.color.spectra={spectra}"] if spectra else []

        def warn(text: str) -> None:
            error_console.print(f"sciastro: {text}", markup=False, highlight=False, soft_wrap=True)

        done = recolor_run(out, [*settings, *(set_ or [])], catalog=catalog, warn=warn)
        for one in done:
            line = json.dumps(one.record) if as_json else _words(one.record, one.picture)
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            for name in () if as_json else one.files:
                console.print(f"  {out / name}", markup=False, highlight=False, soft_wrap=True)


def _words(record: dict[str, object], picture: str) -> str:
    bands, gains, errors = (list(record[name]) for name in ("bands", "gains", "errors"))  # type: ignore[call-overload]
    told = ", ".join(
        f"{band} {gain:.4f} +- {err:.4f}" for band, gain, err in zip(bands, gains, errors, strict=True)
    )
    return (
        f"{record['target']}: {told}; white: {record['white_name']}; {record['method']}, {record['stage']}, "
        f"{record['n_stars']} stars; {picture}"
    )
