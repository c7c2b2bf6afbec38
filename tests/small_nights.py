"""A night that reduces in a second, and the ways in which a test may spoil a copy of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from click.testing import Result
from typer.testing import CliRunner

from sciastro.recipe.simulated import night_plan, write_night

LIGHTS, BANDS = 3, ("G", "R")
PLAN = {
    "telescope.focal_length": 150.0,
    "telescope.aperture": 60.0,
    "seeing": 12.9,
    "sky.least_density": 0.0,
    "sky.faintest": 13.0,
    "lights": LIGHTS,
    "biases": 3,
    "bands": ",".join(BANDS),
}
SCIENCE = ("products/*.fits", "products/*_sources.*", "masters/*.fits")


def make_night(folder: Path) -> Path:
    """Write two bands of three lights, 256 x 320 pixels, with biases, darks and flats; solvable."""
    write_night(night_plan("tiny", PLAN), folder)
    return folder


def frames(session: Path, kind: str) -> list[Path]:
    """Return the frames of a kind ("LIGHT", "DARK", "BIAS", "FLAT"), sorted."""
    return sorted(session.rglob(f"{kind}/*.fits"))


def edit(path: Path, **cards: object) -> None:
    """Change header cards; None removes one; an underscore in a name stands for a hyphen."""
    with fits.open(path, mode="update") as hdus:
        for name, value in cards.items():
            key = name.replace("_", "-")
            if value is None:
                hdus[0].header.remove(key, ignore_missing=True)
            else:
                hdus[0].header[key] = value


def repaint(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace the pixels of a frame by a function of them; the cards stay."""
    with fits.open(path) as hdus:
        header, pixels = hdus[0].header.copy(), change(hdus[0].data.copy())
    for key in ("BZERO", "BSCALE"):
        header.remove(key, ignore_missing=True)
    fits.PrimaryHDU(pixels, header).writeto(path, overwrite=True)


def rename(path: Path, name: str) -> Path:
    """Rename a frame, so that its name tells nothing that its header does not."""
    return path.rename(path.with_name(name))


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, what it printed, and the output folder."""

    code: int
    printed: str
    told: str
    out: Path

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.out / "summary.json").read_text())

    @property
    def images(self) -> dict[tuple[str, str], int]:
        """Target and band of every product, with the number of its frames."""
        return {(row["target"], row["band"]): row["n_frames"] for row in self.summary["products"]}

    def reason(self, name: str) -> str:
        """Return why the one frame whose path holds `name` is left out, "" if it is used."""
        (row,) = (row for row in self.summary["frames"] if name in row["path"])
        return "" if row["used"] else row["reason"]


def command(*arguments: object) -> Result:
    """Run the command line in this process; anything but a clean exit fails the test here."""
    from sciastro.cli import app

    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "Traceback" not in result.output
    assert "internal error" not in result.output
    return result


def reduce(session: Path, out: Path, *arguments: object, until: str = "integrate") -> Outcome:
    """Reduce a session and check what must hold after every run, good or bad."""
    result = command("reduce", session, "-o", out, "--until", until, *arguments)
    if out.is_dir():
        assert_nothing_half_written(out)
    return Outcome(result.exit_code, result.stdout, " ".join(result.stderr.split()), out)


def assert_nothing_half_written(out: Path) -> None:
    """No temporary file is left, and every FITS product is whole."""
    left = [
        path for path in out.rglob("*") if any(mark in path.name for mark in (".part", ".new", "-journal"))
    ]
    assert left == []
    for pattern in SCIENCE:
        for path in out.glob(pattern):
            if path.suffix == ".fits":
                with fits.open(
                    path, checksum=True
                ) as hdus:  # a wrong checksum warns, and warnings are errors
                    for hdu in hdus:
                        assert hdu.data is None or hdu.data.size


def science(out: Path) -> dict[str, bytes]:
    """Return the bytes of every science product of a run, by path in its folder."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for pattern in SCIENCE
        for path in out.glob(pattern)
    }
