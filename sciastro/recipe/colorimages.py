"""A color picture of finished images: one per band (any program's FITS), or one with three planes.

Reads FITS files; writes ``STEM.png`` (recipe beside it), ``STEM_color.json``, ``STEM_color.ecsv`` and, asked,
``STEM_BAND_color.fits`` (on one grid, times the gain). Method: the stars of every image are measured on its
own pixels; the images are brought onto the grid of the band that ratios are to; colors are calibrated as
those of a run are. Where no star calibrates, the picture is made without gains, and the record says why.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.astrometry.solution import Solution
from sciastro.core import transform
from sciastro.core.quality import Quality
from sciastro.core.wcs import celestial_from_header, center, footprint_radius, pixel_scale, wcs_to_header
from sciastro.errors import FileError, OptionError, SolveError, UsageError
from sciastro.io.fitscube import read_color_planes
from sciastro.io.paths import atomic_path, new_folder, safe_name
from sciastro.io.usercatalog import read_user_catalog
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.recipe.catalogs import EMBEDDED, cone, is_remote
from sciastro.recipe.colorcurves import Site, check_color
from sciastro.recipe.deepcatalog import DeepCatalog
from sciastro.recipe.onegrid import map_between, on_one_grid, sky_places
from sciastro.recipe.photometry import Measured, PhotometryOptions, epoch_of, measure_target
from sciastro.recipe.photometryimages import Given, Target, read_targets
from sciastro.recipe.photometrytarget import estimated_variance, with_facts
from sciastro.recipe.photometryzero import air_of
from sciastro.recipe.plan import Recipe, load_recipe
from sciastro.recipe.recolor import Recolored, with_gains
from sciastro.recipe.rendering import write_picture
from sciastro.recipe.setcolor import SetColor, bands_of_picture, set_color, write_color
from sciastro.recipe.solvecalls import solve
from sciastro.render.color import sky_level

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import QTable
    from astropy.wcs import WCS

__all__ = ["color_images"]

DEEPEST = 20_000  # catalog stars of a field
HOW = PhotometryOptions(zeropoint="none")
SECONDS = 60.0  # for finding out where images without world coordinates look


@dataclass(frozen=True, kw_only=True, slots=True)
class _Set:
    """Measured images of one field, the reference among them, and maps from its pixels to theirs."""

    images: tuple[Measured, ...]
    maps: tuple[Any, ...]
    at: int
    notes: tuple[str, ...]

    @property
    def reference(self) -> Target:
        return self.images[self.at].target


def color_images(
    paths: Sequence[Path],
    out: Path,
    changes: Sequence[str] = (),
    *,
    bands: Sequence[str] = (),
    catalog: str = "embedded",
    warn: Callable[[str], None],
) -> Recolored:
    """Make a color picture of images, its colors calibrated where stars allow.

    Parameters
    ----------
    paths
        Two or three images, one per band, or one with three planes (red, green, blue).
    out
        Folder for what is made.
    changes
        ``step.option=value`` of a recipe.
    bands
        Names of the bands, in the order of the images; empty takes them from the headers.
    catalog
        Stars that calibrate (`catalogs.cone`).
    warn
        Told what the user should know.

    Raises
    ------
    SciastroError
        If an image cannot be read or measured, the bands make no picture, the images cannot be brought onto
        one grid, or a curve cannot be had.
    """
    recipe = load_recipe(None, changes)
    check_color(recipe.of(ColorOptions))
    targets = _named(_targets(paths), bands)
    with new_folder(out):
        return _made(targets, paths, out, recipe, catalog, warn)


def _made(
    targets: Sequence[Target],
    paths: Sequence[Path],
    out: Path,
    recipe: Recipe,
    catalog: str,
    warn: Callable[[str], None],
) -> Recolored:
    options = recipe.of(ColorOptions)
    found = _measured(targets, paths, catalog)
    ds = on_one_grid(found.images, found.maps, found.at)
    color = _calibrated(found, ds, _stars(found.reference, catalog, warn), options)
    notes = [*found.notes, *([f"no color calibration: {color.reason}"] if color.fit is None else [])]
    for text in (*notes, color.doubt, color.spectra_reason):
        if text:
            warn(text)
    stem = safe_name(found.reference.target or found.reference.name)
    told = {"images": [str(path.name) for path in paths], "notes": notes}
    record = write_color(color, out, stem, options, prefix="", more=told)
    picture = f"{stem}.png"  # with its recipe beside it, STEM.json
    write_picture(with_gains(ds, color, options), out / picture, recipe, title=stem, top_down=False)
    files = _apply(out, stem, ds, found, color) if options.apply else ()
    return Recolored(target=stem, record=record, picture=picture, files=files)


# --- what is given ------------------------------------------------------------------------------------


def _targets(paths: Sequence[Path]) -> list[Target]:
    if len(paths) == 1:
        return _of_cube(paths[0])
    if not 2 <= len(paths) <= 3:
        raise UsageError(
            f"are {len(paths)} images.", where="sciastro color",
            remedy="Give red, green and blue, or two bands, or one image with three planes.",
        )  # fmt: skip
    targets = []
    for path in paths:
        every = list(read_targets(path, Given()))
        if len(every) != 1:
            raise FileError(
                f"holds {len(every)} images.", where=str(path), remedy="Give one file for each band."
            )
        targets += every
    return targets


def _of_cube(path: Path) -> list[Target]:
    """Return red, green and blue of a file with three planes."""
    if not path.is_file():
        raise FileError("does not exist.", where=str(path), remedy="Check the path.")
    found = read_color_planes(path)
    if found is None:
        raise FileError(
            "is no image with three planes.", where=str(path),
            remedy="Give the images of red, green and blue, or the folder of a finished run.",
        )  # fmt: skip
    planes, header, facts = found
    targets = []
    for band, pixels in zip("RGB", planes, strict=True):
        bits = np.where(np.isfinite(pixels), 0, int(Quality.NO_DATA)).astype(np.uint16)
        variance, _ = estimated_variance(pixels, bits, "adu", 1.0, Given(), facts)
        one = Target(
            name=path.name.split(".")[0], path=path, image=pixels, variance=variance, quality=bits,
            unit="adu", wcs=celestial_from_header(header),
        )  # fmt: skip
        targets.append(replace(with_facts(one, facts, Given()), band=band))
    return targets


def _named(targets: list[Target], bands: Sequence[str]) -> list[Target]:
    """Return the images with the names of their bands, red first.

    Raises
    ------
    OptionError
        If there are not as many names as images, or they make no color picture.
    """
    names = [one.strip() for one in bands] or [one.band for one in targets]
    said = ", ".join(name or "none" for name in names)
    if len(names) != len(targets):
        raise OptionError(
            f"names {len(names)} bands ({said}) of {len(targets)} images.", where="--bands",
            remedy="Name each, in the order of the images: --bands R,G,B.",
        )  # fmt: skip
    trio = bands_of_picture(names)
    if len(set(names)) != len(names) or len(trio) != len(names):
        origin = "--bands" if bands else "the headers"
        raise OptionError(
            f"of {origin} are {said}, which make no color picture.", where="bands",
            remedy="Name them in the order of the images, such as --bands R,G,B or --bands i,r,g.",
        )  # fmt: skip
    by_band = {name: replace(one, band=name) for name, one in zip(names, targets, strict=True)}
    return [by_band[name] for name in trio]


# --- measured, and on one grid ------------------------------------------------------------------------


def _measured(targets: Sequence[Target], paths: Sequence[Path], catalog: str) -> _Set:
    """Measure the images, and find the maps between them; the grid is of one that knows where it looks."""
    images = [measure_target(one, options=HOW) for one in targets]
    notes: list[str] = []
    first = 1 if len(images) > 2 else 0  # the band that ratios are to
    at = next((k for k in (first, *range(len(images))) if targets[k].wcs is not None), first)
    maps = []
    for k, one in enumerate(images):
        if k == at or len(paths) == 1:
            maps.append(transform.identity(1))
            continue
        found, told = map_between(images[at], one)
        maps.append(found)
        notes.append(f"{one.target.band} is brought onto the grid of {images[at].target.band} by {told}")
    if (wcs := images[at].target.wcs) is None:
        wcs, told = _solved(images[at].target, catalog)
        notes.append(told)
        images[at].target = replace(images[at].target, wcs=wcs)
    if wcs is not None:
        for one, each in zip(images, maps, strict=True):
            sky_places(one.table, wcs, each)
            one.table.meta["pixel_scale"] = pixel_scale(wcs)
    return _Set(images=tuple(images), maps=tuple(maps), at=at, notes=tuple(notes))


def _solved(target: Target, catalog: str) -> "tuple[WCS | None, str]":
    """Return where an image looks, found by its stars, and a word on it."""
    if target.path is None:
        return None, "the images have no world coordinates"
    try:
        own = None if catalog == EMBEDDED or is_remote(catalog) else read_user_catalog(Path(catalog))
        found = solve(target.path, seconds=SECONDS, catalog=own)
    except SolveError as error:
        return None, f"the images have no world coordinates, and none were found: {error.found}"
    if isinstance(found, Solution):
        told = f"{found.n_stars} stars, rms {found.rms_arcsec:.2f} arcsec"
        return found.wcs, f"{target.path.name} was solved: {told}"
    return None, "the images have no world coordinates"


def _calibrated(found: _Set, ds: "xr.Dataset", stars: "QTable", options: ColorOptions) -> SetColor:
    tables = {one.target.band: one.table for one in found.images}
    masses = [air_of(one.target) for one in found.images]
    site = found.reference.site
    place = Site(
        airmass=float(np.mean(masses)) if np.isfinite(masses).all() else math.nan,
        altitude=float(site[2]) if site is not None and site[2] is not None else 0.0,
    )
    sky = {str(band): sky_level(ds["image"].values[k])[0] for k, band in enumerate(ds["band"].values)}
    color = set_color(tables, stars, cfa=False, site=place, sky=sky, options=options)
    if color is None:  # the names of the bands were checked
        raise ValueError("bands make no picture")
    return color


def _stars(target: Target, catalog: str, warn: Callable[[str], None]) -> "QTable":
    """Return the catalog stars over an image; none where nobody knows where it looks."""
    if target.wcs is None:
        return cone((0.0, 0.0), 0.01)[:0]
    shape = (target.image.shape[0], target.image.shape[1])
    radius = min(1.05 * footprint_radius(target.wcs, shape), 180.0)
    place = center(target.wcs, shape)
    return DeepCatalog(catalog).stars(*place, radius, epoch=epoch_of(target), brightest=DEEPEST, warn=warn)


# --- what is written ----------------------------------------------------------------------------------


def _apply(out: Path, stem: str, ds: "xr.Dataset", found: _Set, color: SetColor) -> tuple[str, ...]:
    """Write each band on the common grid, in its own unit times its gain."""
    from astropy.io import fits

    calibration, names, reference = color.calibration, [], found.reference
    if calibration is None:
        return ()
    units = {one.target.band: one.target.unit for one in found.images}
    for k, band in enumerate(calibration.bands):
        header = wcs_to_header(reference.wcs) if reference.wcs is not None else fits.Header()
        told = {
            "FILTER": (band, ""), "OBJECT": (reference.target, ""), "BUNIT": (units[band], ""),
            "COLGAIN": (calibration.gains[k], "factor of this band, applied"),
            "COLGERR": (calibration.errors[k], "standard error of COLGAIN"),
            "COLWHITE": (calibration.white_name[:60], "what becomes white"),
        }  # fmt: skip
        header.update(told)
        plane = ds["image"].sel(band=band).values * np.float32(calibration.gains[k])
        name = f"{stem}_{safe_name(band)}_color.fits"
        with atomic_path(out / name) as part:
            fits.PrimaryHDU(plane, header).writeto(part, overwrite=True, checksum=True)
        names.append(name)
    return tuple(names)
