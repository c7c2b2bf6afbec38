"""Stars around a place from any catalog: the same columns, no star missing, nothing bad kept."""

import json
import time
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

import sciastro
from sciastro.core.directions import unit_vectors
from sciastro.core.motion import moved_vectors
from sciastro.errors import CatalogError, OptionError
from sciastro.io.skytiles import TileStore, tiles_folder
from sciastro.recipe import catalogs
from sciastro.recipe.catalogs import CatalogWarning, cone
from sciastro.remote.columns import COLUMNS, Source, star_table

EPOCH = 2016.0


class Sky:
    """A catalog of made-up stars, which can be asked like a remote one, and go wrong like one."""

    name, title, system = "gaia-dr3", "Made-up stars", "Johnson V, B-V"
    bands: tuple[str, ...] = ("G", "BP")
    band = "G"
    license, citation = "none", "nobody 2026"
    epoch: float | None = EPOCH
    order, version = 5, 1

    def __init__(self, n=120_000, seed=1, most=10**9, where=None):
        rng = np.random.default_rng(seed)
        self.ra, self.dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
        if where is not None:  # a dense disk
            self.ra = (where[0] + rng.normal(0, where[2], n) / np.cos(np.radians(where[1]))) % 360
            self.dec = where[1] + rng.normal(0, where[2], n)
        self.dec[:400] = 90 - rng.uniform(0, 2, 400)  # more of them at the poles
        self.dec[400:800] = -90 + rng.uniform(0, 2, 400)
        self.g = rng.uniform(5, 20, n)
        self.pm = rng.normal(0, 60, (2, n))
        self.pm[0, :5], self.pm[1, :5] = 8000.0, -6000.0
        self.pm[:, rng.random(n) < 0.1] = np.nan
        self.color = np.where(rng.random(n) < 0.05, np.nan, rng.uniform(0, 2, n))
        self.names = np.array([f"Gaia DR3 {3017000000000000000 + k}" for k in range(n)])
        self.most, self.asked, self.trouble = most, [], None
        self.vectors = unit_vectors(self.ra, self.dec)

    def tile(self, region, depth):
        self.asked.append((region, depth))
        if self.trouble is not None:
            raise self.trouble
        chord = np.linalg.norm(self.vectors - unit_vectors(region.ra, region.dec), axis=-1)
        inside = chord <= 2 * np.sin(np.radians(region.radius) / 2)
        if depth.faintest is not None:
            inside &= self.g <= depth.faintest
        rows = np.flatnonzero(inside)[: self.most]
        return self.table(rows, complete=inside.sum() <= self.most)

    def table(self, rows, complete=True):
        n = len(rows)
        columns = {
            "ra": self.ra[rows], "dec": self.dec[rows],
            "ra_err": np.full(n, 1e-4), "dec_err": np.full(n, 1e-4),
            "pm_ra_cosdec": self.pm[0, rows], "pm_dec": self.pm[1, rows],
            "pm_ra_err": np.where(np.isnan(self.pm[0, rows]), np.nan, 0.5),
            "pm_dec_err": np.where(np.isnan(self.pm[0, rows]), np.nan, 0.5),
            "epoch": np.full(n, EPOCH), "mag": self.g[rows] + 0.05, "color": self.color[rows],
            "g_mag": self.g[rows],
        }  # fmt: skip
        meta = {"catalog": self.title, "query": f"{n} stars", "license": self.license, "epoch": EPOCH,
                "citation": self.citation, "system": self.system, "complete": complete}  # fmt: skip
        bands = {"G": (self.g[rows], np.full(n, 0.01)), "BP": (self.g[rows] + self.color[rows] / 2, None)}
        return star_table(self.names[rows], columns, bands, meta=meta)

    def truth(self, ra, dec, radius, epoch=None):
        vectors = self.vectors
        if epoch is not None:
            vectors = moved_vectors(self.ra, self.dec, *self.pm, epoch - EPOCH)
            vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
        chord = np.linalg.norm(vectors - unit_vectors(ra, dec), axis=-1)
        return np.flatnonzero(chord <= 2 * np.sin(np.radians(radius) / 2))


EVERYWHERE = Sky()


@pytest.fixture
def sky(monkeypatch, tmp_path):
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SCIASTRO_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)

    def use(one):
        one.asked, one.trouble = [], None
        monkeypatch.setattr(catalogs, "source_of", lambda name: one)
        return one

    return use


CONES = [
    (83.8, -5.4, 2.0), (0.0, 0.0, 1.5), (359.999, 30.0, 2.0), (0.001, -60.0, 3.0), (123.0, 90.0, 1.0),
    (10.0, -90.0, 2.0), (77.0, 89.5, 1.0), (200.0, -88.8, 1.5), (210.0, 88.9, 1.2), (40.0, 10.0, 0.01),
    (300.0, 20.0, 12.0),
]  # fmt: skip


@pytest.mark.parametrize("epoch", [None, 2026.9])
def test_cones_equal_brute_force_everywhere(sky, epoch):
    one = sky(EVERYWHERE)
    for ra, dec, radius in CONES:
        found = cone((ra, dec), radius, catalog="gaia-dr3", epoch=epoch, fallback=False)
        expected = one.names[one.truth(ra, dec, radius, epoch)]
        assert sorted(found["id"]) == sorted(expected), (ra, dec, radius)
        assert np.all(np.diff(found["mag"].value) >= 0)
    asked = len(one.asked)
    for ra, dec, radius in CONES:  # once more, from the cache
        found = cone((ra, dec), radius, catalog="gaia-dr3", epoch=epoch, offline=True, fallback=False)
        assert len(found) == len(one.truth(ra, dec, radius, epoch))
    assert len(one.asked) == asked


def test_a_tile_is_a_true_copy(sky):
    one = sky(EVERYWHERE)
    found = cone((83.8, -5.4), 3.0, catalog="gaia-dr3")
    rows = one.truth(83.8, -5.4, 3.0)
    rows = rows[np.argsort(one.g[rows], kind="stable")]
    direct = one.table(rows)
    assert found.colnames == direct.colnames
    assert found["id"].tolist() == direct["id"].tolist()
    for name in found.colnames[1:]:
        assert found[name].unit == direct[name].unit
        assert np.allclose(found[name].value, direct[name].value, rtol=2e-7, atol=0, equal_nan=True), name
    assert np.array_equal(found["ra"], direct["ra"]) and np.array_equal(found["dec"], direct["dec"])


def test_only_missing_tiles_are_fetched(sky):
    one = sky(EVERYWHERE)
    first = cone((120.0, 40.0), 3.0, catalog="gaia-dr3")
    assert first.meta["fetched"] == first.meta["tiles"] > 1 and len(one.asked) < first.meta["tiles"]
    asked = len(one.asked)
    second = cone((121.5, 40.0), 3.0, catalog="gaia-dr3")
    assert 0 < second.meta["fetched"] < second.meta["tiles"]
    far = max(abs(region.ra - 121.5) for region, _ in one.asked[asked:])
    assert far < 8 and len(cone((120.7, 40.0), 1.0, catalog="gaia-dr3", offline=True)) > 0


def test_motion_is_applied_where_known_and_errors_grow(sky):
    one = sky(EVERYWHERE)
    found = cone((83.8, -5.4), 6.0, catalog="gaia-dr3", epoch=2026.0)
    known = np.isfinite(found["pm_dec"].value)
    assert known.any() and not known.all()
    row = {name: k for k, name in enumerate(one.names)}
    old = np.array([row[name] for name in found["id"]])
    before = SkyCoord(one.ra[old] * u.deg, one.dec[old] * u.deg)
    moved = before.separation(SkyCoord(found["ra"], found["dec"])).to_value(u.mas)
    assert np.allclose(moved[known], 10 * np.hypot(*one.pm[:, old[known]]), rtol=1e-4)
    assert np.all(found["dec"].value[~known] == one.dec[old[~known]])
    # 0.1 mas and 10 years of 0.5 mas / yr; of 15 mas / yr where the motion is not known.
    assert np.allclose(found["ra_err"].to_value(u.mas)[known], np.hypot(0.1, 5.0), rtol=1e-5)
    assert np.allclose(found["dec_err"].to_value(u.mas)[~known], np.hypot(0.1, 150.0), rtol=1e-5)
    assert set(found["epoch"].value) == {2026.0} and set(found["epoch_obs"].value) == {EPOCH}
    assert found.meta["epoch"] == 2026.0


def test_a_fast_star_is_found_where_it_is_by_then(sky):
    one = sky(EVERYWHERE)
    there = moved_vectors(one.ra[900:], one.dec[900:], *one.pm[:, 900:], 0.0)
    k = 3  # 10 arcsec / yr
    x, y, z = moved_vectors(one.ra[k : k + 1], one.dec[k : k + 1], *one.pm[:, k : k + 1], 500.0)[0]
    ra, dec = np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))
    found = cone((ra, dec), 0.001, catalog="gaia-dr3", epoch=EPOCH + 500)
    assert one.names[k] in found["id"] and len(there)


def test_limits(sky):
    one = sky(EVERYWHERE)
    where = {"center": (200.0, 10.0), "radius": 4.0, "catalog": "gaia-dr3"}
    rows = one.truth(200.0, 10.0, 4.0)
    found = cone(**where, mag_limit=12.0, band="G")
    assert sorted(found["id"]) == sorted(one.names[rows[one.g[rows] <= 12]])
    assert one.asked[-1][1].faintest == 12.0
    found = cone(**where, mag_limit=(8.0, 11.3))
    v = one.g + 0.05
    assert sorted(found["id"]) == sorted(one.names[rows[(v[rows] >= 8) & (v[rows] <= 11.3)]])
    found = cone(**where, mag_limit=(None, 13.0), band="BP")
    bp = one.g + one.color / 2
    assert sorted(found["id"]) == sorted(one.names[rows[bp[rows] <= 13]])
    found = cone(**where, brightest=7, columns=("id", "mag"))
    assert found.colnames == ["id", "mag"]
    assert found["id"].tolist() == one.names[rows[np.argsort(one.g[rows])][:7]].tolist()
    found = cone(**where, brightest=100_000)
    assert len(found) == len(rows)
    for wrong in ({"band": "K"}, {"columns": ("nix",)}, {"mag_limit": np.nan}):
        with pytest.raises(OptionError):
            cone(**where, **wrong)


def test_few_bright_stars_do_not_bring_all_the_faint_ones(sky):
    one = sky(Sky(where=(50.0, 10.0, 1.0), n=20_000))
    found = cone((50.0, 10.0), 2.0, catalog="gaia-dr3", brightest=50)
    rows = one.truth(50.0, 10.0, 2.0)
    assert found["id"].tolist() == one.names[rows[np.argsort(one.g[rows])][:50]].tolist()
    assert found.meta["faintest"] is not None and one.asked[-1][1].faintest < 16


def test_the_brightest_in_v_are_not_those_of_a_depth_in_g(sky, monkeypatch):
    # To G = 11 there are 100 stars, but 90 as bright as the 90th in V only to V = 12: blue ones are missing.
    one = sky(Sky(where=(50.0, 10.0, 1.0), n=1100))
    v = one.g + np.where(np.arange(1100) % 2, 0.0, 4.0)
    plain = one.table

    def table(rows, complete=True):
        made = plain(rows, complete)
        made["mag"] = v[rows] * u.mag
        return made

    monkeypatch.setattr(one, "table", table)
    found = cone((50.0, 10.0), 2.0, catalog="gaia-dr3", brightest=90)
    rows = one.truth(50.0, 10.0, 2.0)
    assert found["id"].tolist() == one.names[rows[np.argsort(v[rows])][:90]].tolist()
    assert found.meta["faintest"] is not None


def test_a_cut_answer_is_asked_for_in_pieces(sky):
    one = sky(Sky(where=(50.0, 10.0, 1.5), n=20_000, most=1500))
    found = cone((50.0, 10.0), 2.0, catalog="gaia-dr3", fallback=False)
    assert sorted(found["id"]) == sorted(one.names[one.truth(50.0, 10.0, 2.0)])
    assert found.meta["complete"] and len(one.asked) > 10
    assert len(cone((50.0, 10.0), 2.0, catalog="gaia-dr3", offline=True)) == len(found)


def test_a_tile_that_is_always_cut_is_an_error_and_not_kept(sky):
    sky(Sky(where=(50.0, 10.0, 0.001), n=5000, most=100))
    with pytest.raises(CatalogError, match="more stars than one answer may have"):
        cone((50.0, 10.0), 0.1, catalog="gaia-dr3", fallback=False)
    with pytest.raises(CatalogError, match="not in the cache"):
        cone((50.0, 10.0), 0.1, catalog="gaia-dr3", fallback=False, offline=True)


def test_an_outage_is_one_message_and_the_embedded_catalog(sky):
    one = sky(EVERYWHERE)
    one.trouble = CatalogError("gave no usable answer: a.org is silent.", where=one.title, remedy="Wait.")
    with pytest.warns(CatalogWarning) as told:
        found = cone((83.8, -5.4), 1.0, catalog="gaia-dr3", brightest=50)
    text = str(told[0].message)
    assert len(told) == 1 and "a.org is silent" in text
    assert "The embedded catalog takes its place: stars to V = 11.5" in text and "no magnitudes in BP" in text
    with pytest.raises(CatalogError, match=r"a\.org is silent"):
        cone((83.8, -5.4), 1.0, catalog="gaia-dr3", fallback=False)
    assert not tiles_folder().exists()
    plain = cone((83.8, -5.4), 1.0, brightest=50)
    assert found["id"].tolist() == plain["id"].tolist() and found.meta["fallback"] == text
    assert plain.meta["fallback"] == ""


def test_what_came_before_an_outage_is_kept(sky):
    one = sky(EVERYWHERE)
    calls = []
    good = one.tile

    def tile(region, depth):
        calls.append(region)
        if len(calls) > 2:
            raise CatalogError("is down.", where=one.title)
        return good(region, depth)

    one.tile = tile
    try:
        one.expected = lambda region, depth: 1e9  # every tile is asked for alone
        with pytest.raises(CatalogError, match="is down"):
            cone((150.0, 0.0), 3.0, catalog="gaia-dr3", fallback=False)
    finally:
        del one.tile, one.expected
    found = cone((150.0, 0.0), 3.0, catalog="gaia-dr3", fallback=False)
    assert found.meta["fetched"] == found.meta["tiles"] - 2
    assert len(found) == len(one.truth(150.0, 0.0, 3.0))


def test_stars_from_another_part_of_the_sky_are_not_kept(sky):
    one = sky(EVERYWHERE)
    good = one.tile
    one.tile = lambda region, depth: one.table(one.truth(10.0, 10.0, 3.0))
    try:
        with pytest.raises(CatalogError, match="from another part of the sky"):
            cone((150.0, 0.0), 1.0, catalog="gaia-dr3", fallback=False)
    finally:
        del one.tile
    assert one.tile == good and not tiles_folder().exists()


def test_a_poisoned_tile_is_fetched_again(sky):
    one = sky(EVERYWHERE)
    first = cone((150.0, 0.0), 1.0, catalog="gaia-dr3")
    store = TileStore(one.name, one.order, one.version)
    tiles = list(store.tiles())
    tiles[0].stars.write_text("<html>Log in to the hotel</html>")
    again = cone((150.0, 0.0), 1.0, catalog="gaia-dr3")
    assert again.meta["fetched"] == 1 and again["id"].tolist() == first["id"].tolist()
    described = json.loads(tiles[0].path.read_text())
    assert {"query", "date", "epoch", "license", "citation", "rows", "sha256", "faintest"} <= set(described)


def test_a_deeper_question_replaces_shallow_tiles(sky):
    one = sky(EVERYWHERE)
    shallow = cone((150.0, 0.0), 2.0, catalog="gaia-dr3", mag_limit=10.0, band="G")
    deep = cone((150.0, 0.0), 2.0, catalog="gaia-dr3")
    assert len(deep) > len(shallow) and deep.meta["fetched"] == deep.meta["tiles"]
    asked = len(one.asked)
    assert len(cone((150.0, 0.0), 2.0, catalog="gaia-dr3", mag_limit=10.0, band="G")) == len(shallow)
    assert len(one.asked) == asked


def test_the_cache_is_bounded(sky, monkeypatch):
    one = sky(EVERYWHERE)
    cone((10.0, 0.0), 4.0, catalog="gaia-dr3")
    size = sum(tile.size for tile in TileStore(one.name, one.order, one.version).tiles())
    monkeypatch.setenv("SCIASTRO_CATALOG_GB", str(1.2 * size / 1e9))
    for ra in (60.0, 110.0, 160.0):
        found = cone((ra, 0.0), 4.0, catalog="gaia-dr3")
        assert len(found) == len(one.truth(ra, 0.0, 4.0))  # also where a question alone is larger
        assert sum(tile.size for tile in TileStore(one.name, one.order, one.version).tiles()) < 1.4 * size
    monkeypatch.setenv("SCIASTRO_CATALOG_GB", "lots")
    with pytest.raises(OptionError, match="SCIASTRO_CATALOG_GB: is 'lots'"):
        cone((60.0, 0.0), 4.0, catalog="gaia-dr3")


def test_a_cache_that_cannot_be_written_costs_only_time(sky, tmp_path):
    one = sky(EVERYWHERE)
    (tmp_path / "cache").write_text("a file where the folder should be")
    found = cone((10.0, 0.0), 2.0, catalog="gaia-dr3", fallback=False)
    assert len(found) == len(one.truth(10.0, 0.0, 2.0))
    assert len(found.meta["notes"]) == 1 and "the catalog cache is not used" in found.meta["notes"][0]


def test_the_switch(sky, monkeypatch, tmp_path):
    one = sky(EVERYWHERE)
    cone((10.0, 0.0), 1.0, catalog="gaia-dr3")
    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")
    asked = len(one.asked)
    assert len(cone((10.0, 0.0), 1.0, catalog="gaia-dr3", fallback=False)) == len(one.truth(10.0, 0.0, 1.0))
    with pytest.raises(CatalogError, match=r"the network is switched off, and \d of \d tiles"):
        cone((70.0, 0.0), 1.0, catalog="gaia-dr3", fallback=False)
    monkeypatch.delenv("SCIASTRO_OFFLINE")
    (tmp_path / "none.toml").write_text("[catalogs]\noffline = true\ngigabytes = 1\n")
    with pytest.raises(CatalogError, match="the network is switched off"):
        cone((70.0, 0.0), 1.0, catalog="gaia-dr3", fallback=False)
    assert len(one.asked) == asked
    assert catalogs.cache_limit() == 1_000_000_000


def test_a_region_too_large_is_refused(sky):
    one = sky(EVERYWHERE)
    with pytest.raises(CatalogError, match=r"takes \d+ tiles"):
        cone((70.0, 0.0), 80.0, catalog="gaia-dr3", fallback=False)
    assert one.asked == []


# --- the same whatever the catalog ------------------------------------------------------------------


def test_columns_are_the_same_whatever_the_catalog(sky, tmp_path):
    sky(EVERYWHERE)
    mine = Table({"RA": [83.8, 83.9], "DEC": [-5.4, -5.3], "Vmag": [9.0, 8.0], "pmRA": [100.0, np.nan],
                  "pmDE": [-50.0, np.nan], "ref_epoch": [2000.0, 2000.0]})  # fmt: skip
    mine.write(tmp_path / "mine.csv")
    tables = [
        cone((83.8, -5.4), 3.0, catalog=name, epoch=2026.0)
        for name in ("embedded", "gaia-dr3", str(tmp_path / "mine.csv"), tmp_path / "mine.csv")
    ]
    for table in tables:
        assert table.colnames[: len(COLUMNS) + 1] == ["id", *COLUMNS]
        assert [str(table[name].unit) for name in COLUMNS] == [str(u.Unit(unit)) for unit in COLUMNS.values()]
        extra = table.colnames[len(COLUMNS) + 1 :]
        assert all(name.startswith("mag_") for name in extra) and len(extra) % 2 == 0
        assert {"catalog", "query", "date", "license", "citation", "system", "epoch", "complete"} <= set(
            table.meta
        )
        assert np.all(np.diff(table["mag"].value[np.isfinite(table["mag"].value)]) >= 0)
        assert table.meta["epoch"] == 2026.0 and len(table)
    own = tables[2]
    assert own["mag"].value.tolist() == [8.0, 9.0]
    assert own["dec"].value[1] == pytest.approx(-5.4 - 26 * 50 / 3.6e6, abs=1e-9)
    assert own["dec"].value[0] == -5.3
    assert np.isnan(own["dec_err"].value).all()  # the file tells none


def test_centers_come_in_many_forms():
    galactic = SkyCoord(83.8 * u.deg, -5.4 * u.deg).galactic
    same = [
        cone((83.8, -5.4), 0.5), cone((83.8 * u.deg, -324 * u.arcmin), 30 * u.arcmin), cone(galactic, 0.5),
        cone(np.array([443.8, -5.4]), 0.5), sciastro.cone((83.8, -5.4), radius=0.5 * u.deg),
    ]  # fmt: skip
    assert len({tuple(table["id"]) for table in same}) == 1
    for wrong in ((83.8, 0.5), ("x", 1), (1, 2, 3)):
        with pytest.raises(CatalogError, match="cone"):
            cone(wrong, 0.0)
    with pytest.raises(CatalogError, match=r"Give cone\(\(ra, dec\), radius\) in degrees"):
        cone(83.8, -5.4)
    with pytest.raises(OptionError, match="Julian year"):
        cone((1, 2), 1, epoch=26.5)


def test_the_embedded_catalog_is_that_of_io():
    from sciastro.io import reference

    ours, theirs = cone((0.0, 89.0), 2.0, epoch=2026.0), reference.cone(0.0, 89.0, 2.0, epoch=2026.0)
    assert ours["id"].tolist() == theirs["id"].tolist()
    for name in set(theirs.colnames) - {"id"}:
        assert np.array_equal(ours[name].value, theirs[name].value, equal_nan=True), name
    few = cone((0.0, 89.0), 2.0, mag_limit=(9.0, 11.0), brightest=5)
    assert len(few) == 5 and few["mag"].value.min() >= 9.0
    g = cone((0.0, 89.0), 2.0, mag_limit=9.5, band="G")
    assert len(g) > 0 and g["g_mag"].value.max() <= 9.5


def test_names_that_are_no_catalog(tmp_path):
    with pytest.raises(OptionError, match="Did you mean 'gaia-dr3'"):
        cone((1, 2), 1, catalog="gaja-dr3")
    with pytest.raises(CatalogError, match="does not exist"):
        cone((1, 2), 1, catalog=tmp_path / "none.csv")
    with pytest.raises(CatalogError, match="does not exist"):
        cone((1, 2), 1, catalog="none.csv")


@pytest.mark.parametrize(
    "name", ["gaia", "Gaia DR3", "gaia_dr3", "TYCHO-2", "apass", "APASS DR10", "sdss", "landolt", "ps1"]
)
def test_names_of_catalogs_are_read_kindly(name):
    from sciastro.remote.catalogs import source_of

    assert isinstance(source_of(name), Source)
    assert catalogs.is_remote(name)


def test_nothing_is_asked_where_nothing_is_named(monkeypatch):
    monkeypatch.setattr(catalogs, "source_of", lambda name: pytest.fail("asked"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(cone((10.0, 20.0), 0.5))


def test_100_000_stars_are_read_again_at_once(sky):
    one = sky(Sky(where=(50.0, 10.0, 1.2), n=120_000))
    one.order = 6
    first = cone((50.0, 10.0), 3.2, catalog="gaia-dr3")
    assert len(first) > 100_000
    spent = []
    for _ in range(7):
        start = time.process_time()
        again = cone((50.0, 10.0), 3.2, catalog="gaia-dr3")
        spent.append(time.process_time() - start)
    assert again.meta["fetched"] == 0 and len(again) == len(first)
    # 50 ms is the promise; 0.035 s of CPU were measured. A machine of CI may be slower, and is never alone.
    assert min(spent) < 0.15, spent


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"epoch": "now"}, "epoch: is 'now'. Give a Julian year"),
        ({"epoch": [2000, 2001]}, "epoch: is .*2001"),
        ({"epoch": 3001}, "epoch: is 3001"),
        ({"mag_limit": "bright"}, "mag_limit: is 'bright'. Give the faintest"),
        ({"mag_limit": (3,)}, "mag_limit: is"),
        ({"brightest": -1}, "brightest: is -1. Give how many"),
        ({"brightest": 2.5}, "brightest: is 2.5"),
        ({"columns": 3}, "columns: is 3. Give names"),
        ({"catalog": None}, "catalog: is None. Choose from"),
    ],
)
def test_arguments_that_are_none_are_told(words, told):
    with pytest.raises(OptionError, match=told) as caught:
        cone((10.0, 20.0), 0.1, **words)
    assert caught.value.where and caught.value.remedy


def test_a_list_is_a_pair_and_a_text_is_a_name():
    one = cone((10.0, 20.0), 1.0, mag_limit=[8, 11], columns="mag")
    assert one.colnames == ["mag"] and 8 <= one["mag"].value.min() <= one["mag"].value.max() <= 11
