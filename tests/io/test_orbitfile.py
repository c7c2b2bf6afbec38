"""Orbital elements as the Minor Planet Center and people write them."""

import numpy as np
import pytest

from sciastro.errors import FileError
from sciastro.io.orbitfile import read_orbits

# As in MPCORB.DAT: no row that is left out.
HEADING = (
    "Des'n     H     G   Epoch     M        Peri.      Node       Incl.       e            n           a"
    "        Reference #Obs #Opp    Arc    rms  Perts   Computer"
)


def mpcorb(code="00001", epoch="K2555"):
    """Return a line in the columns of MPCORB."""
    angles = "  ".join(f"{value:9.5f}" for value in (188.70269, 73.27343, 80.25221, 10.58780))
    line = f"{code:<7} {3.34:5.2f} {0.15:5.2f} {epoch} {angles}  0.0794013  0.21424651   2.7660512"
    return f"{line:<166}      (1) Ceres"


def test_lines_of_mpcorb(tmp_path):
    path = tmp_path / "orbits.txt"
    path.write_text(HEADING + "\n" + "-" * 160 + "\n" + mpcorb() + "\n" + mpcorb("K23A12B") + "\n")
    table = read_orbits(path)
    assert list(table["name"]) == ["1", "2023 AB12"]
    assert table.meta["left_out"] == 0
    assert table["epoch"][0] == 2460800.5  # 2025 May 5.0
    np.testing.assert_allclose(
        [
            table[n][0]
            for n in ("anomaly", "perihelion", "node", "inclination", "eccentricity", "axis", "magnitude")
        ],
        [188.70269, 73.27343, 80.25221, 10.58780, 0.0794013, 2.7660512, 3.34],
    )


def test_a_table(tmp_path):
    path = tmp_path / "orbits.csv"
    path.write_text(
        "name,epoch,M,w,om,i,e,a,H\nCeres,60800,188.7,73.3,80.3,10.6,0.08,2.77,3.3\nC1,60800,1,1,1,1,1.2,-5,9\n"
    )
    table = read_orbits(path)
    assert list(table["name"]) == ["Ceres"]  # the open orbit is left out, and counted
    assert table.meta["left_out"] == 1
    assert table["epoch"][0] == 2460800.5
    assert np.isnan(table["slope"][0])


def test_damaged_rows_are_counted(tmp_path):
    path = tmp_path / "orbits.txt"
    path.write_text(mpcorb() + "\n" + mpcorb("00002").replace("2.7660512", "2.76?0512") + "\n")
    assert read_orbits(path).meta["left_out"] == 1
    path = tmp_path / "orbits.csv"
    path.write_text(
        "name,epoch,M,w,om,i,e,a\nCeres,60800,188.7,73.3,80.3,10.6,0.08,2.77\nB,60800,1,1,1,x,0.1,2\n"
    )
    table = read_orbits(path)
    assert list(table["name"]) == ["Ceres"] and table.meta["left_out"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "orbits|elements"), ("a,b\n1,2\n", "no column for name"), ("x" * 200, "orbits|column")],
)
def test_what_holds_no_orbits(tmp_path, text, said):
    path = tmp_path / "o.csv"
    path.write_text(text)
    with pytest.raises(FileError, match=said):
        read_orbits(path)
    with pytest.raises(FileError, match="cannot be read"):
        read_orbits(tmp_path / "none")
