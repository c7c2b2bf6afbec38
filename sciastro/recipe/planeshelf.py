"""What lights are calibrated with: the planes of a few groups in memory, the rest read when it is wanted."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.correct import Planes, dark_plane
from sciastro.calibrate.defects import DefectOptions, defects_from_light, merge_defects
from sciastro.calibrate.planes import plane_level
from sciastro.core.cfa import COLORS, cell_side, pattern_of
from sciastro.errors import SciastroError
from sciastro.io.reader import read_pixels
from sciastro.recipe.detector import Detector, DetectorFacts
from sciastro.recipe.lights import PROBED, Light
from sciastro.recipe.masterbank import MasterBank
from sciastro.recipe.masterplan import LightMatch
from sciastro.recipe.phases import PLANES, apart

__all__ = ["PlaneShelf"]

Bits = npt.NDArray[np.uint16]

KEPT = 2  # sets of planes that stay in memory in any case
PLANES_SHARE = 0.35  # of the memory that more of them may take


@dataclass(frozen=True, slots=True)
class _Key:
    dark: str | None
    scale: float
    bias: str | None
    level: str | None
    flat: str | None
    cfa: str
    group: str  # lights without a master of zero light show their defects themselves; "" otherwise
    apart: bool  # the phases of a Bayer mosaic as planes of their own


class PlaneShelf:
    """The planes of the light groups that are being worked on; shared by all threads.

    Travels to other processes without its planes: there it reads them from the master files again.

    Parameters
    ----------
    root
        The session.
    bank
        Finished masters.
    detector
        Gain, read noise and saturation of each light.
    defects
        How defects are found in lights without masters of zero light.
    superpixels
        Whether the phases of a Bayer mosaic are calibrated apart.
    memory
        That the run may take [byte].
    """

    def __init__(
        self, root: Path, bank: MasterBank, detector: Detector, defects: DefectOptions, superpixels: bool,
        memory: int,
    ) -> None:  # fmt: skip
        self._root, self._bank, self._detector, self._defect_options = root, bank, detector, defects
        self._superpixels, self._memory = superpixels, memory
        self._planes: OrderedDict[_Key, tuple[Planes, ...]] = OrderedDict()
        self._adapted: dict[tuple[_Key, str], tuple[DetectorFacts, list[Planes]]] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        """Leave the planes and the lock behind."""
        return {**self.__dict__, "_planes": None, "_adapted": None, "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._planes, self._adapted, self._lock = OrderedDict(), {}, threading.Lock()

    @property
    def nbytes(self) -> int:
        """What the planes in memory take [byte]."""
        return sum(_size(one) for one in self._planes.values())

    def parts_of(self, light: Light, band: str) -> list[Planes]:
        """Return the planes of the raw pixels that make a pixel of `band`, one per phase of a cell."""
        if not self.by_phase(light.facts.cfa):
            return self.parts(light, phases=False)
        phases = np.flatnonzero(pattern_of(light.facts.cfa).ravel() == COLORS.index(band[-1]))
        parts = self.parts(light, phases=True)
        return [parts[int(k)] for k in phases]

    def holds(self, lights: Sequence[Light], *, mosaic: bool) -> bool:
        """Return whether all that windows of `lights` are calibrated with is in memory.

        `mosaic`: for `mosaic_window`, else for `window`.
        """
        with self._lock:
            return all(
                _key_of(light, phases=not mosaic and self.by_phase(light.facts.cfa)) in self._planes
                for light in lights
            )

    def parts(self, light: Light, *, phases: bool) -> list[Planes]:
        """Return the planes of `light`, of the whole mosaic or of its four phases."""
        match, cfa, key = light.match, light.facts.cfa, _key_of(light, phases=phases)
        facts, by_name = self._detector.of(light), (key, light.name)
        with self._lock:
            held = self._adapted.get(by_name)
            if held is not None and held[0] == facts and key in self._planes:
                self._planes.move_to_end(key)
                return held[1]
            parts = self._planes.get(key)
            if parts is None:
                while len(self._planes) >= KEPT and self._planes_bytes() > PLANES_SHARE * self._memory:
                    self._planes.popitem(last=False)
                self._adapted.clear()  # it holds on to planes
                whole = self._load(match, cfa)
                parts = self._planes[key] = apart(whole) if phases else (whole,)
            self._planes.move_to_end(key)
        full = facts.saturation - light.facts.pedestal  # `counts` has taken the pedestal out
        level: float | None = None
        if match.bias is None and match.level is None and light.facts.black_level is not None:
            level = light.facts.black_level - light.facts.pedestal
        adapted = [
            replace(
                one, gain=facts.gain, read_noise=facts.read_noise, saturation=full,
                bias_level=one.bias_level if level is None else level,
            )
            for one in parts
        ]  # fmt: skip
        with self._lock:
            if self._planes.get(key) is parts:
                self._adapted[by_name] = facts, adapted
        return adapted

    def by_phase(self, cfa: str) -> bool:
        """Return whether the phases of a mosaic are calibrated apart."""
        return cell_side(cfa) == 2 and self._superpixels

    def _planes_bytes(self) -> float:
        """Return what the planes in memory and one more like them take [byte]."""
        sizes = [_size(one) for one in self._planes.values()]
        return sum(sizes) * (1 + 1 / max(len(sizes), 1))

    def _load(self, match: LightMatch, cfa: str) -> Planes:
        bank = self._bank
        # One master at a time, as far as they go: the sum of all would be the peak of the run.
        defects = self._defects(match, cfa)
        level_only = self._level(match)
        dark, bias, flat = bank.load(match.dark), bank.load(match.bias), bank.load(match.flat)
        bank.forget()
        plane, variance, level = dark_plane(
            dark.image if dark else None,
            dark.variance if dark else None,
            bias.image if bias else None,
            bias.variance if bias else None,
            scale=match.dark_scale if dark and bias else 1.0,
        )
        if level_only is not None:
            level = level_only
        return Planes(
            dark=plane,
            dark_variance=variance,
            bias_level=level,
            flat=flat.image if flat else None,
            flat_variance=flat.variance if flat else None,
            defects=defects,
            gain=1.0,
            read_noise=0.0,
            cfa=cfa,
        )

    def _level(self, match: LightMatch) -> float | None:
        """Return the level of a bias that is not subtracted; None if there is none."""
        bias = self._bank.load(match.level) if match.level != match.bias else None
        return plane_level(bias.image) if bias is not None else None

    def _defects(self, match: LightMatch, cfa: str) -> Bits | None:
        """Return the defects that masters tell; without dark and bias also what three lights share."""
        found = self._bank.defects(match)
        if match.dark or match.bias or match.level:
            return found
        options, common = self._defect_options, None
        for frame in match.group.frames[:: max(len(match.group.frames) // PROBED, 1)][:PROBED]:
            try:
                raw = read_pixels(self._root / frame.path, frame.hdu)
            except SciastroError:  # this frame will be left out with its reason in pass 1
                continue
            if raw.shape != frame.shape:
                continue
            one = defects_from_light(raw.astype(np.float32), cfa=cfa, options=options)
            common = one if common is None else common & one
        return merge_defects(found, common)


def _key_of(light: Light, *, phases: bool) -> _Key:
    match, cfa = light.match, light.facts.cfa
    group = "" if match.dark or match.bias or match.level else match.group.id
    return _Key(match.dark, match.dark_scale, match.bias, match.level, match.flat, cfa, group, phases)


def _size(parts: tuple[Planes, ...]) -> int:
    arrays = [getattr(one, name) for one in parts for name in PLANES]
    return sum(array.nbytes for array in arrays if array is not None)
