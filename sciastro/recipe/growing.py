"""Add a night to finished stacks: the old frames are not read again.

New frames are registered to the old reference, brought to its sky and transparency, weighed together with
what is remembered of the old ones, and combined on the old canvas. Both images are then averaged by the
weight that each pixel has. A frame's weight is one number w, so of the frames that survive at a pixel the
sum of weights is about ``N = coverage * sum(w^2) / sum(w)``, exact for equal weights, and where none is
rejected; then::

    image = (N1 I1 + N2 I2) / (N1 + N2),    variance = (N1^2 V1 + N2^2 V2) / (N1 + N2)^2

An N that is a little off costs a second-order share of depth and no bias: both images are unbiased.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.solve import Solution
from sciastro.calibrate.debayer import DebayerOptions
from sciastro.core.lift import run_tasks
from sciastro.core.wcs import center, pixel_scale
from sciastro.errors import FileError, MatchError
from sciastro.integrate.canvas import Canvas
from sciastro.integrate.contribution import NO_CONTEXT
from sciastro.integrate.drizzle import DrizzleOptions
from sciastro.integrate.grade import GradeOptions, grade_facts
from sciastro.integrate.grid import Tile
from sciastro.integrate.moving import Adjust
from sciastro.integrate.noise import side_by_side
from sciastro.integrate.normalize import Terms
from sciastro.integrate.options import StackOptions
from sciastro.integrate.run import StackArrays, empty_stack
from sciastro.io.paths import unlike
from sciastro.io.reader import open_rows, probe, sha256
from sciastro.recipe.calibrating import Calibrator
from sciastro.recipe.canvases import canvas_of
from sciastro.recipe.context import Context
from sciastro.recipe.grading import settle_uses, transparencies
from sciastro.recipe.kept import KeptBand, KeptSet, KeptStacks
from sciastro.recipe.lights import Light, StackSet, bands_of
from sciastro.recipe.plan import Recipe
from sciastro.recipe.quality import group_facts
from sciastro.recipe.session import Session
from sciastro.recipe.setreference import choose_reference
from sciastro.recipe.setsolving import SkyHint, solve_set
from sciastro.recipe.stacked import Stacked
from sciastro.recipe.stacking import stack_band
from sciastro.recipe.stacknoise import lattice_of

__all__ = ["Growth", "added", "begin_growth", "forget_maps", "grade_added", "grow_band", "solve_again"]

FEW = 6  # added frames below which each is also compared with the old image
KAPPA = 5.0  # sigma beyond which a sample then does not belong to it
ROWS = 256  # at a time, when two images are merged
NEIGHBORS = 5  # pixels along a side in which the range of the old image is taken, as in kernels.protect


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """The old stacks of a run that adds a night.

    Attributes
    ----------
    stacks
        What is kept of them.
    frame_rows, master_rows
        Of the old ``summary.json``.
    refused
        New frames that are in already.
    """

    stacks: KeptStacks
    refused: frozenset[str]
    frame_rows: list[dict[str, Any]]
    master_rows: list[dict[str, Any]]

    def wanted(self, lights: Sequence[Light]) -> list[Light]:
        """Return the lights that are not in yet."""
        return [light for light in lights if light.name not in self.refused]

    def of(self, members: StackSet) -> KeptSet | None:
        """Return the old set that `members` continues."""
        return next((one for one in self.stacks.sets if one.members.stem == members.stem), None)

    def rows(self) -> list[dict[str, Any]]:
        """Return the old frames' rows, with the weights that they have now."""
        lights = {light.name: light for one in self.stacks.sets for light in one.members.lights}
        return [
            row | {"weight": lights[row["path"]].weight} if row["path"] in lights else row
            for row in self.frame_rows
        ]

    def join(self, sets: Sequence[StackSet]) -> list[StackSet]:
        """Return all sets of the run: old ones with their new frames, and new ones under free names."""
        stems = {one.members.stem.casefold() for one in self.stacks.sets}
        files = {file.casefold() for one in self.stacks.sets for file in one.members.files.values()}
        joined = {one.members.stem: one.members for one in self.stacks.sets}
        fresh = []
        for members in sets:
            old = self.stacks.like(members)
            if old is None:
                members.stem = unlike(members.stem, stems)
                members.files = {band: unlike(file, files) for band, file in members.files.items()}
                fresh.append(members)
                continue
            whole = joined[old.members.stem]
            names = {b: f for b, f in members.files.items() if b not in whole.files}
            whole.files |= {band: unlike(file, files) for band, file in names.items()}
            whole.bands = list(dict.fromkeys([*whole.bands, *members.bands]))
            whole.lights = [*whole.lights, *members.lights]
        return [*joined.values(), *fresh]


def begin_growth(stacks: KeptStacks, session: Session, lights: Sequence[Light], context: Context) -> Growth:
    """Prepare to add `lights`; those whose files are in already get that as their reason.

    Raises
    ------
    MatchError
        If none is left.
    FileError
        If the summary of the old run cannot be read.
    """
    names = {frame.name for frame in session.frames}

    def free(name: str) -> str:
        return f"night-{stacks.nights}/{name}" if name in names else name

    for one in stacks.sets:
        everyone = {id(light): light for light in (*one.members.lights, *_special(one))}
        for light in everyone.values():
            if free(light.name) != light.name:
                light.facts = replace(light.facts, path=f"night-{stacks.nights}/{light.facts.path}")
    paths = list(dict.fromkeys(session.path(light.facts) for light in lights))
    hashes = dict(zip(paths, run_tasks(sha256, paths, workers=context.workers), strict=True))
    refused = set()
    for light in lights:
        known = stacks.hashes.get(hashes[session.path(light.facts)])
        if known is not None:
            light.reason = f"is in the stack already, as {known}; nothing is added twice"
            refused.add(light.name)
    if lights and all(light.reason for light in lights):
        raise MatchError(
            f"holds no light that can be added: {lights[0].name} {lights[0].reason}.",
            where=str(session.root), remedy="The stacks stay as they are.",
        )  # fmt: skip
    told = stacks.folder / "summary.json"
    try:
        summary = json.loads(told.read_text(encoding="utf-8"))
        rows = [row | {"path": free(row["path"])} for row in summary["frames"]]
        masters = list(summary["masters"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(
            f"cannot be read ({error}).", where=str(told), remedy="Reduce both nights together."
        ) from error
    return Growth(stacks=stacks, refused=frozenset(refused), frame_rows=rows, master_rows=masters)


def _special(one: KeptSet) -> Iterator[Light]:
    if one.members.reference is not None:
        yield one.members.reference
    for band in one.bands.values():
        yield from (band.base, band.reference)


def forget_maps(growth: Growth, out: Path) -> None:
    """Remove what tells of the frames of the first night only: which made a pixel, what was rejected."""
    for one in growth.stacks.sets:
        for file in one.members.files.values():
            for kind in ("rejection", "context"):
                (out / "products" / f"{file}_{kind}.fits").unlink(missing_ok=True)


def added(members: StackSet) -> StackSet:
    """Return the part of a set that is new."""
    return replace(members, lights=[light for light in members.lights if not light.kept])


def solve_again(
    members: StackSet, hint: SkyHint, recipe: Recipe, context: Context, root: Path, step: int
) -> tuple[Solution | None, str]:
    """Solve the old reference from its stars, near where it is known to be; the canvas keeps its WCS."""
    canvas, reference = members.canvas, members.reference
    if canvas is None or canvas.wcs is None or reference is None:
        return None, "the stack has no world coordinates"
    ra, dec = center(canvas.wcs, canvas.shape)
    near = replace(hint, ra=ra, dec=dec, scale=pixel_scale(canvas.wcs) * canvas.scale / step)
    return solve_set(replace(members, lights=[reference]), near, recipe, context, root, step)


def grade_added(members: StackSet, old: KeptSet, recipe: Recipe, context: Context) -> None:
    """Weigh the new frames on one scale with the old ones, which stay in; see `grading.grade_set`."""
    fit = [light for light in added(members).lights if light.from_reference is not None and not light.reason]
    reasons: dict[str, str] = {}
    for band in members.bands:
        new = [light for light in fit if band in bands_of(light.facts)]
        kept = old.bands.get(band)
        if kept is not None:
            members.bases[band] = kept.base
        if not new:
            continue
        base = members.bases.setdefault(band, choose_reference(new)[0])
        transparencies(new, base)
        before = [] if kept is None else kept.lights
        if kept is not None:
            for light in new:
                light.transparency *= base.transparency
        facts = group_facts([*before, *new], band, members.target)
        graded = grade_facts(facts, options=recipe.of(GradeOptions))
        weight, reason = graded.weight, graded.reason
        for i, light in enumerate(new, start=len(before)):
            light.weights[band] = float(weight[i])
            reasons[light.name] = reasons.get(light.name) or reason[i]
        ratios = [weight[i] / light.weights[band] for i, light in enumerate(before) if weight[i] > 0]
        factor = float(np.median(ratios)) if ratios else 1.0
        for light in before:
            light.weights[band] *= factor
    settle_uses(fit, reasons, context)


def grow_band(
    members: StackSet, old: KeptSet, band: str, calibrator: Calibrator, recipe: Recipe, context: Context
) -> Stacked | None:
    """Integrate the new frames of a band and merge them with its old image."""
    kept = old.bands.get(band)
    if kept is None:
        return stack_band(added(members), band, calibrator, recipe, context)

    def compared(lights: list[Light], terms: Terms) -> Adjust | None:
        fine = recipe.of(DrizzleOptions).scale not in (None, 1.0)
        if len(lights) >= FEW or fine:
            return None
        return _Compared(kept.path, lights, band, terms, recipe.of(StackOptions).protect)

    new = stack_band(
        added(members), band, calibrator, recipe, context, reference=kept.reference, adjust=compared
    )
    return _merged(new, kept, members, band, recipe, canvas_of(members, calibrator, recipe))


# -------------------------------------------------------------------------------------------- compare
class _Compared:
    """Takes out samples that do not belong to the old image: satellites, cosmic rays.

    Noise is that of the sample (its sky, and shot noise of the image above the sky) and the old variance.
    Samples within the local range of the image stay, as in `kernels.protect`.
    """

    def __init__(self, path: Path, lights: list[Light], band: str, terms: Terms, protect: float) -> None:
        self._path, self._terms, self._protect = path, terms, protect
        self._noise = [light.measures.noise[band] for light in lights]
        self._open()

    def _open(self) -> None:
        planes = _planes(self._path)
        self._image, self._error = planes["SCI"], planes["ERR"]

    def __reduce__(self) -> tuple[object, ...]:
        return _revived, (self._path, self._terms, self._protect, self._noise)

    def __call__(self, i: int, tile: Tile, values: npt.NDArray[np.float32]) -> None:
        from scipy.ndimage import maximum_filter, minimum_filter

        height, width = self._image.shape
        y0, y1, x0, x1 = max(tile.y0, 0), min(tile.y1, height), max(tile.x0, 0), min(tile.x1, width)
        image, error = (plane.rows(y0, y1)[:, x0:x1] for plane in (self._image, self._error))
        scale = float(self._terms.scale[i])
        shot = np.maximum(image - self._terms.offset[i], 0) * scale
        sigma = np.sqrt((self._noise[i] * scale) ** 2 + shot + error**2)
        known = np.nan_to_num(image)
        local = maximum_filter(known, NEIGHBORS) - minimum_filter(known, NEIGHBORS)
        part = values[y0 - tile.y0 : y1 - tile.y0, x0 - tile.x0 : x1 - tile.x0]
        part[np.abs(part - image) > np.maximum(KAPPA * sigma, self._protect * local)] = np.nan


def _revived(path: Path, terms: Terms, protect: float, noise: list[float]) -> _Compared:
    one = _Compared.__new__(_Compared)
    one._path, one._terms, one._protect, one._noise = path, terms, protect, noise
    one._open()
    return one


@dataclass(frozen=True, slots=True)
class _Plane:
    shape: tuple[int, int]
    rows: Any


def _planes(path: Path) -> dict[str, _Plane]:
    return {str(one.header["EXTNAME"]): _Plane(one.shape, open_rows(one)) for one in probe(path)}


# ---------------------------------------------------------------------------------------------- merge
def _merged(
    new: Stacked | None, kept: KeptBand, members: StackSet, band: str, recipe: Recipe, canvas: Canvas
) -> Stacked:
    planes = _planes(kept.path)
    shape = planes["SCI"].shape
    out = new.arrays if new is not None else empty_stack(shape)
    if out.image.shape != shape:
        raise FileError(
            f"has {shape} pixels, and the canvas {out.image.shape}.", where=str(kept.path),
            remedy="Reduce both nights together.",
        )  # fmt: skip
    lights = [] if new is None else new.lights
    mine, theirs = _mean_weight(lights, band), _mean_weight(kept.lights, band)
    share = recipe.of(StackOptions).flag_share
    for first in range(0, shape[0], ROWS):
        here = slice(first, min(first + ROWS, shape[0]))
        old = [planes[name].rows(here.start, here.stop) for name in ("SCI", "ERR", "DQ", "COVERAGE")]
        if new is None:
            out.image[here], out.variance[here] = old[0], old[1] ** 2
            out.quality[here], out.coverage[here] = old[2], old[3]
            out.rejected_low[here], out.rejected_high[here] = 0, 0
        else:
            _merge(out, here, old, theirs, mine, share)
    noise, tied = kept.correlation, kept.autocorrelation
    if new is not None:
        noise, tied = _correlations(kept, new, planes["ERR"], band)
    method = kept.method if new is None else f"{kept.method.partition(' + ')[0]} + added nights"
    return Stacked(
        target=members.target, stem=members.stem, band=band, file=members.files[band],
        # Which old frames made a pixel, and what was rejected of them, is not kept.
        arrays=replace(out, context=NO_CONTEXT, causes=np.empty((0, 0, 0), np.uint16)),
        lights=[*kept.lights, *lights], noise_correlation=noise, autocorrelation=tied,
        method=method, reference=kept.reference,
        canvas=canvas if new is None else new.canvas,
        lattice=lattice_of(
            members.cfa, band[-1], recipe.of(DebayerOptions).method,
            drizzled=recipe.of(DrizzleOptions).enabled,
        ),
    )  # fmt: skip


def _mean_weight(lights: Sequence[Light], band: str) -> float:
    """Return sum(w^2) / sum(w): times the effective number of frames it is the sum of weights."""
    weights = np.array([light.weights[band] for light in lights])
    return float((weights**2).sum() / weights.sum()) if weights.size else 0.0


def _merge(
    out: StackArrays, here: slice, old: Sequence[npt.NDArray[Any]], theirs: float, mine: float, share: float
) -> None:
    """Average rows of two images by their sums of weights, into `out`, which holds the second."""
    a, b = old[0], out.image[here]
    # Sums of weights; a pixel without a value has none.
    n_a = np.where(np.isfinite(a), theirs * old[3].astype(np.float64), 0.0)
    n_b = np.where(np.isfinite(b), mine * out.coverage[here].astype(np.float64), 0.0)
    total = n_a + n_b
    with np.errstate(invalid="ignore", divide="ignore"):
        f_a, f_b = n_a / total, n_b / total
        squares = total**2 / (n_a * theirs + n_b * mine)
    image = np.where(n_a > 0, f_a * np.nan_to_num(a), 0.0) + np.where(n_b > 0, f_b * np.nan_to_num(b), 0.0)
    variance = np.where(n_a > 0, f_a**2 * old[1].astype(np.float64) ** 2, 0.0)
    variance += np.where(n_b > 0, f_b**2 * out.variance[here], 0.0)
    bits_a, bits_b = old[2].astype(np.uint16), out.quality[here]
    bits = bits_a & bits_b
    bits |= np.where((f_a > share) | (total == 0), bits_a, 0).astype(np.uint16)
    bits |= np.where((f_b > share) | (total == 0), bits_b, 0).astype(np.uint16)
    bits = np.where(n_a == 0, bits_b, np.where(n_b == 0, bits_a, bits))
    missing = total == 0
    out.image[here], out.variance[here] = (np.where(missing, np.nan, one) for one in (image, variance))
    out.coverage[here], out.quality[here] = (
        np.where(missing, 0.0, squares),
        np.where(missing, bits_a | bits_b, bits),
    )


def _correlations(
    kept: KeptBand, new: Stacked, error: _Plane, band: str
) -> tuple[float, npt.NDArray[np.float64]]:
    """Return noise correlation and autocorrelation of both images, each by its share of the variance."""
    middle = error.shape[0] // 2
    level = float(np.nanmedian(error.rows(middle, min(middle + 64, error.shape[0])))) ** 2
    sums = [sum(light.weights[band] for light in lights) for lights in (kept.lights, new.lights)]
    a, b = sums[0] ** 2 * level, sums[1] ** 2 * float(np.nanmedian(new.arrays.variance))
    if not a + b > 0:
        return kept.correlation, kept.autocorrelation
    a, b = a / (a + b), b / (a + b)
    tied = side_by_side([kept.autocorrelation, new.autocorrelation])
    squared = a * kept.correlation**2 + b * new.noise_correlation**2
    return round(float(np.sqrt(squared)), 3), a * tied[0] + b * tied[1]
