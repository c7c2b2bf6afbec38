"""Matplotlib figures as small SVG that takes its colors and its font from the page.

Figures are objects of their own (no pyplot, no global state). They are drawn in placeholder colors, which
`finish` replaces by the style sheet's variables, so that one drawing serves the light and the dark page.
"""

import io
import re
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["COLORS", "WIDE", "Plot", "figure", "finish", "plain", "style", "thin"]

INK, MUTED, LINE, PAPER = "#010203", "#040506", "#070809", "#0a0b0c"
COLORS = ("#110a01", "#110a02", "#110a03", "#110a04", "#110a05", "#110a06")  # placeholders of --s1 ... --s6
BAD = "#110a0f"
VARIABLES = {
    INK: "var(--ink)", MUTED: "var(--muted)", LINE: "var(--line)", PAPER: "var(--card)", BAD: "var(--bad)",
    **{color: f"var(--s{k})" for k, color in enumerate(COLORS, 1)},
}  # fmt: skip
MAX_POINTS = 800  # of a plot: pages stay small
WIDE = 11.8
"""Width of a drawing that fills the page [inch]; its letters then have the size of the page's."""
PAGE = 6.0  # rem per inch: a drawing of that width is as wide as the page


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A finished drawing: inline SVG made by this package, with what it shows and how to read it."""

    key: str
    title: str
    caption: str
    svg: str


def figure(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = 8.0,
    height: float = 3.0,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, npt.NDArray[np.object_]]:
    """Return a figure and its axes as a 2-D array.

    Parameters
    ----------
    width, height
        Size [inch at 72 dots per inch].
    sharex, sharey
        Whether all axes share a scale.
    """
    fig = Figure(figsize=(width, height), layout="constrained")
    axes = fig.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
    for ax in axes.flat:
        style(ax)
    return fig, axes


def style(ax: Axes) -> None:
    """Give `ax` the quiet look of the page."""
    ax.set_facecolor("none")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(LINE)
    ax.tick_params(colors=MUTED, labelsize=9, length=3)
    ax.xaxis.label.set_color(MUTED)
    ax.yaxis.label.set_color(MUTED)
    ax.xaxis.label.set_fontsize(9.5)
    ax.yaxis.label.set_fontsize(9.5)
    ax.grid(True, color=LINE, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.ticklabel_format(useOffset=False)


def plain(text: str) -> str:
    """Return user text so that matplotlib prints it as it is (a dollar sign starts no formula)."""
    return text.replace("$", r"\$")


def thin(*arrays: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], ...]:
    """Return the arrays as float64, evenly thinned to 800 entries; a page must stay small."""
    made = [np.asarray(array, dtype=np.float64).ravel() for array in arrays]
    size = made[0].size
    if size <= MAX_POINTS:
        return tuple(made)
    keep = np.linspace(0, size - 1, MAX_POINTS).round().astype(int)
    return tuple(array[keep] for array in made)


def finish(fig: Figure, *, key: str, title: str, caption: str) -> Plot:
    """Return `fig` as a `Plot`: SVG text without prolog, external names or fixed size.

    Parameters
    ----------
    key
        Short name; makes the ids inside the SVG differ from those of the other drawings on the page.
    title, caption
        What the page says about it; also the drawing's accessible name.
    """
    buffer = io.StringIO()
    look = {"svg.fonttype": "none", "svg.hashsalt": key, "font.family": "sans-serif", "font.size": 9.5}
    with mpl.rc_context(look):
        fig.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Plot(
        key=key, title=title, caption=caption, svg=_inline(buffer.getvalue(), key, fig.get_figwidth() * PAGE)
    )


def _shorter(tag: re.Match[str]) -> str:
    """Return a tag with its coordinates cut to a hundredth of a point; texts stand between tags and stay."""
    return re.sub(r"(\d+\.\d{2})\d+", r"\1", tag[0])


def _inline(svg: str, key: str, width: float) -> str:
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", body)  # HTML knows the SVG names already
    body = body.replace("xlink:href=", "href=")
    body = re.sub(r'(<svg[^>]*?)\swidth="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{key}-", body)
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px; font-family: inherit", body)
    body = re.sub(r"font-family: [^;\"]*", "font-family: inherit", body)
    body = re.sub("|".join(VARIABLES), lambda match: VARIABLES[match[0]], body, flags=re.I)
    body = re.sub(r"<[^>]*>", _shorter, body)
    return body.replace("<svg", f'<svg style="max-width: {width:.0f}rem" aria-hidden="true"', 1).strip()
