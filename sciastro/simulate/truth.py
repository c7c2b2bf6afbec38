"""The truth beside a simulated night: what the frames are of, exactly.

``truth.json`` holds the plan and one record per frame (the geometry in closed form and as a TAN-SIP
header, seeing, sky, transparency, events); ``stars.ecsv`` every star with its electrons / s per band
above the air. `Truth` reads them back and answers what tests ask.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import QTable
from scipy.spatial import cKDTree

from sciastro.core.options import Options
from sciastro.core.wcs import wcs_to_text
from sciastro.errors import FileError
from sciastro.simulate import optics
from sciastro.simulate.asteroids import AsteroidOptions
from sciastro.simulate.bands import Telescope, color_channels
from sciastro.simulate.camera import CameraOptions, Sensor, dark_rate_at, make_sensor, throughput
from sciastro.simulate.comet import CometOptions
from sciastro.simulate.nebula import make_nebula
from sciastro.simulate.night import Scene, frame_rng, light_rate
from sciastro.simulate.plan import FrameSpec, NightPlan, schedule, sky_cone
from sciastro.simulate.psf import PsfOptions
from sciastro.simulate.sky import SkyOptions, sky_plane, sky_rate

__all__ = ["FOLDER", "SCHEMA", "Truth", "frame_record", "plan_from", "save_truth", "star_table"]

Floats = npt.NDArray[np.float64]
SCHEMA = 1
FOLDER = "truth"


def frame_record(path: str, spec: FrameSpec) -> dict[str, Any]:
    """Return the JSON record of one frame; the unknown is null."""
    record: dict[str, Any] = {"path": path}
    for item in dataclasses.fields(spec):
        value = getattr(spec, item.name)
        if isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, float) and not np.isfinite(value):
            value = None
        elif isinstance(value, optics.Geometry):
            value = dataclasses.asdict(value)
        record[item.name] = value
    record["wcs"] = wcs_to_text(optics.frame_wcs(spec.geometry)) if spec.geometry else None
    return record


def star_table(scene: Scene, separation: float = 6.0) -> QTable:
    """Return every star of the scene: ra, dec, mag, color, invented, isolated, rate_<band>.

    Parameters
    ----------
    separation
        A star is isolated where no star of 1 % of its light is nearer than this many FWHM.
    """
    plan, table = scene.plan, QTable(scene.stars, copy=True)
    for band in plan.band_names:
        for channel, name in enumerate(color_channels(band)):
            table[f"rate_{name}"] = scene.rates[band][:, channel]
    ra, dec, _ = sky_cone(plan)
    # A plane in arcsec about the target: good enough for neighbors.
    x, y = optics.sky_to_pixel(optics.centered(ra, dec, 1.0, (1, 1)), table["ra"], table["dec"])
    table["isolated"] = _isolated(x, y, np.asarray(table["mag"]), separation * plan.seeing)
    return table


def _isolated(x: Floats, y: Floats, mag: Floats, radius: float) -> npt.NDArray[np.bool_]:
    alone = np.ones(x.size, dtype=bool)
    pairs = cKDTree(np.stack([x, y], axis=1)).query_pairs(radius, output_type="ndarray")
    for first, second in ((0, 1), (1, 0)):
        disturbed = mag[pairs[:, second]] < mag[pairs[:, first]] + 5
        alone[pairs[disturbed, first]] = False
    return alone


def save_truth(folder: Path, scene: Scene, records: Iterable[dict[str, Any]]) -> None:
    """Write ``truth.json`` and ``stars.ecsv`` into `folder`, which must exist."""
    document = {"schema": SCHEMA, "plan": scene.plan.as_dict(), "cfa": scene.cfa, "frames": list(records)}
    (folder / "truth.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    star_table(scene).write(folder / "stars.ecsv", format="ascii.ecsv", overwrite=True)


def plan_from(values: dict[str, Any]) -> NightPlan:
    """Return the plan that ``as_dict`` has written."""
    nested: dict[str, type[Options]] = {
        "telescope": Telescope,
        "camera": CameraOptions,
        "sky": SkyOptions,
        "psf": PsfOptions,
        "comet": CometOptions,
        "asteroids": AsteroidOptions,
    }
    plain = {key: value for key, value in values.items() if key not in nested}
    parts = {key: kind.from_mapping(values[key]) for key, kind in nested.items() if key in values}
    return NightPlan.from_mapping({**plain, **parts})


@dataclass(frozen=True, slots=True)
class Truth:
    """A simulated night's truth, read back.

    Attributes
    ----------
    plan
        The plan of the night.
    frames
        The record of each frame by its path below the session folder.
    stars
        See `star_table`.
    cfa
        Color filter array as stored; empty for mono.
    """

    plan: NightPlan
    frames: dict[str, dict[str, Any]]
    stars: QTable
    cfa: str

    @classmethod
    def load(cls, folder: Path | str) -> "Truth":
        """Read the truth of a session folder, or of its ``truth`` folder.

        Raises
        ------
        FileError
            Where there is none.
        """
        base = Path(folder)
        base = base if (base / "truth.json").is_file() else base / FOLDER
        source = base / "truth.json"
        if not source.is_file():
            raise FileError(
                "does not exist.", where=str(source), remedy="Give a folder made by `sciastro simulate`."
            )
        document = json.loads(source.read_text(encoding="utf-8"))
        if document.get("schema") != SCHEMA:
            raise FileError(
                f"has schema {document.get('schema')!r}.",
                where=str(source),
                remedy=f"This version reads schema {SCHEMA}.",
            )
        stars = QTable.read(base / "stars.ecsv", format="ascii.ecsv")
        frames = {record["path"]: record for record in document["frames"]}
        return cls(plan_from(document["plan"]), frames, stars, document["cfa"])

    def lights(self, band: str | None = None) -> list[str]:
        """Return the paths of the light frames, in order of time."""
        return [
            path
            for path, record in self.frames.items()
            if record["kind"] == "light" and band in (None, record["band"])
        ]

    def geometry(self, frame: str) -> optics.Geometry:
        """Return how a light frame lies on the sky."""
        values = self.frames[frame]["geometry"]
        return optics.Geometry(**{**values, "shape": tuple(values["shape"])})

    def sky_to_pixel(self, frame: str, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return exact pixel positions of `ra`, `dec` [deg] on `frame`."""
        return optics.sky_to_pixel(self.geometry(frame), ra, dec)

    def pixel_to_sky(self, frame: str, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return exact `ra`, `dec` [deg] of pixels of `frame`."""
        return optics.pixel_to_sky(self.geometry(frame), x, y)

    def star_rates(self, band: str) -> Floats:
        """Return electrons / s above the air per star; `band` may be a channel such as "OSC-R"."""
        return np.asarray(self.stars[f"rate_{band}"], dtype=np.float64)

    def sky_rate(self, frame: str, channel: str | None = None) -> float:
        """Return the sky at the target on the axis, before losses in the optics [electron / s / pixel].

        Parameters
        ----------
        channel
            One of the three channels of an OSC frame; None takes the frame's band (green for OSC).
        """
        record = self.frames[frame]
        name = channel or color_channels(record["band"])[len(color_channels(record["band"])) // 2]
        scale = self.geometry(frame).scale
        return float(record["sky_factor"]) * sky_rate(name, self.plan.sky, self.plan.telescope, scale)

    def sky_plane(self, frame: str, channel: str | None = None) -> npt.NDArray[np.float32]:
        """Return the sky over the frame without nebula, before losses [electron / s], (y, x)."""
        relative = sky_plane(
            self.geometry(frame), self.plan.ra, self.plan.dec, self.plan.sky,
            tracking=self.plan.tracking,
        )  # fmt: skip
        return relative * np.float32(self.sky_rate(frame, channel))

    def light(self, frame: str) -> npt.NDArray[np.float32]:
        """Return a light frame without noise and without losses: all its light [electron / s], (y, x).

        This is what calibration with perfect masters tends to: stars, nebula, sky, cloud and satellite, but
        neither dark current nor cosmic rays. Pixels without response are NaN.
        """
        record, plan = self.frames[frame], self.plan
        key = (record["kind"], record["band"], record["number"])
        spec = next(one for one in schedule(plan) if (one.kind, one.band, one.number) == key)
        names = color_channels(spec.band)
        transmission = self.transmission(spec.band)
        scene = Scene(
            plan=plan,
            sensor=self.sensor(),
            stars=self.stars,
            rates={spec.band: np.column_stack([self.star_rates(name) for name in names])},
            transmission={spec.band: transmission},
            nebula=make_nebula(plan.sky.nebula, plan.ra, plan.dec, plan.sky.nebula_diameter, seed=plan.seed),
            cfa=self.cfa,
        )
        light = light_rate(scene, spec, frame_rng(plan, spec))
        return np.divide(light, transmission, out=np.full_like(light, np.nan), where=transmission > 0)

    def sky_noise(self, frame: str, channel: str | None = None, *, transmission: float = 1.0) -> float:
        """Return the noise of one blank pixel of `frame` after flat-fielding [electron].

        Shot noise of sky and dark current, read noise and digitization, at the target; perfect masters,
        no defects.

        Parameters
        ----------
        transmission
            Vignetting (and pixel response) at the place that is asked about.
        """
        options, exposure = self.plan.camera, float(self.frames[frame]["exposure"])
        step = options.gain * 2 ** (16 - options.bits)
        light = self.sky_rate(frame, channel) * transmission * exposure
        current = options.dark_current * dark_rate_at(options.temperature) * exposure
        variance = light + current + options.read_noise**2 + step**2 / 12
        return float(np.sqrt(variance)) / transmission

    def ideal_noise(
        self, frames: Iterable[str], channel: str | None = None, *, transmission: float = 1.0
    ) -> float:
        """Return the noise of the best stack of `frames` [electron / s per pixel above the air].

        Inverse-variance weights of rates scaled to full transparency:
        ``1 / sqrt(sum((transparency * exposure / noise)**2))``.
        """
        total = 0.0
        for frame in frames:
            record = self.frames[frame]
            noise = self.sky_noise(frame, channel, transmission=transmission)
            total += (record["transparency"] * record["exposure"] / noise) ** 2
        return float(1 / np.sqrt(total)) if total > 0 else float("nan")

    def sensor(self) -> Sensor:
        """Return the camera: hot and dead pixels, dark current, structure."""
        return make_sensor(self.plan.camera, self.plan.seed)

    def transmission(self, band: str) -> npt.NDArray[np.float32]:
        """Return vignetting, dust and pixel response in `band`, (y, x): what a perfect flat shows."""
        return throughput(self.sensor(), band)
