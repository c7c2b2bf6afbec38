"""Photometry of files and of finished runs: every image, and on request every frame of a run, to tables."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astropy.io import fits

from sciastro.core.options import Options, option
from sciastro.errors import FileError, OptionError, SciastroError, UsageError
from sciastro.io.paths import new_folder, safe_name, unlike
from sciastro.io.positions import Positions
from sciastro.io.tables import export_table
from sciastro.photometry.references import UNITS
from sciastro.recipe.movers import read_summary
from sciastro.recipe.photometry import Measured, PhotometryOptions, epoch_of, measure_target
from sciastro.recipe.photometryframes import FrameRequest, frame_tables
from sciastro.recipe.photometryimages import Given, Target, read_targets
from sciastro.recipe.photometrynight import night_of
from sciastro.recipe.photometryplaces import gather, of_catalog
from sciastro.recipe.photometrypsf import PsfRequest, PsfWork
from sciastro.recipe.photometrywriting import row_of, write_measured, write_summary
from sciastro.recipe.physical import flux_copy

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Request", "photometry_run"]

log = logging.getLogger(__name__)

NOT_IMAGES = ("_rejection", "_context", "_sources")
NO_STAR = (
    "no star was found; its table is empty. Look at the image: it may be blank or saturated; else lower "
    "--threshold, or give places with --at."
)
NO_CATALOG_STAR = (
    "no star of the catalog is on it; its table is empty. Check its world coordinates (`sciastro solve`), or "
    "ask for fainter stars (--faintest)."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Options):
    """What `sciastro photometry` is asked to do."""

    catalog: str | None = option(None, "Measure at the stars of this catalog: a name or a file.")
    faintest: float | None = option(None, "Faintest star of that catalog.", unit="mag")
    frames: bool = option(False, "Also measure every frame of a run.")
    regions: bool = option(False, "Also write ds9 regions.")
    bunit: str = option("none", "Also write images in this physical unit.", choices=("none", *UNITS))


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
    runs = _checked(paths, request, options, psf, at=bool(at))
    positions = gather(list(at)) if at else None
    with new_folder(out or (runs[0] / "photometry" if runs else Path("photometry"))) as folder:
        work = _Work(request, options, given, psf, positions, folder, tuple(formats), tell)
        failed = work.images(paths, aloud=len(paths) > 1 or bool(runs))
        if request.frames:
            for run in runs:
                work.frames(run)
        if not work.rows:
            nothing = FileError(
                "holds no image.", where=str(paths[0]), remedy="Run `sciastro reduce` until integrate."
            )
            raise failed[0] if failed else nothing
        if positions is not None and not any(row["n_measured"] for row in work.rows):
            work.warn("none of the positions has a flux on any image: check --at and the images")
        return write_summary(folder / "photometry.json", work.rows, work.warnings)


def _checked(
    paths: Sequence[Path], request: Request, options: PhotometryOptions, psf: PsfRequest | None, *, at: bool
) -> list[Path]:
    """Refuse what does not go together, before anything is read; return the folders among the paths."""
    if not paths:
        raise UsageError("is missing.", where="TARGET", remedy="Name images, or the folder of a run.")
    if at and request.catalog:
        raise OptionError("do not go together.", where="--at and --catalog", remedy="Give one of them.")
    if psf is not None and (
        options.radius or options.optimal or not options.correct or options.flat_pixel_noise
    ):
        raise OptionError(
            "fits the whole profile of a star; --radius, --optimal, --no-correct and --flat-pixel-noise are "
            "of apertures.", where="--psf", remedy="Leave out one or the other.",
        )  # fmt: skip
    runs = [path for path in paths if path.is_dir()]
    if request.frames and not runs:
        raise OptionError(
            "needs the folder of a finished run.", where="--frames",
            remedy="Name the folder that `sciastro reduce -o` wrote, or give the frames as files.",
        )  # fmt: skip
    return runs


@dataclass
class _Work:
    """Measures images and the frames of runs, writes their tables, and keeps what the summary says of them.

    Attributes
    ----------
    rows, warnings
        Of the summary.
    taken
        Names of files that are in use.
    stacks
        Target and band -> what PSF photometry found on the stacks of runs.
    """

    request: Request
    options: PhotometryOptions
    given: Given
    psf: PsfRequest | None
    positions: Positions | None
    folder: Path
    formats: tuple[str, ...]
    tell: Callable[[str], None]
    rows: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    stacks: "dict[tuple[str, str], Table]" = field(default_factory=dict)

    def warn(self, text: str) -> None:
        """Tell what was left out."""
        self.warnings.append(text)
        self.tell(text)

    def images(self, paths: Sequence[Path], *, aloud: bool) -> list[SciastroError]:
        """Measure the images of all paths; return why some could not be, which is told at once if `aloud`."""
        failed = []
        for where, load in _targets(paths, self.given):
            try:
                for target in load():
                    self.image(target)
            except SciastroError as error:
                failed.append(error)
                text = str(error) if where in str(error) else f"{where}: {error}"
                self.warnings.append(f"{text} (left out)")
                if aloud:
                    self.tell(self.warnings[-1])
        return failed

    def image(self, target: Target) -> None:
        """Measure one image."""
        request, places = self.request, self.positions
        if request.catalog:
            places = of_catalog(target, request.catalog, faintest=request.faintest, epoch=epoch_of(target))
        work = PsfWork(self.psf, self.tell) if self.psf is not None else None
        measured = measure_target(target, places, options=self.options, psf=work)
        stem = unlike(safe_name(f"{target.name}_{'psf_' if work else ''}photometry"), self.taken)
        files = write_measured(self.folder, stem, measured, self.formats, regions=request.regions)
        row = row_of(measured, files)
        if work is not None:
            files += work.write(self.folder, stem.removesuffix("_psf_photometry"), measured, self.formats)
            row |= work.facts() | {"files": [str(path) for path in files]}
            if places is None:
                self.stacks[target.target, target.band] = measured.table
        self._keep(measured, files, row)
        if not len(measured.table) and self.positions is None:
            what = NO_CATALOG_STAR if request.catalog else NO_STAR
            self.warn(f"{target.path or target.name}: {what}")
        self._doubt(target, row, work)
        row["physical"] = _physical(measured, request.bunit, self.folder, self.warn)

    def _doubt(self, target: Target, row: Mapping[str, Any], work: PsfWork | None) -> None:
        """Warn of what was asked for and is not there; the reasons are among the notes of the table."""
        name = str(target.path or target.name)
        asked = self.options.zeropoint in ("catalog", "header") or self.options.system
        if asked and row["zeropoint"] is None and row["n_sources"]:
            self.warn(f"{name}: the zero point that was asked for is missing")
        if work is not None and work.doubt:
            self.warnings.append(f"{name}: {work.doubt}")

    def frames(self, run: Path) -> None:
        """Measure the frames of a run."""
        asked = FrameRequest(
            positions=self.positions, catalog=self.request.catalog, faintest=self.request.faintest,
            psf=self.psf,
        )  # fmt: skip
        for measured, stem in frame_tables(
            run, asked, self.stacks, self.options, self.given, self.warn, self.tell
        ):
            name = unlike(safe_name(stem), self.taken)
            files = write_measured(self.folder, name, measured, self.formats)
            row = row_of(measured, files)
            self._keep(measured, files, row)
            path = self.folder / f"{name}_night.ecsv"
            row["night"] = _night(measured, run, self.given, self.options, path, self.tell)

    def _keep(self, measured: Measured, files: Sequence[Path], row: dict[str, Any]) -> None:
        self.rows.append(row)
        _tell(measured, files, self.tell)


def _night(
    measured: Measured, run: Path, given: Given, options: PhotometryOptions, path: Path,
    tell: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
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
        tell(
            f"  extinction {k:.3f} +- {k_err:.3f} mag per airmass, zero point above the atmosphere "
            f"{above:.3f} +- {err:.3f} mag"
        )
    else:
        lead = "" if found.night is not None else "no zero points of frames: "
        tell(f"  {lead}{found.reason}")
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


def _physical(
    measured: Measured, unit: str, folder: Path, warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """Write the copy of an image in a physical unit, where it was asked for."""
    path = measured.target.path
    if unit == "none" or path is None:
        return None
    return flux_copy(path, unit, measured.zeropoint, folder, warn)


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
    why = ", ".join(f"{count} {name}" for name, count in row["unmeasured"].items())
    without = f" (without flux: {why})" if why else ""
    text = f"{row['image']}: {row['n_measured']} of {row['n_sources']} measured{without}"
    text += f", {row['n_flagged']} flagged"
    if first:
        text += f", radius {first['radius_pixel']:.2f} pixel"
    if zero is not None:
        text += f", zero point {zero.mag:.3f} +- {zero.err:.3f} mag ({zero.system or 'system unknown'})"
    tell(f"{text} -> {', '.join(str(path) for path in files)}")
    for note in measured.notes:
        tell(f"  note: {note}")
