"""Which masters a session can make, and which light gets which one: with candidates, distances, reasons.

Rules as in PixInsight's WBPP (algorithms: "Matching rules"). Hard keys must agree wherever both frames state
them: camera, size, binning, gain, offset, read-out mode, row order; for flats also the filter and the color
array. Soft keys rank what is left: exposure, then temperature, then age.
"""

from collections.abc import Iterable
from dataclasses import replace

from sciastro.recipe.grouping import LightGroup, group_lights
from sciastro.recipe.masterchoice import bias_reason, choose_bias, choose_dark, choose_flat, named_level
from sciastro.recipe.masterplan import DEFAULTS, Choice, LightMatch, MasterPlan, MatchOptions, Missing
from sciastro.recipe.masterspecs import (
    Candidate,
    MasterSpec,
    conflict,
    difference,
    distance,
    rank,
    specs_of,
    with_ids,
)
from sciastro.recipe.session import Session

__all__ = ["plan_masters"]

FLAT_DARK_TOLERANCE = 0.5
"""Largest difference in exposure [s] between a flat and its dark-flat (WBPP)."""


def plan_masters(session: Session, options: MatchOptions = DEFAULTS) -> MasterPlan:
    """Return which masters can be made of `session`, and which light group gets which.

    Parameters
    ----------
    session
        As scanned; not modified.
    options
        Tolerances and switches.

    Returns
    -------
    MasterPlan
        Masters in the order in which they have to be made.
    """
    bias = specs_of(session, "bias", options.temperature_tolerance) if options.use_bias else []
    darks = specs_of(session, "dark", options.temperature_tolerance) if options.use_darks else []
    dark_flats = specs_of(session, "dark-flat", options.temperature_tolerance) if options.use_darks else []
    flats = specs_of(session, "flat", options.temperature_tolerance) if options.use_flats else []
    named = with_ids([*bias, *darks, *dark_flats, *flats])
    by_kind = {
        kind: [spec for spec in named if spec.kind == kind] for kind in ("bias", "dark", "dark-flat", "flat")
    }
    ready = [_calibrated_flat(flat, by_kind, options) for flat in by_kind["flat"]]
    matches = [_match(group, by_kind, ready, options) for group in group_lights(session)]
    masters = (*by_kind["bias"], *by_kind["dark"], *by_kind["dark-flat"], *ready)
    return MasterPlan(masters, tuple(matches), tuple(_missing(matches)))


def _match(
    group: LightGroup, by_kind: dict[str, list[MasterSpec]], flats: list[MasterSpec], options: MatchOptions
) -> LightMatch:
    done = group.frames[0].calibrated
    bias_choice = choose_bias(group, by_kind["bias"], options)
    level = None if set("BD?") & set(done) else bias_choice.chosen  # calibrated lights begin at zero
    if "D" in done or "?" in done:
        dark, scale = None, 1.0
        said = (
            "says that its dark is already subtracted"
            if "D" in done
            else "says that it is already calibrated"
        )
        severity = "warning" if by_kind["dark"] else "note"
        choices = [Choice("dark", None, f"The header {said}: no dark is subtracted again.", severity)]
        bias: str | None = None
        choices.append(Choice("bias", None, "Not subtracted from calibrated lights.", "note"))
    else:
        choice, scale = choose_dark(group, by_kind["dark"], level, options)
        dark = choice.chosen
        bias = level if dark is None or scale != 1.0 else None
        bias_choice = bias_reason(bias_choice, dark, scale, done)
        choices = [choice, named_level(bias_choice, dark, level, group)]
    if "F" in done:
        flat_choice = Choice("flat", None, "The header says that its flat is already divided out.", "note")
    else:
        flat_choice = choose_flat(group, flats, options)
    return LightMatch(group, dark, scale, bias, level, flat_choice.chosen, (*choices, flat_choice))


def _calibrated_flat(
    flat: MasterSpec, by_kind: dict[str, list[MasterSpec]], options: MatchOptions
) -> MasterSpec:
    """Return `flat` with what is subtracted from its frames: dark-flat, else bias, else a short dark."""
    if flat.existing:
        return replace(flat, reason="A finished master, used as it is.")
    if flat.key.calibrated:
        return replace(flat, reason="The headers say that bias or dark is already subtracted.")
    said: list[Candidate] = []
    for kind in ("dark-flat", "bias", "dark"):
        ranked = sorted(
            by_kind[kind], key=lambda spec: rank(spec, flat.exposure, flat.temperature, flat.night)
        )
        for spec in ranked:
            why = _unfit_for_flat(spec, flat, options)
            apart = distance(spec, flat.exposure, flat.temperature, flat.night)
            said.append(Candidate(spec.id, apart, not why, why or "chosen"))
            if not why:
                how = "" if kind == "bias" else ", of the same exposure"
                reason = f"Calibrated with {spec.id}{how}."
                return replace(flat, calibrated_by=spec.id, reason=reason, candidates=tuple(said))
    if flat.key.black_level is not None:
        reason = (
            f"Calibrated with the black level that the files name, {flat.key.black_level:g} adu: no "
            "dark-flat, bias or dark of the same exposure fits."
        )
        return replace(flat, reason=reason, candidates=tuple(said))
    reason = (
        "NOT calibrated: no dark-flat, bias or dark of the same exposure fits. The offset of the camera "
        "stays in the flat, so corners and dust are corrected too weakly."
    )
    return replace(flat, reason=reason, candidates=tuple(said))


def _unfit_for_flat(spec: MasterSpec, flat: MasterSpec, options: MatchOptions) -> str:
    clash = conflict(spec, flat.key)
    if clash or spec.kind == "bias":
        return clash
    if "B" in spec.key.calibrated:
        return "its bias is already taken out, so it cannot stand for bias and dark"
    steps = [difference(spec.exposure, frame.exposure) for frame in flat.frames]
    known = [step for step in steps if step is not None]
    if not known:
        return "no exposure time to compare"
    if max(known) > FLAT_DARK_TOLERANCE:
        return f"exposure differs by {max(known):.3g} s, more than {FLAT_DARK_TOLERANCE:g} s"
    step = difference(spec.temperature, flat.temperature)
    if step is not None and step > options.temperature_tolerance:
        return f"{step:.1f} deg C away, more than the {options.temperature_tolerance:g} allowed"
    return ""


COSTS = {
    "dark": "Hot pixels, amplifier glow and dark current stay in the lights; hot pixels are only found by "
    "their neighbors and by rejection between dithered frames.",
    "zero level": "Neither dark nor bias: the camera's offset stays in the lights. It vanishes with the "
    "background, but dividing by a flat then leaves a pattern. Noise is taken from the sky of each frame.",
    "flat": "Vignetting and dust shadows stay: brightness is wrong toward the corners, often by 10 to 50 %, "
    "and zero points vary over the field.",
}


def _missing(matches: Iterable[LightMatch]) -> list[Missing]:
    lacking: dict[str, list[str]] = {}
    for match in matches:
        done = match.group.frames[0].calibrated
        if match.dark is None and not ("D" in done or "?" in done):
            lacking.setdefault("dark", []).append(match.group.id)
            if match.bias is None and "B" not in done and match.group.frames[0].black_level is None:
                lacking.setdefault("zero level", []).append(match.group.id)
        if match.flat is None and "F" not in done:
            lacking.setdefault("flat", []).append(match.group.id)
    return [Missing(what, tuple(groups), COSTS[what]) for what, groups in lacking.items()]
