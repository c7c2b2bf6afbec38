"""Picture files: what goes in comes out, to the last level, with its recipe, whole or not at all."""

import io
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from sciastro.errors import FileError, OutputError
from sciastro.io.raster import (
    encode_jpeg,
    encode_png,
    read_raster,
    read_recipe,
    thumbnail,
    write_jpeg,
    write_png,
    write_recipe,
    write_tiff16,
)

RECIPE = {"schema": 1, "stretch": {"kind": "stf", "midtones": [0.1]}, "target": "η Car <b>"}


@pytest.fixture
def picture():
    return np.random.default_rng(3).random((37, 53, 3), dtype=np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_png16_round_trip_is_exact(tmp_path, channels):
    levels = np.random.default_rng(1).integers(0, 65536, (21, 34, channels))
    path = write_png(tmp_path / "a.png", levels / 65535, bits=16)
    assert np.array_equal(np.rint(read_raster(path) * 65535), levels)


def test_png16_color_is_what_an_independent_reader_sees(tmp_path):
    # pillow reads 16-bit color as 8 bit: the high byte of every value
    levels = np.random.default_rng(1).integers(0, 65536, (21, 34, 3))
    path = write_png(tmp_path / "a.png", levels / 65535, bits=16)
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), levels >> 8)
        assert image.info["srgb"] == 0


def test_png16_gray_is_what_pillow_reads(tmp_path):
    levels = np.random.default_rng(1).integers(0, 65536, (21, 34))
    with Image.open(write_png(tmp_path / "a.png", levels / 65535, bits=16)) as image:
        assert np.array_equal(np.asarray(image), levels)


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4])
def test_16_bit_color_with_every_png_filter(tmp_path, kind):
    # a smooth picture filtered row by row as the PNG specification (section 9.2) defines it
    import struct
    import zlib

    y, x = np.mgrid[:9, :12]
    levels = np.stack([x * 4000 + y * 300, y * 7000, (x * y) * 500], axis=2).astype(np.uint16)
    raw = levels.astype(">u2").view(np.uint8).reshape(9, -1).astype(int)
    rows, step = b"", 6
    for i, row in enumerate(raw):
        up = raw[i - 1] if i else np.zeros_like(row)
        left, corner = (np.concatenate([np.zeros(step, int), v[:-step]]) for v in (row, up))
        guess = left + up - corner
        distance = np.abs(np.stack([left, up, corner]) - guess)
        paeth = np.choose(distance.argmin(axis=0), [left, up, corner])
        predicted = (0 * row, left, up, (left + up) // 2, paeth)[kind]
        rows += bytes([kind]) + ((row - predicted) % 256).astype(np.uint8).tobytes()

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 12, 9, 16, 2, 0, 0, 0))
    data = zlib.compress(rows)
    path = tmp_path / "f.png"
    parts = chunk(b"IDAT", data[:20]) + chunk(b"IDAT", data[20:])  # split, as other programs do
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + parts + chunk(b"IEND", b""))
    assert np.array_equal(np.rint(read_raster(path) * 65535), levels)


def test_8_bit_without_dither_rounds(tmp_path):
    # 0.5 * 255 = 127.5 -> 128 (to even); 0.1 * 255 = 25.5 -> 26 in float32 (25.500000379)
    path = write_png(tmp_path / "a.png", np.array([[0.0, 0.5, 1.0, 2.0, -1.0, 100 / 255]]), dither=False)
    assert np.rint(read_raster(path)[0, :, 0] * 255).tolist() == [0, 128, 255, 255, 0, 100]


def test_dither_keeps_the_mean_and_leaves_black_and_white_alone(tmp_path):
    flat = np.full((200, 200), 100.3 / 255, np.float32)
    flat[:50], flat[50:60] = 0.0, 1.0
    got = read_raster(write_png(tmp_path / "a.png", flat))[:, :, 0] * 255
    assert set(np.unique(np.rint(got[60:]))) == {100, 101}
    assert got[60:].mean() == pytest.approx(100.3, abs=0.02)  # 28000 pixels of sigma 0.46: 0.003
    assert got[:50].max() == 0
    assert got[50:60].min() == 255


def test_same_picture_same_bytes(picture):
    assert encode_png(picture, recipe=RECIPE) == encode_png(picture, recipe=RECIPE)
    assert encode_png(picture, bits=16) == encode_png(picture, bits=16)
    assert encode_jpeg(picture, recipe=RECIPE) == encode_jpeg(picture, recipe=RECIPE)


def test_jpeg_is_near_and_tagged(tmp_path):
    y, x = np.mgrid[:64, :80] / 80
    smooth = np.stack([x, y, 1 - x], axis=2)
    path = write_jpeg(tmp_path / "a.jpg", smooth, quality=95)
    assert np.abs(read_raster(path) - smooth).max() < 0.03
    with Image.open(path) as image:
        assert image.info["icc_profile"][36:40] == b"acsp"


def test_jpeg_of_pure_noise(tmp_path):
    # incompressible: the encoder's buffer must grow
    noise = np.random.default_rng(0).random((480, 480, 3), dtype=np.float32)
    assert read_raster(write_jpeg(tmp_path / "n.jpg", noise, quality=90)).shape == (480, 480, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_tiff16_is_what_tifffile_reads(tmp_path, channels):
    levels = np.random.default_rng(1).integers(0, 65536, (21, 34, channels))
    path = write_tiff16(tmp_path / "a.tif", levels / 65535, recipe=RECIPE)
    assert np.array_equal(tifffile.imread(path), levels if channels == 3 else levels[:, :, 0])
    assert np.array_equal(np.rint(read_raster(path) * 65535), levels)
    with tifffile.TiffFile(path) as tiff:
        assert json.loads(tiff.pages[0].description) == RECIPE


@pytest.mark.parametrize("bits", [8, 16])
def test_recipe_travels_inside_and_beside(tmp_path, picture, bits):
    path = write_png(tmp_path / "m94.png", picture, bits=bits, recipe=RECIPE, text={"Title": "M 94 η"})
    assert read_recipe(path) == RECIPE
    assert json.loads((tmp_path / "m94.json").read_text(encoding="utf-8")) == RECIPE
    with Image.open(path) as image:
        image.load()
        assert image.info["Title"] == "M 94 η"
    assert read_recipe(write_jpeg(tmp_path / "m94.jpg", picture, recipe=RECIPE)) == RECIPE
    assert read_recipe(write_png(tmp_path / "plain.png", picture)) is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m94.jpg", "m94.json", "m94.png", "plain.png"]


def test_write_recipe_beside(tmp_path):
    assert write_recipe(tmp_path / "x.tif", {"b": 1, "a": 2}).read_text() == '{\n  "a": 2,\n  "b": 1\n}\n'


def test_thumbnail_keeps_mean_and_shape():
    big = np.random.default_rng(0).random((400, 300, 3), dtype=np.float32)
    small = thumbnail(big, 100)
    assert small.shape == (100, 75, 3)
    assert small.mean() == pytest.approx(big.mean(), abs=0.003)
    assert thumbnail(big, 400).shape == big.shape
    assert thumbnail(np.ones((1, 500)), 10).shape == (1, 10, 1)


@pytest.mark.parametrize("bad", [np.zeros((3, 4, 2)), np.zeros((0, 4)), np.zeros(5), np.zeros((2, 2, 3, 1))])
def test_what_is_no_picture_is_refused(tmp_path, bad):
    with pytest.raises(OutputError, match=r"picture: has shape .* Give \(y, x\)"):
        write_png(tmp_path / "a.png", bad)
    assert not list(tmp_path.iterdir())


def test_nan_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(OutputError, match=r"holds NaN or infinite values\. Make it with `render.compose`"):
        write_png(tmp_path / "a.png", np.array([[0.1, np.nan]]))
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_wrong_bits_and_keyword(picture):
    with pytest.raises(OutputError, match=r"asked for 12 bits per channel\. Choose 8 or 16"):
        encode_png(picture, bits=12)
    with pytest.raises(OutputError, match="printable"):
        encode_png(picture, text={"\x00\x01": "x"})


def test_unreadable_files(tmp_path, picture):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(FileError, match="is no picture, whatever its name says"):
        read_raster(tmp_path / "a.png")
    with pytest.raises(FileError, match="does not exist"):
        read_raster(tmp_path / "missing.png")
    whole = encode_png(picture, bits=16)
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="cannot be read as a picture"):
        read_raster(tmp_path / "cut.png")
    with pytest.raises(FileError, match="is no picture"):
        read_recipe(tmp_path / "a.png")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((4, 4), np.float64))
    (tmp_path / "float.tif").write_bytes(buffer.getvalue())
    with pytest.raises(FileError, match="float64"):
        read_raster(tmp_path / "float.tif")


def test_a_picture_larger_than_pillow_reads(tmp_path, picture, monkeypatch):
    write_png(tmp_path / "large.png", picture)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(FileError, match=r"million pixels\. Save it smaller"):
        read_raster(tmp_path / "large.png")


def test_folder_that_cannot_be_written(tmp_path, picture):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        write_png(tmp_path / "file" / "a.png", picture)
