"""Datasets that are solved: an image by its deepest band, frames by one of them and their registration."""

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS

from sciastro.astrometry.sky import Hint
from sciastro.core import vocabulary as v
from sciastro.core.history import record
from sciastro.core.stars import StarArray
from sciastro.core.timescales import julian_year
from sciastro.core.vocabulary import require
from sciastro.core.wcs import resampled, text_to_wcs, wcs_to_text
from sciastro.measure.stars import DetectOptions, measure_plane
from sciastro.recipe.solveframes import solve_frames
from sciastro.recipe.solvehints import with_given_wcs
from sciastro.recipe.solvereading import Field, by_twos, from_stars
from sciastro.recipe.solving import Question, solve_one

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import QTable

__all__ = ["solve_dataset_frames", "solve_image"]


def solve_image(
    image: "xr.Dataset",
    question: Question,
    detect: DetectOptions | None,
    epoch: float | None,
    catalog: "QTable | None",
) -> "xr.Dataset":
    """Give an integrated dataset its world coordinates, from the stars of its deepest band.

    Parameters
    ----------
    image
        ``image`` on `band`; a ``wcs`` that it has is looked at first.
    question
        What is known, and how it is solved.
    detect
        How stars are found; None by default.
    epoch
        Julian year of the image; None unknown.
    catalog
        Stars for the fit; None takes those that `question` names.
    """
    import xarray as xr

    require(image, v.IMAGE)
    lists = [_stars_of(image, "band", k, detect) for k in range(image.sizes["band"])]
    best = max(lists, key=len)
    known = _wcs_of(image["wcs"].values if "wcs" in image.variables else "")
    shape = (image.sizes["y"], image.sizes["x"])
    field = replace(from_stars(best, shape), wcs=known, year=epoch, catalog=catalog)
    solution = solve_one(with_given_wcs(field, question), question)
    attrs = {
        "rms_arcsec": solution.rms_arcsec, "n_stars": solution.n_stars, "catalog": solution.catalog,
        "engine": solution.method,
    }  # fmt: skip
    out = image.assign_coords(wcs=xr.Variable((), wcs_to_text(solution.wcs), attrs))
    return record(
        out, "astrometry.solve", question.options, rms_arcsec=solution.rms_arcsec, n_stars=solution.n_stars
    )


def solve_dataset_frames(
    frames: "xr.Dataset",
    question: Question,
    detect: DetectOptions | None,
    epoch: float | None,
    catalog: "QTable | None",
) -> "xr.Dataset":
    """Give every frame its own world coordinates: one is solved, the others by their registration to it.

    Parameters
    ----------
    frames
        ``signal`` [electron] or ``raw`` [adu], dims (frame, y, x); where there is ``wcs`` it is the hint.
    question, detect, epoch, catalog
        As `solvecalls.solve` has them; `epoch` None is the time of each frame.

    Returns
    -------
    Dataset
        With ``wcs`` (frame): header text, "" where a frame cannot be solved.

    Raises
    ------
    SolveError
        If no frame can be solved.
    """
    name = v.SIGNAL.name if v.SIGNAL.name in frames.variables else v.RAW.name
    require(frames, v.SIGNAL if name == v.SIGNAL.name else v.RAW)
    count = frames.sizes["frame"]
    before = np.asarray(frames["wcs"].values).astype(str) if "wcs" in frames.variables else [""] * count
    given = question.given.wcs if question.given is not None else None
    fields, questions = list[Field](), list[Question]()
    for k in range(count):
        field = _frame_field(frames, name, k, detect)
        field = replace(field, year=epoch or _year(frames, k), catalog=catalog)
        known = given or _wcs_of(before[k])
        questions.append(question if known is None else replace(question, given=Hint(wcs=known)))
        fields.append(with_given_wcs(field, questions[k]))
    places = solve_frames(fields, questions)
    texts = [
        "" if place.wcs is None else wcs_to_text(resampled(place.wcs, scale=float(field.step)))
        for place, field in zip(places, fields, strict=True)
    ]
    problem = next((place.reason for place in places if place.reason is not None), None)
    if problem is not None and not any(texts):
        raise problem
    out = frames.assign_coords(wcs=v.labeled(v.WCS, np.array(texts, dtype=np.str_)))
    how = Counter(place.how for place in places)
    return record(
        out, "astrometry.solve", question.options, n_frames=sum(map(bool, texts)), n_carried=how["carried"]
    )


def _frame_field(frames: "xr.Dataset", name: str, k: int, detect: DetectOptions | None) -> Field:
    shape = (frames.sizes["y"], frames.sizes["x"])
    mosaic = name == v.RAW.name and "cfa" in frames.variables and str(frames["cfa"].values[k])
    if not mosaic:
        return from_stars(_stars_of(frames, "frame", k, detect), shape)
    plane = by_twos(np.asarray(frames[name].isel(frame=k).values, dtype=np.float32))
    stars = measure_plane(plane, options=detect or DetectOptions()).stars
    return replace(from_stars(stars, (plane.shape[0], plane.shape[1])), step=2)


def _stars_of(ds: "xr.Dataset", dim: str, number: int, options: DetectOptions | None) -> StarArray:
    names = (
        ("image", "image_quality", "image_variance") if dim == "band" else ("signal", "quality", "variance")
    )
    if dim == "frame" and "signal" not in ds.variables:
        names = ("raw", "quality", "none")
    pixels = np.asarray(ds[names[0]].isel({dim: number}).values, dtype=np.float32)
    quality, variance = (
        ds[name].isel({dim: number}).values if name in ds.variables else None for name in names[1:]
    )
    return measure_plane(pixels, quality, gain_noise=variance, options=options or DetectOptions()).stars


def _year(frames: "xr.Dataset", k: int) -> float | None:
    """Return the Julian year of a frame, None where nobody says."""
    if "time" not in frames.variables:
        return None
    time = np.asarray(frames["time"].values)[k]
    if np.isnat(time):
        return None
    return julian_year(float((time - np.datetime64("1970-01-01")) / np.timedelta64(1, "s")))


def _wcs_of(text: Any) -> WCS | None:
    return text_to_wcs(str(text)) if str(text) else None
