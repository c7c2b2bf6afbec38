"""The page of a run: every number, nothing from outside, nothing hostile, nothing missing without a word."""

import copy
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from sciastro.report import page as reading
from sciastro.report.figures import frame_quality, zeropoint
from sciastro.report.page import _environment, render_page, write_page
from sciastro.report.pictures import map_picture, picture_from_array, picture_from_file
from sciastro.report.tables import bands_table, frames_table

VOID = {"meta", "img", "input", "br", "link", "hr"}


class Reader(HTMLParser):
    """Checks nesting, collects tags, attributes and visible text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.stack, self.tags, self.text, self.attributes = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1] == tag, f"</{tag}> closes <{self.stack[-1:]}>"
        self.stack.pop()

    def handle_data(self, data):
        if not self.stack or self.stack[-1] not in ("style", "script"):
            self.text.append(data)

    @property
    def words(self):
        return " ".join("".join(self.text).split())


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.stack == []
    return reader


@pytest.fixture
def page(summary, hostile):
    rng = np.random.default_rng(1)
    display = rng.random((90, 120, 3), dtype=np.float32)
    stars = rng.normal(21.8, 0.05, 40)
    return render_page(
        summary,
        pictures=[picture_from_array(display, title="M 94", path="renders/M_94.png"), None],
        plots=[
            frame_quality(summary["frames"]),
            zeropoint(np.linspace(9, 14, 40), stars, band=hostile),
            None,
        ],
        maps=[map_picture(rng.random((40, 60)), title="Coverage V", unit="frames")],
        plan=["M 94, V: 12 lights", "", f"  dark {hostile}"],
        recipe=f"schema = 1\n# {hostile}\n",
    )


def test_every_number_of_the_summary_is_on_the_page(page):
    words = read(page).words
    for expected in (
        "22 of 24",  # lights used
        "44 min",  # 2 x 1320 s
        "3.41\u2033",  # 2.871 px x 1.1876 arcsec
        "1.188\u2033",
        "0.29\u2033",  # the worse of the two bands
        "21.847 ± 0.012",
        "19.63\u00a0mag".replace("\u00a0", " "),
        "12h50m53.1s +41°07\u203213\u2033",
        "\u221212.3°",
        "0.0183 e\u207b/s",
        "Johnson-Cousins (Vega)",
        "clouds: 61 % of the star light is missing",
        "exposure 120 s, temperature within 0.4 deg C, gain 100",
        "21.7 s".replace("21.7", "22"),
        "1.24 GB",
        "24 light, 12 bias, 12 dark, 12 flat",
        "2 warnings",
        "Complete, with omissions",
        "sciastro 0.1.0",
    ):
        assert expected in words, expected


def test_frames_table_has_a_row_per_file_and_marks_the_ones_left_out(page, summary):
    assert page.count("<tr") >= len(summary["frames"])
    assert page.count('<tr class="out">') == 2


def test_nothing_is_loaded_from_elsewhere(page):
    bare = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", bare, re.I)
    for tag, key, value in read(page).attributes:
        if key in ("src", "href", "srcset", "action", "data", "xlink:href"):
            assert value.startswith(("data:image/", "#", "renders/", "products/", "masters/")), (
                tag,
                key,
                value,
            )


def test_header_strings_stay_text(page, hostile):
    reader = read(page)
    assert reader.tags.count("script") == 1  # ours
    assert "<script>alert" not in page
    assert "<script>alert('x')</script>" in reader.words  # shown, as text
    visible = page.replace("\n", "")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", visible.replace("\t", ""))
    assert not [key for _, key, _ in reader.attributes if key.startswith("on")]


def test_links_stay_in_the_folder(page):
    links = [value for tag, key, value in read(page).attributes if tag == "a" and key == "href"]
    assert "renders/M_94.png" in links
    assert "products/M_94_V.fits" in links
    assert not [link for link in links if ".." in link or ":" in link or link.startswith("/")]


def test_ids_are_unique(page):
    ids = [value for _, key, value in read(page).attributes if key == "id"]
    assert len(ids) == len(set(ids))


def test_without_world_coordinates_and_zero_point_it_says_why(summary):
    bare = copy.deepcopy(summary)
    for product in bare["products"]:
        product |= {"wcs": None, "zeropoint": None, "depth_mag_5sigma": None}
    words = read(render_page(bare)).words
    assert "No stack was solved" in words
    assert "magnitudes are instrumental" in words
    assert "not solved" in words
    assert "Unknown: the field has no world coordinates." in words
    assert "Needs a zero point." in words


def test_images_of_a_comet_night_are_told_apart_and_the_whole_comes_first():
    products = [{"target": "C/2023 A3", "band": "G", "shows": shows} for shows in ("stars", "comet", None)]
    heads = bands_table(products).heads
    assert heads == ("G", "G (stars alone)", "G (comet alone)")


def test_what_is_missing_stands_beside_the_status(summary):
    page = render_page(
        {**summary, "incomplete": ["2 light frames left out", "no world coordinates for M 31 R"]}
    )
    assert "2 light frames left out; no world coordinates for M 31 R. Reasons are below." in page


def test_files_are_called_by_their_name_where_it_is_unique():
    rows = [{"path": path, "type": "light"} for path in ("n1/a.fits", "n1/b.fits", "n2/b.fits")]
    assert [row[0].text for row in frames_table(rows).rows] == ["a.fits", "n1/b.fits", "n2/b.fits"]


def test_failed_run(summary):
    words = read(render_page({"status": "failed"}, failure="lights: no star was found. Check focus.")).words
    assert "Failed" in words
    assert "lights: no star was found. Check focus." in words
    assert "No product was made." in words
    assert "No frame was read." in words
    broken = {"status": "failed", "frames": None, "products": None, "warnings": None, "timings_s": None}
    assert "No light frame was found." in read(render_page(broken)).words


def test_numbers_that_are_not_finite_become_a_dash(summary):
    summary["products"][0] |= {"fwhm_px": float("nan"), "noise_e_s": None, "depth_mag_5sigma": float("inf")}
    words = read(render_page(summary)).words
    assert "nan" not in words.lower().replace("finance", "")
    assert "inf" not in re.findall(r"\b\w+\b", words)
    assert "\u2014" in words


def test_page_is_small_even_with_many_frames(summary):
    rng = np.random.default_rng(2)
    summary["frames"] = [dict(summary["frames"][k % 24], path=f"f{k}.fits") for k in range(1500)]
    big = picture_from_array(rng.random((1400, 2100, 3), dtype=np.float32), title="noise, the worst case")
    assert (big.width, big.height) == (1600, 1067)
    page = render_page(summary, pictures=[big], plots=[frame_quality(summary["frames"])])
    assert len(page.encode()) < 8e6


def test_write_page_replaces_the_file_whole(tmp_path, summary):
    target = tmp_path / "report.html"
    target.write_text("old")
    write_page(target, render_page(summary))
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]


def test_same_input_same_page(summary):
    made = [render_page(summary, plots=[frame_quality(summary["frames"])]) for _ in range(2)]
    assert made[0] == made[1]


def test_picture_from_file_and_map_scale(tmp_path):
    from sciastro.io.raster import write_png

    path = write_png(tmp_path / "a.png", np.full((30, 50, 3), 0.5, np.float32))
    assert picture_from_file(path, title="a").width == 50
    # y grows upward: the last row of the plane is on top; two halves of 1 and 3, scale 1 to 3
    plane = np.repeat([[1.0], [3.0]], [20, 20], axis=0) * np.ones((40, 30))
    made = map_picture(plane, title="m", unit="frames", limits=(1.0, 3.0), colormap="gray")
    assert (made.low, made.high) == (1.0, 3.0)
    assert made.colors[0] == "#000000"
    assert made.colors[-1] == "#ffffff"
    assert map_picture(np.full((5, 5), np.nan), title="empty") is None


def test_only_the_page_that_sorts_tables_may_run_scripts():
    templates = Path(reading.__file__).parent / "templates"
    head = _environment().get_template("head.html")
    told = {one: head.render(scripts=one, title="A & B", version="1") for one in (True, False)}
    assert "script-src 'unsafe-inline'" in told[True] and "script-src" not in told[False]
    assert all("default-src 'none'" in text and "A &amp; B" in text for text in told.values())
    for name, scripts in (("report.html", "true"), ("solution.html", "false")):
        assert f"set scripts = {scripts}" in (templates / name).read_text(encoding="utf-8")
