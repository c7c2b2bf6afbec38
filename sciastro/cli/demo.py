"""``sciastro demo``: simulate a small night, reduce it, and say where to look."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to work in.")] = Path("sciastro-demo"),
    seed: Annotated[int, typer.Option(help="Another seed is another night.", min=0)] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
) -> None:
    """Make a raw night with known truth, reduce it end to end, and compare the result with the truth."""
    from sciastro.cli.closing import closing_words
    from sciastro.cli.common import Bars, announce_first_use, console, guarded, json_logging
    from sciastro.core.lift import processors
    from sciastro.recipe.compiling import compiling_ahead
    from sciastro.recipe.context import parse_memory
    from sciastro.recipe.demo import compare_with_truth, make_demo_night
    from sciastro.recipe.plan import load_recipe
    from sciastro.recipe.request import LOG
    from sciastro.recipe.run import RunRequest, reduce_session

    with guarded():
        night, result = out / "night", out / "result"
        announce_first_use(quiet=quiet)
        workers, memory = processors(), parse_memory("2GB")  # as `reduce` has them
        with Bars(quiet=quiet) as bars, compiling_ahead("demo", "report", workers=workers, memory=memory):
            make_demo_night(night, seed=seed, progress=bars)
            request = RunRequest(session=night, out=result, recipe=load_recipe(None, []))
            with request.new_out() as folder, json_logging(folder / LOG):
                summary = reduce_session(request, progress=bars)
        for line in [*closing_words(summary, result), *compare_with_truth(night, result)]:
            console.tell(line)
        raise typer.Exit(0 if summary["products"] else 4)
