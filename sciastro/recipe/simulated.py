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

from sciastro.core.timescales import julian_year
from sciastro.errors import OptionError, OutputError
from sciastro.io.paths import ensure_writable, output_error
from sciastro.recipe.context import Progress, Silent
from sciastro.simulate.camera import saturation_adu, stored_cfa
from sciastro.simulate.dialects import Card
from sciastro.simulate.dng import write_dng
from sciastro.simulate.night import NightFrame, Scene, frames_of, make_scene
from sciastro.simulate.plan import NightPlan, schedule, sky_cone
from sciastro.simulate.presets import adjusted, preset, shrunk
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
    shrink: float = 1.0,
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
    shrink
        Pixels larger by this factor, and fewer, over the same field.

    Raises
    ------
    OptionError
        For an unknown preset or option, or a value that makes no sense.
    """
    wanted = {key: value for key, value in (chosen or {}).items() if value is not None}
    if shape is not None:
        rows, _, columns = shape.lower().partition("x")
        if not (rows.strip().isdecimal() and columns.strip().isdecimal()):
            raise OptionError(
                f"is '{shape}'.", where="--shape", remedy="Give ROWSxCOLUMNS, such as 1000x1500."
            )
        wanted.update({"camera.rows": rows, "camera.columns": columns})
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise OptionError(f"is {setting!r}.", where="--set", remedy="Write NAME=VALUE, such as lights=3.")
        wanted[key.strip()] = value.strip()
    base = preset(name)
    return adjusted(base if shrink == 1.0 else shrunk(base, shrink), wanted)


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
    workers: int = 1,
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
    workers
        Threads that draw frames, each with a frame in memory; the files are the same for any number.

    Raises
    ------
    OutputError
        If `out` holds files already, or cannot be written to.
    """
    from astropy import units as u

    _prepare(out)
    ra, dec, radius = sky_cone(plan)
    real = stars(ra, dec, radius, _julian_year(plan.date))
    if not plan.tracking:  # a wide field holds millions of stars that no frame shows
        real = real[np.asarray(u.Quantity(real["mag"]).value) <= plan.sky.faintest]
    scene = make_scene(plan, real)
    total = sum(1 for _ in schedule(plan))
    records: list[dict[str, Any]] = []
    size, bars = 0, progress or Silent()
    bars.start("simulate", total)
    with _writing(out):
        for frame in frames_of(scene, workers):
            path = frame.path if plan.files == "fits" else f"{frame.path.rpartition('.')[0]}.dng"
            if plan.files == "fits":
                size += _write_frame(out / path, frame)
            else:
                size += _write_raw(out / path, frame, plan)
            records.append(frame_record(path, frame.spec))
            bars.advance("simulate")
        _write_truth(out, scene, records)
    bars.finish("simulate")
    n_real = int(np.sum(~np.asarray(scene.stars["invented"])))
    return SimulatedNight(folder=out, n_frames=total, n_stars=len(scene.stars), n_real=n_real, size=size)


def _julian_year(day: str) -> float:
    return julian_year((date.fromisoformat(day[:10]) - date(1970, 1, 1)).days * 86400.0)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise output_error(error, Path(error.filename or out)) from error


def _prepare(out: Path) -> None:
    if any(ensure_writable(out).iterdir()):
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


def _write_raw(path: Path, frame: NightFrame, plan: NightPlan) -> int:
    """Write a frame as a phone or a camera would: a DNG without a word about the sky."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options, lens = plan.camera, plan.telescope
    diagonal = float(np.hypot(*options.shape)) * options.pixel_size / 1000
    write_dng(
        path, frame.image, cfa=stored_cfa(options, "TOP-DOWN"), exposure=frame.spec.exposure,
        iso=float(options.gain_setting), time=frame.spec.start, focal_length=lens.focal_length,
        focal_length_35mm=round(lens.focal_length * 43.27 / diagonal, 2),
        f_number=round(lens.focal_length / lens.aperture, 2), black_level=options.offset,
        white_level=int(saturation_adu(options)), model=options.name,
        site=(plan.latitude, plan.longitude, plan.elevation),
    )  # fmt: skip
    return path.stat().st_size


def _write_truth(out: Path, scene: Scene, records: list[dict[str, Any]]) -> None:
    part = out / f".{FOLDER}.part"
    try:
        part.mkdir(exist_ok=True)
        save_truth(part, scene, records)
        part.replace(out / FOLDER)
    finally:
        shutil.rmtree(part, ignore_errors=True)
