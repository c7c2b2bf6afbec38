"""The color of a set of bands: which make a picture, through which curves, by which stars; and the record.

The record (``products/TARGET_color.json``, ``colors`` in ``summary.json``) and the table of stars beside it
say how the gains came about; the products themselves are never multiplied by them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma
from sciastro.io.paths import atomic_path
from sciastro.io.tables import write_table
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.colorresult import ColorCalibration, ColorFit
from sciastro.photometry.colorsteps import color_of_bands
from sciastro.recipe.colorcurves import LINES, CameraCurves, Site, camera_curves, white_of
from sciastro.recipe.starspectra import star_spectra
from sciastro.recipe.summary import clean

if TYPE_CHECKING:
    from astropy.table import QTable, Table

__all__ = [
    "SetColor",
    "bands_of_picture",
    "color_record",
    "color_slope",
    "color_trends",
    "set_color",
    "write_color",
]

_PROOF = 4.0  # errors by which the slope of red over blue against color must be negative
_FEWEST = 8  # stars that prove anything
_NO_SENSOR = 0.85  # gains of red and blue that are both below are those of no color sensor

TRIOS = (
    ("R", "G", "B"), ("r", "g", "B"), ("R", "V", "B"), ("Rc", "V", "Bj"), ("I", "V", "B"), ("i", "r", "g"),
    ("SII", "Ha", "OIII"), ("Ha", "OIII"), ("r", "g"), ("i", "r"), ("R", "V"), ("V", "B"), ("R", "B"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class SetColor:
    """What color calibration found for one set of bands.

    Attributes
    ----------
    bands
        That make the picture.
    fit, stars
        None where there are too few stars; `reason` says why.
    sky
        Band -> level of the sky [electron / s / pixel], for the background of the picture.
    cfa
        Whether the bands are the colors of one sensor.
    spectra, spectra_reason
        Where measured spectra of stars are from, and why some or all are wanting.
    """

    bands: tuple[str, ...]
    fit: ColorFit | None
    stars: "QTable | None"
    curves: CameraCurves
    site: Site
    sky: Mapping[str, float]
    reason: str = ""
    cfa: bool = False
    spectra: Mapping[str, Any] = field(default_factory=dict)
    spectra_reason: str = ""

    @property
    def doubt(self) -> str:
        """Why the colors cannot be those of the sensor or the bands; empty where they can.

        Every color sensor catches most light in green: where red and blue are both brighter, greens were
        taken for red and blue. Redder stars are brighter in red: where they are brighter in blue, the two
        were taken for each other.
        """
        if swapped := self._swapped():
            return swapped
        found = self.calibration
        if not self.cfa or found is None or len(found.gains) != 3:
            return ""
        red, _, blue = found.gains
        if max(red, blue) > _NO_SENSOR:
            return ""
        return (
            f"red and blue are brighter than green (gains {red:.2f} and {blue:.2f}), as no color sensor has "
            "them: the Bayer pattern is another than the header says, as after a crop or a flip; correct it "
            "in the files (BAYERPAT)"
        )

    def _swapped(self) -> str:
        """Return what stars prove of red and blue taken for each other; empty where they prove nothing."""
        if self.stars is None or self.narrow or len(self.bands) < 2:
            return ""
        red, blue = self.bands[0], self.bands[-1]
        ratio = 2.5 * np.log10(self.stars[f"flux_{red}"].value / self.stars[f"flux_{blue}"].value)
        slope, err = color_slope(np.asarray(self.stars["color"].value, dtype=np.float64), ratio)
        if not slope < -_PROOF * err:
            return ""
        seen = (
            f"redder stars are brighter in {blue} and fainter in {red} ({slope:+.2f} +- {err:.2f} mag "
            "per mag of color), the wrong way round: "
        )
        if self.cfa:
            return seen + (
                "the Bayer pattern of the header has red and blue swapped, as after a flip; correct it in "
                "the files (BAYERPAT)"
            )
        return seen + f"{red} and {blue} are taken for each other; correct the names of the filters"

    @property
    def calibration(self) -> ColorCalibration | None:
        """Return the gains; None where there are none."""
        return self.fit.calibration if self.fit is not None else None

    @property
    def narrow(self) -> bool:
        """Whether the bands are narrow ones, whose stars show the continuum only."""
        return any(band.rsplit("_", 1)[-1] in LINES for band in self.bands)

    def shown(self, options: ColorOptions) -> bool:
        """Return whether pictures use the gains."""
        return self.fit is not None and (options.narrow_picture or not self.narrow)


def color_slope(color: npt.NDArray[np.float64], ratio: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the slope of a ratio of fluxes [mag] against color [mag], and its error; NaN for too few stars.

    The median over pairs of a redder and a bluer star, each star in one pair, so that some may be blends or
    variables; the error is that of a median, larger for few pairs, whose scatter is not well known: of 20,000
    fields of 8 to 30 stars without a slope 14 in 1,000 were below -4 errors without that, and 3 with it.
    """
    good = np.isfinite(color) & np.isfinite(ratio)
    x, y = color[good], ratio[good]
    if len(x) < _FEWEST or np.ptp(x) <= 0:
        return float("nan"), float("nan")
    order = np.argsort(x, kind="stable")[: 2 * (len(x) // 2)]
    x, y = x[order], y[order]
    half = len(x) // 2
    run = x[half:] - x[:half]  # the redder half against the bluer one
    slopes = (y[half:] - y[:half])[run > 0] / run[run > 0]
    if len(slopes) < _FEWEST // 2:
        return float("nan"), float("nan")
    middle = float(np.median(slopes))
    spread = mad_sigma(slopes, middle)
    few = 1 + 4 / (len(slopes) - 1)
    return middle, 1.2533 * few * spread / float(np.sqrt(len(slopes))) + 1e-9


def bands_of_picture(bands: Sequence[str]) -> tuple[str, ...]:
    """Return the bands that red, green and blue of a picture are from; empty where they make none."""
    for trio in TRIOS:
        if all(band in bands for band in trio):
            return trio
    for band in bands:
        front = band.removesuffix("_R")
        trio = (f"{front}_R", f"{front}_G", f"{front}_B")
        if front != band and all(one in bands for one in trio):
            return trio
    return ()


def set_color(
    tables: "Mapping[str, Table]",
    catalog: "QTable",
    *,
    cfa: bool,
    site: Site,
    sky: Mapping[str, float],
    options: ColorOptions,
) -> SetColor | None:
    """Calibrate the colors of a set; None where its bands make no color picture.

    Parameters
    ----------
    tables
        Band -> sources with positions and fluxes.
    cfa
        Whether the bands are the colors of one sensor.

    Raises
    ------
    OptionError, FileError
        For curves, spectra or a white reference that the user named and that cannot be had.
    """
    bands = bands_of_picture(list(tables))
    if not bands:
        return None
    white = white_of(options)
    curves = camera_curves(bands, cfa=cfa, options=options, site=site)
    light = star_spectra(tables, catalog, bands, options)
    fit, reason, stars = color_of_bands(
        tables, light.catalog, bands, response=curves.response, white=white, photons=light.photons,
        options=options,
    )  # fmt: skip
    if fit is None and curves.reason:
        reason = f"{reason}; {curves.reason}"
    return SetColor(
        bands=bands, fit=fit, stars=stars, curves=curves, site=site, sky=sky, reason=reason, cfa=cfa,
        spectra=light.told, spectra_reason=light.reason,
    )  # fmt: skip


def color_record(found: SetColor, options: ColorOptions) -> dict[str, Any]:
    """Return what is to be known of a calibration, as plain values."""
    row: dict[str, Any] = {"bands": list(found.bands), "reason": found.reason or None}
    row["curves"] = {"bands": found.curves.told, "generic": list(found.curves.generic)}
    row["airmass"] = found.site.airmass
    if found.spectra or found.spectra_reason:
        row["spectra"] = {**found.spectra, "reason": found.spectra_reason or None}
    calibration = found.calibration
    if calibration is None:
        return dict(clean(row))
    row |= {name: value for name, value in calibration.as_dict().items() if name != "bands"}
    row["applied"] = "to pictures only; products hold electron / s" if found.shown(options) else "nowhere"
    row["doubt"] = found.doubt or None
    row["sky"] = _sky(found, calibration)
    row["trends"] = color_trends(found.stars) if found.stars is not None else {}
    return dict(clean(row))


TRENDS = (
    ("color", "per mag of color"),
    ("mag", "per mag"),
    ("x", "over the width"),
    ("y", "over the height"),
)


def color_trends(stars: "QTable") -> dict[str, dict[str, dict[str, Any]]]:
    """Return slopes of the residuals of the stars used, by ratio and quantity, with errors."""
    used = np.asarray(stars["used"], dtype=bool)
    reference = str(stars.meta["reference_band"])
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for name in (column for column in stars.colnames if column.startswith("residual_")):
        y = np.asarray(stars[name].value, dtype=np.float64)
        out[f"{name.removeprefix('residual_')} - {reference}"] = {
            quantity: {**_slope(np.asarray(stars[quantity].value, float), y, used, quantity), "unit": unit}
            for quantity, unit in TRENDS
        }
    return out


def _slope(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], used: npt.NDArray[np.bool_], name: str
) -> dict[str, float]:
    good = used & np.isfinite(x) & np.isfinite(y)
    if name in ("x", "y") and good.any():
        x = x / max(float(np.ptp(x[good])), 1e-9)
    if good.sum() < 5 or np.ptp(x[good]) <= 0:
        return {"slope": float("nan"), "err": float("nan")}
    design = np.column_stack([np.ones(good.sum()), x[good] - x[good].mean()])
    left, *_ = np.linalg.lstsq(design, y[good], rcond=None)
    scatter = float(np.sum((y[good] - design @ left) ** 2)) / (good.sum() - 2)
    return {"slope": float(left[1]), "err": float(np.sqrt(scatter / np.sum(design[:, 1] ** 2)))}


def _sky(found: SetColor, calibration: ColorCalibration) -> dict[str, Any]:
    """Return the sky per band and its color against white [mag], which the picture is freed of."""
    level = np.array([found.sky.get(band, np.nan) for band in calibration.bands])
    shown = level * np.array(calibration.gains)
    reference = shown[1 if len(shown) > 2 else 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        color = -2.5 * np.log10(np.where(shown > 0, shown, np.nan) / reference)
    return {
        "electron_s_pixel": dict(zip(calibration.bands, level.tolist(), strict=True)),
        "color_mag": dict(zip(calibration.bands, color.tolist(), strict=True)),
        "neutralized": "the picture's sky is subtracted band by band and shown gray",
    }


def write_color(
    found: SetColor,
    folder: Path,
    stem: str,
    options: ColorOptions,
    *,
    prefix: str = "products/",
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write ``STEM_color.json`` and, where there are stars, ``STEM_color.ecsv``; return the record.

    Parameters
    ----------
    prefix
        Of the files' names in the record: where `folder` lies in the output folder.
    more
        What else belongs into the record.
    """
    record = {"schema": 1, "target": stem, **color_record(found, options), **(more or {})}
    if found.stars is not None:
        write_table(folder / f"{stem}_color.ecsv", found.stars)
        record["stars"] = f"{prefix}{stem}_color.ecsv"
    with atomic_path(folder / f"{stem}_color.json") as temporary:
        text = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        Path(temporary).write_text(text, encoding="utf-8")
    return record
