"""Fluxes of sources through one or several apertures, with errors, flags and, on request, error terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.photometry.coarse import FINE, pixel_scatter
from sciastro.photometry.errorterms import TERMS, Relative, flat_pixel_error, flux_terms
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.growthmap import GrowthMap, growth_map
from sciastro.photometry.neighbors import USUAL_BETA, Others, beta_of, foreign_light, own_in_annulus
from sciastro.photometry.plane import ApertureSums, Plane, Profile, SkyLevels, source_radii

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = [
    "Aperture",
    "Fluxes",
    "add_apertures",
    "aperture_of",
    "fluxes",
    "less_own_light",
    "sampling_floor",
    "mark_neighbors",
    "shape_flags",
]

Floats = npt.NDArray[np.float64]

_MAG_PER_NEPER = 2.5 / np.log(10)  # sigma_m = 1.0857 sigma_F / F
_WIDE, _NARROW, _LONG = 1.4, 0.6, 0.75  # widths of the stars, eccentricity: beyond is no star
_SAMPLED, _RESAMPLED = 3e-4, 8e-4  # see `sampling_floor`
_LEAST_BETA = 2.5  # of a Moffat profile: the widest wings that are taken out of the sky
_TELLS = 0.1  # light of neighbors over the error of the flux that is flagged
_SURE = 20.0  # S/N from which widths are good enough to tell


@dataclass(frozen=True, kw_only=True, slots=True)
class Aperture:
    """How light is summed.

    Attributes
    ----------
    radius
        Of the circle [pixel].
    profile
        Weights of an optimal extraction; None: every pixel counts alike.
    growth
        Correction to all the light over the field; None where no stars could tell.
    total
        Radius that counts as all the light [pixel]; `radius` without `growth`.
    """

    radius: float
    profile: Profile | None = None
    growth: GrowthMap | None = None
    total: float

    def correction(self, x: Floats, y: Floats) -> Floats:
        """Return the correction at positions [pixel]; 1 where it is unknown."""
        return np.ones(len(x)) if self.growth is None else self.growth.at(x, y)

    def relative(self, x: Floats, y: Floats, fwhm: float, others: Relative, floor: float = 0.0) -> Relative:
        """Return `others` with this aperture's scatter, `floor` at least, for stars of `fwhm` [pixel].

        To it comes how little is known of the correction's shape at the positions `x` and `y` [pixel].
        """
        measured = max(0.0 if self.growth is None else self.growth.scatter, floor)
        shape = np.zeros(len(x)) if self.growth is None else np.nan_to_num(self.growth.shape_err(x, y))
        # What the pixels do is in the measured scatter already.
        beyond = max(pixel_scatter(float(fwhm), float(self.radius)) ** 2 - measured**2, 0.0)
        return Relative(
            profile=np.hypot(measured, shape), coarse=np.sqrt(np.square(others.coarse) + beyond),
            scintillation=others.scintillation, flat=others.flat, flat_pixel=others.flat_pixel,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fluxes:
    """Per source: flux, its error and the random part of it [unit of the image]; S/N, magnitude, flags."""

    flux: Floats
    err: Floats
    random: Floats
    snr: Floats
    mag: Floats
    mag_err: Floats
    flags: npt.NDArray[np.uint32]
    sums: ApertureSums


def aperture_of(
    plane: Plane,
    x: Floats,
    y: Floats,
    sky: SkyLevels,
    bright: npt.NDArray[np.intp],
    radius: float,
    total: float,
    profile: Profile | None = None,
    others: Others | None = None,
) -> Aperture:
    """Return the aperture of `radius` [pixel] with its correction from the stars `bright` (indices).

    Parameters
    ----------
    x, y
        (source,) [pixel].
    sky
        Of every source.
    bright
        Sources for the curve of growth; fewer than three give no correction.
    radius, total
        Of the aperture, and of that which holds all the light [pixel].
    profile, others
        Weights of pixels, and the light of neighbors; None for neither.
    """
    if len(bright) < 3 or not np.isfinite(total) or (total <= radius and profile is None):
        return Aperture(radius=float(radius), profile=profile, total=float(radius))
    growth = growth_map(plane, x, y, sky, bright, radius, total, profile, others)
    return Aperture(
        radius=float(radius), profile=profile, growth=growth,
        total=float(total if growth is not None else radius),
    )  # fmt: skip


def fluxes(
    plane: Plane, x: Floats, y: Floats, sky: SkyLevels, aperture: Aperture, relative: Relative,
    least_snr: float,
) -> Fluxes:  # fmt: skip
    """Measure sources through one aperture.

    Parameters
    ----------
    plane, x, y, sky
        Image, positions [pixel] and their local sky.
    aperture
        Circle, weights and correction.
    relative
        Errors that grow with the flux.
    least_snr
        Flux over its random error below which there is no magnitude.

    Returns
    -------
    Fluxes
        NaN where missing pixels cannot be replaced, where there is no sky, and off the image; the flags say.
    """
    sums = plane.weighted(x, y, aperture.radius, aperture.profile)
    correction = aperture.correction(x, y)
    usable = (sums.lost == 0) & np.isfinite(sky.level)
    flux = np.where(usable, correction * (sums.total - sums.area * sky.level), np.nan)
    random2 = correction**2 * (sums.variance + (sums.area * sky.err) ** 2)
    pixels2 = flat_pixel_error(plane, x, y, aperture.radius, correction, relative, aperture.profile) ** 2
    err = np.where(usable, np.sqrt(random2 + (relative.total() * flux) ** 2 + pixels2), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = flux / err
        bright = flux >= max(least_snr, 1e-6) * np.sqrt(random2)
        mag = np.where(bright, -2.5 * np.log10(np.where(bright, flux, 1.0)), np.nan)
        mag_err = np.where(bright, _MAG_PER_NEPER / snr, np.nan)
    random = np.where(usable, np.sqrt(random2), np.nan)
    return Fluxes(flux, err, random, snr, mag, mag_err, _flags(plane, x, y, sums, sky, flux, bright), sums)


def _flags(
    plane: Plane, x: Floats, y: Floats, sums: ApertureSums, sky: SkyLevels, flux: Floats,
    bright: npt.NDArray[np.bool_],
) -> npt.NDArray[np.uint32]:  # fmt: skip
    flags = sums.bits.astype(np.uint32)
    rows, columns = plane.image.shape
    known = np.isfinite(x) & np.isfinite(y)
    with np.errstate(invalid="ignore"):
        off = known & ((x < -0.5) | (x > columns - 0.5) | (y < -0.5) | (y > rows - 0.5))
    for where, flag in (
        (known & (sums.lost > 0), SourceFlag.CUT),
        (known & ~off & (sums.moved > 0), SourceFlag.MIRRORED),
        (known & ~off & sky.poor, SourceFlag.POOR_SKY),
        (~known, SourceFlag.BAD_POSITION),
        (off, SourceFlag.OFF_IMAGE),
        (np.isfinite(flux) & ~bright, SourceFlag.FAINT),
    ):
        flags[where] |= np.uint32(flag)
    return flags


def sampling_floor(plane: Plane, fwhm: float) -> float:
    """Return the relative scatter of fluxes that sampling alone makes, at least, whatever the noise.

    Found on images without noise (FWHM 2.7 to 3.3 pixel, radius 1.25 FWHM): where in its pixel a star lies
    changes its flux by 0.03 %, and by 0.08 % once 4 to 6 frames were resampled onto one grid. On the finer
    grid of a drizzle, where stars are wide (`FINE`), it is no more than before: with 0.08 % bright stars had
    pulls of 0.86 +- 0.04, with 0.03 % 0.92 (300 stars above S/N 300).
    """
    return _RESAMPLED if abs(plane.correlation - 1) > 1e-3 and fwhm < FINE else _SAMPLED


def shape_flags(fwhm: Floats, eccentricity: Floats, snr: Floats, width: float) -> npt.NDArray[np.uint32]:
    """Return NO_STAR where a bright source is wider, narrower or longer than the stars of the image.

    Parameters
    ----------
    fwhm, eccentricity, snr
        Per source [pixel, 1, 1].
    width
        FWHM of the stars [pixel].
    """
    usual = float(np.nanmedian(eccentricity[snr > _SURE])) if np.any(snr > _SURE) else 0.0
    with np.errstate(invalid="ignore"):
        odd = (fwhm > _WIDE * width) | (fwhm < _NARROW * width) | (eccentricity > max(_LONG, usual + 0.3))
        return np.where(odd & (snr > _SURE), np.uint32(SourceFlag.NO_STAR), np.uint32(0)).astype(np.uint32)


def less_own_light(
    sky: SkyLevels,
    sums: ApertureSums,
    correction: Floats,
    ring: tuple[float, float],
    star: tuple[float, float, float],
) -> SkyLevels:
    """Return the sky without the wings of each star in its own annulus.

    The wings of a star reach into its annulus, and lift its sky by some 1e-7 of its light per pixel: 0.03 %
    of the flux within four widths. A curve of growth that rises more slowly than that of an exponent of 2.5
    tells of nebulae and neighbors, and is not carried on outward.

    Parameters
    ----------
    sky, sums, correction
        Sky with that light in it; sums over an aperture and the correction to all the light.
    ring
        Inner and outer radius of the annulus [pixel].
    star
        Total radius, FWHM [pixel] and exponent of the Moffat profile.
    """
    total, fwhm, beta = star
    beta = max(beta, _LEAST_BETA)
    flux = np.maximum(np.nan_to_num(correction * (sums.total - sums.area * sky.level)), 0.0)
    alpha2 = fwhm**2 / (4 * (2 ** (1 / beta) - 1))
    noise = float(np.nanmedian(sky.sigma)) if np.isfinite(sky.sigma).any() else 1.0
    # Pixels under a bright star are no sky, which moves the beginning of its annulus outward.
    disc = source_radii(flux * (beta - 1) / (np.pi * alpha2), noise if noise > 0 else 1e-30, fwhm)
    share = own_in_annulus(np.maximum(disc, ring[0]), ring[1], total, fwhm, beta)
    return SkyLevels(sky.level - share * flux, sky.err, sky.sigma, sky.count, sky.poor)


def mark_neighbors(
    table: "Table", x: Floats, y: Floats, flux: Floats, aperture: Aperture, fwhm: float, *, share: float
) -> None:
    """Add ``crowding`` to a table, and flag CROWDED and NEIGHBOR.

    Parameters
    ----------
    table
        With ``flux`` and ``flux_err``; its rows are the first of `x`, `y` and `flux`.
    x, y, flux
        Of its rows and of other known sources [pixel, unit of the table].
    aperture, fwhm
        Of `flux`; of stars [pixel].
    share
        Light of neighbors over the own one beyond which a source counts as crowded.
    """
    beta = USUAL_BETA
    if aperture.growth is not None and aperture.profile is None:
        grown = float(np.median(aperture.correction(x, y))) if len(x) else 1.0
        beta = beta_of(grown, aperture.radius, aperture.total, fwhm)
    n = len(table)
    foreign = foreign_light(x, y, flux, aperture.radius, fwhm, beta)[:n]
    own = np.maximum(np.nan_to_num(flux[:n]) - foreign, 0.0)
    err = np.asarray(table["flux_err"].value, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        crowding = np.where(foreign > 0, foreign / own, 0.0)
    table["crowding"] = np.where(np.isfinite(np.asarray(table["flux"].value)), crowding, np.nan)
    flags = np.asarray(table["flags"])
    flags |= np.where(foreign > share * own, np.uint32(SourceFlag.CROWDED), np.uint32(0))
    flags |= np.where(foreign > _TELLS * err, np.uint32(SourceFlag.NEIGHBOR), np.uint32(0))
    table["flags"] = flags


def add_apertures(
    table: "Table",
    plane: Plane,
    sky: SkyLevels,
    apertures: Sequence[Aperture],
    relative: Relative,
    *,
    fwhm: float,
    least_snr: float,
    unit: Any,
    terms: bool,
) -> None:
    """Add to a table of sources the fluxes through its first aperture, and numbered ones of the others.

    Parameters
    ----------
    table
        With ``x`` and ``y`` [pixel]; gains ``flux, flux_err, mag_inst, mag_inst_err, snr, area`` and
        ``flags`` (or-ed), ``flux_2, flux_err_2, mag_inst_2, ...`` for the second aperture and so on, and in
        ``meta["apertures"]`` what they are. With `terms` the columns of `errorterms.TERMS`.
    plane, sky
        Image and local sky of the rows.
    relative
        Errors that grow with the flux, but the scatter of each aperture.
    fwhm
        Of stars [pixel].
    unit
        astropy unit of the flux.
    """
    from astropy import units as u

    x, y = (np.asarray(table[name].value, dtype=np.float64) for name in ("x", "y"))
    for number, aperture in enumerate(apertures, start=1):
        end = "" if number == 1 else f"_{number}"
        own = aperture.relative(x, y, fwhm, relative, sampling_floor(plane, fwhm))
        found = fluxes(plane, x, y, sky, aperture, own, least_snr)
        table[f"flux{end}"], table[f"flux_err{end}"] = found.flux * unit, found.err * unit
        table[f"mag_inst{end}"], table[f"mag_inst_err{end}"] = found.mag * u.mag, found.mag_err * u.mag
        table[f"snr{end}"] = found.snr
        table[f"area{end}"] = found.sums.area * u.pix
        if number == 1:
            table["flags"] = found.flags
            table.meta["relative_scatter"] = float(np.nanmedian(own.total())) if len(x) else 0.0
        else:
            table[f"flags{end}"] = found.flags
        if terms:
            parts = flux_terms(
                plane, x, y, aperture.radius, found.sums, sky, aperture.correction(x, y), own,
                aperture.profile,
            )  # fmt: skip
            for name in TERMS:
                values = np.where(np.isfinite(found.flux), getattr(parts, name), np.nan)
                table[f"{name}{end}"] = values if name == "err_factor" else values * unit
    table.meta["apertures"] = [_told(aperture, fwhm) for aperture in apertures]


def _told(aperture: Aperture, fwhm: float) -> dict[str, Any]:
    growth = aperture.growth
    middle = float("nan")
    if growth is not None:
        middle = float(growth.at(np.array([growth.center[0]]), np.array([growth.center[1]]))[0])
    return {
        "radius_pixel": aperture.radius,
        "radius_fwhm": aperture.radius / fwhm if fwhm > 0 else float("nan"),
        "weights": "none" if aperture.profile is None else _weights(aperture.profile),
        "total_radius_pixel": aperture.total,
        "correction": middle if growth is not None else 1.0,
        "correction_err": growth.err if growth is not None else float("nan"),
        "correction_scatter": growth.scatter if growth is not None else 0.0,
        "n_growth_stars": growth.n_stars if growth is not None else 0,
    }


def _weights(profile: Profile) -> str:
    kind = f"Moffat, beta {profile.beta:g}" if profile.beta > 0 else "Gaussian"
    return f"{kind}, FWHM {profile.fwhm:.3f} pixel"
