"""One run in this process and on local clusters of 1, 2 and 3 workers: same pixels, and how much faster?

    python benchmarks/cluster.py NIGHT --workers 1,2,3 --repeats 3

Workers are processes with one thread each (`distributed.LocalCluster`); the run itself is `sciastro reduce
--scheduler ADDRESS --until integrate`, and `--workers 1` in the process that it is compared with. With
`--kill`, one worker gets SIGKILL half-way. Prints medians, ratios, and whether every product has the same
bytes. More workers than processors cannot be faster.
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path


def run(night: Path, out: Path, memory: str, *options: str) -> float:
    """Return the wall time of a run in a process of its own [s]."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "sciastro", "reduce", str(night), "-o", str(out), "--quiet",
               "--until", "integrate", "--memory", memory, *options]  # fmt: skip
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 4):
        raise SystemExit(f"reduce ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.perf_counter() - begin


def pixels(out: Path) -> dict[str, bytes]:
    """Return the bytes of every product and master."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for part in ("products", "masters")
        for path in sorted((out / part).glob("*.fits"))
    }


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("night", type=Path)
    parser.add_argument("--workers", default="1,2,3")
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kill", action="store_true", help="SIGKILL one worker half-way through each run")
    arguments = parser.parse_args()
    from distributed import LocalCluster

    with tempfile.TemporaryDirectory(prefix="sciastro-cluster-") as folder:
        out = Path(folder) / "out"
        alone = statistics.median(
            run(arguments.night, out, arguments.memory, "--workers", "1") for _ in range(arguments.repeats)
        )
        truth = pixels(out)
        print("| workers | wall [s] | against one thread here | same bytes |\n|---|---|---|---|")
        print(f"| here, one thread | {alone:.1f} | 1 | |")
        for number in (int(part) for part in arguments.workers.split(",")):
            times, same = [], True
            with LocalCluster(n_workers=number, threads_per_worker=1, memory_limit=0) as cluster:
                for _ in range(arguments.repeats):
                    timer = None
                    if arguments.kill:
                        pid = next(iter(cluster.workers.values())).process.pid
                        timer = threading.Timer(alone / (2 * number), os.kill, (pid, signal.SIGKILL))
                        timer.start()
                    times.append(
                        run(arguments.night, out, arguments.memory, "--scheduler", cluster.scheduler_address)
                    )
                    if timer is not None:
                        timer.cancel()
                    same = same and pixels(out) == truth
            wall = statistics.median(times)
            print(f"| {number} | {wall:.1f} | {alone / wall:.2f} | {'yes' if same else 'NO'} |", flush=True)


if __name__ == "__main__":
    main()
