"""The table of steps: an explicit, frozen mapping from name to function, options, reads and writes.

`check` proves that every variable a step reads is written by an earlier one, and that no step but the
last, which makes the picture, touches ``display``: a picture can never leak into photometry.
`tests/test_every_step.py` holds every function to what its entry says here.

**Laziness.** Lazy pixels in, lazy variables out, nothing computed during the call: that is the rule, and an
entry names its exceptions. `in_memory` are written variables that do not come from pixels at all but from
star lists, tables or other facts; they are in memory whatever the pixels are. `must_be_loaded` are facts that
decide what has to be done (which frames, which maps, which filter): where one is lazy, the step does not
compute it behind the user's back but raises a `DatasetError` that says to load it. `computes` tells why a
step computes all the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sciastro.astrometry.frames import RegisterFramesOptions, register_frames
from sciastro.astrometry.solve import SolveOptions
from sciastro.calibrate.correct import CorrectOptions, correct
from sciastro.calibrate.cosmic import CosmicOptions, flag_cosmics
from sciastro.calibrate.debayer import OF_THE_MOSAIC, DebayerOptions, debayer
from sciastro.calibrate.defects import DefectOptions
from sciastro.calibrate.masters import MasterOptions
from sciastro.core.options import Options
from sciastro.core.vocabulary import VARIABLES
from sciastro.errors import DatasetError
from sciastro.integrate.align import NOT_KEPT, AlignOptions, align
from sciastro.integrate.canvas import CanvasOptions
from sciastro.integrate.drizzle import DrizzleOptions
from sciastro.integrate.grade import GradeOptions, grade
from sciastro.integrate.local import LevelOptions
from sciastro.integrate.moving import CometOptions
from sciastro.integrate.options import StackOptions
from sciastro.integrate.stack import stack
from sciastro.measure.frames import measure
from sciastro.measure.stars import DetectOptions
from sciastro.measure.trails import TrailOptions
from sciastro.photometry.aperture import ApertureOptions
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.colorsteps import calibrate_color
from sciastro.photometry.depth import DepthOptions
from sciastro.photometry.psfsteps import PsfStepOptions
from sciastro.photometry.references import UnitOptions
from sciastro.photometry.steps import calibrate_photometry
from sciastro.photometry.zeropoint import ZeroPointOptions
from sciastro.recipe.masterplan import MatchOptions
from sciastro.recipe.session import ScanOptions
from sciastro.render.background import BackgroundOptions, flatten
from sciastro.render.compose import ComposeOptions, compose

__all__ = ["GIVEN", "STEPS", "Step", "check"]


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
    reads
        Variables without which it raises.
    uses
        Variables that it reads where they are there.
    writes
        Every variable that it adds or replaces, and nothing else.
    new_grid
        The result is a new dataset on another grid, with nothing but `writes` and, where the result still
        has frames, the per-frame coordinates of the input (its history always).
    drops
        Per-frame coordinates that a new grid makes wrong.
    in_memory, must_be_loaded, computes
        Exceptions to laziness, see the module.
    """

    options: type[Options]
    function: Callable[..., Any] | None = None
    reads: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    new_grid: bool = False
    drops: tuple[str, ...] = ()
    in_memory: tuple[str, ...] = ()
    must_be_loaded: tuple[str, ...] = ()
    computes: str = ""

    @property
    def keeps_frames(self) -> bool:
        """Whether per-frame coordinates of the input are in the result."""
        return not self.new_grid or any(VARIABLES[name].dims == ("frame", "y", "x") for name in self.writes)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


STEPS: Mapping[str, Step] = MappingProxyType(
    {
        "ingest.scan": Step(options=ScanOptions),
        "calibrate.match": Step(options=MatchOptions),
        "calibrate.masters": Step(options=MasterOptions),
        "calibrate.defects": Step(options=DefectOptions),
        "calibrate.correct": Step(
            options=CorrectOptions,
            function=correct,
            reads=_names("raw"),
            uses=_names("gain read_noise saturation cfa filter"),
            writes=_names("signal variance quality"),
            must_be_loaded=_names("gain read_noise saturation cfa filter"),
        ),
        "calibrate.cosmic": Step(
            options=CosmicOptions,
            function=flag_cosmics,
            reads=_names("signal variance quality"),
            uses=_names("cfa"),
            writes=_names("signal variance quality"),
            must_be_loaded=_names("cfa"),
        ),
        "calibrate.debayer": Step(
            options=DebayerOptions,
            function=debayer,
            reads=_names("signal variance quality cfa filter"),
            writes=_names("signal variance quality cfa filter sparse"),
            new_grid=True,
            drops=OF_THE_MOSAIC,
            in_memory=_names("cfa filter sparse"),
            must_be_loaded=_names("cfa filter"),
        ),
        "measure.stars": Step(
            options=DetectOptions,
            function=measure,
            reads=_names("signal exposure"),
            uses=_names("variance quality"),
            writes=_names("fwhm eccentricity elongation sky noise n_stars"),
        ),
        "measure.trails": Step(options=TrailOptions),
        "astrometry.solve": Step(options=SolveOptions),
        "astrometry.register": Step(
            options=RegisterFramesOptions,
            function=register_frames,
            reads=_names("signal"),
            writes=_names("from_reference registration_rms registration_stars registration_reason"),
            in_memory=_names("from_reference registration_rms registration_stars registration_reason"),
        ),
        "integrate.grade": Step(
            options=GradeOptions,
            function=grade,
            reads=_names("fwhm eccentricity sky noise n_stars exposure filter"),
            uses=_names(
                "target transparency from_reference elongation psf_signal airmass temperature "
                "registration_rms time"
            ),
            writes=_names("weight use reason"),
            in_memory=_names("weight use reason"),
            must_be_loaded=_names(
                "fwhm eccentricity sky noise n_stars exposure filter target transparency from_reference "
                "elongation psf_signal airmass temperature registration_rms time"
            ),
        ),
        "integrate.level": Step(options=LevelOptions),
        "integrate.align": Step(
            options=AlignOptions,
            function=align,
            reads=_names("signal variance quality from_reference"),
            uses=_names("sparse sky noise wcs fwhm"),
            writes=_names("signal variance quality from_reference wcs sky noise frame_correlation"),
            new_grid=True,
            drops=NOT_KEPT,
            in_memory=_names("from_reference wcs sky noise frame_correlation"),
            must_be_loaded=_names("from_reference sparse wcs fwhm"),
        ),
        "integrate.comet": Step(options=CometOptions),
        "integrate.canvas": Step(options=CanvasOptions),
        "integrate.drizzle": Step(options=DrizzleOptions),
        "integrate.stack": Step(
            options=StackOptions,
            function=stack,
            reads=_names("signal variance quality exposure filter"),
            uses=_names("weight use sparse from_reference sky noise fwhm transparency frame_correlation wcs"),
            writes=_names(
                "image image_variance image_quality coverage rejected_low rejected_high noise_correlation "
                "noise_autocorrelation image_exposure n_frames band wcs"
            ),
            new_grid=True,
            in_memory=_names("noise_autocorrelation image_exposure n_frames band wcs"),
            must_be_loaded=_names(
                "exposure filter weight use sparse from_reference sky noise fwhm transparency "
                "frame_correlation wcs"
            ),
        ),
        "photometry.aperture": Step(options=ApertureOptions),
        "photometry.psf": Step(options=PsfStepOptions),
        "photometry.zeropoint": Step(
            options=ZeroPointOptions,
            function=calibrate_photometry,
            reads=_names("image band"),
            writes=_names("zeropoint zeropoint_err color_term zeropoint_covariance"),
            in_memory=_names("zeropoint zeropoint_err color_term zeropoint_covariance"),
        ),
        "photometry.units": Step(options=UnitOptions),
        "photometry.depth": Step(options=DepthOptions),
        "photometry.color": Step(
            options=ColorOptions,
            function=calibrate_color,
            reads=_names("image band"),
            writes=_names("color_gain color_gain_err"),
            in_memory=_names("color_gain color_gain_err"),
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
            uses=_names("band background_model coverage image_quality color_gain"),
            writes=_names("display y x channel"),
            new_grid=True,
            in_memory=_names("display y x channel"),
            computes="Crop, sky level and stretch come from the pixels of the whole image.",
        ),
    }
)

GIVEN = frozenset(_names("raw exposure filter cfa time gain read_noise saturation target path temperature"))
# Written by a run, or by hand: from the pairs of a registration, the star lists, and time and place.
OUTSIDE = frozenset(_names("transparency psf_signal airmass"))


def check(steps: Mapping[str, Step] = STEPS) -> None:
    """Prove that the table, run in order, never reads what nobody wrote.

    A step on a new grid takes away what it does not write or keep: after stacking there is no ``signal``.

    Raises
    ------
    DatasetError
        Naming the step and the variable.
    """
    known = set(GIVEN)
    for name, step in steps.items():
        for variable in (*step.reads, *step.uses, *step.writes):
            if variable not in VARIABLES:
                raise DatasetError("is not in the vocabulary.", where=f"{name}: '{variable}'")
        if "display" in (*step.reads, *step.uses):
            raise DatasetError("reads a picture; only files and the report may.", where=f"{name}: 'display'")
        for variable in step.reads:
            if variable not in known:
                raise DatasetError("is read before any step writes it.", where=f"{name}: '{variable}'")
        for variable in step.uses:
            if not any(variable in (*GIVEN, *OUTSIDE, *other.writes) for other in steps.values()):
                raise DatasetError("is used, and no step writes it.", where=f"{name}: '{variable}'")
        if step.new_grid:
            frames = (
                {one for one in known if VARIABLES[one].dims == ("frame",)} if step.keeps_frames else set()
            )
            known = frames - set(step.drops)
        known |= set(step.writes)
