"""What ``sciastro inspect`` and ``sciastro catalog`` say."""

import dataclasses
import json
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sciastro.core.history import history
from sciastro.errors import FileError, OptionError
from sciastro.io.framefacts import FrameFacts
from sciastro.io.headers import facts_from_header
from sciastro.io.product_reading import is_product
from sciastro.io.reader import is_image, probe
from sciastro.io.reference import catalog_info
from sciastro.io.store import groups, open_group
from sciastro.io.usercatalog import read_user_catalog
from sciastro.recipe import quality
from sciastro.recipe.catalogs import CatalogWarning, cone

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import QTable

__all__ = ["catalog_lines", "inspect_path"]

HIDDEN = ("path", "hdu", "origins", "problems", "refused")


def inspect_path(path: Path, *, header: bool = False, as_json: bool = False) -> Iterator[str]:
    """Yield what a file, or every image of a folder, says of itself; of results, their table of frames.

    Raises
    ------
    FileError
        If a single file cannot be read, or a folder holds nothing to inspect.
    """
    if path.is_dir():
        if not as_json and (path / quality.FILE).is_file():
            yield from quality.quality_lines(path)
            if not header:
                yield f"Name a file in {path / 'products'} to see what it says of itself."
                return
        files = sorted(
            one for one in path.rglob("*") if one.is_file() and (is_image(one) or one.suffix == ".h5")
        )
        if not files:
            raise FileError("holds no image.", where=str(path), remedy="Name a folder with frames.")
        for one in files:
            try:
                yield from inspect_path(one, header=header, as_json=as_json)
            except FileError as error:
                yield json.dumps({"path": str(one), "error": str(error)}) if as_json else str(error)
        return
    if path.suffix.lower() in (".h5", ".nc", ".hdf5"):
        yield from _store_lines(path)
        return
    images = probe(path)
    video = len(images) if images[0].sequence else 1
    for image in images[: 1 if video > 1 else None]:
        facts = facts_from_header(image.header, path.name, image.shape, str(image.dtype), image.hdu)
        facts = dataclasses.replace(facts, of=video)
        if as_json:
            yield json.dumps({**_plain(facts), "path": str(path)}, default=str)
            continue
        yield f"{path}, HDU {image.hdu}: {image.shape[1]} x {image.shape[0]} {image.dtype}"
        if is_product(image.header):
            yield "  product of sciastro"
        if video > 1:
            yield f"  the first of {video} frames"
        yield from _fact_lines(facts)
        if header:
            yield from (f"    {line}" for line in repr(image.header).splitlines())


def _plain(facts: FrameFacts) -> dict[str, object]:
    return {
        item.name: getattr(facts, item.name) for item in dataclasses.fields(facts) if item.name != "origins"
    } | {"origins": dict(facts.origins)}


def _fact_lines(facts: FrameFacts) -> Iterator[str]:
    for item in dataclasses.fields(facts):
        value = getattr(facts, item.name)
        if (
            item.name in HIDDEN
            or value is None
            or value == ""
            or (value == item.default and item.name not in facts.origins)
        ):
            continue
        origin = facts.origins.get(item.name)
        yield f"  {item.name:<16} {_shown(item.name, value)}{f'   ({origin})' if origin else ''}"
    for problem in facts.problems:
        yield f"  problem: {problem}"


def _shown(name: str, value: object) -> object:
    """Return a fact with the digits that mean something: a meter, a millisecond, a tenth of a permille."""
    if name == "site" and isinstance(value, tuple):
        return tuple(one and round(one, 5) for one in value)
    if name == "scale" and isinstance(value, float):
        return f"{value:.4g}"
    return value.isoformat(" ", "milliseconds") if isinstance(value, datetime) else value


def _store_lines(path: Path) -> Iterator[str]:
    for name in groups(path):
        with open_group(path, name) as ds:
            sizes = ds.sizes
            yield f"{path}, {name}: {sizes['frame']} frames of {sizes['x']} x {sizes['y']} {ds['raw'].dtype}"
            yield f"  facts per frame: {', '.join(sorted(map(str, ds.coords)))}"
            yield from _frame_lines(ds)
            for entry in history(ds):
                yield f"  history: {entry['step']} ({entry['version']})"


def _frame_lines(ds: "xr.Dataset") -> Iterator[str]:
    for i in range(ds.sizes["frame"]):
        row = ds.isel(frame=i)
        parts = [str(row["path"].values), str(row["filter"].values), f"{float(row['exposure']):g} s"]
        if "fwhm" in ds.coords:
            parts += [f"fwhm {float(row['fwhm']):.2f}", f"weight {float(row['weight']):.3f}"]
            reason = str(row["reason"].values)
            parts += [f"left out: {reason}"] if not bool(row["use"]) else []
        yield f"    {', '.join(parts)}"


def catalog_lines(
    *,
    ra: float | None,
    dec: float | None,
    radius: float,
    brightest: int,
    epoch: float | None,
    file: Path | None,
    catalog: str | None = None,
    faintest: float | None = None,
) -> Iterator[str]:
    """Yield the description of the catalog, or the stars of a cone.

    Raises
    ------
    OptionError
        If only one of `ra` and `dec` is given.
    """
    if (ra is None) != (dec is None):
        raise OptionError("is given without the other.", where="--ra or --dec", remedy="Give both.")
    if file is not None:
        yield from _star_lines(read_user_catalog(file), brightest)
        return
    if ra is None or dec is None:
        yield from _info_lines(catalog_info())
        return
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", CatalogWarning)
        stars = cone((ra, dec), radius, catalog=catalog or "embedded", epoch=epoch, mag_limit=faintest)
    yield from (f"warning: {one.message}" for one in told)
    yield from _star_lines(stars, brightest)


def _info_lines(info: dict[str, object], indent: str = "") -> Iterator[str]:
    for key, value in info.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _info_lines(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{key}:"
            for item in value:
                if isinstance(item, dict):
                    yield from _info_lines(item, indent + "    ")
                    yield ""
                else:
                    yield f"{indent}  {item}"
        else:
            yield f"{indent}{key}: {value}"


def _star_lines(stars: "QTable", brightest: int) -> Iterator[str]:
    yield f"{len(stars)} stars ({stars.meta.get('catalog', '')}; {stars.meta.get('system', '')})"
    shown = stars[:brightest]
    yield f"{'id':<30} {'ra [deg]':>12} {'dec [deg]':>12} {'mag':>7} {'color':>7}"
    for row in shown:
        values = [float(getattr(row[name], "value", row[name])) for name in ("ra", "dec", "mag", "color")]
        yield f"{row['id']!s:<30} {values[0]:12.6f} {values[1]:+12.6f} {values[2]:7.3f} {values[3]:7.3f}"
    if len(stars) > brightest:
        yield f"... and {len(stars) - brightest} fainter ones (--brightest shows more)"
