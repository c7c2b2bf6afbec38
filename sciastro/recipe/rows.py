"""Rows of ``summary.json`` for frames and masters."""

from collections.abc import Sequence
from typing import Any

from sciastro.io.framefacts import FrameFacts
from sciastro.recipe.lights import Light, bands_of
from sciastro.recipe.masterbank import MasterBank
from sciastro.recipe.masterplan import MasterPlan
from sciastro.recipe.session import Session
from sciastro.recipe.summary import frame_row

__all__ = ["frame_rows", "master_rows"]


def frame_rows(session: Session, lights: Sequence[Light], bank: MasterBank | None) -> list[dict[str, Any]]:
    """Return one row per file that looks like a frame, in the order of paths."""
    by_name = {light.name: light for light in lights}
    rows = [
        _light_row(by_name[frame.name]) if frame.name in by_name else _calibration_row(frame, bank)
        for frame in session.frames
    ]
    known = {name: frame for frame in session.known for name in (frame.path, frame.name)}
    rows += [_skipped_row(path, reason, known.get(path)) for path, reason in session.skipped]
    return sorted(rows, key=lambda row: str(row["path"]))


def _skipped_row(path: str, reason: str, facts: FrameFacts | None) -> dict[str, Any]:
    """Return the row of a file that is not used, with what is known of it."""
    row = frame_row(path, "unknown", None, None)
    if facts is not None:
        row = frame_row(path, facts.kind, _band(facts), facts.exposure)
    return row | {"reason": reason}


def _band(facts: FrameFacts) -> str | None:
    if facts.kind != "light":
        return facts.filter or None
    return "OSC" if facts.cfa else bands_of(facts)[0]


def _calibration_row(frame: FrameFacts, bank: MasterBank | None) -> dict[str, Any]:
    row = frame_row(frame.name, frame.kind, _band(frame), frame.exposure)
    if bank is None:
        return row
    reason = bank.reason_of(frame)
    return row | {"used": reason is None, "reason": reason}


def _light_row(light: Light) -> dict[str, Any]:
    facts = light.facts
    row = frame_row(facts.name, "light", _band(facts), facts.exposure)
    row |= {"used": light.use, "reason": light.reason or None, "target": light.match.group.target}
    row["time"] = facts.time.isoformat() if facts.time is not None else None
    measured = light.measured
    if measured is None:
        return row
    seconds = facts.exposure or float("nan")
    row |= {
        "fwhm_px": measured.fwhm,
        "eccentricity": measured.eccentricity,
        "sky_e_s": sum(measured.sky.values()) / len(measured.sky) / seconds,
        "n_stars": measured.n_stars,
        "weight": light.weight,
        "transparency": light.transparency,
        "registration_rms_px": light.registration_rms,
        "registration_model": light.registration_model or None,
        "registration_stars": light.registration_stars or None,
    }
    if light.registration_shortfall:
        row["registration_shortfall"] = light.registration_shortfall
    if light.lost:
        row["lost"] = light.lost
    return row


def master_rows(plan: MasterPlan, bank: MasterBank) -> list[dict[str, Any]]:
    """Return one row per master that was made, with who gets it and why."""
    rows = []
    for spec in plan.masters:
        made = bank.files.get(spec.id)
        if made is None:
            continue
        matched = [
            f"{match.group.id}: {choice.reason}"
            for match in plan.matches
            for choice in match.choices
            if choice.chosen == spec.id
        ]
        matched += [f"{other.id}: {other.reason}" for other in plan.masters if other.calibrated_by == spec.id]
        if spec.existing:
            matched = [f"Taken from {spec.key.path}", *matched]
        rows.append(
            {
                "path": f"{made.parent.name}/{made.name}",
                "type": spec.kind,
                "n_frames": bank.counts[spec.id],
                "matched_by": "; ".join(matched) or "no light needs it",
                "id": spec.id,
            }
        )
    return rows
