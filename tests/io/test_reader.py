"""The door to the formats, digests, and writing that leaves the old file or the new one."""

import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from sciastro.errors import FileError, OutputError, UsageError
from sciastro.io.paths import atomic_path, ensure_writable, inside, safe_name
from sciastro.io.reader import is_image, probe, read_hashed, read_pixels, reader_of, sha256


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.jpg", "no longer linear"),
        ("a.doc", "not an image format"),
        ("a.avi", "video"),
    ],
)
def test_formats_that_cannot_be_read_say_why(name, message):
    with pytest.raises(FileError, match=message) as caught:
        reader_of(Path(name))
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["A.FIT", "b.fits.fz", "c.fts.gz", "d.nef", "e.Fits"])
def test_images_are_known_by_name(name):
    assert is_image(Path(name))


@pytest.mark.parametrize("name", ["a.txt", "b.json", "c.wcs", "fits"])
def test_other_files_are_not(name):
    assert not is_image(Path(name))


def test_upper_case_names_are_read(tmp_path):
    fits.writeto(tmp_path / "A.FITS", np.ones((2, 3), np.uint16))
    assert probe(tmp_path / "A.FITS")[0].shape == (2, 3)


def test_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(FileError, match="cannot be read"):
        sha256(tmp_path / "y")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("M 31", "M_31"),
        ("../../etc/passwd", "etc-passwd"),
        ("a/b\\c", "a-b-c"),
        ("  .hidden ", "hidden"),
        ("tab\there\x07\x00", "tab_here"),
        ("Nébuleuse d'Orion", "Nébuleuse_d'Orion"),
        ("星雲", "星雲"),
        ("CON", "CON_"),
        ("nul.fits", "nul.fits_"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("a\u202eb", "a-b"),
        ("100%", "100"),
    ],
)
def test_safe_name(text, expected):
    assert safe_name(text) == expected


def test_safe_name_is_normalized_and_short():
    assert safe_name("e\u0301") == "\u00e9"
    long = safe_name("星" * 500)
    assert len(long.encode()) <= 100
    assert set(long) == {"星"}


def test_inside(tmp_path):
    assert inside(tmp_path, Path("a/b")) == (tmp_path / "a" / "b").resolve()
    for bad in (Path("../x"), Path("/etc/passwd"), Path("a/../../x")):
        with pytest.raises(UsageError, match="leads out"):
            inside(tmp_path, bad)
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(UsageError, match="leads out"):
        inside(tmp_path, Path("link/etc"))


def test_atomic_path_replaces_only_on_success(tmp_path):
    target = tmp_path / "sub" / "out.txt"
    with atomic_path(target) as part:
        part.write_text("new")
        assert part.parent == target.parent
        assert part.suffix == ".txt"
        assert not target.exists()
    assert target.read_text() == "new"
    with pytest.raises(ZeroDivisionError), atomic_path(target) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["out.txt"]


def test_atomic_path_keeps_the_usual_permissions(tmp_path):
    with atomic_path(tmp_path / "a") as part:
        part.write_text("x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "written"),
    ],
)
def test_system_errors_become_output_errors(tmp_path, code, message):
    with pytest.raises(OutputError, match=message), atomic_path(tmp_path / "a"):
        raise OSError(code, os.strerror(code))
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OutputError, match="disk is full"), atomic_path(tmp_path / "a") as part:
        part.unlink()
        part.symlink_to("/dev/full")
        with part.open("wb", buffering=0) as file:
            file.write(b"x")
    assert list(tmp_path.iterdir()) == []


def test_ensure_writable(tmp_path):
    assert ensure_writable(tmp_path / "new" / "deep").is_dir()
    assert list((tmp_path / "new" / "deep").iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        ensure_writable(tmp_path / "file")
    with pytest.raises(OutputError, match="part of the path is a file"):
        ensure_writable(tmp_path / "file" / "x")
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="permission denied"):
        ensure_writable(tmp_path / "locked")


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32, np.uint8])
@pytest.mark.parametrize("fits_room", [True, False])
def test_pixels_and_digest_come_of_one_reading(tmp_path, dtype, fits_room):
    pixels = (np.random.default_rng(3).random((301, 517)) * 250).astype(dtype)
    path = tmp_path / "a.fits"
    fits.writeto(path, pixels)
    with path.open("ab") as file:
        file.write(b"behind the image" * 180)
    room = np.empty(pixels.shape if fits_room else (2, 2), dtype)
    got, digest = read_hashed(path, None, lambda: room)
    assert (got is room) == fits_room
    assert got.dtype == read_pixels(path).dtype
    assert np.array_equal(got, pixels)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_packed_files_are_hashed_too(tmp_path):
    pixels = np.arange(600, dtype=np.uint16).reshape(20, 30)
    path = tmp_path / "a.fits.gz"
    fits.writeto(path, pixels)
    got, digest = read_hashed(path, None, lambda: np.empty((20, 30), np.uint16))
    assert np.array_equal(got, pixels)
    assert digest == sha256(path)
