"""Extinction from the frames of a night: zero point, color term and k with their covariance.

Three steps, each with what it alone can tell. (1) Magnitudes of the same stars in all frames give zero points
of the frames relative to each other, whatever the catalog says: ``m_ij = A_i - z_j`` (`ensemble`). (2) Their
run with airmass gives ``z_j = b - k (X_j - X)``; clouds and haze are the scatter between frames, and frames
beyond it are clipped. (3) The star means A_i against the catalog give zero point and color term
(`zeropoint.fit_zeropoint`). Errors of the catalog are common to all frames, so they do not shrink with their
number, and do not blur k.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.core.tables import as_table, column_numbers
from sciastro.errors import DatasetError
from sciastro.photometry.ensemble import linked, solve_ensemble
from sciastro.photometry.robust import fit_linear, jackknife
from sciastro.photometry.secondorder import SecondOrder, second_order
from sciastro.photometry.zeropoint import ZeroPoint, ZeroPointOptions, fit_zeropoint, matrix

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["ExtinctionOptions", "Night", "fit_extinction", "relative_zeropoints"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_NEEDED = ("frame", "star", "airmass", "mag_inst", "mag_inst_err", "mag_cat", "mag_cat_err", "color")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtinctionOptions(Options):
    """When a night tells its extinction."""

    min_frames: int = option(5, "Fewest frames.", low=3, high=10000)
    min_range: float = option(0.2, "Least range of airmass.", unit="1", low=0.02, high=5.0)
    kappa: float = option(3.5, "Clipping threshold, of measurements and of frames.", unit="sigma", low=1.5)


_DEFAULTS = ExtinctionOptions()
_DEFAULT_ZEROPOINT = ZeroPointOptions()


@dataclass(frozen=True, kw_only=True, slots=True)
class Night:
    """What the frames of a night tell together.

    Attributes
    ----------
    zeropoint
        Holds at ``zeropoint.airmass``; terms "zeropoint", "color", "airmass" (-k). Without a k of its own the
        airmass term is missing, and `reason` says why.
    above
        Zero point above the atmosphere and its error [mag]; NaN without k.
    scatter
        Of the frames about the line, beyond their errors [mag].
    frames
        Table: ``frame``, ``airmass``, ``zeropoint`` [mag], ``zeropoint_err`` [mag, of the frame alone],
        ``residual`` [mag, about the line], ``n_stars``, ``use``.
    reason
        Why there is no extinction; empty where there is.
    second_reason
        Why a second order of the extinction is taken, or why not.
    """

    zeropoint: ZeroPoint
    above: tuple[float, float]
    scatter: float
    frames: "QTable"
    reason: str
    second_reason: str = ""


def fit_extinction(
    table: "QTable",
    *,
    system: str = "",
    catalog: str = "",
    color_name: str = "B-V",
    note: str = "",
    zeropoint: ZeroPointOptions = _DEFAULT_ZEROPOINT,
    options: ExtinctionOptions = _DEFAULTS,
) -> tuple[Night | None, str]:
    """Fit zero point, color term and extinction of a night.

    Parameters
    ----------
    table
        One row per star and frame: ``frame``, ``star`` (names or numbers), ``airmass``, ``mag_inst``,
        ``mag_inst_err``, ``mag_cat``, ``mag_cat_err``, ``color`` [mag]; NaN unknown.
    system, catalog, color_name, note
        For the record.
    zeropoint
        How the catalog is fitted; its `extinction`, where given, is used where the night tells none.

    Returns
    -------
    night, reason
        None and why, where not even a zero point can be had.

    Raises
    ------
    DatasetError
        If a column is missing.
    """
    table = as_table(table, "table")
    values = _columns(table)
    frame_names, frame = np.unique(np.asarray(table["frame"]), return_inverse=True)
    star_names, star = np.unique(np.asarray(table["star"]), return_inverse=True)
    good = np.isfinite(values["mag_inst"]) & np.isfinite(values["mag_inst_err"])
    if not good.any():
        return None, "no star has a usable magnitude in any frame"
    shape = (len(star_names), len(frame_names))
    mass = _per(values["airmass"], frame, len(frame_names))
    per_star = {
        name: _per(values[name], star, len(star_names)) for name in ("mag_cat", "mag_cat_err", "color")
    }

    def of_catalog(relative: Relative) -> tuple[ZeroPoint | None, str]:
        return fit_zeropoint(
            relative.stars, relative.stars_err, per_star["mag_cat"], per_star["mag_cat_err"],
            per_star["color"], system=system, catalog=catalog, color_name=color_name, note=note,
            options=replace(zeropoint, extinction=None, spatial="none"),
        )  # fmt: skip

    def of_frames(mag: Floats) -> Relative:
        return relative_zeropoints(
            mag[good], values["mag_inst_err"][good], star[good], frame[good], shape, kappa=options.kappa
        )

    relative = of_frames(values["mag_inst"])
    zero, reason = of_catalog(relative)
    if zero is None:
        return None, reason
    run, k_reason = _run(relative, mass, options)
    second = SecondOrder(reason=k_reason)
    if not k_reason:
        second = second_order(
            (values["mag_inst"] + relative.frames[frame])[good], values["mag_inst_err"][good], star[good],
            mass[frame][good], per_star["color"], reference=zero.color_reference, kappa=options.kappa,
        )  # fmt: skip
        second = replace(second, airmass=run.airmass)  # where the zero point holds, as `_joined` has it
        if second.k != 0.0:
            relative = of_frames(values["mag_inst"] - second.of(per_star["color"][star], mass[frame]))
            again, _ = of_catalog(relative)
            zero = again if again is not None else zero
            run, k_reason = _run(relative, mass, options)
    zero, above = _joined(zero, run, second, zeropoint.extinction if k_reason else None)
    return Night(
        zeropoint=zero, above=above, scatter=run.scatter,
        frames=_frames_table(frame_names, mass, relative, run, zero.mag), reason=k_reason,
        second_reason=second.reason,
    ), ""  # fmt: skip


def _columns(table: "QTable") -> dict[str, Floats]:
    missing = [name for name in _NEEDED if name not in table.colnames]
    if missing:
        raise DatasetError(
            f"has no column {', '.join(missing)}.",
            where="the table of the night",
            remedy=f"Give {', '.join(_NEEDED)}.",
        )
    return {name: column_numbers(table, name) for name in _NEEDED[2:]}


def _per(values: Floats, group: Integers, count: int) -> Floats:
    """Return the mean of the finite values of each group, NaN without any."""
    known = np.isfinite(values)
    total = np.bincount(group[known], values[known], count)
    number = np.bincount(group[known], minlength=count)
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


@dataclass(frozen=True, kw_only=True, slots=True)
class Relative:
    """Frames against each other.

    Attributes
    ----------
    frames, frames_err
        (frame,) zero point, with the mean 0, and its error [mag]; NaN for frames that share no star with
        most of the others.
    stars, stars_err
        (star,) mean instrumental magnitude at the mean zero point of the frames, and its error [mag].
    n_stars
        (frame,) measurements used.
    """

    frames: Floats
    frames_err: Floats
    stars: Floats
    stars_err: Floats
    n_stars: Integers


def relative_zeropoints(
    mag: Floats, err: Floats, star: Integers, frame: Integers, shape: tuple[int, int], *, kappa: float = 3.5
) -> Relative:
    """Fit ``m_ij = A_i - z_j`` to magnitudes of the same stars in many frames; a missing star loses no frame.

    The solution is that of light curves (`ensemble.solve_ensemble`): a star's scatter beyond its noise takes
    weight from it. Frames that no chain of stars links to most others are left out.

    Parameters
    ----------
    mag, err
        (measurement,) finite [mag]; of several of one star in a frame the last one counts.
    star, frame
        (measurement,) numbers from 0.
    shape
        Numbers of stars and frames.
    kappa
        Clipping threshold.
    """
    values, variance = np.full(shape, np.nan), np.full(shape, np.nan)
    values[star, frame], variance[star, frame] = mag, np.maximum(err, 1e-6) ** 2
    label = linked(np.isfinite(values))
    most = int(np.bincount(label[label >= 0]).argmax())
    values[:, label != most] = np.nan
    found = solve_ensemble(values, variance, kappa=kappa)
    level = float(np.nanmean(found.zero))
    return Relative(
        frames=level - found.zero, frames_err=found.zero_err, stars=found.mag + level,
        stars_err=found.mag_err, n_stars=found.n_stars,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The zero points of frames against airmass.

    Attributes
    ----------
    level, k
        ``z = level - k (X - airmass)`` [mag]; k is NaN where it was not fitted.
    covariance, empirical
        Of (level, k).
    airmass
        Mean of the frames used.
    scatter, residual, used
        As `Night` has them.
    """

    level: float
    k: float
    covariance: Floats
    empirical: Floats
    airmass: float
    scatter: float
    residual: Floats
    used: npt.NDArray[np.bool_]


def _run(relative: Relative, mass: Floats, options: ExtinctionOptions) -> tuple[Run, str]:
    """Fit the run with airmass; where it cannot be told, the mean of the frames and why."""
    known = np.isfinite(relative.frames)
    reason = ""
    if not np.isfinite(mass[known]).any():
        reason = "no extinction: the airmass is unknown (place and time are needed)"
    else:
        known = known & np.isfinite(mass)
        spread = float(np.ptp(mass[known]))
        if known.sum() < options.min_frames:
            reason = f"no extinction: {int(known.sum())} frames, {options.min_frames} are needed"
        elif spread < options.min_range:
            reason = f"no extinction: airmass spans {spread:.2f}, {options.min_range:g} are needed"
    z, err = relative.frames[known], relative.frames_err[known]
    middle = float(np.nanmean(mass[known])) if np.isfinite(mass[known]).any() else float("nan")
    design = np.ones((len(z), 1)) if reason else np.column_stack([np.ones(len(z)), -(mass[known] - middle)])
    fit = fit_linear(design, z, err, kappa=options.kappa)
    terms = design.shape[1]
    covariance, empirical = np.zeros((2, 2, 2))
    covariance[:terms, :terms] = fit.covariance
    empirical[:terms, :terms] = jackknife(
        design[fit.used], z[fit.used], err[fit.used] ** 2 + fit.scatter**2 + 1e-18
    )
    residual, used = np.full(len(relative.frames), np.nan), np.zeros(len(relative.frames), np.bool_)
    residual[known], used[known] = z - design @ fit.coefficients, fit.used
    found = Run(
        level=float(fit.coefficients[0]), k=float(fit.coefficients[1]) if terms == 2 else float("nan"),
        covariance=covariance, empirical=empirical, airmass=middle, scatter=fit.scatter, residual=residual,
        used=used,
    )  # fmt: skip
    return found, reason


def _joined(
    zero: ZeroPoint, run: Run, second: SecondOrder, fixed: float | None
) -> tuple[ZeroPoint, tuple[float, float]]:
    """Return the zero point with the airmass terms, and the one above the atmosphere.

    The catalog's part (Z, C), the night's part (level, k) and the second order rest on different residuals:
    their covariances add. A k that was given has no error. The second order is taken about the color and the
    airmass that the zero point holds at, and shifts none of the others.
    """
    k = run.k if np.isfinite(run.k) else (float("nan") if fixed is None else fixed)
    out, both = [], (zero.covariance, zero.covariance_empirical)
    errors = (second.err, second.err_empirical)
    for of_catalog, of_night, of_second in zip(both, (run.covariance, run.empirical), errors, strict=True):
        total = np.zeros((4, 4))
        total[:2, :2] = np.array(of_catalog)
        total[0, 0] += of_night[0, 0]
        total[2, 2] = of_night[1, 1]
        total[0, 2] = total[2, 0] = -of_night[0, 1]  # the coefficient is minus k
        total[3, 3] = of_second**2
        out.append(total)
    mag = zero.mag + run.level
    known, turned = bool(np.isfinite(k)), second.k != 0.0
    size = 2 + int(known) + int(known and turned)
    coefficients = (mag, zero.color_term, -k, -second.k)[:size]
    joined = replace(
        zero, mag=mag, err=float(np.sqrt(out[0][0, 0])), err_empirical=float(np.sqrt(out[1][0, 0])),
        terms=("zeropoint", "color", "airmass", "color_airmass")[:size], coefficients=coefficients,
        covariance=matrix(out[0][:size, :size]), covariance_empirical=matrix(out[1][:size, :size]),
        extinction=k, extinction_err=float(np.sqrt(run.covariance[1, 1])) if known else float("nan"),
        second_order=second.k if second.n_stars else float("nan"),
        second_order_err=second.err if turned else float("nan"), airmass=run.airmass,
    )  # fmt: skip
    step = np.array([1.0, 0.0, -run.airmass, 0.0])
    above = (mag + k * run.airmass, float(np.sqrt(step @ out[0] @ step)))
    return joined, above if known else (float("nan"), float("nan"))


def _frames_table(
    names: npt.NDArray[np.generic], mass: Floats, relative: Relative, run: Run, level: float
) -> "QTable":
    """Return one row per frame: its zero point [mag] where `level` is the night's, and what is left over."""
    from astropy.table import QTable

    frames = QTable(
        {
            "frame": names, "airmass": mass, "zeropoint": relative.frames + level - run.level,
            "zeropoint_err": relative.frames_err, "residual": run.residual, "n_stars": relative.n_stars,
            "use": run.used,
        }
    )  # fmt: skip
    for name in ("zeropoint", "zeropoint_err", "residual"):
        frames[name].unit = "mag"
    return QTable(frames)
