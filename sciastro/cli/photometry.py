"""``sciastro photometry``: the light of stars, with errors, on any image or finished run."""

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["photometry"]


def photometry(
    targets: Annotated[
        list[Path], typer.Argument(metavar="TARGET...", help="Images, or folders of finished runs.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the tables; else `photometry` in the run, or here."),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|'RA DEC'|NAME",
            help="Measure there instead of what is found: a table or ds9 region file, a position, an "
            "object; may be repeated.",
        ),
    ] = None,
    catalog: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Measure at the stars of a catalog: embedded, gaia-dr3, ..."),
    ] = None,
    faintest: Annotated[
        float | None, typer.Option(help="Faintest star of --catalog, in mag.", min=-30, max=40)
    ] = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="Measure every frame of the run, too, on its own pixels.")
    ] = False,
    radius: Annotated[
        str,
        typer.Option(
            metavar="R[,R...]",
            help="Aperture radii in px, arcsec or fwhm ('4px,2.5arcsec,1.5fwhm'), the first for `flux`; if "
            "you do not say, that of best S/N.",
        ),
    ] = "",
    sky: Annotated[
        str | None, typer.Option(metavar="INNER,OUTER", help="Sky annulus, in FWHM; else 4.5,8.")
    ] = None,
    optimal: Annotated[
        bool, typer.Option("--optimal", help="Weight pixels by the profile of stars (Naylor 1998).")
    ] = False,
    correct: Annotated[
        bool, typer.Option(help="Correct to all the light of a star, or give what is in the aperture.")
    ] = True,
    zeropoint: Annotated[
        str, typer.Option(metavar="auto|header|catalog|none", help="Where the zero point is from.")
    ] = "auto",
    zeropoint_catalog: Annotated[
        str,
        typer.Option(metavar="NAME|FILE", help="Catalog that calibrates: embedded, gaia-dr3, refcat2, ..."),
    ] = "embedded",
    system: Annotated[
        str,
        typer.Option(
            metavar="SYSTEM", help="'Johnson V', 'Cousins R', 'SDSS r', 'Pan-STARRS i', 'Gaia G', 'Tycho VT'."
        ),
    ] = "",
    spatial: Annotated[
        str, typer.Option(metavar="none|auto|1|2|3", help="Degree of the zero point over the field.")
    ] = "auto",
    extinction: Annotated[
        float | None, typer.Option(help="Magnitudes per airmass, if known.", min=0.0, max=3.0)
    ] = None,
    limit_sigma: Annotated[
        float, typer.Option(help="Significance of the limits of what is below S/N 5.", min=0.5, max=20.0)
    ] = 3.0,
    bunit: Annotated[
        str,
        typer.Option(
            metavar="Jy|nJy|erg|erg-hz", help="Also write our images in a physical unit (erg: per angstrom)."
        ),
    ] = "none",
    surface_brightness: Annotated[
        bool, typer.Option("--surface-brightness", help="Columns of mag / arcsec2.")
    ] = False,
    band: Annotated[
        str | None, typer.Option("--filter", help="Filter of the images, if their headers do not say it.")
    ] = None,
    fwhm: Annotated[
        float | None, typer.Option(help="Width of stars in pixels, if it is not to be measured.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Least significance of a star.", min=2.0)] = 5.0,
    gain: Annotated[float | None, typer.Option(help="Electrons per unit of the image.", min=1e-6)] = None,
    read_noise: Annotated[float | None, typer.Option(help="In electrons.", min=0.0)] = None,
    saturation: Annotated[
        float | None, typer.Option(help="Level at which pixels saturate, in the unit of the image.", min=1e-6)
    ] = None,
    exposure: Annotated[float | None, typer.Option(help="In seconds.", min=1e-6)] = None,
    aperture_diameter: Annotated[
        float | None, typer.Option(help="Of the telescope in meters, for scintillation.", min=1e-3)
    ] = None,
    site: Annotated[str | None, typer.Option(help="LATITUDE,LONGITUDE[,HEIGHT], for scintillation.")] = None,
    airmass: Annotated[float | None, typer.Option(help="For scintillation.", min=1.0)] = None,
    scintillation: Annotated[
        float, typer.Option(help="Its coefficient: 1.5 (Osborn 2015), 1 (Young 1967), 0 none.", min=0.0)
    ] = 1.5,
    flat_noise: Annotated[
        float, typer.Option(help="Relative error of the flat at the scale of a star.", min=0.0, max=1.0)
    ] = 0.0,
    flat_pixel_noise: Annotated[
        float, typer.Option(help="The same from pixel to pixel, if ERR lacks it.", min=0.0, max=1.0)
    ] = 0.0,
    error_terms: Annotated[
        bool, typer.Option("--error-terms", help="A column for each term of the errors.")
    ] = False,
    flag_words: Annotated[bool, typer.Option("--flag-words", help="A column of flags in words.")] = False,
    psf: Annotated[
        bool,
        typer.Option(
            "--psf",
            help="Fit the point spread function instead of apertures: for crowded fields. Also "
            "writes the PSF and the image without its stars.",
        ),
    ] = False,
    psf_model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A PSF that --psf wrote, instead of learning it.")
    ] = None,
    psf_order: Annotated[
        int, typer.Option(help="Highest polynomial of the PSF over the field.", min=0, max=3)
    ] = 3,
    searches: Annotated[
        int, typer.Option(help="With --psf: searches of the residual for more stars.", min=0, max=10)
    ] = 2,
    inject: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="With --psf: put N artificial stars in, and tell how many are found and how "
            "true their fluxes are.",
            min=0,
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of the artificial stars.", min=0)] = 1,
    formats: Annotated[
        str, typer.Option("--format", metavar="F[,F...]", help="ecsv, fits, csv, parquet, votable.")
    ] = "ecsv,fits",
    regions: Annotated[bool, typer.Option("--regions", help="Also write ds9 regions.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nothing over the network; kept catalogs still serve.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one line of JSON.")] = False,
) -> None:
    """Measure the light of stars: what is found, or what is at given positions, seen or not.

    Writes a table per image (flux, error, magnitude, sky, flags; NaN where nothing can be told) and
    photometry.json. Nothing is left out silently: a position off the image has a row that says so.
    """
    from sciastro.cli.common import console, error_console, guarded, offline_if
    from sciastro.recipe.photometryruns import Request, photometry_run
    from sciastro.recipe.photometrywriting import formats_from, one_line

    def tell(text: str) -> None:
        (error_console if as_json else console).print(text, markup=False, highlight=False, soft_wrap=True)

    with guarded(), offline_if(offline):
        given = _given(gain, read_noise, saturation, exposure, aperture_diameter, site, airmass, band)
        summary = photometry_run(
            targets, out, at=at or [],
            request=Request(catalog=catalog, faintest=faintest, frames=frames, regions=regions, bunit=bunit),
            options=_options(
                sky, radius=radius, optimal=optimal, correct=correct, zeropoint=zeropoint, fwhm=fwhm,
                zeropoint_catalog=zeropoint_catalog, system=system, spatial=spatial, extinction=extinction,
                limit_sigma=limit_sigma, surface_brightness=surface_brightness,
                threshold=threshold, scintillation=scintillation, flat_noise=flat_noise,
                flat_pixel_noise=flat_pixel_noise, error_terms=error_terms, flag_words=flag_words,
            ),
            given=given, psf=_psf(psf, psf_model, psf_order, searches, inject, seed),
            formats=formats_from(formats), tell=tell,
        )  # fmt: skip
        if as_json:
            typer.echo(one_line(summary))
    if summary["status"] == "partial":
        raise typer.Exit(4)


def _psf(psf: bool, model: Path | None, order: int, searches: int, inject: int, seed: int) -> Any:
    """Return what --psf and its options ask for; None without it. --inject implies it."""
    from sciastro.recipe.photometrypsf import PsfRequest

    if not psf and not inject and model is None:
        return None
    return PsfRequest(
        model=str(model) if model is not None else "",
        order=order,
        searches=searches,
        inject=inject,
        seed=seed,
    )


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


def _options(sky: str | None, **values: Any) -> Any:
    from sciastro.errors import OptionError
    from sciastro.recipe.photometry import PhotometryOptions

    if sky is not None:
        try:
            inner, outer = (float(part) for part in sky.split(","))
        except ValueError as error:
            raise OptionError(
                f"is '{sky}'.", where="--sky", remedy="Give two numbers in FWHM, such as 4.5,8."
            ) from error
        values |= {"sky_inner": inner, "sky_outer": outer}
    return PhotometryOptions(**values)
