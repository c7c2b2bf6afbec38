"""xarray does without dask until somebody uses it, and then finds lazy arrays as ever."""

import subprocess
import sys

SCRIPT = """
import sys
import numpy as np, xarray as xr
from sciastro.core.lift import spare_dask
spare_dask(); spare_dask()
ds = xr.Dataset({"a": ("x", np.arange(4.0)), "t": ("x", np.array(["2026-01-01"] * 4, "M8[us]"))})
assert [xr.conventions.encode_cf_variable(ds[name].variable).dtype.kind for name in "at"] == ["f", "i"]
assert float(ds.a.where(ds.a > 1).sum()) == 5.0
assert not [name for name in sys.modules if name.split(".")[0] == "dask"], "dask was loaded"
lazy = ds.a.chunk(x=2)
assert type(lazy.data).__module__.startswith("dask"), type(lazy.data)
assert xr.Variable("x", lazy.data).chunks == ((2, 2),)
assert not isinstance((lazy + ds.a).data, np.ndarray)
assert float((lazy + ds.a).sum().compute()) == 12.0
"""


def test_dask_waits_until_it_is_used():
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
