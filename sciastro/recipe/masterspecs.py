"""The master frames that a session can make, and how two frames' settings compare.

Hard keys must agree wherever both frames state them; soft keys rank what is left.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import median

from sciastro.io.cards import squash
from sciastro.io.framefacts import FrameFacts
from sciastro.io.paths import safe_name
from sciastro.recipe.grouping import exposure_key, median_temperature, temperature_bins
from sciastro.recipe.session import Session

__all__ = [
    "Candidate",
    "MasterSpec",
    "age",
    "conflict",
    "difference",
    "distance",
    "rank",
    "specs_of",
    "unproven",
    "with_ids",
]


FEWEST_FLATS = 3
"""Flats that a night needs for a master of its own."""

SAME_GAIN = 0.02
"""Conversion gains that differ by less than this fraction are one setting."""


@dataclass(frozen=True, slots=True)
class MasterSpec:
    """One master frame: of which files, and how.

    Attributes
    ----------
    id
        Unique within the plan, such as "dark-80s"; fit for a file name.
    kind
        "bias", "dark", "flat" or "dark-flat".
    frames
        What it is combined of; the one file itself where `existing`.
    calibrated_by
        Id of the master that is subtracted from each of a flat's frames first; None for the others.
        A master dark keeps its bias.
    reason
        Why that one, or what it costs that there is none.
    existing
        Whether it was found as a finished master.
    candidates
        What was considered for `calibrated_by`.
    """

    id: str
    kind: str
    frames: tuple[FrameFacts, ...]
    calibrated_by: str | None = None
    reason: str = ""
    existing: bool = False
    candidates: tuple["Candidate", ...] = ()

    @property
    def key(self) -> FrameFacts:
        """The first frame, which stands for the settings of all."""
        return self.frames[0]

    @property
    def exposure(self) -> float | None:
        """Median exposure [s]."""
        known = [frame.exposure for frame in self.frames if frame.exposure is not None]
        return median(known) if known else None

    @property
    def temperature(self) -> float | None:
        """Median sensor temperature [deg C]."""
        return median_temperature(self.frames)

    @property
    def night(self) -> date | None:
        """Night of the first frame that has one."""
        return next((frame.night for frame in self.frames if frame.night is not None), None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A master that was considered: how far it is, and why it was accepted or refused."""

    id: str
    distance: str
    accepted: bool
    why: str


def specs_of(session: Session, kind: str, temperature_tolerance: float) -> list[MasterSpec]:
    """Return the masters of one kind: raw frames by settings, finished masters one by one."""
    frames = session.of_kind(kind)
    bins = temperature_bins(frames, temperature_tolerance / 2)
    groups: dict[tuple[object, ...], list[FrameFacts]] = {}
    for frame in frames:
        key: tuple[object, ...] = (
            squash(frame.instrument),
            frame.shape,
            frame.binning,
            frame.gain_setting,
            frame.offset,
            squash(frame.readout_mode),
            frame.row_order,
            frame.calibrated,
            _gain_key(frame),
        )
        if kind == "flat":
            key = (*key, frame.filter, frame.cfa)
        else:
            key = (*key, bins[frame])
        if kind in {"dark", "dark-flat"}:
            key = (*key, exposure_key(frame.exposure))
        groups.setdefault(key, []).append(frame)
    sets = [
        part for members in groups.values() for part in (_by_night(members) if kind == "flat" else [members])
    ]
    made = [MasterSpec("", kind, tuple(members)) for members in sets]
    found = [MasterSpec("", kind, (frame,), existing=True) for frame in session.of_kind(f"master-{kind}")]
    return made + found


def _gain_key(frame: FrameFacts) -> float | None:
    """Return the conversion gain to two digits where no setting tells frames of another gain apart."""
    return None if frame.gain_setting is not None or not frame.egain else float(f"{frame.egain:.1e}")


def _by_night(flats: list[FrameFacts]) -> list[list[FrameFacts]]:
    """Return flats night by night, for dust moves; all together where a night has too few for a master."""
    nights: dict[date | None, list[FrameFacts]] = {}
    for frame in flats:
        nights.setdefault(frame.night, []).append(frame)
    return list(nights.values()) if all(len(part) >= FEWEST_FLATS for part in nights.values()) else [flats]


def with_ids(specs: Sequence[MasterSpec]) -> list[MasterSpec]:
    """Return the masters with short ids; what tells equals apart is added only where needed."""
    parts: tuple[Callable[[MasterSpec], str], ...] = (
        lambda spec: "" if spec.key.gain_setting is None else f"g{spec.key.gain_setting:g}",
        lambda spec: f"bin{spec.key.binning[0]}",
        lambda spec: "" if spec.temperature is None else f"{spec.temperature:.0f}C",
        lambda spec: "" if spec.night is None or spec.kind != "flat" else spec.night.isoformat(),
        lambda spec: "" if spec.key.offset is None else f"o{spec.key.offset:g}",
        lambda spec: f"{spec.key.shape[1]}x{spec.key.shape[0]}",
        lambda spec: "found" if spec.existing else "",
    )
    names = [_base_id(spec) for spec in specs]
    for part in parts:
        crowded = {name for name in names if names.count(name) > 1}
        texts = [part(spec) for spec in specs]
        useful = {
            name
            for name in crowded
            if len({text for text, own in zip(texts, names, strict=True) if own == name}) > 1
        }
        names = [
            f"{name}-{text}" if name in useful and text else name
            for name, text in zip(names, texts, strict=True)
        ]
    seen: dict[str, int] = {}
    named = []
    for name, spec in zip(names, specs, strict=True):
        plain = name.casefold()  # ids become file names, and some file systems ignore case
        seen[plain] = seen.get(plain, 0) + 1
        named.append(replace(spec, id=name if seen[plain] == 1 else f"{name}-{seen[plain]}"))
    return named


def _base_id(spec: MasterSpec) -> str:
    if spec.kind == "flat":
        return f"flat-{safe_name(spec.key.filter)}"
    if spec.kind == "bias" or spec.exposure is None:
        return spec.kind
    return f"{spec.kind}-{spec.exposure:g}s"


# ------------------------------------------------------------------------------------------ hard keys
def conflict(spec: MasterSpec, key: FrameFacts, *, flat: bool = False) -> str:
    """Return why `spec` may never serve frames like `key`, "" where nothing forbids it."""
    one, other = spec.key, key
    if one.shape != other.shape:
        return f"another size ({_size(one)}, not {_size(other)})"
    if one.binning != other.binning:
        return f"another binning ({_binning(one)}, not {_binning(other)})"
    if one.instrument and other.instrument and squash(one.instrument) != squash(other.instrument):
        return f"another camera ({one.instrument}, not {other.instrument})"
    for name, a, b in (("gain", one.gain_setting, other.gain_setting), ("offset", one.offset, other.offset)):
        if a is not None and b is not None and a != b:
            return f"another {name} ({a:g}, not {b:g})"
    unset = one.gain_setting is None and other.gain_setting is None
    if unset and one.egain and other.egain and abs(one.egain / other.egain - 1) > SAME_GAIN:
        return f"another gain ({one.egain:.3g}, not {other.egain:.3g} electron/adu)"
    if one.readout_mode and other.readout_mode and squash(one.readout_mode) != squash(other.readout_mode):
        return f"another read-out mode ({one.readout_mode}, not {other.readout_mode})"
    if one.row_order and other.row_order and one.row_order != other.row_order:
        return f"rows in the other order ({one.row_order}, not {other.row_order})"
    if flat and not _same_filter(one, other):
        return f"another filter ({one.filter}, not {other.filter})"
    if flat and one.cfa and other.cfa and one.cfa != other.cfa:
        return f"another color array ({one.cfa}, not {other.cfa})"
    return ""


def _same_filter(one: FrameFacts, other: FrameFacts) -> bool:
    """Return whether the filters agree; one that nobody names agrees with any that passes all colors."""
    if one.filter == other.filter:
        return True
    silent = "default" in {one.origins.get("filter"), other.origins.get("filter")}
    return silent and {one.filter, other.filter} <= {"Clear", "OSC", "L"}


def _size(frame: FrameFacts) -> str:
    return f"{frame.shape[1]} x {frame.shape[0]}"


def _binning(frame: FrameFacts) -> str:
    return f"{frame.binning[0]} x {frame.binning[1]}"


def unproven(spec: MasterSpec, key: FrameFacts) -> str:
    """Return a remark on a hard key that only one of the two headers states."""
    keys = (("gain", spec.key.gain_setting, key.gain_setting), ("offset", spec.key.offset, key.offset))
    silent = [name for name, a, b in keys if (a is None) != (b is None)]
    return f" Only one of the two headers names the {' and the '.join(silent)}: check it." if silent else ""


# ------------------------------------------------------------------------------------------ soft keys
def difference(a: float | None, b: float | None) -> float | None:
    """Return the distance of two numbers, None where one is unknown."""
    return None if a is None or b is None else abs(a - b)


def age(spec: MasterSpec, night: date | None) -> int | None:
    """Return the nights between a master and `night`, None where one is unknown."""
    return None if spec.night is None or night is None else abs((spec.night - night).days)


def distance(spec: MasterSpec, exposure: float | None, temperature: float | None, night: date | None) -> str:
    """Return in words how far a master is in exposure [s], temperature [deg C] and time."""
    parts = []
    if spec.kind in {"dark", "dark-flat"} and (step := difference(spec.exposure, exposure)) is not None:
        parts.append(f"{step:.3g} s")
    if spec.kind != "flat" and (step := difference(spec.temperature, temperature)) is not None:
        parts.append(f"{step:.1f} deg C")
    if (nights := age(spec, night)) is not None:
        parts.append("same night" if nights == 0 else f"{nights} night{'s' if nights > 1 else ''} apart")
    return ", ".join(parts) or "distance unknown"


def rank(
    spec: MasterSpec, exposure: float | None, temperature: float | None, night: date | None
) -> tuple[float, ...]:
    """Return the sort key of a master: exposure, temperature, age, then the number of exposures in it."""
    nights = age(spec, night)
    soft = (difference(spec.exposure, exposure), difference(spec.temperature, temperature), nights)
    kept = soft if spec.kind in {"dark", "dark-flat"} else soft[1:]
    return (
        *(1e9 if value is None else float(value) for value in kept),
        float(-sum(frame.combined for frame in spec.frames)),
    )
