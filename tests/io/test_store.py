"""The store: any tool opens it, and a crash leaves the old or the new state."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from sciastro.core.vocabulary import EXPOSURE, FILTER, TIME, labeled
from sciastro.errors import FileError, OutputError
from sciastro.io import store


def facts(n):
    time = np.array(["2026-11-14T02:00:00"] * n, "datetime64[us]")
    if n > 1:
        time[1] = np.datetime64("NaT")
    return xr.Dataset(
        coords={
            "time": labeled(TIME, time),
            "exposure": labeled(EXPOSURE, np.full(n, 60.0)),
            "filter": labeled(FILTER, np.array(["R", "grün", "Ha"][:n], dtype=object)),
        },
        attrs={"history": '{"step": "x"}'},
    )


@pytest.fixture
def made(tmp_path):
    path = tmp_path / "frames.h5"
    store.create(
        path,
        [store.StoreGroup(name="lights_0", shape=(3, 200, 300), dtype=np.dtype("u2"), facts=facts(3))],
        {"title": "t"},
    )
    return path


@pytest.mark.parametrize("system", ["this one", "an older one"])
def test_pixels_that_nobody_reads_soon_are_written_alike(made, monkeypatch, system):
    if system == "an older one":

        def refuse(*_):
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")

        monkeypatch.setattr(os, "pwritev", refuse)
    pixels = np.random.default_rng(1).integers(0, 65535, (3, 200, 300)).astype("u2")
    block = store.open_raw(made, "lights_0")
    for i in range(3):
        block.write(i, pixels[i], once=True)
    for i in range(3):
        np.testing.assert_array_equal(block.rows(i, 0, 200), pixels[i])


def test_pixels_and_facts_come_back(made):
    pixels = np.random.default_rng(1).integers(0, 65535, (3, 200, 300)).astype("u2")
    block = store.open_raw(made, "lights_0")
    for i in (2, 0, 1):
        block.write(i, pixels[i])
    np.testing.assert_array_equal(block.rows(1, 10, 20), pixels[1, 10:20])
    with store.open_group(made) as ds:
        assert ds["raw"].chunks is not None
        np.testing.assert_array_equal(ds["raw"].values, pixels)
        assert ds["raw"].attrs["units"] == "adu"
        assert list(ds["filter"].values) == ["R", "grün", "Ha"]
        assert ds["time"].dtype.kind == "M"
        assert np.isnat(ds["time"].values[1])
        assert set(ds.coords) == {"time", "exposure", "filter"}
        assert ds["exposure"].attrs["units"] == "s"
    with h5py.File(made) as plain:  # any HDF5 tool
        np.testing.assert_array_equal(plain["lights_0/raw"][2], pixels[2])


def test_facts_are_replaced_and_added(made):
    new = facts(3).assign_coords(
        fwhm=("frame", [1.0, np.nan, 3.0], {"units": "pixel"}), use=("frame", [True, False, True])
    )
    store.write_facts(made, "lights_0", new)
    with store.open_group(made) as ds:
        np.testing.assert_array_equal(ds["fwhm"].values, [1.0, np.nan, 3.0])
        assert ds["use"].dtype == bool
        assert ds.attrs["history"] == '{"step": "x"}'


def test_planes(made):
    image = np.arange(60000, dtype="f4").reshape(200, 300)
    for factor in (1, 2):
        store.write_planes(made, "masters/dark_1", {"image": (image * factor, "adu")}, {"kind": "dark"})
    with store.open_group(made, "masters/dark_1") as ds:
        np.testing.assert_array_equal(ds["image"].values, image * 2)
        assert ds["image"].attrs["units"] == "adu"


@pytest.mark.parametrize("value", [0, 5])
def test_a_plane_of_one_value_comes_back(made, value):
    quality = np.broadcast_to(np.uint16(value), (200, 300))
    size = made.stat().st_size
    store.write_planes(made, "masters/dark_1", {"quality": (quality, "1")}, {"kind": "dark"})
    with store.open_group(made, "masters/dark_1") as ds:
        assert ds["quality"].dtype == np.uint16
        np.testing.assert_array_equal(ds["quality"].values, quality)
    assert (made.stat().st_size - size > quality.nbytes // 2) == (value != 0)  # zeros take no room


def test_failed_update_leaves_the_old_state(made):
    before = made.read_bytes()

    def spoil():
        with store.updating(made):
            with h5py.File(made, "r+") as file:
                file.create_dataset("junk", data=np.ones(100000))
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        spoil()
    assert made.read_bytes() == before


def test_killed_update_is_rolled_back_when_opened(made):
    block = store.open_raw(made, "lights_0")
    block.write(0, np.full((200, 300), 7, "u2"))
    before = made.read_bytes()
    code = f"""
        import os, signal, h5py, numpy as np
        from pathlib import Path
        from sciastro.io import store
        path = Path({str(made)!r})
        with store.updating(path):
            file = h5py.File(path, "r+")
            del file["lights_0/exposure"]
            file.create_dataset("junk", data=np.ones(300000))
            file.flush()
            with path.open("r+b") as raw:
                raw.write(b"damage!!")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == -signal.SIGKILL
    assert made.read_bytes() != before
    with store.open_group(made) as ds:
        assert "exposure" in ds.coords
        assert int(ds["raw"][0, 0, 0]) == 7
    assert made.read_bytes() == before


def test_several_groups_must_be_named(tmp_path):
    path = tmp_path / "frames.h5"
    layout = [
        store.StoreGroup(name=f"lights_{i}", shape=(1, 8, 8 + i), dtype=np.dtype("u2"), facts=facts(1))
        for i in range(2)
    ]
    store.create(path, layout, {})
    with pytest.raises(FileError, match=r"holds 2 groups of frames \(lights_0, lights_1\)"):
        store.open_group(path)
    with store.open_group(path, "lights_1") as ds:
        assert ds.sizes["x"] == 9


def test_what_is_not_a_store(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        store.open_group(tmp_path / "no.h5")
    text = tmp_path / "text.h5"
    text.write_text("hello")
    with pytest.raises(FileError, match="is not an HDF5 file"):
        store.open_group(text)


def test_more_pixels_than_disk(tmp_path):
    huge = store.StoreGroup(
        name="lights_0", shape=(10**6, 10**4, 10**4), dtype=np.dtype("u2"), facts=facts(1).isel(frame=[])
    )
    with pytest.raises(OutputError, match="and the disk has"):
        store.create(tmp_path / "frames.h5", [huge], {})
    assert list(tmp_path.iterdir()) == []


def test_wrong_shape_is_refused(made):
    with pytest.raises(FileError, match="the store holds"):
        store.open_raw(made, "lights_0").write(0, np.zeros((2, 2), "u2"))
