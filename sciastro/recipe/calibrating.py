"""The bridge between stored raw pixels and calibrated windows, for both passes of a run.

A `Calibrator` knows the store, the masters and the detector constants; it is shared by all threads.
What each light is calibrated with lies on a `planeshelf.PlaneShelf`.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.correct import CorrectOptions, Planes, correct_window, repair_margin
from sciastro.calibrate.debayer import DebayerOptions, reach_of, split_window
from sciastro.calibrate.defects import DefectOptions
from sciastro.core.cfa import COLORS, cell_origin, cell_side, pattern_of, rolled
from sciastro.core.quality import Quality
from sciastro.core.scratch import Scratch, spare_bytes
from sciastro.io.linked import LinkedBlock, Original
from sciastro.io.store import RawBlock, open_raw
from sciastro.kernels.mosaic import keep_color
from sciastro.kernels.trails import mark_trails
from sciastro.recipe.context import Context, hand_back_arrays, resident_memory
from sciastro.recipe.detector import Detector
from sciastro.recipe.hits import mark_hits
from sciastro.recipe.lights import Light
from sciastro.recipe.masterbank import MasterBank
from sciastro.recipe.phases import mark_phase, mean_of_phases, phase_of
from sciastro.recipe.plan import Recipe
from sciastro.recipe.planeshelf import PlaneShelf

__all__ = ["Calibrator"]

NO_VARIANCE = np.empty((0, 0), np.float32)

Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]

BAND = 64  # rows of cells that are calibrated in one go
RESIDENT = 420 * 10**6  # the interpreter with every library loaded [byte]
CANVAS_BYTES = 18  # per pixel: image, variance, coverage (4 each), quality and two counts (2 each)
SMALLEST = 64 * 10**6  # byte that pass 2 may take whatever is left


class Calibrator:
    """Calibrated windows of any light, on demand.

    Travels to other processes without its planes: there it reads them from the master files again.

    Parameters
    ----------
    store
        The ``frames.h5`` of the run.
    root
        The session.
    bank
        Finished masters.
    detector
        Gain, read noise and saturation of each light.
    recipe, context
        Options; memory bound.
    blocks
        Groups whose raw pixels are not in the store.
    originals
        By name of the light, the files that may be read again in the place of their copies in the store.
    """

    def __init__(
        self,
        store: Path,
        root: Path,
        bank: MasterBank,
        detector: Detector,
        recipe: Recipe,
        context: Context,
        blocks: Mapping[str, LinkedBlock] | None = None,
        originals: Mapping[str, Original] | None = None,
    ) -> None:
        self._store, self._memory = store, context.memory
        self._correct = recipe.of(CorrectOptions)
        self.debayer_method = recipe.of(DebayerOptions).method
        self._blocks: dict[str, RawBlock | LinkedBlock] = dict(blocks or {})
        self._originals = dict(originals or {})
        self._shelf = PlaneShelf(
            root, bank, detector, recipe.of(DefectOptions), self.debayer_method == "superpixel", self._memory
        )
        self._lock = threading.Lock()
        self.scratch = Scratch()

    def __getstate__(self) -> dict[str, object]:
        """Leave the lock behind, and the shelf its planes; where raw pixels lie goes along."""
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
        hand_back_arrays()

    def step(self, cfa: str) -> int:
        """Return how many raw pixels make one pixel of the stack grid."""
        return cell_side(cfa) if self.debayer_method == "superpixel" else 1

    def grid_shape(self, light: Light) -> tuple[int, int]:
        """Return rows and columns of the grid on which `light` is stacked."""
        step, (top, left) = self.step(light.facts.cfa), self._origin(light.facts.cfa)
        return (light.facts.shape[0] - top) // step, (light.facts.shape[1] - left) // step

    def _origin(self, cfa: str) -> tuple[int, int]:
        """Return row and column of the raw pixel at which the stack grid begins."""
        return cell_origin(cfa) if self.step(cfa) > 1 else (0, 0)

    def to_raw(self, light: Light, map_: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return a map (2, terms) to the stack grid of `light` as one to its raw pixels: x = step X + x0."""
        step, (top, left) = self.step(light.facts.cfa), self._origin(light.facts.cfa)
        out = step * map_
        out[:, 0] += np.array([left, top]) + (step - 1) / 2
        return out

    def memory_left(self, canvas: tuple[int, int], beside: int = 0) -> int:
        """Return what pass 2 may allocate [byte] next to the canvas, the planes, the process and `beside`."""
        # What the frames' star lists and earlier bands take shows in the size of the process alone.
        process = max(RESIDENT + self._shelf.nbytes, resident_memory() - spare_bytes())
        taken = process + canvas[0] * canvas[1] * CANVAS_BYTES + beside
        return max(self._memory - taken, SMALLEST)

    def block(self, light: Light) -> RawBlock | LinkedBlock:
        """Return where the raw pixels of `light` are stored."""
        with self._lock:
            if light.store not in self._blocks:
                self._blocks[light.store] = open_raw(self._store, light.store)
            return self._blocks[light.store]

    def keep(self, light: Light, raw: npt.NDArray[np.generic]) -> None:
        """Copy the raw pixels of `light` into the store, unless they stay in their file."""
        block = self.block(light)
        if isinstance(block, RawBlock):
            block.write(light.index, raw, once=light.name in self._originals)

    def raw_rows(self, light: Light, first: int, last: int) -> npt.NDArray[np.generic]:
        """Return rows `first` to `last` (exclusive) of the raw pixels of `light` [adu]."""
        original = self._originals.get(light.name)
        rows = None if original is None else original.rows(first, last)
        return self.block(light).rows(light.index, first, last) if rows is None else rows

    def travel(self, lights: Sequence[Light]) -> "Calibrator":
        """Return this calibrator ready for other processes, which must not open a store that may change."""
        for light in lights:
            self.block(light)
        return self

    def planes(self, light: Light) -> Planes:
        """Return what `light` is calibrated with; gain, read noise and saturation are its own."""
        return self._shelf.parts(light, phases=False)[0]

    def parts_of(self, light: Light, band: str) -> list[Planes]:
        """Return the planes of the raw pixels that make a pixel of `band`, one per phase of a cell."""
        return self._shelf.parts_of(light, band)

    def holds(self, lights: Sequence[Light], *, mosaic: bool) -> bool:
        """Return whether all that windows of `lights` are calibrated with is in memory.

        `mosaic`: for `mosaic_window`, else for `window`.
        """
        return self._shelf.holds(lights, mosaic=mosaic)

    def counts(self, light: Light, raw: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return raw pixels in adu without the pedestal that a program added; most are as stored."""
        facts = light.facts
        if facts.adu_per_unit == 1.0 and facts.pedestal == 0.0:
            return raw
        return (raw.astype(np.float32) * np.float32(facts.adu_per_unit) - np.float32(facts.pedestal)).astype(
            np.float32
        )

    def plane(self, light: Light, raw: npt.NDArray[np.generic], planes: Planes) -> tuple[Plane, Bits]:
        """Return signal [electron] and quality of a whole frame (a mosaic stays one), in scratch memory."""
        signal, _, quality = correct_window(
            self.counts(light, raw), planes, with_variance=False, repair=self._correct.repair,
            scratch=self.scratch,
        )  # fmt: skip
        return signal, quality

    def colors(self, light: Light, raw: npt.NDArray[np.generic]) -> tuple[Plane, Bits]:
        """Return the colors of the cells of a whole mosaic, (3, rows, columns) [electron], and their bits."""
        counts, cfa = self.counts(light, raw), light.facts.cfa
        if not self._shelf.by_phase(cfa):
            signal, quality = self.plane(light, raw, self.planes(light))
            planes, _, bits = split_window(signal, NO_VARIANCE, quality, cfa)
            return planes, bits
        parts, (rows, columns) = self._shelf.parts(light, phases=True), self.grid_shape(light)
        out, bits = np.empty((3, rows, columns), np.float32), np.empty((3, rows, columns), np.uint16)
        reach = repair_margin(parts[0], repair=self._correct.repair)
        for y0 in range(0, rows, BAND):  # as much as fits into the cache
            y1 = min(y0 + BAND, rows)
            margin = (min(reach, y0), min(reach, rows - y1), 0, 0)
            some = counts[2 * (y0 - margin[0]) : 2 * (y1 + margin[1])]
            for c in range(3):
                windows = [
                    correct_window(
                        phase_of(some, int(k)), parts[k], y0 - margin[0], 0, margin=margin,
                        with_variance=False, repair=self._correct.repair,
                    )
                    for k in np.flatnonzero(pattern_of(cfa).ravel() == c)
                ]  # fmt: skip
                out[c, y0:y1], _, bits[c, y0:y1] = mean_of_phases(windows)
        return out, bits

    def window(
        self, light: Light, band: str, y0: int, y1: int, x0: int, x1: int
    ) -> tuple[Plane, Plane, Bits]:
        """Return signal [electron], variance [electron2] and quality of a window of the stack grid.

        They may be overwritten by the next window of the calling thread.
        """
        if not light.facts.cfa:
            planes = self._noise_from_sky(light, band, self.planes(light))
            return self._raw_window(light, planes, y0, y1, x0, x1)
        if self._shelf.by_phase(light.facts.cfa):
            return self._superpixels(light, band, y0, y1, x0, x1)
        return self._debayered(light, band, y0, y1, x0, x1)

    def _superpixels(
        self, light: Light, band: str, y0: int, y1: int, x0: int, x1: int
    ) -> tuple[Plane, Plane, Bits]:
        parts = self._shelf.parts(light, phases=True)
        rows, columns = self.grid_shape(light)
        reach = repair_margin(parts[0], repair=self._correct.repair)
        margin = (min(reach, y0), min(reach, rows - y1), min(reach, x0), min(reach, columns - x1))
        top, left = y0 - margin[0], x0 - margin[2]
        raw = self.raw_rows(light, 2 * top, 2 * (y1 + margin[1]))
        raw = self.counts(light, raw[:, 2 * left : 2 * (x1 + margin[3])])
        windows = []
        for k in np.flatnonzero(pattern_of(light.facts.cfa).ravel() == COLORS.index(band[-1])):
            planes = self._noise_from_sky(light, band, parts[k])
            one = correct_window(
                phase_of(raw, int(k)), planes, top, left, margin=margin, repair=self._correct.repair
            )
            if light.measured is not None:
                found = light.measured
                mark_phase(one[2], int(k), y0, x0, found.trails, found.hits, light.facts.shape[1])
            windows.append(one)
        return mean_of_phases(windows)

    def _debayered(
        self, light: Light, band: str, y0: int, y1: int, x0: int, x1: int
    ) -> tuple[Plane, Plane, Bits]:
        planes = self._noise_from_sky(light, band, self.planes(light))
        cfa, (height, width) = light.facts.cfa, light.facts.shape
        step, (oy, ox) = self.step(cfa), self._origin(cfa)
        reach = reach_of(self.debayer_method, cfa)
        top, left = max(y0 * step + oy - reach, 0), max(x0 * step + ox - reach, 0)
        bottom, right = min(y1 * step + oy + reach, height), min(x1 * step + ox + reach, width)
        mosaic = self._raw_window(light, planes, top, bottom, left, right)
        number = [COLORS.index(band[-1])]
        colors = split_window(*mosaic, cfa, top, left, method=self.debayer_method, colors=number)
        down, aside = (y0 - top, x0 - left) if step == 1 else (0, 0)
        inner = np.s_[0, down : down + y1 - y0, aside : aside + x1 - x0]
        signal, variance, quality = colors
        return (
            np.ascontiguousarray(signal[inner]),
            np.ascontiguousarray(variance[inner]),
            np.ascontiguousarray(quality[inner]),
        )

    def mosaic_window(
        self, light: Light, band: str, y0: int, y1: int, x0: int, x1: int
    ) -> tuple[Plane, Plane, Bits]:
        """Return a window of raw pixels with only the samples of one color of a mosaic, for drizzle.

        Parameters
        ----------
        light
            A frame of a color sensor; of a mono one, every pixel is kept.
        band
            Its last letter names the color.
        y0, y1, x0, x1
            Raw pixels (`to_raw` gives the map to them).

        Returns
        -------
        signal, variance, quality
            float32 [electron], float32 [electron2], uint16 (y1 - y0, x1 - x0). Pixels of other colors are
            NaN, NO_DATA and DO_NOT_USE.
        """
        planes = self._noise_from_sky(light, band, self.planes(light))
        signal, variance, quality = self._raw_window(light, planes, y0, y1, x0, x1)
        if not light.facts.cfa:
            return signal, variance, quality
        out = np.empty_like(signal), np.empty_like(variance), np.empty_like(quality)
        codes, color = rolled(light.facts.cfa, y0, x0), COLORS.index(band[-1])
        keep_color(signal, variance, quality, codes, color, *out)
        return out

    def _raw_window(
        self, light: Light, planes: Planes, y0: int, y1: int, x0: int, x1: int
    ) -> tuple[Plane, Plane, Bits]:
        height, width = light.facts.shape
        reach = repair_margin(planes, repair=self._correct.repair)
        top, left, bottom, right = (
            min(reach, y0),
            min(reach, x0),
            min(reach, height - y1),
            min(reach, width - x1),
        )
        raw = self.raw_rows(light, y0 - top, y1 + bottom)[:, x0 - left : x1 + right]
        signal, variance, quality = correct_window(
            self.counts(light, raw),
            planes,
            y0 - top,
            x0 - left,
            margin=(top, bottom, left, right),
            repair=self._correct.repair,
            scratch=self.scratch,
        )
        if light.measured is not None and light.measured.trails.size:
            mark_trails(quality, y0, x0, light.measured.trails, np.uint16(Quality.TRAIL))
        if light.measured is not None and light.measured.hits.size:
            mark_hits(quality, y0, x0, light.measured.hits, width)
        return signal, variance, quality

    def _noise_from_sky(self, light: Light, band: str, planes: Planes) -> Planes:
        """Return `planes` with the frame's own sky as bias level where nobody knows the bias."""
        if light.measured is None or not light.measured.zero:
            return planes
        level, noise = light.measured.zero[band]
        dark = planes.dark
        if dark is None:  # subtract nothing but count shot noise from the sky up
            side = 1 if planes.cfa == light.facts.cfa else 2  # a phase, or the whole frame
            dark = np.zeros([length // side for length in light.facts.shape], np.float32)
        return replace(planes, dark=dark, bias_level=level, read_noise=noise)
