"""What the picture of a light curve says of its points."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from sciastro.report.lightcurves import _with_bins


@pytest.mark.parametrize(("minutes", "told"), [(1.0, "means of 10 minutes"), (12.0, "single frames")])
def test_points_are_means_only_where_several_frames_are_in_one(minutes, told):
    axis = Figure().subplots()
    x = np.arange(40) * minutes / 1440
    curve = SimpleNamespace(use=np.ones(40, bool), night=np.zeros(40, np.int64))
    _with_bins(axis, curve, x, np.ones(40), np.full(40, 0.01))
    assert axis.get_legend_handles_labels()[1] == [told]
