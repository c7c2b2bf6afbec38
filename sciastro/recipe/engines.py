"""Other plate solvers behind the same call: each proposes a place, our own solver has the last word.

Whatever an engine answers is taken as the rough WCS of a header would be: `solve_field` moves it, matches the
stars and refines it, and accepts it only beyond its own `false_alarm`. The engine's name becomes the method
of the solution. An engine is asked only where the user names it, or allows it in the configuration file.
"""

import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.blindplaces import Where
from sciastro.astrometry.sky import StarsAt
from sciastro.astrometry.solution import Solution
from sciastro.astrometry.solve import Hint, SolveOptions, solve_field
from sciastro.core.platequery import PlateQuery
from sciastro.core.userconfig import user_config
from sciastro.core.wcs import center, pixel_scale
from sciastro.engines.extras import INDEX_FOLDERS, TETRA_FAINTEST, ask_astrometry, ask_tetra, has_extra
from sciastro.engines.solvefield import ask_solve_field, has_solve_field
from sciastro.errors import OutputError, SolveError, UsageError
from sciastro.io.reference import catalog_info, cone
from sciastro.io.usercache import Notes, cache_folder
from sciastro.recipe.solvereading import Field

if TYPE_CHECKING:
    from astropy.wcs import WCS

    from sciastro.core.stars import StarArray

__all__ = ["AUTO", "ENGINES", "OURS", "ask_engine", "chosen_engines"]

log = logging.getLogger(__name__)

OURS, AUTO = "sciastro", "auto"
ENOUGH = 50  # stars of a list that needs no second look
WIDTHS = (2.5, 5.0)  # pixel: of stars, where measuring them goes wrong

Floats = npt.NDArray[np.float64]
Engine = Callable[[PlateQuery, float], "WCS"]


def _nova(query: PlateQuery, until: float) -> "WCS":
    from sciastro.remote.nova import KEY_NAME, NOVA, ask_nova  # and what HTTPS needs

    config = user_config()
    key = os.environ.get(KEY_NAME, "").strip() or config.nova_key
    return ask_nova(query, key=key, until=until, memory=_Memory(), url=config.nova_url or NOVA)


class _Memory(Notes):
    """Notes of submissions; a cache that cannot be written costs the resuming only."""

    def keep(self, name: str, note: dict[str, object]) -> None:
        """Keep a note, or log why not."""
        try:
            super().keep(name, note)
        except OutputError as error:
            log.warning("%s", error)

    def forget(self, name: str) -> None:
        """Forget a note, or log why not."""
        try:
            super().forget(name)
        except OutputError as error:
            log.warning("%s", error)


def _solve_field(query: PlateQuery, until: float) -> "WCS":
    return ask_solve_field(query, until=until, folders=user_config().index_folders)


def _astrometry(query: PlateQuery, until: float) -> "WCS":
    return ask_astrometry(query, until=until, folders=user_config().index_folders or INDEX_FOLDERS)


def _tetra(query: PlateQuery, until: float) -> "WCS":
    mark = catalog_info()["files"]["stars/v.npy"]["sha256"]
    name = hashlib.sha256(f"{mark} {TETRA_FAINTEST} {_version('tetra3rs')}".encode()).hexdigest()[:12]
    return ask_tetra(query, until=until, database=cache_folder() / f"tetra3rs-{name}.bin", stars=_bright)


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _bright() -> tuple[Floats, Floats, Floats]:
    """Return RA, Dec [deg, epoch 2016] and magnitude of the bright stars of the whole sky."""
    table = cone(0.0, 90.0, 180.0, epoch=2016.0, mag_limit=TETRA_FAINTEST)
    columns = [np.asarray(table[name].value, dtype=np.float64) for name in ("ra", "dec", "mag")]
    good = np.isfinite(columns).all(axis=0)
    ra, dec, mag = (column[good] for column in columns)
    return ra, dec, mag


ENGINES: MappingProxyType[str, Engine] = MappingProxyType(
    {"tetra3rs": _tetra, "solve-field": _solve_field, "astrometry": _astrometry, "nova": _nova}
)
"""Who can be asked, by name, the fast ones first; nova is the only one that needs the network."""


def chosen_engines(name: str | None) -> tuple[str, ...]:
    """Return who is asked, in order.

    Parameters
    ----------
    name
        One of `ENGINES`, "sciastro" (ours), "auto" (ours, then what is installed on this computer), or None:
        what the configuration file allows, which is ours alone where it says nothing.

    Raises
    ------
    UsageError
        For a name that is not known.
    """
    known = (OURS, *ENGINES)
    names = user_config().engines if name is None else (name,)
    if AUTO in names:
        there = {"tetra3rs": has_extra("tetra3rs"), "astrometry": has_extra("astrometry")}
        there["solve-field"] = has_solve_field()
        return (OURS, *(one for one in ENGINES if there.get(one)))
    for one in names:
        if one not in known:
            raise UsageError(
                f"is {one!r}.", where="engine", remedy=f"Choose from {', '.join((*known, AUTO))}."
            )
    return names


def ask_engine(name: str, field: Field, where: Where, *, stars_at: StarsAt, until: float) -> Solution:
    """Ask one engine, then verify and refine what it says.

    Parameters
    ----------
    name
        One of `ENGINES`.
    field
        The image; its stars are what the engine is given.
    where
        What the user knows of scale and place.
    stars_at
        Catalog for the verification, as in `solve_field`.
    until
        `time.monotonic` at which the engine is given up.

    Raises
    ------
    SolveError
        If the engine finds nothing, or what it finds does not hold against our catalog.
    """
    stars = _full_list(field)
    wcs = ENGINES[name](_query(stars, field.shape, where), until)
    try:
        found = solve_field(
            stars,
            field.shape,
            stars_at=stars_at,
            hint=Hint(wcs=wcs),
            epoch=field.epoch,
            options=SolveOptions(),
        )
    except SolveError as error:
        ra, dec = center(wcs, field.shape)
        raise SolveError(
            f"says RA {ra:.4f}, Dec {dec:+.4f} deg, which our catalog does not confirm: {error.found}",
            where=name,
            remedy="Nothing is written: the place may be right, but is not beyond doubt.",
        ) from error
    text = f"{name}: {pixel_scale(wcs):.4g} arcsec / pixel"
    return replace(found, method=name, attempts=(text, *found.attempts))


def _full_list(field: Field) -> "StarArray":
    """Return the stars of an image, found in another way where the usual one finds few."""
    best = field.stars()
    for width in WIDTHS if field.given is None else ():
        if len(best) >= ENOUGH:
            break
        best = max(best, field.stars(width), key=len)
    return best


def _query(stars: "StarArray", shape: tuple[int, int], where: Where) -> PlateQuery:
    flux = np.asarray(stars["flux"], dtype=np.float64)
    x, y = (np.asarray(stars[axis], dtype=np.float64) for axis in ("x", "y"))
    good = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & (flux > 0))
    order = good[np.argsort(-flux[good], kind="stable")]
    free, placed = Where(), where.radius < 180
    return PlateQuery(
        x=x[order], y=y[order], flux=flux[order], shape=shape,
        scale_low=None if where.scale_low == free.scale_low else where.scale_low,
        scale_high=None if where.scale_high == free.scale_high else where.scale_high,
        ra=where.ra if placed else None, dec=where.dec if placed else None,
        radius=where.radius if placed else None,
    )  # fmt: skip
