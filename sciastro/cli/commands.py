"""The table of commands, and the command line made of them.

A command that is named is the only one that is loaded: reading the options of all takes 20 ms of every start.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any

import typer

__all__ = ["COMMANDS", "application", "named"]

A_MINUS_IS_NO_OPTION = {"ignore_unknown_options": True}  # but a negative declination

# Each is the function of its name in the module of its name.
COMMANDS: Mapping[str, Mapping[str, Any] | None] = MappingProxyType(
    {
        "demo": None,
        "simulate": None,
        "inspect": None,
        "doctor": None,
        "reduce": None,
        "select": None,
        "solve": None,
        "movers": None,
        "color": None,
        "photometry": None,
        "catalog": A_MINUS_IS_NO_OPTION,
        "lightcurve": A_MINUS_IS_NO_OPTION,
        "annotate": None,
        "config": None,
    }
)


def named(words: Sequence[str]) -> Iterable[str]:
    """Return the command that `words` begin with; all of them where it is none."""
    return words[:1] if words and words[0] in COMMANDS else tuple(COMMANDS)


def application(names: Iterable[str] = tuple(COMMANDS)) -> typer.Typer:
    """Return the command line with some commands."""
    app = typer.Typer(
        name="sciastro",
        help="From a raw night to calibrated science and a picture: variance, quality and units all the way.",
        epilog="Start with `sciastro demo`, then `sciastro doctor FOLDER` and "
        "`sciastro reduce FOLDER -o OUT`.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name in names:
        settings: Any = COMMANDS[name]
        app.command(name, context_settings=settings)(getattr(import_module(f"sciastro.cli.{name}"), name))
    app.callback(invoke_without_command=True)(_root)
    return app


def _root(
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    if version:
        from sciastro.core.history import package_version

        typer.echo(f"sciastro {package_version()}")
        raise typer.Exit(0)
