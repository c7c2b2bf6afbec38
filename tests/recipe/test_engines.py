"""Other plate solvers: each is truly run on stars of the catalog, and our own solver has the last word."""

import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from fake_nova import FakeNova, running

from sciastro.core.stars import STAR_DTYPE
from sciastro.core.wcs import center, tan_wcs, wcs_to_header
from sciastro.engines.extras import INDEX_FOLDERS, has_extra
from sciastro.engines.solvefield import has_solve_field
from sciastro.errors import OptionError, SolveError, UsageError
from sciastro.io.reference import cone
from sciastro.recipe import engines, solving
from sciastro.recipe.engines import AUTO, ENGINES, OURS, chosen_engines
from sciastro.recipe.solvereading import from_stars
from sciastro.recipe.solving import Question, solve_one
from sciastro.remote import nova

SHAPE, RA, DEC, SCALE = (600, 800), 83.0, 21.0, 60.0
THERE = {
    "tetra3rs": has_extra("tetra3rs"),
    "astrometry": has_extra("astrometry"),
    "solve-field": has_solve_field(),
}
INDEXED = any(next(Path(folder).glob("index-*.fits"), None) for folder in INDEX_FOLDERS)


@pytest.fixture(scope="module")
def field():
    """300 stars of a field of 13 degrees, with errors of 0.1 pixel."""
    wcs = tan_wcs(RA, DEC, SCALE, SHAPE, angle=33.0, parity=-1)
    table = cone(RA, DEC, 9.0, epoch=2016.0, brightest=500)
    x, y = wcs.all_world2pix(table["ra"].value, table["dec"].value, 0)
    on = (x > 0) & (x < 799) & (y > 0) & (y < 599)
    rng = np.random.default_rng(4)
    stars = np.zeros(on.sum(), STAR_DTYPE)
    stars["x"], stars["y"] = x[on] + rng.normal(0, 0.1, on.sum()), y[on] + rng.normal(0, 0.1, on.sum())
    stars["x_err"] = stars["y_err"] = 0.1
    stars["flux"], stars["fwhm"], stars["snr"] = 10 ** (-0.4 * (table["mag"].value[on] - 12)), 3.0, 50.0
    return from_stars(stars[np.argsort(-stars["flux"])], SHAPE)


@pytest.fixture(autouse=True)
def own_config(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIASTRO_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.delenv("ASTROMETRY_NET_API_KEY", raising=False)
    return tmp_path / "config.toml"


def right(solution):
    ra, dec = center(solution.wcs, SHAPE)
    return np.hypot((ra - RA) * np.cos(np.radians(DEC)), dec - DEC) * 3600 < 0.2 * SCALE


@pytest.mark.parametrize(
    "name", [pytest.param("tetra3rs", marks=pytest.mark.slow), "astrometry", "solve-field"]
)  # tetra3rs makes its database, which takes seconds
def test_each_engine_solves_and_is_verified(field, name, tmp_path, monkeypatch):
    if not THERE[name] or not (INDEXED or name == "tetra3rs"):
        pytest.skip(f"{name} or its index files are not installed")
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(engines, "TETRA_FAINTEST", 6.5)  # its database is made in a second
    found = solve_one(field, Question(engine=name, scale=SCALE * 1.05, seconds=120))
    assert right(found) and found.method == name and found.log_false_alarm < -7 and found.parity == -1
    assert found.n_stars > 100


def test_nova_is_asked_with_the_stars_alone(field, own_config, tmp_path, monkeypatch):
    monkeypatch.delenv("SCIASTRO_OFFLINE", raising=False)
    monkeypatch.setenv("SCIASTRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(nova, "FIRST", 0.02)
    cards = wcs_to_header(tan_wcs(RA + 0.02, DEC, SCALE, SHAPE, angle=33.0, parity=-1))
    state = FakeNova(fits.PrimaryHDU(header=cards).header.tostring().encode())
    with running(state) as url:
        own_config.write_text(f'[solve]\nengines = ["nova"]\n[nova]\nkey = "sesame"\nurl = "{url}"\n')
        own_config.chmod(0o600)
        found = solve_one(field, Question(seconds=20))
    assert right(found) and found.method == "nova"
    assert len(state.uploads[0]["x"]) == len(field.stars()) and "sesame" not in str(state.asked)
    assert list((tmp_path / "cache" / "notes").iterdir()) == []  # a job that is done is forgotten


def test_a_wrong_place_is_not_believed(field, monkeypatch):
    wrong = tan_wcs(200.0, -30.0, SCALE, SHAPE)
    monkeypatch.setattr(engines, "ENGINES", {**ENGINES, "nova": lambda *_: wrong})
    with pytest.raises(SolveError, match="our catalog does not confirm") as caught:
        solve_one(field, Question(engine="nova"))
    assert caught.value.where == "nova"


def test_a_field_of_faint_stars_is_verified_by_a_deeper_catalog(monkeypatch, tmp_path):
    # 60 stars that no embedded catalog holds, in 6 arcmin: an engine with a deeper index finds them.
    rng, wcs = np.random.default_rng(8), tan_wcs(250.0, 36.0, 0.6, SHAPE, angle=10.0)
    x, y = rng.uniform(5, 795, 60), rng.uniform(5, 595, 60)
    ra, dec = wcs.all_pix2world(x, y, 0)
    mag = np.sort(rng.uniform(14, 18, 60))
    lines = [f"{a:.7f},{d:.7f},{m:.3f}" for a, d, m in zip(ra, dec, mag, strict=True)]
    (tmp_path / "deep.csv").write_text("\n".join(["ra,dec,mag", *lines]))
    stars = np.zeros(60, STAR_DTYPE)
    stars["x"], stars["y"], stars["flux"] = x + rng.normal(0, 0.1, 60), y, 10 ** (-0.4 * (mag - 20))
    stars["x_err"] = stars["y_err"] = 0.1
    stars["fwhm"] = 3.0
    field = from_stars(stars, SHAPE)
    near = tan_wcs(250.002, 36.0, 0.6, SHAPE, angle=10.1)
    monkeypatch.setattr(engines, "ENGINES", {**ENGINES, "nova": lambda *_: near})
    with pytest.raises(SolveError, match="does not confirm"):
        solve_one(field, Question(engine="nova"))
    found = solve_one(field, Question(engine="nova", catalog=str(tmp_path / "deep.csv")))
    assert found.n_stars > 40 and found.log_false_alarm < -7


def test_every_engine_says_why(field, monkeypatch):
    def fails(query, until):
        raise SolveError("found nothing.", where="somebody")

    monkeypatch.setattr(engines, "ENGINES", {**ENGINES, "solve-field": fails, "nova": fails})
    monkeypatch.setattr(solving, "chosen_engines", lambda _: ("solve-field", "nova"))
    with pytest.raises(SolveError, match=r"no engine solves it: (somebody: found nothing\. ?){2}"):
        solve_one(field, Question(seconds=20))


def test_a_place_nearly_right_is_made_right(field, monkeypatch):
    near = tan_wcs(RA + 0.05, DEC - 0.05, SCALE * 1.003, SHAPE, angle=33.2, parity=-1)
    monkeypatch.setattr(engines, "ENGINES", {**ENGINES, "nova": lambda *_: near})
    assert right(solve_one(field, Question(engine="nova")))


def test_engines_that_fail_leave_time_for_the_next(field, monkeypatch):
    near, shares = tan_wcs(RA, DEC, SCALE, SHAPE, angle=33.0, parity=-1), []
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)  # no time passes

    def fails(query, until):
        shares.append(until - 1000.0)
        raise SolveError("found nothing.", where="solve-field")

    monkeypatch.setattr(engines, "ENGINES", {**ENGINES, "solve-field": fails, "nova": lambda *_: near})
    monkeypatch.setattr(solving, "chosen_engines", lambda _: ("solve-field", "nova"))
    assert solve_one(field, Question(seconds=20)).method == "nova"
    assert shares == [10.0]


def test_ours_may_be_asked_last_and_has_all_the_time_that_is_left(field, monkeypatch):
    ends, begin = [], 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: begin)  # no time passes

    def fails(query, until):
        ends.append(until - begin)
        raise SolveError("found nothing.", where="nova")

    def way(field, question, until):
        ends.append(until - begin)
        raise SolveError(f"way {len(ends)} found nothing.", where="ours")

    monkeypatch.setattr(engines, "ENGINES", {**ENGINES, "nova": fails})
    monkeypatch.setattr(solving, "chosen_engines", lambda _: ("nova", solving.OURS))
    monkeypatch.setattr(solving, "TIERS", (way, way))
    with pytest.raises(SolveError, match=r"nova: found nothing\. ours: way 3 found nothing\."):
        solve_one(field, Question(seconds=20))
    assert ends == [10.0, 20.0, 20.0]


def test_a_program_that_hangs_is_ended(field, tmp_path, monkeypatch):
    program = tmp_path / "solve-field"
    program.write_text("#!/bin/sh\nsleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    start = time.monotonic()
    with pytest.raises(SolveError, match="before the time was over"):
        solve_one(field, Question(engine="solve-field", seconds=1))
    assert time.monotonic() - start < 5


def test_engines_without_what_they_need(field, own_config, tmp_path):
    own_config.write_text(f'[solve]\nindex_folders = ["{tmp_path}"]\n')
    with pytest.raises(SolveError, match="needs an API key"):
        solve_one(field, Question(engine="nova"))
    if THERE["astrometry"]:
        with pytest.raises(SolveError, match="finds no index files"):
            solve_one(field, Question(engine="astrometry"))
    if THERE["solve-field"]:
        with pytest.raises(SolveError, match="index files"):
            solve_one(field, Question(engine="solve-field", seconds=20))
    if THERE["tetra3rs"]:
        with pytest.raises(SolveError, match="8 to 40 degrees wide"):
            solve_one(field, Question(engine="tetra3rs", scale=2.0))


def test_who_is_asked(own_config):
    assert chosen_engines(None) == (OURS,)
    assert chosen_engines(AUTO)[0] == OURS and "nova" not in chosen_engines(AUTO)
    with pytest.raises(UsageError, match="is 'foo'"):
        chosen_engines("foo")
    own_config.write_text('[solve]\nengines = ["sciastro", "nova"]\n')
    assert chosen_engines(None) == (OURS, "nova")
    own_config.write_text('[solve]\nengines = ["auto"]\n')
    assert chosen_engines(None) == chosen_engines(AUTO)


@pytest.mark.parametrize(
    "text, words",
    [
        ("[solve\nkey = 'sesame'", "is no TOML"),
        ("[solv]\nengines = []", "has 'solv'"),
        ("[nova]\nkeys = 'sesame'", "has 'keys'"),
        ("[nova]\nurl = 7", "is no text"),
        ("[solve]\nengines = 'nova'", "no list of texts"),
        ("[nova]\nkey = 'sesame'", "others may read it"),
    ],
)
def test_configuration_files_that_are_wrong(own_config, text, words):
    own_config.write_text(text)
    own_config.chmod(0o644)
    with pytest.raises(OptionError, match=words) as caught:
        chosen_engines(None)
    assert "sesame" not in str(caught.value)
