"""The other side of `extras`: ``python -m sciastro.engines.worker NAME``, a question in, an answer out.

Reads one JSON object from standard input; its last line on standard output is one JSON object: ``wcs`` (cards
by name), or ``found`` and ``remedy`` of an error. It runs in a process of its own, since the C code of these
packages cannot be stopped, and one of them is GPL: its code never runs within ours.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

__all__ = ["main"]

Told = dict[str, Any]


def _astrometry(asked: Told) -> Told:
    """Solve with the package ``astrometry``: the engine of astrometry.net, and its index files."""
    package = importlib.import_module("astrometry")
    files = [Path(one) for one in asked["index_files"]]
    with package.Solver(files) as solver:
        known = asked["place"]
        solution = solver.solve(
            stars=[[x + 1.0, y + 1.0] for x, y in zip(asked["x"], asked["y"], strict=True)],
            size_hint=package.SizeHint(*asked["bounds"]),
            position_hint=package.PositionHint(known[0] % 360.0, known[1], known[2]) if known else None,
            solution_parameters=package.SolutionParameters(
                sip_order=0, tune_up_logodds_threshold=None, logodds_callback=lambda _: package.Action.STOP
            ),
        )
    if not solution.has_match():
        return {"found": "did not solve the field.", "remedy": "Give a rough center and scale."}
    fields = solution.best_match().wcs_fields
    return {"wcs": {key: _plain(value[0]) for key, value in fields.items()}}


def _tetra(asked: Told) -> Told:
    """Solve with ``tetra3rs``; x and y count from the middle of the image there."""
    package = importlib.import_module("tetra3rs")
    database = package.SolverDatabase.load_from_file(asked["database"])
    rows, columns = asked["shape"]
    stars = np.column_stack(
        [
            np.subtract(asked["x"], (columns - 1) / 2),
            np.subtract(asked["y"], (rows - 1) / 2),
            np.asarray(asked["flux"], dtype=np.float64),
        ]
    )
    low, high = asked["fov"]
    found = database.solve_from_centroids(
        stars, fov_estimate_deg=float(np.sqrt(low * high)), fov_max_error_deg=float(high - low),
        image_shape=(rows, columns), solve_timeout_ms=int(1000 * asked["seconds"]),
    )  # fmt: skip
    if not found:
        return {"found": f"did not solve the field ({found.status}).", "remedy": "Use another --engine."}
    cd, middle = np.degrees(found.cd_matrix), found.crpix
    return {
        "wcs": {
            "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg", "RADESYS": "ICRS",
            "CRVAL1": found.crval_ra_deg, "CRVAL2": found.crval_dec_deg,
            "CRPIX1": (columns + 1) / 2 + float(middle[0]), "CRPIX2": (rows + 1) / 2 + float(middle[1]),
            "CD1_1": cd[0, 0], "CD1_2": cd[0, 1], "CD2_1": cd[1, 0], "CD2_2": cd[1, 1],
        }
    }  # fmt: skip


def _tetra_build(asked: Told) -> Told:
    """Make the database of ``tetra3rs`` from a file of stars; whole or not at all."""
    package = importlib.import_module("tetra3rs")
    low, high = asked["fov"]
    made = package.SolverDatabase.generate_from_gaia(
        asked["catalog"], max_fov_deg=high, min_fov_deg=low, epoch_proper_motion_year=asked["year"]
    )
    target = Path(asked["database"])
    part = target.with_name(f".{target.name}.{os.getpid()}")
    made.save_to_file(str(part))
    part.replace(target)
    return {"stars": made.num_stars}


TASKS: MappingProxyType[str, Callable[[Told], Told]] = MappingProxyType(
    {"astrometry": _astrometry, "tetra3rs": _tetra, "tetra3rs-build": _tetra_build}
)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def main() -> None:
    """Answer the question on standard input."""
    try:
        told = TASKS[sys.argv[1]](json.load(sys.stdin))
    except ModuleNotFoundError as error:
        told = {"found": f"is not installed ({error.name}).", "remedy": "Use another --engine."}
    except Exception as error:  # noqa: BLE001 (of a foreign package; it goes on as words, to whoever asked)
        told = {"found": f"failed: {type(error).__name__}: {error}.", "remedy": "Use another --engine."}
    sys.stdout.write("\n" + json.dumps(told, default=_plain) + "\n")


if __name__ == "__main__":
    main()
