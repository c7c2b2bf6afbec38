"""Stretches against the published formulas worked out by hand, and against their own inverses."""

import numpy as np
import pytest

from sciastro.render.stretch import (
    ArcsinhParameters,
    StfParameters,
    apply_arcsinh,
    apply_stf,
    arcsinh_beta,
    autostretch,
    invert_arcsinh,
    invert_stf,
    mtf,
    mtf_balance,
    mtf_inverse,
)


def test_mtf_by_hand():
    # M(m, x) = (m-1) x / ((2m-1) x - m); m = 0.25, x = 0.5: -0.375 / (-0.25 - 0.25) = 0.75
    assert float(mtf(0.5, 0.25)) == pytest.approx(0.75)
    assert float(mtf(0.25, 0.25)) == pytest.approx(0.5)  # M(m, m) = 1/2
    assert mtf(np.array([0.0, 1.0, -3.0, 7.0]), 0.01).tolist() == [0.0, 1.0, 0.0, 1.0]
    assert mtf(np.linspace(0, 1, 11), 0.5) == pytest.approx(np.linspace(0, 1, 11))
    assert np.isnan(mtf(np.array([np.nan]), 0.2)[0])


@pytest.mark.parametrize("m", [1e-4, 0.01, 0.3, 0.5, 0.9])
def test_mtf_round_trip(m):
    x = np.linspace(0, 1, 1001)
    assert mtf_inverse(mtf(x, m), m) == pytest.approx(x, abs=1e-11)
    assert np.all(np.diff(mtf(x, m)) > 0)


@pytest.mark.parametrize("x", [1e-4, 0.02, 0.4])
def test_balance_hits_the_target(x):
    assert float(mtf(x, mtf_balance(x, 0.25))) == pytest.approx(0.25, abs=1e-6)


def test_autostretch_by_hand():
    # values 0.09 0.10 0.11: median 0.10, MAD 0.01 of (0.01, 0, 0.01) -> 0.01
    # c = 0.10 - 2.8 * 1.4826 * 0.01 = 0.0584872; m = M(0.25, 0.0415128)
    image = np.array([[0.09, 0.10, 0.11]])
    got = autostretch(image)
    assert got.shadows[0] == pytest.approx(0.0584872)
    d = 0.0415128
    assert got.midtones[0] == pytest.approx((0.25 - 1) * d / ((0.5 - 1) * d - 0.25))
    assert got.highlights == (1.0,)
    stretched = apply_stf(image, got)
    # the published form divides by 1 - c after choosing m, so the median lands a little above 0.25
    assert float(stretched[0, 1]) == pytest.approx(float(mtf(d / (1 - 0.0584872), got.midtones[0])))
    assert 0.25 < float(stretched[0, 1]) < 0.27


def test_linked_uses_the_mean_and_unlinked_does_not():
    rng = np.random.default_rng(0)
    image = rng.normal([0.05, 0.10, 0.15], [0.001, 0.002, 0.003], (64, 64, 3))
    linked, own = autostretch(image), autostretch(image, linked=False)
    assert len(set(linked.shadows)) == 1
    assert linked.shadows[0] == pytest.approx(np.mean(own.shadows))
    medians = np.median(apply_stf(image, own), axis=(0, 1))
    assert medians == pytest.approx([medians[0]] * 3, abs=0.03)  # 1 - c differs
    medians = np.median(apply_stf(image, linked), axis=(0, 1))
    assert medians[0] < medians[1] < medians[2]  # color kept


def test_black_point_is_clipped_to_zero():
    image = np.random.default_rng(0).normal(0.01, 0.02, (50, 50)).clip(0, 1)
    assert autostretch(image).shadows == (0.0,)


def test_bright_images_take_the_inverted_branch():
    image = 1 - np.array([[0.09, 0.10, 0.11]])
    got = autostretch(image)
    # mirrored: white point 0.9 + 0.0415128, and m = 1 - M(0.25, 0.0415128)
    assert got.inverted
    assert got.highlights[0] == pytest.approx(0.9415128)
    mirrored = autostretch(1 - image)
    assert got.midtones[0] == pytest.approx(1 - mirrored.midtones[0])
    assert apply_stf(image, got) == pytest.approx(1 - apply_stf(1 - image, mirrored), abs=1e-9)


def test_nan_is_left_out_and_stays():
    image = np.array([[0.09, 0.10, np.nan, 0.11]])
    got = autostretch(image)
    assert got.shadows[0] == pytest.approx(0.0584872)
    assert np.isnan(apply_stf(image, got)[0, 2])


def test_stf_round_trip_between_black_and_white():
    p = StfParameters(shadows=(0.01, 0.02, 0.0), midtones=(0.02, 0.05, 0.5), highlights=(0.9, 1.0, 0.8))
    image = np.random.default_rng(1).uniform(0.03, 0.79, (30, 40, 3))
    assert invert_stf(apply_stf(image, p), p) == pytest.approx(image, abs=1e-10)


def test_arcsinh_by_hand_and_color():
    # beta = 10, one channel: asinh(10 * 0.1) / asinh(10) = 0.881373587 / 2.998222950
    gray = apply_arcsinh(np.array([[0.1]]), ArcsinhParameters(beta=10.0))
    assert float(gray[0, 0]) == pytest.approx(0.881373587 / 2.998222950)
    pixel = np.array([[[0.3, 0.1, 0.05]]])
    out = apply_arcsinh(pixel, ArcsinhParameters(beta=100.0))
    assert out / out[..., :1] == pytest.approx(pixel / pixel[..., :1])  # ratios of channels survive
    # at L = 0 the factor is beta / asinh(beta), but 0 times anything is 0
    assert apply_arcsinh(np.zeros((1, 1, 3)), ArcsinhParameters(beta=100.0)).max() == 0


@pytest.mark.parametrize("beta", [0.0, 0.5, 30.0, 1e4])
def test_arcsinh_round_trip(beta):
    p = ArcsinhParameters(beta=beta, black=0.02)
    image = np.random.default_rng(1).uniform(0.03, 1, (30, 40, 3))
    assert invert_arcsinh(apply_arcsinh(image, p), p) == pytest.approx(image, rel=1e-9)


def test_arcsinh_beta_hits_the_target():
    beta = arcsinh_beta(0.01, 0.25)
    assert float(apply_arcsinh(np.array([[0.01]]), ArcsinhParameters(beta=beta))[0, 0]) == pytest.approx(0.25)
    assert arcsinh_beta(0.3, 0.25) == 0.0  # bright enough already


def test_parameters_are_plain_for_the_recipe():
    import json

    assert json.loads(json.dumps(autostretch(np.ones((4, 4)) * 0.1).as_dict()))["kind"] == "stf"
    assert json.loads(json.dumps(ArcsinhParameters(beta=3.0).as_dict()))["beta"] == 3.0
