"""The sky model against known gradients, and against objects that it must not eat."""

import numpy as np
import pytest
import xarray as xr

from sciastro.core.history import history
from sciastro.core.lift import chunk_rows
from sciastro.errors import DatasetError
from sciastro.render.background import BackgroundOptions, box_level, fit_sky, flatten
from sciastro.render.surface import choose_surface, polynomial_surface, spline_surface

NY, NX = 400, 600
Y, X = np.mgrid[:NY, :NX].astype(float)
U, V = (X - NX / 2) / NX, (Y - NY / 2) / NX
GRADIENTS = {
    "flat": 0 * U,
    "plane": 40 * U + 25 * V,
    "vignetting": -120 * (U**2 + V**2) + 20 * U,
    "city glow": 40 * np.exp(-((U + 0.5) ** 2 + (V - 0.4) ** 2) / 0.15),
}


@pytest.fixture(scope="module")
def field():
    """Sky noise of 10 and 250 stars of flux 100 to 30000."""
    rng = np.random.default_rng(11)
    image = rng.normal(500, 10, (NY, NX))
    for _ in range(250):
        x, y, flux = rng.uniform(0, NX), rng.uniform(0, NY), 10 ** rng.uniform(2, 4.5)
        cut = np.s_[max(0, int(y) - 12) : int(y) + 13, max(0, int(x) - 12) : int(x) + 13]
        r2 = (X[cut] - x) ** 2 + (Y[cut] - y) ** 2
        image[cut] += flux / (2 * np.pi * 2.25) * np.exp(-r2 / 4.5)
    return image


@pytest.mark.parametrize("name", ["flat", "plane", "vignetting"])
def test_gradients_are_found_to_a_hundredth_of_the_noise(field, name):
    sky = fit_sky(field + GRADIENTS[name])
    residual = sky.model - 500 - GRADIENTS[name]
    # a box has 19 x 19 pixels: 0.66 per box, 600 boxes, six coefficients at most
    assert residual.std() < 0.15
    assert abs(residual.mean()) < 1.0  # stars leave a little light in every box


def test_city_glow_in_a_corner_is_followed(field):
    sky = fit_sky(field + GRADIENTS["city glow"])
    residual = sky.model - 500 - GRADIENTS["city glow"]
    assert residual.std() < 0.25 * GRADIENTS["city glow"].std()


@pytest.mark.parametrize("gradient", ["flat", "plane", "vignetting"])
@pytest.mark.parametrize(
    ("shape", "size"), [("gauss", 0.15), ("gauss", 0.33), ("disk", 0.15), ("disk", 0.33)]
)
@pytest.mark.parametrize("peak", [50.0, 400.0])
def test_extended_objects_keep_95_percent_of_their_flux(field, gradient, shape, size, peak):
    r = np.hypot(X - 0.55 * NX, 1.3 * (Y - 0.45 * NY))
    diameter = size * NY
    # gauss: half maximum at half the diameter's radius; disk: exponential, four scale lengths to the rim
    body = np.exp(-0.5 * (r / (diameter / 4.7)) ** 2) if shape == "gauss" else np.exp(-8 * r / diameter)
    galaxy = peak * body
    image = field + GRADIENTS[gradient]
    inside = r < diameter / 2
    eaten = (fit_sky(image + galaxy).model - fit_sky(image).model)[inside].sum()
    assert abs(eaten) < 0.05 * galaxy[inside].sum()


def test_a_nebula_that_fills_the_frame_is_left_alone():
    rng = np.random.default_rng(2)
    wisps = 300 * np.abs(np.sin(9 * U + 4 * V) * np.cos(7 * V - 3 * U)) + 200 * (U > 0.05)
    sky = fit_sky(500 + wisps + rng.normal(0, 5, U.shape))
    assert np.ptp(sky.model) < 0.2 * np.ptp(wisps)


def test_nan_borders_and_empty_images(field):
    image = field + GRADIENTS["plane"]
    image[:, :130] = np.nan
    sky = fit_sky(image)
    assert np.isfinite(sky.model).all()
    residual = (sky.model - 500 - GRADIENTS["plane"])[:, 130:]
    assert residual.std() < 0.2
    assert np.isnan(fit_sky(np.full((40, 50), np.nan)).model).all()
    assert fit_sky(np.full((40, 50), 7.0)).model == pytest.approx(np.full((40, 50), 7.0))
    assert fit_sky(np.full((2, 3), 7.0)).model == pytest.approx(np.full((2, 3), 7.0))


def test_box_level_ignores_stars():
    rng = np.random.default_rng(0)
    box = rng.normal(100, 5, (40, 40)).astype(np.float32)
    clean = box_level(box)
    box[5:12, 5:12] += 3000  # 3 % of the box
    assert box_level(box) == pytest.approx(clean, abs=0.4)
    box[:, :30] = np.nan
    assert np.isnan(box_level(box))


def test_polynomial_is_recovered_exactly_despite_a_wild_sample():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-0.5, 0.5, (2, 60))
    z = 3 + 2 * x - y + 4 * x * y
    z[7] += 1000
    assert polynomial_surface(x, y, z, 2)(np.array([0.1]), np.array([0.2]))[0] == pytest.approx(3.08)


def test_stiff_spline_tends_to_the_plane_and_soft_one_interpolates():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-0.5, 0.5, (2, 80))
    z = np.sin(6 * x) + y
    soft = spline_surface(x, y, z, 1e-9)
    assert soft(x, y) == pytest.approx(z, abs=1e-3)
    plane = np.linalg.lstsq(np.stack([np.ones(80), x, y], 1), z, rcond=None)[0]
    stiff = spline_surface(x, y, z, 1e6)
    assert stiff(x, y) == pytest.approx(plane[0] + plane[1] * x + plane[2] * y, abs=1e-3)


def test_cross_validation_takes_the_simplest_that_does():
    rng = np.random.default_rng(5)
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(-0.5, 0.5, 24), np.linspace(-0.4, 0.4, 18)))
    noise = rng.normal(0, 0.1, x.size)
    assert choose_surface(x, y, 5 + noise, max_degree=4, splines=True).name == "polynomial of degree 0"
    assert (
        choose_surface(x, y, 5 + 3 * x + noise, max_degree=4, splines=True).name == "polynomial of degree 1"
    )
    quadratic = choose_surface(x, y, 5 + 3 * x**2 + noise, max_degree=4, splines=True)
    assert quadratic.name == "polynomial of degree 2"
    assert quadratic.error == pytest.approx(0.085, rel=0.12)  # a Gaussian without its outer 5 %


def dataset(planes):
    image = (("band", "y", "x"), np.asarray(planes, np.float32), {"units": "electron / s"})
    return xr.Dataset({"image": image}, coords={"band": [f"b{k}" for k in range(len(planes))]})


def test_step_keeps_the_contract(field):
    ds = dataset([field, field + GRADIENTS["plane"]])
    before = ds.copy(deep=True)
    out = flatten(ds)
    xr.testing.assert_identical(ds, before)
    assert out["background_model"].dims == ("band", "y", "x")
    assert out["background_model"].dtype == np.float32
    assert out["background_model"].attrs["units"] == "electron / s"
    assert set(out.data_vars) - set(ds.data_vars) == {"background_model"}
    assert [entry["step"] for entry in history(out)] == ["render.background"]
    lazy = flatten(chunk_rows(ds, 100))
    assert lazy["background_model"].chunks is not None
    xr.testing.assert_allclose(lazy.compute(), out)


def test_constant_model_on_demand(field):
    sky = fit_sky(field + GRADIENTS["plane"], options=BackgroundOptions(model="none"))
    assert np.ptp(sky.model) < 1e-3


def test_wrong_unit_is_refused(field):
    ds = dataset([field])
    ds["image"].attrs["units"] = "adu"
    with pytest.raises(DatasetError, match="'adu'"):
        flatten(ds)


@pytest.mark.parametrize("shape", [(128, 1), (1, 128), (3, 200)])
def test_a_strip_has_no_spline_and_still_a_sky(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    # No polynomial of low degree predicts this one: splines would compete.
    curved = 100 + 50 * np.sin((x + y) / 9.0)
    sky = fit_sky(curved)
    assert np.isfinite(sky.model).all()
