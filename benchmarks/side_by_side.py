"""Reduce one night with sciastro and with Siril, in turn, and compare what it costs and what comes out.

Run with ``python benchmarks/side_by_side.py NIGHT``, where NIGHT holds the folders ``biases``, ``darks``,
``flats`` and ``lights`` of one filter. Needs ``siril-cli`` on the path; without it only sciastro runs.
Runs alternate, so that a slow spell of the machine hits both; the table gives medians and their ratio.
Processor time and peak memory are those that the operating system accounts to the finished process.
With ``--osc`` the night is one of a color sensor: Siril debayers (``preprocess ... -cfa -equalize_cfa
-debayer``), and the greens are compared where both images have one size.

The images are compared through the stars that both show: noise of the background in units of the flux
of the same stars (per pixel, and in blocks of 6 x 6 and 24 x 24, which smoothing flatters less), their width,
the scatter of their fluxes, and pixels above 8 sigma that belong to no star of the other image. Noise is also
compared at equal resolution: the sharper image is smoothed until its stars are as wide as the other's.

``--product FITS`` and ``--peer FITS`` take results that are there already instead of running anything
(``--work`` keeps those of a run: ``sciastro/products`` and ``siril.fit``); then only images are compared.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy import ndimage
from scipy.spatial import cKDTree

from sciastro.astrometry.register import register
from sciastro.core import transform
from sciastro.measure.stars import PlaneMeasure, measure_plane

SCRIPT = """requires 1.0.0
cd biases
convert bias -out=../process
cd ../process
stack bias rej 3 3 -nonorm
cd ../flats
convert flat -out=../process
cd ../process
preprocess flat -bias=bias_stacked
stack pp_flat rej 3 3 -norm=mul
cd ../darks
convert dark -out=../process
cd ../process
stack dark rej 3 3 -nonorm
cd ../lights
convert light -out=../process
cd ../process
preprocess light -dark=dark_stacked -flat=pp_flat_stacked -cc=dark
register pp_light
stack r_pp_light rej 3 3 -norm=addscale -output_norm -out=../siril_result
close
"""
OSC = SCRIPT.replace("-cc=dark\n", "-cc=dark -cfa -equalize_cfa -debayer\n")
EDGE = 100  # pixels at the rim, where dithers leave fewer frames
BLOCKS = 1, 6, 24  # pixels, edges of the boxes in which noise is measured
APART = 12  # pixels between boxes that are compared
BLOCK = 6  # the one that decides
ARTIFACTS = (
    4.5,
    5.0,
    8.0,
)  # sigma: of 12 megapixels, noise alone has 80 beyond the first, 7 beyond the second
FULL = 0.5  # of the brightest peak, beyond which stars may be saturated
RADIUS = 8.0  # pixels of the aperture in which fluxes are compared
NEAR = 12.0  # pixels around a star that are its own
FAINTEST = 100.0  # S/N of stars that are compared

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Cost:
    """What one run took: wall, processor and the user's part of processor time [s], peak memory [byte]."""

    wall: float
    processor: float
    user: float
    memory: float


def run(command: list[str], log: Path) -> Cost:
    """Run `command` and return its cost; what it says goes to `log`."""
    begin = time.perf_counter()
    with log.open("w") as out:
        child = os.posix_spawnp(
            command[0],
            command,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, out.fileno(), 2)],
        )
        _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - begin
    if os.waitstatus_to_exitcode(status) not in (0, 4):
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_utime, usage.ru_maxrss * unit)


def run_siril(night: Path, work: Path, osc: bool) -> tuple[Cost, Plane]:
    """Reduce with Siril, which writes into the night's folder; nothing of that stays."""
    process, result = night / "process", night / "siril_result.fit"
    script = work / "night.ssf"
    script.write_text(OSC if osc else SCRIPT)
    shutil.rmtree(process, ignore_errors=True)
    process.mkdir()
    try:
        cost = run(["siril-cli", "-d", str(night), "-s", str(script)], work / "siril.log")
        image = fits.getdata(result).astype(np.float32)
        shutil.copy(result, work / "siril.fit")
    finally:
        shutil.rmtree(process, ignore_errors=True)
        result.unlink(missing_ok=True)
    return cost, image[1] if osc else image


def run_sciastro(night: Path, work: Path, extra: list[str], osc: bool) -> tuple[Cost, Plane]:
    """Reduce with sciastro into a fresh folder."""
    out = work / "sciastro"
    shutil.rmtree(out, ignore_errors=True)
    program = str(Path(sys.executable).with_name("sciastro"))
    command = [program, "reduce", str(night), "-o", str(out), "--until", "integrate", "--quiet", *extra]
    cost = run(command, work / "sciastro.log")
    (product,) = sorted((out / "products").glob("*G.fits" if osc else "*.fits"))
    return cost, fits.getdata(product, extname="SCI").astype(np.float32)


@dataclass(frozen=True)
class Look:
    """One image with its stars.

    `image` is in units of its own, `flat` the same without the sky; `lit` is where stars shine, `missing` 1
    where no value is.
    """

    image: Plane
    flat: Plane
    found: PlaneMeasure
    lit: npt.NDArray[np.bool_]
    missing: npt.NDArray[np.uint16]


def look(image: Plane) -> Look:
    """Measure stars and take the sky off."""
    quality = np.where(np.isfinite(image), 0, 1).astype(np.uint16)
    scale = np.float32(1e4 / np.nanmax(image))  # any unit will do, but not 1e-5
    image = image * scale
    found = measure_plane(image, quality)
    flat = image - found.background.level_map()
    lit = ndimage.binary_dilation(~(np.abs(flat) < 4 * found.noise), iterations=6)
    return Look(image, flat, found, lit, quality)


def robust(values: npt.NDArray[np.floating]) -> float:
    """Return the standard deviation from the MAD."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def blank_noise(one: Look, size: int) -> float:
    """Return the noise of blank sky in boxes of `size`, per pixel if they were independent.

    From differences of boxes `APART` pixels or more apart, which are free of smooth sky and of the noise
    that a fitted background has itself.
    """
    inner, lit = (plane[EDGE:-EDGE, EDGE:-EDGE] for plane in (one.image, one.lit))
    rows, columns = inner.shape[0] // size, inner.shape[1] // size
    cut = np.s_[: rows * size, : columns * size]
    boxes = inner[cut].reshape(rows, size, columns, size).mean(axis=(1, 3))
    dark = ~lit[cut].reshape(rows, size, columns, size).any(axis=(1, 3))
    step = -(-APART // size)
    both = dark[:, step:] & dark[:, :-step]
    return robust((boxes[:, step:] - boxes[:, :-step])[both]) * size / np.sqrt(2)


def equally_sharp(one: Look, two: Look) -> tuple[Look, Look]:
    """Return both, the sharper one smoothed by the Gaussian that makes its stars as wide as the other's."""
    if one.found.fwhm > two.found.fwhm:
        return equally_sharp(two, one)[::-1]
    wanted, given = two.found.fwhm, one.found.fwhm
    known = np.where(np.isfinite(one.image), one.image, np.float32(one.found.sky))
    width, smooth, reached = np.sqrt(wanted**2 - given**2), known, given
    for _ in range(6):
        smooth = ndimage.gaussian_filter(known, width / 2.3548)
        reached = measure_plane(smooth, one.missing).fwhm
        if abs(reached / wanted - 1) < 1e-3:
            break
        width = np.sqrt(max(width**2 + wanted**2 - reached**2, 0.01))
    print(f"At equal resolution: FWHM {reached:.3f} and {wanted:.3f}.")
    return replace(one, image=smooth), two


def groups(one: Look, sigma: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the middles (x, y) and radii [pixel] of groups of pixels beyond `sigma`, of either sign."""
    bright = np.abs(one.flat) > sigma * one.found.background.rms_map()
    bright[:EDGE], bright[-EDGE:], bright[:, :EDGE], bright[:, -EDGE:] = False, False, False, False
    labels, count = ndimage.label(bright, np.ones((3, 3)))
    middles = np.array(ndimage.center_of_mass(bright, labels, range(1, count + 1))).reshape(-1, 2)[:, ::-1]
    return middles, np.sqrt(np.bincount(labels.ravel(), minlength=count + 1)[1:] / np.pi)


def artifacts(one: Look, elsewhere: npt.NDArray[np.float64], sigma: float) -> int:
    """Count groups of pixels beyond `sigma` away from all that the other image shows (x, y), too."""
    middles, radii = groups(one, sigma)
    if not len(middles):
        return 0
    distance, _ = cKDTree(elsewhere).query(middles)
    return int(np.sum(distance > NEAR + radii))


def aperture_flux(
    flat: Plane, x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Return the flux within `RADIUS` pixels of each place: one aperture, as widths differ.

    The sky is the median of a ring of `RADIUS` to twice that.
    """
    reach = int(2 * RADIUS) + 1
    out = np.full(x.size, np.nan)
    for k, (a, b) in enumerate(zip(x, y, strict=True)):
        column, row = round(float(a)), round(float(b))
        if min(column, row) < reach or column + reach >= flat.shape[1] or row + reach >= flat.shape[0]:
            continue
        part = flat[row - reach : row + reach + 1, column - reach : column + reach + 1].astype(np.float64)
        v, u = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        distance = np.hypot(u + column - a, v + row - b)
        share = np.clip(RADIUS + 0.5 - distance, 0, 1)
        ring = part[(distance > RADIUS + 1) & (distance < 2 * RADIUS)]
        out[k] = np.sum(share * (part - np.median(ring)))
    return out


def compare(ours: Look, theirs: Look) -> list[tuple[str, float, float]]:
    """Return rows: what, sciastro, Siril."""
    one, two = ours.found.stars, theirs.found.stars
    found = register(one, two, (ours.flat.shape[0], ours.flat.shape[1]))
    used = np.asarray(found.residuals["used"], dtype=bool)
    i = np.asarray(found.residuals["index_reference"])[used]
    j = np.asarray(found.residuals["index_frame"])[used]
    full = (one["peak"][i] > FULL * one["peak"].max()) | (two["peak"][j] > FULL * two["peak"].max())
    good = (np.minimum(one["snr"][i], two["snr"][j]) > FAINTEST) & ~full
    alone = cKDTree(np.column_stack([one["x"], one["y"]]))
    nearest, _ = alone.query(np.column_stack([one["x"][i], one["y"][i]]), k=2)
    good &= nearest[:, 1] > 3 * RADIUS
    flux = aperture_flux(ours.flat, one["x"][i][good], one["y"][i][good])
    other = aperture_flux(theirs.flat, two["x"][j][good], two["y"][j][good])
    known = np.isfinite(flux) & np.isfinite(other)
    flux, other = flux[known], other[known]
    unit = float(np.median(flux / other))
    rows: list[tuple[str, float, float]] = []
    for title, pair in (("", (ours, theirs)), (", equally sharp", equally_sharp(ours, theirs))):
        for size in BLOCKS:
            noises = blank_noise(pair[0], size), unit * blank_noise(pair[1], size)
            rows.append((f"noise of the sky, {size} x {size}{title}", *noises))
    rows.append(("FWHM [pixel]", ours.found.fwhm, theirs.found.fwhm))
    boxes = rows[BLOCKS.index(BLOCK)][1:]
    faint = [row * one.found.fwhm for row, one in zip(boxes, (ours, theirs), strict=True)]
    rows.append(("noise of a faint star (boxes x FWHM)", faint[0], faint[1]))
    rows.append(("stars at 5 sigma or more", ours.found.n_stars, theirs.found.n_stars))
    # What the other image shows, too, is of the sky: a star, or a saturated one, which is not in its list.
    pairs = (two["x"][j], two["y"][j], one["x"][i], one["y"][i])
    back = transform.fit(*pairs, degree=found.degree)
    (x1, y1), (x2, y2) = (groups(look, ARTIFACTS[-1])[0].T for look in (ours, theirs))
    there = transform.evaluate(found.from_reference, np.append(one["x"], x1), np.append(one["y"], y1))
    here = transform.evaluate(back, np.append(two["x"], x2), np.append(two["y"], y2))
    for sigma in ARTIFACTS:
        counts = (
            artifacts(ours, np.column_stack(here), sigma),
            artifacts(theirs, np.column_stack(there), sigma),
        )
        rows.append((f"spots beyond {sigma:g} sigma, here alone", *counts))
    ratio = flux / other / unit
    bright = flux > np.quantile(flux, 0.5)
    print(
        f"{known.sum()} isolated stars of S/N above {FAINTEST:.0f} in both ({len(one)} and {len(two)} found)."
    )
    print(
        f"Flux ratio, sciastro over Siril: scatter {robust(ratio):.4f},"
        f" brighter half {robust(ratio[bright]):.4f};"
    )
    slope = np.polyfit(np.log10(flux), ratio, 1)[0]
    print(f"change per factor of ten in flux {slope:+.4f}.")
    return rows


def main() -> None:
    """Run, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("night", type=Path, help="folder with biases, darks, flats and lights")
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--work", type=Path, help="folder for results (default: a temporary one)")
    parser.add_argument(
        "--option", action="append", default=[], help="option for sciastro, such as --workers=1"
    )
    parser.add_argument("--osc", action="store_true", help="the night is one of a color sensor")
    parser.add_argument("--product", type=Path, help="image of sciastro that is there already")
    parser.add_argument("--peer", type=Path, help="image of Siril that is there already")
    given = parser.parse_args()
    if given.product and given.peer:
        print(f"{'':40}{'sciastro':>12}{'Siril':>12}{'ratio':>8}")
        theirs = fits.getdata(given.peer).astype(np.float32)
        ours = fits.getdata(given.product, extname="SCI").astype(np.float32)
        for row in compare(look(ours), look(theirs[1] if given.osc else theirs)):
            _print_row(*row)
        return
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        peer = shutil.which("siril-cli") is not None
        costs: dict[str, list[Cost]] = {"sciastro": [], "Siril": []}
        for number in range(given.runs):
            cost, ours = run_sciastro(given.night, work, given.option, given.osc)
            costs["sciastro"].append(cost)
            if peer:
                cost, theirs = run_siril(given.night, work, given.osc)
                costs["Siril"].append(cost)
            for name, one in costs.items():
                if one:
                    last = f"{one[-1].wall:.1f} s, {one[-1].processor:.1f} s processor"
                    print(f"run {number + 1}, {name}: {last}, {one[-1].memory / 1e9:.2f} GB", flush=True)
        print(f"\n{'':40}{'sciastro':>12}{'Siril':>12}{'ratio':>8}")
        for name, field, unit in (
            ("wall time [s]", "wall", 1.0),
            ("processor time, user + system [s]", "processor", 1.0),
            ("processor time, user [s]", "user", 1.0),
            ("peak memory [GB]", "memory", 1e9),
        ):
            values = [[getattr(cost, field) / unit for cost in one] for one in costs.values()]
            _print_row(name, *(statistics.median(one) if one else float("nan") for one in values))
        if peer and ours.shape != theirs.shape:
            print(f"images of {ours.shape} and {theirs.shape} pixels are not compared")
        elif peer:
            for row in compare(look(ours), look(theirs)):
                _print_row(*row)


def _print_row(name: str, ours: float, theirs: float) -> None:
    print(f"{name:40}{ours:12.4g}{theirs:12.4g}{ours / theirs if theirs else float('nan'):8.3f}")


if __name__ == "__main__":
    main()
