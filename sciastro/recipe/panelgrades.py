"""Grades and transparencies of lights, panel by panel where a set is a mosaic."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import FLUX_UNKNOWN
from sciastro.integrate.grade import GradeOptions, grade_facts
from sciastro.integrate.overlap import gains
from sciastro.integrate.weights import LEAST
from sciastro.recipe.context import Context
from sciastro.recipe.lights import Light
from sciastro.recipe.quality import group_facts

__all__ = ["grades", "panel_transparencies"]

BRIGHT = 15.0  # S/N from which a star tells the transparency


def grades(
    lights: Sequence[Light], band: str, target: str, options: GradeOptions
) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Return weights and reasons; panels of a mosaic are judged each by its own, and weighed together."""
    facts = group_facts(lights, band, target)
    panels = sorted({light.panel for light in lights})
    if len(panels) < 2:
        graded = grade_facts(facts, options=options)
        return graded.weight, list(graded.reason)
    together = grade_facts(facts, options=replace(options, reject=False, select="")).weight
    weight, reason = np.zeros(len(lights)), [""] * len(lights)
    for panel in panels:
        members = np.flatnonzero([light.panel == panel for light in lights])
        graded = grade_facts(facts.of(members), options=options)
        weight[members] = np.where(graded.use, np.maximum(together[members], LEAST), 0.0)
        for i, why in zip(members, graded.reason, strict=True):
            reason[i] = why
    return weight, reason


def panel_transparencies(lights: Sequence[Light], base: Light, context: Context, name: str) -> None:
    """Set the transparency of a mosaic's lights relative to `base` from all stars in common, at once."""
    frame, star, flux, error = [], [], [], []
    for i, light in enumerate(lights):
        stars = light.measures.stars[light.star_pairs[1]]
        fine = ((stars["quality"] & FLUX_UNKNOWN) == 0) & (stars["snr"] > BRIGHT)
        seconds = light.facts.exposure or 1.0
        frame.append(np.full(int(fine.sum()), i))
        star.append(light.star_pairs[0][fine])
        flux.append(stars["flux"][fine].astype(np.float64) / seconds)
        error.append(stars["flux_err"][fine].astype(np.float64) / seconds)
    anchor = next(i for i, light in enumerate(lights) if light is base)
    gain, group = gains(
        np.concatenate(frame), np.concatenate(star), np.concatenate(flux), np.concatenate(error), len(lights),
        anchor=anchor,
    )  # fmt: skip
    for light, one in zip(lights, gain, strict=True):
        light.transparency = float(one)
    if len(set(group)) > 1:
        context.warn(
            f"{name}: panels without stars in common keep their own brightness; star fluxes of one cannot be "
            "compared with those of the other"
        )
