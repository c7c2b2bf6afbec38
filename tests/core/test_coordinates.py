"""World coordinates on a grid that lies aside."""

import numpy as np
import pytest
from astropy.wcs import Sip

from sciastro.core.wcs import moved, tan_wcs, text_to_wcs, wcs_to_text


@pytest.mark.parametrize("distorted", [False, True])
def test_a_grid_that_lies_aside_sees_the_same_sky(distorted):
    wcs = tan_wcs(83.6, -5.4, 2.0, (400, 500), angle=30)
    if distorted:
        a = np.zeros((4, 4))
        a[2, 0], a[0, 2], a[3, 0] = 2e-5, -1e-5, 1e-8
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
        wcs.sip = Sip(a, a.T.copy(), None, None, wcs.wcs.crpix)
    aside = text_to_wcs(wcs_to_text(moved(wcs, 0.25, -0.25)))
    x, y = np.array([0.0, 100.0, 480.0]), np.array([0.0, 390.0, 20.0])
    # Pixel (0, 0) of the new grid is at (0.25, -0.25) of the old one.
    expected = wcs.all_pix2world(x + 0.25, y - 0.25, 0)
    np.testing.assert_allclose(aside.all_pix2world(x, y, 0), expected, rtol=0, atol=1e-9)
