"""The light at given places on every frame of a finished run, and in its stacks."""

import json

import numpy as np
import pytest
from astropy.table import QTable
from small_nights import assert_nothing_half_written, command

from sciastro.recipe import photometryframes


@pytest.fixture(scope="module")
def measured(good_run, tmp_path_factory):
    """Tables of the stacks and of the frames, with a blank place and one off the image among the sources."""
    out = tmp_path_factory.mktemp("frames")
    stack = QTable.read(next(good_run.out.glob("products/*_G_sources.ecsv")))
    ra, dec = stack["ra"].value, stack["dec"].value
    bright = np.argsort(-stack["snr"])[:12]
    rows = "".join(f"{ra[k]},{dec[k]}\n" for k in bright)
    places = out / "places.csv"
    places.write_text(f"ra,dec\n{rows}{ra.mean()},{dec.mean() + 40}\n,\n")
    result = command(
        "photometry", good_run.out, "-o", out, "--frames", "--at", places, "--format", "ecsv", "--offline",
        "--radius", "1.5fwhm",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert_nothing_half_written(out)
    return stack[bright], out


def test_every_place_on_every_frame(measured):
    _, out = measured
    rows = json.loads((out / "photometry.json").read_text())["images"]
    assert len(rows) == 4  # two bands: stacks and frames
    (path,) = out.glob("*_G_frames.ecsv")
    frames = QTable.read(path)
    assert len(frames) == 3 * 14
    assert sorted(set(frames["frame"])) == [1, 2, 3]
    assert frames["time"][0] < frames["time"][-1]
    lost = frames[np.asarray(frames["id"]) > 12]
    assert np.isnan(lost["flux"].value).all()
    assert (np.asarray(lost["flags"]) != 0).all()


def test_frames_agree_with_the_stack_within_errors(measured):
    stack, out = measured
    frames = QTable.read(next(out.glob("*_G_frames.ecsv")))
    clean = np.asarray(frames["flags"]) & ~np.uint32(1 << 22) == 0
    pulls = []
    for k in range(12):
        mine = frames[(np.asarray(frames["id"]) == k + 1) & clean]
        if not len(mine):
            continue
        err = np.hypot(mine["mag_err"].value, mine["frame_zeropoint_err"].value)
        pulls += list((mine["mag"].value - stack["mag"].value[k]) / np.hypot(err, stack["mag_err"].value[k]))
    pulls = np.array([one for one in pulls if np.isfinite(one)])
    assert pulls.size >= 15
    assert abs(np.median(pulls)) < 0.8
    assert np.median(np.abs(pulls)) < 1.5
    assert np.abs(pulls).max() < 9  # colors count: without them 31 for red stars


def test_stack_at_places_is_the_stack_as_found(measured):
    stack, out = measured
    table = QTable.read(next(out.glob("*_G_photometry.ecsv")))
    assert len(table) == 14
    got, known = table["flux"].value[:12], stack["flux"].value
    err = np.hypot(table["flux_err"].value[:12], stack["flux_err"].value)
    clean = np.asarray(table["flags"])[:12] == 0
    assert clean.sum() >= 5
    # The radii differ, and the errors of both corrections are common to all rows, not in ``flux_err``.
    common = np.hypot(
        *(m["aperture_correction_err"] / m["aperture_correction"] for m in (table.meta, stack.meta))
    )
    off, own = (got / known - 1)[clean], (err / known)[clean]
    assert abs(np.median(off)) < 3 * np.hypot(common, 1.25 * np.median(own) / np.sqrt(off.size))
    assert np.median(np.abs(off - np.median(off)) / own) < 1.0


def test_catalog_stars_are_measured_where_they_were_that_night(measured, good_run, tmp_path, monkeypatch):
    # A star that has gone 2 arcsec a year northward since 2000 is found where the source of the stack is.
    stack, out = measured
    frames = QTable.read(next(out.glob("*_G_frames.ecsv")))
    years = float(frames["time"][0][:4]) + float(frames["time"][0][5:7]) / 12 - 1 / 24 - 2000.0
    star = stack[int(np.argmax(stack["snr"]))]
    dec = star["dec"].value - 2.0 * years / 3600
    catalog = tmp_path / "moving.csv"
    catalog.write_text(f"id,ra,dec,pmra,pmdec,epoch,mag\nfast,{star['ra'].value},{dec},0,2000,2000.0,12\n")
    asked = []
    once = photometryframes.of_catalog
    monkeypatch.setattr(photometryframes, "of_catalog", lambda *a, **k: asked.append(a) or once(*a, **k))
    result = command(
        "photometry", good_run.out, "-o", tmp_path / "out", "--frames", "--catalog", catalog,
        "--format", "ecsv", "--offline", "--radius", "1.5fwhm", "--zeropoint", "none",
    )  # fmt: skip
    assert result.exit_code in (0, 4), result.output
    table = QTable.read(next((tmp_path / "out").glob("*_G_frames.ecsv")))
    assert len(table) == 3
    assert len(asked) == 2  # once per stack, not per frame
    np.testing.assert_allclose(table["flux"].value, star["flux"].value, rtol=0.15)  # elsewhere is none


@pytest.mark.slow
def test_psf_of_the_stacks_sources_on_every_frame(good_run, tmp_path):
    result = command(
        "photometry", good_run.out, "-o", tmp_path, "--psf", "--frames", "--searches", "0", "--offline",
        "--format", "ecsv",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert_nothing_half_written(tmp_path)
    stack = QTable.read(next(tmp_path.glob("*_G_psf_photometry.ecsv")))
    frames = QTable.read(next(tmp_path.glob("*_G_psf_frames.ecsv")))
    assert sorted(set(frames["frame"])) == [1, 2, 3]
    assert len(frames) == 3 * len(stack)
    known = {int(row["id"]): row["mag"].value for row in stack if row["flags"] == 0 and row["snr"] > 20}
    err = np.hypot(frames["mag_err"].value, frames["frame_zeropoint_err"].value)
    pulls = [
        (frames["mag"].value[k] - known[int(frames["id"][k])]) / err[k]
        for k in np.flatnonzero(np.asarray(frames["flags"]) == 0)
        if int(frames["id"][k]) in known
    ]
    pulls = np.array([one for one in pulls if np.isfinite(one)])
    assert pulls.size >= 15
    assert abs(np.median(pulls)) < 0.8
    assert np.median(np.abs(pulls)) < 1.5
    assert np.abs(pulls).max() < 9  # colors count: without them 31 for red stars
