"""Pictures that show no sky, to be solved blind: every solution is a false one (see solve.py)."""

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from sciastro.recipe.solving import Question, solve_files

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from no_skies import picture


def false_images(count, seconds=60.0):
    """Print how many pictures without sky are solved, and how long it took to give them up.

    The kinds come in mixed order, so that a run that is stopped has tried all of them. `seconds` are of wall
    time; where they were over before every pattern was compared, the picture counts as cut off.
    """
    tried, false = defaultdict(list), 0
    with tempfile.TemporaryDirectory() as room:
        for number in np.random.default_rng(5).permutation(count).tolist():
            kind, pixels = picture(number)
            path = Path(room) / f"{number:03d}.png"
            Image.fromarray(pixels).save(path)
            start = time.process_time()
            (answer,) = solve_files([path], Question(seconds=seconds, write=False))
            cpu, cut = time.process_time() - start, "the time was over" in answer.reason
            tried[kind].append((cpu, answer.seconds, cut))
            false += answer.solved
            word = "FALSE" if answer.solved else "cut off" if cut else "given up"
            print(f"picture {number}, {kind}: {word}, {cpu:.2f} s of CPU in {answer.seconds:.2f} s; "
                  f"{answer.as_json() if answer.solved else answer.reason[:60]}", flush=True)  # fmt: skip
    print("| kind | pictures | median CPU [s] | most | cut off |\n|---|---|---|---|---|")
    for kind, rows in sorted(tried.items()):
        cpu, _, cut = np.array(rows).T
        print(f"| {kind} | {len(rows)} | {np.median(cpu):.2f} | {cpu.max():.1f} | {cut.sum():.0f} |")
    print(f"false solutions: {false} of {count}; {seconds:.0f} s allowed each")
