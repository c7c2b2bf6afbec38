"""What a run keeps in ``frames.h5`` and, when asked, as intermediate FITS frames."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from sciastro.calibrate.debayer import phase_offset
from sciastro.core import transform
from sciastro.core import vocabulary as v
from sciastro.core.history import entry
from sciastro.core.vocabulary import VariableSpec
from sciastro.core.wcs import center, moved, text_to_wcs
from sciastro.errors import FileError
from sciastro.integrate.align import effect_of
from sciastro.integrate.fuse import resampler_of
from sciastro.integrate.grid import Tile, input_window
from sciastro.integrate.options import AlignOptions, settled
from sciastro.integrate.resample import resample
from sciastro.io.filenames import stem
from sciastro.io.fitsunits import number_of
from sciastro.io.linked import LinkedBlock, Original, link, original_of
from sciastro.io.paths import safe_name, unlike
from sciastro.io.product_cards import ProductFacts
from sciastro.io.products import write_frame
from sciastro.io.reader import probe
from sciastro.io.store import StoreGroup, create, root_text, write_columns
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.context import Context
from sciastro.recipe.lights import Light, StackSet, bands_of
from sciastro.recipe.masterbank import MasterBank
from sciastro.recipe.masterfiles import store_master
from sciastro.recipe.plan import Recipe
from sciastro.recipe.quality import airmass_of
from sciastro.recipe.timing import barycentric, bjd_card, span_of

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["create_store", "linked_blocks", "keep_frames", "originals_of", "store_facts", "store_masters"]


def create_store(
    path: Path, lights: Sequence[Light], root: Path, *, mark: str, resume: bool, linked: bool = False
) -> None:
    """Give every light its place in the store and make the file, or take over the one that is there.

    Parameters
    ----------
    mark
        Fingerprint of the run, kept in the file: only a file of the same run is taken over.
    resume
        Take it over, if it is there.
    linked
        Leave raw pixels in their files.
    """
    members: dict[tuple[object, ...], list[Light]] = {}
    for light in lights:
        facts = light.facts
        members.setdefault((facts.shape, facts.dtype, facts.cfa), []).append(light)
    layout = []
    for number, group in enumerate(members.values()):
        name = f"lights_{number}"
        for index, light in enumerate(group):
            light.store, light.index = name, index
        shape = (len(group), *group[0].facts.shape)
        layout.append(
            StoreGroup(
                name=name,
                shape=shape,
                dtype=np.dtype(group[0].facts.dtype),
                facts=header_facts(group),
                linked=linked,
            )
        )
    if resume and path.exists() and root_text(path, "run") == mark:
        return
    create(path, layout, {"title": root.name or "session", "source": "sciastro", "run": mark})


def linked_blocks(lights: Sequence[Light], root: Path) -> dict[str, LinkedBlock]:
    """Return where the raw pixels of `lights` lie in the session, by group of the store."""
    members: dict[str, list[Light]] = {}
    for light in sorted(lights, key=lambda light: light.index):
        if light.store:
            members.setdefault(light.store, []).append(light)
    return {
        name: link([(root / light.facts.path, light.facts.hdu) for light in group])
        for name, group in members.items()
    }


def originals_of(lights: Sequence[Light], root: Path, store: Path) -> dict[str, Original]:
    """Return the files of `lights` that may be read again instead of their copies in `store`, by name."""
    found = {light.name: original_of(root / light.facts.path, light.facts.hdu, store) for light in lights}
    return {name: original for name, original in found.items() if original is not None}


def _text(values: Sequence[str]) -> np.ndarray:
    return np.array(list(values), dtype=object)


def header_facts(lights: Sequence[Light]) -> dict[VariableSpec, np.ndarray]:
    """Return the coordinates that headers tell, one entry per light."""
    facts = [light.facts for light in lights]

    def number(values: Sequence[float | None]) -> np.ndarray:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    time = np.array(
        [
            np.datetime64("NaT") if one.time is None else np.datetime64(one.time.replace(tzinfo=None), "us")
            for one in facts
        ],
        dtype="datetime64[us]",
    )
    return {
        v.TIME: time,
        v.EXPOSURE: number([one.exposure for one in facts]),
        v.FILTER: _text(["OSC" if one.cfa and not one.filter else one.filter or "Clear" for one in facts]),
        v.TARGET: _text([light.match.group.target for light in lights]),
        v.PATH: _text([one.name for one in facts]),
        v.TEMPERATURE: number([one.temperature for one in facts]),
        v.CFA: _text([one.cfa for one in facts]),
        v.AIRMASS: np.array([airmass_of(light) for light in lights]),
        v.BINNING: _text([f"{one.binning[0]}x{one.binning[1]}" for one in facts]),
        v.SITE_LATITUDE: number([one.site[0] if one.site else None for one in facts]),
        v.SITE_LONGITUDE: number([one.site[1] if one.site else None for one in facts]),
        v.SITE_HEIGHT: number([one.site[2] if one.site else None for one in facts]),
        v.TELESCOPE_APERTURE: number([one.aperture and one.aperture / 1000 for one in facts]),
    }


def store_facts(path: Path, lights: Sequence[Light], recipe: Recipe) -> None:
    """Write what pass 1, registration and grading found, as per-frame coordinates with their history."""
    by_group: dict[str, list[Light]] = {}
    for light in sorted(lights, key=lambda light: (light.store, light.index)):
        if light.store:
            by_group.setdefault(light.store, []).append(light)
    steps = ("calibrate.correct", "measure.stars", "astrometry.register", "integrate.grade")
    history = "\n".join(entry(step, recipe.options[step]) for step in steps)
    for name, group in by_group.items():
        times, meaning = barycentric(group)
        columns = _measured_facts(group) | {v.BJD_TDB: times}
        write_columns(path, name, columns, {"history": history}, {v.BJD_TDB.name: meaning})


def _measured_facts(lights: Sequence[Light]) -> dict[VariableSpec, np.ndarray]:
    def values(name: str) -> np.ndarray:
        return np.array(
            [getattr(light.measured, name) if light.measured is not None else np.nan for light in lights]
        )

    seconds = np.array([light.facts.exposure or np.nan for light in lights])

    def rate(name: str) -> np.ndarray:
        means = [
            np.mean(list(getattr(light.measured, name).values())) if light.measured is not None else np.nan
            for light in lights
        ]
        return np.asarray(np.array(means, dtype=np.float64) / seconds)

    return {
        v.FWHM: values("fwhm"),
        v.ECCENTRICITY: values("eccentricity"),
        v.ELONGATION: values("elongation"),
        v.SKY: rate("sky"),
        v.NOISE: rate("noise"),
        v.N_STARS: np.array(
            [light.measured.n_stars if light.measured is not None else 0 for light in lights]
        ),
        v.GAIN: values("gain"),
        v.READ_NOISE: values("read_noise"),
        v.SATURATION: values("saturation"),
        v.GAIN_SOURCE: _text(
            [light.measured.gain_source if light.measured is not None else "" for light in lights]
        ),
        v.SHA256: _text([light.measured.sha256 if light.measured is not None else "" for light in lights]),
        v.TRANSPARENCY: np.array([light.transparency for light in lights]),
        v.WEIGHT: np.array([light.weight for light in lights]),
        v.USE: np.array([light.use for light in lights]),
        v.REASON: _text([light.reason for light in lights]),
        v.WCS: _text([light.wcs for light in lights]),
        v.FROM_REFERENCE: _maps(lights),
    }


def _maps(lights: Sequence[Light]) -> np.ndarray:
    known = [light.from_reference for light in lights if light.from_reference is not None]
    degree = max((transform.degree_of(one.shape[1]) for one in known), default=1)
    out = np.full((len(lights), 2, transform.n_terms(degree)), np.nan)
    for i, light in enumerate(lights):
        if light.from_reference is not None:
            out[i] = transform.pad(light.from_reference, degree)
    return out


def store_masters(path: Path, bank: MasterBank) -> None:
    """Copy the finished masters that are not yet there into the store."""
    for name in bank.files:
        master = bank.load(name) if name not in bank.stored else None
        if master is not None:
            store_master(path, name, master)


def keep_frames(
    kinds: Sequence[str],
    sets: Sequence[StackSet],
    calibrator: Calibrator,
    recipe: Recipe,
    context: Context,
    *,
    adding: bool = False,
) -> None:
    """Export calibrated or registered frames as FITS: SCI, ERR, DQ in electron.

    With `adding`, frames of earlier nights stay, those of the same name, too: cameras count anew each night.
    """
    taken: set[str] = set()
    for members in sets:
        for light in members.lights:
            if light.measured is None:
                continue
            for band in bands_of(light.facts):
                facts = _facts_of(light, band, members.target)
                name = unlike(_file_name(light, band), taken)
                while adding and _is_of_another(name, kinds, facts, context.out):
                    name = unlike(_file_name(light, band), taken)
                _export(light, band, f"{name}.fits", kinds, members, calibrator, recipe, context, facts)


def _is_of_another(name: str, kinds: Sequence[str], facts: ProductFacts, out: Path) -> bool:
    """Return whether a kept frame has this name that is not the one of `facts`, by its time and noise."""
    for kind in kinds:
        path = out / kind / f"{name}.fits"
        if kind != "xisf" and path.exists():
            try:
                header = probe(path)[0].header
            except FileError:  # damaged: not ours to write over
                return True
            noise = number_of(header, "SKYNOISE", np.nan)
            same_noise = np.isclose(noise, facts.measured["noise"], rtol=1e-9, equal_nan=True)
            if header.get("DATE-AVG", "") != facts.date_average or not same_noise:
                return True
    return False


def _file_name(light: Light, band: str) -> str:
    path, _, number = light.name.partition("#")
    plain = stem(PurePosixPath(path.replace("/", "_"))) + (f"_{number}" if number else "")
    name = safe_name(plain, default="frame")
    return f"{name}_{safe_name(band)}" if light.facts.cfa else name


def _facts_of(light: Light, band: str, target: str) -> ProductFacts:
    """Return what the header of an exported frame says, such that it can be stacked as the run does."""
    begin, middle, end = span_of([light])
    latitude, longitude, height = light.facts.site or (float("nan"), float("nan"), None)
    place = center(text_to_wcs(light.wcs), light.facts.shape) if light.wcs else None
    return ProductFacts(
        target=target, band=band, exposure=light.facts.exposure or float("nan"), n_frames=1,
        date_begin=begin, date_average=middle, date_end=end, latitude=latitude, longitude=longitude,
        elevation=float("nan") if height is None else height, extra=bjd_card([light], middle, place),
        measured=_measured_of(light, band),
    )  # fmt: skip


def _measured_of(light: Light, band: str) -> dict[str, float]:
    """Return what a stack must know of a light in one band (`io.product_cards.FRAME_CARDS`)."""
    seconds, found = light.facts.exposure or float("nan"), light.measures
    return {
        "sky": found.sky[band] / seconds,
        "noise": found.noise[band] / seconds,
        "transparency": light.transparency,
        "weight": light.weights.get(band, float("nan")) if light.use else 0.0,
        "fwhm": found.fwhm,
    }


def _export(
    light: Light,
    band: str,
    name: str,
    kinds: Sequence[str],
    members: StackSet,
    calibrator: Calibrator,
    recipe: Recipe,
    context: Context,
    facts: ProductFacts,
) -> None:
    height, width = calibrator.grid_shape(light)
    planes = calibrator.window(light, band, 0, height, 0, width)
    aside = (0.0, 0.0)  # where a color's pixel (0, 0) lies on the grid of the mosaic's cells
    if light.facts.cfa:
        aside = phase_offset(light.facts.cfa, band[-1], calibrator.debayer_method)
    if "calibrated" in kinds:
        wcs = moved(text_to_wcs(light.wcs), *aside) if light.wcs else None
        _written(context.out / "calibrated" / name, planes, wcs, facts)
    if "registered" in kinds and light.from_reference is not None and members.canvas is not None:
        canvas = members.canvas
        shape = canvas.shape
        tile = Tile(0, shape[0], 0, shape[1])
        to_plane = light.from_reference.copy()
        to_plane[:, 0] -= aside
        to_plane = canvas.map(to_plane)
        box = None if light.domain is None else canvas.boxes(light.domain[None])[0]
        window = input_window(to_plane, tile, (height, width), domain=box)
        if window is None:
            return
        out = (np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint16))
        here = np.s_[window[0] : window[1], window[2] : window[3]]
        part = (planes[0][here], planes[1][here], planes[2][here])
        options = settled(recipe.of(AlignOptions), members.fwhm)
        if light.facts.cfa and calibrator.debayer_method == "split":  # samples without neighbors
            options = replace(options, kernel="nearest")
        how = resampler_of(options)
        sums = resample(
            part, (window[0], window[2]), to_plane, tile, how, out,
            scale=1.0, pedestal=0.0, offset=0.0, domain=box,
        )  # fmt: skip
        # Resampled pixels hold the sky of their own area; sensitivities compare frames as the run does.
        area = effect_of(to_plane, shape, (height, width), how)[0]
        known = {"sky": facts.measured["sky"] * (area if np.isfinite(area) else 1.0)}
        # Of a frame without a clean pixel, too: it would be opened with no other otherwise.
        known["frame_correlation"] = float(np.sqrt(sums[0] / sums[1])) if sums[1] > 0 else 1.0
        facts = replace(facts, measured={**facts.measured, **known})
        _written(context.out / "registered" / name, out, canvas.wcs, facts)


def _written(
    path: Path, planes: tuple[np.ndarray, ...], wcs: "WCS | str | None", facts: ProductFacts
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_frame(path, planes[0], planes[1], planes[2], wcs=wcs, facts=facts)
