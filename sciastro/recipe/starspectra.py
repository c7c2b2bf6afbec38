"""Spectra of the stars that calibrate colors: from a file, or Gaia's XP spectra by cache and network.

Reads measured sources, a catalog and `ColorOptions.spectra`; writes photons per catalog star. Method, for
``gaia``: where the catalog does not name Gaia's sources, Gaia DR3 around the measured sources stands in;
the stars that were measured best in all bands are looked for in the cache; of others the archive says which
have a spectrum, and gives the sampled ones, and continuous ones of the rest where GaiaXPy can decode them.
Spectra whose BP-RP is not that of the catalog are those of other stars, and are refused.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.errors import CatalogError, OutputError, SciastroError
from sciastro.io.keptspectra import DECODED, NONE, SAMPLED, KeptSpectrum, keep_spectra, kept_spectra
from sciastro.io.xpspectra import DEFAULT, decode_continuous, read_star_spectra, relative_photons
from sciastro.photometry.bandpass import load
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.colorsteps import matched_fluxes
from sciastro.photometry.locus import WAVELENGTHS, color_of
from sciastro.photometry.spectra import Spectrum
from sciastro.recipe.catalogs import cone, network_off
from sciastro.recipe.colorcurves import GAIA_SPECTRA

if TYPE_CHECKING:
    from astropy.table import QTable, Table

__all__ = ["StarSpectra", "star_spectra"]

Decided = dict[int, tuple[int, Any, Any]]
"""By source: kind, flux and error, as `keep_spectra` takes them."""

DEEPER = 4  # how many times as many of Gaia's stars are taken as sources were measured
STARS = 200, 20_000  # but at least, and at most, so many
ENOUGH = 8  # stars with a spectrum, from which they calibrate (`colormodel.method_of`)
ALIEN = 0.15  # median difference of BP-RP [mag] from which spectra are not those of the stars
EXTRA = "pip install 'sciastro[gaiaxp]'"
_GAIA = re.compile(r"(?:gaia\s*(?:e?dr3)?\s+)?([0-9]{11,19})", re.IGNORECASE)  # EDR3 has the numbers of DR3


@dataclass(slots=True)
class StarSpectra:
    """What is known of the light of catalog stars.

    Attributes
    ----------
    catalog
        The stars; another catalog than the one given where that names none of Gaia's sources.
    photons
        (row, wavelength) at `locus.WAVELENGTHS`, relative, NaN without a spectrum; None for none at all.
    told
        For the record: source, counts, servers, dates, license, citation; empty without spectra.
    reason
        Why there are none, or fewer than there might be.
    """

    catalog: "QTable"
    photons: npt.NDArray[np.float64] | None = None
    told: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


def star_spectra(
    tables: "Mapping[str, Table]", catalog: "QTable", bands: tuple[str, ...], options: ColorOptions
) -> StarSpectra:
    """Return the spectra that `options` asks for.

    Raises
    ------
    FileError, UsageError
        For a file of spectra that cannot be read.
    """
    if not options.spectra:
        return StarSpectra(catalog)
    if options.spectra.lower() == GAIA_SPECTRA:
        try:
            return _gaia(tables, catalog, bands, options)
        except CatalogError as error:
            return StarSpectra(catalog, reason=f"no spectra of Gaia: {error}")
    known = read_star_spectra(Path(options.spectra).expanduser(), WAVELENGTHS)
    photons = _rows(_last_words(catalog), known)
    return StarSpectra(catalog, photons, {"source": Path(options.spectra).name, "spectra": len(known)})


def sources_of(catalog: "QTable") -> list[int | None]:
    """Return Gaia DR3's source of each star, None where its name is of another catalog, or of DR2."""
    names = catalog["id"] if "id" in catalog.colnames else [""] * len(catalog)
    found = [_GAIA.fullmatch(str(name).strip()) for name in names]
    return [int(one[1]) if one is not None else None for one in found]


def _last_words(catalog: "QTable") -> list[str]:
    if "id" not in catalog.colnames:
        return [""] * len(catalog)
    return [str(name).rsplit(" ", 1)[-1] for name in catalog["id"]]


def _rows(names: Sequence[Hashable], found: Mapping[Any, npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    photons = np.full((len(names), len(WAVELENGTHS)), np.nan)
    for row, name in enumerate(names):
        if name in found:
            photons[row] = found[name]
    return photons


def _gaia(
    tables: "Mapping[str, Table]", catalog: "QTable", bands: tuple[str, ...], options: ColorOptions
) -> StarSpectra:
    chosen = _chosen(tables, catalog, bands, options)
    named = sources_of(catalog)
    if sum(named[row] is not None for row in chosen) < max(ENOUGH, len(chosen) // 2):
        catalog = _around(tables[bands[0]], catalog)
        chosen, named = _chosen(tables, catalog, bands, options), sources_of(catalog)
    wanted = [source for row in chosen if (source := named[row]) is not None][: options.spectra_stars]
    if not wanted:
        return StarSpectra(catalog, reason="no star that was measured in all bands is one of Gaia DR3")
    kept = kept_spectra(wanted)
    before = len(kept)
    reasons: list[str] = []
    if missing := [one for one in wanted if one not in kept]:
        try:
            reasons += _fetch(missing, kept)
        except CatalogError as error:
            if sum(one.kind != NONE for one in kept.values()) < ENOUGH:
                raise
            reasons.append(str(error))
    spectra = {source: one for source, one in kept.items() if one.kind != NONE}
    photons = _photons(spectra)
    _check(photons, named, catalog)
    reasons += [f"{len(wanted) - len(photons)} of {len(wanted)} stars have none"] * (len(photons) < ENOUGH)
    told = _told(wanted, before, spectra)
    return StarSpectra(catalog, _rows(named, photons), told, "; ".join(reasons))


def _chosen(
    tables: "Mapping[str, Table]", catalog: "QTable", bands: tuple[str, ...], options: ColorOptions
) -> list[int]:
    """Return the rows of stars that were measured in every band, the best first."""
    if any(band not in tables or "ra" not in tables[band].colnames for band in bands):
        return []
    flux, err, _ = matched_fluxes(tables, catalog, bands, options)
    with np.errstate(invalid="ignore", divide="ignore"):
        worst = np.nan_to_num((flux / err).min(axis=1), nan=0.0)
    return [int(row) for row in np.argsort(-worst, kind="stable") if worst[row] > 0]


def _around(table: "Table", catalog: "QTable") -> "QTable":
    """Return the stars of Gaia DR3 around the measured sources."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    places = SkyCoord(table["ra"], table["dec"], unit=u.deg)
    mean = places.cartesian.mean()
    center = SkyCoord(mean.x, mean.y, mean.z, representation_type="cartesian").spherical
    middle = SkyCoord(center.lon, center.lat)
    radius = float(places.separation(middle).deg.max()) * 1.02 + 0.002
    epoch = catalog.meta.get("epoch")
    return cone(
        middle, radius, catalog="gaia-dr3", epoch=float(epoch) if epoch is not None else None,
        band="G", brightest=int(np.clip(DEEPER * len(table), *STARS)), fallback=False,
    )  # fmt: skip


def _fetch(missing: Sequence[int], kept: dict[int, KeptSpectrum]) -> list[str]:
    """Fetch spectra into `kept` and the cache; return what the user should know."""
    from sciastro.remote.xpspectra import continuous, sampled, spectra_kinds

    if network_off():
        raise CatalogError(
            f"is not asked: the network is switched off, and {len(missing)} spectra are not in the cache.",
            where="Gaia DR3 XP spectra", remedy="Go online once; spectra that came are kept.",
        )  # fmt: skip
    kinds = spectra_kinds(missing)
    reasons: list[str] = []
    without: Decided = {one: (NONE, [], []) for one in missing if kinds.get(one) == (False, False)}
    _keep(without, "", kept, reasons)
    if ids := [one for one in missing if kinds.get(one, (True, False))[0]]:
        came = sampled(ids)
        rows: Decided = {one: (SAMPLED, *pair) for one, pair in came.rows.items()}
        _keep(rows, ", ".join(came.servers), kept, reasons)
        reasons += came.troubles
        if len(rows) < len(ids):
            reasons.append(f"{len(ids) - len(rows)} of {len(ids)} sampled spectra did not come")
    rest = [one for one in missing if one not in kept and kinds.get(one, (False, False))[1]]
    if rest and find_spec("gaiaxpy") is None:
        reasons.append(f"{len(rest)} stars have continuous spectra only, which GaiaXPy decodes: {EXTRA}")
    elif rest:
        came = continuous(rest)
        _keep(_decoded(came.rows), ", ".join(came.servers), kept, reasons)
        reasons += came.troubles
    return reasons


def _decoded(rows: Mapping[int, Mapping[str, Any]]) -> Decided:
    from astropy.table import Table

    table = Table()
    for name in next(iter(rows.values())):
        values = [row[name] for row in rows.values()]
        column = np.empty(len(values), dtype=object) if "coefficient" in name else np.array(values)
        column[:] = values
        table[name] = column.astype(np.int64) if name.endswith("_n_parameters") else column
    try:
        names, _, fluxes = decode_continuous(table, "Gaia DR3 XP_CONTINUOUS")
    except SciastroError as error:
        raise CatalogError(error.found, where=str(error.where), remedy=error.remedy) from error
    return {
        int(name): (DECODED, flux, np.full(len(DEFAULT), np.nan))
        for name, flux in zip(names, fluxes, strict=True)
    }


def _keep(rows: Decided, server: str, kept: dict[int, KeptSpectrum], reasons: list[str]) -> None:
    if not rows:
        return
    today = int(datetime.now(UTC).timestamp() // 86_400)
    for source, (kind, flux, err) in rows.items():
        kept[source] = KeptSpectrum(kind, np.asarray(flux), np.asarray(err), today, server)
    try:
        keep_spectra(rows, server)
    except OutputError as error:
        reasons.append(f"spectra are not kept: {error}")


def _photons(spectra: Mapping[int, KeptSpectrum]) -> dict[int, npt.NDArray[np.float64]]:
    names = [str(one) for one in spectra]
    rows = [np.asarray(one.flux, dtype=np.float64) for one in spectra.values()]
    found = relative_photons(names, [DEFAULT] * len(rows), rows, WAVELENGTHS)
    return {int(name): one for name, one in found.items()}


def _check(
    photons: Mapping[int, npt.NDArray[np.float64]], named: Sequence[int | None], catalog: "QTable"
) -> None:
    """Refuse spectra that are not those of the stars."""
    if "bp_rp" not in catalog.colnames:
        return
    known = np.asarray(catalog["bp_rp"].value, dtype=np.float64)
    bands = load("gaia_BP"), load("gaia_RP")
    off = [
        color_of(
            Spectrum(name=str(source), wavelength=WAVELENGTHS, flux=photons[source] / WAVELENGTHS), *bands
        )
        - known[row]
        for row, source in enumerate(named)
        if source is not None and source in photons and np.isfinite(known[row])
    ]
    if len(off) >= ENOUGH and abs(float(np.median(off))) > ALIEN:
        raise CatalogError(
            f"do not fit the stars: their BP-RP differs by {np.median(off):+.2f} mag in the median.",
            where="Gaia DR3 XP spectra",
            remedy="Check the catalog's source numbers, or leave --spectra out.",
        )


def _told(wanted: Sequence[int], before: int, spectra: Mapping[int, KeptSpectrum]) -> dict[str, Any]:
    from sciastro.remote.xpspectra import CITATION, LICENSE

    days = sorted({one.day for one in spectra.values()})
    dates = [datetime.fromtimestamp(day * 86_400, UTC).date().isoformat() for day in days]
    return {
        "source": "Gaia DR3 XP", "wanted": len(wanted), "from_cache": before,
        "sampled": sum(one.kind == SAMPLED for one in spectra.values()),
        "continuous": sum(one.kind == DECODED for one in spectra.values()),
        "servers": sorted({one.server for one in spectra.values() if one.server}),
        "dates": dates[:1] + dates[-1:] if len(dates) > 1 else dates, "license": LICENSE,
        "citation": CITATION,
    }  # fmt: skip
