"""The index of the sky: what making it costs is what is said of it."""

import subprocess
import sys

import pytest

from sciastro.recipe.skyindex import MAKING_BYTES

CODE = """
import re
from pathlib import Path
from sciastro.recipe.skyindex import sky_index, sky_index_is_kept
assert not sky_index_is_kept()
sky_index()
assert sky_index_is_kept()
# Its own high-water mark: ru_maxrss is no less than what its parent had when it was started.
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is in kB on Linux alone")
def test_making_the_index_takes_no_more_memory_than_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE], capture_output=True, text=True, check=True
    )
    assert 0.5 * MAKING_BYTES < int(done.stdout) < MAKING_BYTES
    assert 420e6 < sum(path.stat().st_size for path in tmp_path.rglob("*.npy")) < 530e6
