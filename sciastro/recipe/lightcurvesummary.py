"""The content of ``summary.json`` of a light curve: what was found, how, and what the user should know."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from sciastro.core.history import package_version
from sciastro.photometry.ensemble import NEPER
from sciastro.photometry.periodogram import Periodogram
from sciastro.photometry.rednoise import RedNoise
from sciastro.photometry.transitfit import NoiseFound, TransitFit
from sciastro.recipe.lightcurvedata import LightCurve
from sciastro.recipe.lightcurveverdicts import FAINT

__all__ = ["comparison_rows", "detrending", "level_of", "standard_magnitude", "summary_of"]

SCHEMA = 1


def standard_magnitude(lc: LightCurve) -> float:
    """Return the magnitude of relative flux 1 of the target in a photometric system; NaN without one."""
    return float(lc.curves.mag[0] + lc.level.offset[0]) if lc.level is not None else math.nan


def level_of(lc: LightCurve) -> float:
    """Return the relative flux that is called 1: out of transit, or the median of what counts."""
    if lc.transit is not None:
        return float(np.mean(lc.baseline[lc.use]))
    return float(np.median(lc.flux[lc.use]))


def comparison_rows(lc: LightCurve) -> list[dict[str, Any]]:
    """Return what is told of each comparison star."""
    found = lc.curves.ensemble
    rows = []
    total = float(found.weight.sum())
    for k, i in enumerate(lc.curves.chosen.stars):
        alone = found.alone[k][np.isfinite(found.alone[k])]
        rows.append(
            {
                "id": f"C{k + 1}", "ra": float(lc.series.ra[i]), "dec": float(lc.series.dec[i]),
                "mag_inst": number(found.mag[k]),
                "mag_catalog": number(lc.level.mag[i]) if lc.level is not None else None,
                "n_frames": int((found.weight[k] > 0).sum()),
                "scatter_mag": number(np.std(alone)) if alone.size > 1 else None,
                "excess_mag": number(np.sqrt(found.excess[k])),
                "weight": number(found.weight[k].sum() / total),
            }
        )  # fmt: skip
    return rows


def number(value: Any) -> float | None:
    """Return a float that JSON can hold; None where it is none."""
    out = float(value)
    return out if math.isfinite(out) else None


def red_noise_of(noise: RedNoise) -> dict[str, Any]:
    """Return what is told of red noise."""
    return {
        "beta": number(noise.beta), "beta_err": number(noise.beta_err), "minutes": [noise.low, noise.high],
        "sigma_white": number(noise.sigma_white), "sigma_red": number(noise.sigma_red),
    }  # fmt: skip


def detrending(fit: TransitFit | None) -> dict[str, Any]:
    """Return causes and coefficients of the baseline."""
    if fit is None:
        return {
            "causes": [], "coefficients": {}, "probability": {}, "held_to": None,
            "method": "none: no transit",
        }  # fmt: skip
    return {
        "causes": list(fit.causes),
        "probability": {name: number(value) for name, value in fit.share.items()},
        "coefficients": {name: [value, err] for name, (value, err) in fit.coefficients.items()},
        "held_to": number(fit.kind.trend),
        "method": f"average over {fit.n_sets} sets of causes by marginal likelihood"
        if fit.n_sets > 1
        else "as asked for",
    }


def noise_of(kind: NoiseFound) -> dict[str, Any]:
    """Return what is told of the noise that errors of a transit hold."""
    return {
        "method": "white, and a process of exp(-dt / minutes); averaged over kinds",
        "red_probability": number(kind.red), "deviation": number(kind.deviation),
        "minutes": number(kind.minutes), "stars": kind.n_stars,
    }  # fmt: skip


def transit_of(lc: LightCurve) -> dict[str, Any] | None:
    """Return what is told of a transit, None without one."""
    fit = lc.transit
    if fit is None:
        return None
    out: dict[str, Any] = {}
    for name, value in fit.values.items():
        out[name], out[f"{name}_err"] = number(value), number(fit.errors[name])
    out |= {
        "duration": number(24 * fit.values["duration"]), "duration_err": number(24 * fit.errors["duration"]),
        "units": {"t0": "BJD_TDB", "duration": "h", "depth": "rp_rs squared", "inclination": "deg"},
        "period": fit.period, "bic": number(fit.bic), "bic_without": number(fit.bic_flat),
        "chi2_reduced": number(fit.chi2_reduced), "error_scale": number(fit.scale),
        "noise": noise_of(fit.kind), "detrending": detrending(fit),
        "limb_darkening": asdict(fit.limb), "known_orbit": fit.orbit,
        "model": "Mandel & Agol 2002, quadratic limb darkening, circular orbit",
    }  # fmt: skip
    if fit.pooled:
        out["apertures"] = {
            "method": "draws of equally good apertures are pooled; the chosen one is the first",
            "radius": [str(lc.series.tried[k]) for k in lc.fitted_in],
            "depth": [number(depth) for depth, _ in fit.pooled],
            "depth_err": [number(err) for _, err in fit.pooled],
        }
    if fit.draws is not None:
        out["sampler"] = {
            "method": "walkers: differences, snooker (ter Braak & Vrugt 2008), jumps (Tierney 1994)",
            "walkers": fit.draws.chain.shape[1], "steps": fit.draws.chain.shape[0],
            "acceptance": number(fit.draws.acceptance),
            "autocorrelation": number(np.max(fit.draws.autocorrelation)),
            "effective_draws": number(fit.draws.effective), "converged": fit.draws.converged,
            "ended_by_time": fit.draws.late,
        }  # fmt: skip
    return out


def summary_of(lc: LightCurve) -> dict[str, Any]:
    """Return the content of ``summary.json``."""
    k = lc.curves.aperture
    left: dict[str, str] = {
        frame.name: text for frame, text in zip(lc.series.frames, lc.reason, strict=True) if text
    }
    excluded: dict[str, int] = {}
    for text in lc.curves.chosen.reasons.values():
        excluded[text] = excluded.get(text, 0) + 1
    with np.errstate(invalid="ignore"):
        typical = float(np.nanmedian(lc.err[lc.use])) / level_of(lc)
    return {
        "schema": SCHEMA, "version": package_version(),
        "status": "ok" if lc.use.all() else "partial",
        "target": {
            "name": lc.target.name, "ra": lc.target.ra, "dec": lc.target.dec, "source": lc.target.source,
            "measured_ra": float(lc.series.ra[0]), "measured_dec": float(lc.series.dec[0]),
        },
        "filter": lc.series.band, "n_frames": len(lc.series.frames), "n_used": int(lc.use.sum()),
        "n_nights": int(np.unique(lc.night[lc.use]).size),
        "comparison_stars": comparison_rows(lc), "not_comparison": excluded,
        "aperture": {
            "radius": str(lc.series.tried[k]),
            "radius_px": number(np.nanmedian(np.sqrt(lc.series.area[k] / np.pi))),
            "chosen_by": "least scatter of comparison stars as bright as the target",
            "tried": {str(one): number(v) for one, v in zip(lc.series.tried, lc.curves.tried, strict=True)},
        },
        "zero_points": "slope over the field, frame by frame" if lc.curves.sloping else "one per frame",
        "magnitudes": _magnitudes(lc),
        "scatter": number(lc.scatter / level_of(lc)),
        "scatter_neighbors": number(lc.scatter_points / level_of(lc)),
        "typical_error": number(typical),
        "error_terms": {name: number(np.nanmedian(v[lc.use])) for name, v in lc.curves.terms.items()},
        "photon_factor": None if lc.curves.photons == 1.0 else number(lc.curves.photons),
        "night_offsets": _offsets(lc),
        "red_noise": red_noise_of(lc.noise), "transit": transit_of(lc),
        "periods": [_period(one) for one in lc.periodograms()],
        "time": {**lc.time_meaning, "first": _first(lc), "last": _last(lc)},
        "left_out": left, "warnings": list(lc.notes),
    }  # fmt: skip


def _offsets(lc: LightCurve) -> dict[str, Any] | None:
    """Return what levels of nights differ beyond the errors of points; None for a single night."""
    found = lc.offsets
    if found.n_nights < 2:
        return None
    names = ("alike", "neighbors", "faint", "n_stars", "n_nights")
    return {
        "err": number(found.err[0] / level_of(lc)), **{name: number(getattr(found, name)) for name in names},
        "scatter_over_errors": number(found.pull), "scatter_over_errors_with_it": number(found.pull_with),
    }  # fmt: skip


def _magnitudes(lc: LightCurve) -> dict[str, Any] | None:
    """Return the target's magnitude in a system, and what leads to it."""
    level, own = level_of(lc), _level_error(lc)
    if lc.level is None or not level > FAINT * own:
        return None
    mag = standard_magnitude(lc) - 2.5 * math.log10(max(level_of(lc), 1e-30))
    brief = {name: number(v) if isinstance(v, float) else v for name, v in lc.level.brief().items()}
    brief["err"] = number(math.hypot(lc.level.brief()["err"], NEPER * own / level))
    return {"mag": number(mag)} | brief


def _level_error(lc: LightCurve) -> float:
    """Return the standard error of the relative flux that is called 1, of points and of nights."""
    weight = 1 / lc.err[lc.use] ** 2
    nights = np.nan_to_num(lc.offsets.err[0]) ** 2 / max(lc.offsets.n_nights, 1)
    return float(np.sqrt(1 / weight.sum() + nights))


def _period(found: Periodogram) -> dict[str, Any]:
    names = ("period", "period_err", "false_alarm", "depth", "t0", "duration")
    return {"method": found.method} | {name: number(getattr(found, name)) for name in names}


def _first(lc: LightCurve) -> float | None:
    return number(np.nanmin(lc.bjd)) if np.isfinite(lc.bjd).any() else None


def _last(lc: LightCurve) -> float | None:
    return number(np.nanmax(lc.bjd)) if np.isfinite(lc.bjd).any() else None
