"""Vocabulary, quality bits, history, WCS texts, transforms."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sciastro.core import transform, wcs
from sciastro.core.history import history, inherit, record
from sciastro.core.quality import Quality, decode_quality, flag_attributes, unusable
from sciastro.core.vocabulary import EXPOSURE, SIGNAL, VARIABLES, labeled, require
from sciastro.errors import DatasetError, HeaderError


def frames():
    return xr.Dataset(
        {"signal": labeled(SIGNAL, np.ones((2, 3, 4), "f4"))},
        coords={"exposure": labeled(EXPOSURE, np.full(2, 60.0))},
    )


def test_bits_are_the_promised_ones():
    promised = {
        "DO_NOT_USE": 0,
        "SATURATED": 1,
        "COSMIC_RAY": 2,
        "OUTLIER": 4,
        "EDGE": 9,
        "DEAD": 10,
        "HOT": 11,
    }
    promised |= {"INTERPOLATED": 12, "NO_DATA": 13, "TRAIL": 14, "LOW_FLAT": 15}
    assert {bit.name: int(bit).bit_length() - 1 for bit in Quality} == promised
    assert decode_quality(1 << 11 | 1 << 12) == ["HOT", "INTERPOLATED"]
    np.testing.assert_array_equal(unusable(np.array([0, 1, 2, 1 << 13], "u2")), [False, True, False, True])
    masks = flag_attributes()
    assert masks["flag_meanings"].split()[1] == "SATURATED"
    assert masks["flag_masks"].dtype == np.uint16


def test_every_entry_has_unit_dims_and_meaning():
    for name, spec in VARIABLES.items():
        assert name == spec.name
        assert spec.dims
        assert spec.meaning.endswith(".")
        assert spec.unit or spec.kind in ("UOT", "M")


def test_require_raises_on_each_kind_of_difference():
    ds = frames()
    require(ds, SIGNAL, EXPOSURE)
    cases = [
        (ds.drop_vars("signal"), "variable 'signal': is missing"),
        (ds.transpose("y", "x", "frame"), "has dims"),
        (ds.assign(signal=ds["signal"].astype("i4").assign_attrs(units="electron")), "has dtype int32"),
        (
            ds.assign(signal=ds["signal"].assign_attrs(units="adu")),
            "is in 'adu', and this step needs 'electron'",
        ),
    ]
    for bad, text in cases:
        with pytest.raises(DatasetError, match=text):
            require(bad, SIGNAL)


def test_history_is_appended_and_inherited():
    ds = frames()
    one = record(ds, "a.first", level=3)
    two = record(one, "a.second")
    assert "history" not in ds.attrs
    assert [entry["step"] for entry in history(two)] == ["a.first", "a.second"]
    assert history(two)[0]["level"] == 3
    child = inherit(xr.Dataset(), two)
    assert len(history(child)) == 2


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0, 359.9),
    st.floats(-85, 85),
    st.floats(0.3, 20),
    st.floats(-179, 179),
    st.sampled_from([-1, 1]),
)
def test_wcs_text_round_trip(ra, dec, scale, angle, parity):
    made = wcs.tan_wcs(ra, dec, scale, (100, 200), angle=angle, parity=parity)
    back = wcs.text_to_wcs(wcs.wcs_to_text(made))
    x, y = np.array([0, 199.0, 50]), np.array([0, 99.0, 10])
    a, b = np.deg2rad(made.all_pix2world(x, y, 0)), np.deg2rad(back.all_pix2world(x, y, 0))
    step = np.hypot((a[0] - b[0]) * np.cos(a[1]), a[1] - b[1])
    assert np.rad2deg(step).max() * 3600 < 1e-3
    assert wcs.parity(back) == parity
    assert wcs.pixel_scale(back) == pytest.approx(scale, rel=1e-9)
    assert abs((wcs.rotation(back) - angle + 180) % 360 - 180) < 1e-6
    assert wcs.center(back, (100, 200))[1] == pytest.approx(dec, abs=1e-9)


def test_sip_survives_the_text():
    made = wcs.tan_wcs(10, 20, 1.5, (100, 200))
    a = np.zeros((3, 3))
    a[2, 0] = 1e-4
    from astropy.wcs import Sip

    made.sip = Sip(a, a, None, None, made.wcs.crpix)
    made.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    made.wcs.set()
    back = wcs.text_to_wcs(wcs.wcs_to_text(made))
    np.testing.assert_allclose(back.all_pix2world(0, 0, 0), made.all_pix2world(0, 0, 0), atol=1e-10)
    assert back.sip is not None


def test_nonsense_is_no_wcs():
    with pytest.raises(HeaderError, match="no celestial coordinates"):
        wcs.text_to_wcs("SIMPLE  =                    T")


def test_known_orientation():
    # North up, east left, y up: increasing x goes to smaller RA.
    made = wcs.tan_wcs(10, 0, 3600, (3, 3))
    (ra0, _), (ra1, _) = made.all_pix2world([[1, 1], [2, 1]], 0)
    assert ra1 < ra0
    assert wcs.parity(made) == 1
    # Position angle 90: +y points east.
    turned = wcs.tan_wcs(10, 0, 3600, (3, 3), angle=90)
    (ra0, _), (ra1, _) = turned.all_pix2world([[1, 1], [1, 2]], 0)
    assert ra1 > ra0


def test_transform_fit_evaluate_pad():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 4000, (2, 200))
    to_x, to_y = 4000 - x + 1e-6 * x * y, 1.1 * y - 3 + 1e-9 * x**3
    c = transform.fit(x, y, to_x, to_y, 3)
    fx, fy = transform.evaluate(transform.pad(c, 5), x, y)
    np.testing.assert_allclose(fx, to_x, atol=1e-8)
    np.testing.assert_allclose(fy, to_y, atol=1e-8)
    ix, iy = transform.evaluate(transform.identity(2), x, y)
    np.testing.assert_allclose((ix, iy), (x, y), atol=1e-9)
    assert [transform.degree_of(transform.n_terms(d)) for d in range(1, 7)] == list(range(1, 7))
    fitted, residual = transform.compose_fit(lambda u, v: (u + 5, v * 2), 300, 200, 1)
    assert residual < 1e-9
    np.testing.assert_allclose(transform.evaluate(fitted, 10.0, 10.0), (15, 20))
