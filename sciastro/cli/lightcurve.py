"""``sciastro lightcurve``: how bright a star was, frame by frame."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sciastro.cli.arguments import AsJson, Memory, Offline, catalog_name

__all__ = ["lightcurve"]


def lightcurve(
    session: Annotated[
        Path,
        typer.Argument(
            metavar="SESSION", help="Folder of raw frames of one or several nights, or of a finished run."
        ),
    ],
    target: Annotated[
        str, typer.Option("--target", metavar="NAME|'RA DEC'", help="The star: a name, or its place.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the products.")],
    comp: Annotated[
        list[str] | None,
        typer.Option(
            "--comp",
            metavar="NAME|'RA DEC'",
            help="A comparison star, taken as it is; may be repeated. None: they are chosen.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="What to call the star in products and exports.")] = "",
    filter_: Annotated[str | None, typer.Option("--filter", help="Filter; else that of most frames.")] = None,
    zeropoint_catalog: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="Catalog of magnitudes: embedded, gaia-dr3, refcat2 ...",
            callback=catalog_name,
        ),
    ] = "embedded",
    system: Annotated[
        str, typer.Option(metavar="SYSTEM", help="Of the magnitudes: 'Johnson V', 'Cousins R', 'SDSS r' ...")
    ] = "",
    transit: Annotated[
        str, typer.Option(metavar="auto|yes|no", help="Fit a transit; auto: where the data ask for it.")
    ] = "auto",
    period: Annotated[float | None, typer.Option(help="Orbital period in days.")] = None,
    t0: Annotated[float | None, typer.Option(help="A mid-transit time, BJD (TDB).")] = None,
    limb_darkening: Annotated[
        str,
        typer.Option(
            metavar="auto|U1,U2",
            help="Quadratic limb darkening, center of its prior; auto: by filter and star.",
        ),
    ] = "auto",
    temperature: Annotated[
        float | None, typer.Option(help="Of the star in K, for its limb darkening; else by its color.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Most time for drawing from the posterior, per aperture.", min=1.0)
    ] = 120.0,
    detrend: Annotated[
        str,
        typer.Option(
            metavar="auto|none|NAMES",
            help="Causes of a transit's baseline: airmass,fwhm,x,y,sky,time,night; auto: all sets, averaged.",
        ),
    ] = "auto",
    radii: Annotated[
        str, typer.Option(metavar="R[,R...]", help="Aperture radii that are tried, in FWHM.")
    ] = "",
    export: Annotated[
        str, typer.Option(metavar="F[,F...]", help="aavso, exoplanet, etd, csv, parquet, votable.")
    ] = "",
    obscode: Annotated[str, typer.Option(help="AAVSO code of the observer, for exports.")] = "",
    planet: Annotated[str, typer.Option(help="Name of the planet, for --export exoplanet.")] = "",
    binning: Annotated[str, typer.Option(help="Such as 1x1, where headers are silent.")] = "",
    camera: Annotated[str, typer.Option(metavar="CCD|DSLR", help="For exports; CMOS counts as CCD.")] = "CCD",
    site: Annotated[
        str | None, typer.Option(metavar="LATITUDE,LONGITUDE[,HEIGHT]", help="Where headers are silent.")
    ] = None,
    telescope: Annotated[
        float | None, typer.Option(help="Diameter in meters, for scintillation.", min=0.001)
    ] = None,
    ra: Annotated[float | None, typer.Option(help="Of the field, degrees, where headers are silent.")] = None,
    dec: Annotated[float | None, typer.Option(help="Of the field, degrees.")] = None,
    scale: Annotated[float | None, typer.Option(help="Of the field, arcsec per pixel.")] = None,
    memory: Memory = "2GB",
    workers: Annotated[int, typer.Option(help="Threads; 0: one per processor.", min=0)] = 0,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Measure a light curve: lightcurve.ecsv, .h5 (all stars), .png and summary.json in OUT.

    Exit code 4: done, but frames are left out, each with its reason in summary.json.
    """
    from sciastro.cli.common import console, error_console, guarded, offline_if

    def tell(text: str) -> None:
        (error_console if as_json else console).print(text, markup=False, highlight=False, soft_wrap=True)

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
            {"transit": transit, "period": period, "t0": t0, "limb_darkening": limb_darkening,
             "detrend": detrend, "temperature": temperature, "seconds": seconds},
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
    from sciastro.photometry.transit import TransitOptions
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
            f"{mag['catalog']}, {mag['color_name']} {mag['color']:.2f} by {mag['color_from']})"
        )
    left = summary["left_out"]
    lines += [f"  left out: {name}: {reason}" for name, reason in list(left.items())[:5]]
    if len(left) > 5:
        lines.append(f"  left out: {len(left) - 5} more, see summary.json")
    lines += [f"  note: {text}" for text in summary["warnings"]]
    lines.append(f"written: {out / 'lightcurve.ecsv'}, lightcurve.h5, lightcurve.png, summary.json")
    return lines
