"""Finished masters: found by id, read back from their files when wanted, lent to the calibrator."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.defects import DefectOptions, defects_from_dark, defects_from_flat, merge_defects
from sciastro.io.framefacts import FrameFacts
from sciastro.io.product_reading import read_product
from sciastro.recipe.masterplan import FRAMES_OF, LightMatch
from sciastro.recipe.reasons import SPARE
from sciastro.recipe.warming import load_datasets

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["LentMaster", "MasterBank", "lean", "match_of_made", "unit_of"]

Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class LentMaster:
    """Planes of a finished master.

    Attributes
    ----------
    kind, unit
        "bias", "dark", "dark-flat" or "flat"; "adu", or "1" for a flat.
    image, variance, quality
        (y, x) in `unit`, its square, bits.
    """

    kind: str
    unit: str
    image: Plane
    variance: Plane
    quality: Bits

    @property
    def nbytes(self) -> int:
        """Memory of the planes."""
        planes = (self.image, self.variance, self.quality)
        return sum(plane.nbytes for plane in planes if plane.strides != (0, 0))


def lean(quality: Bits) -> Bits:
    """Return `quality`, as one number seen everywhere if no pixel has a bit."""
    return quality if quality.any() else np.broadcast_to(np.uint16(0), quality.shape)


def unit_of(kind: str) -> str:
    """Return the unit of the image of a master."""
    return "1" if kind == "flat" else "adu"


@dataclass
class MasterBank:
    """Finished masters by id, read back from their files when wanted.

    Attributes
    ----------
    files
        Id to FITS file.
    kinds, counts, cfas, noises
        Id to kind, number of frames in it, color filter array, and noise of one frame [adu].
    left_out
        Path of a calibration frame to the reason why it is in no master.
    lacking
        Kinds of calibration frames that some lights go without.
    used
        Paths of the calibration frames that are in a master.
    hold
        Memory for planes that are wanted again soon [byte].
    stored
        Ids of masters that are in the store already.
    finish
        Waits until the files that are being written are there.
    close
        Ends the thread that writes them.
    ready
        Waits for the libraries that reading a file needs, where another thread is loading them.
    """

    options: DefectOptions
    files: dict[str, Path] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    cfas: dict[str, str] = field(default_factory=dict)
    noises: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    lacking: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    hold: int = 0
    stored: set[str] = field(default_factory=set)
    finish: Callable[[], None] | None = None
    close: Callable[[], None] | None = None
    ready: Callable[[], None] | None = None
    _held: OrderedDict[str, LentMaster] = field(default_factory=OrderedDict)

    def __getstate__(self) -> dict[str, object]:
        """Leave the planes behind, and what only the report of a run tells."""
        return {**self.__dict__, "_held": OrderedDict(), "left_out": {}, "used": set(), "finish": None,
                "close": None, "ready": None}  # fmt: skip

    def keep(self, name: str, master: LentMaster) -> None:
        """Hold a master in memory, and drop the oldest ones beyond `hold` bytes."""
        self._held[name] = master
        while self._held and sum(one.nbytes for one in self._held.values()) > self.hold:
            self._held.popitem(last=False)

    def forget(self) -> None:
        """Drop what is held in memory; `load` reads the files again."""
        self._held.clear()

    def settle(self) -> None:
        """Wait until every master is on the disk, in the store and in the journal.

        Raises
        ------
        OutputError
            If one could not be written.
        """
        try:
            if self.finish is not None:
                self.finish()
        finally:
            if self.close is not None:
                self.close()
            self.finish = self.close = None

    def read(self, path: Path) -> "xr.Dataset":
        """Return a file of ours, once what reads it is loaded; see `io.product_reading.read_product`."""
        if self.ready is not None:
            self.ready()
        load_datasets()
        return read_product(path)

    def load(self, name: str | None) -> LentMaster | None:
        """Return the planes of a master; None for None, and for one that could not be made."""
        if name is None or name not in self.files:
            return None
        if name not in self._held:
            if self.finish is not None:
                self.finish()
            ds = self.read(self.files[name])
            image, variance, quality = (
                np.ascontiguousarray(ds[key].values.squeeze()) for key in ("signal", "variance", "quality")
            )
            read = LentMaster(self.kinds[name], unit_of(self.kinds[name]), image, variance, lean(quality))
            self.keep(name, read)
            return read
        return self._held[name]

    def defects(self, match: LightMatch) -> Bits | None:
        """Return the quality bits that every frame calibrated with `match` has; None without masters."""
        return merge_defects(self._hot(match), self._dead(match.flat))

    def _hot(self, match: LightMatch) -> Bits | None:
        name = next((one for one in (match.dark, match.bias, match.level) if one in self.files), None)
        zero = self.load(name)
        if zero is None or name is None:
            return None
        noise = self.noises.get(name, 0.0)
        return defects_from_dark(zero.image, cfa=self.cfas[name], noise=noise, options=self.options)

    def _dead(self, name: str | None) -> Bits | None:
        flat = self.load(name)
        if flat is None or name is None:
            return None
        return defects_from_flat(flat.image, cfa=self.cfas[name], options=self.options)

    def reason_of(self, frame: FrameFacts) -> str | None:
        """Return why a calibration frame is in no master; None if it is in one.

        A frame that nothing needs is spare, unless lights go without its kind: then it was refused.
        """
        if frame.name in self.used:
            return None
        return self.left_out.get(frame.name) or self.reason_unused(frame.kind)

    def reason_unused(self, kind: str) -> str:
        """Return why no master is made of frames of `kind` that could be used."""
        kind = kind.removeprefix("master-")
        if kind in self.lacking:
            return (
                f"fits no light, while some go without {FRAMES_OF[kind]}; "
                "`sciastro doctor` tells what refused it"
            )
        return f"{SPARE}: no light needs it"


def match_of_made(match: LightMatch, bank: MasterBank) -> LightMatch:
    """Return `match` with what takes the place of masters that could not be made.

    For a dark the bias stands in; a dark that was to be scaled is used as it is where its bias is missing
    and the exposures differ by a factor of 2 at most, else not at all.
    """
    dark, bias, level, flat = (
        name if name in bank.files else None for name in (match.dark, match.bias, match.level, match.flat)
    )
    scale = match.dark_scale
    if match.dark is not None and dark is None:
        bias, scale = level, 1.0
    elif dark is not None and scale != 1.0 and bias is None:
        dark, scale = (dark if 0.5 <= scale <= 2.0 else None), 1.0
    return replace(match, dark=dark, dark_scale=scale, bias=bias, level=level, flat=flat)
