"""Nights of camera raw for tests: simulated or real FITS frames written again as DNG."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from astropy.io import fits

from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate.dng import write_dng

COLOR = {
    "telescope.focal_length": 150.0,
    "telescope.aperture": 60.0,
    "seeing": 17.0,
    "sky.least_density": 0.0,
    "sky.faintest": 13.0,
    "lights": 3,
    "biases": 4,
    "darks": 4,
    "flats": 4,
    "bands": "OSC",
    "camera.cfa": "RGGB",
    "camera.rows": 512,
    "camera.columns": 640,
    "row_order": "TOP-DOWN",
    "program": "nina",
}
KEPT = ("IMAGETYP", "EXPTIME", "EXPOSURE", "DATE-OBS", "OBJECT", "BAYERPAT", "ROWORDER", "FOCALLEN", "XPIXSZ")


def color_night(folder: Path, **changes: object) -> Path:
    """Write a small one-shot-color night as FITS, whose headers say only what a camera raw can say."""
    write_night(night_plan("tiny", COLOR | changes), folder)
    for path in folder.rglob("*.fits"):
        with fits.open(path) as hdus:
            full, pixels = hdus[0].header, hdus[0].data.copy()
        header = fits.Header({key: full[key] for key in KEPT if key in full})
        header["ISO"], header["INSTRUME"], header["SATURATE"] = 800, "sciastro Test", 65535
        header["BAYERPAT"] = header.get("BAYERPAT", "RGGB")
        fits.PrimaryHDU(pixels, header).writeto(path, overwrite=True)
    return folder


def as_dng(fits_folder: Path, folder: Path, **changes: object) -> Path:
    """Write every frame of a FITS night again as DNG, below folders that tell its kind and target."""
    for path in sorted(fits_folder.rglob("*.fits")):
        with fits.open(path) as hdus:
            header, pixels = hdus[0].header, hdus[0].data.astype(np.uint16)
        kind = str(header["IMAGETYP"]).lower()
        place = folder / (f"{header['OBJECT']}/lights" if kind.startswith("light") else kind)
        place.mkdir(parents=True, exist_ok=True)
        number = len(list(place.glob("*.dng")))
        facts = {
            "cfa": "RGGB",
            "exposure": max(float(header["EXPTIME"]), 1e-5),
            "iso": 800,
            "time": datetime.fromisoformat(str(header["DATE-OBS"])[:23]).replace(tzinfo=UTC),
            "focal_length": float(header["FOCALLEN"]),
            "pixel_size": float(header["XPIXSZ"]),
            "make": "sciastro",
            "model": "Test",
        }
        write_dng(place / f"IMG_{number:04d}.dng", pixels, **(facts | changes))
    return folder
