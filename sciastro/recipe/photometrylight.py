"""The light of an image through apertures: stars that are found, errors that grow with flux, fluxes.

Reads a `photometryimages.Target`; gives measured tables that know no zero point yet.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.core.quality import Quality
from sciastro.errors import DatasetError
from sciastro.measure.stars import DetectOptions, PlaneMeasure, measure_plane
from sciastro.photometry.aperture import ApertureOptions, measure_sources
from sciastro.photometry.errorterms import Relative
from sciastro.photometry.flags import SourceFlag
from sciastro.photometry.fluxes import shape_flags
from sciastro.photometry.forced import ForcedOptions, forced_photometry
from sciastro.photometry.scintillation import ScintillationOptions, scintillation_variance
from sciastro.photometry.sources import add_positions
from sciastro.recipe.photometryimages import Target
from sciastro.recipe.photometryplaces import OnImage
from sciastro.recipe.photometryzero import air_of

if TYPE_CHECKING:
    from astropy.table import Table

    from sciastro.recipe.photometry import PhotometryOptions

__all__ = ["find_stars", "light_at", "light_of_sources", "mark_shapes", "relative_of"]


def find_stars(target: Target, options: "PhotometryOptions") -> PlaneMeasure:
    """Return the stars of an image, and how wide they are.

    Raises
    ------
    DatasetError
        If the image has no finite pixel.
    """
    if not np.isfinite(target.image).any():
        raise DatasetError("holds no finite pixel.", where=target.name, remedy="Give another image.")
    width = None if options.fwhm is None else float(np.clip(options.fwhm, 1.0, 50.0))
    how = DetectOptions(threshold=options.threshold, max_stars=options.max_stars, fwhm=width)
    image, variance = _scaled(target)
    return measure_plane(image, target.quality, gain_noise=variance, options=how)


def _scaled(target: Target) -> tuple[Any, Any]:
    """Return image and variance in a unit in which the noise of a pixel is far from the limits of float32."""
    known = target.variance[np.isfinite(target.variance) & (target.variance > 0)]
    noise = float(np.sqrt(np.median(known[:: max(1, known.size // 100_000)]))) if known.size else 1.0
    if 1e-6 < noise < 1e6:
        return target.image, target.variance
    return target.image / np.float32(noise), target.variance / np.float32(noise) / np.float32(noise)


def relative_of(target: Target, options: "PhotometryOptions") -> tuple[Relative, list[str]]:
    """Return the errors that grow with the flux, and what could not be told of them."""
    notes, twinkle = [], float("nan")
    lacking = []
    if options.scintillation > 0:
        air = air_of(target)
        if not math.isfinite(target.diameter):
            lacking.append("the aperture of the telescope (--aperture-diameter)")
        if not math.isfinite(target.exposure):
            lacking.append("the exposure (--exposure)")
        if not math.isfinite(air):
            lacking.append("the airmass (--airmass, or --site and world coordinates)")
        if lacking:
            notes.append(f"scintillation is left out of the errors: unknown is {', '.join(lacking)}")
        else:
            height = target.site[2] if target.site is not None else None
            if height is None:
                notes.append(
                    "scintillation is that at the sea: the height is unknown (--site LAT,LON,HEIGHT)"
                )
            twinkle = float(
                np.sqrt(
                    scintillation_variance(
                        target.exposure, air, target.diameter, height or 0.0,
                        options=ScintillationOptions(coefficient=options.scintillation),
                    )
                )
            )  # fmt: skip
    return Relative(
        scintillation=twinkle, flat=options.flat_noise, flat_pixel=options.flat_pixel_noise
    ), notes


# Share of NEIGHBOR and CROWDED sources. Simulated crowds: at 0.28 (0.014 stars per square of the width) pulls
# of the others have a deviation of 1.01, at 0.5 of 0.88, at 0.72 of 1.35 with 2 % beyond 4.
CROWD = 0.5


def light_of_sources(
    target: Target, stars: PlaneMeasure, fwhm: float, radii: Sequence[float], relative: Relative,
    options: "PhotometryOptions", *, terms: bool,
) -> "Table":  # fmt: skip
    """Return the measured table of what was found."""
    width = fwhm if math.isfinite(fwhm) else 3.0
    total = max(4.0, 1.6 * max(radii) / width) if radii else 4.0
    how = ApertureOptions(
        radius=float(np.clip(radii[0] / width, 0.5, 5.0)) if radii else None,
        sky_inner=options.sky_inner, sky_outer=options.sky_outer, optimal=options.optimal,
        total_radius=min(total, 10.0), least_snr=options.limit_snr,
    )  # fmt: skip
    table = measure_sources(
        target.image, target.variance, target.quality, stars.stars, fwhm=width,
        noise_correlation=target.correlation, autocorrelation=target.autocorrelation, radii=radii[1:],
        relative=relative, terms=options.error_terms and terms, unit=target.unit, options=how,
    )  # fmt: skip
    table.meta["band"] = target.band
    return add_positions(table, target.wcs) if target.wcs is not None else table


def doubts_of(table: "Table") -> list[str]:
    """Return what a table of aperture fluxes leaves open that its errors do not hold."""
    notes = []
    if len(table.meta.get("aperture_correction_terms", ())) == 1:
        notes.append(str(table.meta["aperture_correction_note"]))
    beside = int(SourceFlag.NEIGHBOR | SourceFlag.CROWDED)
    share = float(np.mean(np.asarray(table["flags"]).astype(np.int64) & beside != 0)) if len(table) else 0.0
    if share > CROWD:
        notes.append(
            f"{100 * share:.0f} % of the sources have light of neighbors in their apertures (NEIGHBOR): "
            f"where more than {100 * CROWD:.0f} % have, companions that nobody sees make errors of the "
            "others too small; --psf fits neighbors together"
        )
    return notes


def mark_shapes(table: "Table", stars: PlaneMeasure, fwhm: float) -> None:
    """Flag what is no star by its shape."""
    if len(table) == len(stars.stars) and math.isfinite(fwhm):
        odd = shape_flags(
            np.asarray(stars.stars["fwhm"], np.float64), np.asarray(stars.stars["eccentricity"], np.float64),
            np.asarray(stars.stars["snr"], np.float64), fwhm,
        )  # fmt: skip
        table["flags"] = np.asarray(table["flags"]) | odd


def light_at(
    target: Target, places: OnImage, stars: PlaneMeasure, fwhm: float, radii: Sequence[float],
    relative: Relative, options: "PhotometryOptions",
) -> "Table":  # fmt: skip
    """Return the measured table of the light in apertures at places."""
    from astropy.table import Table

    sound = stars.stars[(stars.stars["quality"] & int(Quality.DO_NOT_USE)) == 0]
    how = ForcedOptions(
        sky_inner=options.sky_inner, sky_outer=options.sky_outer, correct=options.correct,
        optimal=options.optimal, total_radius=min(max(4.0, 1.6 * max(radii) / fwhm), 20.0),
        least_snr=options.limit_snr,
    )  # fmt: skip
    return Table(
        forced_photometry(
            target.image, target.variance, target.quality, places.x, places.y, radius=list(radii),
            fwhm=fwhm, stars=(sound["x"], sound["y"]), correlation=target.correlation,
            autocorrelation=target.autocorrelation, relative=relative, terms=options.error_terms,
            unit=target.unit, options=how,
        )
    )  # fmt: skip
