"""What a user asked for and did not get is told, with the exit code of unfinished work."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from sciastro.errors import OptionError
from sciastro.io.product_cards import ProductFacts, fact_cards
from sciastro.recipe.photometry import PhotometryOptions
from sciastro.recipe.photometryradii import radii_from
from sciastro.recipe.photometryruns import photometry_run


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return the path of a field of stars without world coordinates."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:128, :128]
    sky = rng.normal(100.0, 3.0, (128, 128))
    for cx, cy in rng.uniform(12, 116, (12, 2)):
        sky += 2000.0 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 1.6**2))
    path = tmp_path / "field.fits"
    fits.writeto(path, sky.astype(np.float32))
    return path


def test_a_zero_point_that_was_asked_for_is_missed(image: Path, tmp_path: Path) -> None:
    plain = photometry_run([image], tmp_path / "a")
    assert plain["status"] == "ok"
    asked = photometry_run([image], tmp_path / "b", options=PhotometryOptions(zeropoint="catalog"))
    assert asked["status"] == "partial"
    assert any("zero point that was asked for" in text for text in asked["warnings"])
    assert any("sciastro solve" in note for note in asked["images"][0]["notes"])


def test_positions_of_which_none_has_a_flux_are_told(image: Path, tmp_path: Path) -> None:
    table = tmp_path / "places.csv"
    table.write_text("x,y\n5000,10\n10,9000\n")
    asked = photometry_run([image], tmp_path / "c", at=[str(table)])
    assert asked["status"] == "partial"
    assert any("none of the positions" in text for text in asked["warnings"])


def test_a_radius_of_zero_is_refused_in_true_words() -> None:
    with pytest.raises(OptionError, match="above 0"):
        radii_from("0")


@pytest.mark.parametrize("date", ["1954-11-22T05:00:00.000", "2026-11-14T22:00:00.000"])
def test_dates_of_old_plates_are_written_without_a_warning(date: str) -> None:
    cards = fact_cards(ProductFacts(date_begin=date))
    assert cards["MJD-OBS"] == pytest.approx({"1954": 35068.2083, "2026": 61358.9167}[date[:4]], abs=1e-3)
