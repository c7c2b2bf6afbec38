"""Second-order extinction: found where it is, only there, and as uncertain as told."""

import numpy as np
import pytest
from test_calibration import AT, K, night

from sciastro.photometry.extinction import fit_extinction


def with_second_order(table, k2):
    """Return the night with `k2` (color - 0.7) (airmass - 1.5) more of extinction."""
    extra = k2 * (np.asarray(table["color"].value) - 0.7) * (np.asarray(table["airmass"]) - 1.5)
    table["mag_inst"] += extra * table["mag_inst"].unit
    return table


def fitted(seed, k2):
    found, _ = fit_extinction(with_second_order(night(seed), k2), zeropoint=AT)
    return found.zeropoint


def test_it_is_found_where_it_is():
    zeros = [fitted(seed, -0.03) for seed in range(8)]
    assert all("color_airmass" in zero.terms for zero in zeros)
    pulls = np.array([(zero.second_order + 0.03) / zero.second_order_err for zero in zeros])
    assert np.abs(pulls).max() < 3.2
    assert 0.4 < pulls.std() < 1.6
    for zero in zeros:
        assert zero.extinction == pytest.approx(K, abs=4 * zero.extinction_err + 1e-9)
        # A star 1 mag redder than the reference, one airmass above that of the zero point.
        design = zero.design([zero.color_reference + 1], airmass=[zero.airmass + 1])
        value, err = zero.at(design)
        assert value[0] == pytest.approx(zero.mag + zero.color_term - zero.extinction - zero.second_order)
        assert err[0] > zero.err


def test_it_is_not_made_up():
    zeros = [fitted(seed, 0.0) for seed in range(30, 42)]
    assert sum("color_airmass" in zero.terms for zero in zeros) <= 3
    assert all(zero.second_order == 0.0 for zero in zeros if "color_airmass" not in zero.terms)


def test_stars_of_one_color_tell_none():
    table = night(3)
    table["color"][:] = 0.7 * table["color"].unit
    found, _ = fit_extinction(table, zeropoint=AT)
    assert np.isnan(found.zeropoint.second_order)
    assert "0.00 mag of color" in found.second_reason
