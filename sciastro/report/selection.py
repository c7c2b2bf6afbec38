"""What a selection of frames would keep, drawn: measure by measure, frame by frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import numpy as np
import numpy.typing as npt

from sciastro.report.plots import plain

__all__ = ["SUFFIXES", "TriedGroup", "draw_selection"]

SUFFIXES = (".png", ".svg", ".pdf")
INK, KEPT, OUT, FAINT = "#1b2733", "#2f6db0", "#c0392b", "#8a97a5"


@dataclass(frozen=True, slots=True)
class TriedGroup:
    """The frames of one target and band, and what a selection makes of them.

    Attributes
    ----------
    name
        Of target and band.
    measures
        Label to values (frame,); NaN is not drawn.
    limits
        Label to the number that the selection compares that measure with, where it does.
    fit, kept
        Frames that may be selected, and those that are (frame,).
    """

    name: str
    measures: Mapping[str, npt.NDArray[np.float64]]
    limits: Mapping[str, float]
    fit: npt.NDArray[np.bool_]
    kept: npt.NDArray[np.bool_]


def draw_selection(path: Path, groups: Sequence[TriedGroup], title: str) -> None:
    """Write the picture; the suffix of `path` (`SUFFIXES`) is its format.

    A column per group, a row per measure, frames in order; dashed is what the measure is compared with.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for group in groups for name in group.measures))
    figure = Figure(
        figsize=(2 + min(4.5 * len(groups), 60.0), 1 + 1.5 * len(names)),
        dpi=110,
        facecolor="white",
        layout="constrained",
    )
    axes = figure.subplots(len(names), len(groups), squeeze=False, sharex="col")
    for column, group in zip(axes.T, groups, strict=True):
        number = np.arange(1, group.kept.size + 1)
        out, left = group.fit & ~group.kept, ~group.fit
        for axis, name in zip(column, names, strict=True):
            values = group.measures[name]
            axis.plot(number[group.kept], values[group.kept], "o", ms=4, color=KEPT, label="kept")
            axis.plot(number[out], values[out], "x", ms=6, mew=1.6, color=OUT, label="out")
            if left.any():
                axis.plot(number[left], values[left], "+", ms=6, color=FAINT, label="left out anyway")
            if np.isfinite(group.limits.get(name, np.nan)):
                axis.axhline(group.limits[name], ls="--", lw=1, color=INK)
            axis.grid(visible=True, color="#e6eaee", linewidth=0.7)
            axis.set_axisbelow(True)
            axis.margins(x=0.03, y=0.2)
            axis.tick_params(colors=INK, labelsize=8)
        column[0].set_title(
            plain(f"{group.name}: {int(group.kept.sum())} of {int(group.fit.sum())} kept"), fontsize=10
        )
        column[-1].set_xlabel("frame, in order", fontsize=9)
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_ylabel(plain(name), fontsize=9)
    axes[0, -1].legend(fontsize=8, loc="best")
    figure.suptitle(plain(shorten(title, 110)), fontsize=11)
    metadata = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[path.suffix.lower()]
    figure.savefig(path, format=path.suffix[1:].lower(), metadata=metadata)
