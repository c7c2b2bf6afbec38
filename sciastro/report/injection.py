"""A figure of what artificial stars tell: completeness, bias and scatter, pulls."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["draw_injection"]


def draw_injection(path: Path, stars: "Table", bins: "Table", title: str) -> None:
    """Draw a PNG to `path`; `stars` and `bins` of `photometry.psfinject` with ``mag``, ``mag_in``."""
    figure = Figure(figsize=(8, 9), layout="constrained")
    top, middle, low = figure.subplots(3, 1, sharex=True)
    mag = np.asarray(bins["mag"])
    top.errorbar(
        mag, bins["completeness"], yerr=bins["completeness_err"], fmt="o-", color="C0", label="found"
    )
    for share, key in ((0.9, "limit_90_mag"), (0.5, "limit_50_mag")):
        top.axhline(share, color="0.8", lw=0.8)
        if np.isfinite(bins.meta[key]):
            top.axvline(bins.meta[key], color="0.6", lw=0.8, ls="--")
    top.set_ylabel("completeness")
    top.set_ylim(-0.05, 1.1)
    other = top.twinx()
    other.bar(mag, bins["false"], width=0.8 * float(np.median(np.diff(mag))) if mag.size > 1 else 0.4,
              color="C3", alpha=0.25)  # fmt: skip
    other.set_ylabel("false detections", color="C3")
    found = np.asarray(stars["found"])
    ratio = np.asarray(stars["flux"].value)[found] / np.asarray(stars["flux_in"].value)[found] - 1
    entered = np.asarray(stars["mag_in"])[found]
    middle.plot(entered, ratio, ".", ms=3, color="0.6")
    middle.errorbar(mag, bins["bias"], yerr=bins["bias_err"], fmt="o", color="C0", label="median")
    for sign in (-1, 1):
        once = sign < 0
        middle.plot(
            mag, bins["bias"] + sign * bins["scatter"], "-", color="C0", lw=0.8, label="scatter" * once
        )
        middle.plot(mag, sign * bins["error"], "--", color="C1", lw=0.8, label="error that is told" * once)
    middle.set_ylabel("flux / put in - 1")
    middle.set_ylim(-0.6, 0.6)
    middle.legend(loc="lower left")
    err = bins["pull_std"] / np.sqrt(np.maximum(bins["n_found"], 1))
    low.errorbar(mag, bins["pull_mean"], yerr=err, fmt="o", color="C0", label="mean")
    low.plot(mag, bins["pull_std"], "s-", color="C2", label="standard deviation")
    low.axhline(0, color="0.8", lw=0.8)
    low.axhline(1, color="0.8", lw=0.8)
    low.set_ylabel("pull")
    low.set_ylim(-1, 2.5)
    low.legend()
    low.set_xlabel("magnitude" if bins.meta["zeropoint"] is not None else "instrumental magnitude")
    top.set_title(f"{title}: {bins.meta['number']} artificial stars, seed {bins.meta['seed']}")
    figure.savefig(path, dpi=110, format="png")
