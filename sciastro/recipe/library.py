"""A folder of finished masters that serves every session, and how new ones get into it.

Masters of the library are candidates like those of the session: the same hard keys, then exposure,
temperature and age. Files are never overwritten: the name tells what it is, camera, night and
content.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sciastro.errors import FileError
from sciastro.io.paths import atomic_path, safe_name
from sciastro.io.reader import sha256
from sciastro.recipe.masterbank import MasterBank
from sciastro.recipe.masterplan import MasterPlan
from sciastro.recipe.masterspecs import MasterSpec
from sciastro.recipe.session import Session, scan

__all__ = ["add_to_library", "from_library", "only_used", "refused_library", "with_library"]

log = logging.getLogger(__name__)


def with_library(session: Session, library: Path) -> Session:
    """Return `session` with the masters of `library` among its frames; their paths are absolute.

    Raises
    ------
    FileError
        If `library` is no folder.
    """
    if not library.is_dir():
        raise FileError("is no folder.", where=f"--library {library}", remedy="Name a folder of masters.")
    try:
        found = scan(library.resolve())
    except FileError as error:  # an empty library is how one begins
        log.info("library %s: %s", library, error)
        return session
    masters = [
        replace(frame, path=str(found.path(frame)))
        for frame in found.frames
        if frame.is_master and frame.kind != "master-light"
    ]
    return replace(session, frames=(*session.frames, *masters))


def from_library(spec: MasterSpec) -> bool:
    """Return whether a master comes from a library, not from the session."""
    return spec.existing and Path(spec.key.path).is_absolute()


def only_used(plan: MasterPlan) -> MasterPlan:
    """Return `plan` without the masters of the library that nothing needs."""
    names = {
        name for match in plan.matches for name in (match.dark, match.bias, match.level, match.flat) if name
    }
    names |= {spec.calibrated_by for spec in plan.masters if spec.calibrated_by and not from_library(spec)}
    return replace(
        plan, masters=tuple(spec for spec in plan.masters if spec.id in names or not from_library(spec))
    )


def refused_library(plan: MasterPlan) -> str:
    """Return why no master of the library fits any light; empty where one does, or there is none.

    Parameters
    ----------
    plan
        Before `only_used`.
    """
    kept = {spec.id for spec in plan.masters if from_library(spec)}
    candidates = [
        candidate
        for match in plan.matches
        for choice in match.choices
        for candidate in choice.candidates
        if candidate.id in kept
    ]
    if not candidates or any(candidate.accepted for candidate in candidates):
        return ""
    reasons = [reason for reason, _ in Counter(candidate.why for candidate in candidates).most_common(3)]
    return f"--library: none of its {len(kept)} masters fits these lights: {'; '.join(reasons)}."


def add_to_library(library: Path, specs: Sequence[MasterSpec], bank: MasterBank) -> None:
    """Copy the masters that this run made into `library`; one that is there already is left alone.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """
    for spec in specs:
        made = bank.files.get(spec.id)
        if made is None or spec.existing:
            continue
        night = spec.night.isoformat() if spec.night is not None else "undated"
        camera = safe_name(spec.key.instrument, default="camera")
        target = library / f"{spec.id}_{camera}_{night}_{sha256(made)[:12]}.fits"
        if target.exists():
            continue
        with atomic_path(target) as temporary:
            shutil.copyfile(made, temporary)
        log.info("%s: kept in the library as %s", spec.id, target.name)
