"""A stack whose sources are much wider than the stars of its frames is doubted in words."""

from types import SimpleNamespace

import numpy as np
import pytest

from sciastro.recipe.finishing import _doubt_width


def told(fwhm, frames, scale=1.0):
    lights = [SimpleNamespace(measured=None if w is None else SimpleNamespace(fwhm=w)) for w in frames]
    stacked = SimpleNamespace(lights=lights, stem="M_8", band="R", canvas=SimpleNamespace(scale=scale))
    words = []
    _doubt_width(stacked, fwhm, SimpleNamespace(warn=words.append))
    return words


@pytest.mark.parametrize(
    ("fwhm", "frames", "scale"),
    [(2.6, [2.4, 2.5, 2.6], 1.0), (5.2, [2.4, 2.5, None], 2.0), (np.nan, [2.4], 1.0), (9.0, [np.nan], 1.0),
     (9.0, [], 1.0)],
)  # fmt: skip
def test_stars_of_the_width_of_the_frames_are_not_doubted(fwhm, frames, scale):
    assert told(fwhm, frames, scale) == []


def test_wider_ones_are():
    (words,) = told(7.74, [2.38, 2.4, np.nan], 2.0)
    assert "M_8 R: sources of the stack are 7.74 pixels wide, and stars of its frames 4.78" in words
    assert "stars.threshold" in words
