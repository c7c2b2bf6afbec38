"""Color gains of whole simulated nights, from raw frames, against the response and the air that made them.

    python benchmarks/color_nights.py --kind osc --seeds 20              # one-shot color, undersampled
    python benchmarks/color_nights.py --kind mono --seeds 20             # three filters

Each seed is a night of its own (stars of the catalog through a camera of known response behind known air,
frames with noise, flats, dither), reduced by the command line. Prints a line per night: relative error of the
gains of red and blue [%], and the errors that were claimed; then how many are within 0.5 % and inside their
errors.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "recipe")]
import test_colornights as nights  # noqa: E402


class Patch:
    """What pytest's `monkeypatch` does here; nothing is set back, the process ends."""

    def setattr(self, target, name, value):
        """Set an attribute."""
        setattr(target, name, value)


def gains_of_night(kind, seed, folder):
    """Return relative errors of red and blue, and the claimed ones."""
    if kind == "osc":
        session, catalog = nights.color_night(folder, seed, Patch())
        gains, told = nights.gains_of(session, catalog, folder / "out", "--sensor", "bayer")
        return gains / nights.true_gains()[[0, 2]] - 1, told
    session, catalog = nights.mono_night(folder, seed, Patch())
    gains, told = nights.gains_of(session, catalog, folder / "out")
    return gains / nights.true_mono_gains(session)[[0, 2]] - 1, told


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=("osc", "mono"), default="osc")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--rows", type=int, default=900)
    parser.add_argument("--columns", type=int, default=1200)
    options = parser.parse_args()
    nights.PLAN |= {"camera.rows": options.rows, "camera.columns": options.columns}
    offs, claims = [], []
    for seed in range(options.first, options.first + options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            off, told = gains_of_night(options.kind, seed, Path(folder))
        offs.append(off)
        claims.append(told)
        line = [f"{100 * one:+.2f} +- {100 * err:.2f}" for one, err in zip(off, told, strict=True)]
        print(f"{seed:4d}  red {line[0]}   blue {line[1]} %", flush=True)
    off, told = np.array(offs), np.array(claims)
    pull = off / told
    rms, mean = 100 * np.sqrt((off**2).mean()), 100 * off.mean(axis=0)
    print(f"{options.kind}: {len(off)} nights; mean {mean[0]:+.3f}, {mean[1]:+.3f} %, rms {rms:.3f} %")
    both = (np.abs(off) < 0.005).all(axis=1), (np.abs(pull) < 2).all(axis=1)
    print(f"nights with both gains within 0.5 %: {both[0].sum()}, inside two errors: {both[1].sum()}")
    print(f"rms of pulls {np.sqrt((pull**2).mean()):.2f}")


if __name__ == "__main__":
    main()
