import numpy as np
import pytest
from astropy.coordinates import SkyCoord, get_constellation

from sciastro.errors import CatalogError
from sciastro.io.reference import cone, verify
from sciastro.io.skydata import (
    constellation_lines,
    constellation_names,
    find,
    named_stars,
    sky_info,
    sky_objects,
)


@pytest.mark.parametrize(
    ("names", "ra", "dec"),
    [  # Simbad, ICRS J2000, to 0.01 deg
        (["M 13", "m13", "NGC6205", "ngc 06205", "Hercules Globular Cluster", "Messier 13"], 250.42, 36.46),
        (["M45", "Pleiades", "Melotte 22"], 56.87, 24.11),
        (["M 31", "Andromeda Galaxy", "UGC 454", "PGC 2557"], 10.68, 41.27),
        (["Vega", "alpha Lyr", "alf Lyr", "\u03b1 Lyrae", "HIP 91262", "3 Lyr"], 279.23, 38.78),
        (["61 Cyg", "61 Cygni"], 316.75, 38.76),
        (["B 33", "Barnard 33", "Horsehead Nebula"], 85.25, -2.46),
        (["Sh2-155", "Sharpless 2-155", "Caldwell 9"], 344.47, 62.52),
        (["IC 11", "NGC 281"], 13.25, 56.62),
        (["M 102", "M 101"], 210.80, 54.35),
    ],
)
def test_names_however_they_are_spelled(names, ra, dec):
    for name in names:
        found = find(name)
        assert found.ra == pytest.approx(ra, abs=0.015), name
        assert found.dec == pytest.approx(dec, abs=0.015), name


@pytest.mark.parametrize("name", ["", "  ", "M 130", "Jupiter", "\x00", "../../etc/passwd", "M" * 10_000])
def test_a_name_that_is_none_is_said_so(name):
    with pytest.raises(CatalogError, match="not in the embedded tables"):
        find(name)


def test_similar_names_are_told():
    with pytest.raises(CatalogError, match="similar: Vega"):
        find("Vegaa")


def test_messier_is_complete():
    numbers = {one.messier for one in sky_objects()} - {0}
    assert numbers == set(range(1, 111)) - {102}  # M 102 is M 101 in OpenNGC


def test_numbers_are_sane():
    for one in sky_objects():
        assert 0 <= one.ra < 360
        assert abs(one.dec) <= 90
        assert not (one.minor > one.major + 0.01)


def test_named_stars_lie_on_catalog_stars():
    bright = [star for star in named_stars() if star.name and star.mag < 6][::15]
    for star in bright:
        near = cone(star.ra, star.dec, 30 / 3600, epoch=2016.0)
        assert len(near), star.label
        assert np.min(np.abs(near["mag"].value - star.mag)) < 0.6, star.label


def test_motion_of_a_star():
    ra, dec = find("61 Cyg").at(2000.0)
    assert (
        SkyCoord(ra, dec, unit="deg")
        .separation(SkyCoord("21 06 53.94 +38 44 57.9", unit=("h", "deg")))
        .arcsec
        < 1
    )


def test_constellations_of_stars_are_those_of_astropy():
    stars = [star for star in named_stars() if star.constellation][::40]
    places = SkyCoord([star.ra for star in stars], [star.dec for star in stars], unit="deg")
    assert list(get_constellation(places, short_name=True)) == [star.constellation for star in stars]


def test_lines_end_at_stars_and_all_constellations_have_names():
    known = {star.hip for star in named_stars()}
    assert all(a in known and b in known for _, a, b in constellation_lines())
    assert len(constellation_names()) == 88
    assert {where for where, *_ in constellation_lines()} <= set(constellation_names())


def test_the_tables_say_where_they_are_from():
    info = sky_info()
    assert "CC BY-SA 4.0" in info["sky"]["license"]
    assert all(source["license"] and source["citation"] for source in info["sky"]["sources"])
    assert [problem for problem in verify() if "sky" in problem] == []
