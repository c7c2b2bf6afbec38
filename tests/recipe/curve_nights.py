"""A small simulated night in which one star is eclipsed, with the truth."""

from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from sciastro.kernels.transit import separation, transit_flux
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate import night as simulated
from sciastro.simulate.optics import sky_to_pixel

PLAN = {
    "telescope.focal_length": 150.0, "telescope.aperture": 60.0, "seeing": 12.9, "sky.least_density": 0.0,
    "sky.faintest": 13.0, "lights": 40, "exposure": 60.0, "overhead": 240.0, "biases": 4, "bands": "V",
    "flats": 8, "flip_shift": 0.0, "dither": 3.0,
}  # fmt: skip


@dataclass(frozen=True)
class Night:
    """Folder; place of the star [deg]; UTC of mid-transit [s since 1970]; Rp/Rs; duration [d]."""

    folder: Path
    ra: float
    dec: float
    middle: float
    k: float
    duration: float
    index: int

    @property
    def target(self):
        return f"{self.ra:.6f} {self.dec:.6f}"


def eclipse(hours, k, duration):
    """Return the flux at hours from mid-transit, b = 0.3, u = (0.4, 0.25)."""
    speed = 2 * np.sqrt((1 + k) ** 2 - 0.09) / (24 * duration)
    z, flux = np.empty(np.size(hours)), np.empty(np.size(hours))
    separation(np.atleast_1d(np.asarray(hours, float)), 0.0, 0.0, speed, 0.3, z)
    transit_flux(z, k, 0.4, 0.25, flux)
    return flux


def make_curve_night(
    folder, *, k=0.13, duration=0.066, rank=6, seed=1, scale=1.0, star=None, base=None, band="V", **plan
):
    """Write a night of 40 frames of 256 x 320 pixels, one every 5 minutes, and return its truth.

    Parameters
    ----------
    rank
        Which star is eclipsed: the brightest of those well inside the field is 0.
    scale
        Factor of its light.
    star
        Its number, where another night of the same sky told it.
    base
        Options instead of `PLAN`; `band` is the simulator's, whose light is eclipsed.
    """
    options = night_plan("tiny", (base or PLAN) | {"seed": seed} | plan)
    draw, found = simulated._image, {}

    def image(scene, spec):
        if spec.kind != "light":
            return draw(scene, spec)
        if not found:
            begin = [one.start for one in simulated.schedule(scene.plan) if one.kind == "light"]
            found["middle"] = np.mean([begin[0].timestamp(), begin[-1].timestamp()]) + spec.exposure / 2
            x, y = sky_to_pixel(spec.geometry, scene.stars["ra"], scene.stars["dec"])
            inside = np.flatnonzero((abs(x - 160) < 100) & (abs(y - 128) < 75))
            alone = [i for i in inside if np.sort(np.hypot(x - x[i], y - y[i]))[1] > 15]
            found["star"] = int(alone[rank]) if star is None else star
        middle = spec.start.timestamp() + spec.exposure / 2
        rates = scene.rates[spec.band].copy()
        rates[found["star"]] *= scale * eclipse((middle - found["middle"]) / 3600, k, duration)[0]
        return draw(replace(scene, rates={spec.band: rates}), spec)

    with patch.object(simulated, "_image", image):
        write_night(options, folder)
    from sciastro.simulate.truth import Truth

    stars = Truth.load(folder).stars
    row = stars[found["star"]]
    ra, dec = (float(getattr(row[name], "value", row[name])) for name in ("ra", "dec"))
    return Night(folder, ra, dec, found["middle"], k, duration, found["star"])
