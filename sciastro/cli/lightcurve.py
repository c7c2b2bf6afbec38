"""``sciastro lightcurve``: how bright a star was, frame by frame."""

from pathlib import Path
from typing import Any

import typer

from sciastro.cli import lightcurveoptions as take
from sciastro.cli.arguments import AsJson, Memory, Offline

__all__ = ["lightcurve"]


def lightcurve(
    session: take.Session,
    target: take.Target,
    out: take.Out,
    comp: take.Comp = None,
    filter_: take.Filter = None,
    radii: take.Radii = "",
    zeropoint_catalog: take.ZeropointCatalog = "embedded",
    system: take.System = "",
    transit: take.Transit = "auto",
    period: take.Period = None,
    t0: take.MidTransit = None,
    a_rs: take.OrbitSize = None,
    a_rs_error: take.OrbitSizeError = None,
    inclination: take.Inclination = None,
    inclination_error: take.InclinationError = None,
    limb_darkening: take.LimbDarkening = "auto",
    temperature: take.Temperature = None,
    seconds: take.Seconds = 600.0,
    detrend: take.Detrend = "auto",
    name: take.Name = "",
    export: take.Export = "",
    obscode: take.Obscode = "",
    planet: take.Planet = "",
    binning: take.Binning = "",
    camera: take.Camera = "CCD",
    site: take.Site = None,
    telescope: take.Telescope = None,
    ra: take.FieldRa = None,
    dec: take.FieldDec = None,
    scale: take.FieldScale = None,
    memory: Memory = "2GB",
    workers: take.Workers = 0,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Measure a light curve: lightcurve.ecsv, .h5 (all stars), .png and summary.json in OUT.

    Exit code 4: done, but frames are left out, each with its reason in summary.json.
    """
    from sciastro.cli.common import console, error_console, guarded, offline_if

    tell = (error_console if as_json else console).tell

    with guarded(), offline_if(offline):
        import json

        from sciastro.recipe.lightcurve import light_curve
        from sciastro.recipe.lightcurveexports import (
            ExportFacts,
            check_exports,
            export_light_curve,
            exports_from,
        )
        from sciastro.recipe.lightcurvewriting import write_light_curve

        formats = exports_from(export)
        facts = ExportFacts(observer=obscode, planet=planet, binning=binning, camera=camera.upper())
        check_exports(formats, facts)
        request = _request(
            session, out, target, comp or [], filter_, site, radii,
            {"transit": transit, "period": period, "t0": t0, "a_rs": a_rs, "a_rs_error": a_rs_error,
             "inclination": inclination, "inclination_error": inclination_error,
             "limb_darkening": limb_darkening, "detrend": detrend, "temperature": temperature,
             "seconds": seconds},
            telescope=telescope, name=name, ra=ra, dec=dec, scale=scale, memory=memory, workers=workers,
            offline=offline, catalog=zeropoint_catalog, system=system,
        )  # fmt: skip
        curve = light_curve(request, tell=tell)
        summary = write_light_curve(curve)
        exported = export_light_curve(curve, formats, facts)
        if as_json:
            typer.echo(json.dumps(summary, allow_nan=False))
        else:
            for line in _closing(summary, out):
                tell(line)
            for path in exported:
                tell(f"exported: {path}")
    if summary["status"] != "ok":
        raise typer.Exit(4)


def _request(
    session: Path, out: Path, target: str, comp: list[str], band: str | None, site: str | None, radii: str,
    transit: dict[str, Any], **rest: Any,
) -> Any:  # fmt: skip
    from sciastro.astrometry.timing import Site
    from sciastro.cli.common import spelled
    from sciastro.photometry.series import SeriesOptions
    from sciastro.photometry.transitoptions import TransitOptions
    from sciastro.recipe.clocks import site_from_text
    from sciastro.recipe.lightcurve import LightCurveRequest

    place = site_from_text(site or "", "--site")
    series = SeriesOptions(radii=radii) if radii else SeriesOptions()
    with spelled(**{name: "--" + name.replace("_", "-") for name in transit}):
        how = TransitOptions(**transit)
    return LightCurveRequest(
        session=session, out=out, target=target, comparisons=tuple(comp), band=band,
        site=Site(*place) if place is not None else None, series=series, transit=how,
        **rest,
    )  # fmt: skip


def _closing(summary: dict[str, Any], out: Path) -> list[str]:
    beta = summary["red_noise"]["beta"]
    lines = [
        f"{summary['n_used']} of {summary['n_frames']} frames, {len(summary['comparison_stars'])} comparison "
        f"stars, scatter {100 * summary['scatter']:.2f} %"
        + (f", red noise beta {beta:.2f}" if beta is not None else "")
    ]
    fit = summary["transit"]
    if fit is not None:
        lines.append(
            f"transit: mid {fit['t0']:.5f} +- {fit['t0_err']:.5f} BJD_TDB, depth {100 * fit['depth']:.2f} +- "
            f"{100 * fit['depth_err']:.2f} %, duration {fit['duration']:.2f} +- {fit['duration_err']:.2f} h"
        )
    mag = summary["magnitudes"]
    if mag is not None:
        lines.append(
            f"{mag['system']} {mag['mag']:.3f} +- {mag['err']:.3f} ({mag['n_stars']} comparison stars of "
            f"{mag['catalog']}, {mag['color_name']} {mag['color']:.2f}, {mag['color_from']})"
        )
    left = summary["left_out"]
    lines += [f"  left out: {name}: {reason}" for name, reason in list(left.items())[:5]]
    if len(left) > 5:
        lines.append(f"  left out: {len(left) - 5} more, see summary.json")
    lines += [f"  note: {text}" for text in summary["warnings"]]
    lines.append(f"written: {out / 'lightcurve.ecsv'}, lightcurve.h5, lightcurve.png, summary.json")
    return lines
