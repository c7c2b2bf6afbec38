"""Residuals of this project's plate solutions against SCAMP's: same detections, same catalog, same stars.

Run ``python benchmarks/scamp.py [FILES...] [--catalog CSV] [--work FOLDER]``; without files, real images of
``../shared/data`` where they are there. Needs ``scamp`` (2.10 was used).

Each image is solved here. Its star list is written as LDAC beside the plain TAN of the solution (SCAMP
matches anew), the catalog stars of the field, at the epoch of the image, as SCAMP's FILE reference catalog;
SCAMP fits its TPV polynomial with DISTORT_DEGREES of our order. Then both solutions place the same stars:
those that we used and that SCAMP has within 3 pixels of the catalog, too. Residuals are image minus
catalog on the sky: their root mean square, the same weighted by catalog and centroid errors, as both fits
minimize it, and their median length.
"""

import argparse
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.wcs import WCS

from sciastro.astrometry.motion import at_date
from sciastro.astrometry.sky import Hint
from sciastro.astrometry.solve import solve_field
from sciastro.core.transform import n_terms
from sciastro.core.wcs import center, footprint_radius
from sciastro.errors import SciastroError
from sciastro.io.reference import cone
from sciastro.recipe.solvereading import read_field
from sciastro.recipe.solving import Question, solve_one

DATA = Path(__file__).parents[2] / "shared" / "data"
PICKS = (
    "osc_seestar_m94/session1/*212046*.fz", "osc_seestar_m94/session2/*014513*.fz",
    "timeseries_hatp32/*013343.fits.fz", "timeseries_hatp32/*083612.fits.fz", "wcs_fits/M6707HH_M67_DSS.fits",
    "platesolve/panoptes_unsolved.fits", "platesolve/2019-07-29T204726_Alt60_Azi-135_Try1.tiff",
    "platesolve/test_5mp_g100_e50ms.jpg", "platesolve/m44-1910-04-01.jpg", "platesolve/pleiades.jpg",
)  # fmt: skip
M13 = "calib_arcsat_m13"
FAINTEST = 3000  # catalog stars per field, as ours takes
SETTINGS = {
    "ASTREF_CATALOG": "FILE", "ASTREFCENT_KEYS": "X_WORLD,Y_WORLD",
    "ASTREFERR_KEYS": "ERRA_WORLD,ERRB_WORLD,ERRTHETA_WORLD", "ASTREFMAG_KEY": "MAG",
    "ASTREFMAGERR_KEY": "MAGERR", "ASTREFOBSDATE_KEY": "OBSDATE", "SOLVE_PHOTOM": "N",
    "CHECKPLOT_TYPE": "NONE", "CHECKPLOT_DEV": "NULL", "WRITE_XML": "N", "VERBOSE_TYPE": "QUIET",
    "SN_THRESHOLDS": "3.0,10.0",
    "STABILITY_TYPE": "INSTRUMENT", "MOSAIC_TYPE": "UNCHANGED", "PIXSCALE_MAXERR": "1.05",
    "POSANGLE_MAXERR": "2.0", "POSITION_MAXERR": "0.5", "FLAGS_MASK": "0x0", "ELLIPTICITY_MAX": "0.9",
    "FWHM_THRESHOLDS": "0.0,1000.0",
}  # fmt: skip


def ldac(path, header, columns):
    """Write an LDAC: the field's header as one string, and the objects."""
    text = fits.Header(header).tostring(endcard=True, padding=False)
    size = len(text)  # as bytes and renamed below: astropy fills texts with zeros, and SCAMP wants blanks
    cards = np.frombuffer(text.encode(), np.uint8)[None]
    column = fits.Column("Field Header Card", f"{size}B", dim=f"(80, {size // 80})", array=cards)
    head = fits.BinTableHDU.from_columns([column], name="LDAC_IMHEAD")
    body = fits.BinTableHDU.from_columns(
        [fits.Column(name, kind, array=values, unit=unit) for name, kind, unit, values in columns],
        name="LDAC_OBJECTS",
    )
    fits.HDUList([fits.PrimaryHDU(), head, body]).writeto(path, overwrite=True)
    path.write_bytes(path.read_bytes().replace(f"'{size}B".encode(), f"'{size}A".encode(), 1))


def stars_ldac(path, stars, solution, shape):
    """Write our detections, with the TAN of our solution as the first guess."""
    plain = solution.wcs.deepcopy()
    plain.sip = None
    plain.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    header = fits.Header()
    header["SIMPLE"], header["BITPIX"], header["NAXIS"] = True, -32, 2
    header["NAXIS1"], header["NAXIS2"] = shape[1], shape[0]
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    for k in (1, 2):
        header[f"CUNIT{k}"] = "deg"
        header[f"CRVAL{k}"], header[f"CRPIX{k}"] = (
            float(plain.wcs.crval[k - 1]),
            float(plain.wcs.crpix[k - 1]),
        )
        for j in (1, 2):
            header[f"CD{k}_{j}"] = float(plain.pixel_scale_matrix[k - 1, j - 1])
    header["RADESYS"], header["EQUINOX"], header["EPOCH"] = "ICRS", 2000.0, 2000.0
    header["EXPTIME"], header["GAIN"], header["SATURATE"] = 1.0, 1.0, 1e12
    header["MJD-OBS"] = (solution.epoch - 2000.0) * 365.25 + 51544.5
    header["FILTER"], header["OBJECT"] = "none", "field"
    flux = stars["flux"].astype(float)
    good = np.isfinite(flux) & (flux > 0) & np.isfinite(stars["x"])
    s, flux = stars[good], flux[good]
    error = np.where(np.isfinite(s["x_err"]) & (s["x_err"] > 0), np.hypot(s["x_err"], 0.01), 0.5)
    one = np.ones(flux.size)
    fluxerr = np.maximum(s["flux_err"].astype(float), flux * 1e-4)
    ldac(
        path, header,
        [
            ("NUMBER", "J", None, np.arange(flux.size)),
            ("XWIN_IMAGE", "D", "pixel", s["x"] + 1.0), ("YWIN_IMAGE", "D", "pixel", s["y"] + 1.0),
            ("ERRAWIN_IMAGE", "E", "pixel", error), ("ERRBWIN_IMAGE", "E", "pixel", error),
            ("ERRTHETAWIN_IMAGE", "E", "deg", 0 * one),
            ("FLUX_AUTO", "E", "count", flux), ("FLUXERR_AUTO", "E", "count", fluxerr),
            ("MAG_AUTO", "E", "mag", -2.5 * np.log10(flux)),
            ("MAGERR_AUTO", "E", "mag", 1.09 * fluxerr / flux),
            ("FLUX_RADIUS", "E", "pixel", 1.5 * one), ("ELONGATION", "E", None, one),
            ("FLAGS", "I", None, 0 * one),
        ],
    )  # fmt: skip
    return s


def sky_ldac(path, table, epoch):
    """Write the catalog at the epoch of the image."""
    ra, dec, err = at_date(table, epoch)
    mag = np.nan_to_num(np.asarray(getattr(table["mag"], "value", table["mag"]), float), nan=20.0)
    error = np.maximum(err, 1e-3) / 3600
    one = np.ones(ra.size)
    header = fits.Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0)])
    ldac(
        path, header,
        [
            ("X_WORLD", "D", "deg", ra), ("Y_WORLD", "D", "deg", dec), ("ERRA_WORLD", "E", "deg", error),
            ("ERRB_WORLD", "E", "deg", error), ("ERRTHETA_WORLD", "E", "deg", 0 * one),
            ("MAG", "E", "mag", mag), ("MAGERR", "E", "mag", 0.05 * one), ("OBSDATE", "D", "yr", epoch * one),
        ],
    )  # fmt: skip


def by_scamp(folder, order, radius):
    """Return SCAMP's WCS of ``image.cat`` against ``sky.cat``; None where it made none."""
    settings = SETTINGS | {
        "ASTREFCAT_NAME": "sky.cat", "DISTORT_DEGREES": str(order), "CROSSID_RADIUS": f"{radius:.2f}",
    }  # fmt: skip
    words = [word for key, value in settings.items() for word in (f"-{key}", value)]
    run = subprocess.run(
        ["scamp", "image.cat", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    made = folder / "image.head"
    if not made.is_file():
        print(run.stderr[-500:])
        return None
    lines = [
        line
        for line in made.read_text(errors="replace").splitlines()
        if line[:8].strip() not in ("HISTORY", "COMMENT")
    ]
    return WCS(fits.Header.fromstring("\n".join(lines), sep="\n"))


def residuals(wcs, table):
    """Return east and north residuals of matched stars [arcsec] (n, 2)."""
    ra, dec = wcs.all_pix2world(table["x"].value, table["y"].value, 0)
    east = (np.mod(ra - table["ra"].value + 180, 360) - 180) * np.cos(np.deg2rad(table["dec"].value))
    return np.column_stack([east, dec - table["dec"].value]) * 3600


def figures(left, sigma):
    """Return plain and weighted rms and the median length [arcsec]."""
    length = np.hypot(*left.T)
    weight = 1 / sigma**2
    return (
        np.sqrt(np.mean(length**2)), np.sqrt(np.sum(weight * length**2) / np.sum(weight)), np.median(length)
    )  # fmt: skip


def own_catalog(path):
    """Return a `stars_at` over M13 of An et al. 2008."""
    rows = Table.read(path)
    rows = rows[rows["r"] < 90]
    ra, dec = np.asarray(rows["ra"], float), np.asarray(rows["dec"], float)

    def stars_at(right, up, radius):
        near = np.hypot((ra - right) * np.cos(np.deg2rad(up)), dec - up) < radius
        columns = {
            "id": np.asarray(rows["DAOPHOTID"])[near],
            "ra": ra[near] * u.deg,
            "dec": dec[near] * u.deg,
        }
        return QTable(
            columns | {"mag": np.asarray(rows["r"], float)[near]}, meta={"catalog": "An et al. 2008"}
        )

    return stars_at


def compare(path, work, stars_at=None):
    """Solve an image both ways; return the row of the table."""
    field = read_field(path)
    epoch = field.epoch
    if stars_at is None:
        stars_at = partial(cone, epoch=epoch, brightest=FAINTEST)
        found = solve_one(field, Question(seconds=60.0))
    else:
        found = solve_field(
            field.stars(), field.shape, stars_at=stars_at, hint=Hint(wcs=field.wcs), epoch=epoch
        )
    table = found.matched[np.asarray(found.matched["used"], dtype=bool)]
    folder = work / path.name.replace(".", "_")
    folder.mkdir(parents=True, exist_ok=True)
    stars_ldac(folder / "image.cat", field.stars(), found, field.shape)
    ra, dec = center(found.wcs, field.shape)
    sky_ldac(folder / "sky.cat", stars_at(ra, dec, 1.1 * footprint_radius(found.wcs, field.shape)), epoch)
    theirs = by_scamp(folder, found.order, 3 * found.scale)
    sigma = np.hypot(table["sigma_sky"].value, 0.01 * found.scale)
    ours = residuals(found.wcs, table)
    row = f"{path.name[:34]:34} {found.order:2d} {found.scale:7.2f}"
    if theirs is None:
        return row + "  SCAMP made no solution"
    other = residuals(theirs, table)
    both = np.hypot(*other.T) < 3 * found.scale
    free = both.sum() / n_terms(found.order)
    mine, its = figures(ours[both], sigma[both]), figures(other[both], sigma[both])
    told = " ".join(f"{a:7.3f} {b:7.3f}" for a, b in zip(mine, its, strict=True))
    return f"{row} {both.sum():5d} {table['x'].size:5d} {free:5.1f}  {told}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    if shutil.which("scamp") is None:
        raise SystemExit("scamp is not installed")
    work = asked.work or Path(tempfile.mkdtemp(prefix="scamp"))
    jobs = [(path, None) for path in asked.files or [p for pick in PICKS for p in sorted(DATA.glob(pick))]]
    if not asked.files and (DATA / M13).is_dir():
        own = own_catalog(DATA / M13 / "truth_An2008_M13_ugriz.csv")
        jobs += [(path, own) for path in sorted((DATA / M13 / "light").glob("*sdss_[gr]*09*"))[:3]]
    print("image, order, arcsec / pixel, stars of both, ours, per term; rms, weighted, median: ours, SCAMP")
    for path, own in jobs:
        try:
            print(compare(path, work, own), flush=True)
        except SciastroError as error:
            print(f"{path.name[:34]:34} not solved: {error}")


if __name__ == "__main__":
    main()
