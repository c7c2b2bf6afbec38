"""The light at given positions on every frame of a finished run: one long table per target and band.

Each frame is measured on its own pixels, calibrated again, at the places that its own world coordinates give:
nothing is resampled. Its zero point comes from the sources of the stack, whose magnitudes are known.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.core.tables import column_numbers
from sciastro.core.wcs import moved, resampled
from sciastro.errors import MatchError, SciastroError
from sciastro.io.positions import Positions, on_sky
from sciastro.io.tables import read_table
from sciastro.photometry.psfphotometry import Seed
from sciastro.photometry.zeropoint import ZeroPoint, ZeroPointOptions, fit_zeropoint
from sciastro.recipe.movers import read_summary
from sciastro.recipe.nightframes import BandPlane, NightFrame, calibrated_bands, night_stores, open_night
from sciastro.recipe.photometry import Measured, PhotometryOptions, measure_target
from sciastro.recipe.photometryimages import Given, Target, read_targets
from sciastro.recipe.photometryplaces import of_catalog
from sciastro.recipe.photometrypsf import PsfRequest, PsfWork
from sciastro.recipe.photometryzero import epoch_of

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["FrameRequest", "frame_tables", "frame_target"]

CALIBRATORS = 300  # sources of the stack that set a frame's zero point
BRIGHT = 30.0  # their least S/N on the stack


@dataclass(frozen=True, kw_only=True)
class FrameRequest:
    """What is measured on every frame.

    Attributes
    ----------
    positions
        None takes the stars of `catalog` to `faintest`, else the sources of the stack.
    catalog, faintest
        A catalog, and the faintest of its stars [mag].
    psf
        Measure by the PSF of each frame, not by apertures.
    """

    positions: Positions | None = None
    catalog: str | None = None
    faintest: float | None = None
    psf: PsfRequest | None = None


@dataclass(frozen=True, slots=True)
class _Stack:
    """One image of the run: its row of the summary, its sources."""

    row: dict[str, Any]
    sources: "Table | None"


def frame_target(plane: BandPlane, given: Given) -> Target:
    """Return one band of one frame as what is measured [electron / s].

    Raises
    ------
    MatchError
        If the frame has no world coordinates.
    """
    frame = plane.frame
    if not frame.wcs:
        raise MatchError(
            "has no world coordinates, so positions cannot be put on it.", where=frame.name,
            remedy="Run `sciastro reduce` with --ra, --dec and --scale.",
        )  # fmt: skip
    side = frame.side
    origin = (frame.first[0] - (side - 1) / 2, frame.first[1] - (side - 1) / 2)
    factor = np.float32(1 / frame.exposure)
    world = moved(resampled(frame.world(), origin, 1 / side), *plane.shift)
    world.pixel_shape = (plane.signal.shape[1], plane.signal.shape[0])
    when = datetime.fromtimestamp(frame.time, UTC).isoformat() if np.isfinite(frame.time) else ""
    return Target(
        name=frame.name, image=plane.signal * factor, variance=plane.variance * factor**2,
        quality=plane.quality, unit="electron / s", wcs=world, band=plane.band, target=frame.target,
        exposure=frame.exposure, time=when.replace("+00:00", ""),
        diameter=given.aperture_diameter or float("nan"), site=given.site,
        airmass=float("nan") if given.airmass is None else given.airmass,
    )  # fmt: skip


def frame_tables(
    run: Path, request: FrameRequest, stacks: "Mapping[tuple[str, str], Table]", options: PhotometryOptions,
    given: Given, warn: Callable[[str], None], tell: Callable[[str], None],
) -> "Iterator[tuple[Measured, str]]":  # fmt: skip
    """Yield a table per target and band with every position on every frame, and its name.

    Parameters
    ----------
    run
        Folder of a finished run.
    request
        What is measured.
    stacks
        Target and band -> sources of its stack that take the place of those of the run.
    warn, tell
        Hear of frames that are left out, and of what happens.

    Raises
    ------
    FileError
        If the run cannot be read.
    MatchError
        If no frame could be measured.
    """
    summary = read_summary(run)
    known = {
        (row["target"], row["band"]): _Stack(
            row, stacks.get((row["target"], row["band"]), _sources(run, row))
        )
        for row in summary.get("products", []) if row.get("image") and not row.get("shows")
    }  # fmt: skip
    if given.site is None and known:  # where the run says that it was made
        first = next(iter(read_targets(run / next(iter(known.values())).row["image"], given)))
        given = replace(given, site=first.site)
    found: dict[tuple[str, str], list[Measured]] = {}
    shelf: dict[tuple[str, str], Positions] = {}
    seeds: dict[tuple[str, str], Seed] = {}  # the first PSF of tables: the others' errors do not pile up
    for store in night_stores(run):
        for target, frames in _by_target(open_night(run, store)).items():
            for plane in calibrated_bands(run, store, frames):
                stack = known.get((target, plane.band))
                try:
                    frame = frame_target(plane, given)
                    positions = _positions(run, frame, stack, request, given, shelf)
                    work = _work(frame, request.psf, seeds.get((target, plane.band)), tell)
                    measured = _measure(frame, positions, stack, work, options)
                    if work is not None and work.seed is not None:
                        seeds.setdefault((target, plane.band), work.seed)
                except SciastroError as error:
                    warn(f"{plane.frame.name} {plane.band}: left out: {error}")
                    continue
                found.setdefault((target, plane.band), []).append(measured)
    if not found:
        raise MatchError(
            "has no frame that could be measured.", where=str(run), remedy="See what was told of each."
        )
    for (target, band), every in found.items():
        yield _joined(every), f"{target}_{band}{'_psf' if request.psf is not None else ''}_frames"


def _by_target(frames: Sequence[NightFrame]) -> dict[str, list[NightFrame]]:
    """Return the frames that the run took, by target."""
    out: dict[str, list[NightFrame]] = {}
    for one in frames:
        if one.use and one.exposure > 0:
            out.setdefault(one.target, []).append(one)
    return out


def _sources(run: Path, row: dict[str, Any]) -> "Table | None":
    name = row.get("sources")
    return read_table(run / name) if name else None


def _positions(
    run: Path, frame: Target, stack: _Stack | None, request: FrameRequest, given: Given,
    shelf: dict[tuple[str, str], Positions],
) -> Positions:  # fmt: skip
    """Return where a frame is measured; stars of a catalog are looked up once per stack, and kept in `shelf`.

    Without a stack they are those about the frame itself.
    """
    if request.positions is not None:
        return request.positions
    if request.catalog is None:
        return _of_stack(stack, frame)
    key = frame.target, frame.band
    if key in shelf:
        return shelf[key]
    image = next(iter(read_targets(run / stack.row["image"], given))) if stack is not None else frame
    found = of_catalog(image, request.catalog, faintest=request.faintest, epoch=epoch_of(image))
    if stack is not None:
        shelf[key] = found
    return found


def _work(
    target: Target, psf: PsfRequest | None, seed: Seed | None, tell: Callable[[str], None]
) -> PsfWork | None:
    """Return what measures a frame by its PSF, which begins as that of an earlier frame."""
    if psf is None:
        return None
    return PsfWork(replace(psf, inject=0), lambda text: tell(f"  {target.name}: {text}"), seed)


def _measure(
    target: Target, positions: Positions, stack: _Stack | None, work: PsfWork | None,
    options: PhotometryOptions,
) -> Measured:  # fmt: skip
    zero = _zeropoint(target, stack, options, work) if options.zeropoint != "none" else None
    return measure_target(target, positions, options=options, zeropoint=zero, psf=work)


def _of_stack(stack: _Stack | None, target: Target) -> Positions:
    """Return the sources of the stack."""
    if stack is None or stack.sources is None:
        raise MatchError(
            "has no stack with sources.", where=f"{target.target} {target.band}",
            remedy="Give positions with --at or --catalog.",
        )  # fmt: skip
    table = stack.sources
    return on_sky(
        column_numbers(table, "ra"), column_numbers(table, "dec"), table["id"], "sources of the stack"
    )


def _zeropoint(
    target: Target, stack: _Stack | None, options: PhotometryOptions, work: PsfWork | None
) -> ZeroPoint | None:
    """Return the zero point of a frame from the magnitudes of the stack's sources on it.

    The color term is the stack's: it is taken off the magnitudes that the zero point is fitted to, and put on
    those that are measured.
    """
    table = stack.sources if stack is not None else None
    row = stack.row.get("zeropoint") if stack is not None else None
    if table is None or row is None:
        return None
    snr, flags = np.asarray(table["snr"], np.float64), np.asarray(table["flags"])
    mag = column_numbers(table, "mag")
    good = np.flatnonzero((snr > BRIGHT) & (flags == 0) & np.isfinite(mag))
    good = good[np.argsort(mag[good], kind="stable")][:CALIBRATORS]
    chosen = on_sky(
        column_numbers(table, "ra")[good],
        column_numbers(table, "dec")[good],
        [""] * len(good),
        "sources of the stack",
    )
    how = replace(options, zeropoint="none", error_terms=False, flag_words=False)
    on_frame = measure_target(target, chosen, options=how, psf=work).table
    sound = (np.asarray(on_frame["flags"]) == 0) & np.isfinite(on_frame["mag_inst"].value)
    slope, reference = float(row.get("color_term") or 0.0), row.get("color_reference")
    if slope and reference is not None and "color" in table.colnames:
        mag = mag - slope * np.nan_to_num(column_numbers(table, "color") - float(reference))
    fit, _ = fit_zeropoint(
        on_frame["mag_inst"].value[sound], on_frame["mag_inst_err"].value[sound], mag[good][sound],
        column_numbers(table, "mag_err")[good][sound],
        np.full(int(sound.sum()), np.nan), system=str(row.get("system", "")),
        catalog="sources of the stack", options=ZeroPointOptions(),
    )  # fmt: skip
    if fit is None or not slope or reference is None:
        return fit
    slope_err = float(np.nan_to_num(row.get("color_term_err") or 0.0))
    return replace(
        fit, color_term=slope, color_term_err=slope_err, color_reference=float(reference),
        color_name=str(row.get("color_name", "")), covariance=((fit.err**2, 0.0), (0.0, slope_err**2)),
        terms=("zeropoint", "color"), coefficients=(fit.mag, slope), note="color term of the stack",
    )  # fmt: skip


def _joined(every: Sequence[Measured]) -> Measured:
    """Return the tables of many frames as one, in order of time, with the facts of each frame."""
    from astropy import units as u
    from astropy.table import QTable, vstack

    parts = []
    ordered = sorted(every, key=lambda one: (one.target.time, one.target.name))
    for number, one in enumerate(ordered, start=1):
        part = one.table.copy()
        n = len(part)
        zero = one.zeropoint
        part.add_column(np.full(n, number, np.int32), index=0, name="frame")
        part["frame_name"] = np.array([one.target.name] * n, dtype=np.str_)
        part["time"] = np.array([one.target.time] * n, dtype=np.str_)
        part["exposure"] = np.full(n, one.target.exposure) * u.s
        part["frame_fwhm"] = np.full(n, one.fwhm) * u.pix
        part["frame_zeropoint"] = np.full(n, zero.mag if zero else np.nan) * u.mag
        part["frame_zeropoint_err"] = np.full(n, zero.err if zero else np.nan) * u.mag
        part.meta = {}
        parts.append(part)
    table = vstack(parts, metadata_conflicts="silent") if len(parts) > 1 else parts[0]
    last = ordered[-1]
    notes = list(dict.fromkeys(note for one in ordered for note in one.notes))
    table.meta = {**last.table.meta, "n_frames": len(ordered), "notes": notes, "image": "frames"}
    for name, text in (
        ("frame", "Number of the frame, in order of time, from 1"),
        ("frame_name", "Path of the frame in the session"),
        ("time", "Middle of the exposure, UTC"),
        ("exposure", "Exposure of the frame"),
        ("frame_fwhm", "Full width at half maximum of the stars of the frame"),
        ("frame_zeropoint", "Magnitude of 1 electron / s on the frame"),
        ("frame_zeropoint_err", "Standard error of frame_zeropoint"),
    ):
        table[name].info.description = text
    name = f"{last.target.target}_{last.target.band}_frames"
    return replace(
        last, table=QTable(table), notes=notes, zeropoint=None, target=replace(last.target, name=name)
    )
