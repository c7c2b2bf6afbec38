"""Residuals of the stars that calibrate color: against color, magnitude and place on the image."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma
from sciastro.report.plots import BAD, COLORS, INK, WIDE, Plot, figure, finish, thin
from sciastro.report.text import clean

__all__ = ["color_residuals", "trend_text"]

Floats = npt.NDArray[np.float64]


def color_residuals(
    residuals: Mapping[str, npt.ArrayLike],
    *,
    used: npt.ArrayLike,
    along: Sequence[tuple[str, npt.ArrayLike]],
    title: str = "",
    caption: str = "",
    key: str = "color",
) -> Plot | None:
    """Draw residuals of colors, one row per ratio, one column per quantity that they may depend on.

    Parameters
    ----------
    residuals
        Label of a ratio ("R - G") -> residuals [mag], one per star.
    used
        Whether each star took part.
    along
        Label and values of each quantity.
    """
    if not residuals or not np.asarray(used, dtype=bool).any():
        return None
    fig, axes = figure(len(residuals), len(along), width=WIDE, height=2.1 * len(residuals) + 0.6)
    for row, (label, values) in enumerate(residuals.items()):
        y, keep = thin(values, np.asarray(used, dtype=np.float64))
        inside = (keep > 0) & np.isfinite(y)
        sigma = mad_sigma(y[inside], 0.0) if inside.any() else 0.1
        for column, (name, numbers) in enumerate(along):
            ax, (x,) = axes[row, column], thin(numbers)
            ax.plot(x[inside], y[inside], "o", ms=3, color=COLORS[row % len(COLORS)], alpha=0.8)
            ax.plot(x[keep <= 0], np.clip(y[keep <= 0], -8 * sigma, 8 * sigma), "x", ms=5, color=BAD)
            ax.axhline(0, color=INK, lw=0.8)
            if row == len(residuals) - 1:
                ax.set_xlabel(name)
            if column == 0:
                ax.set_ylabel(f"{clean(label, 16)} [mag]")
        for ax in axes[row]:
            ax.set_ylim(-8.5 * max(sigma, 1e-3), 8.5 * max(sigma, 1e-3))
    return finish(fig, key=f"colors-{key}", title=title or "Color residuals", caption=caption)


def trend_text(trend: Mapping[str, Any]) -> str:
    """Return one row of trends in words: "R - G: color +0.003 +- 0.004 per mag, ..."."""
    parts = [
        f"{name} {row['slope']:+.4f} +- {row['err']:.4f} {row['unit']}"
        for name, row in trend.items()
        if isinstance(row, Mapping) and row.get("slope") is not None and row.get("err") is not None
    ]
    return ", ".join(parts)
