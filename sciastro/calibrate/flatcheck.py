"""Whether flats can be used: neither saturated nor black. And the options that masters are made with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.sampling import ReadRows, Sample, take_sample
from sciastro.core.options import Options, option
from sciastro.errors import MatchError
from sciastro.kernels.reduce import (
    METHODS,
)

__all__ = ["UNKNOWN", "FlatCheck", "MasterOptions", "ceiling_of", "check_flats", "refuse_bad_flats"]

Floats = npt.NDArray[np.float32]
UNKNOWN = 1e9  # no camera saturates there: the level is not known


@dataclass(frozen=True, kw_only=True, slots=True)
class MasterOptions(Options):
    """How calibration frames are combined."""

    reject: str = option("winsorized", "Rejection rule.", choices=tuple(METHODS))
    low: float = option(4.0, "Rejection threshold below the center, in the rule's own unit.", low=0.0)
    high: float = option(3.0, "Rejection threshold above the center, in the rule's own unit.", low=0.0)
    max_iterations: int = option(5, "Rejection passes at most.", low=0, high=50)
    max_saturated: float = option(
        0.01, "Fraction of saturated pixels that makes a flat unusable.", low=0.0, high=1.0
    )
    min_flat_level: float = option(
        0.005,
        "Level above bias, as a fraction of saturation, below which a flat is black.",
        low=0.0,
        high=1.0,
    )
    equalize: bool = option(
        True,
        "Divide each phase of a color sensor's flat by its own level, so that the color of the flat "
        "does not print into the lights.",
    )


DEFAULTS = MasterOptions()


@dataclass(frozen=True, kw_only=True, slots=True)
class FlatCheck:
    """Whether one flat can be used.

    Attributes
    ----------
    level
        Trimmed mean above what is subtracted [adu].
    saturated
        Fraction of saturated pixels.
    reason
        Why it cannot be used; empty if it can.
    """

    level: float
    saturated: float
    reason: str


def check_flats(
    readers: Sequence[ReadRows],
    shape: tuple[int, int],
    *,
    options: MasterOptions = DEFAULTS,
    subtract: Floats | None = None,
    saturation: float = 65_535.0,
    sample: Sample | None = None,
) -> list[FlatCheck]:
    """Look at bands of every flat for saturation and darkness, so that the bad ones can be left out.

    Parameters
    ----------
    readers
        One per frame: ``read(y0, y1)`` returns those rows [adu].
    shape
        Rows and columns.
    options
        Thresholds.
    subtract
        Master bias or dark-flat [adu], or None: then the level includes the bias, and a flat counts as
        black below four times the threshold.
    saturation
        Level at which pixels saturate [adu]; 97 % of it counts. NaN or 1e9 and more: unknown, and only a
        flat without any light above what is subtracted counts as black.
    sample
        From `take_sample` with this `subtract`, the ceiling `ceiling_of(saturation)`, and means; None reads
        one.
    """
    if sample is None:
        sample = take_sample(readers, shape, subtract=subtract, ceiling=ceiling_of(saturation), means=True)
    least = _least_level(options, saturation, subtract is None)
    return [
        _checked(float(mean), float(top), least, options, saturation)
        for mean, top in zip(sample.means, sample.raw_top, strict=True)
    ]


def ceiling_of(saturation: float) -> float:
    """Return the level from which a pixel counts as saturated [adu]."""
    return 0.97 * saturation


def _least_level(options: MasterOptions, saturation: float, with_bias: bool) -> float:
    if not saturation < UNKNOWN:
        return 0.0
    return options.min_flat_level * saturation * (4 if with_bias else 1)


def _checked(level: float, top: float, least: float, options: MasterOptions, saturation: float) -> FlatCheck:
    reason = ""
    if not np.isfinite(level):
        reason = "holds no numbers"
    elif top > options.max_saturated:
        reason = f"is saturated: {100 * top:.1f} % of its pixels reach 97 % of {saturation:g} adu"
    elif level <= least:
        reason = f"is black: its level is {level:.1f} adu, and {least:.1f} adu is the least"
    return FlatCheck(level=level, saturated=top, reason=reason)


def refuse_bad_flats(sample: Sample, options: MasterOptions, saturation: float, with_bias: bool) -> None:
    """Raise a MatchError that names every flat of a sample that cannot be used.

    Parameters
    ----------
    sample
        Of every flat, with means.
    options, saturation
        As in `check_flats`.
    with_bias
        Whether the bias is still in the values.

    Raises
    ------
    MatchError
        If any flat is saturated or black.
    """
    least = _least_level(options, saturation, with_bias)
    checks = [
        _checked(float(mean), float(top), least, options, saturation)
        for mean, top in zip(sample.means, sample.raw_top, strict=True)
    ]
    bad = [f"frame {number + 1} {check.reason}" for number, check in enumerate(checks) if check.reason]
    if len(bad) > 4:
        bad = [*bad[:3], f"and {len(bad) - 3} more"]
    if bad:
        raise MatchError(
            f"cannot be made: {'; '.join(bad)}.",
            where="master flat",
            remedy="Leave these flats out, or take new ones at 30 to 60 % of full scale.",
        )
