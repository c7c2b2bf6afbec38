"""Rebuild ``spectra/locus.csv`` and ``spectra/spiral.csv``: the mean spectrum of stars of a given BP-RP.

Usage: ``python build_locus.py XP.npz CALSPEC`` where XP.npz holds ``wl`` [nm], ``flux`` [W / m2 / nm]
(star, wavelength) of Gaia DR3 XP spectra, as GaiaXPy's ``calibrate`` samples them, and CALSPEC is a folder of
CALSPEC files. Needs numpy, astropy and sciastro (its passbands).

Per node of wavelength, ln of photons per wavelength relative to 550 nm is a cubic in BP-RP; fitted with
weights that count errors of 2 % (XP below 400 nm: 8 %), clipped at 4 sigma.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from astropy.io import fits
from build_passbands import HERE, SPECTRUM, write

from sciastro.photometry.bandpass import load, magnitude
from sciastro.photometry.spectra import Spectrum

NODES = np.arange(330.0, 1051.0, 10.0)
WIDTH = 10.0
COLORS = (-0.6, 1.6)


def spectra(xp: Path, calspec: Path) -> list[tuple[Spectrum, bool]]:
    """Return every spectrum and whether it is of Gaia."""
    data = np.load(xp)
    found, seen = [], set()
    for k, flux in enumerate(data["flux"]):
        name = str(data["id"][k])
        if name not in seen:
            seen.add(name)
            found.append((Spectrum(name=name, wavelength=data["wl"], flux=flux * 100), True))  # cgs
    for path in sorted(calspec.glob("*.fits")):
        with fits.open(path) as hdus:
            wavelength, flux = hdus[1].data["WAVELENGTH"] / 10.0, hdus[1].data["FLUX"].astype(float)
        inside = np.unique(wavelength, return_index=True)[1]
        wavelength, flux = wavelength[inside], flux[inside]
        keep = (wavelength > 250) & (wavelength < 1150) & np.isfinite(flux)
        if wavelength[keep].max() > 1045:
            found.append((Spectrum(name=path.stem, wavelength=wavelength[keep], flux=flux[keep]), False))
    return found


def node_values(one: Spectrum, gaia: bool) -> np.ndarray:
    """Return ln photons per wavelength, mean over each node's width; NaN where it has none."""
    out = np.full(len(NODES), np.nan)
    for k, node in enumerate(NODES):
        fine = np.linspace(node - WIDTH / 2, node + WIDTH / 2, 81)
        if fine[0] >= one.wavelength[0] and fine[-1] <= one.wavelength[-1]:
            mean = np.mean(one.at(fine) * fine)
            out[k] = np.log(mean) if mean > 0 else np.nan
    return out - out[np.argmin(np.abs(NODES - 550))]


def spiral() -> None:
    """Write the average spiral: four stars of the locus whose mix has the colors of an Sb to Sbc galaxy.

    B-V = 0.64, V-R = 0.49, V-I = 1.02 [mag, Johnson-Cousins]; weights not negative, least squares.
    """
    from scipy.optimize import nnls

    from sciastro.photometry.locus import locus_spectrum

    bands = [load(f"bessell_{name}") for name in "BVRI"]
    stars = [locus_spectrum(color) for color in (-0.3, 0.1, 0.8, 1.4)]
    goal = {0: 0.64, 2: -0.49, 3: -1.02}  # band - V
    light = np.array([[10 ** (-0.4 * magnitude(star, band)) for star in stars] for band in bands])
    light /= light[1]  # each star has V = 0
    rows = [(light[k] - 10 ** (-0.4 * color)) * 10 for k, color in goal.items()]
    weights, _ = nnls(np.array([*rows, np.ones(4)]), np.array([0, 0, 0, 1.0]))
    grid = SPECTRUM[(SPECTRUM >= 330) & (SPECTRUM <= 1050)]
    scale = [10 ** (0.4 * magnitude(star, bands[1])) for star in stars]
    flux = sum(w * k * star.at(grid) for w, k, star in zip(weights, scale, stars, strict=True))
    print("weights", weights / weights.sum())
    head = [
        "average spiral: a mix of stars of locus.csv with the colors of an Sb to Sbc galaxy (B-V 0.65, "
        "V-R 0.49, V-I 1.02)",
        "flux per wavelength, relative",
    ]
    data = np.column_stack([grid, flux / flux.max()])
    write(HERE / "spectra" / "spiral.csv", head, "wavelength_nm,flux", data, ["%.0f", "%.5g"])


def main() -> None:
    bp, rp = load("gaia_BP"), load("gaia_RP")
    values, colors, errors = [], [], []
    for one, gaia in spectra(Path(sys.argv[1]), Path(sys.argv[2])):
        # XP ends at 336 and 1020 nm: the few photons of BP and RP beyond are those of the nearest sample.
        whole = (
            Spectrum(
                name=one.name,
                wavelength=np.concatenate([[300], one.wavelength, [1150]]),
                flux=np.concatenate([one.flux[:1], one.flux, one.flux[-1:]]),
            )
            if gaia
            else one
        )
        color = magnitude(whole, bp) - magnitude(whole, rp)
        print(f"{one.name:32s} BP-RP {color:+.3f}")
        values.append(node_values(one, gaia))
        colors.append(color)
        errors.append(np.where((NODES < 400) & gaia, 0.08, 0.02))
    y, c, e = np.array(values), np.array(colors), np.array(errors)
    table = np.zeros((len(NODES), 6))
    for k in range(len(NODES)):
        used = np.isfinite(y[:, k])
        for _ in range(6):
            design = np.stack([c**n for n in range(4)], axis=1)
            scaled = design[used] / e[used, k, None]
            fit = np.linalg.lstsq(scaled, y[used, k] / e[used, k], rcond=None)[0]
            left = y[:, k] - design @ fit
            scatter = max(1.4826 * np.median(np.abs(left[used])), 1e-3)
            used = np.isfinite(y[:, k]) & (np.abs(left) < 4 * np.hypot(scatter, 0.2 * e[:, k]))
        table[k] = [NODES[k], *fit, scatter]
    head = [
        "ln of photons per wavelength relative to 550 nm = c0 + c1 x + c2 x2 + c3 x3, x = BP-RP [mag] "
        "(Gaia DR3, VEGAMAG)",
        f"fitted to {len(y)} spectra of BP-RP {c.min():.2f} to {c.max():.2f}: Gaia DR3 XP (ESA/Gaia/DPAC), "
        "CALSPEC (STScI)",
        "scatter: of single stars about the cubic (1.48 x median)",
    ]
    form = ["%.0f", "%.5f", "%.5f", "%.5f", "%.5f", "%.4f"]
    write(HERE / "spectra" / "locus.csv", head, "wavelength_nm,c0,c1,c2,c3,scatter", table, form)
    spiral()


if __name__ == "__main__":
    main()
