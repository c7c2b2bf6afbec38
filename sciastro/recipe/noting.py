"""Write what registration found of every frame: its own WCS and its facts, while the stack is made.

The stack needs none of it, and working it out is Python, which would keep all processors but one waiting.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sciastro.astrometry.solve import Solution
from sciastro.recipe.aligning import frame_coordinates
from sciastro.recipe.context import Context
from sciastro.recipe.keeping import store_facts
from sciastro.recipe.lights import Light, StackSet
from sciastro.recipe.ownplaces import set_right
from sciastro.recipe.plan import Recipe
from sciastro.recipe.setsolving import SkyHint

__all__ = ["MANY", "Registered", "noting"]

MANY = 200  # lights whose star lists are too large to be kept until they are noted


@dataclass(frozen=True, slots=True)
class Registered:
    """A set whose frames lie on its reference.

    Attributes
    ----------
    members, step
        The set, and how many raw pixels make one of its grid.
    carried
        Solution of the reference, from which each frame gets its WCS; None where they have theirs.
    solution
        What their WCS are compared with.
    """

    members: StackSet
    step: int
    carried: Solution | None
    solution: Solution | None


def noting(
    registered: Sequence[Registered], lights: Sequence[Light], store: Path, hint: SkyHint, recipe: Recipe,
    context: Context,
) -> Callable[[], None]:  # fmt: skip
    """Return the work that is left: to be called once, on any thread.

    Parameters
    ----------
    registered
        Sets whose frames get a WCS of their own.
    lights
        All that are in `store`, written as they are graded now: stacking may leave out more, and drops their
        star lists.
    """
    graded = {id(light): replace(light) for light in lights}

    def work() -> None:
        for one in registered:
            members = _as_graded(one.members, graded)
            if one.carried is not None:
                frame_coordinates(members, one.carried, context, one.step)
            set_right(members, one.solution, hint, context, one.step)
        for light in lights:
            light.wcs = graded[id(light)].wcs
        store_facts(store, list(graded.values()), recipe)

    return work


def _as_graded(members: StackSet, graded: dict[int, Light]) -> StackSet:
    reference = members.reference
    if reference is not None:
        reference = graded.get(id(reference), reference)
    return replace(
        members, lights=[graded.get(id(light), light) for light in members.lights], reference=reference
    )
