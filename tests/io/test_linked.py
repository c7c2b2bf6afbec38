"""Raw pixels that stay in their files: a file that fails costs its own frame, and is never misread."""

import os

import numpy as np
import pytest
from astropy.io import fits

from sciastro.errors import FileError, OptionError
from sciastro.io.linked import link, original_of


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{k}.fits" for k in range(3)]
    for k, path in enumerate(paths):
        fits.PrimaryHDU(np.full((4, 5), 10 * k, np.uint16)).writeto(path)
    return paths


def test_rows_come_from_the_files(files):
    block = link([(path, 0) for path in files])
    assert block.rows(2, 1, 3).tolist() == [[20] * 5] * 2


@pytest.mark.parametrize("fault", ["gone", "empty", "cut"])
def test_one_file_that_cannot_be_read_costs_one_frame(files, fault):
    content = files[1].read_bytes()
    files[1].unlink()
    if fault != "gone":
        files[1].write_bytes(b"" if fault == "empty" else content[:100])
    block = link([(path, 0) for path in files])
    assert block.rows(0, 0, 4).max() == 0
    with pytest.raises(FileError, match=r"changed while the run needed it|cannot be read"):
        block.rows(1, 0, 4)


def test_a_file_that_changes_is_not_misread(files):
    block = link([(path, 0) for path in files])
    fits.PrimaryHDU(np.zeros((6, 5), np.uint16)).writeto(files[1], overwrite=True)
    files[1].write_bytes(files[1].read_bytes() + bytes(2880))
    with pytest.raises(FileError, match="changed while the run needed it"):
        block.rows(1, 0, 4)


def test_a_file_that_changes_while_it_is_read_is_not_misread(files, monkeypatch):
    block = link([(path, 0) for path in files])

    def open_rows(image):
        def rows(first, last):
            os.utime(image.path, ns=(1, 1))
            return np.zeros((last - first, 5), np.uint16)

        return rows

    monkeypatch.setattr("sciastro.io.linked.open_rows", open_rows)
    with pytest.raises(FileError, match="changed while the run needed it"):
        block.rows(1, 0, 4)


def test_packed_files_are_refused(tmp_path):
    path = tmp_path / "a.fits.gz"
    fits.PrimaryHDU(np.zeros((4, 5), np.uint16)).writeto(path)
    with pytest.raises(OptionError, match="cannot be read by position"):
        link([(path, 0)])


def test_an_original_is_read_until_it_changes(files, tmp_path):
    original = original_of(files[2], 0, tmp_path)
    assert original.rows(1, 3).tolist() == [[20] * 5] * 2
    os.utime(files[2], ns=(1, 1))  # the same pixels: nobody looks, the copy serves as well
    assert original.rows(1, 3) is None
    files[2].unlink()
    assert original.rows(1, 3) is None


def test_what_is_no_original(files, tmp_path):
    packed = tmp_path / "a.fits.gz"
    fits.PrimaryHDU(np.zeros((4, 5), np.uint16)).writeto(packed)
    scaled = tmp_path / "scaled.fits"
    fits.PrimaryHDU(np.zeros((4, 5), np.int16), fits.Header({"BLANK": -1})).writeto(scaled)
    (tmp_path / "a.tif").write_bytes(b"II*")
    for path in (packed, scaled, tmp_path / "a.tif", tmp_path / "gone.fits"):
        assert original_of(path, 0, tmp_path) is None
    assert original_of(files[0], 1, tmp_path) is None  # no such image in it
