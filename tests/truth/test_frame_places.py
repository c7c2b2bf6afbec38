"""Each frame's own WCS against the truth of a simulated night: shifted, turned over, behind a bent lens."""

import h5py
import numpy as np

from sciastro.core.wcs import text_to_wcs
from sciastro.simulate.truth import Truth


def test_every_frame_has_its_own_true_place(good_night, good_run):
    truth, seen = Truth.load(good_night), []
    with h5py.File(good_run.out / "frames.h5") as store:
        for group in (one for name, one in store.items() if name.startswith("lights")):
            for path, text in zip(group["path"].asstr(), group["wcs"].asstr(), strict=True):
                shape = truth.geometry(path).shape
                x, y = np.meshgrid(np.linspace(0, shape[1] - 1, 9), np.linspace(0, shape[0] - 1, 9))
                there = np.stack(truth.sky_to_pixel(path, *text_to_wcs(text).all_pix2world(x, y, 0)))
                seen.append(np.hypot(*(there - [x, y])))
    assert len(seen) == len(truth.lights())
    for error in seen:
        # 50 stars of a few hundredths of a pixel each, and ten coefficients per axis.
        assert np.median(error) < 0.03 and error.max() < 0.25
    table = next((good_run.out / "tables").glob("*_frames_astrometry.ecsv")).read_text()
    assert sum(".fits" in line for line in table.splitlines()) == len(seen)
