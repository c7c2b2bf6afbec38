"""A run begins without the libraries of its later stages, and has them when its masters are made."""

import os
import subprocess
import sys

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import sciastro.cli.common, sciastro.recipe.plan, sciastro.recipe.run
from sciastro.recipe.warming import LATER, load_datasets, loading_beside
from sciastro.calibrate.defects import DefectOptions
from sciastro.io.products import ProductFacts, write_master
from sciastro.recipe.masterbank import MasterBank
def early():
    return [name for name in (*LATER, "xarray", "pandas", "astropy.coordinates") if name in sys.modules]
assert not early(), f"a run waits for {early()}"
folder, plane = Path(sys.argv[1]), np.full((8, 9), 500, np.float32)
def write(name):
    write_master(folder / name, plane, plane, np.zeros(plane.shape, np.uint16), facts=ProductFacts())
with loading_beside(False):
    write("a.fits")
assert not early(), f"who writes a master meets {early()} half loaded"
with loading_beside(True) as ready:
    write("b.fits")
    ready()
    assert "xarray" not in sys.modules and "pandas" not in sys.modules
    bank = MasterBank(DefectOptions(), {"bias": folder / "b.fits"}, {"bias": "bias"}, ready=ready)
    read = bank.load("bias")
    missing = [name for name in LATER if name not in sys.modules]
    assert not missing, f"who reads a master meets {missing} half loaded"
assert (read.image == plane).all()
load_datasets()
import xarray as xr
xr.Dataset({"a": ("x", np.arange(4.0))})
assert "dask.array" not in sys.modules
"""


def test_libraries_of_later_stages_are_loaded_beside_the_masters(tmp_path):
    command, env = [sys.executable, "-c", SCRIPT, tmp_path], dict(os.environ, OPENBLAS_NUM_THREADS="1")
    # the environment is that of the command line: else `one_owner` loads scipy's linear algebra at the start
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
