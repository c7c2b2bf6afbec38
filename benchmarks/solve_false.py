"""Pictures that show no sky, to be solved blind: every solution is a false one (see solve.py)."""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from PIL import Image

from sciastro.recipe.solving import Question, solve_files

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from no_skies import picture


def false_images(count, seconds=60.0):
    """Print how many pictures without sky are solved, and how long it took to give them up."""
    tried, false = Counter(), []
    start = time.process_time()
    with tempfile.TemporaryDirectory() as room:
        for number in range(count):
            kind, pixels = picture(number)
            path = Path(room) / f"{number:03d}.png"
            Image.fromarray(pixels).save(path)
            (answer,) = solve_files([path], Question(seconds=seconds, write=False))
            tried[kind] += 1
            if answer.solved:
                false.append((number, kind, answer.log_odds, answer.n_stars))
                print(f"FALSE: picture {number}, {kind}: {answer.as_json()}", flush=True)
    cpu = (time.process_time() - start) / count
    print(", ".join(f"{n} of {kind}" for kind, n in tried.items()))
    print(f"false solutions: {len(false)} of {count}; {cpu:.1f} s of CPU each, {seconds:.0f} s allowed")
