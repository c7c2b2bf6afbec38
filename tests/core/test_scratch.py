"""Memory used again: by name and thread, never shared, gone when it travels."""

import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sciastro.core.scratch import Scratch, lend, lend_ahead, recycled_bytes, release, spare_bytes


def test_the_same_memory_comes_back_for_the_same_name_in_the_same_thread():
    scratch = Scratch()
    one = scratch.take("signal", (4, 6), np.float32)
    again = scratch.take("signal", (3, 5), np.float32)
    assert again.shape == (3, 5)
    assert np.shares_memory(one, again)
    assert not np.shares_memory(one, scratch.take("variance", (4, 6), np.float32))
    assert scratch.take("signal", (40, 6), np.float32).shape == (40, 6)
    assert scratch.take("signal", (4, 6), np.uint16).dtype == np.uint16


def test_threads_and_copies_have_their_own():
    scratch, found = Scratch(), []
    mine = scratch.take("signal", (4, 6), np.float32)
    worker = threading.Thread(target=lambda: found.append(scratch.take("signal", (4, 6), np.float32)))
    worker.start()
    worker.join()
    assert not np.shares_memory(mine, found[0])
    copy = pickle.loads(pickle.dumps(scratch))
    assert not np.shares_memory(mine, copy.take("signal", (4, 6), np.float32))


@pytest.fixture
def empty():
    release()
    yield
    release()


SHAPE = (1200, 1024)  # more than 4 MB of float32


def test_lent_memory_comes_back_when_the_last_view_is_gone(empty):
    one = lend(SHAPE, np.float32)
    place, part = one.ctypes.data, one[3:5, ::2].T
    assert one.flags.c_contiguous and one.flags.writeable
    del one
    gc.collect()
    assert spare_bytes() == 0  # a part of it is still in use
    other = lend(SHAPE, np.float32)
    assert other.ctypes.data != place
    del part
    gc.collect()
    before = recycled_bytes()
    again = lend((1100, 1024), np.int32)  # a little smaller, another type
    assert again.ctypes.data == place
    assert recycled_bytes() - before == 1200 * 1024 * 4
    assert spare_bytes() == 0


def test_lending_never_holds_more_than_plain_arrays_would(empty):
    several = [lend(SHAPE, np.float32) for _ in range(3)]
    del several
    gc.collect()
    assert spare_bytes() == 3 * 1200 * 1024 * 4
    large = lend((2 * 1200, 1024), np.float32)  # nothing fits: as much is given up
    assert spare_bytes() == 1200 * 1024 * 4
    assert large.nbytes == 2 * 1200 * 1024 * 4
    release()
    assert spare_bytes() == 0


def test_memory_made_ready_ahead_is_what_is_lent(empty):
    size = 1200 * 1024 * 4
    kept = lend(SHAPE, np.float32)
    place = kept.ctypes.data
    del kept
    gc.collect()
    lend_ahead([size, 2 * size])
    assert spare_bytes() == 3 * size
    before = recycled_bytes()
    arrays = [lend(SHAPE, np.float32), lend((2400, 1024), np.float32)]
    assert arrays[0].ctypes.data == place
    assert recycled_bytes() - before == 3 * size
    assert spare_bytes() == 0


def test_small_arrays_are_plain(empty):
    assert lend((3, 4), np.uint16).base is None


def test_many_threads_never_share_lent_memory(empty):
    def work(number):
        for _ in range(20):
            mine = lend(SHAPE, np.int32)
            mine[::64] = number
            assert (mine[::64] == number).all()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))
