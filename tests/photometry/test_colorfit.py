"""Color gains from star lists of known response: right, and within their errors."""

import numpy as np
import pytest
from color_stars import ASSUMED, b_v_stars, stars, true_gains, true_response

from sciastro.photometry.atmosphere import air
from sciastro.photometry.color import solve_gains
from sciastro.photometry.colormodel import white_reference
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.colorstars import ColorStars
from sciastro.photometry.jointfit import fit_joint
from sciastro.photometry.response import make_response

JOINT = 2.45  # largest Mahalanobis distance of two gains in 95 %: sqrt(chi2_2(0.95))


def runs(kind, seeds, n=150, *, tilt=0.0, white="G2V", spectra=False, airmass=1.4, **kwargs):
    """Return relative errors of the two free gains, whether inside 95 %, and the stages, over seeds."""
    truth = true_response(kind, tilt=tilt)
    gains = true_gains(truth, white)
    assumed = make_response(ASSUMED[kind], air(airmass, altitude=300.0))
    off, inside, stages = [], [], []
    for seed in range(seeds):
        given, _ = stars(np.random.default_rng(seed), n, truth, **kwargs)
        if not spectra:
            given = ColorStars.of(given.flux, given.flux_err, bp_rp=given.bp_rp)
        fit, reason = solve_gains(
            given, bands=tuple(ASSUMED[kind]), response=assumed, white=white_reference(white)
        )
        assert not reason
        found = fit.calibration
        wrong = np.delete(np.array(found.gains) / gains - 1, 1)
        matrix = np.array(found.covariance) / np.outer(found.gains, found.gains)
        matrix = matrix[np.ix_((0, 2), (0, 2))]
        off.append(wrong)
        inside.append(float(wrong @ np.linalg.solve(matrix, wrong)) < JOINT**2)
        stages.append(found.stage)
    return np.array(off), np.array(inside), stages


def test_known_response_and_extinction():
    off, inside, stages = runs("bayer", 3)  # many seeds: test_100_seeds
    assert np.abs(off).max() < 0.005
    assert inside.sum() >= 2
    assert stages.count("scalar") >= 2


def test_a_wrong_response_is_bent_and_the_gains_hold():
    off, _, stages = runs("bayer", 4, tilt=0.2)
    assert np.abs(off).max() < 0.008
    assert "scalar" not in stages


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("bayer", {}),
        ("dichroic", {"white": "spiral"}),
        ("narrow", {}),
        ("bayer", {"spectra": True, "white": "Vega"}),
        ("bayer", {"tilt": 0.2}),
    ],
)
def test_100_seeds(kind, options):
    off, inside, _ = runs(kind, 100, **options)
    assert (np.abs(off).max(axis=1) < 0.005).sum() >= 95
    assert inside.sum() >= 91  # 95 expected; 91 or more in 96 % of such experiments


def test_colors_of_stars_are_recovered():
    truth = true_response("bayer")
    given, light = stars(np.random.default_rng(5), 200, truth, snr=(100, 300))
    only = ColorStars.of(given.flux, given.flux_err, bp_rp=given.bp_rp)
    fit, _ = solve_gains(only, response=make_response(ASSUMED["bayer"], air(1.4, altitude=300.0)))
    gains, right = np.array(fit.calibration.gains), true_gains(truth)
    shown, true = -2.5 * np.log10(given.flux * gains), -2.5 * np.log10(light * right)
    wrong = (shown[:, [0, 2]] - shown[:, [1]]) - (true[:, [0, 2]] - true[:, [1]])
    assert np.median(np.abs(wrong)) < 0.01


def test_outliers_do_no_harm():
    off, _, _ = runs("bayer", 3, grown=True)
    assert np.abs(off).max() < 0.006


def test_b_v_serves_where_gaia_is_silent():
    truth = true_response("dichroic")
    given, _ = stars(np.random.default_rng(2), 120, truth)
    known = np.arange(120) % 4 > 0
    fit, _ = solve_gains(b_v_stars(given, known), response=make_response(ASSUMED["dichroic"]))
    assert len(fit.star) == known.sum()
    assert fit.calibration.gains == pytest.approx(true_gains(truth), rel=0.015)


def test_too_few_stars_say_why():
    truth = true_response("bayer")
    given, _ = stars(np.random.default_rng(2), 20, truth)
    none = ColorStars.of(given.flux, given.flux_err)
    fit, reason = solve_gains(none, response=truth)
    assert fit is None
    assert "0 stars have a color" in reason
    fit, reason = solve_gains(given, options=ColorOptions(method="locus"))
    assert "needs the curves" in reason
    red = given.flux.copy()
    red[:, 0] = np.nan  # saturated everywhere
    fit, reason = solve_gains(ColorStars.of(red, given.flux_err, bp_rp=given.bp_rp), response=truth)
    assert "0 stars" in reason
    bare = ColorStars.of(given.flux, given.flux_err, bp_rp=given.bp_rp)
    _, reason = solve_gains(bare, response=truth, options=ColorOptions(method="spectra"))
    assert "no star has a measured spectrum" in reason


def test_stars_of_one_color_give_a_factor_only():
    truth = true_response("bayer")
    given, _ = stars(np.random.default_rng(2), 80, truth, colors=(0.80, 0.82))
    fit, _ = solve_gains(ColorStars.of(given.flux, given.flux_err, bp_rp=given.bp_rp), response=truth)
    assert fit.calibration.stage == "scalar"
    assert fit.calibration.note
    assert fit.calibration.gains == pytest.approx(true_gains(truth), rel=0.01)


def test_common_errors_enter_the_covariance():
    truth = true_response("bayer")
    given, _ = stars(np.random.default_rng(2), 80, truth)
    one, _ = solve_gains(given, response=truth)
    two, _ = solve_gains(given, response=truth, common=[0.0, 0.01, 0.02])
    more = np.array(two.calibration.covariance) - np.array(one.calibration.covariance)
    gains = np.array(one.calibration.gains)
    expected = np.outer(gains, gains) * np.array([[1e-4, 0, 1e-4], [0, 0, 0], [1e-4, 0, 5e-4]])
    assert more == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_joint_fit_against_plain_least_squares():
    rng = np.random.default_rng(1)
    n, sigma = 60, 0.05
    x = rng.uniform(-1, 1, n)
    design = np.zeros((n, 2, 4))
    design[:, 0, 0] = design[:, 1, 1] = 1
    design[:, 0, 2] = design[:, 1, 3] = x
    y = design @ np.array([0.1, -0.2, 0.5, 0.3]) + rng.normal(0, sigma, (n, 2))
    fit = fit_joint(design, y, np.broadcast_to(sigma**2 * np.eye(2), (n, 2, 2)))
    plain = np.linalg.lstsq(np.column_stack([np.ones(n), x]), y, rcond=None)[0]
    assert fit.coefficients == pytest.approx([*plain[0], *plain[1]], abs=2e-3)
    assert fit.used.all()
    with pytest.raises(ValueError, match="cannot fix"):
        fit_joint(design[:1], y[:1], np.broadcast_to(np.eye(2), (1, 2, 2)))


def test_the_scatter_matrix_is_found():
    true = np.array([[1.0, 0.5], [0.5, 2.0]]) * 1e-4
    found, pulls = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        e = np.exp(rng.uniform(np.log(0.003), np.log(0.05), (150, 3)))
        error = e[:, [0, 2], None] ** 2 * np.eye(2) + e[:, [1], None] ** 2
        noise = e * rng.normal(size=e.shape)
        y = rng.multivariate_normal([0, 0], true, 150) + noise[:, [0, 2]] - noise[:, [1]]
        fit = fit_joint(np.broadcast_to(np.eye(2), (150, 2, 2)), y, error)
        found.append(fit.scatter)
        pulls.append(fit.coefficients / np.sqrt(np.diag(fit.covariance)))
    assert np.mean(found, axis=0) == pytest.approx(true, rel=0.15)
    assert 0.75 < np.std(pulls) < 1.25


def test_a_matrix_only_where_left_out_stars_ask_for_it():
    truth = true_response("dichroic")
    given, _ = stars(np.random.default_rng(4), 150, truth, snr=(100, 300), spread=0.003)
    asked = ColorOptions(matrix="auto")
    fit, _ = solve_gains(given, response=truth, options=asked)
    found = fit.calibration
    before, after = found.matrix_scores
    assert found.matrix is not None  # filters without overlap see other colors than the eye
    assert after < 0.7 * before
    assert np.sum(found.matrix, axis=1) == pytest.approx(1.0)
    noisy, _ = stars(np.random.default_rng(4), 60, truth, snr=(3, 4), colors=(0.75, 0.85))
    fit, _ = solve_gains(noisy, response=truth, options=asked)
    assert fit.calibration.matrix is None
    assert "too few bright stars" in fit.calibration.note
    few, _ = stars(np.random.default_rng(4), 12, truth)
    fit, _ = solve_gains(few, response=truth, options=asked)
    assert fit.calibration.matrix is None
    assert "too few bright stars of different colors for a matrix" in fit.calibration.note


def test_srgb_of_white_and_of_a_cool_body():
    from sciastro.photometry.colormatrix import srgb_of
    from sciastro.photometry.response import photons_of
    from sciastro.photometry.spectra import black_body, white_spectrum

    white = photons_of(white_spectrum("G2V"))
    assert srgb_of(white[None], white)[0] == pytest.approx(1.0)
    # CIE 1931 chromaticities (0.4369, 0.4041) of 3000 K and (0.3135, 0.3237) of 6500 K, by hand through the
    # matrix of sRGB: G / R = 0.477 and 0.944, B / R = 0.154 and 0.992.
    red = srgb_of(photons_of(black_body(3000))[None], photons_of(black_body(6500)))[0]
    assert red[1] / red[0] == pytest.approx(0.477 / 0.944, rel=0.03)
    assert red[2] / red[0] == pytest.approx(0.154 / 0.992, rel=0.03)


def test_uncertain_colors_count_less():
    """Half of the stars have colors of 0.1 mag of error, as Tycho has at V = 11: known, they spoil little."""
    truth = true_response("bayer")
    gains, off, blind = true_gains(truth), [], []
    assumed = make_response(ASSUMED["bayer"], air(1.4, altitude=300.0))
    for seed in range(6):
        rng = np.random.default_rng(seed)
        given, _ = stars(rng, 80, truth, snr=(200, 600), spread=0.002)
        err = np.where(np.arange(80) % 2, 0.1, 0.005)
        hue = given.bp_rp + rng.normal(0, err)
        for errors, found in ((err, off), (None, blind)):
            one = ColorStars.of(given.flux, given.flux_err, bp_rp=hue, bp_rp_err=errors)
            fit, _ = solve_gains(
                one, response=assumed, white=white_reference("G2V"),
                options=ColorOptions(stage="scalar"),
            )  # fmt: skip
            found.append(np.delete(np.array(fit.calibration.gains) / gains - 1, 1))
            if errors is not None:
                assert max(fit.calibration.scatter) < 0.03  # not the 0.1 mag of the colors
    rms, rms_blind = (np.sqrt(np.mean(np.square(one))) for one in (off, blind))
    assert rms < 0.7 * rms_blind
    assert rms < 0.003
