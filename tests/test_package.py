"""The package itself: importing it is cheap, and every public name is there."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sciastro

HEAVY = ("numpy", "xarray", "dask", "numba", "astropy", "scipy", "h5py", "matplotlib")


@pytest.mark.parametrize("name", sciastro.__all__)
def test_every_public_name_has_a_home(name):
    module, _, attribute = sciastro._HOMES[name].partition(":")
    value = getattr(sciastro, name)
    assert value is getattr(importlib.import_module(module), attribute or name)
    assert callable(value)
    assert (value.__doc__ or "").strip()
    assert name in dir(sciastro)


def test_names_and_homes_are_the_same_list():
    assert sorted(sciastro.__all__) == sorted(sciastro._HOMES)
    assert len(set(sciastro.__all__)) == len(sciastro.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'sciastro' has no attribute 'reduse'"):
        _ = sciastro.reduse


def test_star_import_gives_every_name():
    space = {}
    exec("from sciastro import *", space)
    assert set(sciastro.__all__) <= set(space)


def test_importing_it_loads_nothing_heavy():
    code = f"import sys, sciastro; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_public_name_hides_a_package():
    """`sciastro.measure` is a package once it is imported, so no function may have that name."""
    packages = {path.parent.name for path in Path(sciastro.__file__).parent.glob("*/__init__.py")}
    assert not packages & set(sciastro.__all__)
