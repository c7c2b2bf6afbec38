"""The options of integration."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option

__all__ = [
    "RULES",
    "AlignOptions",
    "ResampleOptions",
    "Resampling",
    "StackOptions",
    "chosen",
    "median_fwhm",
    "settled",
    "taken",
]

Resampling = TypeVar("Resampling", bound="ResampleOptions")

NARROW, ROOM = 2.0, 0.1  # pixel, FWHM; share of the local range that rings of such stars take
WIDE = 2.5  # pixel, FWHM: mitchell widens such stars by 5 %, narrower ones by more
RULES = (
    *("auto", "winsorized", "sigma", "averaged", "linearfit", "esd", "mad", "noise", "percentile", "minmax"),
    "none",
)
SCALE_SOURCES = ("stars", "noise", "mad", "sn", "bwmv", "two_sided", "ikss", "ikss_lite")
THRESHOLDS = {  # low, high; what the field uses, but for winsorized
    # 3 above rejects 0.09 % of pure noise, on one side: 0.6 % more noise, and a sky 0.003 sigma of a frame
    # too low, but not where star cores are protected: faint stars gain 0.1 %. 3.5 leaves a fifth of both.
    "winsorized": (4.0, 3.5),
    "sigma": (4.0, 3.0),
    "averaged": (4.0, 3.0),
    "linearfit": (5.0, 4.0),
    "esd": (3.0, 3.0),
    "mad": (4.0, 3.0),
    "noise": (4.5, 4.0),
    "percentile": (0.2, 0.1),
    "minmax": (1.0, 1.0),
    "none": (0.0, 0.0),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ResampleOptions(Options):
    """How a frame is interpolated on its way to the canvas."""

    kernel: str = option(
        "auto",
        "Interpolation on the way to the canvas; lanczos3 is sharpest; mitchell smooths a little: pixels are "
        "a quarter quieter, stars of 3 pixels 3 % wider. auto is mitchell where stars are 2.5 pixels wide or "
        "more, else lanczos3.",
        choices=("auto", "lanczos3", "mitchell", "bilinear", "nearest"),
    )
    clamp: float | None = option(
        0.01,
        "Undershoot allowed to ringing kernels, as a share of the local range; none lets it ring. Stars "
        "narrower than 2 pixels have 0.1 at least: their rings are deeper, and cutting them adds light.",
        low=0.0,
        high=1.0,
    )
    max_excluded: float = option(
        0.1, "Largest share of weight that bad pixels under an output pixel may have.", low=0.0, high=0.5
    )
    pixels_hold: str = option(
        "flux",
        "What pixels hold: flux (values change with the area ratio of the grids) or surface brightness.",
        choices=("flux", "surface_brightness"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignOptions(ResampleOptions):
    """How single frames are resampled, as for `--keep registered`; a stack has its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StackOptions(ResampleOptions):
    """How frames are resampled, rejected and averaged."""

    reject: str = option(
        "auto",
        "Rejection of outliers among the frames; auto is noise below 10, esd below 15, else winsorized.",
        choices=RULES,
    )
    low: float | None = option(
        None,
        "Threshold below the center: sigma (4; linearfit 5, noise 4.5, esd 3), share 0.2 of the median "
        "(percentile), 1 frame (minmax).",
        low=0.0,
    )
    high: float | None = option(
        None,
        "Threshold above the center: sigma (3; winsorized 3.5, linearfit and noise 4), share 0.1 of the "
        "median (percentile), 1 frame (minmax).",
        low=0.0,
    )
    context: bool = option(
        False, "Whether to keep which frames made each pixel: a bit per frame, in <product>_context.fits."
    )
    max_iterations: int = option(6, "Rejection passes at most.", low=1, high=50)
    noise_floor: bool = option(
        True,
        "Never reject what lies within low and high sigma of the median by the stated variances (linearfit: "
        "within 3); a sigma from few samples is uncertain itself.",
    )
    esd_share: float = option(
        0.3, "Most outliers of the ESD test, as a share of frames; one at least.", low=0.0, high=0.5
    )
    esd_alpha: float = option(
        0.05, "Probability that the ESD test finds an outlier in pure noise.", low=1e-6, high=0.5
    )
    edge: float = option(
        1.2,
        "Deviation that the noise rule allows to seeing, in steps of the median image to the next pixel.",
        low=0.0,
        high=10.0,
    )
    protect: float = option(
        1.0,
        "Samples within this share of the image's 5 x 5 range (star cores) are never rejected; 0: none.",
        low=0.0,
        high=10.0,
    )
    grow_low: int = option(
        0,
        "Extended structures rejected below the center grow by so many pixels.",
        unit="pixel",
        low=0,
        high=32,
    )
    grow_high: int = option(
        0, "Extended structures rejected above the center (satellites, aircraft) grow by so many pixels.",
        unit="pixel", low=0, high=32,
    )  # fmt: skip
    streaks: float = option(
        0.0,
        "Reject faint trails that show only against the stack: significance of the mean of 7 x 7 residuals "
        "of one frame; 0: none, 6 is sensible.",
        unit="sigma", low=0.0, high=100.0,
    )  # fmt: skip
    normalize: str = option(
        "both",
        "Make sky level (additive), star fluxes (multiplicative), both or none equal before combining.",
        choices=("additive", "multiplicative", "both", "none"),
    )
    scale: str = option(
        "stars",
        "What the multiplicative part makes equal: star fluxes (right for photometry), the noise of the sky "
        "as measured, or a robust scale of all pixels, as other programs do.",
        choices=SCALE_SOURCES,
    )
    normalize_reject: str = option(
        "same",
        "What is made equal before outliers are looked for, where that shall differ from `normalize`.",
        choices=("same", "additive", "multiplicative", "both", "none"),
    )
    scale_reject: str = option(
        "same", "As `scale`, for the search for outliers.", choices=("same", *SCALE_SOURCES)
    )
    combine: str = option("mean", "Frame-weighted mean, or median.", choices=("mean", "median"))
    min_reject: int = option(3, "Fewest frames among which outliers are rejected.", low=3)
    min_frames: int = option(1, "Fewest frames that may make an image.", low=1)
    flag_share: float = option(
        0.1, "A quality bit is set where more than this share of weight carries it.", low=0.0, high=1.0
    )
    outlier_share: float = option(
        0.3, "OUTLIER is set where more than this share of frames was rejected.", low=0.0, high=1.0
    )
    maps: bool = option(
        False, "Write maps of rejected and missing samples by cause beside each product (_rejection.fits)."
    )

    @property
    def scales(self) -> tuple[str, ...]:
        """Scales of all pixels that pass 1 has to measure."""
        asked = dict.fromkeys((self.scale, self.scale_reject))
        return tuple(name for name in asked if name not in ("stars", "noise", "same"))

    @property
    def reject_normalize(self) -> str:
        """What is made equal before outliers are looked for."""
        return self.normalize if self.normalize_reject == "same" else self.normalize_reject

    @property
    def reject_scale(self) -> str:
        """What the multiplicative part of that makes equal."""
        return self.scale if self.scale_reject == "same" else self.scale_reject

    @property
    def rejects_otherwise(self) -> bool:
        """Whether outliers are looked for in values normalized otherwise than those that are combined."""
        own, other = (self.normalize, self.scale), (self.reject_normalize, self.reject_scale)
        return own != other and self.reject != "none"

    def thresholds(self, frames: int) -> tuple[str, float, float]:
        """Return the rejection rule for a number of frames, and its low and high threshold."""
        method = self.reject if frames >= self.min_reject else "none"
        method = chosen(frames) if method == "auto" else method
        low, high = THRESHOLDS[method]
        own = method != "none"
        return (
            method,
            self.low if own and self.low is not None else low,
            self.high if own and self.high is not None else high,
        )

    def powerless(self, frames: int) -> bool:
        """Return whether the rule keeps a single outlier of any height, since it widens the scale itself.

        Of n samples, one at a height h over the others makes the mean deviation from a line at least h / n,
        and the standard deviation h / sqrt(n).
        """
        method, low, high = self.thresholds(frames)
        if method == "linearfit":
            return frames < 5 or frames <= 2 * min(low, high)
        return method == "sigma" and frames < min(low, high) ** 2

    def describe(self, frames: int) -> str:
        """Return the rejection of a number of frames in words, for headers and reports."""
        method, low, high = self.thresholds(frames)
        text = method if method == "none" else f"{method} {low:g} / {high:g}"
        if method == "none" and self.reject != "none":
            text += f" (fewer than {self.min_reject} frames)"
        if self.powerless(frames):
            text += " (too few frames)"  # short: a card has 68 characters
        if self.reject == "auto" and method != "none":
            text += f" (auto, {frames} frames)"
        return text


def chosen(frames: int) -> str:
    """Return the rule that ``reject = "auto"`` takes for a number of frames, 3 or more."""
    # Measured (benchmarks/rejection.py): below 10 frames no rule that takes its scale from the samples finds
    # two or three hits in one pixel; from 10 on ESD does, from 15 on winsorizing, which adds less noise.
    return "noise" if frames < 10 else "esd" if frames < 15 else "winsorized"


def settled(options: Resampling, fwhm: float) -> Resampling:
    """Return `options` with the kernel that ``kernel = "auto"`` takes, and room for the rings of stars.

    Mitchell adds 1 / 9 pixel2 to the second moment of stars, 0.62 pixel2 to the square of their FWHM.
    Rings that are cut at 1 % add 0.8 % of light to stars of 1.2 pixels before the pixels blur them (1.8 %
    to those in one color of a Bayer pattern), 0.005 (0.1) % at 1.4, nothing from 1.6 on, and nothing at any
    width at 10 %.

    Parameters
    ----------
    fwhm
        Of the stars of the reference frame [pixel of the grid that is resampled]; NaN where nobody knows it,
        which counts as narrow.
    """
    if options.clamp is not None and fwhm < NARROW:
        options = replace(options, clamp=max(options.clamp, ROOM))
    if options.kernel != "auto":
        return options
    return replace(options, kernel="mitchell" if fwhm >= WIDE else "lanczos3")


def taken(asked: ResampleOptions, used: ResampleOptions) -> dict[str, str]:
    """Return what the history says of `settled`: the kernel that auto took, a clamp that is wider."""
    notes = {"kernel": settled(used, np.nan).kernel} if asked.kernel == "auto" else {}
    if used.clamp != asked.clamp:
        notes["clamp"] = f"{used.clamp:g}: stars are narrower than {NARROW:g} pixels"
    return notes


def median_fwhm(fwhm: npt.ArrayLike) -> float:
    """Return the median of the frames' FWHM (frame) [pixel] that are known; NaN where none is."""
    values = np.asarray(fwhm, dtype=np.float64)
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")
