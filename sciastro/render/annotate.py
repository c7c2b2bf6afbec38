"""Names, outlines and a coordinate grid over a picture: thin lines, names beside what they name, no overlaps.

Reads a ``display`` picture (y, x, channel; 0 to 1, row 0 on top) and marks and lines in its pixels; returns a
new picture. The overlay is drawn on a transparent canvas of the same size and laid over the picture, so that
pixels that nothing is drawn on keep their values.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.render.labels import Box, Places, around

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Compass", "Mark", "Stroke", "annotate"]

Floats = npt.NDArray[np.float64]
Display = npt.NDArray[np.float32]

COLORS = {
    "galaxy": "#ffb38a", "cluster": "#ffe08a", "globular": "#ffd166", "nebula": "#7fe0c3",
    "planetary": "#8fd0ff", "dark": "#e0d6c6", "star": "#dfe8ff", "other": "#d9c6f2",
    "ra": "#8fb0d8", "dec": "#8fb0d8", "figure": "#9fb9e6", "boundary": "#c79bd2", "text": "#e8eef8",
    "region": "#c79bd2",
}  # fmt: skip
HALO = (0.0, 0.0, 0.0, 0.7)
SMALL = 9.0  # half size of the smallest outline, in units of the drawing


@dataclass(frozen=True, slots=True)
class Mark:
    """Something to name.

    Attributes
    ----------
    kind
        Key of `COLORS`; "star" gets ticks, "region" a name alone, all else an outline.
    label, note
        Name, and a second line in smaller letters; may be empty.
    x, y, a, b, angle
        Center and half axes [pixel of the picture, y downward], angle of the first from +x [deg].
    rank
        0 is most important: chooses its place first. Without a place for its name, a mark of rank 0 or 1
        stays without, and others are left out.
    """

    kind: str
    label: str
    x: float
    y: float
    a: float = 0.0
    b: float = 0.0
    angle: float = 0.0
    rank: int = 1
    note: str = ""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line of the grid or of a constellation: kind, name, pieces [pixel of the picture]."""

    kind: str
    label: str
    x: tuple[Floats, ...]
    y: tuple[Floats, ...]


@dataclass(frozen=True, slots=True)
class Compass:
    """Unit vectors to north and east on the picture (y downward), and a bar of a round length.

    Attributes
    ----------
    bar, bar_label
        Length [pixel] and what it stands for, such as "10′".
    """

    north: tuple[float, float]
    east: tuple[float, float]
    bar: float
    bar_label: str


def annotate(
    display: Display, marks: Sequence[Mark], strokes: Sequence[Stroke] = (), compass: Compass | None = None
) -> tuple[Display, list[bool]]:
    """Return the picture with marks, lines and names on it.

    Parameters
    ----------
    display
        (y, x, channel); one channel becomes three.

    Returns
    -------
    picture
        (y, x, 3).
    named
        For each mark, whether its name found a place.
    """
    base = np.asarray(display, dtype=np.float32)
    base = np.repeat(base, 3, axis=2) if base.shape[2] == 1 else base[:, :, :3]
    drawing = _Drawing(base.shape[1], base.shape[0])
    if compass is not None:
        drawing.compass(compass)
    drawing.lines(strokes)
    named = drawing.marks(marks)
    overlay = drawing.pixels()
    cover = overlay[:, :, 3:]
    return np.asarray(base * (1 - cover) + overlay[:, :, :3] * cover, dtype=np.float32), named


class _Drawing:
    """A transparent canvas, and what of it is taken."""

    def __init__(self, width: int, height: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.unit = min(max(max(width, height) / 1500, 0.75), 3.0)
        self.figure: Figure = Figure(figsize=(width / 100, height / 100), dpi=100)
        self.canvas = FigureCanvasAgg(self.figure)
        self.figure.patch.set_alpha(0.0)
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_xlim(-0.5, width - 0.5)
        self.axes.set_ylim(height - 0.5, -0.5)
        self.renderer: Any = self.canvas.get_renderer()
        self.places = Places(width, height, 7 * self.unit, 2.5 * self.unit)

    def pixels(self) -> Display:
        """Return red, green, blue, cover (0 to 1)."""
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba(), dtype=np.float32) / np.float32(255)

    def _points(self, pixels: float) -> float:
        return pixels * self.unit * 0.72  # 100 pixels an inch, 72 points an inch

    def _size(self, text: str, pixels: float, weight: str = "normal") -> tuple[float, float]:
        """Return half width and half height of a text [pixel]."""
        from matplotlib.font_manager import FontProperties

        font = FontProperties(family="DejaVu Sans", size=self._points(pixels), weight=weight)
        w, h, _ = self.renderer.get_text_width_height_descent(text, font, ismath=False)
        return w / 2, h / 2

    def _halo(self, width: float, alpha: float = 0.7) -> list[Any]:
        from matplotlib import patheffects

        return [
            patheffects.Stroke(linewidth=self._points(width), foreground=(0, 0, 0, alpha)),
            patheffects.Normal(),
        ]

    def _write(
        self, x: float, y: float, text: str, pixels: float, color: str, *, turn: float = 0.0,
        weight: str = "normal", alpha: float = 1.0,
    ) -> None:  # fmt: skip
        self.axes.text(
            x, y, text, color=color, alpha=alpha, fontsize=self._points(pixels), rotation=turn,
            ha="center", va="center", rotation_mode="anchor", family="DejaVu Sans", weight=weight,
            path_effects=self._halo(2.6), parse_math=False, zorder=5, clip_on=True,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------- lines
    def lines(self, strokes: Sequence[Stroke]) -> None:
        """Draw grid, boundaries and figures; name grid lines where they leave the picture."""
        styles: dict[str, dict[str, Any]] = {
            "ra": {"lw": 0.9, "alpha": 0.5}, "dec": {"lw": 0.9, "alpha": 0.5},
            "figure": {"lw": 1.2, "alpha": 0.6},
            "boundary": {"lw": 1.0, "alpha": 0.75, "linestyle": (0, (5, 4))},
        }  # fmt: skip
        for one in strokes:
            style = {**styles[one.kind], "lw": self._points(styles[one.kind]["lw"])}
            for x, y in zip(one.x, one.y, strict=True):
                self.axes.plot(x, y, color=COLORS[one.kind], solid_capstyle="round", zorder=1, **style)
        for one in strokes:
            if one.label:
                self._name_line(one)

    def _name_line(self, line: Stroke) -> None:
        w, h = self._size(line.label, 12.5)
        lift = h + 3.5 * self.unit
        spots = [
            spot for x, y in zip(line.x, line.y, strict=True) for spot in _ends(x, y, w + h + 10 * self.unit)
        ]
        for x, y, tangent in sorted(spots, key=lambda spot: self._preference(line.kind, spot[0], spot[1])):
            turn = (tangent + 90) % 180 - 90  # never upside down
            t = math.radians(turn)
            cx, cy = x + lift * math.sin(t), y - lift * math.cos(t)
            box = Box(
                cx,
                cy,
                abs(w * math.cos(t)) + abs(h * math.sin(t)),
                abs(w * math.sin(t)) + abs(h * math.cos(t)),
            )
            if self.places.take([box]) is not None:
                self._write(cx, cy, line.label, 12.5, COLORS[line.kind], turn=-turn, alpha=0.95)
                return

    def _preference(self, kind: str, x: float, y: float) -> int:
        """Return the place of the nearest border in the order in which a line of the grid is named there."""
        distance = {"left": x, "bottom": self.height - y, "right": self.width - x, "top": y}
        order = ("left", "bottom", "right", "top") if kind == "dec" else ("bottom", "left", "right", "top")
        border = min(distance, key=lambda one: distance[one])
        return order.index(border) + (len(order) if distance[border] > 70 * self.unit else 0)

    def compass(self, compass: Compass) -> None:
        """Draw arrows to north and east in the lower right, and the bar in the lower left corner."""
        u = self.unit
        length, reach = 34 * u, 62 * u
        if min(self.width, self.height) < 5 * reach:
            return
        x0, y0 = self.width - reach, self.height - reach
        for (dx, dy), name in ((compass.north, "N"), (compass.east, "E")):
            self.axes.annotate(
                "", (x0 + dx * length, y0 + dy * length), (x0, y0),
                arrowprops={
                    "arrowstyle": "-|>,head_length=0.35,head_width=0.16", "color": COLORS["text"],
                    "lw": self._points(1.3), "shrinkA": 0, "shrinkB": 0, "mutation_scale": self._points(22),
                    "path_effects": self._halo(3.2, 0.5),
                }, zorder=4,
            )  # fmt: skip
            self._write(x0 + dx * (length + 12 * u), y0 + dy * (length + 12 * u), name, 14, COLORS["text"])
        self.places.taken.append(Box(x0, y0, reach - 4 * u, reach - 4 * u))
        left, low = 26 * u, self.height - 24 * u
        w, h = self._size(compass.bar_label, 14)
        x = np.array([left, left, left + compass.bar, left + compass.bar])
        y = np.array([low - 5 * u, low, low, low - 5 * u])
        self.axes.plot(
            x, y, color=COLORS["text"], lw=self._points(1.4), path_effects=self._halo(3.4, 0.5), zorder=4,
            solid_joinstyle="miter",
        )  # fmt: skip
        self._write(left + compass.bar / 2, low - h - 8 * u, compass.bar_label, 14, COLORS["text"])
        half = max(compass.bar / 2, w)
        self.places.taken.append(Box(left + compass.bar / 2, low - h - 4 * u, half + 6 * u, h + 14 * u))

    # ------------------------------------------------------------------------------------- marks
    def marks(self, marks: Sequence[Mark]) -> list[bool]:
        """Draw outlines and names; return which of the names found a place."""
        whole = [self._whole(mark) for mark in marks]
        named = [False] * len(marks)
        for _, equals in groupby(
            sorted(range(len(marks)), key=lambda i: marks[i].rank), lambda i: marks[i].rank
        ):
            group = sorted(equals, key=lambda i: -whole[i].a)
            boxes = {i: self._box(whole[i]) for i in group}
            # names keep away from marks as important as theirs and more, not from lesser ones
            self.places.marks += [box for box in boxes.values() if max(box.w, box.h) < 60 * self.unit]
            for i in group:
                mark, box = whole[i], boxes[i]
                small = max(box.w, box.h) < 30 * self.unit
                buried = small and mark.rank >= 2 and any(box.meets(one) for one in self.places.taken)
                at = None if buried or not mark.label else self._place(mark, box)
                named[i] = at is not None
                if at is None and mark.rank >= 2:
                    self.places.marks = [one for one in self.places.marks if one is not box]
                    continue
                self._outline(mark)
                if at is not None:
                    self._name(mark, at)
        return named

    def _whole(self, mark: Mark) -> Mark:
        least = SMALL * self.unit
        if mark.kind != "star" and mark.a >= least:
            return replace(mark, b=max(mark.b, 0.35 * least))
        return replace(mark, a=least, b=least, angle=0.0)

    @staticmethod
    def _box(mark: Mark) -> Box:
        t = math.radians(mark.angle)
        return Box(
            mark.x, mark.y,
            math.hypot(mark.a * math.cos(t), mark.b * math.sin(t)),
            math.hypot(mark.a * math.sin(t), mark.b * math.cos(t)),
        )  # fmt: skip

    def _fonts(self, mark: Mark) -> tuple[float, str]:
        if mark.kind == "region":
            return 19.0, "normal"
        if mark.kind == "star":
            return (15.0 if mark.rank <= 1 else 13.0), "normal"
        return (17.0, "bold") if mark.rank == 0 else (15.0, "normal") if mark.rank <= 2 else (13.0, "normal")

    def _place(self, mark: Mark, own: Box) -> Box | None:
        size, weight = self._fonts(mark)
        w, h = self._size(mark.label, size, weight)
        if mark.note:
            more, _ = self._size(mark.note, 12.5)
            w, h = max(w, more), h + 10.5 * self.unit
        if mark.kind == "region":
            offsets = [(0, 0), *((dx, dy) for r in (40, 90, 150) for dx in (-r, 0, r) for dy in (-r, 0, r))]
            return self.places.take([Box(mark.x + dx, mark.y + dy, w, h) for dx, dy in offsets])
        gap = (5.0 if mark.a > 12 * self.unit else 3.0) * self.unit
        found = self.places.take(around(mark.x, mark.y, mark.a, mark.b, mark.angle, w, h, gap), own)
        if found is None and max(own.w, own.h) > 0.3 * min(self.width, self.height):
            # the picture lies inside: the name goes to its upper border
            across = [0.5, 0.35, 0.65, 0.2, 0.8]
            rows = [h + self.places.margin + gap + k * 2.2 * h for k in range(4)]
            found = self.places.take([Box(self.width * t, y, w, h) for y in rows for t in across])
        return found

    def _name(self, mark: Mark, at: Box) -> None:
        size, weight = self._fonts(mark)
        color = COLORS.get(mark.kind, COLORS["other"])
        if mark.kind == "region":
            self._write(at.x, at.y, mark.label, size, color, alpha=0.75)
            return
        if not mark.note:
            self._write(at.x, at.y, mark.label, size, color, weight=weight)
            return
        self._write(at.x, at.y - 9.0 * self.unit, mark.label, size, color, weight=weight)
        self._write(at.x, at.y + 9.5 * self.unit, mark.note, 12.5, color, alpha=0.9)

    def _outline(self, mark: Mark) -> None:
        from matplotlib.patches import Ellipse

        color = COLORS.get(mark.kind, COLORS["other"])
        if mark.kind == "region":
            return
        if mark.kind == "star":
            inner, outer = mark.a * 0.6, mark.a * 1.35
            for dx, dy in ((1, 0), (0, 1)):
                self.axes.plot(
                    [mark.x + dx * inner, mark.x + dx * outer], [mark.y + dy * inner, mark.y + dy * outer],
                    color=color, lw=self._points(1.3), path_effects=self._halo(2.8, 0.45), zorder=3,
                    solid_capstyle="butt",
                )  # fmt: skip
            return
        outline = Ellipse(
            (mark.x, mark.y), 2 * mark.a, 2 * mark.b, angle=mark.angle, fill=False, edgecolor=color,
            lw=self._points(1.5 if mark.rank == 0 else 1.2), alpha=0.9,
            path_effects=self._halo(3.0, 0.4), zorder=2,
            linestyle=(0, (4, 3)) if mark.kind == "dark" else "solid",
        )  # fmt: skip
        self.axes.add_patch(outline)


def _ends(x: Floats, y: Floats, inset: float) -> list[tuple[float, float, float]]:
    """Return places at both ends of a piece, `inset` along it: x, y, direction [deg, y downward].

    A closed piece, or one too short, has its place in the middle of its lowest part or none.
    """
    steps = np.hypot(np.diff(x), np.diff(y))
    along = np.concatenate([[0.0], np.cumsum(steps)])
    if along[-1] < 2 * inset:
        return []
    if math.hypot(x[0] - x[-1], y[0] - y[-1]) < 1e-3 * along[-1]:
        spots = [float(along[int(np.argmax(y))])]
    else:
        spots = [inset, along[-1] - inset]
    out = []
    for spot in spots:
        near = (
            np.interp([spot - 2, spot + 2, spot], along, x),
            np.interp([spot - 2, spot + 2, spot], along, y),
        )
        direction = math.degrees(math.atan2(near[1][1] - near[1][0], near[0][1] - near[0][0]))
        out.append((float(near[0][2]), float(near[1][2]), direction))
    return out
