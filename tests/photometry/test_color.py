import numpy as np
import pytest

from sciastro.photometry.blackbody import blackbody_ratio, temperature
from sciastro.photometry.color import color_gains
from sciastro.photometry.coloroptions import ColorOptions

RESPONSE = np.array([0.7, 1.0, 0.55])  # the camera's own sensitivity in R, G, B
CENTERS = (635.0, 530.0, 455.0)


def stars(rng, n, *, snr=80.0, scatter=0.02, colors=(-0.1, 1.5)):
    """Return fluxes of black bodies seen by a camera of known response, their errors and B-V."""
    b_v = rng.uniform(*colors, n)
    log = np.stack([blackbody_ratio(b_v, center, 530.0) for center in CENTERS], axis=1)
    flux = 1e4 * RESPONSE * np.exp(log) * np.exp(rng.normal(0, scatter, (n, 3)))
    err = flux / snr
    return flux + rng.normal(0, err), err, b_v


def true_gains(white=0.65):
    log = np.array([float(blackbody_ratio(white, center, 530.0)) for center in CENTERS])
    gains = 1 / (RESPONSE * np.exp(log))
    return gains / gains[1]


@pytest.mark.parametrize("n", [15, 100])
def test_pulls_of_the_black_body_gains(n):
    rng = np.random.default_rng(n)
    pulls = []
    for _ in range(150):
        fit, _ = color_gains(*stars(rng, n), options=ColorOptions(method="blackbody", white="0.65"))
        pulls.append([(fit.gains[k] - true_gains()[k]) / fit.errors[k] for k in (0, 2)])
    assert (np.std(pulls, axis=0) > 0.8).all() and (np.std(pulls, axis=0) < 1.2).all()
    assert (np.abs(np.mean(pulls, axis=0)) < 0.3).all()


def test_pulls_of_the_empirical_gains():
    # A response that is a line in B-V by construction: the fit must find it.
    rng = np.random.default_rng(9)
    pulls = []
    for _ in range(150):
        b_v = rng.uniform(0, 1.3, 40)
        red = np.exp(-0.3 + 0.55 * (b_v - 0.65) + rng.normal(0, 0.02, 40))
        blue = np.exp(-0.5 - 0.4 * (b_v - 0.65) + rng.normal(0, 0.02, 40))
        flux = 1e4 * np.stack([red, np.ones(40), blue], axis=1)
        flux += rng.normal(0, 100, flux.shape)
        fit, _ = color_gains(flux, np.full(flux.shape, 100.0), b_v, options=ColorOptions(white="0.65"))
        assert fit.method == "empirical"
        pulls.append(
            [(fit.gains[0] - np.exp(0.3)) / fit.errors[0], (fit.gains[2] - np.exp(0.5)) / fit.errors[2]]
        )
    assert (np.std(pulls, axis=0) > 0.8).all() and (np.std(pulls, axis=0) < 1.2).all()
    assert fit.slopes == pytest.approx((0.55, -0.4), abs=0.08)


def test_empirical_and_black_body_agree_on_black_bodies():
    values = stars(np.random.default_rng(3), 200, scatter=0.0, snr=1e4, colors=(0.3, 1.0))
    line, _ = color_gains(*values, options=ColorOptions(method="empirical", white="0.65"))
    body, _ = color_gains(*values, options=ColorOptions(method="blackbody", white="0.65"))
    assert line.gains == pytest.approx(body.gains, rel=0.01)
    assert body.gains == pytest.approx(true_gains(), rel=0.002)


def test_a_white_star_becomes_gray():
    fit, _ = color_gains(
        *stars(np.random.default_rng(3), 60, scatter=0.0, snr=1e5), options=ColorOptions(white="0.65")
    )
    log = np.array([float(blackbody_ratio(0.65, center, 530.0)) for center in CENTERS])
    shown = RESPONSE * np.exp(log) * np.array(fit.gains)
    assert shown / shown[1] == pytest.approx([1, 1, 1], abs=0.02)


def test_outliers_do_no_harm():
    flux, err, b_v = stars(np.random.default_rng(3), 60)
    flux[:6, 0] *= 5
    fit, _ = color_gains(flux, err, b_v, options=ColorOptions(method="blackbody", white="0.65"))
    assert abs(fit.gains[0] - true_gains()[0]) < 4 * fit.errors[0]
    assert fit.n_stars <= 54


def test_few_stars_go_by_black_bodies_and_fewer_are_refused():
    values = stars(np.random.default_rng(3), 6)
    assert color_gains(*values)[0].method == "blackbody"
    fit, reason = color_gains(values[0][:2], values[1][:2], values[2][:2])
    assert fit is None
    assert "2 stars have B-V" in reason


def test_covariance_is_symmetric_and_green_is_one():
    fit, _ = color_gains(*stars(np.random.default_rng(3), 60))
    matrix = np.array(fit.covariance)
    np.testing.assert_allclose(matrix, matrix.T)
    assert fit.gains[1] == 1
    assert matrix[0, 2] > 0  # both share green
    assert np.sqrt(np.diag(matrix)) == pytest.approx(fit.errors)


def test_temperature_of_the_sun_and_of_vega():
    # Ballesteros 2012: B-V = 0.65 gives 5778 K within 1 %, B-V = 0 gives 10 130 K: 4600 (1/1.7 + 1/0.62).
    assert float(temperature(0.65)) == pytest.approx(5778, rel=0.01)
    assert float(temperature(0.0)) == pytest.approx(4600 * (1 / 1.7 + 1 / 0.62))


def test_photon_ratio_against_astropy():
    from astropy import units as u
    from astropy.modeling.physical_models import BlackBody

    body = BlackBody(float(temperature(0.8)) * u.K, scale=1 * u.erg / (u.cm**2 * u.s * u.AA * u.sr))
    energy = body(np.array([635.0, 530.0]) * u.nm).value
    photons = energy * np.array([635.0, 530.0])
    assert float(blackbody_ratio(0.8, 635.0, 530.0)) == pytest.approx(
        np.log(photons[0] / photons[1]), rel=1e-6
    )
