"""Which band becomes which color of a picture: a table of what bands are, and a few plain rules."""

from collections.abc import Sequence
from dataclasses import dataclass

from sciastro.errors import OptionError

__all__ = ["Palette", "choose_palette"]

# Effective wavelength [nm] of the bands that capture programs name; only their order matters here.
WAVELENGTHS: dict[str, float] = {
    "u": 355, "U": 365, "B": 440, "g": 475, "Hb": 486.1, "OIII": 500.7, "G": 530, "V": 550, "r": 622,
    "R": 640, "Ha": 656.3, "NII": 658.3, "SII": 672.4, "i": 763, "I": 800, "z": 905, "Y": 1000,
    "y": 1000, "J": 1235, "H": 1662, "K": 2159,
}  # fmt: skip
LUMINANCE = ("L", "Lum", "Luminance", "Clear", "clear", "lum")
ALIASES = {
    "red": "R", "green": "G", "blue": "B", "halpha": "Ha", "h-alpha": "Ha", "ha": "Ha", "h_alpha": "Ha",
    "oiii": "OIII", "o3": "OIII", "sii": "SII", "s2": "SII", "nii": "NII", "n2": "NII",
    "gp": "g", "rp": "r", "ip": "i", "zp": "z", "up": "u", "g'": "g", "r'": "r", "i'": "i", "z'": "z",
    "u'": "u",
    "sdss_g": "g", "sdss_r": "r", "sdss_i": "i", "sdss_z": "z", "sdss_u": "u",
    "rc": "R", "ic": "I",
}  # fmt: skip
TRIPLES = (
    ("rgb", ("R", "G", "B")),
    ("sho", ("SII", "Ha", "OIII")),
    ("broadband", ("R", "V", "B")),
    ("broadband", ("i", "r", "g")),
    ("broadband", ("I", "R", "V")),
    ("broadband", ("r", "g", "u")),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """What feeds each channel.

    Attributes
    ----------
    name
        "rgb", "lrgb", "sho", "hoo", "broadband", "bicolor", "gray" or "custom".
    channels
        For red, green, blue (or one gray channel) the bands whose mean is shown.
    luminance
        Band that gives the brightness; empty where the channels do.
    left_out
        Bands that the picture does not show.
    """

    name: str
    channels: tuple[tuple[str, ...], ...]
    luminance: str = ""
    left_out: tuple[str, ...] = ()


def choose_palette(bands: Sequence[str], palette: str = "auto", custom: str = "") -> Palette:
    """Return how `bands` are shown.

    Parameters
    ----------
    bands
        Names as in the dataset.
    palette
        "auto", "rgb", "sho", "hoo", "bicolor" or "gray".
    custom
        Three bands for red, green, blue ("Ha,OIII,OIII"); wins over `palette`.

    Raises
    ------
    OptionError
        If the palette asks for bands that are not there.
    """
    known = {_canonical(band): band for band in reversed(bands)}
    if custom:
        return _custom(bands, known, custom)
    luminance = next((band for band in bands if band in LUMINANCE), "")
    colored = sorted((b for b in known if b in WAVELENGTHS), key=lambda band: -WAVELENGTHS[band])
    if palette == "gray" or len(bands) == 1:
        first = luminance or ("" if len(bands) > 1 else bands[0])
        chosen = (first,) if first else tuple(bands)
        return _made("gray", bands, (chosen,))
    if palette == "bicolor" or (palette == "auto" and len(colored) == 2 and set(colored) != {"Ha", "OIII"}):
        _need(palette, known, colored[:1] + colored[-1:] if len(colored) >= 2 else ["two colors"])
        red, blue = known[colored[0]], known[colored[-1]]
        return _made("bicolor", bands, ((red,), (red, blue), (blue,)), luminance)
    if palette == "hoo" or (palette == "auto" and set(colored) == {"Ha", "OIII"}):
        _need("hoo", known, ["Ha", "OIII"])
        ha, oiii = known["Ha"], known["OIII"]
        return _made("hoo", bands, ((ha,), (oiii,), (oiii,)), luminance)
    for name, triple in TRIPLES:
        if (palette in ("auto", name)) and all(band in known for band in triple):
            channels = tuple((known[band],) for band in triple)
            return _made("lrgb" if name == "rgb" and luminance else name, bands, channels, luminance)
    if palette != "auto":
        _need(palette, known, {"rgb": ["R", "G", "B"], "sho": ["SII", "Ha", "OIII"]}[palette])
    if len(colored) >= 3:
        picks = (colored[0], colored[len(colored) // 2], colored[-1])
        return _made("broadband", bands, tuple((known[band],) for band in picks), luminance)
    return _made("gray", bands, ((luminance,) if luminance else tuple(bands),))


def _canonical(band: str) -> str:
    return ALIASES.get(band.strip().lower(), band.strip()) if band not in WAVELENGTHS else band


def _made(
    name: str, bands: Sequence[str], channels: tuple[tuple[str, ...], ...], luminance: str = ""
) -> Palette:
    shown = {band for channel in channels for band in channel} | {luminance}
    return Palette(
        name=name, channels=channels, luminance=luminance, left_out=tuple(b for b in bands if b not in shown)
    )


def _custom(bands: Sequence[str], known: dict[str, str], custom: str) -> Palette:
    picks = [item.strip() for item in custom.split(",")]
    if len(picks) != 3:
        raise OptionError(
            f"is {custom!r}.", where="ComposeOptions.custom", remedy="Name three bands: red,green,blue."
        )
    names = [pick if pick in bands else known.get(_canonical(pick), "") for pick in picks]
    if "" in names:
        missing = picks[names.index("")]
        raise OptionError(
            f"asks for band {missing!r}.",
            where="ComposeOptions.custom",
            remedy=f"Bands here: {', '.join(bands)}.",
        )
    return _made("custom", bands, tuple((name,) for name in names))


def _need(palette: str, known: dict[str, str], wanted: Sequence[str]) -> None:
    missing = [band for band in wanted if band not in known]
    if missing:
        raise OptionError(
            f"is {palette!r}, and there is no {' and no '.join(missing)}.",
            where="ComposeOptions.palette",
            remedy=f"Bands here: {', '.join(reversed(known.values()))}. 'auto' takes what there is.",
        )
