"""Light curves over several nights, of added nights, and of a color mosaic: an eclipse where it was put."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from curve_nights import PLAN, make_curve_night
from small_nights import reduce

from sciastro.photometry.transitoptions import TransitOptions
from sciastro.recipe.lightcurve import LightCurveRequest, light_curve

M94 = Path(__file__).parents[2].parent / "shared" / "data" / "osc_seestar_m94"
NIGHTS = (  # each with its own date, orientation (one turned by the other side of the pier) and seeing
    {"date": "2024-01-13", "rotation": 12.0, "night": 0},
    {"date": "2024-01-15", "rotation": 192.0, "night": 1, "k": 1e-6},
    {"date": "2024-01-18", "rotation": 101.0, "night": 2, "seeing": 14.0},
)


def asked(session, out, night, **transit):
    return LightCurveRequest(
        session=session, out=out, target=night.target, name="Sim 1", offline=True,
        transit=TransitOptions(**({"steps": 400} | transit)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """The folder of three nights, the star eclipsed on the first and the third, and their truth."""
    root = tmp_path_factory.mktemp("three")
    found = []
    for name, plan in zip(("one", "two", "three"), NIGHTS, strict=True):
        star = found[0].index if found else None
        found.append(make_curve_night(root / name, lights=12, overhead=840.0, star=star, rank=2, **plan))
    return root, found


@pytest.mark.slow
def test_three_nights_have_one_ensemble_and_one_transit(three, tmp_path):
    root, nights = three
    period = (nights[2].middle - nights[0].middle) / 86400
    lc = light_curve(asked(root, tmp_path, nights[0], period=period), tell=lambda text: None)
    assert lc.use.all() and np.unique(lc.night, return_counts=True)[1].tolist() == [12, 12, 12]
    assert not any("clock" in text for text in lc.notes)
    # One ensemble links the nights: the same stars in all frames, and the star that does not change between
    # eclipses has one level.
    assert (lc.curves.ensemble.weight > 0).sum(axis=0).min() >= 0.9 * lc.curves.chosen.stars.size
    outside = [
        min(abs(one.time - night.middle) for night in (nights[0], nights[2]))
        > 0.55 * 86400 * nights[0].duration
        for one in lc.series.frames
    ]
    levels = [
        (lc.flux[some].mean(), np.sqrt((lc.err[some] ** 2).sum()) / some.sum())
        for some in ((lc.night == k) & np.array(outside) for k in range(3))
    ]
    for level, err in levels[1:]:
        assert abs(level - levels[0][0]) < 4 * np.hypot(err, levels[0][1])
    fit = lc.transit
    assert "night" in fit.columns  # offsets from night to night were weighed
    middle = [2440587.5 + night.middle / 86400 for night in nights]
    epochs = (fit.values["t0"] - np.array([middle[0], middle[2]])) * 1440
    assert np.abs(epochs).min() < 9 + 3 * 1440 * fit.errors["t0"]  # light time to the barycenter: up to 8.3
    assert abs(fit.values["rp_rs"] - nights[0].k) < 3 * fit.errors["rp_rs"]
    assert fit.errors["rp_rs"] < 0.03

    # Night levels of stars that were not chosen for comparison differ by more than their points' errors say
    # (another seeing, another orientation: neighbors): with the error of the level they are as expected.
    offsets = lc.offsets
    assert offsets.n_nights == 3 and offsets.n_stars > 30
    assert offsets.pull > 1.3
    assert 0.8 < offsets.pull_with < 1.5
    assert lc.covariance().shape == (36, 36)
    assert lc.covariance()[0, 1] == pytest.approx(offsets.err[0] ** 2)
    assert lc.covariance()[0, 35] == 0


@pytest.mark.slow
def test_nights_that_were_added_are_in_the_curve(three, tmp_path):
    root, nights = three
    assert reduce(root / "one", tmp_path / "run", until="photometry").code == 0
    assert reduce(root / "two", tmp_path / "run", "--add", until="photometry").code == 0
    request = asked(tmp_path / "run", tmp_path / "curve", nights[0], transit="no")
    lc = light_curve(request, tell=lambda text: None)
    assert lc.use.all() and lc.use.size == 24
    assert len({one.name.split("/")[0] for one in lc.series.frames} | set(lc.night.tolist())) >= 2
    assert np.unique(lc.night).tolist() == [0, 1]
    pulls = (lc.flux[lc.night == 1] / np.median(lc.flux[lc.night == 1]) - 1) / lc.err[lc.night == 1]
    assert np.std(pulls) < 1.6  # a night without eclipse


@pytest.mark.slow
def test_the_green_light_of_a_mosaic_is_taken_and_told(tmp_path):
    base = PLAN | {"bands": "OSC", "camera.cfa": "RGGB"}
    night = make_curve_night(tmp_path / "s", base=base, lights=16, overhead=660.0, rank=1, k=0.2)
    lc = light_curve(asked(tmp_path / "s", tmp_path / "o", night, transit="yes"), tell=lambda text: None)
    assert lc.series.band == "G"
    assert "the light is that of the green pixels of a color mosaic" in lc.notes
    assert any("others wait: B (16 frames), R (16 frames)" in text for text in lc.notes)
    assert abs(lc.transit.values["rp_rs"] - 0.2) < 3 * lc.transit.errors["rp_rs"]
    again = replace(asked(tmp_path / "o" / "reduction", tmp_path / "r", night, transit="no"), band="R")
    assert "the light is that of the red pixels of a color mosaic" in light_curve(again).notes
