"""Straight motion at constant speed through positions with errors: weighted least squares."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Motion", "fit_motion"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Motion:
    """A line at constant speed.

    Attributes
    ----------
    time
        Weighted mean time, where place and speed are independent.
    x, y, vx, vy
        Place then, and speed.
    place_err, speed_err
        1 sigma along each axis.
    chi2, dof
        Of the residuals along both axes.
    gain
        By how much chi2 is larger for a place that stands still (2 degrees of freedom).
    """

    time: float
    x: float
    y: float
    vx: float
    vy: float
    place_err: float
    speed_err: float
    chi2: float
    dof: int
    gain: float

    def at(self, time: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return x and y at `time`."""
        run = np.asarray(time, dtype=np.float64) - self.time
        return self.x + self.vx * run, self.y + self.vy * run


def fit_motion(time: Floats, x: Floats, y: Floats, err: Floats) -> Motion | None:
    """Return the line; None with fewer than two different times.

    Parameters
    ----------
    time, x, y, err
        (n,); `err` holds along each axis.
    """
    if time.size < 2 or np.ptp(time) <= 0:
        return None
    weight = 1 / err**2
    total = float(weight.sum())
    middle = float(weight @ time) / total
    run = time - middle
    lever = float(weight @ run**2)
    x0, y0 = float(weight @ x) / total, float(weight @ y) / total
    vx, vy = float(weight @ (run * x)) / lever, float(weight @ (run * y)) / lever
    rest = weight @ ((x - x0 - vx * run) ** 2 + (y - y0 - vy * run) ** 2)
    return Motion(
        time=middle, x=x0, y=y0, vx=vx, vy=vy, place_err=total**-0.5, speed_err=lever**-0.5,
        chi2=float(rest), dof=2 * time.size - 4, gain=lever * (vx**2 + vy**2),
    )  # fmt: skip
