"""How far the products of a run are from the truth of the simulated night that it reduced."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from scipy import ndimage
from scipy.spatial import cKDTree

from sciastro.core.quality import Quality
from sciastro.core.wcs import text_to_wcs
from sciastro.simulate.camera import dark_rate_at
from sciastro.simulate.psf import Psf, draw_halos, draw_stars
from sciastro.simulate.truth import Truth

BLOCK = 6
MASKED = int(Quality.SATURATED | Quality.DO_NOT_USE | Quality.NO_DATA)


def robust_std(values):
    values = np.asarray(values)[np.isfinite(values)]
    low, high = np.percentile(values, [15.865, 84.135])
    return float(high - low) / 2


@dataclass
class Night:
    """A reduced simulated night: the session with its truth, and what the run left."""

    session: Path
    out: Path

    @cached_property
    def truth(self):
        return Truth.load(self.session)

    @cached_property
    def summary(self):
        return json.loads((self.out / "summary.json").read_text())

    @cached_property
    def lights(self):
        return {row["path"]: row for row in self.summary["frames"] if row["type"] == "light"}

    @cached_property
    def reference(self):
        (path,) = [path for path, row in self.lights.items() if row.get("registration_rms_px") == 0.0]
        return path

    @property
    def bands(self):
        return [row["band"] for row in self.summary["products"]]

    def band(self, name):
        row = next(row for row in self.summary["products"] if row["band"] == name)
        return Band(self, name, row)

    def reason(self, band, kind):
        """Return (used, reason) of the frame of `band` that is `kind`: clouded, trailed or satellite."""
        (path,) = [
            p for p, f in self.truth.frames.items() if f["kind"] == "light" and f["band"] == band and f[kind]
        ]
        return self.lights[path]["used"], self.lights[path]["reason"] or ""

    def frame_wcs_errors(self, step=1, used=None):
        """Return the position errors [pixel of the stack] of each registered frame's own WCS on a grid."""
        errors = {}
        with xr.open_dataset(self.out / "frames.h5", group="lights_0", engine="h5netcdf") as ds:
            texts = dict(
                zip([str(p) for p in ds["path"].values], [str(w) for w in ds["wcs"].values], strict=True)
            )
        for path, text in texts.items():
            if text:
                errors[path] = grid_errors(text_to_wcs(text), self.truth, path, step)
        return errors


def grid_errors(wcs, truth, frame, step=1):
    """Return the distance [pixel of `wcs`] between where `wcs` puts pixels and where they truly are."""
    rows, columns = (size // step for size in truth.geometry(frame).shape)
    y, x = (a.ravel() for a in np.meshgrid(np.linspace(0, rows - 1, 25), np.linspace(0, columns - 1, 33)))
    ra, dec = wcs.all_pix2world(x, y, 0)
    tx, ty = truth.sky_to_pixel(frame, ra, dec)
    return np.hypot((tx - (step - 1) / 2) / step - x, (ty - (step - 1) / 2) / step - y)


@dataclass
class Band:
    """One product against the truth."""

    night: Night
    name: str
    row: dict
    step: int = 1
    channel: str | None = None

    def __post_init__(self):
        if self.night.truth.cfa:
            self.channel = f"OSC-{self.name[-1]}"
        with fits.open(self.night.out / self.row["image"]) as hdus:
            self.image = hdus["SCI"].data.astype(np.float64)
            self.err = hdus["ERR"].data.astype(np.float64)
            self.quality = hdus["DQ"].data.astype(np.uint16)
            self.header = hdus["SCI"].header.copy()
        # Superpixels are 2 or 3 pixels of the sensor wide.
        self.step = round(self.truth.geometry(self.night.reference).shape[0] / self.image.shape[0])
        self.wcs = WCS(self.header)
        self.table = QTable.read(self.night.out / self.row["sources"], format="ascii.ecsv")

    @property
    def truth(self):
        return self.night.truth

    @property
    def frames(self):
        """Frames that entered, as the run says."""
        band = "OSC" if self.channel else self.name
        return [p for p, row in self.night.lights.items() if row["used"] and row["band"] == band]

    @cached_property
    def star_xy(self):
        """Exact positions of the truth's stars on the product's grid [pixel]."""
        stars = self.truth.stars
        x, y = self.truth.sky_to_pixel(self.night.reference, stars["ra"], stars["dec"])
        return (x - (self.step - 1) / 2) / self.step, (y - (self.step - 1) / 2) / self.step

    def wcs_errors(self):
        return grid_errors(self.wcs, self.truth, self.night.reference, self.step)

    @cached_property
    def rates(self):
        return self.truth.star_rates(self.channel or self.name)

    @cached_property
    def pairs(self):
        """Rows of the table and of the truth that are the same star (the brightest within 1.5 pixel)."""
        tx, ty = self.star_xy
        inside = np.flatnonzero(np.isfinite(tx) & (self.rates > 0))
        tree = cKDTree(np.column_stack([tx[inside], ty[inside]]))
        x, y = self.table["x"].value, self.table["y"].value
        rows, stars = [], []
        for i, near in enumerate(tree.query_ball_point(np.column_stack([x, y]), 1.5)):
            if near:
                best = inside[near][np.argmax(self.rates[inside[near]])]
                rows.append(i)
                stars.append(best)
        return np.array(rows), np.array(stars)

    def alone(self, radius, share):
        """Return per pair whether stars within `radius` have no more than `share` of the star's light."""
        tx, ty = self.star_xy
        good = np.flatnonzero(np.isfinite(tx))
        tree = cKDTree(np.column_stack([tx[good], ty[good]]))
        result = []
        for star in self.pairs[1]:
            near = good[tree.query_ball_point([tx[star], ty[star]], radius)]
            foreign = self.rates[near].sum() - self.rates[star]
            result.append(foreign <= share * self.rates[star])
        return np.array(result)

    def matched(self, *, snr=0.0, radius=0.0, share=np.inf):
        """Return table rows and truth stars that are sound, above `snr` and alone."""
        rows, stars = self.pairs
        flags = np.asarray(self.table["flags"])[rows]
        use = (flags & MASKED == 0) & (np.asarray(self.table["snr"])[rows] >= snr)
        use &= self.inside(self.table["x"].value[rows], self.table["y"].value[rows], 12)
        if radius > 0:
            use &= self.alone(radius, share)
        return rows[use], stars[use]

    def inside(self, x, y, rim):
        """Where every frame covers the grid: `rim` pixels within what dithers leave."""
        return (
            self.covered[
                np.clip(np.rint(y).astype(int), 0, self.image.shape[0] - 1),
                np.clip(np.rint(x).astype(int), 0, self.image.shape[1] - 1),
            ]
            & (x > rim)
            & (y > rim)
            & (x < self.image.shape[1] - rim)
            & (y < self.image.shape[0] - rim)
        )

    @cached_property
    def covered(self):
        """Where all frames that entered see the grid, from the truth's geometry."""
        y, x = np.mgrid[0 : self.image.shape[0] : 8, 0 : self.image.shape[1] : 8]
        every = np.ones(x.shape, bool)
        for path in self.frames:
            fx, fy = self.on_frame(path, x, y)
            rows, columns = self.truth.geometry(path).shape
            every &= (fx > 12) & (fy > 12) & (fx < columns - 13) & (fy < rows - 13)
        return np.kron(every, np.ones((8, 8), bool))[: self.image.shape[0], : self.image.shape[1]]

    def on_frame(self, path, x, y):
        """Return where pixels of the product lie on a raw frame, exactly."""
        half = (self.step - 1) / 2
        ra, dec = self.truth.pixel_to_sky(self.night.reference, x * self.step + half, y * self.step + half)
        return self.truth.sky_to_pixel(path, ra, dec)

    def flux_ratios(self, *, snr, share=0.002):
        """Return measured over true flux, its error, and position of bright isolated stars."""
        rows, stars = self.matched(snr=snr, radius=4.0 * self.row["fwhm_px"], share=share)
        flux, err = self.table["flux"].value[rows], self.table["flux_err"].value[rows]
        return (
            flux / self.rates[stars],
            err / self.rates[stars],
            self.table["x"].value[rows],
            self.table["y"].value[rows],
        )

    @cached_property
    def scale(self):
        """Rate in the product over rate above the air: transparency of the frame that sets the scale."""
        ratio, err, _, _ = self.flux_ratios(snr=30)
        return float(np.sum(ratio / err**2) / np.sum(1 / err**2))

    @cached_property
    def starlight(self):
        """Noise-free light of all stars on the product's grid [electron / s], with mean seeing and halos."""
        x, y = self.star_xy
        plane = np.zeros(self.image.shape, np.float32)
        psf = Psf(fwhm=float(self.row["fwhm_px"]), trail_x=0.0, trail_y=0.0, options=self.truth.plan.psf)
        draw_stars(plane, x, y, self.rates, psf)
        if psf.options.halo > 0:
            draw_halos(plane, x, y, self.rates, psf)
        return plane * self.scale

    @cached_property
    def blank(self):
        """Pixels without stars to speak of, seen by all frames."""
        dark = self.starlight < 0.5 * np.nanmedian(self.err)
        good = np.isfinite(self.image) & (self.quality & MASKED == 0)
        return ndimage.binary_erosion(dark, iterations=2) & good & self.covered

    def ideal_map(self, x, y):
        """Return the noise of the inverse-variance ideal at pixels of the grid, on the product's scale.

        As `Truth.ideal_noise`, with the vignetting, sky gradient and glow that each frame has there.
        """
        options, total = self.truth.plan.camera, np.zeros(np.shape(x))
        sensor = self.truth.sensor()
        step = options.gain * 2 ** (16 - options.bits)
        current = options.dark_current * dark_rate_at(options.temperature)
        band = "OSC" if self.channel else self.name
        response = ndimage.median_filter(self.truth.transmission(band), 9)
        for path in self.frames:
            record = self.truth.frames[path]
            fx, fy = (np.rint(a).astype(int) for a in self.on_frame(path, x, y))
            seconds, light = record["exposure"], self.truth.sky_plane(path, self.channel)[fy, fx]
            there = response[fy, fx]
            electrons = (light * there + current + sensor.glow[fy, fx]) * seconds
            noise = np.sqrt(electrons + options.read_noise**2 + step**2 / 12) / there
            total += (record["transparency"] * seconds / noise) ** 2
        pixels = {None: 1, "R": 1, "G": 2, "B": 1}[self.channel and self.channel[-1]]
        return self.scale / np.sqrt(total * pixels)

    def blocks(self, margin=0):
        """Return the means of blank 6 x 6 blocks less the smooth sky, their pixels' ERR, and positions."""
        rows, columns = (size // BLOCK for size in self.image.shape)
        cut = np.s_[: rows * BLOCK, : columns * BLOCK]

        def tiles(plane):
            return plane[cut].reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(rows, columns, -1)

        clean = tiles(self.blank).all(axis=2)
        value = tiles(self.image - self.starlight).mean(axis=2)
        err = np.sqrt((tiles(self.err) ** 2).mean(axis=2))
        j, i = np.nonzero(clean)
        x, y = i * BLOCK + (BLOCK - 1) / 2, j * BLOCK + (BLOCK - 1) / 2
        value, err = value[clean], err[clean]
        return value - smooth(x, y, value, self.image.shape), err, x, y

    def pixel_scatter(self):
        """Return the scatter of blank pixels over their ERR, in patches of 100 pixels.

        The difference of pixels four apart is free of sky, and nearly of the correlation of resampling.
        """
        plane = self.image - self.starlight
        diff = (plane[:, 4:] - plane[:, :-4]) / np.hypot(self.err[:, 4:], self.err[:, :-4])
        both = self.blank[:, 4:] & self.blank[:, :-4]
        ratios = []
        for y in range(0, plane.shape[0] - 99, 100):
            for x in range(0, plane.shape[1] - 103, 100):
                part = np.s_[y : y + 100, x : x + 100]
                values = diff[part][both[part]]
                if values.size > 400:
                    ratios.append(robust_std(values))
        return np.array(ratios)

    def artifacts(self, sigma=8.0):
        """Return the number of clumps of pixels beyond `sigma` of ERR, away from stars."""
        rest = self.image - self.starlight
        missing = ~np.isfinite(rest)  # filled from the nearest pixel: a median filter does not know NaN
        nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
        off = (rest - ndimage.median_filter(rest[tuple(nearest)], 15)) / self.err
        away = self.starlight < 3 * self.err
        away = ndimage.binary_erosion(away, iterations=2)
        clumps, number = ndimage.label((np.abs(off) > sigma) & away & np.isfinite(off), np.ones((3, 3)))
        return int(number), ndimage.center_of_mass(clumps > 0, clumps, range(1, number + 1))


def smooth(x, y, value, shape, degree=4):
    """Return a robust polynomial of `value` over the field."""
    u, v = 2 * x / shape[1] - 1, 2 * y / shape[0] - 1
    terms = np.stack([u**i * v**j for i in range(degree + 1) for j in range(degree + 1 - i)], axis=1)
    keep = np.ones(value.size, bool)
    for _ in range(4):
        fit = np.linalg.lstsq(terms[keep], value[keep], rcond=None)[0]
        rest = value - terms @ fit
        keep = np.abs(rest) < 3.5 * robust_std(rest)
    return terms @ fit


def calibrated_pulls(night):
    """Return per frame that was kept: scatter of blank pixels over ERR, and the sky's error over the sky.

    The sky of the truth is taken through the mean of the flat, by which calibration divides out.
    """
    truth, result = night.truth, {}
    for path in truth.lights():
        (kept,) = (night.out / "calibrated").glob(f"*{Path(path).stem}*.fits")
        with fits.open(kept) as hdus:
            image, err = hdus["SCI"].data.astype(np.float64), hdus["ERR"].data.astype(np.float64)
            quality = hdus["DQ"].data
        record = truth.frames[path]
        x, y = truth.sky_to_pixel(path, truth.stars["ra"], truth.stars["dec"])
        light = np.zeros(image.shape, np.float32)
        psf = Psf(
            fwhm=record["fwhm"], trail_x=record["trail_x"], trail_y=record["trail_y"], options=truth.plan.psf
        )
        draw_stars(light, x, y, truth.star_rates(record["band"]), psf)
        light *= record["transparency"] * record["exposure"]
        blank = ndimage.binary_erosion(light < 0.3 * np.nanmedian(err), iterations=2)
        blank &= (quality == 0) & np.isfinite(image)
        flat = float(np.median(truth.transmission(record["band"])))
        sky = truth.sky_plane(path).astype(np.float64) * record["exposure"] * flat
        pull = (image - sky - light * flat) / err
        pair = blank[:, 1:] & blank[:, :-1]
        scatter = robust_std((pull[:, 1:] - pull[:, :-1])[pair]) / np.sqrt(2)
        result[path] = (scatter, float(np.median((image / sky - 1)[blank])))
    return result
