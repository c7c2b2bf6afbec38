"""The step: facts per frame, lazy as the pixels, input untouched."""

import numpy as np
import pytest
import xarray as xr
from star_scenes import gaussian_field

from sciastro.core.history import history
from sciastro.core.lift import chunk_rows, is_lazy
from sciastro.core.quality import Quality
from sciastro.core.vocabulary import (
    ECCENTRICITY,
    EXPOSURE,
    FWHM,
    N_STARS,
    NOISE,
    QUALITY,
    SIGNAL,
    SKY,
    VARIANCE,
    labeled,
    require,
)
from sciastro.errors import DatasetError
from sciastro.measure.frames import measure
from sciastro.measure.stars import DetectOptions
from sciastro.measure.trailing import common_shape


@pytest.fixture
def frames():
    rng = np.random.default_rng(1)
    xy = rng.uniform(15, 285, (60, 2))
    planes = [
        gaussian_field((300, 300), xy, 10 ** rng.uniform(3, 5, 60), fwhm, seed=i)
        for i, fwhm in enumerate((2.5, 4.0))
    ]
    planes.append(np.full((300, 300), np.nan, np.float32))
    return xr.Dataset(
        {"signal": labeled(SIGNAL, np.stack(planes))},
        coords={"exposure": labeled(EXPOSURE, [10.0, 20.0, 20.0])},
    )


def test_facts_have_their_units_and_values(frames):
    out = measure(frames)
    require(out, FWHM, ECCENTRICITY, SKY, NOISE, N_STARS)
    np.testing.assert_allclose(out["fwhm"][:2], [2.5, 4.0], rtol=0.03)
    np.testing.assert_allclose(out["sky"][:2], [20.0, 10.0], rtol=0.01)  # 200 electron in 10 and 20 s
    np.testing.assert_allclose(out["noise"][:2], [np.sqrt(209) / 10, np.sqrt(209) / 20], rtol=0.03)
    assert out["n_stars"].values.tolist()[2] == 0
    assert out["n_stars"].values[0] > 40
    assert np.isnan([out[name].values[2] for name in ("fwhm", "eccentricity", "sky", "noise")]).all()
    assert history(out)[-1]["step"] == "measure.stars"


def test_input_is_untouched(frames):
    before = frames.copy(deep=True)
    measure(frames)
    xr.testing.assert_identical(frames, before)


def test_lazy_in_lazy_out_same_numbers(frames):
    lazy = measure(chunk_rows(frames, 100))
    assert is_lazy(lazy["fwhm"]) and is_lazy(lazy["signal"])
    xr.testing.assert_allclose(lazy.compute(), measure(frames))


def test_quality_and_variance_enter_where_present(frames):
    shape = frames["signal"].shape
    quality = np.zeros(shape, np.uint16)
    quality[1] = int(Quality.DO_NOT_USE)
    more = frames.assign(
        quality=labeled(QUALITY, quality), variance=labeled(VARIANCE, np.full(shape, 209 * 25.0, np.float32))
    )
    out = measure(more)
    assert out["n_stars"].values[1] == 0 and np.isnan(out["sky"].values[1])
    assert out["n_stars"].values[0] < measure(frames)["n_stars"].values[0]  # five times the noise


def test_missing_exposure_is_named(frames):
    with pytest.raises(DatasetError, match="variable 'exposure': is missing"):
        measure(frames.drop_vars("exposure"))


def test_options_reach_the_measurement(frames):
    assert (measure(frames, options=DetectOptions(max_stars=5))["n_stars"].values[:2] == 5).all()


def test_round_stars_have_no_common_direction():
    from sciastro.measure.stars import measure_plane

    rng = np.random.default_rng(2)
    image = gaussian_field((400, 400), rng.uniform(15, 385, (120, 2)), 10 ** rng.uniform(3, 5, 120), 3.0)
    found = measure_plane(image)
    assert found.shape.elongation < 1.05
    assert not found.shape.trailed
    assert np.isnan(common_shape(found.stars[:0]).elongation)
