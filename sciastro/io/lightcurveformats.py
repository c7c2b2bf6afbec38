"""Light curves as others want them: AAVSO Extended, the AAVSO's exoplanet report, ETD.

Reads plain arrays and facts; returns text. Formats: AAVSO Extended File Format 1.2; AAVSO Exoplanet WebObs
Users Guide 1.0; ETD (Poddany, Brat & Pejcha 2010, New Astronomy 15, 297): geocentric JD (UTC), magnitude,
error. A fact that a format requires and nobody tells is an error, never made up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sciastro.errors import OptionError

__all__ = [
    "AAVSO_FILTERS",
    "CurveFacts",
    "CurvePoints",
    "aavso_extended",
    "aavso_exoplanet",
    "etd",
    "known_binning",
]

Floats = npt.NDArray[np.float64]

AAVSO_FILTERS = {
    "U": "U", "B": "B", "V": "V", "R": "R", "I": "I", "u": "SU", "g": "SG", "r": "SR", "i": "SI", "z": "SZ",
    "G": "TG", "OSC-R": "TR", "OSC-G": "TG", "OSC-B": "TB", "Clear": "CV", "L": "CV", "J": "J", "H": "H",
    "K": "K", "Ha": "HA",
}  # fmt: skip
"""Name of a filter here to its code there; any other is "O" (other), named in the notes."""
MOST_DETREND = 4


@dataclass(frozen=True, kw_only=True)
class CurveFacts:
    """What is said of a light curve beside its points; "" unknown.

    Attributes
    ----------
    star, planet, observer, secondary
        Names; the AAVSO's code of the observer, and of others.
    band, exposure, binning, camera
        Filter; [s]; "1x1"; "CCD" or "DSLR".
    comparison, check
        Names of the comparison star (or "ENSEMBLE") and of a check star.
    priors, results, notes, software
        Free texts.
    """

    star: str
    planet: str = ""
    observer: str = ""
    secondary: str = ""
    band: str = ""
    exposure: float = float("nan")
    binning: str = ""
    camera: str = "CCD"
    comparison: str = "ENSEMBLE"
    check: str = ""
    priors: str = ""
    results: str = ""
    notes: str = ""
    software: str = "sciastro"


@dataclass(frozen=True, kw_only=True)
class CurvePoints:
    """Points that count, in order of time; NaN unknown.

    Attributes
    ----------
    jd, bjd
        Middle of the exposure: geocentric JD (UTC), BJD (TDB) [d].
    flux, flux_err
        Relative, 1 out of transit; not detrended.
    mag, mag_err, limit
        Differential magnitude; NaN where the star was not seen, and then `limit` (3 sigma) [mag].
    airmass, check
        Airmass; magnitude of the check star [mag].
    detrend
        Name to values of what a baseline was made of.
    """

    jd: Floats
    bjd: Floats
    flux: Floats
    flux_err: Floats
    mag: Floats
    mag_err: Floats
    limit: Floats
    airmass: Floats
    check: Floats
    detrend: dict[str, Floats] = field(default_factory=dict)


def _needed(value: str, what: str, option: str, form: str) -> str:
    text = _plain(value)
    if not text:
        raise OptionError(f"needs {what}.", where=f"--export {form}", remedy=f"Give it with {option}.")
    return text


def _plain(text: str, limit: int | None = None, delimiter: str = ",") -> str:
    """Return `text` in printable ASCII without the delimiter and line breaks, cut to `limit`."""
    out = "".join(
        char if 32 <= ord(char) < 127 and char != delimiter else " "
        for char in text.replace(delimiter, ";")
    )  # fmt: skip
    return " ".join(out.split())[:limit].strip()


def _short(value: str, what: str, limit: int, form: str) -> str:
    """Refuse a text that is too long where cutting would change its meaning."""
    if len(value) > limit:
        raise OptionError(
            f"allows {limit} characters for {what}, and '{value}' has {len(value)}.",
            where=f"--export {form}", remedy="Give a shorter one.",
        )  # fmt: skip
    return value


def _number(value: float, digits: int, width: int) -> str:
    """Return a number with a point, in at most `width` characters; "na" for NaN."""
    if not np.isfinite(value):
        return "na"
    for d in range(digits, 0, -1):
        text = f"{value:.{d}f}"
        if len(text) <= width:
            return text
    return "na"


def aavso_extended(points: CurvePoints, facts: CurveFacts) -> str:
    """Return a report in the AAVSO Extended File Format.

    Magnitudes are differential (MTYPE DIF) against the comparison stars, not transformed; a star that was not
    seen is "fainter than".

    Raises
    ------
    OptionError
        If the observer's code or the star's name is missing or too long.
    """
    form = "aavso"
    code = _short(_needed(facts.observer, "the observer's AAVSO code", "--obscode", form), "a code", 5, form)
    star = _short(_needed(facts.star, "the star's name", "--name", form), "a name", 30, form)
    band, word = _filter(facts.band)
    notes = _plain("; ".join(part for part in (word, facts.notes) if part), 1000) or "na"
    lines = [
        "#TYPE=EXTENDED", f"#OBSCODE={code}", f"#SOFTWARE={_plain(facts.software, 255)}", "#DELIM=,",
        "#DATE=JD", f"#OBSTYPE={facts.camera}",
        "#NAME,DATE,MAG,MERR,FILT,TRANS,MTYPE,CNAME,CMAG,KNAME,KMAG,AMASS,GROUP,CHART,NOTES",
    ]  # fmt: skip
    check = _plain(facts.check, 20) or "na"
    for i in range(points.jd.size):
        seen = np.isfinite(points.mag[i])
        magnitude = _number(points.mag[i], 4, 8) if seen else f"<{_number(points.limit[i], 3, 7)}"
        if magnitude in ("na", "<na") or not np.isfinite(points.jd[i]):
            continue
        error = _number(points.mag_err[i], 4, 6) if seen else "na"
        lines.append(
            ",".join(
                [
                    star, _number(points.jd[i], 6, 16), magnitude, error, band, "NO", "DIF",
                    _plain(facts.comparison, 20), "na", check,
                    "na" if check == "na" else _number(points.check[i], 4, 8),
                    _number(points.airmass[i], 4, 7), "na", "na", notes,
                ]
            )
        )  # fmt: skip
    return "\n".join(lines) + "\n"


def _filter(name: str) -> tuple[str, str]:
    """Return the AAVSO's code of a filter, and a word for the notes where it says less than the name."""
    if name in AAVSO_FILTERS:
        return AAVSO_FILTERS[name], ""
    return "O", f"filter {name or 'unknown'}"


def known_binning(binning: str) -> str:
    """Return a binning that the AAVSO's exoplanet report knows.

    Raises
    ------
    OptionError
        For any other.
    """
    if binning not in ("1x1", "2x2", "3x3", "4x4"):
        raise OptionError(
            f"knows 1x1 to 4x4, and binning is {binning}.", where="--export exoplanet",
            remedy="Give --binning, or take another format.",
        )  # fmt: skip
    return binning


def aavso_exoplanet(points: CurvePoints, facts: CurveFacts) -> str:
    """Return a report for the AAVSO's exoplanet database; fluxes relative to out of transit, not detrended.

    Raises
    ------
    OptionError
        If a required fact is missing, too long or beyond what the format allows.
    """
    form = "exoplanet"
    code = _short(_needed(facts.observer, "the observer's AAVSO code", "--obscode", form), "a code", 5, form)
    star = _short(_needed(facts.star, "the star's name", "--name", form), "a name", 100, form)
    planet = _short(_needed(facts.planet, "the planet's name", "--planet", form), "a name", 100, form)
    binning = known_binning(_needed(facts.binning, "the binning", "--binning", form))
    if not 0 < facts.exposure <= 600:
        raise OptionError(
            f"allows exposures up to 600 s, and these are of {facts.exposure:g} s.",
            where="--export exoplanet", remedy="Take another format.",
        )  # fmt: skip
    band, word = _filter(facts.band)
    causes = list(points.detrend)[:MOST_DETREND]
    notes = _plain("; ".join(part for part in (word, facts.notes) if part))
    lines = [
        "#TYPE=EXOPLANET", f"#OBSCODE={code}", f"#SECONDARY_OBSCODES={_plain(facts.secondary, 60, '#')}",
        f"#SOFTWARE={_plain(facts.software, 255)}", "#DELIM=,", "#DATE_TYPE=BJD_TDB",
        f"#OBSTYPE={facts.camera}", f"#STAR_NAME={star}", f"#EXOPLANET_NAME={planet}", f"#BINNING={binning}",
        f"#EXPOSURE_TIME={facts.exposure:g}", f"#FILTER={band}", f"#DETREND_PARAMETERS={','.join(causes)}",
        "#MEASUREMENT_TYPE=Rnflux", f"#PRIORS={_plain(facts.priors, 250, '#')}",
        f"#RESULTS={_plain(facts.results, 250, '#')}", f"#NOTES={notes}",
        "#DATE,DIFF,ERR" + "".join(f",DETREND_{k + 1}" for k in range(len(causes))),
    ]  # fmt: skip
    for i in range(points.bjd.size):
        if not (np.isfinite(points.bjd[i]) and np.isfinite(points.flux[i])):
            continue
        row = [f"{points.bjd[i]:.8f}", f"{points.flux[i]:.8f}", _number(points.flux_err[i], 6, 12)]
        row += [_number(points.detrend[name][i], 6, 12) for name in causes]
        lines.append(",".join(row))
    return "\n".join(lines) + "\n"


def etd(points: CurvePoints, facts: CurveFacts) -> str:
    """Return three columns for the Exoplanet Transit Database: geocentric JD (UTC), magnitude, error."""
    del facts
    rows: Sequence[int] = np.flatnonzero(
        np.isfinite(points.jd) & np.isfinite(points.mag) & np.isfinite(points.mag_err)
    ).tolist()
    return "".join(f"{points.jd[i]:.6f} {points.mag[i]:.5f} {points.mag_err[i]:.5f}\n" for i in rows)
