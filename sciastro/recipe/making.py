"""Masters: made from the session's calibration frames, written as FITS, and lent to the calibrator."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.defects import DefectOptions, defects_from_dark, defects_from_flat, merge_defects
from sciastro.calibrate.masters import Master, MasterOptions, check_flats, combine_master, sample_frames
from sciastro.calibrate.sampling import Sample
from sciastro.core.history import record
from sciastro.core.lift import beside, run_tasks
from sciastro.core.quality import Quality
from sciastro.errors import FileError, MatchError, OutputError, SciastroError
from sciastro.io.headers import FrameFacts
from sciastro.io.probe import Probe
from sciastro.io.product_cards import ProductFacts
from sciastro.io.products import is_product, read_product, write_master
from sciastro.io.reader import open_rows, probe, read_pixels
from sciastro.io.store import write_planes
from sciastro.recipe.context import Context, Silent
from sciastro.recipe.journal import Journal
from sciastro.recipe.matching import LightMatch, MasterPlan, MasterSpec
from sciastro.recipe.plan import Recipe
from sciastro.recipe.reasons import SPARE
from sciastro.recipe.session import Session
from sciastro.recipe.unpacked import scratch, unpack

__all__ = ["LentMaster", "MasterBank", "make_masters", "match_of_made", "store_master"]

log = logging.getLogger(__name__)

MISSING = Quality.NO_DATA | Quality.DO_NOT_USE

Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]
Rows = Callable[[int, int], npt.NDArray[np.generic]]


LACKING = {"zero level": "bias", "dark": "dark", "flat": "flat"}
LACKS = {"bias": "bias frames", "dark": "darks", "flat": "flats"}


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


def _lean(quality: Bits) -> Bits:
    """Return `quality`, as one number seen everywhere if no pixel has a bit."""
    return quality if quality.any() else np.broadcast_to(np.uint16(0), quality.shape)


def _unit(kind: str) -> str:
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
    _held: OrderedDict[str, LentMaster] = field(default_factory=OrderedDict)

    def __getstate__(self) -> dict[str, object]:
        """Leave the planes behind, and what only the report of a run tells."""
        return {**self.__dict__, "_held": OrderedDict(), "left_out": {}, "used": set(), "finish": None,
                "close": None}  # fmt: skip

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

    def load(self, name: str | None) -> LentMaster | None:
        """Return the planes of a master; None for None, and for one that could not be made."""
        if name is None or name not in self.files:
            return None
        if name not in self._held:
            if self.finish is not None:
                self.finish()
            ds = read_product(self.files[name])
            image, variance, quality = (
                np.ascontiguousarray(ds[key].values.squeeze()) for key in ("signal", "variance", "quality")
            )
            read = LentMaster(self.kinds[name], _unit(self.kinds[name]), image, variance, _lean(quality))
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
                f"fits no light, while some go without {LACKS[kind]}; `sciastro doctor` tells what refused it"
            )
        return f"{SPARE}: no light needs it"


def make_masters(
    session: Session, plan: MasterPlan, recipe: Recipe, context: Context, journal: Journal
) -> MasterBank:
    """Make every master that some light or flat needs; one that fails costs a warning, not the run.

    The last ones may still be on their way to the disk: `MasterBank.settle` waits for them.
    """
    bank = MasterBank(recipe.of(DefectOptions), hold=context.memory // 6)
    bank.lacking |= {LACKING[item.what] for item in plan.missing if item.what in LACKING}
    wanted = _wanted(plan)
    folder = context.numbered("masters")
    folder.mkdir(parents=True, exist_ok=True)
    if context.cluster is not None:
        _make_elsewhere(session, [spec for spec in plan.masters if spec.id in wanted], bank, recipe, context,
                        journal)  # fmt: skip
    with ExitStack() as stack:
        writer = _Writer(stack.enter_context(beside()), context.numbered("frames.h5"), bank, journal)
        bank.finish = writer.finish
        for spec in plan.masters:
            if spec.id in wanted:
                _make_or_tell(spec, session, bank, folder, recipe, context, journal, writer)
                continue
            why = bank.reason_unused(spec.kind)
            bank.left_out |= {frame.name: why for frame in spec.frames}
            context.progress.advance("masters", len(spec.frames))
        bank.close = stack.pop_all().close
    return bank


def _make_or_tell(
    spec: MasterSpec, session: Session, bank: MasterBank, folder: Path, recipe: Recipe, context: Context,
    journal: Journal, writer: "_Writer",
) -> None:  # fmt: skip
    """Make one master and enter it, or warn of what is in the way."""
    target = folder / f"{spec.id}.fits"
    piece = f"master-{spec.id}"
    kept = journal.load(piece)
    try:
        if kept is not None and target.exists():
            facts = kept[1]
        else:
            facts = _make(spec, session, bank, target, recipe, context, writer)
            writer.note(piece, facts)
    except OutputError:  # a full disk is no fault of the frames
        raise
    except SciastroError as error:
        reason = f"{error.found} {error.remedy}".strip()
        context.warn(f"master {spec.id} {reason} The lights go without it.")
        bank.left_out |= {frame.name: bank.left_out.get(frame.name, reason) for frame in spec.frames}
        context.progress.advance("masters", len(spec.frames))
        return
    _enter(bank, spec, target, facts)


class _Writer:
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
            self._running.result()

    def note(self, piece: str, facts: dict[str, Any]) -> None:
        """Tell the journal of a piece once its file is there."""
        self._noted.append((piece, facts))

    def finish(self) -> None:
        """Wait for what is being written."""
        if self._running is not None:
            self._running.result()
            self._running = None
        for piece, facts in self._noted:
            self._journal.save(piece, {}, facts)
        self._noted = []


def _write_now(name: str, master: LentMaster, write: Callable[[], None]) -> None:
    write()


def store_master(path: Path, name: str, master: LentMaster) -> None:
    """Copy a finished master into the store."""
    planes = {
        "image": (master.image, master.unit),
        "variance": (master.variance, f"{master.unit}2" if master.unit == "adu" else "1"),
    }
    write_planes(path, f"masters/{name}", {**planes, "quality": (master.quality, "1")}, {"kind": master.kind})


def _make_elsewhere(
    session: Session, specs: Sequence[MasterSpec], bank: MasterBank, recipe: Recipe, context: Context,
    journal: Journal,
) -> None:  # fmt: skip
    """Make masters in the workers of the cluster, one each; the journal then holds them as finished pieces.

    Those that others are calibrated with come first. One that fails is left to `make_masters`, which tells.
    """
    base = {spec.calibrated_by for spec in specs}
    for wave in (
        [spec for spec in specs if spec.id in base],
        [spec for spec in specs if spec.id not in base],
    ):
        missing = [spec for spec in wave if not journal.has(f"master-{spec.id}")]
        alone = replace(bank, files=dict(bank.files))
        bare = replace(session, frames=(), skipped=(), ignored=())
        task = _MasterTask(bare, alone, recipe, context.numbered("masters"), context.memory)

        def done(spec: MasterSpec, made: tuple[dict[str, Any], list[str]] | None) -> None:
            if made is None:
                return
            for text in made[1]:
                context.warn(text)
            journal.save(f"master-{spec.id}", {}, made[0])
            context.progress.advance("masters", len(spec.frames))

        run_tasks(task, missing, done=done, cluster=context.cluster)
        for spec in wave:
            kept = journal.load(f"master-{spec.id}")
            if kept is not None:
                _enter(bank, spec, context.numbered("masters") / f"{spec.id}.fits", kept[1])


@dataclass(frozen=True, slots=True)
class _MasterTask:
    """One master, written where the run wants it; facts and warnings, or None where it cannot be made."""

    session: Session
    bank: MasterBank
    recipe: Recipe
    folder: Path
    memory: int

    def __call__(self, spec: MasterSpec) -> tuple[dict[str, Any], list[str]] | None:
        context = Context(out=self.folder, workers=1, memory=self.memory, progress=Silent())
        try:
            facts = _make(
                spec, self.session, self.bank, self.folder / f"{spec.id}.fits", self.recipe, context,
                _write_now,
            )  # fmt: skip
        except OutputError:
            raise
        except SciastroError as error:
            log.info("master %s: %s", spec.id, error)
            return None
        return facts, context.warnings


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


def _wanted(plan: MasterPlan) -> set[str]:
    """Return the masters that lights use, those that calibrate them, or all where there are no lights."""
    if not plan.matches:
        return {spec.id for spec in plan.masters}
    names = {
        name for match in plan.matches for name in (match.dark, match.bias, match.level, match.flat) if name
    }
    return names | {spec.calibrated_by for spec in plan.masters if spec.id in names and spec.calibrated_by}


def _enter(bank: MasterBank, spec: MasterSpec, target: Path, facts: Mapping[str, Any]) -> None:
    bank.files[spec.id], bank.kinds[spec.id] = target, spec.kind
    bank.counts[spec.id], bank.cfas[spec.id] = int(facts["n_frames"]), spec.key.cfa
    if np.isfinite(facts["noise"]):
        bank.noises[spec.id] = float(facts["noise"])
    bank.left_out |= dict(facts["left_out"])
    bank.used |= {frame.name for frame in spec.frames if frame.name not in facts["left_out"]}


Write = Callable[[str, LentMaster, Callable[[], None]], None]


def _make(
    spec: MasterSpec, session: Session, bank: MasterBank, target: Path, recipe: Recipe, context: Context,
    writer: Write,
) -> dict[str, Any]:  # fmt: skip
    if spec.existing:
        return _take_over(spec, session, target, context)
    with scratch(context, spec.id) as folder:
        return _combined(spec, session, bank, target, recipe, context, folder, writer)


def _combined(
    spec: MasterSpec,
    session: Session,
    bank: MasterBank,
    target: Path,
    recipe: Recipe,
    context: Context,
    folder: Path,
    writer: Write,
) -> dict[str, Any]:
    options = recipe.of(MasterOptions)
    sources, left_out = _sources(spec, session, context, folder)
    base = bank.load(spec.calibrated_by)
    subtract = base.image if base is not None else _named_black(spec)
    saturation = _saturation(spec)
    saturation = saturation if np.isfinite(saturation) else 1e30
    sample: Sample | None = None
    if sources:
        sample = sample_frames(
            spec.kind, list(sources.values()), spec.key.shape, subtract=subtract,
            cfa=spec.key.cfa if spec.kind == "flat" else "", saturation=saturation, workers=context.workers,
        )  # fmt: skip
    if spec.kind == "flat" and sample is not None:
        sources, sample, bad = _good_flats(sources, sample, spec, subtract, saturation, options)
        left_out |= bad
    if not sources:
        bank.left_out |= left_out
        path, reason = next(iter(left_out.items()))
        raise MatchError(
            f"cannot be made: not one of its {len(left_out)} frames can be used. {path}: {reason}",
            where=spec.id,
            remedy="Leave these flats out, or take new ones at 30 to 60 % of full scale."
            if spec.kind == "flat"
            else "",
        )
    master = combine_master(
        spec.kind, list(sources.values()), spec.key.shape, options=options, subtract=subtract,
        subtract_variance=base.variance if base is not None else None,
        cfa=spec.key.cfa if spec.kind == "flat" else "", gain=spec.key.egain or float("nan"),
        saturation=saturation, memory_bytes=max(context.memory // 3, 10**8), workers=context.workers,
        sample=sample,
    )  # fmt: skip
    context.progress.advance("masters", len(spec.frames))
    for path, reason in left_out.items():
        context.warn(f"{path}: {reason}")
    lent = LentMaster(spec.kind, _unit(spec.kind), master.image, master.variance, _lean(master.quality))
    bank.keep(spec.id, lent)
    writer(spec.id, lent, partial(_write, target, spec, master, options))
    return {"n_frames": master.n_frames, "left_out": left_out, "level": master.level, "noise": master.noise}


def _write(target: Path, spec: MasterSpec, master: Master, options: MasterOptions) -> None:
    import xarray as xr

    history = record(xr.Dataset(), "calibrate.masters", options, kind=spec.kind, reason=spec.reason).attrs[
        "history"
    ]
    facts = ProductFacts(
        band=spec.key.filter, instrument=spec.key.instrument, telescope=spec.key.telescope,
        exposure=spec.exposure if spec.exposure is not None else float("nan"), n_frames=master.n_frames,
        history=history,
        extra={"MASTER": (spec.kind, "kind of master"), "LEVEL": (master.level, "level [adu]"),
               "FRMNOISE": (master.noise, "noise of one frame at that level [adu]"),
               "SCATTER": (master.scatter_ratio, "measured over modeled sample variance"),
               **_settings(spec)},
    )  # fmt: skip
    write_master(
        target,
        master.image,
        master.variance,
        master.quality,
        facts=facts,
        unit="" if spec.kind == "flat" else "adu",
    )


def _named_black(spec: MasterSpec) -> Plane | None:
    """Return the black level that the files of a flat name as a plane [adu]; None where none is wanted."""
    facts = spec.key
    if spec.kind != "flat" or facts.black_level is None or facts.calibrated:
        return None
    return np.full(facts.shape, facts.black_level - facts.pedestal, np.float32)


def _settings(spec: MasterSpec) -> dict[str, tuple[Any, str]]:
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


def _saturation(spec: MasterSpec) -> float:
    """Return the level at which pixels of the frames are full [adu], without their pedestal; NaN unknown."""
    facts = spec.key
    full = {"uint16": 65535.0, "int16": 32767.0, "uint8": 255.0}.get(facts.dtype, float("nan"))
    return (full if facts.saturation is None else facts.saturation) - facts.pedestal


def _sources(
    spec: MasterSpec, session: Session, context: Context, folder: Path
) -> tuple[dict[str, Rows], dict[str, str]]:
    """Return a row reader per frame that can be read, and why the others cannot.

    Frames of packed files are unpacked once: into memory where it holds all of them, else into `folder`.
    """
    found: dict[str, Rows] = {}
    left_out: dict[str, str] = {}
    nbytes = len(spec.frames) * int(np.prod(spec.key.shape)) * np.dtype(spec.key.dtype).itemsize
    hold = nbytes < context.memory // 3

    def open_one(frame: FrameFacts) -> Rows | str:
        try:
            rows = _rows_of(frame, session, None if hold else folder)
            if not _has_numbers(rows, frame):
                return "holds no finite pixel. Take it out, or save it again."
            return rows
        except SciastroError as error:
            return f"{error.found} {error.remedy}".strip()

    for frame, got in zip(
        spec.frames, run_tasks(open_one, spec.frames, workers=context.workers), strict=True
    ):
        if isinstance(got, str):
            left_out[frame.name] = got
        else:
            found[frame.name] = got
    return found, left_out


def _has_numbers(rows: Rows, frame: FrameFacts) -> bool:
    """Return whether any pixel is finite; integers all are."""
    height = frame.shape[0]
    middle = height // 2
    return np.dtype(frame.dtype).kind != "f" or any(
        bool(np.isfinite(rows(first, last)).any())
        for first, last in ((middle, middle + 1), (0, height))
        if last > first
    )


def _image_of(path: Path, frame: FrameFacts) -> Probe:
    """Return the image of `frame` in its file.

    Raises
    ------
    FileError
        If the file has changed since it was scanned, and the image is gone.
    """
    for one in probe(path):
        if one.hdu == frame.hdu:
            return one
    raise FileError(
        f"holds no image in HDU {frame.hdu} any more.",
        where=str(path),
        remedy="It changed while the run went on; run again when nothing writes to it.",
    )


def _rows_of(frame: FrameFacts, session: Session, folder: Path | None) -> Rows:
    """Return a reader of rows in adu; a packed file is unpacked to `folder`, None: into memory."""
    path = session.path(frame)
    image = _image_of(path, frame)
    rows: Rows = open_rows(image)
    if image.offset is None or path.suffix.lower() in (".gz", ".bz2"):
        whole = read_pixels(path, frame.hdu)
        rows = (partial(_part, whole) if folder is None else unpack(whole, frame.name, folder)) or rows
    if frame.adu_per_unit == 1.0 and frame.pedestal == 0.0:
        return rows
    factor, offset = np.float32(frame.adu_per_unit), np.float32(frame.pedestal)
    return lambda first, last: rows(first, last).astype(np.float32) * factor - offset


def _part(whole: npt.NDArray[np.generic], first: int, last: int) -> npt.NDArray[np.generic]:
    return whole[first:last]


def _good_flats(
    sources: Mapping[str, Rows],
    sample: Sample,
    spec: MasterSpec,
    subtract: Plane | None,
    saturation: float,
    options: MasterOptions,
) -> tuple[dict[str, Rows], Sample, dict[str, str]]:
    """Return the flats that can be used with their sample, and why the others cannot."""
    checks = check_flats(
        list(sources.values()), spec.key.shape, options=options, subtract=subtract, saturation=saturation,
        sample=sample,
    )  # fmt: skip
    bad = {
        path: f"this flat {check.reason}."
        for path, check in zip(sources, checks, strict=True)
        if check.reason
    }
    good = sample.only([number for number, path in enumerate(sources) if path not in bad])
    return {path: rows for path, rows in sources.items() if path not in bad}, good, bad


def _take_over(spec: MasterSpec, session: Session, target: Path, context: Context) -> dict[str, Any]:
    """Write a master that the session already holds in our own form."""
    frame = spec.key
    path = session.path(frame)
    image = _image_of(path, frame)
    if is_product(image.header):
        ds = read_product(path)
        pixels, variance, quality = (ds[name].values.squeeze() for name in ("signal", "variance", "quality"))
    else:
        pixels = _rows_of(frame, session, None)(0, frame.shape[0]).astype(np.float32)
        if spec.kind == "flat":
            pixels = pixels / np.float32(np.nanmedian(pixels))
        variance, quality = np.zeros_like(pixels), np.zeros(pixels.shape, np.uint16)
        context.warn(f"{frame.name}: this master tells no error, so its noise is not in the variance plane.")
    quality = quality | np.where(np.isfinite(pixels), 0, int(MISSING)).astype(np.uint16)
    noise = float(image.header.get("FRMNOISE", "nan"))
    facts = ProductFacts(band=frame.filter, instrument=frame.instrument, n_frames=max(frame.combined, 1),
                         exposure=spec.exposure if spec.exposure is not None else float("nan"),
                         extra={"MASTER": (spec.kind, "kind of master"), **_settings(spec),
                                **({"FRMNOISE": (noise, "noise of one frame at that level [adu]")}
                                   if np.isfinite(noise) else {})})  # fmt: skip
    write_master(target, pixels, variance, quality, facts=facts, unit="" if spec.kind == "flat" else "adu")
    context.progress.advance("masters", len(spec.frames))
    return {
        "n_frames": max(frame.combined, 1),
        "left_out": {},
        "level": float(np.nanmedian(pixels)),
        "noise": noise,
    }
