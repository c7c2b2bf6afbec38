"""A night of camera raw, or of formats mixed, gives what the same pixels give as FITS, to the last bit."""

import shutil

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from camera_files import as_dng, color_night
from small_nights import reduce

import sciastro
from sciastro.io.xisfwrite import XisfPlane, write_xisf
from sciastro.simulate.camera import XTRANS

pytest.importorskip("rawpy")
OPTIONS = ("--set", "correct.gain=0.7", "--ra", "92.27", "--dec", "24.35")


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """The night as FITS and as DNG; not to be written to."""
    folder = tmp_path_factory.mktemp("raw")
    stored = color_night(folder / "fits", **{"camera.rows": 384, "camera.columns": 512})
    return {"fits": stored, "dng": as_dng(stored, folder / "dng")}


@pytest.fixture(scope="module")
def fits_run(nights, tmp_path_factory):
    return reduce(nights["fits"], tmp_path_factory.mktemp("fits") / "out", *OPTIONS)


@pytest.fixture(scope="module")
def dng_run(nights, tmp_path_factory):
    return reduce(
        nights["dng"], tmp_path_factory.mktemp("dng") / "out", *OPTIONS, "--keep", "calibrated,xisf"
    )


def assert_same_products(one, two):
    assert one.code == two.code == 0
    assert one.images == two.images == {("Tiny", band): 3 for band in "RGB"}
    for band in "RGB":
        name = f"products/Tiny_{band}.fits"
        with fits.open(one.out / name) as a, fits.open(two.out / name) as b:
            for plane in ("SCI", "ERR", "DQ", "COVERAGE"):
                np.testing.assert_array_equal(a[plane].data, b[plane].data)
            assert np.isfinite(b["SCI"].data).mean() > 0.9


def test_dng_gives_what_fits_gives(fits_run, dng_run):
    assert_same_products(fits_run, dng_run)


def test_names_and_formats_of_what_is_kept(dng_run):
    kept = {path.name for path in (dng_run.out / "calibrated").iterdir()}
    assert kept == {f"Tiny_lights_IMG_000{k}_{band}.fits" for k in range(3) for band in "RGB"}
    assert len(list(dng_run.out.glob("products/*.xisf"))) == 3
    for path in sorted(dng_run.out.glob("products/*_?.fits")):
        one, two = (sciastro.open(each).load() for each in (path, path.with_suffix(".xisf")))
        xr.testing.assert_identical(one, two)


def test_formats_may_be_mixed(nights, fits_run, tmp_path):
    # Lights and flats as DNG, darks as FITS, bias frames as XISF: one camera, whose frames belong together.
    for part in ("Tiny", "flat"):
        shutil.copytree(nights["dng"] / part, tmp_path / "mix" / part)
    for path in sorted(nights["fits"].rglob("*.fits")):
        kind = path.parent.name
        if kind == "DARK":
            (tmp_path / "mix/dark").mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / "mix/dark")
        elif kind == "BIAS":
            (tmp_path / "mix/bias").mkdir(exist_ok=True)
            with fits.open(path) as hdus:
                plane = XisfPlane(hdus[0].data.astype(np.uint16), hdus[0].header, cfa="RGGB")
            write_xisf(tmp_path / "mix/bias" / f"{path.stem}.xisf", [plane])
    assert_same_products(fits_run, reduce(tmp_path / "mix", tmp_path / "out", *OPTIONS))


@pytest.mark.slow
def test_xtrans_dng_gives_what_fits_gives(tmp_path):
    size = {"camera.rows": 384, "camera.columns": 510, "camera.cfa": XTRANS}
    stored = color_night(tmp_path / "fits", **size)
    one, two = (
        reduce(session, tmp_path / f"out-{session.name}", *OPTIONS)
        for session in (stored, as_dng(stored, tmp_path / "dng", cfa=XTRANS))
    )
    assert_same_products(one, two)


def sky_of(run):
    """Sky [electron / s / pixel] of every light, in the order of their times."""
    rows = [row for row in run.summary["frames"] if row["type"] == "light"]
    return np.array([row["sky_e_s"] for row in sorted(rows, key=lambda row: row["time"])])


def test_black_level_stands_in_for_bias_frames(nights, tmp_path):
    # The camera has an offset of its own: told as black level, it leaves the same sky as bias frames.
    level = float(np.median([fits.getdata(path) for path in nights["fits"].rglob("BIAS/*.fits")]))
    lone = as_dng(nights["fits"], tmp_path / "dng", black_level=level)
    for path in [*lone.rglob("bias/*.dng"), *lone.rglob("dark/*.dng")]:
        path.unlink()
    one = reduce(lone, tmp_path / "one", *OPTIONS)
    two = reduce(nights["fits"], tmp_path / "two", *OPTIONS, "--set", "match.use_darks=false")
    assert (one.code, two.code) == (0, 4)  # the darks of the second are not used, and it says so
    assert level > 100
    np.testing.assert_allclose(sky_of(one), sky_of(two), rtol=2e-3)
    assert "zero level" not in " ".join(one.summary["warnings"])
