"""Options: one declaration checks, explains and converts."""

from dataclasses import dataclass

import pytest

from sciastro.core.options import Options, describe, option
from sciastro.errors import OptionError


@dataclass(frozen=True, kw_only=True, slots=True)
class Knobs(Options):
    kappa: float = option(3.0, "Threshold.", unit="sigma", low=1.0, high=20.0)
    frames: int = option(3, "Fewest frames.", low=1)
    how: str = option("mean", "How.", choices=("mean", "median"))
    loud: bool = option(False, "Say more.")
    gain: float | None = option(None, "Gain.", unit="electron / adu", low=0.0)


def test_texts_become_values():
    knobs = Knobs.from_mapping({"kappa": "2.5", "frames": "4", "loud": "yes", "gain": "1.3"})
    assert (knobs.kappa, knobs.frames, knobs.loud, knobs.gain) == (2.5, 4, True, 1.3)
    assert Knobs.from_mapping({"gain": "none"}).gain is None


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"kapa": 1}, r"Knobs: has no option 'kapa'. Known options: kappa, frames, how, loud, gain."),
        ({"kappa": 0.5}, r"Knobs.kappa: is 0.5 sigma. Choose a value from 1.0 to 20.0 sigma."),
        ({"kappa": "three"}, r"Knobs.kappa: is 'three'. Give a number."),
        ({"kappa": float("nan")}, r"Knobs.kappa: is nan"),
        ({"frames": 2.5}, r"Knobs.frames: is 2.5. Give a whole number."),
        ({"frames": True}, r"Knobs.frames: is True"),
        ({"how": "mode"}, r"Knobs.how: is 'mode'. Allowed values are 'mean', 'median'."),
        ({"loud": "perhaps"}, r"Knobs.loud: is 'perhaps'"),
        ({"kappa": None}, r"Knobs.kappa: is None. Give a value."),
    ],
)
def test_what_is_refused(values, text):
    with pytest.raises(OptionError, match=text):
        Knobs.from_mapping(values)


def test_frozen_and_described():
    with pytest.raises(AttributeError):
        Knobs().kappa = 5
    rows = {row["name"]: row for row in describe(Knobs)}
    assert rows["kappa"]["unit"] == "sigma"
    assert rows["gain"]["default"] is None
    assert Knobs().as_dict()["how"] == "mean"
