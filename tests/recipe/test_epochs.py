"""All ways to an epoch give the same one."""

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from sciastro.io.framefacts import FrameFacts
from sciastro.recipe import setreference, solvedatasets
from sciastro.recipe.solvereading import Field

NOON = datetime(2000, 1, 1, 12, tzinfo=UTC)


def test_lights_pictures_and_datasets_have_the_same_epoch():
    facts = FrameFacts(path="a.fits", hdu=0, shape=(2, 2), dtype="uint16", kind="light", time=NOON)
    frames = xr.Dataset({"time": ("frame", np.array(["2000-01-01T12", "NaT"], "M8[us]"))})
    assert Field(shape=(2, 2), facts=facts).epoch == pytest.approx(2000.0, abs=1e-9)
    assert setreference.julian_year([SimpleNamespace(facts=facts)]) == pytest.approx(2000.0, abs=1e-9)
    assert solvedatasets._year(frames, 0) == pytest.approx(2000.0, abs=1e-9)
    assert solvedatasets._year(frames, 1) is None
