"""Mosaics with truth: panels of one sky, each with a sky level, a gradient and a transparency of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import QTable

from sciastro.recipe.simulated import catalog_stars, night_plan, write_night
from sciastro.simulate.sky import SkyOptions, all_stars, real_stars

RA, DEC = 92.27, 24.35
BASE = {
    "telescope.focal_length": 150.0, "telescope.aperture": 60.0, "seeing": 13.0, "bands": "G",
    "camera.rows": 360, "camera.columns": 480, "camera.dust": 0, "sky.most_invented": 0,
    "flip": False, "rotation": 9.0, "dither": 8.0, "exposure": 60.0,
}  # fmt: skip
LEVELS = (20.9, 20.3, 20.6, 19.9)
HAZE = (0.02, 0.15, 0.3, 0.08)
ANGLES = (30.0, 140.0, 250.0, 310.0)


@dataclass(frozen=True)
class Mosaic:
    """Where the session lies, and every star of its sky."""

    session: Path
    stars: QTable
    folders: tuple[Path, ...]


def sky(seed: int = 5) -> QTable:
    """Return one sky for all panels: the catalog's stars, and fainter ones that continue their counts."""
    options = SkyOptions(complete_to=10.8, faintest=14.5, least_density=30.0, most_invented=4000)
    real = real_stars(catalog_stars(RA, DEC, 1.6, 2024.04))
    return all_stars(real, RA, DEC, 1.6, options, seed)


def write_mosaic(
    folder: Path, across: int, down: int, *, overlap: float = 0.15, lights: int = 4,
    names: str = "M 99 Panel {}", changes: Sequence[dict[str, object]] = (),
) -> Mosaic:  # fmt: skip
    """Write `across` x `down` panels; calibration frames come with the first only."""
    stars = sky()
    scale = night_plan("tiny", BASE).scale
    angle = np.deg2rad(BASE["rotation"])
    folders = []
    for number in range(across * down):
        column, row = number % across, number // across
        u = (column - (across - 1) / 2) * BASE["camera.columns"] * (1 - overlap) * scale / 3600
        v = (row - (down - 1) / 2) * BASE["camera.rows"] * (1 - overlap) * scale / 3600
        east, north = u * np.cos(angle) + v * np.sin(angle), -u * np.sin(angle) + v * np.cos(angle)
        dec = DEC + north
        own = {
            **BASE, "target": names.format(number + 1), "ra": RA + east / np.cos(np.deg2rad(dec)), "dec": dec,
            "lights": lights, "haze": HAZE[number % 4], "seed": 3,
            "sky.brightness": LEVELS[number % 4], "sky.gradient": 0.12,
            "sky.gradient_angle": ANGLES[number % 4],
            "date": f"2024-01-{13 + number}",
        }  # fmt: skip
        counts = {"biases": 5, "darks": 4, "flats": 5}
        own |= counts if number == 0 else dict.fromkeys(counts, 0)
        own |= changes[number] if number < len(changes) else {}
        place = folder / f"night{number + 1}"
        write_night(night_plan("tiny", own), place, stars=lambda *_: stars)
        folders.append(place)
    return Mosaic(folder, stars, tuple(folders))
