"""The bound on memory is a promise: peak resident size of a whole run, measured from outside."""

import json
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from astropy.io import fits

SHAPE = (2000, 3000)
SLACK = 1.10


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Six megapixels, 12 lights with stars, bias, dark and flat: 260 MB of raw frames."""
    folder = tmp_path_factory.mktemp("memory") / "night"
    rng = np.random.default_rng(5)
    x, y = rng.uniform(40, SHAPE[1] - 40, 150), rng.uniform(40, SHAPE[0] - 40, 150)
    flux = 10 ** rng.uniform(3.5, 5, 150)
    noise = rng.normal(0, 5, SHAPE).astype(np.float32)
    grid = np.arange(-12, 13)

    def write(kind, number, level, exposure, stars=None):
        image = np.roll(noise, 977 * number + len(kind)) * np.float32(max(level / 400, 1) ** 0.5) + level
        if stars is not None:
            dx, dy = stars
            for a, b, f in zip(x + dx, y + dy, flux, strict=True):
                i, j = round(a), round(b)
                gx, gy = (
                    np.exp(-0.5 * ((i + grid - a) / 1.3) ** 2),
                    np.exp(-0.5 * ((j + grid - b) / 1.3) ** 2),
                )
                image[j - 12 : j + 13, i - 12 : i + 13] += f / (2 * np.pi * 1.69) * gy[:, None] * gx
        hdu = fits.PrimaryHDU(np.clip(np.round(image), 0, 65535).astype(np.uint16))
        hdu.header.update({"IMAGETYP": kind, "EXPTIME": exposure, "EGAIN": 1.0, "FILTER": "R"})
        hdu.header.update(
            {"INSTRUME": "Cam", "DATE-OBS": f"2024-03-01T20:{number:02d}:00", "OBJECT": "Field"}
        )
        path = folder / kind / f"{number:03d}.fits"
        path.parent.mkdir(parents=True, exist_ok=True)
        hdu.writeto(path)

    for number in range(4):
        write("Bias Frame", number, 400, 0.0)
        write("Dark Frame", number, 410, 60.0)
        write("Flat Field", number, 20000, 1.0)
    for number in range(12):
        write("Light Frame", number, 1000, 60.0, rng.uniform(-20, 20, 2))
    return folder


def reduce(night, out, bound, workers):
    """Reduce `night` in a process of its own and return its peak memory [byte].

    The process tells its own high-water mark: the one that `wait4` gives includes its parent's.
    """
    code = f"""
        import sys
        from pathlib import Path
        from sciastro.cli import main
        sys.argv = ["sciastro", "reduce", {str(night)!r}, "-o", {str(out)!r}, "--quiet",
                    "--until", "integrate", "--memory", {bound!r}, "--workers", "{workers}"]
        try:
            main()
        finally:
            print(Path("/proc/self/status").read_text())
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 4), done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert sum(row["used"] for row in summary["frames"] if row["type"] == "light") >= 10
    (mark,) = re.findall(r"VmHWM:\s+(\d+) kB", done.stdout)
    return int(mark) * 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measures resident memory as Linux accounts it")
def test_peak_memory_stays_within_its_bound_and_changes_no_pixel(night, tmp_path):
    products = set()
    for bound, limit, workers in (("700MB", 700e6, 1), ("700MB", 700e6, 2), ("1GB", 1e9, 4)):
        out = tmp_path / f"{bound}-{workers}"
        peak = reduce(night, out, bound, workers)
        assert peak <= SLACK * limit, f"{peak / 1e6:.0f} MB with --memory {bound} --workers {workers}"
        (product,) = (out / "products").glob("*.fits")
        with fits.open(product) as hdus:
            products.add(b"".join(hdu.data.tobytes() for hdu in hdus[1:]))
    assert len(products) == 1
