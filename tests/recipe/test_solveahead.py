"""Stars that are looked for before a header is understood are those that are found afterwards."""

import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest
from astropy.io import fits
from small_nights import command

from sciastro.errors import FileError
from sciastro.recipe import solvereading, solving
from sciastro.recipe.solveahead import looked_ahead, taking_turns
from sciastro.recipe.solvereading import begun, read_field

SHAPE = (300, 420)


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(8)
    image = rng.normal(500, 6, SHAPE)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for y, x, peak in zip(rng.uniform(5, 295, 60), rng.uniform(5, 415, 60), 60 / rng.random(60), strict=True):
        image += min(peak, 9000) * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4)
    return image.round().astype(np.uint16)


def written(path, pixels, **cards):
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update(cards)
    hdu.writeto(path)
    return path


def same(path, looking):
    early, usual = begun(path, looking)(path), read_field(path)
    np.testing.assert_array_equal(early.plane, usual.plane)
    np.testing.assert_array_equal(early.stars(), usual.stars())
    assert (early.shape, early.step, early.top_down) == (usual.shape, usual.step, usual.top_down)
    assert early.facts == usual.facts and (early.wcs is None) == (usual.wcs is None)
    return early


def test_the_field_is_that_of_the_usual_way(pixels, tmp_path):
    place = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CD1_1": -1e-3}
    path = written(tmp_path / "a.fits", pixels, CD2_2=1e-3, **{"DATE-OBS": "2026-03-01T20:00:00"}, **place)
    looking = looked_ahead(path)
    assert looking is not None and looking().stars.size > 40
    early = same(path, looking)
    assert early.wcs is not None and early.facts.time is not None


def test_color_frames_are_solved_on_their_own_grid(pixels, tmp_path):
    told = written(tmp_path / "told.fits", pixels, BAYERPAT="RGGB")
    assert looked_ahead(told) is None
    silent = written(tmp_path / "silent.fits", pixels, INSTRUME="ZWO ASI2600MC Pro")  # the model tells
    looking = looked_ahead(silent)
    assert looking() is not None
    assert same(silent, looking).step == 2


def test_what_cannot_be_looked_at_is_told_by_the_usual_way(pixels, tmp_path):
    path = written(tmp_path / "a.fits", pixels)
    looking = looked_ahead(path)
    assert looking() is not None
    path.write_bytes(path.read_bytes()[:50_000])
    assert looked_ahead(path) is None
    with pytest.raises(FileError, match="is cut off: "):
        begun(path, looking)(path)
    bare = written(tmp_path / "bare.fits", np.full(SHAPE, np.nan, np.float32))
    assert looked_ahead(bare)() is None
    assert looked_ahead(tmp_path / "none.fits") is None


def test_a_file_that_changes_meanwhile_is_read_anew(pixels, tmp_path):
    path = written(tmp_path / "a.fits", pixels)
    looking = looked_ahead(path)
    assert looking() is not None
    path.unlink()
    written(path, pixels[:200])
    assert begun(path, looking)(path).shape == (200, 420)


def test_pixels_are_not_kept_for_a_second_time(pixels, tmp_path):
    path = written(tmp_path / "a.fits", pixels)
    read = begun(path, looked_ahead(path))
    field = read(path)
    plane = weakref.ref(field.plane)
    del field
    gc.collect()
    assert plane() is None and read(path).stars().size > 40


def test_nothing_of_astropy_is_loaded_before(pixels, tmp_path):
    path = written(tmp_path / "a.fits", pixels)
    code = (
        "import sys; from pathlib import Path; from sciastro.recipe.solveahead import looked_ahead;"
        f"print(looked_ahead(Path({str(path)!r}))().stars.size, 'astropy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    size, loaded = done.stdout.split()
    assert int(size) > 40 and loaded == "False"


def test_threads_take_turns_as_before_afterwards():
    before = sys.getswitchinterval()
    with taking_turns():
        assert sys.getswitchinterval() < before / 10
    assert sys.getswitchinterval() == before


def test_the_command_does_so(pixels, tmp_path, monkeypatch):
    monkeypatch.setattr(solving, "TIERS", (solving.near_hint,))  # not the whole sky
    reads = []
    monkeypatch.setattr(solvereading, "read_field", reads.append)  # the usual way
    path = written(tmp_path / "a.fits", pixels)
    told = command(
        "solve", str(path), "--ra", "10", "--dec", "20", "--scale", "2", "--seconds", "1", "--json"
    )
    assert told.exit_code == 3 and '"solved": false' in told.stdout and not reads
