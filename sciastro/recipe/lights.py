"""The light frames of a run: what is known of each, and which of them make one image together."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.debayer import COLORS, band_name
from sciastro.core.stars import StarArray
from sciastro.integrate.canvas import Canvas
from sciastro.io.framefacts import FrameFacts
from sciastro.io.paths import safe_name, unlike
from sciastro.recipe.masterplan import LightMatch, MasterPlan

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["CAMERA_MODEL", "PROBED", "Light", "Measured", "StackSet", "bands_of", "lights_of", "stack_sets"]

FEWEST = 3  # frames of another geometry that are worth an image of their own
CAMERA_MODEL = "camera model"  # name of the map of frames that one camera model places
PROBED = 3  # lights that show which pixels are always hot


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What pass 1 found on one frame.

    Attributes
    ----------
    stars
        `STAR_DTYPE`, positions on the stack grid [pixel] (superpixels where those are stacked).
    fwhm, eccentricity, elongation
        Of the stars; [pixel] on the same grid; NaN without stars.
    sky, noise
        Band name to background and its 1-sigma noise per pixel [electron].
    n_stars
        Detected at 5 sigma or more.
    sha256
        Of the file.
    gain, read_noise
        That the frame was calibrated with [electron / adu], [electron].
    gain_source
        Where gain and read noise come from, such as "gain header; read noise measured".
    saturation
        [adu]; NaN unknown.
    zero
        Band to sky level [adu] and sky noise [electron], which stand for bias level and read noise
        where no master knows the bias; empty otherwise.
    trails
        Satellite trails on the raw frame (trail, 5): both ends and half the width [pixel], see
        `measure.trails`.
    hits
        Flat indices of raw pixels hit by cosmic rays; empty unless `calibrate.cosmic` is enabled.
    meshes
        Band to the background on a coarse grid of equal tiles over the frame, float32 (tile, tile)
        [electron].
    scales
        Band to robust scales of all pixels by name (`integrate.scales`) [electron]; empty unless
        ``stack.scale`` asks for one.
    """

    stars: StarArray
    fwhm: float
    eccentricity: float
    elongation: float
    sky: dict[str, float]
    noise: dict[str, float]
    n_stars: int
    sha256: str
    gain: float
    read_noise: float
    saturation: float
    gain_source: str
    zero: dict[str, tuple[float, float]]
    trails: npt.NDArray[np.float64]
    hits: npt.NDArray[np.int64]
    meshes: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    scales: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(slots=True)
class Light:
    """One light frame on its way through a run.

    To the workers of a cluster it travels without its star lists, and its group with a few frames only.

    Attributes
    ----------
    facts
        From its header.
    match
        Its masters.
    store, index
        Group of ``frames.h5`` and number in it.
    measured
        None until pass 1 is done, or if it failed.
    reason
        Why it is left out or weighted down; empty if neither.
    from_reference
        Map from reference to this frame's pixels (2, term); None unregistered.
    domain
        Box x0, x1, y0, y1 of the reference grid that holds the frame [pixel]; None unregistered.
    registration_rms
        Residual of the registration [pixel].
    registration_model, registration_stars
        Model of its map ("affine", "degree 3", "camera model"; empty for the reference) and stars used.
    registration_shortfall
        Why it is not the model that was asked for; empty if it is.
    pairs
        Indices of the same stars: row 0 in the reference's list (or that of the camera model), row 1 in this
        frame's.
    residuals
        One row per pair of the registration; None for the reference.
    transparency
        Star flux rate over that of the band's reference frame; NaN unknown.
    weights
        Band to weight in its stack; empty until graded.
    lost
        Band to cause to share of the pixels that the stack did not take (`recipe.rejected`).
    use
        Whether the frame enters its stack.
    wcs
        Header text; empty where unsolved.
    panel
        Number of its pointing within a mosaic; 0 where there is only one.
    signal
        Band to `integrate.weights.psf_signal`, for lights whose star lists are not kept.
    kept
        Whether it is in a stack of an earlier run, and its pixels are not looked at again.
    """

    facts: FrameFacts
    match: LightMatch
    store: str = ""
    index: int = -1
    measured: Measured | None = None
    reason: str = ""
    from_reference: npt.NDArray[np.float64] | None = None
    domain: npt.NDArray[np.float64] | None = None
    registration_rms: float = float("nan")
    registration_model: str = ""
    registration_stars: int = 0
    registration_shortfall: str = ""
    pairs: npt.NDArray[np.int64] | None = None
    residuals: "QTable | None" = None
    transparency: float = float("nan")
    weights: dict[str, float] = field(default_factory=dict)
    lost: dict[str, dict[str, float]] = field(default_factory=dict)
    use: bool = False
    wcs: str = ""
    panel: int = 0
    signal: dict[str, float] = field(default_factory=dict)
    kept: bool = False

    def __getstate__(self) -> dict[str, object]:
        state = {one.name: getattr(self, one.name) for one in fields(self)}
        group = self.match.group
        few = group.frames[:: max(len(group.frames) // PROBED, 1)][:PROBED]
        state["match"] = replace(self.match, group=replace(group, frames=few), choices=())
        if self.measured is not None:
            state["measured"] = replace(self.measured, stars=self.measured.stars[:0])
        return state | {"pairs": None, "residuals": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    @property
    def weight(self) -> float:
        """Mean weight over its bands; 0 where left out."""
        return float(np.mean(list(self.weights.values()))) if self.weights and self.use else 0.0

    @property
    def measures(self) -> Measured:
        """What pass 1 found; only for lights that have been measured."""
        if self.measured is None:
            raise RuntimeError(f"{self.name} is not measured")
        return self.measured

    @property
    def star_pairs(self) -> npt.NDArray[np.int64]:
        """The stars it shares with the reference; only for lights that are registered."""
        if self.pairs is None:
            raise RuntimeError(f"{self.name} is not registered")
        return self.pairs

    @property
    def name(self) -> str:
        """Path relative to the session, with the number of the frame in a video."""
        return self.facts.name


@dataclass
class StackSet:
    """Frames of one target on one pixel grid: they share a reference and give one image per band.

    Attributes
    ----------
    target
        Name as in the headers.
    stem
        Start of the product file names.
    lights
        In order of time.
    cfa
        Color filter array of the frames, empty for mono.
    reference
        The frame whose grid is the reference grid; None until chosen.
    reference_asked
        Whether the user chose it.
    lens
        Camera model on whose undistorted picture the frames lie, in words; empty for a reference frame.
    canvas
        Grid of its images; None until chosen.
    bands
        In order of their first frame.
    files
        Band to the start of its product file names, unique in the run even where case is ignored.
    bases
        Band to the frame that transparencies are relative to.
    """

    target: str
    stem: str
    lights: list[Light]
    cfa: str
    reference: Light | None = None
    reference_asked: bool = False
    lens: str = ""
    canvas: Canvas | None = None
    bases: dict[str, Light] = field(default_factory=dict)
    bands: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def fwhm(self) -> float:
        """FWHM of the reference [pixel]; NaN unknown, or where it is alone and nothing is interpolated."""
        alone = all(light is self.reference or light.from_reference is None for light in self.lights)
        if self.reference is None or self.reference.measured is None or alone:
            return float("nan")
        return self.reference.measured.fwhm

    def of_band(self, band: str) -> list[Light]:
        """Return the lights that enter `band`."""
        return [light for light in self.lights if band in bands_of(light.facts)]


def bands_of(facts: FrameFacts) -> tuple[str, ...]:
    """Return the bands that one exposure delivers: its filter, or the colors of its mosaic."""
    if facts.cfa:
        return tuple(band_name(facts.filter, color) for color in COLORS)
    return (facts.filter or "Clear",)


def lights_of(plan: MasterPlan) -> list[Light]:
    """Return every light of the plan, by target, band and time."""
    return [Light(facts=frame, match=match) for match in plan.matches for frame in match.group.frames]


def stack_sets(lights: Sequence[Light]) -> list[StackSet]:
    """Sort lights into sets that can be stacked on one grid.

    The geometry with the longest total exposure of a target keeps the plain name. Another geometry
    gets images of its own where it has frames enough; otherwise its frames are left out, with the reason.
    """
    targets: dict[str, list[Light]] = {}
    for light in lights:
        targets.setdefault(light.match.group.target, []).append(light)
    sets: list[StackSet] = []
    for target, members in targets.items():
        sets.extend(_by_geometry(target, safe_name(target, default="target"), members))
    stems: set[str] = set()
    files: set[str] = set()
    for one in sets:
        one.stem = unlike(one.stem, stems)
        one.files = {
            band: unlike(f"{one.stem}_{safe_name(band, default='band')}", files) for band in one.bands
        }
    return sets


def _by_geometry(target: str, stem: str, members: Sequence[Light]) -> list[StackSet]:
    groups: dict[tuple[object, ...], list[Light]] = {}
    for light in members:
        facts = light.facts
        groups.setdefault((facts.shape, facts.cfa, facts.binning), []).append(light)
    order = sorted(groups.values(), key=lambda group: -sum(light.facts.exposure or 1.0 for light in group))
    main, sets = order[0], []
    for number, group in enumerate(order):
        facts = group[0].facts
        if number and len(group) < FEWEST:
            size, other = _size(facts), _size(main[0].facts)
            for light in group:
                light.reason = f"is {size}, and the other {len(main)} lights of {target} are {other}"
            continue
        suffix = f"_{facts.shape[1]}x{facts.shape[0]}" if number else ""
        ordered = sorted(group, key=lambda light: (_seconds(light.facts), light.name))
        bands = list(dict.fromkeys(band for light in ordered for band in bands_of(light.facts)))
        sets.append(StackSet(target=target, stem=stem + suffix, lights=ordered, cfa=facts.cfa, bands=bands))
    return sets


def _size(facts: FrameFacts) -> str:
    binning = "" if facts.binning == (1, 1) else f" binned {facts.binning[0]}x{facts.binning[1]}"
    mosaic = f" {facts.cfa}" if facts.cfa else ""
    return f"{facts.shape[1]} x {facts.shape[0]}{binning}{mosaic}"


def _seconds(facts: FrameFacts) -> float:
    return facts.time.timestamp() if facts.time is not None else 0.0
