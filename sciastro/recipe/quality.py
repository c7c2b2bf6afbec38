"""What is measured of every light: for grading, for ``quality.ecsv``, for trying a selection later."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.airmass import airmass
from sciastro.core import vocabulary as v
from sciastro.core.expression import Expression
from sciastro.errors import FileError, OptionError
from sciastro.integrate.grade import MEASURED, FrameFacts
from sciastro.integrate.select import MEASURES, NOT_SELECTED, selection
from sciastro.integrate.weights import group_measures, hours_since_first, psf_signal
from sciastro.io.paths import atomic_path
from sciastro.io.tables import read_table, write_table
from sciastro.recipe.context import Context
from sciastro.recipe.lights import Light, StackSet

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = [
    "FILE",
    "airmass_of",
    "group_facts",
    "quality_lines",
    "quality_table",
    "selection_lines",
    "write_quality",
]

Floats = npt.NDArray[np.float64]

FILE = "quality.ecsv"
SHOWN = ("fwhm", "eccentricity", "sky", "transparency", "weight")


def airmass_of(light: Light) -> float:
    """Return the airmass at mid-exposure; NaN where place, time or pointing is unknown."""
    facts = light.facts
    if facts.site is None or facts.pointing is None or facts.time is None:
        return float("nan")
    when = np.datetime64(facts.time.replace(tzinfo=None), "us")
    return float(airmass(facts.pointing[0], facts.pointing[1], facts.site[0], facts.site[1], when))


def _columns(lights: Sequence[Light], band: str) -> dict[v.VariableSpec, npt.NDArray[np.generic]]:
    """Return measures of lights per band; NaN where a light is not measured."""

    def values(of: str) -> Floats:
        return np.array(
            [np.nan if light.measured is None else float(getattr(light.measured, of)) for light in lights]
        )

    def rates(of: str) -> Floats:
        return np.array(
            [
                np.nan if light.measured is None else getattr(light.measured, of)[band] / second
                for light, second in zip(lights, seconds, strict=True)
            ]
        )

    seconds = np.array([light.facts.exposure or np.nan for light in lights])
    noise = rates("noise")
    signal = [
        light.signal.get(band, np.nan)
        if light.signal
        else (np.nan if light.measured is None else psf_signal(light.measured.stars, second, one))
        for light, second, one in zip(lights, seconds, noise, strict=True)
    ]
    temperatures = [light.facts.temperature for light in lights]
    return {
        v.FWHM: values("fwhm"),
        v.ECCENTRICITY: values("eccentricity"),
        v.ELONGATION: values("elongation"),
        v.SKY: rates("sky"),
        v.NOISE: noise,
        v.N_STARS: np.nan_to_num(values("n_stars")).astype(np.int64),
        v.EXPOSURE: seconds,
        v.TRANSPARENCY: np.array([light.transparency for light in lights]),
        v.PSF_SIGNAL: np.array(signal, dtype=np.float64),
        v.AIRMASS: np.array([airmass_of(light) for light in lights]),
        v.TEMPERATURE: np.array([np.nan if t is None else t for t in temperatures], dtype=np.float64),
        v.REGISTRATION_RMS: np.array([light.registration_rms for light in lights]),
        v.TIME: np.array(
            [
                np.datetime64("NaT")
                if light.facts.time is None
                else np.datetime64(light.facts.time.replace(tzinfo=None), "ms")
                for light in lights
            ],
            dtype="datetime64[ms]",
        ),
    }


def group_facts(lights: Sequence[Light], band: str, target: str) -> FrameFacts:
    """Return what `integrate.grade` reads, of lights of one group."""
    columns = _columns(lights, band)
    measures = {spec.name: columns[spec].astype(np.float64) for spec in MEASURED}
    measures["hour"] = hours_since_first(columns[v.TIME])
    registered = np.array([light.from_reference is not None for light in lights])
    return FrameFacts(measures, np.array([f"{target}\n{band}"] * len(lights), dtype=np.str_), registered)


def quality_table(sets: Sequence[StackSet]) -> "Table":
    """Return one row per light and band of its set: every measure, weight, used or not, and why."""
    from astropy.table import Column, Table

    rows: dict[str, list[object]] = {name: [] for name in ("path", "set", "band", "time")}
    rows |= {name: [] for name in MEASURES} | {"used": [], "reason": []}
    for members in sets:
        for band in members.bands:
            lights = members.of_band(band)
            columns = {spec.name: values for spec, values in _columns(lights, band).items()}
            weight = np.array([light.weights.get(band, 0.0) for light in lights])
            used = weight > 0
            times = columns.pop("time")
            facts = {name: values.astype(np.float64) for name, values in columns.items()}
            measures = group_measures({**facts, "hour": hours_since_first(times), "weight": weight}, used)
            rows["path"] += [light.name for light in lights]
            rows["set"] += [members.stem] * len(lights)
            rows["band"] += [band] * len(lights)
            rows["time"] += ["" if np.isnat(one) else str(one) for one in times]
            for name in MEASURES:
                rows[name] += [float(one) for one in measures[name]]
            rows["used"] += [bool(one) for one in used]
            rows["reason"] += [light.reason for light in lights]
    table = Table(
        {name: Column(values) if values else Column([], dtype=np.float64) for name, values in rows.items()}
    )
    for name, measure in MEASURES.items():
        table[name].description, table[name].unit = measure.meaning, UNITS.get(measure.unit, measure.unit)
    table["time"].description = "middle of the exposure, UTC"
    table["reason"].description = "why the frame is left out or weighted down"
    return table


UNITS = {"pixel": "pix", "": None}


def write_quality(sets: Sequence[StackSet], context: Context) -> None:
    """Write ``quality.ecsv``: what was measured of every light.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    table = quality_table(sets)
    if len(table):
        write_table(context.out / FILE, table)


def quality_lines(out: Path) -> Iterator[str]:
    """Yield the measures of every light of a finished run, used or left out and why.

    Raises
    ------
    FileError
        If the table cannot be read.
    """
    table = read_table(out / FILE)
    width = _width(table)
    shown = ("fwhm", "eccentricity", "sky", "noise", "n_stars", "transparency", "weight")
    for key, group in _by_set_and_band(table):
        used = np.asarray(group["used"], dtype=bool)
        yield f"{key}: {int(used.sum())} of {len(group)} frames used"
        yield _heading(shown, width)
        for row, good in zip(group, used, strict=True):
            numbers = " ".join(f"{float(row[name]):12.4g}" for name in shown)
            word = ": ".join(filter(None, ("used" if good else "left out", str(row["reason"]))))
            yield f"  {row['path']!s:<{width}} {numbers}  {word}"
        yield ""


def _by_set_and_band(table: "Table") -> "Iterator[tuple[str, Table]]":
    """Yield the rows of each set and band under its name, in order."""
    keys = [f"{one} {band}" for one, band in zip(table["set"], table["band"], strict=True)]
    for key in dict.fromkeys(keys):
        yield key, table[np.array([one == key for one in keys])]


def _width(table: "Table") -> int:
    """Return the width of the column of frames [character]."""
    return max((len(str(one)) for one in table["path"]), default=4)


def _heading(shown: Sequence[str], width: int) -> str:
    return f"  {'frame':<{width}} " + " ".join(f"{name[:12]:>12}" for name in shown)


def selection_lines(out: Path, text: str, plot: Path | None = None) -> Iterator[str]:
    """Yield what a selection would keep of a finished run, frame by frame, without stacking anything.

    Parameters
    ----------
    out
        Folder of the run (or its ``quality.ecsv``).
    text
        As for ``grade.select``.
    plot
        Picture to draw it in (`report.selection`); None draws none.

    Raises
    ------
    OptionError
        If it is no selection, or the picture has no format that is known.
    FileError
        If there is no table of measures.
    OutputError
        If the picture cannot be written.
    """
    from sciastro.report.selection import SUFFIXES, TriedGroup, draw_selection  # a run needs none of it

    wish = selection(text, "selection")
    if plot is not None and plot.suffix.lower() not in SUFFIXES:
        raise OptionError(
            f"ends in {plot.suffix!r}.", where="--plot", remedy=f"Choose from {', '.join(SUFFIXES)}."
        )
    path = out / FILE if out.is_dir() else out
    if not path.is_file():
        raise FileError(
            "does not exist.", where=str(path), remedy="Reduce the session first, at least --until register."
        )
    table = read_table(path)
    shown = list(dict.fromkeys([*sorted(wish.names), *SHOWN]))
    tried = []
    for key, group in _by_set_and_band(table):
        yield from _group_lines(key, group, wish, shown, _width(table))
        if plot is not None:
            measures, fit, kept = _tried(group, wish)
            limits = wish.limits(measures, fit)
            tried.append(
                TriedGroup(
                    key, {_label(name): measures[name] for name in shown},
                    {_label(name): limit for name, limit in limits.items()}, fit, kept,
                )
            )  # fmt: skip
    if plot is not None and tried:
        with atomic_path(plot) as part:
            draw_selection(part, tried, wish.text)
        yield f"Drawn in {plot}"
        yield ""


def _label(name: str) -> str:
    unit = MEASURES[name].unit
    return f"{name} [{unit}]" if unit else name


def _tried(
    group: "Table", wish: Expression
) -> tuple[dict[str, Floats], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return the measures of a group, which frames may be selected, and which are."""
    measures = {name: np.asarray(group[name], dtype=np.float64) for name in MEASURES}
    used = np.asarray(group["used"], dtype=bool)
    fit = used | np.array([str(one).startswith(NOT_SELECTED) for one in group["reason"]])
    return measures, fit, wish.decisions(measures, fit) & fit


def _group_lines(
    key: str, group: "Table", wish: Expression, shown: Sequence[str], width: int
) -> Iterator[str]:
    measures, fit, kept = _tried(group, wish)
    reasons = [str(one) for one in group["reason"]]
    yield f"{key}: {wish.text}"
    yield _heading(shown, width)
    for i, path in enumerate(group["path"]):
        numbers = " ".join(f"{measures[name][i]:12.4g}" for name in shown)
        if not fit[i]:
            word = f"left out anyway: {reasons[i]}"
        else:
            word = "kept" if kept[i] else f"OUT: {'; '.join(wish.failures(measures, i, fit))}"
        yield f"  {path!s:<{width}} {numbers}  {word}"
    seconds = np.nan_to_num(measures["exposure"])
    share = 100 * seconds[kept].sum() / max(seconds[fit].sum(), 1e-9)
    yield f"  keeps {int(kept.sum())} of {int(fit.sum())} frames, {share:.0f} % of the exposure"
    yield ""
