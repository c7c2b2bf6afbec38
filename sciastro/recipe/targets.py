"""Which target a light belongs to: by its name, else by where it points, else by file and folder names."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from sciastro.io.cards import squash
from sciastro.io.filenames import facts_from_name
from sciastro.io.framefacts import FrameFacts

__all__ = ["field_of", "name_targets", "separation"]

PANEL = re.compile(
    r"(?P<name>.*?\w)[\s_\-,:]+\(?(?:panel|pane|tile|mosaic)[\s_\-#]*\d+(?:[\s_\-/x]+\d+)?\)?", re.IGNORECASE
)
ADJACENT = 1.5  # fields: how far apart the centers of neighboring panels may be

DEFAULT_FIELD = 0.5
"""Field of view [deg] where no header tells the scale."""


def name_targets(frames: Sequence[FrameFacts], folder: Path) -> list[FrameFacts]:
    """Return the frames with a target for every light: named ones by name, the others by pointing."""
    spelling: dict[str, str] = {}
    for frame in frames:
        if frame.kind == "light" and frame.target and frame.origins.get("target") in {"OBJECT", "OBJNAME"}:
            spelling.setdefault(squash(frame.target), frame.target)
    centers = _centers(frames)
    named = []
    for frame in _without_lone_names(frames):
        if frame.kind != "light":
            named.append(frame)
            continue
        target, origin = _target_of(frame, centers, folder)
        target = spelling.setdefault(squash(target) or target, target)
        named.append(replace(frame, target=target, origins={**frame.origins, "target": origin}))
    return _with_joined_panels(named)


def _with_joined_panels(frames: Sequence[FrameFacts]) -> list[FrameFacts]:
    """Return the frames, "M 31 Panel 1", "M 31 Panel 2" ... called "M 31" where they are one mosaic.

    They are where their pointings hang together, field by field, or where nobody says where they point.
    """
    bases: dict[str, list[FrameFacts]] = {}
    for frame in frames:
        match = PANEL.fullmatch(frame.target) if frame.kind == "light" else None
        if match is not None:
            bases.setdefault(squash(match["name"]), []).append(frame)
    mosaics = {
        base: _base_name(members[0].target)
        for base, members in bases.items()
        if len({squash(frame.target) for frame in members}) > 1 and _hang_together(members)
    }
    joined = []
    for frame in frames:
        match = PANEL.fullmatch(frame.target) if frame.kind == "light" else None
        name = mosaics.get(squash(match["name"])) if match is not None else None
        if name is None:
            joined.append(frame)
            continue
        origin = f"{frame.origins.get('target', 'OBJECT')}, panels joined"
        joined.append(replace(frame, target=name, origins={**frame.origins, "target": origin}))
    return joined


def _base_name(target: str) -> str:
    match = PANEL.fullmatch(target)
    return match["name"] if match is not None else target


def _hang_together(frames: Sequence[FrameFacts]) -> bool:
    """Return whether the fields of all frames touch, directly or through others."""
    places = list(dict.fromkeys(frame.pointing for frame in frames if frame.pointing is not None))
    if not places:
        return True
    reach = ADJACENT * field_of(frames[0])
    reached, left = [places[0]], places[1:]
    while left:
        near = [one for one in left if any(separation(one, other) <= reach for other in reached)]
        if not near:
            return False
        reached += near
        left = [one for one in left if one not in near]
    return True


def _without_lone_names(frames: Sequence[FrameFacts]) -> list[FrameFacts]:
    """Return the frames, targets taken from file names dropped where every file has a name of its own.

    "a_first.fits" and "a_second.fits" are two names of one target; it is then called after the folder.
    """
    votes = Counter(
        (PurePosixPath(frame.path).parent, squash(frame.target))
        for frame in frames
        if frame.kind == "light" and frame.origins.get("target") == "file name"
    )
    voters = Counter(folder for folder, _ in votes.elements())
    kept = []
    for frame in frames:
        folder = PurePosixPath(frame.path).parent
        lone = votes[folder, squash(frame.target)] == 1 and voters[folder] > 1
        if frame.kind == "light" and frame.origins.get("target") == "file name" and lone:
            name = facts_from_name(f"{folder}/0.fits").target
            origins = {**frame.origins, "target": "folder name"}
            kept.append(replace(frame, target=name, origins=origins))
        else:
            kept.append(frame)
    return kept


def _said(frame: FrameFacts) -> bool:
    return bool(frame.target) and not frame.origins.get("target", "").endswith("name")


def _centers(frames: Sequence[FrameFacts]) -> list[tuple[tuple[float, float], str]]:
    """Return one pointing per target that a header names."""
    centers: dict[str, tuple[tuple[float, float], str]] = {}
    for frame in frames:
        if frame.kind == "light" and _said(frame) and frame.pointing is not None:
            centers.setdefault(squash(frame.target), (frame.pointing, frame.target))
    return list(centers.values())


def _target_of(
    frame: FrameFacts, centers: list[tuple[tuple[float, float], str]], folder: Path
) -> tuple[str, str]:
    """Return the target of a light and where the name comes from.

    A frame without OBJECT belongs to the target that points within half a field of it; a frame that points
    elsewhere founds a target of its own (it is added to `centers`), named after file, folder or session.
    """
    if _said(frame):
        return frame.target, frame.origins.get("target", "OBJECT")
    name = frame.target or folder.resolve().name
    origin = frame.origins.get("target", "session folder") if frame.target else "session folder"
    if frame.pointing is None:
        return name, origin
    reach = 0.5 * field_of(frame)
    near = min(centers, key=lambda entry: separation(entry[0], frame.pointing or entry[0]), default=None)
    if near is not None and separation(near[0], frame.pointing) <= reach:
        return near[1], "pointing"
    taken = {squash(entry[1]) for entry in centers}
    if squash(name) in taken:
        ra, dec = frame.pointing
        name, origin = f"{name} {ra:.1f}{dec:+.1f}", f"{origin} and pointing"
    centers.append((frame.pointing, name))
    return name, origin


def field_of(frame: FrameFacts) -> float:
    """Return the longer side of the field of view [deg]."""
    return DEFAULT_FIELD if frame.scale is None else max(frame.shape) * frame.scale / 3600


def separation(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the angle between two sky positions [deg] (haversine formula)."""
    ra1, dec1, ra2, dec2 = (math.radians(value) for value in (*a, *b))
    h = math.sin((dec2 - dec1) / 2) ** 2 + math.cos(dec1) * math.cos(dec2) * math.sin((ra2 - ra1) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(h))))
