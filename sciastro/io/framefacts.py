"""What is known of one frame before its pixels are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

__all__ = ["KINDS", "FrameFacts"]

RAW_KINDS = ("bias", "dark", "flat", "dark-flat", "light")
KINDS = (*RAW_KINDS, *(f"master-{kind}" for kind in RAW_KINDS), "unknown")


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """What is known of one frame before its pixels are read. None and "" mean that nobody says.

    Attributes
    ----------
    path, hdu
        File, relative to the session folder with forward slashes, and the image in it.
    of
        Frames of the session that are in the file: more than 1 in a video.
    shape, dtype
        Rows and columns; dtype of the pixels as read.
    kind
        One of `KINDS`.
    filter, filter_text
        Canonical name, and as written. "OSC" is a color camera without a filter that selects;
        "Clear" a camera without color of which no filter is known; "" on bias and dark frames.
    exposure
        Exposure time [s].
    gain_setting, egain, offset, readout_mode
        The camera's settings; `egain` is the conversion gain [electron / adu].
    temperature, set_temperature
        Of the sensor, and asked for [deg C].
    binning
        Columns, rows.
    cfa
        The colors of the pixels (0, 0), (0, 1), (1, 0), (1, 1) as stored, [y, x]; 36 letters row by row
        for X-Trans; "" for mono.
    row_order
        "TOP-DOWN", "BOTTOM-UP" or "".
    target, instrument, telescope, program
        Cleaned texts.
    time
        Middle of the exposure, UTC.
    night
        Date of the evening at which the night began.
    site
        Latitude north, longitude east [deg], height [m] (None unknown).
    pointing
        RA, Dec of the image center or of the telescope [deg].
    focal_length, aperture, pixel_size, scale
        [mm], [mm], [um, after binning], [arcsec / pixel].
    read_noise, saturation
        [electron], [adu].
    pedestal
        Level [adu] that was added to all pixels and stands to be subtracted; 0 where none is named.
    black_level
        Level [adu] of zero light that camera raw names. It stays in the pixels, since masters hold it
        too, and serves as the level of the bias where no master tells it.
    orientation
        TIFF code (1 to 8) of how the picture should be turned for viewing; the pixels never are.
    combined
        Exposures in the file, 1 for a raw frame.
    calibrated
        Letters B, D, F for what has been taken out already, "?" where only that something was.
    adu_per_unit
        Factor from the numbers in the file to adu: 65535 in floating-point files of programs that
        write 0 to 1.
    has_wcs
        Whether the header holds celestial coordinates with a scale.
    origins
        Fact to where it came from: a keyword, "folder name", "file name", "default", ...
    problems
        What did not fit, one sentence each.
    refused
        Those of the problems that a run must name: values that no fact is taken from (keyword, HDU, value),
        and what stands in for them.
    """

    path: str
    hdu: int
    shape: tuple[int, int]
    dtype: str
    kind: str
    filter: str = ""
    filter_text: str = ""
    exposure: float | None = None
    gain_setting: float | None = None
    egain: float | None = None
    offset: float | None = None
    readout_mode: str = ""
    temperature: float | None = None
    set_temperature: float | None = None
    binning: tuple[int, int] = (1, 1)
    cfa: str = ""
    row_order: str = ""
    target: str = ""
    instrument: str = ""
    telescope: str = ""
    program: str = ""
    time: datetime | None = None
    night: date | None = None
    site: tuple[float, float, float | None] | None = None
    pointing: tuple[float, float] | None = None
    focal_length: float | None = None
    aperture: float | None = None
    pixel_size: float | None = None
    scale: float | None = None
    read_noise: float | None = None
    saturation: float | None = None
    pedestal: float = 0.0
    black_level: float | None = None
    orientation: int = 1
    combined: int = 1
    calibrated: str = ""
    adu_per_unit: float = 1.0
    has_wcs: bool = False
    origins: Mapping[str, str] = field(default_factory=dict, hash=False)
    problems: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    of: int = 1

    @property
    def name(self) -> str:
        """Path, and for a frame of a video its number: what tells it apart from all others."""
        return self.path if self.of == 1 else f"{self.path}#{self.hdu:0{len(str(self.of - 1))}d}"

    @property
    def is_master(self) -> bool:
        """Whether the frame is a combined one."""
        return self.kind.startswith("master-")
