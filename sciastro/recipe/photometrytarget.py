"""What is measured: pixels with variance and quality in one unit, and what photometry needs to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.io.framefacts import FrameFacts
from sciastro.measure.background import background

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["UNKNOWN", "Bits", "Given", "Plane", "Target", "estimated_variance", "with_facts"]

Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]

UNKNOWN = float("nan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What the caller says of images whose headers do not; None leaves it to the header.

    Attributes
    ----------
    gain
        Electrons per unit of the image.
    read_noise, saturation, exposure
        [electron], [unit of the image], [s].
    aperture_diameter, site, airmass
        For scintillation: [m]; latitude, longitude [deg], height [m]; 1.
    band
        Filter.
    """

    gain: float | None = None
    read_noise: float | None = None
    saturation: float | None = None
    exposure: float | None = None
    aperture_diameter: float | None = None
    site: tuple[float, float, float | None] | None = None
    airmass: float | None = None
    band: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One image that is measured.

    Attributes
    ----------
    name, path
        What it is called, and its file (None: from memory).
    image, variance, quality
        (y, x), in `unit` and its square; bits of `Quality`.
    unit
        As astropy spells it.
    wcs
        None where there is none.
    band, target
        Filter and object; "" unknown.
    exposure, n_frames
        Of all frames together [s]; NaN unknown.
    time
        Middle of the exposure, ISO 8601 UTC; "" unknown.
    correlation, autocorrelation
        Of the noise of neighboring pixels, as `photometry.aperture.measure_sources` takes them.
    zeropoint
        What the header says, by the names of `photometry.zeropoint.ZeroPoint`; empty without one.
    diameter, site, airmass, scale
        [m]; latitude, longitude [deg], height [m]; 1; [arcsec / pixel] of the header; NaN or None unknown.
    notes
        What the user should know of how it was read.
    """

    name: str
    path: Path | None = None
    image: Plane
    variance: Plane
    quality: Bits
    unit: str = "electron / s"
    wcs: "WCS | None" = None
    band: str = ""
    target: str = ""
    exposure: float = UNKNOWN
    n_frames: int = 1
    time: str = ""
    correlation: float = 1.0
    autocorrelation: npt.NDArray[np.float64] | None = None
    zeropoint: Mapping[str, Any] = field(default_factory=dict)
    diameter: float = UNKNOWN
    site: tuple[float, float, float | None] | None = None
    airmass: float = UNKNOWN
    scale: float = UNKNOWN
    notes: tuple[str, ...] = ()


def with_facts(target: Target, facts: FrameFacts, given: Given) -> Target:
    """Return the target with what a header says and the caller knows better."""
    diameter = given.aperture_diameter or (facts.aperture / 1000 if facts.aperture else UNKNOWN)
    seconds = given.exposure or facts.exposure or target.exposure
    return replace(
        target, band=given.band or target.band or facts.filter, target=target.target or facts.target,
        exposure=UNKNOWN if seconds is None else float(seconds),
        time=facts.time.isoformat().replace("+00:00", "") if facts.time else target.time,
        diameter=float(diameter), site=given.site or facts.site,
        airmass=UNKNOWN if given.airmass is None else given.airmass,
        scale=facts.scale or UNKNOWN, n_frames=max(facts.combined, 1),
    )  # fmt: skip


def estimated_variance(
    pixels: Plane, bits: Bits, unit: str, factor: float, given: Given, facts: FrameFacts
) -> tuple[Plane, list[str]]:
    """Return a variance plane from the noise of the sky, and the light of stars where the gain is known.

    Parameters
    ----------
    pixels, bits
        (y, x), as the file has them, and their quality.
    unit, factor
        Of the fluxes, and what makes it of `pixels`.
    given, facts
        Read noise and exposure, of the caller before those of the header.

    Returns
    -------
    variance, notes
        float32 (y, x), `unit` squared; what it rests on.
    """
    sky = background(pixels, bits)
    noise = sky.rms_map() * np.float32(factor)
    variance = noise**2
    if not unit.startswith("electron"):
        return variance, [
            "errors are those of the sky's noise alone: without the gain the noise of the stars' own light "
            "is unknown, so the errors of bright stars are too small"
        ]
    known = given.exposure or facts.exposure
    seconds = (known or 1.0) if unit.endswith("/ s") else 1.0
    if given.read_noise is not None:
        variance = np.maximum(variance, np.float32((given.read_noise / seconds) ** 2))
    light = np.maximum((pixels - sky.level_map()) * np.float32(factor), 0)
    notes = ["the file has no errors: they are made from the noise of its sky and the light of its stars"]
    if unit.endswith("/ s") and not known:
        notes.append("the exposure is unknown, so errors take it for 1 s; give --exposure")
    return variance + np.nan_to_num(light) / np.float32(seconds), notes
