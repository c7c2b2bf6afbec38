"""Options of color calibration."""

from dataclasses import dataclass

from sciastro.core.options import Options, option
from sciastro.photometry.colorstages import STAGES

__all__ = ["ColorOptions"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorOptions(Options):
    """How colors are calibrated."""

    method: str = option(
        "auto",
        "What a star's light should be: measured spectra, the mean spectrum of its color, a black body, "
        "or no "
        "assumption but a line in B-V; auto takes the first that the stars and curves allow.",
        choices=("auto", "spectra", "locus", "empirical", "blackbody"),
    )
    white: str = option(
        "",
        "What shall look white: G2V (the Sun; also where this is empty), spiral (average galaxy), Vega, flat "
        "(photons), the B-V of a star, or a file with a spectrum.",
    )
    sensor: str = option(
        "",
        "Response of the sensor: cmos, ccd, a file, or for color sensors bayer or a file with three "
        "bands; empty "
        "takes a generic one.",
    )
    filters: str = option(
        "",
        "Curves of the filters: dichroic, or BAND=NAME, BAND=FILE, BAND=CENTER/WIDTH [nm], separated by "
        "commas; "
        "a name or file without a band lies before all (a UV/IR cut, a light pollution filter).",
    )
    spectra: str = option(
        "",
        "Star spectra by Gaia DR3 source: a file, XP continuous (needs the extra gaiaxp) or sampled; or "
        "gaia, which fetches those of the stars in the field.",
    )
    spectra_stars: int = option(
        200, "Most stars whose spectra are fetched, those of the best S/N.", low=8, high=2000
    )
    narrow_width: float = option(
        5.0, "Width of narrow bands that no curve is told for.", unit="nm", low=0.1, high=100.0
    )
    atmosphere: bool = option(True, "Count the color of the air where airmass is known.")
    stage: str = option(
        "auto",
        "How far the response is bent to the data: scalar (one factor), line or curve in color, response "
        "(piecewise linear); auto lets left-out stars decide.",
        choices=("auto", *STAGES),
    )
    narrow_picture: bool = option(
        False, "Use the gains of narrow bands in pictures, too: stars gray, lines as strong as they are."
    )
    matrix: str = option(
        "off",
        "A 3 x 3 matrix to sRGB colors on top of the gains: off, or auto, which takes it only if left-out "
        "stars "
        "are foretold better.",
        choices=("off", "auto"),
    )
    apply: bool = option(
        False, "Also write the products times their gains, as PRODUCT_color.fits; the science files stay."
    )
    center_red: float = option(635.0, "Center of the red band.", unit="nm", low=300.0, high=1100.0)
    center_green: float = option(530.0, "Center of the green band.", unit="nm", low=300.0, high=1100.0)
    center_blue: float = option(455.0, "Center of the blue band.", unit="nm", low=300.0, high=1100.0)
    min_stars: int = option(3, "Fewest stars that make a calibration.", low=3, high=1000)
    min_line_stars: int = option(10, "Fewest stars for a line in B-V.", low=4, high=1000)
    min_color_range: float = option(
        0.4, "Least spread of B-V (5 to 95 %) for a line.", unit="mag", low=0.05, high=3.0
    )
    kappa: float = option(3.5, "Clipping threshold.", unit="sigma", low=1.5, high=10.0)
    match_radius: float | None = option(
        None,
        "Largest distance to a catalog star; none takes 1.5 pixels or 1.5 arcsec.",
        unit="arcsec",
        low=0.01,
    )
    least_snr: float = option(10.0, "Least S/N of a star in each band.", low=3.0)
