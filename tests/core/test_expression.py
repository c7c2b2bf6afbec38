"""What a user writes is data: right numbers where allowed, a clear refusal for everything else."""

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sciastro.core.expression import DEEPEST, LONGEST, parse
from sciastro.errors import OptionError

NAMES = frozenset({"fwhm", "sky", "snr"})
COLUMNS = {
    "fwhm": np.array([2.0, 3.0, 4.0, np.nan]),
    "sky": np.array([1.0, 2.0, 3.0, 4.0]),
    "snr": np.array([1.0, 0.5, 0.25, 0.0]),
}


def decisions(text, among=None):
    return parse(text, NAMES, "grade.select").decisions(COLUMNS, among).tolist()


def numbers(text):
    return parse(text, NAMES, "grade.select").numbers(COLUMNS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fwhm < 3.5", [True, True, False, False]),
        ("not fwhm < 3.5", [False, False, True, True]),
        ("fwhm <= median(fwhm)", [True, True, False, False]),
        ("2 <= fwhm < 4", [True, True, False, False]),
        ("fwhm != 2", [False, True, True, False]),  # nothing is known of the last
        ("fwhm < 3.5 and sky > 1 or snr == 0", [False, True, False, True]),
        ("rank(sky) < 50", [True, True, False, False]),
        ("sky >= percentile(sky, 75)", [False, False, False, True]),
        ("min(fwhm, sky) < 1.5", [True, False, False, False]),
        ("sky < mean(sky) + std(sky)", [True, True, True, False]),
        ("sum(fwhm > 2) == 2", [True] * 4),
        ("abs(sky - 2)**2 <= 1", [True, True, True, False]),
        ("-sky < -2.5", [False, False, True, True]),
        ("1 / snr > 1", [False, True, True, False]),  # nor of the infinite
        ("fwhm < 1 / 0", [False] * 4),
    ],
)
def test_decisions(text, expected):
    assert decisions(text) == expected


def test_summaries_are_over_the_frames_fit_for_use():
    among = np.array([True, True, False, False])
    assert decisions("sky <= max(sky)", among) == [True, True, False, False]


def test_numbers_and_missing_ones():
    np.testing.assert_allclose(numbers("snr**2 / fwhm")[:3], [0.5, 0.25 / 3, 0.0625 / 4])
    assert np.isnan(numbers("fwhm + 1")[3])
    np.testing.assert_allclose(numbers("log(exp(sqrt(sky)))"), np.sqrt(COLUMNS["sky"]))
    np.testing.assert_allclose(numbers("mad(sky)"), 1.4826)
    assert np.isinf(numbers("1 / snr")[3])


def test_the_failing_part_is_told_with_its_numbers():
    wish = parse("fwhm < 1.1 * median(fwhm) and sky < 10", NAMES, "grade.select")
    assert wish.failures(COLUMNS, 2) == ["fwhm = 4, not < 1.1 * median(fwhm) = 3.3"]
    assert wish.failures(COLUMNS, 0) == []
    assert "unknown" in wish.failures(COLUMNS, 3)[0]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "cannot be read"),
        ("fwhm <", "cannot be read at its end|cannot be read at character"),
        ("fhwm < 3", r"names 'fhwm', which is not known, at character 1 \('fhwm < 3'\)"),
        ("fwhm < 3 and fhwm < 2", r"at character 14 \('fhwm < 2'\)"),
        ("fwhm.__class__", "no measure, number"),
        ("().__class__", "no measure, number"),
        ("fwhm[0] < 1", "no measure, number"),
        ("__import__('os')", "calls what is no known function"),
        ("eval('1')", "calls what is no known function"),
        ("median.__call__(fwhm)", "calls what is no known function"),
        ("median(fwhm, axis=0)", "calls what is no known function"),
        ("median()", "gives median 0 values"),
        ("median(*fwhm)", "no measure, number"),
        ("lambda: 1", "no measure, number"),
        ("[x for x in fwhm]", "no measure, number"),
        ("(fwhm := 3) < 4", "no measure, number"),
        ("fwhm if sky else snr", "no measure, number"),
        ("f'{fwhm}'", "no measure, number"),
        ("'a' < fwhm", "no number"),
        ("True", "no number"),
        ("2j", "no number"),
        ("fwhm ** sky < 2", "exponent that is no number"),
        ("2 ** 99 < fwhm", "exponent that is too large"),
        ("2 ** -(9) < fwhm", "exponent that is too large"),
        ("2 ** 'a'", "no number"),
        ("9" * 400 + " < fwhm", "number that is too large"),
        ("1e400 < fwhm", "number that is too large"),
        ("fwhm // 2", "no measure, number"),
        ("fwhm % 2", "no measure, number"),
        ("fwhm << 2", "no measure, number"),
        ("~ fwhm", "no measure, number"),
        ("fwhm is sky", "no measure, number"),
        ("fwhm in sky", "no measure, number"),
        ("fwhm; sky", "cannot be read"),
        ("-" * 60 + "fwhm", "nested too deeply"),
        ("(" * 240 + "1" + ")" * 240, "cannot be read"),
        ("fwhm < 1" + " and fwhm < 1" * 60, f"{LONGEST} characters"),
        ("fwhm < 1\0", "cannot be read"),
    ],
)
def test_what_is_refused(text, match):
    with pytest.raises(OptionError, match=match):
        parse(text, NAMES, "grade.select")


def test_numbers_are_no_decisions():
    with pytest.raises(OptionError, match="gives a number and no yes or no"):
        decisions("fwhm")


def test_a_missing_measure_is_named():
    with pytest.raises(OptionError, match="asks for snr, which nothing measured"):
        parse("snr > 1", NAMES, "grade.select").decisions({"fwhm": np.ones(2)})


PIECES = st.sampled_from(
    [
        "fwhm",
        "sky",
        "snr",
        "median",
        "mean",
        "percentile",
        "rank",
        "min",
        "abs",
        "log",
        "sqrt",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ".",
        ",",
        ":",
        ";",
        "'",
        '"',
        "+",
        "-",
        "*",
        "/",
        "**",
        "<",
        ">",
        "==",
        "!=",
        "and",
        "or",
        "not",
        "if",
        "else",
        "lambda",
        "for",
        "in",
        "is",
        ":=",
        "@",
        "%",
        "~",
        "__class__",
        "__import__",
        "os",
        "eval",
        "0",
        "1",
        "3.5",
        "1e9",
        "999",
        "j",
        "\\",
        "#",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=24).map(" ".join) | st.text(max_size=60))
def test_any_text_is_understood_or_refused(text):
    try:
        wish = parse(text, NAMES, "grade.select")
    except OptionError as error:
        assert error.where == "grade.select" and error.remedy
        return
    assert wish.numbers(COLUMNS).shape == (4,)
    assert all(isinstance(one, str) for one in wish.failures(COLUMNS, 1))


LEAVES = st.sampled_from(["fwhm", "sky", "2.0", "0.5", "median(sky)"])
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        )
        | inner.map(lambda t: f"sqrt({t})")
        | inner.map(lambda t: f"({t})**2")
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(TREES)
@example("(2.0 / (2.0 - 2.0))")  # infinite, as numpy has it: Python's own numbers would raise
def test_same_numbers_as_numpy(text):
    known = {**COLUMNS, "sqrt": np.sqrt, "median": np.nanmedian, "number": np.float64}
    with np.errstate(all="ignore"):
        # The twin: numpy on a text that this test made itself.
        twin = re.sub(r"\d\.\d", r"number(\g<0>)", text)
        expected = np.broadcast_to(eval(twin, {"__builtins__": {}}, known), 4)
    np.testing.assert_allclose(numbers(text), expected, rtol=1e-12)


def test_depth_is_bounded_exactly():
    parse("-" * DEEPEST + "fwhm", NAMES, "x")
    with pytest.raises(OptionError, match="nested too deeply"):
        parse("-" * (DEEPEST + 1) + "fwhm", NAMES, "x")
