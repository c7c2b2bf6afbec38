"""Nights of camera raw and video for tests: FITS frames written again as DNG or SER."""

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from astropy.io import fits

from sciastro.recipe.simulated import night_plan, write_night
from sciastro.simulate.dng import write_dng

COLOR = {
    "telescope.focal_length": 150.0,
    "telescope.aperture": 60.0,
    "seeing": 17.0,
    "sky.least_density": 0.0,
    "sky.faintest": 13.0,
    "lights": 3,
    "biases": 4,
    "darks": 4,
    "flats": 4,
    "bands": "OSC",
    "camera.cfa": "RGGB",
    "camera.rows": 512,
    "camera.columns": 640,
    "row_order": "TOP-DOWN",
    "program": "nina",
}
KEPT = ("IMAGETYP", "EXPTIME", "EXPOSURE", "DATE-OBS", "OBJECT", "BAYERPAT", "ROWORDER", "FOCALLEN", "XPIXSZ")


def color_night(folder: Path, **changes: object) -> Path:
    """Write a small one-shot-color night as FITS, whose headers say only what a camera raw can say."""
    write_night(night_plan("tiny", COLOR | changes), folder)
    for path in folder.rglob("*.fits"):
        with fits.open(path) as hdus:
            full, pixels = hdus[0].header, hdus[0].data.copy()
        header = fits.Header({key: full[key] for key in KEPT if key in full})
        header["ISO"], header["INSTRUME"], header["SATURATE"] = 800, "sciastro Test", 65535
        header["BAYERPAT"] = header.get("BAYERPAT", "RGGB")
        fits.PrimaryHDU(pixels, header).writeto(path, overwrite=True)
    return folder


def as_dng(fits_folder: Path, folder: Path, **changes: object) -> Path:
    """Write every frame of a FITS night again as DNG, below folders that tell its kind and target."""
    for path in sorted(fits_folder.rglob("*.fits")):
        with fits.open(path) as hdus:
            header, pixels = hdus[0].header, hdus[0].data.astype(np.uint16)
        kind = str(header["IMAGETYP"]).lower()
        place = folder / (f"{header['OBJECT']}/lights" if kind.startswith("light") else kind)
        place.mkdir(parents=True, exist_ok=True)
        number = len(list(place.glob("*.dng")))
        facts = {
            "cfa": "RGGB",
            "exposure": max(float(header["EXPTIME"]), 1e-5),
            "iso": 800,
            "time": datetime.fromisoformat(str(header["DATE-OBS"])[:23]).replace(tzinfo=UTC),
            "focal_length": float(header["FOCALLEN"]),
            "pixel_size": float(header["XPIXSZ"]),
            "make": "sciastro",
            "model": "Test",
        }
        write_dng(place / f"IMG_{number:04d}.dng", pixels, **(facts | changes))
    return folder


def write_ser(
    path, frames, *, color=0, depth=16, flag=0, stamps=(), order="<", texts=("", "ZWO ASI290MM", "")
):
    """Write a SER video: uint8 or uint16 frames (number, y, x), time stamps (datetime, UTC) behind them."""
    count, height, width = frames.shape
    epoch = datetime(1, 1, 1, tzinfo=UTC)
    ticks = [(moment - epoch) // timedelta(microseconds=1) * 10 for moment in stamps]
    head = struct.pack("<14s7i", b"LUCAM-RECORDER", 0, color, flag, width, height, depth, count)
    head += b"".join(text.encode().ljust(40, b"\0") for text in texts)
    head += struct.pack("<2q", 0, ticks[0] if ticks else 0)
    data = frames.astype(f"{order}u{frames.dtype.itemsize}").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + data + b"".join(struct.pack("<q", tick) for tick in ticks))
    return path


def as_ser(fits_folder: Path, folder: Path) -> Path:
    """Write the frames of a FITS night again as one video per kind and filter, with settings beside it."""
    groups: dict[tuple[str, str, float], list[tuple[datetime, np.ndarray]]] = {}
    for path in sorted(fits_folder.rglob("*.fits")):
        with fits.open(path) as hdus:
            header, pixels = hdus[0].header, hdus[0].data.astype(np.uint16)
        key = (
            str(header["IMAGETYP"]).lower().split()[0],
            str(header.get("FILTER", "")),
            float(header["EXPTIME"]),
        )
        moment = datetime.fromisoformat(str(header["DATE-OBS"])[:26]).replace(tzinfo=UTC)
        groups.setdefault(key, []).append((moment, pixels))
        target = str(header.get("OBJECT", ""))
    for (kind, band, seconds), frames in groups.items():
        place = folder / (f"{target}/lights" if kind == "light" else kind) / f"clip_{band or 'x'}.ser"
        stamps, pixels = zip(*sorted(frames, key=lambda one: one[0]), strict=True)
        write_ser(place, np.stack(pixels), stamps=stamps)
        lines = ["[ZWO ASI290MM]", f"Exposure={1000 * seconds:.4f}ms", "Gain=100", "Temperature=-10.0"]
        lines += [f"Filter={band}"] if band else []
        place.with_name(place.stem + ".CameraSettings.txt").write_text("\n".join(lines))
    return folder


def packed(path: Path, mosaic: np.ndarray) -> Path:
    """Pack the pixels of a plain DNG as lossless JPEG (ITU T.81, process 14, predictor 1), as cameras do."""
    content = bytearray(path.read_bytes())
    data = lossless_jpeg(mosaic)
    for tag, kind, value in ((259, 3, 7), (273, 4, len(content)), (279, 4, len(data))):
        at = content.find(struct.pack("<HHI", tag, kind, 1))
        content[at + 8 : at + 12] = struct.pack("<I", value)
    path.write_bytes(bytes(content) + data)
    return path


def lossless_jpeg(pixels: np.ndarray) -> bytes:
    """Return 16-bit pixels as lossless JPEG; every category of differences has a code of five bits."""
    values = pixels.astype(np.int64)
    before = np.empty_like(values)
    before[:, 1:] = values[:, :-1]
    before[1:, 0] = values[:-1, 0]
    before[0, 0] = 1 << 15
    bits = []
    for step in ((values - before + 32768) % 65536 - 32768).ravel().tolist():
        size = abs(step).bit_length()
        bits.append(f"{size:05b}")
        if 0 < size < 16:
            bits.append(f"{step if step > 0 else step + (1 << size) - 1:0{size}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    stream = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    table = bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
    rows, columns = pixels.shape
    return (
        b"\xff\xd8\xff\xc4" + struct.pack(">HB", 3 + len(table), 0) + table
        + b"\xff\xc3" + struct.pack(">HBHHB3B", 11, 16, rows, columns, 1, 0, 0x11, 0)
        + b"\xff\xda" + struct.pack(">HB5B", 8, 1, 0, 0, 1, 0, 0) + stream + b"\xff\xd9"
    )  # fmt: skip
