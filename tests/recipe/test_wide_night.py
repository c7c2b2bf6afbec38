"""A night with a wide lens: the products say by how much their polynomial differs from the lens."""

import numpy as np
import pytest
from astropy.io import fits
from fields import star_field
from small_nights import command

from sciastro.astrometry.lens import Lens
from sciastro.core.directions import unit_vectors
from sciastro.core.wcs import celestial_from_header
from sciastro.io.reference import cone

SHAPE, RA, DEC, SCALE = (500, 700), 84.0, 2.0, 150.0
FOCAL = 206264.8 / SCALE
LENS = Lens(FOCAL, 349.5, 249.5, (-0.05 * (FOCAL / np.hypot(250, 350)) ** 2, 0.0, 0.0))


def on_frame(mag_limit):
    """Return stars and where a lens with 5 % of distortion puts them, south up."""
    east, north = np.radians(RA), np.radians(DEC)
    turn = np.array([
        [np.sin(east), -np.cos(east), 0.0],
        [-np.sin(north) * np.cos(east), -np.sin(north) * np.sin(east), np.cos(north)],
        [np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)],
    ])  # fmt: skip
    stars = cone(RA, DEC, 25.0, epoch=2026.0, mag_limit=mag_limit)
    places = LENS.project(unit_vectors(stars["ra"].value, stars["dec"].value) @ turn.T)
    on = np.all((places > 16) & (places < np.array(SHAPE[::-1]) - 17), axis=1)
    return stars[on], places[on]


@pytest.mark.slow
def test_products_of_a_wide_lens_say_how_well_they_follow_it(tmp_path):
    session, rng = tmp_path / "session", np.random.default_rng(1)
    session.mkdir()
    stars, places = on_frame(8.5)
    for k in range(3):
        flux = 3e5 * 10 ** (-0.4 * (stars["mag"].value - 6))
        image = star_field(SHAPE, *places.T, flux, 2.8) + 200.0
        image += rng.normal(0, 1, SHAPE) * np.sqrt(image)
        cards = {"IMAGETYP": "LIGHT", "EXPTIME": 10.0, "FILTER": "V", "OBJECT": "Orion", "GAIN": 1.0}
        header = fits.Header(cards | {"DATE-OBS": f"2026-01-01T20:0{k}:00"})
        pixels = np.clip(image, 0, 65535).astype(np.uint16)
        fits.PrimaryHDU(pixels, header).writeto(session / f"light_{k}.fits")
    known = ("--ra", RA + 0.5, "--dec", DEC - 0.3, "--scale", 1.01 * SCALE)
    done = command("reduce", session, "-o", tmp_path / "out", *known)
    assert done.exit_code == 0, done.output
    (path,) = (p for p in (tmp_path / "out" / "products").glob("*.fits") if "_sources" not in p.name)
    with fits.open(path) as hdus:
        header = next(hdu.header for hdu in hdus if "CRVAL1" in hdu.header)
        primary = hdus[0].header
    assert 0 < primary["LENSRES"] < 0.05
    x, y = celestial_from_header(header).all_world2pix(stars["ra"].value, stars["dec"].value, 0)
    off = np.hypot(x - places[:, 0], y - places[:, 1])
    assert np.median(off) < 0.1 and np.quantile(off, 0.99) < 0.3
