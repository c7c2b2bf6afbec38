"""Grade a registered set, band by band: transparency, weight, and the reason of what is left out."""

from collections.abc import Mapping, Sequence

import numpy as np

from sciastro.integrate.grade import GradeOptions
from sciastro.integrate.normalize import transparency
from sciastro.recipe.context import Context
from sciastro.recipe.lights import Light, StackSet, bands_of
from sciastro.recipe.panelgrades import grades, panel_transparencies
from sciastro.recipe.plan import Recipe
from sciastro.recipe.setreference import choose_reference

__all__ = ["grade_set", "settle_uses", "transparencies"]


def grade_set(members: StackSet, recipe: Recipe, context: Context) -> None:
    """Measure transparencies and grade the frames of a set, band by band; a mosaic has several bands.

    A frame is used where it has weight in any band; of several reasons the first one stays.
    """
    fit = [light for light in members.lights if light.from_reference is not None and not light.reason]
    reasons: dict[str, str] = {}
    for band in members.bands:
        lights = [light for light in fit if band in bands_of(light.facts)]
        if not lights:
            continue
        base = members.bases[band] = choose_reference(lights)[0]
        if len({light.panel for light in lights}) > 1:
            panel_transparencies(lights, base, context, f"{members.stem} {band}")
        else:
            transparencies(lights, base)
        weight, reason = grades(lights, band, members.target, recipe.of(GradeOptions))
        for i, light in enumerate(lights):
            light.weights[band] = float(weight[i])
            reasons[light.name] = reasons.get(light.name) or reason[i]
        best = max(lights, key=lambda light: light.weights[band])
        if np.isfinite(best.transparency) and best.transparency > 0:
            scale = best.transparency
            for light in lights:
                light.transparency /= scale
    settle_uses(fit, reasons, context)


def settle_uses(lights: Sequence[Light], reasons: Mapping[str, str], context: Context) -> None:
    """Use lights that have weight in any band; `reasons`, by name, say why one is left out of some or all."""
    for light in lights:
        light.use = any(weight > 0 for weight in light.weights.values())
        light.reason = reasons.get(light.name, "")
        if light.reason and light.use:
            context.warn(f"{light.name}: {light.reason}")


def transparencies(lights: Sequence[Light], base: Light) -> None:
    """Set the transparency of registered lights relative to `base`."""
    for light in lights:
        _, mine, theirs = np.intersect1d(light.star_pairs[0], base.star_pairs[0], return_indices=True)
        ratio, _, n = transparency(
            light.measures.stars, light.star_pairs[1][mine],
            base.measures.stars, base.star_pairs[1][theirs],
            light.facts.exposure or 1.0, base.facts.exposure or 1.0,
        )  # fmt: skip
        light.transparency = ratio if n else float("nan")
