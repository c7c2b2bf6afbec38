"""What it costs to look at and to read one frame in each format: processor time, medians, beside FITS.

    python benchmarks/formats.py --rows 4000 --columns 6000 --repeats 5

Writes a frame of noise on a sky to a temporary folder in every format and measures, in one process and one
thread, the probe (headers only; the second one of a camera raw, whose layout is known then), reading all
pixels, and reading 64 rows. Packed DNG is not among them: nothing here writes it fast.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import tifffile
from astropy.io import fits

from sciastro.io.reader import open_rows, probe, reader_of
from sciastro.io.xisfwrite import XisfPlane, write_xisf
from sciastro.simulate.dng import write_dng


def written(folder: Path, frame: np.ndarray) -> dict[str, Path]:
    """Return the files by name of the format."""
    when = datetime(2024, 8, 1, tzinfo=UTC)
    files = {"FITS": folder / "a.fits", "FITS gzip": folder / "a.fits.gz", "FITS Rice": folder / "a.fits.fz"}
    fits.writeto(files["FITS"], frame)
    fits.writeto(files["FITS gzip"], frame)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(frame)]).writeto(files["FITS Rice"])
    files["DNG"] = write_dng(folder / "a.dng", frame, cfa="RGGB", exposure=1, iso=100, time=when)
    for name in ("", "zlib", "lz4", "zstd"):
        label = f"XISF {name}".strip()
        files[label] = write_xisf(folder / f"{name or 'plain'}.xisf", [XisfPlane(frame)], compression=name)
    files["TIFF"] = folder / "a.tif"
    tifffile.imwrite(files["TIFF"], frame, photometric="minisblack")
    return files


def cost(action: Callable[[], object], repeats: int) -> float:
    """Return the median processor time [s] of one call."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def main() -> None:
    """Print one row per format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--columns", type=int, default=6000)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    rng = np.random.default_rng(1)
    frame = rng.normal(1200, 30, (asked.rows, asked.columns)).astype(np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'format':<12}{'MB':>8}{'probe ms':>10}{'read ms':>10}{'64 rows ms':>12}{'read / FITS':>13}")
        base = None
        for name, path in written(Path(folder), frame).items():
            (image,) = probe(path)[:1]
            reader, rows = reader_of(path), open_rows(image)
            look = cost(lambda path=path: probe(path), asked.repeats)
            whole = cost(lambda: reader.pixels(image), asked.repeats)  # noqa: B023 - called at once
            band = cost(lambda: rows(asked.rows // 2, asked.rows // 2 + 64), asked.repeats)  # noqa: B023
            base = base or whole
            print(
                f"{name:<12}{path.stat().st_size / 1e6:>8.1f}{1e3 * look:>10.2f}{1e3 * whole:>10.1f}"
                f"{1e3 * band:>12.2f}{whole / base:>13.2f}"
            )


if __name__ == "__main__":
    main()
