"""sciastro: from a raw astrophotography night to calibrated science and a picture.

Public names load on first use (PEP 562), so that ``import sciastro`` costs next to nothing.
"""

import importlib
from typing import Any

__all__ = [
    "Quality",
    "SciastroError",
    "align",
    "compose",
    "correct",
    "debayer",
    "examine",
    "grade",
    "load_recipe",
    "measure",
    "open",
    "reduce_session",
    "stack",
]

_HOMES = {
    "Quality": "sciastro.core.quality",
    "SciastroError": "sciastro.errors",
    "compose": "sciastro.render.compose",
    "correct": "sciastro.calibrate.correct",
    "debayer": "sciastro.calibrate.debayer",
    "examine": "sciastro.recipe.run",
    "grade": "sciastro.integrate.grade",
    "load_recipe": "sciastro.recipe.plan",
    "measure": "sciastro.measure.frames",
    "open": "sciastro.io.opening",
    "reduce_session": "sciastro.recipe.run",
    "stack": "sciastro.integrate.stack",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'sciastro' has no attribute '{name}'")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*globals(), *_HOMES])
