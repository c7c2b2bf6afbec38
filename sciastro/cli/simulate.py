"""``sciastro simulate``: a raw night of which everything is known."""

from pathlib import Path
from typing import Annotated

import typer

from sciastro.cli.arguments import Quiet

__all__ = ["simulate"]


def simulate(
    out: Annotated[Path, typer.Argument(help="New folder for the night.")],
    preset: Annotated[
        str,
        typer.Option(help="demo (color nebula), acceptance (hard), osc (Bayer), phone (untracked) or tiny."),
    ] = "demo",
    program: Annotated[
        str | None, typer.Option(help="Write headers as nina, sharpcap, asiair, ekos or maxim does.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Another seed: another sky and camera. The next night of the same: --set night=2.", min=0
        ),
    ] = None,
    shape: Annotated[str | None, typer.Option(help="Sensor as ROWSxCOLUMNS, such as 1000x1500.")] = None,
    shrink: Annotated[
        float, typer.Option(help="Fewer and larger pixels over the same field: 2 leaves a quarter.", min=0.1)
    ] = 1.0,
    lights: Annotated[int | None, typer.Option(help="Light frames per band.", min=0)] = None,
    bands: Annotated[str | None, typer.Option(help="Filters, separated by commas: L,R,G,B,Ha ...")] = None,
    exposure: Annotated[float | None, typer.Option(help="Exposure of the lights in seconds.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Any other option, NAME=VALUE: camera.gain=1.2, sky.nebula=cloud, trailed=3."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a raw night (lights, darks, biases, flats) of real and invented stars to OUT, with its truth.

    OUT/truth/truth.json tells what each frame is of (exact geometry, seeing, sky, clouds), and
    OUT/truth/stars.ecsv every star. Reduce the night with `sciastro reduce OUT -o RESULT`, then compare.
    """
    from sciastro.cli.common import Bars, console, guarded
    from sciastro.recipe.simulated import night_plan, write_night

    with guarded():
        chosen = {
            "program": program,
            "seed": seed,
            "lights": lights,
            "bands": bands,
            "exposure": exposure,
        }
        plan = night_plan(preset, chosen, shape=shape, settings=settings or [], shrink=shrink)
        with Bars(quiet=quiet) as bars:
            night = write_night(plan, out, progress=bars)
        if not quiet:
            console.tell(night.as_text())
