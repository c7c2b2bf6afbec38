"""Artificial stars: what is measured about them is what the whole image, measured again, gives."""

import numpy as np
import pytest
from psf_fields import crowd, expose, quiet, sky_map, stars_at
from scipy.spatial import cKDTree

from sciastro.measure.stars import DetectOptions, measure_plane
from sciastro.photometry.psfinject import Field, InjectOptions, add_stars, inject_stars
from sciastro.photometry.psflocal import fluxes_of, known_stars, measure_near
from sciastro.photometry.psfmodel import moffat_model
from sciastro.photometry.psfphotometry import PsfOptions, plane_of, psf_photometry

SIZE = 200
ONCE = PsfOptions(searches=1)


def find(image, variance, quality):
    return measure_plane(image, quality, gain_noise=variance, options=DetectOptions(fwhm=3.2)).stars


@pytest.fixture(scope="module")
def measured():
    x, y, flux = crowd(11, size=SIZE, number=130)
    planes = expose(x, y, flux, (SIZE, SIZE), 11, elongation=0.0)
    model = moffat_model((SIZE, SIZE), 3.3, radius=14.0, inside=12.8, beta=5.0)
    first = psf_photometry(*planes, stars_at(x, y, 11), fwhm=3.2, sky_map=sky_map, model=model, options=ONCE,
                           tell=quiet)  # fmt: skip
    return planes, first


def test_neighborhoods_give_what_the_whole_image_gives(measured):
    planes, first = measured
    field = Field(image=planes[0], variance=planes[1], quality=planes[2], find=find, sky_map=sky_map)
    got = inject_stars(field, first, options=InjectOptions(number=50, seed=3), fit=ONCE, tell=quiet).stars
    x, y, flux = (np.asarray(got[f"{name}_in"].value) for name in ("x", "y", "flux"))
    assert np.asarray(got["found"]).mean() > 0.6
    image, variance = add_stars(field, first.model, x, y, flux, 0.0, np.random.default_rng(1))
    seen = find(image, variance, planes[2])
    whole = psf_photometry(image, variance, planes[2], seen, fwhm=3.2, sky_map=sky_map, model=first.model,
                           options=ONCE, tell=quiet).table  # fmt: skip
    plane = plane_of(first.residual + image - planes[0], variance, planes[2], None, 1.0)
    near = measure_near(
        plane, first.model, known_stars(first.table), fluxes_of(first.table), seen, x, y, ONCE
    )
    places = np.column_stack([x, y])
    rows = [cKDTree(np.column_stack([t["x"].value, t["y"].value])).query(places) for t in (whole, near)]
    seen_by = [distance < 2.0 for distance, _ in rows]
    assert (seen_by[0] == seen_by[1]).mean() > 0.94
    both = seen_by[0] & seen_by[1]
    one, other = (t[index[both]] for t, (_, index) in zip((whole, near), rows, strict=True))
    off = (one["flux"].value - other["flux"].value) / one["flux_err"].value
    assert np.nanpercentile(np.abs(off), 90) < 0.25
    assert np.nanmedian(other["flux_err"].value / one["flux_err"].value) == pytest.approx(1, abs=0.05)
