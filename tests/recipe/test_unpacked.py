"""Masters of packed files that do not fit into memory: each file is unpacked once, and nothing is left."""

import numpy as np
import pytest
from astropy.io import fits

from sciastro.io.reader import read_pixels
from sciastro.recipe import making, mastersources
from sciastro.recipe.context import Context, Silent
from sciastro.recipe.matching import plan_masters
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.session import scan
from sciastro.recipe.unpacked import scratch, unpack

SHAPE = (600, 500)


@pytest.fixture
def session(tmp_path):
    """Five bias frames in gzip files."""
    rng = np.random.default_rng(1)
    (tmp_path / "night").mkdir()
    for k in range(5):
        header = fits.Header({"IMAGETYP": "Bias Frame", "EXPTIME": 0.0})
        pixels = rng.normal(500, 5, SHAPE).astype(np.uint16)
        fits.writeto(tmp_path / f"night/bias_{k}.fits.gz", pixels, header)
    return scan(tmp_path / "night")


def at_once(name, lent, write):
    """Write a master before anything else is done, as where memory is short."""
    write()


def made(session, out, memory, monkeypatch):
    """Make the master with `memory` bytes; returns its pixels and how often each file was unpacked whole."""
    counts = {}

    def counted(path, hdu=None):
        counts[path.name] = counts.get(path.name, 0) + 1
        return read_pixels(path, hdu)

    monkeypatch.setattr(mastersources, "read_pixels", counted)
    monkeypatch.setattr(mastersources, "open_rows", lambda image: refuse)
    context = Context(out=out, workers=2, memory=memory, progress=Silent())
    (spec,) = plan_masters(session).masters
    out.mkdir()
    bank = making.MasterBank(load_recipe(None, []).of(making.DefectOptions), hold=0)
    making._make(spec, session, bank, out / "bias.fits", load_recipe(None, []), context, at_once)
    assert list(out.rglob("*.pixels")) == []
    return fits.getdata(out / "bias.fits", "SCI"), counts


def refuse(first, last):
    raise AssertionError("the packed file was read again")


def test_the_same_master_with_and_without_memory(session, tmp_path, monkeypatch):
    # Five frames of 0.6 MB: with 1 MB they do not fit into a third of it, with 1 GB they do.
    little, once = made(session, tmp_path / "little", 10**6, monkeypatch)
    much, also_once = made(session, tmp_path / "much", 10**9, monkeypatch)
    np.testing.assert_array_equal(little, much)
    assert set(once.values()) == set(also_once.values()) == {1} and len(once) == 5


def test_rows_come_back_and_the_folder_goes(tmp_path):
    pixels = np.arange(60, dtype=np.uint16).reshape(10, 6)
    context = Context(out=tmp_path, workers=1, memory=10**9, progress=Silent())
    with scratch(context, "dark 60s/x") as folder:
        rows = unpack(pixels, "a/b.dng", folder)
        np.testing.assert_array_equal(rows(3, 7), pixels[3:7])
        assert folder.is_relative_to(tmp_path)
        assert len(list(folder.iterdir())) == 1
    assert not folder.exists()


def test_a_disk_that_does_not_take_it(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert unpack(np.zeros((4, 4), np.uint16), "a", tmp_path / "file" / "folder") is None


def test_a_packed_master_of_another_program(tmp_path):
    (tmp_path / "night").mkdir()
    header = fits.Header({"IMAGETYP": "Master Bias", "EXPTIME": 0.0})
    fits.writeto(tmp_path / "night/master.fits.gz", np.full((20, 30), 512, np.uint16), header)
    session = scan(tmp_path / "night")
    (spec,) = plan_masters(session).masters
    context = Context(out=tmp_path, workers=1, memory=10**6, progress=Silent())
    bank = making.MasterBank(load_recipe(None, []).of(making.DefectOptions), hold=0)
    making._make(spec, session, bank, tmp_path / "bias.fits", load_recipe(None, []), context, at_once)
    assert (fits.getdata(tmp_path / "bias.fits", "SCI") == 512).all()
