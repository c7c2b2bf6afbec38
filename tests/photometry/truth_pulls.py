"""Stars of known flux through the real chain: raw counts, `correct`, `stack` (or not), photometry; pulls."""

from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from psf_fields import sources_of

from sciastro.calibrate.correct import correct
from sciastro.core import vocabulary as v
from sciastro.core.transform import identity
from sciastro.integrate.stack import StackOptions, stack
from sciastro.measure.stars import DetectOptions, measure_plane
from sciastro.photometry.aperture import ApertureOptions, measure_sources
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.fluxes import shape_flags
from sciastro.photometry.forced import ForcedOptions, forced_photometry

GAIN, READ_NOISE, FULL = 1.5, 5.0, 60_000.0  # electron / adu, electron, electron
BIAS = 500.0  # adu
LEAST_SNR = 5.0


@dataclass(frozen=True, kw_only=True)
class Sky:
    """How a field is made: its size, stars, seeing and frames."""

    size: int = 500
    spacing: float = 34.0  # of a jittered lattice; 0: at random
    stars: int = 150  # where they are at random
    fwhm: tuple[float, float] = (2.7, 3.3)  # from frame to frame
    beta: float = 3.5  # Moffat
    sky: float = 120.0  # electron
    frames: int = 1
    faint: float = 2.4  # log10 electron of the faintest star
    bright: float = 5.4
    seconds: float = 10.0
    drizzle: object = None
    stack: dict = field(default_factory=dict)


def moffat(shape, x, y, flux, fwhm, beta):
    """Return stars of a Moffat profile, each integrated over the pixels by 5 x 5 samples, of light `flux`."""
    alpha2 = fwhm**2 / (4 * (2 ** (1 / beta) - 1))
    out = np.zeros(shape)
    fine = (np.arange(5) - 2) / 5
    for a, b, f in zip(x, y, flux, strict=True):
        half = int(np.ceil(min(10 + 3.2 * fwhm * np.log10(max(f, 10.0)), 60)))
        column, row = round(a), round(b)
        i = np.arange(max(0, column - half), min(shape[1], column + half + 1))
        j = np.arange(max(0, row - half), min(shape[0], row + half + 1))
        if i.size == 0 or j.size == 0:
            continue
        dx2 = (i[:, None] + fine - a).ravel() ** 2
        dy2 = (j[:, None] + fine - b).ravel() ** 2
        stamp = (1 + (dy2[:, None] + dx2) / alpha2) ** -beta
        stamp = stamp.reshape(j.size, 5, i.size, 5).mean(axis=(1, 3)) * (beta - 1) / (np.pi * alpha2)
        out[j[0] : j[-1] + 1, i[0] : i[-1] + 1] += f * stamp
    return out


def enclosed(radius, widths, beta):
    """Return the share of a Moffat star's light within `radius`, mean over frames of `widths`."""
    alpha2 = widths**2 / (4 * (2 ** (1 / beta) - 1))
    return float(np.mean(1 - (1 + radius**2 / alpha2) ** (1 - beta)))


def places(rng, sky):
    """Return x, y, flux [electron per frame] of the stars."""
    if sky.spacing:
        lattice = np.arange(sky.spacing, sky.size - sky.spacing / 2, sky.spacing)
        x, y = (axis.ravel() + rng.uniform(-3, 3, axis.size) for axis in np.meshgrid(lattice, lattice))
    else:
        x, y = rng.uniform(5, sky.size - 6, (2, sky.stars))
    return x, y, 10 ** rng.uniform(sky.faint, sky.bright, x.size)


def calibrated(rng, sky, x, y, flux):
    """Return calibrated frames of dithered and turned stars, flat and gain taken out; width of each."""
    shape = (sky.size, sky.size)
    maps = np.repeat(identity()[None], sky.frames, axis=0)
    flat = (1 + 0.02 * rng.standard_normal(shape)).astype("f4")
    raw = np.empty((sky.frames, *shape), "u2")
    widths = rng.uniform(*sky.fwhm, sky.frames)
    for k in range(sky.frames):
        if k:
            t = np.radians(rng.normal(0, 0.2))
            turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
            middle = np.full(2, sky.size / 2)
            maps[k, :, 1:] = 1000 * turn
            maps[k, :, 0] = middle - turn @ middle + rng.uniform(-4, 4, 2)
        px, py = maps[k, :, 0][:, None] + maps[k, :, 1:] @ np.stack([x, y]) / 1000
        truth = moffat(shape, px, py, flux, widths[k], sky.beta) + sky.sky
        seen = np.minimum(rng.poisson(truth * flat), FULL) + rng.normal(0, READ_NOISE, shape)
        raw[k] = np.clip(np.rint(seen / GAIN + BIAS), 0, 65535)
    ds = xr.Dataset({"raw": v.labeled(v.RAW, raw)}).assign_coords(
        gain=v.labeled(v.GAIN, np.full(sky.frames, GAIN)),
        read_noise=v.labeled(v.READ_NOISE, np.full(sky.frames, READ_NOISE)),
        saturation=v.labeled(v.SATURATION, np.full(sky.frames, FULL / GAIN + BIAS - 3)),
        exposure=v.labeled(v.EXPOSURE, np.full(sky.frames, sky.seconds)),
        filter=v.labeled(v.FILTER, np.array(["V"] * sky.frames)),
        from_reference=v.labeled(v.FROM_REFERENCE, maps),
    )
    masters = xr.Dataset(
        {
            "bias": (("y", "x"), np.full(shape, BIAS, "f4"), {"units": "adu"}),
            "flat": (("y", "x"), flat, {"units": "1"}),
        }
    )
    return correct(ds, masters=masters), widths


def planes(rng, sky, x, y, flux):
    """Return image, variance, quality, autocorrelation, x, y on the image, width of each frame."""
    ds, widths = calibrated(rng, sky, x, y, flux)
    if sky.frames == 1:
        t = np.float32(sky.seconds)
        one = [ds[name].values[0] for name in ("signal", "variance", "quality")]
        return one[0] / t, one[1] / t**2, one[2], None, x, y, widths
    out = stack(ds, options=StackOptions(**sky.stack), drizzle=sky.drizzle)
    scale = sky.drizzle.scale if sky.drizzle is not None else 1.0
    move = (scale - 1) / 2
    names = ("image", "image_variance", "image_quality")
    return (*(out[name].values[0] for name in names), out["noise_autocorrelation"].values[0],
            scale * x + move, scale * y + move, widths * scale)  # fmt: skip


@dataclass(frozen=True)
class Pulls:
    """(flux - truth) / error, S/N, flags, relative deviations and errors common to all stars of a field."""

    pull: np.ndarray
    snr: np.ndarray
    flags: np.ndarray
    deviation: np.ndarray
    common: np.ndarray

    def chosen(self, low=LEAST_SNR, high=np.inf, spoiled=0):
        """Return which are of that true S/N and have none of the flags of `spoiled`."""
        return (self.snr >= low) & (self.snr < high) & (self.flags & spoiled == 0) & np.isfinite(self.pull)


SPOILED = (
    int(SourceFlag.CROWDED | SourceFlag.NEIGHBOR | SourceFlag.CUT | SourceFlag.MIRRORED | SourceFlag.NO_STAR)
    | 2
    | 1
)


def pulls(sky, seeds, *, radius=1.25, forced=True, optimal=False):
    """Return the pulls of the stars of fields `seeds`: forced at the true places, or as they are found."""
    parts = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        x, y, flux = places(rng, sky)
        image, variance, quality, kernel, px, py, widths = planes(rng, sky, x, y, flux)
        found = measure_plane(image, quality, gain_noise=variance, options=DetectOptions(), coarse=False)
        if forced:
            sound = found.stars[(found.stars["quality"] & 1) == 0]
            table = forced_photometry(
                image, variance, quality, px, py, radius=radius * found.fwhm, fwhm=found.fwhm,
                stars=(sound["x"], sound["y"]), autocorrelation=kernel,
                options=ForcedOptions(optimal=optimal),
            )  # fmt: skip
            match = np.arange(len(px))
        else:
            table = measure_sources(
                image, variance, quality, found.stars, fwhm=found.fwhm, autocorrelation=kernel,
                options=ApertureOptions(optimal=optimal),
            )  # fmt: skip
            # As `sciastro photometry` does: what is wide or long for a star is told.
            seen = (found.stars[name].astype(float) for name in ("fwhm", "eccentricity", "snr"))
            shape = shape_flags(*seen, found.fwhm)
            table["flags"] = np.asarray(table["flags"]) | shape
            match, light = sources_of(px, py, flux, table, found.fwhm)
            table = table[match]
            flux, match = light, np.arange(len(light))
        # What counts as all the light is that within the total radius.
        rate = flux / sky.seconds * enclosed(table.meta["total_radius"], widths, sky.beta)
        # The error of the aperture correction is common to all stars of an image, and stands beside flux_err.
        got, err = table["flux"].value, table["flux_err"].value
        common = np.nan_to_num(table.meta["aperture_correction_err"]) / table.meta["aperture_correction"]
        err = np.hypot(err, common * got)
        # S/N of the truth: what the error would be for that flux, so that no star is chosen by its noise.
        snr = rate[match] / err
        parts.append(
            ((got - rate[match]) / err, snr, np.asarray(table["flags"]).astype(int), got / rate[match] - 1,
             np.full(len(got), common))
        )  # fmt: skip
    return Pulls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
