"""What brings the lights of a band to the sky level and transparency of one of them."""

import numpy as np
import numpy.typing as npt

from sciastro.errors import DatasetError
from sciastro.integrate.canvas import Canvas
from sciastro.integrate.drizzle import on_canvas
from sciastro.integrate.normalize import NormalizeOptions, Terms, between, terms
from sciastro.integrate.options import StackOptions
from sciastro.recipe.lights import Light

__all__ = ["other_terms", "terms_of"]

Floats = npt.NDArray[np.float64]


def other_terms(
    lights: list[Light], band: str, first: Light, options: StackOptions, own: Terms, canvas: Canvas, cell: int
) -> Floats | None:
    """Return what brings values to the normalization in which outliers are looked for; None for the same."""
    if not options.rejects_otherwise:
        return None
    flux = options.pixels_hold == "flux"
    found = terms_of(lights, band, first, options.reject_normalize, options.reject_scale)
    second = on_canvas(found, canvas, holds_flux=flux, cell=cell)
    return between(own, second, 1 / canvas.scale**2 if flux else 1.0)


def _sensitivity(light: Light, band: str, source: str) -> float:
    """Return what the multiplicative part of a normalization makes equal, as a rate."""
    if source == "stars":
        return light.transparency
    measured, seconds = light.measures, light.facts.exposure or 1.0
    if source != "noise" and source not in measured.scales.get(band, {}):
        raise DatasetError(
            f"has no scale '{source}'; it was measured for another recipe.",
            where=light.name,
            remedy="Reduce all nights anew, or leave `stack.scale` as it was.",
        )
    return (measured.noise[band] if source == "noise" else measured.scales[band][source]) / seconds


def terms_of(lights: list[Light], band: str, first: Light, mode: str, source: str) -> Terms:
    """Return the terms that bring `lights` to the level of `first`, which may be none of them."""
    known = [*lights, first]
    seconds = np.array([light.facts.exposure for light in known], dtype=np.float64)
    found = terms(
        seconds,
        np.array([light.measures.sky[band] for light in known]) / seconds,
        np.array([_sensitivity(light, band, source) for light in known]),
        reference=len(lights),
        options=NormalizeOptions(mode=mode),
    )
    return Terms(found.scale[:-1], found.pedestal[:-1], found.offset[:-1])
