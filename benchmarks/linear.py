"""Cost and peak memory of a run from 10 to 300 frames: linear, and within the bound?

    python benchmarks/linear.py --points 10,30,100,300 --memory 1GB --plot docs/images/linear.svg

Makes eight distinct simulated frames and hard-links them into nights of n lights: small on disk, and every
frame is read and worked on all the same. Each point is a fresh process, run `--repeats` times; the median
counts. The floor is measured in the same run: every byte of the lights once at disk speed (page cache
dropped), plus the bytes that integration must move (10 per pixel and frame, written and read once) at the
memory bandwidth of a copy. Prints a Markdown table; wall times mean something on a quiet machine only.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

DISTINCT = 8
SAMPLE = 10  # bytes per pixel and frame that integration writes and reads


@dataclass(frozen=True)
class Point:
    """One run."""

    frames: int
    wall: float
    cpu: float
    peak: int
    stages: dict[str, float]


def make_frames(folder: Path, rows: int, columns: int) -> Path:
    """Simulate the distinct lights and their calibration frames; a folder that is there already serves."""
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        code = (
            "import sys; from pathlib import Path; "
            "from sciastro.recipe.simulated import night_plan, write_night; "
            "write_night(night_plan('tiny', {'lights': int(sys.argv[2]), 'bands': 'G', 'biases': 3, "
            "'sky.faintest': 15.0}, shape=sys.argv[3]), Path(sys.argv[1]))"
        )
        subprocess.run(
            [sys.executable, "-c", code, str(folder / "night"), str(DISTINCT), f"{rows}x{columns}"],
            check=True,
        )
        (folder / "done").touch()
    return folder / "night"


def night_of(source: Path, folder: Path, frames: int) -> Path:
    """Return a night of `frames` lights, hard links to the distinct ones, with all calibration frames."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in sorted(source.rglob("*.fits")):
        if path.parent.name != "LIGHT" and "LIGHT" not in path.parts:
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
    lights = sorted(path for path in source.rglob("*.fits") if "LIGHT" in path.parts)
    (folder / "LIGHT").mkdir(parents=True, exist_ok=True)
    for i in range(frames):
        os.link(lights[i % len(lights)], folder / "LIGHT" / f"G_{i:05d}.fits")
    return folder


def measured(night: Path, out: Path, memory: str, until: str, *options: str) -> Point:
    """Reduce `night` in a process of its own; peak memory is the process's own high-water mark."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "sciastro", "reduce", str(night), "-o", str(out), "--quiet",
               "--until", until, "--memory", memory, *options]  # fmt: skip
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - begin
        if process.returncode not in (0, 4):
            said.seek(0)
            raise SystemExit(f"reduce ended with {process.returncode}: {said.read().decode()[-2000:]}")
    summary = json.loads((out / "summary.json").read_text())
    lights = [row for row in summary["frames"] if row["type"] == "light"]
    used = sum(row["used"] for row in lights)
    if used < 0.9 * len(lights):
        raise SystemExit(f"only {used} of {len(lights)} lights were used")
    return Point(
        frames=len(lights), wall=wall, cpu=usage.ru_utime + usage.ru_stime, peak=usage.ru_maxrss * 1024,
        stages={name: value for name, value in summary["timings_s"].items() if value},
    )  # fmt: skip


def disk_speed(night: Path) -> float:
    """Return the speed of reading the lights once, with the page cache dropped [byte / s]."""
    paths = sorted((night / "LIGHT").glob("*.fits"))[:DISTINCT]
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    begin, size = time.perf_counter(), 0
    for path in paths:
        size += len(path.read_bytes())
    return size / (time.perf_counter() - begin)


def bandwidth() -> float:
    """Return the speed of a large copy, bytes read plus bytes written [byte / s]."""
    import numpy as np

    source = np.ones(32_000_000, np.float32)
    target = np.zeros_like(source)
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - begin)
    return 2 * source.nbytes / best


def floor_seconds(frames: int, pixels: int, disk: float, memory: float) -> float:
    """Return the time in which the bytes could be moved at all [s]."""
    return frames * pixels * (2 / disk + 2 * SAMPLE / memory)


def median_of(points: list[Point]) -> Point:
    """Return the run of median wall time, with the largest peak memory of all."""
    middle = sorted(points, key=lambda point: point.wall)[len(points) // 2]
    return Point(middle.frames, middle.wall, statistics.median(point.cpu for point in points),
                 max(point.peak for point in points), middle.stages)  # fmt: skip


def plot(path: Path, points: list[Point], floors: list[float], bound: int) -> None:
    """Draw time and memory over the number of frames."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    n = [point.frames for point in points]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    left.loglog(n, [point.wall for point in points], "o-", label="wall")
    left.loglog(n, [point.cpu for point in points], "s--", label="processor")
    left.loglog(n, floors, "k:", label="floor: read once, move once")
    left.set(xlabel="frames", ylabel="seconds")
    left.legend(frameon=False)
    right.semilogx(n, [point.peak / 1e6 for point in points], "o-")
    right.axhline(bound / 1e6, color="k", linestyle=":", label="--memory")
    right.set(xlabel="frames", ylabel="peak memory [MB]", ylim=(0, 1.25 * bound / 1e6))
    right.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Measure every point and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", default="10,30,100,300")
    parser.add_argument("--shape", default="1200x1700", help="rows x columns of a frame")
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--until", default="integrate")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "sciastro-linear")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--keep", action="store_true", help="leave the simulated frames for another time")
    arguments = parser.parse_args()
    rows, columns = (int(part) for part in arguments.shape.split("x"))
    from sciastro.recipe.context import parse_memory

    bound = parse_memory(arguments.memory)
    source = make_frames(arguments.work / f"{rows}x{columns}", rows, columns)
    points, floors = [], []
    memory = bandwidth()
    for number in (int(part) for part in arguments.points.split(",")):
        night = night_of(source, arguments.work / "night", number)
        disk = disk_speed(night)
        runs = [
            measured(night, arguments.work / "out", arguments.memory, arguments.until)
            for _ in range(arguments.repeats)
        ]
        points.append(median_of(runs))
        floors.append(floor_seconds(number, rows * columns, disk, memory))
        print(f"{number} frames: {points[-1]}", file=sys.stderr)
        shutil.rmtree(arguments.work / "out", ignore_errors=True)
    print(f"Frames of {columns} x {rows}, --memory {arguments.memory}, disk {disk / 1e9:.2f} GB/s, "
          f"memory {memory / 1e9:.1f} GB/s\n")  # fmt: skip
    print("| frames | wall [s] | CPU [s] | CPU per added frame [ms] | floor [s] | peak [MB] | of bound |")
    print("|---|---|---|---|---|---|---|")
    for i, (point, floor) in enumerate(zip(points, floors, strict=True)):
        before = points[i - 1] if i else None
        slope = "" if before is None else (
            f"{1e3 * (point.cpu - before.cpu) / (point.frames - before.frames):.0f}"
        )  # fmt: skip
        print(f"| {point.frames} | {point.wall:.1f} | {point.cpu:.1f} | {slope} | {floor:.2f} | "
              f"{point.peak / 1e6:.0f} | {point.peak / bound:.2f} |")  # fmt: skip
    if len(points) > 2:
        import numpy as np

        n, cpu = np.array([(point.frames, point.cpu) for point in points]).T
        line = np.polyfit(n, cpu, 1, w=1 / cpu)
        off = np.abs(np.polyval(line, n) / cpu - 1).max()
        print(f"\nCPU = {line[1]:.1f} s + {1e3 * line[0]:.0f} ms per frame, within {100 * off:.0f} %")
    if arguments.plot:
        plot(arguments.plot, points, floors, bound)
    if not arguments.keep:
        shutil.rmtree(arguments.work, ignore_errors=True)


if __name__ == "__main__":
    main()
