"""Files of curves: what is read, and what is told of those that are none."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table

from sciastro.errors import FileError
from sciastro.io.curves import read_curves, split_name

X = np.arange(400.0, 701.0, 50.0)
Y = np.array([0.0, 0.2, 0.8, 0.9, 0.8, 0.2, 0.0])


def text(tmp_path, body, name="curve.csv"):
    path = tmp_path / name
    path.write_text(body)
    return path


@pytest.mark.parametrize(
    "body",
    [
        "wavelength_nm,throughput\n" + "".join(f"{a},{b}\n" for a, b in zip(X, Y, strict=True)),
        "# wavelength in Angstrom\n" + "".join(f"{10 * a} {b}\n" for a, b in zip(X, Y, strict=True)),
        "".join(f"{a / 1000}\t{b}\n" for a, b in zip(X, Y, strict=True)),
        "wavelength,T\n" + "".join(f"{a},{100 * b}\n" for a, b in zip(X, Y, strict=True)),
        "wavelength;T\n" + "".join(f"{a};{b}\n" for a, b in zip(X[::-1], Y[::-1], strict=True)),
    ],
    ids=["csv", "comment in Angstrom", "um by size", "percent", "descending"],
)
def test_the_same_curve_in_many_spellings(tmp_path, body):
    curves = read_curves(text(tmp_path, body))
    assert curves.wavelength == pytest.approx(X)
    assert curves.only() == pytest.approx(Y)


def test_ecsv_and_fits_with_units(tmp_path):
    table = QTable({"wavelength": X / 1000 * u.um, "R": Y, "G": Y / 2})
    table.write(tmp_path / "a.ecsv")
    curves = read_curves(tmp_path / "a.ecsv")
    assert curves.wavelength == pytest.approx(X)
    assert curves.only("g") == pytest.approx(Y / 2)
    with pytest.raises(FileError, match="FILE#NAME with one of: R, G"):
        curves.only()
    hdus = [fits.PrimaryHDU()]
    for name, factor in (("RED", 1.0), ("BLUE", 0.5)):
        columns = Table({"WAVELENGTH": 10 * X, "T": factor * Y}, units={"WAVELENGTH": "Angstrom"})
        hdus.append(fits.BinTableHDU(columns, name=name))
    fits.HDUList(hdus).writeto(tmp_path / "b.fits")
    assert read_curves(f"{tmp_path}/b.fits#BLUE").only() == pytest.approx(Y / 2)
    with pytest.raises(FileError, match="holds 2 tables"):
        read_curves(tmp_path / "b.fits")


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("nm,T\n400,0\n600,1\n500,0.5\n700,0\n", "out of order"),
        ("nm,T\n400,0\n500,-0.5\n600,1\n", "is negative in column 'T' at 500 nm"),
        ("nm,T\n500,1\n", "has 1 row with a wavelength. Give a curve"),
        ("nm,T\n400,0\n500,0\n600,0\n", "nowhere above 0"),
        ("nm,T\n400,0\n500,\n600,1\n", "is no table|no number|no column"),
        ("energy,T\n1e6,0\n2e6,1\n3e6,0\n", "State their unit"),
        ("just words\n", "no table of at least two columns"),
        ("", "no table of at least two columns"),
        ("nm,T\n400,0\n400,1\n400,0.5\n500,0\n", "more than once"),
    ],
)
def test_curves_that_are_none(tmp_path, body, match):
    with pytest.raises(FileError, match=match) as told:
        read_curves(text(tmp_path, body))
    assert told.value.where
    assert told.value.remedy


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        read_curves(tmp_path / "nothing.csv")
    (tmp_path / "noise.fits").write_bytes(b"SIMPLE  =                    T" + bytes(range(256)) * 20)
    with pytest.raises(FileError, match=r"cannot be read|holds no table"):
        read_curves(tmp_path / "noise.fits")


def test_small_negatives_and_doubled_edges_are_mended_and_told(tmp_path):
    rows = [*zip(X, Y, strict=True)]
    rows[0] = (400.0, -0.001)
    rows += [(float(750 + k), 0.0) for k in range(20)] + [(769.0, 0.0)]
    curves = read_curves(text(tmp_path, "nm,T\n" + "".join(f"{a},{b}\n" for a, b in rows)))
    assert curves.only().min() == 0
    assert any("taken as 0" in note for note in curves.notes)
    assert (np.diff(curves.wavelength) > 0).all()


def test_names_with_a_mark(tmp_path):
    odd = tmp_path / "a#b.csv"
    odd.write_text("nm,T\n400,0\n500,1\n")
    assert split_name(str(odd)) == (odd, "")
    assert split_name("x.csv#R")[1] == "R"
