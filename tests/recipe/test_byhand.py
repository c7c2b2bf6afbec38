"""The way by hand gives what a run gives."""

import numpy as np
import pytest

import sciastro
from sciastro.calibrate.correct import CorrectOptions
from sciastro.errors import DatasetError
from sciastro.recipe.run import RunRequest, reduce_session
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate.truth import Truth


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("byhand") / "night"
    plan = night_plan(
        "tiny", {"target": "NGC 2244", "ra": 97.98, "dec": 4.94, "camera.rows": 400, "camera.columns": 500}
    )
    write_night(plan, folder)
    return folder


@pytest.fixture(scope="module")
def result(night):
    out = night.parent / "result"
    reduce_session(RunRequest(session=night, out=out, keep=("calibrated", "registered")))
    return out


def opened(night, kind):
    return sciastro.open(sorted(night.rglob(f"{kind}/*.fits")))


@pytest.fixture(scope="module")
def masters(night):
    bias = sciastro.make_master(opened(night, "BIAS"), "bias", gain=0.78)
    dark = sciastro.make_master(opened(night, "DARK"), "dark", gain=0.78)
    flat = sciastro.make_master(opened(night, "FLAT"), "flat", subtract=bias, gain=0.78)
    return sciastro.collect_masters(bias, dark, flat)


def test_masters_by_hand_are_those_of_the_run(masters, result):
    from_files = sciastro.open_masters(*(result / "masters").glob("*.fits"))
    assert set(from_files) == set(masters)
    for name in masters:
        np.testing.assert_allclose(from_files[name].values, masters[name].values, rtol=2e-5, err_msg=name)


def test_two_of_a_kind_are_refused(result):
    path = next((result / "masters").glob("bias*.fits"))
    with pytest.raises(DatasetError, match="second bias"):
        sciastro.open_masters(path, path)


def test_a_product_is_no_master(result):
    with pytest.raises(DatasetError, match="no master"):
        sciastro.open_masters(next((result / "products").glob("*_G.fits")))


def test_an_image_is_not_opened_with_frames(night, result):
    light = next(night.rglob("LIGHT/*.fits"))
    with pytest.raises(DatasetError, match="holds no frames"):
        sciastro.open([light, next((result / "products").glob("*_G.fits"))])


def test_registered_frames_that_a_run_kept_give_its_stack(result):
    frames = sciastro.open(sorted((result / "registered").glob("*.fits")))
    mine, product = sciastro.stack(frames), sciastro.open(next((result / "products").glob("*_G.fits")))
    noise = np.sqrt(product["image_variance"].values)
    assert np.nanmax(np.abs(mine["image"].values - product["image"].values) / noise) < 0.01
    np.testing.assert_allclose(mine["image_variance"].values, product["image_variance"].values, rtol=1e-5)
    np.testing.assert_array_equal(mine["image_quality"].values, product["image_quality"].values)
    np.testing.assert_allclose(
        mine["noise_correlation"].values, product["noise_correlation"].values, rtol=0.01
    )


def test_frames_that_are_not_registered_are_not_stacked_as_they_lie(result):
    frames = sciastro.open(sorted((result / "calibrated").glob("*.fits")))
    with pytest.raises(DatasetError, match="by its WCS"):
        sciastro.stack(frames)


def test_the_way_by_hand_ends_where_the_run_ends(night, masters, result):
    lights = sorted(night.rglob("LIGHT/*.fits"))
    frames = sciastro.correct(
        sciastro.open(lights), masters=masters, options=CorrectOptions(read_noise=3.0, saturation=64_400.0)
    )
    frames = sciastro.grade(sciastro.register(sciastro.measure_frames(frames)))
    assert frames["transparency"].values == pytest.approx(1.0, abs=0.02)
    image = sciastro.solve(sciastro.stack(frames), ra=98.0, dec=4.9, scale=1.74, epoch=2024.04)
    sources = sciastro.find_sources(image)
    image = sciastro.calibrate_photometry(
        image, sources=sources, catalog=sciastro.cone((97.98, 4.94), 0.3, epoch=2024.04)
    )
    product = sciastro.open(result / "products" / "NGC_2244_G.fits")
    # The same frames and steps; read noise is measured in the run, so weights and errors differ a little.
    assert image["zeropoint"].item() == pytest.approx(product["zeropoint"].item(), abs=0.02)
    middle = image.sky.wcs().pixel_to_world(250, 200)
    x, y = product.sky.wcs().world_to_pixel(middle)
    by_hand = np.nanmedian(image["image"].values[0, 150:250, 200:300])
    assert by_hand == pytest.approx(np.nanmedian(product["image"].values[0, 150:250, 200:300]), rel=0.02)
    assert (float(x), float(y)) == pytest.approx((250, 200), abs=0.2) or (
        float(x),
        float(y),
    ) == pytest.approx((249, 199), abs=0.2)


def test_facts_of_a_store_are_coordinates_in_memory(result):
    stack = sciastro.open(result / "frames.h5")
    assert set(stack.data_vars) == {"raw"}
    assert all(stack[name].chunks is None for name in stack.coords)


def test_truth_of_a_frame_is_what_calibration_tends_to(night, masters):
    path = next(night.rglob("LIGHT/*.fits"))
    frames = sciastro.correct(sciastro.open([path]), masters=masters, options=CorrectOptions(read_noise=3.0))
    light = Truth.load(night).light(str(path.relative_to(night))) * frames["exposure"].item()
    good = (frames["quality"].values[0] == 0) & (light < 2000)
    signal = frames["signal"].values[0]
    scale = signal[good].mean() / light[good].mean()  # the flat of level 1 keeps the mean loss of the optics
    pull = (signal - scale * light)[good] / np.sqrt(frames["variance"].values[0][good])
    assert (np.percentile(pull, 84.13) - np.percentile(pull, 15.87)) / 2 == pytest.approx(1.0, abs=0.05)
