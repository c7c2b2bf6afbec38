"""Spectra of stars that were fetched once and are kept: by Gaia DR3 source, dated, bounded.

Reads and writes ``<cache>/spectra/gaia-dr3-<tile>.npz``, one file per HEALPix tile of order 3, which a source
tells (its bits above 35 are the tile of order 12). Arrays: ``source`` (int64), ``kind`` (0: the
source has none, 1: sampled by Gaia, 2: decoded from a continuous one), ``flux`` and ``err`` (source, 343)
[W / m2 / nm] at 336 to 1020 nm, ``day`` (that they came, days since 1970), ``server`` (text). What is damaged
counts as absent: it is fetched again.
"""

import contextlib
import time
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sciastro.io.paths import atomic_path, output_errors
from sciastro.io.usercache import cache_folder, one_at_a_time

__all__ = [
    "DECODED",
    "NONE",
    "SAMPLED",
    "KeptSpectrum",
    "clear_spectra",
    "keep_spectra",
    "kept_spectra",
    "spectra_folder",
    "spectra_status",
]

SAMPLES = 343
SHIFT = 35 + 2 * (12 - 3)
NONE, SAMPLED, DECODED = 0, 1, 2
LARGEST = 300_000_000  # bytes of all files: about 100,000 stars
FIELDS = ("source", "kind", "flux", "err", "day", "server")


@dataclass(frozen=True, slots=True)
class KeptSpectrum:
    """One spectrum, or the knowledge that there is none (`kind` 0, then without fluxes).

    Attributes
    ----------
    flux, err
        (343,) [W / m2 / nm].
    day
        Days since 1970 when it came.
    """

    kind: int
    flux: npt.NDArray[np.float32]
    err: npt.NDArray[np.float32]
    day: int
    server: str


def spectra_folder() -> Path:
    """Return the folder of kept spectra; it may not exist yet."""
    return cache_folder() / "spectra"


def _path(source: int) -> Path:
    return spectra_folder() / f"gaia-dr3-{source >> SHIFT}.npz"


def kept_spectra(sources: Iterable[int]) -> dict[int, KeptSpectrum]:
    """Return what is kept of sources."""
    wanted = {int(one) for one in sources}
    out: dict[int, KeptSpectrum] = {}
    for path in sorted({_path(one) for one in wanted}):
        out |= {source: one for source, one in _read(path).items() if source in wanted}
    return out


def _read(path: Path) -> dict[int, KeptSpectrum]:
    """Return everything that a file holds; nothing where it is absent or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            parts = [file[name] for name in FIELDS]
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        # what is damaged is asked for again
        return {}
    n = parts[0].size
    shapes = [(n,), (n,), (n, SAMPLES), (n, SAMPLES), (n,), (n,)]
    if [part.shape for part in parts] != shapes or parts[0].dtype.kind != "i":
        return {}
    return {
        int(source): KeptSpectrum(int(kind), flux, err, int(day), str(server))
        for source, kind, flux, err, day, server in zip(*parts, strict=True)
    }


def keep_spectra(found: Mapping[int, tuple[int, npt.ArrayLike, npt.ArrayLike]], server: str) -> None:
    """Keep spectra: by source, its kind, flux and error; of kind 0, both may be empty.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    today = int(time.time() // 86_400)
    by_path: dict[Path, dict[int, KeptSpectrum]] = {}
    for source, (kind, flux, err) in found.items():
        one = KeptSpectrum(kind, _samples(kind, flux), _samples(kind, err), today, server)
        by_path.setdefault(_path(int(source)), {})[int(source)] = one
    with one_at_a_time("spectra", longest=30.0):
        for path, rows in by_path.items():
            _write(path, {**_read(path), **rows})
        _shrink(spare=set(by_path))


def _samples(kind: int, values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return np.full(SAMPLES, np.nan, np.float32) if kind == NONE else np.asarray(values, dtype=np.float32)


def _write(path: Path, rows: Mapping[int, KeptSpectrum]) -> None:
    order = sorted(rows)
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez(
            file,
            source=np.array(order, dtype=np.int64),
            kind=np.array([rows[one].kind for one in order], dtype=np.uint8),
            flux=np.array([rows[one].flux for one in order], dtype=np.float32),
            err=np.array([rows[one].err for one in order], dtype=np.float32),
            day=np.array([rows[one].day for one in order], dtype=np.int64),
            server=np.array([rows[one].server for one in order], dtype=np.str_),
        )


def _files() -> list[Path]:
    folder = spectra_folder()
    return sorted(folder.glob("gaia-dr3-*.npz")) if folder.is_dir() else []


def _shrink(spare: set[Path]) -> None:
    """Remove the oldest files until all fit; those of now stay."""
    with contextlib.suppress(OSError):  # another process tidies up, too
        sizes = {path: path.stat() for path in _files()}
        total = sum(one.st_size for one in sizes.values())
        for path in sorted(set(sizes) - spare, key=lambda one: sizes[one].st_mtime):
            if total <= LARGEST:
                return
            path.unlink(missing_ok=True)
            total -= sizes[path].st_size


def spectra_status() -> tuple[int, int]:
    """Return how many spectra are kept, and their bytes."""
    count = size = 0
    for path in _files():
        with contextlib.suppress(OSError):  # another process tidies up, too
            size += path.stat().st_size
            count += sum(one.kind != NONE for one in _read(path).values())
    return count, size


def clear_spectra() -> tuple[int, int]:
    """Remove all of them; return how many there were, and their bytes.

    Raises
    ------
    OutputError
        If they cannot be removed.
    """
    told = spectra_status()
    for path in _files():
        with output_errors(path):
            path.unlink(missing_ok=True)
    return told
