"""Choose the dark, bias and flat of a group of lights among the masters of a session, and say why."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from sciastro.recipe.grouping import LightGroup
from sciastro.recipe.masterplan import Choice, MatchOptions
from sciastro.recipe.masterspecs import (
    Candidate,
    MasterSpec,
    age,
    conflict,
    difference,
    distance,
    rank,
    unproven,
)

__all__ = ["bias_reason", "choose_bias", "choose_dark", "choose_flat", "named_level"]


def _candidates(
    specs: Iterable[MasterSpec], group: LightGroup, refusal: Callable[[MasterSpec], str], accept: str
) -> tuple[list[MasterSpec], list[Candidate]]:
    """Return the masters that nothing forbids, best first, and all of them with their reasons."""
    exposure, temperature, night = group.exposure, group.temperature, group.night
    ranked = sorted(specs, key=lambda spec: rank(spec, exposure, temperature, night))
    good, said = [], []
    for spec in ranked:
        why = refusal(spec)
        if not why:
            good.append(spec)
        said.append(Candidate(spec.id, distance(spec, exposure, temperature, night), not why, why or accept))
    said.sort(key=lambda candidate: not candidate.accepted)
    return good, said


def choose_bias(group: LightGroup, specs: list[MasterSpec], options: MatchOptions) -> Choice:
    """Return the choice of a bias, without what it is for (`bias_reason`)."""

    def refusal(spec: MasterSpec) -> str:
        return conflict(spec, group.frames[0])

    good, candidates = _candidates(specs, group, refusal, "same settings")
    if not good:
        return Choice("bias", None, _none("bias", specs, options.use_bias), "note", tuple(candidates))
    return Choice("bias", good[0].id, "", "ok", tuple(candidates))


def _none(kind: str, specs: Sequence[MasterSpec], wanted: bool) -> str:
    if not wanted:
        return f"Switched off by the option use_{'bias' if kind == 'bias' else f'{kind}s'}."
    return f"None of the {kind} masters fits." if specs else f"The session holds no {kind} frames."


def bias_reason(choice: Choice, dark: str | None, scale: float, done: str) -> Choice:
    """Return the choice of a bias with what it is for."""
    if "B" in done:
        return replace(
            choice,
            chosen=None,
            reason="The header says that the bias is already subtracted.",
            severity="note",
        )
    if dark is not None and scale == 1.0:
        reason = "Not subtracted: the unscaled dark holds the bias already."
        if choice.chosen:
            reason += f" {choice.chosen} only tells the noise model the level of zero light."
        return replace(choice, chosen=None, reason=reason, severity="ok")
    if choice.chosen is None:
        return choice if dark is not None else replace(choice, severity="warning")
    why = "Subtracted, because the dark is scaled." if dark else "Subtracted in place of a dark."
    return replace(choice, reason=why, severity="ok")


def named_level(choice: Choice, dark: str | None, level: str | None, group: LightGroup) -> Choice:
    """Return the choice of a bias with a word on the black level that the files name, where it serves."""
    black = group.frames[0].black_level
    if choice.chosen is not None or level is not None or black is None or "B" in group.frames[0].calibrated:
        return choice
    use = "only tells the noise model the level of zero light" if dark else "is subtracted in place of a bias"
    reason = f"{choice.reason} The black level that the files name, {black:g} adu, {use}."
    return replace(choice, reason=reason.strip(), severity="note")


def choose_dark(
    group: LightGroup, specs: list[MasterSpec], bias: str | None, options: MatchOptions
) -> tuple[Choice, float]:
    """Return the choice of a dark and the factor k it is scaled by."""
    light = group.frames[0]

    def settings(spec: MasterSpec) -> str:
        clash = conflict(spec, light)
        step = difference(spec.temperature, group.temperature)
        if not clash and step is not None and step > options.temperature_tolerance:
            return f"{step:.1f} deg C away, more than the {options.temperature_tolerance:g} allowed"
        if not clash and not (spec.exposure and group.exposure):
            return "no exposure time"
        if not clash and "B" in spec.key.calibrated and "B" not in light.calibrated:
            return "its bias is already taken out, so it cannot stand for bias and dark"
        if not clash and "B" in light.calibrated and "B" not in spec.key.calibrated:
            return "it holds the bias, which is already taken out of the lights"
        return clash

    good, candidates = _candidates(specs, group, settings, "same settings")
    if not good:
        reason = _none("dark", specs, options.use_darks)
        return Choice("dark", None, reason, "warning", tuple(candidates)), 1.0
    best = good[0]
    if _same_exposure(best, group, options) and not (options.scale_darks == "always" and bias):
        reason = (
            f"Same settings and exposure; {distance(best, group.exposure, group.temperature, group.night)}."
        )
        reason += unproven(best, light)
        severity = "note" if unproven(best, light) else "ok"
        return Choice("dark", best.id, reason, severity, _told(candidates, best.id)), 1.0
    if bias is not None and options.scale_darks != "never":
        return _scaled(group, good, candidates, options)
    return _unscaled(group, best, candidates, bias, options)


def _same_exposure(spec: MasterSpec, group: LightGroup, options: MatchOptions) -> bool:
    step = difference(spec.exposure, group.exposure)
    return step is not None and step <= max(options.exposure_tolerance * (group.exposure or 0.0), 1e-3)


def _ratio(spec: MasterSpec, group: LightGroup) -> float:
    return (group.exposure or 0.0) / (spec.exposure or 1.0)


def _scaled(
    group: LightGroup, good: list[MasterSpec], candidates: list[Candidate], options: MatchOptions
) -> tuple[Choice, float]:
    """Return a scaled dark: the one whose noise grows least, longer darks before shorter ones."""
    allowed = [spec for spec in good if _ratio(spec, group) <= options.max_dark_scale]
    if not allowed:
        told = tuple(
            replace(c, accepted=False, why=f"would have to be scaled by more than {options.max_dark_scale:g}")
            if c.accepted
            else c
            for c in candidates
        )
        reason = "The darks are much shorter than the lights; scaled up, their noise would spoil them."
        return Choice("dark", None, reason, "warning", told), 1.0
    best = min(allowed, key=lambda spec: (max(_ratio(spec, group), 1.0), abs(_ratio(spec, group) - 1.0)))
    k = _ratio(best, group)
    wanted = "as asked for" if _same_exposure(best, group, options) else "no dark of the same exposure exists"
    reason = (
        f"Scaled by {k:.4g} ({_seconds(group.exposure)} light / {_seconds(best.exposure)} dark) after the "
        f"bias is taken out: {wanted}. Amplifier glow may not scale like that."
    )
    return Choice(
        "dark",
        best.id,
        reason + unproven(best, group.frames[0]),
        "note",
        _told(candidates, best.id),
    ), k


def _unscaled(
    group: LightGroup, best: MasterSpec, candidates: list[Candidate], bias: str | None, options: MatchOptions
) -> tuple[Choice, float]:
    """Return what to do with a dark of another exposure that cannot be scaled."""
    k = _ratio(best, group)
    why = "scaling is switched off" if bias is not None else "without bias frames it cannot be scaled"
    if bias is None and 0.5 <= k <= 2.0:
        reason = (
            f"Used AS IT IS although its exposure is {_seconds(best.exposure)} and not "
            f"{_seconds(group.exposure)}: {why}. Its dark current is {100 * (1 / k - 1):+.0f} % off. "
            f"Take darks of {_seconds(group.exposure)}, or bias frames."
        )
        return Choice("dark", best.id, reason, "warning", _told(candidates, best.id)), 1.0
    told = tuple(
        replace(c, accepted=False, why=f"another exposure, and {why}") if c.accepted else c
        for c in candidates
    )
    reason = f"The darks have another exposure, and {why}."
    return Choice("dark", None, reason, "warning", told), 1.0


def _told(candidates: Iterable[Candidate], chosen: str) -> tuple[Candidate, ...]:
    """Return the candidates with the chosen one first and the others' reasons sharpened."""
    said = [replace(c, why="chosen") if c.id == chosen else c for c in candidates]
    said = [
        replace(c, why="possible, but farther away") if c.accepted and c.id != chosen else c for c in said
    ]
    return tuple(sorted(said, key=lambda c: (c.id != chosen, not c.accepted)))


def _seconds(value: float | None) -> str:
    return "?" if value is None else f"{value:g} s"


def choose_flat(group: LightGroup, specs: list[MasterSpec], options: MatchOptions) -> Choice:
    """Return the choice of a flat: of the same settings and filter, of the nearest night."""
    light = group.frames[0]

    def refusal(spec: MasterSpec) -> str:
        return conflict(spec, light, flat=True)

    good, candidates = _candidates(specs, group, refusal, "same settings and filter")
    if not good:
        reason = _none("flat", specs, options.use_flats)
        if specs and options.use_flats:
            reason = f"No flat in {group.band} with the same settings."
        return Choice("flat", None, reason, "warning", tuple(candidates))
    best = min(good, key=lambda spec: 1e9 if age(spec, group.night) is None else age(spec, group.night) or 0)
    nights = age(best, group.night)
    when = "of the same night" if nights == 0 else f"{nights} nights apart"
    when = "of unknown age" if nights is None else when
    reason, severity = f"Same settings and filter, {when}.{unproven(best, light)}", "ok"
    if nights is not None and nights > options.flat_age:
        reason += " That is old: dust has moved since. Check the picture for rings, or take new flats."
        severity = "warning"
    return Choice("flat", best.id, reason, severity, _told(candidates, best.id))
