"""An invented catalog and small nights for the tests."""

import dataclasses

import astropy.units as u
import numpy as np
from astropy.table import QTable

from sciastro.simulate.plan import NightPlan, sky_cone
from sciastro.simulate.presets import adjusted, preset


def catalog(plan: NightPlan, n: int = 60, seed: int = 2) -> QTable:
    """Stars around the target of `plan`, as `io.reference.cone` gives them."""
    rng = np.random.default_rng(seed)
    ra, dec, radius = sky_cone(plan)
    x, y = rng.uniform(-radius, radius, (2, n))
    return QTable(
        {
            "ra": (ra + x / np.cos(np.deg2rad(dec))) % 360 * u.deg,
            "dec": (dec + y) * u.deg,
            "mag": np.sort(rng.uniform(7.5, 11.5, n)) * u.mag,
            "color": np.where(rng.random(n) < 0.1, np.nan, rng.normal(0.7, 0.3, n)) * u.mag,
        }
    )


def quiet(plan: NightPlan | None = None, **settings: object) -> NightPlan:
    """A tiny night whose camera has no defects."""
    base = {
        "camera.hot_pixels": 0.0,
        "camera.dead_pixels": 0.0,
        "camera.prnu": 0.0,
        "camera.vignetting": 0.0,
        "camera.dust": 0,
        "camera.cosmic_rays": 0.0,
        "sky.gradient": 0.0,
    }
    changed = adjusted(plan or preset("tiny"), {**base, **settings})
    return dataclasses.replace(changed)
