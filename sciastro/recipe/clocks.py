"""What frames say of clock and place, taken together: the site, and clocks that went backwards."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from sciastro.astrometry.timing import Site
from sciastro.errors import OptionError
from sciastro.io.filenames import stem
from sciastro.io.framefacts import FrameFacts

__all__ = ["backward_steps", "site_from_text", "site_of"]

NUMBERED = re.compile(r"^(.*?)(\d{1,6})$")


def site_from_text(text: str, where: str = "scan.site") -> tuple[float, float, float | None] | None:
    """Return latitude, longitude [deg] and height [m] of "28.3, -16.5, 2390"; None for "".

    `where` is the option that says it.

    Raises
    ------
    OptionError
        If the text is no place.
    """
    if not text.strip():
        return None
    try:
        numbers = [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3):
        raise OptionError(
            f"is '{text}'.",
            where=where,
            remedy="Give latitude, longitude (east positive, degrees), height (meters): '28.3, -16.5, 2390'.",
        )
    site = Site(*numbers)
    return site.latitude, site.longitude, site.height


def site_of(frames: Iterable[FrameFacts]) -> Site | None:
    """Return the site that frames name, where they agree to 0.1 degree; else None."""
    sites = [one.site for one in frames if one.site is not None]
    same = {(round(latitude, 1), round(longitude, 1)) for latitude, longitude, _ in sites}
    return Site(*sites[0]) if len(same) == 1 else None


def backward_steps(frames: Sequence[FrameFacts]) -> list[tuple[str, str]]:
    """Return pairs of frames, numbered one after the other, of which the later one has the earlier time.

    A clock that was set back (to winter time, or by a lost battery) shows like this. Frames are compared
    where folder, night, filter, exposure and the name but for its numbers agree, and the numbers at the end
    of the names are all different.
    """
    numbered: dict[tuple[object, ...], list[tuple[int, FrameFacts]]] = {}
    for frame in frames:
        path = PurePosixPath(frame.path)
        match = NUMBERED.match(stem(path))
        if frame.time is not None and frame.of == 1 and match is not None:
            name = re.sub(r"\d+", "#", match[1])
            key = (str(path.parent), name, frame.night, frame.filter, frame.exposure)
            numbered.setdefault(key, []).append((int(match[2]), frame))
    steps = []
    for members in numbered.values():
        if len({number for number, _ in members}) < len(members):
            continue
        for (_, one), (_, two) in pairwise(sorted(members, key=lambda member: member[0])):
            if one.time is not None and two.time is not None and two.time < one.time:
                steps.append((one.name, two.name))
    return steps
