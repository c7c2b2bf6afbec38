"""Ready-made nights: small for tests, pretty for the demo, hard for acceptance, color for Bayer."""

import dataclasses
from collections.abc import Mapping

from sciastro.core.options import Options
from sciastro.errors import OptionError
from sciastro.simulate.bands import Telescope
from sciastro.simulate.camera import CameraOptions
from sciastro.simulate.plan import NightPlan
from sciastro.simulate.psf import PsfOptions
from sciastro.simulate.sky import SkyOptions

__all__ = ["PRESETS", "adjusted", "preset", "shrunk"]

_ROSETTE = SkyOptions(
    brightness=20.6,
    gradient=0.18,
    nebula="ring",
    nebula_diameter=1.05,
    nebula_emission=18.8,
    nebula_reflection=20.9,
)

PRESETS: dict[str, NightPlan] = {
    # The Rosette Nebula and its cluster NGC 2244, as a small refractor sees it: 0.7 x 1.1 degree.
    "demo": NightPlan(
        target="NGC 2244",
        ra=97.98,
        dec=4.94,
        bands="R,G,B",
        lights=5,
        exposure=90.0,
        biases=9,
        darks=7,
        flats=5,
        dither=12.0,
        rotation=8.0,
        distortion=1.2,
        seeing=6.2,
        camera=CameraOptions(rows=1000, columns=1500, name="Simulated 183MM Pro"),
        telescope=Telescope(aperture=71.0, focal_length=300.0, efficiency=0.6),
        sky=_ROSETTE,
        psf=PsfOptions(beta=3.6, halo=0.012),
    ),
    # A rich field of the winter Milky Way without a nebula, with everything that may go wrong.
    "acceptance": NightPlan(
        target="NGC 2168",
        ra=92.27,
        dec=24.35,
        bands="G,R",
        lights=12,
        exposure=120.0,
        biases=16,
        darks=12,
        flats=12,
        rotation=31.0,
        distortion=2.5,
        dither=30.0,
        scale_step=0.0004,
        seeing=4.6,
        clouded=4,
        trailed=7,
        satellite=10,
        camera=CameraOptions(rows=1200, columns=1600),
        telescope=Telescope(aperture=102.0, focal_length=450.0, efficiency=0.6),
        sky=SkyOptions(brightness=20.9, gradient=0.2, faintest=17.0),
    ),
    # The Heart of IC 1805 with a one-shot-color camera.
    "osc": NightPlan(
        target="IC 1805",
        ra=38.17,
        dec=61.47,
        date="2023-11-10",
        latitude=47.1,
        longitude=8.4,
        elevation=620.0,
        program="asiair",
        bands="OSC",
        lights=10,
        exposure=120.0,
        biases=0,
        darks=7,
        flats=8,
        dark_flats=8,
        dither=14.0,
        seeing=5.2,
        camera=CameraOptions(
            rows=1040, columns=1560, cfa="RGGB", name="ZWO ASI533MC Pro", gain=1.0, read_noise=1.5
        ),
        telescope=Telescope(aperture=72.0, focal_length=340.0, efficiency=0.6),
        sky=dataclasses.replace(
            _ROSETTE,
            brightness=20.3,
            nebula="cloud",
            nebula_diameter=0.9,
            nebula_emission=19.6,
            gradient=0.25,
        ),
        psf=PsfOptions(beta=3.8, halo=0.008),
    ),
    # A phone on a tripod that follows nothing: 4.7 mm behind 8.1 mm of diagonal (crop factor 5.35), 69 x 55
    # degrees, 135 frames in which the sky turns by 7 degrees behind a dark landscape. No calibration frames.
    "phone": NightPlan(
        target="Summer Milky Way",
        ra=303.0,
        dec=37.0,
        date="2024-08-05",
        latitude=46.5,
        longitude=9.8,
        elevation=1800.0,
        program="nina",
        bands="OSC",
        lights=135,
        exposure=12.0,
        overhead=0.45,
        tracking=False,
        landscape=0.13,
        biases=0,
        darks=0,
        flats=0,
        dither=0.0,
        flip=False,
        rotation=14.0,
        distortion=-250.0,
        pointing_error=0.0,
        seeing=140.0,
        seeing_scatter=0.02,
        camera=CameraOptions(
            rows=3024,
            columns=4032,
            pixel_size=1.605,
            cfa="RGGB",
            name="Simulated Phone",
            gain=0.1,
            read_noise=1.6,
            offset=1024.0,
            column_noise=0.3,
            dark_current=0.02,
            temperature=18.0,
            hot_pixels=2e-4,
            hot_rate=0.6,
            glow=0.0,
            prnu=0.008,
            vignetting=0.45,
            dust=0,
            full_well=6000.0,
            bits=14,
            cosmic_rays=0.005,
        ),
        telescope=Telescope(aperture=2.6, focal_length=4.7, efficiency=0.45),
        sky=SkyOptions(
            brightness=20.8,
            gradient=0.35,
            gradient_angle=194.0,
            drift=0.0,
            complete_to=9.4,
            faintest=9.5,
            most_invented=0,
        ),
        psf=PsfOptions(beta=3.2, elongation=0.15),
    ),
    # Seconds, not minutes: for tests and for trying options.
    "tiny": NightPlan(
        target="Tiny",
        bands="G",
        lights=4,
        exposure=60.0,
        biases=4,
        darks=3,
        flats=3,
        dither=6.0,
        flip_shift=6.0,
        distortion=0.5,
        seeing=4.5,
        camera=CameraOptions(rows=256, columns=320, dust=2),
        telescope=Telescope(aperture=102.0, focal_length=450.0, efficiency=0.6),
        sky=SkyOptions(least_density=200.0, faintest=16.0),
    ),
}


def preset(name: str) -> NightPlan:
    """Return the plan called `name`.

    Raises
    ------
    OptionError
        For an unknown name; the message lists the known ones.
    """
    if name not in PRESETS:
        raise OptionError(f"is {name!r}.", where="preset", remedy=f"Known presets: {', '.join(PRESETS)}.")
    return PRESETS[name]


def adjusted(plan: NightPlan, settings: Mapping[str, object]) -> NightPlan:
    """Return `plan` with other options.

    Parameters
    ----------
    settings
        By name, the parts with a dot: ``{"lights": 3, "camera.gain": "1.2"}``.

    Raises
    ------
    OptionError
        For an unknown option or a value out of range.
    """
    top: dict[str, object] = {}
    nested: dict[str, dict[str, object]] = {}
    for name, value in settings.items():
        part, _, inner = name.rpartition(".")
        (nested.setdefault(part, {}) if part else top)[inner] = value
    for part, values in nested.items():
        options = getattr(plan, part, None)
        if not isinstance(options, Options):
            raise OptionError(
                f"has no part '{part}'.", where="NightPlan", remedy=f"Its parts: {', '.join(_PARTS)}."
            )
        top[part] = type(options).from_mapping({**_shallow(options), **values})
    return NightPlan.from_mapping({**_shallow(plan), **top})


def shrunk(plan: NightPlan, factor: float) -> NightPlan:
    """Return `plan` with pixels `factor` times larger and accordingly fewer, over the same field.

    Shifts and distortion [pixel] follow; stars keep their width in pixels, and with it in noise.
    """
    rows, columns = (2 * round(n / factor / 2) for n in plan.camera.shape)
    camera = dataclasses.replace(
        plan.camera, rows=rows, columns=columns, pixel_size=plan.camera.pixel_size * factor
    )
    return dataclasses.replace(
        plan, camera=camera, distortion=plan.distortion / factor, dither=plan.dither / factor,
        flip_shift=plan.flip_shift / factor, seeing=plan.seeing * factor,
    )  # fmt: skip


_PARTS = ("telescope", "camera", "sky", "psf", "comet", "asteroids")


def _shallow(options: Options) -> dict[str, object]:
    return {item.name: getattr(options, item.name) for item in dataclasses.fields(options)}
