"""How long a cone of 100,000 stars takes to be read again from the cache of catalogs.

    python benchmarks/catalog_cache.py [STARS] [TAP]

Without TAP, a made-up archive with every column of Gaia DR3 is asked; with the address of a TAP service that
has ``gaiadr3.gaia_source``, that one, around RA 83.8, Dec -5.4. The cone is fetched once into a cache of its
own, then read 15 times: as it is, and moved to another epoch. Prints wall and processor time of the quickest,
the median and the slowest reading.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from sciastro.recipe import catalogs
from sciastro.remote.columns import Depth, Region, star_table

REPEATS = 15
RADIUS = 1.6
CENTER = (83.8, -5.4)


class Archive:
    """A made-up Gaia DR3: a dense disk of stars with every column filled."""

    name, title, system = "gaia-dr3", "Made-up Gaia DR3", "Johnson V, B-V"
    bands, band = ("G", "BP", "RP"), "G"
    license, citation, epoch = "none", "nobody", 2016.0
    order, version = 6, 1

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(1)
        self.asked = 0
        self.ra = CENTER[0] + rng.normal(0, 0.6, n) / np.cos(np.radians(CENTER[1]))
        self.dec = CENTER[1] + rng.normal(0, 0.6, n)
        self.values = {
            "pm_ra_cosdec": rng.normal(0, 10, n), "pm_dec": rng.normal(0, 10, n),
            "parallax": rng.normal(1, 0.5, n),
            "mag": rng.uniform(8, 20, n), "color": rng.uniform(0, 2, n), "g_mag": rng.uniform(8, 20, n),
            "bp_rp": rng.uniform(0, 2, n),
        }  # fmt: skip
        for name, size in (("ra", 1e-4), ("dec", 1e-4), ("pm_ra", 0.1), ("pm_dec", 0.1), ("parallax", 0.1)):
            self.values[f"{name}_err"] = rng.uniform(0.5, 1.5, n) * size
        self.values["mag_err"] = rng.uniform(0.002, 0.03, n)
        self.values["epoch"] = np.full(n, 2016.0)
        self.names = np.array([f"Gaia DR3 {3017000000000000000 + k}" for k in range(n)])

    def tile(self, region: Region, depth: Depth):
        self.asked += 1
        east = (self.ra - region.ra) * np.cos(np.radians(self.dec))
        rows = np.flatnonzero(np.hypot(east, self.dec - region.dec) < 1.05 * region.radius)
        columns = {name: values[rows] for name, values in self.values.items()}
        columns |= {"ra": self.ra[rows], "dec": self.dec[rows]}
        g, err = columns["g_mag"], np.full(rows.size, 0.003)
        bands = {"G": (g, err), "BP": (g + 0.5, err), "RP": (g - 0.5, err)}
        meta = {
            "catalog": self.title, "query": "made up", "license": "none", "citation": "", "epoch": 2016.0,
            "system": self.system, "complete": True,
        }  # fmt: skip
        return star_table(self.names[rows], columns, bands, meta=meta)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 110_000
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SCIASTRO_CACHE"] = str(Path(folder) / "cache")
        os.environ.pop("SCIASTRO_OFFLINE", None)
        if len(sys.argv) > 2:
            os.environ["SCIASTRO_GAIA_TAP"] = sys.argv[2]
        else:
            archive = Archive(count)
            catalogs.source_of = lambda name: archive
        start = time.perf_counter()
        first = catalogs.cone(CENTER, RADIUS, catalog="gaia-dr3", fallback=False)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.npy")) / 1e6
        print(f"{len(first)} stars in {first.meta['tiles']} tiles, {size:.0f} MB; ", end="")
        print(f"fetched in {time.perf_counter() - start:.1f} s")
        for epoch in (None, 2026.9):
            wall, work = [], []
            for _ in range(REPEATS):
                began, spent = time.perf_counter(), time.process_time()
                again = catalogs.cone(CENTER, RADIUS, catalog="gaia-dr3", epoch=epoch, fallback=False)
                wall.append(1e3 * (time.perf_counter() - began))
                work.append(1e3 * (time.process_time() - spent))
                if again.meta["fetched"] or len(again) < 0.99 * len(first):
                    raise SystemExit("the cache did not serve")
            row = ", ".join(
                f"{name} {min(x):.1f} / {np.median(x):.1f} / {max(x):.1f} ms"
                for name, x in (("wall", wall), ("processor", work))
            )
            print(
                f"read again{'' if epoch is None else f', moved to {epoch}'}: {row} (least / median / most)"
            )


if __name__ == "__main__":
    main()
