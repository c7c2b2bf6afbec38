"""The table of PSF photometry: fluxes, errors, quality of the fits, flags."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import Quality
from sciastro.photometry.errorterms import TERMS, Relative
from sciastro.photometry.flags import SourceFlag, flag_meanings
from sciastro.photometry.psfcrowd import Fluxes, confusion, odd_shapes
from sciastro.photometry.psffit import LEAST_SKY, FitPlane, StarFit, saturated_cores
from sciastro.photometry.psfmodel import UNDERSAMPLED, PsfModel
from sciastro.photometry.psfstructure import Structure, knots

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["COLUMNS", "Fluxes", "fit_table", "notes_of", "with_relative"]

Floats = npt.NDArray[np.float64]

MAG_PER_NEPER = 2.5 / np.log(10)
LEAST_LIGHT = 0.1  # share of the profile that must be seen for a flux
WHOLE = 0.9  # share below which a star counts as cut
UNSETTLED = 0.3  # sigma of the last step
# Median of confusion over flux_err: 0.33 in simulated crowds of 0.057 stars per square width, 0.40 at 0.095,
# the densest where errors were held against truth (tests/photometry/test_psf_truth.py).
SHOWN = 0.45
TOLD = 0.05  # share of the image beyond which the user is told of a nebula: a bright star's halo is less

COLUMNS: dict[str, str] = {
    "chi2": "Reduced chi square of the fit over the pixels of its disc",
    "qfit": "Sum of absolute residuals over the flux",
    "cfit": "Residual of the central pixel over the flux; NaN where it is missing",
    "sharpness": "Relative excess of the width over that of the PSF: 0 star, below sharp, above extended",
    "sharpness_err": "Standard error of sharpness",
    "light": "Share of the profile in the fitted disc that usable pixels hold",
    "confusion": "Error by companions that are not seen, by the counts of stars that are; part of flux_err",
    "group_size": "Stars within the width of a PSF, itself included",
    "found_in": "Search that found it: 0 given, then those of the residual",
}


def fit_table(
    plane: FitPlane,
    model: PsfModel,
    stars: StarFit,
    columns: dict[str, Floats],
    bits: npt.NDArray[np.uint16],
    least_snr: float,
    *,
    unseen: bool = True,
    counted: Fluxes | None = None,
    structure: Structure | None = None,
) -> "Table":
    """Return one row per star.

    Parameters
    ----------
    plane, model, stars
        As fit.
    columns, bits
        Of `psffit.errors_of`.
    least_snr
        Below it there is no magnitude.
    unseen
        Whether errors count what companions do that are not seen.
    counted
        All stars of the image, which foretell these; None takes `stars`.
    structure
        Where light that is no star makes the image rough: there what is wider than stars is flagged.

    Returns
    -------
    Table
        Columns of `aperture.measure_sources` (without ``area``) and those of `COLUMNS`. NaN is unknown: a
        star of which too little is seen has no flux. ``flux_err`` counts noise, neighbors that are fit with
        it, the local sky, the scatter of profiles and companions that are not seen (`psfcrowd`); not the
        error of the normalization, common to all rows, which is in ``meta``.
    """
    from astropy import units as u
    from astropy.table import Table

    seen = (columns["light"] >= LEAST_LIGHT) & np.isfinite(columns["flux_var"]) & (stars.loose > 0)
    flux = np.where(seen, stars.flux, np.nan)
    sky = (columns["sky_weight"] * stars.sky_err) ** 2
    err = np.sqrt(columns["flux_var"] + sky + (model.scatter * flux) ** 2)
    shape = (plane.residual.shape[0], plane.residual.shape[1])
    beside = np.zeros(stars.size)
    if unseen:
        own = Fluxes(stars.x, stars.y, flux, err)
        beside = confusion(own, model.fwhm, shape, among=counted)
    err = np.hypot(err, beside)
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = flux / err
        bright = snr >= least_snr
        mag = np.where(bright, -2.5 * np.log10(np.where(bright, flux, 1.0)), np.nan)
        mag_err = np.where(bright, MAG_PER_NEPER / snr, np.nan)
    n = stars.size
    held = stars.loose < 2
    rate = u.electron / u.s
    table = Table()
    table["id"] = np.arange(1, n + 1)
    table["x"], table["y"] = stars.x * u.pix, stars.y * u.pix
    table["x_err"] = np.where(held, np.nan, np.sqrt(columns["x_var"])) * u.pix
    table["y_err"] = np.where(held, np.nan, np.sqrt(columns["y_var"])) * u.pix
    table["flux"], table["flux_err"] = flux * rate, err * rate
    table["mag_inst"], table["mag_inst_err"] = mag * u.mag, mag_err * u.mag
    table["snr"] = snr
    table["fwhm"] = np.where(bright, model.fwhm * (1 + columns["sharpness"]), np.nan) * u.pix
    near, closest = _company(stars, model.fwhm)
    flags = _flags(plane, model, stars, columns, bits, seen, closest)
    odd = odd_shapes(snr, columns, flags == 0)
    if structure is not None and structure.any:
        odd |= knots(structure, stars.x, stars.y, columns)
    table["flags"] = flags | np.where(odd, np.uint32(int(SourceFlag.NO_STAR)), np.uint32(0))
    table["sky"] = stars.sky * rate
    table["sky_err"] = np.where(stars.n_sky < LEAST_SKY, np.nan, stars.sky_err) * rate
    table["n_sky"] = stars.n_sky.astype(np.int32)
    for name in ("chi2", "qfit", "cfit", "sharpness", "sharpness_err", "light"):
        table[name] = columns[name]
    table["confusion"] = beside * rate
    table["group_size"] = near
    table["found_in"] = stars.round
    for name, meaning in COLUMNS.items():
        table[name].info.description = meaning
    table.meta |= model.facts() | {
        "fwhm": model.fwhm,
        "noise_correlation": plane.correlation,
        "aperture_correction_scatter": model.scatter,
        "confusion_share": _confusion_share(beside, err),
        "structure_share": 0.0 if structure is None else structure.share,
        "flag_meanings": flag_meanings(),
    }
    return table


def with_relative(table: "Table", relative: Relative, *, terms: bool = False) -> "Table":
    """Return the table with errors that grow with the flux in it: scintillation and flat fields.

    Parameters
    ----------
    terms
        Give each a column, as `errorterms.TERMS` names it.
    """
    table = table.copy()
    flux, err = table["flux"], table["flux_err"]
    light = np.abs(flux.value)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = np.hypot(err.value, relative.total() * light)
        more = whole / err.value
    table["flux_err"] = whole * err.unit
    table["snr"] = table["snr"] / more
    table["mag_inst_err"] = table["mag_inst_err"] * more
    scatter = float(table.meta.get("aperture_correction_scatter", 0.0))
    table.meta["relative_scatter"] = float(np.hypot(scatter, np.median(relative.total())))
    if terms:
        for name, share in (("err_scintillation", relative.scintillation), ("err_flat", relative.flat)):
            table[name] = np.asarray(share) * light * flux.unit
            table[name].info.description = TERMS[name]
    return table


def _confusion_share(beside: Floats, err: Floats) -> float:
    """Return the median of ``confusion`` over ``flux_err``; 0 where no star tells."""
    known = np.isfinite(err) & (err > 0)
    return float(np.median(beside[known] / err[known])) if known.any() else 0.0


def notes_of(table: "Table") -> list[str]:
    """Return what the user of a table of `fit_table` should know of the image."""
    notes = []
    share = float(table.meta.get("structure_share", 0.0))
    if share > TOLD:
        notes.append(
            f"{100 * share:.0f} % of the image shows light that is no star (a nebula?): there only stars "
            "that stand out of it are searched for, what is wider than stars is flagged NO_STAR, and errors "
            "do not count its structure; --threshold finds fewer, --searches 0 only what detection finds"
        )
    confused = float(table.meta.get("confusion_share", 0.0))
    if confused > SHOWN:
        notes.append(
            f"unseen companions make {confused:.2f} of the errors (column confusion, median), more than the "
            f"{SHOWN:g} up to which errors were shown to hold: fluxes may be off by more than they say, and "
            "all of them by some 0.2 %; take rows without BLENDED, UNSETTLED and NO_STAR, and see --inject"
        )
    return notes


def _company(stars: StarFit, fwhm: float) -> tuple[npt.NDArray[np.int32], Floats]:
    """Return stars within the width, itself included, and the distance of the nearest [pixel]."""
    from scipy.spatial import cKDTree

    count, closest = np.ones(stars.size, np.int32), np.full(stars.size, np.inf)
    good = np.flatnonzero(np.isfinite(stars.x) & np.isfinite(stars.y))
    if good.size > 1:
        tree = cKDTree(np.column_stack([stars.x[good], stars.y[good]]))
        count[good] = [len(row) for row in tree.query_ball_point(tree.data, fwhm)]
        closest[good] = tree.query(tree.data, k=2)[0][:, 1]
    return count, closest


def _flags(
    plane: FitPlane,
    model: PsfModel,
    stars: StarFit,
    columns: dict[str, Floats],
    bits: npt.NDArray[np.uint16],
    seen: npt.NDArray[np.bool_],
    closest: Floats,
) -> npt.NDArray[np.uint32]:
    flags = bits.astype(np.uint32)

    def mark(where: npt.NDArray[np.bool_], flag: int) -> None:
        flags[where] |= np.uint32(flag)

    saturated = saturated_cores(plane, stars, model.fwhm)
    mark(saturated, int(Quality.SATURATED))
    mark(saturated & seen, int(SourceFlag.WINGS))
    mark(~seen, int(SourceFlag.CUT))
    mark(seen & ~saturated & (columns["light"] < WHOLE), int(SourceFlag.PARTLY))
    mark(closest < model.fwhm, int(SourceFlag.BLENDED))
    mark(seen & ~(stars.moved < UNSETTLED), int(SourceFlag.UNSETTLED))
    mark((stars.loose == 1) & ~stars.pinned, int(SourceFlag.HELD))
    mark(stars.n_sky < LEAST_SKY, int(SourceFlag.POOR_SKY))
    if model.fwhm < UNDERSAMPLED:
        mark(np.ones(stars.size, bool), int(SourceFlag.UNDERSAMPLED))
    return flags
