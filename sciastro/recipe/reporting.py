"""``report.html``: the drawings and tables of one run, gathered for the page."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sciastro.astrometry.solve import Solution
from sciastro.core import transform
from sciastro.recipe.context import Context
from sciastro.recipe.doctor import diagnose
from sciastro.recipe.finishing import Finished
from sciastro.recipe.lights import Light, StackSet
from sciastro.recipe.masterplan import MasterPlan
from sciastro.recipe.plan import Recipe, recipe_text
from sciastro.recipe.positions import View, solution_plots
from sciastro.recipe.session import Session
from sciastro.recipe.stacked import Stacked
from sciastro.report import figures
from sciastro.report.colorfigure import color_residuals, trend_text
from sciastro.report.page import render_page, write_page
from sciastro.report.pictures import Picture, map_picture, picture_from_file
from sciastro.report.plots import Plot

__all__ = ["write_report"]


def write_report(
    context: Context,
    summary: Mapping[str, Any],
    session: Session,
    plan: MasterPlan,
    lights: Sequence[Light],
    sets: Sequence[StackSet],
    stacked: Mapping[str, Sequence[Stacked]],
    finished: Mapping[str, Sequence[Finished]],
    solutions: Mapping[str, Solution | None],
    recipe: Recipe,
    notes: Sequence[str],
) -> None:
    """Write ``report.html`` from what the run left in memory."""
    plots: list[Plot | None] = [figures.frame_quality(summary["frames"]), _registration(lights)]
    for number, (stem, solution) in enumerate(solutions.items()):
        if solution is not None:
            plots += solution_plots(solution, key=str(number), view=_view(stacked.get(stem, ())))
    for stem, bands in stacked.items():
        plots += [_zeropoint(one, result) for one, result in zip(bands, finished.get(stem, ()), strict=False)]
        plots.append(_colors(finished.get(stem, ()), stem, len(plots)))
    rows = sorted(summary["frames"], key=lambda row: (row["type"] != "light", str(row["path"])))
    page = render_page(
        {**summary, "frames": rows},
        title=f"{', '.join(members.target for members in sets)}"[:120],
        pictures=list(_pictures(context, summary)),
        plots=plots,
        maps=[
            _map(one, name)
            for bands in stacked.values()
            for one in bands[:3]
            for name in ("coverage", "noise")
        ],
        plan=[
            *diagnose(session, plan, recipe=recipe).lines(),
            "",
            *notes,
            *_placing(sets),
            *_color_lines(context),
        ],
        recipe=recipe_text(recipe),
    )
    write_page(context.out / "report.html", page)


def _pictures(context: Context, summary: Mapping[str, Any]) -> Iterator[Picture]:
    for path in summary["renders"]:
        if str(path).endswith(".png"):
            yield picture_from_file(
                context.out / path, title=path.rpartition("/")[2].removesuffix(".png"), path=path
            )


def _placing(sets: Sequence[StackSet]) -> Iterator[str]:
    """Say how the frames of each set were placed: on which canvas, by which model, how well."""
    for members in sets:
        placed = [light for light in members.lights if light.from_reference is not None]
        if not placed or members.canvas is None:
            continue
        canvas, shape = members.canvas, members.canvas.shape
        yield (
            f"{members.target}: {len(placed)} of {len(members.lights)} frames placed; canvas "
            f"{canvas.extent}, {shape[1]} x {shape[0]} pixel ({canvas.reason})."
        )
        if members.lens:
            yield f"{members.target}: {members.lens}."
        models = Counter(light.registration_model for light in placed if light.registration_model)
        rms = [light.registration_rms for light in placed if light.registration_rms > 0]
        if models and rms:
            counted = ", ".join(f"{number} {name}" for name, number in models.most_common())
            yield f"{members.target}: maps: {counted}; residual {np.median(rms):.3f} pixel in the median."


def _registration(lights: Sequence[Light]) -> Plot | None:
    known = [light for light in lights if light.from_reference is not None and light.measured is not None]
    if len(known) < 2:
        return None
    shifts, rms, used = [], [], []
    for light in known:
        height, width = light.facts.shape
        x, y = transform.evaluate(light.from_reference, width / 2, height / 2)  # type: ignore[arg-type]
        # The way back: where the frame's middle lies relative to the reference's, flipped or not.
        shifts.append((float(x) - width / 2, float(y) - height / 2))
        rms.append(light.registration_rms)
        used.append(light.use)
    dx, dy = np.array(shifts).T
    return figures.registration(dx, dy, np.array(rms), np.array(used))


def _view(stacked: Sequence[Stacked]) -> View | None:
    """Return the first stack of a set that has world coordinates, as it is shown."""
    for one in stacked:
        if one.wcs is not None and one.canvas.shape is not None:
            return View(one.wcs, one.canvas.shape, one.top_down)
    return None


def _zeropoint(stacked: Stacked, result: Finished) -> Plot | None:
    fit = result.calibration
    if fit is None or fit.zeropoint is None or not len(result.sources):
        return None
    zero = fit.zeropoint
    truth = fit.truth
    if truth is None:
        return None
    mine, error = (
        np.asarray(result.sources[name].value, dtype=np.float64)[fit.source]
        for name in ("mag_inst", "mag_inst_err")
    )
    catalog = truth.mag[fit.star]
    return figures.zeropoint(
        catalog, catalog - mine, band=f"{stacked.target} {stacked.band}", error=error,
        color=truth.color[fit.star], used=zero.used,
        value=zero.mag, value_error=zero.err,
    )  # fmt: skip


def _colors(finished: Sequence[Finished], stem: str, number: int) -> Plot | None:
    """Return the residuals of the stars that calibrate the color of a set."""
    found = next((one.color for one in finished if one.color is not None), None)
    if found is None or found.stars is None or found.calibration is None:
        return None
    stars, calibration = found.stars, found.calibration
    reference = str(stars.meta["reference_band"])
    residuals = {
        f"{name.removeprefix('residual_')} - {reference}": stars[name].value
        for name in stars.colnames
        if name.startswith("residual_")
    }
    along = [
        (f"{calibration.color_name} [mag]", stars["color"].value),
        ("catalog magnitude", stars["mag"].value),
        ("x [pixel]", stars["x"].value),
        ("y [pixel]", stars["y"].value),
    ]
    caption = (
        f"Measured less modeled colors of {calibration.n_stars} stars ({calibration.n_left_out} left out, "
        f"crosses); {calibration.method}, {calibration.stage}; white: {calibration.white_name}."
    )
    return color_residuals(
        residuals, used=stars["used"], along=along, title=f"Color residuals {stem}"[:60], caption=caption,
        key=str(number),
    )  # fmt: skip


def _color_lines(context: Context) -> Iterator[str]:
    """Say the gains of each set, how they came about, and what the residuals still depend on."""
    for row in context.colors:
        if row.get("gains") is None:
            continue
        gains = ", ".join(
            f"{band} {gain:.4f} +- {err:.4f}"
            for band, gain, err in zip(row["bands"], row["gains"], row["errors"], strict=True)
        )
        yield f"{row['target']}: color gains {gains}; white: {row['white_name']}; in pictures only."
        curves = ", ".join(f"{band} {name}" for band, name in row["curves"]["bands"].items())
        scores = ", ".join(f"{stage} {score:.4f}" for stage, score in (row["scores"] or {}).items())
        left = f"; left-out stars [mag]: {scores}" if scores else ""
        yield f"{row['target']}: {row['method']}, {row['stage']}, {row['n_stars']} stars; {curves}{left}."
        for ratio, trend in (row.get("trends") or {}).items():
            if text := trend_text(trend):
                yield f"{row['target']}: residuals of {ratio}: {text}."


def _map(stacked: Stacked, kind: str) -> Picture | None:
    title = f"{stacked.target} {stacked.band}: {kind}"
    upward = slice(None, None, -1 if stacked.top_down else 1)  # maps are shown like the picture
    if kind == "coverage":
        return map_picture(
            stacked.arrays.coverage[upward], title=title, caption="effective number of frames", unit="frames"
        )
    noise = np.sqrt(stacked.arrays.variance[upward])
    return map_picture(
        noise, title=title, caption="1-sigma error per pixel", unit="electron / s", colormap="magma"
    )
