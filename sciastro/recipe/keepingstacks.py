"""What a run keeps of its stacks, so that a later night can be added: written once the products are there."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from sciastro.core.history import package_version
from sciastro.core.stars import empty_stars
from sciastro.core.wcs import wcs_to_text
from sciastro.integrate.weights import psf_signal
from sciastro.io.paths import atomic_path, output_errors
from sciastro.recipe.kept import POINTER, SCHEMA, deciding, generation_of
from sciastro.recipe.lights import Light, StackSet
from sciastro.recipe.plan import Recipe
from sciastro.recipe.stacked import Stacked

__all__ = ["forget_stars", "save_stacks"]

PLAIN = ("fwhm", "eccentricity", "elongation", "n_stars", "sha256", "gain", "read_noise", "saturation",
         "gain_source", "sky", "noise", "scales")  # fmt: skip


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
    generation = generation_of(out) + 1
    folder = out / "stacks" / str(generation)
    with output_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    stars: dict[str, np.ndarray] = {}
    state = {
        "schema": SCHEMA, "version": package_version(), "nights": nights, "recipe": deciding(recipe),
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


def _remove_beyond(out: Path, nights: int) -> None:
    """Remove raw frames and masters of nights that an earlier stack in this folder had."""
    for path in (*out.glob("frames-*.h5"), *out.glob("masters-*")):
        number = path.name.removesuffix(".h5").rpartition("-")[2]
        if number.isdecimal() and int(number) > nights:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


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
