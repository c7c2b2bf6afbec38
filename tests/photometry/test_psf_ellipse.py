"""The analytic profile is an ellipse whatever a fit tries: a hyperbola has no light to be told."""

import numpy as np
import pytest

from sciastro.photometry.psfbuild import ellipse
from sciastro.photometry.psfmodel import analytic_table, node_offsets


@pytest.mark.parametrize("p", [(0, 0, 0), (0.3, 1, 1), (-2, 3, -3), (0, 40, 40), (90, -5, 2), (-90, 0, 9)])
def test_any_parameters_give_an_ellipse(p: tuple[float, float, float]) -> None:
    a, b, c = ellipse(0.2, np.array(p, np.float64))
    assert min(a, c) > 0
    assert a * c - b**2 > 0
    table = analytic_table((a, b, c), 2.5, node_offsets(10.0, 2), inside=9.0)
    assert np.isfinite(table).all()


def test_small_elongations_are_their_parameters() -> None:
    a, b, c = ellipse(0.2, np.array([0.0, 0.03, -0.04]))
    assert (a - c) / (a + c) == pytest.approx(0.03, rel=0.01)
    assert 2 * b / (a + c) == pytest.approx(-0.04, rel=0.01)
