"""Put a WCS into the header of a FITS file that is there already; everything else keeps its bytes.

The file is copied block by block beside itself, only the header of one HDU is made anew, and the copy takes
its place in one step. No pixel is decoded, so scaled integers, compressed tiles, tables and damaged foreign
cards come out as they went in; CHECKSUM and DATASUM are brought up to date where they are present.
FITS standard 4.0: sections 3.1 (blocks), 4.4.2.7 and appendix J (checksums), 8 (WCS), 10 (ZHECKSUM).
"""

import bz2
import gzip
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np
from astropy.io import fits

from sciastro.core.wcs import celestial_from_header
from sciastro.errors import FileError, OutputError
from sciastro.io.fitsunits import BLOCK, CARD, data_size, header_from_bytes, is_wcs_card, open_file, walk
from sciastro.io.fitswrite import checksum_text, folded
from sciastro.io.paths import atomic_path

__all__ = ["MARK", "put_cards", "writable"]

CHUNK = BLOCK * 364  # about a megabyte; whole blocks, and whole words for the checksum
MARK = "sciastro solve: "
"""Begin of the HISTORY line of a solution; a newer solution takes the place of an older one."""


def writable(path: Path) -> None:
    """Check that a file may be replaced.

    Raises
    ------
    OutputError
        If it is marked read-only.
    """
    mode = path.stat().st_mode
    if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise OutputError(
            "is read-only, and its header is not changed.",
            where=str(path),
            remedy="Use --output FOLDER for a copy with the WCS, --no-write for none, or make it writable.",
        )


def put_cards(
    path: Path, hdu: int, cards: fits.Header, *, note: str = "", target: Path | None = None
) -> Path:
    """Replace the WCS in the header of one HDU.

    Parameters
    ----------
    path
        FITS file; plain, gzip or bzip2.
    hdu
        Number of the HDU.
    cards
        The new WCS, which must not hold anything else.
    note
        What a HISTORY line says of it.
    target
        File to write; None replaces `path` itself (what a symbolic link points to).

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    FileError
        If the file is cut off, or its data do not fit its DATASUM.
    OutputError
        If it is read-only, changed meanwhile, or cannot be written.
    """
    source = path.resolve()
    if target is None:
        writable(source)
    goal = source if target is None else target
    before = source.stat()
    number_of = [unit.number for unit in walk(source)]  # the file is whole, and has that HDU
    if hdu not in number_of:
        raise FileError(f"has no HDU {hdu}.", where=str(path), remedy="Check the file.")
    with atomic_path(goal) as part:
        with open_file(source) as old, _create(part, source) as new:
            _copy(old, new, hdu, _lines(cards, note), path)
        _check(part, hdu, cards, path)
        shutil.copymode(source, part)
        now = source.stat()
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise OutputError(
                "changed while it was solved; it is left as it is.", where=str(path), remedy="Solve it again."
            )
    return goal


def _create(part: Path, source: Path) -> IO[bytes]:
    """Open the new file, packed as the old one is."""
    suffix = source.suffix.lower()
    if suffix == ".gz":
        return cast("IO[bytes]", gzip.GzipFile(part, "wb", compresslevel=6))
    if suffix == ".bz2":
        return cast("IO[bytes]", bz2.open(part, "wb"))
    return part.open("wb")


def _lines(cards: fits.Header, note: str) -> list[bytes]:
    """Return the 80-byte records of the cards to be added."""
    header = cards.copy()
    if note:
        header["HISTORY"] = f"{MARK}{note}"
    text = "".join(card.image for card in header.cards).encode("ascii")
    return [text[k : k + CARD] for k in range(0, len(text), CARD)]


def _copy(old: IO[bytes], new: IO[bytes], hdu: int, lines: Sequence[bytes], path: Path) -> None:
    for number in range(hdu + 1):
        records = list(_records(old, path))
        size = -(-_size(records) // BLOCK) * BLOCK
        if number == hdu:
            records = _changed(records, lines)
            total = _data_sum(old, size) if _summed(records) else 0
            new.write(_padded(_with_sums(records, total, path)))
        else:
            new.write(_padded(records))
        _move(old, new, size, path)
    shutil.copyfileobj(old, new, CHUNK)


def _records(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """Yield the cards of one header as they are, without END and what fills the last block."""
    while True:
        block = file.read(BLOCK)
        if len(block) < BLOCK:
            raise FileError("ended within a header.", where=str(path), remedy="Copy it again.")
        for start in range(0, BLOCK, CARD):
            record = block[start : start + CARD]
            if record[:8].rstrip() == b"END" and not record[8:].strip(b" \0"):
                return
            yield record


def _size(records: Sequence[bytes]) -> int:
    return data_size(header_from_bytes(b"".join(records) + b"END".ljust(CARD)))


# The solution of a plate of the Digitized Sky Survey, which wcslib prefers to any other.
PLATE_CARD = re.compile(r"^(AMD[XY]\d+|PPO\d|PLTRA[HMS]|PLTDEC(SN|[DMS])|CNPIX[12]|[XY]PIXELSZ)$")


def _keyword(record: bytes) -> str:
    return record[:8].decode("ascii", "replace").rstrip()


def _changed(records: Sequence[bytes], lines: Sequence[bytes]) -> list[bytes]:
    """Return the cards with the new WCS where the old one began, else at their end."""
    mark = f"HISTORY {MARK}".encode("ascii")
    kept: list[bytes] = []
    place = -1
    dropped = False
    plate = any(_keyword(record) == "AMDX1" for record in records)
    for record in records:
        keyword = _keyword(record)
        dropped = (
            is_wcs_card(keyword)
            or keyword == "ZHECKSUM"
            or (dropped and keyword == "CONTINUE")
            or (plate and PLATE_CARD.match(keyword) is not None)
        )
        if dropped and place < 0 and keyword != "ZHECKSUM":
            place = len(kept)
        if not dropped and not record.startswith(mark):
            kept.append(record)
    last = next((k + 1 for k in range(len(kept) - 1, -1, -1) if kept[k].strip()), 0)
    place = last if place < 0 else place
    wcs = [line for line in lines if not line.startswith(b"HISTORY")]
    notes = [line for line in lines if line.startswith(b"HISTORY")]
    last = max(last, place) + len(wcs)
    kept[place:place] = wcs
    kept[last:last] = notes
    return kept


def _summed(records: Sequence[bytes]) -> bool:
    return any(_keyword(record) in {"CHECKSUM", "DATASUM"} for record in records)


def _data_sum(file: IO[bytes], size: int) -> int:
    """Return the checksum of the data that follow; the file stays where it is."""
    start, total = file.tell(), 0
    for begin in range(0, size, CHUNK):
        some = file.read(min(CHUNK, size - begin))
        words = np.frombuffer(some.ljust(-(-len(some) // 4) * 4, b"\0"), ">u4")
        total = folded(total + int(words.sum(dtype=np.uint64)))
    file.seek(start)
    return total


def _with_sums(records: list[bytes], total: int, path: Path) -> list[bytes]:
    """Return the cards with CHECKSUM up to date; `total` is the sum of the data."""
    named = {_keyword(record): k for k, record in enumerate(records)}
    if "DATASUM" in named:
        told = str(fits.Card.fromstring(records[named["DATASUM"]]).value).strip()
        if told.isdigit() and int(told) not in (total, 0):
            raise FileError(
                f"is damaged: its data have the checksum {total}, and DATASUM says {told}.",
                where=str(path),
                remedy="Copy it again; --no-write solves it without touching it.",
            )
        records[named["DATASUM"]] = _replaced(records[named["DATASUM"]], str(total))
    if "CHECKSUM" in named:
        place = named["CHECKSUM"]
        records[place] = _replaced(records[place], "0" * 16)
        words = np.frombuffer(_padded(records), ">u4")
        records[place] = _replaced(
            records[place], checksum_text(folded(total + int(words.sum(dtype=np.uint64))))
        )
    return records


def _replaced(record: bytes, value: str) -> bytes:
    """Return a card of fixed format with another text and the comment that it had."""
    card = fits.Card.fromstring(record)
    text = f"{card.keyword:<8}= '{value:<8}'"
    comment = f" / {card.comment}" if card.comment else ""
    return (f"{text:<30}{comment}"[:CARD]).ljust(CARD).encode("ascii", "replace")


def _padded(records: Sequence[bytes]) -> bytes:
    text = b"".join(records) + b"END".ljust(CARD)
    return text.ljust(-(-len(text) // BLOCK) * BLOCK)


def _move(old: IO[bytes], new: IO[bytes], size: int, path: Path) -> None:
    """Copy `size` bytes; a last data unit that lacks its filling is filled."""
    done = 0
    while done < size:
        part = old.read(min(CHUNK, size - done))
        if not part:
            if size - done < BLOCK:
                new.write(b"\0" * (size - done))
                return
            raise FileError("ended while it was copied.", where=str(path), remedy="Copy it again.")
        new.write(part)
        done += len(part)


def _check(part: Path, hdu: int, cards: fits.Header, path: Path) -> None:
    """Read the new header back: it must say what was meant, before it takes the place of the old one."""
    header = next(unit.header for unit in walk(part) if unit.number == hdu)
    got, meant = celestial_from_header(header), celestial_from_header(cards)
    some = np.array([[0.0, 0.0], [100.0, 100.0], [500.0, 20.0]])
    if (
        got is None
        or meant is None
        or not np.allclose(got.all_pix2world(some, 0), meant.all_pix2world(some, 0), atol=1e-9, rtol=0)
    ):
        raise OutputError(
            "cannot hold the WCS: other cards of its header contradict it.",
            where=str(path),
            remedy="Use --no-write, and report this file.",
        )
