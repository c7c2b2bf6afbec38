"""Scintillation by hand."""

import numpy as np
import pytest

from sciastro.errors import OptionError
from sciastro.photometry.scintillation import ScintillationOptions, scintillation_variance

YOUNG = ScintillationOptions(coefficient=1.0)


def test_one_meter_one_second_at_the_zenith_and_the_sea():
    # 1e-5 * 1 * 1^(-4/3) / 1 s: sigma 0.316 %.
    assert scintillation_variance(1.0, 1.0, 1.0, options=YOUNG) == pytest.approx(1e-5)


def test_young_1967_in_centimeters():
    # Young's own form: sigma = 0.09 D[cm]^(-2/3) X^1.75 exp(-h / 8000) / sqrt(2 t); within 7 % at the zenith.
    young = 0.09 * 30.0 ** (-2 / 3) * np.exp(-2000 / 8000) / np.sqrt(2 * 60.0)
    assert np.sqrt(scintillation_variance(60.0, 1.0, 0.3, 2000.0, options=YOUNG)) == pytest.approx(
        young, rel=0.08
    )


def test_grows_with_airmass_and_falls_with_aperture_time_and_height():
    one = scintillation_variance(30.0, 1.0, 0.2)
    assert scintillation_variance(30.0, 2.0, 0.2) == pytest.approx(8 * one)
    assert scintillation_variance(60.0, 1.0, 0.2) == pytest.approx(one / 2)
    assert scintillation_variance(30.0, 1.0, 1.6) == pytest.approx(one / 16)
    assert scintillation_variance(30.0, 1.0, 0.2, 4000.0) == pytest.approx(one * np.exp(-1))
    assert scintillation_variance(30.0, 1.0, 0.2, options=YOUNG) == pytest.approx(one / 2.25)


def test_comparison_stars_twinkle_too_and_unknown_airmass_is_unknown():
    some = scintillation_variance([30.0, 30.0], [1.0, np.nan], 0.2, comparisons=4)
    assert some[0] == pytest.approx(1.25 * scintillation_variance(30.0, 1.0, 0.2))
    assert np.isnan(some[1])


@pytest.mark.parametrize(
    ("exposure", "diameter", "altitude", "where"),
    [
        (30.0, 0.0, 0.0, "aperture"), (30.0, np.nan, 0.0, "aperture"), (0.0, 0.2, 0.0, "exposure"),
        (30.0, 0.2, np.nan, "height"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(exposure, diameter, altitude, where):
    with pytest.raises(OptionError, match=where):
        scintillation_variance(exposure, 1.0, diameter, altitude)
