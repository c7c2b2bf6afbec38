"""sciastro catalog status, fetch, clear, verify; and runs that name a catalog."""

import json
import os
import time

import numpy as np
import pytest
from astropy.io import fits
from small_nights import command, reduce

from sciastro.core.platequery import PlateQuery
from sciastro.core.wcs import tan_wcs
from sciastro.errors import CatalogError, SolveError
from sciastro.io import reference
from sciastro.io.raster import write_png
from sciastro.recipe import catalogkeeping, catalogs
from sciastro.recipe.naming import resolve
from sciastro.recipe.skyregions import regions_of
from sciastro.remote.columns import COLUMNS, star_table
from sciastro.remote.nova import ask_nova
from sciastro.remote.variables import variables


class Archive:
    """The embedded stars, as if they came from Gaia's archive."""

    name, title, system = "gaia-dr3", "Gaia DR3 (made up)", "Johnson V, B-V (made up)"
    bands: tuple[str, ...] = ("G",)
    band, license, citation = "G", "terms", "somebody 2022"
    epoch: float | None = 2016.0
    order, version = 5, 1

    def __init__(self):
        self.asked, self.down = [], False

    def tile(self, region, depth):
        self.asked.append(region)
        if self.down:
            raise CatalogError("gave no usable answer: archive.org is silent.", where=self.title)
        table = reference.cone(region.ra, region.dec, region.radius, epoch=2016.0, mag_limit=depth.faintest)
        meta = {"catalog": self.title, "query": f"{region}", "license": self.license, "epoch": 2016.0,
                "citation": self.citation, "system": self.system}  # fmt: skip
        columns = {name: table[name] for name in table.colnames if name in COLUMNS}
        return star_table(table["id"], columns, {"G": (table["g_mag"], None)}, meta=meta)


@pytest.fixture
def archive(monkeypatch, tmp_path):
    one = Archive()
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)
    monkeypatch.setattr(catalogs, "source_of", lambda name: one)
    monkeypatch.setattr(catalogkeeping, "source_of", lambda name: one)
    return one


def told(*arguments, code=0):
    result = command("catalog", *arguments)
    assert result.exit_code == code, result.output
    return result.stdout + result.stderr


def test_a_region_is_fetched_once_told_verified_and_cleared(archive):
    assert "nothing is kept yet" in told("status")
    text = told("fetch", "83.8", "-5.4", "1.0")
    assert "6 tiles of Gaia DR3 (made up), 6 of them fetched now" in text and "all stars: " in text
    assert ", 0 of them fetched now" in told("fetch", "M42", "--radius", "0.5")
    asked = len(archive.asked)
    text = told("status")
    for word in ("2000 MB", "gaia-dr3: Gaia DR3 (made up): ", "in 6 tiles", "terms", "epoch 2016.0"):
        assert word in text
    (row,) = json.loads(told("status", "--json"))
    assert row["tiles"] == 6 and row["depths"] == ["all"] and row["license"] == "terms"
    assert "gaia-dr3: 6 tiles are complete and unchanged" in told("verify")
    assert "stars (Gaia DR3 (made up)" in told(
        "--ra", "83.8", "--dec", "-5.4", "--catalog", "gaia-dr3", "--offline"
    )
    assert len(archive.asked) == asked and "SCIASTRO_OFFLINE" not in os.environ
    assert "gaia-dr3: 6 tiles removed" in told("clear")
    assert "nothing is kept" in told("clear") and "nothing is kept yet" in told("status")


def test_what_is_damaged_is_told_and_mended(archive, tmp_path):
    told("fetch", "10", "20", "0.3")
    victim = sorted((tmp_path / "cache").rglob("*.npy"))[0]
    victim.write_text("<html>Welcome to the hotel</html>")
    text = told("verify", code=3)
    assert "another SHA-256" in text and "sciastro catalog clear --damaged" in text
    assert "1 files removed" in told("clear", "--damaged")
    told("verify")
    assert ", 1 of them fetched now" in told("fetch", "10", "20", "0.3")


def test_an_outage_while_fetching(archive):
    archive.down = True
    assert "Gaia DR3 (made up): gave no usable answer: archive.org is silent." in told("fetch", "M42", code=3)
    text = told("--ra", "10", "--dec", "20", "--catalog", "gaia-dr3")
    assert "warning: Gaia DR3 (made up): gave no usable answer" in text and "(sciastro stars 1;" in text


def test_nothing_is_fetched_offline(archive, monkeypatch):
    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")
    assert "the network is switched off" in told("fetch", "M42", code=3)
    assert "network: switched off" in told("status") and archive.asked == []


def test_the_configuration_switches_the_network_off_for_everybody(archive, tmp_path, monkeypatch):
    config = tmp_path / "config.toml"
    config.write_text("[catalogs]\noffline = true\n")
    monkeypatch.setenv("SCIASTRO_CONFIG", str(config))
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)
    assert "the network is switched off" in told("fetch", "M42", code=3)
    found = resolve("M 13", online=True)
    assert found.source == "embedded" and "config.toml" in found.note
    with pytest.raises(CatalogError, match=r"VSX.*was not asked: the network is switched off"):
        variables(250.4, 36.5, 0.1)
    stars = PlateQuery(x=np.arange(9.0), y=np.arange(9.0), flux=np.ones(9), shape=(9, 9))
    with pytest.raises(SolveError, match=r"nova.*was not asked.*Switch it on, or use another --engine"):
        ask_nova(stars, key=None, until=time.monotonic() + 5)
    assert archive.asked == []


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("fetch",), 2, "REGION: is missing"),
        (("fetch", "1", "2", "3", "4"), 2, "has 4 numbers"),
        (("fetch", "10", "95", "1"), 2, "Give degrees"),
        (("fetch", "1", "-95", "3"), 2, "Give degrees"),
        (("fetch", "M42", "--radius", "0"), 2, "radius=0"),
        (("fetch", "M42", "--faintest", "nan"), 2, "--faintest: is nan"),
        (("--ra", "10", "--dec", "95"), 2, "Give degrees"),
        (("fetch", "M42", "--nix"), 2, "is no option: '--nix'"),
        (("fetch", "nosuch.fits"), 3, "does not exist"),
        (("fetch", "Nosuchthing 7"), 3, "Nosuchthing 7"),
        (("fetch", "M42", "--catalog", "embedded"), 2, "needs no fetching"),
        (("forget",), 2, "Choose from status, fetch, clear, verify"),
        (("status", "M42"), 2, "takes no region"),
    ],
)
def test_wrong_usage(archive, words, code, text, monkeypatch):
    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")  # SIMBAD would be asked for a name that is not embedded
    assert text in told(*words, code=code)
    assert archive.asked == []


def test_regions_of_images_and_folders(tmp_path, good_night, good_run):
    wcs = tan_wcs(266.4, -29.0, 10.0, (400, 600))
    path = tmp_path / "field.fits"
    fits.PrimaryHDU(np.zeros((400, 600), np.float32), wcs.to_header(relax=True)).writeto(path)
    (one,) = regions_of([str(path)], None)
    assert (one.region.ra, one.region.dec) == pytest.approx((266.4, -29.0), abs=1e-6)
    assert one.region.radius == pytest.approx(1.05 * np.hypot(300, 200) * 10 / 3600, rel=0.01)
    assert regions_of([str(path)], 2.0)[0].region.radius == 2.0
    (product,) = regions_of([str(good_run.out)], None)
    (center,) = {tuple(row["wcs"]["center_deg"]) for row in good_run.summary["products"][:1]}
    assert (product.region.ra, product.region.dec) == pytest.approx(center, abs=0.01)
    (session,) = regions_of([str(good_night)], None)
    assert (session.region.ra, session.region.dec) == pytest.approx(center, abs=0.2)
    header = wcs.to_header(relax=True)
    header["IMAGEW"], header["IMAGEH"] = 600, 400
    fits.PrimaryHDU(header=header).writeto(tmp_path / "picture.wcs", output_verify="fix")
    (beside,) = regions_of([str(tmp_path / "picture.wcs")], None)
    assert beside.region.radius == pytest.approx(one.region.radius, rel=1e-6)
    write_png(tmp_path / "picture.png", np.zeros((400, 600, 3), np.float32))
    assert regions_of([str(tmp_path / "picture.png")], None)[0].region == beside.region
    (tmp_path / "picture.wcs").rename(tmp_path / "picture.png.wcs")
    assert regions_of([str(tmp_path / "picture.png")], None)[0].region == beside.region


@pytest.mark.parametrize("content", [b"", b"junk", b"SIMPLE  = T", None])
def test_a_wcs_file_that_is_none_is_told(tmp_path, content):
    path = tmp_path / "field.wcs"
    if content is None:
        fits.PrimaryHDU(header=fits.Header({"IMAGEW": "wide", "IMAGEH": 3})).writeto(path)
    else:
        path.write_bytes(content)
    text = told("fetch", path, code=3)
    assert "field.wcs" in text and "bug" not in text


# --- runs -------------------------------------------------------------------------------------------


def test_a_run_fits_to_the_catalog_that_is_named(archive, good_night, good_run, tmp_path):
    run = reduce(good_night, tmp_path / "out", "--catalog", "gaia-dr3", until="photometry")
    assert run.code == 0, run.told
    for ours, plain in zip(run.summary["products"], good_run.summary["products"], strict=True):
        assert ours["wcs"]["catalog"] == ours["zeropoint"]["catalog"] == "Gaia DR3 (made up)"
        assert plain["wcs"]["catalog"] == "sciastro stars 1"
        # It holds the same stars here.
        assert ours["wcs"]["center_deg"] == pytest.approx(plain["wcs"]["center_deg"], abs=2e-4)
        assert ours["zeropoint"]["mag"] == pytest.approx(plain["zeropoint"]["mag"], abs=0.01)
    assert not any("catalog" in text.lower() for text in run.summary["warnings"])
    assert 'catalog = "gaia-dr3"' in (run.out / "recipe.toml").read_text()
    asked = len(archive.asked)
    assert 0 < asked < 6
    archive.down = True  # now the cache serves
    again = reduce(good_night, tmp_path / "again", "--catalog", "gaia-dr3", until="photometry")
    assert again.code == 0 and len(archive.asked) == asked
    assert again.summary["products"][0]["wcs"]["catalog"] == "Gaia DR3 (made up)"


def test_a_run_goes_on_without_the_archive_and_says_so_once(archive, good_night, good_run, tmp_path):
    archive.down = True
    run = reduce(good_night, tmp_path / "out", "--catalog", "gaia-dr3", until="photometry")
    assert run.code == 0, run.told
    (warning,) = (text for text in run.summary["warnings"] if "Gaia" in text)
    assert "archive.org is silent" in warning and "The embedded catalog takes its place" in warning
    assert len(archive.asked) == 1
    for ours, plain in zip(run.summary["products"], good_run.summary["products"], strict=True):
        assert ours["wcs"]["catalog"] == "sciastro stars 1"
        assert ours["zeropoint"]["mag"] == pytest.approx(plain["zeropoint"]["mag"], abs=1e-6)


def test_solve_fits_to_the_catalog_that_is_named(archive, good_night, tmp_path):
    frame = sorted(good_night.rglob("LIGHT/*.fits"))[0]
    words = ("solve", frame, "--json", "-o", tmp_path / "out", "--catalog", "gaia-dr3")
    plain = json.loads(command(*words[:-2]).stdout)
    deep = json.loads(command(*words, "--overwrite").stdout)
    assert plain["solved"] and deep["solved"] and archive.asked
    assert deep["center_deg"] == pytest.approx(plain["center_deg"], abs=3e-4) and deep["note"] == ""
    archive.down = True
    monkey = catalogkeeping.tile_stores()[0]
    monkey.clear()
    lost = json.loads(command(*words, "--overwrite").stdout)
    assert lost["solved"] and "The embedded catalog takes its place" in lost["note"]


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [("nosuch.csv", 3, "does not exist"), ("gaja-dr3", 2, "Did you mean 'gaia-dr3'")],
)
def test_a_catalog_that_is_none(good_night, tmp_path, name, code, text):
    for words in (("reduce", good_night, "-o", tmp_path / "out"), ("solve", good_night / "x.fits")):
        result = command(*words, "--catalog", name)
        assert result.exit_code == code
        assert text in " ".join(result.stderr.replace("│", " ").split())
