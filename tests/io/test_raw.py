"""Camera raw: pixels as the sensor gave them, facts as Exif means them, and files that are broken."""

import importlib
import struct
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from camera_files import packed

from sciastro.errors import FileError
from sciastro.io import raw as raw_module
from sciastro.io.exif import read_exif
from sciastro.io.exifcards import exif_header
from sciastro.io.headers import facts_from_header
from sciastro.io.reader import is_image, open_rows, probe, read_pixels
from sciastro.recipe.session import scan
from sciastro.simulate.dng import write_dng

rawpy = pytest.importorskip("rawpy")

XTRANS = "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"
START = datetime(2024, 8, 1, 23, 30, 5, 250000)
SHARED = Path(__file__).parents[3] / "shared/data"
SUMMER = timezone(timedelta(hours=2))


@pytest.fixture
def mosaic():
    return np.random.default_rng(3).integers(0, 16383, (60, 84), dtype=np.uint16)


def dng(path, mosaic, **changes):
    facts = {
        "cfa": "GRBG",
        "exposure": 12.0,
        "iso": 3200,
        "time": START,
        "black_level": 64.0,
        "white_level": 16383,
    }
    return write_dng(path, mosaic, **(facts | changes))


def facts_of(path):
    (image,) = probe(path)
    return facts_from_header(image.header, path.name, image.shape, image.dtype.name)


# ------------------------------------------------------------------------------------------- pixels
@pytest.mark.parametrize("cfa", ["RGGB", "BGGR", "GRBG", "GBRG", XTRANS, ""])
def test_pixels_and_colors_are_those_of_the_sensor(tmp_path, mosaic, cfa):
    path = dng(tmp_path / "a.DNG", mosaic, cfa=cfa)
    np.testing.assert_array_equal(read_pixels(path), mosaic)
    assert read_pixels(path).dtype == np.uint16
    assert facts_of(path).cfa == cfa


def test_rows_are_those_of_the_frame(tmp_path, mosaic):
    (image,) = probe(dng(tmp_path / "a.dng", mosaic))
    rows = open_rows(image)
    np.testing.assert_array_equal(rows(7, 20), mosaic[7:20])
    band = rows(0, 2)
    band[:] = 0  # a reader's own copy: the next one is not spoiled
    np.testing.assert_array_equal(rows(0, 2), mosaic[:2])


def test_packed_pixels(tmp_path, mosaic):
    path = packed(dng(tmp_path / "a.dng", mosaic, active_area=(2, 4, 58, 80)), mosaic)
    (image,) = probe(path)
    assert image.offset is None  # they do not lie in the file as they are
    seen = mosaic[2:58, 4:80]
    np.testing.assert_array_equal(read_pixels(path), seen)
    rows = open_rows(image)
    band = rows(7, 20)
    band[:] = 0
    np.testing.assert_array_equal(rows(7, 20), seen[7:20])
    packed(dng(path, mosaic[::-1].copy(), active_area=(2, 4, 58, 80)), mosaic[::-1].copy())
    np.testing.assert_array_equal(rows(0, 3), mosaic[::-1][2:5, 4:80])


def test_packed_frames_are_decoded_once_for_their_bands(tmp_path, mosaic, monkeypatch):
    reader = raw_module.RawReader()
    (image,) = reader.probe(packed(dng(tmp_path / "a.dng", mosaic), mosaic))
    decoded, decode = [], reader._decode
    monkeypatch.setattr(reader, "_decode", lambda probe: decoded.append(probe) or decode(probe))
    rows = reader.open_rows(image)
    np.testing.assert_array_equal(np.concatenate([rows(y, y + 10) for y in range(0, 60, 10)]), mosaic)
    assert len(decoded) == 1


def test_frames_of_one_layout_in_several_threads(tmp_path, mosaic):
    frames = [mosaic + np.uint16(k) for k in range(8)]
    paths = [packed(dng(tmp_path / f"{k}.dng", frame), frame) for k, frame in enumerate(frames)]
    with ThreadPoolExecutor(4) as pool:
        for frame, got in zip(frames, pool.map(read_pixels, paths), strict=True):
            np.testing.assert_array_equal(got, frame)


def test_developed_colors_are_refused(tmp_path, mosaic):
    path = tmp_path / "pro.dng"
    tags = [(50706, 1, 4, (1, 4, 0, 0), True), (50708, 2, 0, "Fone", True), (50717, 4, 3, (65535,) * 3, True)]
    picture = np.dstack([mosaic] * 3)
    tifffile.imwrite(path, picture, photometric=34892, extratags=tags, metadata=None)
    with pytest.raises(FileError, match="developed already"):
        probe(path)


def test_another_file_under_the_same_name_is_read_anew(tmp_path, mosaic):
    path = dng(tmp_path / "a.dng", mosaic)
    read_pixels(path)
    dng(path, mosaic + np.uint16(1))
    np.testing.assert_array_equal(read_pixels(path), mosaic + 1)


@pytest.mark.parametrize(("top", "left"), [(2, 4), (4, 2)])
def test_masked_margins_are_cut_and_the_colors_follow(tmp_path, mosaic, top, left):
    path = dng(tmp_path / "a.dng", mosaic, active_area=(top, left, 58, 80))
    np.testing.assert_array_equal(read_pixels(path), mosaic[top:58, left:80])
    facts = facts_of(path)
    assert facts.cfa == "GRBG"  # the pattern begins where the active area does
    assert facts.shape == (58 - top, 80 - left)


def test_odd_margins_of_xtrans(tmp_path, mosaic):
    # LibRaw may move the border of the area to keep its colors in step; then ours must follow.
    path = dng(tmp_path / "a.dng", mosaic, cfa=XTRANS, active_area=(3, 5, 57, 79))
    header = probe(path)[0].header
    top, left = header["TOPMARG"] - 3, header["LEFTMARG"] - 5
    pattern = np.array(list(XTRANS)).reshape(6, 6)
    assert facts_of(path).cfa == "".join(np.roll(pattern, (-top, -left), (0, 1)).ravel())
    got = read_pixels(path)
    np.testing.assert_array_equal(got, mosaic[3 + top :, 5 + left :][: got.shape[0], : got.shape[1]])


def test_odd_margins_of_bayer(tmp_path, mosaic):
    path = dng(tmp_path / "a.dng", mosaic, active_area=(3, 5, 57, 79))
    header, got = probe(path)[0].header, read_pixels(path)
    top, left = header["TOPMARG"] - 3, header["LEFTMARG"] - 5
    np.testing.assert_array_equal(got, mosaic[3 + top :, 5 + left :][: got.shape[0], : got.shape[1]])
    pattern = np.array(list("GRBG")).reshape(2, 2)
    assert facts_of(path).cfa == "".join(np.roll(pattern, (-top, -left), (0, 1)).ravel())


def test_orientation_is_told_and_nothing_is_turned(tmp_path, mosaic):
    path = dng(tmp_path / "a.dng", mosaic, orientation=6)
    np.testing.assert_array_equal(read_pixels(path), mosaic)
    assert facts_of(path).orientation == 6


# -------------------------------------------------------------------------------------------- facts
def test_facts_of_a_phone(tmp_path):
    frame = np.full((3024, 4032), 100, np.uint16)
    path = dng(
        tmp_path / "light.dng", frame, time=START.replace(tzinfo=SUMMER),
        focal_length=4.7, focal_length_35mm=25, f_number=1.8, site=(-33.5, -70.25, 2400.0),
        model="Fone 12", make="Acme",
    )  # fmt: skip
    facts = facts_of(path)
    assert facts.exposure == 12.0
    assert facts.gain_setting == 3200
    assert facts.time == datetime(2024, 8, 1, 21, 30, 11, 250000, tzinfo=UTC)  # middle: 6 s after the start
    assert facts.night.isoformat() == "2024-08-01"
    assert facts.instrument == "Acme Fone 12"
    assert facts.black_level == 64.0
    assert facts.saturation == 16383.0
    assert facts.site == pytest.approx((-33.5, -70.25, 2400.0))
    assert facts.aperture == pytest.approx(4.7 / 1.8, rel=1e-4)
    # 43.27 mm x 4.7 / 25 = 8.134 mm of diagonal over 5040 pixels: 1.614 um, 70.8 arcsec of the sky.
    assert facts.pixel_size == pytest.approx(1.614, abs=0.001)
    assert facts.scale == pytest.approx(206264.806 * 1.614e-3 / 4.7, rel=1e-3)
    assert facts.filter == "OSC"
    assert facts.problems == ()


def test_focal_plane_resolution_comes_first(tmp_path, mosaic):
    path = dng(tmp_path / "a.dng", mosaic, focal_length=200.0, focal_length_35mm=320, pixel_size=3.72)
    assert facts_of(path).pixel_size == pytest.approx(3.72, rel=1e-4)


def test_clock_without_a_zone_is_said(tmp_path, mosaic):
    facts = facts_of(dng(tmp_path / "a.dng", mosaic))
    assert facts.time == (START + timedelta(seconds=6)).replace(tzinfo=UTC)
    assert facts.night.isoformat() == "2024-08-01"
    assert any("no time zone" in problem for problem in facts.problems)


def test_clock_by_option(tmp_path, mosaic):
    (image,) = probe(dng(tmp_path / "a.dng", mosaic))
    facts = facts_from_header(image.header, "a.dng", image.shape, "uint16", utc_offset=2.0)
    assert facts.time == (START + timedelta(seconds=6) - timedelta(hours=2)).replace(tzinfo=UTC)
    assert facts.night.isoformat() == "2024-08-01"  # by the local noon
    assert facts.problems == ()


def test_clock_by_the_satellites(tmp_path, mosaic):
    # Exif without OffsetTime; GPS time in UTC: 21:30:02, so the clock at 23:30:05 is two hours ahead.
    exif = read_exif(dng(tmp_path / "a.dng", mosaic))
    exif.gps[29], exif.gps[7] = "2024:08:01", (21.0, 30.0, 2.0)
    header = exif_header(exif, mosaic.shape)
    assert header["DATE-OBS"] == "2024-08-01T21:30:05.250"
    assert "TIMESYS" not in header
    exif.gps[7] = (21.0, 22.0, 2.0)  # 8 minutes off any quarter of an hour: no zone
    assert exif_header(exif, mosaic.shape)["TIMESYS"] == "LOCAL"


def test_black_level_of_zero_is_no_knowledge(tmp_path, mosaic):
    assert facts_of(dng(tmp_path / "a.dng", mosaic, black_level=0.0)).black_level is None


def test_levels_of_four_channels(tmp_path, mosaic):
    assert facts_of(dng(tmp_path / "a.dng", mosaic, black_level=(64, 66, 66, 68))).black_level == 66.0


@pytest.mark.parametrize(("folder", "kind"), [("darks", "dark"), ("Flats", "flat"), ("bias", "bias")])
def test_kind_is_that_of_the_folder(tmp_path, mosaic, folder, kind):
    (image,) = probe(dng(tmp_path / "a.dng", mosaic))
    assert facts_from_header(image.header, f"{folder}/IMG_1.dng", image.shape, "uint16").kind == kind


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1234",
        "DSC01234",
        "_DSC1234",
        "DSCF1234",
        "_MG_1234",
        "P1010001",
        "PXL_20240801_213005123.RAW-01.COVER",
    ],
)
def test_names_that_cameras_give_are_no_targets(tmp_path, mosaic, name):
    (image,) = probe(dng(tmp_path / f"{name}.dng", mosaic))
    facts = facts_from_header(image.header, f"M 31/lights/{name}.dng", image.shape, "uint16")
    assert (facts.target, facts.kind) == ("M 31", "light")


def test_a_probe_decodes_one_frame_of_a_camera(tmp_path, mosaic, monkeypatch):
    # Thousands of frames are looked at before a run; only the first of a setting may cost its pixels.
    decoded = []
    visible = raw_module._visible
    monkeypatch.setattr(raw_module, "_visible", lambda *args: decoded.append(args[1]) or visible(*args))
    reader = raw_module.RawReader()
    for number in range(5):  # phones measure their black level anew for each frame
        (image,) = reader.probe(dng(tmp_path / f"{number}.dng", mosaic, black_level=64 + number / 8))
        assert image.header["BLACKLEV"] == 64 + number / 8
    reader.probe(dng(tmp_path / "other.dng", mosaic, cfa="RGGB"))
    assert [path.name for path in decoded] == ["0.dng", "other.dng"]


# --------------------------------------------------------------------------- containers of the tags
def tiff_block(tmp_path, mosaic):
    head = dng(tmp_path / "block.dng", mosaic[:2, :2], time=START.replace(tzinfo=SUMMER)).read_bytes()
    return head[:-8]


def test_tags_in_a_raf(tmp_path, mosaic):
    block = tiff_block(tmp_path, mosaic)
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block
    jpeg = b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + b"JFIF".ljust(14, b"\0") + segment + b"\xff\xda"
    head = b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + struct.pack(">6I", 160, len(jpeg), 0, 0, 4000, 1000)
    (tmp_path / "a.raf").write_bytes(head.ljust(160, b"\0") + jpeg)
    exif = read_exif(tmp_path / "a.raf")
    assert exif.number(33434) == 12.0
    assert exif.text(36867) == "2024:08:01 23:30:05"
    assert exif.text(36881) == "+02:00"
    assert exif.end == 5000  # where the mosaic ends, as the head says


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


def test_tags_in_a_cr3(tmp_path):
    def block(tags):
        entries, tail, after = b"", b"", 8 + 2 + 12 * len(tags) + 4
        for number, kind, count, data in tags:
            place = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", after + len(tail))
            tail += data if len(data) > 4 else b""
            entries += struct.pack("<HHI", number, kind, count) + place
        return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + tail

    main = block([(272, 2, 13, b"Canon EOS R6\0")])
    photo = block([(33434, 5, 1, struct.pack("<2I", 1, 250)), (34855, 3, 1, struct.pack("<H", 1600))])
    boxes = box(b"CNCV", b"CanonCR3") + box(b"CMT1", main) + box(b"CMT2", photo)
    movie = box(b"moov", box(b"uuid", bytes.fromhex("85c0b687820f11e08111f4ce462b6a48") + boxes))
    whole = box(b"ftyp", b"crx \0\0\0\1") + movie + box(b"mdat", bytes(64))
    path = tmp_path / "a.cr3"
    path.write_bytes(whole)
    exif = read_exif(path)
    assert exif.text(272) == "Canon EOS R6"
    assert exif.number(33434) == pytest.approx(0.004)
    assert exif.number(34855) == 1600
    assert exif.end == len(whole)


# ------------------------------------------------------------------------------------------ broken
def test_cut_off(tmp_path, mosaic):
    path = dng(tmp_path / "a.dng", mosaic)
    whole = path.read_bytes()
    for size in (len(whole) - 2, len(whole) // 2, 700, 100, 9):
        path.write_bytes(whole[:size])
        with pytest.raises(FileError, match=r"cut off|LibRaw|decoded|read"):
            probe(path)


def test_nothing_and_something_else(tmp_path):
    for name, content, said in [("a.cr2", b"", "empty"), ("b.nef", b"SIMPLE  =" * 400, "no camera raw")]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError, match=said):
            probe(tmp_path / name)
    with pytest.raises(FileError, match="does not exist"):
        probe(tmp_path / "c.arw")


def test_absurd_size(tmp_path, mosaic):
    path = dng(tmp_path / "a.dng", mosaic)
    content = bytearray(path.read_bytes())
    for tag in (256, 257):
        at = content.find(struct.pack("<HHI", tag, 4, 1))
        content[at + 8 : at + 12] = struct.pack("<I", 65000)
    path.write_bytes(content)
    with pytest.raises(FileError):
        read_pixels(path)


def test_without_rawpy(tmp_path, mosaic, monkeypatch):
    path = dng(tmp_path / "a.dng", mosaic)
    wanted = importlib.import_module

    def missing(name, *args):
        if name == "rawpy":
            raise ModuleNotFoundError("No module named 'rawpy'")
        return wanted(name, *args)

    monkeypatch.setattr(raw_module.importlib, "import_module", missing)
    with pytest.raises(FileError, match=r'pip install "sciastro\[raw\]"'):
        probe(path)


def test_damaged_bytes_never_escape_as_anything_else(tmp_path, mosaic):
    rng = np.random.default_rng(5)
    whole = dng(tmp_path / "whole.dng", mosaic, site=(1.0, 2.0, 3.0)).read_bytes()
    path, refused = tmp_path / "a.dng", 0
    for _ in range(150):
        content = bytearray(whole)
        for at in rng.integers(0, 1100, 3):
            content[at] = rng.integers(256)
        path.write_bytes(content)
        try:
            (image,) = probe(path)
            facts_from_header(image.header, "a.dng", image.shape, "uint16")
            read_pixels(path)
        except FileError:
            refused += 1
    assert 5 < refused < 150


def test_names_of_raw_files_are_known(tmp_path):
    assert all(
        is_image(tmp_path / f"IMG_1.{end}")
        for end in ("CR3", "nef", "ARW", "raf", "DNG", "rw2", "orf", "pef")
    )
    assert not any(is_image(tmp_path / name) for name in ("a.xmp", "a.txt"))


# -------------------------------------------------------------------------------------------- peers
def test_a_dng_of_pidng(tmp_path, mosaic):
    core = pytest.importorskip("pidng.core")
    from pidng.defs import CFAPattern, Orientation
    from pidng.defs import PhotometricInterpretation as Kinds
    from pidng.dng import DNGTags
    from pidng.dng import Tag as T

    tags = DNGTags()
    rows, columns = mosaic.shape
    for tag, value in [
        (T.ImageWidth, columns), (T.ImageLength, rows), (T.TileWidth, columns), (T.TileLength, rows),
        (T.Orientation, Orientation.Horizontal), (T.PhotometricInterpretation, Kinds.Color_Filter_Array),
        (T.SamplesPerPixel, 1), (T.BitsPerSample, 16),
        (T.CFARepeatPatternDim, [2, 2]), (T.CFAPattern, CFAPattern.BGGR),
        (T.BlackLevel, 256), (T.WhiteLevel, 16383),
        (T.Make, "Peer"), (T.Model, "Cam"), (T.ExposureTime, [[1, 4]]),
        (T.PhotographicSensitivity, [400]), (T.DateTimeOriginal, "2023:01:02 03:04:05"),
        (T.DNGVersion, [1, 4, 0, 0]), (T.DNGBackwardVersion, [1, 2, 0, 0]),
    ]:  # fmt: skip
        tags.set(tag, value)
    writer = core.RAW2DNG()
    writer.options(tags, path="", compress=False)
    path = tmp_path / "peer.dng"
    writer.convert(mosaic, filename=str(path.with_suffix("")))
    found = next(tmp_path.glob("peer*"))
    np.testing.assert_array_equal(read_pixels(found.rename(path)), mosaic)
    facts = facts_of(path)
    assert (facts.cfa, facts.black_level, facts.saturation) == ("BGGR", 256.0, 16383.0)
    assert facts.exposure == pytest.approx(0.25)
    assert facts.instrument == "Peer Cam"


def test_real_mosaics_survive(tmp_path):
    source = SHARED / "osc_seestar_m94/session1/Light_M94_10.0s_IRCUT_20250326-212046.fit.fz"
    if not source.exists():
        pytest.skip("the real frames are not here")
    with fits.open(source) as hdus:
        pixels = np.asarray(hdus[1].data, np.uint16)
    path = dng(tmp_path / "a.dng", pixels, cfa="GRBG", exposure=10.0, iso=80)
    np.testing.assert_array_equal(read_pixels(path), pixels)
    assert (
        facts_of(path).cfa == facts_from_header(probe(source)[0].header, "a.fit", pixels.shape, "uint16").cfa
    )


def test_stems_know_every_suffix():
    from sciastro.io.filenames import IMAGE_SUFFIXES
    from sciastro.io.reader import READERS

    assert {
        f".{suffix.rsplit('.', 1)[-1]}" for reader in READERS for suffix in reader.suffixes
    } <= IMAGE_SUFFIXES


def test_pictures_beside_their_raw_files_are_no_matter(tmp_path, mosaic):
    (tmp_path / "M 31").mkdir()
    dng(tmp_path / "M 31/IMG_0001.DNG", mosaic)
    for name in ("IMG_0001.jpg", "IMG_0001.HEIC", "IMG_0002.JPG"):
        (tmp_path / "M 31" / name).write_bytes(b"\xff\xd8")
    found = scan(tmp_path)
    assert [frame.path for frame in found.frames] == ["M 31/IMG_0001.DNG"]
    assert found.ignored == ("M 31/IMG_0001.HEIC", "M 31/IMG_0001.jpg")
    assert [path for path, _ in found.skipped] == ["M 31/IMG_0002.JPG"]
