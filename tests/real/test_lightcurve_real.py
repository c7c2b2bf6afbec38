"""HAT-P-32 b, a whole transit by a 6 inch telescope (MicroObservatory); skipped where the data are absent."""

import json
from pathlib import Path

import pytest

from sciastro.photometry.transitoptions import TransitOptions
from sciastro.recipe.lightcurve import LightCurveRequest, light_curve

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "timeseries_hatp32"


@pytest.mark.slow
def test_hatp32_transit(tmp_path):
    if not DATA.is_dir():
        pytest.skip("the frames are not here")
    truth = json.loads((DATA / "expected.json").read_text())
    lc = light_curve(
        LightCurveRequest(
            session=DATA, out=tmp_path, target=f"{truth['ra_deg']} {truth['dec_deg']}", offline=True,
            # the star's temperature: Hartman et al. 2011
            transit=TransitOptions(period=truth["ephemeris"]["P_days"], temperature=6207.0, seconds=400.0),
        ),
        tell=lambda text: None,
    )  # fmt: skip
    fit, middle = lc.transit, truth["ephemeris"]["predicted_Tmid_BJD_TDB"]
    assert abs(fit.values["t0"] - middle) < 3 / 1440
    assert abs(fit.values["t0"] - middle) < 3 * fit.errors["t0"]
    assert fit.draws.converged
    # 2.37 to 2.38 +- 0.19 % (by the seed of the walkers), averaged over sets of causes and kinds of noise.
    assert fit.values["depth"] == pytest.approx(0.022, abs=0.002)
    assert fit.errors["depth"] < 0.0025
    assert abs(fit.values["rp_rs"] - truth["rp_over_rs"]) < 3 * fit.errors["rp_rs"]
    assert lc.scatter < 0.0055
    assert lc.use.sum() >= 139
    assert lc.curves.photons < 0.5  # nobody knows the gain: it is not 1
