"""Which points of a light curve count, and why the others do not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import Quality
from sciastro.core.robust import mad_sigma
from sciastro.errors import MatchError
from sciastro.photometry.comparison import SPOILED
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.lightcurve import Curves
from sciastro.photometry.missing import median_of
from sciastro.recipe.lightcurvearound import offsets_of
from sciastro.recipe.lightcurveframes import FieldSeries, counted
from sciastro.recipe.lightcurvetarget import Place
from sciastro.recipe.nightframes import NightFrame

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = [
    "FAINT",
    "OUTLIER",
    "Verdicts",
    "check_in_field",
    "check_shown",
    "notes_on_target",
    "spikes",
    "verdicts",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FAINT = 3.0  # S/N below which there is no magnitude
OUTLIER = 5.0  # sigma of residuals about a fitted transit


@dataclass(frozen=True)
class Verdicts:
    """Of the target (frame): its flags, whether a frame counts, and why not ("" if it does)."""

    flags: npt.NDArray[np.uint32]
    use: Bools
    reason: list[str]


def check_shown(frames: Sequence[NightFrame], target: Place, what: str = "target") -> None:
    """Refuse a star that lies off every frame, before anything is measured.

    Raises
    ------
    MatchError
        If it does, by the frames' world coordinates; frames without them say nothing.
    """
    nearest = float("inf"), float("nan"), float("nan")
    for one in frames:
        world = one.world() if one.wcs else None
        if world is None or world.pixel_shape is None:
            continue
        if _behind(world, target):
            continue
        x, y = (float(v[0]) for v in world.all_world2pix([target.ra], [target.dec], 0, quiet=True))
        width, height = world.pixel_shape
        off = max(-x, -y, x - width + 1, y - height + 1, 0.0)
        if not math.isfinite(off):
            continue
        if off <= 0:
            return
        nearest = min(nearest, (off, x, y))
    told = sum(bool(one.wcs and one.world().pixel_shape) for one in frames)
    if not told:
        return
    where = f" (at best it would lie at x {nearest[1]:.0f}, y {nearest[2]:.0f})"
    raise MatchError(
        f"is in none of the {told} frames whose place is known"
        f"{where if math.isfinite(nearest[0]) else ''}.",
        where=f"{what} {target.name}", remedy="Check the place, or the session.",
    )  # fmt: skip


def _behind(world: "WCS", target: Place) -> bool:
    """Return whether a place is more than 60 degrees from the reference point, where projections repeat."""
    ra, dec = np.radians(world.wcs.crval[:2])
    a, d = np.radians(target.ra), np.radians(target.dec)
    return bool(np.sin(dec) * np.sin(d) + np.cos(dec) * np.cos(d) * np.cos(a - ra) < 0.5)


def check_in_field(series: FieldSeries, target: Place) -> None:
    """Refuse a target that no frame shows.

    Raises
    ------
    MatchError
        If it is in none.
    """
    inside = (series.flags[0, 0] & np.uint32(int(Quality.NO_DATA))) == 0
    if not (inside & series.measured).any():
        x, y = (np.nanmedian(v[0]) if np.isfinite(v[0]).any() else float("nan") for v in (series.x, series.y))
        where = f" (it would lie at x {x:.0f}, y {y:.0f})" if math.isfinite(x) else ""
        raise MatchError(
            f"is in none of the {len(series.frames)} frames{where}.", where=f"target {target.name}",
            remedy="Check the place, or the session.",
        )  # fmt: skip


def verdicts(series: FieldSeries, curves: Curves, bjd: Floats, good: Bools, name: str) -> Verdicts:
    """Return which points of the target count.

    Parameters
    ----------
    bjd
        (frame) [d]; NaN unknown.
    good
        (frame) measured, and not left out by the run; all that were measured where it left out every frame.

    Raises
    ------
    MatchError
        If none does.
    """
    flags = series.flags[curves.aperture, 0].copy()
    reason = list(series.reason)
    for j, frame in enumerate(series.frames):
        if reason[j]:
            flags[j] |= np.uint32(int(Quality.NO_DATA))
        elif not np.isfinite(curves.flux[0, j]):
            gone = bool(flags[j] & np.uint32(int(Quality.NO_DATA)))
            cut = bool(flags[j] & np.uint32(int(SourceFlag.CUT)))
            if not np.isfinite(curves.ensemble.zero[j]):
                reason[j] = "no comparison star could be measured"
            elif gone:
                reason[j] = "the target is out of the frame"
            else:
                reason[j] = "pixels of the target are missing" if cut else "the target has no flux"
        elif flags[j] & np.uint32(SPOILED):
            words = [bit.name for bit in Quality if flags[j] & np.uint32(int(bit) & SPOILED)]
            reason[j] = f"the target is spoiled: {', '.join(str(word) for word in words)}"
        elif not good[j]:  # where the run left out every frame, all that were measured are good
            reason[j] = f"the run left it out: {frame.reason}"
        elif not np.isfinite(bjd[j]):
            reason[j] = "no time"
    use = np.array([not text for text in reason])
    if not use.any():
        raise MatchError(
            f"has no frame that counts ({counted(reason)}).",
            where=f"target {name}",
            remedy="See the reasons.",
        )
    return Verdicts(flags, use, reason)


def notes_on_target(series: FieldSeries, curves: Curves, flags: npt.NDArray[np.uint32]) -> list[str]:
    """Return what is told of a target that is blended, or too faint for magnitudes; `flags` (frame,)."""
    notes = []
    crowded = (flags & np.uint32(int(SourceFlag.CROWDED))) != 0
    if crowded.mean() > 0.1:
        distance = np.hypot(*offsets_of(series)[1:].T) * 3600
        near = int(np.argmin(distance)) + 1 if distance.size else 0
        what = f", the nearest {distance[near - 1]:.1f} arcsec away" if near else ""
        notes.append(
            f"the target is blended: a neighbor's light is in the aperture in {crowded.sum()} frames{what}; "
            "depths and amplitudes are too small by its share"
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = float(median_of(curves.flux[0] / curves.err[0]))
    if snr < FAINT:
        notes.append(
            f"the target is hardly seen: its median S/N in a frame is {snr:.1f}; there are magnitudes only "
            f"above {FAINT:g}"
        )
    values = series.flux[curves.aperture, 0]
    negative = int(np.sum(values <= 0))
    if negative:
        notes.append(f"the target's flux is not positive in {negative} frames: no magnitude there")
    return notes


def spikes(flux: Floats, err: Floats, use: Bools) -> Bools:
    """Return which single points (frame,) are far from the median of two before and two after in `use`."""
    out = np.zeros(flux.size, bool)
    rows = np.flatnonzero(use)
    if rows.size < 7:
        return out
    f = flux[rows]
    padded = np.pad(f, 2, mode="reflect")
    around = np.median(np.stack([padded[k : k + f.size] for k in (0, 1, 3, 4)]), axis=0)
    away = (f - around) / err[rows]
    width = mad_sigma(away)
    out[rows[np.abs(away) > 1.5 * OUTLIER * max(width, 1.0)]] = True
    return out
