"""What a finished stack keeps, so that a later night can be added to it: ``stacks/<number>/``.

A generation holds hard links to the products (images, errors, bits, coverage) and a small state: which frames
are in with what was measured of them, the reference's stars, canvas and scale. ``stacks.json`` names the
generation that counts and is replaced in one step after everything else is written, so a crash leaves the
old one, whole.
"""

import json
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.history import package_version
from sciastro.core.stars import STAR_DTYPE, empty_stars
from sciastro.core.wcs import text_to_wcs, wcs_to_text
from sciastro.errors import FileError, OptionError
from sciastro.integrate.canvas import Canvas
from sciastro.integrate.weights import psf_signal
from sciastro.io.framefacts import FrameFacts
from sciastro.io.paths import atomic_path, output_errors
from sciastro.recipe.lights import Light, Measured, StackSet
from sciastro.recipe.masterplan import LightMatch
from sciastro.recipe.plan import Recipe
from sciastro.recipe.session import LightGroup
from sciastro.recipe.stacked import Stacked

__all__ = ["KeptBand", "KeptSet", "KeptStacks", "forget_stars", "keep_grown", "load_stacks", "save_stacks"]

SCHEMA = 1
POINTER = "stacks.json"
DECIDES = ("calibrate.", "measure.stars", "astrometry.register", "integrate.")
NEW_START = "To start anew, reduce both nights together without --add."
PLAIN = ("fwhm", "eccentricity", "elongation", "n_stars", "sha256", "gain", "read_noise", "saturation",
         "gain_source", "sky", "noise", "scales")  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptBand:
    """One image of a finished run.

    Attributes
    ----------
    path
        Its planes, as a product file that nobody changes.
    lights
        Frames in it.
    reference
        The frame whose sky level and transparency it has.
    base
        The frame that transparencies were measured against, with its stars.
    correlation, autocorrelation, method
        As in the product.
    """

    path: Path
    lights: list[Light]
    reference: Light
    base: Light
    correlation: float
    autocorrelation: npt.NDArray[np.float64]
    method: str


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptSet:
    """A set of images on one grid; `reference` has its stars, and `members` every frame that is in."""

    members: StackSet
    bands: dict[str, KeptBand]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptStacks:
    """Everything that can grow; `hashes` are of the files that are in, with their names."""

    folder: Path
    nights: int
    sets: list[KeptSet]
    hashes: dict[str, str] = field(default_factory=dict)

    def like(self, members: StackSet) -> KeptSet | None:
        """Return the set that `members` continue: same target, size, mosaic, binning."""
        for one in self.sets:
            if _grid(one.members) == _grid(members):
                return one
        return None


def _grid(members: StackSet) -> tuple[object, ...]:
    facts = members.lights[0].facts
    return members.target.casefold().replace(" ", ""), facts.shape, facts.cfa, facts.binning


def forget_stars(sets: Sequence[StackSet]) -> None:
    """Drop what only registration and grading need of all lights but the few that a later night is held to.

    A thousand frames' star lists and residuals are half a gigabyte.
    """
    for members in sets:
        special = {id(light) for light in (members.reference, *members.bases.values())}
        for light in members.lights:
            if light.measured is None or light.kept:
                continue
            light.signal = _signals(light)
            light.residuals = None
            if id(light) not in special:
                light.pairs = None
                light.measured = replace(light.measured, stars=empty_stars())


def _signals(light: Light) -> dict[str, float]:
    """Return the PSF signal of a light in each of its bands."""
    measured, seconds = light.measures, light.facts.exposure or float("nan")
    return light.signal or {
        band: psf_signal(measured.stars, seconds, noise / seconds) for band, noise in measured.noise.items()
    }


# --------------------------------------------------------------------------------------------- save
def save_stacks(
    out: Path, sets: Sequence[StackSet], stacked: Mapping[str, Sequence[Stacked]], recipe: Recipe, nights: int
) -> None:
    """Keep the products of a run as a new generation, and let ``stacks.json`` point to it.

    Parameters
    ----------
    stacked
        Stem of a set to its images; their planes are not needed any more.
    nights
        How many nights are in; what a longer history left of raw frames and masters is removed.

    Raises
    ------
    OutputError
        If the disk is full or cannot be written to.
    """
    generation = _generation(out) + 1
    folder = out / "stacks" / str(generation)
    with output_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    stars: dict[str, np.ndarray] = {}
    state = {
        "schema": SCHEMA, "version": package_version(), "nights": nights, "recipe": _deciding(recipe),
        "sets": [
            _set_state(members, stacked[members.stem], out, folder, stars)
            for members in sets
            if stacked.get(members.stem)
        ],
    }  # fmt: skip
    with output_errors(folder):
        np.savez(folder / "stars.npz", allow_pickle=False, **stars)
        shutil.copyfile(out / "summary.json", folder / "summary.json")
    pointer = {"schema": SCHEMA, "generation": generation}
    for path, content in ((folder / "state.json", state), (out / POINTER, pointer)):
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
    for old in (out / "stacks").iterdir():
        if old.name != str(generation):
            shutil.rmtree(old, ignore_errors=True)
    _remove_beyond(out, nights)


def _generation(out: Path) -> int:
    """Return the generation that counts, 0 where there is none."""
    try:
        return int(json.loads((out / POINTER).read_text(encoding="utf-8"))["generation"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _remove_beyond(out: Path, nights: int) -> None:
    """Remove raw frames and masters of nights that an earlier stack in this folder had."""
    for path in (*out.glob("frames-*.h5"), *out.glob("masters-*")):
        number = path.name.removesuffix(".h5").rpartition("-")[2]
        if number.isdecimal() and int(number) > nights:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _deciding(recipe: Recipe) -> dict[str, Any]:
    """Return the options that decide what the pixels of a stack are."""
    plain = json.loads(json.dumps(recipe.as_dict(), default=str))
    return {name: options for name, options in plain.items() if name.startswith(DECIDES)}


def _set_state(
    members: StackSet, stacked: Sequence[Stacked], out: Path, folder: Path, stars: dict[str, np.ndarray]
) -> dict[str, Any]:
    if members.reference is None:
        raise RuntimeError("a stack has a reference")
    bands = {}
    special = [members.reference]
    for one in stacked:
        _link(out / "products" / f"{one.file}.fits", folder / f"{one.file}.fits")
        base = members.bases.get(one.band, members.reference)
        special += [base]
        bands[one.band] = {
            "file": one.file, "correlation": one.noise_correlation, "method": one.method,
            "lights": [light.name for light in one.lights], "base": base.name,
            "autocorrelation": one.autocorrelation.tolist(),
            "reference": (one.reference or one.lights[0]).name,
        }  # fmt: skip
    inside = {light.name: light for one in stacked for light in one.lights}
    everyone = inside | {light.name: light for light in special}
    for light in {light.name: light for light in special}.values():
        key = f"{members.stem}/{light.name}"
        stars[f"{key}/stars"] = light.measures.stars.view(np.uint8)
        if light.pairs is not None:
            stars[f"{key}/pairs"] = light.pairs
    canvas = members.canvas
    return {
        "target": members.target, "stem": members.stem, "cfa": members.cfa, "bands": members.bands,
        "files": members.files, "reference": members.reference.name, "images": bands,
        "canvas": None if canvas is None else {
            "shape": canvas.shape, "origin": canvas.origin, "scale": canvas.scale, "extent": canvas.extent,
            "reason": canvas.reason, "wcs": "" if canvas.wcs is None else wcs_to_text(canvas.wcs),
        },
        "lights": [_light_state(light) for light in everyone.values()],
    }  # fmt: skip


def _link(product: Path, target: Path) -> None:
    """Keep a product under another name; it costs no space, and no later run writes into it."""
    with output_errors(target):
        try:
            os.link(product, target)
        except OSError:  # a file system without hard links
            shutil.copyfile(product, target)


def _light_state(light: Light) -> dict[str, Any]:
    measured = light.measures
    facts = {one.name: getattr(light.facts, one.name) for one in fields(light.facts)}
    facts["origins"] = dict(light.facts.origins)
    facts |= {name: facts[name] and facts[name].isoformat() for name in ("time", "night")}
    return {
        "facts": facts, "target": light.match.group.target, "reason": light.reason, "use": light.use,
        "measured": {name: getattr(measured, name) for name in PLAIN},
        "map": None if light.from_reference is None else light.from_reference.tolist(),
        "domain": None if light.domain is None else [float(one) for one in light.domain],
        "rms": light.registration_rms, "transparency": light.transparency, "weights": light.weights,
        "wcs": light.wcs, "signal": _signals(light), "panel": light.panel,
    }  # fmt: skip


# --------------------------------------------------------------------------------------------- load
def load_stacks(out: Path, recipe: Recipe) -> KeptStacks:
    """Return what an earlier run in `out` keeps.

    Raises
    ------
    OptionError
        If there is nothing that can grow, or it was made with other options.
    FileError
        If what is kept cannot be read.
    """
    if not (out / POINTER).is_file():
        raise OptionError(
            f"needs a finished stack, and {out} holds none.",
            where="--add",
            remedy="Reduce the first night without --add, at least until integrate.",
        )
    try:
        folder = out / "stacks" / str(_generation(out))
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        with np.load(folder / "stars.npz", allow_pickle=False) as file:
            stars = {name: file[name] for name in file.files}
        if state["schema"] != SCHEMA:
            raise OptionError(
                f"meets stacks of schema {state['schema']!r}, and this sciastro adds to those of {SCHEMA}.",
                where="--add",
                remedy=NEW_START,
            )
        _same_options(state["recipe"], _deciding(recipe))
        _one_panel(state["sets"])
        sets = [_set_of(one, folder, stars) for one in state["sets"]]
    except (
        OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise FileError(
            f"cannot be read: damaged, or changed by hand ({error}).",
            where=str(out / "stacks"),
            remedy=NEW_START,
        ) from error
    hashes = {light.measures.sha256: light.name for one in sets for light in one.members.lights}
    return KeptStacks(folder=folder, nights=int(state["nights"]), sets=sets, hashes=hashes)


def keep_grown(out: Path) -> None:
    """Refuse to replace a stack of several nights: one session cannot make it again.

    Raises
    ------
    OptionError
        If `out` holds one. What is kept and cannot be read is no stack that grows.
    """
    try:
        path = out / "stacks" / str(_generation(out)) / "state.json"
        nights = int(json.loads(path.read_text(encoding="utf-8"))["nights"])
    except (OSError, ValueError, LookupError, TypeError):
        return
    if nights > 1:
        raise OptionError(
            f"holds a stack of {nights} nights that was made with --add; this run would replace it.",
            where=f"--out {out}",
            remedy=f"Give --add, or another --out, or delete {out / POINTER} to start anew.",
        )


def _same_options(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for step, options in new.items():
        before = old.get(step, {})
        for name in options:
            if options[name] != before.get(name):
                raise OptionError(
                    f"is {options[name]}, and the stack was made with {before.get(name)}.",
                    where=f"{step}.{name}",
                    remedy=f"Add with the options of the stack (its recipe.toml). {NEW_START}",
                )


def _one_panel(sets: Sequence[Mapping[str, Any]]) -> None:
    for one in sets:
        if len({light["panel"] for light in one["lights"]}) > 1:
            raise OptionError(
                f"cannot be used: {one['target']} is a mosaic of panels, which are leveled all together.",
                where="--add",
                remedy="Reduce both nights together.",
            )


def _plain_names(state: Mapping[str, Any]) -> None:
    """Check that what products will be called is a name and leads nowhere else.

    Raises
    ------
    ValueError
        If it is not.
    """
    images = (image["file"] for image in state["images"].values())
    for name in (state["stem"], *state["files"].values(), *images):
        if not name or Path(name).name != name:
            raise ValueError(f"{name!r} is no name of a file")


def _set_of(state: Mapping[str, Any], folder: Path, stars: Mapping[str, np.ndarray]) -> KeptSet:
    _plain_names(state)
    lights = {light.name: light for light in map(_light_of, state["lights"])}
    for name, light in lights.items():
        key = f"{state['stem']}/{name}"
        if f"{key}/stars" in stars:
            light.measured = replace(light.measures, stars=stars[f"{key}/stars"].view(STAR_DTYPE))
            light.pairs = stars.get(f"{key}/pairs")
    bands = {}
    for band, image in state["images"].items():
        path = folder / f"{image['file']}.fits"
        if not path.is_file():
            raise FileError("does not exist.", where=str(path), remedy=NEW_START)
        bands[band] = KeptBand(
            path=path, lights=[lights[name] for name in image["lights"]],
            reference=lights[image["reference"]], base=lights[image["base"]],
            correlation=float(image["correlation"]),
            autocorrelation=np.array(image["autocorrelation"]), method=str(image["method"]),
        )  # fmt: skip
    inside = {light.name for band in bands.values() for light in band.lights}
    members = StackSet(
        target=state["target"], stem=state["stem"], cfa=state["cfa"], bands=list(state["bands"]),
        files=dict(state["files"]), lights=[light for name, light in lights.items() if name in inside],
        reference=lights[state["reference"]],
    )  # fmt: skip
    canvas = state["canvas"]
    if canvas is not None:
        members.canvas = Canvas(
            tuple(canvas["shape"]), tuple(canvas["origin"]), canvas["scale"],
            text_to_wcs(canvas["wcs"]) if canvas["wcs"] else None, canvas["extent"], canvas["reason"],
        )  # fmt: skip
    return KeptSet(members=members, bands=bands)


def _tupled(value: Any) -> Any:
    return tuple(_tupled(one) for one in value) if isinstance(value, list) else value


def _light_of(state: Mapping[str, Any]) -> Light:
    plain = {name: _tupled(value) for name, value in state["facts"].items()}
    plain["time"] = plain["time"] and datetime.fromisoformat(plain["time"])
    plain["night"] = plain["night"] and date.fromisoformat(plain["night"])
    facts = FrameFacts(**plain)
    group = LightGroup(
        id="", target=state["target"], band=facts.filter, exposure=facts.exposure, gain_setting=None,
        offset=None, temperature=facts.temperature, binning=facts.binning, shape=facts.shape, cfa=facts.cfa,
        instrument=facts.instrument, readout_mode="", night=facts.night, frames=(),
    )  # fmt: skip
    match = LightMatch(group, None, 1.0, None, None, None, ())
    measured = Measured(
        stars=empty_stars(),
        zero={},
        trails=np.empty((0, 5)),
        hits=np.empty(0, np.int64),
        meshes={},
        **state["measured"],
    )
    return Light(
        facts=facts, match=match, measured=measured, reason=state["reason"], use=state["use"],
        from_reference=None if state["map"] is None else np.array(state["map"]),
        domain=None if state["domain"] is None else np.array(state["domain"]),
        registration_rms=state["rms"], transparency=state["transparency"], weights=dict(state["weights"]),
        wcs=state["wcs"], signal=dict(state["signal"]), kept=True,
    )  # fmt: skip
