"""Whatever is in the folder: a clear message, the right exit code, nothing lost, nothing half-written."""

import errno
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from small_nights import BANDS, LIGHTS, command, edit, frames, reduce, rename, repaint, science

FULL = {("Tiny", band): LIGHTS for band in BANDS}


def test_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    run = reduce(tmp_path / "empty", tmp_path / "out")
    assert run.code == 3
    assert "empty: holds no images. Give the folder that holds the raw frames (.fits" in run.told


def test_folder_of_notes_only(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "log.txt").write_text("clouds at two")
    assert reduce(tmp_path / "notes", tmp_path / "out").code == 3


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda raw: b"this is a text file, not an image\n" * 50,
            "is not a FITS file, whatever its name says",
        ),
        (lambda raw: raw[: len(raw) // 2], "is cut off: .* of the 163840 data bytes .* Copy it again"),
        (lambda raw: raw[:1000], "is cut off within its header"),
        (lambda raw: b"", "is empty. Copy it again, or delete it"),
    ],
    ids=["text", "truncated", "truncated-header", "zero-bytes"],
)
def test_a_file_that_is_no_image(night, tmp_path, spoil, told):
    bad = rename(frames(night, "LIGHT")[0], "bad.fits")
    bad.write_bytes(spoil(bad.read_bytes()))
    run = reduce(night, tmp_path / "out")
    assert run.code == 4
    assert run.images == FULL | {("Tiny", "G"): LIGHTS - 1}
    assert re.search(told, run.reason("bad.fits"))
    assert "bad.fits" in run.printed


def test_a_session_of_broken_files_only(tmp_path):
    (tmp_path / "broken").mkdir()
    for number in range(3):
        (tmp_path / "broken" / f"light_{number}.fits").write_bytes(b"")
    run = reduce(tmp_path / "broken", tmp_path / "out")
    assert run.code == 3
    assert "holds 3 images, and none can be used. The first one, light_0.fits: is empty" in run.told


def test_frames_of_nothing_but_nan(night, tmp_path):
    for kind in ("LIGHT", "DARK", "BIAS", "FLAT"):
        for path in frames(night, kind):
            repaint(path, lambda pixels: pixels.astype(np.float32))
    light, dark = rename(frames(night, "LIGHT")[0], "nan_light.fits"), frames(night, "DARK")[0]
    for path in (light, dark):
        repaint(path, lambda pixels: pixels * np.float32(np.nan))
    run = reduce(night, tmp_path / "out")
    assert run.code == 4
    assert run.images == FULL | {("Tiny", "G"): LIGHTS - 1}
    for path in (light, dark):
        assert run.reason(path.name) == "holds no finite pixel. Take it out, or save it again."


def test_a_light_of_another_size(night, tmp_path):
    repaint(
        rename(frames(night, "LIGHT")[0], "small.fits"), lambda pixels: pixels[:200, :210].astype(np.uint16)
    )
    run = reduce(night, tmp_path / "out")
    assert run.code == 4
    assert run.images == FULL | {("Tiny", "G"): LIGHTS - 1}
    assert run.reason("small.fits") == "is 210 x 200, and the other 5 lights of Tiny are 320 x 256"


@pytest.mark.parametrize(("kind", "told"), [("DARK", "no darks for any"), ("FLAT", "no flats for any")])
def test_calibration_that_is_missing_is_named_with_its_cost(night, tmp_path, kind, told):
    shutil.rmtree(frames(night, kind)[0].parent)
    run = reduce(night, tmp_path / "out")
    assert run.code == 0 and run.images == FULL
    assert told in run.printed and any(told in text for text in run.summary["warnings"])


def test_lights_only(night, tmp_path):
    for kind in ("DARK", "FLAT", "BIAS"):
        shutil.rmtree(frames(night, kind)[0].parent)
    run = reduce(night, tmp_path / "out")
    assert run.code == 0 and run.images == FULL
    assert [text.split(":")[0] for text in run.summary["warnings"] if text.startswith("no ")] == [
        "no darks for any of the lights",
        "no bias frames for any of the lights",
        "no flats for any of the lights",
    ]


@pytest.mark.parametrize(("level", "told"), [(65535, "this flat is saturated: 100.0 %"), (500, "is black")])
def test_flats_without_shading(night, tmp_path, level, told):
    for path in frames(night, "FLAT"):
        repaint(path, lambda pixels: np.full_like(pixels, level).astype(np.uint16))
    run = reduce(night, tmp_path / "out")
    assert run.code == 4 and run.images == FULL
    for path in frames(night, "FLAT"):
        assert told in run.reason(path.name)
    notes = [text for text in run.summary["warnings"] if text.startswith("master flat-")]
    assert len(notes) == 2 and all(text.endswith("The lights go without it.") for text in notes)
    assert not list((run.out / "masters").glob("flat*"))


def test_one_bad_flat_is_left_out(night, tmp_path):
    repaint(frames(night, "FLAT")[0], lambda pixels: np.full_like(pixels, 65535).astype(np.uint16))
    run = reduce(night, tmp_path / "out", until="masters")
    assert run.code == 4
    assert "saturated" in run.reason(frames(night, "FLAT")[0].name)
    assert {row["id"]: row["n_frames"] for row in run.summary["masters"]}["flat-G"] == 2


def test_mixed_gain(night, tmp_path):
    for path in frames(night, "LIGHT")[:1]:
        edit(path, GAIN=200, EGAIN=0.5)
    run = reduce(night, tmp_path / "out")
    assert run.code == 0 and run.images == FULL
    assert any(text.startswith("no darks for Tiny G: ") for text in run.summary["warnings"])


def test_a_dark_of_the_wrong_gain_is_never_used(night, tmp_path):
    for path in frames(night, "DARK"):
        edit(path, GAIN=200, EGAIN=0.5)
    run = reduce(night, tmp_path / "out")
    assert run.code == 4 and run.images == FULL
    assert run.reason(frames(night, "DARK")[0].name).startswith("fits no light, while some go without darks")
    assert run.summary["incomplete"] == ["3 dark frames left out"]
    assert not list((run.out / "masters").glob("dark*"))


def test_flats_of_another_filter_only(night, tmp_path):
    for path in frames(night, "FLAT"):
        edit(path, FILTER="B")
    run = reduce(night, tmp_path / "out")
    assert run.code == 4 and run.images == FULL
    assert any("no flats for any of the lights" in text for text in run.summary["warnings"])


def test_mixed_binning(night, tmp_path):
    path = rename(frames(night, "LIGHT")[0], "binned.fits")
    edit(path, XBINNING=2, YBINNING=2)
    repaint(path, lambda pixels: pixels[::2, ::2].astype(np.uint16))
    run = reduce(night, tmp_path / "out")
    assert run.code == 4
    assert (
        run.reason("binned.fits") == "is 160 x 128 binned 2x2, and the other 5 lights of Tiny are 320 x 256"
    )


def test_exposures_that_make_no_sense(night, tmp_path):
    for path, seconds in zip(frames(night, "LIGHT"), (None, 0.0, -5.0), strict=False):
        name = {None: "none", 0.0: "zero", -5.0: "negative"}[seconds]
        edit(rename(path, f"{name}.fits"), EXPTIME=seconds, EXPOSURE=seconds)
    run = reduce(night, tmp_path / "out")
    assert run.code == 4 and sum(run.images.values()) == 3
    assert "is a light without an exposure time. Add EXPTIME" in run.reason("none.fits")
    for name, value in (("zero", "0.0"), ("negative", "-5.0")):
        said = f"is a light without an exposure time: EXPTIME = {value} (HDU 0) is no exposure time"
        assert said in run.reason(f"{name}.fits")


def test_an_exposure_time_that_is_replaced_is_warned_of(night, tmp_path):
    # EXPTIME is refused by name, EXPOSURE behind it is taken, and the frame enters.
    path = rename(frames(night, "LIGHT")[0], "mended.fits")
    edit(path, EXPTIME=-5.0, EXPOSURE=60.0)
    run = reduce(night, tmp_path / "out")
    said = "EXPTIME = -5.0 (HDU 0) is no exposure time; 60 s is taken (EXPOSURE)"
    assert [warning for warning in run.summary["warnings"] if said in warning and "mended.fits" in warning]
    row = next(row for row in run.summary["frames"] if row["path"].endswith("mended.fits"))
    assert row["exposure_s"] == 60.0


def test_a_date_that_is_no_date(night, tmp_path):
    path = rename(frames(night, "LIGHT")[0], "undated.fits")
    dates = [key for key in fits.getheader(path) if key.startswith(("DATE", "MJD"))]
    edit(path, **{**dict.fromkeys(dates), "DATE-OBS": "yesterday"})
    run = reduce(night, tmp_path / "out")
    assert run.code == 0 and run.images == FULL
    (row,) = (row for row in run.summary["frames"] if "undated" in row["path"])
    assert row["time"] is None


def test_two_targets(night, tmp_path):
    moved = [path for path in frames(night, "LIGHT") if "_R_" in path.name]
    for path in moved:
        edit(path, OBJECT="Other one")
    run = reduce(night, tmp_path / "out")
    assert run.code == 0 and run.images == {("Tiny", "G"): LIGHTS, ("Other one", "R"): LIGHTS}
    assert (run.out / "products" / "Other_one_R.fits").exists()


def test_one_light_only(night, tmp_path):
    for path in frames(night, "LIGHT")[1:]:
        path.unlink()
    run = reduce(night, tmp_path / "out")
    assert run.code == 0  # the flats of the other band are spare, which is no fault
    assert run.images == {("Tiny", "G"): 1}
    assert {row["reason"] for row in run.summary["frames"] if not row["used"]} == {"spare: no light needs it"}


def test_no_lights(night, tmp_path):
    shutil.rmtree(frames(night, "LIGHT")[0].parent)
    run = reduce(night, tmp_path / "out")
    assert run.code == 3
    assert "holds no light frames. Masters were made; add lights, or check with `sciastro doctor`" in run.told
    assert reduce(night, tmp_path / "masters-only", until="masters").code == 0


def test_no_stars(night, tmp_path):
    rng = np.random.default_rng(3)
    for path in frames(night, "LIGHT"):
        repaint(path, lambda pixels: (np.median(pixels) + rng.normal(0, 9, pixels.shape)).astype(np.uint16))
    run = reduce(night, tmp_path / "out")
    assert run.code in (3, 4)  # noise may hold a star or two, which make one frame a reference
    unused = [row for row in run.summary["frames"] if row["type"] == "light" and not row["used"]]
    assert len(unused) >= 2 * LIGHTS - 1
    assert all("star" in row["reason"] for row in unused)


def test_a_color_image_among_raw_frames(night, tmp_path):
    repaint(
        rename(frames(night, "LIGHT")[0], "rgb.fits"), lambda pixels: np.stack([pixels] * 3).astype(np.uint16)
    )
    run = reduce(night, tmp_path / "out")
    assert run.code == 4
    assert "holds a color image or a cube of several planes" in run.reason("rgb.fits")


def test_header_strings_never_choose_a_path(night, tmp_path):
    for path in frames(night, "LIGHT"):
        edit(path, OBJECT="../../etc/x", FILTER="a/b?")
        path.write_bytes(path.read_bytes().replace(b"'a/b?", b"'a/b\x01", 1))
    before = {path for path in tmp_path.rglob("*") if path.is_relative_to(night)}
    run = reduce(night, tmp_path / "out")
    assert run.code == 4 and "\x01" not in run.printed
    assert run.summary["products"][0]["image"] == "products/etc-x_a-b.fits"
    outside = {path for path in tmp_path.rglob("*") if not path.is_relative_to(run.out)}
    assert outside == before


def test_same_names_in_two_folders(night, tmp_path):
    for number, path in enumerate(frames(night, "LIGHT")):
        folder = path.parent / ("first" if number < LIGHTS else "second")
        folder.mkdir(exist_ok=True)
        path.rename(folder / f"light_{number % LIGHTS}.fits")
    run = reduce(night, tmp_path / "out", "--keep", "calibrated", until="register")
    assert run.code == 0
    assert len(list((run.out / "calibrated").glob("*.fits"))) == 2 * LIGHTS


def test_links_that_lead_in_circles_or_nowhere(night, tmp_path):
    (night / "loop").symlink_to(night.resolve())
    (night / "broken.fits").symlink_to("nowhere.fits")
    (night / "self.fits").symlink_to("self.fits")
    run = reduce(night, tmp_path / "out")
    assert run.code == 0 and run.images == FULL


def test_unicode_and_spaces(night, tmp_path):
    folder = night.rename(tmp_path / "Nächte im März ✨")
    run = reduce(folder, tmp_path / "Ergebnis – M 13 für später")
    assert run.code == 0 and run.images == FULL


# ------------------------------------------------------------------------------------ where to write
def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_session_itself_is_refused(night):
    before = _digests(night)
    run = reduce(night, night)
    assert run.code == 2
    assert "--out: is the session itself. Choose another folder; raw frames stay untouched." in run.told
    assert _digests(night) == before


def test_output_inside_the_session_is_never_read_as_raw(night):
    out = night / "result"
    first = reduce(night, out)
    (out / "summary.json").unlink()  # as a killed run leaves it
    second = reduce(night, out)
    assert first.code == second.code == 0
    assert [row["path"] for row in first.summary["frames"]] == [
        row["path"] for row in second.summary["frames"]
    ]
    assert reduce(night, night.parent / "elsewhere", until="ingest").code == 0


def test_a_read_only_session(night, tmp_path):
    before = _digests(night)
    for path in [night, *night.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        run = reduce(night, tmp_path / "out")
    finally:
        for path in [night, *night.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert run.code == 0 and _digests(night) == before


def test_output_that_is_a_file_or_below_one(night, tmp_path):
    (tmp_path / "file").write_text("mine")
    run = reduce(night, tmp_path / "file")
    assert run.code == 3 and "is a file, not a folder. Choose another output folder." in run.told
    run = reduce(night, tmp_path / "file" / "out")
    assert run.code == 3 and "a part of the path is a file, not a folder" in run.told
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_output_folder_without_permission(night, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    run = reduce(night, tmp_path / "locked" / "out")
    assert run.code == 3 and "permission denied. Choose a folder that you may write to." in run.told


def test_read_only_disk(night, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("sciastro.io.paths.tempfile.NamedTemporaryFile", refuse)
    run = reduce(night, tmp_path / "out")
    assert run.code == 3 and "the file system is read-only. Choose another folder." in run.told


def test_rubbish_where_the_store_belongs(night, tmp_path):
    (tmp_path / "out").mkdir()
    for extra in ((), ("--resume",)):
        (tmp_path / "out" / "frames.h5").write_text("rubbish")
        run = reduce(night, tmp_path / "out", *extra)
        assert run.code == 0 and run.images == FULL


# ----------------------------------------------------------------------------------------- disk full
NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "name",
    [pytest.param("dark-60s.fits", marks=pytest.mark.slow), "Tiny_R.fits", "summary.json"],
)
def test_full_disk_at_one_file(night, old_run, monkeypatch, name):
    out = old_run()
    before, told = science(out), (out / "summary.json").read_bytes()
    import sciastro.io.paths as paths

    flush = paths._flush

    def fail(path: Path) -> None:
        if path.name.startswith(f".{Path(name).stem[:40]}."):
            raise NO_SPACE
        flush(path)

    monkeypatch.setattr(paths, "_flush", fail)
    run = reduce(night, out, "--set", "stack.high=2.5", until="photometry")
    assert run.code == 3
    assert f"{name}: cannot be written: the disk is full. Free some space" in run.told
    assert set(science(out)) == set(before)  # old or new, never gone; whole, as `reduce` has checked
    if name == "summary.json":
        assert (out / name).read_bytes() == told
    else:
        assert run.summary["status"] == "failed" and "the disk is full" in run.summary["error"]
    for path, content in science(out).items():
        assert content == before[path] or Path(path).name != name  # the one that failed is still the old one
    monkeypatch.undo()
    assert reduce(night, out, until="photometry").code == 0
    assert science(out) == before


@pytest.mark.parametrize("calls", [("posix_fallocate",), ("pwrite", "pwritev")])
def test_full_disk_at_the_store(night, tmp_path, monkeypatch, calls):
    store = tmp_path / "out" / "frames.h5"

    def full(name, call):
        def work(descriptor, *rest):
            status = os.fstat(descriptor)
            if name == "posix_fallocate" or (store.exists() and os.path.samestat(status, store.stat())):
                raise NO_SPACE
            return call(descriptor, *rest)

        return work

    for name in calls:
        monkeypatch.setattr(os, name, full(name, getattr(os, name)))
    run = reduce(night, tmp_path / "out")
    assert run.code == 3 and "frames.h5: cannot be written: the disk is full." in run.told
    assert run.summary["status"] == "failed" and run.summary["products"] == []


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting needs root")
@pytest.mark.parametrize(
    "size", ["300k", "8m", *(pytest.param(size, marks=pytest.mark.slow) for size in ("1500k", "5m"))]
)
def test_a_disk_that_is_really_full(good_night, tmp_path, size):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=False).returncode:
        pytest.skip("this machine may not mount")
    try:
        run = reduce(good_night, disk / "out", until="photometry")
        assert run.code == 3 and re.search("the disk (is full|has .* free)", run.told)
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("options", [(), ("--add",), ("--dry-run",)])
def test_an_output_folder_that_may_not_be_looked_at(night, tmp_path, monkeypatch, options):
    original = Path.stat

    def forbidden(path, **keywords):
        if path.is_relative_to(tmp_path / "closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, **keywords)

    monkeypatch.setattr(Path, "stat", forbidden)
    result = command("reduce", night, "-o", tmp_path / "closed" / "out", *options)
    assert result.exit_code == 3
    assert "cannot be written: permission denied. Choose a folder" in " ".join(result.stderr.split())


@pytest.mark.parametrize("closed", [False, True])
def test_products_of_an_earlier_run_that_cannot_be_looked_at(night, tmp_path, monkeypatch, closed):
    link = tmp_path / "out" / "products" / "old.png"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "gone.fits")
    original = Path.lstat

    def forbidden(path):
        if closed and path == link:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(Path, "lstat", forbidden)
    run = reduce(night, tmp_path / "out", until="ingest")
    assert run.code == (3 if closed else 0), run.told
    if closed:
        assert "old.png: cannot be looked at: Permission denied." in run.told
        assert not (tmp_path / "out" / "summary.json").exists()  # it had not begun
    else:
        assert any("products/old.png" in text for text in run.summary["warnings"])
