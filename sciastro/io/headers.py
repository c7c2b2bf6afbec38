"""One frame's header, in whatever dialect, as plain facts with their origin and their problems.

The tables (`dialects.toml`, `filters.toml`, `names.toml`) say how capture programs spell things; this module
reads the header by them, falls back to folder and file names, and notes where each fact came from.
"""

from astropy.io import fits

from sciastro.io.cards import Cards
from sciastro.io.dialects import Traits, dialects, traits_of
from sciastro.io.filenames import NameFacts, facts_from_name
from sciastro.io.framefacts import FrameFacts
from sciastro.io.headerkinds import note_refused_exposure, read_exposure, read_filter, read_kind
from sciastro.io.headerparts import (
    Notes,
    read_cfa,
    read_pedestal,
    read_pointing,
    read_scale,
    read_site,
    read_wcs,
)
from sciastro.io.headertimes import read_time
from sciastro.io.headervalues import number_of, plain_word, text_of
from sciastro.io.nights import night_of

__all__ = ["facts_from_header"]

UNIT_FLOAT_ADU = 65535.0


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
    cfa_else: str = "",
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
    cfa_else
        Colors of the sensor, row by row as stored, of frames whose header names none.
    """
    cards = Cards(header)
    notes = Notes()
    names = facts_from_name(path)
    traits = traits_of(cards)
    combined = int(number_of(cards, notes, "combined", low=1) or 1)
    kind = read_kind(cards, notes, names, combined)
    exposure = read_exposure(cards, notes, names, kind, exposure_else)
    note_refused_exposure(cards, notes, hdu, kind, exposure)
    cfa, row_order = read_cfa(cards, notes, shape, kind, text_of(cards, notes, "instrument"), cfa_else)
    filter_text, filter_name = read_filter(cards, notes, names, kind, cfa)
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
        instrument=text_of(cards, notes, "instrument"),
        telescope=text_of(cards, notes, "telescope"),
        program=traits.program,
        time=time,
        night=night,
        site=site,
        pointing=wcs_center or read_pointing(cards, notes),
        focal_length=focal_length,
        aperture=number_of(cards, notes, "aperture", low=1e-3),
        pixel_size=pixel_size,
        scale=scale,
        read_noise=number_of(cards, notes, "read_noise", low=1e-3, high=1e4),
        saturation=_saturation(cards, notes, traits),
        pedestal=read_pedestal(cards, notes, traits),
        black_level=number_of(cards, notes, "black_level", low=0.0),
        orientation=int(number_of(cards, notes, "orientation", low=1, high=8) or 1),
        combined=combined,
        calibrated=_calibrated(cards, notes),
        adu_per_unit=_adu_per_unit(cards, traits, dtype),
        has_wcs=wcs_center is not None,
        origins=notes.origins,
        problems=notes.unique(),
        refused=tuple(notes.refused),
    )


def _gain(
    cards: Cards, notes: Notes, names: NameFacts, traits: Traits
) -> tuple[float | None, float | None, str]:
    """Return the setting, the conversion gain [electron / adu] and the read-out mode."""
    egain = number_of(cards, notes, "egain", low=1e-4, high=1e4)
    setting, readout = None, text_of(cards, notes, "readout_mode")
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
    offset = number_of(cards, notes, "offset", low=0.0)
    if offset is None and names.offset is not None:
        notes.origins["offset"] = "file name"
        return names.offset
    return offset


def _temperature(cards: Cards, notes: Notes, names: NameFacts, fact: str) -> float | None:
    value = number_of(cards, notes, fact, low=-200.0, high=90.0)
    if value is None and fact == "temperature" and names.temperature is not None:
        notes.origins[fact] = "file name"
        return names.temperature
    return value


def _binning(cards: Cards, notes: Notes, names: NameFacts) -> tuple[int, int]:
    x = number_of(cards, notes, "binning_x", low=1, high=16)
    y = number_of(cards, notes, "binning_y", low=1, high=16)
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
    text = text_of(cards, notes, "target")
    if plain_word(text) and plain_word(text) not in dialects().table["empty"]["target"]:
        return text
    notes.origins.pop("target", None)
    if names.target:
        notes.origins["target"] = names.target_from
    return names.target


def _saturation(cards: Cards, notes: Notes, traits: Traits) -> float | None:
    value = number_of(cards, notes, "saturation", low=1.0)
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
