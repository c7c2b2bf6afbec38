"""The frames of a finished run, calibrated again one at a time from ``frames.h5`` and ``masters/``.

What needs the pixels of single frames after a run (movers, light curves) takes them from here. Facts, maps
and world coordinates are those that the run stored; each night that was added has its own store.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.correct import CorrectOptions, correct
from sciastro.calibrate.debayer import DebayerOptions, band_name, phase_offset, split_window
from sciastro.core.cfa import COLORS, cell_center, cell_side
from sciastro.core.wcs import text_to_wcs
from sciastro.errors import FileError
from sciastro.io.reader import probe
from sciastro.io.store import groups, open_group
from sciastro.recipe.byhand import open_masters
from sciastro.recipe.colors import light_of_cells
from sciastro.recipe.plan import load_recipe

if TYPE_CHECKING:
    import xarray as xr
    from astropy.wcs import WCS

__all__ = ["BandPlane", "NightFrame", "calibrated", "calibrated_bands", "night_stores", "open_night"]

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]

AGAIN = "Run `sciastro reduce` again, with raw pixels in the store (not --raw link)."


@dataclass(frozen=True, slots=True)
class NightFrame:
    """One light frame of a finished run.

    Attributes
    ----------
    name
        Path in the session.
    group, index
        Where its pixels are.
    time
        Middle of the exposure, UTC [s since 1970]; NaN unknown.
    exposure
        [s].
    band, target, cfa
        Filter, target, color filter array ("" mono).
    use
        Whether the run took it.
    transparency
        Of the reference's; NaN unknown.
    wcs
        Header text on the grid of the run; "" unsolved.
    side, first
        A pixel of the plane that `calibrated` gives lies at ``side * x + first`` on that grid.
    reason
        Why the run left it out or weighted it down; "" if neither.
    site
        Latitude, longitude (east) [deg], height [m] (NaN unknown); None unknown.
    telescope
        Diameter [m]; NaN unknown.
    gain_source, binning
        Where gain and read noise come from; such as "1x1". "" in stores of earlier versions.
    """

    name: str
    group: str
    index: int
    time: float
    exposure: float
    band: str
    target: str
    cfa: str
    use: bool
    transparency: float
    wcs: str
    side: float = 1.0
    first: tuple[float, float] = (0.0, 0.0)
    reason: str = ""
    site: tuple[float, float, float] | None = None
    telescope: float = float("nan")
    gain_source: str = ""
    binning: str = ""

    def world(self) -> "WCS":
        """Return its world coordinates; parse them once."""
        return text_to_wcs(self.wcs)

    def to_sky(self, wcs: "WCS", x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return ra, dec [deg] of pixels of the calibrated plane."""
        gx = self.side * np.asarray(x, dtype=np.float64) + self.first[0]
        gy = self.side * np.asarray(y, dtype=np.float64) + self.first[1]
        ra, dec = wcs.all_pix2world(gx, gy, 0)
        return np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)

    def to_pixel(self, wcs: "WCS", ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return pixels of the calibrated plane; NaN where the distortion cannot be undone."""
        x, y = wcs.all_world2pix(np.atleast_1d(ra), np.atleast_1d(dec), 0, quiet=True, maxiter=40)
        return (np.asarray(x) - self.first[0]) / self.side, (np.asarray(y) - self.first[1]) / self.side


def night_stores(out: Path) -> list[Path]:
    """Return the stores of a run, one per night.

    Raises
    ------
    FileError
        If there is none.
    """
    found = [
        out / "frames.h5",
        *sorted(out.glob("frames-*.h5"), key=lambda one: (len(one.name), one.name)),
    ]
    found = [path for path in found if path.is_file()]
    if not found:
        raise FileError(
            "holds no frames.h5.", where=str(out), remedy="Name the folder that `sciastro reduce -o` wrote."
        )
    return found


def open_night(out: Path, store: Path) -> list[NightFrame]:
    """Return the light frames of a night, in order of the store.

    Raises
    ------
    FileError
        If the store cannot be read, holds no pixels, or the run did not come as far as registration.
    """
    names = groups(store)
    if not names:
        raise FileError("holds no raw pixels.", where=str(store), remedy=AGAIN)
    recipe = (
        load_recipe(out / "recipe.toml", []) if (out / "recipe.toml").is_file() else load_recipe(None, [])
    )
    stepped = recipe.of(DebayerOptions).method == "superpixel"
    frames: list[NightFrame] = []
    for name in names:
        ds = open_group(store, name)
        missing = [one for one in ("time", "wcs", "use", "gain", "exposure") if one not in ds.variables]
        if missing:
            raise FileError(
                f"knows no {', '.join(missing)} of its frames.", where=f"{store}:{name}",
                remedy="Run `sciastro reduce` until register, or further.",
            )  # fmt: skip
        frames += _frames(name, ds, stepped=stepped)
        ds.close()
    return frames


def _frames(group: str, ds: "xr.Dataset", *, stepped: bool) -> Iterator[NightFrame]:
    times = ds["time"].values.astype("datetime64[us]")
    for i in range(ds.sizes["frame"]):
        cfa = str(ds["cfa"].values[i]) if "cfa" in ds.variables else ""
        grid: tuple[float, tuple[float, float]] = (1.0, (0.0, 0.0))
        if cfa and not stepped:
            grid = float(cell_side(cfa)), cell_center(cfa)
        yield NightFrame(
            name=str(ds["path"].values[i]), group=group, index=i,
            time=float("nan") if np.isnat(times[i]) else float(times[i].astype(np.int64)) / 1e6,
            exposure=float(ds["exposure"].values[i]), band=str(ds["filter"].values[i]),
            target=str(ds["target"].values[i]), cfa=cfa, use=bool(ds["use"].values[i]),
            transparency=float(ds["transparency"].values[i]), wcs=str(ds["wcs"].values[i]),
            side=grid[0], first=grid[1], reason=_text(ds, "reason", i), site=_site(ds, i),
            telescope=_number(ds, "telescope_aperture", i), gain_source=_text(ds, "gain_source", i),
            binning=_text(ds, "binning", i),
        )  # fmt: skip


def _text(ds: "xr.Dataset", name: str, i: int) -> str:
    return str(ds[name].values[i]) if name in ds.variables else ""


def _number(ds: "xr.Dataset", name: str, i: int) -> float:
    return float(ds[name].values[i]) if name in ds.variables else float("nan")


def _site(ds: "xr.Dataset", i: int) -> tuple[float, float, float] | None:
    place = _number(ds, "site_latitude", i), _number(ds, "site_longitude", i), _number(ds, "site_height", i)
    return place if np.isfinite(place[:2]).all() else None


def calibrated(
    out: Path, store: Path, frames: Sequence[NightFrame]
) -> Iterator[tuple[NightFrame, Plane, Bits]]:
    """Yield each frame with its signal [electron] and quality (y, x); of a mosaic, the light of its cells.

    Frames that share their masters come together, so the order may differ from that of `frames`.

    Raises
    ------
    FileError
        If the pixels or a master cannot be read.
    """
    for one, plane, _, quality, _ in _corrected(out, store, frames):
        if not one.cfa:
            yield one, plane, quality
            continue
        colors, _, bits = split_window(plane, np.empty((0, 0), np.float32), quality, one.cfa)
        light, every = light_of_cells(colors, bits, one.cfa)
        yield one, np.asarray(light, np.float32), np.asarray(every, np.uint16)


@dataclass(frozen=True, slots=True)
class BandPlane:
    """One band of one frame, calibrated.

    Attributes
    ----------
    frame, band
        The frame, and the filter; of a mosaic the color, too ("OSC-R").
    signal, variance, quality
        (y, x) [electron], [electron2], bits. Of a mosaic one pixel per cell, in electrons of a cell whose
        every pixel has the color, so that fluxes are those of the products.
    shift
        (dx, dy): what is at (x, y) of the frame's calibrated plane lies at (x - dx, y - dy) of this one.
    zero
        Whether a bias or dark tells the level of zero light. If not, `variance` counts the camera's offset as
        light.
    """

    frame: NightFrame
    band: str
    signal: Plane
    variance: Plane
    quality: Bits
    shift: tuple[float, float]
    zero: bool = True


def calibrated_bands(out: Path, store: Path, frames: Sequence[NightFrame]) -> Iterator[BandPlane]:
    """Yield each band of each frame with signal, variance and quality; as `calibrated` in all else."""
    for one, signal, variance, quality, zero in _corrected(out, store, frames):
        if not one.cfa:
            yield BandPlane(one, one.band, signal, variance, quality, (0.0, 0.0), zero)
            continue
        planes, noise, bits = split_window(signal, variance, quality, one.cfa)
        area = np.float32(cell_side(one.cfa) ** 2 if one.side > 1 else 1)
        for k, color in enumerate(COLORS):
            yield BandPlane(
                one, band_name(one.band, color), planes[k] * area, noise[k] * area**2, bits[k],
                phase_offset(one.cfa, color), zero,
            )  # fmt: skip


def _corrected(
    out: Path, store: Path, frames: Sequence[NightFrame]
) -> Iterator[tuple[NightFrame, Plane, Plane, Bits, bool]]:
    """Yield each frame with its calibrated signal, variance and quality (y, x), and whether zero is known."""
    masters = _master_files(out, store)
    by_need: dict[tuple[str, str, float], list[NightFrame]] = {}
    for one in frames:
        by_need.setdefault((one.group, one.band, one.exposure), []).append(one)
    recipe = (
        load_recipe(out / "recipe.toml", []) if (out / "recipe.toml").is_file() else load_recipe(None, [])
    )
    options = recipe.of(CorrectOptions)
    for (group, band, exposure), some in by_need.items():
        shape, ds = None, open_group(store, group)
        try:
            shape = (ds.sizes["y"], ds.sizes["x"])
            planes = _masters_for(masters, band, exposure, shape, some[0].cfa)
            zero = planes is not None and ("bias" in planes or "dark" in planes)
            for one in some:
                done = correct(ds.isel(frame=[one.index]), masters=planes, options=options)
                planes_of = (done[name].values[0] for name in ("signal", "variance", "quality"))
                signal, variance, quality = planes_of
                yield (
                    one, np.asarray(signal, np.float32), np.asarray(variance, np.float32),
                    np.asarray(quality, np.uint16), zero,
                )  # fmt: skip
        finally:
            ds.close()


def _master_files(out: Path, store: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Return the masters of a night with their cards."""
    number = store.stem.removeprefix("frames")
    found = []
    for path in sorted((out / f"masters{number}").glob("*.fits")):
        first = probe(path)[0]
        header, shape = first.header, first.shape
        kind = str(header.get("MASTER", ""))
        if kind in ("bias", "dark", "flat"):
            cards = {"kind": kind, "filter": str(header.get("FILTER", "") or "")}
            seconds = header.get("EXPTIME", header.get("EXPOSURE"))
            found.append((path, {**cards, "exposure": float(seconds or "nan"), "shape": shape}))
    return found


def _masters_for(
    every: Sequence[tuple[Path, dict[str, Any]]], band: str, exposure: float, shape: tuple[int, int], cfa: str
) -> "xr.Dataset | None":
    """Return the masters that frames of a filter and exposure are calibrated with; None without any.

    The dark of the nearest exposure; scaled by the exposures where they differ and a bias is there.
    """
    files = [(path, cards) for path, cards in every if cards["shape"] == shape]
    chosen: dict[str, Path] = {}
    darks = [(path, cards) for path, cards in files if cards["kind"] == "dark"]
    if darks:
        chosen["dark"] = min(darks, key=lambda one: (abs(one[1]["exposure"] - exposure), one[0].name))[0]
    bias = next((path for path, cards in files if cards["kind"] == "bias"), None)
    ratio = 1.0
    if "dark" in chosen:
        of_dark = dict(files)[chosen["dark"]]["exposure"]
        ratio = exposure / of_dark if of_dark > 0 and bias is not None else 1.0
    if bias is not None and ("dark" not in chosen or abs(ratio - 1) > 0.01):
        chosen["bias"] = bias
    flats = [(path, cards) for path, cards in files if cards["kind"] == "flat"]
    named = [path for path, cards in flats if cards["filter"] == band]
    if named or len(flats) == 1:
        chosen["flat"] = named[0] if named else flats[0][0]
    if not chosen:
        return None
    planes = open_masters(*chosen.values(), cfa=cfa)
    if "flat" in planes and "band" in planes["flat"].dims:
        planes = planes.isel(band=0, drop=True)
    if "dark" in planes and "bias" in planes:
        scaled = planes["bias"] + np.float32(ratio) * (planes["dark"] - planes["bias"])
        planes = planes.assign(dark=scaled.astype(np.float32).assign_attrs(planes["dark"].attrs))
        planes = planes.drop_vars(["bias", "bias_variance"], errors="ignore")
    return planes
