"""Solve rate, speed and false solutions, side by side with `solve-field` (astrometry.net), blind.

    python benchmarks/solve.py [--only WORD,WORD] [--no-peer] [--cpulimit 60] [--jobs 1]  table of real images
    python benchmarks/solve.py --false 200                                   images that show no sky
    python benchmarks/solve.py --fields 150 [--degrees 1.0]                  star lists of random places
    python benchmarks/solve.py --hinted                                      24 megapixels with a hint

Real images are those of ../shared/data whose place is known. Headers are stripped of everything that tells
the place; both programs get the same files, one at a time, as processes of their own with everything that a
process costs. Times are CPU times (user and system, children included). The peer gets `--cpulimit` seconds of
CPU per image for its search. With `--jobs` several images are worked at, each by one program at a time.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from solve_false import false_images
from solve_fields import hinted, random_fields

from sciastro.astrometry.plane import separation
from sciastro.core.wcs import celestial_from_header, center, pixel_scale

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
FACTS = ("BAYERPAT", "EXPTIME", "DATE-OBS", "XBAYROFF", "YBAYROFF", "ROWORDER")
HAT = 6  # frames of the time series that have a solution
GOOD = 0.05  # of the field: an error of the center that is still the same place


@dataclass(frozen=True)
class Case:
    """An image and where it looks."""

    name: str
    path: Path
    ra: float
    dec: float
    degrees: float  # the longer side


def cases(room):
    """Yield every image with a known place; FITS are written to `room` without it."""
    folder = DATA / "platesolve"
    for row in csv.DictReader((folder / "solutions.csv").open()):
        path = folder / row["file"]
        header = fits.getheader(folder / "solutions" / f"{path.stem}.wcs")
        size = float(row["pixscale_arcsec"]) * max(header["IMAGEW"], header["IMAGEH"]) / 3600
        if path.suffix == ".fits":
            path = stripped(path, room)
        yield Case(row["file"], path, float(row["ra_center_deg"]), float(row["dec_center_deg"]), size)
    for wcs in sorted((DATA / "osc_seestar_m94" / "solutions").glob("*.wcs")):
        session, name = wcs.stem.split("_", 1)
        yield solved(DATA / "osc_seestar_m94" / f"session{session[1:]}" / f"{name}.fit.fz", wcs, room)
    for wcs in sorted((DATA / "timeseries_hatp32" / "solutions").glob("*.wcs"))[:HAT]:
        (path,) = (DATA / "timeseries_hatp32").glob(f"*{wcs.stem.split('_')[1]}.fits.fz")
        yield solved(path, wcs, room)
    arcsat = sorted((DATA / "calib_arcsat_m13" / "light").glob("*.fits*"))
    decam = sorted((DATA / "wcs_fits" / "decam_1867p255").glob("*ooi*.fits"))[:1]
    for path in [*arcsat, *sorted((DATA / "wcs_fits").glob("*.fits*")), *decam]:
        yield solved(path, None, room)


def solved(path, wcs, room):
    """Return the case of a file whose own header, or `wcs`, tells the place."""
    with fits.open(path) as hdus:
        one = next(hdu for hdu in hdus if hdu.is_image and hdu.data is not None and hdu.data.ndim == 2)
        shape, header = one.data.shape, one.header if wcs is None else fits.getheader(wcs)
        place = celestial_from_header(header) or WCS(header)  # plate constants of the DSS are no CTYPE
    ra, dec = center(place, shape)
    scale = pixel_scale(place) / 3600
    return Case(path.name, stripped(path, room), ra, dec, scale * max(shape))


def stripped(path, room):
    """Write the pixels and what a camera knows to `room`, nothing of the place."""
    target = room / f"{path.name.split('.fit')[0]}.fits"
    with fits.open(path) as hdus:
        one = next(hdu for hdu in hdus if hdu.is_image and hdu.data is not None and hdu.data.ndim == 2)
        cards = [card for card in one.header.cards if card.keyword in FACTS]
        fits.PrimaryHDU(one.data, fits.Header(cards)).writeto(target, overwrite=True)
    return target


def timed(words, folder):
    """Run a command; return its output and CPU seconds, those of its children included."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(words, stdout=out, stderr=subprocess.DEVNULL, cwd=folder)
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        out.seek(0)
        return out.read().decode(errors="replace"), usage.ru_utime + usage.ru_stime


def ours(case):
    """Return center or None, CPU seconds, and the answer."""
    words = [sys.executable, "-m", "sciastro", "solve", "--json", "--blind", "--no-write", str(case.path)]
    text, seconds = timed(words, Path.cwd())
    answer = json.loads(text.strip().splitlines()[-1])
    return (tuple(answer["center_deg"]) if answer["solved"] else None), seconds, answer


def peer(case, room, limit):
    """Return the center that solve-field finds, or None, and CPU seconds."""
    target = room / f"{case.path.stem}.peer.wcs"
    words = ["solve-field", "--no-plots", "--overwrite", "--cpulimit", str(limit), "--dir", str(room)]
    words += ["--new-fits", "none", "--solved", "none", "--match", "none", "--rdls", "none"]
    words += ["--corr", "none", "--index-xyls", "none", "--wcs", str(target), str(case.path)]
    _, seconds = timed(words, room)
    if not target.is_file():
        return None, seconds
    header = fits.getheader(target)
    return center(celestial_from_header(header), (header["IMAGEH"], header["IMAGEW"])), seconds


def told(found, case):
    """Return the error in arcsec as text, and whether the place is the right one."""
    if found is None:
        return "-", False
    error = float(separation(*(np.array([v]) for v in (*found, case.ra, case.dec)))[0])
    right = error < GOOD * case.degrees
    return f"{error * 3600:.1f}" + ("" if right else " WRONG"), right


def table(options):
    """Print the table of real images."""
    rates, times, both, only = [0, 0], ([], []), [], []
    print(
        "| image | field [deg] | ours: error [arcsec] | CPU [s] | search [s] | engine | peer: error | CPU |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        words = options.only.split(",")
        todo = [case for case in cases(room) if any(word in case.name for word in words)]

        def work(case):
            return ours(case), (None if options.no_peer else peer(case, room, options.cpulimit))

        pool = ThreadPoolExecutor(options.jobs)
        for case, done in zip(todo, pool.map(work, todo), strict=True):
            mine, seconds, answer = done[0]
            text, right = told(mine, case)
            line = f"| {case.name} | {case.degrees:.2f} | {text} | {seconds:.1f} | {answer['seconds']:.1f} | "
            line += f"{answer['engine'] or answer['reason'][:60]} |"
            rates[0] += right
            if not options.no_peer:
                theirs, other = done[1]
                text, good = told(theirs, case)
                rates[1] += good
                line += f" {text} | {other:.1f} |"
                times[0].append(seconds)
                times[1].append(other)
                if right and good:
                    both.append((seconds, other))
                if good and not right:
                    only.append(case.name)
            print(line, flush=True)
    print(f"right places: ours {rates[0]}, peer {rates[1]} of {len(todo)}; the peer alone: {only or 'none'}")
    for word, pairs in (("all", list(zip(*times, strict=True))), ("solved by both", both)):
        if pairs:
            a, b = np.median(np.array(pairs), axis=0)
            print(f"median CPU of {word} ({len(pairs)}): ours {a:.2f} s, peer {b:.2f} s, ratio {b / a:.1f}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="part of a file name, or several with commas")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--cpulimit", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--false", type=int, default=0, dest="false_count")
    parser.add_argument("--seconds", type=float, default=60.0, help="allowed per picture without sky")
    parser.add_argument("--fields", type=int, default=0)
    parser.add_argument("--degrees", type=float, default=1.0)
    parser.add_argument("--hinted", action="store_true")
    options = parser.parse_args()
    start = time.process_time()
    if options.false_count:
        false_images(options.false_count, options.seconds)
    elif options.fields:
        random_fields(options.fields, options.degrees)
    elif options.hinted:
        hinted()
    else:
        table(options)
    print(f"({time.process_time() - start:.0f} s CPU of this process)")


if __name__ == "__main__":
    main()
