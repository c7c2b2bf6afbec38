"""Companions that detection does not tell apart are told by how light grows; stars alone are not."""

import numpy as np
import pytest
from star_fields import as_stars, star_image

from sciastro.photometry.aperture import measure_sources
from sciastro.photometry.flags import SourceFlag

FWHM, SKY = 3.0, 100.0


def measured(companion, *, apart=1.2, seed=1, stretch=0.0):
    """Return which of 100 stars are flagged NEIGHBOR; every fifth has a companion that no list has."""
    rng = np.random.default_rng(seed)
    x, y = (40.0 + 50 * axis.ravel() + rng.uniform(-1, 1, 100) for axis in np.meshgrid(range(10), range(10)))
    light = 10 ** rng.uniform(4.3, 5.0, 100)
    double = np.arange(100) % 5 == 2
    angle = rng.uniform(0, 2 * np.pi, double.sum())
    shape = (540, 540)
    image = star_image(
        shape,
        np.r_[x, x[double] + apart * FWHM * np.cos(angle)],
        np.r_[y, y[double] + apart * FWHM * np.sin(angle)],
        np.r_[light, companion * light[double]],
        FWHM,
    )
    truth = image + SKY
    seen = rng.poisson(truth) - SKY
    table = measure_sources(
        seen.astype(np.float32), truth.astype(np.float32), np.zeros(shape, np.uint16), as_stars(x, y, FWHM),
        fwhm=FWHM,
    )  # fmt: skip
    return np.asarray(table["flags"]) & int(SourceFlag.NEIGHBOR) != 0, double, table


@pytest.mark.parametrize("apart", [1.0, 1.3])
def test_companions_are_told(apart):
    told, double, table = measured(0.1, apart=apart)
    assert told[double].mean() > 0.9
    assert told[~double].mean() < 0.03
    assert np.isfinite(table["flux"].value).all()


def test_stars_alone_are_not():
    told, _, _ = measured(0.0)
    assert told.mean() < 0.02
