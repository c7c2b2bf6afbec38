"""A small camera whose truth is known: bias pattern, dark current, vignetting, shot and read noise."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class TinyCamera:
    shape: tuple = (300, 300)
    gain: float = 1.3  # electron / adu
    read_noise: float = 4.0  # electron
    offset: float = 400.0  # adu
    dark_rate: float = 0.05  # electron / s
    seed: int = 1
    saturation: float = 60_000.0
    bias: np.ndarray = field(init=False)
    rate: np.ndarray = field(init=False)
    flat: np.ndarray = field(init=False)

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        y, x = np.mgrid[: self.shape[0], : self.shape[1]]
        self.bias = self.offset + 3 * np.sin(x / 7) + rng.normal(0, 1, self.shape)
        self.rate = np.full(self.shape, self.dark_rate)
        r2 = ((y / self.shape[0] - 0.5) ** 2 + (x / self.shape[1] - 0.5) ** 2) / 0.5
        flat = (1 - 0.4 * r2) * rng.normal(1, 0.01, self.shape)
        self.flat = flat / flat.mean()

    def expose(self, light, exposure, rng):
        """Return uint16 counts of `light` [electron, before the flat] (array or number)."""
        electrons = rng.poisson(np.maximum(light * self.flat + self.rate * exposure, 0))
        counts = self.bias + (electrons + rng.normal(0, self.read_noise, self.shape)) / self.gain
        return np.clip(np.round(counts), 0, self.saturation).astype(np.uint16)

    def frames(self, n, light, exposure, seed):
        rng = np.random.default_rng([self.seed, seed])
        return np.stack([self.expose(light, exposure, rng) for _ in range(n)])
