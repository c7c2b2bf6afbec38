"""Pass 1, frame by frame: read, keep the raw pixels, calibrate in memory, measure the stars."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.cosmic import CosmicOptions
from sciastro.core.cfa import COLORS, cell_side
from sciastro.core.lift import run_tasks
from sciastro.core.quality import Quality
from sciastro.core.stars import STAR_DTYPE
from sciastro.errors import FileError, OptionError, OutputError, SciastroError
from sciastro.integrate.options import StackOptions
from sciastro.integrate.scales import SCALES, subsample
from sciastro.io.reader import read_hashed, read_pixels, sha256
from sciastro.kernels.trails import mark_trails
from sciastro.measure.stars import DetectOptions, PlaneMeasure, measure_plane
from sciastro.measure.trails import TrailOptions, find_trails
from sciastro.recipe import colors
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

MESH = "mesh "  # what the name of a band's background in the journal begins with
FRAME_BYTES = 34  # per raw pixel that one frame takes on its way through pass 1


def measure_lights(
    lights: list[Light], root: Path, calibrator: Calibrator, detector: Detector, recipe: Recipe,
    context: Context, journal: Journal,
) -> None:  # fmt: skip
    """Run pass 1 over `lights`; a frame that fails keeps the reason and does not stop the others.

    Raises
    ------
    OptionError
        If the memory does not suffice for the frames that a process of a cluster holds at a time.
    """
    searches = _Searches(
        recipe.of(DetectOptions),
        recipe.of(TrailOptions),
        recipe.of(CosmicOptions),
        recipe.of(StackOptions).scales,
    )

    def piece(light: Light) -> str:
        return f"light-{light.store}-{light.index}"

    lost = _lost_pixels([light for light in lights if not light.reason and journal.has(piece(light))],
                        root, calibrator, context)  # fmt: skip

    def open_lights() -> Iterator[Light]:
        """Yield the lights that nobody has measured yet."""
        for light in lights:
            kept = None if light.reason or light.name in lost else journal.load(piece(light))
            if kept is not None:
                _restore(light, *kept)
            if light.reason or kept is not None:
                context.progress.advance("calibrate")
            else:
                yield light

    def done(light: Light, found: Measured | str) -> None:
        if isinstance(found, str):
            light.reason = found
            log.warning("%s left out: %s", light.name, found, extra={"path": light.name, "reason": found})
        else:
            light.measured = found
        journal.save(piece(light), *_pieces(light))
        context.progress.advance("calibrate")

    fit = _frames_at_a_time(lights, calibrator, context)
    task = _MeasureTask(
        root, calibrator.travel([light for light in lights if light.store]), detector, searches
    )
    run_tasks(
        task, open_lights(), workers=min(context.workers, fit), done=done, cluster=context.cluster,
        gather=False,
    )  # fmt: skip
    detector.agree(lights)


def _frames_at_a_time(lights: Sequence[Light], calibrator: Calibrator, context: Context) -> int:
    """Return how many frames the memory of a process holds; raises where a cluster's workers take more."""
    pixels = max((int(np.prod(light.facts.shape)) for light in lights), default=1)
    fit = max(1, calibrator.memory_left((0, 0)) // (pixels * FRAME_BYTES))
    if context.cluster is not None and context.cluster.threads_per_process > fit:
        threads = context.cluster.threads_per_process
        raise OptionError(
            f"holds {fit} frames of {pixels / 1e6:.0f} megapixels at a time in a process, and the workers of "
            f"the cluster have {threads} threads.",
            where="--memory",
            remedy="Allow more, or start the workers with fewer threads (dask worker --nthreads 1).",
        )
    return fit


def _lost_pixels(lights: list[Light], root: Path, calibrator: Calibrator, context: Context) -> set[str]:
    """Return the lights of a stopped run whose stored pixels are not those of their files.

    Nobody waits for raw pixels to reach the disk; after a power cut some may be missing.
    """

    def whole(light: Light) -> bool:
        try:
            raw = read_pixels(root / light.facts.path, light.facts.hdu)
        except SciastroError:  # measured again, which tells why it cannot be read
            return False
        if raw.shape != light.facts.shape:
            return False
        stored = calibrator.block(light).rows(light.index, 0, raw.shape[0])
        return stored.tobytes() == np.ascontiguousarray(raw).tobytes()

    checked = run_tasks(whole, lights, workers=min(context.workers, 2))
    lost = {light.name for light, fine in zip(lights, checked, strict=True) if not fine}
    for name in sorted(lost):
        context.warn(f"{name}: its pixels in the store were not whole, so it is read again")
    return lost


@dataclass(frozen=True, slots=True)
class _Searches:
    """Options of everything that is looked for on a frame."""

    stars: DetectOptions
    trails: TrailOptions
    cosmics: CosmicOptions
    scales: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _MeasureTask:
    """Pass 1 of one light; the reason instead of a result where the frame cannot be used."""

    root: Path
    calibrator: Calibrator
    detector: Detector
    searches: _Searches

    def __call__(self, light: Light) -> Measured | str:
        try:
            return _measure(light, self.root, self.calibrator, self.detector, self.searches)
        except OutputError:  # a full disk is no fault of the frame
            raise
        except SciastroError as error:
            return f"{error.found} {error.remedy}".strip()


def _measure(
    light: Light, root: Path, calibrator: Calibrator, detector: Detector, searches: _Searches
) -> Measured:
    path = root / light.facts.path
    raw, digest = _read(light, path, calibrator)
    if raw.shape != light.facts.shape:
        raise FileError(f"has {raw.shape} pixels, and its header said {light.facts.shape}.", where=light.name)
    calibrator.keep(light, raw)
    _sane(raw, light)
    detector.see(light, raw)
    step = calibrator.step(light.facts.cfa)
    own = detector.of(light)
    zero: dict[str, tuple[float, float]] = {}
    if light.facts.cfa:
        cfa = light.facts.cfa
        planes_of_colors, color_bits = calibrator.colors(light, raw)
        whole, bits = colors.light_of_cells(planes_of_colors, color_bits, cfa)
        found = measure_plane(whole, bits, options=searches.stars)
        sky, noise, meshes = colors.sky_of_colors(planes_of_colors, color_bits, bands_of(light.facts))
        pixels = {band: planes_of_colors[COLORS.index(band[-1])] for band in bands_of(light.facts)}
        trails = find_trails(whole, bits, found.background, searches.trails)
        found = _beside_trails(found, whole, bits, trails, searches.stars)
        trails = colors.trails_to_raw(trails, cfa)
        if step == 1:
            colors.stars_to_raw(found, cfa)
    else:
        signal, quality = calibrator.plane(light, raw, calibrator.planes(light))
        found = measure_plane(signal, quality, options=searches.stars)
        trails = find_trails(signal, quality, found.background, searches.trails)
        found = _beside_trails(found, signal, quality, trails, searches.stars)
        band = bands_of(light.facts)[0]
        sky, noise, meshes = {band: found.sky}, {band: found.noise}, {band: found.background.coarse()}
        pixels = {band: signal}
    if detector.blind(light):
        zero = {
            band: (sky[band] / own.gain, noise[band] * colors.averaged(light.facts.cfa, band)) for band in sky
        }
    hits = np.empty(0, np.int64)
    if searches.cosmics.enabled:
        signal, quality = calibrator.plane(light, raw, calibrator.planes(light))
        hits = find_hits(
            signal, quality, float(np.mean(list(sky.values()))), float(np.mean(list(noise.values()))),
            light.facts.cfa, searches.cosmics,
        )  # fmt: skip
    factor = cell_side(light.facts.cfa) / step
    return Measured(
        stars=found.stars, fwhm=found.fwhm * factor, eccentricity=found.eccentricity,
        elongation=found.shape.elongation, sky=sky, noise=noise, n_stars=found.n_stars,
        sha256=digest,
        gain=own.gain, read_noise=own.read_noise,
        gain_source=own.source, saturation=own.saturation,
        zero=zero, trails=trails, hits=hits, meshes=meshes,
        scales=_scales(pixels, searches.scales),
    )  # fmt: skip


def _beside_trails(
    found: PlaneMeasure, image: Plane, quality: npt.NDArray[np.uint16], trails: npt.NDArray[np.float64],
    options: DetectOptions,
) -> PlaneMeasure:  # fmt: skip
    """Return what a plane shows beside its trails, whose peaks are no stars and have another width."""
    if not trails.size:
        return found
    bits = quality.copy()
    mark_trails(bits, 0, 0, trails, np.uint16(Quality.DO_NOT_USE))
    again = measure_plane(image, bits, options=options)
    reach = options.aperture * again.fwhm if np.isfinite(again.fwhm) else 0.0
    wider = trails + np.array([0.0, 0.0, 0.0, 0.0, reach])  # circles that the trail cuts have no flux
    mark_trails(bits, 0, 0, wider, np.uint16(Quality.TRAIL))
    last = (bits.shape[0] - 1, bits.shape[1] - 1)  # a star at the edge may have its center beyond it
    y, x = (
        np.clip(np.rint(again.stars[name]), 0, end).astype(np.intp)
        for name, end in zip(("y", "x"), last, strict=True)
    )
    stars = again.stars[(bits[y, x] & int(Quality.TRAIL)) == 0]
    return replace(again, stars=stars, n_stars=int(stars.size))


def _read(light: Light, path: Path, calibrator: Calibrator) -> tuple[npt.NDArray[np.generic], str]:
    """Return the pixels of a light, in memory that the thread uses again, and the digest of its file."""
    if light.facts.of > 1:
        return read_pixels(path, light.facts.hdu), _digest_once(path, path.stat().st_mtime_ns)
    shape, dtype = light.facts.shape, light.facts.dtype
    return read_hashed(path, light.facts.hdu, lambda: calibrator.scratch.take("raw", shape, dtype))


def _scales(
    pixels: dict[str, npt.NDArray[np.float32]], names: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Return the robust scales that are asked for, band by band [electron]."""
    if not names:
        return {}
    samples = {band: subsample(plane) for band, plane in pixels.items()}
    return {band: {name: SCALES[name](sample) for name in names} for band, sample in samples.items()}


def _sane(raw: npt.NDArray[np.generic], light: Light) -> None:
    """Refuse frames without an image.

    Raises
    ------
    FileError
        For a frame that is all NaN, or all one value.
    """
    if raw.dtype.kind in "iu" and (raw[0] != raw[0, 0]).any():
        return
    if raw.dtype.kind == "f" and not np.isfinite(raw[::7, ::7]).any() and not np.isfinite(raw).any():
        raise FileError("holds no finite pixel.", where=light.name, remedy="Take it out, or save it again.")
    low, high = (np.nanmin(raw), np.nanmax(raw)) if raw.dtype.kind == "f" else (raw.min(), raw.max())
    if low == high:
        raise FileError(
            f"holds the value {low} in every pixel.",
            where=light.name,
            remedy="Check the camera, or take it out.",
        )


@lru_cache(maxsize=64)
def _digest_once(path: Path, changed: int) -> str:
    """Return the digest of a video, which all its frames share and one of them computes."""
    return sha256(path)


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
        "scales",
    )
    arrays: dict[str, np.ndarray] = {
        "stars": measured.stars.view(np.uint8),
        "trails": measured.trails,
        "hits": measured.hits,
    }
    arrays |= {f"{MESH}{band}": mesh for band, mesh in measured.meshes.items()}
    return arrays, {
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
            meshes={name.removeprefix(MESH): mesh for name, mesh in arrays.items() if name.startswith(MESH)},
            **facts,  # type: ignore[arg-type]
        )
