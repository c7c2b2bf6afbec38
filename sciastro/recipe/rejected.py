"""What was lost to rejection: shares by frame and cause for the summary, frames that stand out, maps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciastro.core.robust import mad_sigma
from sciastro.integrate.reject import CAUSES
from sciastro.integrate.run import StackArrays
from sciastro.io.product_cards import ProductFacts
from sciastro.io.products import write_rejection_maps
from sciastro.recipe.context import Context

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["losses", "name_outstanding", "rejection_row", "write_maps"]

Losses = Mapping[str, float]
FEWEST = 5  # frames among which one may stand out
FAR = 5.0  # sigma of the frames' shares
LEAST = 0.003  # share beyond the median of the frames that is worth a word


def losses(arrays: StackArrays) -> list[dict[str, float]]:
    """Return for each frame the shares of its samples on the canvas that were lost, by cause.

    What lies outside of a frame is no sample of it.
    """
    outside = CAUSES.index("outside")
    out = []
    for counts in arrays.lost:
        samples = max(arrays.image.size - int(counts[outside]), 1)
        out.append({name: float(counts[k] / samples) for k, name in enumerate(CAUSES) if k != outside})
    return out


def rejected_share(lost: Losses) -> float:
    """Return the share of a frame's samples that was rejected against the other frames."""
    return lost["rejected_low"] + lost["rejected_high"]


def outstanding(lost: Sequence[Losses]) -> list[int]:
    """Return the frames whose rejected share is far above the others'."""
    if len(lost) < FEWEST:
        return []
    shares = np.array([rejected_share(one) for one in lost])
    middle = float(np.median(shares))
    spread = mad_sigma(shares, middle)
    far = shares > max(middle + max(FAR * spread, LEAST), 2 * middle)
    return [int(k) for k in np.flatnonzero(far)]


def name_outstanding(names: Sequence[str], lost: Sequence[Losses], product: str, context: Context) -> None:
    """Warn of each frame whose rejected share is far above the others'."""
    if not lost:
        return
    middle = float(np.median([rejected_share(one) for one in lost]))
    for k in outstanding(lost):
        context.warn(
            f"{names[k]}: {100 * rejected_share(lost[k]):.1f} % of its pixels were rejected in {product} "
            f"(median of the frames: {100 * middle:.2f} %): clouds, a trail, poor alignment, or "
            "far more noise than the others have; look at it."
        )


def rejection_row(arrays: StackArrays, names: Sequence[str]) -> dict[str, Any]:
    """Return what a product's row of the summary says of rejection: mean shares, frames that stand out.

    Parameters
    ----------
    arrays
        The stack.
    names
        Of its frames, in the order of `arrays.lost`.
    """
    lost = losses(arrays)
    shares = {name: float(np.mean([one[name] for one in lost])) for name in lost[0]} if lost else {}
    return {**shares, "frames_far_above": [names[k] for k in outstanding(lost)]}


def write_maps(path: Path, arrays: StackArrays, *, wcs: "WCS | None", facts: ProductFacts) -> None:
    """Write the maps of rejected and missing samples of a band.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    planes = dict(zip(CAUSES, (arrays.rejected_low, arrays.rejected_high, *arrays.causes), strict=True))
    write_rejection_maps(path, planes, wcs=wcs, facts=facts)
