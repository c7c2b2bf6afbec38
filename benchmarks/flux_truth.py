"""Star fluxes of images against the truth of a made night: is any bright or faint star biased?

    python benchmarks/flux_truth.py NIGHT IMAGE [IMAGE ...] [--radii 4,6,8,10]

NIGHT holds ``truth.npz`` as the maker of the bench night leaves it: ``ra``, ``dec`` [deg] and ``mag`` of the
stars, and ``frames``, per light the shift [pixel] and turn [rad], FWHM [pixel], sky [electron / s] and
transparency. IMAGE is any FITS image of that night: a calibrated or registered frame, a stack, of any
program; ``NAME=IMAGE`` names it in the table, and one whose name ends in the number of a light
(``l007.fits``) is divided by that light's transparency.

Measured are plain sums of pixels in circles (a pixel at the rim counts by its share), less the mean of a
ring of sky after clipping: no profile enters. Stars count that are saturated in no frame and whose neighbors
within the ring have less than 0.01 % of their light. Per radius:

level    measured over true flux, weighted mean [unit of the image]
slope    change per factor of ten in flux [%] and its error (weighted fit, 4 sigma clipped; bootstrap)
bins     weighted mean of the stars of some magnitudes over `level` [%], with errors, and their number

A slope within its error of 0 and bins within theirs say: unbiased.
"""

import argparse
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.spatial import cKDTree

from sciastro.astrometry.register import register
from sciastro.core import transform
from sciastro.core.stars import STAR_DTYPE
from sciastro.measure.stars import measure_plane

RA, DEC, SCALE, ZERO, EXPOSURE, BIAS = 84.05, -1.2, 1.91, 20.3, 60.0, 500.0  # of the maker; arcsec / pixel
SHAPE = 2822, 4144
FULL = 65_535.0
RING = 18, 28  # pixels, of the sky
RIM = 60  # pixels that dithers may leave
FOREIGN = 1e-4  # share of a star's light that neighbors may have
FLAT = 2e-4  # relative error of a star by the flat, which is noisy itself
EDGES = (10.5, 12.0, 14.0, 16.1)  # mag, of the bins

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """Fluxes in circles of one radius, true rates, variance of sky pixels; frames that made the image."""

    flux: Floats
    rate: Floats
    variance: Floats
    frames: int


class Truth:
    """The stars of a made night: position on a grid without shift [pixel], rate [electron / s], magnitude."""

    def __init__(self, night: Path) -> None:
        stored = np.load(night / "truth.npz")
        self.frames, self.mag = stored["frames"], stored["mag"]
        a, d, d0 = np.deg2rad(stored["ra"] - RA), np.deg2rad(stored["dec"]), np.deg2rad(DEC)
        depth = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a)
        unit = np.rad2deg(1 / depth) * 3600 / SCALE
        self.x = SHAPE[1] / 2 - np.cos(d) * np.sin(a) * unit
        self.y = SHAPE[0] / 2 + (np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a)) * unit
        self.rate = 10 ** (-0.4 * (self.mag - ZERO))

    def clean(self) -> npt.NDArray[np.bool_]:
        """Return which stars are never saturated, alone, and inside all frames."""
        sharpest, sky = self.frames[:, 3].min(), self.frames[:, 4].max() * 1.1 * EXPOSURE
        peak = self.rate * EXPOSURE * 4 * np.log(2) / np.pi / sharpest**2
        tree = cKDTree(np.column_stack([self.x, self.y]))
        near = tree.query_ball_point(np.column_stack([self.x, self.y]), RING[1] + 6.0)
        foreign = np.array([self.rate[one].sum() for one in near]) - self.rate
        inside = (np.abs(self.x - SHAPE[1] / 2) < SHAPE[1] / 2 - RIM) & (
            np.abs(self.y - SHAPE[0] / 2) < SHAPE[0] / 2 - RIM
        )
        return (peak + sky < 0.9 * FULL - BIAS) & (foreign < FOREIGN * self.rate) & inside

    def stars(self) -> npt.NDArray[np.void]:
        """Return the star list, brightest first, for registration."""
        order = np.argsort(self.mag)
        order = order[(np.abs(self.x[order] - SHAPE[1] / 2) < SHAPE[1] / 2)]
        order = order[(np.abs(self.y[order] - SHAPE[0] / 2) < SHAPE[0] / 2)]
        out = np.zeros(order.size, STAR_DTYPE)
        out["x"], out["y"], out["flux"] = self.x[order], self.y[order], self.rate[order]
        out["x_err"] = out["y_err"] = 0.02
        out["snr"], out["fwhm"] = 100.0, 3.0
        return out


def read(path: Path) -> npt.NDArray[np.float32]:
    """Return the first image of a FITS file."""
    with fits.open(path) as hdus:
        plane = next(hdu.data for hdu in hdus if hdu.data is not None and hdu.data.ndim == 2)
        return np.ascontiguousarray(plane, dtype=np.float32)


def places(image: npt.NDArray[np.float32], truth: Truth) -> tuple[Floats, Floats]:
    """Return where the true stars lie on `image`, by the stars that are found there."""
    scale = np.float32(1e4 / np.nanmax(image))
    found = measure_plane(image * scale, np.where(np.isfinite(image), 0, 1).astype(np.uint16)).stars
    fit = register(truth.stars(), found, SHAPE)
    return transform.evaluate(fit.from_reference, truth.x, truth.y)


def apertures(
    image: npt.NDArray[np.float32], x: Floats, y: Floats, radii: list[float]
) -> tuple[Floats, Floats]:
    """Return the flux of stars in circles (radius, star), and the variance of a pixel of the sky (star)."""
    reach = RING[1] + 1
    flux, variance = np.full((len(radii), x.size), np.nan), np.full(x.size, np.nan)
    for k, (a, b) in enumerate(zip(x, y, strict=True)):
        column, row = round(float(a)), round(float(b))
        if min(column, row) < reach or column + reach >= image.shape[1] or row + reach >= image.shape[0]:
            continue
        part = image[row - reach : row + reach + 1, column - reach : column + reach + 1].astype(np.float64)
        if not np.isfinite(part).all():
            continue
        v, u = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        distance = np.hypot(u + column - a, v + row - b)
        sky = part[(distance > RING[0]) & (distance < RING[1])]
        for _ in range(3):
            sky = sky[np.abs(sky - np.median(sky)) < 4 * np.std(sky)]
        variance[k] = np.var(sky)
        for i, radius in enumerate(radii):
            share = covered(u + column - a, v + row - b, radius)
            flux[i, k] = np.sum(share * (part - np.mean(sky)))
    return flux, variance


def covered(dx: Floats, dy: Floats, radius: float, parts: int = 7) -> Floats:
    """Return the share of each pixel within `radius`."""
    off = (np.arange(parts) + 0.5) / parts - 0.5
    inner = np.hypot(dx, dy)
    share = (inner < radius).astype(np.float64)
    rim = np.abs(inner - radius) < 1
    u, v = dx[rim][:, None, None] + off[:, None], dy[rim][:, None, None] + off
    share[rim] = (u * u + v * v < radius * radius).mean(axis=(1, 2))
    return share


def errors(rate: Floats, variance: Floats, unit: float, radius: float, frames: int) -> Floats:
    """Return the relative error of fluxes: light, sky within the circle and in the ring, flat."""
    seconds = EXPOSURE * frames * 0.9  # transparency and flat take about a tenth
    area, ring = np.pi * radius**2, np.pi * (RING[1] ** 2 - RING[0] ** 2)
    noise = rate / seconds + variance / unit**2 * area * (1 + area / ring)
    return np.hypot(np.sqrt(noise) / rate, FLAT)


def fitted(size: Floats, ratio: Floats, sigma: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the line of `ratio` over `size` (slope, value at 0), and the values that were used."""
    keep = np.ones(size.size, bool)
    for _ in range(4):
        line = np.polyfit(size[keep], ratio[keep], 1, w=1 / sigma[keep])
        keep = np.abs(ratio - np.polyval(line, size)) < 4 * sigma
    return line, keep


def resampled(size: Floats, ratio: Floats, sigma: Floats) -> float:
    """Return the error of the slope by 300 draws with replacement."""
    rng, slopes = np.random.default_rng(1), []
    for _ in range(300):
        pick = rng.integers(0, size.size, size.size)
        slopes.append(np.polyfit(size[pick], ratio[pick], 1, w=1 / sigma[pick])[0])
    return float(np.std(slopes))


def row(name: str, radius: float, found: Found) -> str:
    """Return one line of the table."""
    use = np.isfinite(found.flux)
    rate, flux = found.rate[use], found.flux[use]
    unit = float(np.median((flux / rate)[rate > np.quantile(rate, 0.7)]))
    sigma = errors(rate, found.variance[use], unit, radius, found.frames)
    ratio, size = flux / rate / unit, np.log10(rate)
    line, keep = fitted(size, ratio, sigma)
    dropped = int(np.sum(~keep))
    ratio, size, sigma = ratio[keep], size[keep], sigma[keep]
    level = np.average(ratio, weights=sigma**-2)
    mag, cells = ZERO - 2.5 * size, []
    for low, high in itertools.pairwise(EDGES):
        here = (mag >= low) & (mag < high)
        mean = np.average(ratio[here], weights=sigma[here] ** -2) / level - 1
        error = 1 / np.sqrt(np.sum(sigma[here] ** -2))
        cells.append(f"{100 * mean:+.3f} +- {100 * error:.3f} ({here.sum()})")
    slope = f"{100 * line[0]:+.3f} +- {100 * resampled(size, ratio, sigma):.3f}"
    pull = np.std((ratio - np.polyval(line, size)) / sigma)
    texts = (name, f"{radius:g}", f"{unit * level:.6g}", slope, *cells, f"{pull:.2f}", str(dropped))
    return f"| {' | '.join(texts)} |"


def main() -> None:
    """Measure every image and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("night", type=Path)
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--radii", default="4,6,8,10")
    asked = parser.parse_args()
    truth, radii = Truth(asked.night), [float(part) for part in asked.radii.split(",")]
    clean = truth.clean()
    heads = [f"{low:g} to {high:g} mag" for low, high in itertools.pairwise(EDGES)]
    titles = ["image", "radius", "level", "slope [% / dex]", *heads, "scatter / error", "left out"]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for text in asked.images:
        name, _, path = text.rpartition("=")
        image = read(Path(path))
        name = name or Path(path).stem
        number = re.search(r"l(\d{3})$", name)
        if number:
            image /= np.float32(truth.frames[int(number[1]), 5])
        x, y = places(image, truth)
        flux, variance = apertures(image, x[clean], y[clean], radii)
        frames = 1 if number else len(truth.frames)
        for radius, measured in zip(radii, flux, strict=True):
            print(row(name, radius, Found(measured, truth.rate[clean], variance, frames)), flush=True)


if __name__ == "__main__":
    main()
