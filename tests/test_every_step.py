"""One contract for every step of the recipe table.

Input untouched; exactly the declared variables written, with the vocabulary's dims, unit, dtype kind and
meaning; one history entry with the options; lazy in = lazy out with equal numbers and dtypes; nothing
computed behind the user's back; read-only input is enough; what is missing, lazy or in the wrong unit is
named.
"""

import ast
import dataclasses
import functools
import json
import re
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from astropy.table import QTable

import sciastro
from sciastro.core import transform
from sciastro.core import vocabulary as v
from sciastro.core.history import history, record
from sciastro.core.lift import chunk_rows, is_lazy
from sciastro.core.options import describe
from sciastro.core.stars import STAR_DTYPE
from sciastro.core.vocabulary import VARIABLES, labeled, require
from sciastro.core.wcs import tan_wcs, wcs_to_text
from sciastro.errors import DatasetError, SciastroError
from sciastro.photometry.steps import measure_bands
from sciastro.recipe.steps import GIVEN, STEPS, Step, check

FUNCTIONS = {name: step for name, step in STEPS.items() if step.function is not None}
SHAPE, N = (120, 136), 3
EITHER = {"wcs": ((), ("frame",))}  # one per frame, or a scalar of an image grid


# --- examples: for every step a small dataset that has all it reads and uses -------------------------------


def _gaussians(xs, ys, flux, fwhm=3.0, shape=SHAPE):
    sigma = fwhm / 2.3548
    y, x = np.mgrid[: shape[0], : shape[1]]
    stars = [
        f * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * sigma**2))
        for a, b, f in zip(xs, ys, flux, strict=True)
    ]
    return np.sum(stars, axis=0) / (2 * np.pi * sigma**2)


@functools.cache
def _field():
    """Return star positions on a jittered lattice, fluxes [electron / s], and V and B-V."""
    rng = np.random.default_rng(8)
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(14.0, 130, 15), np.arange(14.0, 112, 15)))
    x, y = x + rng.uniform(-2, 2, x.size), y + rng.uniform(-2, 2, y.size)
    magnitude, color = rng.uniform(8, 12, x.size), rng.uniform(0.0, 1.3, x.size)
    return x, y, magnitude, color


def _frames(cfa=""):
    """Return calibrated frames with every fact that any step on frames may read."""
    rng = np.random.default_rng(4)
    x, y, magnitude, _ = _field()
    truth = 20.0 * (_gaussians(x, y, 10 ** (-0.4 * (magnitude - 20))) + 10.0)
    signal = (rng.poisson(truth, (N, *SHAPE)) + rng.normal(0, 3, (N, *SHAPE))).astype("f4")
    variance = (np.maximum(signal, 0) + 9).astype("f4")
    quality = np.zeros(signal.shape, "u2")
    signal[:, 5, 5], variance[:, 5, 5], quality[:, 5, 5] = np.nan, np.nan, 1 | 1 << 13
    maps = np.repeat(transform.identity()[None], N, axis=0)
    maps[1:, :, 0] = [[1.4, -2.3], [-3.1, 0.6]]
    wcs = wcs_to_text(tan_wcs(83.6, 22.0, 2.0, SHAPE))
    columns = {
        v.EXPOSURE: np.full(N, 20.0),
        v.FILTER: np.array(["OSC"] * N if cfa else ["R", "V", "R"]),
        v.CFA: np.array([cfa] * N),
        v.TARGET: np.array(["M 1"] * N),
        v.GAIN: np.full(N, 1.3),
        v.READ_NOISE: np.full(N, 3.0),
        v.SATURATION: np.full(N, 6e4),
        v.FWHM: np.full(N, 3.0),
        v.ECCENTRICITY: np.full(N, 0.2),
        v.ELONGATION: np.full(N, 1.05),
        v.SKY: np.full(N, 10.0),
        v.NOISE: np.full(N, 0.7),
        v.N_STARS: np.full(N, 50),
        v.TRANSPARENCY: np.array([1.0, 0.95, 0.9]),
        v.PSF_SIGNAL: np.array([3.0, 2.9, 2.8]),
        v.AIRMASS: np.array([1.0, 1.1, 1.2]),
        v.TEMPERATURE: np.full(N, -10.0),
        v.REGISTRATION_RMS: np.full(N, 0.1),
        v.TIME: np.array(["2024-01-13T22:00"] * N, dtype="datetime64[ns]"),
        v.WEIGHT: np.array([1.0, 0.9, 0.8]),
        v.USE: np.ones(N, bool),
        v.SPARSE: np.zeros(N, bool),
        v.REASON: np.array([""] * N),
        v.FROM_REFERENCE: maps,
        v.FRAME_CORRELATION: np.ones(N),
        v.WCS: np.array([wcs] * N),
    }
    ds = xr.Dataset(
        {
            "signal": labeled(v.SIGNAL, signal),
            "variance": labeled(v.VARIANCE, variance),
            "quality": labeled(v.QUALITY, quality),
        },
        coords={spec.name: labeled(spec, data) for spec, data in columns.items()},
        attrs={"title": "a night"},
    )
    return record(ds, "example")


def _image():
    """Return an integrated dataset of three bands with every variable that any step on images may read."""
    rng = np.random.default_rng(6)
    x, y, magnitude, color = _field()
    planes = []
    for slope in (-0.5, 0.0, 1.0):
        flux = 10 ** (-0.4 * (magnitude + slope * color - 21))
        planes.append(rng.normal(_gaussians(x, y, flux), 0.4))
    image = np.stack(planes).astype("f4")
    quality = np.zeros(image.shape, "u2")
    image[:, 3, 3], quality[:, 3, 3] = np.nan, 1 | 1 << 13
    y_ramp = np.broadcast_to(np.linspace(0, 1, SHAPE[0], dtype="f4")[:, None], SHAPE)
    ds = xr.Dataset(
        {
            "image": labeled(v.IMAGE, image),
            "image_variance": labeled(v.IMAGE_VARIANCE, np.full_like(image, 0.16)),
            "image_quality": labeled(v.IMAGE_QUALITY, quality),
            "coverage": labeled(v.COVERAGE, np.full_like(image, 3.0)),
            "background_model": labeled(v.BACKGROUND_MODEL, np.stack([y_ramp] * 3)),
            "color_gain": labeled(v.COLOR_GAIN, np.array([1.2, 1.0, 0.9])),
        },
        coords={
            "band": labeled(v.BAND, np.array(["R", "G", "B"])),
            "wcs": ((), wcs_to_text(tan_wcs(83.6, 22.0, 2.0, SHAPE))),
        },
        attrs={"title": "an image"},
    )
    return record(ds, "example")


def _star_list(dx=0.0, dy=0.0):
    x, y, magnitude, _ = _field()
    order = np.argsort(magnitude)
    stars = np.zeros(x.size, STAR_DTYPE)
    stars["x"], stars["y"], stars["fwhm"] = x[order] + dx, y[order] + dy, 3.0
    stars["x_err"] = stars["y_err"] = 0.02
    stars["flux"] = 10 ** (-0.4 * (magnitude[order] - 20))
    stars["flux_err"], stars["snr"] = 0.01 * stars["flux"], 100.0
    return stars


def _calibrators():
    x, y, magnitude, color = _field()
    ds = _image()
    stars = {band: _star_list() for band in ("R", "G", "B")}
    ra, dec = tan_wcs(83.6, 22.0, 2.0, SHAPE).all_pix2world(x, y, 0)
    catalog = QTable(
        {
            "id": np.arange(x.size).astype(str),
            "ra": ra * u.deg,
            "dec": dec * u.deg,
            "mag": magnitude * u.mag,
            "mag_err": np.full(x.size, 0.01) * u.mag,
            "color": color * u.mag,
        },
        meta={"system": "Johnson V, B-V", "catalog": "made up"},
    )
    return {"sources": measure_bands(ds, stars, dict.fromkeys(stars, 3.0)), "catalog": catalog}


def _raw():
    rng = np.random.default_rng(2)
    raw = np.clip(rng.normal(1000, 20, (N, *SHAPE)), 0, 65535).astype("u2")
    ds = _frames().drop_vars(["signal", "variance", "quality"]).assign(raw=labeled(v.RAW, raw))
    flat = np.stack([np.full(SHAPE, 0.9, "f4"), np.full(SHAPE, 1.1, "f4")])
    masters = xr.Dataset(
        {
            "dark": (("y", "x"), np.full(SHAPE, 300, "f4"), {"units": "adu"}),
            "dark_variance": (("y", "x"), np.full(SHAPE, 2, "f4"), {"units": "adu2"}),
            "flat": (("band", "y", "x"), flat, {"units": "1"}),
            "defects": (("y", "x"), (rng.random(SHAPE) < 0.01).astype("u2") * 2048, {"units": "1"}),
        },
        coords={"band": ["R", "V"]},
    )
    return ds, {"masters": masters}


@functools.cache
def _example(name):
    """Return the dataset and the further arguments of a step."""
    if name == "calibrate.correct":
        return _raw()
    if name == "calibrate.debayer":
        return _frames(cfa="GRBG"), {}
    if name == "astrometry.register":
        return _frames(), {"star_lists": [_star_list(), _star_list(1.4, -2.3), _star_list(-3.1, 0.6)]}
    if name in ("photometry.zeropoint", "photometry.color"):
        return _image(), _calibrators()
    if name.startswith("render."):
        return _image(), {}
    return _frames(), {}


@pytest.fixture
def example(name):
    ds, extra = _example(name)
    for one in extra.values():  # shared by all tests: no step may write into its further arguments
        if isinstance(one, xr.Dataset):
            freeze(one)
        elif isinstance(one, list):
            for stars in one:
                stars.setflags(write=False)
    return ds.copy(deep=True), extra


def call(name, ds, extra, **options):
    step = STEPS[name]
    return step.function(ds, **extra, options=step.options(**options))


def fresh(ds, step):
    """Return `ds` without what the step adds, so that what comes out was written by it."""
    added = [one for one in step.writes if one in ds.variables and one not in (*step.reads, *step.uses)]
    return ds.drop_vars(added)


def refuse(*_args, **_kwargs):
    raise AssertionError("computed behind the user's back")


def freeze(ds):
    """Make every array of `ds` read-only and return `ds`."""
    for variable in ds.variables.values():
        if isinstance(variable.data, np.ndarray):
            variable.data.setflags(write=False)
    return ds


every_step = pytest.mark.parametrize("name", FUNCTIONS)


# --- the contract ---------------------------------------------------------------------------------------


@every_step
def test_input_is_untouched(name, example):
    ds, extra = example
    before = ds.copy(deep=True)
    call(name, ds, extra)
    xr.testing.assert_identical(ds, before)  # values, names, attrs, coords
    for one in ds.variables:
        assert ds[one].dtype == before[one].dtype
        assert ds[one].encoding == before[one].encoding


@every_step
def test_later_changes_of_the_result_do_not_reach_the_input(name, example):
    ds, extra = example
    before = ds.copy(deep=True)
    out = call(name, ds, extra)
    for one in STEPS[name].writes:
        out[one].attrs["touched"] = "yes"
        if out[one].dtype.kind == "f" and out[one].ndim:
            out[one].values[...] = -1
    out.attrs["touched"] = "yes"
    xr.testing.assert_identical(ds, before)


@every_step
def test_read_only_input_is_enough(name, example):
    ds, extra = example
    copy = ds.copy(deep=True)
    freeze(ds)
    pixels = next(one for one in STEPS[name].reads if one in ds.variables and one not in ds.indexes)
    assert not ds[pixels].values.flags.writeable
    xr.testing.assert_identical(call(name, ds, extra), call(name, copy, extra))


@every_step
def test_exactly_the_declared_variables_are_written(name, example):
    step, (ds, extra) = STEPS[name], example
    ds = fresh(ds, step)
    out = call(name, ds, extra)
    if step.new_grid:
        inherited = (
            {one for one in ds.coords if ds[one].dims in (("frame",), ())} if step.keeps_frames else set()
        )
        allowed = (inherited - set(step.drops)) | set(step.writes)
        assert set(out.variables) == allowed
        kept = allowed - set(step.writes)
    else:
        assert set(out.variables) == set(ds.variables) | set(step.writes)
        kept = set(ds.variables) - set(step.writes)
        assert set(out.coords) >= set(ds.coords)
    for one in kept:
        if out[one].sizes == ds[one].sizes:
            xr.testing.assert_identical(out[one].variable, ds[one].variable)
        else:  # debayering repeats the facts of a frame for its colors
            assert name == "calibrate.debayer"
            np.testing.assert_array_equal(out[one].values, np.repeat(ds[one].values, 3))
    assert {key: value for key, value in out.attrs.items() if key not in ("history", "recipe")} == {
        key: value for key, value in ds.attrs.items() if key != "history"
    }


@every_step
def test_what_is_written_is_what_the_vocabulary_says(name, example):
    step, (ds, extra) = STEPS[name], example
    out = call(name, fresh(ds, step), extra)
    for one in step.writes:
        spec, variable = VARIABLES[one], out[one]
        assert variable.attrs.get("long_name"), one
        if one in EITHER:
            assert variable.dims in EITHER[one]
            assert variable.dtype.kind in "UOT"
            continue
        require(out, spec)  # dims, dtype kind, unit
        assert variable.attrs.get("units", "") == spec.unit
        assert variable.attrs["long_name"] == spec.meaning
        if one.endswith("quality"):
            assert "HOT" in variable.attrs["flag_meanings"].split()
    for one in out.data_vars:
        if out[one].dtype.kind == "f" and VARIABLES[one].unit != "1":
            assert out[one].attrs["units"]


@every_step
def test_one_history_entry_with_the_options(name, example):
    step, (ds, extra) = STEPS[name], example
    out = call(name, ds, extra)
    assert history(out)[:-1] == history(ds)  # inherited on a new grid as well
    entry = history(out)[-1]
    assert entry["step"] == name
    assert entry["options"] == json.loads(json.dumps(step.options().as_dict()))
    assert entry["version"]


@every_step
@pytest.mark.parametrize("rows", [48, SHAPE[0]])
def test_lazy_in_lazy_out_same_numbers_same_dtypes(name, example, rows):
    step, (ds, extra) = STEPS[name], example
    eager = call(name, ds, extra)
    chunked = chunk_rows(ds, rows)
    assert any(is_lazy(chunked[one]) for one in ds.data_vars) or name == "integrate.grade"
    if step.computes:
        with dask.config.set(scheduler=refuse), pytest.raises(AssertionError, match="behind the user's back"):
            call(name, chunked, extra)  # honest: the table says that it computes, and it does
        lazy = call(name, chunked, extra)
    else:
        with dask.config.set(scheduler=refuse):
            lazy = call(name, chunked, extra)
    for one in step.writes:
        assert is_lazy(lazy[one]) == (one not in step.in_memory), one
    for one in ds.data_vars:
        assert is_lazy(chunked[one]) or not {"y", "x"} <= set(ds[one].dims)
        if one in lazy.data_vars and one not in step.writes:
            assert is_lazy(lazy[one]) == is_lazy(chunked[one])
    computed = lazy.compute()
    xr.testing.assert_allclose(computed, eager, rtol=1e-6)
    assert {one: computed[one].dtype for one in computed.variables} == {
        one: eager[one].dtype for one in eager.variables
    }
    assert {one: lazy[one].dtype for one in lazy.variables} == {
        one: eager[one].dtype for one in eager.variables
    }
    for one in eager.variables:
        assert lazy[one].attrs.keys() == eager[one].attrs.keys()
    assert lazy.attrs == eager.attrs


FACTS = [(name, fact) for name, step in FUNCTIONS.items() for fact in step.must_be_loaded]


@pytest.mark.parametrize(("name", "fact"), FACTS)
def test_a_lazy_fact_is_refused_and_never_computed(name, fact, example):
    ds, extra = example
    lazy = ds.assign_coords({fact: ds[fact].variable.chunk({ds[fact].dims[0]: 1})})
    with (
        dask.config.set(scheduler=refuse),
        pytest.raises(DatasetError, match=rf"variable '{fact}': is lazy.*ds\['{fact}'\]\.load\(\)"),
    ):
        call(name, lazy, extra)


@every_step
def test_other_facts_may_be_lazy(name, example):
    step, (ds, extra) = STEPS[name], example
    free = [
        one
        for one in ds.coords
        if ds[one].ndim and one not in step.must_be_loaded and one not in ds.dims and one not in step.writes
    ]
    lazy = ds.assign_coords({one: ds[one].variable.chunk() for one in free})
    with dask.config.set(scheduler=refuse) if not step.computes else dask.config.set():
        out = call(name, lazy, extra)
    xr.testing.assert_allclose(out.compute(), call(name, ds, extra), rtol=1e-6)


READS = [(name, one) for name, step in FUNCTIONS.items() for one in step.reads]
UNITS = [
    (name, one)
    for name, step in FUNCTIONS.items()
    for one in (*step.reads, *step.uses)
    if VARIABLES[one].unit not in ("", "1")
]


@pytest.mark.parametrize(("name", "missing"), READS)
def test_a_missing_variable_is_named(name, missing, example):
    ds, extra = example
    with pytest.raises(DatasetError, match=f"variable '{missing}': is missing"):
        call(name, ds.drop_vars(missing), extra)


@pytest.mark.parametrize(("name", "variable"), UNITS)
@pytest.mark.parametrize("unit", ["furlong", None])
def test_a_wrong_or_absent_unit_is_named(name, variable, unit, example):
    ds, extra = example
    wrong = ds[variable].variable.copy(deep=False)
    wrong.attrs = {key: value for key, value in wrong.attrs.items() if key != "units"}
    if unit:
        wrong.attrs["units"] = unit
    needed = re.escape(repr(VARIABLES[variable].unit))
    with pytest.raises(DatasetError, match=f"variable '{variable}': is in {unit or ''!r}, .*needs {needed}"):
        call(name, ds.assign({variable: wrong}), extra)


@every_step
def test_wrong_dims_are_named(name, example):
    ds, extra = example
    plane = next(one for one in STEPS[name].reads if VARIABLES[one].dims[0] in ("frame", "band"))
    ds = ds.assign({plane: xr.Variable(("epoch", *ds[plane].dims[1:]), ds[plane].data, ds[plane].attrs)})
    with pytest.raises(SciastroError, match=f"variable '{plane}': has dims"):
        call(name, ds, extra)


@every_step
def test_used_variables_are_optional_and_matter(name, example):
    """A step runs without what it only uses, and every such variable is in the example."""
    step, (ds, extra) = STEPS[name], example
    if name == "calibrate.correct":  # masters by filter, and a gain from nowhere else, need theirs
        masters = extra["masters"]
        extra = {"masters": masters.isel(band=0, drop=True)}
        assert {"gain", "read_noise", "filter"} <= set(step.uses)
        bare = ds.drop_vars(step.uses)
        out = step.function(bare, **extra, options=step.options(gain=1.3, read_noise=3.0))
    else:
        for one in step.uses:
            assert one in ds.variables
        out = call(name, ds.drop_vars([one for one in step.uses if one not in ds.indexes]), extra)
    assert set(step.writes) - set(out.variables) <= set(step.uses)


def test_example_of_every_function():
    assert len(FUNCTIONS) >= 12
    for name, step in FUNCTIONS.items():
        ds, _ = _example(name)
        assert {*step.reads, *step.uses} <= set(ds.variables), name


# --- options --------------------------------------------------------------------------------------------

# Floating-point options that are pure numbers (ratios, shares, probabilities, S/N). A new one needs a
# unit, or a place here.
PURE = {
    "integrate.canvas": "drift largest",
    "calibrate.match": "exposure_tolerance max_dark_scale",
    "calibrate.masters": "low high max_saturated min_flat_level",
    "calibrate.defects": "dead_fraction low_flat light_sigma",
    "calibrate.cosmic": "neighbor_fraction contrast",
    "measure.stars": "aperture sharpness",
    "measure.trails": "length",
    "astrometry.solve": "isolation false_alarm",
    "astrometry.register": "max_scale false_alarm",
    "integrate.grade": "cloud blur eccentricity elongation",
    "integrate.align": "clamp max_excluded",
    "integrate.drizzle": "scale",
    "integrate.stack": (
        "edge esd_share esd_alpha clamp max_excluded low high protect flag_share outlier_share"
    ),
    "photometry.aperture": "growth_snr least_snr crowded_share",
    "photometry.psf": "psf_snr least_snr free_snr",
    "photometry.zeropoint": "least_snr",
    "photometry.color": "least_snr",
    "render.compose": (
        "target star_color saturation chroma_smoothing noise_smoothing green_removal crop min_coverage"
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_every_option_tells_its_meaning_and_unit(name):
    kind = STEPS[name].options
    assert dataclasses.is_dataclass(kind)
    assert kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(kind(), dataclasses.fields(kind)[0].name, None)
    unitless = set()
    for row in describe(kind):
        assert len(row["meaning"]) > 8 and row["meaning"].endswith((".", ")"))
        words = {part.strip() for part in row["type"].split("|")}
        if "float" in words and not row["unit"]:
            unitless.add(row["name"])
        if "str" in words and row["default"] and not row["choices"]:
            pytest.fail(f"{name}.{row['name']}: a text with a default needs its choices")
    assert unitless == set(PURE.get(name, "").split())
    assert kind.from_mapping(kind().as_dict()) == kind()


# --- the table ------------------------------------------------------------------------------------------


def test_the_table_is_proven():
    check()


def _broken(**changes):
    table = dict(STEPS)
    for name, change in changes.items():
        full = next(one for one in table if one.endswith(f".{name}"))
        table[full] = dataclasses.replace(table[full], **change)
    return table


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"cosmic": {"reads": ("image",)}}, "calibrate.cosmic: 'image': is read before any step writes it"),
        (
            {"zeropoint": {"reads": ("signal",)}},
            "photometry.zeropoint: 'signal': is read before",
        ),  # stacked away
        ({"stack": {"reads": ("fwhm",)}}, "integrate.stack: 'fwhm': is read before"),  # aligning drops it
        ({"zeropoint": {"uses": ("display",)}}, "photometry.zeropoint: 'display': reads a picture"),
        ({"depth": {"reads": ("display",)}}, "photometry.depth: 'display': reads a picture"),
        ({"depth": {"writes": ("dpeth",)}}, "photometry.depth: 'dpeth': is not in the vocabulary"),
        ({"depth": {"uses": ("sha256",)}}, "photometry.depth: 'sha256': is used, and no step writes it"),
    ],
)
def test_a_broken_table_is_found(changes, text):
    with pytest.raises(DatasetError, match=re.escape(text)):
        check(_broken(**changes))


def test_order_counts():
    names = list(STEPS)
    i, j = names.index("integrate.stack"), names.index("photometry.zeropoint")
    names[i], names[j] = names[j], names[i]
    with pytest.raises(DatasetError, match="zeropoint: 'image': is read before any step writes it"):
        check({name: STEPS[name] for name in names})


def test_given_and_step_names_are_words_of_the_language():
    assert set(VARIABLES) >= GIVEN
    floors = {"ingest", "calibrate", "measure", "astrometry", "integrate", "photometry", "render"}
    for name, step in STEPS.items():
        assert name.split(".")[0] in floors
        assert isinstance(step, Step)
        if step.function is not None:
            assert step.function.__module__.startswith(f"sciastro.{name.split('.')[0]}.")
            assert set(step.in_memory) <= set(step.writes)
            assert set(step.must_be_loaded) <= {*step.reads, *step.uses}
    assert len({step.options for step in STEPS.values()}) == len(STEPS)  # `Recipe.of` finds them by type
    with pytest.raises(TypeError):
        STEPS["more"] = STEPS["integrate.stack"]


def test_every_options_class_is_found_by_its_own_type():
    kinds = [step.options for step in STEPS.values()]
    for kind in kinds:
        assert [other for other in kinds if issubclass(other, kind)] == [kind]


# --- pictures stay pictures -------------------------------------------------------------------------------


def _display_lines(path):
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value == "display":
                found.append(node.lineno)
        elif (isinstance(node, ast.Name) and node.id == "DISPLAY") or (
            isinstance(node, ast.Attribute) and node.attr in ("display", "DISPLAY")
        ):
            found.append(node.lineno)
    return found


def test_only_raster_and_report_read_display(tmp_path):
    root = Path(sciastro.__file__).parent
    touched = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if _display_lines(path)}
    allowed = {
        "core/vocabulary.py",  # defines it
        "render/compose.py",  # writes it
        "recipe/steps.py",  # forbids it
        "io/raster.py",  # reads it
    }
    assert {one for one in touched if not one.startswith("report/")} <= allowed
    assert "io/raster.py" in touched and "render/compose.py" in touched
    # The writer does not read it back either: no subscript of a dataset with that name.
    tree = ast.parse((root / "render/compose.py").read_text(encoding="utf-8"))
    reads = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and node.slice.value == "display"
    ]
    assert not reads
    bad = tmp_path / "bad.py"
    bad.write_text('flux = ds["display"].sum()\n')
    assert _display_lines(bad) == [1]  # the search does find one
