"""Which curves stand for the bands of a picture: those the user named, else a generic shape of their kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sciastro.errors import FileError, OptionError
from sciastro.io.curves import read_curves, split_name
from sciastro.photometry.atmosphere import air
from sciastro.photometry.bandpass import Bandpass, box, load, names
from sciastro.photometry.colormodel import white_reference
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.response import Response, make_response
from sciastro.photometry.spectra import Spectrum

__all__ = [
    "GAIA_SPECTRA",
    "LINES",
    "CameraCurves",
    "Site",
    "camera_curves",
    "check_color",
    "curve_of",
    "white_of",
]

LINES = {
    "Ha": 656.28, "OIII": 500.68, "SII": 672.4, "NII": 658.35, "Hb": 486.13, "OII": 372.7, "OI": 630.03,
    "HeII": 468.57, "SIII": 953.07,
}  # fmt: skip
"""Centers of narrow bands [nm]; of close doublets the middle."""

GAIA_SPECTRA = "gaia"  # what `ColorOptions.spectra` says for spectra that are fetched

SETS = ("dichroic", "bayer", "bessell", "sdss", "ps1", "gaia")
TOTAL = ("bayer", "bessell", "sdss", "ps1", "gaia", "tycho")  # these have the detector in them
_SENSOR = "color.sensor"  # where errors about it are
_GENERIC = {
    "R": "dichroic_R", "G": "dichroic_G", "B": "dichroic_B", "L": "luminance", "U": "bessell_U",
    "V": "bessell_V", "Bj": "bessell_B", "Rc": "bessell_R", "Ic": "bessell_I", "I": "bessell_I",
    "u": "sdss_u", "g": "sdss_g", "r": "sdss_r", "i": "sdss_i", "z": "sdss_z",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What light went through before the telescope: mean airmass (NaN unknown) and altitude [m]."""

    airmass: float = float("nan")
    altitude: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraCurves:
    """The response of a camera, and where it is from.

    Attributes
    ----------
    response
        None where a band has no curve; `reason` says which.
    told
        Band -> names of its curves.
    generic
        Bands whose curve is a generic shape, not one that the user named.
    """

    response: Response | None
    told: dict[str, str]
    generic: tuple[str, ...] = ()
    reason: str = ""


def curve_of(text: str, *, band: str = "", where: str = "color.filters") -> Bandpass:
    """Return a passband by what a user writes: a shipped name, a set, CENTER/WIDTH [nm], FILE or FILE#COLUMN.

    Parameters
    ----------
    band
        Picks one curve of a set (``dichroic``) or of a file with several columns.
    where
        Option that it is from, for errors.

    Raises
    ------
    OptionError, FileError
        For what is none of these, or a file that cannot be read as a curve.
    """
    key = text.strip()
    center, slash, width = key.partition("/")
    if slash and _is_number(center) and _is_number(width):
        return box(float(center), float(width))
    if key.lower() in SETS and band:
        return load(f"{key}_{_last(band)}")
    if key.lower() in {name.lower() for name in names()}:
        return load(key)
    path, column = split_name(key)
    if not path.is_file():
        known = f"Known: {', '.join((*SETS, *names()))}; or CENTER/WIDTH in nm; or FILE, FILE#COLUMN."
        number = f"Write its width, too: {key}/5 for 5 nm." if _is_number(key) else known
        raise OptionError(f"is {key!r}, which is no file and no name of a curve.", where=where, remedy=number)
    curves = read_curves(key)
    if not column and len(curves.columns) > 1 and band:
        column = _column_of(band, tuple(curves.columns), path)
    values = curves.only(column if len(curves.columns) > 1 else "")
    name = f"{path.stem}#{column}" if column else path.stem
    return Bandpass(
        name=name, wavelength=curves.wavelength, throughput=values,
        source="; ".join((path.name, *curves.notes)),
    )  # fmt: skip


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _last(band: str) -> str:
    """Return the color letter of "Duo_R", the filter itself otherwise."""
    return band.rsplit("_", 1)[-1]


def _column_of(band: str, columns: tuple[str, ...], path: Path) -> str:
    """Return the column of a file for `band`: by name, or the first three as red, green and blue."""
    letter = _last(band)
    words = {"R": ("r", "red"), "G": ("g", "green"), "B": ("b", "blue")}.get(letter, (letter.lower(),))
    for column in columns:
        if column.lower() in words or column.lower().rsplit("_", 1)[-1] in words:
            return column
    unnamed = len(columns) == 3 and all(column.lower().startswith("col") for column in columns)
    if unnamed and letter in "RGB":
        return columns["RGB".index(letter)]
    raise FileError(
        f"has no column for band {band!r} (its columns: {', '.join(columns[:12])}).", where=str(path),
        remedy="Write FILE#COLUMN.",
    )  # fmt: skip


def _filters(text: str) -> tuple[dict[str, str], list[str]]:
    """Return curves by band, and those that lie before every band."""
    own: dict[str, str] = {}
    before = []
    for part in (piece.strip() for piece in text.split(",")):
        name, equals, curve = part.partition("=")
        if equals and name.strip() and "/" not in name and "." not in name:
            own[name.strip()] = curve.strip()
        elif part:
            before.append(part)
    return own, before


def camera_curves(
    bands: Sequence[str], *, cfa: bool, options: ColorOptions, site: Site = Site()
) -> CameraCurves:
    """Return the response in `bands`, in their order.

    Parameters
    ----------
    cfa
        Whether the bands are the colors of one sensor.

    Raises
    ------
    OptionError, FileError
        For a curve that the user named and that cannot be had.
    """
    own, before = _filters(options.filters)
    if unknown := sorted(set(own) - set(bands) - {"L"}):
        raise OptionError(
            f"names {', '.join(unknown)}.", where="color.filters",
            remedy=f"The bands of the picture are {', '.join(bands)}.",
        )  # fmt: skip
    sets = [one for one in before if one.lower() in SETS]
    through = [curve_of(one) for one in before if one.lower() not in SETS]
    sensor = options.sensor.strip()
    found: dict[str, Bandpass] = {}
    generic = []
    for band in bands:
        text = own.get(band, sets[-1] if sets else "")
        curve, assumed = _band(band, text, sensor, cfa, options)
        if curve is None:
            return CameraCurves(
                response=None, told={},
                reason=f"no curve is known for filter {band!r} (color.filters={band}=FILE or CENTER/WIDTH)",
            )  # fmt: skip
        for one in through:
            curve = curve * one
        found[band] = curve
        generic += [band] if assumed else []
    told = {band: curve.name for band, curve in found.items()}
    response = make_response(found, _air(site) if options.atmosphere else None)
    return CameraCurves(response=response, told=told, generic=tuple(generic))


def _air(site: Site) -> Bandpass | None:
    """Return the air of a site; None where airmass is unknown."""
    if not np.isfinite(site.airmass):
        return None
    altitude = site.altitude if np.isfinite(site.altitude) else 0.0
    return air(min(max(site.airmass, 1.0), 38.0), altitude=min(max(altitude, -400.0), 8900.0))


def _band(
    band: str, text: str, sensor: str, cfa: bool, options: ColorOptions
) -> tuple[Bandpass | None, bool]:
    """Return a band's curve and whether it is a generic one."""
    if cfa and not text:
        return curve_of(sensor or "bayer", band=band, where=_SENSOR), not sensor
    if text:
        curve = curve_of(text, band=band)
        whole = text.lower().startswith(TOTAL) or (cfa and not sensor)
        return (curve if whole else curve * curve_of(sensor or "cmos", where=_SENSOR)), False
    if band in LINES:
        return box(LINES[band], options.narrow_width, name=band) * curve_of(
            sensor or "cmos", where=_SENSOR
        ), False
    if band not in _GENERIC:
        return None, False
    curve = load(_GENERIC[band])
    if _GENERIC[band].startswith(TOTAL):
        return curve, True
    return curve * curve_of(sensor or "cmos", where=_SENSOR), True


def check_color(options: ColorOptions) -> None:
    """Look at every curve and spectrum that the user named, before hours of work.

    Raises
    ------
    OptionError, FileError
        For what cannot be had.
    """
    white_of(options)
    own, before = _filters(options.filters)
    for band, text in own.items():
        curve_of(text, band=band)
    for text in before:
        if text.lower() not in SETS:
            curve_of(text)
    if options.sensor and options.sensor.lower() not in SETS:
        path, column = split_name(options.sensor)
        if path.is_file() and not column:
            read_curves(options.sensor)
        else:
            curve_of(options.sensor, where=_SENSOR)
    fetched = options.spectra.lower() == GAIA_SPECTRA
    if options.spectra and not fetched and not Path(options.spectra).expanduser().is_file():
        raise FileError(
            "does not exist.", where=options.spectra,
            remedy="Check the path in color.spectra, or say gaia to fetch Gaia's.",
        )  # fmt: skip


def white_of(options: ColorOptions) -> Spectrum | float:
    """Return the white reference: by name, a B-V, or a spectrum in a file.

    Raises
    ------
    OptionError, FileError
        For what is none of these.
    """
    path, column = split_name(options.white)
    if not options.white or not path.is_file():
        if path.suffix and not _is_number(options.white):
            raise FileError("does not exist.", where=str(path), remedy="Check the path in color.white.")
        return white_reference(options.white)
    curves = read_curves(options.white, negative=True)
    return Spectrum(
        name=path.stem + (f"#{column}" if column else ""), wavelength=curves.wavelength,
        flux=curves.only(column if len(curves.columns) > 1 else ""),
    )  # fmt: skip
