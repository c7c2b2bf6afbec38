"""sciastro: from a raw astrophotography night to calibrated science and a picture.

Public names load on first use (PEP 562), so that ``import sciastro`` costs next to nothing.
"""

import importlib
from typing import Any

__all__ = [
    "Quality",
    "SciastroError",
    "RunRequest",
    "align",
    "annotate",
    "aperture_photometry",
    "apertures_dataset",
    "bjd_tdb",
    "calibrate_color",
    "calibrate_photometry",
    "calibrate_sources",
    "calibrate_table",
    "collect_masters",
    "compose",
    "cone",
    "correct",
    "debayer",
    "examine",
    "find_sources",
    "fit_extinction",
    "flag_cosmics",
    "flatten",
    "grade",
    "load_recipe",
    "make_master",
    "measure_frames",
    "measure_by_psf",
    "measure_gain",
    "open",
    "open_masters",
    "reduce_session",
    "register",
    "resolve",
    "solve",
    "stack",
    "transform_table",
    "variables",
]

_HOMES = {
    "Quality": "sciastro.core.quality",
    "SciastroError": "sciastro.errors",
    "RunRequest": "sciastro.recipe.request",
    "align": "sciastro.integrate.align",
    "annotate": "sciastro.recipe.annotating:annotate_file",
    "aperture_photometry": "sciastro.recipe.photometry",
    "apertures_dataset": "sciastro.photometry.aperturedim",
    "bjd_tdb": "sciastro.astrometry.timing",
    "calibrate_color": "sciastro.photometry.colorsteps",
    "calibrate_photometry": "sciastro.photometry.steps",
    "calibrate_sources": "sciastro.photometry.calibrating",
    "calibrate_table": "sciastro.photometry.magnitudes",
    "collect_masters": "sciastro.recipe.byhand",
    "compose": "sciastro.render.compose",
    "cone": "sciastro.recipe.catalogs",
    "correct": "sciastro.calibrate.correct",
    "debayer": "sciastro.calibrate.debayer",
    "examine": "sciastro.recipe.run",
    "find_sources": "sciastro.recipe.byhand",
    "fit_extinction": "sciastro.photometry.extinction",
    "flag_cosmics": "sciastro.calibrate.cosmic",
    "flatten": "sciastro.render.background",
    "grade": "sciastro.integrate.grade",
    "load_recipe": "sciastro.recipe.plan",
    "make_master": "sciastro.recipe.byhand",
    "measure_frames": "sciastro.measure.frames:measure",  # the package holds the shorter name
    "measure_by_psf": "sciastro.recipe.psfcalls",
    "measure_gain": "sciastro.calibrate.gain",
    "open": "sciastro.io.opening",
    "open_masters": "sciastro.recipe.byhand",
    "reduce_session": "sciastro.recipe.run",
    "register": "sciastro.recipe.byhand",
    "resolve": "sciastro.recipe.naming",
    "solve": "sciastro.recipe.solvecalls",
    "stack": "sciastro.integrate.stack",
    "transform_table": "sciastro.photometry.transformations",
    "variables": "sciastro.remote.variables",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name in _HOMES:
        module, _, attribute = _HOMES[name].partition(":")
        return getattr(importlib.import_module(module), attribute or name)
    raise AttributeError(f"module 'sciastro' has no attribute '{name}'")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*globals(), *_HOMES])
