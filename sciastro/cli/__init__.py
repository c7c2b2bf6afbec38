"""The command line: one file per command, each thin; heavy imports wait until a command runs."""

import atexit
import gc

import typer

from sciastro.cli import (
    annotate,
    catalog,
    color,
    config,
    demo,
    doctor,
    inspect,
    lightcurve,
    movers,
    photometry,
    reduce,
    select,
    simulate,
    solve,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="sciastro",
    help="From a raw night to calibrated science and a picture: variance, quality and units all the way.",
    epilog="Start with `sciastro demo`, then `sciastro doctor FOLDER` and `sciastro reduce FOLDER -o OUT`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
app.command("inspect")(inspect.inspect)
app.command("doctor")(doctor.doctor)
app.command("reduce")(reduce.reduce)
app.command("select")(select.select)
app.command("solve")(solve.solve)
app.command("movers")(movers.movers)
app.command("color")(color.color)
app.command("photometry")(photometry.photometry)
# A negative declination is no option.
app.command("catalog", context_settings={"ignore_unknown_options": True})(catalog.catalog)
app.command("lightcurve", context_settings={"ignore_unknown_options": True})(lightcurve.lightcurve)
app.command("annotate")(annotate.annotate)
app.command("config")(config.config)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    if version:
        from sciastro.core.history import package_version

        typer.echo(f"sciastro {package_version()}")
        raise typer.Exit(0)


def main() -> None:
    """Run the command line."""
    # Looking for circles of garbage while libraries are loaded takes a tenth of the loading: none until the
    # work begins (`common.guarded`), and seldom then.
    gc.disable()
    gc.set_threshold(100_000, 20, 50)
    # Nor is it worth half a second, in the end, to look through all that goes with the process anyway.
    atexit.register(gc.freeze)
    app()
