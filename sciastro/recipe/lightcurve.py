"""A light curve of one star: from a session or a finished run to tables, picture and summary.

Joins what siblings do: frames and stars (`lightcurveframes`), comparison stars and zero points
(`photometry.lightcurve`), times (`astrometry.timing`), which points count (`lightcurveverdicts`), transit,
trends and red noise (`lightcurvefit`).
"""

import logging
import math
from collections.abc import Callable

import numpy as np

from sciastro.astrometry.airmass import airmass
from sciastro.astrometry.startimes import star_times
from sciastro.astrometry.timing import bjd_tdb, meaning_of
from sciastro.io.paths import new_folder
from sciastro.photometry.lightcurve import RawLight, make_curves
from sciastro.photometry.limbdarkening import limb_from_text
from sciastro.photometry.series import tried_radii
from sciastro.photometry.transitoptions import check_orbit
from sciastro.photometry.trends import check_causes
from sciastro.recipe.detector import gain_is_assumed
from sciastro.recipe.lightcurvearound import known_variables, offsets_of, scintillation_of, site_of
from sciastro.recipe.lightcurvecatalog import catalog_level, check_system
from sciastro.recipe.lightcurvedata import LightCurve, LightCurveRequest
from sciastro.recipe.lightcurvefit import fitted, limb_of
from sciastro.recipe.lightcurveframes import FieldSeries, frames_of_band, measure_field
from sciastro.recipe.lightcurvenights import offsets_of_nights
from sciastro.recipe.lightcurvenoise import nights_of
from sciastro.recipe.lightcurvesession import check_session, reduced_run
from sciastro.recipe.lightcurvetarget import Place, place_of
from sciastro.recipe.lightcurveverdicts import check_in_field, check_shown, notes_on_target, verdicts

__all__ = ["LightCurve", "LightCurveRequest", "curve_of", "light_curve"]

log = logging.getLogger(__name__)


def light_curve(request: LightCurveRequest, *, tell: Callable[[str], None] = log.info) -> LightCurve:
    """Measure the light curve of a star.

    Raises
    ------
    SciastroError
        For options out of range, and data that the user can mend: an unknown target, no comparison star,
        no frame that shows it.
    """
    tried_radii(request.series.radii)
    check_causes(request.transit.detrend)
    limb_from_text(request.transit.limb_darkening)
    check_orbit(request.transit)
    check_system(request.system)
    check_session(request.session)
    target = place_of(request.target, "--target", offline=request.offline, name=request.name)
    named = [place_of(text, "--comp", offline=request.offline) for text in request.comparisons]
    with new_folder(request.out):
        run = reduced_run(request, tell)
        band, frames, notes = frames_of_band(run, request.band, target.radec)
        check_shown([one for _, one in frames], target)
        for one in named:
            check_shown([frame for _, frame in frames], one, "--comp")
        places = [target.radec, *(one.radec for one in named)]
        series = measure_field(run, band, frames, places, request.series, tell)
        return curve_of(series, target, len(named), request, notes, tell)


def curve_of(
    series: FieldSeries,
    target: Place,
    n_named: int,
    request: LightCurveRequest,
    notes: list[str],
    tell: Callable[[str], None],
) -> LightCurve:
    """Return the light curve of star 0 of a field; stars 1 to `n_named` are comparisons that the user names.

    Raises
    ------
    MatchError
        If no star can be compared with, or no frame shows the target.
    """
    notes = notes + series.notes
    site, place_notes = site_of(series, request)
    time = np.array([_utc(one.time) for one in series.frames], dtype="datetime64[us]")
    bjd = bjd_tdb(time, target.ra, target.dec, site)
    mass = np.full(time.size, np.nan)
    if site is not None:
        mass = airmass(target.ra, target.dec, site.latitude, site.longitude, time)
    twinkle, twinkle_note = scintillation_of(series, request, site, mass)
    notes += place_notes + twinkle_note
    check_in_field(series, target)
    good = series.measured & np.array([one.use for one in series.frames])
    if not good.any():
        good = series.measured
        notes.append("the run left out every frame; all that could be measured are taken")
    barred, barred_notes = known_variables(series, request)
    notes += barred_notes
    known = not any(gain_is_assumed(one.gain_source) for one in series.frames)
    raw = RawLight(
        flux=series.flux, variance=series.variance, flags=series.flags,
        factor=np.array([one.factor for one in series.tried]), place=offsets_of(series),
        scintillation=twinkle, known_gain=known,
    )  # fmt: skip
    given = np.arange(1, 1 + n_named) if n_named else None
    curves = make_curves(raw, good, barred=barred, given=given, options=request.compare)
    notes += curves.notes
    if not known:
        notes.append(
            "nobody knows the gain: starlight's shot noise is taken from the scatter of comparison stars, "
            f"{curves.photons:.3f} +- {curves.photons_err:.3f} times that of 1 electron / adu"
        )
    tell(
        f"{curves.chosen.stars.size} comparison stars, aperture {series.tried[curves.aperture]}, zero points "
        f"{'slope over the field' if curves.sloping else 'are the same over the field'}"
    )
    level, level_notes = catalog_level(series, curves, request)
    notes += level_notes
    judged = verdicts(series, curves, bjd, good, target.name)
    notes += notes_on_target(series, curves, judged.flags)
    how = request.transit
    limb = limb_of(how, series.band, level)
    found = fitted(series, curves, (bjd, mass), judged, how, limb, tell)
    if found.transit is not None:
        notes += found.transit.notes
    elif how.transit == "yes":
        notes.append(
            "no transit could be fitted: too few points, none both in and out of it (--t0, --period), or "
            "causes that are one and the same (--detrend)"
        )
    night = nights_of(bjd)
    offsets = offsets_of_nights(series, curves, night, found.verdicts.use)
    return LightCurve(
        request=request, target=target, series=series, curves=curves, time=time,
        bjd=bjd, star_bjd=star_times(time, bjd, series.ra, series.dec, site), level=level,
        airmass=mass, offsets=offsets, night=night, flags=found.verdicts.flags, use=found.verdicts.use,
        reason=found.verdicts.reason, trends=found.trends, transit=found.transit, limb=limb,
        fitted_in=found.fitted_in, noise=found.noise, baseline=found.baseline, model=found.model,
        scatter=found.scatter, scatter_points=found.scatter_points, time_meaning=meaning_of(site),
        notes=list(dict.fromkeys(notes)),
    )  # fmt: skip


def _utc(seconds: float) -> np.datetime64:
    if not math.isfinite(seconds):
        return np.datetime64("NaT")
    return np.datetime64(round(seconds * 1e6), "us")
