"""One night: every frame that the plan asks for, as pixels, header and truth, one after the other.

Deterministic: each frame has its own random stream from (seed, kind, number), so that leaving frames
out changes no others.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np
import numpy.typing as npt
from astropy.table import QTable

from sciastro.core.lift import in_order
from sciastro.simulate import camera, events
from sciastro.simulate.asteroids import Asteroid, add_asteroids, scatter_asteroids
from sciastro.simulate.bands import color_channels, star_rates
from sciastro.simulate.comet import add_comet, comet_place
from sciastro.simulate.dialects import DIALECTS, Card, Value, header_cards, spellings
from sciastro.simulate.landscape import add_landscape
from sciastro.simulate.nebula import Nebula, make_nebula
from sciastro.simulate.optics import Geometry, sky_to_pixel
from sciastro.simulate.plan import (
    SIDEREAL,
    FrameSpec,
    NightPlan,
    base_geometry,
    chance,
    middle_of,
    row_order,
    schedule,
    sky_cone,
)
from sciastro.simulate.psf import Psf, draw_halos, draw_stars
from sciastro.simulate.sky import add_nebula, all_stars, real_stars, sky_plane, sky_rate

__all__ = [
    "NightFrame",
    "Scene",
    "asteroids_of",
    "frame_rng",
    "frames_of",
    "light_rate",
    "make_scene",
    "night",
]

Plane = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

STREAM = {"light": 101, "flat": 102, "bias": 103, "dark": 104, "dark-flat": 105}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What stays the same all night.

    Attributes
    ----------
    stars
        Every star, brightest first: ra, dec, mag, color, invented.
    rates
        Electrons / s above the air, (star, channel), by band.
    transmission
        Vignetting, dust and pixel response by band, (y, x).
    cfa
        Color filter array as stored, empty for mono.
    """

    plan: NightPlan
    sensor: camera.Sensor
    stars: QTable
    rates: dict[str, Floats]
    transmission: dict[str, Plane]
    nebula: Nebula | None
    cfa: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NightFrame:
    """One file: where it goes, its pixels [adu, uint16, (y, x)], its header and how it came about."""

    path: str
    image: npt.NDArray[np.uint16]
    header: list[Card]
    spec: FrameSpec


def make_scene(plan: NightPlan, stars: QTable) -> Scene:
    """Return the sky and the camera of `plan`; `stars` as `sky.real_stars` wants them."""
    ra, dec, radius = sky_cone(plan)
    everything = all_stars(real_stars(stars), ra, dec, radius, plan.sky, plan.seed)
    sensor = camera.make_sensor(plan.camera, plan.seed)
    bands = plan.band_names
    return Scene(
        plan=plan,
        sensor=sensor,
        stars=everything,
        rates={
            band: star_rates(color_channels(band), everything["mag"], everything["color"], plan.telescope)
            for band in bands
        },
        transmission={band: camera.throughput(sensor, band) for band in bands},
        nebula=make_nebula(plan.sky.nebula, plan.ra, plan.dec, plan.sky.nebula_diameter, seed=plan.seed),
        cfa=camera.stored_cfa(plan.camera, row_order(plan)),
    )


def frame_rng(plan: NightPlan, spec: FrameSpec) -> np.random.Generator:
    """Return the source of chance of one frame: the same frame always gets the same."""
    return chance(plan, STREAM[spec.kind], spec.number, *spec.band.encode())


def light_rate(scene: Scene, spec: FrameSpec, rng: np.random.Generator) -> Plane:
    """Return the light that reaches the pixels of a light frame, after all losses [electron / s], (y, x).

    Raises
    ------
    TypeError
        If the frame is no light.
    """
    plan, geometry = scene.plan, spec.geometry
    if geometry is None:
        raise TypeError("only light frames have a geometry")
    channels = color_channels(spec.band)
    phase = camera.phase_of(scene.cfa)
    plane = np.zeros(geometry.shape, dtype=np.float32)
    add_nebula(plane, scene.nebula, geometry, channels, plan.sky, plan.telescope, phase)
    psf = Psf(fwhm=spec.fwhm, trail_x=spec.trail_x, trail_y=spec.trail_y, options=plan.psf)
    for share, where in _moments(plan, spec, geometry):
        x, y = sky_to_pixel(where, scene.stars["ra"], scene.stars["dec"])
        draw_stars(plane, x, y, share * scene.rates[spec.band], psf, phase)
        if plan.psf.halo > 0:
            draw_halos(plane, x, y, share * scene.rates[spec.band], psf, phase)
    if plan.comet.present:
        when = spec.start + timedelta(seconds=spec.exposure / 2)
        place = comet_place(plan.comet, plan.ra, plan.dec, middle_of(plan), when)
        add_comet(plane, plan.comet, place, geometry, channels, plan.telescope, psf, phase)
    if plan.asteroids.count:
        times = (middle_of(plan), spec.start, spec.exposure)
        color = plan.asteroids.color
        add_asteroids(plane, asteroids_of(plan), color, times, geometry, channels, plan.telescope, psf, phase)
    if spec.clouded:
        air = spec.transparency / plan.cloud_transparency
        plane *= np.float32(air) * events.cloud_plane(rng, geometry.shape, plan.cloud_transparency)
    else:
        plane *= np.float32(spec.transparency)
    _add_sky(plane, scene, spec, channels, phase)
    if plan.landscape > 0:
        levels = [sky_rate(name, plan.sky, plan.telescope, geometry.scale) for name in channels]
        add_landscape(
            plane, plan.landscape, levels, phase, psf, top_down=row_order(plan) == "TOP-DOWN", seed=plan.seed
        )
    if spec.satellite:
        level = 40 * sky_rate(channels[0], plan.sky, plan.telescope, geometry.scale)
        events.satellite(plane, rng, level, spec.fwhm)
    plane *= scene.transmission[spec.band]
    return plane


def asteroids_of(plan: NightPlan) -> tuple[Asteroid, ...]:
    """Return the asteroids of a night, where they are at `plan.middle_of`."""
    field = base_geometry(plan, plan.band_names[0], flipped=False)
    return scatter_asteroids(plan.asteroids, field, chance(plan, 77))


def _moments(plan: NightPlan, spec: FrameSpec, geometry: Geometry) -> list[tuple[float, Geometry]]:
    """Return moments of an exposure with their share of the light: several where the sky drifts meanwhile."""
    if plan.tracking:
        return [(1.0, geometry)]
    length = SIDEREAL * spec.exposure * 3600 / geometry.scale  # pixel
    nodes, weights = np.polynomial.legendre.leggauss(int(np.ceil(2 * length / spec.fwhm)) + 2)
    turn = SIDEREAL * spec.exposure / 2
    return [
        (float(weight) / 2, replace(geometry, ra=geometry.ra + turn * float(node)))
        for node, weight in zip(nodes, weights, strict=True)
    ]


def _add_sky(
    plane: Plane, scene: Scene, spec: FrameSpec, channels: tuple[str, ...], phase: npt.NDArray[np.int64]
) -> None:
    plan, geometry = scene.plan, spec.geometry
    if geometry is None:
        return
    sky = sky_plane(geometry, plan.ra, plan.dec, plan.sky, tracking=plan.tracking)
    levels = [spec.sky_factor * sky_rate(name, plan.sky, plan.telescope, geometry.scale) for name in channels]
    camera.add_by_channel(plane, sky, levels, phase)


def _image(scene: Scene, spec: FrameSpec) -> npt.NDArray[np.uint16]:
    plan, rng = scene.plan, frame_rng(scene.plan, spec)
    if spec.kind == "bias":
        return camera.bias(scene.sensor, rng)
    if spec.kind in ("dark", "dark-flat"):
        return camera.dark(scene.sensor, spec.exposure, rng)
    if spec.kind == "flat":
        transmission = scene.transmission[spec.band]
        return camera.flat(scene.sensor, transmission, plan.flat_level, spec.exposure, rng, scene.cfa)
    light = light_rate(scene, spec, rng)
    area = plan.camera.rows * plan.camera.columns * (plan.camera.pixel_size * 1e-4) ** 2
    hits, _ = events.cosmic_rays(rng, plan.camera.shape, plan.camera.cosmic_rays * area * spec.exposure)
    return camera.expose(scene.sensor, light, spec.exposure, rng, hits=hits)


def night(plan: NightPlan, stars: QTable) -> Iterator[NightFrame]:
    """Yield every frame of `plan`, in the order of the night.

    Parameters
    ----------
    stars
        Real stars at their place on the date: ``ra``, ``dec`` [deg], ``mag`` (V), ``color`` (B-V) [mag].

    Yields
    ------
    NightFrame
        One at a time: memory holds it, the next one and the scene.
    """
    scene = make_scene(plan, stars)
    yield from frames_of(scene)


def frames_of(scene: Scene, workers: int = 1) -> Iterator[NightFrame]:
    """Yield every frame of a scene (see `night`); any number of threads draws the same pixels.

    Memory holds the frame, one more per thread, and the scene.
    """
    specs = list(schedule(scene.plan))
    images = in_order(partial(_image, scene), specs, workers=workers)
    for spec, image in zip(specs, images, strict=True):
        values = _values(scene, spec)
        dialect = DIALECTS[scene.plan.program]
        path = dialect.path.format(**{**values, "filter": values["filter"] or "none"})
        yield NightFrame(path=path, image=image, header=header_cards(dialect, spec.kind, values), spec=spec)


def _values(scene: Scene, spec: FrameSpec) -> dict[str, Value | None]:
    plan, options = scene.plan, scene.plan.camera
    has_filter = spec.kind in ("light", "flat") and spec.band not in ("", "OSC")
    warmth = chance(plan, 9, *spec.kind.encode(), spec.number).normal(0, 0.08)
    facts: dict[str, Value | datetime | None] = {
        "start": spec.start,
        "exposure": float(spec.exposure),
        "kind": spec.kind,
        "number": spec.number,
        "band": spec.band if has_filter else "",
        "filter": spec.band if has_filter else None,
        "filter_wheel": "Simulated wheel" if has_filter else None,
        "target": plan.target,
        "ra": round(plan.ra + plan.pointing_error / 3600, 7),
        "dec": round(plan.dec - plan.pointing_error / 3600, 7),
        "altitude": round(spec.altitude, 5),
        "azimuth": round(spec.azimuth, 5),
        "airmass": round(spec.airmass, 5),
        "side": "East" if spec.flipped else "West",
        "side_upper": "EAST" if spec.flipped else "WEST",
        "latitude": plan.latitude,
        "longitude": plan.longitude,
        "elevation": plan.elevation,
        "binning": 1,
        "origin": 0,
        "gain": options.gain,
        "gain_setting": options.gain_setting,
        "offset_setting": options.offset_setting,
        "pixel_size": options.pixel_size,
        "camera": options.name,
        "temperature": options.temperature,
        "measured_temperature": round(options.temperature + float(warmth), 1),
        "cfa": options.cfa or None,
        "color_type": options.cfa or "MONO",
        "bayer_offset": 0 if options.cfa else None,
        "readout": "RAW Color" if options.cfa else "Monochrome",
        "telescope": "Simulated refractor",
        "focal_length": plan.telescope.focal_length,
        "aperture": plan.telescope.aperture,
        "focal_ratio": round(plan.telescope.focal_length / plan.telescope.aperture, 2),
        "scale": round(plan.scale, 4),
        "equinox": 2000.0,
        "equinox_int": 2000,
        "row_order": plan.row_order or DIALECTS[plan.program].row_order or None,
    }
    return spellings(facts)
