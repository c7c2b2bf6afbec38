"""Header text of a WCS is what astropy makes of it, card by card."""

import numpy as np
import pytest
from astropy.wcs import Sip

from sciastro.core.wcs import tan_wcs, text_to_wcs, wcs_to_header, wcs_to_text


def as_astropy(wcs):
    header = wcs_to_header(wcs)
    header["NAXIS1"], header["NAXIS2"] = (int(size) for size in wcs.pixel_shape)
    return "\n".join(card.image.rstrip() for card in header.cards)


@pytest.mark.parametrize("order", [2, 3, 5])
@pytest.mark.parametrize("inverse", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_text_with_distortion_is_that_of_astropy(order, inverse, named):
    rng = np.random.default_rng(order)
    wcs = tan_wcs(83.6, -5.4, 1.7, (100, 120), angle=31.0)
    matrices = rng.normal(0, 1, (4, order + 1, order + 1)) * 10.0 ** rng.integers(-17, 2, (4, 1, 1))
    matrices[0, 0, 0] = 0.0
    matrices[1, 1, 1] = 1.2345678901234567e-123
    matrices[2, 0, 1] = -0.1234567890123456789
    if named:
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    a, b, ap, bp = matrices
    wcs.sip = Sip(a, b, ap if inverse else None, bp if inverse else None, wcs.wcs.crpix)
    assert wcs_to_text(wcs) == as_astropy(wcs)
    assert wcs.sip is not None
    again = text_to_wcs(wcs_to_text(wcs))
    low = np.add.outer(range(order + 1), range(order + 1)) <= order
    np.testing.assert_allclose(again.sip.a[low], a[low], rtol=1e-12)


def test_text_without_distortion():
    wcs = tan_wcs(83.6, -5.4, 1.7, (100, 120))
    assert wcs_to_text(wcs) == as_astropy(wcs)
