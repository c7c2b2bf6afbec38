"""``sciastro movers``: what moves between the frames of a finished run."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from sciastro.cli.arguments import Memory

__all__ = ["movers"]


def movers(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a finished run.", readable=False)],
    threshold: Annotated[float, typer.Option(help="Least S/N on single frames.", min=2.5)] = 4.0,
    fastest: Annotated[float, typer.Option(help="Fastest motion, in arcsec / min.", min=0.001)] = 20.0,
    false_tracks: Annotated[
        float, typer.Option(help="False tracks that chance may make in a night.", min=1e-6)
    ] = 0.1,
    orbits: Annotated[
        Path | None, typer.Option(help="Orbital elements (MPCORB lines, CSV, ECSV): names known objects.")
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(help="LATITUDE,LONGITUDE[,HEIGHT] of the observer, for --orbits; none: geocenter."),
    ] = None,
    again: Annotated[bool, typer.Option(help="Search, or only report what an earlier search found.")] = True,
    report: Annotated[str | None, typer.Option(metavar="ades|mpc80", help="Also write a report.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File of the report.")] = None,
    objects: Annotated[
        list[str] | None, typer.Option("--object", metavar="NAME=DESIGNATION", help="What to report, and as.")
    ] = None,
    stacked: Annotated[
        bool, typer.Option("--stacked", help="Report one position per mover, from all frames.")
    ] = False,
    facts: Annotated[
        Path | None, typer.Option(help="TOML file with the facts below (mpc_code = ..., and so on).")
    ] = None,
    mpc_code: Annotated[str | None, typer.Option(help="Observatory code.")] = None,
    observer: Annotated[list[str] | None, typer.Option(help="Who observed; may be repeated.")] = None,
    measurer: Annotated[list[str] | None, typer.Option(help="Who measured, if others.")] = None,
    submitter: Annotated[str | None, typer.Option(help="Who submits, if another.")] = None,
    aperture: Annotated[float | None, typer.Option(help="Of the telescope, in meters.")] = None,
    design: Annotated[str | None, typer.Option(help="Of the telescope, such as Reflector.")] = None,
    detector: Annotated[str | None, typer.Option(help="Such as CCD or CMOS.")] = None,
    mode: Annotated[str | None, typer.Option(help="CCD, CMO (CMOS) or VID.")] = None,
    focal_ratio: Annotated[float | None, typer.Option(help="Focal length over aperture.")] = None,
    star_catalog: Annotated[str | None, typer.Option(help="Its MPC name, such as Gaia3.")] = None,
    ades_version: Annotated[str, typer.Option(help="2022 or 2017.")] = "2022",
    memory: Memory = "2GB",
) -> None:
    """Find asteroids and comets in a run: products/movers.ecsv, their positions, and a picture of each."""
    from sciastro.cli.common import console, guarded
    from sciastro.recipe.moverreport import ReportRequest, read_facts, write_report

    tell = console.tell

    with guarded():
        given: dict[str, Any] = {
            "mpc_code": mpc_code, "observers": observer, "measurers": measurer, "submitter": submitter,
            "aperture": aperture, "design": design, "detector": detector, "mode": mode,
            "focal_ratio": focal_ratio, "catalog": star_catalog,
        }  # fmt: skip
        request = None
        if report is not None:
            path = _path_of(report, output)
            request = ReportRequest(
                kind=report, path=path, facts=read_facts(facts, given), objects=_objects(objects or []),
                stacked=stacked, version=ades_version,
            )  # fmt: skip
        if not again:
            _only_report(request, orbits=orbits, site=site)
        else:
            _search(out, (threshold, fastest, false_tracks), (orbits, site), memory, tell)
        if request is not None:
            count = write_report(out, request)
            tell(f"{request.path}: {count} observations")


def _search(
    out: Path,
    how: tuple[float, float, float],
    known: tuple[Path | None, str | None],
    memory: str,
    tell: Any,
) -> None:
    from sciastro.recipe.clocks import site_from_text
    from sciastro.recipe.context import parse_memory
    from sciastro.recipe.knownobjects import known_orbits, label_known
    from sciastro.recipe.moverfiles import sky_motion, write_movers
    from sciastro.recipe.movers import MoverOptions, find_movers
    from sciastro.recipe.moverstrips import write_strips

    site = site_from_text(known[1] or "", "--site")
    options = MoverOptions(threshold=how[0], fastest=how[1], false_tracks=how[2])
    orbits = None if known[0] is None else known_orbits(known[0], tell)  # before the search takes its time
    found = find_movers(out, options, memory=parse_memory(memory), tell=tell)
    if orbits is not None:
        found = label_known(found, orbits, site, tell)
    paths = write_movers(out, found)
    for night in found:
        paths += write_strips(out, night)
        for mover in night.movers:
            rate, _, angle, _ = sky_motion(night.field, mover)
            tell(
                f"  {mover.name}{f' ({mover.label})' if mover.label else ''}: {len(mover.good)} frames, "
                f"{rate:.3f} arcsec / min at {angle:.1f} deg, {_magnitude(mover.mag, mover.mag_err)}"
            )
    tell(f"written: {', '.join(str(path) for path in paths[:2])}, {len(paths) - 2} pictures")


def _magnitude(mag: float, err: float) -> str:
    return f"mag {mag:.2f} +- {err:.2f}" if math.isfinite(mag) else "magnitude unknown (no zero point)"


def _only_report(request: Any, **unused: Any) -> None:
    """Refuse what --no-again would pass over in silence."""
    from sciastro.errors import UsageError

    for name, value in unused.items():
        if value is not None:
            raise UsageError(
                "is of the search, which --no-again leaves out.", where=f"--{name}",
                remedy="Leave out --no-again.",
            )  # fmt: skip
    if request is None:
        raise UsageError(
            "leaves nothing to do.", where="--no-again", remedy="Give --report ades or mpc80, and -o FILE."
        )


def _path_of(kind: str, output: Path | None) -> Path:
    from sciastro.errors import UsageError

    if output is None:
        raise UsageError("needs a file.", where=f"--report {kind}", remedy="Give it with -o FILE.")
    return output


def _objects(texts: list[str]) -> dict[str, str]:
    from sciastro.errors import UsageError
    from sciastro.io.designations import parse_designation

    out = {}
    for text in texts:
        name, equals, designation = text.partition("=")
        if not equals:
            raise UsageError(
                f"is {text!r}.", where="--object", remedy="Write NAME=DESIGNATION, such as M001=433."
            )
        parse_designation(designation)
        out[name.strip()] = designation.strip()
    return out
