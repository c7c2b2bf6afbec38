"""The command line: one file per command, each thin; heavy imports wait until a command runs."""

import atexit
import gc
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    app: typer.Typer

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line."""
    # Looking for circles of garbage while libraries are loaded takes a tenth of the loading: none until the
    # work begins (`common.guarded`), and seldom then.
    gc.disable()
    gc.set_threshold(100_000, 20, 50)
    # Nor is it worth half a second, in the end, to look through all that goes with the process anyway.
    atexit.register(gc.freeze)
    # Our workers share the processors; matrices are tiny, and a second thread of a library only waits.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from sciastro.cli.commands import application, named

    application(named(sys.argv[1:]))()


def __getattr__(name: str) -> "typer.Typer":
    """Return the command line with every command, `app`."""
    if name != "app":
        raise AttributeError(f"module 'sciastro.cli' has no attribute '{name}'")
    from sciastro.cli.commands import application

    return application()
