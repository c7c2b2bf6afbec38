"""Bytes at a position: all of them arrive, however few the system takes at a time."""

import os

import pytest

from sciastro.io.placing import put


@pytest.mark.parametrize("once", [True, False])
def test_a_short_write_is_followed_by_the_rest(tmp_path, monkeypatch, once):
    path, content = tmp_path / "frames", bytes(range(256)) * 40
    path.write_bytes(b"before" + bytes(len(content)) + b"after")
    pwritev, pwrite, writes = getattr(os, "pwritev", None), os.pwrite, []

    def half(part):
        writes.append(len(part))
        return part[: max(len(part) // 2, 1)]

    if pwritev is not None:
        monkeypatch.setattr(os, "pwritev", lambda fd, parts, at, flags: pwritev(fd, [half(parts[0])], at))
    monkeypatch.setattr(os, "pwrite", lambda fd, part, at: pwrite(fd, half(part), at))
    with path.open("r+b") as file:
        put(file.fileno(), len(b"before"), memoryview(content), once=once)
    assert path.read_bytes() == b"before" + content + b"after"
    assert writes[:3] == [10240, 5120, 2560]
