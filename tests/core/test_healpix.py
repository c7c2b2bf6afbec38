"""Tiles of the sky against the package that everybody uses, and against brute force."""

import numpy as np
import pytest

from sciastro.core.healpix import (
    bounding_cone,
    tile_centers,
    tile_of,
    tile_radius,
    tiles_in_cone,
    unit_vectors,
)

rng = np.random.default_rng(20261126)
ORDERS = (0, 1, 3, 6, 7, 12, 20)


def directions(n=20_000):
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    dec[:200] = 90 - 10.0 ** rng.uniform(-12, 0, 200)  # up to the pole
    dec[200:400] = -90 + 10.0 ** rng.uniform(-12, 0, 200)
    ra[400:600] = 10.0 ** rng.uniform(-12, 0, 200)  # and around RA = 0
    ra[600:800] = 360 - 10.0 ** rng.uniform(-12, 0, 200)
    return ra, dec


@pytest.mark.parametrize("order", ORDERS)
def test_tiles_are_those_of_astropy_healpix(order):
    package = pytest.importorskip("astropy_healpix")
    from astropy import units as u

    ra, dec = directions()
    sky = package.HEALPix(nside=2**order, order="nested")
    expected = sky.lonlat_to_healpix(ra * u.deg, dec * u.deg)
    assert np.array_equal(tile_of(ra, dec, order), expected)
    lon, lat = sky.healpix_to_lonlat(expected)
    chord = np.linalg.norm(tile_centers(expected, order) - unit_vectors(lon.deg, lat.deg), axis=-1)
    assert chord.max() < 1e-14


@pytest.mark.parametrize("order", ORDERS)
def test_tiles_nest_and_hold_their_centers(order):
    ra, dec = directions()
    tiles = tile_of(ra, dec, order)
    assert np.array_equal(tile_of(ra, dec, order + 2) >> 4, tiles)
    assert tiles.min() >= 0 and tiles.max() < 12 * 4**order
    x, y, z = tile_centers(tiles, order).T
    again = tile_of(np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y))), order)
    assert np.array_equal(again, tiles)
    far = np.linalg.norm(tile_centers(tiles, order) - unit_vectors(ra, dec), axis=-1)
    assert np.degrees(2 * np.arcsin(far.max() / 2)) <= tile_radius(order)


def test_tiles_have_equal_areas():
    ra, dec = rng.uniform(0, 360, 480_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 480_000)))
    counts = np.bincount(tile_of(ra, dec, 1), minlength=48)
    assert np.all(np.abs(counts - 10_000) < 6 * 100)  # Poisson: sigma is 100


@pytest.mark.parametrize(
    ("ra", "dec", "radius"),
    [
        (83.8, -5.4, 0.02), (83.8, -5.4, 1.6), (0.0, 0.0, 1.0), (359.99, 41.8, 2.0), (0.01, -41.81, 0.5),
        (10.0, 90.0, 0.7), (200.0, -90.0, 3.0), (77.0, 89.5, 1.2), (45.0, -89.9, 0.05), (123.0, 20.0, 100.0),
        (12.0, 5.0, 180.0),
    ],
)  # fmt: skip
def test_no_tile_of_a_cone_is_missing_and_few_are_too_many(ra, dec, radius):
    center = unit_vectors(ra, dec)
    # Points in the cone: uniform in the angle and in the height along its axis.
    height = 1 - rng.uniform(0, 1, 20_000) * (1 - np.cos(np.radians(radius)))
    turn = rng.uniform(0, 2 * np.pi, 20_000)
    east = np.cross(center, [1.0, 0, 0] if abs(center[0]) < 0.9 else [0, 1.0, 0])
    east /= np.linalg.norm(east)
    north = np.cross(center, east)
    across = np.sqrt(1 - height**2)[:, None]
    points = height[:, None] * center + across * (
        np.cos(turn)[:, None] * east + np.sin(turn)[:, None] * north
    )
    x, y, z = points.T
    order = 6
    inside = np.unique(
        tile_of(np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y))), order)
    )
    found = tiles_in_cone(ra, dec, radius, order)
    assert set(inside) <= set(found) and len(np.unique(found)) == len(found)
    chord = np.linalg.norm(tile_centers(found, order) - center, axis=-1)
    away = np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1)))
    assert away.max() <= min(radius + 1.2 * tile_radius(order), 180.001)
    lon, lat, size = bounding_cone(found, order)
    outside = np.linalg.norm(points - unit_vectors(lon, lat), axis=-1) > 2 * np.sin(np.radians(size) / 2)
    assert not outside.any() or size == 180.0
