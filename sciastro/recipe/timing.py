"""Barycentric times of the frames of a session and of its products."""

import math
from collections.abc import Sequence
from datetime import UTC, timedelta

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.timing import Site, bjd_tdb, meaning_of
from sciastro.core.wcs import center, text_to_wcs
from sciastro.recipe.clocks import site_of
from sciastro.recipe.lights import Light

__all__ = ["barycentric", "bjd_card", "span_of"]

Floats = npt.NDArray[np.float64]
Place = tuple[float, float]
PER_DEGREE = "the time of a star 1 degree from it differs by up to 8.7 s"


def barycentric(lights: Sequence[Light]) -> tuple[Floats, dict[str, str]]:
    """Return BJD_TDB [d] of the middle of every exposure, and what the numbers mean.

    All frames of a target share one direction (that of its first solved frame, else of its first pointing),
    so that dithering does not show in the times. NaN where time or direction is unknown.
    """
    directions = _directions(lights)
    shared = site_of(light.facts for light in lights)
    sites = [Site(*light.facts.site) if light.facts.site is not None else shared for light in lights]
    out = np.full(len(lights), np.nan)
    for site in dict.fromkeys(sites):
        for target, (ra, dec) in directions.items():
            members = [
                i for i, light in enumerate(lights) if sites[i] == site and _target(light) == target
            ]  # fmt: skip
            if members:
                out[members] = bjd_tdb(np.array([_utc(lights[i]) for i in members]), ra, dec, site)
    meaning = meaning_of(sites[0] if sites else None)
    if len(set(sites)) > 1:
        meaning["site"] = "that of each frame"
    where = [
        f"{name or 'no name'}: RA {ra:.5f}, Dec {dec:+.5f} deg" for name, (ra, dec) in directions.items()
    ]
    meaning["coordinate"] = f"{'; '.join(where)}; ICRS, {PER_DEGREE}" if where else "unknown"
    return out, meaning


def _target(light: Light) -> str:
    return light.match.group.target


def _utc(light: Light) -> np.datetime64:
    moment = light.facts.time
    return np.datetime64("NaT" if moment is None else moment.replace(tzinfo=None), "us")


def _directions(lights: Sequence[Light]) -> dict[str, Place]:
    """Return one direction per target, where any is known."""
    found: dict[str, Place] = {}
    for light in lights:
        if light.wcs and _target(light) not in found:
            found[_target(light)] = center(text_to_wcs(light.wcs), light.facts.shape)
    for light in lights:
        if light.facts.pointing is not None:
            found.setdefault(_target(light), light.facts.pointing)
    return found


def bjd_card(lights: Sequence[Light], average: str, middle: Place | None) -> dict[str, tuple[float, str]]:
    """Return the card ``BJD_TDB`` of a product, none where time or direction is unknown.

    Parameters
    ----------
    lights
        Frames of the product, for the site.
    average
        DATE-AVG: ISO 8601, UTC.
    middle
        RA and Dec of the image's center [deg].
    """
    if not average or middle is None or not all(map(math.isfinite, middle)):
        return {}
    site = site_of(light.facts for light in lights)
    value = float(bjd_tdb(np.datetime64(average, "us"), *middle, site))
    place = "at image center" if site is not None else "center; geocenter, 22 ms"
    return {"BJD_TDB": (round(value, 9), f"[d] barycentric DATE-AVG, {place}")}


def span_of(lights: Sequence[Light]) -> tuple[str, str, str]:
    """Return begin of the first exposure, mean of the middles, end of the last: ISO 8601, UTC, or ""."""
    known = [
        (light.facts.time, light.facts.exposure or 0.0) for light in lights if light.facts.time is not None
    ]
    if not known:
        return "", "", ""
    starts = [time - timedelta(seconds=seconds / 2) for time, seconds in known]
    ends = [time + timedelta(seconds=seconds / 2) for time, seconds in known]
    stamps = [time.replace(tzinfo=UTC).timestamp() for time, _ in known]
    origin = known[0][0].replace(tzinfo=UTC)
    middle = origin + timedelta(seconds=float(np.mean(stamps)) - origin.timestamp())
    return tuple(
        one.replace(tzinfo=None).isoformat(timespec="milliseconds")
        for one in (min(starts), middle, max(ends))
    )  # type: ignore[return-value]
