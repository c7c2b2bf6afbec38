"""What is noted of frames beside the stack does not depend on what runs beside it."""

import pytest
import xarray as xr
from small_nights import reduce

from sciastro.io.store import groups, open_group


@pytest.mark.slow
def test_facts_of_frames_are_the_same_with_one_worker_and_with_two(good_night, tmp_path):
    kept = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        assert reduce(good_night, out, "--workers", workers).code == 0
        kept.append(out / "frames.h5")
    one, two = kept
    assert groups(one) == groups(two) != []
    for name in groups(one):
        with open_group(one, name) as first, open_group(two, name) as second:
            facts = first.coords.to_dataset()
            assert {"wcs", "fwhm", "sky", "transparency", "weight", "use", "reason"} <= set(facts.variables)
            assert all(str(text) for text in facts["wcs"].values[facts["use"].values])
            xr.testing.assert_equal(facts, second.coords.to_dataset())
