"""Small raw frames and facts for the tests of the recipe floor."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
from astropy.io import fits

from sciastro.io.framefacts import FrameFacts

EVENING = datetime(2024, 3, 1, 20, 0, tzinfo=UTC)
_COUNTER = iter(range(10**9))


def write(path, *, level=1000, shape=(12, 16), dtype=np.uint16, **cards):
    """Write a frame with the given cards ("_" stands for "-"); no two files are the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu = fits.PrimaryHDU(np.full(shape, level, dtype))
    for key, value in cards.items():
        hdu.header[key.replace("_", "-")] = value
    hdu.header["COMMENT"] = f"frame {next(_COUNTER)}"
    hdu.writeto(path)
    return path


def frame(kind, **facts):
    """Return the facts of one frame; what is not given is as in a cooled mono camera at gain 100."""
    number = next(_COUNTER)
    given = {
        "path": f"{kind}/{number:05d}.fits",
        "hdu": 0,
        "shape": (100, 120),
        "dtype": "uint16",
        "kind": kind,
        "exposure": 0.0 if kind.endswith("bias") else 60.0,
        "gain_setting": 100.0,
        "offset": 30.0,
        "temperature": -10.0,
        "instrument": "ZWO ASI1600MM Pro",
        "night": date(2024, 3, 1),
        "time": EVENING + timedelta(seconds=70 * number),
        "filter": "" if kind.endswith(("bias", "dark", "dark-flat")) else "L",
        "target": "M 42" if kind == "light" else "",
        "origins": {"target": "OBJECT"} if kind == "light" else {},
    }
    return FrameFacts(**{**given, **facts})


def several(kind, count=3, **facts):
    """Return `count` frames alike."""
    return [frame(kind, **facts) for _ in range(count)]
