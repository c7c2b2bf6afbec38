"""Which masters a session can make, and which light gets which one: with candidates, distances, reasons.

Rules as in PixInsight's WBPP (algorithms: "Matching rules"). Hard keys must agree wherever both frames state
them: camera, size, binning, gain, offset, read-out mode, row order; for flats also the filter and the color
array. Soft keys rank what is left: exposure, then temperature, then age.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sciastro.core.options import Options, option
from sciastro.recipe.masterspecs import (
    Candidate,
    MasterSpec,
    age,
    conflict,
    difference,
    distance,
    rank,
    specs_of,
    unproven,
    with_ids,
)
from sciastro.recipe.session import LightGroup, Session, group_lights

__all__ = [
    "FRAMES_OF",
    "Candidate",
    "Choice",
    "LightMatch",
    "MasterPlan",
    "MasterSpec",
    "MatchOptions",
    "Missing",
    "plan_masters",
]

FRAMES_OF = {"bias": "bias frames", "dark": "darks", "flat": "flats"}
"""What frames of a kind are called."""
FLAT_DARK_TOLERANCE = 0.5
"""Largest difference in exposure [s] between a flat and its dark-flat (WBPP)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchOptions(Options):
    """How calibration frames are matched to lights."""

    exposure_tolerance: float = option(
        0.05, "Difference in exposure, as a fraction, up to which a dark is used unscaled.", low=0.0, high=1.0
    )
    temperature_tolerance: float = option(
        3.0, "Difference in sensor temperature up to which a dark is used.", unit="deg_C", low=0.0, high=50.0
    )
    scale_darks: str = option(
        "auto",
        "Whether darks of another exposure are scaled (needs bias frames).",
        choices=("auto", "never", "always"),
    )
    max_dark_scale: float = option(
        4.0,
        "Largest factor by which a dark is scaled up; above, its noise spoils the light.",
        low=1.0,
        high=100.0,
    )
    flat_age: float = option(
        30.0, "Age of a flat above which it is used only with a warning.", unit="d", low=0.0, high=36525.0
    )
    use_bias: bool = option(True, "Whether bias frames are used at all.")
    use_darks: bool = option(True, "Whether dark frames are used at all.")
    use_flats: bool = option(True, "Whether flat frames are used at all.")


DEFAULTS = MatchOptions()


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for one need of a light group.

    Attributes
    ----------
    kind
        "dark", "bias" or "flat".
    chosen
        Id of the master, None where there is none.
    reason
        One or two sentences.
    severity
        "ok", "note" or "warning".
    candidates
        Everything of the kind, best first.
    """

    kind: str
    chosen: str | None
    reason: str
    severity: str
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class LightMatch:
    """The masters of one group of lights.

    Attributes
    ----------
    group
        The lights.
    dark, dark_scale
        Id of the master dark and the factor k in ``raw - bias - k (dark - bias)``; with a factor of exactly
        1 the dark is subtracted as it is, bias included, and `bias` is None.
    bias
        Id of the master bias that is subtracted: without a dark, or with a scaled one. Never with an
        unscaled dark, which holds it.
    level
        Id of the master bias that only tells the noise model the level of zero light; may be set where
        `bias` is None.
    flat
        Id of the master flat.
    choices
        Dark, bias and flat, with reasons.
    """

    group: LightGroup
    dark: str | None
    dark_scale: float
    bias: str | None
    level: str | None
    flat: str | None
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """A calibration that some lights do without, and what that costs."""

    what: str
    groups: tuple[str, ...]
    cost: str

    @property
    def kind(self) -> str:
        """Kind of the frames that it would be made of."""
        return "bias" if self.what == "zero level" else self.what


@dataclass(frozen=True, slots=True)
class MasterPlan:
    """All masters of a session and who gets them."""

    masters: tuple[MasterSpec, ...]
    matches: tuple[LightMatch, ...]
    missing: tuple[Missing, ...] = ()

    def master(self, identifier: str | None) -> MasterSpec | None:
        """Return the master of that id, None for None."""
        return next((one for one in self.masters if one.id == identifier), None)


# -------------------------------------------------------------------------------------------- masters
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


# ---------------------------------------------------------------------------------------------- lights
def _match(
    group: LightGroup, by_kind: dict[str, list[MasterSpec]], flats: list[MasterSpec], options: MatchOptions
) -> LightMatch:
    done = group.frames[0].calibrated
    bias_choice = _choose_bias(group, by_kind["bias"], options)
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
        choice, scale = _choose_dark(group, by_kind["dark"], level, options)
        dark = choice.chosen
        bias = level if dark is None or scale != 1.0 else None
        bias_choice = _bias_reason(bias_choice, dark, scale, done)
        choices = [choice, _named_level(bias_choice, dark, level, group)]
    if "F" in done:
        flat_choice = Choice("flat", None, "The header says that its flat is already divided out.", "note")
    else:
        flat_choice = _choose_flat(group, flats, options)
    return LightMatch(group, dark, scale, bias, level, flat_choice.chosen, (*choices, flat_choice))


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


def _choose_bias(group: LightGroup, specs: list[MasterSpec], options: MatchOptions) -> Choice:
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


def _bias_reason(choice: Choice, dark: str | None, scale: float, done: str) -> Choice:
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


def _named_level(choice: Choice, dark: str | None, level: str | None, group: LightGroup) -> Choice:
    """Return the choice of a bias with a word on the black level that the files name, where it serves."""
    black = group.frames[0].black_level
    if choice.chosen is not None or level is not None or black is None or "B" in group.frames[0].calibrated:
        return choice
    use = "only tells the noise model the level of zero light" if dark else "is subtracted in place of a bias"
    reason = f"{choice.reason} The black level that the files name, {black:g} adu, {use}."
    return replace(choice, reason=reason.strip(), severity="note")


def _choose_dark(
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


def _choose_flat(group: LightGroup, specs: list[MasterSpec], options: MatchOptions) -> Choice:
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


# ----------------------------------------------------------------------------------------------- flats
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


# --------------------------------------------------------------------------------------------- missing
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
