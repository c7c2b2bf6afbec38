"""Pictures: one per set of bands, from the linear image, with the recipe that made it beside it."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sciastro.core import vocabulary as v
from sciastro.core.vocabulary import labeled
from sciastro.errors import SciastroError
from sciastro.io.raster import write_png
from sciastro.photometry.colorresult import ColorCalibration
from sciastro.recipe.context import Context
from sciastro.recipe.finishing import Finished
from sciastro.recipe.plan import Recipe
from sciastro.recipe.stacked import Stacked
from sciastro.render.background import BackgroundOptions, flatten
from sciastro.render.compose import ComposeOptions, compose, picture_recipe

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["matrix_text", "render_set", "write_picture"]

log = logging.getLogger(__name__)

BYTES = 90  # per pixel and band that composing takes at its peak


def render_set(
    stacked: Sequence[Stacked], finished: Sequence[Finished], recipe: Recipe, context: Context
) -> list[str]:
    """Write the picture of one set; return the paths relative to the output folder.

    A picture that cannot be made costs a warning, never the science.
    """
    height, width = stacked[0].arrays.image.shape
    step = 1
    while (
        BYTES * len(stacked) * (height // step) * (width // step) > max(context.memory - 600 * 10**6, 10**8)
        and step < 8
    ):
        step *= 2
    ds = _picture_input(stacked, finished, step)
    folder = context.out / "renders"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{stacked[0].stem}.png"
    try:
        write_picture(
            ds, folder / name, recipe, title=stacked[0].target, top_down=stacked[0].top_down, binned=step
        )
    except SciastroError as error:
        context.warn(f"{stacked[0].stem}: no picture: {error}")
        return []
    return [f"renders/{name}"]


def write_picture(
    ds: "xr.Dataset", path: Path, recipe: Recipe, *, title: str, top_down: bool, binned: int = 1
) -> None:
    """Compose bands of an image into a picture and write it, with its recipe beside it.

    Raises
    ------
    SciastroError
        If the bands make no picture, or it cannot be written.
    """
    picture = compose(flatten(ds, options=recipe.of(BackgroundOptions)), options=recipe.of(ComposeOptions))
    turned = {}
    if top_down:  # else the sky would be shown mirrored, and a phone's landscape above it
        picture = picture.isel(y=slice(None, None, -1))
        turned = {"orientation": "row 0 is the top; y of the image grows downward, as the frames were stored"}
    how: Mapping[str, object] = {
        **picture_recipe(picture),
        **turned,
        "binned": binned,
        "bands": [str(band) for band in ds["band"].values],
    }
    write_png(path, picture, recipe=how, text={"Title": title, "Software": "sciastro"})


def _picture_input(stacked: Sequence[Stacked], finished: Sequence[Finished], step: int) -> "xr.Dataset":
    import xarray as xr

    def planes(name: str) -> np.ndarray:
        return np.stack([_binned(getattr(one.arrays, name), step) for one in stacked])

    gains, errors = [], []
    for one in finished:
        found = one.gains if one.in_picture else None
        gains.append(found.gains[one.color_index] if found is not None else np.nan)
        errors.append(found.errors[one.color_index] if found is not None else np.nan)
    ds = xr.Dataset(
        {
            "image": labeled(v.IMAGE, planes("image")),
            "image_quality": labeled(v.IMAGE_QUALITY, planes("quality")),
            "coverage": labeled(v.COVERAGE, planes("coverage")),
            "color_gain": labeled(v.COLOR_GAIN, np.array(gains)),
            "color_gain_err": labeled(v.COLOR_GAIN_ERR, np.array(errors)),
        },
        coords={"band": [one.band for one in stacked]},
    )
    shown = next((one.gains for one in finished if one.in_picture), None)
    ds["color_gain"].attrs["matrix"] = matrix_text(shown)
    return ds


def matrix_text(calibration: ColorCalibration | None) -> str:
    """Return the matrix of a calibration as JSON for the picture; empty without one."""
    if calibration is None or calibration.matrix is None:
        return ""
    return json.dumps({"bands": calibration.bands, "matrix": calibration.matrix})


def _binned(plane: np.ndarray, step: int) -> np.ndarray:
    """Return the mean of step x step blocks (the OR of bits)."""
    if step == 1:
        return plane
    height, width = plane.shape[0] // step, plane.shape[1] // step
    blocks = plane[: height * step, : width * step].reshape(height, step, width, step)
    if plane.dtype.kind in "iu":
        return np.asarray(np.bitwise_or.reduce(np.bitwise_or.reduce(blocks, axis=3), axis=1))
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))
