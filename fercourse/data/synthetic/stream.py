"""Random numbers that depend on a key and a name only, never on order, chunk, thread or platform.

Each face has a 64-bit key, each parameter a name. A value is a hash of the two (the finaliser of splitmix64:
Steele, Lea and Flood 2014, 'Fast splittable pseudorandom number generators'), so the first 100 faces of 1,000
are the first 100 of 100, and a new parameter changes none of the others. Integers and correctly rounded
operations only: no logarithm or cosine, whose last bit differs between machines.
"""

from __future__ import annotations

import zlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(values: np.ndarray) -> np.ndarray:
    """Return the splitmix64 hash of uint64 ``values``, elementwise (uint64, same shape)."""
    z = np.asarray(values, dtype=np.uint64) + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def keys(seed: int, purpose: str, count: int) -> np.ndarray:
    """Return ``count`` uint64 keys for items 0 to count - 1; they differ by seed and purpose."""
    start = mix(np.array([seed % 2**64], dtype=np.uint64)) ^ np.uint64(zlib.crc32(purpose.encode()))
    return mix(mix(start) + np.arange(count, dtype=np.uint64))


class Stream:
    """Named random values for a batch of keys: every method returns an array of shape (N,)."""

    def __init__(self, key: np.ndarray) -> None:
        """Take uint64 keys of shape (N,), one an item."""
        self._key = key

    def bits(self, name: str) -> np.ndarray:
        """Return 64 random bits (uint64)."""
        return mix(self._key ^ mix(np.array([zlib.crc32(name.encode())], dtype=np.uint64)))

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Return float64 values, uniform in [low, high)."""
        return low + (high - low) * ((self.bits(name) >> np.uint64(11)) * 2.0**-53)

    def normal(self, name: str, mean: float = 0.0, sd: float = 1.0) -> np.ndarray:
        """Return float64 values, nearly Gaussian: a sum of four uniforms, so never beyond 3.5 SD."""
        bits = self.bits(name)
        fields = [(bits >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48)]
        total = (fields[0] + fields[1] + fields[2] + fields[3]).astype(np.float64)
        return mean + sd * ((total - 131070.0) / 37837.2272)

    def choice(self, name: str, weights: tuple[float, ...]) -> np.ndarray:
        """Return int64 places in ``weights``, each with a probability in proportion to its weight."""
        edges = np.cumsum(weights, dtype=np.float64)
        return np.searchsorted(edges[:-1] / edges[-1], self.uniform(name), side="right").astype(np.int64)
