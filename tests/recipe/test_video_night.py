"""A night of videos gives what the same frames give as FITS, to the last bit."""

import numpy as np
from astropy.io import fits
from camera_files import as_ser, write_ser
from small_nights import command, edit, reduce

OPTIONS = (
    "--set", "correct.gain=0.7", "--set", "correct.read_noise=4", "--ra", "92.27", "--dec", "24.35",
    "--set", "correct.saturation=65535", "--scale", "5.2254",
)  # fmt: skip


def test_ser_gives_what_fits_gives(night, tmp_path):
    videos = as_ser(night, tmp_path / "videos")
    for path in night.rglob("*.fits"):
        edit(path, EGAIN=None, GAIN=100, OFFSET=None, INSTRUME="ZWO ASI290MM", READOUTM=None)
    one, two = (
        reduce(session, tmp_path / name, *OPTIONS) for session, name in ((night, "one"), (videos, "two"))
    )
    assert (one.code, two.code) == (0, 0)
    assert {band: count for (_, band), count in two.images.items()} == {"G": 3, "R": 3}
    names = [row["path"] for row in two.summary["frames"] if row["type"] == "light"]
    assert len(set(names)) == 6 and all("#" in name for name in names)
    for band in "GR":
        products = [next(run.out.glob(f"products/*_{band}.fits")) for run in (one, two)]
        for plane in ("SCI", "ERR", "DQ"):
            np.testing.assert_array_equal(*(fits.getdata(path, extname=plane) for path in products))


def test_exposure_told_on_the_command_line(tmp_path):
    write_ser(tmp_path / "night/M13/clip.ser", np.full((2, 30, 40), 900, np.uint16))
    asked = command("doctor", tmp_path / "night")
    assert asked.exit_code == 3 and "--set scan.exposure=SECONDS" in " ".join(asked.stderr.split())
    told = command("doctor", tmp_path / "night", "--set", "scan.exposure=0.25")
    assert told.exit_code == 0 and "0.25 s" in told.stdout
