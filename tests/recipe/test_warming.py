"""A run begins without the libraries of its later stages, and has them when its masters are made."""

import subprocess
import sys

SCRIPT = """
import sys
import sciastro.cli.common, sciastro.recipe.plan, sciastro.recipe.run
from sciastro.recipe.warming import LATER, loading_beside
early = [name for name in (*LATER, "pandas", "astropy.coordinates") if name in sys.modules]
assert not early, f"a run waits for {early}"
with loading_beside(False):
    pass
assert "xarray" not in sys.modules
with loading_beside(True):
    pass
missing = [name for name in LATER if name not in sys.modules]
assert not missing, missing
import numpy as np, xarray as xr
xr.Dataset({"a": ("x", np.arange(4.0))})
assert "dask.array" not in sys.modules
"""


def test_libraries_of_later_stages_are_loaded_beside_the_masters():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
