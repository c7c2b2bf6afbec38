"""How long commands take from nothing: fresh processes, wall and CPU time.

    python benchmarks/start.py [--runs 6] [--only solve]

The image of the hinted solve is made here: 24 megapixels (6000 x 4000, uint16 FITS) with some 8,000 stars,
those of the embedded catalog among them; its center is told 4 arcmin and its scale 2 % off. `sciastro solve`
reads it, finds its stars and solves it, and nothing is written. Kernels are compiled by a run that is not
counted. The other rows are what every command costs before it works: help and imports.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from solve_fields import large_field

PYTHON = [sys.executable, "-c"]
COMMAND = [sys.executable, "-m", "sciastro"]


def commands(image):
    """Return what is timed, by name."""
    known = ["--ra", "83.05", "--dec", "20.95", "--scale", "1.632"]
    return {
        "solve, 24 MP, hinted": [*COMMAND, "solve", str(image), *known, "--no-write", "--json"],
        "--help": [*COMMAND, "--help"],
        "photometry --help": [*COMMAND, "photometry", "--help"],
        "import sciastro": [*PYTHON, "import sciastro"],
        "python alone": [*PYTHON, "pass"],
    }


def timed(words):
    """Return wall and CPU seconds of a process, its children included."""
    begin = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ends with exit code {process.returncode}")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime


def main():
    """Print a row per command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--only", default="", help="part of a name")
    options = parser.parse_args()
    print("| fresh process | wall: each run [s] | median | CPU: median |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as room:
        image = Path(room) / "large.fits"
        if options.only in "solve, 24 MP, hinted":
            large_field(image)
        for name, words in commands(image).items():
            if options.only not in name:
                continue
            timed(words)
            wall, cpu = zip(*(timed(words) for _ in range(options.runs)), strict=True)
            each = " ".join(f"{seconds:.2f}" for seconds in sorted(wall))
            print(
                f"| {name} | {each} | {statistics.median(wall):.2f} | {statistics.median(cpu):.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
