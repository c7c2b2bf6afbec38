"""Memory that is made ready while frames are registered is what the stack then takes."""

import numpy as np
import pytest
from astropy.io import fits

from sciastro.core import scratch
from sciastro.recipe import stacking, stages
from sciastro.recipe.calibrating import CANVAS_BYTES
from sciastro.recipe.plan import load_recipe
from sciastro.recipe.run import RunRequest, reduce_session


@pytest.fixture
def night(tmp_path):
    """Three lights of 60 stars, 200 x 220 pixels."""
    folder = tmp_path / "night"
    folder.mkdir()
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:200, :220]
    stars = sum(
        rng.uniform(1e3, 2e4) * np.exp(-((y - b) ** 2 + (x - a) ** 2) / (2 * 1.5**2))
        for a, b in zip(rng.uniform(12, 208, 60), rng.uniform(12, 188, 60), strict=True)
    )
    for i in range(3):
        header = fits.Header({"IMAGETYP": "Light", "EXPTIME": 10.0, "OBJECT": "Field", "EGAIN": 1.0})
        fits.PrimaryHDU(rng.poisson(stars + 1000).astype(np.uint16), header).writeto(folder / f"{i}.fits")
    return folder


@pytest.mark.parametrize("ready", [True, False])
def test_the_planes_of_the_stack_are_ready(night, tmp_path, monkeypatch, ready):
    monkeypatch.setattr(scratch, "SMALLEST", 1024)  # as for a canvas of many megapixels
    make, taken = stacking.empty_stack, []

    def watched(shape, *arguments, **options):
        before = scratch.recycled_bytes()
        out = make(shape, *arguments, **options)
        taken.append((scratch.recycled_bytes() - before) / (shape[0] * shape[1] * CANVAS_BYTES))
        return out

    monkeypatch.setattr(stacking, "empty_stack", watched)
    if not ready:
        monkeypatch.setattr(stages, "prepare_memory", lambda *_: None)
    recipe = load_recipe(None, ["grade.weight=equal"])
    reduce_session(
        RunRequest(session=night, out=tmp_path / "out", recipe=recipe, until="integrate", workers=2)
    )
    assert len(taken) == 1
    if ready:
        assert 1 <= taken[0] <= scratch.LOOSE
    else:
        assert taken[0] < 1  # what the frames were measured in fits some planes, not all
