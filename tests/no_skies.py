"""Pictures that show no sky, or none that is known: what must never be solved."""

import numpy as np
from PIL import Image, ImageDraw

SHAPE = (360, 480)


def spots(rng, x, y, light, width=1.3, sky=30.0, noise=3.0):
    """Return a plane of round spots on a noisy background."""
    plane = rng.normal(sky, noise, SHAPE)
    rows, columns = np.mgrid[-6:7, -6:7]
    for a, b, flux in zip(x, y, light, strict=True):
        i, j = round(float(b)), round(float(a))
        if not (6 <= i < SHAPE[0] - 6 and 6 <= j < SHAPE[1] - 6):
            continue
        spot = np.exp(-((columns + j - a) ** 2 + (rows + i - b) ** 2) / (2 * width**2))
        plane[i - 6 : i + 7, j - 6 : j + 7] += flux * spot
    return plane


def random_stars(rng):
    """Stars that are nowhere, with the brightnesses of real ones."""
    n = int(rng.integers(8, 250))
    return spots(
        rng, rng.uniform(0, SHAPE[1], n), rng.uniform(0, SHAPE[0], n), 20 * rng.random(n) ** -0.8,
        width=rng.uniform(0.8, 2.5),
    )  # fmt: skip


def clustered_stars(rng):
    """Stars of a cluster that is nowhere."""
    n = int(rng.integers(40, 200))
    middle, size = rng.uniform(0.3, 0.7, 2) * SHAPE[::-1], rng.uniform(20, 100)
    return spots(rng, *(middle[:, None] + rng.normal(0, size, (2, n))), 20 * rng.random(n) ** -0.9)


def city(rng):
    """Street lights in rows, seen from above and at an angle."""
    u, v = (a.ravel() for a in np.mgrid[0 : rng.integers(6, 14), 0 : rng.integers(6, 14)].astype(float))
    angle, step = rng.uniform(0, np.pi), rng.uniform(18, 40)
    depth = 1 + rng.uniform(0, 0.06) * v
    x = (step * (u * np.cos(angle) - v * np.sin(angle)) + 200) / depth
    y = (step * (u * np.sin(angle) + v * np.cos(angle)) + 60) / depth
    shown = rng.random(x.size) > 0.15
    return spots(rng, x[shown], y[shown], rng.uniform(60, 220, shown.sum()), width=rng.uniform(0.9, 2.0))


def noise(rng):
    """Nothing but noise, with hot pixels."""
    plane = rng.normal(100, 10, SHAPE)
    plane.ravel()[rng.integers(0, plane.size, 40)] += rng.uniform(50, 150, 40)
    return plane


def flat(rng):
    """A vignetted flat with dust rings."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    plane = 180 - ((x - 240) ** 2 + (y - 180) ** 2) / 2000
    for a, b, r in zip(rng.uniform(0, 480, 9), rng.uniform(0, 360, 9), rng.uniform(6, 25, 9), strict=True):
        away = np.hypot(x - a, y - b)
        plane = plane - 8 * np.exp(-((away - r) ** 2) / 8)
    return plane + rng.normal(0, 2, SHAPE)


def fractal(rng):
    """A fractal landscape: power that falls with frequency, under a bright sky."""
    wave = np.hypot(np.fft.fftfreq(SHAPE[0])[:, None], np.fft.rfftfreq(SHAPE[1]))
    wave[0, 0] = 1
    power = wave ** -rng.uniform(1.0, 1.9) * np.exp(2j * np.pi * rng.random(wave.shape))
    land = np.fft.irfft2(power, SHAPE)
    return 120 + 45 * (land - land.mean()) / land.std() + rng.normal(0, 2, SHAPE)


def text(rng):
    """A page of text, white on black."""
    page = Image.new("L", SHAPE[::-1], 8)
    pen = ImageDraw.Draw(page)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz     .,:"))
    for row in range(8, SHAPE[0] - 12, 14):
        pen.text((8, row), "".join(rng.choice(letters, 70)), fill=230)
    return np.asarray(page, float) + rng.normal(0, 1, SHAPE)


def gradient(rng):
    """A twilight gradient with rings of compression."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.round((80 + 0.2 * y + 0.1 * x + 20 * np.sin(x / 40)) / 4) * 4 + rng.normal(0, 0.5, SHAPE)


KINDS = (random_stars, clustered_stars, city, noise, flat, fractal, text, gradient)


def picture(number):
    """Return the name of a kind and a picture of it, uint8; the same number gives the same picture."""
    rng = np.random.default_rng([77, number])
    kind = KINDS[number % len(KINDS)]
    return kind.__name__, np.clip(kind(rng), 0, 255).astype(np.uint8)
