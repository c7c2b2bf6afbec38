"""Movers told to be known objects: orbits that the user gives, propagated to the night and compared."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.orbits import Orbits, earth_places, sky_places
from sciastro.astrometry.plane import separation
from sciastro.io.orbitfile import ELEMENTS, read_orbits
from sciastro.recipe.moverfiles import sky_motion
from sciastro.recipe.movers import Found, time_of

__all__ = ["known_orbits", "label_known"]

Floats = npt.NDArray[np.float64]

NEAR = 60.0  # arcsec from its prediction that an object may be, for elements of about the night
DRIFT = 2.0  # arcsec / day more that it may be for each day since the epoch: other planets pull
MOST = 1800.0  # arcsec, whatever the epoch
ALIKE = 0.15  # by which rate and direction of motion may differ, relative


def known_orbits(path: Path, tell: Callable[[str], None]) -> Orbits:
    """Return the orbits of a file of orbital elements; how many rows are left out is told.

    Raises
    ------
    FileError
        If the file cannot be read.
    """
    table = read_orbits(path)
    if left := table.meta["left_out"]:
        tell(f"{path}: {left} of {left + len(table)} rows hold no closed orbit that can be read; left out")
    columns = (np.asarray(table[name], dtype=np.float64) for name in ELEMENTS)
    return Orbits(tuple(str(name) for name in table["name"]), *columns)


def label_known(
    found: Sequence[Found],
    orbits: Orbits,
    site: tuple[float, float, float | None] | None,
    tell: Callable[[str], None],
) -> list[Found]:
    """Return the movers with the names of the objects that they are; objects not seen are told.

    Parameters
    ----------
    orbits
        Of objects that may be there, from `known_orbits`.
    site
        Latitude, longitude [deg], height [m]; None: seen from the center of the Earth.
    """
    return [_labeled(night, orbits, site, tell) for night in found]


def _labeled(
    night: Found, orbits: Orbits, site: tuple[float, float, float | None] | None, tell: Callable[[str], None]
) -> Found:
    from astropy.time import Time

    one = night.field
    minutes = np.array([(frame.time - one.frames[0].time) / 60 for frame in one.frames])
    middle = Time(time_of(one, float(np.mean(minutes))).replace(tzinfo=None), scale="utc")
    jd = float(middle.tt.jd)
    if np.median(np.abs(jd - orbits.epoch)) > 400:
        tell("the orbits' epochs are more than a year from the night; predictions may be off by arcminutes")
    slack = np.minimum(NEAR + DRIFT * np.abs(jd - orbits.epoch), MOST)
    movers = list(night.movers)
    for k, mover in enumerate(movers):
        when = Time(time_of(one, mover.motion.time).replace(tzinfo=None), scale="utc")
        ra, dec = one.sky(mover.motion.x, mover.motion.y)
        rate, _, angle, _ = sky_motion(one, mover)
        best = _match(orbits, when, site, (float(ra[0]), float(dec[0]), rate, angle), slack)
        if best >= 0 and any(other.label == orbits.name[best] for other in movers[:k]):
            tell(f"{mover.name} could be {orbits.name[best]}, as another mover is; it has no label")
        elif best >= 0:
            movers[k] = replace(mover, label=orbits.name[best])
    radius = 0.6 * float(np.hypot(*one.looks[0].shape)) * one.looks[0].frame.side * one.scale / 3600
    ra, dec, mag = sky_places(orbits, jd, earth_places(Time([middle]), site)[0])
    inside = np.flatnonzero(separation(ra, dec, *one.center) < radius)
    named = {mover.label for mover in movers}
    for i in inside:
        if orbits.name[i] not in named:
            bright = f", predicted V {mag[i]:.1f}" if np.isfinite(mag[i]) else ""
            place = f"({ra[i]:.4f}, {dec[i]:+.4f}{bright})"
            tell(f"{one.target}: {orbits.name[i]} should be near {place}; not found")
    return replace(night, movers=tuple(movers))


def _match(
    orbits: Orbits,
    when: "object",
    site: tuple[float, float, float | None] | None,
    seen: tuple[float, float, float, float],
    slack: Floats,
) -> int:
    """Return the object that is where something is seen and moves alike, -1 if none or more than one.

    Labels go into reports: what cannot be told apart must not have one.
    """
    from astropy import units as u
    from astropy.time import Time

    time = Time(when)
    both = Time([time, time + 10 * u.min])
    spots = earth_places(both, site)
    ra, dec, _ = sky_places(orbits, float(both[0].tt.jd), spots[0])
    then_ra, then_dec, _ = sky_places(orbits, float(both[1].tt.jd), spots[1])
    apart = 3600 * separation(ra, dec, seen[0], seen[1])
    east = (then_ra - ra + 180) % 360 - 180
    east = 360 * east * np.cos(np.deg2rad(dec))
    north = 360 * (then_dec - dec)  # arcsec / min
    angle = np.deg2rad(seen[3])
    off = np.hypot(east - seen[2] * np.sin(angle), north - seen[2] * np.cos(angle))
    good = (apart < slack) & (off < ALIKE * seen[2] + 0.02)
    return int(np.argmax(good)) if good.sum() == 1 else -1
