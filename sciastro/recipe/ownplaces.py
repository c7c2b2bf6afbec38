"""Each frame's own world coordinates, checked against the catalog and set right where its stars prove it."""

import logging
from typing import TYPE_CHECKING

import numpy as np

from sciastro.astrometry.own import OwnPlace, own_place
from sciastro.astrometry.sky import CatalogStars, catalog_stars
from sciastro.astrometry.solution import Solution
from sciastro.astrometry.solve import image_stars
from sciastro.core.wcs import center, footprint_radius, pixel_scale, rotation, text_to_wcs, wcs_to_text
from sciastro.errors import SciastroError
from sciastro.io.tables import write_table
from sciastro.recipe.context import Context
from sciastro.recipe.lights import CAMERA_MODEL, Light, StackSet
from sciastro.recipe.setreference import julian_year
from sciastro.recipe.setsolving import SkyHint, stars_near

if TYPE_CHECKING:
    from astropy.table import Table
    from astropy.wcs import WCS

__all__ = ["set_right"]

log = logging.getLogger(__name__)

DEEP = 800  # catalog stars that frames are compared with
SHARE = 0.5  # of the frame's radius that a frame may lie off the reference and be compared, too
DESCRIPTIONS = {
    "frame": "File of the frame",
    "n_stars": "Catalog stars compared",
    "rms_carried": "Residual with the WCS carried from the reference",
    "rms": "Residual with the frame's own WCS",
    "correction": "What the frame's own stars changed: none, shift, affine, degree n",
    "ra": "Middle of the frame, ICRS",
    "dec": "Middle of the frame, ICRS",
    "scale": "Pixel scale in the middle",
    "rotation": "Position angle of +y, north through east",
}


def set_right(
    members: StackSet, solution: Solution | None, hint: SkyHint, context: Context, step: int
) -> None:
    """Check every frame's WCS against its own stars; write ``tables/<stem>_frames_astrometry.ecsv``.

    Parameters
    ----------
    solution
        Of the reference; None does nothing.
    step
        Raw pixels per pixel of the grid that was solved.
    """
    if solution is None or not any(light.wcs for light in members.lights):
        return
    sky = _sky(members, solution, hint)
    found: dict[int, tuple[OwnPlace, tuple[int, int]]] = {}

    def work(light: Light) -> None:
        if not light.wcs or light.measured is None or light.registration_model == CAMERA_MODEL:
            # its distortion would be spoiled by a correction of low order
            return
        shape = (light.facts.shape[0] // step, light.facts.shape[1] // step)
        wcs = text_to_wcs(light.wcs)
        image = image_stars(light.measured.stars, shape)
        if not image.index.size:
            return
        try:
            place = own_place(wcs, image, sky)
        except SciastroError as error:  # the carried one stays
            log.info("%s: %s", light.name, error)
            return
        if place.correction != "none":
            light.wcs = wcs_to_text(place.wcs)
        found[id(light)] = place, shape

    for light in members.lights:  # Python for the most part: more threads would only wait for each other
        work(light)
    rows = [(light, *found[id(light)]) for light in members.lights if id(light) in found]
    if rows:
        folder = context.out / "tables"
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / f"{members.stem}_frames_astrometry.ecsv", _table(rows))


def _sky(members: StackSet, solution: Solution, hint: SkyHint) -> CatalogStars:
    """Return the catalog stars of the field, and as far around it as frames commonly reach."""
    wcs: WCS = solution.wcs
    shape = (int(wcs.pixel_shape[1]), int(wcs.pixel_shape[0]))
    ra, dec = center(wcs, shape)
    radius = min((1 + SHARE) * footprint_radius(wcs, shape), 90.0)
    epoch = julian_year(members.lights)
    return catalog_stars(stars_near(hint, ra, dec, radius, epoch, DEEP), epoch)


def _table(rows: list[tuple[Light, OwnPlace, tuple[int, int]]]) -> "Table":
    from astropy import units as u
    from astropy.table import QTable, Table

    places = [place for _, place, _ in rows]
    middles = np.array([center(place.wcs, shape) for _, place, shape in rows])
    table = QTable(
        {
            "frame": [light.name for light, _, _ in rows],
            "n_stars": [place.n_stars for place in places],
            "rms_carried": [place.rms_before for place in places] * u.pix,
            "rms": [place.rms for place in places] * u.pix,
            "correction": [place.correction for place in places],
            "ra": middles[:, 0] * u.deg,
            "dec": middles[:, 1] * u.deg,
            "scale": [pixel_scale(place.wcs) for place in places] * u.arcsec / u.pix,
            "rotation": [rotation(place.wcs) for place in places] * u.deg,
        }
    )
    for name, text in DESCRIPTIONS.items():
        table[name].info.description = text
    return Table(table)
