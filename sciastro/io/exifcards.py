"""Exif tags as header cards, so that camera raw goes through the same reading of facts as FITS.

What Exif means is stated here once: its clock is local and marks the beginning of the exposure
(Exif 2.31, 4.6.5: DateTimeOriginal, OffsetTimeOriginal, SubSecTimeOriginal); ISO is the gain setting;
pixel sizes come from FocalPlaneXResolution, else from the focal length and its 35 mm equivalent
(CIPA DCG-001: equal views on the diagonal, 43.27 mm).
"""

import math
from datetime import UTC, datetime, timedelta, timezone

from astropy.io import fits

from sciastro.io.cards import add_card, clean
from sciastro.io.exif import Exif

__all__ = ["exif_header", "instrument_of"]

FULL_FRAME_DIAGONAL = 43.2666
MILLIMETERS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}
"""Of Exif's units of resolution (inch, centimeter, millimeter, micrometer)."""
SENSOR_PIXELS = (0.4, 30.0)
"""Pixel sizes [um] that sensors have; FocalPlaneXResolution is nonsense in some cameras."""


def exif_header(exif: Exif, shape: tuple[int, int]) -> fits.Header:
    """Return the facts that the tags of a frame tell, as cards.

    Parameters
    ----------
    shape
        Rows and columns of the visible pixels.
    """
    header = fits.Header()
    add_card(header, "INSTRUME", instrument_of(exif), "Make and model")
    _put_time(header, exif)
    exposure = exif.number(33434)
    if exposure is not None and exposure > 0:
        add_card(header, "EXPTIME", exposure, "[s]")
    add_card(header, "ISO", exif.number(34855) or exif.number(34866), "Sensitivity: the gain setting")
    _put_optics(header, exif, shape)
    _put_site(header, exif)
    add_card(header, "AMB-TEMP", exif.number(37888), "[deg C] of the air, not of the sensor")
    add_card(header, "SWCREATE", exif.text(305), "Program or firmware")
    note = exif.text(270)
    if note:
        header.add_comment(clean(note.encode("ascii", "replace").decode())[:400])
    turn = int(exif.number(274, exif.main) or 1)
    add_card(
        header, "ORIENTAT", turn if 1 <= turn <= 8 else 1, "TIFF code for viewing; pixels are not turned"
    )
    return header


def instrument_of(exif: Exif) -> str:
    """Return make and model, the make once."""
    make, model = exif.text(271), exif.text(272) or exif.text(50708)
    if not model or model.casefold().startswith(make.casefold().split(" ")[0]):
        return model or make
    return f"{make} {model}".strip()


# --------------------------------------------------------------------------------------------- time
def _put_time(header: fits.Header, exif: Exif) -> None:
    clock = _clock(exif)
    if clock is None:
        return
    zone, how = _zone(exif, clock)
    add_card(header, "DATE-LOC", clock.isoformat(timespec="milliseconds"), "Start, clock of the camera")
    if zone is None:
        add_card(header, "DATE-OBS", clock.isoformat(timespec="milliseconds"), "Start, clock of the camera")
        add_card(header, "TIMESYS", "LOCAL", "No tag tells the time zone")
        return
    start = clock.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
    add_card(header, "DATE-OBS", start.isoformat(timespec="milliseconds"), f"Start, UTC; zone by {how}")


def _clock(exif: Exif) -> datetime | None:
    """Return the camera's clock at the beginning of the exposure."""
    for tag in (36867, 306):
        try:
            clock = datetime.strptime(exif.text(tag)[:19], "%Y:%m:%d %H:%M:%S")
        except ValueError:  # unset, or damaged: the other tag may tell
            continue
        digits = "".join(char for char in exif.text(37521) if char.isdigit())
        return clock + timedelta(seconds=float(f"0.{digits}") if digits and tag == 36867 else 0.0)
    return None


def _zone(exif: Exif, clock: datetime) -> tuple[timezone | None, str]:
    """Return the zone of the clock: as written, or from the satellites' time to a quarter of an hour."""
    for tag in (36881, 36880):
        text = exif.text(tag)
        sign, digits = text[:1], text[1:].replace(":", "")
        if sign in {"+", "-"} and len(digits) == 4 and digits.isdigit() and int(digits) <= 1500:
            minutes = 60 * int(digits[:2]) + int(digits[2:])
            return timezone(timedelta(minutes=minutes if sign == "+" else -minutes)), "OffsetTime"
    satellite = _gps_time(exif)
    if satellite is not None:
        quarters = round((clock - satellite).total_seconds() / 900)
        if abs(quarters) <= 60 and abs((clock - satellite).total_seconds() - 900 * quarters) <= 300:
            return timezone(timedelta(minutes=15 * quarters)), "GPS time"
    return None, ""


def _gps_time(exif: Exif) -> datetime | None:
    date, time = exif.gps.get(29), exif.numbers(7, exif.gps)
    if not isinstance(date, str) or len(time) != 3 or not all(math.isfinite(part) for part in time):
        return None
    try:
        return datetime.strptime(date[:10], "%Y:%m:%d") + timedelta(
            hours=time[0], minutes=time[1], seconds=time[2]
        )
    except (ValueError, OverflowError):
        return None


# --------------------------------------------------------------------------------- optics and place
def _put_optics(header: fits.Header, exif: Exif, shape: tuple[int, int]) -> None:
    focal, ratio, wide = exif.number(37386), exif.number(33437), exif.number(41989)
    focal = focal if focal is not None and 0.5 < focal < 1e5 else None
    add_card(header, "FOCALLEN", focal, "[mm]")
    if focal is not None and ratio is not None and 0.3 < ratio < 200:
        add_card(header, "APTDIA", round(focal / ratio, 4), f"[mm] f/{ratio:.4g}")
    unit = MILLIMETERS.get(int(exif.number(41488) or 2))
    across = exif.number(41486)
    size = 1e3 * unit / across if unit and across and across > 0 else math.nan
    how = "FocalPlaneXResolution"
    if not SENSOR_PIXELS[0] <= size <= SENSOR_PIXELS[1] and focal and wide and wide >= focal:
        size, how = 1e3 * FULL_FRAME_DIAGONAL * focal / wide / math.hypot(*shape), "35 mm equivalent"
    if SENSOR_PIXELS[0] <= size <= SENSOR_PIXELS[1]:
        add_card(header, "XPIXSZ", round(size, 5), f"[um] by {how}")


def _put_site(header: fits.Header, exif: Exif) -> None:
    angles = []
    for tag, side, limit in ((2, "S", 90.0), (4, "W", 180.0)):
        parts = exif.numbers(tag, exif.gps)
        if len(parts) != 3 or not all(math.isfinite(part) and part >= 0 for part in parts):
            return
        angle = parts[0] + parts[1] / 60 + parts[2] / 3600
        said = str(exif.gps.get(tag - 1, "")).strip().upper()
        if angle > limit or said[:1] not in {"N", "S", "E", "W"}:
            return
        angles.append(-angle if said.startswith(side) else angle)
    add_card(header, "SITELAT", round(angles[0], 7), "[deg]")
    add_card(header, "SITELONG", round(angles[1], 7), "[deg] east")
    height = exif.number(6, exif.gps)
    if height is not None and math.isfinite(height):
        add_card(header, "SITEELEV", -height if exif.number(5, exif.gps) == 1 else height, "[m]")
