"""PSF photometry beside photutils' on the same simulated crowds: errors of fluxes, time per 1,000 stars.

Run ``python benchmarks/psf.py`` (photutils is a dependency). Both get the same image, errors, start positions
and the same PSF (ours, learned from the image, handed over as a `GriddedPSFModel` file), so that the fits are
compared and not how the PSF was made; the last lines say what learning it and searching for more costs,
and what DAOPHOT does with a PSF of its own, where IRAF is installed. CPU seconds, median of three.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from daophot import daophot, lonely, there

from sciastro.core.stars import STAR_DTYPE
from sciastro.measure.background import BackgroundOptions, background
from sciastro.photometry.psfmodel import PsfModel
from sciastro.photometry.psfphotometry import PsfOptions, psf_photometry
from sciastro.recipe.photometrypsf import write_model
from sciastro.simulate.psf import Psf, draw_stars
from sciastro.simulate.psf import PsfOptions as Shape

FWHM, SKY, READ_NOISE = 3.2, 80.0, 4.0


def crowd(seed: int, size: int, number: int) -> tuple[Any, ...]:
    """Return image, variance, x, y, flux of stars at random places, none nearer than 0.6 widths."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    x, y = rng.uniform(4, size - 5, (2, number))
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(0.6 * FWHM, output_type="ndarray")
    keep = np.ones(number, bool)
    keep[pairs[:, 1]] = False
    x, y = x[keep], y[keep]
    flux = 10 ** rng.uniform(2.9, 5.2, x.size)
    light = np.zeros((size, size), np.float32)
    draw_stars(light, x, y, flux, Psf(fwhm=FWHM, options=Shape(beta=4.5, elongation=0.05)))
    counts = rng.poisson(light + SKY) + rng.normal(0, READ_NOISE, light.shape)
    variance = np.maximum(counts, 0) + READ_NOISE**2
    return counts.astype(np.float32), variance.astype(np.float32), x, y, flux, rng


def sky_map(image: Any, quality: Any) -> Any:
    """Return the smooth sky."""
    return background(image, quality, BackgroundOptions(box=64)).level_map()


def ours(image: Any, variance: Any, x: Any, y: Any, model: PsfModel | None, options: PsfOptions) -> Any:
    """Return the result of our fit from the given positions."""
    stars = np.zeros(x.size, STAR_DTYPE)
    stars["x"], stars["y"] = x, y
    return psf_photometry(
        image, variance, np.zeros(image.shape, np.uint16), stars, fwhm=FWHM, sky_map=sky_map, model=model,
        options=options, tell=lambda text: None,
    )  # fmt: skip


def theirs(image: Any, variance: Any, x: Any, y: Any, model: Any, *, iterative: bool) -> Any:
    """Return fluxes and errors of photutils, in our order; `image` without its sky.

    Stars nearer than 2 widths are one group, as neighbors beyond the group are not subtracted.
    """
    from astropy.table import Table
    from photutils.detection import DAOStarFinder
    from photutils.psf import IterativePSFPhotometry, PSFPhotometry, SourceGrouper

    side = 2 * int(1.5 * FWHM) + 1
    common = {
        "fit_shape": (side, side), "grouper": SourceGrouper(2 * FWHM), "aperture_radius": FWHM,
        "xy_bounds": 1.5,
    }  # fmt: skip
    start = Table({"x_0": x, "y_0": y})
    fit: Any
    if iterative:
        finder = DAOStarFinder(threshold=6 * float(np.sqrt(np.median(variance))), fwhm=FWHM)
        fit = IterativePSFPhotometry(
            model, finder=finder, mode="new", maxiters=2, sub_shape=(25, 25), **common
        )
    else:
        fit = PSFPhotometry(model, **common)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = fit(image, error=np.sqrt(variance), init_params=start)
    table.sort("id")
    return np.asarray(table["flux_fit"])[: x.size], np.asarray(table["flux_err"])[: x.size]


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the median CPU seconds of `repeats` and the last result."""
    spent, result = [], None
    for _ in range(repeats):
        begin = time.process_time()
        result = work()
        spent.append(time.process_time() - begin)
    return float(np.median(spent)), result


def row(name: str, flux: Any, err: Any, truth: Any, seconds: float, number: int) -> str:
    """Return a line of the table."""
    good = np.isfinite(flux) & np.isfinite(err) & (err > 0)
    pull, ratio = (flux - truth)[good] / err[good], flux[good] / truth[good] - 1
    snr = truth[good] / err[good]
    bright, faint = snr > 50, (snr > 5) & (snr <= 50)

    def robust(v: Any) -> float:
        return 1.4826 * float(np.median(np.abs(v - np.median(v)))) if v.size else np.nan

    bad = np.mean(np.abs(flux[good] / truth[good] - 1) > 0.2) + np.mean(~good)
    return (
        f"{name:34s} {np.median(ratio[bright]) * 100:8.3f} {robust(ratio[bright]) * 100:8.3f} "
        f"{robust(ratio[faint]) * 100:8.2f} {robust(pull):7.3f} {np.std(np.clip(pull, -10, 10)):7.2f} "
        f"{bad * 100:7.2f} {1000 * seconds / number:9.2f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=250)
    parser.add_argument("--stars", type=int, nargs="+", default=[120, 480])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    from photutils.psf import GriddedPSFModel, ImagePSF

    print(f"{'bias and scatter above / below S/N 50':34s} {'bias %':>8s} {'scat %':>8s} {'faint %':>8s} "
          f"{'pull':>7s} {'clip sd':>7s} {'>20 %':>7s} {'s/1000':>9s}")  # fmt: skip
    for number in asked.stars:
        image, variance, x, y, flux, rng = crowd(asked.seed, asked.size, number)
        sx, sy = x + rng.normal(0, 0.15, x.size), y + rng.normal(0, 0.15, x.size)
        whole, first = timed(partial(ours, image, variance, sx, sy, None, PsfOptions()), 1)
        whole, first = timed(partial(ours, image, variance, sx, sy, None, PsfOptions()), 1)  # compiled now
        model, only = first.model, PsfOptions(searches=0, unseen=False)  # the list is whole
        with tempfile.TemporaryDirectory() as folder:
            path = write_model(Path(folder) / "psf.fits", model, image.shape)
            gridded = GriddedPSFModel.read(str(path), format="stdpsf")
        density = x.size * np.pi * (FWHM / 2) ** 2 / asked.size**2
        print(f"{x.size} stars on {asked.size} x {asked.size} pixels, {density:.3f} per area of the FWHM")
        spent, fit = timed(partial(ours, image, variance, sx, sy, model, only), asked.repeats)
        table = fit.table[: x.size]
        print(row("sciastro, known PSF", table["flux"].value, table["flux_err"].value, flux, spent, x.size))
        flat = image - first.sky
        middle = model.values(*model.field[:2], *2 * [np.arange(-52, 53) / 4])
        for name, psf, iterative in (
            ("photutils PSFPhotometry, ImagePSF", ImagePSF(middle, oversampling=4), False),
            ("photutils PSFPhotometry, Gridded", gridded, False),
            ("photutils IterativePSFPhotometry", gridded, True),
        ):
            spent, (f, e) = timed(
                partial(theirs, flat, variance, sx, sy, psf, iterative=iterative), asked.repeats
            )
            print(row(name, f, e, flux, spent, x.size), flush=True)
        table = first.table[: x.size]
        print(
            row(
                "sciastro, PSF learned, two searches",
                table["flux"].value,
                table["flux_err"].value,
                flux,
                whole,
                x.size,
            )
        )
        if there():
            with tempfile.TemporaryDirectory() as folder:
                chosen = lonely(x, y, flux, FWHM, asked.size)
                f, e, spent = daophot(
                    Path(folder), image, sx, sy, chosen, fwhm=FWHM, read_noise=READ_NOISE,
                    sigma=float(np.sqrt(np.median(variance))),
                )  # fmt: skip
            scale = np.nanmedian((f / flux)[flux > 2e4])  # of its aperture
            print(row("DAOPHOT II (IRAF), PSF of its own", f / scale, e / scale, flux, spent, x.size))


if __name__ == "__main__":
    main()
