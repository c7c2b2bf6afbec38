"""The accessor ``ds.sky``: world coordinates, cutouts, FITS files, plots and quality bits of a dataset.

It holds no state: every answer is made from the dataset at the moment of asking. Importing this module
registers it; ``sciastro.open`` and ``engine="sciastro"`` do so.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from astropy import units as u
from astropy.wcs import WCS

from sciastro.core.quality import Quality
from sciastro.core.wcs import pixel_scale, text_to_wcs, wcs_to_text
from sciastro.errors import DatasetError, UsageError
from sciastro.io.paths import safe_name
from sciastro.io.product_facts import frame_facts, image_facts
from sciastro.io.products import write_frame, write_image_product

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

__all__ = ["SkyAccessor"]

_PLANES = (
    ("image", "image_variance", "image_quality", "coverage"),
    ("signal", "variance", "quality"),
    ("raw",),
)


@xr.register_dataset_accessor("sky")  # type: ignore[no-untyped-call]
class SkyAccessor:
    """What an astronomer asks of a dataset; made by xarray as ``ds.sky``."""

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    def wcs(self, band: str | int | None = None, frame: int | None = None) -> WCS:
        """Return the world coordinates.

        Parameters
        ----------
        band
            Allowed for an integrated dataset, whose bands share one grid; checked and otherwise unused.
        frame
            Number of the frame, for a dataset with one WCS per frame; may be left out if there is one frame.

        Raises
        ------
        DatasetError
            If the dataset, or the frame, has no WCS.
        UsageError
            If the frame must be named and is not.
        """
        if "wcs" not in self._ds.variables:
            raise DatasetError("is missing.", where="variable 'wcs'", remedy="Solve the image first.")
        if band is not None:
            self._index("band", band)
        texts = self._ds["wcs"]
        if "frame" in texts.dims:
            if frame is None and texts.sizes["frame"] != 1:
                raise UsageError(
                    f"holds {texts.sizes['frame']} frames, each with its own coordinates.",
                    where="ds.sky.wcs",
                    remedy="Name one: ds.sky.wcs(frame=0).",
                )
            texts = texts.isel(frame=self._index("frame", frame or 0))
        text = str(texts.values)
        if not text:
            raise DatasetError("is empty.", where="variable 'wcs'", remedy="Solve the frame first.")
        wcs = text_to_wcs(text)
        wcs.pixel_shape = (self._ds.sizes["x"], self._ds.sizes["y"])
        return wcs

    def _index(self, dim: str, which: str | int) -> int:
        if isinstance(which, str):
            names = [str(name) for name in self._ds[dim].values] if dim in self._ds.coords else []
            if which not in names:
                raise UsageError(
                    f"has no {dim} {which!r}.", where="dataset", remedy=f"It has: {', '.join(names)}."
                )
            return names.index(which)
        if not -self._ds.sizes.get(dim, 0) <= which < self._ds.sizes.get(dim, 0):
            raise UsageError(
                f"has no {dim} number {which}.",
                where="dataset",
                remedy=f"It has {self._ds.sizes.get(dim, 0)}, counted from 0.",
            )
        return which

    def _planes(self) -> tuple[str, ...]:
        for names in _PLANES:
            if names[0] in self._ds.data_vars:
                return names
        raise DatasetError(
            "has neither an image nor a signal.", where="dataset", remedy="Integrate or calibrate first."
        )

    def to_fits(self, path: str | Path, *, compress: bool = False) -> list[Path]:
        """Write one FITS file per band (of an integrated dataset) or per frame (of a calibrated one).

        Parameters
        ----------
        path
            File to write; with several bands or frames, ``_<band>`` or ``_<number>`` goes before the suffix.

        Returns
        -------
        list of Path
            The files written.

        Raises
        ------
        DatasetError
            If there is nothing calibrated to write.
        """
        names, ds, target = self._planes(), self._ds, Path(path)
        if names[0] == "raw" or any(name not in ds.data_vars for name in names[:3]):
            raise DatasetError(
                "has no calibrated pixels with variance and quality.",
                where="dataset",
                remedy="Run `calibrate.correct` first.",
            )
        image = names[0] == "image"
        dim = "band" if image else "frame"
        written = []
        for k in range(ds.sizes[dim]):
            label = safe_name(str(ds["band"].values[k])) if image else f"{k:04d}"
            many = ds.sizes[dim] > 1
            file = target.with_name(f"{target.stem}_{label}{target.suffix}") if many else target
            pixels, variance, quality = (ds[name].isel({dim: k}).values for name in names[:3])
            wcs = self._wcs_text(k)
            if image:
                coverage = ds["coverage"].isel(band=k).values if "coverage" in ds else np.isfinite(pixels)
                write_image_product(
                    file,
                    pixels,
                    variance,
                    quality,
                    coverage,
                    wcs=wcs,
                    facts=image_facts(ds, k),
                    autocorrelation=ds[name].values[k] if (name := "noise_autocorrelation") in ds else None,
                    compress=compress,
                )
            else:
                unit = str(ds["signal"].attrs.get("units", "electron"))
                write_frame(
                    file,
                    pixels,
                    variance,
                    quality,
                    wcs=wcs,
                    facts=frame_facts(ds, k),
                    unit=unit,
                    compress=compress,
                )
            written.append(file)
        return written

    def to_xisf(self, path: str | Path, *, compress: bool = True) -> list[Path]:
        """Write XISF files with the planes and cards that `to_fits` gives to FITS; see there.

        Parameters
        ----------
        path
            File to write; ``.xisf`` is added where it ends otherwise.
        compress
            Pack the pixels (zlib, bytes shuffled).
        """
        target = Path(path)
        target = target if target.suffix.lower() == ".xisf" else target.with_name(f"{target.name}.xisf")
        return self.to_fits(target, compress=compress)

    def _wcs_text(self, k: int) -> str:
        if "wcs" not in self._ds.variables:
            return ""
        texts = self._ds["wcs"]
        return str(texts.isel(frame=k).values if "frame" in texts.dims else texts.values)

    def cutout(self, center: "SkyCoord", size: u.Quantity | float, *, frame: int | None = None) -> xr.Dataset:
        """Return the part of the dataset around a place on the sky, its WCS moved along.

        Parameters
        ----------
        center
            Middle of the cutout.
        size
            Side of the square: an angle, or pixels.
        frame
            For a dataset of frames: the one whose WCS counts; only that frame is returned.

        Raises
        ------
        DatasetError
            If the place is not on the image.
        """
        wcs = self.wcs(frame=frame)
        quantity = u.Quantity(size)
        if quantity.unit.is_equivalent(u.deg):
            side = float(quantity.to_value(u.arcsec)) / pixel_scale(wcs)
        else:
            side = float(quantity.to_value(u.pix) if quantity.unit == u.pix else quantity.value)
        icrs = center.icrs
        x, y = wcs.all_world2pix(icrs.ra.deg, icrs.dec.deg, 0, quiet=True)
        box = []
        for value, dim in ((float(y), "y"), (float(x), "x")):
            length = self._ds.sizes[dim]
            if not -0.5 <= value < length - 0.5:
                raise DatasetError(
                    f"lies at {dim} = {value:.1f}, beyond the {length} pixels of the image.",
                    where=f"position {icrs.to_string('hmsdms')}",
                    remedy="Choose a place inside `ds.sky.wcs().calc_footprint()`.",
                )
            first = round(value - (side - 1) / 2)
            last = first + max(round(side), 1)
            box.append((max(first, 0), min(last, length)))
        part = self._ds.isel(y=slice(*box[0]), x=slice(*box[1]))
        moved = wcs[box[0][0] : box[0][1], box[1][0] : box[1][1]]
        text = wcs_to_text(moved)
        if "frame" not in self._ds["wcs"].dims:
            return part.assign_coords(wcs=text)
        k = self._index("frame", frame or 0)
        return part.isel(frame=[k]).assign_coords(wcs=("frame", [text]))

    def plot(self, band: str | int = 0, *, frame: int = 0, ax: Any = None, cmap: str = "gray") -> Any:
        """Draw a band or a frame with sky coordinates on its axes; returns the axes.

        Parameters
        ----------
        band, frame
            Which one; `band` for an integrated dataset, `frame` for frames.
        ax
            Axes to draw on; None makes new ones, with the WCS where there is one.
        """
        from matplotlib import pyplot as plt

        name = self._planes()[0]
        image = name == "image"
        k = self._index("band", band) if image else self._index("frame", frame)
        pixels = self._ds[name].isel({"band" if image else "frame": k}).values
        if ax is None:
            text = self._wcs_text(k)
            keywords = {"projection": text_to_wcs(text)} if text else {}
            ax = plt.figure().add_subplot(111, **keywords)
        low, high = np.nanpercentile(pixels, [1, 99.7]) if np.isfinite(pixels).any() else (0, 1)
        drawn = ax.imshow(pixels, origin="lower", cmap=cmap, vmin=low, vmax=high)
        unit = self._ds[name].attrs.get("units", "")
        ax.figure.colorbar(drawn, ax=ax, label=f"{name} [{unit}]" if unit else name)
        return ax

    def decode_quality(self, variable: str | None = None) -> xr.Dataset:
        """Return one boolean variable per quality bit, by name; lazy stays lazy.

        Parameters
        ----------
        variable
            Plane of bits; None takes ``image_quality`` or ``quality``.

        Raises
        ------
        DatasetError
            If there is no such plane.
        """
        names = [variable] if variable else ["image_quality", "quality"]
        found = next((name for name in names if name in self._ds.variables), None)
        if found is None:
            raise DatasetError(
                "is missing.", where=f"variable '{names[0]}'", remedy="Calibrate or integrate first."
            )
        bits = self._ds[found]
        return xr.Dataset(
            {str(bit.name): ((bits & int(bit)) != 0).assign_attrs(units="1") for bit in Quality}
        )
