"""What a band leaves on disk: its FITS files and tables, their header, and its row of ``summary.json``."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.astrometry.field import compass
from sciastro.astrometry.solve import Solution, SolveOptions
from sciastro.core.history import entry
from sciastro.core.tpv import RESIDUAL, RESIDUAL_COMMENT, sip_to_tpv
from sciastro.core.wcs import center, parity, pixel_scale, rotation
from sciastro.errors import HeaderError
from sciastro.io.coloredproducts import colored_name, write_colored
from sciastro.io.contexts import write_context
from sciastro.io.product_cards import ProductFacts
from sciastro.io.products import write_image_product
from sciastro.io.tables import write_sources
from sciastro.photometry.coloroptions import ColorOptions
from sciastro.photometry.references import UnitOptions, surface_brightness
from sciastro.recipe.context import Context
from sciastro.recipe.finishing import Finished
from sciastro.recipe.lensing import lens_card
from sciastro.recipe.physical import flux_copy
from sciastro.recipe.plan import Recipe
from sciastro.recipe.rejected import rejection_row, write_maps
from sciastro.recipe.stacked import Stacked
from sciastro.recipe.timing import bjd_card, span_of

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["product_facts", "product_row", "sky_of", "write_band"]

HOLES = 0.1  # share of empty pixels from which they are why there is no figure


def write_band(
    stacked: Stacked, finished: Finished | None, solution: Solution | None, recipe: Recipe, context: Context
) -> dict[str, Any]:
    """Write the products of one band and return its row of ``summary.json``."""
    stem = stacked.file
    folder = context.out / "products"
    folder.mkdir(parents=True, exist_ok=True)
    arrays = stacked.arrays
    facts = product_facts(stacked, finished, recipe)
    sky, told = _written_wcs(stacked, recipe, context)
    if stacked.wcs is not None:
        told |= lens_card(solution, pixel_scale(stacked.wcs))
    facts = replace(facts, extra={**facts.extra, **told})
    write_image_product(
        folder / f"{stem}.fits", arrays.image, arrays.variance, arrays.quality, arrays.coverage,
        wcs=sky, facts=facts, autocorrelation=stacked.autocorrelation,
    )  # fmt: skip
    if finished is not None and finished.gains is not None and recipe.of(ColorOptions).apply:
        path, at = folder / f"{stem}.fits", finished.color_index
        write_colored(
            path, path.with_name(colored_name(path)), finished.gains.gains[at], finished.gains.errors[at],
            finished.gains.white_name,
        )  # fmt: skip
    if arrays.causes.size:
        write_maps(folder / f"{stem}_rejection.fits", arrays, wcs=sky, facts=facts)
    if arrays.context.size:
        made = [(light.name, light.weights.get(stacked.band, 0.0)) for light in stacked.lights]
        write_context(folder / f"{stem}_context.fits", arrays.context, made, wcs=sky, facts=facts)
    sources = None
    if finished is not None and len(finished.sources):
        write_sources(folder / f"{stem}_sources", finished.sources, facts=facts)
        sources = f"products/{stem}_sources.ecsv"
    row = product_row(stacked, finished, solution, f"products/{stem}.fits", sources)
    unit = recipe.of(UnitOptions).bunit
    if finished is not None and unit != "none":
        copy = flux_copy(folder / f"{stem}.fits", unit, finished.zeropoint, folder, context.warn)
        row["physical"] = None if copy is None else {**copy, "image": f"products/{copy['image']}"}
    return row


def _written_wcs(
    stacked: Stacked, recipe: Recipe, context: Context
) -> "tuple[WCS | None, dict[str, tuple[Any, str]]]":
    """Return the WCS in the form that the user wants in files, and the cards that tell what it lost."""
    wcs = stacked.wcs
    if wcs is None or wcs.sip is None or recipe.of(SolveOptions).distortion != "tpv":
        return wcs, {}
    rows, columns = stacked.arrays.image.shape
    try:
        converted, residual = sip_to_tpv(wcs, (rows, columns))
    except HeaderError as error:
        context.warn(f"{stacked.file}: distortion is written as SIP: {error}")
        return wcs, {}
    return converted, {RESIDUAL: (float(f"{residual:.3g}"), RESIDUAL_COMMENT)}


def product_facts(stacked: Stacked, finished: Finished | None, recipe: Recipe) -> ProductFacts:
    """Return what the header of a band's product says."""
    first = stacked.lights[0].facts
    begin, middle, end = span_of(stacked.lights)
    site = first.site or (float("nan"), float("nan"), None)
    zero = finished.zeropoint if finished is not None else None
    extra: dict[str, tuple[Any, str]] = {"REJECT": (stacked.method, "rejection, combination, interpolation")}
    extra["CANVAS"] = (stacked.canvas.extent, "area: reference frame, union or common")
    for axis, begin_at in zip("12", stacked.canvas.origin, strict=True):
        extra[f"CANVORG{axis}"] = (begin_at, "[pixel] corner on the reference frame")
    extra |= bjd_card(stacked.lights, middle, _middle_of(stacked))
    if (sky := sky_of(stacked, finished)) is not None:
        extra["SKYMAG"] = (round(sky, 4), "[mag/arcsec2] sky of the image")
    measured = [light.measured for light in stacked.lights if light.measured is not None]
    if measured:
        extra["EGAIN"] = (float(np.mean([one.gain for one in measured])), "[electron/adu] gain used, mean")
        sources = dict.fromkeys(one.gain_source for one in measured)
        extra["GAINSRC"] = (" / ".join(sources), "")
    extra |= _color_cards(finished)
    return ProductFacts(
        target=stacked.target, band=stacked.band, telescope=first.telescope, instrument=first.instrument,
        date_begin=begin, date_average=middle, date_end=end, exposure=stacked.exposure,
        n_frames=len(stacked.lights), latitude=site[0], longitude=site[1],
        elevation=site[2] if site[2] is not None else float("nan"),
        noise_correlation=stacked.noise_correlation,
        fwhm=finished.measured.fwhm if finished is not None else float("nan"),
        zeropoint=zero.as_dict() if zero is not None else None,
        depth=finished.limit.mag if finished is not None and finished.limit is not None else float("nan"),
        color_gain=_gain(finished)[0], color_gain_err=_gain(finished)[1],
        history=_history(recipe), extra=extra,
    )  # fmt: skip


def _history(recipe: Recipe) -> str:
    steps = recipe.options.items()
    return "\n".join(entry(name, options) for name, options in steps if not name.startswith("render"))


def _gain(finished: Finished | None) -> tuple[float, float]:
    if finished is None or finished.gains is None:
        return float("nan"), float("nan")
    return finished.gains.gains[finished.color_index], finished.gains.errors[finished.color_index]


def _color_cards(finished: Finished | None) -> dict[str, tuple[Any, str]]:
    """Return how the gain came about, and its covariance with those of the other bands."""
    if finished is None or finished.gains is None:
        return {}
    found = finished.gains
    cards: dict[str, tuple[Any, str]] = {
        "COLWHITE": (found.white_name[:60], "what becomes white"),
        "COLMETH": (f"{found.method}, {found.stage}", "expected light, and how far bent to the data"),
        "COLNSTAR": (found.n_stars, "stars of COLGAIN"),
        "COLBANDS": (" ".join(found.bands), "bands of COLCOVn"),
    }
    for k, value in enumerate(found.covariance[finished.color_index]):
        cards[f"COLCOV{k + 1}"] = (value, "covariance of COLGAIN with that of band n")
    return cards


def product_row(
    stacked: Stacked, finished: Finished | None, solution: Solution | None, image: str, sources: str | None
) -> dict[str, Any]:
    """Return one entry of ``products`` in ``summary.json``."""
    row: dict[str, Any] = {
        "target": stacked.target,
        "band": stacked.band,
        "image": image,
        "sources": sources,
        "n_frames": len(stacked.lights),
        "exposure_s": stacked.exposure,
        "wcs": _wcs_row(stacked, solution),
        "zeropoint": None,
        "depth_mag_5sigma": None,
        "sky_mag_arcsec2": None,
        "noise_e_s": None,
        "fwhm_px": None,
        "noise_correlation": stacked.noise_correlation,
        "method": stacked.method,
        "rejection": rejection_row(stacked.arrays, [light.name for light in stacked.lights]),
        "canvas": stacked.canvas.as_dict(),
    }
    if finished is not None:
        row["fwhm_px"], row["noise_e_s"] = finished.measured.fwhm, finished.measured.noise
        zero = finished.zeropoint
        if zero is not None:
            row["zeropoint"] = zero.brief()
            row["sky_mag_arcsec2"] = sky_of(stacked, finished)
            row["depth_mag_5sigma"] = finished.limit.mag if finished.limit is not None else None
        if unknown := _unknown(stacked, finished, row):
            row["unknown"] = unknown
    return row


def sky_of(stacked: Stacked, finished: Finished | None) -> float | None:
    """Return the surface brightness of the sky that the stack still has [mag / arcsec2]; None unknown."""
    zero = finished.zeropoint if finished is not None else None
    if finished is None or zero is None or stacked.wcs is None:
        return None
    found = float(surface_brightness(finished.measured.sky, zero.mag, pixel_scale(stacked.wcs)))
    return found if np.isfinite(found) else None


def _unknown(stacked: Stacked, finished: Finished, row: dict[str, Any]) -> dict[str, str]:
    """Return why figures of a row are null, by name."""
    stars = int(finished.measured.stars.size)
    why = "the image shows no stars" if not stars else ""
    if finished.calibration is not None:
        why = finished.calibration.reason
    elif stars:
        why = "the image has no world coordinates" if stacked.wcs is None else "there are no catalog stars"
    if stars and stacked.empty > HOLES:
        why = (
            f"{100 * stacked.empty:.1f} % of the pixels hold nothing, so that apertures cannot be filled; "
            "stack more dithered frames, drizzle with larger drops, or take debayer.method=superpixel"
            + (f" ({why})" if why else "")
        )
    found = {
        "fwhm_px": np.isfinite(row["fwhm_px"]),
        "zeropoint": row["zeropoint"] is not None,
        "depth_mag_5sigma": row["depth_mag_5sigma"] is not None and np.isfinite(row["depth_mag_5sigma"]),
    }
    return {name: why or "it cannot be measured" for name, known in found.items() if not known}


def _middle_of(stacked: Stacked) -> tuple[float, float] | None:
    """Return RA and Dec [deg] of the middle of a stack; None without world coordinates."""
    if stacked.wcs is None:
        return None
    return center(stacked.wcs, (stacked.arrays.image.shape[0], stacked.arrays.image.shape[1]))


def _wcs_row(stacked: Stacked, solution: Solution | None) -> dict[str, Any] | None:
    if stacked.wcs is None:
        return None
    shape = (stacked.arrays.image.shape[0], stacked.arrays.image.shape[1])
    return {
        "center_deg": list(center(stacked.wcs, shape)),
        "scale_arcsec_px": pixel_scale(stacked.wcs),
        "rms_arcsec": solution.rms_arcsec if solution is not None else None,
        "n_stars": solution.n_stars if solution is not None else None,
        "parity": parity(stacked.wcs),
        "rotation_deg": rotation(stacked.wcs),
        "shown": compass(stacked.wcs, shape, top_down=stacked.top_down).sentence(),
        "catalog": solution.catalog if solution is not None else None,
    }
