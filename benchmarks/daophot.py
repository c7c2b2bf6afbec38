"""DAOPHOT II itself, in its port to IRAF, for benchmarks/psf.py: apertures, PSF, ALLSTAR, three times over.

Needs ``irafcl`` (Debian: iraf, iraf-noao). As its manual says, the PSF is made again from an image from which
all but its own stars were subtracted.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

__all__ = ["daophot", "lonely", "there"]

ZERO, ROUNDS, MOST = 25.0, 3, 15  # magnitudes; times; PSF stars
LOGIN = """set home = "{folder}/"
set imdir = "HDR$"
set imtype = "fits"
set uparm = "home$uparm/"
stty xterm
clpackage
keep
"""
SET_UP = """noao
digiphot
daophot
fitskypars.salgorithm = "mode"
fitskypars.annulus = {sky_in}
fitskypars.dannulus = {sky_wide}
centerpars.calgorithm = "none"
photpars.apertures = "{fit}"
photpars.zmag = {zero}
datapars.fwhmpsf = {fwhm}
datapars.sigma = {sigma}
datapars.datamin = INDEF
datapars.datamax = INDEF
datapars.readnoise = {read_noise}
datapars.epadu = 1
datapars.itime = 1
daopars.function = "auto"
daopars.varorder = 0
daopars.nclean = 5
daopars.matchrad = 3
daopars.psfrad = {psf}
daopars.fitrad = {fit}
daopars.recenter = yes
daopars.fitsky = no
daopars.groupsky = yes
daopars.sannulus = {sky_in}
daopars.wsannulus = {sky_wide}
daopars.maxgroup = 60
daopars.maxiter = 50
phot ("im", coords="start.coo", output="im.mag.1", interactive=no, verify=no, update=no, verbose=no)
pselect ("im.mag.1", "psf.pst", "{chosen}")
"""
ROUND = """psf ("{image}", "im.mag.1", "psf.pst", "im.psf.{k}", "im.pst.{k}", "im.psg.{k}", interactive=no, \
verify=no, update=no, verbose=no, showplots=no)
allstar ("im", "{known}", "im.psf.{k}", "im.als.{k}", "im.arj.{k}", "im.sub.{k}", verify=no, update=no, \
verbose=no)
substar ("im", "im.als.{k}", "im.pst.1", "im.psf.{k}", "other{k}", verify=no, update=no, verbose=no)
"""
DUMP = """txdump ("im.als.{k}", "ID,MAG,MERR", "yes", headers=no, parameters=no, > "als.txt")
logout
"""


def there() -> bool:
    """Return whether IRAF is installed."""
    return shutil.which("irafcl") is not None


def lonely(x: Any, y: Any, flux: Any, fwhm: float, size: int) -> list[int]:
    """Return bright stars with no neighbor of a tenth of their light within two widths."""
    from scipy.spatial import cKDTree

    tree, margin = cKDTree(np.column_stack([x, y])), 4.5 * fwhm
    chosen = []
    for k in np.argsort(-flux)[:200]:
        near = [j for j in tree.query_ball_point((x[k], y[k]), 2 * fwhm) if j != k]
        inside = margin < min(x[k], y[k]) and max(x[k], y[k]) < size - 1 - margin
        if inside and all(flux[j] < 0.1 * flux[k] for j in near):
            chosen.append(int(k))
    return chosen[:MOST]


def daophot(
    folder: Path, image: Any, x: Any, y: Any, chosen: list[int], *, fwhm: float, sigma: float,
    read_noise: float,
) -> tuple[Any, Any, float]:  # fmt: skip
    """Return fluxes and errors in our order (NaN: merged or given up), and CPU seconds.

    The scale of fluxes is that of the aperture of PSF stars: compare after a common factor.
    """
    (folder / "uparm").mkdir(parents=True, exist_ok=True)
    (folder / "login.cl").write_text(LOGIN.format(folder=folder))
    fits.PrimaryHDU(np.asarray(image, np.float32)).writeto(folder / "im.fits", overwrite=True)
    np.savetxt(folder / "start.coo", np.column_stack([x + 1, y + 1]), fmt="%.3f")
    script = SET_UP.format(
        sky_in=4.4 * fwhm, sky_wide=3.6 * fwhm, fit=1.5 * fwhm, psf=4 * fwhm, fwhm=fwhm, sigma=sigma,
        zero=ZERO, read_noise=read_noise, chosen="||".join(f"ID=={k + 1}" for k in chosen),
    )  # fmt: skip
    for k in range(1, ROUNDS + 1):
        script += ROUND.format(
            k=k, image="im" if k == 1 else f"other{k - 1}", known="im.mag.1" if k == 1 else f"im.als.{k - 1}"
        )
    before = os.times()
    subprocess.run(
        ["irafcl"], input=script + DUMP.format(k=ROUNDS), cwd=folder, capture_output=True, text=True,
        timeout=600, check=True,
    )  # fmt: skip
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    flux, err = np.full(len(x), np.nan), np.full(len(x), np.nan)
    for line in (folder / "als.txt").read_text().splitlines():
        number, mag, mag_err = line.split()
        if "INDEF" not in (mag, mag_err):
            k = int(number) - 1
            flux[k] = 10 ** (0.4 * (ZERO - float(mag)))
            err[k] = flux[k] * float(mag_err) / 1.0857
    return flux, err, spent
