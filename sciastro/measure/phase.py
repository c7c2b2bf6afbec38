"""The part of a star's errors that does not shrink with its light: the samples are too coarse.

The windowed centroid of an undersampled star depends on where in its pixel the star lies, and so does its
flux where samples have gaps between them. Measured on noise-free stars (Moffat of beta 3 and 4, integrated
over pixels, any position; beta hardly matters) for the width that is measured. In a stack the samples of
frames fall at different places, and their errors are averaged as vectors of these phases:
`integrate.coherence` tells how much is left.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["LATTICES", "NEAREST", "Lattice", "phase_error", "stack_errors"]

Floats = npt.NDArray[np.float64]

NEAREST = 12**-0.5  # pixel: by how much the nearest pixel is off the place of a sample, along one axis

# Measured full width at half maximum [pixel], and scatter of a coordinate [pixel], on a single frame.
WIDTH = np.array([1.18, 1.40, 1.59, 1.77, 1.96, 2.14])
SCATTER = np.array([0.0267, 0.0150, 0.0053, 0.0018, 0.0006, 0.0002])


def phase_error(fwhm: npt.ArrayLike) -> Floats:
    """Return the scatter of a coordinate by the position in the pixel [pixel], for stars of `fwhm` [pixel].

    Below the narrowest width measured, its scatter; wider than the widest, 0. NaN gives 0.
    """
    width = np.asarray(fwhm, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        scatter = np.exp(np.interp(width, WIDTH, np.log(SCATTER)))
        return np.where(width <= WIDTH[-1], scatter, 0.0)


@dataclass(frozen=True, slots=True)
class Lattice:
    """How one frame samples a color, and what that does to stars of a stack of frames of one phase.

    Attributes
    ----------
    width
        Full width at half maximum that is measured on a dithered stack [pixel].
    place
        Scatter of a coordinate [pixel].
    flux
        Scatter of the flux [1].
    alternating
        Share of the square of `place` that comes from samples that alternate from pixel to pixel, and whose
        phase therefore turns once in two pixels along the diagonals.
    """

    width: tuple[float, ...]
    place: tuple[float, ...]
    flux: tuple[float, ...]
    alternating: float = 0.0


LATTICES = {
    # Pixels without gaps, and the two greens of a Bayer cell.
    "full": Lattice(
        (1.28, 1.34, 1.41, 1.48, 1.59, 1.67, 1.78, 1.92, 2.07),
        (0.0550, 0.0423, 0.0324, 0.0246, 0.0150, 0.0076, 0.0030, 0.0011, 0.0004),
        (0.0065, 0.0036, 0.0021, 0.0012, 0.0006, 0.0002, 0.0001, 0.0001, 0.0001),
    ),
    # Red and blue of a Bayer cell: one pixel of four. Fluxes: stacks of 8 frames dithered at random, over the
    # root mean square of their coherence; within 1.7 and 2.5 widths they agree to 8 %.
    "quarter": Lattice(
        (1.20, 1.26, 1.32, 1.39, 1.50, 1.60, 1.69, 1.82, 1.97),
        (0.1048, 0.0840, 0.0662, 0.0515, 0.0344, 0.0205, 0.0086, 0.0034, 0.0013),
        (0.1100, 0.0710, 0.0455, 0.0272, 0.0140, 0.0069, 0.0024, 0.0008, 0.0003),
    ),
    # Green of an X-Trans cell: five pixels of nine.
    "five": Lattice(
        (1.31, 1.37, 1.44, 1.51, 1.61, 1.70, 1.81, 1.94, 2.10),
        (0.0453, 0.0331, 0.0243, 0.0176, 0.0097, 0.0046, 0.0016, 0.0006, 0.0002),
        (0.0418, 0.0254, 0.0153, 0.0091, 0.0041, 0.0018, 0.0006, 0.0002, 0.0001),
    ),
    # Red and blue of an X-Trans cell: two pixels of nine, side by side and one above the other in turn.
    "two": Lattice(
        (1.25, 1.31, 1.38, 1.45, 1.56, 1.65, 1.75, 1.89, 2.04, 2.31),
        (0.1166, 0.0928, 0.0731, 0.0574, 0.0385, 0.0241, 0.0121, 0.0061, 0.0030, 0.0010),
        (0.0569, 0.0332, 0.0196, 0.0116, 0.0052, 0.0023, 0.0008, 0.0003, 0.0002, 0.0001),
        alternating=0.5,
    ),
}


def stack_errors(fwhm: float, lattice: str, coherence: Floats) -> tuple[float, float, float]:
    """Return what sampling adds to the errors of stars of a stack: of x and of y [pixel], of the flux [1].

    Parameters
    ----------
    fwhm
        Of stars on the stack, in pixels of the frames.
    lattice
        One of `LATTICES`.
    coherence
        float64 (4,): how far the phases of the frames agree along x, y, and both diagonals, from 1 (all
        alike: no dither) to 0 (evenly spread), `integrate.coherence.coherence`.
    """
    known = LATTICES[lattice]
    if not np.isfinite(fwhm):
        return 0.0, 0.0, 0.0
    place, flux = (float(np.exp(np.interp(fwhm, known.width, np.log(v)))) for v in (known.place, known.flux))
    if fwhm > known.width[-1]:
        place, flux = 0.0, 0.0
    turns = known.alternating * float(np.mean(coherence[2:] ** 2))
    x, y = (place * float(np.sqrt((1 - known.alternating) * c**2 + turns)) for c in coherence[:2])
    return x, y, flux * float(np.sqrt(np.mean(coherence[:2] ** 2)))
