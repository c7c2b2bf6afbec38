"""Names without a network, and SIMBAD where it is asked for."""

import pytest

from sciastro.errors import CatalogError, OptionError
from sciastro.recipe.naming import resolve
from sciastro.remote import names
from sciastro.remote.names import NamedObject

NAN = float("nan")


def test_objects_and_stars_are_known_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")
    cluster, star = resolve("m13"), resolve("Barnard's star")
    assert (cluster.kind, cluster.source, cluster.note) == ("globular cluster", "embedded", "")
    assert cluster.coord.ra.deg == pytest.approx(250.42, abs=0.01)
    assert star.coord.pm_dec.to_value("mas/yr") == pytest.approx(10362, abs=100)  # Tycho-2 has 10277
    with pytest.raises(CatalogError, match="is not in the embedded tables"):
        resolve("HD 189733")


def test_cones_have_centers_with_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from sciastro.recipe.catalogs import cone

    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")
    named, placed = cone("M 13", 0.5), cone(resolve("M 13").coord, 0.5)
    assert len(named) > 3 and list(named["id"]) == list(placed["id"])
    with pytest.raises(CatalogError, match="is not in the embedded tables"):
        cone("M 1313", 0.5)


def test_simbad_is_asked_first_if_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    said = NamedObject("M 13", "GlC", 250.423475, 36.461319, -3.18, -2.56, NAN, -244.2, 33.0)
    monkeypatch.setattr(names, "resolve", lambda name: said)
    found = resolve("M 13", online=True)
    assert (found.kind, found.source, found.note) == ("GlC", "SIMBAD", "")
    assert found.coord.pm_ra_cosdec.to_value("mas/yr") == pytest.approx(-3.18)


def test_simbad_can_be_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)
    monkeypatch.setenv("SCIASTRO_SIMBAD", "https://127.0.0.1:1/sync")
    found = resolve("M 13", online=True)
    assert found.source == "embedded"
    assert "SIMBAD, 'M 13' gave no usable answer: 127.0.0.1:1 refuses the connection" in found.note


def test_an_outage_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")
    found = resolve("M 13", online=True)
    assert found.source == "embedded"
    assert "SCIASTRO_OFFLINE" in found.note
    with pytest.raises(CatalogError, match=r"SIMBAD, 'HD 189733': was not asked"):
        resolve("HD 189733", online=True)


@pytest.mark.parametrize("name", [13, None, b"M 13", ["M 13"]])
def test_what_is_no_text_is_no_name(name: object) -> None:
    with pytest.raises(OptionError, match=r"name: is .* Give a text"):
        resolve(name)
