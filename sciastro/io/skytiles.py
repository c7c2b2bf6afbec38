"""Tiles of star catalogs that were fetched once and are kept: whole, dated, checked, bounded.

Reads and writes ``<cache>/catalogs/<catalog>/<version>-<order>-<tile>.json`` (what it is: query, date, epoch,
license, rows, depth, SHA-256) and beside it ``<version>-<order>-<tile>-<digest>.npy`` (the stars: one
record with an array per column, so ``np.load(path)["ra"]``; no pickle). Everything is inspectable, and can be
deleted at any time.
Method: the stars are written first, under a name of their own, then the description that names them, each in
one step; a reader sees the old tile, or the new one, or none. A tile whose file is not what its description
says (rows, checksum) does not exist, and is fetched again.
"""

import contextlib
import hashlib
import io
import json
import os
import secrets
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciastro.io.paths import output_errors, safe_name
from sciastro.io.usercache import cache_folder

__all__ = ["Columns", "Tile", "TileStore", "shrink", "tile_stores", "tiles_folder"]

Columns: TypeAlias = dict[str, npt.NDArray[Any]]
"""Arrays (star,) by name; a column that a tile does not have is NaN throughout."""

FORMAT = 1
STALE = 3600.0  # seconds after which a half-written file belongs to nobody
RECENT = 600.0  # seconds in which a tile counts as used just now


def tiles_folder() -> Path:
    """Return the folder of all kept catalogs; it may not exist yet."""
    return cache_folder() / "catalogs"


@dataclass(frozen=True, slots=True)
class Tile:
    """A kept tile, as its description says.

    Attributes
    ----------
    path
        The description.
    number, order
        HEALPix tile (nested) and its order.
    faintest
        Depth to which it is complete, in the catalog's band; None: everything that the catalog has.
    rows, size, sha256, data
        Stars, bytes of the file of stars, its digest, its name.
    told
        What else is known: query, date, catalog, license, citation, epoch, ...
    """

    path: Path
    number: int
    order: int
    faintest: float | None
    rows: int
    size: int
    sha256: str
    data: str
    told: Mapping[str, Any]

    def reaches(self, faintest: float | None) -> bool:
        """Return whether it holds all stars down to a magnitude (None: all stars)."""
        return self.faintest is None or (faintest is not None and faintest <= self.faintest)

    @property
    def stars(self) -> Path:
        """File of the stars."""
        return self.path.parent / self.data


class TileStore:
    """The kept tiles of one catalog in one version.

    Parameters
    ----------
    name
        Of the catalog; also the name of the folder.
    order
        HEALPix order of the tiles.
    version
        Of the columns; tiles of other versions are not looked at.
    folder
        Where all catalogs are kept; None: `tiles_folder`.
    """

    def __init__(self, name: str, order: int, version: int, folder: Path | None = None) -> None:
        self.folder = (folder or tiles_folder()) / safe_name(name)
        self.order = order
        self.stem = f"{version}-{order}"

    def find(self, number: int, faintest: float | None) -> Tile | None:
        """Return the kept tile that reaches a depth, or None."""
        tile = _described(self.folder / f"{self.stem}-{number}.json")
        return tile if tile is not None and tile.reaches(faintest) else None

    def read(self, tile: Tile) -> Columns | None:
        """Return the stars of a tile; None where its file is not what its description says."""
        try:
            raw = tile.stars.read_bytes()
            stars = np.load(io.BytesIO(raw), allow_pickle=False)
        except (OSError, ValueError, EOFError):  # it is asked for again
            return None
        if zlib.crc32(raw) != tile.told.get("crc32") or stars.dtype.names is None or stars.shape != ():
            return None  # flipped bits, or the stars of another tile
        return {name: stars[name][: tile.rows] for name in stars.dtype.names}

    def keep(self, number: int, stars: Columns, faintest: float | None, told: Mapping[str, Any]) -> Tile:
        """Keep the stars of a tile, in place of what was there.

        Raises
        ------
        OutputError
            If they cannot be written.
        """
        buffer = io.BytesIO()
        np.save(buffer, _packed(stars), allow_pickle=False)
        rows = len(next(iter(stars.values())))
        content = buffer.getvalue()
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / f"{self.stem}-{number}.json"
        data = f"{self.stem}-{number}-{digest[:16]}.npy"
        text = {
            "format": FORMAT, "tile": number, "order": self.order, "scheme": "HEALPix nested, ICRS",
            "faintest": faintest, "complete": True, "rows": rows, "bytes": len(content),
            "crc32": zlib.crc32(content), "sha256": digest, "data": data,
            "columns": list(stars), **told,
        }  # fmt: skip
        with output_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            _put(self.folder / data, content)
            _put(path, json.dumps(text, indent=1, default=str).encode())
            for old in self.folder.glob(f"{self.stem}-{number}-*.npy"):
                if old.name != data and _age(old) > 1:  # a reader that has just been sent there may finish
                    old.unlink(missing_ok=True)
        return Tile(path, number, self.order, faintest, rows, len(content), digest, data, text)

    def touch(self, tiles: Iterable[Tile]) -> None:
        """Note that tiles were used now; the least recently used ones go first."""
        now = time.time()
        for tile in tiles:
            if now - _used(tile.path) < RECENT:
                continue
            with contextlib.suppress(OSError):  # a read-only cache still serves
                os.utime(tile.path, (now, now))

    def tiles(self) -> Iterator[Tile]:
        """Yield every kept tile that can be read, of any order and version."""
        for path in sorted(self.folder.glob("*.json")):
            tile = _described(path)
            if tile is not None:
                yield tile

    def damaged(self) -> list[str]:
        """Return a sentence for every tile whose stars are not those that were written, and for strays."""
        problems, known = [], set()
        for path in sorted(self.folder.glob("*.json")):
            tile = _described(path)
            if tile is None:
                problems.append(f"{path.name}: cannot be read.")
                continue
            known.add(tile.data)
            try:
                digest = hashlib.sha256(tile.stars.read_bytes()).hexdigest()
            except OSError:
                problems.append(f"{path.name}: its stars ({tile.data}) are missing.")
                continue
            if digest != tile.sha256:
                problems.append(f"{path.name}: its stars have another SHA-256 than was written.")
        strays = [path for path in sorted(self.folder.glob("*.npy")) if path.name not in known]
        return problems + [f"{path.name}: belongs to no tile." for path in strays if _age(path) > STALE]

    def drop(self, tile: Tile) -> int:
        """Remove a tile; return how many bytes that frees."""
        with output_errors(tile.path):
            tile.path.unlink(missing_ok=True)
            tile.stars.unlink(missing_ok=True)
        return tile.size

    def clear(self) -> tuple[int, int]:
        """Remove everything that is kept of this catalog; return how many tiles and bytes that were."""
        count = freed = 0
        with output_errors(self.folder):
            for tile in self.tiles():
                count += 1
                freed += self.drop(tile)
            for path in [
                *self.folder.glob("*.json"),
                *self.folder.glob("*.npy"),
                *self.folder.glob(".*.part"),
            ]:
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # what is not ours stays, and so does the folder then
                self.folder.rmdir()
        return count, freed

    def mend(self) -> int:
        """Remove every tile that `damaged` tells of; return how many files went."""
        gone = 0
        known = set()
        with output_errors(self.folder):
            for path in sorted(self.folder.glob("*.json")):
                tile = _described(path)
                if tile is not None and _digest(tile.stars) == tile.sha256:
                    known.add(tile.data)
                    continue
                path.unlink(missing_ok=True)
                gone += 1
            for path in [*self.folder.glob("*.npy"), *self.folder.glob(".*.part")]:
                if path.name not in known and _age(path) > STALE:
                    path.unlink(missing_ok=True)
                    gone += 1
        return gone


def tile_stores(folder: Path | None = None) -> list[TileStore]:
    """Return a store for every catalog of which something is kept."""
    root = folder or tiles_folder()
    if not root.is_dir():
        return []
    return [TileStore(path.name, 0, 0, root) for path in sorted(root.iterdir()) if path.is_dir()]


def shrink(limit: int, folder: Path | None = None, *, spare: Sequence[Path] = ()) -> int:
    """Remove the least recently used tiles until all kept catalogs fit.

    Parameters
    ----------
    limit
        Bytes that may be kept.
    spare
        Descriptions of tiles that are in use, and stay.

    Returns
    -------
    int
        Bytes that were freed.
    """
    stores = tile_stores(folder)
    kept = [(store, tile) for store in stores for tile in store.tiles()]
    total = sum(tile.size for _, tile in kept)
    freed, safe = 0, set(spare)
    if total <= limit:
        return 0
    for _, store, tile in sorted(
        ((_used(tile.path), store, tile) for store, tile in kept), key=lambda entry: (entry[0], entry[2].path)
    ):
        if total - freed <= limit:
            break
        if tile.path not in safe:
            freed += store.drop(tile)
    return freed


def _described(path: Path) -> Tile | None:
    """Return the tile that a description tells of, or None where it is absent or makes no sense."""
    try:
        told = json.loads(path.read_bytes())
        if told["format"] != FORMAT or told["complete"] is not True:
            return None
        faintest = None if told["faintest"] is None else float(told["faintest"])
        data = str(told["data"])
        if data != Path(data).name or not data.endswith(".npy"):  # never leads out of the folder
            return None
        return Tile(
            path, int(told["tile"]), int(told["order"]), faintest, int(told["rows"]), int(told["bytes"]),
            str(told["sha256"]), data, told,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):  # no tile of ours: it is asked for again
        return None


def _packed(stars: Columns) -> npt.NDArray[Any]:
    """Return columns as one record of arrays; a tile without stars has one row, which does not count."""
    rows = len(next(iter(stars.values())))
    room = max(rows, 1)
    kinds = [(name, values.dtype.newbyteorder("<"), (room,)) for name, values in stars.items()]
    packed = np.zeros((), kinds)
    for name, values in stars.items():
        packed[name][:rows] = values
    return packed


def _put(path: Path, content: bytes) -> None:
    """Write a file whole or not at all (it need not survive a power cut: its description would not fit)."""
    part = path.parent / f".{path.name}.{secrets.token_hex(4)}.part"
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _age(path: Path) -> float:
    """Return seconds since a file was written; 0 where it is gone."""
    return time.time() - _used(path) if path.exists() else 0.0


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
