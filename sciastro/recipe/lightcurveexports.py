"""A light curve in the formats of others, beside ``lightcurve.ecsv``."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from sciastro.astrometry.timing import julian_date
from sciastro.core.history import package_version
from sciastro.core.options import chosen_from
from sciastro.errors import OptionError, SciastroError
from sciastro.io.lightcurveformats import (
    CurveFacts,
    CurvePoints,
    aavso_exoplanet,
    aavso_extended,
    etd,
    known_binning,
)
from sciastro.io.paths import atomic_path
from sciastro.io.tables import export_table
from sciastro.recipe.lightcurvedata import LightCurve
from sciastro.recipe.lightcurvenoise import causes_of
from sciastro.recipe.lightcurvesummary import level_of
from sciastro.recipe.lightcurvewriting import FAINT, magnitudes, reference_magnitude, table_of

__all__ = ["EXPORTS", "ExportFacts", "check_exports", "export_light_curve", "exports_from", "to_lightkurve"]

EXPORTS = {
    "aavso": "lightcurve_aavso.txt", "exoplanet": "lightcurve_exoplanet.txt", "etd": "lightcurve_etd.txt",
    "csv": "lightcurve.csv", "parquet": "lightcurve.parquet", "votable": "lightcurve.xml",
}  # fmt: skip
MAKERS = {"aavso": aavso_extended, "exoplanet": aavso_exoplanet, "etd": etd}


@dataclass(frozen=True, kw_only=True)
class ExportFacts:
    """What only the user knows: AAVSO code, planet, secondary codes, binning ("" that of the headers)."""

    observer: str = ""
    planet: str = ""
    secondary: str = ""
    binning: str = ""
    camera: str = "CCD"


def exports_from(text: str) -> tuple[str, ...]:
    """Return the formats in a text such as "aavso,etd".

    Raises
    ------
    OptionError
        For one that is not known.
    """
    return chosen_from(text, EXPORTS, "--export")


def check_exports(formats: Sequence[str], facts: ExportFacts) -> None:
    """Say before anything is measured what a format needs and nobody tells.

    Raises
    ------
    OptionError
        If a code or a name is missing, or a binning or camera is none.
    """
    for one in formats:
        if one in ("aavso", "exoplanet") and not facts.observer.strip():
            raise OptionError(
                "needs the observer's AAVSO code.", where=f"--export {one}", remedy="Give it with --obscode."
            )
        if one == "exoplanet" and not facts.planet.strip():
            raise OptionError(
                "needs the planet's name.", where="--export exoplanet", remedy="Give it with --planet."
            )
    if "exoplanet" in formats and facts.binning:
        known_binning(facts.binning)
    if facts.camera not in ("CCD", "DSLR"):
        raise OptionError(f"is '{facts.camera}'.", where="--camera", remedy="Choose CCD or DSLR.")


def export_light_curve(lc: LightCurve, formats: Sequence[str], facts: ExportFacts) -> list[Path]:
    """Write a light curve in every format that was asked for; return the files.

    Raises
    ------
    OptionError
        If a format needs what nobody tells.
    OutputError
        If a file cannot be written.
    """
    paths = []
    texts = {one: MAKERS[one](points_of(lc), facts_of(lc, facts)) for one in formats if one in MAKERS}
    for one in formats:
        path = lc.request.out / EXPORTS[one]
        if one in texts:
            with atomic_path(path) as part:
                part.write_text(texts[one], encoding="ascii")
        else:
            export_table(path, table_of(lc), one)
        paths.append(path)
    return paths


def check_star(lc: LightCurve) -> int | None:
    """Return the comparison star most like the target that others can be held against; None without one."""
    stars = lc.curves.chosen.stars
    some = np.isfinite(lc.curves.flux[stars]).any(axis=1)
    away = np.abs(lc.curves.mag[stars] - lc.curves.mag[0])
    some &= np.isfinite(away)
    return int(stars[np.argmin(np.where(some, away, np.inf))]) if some.any() else None


def star_label(lc: LightCurve, star: int) -> str:
    """Return a name by place, such as J020448.4+464727."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    place = SkyCoord(lc.series.ra[star] * u.deg, lc.series.dec[star] * u.deg)
    ra = place.ra.to_string(unit=u.hourangle, sep="", precision=1, pad=True)
    return f"J{ra}{place.dec.to_string(sep='', precision=0, pad=True, alwayssign=True)}"


def points_of(lc: LightCurve) -> CurvePoints:
    """Return the points that count."""
    use, level = lc.use, level_of(lc)
    level = level if level > 0 else 1.0
    reference = reference_magnitude(lc) - 2.5 * np.log10(level)
    flux, err = lc.flux[use] / level, lc.err[use] / level
    mag, mag_err = magnitudes(flux, err)
    causes = lc.transit.causes if lc.transit is not None else ()
    values = causes_of(lc.series, lc.bjd, lc.airmass)
    star = check_star(lc)
    check = np.full(int(use.sum()), np.nan)
    if star is not None:
        shown = magnitudes(lc.curves.flux[star, use], lc.curves.err[star, use])[0]
        check = shown + lc.curves.mag[star]
    return CurvePoints(
        jd=julian_date(lc.time[use]), bjd=lc.bjd[use], flux=flux, flux_err=err, mag=mag + reference,
        mag_err=mag_err, limit=reference - 2.5 * np.log10(np.maximum(flux, 0) + FAINT * err),
        airmass=lc.airmass[use], check=check,
        detrend={name: values[name][use] for name in causes if name in values},
    )  # fmt: skip


def facts_of(lc: LightCurve, facts: ExportFacts) -> CurveFacts:
    """Return what formats say beside the points."""
    exposures = np.array([one.exposure for one, use in zip(lc.series.frames, lc.use, strict=True) if use])
    binnings = {one.binning for one in lc.series.frames if one.binning}
    star = check_star(lc)
    fit = lc.transit
    results, priors = "", ""
    if fit is not None:
        pairs = (("Tc", "t0", 5), ("Rp/R*", "rp_rs", 4), ("a/R*", "a_rs", 2), ("inc", "inclination", 1))
        results = "; ".join(
            f"{label}={fit.values[name]:.{digits}f} +/- {fit.errors[name]:.{digits}f}"
            for label, name, digits in pairs
            if name in fit.values
        )
        limb = fit.limb
        priors = f"u1={limb.u1:.3f} +/- {limb.err1:.3f}; u2={limb.u2:.3f} +/- {limb.err2:.3f}"
        if fit.period is not None:
            priors = f"Period={fit.period:.7f}; {priors}"
    n = lc.curves.chosen.stars.size
    return CurveFacts(
        star=lc.target.name, planet=facts.planet, observer=facts.observer, secondary=facts.secondary,
        band=lc.series.band, exposure=float(np.median(exposures)),
        binning=facts.binning or (next(iter(binnings)) if len(binnings) == 1 else ""), camera=facts.camera,
        comparison="ENSEMBLE" if n > 1 else star_label(lc, int(lc.curves.chosen.stars[0])),
        check=star_label(lc, star) if star is not None else "", priors=priors, results=results,
        notes=f"{n} comparison stars; aperture {lc.series.tried[lc.curves.aperture]}",
        software=f"sciastro {package_version()}",
    )  # fmt: skip


def to_lightkurve(lc: LightCurve) -> Any:
    """Return the points that count as a `lightkurve.LightCurve`, time in BJD (TDB).

    Raises
    ------
    SciastroError
        If the package lightkurve is not installed.
    """
    try:
        package = import_module("lightkurve")
    except ImportError as error:
        raise SciastroError(
            "is not installed.", where="lightkurve", remedy="Install it: pip install lightkurve."
        ) from error
    from astropy.time import Time

    table = table_of(lc)[lc.use]
    return package.LightCurve(
        time=Time(np.asarray(table["time_bjd_tdb"].value), format="jd", scale="tdb"),
        flux=np.asarray(table["flux_rel"]), flux_err=np.asarray(table["flux_rel_err"]),
        meta={"LABEL": lc.target.name, "RA": lc.target.ra, "DEC": lc.target.dec, "FILTER": lc.series.band},
    )  # fmt: skip
