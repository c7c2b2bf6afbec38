"""The demo: a simulated night, and how the reduction compares with the truth behind it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.io.tables import read_sources
from sciastro.recipe.context import Progress
from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate.truth import FOLDER as TRUTH
from sciastro.simulate.truth import Truth

__all__ = ["compare_with_truth", "make_demo_night"]


def make_demo_night(folder: Path, *, seed: int, progress: Progress | None = None) -> None:
    """Write the demo's raw night, truth included; the same seed gives the same bytes.

    A complete night of the same seed that is there already is taken as it is.
    """
    if (folder / TRUTH / "truth.json").is_file() and Truth.load(folder).plan.seed == seed:
        return
    write_night(night_plan("demo", {"seed": seed}), folder, progress=progress)


def compare_with_truth(night: Path, result: Path) -> Iterator[str]:
    """Yield one line per band: how far positions and fluxes are from the simulator's truth."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    truth = Truth.load(night)
    for path in sorted((result / "products").glob("*_sources.ecsv")):
        band = path.name.removesuffix("_sources.ecsv").rpartition("_")[2]
        table = read_sources(path)
        if not np.isfinite(np.asarray(table["ra"].value)).any():
            continue
        real = SkyCoord(np.asarray(truth.stars["ra"]) * u.deg, np.asarray(truth.stars["dec"]) * u.deg)
        found = SkyCoord(table["ra"], table["dec"])
        near, apart, _ = found.match_to_catalog_sky(real)
        good = np.asarray(truth.stars["isolated"], dtype=bool)[near]
        good &= (apart.arcsec < 2.0) & (np.asarray(table["snr"]) > 50) & (np.asarray(table["flags"]) == 0)
        if good.sum() < 3:
            continue
        rates = np.asarray(truth.star_rates(band))[near[good]]
        ratio = np.asarray(table["flux"].value)[good] / rates
        scatter = MAD_TO_SIGMA * np.median(np.abs(ratio / np.median(ratio) - 1))
        yield (
            f"truth {band}: {int(good.sum())} isolated stars above S/N 50, "
            f"position median {np.median(apart.arcsec[good]):.3f} arcsec, "
            f"flux scatter {100 * scatter:.2f} %"
        )
