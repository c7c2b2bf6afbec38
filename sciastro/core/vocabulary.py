"""The words that every step shares: each variable's dims, dtype kind, unit and meaning.

Steps never import each other; they meet in these names. `require` is the first line of every step.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sciastro.errors import DatasetError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["VARIABLES", "VariableSpec", "labeled", "require"]

KIND_NAMES = {"f": "floating point", "iu": "integer", "b": "boolean", "UOT": "text", "M": "datetime64"}


@dataclass(frozen=True, kw_only=True, slots=True)
class VariableSpec:
    """One entry of the vocabulary.

    Attributes
    ----------
    name, dims
        Name in the dataset and its dimensions, in order.
    kind
        Allowed ``dtype.kind`` letters.
    unit
        Unit string as written into ``attrs["units"]`` ("1" for pure numbers, "" for text).
    meaning
        One sentence; says what NaN means where it may occur.
    """

    name: str
    dims: tuple[str, ...]
    kind: str
    unit: str
    meaning: str


def _spec(name: str, dims: str, kind: str, unit: str, meaning: str) -> VariableSpec:
    return VariableSpec(name=name, dims=tuple(dims.split()), kind=kind, unit=unit, meaning=meaning)


RAW = _spec("raw", "frame y x", "iuf", "adu", "Pixels as read from the file, never changed.")
SIGNAL = _spec("signal", "frame y x", "f", "electron", "Photo-electrons per pixel; NaN is missing.")
VARIANCE = _spec("variance", "frame y x", "f", "electron2", "Variance of `signal`; NaN is missing.")
QUALITY = _spec("quality", "frame y x", "iu", "1", "Bits of `Quality`.")

IMAGE = _spec("image", "band y x", "f", "electron / s", "Integrated rate per pixel; NaN is missing.")
IMAGE_VARIANCE = _spec("image_variance", "band y x", "f", "electron2 / s2", "Variance of `image`.")
IMAGE_QUALITY = _spec("image_quality", "band y x", "iu", "1", "Bits of `Quality`.")
COVERAGE = _spec("coverage", "band y x", "f", "1", "Effective number of frames; 0 where none.")
REJECTED_LOW = _spec("rejected_low", "band y x", "iu", "1", "Frames rejected below the center.")
REJECTED_HIGH = _spec("rejected_high", "band y x", "iu", "1", "Frames rejected above the center.")
CONTEXT = _spec(
    "context", "band plane y x", "iu", "1", "Which frames made the pixel: bit n % 32 of plane n // 32."
)
DISPLAY = _spec("display", "y x channel", "f", "1", "A picture, 0 to 1; never measured.")

BAND = _spec("band", "band", "UOT", "", "Name of the band, as `filter` of its frames.")
PIXEL_Y = _spec("y", "y", "iuf", "pixel", "Row of the grid that a shown row comes from; 0 is the first.")
PIXEL_X = _spec("x", "x", "iuf", "pixel", "Column of the grid that a shown column comes from.")
CHANNEL = _spec("channel", "channel", "UOT", "", "Channel of a picture: red, green, blue; or gray.")

TIME = _spec("time", "frame", "M", "", "Mid-exposure, UTC; NaT where the header is silent.")
BJD_TDB = _spec(
    "bjd_tdb",
    "frame",
    "f",
    "d",
    "Barycentric Julian date (TDB) of `time` for the target's direction; NaN where a place is unknown.",
)
EXPOSURE = _spec("exposure", "frame", "f", "s", "Exposure time.")
FILTER = _spec("filter", "frame", "UOT", "", "Band name, canonical spelling.")
TARGET = _spec("target", "frame", "UOT", "", "Name of the object.")
PATH = _spec("path", "frame", "UOT", "", "File, relative to the session folder.")
SHA256 = _spec("sha256", "frame", "UOT", "", "Digest of the file as read.")
GAIN = _spec("gain", "frame", "f", "electron / adu", "Conversion gain; NaN unknown.")
READ_NOISE = _spec("read_noise", "frame", "f", "electron", "Read noise per pixel; NaN unknown.")
TEMPERATURE = _spec("temperature", "frame", "f", "deg_C", "Sensor temperature; NaN unknown.")
AIRMASS = _spec("airmass", "frame", "f", "1", "Airmass at mid-exposure; NaN unknown.")
BINNING = _spec("binning", "frame", "UOT", "", "Columns and rows of the sensor in a pixel, such as 1x1.")
GAIN_SOURCE = _spec("gain_source", "frame", "UOT", "", "Where gain and read noise come from.")
SITE_LATITUDE = _spec("site_latitude", "frame", "f", "deg", "Latitude of the site, north; NaN unknown.")
SITE_LONGITUDE = _spec("site_longitude", "frame", "f", "deg", "Longitude of the site, east; NaN unknown.")
SITE_HEIGHT = _spec("site_height", "frame", "f", "m", "Height of the site; NaN unknown.")
TELESCOPE_APERTURE = _spec("telescope_aperture", "frame", "f", "m", "Diameter; NaN unknown.")
SATURATION = _spec("saturation", "frame", "f", "adu", "Level at which pixels saturate.")
CFA = _spec("cfa", "frame", "UOT", "", "Color filter array as stored (y up), such as RGGB; empty for mono.")

FWHM = _spec("fwhm", "frame", "f", "pixel", "Median full width at half maximum of stars; NaN no stars.")
ECCENTRICITY = _spec("eccentricity", "frame", "f", "1", "Median eccentricity of stars; NaN no stars.")
ELONGATION = _spec("elongation", "frame", "f", "1", "Axis ratio common to all stars, 1 round; NaN no stars.")
SKY = _spec("sky", "frame", "f", "electron / s", "Median background rate per pixel.")
NOISE = _spec("noise", "frame", "f", "electron / s", "Background noise (1 sigma) per pixel.")
N_STARS = _spec("n_stars", "frame", "iu", "1", "Stars detected at 5 sigma or more.")
TRANSPARENCY = _spec("transparency", "frame", "f", "1", "Star flux rate relative to the reference frame.")
PSF_SIGNAL = _spec("psf_signal", "frame", "f", "1", "PSF signal weight, on any common scale; NaN no stars.")
WEIGHT = _spec("weight", "frame", "f", "1", "Weight in the stack; 0 only where `use` is False.")
USE = _spec("use", "frame", "b", "1", "Whether the frame enters the stack.")
SPARSE = _spec(
    "sparse",
    "frame",
    "b",
    "1",
    "Whether most pixels are no samples, as in one color of a mosaic left as it was.",
)
REASON = _spec("reason", "frame", "UOT", "", "Why a frame is left out or weighted down; empty if neither.")
WCS = _spec(
    "wcs", "frame", "UOT", "", "WCS as FITS header text, one per frame, a scalar for an image; else empty."
)
FROM_REFERENCE = _spec(
    "from_reference",
    "frame axis term",
    "f",
    "pixel",
    "Polynomial from reference-grid to frame pixels (see `core.transform`); NaN unregistered.",
)

REGISTRATION_RMS = _spec(
    "registration_rms", "frame", "f", "pixel", "Residual of the stars used; NaN unregistered."
)
REGISTRATION_STARS = _spec("registration_stars", "frame", "iu", "1", "Stars used in the registration.")
REGISTRATION_REASON = _spec(
    "registration_reason", "frame", "UOT", "", "Why the frame could not be registered; empty where it is."
)
FRAME_CORRELATION = _spec(
    "frame_correlation",
    "frame",
    "f",
    "1",
    "Noise of large areas of an aligned frame over what uncorrelated pixels of `variance` give.",
)

ZEROPOINT = _spec("zeropoint", "band", "f", "mag", "Magnitude of 1 electron / s; NaN uncalibrated.")
ZEROPOINT_ERR = _spec("zeropoint_err", "band", "f", "mag", "Its standard error.")
COLOR_TERM = _spec("color_term", "band", "f", "1", "Coefficient of the catalog color.")
ZEROPOINT_COVARIANCE = _spec(
    "zeropoint_covariance",
    "band term term_2",
    "f",
    "mag2",
    "Covariance of zero point, color term and further terms, named in its attribute `terms`.",
)
NOISE_CORRELATION = _spec(
    "noise_correlation",
    "band",
    "f",
    "1",
    "Noise of large areas over what uncorrelated pixels of `image_variance` give.",
)
NOISE_AUTOCORRELATION = _spec(
    "noise_autocorrelation",
    "band lag_y lag_x",
    "f",
    "1",
    "Correlation of the noise of two pixels by their offset, 1 in the middle; mean over the image.",
)
COLOR_GAIN = _spec("color_gain", "band", "f", "1", "Factor per band that makes the white reference gray.")
COLOR_GAIN_ERR = _spec("color_gain_err", "band", "f", "1", "Its standard error.")
IMAGE_EXPOSURE = _spec("image_exposure", "band", "f", "s", "Summed exposure of the frames used.")
N_FRAMES = _spec("n_frames", "band", "iu", "1", "Frames used.")
BACKGROUND_MODEL = _spec(
    "background_model", "band y x", "f", "electron / s", "Smooth sky, for pictures only; never measured."
)

VARIABLES: dict[str, VariableSpec] = {
    spec.name: spec for spec in list(globals().values()) if isinstance(spec, VariableSpec)
}


def require(ds: "xr.Dataset", *specs: VariableSpec) -> None:
    """Check that `ds` holds every variable with the dims, dtype kind and unit of its entry.

    Raises
    ------
    DatasetError
        At the first variable that is missing or differs.
    """
    if not hasattr(ds, "data_vars"):
        raise DatasetError(
            f"is a {type(ds).__name__}, and this step needs a labeled dataset.",
            where="the input",
            remedy="Open files with `sciastro.open`, or make an `xarray.Dataset`.",
        )
    for spec in specs:
        where = f"variable '{spec.name}'"
        if spec.name not in ds.variables:
            raise DatasetError("is missing.", where=where, remedy=f"This step needs it: {spec.meaning}")
        variable = ds[spec.name]
        if variable.dims != spec.dims:
            raise DatasetError(
                f"has dims {variable.dims}, and this step needs {spec.dims}.",
                where=where,
                remedy="Transpose or select first.",
            )
        if variable.dtype.kind not in spec.kind:
            raise DatasetError(
                f"has dtype {variable.dtype}, and this step needs {KIND_NAMES.get(spec.kind, spec.kind)}.",
                where=where,
                remedy="Convert it first.",
            )
        unit = variable.attrs.get("units", "")
        if unit == spec.unit or not spec.unit or (not unit and spec.unit == "1"):  # made by hand
            continue
        remedy = "Run `calibrate.correct` first." if spec in (SIGNAL, VARIANCE) else "Convert it."
        if not unit:
            remedy = f"If it is in that, say so: ds['{spec.name}'].attrs['units'] = '{spec.unit}'."
        raise DatasetError(f"is in {unit!r}, and this step needs {spec.unit!r}.", where=where, remedy=remedy)


def labeled(spec: VariableSpec, data: object) -> "xr.Variable":
    """Return `data` as the variable of `spec`, unit and meaning in its attributes.

    Parameters
    ----------
    spec
        Entry of the vocabulary.
    data
        Array (numpy or dask) whose dims are ``spec.dims``; a plain list is converted.
    """
    import xarray as xr

    attrs = {"long_name": spec.meaning}
    if spec.unit:
        attrs["units"] = spec.unit
    if spec.name == TIME.name:
        attrs["scale"] = "utc"
    return xr.Variable(spec.dims, data, attrs)
