"""One self-contained page per run: what went in, what was done to it, what came out, how good it is.

`render_page` turns ``summary.json`` (schema 1) plus drawings and pictures into HTML that needs no network,
no other file and no script to be read (a few lines of script sort the table of frames). Everything from
headers is hostile until proven otherwise: the templates escape every value, and links stay in the folder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sciastro.io.paths import atomic_path
from sciastro.report import text
from sciastro.report.cards import cards
from sciastro.report.pictures import Picture
from sciastro.report.plots import Plot
from sciastro.report.tables import bands_table, frames_table, is_light, masters_table, stages

__all__ = ["SolvedImage", "render_page", "render_solutions", "write_page"]

STATUS = {
    "ok": ("Complete", "Every product was made, of every frame that was not left out on purpose."),
    "partial": (
        "Complete, with omissions",
        "Some frames or products were left out; each has its reason below.",
    ),
    "failed": ("Failed", "The run stopped before its products were made."),
}


def render_page(
    summary: Mapping[str, Any],
    *,
    title: str = "",
    pictures: Sequence[Picture | None] = (),
    plots: Sequence[Plot | None] = (),
    maps: Sequence[Picture | None] = (),
    plan: Sequence[str] = (),
    recipe: str = "",
    failure: str = "",
) -> str:
    """Return the page of a run as HTML.

    Parameters
    ----------
    summary
        ``summary.json`` (schema 1) as plain values; any part may be missing or None.
    title
        Heading; by default the targets of the products.
    pictures
        The renders; the first is the large one on top. None entries are skipped, here and below.
    plots
        Drawings made by `report.figures`, in the order shown.
    maps
        Maps of coverage, noise, masters.
    plan
        Lines of the calibration plan, as ``sciastro doctor`` prints them.
    recipe
        Text of the resolved recipe (TOML).
    failure
        Message of the error that ended a failed run.
    """
    status = str(summary.get("status", "failed"))
    products = _rows(summary, "products")
    targets = list(dict.fromkeys(text.clean(row.get("target"), 60) for row in products if row.get("target")))
    label, meaning = STATUS.get(status, (text.clean(status, 40), ""))
    if missing := [text.clean(line, 300) for line in summary.get("incomplete") or []]:
        meaning = f"{missing[0][:1].upper()}{'; '.join(missing)[1:]}. Reasons are below."
    shown = [picture for picture in pictures if picture is not None]
    template = _environment().get_template("report.html")
    return template.render(
        title=text.clean(title, 120) or ", ".join(targets) or "Reduction report",
        status=status if status in STATUS else "failed",
        status_label=label,
        status_meaning=meaning,
        version=text.clean(summary.get("version"), 40),
        subtitle=_subtitle(summary),
        failure=text.clean(failure, 2000),
        warnings=[text.clean(line, 1000) for line in summary.get("warnings") or []],
        hero=shown[0] if shown else None,
        pictures=shown[1:],
        cards=cards(summary),
        bands=bands_table(products),
        frames=frames_table(_rows(summary, "frames")),
        masters=masters_table(_rows(summary, "masters")),
        plots=[plot for plot in plots if plot is not None],
        maps=[picture for picture in maps if picture is not None],
        plan=[text.indented(line) for line in plan],
        stages=stages(summary),
        renders=[
            {"name": text.clean(path, 160), "href": text.href(path)} for path in summary.get("renders") or []
        ],
        recipe="\n".join(text.indented(line) for line in recipe.splitlines()),
        memory=text.memory(text.get_number(summary, "peak_memory_bytes")),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SolvedImage:
    """One image of `render_solutions`: label and text of what is known, or the reason why nothing is."""

    name: str
    facts: Sequence[tuple[str, str]] = ()
    plots: Sequence[Plot | None] = ()
    reason: str = ""


def render_solutions(images: Sequence[SolvedImage], *, title: str, version: str = "") -> str:
    """Return the page of plate solutions as HTML: where each image looks, and how well that is known."""
    shown = [
        {
            "name": text.clean(one.name, 160),
            "facts": [(text.clean(label, 60), text.clean(words, 400)) for label, words in one.facts],
            "plots": [plot for plot in one.plots if plot is not None],
            "reason": text.clean(one.reason, 1000),
        }
        for one in images
    ]
    template = _environment().get_template("solution.html")
    return template.render(images=shown, title=text.clean(title, 120), version=text.clean(version, 40))


def write_page(path: Path | str, page: str) -> Path:
    """Write `page` as UTF-8, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    target = Path(path)
    with atomic_path(target) as part:
        part.write_text(page, encoding="utf-8", errors="replace", newline="\n")
    return target


def _rows(summary: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [row for row in summary.get(key) or [] if isinstance(row, Mapping)]


def _subtitle(summary: Mapping[str, Any]) -> str:
    times = sorted(
        str(row.get("time"))[:10] for row in _rows(summary, "frames") if row.get("time") and is_light(row)
    )
    if not times:
        return ""
    first, last = text.clean(times[0], 10), text.clean(times[-1], 10)
    return first if first == last else f"{first} to {last}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sciastro.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawing"] = _drawing
    environment.filters["number"] = text.number
    environment.filters["href"] = text.href
    environment.globals["style_sheet"] = Markup(_resource("style.css"))
    environment.globals["script"] = Markup(_resource("sort.js"))
    return environment


def _resource(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _drawing(plot: Plot) -> Markup:
    """Return the SVG of a `Plot`, the only markup that enters unescaped: matplotlib escaped its texts."""
    return Markup(plot.svg)
