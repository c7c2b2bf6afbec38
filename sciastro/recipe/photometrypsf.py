"""PSF photometry of images and runs: tables, PSF models, residual images, artificial stars.

Joins `photometry.psfphotometry` with detection, sky maps, world coordinates, zero points and files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.correlation import large_factor
from sciastro.core.options import Options, option
from sciastro.errors import OptionError
from sciastro.io.paths import atomic_path
from sciastro.io.psffiles import SAMPLES, read_psf_tables, write_psf_tables, write_residual
from sciastro.io.tables import export_table
from sciastro.measure.skymaps import sky_mapper
from sciastro.measure.stars import DetectOptions, PlaneMeasure, measure_plane
from sciastro.photometry.errorterms import Relative
from sciastro.photometry.psfforced import psf_at
from sciastro.photometry.psfinject import Field, Injection, InjectOptions, inject_stars
from sciastro.photometry.psfmodel import PsfModel
from sciastro.photometry.psfphotometry import PsfOptions, PsfResult, Seed, psf_photometry
from sciastro.photometry.psftable import notes_of, with_relative
from sciastro.photometry.sources import add_positions
from sciastro.recipe.photometryimages import Target
from sciastro.recipe.photometryplaces import OnImage

if TYPE_CHECKING:
    from astropy.table import Table

    from sciastro.recipe.photometry import Measured, PhotometryOptions

__all__ = ["PsfRequest", "PsfWork", "read_model", "sample_model", "write_model"]

Singles = npt.NDArray[np.float32]
Tell = Callable[[str], None]

KEPT = (
    "step", "fwhm", "radius", "total_radius", "normalization_err", "scatter", "blur", "n_stars", "kind",
    "note",
)  # fmt: skip
RATE = "electron / s"  # of the tables of `photometry`
UNLIKE = 2.0  # a PSF that many times as wide as detected stars, or as narrow, is not theirs
ENOUGH = 100  # artificial stars: on one field 10 had a limit of 10.4 mag, 100 one of 14.9
GRID = 5  # places along each axis at which the file samples a PSF that varies


@dataclass(frozen=True, kw_only=True, slots=True)
class PsfRequest(Options):
    """What `sciastro photometry --psf` is asked to do."""

    model: str = option("", "File of a PSF to use; empty learns it.")
    inject: int = option(0, "Artificial stars to put in.", low=0, high=1_000_000)
    seed: int = option(1, "Seed of the artificial stars.", low=0)
    order: int = option(3, "Highest polynomial of the PSF over the field.", low=0, high=3)
    searches: int = option(2, "Times that the residual is searched for more stars.", low=0, high=10)


class PsfWork:
    """Measures the stars of images by their PSF and keeps what comes of it beside the table."""

    def __init__(self, request: PsfRequest, tell: Tell, seed: Seed | None = None) -> None:
        self.request, self.tell = request, tell
        self.options = PsfOptions(order=request.order, searches=request.searches)
        self.result: PsfResult | None = None
        self.injection: Injection | None = None
        self._relative, self._terms = Relative(), False
        self._target: Target | None = None
        self._found: PsfResult | None = None
        self._seed, self._fwhm = seed, float("nan")

    def table(
        self, target: Target, stars: PlaneMeasure, fwhm: float, relative: Relative,
        options: "PhotometryOptions",
    ) -> "Table":  # fmt: skip
        """Return the table of what is on an image, as `photometry.aperture.measure_sources` would.

        Raises
        ------
        OptionError
            If errors of the flat from pixel to pixel are asked for, which only apertures sum.
        """
        if relative.flat_pixel > 0:
            raise OptionError(
                "is summed over apertures, not by a fit of the PSF.", where="--flat-pixel-noise",
                remedy="Leave it out, or put it into the variance plane of the image.",
            )  # fmt: skip
        self._relative, self._terms = relative, options.error_terms
        if self._target is target and self._found is not None:  # the same image, at other positions
            return self._labeled(self._found.table, target)
        model = read_model(Path(self.request.model)) if self.request.model else None
        field = self._field(target, stars, options.threshold)
        how = self.options = replace(
            self.options, threshold=options.threshold, sky_inner=options.sky_inner,
            sky_outer=options.sky_outer, max_stars=max(options.max_stars, self.options.max_stars),
            least_snr=options.limit_snr,
        )  # fmt: skip
        found = psf_photometry(
            field.image, field.variance, field.quality, stars.stars,
            fwhm=fwhm if np.isfinite(fwhm) else 3.0, noise_correlation=target.correlation,
            autocorrelation=target.autocorrelation, sky_map=field.sky_map, model=model, seed=self._seed,
            options=how, tell=self.tell,
        )  # fmt: skip
        self._target, self._found, self.result, self.injection = target, found, found, None
        self._fwhm = fwhm
        if self.request.inject:
            self.injection = inject_stars(
                field, found, options=InjectOptions(number=self.request.inject, seed=self.request.seed),
                fit=how, tell=self.tell,
            )  # fmt: skip
            for one in (self.injection.stars, self.injection.bins):
                _relabel(one, target.unit)
        return self._labeled(found.table, target)

    def at(self, target: Target, stars: PlaneMeasure, places: OnImage) -> "Table":
        """Return the table of the light at places on an image whose stars `table` has measured."""
        assert self._target is target and self._found is not None
        field = self._field(target, stars, self.options.threshold)
        self.result = psf_at(
            self._found, field.image, field.variance, field.quality, places.x, places.y,
            noise_correlation=target.correlation, autocorrelation=target.autocorrelation,
            sky_map=field.sky_map, options=self.options, tell=self.tell,
        )  # fmt: skip
        return self._labeled(self.result.table, target)

    def _labeled(self, table: "Table", target: Target) -> "Table":
        """Return the table in the unit of its image, on the sky where that is known."""
        table = with_relative(table, self._relative, terms=self._terms)
        _relabel(table, target.unit)
        table.meta["band"] = target.band
        return add_positions(table, target.wcs) if target.wcs is not None else table

    def _field(self, target: Target, stars: PlaneMeasure, threshold: float) -> Field:
        def find(image: Singles, variance: Singles, quality: npt.NDArray[np.uint16]) -> Any:
            how = DetectOptions(threshold=threshold, max_stars=self.options.max_stars, fwhm=_width(stars))
            return measure_plane(image, quality, gain_noise=variance, options=how).stars

        kernel = target.autocorrelation
        known = kernel is not None and np.isfinite(kernel).all()
        return Field(
            image=target.image, variance=target.variance, quality=target.quality, find=find,
            sky_map=sky_mapper(stars.fwhm),
            autocorrelation=kernel,
            noise_correlation=large_factor(kernel) if known and kernel is not None else target.correlation,
        )  # fmt: skip

    def write(self, folder: Path, stem: str, measured: "Measured", formats: tuple[str, ...]) -> list[Path]:
        """Write the PSF, the residual image and what artificial stars told; return the files."""
        if self.result is None:
            return []
        target, model = measured.target, self.result.model
        facts = {
            "OBJECT": target.target or None, "FILTER": target.band or None, "EXPTIME": target.exposure,
            "IMAGE": target.name, "PSFFWHM": model.fwhm, "NSTARS": len(measured.table),
        }  # fmt: skip
        shape = (target.image.shape[0], target.image.shape[1])
        paths = [
            write_model(folder / f"{stem}_psf.fits", model, shape),
            write_residual(
                folder / f"{stem}_residual.fits", self.result.residual, self.result.sky, unit=target.unit,
                wcs=target.wcs, facts=facts,
            ),
        ]  # fmt: skip
        if self.injection is not None:
            paths += self._injected(folder, stem, measured, formats)
        return paths

    def _injected(
        self, folder: Path, stem: str, measured: "Measured", formats: tuple[str, ...]
    ) -> list[Path]:
        from sciastro.report.injection import draw_injection

        assert self.injection is not None
        zero = measured.zeropoint.mag if measured.zeropoint is not None else 0.0
        for one in (self.injection.stars, self.injection.bins):
            for name in [key for key in one.colnames if key.startswith("mag_inst")]:
                one[name.replace("_inst", "")] = one[name] + zero * one[name].unit
            one.meta |= {
                "zeropoint": zero if measured.zeropoint is not None else None, "image": measured.target.name,
                "limit_90_mag": one.meta["limit_90"] + zero, "limit_50_mag": one.meta["limit_50"] + zero,
            }  # fmt: skip
        first = formats[0] if formats else "ecsv"
        end = {"votable": "xml"}.get(first, first)
        paths = [
            export_table(folder / f"{stem}_injected.{end}", self.injection.stars, first),
            export_table(folder / f"{stem}_completeness.{end}", self.injection.bins, first),
        ]
        picture = folder / f"{stem}_completeness.png"
        with atomic_path(picture) as part:
            draw_injection(part, self.injection.stars, self.injection.bins, measured.target.name)
        bins = self.injection.bins
        limits = " and ".join(_limit(bins.meta, share) for share in (90, 50))
        self.tell(
            f"artificial stars: {limits}; {int(np.maximum(bins['false'], 0).sum())} false "
            "detections in the residual turned upside down" + _few(int(bins.meta["number"]))
        )
        return [*paths, picture]

    @property
    def seed(self) -> Seed | None:
        """Return the PSF of tables that was learned last, to begin with on the next image; None without."""
        if self._found is None or self._found.model.kind != "empirical" or not np.isfinite(self._fwhm):
            return None
        return Seed(self._found.model, self._fwhm)

    @property
    def notes(self) -> list[str]:
        """Return what the user should know of the image that was measured last."""
        if self._found is None:
            return []
        return [*([self.doubt] if self.doubt else []), *notes_of(self._found.table)]

    @property
    def doubt(self) -> str:
        """Return why the PSF cannot be that of the stars; empty where nothing speaks against it."""
        if self._found is None or not np.isfinite(self._fwhm):
            return ""
        width = self._found.model.fwhm
        if UNLIKE**-1 < width / self._fwhm < UNLIKE:
            return ""
        return (
            f"the PSF is {width:.2f} pixel wide where stars are {self._fwhm:.2f}: fluxes are not to be "
            "trusted; where bright stars have flat tops, say at which level (--saturation), or give --fwhm"
        )

    def facts(self) -> dict[str, Any]:
        """Return what the summary says of the PSF and the artificial stars."""
        if self.result is None:
            return {}
        out: dict[str, Any] = {"psf": self.result.model.facts()}
        if self.injection is not None:
            meta = self.injection.bins.meta
            out["injected"] = {
                name: meta.get(name) for name in ("number", "seed", "limit_90_mag", "limit_50_mag")
            }
        return out


def _limit(meta: Mapping[str, Any], share: int) -> str:
    """Return in words to which magnitude that share [%] of the artificial stars is found."""
    mag = meta[f"limit_{share}_mag"]
    return (
        f"{share} % found to {mag:.2f} mag"
        if np.isfinite(mag)
        else f"no magnitude to which {share} % are found"
    )


def _few(number: int) -> str:
    """Return that so few artificial stars tell limits roughly; empty for enough."""
    return "" if number >= ENOUGH else f"; {number} stars tell limits roughly, --inject {ENOUGH} or more well"


def _relabel(table: "Table", unit: str) -> None:
    """Give the columns that `photometry` has in `RATE` the unit of their image."""
    from astropy import units as u

    for name in table.colnames:
        if table[name].unit == RATE:
            table[name].unit = u.Unit(unit)


def _width(stars: PlaneMeasure) -> float | None:
    return float(np.clip(stars.fwhm, 1.0, 50.0)) if np.isfinite(stars.fwhm) else None


def sample_model(model: PsfModel, shape: tuple[int, int]) -> tuple[Any, tuple[Any, Any]]:
    """Return PSFs at `SAMPLES` per pixel on a grid of places (place, y, x), and the grid's lines."""
    number = 2 if model.order == 0 else GRID
    lines = [
        np.unique(np.rint(np.linspace(0, size - 1, max(2, min(number, size))))).astype(int) for size in shape
    ]
    half = int(np.ceil(model.radius)) * SAMPLES
    offsets = np.arange(-half, half + 1) / SAMPLES
    samples = [model.values(float(x), float(y), offsets, offsets) for y in lines[0] for x in lines[1]]
    return np.array(samples), (lines[1], lines[0])


def write_model(path: Path, model: PsfModel, shape: tuple[int, int]) -> Path:
    """Write a PSF; `shape` (rows, columns) of its image."""
    samples, grid = sample_model(model, shape)
    facts: dict[str, Any] = {name: getattr(model, name) for name in KEPT}
    facts |= dict(zip(("x0", "y0", "scale"), model.field, strict=True))
    return write_psf_tables(path, model.tables, facts, model.stars, samples, grid)


def read_model(path: Path) -> PsfModel:
    """Return a PSF that `write_model` wrote."""
    tables, facts, stars = read_psf_tables(path)
    place = tuple(float(facts.pop(name)) for name in ("x0", "y0", "scale"))
    return PsfModel(
        tables=np.ascontiguousarray(tables), field=(place[0], place[1], place[2]), stars=stars, **facts
    )
