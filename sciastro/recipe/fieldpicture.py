"""A picture of a field with names on it: the image as shown, and what is in it in the picture's pixels."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import QTable
from astropy.wcs import WCS

from sciastro.astrometry.graticule import Line, boundaries, constellation_of, figure, graticule
from sciastro.astrometry.onimage import Frame, frame_of
from sciastro.core.wcs import parity
from sciastro.io.raster import read_raster, thumbnail
from sciastro.io.reader import read_pixels
from sciastro.io.skydata import constellation_lines, constellation_names, named_stars, regions
from sciastro.recipe.fieldcontent import KINDS
from sciastro.recipe.solvereading import Field
from sciastro.render.annotate import Compass, Mark, Stroke, annotate
from sciastro.render.stretch import apply_stf, autostretch

__all__ = ["field_picture"]

Picture = npt.NDArray[np.float32]
SKY = 0.15  # brightness of the sky on a picture: darker than for judging an image, so that names stand out
LARGE = 16  # pixel: an object of this size is marked even where it is faint
MOST = 80  # marks on a picture
WIDE = 12.0  # deg: radius from which constellations are drawn unless asked otherwise
COLOR_OF = {
    "G": "galaxy", "GPair": "galaxy", "GTrpl": "galaxy", "GGroup": "galaxy", "GCl": "globular",
    "OCl": "cluster", "*Ass": "cluster", "Cl+N": "nebula", "PN": "planetary", "HII": "nebula",
    "EmN": "nebula", "Neb": "nebula", "RfN": "nebula", "SNR": "nebula", "DrkN": "dark",
}  # fmt: skip


def field_picture(
    path: Path, field: Field, wcs: WCS, content: QTable, *, kinds: Sequence[str], grid: bool, size: int
) -> tuple[Picture, list[bool]]:
    """Return a picture of a file with what is in it marked, and which rows of `content` are named on it.

    Parameters
    ----------
    path, field, wcs
        The file, what was read of it, its place.
    content
        As `recipe.fieldcontent.inventory` gives it.
    kinds
        Of `KINDS`; empty takes what suits the field.
    grid, size
        Lines of right ascension and declination; longest side [pixel].
    """
    flipped = not _top_down(field, wcs)
    picture = _sized(_display(path, field, flipped=flipped), size)
    frame = frame_of(wcs, field.file_shape)
    view = _View(field.file_shape, (picture.shape[0], picture.shape[1]), flipped=flipped)
    wide = frame.radius > WIDE
    show = set(kinds) or ({*KINDS} if wide else {"deepsky", "stars"})
    lines = graticule(frame) if grid else []
    if "boundaries" in show:
        lines += boundaries(frame, regions())
    if "figures" in show:
        lines += _figures(frame, field.epoch)
    chosen = _shown(content, frame.scale / view.zoom)
    marks = [view.mark(content[i]) for i in chosen]
    if show & {"boundaries", "figures"}:
        marks += _region_names(frame, view)
    strokes = [Stroke(one.kind, one.label, *view.pieces(one)) for one in lines]
    drawn, placed = annotate(picture, marks, strokes, view.compass(frame))
    named = [False] * len(content)
    for i, done in zip(chosen, placed, strict=False):
        named[i] = done
    return drawn, named


def _shown(content: QTable, scale: float) -> list[int]:
    """Return the rows that a picture of `scale` [arcsec / pixel] has room for.

    A fainter limit than about 17.5 - 5 log(scale) would cover wide fields with names of things that are not
    to be seen; large nebulae, Messier's objects and what has a name of its own are exempt by degrees.
    """
    limit = 17.5 - 5 * math.log10(max(scale, 0.3))
    chosen, count, seen = [], 0, set()
    for i, row in enumerate(content):
        rank, mag, name = int(row["rank"]), float(row["mag"].value), str(row["name"])
        star = row["kind"] == "star"
        large = rank < 4 and float(row["major"].value) * 60 / scale > LARGE
        bright = mag < (min(limit, 14) if star else limit) + 1.5 * (2 - rank)
        if not (rank == 0 or large or bright) or name in seen:
            continue
        if star and scale > 100 and mag > 3.5:
            continue
        count += 1
        if count > MOST and rank > 0:
            continue
        seen.add(name)
        chosen.append(i)
    return chosen


def _top_down(field: Field, wcs: WCS) -> bool:
    """Return whether the first row is shown on top.

    A FITS file that does not say it is shown with the sky as seen from the ground, not mirrored.
    """
    if field.top_down or field.facts is None:
        return field.top_down
    if field.facts.row_order:
        return field.facts.row_order == "TOP-DOWN"
    return parity(wcs) == -1


def _display(path: Path, field: Field, *, flipped: bool) -> Picture:
    """Return the image as shown: a picture as it is, linear data stretched and turned upright."""
    if field.top_down and field.facts is None:
        return read_raster(path)
    cube = _colors(path, field)
    out = np.zeros_like(cube)
    for k in range(cube.shape[2]):  # each color by itself, so that the sky is gray
        plane = cube[:, :, k]
        good = plane[np.isfinite(plane)]
        if good.size:
            low, high = np.percentile(good[:: max(1, good.size // 1_000_000)], (0.02, 99.98))
            out[:, :, k] = np.clip((np.nan_to_num(plane, nan=low) - low) / max(high - low, 1e-9), 0, 1)
    shown = np.asarray(apply_stf(out, autostretch(out, linked=False, target=SKY)), dtype=np.float32)
    return np.clip(shown[::-1] if flipped else shown, 0, 1)


def _colors(path: Path, field: Field) -> Picture:
    """Return the linear image, (y, x, 1), or (y, x, 3) of the cells of a Bayer mosaic."""
    facts = field.facts
    if facts is None or len(facts.cfa) != 4 or field.step != 2:
        return np.asarray(field.plane, dtype=np.float32)[:, :, None]
    rows, columns = field.shape
    pixels = read_pixels(path, facts.hdu)[: 2 * rows, : 2 * columns].astype(np.float32)
    cells = {letter: [] for letter in "RGB"}  # type: dict[str, list[Picture]]
    for k, letter in enumerate(facts.cfa):
        cells[letter].append(pixels[k // 2 :: 2, k % 2 :: 2])
    return np.stack([np.mean(cells[letter], axis=0, dtype=np.float32) for letter in "RGB"], axis=2)


def _sized(display: Picture, size: int) -> Picture:
    """Return a picture whose longer side is at most `size`, and at least 1000 pixels so that names fit."""
    longest = max(display.shape[:2])
    if longest > size:
        return np.asarray(thumbnail(display, size))
    factor = math.ceil(1000 / longest) if longest < 1000 else 1
    factor = min(factor, max(1, size // longest))
    return display if factor == 1 else display.repeat(factor, axis=0).repeat(factor, axis=1)


@dataclass(frozen=True, slots=True)
class _View:
    """From pixels of the file to those of the picture."""

    file: tuple[int, int]
    picture: tuple[int, int]
    flipped: bool

    def x(self, x: Any) -> Any:
        return (np.asarray(x) + 0.5) * self.picture[1] / self.file[1] - 0.5

    def y(self, y: Any) -> Any:
        up = self.file[0] - 1 - np.asarray(y) if self.flipped else np.asarray(y)
        return (up + 0.5) * self.picture[0] / self.file[0] - 0.5

    @property
    def zoom(self) -> float:
        return self.picture[1] / self.file[1]

    def pieces(self, line: Line) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(self.x(one) for one in line.x), tuple(self.y(one) for one in line.y)

    def mark(self, row: Any) -> Mark:
        star = row["kind"] == "star"
        note = "" if star or row["rank"] > 1 or row["common"] == row["name"] else str(row["common"])
        turn = float(row["angle"].value)
        return Mark(
            "star" if star else COLOR_OF.get(str(row["code"]), "other"), str(row["name"]),
            float(self.x(row["x"].value)), float(self.y(row["y"].value)),
            float(row["a"].value) * self.zoom, float(row["b"].value) * self.zoom,
            -turn if self.flipped else turn, int(row["rank"]), note,
        )  # fmt: skip

    def compass(self, frame: Frame) -> Compass:
        local = frame.axes(frame.ra, frame.dec)
        if self.flipped:
            local = local * np.array([[1.0], [-1.0]])
        unit = local / np.linalg.norm(local, axis=0)
        target = 0.16 * self.picture[1] / self.zoom * frame.scale  # arcsec
        steps = [k * f for f in (1, 60, 3600) for k in (1, 2, 5, 10, 20, 30)]
        length = min(steps, key=lambda step: abs(math.log(step / target)))
        label = f"{length}″" if length < 60 else f"{length // 60}′" if length < 3600 else f"{length // 3600}°"
        return Compass(
            (float(unit[0, 1]), float(unit[1, 1])), (float(unit[0, 0]), float(unit[1, 0])),
            length / frame.scale * self.zoom, label,
        )  # fmt: skip


def _figures(frame: Frame, epoch: float) -> list[Line]:
    places = {one.hip: one.at(epoch) for one in named_stars()}
    lines = (figure(frame, (*places[a], *places[b])) for _, a, b in constellation_lines())
    return [line for line in lines if line is not None]


def _region_names(frame: Frame, view: _View) -> Iterator[Mark]:
    """Yield names of constellations at the middle of their part of the image."""
    height, width = frame.shape
    n = 24
    gx, gy = np.meshgrid((np.arange(n) + 0.5) * width / n, (np.arange(n) + 0.5) * height / n)
    ra, dec = frame.sky(gx.ravel(), gy.ravel())
    names = np.array([
        constellation_of(a, d, regions()) if math.isfinite(a) else "" for a, d in zip(ra, dec, strict=True)
    ])  # fmt: skip
    for name in sorted(set(names.tolist()) - {""}):
        here = names == name
        if here.sum() >= 8:
            yield Mark(
                "region", constellation_names()[name].upper(), float(view.x(gx.ravel()[here].mean())),
                float(view.y(gy.ravel()[here].mean())), rank=4,
            )  # fmt: skip
