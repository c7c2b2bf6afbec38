"""Positions of movers: a trailed profile fitted to each frame, and one to all frames along the motion.

The profile has the width of the frame's stars and the length of the motion during the exposure. Stars of the
same frames, fitted alike, give the zero point of each frame and tell how large errors really are. An error
that a fit states holds at high signal; below, the measured law ``variance (1 + 12 / snr2)`` is applied
(simulated fits at S/N 5, 10, 50: variance 1.5, 1.13, 1.0 times the stated one).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.evenmotion import Motion
from sciastro.core.robust import MAD_TO_SIGMA, mad_sigma
from sciastro.measure.background import background
from sciastro.measure.profile import FWHM_PER_SIGMA
from sciastro.measure.trailfit import JointFit, Stamp, cut, fit_together, fit_trail
from sciastro.recipe.moverplaces import Errors, Guess, Mover, Path2, Place, consistent, even, through
from sciastro.recipe.moverstars import Gathered, apart
from sciastro.recipe.movingfield import FORBIDDEN, Field, Look, cleaned
from sciastro.recipe.nightframes import calibrated

__all__ = ["measure_movers", "planes_of", "star_errors"]

Floats = npt.NDArray[np.float64]

ROUNDS = 2  # of fits, each along the motion of the one before
LOW = 12.0  # of the law of errors at low signal
LEAST_SNR = 3.0  # of a place that is kept
STARS = 60  # per frame that give its zero point
BRIGHT = 30.0  # signal over noise of those stars
FAINT = 10.0  # the same where fewer than ten are as bright
ITSELF = 1.6  # times its light that a source of the stack may have and be the slow mover itself
PULL = 0.7  # of its error by which a star of the stack may pull at a place


def planes_of(one: Field) -> Iterator[tuple[int, Look]]:
    """Yield the looks of a field with their pixels, reading again what memory did not hold."""
    again = [look.frame for look in one.looks if look.planes is None]
    for i, look in enumerate(one.looks):
        if look.planes is not None:
            yield i, look
    if again:
        number = {look.frame.name: i for i, look in enumerate(one.looks)}
        for frame, signal, quality in calibrated(one.out, one.store, again):
            i = number[frame.name]
            bad = (quality & np.uint16(int(FORBIDDEN))) != 0
            look = replace(one.looks[i], planes=(signal, bad))
            look.clean = cleaned(one, look, background(signal, quality))
            yield i, look


def _jacobian(one: Field, look: Look, x: float, y: float) -> tuple[Path2, Floats]:
    """Return the pixel of a place on the plane, and (2, 2) how it changes with the place [pixel / arcsec]."""
    step = one.scale
    px = np.array([x, x + step, x]) + look.shift[0]
    py = np.array([y, y, y + step]) + look.shift[1]
    u, v = look.frame.to_pixel(look.wcs, *one.sky(px, py))
    slope = np.array([[u[1] - u[0], u[2] - u[0]], [v[1] - v[0], v[2] - v[0]]]) / step
    return (float(u[0]), float(v[0])), slope


def star_errors(one: Field) -> Errors:
    """Fit stars of every frame: set the zero point of each look, and return how real the errors are."""
    here = np.isfinite(one.stars.x)
    usable = np.flatnonzero(here & (one.stars.snr > BRIGHT))
    if usable.size < 10:  # errors of the calibration may bound what any star has
        usable = np.flatnonzero(here & (one.stars.snr > FAINT))
    usable = usable[np.argsort(-one.stars.snr[usable], kind="stable")]
    offs, errs, snrs = [], [], []
    for i, look in planes_of(one):
        if look.planes is None or not np.isfinite(look.fwhm):
            continue
        zeros: list[float] = []
        for k in usable:
            if len(zeros) >= STARS:
                break
            place, slope = _jacobian(one, look, float(one.stars.x[k]), float(one.stars.y[k]))
            if not np.isfinite(slope).all():
                continue
            stamp = cut(look.planes[0], *place, look.noise, look.fwhm, (0.0, 0.0), look.planes[1])
            fit = None if stamp is None else fit_trail(stamp, *place)
            if fit is None:
                continue
            zeros.append(float(one.mags[k]) + 2.5 * np.log10(fit.flux / look.frame.exposure))
            back = np.linalg.inv(slope)
            offs.append(back @ np.array([fit.x - place[0], fit.y - place[1]]))
            errs.append(np.sqrt(np.trace(back @ fit.covariance @ back.T) / 2))
            snrs.append(fit.flux / fit.flux_err)
        good = np.array([zero for zero in zeros if np.isfinite(zero)])
        if good.size >= 3:
            scatter = mad_sigma(good)
            one.looks[i].zero = (float(np.median(good)), max(scatter / np.sqrt(good.size), 0.002))
    if len(offs) < 30:
        return Errors()
    off, err = np.array(offs), np.array(errs)
    scatter = MAD_TO_SIGMA * np.median(np.abs(off - np.median(off, axis=0)), axis=0)
    floor2 = float(max(np.mean(scatter**2) - 1.25 * np.median(err) ** 2, 0.0))
    return Errors(1.25, floor2)


def measure_movers(one: Field, minutes: Floats, guesses: Sequence[Guess], errors: Errors) -> list[Mover]:
    """Return the movers, measured on all frames they cross; guesses that fewer than three show are left."""
    motions: dict[int, Motion] = {k: guess.motion for k, guess in enumerate(guesses)}
    places: dict[int, list[Place]] = {}
    for _ in range(ROUNDS):
        places = {k: [] for k in motions}
        for i, look in planes_of(one):
            for k, motion in motions.items():
                own = _own(one, motion, minutes) if guesses[k].slow else None
                place = _place(one, i, look, float(minutes[i]), motion, errors, own)
                if place is not None:
                    places[k].append(place)
        places = {k: even(some) for k, some in places.items()}
        fits = {k: through(some, minutes, motions[k]) for k, some in places.items()}
        motions = {k: fit for k, fit in fits.items() if fit is not None}
    used = {
        k: sorted(consistent(places[k], minutes, motion), key=lambda place: minutes[place.frame])
        for k, motion in motions.items()
    }
    finals = {k: through(some, minutes) for k, some in used.items()}
    kept = {k: fit for k, fit in finals.items() if fit is not None}
    slow = {k for k in kept if guesses[k].slow}
    parts = _gathered(one, minutes, kept, used, slow)
    joint = {k: _joint(part, errors) for k, part in parts.items()}
    movers = {
        k: Mover(
            places=tuple(used[k]), motion=fit, together=joint[k][0], at=(fit.time, fit.x, fit.y),
            mag=joint[k][1], mag_err=joint[k][2], slow=guesses[k].slow,
            expected_false=guesses[k].expected_false,
        )
        for k, fit in kept.items()
    }  # fmt: skip
    return [apart(made, parts[k], minutes, errors) if k in slow else made for k, made in movers.items()]


def _own(one: Field, motion: Motion, minutes: Floats) -> Floats:
    """Return where a slow mover is on average, and how far around that the stack shows it [arcsec]."""
    x, y = motion.at(float(np.mean(minutes)))
    width = float(np.nanmedian([look.fwhm * look.frame.side for look in one.looks])) * one.scale
    reach = 0.5 * float(np.hypot(motion.vx, motion.vy) * np.ptp(minutes)) + 0.6 * width
    return np.array([float(x), float(y), reach])


def _stamp(
    one: Field, look: Look, time: float, motion: Motion, *, clean: bool
) -> tuple[Stamp, Path2, Floats] | None:
    """Return the pixels around the place of a motion, that place [pixel], and the Jacobian there."""
    planes = look.clean if clean and look.clean is not None else look.planes
    if planes is None or not np.isfinite(look.fwhm):
        return None
    x, y = (float(value) for value in motion.at(time))
    place, slope = _jacobian(one, look, x, y)
    if not np.isfinite(slope).all() or abs(np.linalg.det(slope)) < 1e-12:
        return None
    u, v = place
    if not (-0.5 <= u < look.shape[1] - 0.5 and -0.5 <= v < look.shape[0] - 0.5):
        return None
    trail = slope @ np.array([motion.vx, motion.vy]) * look.frame.exposure / 60
    stamp = cut(planes[0], u, v, look.noise, look.fwhm, (float(trail[0]), float(trail[1])), planes[1])
    return None if stamp is None else (stamp, place, slope)


def _place(
    one: Field, i: int, look: Look, time: float, motion: Motion, errors: Errors, own: Floats | None
) -> Place | None:
    clean = own is None and look.clean is not None
    found = _stamp(one, look, time, motion, clean=clean)
    if found is None:
        return None
    stamp, place, slope = found
    fit = fit_trail(stamp, *place)
    if fit is None or fit.flux < LEAST_SNR * fit.flux_err:
        return None
    snr = fit.flux / fit.flux_err
    back: Floats = np.asarray(np.linalg.inv(slope), dtype=np.float64)
    move = back @ np.array([fit.x - place[0], fit.y - place[1]])
    x, y = (float(value) for value in motion.at(time))
    matrix = back @ fit.covariance @ back.T * errors.factor2 * (1 + LOW / snr**2)
    matrix = matrix + np.eye(2) * errors.floor2
    zero, zero_err = look.zero
    err = float(np.sqrt(np.trace(matrix) / 2))
    at = np.array([x, y]) + move
    light = (fit.flux, err / (one.scale * look.frame.side))
    rate = fit.flux / look.frame.exposure
    air = look.frame.transparency if np.isfinite(look.frame.transparency) else 1.0
    return Place(
        frame=i, pixel=(fit.x, fit.y), x=float(at[0]), y=float(at[1]),
        err=err,
        ellipse=(float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 1])),
        rate=rate / air, snr=float(snr), mag=zero - 2.5 * float(np.log10(rate)),
        mag_err=float(np.hypot(1.0857 / snr, zero_err)),
        blended=not clean and _beside(one, look, stamp, at, back, light, own),
    )  # fmt: skip


def _beside(
    one: Field, look: Look, stamp: Stamp, at: Floats, back: Floats, light: Path2, own: Floats | None
) -> bool:
    """Return whether a star of the stack pulls at a place by more than a share of its error.

    The pull of a star of light f at a distance d on a profile of light F is about ``f / F d w(d)``, where w,
    ``exp(-d2 / 4 s2)`` for a Gaussian, is widened to the wings of a Moffat; along a trail the distance from
    it counts.

    Parameters
    ----------
    at
        The place on the plane [arcsec].
    back
        (2, 2) from pixels to the plane.
    light
        Of the mover [electron], and the error of its place [pixel].
    own
        Where a slow mover is on average, and how far around that the stack shows the mover itself [arcsec]:
        sources there that are not much brighter are not counted.
    """
    dx, dy = one.stars.x - at[0], one.stars.y - at[1]
    length = float(np.hypot(*stamp.trail))
    near = np.hypot(dx, dy) < (8 * stamp.sigma + length) * one.scale * look.frame.side
    air = look.frame.transparency if np.isfinite(look.frame.transparency) else 1.0
    counts = one.stars.flux * air * look.frame.exposure
    if own is not None:
        inside = np.hypot(one.stars.x - own[0], one.stars.y - own[1]) < own[2]
        near &= ~(inside & (counts < ITSELF * light[0]))
    if not near.any():
        return False
    pixels = np.linalg.inv(back) @ np.stack([dx[near], dy[near]])
    ux, uy = (stamp.trail[0] / length, stamp.trail[1] / length) if length > 0 else (1.0, 0.0)
    along, across = pixels[0] * ux + pixels[1] * uy, pixels[1] * ux - pixels[0] * uy
    beyond = np.maximum(np.abs(along) - length / 2, 0)
    apart2 = beyond**2 + across**2
    wings = (1 + apart2 / (1.5 * FWHM_PER_SIGMA * stamp.sigma) ** 2) ** -4.0
    share = counts[near] / light[0] * wings
    pull = share * np.maximum(np.hypot(along, across), stamp.sigma / 2)
    return bool(np.any(pull > PULL * light[1]))


def _gathered(
    one: Field,
    minutes: Floats,
    motions: Mapping[int, Motion],
    places: Mapping[int, Sequence[Place]],
    slow: set[int],
) -> dict[int, Gathered]:
    """Return the pixels of each mover on the frames that show it without a star in it."""
    wanted = {k: {place.frame for place in places[k] if not place.blended} for k in motions}
    parts = {k: Gathered() for k in motions}
    for i, look in planes_of(one):
        for k, motion in motions.items():
            if i not in wanted[k]:
                continue
            found = _stamp(one, look, float(minutes[i]), motion, clean=k not in slow)
            if found is None:
                continue
            part = parts[k]
            part.zeros.append(look.zero)
            first = part.zeros[0][0]
            zero = look.zero[0]
            clear = 10 ** (0.4 * (zero - first)) if np.isfinite(zero) and np.isfinite(first) else 1.0
            part.stamps.append(found[0])
            part.spots.append(found[1])
            part.slopes.append(found[2])
            part.scales.append(look.frame.exposure * float(clear))
            part.times.append(float(minutes[i]))
    return parts


def _joint(part: Gathered, errors: Errors) -> tuple[JointFit | None, float, float]:
    """Return the fit to all frames, the magnitude and its error."""
    nothing = float("nan")
    fit = fit_together(part.stamps, part.spots, part.slopes, part.scales) if part.stamps else None
    if fit is None:
        return None, nothing, nothing
    # What the fit does not know of stars and frames: as on single frames, averaged.
    covariance = errors.factor2 * fit.covariance + np.eye(2) * errors.floor2 / len(part.stamps)
    fit = replace(fit, covariance=covariance)
    mag = part.zeros[0][0] - 2.5 * float(np.log10(fit.flux))
    error = float(np.mean([zero[1] for zero in part.zeros]))
    return fit, mag, float(np.hypot(1.0857 * fit.flux_err / fit.flux, error))
