"""A calibration file that changes while a run goes on is named; it does not end in a traceback."""

import pytest
from session_frames import write

from sciastro.errors import FileError
from sciastro.recipe.mastersources import image_of
from sciastro.recipe.session import scan


def test_an_image_that_is_gone_is_named(tmp_path):
    from dataclasses import replace

    write(tmp_path / "bias_1.fits", IMAGETYP="Bias Frame", EXPTIME=0.0)
    frame = scan(tmp_path).frames[0]
    path = tmp_path / frame.path
    assert image_of(path, frame).hdu == frame.hdu
    with pytest.raises(FileError, match="holds no image in HDU 7 any more"):
        image_of(path, replace(frame, hdu=7))
