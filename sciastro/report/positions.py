"""How good positions are: residuals over the field and by brightness, color and radius; what the optics do.

As in `figures`, functions take plain arrays and return a `Plot`, or None where there is nothing to draw.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from sciastro.report.plots import COLORS, INK, MUTED, WIDE, Plot, figure, finish, thin

__all__ = ["Bin", "distortion", "trends"]

Floats = npt.NDArray[np.float64]
Bin = tuple[float, int, float]  # middle, stars, rms [arcsec]

STEPS = 9  # shades of the map of the pixel scale
SMALLEST = 1e-4  # pixel of distortion that is drawn
SECOND = "\N{DOUBLE PRIME}"


def trends(
    panels: Sequence[tuple[str, npt.ArrayLike, Sequence[Bin]]],
    length: npt.ArrayLike,
    *,
    formal: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    key: str = "",
) -> Plot | None:
    """Draw the residuals against what they may depend on.

    Parameters
    ----------
    panels
        Label, value of each star (NaN unknown), and the rms in bins of it.
    length
        Of the residual of each star [arcsec].
    formal
        Magnitude and formal rms (both axes) [arcsec], drawn as a line in the first panel.
    key
        Makes the name of the drawing its own.
    """
    drawn = [panel for panel in panels if panel[2]]
    if not drawn:
        return None
    fig, axes = figure(1, len(drawn), width=WIDE, height=3.3, sharey=True)
    most = 0.0
    for k, (ax, (label, values, bins)) in enumerate(zip(axes[0], drawn, strict=True)):
        x, y = thin(np.asarray(values, dtype=np.float64), length)
        ax.plot(x, y, ".", ms=3, color=MUTED, alpha=0.6)
        at, rms = np.array([[one[0], one[2]] for one in bins]).T
        ax.plot(at, rms, "o-", ms=5, lw=1.5, color=COLORS[0], label="rms")
        if k == 0 and formal is not None:
            mag, error = (np.asarray(a, dtype=np.float64) for a in formal)
            ax.plot(mag, error, "s--", ms=4, lw=1.2, color=COLORS[1], label="expected")
        most = max(most, float(rms.max()), float(np.nanpercentile(y, 98)))
        ax.set_xlabel(label)
    axes[0, 0].set_ylabel(f"residual [{SECOND}]")
    axes[0, 0].set_ylim(0, 1.15 * most if most > 0 else 1.0)
    axes[0, 0].legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left")
    return finish(
        fig, key=f"trends-{key}", title="Residuals by brightness, color and radius",
        caption=_capital("; ".join(_range(label, bins) for label, _, bins in drawn) + "."),
    )  # fmt: skip


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _range(label: str, bins: Sequence[Bin]) -> str:
    name = label.split(" [", maxsplit=1)[0]
    if len(bins) == 1:
        return f"{name}: rms {bins[0][2]:.3g}{SECOND} of {bins[0][1]} stars"
    (low, _, first), (high, _, last) = bins[0], bins[-1]
    return f"{name}: rms {first:.3g}{SECOND} at {low:.3g}, {last:.3g}{SECOND} at {high:.3g}"


def distortion(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dx: npt.ArrayLike,
    dy: npt.ArrayLike,
    scale: npt.ArrayLike,
    *,
    top_down: bool = False,
    words: str = "",
    key: str = "",
) -> Plot | None:
    """Draw what the optics do over the frame: distortion as arrows, the pixel scale as shades.

    Parameters
    ----------
    x, y
        Nodes (row, column) [pixel].
    dx, dy
        Distortion [pixel]: beside a plain projection.
    scale
        Local pixel scale [arcsec].
    top_down
        Whether the image is shown with its first row on top.
    words
        Ends the caption.
    key
        Makes the name of the drawing its own.
    """
    gx, gy, ax_, ay, s = (np.asarray(a, dtype=np.float64) for a in (x, y, dx, dy, scale))
    if not np.isfinite(s).any():
        return None
    size = np.hypot(ax_, ay)
    most, middle = float(np.nanmax(size)), float(np.nanmedian(s))
    fig, axes = figure(1, 2, width=WIDE, height=3.9)
    left, right = axes[0]
    spacing = float(gx[0, 1] - gx[0, 0])
    if most >= SMALLEST:
        arrows = left.quiver(
            gx, gy, ax_, ay, color=COLORS[0], angles="xy", scale_units="xy", scale=most / (1.4 * spacing),
            width=0.004,
        )  # fmt: skip
        left.quiverkey(arrows, 0.8, 1.05, most, f"{most:.2g} pixel", labelpos="E", labelcolor=INK, color=INK)
    left.set_title(" ", fontsize=10)  # room for the key above
    left.plot(gx.ravel(), gy.ravel(), ".", ms=1.5, color=MUTED)
    _frame(left, gx, gy, top_down)
    change = 100 * (s / middle - 1)
    reach = float(np.nanmax(np.abs(change)))
    levels = np.linspace(-max(reach, 1e-4), max(reach, 1e-4), STEPS + 1)
    # The page replaces placeholder colors only: a level is one of two colors, at some strength.
    for low, high in pairwise(levels):
        half = 0.5 * (low + high)
        color = COLORS[0] if half < 0 else COLORS[1]
        strength = abs(half) / levels[-1]
        right.contourf(gx, gy, change, levels=[low, high], colors=[color], alpha=0.08 + 0.6 * strength)
    lines = right.contour(gx, gy, change, levels=levels[1:-1:2], colors=[MUTED], linewidths=0.7)
    right.clabel(lines, fontsize=8, colors=[INK], fmt=lambda value: f"{value:+.2g} %")
    _frame(right, gx, gy, top_down)
    bent = f"distortion, {most:.2g} pixel at most" if most >= SMALLEST else "no distortion"
    caption = (
        f"Left: {bent}. Right: pixel scale, {middle:.6g}{SECOND} in the median, {np.nanmin(s):.6g} to "
        f"{np.nanmax(s):.6g}{SECOND} over the frame. {words}"
    )
    return finish(fig, key=f"distortion-{key}", title="Distortion and pixel scale", caption=caption.strip())


def _frame(ax: Axes, x: Floats, y: Floats, top_down: bool) -> None:
    ax.set(xlabel="x [pixel]", ylabel="y [pixel]")
    ax.set_xlim(float(x.min()), float(x.max()))
    ends = float(y.min()), float(y.max())
    ax.set_ylim(ends[::-1] if top_down else ends)
    ax.set_aspect("equal", adjustable="box")
    ax.grid(visible=False)
