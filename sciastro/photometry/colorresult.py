"""What color calibration finds: gains with their covariance, and what they left of each star."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ColorCalibration", "ColorFit"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorCalibration:
    """Gains of bands, the second of three (green) being 1.

    Attributes
    ----------
    bands
        Names, in the order of the gains.
    gains, errors
        Factors to multiply the bands with, and their standard errors.
    covariance
        (band, band), of the gains; errors of the method itself (`model_error`) are not in it.
    slopes
        Change of ln of each ratio per magnitude of `color_name`; NaN where no slope was fitted.
    scatter
        Of single stars in ln of each ratio, beyond their errors.
    n_stars, n_left_out
        Stars used and stars clipped.
    white, white_name
        Color of what becomes gray [mag], and its name.
    method, stage
        How expected light was found, and how far the response was bent.
    color_name
        "BP-RP" or "B-V".
    scores
        Stage -> rms of the colors of left-out stars [mag]; empty where none was asked.
    model_error
        Typical error of a gain by the method itself [1].
    chi2
        Of the stars used by their errors alone, per degree of freedom.
    matrix
        3 x 3, on top of the gains; None unless asked for and left-out stars prefer it.
    matrix_scores
        rms of left-out stars' sRGB colors [mag] without and with it; None where it was not tried.
    note
        What else there is to say.
    """

    bands: tuple[str, ...] = ("R", "G", "B")
    gains: tuple[float, ...]
    errors: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    slopes: tuple[float, ...]
    scatter: tuple[float, ...]
    n_stars: int
    n_left_out: int = 0
    white: float
    white_name: str = ""
    method: str
    stage: str = "scalar"
    color_name: str = "B-V"
    scores: dict[str, float] = field(default_factory=dict)
    model_error: float = 0.0
    chi2: float = float("nan")
    matrix: tuple[tuple[float, ...], ...] | None = None
    matrix_scores: tuple[float, float] | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a recipe or a report."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ColorFit:
    """A calibration and what it left of each star.

    Attributes
    ----------
    calibration
        The result.
    star
        int64, rows of the stars given that took part.
    residuals
        (star, ratio), measured less modeled ratio to the reference band [mag], of those rows.
    used
        Which of them passed the clip.
    color
        Of those rows [mag].
    """

    calibration: ColorCalibration
    star: npt.NDArray[np.int64]
    residuals: Floats
    used: npt.NDArray[np.bool_]
    color: Floats
