"""The error of a flux, term by term.

``flux_err^2 = (pixels * factor)^2 + sky^2 + profile^2 + coarse^2 + scintillation^2 + flat^2``

with `pixels` from the variance plane for uncorrelated pixels, `factor` the correlation that resampling left
between them, `sky` the error of the local sky under the aperture, `profile` the scatter of profiles from star
to star, `coarse` that of circles on pixels that are too large, `scintillation` the twinkling of the star, and
`flat` what flat fields leave.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciastro.photometry.plane import ApertureSums, Plane, Profile, SkyLevels

__all__ = ["TERMS", "FluxTerms", "Relative", "flux_terms"]

Floats = npt.NDArray[np.float64]

TERMS: dict[str, str] = {
    "err_pixels": "Error of flux from the variance plane, as if its pixels were uncorrelated",
    "err_factor": "Factor on err_pixels for the correlation of pixels that resampling left",
    "err_sky": "Error of flux from that of the local sky",
    "err_profile": "Error of flux from profiles that differ from star to star",
    "err_coarse": "Error of flux from pixels that are large for the star",
    "err_scintillation": "Error of flux from scintillation; NaN where it is unknown and left out",
    "err_flat": "Error of flux from flat fields beyond the variance plane",
}
"""Column -> what it says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Relative:
    """Errors that grow with the flux: 1 sigma over the flux, one number for all or one per source.

    Attributes
    ----------
    profile, coarse
        Star-to-star scatter of the aperture correction; sampling (`photometry.coarse`).
    scintillation
        `photometry.scintillation`; NaN is unknown, and is left out.
    flat
        Of the flat field at the scale of a star.
    flat_pixel
        Of the flat field from pixel to pixel, where the variance plane does not hold it.
    """

    profile: "float | Floats" = 0.0
    coarse: "float | Floats" = 0.0
    scintillation: "float | Floats" = float("nan")
    flat: "float | Floats" = 0.0
    flat_pixel: float = 0.0

    def total(self) -> Floats:
        """Return all but `flat_pixel` together."""
        twinkle = np.nan_to_num(self.scintillation)
        return np.asarray(
            np.sqrt(
                np.square(self.profile) + np.square(self.coarse) + np.square(twinkle) + np.square(self.flat)
            )
        )


@dataclass(frozen=True, slots=True)
class FluxTerms:
    """Terms as in `TERMS`, per source, in the unit of the flux (`factor`: 1)."""

    err_pixels: Floats
    err_factor: Floats
    err_sky: Floats
    err_profile: Floats
    err_coarse: Floats
    err_scintillation: Floats
    err_flat: Floats

    def total(self) -> Floats:
        """Return the error of the flux."""
        parts = (self.err_pixels * self.err_factor, self.err_sky, self.err_profile, self.err_coarse,
                 np.nan_to_num(self.err_scintillation), self.err_flat)  # fmt: skip
        return np.asarray(np.sqrt(np.sum(np.square(parts), axis=0)))


def flux_terms(
    plane: Plane,
    x: Floats,
    y: Floats,
    radius: float,
    sums: ApertureSums,
    sky: SkyLevels,
    correction: Floats,
    relative: Relative,
    profile: Profile | None = None,
) -> FluxTerms:
    """Return the terms of the error of every flux.

    Parameters
    ----------
    plane, x, y, radius, profile
        As they were summed.
    sums, sky
        What came of it.
    correction
        All the light over that in the sums.
    relative
        Errors that grow with the flux.
    """
    flux = correction * (sums.total - sums.area * sky.level)
    single = replace(plane, autocorrelation=np.ones((1, 1))).weighted(x, y, radius, profile)
    plain = np.sqrt(single.variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(plain > 0, np.sqrt(np.maximum(sums.variance, 0)) / plain, 1.0)
    size = np.abs(flux)
    return FluxTerms(
        err_pixels=correction * plain,
        err_factor=factor,
        err_sky=np.abs(correction * sums.area) * sky.err,
        err_profile=size * relative.profile,
        err_coarse=size * relative.coarse,
        err_scintillation=size * relative.scintillation,
        err_flat=np.hypot(
            size * relative.flat, flat_pixel_error(plane, x, y, radius, correction, relative, profile)
        ),
    )


def flat_pixel_error(
    plane: Plane,
    x: Floats,
    y: Floats,
    radius: float,
    correction: Floats,
    relative: Relative,
    profile: Profile | None = None,
) -> Floats:
    """Return the error of fluxes from a flat field that is off from pixel to pixel, ``sum c2 x2 s2``.

    x is the level of the image as it is: where the sky was taken off before, its part is missing.
    """
    if relative.flat_pixel == 0:
        return np.zeros(len(x))
    pixels = replace(
        plane,
        variance=np.square(np.where(plane.missing, 0, plane.image)),
        autocorrelation=np.ones((1, 1)),
    ).weighted(x, y, radius, profile)
    return np.asarray(relative.flat_pixel * np.abs(correction) * np.sqrt(pixels.variance))
