"""Losses by frame and cause: shares, frames that stand out, maps on disk."""

import numpy as np
from astropy.io import fits

from sciastro.core.vocabulary import REJECTED_HIGH
from sciastro.integrate.reject import CAUSES
from sciastro.integrate.run import empty_stack
from sciastro.io.product_cards import ProductFacts
from sciastro.io.products import write_rejection_maps
from sciastro.recipe.rejected import losses, name_outstanding, outstanding


def stack_of(high):
    arrays = empty_stack((100, 200), len(high), maps=True)
    arrays.lost[:, CAUSES.index("rejected_high")] = high
    return arrays


def test_shares_are_of_the_part_that_lies_on_the_canvas():
    arrays = stack_of([100, 100])
    arrays.lost[1, CAUSES.index("outside")] = 15_000
    arrays.lost[1, CAUSES.index("trail")] = 500
    first, second = losses(arrays)
    assert (first["rejected_high"], second["rejected_high"], second["trail"]) == (0.005, 0.02, 0.1)
    assert "outside" not in first


class Listener:
    def __init__(self):
        self.said = []

    def warn(self, text):
        self.said.append(text)


def test_a_frame_far_above_the_others_is_named():
    lost = losses(stack_of([20, 24, 18, 900, 22, 25]))
    assert outstanding(lost) == [3]
    listener = Listener()
    name_outstanding([f"light_{i}.fits" for i in range(6)], lost, "m31_r", listener)
    assert len(listener.said) == 1
    assert listener.said[0].startswith("light_3.fits: 4.5 % of its pixels were rejected in m31_r (median of")
    assert outstanding(losses(stack_of([20, 24, 18, 60, 22, 25]))) == []  # 0.2 % more is no news
    assert outstanding(losses(stack_of([20, 24, 18, 900]))) == []


def test_maps_are_written_with_named_planes(tmp_path):
    planes = {name: np.full((8, 9), k, np.uint16) for k, name in enumerate(CAUSES)}
    path = write_rejection_maps(
        tmp_path / "x_rejection.fits", planes, wcs=None, facts=ProductFacts(target="M 31", band="R")
    )
    with fits.open(path, checksum=True) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == [name.upper() for name in CAUSES]
        assert (hdus["TRAIL"].data == 2).all() and hdus["TRAIL"].data.dtype == np.uint16
        assert hdus[0].header["PRODUCT"] == "REJECTION" and hdus[0].header["OBJECT"] == "M 31"
    assert REJECTED_HIGH.name in planes
