"""What a solve begins with: the pixels of any file as one plane, the stars on it, and what the file says."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.stars import StarArray
from sciastro.core.timescales import julian_year
from sciastro.core.wcs import celestial_from_header, resampled
from sciastro.errors import FileError
from sciastro.io.fits import FitsReader
from sciastro.io.fitscube import read_brightness
from sciastro.io.fitspeek import same_place
from sciastro.io.framefacts import FrameFacts
from sciastro.io.headers import facts_from_header
from sciastro.io.probe import Probe
from sciastro.io.reader import probe, read_floats
from sciastro.measure.stars import DetectOptions, measure_plane
from sciastro.recipe.solveahead import Ahead, Looking

if TYPE_CHECKING:
    from astropy.table import QTable
    from astropy.wcs import WCS

__all__ = ["Field", "Read", "begun", "by_twos", "from_pixels", "from_stars", "read_field"]

PICTURES = (".png", ".jpg", ".jpeg")
SMALLEST = 32  # pixel: a side that may hold a field of stars
YEAR = 2016.0  # epoch of positions where nobody says when the image was taken


@dataclass(frozen=True, slots=True)
class Field:
    """An image to be solved: its pixels or its stars, and what is said of it.

    Attributes
    ----------
    shape
        Rows and columns of the grid that the stars are on.
    plane
        Brightness [any unit], rows from the bottom unless `top_down`; None where stars were given.
    given
        Star list, where the caller has one.
    step
        Pixels of the file per pixel of `plane`.
    top_down
        Whether the first row is shown on top.
    wcs
        What the header says, on the grid of `plane`.
    facts
        Other things the header says.
    year
        Julian year of the exposure, where the caller says it.
    catalog
        Stars that the caller wants it solved with; None takes the embedded catalog.
    """

    shape: tuple[int, int]
    plane: npt.NDArray[np.float32] | None = None
    given: StarArray | None = None
    step: int = 1
    top_down: bool = False
    wcs: "WCS | None" = None
    facts: FrameFacts | None = None
    year: float | None = None
    catalog: "QTable | None" = None
    _lists: dict[float | None, StarArray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def file_shape(self) -> tuple[int, int]:
        """Return rows and columns of the file."""
        return self.shape[0] * self.step, self.shape[1] * self.step

    @property
    def epoch(self) -> float:
        """Return the Julian year of the exposure, `YEAR` where it is unknown."""
        if self.year is not None:
            return self.year
        when = self.facts.time if self.facts is not None else None
        return YEAR if when is None else julian_year(when.timestamp())

    def stars(self, width: float | None = None) -> StarArray:
        """Return the stars, found with a width [pixel] of theirs (None measures it); found once."""
        if self.given is not None:
            return self.given
        if width not in self._lists and self.plane is not None:
            self._lists[width] = measure_plane(self.plane, options=DetectOptions(fwhm=width)).stars
        return self._lists[width]


def from_stars(stars: StarArray, shape: tuple[int, int]) -> Field:
    """Return the field of a star list on a grid of `shape` (rows, columns)."""
    return Field(shape, given=stars)


def from_pixels(
    plane: npt.NDArray[np.generic], *, step: int = 1, top_down: bool = False, wcs: "WCS | None" = None,
    facts: FrameFacts | None = None, where: str = "image",
) -> Field:  # fmt: skip
    """Return the field of one plane (y, x).

    Raises
    ------
    FileError
        If it is too small to hold a field of stars.
    """
    rows, columns = plane.shape
    if min(rows, columns) < SMALLEST:
        raise FileError(
            f"is {columns} x {rows} pixels.", where=where, remedy=f"Give {SMALLEST} x {SMALLEST} or more."
        )
    pixels = np.ascontiguousarray(plane, dtype=np.float32)
    return Field((rows, columns), pixels, step=step, top_down=top_down, wcs=wcs, facts=facts)


def read_field(path: Path) -> Field:
    """Return the first image of a file as one plane.

    Raises
    ------
    FileError
        If there is none, or it is too small to hold a field of stars.
    """
    if path.suffix.lower() in PICTURES:
        return _picture(path)
    try:
        return _frame(path)
    except FileError:
        if path.suffix.lower() in (".tif", ".tiff"):
            return _picture(path)
        color = _color(path) if path.name.lower().endswith(FitsReader.suffixes) and path.is_file() else None
        if color is None:
            raise
        return color


Read = Callable[[Path], Field]


def begun(first: Path, looking: Looking | None = None) -> Read:
    """Begin with a file; return what reads it, and any other one.

    Its stars are looked for in a thread, which needs the interpreter for the smaller part of that: a command
    loads its libraries meanwhile. What is wrong with the file is raised when it is asked for.

    Parameters
    ----------
    first
        The file.
    looking
        Where its stars are looked for already (`recipe.solveahead`), what waits for them.
    """
    if looking is not None:
        waiting = [lambda: _completed(first, looking())]
    else:
        pool = ThreadPoolExecutor(1)
        early = pool.submit(read_field, first)
        wait([early])  # loading libraries beside it would put off the search for stars
        waiting = [pool.submit(_with_stars, early.result).result]
        pool.shutdown(wait=False)
        del early  # and with it the pixels, when the field is given away

    def read(path: Path) -> Field:
        return waiting.pop()() if waiting and path == first else read_field(path)

    return read


def _completed(path: Path, ahead: Ahead | None) -> Field:
    """Return the field of a file whose stars were found before its header was read, if it says the same."""
    if ahead is None:
        return read_field(path)
    one = probe(path)[0]
    facts = facts_from_header(one.header, path.name, one.shape, str(one.dtype), one.hdu)
    if facts.cfa or not same_place(one, ahead.place):
        return read_field(path)
    found = from_pixels(ahead.plane, wcs=_wcs(one, facts), facts=facts, where=str(path))
    return replace(found, _lists={None: ahead.stars})


def _with_stars(read: Callable[[], Field]) -> Field:
    """Return a field whose stars are found."""
    one = read()
    one.stars()
    return one


def _picture(path: Path) -> Field:
    """Return the brightness of a picture in levels of 8 bits, about what its noise is counted in."""
    from sciastro.io.raster import read_raster  # and Pillow with it, which FITS can do without

    plane = 255.0 * read_raster(path).mean(axis=2, dtype=np.float32)
    return from_pixels(plane, top_down=True, where=str(path))


def _color(path: Path) -> Field | None:
    """Return the field of a color image in FITS, None where it holds none."""
    found = read_brightness(path)
    if found is None:
        return None
    plane, header, hdu = found
    facts = replace(facts_from_header(header, path.name, plane.shape, str(plane.dtype), hdu), cfa="")
    return from_pixels(plane, wcs=celestial_from_header(header), facts=facts, where=str(path))


def by_twos(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the means (y // 2, x // 2) of two by two pixels, which have no color pattern to speak of."""
    rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
    cells = pixels[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2)
    return np.asarray(cells.mean(axis=(1, 3)))


def _frame(path: Path) -> Field:
    one = probe(path)[0]
    facts = facts_from_header(one.header, path.name, one.shape, str(one.dtype), one.hdu)
    pixels = read_floats(one)
    step = 2 if facts.cfa else 1  # X-Trans, too: the mean of four pixels has no color pattern to speak of
    if step == 2:
        pixels = by_twos(pixels)
    fits_like = path.suffix.lower() not in (".tif", ".tiff")
    wcs = _wcs(one, facts)
    if wcs is not None and step == 2:
        wcs = resampled(wcs, scale=0.5)
    return from_pixels(pixels, step=step, top_down=not fits_like, wcs=wcs, facts=facts, where=str(path))


def _wcs(one: Probe, facts: FrameFacts) -> "WCS | None":
    return celestial_from_header(one.header) if facts.has_wcs else None
