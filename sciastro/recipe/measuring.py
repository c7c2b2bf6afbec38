"""Pass 1, frame by frame: read, keep the raw pixels, calibrate in memory, measure the stars."""

import hashlib
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.cosmic import CosmicOptions
from sciastro.core.lift import run_tasks
from sciastro.core.stars import STAR_DTYPE
from sciastro.errors import FileError, OutputError, SciastroError
from sciastro.io.reader import read_pixels
from sciastro.measure.background import background
from sciastro.measure.stars import DetectOptions, PlaneMeasure, measure_plane
from sciastro.measure.trails import TrailOptions, find_trails
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.context import Context
from sciastro.recipe.detector import Detector
from sciastro.recipe.hits import find_hits
from sciastro.recipe.journal import Journal
from sciastro.recipe.lights import Light, Measured, bands_of
from sciastro.recipe.plan import Recipe

__all__ = ["measure_lights"]

log = logging.getLogger(__name__)

Plane = npt.NDArray[np.float32]

FRAME_BYTES = 34  # per raw pixel that one frame takes on its way through pass 1


def measure_lights(
    lights: list[Light], root: Path, calibrator: Calibrator, detector: Detector, recipe: Recipe,
    context: Context, journal: Journal,
) -> None:  # fmt: skip
    """Run pass 1 over `lights`; a frame that fails keeps the reason and does not stop the others."""
    searches = _Searches(recipe.of(DetectOptions), recipe.of(TrailOptions), recipe.of(CosmicOptions))

    def work(light: Light) -> None:
        if light.reason:
            return
        piece = f"light-{light.store}-{light.index}"
        kept = journal.load(piece)
        if kept is not None:
            _restore(light, *kept)
            return
        try:
            light.measured = _measure(light, root, calibrator, detector, searches)
        except OutputError:  # a full disk is no fault of the frame
            raise
        except SciastroError as error:
            light.reason = f"{error.found} {error.remedy}".strip()
            log.warning(
                "%s left out: %s",
                light.name,
                light.reason,
                extra={"path": light.name, "reason": light.reason},
            )
        journal.save(piece, *_pieces(light))

    pixels = max((int(np.prod(light.facts.shape)) for light in lights), default=1)
    fit = max(1, calibrator.memory_left((0, 0)) // (pixels * FRAME_BYTES))
    run_tasks(
        work, lights, workers=min(context.workers, fit), done=lambda *_: context.progress.advance("calibrate")
    )
    detector.agree(lights)


@dataclass(frozen=True, slots=True)
class _Searches:
    """Options of everything that is looked for on a frame."""

    stars: DetectOptions
    trails: TrailOptions
    cosmics: CosmicOptions


def _measure(
    light: Light, root: Path, calibrator: Calibrator, detector: Detector, searches: _Searches
) -> Measured:
    path = root / light.facts.path
    raw = read_pixels(path, light.facts.hdu)
    if raw.shape != light.facts.shape:
        raise FileError(f"has {raw.shape} pixels, and its header said {light.facts.shape}.", where=light.name)
    calibrator.block(light).write(light.index, raw)
    _sane(raw, light)
    detector.see(light, raw)
    planes = calibrator.planes(light)
    signal, quality = calibrator.plane(light, raw, planes)
    step = calibrator.step(light.facts.cfa)
    zero: dict[str, tuple[float, float]] = {}
    if light.facts.cfa:
        cells, bits = _cells(signal, quality, light.facts.cfa)
        found = measure_plane(cells, bits, options=searches.stars)
        sky, noise = _colors(signal, quality, light)
        trails = _raw_trails(find_trails(cells, bits, found.background, searches.trails))
        if step == 1:
            _to_raw_grid(found)
    else:
        found = measure_plane(signal, quality, options=searches.stars)
        band = bands_of(light.facts)[0]
        sky, noise = {band: found.sky}, {band: found.noise}
        trails = find_trails(signal, quality, found.background, searches.trails)
    if detector.blind(light):
        zero = {
            band: (sky[band] / planes.gain, noise[band] * _averaged(light.facts.cfa, band)) for band in sky
        }
    hits = find_hits(
        signal, quality, float(np.mean(list(sky.values()))), float(np.mean(list(noise.values()))),
        light.facts.cfa, searches.cosmics,
    )  # fmt: skip
    factor = 2.0 if light.facts.cfa and step == 1 else 1.0
    return Measured(
        stars=found.stars, fwhm=found.fwhm * factor, eccentricity=found.eccentricity,
        elongation=found.shape.elongation, sky=sky, noise=noise, n_stars=found.n_stars,
        sha256=_digest(path), gain=planes.gain, read_noise=planes.read_noise,
        gain_source=detector.of(light).source, saturation=detector.of(light).saturation,
        zero=zero, trails=trails, hits=hits,
    )  # fmt: skip


def _sane(raw: npt.NDArray[np.generic], light: Light) -> None:
    """Refuse frames without an image.

    Raises
    ------
    FileError
        For a frame that is all NaN, or all one value.
    """
    if raw.dtype.kind == "f" and not np.isfinite(raw[::7, ::7]).any() and not np.isfinite(raw).any():
        raise FileError("holds no finite pixel.", where=light.name, remedy="Take it out, or save it again.")
    low, high = (np.nanmin(raw), np.nanmax(raw)) if raw.dtype.kind == "f" else (raw.min(), raw.max())
    if low == high:
        raise FileError(
            f"holds the value {low} in every pixel.",
            where=light.name,
            remedy="Check the camera, or take it out.",
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _phases(plane: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Return the four phases of a mosaic, in the order of its color filter array."""
    height, width = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
    return [plane[dy:height:2, dx:width:2] for dy in (0, 1) for dx in (0, 1)]


def _cells(signal: Plane, quality: npt.NDArray[np.uint16], cfa: str) -> tuple[Plane, npt.NDArray[np.uint16]]:
    """Return the light of each 2 x 2 cell of a mosaic, where stars are found, and all bits of the cell.

    Red and blue samples lie a quarter of a cell off its center, on opposite sides: their plain sum would
    move a star by up to a quarter of a cell with its color, and back after a meridian flip. Each is
    first interpolated to the center; the two greens are centered together.
    """
    phases = _phases(signal)
    moved = [plane if cfa[k] == "G" else _to_center(plane, k) for k, plane in enumerate(phases)]
    return np.add(moved[0] + moved[1], moved[2] + moved[3]), np.bitwise_or.reduce(_phases(quality))


def _to_center(plane: Plane, phase: int) -> Plane:
    """Return a phase's samples interpolated to the centers of the cells: 3/4 and 1/4 along each axis."""
    for axis, second in ((0, phase // 2), (1, phase % 2)):
        neighbor = np.roll(plane, 1 if second else -1, axis=axis)
        edge = 0 if second else plane.shape[axis] - 1
        here = (edge, slice(None)) if axis == 0 else (slice(None), edge)
        neighbor[here] = plane[here]
        plane = np.float32(0.75) * plane + np.float32(0.25) * neighbor
    return plane


def _colors(
    signal: Plane, quality: npt.NDArray[np.uint16], light: Light
) -> tuple[dict[str, float], dict[str, float]]:
    """Return sky and noise of each color of a mosaic."""
    phases, bits = _phases(signal), _phases(quality)
    sky, noise = {}, {}
    for band in bands_of(light.facts):
        where = [k for k in range(4) if light.facts.cfa[k] == band[-1]]
        plane: Plane = np.mean([phases[k] for k in where], axis=0, dtype=np.float32)
        flags = np.bitwise_or.reduce([bits[k] for k in where]).astype(np.uint16)
        mesh = background(plane, flags)
        sky[band], noise[band] = mesh.level, mesh.rms
    return sky, noise


def _averaged(cfa: str, band: str) -> float:
    """Return the noise of a raw pixel over that of a plane of `_colors`, which averages both greens."""
    return math.sqrt(cfa.count(band[-1])) if cfa else 1.0


def _raw_trails(trails: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return trails seen on 2 x 2 cells as they lie on raw pixels: x = 2 X + 1/2."""
    return np.asarray(2 * trails + np.array([0.5, 0.5, 0.5, 0.5, 1.0]))


def _to_raw_grid(found: PlaneMeasure) -> None:
    """Move stars from superpixels to raw pixels, in place: x = 2 X + 1/2."""
    for name in ("x", "y"):
        found.stars[name] = 2 * found.stars[name] + 0.5
    for name in ("x_err", "y_err", "fwhm"):
        found.stars[name] *= 2


def _pieces(light: Light) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    measured = light.measured
    if measured is None:
        return {}, {"reason": light.reason}
    names = (
        "fwhm",
        "eccentricity",
        "elongation",
        "sky",
        "noise",
        "n_stars",
        "sha256",
        "gain",
        "read_noise",
        "saturation",
        "gain_source",
        "zero",
    )
    return {"stars": measured.stars.view(np.uint8), "trails": measured.trails, "hits": measured.hits}, {
        "reason": light.reason,
        **{name: getattr(measured, name) for name in names},
    }


def _restore(light: Light, arrays: dict[str, np.ndarray], facts: dict[str, object]) -> None:
    light.reason = str(facts.pop("reason"))
    if "stars" in arrays:
        zero = {band: (pair[0], pair[1]) for band, pair in facts.pop("zero").items()}  # type: ignore[attr-defined]
        light.measured = Measured(
            stars=arrays["stars"].view(STAR_DTYPE),
            trails=arrays["trails"],
            hits=arrays["hits"],
            zero=zero,
            **facts,  # type: ignore[arg-type]
        )
