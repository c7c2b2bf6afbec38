"""One position of a moving object, and the facts about observatory and observers that reports must name."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from sciastro.errors import OptionError
from sciastro.io.designations import Designation

__all__ = ["BANDS", "CATALOGS", "MODES", "Observation", "ReportFacts", "band_code", "catalog_code"]

MODES = {"CCD": "C", "CMO": "B", "VID": "n"}
"""Kinds of detector (ADES ``mode``) with note 2 of 80-column records."""

BANDS = {
    "Johnson V": "Vj", "Johnson B": "Bj", "Johnson U": "Uj", "Cousins R": "Rc", "Cousins I": "Ic",
    "SDSS u": "Su", "SDSS g": "Sg", "SDSS r": "Sr", "SDSS i": "Si", "SDSS z": "Sz", "Gaia G": "G",
}  # fmt: skip
"""Systems of magnitudes with their ADES ``band``."""

ONE_LETTER = {"Vj": "V", "Bj": "B", "Uj": "U", "Rc": "R", "Ic": "I"}

CATALOGS = (
    "Gaia3", "Gaia3E", "Gaia2", "Gaia1", "ATLAS2", "PS1_DR2", "PS1_DR1", "UCAC5", "UCAC4", "URAT1", "Tyc2",
    "Hip2", "APASS", "SDSS8", "CMC15", "PPMXL", "NOMAD", "USNOB1", "2MASS", "UBSC",
)  # fmt: skip
"""Star catalogs by their ADES names (the MPC's list, without those long out of use)."""

_CATALOG_WORDS = (("gaia dr3", "Gaia3"), ("gaia edr3", "Gaia3E"), ("gaia dr2", "Gaia2"), ("atlas", "ATLAS2"),
                  ("tycho-2", "Tyc2"), ("ucac4", "UCAC4"), ("ucac5", "UCAC5"), ("sdss", "SDSS8"))  # fmt: skip
STATION = re.compile(r"[0-9A-Za-z][0-9A-Z][0-9A-Z]$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A measured position.

    Attributes
    ----------
    designation
        What it is of.
    time
        Middle of the exposure, UTC, with its time zone.
    ra, dec
        ICRS [deg].
    ra_err, dec_err
        1 sigma [arcsec], along right ascension times cos(dec).
    correlation
        Of both errors.
    mag, mag_err, band
        Magnitude, its error [mag] and its ADES band; NaN and "" where there is none.
    exposure
        [s], in all for a stack.
    snr, seeing, fit_rms, n_stars
        Signal over noise; FWHM [arcsec]; residual rms of the astrometric stars [arcsec], and their number;
        NaN or 0 unknown.
    rate
        Motion [arcsec / min]; decides how finely the time is written.
    remarks
        Free text.
    involved
        Whether the light of a star is in it (note "I" of the MPC: involved with star).
    """

    designation: Designation
    time: datetime
    ra: float
    dec: float
    ra_err: float
    dec_err: float
    correlation: float = 0.0
    mag: float = float("nan")
    mag_err: float = float("nan")
    band: str = ""
    exposure: float = float("nan")
    snr: float = float("nan")
    seeing: float = float("nan")
    fit_rms: float = float("nan")
    n_stars: int = 0
    rate: float = 0.0
    remarks: str = ""
    involved: bool = False

    def check(self) -> None:
        """Check that it can be reported.

        Raises
        ------
        OptionError
            If position, error or time is missing or impossible, or the time is not UTC.
        """
        problem = ""
        if not (np.isfinite(self.ra) and np.isfinite(self.dec) and -90 <= self.dec <= 90):
            problem = f"has the position {self.ra}, {self.dec}"
        elif not (self.ra_err > 0 and self.dec_err > 0 and np.isfinite(self.ra_err + self.dec_err)):
            problem = f"has the position errors {self.ra_err}, {self.dec_err} arcsec"
        elif self.time.utcoffset() is None or self.time.utcoffset() != UTC.utcoffset(None):
            problem = "has a time that is not said to be UTC"
        if problem:
            raise OptionError(
                f"{problem}.", where=f"{self.designation} at {self.time.isoformat()}",
                remedy="Leave it out of the report, or measure it again.",
            )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """Who observed, where and with what; no report is written without the required ones.

    Attributes
    ----------
    station
        Observatory code of the Minor Planet Center.
    submitter, observers, measurers
        Names, as "A. N. Observer".
    aperture
        Of the telescope [m].
    design, detector
        Such as "Reflector" and "CCD" or the camera's name.
    mode
        One of `MODES`.
    catalog
        Star catalog of the astrometry, one of `CATALOGS`.
    focal_ratio, pixel_scale
        Optional; [arcsec / pixel].
    photometric_catalog, telescope, comments
        Optional.
    """

    station: str
    submitter: str
    observers: tuple[str, ...]
    measurers: tuple[str, ...]
    aperture: float
    design: str
    detector: str
    mode: str
    catalog: str
    focal_ratio: float | None = None
    pixel_scale: float | None = None
    photometric_catalog: str = ""
    telescope: str = ""
    comments: tuple[str, ...] = field(default=())

    def check(self) -> None:
        """Check what the Minor Planet Center would refuse.

        Raises
        ------
        OptionError
            For an observatory code that is none, a missing or unprintable name, a fact out of range.
        """
        if not STATION.match(self.station):
            _refuse(
                "mpc_code", f"is {self.station!r}", "Give the three characters of your observatory's code."
            )
        for name in ("submitter", "design", "detector"):
            _text(name, getattr(self, name))
        for name in ("observers", "measurers"):
            if not getattr(self, name):
                _refuse(name, "is missing", "Name at least one person.")
            for one in getattr(self, name):
                _text(name, one)
        for one in (*self.comments, *((self.telescope,) if self.telescope else ())):
            _text("comment", one)
        if not 0.01 <= self.aperture < 100:
            _refuse("aperture", f"is {self.aperture} m", "Give the diameter of the telescope in meters.")
        if self.focal_ratio is not None and not 0.1 <= self.focal_ratio < 1000:
            _refuse("focal_ratio", f"is {self.focal_ratio}", "Give focal length over aperture.")
        if self.mode not in MODES:
            _refuse("mode", f"is {self.mode!r}", f"Choose from {', '.join(MODES)}.")
        for name, catalog in (("catalog", self.catalog), ("photometric_catalog", self.photometric_catalog)):
            if catalog not in CATALOGS and (catalog or name == "catalog"):
                _refuse(name, f"is {catalog!r}", f"Choose from {', '.join(CATALOGS)}.")


def _refuse(where: str, found: str, remedy: str) -> None:
    raise OptionError(f"{found}.", where=f"report fact {where}", remedy=remedy)


def _text(where: str, text: str) -> None:
    limit = 25 if where in ("design", "detector") else 100
    if not text.strip() or len(text) > limit or "|" in text or not text.isprintable():
        _refuse(where, f"is {text!r}", f"Give 1 to {limit} printable characters without '|'.")


def band_code(system: str) -> str:
    """Return the ADES band of a system of magnitudes, "" where there is none."""
    return BANDS.get(system, "")


def catalog_code(name: str) -> str:
    """Return the ADES name of a star catalog, "" where the MPC's list has none like it."""
    if name in CATALOGS:
        return name
    low = name.casefold()
    return next((code for word, code in _CATALOG_WORDS if word in low), "")
