"""A phone on a tripod that follows nothing: how many frames enter, and are stars round to the corners?

Simulates the preset "phone" (135 DNG frames of 12 s, 4.7 mm lens, 7 degrees of turn, landscape) unless the
session is there already, reduces it without any hint, and compares with the truth:

- frames used, and the residual of their registration;
- FWHM and eccentricity of stars of the stack over those of the same stars on single frames, resampled onto
  the same canvas by the same maps, by distance from the center of the common area;
- positions of isolated stars against the truth.

    python benchmarks/phone.py /tmp/phone --faintest 8    # 12 MP
    python benchmarks/phone.py /tmp/phone --shrink 2      # 3 MP
    python benchmarks/phone.py /tmp/phone --shrink 4 --frames 16

All processors draw the session, unless it is there already; that time goes with the pixels and the number of
stars, which nearly triples with each magnitude of `--faintest`. The figures count reduction and comparison.
"""

import argparse
import itertools
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from scipy.spatial import cKDTree

from sciastro.core import transform
from sciastro.integrate.canvas import Canvas, domain_box
from sciastro.integrate.grid import Tile
from sciastro.integrate.resample import resample, resampler
from sciastro.io.reader import read_pixels
from sciastro.measure.stars import measure_plane
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.run import RunRequest, reduce_session
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate.truth import Truth

TURN = 135 * 12.45  # seconds that the whole set lasts
BINS = (0.0, 0.25, 0.5, 0.75, 1.0)


def simulated(folder: Path, frames: int, shrink: float, faintest: float, workers: int) -> Path:
    """Return the session, written if it is not there."""
    if not (folder / "truth").is_dir():
        overhead = TURN / frames - 12.0
        wanted = {
            "lights": frames, "overhead": overhead, "files": "dng", "sky.faintest": faintest,
            "sky.complete_to": faintest - 0.1,
        }  # fmt: skip
        write_night(night_plan("phone", wanted, shrink=shrink), folder, workers=workers)
    return folder


def reduced(session: Path, out: Path, memory: str) -> dict:
    """Return the summary of a reduction without any hint."""
    recipe = load_recipe(None, ["calibrate.debayer.method=superpixel"])
    return reduce_session(RunRequest(session=session, out=out, recipe=recipe, memory=memory))


def single_frames(session: Path, out: Path, summary: dict, band: dict) -> list[np.ndarray]:
    """Return the stars of five single frames on the canvas of the stack."""
    truth = Truth.load(session)
    with xr.open_dataset(out / "frames.h5", group="lights_0", engine="h5netcdf") as ds:
        maps = np.asarray(ds["from_reference"].values)
        paths = [str(path) for path in ds["path"].values]
    shape = tuple(band["canvas"]["shape"])
    canvas = Canvas(shape, tuple(band["canvas"]["origin_px"]))
    used = [row["path"] for row in summary["frames"] if row["type"] == "light" and row["used"]]
    lists = []
    for path in [used[i] for i in np.linspace(0, len(used) - 1, 5).astype(int)]:
        raw = read_pixels(session / path, 0).astype(np.float32)
        green = 0.5 * (raw[0::2, 1::2] + raw[1::2, 0::2]) - np.float32(truth.plan.camera.offset)
        c = maps[paths.index(path)]
        box = canvas.boxes(domain_box(c, green.shape, near=_near(c, green.shape))[None])[0]
        planes = (green, np.ones_like(green), np.zeros(green.shape, np.uint16))
        result = (np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint16))
        tile = Tile(0, shape[0], 0, shape[1])
        resample(planes, (0, 0), canvas.map(c), tile, resampler("lanczos3", clamp=0.01), result, domain=box)
        lists.append(measure_plane(result[0], result[2]).stars)
    return lists


def _near(c: np.ndarray, shape: tuple[int, int]) -> tuple[float, float]:
    """Return the place of the frame's middle on the reference grid: the nearest of a coarse search."""
    x, y = np.meshgrid(np.linspace(0, shape[1], 41), np.linspace(0, shape[0], 41))
    fx, fy = transform.evaluate(c, x, y)
    best = np.argmin(np.hypot(fx - shape[1] / 2, fy - shape[0] / 2))
    return float(x.flat[best]), float(y.flat[best])


def figures(session: Path, out: Path, summary: dict) -> dict:
    """Return what the docstring lists."""
    lights = [row for row in summary["frames"] if row["type"] == "light"]
    band = next(row for row in summary["products"] if row["band"].endswith("G"))
    with fits.open(out / band["image"]) as hdus:
        image, error, bits = (hdus[name].data.astype(kind) for name, kind in
                              (("SCI", "f4"), ("ERR", "f4"), ("DQ", "u2")))  # fmt: skip
        coverage, wcs = hdus["COVERAGE"].data.astype("f4"), WCS(hdus["SCI"].header)
    stars = measure_plane(image, bits, gain_noise=error**2).stars
    stars = stars[stars["snr"] > 30]
    row, column = np.rint(stars["y"]).astype(int), np.rint(stars["x"]).astype(int)
    common = coverage > 0.9 * np.nanmax(coverage)
    stars = stars[common[row, column]]
    ys, xs = np.nonzero(common)
    middle, reach = np.array([xs.mean(), ys.mean()]), 0.5 * np.hypot(np.ptp(xs), np.ptp(ys))
    radius = np.hypot(stars["x"] - middle[0], stars["y"] - middle[1]) / reach
    widths, shapes = [], []
    for single in single_frames(session, out, summary, band):
        near, index = cKDTree(np.column_stack([single["x"], single["y"]])).query(
            np.column_stack([stars["x"], stars["y"]]), distance_upper_bound=1.0
        )
        hit = np.isfinite(near)
        width, shape = np.full(stars.size, np.nan), np.full(stars.size, np.nan)
        good = hit.copy()
        good[hit] = single["snr"][index[hit]] > 20
        width[good], shape[good] = single["fwhm"][index[good]], single["eccentricity"][index[good]]
        widths.append(width)
        shapes.append(shape)
    width, shape = _middle_of(widths), _middle_of(shapes)
    rings = []
    for low, high in itertools.pairwise(BINS):
        here = (radius >= low) & (radius < high) & np.isfinite(width)
        rings.append(
            {
                "radius": [low, high], "stars": int(here.sum()),
                "fwhm_growth": float(np.median(stars["fwhm"][here] / width[here])) if here.any() else None,
                "eccentricity": float(np.median(stars["eccentricity"][here])) if here.any() else None,
                "eccentricity_single": float(np.median(shape[here])) if here.any() else None,
            }
        )  # fmt: skip
    return {
        "frames": len(lights), "used": sum(row["used"] for row in lights),
        "model": lights[len(lights) // 2]["registration_model"],
        "registration_rms_px": float(np.nanmedian([row["registration_rms_px"] or np.nan for row in lights])),
        "canvas": band["canvas"], "rings": rings, "position_px": positions(session, stars, wcs, band),
        "wcs": band["wcs"],
    }  # fmt: skip


def _middle_of(lists: list[np.ndarray]) -> np.ndarray:
    """Return the median over the lists where any knows the star, NaN elsewhere."""
    values = np.array(lists)
    known = np.isfinite(values).any(axis=0)
    out = np.full(values.shape[1], np.nan)
    out[known] = np.nanmedian(values[:, known], axis=0)
    return out


def positions(session: Path, stars: np.ndarray, wcs: WCS, band: dict) -> dict:
    """Return how far bright, lonely stars lie from the truth [pixel]."""
    table = Truth.load(session).stars
    table = table[np.asarray(table["mag"]) < 9.5]
    scale = band["wcs"]["scale_arcsec_px"]
    sky = SkyCoord(np.asarray(table["ra"]), np.asarray(table["dec"]), unit="deg")
    ra, dec = wcs.all_pix2world(stars["x"], stars["y"], 0)
    seen = SkyCoord(ra, dec, unit="deg")
    _, apart, _ = seen.match_to_catalog_sky(sky)
    _, second, _ = seen.match_to_catalog_sky(sky, nthneighbor=2)
    lonely = (second.arcsec > 5 * scale) & (apart.arcsec < 3 * scale)
    error = apart.arcsec[lonely] / scale
    return {
        "stars": int(lonely.sum()), "median": float(np.median(error)), "p90": float(np.percentile(error, 90))
    }  # fmt: skip


def main() -> None:
    """Simulate, reduce, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=135)
    parser.add_argument("--shrink", type=float, default=1.0)
    parser.add_argument("--faintest", type=float, default=9.0)
    parser.add_argument("--memory", default="4GB")
    asked = parser.parse_args()
    begin = time.perf_counter()
    workers = os.cpu_count() or 1
    session = simulated(asked.folder / "session", asked.frames, asked.shrink, asked.faintest, workers)
    print(f"session ready after {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    begin, cpu = time.perf_counter(), time.process_time()
    summary = reduced(session, asked.folder / "out", asked.memory)
    told = figures(session, asked.folder / "out", summary) | {
        "wall_s": time.perf_counter() - begin, "cpu_s": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
