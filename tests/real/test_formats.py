"""Real frames of a smart telescope written again as DNG and XISF reduce to the same pixels."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from small_nights import reduce

from sciastro.io.xisfwrite import XisfPlane, write_xisf
from sciastro.simulate.dng import write_dng

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "osc_seestar_m94" / "session1"
OPTIONS = ("--ra", "192.72", "--dec", "41.12", "--set", "correct.gain=1")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.exists(), reason="the real frames are not here"),
]


def test_dng_and_xisf_give_the_same(tmp_path):
    pytest.importorskip("rawpy")
    for number, path in enumerate(sorted(FOLDER.glob("*.fz"))[:4]):
        with fits.open(path) as hdus:
            pixels, header = np.asarray(hdus[1].data, np.uint16), hdus[1].header.copy()
        start = datetime.fromisoformat(header["DATE-OBS"][:23]).replace(tzinfo=UTC)
        (tmp_path / "dng/M 94/lights").mkdir(parents=True, exist_ok=True)
        write_dng(
            tmp_path / f"dng/M 94/lights/DSC0{1000 + number}.DNG", pixels, cfa="GRBG", exposure=10.0, iso=80,
            time=start.astimezone(timezone(timedelta(hours=-4))), focal_length=250.0, pixel_size=2.9,
        )  # fmt: skip
        (tmp_path / "xisf").mkdir(exist_ok=True)
        write_xisf(tmp_path / f"xisf/L_{number}.xisf", [XisfPlane(pixels, header, cfa="GRBG")])
    runs = {name: reduce(tmp_path / name, tmp_path / f"out-{name}", *OPTIONS) for name in ("dng", "xisf")}
    assert {name: run.code for name, run in runs.items()} == {"dng": 0, "xisf": 0}
    for band in "RGB":
        paths = [next(run.out.glob(f"products/*_{band}.fits")) for run in runs.values()]
        one, two = (fits.getdata(path, "SCI") for path in paths)
        np.testing.assert_array_equal(one, two)
    solved = [product["wcs"]["rms_arcsec"] for product in runs["dng"].summary["products"]]
    assert max(solved) < 1.0
