"""Passbands, spectra and air against published numbers."""

import numpy as np
import pytest

from sciastro.errors import OptionError
from sciastro.photometry.atmosphere import air, optical_depth, pressure_at, rayleigh_depth
from sciastro.photometry.bandpass import (
    Bandpass,
    ab_magnitude,
    box,
    load,
    magnitude,
    names,
    synthetic_photons,
    vega_magnitude,
)
from sciastro.photometry.locus import bp_rp_from, color_of, locus_photons, locus_spectrum
from sciastro.photometry.response import make_response, photons_of
from sciastro.photometry.spectra import Spectrum, black_body, flat, vega, white_spectrum


def test_a_flat_band_counts_photons_by_hand():
    # f = 1e-12 erg / s / cm2 / A over 100 nm about 550 nm: photons = f * lambda / (h c) * 1000 A
    flux = Spectrum(name="flat", wavelength=np.array([300.0, 900.0]), flux=np.array([1e-12, 1e-12]))
    expected = 1e-12 * 5500 * 1000 / 1.98644586e-8
    assert synthetic_photons(flux, box(550, 100)) == pytest.approx(expected, rel=3e-4)


def test_ab_magnitude_of_3631_jansky_is_zero():
    wavelength = np.linspace(300.0, 1000.0, 20_000)
    flux = 3.631e-20 * 2.99792458e18 / (10 * wavelength) ** 2
    zero = Spectrum(name="AB 0", wavelength=wavelength, flux=flux)
    for name in ("sdss_g", "bessell_V", "gaia_G"):
        band = load(name)
        if band.wavelength[-1] < 1000:
            assert ab_magnitude(zero, band) == pytest.approx(0.0, abs=2e-3)


def test_vega_in_ab_as_published():
    # AB - Vega: Blanton & Roweis 2007 (AJ 133, 734), table 1; their Vega has V = 0.03
    published = {"B": -0.09, "V": 0.02, "R": 0.21, "I": 0.45}
    for name, value in published.items():
        band = load(f"bessell_{name}")
        assert ab_magnitude(vega(), band) - vega_magnitude(vega(), band) + 0.03 == pytest.approx(
            value, abs=0.04
        )


def test_colors_of_the_sun():
    # B-V 0.653, V-Rc 0.352, V-Ic 0.702 (Ramirez et al. 2012, ApJ 752, 5)
    # BP-RP 0.82 (Casagrande & VandenBerg 2018, MNRAS 479, L102)
    sun = white_spectrum("G2V")
    bands = {name: load(f"bessell_{name}") for name in "BVRI"}
    assert color_of(sun, bands["B"], bands["V"]) == pytest.approx(0.653, abs=0.015)
    assert color_of(sun, bands["V"], bands["R"]) == pytest.approx(0.352, abs=0.04)
    assert color_of(sun, bands["V"], bands["I"]) == pytest.approx(0.702, abs=0.04)
    assert color_of(sun, load("gaia_BP"), load("gaia_RP")) == pytest.approx(0.82, abs=0.02)
    assert magnitude(sun, load("bessell_V")) == pytest.approx(-26.76, abs=0.03)


def test_pivots_of_known_bands():
    # SDSS g r i: 4702, 6176, 7490 A with air (Fukugita et al. 1996); Gaia DR3 G: 6218 A (Riello et al. 2021)
    for name, pivot in (("sdss_g", 470), ("sdss_r", 617.6), ("sdss_i", 749), ("gaia_G", 621.8)):
        assert load(name).pivot == pytest.approx(pivot, rel=0.005)
    assert box(656.3, 7).pivot == pytest.approx(656.3, abs=0.02)
    assert box(656.3, 7).width == pytest.approx(7, abs=0.03)


def test_air_as_published():
    # Rayleigh of Froehlich & Shaw 1980 in the form of Teillet 1990: another fit of the same quantity
    micron = np.array([0.40, 0.55, 0.70])
    other = 0.00864 * micron ** -(3.916 + 0.074 * micron + 0.050 / micron)
    assert rayleigh_depth(1000 * micron) == pytest.approx(other, rel=0.01)
    assert pressure_at(2000) == pytest.approx(795, abs=1)
    # extinction of good sites, mag per airmass: V 0.1 to 0.22, B - V near 0.13
    v, b = 1.0857 * optical_depth([550.0, 440.0], pressure=pressure_at(2000), altitude=2000)
    assert 0.1 < v < 0.22
    assert 0.08 < b - v < 0.18
    two = air(2.0, altitude=2000).at(550.0)
    assert two == pytest.approx(float(air(1.0, altitude=2000).at(550.0)) ** 2, rel=1e-6)


def test_curves_multiply_and_miss():
    both = load("dichroic_R") * load("cmos")
    assert both.at(640.0) == pytest.approx(
        float(load("dichroic_R").at(640.0) * load("cmos").at(640.0)), rel=1e-6
    )
    with pytest.raises(OptionError, match="share no wavelength"):
        _ = box(450, 10) * box(650, 10)


@pytest.mark.parametrize(
    ("wavelength", "throughput", "match"),
    [
        ([500, 400, 600], [0, 1, 0], "do not increase"),
        ([400, 500, 600], [0, -1, 0], "negative at 500"),
        ([400, 500, 600], [0, 0, 0], "lets nothing pass"),
        ([400, 500, 600], [0, np.nan, 0], "no numbers"),
        ([4e4, 5e4, 6e4], [0, 1, 0], "covers 40000"),
        ([500], [1], "at least 2"),
    ],
)
def test_curves_that_are_none(wavelength, throughput, match):
    with pytest.raises(OptionError, match=match):
        Bandpass(name="bad", wavelength=np.array(wavelength, float), throughput=np.array(throughput, float))


def test_unknown_names_list_the_known():
    with pytest.raises(OptionError, match="Known: bayer_B"):
        load("nonsense")
    with pytest.raises(OptionError, match="Known: G2V"):
        white_spectrum("pink")
    assert all(load(name).width > 0 for name in names())


def test_a_spectrum_must_cover_the_band():
    short = Spectrum(name="short", wavelength=np.array([500.0, 600.0]), flux=np.ones(2))
    with pytest.raises(OptionError, match="covers 500 to 600 nm"):
        ab_magnitude(short, load("bessell_V"))
    response = make_response({"V": load("bessell_V")})
    with pytest.raises(OptionError, match="of band 'V'"):
        photons_of(short, response)
    with pytest.raises(OptionError, match="Spectra are known from"):
        make_response({"K": box(2200, 100)})


def test_response_equals_synthetic_photons():
    bands = {name: load(f"bayer_{name}") for name in "RGB"} | {"Ha": box(656.3, 3)}
    response = make_response(bands)
    body = black_body(5000)
    light = response.log_light(photons_of(body)[None])[0]
    direct = np.log([synthetic_photons(body, band) for band in bands.values()])
    assert light - light[0] == pytest.approx(direct - direct[0], abs=2e-4)
    even = np.exp(response.log_light(photons_of(flat())[None])[0])
    assert even[3] / even[1] == pytest.approx(
        3.0 / (load("bayer_G").width * load("bayer_G").throughput.max()), rel=0.01
    )


def test_the_locus_has_the_colors_it_is_told():
    bands = [load(name) for name in ("gaia_BP", "gaia_RP")]
    for color in (-0.2, 0.0, 0.4, 0.8, 1.2):
        assert color_of(locus_spectrum(color), *bands) == pytest.approx(color, abs=0.02)
    # B-V of the Sun, 0.653, belongs to its BP-RP, 0.82
    assert float(bp_rp_from(0.653)) == pytest.approx(0.82, abs=0.03)
    assert np.isnan(bp_rp_from([-1.0, 3.0, np.nan])).all()
    assert np.isnan(locus_photons([2.5])).all()
    with pytest.raises(OptionError, match=r"Choose -0\.5 to 1\.6"):
        locus_spectrum(2.5)


def test_tables_have_units():
    table = load("bessell_V").to_table()
    assert str(table["wavelength"].unit) == "nm"
    assert str(vega().to_table()["flux"].unit).startswith("erg")
