"""The table of steps: an explicit, frozen mapping from name to function, options, reads and writes.

`check` proves that every variable a step reads is written by an earlier one, and that no step but the
last, which makes the picture, touches ``display``: a picture can never leak into photometry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sciastro.astrometry.frames import register_frames
from sciastro.astrometry.register import RegisterOptions
from sciastro.astrometry.solve import SolveOptions
from sciastro.calibrate.correct import CorrectOptions, correct
from sciastro.calibrate.cosmic import CosmicOptions, flag_cosmics
from sciastro.calibrate.debayer import DebayerOptions, debayer
from sciastro.calibrate.defects import DefectOptions
from sciastro.calibrate.masters import MasterOptions
from sciastro.core.options import Options
from sciastro.errors import DatasetError
from sciastro.integrate.grade import GradeOptions, grade
from sciastro.integrate.normalize import NormalizeOptions
from sciastro.integrate.options import StackOptions
from sciastro.integrate.stack import stack
from sciastro.measure.frames import measure
from sciastro.measure.stars import DetectOptions
from sciastro.measure.trails import TrailOptions
from sciastro.photometry.aperture import ApertureOptions
from sciastro.photometry.color import ColorOptions
from sciastro.photometry.depth import DepthOptions
from sciastro.photometry.steps import calibrate_color, calibrate_photometry
from sciastro.photometry.zeropoint import ZeroPointOptions
from sciastro.recipe.matching import MatchOptions
from sciastro.render.background import BackgroundOptions, flatten
from sciastro.render.compose import ComposeOptions, compose

__all__ = ["STEPS", "Step", "check"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One entry of the table.

    Attributes
    ----------
    options
        Its options; ``--set`` and recipe.toml fill them.
    function
        The pure step ``(ds, *, options, ...) -> ds``; None where the work happens on files or lists
        and no dataset function exists.
    reads, writes
        Names of variables; a step that makes a new dataset keeps nothing else.
    new_grid
        The result is a new dataset on another grid.
    """

    options: type[Options]
    function: Callable[..., Any] | None = None
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    new_grid: bool = False


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


STEPS: Mapping[str, Step] = MappingProxyType(
    {
        "calibrate.match": Step(options=MatchOptions),
        "calibrate.masters": Step(options=MasterOptions),
        "calibrate.defects": Step(options=DefectOptions),
        "calibrate.correct": Step(
            options=CorrectOptions,
            function=correct,
            reads=_names("raw"),
            writes=_names("signal variance quality"),
        ),
        "calibrate.cosmic": Step(
            options=CosmicOptions,
            function=flag_cosmics,
            reads=_names("signal variance quality"),
            writes=_names("signal variance quality"),
        ),
        "calibrate.debayer": Step(
            options=DebayerOptions,
            function=debayer,
            reads=_names("signal variance quality cfa"),
            writes=_names("signal variance quality filter"),
            new_grid=True,
        ),
        "measure.stars": Step(
            options=DetectOptions,
            function=measure,
            reads=_names("signal variance quality exposure"),
            writes=_names("fwhm eccentricity sky noise n_stars elongation"),
        ),
        "measure.trails": Step(options=TrailOptions),
        "astrometry.solve": Step(options=SolveOptions),
        "astrometry.register": Step(
            options=RegisterOptions,
            function=register_frames,
            reads=_names("signal"),
            writes=_names("from_reference"),
        ),
        "integrate.grade": Step(
            options=GradeOptions,
            function=grade,
            reads=_names("fwhm eccentricity sky noise n_stars exposure filter"),
            writes=_names("weight use reason"),
        ),
        "integrate.normalize": Step(options=NormalizeOptions),
        "integrate.stack": Step(
            options=StackOptions,
            function=stack,
            reads=_names("signal variance quality exposure weight use filter"),
            writes=_names(
                "image image_variance image_quality coverage rejected_low rejected_high noise_correlation "
                "image_exposure n_frames"
            ),
            new_grid=True,
        ),
        "photometry.aperture": Step(options=ApertureOptions),
        "photometry.zeropoint": Step(
            options=ZeroPointOptions,
            function=calibrate_photometry,
            reads=_names("image"),
            writes=_names("zeropoint zeropoint_err color_term"),
        ),
        "photometry.depth": Step(options=DepthOptions),
        "photometry.color": Step(
            options=ColorOptions,
            function=calibrate_color,
            reads=_names("image"),
            writes=_names("color_gain color_gain_err"),
        ),
        "render.background": Step(
            options=BackgroundOptions,
            function=flatten,
            reads=_names("image"),
            writes=_names("background_model"),
        ),
        "render.compose": Step(
            options=ComposeOptions,
            function=compose,
            reads=_names("image"),
            writes=_names("display"),
        ),
    }
)

GIVEN = frozenset(_names("raw exposure filter cfa time gain read_noise saturation"))


def check(steps: Mapping[str, Step] = STEPS) -> None:
    """Prove that the table, run in order, never reads what nobody wrote.

    Raises
    ------
    DatasetError
        Naming the step and the variable.
    """
    known = set(GIVEN)
    for name, step in steps.items():
        for variable in step.reads:
            if variable not in known:
                raise DatasetError("is read before any step writes it.", where=f"{name}: '{variable}'")
            if variable == "display":
                raise DatasetError("reads a picture; only files and the report may.", where=name)
        known |= set(step.writes)
