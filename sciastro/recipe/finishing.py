"""After the stack: sources, zero points, depth, files, and the picture of each target."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.astrometry.field import compass
from sciastro.astrometry.solve import Solution, SolveOptions
from sciastro.core import vocabulary as v
from sciastro.core.correlation import window_factors
from sciastro.core.history import entry
from sciastro.core.lift import beside
from sciastro.core.stars import StarArray
from sciastro.core.tpv import RESIDUAL, RESIDUAL_COMMENT, sip_to_tpv
from sciastro.core.vocabulary import labeled
from sciastro.core.wcs import center, footprint_radius, parity, pixel_scale, rotation, wcs_to_text
from sciastro.errors import HeaderError
from sciastro.integrate.coherence import at_random
from sciastro.io.coloredproducts import colored_name, write_colored
from sciastro.io.contexts import write_context
from sciastro.io.product_cards import ProductFacts
from sciastro.io.products import write_image_product
from sciastro.io.reference import cone
from sciastro.io.tables import write_sources
from sciastro.measure.phase import NEAREST, stack_errors
from sciastro.measure.skymaps import sky_mapper
from sciastro.measure.stars import DetectOptions, PlaneMeasure, measure_plane
from sciastro.photometry.aperture import ApertureOptions
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.colorresult import ColorCalibration
from sciastro.photometry.depth import Depth, DepthOptions, depth
from sciastro.photometry.magnitudes import add_limits
from sciastro.photometry.psfsteps import PsfStepOptions, measure_psf_bands
from sciastro.photometry.references import UnitOptions, surface_brightness
from sciastro.photometry.steps import (
    BandCalibration,
    calibrate_bands,
    measure_bands,
    published,
)
from sciastro.photometry.zeropoint import ZeroPointOptions
from sciastro.recipe.colorcurves import Site
from sciastro.recipe.context import Context
from sciastro.recipe.lensing import lens_card
from sciastro.recipe.physical import flux_copy
from sciastro.recipe.plan import Recipe
from sciastro.recipe.quality import airmass_of
from sciastro.recipe.rejected import rejection_row, write_maps
from sciastro.recipe.setcolor import SetColor, set_color, write_color
from sciastro.recipe.setreference import julian_year
from sciastro.recipe.setsolving import SkyHint
from sciastro.recipe.stacked import Stacked
from sciastro.recipe.timing import bjd_card, span_of
from sciastro.recipe.warming import load_datasets

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import QTable, Table
    from astropy.wcs import WCS

__all__ = ["Finished", "catalog_of", "measure_set", "write_band"]

log = logging.getLogger(__name__)

APERTURE = ("aperture_radius", "aperture_correction")
HOLES = 0.1  # share of empty pixels from which they are why there is no figure
DEEPEST = 20_000  # catalog stars per field that photometry may use


@dataclass(kw_only=True, slots=True)
class Finished:
    """What photometry found on one band; every entry is None where there was nothing to find.

    Attributes
    ----------
    measured
        Stars of the stack.
    sources
        Published table.
    calibration
        Zero point, or the reason why there is none.
    limit
        5-sigma depth.
    catalog
        Stars that calibrated it.
    color, color_index
        The set's color calibration, and which of its gains is this band's.
    in_picture
        Whether pictures use the gain.
    """

    measured: PlaneMeasure
    sources: "Table"
    calibration: BandCalibration | None
    limit: Depth | None
    catalog: "QTable | None"
    color: SetColor | None
    color_index: int
    in_picture: bool = False

    @property
    def gains(self) -> ColorCalibration | None:
        """Return the gains of the set, None where this band has none."""
        return self.color.calibration if self.color is not None else None


def catalog_of(stacked: Sequence[Stacked], hint: SkyHint, context: Context) -> "QTable | None":
    """Return the catalog stars over a set's canvas at its epoch; None without world coordinates."""
    first = stacked[0]
    if first.wcs is None:
        return None
    if hint.catalog is not None:
        return hint.catalog
    shape = first.arrays.image.shape
    ra, dec = center(first.wcs, (shape[0], shape[1]))
    radius = 1.05 * footprint_radius(first.wcs, (shape[0], shape[1]))
    epoch = julian_year([light for one in stacked for light in one.lights])
    if hint.deep is not None:
        return hint.deep.stars(ra, dec, radius, epoch=epoch, brightest=DEEPEST, warn=context.warn)
    return cone(ra, dec, radius, epoch=epoch, brightest=DEEPEST)


def as_dataset(stacked: Stacked) -> "xr.Dataset":
    """Return one band as the labeled dataset that the photometry steps take, without copying."""
    import xarray as xr

    arrays = stacked.arrays
    ds = xr.Dataset(
        {
            "image": labeled(v.IMAGE, arrays.image[None]),
            "image_variance": labeled(v.IMAGE_VARIANCE, arrays.variance[None]),
            "image_quality": labeled(v.IMAGE_QUALITY, arrays.quality[None]),
            "coverage": labeled(v.COVERAGE, arrays.coverage[None]),
            "noise_correlation": labeled(v.NOISE_CORRELATION, np.array([stacked.noise_correlation])),
            "noise_autocorrelation": labeled(v.NOISE_AUTOCORRELATION, stacked.autocorrelation[None]),
            "image_exposure": labeled(v.IMAGE_EXPOSURE, np.array([stacked.exposure])),
            "n_frames": labeled(v.N_FRAMES, np.array([len(stacked.lights)])),
        },
        coords={"band": [stacked.band]},
    )
    if stacked.wcs is not None:
        ds = ds.assign_coords(wcs=wcs_to_text(stacked.wcs))
    return ds


def measure_set(
    stacked: Sequence[Stacked], hint: SkyHint, recipe: Recipe, context: Context
) -> "tuple[list[Finished], QTable | None]":
    """Measure and calibrate every band of a set."""
    catalog = catalog_of(stacked, hint, context)
    found: list[PlaneMeasure] = []
    tables: dict[str, Table] = {}
    with beside() as start:
        loading = start(load_datasets)
        for one in stacked:
            measured = _detect(one, recipe)
            found.append(measured)
            loading.result()
            if measured.stars.size:
                tables |= _sources(one, measured.stars, measured.fwhm, recipe)
            context.progress.advance("photometry")
    fits: Mapping[str, BandCalibration] = {}
    if catalog is not None and len(catalog) and tables:
        fits = calibrate_bands(tables, catalog, options=recipe.of(ZeroPointOptions))
    by_band = {one.band: measured for one, measured in zip(stacked, found, strict=True)}
    color = _color(tables, catalog, by_band, stacked, recipe, context)
    return [
        _finished(one, measured, tables.get(one.band), fits.get(one.band), catalog, color, recipe, context)
        for one, measured in zip(stacked, found, strict=True)
    ], catalog


def _detect(stacked: Stacked, recipe: Recipe) -> PlaneMeasure:
    arrays = stacked.arrays
    found = measure_plane(
        arrays.image,
        arrays.quality,
        gain_noise=arrays.variance,
        options=recipe.of(DetectOptions),
        coarse=False,
    )
    kernel = stacked.autocorrelation
    if np.isfinite(kernel).all() and np.isfinite(found.fwhm):
        # The variance plane is that of single pixels; under the window of a star resampling has tied them.
        place, flux = window_factors(kernel, found.fwhm)
        for name, factor in (("x_err", place[0]), ("y_err", place[1]), ("flux_err", flux)):
            found.stars[name] *= factor
    at_x, at_y, _ = _sampling(stacked, found.fwhm)
    for name, scatter in (("x_err", at_x), ("y_err", at_y)):
        found.stars[name] = np.hypot(found.stars[name], scatter)
    return found


def _sampling(stacked: Stacked, fwhm: float) -> tuple[float, float, float]:
    """Return what coarse samples add to the errors of x and y [pixel] and of the flux [1] of its stars."""
    if stacked.nearest:  # each frame is off by a part of a pixel of its own
        off = NEAREST / float(np.sqrt(len(stacked.lights)))
        return off, off, 0.0
    if not stacked.lattice:
        return 0.0, 0.0, 0.0
    scale = stacked.canvas.scale  # of drizzle: pixels of the frames are larger than those of the image
    tied = at_random(len(stacked.lights)) if stacked.coherence is None else stacked.coherence
    x, y, flux = stack_errors(fwhm / scale, stacked.lattice, tied)
    return x * scale, y * scale, flux


def _sources(stacked: Stacked, stars: StarArray, fwhm: float, recipe: Recipe) -> "dict[str, Table]":
    if not np.isfinite(fwhm):
        return {}
    band, ds = stacked.band, as_dataset(stacked)
    tables = measure_bands(
        ds, {band: stars}, {band: fwhm}, flux_scatter={band: _sampling(stacked, fwhm)[2]},
        options=recipe.of(ApertureOptions),
    )  # fmt: skip
    how = recipe.of(PsfStepOptions)
    if how.use and band in tables:  # the depth of the image stays that of apertures
        kept = {key: tables[band].meta[key] for key in APERTURE if key in tables[band].meta}
        tables[band] = measure_psf_bands(
            ds, {band: stars}, {band: fwhm}, sky_map=sky_mapper(fwhm), options=how
        )[band].table
        tables[band].meta |= kept
    return tables


def _color(
    tables: "Mapping[str, Table]",
    catalog: "QTable | None",
    found: Mapping[str, PlaneMeasure],
    stacked: Sequence[Stacked],
    recipe: Recipe,
    context: Context,
) -> SetColor | None:
    if catalog is None or not tables:
        return None
    lights, options = stacked[0].lights, recipe.of(ColorOptions)
    masses = [airmass_of(light) for light in lights]
    site = lights[0].facts.site
    place = Site(
        airmass=float(np.mean(masses)) if np.isfinite(masses).all() else float("nan"),
        altitude=float(site[2]) if site is not None and site[2] is not None else 0.0,
    )
    color = set_color(
        tables, catalog, cfa=bool(lights[0].facts.cfa), site=place, options=options,
        sky={band: one.sky for band, one in found.items()},
    )  # fmt: skip
    if color is None:
        return None
    if color.fit is None:
        context.warn(f"{stacked[0].stem}: no color calibration: {color.reason}")
    if color.doubt:
        context.warn(f"{stacked[0].stem}: {color.doubt}")
    folder = context.out / "products"
    folder.mkdir(parents=True, exist_ok=True)
    context.colors.append(write_color(color, folder, stacked[0].stem, options))
    return color


def _finished(
    stacked: Stacked,
    measured: PlaneMeasure,
    table: "Table | None",
    fit: BandCalibration | None,
    catalog: "QTable | None",
    color: SetColor | None,
    recipe: Recipe,
    context: Context,
) -> Finished:
    from astropy.table import Table

    limit = None
    if fit is not None and fit.zeropoint is None:
        context.warn(f"{stacked.stem} {stacked.band}: no zero point: {fit.reason}")
    if table is not None:
        limit = depth(
            stacked.arrays.image, stacked.arrays.variance, stacked.arrays.quality,
            np.asarray(table["x"].value), np.asarray(table["y"].value), fwhm=measured.fwhm,
            aperture_radius=float(table.meta["aperture_radius"]),
            aperture_correction=float(table.meta.get("aperture_correction", 1.0)),
            noise_correlation=stacked.noise_correlation, autocorrelation=stacked.autocorrelation,
            zeropoint=fit.zeropoint.mag if fit is not None and fit.zeropoint is not None else float("nan"),
            options=recipe.of(DepthOptions),
        )  # fmt: skip
    sources = published(table, fit, catalog) if table is not None else Table()
    if table is not None and fit is not None and fit.zeropoint is not None:
        sources = add_limits(sources, fit.zeropoint)
    known = color is not None and color.fit is not None and stacked.band in color.bands
    return Finished(
        measured=measured, sources=sources, calibration=fit, limit=limit, catalog=catalog,
        color=color if known else None,
        color_index=color.bands.index(stacked.band) if color is not None and known else -1,
        in_picture=color is not None and known and color.shown(recipe.of(ColorOptions)),
    )  # fmt: skip


def write_band(
    stacked: Stacked, finished: Finished | None, solution: Solution | None, recipe: Recipe, context: Context
) -> dict[str, Any]:
    """Write the products of one band and return its row of ``summary.json``."""
    stem = stacked.file
    folder = context.out / "products"
    folder.mkdir(parents=True, exist_ok=True)
    arrays = stacked.arrays
    facts = product_facts(stacked, finished, recipe)
    sky, told = _written_wcs(stacked, recipe, context)
    if stacked.wcs is not None:
        told |= lens_card(solution, pixel_scale(stacked.wcs))
    facts = replace(facts, extra={**facts.extra, **told})
    write_image_product(
        folder / f"{stem}.fits", arrays.image, arrays.variance, arrays.quality, arrays.coverage,
        wcs=sky, facts=facts, autocorrelation=stacked.autocorrelation,
    )  # fmt: skip
    if finished is not None and finished.gains is not None and recipe.of(ColorOptions).apply:
        path, at = folder / f"{stem}.fits", finished.color_index
        write_colored(
            path, path.with_name(colored_name(path)), finished.gains.gains[at], finished.gains.errors[at],
            finished.gains.white_name,
        )  # fmt: skip
    if arrays.causes.size:
        write_maps(folder / f"{stem}_rejection.fits", arrays, wcs=sky, facts=facts)
    if arrays.context.size:
        made = [(light.name, light.weights.get(stacked.band, 0.0)) for light in stacked.lights]
        write_context(folder / f"{stem}_context.fits", arrays.context, made, wcs=sky, facts=facts)
    sources = None
    if finished is not None and len(finished.sources):
        write_sources(folder / f"{stem}_sources", finished.sources, facts=facts)
        sources = f"products/{stem}_sources.ecsv"
    row = product_row(stacked, finished, solution, f"products/{stem}.fits", sources)
    unit = recipe.of(UnitOptions).bunit
    if finished is not None and unit != "none":
        fit = finished.calibration
        copy = flux_copy(
            folder / f"{stem}.fits", unit, fit.zeropoint if fit is not None else None, folder, context.warn
        )
        row["physical"] = None if copy is None else {**copy, "image": f"products/{copy['image']}"}
    return row


def _written_wcs(
    stacked: Stacked, recipe: Recipe, context: Context
) -> "tuple[WCS | None, dict[str, tuple[Any, str]]]":
    """Return the WCS in the form that the user wants in files, and the cards that tell what it lost."""
    wcs = stacked.wcs
    if wcs is None or wcs.sip is None or recipe.of(SolveOptions).distortion != "tpv":
        return wcs, {}
    rows, columns = stacked.arrays.image.shape
    try:
        converted, residual = sip_to_tpv(wcs, (rows, columns))
    except HeaderError as error:
        context.warn(f"{stacked.file}: distortion is written as SIP: {error}")
        return wcs, {}
    return converted, {RESIDUAL: (float(f"{residual:.3g}"), RESIDUAL_COMMENT)}


def product_facts(stacked: Stacked, finished: Finished | None, recipe: Recipe) -> ProductFacts:
    """Return what the header of a band's product says."""
    first = stacked.lights[0].facts
    begin, middle, end = span_of(stacked.lights)
    site = first.site or (float("nan"), float("nan"), None)
    zero = (
        finished.calibration.zeropoint if finished is not None and finished.calibration is not None else None
    )
    extra: dict[str, tuple[Any, str]] = {"REJECT": (stacked.method, "rejection, combination, interpolation")}
    extra["CANVAS"] = (stacked.canvas.extent, "area: reference frame, union or common")
    for axis, begin_at in zip("12", stacked.canvas.origin, strict=True):
        extra[f"CANVORG{axis}"] = (begin_at, "[pixel] corner on the reference frame")
    extra |= bjd_card(stacked.lights, middle, _middle_of(stacked))
    if (sky := sky_of(stacked, finished)) is not None:
        extra["SKYMAG"] = (round(sky, 4), "[mag/arcsec2] sky of the image")
    measured = [light.measured for light in stacked.lights if light.measured is not None]
    if measured:
        extra["EGAIN"] = (float(np.mean([one.gain for one in measured])), "[electron/adu] gain used, mean")
        sources = dict.fromkeys(one.gain_source for one in measured)
        extra["GAINSRC"] = (" / ".join(sources), "")
    extra |= _color_cards(finished)
    return ProductFacts(
        target=stacked.target, band=stacked.band, telescope=first.telescope, instrument=first.instrument,
        date_begin=begin, date_average=middle, date_end=end, exposure=stacked.exposure,
        n_frames=len(stacked.lights), latitude=site[0], longitude=site[1],
        elevation=site[2] if site[2] is not None else float("nan"),
        noise_correlation=stacked.noise_correlation,
        fwhm=finished.measured.fwhm if finished is not None else float("nan"),
        zeropoint=zero.as_dict() if zero is not None else None,
        depth=finished.limit.mag if finished is not None and finished.limit is not None else float("nan"),
        color_gain=_gain(finished)[0], color_gain_err=_gain(finished)[1],
        history=_history(recipe), extra=extra,
    )  # fmt: skip


def _history(recipe: Recipe) -> str:
    steps = recipe.options.items()
    return "\n".join(entry(name, options) for name, options in steps if not name.startswith("render"))


def _gain(finished: Finished | None) -> tuple[float, float]:
    if finished is None or finished.gains is None:
        return float("nan"), float("nan")
    return finished.gains.gains[finished.color_index], finished.gains.errors[finished.color_index]


def _color_cards(finished: Finished | None) -> dict[str, tuple[Any, str]]:
    """Return how the gain came about, and its covariance with those of the other bands."""
    if finished is None or finished.gains is None:
        return {}
    found = finished.gains
    cards: dict[str, tuple[Any, str]] = {
        "COLWHITE": (found.white_name[:60], "what becomes white"),
        "COLMETH": (f"{found.method}, {found.stage}", "expected light, and how far bent to the data"),
        "COLNSTAR": (found.n_stars, "stars of COLGAIN"),
        "COLBANDS": (" ".join(found.bands), "bands of COLCOVn"),
    }
    for k, value in enumerate(found.covariance[finished.color_index]):
        cards[f"COLCOV{k + 1}"] = (value, "covariance of COLGAIN with that of band n")
    return cards


def product_row(
    stacked: Stacked, finished: Finished | None, solution: Solution | None, image: str, sources: str | None
) -> dict[str, Any]:
    """Return one entry of ``products`` in ``summary.json``."""
    row: dict[str, Any] = {
        "target": stacked.target,
        "band": stacked.band,
        "image": image,
        "sources": sources,
        "n_frames": len(stacked.lights),
        "exposure_s": stacked.exposure,
        "wcs": _wcs_row(stacked, solution),
        "zeropoint": None,
        "depth_mag_5sigma": None,
        "sky_mag_arcsec2": None,
        "noise_e_s": None,
        "fwhm_px": None,
        "noise_correlation": stacked.noise_correlation,
        "method": stacked.method,
        "rejection": rejection_row(stacked.arrays, [light.name for light in stacked.lights]),
        "canvas": stacked.canvas.as_dict(),
    }
    if finished is not None:
        row["fwhm_px"], row["noise_e_s"] = finished.measured.fwhm, finished.measured.noise
        zero = finished.calibration.zeropoint if finished.calibration is not None else None
        if zero is not None:
            row["zeropoint"] = zero.brief()
            row["sky_mag_arcsec2"] = sky_of(stacked, finished)
            row["depth_mag_5sigma"] = finished.limit.mag if finished.limit is not None else None
        if unknown := _unknown(stacked, finished, row):
            row["unknown"] = unknown
    return row


def sky_of(stacked: Stacked, finished: Finished | None) -> float | None:
    """Return the surface brightness of the sky that the stack still has [mag / arcsec2]; None unknown."""
    zero = (
        finished.calibration.zeropoint if finished is not None and finished.calibration is not None else None
    )
    if finished is None or zero is None or stacked.wcs is None:
        return None
    found = float(surface_brightness(finished.measured.sky, zero.mag, pixel_scale(stacked.wcs)))
    return found if np.isfinite(found) else None


def _unknown(stacked: Stacked, finished: Finished, row: dict[str, Any]) -> dict[str, str]:
    """Return why figures of a row are null, by name."""
    stars = int(finished.measured.stars.size)
    why = "the image shows no stars" if not stars else ""
    if finished.calibration is not None:
        why = finished.calibration.reason
    elif stars:
        why = "the image has no world coordinates" if stacked.wcs is None else "there are no catalog stars"
    if stars and stacked.empty > HOLES:
        why = (
            f"{100 * stacked.empty:.1f} % of the pixels hold nothing, so that apertures cannot be filled; "
            "stack more dithered frames, drizzle with larger drops, or take debayer.method=superpixel"
            + (f" ({why})" if why else "")
        )
    found = {
        "fwhm_px": np.isfinite(row["fwhm_px"]),
        "zeropoint": row["zeropoint"] is not None,
        "depth_mag_5sigma": row["depth_mag_5sigma"] is not None and np.isfinite(row["depth_mag_5sigma"]),
    }
    return {name: why or "it cannot be measured" for name, known in found.items() if not known}


def _middle_of(stacked: Stacked) -> tuple[float, float] | None:
    """Return RA and Dec [deg] of the middle of a stack; None without world coordinates."""
    if stacked.wcs is None:
        return None
    return center(stacked.wcs, (stacked.arrays.image.shape[0], stacked.arrays.image.shape[1]))


def _wcs_row(stacked: Stacked, solution: Solution | None) -> dict[str, Any] | None:
    if stacked.wcs is None:
        return None
    shape = (stacked.arrays.image.shape[0], stacked.arrays.image.shape[1])
    return {
        "center_deg": list(center(stacked.wcs, shape)),
        "scale_arcsec_px": pixel_scale(stacked.wcs),
        "rms_arcsec": solution.rms_arcsec if solution is not None else None,
        "n_stars": solution.n_stars if solution is not None else None,
        "parity": parity(stacked.wcs),
        "rotation_deg": rotation(stacked.wcs),
        "shown": compass(stacked.wcs, shape, top_down=stacked.top_down).sentence(),
        "catalog": solution.catalog if solution is not None else None,
    }
