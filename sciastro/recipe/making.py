"""Make masters from the session's calibration frames: one after the other here, or in a cluster."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sciastro.calibrate.defects import DefectOptions
from sciastro.calibrate.masters import MasterOptions, check_flats, combine_master, sample_frames
from sciastro.calibrate.sampling import Sample
from sciastro.core.lift import beside, run_tasks
from sciastro.core.quality import Quality
from sciastro.errors import MatchError, OutputError, SciastroError
from sciastro.io.product_cards import ProductFacts
from sciastro.io.product_reading import is_product
from sciastro.io.products import write_master
from sciastro.recipe.context import Context, Silent
from sciastro.recipe.journal import Journal
from sciastro.recipe.masterbank import LentMaster, MasterBank, Plane, lean, unit_of
from sciastro.recipe.masterfiles import Writer, settings_of, write_made, write_now
from sciastro.recipe.masterplan import MasterPlan
from sciastro.recipe.mastersources import Rows, image_of, rows_of, sources_of
from sciastro.recipe.masterspecs import MasterSpec
from sciastro.recipe.plan import Recipe
from sciastro.recipe.session import Session
from sciastro.recipe.unpacked import scratch

__all__ = ["make_masters"]

log = logging.getLogger(__name__)
MISSING = Quality.NO_DATA | Quality.DO_NOT_USE


def make_masters(
    session: Session, plan: MasterPlan, recipe: Recipe, context: Context, journal: Journal,
    ready: Callable[[], None] | None = None,
) -> MasterBank:  # fmt: skip
    """Make every master that some light or flat needs; one that fails costs a warning, not the run.

    The last ones may still be on their way to the disk: `MasterBank.settle` waits for them. `ready` is the
    bank's.
    """
    bank = MasterBank(recipe.of(DefectOptions), hold=context.memory // 6, ready=ready)
    bank.lacking |= {item.kind for item in plan.missing}
    wanted = _wanted(plan)
    folder = context.numbered("masters")
    folder.mkdir(parents=True, exist_ok=True)
    if context.cluster is not None:
        _make_elsewhere(session, [spec for spec in plan.masters if spec.id in wanted], bank, recipe, context,
                        journal)  # fmt: skip
    with ExitStack() as stack:
        writer = Writer(stack.enter_context(beside()), context.numbered("frames.h5"), bank, journal)
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
    journal: Journal, writer: "Writer",
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
                write_now,
            )  # fmt: skip
        except OutputError:
            raise
        except SciastroError as error:
            log.info("master %s: %s", spec.id, error)
            return None
        return facts, context.warnings


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
        return _take_over(spec, session, bank, target, context)
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
    sources, left_out = sources_of(spec, session, context, folder)
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
    lent = LentMaster(spec.kind, unit_of(spec.kind), master.image, master.variance, lean(master.quality))
    bank.keep(spec.id, lent)
    writer(spec.id, lent, partial(write_made, target, spec, master, options))
    return {"n_frames": master.n_frames, "left_out": left_out, "level": master.level, "noise": master.noise}


def _named_black(spec: MasterSpec) -> Plane | None:
    """Return the black level that the files of a flat name as a plane [adu]; None where none is wanted."""
    facts = spec.key
    if spec.kind != "flat" or facts.black_level is None or facts.calibrated:
        return None
    return np.full(facts.shape, facts.black_level - facts.pedestal, np.float32)


def _saturation(spec: MasterSpec) -> float:
    """Return the level at which pixels of the frames are full [adu], without their pedestal; NaN unknown."""
    facts = spec.key
    full = {"uint16": 65535.0, "int16": 32767.0, "uint8": 255.0}.get(facts.dtype, float("nan"))
    return (full if facts.saturation is None else facts.saturation) - facts.pedestal


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


def _take_over(
    spec: MasterSpec, session: Session, bank: MasterBank, target: Path, context: Context
) -> dict[str, Any]:
    """Write a master that the session already holds in our own form."""
    frame = spec.key
    path = session.path(frame)
    image = image_of(path, frame)
    if is_product(image.header):
        ds = bank.read(path)
        pixels, variance, quality = (ds[name].values.squeeze() for name in ("signal", "variance", "quality"))
    else:
        pixels = rows_of(frame, session, None)(0, frame.shape[0]).astype(np.float32)
        if spec.kind == "flat":
            pixels = pixels / np.float32(np.nanmedian(pixels))
        variance, quality = np.zeros_like(pixels), np.zeros(pixels.shape, np.uint16)
        context.warn(f"{frame.name}: this master tells no error, so its noise is not in the variance plane.")
    quality = quality | np.where(np.isfinite(pixels), 0, int(MISSING)).astype(np.uint16)
    noise = float(image.header.get("FRMNOISE", "nan"))
    facts = ProductFacts(band=frame.filter, instrument=frame.instrument, n_frames=max(frame.combined, 1),
                         exposure=spec.exposure if spec.exposure is not None else float("nan"),
                         extra={"MASTER": (spec.kind, "kind of master"), **settings_of(spec),
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
