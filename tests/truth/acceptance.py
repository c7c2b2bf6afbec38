"""What a run must be worth on a simulated night; the bounds are those of issue 2."""

import numpy as np
from night_figures import BLOCK, robust_std


def check_bad_frames(night):
    for band in night.bands:
        used, reason = night.reason(band, "clouded")
        assert not used and "clouded" in reason
        used, reason = night.reason(band, "trailed")
        assert not used and "trailed" in reason
        used, reason = night.reason(band, "satellite")
        assert used and "satellite" in reason and "masked" in reason
    bad = {p for p, f in night.truth.frames.items() if f.get("clouded") or f["trailed"] or f["satellite"]}
    assert {p for p, row in night.lights.items() if row["reason"]} == bad


def check_positions(night):
    for band in map(night.band, night.bands):
        for errors in (band.wcs_errors(), star_errors(band)):
            assert np.median(errors) < 0.1
            assert np.percentile(errors, 95) < 0.3
    frames = night.frame_wcs_errors(step=2 if night.truth.cfa else 1)
    assert len(frames) == len(night.lights)
    for path, errors in frames.items():
        assert np.median(errors) < 0.1, path
        assert np.percentile(errors, 95) < 0.3, path


def star_errors(band, snr=30.0):
    """Return how far the sky positions of bright isolated stars are from the truth [pixel]."""
    rows, stars = band.matched(snr=snr, radius=4 * band.row["fwhm_px"], share=0.01)
    ra, dec = band.table["ra"].value[rows], band.table["dec"].value[rows]
    x, y = band.truth.sky_to_pixel(band.night.reference, ra, dec)
    tx, ty = band.truth.sky_to_pixel(
        band.night.reference, band.truth.stars["ra"][stars], band.truth.stars["dec"][stars]
    )
    assert len(rows) > 50
    return np.hypot(x - tx, y - ty) / band.step


def check_fluxes(band, snr, fewest=100):
    """Scatter below 0.5 %, and no trend with the distance from the center above 1 %."""
    ratio, err, x, y = band.flux_ratios(snr=snr)
    assert len(ratio) > fewest
    ratio, err = ratio / band.scale, err / band.scale
    assert robust_std(ratio) < 0.005
    assert np.std(ratio) < 0.01  # no wild ones either: saturated stars are flagged
    rows, columns = band.image.shape
    radius = np.hypot(x - (columns - 1) / 2, y - (rows - 1) / 2) / np.hypot(rows, columns) * 2
    slope = np.polyfit(radius, ratio, 1, w=1 / np.hypot(err, 0.001))[0]
    assert abs(slope) < 0.01


def check_flux_slope(band):
    """Bright and faint stars keep the same share of their light, within 0.1 % per factor of ten in flux."""
    rows, stars = band.matched(snr=20, radius=6 * band.row["fwhm_px"], share=0.0005)
    rate = band.rates[stars]
    ratio = band.table["flux"].value[rows] / rate / band.scale
    sigma = np.hypot(band.table["flux_err"].value[rows] / rate / band.scale, 0.002)  # 0.2 %: flats, place
    size = np.log10(rate)
    slope, error = weighted_slope(size, ratio, sigma)
    assert len(rows) > 500 and np.ptp(size) > 1.2
    assert error < 6e-4, error  # else the next line would say nothing
    assert abs(slope) < 1e-3, (slope, error)
    bright = size > np.median(size)
    means = [np.average(ratio[part], weights=sigma[part] ** -2) for part in (bright, ~bright)]
    assert abs(means[1] / means[0] - 1) < 1e-3, means


def weighted_slope(size, ratio, sigma):
    """Return the slope of `ratio` over `size` and its error by the scatter (300 draws with replacement)."""
    rng, slopes = np.random.default_rng(1), []
    for _ in range(300):
        pick = rng.integers(0, size.size, size.size)
        slopes.append(np.polyfit(size[pick], ratio[pick], 1, w=1 / sigma[pick])[0])
    return np.polyfit(size, ratio, 1, w=1 / sigma)[0], np.std(slopes)


def check_noise(band):
    """Blank sky in 6 x 6 blocks within 8 % of the ideal; ERR within 10 % of the scatter that is there."""
    value, err, x, y = band.blocks()
    assert len(value) > 1000
    assert 0.92 < robust_std(value / (band.ideal_map(x, y) / BLOCK)) < 1.08
    # The noise of an area is that of its pixels times what resampling has tied together.
    tied = err / BLOCK * band.row["noise_correlation"]
    assert 0.9 < robust_std(value / tied) < 1.1
    local = band.pixel_scatter()
    assert 0.9 < np.median(local) < 1.1
    assert np.mean((local > 0.9) & (local < 1.1)) > 0.95


def check_artifacts(band):
    number, places = band.artifacts()
    assert number <= 3, places


def check_pulls(band):
    """What the table says, less the truth, over its error: robust standard deviation 0.8 to 1.25."""
    rows, stars = band.matched(snr=10, radius=4 * band.row["fwhm_px"], share=0.005)
    table, (tx, ty) = band.table, band.star_xy
    assert len(rows) > 100
    scaled = band.rates[stars] * band.scale
    pulls = {
        "flux": (table["flux"].value[rows] - scaled) / table["flux_err"].value[rows],
        "x": (table["x"].value[rows] - tx[stars]) / table["x_err"].value[rows],
        "y": (table["y"].value[rows] - ty[stars]) / table["y_err"].value[rows],
    }
    inst = table["mag_inst"].value[rows] + 2.5 * np.log10(scaled)
    pulls["mag_inst"] = inst / table["mag_inst_err"].value[rows]
    for name, pull in pulls.items():
        assert 0.8 < robust_std(pull) < 1.25, name
        assert abs(np.median(pull)) < 0.4, name


def check_zeropoint(band):
    """Magnitudes of invented stars, which cannot have calibrated anything, agree with the truth in V."""
    fit = band.table.meta["zeropoint"]
    assert fit["err"] < 0.02
    if band.name != "G":  # only V is a magnitude of the truth itself
        return
    rows, stars = band.matched(snr=50, radius=4 * band.row["fwhm_px"], share=0.005)
    invented = np.asarray(band.truth.stars["invented"])[stars]
    rows, stars = rows[invented], stars[invented]
    assert len(rows) > 100
    away = np.asarray(band.truth.stars["color"].value)[stars] - fit["color_reference"]
    mag = band.table["mag_inst"].value[rows] + fit["mag"] + fit["color_term"] * away
    off = mag - band.truth.stars["mag"].value[stars]
    allowed = np.hypot(fit["err"], fit["color_term_err"] * np.median(np.abs(away)))
    assert abs(np.median(off)) < 3 * allowed
