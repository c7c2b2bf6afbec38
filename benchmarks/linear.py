"""Cost and peak memory of a run from 10 to 300 frames: linear, and within the bound?

    python benchmarks/linear.py --points 10,30,100,300 --memory 1GB --plot docs/images/linear.svg

Simulates eight lights and their calibration frames, and makes of them as many lights as are asked for: the
pixels of one of the eight plus noise of its own, and a time of its own, in a file of its own. (Hard links
would not do: a run refuses copies of a file.) Each point is a fresh process, run `--repeats` times; medians
count. Repeats go round all points, so that a slow spell of the machine hits all. The floor is measured in the
same run: every byte of the lights once at disk speed (page cache dropped), plus the bytes that integration
must move (10 per pixel and frame, written and read once) at the memory bandwidth of a copy. Prints a Markdown
table and how far points are off the straight line; wall times mean something on a quiet machine only.
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
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from astropy.io import fits

DISTINCT = 8
FAINTEST = "13"  # mag of the stars: about 500 in a megapixel
OWN = 0.3  # noise that each light gets beyond that of its pattern, over the pattern's
POOL = 1_000_003  # pixels by which the pool of noise is longer than a frame
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
            "'sky.faintest': float(sys.argv[4])}, shape=sys.argv[3]), Path(sys.argv[1]), workers=2)"
        )
        subprocess.run(
            [sys.executable, "-c", code, str(folder / "night"), str(DISTINCT), f"{rows}x{columns}", FAINTEST],
            check=True,
        )
        (folder / "done").touch()
    return folder / "night"


class Pattern:
    """A simulated light: header, pixels as stored (int16), places of saturated ones, and its noise [adu]."""

    def __init__(self, path: Path) -> None:
        with fits.open(path, do_not_scale_image_data=True) as hdus:
            self.header, stored = hdus[0].header.copy(), np.asarray(hdus[0].data)
        self.begin = datetime.fromisoformat(self.header["DATE-OBS"])
        for name in ("DATE-LOC", "DATE-AVG", "MJD-OBS", "MJD-AVG"):
            self.header.remove(name, ignore_missing=True)
        self.stored = stored.astype(np.int16).ravel()
        self.full = np.flatnonzero(np.abs(self.stored.astype(np.int32)) > 32_000)
        steps = np.diff(stored[::7].astype(np.float32), axis=1)
        self.noise = 1.4826 * float(np.median(np.abs(steps))) / np.sqrt(2)

    def write(self, path: Path, number: int, pool: np.ndarray) -> None:
        """Write light `number`, with its own part of `pool`."""
        start = number * 7919 % POOL
        pixels = self.stored + pool[start : start + self.stored.size]
        pixels[self.full] = self.stored[self.full]
        self.header["DATE-OBS"] = (self.begin + timedelta(seconds=10 * number)).isoformat()
        data = pixels.byteswap(inplace=True).tobytes()
        with path.open("wb") as file:
            file.write(self.header.tostring().encode("ascii"))
            file.write(data)
            file.write(bytes(-len(data) % 2880))


def make_lights(source: Path, folder: Path, frames: int) -> None:
    """Write `frames` lights, each with pixels and time of its own; those that are there serve."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [number for number in range(frames) if not (folder / f"G_{number:05d}.fits").exists()]
    if not wanted:
        return
    size = len(wanted) * 2 * _pixels(source)
    free = shutil.disk_usage(folder).free
    if size > 0.97 * free:
        raise SystemExit(f"{frames} lights take {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")
    patterns = [Pattern(path) for path in _lights(source)]
    rng = np.random.default_rng(1)
    pool = rng.standard_normal(patterns[0].stored.size + POOL, dtype=np.float32)
    pool = np.rint(pool * np.float32(OWN * patterns[0].noise)).astype(np.int16)
    for number in wanted:
        patterns[number % len(patterns)].write(folder / f"G_{number:05d}.fits", number, pool)
    os.sync()  # else the disk still writes while the run is timed


def _lights(source: Path) -> list[Path]:
    return sorted(path for path in source.rglob("*.fits") if "LIGHT" in path.parts)


def _pixels(source: Path) -> int:
    header = fits.getheader(_lights(source)[0])
    return int(header["NAXIS1"]) * int(header["NAXIS2"])


def night_of(source: Path, folder: Path, frames: int) -> Path:
    """Return a night of `frames` lights with all calibration frames: links to files beside `source`."""
    lights = source.parent / "lights"
    make_lights(source, lights, frames)
    shutil.rmtree(folder, ignore_errors=True)
    for path in sorted(source.rglob("*.fits")):
        if "LIGHT" not in path.parts:
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
    (folder / "LIGHT").mkdir(parents=True, exist_ok=True)
    for path in sorted(lights.glob("*.fits"))[:frames]:
        os.link(path, folder / "LIGHT" / path.name)
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
    asked = sum(1 for _ in (night / "LIGHT").iterdir())
    if used < 0.9 * asked:
        raise SystemExit(f"only {used} of {asked} lights were used")
    return Point(
        frames=len(lights), wall=wall, cpu=usage.ru_utime + usage.ru_stime, peak=usage.ru_maxrss * 1024,
        stages={name: value for name, value in summary["timings_s"].items() if value},
    )  # fmt: skip


def disk_speed(night: Path) -> float:
    """Return the speed of reading lights once, with the page cache dropped [byte / s]."""
    paths = sorted((night / "LIGHT").glob("*.fits"))[: 4 * DISTINCT]
    os.sync()
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    begin, size = time.perf_counter(), 0
    for path in paths:
        size += len(path.read_bytes())
    return size / (time.perf_counter() - begin)


def bandwidth() -> float:
    """Return the speed of a large copy, bytes read plus bytes written [byte / s]."""
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
    """Return the run of median wall time, with the median processor time and the largest peak memory."""
    middle = sorted(points, key=lambda point: point.wall)[len(points) // 2]
    return Point(middle.frames, middle.wall, statistics.median(point.cpu for point in points),
                 max(point.peak for point in points), middle.stages)  # fmt: skip


def told(points: list[Point], name: str) -> str:
    """Return the straight line through the points' `name` (wall or cpu), and how far they are off it."""
    n, seconds = np.array([(point.frames, getattr(point, name)) for point in points], dtype=np.float64).T
    line = np.polyfit(n, seconds, 1, w=1 / seconds)
    off = np.polyval(line, n) / seconds - 1
    parts = ", ".join(f"{100 * one:+.1f} %" for one in off)
    return f"{name} = {line[1]:.1f} s + {1e3 * line[0]:.1f} ms per frame; line over point: {parts}"


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
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "sciastro-linear")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--keep", action="store_true", help="leave the simulated frames for another time")
    arguments = parser.parse_args()
    rows, columns = (int(part) for part in arguments.shape.split("x"))
    from sciastro.recipe.context import parse_memory

    bound = parse_memory(arguments.memory)
    try:
        points, floors, disk, memory = measure(arguments, rows, columns)
        print(f"Frames of {columns} x {rows}, --memory {arguments.memory}, disk {disk / 1e9:.2f} GB/s, "
              f"memory {memory / 1e9:.1f} GB/s, medians of {arguments.repeats}\n")  # fmt: skip
        print(table(points, floors, bound))
        if len(points) > 2:
            print(f"\n{told(points, 'wall')}\n{told(points, 'cpu')}")
        if arguments.plot:
            plot(arguments.plot, points, floors, bound)
    finally:
        if not arguments.keep:
            shutil.rmtree(arguments.work, ignore_errors=True)


def measure(
    arguments: argparse.Namespace, rows: int, columns: int
) -> tuple[list[Point], list[float], float, float]:
    """Return medians per point, floors [s], and the speeds of disk and memory [byte / s]."""
    source = make_frames(arguments.work / f"{rows}x{columns}", rows, columns)
    numbers = [int(part) for part in arguments.points.split(",")]
    night = night_of(source, arguments.work / "night", max(numbers))
    memory, disk = bandwidth(), disk_speed(night)
    runs: dict[int, list[Point]] = {number: [] for number in numbers}
    for _ in range(arguments.repeats):
        for number in numbers:
            night = night_of(source, arguments.work / "night", number)
            point = measured(night, arguments.work / "out", arguments.memory, arguments.until)
            print(f"{number} frames: {point}", file=sys.stderr, flush=True)
            runs[number].append(point)
    shutil.rmtree(arguments.work / "out", ignore_errors=True)
    floors = [floor_seconds(number, rows * columns, disk, memory) for number in numbers]
    return [median_of(one) for one in runs.values()], floors, disk, memory


def table(points: list[Point], floors: list[float], bound: int) -> str:
    """Return the Markdown table of all points."""
    lines = [
        "| frames | wall [s] | CPU [s] | wall, CPU per added frame [ms] | floor [s] | peak [MB] | of bound |",
        "|---|---|---|---|---|---|---|",
    ]
    for i, (point, floor) in enumerate(zip(points, floors, strict=True)):
        before = points[i - 1] if i else None
        slope = "" if before is None else ", ".join(
            f"{1e3 * (now - then) / (point.frames - before.frames):.0f}"
            for now, then in ((point.wall, before.wall), (point.cpu, before.cpu))
        )  # fmt: skip
        lines.append(f"| {point.frames} | {point.wall:.1f} | {point.cpu:.1f} | {slope} | {floor:.2f} | "
                     f"{point.peak / 1e6:.0f} | {point.peak / bound:.2f} |")  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()
