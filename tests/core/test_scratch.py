"""Memory used again: by name and thread, never shared, gone when it travels."""

import pickle
import threading

import numpy as np

from sciastro.core.scratch import Scratch


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
