"""What a finished stack keeps, so that a later night can be added to it: ``stacks/<number>/``, read back.

A generation holds hard links to the products (images, errors, bits, coverage) and a small state: which frames
are in with what was measured of them, the reference's stars, canvas and scale. ``stacks.json`` names the
generation that counts and is replaced in one step after everything else is written, so a crash leaves the
old one, whole.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.stars import STAR_DTYPE, empty_stars
from sciastro.core.wcs import text_to_wcs
from sciastro.errors import FileError, OptionError
from sciastro.integrate.canvas import Canvas
from sciastro.io.framefacts import FrameFacts
from sciastro.recipe.grouping import LightGroup
from sciastro.recipe.lights import Light, Measured, StackSet
from sciastro.recipe.masterplan import LightMatch
from sciastro.recipe.plan import Recipe

__all__ = [
    "POINTER",
    "SCHEMA",
    "deciding",
    "generation_of",
    "KeptBand",
    "KeptSet",
    "KeptStacks",
    "keep_grown",
    "load_stacks",
]

SCHEMA = 1
POINTER = "stacks.json"
DECIDES = ("calibrate.", "measure.stars", "astrometry.register", "integrate.")
NEW_START = "To start anew, reduce both nights together without --add."


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


def generation_of(out: Path) -> int:
    """Return the generation that counts, 0 where there is none."""
    try:
        return int(json.loads((out / POINTER).read_text(encoding="utf-8"))["generation"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def deciding(recipe: Recipe) -> dict[str, Any]:
    """Return the options that decide what the pixels of a stack are."""
    plain = json.loads(json.dumps(recipe.as_dict(), default=str))
    return {name: options for name, options in plain.items() if name.startswith(DECIDES)}


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
        folder = out / "stacks" / str(generation_of(out))
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        with np.load(folder / "stars.npz", allow_pickle=False) as file:
            stars = {name: file[name] for name in file.files}
        if state["schema"] != SCHEMA:
            raise OptionError(
                f"meets stacks of schema {state['schema']!r}, and this sciastro adds to those of {SCHEMA}.",
                where="--add",
                remedy=NEW_START,
            )
        _same_options(state["recipe"], deciding(recipe))
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
        path = out / "stacks" / str(generation_of(out)) / "state.json"
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
