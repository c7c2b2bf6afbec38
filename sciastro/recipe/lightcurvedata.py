"""What is asked of a light curve, and everything that is then known of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.timing import Site
from sciastro.photometry.comparison import CompareOptions
from sciastro.photometry.lightcurve import Curves
from sciastro.photometry.limbdarkening import LimbPrior
from sciastro.photometry.nightoffsets import NightOffsets, night_covariance
from sciastro.photometry.periodogram import Periodogram, box_periodogram, wave_periodogram
from sciastro.photometry.rednoise import RedNoise
from sciastro.photometry.series import SeriesOptions
from sciastro.photometry.transitfit import TransitFit
from sciastro.photometry.transitoptions import TransitOptions
from sciastro.photometry.trends import Trends
from sciastro.recipe.catalogs import EMBEDDED
from sciastro.recipe.lightcurveframes import FieldSeries
from sciastro.recipe.lightcurvetarget import Place

if TYPE_CHECKING:
    from sciastro.recipe.lightcurvecatalog import CatalogLevel

__all__ = ["LightCurve", "LightCurveRequest"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class LightCurveRequest:
    """What the user asked for.

    Attributes
    ----------
    session, out
        Folder of raw frames or of a finished run; folder for the products.
    target, name, comparisons
        Names or places "RA DEC", and what to call the star; no comparisons: they are chosen.
    band
        Filter; None: that of most frames.
    site, telescope
        Where headers are silent: place, diameter [m].
    ra, dec, scale
        Of the field, where headers are silent: [deg], [arcsec / pixel].
    offline
        Ask nothing over the network.
    catalog, system
        Catalog and photometric system of magnitudes; "" goes by the filter.
    series, compare, transit
        Options of the parts.
    """

    session: Path
    out: Path
    target: str
    name: str = ""
    comparisons: tuple[str, ...] = ()
    band: str | None = None
    site: Site | None = None
    telescope: float | None = None
    ra: float | None = None
    dec: float | None = None
    scale: float | None = None
    offline: bool = False
    catalog: str = EMBEDDED
    system: str = ""
    memory: str = "2GB"
    workers: int = 0
    series: SeriesOptions = field(default_factory=SeriesOptions)
    compare: CompareOptions = field(default_factory=CompareOptions)
    transit: TransitOptions = field(default_factory=TransitOptions)


@dataclass
class LightCurve:
    """Everything that is known of a light curve; frames in order of time.

    Attributes
    ----------
    time
        (frame) middle of the exposure, UTC; NaT unknown.
    bjd, airmass
        (frame) BJD_TDB [d], NaN unknown.
    star_bjd
        (star, frame) BJD_TDB for the direction of each star [d].
    level
        What leads to magnitudes of a system; None where the catalog tells none.
    offsets
        Errors of the levels of nights, by star.
    flags, use, reason
        (frame) of the target: bits, whether it counts, why not.
    request
        As asked.
    trends, transit, limb, noise
        Causes; fit or None; its prior of limb darkening; red noise of the residuals.
    fitted_in
        Indices of the apertures whose draws are pooled in `transit`; empty without one.
    baseline, model
        (frame) trend and transit alone (NaN where the frame does not count).
    scatter, scatter_points
        Standard deviation of the residuals, and that of differences of neighbors over sqrt 2 (relative).
    """

    request: LightCurveRequest
    target: Place
    series: FieldSeries
    curves: Curves
    time: npt.NDArray[np.datetime64]
    bjd: Floats
    star_bjd: Floats
    level: "CatalogLevel | None"
    airmass: Floats
    offsets: NightOffsets
    night: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint32]
    use: Bools
    reason: list[str]
    trends: Trends
    transit: TransitFit | None
    fitted_in: tuple[int, ...]
    limb: LimbPrior
    noise: RedNoise
    baseline: Floats
    model: Floats
    scatter: float
    scatter_points: float
    time_meaning: dict[str, str]
    notes: list[str]

    def periodograms(self) -> list[Periodogram]:
        """Return what periods the points have that count: waves, and boxes where there are several nights."""
        some = self.bjd[self.use], self.curves.flux[0, self.use], self.curves.err[0, self.use]
        return [one for one in (wave_periodogram(*some), box_periodogram(*some)) if one is not None]

    def covariance(self) -> Floats:
        """Return the covariance (point, point) of relative fluxes that count, with the level of the night."""
        err, night = self.err[self.use], self.night[self.use]
        return night_covariance(err, float(self.offsets.err[0]), night)

    @property
    def flux(self) -> Floats:
        """(frame) relative flux of the target, its median 1; products are over the light out of transit."""
        return np.asarray(self.curves.flux[0])

    @property
    def err(self) -> Floats:
        """(frame) its standard error."""
        return np.asarray(self.curves.err[0])
