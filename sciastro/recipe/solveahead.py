"""Stars that are looked for before the header of their file is understood.

Half of what a command takes to solve one file is the loading of libraries, for which Python has one
processor. The kernels that find stars run without Python: they are begun as soon as they are there, on a
thread, and what reads headers and solves is loaded beside them. Nothing of astropy is loaded here.
"""

import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import PAGESIZE
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sciastro.core.stars import StarArray
from sciastro.errors import SciastroError
from sciastro.io.fitspeek import Peek, peek
from sciastro.io.fitspixels import read_floats

__all__ = ["Ahead", "Looking", "looked_ahead", "taking_turns"]

COLORS = re.compile(r"BAYER|CFA|COLORTYP|RGGB|BGGR|GRBG|GBRG")  # solved on another grid
TURN = 3e-4  # seconds


@dataclass(frozen=True, slots=True)
class Ahead:
    """Pixels of a plain FITS file, (y, x), where they lie in it, and the stars on them."""

    place: Peek
    plane: npt.NDArray[np.float32]
    stars: StarArray


Looking = Callable[[], Ahead | None]


def looked_ahead(path: Path) -> Looking | None:
    """Begin to look for the stars of a file; return what waits for them, None where that cannot be begun.

    What goes wrong there is no matter: who gets None reads the file as any other, and is told.
    """
    place = peek(path)
    if place is None or COLORS.search(place.header):
        return None
    pool = ThreadPoolExecutor(1)
    room = pool.submit(_room, place.shape)
    from sciastro.measure.stars import measure_plane  # and Numba, while the room is made

    def look() -> Ahead | None:
        try:
            plane = read_floats(place, room.result())
            return Ahead(place, plane, measure_plane(plane).stars)
        except (SciastroError, MemoryError):
            return None

    looking = pool.submit(look)
    pool.shutdown(wait=False)
    return looking.result


def _room(shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return an array whose memory is there: the system gives it as it is touched, and may take its time."""
    room = np.empty(shape, np.float32)
    room.reshape(-1)[:: PAGESIZE // room.itemsize] = 0.0
    return room


@contextmanager
def taking_turns() -> Iterator[None]:
    """Load libraries inside the block without holding up the thread that looks for stars.

    It needs Python for a moment some hundred times, between kernels and pieces of the file, and would wait
    for it 5 ms each time, which is how long a thread that loads keeps it.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
