"""Names through SIMBAD's TAP service, and variables of VSX in a cone."""

import numpy as np
import pytest
from canned import Cell, simbad, vizier
from faulty import Fault, FaultyServer, wrong_contents

from sciastro.errors import CatalogError
from sciastro.remote.limits import Limits
from sciastro.remote.names import SIMBAD, resolve
from sciastro.remote.variables import variables

QUICK = Limits(connect=10, read=5, total=30, attempts=2, pause=0.01, max_bytes=3_000_000)
M13: list[Cell] = ["M  13", 250.423475, 36.461319, -3.18, -2.56, None, -244.2, "GlC", 33.0]


def test_a_name_becomes_a_place_a_motion_and_a_kind(server: FaultyServer) -> None:
    at = server.say("/tap", Fault(simbad([M13])))
    found = resolve("M 13", addresses=(at,), limits=QUICK)
    assert (found.name, found.kind) == ("M 13", "GlC")
    assert found.coord.ra.deg == pytest.approx(250.423475)
    assert found.coord.pm_ra_cosdec.to_value("mas/yr") == pytest.approx(-3.18)
    assert found.radial_velocity == pytest.approx(-244.2)
    assert np.isnan(found.parallax)
    form = server.asked[0].form
    assert form["QUERY"].endswith("WHERE ident.id = 'M 13'")
    assert form["LANG"] == "ADQL" and "TOP 2" in form["QUERY"]


def test_an_object_that_does_not_move_has_no_motion(server: FaultyServer) -> None:
    at = server.say(
        "/tap", Fault(simbad([["M  31", 10.684708, 41.26875, None, None, None, -300.0, "AGN", 199.53]]))
    )
    found = resolve("m31", addresses=(at,), limits=QUICK)
    assert np.isnan(found.pm_dec)
    assert not found.coord.data.differentials


def test_quotes_stay_within_the_name(server: FaultyServer) -> None:
    at = server.say("/tap", Fault(simbad([M13])))
    resolve("Barnard's star' OR '1' = '1", addresses=(at,), limits=QUICK)
    assert server.asked[0].form["QUERY"].endswith("ident.id = 'Barnard''s star'' OR ''1'' = ''1'")


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "M\x0013"])
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    with pytest.raises(CatalogError, match="is no name of an object"):
        resolve(name)


def test_an_unknown_name_is_not_an_outage(server: FaultyServer) -> None:
    at = server.say("/tap", Fault(simbad([])))
    with pytest.raises(CatalogError, match=r"SIMBAD, 'M 999': is not known there. Check the spelling"):
        resolve("M 999", addresses=(at, server.url("/other")), limits=QUICK)
    assert server.count("/other") == 0


def test_no_bad_answer_becomes_an_object(server: FaultyServer) -> None:
    bad = wrong_contents(simbad([M13]))
    bad["a place that is none"] = Fault(simbad([[*M13[:2], 136.4, *M13[3:]]]))
    for what, fault in bad.items():
        at = server.say("/tap", fault)
        with pytest.raises(CatalogError) as caught:
            resolve("M 13", addresses=(at,), limits=QUICK)
        assert caught.value.found and caught.value.where == "SIMBAD, 'M 13'" and caught.value.remedy, what
        mirror = server.say("/mirror", Fault(simbad([M13])))
        assert resolve("M 13", addresses=(at, mirror), limits=QUICK).kind == "GlC", what


def test_simbads_addresses_are_encrypted() -> None:
    assert all(one.startswith("https://") for one in SIMBAD)


# OID, Name, V, Type, l_max, max, n_max, f_min, l_min, min, n_min, Epoch, l_Period, Period, Sp, RA, Dec
VARIABLES: list[list[Cell]] = [
    [37500, "RR Lyr", 0, "RRAB", "", 7.06, "V", "", "", 8.12, "V", 2458695.405, "", 0.56686776, "A5.0-F7.0",
     83.8, -5.4],
    [40000, "NSV 2322", 1, "INS:", "", 13.1, "p", "(", "", 0.4, "", None, "", None, "", 83.9, -5.3],
]  # fmt: skip


def test_variables_have_type_period_and_range(server: FaultyServer) -> None:
    at = server.say("/vsx", Fault(vizier("B/vsx/vsx", VARIABLES)))
    table = variables(83.8, -5.4, 0.5, addresses=(at,), limits=QUICK)
    assert list(table["id"]) == ["RR Lyr", "NSV 2322"]
    assert list(table["type"]) == ["RRAB", "INS:"]
    assert table["period"][0].to_value("d") == pytest.approx(0.56686776)
    assert np.isnan(table["period"][1])
    assert table["mag_min"].value == pytest.approx([8.12, 13.5], abs=1e-5)  # "(0.4" is an amplitude
    assert list(table["band_min"]) == ["V", "p"]
    assert list(table["suspected"]) == [False, True]
    assert table.meta["complete"] and "Watson" in table.meta["citation"]
    assert server.asked[0].form["V"] == "<2"


def test_a_field_without_variables_is_an_answer(server: FaultyServer) -> None:
    at = server.say("/vsx", Fault(vizier("B/vsx/vsx", None)))
    assert len(variables(83.8, -5.4, 0.5, addresses=(at,), limits=QUICK)) == 0


def test_no_bad_answer_becomes_variables(server: FaultyServer) -> None:
    bad = wrong_contents(vizier("B/vsx/vsx", VARIABLES))
    bad["elsewhere"] = Fault(vizier("B/vsx/vsx", [[*VARIABLES[0][:15], 183.8, -5.4]]))
    bad["nowhere"] = Fault(vizier("B/vsx/vsx", [[*VARIABLES[0][:15], None, None]]))
    for what, fault in bad.items():
        at = server.say("/vsx", fault)
        with pytest.raises(CatalogError) as caught:
            variables(83.8, -5.4, 0.5, addresses=(at,), limits=QUICK)
        assert caught.value.found and caught.value.where.startswith("VSX") and caught.value.remedy, what


def test_nothing_is_asked_when_the_network_is_switched_off(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIASTRO_OFFLINE", "1")
    at = server.say("/", Fault(simbad([M13])))
    with pytest.raises(CatalogError, match="SCIASTRO_OFFLINE"):
        resolve("M 13", addresses=(at,))
    with pytest.raises(CatalogError, match="SCIASTRO_OFFLINE"):
        variables(83.8, -5.4, 0.5, addresses=(at,))
    assert not server.asked
