"""What is said of masters: how they are matched, which light gets which one and why, and what is missing."""

from dataclasses import dataclass

from sciastro.core.options import Options, option
from sciastro.recipe.grouping import LightGroup
from sciastro.recipe.masterspecs import Candidate, MasterSpec

__all__ = ["DEFAULTS", "FRAMES_OF", "Choice", "LightMatch", "MasterPlan", "MatchOptions", "Missing"]

FRAMES_OF = {"bias": "bias frames", "dark": "darks", "flat": "flats"}
"""What frames of a kind are called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchOptions(Options):
    """How calibration frames are matched to lights."""

    exposure_tolerance: float = option(
        0.05, "Difference in exposure, as a fraction, up to which a dark is used unscaled.", low=0.0, high=1.0
    )
    temperature_tolerance: float = option(
        3.0, "Difference in sensor temperature up to which a dark is used.", unit="deg_C", low=0.0, high=50.0
    )
    scale_darks: str = option(
        "auto",
        "Whether darks of another exposure are scaled (needs bias frames).",
        choices=("auto", "never", "always"),
    )
    max_dark_scale: float = option(
        4.0,
        "Largest factor by which a dark is scaled up; above, its noise spoils the light.",
        low=1.0,
        high=100.0,
    )
    flat_age: float = option(
        30.0, "Age of a flat above which it is used only with a warning.", unit="d", low=0.0, high=36525.0
    )
    use_bias: bool = option(True, "Whether bias frames are used at all.")
    use_darks: bool = option(True, "Whether dark frames are used at all.")
    use_flats: bool = option(True, "Whether flat frames are used at all.")


DEFAULTS = MatchOptions()


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for one need of a light group.

    Attributes
    ----------
    kind
        "dark", "bias" or "flat".
    chosen
        Id of the master, None where there is none.
    reason
        One or two sentences.
    severity
        "ok", "note" or "warning".
    candidates
        Everything of the kind, best first.
    """

    kind: str
    chosen: str | None
    reason: str
    severity: str
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class LightMatch:
    """The masters of one group of lights.

    Attributes
    ----------
    group
        The lights.
    dark, dark_scale
        Id of the master dark and the factor k in ``raw - bias - k (dark - bias)``; with a factor of exactly
        1 the dark is subtracted as it is, bias included, and `bias` is None.
    bias
        Id of the master bias that is subtracted: without a dark, or with a scaled one. Never with an
        unscaled dark, which holds it.
    level
        Id of the master bias that only tells the noise model the level of zero light; may be set where
        `bias` is None.
    flat
        Id of the master flat.
    choices
        Dark, bias and flat, with reasons.
    """

    group: LightGroup
    dark: str | None
    dark_scale: float
    bias: str | None
    level: str | None
    flat: str | None
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """A calibration that some lights do without, and what that costs."""

    what: str
    groups: tuple[str, ...]
    cost: str

    @property
    def kind(self) -> str:
        """Kind of the frames that it would be made of."""
        return "bias" if self.what == "zero level" else self.what


@dataclass(frozen=True, slots=True)
class MasterPlan:
    """All masters of a session and who gets them."""

    masters: tuple[MasterSpec, ...]
    matches: tuple[LightMatch, ...]
    missing: tuple[Missing, ...] = ()

    def master(self, identifier: str | None) -> MasterSpec | None:
        """Return the master of that id, None for None."""
        return next((one for one in self.masters if one.id == identifier), None)
