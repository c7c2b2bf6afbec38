"""Products and frames of an earlier run in the same output folder: they stay, and are told."""

from collections.abc import Mapping
from pathlib import Path

from sciastro.errors import OutputError
from sciastro.recipe.context import Context

__all__ = ["State", "name_leftovers", "products_now"]

FOLDERS = ("products", "renders", "calibrated", "registered")
SHOWN = 4  # files that a warning names

State = Mapping[str, tuple[int, int]]


def products_now(out: Path) -> State:
    """Return products, pictures and kept frames in `out` with what tells a file from one of the same name.

    Raises
    ------
    OutputError
        If a folder does not let its files be looked at.
    """
    found = {}
    for folder in FOLDERS:
        for path in (out / folder).glob("*"):
            try:
                status = path.lstat()  # of a link itself: what it pointed to may be gone
            except OSError as error:
                raise OutputError(
                    f"cannot be looked at: {error.strerror}.", where=str(path),
                    remedy="Mend the rights of its folder, or choose another output folder.",
                ) from error  # fmt: skip
            found[path.relative_to(out).as_posix()] = (status.st_ino, status.st_mtime_ns)
    return found


def name_leftovers(before: State, context: Context) -> None:
    """Warn of the files of `before` that this run has not made anew; ``summary.json`` does not list them."""
    now = products_now(context.out)
    left = [path for path, state in before.items() if now.get(path) == state]
    if left:
        more = f", and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        context.warn(
            f"{len(left)} file{'s are' if len(left) > 1 else ' is'} of an earlier run and not of this one: "
            f"{', '.join(sorted(left)[:SHOWN])}{more}. Delete them, or give each run a folder of its own."
        )
