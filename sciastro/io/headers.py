"""One frame's header, in whatever dialect, as plain facts with their origin and their problems.

The tables (`dialects.toml`, `filters.toml`, `names.toml`) say how capture programs spell things; this module
reads the header by them, falls back to folder and file names, and notes where each fact came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from astropy.io import fits

from sciastro.io.cards import Cards, squash
from sciastro.io.dialects import Traits, canonical_filter, dialects, is_open, traits_of
from sciastro.io.filenames import NameFacts, facts_from_name
from sciastro.io.headerparts import (
    Notes,
    bayer_pattern,
    read_cfa,
    read_pedestal,
    read_pointing,
    read_scale,
    read_site,
    read_wcs,
)
from sciastro.io.headertimes import read_time
from sciastro.io.nights import night_of

__all__ = ["KINDS", "FrameFacts", "facts_from_header"]

RAW_KINDS = ("bias", "dark", "flat", "dark-flat", "light")
KINDS = (*RAW_KINDS, *(f"master-{kind}" for kind in RAW_KINDS), "unknown")
UNIT_FLOAT_ADU = 65535.0
LONGEST_EXPOSURE = 1e6  # seconds


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """What is known of one frame before its pixels are read. None and "" mean that nobody says.

    Attributes
    ----------
    path, hdu
        File, relative to the session folder with forward slashes, and the image in it.
    of
        Frames of the session that are in the file: more than 1 in a video.
    shape, dtype
        Rows and columns; dtype of the pixels as read.
    kind
        One of `KINDS`.
    filter, filter_text
        Canonical name, and as written. "OSC" is a color camera without a filter that selects;
        "Clear" a camera without color of which no filter is known; "" on bias and dark frames.
    exposure
        Exposure time [s].
    gain_setting, egain, offset, readout_mode
        The camera's settings; `egain` is the conversion gain [electron / adu].
    temperature, set_temperature
        Of the sensor, and asked for [deg C].
    binning
        Columns, rows.
    cfa
        The colors of the pixels (0, 0), (0, 1), (1, 0), (1, 1) as stored, [y, x]; 36 letters row by row
        for X-Trans; "" for mono.
    row_order
        "TOP-DOWN", "BOTTOM-UP" or "".
    target, instrument, telescope, program
        Cleaned texts.
    time
        Middle of the exposure, UTC.
    night
        Date of the evening at which the night began.
    site
        Latitude north, longitude east [deg], height [m] (None unknown).
    pointing
        RA, Dec of the image center or of the telescope [deg].
    focal_length, aperture, pixel_size, scale
        [mm], [mm], [um, after binning], [arcsec / pixel].
    read_noise, saturation
        [electron], [adu].
    pedestal
        Level [adu] that was added to all pixels and stands to be subtracted; 0 where none is named.
    black_level
        Level [adu] of zero light that camera raw names. It stays in the pixels, since masters hold it
        too, and serves as the level of the bias where no master tells it.
    orientation
        TIFF code (1 to 8) of how the picture should be turned for viewing; the pixels never are.
    combined
        Exposures in the file, 1 for a raw frame.
    calibrated
        Letters B, D, F for what has been taken out already, "?" where only that something was.
    adu_per_unit
        Factor from the numbers in the file to adu: 65535 in floating-point files of programs that
        write 0 to 1.
    has_wcs
        Whether the header holds celestial coordinates with a scale.
    origins
        Fact to where it came from: a keyword, "folder name", "file name", "default", ...
    problems
        What did not fit, one sentence each.
    refused
        Those of the problems that a run must name: values that no fact is taken from (keyword, HDU, value),
        and what stands in for them.
    """

    path: str
    hdu: int
    shape: tuple[int, int]
    dtype: str
    kind: str
    filter: str = ""
    filter_text: str = ""
    exposure: float | None = None
    gain_setting: float | None = None
    egain: float | None = None
    offset: float | None = None
    readout_mode: str = ""
    temperature: float | None = None
    set_temperature: float | None = None
    binning: tuple[int, int] = (1, 1)
    cfa: str = ""
    row_order: str = ""
    target: str = ""
    instrument: str = ""
    telescope: str = ""
    program: str = ""
    time: datetime | None = None
    night: date | None = None
    site: tuple[float, float, float | None] | None = None
    pointing: tuple[float, float] | None = None
    focal_length: float | None = None
    aperture: float | None = None
    pixel_size: float | None = None
    scale: float | None = None
    read_noise: float | None = None
    saturation: float | None = None
    pedestal: float = 0.0
    black_level: float | None = None
    orientation: int = 1
    combined: int = 1
    calibrated: str = ""
    adu_per_unit: float = 1.0
    has_wcs: bool = False
    origins: Mapping[str, str] = field(default_factory=dict, hash=False)
    problems: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    of: int = 1

    @property
    def name(self) -> str:
        """Path, and for a frame of a video its number: what tells it apart from all others."""
        return self.path if self.of == 1 else f"{self.path}#{self.hdu:0{len(str(self.of - 1))}d}"

    @property
    def is_master(self) -> bool:
        """Whether the frame is a combined one."""
        return self.kind.startswith("master-")


def facts_from_header(
    header: fits.Header,
    path: str,
    shape: tuple[int, int],
    dtype: str,
    hdu: int = 0,
    *,
    exposure_else: float | None = None,
    utc_offset: float | None = None,
    site_else: tuple[float, float, float | None] | None = None,
) -> FrameFacts:
    """Return the facts of one frame.

    Parameters
    ----------
    header
        Its cards; damaged cards are noted as problems, never raised.
    path
        Relative to the session folder, since its folders and its name serve where the header is silent.
    shape, dtype, hdu
        As in `io.probe.Probe`.
    exposure_else
        Exposure time [s] of frames of which neither header nor name tells one.
    utc_offset
        Hours by which the clock of a camera that names no time zone is ahead of UTC.
    site_else
        Latitude, longitude east [deg] and height [m] of frames whose header names no site.
    """
    cards = Cards(header)
    notes = Notes()
    names = facts_from_name(path)
    traits = traits_of(cards)
    combined = int(_number(cards, notes, "combined", low=1) or 1)
    kind = _kind(cards, notes, names, combined)
    exposure = _exposure(cards, notes, names, kind, exposure_else)
    _note_refused_exposure(cards, notes, hdu, kind, exposure)
    cfa, row_order = read_cfa(cards, notes, shape, kind, _text(cards, notes, "instrument"))
    filter_text, filter_name = _filter(cards, notes, names, kind, cfa)
    gain_setting, egain, readout = _gain(cards, notes, names, traits)
    wcs_center, wcs_scale = read_wcs(header, cards, notes, shape)
    pixel_size, focal_length, scale = read_scale(cards, notes, _binning(cards, notes, names), wcs_scale)
    site = read_site(cards, notes, traits)
    if site is None and site_else is not None:
        site, notes.origins["site"] = site_else, "option"
    time = read_time(cards, notes, exposure, utc_offset, combined)
    night, night_origin = night_of(time, site, cards.text("DATE-LOC"))
    if night is not None:
        notes.origins["night"] = night_origin
    _note_repeated(cards, notes)
    return FrameFacts(
        path=path,
        hdu=hdu,
        shape=shape,
        dtype=dtype,
        kind=kind,
        filter=filter_name,
        filter_text=filter_text,
        exposure=exposure,
        gain_setting=gain_setting,
        egain=egain,
        offset=_offset(cards, notes, names),
        readout_mode=readout,
        temperature=_temperature(cards, notes, names, "temperature"),
        set_temperature=_temperature(cards, notes, names, "set_temperature"),
        binning=_binning(cards, notes, names),
        cfa=cfa,
        row_order=row_order,
        target=_target(cards, notes, names, kind),
        instrument=_text(cards, notes, "instrument"),
        telescope=_text(cards, notes, "telescope"),
        program=traits.program,
        time=time,
        night=night,
        site=site,
        pointing=wcs_center or read_pointing(cards, notes),
        focal_length=focal_length,
        aperture=_number(cards, notes, "aperture", low=1e-3),
        pixel_size=pixel_size,
        scale=scale,
        read_noise=_number(cards, notes, "read_noise", low=1e-3, high=1e4),
        saturation=_saturation(cards, notes, traits),
        pedestal=read_pedestal(cards, notes, traits),
        black_level=_number(cards, notes, "black_level", low=0.0),
        orientation=int(_number(cards, notes, "orientation", low=1, high=8) or 1),
        combined=combined,
        calibrated=_calibrated(cards, notes),
        adu_per_unit=_adu_per_unit(cards, traits, dtype),
        has_wcs=wcs_center is not None,
        origins=notes.origins,
        problems=notes.unique(),
        refused=tuple(notes.refused),
    )


def _text(cards: Cards, notes: Notes, fact: str) -> str:
    key = cards.first(word.key for word in dialects().keywords[fact])
    if key:
        notes.origins[fact] = key
    return cards.text(key)


def _number(
    cards: Cards, notes: Notes, fact: str, *, low: float | None = None, high: float | None = None
) -> float | None:
    """Return the first usable number of a fact; what is out of range is no value."""
    for word in dialects().keywords[fact]:
        if word.key not in cards:
            continue
        value = cards.number(word.key)
        if value is None:
            if cards.text(word.key):
                notes.add(f"{word.key} = '{cards.text(word.key)}' is no number")
            continue
        value *= word.factor
        for unit in dialects().table["unit_by_comment"]:
            if unit["fact"] == fact and any(text in cards.comment(word.key) for text in unit["contains"]):
                value = value * unit.get("factor", 1.0) + unit.get("add", 0.0)
        if (low is not None and value < low) or (high is not None and value > high):
            continue
        notes.origins[fact] = word.key
        return value
    return None


def _squash_empty(text: str) -> str:
    plain = squash(text)
    return "" if plain in dialects().table["empty"]["words"] else plain


def _kind(cards: Cards, notes: Notes, names: NameFacts, combined: int) -> str:
    """Return the kind of frame: the header first, then cards only combined images have, then names."""
    key = cards.first(word.key for word in dialects().keywords["kind"])
    said = dialects().kinds.get(_squash_empty(cards.text(key)), "")
    if key and not said and _squash_empty(cards.text(key)):
        notes.add(f"{key} = '{cards.text(key)}' names no kind of frame that is known")
    if said:
        notes.origins["kind"] = key
        said = _refined(said, notes, names, key)
    if not said:
        entry = next((e for e in dialects().table["kind_by_card"] if e["key"] in cards), None)
        if entry is not None:
            said, notes.origins["kind"] = str(entry["kind"]), entry["key"]
    if not said and names.kind:
        said, notes.origins["kind"] = names.kind, names.kind_from
    if not said:
        notes.origins["kind"] = "default"
        return "unknown"
    if combined > 1 and not said.startswith("master-"):
        notes.add(f"holds {combined} combined exposures, so it is taken as a master {said}")
        return f"master-{said}"
    return said


def _refined(said: str, notes: Notes, names: NameFacts, key: str) -> str:
    """Return the header's kind, made finer by names where they agree, with a problem where they do not."""
    plain = said.removeprefix("master-")
    named = names.kind.removeprefix("master-")
    if not named or named == plain:
        return names.kind if names.kind.startswith("master-") and not said.startswith("master-") else said
    if plain == "dark" and named == "dark-flat":
        notes.origins["kind"] = f"{key} and {names.kind_from}"
        return said.replace("dark", "dark-flat")
    if not (plain == "dark-flat" and named in {"dark", "flat"}):
        notes.add(f"{key} says {plain}, the {names.kind_from} says {named}; the header is believed")
    return said


def _exposure(cards: Cards, notes: Notes, names: NameFacts, kind: str, other: float | None) -> float | None:
    exposure = _number(cards, notes, "exposure", low=0.0, high=LONGEST_EXPOSURE)
    if exposure is None and names.exposure is not None:
        notes.origins["exposure"] = "file name"
        return names.exposure
    if exposure is None and kind.endswith("bias"):
        notes.origins["exposure"] = "default"
        return 0.0
    if exposure is None and other is not None:
        notes.origins["exposure"] = "option"
        return other
    step = cards.number("FRAMSTEP")
    if exposure is None and step is not None and step > 0:
        notes.origins["exposure"] = "FRAMSTEP"
        notes.add("names no exposure time; the time from frame to frame is taken, which may be longer")
        return step
    if exposure is None:
        notes.add("names no exposure time")
    elif exposure == 0 and kind.endswith(("light", "flat")):
        notes.add("says an exposure time of 0 s")
        return None if kind.endswith("light") else exposure
    return exposure


def _note_refused_exposure(cards: Cards, notes: Notes, hdu: int, kind: str, exposure: float | None) -> None:
    """Note every card of the exposure time that is none, and what is taken instead."""
    taken = notes.origins.get("exposure", "")
    for word in dialects().keywords["exposure"]:
        if word.key == taken and exposure is not None:
            return  # cards behind the one that is believed are not asked
        text, value = cards.text(word.key), cards.number(word.key)
        usable = value is not None and 0 <= value * word.factor <= LONGEST_EXPOSURE
        if not text or (usable and not (value == 0 and kind.endswith("light"))):
            continue
        instead = "the frame has none" if exposure is None else f"{exposure:g} s is taken ({taken})"
        problem = f"{word.key} = {text} (HDU {hdu}) is no exposure time; {instead}"
        notes.add(problem)
        notes.refused.append(problem)


def _filter(cards: Cards, notes: Notes, names: NameFacts, kind: str, cfa: str) -> tuple[str, str]:
    """Return the filter as written and its canonical name."""
    if kind.endswith(("bias", "dark", "dark-flat")):
        return "", ""
    text, origin = "", "default"
    key = cards.first(word.key for word in dialects().keywords["filter"])
    if key:
        text, origin = cards.text(key), key
    elif names.filter_text:
        text, origin = names.filter_text, "file name"
    name, known = canonical_filter(text) if text else ("Clear", True)
    if text and not known and not origin.endswith("name"):
        notes.origins["filter"] = f"{origin} (unknown name)"
    else:
        notes.origins["filter"] = origin
    return text, "OSC" if cfa and (is_open(name) or bayer_pattern(text)) else name


def _gain(
    cards: Cards, notes: Notes, names: NameFacts, traits: Traits
) -> tuple[float | None, float | None, str]:
    """Return the setting, the conversion gain [electron / adu] and the read-out mode."""
    egain = _number(cards, notes, "egain", low=1e-4, high=1e4)
    setting, readout = None, _text(cards, notes, "readout_mode")
    for word in dialects().keywords["gain"]:
        value = cards.number(word.key)
        if value is None:
            if cards.text(word.key) and not readout:  # such as ISOSPEED = 'Low Gain'
                readout, notes.origins["readout_mode"] = cards.text(word.key), word.key
            continue
        comments = dialects().table["gain"]["electron_comment"]
        if traits.gain == "electron/adu" or (
            not traits.gain and any(text in cards.comment(word.key) for text in comments)
        ):
            if egain is None and value > 0:
                egain, notes.origins["egain"] = value, f"{word.key} (electron/adu)"
        elif value >= 0:
            setting, notes.origins["gain_setting"] = value, word.key
        break
    if setting is None and names.gain is not None:
        setting, notes.origins["gain_setting"] = names.gain, "file name"
    return setting, egain, readout


def _offset(cards: Cards, notes: Notes, names: NameFacts) -> float | None:
    offset = _number(cards, notes, "offset", low=0.0)
    if offset is None and names.offset is not None:
        notes.origins["offset"] = "file name"
        return names.offset
    return offset


def _temperature(cards: Cards, notes: Notes, names: NameFacts, fact: str) -> float | None:
    value = _number(cards, notes, fact, low=-200.0, high=90.0)
    if value is None and fact == "temperature" and names.temperature is not None:
        notes.origins[fact] = "file name"
        return names.temperature
    return value


def _binning(cards: Cards, notes: Notes, names: NameFacts) -> tuple[int, int]:
    x = _number(cards, notes, "binning_x", low=1, high=16)
    y = _number(cards, notes, "binning_y", low=1, high=16)
    if x is not None:
        notes.origins["binning"] = notes.origins.pop("binning_x")
        notes.origins.pop("binning_y", None)
        return int(x), int(y if y is not None else x)
    key = cards.first(word.key for word in dialects().keywords["binning"])
    digits = [int(char) for char in cards.text(key) if char.isdigit() and char != "0"]
    if digits:
        notes.origins["binning"] = key
        return digits[0], digits[-1]
    if names.binning is not None:
        notes.origins["binning"] = "file name"
        return names.binning
    notes.origins["binning"] = "default"
    return 1, 1


def _target(cards: Cards, notes: Notes, names: NameFacts, kind: str) -> str:
    if not kind.endswith(("light", "unknown")):
        return ""
    text = _text(cards, notes, "target")
    if _squash_empty(text) and _squash_empty(text) not in dialects().table["empty"]["target"]:
        return text
    notes.origins.pop("target", None)
    if names.target:
        notes.origins["target"] = names.target_from
    return names.target


def _saturation(cards: Cards, notes: Notes, traits: Traits) -> float | None:
    value = _number(cards, notes, "saturation", low=1.0)
    if value is None and traits.saturation is not None:
        notes.origins["saturation"] = f"table ({traits.program})"
        return traits.saturation
    return value


def _adu_per_unit(cards: Cards, traits: Traits, dtype: str) -> float:
    """Return 65535 over the value of white, where floating-point numbers have one; else 1."""
    if not dtype.startswith("float"):
        return 1.0
    white = cards.number("XISFMAX")  # of XISF (where black is 0) and TIFF
    if white is not None and white > 0:
        return UNIT_FLOAT_ADU / white
    return UNIT_FLOAT_ADU if traits.unit_float else 1.0


def _calibrated(cards: Cards, notes: Notes) -> str:
    key = cards.first(word.key for word in dialects().keywords["calibrated"])
    letters = "".join(letter for letter in "BDF" if letter in cards.text(key).upper())
    if letters:
        notes.origins["calibrated"] = key
        return letters
    text = " | ".join(cards.notes).casefold()
    found = [entry["letters"] for entry in dialects().table["history"] if entry["contains"] in text]
    if found:
        notes.origins["calibrated"] = "HISTORY"
    return "".join(sorted(set(found)))


def _note_repeated(cards: Cards, notes: Notes) -> None:
    known = {word.key for words in dialects().keywords.values() for word in words} | {"DATE-OBS"}
    for key in cards.disagreements(sorted(known)):
        notes.add(f"{key} stands several times with different values; the first is believed")
