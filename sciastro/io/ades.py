"""Reports in ADES, the IAU's exchange format for positions of minor planets and comets, as PSV.

Header records (``#`` and ``!``), one record of column names, one line of values per observation, separated by
``|``. Elements, their order and widths are those of the published schema (github.com/IAU-ADES/ADES-Master,
submit.xsd), of version 2022 or 2017.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import numpy as np

from sciastro.core.history import package_version
from sciastro.errors import OptionError
from sciastro.io.observations import Observation, ReportFacts

__all__ = ["VERSIONS", "report_ades"]

VERSIONS = ("2022", "2017")
WIDEST = 300  # remarks

Cell = Callable[[Observation, ReportFacts], str]


def report_ades(observations: Sequence[Observation], facts: ReportFacts, *, version: str = "2022") -> str:
    """Return a report.

    Parameters
    ----------
    observations
        At least one.
    facts
        Observatory, people, telescope.
    version
        One of `VERSIONS`.

    Raises
    ------
    OptionError
        If a fact is missing or impossible, or an observation cannot be reported.
    """
    if version not in VERSIONS:
        raise OptionError(
            f"is {version!r}.", where="version of ADES", remedy=f"Choose from {', '.join(VERSIONS)}."
        )
    facts.check()
    if not observations:
        raise OptionError(
            "has no observation.", where="the report", remedy="Choose movers that were measured."
        )
    for one in observations:
        one.check()
    cells = {name: [cell(one, facts) for one in observations] for name, cell in COLUMNS.items()}
    used = {name: texts for name, texts in cells.items() if name in ALWAYS or any(texts)}
    widths = {name: max(len(name), *(len(text) for text in texts)) for name, texts in used.items()}
    rows = ["|".join(name.ljust(widths[name]) for name in used).rstrip()]
    for i in range(len(observations)):
        rows.append("|".join(texts[i].ljust(widths[name]) for name, texts in used.items()).rstrip())
    return "\n".join([*_header(facts, version), *rows]) + "\n"


def _header(facts: ReportFacts, version: str) -> list[str]:
    lines = [f"# version={version}", "# observatory", f"! mpcCode {facts.station}"]
    lines += ["# submitter", f"! name {facts.submitter}"]
    lines += ["# observers", *(f"! name {name}" for name in facts.observers)]
    lines += ["# measurers", *(f"! name {name}" for name in facts.measurers)]
    lines += ["# telescope"]
    if facts.telescope:
        lines += [f"! name {facts.telescope}"]
    lines += [f"! design {facts.design}", f"! aperture {_number(facts.aperture, 3, 6)}"]
    lines += [f"! detector {facts.detector}"]
    if facts.focal_ratio is not None:
        lines += [f"! fRatio {_number(facts.focal_ratio, 2, 6)}"]
    if facts.pixel_scale is not None:
        lines += [f"! pixelScale {_number(facts.pixel_scale, 3, 6)}"]
    program = f"sciastro {package_version()}"[:100]
    lines += ["# software", f"! astrometry {program}", f"! photometry {program}"]
    lines += [f"! objectDetection {program}"]
    if facts.comments:
        lines += ["# comment", *(f"! line {text}" for text in facts.comments)]
    return lines


def _number(value: float, digits: int, width: int) -> str:
    """Return a plain decimal of at most `width` characters; "" where it is missing or does not fit."""
    if not np.isfinite(value):
        return ""
    for places in range(digits, -1, -1):
        text = f"{value:.{places}f}"
        if len(text) <= width:
            return text
    return ""


def _error(value: float, width: int) -> str:
    """Return a positive error, never written as zero."""
    text = _number(value, width - 2, width)
    return text if text and float(text) > 0 else f"{10.0 ** (2 - width):.{width - 2}f}"


def _angle(value: float, error_deg: float) -> str:
    """Return degrees whose last digit is worth no more than a hundredth of the error."""
    digits = int(np.clip(np.ceil(-np.log10(max(error_deg, 1e-12) / 100)), 5, 9))
    return f"{value:.{digits}f}"


def _ra(one: Observation, _: ReportFacts) -> str:
    cosine = max(float(np.cos(np.deg2rad(one.dec))), 1e-6)
    text = _angle(one.ra % 360, one.ra_err / 3600 / cosine)
    return text if float(text) < 360 else _angle(0.0, one.ra_err / 3600 / cosine)


def _time(time: datetime) -> str:
    """Return ISO 8601 to the millisecond, rounded."""
    rounded = time + timedelta(microseconds=500)
    return f"{rounded:%Y-%m-%dT%H:%M:%S}.{rounded.microsecond // 1000:03d}Z"


def _log_snr(one: Observation, _: ReportFacts) -> str:
    return _number(float(np.log10(one.snr)), 2, 5) if one.snr > 0 else ""


def _has_mag(one: Observation) -> bool:
    return bool(np.isfinite(one.mag) and one.band and -5 <= one.mag <= 35)


COLUMNS: dict[str, Cell] = {
    "permID": lambda one, _: one.designation.permanent,
    "provID": lambda one, _: one.designation.provisional,
    "trkSub": lambda one, _: one.designation.temporary,
    "mode": lambda _, facts: facts.mode,
    "stn": lambda _, facts: facts.station,
    "obsTime": lambda one, _: _time(one.time),
    "ra": _ra,
    "dec": lambda one, _: _angle(one.dec, one.dec_err / 3600),
    "rmsRA": lambda one, _: _error(one.ra_err, 6),
    "rmsDec": lambda one, _: _error(one.dec_err, 6),
    "rmsCorr": lambda one, _: f"{np.clip(one.correlation, -0.999, 0.999):.3f}" if one.correlation else "",
    "astCat": lambda _, facts: facts.catalog,
    "mag": lambda one, _: _number(one.mag, 2 if one.mag_err < 0.1 else 1, 8) if _has_mag(one) else "",
    "rmsMag": lambda one, _: _error(one.mag_err, 5) if _has_mag(one) and one.mag_err > 0 else "",
    "band": lambda one, _: one.band if _has_mag(one) else "",
    "photCat": lambda one, facts: (facts.photometric_catalog or facts.catalog) if _has_mag(one) else "",
    "logSNR": _log_snr,
    "seeing": lambda one, _: _number(one.seeing, 2, 6) if one.seeing > 0 else "",
    "exp": lambda one, _: _number(one.exposure, 2, 6) if one.exposure > 0 else "",
    "rmsFit": lambda one, _: _error(one.fit_rms, 6) if one.fit_rms > 0 else "",
    "nStars": lambda one, _: str(one.n_stars) if 0 < one.n_stars < 1_000_000 else "",
    "notes": lambda one, _: "I" if one.involved else "",
    "remarks": lambda one, _: one.remarks.replace("|", "/")[:WIDEST].strip(),
}
"""Elements of an optical observation in the order of the schema."""

ALWAYS = ("permID", "provID", "trkSub", "mode", "stn", "obsTime", "ra", "dec", "rmsRA", "rmsDec", "astCat")
