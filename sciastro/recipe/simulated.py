"""Write a simulated night to disk: raw FITS as a capture program would, and the truth beside it.

Every file appears under its name only when it is complete.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import QTable

from sciastro.errors import OptionError, OutputError
from sciastro.recipe.context import Progress, Silent
from sciastro.simulate.dialects import Card
from sciastro.simulate.night import NightFrame, Scene, frames_of, make_scene
from sciastro.simulate.plan import NightPlan, schedule, sky_cone
from sciastro.simulate.presets import adjusted, preset
from sciastro.simulate.truth import FOLDER, frame_record, save_truth

__all__ = ["SimulatedNight", "StarSource", "catalog_stars", "night_plan", "write_night"]

StarSource = Callable[[float, float, float, float], QTable]


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedNight:
    """What was written.

    Attributes
    ----------
    folder
        The session.
    n_frames, n_stars
        Raw files, and stars in the sky (real and invented).
    n_real
        Of these, stars of the catalog.
    size
        Bytes of the raw files.
    """

    folder: Path
    n_frames: int
    n_stars: int
    n_real: int
    size: int

    def as_text(self) -> str:
        """Return what a person wants to know."""
        return (
            f"{self.n_frames} raw frames ({self.size / 1e6:.0f} MB) of {self.n_stars} stars,"
            f" {self.n_real} of them real, in {self.folder}\nThe truth: {self.folder / FOLDER}\n"
            f"Next: sciastro reduce {self.folder} -o RESULT"
        )


def night_plan(
    name: str,
    chosen: Mapping[str, object] | None = None,
    *,
    shape: str | None = None,
    settings: Sequence[str] = (),
) -> NightPlan:
    """Return the preset `name` with what a user has asked for.

    Parameters
    ----------
    chosen
        Options by name; None leaves the preset's value.
    shape
        "ROWSxCOLUMNS".
    settings
        "NAME=VALUE", as for `simulate.presets.adjusted`.

    Raises
    ------
    OptionError
        For an unknown preset or option, or a value that makes no sense.
    """
    wanted = {key: value for key, value in (chosen or {}).items() if value is not None}
    if shape is not None:
        rows, _, columns = shape.lower().partition("x")
        wanted.update({"camera.rows": rows, "camera.columns": columns})
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise OptionError(f"is {setting!r}.", where="--set", remedy="Write NAME=VALUE, such as lights=3.")
        wanted[key.strip()] = value.strip()
    return adjusted(preset(name), wanted)


def catalog_stars(ra: float, dec: float, radius: float, epoch: float) -> QTable:
    """Return the embedded catalog's stars within `radius` [deg], where they are in Julian year `epoch`."""
    from sciastro.io.reference import cone

    return cone(ra, dec, radius, epoch=epoch)


def write_night(
    plan: NightPlan,
    out: Path,
    *,
    stars: StarSource = catalog_stars,
    progress: Progress | None = None,
) -> SimulatedNight:
    """Write every frame of `plan` below `out`, and the truth to ``out/truth``.

    Parameters
    ----------
    out
        A new or empty folder.
    stars
        ``stars(ra, dec, radius, epoch) -> QTable`` (ra, dec, mag, color) of the real stars.
    progress
        Is told how far stage "simulate" is, frame by frame.

    Raises
    ------
    OutputError
        If `out` holds files already, or cannot be written to.
    """
    _prepare(out)
    ra, dec, radius = sky_cone(plan)
    scene = make_scene(plan, stars(ra, dec, radius, _julian_year(plan.date)))
    total = sum(1 for _ in schedule(plan))
    records: list[dict[str, Any]] = []
    size, bars = 0, progress or Silent()
    bars.start("simulate", total)
    with _writing(out):
        for frame in frames_of(scene):
            size += _write_frame(out / frame.path, frame)
            records.append(frame_record(frame.path, frame.spec))
            bars.advance("simulate")
        _write_truth(out, scene, records)
    bars.finish("simulate")
    real = int(np.sum(~np.asarray(scene.stars["invented"])))
    return SimulatedNight(folder=out, n_frames=total, n_stars=len(scene.stars), n_real=real, size=size)


def _julian_year(day: str) -> float:
    return 2000.0 + (date.fromisoformat(day[:10]) - date(2000, 1, 1)).days / 365.25


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror or error}).",
            where=str(error.filename or out),
            remedy="Choose a folder that is writable and has space.",
        ) from error


def _prepare(out: Path) -> None:
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
        full = any(out.iterdir())
    if full:
        raise OutputError("is not empty.", where=str(out), remedy="Choose a new folder, or empty this one.")


def _header(cards: list[Card]) -> fits.Header:
    header = fits.Header()
    for key, value, comment in cards:
        if key in ("COMMENT", "HISTORY"):
            header[key] = value
        else:
            header.append(fits.Card(key, value, comment), end=True)
    return header


def _write_frame(path: Path, frame: NightFrame) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        fits.PrimaryHDU(frame.image, _header(frame.header)).writeto(part, overwrite=True)
        size = part.stat().st_size
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return size


def _write_truth(out: Path, scene: Scene, records: list[dict[str, Any]]) -> None:
    part = out / f".{FOLDER}.part"
    try:
        part.mkdir(exist_ok=True)
        save_truth(part, scene, records)
        part.replace(out / FOLDER)
    finally:
        shutil.rmtree(part, ignore_errors=True)
