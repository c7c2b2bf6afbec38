"""A thousand lights within a bound on memory.

    python benchmarks/thousand.py --shape 4000x6000 --memory 4GB               # the whole claim
    python benchmarks/thousand.py --shape 600x800 --memory 700MB               # scaled down

Lights as `linear.py` makes them: eight simulated patterns, noise and time of its own for each, a file of its
own for each. At full size they take 48 GB of disk, which is checked first; ``--raw link`` (the default here)
leaves them where they are, so that a run needs little more. Runs `sciastro reduce --until integrate` once and
reports wall time, processor time and peak memory, per stage. Everything is removed at the end.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from linear import make_frames, measured, night_of


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--shape", default="4000x6000", help="rows x columns of a frame")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--until", default="integrate")
    parser.add_argument("--raw", default="link", help="copy or link, as for sciastro reduce")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="STEP.OPTION=VALUE")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "sciastro-thousand")
    parser.add_argument("--keep", action="store_true", help="leave frames and results")
    arguments = parser.parse_args()
    from sciastro.recipe.context import parse_memory

    try:
        report(arguments, parse_memory(arguments.memory))
    finally:
        if not arguments.keep:
            shutil.rmtree(arguments.work, ignore_errors=True)


def report(arguments: argparse.Namespace, bound: int) -> None:
    """Make the lights, run, print."""
    rows, columns = (int(part) for part in arguments.shape.split("x"))
    begin = time.perf_counter()
    source = make_frames(arguments.work / arguments.shape, rows, columns)
    night = night_of(source, arguments.work / "night", arguments.frames)
    print(f"{arguments.frames} lights made in {time.perf_counter() - begin:.0f} s", flush=True)
    options = [part for setting in arguments.settings for part in ("--set", setting)]
    options += ["--raw", arguments.raw]
    point = measured(night, arguments.work / "out", arguments.memory, arguments.until, *options)
    size = arguments.frames * rows * columns * 2
    print(f"{point.frames} lights of {columns} x {rows} ({size / 1e9:.1f} GB), --memory {arguments.memory}: "
          f"{point.wall:.0f} s, CPU {point.cpu:.0f} s ({1e9 * point.cpu / (size / 2):.1f} ns per pixel and "
          f"frame), peak {point.peak / 1e6:.0f} MB ({point.peak / bound:.2f} of the bound)")  # fmt: skip
    print("stages [s]: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in point.stages.items()))


if __name__ == "__main__":
    main()
