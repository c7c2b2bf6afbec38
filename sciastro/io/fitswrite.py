"""Write FITS images from arrays that others may be reading: no copy of a plane, one pass for bytes and sums.

astropy makes the headers; the pixels go to the file block by block, swapped and summed while they are in the
processor's cache. The bytes are those that astropy writes with CHECKSUM and DATASUM (a test compares them).
FITS standard 4.0: sections 3.1 (blocks of 2880 bytes), 4.4.2.7 and appendix J (checksums).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from sciastro.io.placing import put
from sciastro.kernels.byteorder import swap_pairs, swap_words

__all__ = ["can_stream", "checksum_text", "folded", "stream_hdus"]

BLOCK = 2880
CHUNK = 1 << 18  # bytes turned at a time; a multiple of 4
BATCH = 16  # chunks written at a time where they do not stay in the system's memory
ABREAST = 2  # planes written at a time: one alone is bound by copying, three by memory
WORD = 0xFFFFFFFF


def can_stream(hdu: fits.PrimaryHDU | fits.ImageHDU) -> bool:
    """Return whether `stream_hdus` writes this HDU: no pixels, or native float32 or uint16 in C order."""
    if isinstance(hdu, fits.CompImageHDU) or not isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU):
        return False
    data = hdu.data
    return data is None or (data.dtype in (np.float32, np.uint16) and data.flags.c_contiguous)


def stream_hdus(
    path: Path, hdus: Sequence[fits.PrimaryHDU | fits.ImageHDU], comment: str, *, once: bool = False,
    roots: Sequence[str] = (),
) -> None:  # fmt: skip
    """Write HDUs that `can_stream` allows, with CHECKSUM and DATASUM whose comments are `comment`.

    Parameters
    ----------
    path
        The file to make, or to replace from its beginning.
    hdus
        In order; their headers get the checksum cards, their pixels stay as they are.
    comment
        Of the checksum cards.
    once
        Nobody will read the file soon (see `io.placing`).
    roots
        Names of HDUs of float32 of which the square roots are written.

    Raises
    ------
    OSError
        If the file system refuses.
    """
    from sciastro.core.lift import run_tasks  # not for those who change headers only: 15 ms of their start

    starts, end = [], 0
    for hdu in hdus:
        hdu.verify("exception")
        hdu.header["DATASUM"] = ("0", comment)
        hdu.header.set("CHECKSUM", "0" * 16, comment, before="DATASUM")
        starts.append(end)
        end += len(hdu.header.tostring()) + (0 if hdu.data is None else -(-hdu.data.nbytes // BLOCK) * BLOCK)
    with path.open("wb", buffering=0) as file:
        descriptor = file.fileno()
        run_tasks(
            lambda one: _write_at(descriptor, one[0], one[1], once, one[1].name in roots),
            zip(starts, hdus, strict=True), workers=1 if once else ABREAST,
        )  # fmt: skip


def _write_at(
    descriptor: int, start: int, hdu: fits.PrimaryHDU | fits.ImageHDU, once: bool, root: bool
) -> None:
    """Write an HDU whose header has its checksum cards, and give those their values."""
    header = hdu.header
    after = start + len(header.tostring())
    total = 0 if hdu.data is None else _stream_pixels(descriptor, after, hdu.data, once, root)
    header["DATASUM"] = str(total)
    words = np.frombuffer(header.tostring().encode("ascii"), ">u4")
    header["CHECKSUM"] = checksum_text(folded(total + int(words.sum(dtype=np.uint64))))
    put(descriptor, start, memoryview(header.tostring().encode("ascii")), once=False)


def _stream_pixels(descriptor: int, start: int, data: npt.NDArray[np.generic], once: bool, root: bool) -> int:
    """Write the data unit and return its checksum."""
    words = data.dtype == np.float32
    flat = data.reshape(-1).view(np.uint32 if words else np.uint16)
    size = CHUNK // flat.itemsize
    room = np.empty(size * BATCH if once else size, flat.dtype)
    rooted = np.empty(size if root else 0, np.float32)
    total, position = 0, start
    for begin in range(0, flat.size, room.size):
        some = flat[begin : begin + room.size]
        for first in range(0, some.size, size):  # what stays in the processor's cache
            part, target = some[first : first + size], room[first : min(first + size, some.size)]
            if root:
                some_roots = np.sqrt(part.view(np.float32), out=rooted[: part.size])
                part = some_roots.view(np.uint32)
            total += int(swap_words(part, target) if words else swap_pairs(part, target, 0x8000))
        put(descriptor, position, memoryview(room[: some.size].view(np.uint8).data), once=once)
        position += some.nbytes
    put(descriptor, position, memoryview(b"\0" * (-flat.nbytes % BLOCK)), once=False)
    return folded(total)


def folded(total: int) -> int:
    """Return a sum of words with the carries added back: ones' complement addition."""
    while total > WORD:
        total = (total & WORD) + (total >> 32)
    return total


def checksum_text(total: int) -> str:
    """Return the 16 characters of CHECKSUM that make the sum of an HDU -0, `total` being its sum without.

    Appendix J: each byte of the complement is split into four characters, the punctuation between digits and
    letters is avoided in pairs, and the string is rotated by one character.
    """
    value = WORD - total
    forbidden = set(range(0x3A, 0x41)) | set(range(0x5B, 0x61))
    out = [0] * 16
    for place in range(4):
        byte = value >> (24 - 8 * place) & 0xFF
        parts = [byte // 4 + 48 + (byte % 4 if k == 0 else 0) for k in range(4)]
        while any(part in forbidden for part in parts):
            for k in (0, 2):
                if parts[k] in forbidden or parts[k + 1] in forbidden:
                    parts[k], parts[k + 1] = parts[k] + 1, parts[k + 1] - 1
        for k, part in enumerate(parts):
            out[4 * k + place] = part
    return bytes(out[-1:] + out[:-1]).decode("ascii")
