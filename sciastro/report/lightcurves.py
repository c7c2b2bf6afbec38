"""The picture of a light curve: as measured, detrended with model, residuals, a comparison star, the air."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from sciastro.recipe.lightcurvedata import LightCurve

__all__ = ["draw_light_curve"]

Floats = npt.NDArray[np.float64]

INK, FAINT, POINT = "#1b2733", "#8a97a5", "#5b7fa6"
BEHIND_TEXT = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
BIN, MODEL, CHECK, AIR, OUT = "#d1495b", "#c0392b", "#3c8d5a", "#b07d2b", "#c9ced6"
BIN_MINUTES = 10.0  # of the means that are drawn over single frames


def draw_light_curve(lc: "LightCurve", path: Path) -> None:
    """Write the picture as PNG.

    Parameters
    ----------
    path
        File to write.
    """
    figure = Figure(figsize=(11, 12), dpi=130, facecolor="white", layout="constrained")
    ratios = [2.2, 2.6, 1.0, 1.2, 0.9]
    axes = figure.subplots(5, 1, sharex=True, gridspec_kw={"height_ratios": ratios})
    zero = int(np.floor(np.nanmin(lc.bjd[lc.use])))
    x = lc.bjd - zero
    _title(figure, lc)
    level = (
        float(np.mean(lc.baseline[lc.use])) if lc.transit is not None else float(np.median(lc.flux[lc.use]))
    )
    level = level if level > 0 else 1.0
    _measured(axes[0], lc, x, level)
    _detrended(axes[1], lc, x)
    _residuals(axes[2], lc, x)
    _comparison(axes[3], lc, x)
    _air(axes[4], lc, x)
    axes[4].set_xlabel(f"BJD (TDB) - {zero}  [d]", color=INK)
    for axis in axes:
        _plain(axis)
    figure.align_ylabels(axes)
    figure.savefig(path, format="png")


def _plain(axis: Axes) -> None:
    axis.grid(visible=True, color="#e6eaee", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(FAINT)


def _title(figure: Figure, lc: "LightCurve") -> None:
    day = str(lc.time[lc.use][0])[:10]
    n = np.unique(lc.night[lc.use]).size
    when = day if n == 1 else f"{n} nights from {day}"
    figure.suptitle(
        f"{lc.target.name}   {lc.series.band}   {when}", fontsize=17, color=INK, fontweight="bold"
    )


def _limits(axis: Axes, values: Floats, err: Floats) -> None:
    """Show all that counts, but not the tails of a few bad points."""
    some = values[np.isfinite(values)]
    if not some.size:
        return
    low, high = np.percentile(some, [0.5, 99.5])
    margin = 0.12 * (high - low) + float(np.nanmedian(err))
    axis.set_ylim(low - margin, high + margin)


def _points(axis: Axes, x: Floats, y: Floats, err: Floats, use: npt.NDArray[np.bool_], **how: Any) -> None:
    color = how.get("color", POINT)
    axis.errorbar(
        x[use], y[use], err[use], fmt="o", ms=3.2, color=color, ecolor=color, elinewidth=0.7, alpha=0.55,
        zorder=2,
    )  # fmt: skip
    if (~use & np.isfinite(y)).any():
        axis.plot(x[~use], y[~use], "x", ms=5, color=OUT, zorder=1)


def _binned(
    x: Floats, y: Floats, err: Floats, night: npt.NDArray[np.int64], width: float
) -> tuple[Floats, Floats, Floats]:
    """Return means of bins of `width` [d] with their errors."""
    rows = []
    for number in np.unique(night):
        mine = night == number
        box = np.floor((x[mine] - x[mine].min()) / width)
        for one in np.unique(box):
            some = box == one
            weight = 1 / err[mine][some] ** 2
            rows.append(
                (np.average(x[mine][some], weights=weight), np.average(y[mine][some], weights=weight),
                 1 / np.sqrt(weight.sum()))
            )  # fmt: skip
    out = np.array(rows).reshape(-1, 3)
    return out[:, 0], out[:, 1], out[:, 2]


def _with_bins(axis: Axes, lc: "LightCurve", x: Floats, y: Floats, err: Floats, color: str = BIN) -> None:
    use = lc.use & np.isfinite(y) & np.isfinite(err) & (err > 0)
    if use.sum() < 4:
        return
    bx, by, be = _binned(x[use], y[use], err[use], lc.night[use], BIN_MINUTES / 1440)
    axis.errorbar(
        bx, by, be, fmt="o", ms=5.5, color=color, mec="white", mew=0.8, elinewidth=1.2, zorder=5,
        label="single frames" if bx.size == use.sum() else f"means of {BIN_MINUTES:g} minutes",
    )  # fmt: skip


def _measured(axis: Axes, lc: "LightCurve", x: Floats, level: float) -> None:
    flux, err = lc.flux / level, lc.err / level
    _points(axis, x, flux, err, lc.use)
    if lc.transit is not None:
        axis.plot(x[lc.use], lc.baseline[lc.use] / level, color=AIR, lw=1.6, zorder=4, label=_baseline(lc))
        axis.legend(loc="lower left", fontsize=9, frameon=False, labelcolor=INK)
    axis.set_ylabel("relative flux", color=INK)
    _limits(axis, flux[lc.use], err[lc.use])
    axis.text(
        0.99, 0.95, f"as measured: {lc.use.sum()} of {lc.use.size} frames, {lc.curves.chosen.stars.size} "
        f"comparison stars,\naperture {lc.series.tried[lc.curves.aperture]}",
        transform=axis.transAxes, ha="right", va="top", fontsize=9, color=INK,
    )  # fmt: skip


def _baseline(lc: "LightCurve") -> str:
    if lc.transit is None:
        return "baseline"
    if lc.transit.n_sets > 1:
        likely = [name for name, share in lc.transit.share.items() if share > 0.5]
        return f"baseline, averaged over causes ({', '.join(likely) or 'none is likely'})"
    return f"baseline ({', '.join(lc.transit.causes)})" if lc.transit.causes else "baseline"


def _detrended(axis: Axes, lc: "LightCurve", x: Floats) -> None:
    flux, err = lc.flux / lc.baseline, lc.err / lc.baseline
    if lc.transit is None:
        level = float(np.median(lc.flux[lc.use]))
        flux, err = lc.flux / level, lc.err / level
    _points(axis, x, flux, err, lc.use)
    _with_bins(axis, lc, x, flux, err)
    axis.set_ylabel("detrended" if lc.transit is not None else "relative flux", color=INK)
    _limits(axis, flux[lc.use], err[lc.use])
    if lc.transit is None:
        axis.legend(loc="lower left", fontsize=9, frameon=False, labelcolor=INK)
        return
    order = np.argsort(x[lc.use])
    axis.plot(x[lc.use][order], lc.model[lc.use][order], color=MODEL, lw=2.2, zorder=6, label="transit")
    fit = lc.transit
    axis.axvline(fit.values["t0"] - (lc.bjd[lc.use][0] - x[lc.use][0]), color=FAINT, lw=0.8, ls=":", zorder=1)
    text = (
        f"mid-transit {fit.values['t0']:.5f} $\\pm$ {fit.errors['t0']:.5f} BJD TDB\n"
        f"depth $(R_p/R_*)^2$ = {100 * fit.values['depth']:.2f} $\\pm$ {100 * fit.errors['depth']:.2f} %\n"
        f"duration {24 * fit.values['duration']:.2f} $\\pm$ {24 * fit.errors['duration']:.2f} h"
    )
    axis.text(
        0.5, 0.95, text, transform=axis.transAxes, ha="center", va="top", fontsize=10.5, color=INK,
        bbox=BEHIND_TEXT, zorder=7,
    )  # fmt: skip
    axis.legend(loc="lower left", fontsize=9, frameon=False, labelcolor=INK)


def _residuals(axis: Axes, lc: "LightCurve", x: Floats) -> None:
    if lc.transit is not None:
        residual = lc.flux / lc.baseline - lc.model
        err = lc.err / lc.baseline
    else:
        level = float(np.median(lc.flux[lc.use]))
        residual, err = lc.flux / level - 1, lc.err / level
    _points(axis, x, 100 * residual, 100 * err, lc.use)
    _with_bins(axis, lc, x, 100 * residual, 100 * err)
    axis.axhline(0, color=MODEL, lw=1.2, zorder=4)
    axis.set_ylabel("residual [%]", color=INK)
    _limits(axis, 100 * residual[lc.use], 100 * err[lc.use])
    beta = f", red noise $\\beta$ = {lc.noise.beta:.2f}" if np.isfinite(lc.noise.beta) else ""
    axis.text(
        0.99, 0.95, f"scatter {100 * np.nanstd(residual[lc.use]):.2f} %{beta}", transform=axis.transAxes,
        ha="right", va="top", fontsize=9, color=INK, bbox=BEHIND_TEXT, zorder=7,
    )  # fmt: skip


def _comparison(axis: Axes, lc: "LightCurve", x: Floats) -> None:
    """Draw the comparison star that is most like the target, against all others."""
    stars = lc.curves.chosen.stars
    away = np.abs(lc.curves.mag[stars] - lc.curves.mag[0])
    some = np.isfinite(lc.curves.flux[stars]).any(axis=1)
    axis.set_ylabel("comparison", color=INK)
    if not some.any():
        axis.text(0.5, 0.5, "one comparison star: nothing to see it against", transform=axis.transAxes,
                  ha="center", color=INK)  # fmt: skip
        return
    k = int(np.argmin(np.where(some & np.isfinite(away), away, np.inf)))
    flux, err = lc.curves.flux[stars[k]], lc.curves.err[stars[k]]
    _points(axis, x, flux, err, lc.use, color=CHECK)
    _with_bins(axis, lc, x, flux, err, CHECK)
    axis.axhline(1, color=FAINT, lw=0.9)
    low, high = 1 - 4 * np.nanstd(flux[lc.use]), 1 + 4 * np.nanstd(flux[lc.use])
    if np.isfinite(low):
        axis.set_ylim(low, high)
    axis.text(
        0.99, 0.95, f"comparison star C{k + 1}, as bright as the target, against all others: scatter "
        f"{100 * np.nanstd(flux[lc.use]):.2f} %", transform=axis.transAxes, ha="right", va="top", fontsize=9,
        color=INK,
    )  # fmt: skip


def _air(axis: Axes, lc: "LightCurve", x: Floats) -> None:
    axis.plot(x, lc.airmass, color=AIR, lw=1.8)
    axis.set_ylabel("airmass", color=AIR)
    if np.isfinite(lc.airmass).any():
        axis.invert_yaxis()
    else:
        axis.text(0.5, 0.5, "airmass unknown: no site", transform=axis.transAxes, ha="center", color=INK)
    twin = axis.twinx()
    twin.plot(x[lc.use], lc.series.fwhm[lc.use] * lc.series.scale, ".", ms=3.5, color=POINT, alpha=0.8)
    twin.set_ylabel("FWHM [arcsec]", color=POINT)
    twin.tick_params(colors=INK, labelsize=9)
    for side in ("top", "left"):
        twin.spines[side].set_visible(False)
