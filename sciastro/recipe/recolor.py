"""Color calibration of a finished run, done again: other curves, white reference, catalog, stage.

Reads the products and their sources, never the raw frames; the products stay as they are. Writes
``products/TARGET_color.json`` and ``.ecsv``, the picture ``renders/TARGET_color.png`` and ``colors`` of
``summary.json``.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.core import vocabulary as v
from sciastro.core.timescales import julian_year
from sciastro.core.vocabulary import labeled
from sciastro.core.wcs import center, footprint_radius, text_to_wcs
from sciastro.errors import FileError, SciastroError
from sciastro.io.coloredproducts import colored_name, write_colored
from sciastro.io.paths import atomic_path, ensure_writable
from sciastro.io.product_reading import read_product
from sciastro.io.tables import read_sources
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.recipe.colorcurves import Site, check_color
from sciastro.recipe.deepcatalog import DeepCatalog
from sciastro.recipe.movers import read_summary
from sciastro.recipe.plan import Recipe, load_recipe
from sciastro.recipe.rendering import matrix_text, write_picture
from sciastro.recipe.setcolor import SetColor, bands_of_picture, set_color, write_color
from sciastro.recipe.summary import clean
from sciastro.render.color import sky_level

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import QTable, Table

__all__ = ["Recolored", "recolor_run", "with_gains"]

log = logging.getLogger(__name__)

DEEPEST = 20_000  # catalog stars, the brightest


@dataclass(frozen=True, kw_only=True, slots=True)
class Recolored:
    """What was done for one target.

    Attributes
    ----------
    record
        As in ``products/TARGET_color.json``.
    picture
        Path of the picture relative to the run; empty where none could be made.
    files
        Other files written, relative to the run.
    """

    target: str
    record: dict[str, Any]
    picture: str
    files: tuple[str, ...] = ()


def recolor_run(
    out: Path,
    changes: Sequence[str] = (),
    *,
    catalog: str = "embedded",
    warn: Callable[[str], None] = log.warning,
) -> list[Recolored]:
    """Calibrate the colors of a finished run again and make its pictures anew.

    Parameters
    ----------
    out
        Folder that `sciastro reduce` wrote.
    changes
        ``step.option=value``, on top of the recipe of the run.
    catalog
        Name or file of the stars (`catalogs.cone`).
    warn
        Told why a target keeps its colors while others get new ones, why gains cannot be a sensor's, and that
        the catalog could not be had.

    Raises
    ------
    SciastroError
        If there is no such run, no color picture in it, a curve that cannot be had, or too few stars for
        every target.
    """
    summary = read_summary(out)
    ensure_writable(out)
    recipe = load_recipe(out / "recipe.toml" if (out / "recipe.toml").is_file() else None, changes)
    check_color(recipe.of(ColorOptions))
    sets = _sets(out, summary)
    if not sets:
        raise FileError(
            "holds no set of bands that makes a color picture.", where=str(out),
            remedy="Reduce frames of red, green and blue, of a color sensor, or of Ha and OIII.",
        )  # fmt: skip
    known = {str(row.get("target")): row for row in summary.get("colors") or [] if isinstance(row, dict)}
    cfa = any(str(row.get("band")) == "OSC" for row in summary.get("frames", []))
    done: list[Recolored] = []
    problems: list[SciastroError] = []
    known_stars = DeepCatalog(catalog)
    for stem, rows in sets.items():
        site = Site(airmass=_number(known.get(stem, {}).get("airmass")))
        try:
            done.append(_one(out, stem, rows, site, cfa, known_stars, recipe, warn))
        except SciastroError as error:
            problems.append(error)
    if not done:
        raise problems[0]
    for one in done:
        if doubt := one.record.get("doubt"):
            warn(f"{one.target}: {doubt}")
        if reason := (one.record.get("spectra") or {}).get("reason"):
            warn(f"{one.target}: {reason}")
    for problem in problems:
        warn(f"colors stay as they were: {problem}")
    others = [row for stem, row in known.items() if stem not in {one.target for one in done}]
    _update(out, [*others, *(one.record for one in done)])
    return done


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _sets(out: Path, summary: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return stem -> band -> row of the products that make color pictures."""
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for row in summary.get("products", []):
        image, band = str(row.get("image") or ""), str(row.get("band"))
        name = Path(image).name.removesuffix(".fits")
        inside = Path(image).parts[:-1] == ("products",) and (out / image).is_file()
        if inside and row.get("sources") and name.endswith(f"_{band}"):
            groups.setdefault(name.removesuffix(f"_{band}"), {})[band] = row
    return {stem: rows for stem, rows in groups.items() if bands_of_picture(list(rows))}


def _one(
    out: Path,
    stem: str,
    rows: dict[str, dict[str, Any]],
    site: Site,
    cfa: bool,
    catalog: DeepCatalog,
    recipe: Recipe,
    warn: Callable[[str], None],
) -> Recolored:
    import xarray as xr

    products = {band: read_product(out / row["image"]) for band, row in rows.items()}
    tables = {band: _sources(out, row) for band, row in rows.items()}
    options = recipe.of(ColorOptions)
    stars = _stars(next(iter(products.values())), catalog, stem, warn)
    sky = {band: sky_level(ds["image"].values[0])[0] for band, ds in products.items()}
    found = set_color(tables, stars, cfa=cfa, site=site, sky=sky, options=options)
    if found is None or found.calibration is None:
        raise FileError(
            f"has no color calibration: {found.reason if found is not None else 'no bands'}.", where=stem,
            remedy="Take a deeper catalog (--catalog gaia-dr3), or lower color.least_snr or color.min_stars.",
        )  # fmt: skip
    if found.spectra_reason and not found.spectra:
        raise FileError(
            f"was not calibrated by spectra: {found.spectra_reason}", where=stem,
            remedy="Leave --spectra out: the mean spectra of stars of each color serve then.",
        )  # fmt: skip
    record = write_color(found, out / "products", stem, options)
    names = ("image", "image_quality", "coverage")
    planes = [ds[[name for name in names if name in ds]].reset_coords(drop=True) for ds in products.values()]
    ds = xr.concat(planes, "band", coords="minimal", compat="override", join="override")
    ds = ds.assign_coords(band=list(products))
    picture = _picture(out, stem, with_gains(ds, found, options), recipe)
    files = _apply(out, rows, found) if options.apply else ()
    return Recolored(target=stem, record=record, picture=picture, files=files)


def _sources(out: Path, row: dict[str, Any]) -> "Table":
    path = out / str(row["sources"])
    if Path(row["sources"]).parts[:-1] != ("products",):
        raise FileError("lies outside of the run.", where=str(path), remedy="Reduce the session again.")
    return read_sources(path)


def _stars(ds: "xr.Dataset", catalog: DeepCatalog, stem: str, warn: Callable[[str], None]) -> "QTable":
    if "wcs" not in ds.coords or not str(ds["wcs"].values):
        raise FileError("has no world coordinates.", where=stem, remedy="Solve it first: `sciastro solve`.")
    wcs = text_to_wcs(str(ds["wcs"].values))
    shape = (ds.sizes["y"], ds.sizes["x"])
    ra, dec = center(wcs, shape)
    radius = 1.05 * footprint_radius(wcs, shape)
    return catalog.stars(ra, dec, min(radius, 180.0), epoch=_epoch(ds), brightest=DEEPEST, warn=warn)


def _epoch(ds: "xr.Dataset") -> float | None:
    text = str(ds.attrs.get("date_average") or ds.attrs.get("date_begin") or "")
    try:
        when = datetime.fromisoformat(text[:19])
    except ValueError:
        return None
    return julian_year(when.replace(tzinfo=UTC).timestamp())


def with_gains(ds: "xr.Dataset", found: SetColor, options: ColorOptions) -> "xr.Dataset":
    """Return the dataset with ``color_gain`` and its error [1, (band)], for its picture."""
    bands = [str(name) for name in ds["band"].values]
    gain, err = np.full(len(bands), np.nan), np.full(len(bands), np.nan)
    calibration = found.calibration
    if calibration is not None and found.shown(options):
        for k, band in enumerate(bands):
            if band in calibration.bands:
                at = calibration.bands.index(band)
                gain[k], err[k] = calibration.gains[at], calibration.errors[at]
    out = ds.assign(color_gain=labeled(v.COLOR_GAIN, gain), color_gain_err=labeled(v.COLOR_GAIN_ERR, err))
    out["color_gain"].attrs["matrix"] = matrix_text(calibration) if np.isfinite(gain).any() else ""
    return out


def _picture(out: Path, stem: str, ds: "xr.Dataset", recipe: Recipe) -> str:
    before = out / "renders" / f"{stem}.json"
    text = before.read_text(encoding="utf-8") if before.is_file() else ""
    (out / "renders").mkdir(exist_ok=True)
    name = f"{stem}_color.png"
    write_picture(
        ds, out / "renders" / name, recipe, title=stem, top_down="as the frames were stored" in text
    )
    return f"renders/{name}"


def _apply(out: Path, rows: dict[str, dict[str, Any]], found: SetColor) -> tuple[str, ...]:
    written = []
    calibration = found.calibration
    for band, row in rows.items():
        if calibration is None or band not in calibration.bands:
            continue
        at, path = calibration.bands.index(band), out / row["image"]
        write_colored(
            path, path.with_name(colored_name(path)), calibration.gains[at], calibration.errors[at],
            calibration.white_name,
        )  # fmt: skip
        written.append(f"products/{colored_name(path)}")
    return tuple(written)


def _update(out: Path, colors: list[dict[str, Any]]) -> None:
    summary = read_summary(out)
    summary["colors"] = clean(colors)
    with atomic_path(out / "summary.json") as temporary:
        text = json.dumps(summary, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        Path(temporary).write_text(text, encoding="utf-8", errors="backslashreplace")
