"""Integration of registered frames: this project beside Siril's stacking step.

Run ``python benchmarks/registered.py [--frames 30] [--rows 2822] [--columns 4144] [--workers 2]``.
Frames are made up: sky, stars, 0.1 % hits, each with noise of its own. Needs ``siril-cli`` on the path for
the comparison (`--no-siril` leaves it out) and disk for the FITS files.

ours     ``sciastro.stack``: rejection (`--reject`, by default that of a run), weighted mean, variance,
         quality bits, coverage, maps of rejections, noise correlation. From arrays in memory; and from files
         that ``sciastro.open`` opened: signal, error and quality bits of each frame, 2.5 times the bytes
         that Siril reads (page cache warm; opening is told beside it)
Siril    ``stack r_pp_light rej 3 3 -norm=addscale -output_norm`` of float32 FITS files of the values, the
         time of that command as Siril's log has it (normalization, rejection and mean of values only)

Wall and CPU seconds, medians of `--repeats`, the first call of all told apart: memory that a process has
never written costs it time. Siril's CPU time is that of its whole process.
"""

import argparse
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from registered_frames import dataset, make_frames, timed

import sciastro
import sciastro.io.accessor
from sciastro.integrate.options import RULES, StackOptions

UNIT = np.float32(65_535)  # of Siril's floating-point files, in adu


def write_siril(values, folder):
    for i, frame in enumerate(values):
        fits.PrimaryHDU(frame / UNIT).writeto(folder / f"r_pp_light_{i + 1:05d}.fit")


def siril(folder, repeats):
    script = folder / "stack.ssf"
    script.write_text(
        "requires 0.99.8\nsetext fit\n"
        "stack r_pp_light rej 3 3 -norm=addscale -output_norm -out=result\nclose\n"
    )
    walls, cpus, said = [], [], []
    for _ in range(repeats):
        for old in (*folder.glob("*.seq"), folder / "result.fit"):
            old.unlink(missing_ok=True)
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            ["siril-cli", "-d", str(folder), "-s", str(script)], capture_output=True, text=True, check=False
        )
        whole = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        log = done.stdout + done.stderr
        if not (folder / "result.fit").exists():
            raise SystemExit(f"Siril made no result:\n{log[-2000:]}")
        times = re.findall(
            r"Execution time:\s*(?:(\d+)\s*h\s*)?(?:(\d+)\s*min\s*)?(?:([\d.]+)\s*(ms|s))?", log
        )
        seconds = [
            3600 * int(h or 0) + 60 * int(m or 0) + float(s or 0) / (1000 if unit == "ms" else 1)
            for h, m, s, unit in times
        ]
        walls.append(seconds[-1] if seconds else whole)
        said.append("log" if seconds else "whole process")
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return float(np.median(walls)), float(np.median(cpus)), said[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--rows", type=int, default=2822)
    parser.add_argument("--columns", type=int, default=4144)
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 2))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--reject", default="auto", choices=RULES)
    parser.add_argument("--no-siril", action="store_true")
    asked = parser.parse_args()
    planes = make_frames(asked.frames, (asked.rows, asked.columns))
    frames, options = dataset(planes), StackOptions(reject=asked.reject)
    sciastro.stack(frames.isel(y=slice(0, 40)), options=options, workers=1)  # compiles
    print(f"{asked.frames} frames of {asked.columns} x {asked.rows}, {options.describe(asked.frames)}")

    def ours(name, ds):
        def work():
            return sciastro.stack(ds, options=options, workers=asked.workers)

        first, _, _ = timed(work, 1)
        wall, cpu, _ = timed(work, asked.repeats)
        each = 1e9 * cpu / ds["signal"].size
        print(
            f"ours, {name}  wall {wall:7.2f} s   CPU {cpu:7.2f} s   ({each:.1f} ns CPU per sample; ", end=""
        )
        print(f"first call {first:.2f} s)", flush=True)
        return wall, cpu

    done = {"arrays": ours("arrays    ", frames)}
    if asked.no_siril or shutil.which("siril-cli") is None:
        return
    with tempfile.TemporaryDirectory(prefix="registered-") as name:
        folder = Path(name)
        write_siril(planes[0], folder)
        files = frames.sky.to_fits(folder / "registered.fits")
        del frames, planes
        os.sync()  # neither side reads while the system still writes
        begin = time.perf_counter()
        opened = sciastro.open(files)
        print(f"{len(files)} files opened in {time.perf_counter() - begin:.2f} s")
        done["FITS files"] = ours("FITS files", opened)
        peer_wall, peer_cpu, source = siril(folder, asked.repeats)
        print(f"Siril, stack      wall {peer_wall:7.2f} s   CPU {peer_cpu:7.2f} s   (wall: {source})")
        for source, mine in done.items():
            ratios = peer_wall / mine[0], peer_cpu / mine[1]
            print(f"Siril / ours      wall {ratios[0]:7.1f}     CPU {ratios[1]:7.1f}   ({source})")


if __name__ == "__main__":
    main()
