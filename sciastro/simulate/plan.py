"""What a night consists of, and its schedule: when, where to, under which air.

Times come from the sidereal time of the site (the linear formula of the Astronomical Almanac: GMST =
280.46061837 deg + 360.98564736629 deg per day since J2000), which needs no tables from the network.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from sciastro.core.options import Options, option
from sciastro.errors import OptionError
from sciastro.simulate.asteroids import AsteroidOptions
from sciastro.simulate.bands import Telescope, band_named, color_channels
from sciastro.simulate.camera import CameraOptions
from sciastro.simulate.comet import CometOptions
from sciastro.simulate.dialects import DIALECTS
from sciastro.simulate.optics import Geometry, centered, pointed
from sciastro.simulate.psf import PsfOptions
from sciastro.simulate.sky import SkyOptions

__all__ = [
    "FrameSpec",
    "NightPlan",
    "base_geometry",
    "chance",
    "middle_of",
    "row_order",
    "schedule",
    "sky_cone",
]

SIDEREAL = 360.98564736629 / 86400  # turn of the sky [deg / s]
CLOUD_GLOW = 1.7  # sky behind a cloud over that of a clear night
J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class NightPlan(Options):
    """Everything that decides a simulated night."""

    target: str = option("Simulated field", "Name of the target.")
    ra: float = option(92.27, "Right ascension of the target.", unit="deg", low=0.0, high=360.0)
    dec: float = option(24.35, "Declination of the target.", unit="deg", low=-90.0, high=90.0)
    date: str = option("2024-01-13", "Evening of the night, YYYY-MM-DD.")
    latitude: float = option(28.3, "Latitude of the site.", unit="deg", low=-90.0, high=90.0)
    longitude: float = option(
        -16.51, "Longitude of the site, east positive.", unit="deg", low=-180.0, high=180.0
    )
    elevation: float = option(2390.0, "Height of the site.", unit="m", low=-500.0, high=9000.0)
    program: str = option("nina", "Capture program whose headers are written.", choices=tuple(DIALECTS))
    row_order: str = option("", "Row order instead of the program's.", choices=("", "TOP-DOWN", "BOTTOM-UP"))
    bands: str = option("R,G,B", "Filters, separated by commas; OSC for a Bayer sensor.")
    lights: int = option(6, "Light frames per band.", low=0, high=10000)
    exposure: float = option(60.0, "Exposure of the lights.", unit="s", low=0.001, high=36000.0)
    overhead: float = option(5.0, "Time between frames: download and dither.", unit="s", low=0.0, high=3600.0)
    tracking: bool = option(True, "The mount follows the sky; else frames drift and stars trail.")
    landscape: float = option(
        0.0, "Share of the picture that a landscape covers at its lower edge; it stays with the camera.",
        low=0.0, high=0.9,
    )  # fmt: skip
    files: str = option("fits", "Format of the raw files.", choices=("fits", "dng"))
    biases: int = option(10, "Bias frames.", low=0, high=1000)
    darks: int = option(8, "Dark frames of the lights' exposure.", low=0, high=1000)
    flats: int = option(6, "Flats per band.", low=0, high=1000)
    dark_flats: int = option(0, "Darks of the flats' exposure.", low=0, high=1000)
    flat_exposure: float = option(2.0, "Exposure of the flats.", unit="s", low=0.001, high=600.0)
    flat_level: float = option(0.45, "Level of the flats, of saturation.", low=0.001, high=3.0)
    rotation: float = option(
        12.0,
        "Position angle of the picture's upper edge before the flip.",
        unit="deg",
        low=-360.0,
        high=360.0,
    )
    mirrored: bool = option(False, "The telescope shows a mirror image.")
    distortion: float = option(1.5, "Displacement of the corners.", unit="pixel", low=-2000.0, high=2000.0)
    scale_step: float = option(0.0, "Relative change of scale from band to band.", low=-0.2, high=0.2)
    dither: float = option(15.0, "Largest dither.", unit="pixel", low=0.0, high=1000.0)
    flip: bool = option(True, "Meridian flip half-way.")
    flip_shift: float = option(25.0, "Pointing change by the flip.", unit="pixel", low=0.0, high=1000.0)
    flip_turn: float = option(
        0.25, "Rotation by the flip beyond 180 degrees.", unit="deg", low=-45.0, high=45.0
    )
    pointing_error: float = option(20.0, "Error of the header's pointing, each axis.", unit="arcsec", low=0.0)
    seeing: float = option(5.0, "FWHM of stars at the zenith.", unit="arcsec", low=0.1, high=900.0)
    seeing_scatter: float = option(0.06, "Its scatter from frame to frame.", low=0.0, high=0.5)
    haze: float = option(0.01, "Scatter of the transparency from frame to frame.", low=0.0, high=0.5)
    clouded: int = option(0, "Which light of each band is clouded; 0 none.", low=0)
    cloud_transparency: float = option(0.35, "Light that passes the cloud.", low=0.01, high=1.0)
    trailed: int = option(0, "Which light of each band is trailed; 0 none.", low=0)
    trail: float = option(9.0, "Length of the trail.", unit="pixel", low=0.0, high=200.0)
    satellite: int = option(0, "Which light of each band a satellite crosses; 0 none.", low=0)
    telescope: Telescope = option(Telescope(), "The telescope.")  # noqa: RUF009
    camera: CameraOptions = option(CameraOptions(), "The camera.")  # noqa: RUF009
    sky: SkyOptions = option(SkyOptions(), "The sky.")  # noqa: RUF009
    psf: PsfOptions = option(PsfOptions(), "The shape of stars.")  # noqa: RUF009
    comet: CometOptions = option(CometOptions(), "A comet.")  # noqa: RUF009
    asteroids: AsteroidOptions = option(AsteroidOptions(), "Asteroids.")  # noqa: RUF009
    seed: int = option(1, "Seed of everything random: invented stars, camera, noise.", low=0)
    night: int = option(
        0, "Number of the night: same sky and camera, other noise, dithers and weather.", low=0, high=100_000
    )

    def __post_init__(self) -> None:
        """Check every field and what must agree between them."""
        # Not super(): dataclass(slots=True) makes a new class, which the zero-argument form misses.
        Options.__post_init__(self)
        for name in self.band_names:
            color_channels(name)
        if ("OSC" in self.band_names) != bool(self.camera.cfa):
            raise OptionError(
                f"is {self.bands!r} with a color filter array of {self.camera.cfa!r}.",
                where="NightPlan.bands",
                remedy="Use bands='OSC' with a Bayer camera, and filters with a mono one.",
            )
        if self.files == "dng" and not self.camera.cfa:
            raise OptionError(
                "is 'dng' with a mono camera.", where="NightPlan.files", remedy="Give camera.cfa, or 'fits'."
            )
        try:
            datetime.fromisoformat(self.date)
        except ValueError as error:
            raise OptionError(
                f"is {self.date!r}.", where="NightPlan.date", remedy="Write YYYY-MM-DD."
            ) from error

    @property
    def band_names(self) -> tuple[str, ...]:
        """The bands, in order."""
        return tuple(name.strip() for name in self.bands.split(",") if name.strip())

    @property
    def scale(self) -> float:
        """Pixel scale of the first band [arcsec / pixel]."""
        return float(np.rad2deg(self.camera.pixel_size / self.telescope.focal_length / 1000) * 3600)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSpec:
    """One frame of the night, before its pixels.

    Attributes
    ----------
    number
        From 1, within its kind and band.
    start
        UTC.
    geometry
        Of light frames; None else.
    fwhm
        On the axis [pixel].
    transparency
        Mean fraction of a star's light that arrives: air, haze and cloud.
    sky_factor
        Sky relative to its nominal level.
    trail_x, trail_y
        Of the stars [pixel].
    """

    kind: str
    band: str
    number: int
    start: datetime
    exposure: float
    geometry: Geometry | None = None
    fwhm: float = float("nan")
    transparency: float = float("nan")
    sky_factor: float = float("nan")
    altitude: float = float("nan")
    azimuth: float = float("nan")
    airmass: float = float("nan")
    dx: float = float("nan")
    dy: float = float("nan")
    trail_x: float = 0.0
    trail_y: float = 0.0
    flipped: bool = False
    clouded: bool = False
    trailed: bool = False
    satellite: bool = False


def chance(plan: NightPlan, *parts: int) -> np.random.Generator:
    """Return the source of chance of one thing, named by numbers, on this night."""
    return np.random.default_rng([plan.seed, *parts, *([plan.night] if plan.night else [])])


def row_order(plan: NightPlan) -> str:
    """Return the order in which rows are stored; programs that say nothing store the top row first."""
    return plan.row_order or DIALECTS[plan.program].row_order or "TOP-DOWN"


def base_geometry(plan: NightPlan, band: str, *, flipped: bool = False) -> Geometry:
    """Return the geometry of an undithered frame in `band`."""
    top_down = row_order(plan) == "TOP-DOWN"
    parity = -1 if top_down != plan.mirrored else 1
    scale = plan.scale * (1 + plan.scale_step * plan.band_names.index(band))
    # +y points to the last row stored: down in the picture where the top row comes first.
    angle = plan.rotation + (180 if top_down else 0) + (180 + plan.flip_turn if flipped else 0)
    return centered(
        plan.ra,
        plan.dec,
        scale,
        plan.camera.shape,
        angle=angle % 360,
        parity=parity,
        at_corner=plan.distortion,
    )


def sky_cone(plan: NightPlan) -> tuple[float, float, float]:
    """Return center and radius [deg] of the sky that any frame of `plan` sees."""
    span = 0.0 if plan.tracking else SIDEREAL * (plan.exposure + plan.overhead) * plan.lights / 2
    reach = (
        span * 3600 / plan.scale
        + 0.5 * float(np.hypot(*plan.camera.shape))
        + plan.dither
        + plan.flip_shift
        + abs(plan.distortion)
        + 60
    )
    return plan.ra, plan.dec, reach * plan.scale * (1 + abs(plan.scale_step) * len(plan.band_names)) / 3600


def _hour_angle(plan: NightPlan, when: datetime) -> float:
    days = (when - J2000).total_seconds() / 86400
    return float((280.46061837 + 360.98564736629 * days + plan.longitude - plan.ra + 180) % 360 - 180)


def _transit(plan: NightPlan) -> datetime:
    """Return the first transit after local noon of the evening (a day later where that is too early)."""
    noon = datetime.fromisoformat(plan.date).replace(hour=12, tzinfo=UTC) - timedelta(
        hours=plan.longitude / 15
    )
    return noon + timedelta(days=(-_hour_angle(plan, noon) % 360) / 360.98564736629)


def _horizon(plan: NightPlan, when: datetime) -> tuple[float, float, float]:
    """Return altitude, azimuth [deg] and airmass (Kasten & Young 1989)."""
    h, d, phi = (np.deg2rad(a) for a in (_hour_angle(plan, when), plan.dec, plan.latitude))
    sine = np.sin(phi) * np.sin(d) + np.cos(phi) * np.cos(d) * np.cos(h)
    altitude = float(np.rad2deg(np.arcsin(np.clip(sine, -1, 1))))
    azimuth = float(
        np.rad2deg(
            np.arctan2(-np.cos(d) * np.sin(h), np.sin(d) * np.cos(phi) - np.cos(d) * np.cos(h) * np.sin(phi))
        )
    )
    seen = max(altitude, 1.0)
    airmass = 1 / (np.sin(np.deg2rad(seen)) + 0.50572 * (seen + 6.07995) ** -1.6364)
    return altitude, azimuth % 360, float(airmass)


def middle_of(plan: NightPlan) -> datetime:
    """Return the middle of the lights, when a comet is at the target's place (UTC)."""
    half = timedelta(seconds=plan.exposure + plan.overhead) * (plan.lights * len(plan.band_names) / 2)
    return _transit(plan) if plan.flip else _transit(plan) + timedelta(minutes=5) + half


def schedule(plan: NightPlan) -> Iterator[FrameSpec]:
    """Yield the night's frames: flats at dusk, lights around the transit, then darks and biases."""
    count = plan.lights * len(plan.band_names)
    step = timedelta(seconds=plan.exposure + plan.overhead)
    begin = _transit(plan) - step * (count / 2) if plan.flip else _transit(plan) + timedelta(minutes=5)
    dusk = begin - timedelta(hours=1.5)
    for band in plan.band_names:
        for number in range(1, plan.flats + 1):
            yield FrameSpec(kind="flat", band=band, number=number, start=dusk, exposure=plan.flat_exposure)
            dusk += timedelta(seconds=plan.flat_exposure + plan.overhead)
    for position, (band, number, flipped) in enumerate(_light_order(plan)):
        yield _light(plan, band, number, flipped, begin + step * position, begin)
    when = begin + step * count + timedelta(minutes=10)
    for kind, frames, exposure in (
        ("dark", plan.darks, plan.exposure),
        ("dark-flat", plan.dark_flats, plan.flat_exposure),
        ("bias", plan.biases, 0.0),
    ):
        for number in range(1, frames + 1):
            yield FrameSpec(kind=kind, band="", number=number, start=when, exposure=exposure)
            when += timedelta(seconds=exposure + plan.overhead)


def _light_order(plan: NightPlan) -> Iterator[tuple[str, int, bool]]:
    half = (plan.lights + 1) // 2 if plan.flip else plan.lights
    for flipped, numbers in ((False, range(1, half + 1)), (True, range(half + 1, plan.lights + 1))):
        for band in plan.band_names:
            for number in numbers:
                yield band, number, flipped


def _light(
    plan: NightPlan, band: str, number: int, flipped: bool, start: datetime, begin: datetime
) -> FrameSpec:
    rng = chance(plan, 5, number, *band.encode())
    r, angle = plan.dither * np.sqrt(rng.random()), 2 * np.pi * rng.random()
    dx, dy = float(r * np.cos(angle)), float(r * np.sin(angle))
    if flipped:
        turn = chance(plan, 6).uniform(0, 2 * np.pi)
        dx, dy = dx + plan.flip_shift * float(np.cos(turn)), dy + plan.flip_shift * float(np.sin(turn))
    altitude, azimuth, airmass = _horizon(plan, start + timedelta(seconds=plan.exposure / 2))
    dy *= -1 if row_order(plan) == "TOP-DOWN" else 1
    geometry = pointed(base_geometry(plan, band, flipped=flipped), dx, dy)
    if not plan.tracking:  # fixed to the ground: the same declination, and a right ascension that grows
        late = (start - middle_of(plan)).total_seconds() + plan.exposure / 2
        geometry = replace(geometry, ra=(geometry.ra + SIDEREAL * late) % 360)
    clear = 10 ** (
        -0.4 * band_named(color_channels(band)[len(color_channels(band)) // 2]).extinction * airmass
    )
    hours = (start - begin).total_seconds() / 3600
    fwhm = (
        plan.seeing
        / geometry.scale
        * airmass**0.6
        * float(np.exp(plan.seeing_scatter * rng.standard_normal()))
    )
    haze = float(np.exp(-plan.haze * abs(rng.standard_normal())))
    drift = float(rng.uniform(-0.4, 0.4)) + float(np.deg2rad(plan.rotation))
    spec = FrameSpec(
        kind="light",
        band=band,
        number=number,
        start=start,
        exposure=plan.exposure,
        geometry=geometry,
        fwhm=max(fwhm, 0.8),
        transparency=clear * haze,
        sky_factor=max(1 + plan.sky.drift * hours, 0.05),
        altitude=altitude,
        azimuth=azimuth,
        airmass=airmass,
        dx=dx,
        dy=dy,
        flipped=flipped,
    )
    return _with_mishaps(plan, spec, drift)


def _with_mishaps(plan: NightPlan, spec: FrameSpec, drift: float) -> FrameSpec:
    """Return the frame with the cloud, the trailing toward `drift` [rad] or the satellite planned for it."""
    if spec.number == plan.clouded:
        spec = replace(
            spec,
            clouded=True,
            transparency=spec.transparency * plan.cloud_transparency,
            sky_factor=spec.sky_factor * CLOUD_GLOW,
        )
    if spec.number == plan.trailed:
        spec = replace(
            spec,
            trailed=True,
            trail_x=float(plan.trail * np.cos(drift)),
            trail_y=float(plan.trail * np.sin(drift)),
        )
    return replace(spec, satellite=spec.number == plan.satellite)
