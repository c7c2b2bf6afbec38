"""An untracked phone, from DNG to a stack with world coordinates, against its truth (benchmarks/phone.py)."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "phone.py"

pytest.importorskip("rawpy", reason="camera raw needs the extra 'raw'")


@pytest.fixture(scope="module")
def phone(tmp_path_factory):
    if not SCRIPT.is_file():
        pytest.skip("benchmarks/ are not here")
    spec = importlib.util.spec_from_file_location("phone_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("phone")
    session = module.simulated(folder / "session", 12, 4.0, 8.0, 2)
    summary = module.reduced(session, folder / "out", "2GB")
    return module.figures(session, folder / "out", summary), summary


@pytest.mark.slow
def test_every_frame_enters_the_whole_picture(phone):
    told, summary = phone
    assert told["used"] == told["frames"] == 12
    assert told["model"] == "camera model"
    assert told["canvas"]["extent"] == "union"
    rows, columns = told["canvas"]["shape"]
    assert rows > 1.15 * 378
    assert columns > 1.2 * 504
    assert all(row["registration_rms_px"] < 0.2 for row in summary["frames"])
    assert all(row["registration_stars"] > 500 for row in summary["frames"])


@pytest.mark.slow
def test_stars_are_as_round_as_on_single_frames_to_the_corners(phone):
    rings = [ring for ring in phone[0]["rings"] if ring["stars"] >= 20]
    assert len(rings) >= 3
    for ring in rings:
        assert ring["fwhm_growth"] < 1.08  # stars of 1.4 superpixels, the worst case of an interpolation
        assert ring["eccentricity"] < ring["eccentricity_single"] + 0.02


@pytest.mark.slow
def test_the_sky_is_found_without_a_hint(phone):
    told, _ = phone
    assert told["wcs"]["n_stars"] > 300
    assert told["wcs"]["scale_arcsec_px"] == pytest.approx(563.5, rel=0.002)
    assert told["position_px"]["stars"] > 80
    assert told["position_px"]["median"] < 0.15
