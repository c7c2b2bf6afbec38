"""`sciastro.solve`: one call for a dataset, a file or a star list.

Reads ``image`` (band, y, x), or ``signal`` or ``raw`` (frame, y, x); writes the coordinate ``wcs``. Of a file
or a star list it returns the solution. The ways are those of the command: hints first, then the whole sky.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from sciastro.astrometry.residuals import described
from sciastro.astrometry.sky import Hint
from sciastro.astrometry.solution import Solution
from sciastro.astrometry.solve import SolveOptions
from sciastro.core import vocabulary as v
from sciastro.core.stars import STAR_DTYPE, StarArray
from sciastro.errors import DatasetError, UsageError
from sciastro.measure.stars import DetectOptions
from sciastro.recipe.solveanswer import file_wcs
from sciastro.recipe.solvedatasets import solve_dataset_frames, solve_image
from sciastro.recipe.solvehints import with_given_wcs
from sciastro.recipe.solvereading import Field, from_stars, read_field
from sciastro.recipe.solving import Question, solve_one

if TYPE_CHECKING:
    import xarray as xr
    from astropy.coordinates import SkyCoord
    from astropy.table import QTable

    Place: TypeAlias = Hint | WCS | SkyCoord | Solution | Sequence[float]

__all__ = ["solve"]

# Columns of `Solution.matched` in pixels: of the grid, and lengths on it.
PLACES, LENGTHS = ("x", "y", "x_fit", "y_fit"), ("dx", "dy", "radius", "sigma", "error")


def solve(
    what: "xr.Dataset | str | Path | QTable",
    *,
    hint: "Place | None" = None,
    engine: str | None = None,
    seconds: float = 60.0,
    shape: tuple[int, int] | None = None,
    ra: float | None = None,
    dec: float | None = None,
    scale: float | None = None,
    epoch: float | None = None,
    catalog: "QTable | None" = None,
    detect: DetectOptions | None = None,
    options: SolveOptions | None = None,
) -> "xr.Dataset | Solution":
    """Find where an image looks, with or without a hint; a guess is never returned.

    Parameters
    ----------
    what
        A dataset (not modified), the path of a file, or a table of stars with ``x``, ``y`` [pixel, the center
        of the first one is 0], and ``flux``.
    hint
        What is known of the place: (ra, dec) or (ra, dec, scale) [deg, deg, arcsec / pixel], a SkyCoord, a
        WCS, a `Hint`, or the solution of a frame before. It is tried first, and may be wrong. None takes what
        the file or the dataset says, if anything.
    engine
        Who solves: "sciastro" (ours, offline), "tetra3rs", "solve-field", "astrometry", "nova" (sends the
        star list to nova.astrometry.net), "auto" (ours, then what is installed here); None: what
        ``config.toml`` allows, else ours.
    seconds
        Time allowed for each image; the first use ever takes about 20 s more for the index of the sky.
    shape
        Rows and columns of the image that the stars of a table are of.
    ra, dec, scale
        The hint, by name.
    epoch
        Julian year of the exposure; None takes the time of the file or dataset, or 2016.
    catalog
        Stars to solve with; None takes the embedded catalog.
    detect, options
        How stars are found, and how the field is solved.

    Returns
    -------
    Dataset or Solution
        Of a dataset with ``image``: itself with the scalar coordinate ``wcs`` (rms [arcsec], number of stars
        and engine in its attributes). Of frames: with ``wcs`` per frame, empty where one cannot be solved;
        one frame is solved and the others by their registration to it, each refined by its own stars.
        Of a file or a table: the solution; its ``wcs`` is on the pixels of the file.

    Raises
    ------
    SolveError
        If no solution is beyond doubt.
    FileError, DatasetError, UsageError
        If there is nothing to solve in `what`, or the call is wrong.

    Examples
    --------
    Stars of a field as a camera sees them, without a word on where they are:

    >>> import sciastro
    >>> from astropy.table import QTable
    >>> from sciastro.core.wcs import tan_wcs
    >>> sky = sciastro.cone((83.8, -5.4), 4.0, epoch=2016.0, brightest=200)
    >>> camera = tan_wcs(83.8, -5.4, 20.0, (800, 1000), angle=30.0)
    >>> x, y = camera.all_world2pix(sky["ra"].value, sky["dec"].value, 0)
    >>> stars = QTable({"x": x, "y": y, "flux": 10 ** (-0.4 * sky["mag"].value)})
    >>> stars = stars[(x > 0) & (x < 999) & (y > 0) & (y < 799)]
    >>> found = sciastro.solve(stars, shape=(800, 1000))
    >>> print(f"{found.scale:.2f} arcsec / pixel, turned by {found.rotation:.1f} degrees")
    20.00 arcsec / pixel, turned by 30.0 degrees
    """
    import xarray as xr

    question = _question(_hinted(hint, ra, dec, scale), engine, seconds, options)
    if isinstance(what, str | Path):
        field = replace(read_field(Path(what)), year=epoch, catalog=catalog)
        return _on_file(solve_one(with_given_wcs(field, question), question), field)
    if not isinstance(what, xr.Dataset):
        stars = _star_array(what)
        if shape is None:
            raise UsageError(
                "is needed with a star list.",
                where="shape",
                remedy="Give rows and columns: shape=(800, 1000).",
            )
        field = replace(from_stars(stars, shape), year=epoch, catalog=catalog)
        return solve_one(with_given_wcs(field, question), question)
    import sciastro.io.accessor  # noqa: F401 (gives the result its ``.sky``)

    if v.IMAGE.name in what.variables:
        return solve_image(what, question, detect, epoch, catalog)
    return solve_dataset_frames(what, question, detect, epoch, catalog)


def _hinted(hint: "Place | None", ra: float | None, dec: float | None, scale: float | None) -> Hint:
    """Return a hint in any of its forms as one; what is named goes first."""
    from astropy.coordinates import SkyCoord

    if hint is None:
        out = Hint()
    elif isinstance(hint, Hint):
        out = hint
    elif isinstance(hint, WCS):
        out = Hint(wcs=hint)
    elif isinstance(hint, Solution):
        out = Hint(wcs=hint.wcs)
    elif isinstance(hint, SkyCoord) and hint.isscalar:
        out = Hint(ra=float(hint.icrs.ra.deg), dec=float(hint.icrs.dec.deg))
    elif isinstance(hint, Sequence | np.ndarray) and len(hint) in (2, 3) and not isinstance(hint, str):
        units = ("deg", "deg", "arcsec")
        numbers = [_number(value, unit) for value, unit in zip(hint, units, strict=False)]
        out = Hint(ra=numbers[0], dec=numbers[1], scale=numbers[2] if len(numbers) == 3 else None)
    else:
        raise UsageError(
            f"is {type(hint).__name__}.",
            where="hint",
            remedy="Give (ra, dec), (ra, dec, scale), a SkyCoord, a WCS, a Hint or a Solution.",
        )
    named: dict[str, Any] = {
        name: value for name, value in (("ra", ra), ("dec", dec), ("scale", scale)) if value is not None
    }
    out = replace(out, **named)
    _check(out)
    return out


def _number(value: Any, unit: str) -> float:
    """Return a number, or a quantity in `unit`."""
    from astropy.units import UnitsError

    try:
        return float(value.to_value(unit) if hasattr(value, "to_value") else value)
    except (TypeError, ValueError, UnitsError) as error:
        raise UsageError(
            f"holds {value!r}.", where="hint", remedy="Give degrees, or a SkyCoord for anything else."
        ) from error


def _check(hint: Hint) -> None:
    if (hint.ra is None) != (hint.dec is None):
        raise UsageError("go together.", where="ra and dec", remedy="Give both, or none.")
    for name, low, high in (("ra", -360.0, 360.0), ("dec", -90.0, 90.0), ("scale", 1e-3, 1e5)):
        value = getattr(hint, name)
        if value is not None and not (np.isfinite(value) and low <= value <= high):
            unit = "arcsec / pixel" if name == "scale" else "degrees"
            raise UsageError(f"is {value}.", where=name, remedy=f"Give {low:g} to {high:g} {unit}.")


def _question(hint: Hint, engine: str | None, seconds: float, options: SolveOptions | None) -> Question:
    if not (np.isfinite(seconds) and seconds > 0):
        raise UsageError(f"is {seconds}.", where="seconds", remedy="Give a number above 0.")
    ra = None if hint.ra is None else float(hint.ra) % 360.0
    return Question(
        ra=ra, dec=hint.dec, scale=hint.scale, radius=max(hint.radius, 5.0), seconds=seconds, write=False,
        engine=engine, given=hint, options=options or SolveOptions(),
    )  # fmt: skip


def _on_file(solution: Solution, field: Field) -> Solution:
    """Return a solution on the pixels of the file, which may be finer than those that were solved."""
    if field.step == 1:
        return solution
    from astropy import units as u

    step, table = field.step, solution.matched.copy()
    for name in PLACES:
        table[name] = table[name] * step + 0.5 * (step - 1) * u.pix
    for name in LENGTHS:
        table[name] = table[name] * step
    return replace(
        solution, wcs=file_wcs(solution, field), matched=described(table), scale=solution.scale / step,
        rms_px=solution.rms_px * step, round_trip_px=solution.round_trip_px * step,
        deviation_px=solution.deviation_px * step,
    )  # fmt: skip


def _star_array(table: "QTable") -> StarArray:
    """Return the rows of a star list as `STAR_DTYPE`."""
    names = getattr(table, "colnames", None)
    if names is None:
        raise UsageError(
            f"is {type(table).__name__}.", where="what", remedy="Give a dataset, a path, or a table of stars."
        )
    missing = [name for name in ("x", "y", "flux") if name not in names]
    if missing:
        raise DatasetError(
            f"has no column '{missing[0]}' (columns: {', '.join(names[:12])}).",
            where="star list",
            remedy="Name positions 'x', 'y' [pixel] and brightness 'flux'.",
        )
    stars = np.zeros(len(table), STAR_DTYPE)
    stars["fwhm"], stars["x_err"], stars["y_err"] = 3.0, np.nan, np.nan
    for name in ("x", "y", "flux", "flux_err", "x_err", "y_err", "fwhm", "snr"):
        if name in names:
            stars[name] = _numbers(table[name])
    return stars[np.argsort(-np.nan_to_num(stars["flux"]), kind="stable")]


def _numbers(column: Any) -> npt.NDArray[np.float64]:
    plain = np.ma.asarray(getattr(column, "value", column))
    return np.asarray(np.ma.filled(plain.astype(np.float64), np.nan))
