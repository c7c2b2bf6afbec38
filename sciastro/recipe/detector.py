"""Gain, read noise and saturation of every light: from options, header, calibration frames, or its pixels."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.calibrate.correct import CorrectOptions
from sciastro.calibrate.gain import GainEstimate, measure_gain, measure_read_noise
from sciastro.core.robust import mad_sigma
from sciastro.errors import SciastroError
from sciastro.io.cards import squash
from sciastro.io.framefacts import FrameFacts
from sciastro.io.reader import probe, read_pixels
from sciastro.recipe.context import Context
from sciastro.recipe.grouping import exposure_key
from sciastro.recipe.lights import Light
from sciastro.recipe.plan import Recipe
from sciastro.recipe.session import Session

__all__ = ["Detector", "DetectorFacts", "gain_is_assumed", "pile_level"]

log = logging.getLogger(__name__)

PILE = 12  # pixels at one frame's largest values that show where it saturates
PILE_WIDTHS = (0.0, 5e-4, 2e-3, 6e-3)  # ranges in which they pile up, of the largest value above the sky
PILE_BELOW = 0.05  # range that tells how many pixels light alone would leave there
PILE_EXCESS = 5.0  # times as many make a pile
MEASURED = 1500  # pixels along each axis that measure gain and read noise: 0.1 %, and no plane in 64 bits
ZERO_KINDS = ("bias", "dark-flat", "dark")
ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class DetectorFacts:
    """Constants of one detector setting.

    Attributes
    ----------
    gain
        [electron / adu].
    read_noise
        [electron].
    saturation
        [adu]; NaN unknown.
    source
        Where gain and read noise come from.
    """

    gain: float
    read_noise: float
    saturation: float
    source: str


def gain_is_assumed(source: str) -> bool:
    """Return whether the gain is nobody's, by `DetectorFacts.source` (or what a run keeps of it)."""
    return source.startswith(f"gain {ASSUMED};")


class Detector:
    """Detector constants of a session, by setting.

    Parameters
    ----------
    session
        For the paths of calibration frames.
    lights
        The frames that will be asked for.
    recipe, context
        Gain, read noise and saturation of the user; where to warn.
    """

    def __init__(self, session: Session, lights: Sequence[Light], recipe: Recipe, context: Context) -> None:
        self._options = recipe.of(CorrectOptions)
        self._session = session
        self._constants: dict[tuple[object, ...], tuple[float, float, str]] = {}
        self._seen: dict[str, float] = {}
        for light in lights:
            key = _setting(light.facts)
            if key not in self._constants:
                self._constants[key] = self._find(light, context)

    def __getstate__(self) -> dict[str, object]:
        """Leave the session behind: constants are found when the object is made."""
        return {**self.__dict__, "_session": None, "_seen": {}}

    def of(self, light: Light) -> DetectorFacts:
        """Return the constants that `light` is calibrated with."""
        gain, read_noise, source = self._constants[_setting(light.facts)]
        if light.measured is not None:
            saturation = light.measured.saturation
        else:
            saturation = self._seen.get(light.name, self._declared(light.facts))
        return DetectorFacts(gain, read_noise, saturation, source)

    def see(self, light: Light, raw: npt.NDArray[np.generic]) -> None:
        """Look at raw pixels for the level at which they pile up."""
        level = self._declared(light.facts)
        if raw.dtype.kind in "iu":
            piled = pile_level(raw)
            if not np.isfinite(level) or piled < level:
                level = piled if np.isfinite(piled) else level
        self._seen[light.name] = level

    def agree(self, lights: Sequence[Light]) -> None:
        """Give all measured lights of one setting the lowest level at which any of them piles up.

        A frame with a handful of full pixels does not show a pile of its own.
        """
        lowest: dict[tuple[object, ...], float] = {}
        for light in lights:
            if light.measured is not None:
                key = _setting(light.facts)
                lowest[key] = float(np.fmin(lowest.get(key, np.nan), light.measured.saturation))
        for light in lights:
            if light.measured is not None:
                light.measured = replace(light.measured, saturation=lowest[_setting(light.facts)])

    def blind(self, light: Light) -> bool:
        """Return whether neither a master nor the file tells the level of zero light."""
        match, named = light.match, light.facts.black_level
        return match.dark is None and match.bias is None and match.level is None and named is None

    def lines(self) -> list[str]:
        """Return one sentence per setting for the report."""
        return [
            f"gain {gain:.4g} electron/adu, read noise {noise:.3g} electron ({source})"
            for gain, noise, source in dict.fromkeys(self._constants.values())
        ]

    def _declared(self, facts: FrameFacts) -> float:
        if self._options.saturation is not None:
            return self._options.saturation
        if facts.saturation is not None:
            return facts.saturation
        return {"uint16": 65535.0, "int16": 32767.0, "uint8": 255.0}.get(facts.dtype, float("nan"))

    def _find(self, light: Light, context: Context) -> tuple[float, float, str]:
        facts, options = light.facts, self._options
        gain, gain_source = options.gain, "option"
        if gain is None and facts.egain is not None and facts.egain > 0:
            gain, gain_source = facts.egain, "header"
        noise, noise_source = options.read_noise, "option"
        if noise is None and facts.read_noise is not None and facts.read_noise >= 0:
            noise, noise_source = facts.read_noise, "header"
        if gain is None or noise is None:
            measured = self._measure(facts)
            if gain is None and measured is not None and np.isfinite(measured.gain):
                gain, gain_source = measured.gain, f"measured from flats, +- {measured.gain_err:.2g}"
            if noise is None and gain is not None:
                noise, noise_source = self._noise(facts, gain, measured)
        if gain is None:
            gain, gain_source = 1.0, ASSUMED
            context.warn(
                f"{facts.instrument or 'the camera'}: nobody knows the gain, so 1 electron / adu is assumed; "
                "fluxes are in adu / s then. Set correct.gain, or add two flats and two bias frames."
            )
        if noise is None:
            noise, noise_source = (
                (0.0, "from the sky of each frame") if self.blind(light) else self._noise(facts, gain, None)
            )
        return float(gain), float(noise), f"gain {gain_source}; read noise {noise_source}"

    def _noise(self, facts: FrameFacts, gain: float, measured: GainEstimate | None) -> tuple[float, str]:
        if measured is not None and np.isfinite(measured.read_noise):
            return measured.read_noise * gain / measured.gain, "measured"
        pair = self._pair(facts, ZERO_KINDS)
        if pair is not None:
            try:
                return measure_read_noise(*self._pixels(pair), cfa=facts.cfa)[
                    0
                ] * gain, "measured from bias or dark frames"
            except SciastroError as error:
                log.info("read noise: %s", error)
        kept = self._of_master(facts)
        if kept is not None:
            return kept * gain, "measured when the master was made"
        return 0.0, "unknown, taken as 0"

    def _of_master(self, facts: FrameFacts) -> float | None:
        """Return the noise of a bias or dark frame [adu] that one of our masters remembers."""
        for kind in ZERO_KINDS:
            for frame in self._session.of_kind(f"master-{kind}"):
                if _agree(frame, facts):
                    header = probe(Path(self._session.root) / frame.path)[0].header
                    noise = float(header.get("FRMNOISE", "nan"))
                    if np.isfinite(noise):
                        return noise
        return None

    def _measure(self, facts: FrameFacts) -> GainEstimate | None:
        flats, zeros = self._pair(facts, ("flat",)), self._pair(facts, ("bias", "dark-flat"))
        if flats is None or zeros is None:
            return None
        try:
            full = self._declared(flats[0])
            return measure_gain(
                *self._pixels(flats), *self._pixels(zeros), cfa=facts.cfa,
                saturation=full if np.isfinite(full) else 65535.0,
            )  # fmt: skip
        except SciastroError as error:
            log.info("gain: %s", error)
            return None

    def _pair(self, facts: FrameFacts, kinds: Sequence[str]) -> tuple[FrameFacts, FrameFacts] | None:
        """Return two frames of the first of `kinds` that has them: flats by filter, others by exposure.

        Flats may differ in exposure, as those of a fading sky do: the gain is measured on their levels.
        """
        for kind in kinds:
            groups: dict[tuple[object, ...], list[FrameFacts]] = {}
            for frame in self._session.of_kind(kind):
                if _agree(frame, facts):
                    key = frame.filter if kind == "flat" else exposure_key(frame.exposure)
                    groups.setdefault((key,), []).append(frame)
            pairs = [members for members in groups.values() if len(members) >= 2]
            if pairs:
                members = (
                    min(pairs, key=lambda group: group[0].exposure or 0.0)
                    if kind != "flat"
                    else max(pairs, key=len)
                )
                ordered = sorted(members, key=lambda frame: frame.exposure or 0.0)
                return ordered[len(ordered) // 2 - 1], ordered[len(ordered) // 2]
        return None

    def _pixels(
        self, pair: tuple[FrameFacts, FrameFacts]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        one, two = (
            _middle(read_pixels(Path(self._session.root) / frame.path, frame.hdu)).astype(np.float32)
            for frame in pair
        )
        return one * np.float32(pair[0].adu_per_unit), two * np.float32(pair[1].adu_per_unit)


def pile_level(raw: npt.NDArray[Any]) -> float:
    """Return the level [adu] from which the pixels of a frame are full; NaN where none are.

    A converter clips at one value; a full well is followed by read noise and the pattern of columns, so
    its pixels pile up in a narrow range below the largest value. Light alone fills the range under the
    brightest pixel evenly: equal areas of a star lie in equal steps of log brightness.
    """
    tops = raw.max(axis=1)
    top, sky = float(tops.max()), float(np.median(raw[::37, ::37]))
    reach = top - sky
    if not top > 5 * sky:
        return float("nan")
    least = top - PILE_BELOW * reach
    if raw.dtype.kind in "iu":
        least = int(np.ceil(least))  # integers are compared with integers four times as fast
    lines = (raw[y] for y in np.flatnonzero(tops >= least))  # whole planes of yes and no cost memory
    bright = np.concatenate([line[line >= least] for line in lines]).astype(np.float64)
    for share in PILE_WIDTHS:
        pile = bright[bright >= top - share * reach]
        even = (bright.size - pile.size) * (share * reach + 1) / ((PILE_BELOW - share) * reach)
        if pile.size >= PILE and pile.size > PILE_EXCESS * even:
            middle = float(np.median(pile))
            spread = mad_sigma(pile, middle)
            return float(max(np.floor(middle - 6 * spread), bright.min()))
    return float("nan")


def _middle(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the middle of a frame, `MEASURED` pixels wide and high, beginning on even rows and columns."""
    top, left = (max(size - MEASURED, 0) // 4 * 2 for size in pixels.shape)
    return pixels[top : top + MEASURED, left : left + MEASURED]


def _setting(facts: FrameFacts) -> tuple[object, ...]:
    return (
        facts.instrument,
        facts.shape,
        facts.binning,
        facts.gain_setting,
        facts.offset,
        facts.readout_mode,
        facts.egain,
        facts.dtype,
    )


def _agree(one: FrameFacts, two: FrameFacts) -> bool:
    """Return whether two frames were taken at the same detector setting, as far as both say."""
    pairs = (
        (squash(one.instrument), squash(two.instrument)), (one.gain_setting, two.gain_setting),
        (one.offset, two.offset), (squash(one.readout_mode), squash(two.readout_mode)),
    )  # fmt: skip
    silent = (None, "")  # a gain or an offset of 0 is a setting like any other
    same = all(a == b for a, b in pairs if a not in silent and b not in silent)
    return same and one.shape == two.shape and one.binning == two.binning
