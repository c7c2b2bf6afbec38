"""What a light curve may depend on beside the star: airmass, width of stars, place, sky, night.

Reads one column per cause; writes a linear baseline, whose columns are chosen by the Bayesian information
criterion (Schwarz 1978) or named by the user. Columns are scaled to zero mean and unit deviation, so that
coefficients are flux per deviation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from sciastro.errors import OptionError

__all__ = ["NAMES", "Trends", "check_causes", "make_trends", "subsets"]

Floats = npt.NDArray[np.float64]

NAMES = ("airmass", "fwhm", "x", "y", "sky", "time", "night")
ALIKE = 1e-5  # of a deviation: causes that differ by less are one
MOST_TOGETHER = 7  # causes of which every subset is tried


@dataclass(frozen=True, slots=True)
class Trends:
    """Scaled causes.

    Attributes
    ----------
    columns
        Name to (frame, column); "night" has one column per night but the first.
    center, scale
        Name to what was subtracted and divided by, in the cause's own unit.
    left_out
        Name to why it is none of the causes.
    """

    columns: dict[str, Floats]
    center: dict[str, float]
    scale: dict[str, float]
    left_out: dict[str, str]

    def basis(self, names: Sequence[str]) -> Floats:
        """Return the design (frame, column) of a baseline: 1 and the causes."""
        n = next(iter(self.columns.values())).shape[0] if self.columns else 0
        return np.column_stack([np.ones(n), *(self.columns[name] for name in names)])

    def determined(self, names: Sequence[str]) -> bool:
        """Return whether the columns of `basis` differ, so that each has a coefficient of its own."""
        basis = self.basis(names)
        return bool(np.linalg.matrix_rank(basis, tol=ALIKE * np.sqrt(len(basis))) == basis.shape[1])

    def labels(self, names: Sequence[str]) -> list[str]:
        """Return a label per column of `basis`."""
        out = ["constant"]
        for name in names:
            n = self.columns[name].shape[1]
            out += [name] if n == 1 else [f"{name} {k + 2}" for k in range(n)]
        return out

    def take(self, rows: npt.NDArray[np.bool_]) -> "Trends":
        """Return the rows of some frames."""
        some = {name: column[rows] for name, column in self.columns.items()}
        return Trends(some, self.center, self.scale, self.left_out)


def make_trends(
    causes: dict[str, Floats], use: npt.NDArray[np.bool_], night: npt.NDArray[np.int64]
) -> Trends:
    """Return causes scaled by the frames that count.

    Parameters
    ----------
    causes
        Name (of `NAMES` but "night") to values (frame); NaN unknown.
    use
        (frame) frames that count; a cause that one of them lacks, or that never changes, is left out.
    night
        (frame) number of the night.
    """
    columns: dict[str, Floats] = {"one": np.ones((use.size, 0))}
    center, scale, left = {}, {}, {}
    for name, values in causes.items():
        some = values[use]
        if not np.isfinite(some).all():
            left[name] = "unknown in some frames"
            continue
        middle, width = float(np.mean(some)), float(np.std(some))
        if not width > 1e-9 * max(abs(middle), 1e-9):
            left[name] = "does not change"
            continue
        center[name], scale[name] = middle, width
        columns[name] = ((values - middle) / width)[:, None]
    nights = np.unique(night[use])
    if nights.size > 1:
        columns["night"] = (night[:, None] == nights[None, 1:]).astype(np.float64)
        center["night"], scale["night"] = 0.0, 1.0
    return Trends(columns, center, scale, left)


def check_causes(wanted: str) -> None:
    """Refuse names that are no cause, before anything is measured; `subsets` tells which are unknown here.

    Raises
    ------
    OptionError
        For such a name.
    """
    if wanted in ("auto", "none"):
        return
    for name in (part.strip() for part in wanted.split(",") if part.strip()):
        if name not in NAMES:
            raise OptionError(
                f"{name!r} is no cause.", where="--detrend",
                remedy=f"Choose from {', '.join(NAMES)}; or auto, or none.",
            )  # fmt: skip


def subsets(trends: Trends, wanted: str) -> Iterator[tuple[str, ...]]:
    """Yield the sets of causes to try.

    Parameters
    ----------
    wanted
        "auto": every subset (the larger ones only up to seven causes); "none"; or names with commas.

    Raises
    ------
    OptionError
        For a cause that does not exist, or of which the frames do not tell.
    """
    have = [name for name in trends.columns if name != "one"]
    if wanted == "none":
        yield ()
        return
    if wanted != "auto":
        names = tuple(dict.fromkeys(part.strip() for part in wanted.split(",") if part.strip()))
        for name in names:
            if name not in have:
                why = trends.left_out.get(name, "is no cause")
                raise OptionError(
                    f"{name!r} cannot be used: {why}.", where="--detrend",
                    remedy=f"Choose from {', '.join(have) or 'nothing'}; or auto, or none.",
                )  # fmt: skip
        yield names
        return
    for size in range(min(len(have), MOST_TOGETHER) + 1):
        yield from combinations(have, size)
