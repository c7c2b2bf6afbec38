import json

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from PIL import Image
from small_nights import command

from sciastro.core.wcs import tan_wcs, wcs_to_header
from sciastro.errors import CatalogError
from sciastro.recipe.fieldcontent import inventory
from sciastro.recipe.solvewriting import header_of

SHAPE = (400, 600)


def image(path, wcs, shape=SHAPE, **cards):
    pixels = np.random.default_rng(3).normal(100, 2, shape).astype(np.float32)
    header = fits.Header() if wcs is None else wcs_to_header(wcs)
    header.update({"EXPTIME": 60.0, "IMAGETYP": "Light", **cards})
    fits.PrimaryHDU(pixels, header).writeto(path)
    return path


def row(table, name):
    found = [one for one in table if one["name"] == name]
    assert found, name
    return found[0]


@pytest.mark.parametrize("parity", [1, -1])
@pytest.mark.parametrize("angle", [0.0, 57.0])
def test_known_objects_are_where_they_are(parity, angle):
    wcs = tan_wcs(250.55, 36.65, 6.0, SHAPE, angle=angle, parity=parity)
    table = inventory(wcs, SHAPE)
    m13, galaxy = row(table, "M 13"), row(table, "NGC 6207")
    assert table["name"][0] == "M 13"
    assert table.meta["constellation"] == "Hercules"
    # Simbad: M 13 16 41 41.24 +36 27 35.5; NGC 6207 16 43 03.75 +36 49 56.7
    for got, text in ((m13, "16 41 41.24 +36 27 35.5"), (galaxy, "16 43 03.75 +36 49 56.7")):
        x, y = wcs.world_to_pixel(SkyCoord(text, unit=("h", "deg")))
        assert np.hypot(got["x"].value - x, got["y"].value - y) < 2
    assert m13["a"].value == pytest.approx(16.5 / 2 * 60 / 6.0, rel=0.01)
    # the end of the galaxy's major axis, by astropy
    center = SkyCoord(galaxy["ra"], galaxy["dec"])
    end = center.directional_offset_by(galaxy["pa"], galaxy["major"] / 2)
    (x0, y0), (x1, y1) = wcs.world_to_pixel(center), wcs.world_to_pixel(end)
    truth = np.degrees(np.arctan2(y1 - y0, x1 - x0))
    assert (galaxy["angle"].to_value("deg") - truth + 90) % 180 - 90 == pytest.approx(0, abs=0.1)
    assert galaxy["a"].value == pytest.approx(np.hypot(x1 - x0, y1 - y0), rel=0.01)


def test_objects_across_ra_zero_and_at_the_pole():
    across = inventory(tan_wcs(0.0, 27.7, 30.0, SHAPE), SHAPE)
    offsets = (across["ra"].to_value("deg") + 180) % 360 - 180
    assert offsets.min() < -0.5
    assert offsets.max() > 0.5
    polar = inventory(tan_wcs(120.0, 90.0, 20.0, SHAPE), SHAPE)
    assert {"NGC 3172", "Polaris"} <= set(polar["name"])
    assert polar.meta["constellation"] == "Ursa Minor"


def test_a_nebula_that_is_larger_than_the_image_is_there():
    table = inventory(tan_wcs(56.7, 24.0, 1.0, SHAPE), SHAPE)
    assert row(table, "M 45")["a"].value > 1000


def test_stars_are_moved_to_the_date():
    old, new = (
        row(inventory(tan_wcs(316.70, 38.72, 4.0, SHAPE), SHAPE, epoch=year), "61 Cyg")
        for year in (1916, 2016)
    )
    moved = np.hypot(old["x"].value - new["x"].value, old["y"].value - new["y"].value)
    assert moved == pytest.approx(528 / 4, rel=0.02)  # 5.28 arcsec a year


def test_only_what_is_asked_for():
    wcs = tan_wcs(250.42, 36.6, 5.0, SHAPE)
    assert list(inventory(wcs, SHAPE, objects=["NGC 6207"])["name"]) == ["NGC 6207"]
    assert set(inventory(wcs, SHAPE, objects=["stars"])["kind"]) <= {"star"}
    assert len(inventory(wcs, SHAPE, objects=["M 31"])) == 0
    with pytest.raises(CatalogError, match="not in the embedded"):
        inventory(wcs, SHAPE, objects=["M 999"])


def test_a_file_with_a_wcs(tmp_path):
    path = image(tmp_path / "m13.fits", tan_wcs(250.42, 36.6, 5.0, SHAPE))
    before = path.read_bytes()
    done = command("annotate", path, "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["wcs"] == "header"
    assert told["constellation"] == "Hercules"
    assert told["objects"][0]["name"] == "M 13"
    assert told["objects"][0]["labeled"]
    assert told["objects"][0]["pa"] is None  # never NaN in JSON
    table = Table.read(tmp_path / "m13_annotated.ecsv")
    assert table["x"].unit == u.pix
    assert table["name"][0] == "M 13"
    assert "CC BY-SA" in table.meta["license"]
    with Image.open(tmp_path / "m13_annotated.png") as picture:
        assert picture.size == (1200, 800)
    assert path.read_bytes() == before


def test_a_picture_with_a_wcs_beside_it(tmp_path):
    shape = (300, 400)
    pixels = np.random.default_rng(1).integers(0, 60, (*shape, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    header = header_of(tan_wcs(250.42, 36.46, 6.0, shape))
    header["IMAGEH"], header["IMAGEW"] = shape
    fits.PrimaryHDU(header=header).writeto(tmp_path / "a.wcs")
    out = tmp_path / "deep" / "b.jpg"
    done = command("annotate", tmp_path / "a.png", "-o", out, "--no-grid", "--size", "1000", "--json")
    told = json.loads(done.stdout)
    assert told["wcs"] == "a.wcs"
    assert (told["parity"], abs(told["rotation_deg"])) == (-1, 180.0)  # as shown: the first row is on top
    assert out.is_file()
    assert out.with_suffix(".ecsv").is_file()


def test_nothing_in_the_field_is_a_picture_with_a_grid(tmp_path):
    path = image(tmp_path / "empty.fits", tan_wcs(200.1, 1.7, 0.3, SHAPE))
    done = command("annotate", path, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["objects"] == []
    assert len(Table.read(tmp_path / "empty_annotated.ecsv")) == 0


def test_no_place_no_picture(tmp_path):
    path = image(tmp_path / "noise.fits", None)
    done = command("annotate", path, "--ra", "250", "--dec", "36", "--scale", "2", "--seconds", "1")
    assert done.exit_code == 3
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--objects", "M 999"), "not in the embedded tables"),
        (("-o", "x.gif"), "no PNG or JPEG"),
        (("--ra", "10"), "go together"),
    ],
)
def test_wrong_usage_is_told(tmp_path, arguments, says):
    path = image(tmp_path / "m13.fits", tan_wcs(250.42, 36.6, 5.0, SHAPE))
    done = command("annotate", path, *arguments)
    assert done.exit_code in (2, 3)
    assert says in " ".join(done.output.split())
    assert list(tmp_path.iterdir()) == [path]


def test_the_image_itself_is_never_replaced(tmp_path):
    Image.fromarray(np.zeros((100, 100), np.uint8)).save(tmp_path / "a.png")
    done = command("annotate", tmp_path / "a.png", "-o", tmp_path / "a.png")
    assert done.exit_code == 2
    assert "image itself" in " ".join(done.output.split())


def test_a_table_of_something_else_is_not_lost(tmp_path):
    path = image(tmp_path / "m13.fits", tan_wcs(250.42, 36.6, 5.0, SHAPE))
    mine = tmp_path / "m13.ecsv"
    Table({"flux": [1.0]}).write(mine, format="ascii.ecsv")
    before = mine.read_bytes()
    done = command("annotate", path, "-o", tmp_path / "m13.png", "--size", "300")
    assert done.exit_code == 2
    assert "another table" in " ".join(done.output.split())
    assert mine.read_bytes() == before
    mine.unlink()
    for _ in range(2):  # its own is written anew
        assert command("annotate", path, "-o", tmp_path / "m13.png", "--size", "300").exit_code == 0


def test_mirrored_files_are_shown_as_the_sky_is(tmp_path):
    tables = []
    for parity in (1, -1):
        path = image(tmp_path / f"p{parity}.fits", tan_wcs(250.42, 36.6, 5.0, SHAPE, parity=parity))
        assert command("annotate", path, "--size", "600").exit_code == 0
        tables.append(Table.read(path.with_name(f"{path.stem}_annotated.ecsv")))
    ax, bx = (row(table, "NGC 6207")["x"] for table in tables)
    assert ax + bx == pytest.approx(SHAPE[1] - 1, abs=0.1)


@pytest.mark.parametrize(
    "content", [b"<html>Sign in to the network</html>", b"", b"SIMPLE  =                    T"]
)
def test_a_wcs_file_that_is_none_is_passed_over(tmp_path, content):
    Image.fromarray(np.zeros((100, 120), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.wcs").write_bytes(content)
    done = command("annotate", tmp_path / "a.png", "--seconds", "1")
    assert done.exit_code == 3
    assert not (tmp_path / "a_annotated.png").exists()


def test_a_color_mosaic_is_shown_in_color(tmp_path):
    wcs = tan_wcs(250.42, 36.6, 5.0, SHAPE)
    path = image(tmp_path / "osc.fits", wcs, BAYERPAT="RGGB", ROWORDER="TOP-DOWN")
    with fits.open(path, mode="update") as hdus:
        hdus[0].data[100:140, 200:240][::2, ::2] += 500  # a red spot
    assert command("annotate", path, "--no-grid", "--objects", "M 31", "--size", "600").exit_code == 0
    with Image.open(tmp_path / "osc_annotated.png") as picture:
        scale = picture.size[0] / SHAPE[1]
        spot = np.asarray(picture)[int(102 * scale) : int(138 * scale), int(202 * scale) : int(238 * scale)]
    red, green, blue = spot[..., :3].mean(axis=(0, 1))
    assert red > green + 60
    assert red > blue + 60


def test_a_place_that_cannot_be_written(tmp_path):
    path = image(tmp_path / "m13.fits", tan_wcs(250.42, 36.6, 5.0, SHAPE))
    (tmp_path / "file").write_text("")
    done = command("annotate", path, "-o", tmp_path / "file" / "a.png", "--size", "300")
    assert done.exit_code == 3
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "m13.fits"]
