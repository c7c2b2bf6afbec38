"""Which curves stand for the bands of a picture, and what is told of those that cannot be had."""

import json

import numpy as np
import pytest
from astropy.table import Table
from small_nights import command

from sciastro.errors import FileError, OptionError, SciastroError
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.recipe import recolor
from sciastro.recipe.colorcurves import Site, camera_curves, check_color, curve_of, white_of
from sciastro.recipe.setcolor import bands_of_picture, color_trends

RGB = ("R", "G", "B")


@pytest.fixture
def files(tmp_path):
    """Write a filter, a color sensor of three columns, and curves that are none."""
    x = np.arange(380.0, 721.0, 5.0)

    def bump(center, width):
        return np.exp(-0.5 * ((x - center) / width) ** 2)

    Table({"wavelength_nm": x, "T": bump(640, 30)}).write(tmp_path / "red.csv")
    colors = {"wavelength_nm": x, "R": bump(610, 40), "G": bump(535, 40), "B": bump(460, 40)}
    Table(colors).write(tmp_path / "sensor.csv")
    (tmp_path / "ssf.csv").write_text(
        "".join(f"{a},{b},{b},{b}\n" for a, b in zip(x, bump(550, 50), strict=True))
    )
    (tmp_path / "infrared.csv").write_text("wavelength_nm,T\n800,0\n900,1\n1000,0\n")
    (tmp_path / "shuffled.csv").write_text("wavelength_nm,T\n400,0\n600,1\n500,1\n")
    return tmp_path


def curves(cfa=False, bands=RGB, site=Site(), **options):
    return camera_curves(bands, cfa=cfa, options=ColorOptions(**options), site=site)


def test_generic_shapes_by_kind():
    mono = curves()
    assert mono.told["R"] == "dichroic_R x cmos"
    assert mono.generic == RGB
    color = curves(cfa=True)
    assert color.told["B"] == "bayer_B"
    assert curves(bands=("r", "V", "Bj")).told["r"] == "sdss_r"
    duo = curves(cfa=True, bands=("Duo_R", "Duo_G", "Duo_B"))
    assert duo.told["Duo_G"] == "bayer_G"
    narrow = curves(bands=("SII", "Ha", "OIII"), narrow_width=7.0)
    assert narrow.generic == ()
    assert narrow.response.curves[1].at(656.3) > 0
    assert narrow.response.curves[1].at(661.0) == 0


def test_curves_that_users_name(files):
    own = curves(filters=f"R={files}/red.csv,G=530/60", sensor="ccd")
    assert own.told["R"] == "red x ccd"
    assert own.told["G"] == "530/60 x ccd"
    assert own.generic == ("B",)
    color = curves(cfa=True, sensor=f"{files}/sensor.csv")
    assert color.told == {"R": "sensor#R", "G": "sensor#G", "B": "sensor#B"}
    assert curves(cfa=True, sensor=f"{files}/ssf.csv").told["R"] == "ssf#col2"
    before = curves(cfa=True, filters="luminance")
    assert before.told["R"] == "bayer_R x luminance"


def test_air_counts_where_airmass_is_known():
    without, with_air = curves(), curves(site=Site(airmass=2.0, altitude=500.0))
    ratio = with_air.response.weights.sum(axis=1) / without.response.weights.sum(axis=1)
    assert ratio[2] < ratio[1] < ratio[0] < 1
    assert curves(site=Site(airmass=2.0), atmosphere=False).response.weights.sum() == pytest.approx(
        without.response.weights.sum()
    )


def test_a_filter_without_a_curve_has_no_response():
    found = curves(bands=("CH4", "G", "B"))
    assert found.response is None
    assert "no curve is known for filter 'CH4'" in found.reason


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        ({"filters": "R=nothing.csv"}, OptionError, "no file and no name of a curve"),
        ({"filters": "R={}/shuffled.csv"}, FileError, "out of order"),
        ({"filters": "R={}/red.csv,B={}/red.csv#blue"}, FileError, "no column"),
        ({"sensor": "{}/infrared.csv", "filters": "G=530/60"}, OptionError, "share no wavelength"),
        ({"filters": "X=530/60"}, OptionError, "names X"),
        ({"filters": "R=656/-3"}, OptionError, "-3 nm wide"),
        ({"white": "pink"}, OptionError, "Known: G2V"),
        ({"white": "3.5"}, OptionError, "A B-V lies between"),
        ({"white": "{}/gone.csv"}, FileError, "does not exist"),
        ({"spectra": "{}/gone.parquet"}, FileError, "does not exist"),
    ],
)
def test_what_cannot_be_had_is_told_in_three_parts(files, options, kind, match):
    told = ColorOptions(**{name: value.replace("{}", str(files)) for name, value in options.items()})
    with pytest.raises(kind, match=match) as error:
        check_color(told)
        camera_curves(RGB, cfa=False, options=told)
    assert error.value.where
    assert error.value.remedy


def test_white_from_a_file_and_by_color(files):
    x = np.arange(350.0, 1001.0, 10.0)
    Table({"wavelength_nm": x, "flux": 1 / x}).write(files / "lamp.csv")
    assert white_of(ColorOptions(white=f"{files}/lamp.csv")).name == "lamp"
    assert white_of(ColorOptions(white="0.4")) == 0.4
    assert white_of(ColorOptions()).name.startswith("G2V")


def test_names_of_curves():
    assert curve_of("656.3/7").pivot == pytest.approx(656.3, abs=0.1)
    assert curve_of("Bayer", band="Duo_G").name == "bayer_G"
    with pytest.raises(SciastroError, match="Known: dichroic"):
        curve_of("kodachrome")


def test_bands_of_a_picture():
    assert bands_of_picture(["L", "R", "G", "B"]) == RGB
    assert bands_of_picture(["Ha", "OIII"]) == ("Ha", "OIII")
    assert bands_of_picture(["Duo_R", "Duo_G", "Duo_B"]) == ("Duo_R", "Duo_G", "Duo_B")
    assert bands_of_picture(["V"]) == ()


def test_trends_of_residuals_are_found():
    from astropy import units as u
    from astropy.table import QTable

    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1000, 200)
    stars = QTable(
        {
            "x": x * u.pix, "y": rng.uniform(0, 1000, 200) * u.pix, "mag": rng.uniform(8, 12, 200) * u.mag,
            "color": rng.uniform(0, 1, 200) * u.mag, "used": np.ones(200, bool),
            "residual_R": (0.00004 * (x - 500) + rng.normal(0, 0.01, 200)) * u.mag,
        },
        meta={"reference_band": "G"},
    )  # fmt: skip
    found = color_trends(stars)["R - G"]
    assert found["x"]["slope"] == pytest.approx(0.04, abs=4 * found["x"]["err"])
    for name in ("y", "mag", "color"):
        assert abs(found[name]["slope"]) < 4 * found[name]["err"]


def test_a_catalog_that_nobody_knows_is_wrong_usage(tmp_path):
    result = command("color", tmp_path, "--catalog", "nosuch", "--offline")
    assert result.exit_code == 2, result.output
    assert "neither a known catalog nor a file" in " ".join(result.stderr.replace("│", " ").split())


def test_targets_whose_colors_stay_are_told(tmp_path, monkeypatch):
    def one(out, stem, *_):
        if stem == "b":
            raise FileError("has no color calibration.", where=stem, remedy="Take a deeper catalog.")
        return recolor.Recolored(target=stem, record={"target": stem, "doubt": "greens are red"}, picture="")

    kept = {"target": "b", "gains": [1.0]}
    (tmp_path / "summary.json").write_text(json.dumps({"colors": [kept], "products": []}))
    monkeypatch.setattr(recolor, "_sets", lambda *_: {"a": {}, "b": {}})
    monkeypatch.setattr(recolor, "_one", one)
    told = []
    done = recolor.recolor_run(tmp_path, warn=told.append)
    assert [row.target for row in done] == ["a"]
    stay = "colors stay as they were: b: has no color calibration. Take a deeper catalog."
    assert told == ["a: greens are red", stay]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert kept in summary["colors"]
