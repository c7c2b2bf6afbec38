import numpy as np
import pytest
from star_fields import as_stars, field, star_image

from sciastro.core.correlation import lag_correlation, plane_correlation
from sciastro.core.quality import Quality
from sciastro.errors import DatasetError
from sciastro.kernels.aperture import aperture_sums
from sciastro.photometry.aperture import ApertureOptions, measure_sources
from sciastro.photometry.flags import SourceFlag


def robust_std(values):
    return 1.4826 * np.median(np.abs(values - np.median(values)))


@pytest.fixture(scope="module")
def measured():
    runs = []
    for seed in range(4):
        image, variance, quality, x, y, flux = field(seed)
        runs.append((measure_sources(image, variance, quality, as_stars(x, y, 3.2), fwhm=3.2), flux))
    flux = np.concatenate([run[1] for run in runs])
    got = np.concatenate([run[0]["flux"].value for run in runs])
    err = np.concatenate([run[0]["flux_err"].value for run in runs])
    return flux, got, err


def test_pulls_from_faint_to_bright(measured):
    flux, got, err = measured
    pull, expected = (got - flux) / err, flux / err
    assert len(flux) > 1200
    for low, high in ((3.0, 12.0), (12.0, 40.0), (40.0, 120.0), (120.0, 1e9)):
        some = (expected >= low) & (expected < high)
        assert some.sum() > 100
        assert 0.9 < pull[some].std() < 1.1, (low, pull[some].std())


def test_bright_stars_are_unbiased(measured):
    flux, got, err = measured
    bright = flux / err > 100
    weight = 1 / (err[bright] / flux[bright]) ** 2
    assert abs(np.average(got[bright] / flux[bright], weights=weight) - 1) < 0.003


@pytest.mark.parametrize("radius", [1.5, 2.0, 3.0, 5.0, 10.0])
def test_quoted_error_is_the_scatter_on_white_noise(radius):
    rng = np.random.default_rng(3)
    image = rng.normal(0, 5, (1500, 1500)).astype(np.float32)
    actual, quoted = scatter_and_quote(image, np.full_like(image, 25), radius, 1.0, rng)
    assert quoted / actual == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("radius", [1.5, 3.0, 6.0, 10.0])
def test_quoted_error_is_the_scatter_on_resampled_noise(order, radius):
    # A stack of frames, each moved by another fraction of a pixel: Lanczos-3 or bilinear weights.
    rng = np.random.default_rng(8)
    stack, variance, squares = np.zeros((1100, 1100)), 0.0, 0.0
    for _ in range(12):
        fx, fy = rng.uniform(0, 1, 2)
        weights_x, weights_y = kernel(fx, order), kernel(fy, order)
        frame = rng.normal(0, 5, (1110, 1110))
        stack += separable(frame, weights_x, weights_y)[5:1105, 5:1105]
        squares += (weights_x**2).sum() * (weights_y**2).sum()
    variance = 25 * squares / 144
    correlation = np.sqrt(12 / squares)  # weights sum to 1: a large area keeps the noise of the input
    image = (stack / 12).astype(np.float32)
    actual, quoted = scatter_and_quote(image, np.full_like(image, variance), radius, correlation, rng)
    assert quoted / actual == pytest.approx(1, abs=0.03)
    if order == 1 and radius > 3:  # and without the factor the error would be far too small
        _, naive = scatter_and_quote(image, np.full_like(image, variance), radius, 1.0, rng)
        assert naive / actual < 0.8


def kernel(fraction, order):
    if order == 1:
        return np.array([0, 0, 1 - fraction, fraction, 0, 0])
    at = np.arange(-2, 4) - fraction
    weights = np.sinc(at) * np.sinc(at / 3) * (np.abs(at) < 3)
    return weights / weights.sum()


def separable(frame, weights_x, weights_y):
    from scipy.ndimage import correlate1d

    return correlate1d(correlate1d(frame, weights_x, axis=1), weights_y, axis=0)


def scatter_and_quote(image, variance, radius, correlation, rng):
    """Return the scatter of non-overlapping apertures, and the median quoted error."""
    step = int(2 * radius) + 4
    grid = np.arange(step, image.shape[0] - step, step)
    x, y = (axis.ravel() + rng.uniform(-0.5, 0.5, axis.size) for axis in np.meshgrid(grid, grid))
    none = np.zeros(image.shape, bool)
    sums = aperture_sums(
        image, variance, none, none.astype(np.uint16), x, y, radius, plane_correlation(correlation)
    )
    return np.sqrt(np.mean(sums[0] ** 2)), np.sqrt(np.median(sums[1]))


def test_fluxes_agree_with_photutils():
    from photutils.aperture import CircularAperture, aperture_photometry

    image, variance, quality, x, y, _ = field(11, size=400)
    got = aperture_sums(image, variance, quality > 0, quality, x, y, 3.7, np.ones((1, 1)))[0]
    theirs = aperture_photometry(
        image.astype(float), CircularAperture(np.column_stack([x, y]), 3.7), method="exact"
    )
    np.testing.assert_allclose(got, theirs["aperture_sum"], rtol=1e-9, atol=1e-6)


def test_missing_pixels_are_mirrored_and_flagged():
    image = star_image((101, 101), [50.2], [49.9], [10_000.0], 4.0).astype(np.float32)
    variance, quality = np.ones_like(image), np.zeros(image.shape, np.uint16)
    image[48, 53] = np.nan
    quality[48, 53] = Quality.NO_DATA | Quality.HOT
    got = measure_sources(
        image, variance, quality, as_stars([50.2], [49.9], 4.0), fwhm=4.0, options=ApertureOptions(radius=2.0)
    )
    assert got["flux"].value[0] == pytest.approx(10_000, rel=0.01)
    assert got["flags"][0] & SourceFlag.MIRRORED
    assert got["flags"][0] & Quality.HOT
    assert not got["flags"][0] & SourceFlag.CUT


def test_missing_core_has_no_flux():
    image = star_image((101, 101), [50.0], [50.0], [10_000.0], 4.0).astype(np.float32)
    image[49:52, 49:52] = np.nan
    quality = np.zeros(image.shape, np.uint16)
    got = measure_sources(image, np.ones_like(image), quality, as_stars([50.0], [50.0], 4.0), fwhm=4.0)
    assert np.isnan(got["flux"].value[0])
    assert np.isnan(got["flux_err"].value[0])
    assert np.isnan(got["mag_inst"].value[0])
    assert got["flags"][0] & SourceFlag.CUT


def test_source_beyond_the_edge_is_cut():
    image = np.ones((60, 60), np.float32)
    got = measure_sources(
        image, image, np.zeros(image.shape, np.uint16), as_stars([-1.0, 30.0], [30.0, 30.0], 3.0), fwhm=3.0
    )
    assert got["flags"][0] & SourceFlag.CUT
    assert np.isnan(got["flux"].value[0])
    assert got["flux"].value[1] == pytest.approx(0, abs=1e-4)


def test_neighbors_are_flagged_and_kept_out_of_the_sky():
    x, y = np.array([100.0, 104.0, 100.0]), np.array([100.0, 100.0, 120.0])
    image = star_image((201, 201), x, y, [2e4, 2e4, 2e6], 3.0).astype(np.float32)
    got = measure_sources(
        image,
        np.full_like(image, 4),
        np.zeros(image.shape, np.uint16),
        as_stars(x, y, 3.0),
        fwhm=3.0,
        options=ApertureOptions(radius=1.5),
    )
    assert list((got["flags"] & SourceFlag.CROWDED) > 0) == [True, True, False]
    assert abs(got["sky"].value[0]) < 0.05  # the third star, a hundred times brighter, sits in the annulus


def test_aperture_correction_is_that_of_the_profile():
    image, variance, quality, x, y, _ = field(5, faint=4.5, bright=5.5)
    got = measure_sources(
        image, variance, quality, as_stars(x, y, 3.2), fwhm=3.2, options=ApertureOptions(radius=1.0)
    )
    truth = star_image((101, 101), [50.3], [50.1], [1.0], 3.2).astype(np.float32)
    none = np.zeros(truth.shape, bool)
    inside = aperture_sums(
        truth, truth, none, none.astype(np.uint16), np.array([50.3]), np.array([50.1]), 3.2, np.ones((1, 1))
    )[0][0]
    meta = got.meta
    assert meta["aperture_correction"] == pytest.approx(1 / inside, abs=0.002)
    assert 0 < meta["aperture_correction_err"] < 0.002
    assert meta["n_growth_stars"] >= 10


def test_stars_that_widen_toward_the_corners_show_no_trend():
    rng = np.random.default_rng(4)
    lattice = np.arange(40, 880, 42.0)
    x, y = (axis.ravel() for axis in np.meshgrid(lattice, lattice))
    x, y = x + rng.uniform(-4, 4, x.size), y + rng.uniform(-4, 4, y.size)
    flux, radius = 10 ** rng.uniform(4, 5, x.size), np.hypot(x - 450, y - 450) / 636
    truth = np.full((900, 900), 40.0)
    for k in range(x.size):  # 8 % wider in the corners than in the middle
        a, b = int(x[k]) - 20, int(y[k]) - 20
        truth[b : b + 41, a : a + 41] += star_image(
            (41, 41), [x[k] - a], [y[k] - b], [flux[k]], 3 * (1 + 0.08 * radius[k] ** 2)
        )
    image = (rng.poisson(truth) - 40).astype("f4")
    quality = np.zeros(image.shape, "u2")
    options = ApertureOptions(radius=0.85)
    got = measure_sources(image, truth, quality, as_stars(x, y, 3.1), fwhm=3.1, options=options)
    trend = np.polyfit(radius, got["flux"].value / flux, 1)[0]
    assert abs(trend) < 0.005  # without the map it is -0.06
    assert len(got.meta["aperture_correction_terms"]) == 6
    assert np.std((got["flux"].value - flux) / got["flux_err"].value) == pytest.approx(1, abs=0.15)


def test_no_bright_star_means_no_correction_and_says_so():
    image, variance, quality, x, y, _ = field(6, size=300, faint=2.0, bright=2.5)
    got = measure_sources(image, variance, quality, as_stars(x, y, 3.2), fwhm=3.2)
    assert got.meta["aperture_correction"] == 1.0
    assert np.isnan(got.meta["aperture_correction_err"])
    assert "stand alone" in got.meta["aperture_correction_note"]


def test_faint_sources_have_a_flux_and_no_magnitude():
    image, variance, quality, x, y, _ = field(7, size=400, faint=1.0, bright=5.0)
    got = measure_sources(image, variance, quality, as_stars(x, y, 3.2), fwhm=3.2)
    faint = got["snr"] < 5
    assert faint.any()
    assert np.isnan(got["mag_inst"].value[faint]).all()
    assert np.isfinite(got["mag_inst"].value[~faint]).all()
    assert np.isfinite(got["flux"].value).all()


def test_no_sources_give_an_empty_table():
    image = np.zeros((50, 50), np.float32)
    got = measure_sources(image, image + 1, image.astype(np.uint16), as_stars([], [], 3.0), fwhm=3.0)
    assert len(got) == 0
    assert "flux" in got.colnames


def test_an_image_without_data_gives_no_fluxes():
    image = np.full((50, 50), np.nan, np.float32)
    got = measure_sources(
        image, image, np.zeros((50, 50), np.uint16), as_stars([20.0], [20.0], 3.0), fwhm=3.0
    )
    assert np.isnan(got["flux"].value).all()


def test_bad_input_is_refused():
    image = np.zeros((50, 50), np.float32)
    with pytest.raises(DatasetError, match="three planes"):
        measure_sources(image, image[:10], image.astype("u2"), as_stars([], [], 3.0), fwhm=3.0)
    with pytest.raises(DatasetError, match="width of stars"):
        measure_sources(image, image, image.astype("u2"), as_stars([], [], 3.0), fwhm=float("nan"))


def test_lag_correlation_sums_to_the_factor():
    for factor in (0.8, 1.0, 1.07, 1.5, 2.0, 2.7, 4.2):
        lags = lag_correlation(factor)
        assert lags[0] == 1
        assert 1 + 2 * lags[1:].sum() == pytest.approx(factor)
    # Bilinear, averaged over the phase: mean (1-f)^2 + f^2 = 2/3, mean f (1-f) = 1/6, ratio 1/4.
    np.testing.assert_allclose(lag_correlation(1.5), [1, 0.25])
    np.testing.assert_array_equal(lag_correlation(float("nan")), [1])
