"""Annotate a file: read it, find its place on the sky, say what is there, write a picture and a table.

Positions in the table are pixels of the file's own array (0 is the center of the first one), rows as stored.
"""

import json
import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from astropy.table import QTable, Table
from astropy.wcs import WCS

from sciastro.core.wcs import celestial_from_header, resampled
from sciastro.errors import SciastroError, UsageError
from sciastro.io.fitsunits import walk
from sciastro.io.paths import atomic_path, output_errors
from sciastro.io.raster import write_jpeg, write_png
from sciastro.io.skydata import find
from sciastro.recipe.fieldcontent import KINDS, inventory
from sciastro.recipe.fieldpicture import field_picture
from sciastro.recipe.solveanswer import as_shown, file_wcs
from sciastro.recipe.solvereading import PICTURES, Field, read_field
from sciastro.recipe.solving import Question, solve_one

__all__ = ["Annotated", "Wish", "annotate_file"]

log = logging.getLogger(__name__)

UNKNOWN = Question(write=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is to be shown.

    Attributes
    ----------
    objects
        Of `KINDS`, or names of objects and stars that alone are marked; empty takes what suits the field.
    grid
        Lines of right ascension and declination.
    size
        Longest side of the picture [pixel].
    solve
        Solve the image even where the file has a WCS.
    question
        What is known of the place, for a file without a WCS.
    """

    objects: tuple[str, ...] = ()
    grid: bool = True
    size: int = 2400
    solve: bool = False
    question: Question = UNKNOWN


WISH = Wish()


@dataclass(frozen=True, slots=True)
class Annotated:
    """What was found in one file.

    Attributes
    ----------
    path, picture, table
        The image, and what was written ("" where nothing was).
    wcs_from
        "header", a file name, or the engine that solved it.
    content
        One row per thing in the field; see `inventory`.
    """

    path: str
    picture: str
    table: str
    wcs_from: str
    content: QTable

    def as_json(self) -> str:
        """Return one line of JSON."""
        rows = [
            {name: _plain(row[name]) for name in self.content.colnames} for row in self.content
        ]  # fmt: skip
        meta = {key: value for key, value in self.content.meta.items() if key != "comments"}
        return json.dumps(
            {"path": self.path, "picture": self.picture, "table": self.table, "wcs": self.wcs_from, **meta,
             "objects": rows}, ensure_ascii=False,
        )  # fmt: skip


def _plain(value: Any) -> Any:
    value = getattr(value, "value", value)
    item = value.item() if hasattr(value, "item") else value
    return None if isinstance(item, float) and not math.isfinite(item) else item


def annotate_file(path: Path, out: Path | None = None, wish: Wish = WISH) -> Annotated:
    """Write a picture of a file with names on it, and the table of what is there, beside it as ECSV.

    Parameters
    ----------
    path
        FITS, TIFF, picture, camera raw.
    out
        Picture to write (.png or .jpg); None is ``NAME_annotated.png`` beside the file.

    Raises
    ------
    FileError, SolveError, CatalogError, OutputError, UsageError
        If the file cannot be read or solved, a name is unknown, or the output cannot be written.
    """
    target = out if out is not None else path.with_name(f"{path.stem}_annotated.png")
    if target.suffix.lower() not in PICTURES:
        raise UsageError("is no PNG or JPEG.", where=str(target), remedy="End its name with .png or .jpg.")
    if target.exists() and path.exists() and target.samefile(path):
        raise UsageError("is the image itself.", where=str(target), remedy="Name another output file.")
    table = target.with_suffix(".ecsv")
    if table.is_file() and not _ours(table):
        raise UsageError(
            "is another table, and would be lost.", where=str(table), remedy="Name another output file."
        )
    for name in wish.objects:
        if name not in KINDS:
            find(name)
    field = read_field(path)
    wcs, wcs_from = place_of(path, field, wish)
    content = inventory(wcs, field.file_shape, epoch=field.epoch, objects=wish.objects)
    turn, side = as_shown(content.meta["rotation_deg"], content.meta["parity"], top_down=field.top_down)
    content.meta |= {"rotation_deg": round(turn, 3), "parity": side}  # as `solve` tells them
    picture, named = field_picture(
        path, field, wcs, content, grid=wish.grid, size=wish.size,
        kinds=[one for one in wish.objects if one in KINDS],
    )  # fmt: skip
    content["labeled"] = named
    write = write_png if target.suffix.lower() == ".png" else write_jpeg
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target, picture)
        with atomic_path(table) as part:
            Table(content).write(part, format="ascii.ecsv", overwrite=True)
    return Annotated(str(path), str(target), str(table), wcs_from, content)


def _ours(table: Path) -> bool:
    """Return whether a file is a table of what is in a field, which may be written anew."""
    with output_errors(table), table.open("rb") as file:
        return b"{constellation: " in file.read(16_384)


def place_of(path: Path, field: Field, wish: Wish) -> tuple[WCS, str]:
    """Return the WCS of a file on its own grid, and where it is from: header, a file beside it, or solved."""
    if not wish.solve:
        if field.wcs is not None:
            whole = resampled(field.wcs, scale=float(field.step)) if field.step > 1 else field.wcs
            return whole, "header"
        for beside in (path.with_name(f"{path.name}.wcs"), path.with_suffix(".wcs")):
            wcs = _from_file(beside, field)
            if wcs is not None:
                return wcs, beside.name
    solution = solve_one(field, replace(wish.question, write=False))
    return file_wcs(solution, field), solution.method


def _from_file(path: Path, field: Field) -> WCS | None:
    """Return the WCS of a ``.wcs`` file, if it is one and of an image of this size."""
    if not path.is_file():
        return None
    try:
        header = next((unit.header for unit in walk(path)), None)
    except (SciastroError, OSError) as error:
        log.warning("%s: is no header (%s); the image is solved", path, error)
        return None
    if header is None:
        return None
    size = (header.get("IMAGEH", field.file_shape[0]), header.get("IMAGEW", field.file_shape[1]))
    if size != field.file_shape:
        log.warning("%s: is of an image of %s x %s pixels; the image is solved", path, size[1], size[0])
        return None
    return celestial_from_header(header)
