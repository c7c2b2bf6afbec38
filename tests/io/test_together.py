"""Frames of many files as one dataset: lazy, exact, and refused where they do not belong together."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import sciastro
from sciastro.core.lift import chunk_rows
from sciastro.core.quality import Quality
from sciastro.core.transform import identity
from sciastro.core.vocabulary import FROM_REFERENCE, labeled
from sciastro.core.wcs import tan_wcs, wcs_to_header
from sciastro.core.windows import rows_of_frames, windows_of
from sciastro.errors import DatasetError, FileError, UsageError
from sciastro.io import backend
from sciastro.io.product_reading import read_product
from sciastro.io.products import ProductFacts, write_frame
from sciastro.io.together import together

SHAPE = (40, 50)
PIXELS = ("signal", "variance", "quality")
KNOWN = {"sky": 0.5, "noise": 0.1, "transparency": 0.9, "weight": 0.7, "fwhm": 2.5, "frame_correlation": 1.1}


def planes_of(i):
    rng = np.random.default_rng(i)
    signal = rng.normal(400, 20, SHAPE).astype(np.float32)
    quality = np.zeros(SHAPE, np.uint16)
    quality[i, 3] = int(Quality.SATURATED)
    return signal, rng.uniform(300, 500, SHAPE).astype(np.float32), quality


@pytest.fixture
def files(tmp_path):
    out = []
    for i in range(4):
        facts = ProductFacts(
            band="V",
            exposure=60.0 + i,
            date_average=f"2026-01-01T00:00:0{i}",
            measured={**KNOWN, "sky": 0.5 + i},
        )
        out.append(write_frame(tmp_path / f"{i}.fits", *planes_of(i), wcs=None, facts=facts))
    return out


def test_pixels_and_facts_one_after_the_other(files):
    ds = sciastro.open(files)
    for k, name in enumerate(PIXELS):
        want = np.stack([planes_of(i)[k] for i in range(4)])
        np.testing.assert_allclose(ds[name].values, want, rtol=1e-6)
        np.testing.assert_allclose(ds[name][1:3, 5:9, ::2].values, want[1:3, 5:9, ::2], rtol=1e-6)
        np.testing.assert_allclose(ds[name][2, 7].values, want[2, 7], rtol=1e-6)
        np.testing.assert_allclose(ds[name][:, 7, 8].values, want[:, 7, 8], rtol=1e-6)
    assert ds["exposure"].values.tolist() == [60, 61, 62, 63]
    assert ds["sky"].values.tolist() == [0.5, 1.5, 2.5, 3.5]
    assert ds["time"].values[3] == np.datetime64("2026-01-01T00:00:03")
    for name, value in KNOWN.items():
        assert name == "sky" or ds[name].values.tolist() == [value] * 4


@pytest.mark.parametrize(
    "key",
    [
        np.s_[:, 7, 8],
        np.s_[:, 7, 3:6],
        np.s_[2, 7, 8],
        np.s_[1:3, ::-1, 4],
        np.s_[::2, 0:0],
        np.s_[::-1, 5:9, ::3],
    ],
)
def test_every_basic_index_of_pixels_in_files(files, key):
    want = np.stack([planes_of(i)[0] for i in range(4)])[key]
    got = sciastro.open(files)["signal"][key].values
    np.testing.assert_array_equal(got, want)
    assert got.shape == want.shape


def test_nothing_is_read_before_it_is_asked_for(files, monkeypatch):
    asked = []
    real = backend.open_rows

    def watched(image):
        rows = real(image)
        return lambda first, last: asked.append((image.path.name, first, last)) or rows(first, last)

    monkeypatch.setattr(backend, "open_rows", watched)
    ds = sciastro.open(files)
    assert asked == []
    _ = ds["signal"][2, 4:10, 3:5].values
    assert asked == [("2.fits", 4, 10)]


def test_windows_come_straight_from_the_files_and_are_those_of_xarray(files):
    ds = sciastro.open(files)
    cubes = [ds[name] for name in PIXELS]
    assert all(rows_of_frames(cube.variable) is not None for cube in cubes)
    windows = windows_of(cubes, np.array([3, 1]))
    for i, frame in enumerate((3, 1)):
        got = windows(i, 5, 20, 7, 30)
        for plane, cube in zip(got, cubes, strict=True):
            np.testing.assert_array_equal(plane, cube[frame, 5:20, 7:30].values)
            assert plane.dtype == cube.dtype


def test_a_part_of_the_files_is_asked_of_xarray(files):
    part = sciastro.open(files).isel(y=slice(10, 30), frame=slice(None, None, -1))
    cube = part["signal"]
    assert rows_of_frames(cube.variable) is None
    (window,) = windows_of([cube], np.array([0]))(0, 2, 6, 1, 9)
    np.testing.assert_allclose(window, planes_of(3)[0][12:16, 1:9])


def test_frames_opened_and_written_again_have_every_card_once(files, tmp_path):
    for file in files:
        with fits.open(file, mode="update") as hdus:
            hdus["SCI"].header.update(wcs_to_header(tan_wcs(10.0, 20.0, 2.0, SHAPE)))
    written = sciastro.open(files).sky.to_fits(tmp_path / "again.fits")
    for name in ("SCI", "ERR", "DQ"):
        keys = [key for key in fits.getheader(written[0], name) if key not in ("COMMENT", "HISTORY", "")]
        assert len(keys) == len(set(keys))
    again = sciastro.open(written)
    assert again["sky"].values.tolist() == [0.5, 1.5, 2.5, 3.5]


def test_it_travels(files):
    ds = pickle.loads(pickle.dumps(sciastro.open(files)))
    np.testing.assert_array_equal(ds["quality"].values[1], planes_of(1)[2])


def test_stack_of_files_is_that_of_the_same_in_memory(files):
    ds = sciastro.open(files)
    of_files = sciastro.stack(ds)
    xr.testing.assert_identical(of_files, sciastro.stack(sciastro.open(files).load()))
    assert of_files["image_exposure"].item() == 246
    chunked = sciastro.stack(chunk_rows(sciastro.open(files), 16))
    xr.testing.assert_identical(chunked.compute(), of_files)


def test_files_that_tell_different_things_are_refused(files, tmp_path):
    other = write_frame(
        tmp_path / "other.fits", *planes_of(0), wcs=None, facts=ProductFacts(band="V", exposure=60.0)
    )
    with pytest.raises(DatasetError, match="transparency") as caught:
        sciastro.open([*files, other])
    assert "other.fits" in str(caught.value)


def test_bits_of_another_version_are_brought_to_our_places(files):
    with fits.open(files[0], mode="update") as hdus:
        hdus["DQ"].header["DQBIT1"], hdus["DQ"].header["DQBIT2"] = "COSMIC_RAY", "SATURATED"
    ds = sciastro.open(files)
    (window,) = windows_of([ds["quality"]], np.array([0]))(0, 0, 5, 0, 5)
    assert window[0, 3] == int(Quality.COSMIC_RAY)
    assert ds["quality"].values[0, 0, 3] == int(Quality.COSMIC_RAY)
    assert ds["quality"].values[1, 1, 3] == int(Quality.SATURATED)


def test_a_file_cut_off_says_so(files):
    ds = sciastro.open(files)
    with files[2].open("r+b") as file:
        file.truncate(9000)
    with pytest.raises(sciastro.SciastroError, match=r"2\.fits"):
        sciastro.stack(ds)


# Its own high-water mark: ru_maxrss is no less than what its parent had when it was started.
PEAK = """
import re, sys
from pathlib import Path
import sciastro

def peak():
    (mark,) = re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(mark)

frames = sciastro.open(sys.argv[1:])
before = peak()
sciastro.stack(frames, workers=2)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_frames_may_be_larger_than_the_memory_that_is_used(tmp_path):
    shape, n = (2000, 3000), 24
    rng = np.random.default_rng(1)
    planes = rng.normal(400, 20, shape).astype(np.float32), np.full(shape, 400, np.float32)
    files = [
        write_frame(
            tmp_path / f"{i}.fits", *planes, np.zeros(shape, np.uint16), wcs=None,
            facts=ProductFacts(band="V", exposure=60.0),
        )
        for i in range(n)
    ]  # fmt: skip
    taken = []
    for some in (files[: n // 2], files):
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *some], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        taken.append(int(done.stdout))
    pixels = shape[0] * shape[1]
    images, tiles = 18 * pixels, 2 * (128 << 20)  # six planes; at most so much per thread
    assert taken[1] < images + tiles + (150 << 20) < 0.6 * 10 * n * pixels
    assert taken[1] < taken[0] + (60 << 20)


@pytest.mark.parametrize("given", [None, [3], [None], np.ones(3)])
def test_what_is_no_path_is_refused(given):
    with pytest.raises(UsageError, match="no path"):
        sciastro.open(given)


def test_no_file_and_a_file_twice_are_refused(files):
    with pytest.raises(DatasetError, match=r"list of files: is empty\. Check the pattern"):
        sciastro.open([])
    detour = files[0].parent / ".." / files[0].parent.name / "0.fits"
    with pytest.raises(DatasetError, match=r"0\.fits: comes twice"):
        sciastro.open([*files, detour])


def test_images_are_not_opened_together(files, tmp_path):
    sciastro.stack(sciastro.open(files)).sky.to_fits(tmp_path / "image.fits")
    with pytest.raises(DatasetError, match=r"image\.fits: holds no frames\. .* images one by one"):
        sciastro.open([*files, tmp_path / "image.fits"])


def test_frames_of_different_size_are_not_opened_together(files, tmp_path):
    facts = ProductFacts(band="V", exposure=60.0, measured=KNOWN)
    small = write_frame(tmp_path / "s.fits", *(one[:30] for one in planes_of(0)), wcs=None, facts=facts)
    with pytest.raises(DatasetError, match="no frames of one size"):
        sciastro.open([*files, small])


def test_frames_in_different_units_are_not_opened_together(files, tmp_path):
    facts = ProductFacts(band="V", exposure=60.0, date_average="2026-01-01T00:00:09", measured=KNOWN)
    other = write_frame(tmp_path / "u.fits", *planes_of(0), wcs=None, facts=facts, unit="adu")
    with pytest.raises(DatasetError, match="hold 'signal' in 'electron' and 'adu'"):
        sciastro.open([*files, other])


def test_maps_to_reference_frames_of_several_runs_are_not_mixed(files):
    parts = [sciastro.open(path) for path in files[:2]]
    maps = labeled(FROM_REFERENCE, identity()[None])
    parts = [part.assign_coords(from_reference=maps) for part in parts]
    assert "from_reference" not in together(parts).variables
    assert "from_reference" in together(parts[:1]).variables


def test_planes_of_different_size_are_damage(files):
    with fits.open(files[0], mode="update") as hdus:
        hdus["ERR"].data = hdus["ERR"].data[:-3]
    for way in (sciastro.open, read_product):
        with pytest.raises(FileError, match=r"0\.fits: is damaged: ERR has the size \(37, 50\)"):
            way(files[0])


def test_a_file_written_anew_after_it_was_opened_is_not_read_by_its_old_header(files):
    ds = sciastro.open(files)
    longer = ProductFacts(band="V", exposure=600.0, measured=KNOWN)
    write_frame(files[1], *planes_of(5), wcs=None, facts=longer)
    for read in (sciastro.stack, lambda ds: ds["signal"][1, :3].values, lambda ds: ds.load()):
        with pytest.raises(FileError, match=r"1\.fits: changed after it had been opened\. Open it again"):
            read(ds)
    files[1].unlink()
    with pytest.raises(FileError, match=r"1\.fits: does not exist"):
        sciastro.stack(ds)
