"""PSF photometry of some places of an image that was measured before, where only these have changed.

Stars far from the places keep what they had, and so does the smooth sky; those near are found and fit from
nothing, as `psfphotometry.psf_photometry` does, on the residual of the whole image.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.stars import StarArray
from sciastro.photometry.psffind import find_more
from sciastro.photometry.psffit import FitPlane, StarFit, errors_of, put, set_reach, start_fit
from sciastro.photometry.psfmodel import PsfModel
from sciastro.photometry.psfoptions import PsfOptions
from sciastro.photometry.psfrounds import begin, refit, weeded
from sciastro.photometry.psfstructure import Structure
from sciastro.photometry.psftable import Fluxes, fit_table

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["fluxes_of", "known_stars", "measure_near"]

Floats = npt.NDArray[np.float64]

NEAR = (
    4.0  # fwhm: discs of 1.5 overlap to 3, and a group reaches 1.3 beyond; what is farther off is fit already
)
SAME = 0.6  # fwhm: as in `psffind.CLOSE`


def known_stars(table: "Table") -> StarFit:
    """Return the stars of a table of `psf_photometry` as they were fit; those without a flux are left out."""
    light = np.asarray(table["flux"].value, np.float64)
    good = np.isfinite(light) & np.isfinite(table["x"].value) & np.isfinite(table["y"].value)
    stars = start_fit(table["x"].value[good], table["y"].value[good])
    stars.flux[:] = light[good]
    stars.sky[:] = table["sky"].value[good]
    return stars


def fluxes_of(table: "Table") -> Fluxes:
    """Return places, fluxes and errors of a table, by which unseen companions are foretold."""
    return Fluxes(*(np.asarray(table[name].value, np.float64) for name in ("x", "y", "flux", "flux_err")))


def measure_near(
    plane: FitPlane, model: PsfModel, known: StarFit, counted: Fluxes, detected: StarArray, x: Floats,
    y: Floats, options: PsfOptions, *, structure: Structure | None = None,
) -> "Table":  # fmt: skip
    """Measure what is within `NEAR` widths of places.

    Parameters
    ----------
    plane
        The image as it is now, less the smooth sky and less the `known` stars; changes.
    model
        The PSF.
    known, counted
        Stars of the image as it was, and what its table says of all.
    detected
        What detection finds on the image as it is now.
    x, y
        The places [pixel].
    structure
        Where the residual is rough (`psffind.roughness_of`).

    Returns
    -------
    Table
        Of `psftable.fit_table`: stars near the places.
    """
    from scipy.spatial import cKDTree

    places, reach = cKDTree(np.column_stack([x, y])), NEAR * model.fwhm
    set_reach(plane, model, known, options)
    away = places.query(np.column_stack([known.x, known.y]))[0] > reach if known.size else np.empty(0, bool)
    kept = known.take(np.flatnonzero(away))
    put(plane, model, known.take(np.flatnonzero(~away)), 1.0)
    at = np.column_stack([detected["x"], detected["y"]]).astype(np.float64)
    here = places.query(at)[0] <= reach if len(at) else np.empty(0, bool)
    if kept.size and here.any():  # at the rim a star may be known and detected
        rows = np.flatnonzero(here)
        here[rows] = cKDTree(np.column_stack([kept.x, kept.y])).query(at[rows])[0] > SAME * model.fwhm
    fit = start_fit(*at[here].T)
    light = model.render(plane.residual.shape, kept.x, kept.y, kept.flux)
    begin(plane, model, fit, options)
    refit(plane, model, fit, options, None)
    for _ in range(options.searches):
        fit, count = find_more(
            plane, model, fit, options.threshold, options.max_stars, near=(x, y, reach), light=light,
            structure=structure,
        )  # fmt: skip
        if not count:
            break
        refit(plane, model, fit, options, None)
        fit = weeded(plane, model, fit, options, structure)
    columns, bits = errors_of(plane, model, fit, options)
    return fit_table(
        plane, model, fit, columns, bits, options.least_snr, unseen=options.unseen, counted=counted,
        structure=structure,
    )  # fmt: skip
