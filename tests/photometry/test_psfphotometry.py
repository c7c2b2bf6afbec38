"""PSF photometry against truth: fluxes, errors, the PSF itself, the residual, crowds, stacks."""

import numpy as np
import pytest
import xarray as xr
from psf_fields import SKY, crowd, expose, lattice, quiet, robust_std, sky_map, stars_at

from sciastro.core import vocabulary as v
from sciastro.core.correlation import large_factor
from sciastro.kernels.psf import add_models, psf_stamp
from sciastro.photometry.aperture import measure_sources
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.psfgroups import groups_of, neighbors_of
from sciastro.photometry.psfmodel import PsfModel, analytic_table, isotropic, moffat_model, node_offsets
from sciastro.photometry.psfphotometry import PsfOptions, psf_photometry
from sciastro.photometry.psfsteps import measure_psf_bands
from sciastro.simulate.psf import Psf, draw_stars
from sciastro.simulate.psf import PsfOptions as Shape


@pytest.fixture(scope="module")
def simple():
    x, y, flux = lattice(3)
    image, variance, quality = expose(x, y, flux, (360, 360), 3)
    stars = stars_at(x, y, 3)
    result = psf_photometry(image, variance, quality, stars, fwhm=3.2, sky_map=sky_map, tell=quiet)
    return x, y, flux, (image, variance, quality, stars), result


def test_fluxes_positions_and_their_errors(simple):
    x, y, flux, _, result = simple
    table = result.table[: x.size]
    err = table["flux_err"].value
    pull = (table["flux"].value - flux) / err
    assert np.isfinite(pull).all()
    assert 0.8 < robust_std(pull) < 1.25
    bright = flux / err > 50
    assert (
        abs(np.average(table["flux"].value[bright] / flux[bright] - 1, weights=(flux / err)[bright] ** 2))
        < 2e-3
    )
    for name, truth in (("x", x), ("y", y)):
        off = ((table[name].value - truth) / table[f"{name}_err"].value)[flux / err > 20]
        assert 0.7 < robust_std(off) < 1.35
    assert np.median(table["chi2"]) == pytest.approx(1.0, abs=0.1)
    assert abs(np.median((table["sharpness"] / table["sharpness_err"])[bright])) < 1.0


def test_nothing_is_made_up(simple):
    x, _, _, _, result = simple
    assert len(result.table) <= x.size + 2
    assert (np.asarray(result.table["found_in"])[: x.size] == 0).all()


def test_psf_is_that_of_the_simulator(simple):
    *_, result = simple
    model = result.model
    assert model.kind == "empirical"
    assert model.n_stars > 40
    for x, y, limit in ((180.0, 180.0, 0.02), (320.3, 40.2, 0.03)):
        light = np.zeros((360, 360), np.float32)
        draw_stars(light, [x], [y], [1.0], Psf(fwhm=3.2, options=Shape(beta=5.0, elongation=0.1)))
        got = model.render((360, 360), np.array([x]), np.array([y]), np.array([1.0]))
        assert np.abs(got - light).max() < limit * light.max()


def test_step_on_a_dataset_gives_the_same(simple):
    *_, (image, variance, quality, stars), result = simple
    planes = {"image": image, "image_variance": variance, "image_quality": quality}
    specs = {"image": v.IMAGE, "image_variance": v.IMAGE_VARIANCE, "image_quality": v.IMAGE_QUALITY}
    ds = xr.Dataset({name: v.labeled(specs[name], plane[None]) for name, plane in planes.items()},
                    coords={"band": ["V"]})  # fmt: skip
    before = ds.copy(deep=True)
    once = PsfOptions(searches=0)
    got = measure_psf_bands(
        ds, {"V": stars}, {"V": 3.2}, sky_map=sky_map, models={"V": result.model}, options=once
    )
    alone = psf_photometry(image, variance, quality, stars, fwhm=3.2, sky_map=sky_map, model=result.model,
                           options=once, tell=quiet)  # fmt: skip
    np.testing.assert_array_equal(got["V"].table["flux"].value, alone.table["flux"].value)
    assert got["V"].table.meta["band"] == "V"
    xr.testing.assert_identical(ds, before)
    assert measure_psf_bands(ds, {}, {}) == {}


@pytest.mark.slow
def test_fluxes_join_the_scale_of_apertures(simple):
    _, _, flux, (image, variance, quality, stars), result = simple
    apertures = measure_sources(image, variance, quality, stars, fwhm=3.2)
    bright = flux > 3e4
    ratio = result.table["flux"].value[: flux.size][bright] / apertures["flux"].value[bright]
    common = np.hypot(apertures.meta["aperture_correction_err"] / apertures.meta["aperture_correction"],
                      result.model.normalization_err)  # fmt: skip
    assert abs(np.median(ratio) - 1) < max(3 * common, 2e-3)


def test_residual_is_noise(simple):
    _, _, _, (image, variance, *_), result = simple
    noise = result.residual / np.sqrt(variance)
    assert noise.std() == pytest.approx(1.0, abs=0.03)
    assert np.median(result.sky) == pytest.approx(SKY, abs=1.0)
    assert image.max() > 1e4  # and there was something to subtract


def test_variance_from_counts_or_from_truth_gives_the_same(simple):
    x, y, flux, (image, variance, quality, stars), result = simple
    _, smooth, _ = expose(x, y, flux, (360, 360), 3, from_counts=False)
    options = PsfOptions(searches=0)
    one, other = (
        psf_photometry(image, v, quality, stars, fwhm=3.2, sky_map=sky_map, model=result.model,
                       options=options, tell=quiet).table for v in (variance, smooth)
    )  # fmt: skip
    change = (one["flux"].value - other["flux"].value) / one["flux_err"].value
    assert abs(np.median(change)) < 0.05  # weights by noisy variances would be 0.1 to 0.5 sigma low


@pytest.mark.slow
def test_crowd_pulls_and_blends():
    x, y, flux = crowd(5, size=260, number=420)
    image, variance, quality = expose(x, y, flux, (260, 260), 5, elongation=0.0)
    result = psf_photometry(
        image, variance, quality, stars_at(x, y, 5), fwhm=3.2, sky_map=sky_map, tell=quiet
    )
    table = result.table[: x.size]
    snr = flux / table["flux_err"].value
    pull = (table["flux"].value - flux) / table["flux_err"].value
    assert np.isfinite(pull).all()
    assert robust_std(pull[snr > 5]) < 1.3
    assert np.mean(np.abs(pull) > 5) < 0.03
    assert abs(np.median(table["flux"].value[snr > 50] / flux[snr > 50] - 1)) < 3e-3
    blended = np.asarray(table["flags"]) & int(SourceFlag.BLENDED) != 0
    distance = np.hypot(x[:, None] - x[None], y[:, None] - y[None]) + 1e9 * np.eye(x.size)
    assert blended[distance.min(axis=1) < 0.85 * 3.2].all()
    assert not blended[distance.min(axis=1) > 1.3 * 3.2].any()


@pytest.mark.slow
def test_stars_that_others_hid_are_found():
    x, y, flux = lattice(8, faint=4.0, bright=5.0)
    hidden = np.arange(0, x.size, 4)
    x2, y2, f2 = x[hidden] + 3.6, y[hidden] + 1.5, 0.1 * flux[hidden]
    image, variance, quality = expose(
        np.append(x, x2), np.append(y, y2), np.append(flux, f2), (360, 360), 8, elongation=0.0
    )
    result = psf_photometry(
        image, variance, quality, stars_at(x, y, 8), fwhm=3.2, sky_map=sky_map, tell=quiet
    )
    more = result.table[x.size :]
    assert len(more) <= hidden.size + 2
    away = np.hypot(more["x"].value[:, None] - x2[None], more["y"].value[:, None] - y2[None]).min(axis=0)
    assert np.mean(away < 0.6) > 0.9
    pull = (result.table["flux"].value[: x.size] - flux) / result.table["flux_err"].value[: x.size]
    assert robust_std(pull) < 1.4


def test_correlated_noise_of_a_resampled_image():
    # White noise smoothed by a kernel: errors must follow the correlation, not the variance plane alone.
    rng = np.random.default_rng(2)
    x, y, flux = lattice(12, faint=3.2, bright=3.9)
    light = np.zeros((360, 360), np.float32)
    draw_stars(light, x, y, flux, Psf(fwhm=3.2, options=Shape(beta=5.0)))
    taps = np.array([0.2, 0.6, 0.2])
    kernel = taps[:, None] * taps[None]
    noise = rng.normal(0, 12.0, light.shape)
    from scipy.ndimage import convolve

    seen = (light + SKY + convolve(noise, kernel, mode="wrap")).astype(np.float32)
    variance = np.full(light.shape, 144.0 * np.sum(kernel**2), np.float32)
    line = np.correlate(np.pad(taps, 2), taps, mode="valid") / np.sum(taps**2)
    acf = line[:, None] * line[None]
    table = analytic_table(isotropic(3.2, 5.0), 5.0, node_offsets(14.0, 3), inside=12.8)
    model = PsfModel(tables=table[None], step=3, field=(180.0, 180.0, 250.0), fwhm=3.25, radius=14.0)
    results = [
        psf_photometry(seen, variance, np.zeros(light.shape, np.uint16), stars_at(x, y, 12, err=0.02),
                       fwhm=3.2, autocorrelation=a, sky_map=sky_map, model=model,
                       options=PsfOptions(searches=0, fixed=True), tell=quiet).table
        for a in (acf, None)
    ]  # fmt: skip
    pull, naive = ((t["flux"].value - flux) / t["flux_err"].value for t in results)
    assert large_factor(acf) > 1.3
    assert robust_std(pull) == pytest.approx(1.0, abs=0.2)
    assert robust_std(naive) > 1.25 * robust_std(pull)


def test_slow_twin_of_the_kernels():
    model = moffat_model((100, 100), 3.0, radius=12.0, inside=11.0)
    n, half = model.tables.shape[1], 6
    out = np.empty((3, 13, 13))
    psf_stamp(model.tables, model.terms(50.0, 50.0), model.step, 0.3, -0.2, half, True, np.empty((n, n)), out)
    grid = np.arange(-half, half + 1)
    twin = model.values(50.0, 50.0, grid - 0.3, grid + 0.2)
    np.testing.assert_allclose(out[0], twin, rtol=1e-9, atol=1e-12)
    for axis, (dx, dy) in ((1, (1e-5, 0.0)), (2, (0.0, 1e-5))):
        up = model.values(50.0, 50.0, grid - 0.3 - dx, grid + 0.2 - dy)
        down = model.values(50.0, 50.0, grid - 0.3 + dx, grid + 0.2 + dy)
        np.testing.assert_allclose(out[axis], (up - down) / 2e-5, atol=1e-6)
    image = np.zeros((20, 20), np.float32)  # a star off the corner: only what is on the image is drawn
    add_models(image, model.tables, model.frame, model.step, np.array([-2.0]), np.array([1.0]),
               np.array([5.0]), np.array([12.0]))  # fmt: skip
    inside = model.values(-2.0, 1.0, np.arange(20) + 2.0, np.arange(20) - 1.0) * 5
    near = (np.arange(20)[None] <= 10) & (np.arange(20)[:, None] <= 13)
    np.testing.assert_allclose(image[near], inside[near], atol=1e-6)


def test_groups_are_bounded_and_whole():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 60, (2, 900))
    x[5] = np.nan
    start, member = groups_of(x, y, rng.uniform(1, 2, 900), 4.0, 12)
    assert np.diff(start).max() <= 12
    assert sorted(member) == [k for k in range(900) if k != 5]
    begin, near = neighbors_of(x, y, 4.0, 8)
    assert np.diff(begin).max() <= 8
    assert begin[6] == begin[5]
    assert (
        np.hypot(x[near] - np.repeat(x, np.diff(begin)), y[near] - np.repeat(y, np.diff(begin))) <= 4.0
    ).all()
