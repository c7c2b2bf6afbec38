"""Lifting: lazy in, lazy out, equal numbers; tasks keep their order and their errors."""

import dask
import numpy as np
import pytest
import xarray as xr

from sciastro.core.lift import chunk_rows, in_order, is_lazy, map_frames, run_tasks


def refuse(*args, **kwargs):
    raise AssertionError("computed behind the user's back")


def kernel(plane, shared, factor, row):
    rows = np.arange(row, row + plane.shape[0])[:, None]
    return plane * factor + shared, (plane + rows).astype("f8")


def test_lazy_equals_eager():
    rng = np.random.default_rng(2)
    cube = xr.DataArray(rng.normal(size=(3, 10, 7)).astype("f4"), dims=("frame", "y", "x"))
    shared = xr.DataArray(rng.normal(size=(10, 7)).astype("f4"), dims=("y", "x"))
    factor = np.array([1, 2, 3], "f4")
    eager = map_frames(kernel, cube, shared, dtypes=("f4", "f8"), per_frame=(factor,))
    ds = chunk_rows(xr.Dataset({"cube": cube, "shared": shared}), 4)
    with dask.config.set(scheduler=refuse):
        lazy = map_frames(kernel, ds["cube"], ds["shared"], dtypes=("f4", "f8"), per_frame=(factor,))
    assert is_lazy(ds["cube"])
    assert not is_lazy(cube)
    for a, b in zip(eager, lazy, strict=True):
        assert b.dtype == a.dtype
        np.testing.assert_array_equal(b.compute(), a)


def test_tasks_in_order_and_lazily():
    taken = []

    def source():
        for i in range(20):
            taken.append(i)
            yield i

    seen = []
    assert run_tasks(lambda i: i * i, source(), workers=3, done=lambda i, r: seen.append((i, r))) == [
        i * i for i in range(20)
    ]
    assert sorted(seen) == [(i, i * i) for i in range(20)]


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_and_few_are_held(workers):
    started, results = [], in_order(lambda i: started.append(i) or i * i, range(20), workers=workers)
    for number, result in enumerate(results):
        assert result == number**2
        assert len(started) <= number + workers + 1
    assert number == 19


def test_a_failing_task_raises_and_stops():
    started = []

    def work(i):
        started.append(i)
        if i == 3:
            raise ValueError("frame 3")
        return i

    with pytest.raises(ValueError, match="frame 3"):
        run_tasks(work, range(1000), workers=2)
    assert len(started) < 1000
