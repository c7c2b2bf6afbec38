"""The pure step: contract, bands, laziness, and what it refuses."""

import numpy as np
import pytest
import xarray as xr
from astropy.wcs import WCS, Sip
from fields import Night

from sciastro.core import vocabulary as v
from sciastro.core.history import history
from sciastro.core.lift import chunk_rows
from sciastro.core.quality import Quality
from sciastro.core.vocabulary import VARIABLES, require
from sciastro.core.wcs import wcs_to_text
from sciastro.errors import DatasetError, OptionError
from sciastro.integrate import stack as module
from sciastro.integrate.stack import StackOptions, stack

WRITTEN = (
    "image", "image_variance", "image_quality", "coverage", "rejected_low", "rejected_high",
    "noise_correlation", "noise_autocorrelation", "image_exposure", "n_frames",
)  # fmt: skip


@pytest.fixture(scope="module")
def frames():
    return Night(6, seed=2, side=3).dataset(["V", "B", "V", "B", "V", "V"])


def test_two_bands_with_every_declared_variable(frames):
    before = frames.copy(deep=True)
    out = stack(frames)
    xr.testing.assert_identical(frames, before)
    assert set(out.data_vars) == set(WRITTEN)
    require(out, *(VARIABLES[name] for name in WRITTEN))
    assert out["band"].values.tolist() == ["V", "B"]
    assert out["n_frames"].values.tolist() == [4, 2]
    assert out["image_exposure"].values.tolist() == [4.0, 2.0]
    (entry,) = history(out)
    assert entry["step"] == "integrate.stack"
    assert entry["not_rejected"] == "fewer than 3 frames: B"


def test_lazy_in_lazy_out_same_numbers(frames):
    dask = pytest.importorskip("dask")

    def refuse(*_args, **_kwargs):
        raise AssertionError("computed behind the user's back")

    with dask.config.set(scheduler=refuse):
        lazy = stack(chunk_rows(frames, 37))
    eager = stack(frames)
    assert lazy.dtypes == eager.dtypes
    xr.testing.assert_identical(lazy.compute(), eager)


def test_many_tiles_same_numbers_as_one(frames, monkeypatch):
    whole = stack(frames)
    monkeypatch.setattr(module, "TILE_MEMORY", 18 << 20)
    monkeypatch.setattr(module, "LEAST_MEMORY", 18 << 20)
    assert stack(frames).drop_vars("noise_correlation").identical(whole.drop_vars("noise_correlation"))


def test_pixels_do_not_depend_on_the_number_of_threads(frames):
    alone, many = (stack(frames, workers=n).drop_vars("noise_correlation") for n in (1, 3))
    assert many.identical(alone)


def test_registered_frames_keep_their_bits_to_themselves(frames):
    """Nothing is interpolated where all share a grid: no neighbor hears of a pixel that must not be used."""
    plain = frames.drop_vars(["from_reference", "sky", "transparency"]).isel(frame=[0]).copy(deep=True)
    plain["quality"][:] = 0
    plain["quality"][0, 5, 7] = int(Quality.HOT)
    plain["quality"][0, 9, 9] = int(Quality.SATURATED)
    out = stack(plain, options=StackOptions(reject="none"))
    bits = out["image_quality"].values[0]
    assert np.argwhere(bits).tolist() == [[5, 7], [9, 9]]
    assert np.isnan(out["image"].values[0, 5, 7])
    want = plain["signal"].values[0] / float(plain["exposure"][0])
    want[5, 7] = np.nan
    np.testing.assert_allclose(out["image"].values[0], want, rtol=1e-6)
    assert out["noise_autocorrelation"].shape == (1, 1, 1)


def test_equal_to_the_mean_without_resampling_and_rejection(frames):
    plain = frames.drop_vars(["from_reference", "sky", "transparency"]).isel(frame=[0, 2, 4])
    out = stack(plain, options=StackOptions(reject="none"))
    want = plain["signal"].mean("frame")
    np.testing.assert_allclose(out["image"][0], want, rtol=1e-5)
    np.testing.assert_allclose(out["image_variance"][0], plain["variance"].sum("frame") / 9, rtol=1e-5)
    assert (out["coverage"] == 3).all()
    assert float(out["noise_correlation"][0]) == 1.0


def test_frames_out_of_use_are_left_out(frames):
    use = np.array([True, True, False, True, False, True])
    out = stack(frames.assign_coords(use=v.labeled(v.USE, use)))
    assert out["n_frames"].values.tolist() == [2, 2]
    maps = frames["from_reference"].values.copy()
    maps[[1, 3]] = np.nan
    out = stack(frames.assign_coords(from_reference=v.labeled(v.FROM_REFERENCE, maps)))
    assert out["band"].values.tolist() == ["V"]
    assert history(out)[0]["left_out"] == "no usable frame: B"


def test_missing_everywhere_is_nan_with_bits(frames):
    holes = frames.copy(deep=True)
    holes["signal"].values[:] = np.nan
    out = stack(holes)
    assert out["image"].isnull().all()
    assert out["image_variance"].isnull().all()
    assert out["noise_correlation"].isnull().all()
    assert (out["coverage"] == 0).all()
    bits = int(Quality.NO_DATA | Quality.DO_NOT_USE)
    assert (out["image_quality"] & bits == bits).all()


def test_refusals(frames):
    with pytest.raises(DatasetError, match="the frame dimension: holds no usable frame"):
        stack(frames.assign_coords(use=v.labeled(v.USE, np.zeros(6, bool))))
    with pytest.raises(DatasetError, match="band 'B': has 2 usable frames, and `min_frames` is 3"):
        stack(frames, options=StackOptions(min_frames=3))
    with pytest.raises(DatasetError, match="variable 'variance': is missing"):
        stack(frames.drop_vars("variance"))
    with pytest.raises(DatasetError, match="the frames: hold no pixels"):
        stack(frames.isel(y=slice(0, 0)))
    with pytest.raises(DatasetError, match="is a list, and this step needs a labeled dataset"):
        stack([frames])
    for wrong in ({"reject": "esd"}, None, StackOptions):
        with pytest.raises(OptionError, match=r"options: is .* Give options such as StackOptions"):
            stack(frames, options=wrong)
    for wrong in (0, 2.5, "2"):
        with pytest.raises(OptionError, match=r"workers: is .* Give 1 or more"):
            stack(frames, workers=wrong)


@pytest.mark.parametrize(
    ("spec", "value", "words"),
    [
        (v.WEIGHT, -3.0, r"'weight': holds -3.0 \(frame 1\)\. Give weights from 0 on"),
        (v.WEIGHT, np.inf, r"'weight': holds inf \(frame 1\)"),
        (v.EXPOSURE, np.inf, r"'exposure': holds inf"),
        (v.FRAME_CORRELATION, 0.0, r"'frame_correlation': holds 0.0 \(frame 1\)"),
        (v.FRAME_CORRELATION, 1e30, r"'frame_correlation': holds 1e\+30 \(frame 1\)\. It is about 1 to 2"),
    ],
)
def test_facts_that_cannot_be_are_refused(frames, spec, value, words):
    values = np.full(6, 1.0) if spec.name not in frames else frames[spec.name].values.astype(float)
    values[1] = value
    with pytest.raises(DatasetError, match=words):
        stack(frames.assign_coords({spec.name: v.labeled(spec, values)}))


def test_by_hand_plain_numbers_need_no_unit_and_others_are_asked_for_it(frames):
    by_hand = frames.assign_coords(use=("frame", [True] * 5 + [False]), weight=("frame", np.full(6, 2.0)))
    assert stack(by_hand)["n_frames"].sum() == 5
    by_hand["signal"].attrs = {}
    with pytest.raises(DatasetError, match=r"is in '', .*ds\['signal'\]\.attrs\['units'\] = 'electron'"):
        stack(by_hand)


def test_history_names_no_kernel_where_nothing_is_interpolated(frames):
    copied = stack(frames.drop_vars("from_reference"))
    assert history(copied)[-1]["kernel"] == "none, samples are copied"


def wcs_text(ra, *, distorted=False, flipped=False):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"] if distorted else ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [ra, 20.0], [30.0, 30.0], [-0.01, 0.01]
    if flipped:  # rows and columns change places: the corners on the diagonal stay
        wcs.wcs.pc = [[0.0, 1.0], [1.0, 0.0]]
    if distorted:
        a = np.zeros((3, 3))
        a[2, 0] = 1e-3
        wcs.sip = Sip(a, a.T.copy(), None, None, wcs.wcs.crpix)
    return wcs_to_text(wcs)


@pytest.mark.parametrize(
    "texts",
    [
        (wcs_text(80.0), wcs_text(80.0, flipped=True)),
        (wcs_text(80.0, distorted=True), wcs_text(85.0, distorted=True)),  # has no inverse that far off
    ],
)
def test_frames_on_other_grids_are_refused(frames, texts):
    square = frames.drop_vars("from_reference").isel(frame=[0, 2], y=slice(0, 60), x=slice(0, 60))
    known = square.assign_coords(wcs=v.labeled(v.WCS, np.array(texts)))
    with pytest.raises(DatasetError, match=r"frame 1 lies .* by its WCS"):
        stack(known)


@pytest.mark.parametrize("reject", ["winsorized", "percentile", "minmax"])  # sigma needs more than 4
@pytest.mark.parametrize("combine", ["mean", "median"])
def test_every_rule_removes_a_cosmic_ray(frames, reject, combine):
    hit = frames.isel(frame=[0, 2, 4, 5]).copy(deep=True)
    hit["signal"].values[1, 100, 20:120] += 3e4
    out = stack(hit, options=StackOptions(reject=reject, combine=combine))
    # Where the hit went is known from the map of the second frame, to a pixel.
    dx, dy = hit["from_reference"].values[1, :, 0]
    row, columns = round(100 - dy), slice(int(25 - dx), int(60 - dx))
    clean = stack(frames.isel(frame=[0, 4, 5]), options=StackOptions(reject="none"))
    sigma = float(np.sqrt(clean["image_variance"].median()))
    change = np.abs(out["image"].values[0, row, columns] - clean["image"].values[0, row, columns])
    assert np.median(change) < 2 * sigma
    assert out["rejected_high"].values[0, row, columns].mean() > 0.9 or combine == "median"


def test_sigma_clipping_of_twelve_frames():
    # Of n samples none is more than (n - 1) / sqrt(n) sigma off: 3.2 for 12, the first above 3.
    night = Night(12, seed=2, side=0, dither=0.0)
    night.frames[5][0][100, 20:120] += 3e4
    out = stack(night.dataset(), options=StackOptions(reject="sigma"))
    assert (out["rejected_high"].values[0, 100, 20:120] == 1).all()
    assert np.abs(out["image"].values[0, 100, 20:120] - 200).max() < 30
