"""Have memory ready for the stack before it begins."""

import numpy as np

from sciastro.core import transform
from sciastro.core.scratch import lend_ahead
from sciastro.errors import OptionError
from sciastro.integrate.drizzle import DrizzleOptions
from sciastro.integrate.grid import plan_tiles
from sciastro.integrate.options import StackOptions
from sciastro.integrate.reject import rim_of
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.context import Context, return_free_memory
from sciastro.recipe.lights import StackSet
from sciastro.recipe.plan import Recipe

__all__ = ["prepare_memory"]

PLANE_BYTES = (4, 4, 4, 2, 2, 2)  # per pixel: image, variance, coverage, quality, two counts
SAMPLE_BYTES = (4, 4, 2)  # signal, variance, quality


def prepare_memory(members: StackSet, calibrator: Calibrator, recipe: Recipe, context: Context) -> None:
    """Have the system clear the memory of a plain stack while registration leaves processors idle."""
    options, lights = recipe.of(StackOptions), [light for light in members.lights if light.measured]
    if not lights or context.cluster is not None or recipe.of(DrizzleOptions).enabled:
        return
    shape = calibrator.grid_shape(lights[0])
    return_free_memory()
    sizes, rim = [shape[0] * shape[1] * byte for byte in PLANE_BYTES], rim_of(options, len(lights))
    maps = np.repeat(transform.identity(1)[None], len(lights), axis=0)
    try:
        plan = plan_tiles(
            shape, maps, shape, calibrator.memory_left(shape), context.workers, None, False, rim
        )  # fmt: skip
    except OptionError:
        return  # the stack itself will say so
    around = 2 * rim
    pixels = max((tile.shape[0] + around) * (tile.shape[1] + around) for row in plan for tile in row)
    sizes += context.workers * [len(lights) * pixels * byte for byte in SAMPLE_BYTES]
    lend_ahead(sizes)
