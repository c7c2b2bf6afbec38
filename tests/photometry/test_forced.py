"""Forced photometry: every position has a row, and nothing is made up."""

import numpy as np
import pytest
from astropy.table import QTable
from star_fields import field, star_image

from sciastro.core.quality import Quality
from sciastro.errors import DatasetError, OptionError
from sciastro.photometry.aperturedim import apertures_dataset
from sciastro.photometry.errorterms import TERMS, Relative
from sciastro.photometry.flags import SourceFlag, flag_words, flags_text
from sciastro.photometry.forced import ForcedOptions, forced_photometry
from sciastro.photometry.neighbors import Others, _shares, beta_of, enclosed, foreign_light
from sciastro.photometry.plane import Profile, make_plane

FWHM = 3.2


@pytest.fixture(scope="module")
def stars():
    return field(3, size=460)


def measure(stars, x, y, radius=4.0, **how):
    image, variance, quality, sx, sy, _ = stars
    return forced_photometry(image, variance, quality, x, y, radius=radius, fwhm=FWHM, stars=(sx, sy), **how)


def has(table, row, flag):
    return bool(int(table["flags"][row]) & int(flag))


def test_known_stars_and_their_errors(stars):
    *_, x, y, flux = stars
    got = measure(stars, x, y)
    pull = (got["flux"].value - flux) / got["flux_err"].value
    assert abs(pull.mean()) < 3.5 / np.sqrt(len(x))
    assert pull.std() == pytest.approx(1.0, abs=3.5 / np.sqrt(2 * len(x)))
    assert str(got["flux"].unit) == "electron / s"
    assert np.isnan(got["x_err"].value).all()  # positions are given


def test_rows_for_what_is_no_place(stars):
    got = measure(stars, [200.0, np.nan, -50.0, 1e300, 200.0], [np.inf, 3.0, 10.0, 10.0, 1e9])
    assert len(got) == 5
    assert np.isnan(got["flux"].value).all()
    assert np.isnan(got["mag_inst"].value).all()
    assert [has(got, k, SourceFlag.BAD_POSITION) for k in range(5)] == [True, True, False, False, False]
    assert [has(got, k, SourceFlag.OFF_IMAGE) for k in range(5)] == [False, False, True, True, True]
    assert got["x"].value[2] == -50.0


def test_no_positions_give_an_empty_table(stars):
    got = measure(stars, [], [], terms=True)
    assert len(got) == 0
    assert {"flux", "flux_err", "flags", "err_sky"} <= set(got.colnames)


def test_blank_sky_has_a_flux_and_no_magnitude(stars):
    x = np.array([22.0 + 45 * k for k in range(8)])
    got = measure(stars, x, x)
    assert (np.abs(got["flux"].value) < 4.5 * got["flux_err"].value).all()
    assert (got["flux"].value < 0).any()  # negative fluxes stay
    assert np.isnan(got["mag_inst"].value).all()
    assert all(has(got, k, SourceFlag.FAINT) for k in range(8))


def test_star_on_the_edge_is_told():
    x, y = np.array([0.4, 60.0]), np.array([60.0, 60.0])
    image = star_image((121, 121), x, y, [1e5, 1e5], 4.0).astype(np.float32)
    quality = np.zeros(image.shape, np.uint16)
    got = forced_photometry(image, np.ones_like(image), quality, x, y, radius=5.0, fwhm=4.0)
    assert has(got, 0, SourceFlag.MIRRORED) or has(got, 0, SourceFlag.CUT)
    assert int(got["flags"][1]) == 0
    assert np.isnan(got["flux"].value[0]) or got["flux"].value[0] == pytest.approx(9.7e4, rel=0.05)


def test_two_stars_in_one_aperture_are_told():
    x, y = np.array([50.0, 54.5, 90.0]), np.array([60.0, 60.0, 60.0])
    image = star_image((121, 141), x, y, [1e4, 1e4, 1e4], 3.0).astype(np.float32)
    quality = np.zeros(image.shape, np.uint16)
    got = forced_photometry(image, np.ones_like(image), quality, x, y, radius=4.0, fwhm=3.0)
    assert [has(got, k, SourceFlag.CROWDED) for k in range(3)] == [True, True, False]
    assert got["crowding"][0] > 0.1
    # The neighbor may also be a star of the image that nobody asked for.
    alone = forced_photometry(
        image, np.ones_like(image), quality, x[:1], y[:1], radius=4.0, fwhm=3.0, stars=(x, y)
    )
    assert has(alone, 0, SourceFlag.CROWDED)
    assert "CROWDED" in flags_text(alone["flags"])[0].split()


def test_all_saturated():
    x = y = np.array([40.0, 80.0])
    image = np.minimum(star_image((121, 121), x, y, [3e6, 3e6], 4.0), 6e4).astype(np.float32)
    quality = np.where(image >= 6e4, int(Quality.SATURATED), 0).astype(np.uint16)
    got = forced_photometry(image, np.ones_like(image), quality, x, y, radius=5.0, fwhm=4.0, stars=(x, y))
    assert all(has(got, k, Quality.SATURATED) for k in range(2))
    assert got.meta["n_growth_stars"] == 0  # they tell no correction


def test_terms_add_up_and_each_is_there(stars):
    *_, x, y, _ = stars
    relative = Relative(scintillation=0.004, flat=0.003, flat_pixel=0.01)
    got = measure(stars, x, y, relative=relative, terms=True)
    for name in TERMS:
        assert got[name].shape == (len(x),)
    squares = (got["err_pixels"].value * np.asarray(got["err_factor"])) ** 2
    for name in ("err_sky", "err_profile", "err_coarse", "err_scintillation", "err_flat"):
        squares = squares + got[name].value ** 2
    np.testing.assert_allclose(got["flux_err"].value, np.sqrt(squares), rtol=1e-6)
    np.testing.assert_allclose(got["err_scintillation"].value, 0.004 * np.abs(got["flux"].value))
    unknown = measure(stars, x, y, terms=True)
    assert np.isnan(unknown["err_scintillation"].value).all()
    assert np.isfinite(unknown["flux_err"].value).all()
    assert (unknown["flux_err"].value < got["flux_err"].value).all()


def test_flat_noise_by_hand():
    # 100 e per pixel, flat off by 2 % from pixel to pixel: 2 e per pixel, sqrt(area of whole pixels) of them.
    image = np.full((81, 81), 100.0, np.float32)
    got = forced_photometry(
        image, image, np.zeros(image.shape, np.uint16), [40.0], [40.0], radius=6.0, fwhm=3.0, terms=True,
        relative=Relative(flat_pixel=0.02),
    )  # fmt: skip
    assert got["err_flat"].value[0] == pytest.approx(
        2 * np.sqrt(np.pi * 36), rel=0.04
    )  # pixels on the rim count less


def test_several_radii_tell_the_same_light(stars):
    *_, x, y, flux = stars
    got = measure(stars, x, y, radius=[3.0, 5.0, 8.0])
    assert [one["radius_pixel"] for one in got.meta["apertures"]] == [3.0, 5.0, 8.0]
    bright = flux > 3e4
    for name in ("flux", "flux_2", "flux_3"):
        assert np.mean(got[name].value[bright] / flux[bright]) == pytest.approx(1.0, abs=2e-3)
    assert got["area_3"].value[0] == pytest.approx(np.pi * 64)


def test_several_radii_along_a_dimension(stars):
    *_, x, y, _ = stars
    got = measure(stars, x, y, radius=[3.0, 5.0])
    ds = apertures_dataset(got)
    assert ds["flux"].dims == ("source", "aperture")
    np.testing.assert_array_equal(ds["flux"].values[:, 1], got["flux_2"].value)
    assert ds["flux"].attrs["units"] == "electron / s"
    assert ds["radius"].values.tolist() == [3.0, 5.0]
    assert ds["x"].dims == ("source",)
    with pytest.raises(DatasetError, match="apertures"):
        apertures_dataset(QTable())


def test_optimal_extraction_is_unbiased_and_sees_fainter():
    plain, best = [], []
    for seed in range(3):
        image, variance, quality, x, y, flux = field(seed, size=460, faint=2.4, bright=5.0)
        for out, optimal, radius in ((plain, False, 1.5 * FWHM), (best, True, 2 * FWHM)):
            got = forced_photometry(
                image, variance, quality, x, y, radius=radius, fwhm=FWHM, stars=(x, y),
                options=ForcedOptions(optimal=optimal),
            )  # fmt: skip
            out.append(((got["flux"].value - flux) / got["flux_err"].value, got["flux_err"].value, flux))
    pull, err, flux = (np.concatenate([one[k] for one in best]) for k in range(3))
    assert abs(pull.mean()) < 3.5 / np.sqrt(pull.size)
    assert pull.std() == pytest.approx(1.0, abs=3.5 / np.sqrt(2 * pull.size) + 0.03)
    faint = flux < 1500
    assert np.median(err[faint]) < 0.9 * np.median(np.concatenate([one[1] for one in plain])[faint])


def test_without_stars_the_flux_is_that_in_the_aperture():
    image = star_image((121, 121), [60.0], [60.0], [1e5], 4.0).astype(np.float32)
    quality = np.zeros(image.shape, np.uint16)
    got = forced_photometry(image, np.ones_like(image), quality, [60.0], [60.0], radius=3.0, fwhm=4.0)
    # Twice the variance of a pixel: of the star's pixels, and of those of the circle.
    inside = 1 - np.exp(-(3.0**2) / (2 * ((4.0 / 2.35482) ** 2 + 2 / 12)))
    assert got["flux"].value[0] == pytest.approx(1e5 * inside, rel=0.01)
    assert got.meta["aperture_correction"] == 1.0


def test_goes_to_pandas_and_back(stars):
    pytest.importorskip("pandas")
    *_, x, y, _ = stars
    got = measure(stars, np.append(x, np.nan), np.append(y, 1.0), terms=True)
    frame = got.to_pandas()
    assert len(frame) == len(x) + 1
    assert not any(kind == object for kind in frame.dtypes)  # noqa: E721 - dtype against type
    np.testing.assert_array_equal(frame["flux"].to_numpy(), got["flux"].value)


@pytest.mark.parametrize("radius", [0.0, -1.0, np.nan, []])
def test_radii_that_are_none(stars, radius):
    with pytest.raises(OptionError, match="radius"):
        measure(stars, [10.0], [10.0], radius=radius)


def test_shapes_that_do_not_fit(stars):
    image, variance, quality, *_ = stars
    with pytest.raises(DatasetError, match="x and y"):
        measure(stars, [1.0, 2.0], [1.0])
    with pytest.raises(DatasetError, match="three planes"):
        forced_photometry(image, variance[1:], quality, [1.0], [1.0], radius=3.0, fwhm=3.0)
    with pytest.raises(OptionError, match="width of stars"):
        forced_photometry(image, variance, quality, [1.0], [1.0], radius=3.0, fwhm=np.nan)


def test_words_of_flags():
    value = int(Quality.SATURATED | SourceFlag.CROWDED | SourceFlag.NEIGHBOR)
    assert flag_words(value) == ["SATURATED", "CROWDED", "NEIGHBOR"]
    assert flags_text(np.array([0, value], np.uint32)).tolist() == ["", "SATURATED CROWDED NEIGHBOR"]
    assert flag_words(1 << 7) == ["BIT_7"]


def test_share_of_a_neighbor_against_pixels():
    # A slow twin: a Moffat star on a fine grid, summed over a circle some way off.
    fwhm, beta, radius = 3.0, 3.5, 4.0
    fine = np.arange(-40, 40, 0.1) + 0.05
    alpha2 = fwhm**2 / (4 * (2 ** (1 / beta) - 1))
    star = (1 + (fine**2 + fine[:, None] ** 2) / alpha2) ** -beta
    star /= np.pi * alpha2 / (beta - 1) / 0.01
    for away in (0.0, 3.0, 6.0, 10.0):
        circle = (fine - away) ** 2 + fine[:, None] ** 2 <= radius**2
        got = np.interp(away, *_shares(radius, fwhm, beta))
        assert got == pytest.approx(star[circle].sum(), rel=0.02)
    assert enclosed(radius, fwhm, beta) == pytest.approx(
        np.interp(0.0, *_shares(radius, fwhm, beta)), rel=1e-2
    )


@pytest.mark.parametrize("profile", [None, Profile(3.4), Profile(3.4, 2.5)])
def test_light_of_neighbors_is_what_sums_hold(profile):
    # One Moffat star (beta 3) on an empty image, and sums about places beside it.
    fine = (np.arange(61 * 9) - 4) / 9
    r2 = (fine - 30.2) ** 2 + (fine[:, None] - 29.7) ** 2
    beta, alpha2 = 3.0, 3.4**2 / (4 * (2 ** (1 / 3) - 1))
    image = ((beta - 1) / (np.pi * alpha2) * (1 + r2 / alpha2) ** -beta).reshape(61, 9, 61, 9).mean((1, 3))
    x, y = 30.2 + np.array([0, 5, 8, -12.0]), np.array([29.7, 29.7, 33.7, 29.7])
    flat = np.ones_like(image)
    plane = make_plane(1e5 * image, flat, 0 * flat, x, y, fwhm=3.4, noise_correlation=1.0)
    within = float(enclosed(4.0, 3.4, beta))
    others = Others(x=x, y=y, flux=np.array([1e5 * within, 0, 0, 0]), within=4.0, fwhm=3.4)
    got = others.light(np.arange(4), 6.8, profile)
    assert got[0] == 0  # its own light is none of a neighbor
    want = plane.weighted(x, y, 6.8, profile).total
    np.testing.assert_allclose(got[1:], want[1:], rtol=0.08, atol=20)


def test_own_light_of_close_stars_is_solved():
    # What each aperture holds is its own and a share of the other: 1000 and 100, 5 pixel apart.
    fwhm, beta, radius = 3.0, 3.5, 4.0
    share = np.interp(5.0, *_shares(radius, fwhm, beta)) / enclosed(radius, fwhm, beta)
    flux = np.array([1000 + share * 100, 100 + share * 1000])
    got = foreign_light(np.array([0.0, 5.0]), np.zeros(2), flux, radius, fwhm, beta)
    np.testing.assert_allclose(got, [share * 100, share * 1000], rtol=0.02)


def test_wings_from_the_growth_of_light():
    for beta in (2.5, 3.5, 5.0):
        grown = enclosed(12.0, 3.0, beta) / enclosed(3.75, 3.0, beta)
        assert beta_of(float(grown), 3.75, 12.0, 3.0) == pytest.approx(beta, abs=0.1)
    assert beta_of(0.9, 3.75, 12.0, 3.0) == beta_of(np.nan, 3.75, 12.0, 3.0)
