"""The way by hand: what a run does, as plain functions on labeled datasets, for notebooks.

`make_master`, `collect_masters` and `open_masters` give the `masters` that `calibrate.correct.correct` takes;
`register` writes the maps that `integrate.stack.stack` reads; `solve` and `find_sources` give an integrated
dataset its place on the sky and its tables. Everything is done by the same inner functions as in a run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.frames import RegisterFramesOptions, best_reference, register_frames
from sciastro.astrometry.register import Registration
from sciastro.astrometry.register import register as register_stars
from sciastro.calibrate.defects import DefectOptions, defects_from_dark, defects_from_flat, merge_defects
from sciastro.calibrate.masters import Master, MasterOptions, combine_master
from sciastro.core import vocabulary as v
from sciastro.core.history import record
from sciastro.core.stars import StarArray
from sciastro.core.vocabulary import labeled, require
from sciastro.errors import DatasetError, OptionError
from sciastro.integrate.normalize import transparency
from sciastro.io.probe import Probe
from sciastro.io.product_reading import read_product
from sciastro.io.reader import probe
from sciastro.measure.skymaps import sky_mapper
from sciastro.measure.stars import DetectOptions, PlaneMeasure, measure_plane
from sciastro.photometry.aperture import ApertureOptions
from sciastro.photometry.psfphotometry import PsfOptions
from sciastro.photometry.psfsteps import measure_psf_bands
from sciastro.photometry.steps import measure_bands
from sciastro.recipe.solvecalls import solve

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import Table

__all__ = ["collect_masters", "find_sources", "make_master", "open_masters", "register", "solve"]

KINDS = ("bias", "dark", "flat")
Plane = npt.NDArray[np.float32]


def make_master(
    frames: "xr.Dataset",
    kind: str,
    *,
    subtract: "xr.Dataset | None" = None,
    gain: float = float("nan"),
    options: MasterOptions | None = None,
) -> "xr.Dataset":
    """Combine raw calibration frames of one kind.

    Parameters
    ----------
    frames
        ``raw`` [adu, (frame, y, x)] of one setting; ``filter`` and ``cfa`` where present. Not modified.
    kind
        "bias", "dark" (bias included) or "flat". Flats of several filters give one flat per ``band``.
    subtract
        Master that holds the ``bias`` or the ``dark`` of the flats, from this function.
    gain
        [electron / adu]; NaN: the noise model is learned from the frames alone.

    Returns
    -------
    Dataset
        ``<kind>`` and ``<kind>_variance``, [adu] and [adu2] (y, x), or for flats [1] (band, y, x).

    Raises
    ------
    DatasetError
        Without frames, or for another kind.
    MatchError
        If flats are saturated or black; the message names each.
    """
    require(frames, v.RAW)
    if kind not in KINDS:
        raise DatasetError(f"is {kind!r}.", where="kind", remedy=f"Choose from {', '.join(KINDS)}.")
    options = MasterOptions() if options is None else options
    zero = None if subtract is None else subtract["bias" if "bias" in subtract else "dark"]
    minus = None if zero is None or subtract is None else subtract[f"{zero.name}_variance"].values
    cfa = str(frames["cfa"].values[0]) if kind == "flat" and "cfa" in frames.variables else ""

    def combine(some: "xr.Dataset") -> Master:
        raw = some["raw"]
        ceiling = float(np.iinfo(raw.dtype).max) if raw.dtype.kind == "u" else 1e30
        return combine_master(
            kind, [_rows(raw.isel(frame=i)) for i in range(raw.sizes["frame"])],
            (raw.sizes["y"], raw.sizes["x"]),
            options=options, subtract=None if zero is None else zero.values, subtract_variance=minus, cfa=cfa,
            gain=gain, saturation=ceiling,
        )  # fmt: skip

    if kind != "flat":
        return record(_planes(kind, combine(frames)), "calibrate.masters", options, kind=kind)
    names = np.asarray(frames["filter"].values).astype(str)
    parts = [
        _planes(kind, combine(frames.isel(frame=np.flatnonzero(names == name)))) for name in _unique(names)
    ]
    joined = _join_bands(parts, _unique(names))
    return record(joined, "calibrate.masters", options, kind=kind)


def _rows(plane: "xr.DataArray") -> Any:
    return lambda y0, y1: np.asarray(plane[y0:y1].values)


def _unique(names: npt.NDArray[np.str_]) -> list[str]:
    return list(dict.fromkeys(names.tolist()))


def _planes(kind: str, master: Master) -> "xr.Dataset":
    return _labeled_planes(kind, master.image, master.variance, master.n_frames, master.noise)


def _labeled_planes(kind: str, image: Plane, variance: Plane, n_frames: int, noise: float) -> "xr.Dataset":
    import xarray as xr

    unit, square = ("1", "1") if kind == "flat" else ("adu", "adu2")
    attrs = {"units": unit, "long_name": f"Master {kind}.", "n_frames": n_frames, "frame_noise": noise}
    return xr.Dataset(
        {
            kind: (("y", "x"), image, attrs),
            f"{kind}_variance": (("y", "x"), variance, {"units": square, "long_name": "Its variance."}),
        }
    )


def _join_bands(parts: "Sequence[xr.Dataset]", names: Sequence[str]) -> "xr.Dataset":
    import xarray as xr

    joined = {}
    for name in ("flat", "flat_variance"):
        planes = np.stack([part[name].values for part in parts])
        joined[name] = (("band", "y", "x"), planes, dict(parts[0][name].attrs))
    return xr.Dataset(joined, coords={"band": np.array(names, dtype=np.str_)})


def collect_masters(
    *parts: "xr.Dataset", options: DefectOptions | None = None, cfa: str = ""
) -> "xr.Dataset":
    """Put masters together into what `correct` takes, and add the map of defects that they show.

    Parameters
    ----------
    parts
        From `make_master`.
    options, cfa
        When a pixel is hot, dead or low; pattern of a color mosaic.

    Returns
    -------
    Dataset
        All variables of `parts`, and ``defects`` (quality bits, (y, x)) from dark (or bias) and flats.
    """
    import xarray as xr

    options = DefectOptions() if options is None else options
    out = xr.Dataset()
    for part in parts:
        out = out.assign(part.data_vars).assign_coords(part.coords)
    zero = next((out[name] for name in ("dark", "bias") if name in out), None)
    maps = []
    if zero is not None:
        noise = float(zero.attrs.get("frame_noise", 0.0))
        noise = noise if np.isfinite(noise) else 0.0
        maps.append(defects_from_dark(zero.values, cfa=cfa, noise=noise, options=options))
    if "flat" in out:
        flats = out["flat"].values if "band" in out["flat"].dims else out["flat"].values[None]
        maps += [defects_from_flat(flat, cfa=cfa, options=options) for flat in flats]
    merged = merge_defects(*maps)
    if merged is None:
        return out
    attrs = {"units": "1", "long_name": "Quality bits that pixels have in every frame."}
    return record(out.assign(defects=(("y", "x"), merged, attrs)), "calibrate.defects", options)


def open_masters(*paths: str | Path, options: DefectOptions | None = None, cfa: str = "") -> "xr.Dataset":
    """Read master files of a run into what `correct` takes; see `collect_masters`.

    Parameters
    ----------
    paths
        Files under ``masters/`` of an output folder: at most one bias, one dark, and one flat per filter.

    Raises
    ------
    DatasetError
        If a file is no master, or two are of the same kind and filter.
    """
    found: dict[tuple[str, str], xr.Dataset] = {}
    for path in map(Path, paths):
        header = _header(path)
        kind = str(header.header.get("MASTER", ""))
        if kind not in KINDS:
            raise DatasetError(
                "is no master bias, dark or flat.", where=str(path), remedy="Name files of masters/."
            )
        key = (kind, str(header.header.get("FILTER", "")) if kind == "flat" else "")
        if key in found:
            raise DatasetError(
                f"is a second {' '.join(key).strip()}.", where=str(path), remedy="Name one of each."
            )
        ds = read_product(path)
        image, variance = (
            np.ascontiguousarray(ds[name].values.squeeze(), np.float32) for name in ("signal", "variance")
        )
        noise = float(header.header.get("FRMNOISE", "nan"))
        count = int(header.header.get("NCOMBINE", 1))
        found[key] = _labeled_planes(kind, image, variance, count, noise)
    flats = {name: part for (kind, name), part in found.items() if kind == "flat"}
    parts = [part for (kind, _), part in found.items() if kind != "flat"]
    parts += [_join_bands(list(flats.values()), list(flats))] if flats else []
    return collect_masters(*parts, options=options, cfa=cfa)


def _header(path: Path) -> Probe:
    return probe(path)[0]


def register(
    frames: "xr.Dataset",
    *,
    detect: DetectOptions | None = None,
    options: RegisterFramesOptions | None = None,
) -> "xr.Dataset":
    """Find the stars of every frame, register all to the best, and compare their fluxes.

    Parameters
    ----------
    frames
        ``signal`` [electron, (frame, y, x)] and ``exposure`` [s]; ``variance`` and ``quality`` where present.
        Not modified.
    detect, options
        How stars are found and matched.

    Returns
    -------
    Dataset
        `frames` with ``from_reference`` [pixel] and the coordinates ``registration_rms`` [pixel],
        ``registration_stars``, ``registration_reason``, ``transparency`` [1, relative to the reference]; NaN
        and a reason where a frame cannot be registered.
    """
    require(frames, v.SIGNAL, v.EXPOSURE)
    options = RegisterFramesOptions() if options is None else options
    stars = [_measured(frames, "frame", i, detect).stars for i in range(frames.sizes["frame"])]
    number = best_reference(stars) if options.reference is None else options.reference
    out = register_frames(frames, stars, options=options)
    seconds = np.asarray(frames["exposure"].values, dtype=np.float64)
    shape = (frames.sizes["y"], frames.sizes["x"])
    ratios = np.full(len(stars), np.nan)
    ratios[number] = 1.0
    for i, found in enumerate(stars):
        if i != number and np.isfinite(out["from_reference"].values[i]).all():
            ratios[i] = _ratio(stars[number], found, shape, options, seconds[number], seconds[i])
    return out.assign_coords(transparency=labeled(v.TRANSPARENCY, ratios))


def _ratio(
    anchor: StarArray,
    stars: StarArray,
    shape: tuple[int, int],
    options: RegisterFramesOptions,
    anchor_seconds: float,
    seconds: float,
) -> float:
    pairs = _pairs(register_stars(anchor, stars, shape, options))
    ratio, _, used = transparency(stars, pairs[1], anchor, pairs[0], seconds, anchor_seconds)
    return ratio if used else float("nan")


def _pairs(found: Registration) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    used = np.asarray(found.residuals["used"], dtype=bool)
    first, second = (
        np.asarray(found.residuals[f"index_{name}"], np.int64)[used] for name in ("reference", "frame")
    )
    return first, second


def _measured(ds: "xr.Dataset", dim: str, number: int, options: DetectOptions | None) -> PlaneMeasure:
    names = {
        "frame": ("signal", "quality", "variance"),
        "band": ("image", "image_quality", "image_variance"),
    }[dim]
    pixels = ds[names[0]].isel({dim: number}).values
    quality, variance = (
        ds[name].isel({dim: number}).values if name in ds.variables else None for name in names[1:]
    )
    return measure_plane(pixels, quality, gain_noise=variance, options=options or DetectOptions())


def find_sources(
    image: "xr.Dataset", *, detect: DetectOptions | None = None, options: ApertureOptions | None = None,
    psf: PsfOptions | None = None,
) -> "dict[str, Table]":  # fmt: skip
    """Find and measure the sources of every band of an integrated dataset, by apertures or by their PSF.

    Parameters
    ----------
    image
        ``image``, ``image_variance``, ``image_quality`` (band, y, x); where present ``noise_correlation``
        and ``wcs``. Not modified.
    options
        Of apertures.
    psf
        Fits the PSF, where it is given, instead of apertures; for crowded fields.

    Returns
    -------
    dict
        Band to table (see `photometry.steps.measure_bands`, `photometry.psfsteps`);
        bands without a star are not in it.

    Raises
    ------
    OptionError
        If `options` and `psf` are both given.
    """
    if psf is not None and options is not None:
        raise OptionError(
            "are of apertures, and with `psf` none are used.", where="find_sources(options=, psf=)",
            remedy="Leave out one or the other; sky annulus, radius and least S/N of fits are in PsfOptions.",
        )  # fmt: skip
    found = {str(name): _measured(image, "band", k, detect) for k, name in enumerate(image["band"].values)}
    seen = {name: one for name, one in found.items() if one.stars.size and np.isfinite(one.fwhm)}
    stars = {name: one.stars for name, one in seen.items()}
    fwhm = {name: one.fwhm for name, one in seen.items()}
    if psf is None:
        return measure_bands(image, stars, fwhm, options=options or ApertureOptions())
    sky_map = sky_mapper(min(fwhm.values(), default=float("nan")))
    results = measure_psf_bands(image, stars, fwhm, sky_map=sky_map, options=psf)
    return {name: result.table for name, result in results.items()}
