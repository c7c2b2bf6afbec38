"""Look at a session like a good colleague: what is there, what each light would get and why, what is missing.

The diagnosis is plain data; `as_text` and `Diagnosis.lines` make text of it, the command line colors it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from sciastro.io.cards import squash
from sciastro.io.framefacts import FrameFacts
from sciastro.recipe.diagnosis import Diagnosis, Issue, Section, as_text, duration, plain, seconds
from sciastro.recipe.flats import FlatLevel, ReadRows, flat_levels
from sciastro.recipe.forecast import foreseen, formats
from sciastro.recipe.grouping import (
    LightGroup,
    Product,
    exposure_key,
    group_products,
    temperature_bins,
    temperature_of,
)
from sciastro.recipe.issues import find_issues, of_what
from sciastro.recipe.masterplan import MasterPlan
from sciastro.recipe.plan import Recipe
from sciastro.recipe.session import Session

__all__ = ["Diagnosis", "Issue", "Section", "as_text", "check_flats", "diagnose"]

ORDER = {"light": 0, "dark": 1, "dark-flat": 2, "bias": 3, "flat": 4}


def diagnose(
    session: Session, plan: MasterPlan, flats: Sequence[FlatLevel] = (), recipe: Recipe | None = None
) -> Diagnosis:
    """Return what a colleague would say about `session` and `plan`.

    Parameters
    ----------
    session
        As scanned.
    plan
        Masters and matches for it.
    flats
        Levels of the flats, if somebody has looked at pixels (`check_flats`, `recipe.flats.flat_levels`).
    recipe
        Of the run to foresee; None foresees none.
    """
    groups = [match.group for match in plan.matches]
    products = group_products(groups)
    sections = [
        formats(session),
        _what_is_there(session),
        _products(products),
        *([] if recipe is None else [foreseen(plan, recipe)]),
        _masters(plan),
        _who_gets_what(plan),
        _considered(plan),
        _flat_section(flats),
        _missing(plan),
        _origins(session),
        _problems(session),
        _skipped(session),
    ]
    filled = tuple(section for section in sections if section.rows)
    return Diagnosis(str(session.root), filled, find_issues(session, plan, products, flats, recipe))


def check_flats(session: Session, read_rows: ReadRows) -> tuple[FlatLevel, ...]:
    """Return the levels of all raw flats of `session` from a few rows each; a good one has 30 to 60 %."""
    zeros = session.of_kind("bias") or session.of_kind("dark-flat")
    return flat_levels(session.of_kind("flat"), read_rows, zero_frames=zeros)


# ------------------------------------------------------------------------------------------- sections
def _what_is_there(session: Session) -> Section:
    """Return the frames by what tells them apart; flats whatever their exposure, since panels flicker."""
    bins = temperature_bins(session.frames)
    groups: dict[tuple[object, ...], list[FrameFacts]] = {}
    for frame in session.frames:
        rank = ORDER.get(frame.kind.removeprefix("master-"), 9)
        exposure = None if frame.kind == "flat" else exposure_key(frame.exposure)
        settings = (frame.gain_setting, bins[frame], frame.binning, frame.shape, frame.night)
        groups.setdefault(
            (rank, squash(frame.target), frame.filter, exposure, frame.kind, *settings), []
        ).append(frame)
    rows = [
        _row_of(groups[key]) for key in sorted(groups, key=lambda key: [str(part).zfill(12) for part in key])
    ]
    columns = ("kind", "target", "filter", "exposure", "gain", "sensor", "binning", "size", "night", "frames")
    return Section("What is there", columns, tuple(rows))


def _row_of(frames: Sequence[FrameFacts]) -> tuple[str, ...]:
    first = frames[0]
    return (
        first.kind,
        first.target,
        first.filter,
        _range([exposure_key(frame.exposure) for frame in frames], "s"),
        plain(first.gain_setting),
        _range([None if (t := temperature_of(frame)) is None else float(round(t)) for frame in frames], "C"),
        f"{first.binning[0]}x{first.binning[1]}",
        f"{first.shape[1]}x{first.shape[0]}",
        first.night.isoformat() if first.night else "",
        str(len(frames)),
    )


def _range(values: Iterable[float | None], unit: str) -> str:
    known = sorted({value for value in values if value is not None})
    if not known:
        return ""
    return f"{known[0]:g} {unit}" if len(known) == 1 else f"{known[0]:g} to {known[-1]:g} {unit}"


def _products(products: Iterable[Product]) -> Section:
    rows = tuple(
        (
            product.target,
            product.band,
            str(len(product.frames)),
            duration(sum(frame.exposure or 0.0 for frame in product.frames)),
            ", ".join(group.id for group in product.groups),
        )
        for product in products
    )
    return Section("What would be made of it", ("target", "band", "lights", "exposure", "groups"), rows)


def _masters(plan: MasterPlan) -> Section:
    rows = tuple(
        (spec.id, spec.kind, of_what(spec), spec.reason or "Nothing is subtracted.") for spec in plan.masters
    )
    return Section("Master frames", ("master", "kind", "of", "how"), rows)


def _who_gets_what(plan: MasterPlan) -> Section:
    rows = []
    for match in plan.matches:
        group, name = match.group.id, _group_name(match.group)
        for choice in match.choices:
            rows.append((group, name, choice.kind, choice.chosen or "-", choice.reason))
            group = name = ""
    return Section(
        "Which master each group of lights gets, and why", ("", "lights", "needs", "gets", "why"), tuple(rows)
    )


def _group_name(group: LightGroup) -> str:
    parts = [group.target, group.band, seconds(group.exposure)]
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
                said = candidate.why if candidate.accepted else f"refused: {candidate.why}"
                rows.append((match.group.id, choice.kind, candidate.id, candidate.distance, said))
    for spec in plan.masters:
        for candidate in spec.candidates:
            said = candidate.why if candidate.accepted else f"refused: {candidate.why}"
            rows.append((spec.id, "flat's dark", candidate.id, candidate.distance, said))
    return Section("What was considered", ("for", "as", "master", "distance", "verdict"), tuple(rows))


def _flat_section(flats: Sequence[FlatLevel]) -> Section:
    rows = tuple(
        (
            flat.frame.name,
            flat.frame.filter,
            f"{flat.level:.0f} adu",
            f"{100 * flat.fraction:.0f} %",
            flat.verdict,
        )
        for flat in flats
        if flat.verdict != "good"
    )
    return Section(
        "Flats out of the range of 30 to 60 % of full scale", ("file", "filter", "level", "", ""), rows
    )


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
            if value and (
                origin == "default" or "name" in origin or "table" in origin or "pointing" in origin
            ):
                counts[fact.replace("_", " "), str(value), origin] += 1
    rows = tuple((fact, value, origin, str(n)) for (fact, value, origin), n in counts.most_common(20))
    return Section(
        "What the headers do not say, and where it was taken from", ("fact", "value", "from", "frames"), rows
    )


def _problems(session: Session) -> Section:
    return Section(
        "What is odd in the headers",
        ("frames", "what", "for instance"),
        _aggregated((problem, frame.path) for frame in session.frames for problem in frame.problems),
    )


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
