"""Folders of anything become frames, targets and groups."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from session_frames import EVENING, frame, several, write

from sciastro.errors import FileError, OptionError
from sciastro.recipe.grouping import group_lights, group_products, temperature_bins
from sciastro.recipe.session import ScanOptions, Session, scan
from sciastro.recipe.targets import separation

DATA = Path(__file__).parents[3] / "shared" / "data"
LIGHT = {"IMAGETYP": "Light", "EXPTIME": 60.0, "DATE_OBS": "2024-03-01T20:00:00"}


def session(*frames):
    return Session(Path("night"), tuple(frames))


def test_scan_reads_every_folder_in_order(tmp_path):
    write(tmp_path / "b" / "2.fits", OBJECT="M 42", **LIGHT)
    write(tmp_path / "a" / "1.fits", OBJECT="M 42", **LIGHT)
    write(tmp_path / "bias" / "1.fits", EXPTIME=0.0)
    found = scan(tmp_path)
    assert [item.path for item in found.frames] == ["a/1.fits", "b/2.fits", "bias/1.fits"]
    assert [item.kind for item in found.frames] == ["light", "light", "bias"]
    assert found.frames[0].shape == (12, 16)
    assert found.path(found.frames[0]) == tmp_path / "a" / "1.fits"


def test_scan_reports_its_progress(tmp_path):
    for number in range(3):
        write(tmp_path / f"{number}.fits", **LIGHT)
    calls = []
    scan(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_broken_files_are_skipped_with_their_reason(tmp_path):
    write(tmp_path / "good.fits", **LIGHT)
    whole = write(tmp_path / "cut.fits", **LIGHT).read_bytes()
    (tmp_path / "cut.fits").write_bytes(whole[:3000])
    (tmp_path / "letter.fits").write_text("not an image")
    (tmp_path / "raw.cr2").write_bytes(b"II*")
    (tmp_path / "notes.txt").write_text("clear sky")
    write(tmp_path / "noexp.fits", IMAGETYP="Light")
    fits.writeto(tmp_path / "color.fits", np.zeros((3, 5, 6), np.uint16))
    found = scan(tmp_path)
    assert [item.path for item in found.frames] == ["good.fits"]
    reasons = dict(found.skipped)
    assert list(reasons) == ["color.fits", "cut.fits", "letter.fits", "noexp.fits", "raw.cr2"]
    assert "cut off" in reasons["cut.fits"]
    assert "not a FITS file" in reasons["letter.fits"]
    assert "camera raw" in reasons["raw.cr2"]
    assert "EXPTIME" in reasons["noexp.fits"]
    assert "color image" in reasons["color.fits"]
    assert found.ignored == ("notes.txt",)


def test_empty_and_useless_folders(tmp_path):
    with pytest.raises(FileError, match="holds no images"):
        scan(tmp_path)
    (tmp_path / "x.fits").write_text("no")
    with pytest.raises(FileError, match=r"none can be used.*x\.fits"):
        scan(tmp_path)
    with pytest.raises(FileError, match="does not exist"):
        scan(tmp_path / "nowhere")
    with pytest.raises(FileError, match="is a file"):
        scan(tmp_path / "x.fits")


def test_earlier_results_hidden_files_and_loops_are_left_out(tmp_path):
    write(tmp_path / "lights" / "1.fits", **LIGHT)
    for name in ("summary.json", "frames.h5"):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_text("")
    write(tmp_path / "out" / "products" / "M42_L.fits", **LIGHT)
    write(tmp_path / ".trash" / "2.fits", **LIGHT)
    write(tmp_path / ".hidden.fits", **LIGHT)
    (tmp_path / "lights" / "loop").symlink_to(tmp_path)
    (tmp_path / "lights" / "dead.fits").symlink_to(tmp_path / "gone.fits")
    assert [item.path for item in scan(tmp_path).frames] == ["lights/1.fits"]


def test_frames_of_no_kind_with_an_exposure_are_lights_and_say_so(tmp_path):
    write(tmp_path / "x1.fits", EXPTIME=30.0, OBJECT="HAT-P-32")
    item = scan(tmp_path).frames[0]
    assert item.kind == "light"
    assert item.origins["kind"] == "default"
    assert any("taken as a light" in problem for problem in item.problems)


def test_one_night_by_the_site_of_other_frames(tmp_path):
    # 11:30 and 12:30 UTC in Australia are one night; without a site Greenwich noon would split it.
    site = {"SITELAT": -31.3, "SITELONG": 149.0}
    write(tmp_path / "1.fits", **{**LIGHT, "DATE_OBS": "2024-03-01T11:30:00"}, **site)
    write(tmp_path / "2.fits", **{**LIGHT, "DATE_OBS": "2024-03-01T11:31:00"})
    write(tmp_path / "3.fits", **{**LIGHT, "DATE_OBS": "2024-03-01T12:30:00"})
    found = scan(tmp_path)
    assert len({item.night for item in found.frames}) == 1
    assert found.frames[1].origins["night"] == "site longitude of other frames"


# -------------------------------------------------------------------------------------------- targets
def test_two_targets_are_two_products(tmp_path):
    for number in range(2):
        write(tmp_path / f"a{number}.fits", OBJECT="M 42", FILTER="Red", **LIGHT)
        write(tmp_path / f"b{number}.fits", OBJECT="M 31", FILTER="R", **LIGHT)
        write(tmp_path / f"c{number}.fits", OBJECT="m42", FILTER="Ha", **LIGHT)
    products = group_products(group_lights(scan(tmp_path)))
    assert [(item.target, item.band, len(item.frames)) for item in products] == [
        ("M 31", "R", 2),
        ("M 42", "Ha", 2),
        ("M 42", "R", 2),
    ]


def test_frames_without_a_name_join_the_target_they_point_at(tmp_path):
    scale = {"FOCALLEN": 400.0, "XPIXSZ": 200.0}  # 103 arcsec per pixel: a field of 0.46 deg
    write(tmp_path / "x1.fits", OBJECT="M 42", RA=83.8, DEC=-5.4, **LIGHT, **scale)
    write(tmp_path / "x2.fits", RA=83.9, DEC=-5.4, **LIGHT, **scale)
    write(tmp_path / "x3.fits", RA=10.7, DEC=41.3, **LIGHT, **scale)
    write(tmp_path / "x4.fits", RA=10.75, DEC=41.3, **LIGHT, **scale)
    names = [item.target for item in scan(tmp_path).frames]
    assert names[:2] == ["M 42", "M 42"]
    assert names[2] == names[3] != "M 42"


def test_nameless_targets_are_called_after_files_or_the_folder(tmp_path):
    folder = tmp_path / "Rosette"
    for name in ("first", "second"):
        write(folder / f"{name}.fits", **LIGHT)
    assert {item.target for item in scan(folder).frames} == {"Rosette"}
    for number in range(3):
        write(tmp_path / "b" / f"M13_blue_{number:04d}.fits", **LIGHT)
    assert {item.target for item in scan(tmp_path / "b").frames} == {"M13"}
    assert {item.filter for item in scan(tmp_path / "b").frames} == {"B"}


# --------------------------------------------------------------------------------------------- groups
@pytest.mark.parametrize(
    "facts",
    [
        {"exposure": 120.0},
        {"gain_setting": 200.0},
        {"offset": 50.0},
        {"binning": (2, 2)},
        {"shape": (50, 60)},
        {"cfa": "RGGB"},
        {"filter": "R"},
        {"temperature": 5.0},
        {"night": EVENING.date() + timedelta(days=1)},
        {"target": "M 31"},
        {"readout_mode": "Low noise"},
        {"instrument": "another"},
    ],
)
def test_every_key_makes_a_group_of_its_own(facts):
    groups = group_lights(session(*several("light"), *several("light", 2, **facts)))
    assert sorted(len(group.frames) for group in groups) == [2, 3]
    assert len({group.id for group in groups}) == 2


def test_small_differences_make_no_groups():
    frames = [frame("light", exposure=60.0 + 0.01 * n, temperature=-10.0 + 0.3 * n) for n in range(5)]
    (group,) = group_lights(session(*frames))
    assert group.exposure == 60.0
    assert group.temperature == pytest.approx(-9.4)
    assert [item.path for item in group.frames] == [item.path for item in frames]


def test_temperature_bins_follow_the_data():
    frames = [frame("light", temperature=t) for t in (25.0, 26.2, 17.8, 17.9, None, 24.0)]
    bins = temperature_bins(frames)
    assert [bins[item] for item in frames] == [1, 1, 0, 0, -1, 1]


def test_separation_of_known_places():
    # A degree of declination; 90 degrees along the equator; a degree of RA at Dec 60 is half a degree.
    assert separation((10.0, 20.0), (10.0, 21.0)) == pytest.approx(1.0)
    assert separation((0.0, 0.0), (90.0, 0.0)) == pytest.approx(90.0)
    assert separation((359.5, 60.0), (0.5, 60.0)) == pytest.approx(0.5, abs=1e-4)


REAL = {
    "calib_arcsat_m13": (17, {("M13", "g"): 2, ("M13", "r"): 3}, 3),
    "osc_seestar_m94": (9, {("M 94", "OSC"): 9}, 2),
    "timeseries_hatp32": (142, {("HATP-32", "Clear"): 142}, 1),
    "stack_m13_orion": (4, {("M13", "B"): 4}, 1),
    "detector_qsi683": (6, {}, 0),
}


@pytest.mark.parametrize("name", REAL)
def test_real_sessions(name):
    if not (DATA / name).is_dir():
        pytest.skip("no real data beside the repository")
    count, products, groups = REAL[name]
    found = scan(DATA / name)
    assert len(found.frames) == count
    assert found.skipped == ()
    made = group_lights(found)
    assert len(made) == groups
    assert {(item.target, item.band): len(item.frames) for item in group_products(made)} == products


def test_further_images_of_a_file_are_told(tmp_path):
    planes = [fits.ImageHDU(np.full((12, 16), level, np.uint16)) for level in (500, 900)]
    for plane in planes:
        plane.header["IMAGETYP"], plane.header["EXPTIME"] = "Light", 10.0
    fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(tmp_path / "two.fits")
    (only,) = scan(tmp_path).frames
    assert only.hdu == 1
    assert "holds 2 images; only the first one (HDU 1) is used" in only.problems


def test_a_copy_counts_once(tmp_path):
    for number in range(2):
        write(tmp_path / f"{number}.fits", level=number, **LIGHT)
    write(tmp_path / "bias" / "b.fits", EXPTIME=0.0)
    for one, other in (
        ("1.fits", "Copy of 1.fits"),
        ("1.fits", "backup/1.fits"),
        ("bias/b.fits", "bias/c.fits"),
    ):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        shutil.copy(tmp_path / one, tmp_path / other)
    found = scan(tmp_path)
    assert [item.path for item in found.frames] == ["0.fits", "1.fits", "bias/b.fits"]
    assert [(path, reason.split(";")[0]) for path, reason in found.skipped] == [
        ("Copy of 1.fits", "is the same file as 1.fits"),
        ("backup/1.fits", "is the same file as 1.fits"),
        ("bias/c.fits", "is the same file as bias/b.fits"),
    ]


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    write(tmp_path / "a" / "1.fits", **LIGHT)
    write(tmp_path / "b" / "1.fits", level=2, **LIGHT)
    look = os.scandir

    def refuse(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = scan(tmp_path)
    assert [item.path for item in found.frames] == ["a/1.fits"]
    ((path, reason),) = found.skipped
    assert path == "b"
    assert "cannot be read (Permission denied)" in reason


def test_colors_of_a_sensor_that_no_header_names(tmp_path):
    """TIFF says no pattern at all; a header that names one is believed."""
    write(tmp_path / "M31/lights/a.fits", EXPTIME=60.0)
    write(tmp_path / "M31/lights/b.fits", EXPTIME=60.0, BAYERPAT="GBRG")
    found = {one.path[-6:]: one for one in scan(tmp_path, options=ScanOptions(cfa="rg/gb")).frames}
    assert [found[name].cfa for name in ("a.fits", "b.fits")] == ["RGGB", "GBRG"]
    assert found["a.fits"].filter == "OSC" and found["a.fits"].origins["cfa"] == "option"
    assert not next(one for one in scan(tmp_path).frames if one.path.endswith("a.fits")).cfa
    with pytest.raises(OptionError, match=r"is 'RXGB', no color filter array\. Give RGGB"):
        scan(tmp_path, options=ScanOptions(cfa="RXGB"))
