"""Gaia's XP spectra of a field, fetched: from source numbers to gains, against a camera that is known."""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable
from gaia_archive import Archive, serve
from spectra_field import BANDS, FIRST, Field, true_gains

from sciastro.errors import CatalogError
from sciastro.photometry.bandpass import load
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.locus import WAVELENGTHS, locus_photons
from sciastro.photometry.response import make_response
from sciastro.recipe.colorcurves import Site
from sciastro.recipe.setcolor import color_record, set_color
from sciastro.recipe.starspectra import sources_of
from sciastro.remote.limits import Limits
from sciastro.remote.xpspectra import sampled

for room in ("remote", "photometry"):
    sys.path.insert(0, str(Path(__file__).parents[1] / room))
from faulty import PORTAL, Fault, FaultyServer  # noqa: E402

QUICK = Limits(connect=5, read=5, total=30, attempts=2, pause=0.01)
N = 60
RESPONSE = make_response({band: load(f"bayer_{band}") for band in BANDS})


@pytest.fixture
def field(monkeypatch, tmp_path):
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)
    rng = np.random.default_rng(1)  # off the locus: a bump of 8 % that colors do not tell
    hue = rng.uniform(0.4, 1.3, N)
    bump = 0.08 * np.exp(-0.5 * ((WAVELENGTHS - 520) / 40) ** 2) * rng.uniform(0.7, 1.3, (N, 1))
    return Field(locus_photons(hue) * (1 + bump), RESPONSE, rng)


@pytest.fixture
def server(field, monkeypatch):
    with FaultyServer() as one:
        for name, address in zip(("SPECTRA", "TAP"), serve(one, field.archive), strict=True):
            monkeypatch.setenv(f"SCIASTRO_GAIA_{name}", address)
        monkeypatch.setitem(sampled.__kwdefaults__, "limits", QUICK)
        yield one


def colors(field, catalog=None, **options):
    chosen = ColorOptions(**{"spectra": "gaia", "sensor": "bayer", "atmosphere": False, **options})
    stars = field.catalog() if catalog is None else catalog
    return set_color(field.tables, stars, cfa=True, site=Site(), sky={}, options=chosen)


def off(found):
    return np.array(found.calibration.gains) / true_gains(RESPONSE) - 1


def test_gains_by_fetched_spectra_are_true(field, server):
    found = colors(field)
    assert found.calibration.method == "spectra" and not found.spectra_reason
    assert np.abs(off(found)).max() < 0.005
    err = np.array(found.calibration.errors) / np.array(found.calibration.gains)
    assert (np.abs(off(found))[[0, 2]] < 3 * err[[0, 2]]).all()
    assert np.abs(off(colors(field, spectra=""))).max() > 0.01  # mean spectra are not theirs
    told = color_record(found, ColorOptions(spectra="gaia"))["spectra"]
    assert (told["sampled"], told["wanted"], told["from_cache"]) == (N, N, 0)
    assert told["license"].startswith("CC BY-SA") and "127.0.0.1" in told["servers"][0] and told["dates"]


def test_spectra_are_fetched_once_and_serve_offline(field, server, monkeypatch):
    first = colors(field)
    asked = server.count()
    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")
    again = colors(field)
    assert again.calibration.gains == first.calibration.gains
    assert server.count() == asked and again.spectra["from_cache"] == N


def test_offline_without_a_cache_is_told(field, server, monkeypatch):
    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")
    found = colors(field)
    assert found.calibration.method == "locus" and "switched off" in found.spectra_reason
    assert server.count() == 0


def test_a_catalog_without_gaias_names_is_looked_up(field, server):
    found = colors(field, field.catalog(named=False))
    assert found.calibration.method == "spectra" and np.abs(off(found)).max() < 0.005
    assert str(found.stars["id"][0]).startswith("Gaia DR3 ")


def test_number_of_stars_is_bounded_to_the_best(field, server):
    found = colors(field, spectra_stars=20)
    assert found.calibration.n_stars + found.calibration.n_left_out == 20
    ids = {one for asked in server.asked if asked.path == "/data" for one in asked.form["ID"].split(",")}
    assert len(ids) == 20


def test_stars_without_a_spectrum_are_remembered(field, server):
    for source in list(field.archive.flux)[: N // 2]:
        del field.archive.flux[source]
    found = colors(field)
    assert found.spectra["sampled"] == N // 2 and found.calibration.method == "spectra"
    asked = server.count()
    colors(field)
    assert server.count() == asked  # also what is not there is not asked for again


def test_spectra_of_other_stars_are_refused(field, server):
    given = list(field.archive.flux.values())
    order = np.argsort(field.bp_rp)
    for source, row in zip(field.source[order[: N // 2]], order[::-1], strict=False):
        field.archive.flux[int(source)] = given[row]
    for source in field.source[order[N // 2 :]]:
        field.archive.flux[int(source)] = given[order[-1]]
    found = colors(field)
    assert found.calibration.method == "locus" and "do not fit the stars" in found.spectra_reason


FAULTS = {
    "a web page": Fault(PORTAL, type="text/html"),
    "500": Fault(b"oops", status=500, type="text/plain"),
    "nothing": Fault(b""),
    "text": Fault(b"source_id,flux\n1,2\n", type="text/csv"),
    "a broken ZIP": Fault(b"PK\x03\x04 and no more", type="application/zip"),
    "hangs up": Fault(hangup=True),
}


@pytest.mark.parametrize("what", FAULTS)
def test_faults_of_the_first_server_are_told_and_the_next_one_serves(field, server, monkeypatch, what):
    broken = server.say("/broken", FAULTS[what])
    monkeypatch.setenv("SCIASTRO_GAIA_SPECTRA", f"{broken} {server.url('/tap')}")
    found = colors(field, spectra_stars=10)
    assert found.calibration.method == "spectra" and found.spectra["sampled"] == 10
    assert "/broken" in found.spectra_reason


def spoilt(field, how):
    """Return an answer of the archive that has been spoilt."""
    from astropy.io.votable import parse_single_table
    from gaia_archive import votable

    def answer(asked):
        content = field.archive.datalink(asked)
        if how == "cut off":
            return content[: len(content) // 2]
        table = parse_single_table(io.BytesIO(content)).to_table()
        if how == "other sources":
            table["source_id"] += 1
        if how == "one source twice":
            table["source_id"][1] = table["source_id"][0]
        if how == "too few samples":
            table["flux"] = np.asarray(table["flux"])[:, :300]
            table["flux_error"] = np.asarray(table["flux_error"])[:, :300]
        if how == "no column flux":
            table.rename_column("flux", "light")
        return votable(table)

    return answer


@pytest.mark.parametrize(
    "how", ["cut off", "other sources", "one source twice", "too few samples", "no column flux"]
)
def test_wrong_spectra_never_calibrate(field, server, how):
    server.say("/data", Fault(spoilt(field, how)))
    found = colors(field, spectra_stars=10)
    assert found.calibration.method == "locus" and "no spectra of Gaia" in found.spectra_reason
    server.say("/data", Fault(field.archive.datalink))
    assert colors(field, spectra_stars=10).calibration.method == "spectra"  # nothing wrong was kept


def test_a_missing_part_comes_from_the_next_server(field, server, monkeypatch):
    whole = dict(field.archive.flux)
    part = Archive(flux={k: v for k, v in whole.items() if (k - FIRST) % 2}, stars=field.archive.stars)
    one = server.say("/part", Fault(part.datalink))
    monkeypatch.setenv("SCIASTRO_GAIA_SPECTRA", f"{one} {server.url('/tap')}")
    found = colors(field)
    assert found.spectra["sampled"] == N and len(found.spectra["servers"]) == 1
    assert "/part" in found.spectra["servers"][0] and "/tap" in found.spectra["servers"][0]


def bad_zip(asked):
    """Return a ZIP file whose packed bytes are damaged, its directory is not."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("a.xml", b"<VOTABLE/>" * 500)
    content = bytearray(packed.getvalue())
    content[36:46] = b"\xff" * 10
    return bytes(content)


def test_a_zip_file_with_damaged_bytes_is_told(field, server, monkeypatch):
    broken = server.say("/broken", Fault(bad_zip, type="application/zip"))
    monkeypatch.setenv("SCIASTRO_GAIA_SPECTRA", f"{broken} {server.url('/tap')}")
    found = colors(field, spectra_stars=10)
    assert found.spectra["sampled"] == 10 and "damaged" in found.spectra_reason


def test_a_server_that_fails_half_way_is_named_for_what_it_gave(field, server):
    sources = list(field.archive.flux)
    first, broken = Fault(field.archive.datalink), Fault(b"", status=404, type="text/plain")
    one = server.say("/half", first, broken)
    came = sampled(sources, servers=[one, server.url("/tap")], limits=QUICK)
    assert len(came.rows) == N and len(came.troubles) == 1
    assert [name.rsplit("/", 1)[-1] for name in came.servers] == ["half", "tap"]


def test_servers_that_have_none_say_so(field, server):
    with pytest.raises(CatalogError, match="has none of them"):
        sampled([FIRST + 1], servers=[server.url("/tap")], limits=QUICK)


def test_numbers_of_other_catalogs_are_not_those_of_gaia():
    names = ["Gaia DR3 3017264300000000001", "3017264300000000001", "Gaia EDR3 12345678901", "TYC 1-2-1"]
    others = ["PS1 151671234567890123", "SDSS 1237645879551066262", "Gaia DR2 3017264300000000001", "7"]
    found = sources_of(QTable({"id": [*names, *others]}))
    assert found == [FIRST, FIRST, 12345678901, *[None] * 5]


def test_a_damaged_cache_is_fetched_again(field, server, tmp_path):
    colors(field)
    files = list((tmp_path / "cache" / "spectra").glob("*.npz"))
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    found = colors(field)
    assert files and found.spectra["from_cache"] == 0 and np.abs(off(found)).max() < 0.005


def test_continuous_spectra_ask_for_gaiaxpy(field, server, monkeypatch):
    monkeypatch.setattr("sciastro.recipe.starspectra.find_spec", lambda name: None)
    field.archive.continuous = {source: {} for source in field.archive.flux}
    field.archive.flux = {}
    found = colors(field)
    assert found.calibration.method == "locus" and "sciastro[gaiaxp]" in found.spectra_reason
