"""Gain, read noise and dark current of a real camera, against published values."""

import json
from pathlib import Path

import pytest
from astropy.io import fits

from sciastro.calibrate.gain import measure_dark_current, measure_gain

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "detector_qsi683"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="real data of detector_qsi683 is not here")


@pytest.fixture(scope="module")
def frames():
    names = ("flat_1", "flat_2", "flat_dark_1", "flat_dark_2", "dark_1", "dark_2")
    return {name: fits.getdata(FOLDER / f"{name}.fits.fz", 1) for name in names}


@pytest.fixture(scope="module")
def published():
    return json.loads((FOLDER / "expected.json").read_text())


@pytest.fixture(scope="module")
def measured(frames):
    return measure_gain(*(frames[name] for name in ("flat_1", "flat_2", "flat_dark_1", "flat_dark_2")))


def test_gain(measured, published):
    assert measured.gain == pytest.approx(published["flat_24s_Ha"]["gain_e_per_DN"], rel=0.04)


def test_read_noise(measured, published):
    assert measured.read_noise == pytest.approx(published["flat_dark_24s"]["read_noise_e"], rel=0.04)
    assert measured.read_noise / measured.gain == pytest.approx(
        published["flat_dark_24s"]["temporal_noise_DN"], rel=0.04
    )


def test_dark_current(frames, measured, published):
    darks, short = [frames["dark_1"], frames["dark_2"]], [frames["flat_dark_1"], frames["flat_dark_2"]]
    got = measure_dark_current(darks, 2400, short, 24, gain=measured.gain)
    truth = published["dark_2400s"]
    assert got.rate == pytest.approx(truth["dark_current_e_per_s_from_offset"], rel=0.04)
    assert got.rate_from_noise == pytest.approx(truth["dark_current_e_per_s_from_noise"], rel=0.04)
