"""The zero point: what a star of 1 electron / s has as a magnitude, with its error.

Model: ``m_cat = m_inst + Z + C (color - color_reference) - k X + P(x, y)``. Errors of both magnitudes and an
intrinsic scatter weigh the stars; outliers are clipped (`robust.fit_linear`). The color term is fitted only
where the stars can tell it, and is otherwise 0 and said to be. k is given, or comes from a night
(`extinction.fit_extinction`); P only on request, of the degree that left-out stars prove (`fieldterm`). Fewer
than three stars give no zero point.
"""

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.core.robust import mad_sigma
from sciastro.photometry.fieldterm import MOST, Field, degree_of_field, field_of, powers
from sciastro.photometry.references import kind_of
from sciastro.photometry.robust import LinearFit, fit_linear, jackknife
from sciastro.photometry.systems import SYSTEMS

__all__ = ["ZeroPoint", "ZeroPointOptions", "fit_zeropoint"]

Floats = npt.NDArray[np.float64]
Matrix = tuple[tuple[float, ...], ...]

_NAN = float("nan")


@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroPointOptions(Options):
    """How the zero point is fitted."""

    kappa: float = option(3.5, "Clipping threshold.", unit="sigma", low=1.5, high=10.0)
    min_stars: int = option(3, "Fewest stars that make a zero point.", low=3, high=1000)
    min_color_stars: int = option(12, "Fewest stars that make a color term.", low=4, high=10000)
    min_color_range: float = option(
        0.5, "Least spread of colors (5 to 95 %) for a color term.", unit="mag", low=0.05, high=5.0
    )
    match_radius: float | None = option(
        None,
        "Largest distance to a catalog star; none takes 1.5 pixels or 1.5 arcsec.",
        unit="arcsec",
        low=0.01,
    )
    least_snr: float = option(10.0, "Least S/N of a star that calibrates.", low=3.0)
    color_reference: float | None = option(
        None,
        "Color that the zero point holds for; none takes the stars' mean.",
        unit="mag",
        low=-2.0,
        high=6.0,
    )
    system: str = option(
        "",
        "Photometric system, such as 'Johnson V' or 'SDSS r'; empty goes by the filter and the catalog.",
        choices=("", *SYSTEMS),
    )
    spatial: str = option(
        "none",
        "Zero point over the field: none, of the degree that left-out stars prove, or of a fixed degree.",
        choices=("none", "auto", "1", "2", "3"),
    )
    extinction: float | None = option(
        None,
        "Extinction per airmass that differs over the image; none leaves it in the zero point.",
        unit="mag",
        low=0.0,
        high=3.0,
    )


_DEFAULTS = ZeroPointOptions()


@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroPoint:
    """A fitted zero point.

    Attributes
    ----------
    mag, err
        Magnitude of 1 electron / s for a star of `color_reference`, and its standard error [mag].
    color_term, color_term_err
        Coefficient of the catalog color [1]; 0 and NaN where it was not fitted.
    covariance
        (term, term), in the order of `terms`; zeros for a term that was not fitted.
    scatter
        From star to star beyond the quoted errors [mag].
    rms
        Robust scatter of the residuals of the stars used [mag].
    chi2
        Reduced, with the quoted errors alone; NaN where errors are unknown.
    n_stars, n_rejected
        Stars used and clipped.
    system, catalog, color_name
        Names for the record.
    color_reference
        [mag]; NaN where no star has a color.
    note
        Why there is no color term, how the catalog magnitude was made.
    terms, coefficients
        "zeropoint", "color", then "airmass" (minus k), "color_airmass" (minus k2) and "x", "y", "x2", ... of
        the field, and their values.
    err_empirical, covariance_empirical
        The same errors from leaving out stars one by one, which asks residuals, not quoted errors; NaN
        where the stars are too few.
    color_range
        Of the stars used [mag]; NaN without.
    extinction, extinction_err
        k [mag / airmass]; the error is 0 where k was given, and both are NaN where the zero point holds the
        extinction. Above the atmosphere the zero point is ``mag + k airmass``.
    second_order, second_order_err
        k2 [mag per mag of color per airmass] of a night whose left-out stars ask for it; 0 where they do
        not, NaN where they cannot tell. `extinction` is that of a star of `color_reference`.
    airmass
        That `mag` holds at: the mean of the stars; NaN unknown.
    kind
        "AB" or "Vega"; empty where the system is not known.
    spatial, spatial_note
        Degree of the field term, and why.
    place
        Where the field term holds; None without one.
    used
        bool, per star that was given to the fit: whether it entered.
    """

    mag: float
    err: float
    color_term: float
    color_term_err: float
    covariance: Matrix
    scatter: float
    rms: float
    chi2: float
    n_stars: int
    n_rejected: int
    system: str
    catalog: str
    color_name: str
    color_reference: float
    note: str
    terms: tuple[str, ...] = ("zeropoint", "color")
    coefficients: tuple[float, ...] = ()
    err_empirical: float = _NAN
    covariance_empirical: Matrix = ()
    color_range: tuple[float, float] = (_NAN, _NAN)
    extinction: float = _NAN
    extinction_err: float = _NAN
    second_order: float = _NAN
    second_order_err: float = _NAN
    airmass: float = _NAN
    kind: str = ""
    spatial: int = 0
    spatial_note: str = ""
    place: Field | None = None
    used: npt.NDArray[np.bool_] = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a header, a table's meta or a summary."""
        out = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "used"}
        if self.place is not None:
            out["place"] = {item.name: getattr(self.place, item.name) for item in fields(self.place)}
        return out

    def brief(self) -> dict[str, Any]:
        """Return what a summary's row says of it: what is assumed, what is fitted, and how well."""
        names = (
            "mag", "err", "err_empirical", "n_stars", "n_rejected", "system", "kind", "catalog", "color_term",
            "color_term_err", "color_name", "color_reference", "scatter", "extinction", "extinction_err",
            "second_order", "second_order_err", "airmass", "spatial", "spatial_note", "terms", "coefficients",
            "covariance", "covariance_empirical", "note",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def at(self, design: Floats) -> tuple[Floats, Floats]:
        """Return the zero points of rows of `design`, and their errors, which rows have in common [mag]."""
        values = np.array(self.coefficients or (self.mag, self.color_term))
        covariance = np.array(self.covariance)
        return design @ values, np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", design, covariance, design), 0.0))

    def design(
        self, color: npt.ArrayLike, x: npt.ArrayLike = _NAN, y: npt.ArrayLike = _NAN,
        airmass: npt.ArrayLike = _NAN,
    ) -> Floats:  # fmt: skip
        """Return the factors of `coefficients` for sources, (source, term).

        An unknown color counts as `color_reference`, an unknown position as the mean of the stars, an unknown
        airmass as that of the zero point.
        """
        reference = self.color_reference if math.isfinite(self.color_reference) else 0.0
        hue, px, py, mass = (
            np.asarray(values, dtype=np.float64).ravel()
            for values in np.broadcast_arrays(color, x, y, airmass)
        )
        away = np.where(np.isfinite(hue), hue - reference, 0.0)
        columns = [np.ones(hue.size), away]
        if "airmass" in self.terms:
            columns.append(np.where(np.isfinite(mass), mass - self.airmass, 0.0))
        if "color_airmass" in self.terms:
            columns.append(away * columns[-1])
        if self.place is not None and self.spatial:
            columns.extend(np.nan_to_num(self.place.terms(px, py, self.spatial)).T)
        return np.column_stack(columns)


def fit_zeropoint(
    mag_inst: npt.ArrayLike,
    mag_inst_err: npt.ArrayLike,
    mag_cat: npt.ArrayLike,
    mag_cat_err: npt.ArrayLike,
    color: npt.ArrayLike,
    *,
    x: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    shape: tuple[int, int] | None = None,
    airmass: npt.ArrayLike | None = None,
    system: str = "",
    catalog: str = "",
    color_name: str = "B-V",
    note: str = "",
    options: ZeroPointOptions = ZeroPointOptions(),
) -> tuple[ZeroPoint | None, str]:
    """Fit the zero point of matched stars.

    Parameters
    ----------
    mag_inst, mag_inst_err
        Instrumental magnitudes, -2.5 log10 of electron / s, and their errors [mag].
    mag_cat, mag_cat_err
        Catalog magnitudes in `system` and their errors [mag]; an unknown error may be 0 or NaN.
    color
        Catalog color [mag]; NaN unknown. A star without color serves only where no color term is fitted.
    x, y, shape
        Positions [pixel] and size (rows, columns) of the image, for ``options.spatial``.
    airmass
        Of each star or of the image, for ``options.extinction``.

    Returns
    -------
    zeropoint, reason
        None and why, where the stars are too few; else the zero point and an empty text.
    """
    n = np.asarray(mag_inst, dtype=np.float64).size
    inst, inst_err, cat, cat_err, hue, mass, px, py = (
        np.broadcast_to(np.asarray(_NAN if values is None else values, dtype=np.float64), n)
        for values in (mag_inst, mag_inst_err, mag_cat, mag_cat_err, color, airmass, x, y)
    )
    good = np.isfinite(inst) & np.isfinite(inst_err) & np.isfinite(cat)
    placed = np.isfinite(px) & np.isfinite(py)
    if options.spatial != "none" and placed.any():
        good &= placed
    known = np.isfinite(mass)
    if options.extinction is not None and not known.any():
        note = "; ".join(text for text in (note, "extinction is left in: the airmass is unknown") if text)
        options = replace(options, extinction=None)
    if options.extinction is not None:
        good &= known
    if options.extinction is not None:
        inst = inst - options.extinction * (mass - _mean(mass[good]))
    if good.sum() < options.min_stars:
        return (
            None,
            f"{int(good.sum())} matched stars have usable magnitudes; a zero point needs {options.min_stars}",
        )
    colored = np.isfinite(hue)
    refusal = _refuse_color(hue[good & colored], options)
    chosen = good if refusal else good & colored
    reference = _reference(hue[good], np.hypot(inst_err, np.nan_to_num(cat_err))[good], options)
    values, err = (cat - inst)[chosen], np.hypot(inst_err, np.nan_to_num(cat_err))[chosen]
    design = np.ones((len(values), 1)) if refusal else np.column_stack(
        [np.ones(len(values)), hue[chosen] - reference]
    )  # fmt: skip
    place, degree, why, extra = _over_field(px[chosen], py[chosen], shape, design, values, err, options)
    fit = fit_linear(np.column_stack([design, extra]), values, err, kappa=options.kappa)
    needed = max(options.min_stars, design.shape[1] + extra.shape[1] + 1)
    if fit.used.sum() < needed:
        return None, f"only {int(fit.used.sum())} of {len(values)} stars agree with each other"
    unknown = "" if np.nan_to_num(cat_err)[chosen].any() else "the catalog gives no errors"
    used = np.zeros(n, dtype=np.bool_)
    used[np.flatnonzero(chosen)[fit.used]] = True
    facts: dict[str, Any] = {
        "system": system, "kind": kind_of(system), "catalog": catalog, "color_name": color_name,
        "note": "; ".join(text for text in (note, refusal, unknown) if text),
        "color_reference": reference, "used": used, "color_range": _range(hue[used]),
        "airmass": _mean(mass[good]),
        "extinction": _NAN if options.extinction is None else options.extinction,
        "extinction_err": _NAN if options.extinction is None else 0.0,
        "spatial": degree, "spatial_note": why, "place": place if degree else None,
    }  # fmt: skip
    return _zeropoint(fit, np.column_stack([design, extra]), values, err, bool(refusal), facts), ""


def _over_field(
    x: Floats, y: Floats, shape: tuple[int, int] | None, design: Floats, values: Floats, err: Floats,
    options: ZeroPointOptions,
) -> tuple[Field | None, int, str, Floats]:  # fmt: skip
    """Return the field, the degree of its term, why that, and the columns of the term."""
    nothing = np.empty((len(values), 0))
    if options.spatial == "none":
        return None, 0, "", nothing
    if not np.isfinite(x).all():
        return None, 0, "the positions of the stars are unknown", nothing
    place = field_of(x, y, shape)
    if options.spatial == "auto":
        degree, why = degree_of_field(
            design, place.terms(x, y, MOST), values, err, most=MOST, kappa=options.kappa
        )
    else:
        degree, why = int(options.spatial), "asked for"
        if len(values) < 2 * (design.shape[1] + len(powers(degree))):
            return None, 0, f"{len(values)} stars are too few for a field term of degree {degree}", nothing
    return place, degree, why, place.terms(x, y, degree)


def _refuse_color(hue: Floats, options: ZeroPointOptions) -> str:
    """Return why these colors cannot fix a color term, or an empty text."""
    if len(hue) < options.min_color_stars:
        return f"no color term: {len(hue)} stars have colors, {options.min_color_stars} are needed"
    spread = float(np.ptp(np.percentile(hue, [5, 95])))
    if spread < options.min_color_range:
        return f"no color term: colors span {spread:.2f} mag, {options.min_color_range} are needed"
    return ""


def _reference(hue: Floats, err: Floats, options: ZeroPointOptions) -> float:
    if options.color_reference is not None:
        return options.color_reference
    colored = np.isfinite(hue)
    if not colored.any():
        return _NAN
    # A floor of 0.02 mag keeps one very bright star from being the reference.
    return float(np.average(hue[colored], weights=1 / (err[colored] ** 2 + 0.02**2)))


def _range(hue: Floats) -> tuple[float, float]:
    known = hue[np.isfinite(hue)]
    return (float(known.min()), float(known.max())) if known.size else (_NAN, _NAN)


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else _NAN


def matrix(values: Floats) -> Matrix:
    """Return a matrix (n, n) as plain numbers, row by row."""
    return tuple(tuple(float(value) for value in row) for row in values)


def field_names(degree: int) -> list[str]:
    """Return the names of the field's terms: x, y, x2, xy, y2, ..."""
    return ["x" * (i > 0) + str(i) * (i > 1) + "y" * (j > 0) + str(j) * (j > 1) for i, j in powers(degree)]


def _zeropoint(
    fit: LinearFit, design: Floats, values: Floats, err: Floats, flat: bool, facts: dict[str, Any]
) -> ZeroPoint:
    """Return the fit by its terms; `flat`: without a color term, whose row is then zero."""
    fixed = math.isfinite(facts["extinction"])
    terms = ["zeropoint", "color", *(["airmass"] if fixed else []), *field_names(facts["spatial"])]
    rows = [k for k, name in enumerate(terms) if name != "airmass" and not (flat and name == "color")]
    covariance, empirical = np.zeros((2, len(terms), len(terms)))
    at = np.ix_(rows, rows)
    covariance[at] = fit.covariance
    empirical[at] = jackknife(design[fit.used], values[fit.used], err[fit.used] ** 2 + fit.scatter**2 + 1e-18)
    coefficients = np.zeros(len(terms))
    coefficients[rows] = fit.coefficients
    if fixed:
        coefficients[2] = -facts["extinction"]
    kept = (values - design @ fit.coefficients)[fit.used]
    return ZeroPoint(
        mag=float(coefficients[0]),
        err=math.sqrt(covariance[0, 0]),
        color_term=float(coefficients[1]),
        color_term_err=_NAN if flat else math.sqrt(covariance[1, 1]),
        covariance=matrix(covariance),
        scatter=fit.scatter,
        rms=mad_sigma(kept),
        chi2=fit.chi2,
        n_stars=int(fit.used.sum()),
        n_rejected=int((~fit.used).sum()),
        terms=tuple(terms),
        coefficients=tuple(float(value) for value in coefficients),
        err_empirical=math.sqrt(empirical[0, 0]) if np.isfinite(empirical[0, 0]) else _NAN,
        covariance_empirical=matrix(empirical),
        **facts,
    )
