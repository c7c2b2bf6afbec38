"""Real images with known solutions; skipped where the shared data are absent."""

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.wcs import WCS

from sciastro.astrometry.register import register
from sciastro.astrometry.sky import Hint
from sciastro.astrometry.solve import solve_field
from sciastro.core.quality import Quality
from sciastro.core.wcs import celestial_from_header
from sciastro.errors import SciastroError, SolveError
from sciastro.measure.stars import measure_plane

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="no shared data beside the repository"),
    pytest.mark.filterwarnings(
        "ignore::astropy.wcs.FITSFixedWarning", "ignore::astropy.io.fits.verify.VerifyWarning"
    ),
]


def embedded(epoch):
    """Return the catalog that comes with sciastro, or skip."""
    reference = pytest.importorskip("sciastro.io.reference", reason="no embedded catalog")
    try:
        reference.catalog_root()
    except SciastroError as error:
        pytest.skip(str(error))
    return lambda ra, dec, radius: reference.cone(ra, dec, radius, epoch=epoch)


def pixels(path):
    with fits.open(path) as hdus:
        hdu = hdus[0] if hdus[0].data is not None else hdus[1]
        return hdu.data.astype(np.float32), hdu.header.copy()


def difference(found, given, shape, to_given=lambda x, y: (x, y)):
    """Return the distance between two solutions over the frame [pixel]."""
    x, y = (
        v.ravel() for v in np.meshgrid(np.linspace(0, shape[1] - 1, 15), np.linspace(0, shape[0] - 1, 15))
    )
    ra, dec = found.wcs.all_pix2world(x, y, 0)
    ra2, dec2 = given.all_pix2world(*to_given(x, y), 0)
    return np.hypot((ra - ra2) * np.cos(np.deg2rad(dec)), dec - dec2) * 3600 / found.scale


def superpixel(mosaic):
    """Return the sum of each 2 x 2 cell: a color mosaic as one plane of half the size."""
    return mosaic[::2, ::2] + mosaic[::2, 1::2] + mosaic[1::2, ::2] + mosaic[1::2, 1::2]


M94 = sorted((DATA / "osc_seestar_m94").glob("session*/*.fz"))


@pytest.mark.parametrize("path", [M94[0], M94[-1]] if M94 else [], ids=lambda p: p.name[-24:-8])
def test_seestar_m94_agrees_with_solve_field(path):
    stars_at = embedded(2025.23)
    image = superpixel(pixels(path)[0])
    session = "s1" if path.parent.name == "session1" else "s2"
    solution = DATA / "osc_seestar_m94/solutions" / f"{session}_{path.name.removesuffix('.fit.fz')}.wcs"
    given = WCS(fits.getheader(solution))
    stars = measure_plane(image).stars
    hint = Hint(ra=192.72, dec=41.12, scale=4.75, radius=1.0)
    found = solve_field(stars, image.shape, stars_at=stars_at, hint=hint, epoch=2025.23)
    away = difference(found, given, image.shape, lambda x, y: (2 * x + 0.5, 2 * y + 0.5))
    assert np.median(away) < 0.3 and away.max() < 1.0
    assert found.n_stars >= 10
    assert found.rms_arcsec < 1.0


@pytest.mark.parametrize("time", ["013343", "060312", "083612"])
def test_hatp32_agrees_with_solve_field(time):
    stars_at = embedded(2017.97)
    folder = DATA / "timeseries_hatp32"
    image, _ = pixels(next(folder.glob(f"*{time}.fits.fz")))
    quality = np.where(image >= 4000, int(Quality.SATURATED), 0).astype(np.uint16)
    given = WCS(fits.getheader(folder / "solutions" / f"hat_{time}.wcs"))
    found = solve_field(
        measure_plane(image, quality).stars, image.shape, stars_at=stars_at,
        hint=Hint(ra=31.04, dec=46.69, scale=5.2, radius=1.0), epoch=2017.97,
    )  # fmt: skip
    away = difference(found, given, image.shape)
    assert np.median(away) < 0.4 and away.max() < 1.0
    assert found.rms_arcsec < 0.8


def test_hatp32_frames_register_over_273_pixels_of_drift():
    paths = sorted((DATA / "timeseries_hatp32").glob("HATP*.fz"))
    lists = []
    for path in (paths[0], paths[len(paths) // 2], paths[-1]):
        image, _ = pixels(path)
        quality = np.where(image >= 4000, int(Quality.SATURATED), 0).astype(np.uint16)
        lists.append(measure_plane(image, quality).stars)
    for later in lists[1:]:
        found = register(lists[0], later, (500, 650))
        assert found.n > 40
        assert found.rms < 0.5
        assert found.log_false_alarm < -6


def an2008():
    """Return the catalog of a user: DAOPHOT photometry of M13, An et al. 2008."""
    table = Table.read(DATA / "calib_arcsat_m13/truth_An2008_M13_ugriz.csv")
    table = table[table["r"] < 90]
    ra, dec = np.asarray(table["ra"], float), np.asarray(table["dec"], float)

    def stars_at(right, up, radius):
        near = np.hypot((ra - right) * np.cos(np.deg2rad(up)), dec - up) < radius
        return QTable(
            {
                "id": np.asarray(table["DAOPHOTID"])[near], "ra": ra[near] * u.deg, "dec": dec[near] * u.deg,
                "mag": np.asarray(table["r"], float)[near],
            },
            meta={"catalog": "An et al. 2008"},
        )  # fmt: skip

    return stars_at


M13 = sorted((DATA / "calib_arcsat_m13/light").glob("*"))


@pytest.mark.parametrize("path", M13, ids=lambda p: p.name[:28])
def test_m13_with_the_catalog_of_a_user(path):
    image, header = pixels(path)
    given = celestial_from_header(header)
    stars = measure_plane(image * 1.29 - 500).stars
    found = solve_field(stars, image.shape, stars_at=an2008(), hint=Hint(wcs=given), epoch=2019.33)
    assert found.method == "header"
    assert found.rms_arcsec < 0.3
    assert found.n_stars > 50
    assert found.catalog == "An et al. 2008"
    away = difference(found, given, image.shape)  # the header's TAN leaves out its own distortion cards
    assert np.median(away) < 1.0 and away.max() < 4.0


def test_m67_plate_of_1951_needs_proper_motion():
    stars_at = embedded(1951.91)
    image, _ = pixels(DATA / "wcs_fits/M6707HH_M67_DSS.fits")
    found = solve_field(
        measure_plane(image).stars, image.shape, stars_at=stars_at,
        hint=Hint(ra=132.85, dec=11.82, scale=1.7, radius=0.2), epoch=1951.91,
    )  # fmt: skip
    assert found.scale == pytest.approx(
        67.2 * 25.28445e-3, rel=0.003
    )  # PLTSCALE [arcsec / mm] times pixel [mm]
    assert found.rms_arcsec < 0.5
    assert abs(found.rotation) < 1


def test_a_field_with_three_catalog_stars_is_refused():
    stars_at = embedded(1990.97)
    image, header = pixels(DATA / "wcs_fits/HorseHead.fits")
    hint = Hint(wcs=celestial_from_header(header), radius=0.1)
    with pytest.raises(SolveError, match="puts 3 catalog stars on the frame"):
        solve_field(measure_plane(image).stars, image.shape, stars_at=stars_at, hint=hint, epoch=1990.97)
