"""Weights: inverse variances that reach the ideal, none 0 by formula; selections by expression."""

import numpy as np
import pytest
import xarray as xr
from fields import Night, measured_night
from scipy.optimize import minimize

from sciastro.core import vocabulary as v
from sciastro.core.stars import STAR_DTYPE
from sciastro.errors import DatasetError, OptionError
from sciastro.integrate.grade import GradeOptions, grade
from sciastro.integrate.weights import WEIGHTS, psf_signal
from sciastro.measure.stars import measure_plane


def measured(**changes):
    ds = measured_night(seed=3, **changes)
    rng = np.random.default_rng(5)
    extra = {
        v.PSF_SIGNAL: rng.uniform(5, 9, 12),
        v.AIRMASS: np.linspace(1, 2, 12),
        v.TIME: np.datetime64("2024-01-13T22:00", "ns") + np.arange(12) * np.timedelta64(600, "s"),
    }
    return ds.assign_coords({spec.name: v.labeled(spec, values) for spec, values in extra.items()})


def options(kind):
    return GradeOptions(weight=kind, expression="snr**2 * (fwhm < 3.4)" if kind == "expression" else "")


@pytest.mark.parametrize("kind", WEIGHTS)
def test_no_frame_gets_nothing_by_formula(kind):
    out = grade(measured(), options=options(kind))
    assert out["use"].all()
    assert float(out["weight"].max()) == 1.0
    assert float(out["weight"].min()) >= 1e-4


def extended_snr(weight, t, noise, fwhm):
    """S/N of the weighted mean of frames normalized to equal star flux."""
    return weight.sum() / np.sqrt((weight**2 * (noise / t) ** 2).sum())


def point_source_snr(weight, t, noise, fwhm):
    """S/N of a faint star, optimally extracted from the stack, whose profile is the mean of Gaussians."""
    share, variance = weight / weight.sum(), (fwhm / 2.3548) ** 2
    overlap = 1 / (2 * np.pi * (variance[:, None] + variance))  # integral of the product of two profiles
    return np.sqrt(share @ overlap @ share) * extended_snr(weight, t, noise, fwhm)


def best_snr(merit, *truth):
    """The largest S/N that any weights reach, by ascent from two sides."""
    starts = [(truth[0] / truth[1]) ** 2 / truth[2] ** power for power in (0, 2)]
    found = [minimize(lambda log: -np.log(merit(np.exp(log), *truth)), np.log(w)).fun for w in starts]
    return np.exp(-min(found))


MERITS = [("source_snr", point_source_snr), ("sky_variance", extended_snr)]


@pytest.mark.parametrize(("kind", "merit"), MERITS)
def test_weights_reach_the_ideal_for_facts_that_are_measured(kind, merit):
    # Facts as measured: 3 % wrong at random. S/N within 1 % of the ideal, never below equal weights.
    rng = np.random.default_rng(7)
    for _ in range(8):
        truth = [rng.uniform(0.6, 1.0, 12), rng.uniform(0.7, 2.0, 12), rng.uniform(2.5, 5.0, 12)]
        seen = [values * rng.normal(1, 0.03, 12) for values in truth]
        ds = measured()
        for spec, values in zip((v.TRANSPARENCY, v.NOISE, v.FWHM), seen, strict=True):
            ds = ds.assign_coords({spec.name: v.labeled(spec, values)})
        weight = grade(ds, options=GradeOptions(weight=kind, reject=False))["weight"].values
        got, plain = (merit(w, *truth) for w in (weight, np.ones(12)))
        assert got > 0.99 * best_snr(merit, *truth)
        assert got >= plain


@pytest.mark.parametrize("spread", [1.2, 1.5, 2.0, 3.0])
def test_no_power_of_the_width_makes_a_better_stack_of_stars(spread):
    # Exact facts; widths that differ by up to `spread`. 1 / fwhm stays within 0.2 % of the best there is.
    rng = np.random.default_rng(11)
    for _ in range(5):
        truth = (rng.uniform(0.6, 1.0, 20), rng.uniform(1, 2, 20), 2.5 * spread ** rng.uniform(0, 1, 20))
        names = (v.TRANSPARENCY, v.NOISE, v.FWHM)
        frames = measured_night(20, 3).assign_coords(
            {spec.name: v.labeled(spec, values) for spec, values in zip(names, truth, strict=True)}
        )
        weight = grade(frames, options=GradeOptions(reject=False))["weight"].values
        reached = point_source_snr(weight, *truth)
        assert reached > 0.998 * best_snr(point_source_snr, *truth)
        for power in (0, 0.5, 1.5, 2):
            assert reached > point_source_snr((truth[0] / truth[1]) ** 2 / truth[2] ** power, *truth)


def test_psf_signal_grows_with_light_and_falls_with_noise_and_width():
    stars = np.zeros(30, STAR_DTYPE)
    stars["flux"], stars["fwhm"] = np.geomspace(1e3, 1e5, 30), 3.0
    base = psf_signal(stars, 10.0, 1.0)
    assert psf_signal(stars, 10.0, 2.0) == pytest.approx(base / 4)
    assert psf_signal(stars, 20.0, 1.0) == pytest.approx(base / 4)
    wide = stars.copy()
    wide["fwhm"] = 6.0
    assert psf_signal(wide, 10.0, 1.0) == pytest.approx(base / 4, rel=1e-6)
    rate = stars["flux"].sum() / 10
    # By hand: F_T = rate, F_M = rate / (pi/4 FWTM^2); FWTM/FWHM = sqrt((10^(1/4) - 1) / (2^(1/4) - 1)).
    tenth = 9 * (10**0.25 - 1) / (2**0.25 - 1)
    assert base == pytest.approx(rate**2 / (np.pi / 4 * tenth), rel=1e-3)
    stars["quality"] = 2
    assert np.isnan(psf_signal(stars, 10.0, 1.0))
    assert np.isnan(psf_signal(stars[:0], 10.0, 1.0))


def test_a_weight_that_nobody_measured_is_refused():
    with pytest.raises(DatasetError, match="psf_signal"):
        grade(measured_night(), options=GradeOptions(weight="psf_signal"))


def test_expressions_are_checked_when_options_are_made():
    with pytest.raises(OptionError, match=r"GradeOptions.select: names 'fhwm'"):
        GradeOptions(select="fhwm < 3")
    with pytest.raises(OptionError, match=r"GradeOptions.expression: is empty, .* such as snr\*\*2"):
        GradeOptions(weight="expression")
    with pytest.raises(OptionError, match="names 'weight'"):
        GradeOptions(expression="weight * 2")
    with pytest.raises(OptionError, match="asks for the best by 'hour'"):
        GradeOptions(select="best 80 % by hour")


def test_a_weight_above_nothing_is_refused():
    with pytest.raises(OptionError, match="above 0 for no frame"):
        grade(measured(), options=GradeOptions(weight="expression", expression="-fwhm"))


@pytest.mark.parametrize("text", ["1 / 0", "sqrt(-fwhm)", "exp(1000 * fwhm)", "airmass / 0"])
def test_a_weight_that_is_no_number_is_refused(text):
    with pytest.raises(OptionError, match="above 0 for no frame"):
        grade(measured(), options=GradeOptions(weight="expression", expression=text))


def test_a_frame_whose_weight_is_unknown_gets_the_least_in_any_unit():
    ds = measured()
    airmass = ds["airmass"].copy()
    airmass[4] = np.nan
    out = grade(
        ds.assign_coords(airmass=airmass),
        options=GradeOptions(weight="expression", expression="0.000000001 / airmass"),
    )
    weight = out["weight"].values
    assert weight[4] == pytest.approx(1e-4) and weight[0] == 1 and np.delete(weight, 4).min() > 0.4


def test_selection_gives_reasons_with_numbers():
    ds = measured(fwhm={4: 4.4}, eccentricity={7: 0.62})
    out = grade(ds, options=GradeOptions(select="fwhm < 1.2 * median(fwhm) and eccentricity < 0.6"))
    np.testing.assert_array_equal(np.flatnonzero(~out["use"].values), [4, 7])
    reasons = out["reason"].values
    assert reasons[4].startswith("not selected: fwhm = 4.4, not < 1.2 * median(fwhm) = ")
    assert reasons[7] == "not selected: eccentricity = 0.62, not < 0.6"
    assert (out["weight"].values[[4, 7]] == 0).all()


@pytest.mark.parametrize(
    ("text", "kept"), [("best 75 %", 9), ("Best 50% by fwhm", 6), ("best 25 percent airmass", 3)]
)
def test_the_best_share(text, kept):
    out = grade(measured(), options=GradeOptions(select=text))
    use = out["use"].values
    assert int(use.sum()) == kept
    if "fwhm" in text:
        assert out["fwhm"].values[use].max() < out["fwhm"].values[~use].min()
    if "airmass" in text:
        np.testing.assert_array_equal(use, np.arange(12) < 3)


def test_time_within_the_night():
    out = grade(measured(), options=GradeOptions(select="hour < 1"))
    np.testing.assert_array_equal(out["use"], np.arange(12) < 6)


def test_who_selects_nothing_gets_nothing():
    out = grade(measured(), options=GradeOptions(select="fwhm < 0"))
    assert not out["use"].any()
    assert all(str(one).startswith("not selected") for one in out["reason"].values)


@pytest.mark.parametrize(("kind", "merit"), MERITS)
def test_weights_reach_the_ideal_on_measured_frames(kind, merit):
    # Frames of known seeing, transparency and sky; width and noise as measured on their pixels.
    rng = np.random.default_rng(11)
    n, read = 6, 3.0
    t, fwhm, sky = rng.uniform(0.5, 1, n), rng.uniform(2.4, 4.2, n), rng.uniform(100, 900, n)
    frames = Night(n, side=5, fwhms=fwhm, t=t, sky=sky, read=read)
    found = [measure_plane(signal) for signal, *_ in frames.frames]
    columns = {
        v.FWHM: [one.fwhm for one in found],
        v.ECCENTRICITY: [one.eccentricity for one in found],
        v.SKY: [one.sky for one in found],
        v.NOISE: [one.noise for one in found],
        v.N_STARS: np.array([one.n_stars for one in found]),
        v.EXPOSURE: np.ones(n),
        v.FILTER: np.array(["V"] * n),
        v.TRANSPARENCY: t,
    }
    ds = xr.Dataset(
        coords={spec.name: v.labeled(spec, np.asarray(values)) for spec, values in columns.items()}
    )
    weight = grade(ds, options=GradeOptions(weight=kind, reject=False))["weight"].values
    noise = np.sqrt(sky + read**2)
    ideal = (t / noise) ** 2 if kind == "sky_variance" else (t / (noise * fwhm)) ** 2
    got = merit(weight, t, noise, fwhm)
    assert got > 0.98 * merit(ideal, t, noise, fwhm)
    assert got > 1.02 * merit(np.ones(n), t, noise, fwhm)


@pytest.mark.parametrize("share", ["180", "0", "100.5", "0.0"])
def test_a_share_beyond_all_or_none(share):
    with pytest.raises(OptionError, match=f"asks for the best {share} %"):
        GradeOptions(select=f"best {share} % by fwhm")
