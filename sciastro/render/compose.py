"""Compose the bands of a finished image into one picture.

Reads ``image`` (electron / s; dims band, y, x) and, where they exist, ``background_model``, ``coverage``,
``image_quality`` and ``color_gain``. Returns a *new* dataset with ``display`` (y, x, channel), float32,
0 to 1, sRGB-encoded, one or three channels, and the recipe of the picture as JSON in ``attrs["recipe"]``.

Row 0 of ``display`` is the top of the picture: the sky is flipped so that the y of the image grows upward, as
FITS viewers show it (north is up only if it is so in the image). The coordinates ``y`` and ``x`` hold the
pixels of the image that each row and column shows. A picture needs the statistics of the whole image, so
this step computes; it never writes into the science image.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core import vocabulary as v
from sciastro.core.history import inherit, package_version, record
from sciastro.core.options import Options, option
from sciastro.core.quality import Quality
from sciastro.core.vocabulary import DISPLAY, IMAGE, labeled, require
from sciastro.errors import DatasetError
from sciastro.render.background import BACKGROUND_MODEL
from sciastro.render.bands import Palette, choose_palette
from sciastro.render.color import (
    fit_gamut,
    mean_light,
    quiet_noise,
    remove_green,
    saturate,
    sky_level,
    star_white,
    strongest,
)
from sciastro.render.frame import covered, crop_box, fill_missing
from sciastro.render.screen import Look, choose_stretch

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ComposeOptions", "compose", "picture_recipe"]

Plane = npt.NDArray[np.float32]
ROWS = 64  # worked on at a time: the block stays in the cache, the result does not depend on it
PEDESTAL = 6.0  # sigma of the sky kept below it, so that the stretch chooses the black point, not the clip


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeOptions(Options):
    """How a picture is made from the bands."""

    palette: str = option(
        "auto",
        "Which bands give which color.",
        choices=("auto", "rgb", "sho", "hoo", "bicolor", "gray"),
    )
    custom: str = option(
        "", "Three bands for red, green and blue, such as 'Ha,OIII,OIII'; wins over palette."
    )
    stretch: str = option(
        "stf", "Automatic screen transfer function, or arcsinh.", choices=("stf", "arcsinh")
    )
    linked: bool = option(True, "One stretch for all channels; otherwise one each, which loses the color.")
    target: float = option(0.15, "Brightness of the sky in the picture.", low=0.02, high=0.5)
    shadows: float = option(-2.8, "Black point, in sigma from the sky.", unit="sigma", low=-10.0, high=0.0)
    white_percentile: float = option(
        99.98,
        "Brightness that becomes white, as a percentile of the pixels.",
        unit="percent",
        low=90.0,
        high=100.0,
    )
    neutral_sky: bool = option(True, "Make the sky gray.")
    star_color: float = option(
        0.7, "How much the color of bright pixels is protected from the stretch.", low=0.0, high=1.0
    )
    saturation: float = option(1.15, "Factor on the strength of colors.", low=0.0, high=4.0)
    chroma_smoothing: float = option(
        0.9, "How much color noise of faint pixels is smoothed.", low=0.0, high=1.0
    )
    chroma_radius: float = option(4.0, "Radius of that smoothing.", unit="pixel", low=0.5, high=50.0)
    noise_smoothing: float = option(
        0.5, "How much brightness noise of faint pixels is smoothed.", low=0.0, high=1.0
    )
    green_removal: float = option(0.0, "Amount of green removal (average neutral).", low=0.0, high=1.0)
    crop: float = option(
        0.9,
        "Cut borders until this share of each border line is well covered; 0 keeps all.",
        low=0.0,
        high=1.0,
    )
    min_coverage: float = option(
        0.5, "Share of the typical coverage that counts as well covered.", low=0.0, high=1.0
    )

    def look(self) -> Look:
        """Return what the stretch needs to know."""
        return Look(
            stretch=self.stretch,
            linked=self.linked,
            target=self.target,
            shadows=self.shadows,
            star_color=self.star_color,
        )


DEFAULTS = ComposeOptions()


def compose(ds: "xr.Dataset", *, options: ComposeOptions = DEFAULTS) -> "xr.Dataset":
    """Compose a picture from the bands of an integrated image.

    Parameters
    ----------
    ds
        ``image`` [electron / s, (band, y, x)], NaN is missing; optional ``background_model`` (same unit and
        dims, subtracted), ``coverage``, ``image_quality``, ``color_gain`` [1, (band)]. Not modified.
    options
        See `ComposeOptions`.

    Returns
    -------
    Dataset
        A new one: ``display`` [1, (y, x, channel)] with coordinates ``y``, ``x`` (pixels of the image), and
        the recipe in ``attrs["recipe"]`` (see `picture_recipe`).

    Raises
    ------
    DatasetError
        If ``image`` is missing, has other dims or units, or holds no pixel at all.
    OptionError
        If the palette asks for bands that are not there.
    """
    import xarray as xr

    require(ds, IMAGE)
    optional = (v.BACKGROUND_MODEL, v.COVERAGE, v.IMAGE_QUALITY, v.COLOR_GAIN)
    require(ds, *(spec for spec in optional if spec.name in ds.variables))
    bands = [str(band) for band in ds["band"].values] if "band" in ds.coords else _numbered(ds.sizes["band"])
    palette = choose_palette(bands, options.palette, options.custom)
    shown = [band for band in bands if band not in palette.left_out]
    index = [bands.index(band) for band in shown]
    planes = _planes(ds, index)
    if not np.isfinite(planes).any():
        raise DatasetError(
            "holds no pixel.", where="variable 'image'", remedy="Check which frames were stacked."
        )
    rows, columns = _visible(ds, planes, index, options)
    planes = planes[:, rows, columns]
    recipe = _recipe_head(options, palette, rows, columns)
    cube, light = _linear(planes, shown, palette, _gains(ds, index), options, recipe, _matrix(ds, shown))
    saturated = _saturated(ds, index, rows, columns)
    display = _stretched(cube, light, saturated, options, recipe)
    out = xr.Dataset(
        {"display": labeled(DISPLAY, np.ascontiguousarray(display[::-1]))},
        coords={
            "y": labeled(v.PIXEL_Y, np.arange(rows.start, rows.stop)[::-1]),
            "x": labeled(v.PIXEL_X, np.arange(columns.start, columns.stop)),
            "channel": labeled(v.CHANNEL, ["gray"] if display.shape[2] == 1 else ["red", "green", "blue"]),
        },
        attrs={"recipe": json.dumps(recipe, sort_keys=True)},
    )
    return record(inherit(out, ds), "render.compose", options)


def picture_recipe(picture: "xr.Dataset") -> dict[str, Any]:
    """Return how `picture` (made by `compose`) came about, as plain values to be kept beside the file.

    Raises
    ------
    DatasetError
        If it has no recipe.
    """
    if "recipe" not in picture.attrs:
        raise DatasetError(
            "has no attribute 'recipe'.", where="picture", remedy="Make it with `render.compose`."
        )
    recipe: dict[str, Any] = json.loads(picture.attrs["recipe"])
    return recipe


def _numbered(count: int) -> list[str]:
    return [str(k) for k in range(count)]


def _planes(ds: "xr.Dataset", index: list[int]) -> Plane:
    out = np.empty((len(index), ds.sizes["y"], ds.sizes["x"]), np.float32)
    for i, k in enumerate(index):
        out[i] = ds["image"].isel(band=k).values
        if BACKGROUND_MODEL in ds:
            out[i] -= ds[BACKGROUND_MODEL].isel(band=k).values
    out[~np.isfinite(out)] = np.nan
    return out


def _visible(
    ds: "xr.Dataset", planes: Plane, index: list[int], options: ComposeOptions
) -> tuple[slice, slice]:
    coverage = np.asarray(ds["coverage"].isel(band=index).values) if "coverage" in ds else None
    return crop_box(covered(planes, coverage, options.min_coverage), options.crop)


def _gains(ds: "xr.Dataset", index: list[int]) -> npt.NDArray[np.float64] | None:
    """Return the color gains of the bands shown, None where any is unknown."""
    if "color_gain" not in ds:
        return None
    gain = np.asarray(ds["color_gain"].values, dtype=np.float64)[index]
    return gain if np.all(np.isfinite(gain) & (gain > 0)) else None


def _matrix(ds: "xr.Dataset", shown: list[str]) -> npt.NDArray[np.float64] | None:
    """Return the color matrix that the gains come with, for the bands shown; None without one."""
    text = ds["color_gain"].attrs.get("matrix", "") if "color_gain" in ds else ""
    told = json.loads(text) if text else {}
    if not told or list(told["bands"]) != shown[:3] or len(shown) < 3:
        return None
    return np.array(told["matrix"], dtype=np.float64)


def _saturated(
    ds: "xr.Dataset", index: list[int], rows: slice, columns: slice
) -> npt.NDArray[np.bool_] | None:
    if "image_quality" not in ds:
        return None
    quality = np.asarray(ds["image_quality"].isel(band=index, y=rows, x=columns).values)
    return np.asarray(((quality & int(Quality.SATURATED)) != 0).any(axis=0))


def _recipe_head(options: ComposeOptions, palette: Palette, rows: slice, columns: slice) -> dict[str, Any]:
    return {
        "schema": 1,
        "made_by": f"sciastro {package_version()}",
        "step": "render.compose",
        "options": options.as_dict(),
        "palette": palette.name,
        "channels": [list(channel) for channel in palette.channels],
        "luminance": palette.luminance,
        "left_out": list(palette.left_out),
        "crop": {"x": [columns.start, columns.stop], "y": [rows.start, rows.stop]},
        "orientation": "row 0 is the top; y of the image grows upward",
        "encoding": "sRGB",
    }


def _linear(
    planes: Plane,
    shown: list[str],
    palette: Palette,
    gains: npt.NDArray[np.float64] | None,
    options: ComposeOptions,
    recipe: dict[str, Any],
    matrix: npt.NDArray[np.float64] | None = None,
) -> tuple[Plane, Plane | None]:
    """Return the balanced linear picture (y, x, channel) with the sky at 0, and the luminance if any."""
    sky = [sky_level(plane) for plane in planes]
    recipe["sky_e_s"] = {band: _plain(level) for band, (level, _) in zip(shown, sky, strict=True)}
    recipe["sky_noise_e_s"] = {band: _plain(noise) for band, (_, noise) in zip(shown, sky, strict=True)}
    gain = np.ones(len(shown)) if gains is None else gains
    filled = {}
    for band, plane, (level, _) in zip(shown, planes, sky, strict=True):
        zero = level if np.isfinite(level) else 0.0
        filled[band] = fill_missing(plane, zero) - np.float32(zero)
    cube = np.zeros((*planes.shape[1:], len(palette.channels)), np.float32)
    for k, channel in enumerate(palette.channels):
        for band in channel:
            cube[:, :, k] += filled[band] * np.float32(gain[shown.index(band)] / len(channel))
    if cube.shape[2] == 3:
        noise = [sky_level(cube[:, :, k])[1] for k in range(3)]
        factors = np.ones(3) if gains is not None else star_white(cube, noise)
        recipe["white_balance"] = {
            "source": "color_gain" if gains is not None else "assumed: the typical bright pixel is white",
            "gain": [float(g) for g in gain] if gains is not None else [float(f) for f in factors],
        }
        cube *= factors.astype(np.float32)
        if matrix is not None and gains is not None:
            cube = np.asarray(cube @ matrix.T.astype(np.float32), dtype=np.float32)
            recipe["white_balance"]["matrix"] = matrix.tolist()
        if not options.neutral_sky:  # give every channel the sky it had, as a color
            tint = np.array(
                [
                    np.mean([sky[shown.index(b)][0] * gain[shown.index(b)] for b in ch])
                    for ch in palette.channels
                ]
            )
            cube += ((tint - tint.min()) * factors).astype(np.float32)
    light = None
    if palette.luminance and cube.shape[2] == 3:
        light = filled[palette.luminance]
    return cube, light


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _stretched(
    cube: Plane,
    light: Plane | None,
    saturated: npt.NDArray[np.bool_] | None,
    options: ComposeOptions,
    recipe: dict[str, Any],
) -> Plane:
    """Return the picture as the screen shows it, row 0 still the first row of the image."""
    if light is not None:
        cube = _with_luminance(cube, light)
    mean = mean_light(cube)
    _, noise = sky_level(mean)
    noise = noise if np.isfinite(noise) and noise > 0 else 1e-6 * max(float(np.abs(mean).max()), 1e-12)
    white = max(float(np.percentile(mean[:: _stride(mean)], options.white_percentile)), 20 * noise)
    pedestal = np.float32(PEDESTAL * noise)
    span = np.float32(white) + pedestal
    recipe["range"] = {"black_e_s": -float(pedestal), "white_e_s": white, "sky_noise_e_s": noise}
    base = np.clip((mean + pedestal) / span, 0, 1)  # with its noise: smoothing must not invite more stretch
    cube = quiet_noise(
        cube, color=options.chroma_smoothing, light=options.noise_smoothing, radius=options.chroma_radius
    )
    cube = remove_green(cube, options.green_removal)
    if saturated is not None and saturated.any() and cube.shape[2] == 3:
        cube = _whiten(cube, saturated)
    stretch, recipe["stretch"] = choose_stretch(cube, base, pedestal, span, options.look())
    out = np.empty_like(cube)
    for first in range(0, cube.shape[0], ROWS):  # blocks that fit the cache, with small temporaries
        rows = slice(first, first + ROWS)
        out[rows] = fit_gamut(saturate(stretch((cube[rows] + pedestal) / span), options.saturation))
    return out


def _stride(plane: Plane) -> int:
    return max(1, int(plane.size) // 4_000_000)


def _whiten(cube: Plane, saturated: npt.NDArray[np.bool_]) -> Plane:
    """Return `cube` with saturated cores gray: their channels no longer tell a color. Feathered."""
    from scipy import ndimage

    soft = ndimage.gaussian_filter(saturated.astype(np.float32), 1.0, truncate=3.0)[:, :, None]
    peak = strongest(cube)[:, :, None]
    return np.asarray(cube + np.minimum(1, 2 * soft) * (peak - cube), dtype=np.float32)


def _with_luminance(cube: Plane, light: Plane) -> Plane:
    """Return the colors of `cube` with the brightness of `light`, scaled to the brightness of the colors.

    Both have the sky at 0; the scale is the ratio of their bright parts. A pedestal of 4 sigma of the color
    brightness keeps the ratio finite in the sky.
    """
    mean = mean_light(cube)
    _, noise = sky_level(mean)
    _, light_noise = sky_level(light)
    both = (mean > 8 * noise) & (light > 8 * light_noise)
    if both.any():
        scale = float(np.median(mean[both] / light[both]))
    else:
        scale = noise / max(light_noise, 1e-12)
    pedestal = np.float32(4 * max(noise, 1e-12))
    target = light * np.float32(scale) + pedestal
    ratio = np.clip(target, 0, None) / np.maximum(mean + pedestal, np.float32(0.25) * pedestal)
    return np.asarray((cube + pedestal) * ratio[:, :, None] - pedestal, dtype=np.float32)
