"""A night without dither and with three calibration frames of a kind: ERR tells the noise that is there."""

import pytest
from astropy.table import Table
from small_nights import PLAN

from sciastro.io.product_reading import read_product
from sciastro.photometry.depth import DepthOptions, depth
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.run import RunRequest, reduce_session
from sciastro.recipe.simulated import night_plan, write_night


@pytest.mark.slow
def test_noise_of_an_undithered_stack_is_as_quoted(tmp_path):
    few = {"lights": 12, "biases": 3, "darks": 3, "flats": 3}
    plan = {**PLAN, **few, "bands": "G", "dither": 0.0, "sky.faintest": 11.0}
    write_night(night_plan("tiny", plan, shape="400x500"), tmp_path / "night")
    request = RunRequest(
        session=tmp_path / "night", out=tmp_path / "out", recipe=load_recipe(None, []), until="photometry"
    )
    product = reduce_session(request)["products"][0]
    ds = read_product(tmp_path / "out" / product["image"])
    stars = Table.read(tmp_path / "out" / product["sources"])
    planes = [ds[name].values[0] for name in ("image", "image_variance", "image_quality")]
    # Scatter of blank apertures over what ERR and NOISEACF say; without the masters' share it is 1.12.
    ratios = [
        depth(
            *planes, stars["x"], stars["y"], fwhm=product["fwhm_px"], aperture_radius=radius,
            autocorrelation=ds["noise_autocorrelation"].values[0], options=DepthOptions(apertures=3000),
        ).ratio
        for radius in (3.0, 6.0)
    ]  # fmt: skip
    assert sum(ratios) / 2 == pytest.approx(1, abs=0.05)
