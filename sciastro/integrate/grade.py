"""Weigh frames and leave the bad ones out, each with its reason.

Reads the `frame` coordinates ``fwhm``, ``eccentricity``, ``sky``, ``noise``, ``n_stars``, ``exposure``,
``filter``, and where present ``target``, ``transparency``, ``from_reference``, ``elongation`` (axis ratio
common to all stars, 1 round), ``psf_signal``, ``airmass``, ``temperature``, ``registration_rms``, ``time``.
Writes ``weight`` (best frame 1), ``use`` and ``reason``.

Weights are inverse variances after normalization. For point sources on a sky-limited background
``w = t**2 / (noise**2 fwhm)`` with the transparency t: one power of the width, as the stars of a stack are
measured on the stack, not frame by frame. Why, and the other weights: `integrate.weights`; the measures that
a selection may name: `integrate.select`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.history import record
from sciastro.core.lift import require_loaded
from sciastro.core.options import Options, option
from sciastro.core.robust import mad_sigma
from sciastro.core.vocabulary import (
    AIRMASS,
    ECCENTRICITY,
    ELONGATION,
    EXPOSURE,
    FILTER,
    FROM_REFERENCE,
    FWHM,
    N_STARS,
    NOISE,
    PSF_SIGNAL,
    REASON,
    REGISTRATION_RMS,
    SKY,
    TARGET,
    TEMPERATURE,
    TIME,
    TRANSPARENCY,
    USE,
    WEIGHT,
    VariableSpec,
    labeled,
    require,
)
from sciastro.errors import DatasetError, OptionError
from sciastro.integrate.select import NOT_SELECTED, selection, weighting
from sciastro.integrate.weights import (
    LEAST,
    WEIGHTS,
    filled,
    group_measures,
    hours_since_first,
    weights,
)

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FrameFacts", "GradeOptions", "Grades", "MEASURED", "grade", "grade_facts"]

Floats = npt.NDArray[np.float64]
EXTRA = (PSF_SIGNAL, AIRMASS, TEMPERATURE, REGISTRATION_RMS)
MEASURED = (FWHM, ECCENTRICITY, SKY, NOISE, N_STARS, EXPOSURE, TRANSPARENCY, ELONGATION, *EXTRA)
KEPT = "kept nevertheless, as the group has no better frame"


@dataclass(frozen=True, kw_only=True, slots=True)
class GradeOptions(Options):
    """How frames are weighted, and when one is left out."""

    weight: str = option(
        "source_snr",
        "Inverse variance of point sources, of the sky, or of the noise as it is; PSF signal, sharpness, "
        "number of stars, exposure time, all equal, or `expression`.",
        choices=WEIGHTS,
    )
    expression: str = option(
        "", "Weight by this expression over measures, where `weight` is expression; scaled to best 1."
    )
    select: str = option(
        "", "Frames that do not fulfill this are left out, such as fwhm < 1.3 * median(fwhm), or best 80 %."
    )
    reject: bool = option(True, "Leave clouded, trailed and blurred frames out; else only name them.")
    kappa: float = option(
        4.0,
        "Robust scatter beyond which a frame differs from its group.",
        unit="sigma",
        low=1.0,
        high=20.0,
    )
    cloud: float = option(
        0.6, "Share of the group's transparency below which a frame is clouded.", low=0.0, high=1.0
    )
    blur: float = option(1.5, "Times the group's FWHM above which a frame is blurred.", low=1.0, high=10.0)
    eccentricity: float = option(0.7, "Eccentricity above which a frame may be trailed.", low=0.0, high=1.0)
    elongation: float = option(
        1.3, "Axis ratio common to all stars above which a frame may be trailed.", low=1.0, high=10.0
    )

    def __post_init__(self) -> None:
        """Check every field, and the expressions before any frame is read."""
        # Not super(): dataclass(slots=True) makes a new class, which the zero-argument form misses.
        Options.__post_init__(self)
        if self.select:
            selection(self.select, "GradeOptions.select")
        if self.weight == "expression" and not self.expression.strip():
            raise OptionError(
                "is empty, and the weight shall be that expression.",
                where="GradeOptions.expression",
                remedy="Give one, such as snr**2.",
            )
        if self.expression:
            weighting(self.expression, "GradeOptions.expression")


DEFAULTS = GradeOptions()


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """What frames are graded by.

    Attributes
    ----------
    measures
        (frame) arrays by name: those of `MEASURED` in their units, and ``hour`` [hour] since the first
        exposure; NaN where unknown.
    group
        (frame) frames of equal names are compared with each other.
    registered
        (frame) whether it has a place on the reference.
    """

    measures: Mapping[str, Floats]
    group: npt.NDArray[np.str_]
    registered: npt.NDArray[np.bool_]

    def of(self, members: npt.NDArray[np.intp]) -> "FrameFacts":
        """Return those of some frames alone."""
        measures = {name: values[members] for name, values in self.measures.items()}
        return FrameFacts(measures, self.group[members], self.registered[members])


@dataclass(frozen=True, slots=True)
class Grades:
    """Weight (0 only where `use` is False), use and reason of every frame (frame)."""

    weight: Floats
    use: npt.NDArray[np.bool_]
    reason: npt.NDArray[np.object_]


def grade(frames: "xr.Dataset", *, options: GradeOptions = DEFAULTS) -> "xr.Dataset":
    """Write weight, use and reason of every frame.

    Frames are compared within their group (same target and filter), by the group's median and the
    scatter of the better half, so that many bad frames do not hide each other. Floors of 5 %
    (transparency), 10 % (width), 0.05 (eccentricity) let a normal night pass whole.

    Parameters
    ----------
    frames
        ``fwhm`` [pixel], ``eccentricity``, ``sky`` and ``noise`` [electron / s], ``n_stars``,
        ``exposure`` [s], ``filter`` on `frame`, in memory. Not modified.
    options
        Weights and thresholds.

    Returns
    -------
    Dataset
        `frames` with the coordinates ``weight`` (0 only where ``use`` is False), ``use``, ``reason``.

    Raises
    ------
    DatasetError
        If a coordinate is missing, has the wrong unit, or is lazy.
    """
    needed = (FWHM, ECCENTRICITY, SKY, NOISE, N_STARS, EXPOSURE, FILTER)
    optional = (TARGET, TRANSPARENCY, FROM_REFERENCE, ELONGATION, *EXTRA, TIME)
    require(frames, *needed, *(spec for spec in optional if spec.name in frames.variables))
    require_loaded(frames, *(spec.name for spec in (*needed, *optional)))
    graded = grade_facts(_facts_of(frames), options=options)
    out = frames.assign_coords(
        weight=labeled(WEIGHT, graded.weight),
        use=labeled(USE, graded.use),
        reason=labeled(REASON, graded.reason.astype(np.str_)),
    )
    return record(out, "integrate.grade", options)


def grade_facts(facts: FrameFacts, *, options: GradeOptions = DEFAULTS) -> Grades:
    """Return weight, use and reason of every frame, as `grade` does, from plain arrays.

    Raises
    ------
    DatasetError
        If the weight asks for a measure that no frame has.
    """
    if options.weight == "psf_signal" and not np.isfinite(facts.measures[PSF_SIGNAL.name]).any():
        raise DatasetError(
            "is missing.", where="coordinate 'psf_signal'",
            remedy="Weigh by source_snr, or let a run measure it (`integrate.weights.psf_signal`).",
        )  # fmt: skip
    n = facts.group.size
    out = Grades(np.zeros(n), np.zeros(n, dtype=bool), np.full(n, "", dtype=object))
    for group in dict.fromkeys(facts.group):
        members = np.flatnonzero(facts.group == group)
        part = facts.of(members)
        out.weight[members], out.use[members], out.reason[members] = _grade_group(
            part.measures, part.registered, options
        )
    return out


def _facts_of(frames: "xr.Dataset") -> FrameFacts:
    def values(spec: VariableSpec) -> Floats:
        if spec.name not in frames.variables:
            return np.full(n, np.nan)
        return np.asarray(frames[spec.name].values, dtype=np.float64)

    n = frames.sizes["frame"]
    measures = {spec.name: values(spec) for spec in MEASURED}
    measures["hour"] = np.full(n, np.nan)
    if TIME.name in frames.variables:
        measures["hour"] = hours_since_first(frames[TIME.name].values)
    registered = np.ones(n, dtype=bool)
    if FROM_REFERENCE.name in frames.variables:
        registered = np.isfinite(frames[FROM_REFERENCE.name].values).all(axis=(1, 2))
    names = [str(name) for name in frames[FILTER.name].values]
    if TARGET.name in frames.variables:
        names = [f"{target}\n{name}" for target, name in zip(frames[TARGET.name].values, names, strict=True)]
    return FrameFacts(measures, np.array(names, dtype=np.str_), registered)


def _grade_group(
    facts: Mapping[str, Floats], registered: npt.NDArray[np.bool_], options: GradeOptions
) -> tuple[Floats, npt.NDArray[np.bool_], list[str]]:
    fatal = [_fatal(facts, registered, i) for i in range(registered.size)]
    sound = np.array([not text for text in fatal])
    measures = group_measures(facts, sound)
    weight = weights(measures, options.weight, options.expression, sound)
    bad = _outliers(facts, sound, options)
    use = sound & (np.array([not text for text in bad]) | (not options.reject))
    reason = [first or second for first, second in zip(fatal, bad, strict=True)]
    if not use.any():
        rest = sound if sound.any() else registered & np.isfinite(facts["noise"]) & (facts["exposure"] > 0)
        if rest.any():
            best = int(np.argmax(np.where(rest, weight, -1.0)))
            use[best], reason[best] = True, f"{reason[best]}; {KEPT}"
    if options.select:
        use, reason = _selected({**measures, "weight": weight}, use, reason, options.select)
    weight = np.where(use, weight, 0.0)
    if use.any():
        weight = np.where(use, np.maximum(weight / weight[use].max(), LEAST), 0.0)
    return weight, use, [text or _weighted_down(facts, weight, use, i) for i, text in enumerate(reason)]


def _selected(
    measures: dict[str, Floats], use: npt.NDArray[np.bool_], reason: list[str], text: str
) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Leave out what does not fulfill the user's selection; summaries are over the frames fit for use."""
    wish = selection(text)
    kept = wish.decisions(measures, use)
    told = [
        f"{NOT_SELECTED}: {'; '.join(wish.failures(measures, i, use))}" if use[i] and not kept[i] else why
        for i, why in enumerate(reason)
    ]
    return use & kept, told


def _fatal(facts: Mapping[str, Floats], registered: npt.NDArray[np.bool_], i: int) -> str:
    if not facts["exposure"][i] > 0:
        return "no exposure time"
    if not np.isfinite(facts["noise"][i]):
        return "no usable pixel"
    if not facts["n_stars"][i] > 0:
        return "no stars"
    return "" if registered[i] else "unregistered: no star pattern in common with the reference frame"


def _reference(values: Floats, better: int) -> tuple[float, float]:
    """Return the level of a group and the robust scatter of its better half (`better` +1: high is good)."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return float("nan"), float("nan")
    if known.size < 3:
        return float(known.max() if better > 0 else known.min()), 0.0
    center = float(np.median(known))
    half = (known - center)[(known - center) * better >= 0]
    return center, mad_sigma(half, 0.0)


def _outliers(facts: Mapping[str, Floats], sound: npt.NDArray[np.bool_], options: GradeOptions) -> list[str]:
    """Return the reason why a frame differs from its group, or an empty text."""
    t, fwhm, stars = facts["transparency"], facts["fwhm"], facts["n_stars"]
    t0, t_spread = _reference(t[sound], +1)
    f0, f_spread = _reference(fwhm[sound], -1)
    e0, e_spread = _reference(facts["eccentricity"][sound], -1)
    a0, a_spread = _reference(facts["elongation"][sound], -1)
    seconds = facts["exposure"][sound]
    alike = seconds.size > 0 and float(seconds.max()) <= 1.2 * float(seconds.min())
    n0, n_spread = _reference(stars[sound], +1) if alike else (float("nan"), float("nan"))
    k = options.kappa
    reasons = []
    for i in range(t.size):
        found = []
        few = stars[i] < min(0.5 * n0, n0 - k * max(n_spread, np.sqrt(n0)))
        if t[i] < min(options.cloud * t0, t0 - k * max(t_spread, 0.05 * t0)):
            found.append(f"clouded: transparency {t[i] / t0:.2f} of the group's")
        elif few and (np.isnan(t[i]) or stars[i] < 0.3 * n0):
            found.append(f"clouded: {stars[i]:.0f} stars against {n0:.0f} of the group")
        ecc, axis = facts["eccentricity"][i], facts["elongation"][i]
        if axis > max(options.elongation, a0 + k * max(a_spread, 0.05)):
            found.append(f"trailed: all stars {axis:.2f} times longer than wide along one direction")
        elif np.isnan(axis) and ecc > max(options.eccentricity, e0 + k * max(e_spread, 0.05)):
            found.append(f"trailed: eccentricity {ecc:.2f} against {e0:.2f} of the group")
        if fwhm[i] > max(options.blur * f0, f0 + k * max(f_spread, 0.1 * f0)):
            found.append(f"blurred: FWHM {fwhm[i]:.1f} px against {f0:.1f} of the group")
        reasons.append("; ".join(found) if sound[i] else "")
    return reasons


def _weighted_down(facts: Mapping[str, Floats], weight: Floats, use: npt.NDArray[np.bool_], i: int) -> str:
    """Return why a used frame weighs less than half of its group's median, or an empty text."""
    typical = float(np.median(weight[use])) if use.any() else 0.0
    if not use[i] or weight[i] >= 0.5 * typical:
        return ""
    parts = []
    for name, word, better in (
        ("transparency", "transparency", 1),
        ("fwhm", "FWHM", -1),
        ("noise", "noise", -1),
    ):
        level = filled(facts[name])
        ratio = float(level[i] / np.median(level[use]))
        if (ratio if better > 0 else 1 / ratio if ratio > 0 else np.inf) < 0.87:
            parts.append(f"{word} {ratio:.2f} of the group's")
    return "weighted down: " + (
        ", ".join(parts) if parts else f"{weight[i] / typical:.2f} of the group's weight"
    )
