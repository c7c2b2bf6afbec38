"""A run as `summary.json` would tell it: two bands, sixty files, and every unkind string we can think of."""

from typing import Any

import numpy as np
import pytest

HOSTILE = "<script>alert('x')</script>\x07\x1b[31m\u202e"


def night(n: int = 24, seed: int = 4) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for k in range(n):
        band = "R" if k % 2 else "V"
        drift = k / n
        row = {
            "path": f"lights/M94_{band}_{k:04d}.fits",
            "type": "light",
            "band": band,
            "exposure_s": 120.0,
            "time": f"2026-03-26T{21 + k // 12:02d}:{(k * 5) % 60:02d}:00",
            "used": True,
            "reason": "",
            "fwhm_px": 2.6 + 0.5 * drift + 0.1 * rng.normal(),
            "eccentricity": 0.32 + 0.03 * rng.normal(),
            "sky_e_s": 4.1 - 0.8 * drift + 0.05 * rng.normal(),
            "n_stars": int(820 - 90 * drift + 12 * rng.normal()),
            "transparency": 1.0 - 0.05 * drift + 0.01 * rng.normal(),
            "weight": 1.0 - 0.25 * drift + 0.02 * rng.normal(),
        }
        rows.append(row)
    rows[7] |= {
        "used": False,
        "reason": "clouds: 61 % of the star light is missing",
        "n_stars": 240,
        "transparency": 0.39,
        "weight": 0.0,
        "sky_e_s": 6.2,
    }
    rows[15] |= {
        "used": False,
        "reason": "trailed: eccentricity 0.83",
        "eccentricity": 0.83,
        "fwhm_px": 5.2,
        "weight": 0.0,
    }
    rows[18] |= {"path": f"lights/{HOSTILE}.fits", "reason": "satellite trail masked, weight kept"}
    for kind, count in (("bias", 12), ("dark", 12), ("flat", 12)):
        rows += [
            {
                "path": f"{kind}s/{kind}_{k:03d}.fits",
                "type": kind,
                "band": "R" if kind == "flat" else "",
                "exposure_s": 120.0 if kind == "dark" else 0.5,
                "used": True,
                "reason": "",
                "fwhm_px": None,
                "eccentricity": None,
                "sky_e_s": None,
                "n_stars": None,
                "weight": None,
            }
            for k in range(count)
        ]
    return rows


def product(band: str, shift: float) -> dict[str, Any]:
    return {
        "target": "M 94",
        "band": band,
        "image": f"products/M_94_{band}.fits",
        "sources": f"products/M_94_{band}_sources.ecsv",
        "n_frames": 11,
        "exposure_s": 1320.0,
        "wcs": {
            "center_deg": [192.7213, 41.1204],
            "scale_arcsec_px": 1.1876,
            "rms_arcsec": 0.237 + shift,
            "n_stars": 143,
            "parity": 1,
            "rotation_deg": -12.34,
            "catalog": "sciastro stars v1",
        },
        "zeropoint": {
            "mag": 21.8473 + shift,
            "err": 0.0123,
            "n_stars": 57,
            "system": "Johnson-Cousins (Vega)",
            "catalog": "sciastro stars v1",
        },
        "depth_mag_5sigma": 19.632 - shift,
        "noise_e_s": 0.01834,
        "fwhm_px": 2.871 + shift,
    }


def fake_summary() -> dict[str, Any]:
    return {
        "schema": 1,
        "version": "0.1.0",
        "status": "partial",
        "frames": night(),
        "masters": [
            {
                "path": "masters/bias.fits",
                "type": "bias",
                "n_frames": 12,
                "matched_by": "gain 100, offset 30, 4144 x 2822",
            },
            {
                "path": "masters/dark_120s.fits",
                "type": "dark",
                "n_frames": 12,
                "matched_by": "exposure 120 s, temperature within 0.4 deg C, gain 100",
            },
            {
                "path": "masters/flat_R.fits",
                "type": "flat",
                "n_frames": 12,
                "matched_by": ["filter R", "same night", HOSTILE],
            },
        ],
        "products": [product("V", 0.0), product("R", 0.05)],
        "renders": ["renders/M_94.png", "renders/M_94.jpg", "../../etc/passwd", "javascript:alert(1)"],
        "timings_s": {
            "ingest": 2.1,
            "masters": 3.4,
            "calibrate": 1.9,
            "solve": 0.8,
            "register": 2.6,
            "integrate": 6.3,
            "photometry": 2.2,
            "render": 1.5,
            "report": 0.9,
            "total": 21.7,
        },
        "peak_memory_bytes": 1_240_000_000,
        "warnings": [
            "No flats in V: the V lights went through without it. Expect dust in V.",
            f"Header OBJECT of lights/x.fits is {HOSTILE}",
        ],
    }


@pytest.fixture
def summary() -> dict[str, Any]:
    return fake_summary()


@pytest.fixture
def hostile() -> str:
    return HOSTILE
