"""Optional cosmic-ray search of a run: found once, masked in every window."""

import numpy as np

from sciastro.calibrate.cosmic import CosmicOptions
from sciastro.core.quality import Quality
from sciastro.recipe.hits import find_hits, mark_hits


def test_hits_are_found_and_marked_in_any_window():
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:80, :90]
    star = 4000 * np.exp(-((y - 40) ** 2 + (x - 30) ** 2) / (2 * 1.4**2))
    signal = (100 + star + rng.normal(0, 10, (80, 90))).astype("f4")
    struck = [(10, 20), (11, 21), (60, 70)]
    for row, column in struck:
        signal[row, column] += 900
    quality = np.zeros((80, 90), "u2")
    assert find_hits(signal, quality, 100, 10, "", CosmicOptions()).size == 0  # not enabled
    hits = find_hits(signal, quality, 100, 10, "", CosmicOptions(enabled=True))
    found = {(int(k) // 90, int(k) % 90) for k in hits}
    assert set(struck) <= found
    assert len(found) <= len(struck) + 2  # the search may take a neighbor along
    assert all(np.hypot(row - 40, column - 30) > 5 for row, column in found)  # never the star
    window = np.zeros((30, 40), "u2")
    mark_hits(window, 5, 15, hits, 90)
    expected = {(row - 5, column - 15) for row, column in found if 5 <= row < 35 and 15 <= column < 55}
    assert {tuple(map(int, pair)) for pair in np.argwhere(window)} == expected
    assert window[5, 5] == Quality.COSMIC_RAY
