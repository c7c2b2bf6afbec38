"""What the page draws: the night frame by frame, and how well positions, brightness and color came out.

Every function takes plain arrays (or the rows of ``summary.json``) and returns a `Plot`, or None where there
is nothing to draw. NaN and None are missing and are left out.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from sciastro.core.robust import mad_sigma
from sciastro.report.plots import BAD, COLORS, INK, LINE, MUTED, WIDE, Plot, figure, finish, plain, thin
from sciastro.report.text import clean, get_number

__all__ = ["color_calibration", "frame_quality", "registration", "wcs_residuals", "zeropoint"]

Floats = npt.NDArray[np.float64]
PANELS = (
    ("fwhm_px", "FWHM [pixel]"),
    ("eccentricity", "eccentricity"),
    ("sky_e_s", "sky [e\N{SUPERSCRIPT MINUS}/s]"),
    ("n_stars", "stars"),
    ("transparency", "transparency"),
    ("weight", "weight"),
)


def _color(band: str, number: int) -> str:
    """Return the color of a band: its own where it has one in the sky, else the next of the series."""
    own = {"b": 0, "g": 2, "v": 2, "r": 4, "ha": 4, "oiii": 2, "l": 5, "osc": 5, "clear": 5}
    return COLORS[own.get(band.lower(), number % len(COLORS))]


def frame_quality(frames: Sequence[Mapping[str, Any]]) -> Plot | None:
    """Draw sharpness, sky, stars and weight of every light frame, in the order of time.

    Parameters
    ----------
    frames
        Rows of ``summary["frames"]``; only lights are drawn. A row may carry ``time`` (ISO text, UTC);
        if all do, the axis is time, otherwise the number of the frame.
    """
    lights = [row for row in frames if str(row.get("type", "light")).lower() == "light"]
    panels = [
        (key, label) for key, label in PANELS if any(get_number(row, key) is not None for row in lights)
    ]
    if not panels:
        return None
    x, timed = _when(lights)
    order = np.argsort(x, kind="stable")
    lights, x = [lights[k] for k in order], x[order]
    used = np.array([bool(row.get("used", True)) for row in lights])
    bands = [clean(row.get("band"), 12) or "?" for row in lights]
    names = sorted(set(bands))
    fig, axes = figure(len(panels), 1, width=WIDE, height=0.5 + 1.25 * len(panels), sharex=True)
    for ax, (key, label) in zip(axes[:, 0], panels, strict=True):
        values = np.array([_or_nan(get_number(row, key)) for row in lights])
        for k, name in enumerate(names):
            own = np.array([band == name for band in bands]) & used
            ax.plot(x[own], values[own], "o", ms=4, color=_color(name, k), label=plain(name))
        if not used.all():
            ax.plot(x[~used], values[~used], "x", ms=6, mew=1.6, color=BAD, label="left out")
        ax.set_ylabel(label)
        ax.margins(x=0.02, y=0.18)
    _legend(axes[0, 0], len(names) + 1)
    if timed:
        locator = AutoDateLocator(minticks=3, maxticks=8)
        axes[-1, 0].xaxis.set_major_locator(locator)
        axes[-1, 0].xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    axes[-1, 0].set_xlabel("time, UTC" if timed else "frame, in the order taken")
    left = int((~used).sum())
    words = (
        "every frame is in the stack" if left == 0 else f"crosses mark the {left} left out (reasons below)"
    )
    return finish(
        fig, key="frames", title="The night, frame by frame", caption=f"{len(lights)} light frames; {words}."
    )


def registration(
    dx: npt.ArrayLike, dy: npt.ArrayLike, rms: npt.ArrayLike, used: npt.ArrayLike | None = None
) -> Plot | None:
    """Draw where each frame lies relative to the reference, and how well its stars fall on it.

    Parameters
    ----------
    dx, dy
        Shift of the frame's center [pixel], one per frame.
    rms
        Scatter of the matched stars after registration [pixel].
    used
        Whether the frame is in the stack; None for all.
    """
    x, y, scatter = (np.asarray(a, dtype=np.float64).ravel() for a in (dx, dy, rms))
    good = np.ones(x.size, bool) if used is None else np.asarray(used, dtype=bool).ravel()
    if not np.isfinite(scatter).any() and not np.isfinite(x + y).any():
        return None
    fig, axes = figure(1, 2, width=WIDE, height=3.4)
    left, right = axes[0]
    left.plot(x, y, "-", color=LINE, lw=1)
    left.plot(x[good], y[good], "o", ms=4, color=COLORS[0])
    left.plot(x[~good], y[~good], "x", ms=6, mew=1.6, color=BAD)
    left.set(xlabel="shift in x [pixel]", ylabel="shift in y [pixel]")
    left.set_aspect("equal", adjustable="datalim")
    number = np.arange(1, scatter.size + 1)
    right.plot(number[good], scatter[good], "o", ms=4, color=COLORS[0])
    right.plot(number[~good], scatter[~good], "x", ms=6, mew=1.6, color=BAD)
    right.set(xlabel="frame", ylabel="star residual, rms [pixel]")
    right.set_ylim(bottom=0)
    finite = scatter[np.isfinite(scatter) & good]
    middle = f"Median residual {np.median(finite):.3f} pixel." if finite.size else "No residuals are known."
    return finish(
        fig, key="registration", title="Registration", caption=f"Drift and dither of the frames. {middle}"
    )


def wcs_residuals(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dx: npt.ArrayLike,
    dy: npt.ArrayLike,
    *,
    top_down: bool = False,
    words: str = "",
    key: str = "",
) -> Plot | None:
    """Draw the position residuals of the catalog stars over the field, and about zero.

    Parameters
    ----------
    x, y
        Positions of the stars [pixel].
    dx, dy
        Measured minus catalog, along the columns and rows [arcsec].
    top_down
        Whether the image is shown with its first row on top.
    words
        Ends the caption.
    key
        Makes the name of the drawing its own.
    """
    px, py, rx, ry = thin(x, y, dx, dy)
    good = np.isfinite(px + py + rx + ry)
    px, py, rx, ry = px[good], py[good], rx[good], ry[good]
    if px.size == 0:
        return None
    rms = float(np.sqrt(np.mean(rx**2 + ry**2)))
    fig, axes = figure(1, 2, width=WIDE, height=3.8)
    field, cloud = axes[0]
    extent = max(float(np.ptp(px)), float(np.ptp(py)), 1.0)
    unit = max(rms, 1e-6)
    field.plot(px, py, ".", ms=3, color=MUTED)
    arrows = field.quiver(
        px,
        py,
        rx,
        ry,
        color=COLORS[0],
        angles="xy",
        scale_units="xy",
        scale=unit / (0.05 * extent),
        width=0.004,
    )
    field.quiverkey(
        arrows, 0.84, 1.05, unit, f"{unit:.2g}\N{DOUBLE PRIME}", labelpos="E", labelcolor=INK, color=INK
    )
    field.set(xlabel="x [pixel]", ylabel="y [pixel]")
    field.set_title(" ", fontsize=10)  # room for the key above
    field.margins(0.06)
    if top_down:
        field.invert_yaxis()
    field.set_aspect("equal", adjustable="box")
    cloud.axhline(0, color=LINE, lw=1)
    cloud.axvline(0, color=LINE, lw=1)
    cloud.plot(rx, ry, "o", ms=3, color=COLORS[0], alpha=0.7)
    angle = np.linspace(0, 2 * np.pi, 90)
    cloud.plot(rms * np.cos(angle), rms * np.sin(angle), color=COLORS[1], lw=1.2)
    cloud.set(xlabel="residual in x [arcsec]", ylabel="residual in y [arcsec]")
    cloud.set_aspect("equal", adjustable="datalim")
    caption = f"{px.size} stars; the circle is their rms, {rms:.2f}\N{DOUBLE PRIME}. {words}".strip()
    return finish(
        fig, key=f"wcs-{key}" if key else "wcs", title="Positions against the catalog", caption=caption
    )


def zeropoint(
    mag: npt.ArrayLike,
    difference: npt.ArrayLike,
    *,
    band: str = "",
    error: npt.ArrayLike | None = None,
    color: npt.ArrayLike | None = None,
    used: npt.ArrayLike | None = None,
    value: float | None = None,
    value_error: float | None = None,
) -> Plot | None:
    """Draw catalog minus instrumental magnitude of the calibration stars.

    Parameters
    ----------
    mag, difference
        Catalog magnitude and catalog minus instrumental [mag], one per star.
    band
        Name of the band, for the title.
    error
        1 sigma of the difference [mag].
    color
        Color index of the stars [mag]; adds the panel that shows the color term.
    used
        Whether the star entered the zero point; None for all.
    value, value_error
        The zero point and its error [mag].
    """
    columns = (mag, difference, np.nan if error is None else error, np.nan if color is None else color)
    sizes = np.asarray(mag).size
    m, d, e, c = thin(*(np.broadcast_to(np.asarray(a, dtype=np.float64), sizes) for a in columns))
    (keep,) = thin(np.ones(sizes) if used is None else np.asarray(used, dtype=np.float64))
    known = np.isfinite(m) & np.isfinite(d)
    inside, outside = known & (keep > 0), known & (keep <= 0)
    if not known.any():
        return None
    colored = bool(np.isfinite(c).any())
    fig, axes = figure(1, 2 if colored else 1, width=WIDE, height=3.2, sharey=True)
    sides = [(m, "catalog magnitude")] + ([(c, "color index [mag]")] if colored else [])
    for ax, (along, label) in zip(axes[0], sides, strict=True):
        bars = np.where(np.isfinite(e), e, 0.0)
        ax.errorbar(along[inside], d[inside], yerr=bars[inside], fmt="o", ms=3.5, lw=0.8, color=COLORS[0])
        ax.plot(along[outside], d[outside], "x", ms=5, color=BAD)
        if value is not None and np.isfinite(value):
            ax.axhline(value, color=COLORS[1], lw=1.2)
            if value_error is not None and np.isfinite(value_error):
                ax.axhspan(value - value_error, value + value_error, color=COLORS[1], alpha=0.15, lw=0)
        ax.set_xlabel(label)
    axes[0, 0].set_ylabel("catalog \N{MINUS SIGN} instrumental [mag]")
    _frame_points(axes[0, 0], d[inside] if inside.any() else d[known], value)
    name = clean(band, 12)
    scatter = mad_sigma(d[inside]) if inside.any() else float("nan")
    counts = f"{int(inside.sum())} stars used, {int(outside.sum())} left out (crosses)"
    caption = f"{counts}; robust scatter {scatter:.3f} mag."
    return finish(fig, key=f"zeropoint-{_key(name)}", title=f"Zero point {name}".strip(), caption=caption)


def color_calibration(series: Sequence[Mapping[str, Any]]) -> Plot | None:
    """Draw measured against expected colors, one panel per pair of bands.

    Parameters
    ----------
    series
        Each with ``label`` (such as "B - G"), ``expected`` and ``measured`` [mag], optional ``used``, and
        optional ``slope`` and ``intercept`` of ``measured = intercept + slope * expected``.
    """
    drawn = [row for row in series if np.isfinite(np.asarray(row["expected"], dtype=np.float64)).any()]
    if not drawn:
        return None
    fig, axes = figure(1, len(drawn), width=WIDE if len(drawn) > 1 else 5.0, height=3.4)
    total = 0
    for k, (ax, row) in enumerate(zip(axes[0], drawn, strict=True)):
        x, y, keep = thin(
            row["expected"], row["measured"], row.get("used", np.ones(np.asarray(row["expected"]).size))
        )
        inside = (keep > 0) & np.isfinite(x + y)
        total += int(inside.sum())
        ax.plot(x[inside], y[inside], "o", ms=3.5, color=COLORS[k % len(COLORS)], alpha=0.8)
        ax.plot(x[keep <= 0], y[keep <= 0], "x", ms=5, color=BAD)
        slope, intercept = get_number(row, "slope"), get_number(row, "intercept")
        if slope is not None and intercept is not None and inside.any():
            ends = np.array([x[inside].min(), x[inside].max()])
            ax.plot(ends, intercept + slope * ends, color=INK, lw=1)
        label = plain(clean(row.get("label", ""), 24))
        ax.set(xlabel=f"expected {label} [mag]", ylabel=f"measured {label} [mag]")
    return finish(
        fig, key="color", title="Color calibration", caption=f"{total} measurements of stars of known color."
    )


def _when(rows: Sequence[Mapping[str, Any]]) -> tuple[Floats, bool]:
    stamps = []
    for row in rows:
        try:
            stamps.append(float(date2num(datetime.fromisoformat(str(row.get("time"))).replace(tzinfo=None))))
        except ValueError:
            return np.arange(1, len(rows) + 1, dtype=np.float64), False
    return np.array(stamps), True


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _legend(ax: Axes, columns: int) -> None:
    ax.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=min(columns, 7), frameon=False, fontsize=9,
        labelcolor=INK, handletextpad=0.2, columnspacing=1.2, borderaxespad=0.1,
    )  # fmt: skip


def _frame_points(ax: Axes, values: Floats, center: float | None) -> None:
    """Show the bulk of `values`: a single wild star must not flatten the rest."""
    low, high = np.percentile(values, [2, 98])
    if center is not None and np.isfinite(center):
        low, high = min(low, center), max(high, center)
    pad = max(0.05, 0.35 * float(high - low))
    ax.set_ylim(float(low) - pad, float(high) + pad)


def _key(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name) or "band"
