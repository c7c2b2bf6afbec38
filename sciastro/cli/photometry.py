"""``sciastro photometry``: the light of stars, with errors, on any image or finished run."""

from typing import Any

import typer

from sciastro.cli import photometryoptions as take
from sciastro.cli.arguments import AsJson, Offline

__all__ = ["photometry"]

RENAMED = {"model": "psf-model", "order": "psf-order", "sky_inner": "sky", "sky_outer": "sky"}


def photometry(
    targets: take.Targets,
    out: take.Out = None,
    at: take.At = None,
    catalog: take.Catalog = None,
    faintest: take.Faintest = None,
    frames: take.Frames = False,
    radius: take.Radius = "",
    sky: take.Sky = None,
    optimal: take.Optimal = False,
    correct: take.Correct = True,
    zeropoint: take.Zeropoint = "auto",
    zeropoint_catalog: take.ZeropointCatalog = "embedded",
    system: take.System = "",
    spatial: take.Spatial = "auto",
    extinction: take.Extinction = None,
    limit_sigma: take.LimitSigma = 3.0,
    bunit: take.Bunit = "none",
    surface_brightness: take.SurfaceBrightness = False,
    band: take.Filter = None,
    fwhm: take.Fwhm = None,
    threshold: take.Threshold = 5.0,
    gain: take.Gain = None,
    read_noise: take.ReadNoise = None,
    saturation: take.Saturation = None,
    exposure: take.Exposure = None,
    aperture_diameter: take.ApertureDiameter = None,
    site: take.Site = None,
    airmass: take.Airmass = None,
    scintillation: take.Scintillation = 1.5,
    flat_noise: take.FlatNoise = 0.0,
    flat_pixel_noise: take.FlatPixelNoise = 0.0,
    error_terms: take.ErrorTerms = False,
    flag_words: take.FlagWords = False,
    psf: take.Psf = False,
    psf_model: take.PsfModelFile = None,
    psf_order: take.PsfOrder = 3,
    searches: take.Searches = 2,
    inject: take.Inject = 0,
    seed: take.Seed = 1,
    formats: take.Formats = "ecsv,fits",
    regions: take.Regions = False,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Measure the light of stars: what is found, or what is at given positions, seen or not.

    Writes a table per image (flux, error, magnitude, sky, flags; NaN where nothing can be told) and
    photometry.json. Nothing is left out silently: a position off the image has a row that says so.
    Exit code 4: done, but something is left out or an image shows no star; `warnings` say what.
    """
    from sciastro.cli.common import console, error_console, guarded, offline_if

    tell = (error_console if as_json else console).tell

    with guarded(), offline_if(offline):
        from sciastro.recipe.photometry import PhotometryOptions
        from sciastro.recipe.photometrypsf import PsfRequest
        from sciastro.recipe.photometryruns import Request, photometry_run
        from sciastro.recipe.photometrywriting import formats_from, one_line

        with take.as_typed((PhotometryOptions, Request, PsfRequest), RENAMED):
            options = PhotometryOptions(
                radius=radius, optimal=optimal, correct=correct, zeropoint=zeropoint, fwhm=fwhm,
                zeropoint_catalog=zeropoint_catalog, system=system, spatial=spatial, extinction=extinction,
                limit_sigma=limit_sigma, surface_brightness=surface_brightness, threshold=threshold,
                scintillation=scintillation, flat_noise=flat_noise, flat_pixel_noise=flat_pixel_noise,
                error_terms=error_terms, flag_words=flag_words, **_annulus(sky),
            )  # fmt: skip
            request = Request(catalog=catalog, faintest=faintest, frames=frames, regions=regions, bunit=bunit)
            by_psf = None
            if psf or inject or psf_model is not None:  # the others imply it
                by_psf = PsfRequest(
                    model=str(psf_model or ""), order=psf_order, searches=searches, inject=inject, seed=seed
                )
        given = _given(gain, read_noise, saturation, exposure, aperture_diameter, site, airmass, band)
        summary = photometry_run(
            targets, out, at=at or [], request=request, options=options, given=given, psf=by_psf,
            formats=formats_from(formats), tell=tell,
        )  # fmt: skip
        if as_json:
            typer.echo(one_line(summary))
    if summary["status"] == "partial":
        raise typer.Exit(4)


def _given(
    gain: float | None, read_noise: float | None, saturation: float | None, exposure: float | None,
    diameter: float | None, site: str | None, airmass: float | None, band: str | None,
) -> Any:  # fmt: skip
    from sciastro.recipe.clocks import site_from_text
    from sciastro.recipe.photometryimages import Given

    return Given(
        gain=gain, read_noise=read_noise, saturation=saturation, exposure=exposure,
        aperture_diameter=diameter, site=site_from_text(site or "", "--site"), airmass=airmass, band=band,
    )  # fmt: skip


def _annulus(sky: str | None) -> dict[str, Any]:
    """Return the radii of the sky annulus; nothing where they are not given."""
    from sciastro.errors import OptionError

    if sky is None:
        return {}
    try:
        inner, outer = (float(part) for part in sky.split(","))
    except ValueError as error:
        raise OptionError(
            f"is '{sky}'.", where="--sky", remedy="Give two numbers in FWHM, such as 4.5,8."
        ) from error
    return {"sky_inner": inner, "sky_outer": outer}
