"""The run that a light curve is measured on: a finished one, or the session, reduced until registered."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sciastro.errors import FileError, MatchError
from sciastro.recipe.run import RunRequest, reduce_session

if TYPE_CHECKING:
    from sciastro.recipe.lightcurvedata import LightCurveRequest

__all__ = ["check_session", "is_run", "reduced_run"]

FOLDER = "reduction"


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run of `sciastro reduce`."""
    return (folder / "summary.json").is_file() and (folder / "frames.h5").is_file()


def check_session(session: Path) -> None:
    """Refuse a session that is no folder.

    Raises
    ------
    FileError
        If it is none.
    """
    if not session.is_dir():
        raise FileError(
            "is no folder.", where=str(session),
            remedy="Give a folder of raw frames, or that of a finished run.",
        )  # fmt: skip


def reduced_run(request: "LightCurveRequest", tell: Callable[[str], None]) -> Path:
    """Return the folder of a run with registered frames; reduce the session if it is none.

    Raises
    ------
    MatchError
        If no field could be solved.
    """
    if is_run(request.session):
        return request.session
    out = request.out / FOLDER
    tell(f"reducing {request.session} until its frames are registered")
    reduce_session(
        RunRequest(
            session=request.session, out=out, until="register", resume=(out / "summary.json").is_file(),
            ra=request.ra, dec=request.dec, scale=request.scale, memory=request.memory,
            workers=request.workers,
        )
    )  # fmt: skip
    if not is_run(out):
        raise MatchError("left no frames.", where=str(request.session), remedy="See `sciastro doctor`.")
    return out
