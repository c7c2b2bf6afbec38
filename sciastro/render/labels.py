"""Where names go on a picture: beside what they name, on nothing else, inside the picture.

Plain geometry in pixels with y downward; nothing is drawn here. Greedy: the most important name chooses
first, and a name without a free place is left out.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Box", "Places", "around"]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle [pixel]: center, half width, half height."""

    x: float
    y: float
    w: float
    h: float

    def meets(self, other: "Box", gap: float = 0.0) -> bool:
        """Return whether two boxes overlap, or come closer than `gap`."""
        return (
            abs(self.x - other.x) < self.w + other.w + gap and abs(self.y - other.y) < self.h + other.h + gap
        )

    def within(self, width: float, height: float, margin: float) -> bool:
        """Return whether the box lies in a picture, `margin` from its border."""
        return (
            self.x - self.w >= margin
            and self.y - self.h >= margin
            and self.x + self.w <= width - margin
            and self.y + self.h <= height - margin
        )


@dataclass(slots=True)
class Places:
    """What of a picture is taken.

    Attributes
    ----------
    width, height
        Of the picture [pixel].
    margin, gap
        Distance from its border, and between boxes [pixel].
    taken
        Boxes of names; nothing may lie on them.
    marks
        Boxes of marked things; names keep away from them, but for their own.
    """

    width: float
    height: float
    margin: float
    gap: float
    taken: list[Box] = field(default_factory=list)
    marks: list[Box] = field(default_factory=list)

    def free(self, box: Box, own: Box | None = None) -> bool:
        """Return whether a name fits there; `own` is the mark that it belongs to."""
        if not box.within(self.width, self.height, self.margin):
            return False
        if any(box.meets(one, self.gap) for one in self.taken):
            return False
        return not any(box.meets(one) for one in self.marks if one is not own)

    def take(self, candidates: Iterator[Box] | Sequence[Box], own: Box | None = None) -> Box | None:
        """Return the first candidate that is free, taken from now on; None where none is."""
        for box in candidates:
            if self.free(box, own):
                self.taken.append(box)
                return box
        return None


# Where a name is looked for around a thing: degrees from +x, y downward. Right and above come first.
ANGLES = (-25, 25, 0, -155, 155, 180, -50, 50, -130, 130, -90, 90, -75, 75, -105, 105)


def around(
    x: float, y: float, a: float, b: float, angle: float, w: float, h: float, gap: float
) -> Iterator[Box]:
    """Yield places for a name beside an ellipse, best first; for a large one also along its inner side.

    Parameters
    ----------
    x, y, a, b, angle
        Center and half axes [pixel], angle of the first axis from +x [deg].
    w, h
        Half size of the name.
    gap
        From the outline [pixel].
    """
    turn = math.radians(angle)
    # points as close as the gap, so that a name cannot slip between two
    t = np.linspace(0, 2 * np.pi, int(min(max(2 * math.pi * a / gap, 64), 4000)))
    outline_x = x + a * np.cos(t) * math.cos(turn) - b * np.sin(t) * math.sin(turn)
    outline_y = y + a * np.cos(t) * math.sin(turn) + b * np.sin(t) * math.cos(turn)
    for inward in (False, True):
        if inward and min(a, b) < 3 * max(w, h):
            return
        for degrees in ANGLES if a < 200 else range(-90, 270, 6):
            ux, uy = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            # radius of the ellipse in the direction (ux, uy)
            p = (ux * math.cos(turn) + uy * math.sin(turn)) / a
            q = (uy * math.cos(turn) - ux * math.sin(turn)) / b
            radius = 1 / math.hypot(p, q)
            sign = -1.0 if inward else 1.0
            # the box is moved along the direction until its near side clears the outline
            reach = min(w / max(abs(ux), 1e-9), h / max(abs(uy), 1e-9))
            distance = radius + sign * (gap + reach)
            box = Box(x + ux * distance, y + uy * distance, w, h)
            for _ in range(8):  # a slanted outline may come nearer elsewhere
                if not np.any(
                    (np.abs(outline_x - box.x) < w + gap / 2) & (np.abs(outline_y - box.y) < h + gap / 2)
                ):
                    yield box
                    break
                distance += sign * 0.35 * min(w, h)
                box = Box(x + ux * distance, y + uy * distance, w, h)
