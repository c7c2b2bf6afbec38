"""Learn the PSF of an image while its stars are fit: analytic at first, tables once neighbors are known."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciastro.photometry.psfbuild import (
    choose_order,
    cut_out,
    fit_analytic,
    improve,
    largest_order,
    pixel_blur,
    sound_stars,
    stretched,
)
from sciastro.photometry.psffit import (
    FitPlane,
    StarFit,
    errors_of,
    measure_sky,
    sweep,
)
from sciastro.photometry.psfmodel import PsfModel, moffat_model
from sciastro.photometry.psfoptions import PsfOptions
from sciastro.photometry.psfrounds import Tell, begin, swap
from sciastro.photometry.psfstars import choose_stars

__all__ = ["Seed", "first_model", "from_seed", "learn"]

WIDER = 1.3  # a PSF that much wider or narrower than stars are is learned anew
MOST_BLUR = 0.05  # beyond it, pixels far from the center would decide (DAOPHOT, too, takes 5 %)


def first_model(plane: FitPlane, fit: StarFit, fwhm: float, options: PsfOptions, tell: Tell) -> PsfModel:
    """Return an analytic PSF, all stars fit with it."""
    radius = 1.15 * options.total_radius * fwhm
    model = moffat_model(plane.residual.shape, fwhm, radius=radius, inside=options.total_radius * fwhm)
    begin(plane, model, fit, options)
    chosen = _choose(plane, model, fit, options)
    if chosen.size == 0:
        tell("no star is fit to tell the PSF: a round Moffat of the measured width is used")
        return model
    everything = model.render(plane.residual.shape, fit.x, fit.y, fit.flux)
    cut = cut_out(plane, model, fit, chosen, everything)
    analytic = fit_analytic(model, cut, options.total_radius * fwhm)
    analytic = replace(
        analytic, note="", blur=min(pixel_blur(analytic, cut), MOST_BLUR),
        stars=np.column_stack([fit.x[chosen], fit.y[chosen]]),
    )  # fmt: skip
    swap(plane, model, analytic, fit, options)
    sweep(plane, analytic, fit, options, sweeps=4)
    return analytic


@dataclass(frozen=True, slots=True)
class Seed:
    """The PSF of a similar image, from which that of another is learned in one round.

    Attributes
    ----------
    model
        Of tables; of the same shape of image.
    fwhm
        Of that image as detection has it [pixel].
    """

    model: PsfModel
    fwhm: float

    def suits(self, shape: tuple[int, ...], fwhm: float) -> bool:
        """Return whether it is of use for an image of that shape and width of stars."""
        like = moffat_model((shape[0], shape[1]), fwhm, radius=self.model.radius, inside=self.model.radius)
        alike = WIDER**-1 < fwhm / self.fwhm < WIDER
        return self.model.kind == "empirical" and alike and like.field == self.model.field


def from_seed(plane: FitPlane, fit: StarFit, seed: Seed, fwhm: float, options: PsfOptions) -> PsfModel:
    """Return the seed's PSF as wide as the image's stars, all stars fit with it."""
    factor = fwhm / seed.fwhm
    model = stretched(seed.model, factor, options.total_radius * seed.model.fwhm * factor)
    model = replace(
        model, note="as of another image, for its width", n_stars=0, stars=np.empty((0, 2)),
        total_radius=float("nan"),
    )  # fmt: skip
    begin(plane, model, fit, options)
    return model


def _choose(plane: FitPlane, model: PsfModel, fit: StarFit, options: PsfOptions) -> npt.NDArray[np.intp]:
    columns, bits = errors_of(plane, model, fit, options)
    return choose_stars(plane, model, fit, columns, bits, least_snr=options.psf_snr, most=options.psf_stars)


def learn(
    plane: FitPlane, model: PsfModel, fit: StarFit, options: PsfOptions, rounds: int, tell: Tell, *,
    order: int = -1,
) -> tuple[PsfModel, npt.NDArray[np.intp]]:  # fmt: skip
    """Return the improved PSF and its stars, all stars fit with it; an `order` that is known is kept."""
    chosen = _choose(plane, model, fit, options)
    if chosen.size < 5:
        if model.kind == "moffat":
            note = (
                f"{chosen.size} PSF stars are too few for tables (5 needed): an elliptical Moffat fit to them"
            )
            model = replace(model, note=note, n_stars=int(chosen.size))
            tell(note)
        return model, chosen
    inside = options.total_radius * model.fwhm
    order = min(order, largest_order(int(chosen.size), options.order))
    for k in range(rounds):
        everything = model.render(plane.residual.shape, fit.x, fit.y, fit.flux)
        cut = cut_out(plane, model, fit, chosen, everything)
        if order < 0:
            order = choose_order(model, cut, options.order, inside)
        made = improve(model, cut, order, inside)
        sound = sound_stars(made, cut)
        if sound.sum() >= 5 and not sound.all():  # doubles, galaxies, hits
            chosen, cut = chosen[sound], cut.take(sound)
            made = improve(model, cut, order, inside)
        made = replace(
            made, blur=min(pixel_blur(made, cut), MOST_BLUR), n_stars=int(chosen.size),
            stars=np.column_stack([fit.x[chosen], fit.y[chosen]]),
        )  # fmt: skip
        swap(plane, model, made, fit, options)
        model = made
        sweep(plane, model, fit, options, sweeps=3)
        measure_sky(plane, model, fit, options)
        if k == 0:
            chosen = _choose(plane, model, fit, options) if rounds > 1 else chosen
            chosen = chosen if chosen.size >= 5 else _choose(plane, model, fit, options)
    tell(
        f"PSF from {chosen.size} stars, order {order} over the field, FWHM {model.fwhm:.2f} pixel, "
        f"profile good to {100 * model.blur:.1f} % per pixel"
    )
    return replace(model, note=_order_note(order, options)), chosen


def _order_note(order: int, options: PsfOptions) -> str:
    if order >= options.order:
        return ""
    return f"order {order} over the field: more terms are not carried by the stars, or are not needed"
