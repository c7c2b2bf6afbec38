"""Photometry of files and of finished runs: every image, and on request every frame of a run, to tables."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astropy.io import fits

from sciastro.core.options import Options, option
from sciastro.errors import FileError, OptionError, SciastroError, UsageError
from sciastro.io.paths import ensure_writable, safe_name, unlike
from sciastro.io.tables import export_table
from sciastro.photometry.references import UNITS
from sciastro.recipe.movers import read_summary
from sciastro.recipe.photometry import Measured, PhotometryOptions, epoch_of, measure_target
from sciastro.recipe.photometryframes import frame_tables
from sciastro.recipe.photometryimages import Given, Target, read_targets
from sciastro.recipe.photometrynight import night_of
from sciastro.recipe.photometryplaces import gather, of_catalog
from sciastro.recipe.photometrypsf import PsfRequest, PsfWork
from sciastro.recipe.photometrywriting import row_of, write_measured, write_summary
from sciastro.recipe.physical import flux_copy

__all__ = ["Request", "photometry_run"]

log = logging.getLogger(__name__)

NOT_IMAGES = ("_rejection", "_context", "_sources")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Options):
    """What `sciastro photometry` is asked to do."""

    catalog: str | None = option(None, "Measure at the stars of this catalog: a name or a file.")
    faintest: float | None = option(None, "Faintest star of that catalog.", unit="mag")
    frames: bool = option(False, "Also measure every frame of a run.")
    regions: bool = option(False, "Also write ds9 regions.")
    bunit: str = option("none", "Also write images in this physical unit.", choices=("none", *UNITS))


@dataclass
class _Told:
    """What is told on the way, and what went wrong with one image and did not stop the others."""

    tell: Callable[[str], None]
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        self.tell(text)


def photometry_run(
    paths: Sequence[Path],
    out: Path | None,
    *,
    at: Sequence[Any] = (),
    request: Request | None = None,
    options: PhotometryOptions | None = None,
    given: Given | None = None,
    psf: PsfRequest | None = None,
    formats: Sequence[str] = ("ecsv", "fits"),
    tell: Callable[[str], None] = log.info,
) -> dict[str, Any]:
    """Measure images and runs; write a table for each and ``photometry.json``; return the summary.

    Parameters
    ----------
    paths
        Image files, and folders of finished runs.
    out
        Folder for the tables; None takes ``photometry`` in the folder of the first run, else here.
    at
        Positions (see `photometryplaces.gather`); empty measures what is found.
    request, options, given
        What is asked for, how it is measured, and what headers do not say.
    psf
        Measure by the PSF of each image, not by apertures, and write it and the image without its stars.
    formats
        Of `photometrywriting.FORMATS`.
    tell
        Is told what happens, sentence by sentence.

    Raises
    ------
    SciastroError
        If nothing could be measured; of several images, the reason of the first.
    """
    request, options, given = request or Request(), options or PhotometryOptions(), given or Given()
    if not paths:
        raise UsageError("is missing.", where="TARGET", remedy="Name images, or the folder of a run.")
    if at and request.catalog:
        raise OptionError("do not go together.", where="--at and --catalog", remedy="Give one of them.")
    if psf is not None and (at or request.catalog or request.frames):
        raise OptionError(
            "measures what is found on images; it does not go with --at, --catalog or --frames.",
            where="--psf", remedy="Leave out --psf for forced apertures.",
        )  # fmt: skip
    runs = [path for path in paths if path.is_dir()]
    if request.frames and not runs:
        raise OptionError(
            "needs the folder of a finished run.", where="--frames",
            remedy="Name the folder that `sciastro reduce -o` wrote, or give the frames as files.",
        )  # fmt: skip
    positions = gather(list(at)) if at else None
    folder = ensure_writable(out or (runs[0] / "photometry" if runs else Path("photometry")))
    told = _Told(tell)
    rows, failed, taken = [], [], set[str]()
    for where, load in _targets(paths, given):
        try:
            for target in load():
                found = positions
                if request.catalog:
                    found = of_catalog(
                        target, request.catalog, faintest=request.faintest, epoch=epoch_of(target)
                    )
                work = PsfWork(psf, tell) if psf is not None else None
                measured = measure_target(target, found, options=options, psf=work)
                end = "psf_photometry" if work is not None else "photometry"
                stem = unlike(safe_name(f"{target.name}_{end}"), taken)
                files = write_measured(folder, stem, measured, formats, regions=request.regions)
                if work is not None:
                    files += work.write(
                        folder, stem.removesuffix("_psf_photometry"), measured, tuple(formats)
                    )
                rows.append(row_of(measured, files) | (work.facts() if work is not None else {}))
                _tell(measured, files, tell)
                rows[-1]["physical"] = _physical(measured, request.bunit, folder, told)
        except SciastroError as error:
            failed.append(error)
            text = str(error) if where in str(error) else f"{where}: {error}"
            told.warnings.append(f"{text} (left out)")
            if len(paths) > 1 or runs:
                tell(told.warnings[-1])
    if request.frames:
        for run in runs:
            found = positions
            for measured, stem in frame_tables(run, found, request.catalog, request.faintest, options, given,
                                               told.warn):  # fmt: skip
                name = unlike(safe_name(stem), taken)
                files = write_measured(folder, name, measured, formats)
                rows.append(row_of(measured, files))
                _tell(measured, files, tell)
                rows[-1]["night"] = _night(measured, run, given, options, folder / f"{name}_night.ecsv", told)
    if not rows:
        raise (
            failed[0]
            if failed
            else FileError(
                "holds no image.", where=str(paths[0]), remedy="Run `sciastro reduce` until integrate."
            )
        )
    return write_summary(folder / "photometry.json", rows, told.warnings)


def _night(
    measured: Measured, run: Path, given: Given, options: PhotometryOptions, path: Path, told: _Told
) -> dict[str, Any]:
    """Tell the extinction of the night, and write the zero points of its frames."""
    band = str(measured.table.meta.get("band", ""))
    found = night_of(measured.table, band, given.site or _site_of(run), options)
    row = found.as_dict()
    if found.night is not None:
        frames = found.night.frames.copy()
        frames.meta |= {name: row[name] for name in ("extinction", "extinction_err", "above_atmosphere")}
        row["frames"] = str(export_table(path, frames, "ecsv"))
    if row["extinction"] is not None:
        k, k_err, (above, err) = row["extinction"], row["extinction_err"], row["above_atmosphere"]
        told.tell(
            f"  extinction {k:.3f} +- {k_err:.3f} mag per airmass, zero point above the atmosphere "
            f"{above:.3f} +- {err:.3f} mag"
        )
    else:
        lead = "" if found.night is not None else "no zero points of frames: "
        told.tell(f"  {lead}{found.reason}")
    return row


def _site_of(run: Path) -> tuple[float, float, float | None] | None:
    """Return the site that the products of a run tell."""
    for row in read_summary(run).get("products", []):
        path = run / str(row.get("image"))
        if path.suffix == ".fits" and path.is_file():
            header = fits.getheader(path, 0)
            if "SITELAT" in header and "SITELONG" in header:
                return float(header["SITELAT"]), float(header["SITELONG"]), header.get("SITEELEV")
    return None


def _physical(measured: Measured, unit: str, folder: Path, told: _Told) -> dict[str, Any] | None:
    """Write the copy of an image in a physical unit, where it was asked for."""
    path = measured.target.path
    if unit == "none" or path is None:
        return None
    return flux_copy(path, unit, measured.zeropoint, folder, told.warn)


def _targets(paths: Sequence[Path], given: Given) -> Iterator[tuple[str, Callable[[], Iterator[Target]]]]:
    """Yield the name of each image and how it is read."""
    for path in paths:
        if not path.is_dir():
            yield str(path), lambda path=path: read_targets(path, given)  # type: ignore[misc]
            continue
        for row in read_summary(path).get("products", []):
            image = row.get("image")
            if image and not row.get("shows"):
                whole = path / image
                yield str(whole), lambda whole=whole: read_targets(whole, given)  # type: ignore[misc]


def _tell(measured: Measured, files: Sequence[Path], tell: Callable[[str], None]) -> None:
    row = row_of(measured, files)
    zero = measured.zeropoint
    first = row["apertures"][0] if row["apertures"] else {}
    text = f"{row['image']}: {row['n_measured']} of {row['n_sources']} measured, {row['n_flagged']} flagged"
    if first:
        text += f", radius {first['radius_pixel']:.2f} pixel"
    if zero is not None:
        text += f", zero point {zero.mag:.3f} +- {zero.err:.3f} mag ({zero.system or 'system unknown'})"
    tell(f"{text} -> {', '.join(str(path) for path in files)}")
    for note in measured.notes:
        tell(f"  note: {note}")
