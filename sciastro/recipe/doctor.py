"""Look at a session like a good colleague: what is there, what each light would get and why, what is missing.

The diagnosis is plain data; `as_text` and `Diagnosis.lines` make text of it, the command line colors it.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sciastro.io.cards import squash
from sciastro.io.headers import FrameFacts
from sciastro.recipe.flats import FlatLevel, ReadRows, flat_levels
from sciastro.recipe.matching import LightMatch, MasterPlan, MasterSpec
from sciastro.recipe.session import (
    DEFAULT_FIELD,
    LightGroup,
    Product,
    Session,
    exposure_key,
    group_products,
    separation,
    temperature_of,
)

__all__ = ["Diagnosis", "Issue", "Section", "as_text", "check_flats", "diagnose"]

SEVERITIES = ("error", "warning", "note")
ENOUGH_LIGHTS = 5
ENOUGH_CALIBRATION = 10
ORDER = {"light": 0, "dark": 1, "dark-flat": 2, "bias": 3, "flat": 4}


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that the user should know.

    Attributes
    ----------
    code
        Stable name such as "no-flats".
    severity
        "error" (a product cannot be made as it should), "warning" or "note".
    message
        What was found.
    suggestion
        What to do.
    """

    code: str
    severity: str
    message: str
    suggestion: str


@dataclass(frozen=True, slots=True)
class Section:
    """A table with a title; `rows` have as many texts as `columns`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The tables and the issues of a session, worst issues first."""

    root: str
    sections: tuple[Section, ...]
    issues: tuple[Issue, ...]

    def lines(self, width: int = 110) -> Iterator[str]:
        """Yield the diagnosis as plain text, tables aligned, long cells wrapped at `width`."""
        yield self.root
        for section in self.sections:
            yield ""
            yield section.title
            yield from _table(section, width)
        yield ""
        yield "What to do" if self.issues else "Nothing to complain about."
        for issue in self.issues:
            yield from _wrap(f"[{issue.severity}] {issue.message} {issue.suggestion}".strip(), width, "  ", "    ")


def as_text(diagnosis: Diagnosis, width: int = 110) -> str:
    """Return `diagnosis` as plain text."""
    return "\n".join(diagnosis.lines(width))


def diagnose(session: Session, plan: MasterPlan, flats: Sequence[FlatLevel] = ()) -> Diagnosis:
    """Return what a colleague would say about `session` and `plan`.

    Parameters
    ----------
    session
        As scanned.
    plan
        Masters and matches for it.
    flats
        Levels of the flats, if somebody has looked at pixels (`check_flats`, `recipe.flats.flat_levels`).
    """
    groups = [match.group for match in plan.matches]
    products = group_products(groups)
    sections = [
        _what_is_there(session),
        _products(products),
        _masters(plan),
        _who_gets_what(plan),
        _considered(plan),
        _flat_section(flats),
        _missing(plan),
        _origins(session),
        _problems(session),
        _skipped(session),
    ]
    issues = [
        *_issues_of_files(session, plan),
        *_issues_of_products(products),
        *_issues_of_matches(plan),
        *_issues_of_masters(plan),
        *_issues_of_headers(session),
        *_issues_of_flats(flats),
    ]
    issues.sort(key=lambda issue: SEVERITIES.index(issue.severity))
    return Diagnosis(str(session.root), tuple(s for s in sections if s.rows), tuple(issues))


def check_flats(session: Session, read_rows: ReadRows) -> tuple[FlatLevel, ...]:
    """Return the levels of all raw flats of `session` from a few rows each; a good one has 30 to 60 %."""
    zeros = session.of_kind("bias") or session.of_kind("dark-flat")
    return flat_levels(session.of_kind("flat"), read_rows, zero_frames=zeros)


# ------------------------------------------------------------------------------------------- sections
def _what_is_there(session: Session) -> Section:
    counts: Counter[tuple[str, ...]] = Counter()
    order: dict[tuple[str, ...], tuple[int, str, str, float]] = {}
    for frame in session.frames:
        row = (
            frame.kind,
            frame.target,
            frame.filter,
            _seconds(exposure_key(frame.exposure)),
            _plain(frame.gain_setting),
            _degrees(frame),
            f"{frame.binning[0]}x{frame.binning[1]}",
            f"{frame.shape[1]}x{frame.shape[0]}",
            frame.night.isoformat() if frame.night else "",
        )
        counts[row] += 1
        rank = ORDER.get(frame.kind.removeprefix("master-"), 9)
        order[row] = (rank, squash(frame.target), frame.filter, frame.exposure or 0.0)
    rows = sorted(counts, key=lambda row: (*order[row], row))
    columns = ("kind", "target", "filter", "exposure", "gain", "sensor", "binning", "size", "night", "frames")
    return Section("What is there", columns, tuple((*row, str(counts[row])) for row in rows))


def _degrees(frame: FrameFacts) -> str:
    """Return the temperature that tells frames apart: the set point where the sensor holds it."""
    actual, wanted = temperature_of(frame), frame.set_temperature
    if actual is None:
        return ""
    if wanted is not None and abs(actual - wanted) <= 1.0:
        return f"{wanted:.0f} C"
    return f"{2 * round(actual / 2):.0f} C" if wanted is None else f"{actual:.0f} C (set {wanted:.0f})"


def _products(products: Iterable[Product]) -> Section:
    rows = tuple(
        (
            product.target,
            product.band,
            str(len(product.frames)),
            _duration(sum(frame.exposure or 0.0 for frame in product.frames)),
            ", ".join(group.id for group in product.groups),
        )
        for product in products
    )
    return Section("What would be made of it", ("target", "band", "lights", "exposure", "groups"), rows)


def _masters(plan: MasterPlan) -> Section:
    rows = tuple((spec.id, spec.kind, _of_what(spec), spec.reason or "Nothing is subtracted.") for spec in plan.masters)
    return Section("Master frames", ("master", "kind", "of", "how"), rows)


def _of_what(spec: MasterSpec) -> str:
    if spec.existing:
        return f"{spec.key.path} (finished)"
    return f"{len(spec.frames)} frame{'s' if len(spec.frames) > 1 else ''}"


def _who_gets_what(plan: MasterPlan) -> Section:
    rows = []
    for match in plan.matches:
        name = _group_name(match.group)
        for choice in match.choices:
            rows.append((match.group.id, name, choice.kind, choice.chosen or "-", choice.reason))
            name = ""
    return Section("Which master each group of lights gets, and why", ("", "lights", "needs", "gets", "why"), tuple(rows))


def _group_name(group: LightGroup) -> str:
    parts = [group.target, group.band, _seconds(group.exposure)]
    if group.gain_setting is not None:
        parts.append(f"gain {group.gain_setting:g}")
    if group.temperature is not None:
        parts.append(f"{group.temperature:.0f} C")
    if group.night is not None:
        parts.append(group.night.isoformat())
    return f"{len(group.frames)} x {', '.join(part for part in parts if part)}"


def _considered(plan: MasterPlan) -> Section:
    rows = []
    for match in plan.matches:
        for choice in match.choices:
            for candidate in choice.candidates:
                if len(choice.candidates) > 1 or not candidate.accepted:
                    said = candidate.why if candidate.accepted else f"refused: {candidate.why}"
                    rows.append((match.group.id, choice.kind, candidate.id, candidate.distance, said))
    for spec in plan.masters:
        for candidate in spec.candidates:
            if not candidate.accepted:
                rows.append((spec.id, "flat's dark", candidate.id, candidate.distance, f"refused: {candidate.why}"))
    return Section("What else was considered", ("for", "as", "master", "distance", "verdict"), tuple(rows))


def _flat_section(flats: Sequence[FlatLevel]) -> Section:
    rows = tuple(
        (flat.frame.path, flat.frame.filter, f"{flat.level:.0f} adu", f"{100 * flat.fraction:.0f} %", flat.verdict)
        for flat in flats
        if flat.verdict != "good"
    )
    return Section("Flats out of the range of 30 to 60 % of full scale", ("file", "filter", "level", "", ""), rows)


def _missing(plan: MasterPlan) -> Section:
    rows = tuple((item.what, ", ".join(item.groups), item.cost) for item in plan.missing)
    return Section("What is missing, and what that costs", ("missing", "for", "cost"), rows)


def _origins(session: Session) -> Section:
    """Return the facts that no header keyword says."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for frame in session.frames:
        for fact in ("kind", "target", "filter", "exposure", "gain_setting", "temperature", "cfa"):
            origin = frame.origins.get(fact, "")
            value = getattr(frame, fact)
            if value and (origin == "default" or "name" in origin or "table" in origin or "pointing" in origin):
                counts[fact.replace("_", " "), str(value), origin] += 1
    rows = tuple((fact, value, origin, str(n)) for (fact, value, origin), n in counts.most_common(20))
    return Section("What the headers do not say, and where it was taken from", ("fact", "value", "from", "frames"), rows)


def _problems(session: Session) -> Section:
    return Section("What is odd in the headers", ("frames", "what", "for instance"), _aggregated(
        (problem, frame.path) for frame in session.frames for problem in frame.problems
    ))


def _aggregated(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    """Return how often each text stands, the text, and the first path; the most frequent first."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for text, path in pairs:
        first.setdefault(text, path)
        counts[text] += 1
    return tuple((str(count), text, first[text]) for text, count in counts.most_common())


def _skipped(session: Session) -> Section:
    return Section("Files that cannot be used", ("file", "why"), session.skipped)


# ---------------------------------------------------------------------------------------------- issues
def _issues_of_files(session: Session, plan: MasterPlan) -> Iterator[Issue]:
    if not plan.matches:
        yield Issue(
            "no-lights",
            "error",
            "There are no lights: only masters could be made.",
            "If some of the frames are lights, set IMAGETYP in their headers or put them into a folder 'lights'.",
        )
    if session.skipped:
        count = len(session.skipped)
        yield Issue(
            "skipped-files",
            "warning",
            f"{count} image{'s' if count > 1 else ''} cannot be used (listed above).",
            "Copy them again from the camera, or leave them out.",
        )


def _issues_of_products(products: Iterable[Product]) -> Iterator[Issue]:
    for product in products:
        name = f"{product.target} in {product.band}"
        count = len(product.frames)
        if count == 1:
            yield Issue(
                "one-light",
                "warning",
                f"{name} has one light only: satellites, cosmic rays and hot pixels cannot be rejected.",
                f"Take at least {ENOUGH_LIGHTS} lights, dithered.",
            )
        elif count < ENOUGH_LIGHTS:
            yield Issue(
                "few-lights",
                "note",
                f"{name} has {count} lights: rejection of outliers is weak below {ENOUGH_LIGHTS}.",
                "More and shorter exposures help.",
            )
        yield from _mixtures(product, name)


def _mixtures(product: Product, name: str) -> Iterator[Issue]:
    facts: tuple[tuple[str, str, Callable[[LightGroup], str]], ...] = (
        ("gain", "mixed-gain", lambda group: _plain(group.gain_setting)),
        ("binning", "mixed-binning", lambda group: f"{group.binning[0]}x{group.binning[1]}"),
        ("size", "mixed-size", lambda group: f"{group.shape[1]}x{group.shape[0]}"),
        ("camera", "mixed-camera", lambda group: group.instrument),
    )
    for label, code, text in facts:
        values = sorted({text(group) for group in product.groups} - {""})
        if len(values) > 1:
            yield Issue(
                code,
                "note" if label == "gain" else "warning",
                f"{name} mixes {label} {' and '.join(values)}.",
                "Each set gets masters of its own; all are brought to one scale and grid.",
            )
    if (apart := _spread(product.frames)) > 1.0:
        yield Issue(
            "scattered-pointings",
            "warning",
            f"The lights of {name} point up to {apart:.1f} fields apart: a mosaic, or two targets of one name?",
            "Frames without enough overlap are left out; give the panels different OBJECT names.",
        )


def _spread(frames: Sequence[FrameFacts]) -> float:
    """Return the largest distance from the first pointing, in fields of view."""
    pointed = [frame for frame in frames if frame.pointing is not None]
    if len(pointed) < 2 or pointed[0].pointing is None:
        return 0.0
    first = pointed[0]
    field = DEFAULT_FIELD if first.scale is None else max(first.shape) * first.scale / 3600
    return max(separation(first.pointing, frame.pointing or first.pointing) for frame in pointed) / field


SUGGESTIONS = {
    "dark": "Take darks of the same exposure, gain and temperature; they can be taken on another day.",
    "zero level": "Take 20 bias frames (shortest exposure, cap on): a minute's work.",
    "flat": "Take 20 flats per filter (half of full scale) before the camera is moved.",
}


def _issues_of_matches(plan: MasterPlan) -> Iterator[Issue]:
    for item in plan.missing:
        code = f"no-{item.what.replace(' ', '-')}"
        message = f"No {item.what} for {_listed(plan, item.groups)}. {item.cost}"
        yield Issue(code, "warning", message, SUGGESTIONS[item.what])
    told: Counter[tuple[str, str, str]] = Counter()
    for match in plan.matches:
        for choice in match.choices:
            if choice.chosen is not None and choice.severity != "ok":
                told[choice.kind, choice.severity, choice.reason] += 1
    for (kind, severity, reason), _ in told.items():
        groups = tuple(_ids_with(plan.matches, kind, reason))
        yield Issue(f"{kind}-as-is", severity, f"The {kind} of {_listed(plan, groups)}: {reason}", "")
    done = [match.group for match in plan.matches if match.group.frames[0].calibrated]
    if done:
        yield Issue(
            "already-calibrated",
            "warning",
            f"The headers of {_listed(plan, [group.id for group in done])} say that they are calibrated already "
            f"({', '.join(sorted({group.frames[0].calibrated for group in done}))}); nothing is taken out twice.",
            "Give the raw frames if you have them: only they have errors that can be known.",
        )


def _ids_with(matches: Iterable[LightMatch], kind: str, reason: str) -> Iterator[str]:
    for match in matches:
        if any(choice.kind == kind and choice.reason == reason for choice in match.choices):
            yield match.group.id


def _listed(plan: MasterPlan, groups: Sequence[str]) -> str:
    if len(groups) == len(plan.matches):
        return "all lights"
    return f"group{'s' if len(groups) > 1 else ''} {', '.join(groups)}"


def _issues_of_masters(plan: MasterPlan) -> Iterator[Issue]:
    used = {m for match in plan.matches for m in (match.dark, match.bias, match.level, match.flat) if m}
    used |= {spec.calibrated_by for spec in plan.masters if spec.id in used and spec.calibrated_by}
    for spec in plan.masters:
        if plan.matches and spec.id not in used:
            yield Issue(
                "unused-master",
                "note",
                f"No light uses {spec.id} ({_of_what(spec)}).",
                "It is not made. See above for what refused it.",
            )
        elif not spec.existing and len(spec.frames) < ENOUGH_CALIBRATION:
            extra = 100 * (math.sqrt(1 + 1 / len(spec.frames)) - 1)
            what = "noise of the dark and bias level" if spec.kind != "flat" else "noise of bright pixels"
            yield Issue(
                "few-calibration-frames",
                "note",
                f"{spec.id} is made of {len(spec.frames)} frame{'s' if len(spec.frames) > 1 else ''} only: up to "
                f"{extra:.0f} % more {what}, and stray hits are hard to reject.",
                f"Take {2 * ENOUGH_CALIBRATION} or more.",
            )
        if spec.kind == "flat" and spec.calibrated_by is None and not spec.existing:
            yield Issue("flat-not-calibrated", "warning", f"{spec.id}: {spec.reason}", SUGGESTIONS["zero level"])


def _issues_of_headers(session: Session) -> Iterator[Issue]:
    lights = session.of_kind("light")
    silent: tuple[tuple[str, Callable[[FrameFacts], bool], str, str], ...] = (
        (
            "no-gain",
            lambda f: f.egain is None,
            "name no conversion gain (EGAIN)",
            "It is measured from pairs of flats and of bias or dark frames, or give it with "
            "--set calibrate.correct.gain=...; without either, errors are only relative.",
        ),
        (
            "no-time",
            lambda f: f.time is None,
            "have no usable time of observation",
            "Proper motion, airmass and light curves need it; set DATE-OBS.",
        ),
        (
            "no-pointing",
            lambda f: f.pointing is None,
            "do not say where the telescope pointed",
            "Astrometry needs a hint: give RA and Dec of the field.",
        ),
        (
            "no-scale",
            lambda f: f.scale is None,
            "say neither pixel scale nor pixel size and focal length",
            "Astrometry needs a hint: give the scale, or the focal length.",
        ),
    )
    for code, lacking, text, suggestion in silent:
        count = sum(lacking(frame) for frame in lights)
        if count:
            who = "The lights" if count == len(lights) else f"{count} of {len(lights)} lights"
            yield Issue(code, "note", f"{who} {text}.", suggestion)


def _issues_of_flats(flats: Sequence[FlatLevel]) -> Iterator[Issue]:
    texts = {
        "saturated": ("error", "are saturated: they show no shading", "Leave them out and expose shorter."),
        "black": ("error", "are black: they hold no light", "Leave them out; was the cap on, or the panel off?"),
        "unreadable": ("error", "cannot be read", "Copy them again from the camera."),
        "high": ("note", "are brighter than 60 % of full scale", "Check that the sensor is still linear there."),
        "low": (
            "note",
            "are dimmer than 30 % of full scale",
            "They are noisy; expose longer. (A camera of 12 or 14 bits without a level in its header looks dimmer.)",
        ),
    }
    for verdict, (severity, text, suggestion) in texts.items():
        bad = [flat for flat in flats if flat.verdict == verdict]
        if bad:
            names = ", ".join(sorted({flat.frame.filter for flat in bad}))
            message = f"{len(bad)} of {len(flats)} flats ({names}) {text}."
            yield Issue(f"flat-{verdict}", severity, message, suggestion)


# ------------------------------------------------------------------------------------------------ text
def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:g} s"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:g} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.2f} h"


def _table(section: Section, width: int) -> Iterator[str]:
    """Yield aligned lines; the last column takes what is left and is wrapped."""
    keep = [i for i in range(len(section.columns)) if any(row[i] for row in section.rows)]
    columns = [section.columns[i] for i in keep]
    rows = [[row[i] for i in keep] for row in section.rows]
    sizes = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    left = 2 + sum(size + 2 for size in sizes[:-1])
    for cells in [columns, *rows]:
        head = "  " + "".join(cell.ljust(size + 2) for cell, size in zip(cells[:-1], sizes[:-1], strict=True))
        yield from _wrap(cells[-1], max(width, left + 30), head, " " * left)


def _wrap(text: str, width: int, first: str, other: str) -> Iterator[str]:
    line, indent = first, len(first)
    for word in text.split(" "):
        if len(line) > indent and len(line) + 1 + len(word) > width:
            yield line.rstrip()
            line, indent = other, len(other)
        line += word if len(line) == indent else f" {word}"
    yield line.rstrip()
