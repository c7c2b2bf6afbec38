"""SER videos: frames, byte order, time stamps, and what stands beside them."""

import struct
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from camera_files import write_ser

from sciastro.errors import FileError
from sciastro.io.headers import facts_from_header
from sciastro.io.reader import open_rows, probe, read_pixels
from sciastro.recipe.grouping import group_lights
from sciastro.recipe.session import ScanOptions, scan

START = datetime(2024, 8, 1, 22, 0, 0, 500000, tzinfo=UTC)


@pytest.fixture
def frames():
    """Five frames of a smooth scene of 12 bits with noise."""
    y, x = np.mgrid[0:30, 0:44]
    scene = 800 + 900 * np.exp(-((y - 15) ** 2 + (x - 20) ** 2) / 60)
    return np.random.default_rng(4).normal(scene, 12, (5, 30, 44)).astype(np.uint16)


def stamps(count=5, step=0.04):
    return [START + timedelta(seconds=step * k) for k in range(count)]


def facts_of(path, number=0, **known):
    image = probe(path)[number]
    return facts_from_header(image.header, path.name, image.shape, image.dtype.name, image.hdu, **known)


def test_every_frame(tmp_path, frames):
    path = write_ser(tmp_path / "a.ser", frames, stamps=stamps())
    images = probe(path)
    assert [image.hdu for image in images] == [0, 1, 2, 3, 4]
    for image, frame in zip(images, frames, strict=True):
        np.testing.assert_array_equal(read_pixels(path, image.hdu), frame)
        np.testing.assert_array_equal(open_rows(image)(3, 9), frame[3:9])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("flag", [0, 1])
@pytest.mark.parametrize("depth", [12, 16])
def test_byte_order_is_that_of_the_pixels_whatever_the_flag_says(tmp_path, frames, order, flag, depth):
    path = write_ser(tmp_path / "a.ser", frames, order=order, flag=flag, depth=depth)
    np.testing.assert_array_equal(read_pixels(path, 2), frames[2])


@pytest.mark.parametrize(("flag", "order"), [(0, "<"), (1, ">")])
def test_flag_decides_where_pixels_do_not(tmp_path, flag, order):
    # 257 times a byte reads alike in both orders; noise on both bytes does not tell either.
    noise = np.random.default_rng(1).integers(0, 65536, (2, 30, 44), dtype=np.uint16)
    path = write_ser(tmp_path / "a.ser", noise, flag=flag, order=order)
    np.testing.assert_array_equal(read_pixels(path, 1), noise[1])


def test_eight_bits(tmp_path, frames):
    data = (frames >> 4).astype(np.uint8)
    path = write_ser(tmp_path / "a.ser", data, depth=8)
    np.testing.assert_array_equal(read_pixels(path, 4), data[4])
    assert facts_of(path).saturation == 255.0


@pytest.mark.parametrize(("color", "cfa"), [(0, ""), (8, "RGGB"), (9, "GRBG"), (10, "GBRG"), (11, "BGGR")])
def test_colors(tmp_path, frames, color, cfa):
    facts = facts_of(write_ser(tmp_path / "a.ser", frames, color=color, depth=12))
    assert (facts.cfa, facts.saturation) == (cfa, 4095.0)


def test_bits_at_the_upper_end_of_sixteen(tmp_path, frames):
    path = write_ser(tmp_path / "a.ser", frames << 4, depth=12)
    np.testing.assert_array_equal(read_pixels(path, 0), frames[0] << 4)
    assert facts_of(path).saturation == 65535.0


def test_time_of_each_frame_and_exposure_beside_it(tmp_path, frames):
    path = write_ser(tmp_path / "Moon_R.ser", frames, stamps=stamps())
    (tmp_path / "Moon_R.txt").write_text(
        "FireCapture v2.7 Settings\n---\nCamera=ZWO ASI290MM\nFilter=R\nProfile=Moon\nShutter=15.00ms\n"
        "Gain=300 (50%)\nSensor temperature=21.5 °C\nHistogramm=70%\n"
    )
    facts = facts_of(path, 3)
    assert facts.exposure == pytest.approx(0.015)
    assert facts.time == START + timedelta(seconds=3 * 0.04 + 0.0075)
    assert (facts.filter, facts.target, facts.gain_setting, facts.temperature) == ("R", "Moon", 300.0, 21.5)
    assert (facts.instrument, facts.program) == ("ZWO ASI290MM", "FireCapture")


@pytest.mark.parametrize(
    ("line", "seconds"),
    [("Exposure=10.0000ms", 0.01), ("Exposure=2s", 2.0), ("Exposure=0.25", 0.25), ("Exposure=500us", 5e-4),
     ("Exposure (ms)=33.3", 0.0333), ("Shutter=15,5ms", 0.0155)],
)  # fmt: skip
def test_spellings_of_the_exposure(tmp_path, frames, line, seconds):
    path = write_ser(tmp_path / "a.ser", frames)
    (tmp_path / "a.CameraSettings.txt").write_text(f"[Camera]\n{line}\nGain=7\n")
    assert facts_of(path).exposure == pytest.approx(seconds)


def test_time_from_frame_to_frame_stands_in(tmp_path, frames):
    facts = facts_of(write_ser(tmp_path / "a.ser", frames, stamps=stamps()))
    assert facts.exposure == pytest.approx(0.04)
    assert any("frame to frame" in problem for problem in facts.problems)


def test_exposure_from_the_user(tmp_path, frames):
    path = write_ser(tmp_path / "a.ser", frames)
    assert facts_of(path).exposure is None
    assert facts_of(path, exposure_else=0.02).exposure == 0.02


def test_stamps_that_make_no_sense_are_none(tmp_path, frames):
    path = write_ser(tmp_path / "a.ser", frames)
    path.write_bytes(path.read_bytes() + struct.pack("<5q", 1, 2, -3, 4, 5))
    assert facts_of(path).time is None


def test_a_session_has_a_frame_for_each(tmp_path, frames):
    write_ser(tmp_path / "M13/clip.ser", frames, stamps=stamps())
    write_ser(tmp_path / "darks/d.ser", frames[:3])
    with_time = scan(tmp_path, options=ScanOptions(exposure=0.03))
    assert len({frame.name for frame in with_time.frames}) == 8
    assert [frame.name for frame in with_time.of_kind("light")] == [f"M13/clip.ser#{k}" for k in range(5)]
    (group,) = group_lights(with_time)
    assert (group.target, group.exposure) == ("M13", 0.03)
    assert {frame.exposure for frame in with_time.of_kind("dark")} == {0.03}


def test_a_video_without_times_asks_for_one(tmp_path, frames):
    write_ser(tmp_path / "clip.ser", frames)
    with pytest.raises(FileError, match=r"scan\.exposure=SECONDS"):
        scan(tmp_path)


# ------------------------------------------------------------------------------------------- broken
def damaged(path, frames, **fields):
    content = bytearray(write_ser(path, frames).read_bytes())
    for name, value in fields.items():
        at = {"color": 18, "width": 26, "height": 30, "depth": 34, "count": 38}[name]
        content[at : at + 4] = struct.pack("<i", value)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"count": 6}, "5 of its 6 frames are whole"),
        ({"count": 0}, "holds 0 frames"),
        ({"count": -1}, "holds -1 frames"),
        ({"count": 2**31 - 1}, "frames"),
        ({"width": 2**31 - 1, "height": 2**31 - 1}, "pixels of 16 bits"),
        ({"width": -4}, "-4 x 30"),
        ({"depth": 33}, "33 bits"),
        ({"color": 100}, "developed colors"),
        ({"color": 16}, "CYYM"),
        ({"color": 77}, "number 77"),
    ],
)
def test_heads_that_lie(tmp_path, frames, fields, said):
    with pytest.raises(FileError, match=said):
        probe(damaged(tmp_path / "a.ser", frames, **fields))


def test_no_video(tmp_path, frames):
    whole = write_ser(tmp_path / "a.ser", frames).read_bytes()
    for content, said in [
        (b"", "empty"),
        (whole[:100], "not a SER"),
        (b"RIFF" * 99, "not a SER"),
        (whole[:-9], "cut off"),
    ]:
        (tmp_path / "a.ser").write_bytes(content)
        with pytest.raises(FileError, match=said):
            probe(tmp_path / "a.ser")
    with pytest.raises(FileError, match="does not exist"):
        probe(tmp_path / "b.ser")


def test_random_heads_never_escape_as_anything_else(tmp_path, frames):
    rng, path = np.random.default_rng(8), tmp_path / "a.ser"
    whole, refused = write_ser(path, frames, stamps=stamps()).read_bytes(), 0
    for _ in range(200):
        content = bytearray(whole)
        for at in [*rng.integers(14, 178, 2), rng.integers(len(whole) - 40, len(whole))]:
            content[at] = rng.integers(256)
        path.write_bytes(content)
        try:
            facts_of(path)
            read_pixels(path, 0)
        except FileError:
            refused += 1
    assert 10 < refused < 200
