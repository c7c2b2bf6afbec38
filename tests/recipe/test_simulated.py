"""A night on disk."""

import os

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

from sciastro.core.wcs import text_to_wcs
from sciastro.errors import FileError, OptionError, OutputError
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate.camera import stored_cfa
from sciastro.simulate.truth import Truth


def stars(ra, dec, radius, epoch):
    assert 2024.0 < epoch < 2024.1
    rng = np.random.default_rng(8)
    x, y = rng.uniform(-radius, radius, (2, 50))
    return QTable(
        {
            "ra": (ra + x / np.cos(np.deg2rad(dec))) * u.deg,
            "dec": (dec + y) * u.deg,
            "mag": rng.uniform(8, 11, 50) * u.mag,
            "color": rng.normal(0.7, 0.3, 50) * u.mag,
        }
    )


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night") / "session"
    plan = night_plan(
        "tiny",
        {"lights": 3, "bands": "G,R"},
        shape="200x260",
        settings=["trailed=2", "distortion=2.0", "sky.faintest=13.5"],
    )
    return write_night(plan, folder, stars=stars), plan


def test_files_are_raw_fits(session):
    night, _ = session
    truth = Truth.load(night.folder)
    files = sorted(str(path.relative_to(night.folder)) for path in night.folder.rglob("*.fits"))
    assert files == sorted(truth.frames)
    assert night.n_frames == len(files) == 6 + 6 + 3 + 4
    assert night.size == sum((night.folder / path).stat().st_size for path in files)
    assert not [path for path in night.folder.rglob("*") if path.name.startswith(".")]
    for path in files:
        with fits.open(night.folder / path) as hdus:
            header = hdus[0].header
            assert (header["BITPIX"], header["BZERO"]) == (16, 32768)
            hdus.verify("exception")
            assert hdus[0].data.dtype == np.uint16 and hdus[0].data.shape == (200, 260)
    with fits.open(night.folder / truth.lights("R")[0]) as hdus:
        assert hdus[0].header["FILTER"] == "R"


def test_truth_reads_back_exactly(session):
    night, plan = session
    truth = Truth.load(night.folder / "truth")
    assert truth.plan == plan
    assert truth.cfa == stored_cfa(plan.camera, "TOP-DOWN") == ""
    assert len(truth.stars) == night.n_stars
    assert (~truth.stars["invented"]).sum() == night.n_real == 50
    assert len(truth.lights()) == 6 and len(truth.lights("G")) == 3
    trailed = [path for path in truth.lights() if truth.frames[path]["trailed"]]
    assert [truth.frames[path]["number"] for path in trailed] == [2, 2]
    for path in truth.lights():
        x, y = truth.sky_to_pixel(path, truth.stars["ra"], truth.stars["dec"])
        inside = (x > 0) & (x < 259) & (y > 0) & (y < 199)
        wcs = text_to_wcs(truth.frames[path]["wcs"])
        wx, wy = wcs.all_world2pix(truth.stars["ra"][inside], truth.stars["dec"][inside], 0)
        assert inside.sum() > 30
        assert np.hypot(wx - x[inside], wy - y[inside]).max() < 0.002
        back = truth.pixel_to_sky(path, x[inside], y[inside])
        np.testing.assert_allclose(back[0], truth.stars["ra"][inside], atol=1e-9)
        np.testing.assert_allclose(back[1], truth.stars["dec"][inside], atol=1e-9)


def test_truth_predicts_the_pixels(session):
    night, plan = session
    truth = Truth.load(night.folder)
    sensor, path = truth.sensor(), truth.lights("G")[0]
    electrons = (fits.getdata(night.folder / path) - np.float64(sensor.structure)) * plan.camera.gain
    record = truth.frames[path]
    flat = (electrons - (sensor.dark + sensor.glow) * record["exposure"]) / truth.transmission("G")
    x, y = truth.sky_to_pixel(path, truth.stars["ra"], truth.stars["dec"])
    yy, xx = np.mgrid[:200, :260]
    checked = 0
    inside = (x > 15) & (x < 244) & (y > 15) & (y < 184)
    for star in np.flatnonzero(truth.stars["isolated"] & (truth.stars["mag"] < 13) & inside):
        near = np.hypot(xx - x[star], yy - y[star]) < 9
        expected = truth.star_rates("G")[star] * record["transparency"] * record["exposure"]
        # The peak pixel holds about a tenth of the light.
        if (sensor.dead | sensor.hot)[near].any() or 0.1 * expected > 0.7 * plan.camera.full_well:
            continue
        light = (flat[near] - truth.sky_plane(path)[near] * record["exposure"]).sum()
        noise = np.sqrt(expected + near.sum() * truth.sky_noise(path) ** 2)
        # 9 px hold all but 0.3 % of a Moffat star of this width; neighbors five magnitudes fainter add 1 %.
        assert light == pytest.approx(expected, abs=4 * noise + 0.01 * expected)
        checked += 1
    assert checked >= 3


def test_full_folder_is_left_alone(session, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="is not empty"):
        write_night(session[1], tmp_path, stars=stars)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt"]


def test_unwritable_place_is_named(session, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_night(session[1], tmp_path / "file" / "night", stars=stars)


def test_a_frame_appears_whole_or_not_at_all(session, tmp_path, monkeypatch):
    calls = []

    def full(self, part, **_):
        calls.append(part)
        part.write_bytes(b"SIMPLE")
        if len(calls) == 3:
            raise OSError(28, os.strerror(28), str(part))

    monkeypatch.setattr(fits.PrimaryHDU, "writeto", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_night(session[1], tmp_path / "out", stars=stars)
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(left) == 2 and not any(path.name.endswith(".part") for path in left)
    with pytest.raises(FileError, match="does not exist"):
        Truth.load(tmp_path / "out")


def test_user_settings_and_their_mistakes():
    plan = night_plan(
        "demo", {"lights": None, "seed": 7}, shape="100x120", settings=["sky.nebula=none", "camera.gain = 2"]
    )
    assert (plan.camera.rows, plan.camera.columns, plan.seed, plan.lights) == (100, 120, 7, 5)
    assert (plan.sky.nebula, plan.camera.gain) == ("none", 2.0)
    with pytest.raises(OptionError, match="NAME=VALUE"):
        night_plan("demo", settings=["lights"])
    with pytest.raises(OptionError, match=r"^--shape: is .100.\. Give ROWSxCOLUMNS"):
        night_plan("demo", shape="100")
