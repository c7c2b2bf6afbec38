"""After the stack: sources, zero points, depth and color of each set of bands (files: `bandproducts`)."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sciastro.core import vocabulary as v
from sciastro.core.correlation import window_factors
from sciastro.core.lift import beside
from sciastro.core.stars import StarArray
from sciastro.core.vocabulary import labeled
from sciastro.core.wcs import center, footprint_radius, wcs_to_text
from sciastro.integrate.coherence import at_random
from sciastro.io.reference import cone
from sciastro.measure.phase import NEAREST, stack_errors
from sciastro.measure.skymaps import sky_mapper
from sciastro.measure.stars import DetectOptions, PlaneMeasure, measure_plane
from sciastro.photometry.aperture import ApertureOptions
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.colorresult import ColorCalibration
from sciastro.photometry.depth import Depth, DepthOptions, depth
from sciastro.photometry.magnitudes import add_limits
from sciastro.photometry.psfsteps import PsfStepOptions, measure_psf_bands
from sciastro.photometry.steps import (
    BandCalibration,
    calibrate_bands,
    measure_bands,
    published,
)
from sciastro.photometry.zeropoint import ZeroPoint, ZeroPointOptions
from sciastro.recipe.colorcurves import Site
from sciastro.recipe.context import Context
from sciastro.recipe.plan import Recipe
from sciastro.recipe.quality import airmass_of
from sciastro.recipe.setcolor import SetColor, set_color, write_color
from sciastro.recipe.setreference import julian_year
from sciastro.recipe.setsolving import SkyHint
from sciastro.recipe.stacked import Stacked
from sciastro.recipe.warming import load_datasets

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import QTable, Table

__all__ = ["Finished", "catalog_of", "measure_set"]

log = logging.getLogger(__name__)

APERTURE = ("aperture_radius", "aperture_correction")
DEEPEST = 20_000  # catalog stars per field that photometry may use
WIDER = 1.5  # times as wide as on the frames: no interpolation and no registration does that to stars


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
    def zeropoint(self) -> ZeroPoint | None:
        """Return the zero point of the band; None without one."""
        return self.calibration.zeropoint if self.calibration is not None else None

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
            _doubt_width(one, measured.fwhm, context)
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


def _doubt_width(stacked: Stacked, fwhm: float, context: Context) -> None:
    """Say so where what was measured on the image [pixel] are no stars as its frames show them."""
    widths = [light.measured.fwhm for light in stacked.lights if light.measured is not None]
    known = [width for width in widths if np.isfinite(width)]
    expected = float(np.median(known)) * stacked.canvas.scale if known else float("nan")
    if fwhm > WIDER * expected:  # False where one is NaN
        context.warn(
            f"{stacked.stem} {stacked.band}: sources of the stack are {fwhm:.2f} pixels wide, and stars of "
            f"its frames {expected:.2f}: nebula was measured with them, apertures are that much wider, and "
            "fluxes and zero point may be off by more than their errors. Set stars.threshold higher (20)."
        )


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
    for text in (color.doubt, color.spectra_reason):
        if text:
            context.warn(f"{stacked[0].stem}: {text}")
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
            apertures=recipe.of(ApertureOptions), options=recipe.of(DepthOptions),
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
