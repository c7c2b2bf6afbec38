"""Grid lines of right ascension and declination on an image, and the boundaries and lines of constellations.

The spacing follows the field (arcseconds to tens of degrees); lines cross RA = 0, go around poles, and are
cut at the border of the image. Everything comes out in pixels, ready to be drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import erfa
import numpy as np
import numpy.typing as npt

from sciastro.astrometry.onimage import Frame
from sciastro.astrometry.plane import separation

__all__ = ["Line", "boundaries", "clipped", "constellation_of", "dec_text", "figure", "graticule", "ra_text"]

Floats = npt.NDArray[np.float64]
Region = tuple[float, float, float, str]
B1875 = (2415020.31352, (1875.0 - 1900.0) * 365.242198781)  # Besselian epoch (Lieske 1979), two parts

DEC_STEPS = (  # degrees
    30.0, 20.0, 10.0, 5.0, 2.0, 1.0, 0.5, 1 / 3, 1 / 6, 1 / 12, 1 / 30, 1 / 60, 1 / 120, 1 / 180, 1 / 360,
    1 / 720, 1 / 1800, 1 / 3600,
)  # fmt: skip
RA_STEPS = tuple(  # degrees; 3 h to 0.1 s
    15 * hours
    for hours in (
        3, 2, 1, 1 / 2, 1 / 3, 1 / 6, 1 / 12, 1 / 30, 1 / 60, 1 / 120, 1 / 180, 1 / 360, 1 / 720, 1 / 1800,
        1 / 3600, 1 / 7200, 1 / 18000, 1 / 36000,
    )
)  # fmt: skip
LINES = 4.5  # about so many across the image
POINTS = 240  # per line


@dataclass(frozen=True, slots=True)
class Line:
    """A line on an image.

    Attributes
    ----------
    kind
        "ra", "dec" or "boundary", "figure".
    label
        Such as "16h 42m" or "+36° 30′"; "" for none.
    x, y
        Pieces [pixel], each an array of points in order.
    """

    kind: str
    label: str
    x: tuple[Floats, ...]
    y: tuple[Floats, ...]


def graticule(frame: Frame, lines: float = LINES) -> list[Line]:
    """Return the grid lines that cross an image.

    Parameters
    ----------
    frame
        The image.
    lines
        How many across it, about.
    """
    height, width = frame.shape
    span = frame.scale / 3600 * min(height, width) if frame.radius < 20 else 1.4 * frame.radius
    low, high = _dec_range(frame)
    dec_step = min(DEC_STEPS, key=lambda step: abs(np.log(step * lines / span)))
    pole = high >= 90 or low <= -90
    shrink = np.cos(np.radians(min(abs(low), abs(high)) if pole else abs(frame.dec)))
    if pole:
        ra_step = 15.0 * (3 if abs(frame.dec) > 89 and frame.radius < 5 else 2 if frame.radius < 15 else 1)
    else:
        ra_step = min(RA_STEPS, key=lambda step: abs(np.log(step * max(shrink, 1e-3) * lines / span)))
    out = []
    west, east = _ra_range(frame)
    parallels = np.arange(np.ceil(low / dec_step), np.floor(high / dec_step) + 1) * dec_step
    parallels = parallels[np.abs(parallels) < 90 - 1e-9]
    for dec in parallels:
        ra = np.linspace(west, east, POINTS * (3 if east - west > 90 else 1))
        out += _line(frame, "dec", dec_text(float(dec), dec_step), ra, np.full_like(ra, dec))
    top = max(parallels, default=high) if high >= 90 else high
    bottom = min(parallels, default=low) if low <= -90 else low
    for k in range(int(np.ceil(west / ra_step)), int(np.floor(east / ra_step)) + 1):
        if east - west >= 360 and k * ra_step >= west + 360 - 1e-9:
            break
        whole = round(k * ra_step) % 90 == 0 and abs(k * ra_step - round(k * ra_step)) < 1e-9
        # all meridians meet at a pole: only each sixth hour goes all the way
        dec = np.linspace(low if whole else bottom, high if whole else top, POINTS)
        out += _line(frame, "ra", ra_text(k * ra_step % 360, ra_step), np.full_like(dec, k * ra_step), dec)
    return out


def _dec_range(frame: Frame) -> tuple[float, float]:
    """Return the declinations [deg] that the border of the image reaches, with a pole that is on it."""
    x, y = _border(frame.shape)
    _, dec = frame.sky(x, y)
    low, high = float(np.nanmin(dec)), float(np.nanmax(dec))
    for sign in (1, -1):
        px, py = frame.pixels(0.0, 90.0 * sign)
        if frame.inside(px, py):
            low, high = (low, 90.0) if sign > 0 else (-90.0, high)
    return low, high


def _ra_range(frame: Frame) -> tuple[float, float]:
    """Return the right ascensions [deg] of the image, from west to east, 360 apart where it holds a pole."""
    for dec in (90.0, -90.0):
        if frame.inside(*frame.pixels(0.0, dec)):
            return 0.0, 360.0
    ra, _ = frame.sky(*_border(frame.shape))
    offset = (ra - frame.ra + 180) % 360 - 180
    return frame.ra + float(np.nanmin(offset)), frame.ra + float(np.nanmax(offset))


def _border(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return points on the border of an image, and some inside, since the corners of a fisheye are no sky."""
    height, width = shape
    gx, gy = np.meshgrid(np.linspace(0, width - 1, 25), np.linspace(0, height - 1, 25))
    x, y = np.linspace(-0.5, width - 0.5, 60), np.linspace(-0.5, height - 0.5, 60)
    return (
        np.concatenate([x, x, np.full(60, -0.5), np.full(60, width - 0.5), gx.ravel()]),
        np.concatenate([np.full(60, -0.5), np.full(60, height - 0.5), y, y, gy.ravel()]),
    )


def _line(frame: Frame, kind: str, label: str, ra: Floats, dec: Floats) -> list[Line]:
    xs, ys = clipped(frame, *frame.pixels(ra % 360, dec, margin=0.6))
    return [Line(kind, label, xs, ys)] if xs else []


def clipped(frame: Frame, x: Floats, y: Floats) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
    """Return the pieces of a line of points (n,) [pixel] that lie on the image, their ends on its border."""
    inside = frame.inside(x, y)
    if inside.all():
        return (x,), (y,)
    xs: list[Floats] = []
    ys: list[Floats] = []
    n = len(x)
    start = None
    for i in range(n + 1):
        here = i < n and bool(inside[i])
        if here and start is None:
            start = i
        elif not here and start is not None:
            px, py = list(x[start:i]), list(y[start:i])
            if start > 0:
                cut = _cut(frame, (x[start], y[start]), (x[start - 1], y[start - 1]))
                px, py = [cut[0], *px], [cut[1], *py]
            if i < n:
                cut = _cut(frame, (x[i - 1], y[i - 1]), (x[i], y[i]))
                px, py = [*px, cut[0]], [*py, cut[1]]
            if len(px) > 1:
                xs.append(np.array(px))
                ys.append(np.array(py))
            start = None
    return tuple(xs), tuple(ys)


def _cut(frame: Frame, at: tuple[float, float], out: tuple[float, float]) -> tuple[float, float]:
    """Return where the way from a point on the image to one outside meets the border."""
    if not np.isfinite(out).all():
        return at
    share = 1.0
    for k, size in enumerate((frame.shape[1], frame.shape[0])):
        step = out[k] - at[k]
        for edge in (-0.5, size - 0.5):
            if (out[k] - edge) * (at[k] - edge) < 0:
                share = min(share, (edge - at[k]) / step)
    return at[0] + share * (out[0] - at[0]), at[1] + share * (out[1] - at[1])


def ra_text(ra: float, step: float) -> str:
    """Return a right ascension [deg] with as many parts as a step [deg] needs."""
    digits = max(0, int(np.ceil(-np.log10(step / 15 * 3600) - 1e-9)))
    seconds = round(ra / 15 * 3600, digits) % 86400
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    text = f"{int(hours)}ʰ"
    if step < 15 - 1e-9:
        text += f"{int(minutes):02d}ᵐ"
    if step < 0.25 - 1e-9:
        text += f"{seconds:0{2 + (digits + 1 if digits else 0)}.{digits}f}ˢ"
    return text


def dec_text(dec: float, step: float) -> str:
    """Return a declination [deg] with as many parts as a step [deg] needs."""
    seconds = round(abs(dec) * 3600)
    degrees, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    text = f"{'−' if dec < 0 else '+' if dec > 0 else ''}{degrees}°"
    if step < 1 - 1e-9:
        text += f"{minutes:02d}′"
    if step < 1 / 60 - 1e-9:
        text += f"{seconds:02d}″"
    return text


# ---------------------------------------------------------------------------------- constellations
def _to_b1875() -> Floats:
    """Return the matrix from ICRS to the mean equator of B1875 (IAU 1976 precession)."""
    return np.asarray(erfa.pmat76(*B1875))


def constellation_of(ra: float, dec: float, regions: Sequence[Region]) -> str:
    """Return the three letters of the constellation of a position (ICRS, deg).

    Parameters
    ----------
    regions
        Roman's table (1987, PASP 99, 695): RA from, to [h], lowest Dec [deg] in B1875, name; from north to
        south, the first that fits counts.
    """
    vector = _to_b1875() @ np.asarray(erfa.s2c(np.radians(ra), np.radians(dec)))
    a, d = erfa.c2s(vector)
    hours, declination = np.degrees(a) / 15 % 24, np.degrees(d)
    for low, high, south, name in regions:
        if declination >= south and low <= hours < high:
            return name
    return regions[-1][3]


def boundaries(frame: Frame, regions: Sequence[Region]) -> list[Line]:
    """Return the boundaries of the constellations on an image.

    The table tells areas; their edges are drawn where the names on both sides differ.
    """
    out = []
    back = _to_b1875().T
    for ra, dec in _edges(regions):
        vectors = np.asarray(erfa.s2c(np.radians(15 * ra), np.radians(dec))) @ back.T
        a, d = erfa.c2s(vectors)
        x, y = frame.pixels(np.degrees(a) % 360, np.degrees(d), margin=0.3)
        xs, ys = clipped(frame, x, y)
        if xs:
            out.append(Line("boundary", "", xs, ys))
    return out


def _edges(regions: Sequence[Region]) -> list[tuple[Floats, Floats]]:
    """Return the edges between constellations in B1875: RA [h] and Dec [deg] of points a degree apart."""
    ras = np.unique([r for low, high, *_ in regions for r in (low % 24, high % 24)])
    decs = np.unique([south for *_, south, _ in regions] + [-90.0, 90.0])
    names = sorted({name for *_, name in regions})
    grid = np.full((len(decs) - 1, len(ras)), -1)
    for low, high, south, name in regions:  # the first that fits counts
        columns = (ras >= low) & (ras < high)
        rows = decs[:-1] >= south
        free = np.ix_(rows, columns)
        grid[free] = np.where(grid[free] < 0, names.index(name), grid[free])
    edges = []
    ends = np.append(ras[1:], ras[0] + 24)
    for i in range(1, len(grid)):  # along parallels
        for start, stop in _runs(grid[i] != grid[i - 1]):
            edges.append((float(ras[start]), float(ends[stop - 1]), float(decs[i]), float(decs[i])))
    for j in range(len(ras)):  # along meridians
        for start, stop in _runs(grid[:, j] != grid[:, j - 1]):
            edges.append((float(ras[j]), float(ras[j]), float(decs[start]), float(decs[stop])))
    out = []
    for a0, a1, d0, d1 in edges:
        length = max((a1 - a0) * 15 * np.cos(np.radians(d0)), d1 - d0)
        n = max(2, int(length * 2) + 1)
        out.append((np.linspace(a0, a1, n), np.linspace(d0, d1, n)))
    return out


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return begin and end (exclusive) of every run of True."""
    padded = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(padded == 1).tolist(), np.flatnonzero(padded == -1).tolist(), strict=True))


def figure(frame: Frame, ends: tuple[float, float, float, float]) -> Line | None:
    """Return a line between two stars (RA, Dec, RA, Dec [deg]) along the great circle; None off the image."""
    a, b = (np.asarray(erfa.s2c(*np.radians(ends[k : k + 2]))) for k in (0, 2))
    if min(separation(frame.ra, frame.dec, *ends[:2]), separation(frame.ra, frame.dec, *ends[2:])) > (
        frame.radius + 40
    ):
        return None
    t = np.linspace(0, 1, 60)[:, None]
    points = a * (1 - t) + b * t
    ra, dec = erfa.c2s(points / np.linalg.norm(points, axis=1)[:, None])
    xs, ys = clipped(frame, *frame.pixels(np.degrees(ra) % 360, np.degrees(dec), margin=0.6))
    return Line("figure", "", xs, ys) if xs else None
