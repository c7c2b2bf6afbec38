"""Fields of stars over a night as arrays, with known curves: the truth that light curves are held to."""

import numpy as np

from sciastro.photometry.lightcurve import RawLight


def field(
    seed,
    *,
    n_stars=30,
    n_frames=80,
    brightest=2e5,
    faintest=3e4,
    sky=60.0,
    area=60.0,
    target=8e4,
    twinkle=0.0,
    slope=0.0,
    curves=None,
    cloud=0.3,
    gain=1.0,
):
    """Return `RawLight` of one aperture and the true relative flux (star, frame).

    Light passes clouds (`cloud` mag of random walk), stars twinkle (`twinkle`, relative), zero points slope
    by `slope` mag / deg over the night; `curves` maps a star to its factor per frame. With `gain` below 1
    fluxes are in adu of 1 / gain electrons and nobody knows it.
    """
    rng = np.random.default_rng(seed)
    flux = np.geomspace(brightest, faintest, n_stars)
    flux[0] = target
    place = rng.uniform(-0.3, 0.3, (n_stars, 2))
    place[0] = 0
    air = np.cumsum(rng.normal(0, cloud / np.sqrt(n_frames), n_frames))
    tilt = slope * np.linspace(-1, 1, n_frames)
    zero = air[None, :] + place[:, :1] * tilt[None, :]
    curve = np.ones((n_stars, n_frames))
    for star, factor in (curves or {}).items():
        curve[star] = factor
    true = flux[:, None] * curve * 10 ** (-0.4 * zero)
    seen = true * (1 + twinkle * rng.standard_normal(true.shape))
    electrons = rng.poisson(np.maximum(seen, 0)) + rng.normal(0, np.sqrt(sky * area), true.shape)
    adu = electrons * gain
    variance = np.maximum(adu, 0) + sky * area * gain**2  # what 1 electron / adu makes of it
    if gain == 1.0:
        variance = np.maximum(electrons, 0) + sky * area
    raw = RawLight(
        flux=adu[None].astype(np.float32), variance=variance[None].astype(np.float32),
        flags=np.zeros((1, n_stars, n_frames), np.uint32), factor=np.array([1.8]), place=place,
        scintillation=np.full(n_frames, twinkle**2), known_gain=gain == 1.0,
    )  # fmt: skip
    return raw, curve


def normalized(curve):
    """Return curves over their medians, as light curves are."""
    return curve / np.median(curve, axis=1, keepdims=True)
