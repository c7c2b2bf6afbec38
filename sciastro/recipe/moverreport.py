"""Reports of movers to the Minor Planet Center, from the tables of a run and facts that the user states."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.errors import FileError, OptionError
from sciastro.io.ades import report_ades
from sciastro.io.designations import parse_designation
from sciastro.io.observation80 import report80
from sciastro.io.observations import Observation, ReportFacts, band_code, catalog_code
from sciastro.io.paths import atomic_path
from sciastro.io.tables import read_table

if TYPE_CHECKING:
    from astropy.table import QTable, Table

__all__ = ["KINDS", "ReportRequest", "read_facts", "write_report"]

KINDS = ("ades", "mpc80")
LISTS = ("observers", "measurers", "comments")
LEAST = 3  # positions of a mover that is reported


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportRequest:
    """What is to be reported.

    Attributes
    ----------
    kind
        One of `KINDS`.
    path
        File to write.
    facts
        Who observed, where and with what.
    objects
        Name of a mover in the run to its designation; empty reports all under their names.
    stacked
        One position per mover from all frames together, in the place of one per frame.
    version
        Of ADES.
    """

    kind: str
    path: Path
    facts: Mapping[str, Any]
    objects: Mapping[str, str]
    stacked: bool = False
    version: str = "2022"


def read_facts(path: Path | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a TOML file, those given by options before them.

    Raises
    ------
    FileError
        If the file cannot be read or is no TOML.
    OptionError
        For an unknown fact.
    """
    facts: dict[str, Any] = {}
    if path is not None:
        try:
            facts = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(
                f"cannot be read as TOML ({error}).", where=str(path),
                remedy='Write lines such as mpc_code = "703".',
            ) from error  # fmt: skip
    facts = facts.get("report", facts) if isinstance(facts.get("report", {}), dict) else facts
    facts |= {name: value for name, value in given.items() if value not in (None, (), [])}
    known = {_outer(one.name) for one in fields(ReportFacts)}
    for name in facts:
        if name not in known:
            raise OptionError(
                "is not known.", where=f"report fact {name}", remedy=f"Known: {', '.join(sorted(known))}."
            )
    return facts


def _outer(name: str) -> str:
    return "mpc_code" if name == "station" else name


def write_report(out: Path, request: ReportRequest) -> int:
    """Write a report of the movers in ``products``; return the number of its observations.

    Raises
    ------
    OptionError
        If a fact is missing, a designation is none, a mover is unknown, or the scale of times is not UTC.
    FileError
        If the tables are not there.
    OutputError
        If the file cannot be written.
    """
    if request.kind not in KINDS:
        raise OptionError(
            f"is {request.kind!r}.", where="--report", remedy=f"Choose from {', '.join(KINDS)}."
        )
    movers, places = (
        read_table(out / "products" / name) for name in ("movers.ecsv", "movers_positions.ecsv")
    )
    about = _about(movers)
    chosen = _chosen(movers, request.objects)
    of = {i: about[str(movers["target"][i]), str(movers["night"][i])] for i in chosen}
    facts = _facts(request.facts, list(of.values()))
    rows = [movers[i] for i in chosen] if request.stacked else places
    observations = [
        _observation(row, movers[i], of[i], name)
        for i, name in chosen.items()
        for row in _rows(rows, movers[i])
    ]
    if not observations:
        raise OptionError(
            "holds no mover to report.", where=str(out / "products" / "movers.ecsv"),
            remedy="Name others with --object, or search again with a lower threshold.",
        )  # fmt: skip
    if request.kind == "ades":
        text = report_ades(observations, facts, version=request.version)
    else:
        text = report80(observations, facts)
    with atomic_path(request.path) as part:
        part.write_text(text, encoding="utf-8")
    return len(observations)


def _about(movers: "Table") -> dict[tuple[str, str], dict[str, Any]]:
    if str(movers.meta.get("time_scale", "")) != "UTC":
        raise OptionError(
            f"is {movers.meta.get('time_scale')!r}, and reports need UTC.", where="time scale of movers.ecsv",
            remedy="Tell the cameras' zone (scan.utc_offset) and reduce again, then run `sciastro movers`.",
        )  # fmt: skip
    return {(str(one["target"]), str(one["night"])): one for one in movers.meta.get("fields", [])}


def _chosen(movers: "Table", objects: Mapping[str, str]) -> dict[int, str]:
    """Return row numbers of the movers to report with their designations."""
    names = [str(name) for name in movers["name"]]
    for name in objects:
        if name not in names:
            raise OptionError(
                f"names {name!r}, and the run has {', '.join(names) or 'no mover'}.", where="--object",
                remedy="Write NAME=DESIGNATION with a NAME of movers.ecsv.",
            )  # fmt: skip
    if objects:
        return {i: objects[name] for i, name in enumerate(names) if name in objects}
    labels = [str(label) for label in movers["label"]]
    return {i: labels[i] or name for i, name in enumerate(names) if int(movers["n_frames"][i]) >= LEAST}


def _rows(rows: "Sequence[Any] | QTable", mover: Any) -> list[Any]:
    """Return the positions of a mover; a row of the movers itself is its position from all frames."""
    keys = ("name", "target", "night")
    same = [row for row in rows if all(str(row[key]) == str(mover[key]) for key in keys)]
    return [row for row in same if "used" not in row.colnames or bool(row["used"])]


def _number(row: Any, name: str) -> float:
    return float(getattr(row[name], "value", row[name]))


def _observation(row: Any, mover: Any, about: Mapping[str, Any], name: str) -> Observation:
    per_frame = "used" in row.colnames
    band = band_code(str(about["mag_system"]))
    frames = int(mover["n_frames"])
    exposure = _number(row, "exposure") if per_frame else float("nan")
    beneath = _number(mover, "star_beneath") if "star_beneath" in mover.colnames else 0.0
    said = [] if per_frame else [f"Fit to {frames} frames along the motion"]
    if beneath > 0:
        said.append(f"a star of {beneath:.2g} times its light lies under its way")
    return Observation(
        designation=parse_designation(name),
        time=datetime.fromisoformat(str(row["time"])).replace(tzinfo=UTC),
        ra=_number(row, "ra"), dec=_number(row, "dec"), ra_err=_number(row, "ra_err"),
        dec_err=_number(row, "dec_err"), correlation=_number(row, "corr"),
        mag=_number(row, "mag") if band else float("nan"), mag_err=_number(row, "mag_err"), band=band,
        exposure=exposure, snr=_number(row, "snr"),
        seeing=_number(row, "seeing") if per_frame else float("nan"),
        fit_rms=float(about["fit_rms"]), n_stars=int(about["n_stars"]), rate=_number(mover, "rate"),
        remarks="; ".join(said), involved=beneath > 0,
    )  # fmt: skip


def _facts(given: Mapping[str, Any], about: Sequence[Mapping[str, Any]]) -> ReportFacts:
    """Return the facts; the star catalog is that of the run where the user names none.

    Parameters
    ----------
    about
        Of the field of each mover that is reported.

    Raises
    ------
    OptionError
        If a required one is missing; the message names all that are. If the fields were fitted to different
        star catalogs, of which a report can name one.
    """
    facts = dict(given)
    first: Mapping[str, Any] = about[0] if about else {}
    for fact, key in (("catalog", "catalog"), ("photometric_catalog", "mag_catalog")):
        if not facts.get(fact):
            facts[fact] = catalog_code(_one(about, key))
    facts["photometric_catalog"] = facts["photometric_catalog"] or facts["catalog"]
    if facts.get("pixel_scale") is None and len({round(float(one["scale"]), 3) for one in about}) == 1:
        facts["pixel_scale"] = float(first["scale"])
    if facts.get("observers") and not facts.get("measurers"):
        facts["measurers"] = facts["observers"]
    if facts.get("observers") and not facts.get("submitter"):
        facts["submitter"] = facts["observers"][0] if _is_list(facts["observers"]) else facts["observers"]
    needed = ("mpc_code", "observers", "aperture", "design", "detector", "mode", "catalog")
    missing = [name for name in needed if facts.get(name) in (None, "", (), [])]
    if missing:
        extra = ""
        if "catalog" in missing:
            extra = (
                f" The run's star catalog is {first.get('catalog')!r}, which the MPC's list does not name."
            )
        raise OptionError(
            f"lack {', '.join(missing)}.{extra}", where="facts for the report",
            remedy="Give them as options, or in a TOML file with --facts.",
        )  # fmt: skip
    values: dict[str, Any] = {}
    for one in fields(ReportFacts):
        name = _outer(one.name)
        if name not in facts:
            continue
        value = facts[name]
        if name in LISTS:
            value = tuple(str(item) for item in (value if _is_list(value) else [value]))
        elif name in ("aperture", "focal_ratio", "pixel_scale"):
            value = _float(name, value)
        else:
            value = str(value)
        values[one.name] = value
    return ReportFacts(**values)


def _one(about: Sequence[Mapping[str, Any]], key: str) -> str:
    """Return what all fields say of their catalog, "" for no field."""
    said = list(dict.fromkeys(str(one.get(key, "")) for one in about))
    if len(said) > 1:
        raise OptionError(
            f"differs between the fields: {', '.join(said)}.", where="star catalog of the movers",
            remedy="Report them one by one with --object.",
        )  # fmt: skip
    return said[0] if said else ""


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _float(name: str, value: object) -> float | None:
    if value is None:
        return None
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise OptionError(f"is {value!r}.", where=f"report fact {name}", remedy="Give a number.")
    return number
