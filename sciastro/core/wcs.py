"""World coordinates in one place: header text in, header text out, and what people ask of them.

A WCS travels as FITS header text (80-character cards joined by newlines) with its distortion kept
(``to_header(relax=True)``); pixel (0, 0) is the center of the first pixel here, FITS adds 1.
"""

import warnings
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from sciastro.errors import HeaderError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = [
    "celestial_from_header",
    "center",
    "footprint_radius",
    "moved",
    "parity",
    "pixel_scale",
    "resampled",
    "rotation",
    "tan_wcs",
    "text_to_wcs",
    "wcs_to_header",
    "wcs_to_text",
]

Floats = npt.NDArray[np.float64]

DATES = (
    "DATE-OBS", "MJD-OBS", "MJDREF", "MJDREFI", "MJDREFF", "TIMESYS", "DATE-AVG", "DATE-BEG", "DATE-END",
)  # fmt: skip


def wcs_to_header(wcs: "WCS") -> fits.Header:
    """Return the cards of `wcs`, SIP or TPV terms included, RADESYS ICRS without EQUINOX."""
    header = wcs.to_header(relax=True)
    for key in DATES:
        header.remove(key, ignore_missing=True)
    if wcs.sip is not None:
        for axis in (1, 2):
            name = header[f"CTYPE{axis}"]
            if not name.endswith("-SIP"):
                header[f"CTYPE{axis}"] = f"{name}-SIP"
    if header.get("RADESYS", "ICRS") == "ICRS":
        header["RADESYS"] = "ICRS"
        header.remove("EQUINOX", ignore_missing=True)
    return header


def wcs_to_text(wcs: "WCS") -> str:
    """Return `wcs` as FITS header text, one card per line; includes NAXIS sizes when known."""
    lines = _plain_lines(wcs)
    if lines is None:
        header = wcs_to_header(wcs)
        lines = [card.image.rstrip() for card in header.cards]
    elif wcs.sip is not None:
        for name, matrix in (("A", wcs.sip.a), ("B", wcs.sip.b), ("AP", wcs.sip.ap), ("BP", wcs.sip.bp)):
            lines += _sip_lines(name, matrix)
    if wcs.pixel_shape is not None:
        lines += [f"NAXIS{k + 1}  = {int(wcs.pixel_shape[k]):>20}" for k in range(2)]
    return "\n".join(lines)


def _plain_lines(wcs: "WCS") -> list[str] | None:
    """Return the cards of `wcs` but SIP as wcslib writes them, without what `wcs_to_header` takes out.

    None where a card would have to be changed. astropy takes 20 ms to make a header of them.
    """
    from astropy.wcs import WCSHDO_P14, WCSHDO_all

    if wcs.wcs is None or (wcs.sip is not None and not all(name.endswith("-SIP") for name in wcs.wcs.ctype)):
        return None
    text = wcs.wcs.to_header(WCSHDO_all | WCSHDO_P14)
    lines = [text[k : k + 80].rstrip() for k in range(0, len(text), 80)]
    if not any(line.startswith("RADESYS = 'ICRS'") for line in lines):
        return None
    kept = [line for line in lines if line[:8].rstrip() not in (*DATES, "EQUINOX", "COMMENT", "")]
    return None if any(line.startswith(("CPDIS", "CQDIS", "DP", "DQ")) for line in kept) else kept


def _sip_lines(name: str, matrix: Floats | None) -> list[str]:
    """Return the cards of one SIP polynomial as astropy writes them."""
    if matrix is None:
        return []
    way = "sky to detector" if name.endswith("P") else "detector to sky"
    size, key = len(matrix), f"{name}_ORDER"
    about = f"SIP polynomial order, axis {'AB'.index(name[0])}, {way}"
    lines = [f"{key:8}= {size - 1:>20} / {about}"]
    for i in range(size):
        for j in range(size - i):
            if matrix[i, j] != 0.0:
                key, value = f"{name}_{i}_{j}", str(matrix[i, j]).replace("e", "E")
                if len(value) > 20:
                    cut = value.find("E") if "E" in value else len(value)
                    value = value[: 20 - len(value) + cut] + value[cut:]
                lines.append(f"{key:8}= {value:>20} / SIP distortion coefficient")
    return lines


def text_to_wcs(text: str) -> "WCS":
    """Return the WCS of header text made by `wcs_to_text`.

    Raises
    ------
    HeaderError
        If the text holds no celestial coordinates.
    """
    header = fits.Header.fromstring("\n".join(line.ljust(80) for line in text.splitlines()), sep="\n")
    wcs = celestial_from_header(header)
    if wcs is None:
        raise HeaderError(
            "holds no celestial coordinates.", where="WCS text", remedy="Solve the frame first."
        )
    return wcs


def celestial_from_header(header: fits.Header) -> "WCS | None":
    """Return the two-dimensional celestial WCS of `header`, or None where it has none that works."""
    from astropy.wcs import WCS, FITSFixedWarning

    lean = header.copy()
    for key in DATES:  # nonsense there must not spoil the WCS
        lean.remove(key, ignore_missing=True, remove_all=True)
    if "CTYPE1" not in lean or "CTYPE2" not in lean:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            # SIP is of the first two axes, and astropy refuses it where colors are a third one.
            wcs = WCS(lean, fix=True, naxis=2 if "A_ORDER" in lean else None).celestial
    except (ValueError, TypeError, KeyError, MemoryError):  # wcslib's error classes derive from these
        return None
    if wcs.naxis != 2 or not wcs.has_celestial:
        return None
    if not np.all(np.isfinite(wcs.wcs.crval)) or abs(np.linalg.det(wcs.pixel_scale_matrix)) < 1e-20:
        return None
    if "NAXIS1" in header and "NAXIS2" in header and wcs.pixel_shape is None:
        wcs.pixel_shape = (int(header["NAXIS1"]), int(header["NAXIS2"]))
    return wcs


def tan_wcs(
    ra: float, dec: float, scale: float, shape: tuple[int, int], *, angle: float = 0.0, parity: int = 1
) -> "WCS":
    """Return a gnomonic WCS about the center of an image.

    Parameters
    ----------
    ra, dec
        Sky position of the image center [deg], ICRS.
    scale
        Pixel scale [arcsec / pixel].
    shape
        Rows and columns.
    angle
        Position angle of the +y axis, north through east [deg].
    parity
        +1 for the usual sky seen with y up (east left), -1 mirrored.
    """
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    # (xi, eta) of pixel steps: +y points to position angle `angle`, +x to angle - 90 deg (parity +1).
    wcs.wcs.cd = np.array([[-parity * c, s], [parity * s, c]]) * scale / 3600
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.pixel_shape = (shape[1], shape[0])
    wcs.wcs.set()
    return wcs


def moved(wcs: "WCS", dx: float, dy: float) -> "WCS":
    """Return `wcs` on a grid whose pixel (0, 0) lies at column `dx`, row `dy` [pixel] of the given grid."""
    from astropy.wcs import Sip

    out = wcs.deepcopy()
    out.wcs.crpix = np.asarray(wcs.wcs.crpix) - (dx, dy)
    if wcs.sip is not None:
        out.sip = Sip(wcs.sip.a, wcs.sip.b, wcs.sip.ap, wcs.sip.bp, out.wcs.crpix)
    out.wcs.set()
    return out


def resampled(wcs: "WCS", origin: tuple[float, float] = (0.0, 0.0), scale: float = 1.0) -> "WCS":
    """Return `wcs` on a grid that begins at pixel `origin` and has `scale` pixels in the place of one.

    A position x of the given grid lies at ``(x - origin_x) * scale + (scale - 1) / 2`` of the new one.
    """
    from astropy.wcs import Sip

    out = moved(wcs, *origin)
    if scale == 1.0:
        return out
    crpix = (np.asarray(out.wcs.crpix) - 0.5) * scale + 0.5
    out.wcs.crpix = crpix
    if out.wcs.has_cd():
        out.wcs.cd = out.wcs.cd / scale
    else:
        out.wcs.pc = np.asarray(out.wcs.pc) / scale  # not CDELT: wcslib bends (TPV) what PC makes of pixels
    if wcs.sip is not None:
        terms = [_rescaled(matrix, scale) for matrix in (wcs.sip.a, wcs.sip.b, wcs.sip.ap, wcs.sip.bp)]
        out.sip = Sip(*terms, crpix)
    if out.pixel_shape is not None:
        out.pixel_shape = tuple(round(n * scale) for n in out.pixel_shape)
    out.wcs.set()
    return out


def _rescaled(matrix: Floats | None, scale: float) -> Floats | None:
    """Return SIP terms A[p, q] for pixels `scale` times smaller: f' = scale f, u' = scale u."""
    if matrix is None:
        return None
    p, q = np.indices(matrix.shape)
    return np.asarray(matrix * scale ** (1.0 - p - q))


def _jacobian(wcs: "WCS") -> Floats:
    return np.asarray(wcs.pixel_scale_matrix, dtype=np.float64)


def pixel_scale(wcs: "WCS") -> float:
    """Return the pixel scale [arcsec / pixel] at the reference point: the root of the pixel's area."""
    return float(np.sqrt(abs(np.linalg.det(_jacobian(wcs)))) * 3600)


def parity(wcs: "WCS") -> int:
    """Return +1 for the sky as seen (east is left when north is up, y up), -1 for mirrored."""
    return 1 if np.linalg.det(_jacobian(wcs)) < 0 else -1


def rotation(wcs: "WCS") -> float:
    """Return the position angle [deg, -180 to 180] of the +y axis, north through east."""
    cd = _jacobian(wcs)
    return float(np.rad2deg(np.arctan2(cd[0, 1], cd[1, 1])))


def center(wcs: "WCS", shape: tuple[int, int]) -> tuple[float, float]:
    """Return RA and Dec [deg] of the center of an image with `shape` (rows, columns)."""
    ra, dec = wcs.all_pix2world((shape[1] - 1) / 2, (shape[0] - 1) / 2, 0)
    return float(ra), float(dec)


def footprint_radius(wcs: "WCS", shape: tuple[int, int]) -> float:
    """Return the radius [deg] of the circle about the center that holds every corner."""
    ra0, dec0 = np.deg2rad(center(wcs, shape))
    xs, ys = np.array([0, 0, shape[1] - 1, shape[1] - 1]), np.array([0, shape[0] - 1, 0, shape[0] - 1])
    ra, dec = np.deg2rad(wcs.all_pix2world(xs, ys, 0))
    cosine = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra - ra0)
    return float(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))).max())
