"""Packed designations against the published examples, and there and back."""

import numpy as np
import pytest

from sciastro.errors import OptionError
from sciastro.io.designations import Designation, pack, parse_designation, unpack

# Examples of minorplanetcenter.net/iau/info/PackedDes.html, its extension, and projectpluto.com/packed.htm.
PLANETS = {
    "1995 XA": "J95X00A", "1995 XL1": "J95X01L", "1995 FB13": "J95F13B", "1998 SQ108": "J98SA8Q",
    "1998 SV127": "J98SC7V", "1998 SS162": "J98SG2S", "2099 AZ193": "K99AJ3Z", "2008 AA360": "K08Aa0A",
    "2007 TA418": "K07Tf8A", "2040 P-L": "PLS2040", "3138 T-1": "T1S3138", "1010 T-2": "T2S1010",
    "4101 T-3": "T3S4101", "2026 CA620": "_QC0000", "2026 CZ6190": "_QC0aEM", "2026 CL591673": "_QCzzzz",
    "2010 HJ92809": "_AH9fZ7", "2014 AQ619": "K14Az9Q", "A904 OA": "J04O00A",
}  # fmt: skip
NUMBERS = {
    "433": "00433", "12345": "12345", "110001": "B0001", "164060": "G4060", "360001": "a0001",
    "491415": "n1415", "619999": "z9999", "620000": "~0000", "620036": "~000a", "3140113": "~AZaz",
    "15396335": "~zzzz",
}  # fmt: skip
COMETS = {
    "C/1995 A1": "    CJ95A010", "D/1994 P1-B": "    DJ94P01b", "C/2048 X13": "    CK48X130",
    "C/2033 L89-C": "    CK33L89c", "P/2088 A103": "    PK88AA30", "C/2023 A3": "    CK23A030",
    "C/2014 UN271": "    CK14UR1N", "P/2032 YT4130": "    P_WY0Mpc", "12P": "0012P       ",
    "73P-C": "0073P      c", "73P-BT": "0073P     bt", "3I": "0003I       ", "5D": "0005D       ",
}  # fmt: skip


@pytest.mark.parametrize(("text", "packed"), PLANETS.items())
def test_provisional(text, packed):
    assert pack(parse_designation(text)) == f"     {packed}"
    assert unpack(f"     {packed}") == Designation(provisional=text)


@pytest.mark.parametrize(("text", "packed"), NUMBERS.items())
def test_numbers(text, packed):
    assert pack(parse_designation(text)) == pack(parse_designation(f"({text})")) == f"{packed}       "
    assert unpack(f"{packed}       ") == Designation(permanent=text)


@pytest.mark.parametrize(("text", "packed"), COMETS.items())
def test_comets(text, packed):
    assert pack(parse_designation(text)) == packed
    assert str(unpack(packed)) == text


def test_number_and_provisional_designation_together():
    both = Designation(permanent="164060", provisional="2003 WV25")
    assert pack(both) == "G4060K03W25V"
    assert unpack("G4060K03W25V") == both
    comet = Designation(permanent="141P-B", provisional="P/1994 P1-B")
    assert pack(comet) == "0141PJ94P01b"
    assert unpack("0141PJ94P01b") == comet


def test_there_and_back():
    rng = np.random.default_rng(4)
    halves, orders = "ABCDEFGHJKLMNOPQRSTUVWXY", "ABCDEFGHJKLMNOPQRSTUVWXYZ"
    for _ in range(3000):
        far = rng.random() < 0.4
        year = rng.integers(2010, 2036) if far else rng.integers(1925, 2100)
        cycle = rng.integers(620, 591_673) if far else rng.integers(0, 620)
        text = f"{year} {halves[rng.integers(24)]}{orders[rng.integers(25)]}{cycle or ''}"
        assert unpack(pack(parse_designation(text))).provisional == text
        number = str(rng.integers(1, 15_396_336))
        assert unpack(pack(parse_designation(number))).permanent == number


def test_same_as_the_package_of_the_iau():
    tools = pytest.importorskip("ades.packUtil", reason="iau-ades is not installed")
    rng = np.random.default_rng(5)
    for text, packed in PLANETS.items():
        if not text.startswith("A9"):
            assert tools.packTupleID((None, text, None)) == f"     {packed}"
    for number in rng.integers(1, 15_396_336, 300):
        assert tools.packTupleID((str(number), None, None)) == pack(parse_designation(str(number)))


@pytest.mark.parametrize(
    "text",
    ["", " ", "0", "15396336", "2023 IA1", "2023 AI", "2023 ZA", "1799 AB", "2100 AB", "2009 AA700",
     "2036 AA620", "1904 OA1", "C/2023", "C/2023 A999", "C/2023 I1", "C/2014 UN271-B", "2023AB12", "12P-",
     "(12", "name with", "ninechars", "a|b", "S/2003 J 2", "Jupiter 12"],
)  # fmt: skip
def test_what_is_no_designation_is_refused(text):
    with pytest.raises(OptionError, match=r"designation: .*Write it like 433"):
        parse_designation(text)


@pytest.mark.parametrize(
    ("name", "said"),
    [("K23A12B", "reads as the packed form of 2023 AB12"), ("PLS2040", "reads as the packed form"),
     ("tenletters", "up to 7"), ("A-B", "up to 7"), ("eight888", "up to 7")],
)  # fmt: skip
def test_own_names_that_records_cannot_hold(name, said):
    with pytest.raises(OptionError, match=said):
        pack(Designation(temporary=name))


@pytest.mark.parametrize(
    "columns", ["", "            ", "00000       ", "0000CJ95A010", "12345      x", "     a b    "]
)
def test_columns_that_hold_none(columns):
    with pytest.raises(OptionError, match="packed designation"):
        unpack(columns)
