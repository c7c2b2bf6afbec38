"""Words and numbers for people, against values worked out by hand."""

import pytest

from sciastro.report import tables, text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "—"),
        (0.25, "0.25 s"),
        (3.44, "3.4 s"),
        (42, "42 s"),
        (210, "3.5 min"),
        (1320, "22 min"),
        (7800, "2 h 10 min"),
        (7199, "2 h 00 min"),
    ],
)
def test_duration(seconds, expected):
    assert text.duration(seconds) == expected


@pytest.mark.parametrize(
    ("ra", "dec", "expected"),
    [
        (0.0, 0.0, "00h00m00.0s +00°00′00″"),
        (359.9999999, -0.5, "00h00m00.0s −00°30′00″"),  # rounds over the end of the circle
        (192.7213, 41.1204, "12h50m53.1s +41°07′13″"),
        (10.0, 89.99999, "00h40m00.0s +90°00′00″"),
        (None, 1.0, "—"),
    ],
)
def test_sexagesimal(ra, dec, expected):
    assert text.sexagesimal(ra, dec) == expected


def test_numbers():
    assert text.number(-1.255, 1) == "−1.3"
    assert text.number(float("nan")) == "—"
    assert text.number(1.5e-7, 2) == "1.50e-07"
    assert text.plus_minus(21.8473, 0.0123) == "21.847 ± 0.012"
    assert text.plus_minus(21.8473, None) == "21.847"
    assert text.memory(1.24e9) == "1.24 GB"
    assert text.get_number({"a": {"b": True}}, "a", "b") is None
    assert text.get_number({"a": None}, "a", "b") is None


def test_clean_drops_what_cannot_be_seen():
    assert text.clean("a\x00b\x1b[31m\u202ec\ud800\nd") == "a b [31m c d"
    assert text.clean(None) == ""
    assert len(text.clean("x" * 5000)) == text.MAX_LENGTH


def test_prepared_lines_keep_their_columns():
    assert text.indented("  dark   d.fits\x1b   120 s \n") == "  dark   d.fits    120 s"


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../../b", "javascript:alert(1)", "C:\\x", "http://x.org", "//x.org"],
)
def test_no_link_leaves_the_folder(path):
    assert text.href(path) == ""


def test_links_are_quoted():
    assert text.href("products/M 94_V'\".fits") == "products/M%2094_V%27%22.fits"


@pytest.mark.parametrize(("share", "expected"), [(0.0, "0.00 %"), (1.4e-7, "< 0.01 %"), (0.0123, "1.23 %")])
def test_shares_have_two_decimals(share, expected):
    cell = tables._rejected({"rejection": {"rejected_low": share, "rejected_high": share}})
    assert cell.text == f"{expected} below, {expected} above"


def test_large_angles_are_minutes_of_arc():
    assert text.angle(59.0, 2) == "59.00\N{DOUBLE PRIME}"
    assert text.angle(564.0, 2) == "9.4\N{NO-BREAK SPACE}arcmin"
