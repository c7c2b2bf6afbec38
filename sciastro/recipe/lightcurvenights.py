"""What the levels of nights differ beyond the errors of points, as the other stars of the field show it."""

import numpy as np
import numpy.typing as npt

from sciastro.photometry.comparison import SPOILED, is_variable
from sciastro.photometry.lightcurve import Curves
from sciastro.photometry.missing import median_of
from sciastro.photometry.neighbors import foreign_light
from sciastro.photometry.nightoffsets import NightOffsets, night_offsets
from sciastro.recipe.lightcurvearound import offsets_of
from sciastro.recipe.lightcurveframes import FieldSeries

__all__ = ["offsets_of_nights"]


def offsets_of_nights(
    series: FieldSeries, curves: Curves, night: npt.NDArray[np.int64], use: npt.NDArray[np.bool_]
) -> NightOffsets:
    """Return the errors of night levels.

    Comparison stars do not tell, since they were chosen for being constant, and their errors hold what each
    of them scatters: theirs is 0.

    Parameters
    ----------
    night, use
        (frame) number of the night; points of the target that count.
    """
    k = curves.aperture
    good = ((series.flags[k] & np.uint32(SPOILED)) == 0) & use[None, :]
    light = median_of(np.where(good, series.flux[k], np.nan), axis=1)
    pixel = offsets_of(series) * 3600 / series.scale
    radius = float(median_of(np.sqrt(series.area[k] / np.pi)))
    with np.errstate(divide="ignore", invalid="ignore"):
        near = foreign_light(pixel[:, 0], pixel[:, 1], light, radius, float(median_of(series.fwhm)))
        crowding, brightness = near / light, light / light[0]
    tell = np.array([not is_variable(curves.chosen.reasons.get(i, "")) for i in range(light.size)])
    tell[0], tell[curves.chosen.stars] = False, False
    positive = np.isfinite(light) & (light > 0)
    found = night_offsets(
        curves.flux, curves.err, night, good, np.where(positive, crowding, np.nan), brightness, tell
    )
    found.err[curves.chosen.stars] *= 0.0
    return found
