"""Images of different bands brought onto one grid: a reference image's, by stars or world coordinates.

Reads `photometrytarget.Target`s and the stars found on them; writes maps from the reference's pixels to those
of each, their world coordinates where they had none, and resampled planes.
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.register import register
from sciastro.core import transform
from sciastro.core import vocabulary as v
from sciastro.core.quality import Quality
from sciastro.core.vocabulary import labeled
from sciastro.core.wcs import pixel_scale
from sciastro.errors import FileError, MatchError
from sciastro.integrate.align import align
from sciastro.recipe.photometry import Measured

if TYPE_CHECKING:
    import xarray as xr
    from astropy.wcs import WCS

__all__ = ["map_between", "on_one_grid", "sky_places"]

Floats = npt.NDArray[np.float64]

DEGREE = 3  # of a map that two world coordinates give
NODES = 15  # grid of points, each way, that it is fitted to
AGREE = 2.0  # pixel by which maps by stars and by world coordinates may differ


def map_between(reference: Measured, other: Measured) -> tuple[Floats, str]:
    """Return the map from the reference's pixels to the other's, and what it rests on.

    By stars where they match, else by the world coordinates of both; where both tell and disagree, by stars.

    Raises
    ------
    FileError
        If neither tells.
    """
    shape = (reference.target.image.shape[0], reference.target.image.shape[1])
    by_sky = None
    if reference.target.wcs is not None and other.target.wcs is not None:
        by_sky = _by_sky(reference.target.wcs, other.target.wcs, shape)
        if by_sky is not None and not _meet(by_sky, shape, other.target.image.shape):
            by_sky = None
    try:
        found = register(reference.stars.stars, other.stars.stars, shape)
    except MatchError as error:
        if by_sky is None:
            raise FileError(
                f"cannot be brought onto the grid of {reference.target.name}: {error.found}",
                where=other.target.name,
                remedy="Solve both images first (`sciastro solve`), or align them where they were made.",
            ) from error
        return by_sky, "world coordinates"
    told = f"{found.n} stars, rms {found.rms:.2f} pixel"
    if by_sky is not None:
        off = _difference(found.from_reference, by_sky, shape)
        if off > AGREE:
            told += f"; the world coordinates of the two differ from that by up to {off:.1f} pixel"
    return found.from_reference, told


def _grid(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    y, x = np.meshgrid(*(np.linspace(0, n - 1, NODES) for n in shape), indexing="ij")
    return x.ravel(), y.ravel()


def _by_sky(reference: "WCS", other: "WCS", shape: tuple[int, int]) -> Floats | None:
    """Return the map that two world coordinates give; None where they do not meet.

    Far outside of an image its distortion may have no inverse: what does not lead back is left out.
    """
    x, y = _grid(shape)
    places = reference.pixel_to_world(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of astropy: that the inverse was not found
        there = other.world_to_pixel(places)
        back = other.pixel_to_world(*there).separation(places).arcsec
    there = np.stack([np.asarray(one, dtype=np.float64) for one in there], axis=1)
    good = np.isfinite(there).all(axis=1) & (back < 0.1 * pixel_scale(other))
    if good.sum() < 2 * transform.n_terms(DEGREE):
        return None
    return transform.fit(x[good], y[good], there[good, 0], there[good, 1], DEGREE)


def _meet(found: Floats, shape: tuple[int, int], other: tuple[int, ...]) -> bool:
    """Return whether a twentieth of the reference, at least, lies on the other image."""
    x, y = transform.evaluate(found, *_grid(shape))
    inside = (x > -0.5) & (x < other[1] - 0.5) & (y > -0.5) & (y < other[0] - 0.5)
    return bool(inside.mean() > 0.05)


def _difference(one: Floats, other: Floats, shape: tuple[int, int]) -> float:
    x, y = _grid(shape)
    first, second = (np.stack(transform.evaluate(each, x, y)) for each in (one, other))
    return float(np.hypot(*(first - second)).max())


def sky_places(table: Any, wcs: "WCS", from_reference: Floats) -> None:
    """Give sources ``ra``, ``dec`` [deg] by the reference's world coordinates."""
    from astropy import units as u

    x, y = transform.invert(from_reference, table["x"].value, table["y"].value)
    places = wcs.pixel_to_world(x, y).icrs
    table["ra"], table["dec"] = places.ra.deg * u.deg, places.dec.deg * u.deg


def on_one_grid(images: Sequence[Measured], maps: Sequence[Floats], at: int) -> "xr.Dataset":
    """Return ``image``, ``image_quality`` and ``coverage`` (band, y, x) on the grid of image number `at`.

    Pixels hold flux in each image's own unit; where one does not reach: NaN, NO_DATA.
    """
    import xarray as xr

    height, width = images[at].target.image.shape
    planes = _padded(images)
    degree = max(transform.degree_of(one.shape[1]) for one in maps)
    frames = xr.Dataset(
        {
            "signal": labeled(v.SIGNAL, planes[0]),
            "variance": labeled(v.VARIANCE, planes[1]),
            "quality": labeled(v.QUALITY, planes[2]),
            "from_reference": labeled(
                v.FROM_REFERENCE, np.stack([transform.pad(one, degree) for one in maps])
            ),
        },
        coords={"fwhm": labeled(v.FWHM, np.array([one.fwhm for one in images]))},
    )
    done = align(frames).isel(y=slice(0, height), x=slice(0, width))
    image = np.asarray(done["signal"].values, dtype=np.float32)
    return xr.Dataset(
        {
            "image": labeled(v.IMAGE, image),
            "image_quality": labeled(v.IMAGE_QUALITY, np.asarray(done["quality"].values, dtype=np.uint16)),
            "coverage": labeled(v.COVERAGE, np.isfinite(image).astype(np.float32)),
        },
        coords={"band": [one.target.band for one in images]},
    )


def _padded(images: Sequence[Measured]) -> tuple[Any, Any, Any]:
    """Return image, variance and quality of all, (frame, y, x), in the shape of the largest."""
    shape = tuple(max(one.target.image.shape[axis] for one in images) for axis in (0, 1))
    count = len(images)
    image = np.full((count, *shape), np.nan, np.float32)
    variance = np.full((count, *shape), np.nan, np.float32)
    quality = np.full((count, *shape), int(Quality.NO_DATA | Quality.DO_NOT_USE), np.uint16)
    for k, one in enumerate(images):
        rows, columns = one.target.image.shape
        image[k, :rows, :columns] = one.target.image
        variance[k, :rows, :columns] = one.target.variance
        quality[k, :rows, :columns] = one.target.quality
    return image, variance, quality
