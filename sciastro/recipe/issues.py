"""What a user should know about a session: missing frames, odd headers, weak masters, bad flats."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from sciastro.io.framefacts import FrameFacts
from sciastro.recipe.clocks import backward_steps
from sciastro.recipe.diagnosis import Issue, plain
from sciastro.recipe.flats import FlatLevel
from sciastro.recipe.forecast import is_wide, panel_issues
from sciastro.recipe.grouping import LightGroup, Product
from sciastro.recipe.masterplan import LightMatch, MasterPlan
from sciastro.recipe.masterspecs import MasterSpec
from sciastro.recipe.plan import Recipe
from sciastro.recipe.session import Session

__all__ = ["find_issues", "of_what"]

SEVERITIES = ("error", "warning", "note")
ENOUGH_LIGHTS = 5  # the rejection of outliers is weak below
ENOUGH_CALIBRATION = 10  # frames of a master, whose noise is then a third of a frame's


def find_issues(
    session: Session,
    plan: MasterPlan,
    products: Sequence[Product],
    flats: Sequence[FlatLevel],
    recipe: Recipe | None = None,
) -> tuple[Issue, ...]:
    """Return every issue of a session, worst first."""
    issues = [
        *_issues_of_files(session, plan),
        *_issues_of_products(products),
        *panel_issues(plan, recipe),
        *_issues_of_matches(plan),
        *_issues_of_masters(plan),
        *_issues_of_headers(session),
        *_issues_of_flats(flats),
    ]
    return tuple(sorted(issues, key=lambda issue: SEVERITIES.index(issue.severity)))


def of_what(spec: MasterSpec) -> str:
    """Return what a master is made of, in words."""
    if spec.existing:
        return f"{spec.key.path} (finished)"
    return f"{len(spec.frames)} frame{'s' if len(spec.frames) > 1 else ''}"


def _issues_of_files(session: Session, plan: MasterPlan) -> Iterator[Issue]:
    if not plan.matches:
        yield Issue(
            "no-lights",
            "error",
            "There are no lights: only masters could be made.",
            "If some are lights after all, set IMAGETYP in their headers or put them into a folder 'lights'.",
        )
    if session.skipped:
        count = len(session.skipped)
        yield Issue(
            "skipped-files",
            "warning",
            f"{count} file{'s' if count > 1 else ''} cannot be used (listed above).",
            "Mend what the list tells, copy them again from the camera, or leave them out.",
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


def _what_happens(code: str) -> str:
    if code in ("mixed-size", "mixed-binning"):
        return (
            "The size with most exposure makes the image; another one makes images of its own "
            "from three lights up, and is left out below."
        )
    return "Each set gets masters of its own; all are brought to one scale and grid."


def _mixtures(product: Product, name: str) -> Iterator[Issue]:
    facts: tuple[tuple[str, str, Callable[[LightGroup], str]], ...] = (
        ("gain", "mixed-gain", lambda group: plain(group.gain_setting)),
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
                _what_happens(code),
            )


DONE = {"B": "bias", "D": "dark", "F": "flat", "?": "how is not said"}

SUGGESTIONS = {
    "dark": "Take darks of the same exposure, gain and temperature; they can be taken on another day.",
    "zero level": "Take 20 bias frames (shortest exposure, cap on): a minute's work.",
    "flat": "Take 20 flats per filter (half of full scale) before the camera is moved.",
}


def _issues_of_matches(plan: MasterPlan) -> Iterator[Issue]:
    for item in plan.missing:
        code = f"no-{item.what.replace(' ', '-')}"
        what = "dark and no bias" if item.what == "zero level" else item.what
        message = f"No {what} for {_listed(plan, item.groups, 'any of the lights')}."
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
        letters = sorted({letter for group in done for letter in group.frames[0].calibrated})
        who = _listed(plan, [group.id for group in done])
        yield Issue(
            "already-calibrated",
            "warning",
            f"The headers of {who} say that they are calibrated already: "
            f"{', '.join(DONE[letter] for letter in letters)}. Nothing is taken out twice.",
            "Give the raw frames if you have them: only they have errors that can be known.",
        )


def _ids_with(matches: Iterable[LightMatch], kind: str, reason: str) -> Iterator[str]:
    for match in matches:
        if any(choice.kind == kind and choice.reason == reason for choice in match.choices):
            yield match.group.id


def _listed(plan: MasterPlan, groups: Sequence[str], everyone: str = "all lights") -> str:
    if len(groups) == len(plan.matches):
        return everyone
    return f"group{'s' if len(groups) > 1 else ''} {', '.join(groups)}"


def _issues_of_masters(plan: MasterPlan) -> Iterator[Issue]:
    used = {m for match in plan.matches for m in (match.dark, match.bias, match.level, match.flat) if m}
    used |= {spec.calibrated_by for spec in plan.masters if spec.id in used and spec.calibrated_by}
    for spec in plan.masters:
        if plan.matches and spec.id not in used:
            yield Issue(
                "unused-master",
                "note",
                f"No light uses {spec.id} ({of_what(spec)}).",
                "It is not made. See above for what refused it.",
            )
        if spec.kind == "flat" and spec.calibrated_by is None and not spec.existing:
            severity = "warning" if spec.key.black_level is None else "note"
            yield Issue(
                "flat-not-calibrated", severity, f"{spec.id}: {spec.reason}", SUGGESTIONS["zero level"]
            )
    few = [spec for spec in plan.masters if not spec.existing and len(spec.frames) < ENOUGH_CALIBRATION]
    if few:
        fewest = min(len(spec.frames) for spec in few)
        names = ", ".join(f"{spec.id} ({len(spec.frames)})" for spec in few)
        yield Issue(
            "few-calibration-frames",
            "note",
            f"Made of few frames: {names}. A master of {fewest} adds "
            f"{100 * (math.sqrt(1 + 1 / fewest) - 1):.0f} % to the noise of its kind in every light, "
            "and stray hits in it are hard to reject.",
            f"Take {2 * ENOUGH_CALIBRATION} or more.",
        )


def _issues_of_headers(session: Session) -> Iterator[Issue]:
    lights = session.of_kind("light")
    silent: tuple[tuple[str, Callable[[FrameFacts], bool], str, str], ...] = (
        (
            "no-gain",
            lambda f: f.egain is None,
            "name no conversion gain (EGAIN)",
            "It is measured from pairs of flats and of bias or dark frames, or give it as an option.",
        ),
        (
            "no-time",
            lambda f: f.time is None,
            "have no usable time of observation",
            "Proper motion, airmass and light curves need it; set DATE-OBS.",
        ),
        (
            "no-pointing",
            lambda f: f.pointing is None and not is_wide(f),
            "do not say where the telescope pointed",
            "The field is looked for over the whole sky; --ra and --dec, in degrees, make it quick.",
        ),
        (
            "no-scale",
            lambda f: f.scale is None,
            "say neither pixel scale nor pixel size and focal length",
            "The field is looked for over the whole sky; --scale, in arcsec per pixel, makes it quick.",
        ),
    )
    if back := backward_steps(lights):
        yield Issue(
            "clock-back",
            "warning",
            f"The clock went back {len(back)} times between frames with numbers in a row ({back[0][1]} "
            f"has an earlier time than {back[0][0]}).",
            "If it was set to another time zone, mend DATE-OBS, or reduce both parts by themselves with "
            "--set scan.utc_offset=HOURS.",
        )
    levels = sorted({frame.pedestal for frame in lights if frame.pedestal})
    if levels:
        yield Issue(
            "pedestal",
            "note",
            f"PEDESTAL: {', '.join(f'{level:g}' for level in levels)} adu were added to the lights.",
            "It is subtracted where no dark or bias with the same level does that.",
        )
    for code, lacking, text, suggestion in silent:
        count = sum(lacking(frame) for frame in lights)
        if count:
            who = "The lights" if count == len(lights) else f"{count} of {len(lights)} lights"
            yield Issue(code, "note", f"{who} {text}.", suggestion)


def _issues_of_flats(flats: Sequence[FlatLevel]) -> Iterator[Issue]:
    texts = {
        "saturated": ("error", "are saturated: they show no shading", "Leave them out and expose shorter."),
        "black": (
            "error",
            "are black: they hold no light",
            "Leave them out; was the cap on, or the panel off?",
        ),
        "unreadable": ("error", "cannot be read", "Copy them again from the camera."),
        "high": (
            "note",
            "are brighter than 60 % of full scale",
            "Check that the sensor is still linear there.",
        ),
        "low": (
            "note",
            "are dimmer than 30 % of full scale",
            "They are noisy; expose longer. (Cameras of 12 or 14 bits look dimmer than they are: their "
            "headers do not name the level of saturation.)",
        ),
    }
    for verdict, (severity, text, suggestion) in texts.items():
        bad = [flat for flat in flats if flat.verdict == verdict]
        if bad:
            names = ", ".join(sorted({flat.frame.filter for flat in bad}))
            message = f"{len(bad)} of {len(flats)} flats ({names}) {text}."
            yield Issue(f"flat-{verdict}", severity, message, suggestion)
