"""Which night a frame belongs to: from local noon to local noon."""

from datetime import date, datetime, timedelta

from sciastro.io.cards import parse_date

__all__ = ["night_of"]

NOON = timedelta(hours=12)


def night_of(
    time: datetime | None, site: tuple[float, float, float | None] | None, local: str = ""
) -> tuple[date | None, str]:
    """Return the date of the evening at which the night began, and where the local noon came from.

    Parameters
    ----------
    time
        UTC.
    site
        Latitude, longitude east [deg], height; mean solar time at the longitude sets the noon.
    local
        A stamp in local time (DATE-LOC), used where the site is unknown. Without either the noon is
        that of Greenwich.
    """
    if time is None:
        return None, ""
    if site is not None:
        return (time + timedelta(hours=site[1] / 15) - NOON).date(), "site longitude"
    stamp = parse_date(local) if local else None
    if stamp is not None and stamp[1] and abs(stamp[0] - time) < timedelta(hours=16):
        return (stamp[0] - NOON).date(), "DATE-LOC"
    return (time - NOON).date(), "UTC noon"
