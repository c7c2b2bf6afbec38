"""What `--resume` may take over when something has changed, and what it says of that.

The journal holds masters and measured frames. A master depends on files, version and the options of
scan, match and masters; a measured frame on all options of calibration and measurement besides. What comes
later (astrometry, integration, photometry, picture) is made anew by every run, so its options may change.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciastro.core.history import package_version
from sciastro.integrate.options import StackOptions
from sciastro.recipe.journal import Journal, fingerprint, state_of
from sciastro.recipe.plan import Recipe

__all__ = ["Marks", "marks_of", "open_journal"]

MASTERS = ("ingest.scan", "calibrate.match", "calibrate.masters")
LIGHTS = ("calibrate", "measure")
LIGHT = "light-"
"""How the piece of a measured frame is named."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Fingerprints of what the pieces of a run depend on.

    Attributes
    ----------
    inputs
        Files, version, and how raw pixels are kept.
    masters, lights
        `inputs`, with the options that a master, or a measured frame, depends on.
    options
        All options, by step.
    version
        Of sciastro.
    """

    inputs: str
    masters: str
    lights: str
    options: Mapping[str, Mapping[str, Any]]
    version: str


def marks_of(recipe: Recipe, inputs: Sequence[object]) -> Marks:
    """Return the fingerprints of a run with `recipe` on `inputs` (JSON-able)."""
    options = {name: table for name, table in recipe.as_dict().items()}
    version = package_version()
    files = fingerprint(version, inputs)
    masters = fingerprint(files, [options[name] for name in MASTERS])
    of_lights = {name: table for name, table in options.items() if name.partition(".")[0] in LIGHTS}
    # The scales of local normalization are measured with the frames.
    lights = fingerprint(masters, of_lights, recipe.of(StackOptions).scales)
    return Marks(files, masters, lights, options, version)


def open_journal(folder: Path, marks: Marks, *, resume: bool) -> tuple[Journal, str]:
    """Return the journal at `folder`, with what is still valid in it, and what the user should know of that.

    Returns
    -------
    journal, word
        The word is empty where nothing is resumed, or nothing has changed.
    """
    before = state_of(folder)
    noted = {
        "inputs": marks.inputs, "lights": marks.lights, "options": marks.options, "version": marks.version,
    }  # fmt: skip
    same_lights = before.get("lights") == marks.lights
    journal = Journal(folder, marks.masters, resume=resume, stale="" if same_lights else LIGHT, noted=noted)
    return journal, _word(before, marks, journal) if resume else ""


def _word(before: Mapping[str, Any], marks: Marks, journal: Journal) -> str:
    if not before:
        return "--resume: no stopped run is here (one that ended well leaves none); starting anew."
    changed = "; ".join(_changes(before.get("options", {}), marks.options))
    if journal.resumed and before.get("lights") == marks.lights:
        if not changed:
            return ""
        return f"--resume: {changed}. Masters and measured frames are taken over, what follows is made anew."
    if journal.resumed:
        return f"--resume: {changed}. Masters are taken over, frames are measured anew."
    if before.get("version") != marks.version:
        return f"--resume: the stopped run was of version {before.get('version')}; starting anew."
    if before.get("inputs") != marks.inputs:
        return "--resume: the stopped run had other files, or files have changed since; starting anew."
    return f"--resume: {changed}. Masters depend on that; starting anew."


def _changes(before: Mapping[str, Any], now: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield each option that has changed, with its values, as the user names it."""
    for step, table in now.items():
        old = before.get(step, {})
        for name, value in table.items():
            if fingerprint(old.get(name)) != fingerprint(value):
                yield f"{step.rpartition('.')[2]}.{name} was {_shown(old.get(name))} and is {_shown(value)}"


def _shown(value: Any) -> str:
    return "none" if value is None else "empty" if value == "" else str(value)
