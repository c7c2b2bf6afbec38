"""Compare ways to make colors from a mosaic of stars, with the truth and with colour-demosaicing.

Noise-free Gaussian stars of random color (0.4 mag rms, or so) on a sensor whose red and blue are weaker than
green, each pixel integrated. For each method:
- PSNR over all pixels and colors [dB], with the brightest pixel as peak;
- the flux of stars in a wide aperture (2 FWHM + 3 pixel): bias of the mean and scatter, red and green;
- the same in a small one (1.05 FWHM), relative to the median star: what a star's color does to its flux;
- color artifacts: scatter of R / G over its true value where stars are brighter than a tenth of their peak;
- CPU time per pixel, one thread (colour-demosaicing is NumPy and SciPy in float64).
"superpixel" and "split" have nothing to interpolate, so only their time is told.

Run: ``python benchmarks/demosaic.py [--size 720] [--repeats 3] [--fwhm 2.5 3.2]`` (5 s; needs the package
colour-demosaicing for the peers, and leaves them out without it).
"""

import argparse
import time

import numpy as np
from scipy.special import erf

from sciastro.calibrate.debayer import split_window
from sciastro.core.cfa import XTRANS, color_plane

EDGE = 8
LEVELS = np.array([0.6, 1.0, 0.7])


def stars(size, fwhm, seed=1):
    """Return the true planes (3, y, x) and positions of the stars."""
    rng = np.random.default_rng(seed)
    sigma, axis = fwhm / 2.3548, np.arange(size)
    planes, places = np.zeros((3, size, size)), []
    for gy in range(20, size - 20, 22):
        for gx in range(20, size - 20, 22):
            cy, cx = gy + rng.uniform(-2, 2), gx + rng.uniform(-2, 2)
            flux = 1000 * LEVELS * np.exp(rng.normal(0, 0.4, 3) * (1, 0, 1))
            part = np.s_[gy - 18 : gy + 19], np.s_[gx - 18 : gx + 19]
            along = [
                0.5 * np.diff(erf((np.append(axis[p], axis[p][-1] + 1) - 0.5 - c) / sigma / np.sqrt(2)))
                for p, c in zip(part, (cy, cx), strict=True)
            ]
            planes[:, part[0], part[1]] += flux[:, None, None] * along[0][:, None] * along[1]
            places.append((cx, cy))
    return planes, np.array(places)


def fluxes(planes, places, radius):
    out = []
    for cx, cy in places:
        x0, y0 = round(cx), round(cy)
        y, x = np.mgrid[y0 - 10 : y0 + 11, x0 - 10 : x0 + 11]
        inside = np.hypot(y - cy, x - cx) < radius
        out.append((planes[:, y0 - 10 : y0 + 11, x0 - 10 : x0 + 11] * inside).sum((1, 2)))
    return np.array(out)


def timed(function, repeats):
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return result, float(np.median(times))


def methods(mosaic, cfa):
    """Return name to function; each returns planes (3, y, x) on the grid of the mosaic, or None."""
    quality = np.zeros(mosaic.shape, np.uint16)
    variance = np.ones_like(mosaic)
    given = {
        name: lambda name=name: split_window(mosaic, variance, quality, cfa, method=name)[0]
        for name in ("superpixel", "split", "bilinear", "linear")
    }
    if len(cfa) == 4:
        try:
            import colour_demosaicing as peer
        except ImportError:
            print("colour-demosaicing is not installed: no peers")
            return given
        for name in ("bilinear", "Malvar2004", "Menon2007"):
            function = getattr(peer, f"demosaicing_CFA_Bayer_{name}")
            given[f"peer {name}"] = lambda function=function: np.moveaxis(function(mosaic, cfa), -1, 0)
    return given


def report(name, seconds, planes, truth, places, fwhm):
    nanoseconds = 1e9 * seconds / truth[0].size
    if planes.shape != truth.shape or not np.isfinite(planes[:, EDGE:-EDGE, EDGE:-EDGE]).all():
        print(f"  {name:18s} {nanoseconds:7.1f} ns / pixel")
        return
    inner = np.s_[:, EDGE:-EDGE, EDGE:-EDGE]
    psnr = 10 * np.log10(truth.max() ** 2 / np.mean((planes[inner] - truth[inner]) ** 2))
    wide = fluxes(planes, places, 2 * fwhm + 3) / fluxes(truth, places, 2 * fwhm + 3) - 1
    small = fluxes(planes, places, 1.05 * fwhm) / fluxes(truth, places, 1.05 * fwhm)
    small /= np.median(small, axis=0)
    lit = truth[1] > 0.1 * np.quantile(truth[1], 0.999)
    lit[:EDGE], lit[-EDGE:], lit[:, :EDGE], lit[:, -EDGE:] = False, False, False, False
    tint = (planes[0][lit] / planes[1][lit]) / (truth[0][lit] / truth[1][lit])
    parts = [f"  {name:18s} {nanoseconds:7.1f} ns / pixel  PSNR {psnr:5.1f} dB  flux"]
    parts += [
        f"{'RGB'[c]} {100 * wide[:, c].mean():+6.2f} +- {100 * wide[:, c].std():5.2f} %" for c in (0, 1)
    ]
    parts += ["small"] + [f"{'RGB'[c]} +- {100 * small[:, c].std():5.2f} %" for c in (0, 1)]
    print(*parts, f"R / G at stars +- {100 * tint.std():5.1f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=720)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--fwhm", type=float, nargs="+", default=[2.5, 3.2])
    options = parser.parse_args()
    for fwhm in options.fwhm:
        truth, places = stars(options.size, fwhm)
        for label, cfa in (("Bayer", "RGGB"), ("X-Trans", XTRANS)):
            print(f"{label}, stars of FWHM {fwhm:g} pixel, {len(places)} of them")
            color = color_plane(cfa, truth[0].shape).astype(int)
            mosaic = np.take_along_axis(truth, color[None], 0)[0].astype(np.float32)
            for name, function in methods(mosaic, cfa).items():
                planes, seconds = timed(function, options.repeats)
                report(name, seconds, planes, truth, places, fwhm)


if __name__ == "__main__":
    main()
