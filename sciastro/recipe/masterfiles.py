"""Write masters: as FITS with the cards by which another session knows them, and into the store."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from sciastro.calibrate.masters import Master, MasterOptions
from sciastro.core.history import entry
from sciastro.io.product_cards import ProductFacts
from sciastro.io.products import write_master
from sciastro.io.store import write_planes
from sciastro.recipe.journal import Journal
from sciastro.recipe.masterbank import LentMaster, MasterBank
from sciastro.recipe.masterspecs import MasterSpec

__all__ = ["Writer", "settings_of", "store_master", "write_made", "write_now"]


class Writer:
    """Writes finished masters beside the making of the next one, one at a time, and then tells the journal.

    Parameters
    ----------
    submit
        From `core.lift.beside`.
    store
        The ``frames.h5`` that gets a copy.
    bank, journal
        Those of the run.
    """

    def __init__(
        self, submit: Callable[[Callable[[], None]], Future[None]], store: Path, bank: MasterBank,
        journal: Journal,
    ) -> None:  # fmt: skip
        self._submit, self._store, self._bank, self._journal = submit, store, bank, journal
        self._running: Future[None] | None = None
        self._noted: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, master: LentMaster, write: Callable[[], None]) -> None:
        """Write the file of a master by `write`, and its copy; where memory is short before returning."""

        def work() -> None:
            write()
            if self._store.exists():
                store_master(self._store, name, master)
                self._bank.stored.add(name)

        self.finish()
        self._running = self._submit(work)
        if 2 * master.nbytes > self._bank.hold:
            self.finish()

    def note(self, piece: str, facts: dict[str, Any]) -> None:
        """Tell the journal of a piece once its file is there."""
        self._noted.append((piece, facts))

    def finish(self) -> None:
        """Wait for what is being written; an error comes once, and its master is not journaled."""
        running, noted = self._running, self._noted
        self._running, self._noted = None, []
        if running is not None:
            running.result()
        for piece, facts in noted:
            self._journal.save(piece, {}, facts)


def write_now(name: str, master: LentMaster, write: Callable[[], None]) -> None:
    """Write a master at once, its file alone."""
    write()


def store_master(path: Path, name: str, master: LentMaster) -> None:
    """Copy a finished master into the store."""
    planes = {
        "image": (master.image, master.unit),
        "variance": (master.variance, f"{master.unit}2" if master.unit == "adu" else "1"),
    }
    write_planes(path, f"masters/{name}", {**planes, "quality": (master.quality, "1")}, {"kind": master.kind})


def write_made(target: Path, spec: MasterSpec, master: Master, options: MasterOptions) -> None:
    """Write a master that `combine_master` made, with its history."""
    history = entry("calibrate.masters", options, kind=spec.kind, reason=spec.reason)
    facts = ProductFacts(
        band=spec.key.filter, instrument=spec.key.instrument, telescope=spec.key.telescope,
        exposure=spec.exposure if spec.exposure is not None else float("nan"), n_frames=master.n_frames,
        history=history,
        extra={"MASTER": (spec.kind, "kind of master"), "LEVEL": (master.level, "level [adu]"),
               "FRMNOISE": (master.noise, "noise of one frame at that level [adu]"),
               "SCATTER": (master.scatter_ratio, "measured over modeled sample variance"),
               **settings_of(spec)},
    )  # fmt: skip
    write_master(
        target,
        master.image,
        master.variance,
        master.quality,
        facts=facts,
        unit="" if spec.kind == "flat" else "adu",
    )


def settings_of(spec: MasterSpec) -> dict[str, tuple[Any, str]]:
    """Return the cards by which another session can tell whether this master fits its frames."""
    key, time = spec.key, next((frame.time for frame in spec.frames if frame.time is not None), None)
    cards = {
        "IMAGETYP": (f"Master {spec.kind}", ""),
        "GAIN": (key.gain_setting, "setting of the camera"),
        "EGAIN": (key.egain, "[electron/adu] as the frames say"),
        "OFFSET": (key.offset, "setting of the camera"),
        "READOUTM": (key.readout_mode or None, "read-out mode"),
        "CCD-TEMP": (spec.temperature, "[degC] median of the sensor"),
        "XBINNING": (key.binning[0], ""),
        "YBINNING": (key.binning[1], ""),
        "BAYERPAT": (key.cfa or None, "colors of the pixels as stored"),
        "ROWORDER": (key.row_order or None, ""),
        "RDNOISE": (key.read_noise, "[electron] as the frames say"),
        "SATURATE": (key.saturation, "[adu] as the frames say"),
        "DATE-AVG": (time and time.replace(tzinfo=None).isoformat(), "middle of the first frame, UTC"),
    }
    return {name: card for name, card in cards.items() if card[0] is not None}
