"""Masters that are written beside the making of the next: an error comes once, and the first one is told."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from sciastro.calibrate.defects import DefectOptions
from sciastro.core.lift import beside
from sciastro.recipe import stages
from sciastro.recipe.masterbank import LentMaster, MasterBank
from sciastro.recipe.masterfiles import Writer


def broken():
    raise RuntimeError("HDF5 says no")


@pytest.mark.parametrize("hold", [0, 10**9])
def test_an_error_comes_once_and_its_master_is_not_journaled(tmp_path, hold):
    saved = []
    journal = SimpleNamespace(save=lambda piece, arrays, facts: saved.append(piece))
    plane = np.ones((4, 5), np.float32)
    lent = LentMaster("bias", "adu", plane, plane, np.zeros((4, 5), np.uint16))
    with beside() as start:
        writer = Writer(start, tmp_path / "none.h5", MasterBank(DefectOptions(), hold=hold), journal)

        def write():
            writer("bias", lent, broken)
            writer.note("master-bias", {})
            writer.finish()

        with pytest.raises(RuntimeError, match="HDF5 says no"):
            write()
        writer.finish()
        assert saved == []
        writer("dark", lent, lambda: None)
        writer.note("master-dark", {})
        writer.finish()
    assert saved == ["master-dark"]


def test_whatever_a_writer_raises_does_not_replace_the_error_that_ended_the_run(caplog):
    run = SimpleNamespace(bank=MasterBank(DefectOptions(), finish=broken))
    with caplog.at_level(logging.WARNING, "sciastro"):
        stages.leave_masters(run)
    assert "RuntimeError: HDF5 says no" in caplog.text
